
/*
 * The order of the checks: where LMDB finds the lists, which all that follows
 * has it read, then scopes, which the rest is looked up in, tokens and
 * manifests, then the indexes, entry by entry only where those gave reason to,
 * and last the blocks of lists.
 */

#include <string.h>

#include "exports_verify_private.h"


static void init(exports_check_t *c, exports_verify_t *result,
    exports_fault_pt fault, void *data);
static exports_rc_t check_all(exports_check_t *c);
static exports_rc_t check_token(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static int scope_exists(const exports_check_t *c,
    const exports_token_t *token);
static exports_rc_t rank_fault(void *data, const uint8_t *key, size_t len,
    int list, const char *text);


exports_rc_t
exports_verify(exports_reader_t *reader, exports_verify_t *result,
    exports_fault_pt fault, void *data, exports_error_t *error)
{
    exports_rc_t     rc;
    exports_check_t  c;

    init(&c, result, fault, data);

    c.reader = reader;

    rc = check_all(&c);

    exports_verify_release(&c);

    return rc == EXPORTS_OK ? rc
                            : exports_error(error, rc, "verifying: %s",
                                            exports_strerror(rc));
}


exports_rc_t
exports_repair(exports_writer_t *writer, exports_verify_t *result,
    exports_fault_pt fault, void *data, exports_error_t *error)
{
    exports_rc_t     rc;
    exports_check_t  c;

    init(&c, result, fault, data);

    c.reader = exports_writer_reader(writer);
    c.repair = 1;

    rc = check_all(&c);

    if (rc != EXPORTS_OK) {
        exports_verify_release(&c);
        return exports_error(error, rc, "verifying: %s", exports_strerror(rc));
    }

    rc = exports_verify_fix(&c, writer, error);

    if (rc == EXPORTS_OK) {
        rc = exports_verify_touch(&c, writer, error);
    }

    exports_verify_release(&c);

    return rc;
}


static void
init(exports_check_t *c, exports_verify_t *result, exports_fault_pt fault,
    void *data)
{
    memset(result, 0, sizeof(exports_verify_t));
    memset(c, 0, sizeof(exports_check_t));

    c->result = result;
    c->fault = fault;
    c->data = data;
}


static exports_rc_t
check_all(exports_check_t *c)
{
    exports_rc_t  rc;

    rc = exports_verify_nodes(c->reader);

    if (rc == EXPORTS_OK) {
        rc = exports_verify_scopes(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_walk_tokens(c->reader, check_token, c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_manifests(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_counts(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_ids(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_entries(c);
    }

    return rc == EXPORTS_OK ? exports_verify_ranks(c->reader, rank_fault, c)
                            : rc;
}


static exports_rc_t
check_token(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    char              id[EXPORTS_TOKEN_ID_LEN];
    exports_check_t  *c = data;
    exports_token_t   token;

    c->result->tokens++;

    if (key_len != EXPORTS_SHA256_LEN) {
        return exports_verify_report(c, FIX_NONE, key, key_len, NULL,
                                     "tokens: not a token's key");
    }

    exports_token_id(id, key);

    if (exports_token_decode(&token, key, value, len) != EXPORTS_OK) {
        return exports_verify_report(c, FIX_DROP_TOKEN, key, key_len, NULL,
                                     "tokens: %.*s: fails its checksum",
                                     EXPORTS_TOKEN_ID_LEN, id);
    }

    if (!scope_exists(c, &token)) {
        return exports_verify_report(c, FIX_NONE, key, key_len, NULL,
                                     "tokens: %.*s: its scope does not exist",
                                     EXPORTS_TOKEN_ID_LEN, id);
    }

    return EXPORTS_OK;
}


static int
scope_exists(const exports_check_t *c, const exports_token_t *token)
{
    const exports_known_scope_t  *scope;

    scope = exports_verify_find_scope(c, token->scope);

    return scope != NULL
           && scope->key[0] == token->kind
           && scope->key_len - 1U == token->scope_name.len
           && memcmp(scope->key + 1, token->scope_name.data,
                     token->scope_name.len)
              == 0;
}


static exports_rc_t
rank_fault(void *data, const uint8_t *key, size_t len, int list,
    const char *text)
{
    return exports_verify_report(data, list ? FIX_RERANK : FIX_DROP_RANKS,
                                 key, len, NULL, "%s", text);
}
