
/* the transaction of a writer, revisions and checkpoints; puts and deletions */

#define _GNU_SOURCE             /* tdestroy() */

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_time.h"
#include "exports_writer_private.h"


static exports_rc_t touch(exports_writer_t *w, exports_kind_t kind,
    const char *scope, size_t len, exports_met_scope_t **met,
    exports_error_t *error);
static exports_rc_t check_files(exports_writer_t *w, exports_error_t *error);
static exports_rc_t flush_for_reader(exports_writer_t *w, exports_db_t db);


exports_rc_t
exports_writer_begin(exports_writer_t **writerp, exports_env_t *env,
    exports_error_t *error)
{
    int                rc;
    exports_rc_t       erc;
    exports_writer_t  *w;

    w = calloc(1, sizeof(exports_writer_t));
    if (w == NULL) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    w->env = env;

    rc = mdb_txn_begin(env->mdb, NULL, 0, &w->txn);

    if (rc == MDB_MAP_RESIZED && exports_mdb_remap(env) == 0) {
        rc = mdb_txn_begin(env->mdb, NULL, 0, &w->txn);
    }

    if (rc != 0) {
        free(w);
        return exports_mdb_error(error, env, "writing", rc);
    }

    erc = check_files(w, error);

    if (erc != EXPORTS_OK) {
        exports_writer_abort(w);
        return erc;
    }

    w->now = exports_time_now();
    exports_reader_borrow(&w->reader, env, w->txn, w, flush_for_reader);

    *writerp = w;

    return EXPORTS_OK;
}


exports_rc_t
exports_writer_commit(exports_writer_t *w, exports_error_t *error)
{
    int              rc;
    MDB_txn         *txn;
    exports_rc_t     erc;
    exports_env_t   *env;
    exports_error_t  fault;

    env = w->env;

    erc = exports_writer_flush(w, error);

    if (erc == EXPORTS_OK) {
        erc = exports_writer_flush_scopes(w, error);
    }

    if (erc != EXPORTS_OK) {
        exports_writer_abort(w);
        return erc;
    }

    /* whatever mdb_txn_commit() returns, the handle is gone */

    txn = w->txn;
    w->txn = NULL;
    exports_writer_abort(w);

    rc = mdb_txn_commit(txn);
    exports_env_step(env);

    if (rc != 0) {
        return exports_mdb_error(error, env, "committing to", rc);
    }

    /* if there is no slot to look at the file by, the next writer will */

    erc = exports_env_fill(env, &fault);

    return erc == EXPORTS_OK || erc == EXPORTS_BUSY
               ? EXPORTS_OK
               : exports_error(error, EXPORTS_COMMITTED, "committed, but %s",
                               fault.text);
}


void
exports_writer_abort(exports_writer_t *w)
{
    tdestroy(w->scopes, free);
    free(w->met);
    exports_writer_forget(w);
    exports_writer_uncheck(w);

    if (w->reader.txn != NULL) {
        exports_reader_return(&w->reader);
    }

    if (w->txn != NULL) {
        mdb_txn_abort(w->txn);
    }

    free(w);
}


exports_reader_t *
exports_writer_reader(exports_writer_t *w)
{
    return &w->reader;
}


