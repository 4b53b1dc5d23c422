
/*
 * exports_private.h: what the sources of the library share; not installed.
 * Runs, lists, trees, the writer and verify have headers of their own.
 *
 * Only exports_env.c, exports_meta.c, exports_mdb.c, exports_short.c,
 * exports_read.c, exports_walk.c, exports_tree_open.c, exports_run.c,
 * exports_page.c, exports_verify_manifests.c, exports_verify_ranks.c and the
 * writer call LMDB; the other sources read the map, or what these hand out.
 */

#ifndef EXPORTS_PRIVATE_H
#define EXPORTS_PRIVATE_H

#include <stdatomic.h>
#include <stdlib.h>

#include <lmdb.h>

#include "exports_codec.h"
#include "exports_env.h"
#include "exports_member.h"
#include "exports_read.h"
#include "exports_run.h"
#include "exports_tree.h"


typedef struct exports_writer_s  exports_writer_t;


struct exports_env_s {
    MDB_env             *mdb;
    MDB_dbi              dbi[EXPORTS_DB_COUNT];
    MDB_dbi              names;         /* the database of their names */
    unsigned             maps;          /* counts up when the map moves */
    exports_identity_t   identity;
    unsigned             flags;
    int                  created;       /* by this open */
    uint8_t              lineage[EXPORTS_LINEAGE_LEN];
    void               (*on_assert)(const char *message);
    _Atomic uint64_t     steps;         /* see exports_env_steps() */
    atomic_uint          readers;       /* between renew and reset */
    exports_reader_t    *committed;     /* for the writer that has the lock: of
                                           the snapshot that it began with */
    char                *path;
};


static inline void
exports_env_step(exports_env_t *env)
{
    (void) atomic_fetch_add_explicit(&env->steps, 1, memory_order_relaxed);
}


/* Doubles an array, whose size in elements is a power of two.  Returns 0, or
   -1: no memory, and the array is as it was. */

static inline int
exports_grow(void **array, size_t *size, size_t element)
{
    void    *larger;
    size_t   n;

    n = *size == 0 ? 32 : 2 * *size;

    larger = realloc(*array, n * element);
    if (larger == NULL) {
        return -1;
    }

    *array = larger;
    *size = n;

    return 0;
}


/* compares keys like memcmp(); an empty one may be NULL */

static inline int
exports_key_order(const void *a, size_t a_len, const void *b, size_t b_len)
{
    int     order;
    size_t  len;

    len = a_len < b_len ? a_len : b_len;
    order = len != 0 ? memcmp(a, b, len) : 0;

    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}


struct exports_reader_s {
    exports_env_t       *env;
    MDB_txn             *txn;
    MDB_cursor          *manifests;
    exports_source_t     ranks;
    MDB_cursor          *facets[EXPORTS_LISTS_MAX];
    exports_tree_t       trees[EXPORTS_DB_COUNT];
    exports_hashes_t     hashes;
    unsigned             active;        /* 1: between renew and reset */
    exports_writer_t    *borrowed;      /* the transaction is this writer's */

    /* stores the changes that the writer holds back, before they are read */
    exports_rc_t       (*settle)(exports_writer_t *writer, exports_db_t db);
};


/* the entries that a walk of a whole database has met */
typedef struct {
    uint64_t             entries;       /* visited */
    uint64_t             unordered;     /* not greater than the one before */
    uint64_t             stored;        /* as many as the database says */
} exports_walked_t;

/* Walks a database: exports_walk.c.  EXPORTS_CORRUPT: LMDB could not go on, or
   there was no end. */
exports_rc_t exports_walk(exports_reader_t *reader, exports_db_t db,
    exports_visit_pt visit, void *data, exports_walked_t *walked);

/* whether the database is complete and in order */

static inline int
exports_walked_whole(const exports_walked_t *walked)
{
    return walked->unordered == 0 && walked->entries == walked->stored;
}


/* The one place that translates LMDB's codes to ours: exports_mdb.c. */
exports_rc_t exports_rc_of_mdb(int mdb);

/* The same with a text: what was being done, the path, and LMDB's words. */
exports_rc_t exports_mdb_error(exports_error_t *error,
    const exports_env_t *env, const char *what, int mdb);

/* Make what is missing, before LMDB opens it, as far as the options ask for it:
   exports_files.c. */
exports_rc_t exports_files_mkdir(const exports_env_options_t *options,
    exports_error_t *error);
exports_rc_t exports_files_create(const exports_env_options_t *options,
    const char *data_file, const char *lock_file, exports_error_t *error);

/* 1: with EXPORTS_ENV_CREATE, and the data file is still empty */
int exports_files_new(const char *data_file,
    const exports_env_options_t *options);

/* fallocate().  Returns 0, also if the file system does not support it, or
   errno. */
int exports_files_allocate(int fd, int mode, off_t offset, off_t len);

/* Checks permissions without opening the file: closing the lock file would drop
   the process's locks. */
exports_rc_t exports_files_access(const char *file, int mode,
    exports_error_t *error);

/* For an errno of stat() or realpath(), with a text: EXPORTS_MISSING,
   EXPORTS_DENIED, EXPORTS_NOMEM or EXPORTS_FAILED. */
exports_rc_t exports_files_unreachable(const char *path,
    exports_error_t *error);

/* EXPORTS_DENIED, with a text; access: what the file must be to the user, such
   as "readable" */
