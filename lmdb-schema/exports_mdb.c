
/* LMDB's codes, and small things that several sources do with LMDB */

#include <errno.h>

#include "exports_private.h"


exports_rc_t
exports_rc_of_mdb(int mdb)
{
    switch (mdb) {

    case MDB_SUCCESS:
        return EXPORTS_OK;

    case MDB_NOTFOUND:
        return EXPORTS_NOT_FOUND;

    case MDB_KEYEXIST:
        return EXPORTS_CONFLICT;

    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
    case MDB_BAD_VALSIZE:
    case MDB_BAD_TXN:           /* one of these, or no space, came before */
        return EXPORTS_CORRUPT;

    case MDB_VERSION_MISMATCH:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
        return EXPORTS_FORMAT;

    case MDB_READERS_FULL:
        return EXPORTS_BUSY;

    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return EXPORTS_FULL;

    case MDB_PANIC:
    case MDB_MAP_RESIZED:
    case MDB_BAD_RSLOT:
    case MDB_BAD_DBI:
    case EINVAL:
    case EAGAIN:
        return EXPORTS_STALE;

    case ENOMEM:
        return EXPORTS_NOMEM;

    default:
        return EXPORTS_FAILED;
    }
}


exports_rc_t
exports_mdb_error(exports_error_t *error, const exports_env_t *env,
    const char *what, int mdb)
{
    return exports_error(error, exports_rc_of_mdb(mdb), "%s \"%s\": %s", what,
                         env->path,
                         mdb == MDB_MAP_FULL
                             ? "the map is full: give a larger --map-size"
                         : mdb == EIO || mdb == ENOSPC
                             ? "input/output error (is the disk full?)"
                         : mdb == MDB_BAD_TXN
                             ? "the transaction has failed before, as where "
                               "a page of the store is damaged"
                         : mdb_strerror(mdb));
}


int
exports_mdb_remap(exports_env_t *env)
{
    if (atomic_load_explicit(&env->readers, memory_order_acquire) > 0) {
        return MDB_MAP_RESIZED;
    }

    env->maps++;

    return mdb_env_set_mapsize(env->mdb, 0);
}


void
exports_mdb_close(MDB_cursor **cursor)
{
    if (*cursor != NULL) {
        mdb_cursor_close(*cursor);
        *cursor = NULL;
    }
}


exports_rc_t
exports_mdb_get(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len,
    MDB_val *value)
{
    MDB_val  k;

    k = exports_mdb_val(key, key_len);

    return exports_rc_of_mdb(mdb_get(txn, dbi, &k, value));
}


exports_rc_t
exports_mdb_last_scope(MDB_txn *txn, const exports_env_t *env, uint64_t *id)
{
    int          rc;
    MDB_val      k, v;
    MDB_cursor  *cursor;

    *id = 0;

    rc = mdb_cursor_open(txn, env->dbi[DB_MANIFESTS], &cursor);
    if (rc != 0) {
        return exports_rc_of_mdb(rc);
    }

    rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    mdb_cursor_close(cursor);

    if (rc != 0) {
        return rc == MDB_NOTFOUND ? EXPORTS_OK : exports_rc_of_mdb(rc);
    }

    if (k.mv_size != EXPORTS_MANIFEST_KEY_LEN) {
        return EXPORTS_CORRUPT;
    }

    *id = exports_get64(k.mv_data);

    return EXPORTS_OK;
}


int
exports_mdb_before(const MDB_val *key, const void *from, size_t from_len)
{
    return exports_key_order(key->mv_data, key->mv_size, from, from_len) < 0;
}