exports_rc_t
exports_writer_set_revision(exports_writer_t *w, exports_kind_t kind,
    const char *scope, size_t len, uint64_t revision, exports_error_t *error)
{
    uint64_t              stored;
    exports_rc_t          rc;
    exports_met_scope_t  *met;

    rc = exports_writer_check_name(kind, scope, len, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (revision > INT64_MAX) {
        return exports_error(error, EXPORTS_INVALID,
                             "revision %llu: greater than %lld",
                             (unsigned long long) revision,
                             (long long) INT64_MAX);
    }

    rc = exports_writer_find_scope(w, kind, scope, len, &met, error);

    if (rc != EXPORTS_OK && rc != EXPORTS_NOT_FOUND) {
        return rc;
    }

    stored = rc == EXPORTS_OK ? met->stored : 0;

    /* only the stored one counts: one that was given before may be lowered */

    if (revision <= stored) {
        return exports_error(error, EXPORTS_CONFLICT,
                             "revision %llu of %s \"%.*s\" is not greater "
                             "than %llu", (unsigned long long) revision,
                             exports_kind_name(kind), (int) len, scope,
                             (unsigned long long) stored);
    }

    if (rc == EXPORTS_NOT_FOUND) {
        rc = exports_writer_make_scope(w, kind, scope, len, &met, error);

        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    met->scope.revision = revision;
    met->changed = 1;
    met->given = 1;

    return EXPORTS_OK;
}


exports_rc_t
exports_writer_touch(exports_writer_t *w, exports_kind_t kind,
    const char *scope, size_t len, exports_error_t *error)
{
    exports_rc_t          rc;
    exports_met_scope_t  *met;

    rc = touch(w, kind, scope, len, &met, error);

    if (rc == EXPORTS_OK) {
        met->recount = 1;
    }

    return rc;
}


exports_rc_t
exports_writer_set_counts(exports_writer_t *w, exports_kind_t kind,
    const char *scope, size_t len, const uint64_t *counts,
    exports_error_t *error)
{
    exports_rc_t          rc;
    exports_met_scope_t  *met;

    rc = touch(w, kind, scope, len, &met, error);

    if (rc == EXPORTS_OK) {
        met->recount = 0;
        memcpy(met->scope.counts, counts, sizeof(met->scope.counts));
    }

    return rc;
}


static exports_rc_t
touch(exports_writer_t *w, exports_kind_t kind, const char *scope, size_t len,
    exports_met_scope_t **met, exports_error_t *error)
{
    exports_rc_t  rc;

    rc = exports_writer_check_name(kind, scope, len, error);

    if (rc == EXPORTS_OK) {
        rc = exports_writer_find_scope(w, kind, scope, len, met, error);
    }

    if (rc == EXPORTS_OK) {
        (*met)->changed = 1;
    }

    return rc;
}


exports_rc_t
exports_writer_checkpoint(exports_writer_t *w, const char *name,
    const void *value, size_t len, exports_error_t *error)
{
    char    key[sizeof(EXPORTS_META_CHECKPOINT)
                + EXPORTS_CHECKPOINT_NAME_MAX];
    size_t  i, n;

    n = strlen(name);

    for (i = 0; i < n && name[i] > 0x20 && name[i] < 0x7f; i++) {
        /* void */
    }

    if (n == 0 || n > EXPORTS_CHECKPOINT_NAME_MAX || i < n
        || len > EXPORTS_CHECKPOINT_MAX)
    {
        return exports_error(error, EXPORTS_INVALID,
                             "checkpoint: the name or value is too long, or "
                             "the name not printable ASCII");
    }

    (void) snprintf(key, sizeof(key), EXPORTS_META_CHECKPOINT "%s", name);

    return exports_writer_put_meta(w, key, value, len, error);
}


exports_rc_t
exports_writer_put_meta(exports_writer_t *w, const char *name,
    const void *value, size_t len, exports_error_t *error)
{
    exports_rc_t  rc;

    rc = exports_writer_check(w, DB_META, name, strlen(name), 0, error);

    return rc == EXPORTS_OK ? exports_meta_put(w->txn, w->env, name, value,
                                               len, error)
                            : rc;
}


exports_rc_t
exports_writer_store(exports_writer_t *w, exports_db_t db, const void *key,
    size_t key_len, const void *value, size_t len, exports_error_t *error)
{
    int           rc;
    MDB_val       k, v;
    exports_rc_t  erc;

    erc = exports_writer_check(w, db, key, key_len, 0, error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    k = exports_mdb_val(key, key_len);
    v = exports_mdb_val(value, len);

    rc = mdb_put(w->txn, w->env->dbi[db], &k, &v, 0);
    exports_env_step(w->env);

    return rc == 0 ? EXPORTS_OK
                   : exports_mdb_error(error, w->env, "writing", rc);
}


exports_rc_t
exports_writer_del(exports_writer_t *w, exports_db_t db, const void *key,
    size_t key_len, const void *value, size_t len, exports_error_t *error)
{
    int           rc;
    MDB_val       k, v;
    exports_rc_t  erc;

    erc = exports_writer_check(w, db, key, key_len, 1, error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    k = exports_mdb_val(key, key_len);
    v = exports_mdb_val(value, len);

    rc = mdb_del(w->txn, w->env->dbi[db], &k, value != NULL ? &v : NULL);
    exports_env_step(w->env);

    return (rc == 0 || rc == MDB_NOTFOUND)
               ? EXPORTS_OK
               : exports_mdb_error(error, w->env, "writing", rc);
}


/*
 * Checks, under the write lock, that the open files are those that others would
 * open now, and that the lock file counts the commits of this data file.  This
 * is not so after one of the two was renamed over, copied back or deleted; to
 * write then would destroy what others have written.
 */

static exports_rc_t
check_files(exports_writer_t *w, exports_error_t *error)
{
    MDB_envinfo          info;
    exports_rc_t         rc;
    exports_identity_t   identity;

    rc = exports_identity(&identity, w->env->path, error);

    if (rc != EXPORTS_OK && rc != EXPORTS_MISSING) {
        return rc;
    }

    (void) mdb_env_info(w->env->mdb, &info);

    if (rc == EXPORTS_MISSING
        || !exports_identity_equal(&identity, &w->env->identity)
        || mdb_txn_id(w->txn) != info.me_last_txnid + 1)
    {
        return exports_error(error, EXPORTS_STALE,
                             "a file of \"%s\" was replaced while in use",
                             w->env->path);
    }

    return EXPORTS_OK;
}


static exports_rc_t
flush_for_reader(exports_writer_t *w, exports_db_t db)
{
    exports_rc_t  rc;

    rc = exports_writer_flush(w, NULL);

    return rc == EXPORTS_OK && db == DB_SCOPES
               ? exports_writer_flush_scopes(w, NULL) : rc;
}
