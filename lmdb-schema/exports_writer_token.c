
/* putting, revoking and dropping tokens */

#include <stdlib.h>
#include <string.h>

#include "exports_writer_private.h"


/* the bytes of a digest that a token ID has in hexadecimal */
#define PREFIX_LEN  8


static exports_rc_t put_token(exports_writer_t *w,
    const exports_token_line_t *line, uint8_t *buf, exports_error_t *error);
static exports_rc_t find_token(exports_writer_t *w, const char *token_id,
    size_t len, uint8_t *digest, exports_token_t *token,
    exports_error_t *error);
static exports_rc_t find_digest(MDB_cursor *cursor, uint8_t *prefix,
    uint8_t *digest, exports_token_t *token);


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

    /* tried before a scope is made, whose ID does not change the length */

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
    size_t            n;
    uint8_t           digest[EXPORTS_SHA256_LEN], *buf;
    exports_rc_t      rc;
    exports_token_t   token;

    token.revoked = 0;

    rc = find_token(w, token_id, len, digest, &token, error);

    if (rc != EXPORTS_OK || token.revoked != 0) {
        return rc;
    }

    buf = malloc(EXPORTS_TOKEN_RECORD_MAX);
    if (buf == NULL) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    token.revoked = w->now;

    (void) exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX, &n, &token,
                                digest);

    rc = exports_writer_store(w, DB_TOKENS, digest, EXPORTS_SHA256_LEN, buf, n,
                              error);

    free(buf);

    return rc;
}


static exports_rc_t
find_token(exports_writer_t *w, const char *token_id, size_t len,
    uint8_t *digest, exports_token_t *token, exports_error_t *error)
{
    int            rc;
    uint8_t        prefix[PREFIX_LEN];
    MDB_cursor    *cursor;
    exports_rc_t   erc;

    if (len != EXPORTS_TOKEN_ID_LEN || memcmp(token_id, "tok_", 4) != 0
        || exports_unhex(prefix, PREFIX_LEN, token_id + 4) != 0)
    {
        return exports_error(error, EXPORTS_INVALID,
                             "%.*s: not a token ID: tok_ and 16 hexadecimal "
                             "digits", (int) len, token_id);
    }

    erc = exports_writer_check(w, DB_TOKENS, prefix, PREFIX_LEN, 0, error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    rc = mdb_cursor_open(w->txn, w->env->dbi[DB_TOKENS], &cursor);
    if (rc != 0) {
        return exports_mdb_error(error, w->env, "reading", rc);
    }

    erc = find_digest(cursor, prefix, digest, token);

    mdb_cursor_close(cursor);

    return erc == EXPORTS_OK
               ? erc
               : exports_error(error, erc, "%.*s: %s", (int) len, token_id,
                               erc == EXPORTS_CONFLICT
                                   ? "the ID of several tokens"
                                   : exports_strerror(erc));
}


/* finds the digest that begins with the prefix, and its token */

static exports_rc_t
find_digest(MDB_cursor *cursor, uint8_t *prefix, uint8_t *digest,
    exports_token_t *token)
{
    int            rc;
    MDB_val        k, v, next;
    exports_rc_t   erc;

    k = exports_mdb_val(prefix, PREFIX_LEN);

    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);

    if (rc != 0) {
        return exports_rc_of_mdb(rc);
    }

    if (k.mv_size != EXPORTS_SHA256_LEN
        || memcmp(k.mv_data, prefix, PREFIX_LEN) != 0)
    {
        return EXPORTS_NOT_FOUND;
    }

    memcpy(digest, k.mv_data, EXPORTS_SHA256_LEN);
    erc = exports_token_decode(token, digest, v.mv_data, v.mv_size);

    rc = mdb_cursor_get(cursor, &k, &next, MDB_NEXT);

    if (rc == 0 && k.mv_size >= PREFIX_LEN
        && memcmp(k.mv_data, prefix, PREFIX_LEN) == 0)
    {
        return EXPORTS_CONFLICT;
    }

    return rc == 0 || rc == MDB_NOTFOUND ? erc : exports_rc_of_mdb(rc);
}


exports_rc_t
exports_writer_drop_token(exports_writer_t *w, const uint8_t *digest,
    exports_error_t *error)
{
    return exports_writer_del(w, DB_TOKENS, digest, EXPORTS_SHA256_LEN, NULL,
                              0, error);
}
