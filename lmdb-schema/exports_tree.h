
/*
 * exports_tree.h: the tree of manifests in a snapshot, read without LMDB;
 * private.
 *
 * A page of a list is some dozens of records, most of them side by side.  A
 * cursor of LMDB hands out one at a call, and does not say which page of the
 * tree comes next, which memory has to be waited for then.  And LMDB believes
 * what pages say; here a page is looked at before it is followed.
 *
 * Keys are asked for in descending order: the way from one to the next is
 * short.  The source of the layout is exports_mdb_layout.h.
 */

#ifndef EXPORTS_TREE_H
#define EXPORTS_TREE_H

#include <lmdb.h>

#include "exports_env.h"
#include "exports_mdb_layout.h"


typedef struct {
    const uint8_t         *page;
    unsigned               n;           /* nodes of it */
    unsigned               at;          /* the one on the way to the record */
} exports_level_t;

typedef struct {
    uint64_t               txnid;       /* whose root this is, 0: none's */
    unsigned               maps;        /* where the map was then */
    uint64_t               root;
    unsigned               height;      /* 0: there is no record */

    const uint8_t         *map;
    uint64_t               pages;       /* of the map that may be in use */
    size_t                 page_size;

    unsigned               positioned;
    unsigned               ahead;       /* pages are fetched before their use */
    exports_level_t        levels[DEPTH_MAX];   /* the root's, to the leaf's */
} exports_tree_t;


/*
 * The tree of a read transaction, which is the reader's own: before each series
 * of keys.
 *
 * EXPORTS_NOT_FOUND  pages of this size need not lie at multiples of it
 * EXPORTS_CORRUPT, EXPORTS_STALE, EXPORTS_FAILED
 */
exports_rc_t exports_tree_open(exports_tree_t *tree, const exports_env_t *env,
    MDB_txn *txn);

/*
 * To the record of a key, which is less than that of the record before.
 *
 * EXPORTS_NOT_FOUND  there is none
 * EXPORTS_CORRUPT    a page on the way to it is not what has to be there
 */
exports_rc_t exports_tree_find(exports_tree_t *tree, const uint8_t *key,
    MDB_val *value);

/* to the record before, whatever its scope, in the order of keys */
exports_rc_t exports_tree_back(exports_tree_t *tree, const uint8_t **key,
    MDB_val *value);


#endif /* EXPORTS_TREE_H */
