
/*
 * exports_json.h: what the readers of manifests and tokens share; private.
 */

#ifndef EXPORTS_JSON_H
#define EXPORTS_JSON_H

#include <jansson.h>

#include "exports_manifest.h"


/* the reason of a bad time */
#define EXPORTS_NOT_A_TIME                                                    \
    "not an RFC 3339 time from 1970 to 9999 of six fractional digits at most"


/* Parses an object, whose keys must be unique.  NULL: the error says why. */
json_t *exports_json_load(const char *text, size_t len,
    exports_error_t *error);

/* EXPORTS_INVALID, "key: reason: value" with the value cut short, or without it
   if that is an object or an array; value NULL: "key: missing".
   EXPORTS_NOMEM. */
exports_rc_t exports_json_bad(exports_error_t *error, const char *key,
    const char *reason, json_t *value);

/* a view of a JSON string; null if the value is not one */
exports_str_t exports_json_string(const json_t *value);

/* Checks the name of a project, or of a user, which may be an integer, and
   copies it to name; *len: its length. */
exports_rc_t exports_json_scope(exports_kind_t kind, const char *key,
    json_t *value, char name[EXPORTS_SCOPE_NAME_MAX], size_t *len,
    exports_error_t *error);

/* Prints an object as one line, and releases it.  failed: a part of it could
   not be built, so there is nothing to print. */
exports_rc_t exports_json_print(char **text, json_t *object, int failed,
    exports_error_t *error);

/* exports_manifest_parse() and exports_token_parse(), of a parsed object */
exports_rc_t exports_manifest_take(exports_manifest_t *manifest, json_t *root,
    exports_error_t *error);
exports_rc_t exports_token_take(exports_token_line_t *line, json_t *root,
    exports_error_t *error);


#endif /* EXPORTS_JSON_H */
