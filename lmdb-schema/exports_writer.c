
#define _GNU_SOURCE             /* tdestroy(), twalk_r() */

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_time.h"
#include "exports_list.h"
#include "exports_writer_private.h"


static exports_rc_t touch(exports_writer_t *w, exports_kind_t kind,
    const char *scope, size_t len, exports_met_scope_t **met,
    exports_error_t *error);
static exports_rc_t put_meta(exports_writer_t *w, const char *name,
    const void *value, size_t len, exports_error_t *error);
static exports_rc_t check_files(exports_writer_t *w, exports_error_t *error);
static exports_rc_t flush_for_reader(exports_writer_t *w, exports_db_t db);
static exports_rc_t flush_scopes(exports_writer_t *w);
static void flush_scope(const void *node, VISIT which, void *data);
static exports_rc_t recount_scope(exports_writer_t *w, exports_scope_t *scope);
static int compare_scopes(const void *a, const void *b);
static exports_rc_t keep_scope(exports_writer_t *w,
    const exports_met_scope_t *found, exports_met_scope_t **met,
    exports_error_t *error);
static exports_rc_t check_unused(exports_writer_t *w, uint64_t id,
    exports_error_t *error);


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

    if (erc != EXPORTS_OK) {
        exports_writer_abort(w);
        return erc;
    }

    erc = flush_scopes(w);

    if (erc != EXPORTS_OK) {
        exports_writer_abort(w);
        return exports_error(error, erc, "writing \"%s\": %s", env->path,
                             exports_strerror(erc));
    }

    /* whatever a commit returns, its handle is gone */

    txn = w->txn;
    w->txn = NULL;
    exports_writer_abort(w);

    rc = mdb_txn_commit(txn);
    exports_env_step(env);

    if (rc != 0) {
        return exports_mdb_error(error, env, "committing to", rc);
    }

    /* without a slot for a look at the file the next writer sees to it */

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

    if (!exports_scope_name_valid(kind, scope, len)) {
        return exports_error(error, EXPORTS_INVALID, "%s: not a valid name",
                             exports_kind_name(kind));
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

    /* not than one given before: what was given may be taken back */

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

    if (!exports_scope_name_valid(kind, scope, len)) {
        (void) exports_error(error, EXPORTS_INVALID, "%s: not a valid name",
                             exports_kind_name(kind));
        return EXPORTS_INVALID;
    }

    rc = exports_writer_find_scope(w, kind, scope, len, met, error);

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

    return put_meta(w, key, value, len, error);
}


static exports_rc_t
put_meta(exports_writer_t *w, const char *name, const void *value, size_t len,
    exports_error_t *error)
{
    exports_rc_t  rc;

    rc = exports_writer_check(w, DB_META, name, strlen(name), error);

    return rc == EXPORTS_OK ? exports_meta_put(w->txn, w->env, name, value,
                                               len, error)
                            : rc;
}


