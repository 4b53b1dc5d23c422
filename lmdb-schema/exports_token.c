
/* tokens as JSON */

#include <string.h>

#include "exports_json.h"
#include "exports_time.h"


static exports_rc_t take_value(exports_token_line_t *line, const char *key,
    json_t *value, exports_error_t *error);
static exports_rc_t take_scope(exports_token_line_t *line, const char *key,
    json_t *value, exports_error_t *error);
static exports_rc_t take_tables(exports_token_line_t *line, const char *key,
    json_t *value, exports_error_t *error);
static exports_rc_t take_time(uint64_t *time, const char *key, json_t *value,
    exports_error_t *error);
static int is_text(const exports_token_t *token, const char *scope,
    size_t scope_len);
static json_t *time_value(uint64_t time);


exports_rc_t
exports_token_parse(exports_token_line_t *line, const char *text, size_t len,
    exports_error_t *error)
{
    json_t        *root;
    exports_rc_t   rc;

    root = exports_json_load(text, len, error);
    if (root == NULL) {
        return EXPORTS_INVALID;
    }

    rc = exports_token_take(line, root, error);

    json_decref(root);

    return rc;
}


exports_rc_t
exports_token_print(char **text, const uint8_t *digest,
    const exports_token_t *token, const char *scope, size_t scope_len,
    exports_error_t *error)
{
    int        failed;
    char       hex[2 * EXPORTS_SHA256_LEN];
    json_t    *root, *tables;
    unsigned   i;

    if (!is_text(token, scope, scope_len)) {
        return exports_error(error, EXPORTS_CORRUPT,
                             "a string of its record is not UTF-8");
    }

    exports_hex(hex, digest, EXPORTS_SHA256_LEN);

    root = json_object();

    failed = json_object_set_new(root, "sha256",
                                 json_stringn(hex, sizeof(hex)))
             | json_object_set_new(root, exports_kind_name(token->kind),
                                   json_stringn(scope, scope_len))
             | json_object_set_new(root, "admin",
                       json_boolean(token->flags & EXPORTS_TOKEN_ADMIN))
             | json_object_set_new(root, "active",
                       json_boolean(!(token->flags & EXPORTS_TOKEN_INACTIVE)));

    if (token->flags & EXPORTS_TOKEN_TABLES) {
        tables = json_array();

        for (i = 0; i < token->ntables; i++) {
            failed |= json_array_append_new(tables,
                                            json_stringn(token->tables[i].data,
                                                       token->tables[i].len));
        }

        failed |= json_object_set_new(root, "tables", tables);
    }

    failed |= json_object_set_new(root, "created_at",
                                  time_value(token->created))
              | json_object_set_new(root, "expires_at",
                                    time_value(token->expires))
              | json_object_set_new(root, "revoked_at",
                                    time_value(token->revoked));

    return exports_json_print(text, root, failed, error);
}


