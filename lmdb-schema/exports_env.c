
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exports_directory.h"
#include "exports_private.h"


/* mdb_env_open() may be interrupted, by a signal or by another open, or find
   locks that another process has destroyed */
#define OPEN_ATTEMPTS   64

/* between two attempts, at most, times the number of the attempt */
#define OPEN_PAUSE_NS   50000

#define FILE_NAME_SIZE  4096


static exports_rc_t check_flags(const exports_env_options_t *options,
    exports_error_t *error);
static exports_rc_t check_files(exports_env_t *env,
    const exports_env_options_t *options, int *is_short,
    exports_error_t *error);
static exports_rc_t open_mdb(exports_env_t *env,
    const exports_env_options_t *options, exports_error_t *error);
static int try_open(exports_env_t *env, const exports_env_options_t *options);
static int try_locks(MDB_env *mdb);
static void pause_open(unsigned attempt);
static unsigned open_flags(unsigned options);
static exports_rc_t open_store(exports_env_t *env,
    const exports_env_options_t *options, exports_error_t *error);
static exports_rc_t check_locks(exports_env_t *env, exports_error_t *error);
static exports_rc_t check_others(exports_env_t *env, MDB_txn *txn,
    exports_error_t *error);
static exports_rc_t open_databases(exports_env_t *env, MDB_txn *txn,
    int create, exports_error_t *error);
static exports_rc_t no_database(exports_env_t *env, MDB_txn *txn,
    exports_db_t db, exports_error_t *error);
static exports_rc_t stat_snapshot(const exports_env_t *env, MDB_txn *txn,
    exports_env_stat_t *stat);
static exports_rc_t count_free(MDB_txn *txn, uint64_t used, uint64_t *count);
static void assert_failed(MDB_env *mdb, const char *message);


const char *const  exports_db_names[EXPORTS_DB_COUNT] = {
    [DB_META] = EXPORTS_DB_META,
    [DB_SCOPES] = EXPORTS_DB_SCOPES,
    [DB_TOKENS] = EXPORTS_DB_TOKENS,
    [DB_MANIFESTS] = EXPORTS_DB_MANIFESTS,
    [DB_IDS] = EXPORTS_DB_IDS,
    [DB_FACETS] = EXPORTS_DB_FACETS,
    [DB_RANKS] = EXPORTS_DB_RANKS
};


static const unsigned  db_flags[EXPORTS_DB_COUNT] = {
    [DB_FACETS] = MDB_DUPSORT|MDB_DUPFIXED,
    [DB_RANKS] = MDB_DUPSORT|MDB_DUPFIXED
};


