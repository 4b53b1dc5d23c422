
/*
 * exports_run.h: the values of one key, and where they are looked up; private.
 */

#ifndef EXPORTS_RUN_H
#define EXPORTS_RUN_H

#include <lmdb.h>

#include "exports_codec.h"
#include "exports_tree.h"


/* where the keys of facets or ranks are looked up */
typedef struct {
    exports_tree_t      *tree;          /* NULL: by the cursor */
    MDB_cursor          *cursor;
} exports_source_t;


/* levels of the tree that the values of a key make up: with pages of 4,096
   bytes none can have more */
#define EXPORTS_RUN_LEVELS  10

/*
 * A run: the values, of one size, of a key of facets or ranks, read a leaf at a
 * time.  By exports_run.c, or, without LMDB, by exports_run_tree.c.
 */
typedef struct {
    exports_source_t     source;
    size_t               size;          /* of a value */
    const uint8_t       *values;        /* of the current leaf, */
    size_t               n;             /* as many */
    size_t               at;            /* the current one */

    /* without LMDB */
    uint64_t             root;
    unsigned             height;        /* 0: the values are in the node */
    exports_level_t      levels[EXPORTS_RUN_LEVELS];
} exports_run_t;

/* Moves to a key, but reads none of its values; *count: their number.  Checks
   what LMDB trusts when it looks for one; by a cursor of LMDB 0.9.27 or later
   only afterwards: see exports_run.c.  EXPORTS_NOT_FOUND: no such key. */
exports_rc_t exports_run_find(exports_run_t *run,
    const exports_source_t *source, const uint8_t *key, size_t key_len,
    size_t size, uint64_t *count);

/* Moves to the first value of a key that is not less than "from"; NULL: to the
   first.  EXPORTS_NOT_FOUND: there is none. */
exports_rc_t exports_run_from(exports_run_t *run,
    const exports_source_t *source, const uint8_t *key, size_t key_len,
    const uint8_t *from, size_t size);

/* for a run that has been found: moves to the last value of its last leaf */
exports_rc_t exports_run_last(exports_run_t *run);

/* to the first value of the next leaf.  EXPORTS_NOT_FOUND: there is none */
exports_rc_t exports_run_next(exports_run_t *run);

/* to the last value of the leaf before.  EXPORTS_NOT_FOUND: there is none */
exports_rc_t exports_run_back(exports_run_t *run);

/* the same without LMDB */
exports_rc_t exports_run_tree_find(exports_run_t *run, const uint8_t *key,
    size_t key_len, uint64_t *count);
exports_rc_t exports_run_tree_from(exports_run_t *run, const uint8_t *from);
exports_rc_t exports_run_tree_last(exports_run_t *run);
exports_rc_t exports_run_tree_next(exports_run_t *run);
exports_rc_t exports_run_tree_back(exports_run_t *run);

/*
 * The number of values that the node of a key says it has; key: as LMDB or
 * exports_tree_node() handed it out, for the node's header stands before it.
 * 0: the node is not sound.  A few values are in the node itself, as a sub-page
 * whose header LMDB follows wherever it leads.  size: of a value; 0: any.
 */
uint64_t exports_run_count(const MDB_val *key, size_t size);

/* the number of values of the leaf that are not greater than an entry */
size_t exports_run_until(const exports_run_t *run, const uint8_t *entry);

/*
 * Counts the blocks of a list anew, and visits each as it ought to be stored,
 * in the order of their boundaries, then of their levels.  The visitor's key is
 * that of the blocks in ranks.  EXPORTS_CORRUPT: the list has more entries than
 * its node says, or fewer.
 */
typedef exports_rc_t (*exports_block_pt)(void *data, unsigned level,
    const uint8_t *key, size_t len, const uint8_t *block);
exports_rc_t exports_run_blocks(MDB_cursor *facets, const uint8_t *key,
    size_t len, exports_block_pt visit, void *data);


#endif /* EXPORTS_RUN_H */
