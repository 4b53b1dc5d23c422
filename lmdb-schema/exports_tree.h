
/*
 * exports_tree.h: the tree of a database in a snapshot, read without LMDB;
 * private.
 *
 * LMDB looks up the root of a database again in each transaction, believes what
 * pages say, and its cursor does not tell which page comes next, for which
 * memory has to be waited then.  Here a root is kept while there is no commit,
 * a page is looked at before it is followed, and the ones that a page of a list
 * comes to next are asked for ahead.
 *
 * What lies under a key with MDB_DUPSORT is read by exports_run_tree.c.  The
 * source of the layout is exports_mdb_layout.h.
 */

#ifndef EXPORTS_TREE_H
#define EXPORTS_TREE_H

#include <string.h>

#include <lmdb.h>

#include "exports_codec.h"
#include "exports_env.h"
#include "exports_mdb_layout.h"


typedef enum {
    DB_META = 0,
    DB_SCOPES,
    DB_TOKENS,
    DB_MANIFESTS,
    DB_IDS,
    DB_FACETS,
    DB_RANKS
} exports_db_t;


/* whether what lies under a key is a run of values: MDB_DUPSORT */

static inline int
exports_db_has_runs(exports_db_t db)
{
    return db == DB_FACETS || db == DB_RANKS;
}


typedef struct {
    const uint8_t         *page;
    unsigned               n;           /* nodes of it */
    unsigned               upper;       /* where they begin */
    unsigned               at;          /* the one on the way to the record */
    unsigned               ordered;     /* their keys have been compared */
} exports_level_t;

/* of a meta page */
typedef struct {
    uint64_t               txnid;
    uint64_t               root;        /* of the tree of names */
} exports_meta_t;

typedef struct {
    uint64_t               txnid;       /* whose root this is, 0: none's */
    exports_meta_t         metas[2];    /* as they were then, and */
    tree_t                 stored;      /* what is stored under the name, */
    const uint8_t         *stored_at;   /* there */
    uint64_t               root;
    unsigned               height;      /* 0: it is empty */
    size_t                 key_len;     /* of all keys; 0: they differ */
    size_t                 value_len;   /* of all values; 0: they differ */
    int                    runs;        /* exports_db_has_runs() */

    const uint8_t         *map;
    unsigned               maps;        /* of which map this is, 0: of none */
    uint64_t               pages;       /* of the map that may be in use */
    size_t                 page_size;

    unsigned               positioned;
    unsigned               searched;    /* keys: the levels lead to the last */
    unsigned               reached;     /* levels, by exports_tree_scan() */
    int                    scan;        /* records are read one by one */
    unsigned               ahead;       /* leaves that are asked for already;
                                           0: none yet */
    exports_level_t        levels[DEPTH_MAX];   /* the root's, to the leaf's */
} exports_tree_t;


/* Prefetches.  Without the asm gcc takes a function that does nothing else for
   one without effect, and drops the call. */

#define CACHE_LINE  64

static inline void
exports_fetch(const uint8_t *p)
{
    __builtin_prefetch(p);
    __asm__ volatile ("");
}


/* four of them */

static inline void
exports_fetch_lines(const uint8_t *p)
{
    exports_fetch(p);
    exports_fetch(p + CACHE_LINE);
    exports_fetch(p + 2 * CACHE_LINE);
    exports_fetch(p + 3 * CACHE_LINE);
}


/*
 * The tree of a read transaction, which is the reader's own: before each series
 * of keys.
 *
 * EXPORTS_NOT_FOUND  the kernel does not tell where the map is: LMDB has to do
 * EXPORTS_CORRUPT, EXPORTS_STALE, EXPORTS_FAILED
 */
exports_rc_t exports_tree_open(exports_tree_t *tree, const exports_env_t *env,
    MDB_txn *txn, exports_db_t db);

/* Where byte 0 of a file is, of whose mapping this is a byte: exports_mapping.c.
   NULL: the kernel does not tell. */
const uint8_t *exports_mapping(const uint8_t *p);

/* The value of a key.  EXPORTS_NOT_FOUND, EXPORTS_CORRUPT. */
exports_rc_t exports_tree_get(exports_tree_t *tree, const uint8_t *key,
    size_t len, MDB_val *value);

/*
 * Of manifests, before the first search: the record that is found will be
 * followed by those before it.  The way to the last one up to a key is entered
 * as far as it is likely to be in a cache, and memory is asked for what comes
 * then, also for so many more of the lowest branches before, as long as they are
 * of one scope.  Keys that are greater must not be sought then.  What is wrong
 * with the way, the search will find.
 */
void exports_tree_scan(exports_tree_t *tree, const uint8_t *key, unsigned more);

/*
 * Of manifests: to the record of a key.  Keys must come in descending order
 * after exports_tree_open().  On EXPORTS_OK the tree is positioned at the
 * record, after EXPORTS_NOT_FOUND it is not.  *found: the key as it is stored.
 *
 * EXPORTS_NOT_FOUND  there is none
 * EXPORTS_CORRUPT    a page on the way to it is not what has to be there
 */
exports_rc_t exports_tree_find(exports_tree_t *tree, const uint8_t *key,
    const uint8_t **found, MDB_val *value);

