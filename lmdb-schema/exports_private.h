
/*
 * exports_private.h: what the sources of the library share; not installed.
 * Runs, lists, trees, the writer and verify have headers of their own.
 *
 * Of its sources only exports_env.c, exports_meta.c, exports_mdb.c,
 * exports_short.c, exports_read.c, exports_walk.c, exports_tree*.c,
 * exports_run*.c, exports_page.c, the writer and exports_verify*.c call LMDB.
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
    unsigned             maps;          /* which map; another when it moved */
    exports_identity_t   identity;
    unsigned             flags;
    int                  created;       /* by this open */
    uint8_t              lineage[EXPORTS_LINEAGE_LEN];
    void               (*on_assert)(const char *message);
    _Atomic uint64_t     steps;         /* made by all threads */
    atomic_uint          readers;       /* between renew and reset */
    exports_reader_t    *committed;     /* of what a writer began with: the
                                           writers', under their lock */
    char                *path;
};


static inline void
exports_env_step(exports_env_t *env)
{
    (void) atomic_fetch_add_explicit(&env->steps, 1, memory_order_relaxed);
}


/* Makes an array larger; its size, in elements, is a power of two.  Returns 0;
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


/* the order of keys, as memcmp(); an empty one may be NULL */

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
    unsigned             active;        /* bits: between renew and reset */
    exports_writer_t    *borrowed;      /* the transaction is this writer's */

    /* stores what that writer holds back */
    exports_rc_t       (*settle)(exports_writer_t *writer, exports_db_t db);
};


/* what the walk of a whole database has come by */
typedef struct {
    uint64_t             entries;       /* visited */
    uint64_t             unordered;     /* that do not lie behind the one
                                           before */
    uint64_t             stored;        /* that the database says it has */
} exports_walked_t;

/* EXPORTS_CORRUPT: LMDB could not go on, or there is no end.  exports_walk.c */
exports_rc_t exports_walk(exports_reader_t *reader, exports_db_t db,
    exports_visit_pt visit, void *data, exports_walked_t *walked);

/* as a sound one would be */

static inline int
exports_walked_whole(const exports_walked_t *walked)
{
    return walked->unordered == 0 && walked->entries == walked->stored;
}


/* MDB codes to ours: the one place, exports_mdb.c */
exports_rc_t exports_rc_of_mdb(int mdb);

/* the same, with a text: what was done, LMDB's word, and the path */
exports_rc_t exports_mdb_error(exports_error_t *error,
    const exports_env_t *env, const char *what, int mdb);

/* what is done to the files before LMDB opens them: exports_files.c */
exports_rc_t exports_files_mkdir(const exports_env_options_t *options,
    exports_error_t *error);
exports_rc_t exports_files_create(const exports_env_options_t *options,
    const char *data_file, const char *lock_file, exports_error_t *error);

/* a data file that has just been made */
int exports_files_new(const char *data_file,
    const exports_env_options_t *options);

/* fallocate(): 0, also where the file system does not know how, or errno */
int exports_files_allocate(int fd, int mode, off_t offset, off_t len);

/* Never opens a file: closing the lock file drops the process's locks. */
exports_rc_t exports_files_access(const char *file, int mode,
    exports_error_t *error);

/* EXPORTS_DENIED; access: what the file must be */
exports_rc_t exports_files_denied(exports_error_t *error, const char *path,
    const char *access);

/*
 * The checks before LMDB is let near the file: exports_probe.c.  A file that
 * is sound but shorter than its last page is EXPORTS_CORRUPT, all else that is
 * wrong with its contents EXPORTS_FORMAT.
 */
exports_rc_t exports_probe(const char *data_file, exports_error_t *error);

/*
 * Whether the file may be shorter than the commit of that number says: when
 * all pages that it lacks are in the free list.  have, need: lengths in bytes.
 * exports_freelist.c reads that list by itself, for LMDB would die of one that
 * is cut off.
 *
 * EXPORTS_CORRUPT  pages are missing that are not free
 * EXPORTS_STALE    there are newer commits
 */