exports_rc_t exports_files_denied(exports_error_t *error, const char *path,
    const char *access);

/*
 * Checks the file before LMDB opens it: exports_probe.c.
 *
 * EXPORTS_MISSING  there is no file, or it is empty
 * EXPORTS_CORRUPT  it is sound, but shorter than its last page
 * EXPORTS_FORMAT   anything else is wrong with its contents
 * EXPORTS_FAILED   it cannot be opened
 */
exports_rc_t exports_probe(const char *data_file, exports_error_t *error);

/*
 * Whether the file may be shorter than the commit of that number says: it may,
 * if all pages that it lacks are in the free list.  *have, *need: lengths in
 * bytes.  exports_freelist.c reads the list without LMDB, which would die of
 * one that is cut off.
 *
 * EXPORTS_CORRUPT  a page that is not free is missing
 * EXPORTS_STALE    there are newer commits
 * EXPORTS_FAILED   the file cannot be examined: errno; EXPORTS_NOMEM, too
 */
exports_rc_t exports_probe_short(int fd, uint64_t txnid, uint64_t *have,
    uint64_t *need);

/*
 * For a file that is shorter than its last page: exports_short.c.  The free
 * list tells a sound one from a truncated one.  A writer, which calls this at
 * open and after each commit, also extends the file, where the file system can,
 * for others may look at its length alone.
 *
 * EXPORTS_CORRUPT  it is truncated
 * EXPORTS_FAILED   it cannot be examined, or extended; EXPORTS_NOMEM; or what
 *                  LMDB says to a read transaction
 */
exports_rc_t exports_env_fill(exports_env_t *env, exports_error_t *error);

/* a value for LMDB, which does not change it: hence the cast */

static inline MDB_val
exports_mdb_val(const void *data, size_t len)
{
    MDB_val  value = { len, (void *) data };

    return value;
}


/* Closes a cursor, unless it is NULL, and sets it to NULL. */
void exports_mdb_close(MDB_cursor **cursor);

/* Gives the map the size that another process has given it.  That may move it:
   MDB_MAP_RESIZED, while a reader of this process is active.  Returns LMDB's
   codes. */
int exports_mdb_remap(exports_env_t *env);

/* mdb_get() with codes of ours */
exports_rc_t exports_mdb_get(MDB_txn *txn, MDB_dbi dbi, const void *key,
    size_t key_len, MDB_val *value);

/*
 * The greatest scope ID that has manifests; 0: there are none.
 * EXPORTS_CORRUPT: the last key is not a manifest's.
 */
exports_rc_t exports_mdb_last_scope(MDB_txn *txn, const exports_env_t *env,
    uint64_t *id);

/* Whether a key is less than another.  For keys that LMDB finds from some key
   on: one that is less is a sign of damaged pages, where a search that went on
   might not end. */
int exports_mdb_before(const MDB_val *key, const void *from, size_t from_len);

/* Values of meta, by name; their checksums are verified, and not handed out. */
exports_rc_t exports_meta_get(MDB_txn *txn, const exports_env_t *env,
    const char *name, const uint8_t **value, size_t *len);
exports_rc_t exports_meta_get64(MDB_txn *txn, const exports_env_t *env,
    const char *name, uint64_t *number);
exports_rc_t exports_meta_put(MDB_txn *txn, const exports_env_t *env,
    const char *name, const uint8_t *value, size_t len,
    exports_error_t *error);

/* Stores the values of a new store and sets env->created, unless they are there
   already.  lineage: NULL, a random one */
exports_rc_t exports_meta_create(exports_env_t *env, MDB_txn *txn,
    const uint8_t *lineage, exports_error_t *error);

/* Checks that the store is of our format; the second one also that it has the
   lineage of the options, which it stores to env. */
exports_rc_t exports_meta_check_format(exports_env_t *env, MDB_txn *txn,
    exports_error_t *error);
exports_rc_t exports_meta_check(exports_env_t *env, MDB_txn *txn,
    const exports_env_options_t *options, exports_error_t *error);

/* Makes a reader of the transaction of a writer, who began it and will end it;
   and gives it back. */
void exports_reader_borrow(exports_reader_t *reader, exports_env_t *env,
    MDB_txn *txn, exports_writer_t *writer,
    exports_rc_t (*settle)(exports_writer_t *writer, exports_db_t db));
void exports_reader_return(exports_reader_t *reader);

/* Opens a cursor of the reader, or renews it; to be called before its first use
   in each snapshot.  Changes that a writer holds back are stored first. */
exports_rc_t exports_reader_cursor(exports_reader_t *reader, exports_db_t db,
    MDB_cursor **cursor);

/* The tree of a database in the reader's snapshot.  NULL: only LMDB can read
   it. */
exports_rc_t exports_reader_tree(exports_reader_t *reader, exports_db_t db,
    exports_tree_t **tree);

/* The tree, or the cursor if only LMDB can read it; to be called before each
   series of keys. */
exports_rc_t exports_reader_source(exports_reader_t *reader, exports_db_t db,
    MDB_cursor **cursor, exports_source_t *source);

/* For readers of a writer's transaction, where cursors cannot be renewed, and
   LMDB adjusts each open one at every change: to be called after each use. */
void exports_reader_close_cursors(exports_reader_t *reader);


#endif /* EXPORTS_PRIVATE_H */