exports_rc_t
exports_token_take(exports_token_line_t *line, json_t *root,
    exports_error_t *error)
{
    json_t        *value;
    const char    *key;
    exports_rc_t   rc;

    memset(&line->token, 0, sizeof(exports_token_t));
    line->scope_len = 0;

    value = json_object_get(root, "sha256");

    if (!json_is_string(value)
        || json_string_length(value) != 2 * EXPORTS_SHA256_LEN
        || exports_unhex(line->digest, EXPORTS_SHA256_LEN,
                         json_string_value(value))
           != 0)
    {
        return exports_json_bad(error, "sha256", "not 64 hexadecimal digits",
                                value);
    }

    json_object_foreach (root, key, value) {
        rc = take_value(line, key, value, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    if (line->scope_len == 0) {
        return exports_error(error, EXPORTS_INVALID,
                             "neither \"project\" nor \"user\" is given");
    }

    if (line->token.kind == EXPORTS_USER
        && line->token.flags & (EXPORTS_TOKEN_ADMIN|EXPORTS_TOKEN_TABLES))
    {
        return exports_error(error, EXPORTS_INVALID,
                             "a user's token has no \"admin\", \"tables\"");
    }

    if (line->token.created == 0) {
        line->token.created = exports_time_now();
    }

    return EXPORTS_OK;
}


static exports_rc_t
take_value(exports_token_line_t *line, const char *key, json_t *value,
    exports_error_t *error)
{
    exports_token_t  *token;

    token = &line->token;

    if (strcmp(key, "sha256") == 0) {
        return EXPORTS_OK;
    }

    if (strcmp(key, "project") == 0 || strcmp(key, "user") == 0) {
        return take_scope(line, key, value, error);
    }

    if (strcmp(key, "tables") == 0) {
        return take_tables(line, key, value, error);
    }

    if (strcmp(key, "created_at") == 0) {
        return take_time(&token->created, key, value, error);
    }

    if (strcmp(key, "expires_at") == 0) {
        return take_time(&token->expires, key, value, error);
    }

    if (strcmp(key, "revoked_at") == 0) {
        return take_time(&token->revoked, key, value, error);
    }

    if (strcmp(key, "admin") != 0 && strcmp(key, "active") != 0) {
        return exports_error(error, EXPORTS_INVALID, "%.64s: unknown key",
                             key);
    }

    if (!json_is_boolean(value)) {
        return exports_json_bad(error, key, "neither true nor false", value);
    }

    if (strcmp(key, "admin") == 0 && json_is_true(value)) {
        token->flags |= EXPORTS_TOKEN_ADMIN;
    }

    if (strcmp(key, "active") == 0 && json_is_false(value)) {
        token->flags |= EXPORTS_TOKEN_INACTIVE;
    }

    return EXPORTS_OK;
}


static exports_rc_t
take_scope(exports_token_line_t *line, const char *key, json_t *value,
    exports_error_t *error)
{
    if (line->scope_len != 0) {
        return exports_error(error, EXPORTS_INVALID,
                             "both \"project\" and \"user\" are given");
    }

    line->token.kind = key[0] == 'p' ? EXPORTS_PROJECT : EXPORTS_USER;

    return exports_json_scope(line->token.kind, key, value, line->scope,
                              &line->scope_len, error);
}


static exports_rc_t
take_tables(exports_token_line_t *line, const char *key, json_t *value,
    exports_error_t *error)
{
    char             *p;
    size_t            i, len;
    json_t           *name;
    exports_token_t  *token;

    if (json_is_null(value)) {
        return EXPORTS_OK;
    }

    if (!json_is_array(value)
        || json_array_size(value) > EXPORTS_TOKEN_TABLES_MAX)
    {
        return exports_json_bad(error, key, "not an array of up to 64 strings",
                                value);
    }

    token = &line->token;
    token->flags |= EXPORTS_TOKEN_TABLES;
    p = line->text;

    json_array_foreach (value, i, name) {
        len = json_string_length(name);

        if (!json_is_string(name) || len == 0 || len > EXPORTS_STRING_MAX) {
            return exports_json_bad(error, key,
                                    "not a string of 1 to 1024 bytes", name);
        }

        memcpy(p, json_string_value(name), len);
        token->tables[i].data = p;
        token->tables[i].len = len;
        p += len;
    }

    token->ntables = (unsigned) json_array_size(value);

    return EXPORTS_OK;
}


static exports_rc_t
take_time(uint64_t *time, const char *key, json_t *value,
    exports_error_t *error)
{
    if (json_is_null(value)) {
        *time = 0;
        return EXPORTS_OK;
    }

    /* 0 stands for null in a token, so 1970 itself is refused */

    if (!json_is_string(value)
        || exports_time_parse(json_string_value(value),
                              json_string_length(value), time) != 0
        || *time == 0)
    {
        return exports_json_bad(error, key, EXPORTS_NOT_A_TIME, value);
    }

    return EXPORTS_OK;
}


/* whether jansson can print its strings */

static int
is_text(const exports_token_t *token, const char *scope, size_t scope_len)
{
    unsigned  i;

    for (i = 0; i < token->ntables; i++) {
        if (!exports_utf8_valid(token->tables[i].data, token->tables[i].len)) {
            return 0;
        }
    }

    return exports_utf8_valid(scope, scope_len);
}


static json_t *
time_value(uint64_t time)
{
    char  text[EXPORTS_TIME_TEXT_MAX];

    return time == 0 ? json_null()
                     : json_stringn(text, exports_time_format(text, time));
}