/*
 * The node of a key of facets or ranks, all of which lies on its page: *found is
 * the key as it is stored.  Keys may come in any order, and the nearer they are
 * to each other, the less is searched.
 *
 * EXPORTS_NOT_FOUND, EXPORTS_CORRUPT
 */
exports_rc_t exports_tree_node(exports_tree_t *tree, const uint8_t *key,
    size_t len, MDB_val *found);

/* Makes a page of that kind (KIND_FLAGS) the one of a level, at its first node.
   EXPORTS_CORRUPT: it is another one. */
exports_rc_t exports_tree_enter(const exports_tree_t *tree,
    exports_level_t *level, uint64_t pgno, unsigned kind);

/* what exports_tree_back() cannot do at once */
exports_rc_t exports_tree_leaf_back(exports_tree_t *tree);
exports_rc_t exports_tree_value(const exports_tree_t *tree,
    const uint8_t *node, MDB_val *value);


/* What is asked for ahead, exports_tree_ahead.c: the lowest branches up to the
   one of a key, as exports_tree_scan() says; what a search of a page comes by;
   leaves; and the nodes of the leaf that is so many before. */
void exports_tree_fetch_branches(const exports_tree_t *tree,
    const uint8_t *key, unsigned more);
void exports_tree_fetch_middles(const exports_level_t *level);
void exports_tree_read_ahead(exports_tree_t *tree);
void exports_tree_fetch_heads(exports_tree_t *tree);
void exports_tree_fetch_nodes(const exports_tree_t *tree, unsigned before);


static inline uint16_t
exports_tree_get16(const uint8_t *p)
{
    uint16_t  value;

    memcpy(&value, p, sizeof(value));

    return value;
}


/* what the pages of a level are, of KIND_FLAGS */

static inline unsigned
exports_tree_kind(const exports_tree_t *tree, unsigned level)
{
    return level == tree->height - 1 ? LEAF_FLAG : BRANCH_FLAG;
}


/* where in its page a node begins, as the page says */

static inline unsigned
exports_tree_pos(const exports_level_t *level, unsigned i)
{
    return exports_tree_get16(level->page + PAGE_HEADER
                              + i * sizeof(uint16_t));
}


/* the number of the page below a node; NO_PAGE, where there is no node */

static inline uint64_t
exports_tree_child(const exports_tree_t *tree, const exports_level_t *level,
    unsigned i)
{
    unsigned        pos;
    node_header_t   node;

    pos = exports_tree_pos(level, i);

    if (pos < level->upper || pos > tree->page_size - NODE_HEADER) {
        return NO_PAGE;
    }

    memcpy(&node, level->page + pos, sizeof(node));

    return node.low | (uint64_t) node.high << 16 | (uint64_t) node.flags << 32;
}


/* that page, not looked at yet; NULL: there can be none */

static inline const uint8_t *
exports_tree_below(const exports_tree_t *tree, const exports_level_t *level,
    unsigned i)
{
    uint64_t  pgno;

    pgno = exports_tree_child(tree, level, i);

    return pgno < tree->pages ? tree->map + pgno * tree->page_size : NULL;
}


/* The key of a node, if it is so long.  NULL: there is none. */

static inline const uint8_t *
exports_tree_key(const exports_tree_t *tree, const exports_level_t *level,
    unsigned i, size_t len)
{
    size_t          pos;
    const uint8_t  *node;

    pos = exports_tree_pos(level, i);

    if (pos < level->upper || pos + NODE_HEADER + len > tree->page_size) {
        return NULL;
    }

    node = level->page + pos;

    return exports_tree_get16(node + NODE_KEY_LEN) == len ? node + NODE_HEADER
                                                          : NULL;
}


/* To the record before, whatever its scope, in the order of keys: only in a
   tree that is positioned.  For each record of a page, so without a call. */

static inline exports_rc_t
exports_tree_back(exports_tree_t *tree, const uint8_t **key, MDB_val *value)
{
    size_t            pos, room;
    uint32_t          size;
    uint16_t          kind[2];
    exports_rc_t      rc;
    const uint8_t    *node;
    exports_level_t  *leaf;

    leaf = &tree->levels[tree->height - 1];

    if (leaf->at > 0) {
        leaf->at--;

    } else {
        rc = exports_tree_leaf_back(tree);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    pos = exports_tree_pos(leaf, leaf->at);
    room = tree->page_size - NODE_HEADER - EXPORTS_MANIFEST_KEY_LEN;

    if (pos < leaf->upper || pos > room) {
        return EXPORTS_CORRUPT;
    }

    /* the header, as two words: length of the value; flags, length of the key */

    node = leaf->page + pos;
    memcpy(&size, node, sizeof(size));
    memcpy(kind, node + sizeof(size), sizeof(kind));

    *key = node + NODE_HEADER;

    if (kind[0] != 0 || kind[1] != EXPORTS_MANIFEST_KEY_LEN
        || size > room - pos)
    {
        return kind[1] == EXPORTS_MANIFEST_KEY_LEN
                   ? exports_tree_value(tree, node, value) : EXPORTS_CORRUPT;
    }

    value->mv_data = (void *) (*key + EXPORTS_MANIFEST_KEY_LEN);
    value->mv_size = size;

    return EXPORTS_OK;
}


#endif /* EXPORTS_TREE_H */
