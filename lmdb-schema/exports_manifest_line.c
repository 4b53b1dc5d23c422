
/* a line of NDJSON: a manifest or a token */

#include "exports_json.h"


exports_rc_t
exports_line_parse(exports_line_t *line, exports_line_type_t *type,
    const char *text, size_t len, exports_error_t *error)
{
    json_t        *root;
    exports_rc_t   rc;

    root = exports_json_load(text, len, error);
    if (root == NULL) {
        return EXPORTS_INVALID;
    }

    if (json_object_get(root, "sha256") != NULL) {
        *type = EXPORTS_LINE_TOKEN;
        rc = exports_token_take(&line->token, root, error);

    } else {
        *type = EXPORTS_LINE_MANIFEST;
        rc = exports_manifest_take(&line->manifest, root, error);
    }

    json_decref(root);

    return rc;
}