exports_rc_t
exports_env_open(exports_env_t **envp, const exports_env_options_t *options,
    exports_error_t *error)
{
    int             is_short;
    char           *path;
    exports_rc_t    rc;
    exports_env_t  *env;

    *envp = NULL;
    path = NULL;

    rc = check_flags(options, error);

    if (rc == EXPORTS_OK) {
        rc = exports_files_mkdir(options, error);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_env_resolve(&path, options->path, error);
    }

    if (rc != EXPORTS_OK) {
        return rc;
    }

    env = calloc(1, sizeof(exports_env_t));

    if (env == NULL) {
        free(path);
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    env->path = path;
    env->flags = options->flags;
    env->maps = 1;
    env->on_assert = options->on_assert;
    *envp = env;

    rc = check_files(env, options, &is_short, error);

    if (rc == EXPORTS_OK) {
        rc = open_mdb(env, options, error);
    }

    if (rc == EXPORTS_OK && is_short) {
        rc = exports_env_fill(env, error);
    }

    if (rc == EXPORTS_OK) {
        rc = open_store(env, options, error);
    }

    if (rc != EXPORTS_OK) {
        *envp = NULL;
        exports_env_close(env);
        return rc;
    }

    return EXPORTS_OK;
}


/* LMDB opens the two files one after the other, and symlinks may be swapped in
   between */

exports_rc_t
exports_env_resolve(char **resolvedp, const char *path, exports_error_t *error)
{
    char  *resolved;

    resolved = realpath(path, NULL);

    if (resolved == NULL) {
        return exports_files_unreachable(path, error);
    }

    if (strlen(resolved) + sizeof("/" EXPORTS_DATA_FILE) > FILE_NAME_SIZE
        || strlen(resolved) + sizeof("/" EXPORTS_LOCK_FILE) > FILE_NAME_SIZE)
    {
        free(resolved);
        return exports_error(error, EXPORTS_FAILED, "\"%s\": path too long",
                             path);
    }

    *resolvedp = resolved;

    return EXPORTS_OK;
}


void
exports_env_close(exports_env_t *env)
{
    if (env->committed != NULL) {
        exports_reader_close(env->committed);
    }

    if (env->mdb != NULL) {
        mdb_env_close(env->mdb);
    }

    free(env->path);
    free(env);
}


const exports_identity_t *
exports_env_identity(const exports_env_t *env)
{
    return &env->identity;
}


const uint8_t *
exports_env_lineage(const exports_env_t *env)
{
    return env->lineage;
}


const char *
exports_env_path(const exports_env_t *env)
{
    return env->path;
}


int
exports_env_created(const exports_env_t *env)
{
    return env->created;
}


unsigned
exports_env_reap(exports_env_t *env)
{
    int  dead;

    if (env->flags & EXPORTS_ENV_IMMUTABLE) {
        return 0;
    }

    dead = 0;
    (void) mdb_reader_check(env->mdb, &dead);

    return (unsigned) dead;
}


/* LMDB syncs the data, but not the names of the files */

exports_rc_t
exports_env_sync(exports_env_t *env, exports_error_t *error)
{
    int   fd;
    char  parent[FILE_NAME_SIZE + 4];

    (void) snprintf(parent, sizeof(parent), "%s/..", env->path);

    (void) mdb_env_get_fd(env->mdb, &fd);

    return fsync(fd) == 0 && exports_directory_sync(env->path, fd) == 0
           && exports_directory_sync(parent, fd) == 0
               ? EXPORTS_OK
               : exports_error(error, EXPORTS_FAILED,
                               "\"%s\" cannot be synced: %s", env->path,
                               strerror(errno));
}


exports_rc_t
exports_env_copy(exports_env_t *env, int fd, exports_error_t *error)
{
    int  rc;

    rc = mdb_env_copyfd2(env->mdb, fd, MDB_CP_COMPACT);

    return rc == 0 ? EXPORTS_OK : exports_mdb_error(error, env, "copying", rc);
}


exports_rc_t
exports_env_stat(exports_env_t *env, exports_env_stat_t *stat,
    exports_error_t *error)
{
    exports_rc_t       rc;
    exports_reader_t  *reader;

    rc = exports_reader_open(&reader, env, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = exports_reader_renew(reader);

    if (rc == EXPORTS_OK) {
        rc = stat_snapshot(env, reader->txn, stat);
    }

    exports_reader_close(reader);

    return rc == EXPORTS_OK
               ? rc
               : exports_error(error, rc, "reading \"%s\": %s", env->path,
                               exports_strerror(rc));
}


uint64_t
exports_env_steps(const exports_env_t *env)
{
    return atomic_load_explicit(&env->steps, memory_order_relaxed);
}


static exports_rc_t
check_flags(const exports_env_options_t *options, exports_error_t *error)
{
    if ((options->flags & EXPORTS_ENV_IMMUTABLE)
        && (options->flags & (EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE)))
    {
        return exports_error(error, EXPORTS_INVALID,
                             "\"%s\": what is immutable cannot be opened to "
                             "write", options->path);
    }

    if ((options->flags & (EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE))
        == EXPORTS_ENV_CREATE)
    {
        return exports_error(error, EXPORTS_INVALID,
                             "\"%s\": what is created has to be opened to "
                             "write", options->path);
    }

    return EXPORTS_OK;
}


/* *is_short: the data file ends before its last page: see exports_short.c */

static exports_rc_t
check_files(exports_env_t *env, const exports_env_options_t *options,
    int *is_short, exports_error_t *error)
{
    char          data_file[FILE_NAME_SIZE], lock_file[FILE_NAME_SIZE];
    exports_rc_t  rc;

    *is_short = 0;

    (void) snprintf(data_file, sizeof(data_file), "%s/" EXPORTS_DATA_FILE,
                    env->path);
    (void) snprintf(lock_file, sizeof(lock_file), "%s/" EXPORTS_LOCK_FILE,
                    env->path);

    rc = exports_files_create(options, data_file, lock_file, error);

    if (rc == EXPORTS_OK) {
        rc = exports_files_access(data_file,
                                  (options->flags & EXPORTS_ENV_WRITE)
                                      ? R_OK|W_OK : R_OK,
                                  error);
    }

    if (rc == EXPORTS_OK && !exports_files_new(data_file, options)) {
        rc = exports_probe(data_file, error);

        if (rc == EXPORTS_CORRUPT) {
            *is_short = 1;
            rc = EXPORTS_OK;
        }
    }

    if (rc == EXPORTS_OK && (options->flags & EXPORTS_ENV_IMMUTABLE) == 0) {
        rc = exports_files_access(lock_file, R_OK|W_OK, error);
    }

    return rc == EXPORTS_OK
               ? exports_identity(&env->identity, env->path, error) : rc;
}


static exports_rc_t
open_mdb(exports_env_t *env, const exports_env_options_t *options,
    exports_error_t *error)
{
    int                  rc;
    unsigned             attempt;
    exports_rc_t         erc;
    exports_identity_t   identity;

    for (attempt = 1; /* void */ ; attempt++) {
        rc = try_open(env, options);

        if ((rc != EINTR && rc != EAGAIN) || attempt == OPEN_ATTEMPTS) {
            break;
        }

        pause_open(attempt);
    }

    if (rc != 0) {
        return exports_mdb_error(error, env, "opening", rc);
    }

    erc = exports_identity(&identity, env->path, error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    if (!exports_identity_equal(&identity, &env->identity)) {
        return exports_error(error, EXPORTS_STALE,
                             "\"%s\" was replaced while being opened",
                             env->path);
    }

    (void) exports_env_reap(env);

    return EXPORTS_OK;
}


static int
try_open(exports_env_t *env, const exports_env_options_t *options)
{
    int  rc;

    rc = mdb_env_create(&env->mdb);
    if (rc != 0) {
        return rc;
    }

    if (env->on_assert != NULL) {
        (void) mdb_env_set_userctx(env->mdb, env);
        (void) mdb_env_set_assert(env->mdb, assert_failed);
    }

    (void) mdb_env_set_maxdbs(env->mdb, EXPORTS_DB_COUNT);
    (void) mdb_env_set_maxreaders(env->mdb, EXPORTS_READERS_MAX);
    (void) mdb_env_set_mapsize(env->mdb, options->map_size != 0
                                         ? options->map_size
                                         : EXPORTS_MAP_SIZE);

    rc = mdb_env_open(env->mdb, env->path, open_flags(options->flags),
                      EXPORTS_LOCK_MODE);

    if (rc == 0) {
        rc = try_locks(env->mdb);
    }

    if (rc != 0) {
        mdb_env_close(env->mdb);
        env->mdb = NULL;
    }

    return rc;
}


/*
 * LMDB 0.9.26 to 0.9.31: the last process to close a store destroys its locks,
 * and one that opens it at that moment gets them destroyed, which it notices
 * when it takes one: EINVAL (ITS#10095).  They are made anew when all that have
 * opened the store since have closed it.  EAGAIN: not yet.
 */

static int
try_locks(MDB_env *mdb)
{
    int       rc;
    MDB_txn  *txn;

    rc = mdb_txn_begin(mdb, NULL, MDB_RDONLY, &txn);

    if (rc == 0) {
        mdb_txn_abort(txn);
    }

    /* any other failure is told by those who need a transaction */

    return rc == EINVAL ? EAGAIN : 0;
}


/* so that processes that wait for each other to close the store do not go on
   in step */

static void
pause_open(unsigned attempt)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    ts.tv_sec = 0;
    ts.tv_nsec = (ts.tv_nsec / 64 ^ getpid()) % (OPEN_PAUSE_NS * attempt);

    (void) nanosleep(&ts, NULL);
}


static unsigned
open_flags(unsigned options)
{
    return MDB_NOTLS
           | ((options & EXPORTS_ENV_WRITE) ? 0 : MDB_RDONLY)
           | ((options & EXPORTS_ENV_IMMUTABLE) ? MDB_NOLOCK : 0)
           | ((options & EXPORTS_ENV_NOMETASYNC) ? MDB_NOMETASYNC : 0)
           | ((options & EXPORTS_ENV_NORDAHEAD) ? MDB_NORDAHEAD : 0);
}


/* checks that what LMDB has opened is a store, or makes it one */

static exports_rc_t
open_store(exports_env_t *env, const exports_env_options_t *options,
    exports_error_t *error)
{
    int            rc, create;
    MDB_txn       *txn;
    exports_rc_t   erc;

    create = (options->flags & EXPORTS_ENV_CREATE) != 0;

    rc = mdb_txn_begin(env->mdb, NULL, create ? 0 : MDB_RDONLY, &txn);
    if (rc != 0) {
        return exports_mdb_error(error, env, "opening", rc);
    }

    erc = check_locks(env, error);

    if (erc == EXPORTS_OK && create) {
        erc = check_others(env, txn, error);
    }

    if (erc == EXPORTS_OK) {
        erc = open_databases(env, txn, create, error);
    }

    if (erc == EXPORTS_OK && create) {
        erc = exports_meta_create(env, txn, options->lineage, error);
    }

    if (erc == EXPORTS_OK) {
        erc = exports_meta_check(env, txn, options, error);
    }

    if (erc != EXPORTS_OK) {
        mdb_txn_abort(txn);
        return erc;
    }

    /* the handles live on only when the transaction commits */

    rc = mdb_txn_commit(txn);

    if (rc != 0) {
        return exports_mdb_error(error, env, "opening", rc);
    }

    return env->created ? exports_env_sync(env, error) : EXPORTS_OK;
}


/* on a read-only file system LMDB opens the store without locks */

static exports_rc_t
check_locks(exports_env_t *env, exports_error_t *error)
{
    MDB_envinfo  info;

    if (env->flags & (EXPORTS_ENV_IMMUTABLE|EXPORTS_ENV_WRITE)) {
        return EXPORTS_OK;
    }

    (void) mdb_env_info(env->mdb, &info);

    if (info.me_numreaders == 0) {
        return exports_error(error, EXPORTS_UNLOCKED,
                             "\"%s\" is on a read-only file system: readers "
                             "would be invisible to a writer elsewhere",
                             env->path);
    }

    return EXPORTS_OK;
}


/* another program's environment must not be made a store */

static exports_rc_t
check_others(exports_env_t *env, MDB_txn *txn, exports_error_t *error)
{
    int       rc;
    MDB_dbi   names;
    MDB_val   k, v;
    MDB_stat  st;

    k = exports_mdb_val(EXPORTS_DB_META, sizeof(EXPORTS_DB_META) - 1);

    rc = mdb_dbi_open(txn, NULL, 0, &names);

    if (rc == 0) {
        rc = mdb_stat(txn, names, &st);
    }

    if (rc == 0 && st.ms_entries > 0) {
        rc = mdb_get(txn, names, &k, &v);
    }

    if (rc == MDB_NOTFOUND) {
        return exports_error(error, EXPORTS_FORMAT,
                             "\"%s\" is not a store of exports, but is not "
                             "empty either", env->path);
    }

    return rc == 0 ? EXPORTS_OK : exports_mdb_error(error, env, "opening", rc);
}


static exports_rc_t
open_databases(exports_env_t *env, MDB_txn *txn, int create,
    exports_error_t *error)
{
    int       i, rc;
    unsigned  flags = 0;

    rc = mdb_dbi_open(txn, NULL, 0, &env->names);
    if (rc != 0) {
        return exports_mdb_error(error, env, "opening", rc);
    }

    for (i = 0; i < EXPORTS_DB_COUNT; i++) {
        rc = mdb_dbi_open(txn, exports_db_names[i],
                          db_flags[i] | (create ? MDB_CREATE : 0),
                          &env->dbi[i]);

        if (rc == MDB_NOTFOUND) {
            return no_database(env, txn, i, error);
        }

        if (rc == 0) {
            rc = mdb_dbi_flags(txn, env->dbi[i], &flags);
        }

        if (rc != 0) {
            return exports_mdb_error(error, env, "opening", rc);
        }

        if (flags != db_flags[i]) {
            return exports_error(error, EXPORTS_FORMAT,
                                 "\"%s\" is not a store of exports: its "
                                 "database \"%s\" is of another kind",
                                 env->path, exports_db_names[i]);
        }
    }

    return EXPORTS_OK;
}


static exports_rc_t
no_database(exports_env_t *env, MDB_txn *txn, exports_db_t db,
    exports_error_t *error)
{
    MDB_stat  st;

    /* a store is made in one transaction, which may not have come yet */

    if (mdb_stat(txn, env->names, &st) == 0 && st.ms_entries == 0) {
        return exports_error(error, EXPORTS_MISSING,
                             "\"%s\" is empty: the store is not there yet",
                             env->path);
    }

    /* a store of another version may have other databases */

    if (db > DB_META
        && exports_meta_check_format(env, txn, error) != EXPORTS_OK)
    {
        return EXPORTS_FORMAT;
    }

    return exports_error(error, EXPORTS_FORMAT,
                         "\"%s\" is not a store of exports: it has no "
                         "database \"%s\"", env->path, exports_db_names[db]);
}


static exports_rc_t
stat_snapshot(const exports_env_t *env, MDB_txn *txn, exports_env_stat_t *stat)
{
    int           i, rc;
    MDB_stat      st;
    MDB_envinfo   info;

    (void) mdb_env_info(env->mdb, &info);
    (void) mdb_env_stat(env->mdb, &st);

    stat->map_size = info.me_mapsize;
    stat->page_size = st.ms_psize;
    stat->pages_used = info.me_last_pgno + 1;
    stat->txnid = mdb_txn_id(txn);
    stat->readers = info.me_numreaders;
    stat->readers_max = info.me_maxreaders;

    for (i = 0; i < EXPORTS_DB_COUNT; i++) {
        rc = mdb_stat(txn, env->dbi[i], &st);

        if (rc != 0) {
            return exports_rc_of_mdb(rc);
        }

        stat->entries[i] = st.ms_entries;
    }

    return count_free(txn, stat->pages_used, &stat->pages_free);
}


/* the free list: for each transaction a count, and so many page numbers */

static exports_rc_t
count_free(MDB_txn *txn, uint64_t used, uint64_t *count)
{
    int          rc;
    size_t       n;
    MDB_val      k, v;
    MDB_cursor  *cursor;

    *count = 0;

    rc = mdb_cursor_open(txn, 0, &cursor);
    if (rc != 0) {
        return exports_rc_of_mdb(rc);
    }

    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {

        if (v.mv_size < sizeof(size_t)) {
            rc = MDB_CORRUPTED;
            break;
        }

        memcpy(&n, v.mv_data, sizeof(size_t));

        if (n > v.mv_size / sizeof(size_t) - 1 || n > used - *count) {
            rc = MDB_CORRUPTED;
            break;
        }

        *count += n;
    }

    mdb_cursor_close(cursor);

    return rc == MDB_NOTFOUND ? EXPORTS_OK : exports_rc_of_mdb(rc);
}


static void
assert_failed(MDB_env *mdb, const char *message)
{
    exports_env_t  *env;

    env = mdb_env_get_userctx(mdb);
    env->on_assert(message);
}