exports_rc_t
exports_writer_find_scope(exports_writer_t *w, exports_kind_t kind,
    const char *name, size_t len, exports_met_scope_t **met,
    exports_error_t *error)
{
    void                 *node;
    MDB_val               v;
    exports_rc_t          rc;
    exports_met_scope_t   wanted;

    wanted.key_len = exports_scope_key(wanted.key, kind, name, len);

    node = tfind(&wanted, &w->scopes, compare_scopes);

    if (node != NULL) {
        *met = *(exports_met_scope_t **) node;
        return EXPORTS_OK;
    }

    rc = exports_writer_check(w, DB_SCOPES, wanted.key, wanted.key_len, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    /* by the reader all that is held back would be stored first */

    rc = exports_mdb_get(w->txn, w->env->dbi[DB_SCOPES], wanted.key,
                         wanted.key_len, &v);

    if (rc == EXPORTS_OK) {
        rc = exports_scope_decode(&wanted.scope, wanted.key, wanted.key_len,
                                  v.mv_data, v.mv_size);
    }

    if (rc != EXPORTS_OK) {
        return exports_error(error, rc, "%s \"%.*s\": %s",
                             exports_kind_name(kind), (int) len, name,
                             exports_strerror(rc));
    }

    wanted.kind = kind;
    wanted.stored = wanted.scope.revision;
    wanted.changed = 0;
    wanted.given = 0;
    wanted.recount = 0;

    return keep_scope(w, &wanted, met, error);
}


exports_rc_t
exports_writer_make_scope(exports_writer_t *w, exports_kind_t kind,
    const char *name, size_t len, exports_met_scope_t **met,
    exports_error_t *error)
{
    uint8_t              next[8];
    exports_rc_t         rc;
    exports_met_scope_t  made;

    memset(&made, 0, sizeof(exports_met_scope_t));

    if (exports_meta_get64(w->txn, w->env, EXPORTS_META_NEXT_SCOPE,
                           &made.scope.id)
        != EXPORTS_OK)
    {
        return exports_error(error, EXPORTS_CORRUPT,
                             "\"%s\" is damaged: the next scope ID cannot be "
                             "read", w->env->path);
    }

    made.key_len = exports_scope_key(made.key, kind, name, len);
    made.kind = kind;
    made.changed = 1;

    rc = check_unused(w, made.scope.id, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    exports_put64(next, made.scope.id + 1);

    rc = put_meta(w, EXPORTS_META_NEXT_SCOPE, next, 8, error);

    return rc == EXPORTS_OK ? keep_scope(w, &made, met, error) : rc;
}


/* whoever is new must not come by the manifests of a scope that was lost */

static exports_rc_t
check_unused(exports_writer_t *w, uint64_t id, exports_error_t *error)
{
    uint64_t      last;
    exports_rc_t  rc;

    rc = exports_mdb_last_scope(w->txn, w->env, &last);

    if (rc != EXPORTS_OK) {
        return exports_error(error, rc, "reading \"%s\": %s", w->env->path,
                             exports_strerror(rc));
    }

    return last < id
               ? EXPORTS_OK
               : exports_error(error, EXPORTS_CORRUPT,
                               "\"%s\" is damaged: there are manifests of "
                               "scopes whose IDs were never given out",
                               w->env->path);
}


exports_rc_t
exports_writer_store(exports_writer_t *w, exports_db_t db, const void *key,
    size_t key_len, const void *value, size_t len, exports_error_t *error)
{
    int           rc;
    MDB_val       k, v;
    exports_rc_t  erc;

    erc = exports_writer_check(w, db, key, key_len, error);
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


/* what is not there need not be deleted */

exports_rc_t
exports_writer_del(exports_writer_t *w, exports_db_t db, const void *key,
    size_t key_len, const void *value, size_t len, exports_error_t *error)
{
    int           rc;
    MDB_val       k, v;
    exports_rc_t  erc;

    erc = exports_writer_check(w, db, key, key_len, error);
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
 * Under the write lock: that what was opened is what others open now, and
 * that the lock file counts the commits of this data file.  Both fail after
 * one of the two was renamed over, copied back or deleted; to write then would
 * destroy what others have written.
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

    return rc == EXPORTS_OK && db == DB_SCOPES ? flush_scopes(w) : rc;
}


/* may be done again: what is stored depends on what was there at first */

static exports_rc_t
flush_scopes(exports_writer_t *w)
{
    w->flushed = EXPORTS_OK;

    twalk_r(w->scopes, flush_scope, w);

    return w->flushed;
}


static void
flush_scope(const void *node, VISIT which, void *data)
{
    uint8_t               value[EXPORTS_SCOPE_VALUE_LEN];
    exports_scope_t      *scope;
    exports_writer_t     *w;
    exports_met_scope_t  *met;

    w = data;
    met = *(exports_met_scope_t *const *) node;

    /* inner nodes are visited three times; the order of keys is kept */

    if ((which != postorder && which != leaf) || !met->changed
        || w->flushed != EXPORTS_OK)
    {
        return;
    }

    scope = &met->scope;

    if (!met->given) {
        scope->revision = met->stored + 1 > w->now ? met->stored + 1 : w->now;
    }

    if (met->recount) {
        w->flushed = recount_scope(w, scope);

        if (w->flushed != EXPORTS_OK) {
            return;
        }
    }

    exports_scope_encode(value, scope, met->key, met->key_len);

    w->flushed = exports_writer_store(w, DB_SCOPES, met->key, met->key_len,
                                      value, EXPORTS_SCOPE_VALUE_LEN, NULL);
}


/* the lists have been flushed */

static exports_rc_t
recount_scope(exports_writer_t *w, exports_scope_t *scope)
{
    exports_rc_t      rc;
    exports_list_t    list;
    exports_facet_t   key;
    exports_facets_t  values;

    for (rc = EXPORTS_OK, values.status = 1;
         values.status <= EXPORTS_STATUSES && rc == EXPORTS_OK;
         values.status++)
    {
        exports_facet_key(&key, scope->id, EXPORTS_FACET_STATUS, &values);

        rc = exports_lists_open(&list, &w->reader, &key, 1);

        if (rc == EXPORTS_OK) {
            scope->counts[values.status - 1] = list.count;
        }

        exports_reader_close_cursors(&w->reader);
    }

    return rc;
}


static int
compare_scopes(const void *a, const void *b)
{
    const exports_met_scope_t  *x = a, *y = b;

    return exports_key_order(x->key, x->key_len, y->key, y->key_len);
}


static exports_rc_t
keep_scope(exports_writer_t *w, const exports_met_scope_t *found,
    exports_met_scope_t **met, exports_error_t *error)
{
    exports_met_scope_t  *kept;

    kept = malloc(sizeof(exports_met_scope_t));

    if (kept == NULL) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    *kept = *found;

    if (tsearch(kept, &w->scopes, compare_scopes) == NULL) {
        free(kept);
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    *met = kept;

    return EXPORTS_OK;
}
