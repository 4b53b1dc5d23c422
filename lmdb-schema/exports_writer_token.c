
#include <stdlib.h>
#include <string.h>

#include "exports_writer_private.h"


static exports_rc_t put_token(exports_writer_t *w,
    const exports_token_line_t *line, uint8_t *buf, exports_error_t *error);


exports_rc_t
exports_writer_put_token(exports_writer_t *w, const exports_token_line_t *line,
    exports_error_t *error)
{
    uint8_t       *buf;
    exports_rc_t   rc;

    buf = malloc(EXPORTS_TOKEN_RECORD_MAX);
    if (buf == NULL) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    rc = put_token(w, line, buf, error);

    free(buf);

    return rc;
}


static exports_rc_t
put_token(exports_writer_t *w, const exports_token_line_t *line, uint8_t *buf,
    exports_error_t *error)
{
    size_t                len;
    exports_rc_t          rc;
    exports_token_t       token;
    exports_met_scope_t  *met;

    token = line->token;
    token.scope = 0;
    token.scope_name.data = line->scope;
    token.scope_name.len = line->scope_len;

    /* before a scope is made for it, which is as long whatever its ID */

    if (exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX, &len, &token,
                             line->digest)
        != EXPORTS_OK)
    {
        return exports_error(error, EXPORTS_INVALID,
                             "tables: too many, or too long");
    }

    rc = exports_writer_find_scope(w, token.kind, line->scope,
                                   line->scope_len, &met, error);

    if (rc == EXPORTS_NOT_FOUND) {
        rc = exports_writer_make_scope(w, token.kind, line->scope,
                                       line->scope_len, &met, error);
    }

    if (rc != EXPORTS_OK) {
        return rc;
    }

    token.scope = met->scope.id;

    (void) exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX, &len, &token,
                                line->digest);

    return exports_writer_store(w, DB_TOKENS, line->digest, EXPORTS_SHA256_LEN,
                                buf, len, error);
}


exports_rc_t
exports_writer_revoke_token(exports_writer_t *w, const char *token_id,
    size_t len, exports_error_t *error)
{
    int                    rc;
    size_t                 n;
    uint8_t                prefix[8], digest[EXPORTS_SHA256_LEN], *buf;
    MDB_val                k, v, next;
    MDB_cursor            *cursor;
    exports_rc_t           erc;
    exports_token_t        token;

    if (len != EXPORTS_TOKEN_ID_LEN || memcmp(token_id, "tok_", 4) != 0
        || exports_unhex(prefix, sizeof(prefix), token_id + 4) != 0)
    {
        return exports_error(error, EXPORTS_INVALID,
                             "%.*s: not a token ID: tok_ and 16 hexadecimal "
                             "digits", (int) len, token_id);
    }

    rc = mdb_cursor_open(w->txn, w->env->dbi[DB_TOKENS], &cursor);
    if (rc != 0) {
        return exports_mdb_error(error, w->env, "reading", rc);
    }

    k.mv_data = prefix;
    k.mv_size = sizeof(prefix);
    erc = EXPORTS_NOT_FOUND;

    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);

    if (rc == 0 && k.mv_size == EXPORTS_SHA256_LEN
        && memcmp(k.mv_data, prefix, sizeof(prefix)) == 0)
    {
        memcpy(digest, k.mv_data, EXPORTS_SHA256_LEN);
        erc = exports_token_decode(&token, digest, v.mv_data, v.mv_size);

        if (mdb_cursor_get(cursor, &k, &next, MDB_NEXT) == 0
            && memcmp(k.mv_data, prefix, sizeof(prefix)) == 0)
        {
            erc = EXPORTS_CONFLICT;
        }
    }

    mdb_cursor_close(cursor);

    if (erc != EXPORTS_OK) {
        return exports_error(error, erc, "%.*s: %s", (int) len, token_id,
                             erc == EXPORTS_CONFLICT
                                 ? "the ID of several tokens"
                                 : exports_strerror(erc));
    }

    if (token.revoked != 0) {
        return EXPORTS_OK;
    }

    buf = malloc(EXPORTS_TOKEN_RECORD_MAX);
    if (buf == NULL) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    token.revoked = w->now;

    (void) exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX, &n, &token,
                                digest);

    erc = exports_writer_store(w, DB_TOKENS, digest, EXPORTS_SHA256_LEN, buf,
                               n, error);

    free(buf);

    return erc;
}


exports_rc_t
exports_writer_drop_token(exports_writer_t *w, const uint8_t *digest,
    exports_error_t *error)
{
    return exports_writer_del(w, DB_TOKENS, digest, EXPORTS_SHA256_LEN, NULL,
                              0, error);
}