exports_rc_t exports_probe_short(int fd, uint64_t txnid, uint64_t *have,
    uint64_t *need);

/*
 * A sound file may be shorter than its last page: exports_short.c.  Readers
 * look into the free list to tell it from a truncated one.  So do writers, at
 * open and after each commit, and extend it where the file system can, for
 * others may look at its length alone.
 *
 * EXPORTS_CORRUPT  it is truncated
 */
exports_rc_t exports_env_fill(exports_env_t *env, exports_error_t *error);

/* what LMDB is given, and leaves as it is */

static inline MDB_val
exports_mdb_val(const void *data, size_t len)
{
    MDB_val  value = { len, (void *) data };

    return value;
}


/* a cursor, if there is one, and then there is none */
void exports_mdb_close(MDB_cursor **cursor);

/* To the size that another process has given the map, which may move it: while
   a reader of this process is at work MDB_MAP_RESIZED.  Other MDB codes. */
int exports_mdb_remap(exports_env_t *env);

/* get of a value with MDB codes translated */
exports_rc_t exports_mdb_get(MDB_txn *txn, MDB_dbi dbi, const void *key,
    size_t key_len, MDB_val *value);

/*
 * The greatest ID of a scope that has manifests, 0 if there are none.
 * EXPORTS_CORRUPT: the last key is not a manifest's.
 */
exports_rc_t exports_mdb_last_scope(MDB_txn *txn, const exports_env_t *env,
    uint64_t *id);

/* Whether a key comes before another: one that LMDB finds from a key on does
   so where pages are damaged, and a search that went on there might not end. */
int exports_mdb_before(const MDB_val *key, const void *from, size_t from_len);

/* a value of meta, its checksum verified and cut off */
exports_rc_t exports_meta_get(MDB_txn *txn, const exports_env_t *env,
    const char *name, const uint8_t **value, size_t *len);
exports_rc_t exports_meta_get64(MDB_txn *txn, const exports_env_t *env,
    const char *name, uint64_t *number);
exports_rc_t exports_meta_put(MDB_txn *txn, const exports_env_t *env,
    const char *name, const uint8_t *value, size_t len,
    exports_error_t *error);

/* of a new store, unless they are there: env->created; lineage: NULL, a random
   one */
exports_rc_t exports_meta_create(exports_env_t *env, MDB_txn *txn,
    const uint8_t *lineage, exports_error_t *error);

/* that the store is of our format; and the lineage, to env */
exports_rc_t exports_meta_check_format(exports_env_t *env, MDB_txn *txn,
    exports_error_t *error);
exports_rc_t exports_meta_check(exports_env_t *env, MDB_txn *txn,
    const exports_env_options_t *options, exports_error_t *error);

/* a reader over a transaction that somebody else began and will end */
void exports_reader_borrow(exports_reader_t *reader, exports_env_t *env,
    MDB_txn *txn, exports_writer_t *writer,
    exports_rc_t (*settle)(exports_writer_t *writer, exports_db_t db));
void exports_reader_return(exports_reader_t *reader);

/* Opens a cursor of the reader, or renews it: before its first use in each
   snapshot.  A writer's lists are stored first. */
exports_rc_t exports_reader_cursor(exports_reader_t *reader, exports_db_t db,
    MDB_cursor **cursor);

/* The tree of a database in the reader's snapshot.  NULL: it is one that LMDB
   itself has to read. */
exports_rc_t exports_reader_tree(exports_reader_t *reader, exports_db_t db,
    exports_tree_t **tree);

/* The tree, or the cursor where LMDB has to read it: before each series of
   keys. */
exports_rc_t exports_reader_source(exports_reader_t *reader, exports_db_t db,
    MDB_cursor **cursor, exports_source_t *source);

/* In a write transaction no cursor can be renewed, and each one open is moved
   about by every change: there they are closed after each use. */
void exports_reader_close_cursors(exports_reader_t *reader);


#endif /* EXPORTS_PRIVATE_H */
