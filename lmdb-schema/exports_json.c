
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_json.h"


/* bytes of a refused value that a message shows */
#define SHOWN_MAX        60

/* U+FEFF, which some editors write at the beginning */
#define BYTE_ORDER_MARK  "\xef\xbb\xbf"


static void syntax_error(exports_error_t *error, const char *text, size_t len,
    const json_error_t *je);


json_t *
exports_json_load(const char *text, size_t len, exports_error_t *error)
{
    json_t        *root;
    json_error_t   je;

    if (len > EXPORTS_JSON_MAX) {
        (void) exports_error(error, EXPORTS_INVALID,
                             "longer than %d bytes", EXPORTS_JSON_MAX);
        return NULL;
    }

    root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);

    if (root == NULL) {
        syntax_error(error, text, len, &je);
        return NULL;
    }

    if (!json_is_object(root)) {
        json_decref(root);
        (void) exports_error(error, EXPORTS_INVALID, "not a JSON object");
        return NULL;
    }

    return root;
}


/* in jansson's words, unless they are misleading */

static void
syntax_error(exports_error_t *error, const char *text, size_t len,
    const json_error_t *je)
{
    char         line[32];
    const char  *what, *nul;

    what = je->text;
    nul = memchr(text, '\0', len);

    if (len >= sizeof(BYTE_ORDER_MARK) - 1
        && memcmp(text, BYTE_ORDER_MARK, sizeof(BYTE_ORDER_MARK) - 1) == 0)
    {
        what = "a byte order mark";

    } else if (json_error_code(je) == json_error_null_character) {
        what = "\\u0000 is not allowed";

    } else if (nul != NULL && nul - text <= je->position) {
        what = "a NUL byte";
    }

    line[0] = '\0';

    if (je->line > 1) {
        (void) snprintf(line, sizeof(line), "line %d, ", je->line);
    }

    (void) exports_error(error, EXPORTS_INVALID,
                         "not JSON as it must be: %scolumn %d: %s", line,
                         je->column, what);
}


exports_rc_t
exports_json_bad(exports_error_t *error, const char *key,
    const char *reason, json_t *value)
{
    char          *shown;
    json_free_t    release;
    exports_rc_t   rc;

    if (value == NULL) {
        return exports_error(error, EXPORTS_INVALID, "%s: missing", key);
    }

    if (json_is_object(value) || json_is_array(value)) {
        return exports_error(error, EXPORTS_INVALID, "%s: %s", key, reason);
    }

    shown = json_dumps(value, JSON_ENCODE_ANY|JSON_ENSURE_ASCII);

    if (shown == NULL) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    rc = exports_error(error, EXPORTS_INVALID, "%s: %s: %.*s%s", key, reason,
                       SHOWN_MAX, shown,
                       strlen(shown) > SHOWN_MAX ? "..." : "");

    /* the program may have given jansson an allocator of its own */

    json_get_alloc_funcs(NULL, &release);
    release(shown);

    return rc;
}


exports_str_t
exports_json_string(const json_t *value)
{
    exports_str_t  str = { NULL, 0 };

    if (json_is_string(value)) {
        str.data = json_string_value(value);
        str.len = json_string_length(value);
    }

    return str;
}


exports_rc_t
exports_json_scope(exports_kind_t kind, const char *key, json_t *value,
    char name[EXPORTS_SCOPE_NAME_MAX], size_t *len, exports_error_t *error)
{
    int             n;
    char            number[24];
    exports_str_t   text;

    text = exports_json_string(value);

    if (kind == EXPORTS_USER && json_is_integer(value)) {
        n = snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
                     json_integer_value(value));
        text.data = number;
        text.len = (size_t) n;
    }

    if (text.data == NULL
        || !exports_scope_name_valid(kind, text.data, text.len))
    {
        return exports_json_bad(error, key,
                                kind == EXPORTS_PROJECT
                                    ? "not 1 to 128 of a-z, 0-9, _ and -"
                                    : "not an integer or 1 to 64 of A-Z, a-z, "
                                      "0-9, ., _ and -",
                                value);
    }

    memcpy(name, text.data, text.len);
    *len = text.len;

    return EXPORTS_OK;
}


exports_rc_t
exports_json_print(char **text, json_t *object, int failed,
    exports_error_t *error)
{
    *text = failed ? NULL : json_dumps(object, JSON_COMPACT);

    json_decref(object);

    return *text != NULL ? EXPORTS_OK
                         : exports_error(error, EXPORTS_NOMEM,
                                         "out of memory");
}
