
/*
 * exports_manifest.h: manifests and tokens as JSON.
 *
 * JSON in is parsed by jansson and checked key by key; what comes out is a
 * record ready for a writer.  One object, as a line of NDJSON or as a file.
 *
 * A manifest with the key "project" is of the project exports API: it has the
 * keys of its items but "download_url", and optionally "storage_key".  One with
 * "user" is of the user exports API: it has the keys of its items but
 * "download_url", and optionally "storage_backend", "storage_key" and
 * "content_type".  Keys whose value may be null may be left out; other keys are
 * not accepted.
 *
 * Jansson does not tell when it refuses JSON for want of memory: that is
 * EXPORTS_INVALID or, when a record is printed, EXPORTS_CORRUPT.
 */

#ifndef EXPORTS_MANIFEST_H
#define EXPORTS_MANIFEST_H

#include "exports_codec.h"
#include "exports_error.h"


/* the longest text of one manifest or token, in bytes */
#define EXPORTS_JSON_MAX  (256 * 1024)

/* a manifest, ready to be written */
typedef struct {
    exports_kind_t    kind;
    size_t            scope_len;
    char              scope[EXPORTS_SCOPE_NAME_MAX];    /* slug or user ID */
    size_t            id_len;
    char              id[EXPORTS_ID_MAX];
    uint64_t          created;      /* created_at, requested_at */
    uint64_t          tie;
    exports_facets_t  facets;
    size_t            record_len;
    uint8_t           record[EXPORTS_RECORD_MAX];       /* not sealed */
} exports_manifest_t;

/* a token, by its hash, ready to be written; its tables point into "text" */
typedef struct {
    uint8_t          digest[EXPORTS_SHA256_LEN];
    size_t           scope_len;
    char             scope[EXPORTS_SCOPE_NAME_MAX];
    exports_token_t  token;         /* without the ID of its scope */
    char             text[EXPORTS_TOKEN_TABLES_MAX * EXPORTS_STRING_MAX];
} exports_token_line_t;


/*
 * Parses one object.  EXPORTS_INVALID: the error's text is "key: reason", or
 * just the reason if no key is at fault.  EXPORTS_NOMEM; EXPORTS_FAILED:
 * libcrypto.
 */
exports_rc_t exports_manifest_parse(exports_manifest_t *manifest,
    const char *text, size_t len, exports_error_t *error);

/*
 * A token's keys: "sha256" (64 hexadecimal digits), "project" or "user", and
 * optionally "admin", "active" (booleans), "tables" (strings), "created_at",
 * "expires_at", "revoked_at" (times or null).
 */
exports_rc_t exports_token_parse(exports_token_line_t *line,
    const char *text, size_t len, exports_error_t *error);

/* what a line of NDJSON holds, which depends on its keys */
typedef union {
    exports_manifest_t    manifest;
    exports_token_line_t  token;
} exports_line_t;

typedef enum {
    EXPORTS_LINE_MANIFEST = 1,
    EXPORTS_LINE_TOKEN
} exports_line_type_t;

exports_rc_t exports_line_parse(exports_line_t *line,
    exports_line_type_t *type, const char *text, size_t len,
    exports_error_t *error);

/*
 * Print a record as the manifest that it came from (parsing that gives the same
 * record), and a token as its line.  scope: the name of the scope.  The result
 * is one line without a newline, by jansson's allocator: free() frees it unless
 * the program has given jansson another.
 *
 * EXPORTS_CORRUPT  the record was made of no manifest or token, though it has
 *                  its checksum: the item is no JSON object, or lacks its
 *                  download_url, or a string is not UTF-8
 * EXPORTS_NOMEM
 */
exports_rc_t exports_manifest_print(char **text,
    const exports_record_t *record, const char *scope, size_t scope_len,
    exports_error_t *error);
exports_rc_t exports_token_print(char **text, const uint8_t *digest,
    const exports_token_t *token, const char *scope, size_t scope_len,
    exports_error_t *error);


#endif /* EXPORTS_MANIFEST_H */
