
/*
 * exports_private.h: what the sources of the library share; not installed.
 *
 * Of its sources only exports_env.c, exports_meta.c, exports_mdb.c,
 * exports_read.c, exports_walk.c, exports_tree*.c, exports_run*.c,
 * exports_page.c, the writer and exports_verify*.c see LMDB.
 */

#ifndef EXPORTS_PRIVATE_H
#define EXPORTS_PRIVATE_H

#include <stdatomic.h>
#include <stdlib.h>

#include <lmdb.h>

#include "exports_codec.h"
#include "exports_env.h"
#include "exports_member.h"
#include "exports_page.h"
#include "exports_read.h"
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


/* where the keys of facets or ranks are looked up */
typedef struct {
    exports_tree_t      *tree;          /* NULL: by the cursor */
    MDB_cursor          *cursor;
} exports_source_t;


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


/* levels of the tree that the values of a key make up, more than pages of 4,096
   bytes can need */
#define EXPORTS_RUN_LEVELS  10

/*
 * Values of one size that lie under one key of facets or ranks, a leaf of the
 * tree at a time: exports_run.c, and exports_run_tree.c, without LMDB
 */
typedef struct {
    exports_source_t     source;
    size_t               size;          /* of a value */
    const uint8_t       *values;        /* of the leaf */
    size_t               n;
    size_t               at;            /* where the search has ended */

    /* in a tree */
    uint64_t             root;
    unsigned             height;        /* 0: the values lie in the node */
    exports_level_t      levels[EXPORTS_RUN_LEVELS];
} exports_run_t;

/* To a key, and no further, and the number of its values: before LMDB looks for
   one of them.  EXPORTS_NOT_FOUND: there is none. */
exports_rc_t exports_run_find(exports_run_t *run,
    const exports_source_t *source, const uint8_t *key, size_t key_len,
    size_t size, uint64_t *count);

/* from: the value to begin at or behind, NULL: the first.  EXPORTS_NOT_FOUND:
   there is none. */
exports_rc_t exports_run_from(exports_run_t *run,
    const exports_source_t *source, const uint8_t *key, size_t key_len,
    const uint8_t *from, size_t size);

/* of a run that has been found: the last leaf, at its last value */
exports_rc_t exports_run_last(exports_run_t *run);

/* the next leaf, at its first value.  EXPORTS_NOT_FOUND: there is none */
exports_rc_t exports_run_next(exports_run_t *run);

/* the leaf before, at its last value.  EXPORTS_NOT_FOUND: there is none */
exports_rc_t exports_run_back(exports_run_t *run);

/* the same in a tree */
exports_rc_t exports_run_tree_find(exports_run_t *run, const uint8_t *key,
    size_t key_len, uint64_t *count);
exports_rc_t exports_run_tree_from(exports_run_t *run, const uint8_t *from);
exports_rc_t exports_run_tree_last(exports_run_t *run);
exports_rc_t exports_run_tree_next(exports_run_t *run);
exports_rc_t exports_run_tree_back(exports_run_t *run);

/*
 * How many values the node of a key says it has; the key as it has been handed
 * out from there.  0: the node does not hold what it can.  Few values lie in it
 * as a page of their own, whose header LMDB goes by wherever that leads.  size:
 * of a value; 0, any.
 */
uint64_t exports_run_count(const MDB_val *key, size_t size);

/* the number of values of the leaf that are less than an entry, or equal to
   it */
size_t exports_run_until(const exports_run_t *run, const uint8_t *entry);

/* Counts the blocks of a list, in the order of their boundaries, and those that
   end with the same one by level; key: theirs in ranks.  EXPORTS_CORRUPT: the
   list has more entries than its node says, or fewer. */
typedef exports_rc_t (*exports_block_pt)(void *data, unsigned level,
    const uint8_t *key, size_t len, const uint8_t *block);
exports_rc_t exports_run_blocks(MDB_cursor *facets, const uint8_t *key,
    size_t len, exports_block_pt visit, void *data);


