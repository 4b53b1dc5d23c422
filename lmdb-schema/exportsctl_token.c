
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "exports_digest.h"
#include "exports_time.h"
#include "exportsctl.h"


#define TOKEN_PREFIX  "pat_"
#define TOKEN_LEN     (sizeof(TOKEN_PREFIX) - 1 + 40)

#define RIGHTS_MAX    128

#define TABLE_ROW     "%-20s  %-8s  %-20s  %-27s  %s"


typedef struct {
    const ctl_args_t  *args;
    ctl_scopes_t       scopes;
    uint64_t           now;
    int                result;
} list_t;


static int make_token(char *token);
static json_t *token_json(const ctl_args_t *args, const uint8_t *digest);
static int parse_token(exports_token_line_t *line, const ctl_args_t *args,
    const uint8_t *digest);
static int store_token(const exports_token_line_t *line,
    const ctl_args_t *args, int *stored);
static int print_token(const char *token, const exports_token_line_t *line,
    const ctl_args_t *args);
static exports_rc_t list_token(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static exports_rc_t list_json(list_t *list, const uint8_t *key,
    const exports_token_t *token, const ctl_scope_t *scope);
static exports_rc_t list_row(list_t *list, const uint8_t *key,
    const exports_token_t *token, const ctl_scope_t *scope);
static const char *token_state(const exports_token_t *token, uint64_t now);
static void describe_rights(char *text, size_t size,
    const exports_token_t *token);
static exports_rc_t revoke_one(ctl_store_t *store, const ctl_args_t *args,
    const char *id, exports_error_t *error);


int
ctl_token_create(const ctl_args_t *args)
{
    int                    rc, stored, printed;
    char                   token[TOKEN_LEN + 1];
    uint8_t                digest[EXPORTS_SHA256_LEN];
    exports_token_line_t  *line;

    if (make_token(token) != 0) {
        return ctl_error("getrandom: %s", strerror(errno));
    }

    if (exports_sha256(digest, token, TOKEN_LEN) != 0) {
        return ctl_error("SHA-256 failed");
    }

    line = malloc(sizeof(exports_token_line_t));
    if (line == NULL) {
        return ctl_error("out of memory");
    }

    rc = parse_token(line, args, digest);

    stored = 0;

    if (rc == CTL_OK) {
        rc = store_token(line, args, &stored);
    }

    if (stored) {
        printed = print_token(token, line, args);
        rc = rc == CTL_OK ? printed : rc;
    }

    free(line);

    return rc;
}


static int
make_token(char *token)
{
    char               *p;
    size_t              i;
    ssize_t             n;
    uint8_t             bytes[64];
    static const char   alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "abcdefghijklmnopqrstuvwxyz0123456789";
    const size_t        letters = sizeof(alphabet) - 1;

    memcpy(token, TOKEN_PREFIX, sizeof(TOKEN_PREFIX) - 1);
    p = token + sizeof(TOKEN_PREFIX) - 1;

    while (p < token + TOKEN_LEN) {

        n = getrandom(bytes, sizeof(bytes), 0);

        if (n == -1 && errno != EINTR) {
            return -1;
        }

        /* bytes beyond a multiple of the number of letters would make the first
           letters more likely */

        for (i = 0; n > 0 && i < (size_t) n && p < token + TOKEN_LEN; i++) {
            if (bytes[i] < 256 / letters * letters) {
                *p++ = alphabet[bytes[i] % letters];
            }
        }
    }

    *p = '\0';

    return 0;
}


/* by way of JSON, for the same checks as an import makes */

static int
parse_token(exports_token_line_t *line, const ctl_args_t *args,
    const uint8_t *digest)
{
    int               rc;
    char             *text;
    json_t           *object;
    exports_error_t   error;

    object = token_json(args, digest);
    if (object == NULL) {
        return CTL_FAILED;
    }

    text = json_dumps(object, JSON_COMPACT);
    json_decref(object);

    if (text == NULL) {
        return ctl_error("out of memory");
    }

    rc = CTL_OK;

    if (exports_token_parse(line, text, strlen(text), &error) != EXPORTS_OK) {
        rc = ctl_error("%s", error.text);
    }

    free(text);

    return rc;
}


static json_t *
token_json(const ctl_args_t *args, const uint8_t *digest)
{
    char       hex[2 * EXPORTS_SHA256_LEN];
    json_t    *object, *tables;
    unsigned   i;

    exports_hex(hex, digest, EXPORTS_SHA256_LEN);
    tables = json_array();

    for (i = 0; i < args->ntables; i++) {
        (void) json_array_append_new(tables, json_string(args->tables[i]));
    }

    object = json_pack("{s:s#, s:s, s:b, s:o, s:o, s:o}",
                       "sha256", hex, (int) sizeof(hex),
                       exports_kind_name(args->kind), args->scope,
                       "admin", args->admin,
                       "tables", args->ntables > 0 ? json_incref(tables)
                                                   : json_null(),
                       "created_at", ctl_json_time(exports_time_now()),
                       "expires_at", ctl_json_time(args->expires));
    json_decref(tables);

    if (object == NULL) {
        (void) ctl_error("out of memory");
    }

    return object;
}


/* *stored: 1 even if something is wrong with the file after the commit */

static int
store_token(const exports_token_line_t *line, const ctl_args_t *args,
    int *stored)
{
    int              rc;
    ctl_store_t      store;
    exports_error_t  error;

    rc = ctl_store_write(&store, args);

    if (rc == CTL_OK
        && exports_writer_put_token(store.writer, line, &error) != EXPORTS_OK)
    {
        rc = ctl_error("%s", error.text);
    }

    if (rc == CTL_OK) {
        rc = ctl_store_commit(&store);
        *stored = store.committed;
    }

    ctl_store_close(&store);

    return rc;
}


static int
print_token(const char *token, const exports_token_line_t *line,
    const ctl_args_t *args)
{
    int   rc;
    char  id[EXPORTS_TOKEN_ID_LEN + 1];

    exports_token_id(id, line->digest);
    id[EXPORTS_TOKEN_ID_LEN] = '\0';

    rc = CTL_OK;

    if (args->json) {
        rc = ctl_print_json(json_pack("{s:s, s:s, s:s, s:o}",
                                      "token", token, "token_id", id,
                                      exports_kind_name(args->kind),
                                      args->scope, "expires_at",
                                      ctl_json_time(line->token.expires)));
    } else {
        (void) printf("token:    %s\n"
                      "token ID: %s\n", token, id);
    }

    if (line->token.expires != 0
        && line->token.expires <= line->token.created)
    {
        ctl_message("--expires lies in the past: the token is not valid");
    }

    /* the token is stored, but nobody knows it */

    if (ctl_flush() != CTL_OK || rc != CTL_OK) {
        ctl_message("the token is made, but cannot be printed: revoke %s",
                    id);
    }

    return rc;
}


int
ctl_token_list(const ctl_args_t *args)
{
    list_t        list;
    ctl_store_t   store;
    exports_rc_t  rc;

    memset(&list, 0, sizeof(list_t));

    list.args = args;
    list.now = exports_time_now();
    list.result = ctl_store_read(&store, args);

    if (list.result == CTL_OK) {
        list.result = ctl_scopes_load(&list.scopes, store.reader, args);
    }

    if (list.result == CTL_OK) {

        if (!args->json) {
            (void) printf(TABLE_ROW "\n", "TOKEN ID", "STATE", "SCOPE",
                          "EXPIRES", "RIGHTS");
        }

        rc = exports_walk_tokens(store.reader, list_token, &list);

        if (rc != EXPORTS_OK && ctl_flush() == CTL_OK) {
            list.result = ctl_error("reading the tokens: %s",
                                    exports_strerror(rc));
        }

        list.result |= list.scopes.damaged ? CTL_FAILED : CTL_OK;
    }

    ctl_scopes_free(&list.scopes);
    ctl_store_close(&store);

    return list.result;
}


static exports_rc_t
list_token(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    list_t             *list = data;
    exports_token_t     token;
    const ctl_scope_t  *scope;

    if (key_len != EXPORTS_SHA256_LEN
        || exports_token_decode(&token, key, value, len) != EXPORTS_OK)
    {
        list->result = ctl_error("a token is left out, its record is damaged: "
                                 "run \"exportsctl verify\"");
        return EXPORTS_OK;
    }

    scope = ctl_scopes_find(&list->scopes, token.scope);

    if (scope == NULL && list->scopes.only != 0) {
        return EXPORTS_OK;
    }

    if (scope == NULL || scope->kind != token.kind) {
        list->result = ctl_error("a token is left out, its scope does not "
                                 "exist: run \"exportsctl verify\"");
        return EXPORTS_OK;
    }

    return list->args->json ? list_json(list, key, &token, scope)
                            : list_row(list, key, &token, scope);
}


static exports_rc_t
list_json(list_t *list, const uint8_t *key, const exports_token_t *token,
    const ctl_scope_t *scope)
{
    int               rc;
    char             *text;
    exports_error_t   error;

    if (exports_token_print(&text, key, token,
                            ctl_scopes_name(&list->scopes, scope), scope->len,
                            &error)
        != EXPORTS_OK)
    {
        list->result = ctl_error("a token is left out: %s", error.text);
        return EXPORTS_OK;
    }

    rc = ctl_print_line(text);
    free(text);

    if (rc != CTL_OK) {
        list->result = rc;
        return EXPORTS_FAILED;
    }

    return EXPORTS_OK;
}


static exports_rc_t
list_row(list_t *list, const uint8_t *key, const exports_token_t *token,
    const ctl_scope_t *scope)
{
    char  id[EXPORTS_TOKEN_ID_LEN + 1], rights[RIGHTS_MAX];
    char  expires[EXPORTS_TIME_TEXT_MAX + 1];
    char  name[EXPORTS_SCOPE_NAME_MAX + 16], row[512];

    exports_token_id(id, key);
    id[EXPORTS_TOKEN_ID_LEN] = '\0';

    (void) snprintf(name, sizeof(name), "%s %.*s",
                    exports_kind_name(scope->kind), (int) scope->len,
                    ctl_scopes_name(&list->scopes, scope));

    (void) strcpy(expires, "never");

    if (token->expires != 0) {
        expires[exports_time_format(expires, token->expires)] = '\0';
    }

    describe_rights(rights, sizeof(rights), token);

    (void) snprintf(row, sizeof(row), TABLE_ROW, id,
                    token_state(token, list->now), name, expires, rights);

    if (ctl_print_line(row) != CTL_OK) {
        list->result = CTL_FAILED;
        return EXPORTS_FAILED;
    }

    return EXPORTS_OK;
}


static const char *
token_state(const exports_token_t *token, uint64_t now)
{
    if (token->revoked != 0) {
        return "revoked";
    }

    if (token->flags & EXPORTS_TOKEN_INACTIVE) {
        return "inactive";
    }

    return exports_token_valid(token, now) ? "valid" : "expired";
}


/* names as many tables as fit in a line; --json prints all */

static void
describe_rights(char *text, size_t size, const exports_token_t *token)
{
    char      *p;
    size_t     left;
    unsigned   i;

    if (token->kind == EXPORTS_USER) {
        (void) snprintf(text, size, "the user's");
        return;
    }

    if (token->flags & EXPORTS_TOKEN_ADMIN) {
        (void) snprintf(text, size, "admin");
        return;
    }

    if ((token->flags & EXPORTS_TOKEN_TABLES) == 0) {
        (void) snprintf(text, size, "all tables");
        return;
    }

    p = text + snprintf(text, size, "%u table%s", token->ntables,
                        CTL_S(token->ntables));

    for (i = 0; i < token->ntables; i++) {
        left = (size_t) (text + size - p);

        if (left < 4 * token->tables[i].len + 8) {
            (void) snprintf(p, left, ", ...");
            return;
        }

        p += snprintf(p, left, i == 0 ? ": " : ", ");
        (void) ctl_printable(p, (size_t) (text + size - p),
                             token->tables[i].data, token->tables[i].len);
        p += strlen(p);
    }
}


int
ctl_token_revoke(const ctl_args_t *args)
{
    int          rc;
    ctl_store_t  store;

    rc = ctl_store_write(&store, args);

    if (rc == CTL_OK) {
        rc = ctl_change_each(&store, args, revoke_one, "revoked", "token");
    }

    ctl_store_close(&store);

    return rc;
}


static exports_rc_t
revoke_one(ctl_store_t *store, const ctl_args_t *args, const char *id,
    exports_error_t *error)
{
    (void) args;

    return exports_writer_revoke_token(store->writer, id, strlen(id), error);
}
