
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


#endif /* EXPORTS_RUN_H */