/* what is at fault */
typedef enum {
    RANK_LIST,              /* a list itself; key: of it in facets */
    RANK_BLOCKS,            /* those of a list; key: of the list */
    RANK_KEY                /* of no list's blocks; key: in ranks */
} exports_rank_fault_t;

typedef exports_rc_t (*exports_rank_fault_pt)(void *data,
    exports_rank_fault_t type, const uint8_t *key, size_t len,
    const char *text);

/* Holds ranks against the lists: exports_verify_ranks.c. */
exports_rc_t exports_verify_ranks(exports_reader_t *reader,
    exports_rank_fault_pt fault, void *data);

/* Whether LMDB can be let near the values of facets and ranks: before all else.
   EXPORTS_CORRUPT: not of all, which no repair mends. */
exports_rc_t exports_verify_nodes(exports_reader_t *reader);


/*
 * A list, read from its newest entry on; the current entry is entries[left -
 * 1].  The leaf's place in the list is known: exports_list.c
 */
typedef struct {
    exports_reader_t       *reader;
    const exports_facet_t  *key;
    exports_run_t           run;
    const uint8_t          *newest;     /* entry */
    const uint8_t          *entries;    /* of the current leaf */
    size_t                  size;       /* entries of it */
    size_t                  left;       /* 0: at the end */
    uint64_t                older;      /* entries of the list before them */
    uint64_t                count;      /* of the list */
    unsigned                checked;    /* its blocks, against its length */

    /* of a page that merges it with others: among these, and what its records
       may have */
    unsigned                number;
    unsigned                statuses;

    /* with which boundary those of a level end that were checked last */
    const uint8_t          *ends[EXPORTS_RANK_LEVELS];
} exports_list_t;

/* slot: which of the reader's cursors it takes, if it takes one */
exports_rc_t exports_list_open(exports_list_t *list, exports_reader_t *reader,
    unsigned slot, const exports_facet_t *key);

/* Opens n lists, the fastest in the order of their keys, with the first n of
   the reader's cursors at most. */
exports_rc_t exports_lists_open(exports_list_t *lists,
    exports_reader_t *reader, const exports_facet_t *keys, unsigned n);

/* to the newest entry; there must be one */
exports_rc_t exports_list_last(exports_list_t *list);

/* n entries on, towards the oldest */
exports_rc_t exports_list_skip(exports_list_t *list, uint64_t n);

/*
 * To the entry that "newer" ones precede, less than the list has.  These two
 * want the list positioned, and the reader's source of ranks.
 */
exports_rc_t exports_list_seek(exports_list_t *list, uint64_t newer);

/* counts the entries that are newer than one, which need not be in the list;
   the list is left with a leaf near it, without a current entry */
exports_rc_t exports_list_rank(exports_list_t *list, const uint8_t *entry,
    uint64_t *newer);

/*
 * To the leaf that ends the block of what is newer than an entry, or, where that
 * is NULL, of the entry that "index" older ones precede: exports_block.c
 */
exports_rc_t exports_block_find(exports_list_t *list, const uint8_t *entry,
    uint64_t index);

/* the leaf that the run has come to; the next newer one; an entry of the leaf
   to another, as memcmp() */
void exports_list_set_leaf(exports_list_t *list);
exports_rc_t exports_list_newer_leaf(exports_list_t *list);
int exports_list_compare(const exports_list_t *list, size_t i,
    const uint8_t *entry);

static inline const uint8_t *
exports_list_entry(const exports_list_t *list)
{
    return list->entries + (list->left - 1) * EXPORTS_ENTRY_LEN;
}

/*
 * Positions lists, n of them which are not empty, so that the newest "offset"
 * entries of them all have been passed: exports_union.c.  Lists at their end
 * have nothing left.
 */
exports_rc_t exports_union_seek(exports_list_t **lists, unsigned n,
    uint64_t offset, uint64_t *rest);


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

/* To the size that another process has given the map, which may move it: no
   transaction of this process may be alive.  MDB codes. */
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
