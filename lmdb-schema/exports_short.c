
/*
 * Data files that are shorter than their last page.  A sound one may be: LMDB
 * does not write pages that one transaction has allocated at the end of the
 * file and freed again.
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "exports_private.h"


/* other processes may commit while the last commit is looked at: try again */
#define ATTEMPTS        64


static exports_rc_t probe_length(exports_env_t *env, int fd, uint64_t *have,
    uint64_t *need, exports_error_t *error);
static int begin_reading(exports_env_t *env, MDB_txn **txn);
static exports_rc_t extend(exports_env_t *env, int fd, uint64_t have,
    uint64_t need, exports_error_t *error);


exports_rc_t
exports_env_fill(exports_env_t *env, exports_error_t *error)
{
    int           fd;
    uint64_t      have, need;
    MDB_stat      st;
    MDB_envinfo   info;
    struct stat   sb;
    exports_rc_t  rc;

    (void) mdb_env_info(env->mdb, &info);
    (void) mdb_env_stat(env->mdb, &st);

    if (mdb_env_get_fd(env->mdb, &fd) != 0 || fstat(fd, &sb) == -1) {
        return exports_error(error, EXPORTS_FAILED, "\"%s\": %s", env->path,
                             strerror(errno));
    }

    if ((uint64_t) sb.st_size / st.ms_psize > info.me_last_pgno) {
        return EXPORTS_OK;
    }

    rc = probe_length(env, fd, &have, &need, error);

    if (rc != EXPORTS_OK || have >= need
        || (env->flags & EXPORTS_ENV_WRITE) == 0)
    {
        return rc;
    }

    return extend(env, fd, have, need, error);
}


/* others may write meanwhile: the read transaction pins what is read here */

static exports_rc_t
probe_length(exports_env_t *env, int fd, uint64_t *have, uint64_t *need,
    exports_error_t *error)
{
    int            rc, err, attempt;
    MDB_txn       *txn;
    exports_rc_t   erc;

    err = 0;
    erc = EXPORTS_STALE;
    *have = *need = 0;

    for (attempt = 0; attempt < ATTEMPTS && erc == EXPORTS_STALE;
         attempt++)
    {
        rc = begin_reading(env, &txn);

        if (rc == MDB_MAP_RESIZED) {

            /* by the commit of another process, which looks after the file */

            return EXPORTS_OK;
        }

        if (rc != 0) {
            return exports_mdb_error(error, env, "reading", rc);
        }

        erc = exports_probe_short(fd, mdb_txn_id(txn), have, need);
        err = errno;

        mdb_txn_abort(txn);
    }

    if (erc == EXPORTS_NOMEM || erc == EXPORTS_FAILED) {
        return exports_error(error, erc, "\"%s/" EXPORTS_DATA_FILE "\" cannot "
                             "be examined: %s", env->path, strerror(err));
    }

    return erc == EXPORTS_OK
               ? erc
               : exports_error(error, EXPORTS_CORRUPT,
                               "\"%s/" EXPORTS_DATA_FILE "\" is shorter than "
                               "its meta pages say", env->path);
}


static int
begin_reading(exports_env_t *env, MDB_txn **txn)
{
    int  rc;

    rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, txn);

    if (rc == MDB_READERS_FULL && exports_env_reap(env) > 0) {
        rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, txn);
    }

    return rc;
}


/*
 * Another process may just have extended the file, and written there.  So never
 * by ftruncate(), nor by posix_fallocate(), which writes zeroes if the file
 * system has nothing better.  If the file cannot be extended, readers go by the
 * free list.
 */

static exports_rc_t
extend(exports_env_t *env, int fd, uint64_t have, uint64_t need,
    exports_error_t *error)
{
    int  rc;

    rc = exports_files_allocate(fd, 0, (off_t) have, (off_t) (need - have));

    return rc == 0 ? EXPORTS_OK
                   : exports_error(error, EXPORTS_FAILED,
                                   "\"%s/" EXPORTS_DATA_FILE "\" cannot be "
                                   "extended: %s", env->path, strerror(rc));
}
