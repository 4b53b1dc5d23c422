
/*
 * exports_tree.h: the tree of a database in a snapshot, read without LMDB;
 * private.
 *
 * LMDB looks up the root of a database in each transaction anew, trusts what
 * pages say, and does not tell which page its cursor will come to, so that it
 * could be prefetched.  Here the root is kept until there is a commit, a page
 * is checked before it is followed, and those that a page of a list needs next
 * are prefetched.
 *
 * What lies under a key with MDB_DUPSORT is read by exports_run_tree.c.  The
 * layout is in exports_mdb_layout.h.
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


/* whether a key has a run of values: MDB_DUPSORT */

static inline int
exports_db_has_runs(exports_db_t db)
{
    return db == DB_FACETS || db == DB_RANKS;
}


/* a page on the way from the root to a leaf */
typedef struct {
    const uint8_t         *page;
    unsigned               n;           /* its nodes */
    unsigned               upper;       /* where they begin */
    unsigned               at;          /* the node that the way goes by */
    unsigned               ordered;     /* its keys are known to be in order */
} exports_level_t;

/* what a meta page says */
typedef struct {
    uint64_t               txnid;
    uint64_t               root;        /* of the tree of names */
} exports_meta_t;

typedef struct {
    uint64_t               txnid;       /* whose root this is; 0: of none */
    exports_meta_t         metas[2];    /* as they were then */
    tree_t                 stored;      /* the record of the database, and */
    const uint8_t         *stored_at;   /* where it is in the map */
    uint64_t               root;
    unsigned               height;      /* 0: it is empty */
    size_t                 key_len;     /* of all keys; 0: they differ */
    size_t                 value_len;   /* of all values; 0: they differ */
    int                    runs;        /* exports_db_has_runs() */

    const uint8_t         *map;
    unsigned               maps;        /* env->maps when it was found; 0: none
                                           was */
    uint64_t               pages;       /* that the snapshot may use */
    size_t                 page_size;

    unsigned               positioned;  /* at a record: the levels lead there */
    unsigned               searched;    /* keys by exports_tree_node(), to the
                                           last of which the levels lead */
    unsigned               reached;     /* levels, by exports_tree_scan() */
    int                    scan;        /* record after record will be read */
    unsigned               ahead;       /* leaves that are prefetched already */
    exports_level_t        levels[DEPTH_MAX];   /* from the root to the leaf */
} exports_tree_t;


/* The asm keeps gcc from taking a function that only prefetches for one without
   effect, and dropping its calls. */

#define CACHE_LINE  64

static inline void
exports_fetch(const uint8_t *p)
{
    __builtin_prefetch(p);
    __asm__ volatile ("");
}


static inline void
exports_fetch_lines(const uint8_t *p)
{
    exports_fetch(p);
    exports_fetch(p + CACHE_LINE);
    exports_fetch(p + 2 * CACHE_LINE);
    exports_fetch(p + 3 * CACHE_LINE);
}


/*
 * Opens the tree of a database in a reader's transaction, not in a writer's; to
 * be called before each series of keys.
 *
 * EXPORTS_NOT_FOUND  the kernel does not tell where the map is: use LMDB
 * EXPORTS_CORRUPT, EXPORTS_STALE, EXPORTS_FAILED
 */
exports_rc_t exports_tree_open(exports_tree_t *tree, const exports_env_t *env,
    MDB_txn *txn, exports_db_t db);

/* Where byte 0 of a file is mapped, by the address of any byte of the mapping:
   exports_mapping.c.  NULL: the kernel does not tell. */
const uint8_t *exports_mapping(const uint8_t *p);

/* The value of a key.  EXPORTS_NOT_FOUND, EXPORTS_CORRUPT. */
exports_rc_t exports_tree_get(exports_tree_t *tree, const uint8_t *key,
    size_t len, MDB_val *value);

/*
 * For manifests, before the first search: says that from the record found on,
 * those before it will be read one by one.  Follows the way to the last record
 * not greater than a key, as far as it is likely to be in a cache; then
 * prefetches the lowest branch, and up to "more" of those before it, if they
 * are of the same scope.  Keys that are greater must not be sought afterwards.
 * Damage is left for the search to find.
 */
void exports_tree_scan(exports_tree_t *tree, const uint8_t *key, unsigned more);

/*
 * For manifests: moves to the record of a key.  After exports_tree_open() keys
 * must come in descending order.  On EXPORTS_OK the tree is positioned at the
 * record, after EXPORTS_NOT_FOUND it is not.  *found: the stored key.
 *
 * EXPORTS_NOT_FOUND  there is no such record
 * EXPORTS_CORRUPT    a page on the way is not what must be there
 */
exports_rc_t exports_tree_find(exports_tree_t *tree, const uint8_t *key,
    const uint8_t **found, MDB_val *value);

/*
 * Finds the node of a key of facets or ranks; it is checked that all of it lies
 * on its page.  *found: the stored key.  Keys may come in any order; the nearer
 * they are to each other, the faster they are found.
 *
 * EXPORTS_NOT_FOUND, EXPORTS_CORRUPT
 */
exports_rc_t exports_tree_node(exports_tree_t *tree, const uint8_t *key,
    size_t len, MDB_val *found);

/* Makes a page the one of a level, at its first node.  kind: of KIND_FLAGS.
   EXPORTS_CORRUPT: it is not of that kind, or not that page. */
exports_rc_t exports_tree_enter(const exports_tree_t *tree,
    exports_level_t *level, uint64_t pgno, unsigned kind);

/* the parts of exports_tree_back() that are not inline: to the last record of
   the leaf before; the value of a node, wherever that lies */
exports_rc_t exports_tree_leaf_back(exports_tree_t *tree);
exports_rc_t exports_tree_value(const exports_tree_t *tree,
    const uint8_t *node, MDB_val *value);


/*
 * Prefetches, exports_tree_ahead.c: the lowest branches, for
 * exports_tree_scan(); the nodes that a search of a page compares first; what
 * reading on will need, that is, the heads of leaves, and the nodes of the leaf
 * that is so many before.
 */
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


/* the kind of the pages of a level: of KIND_FLAGS */

static inline unsigned
exports_tree_kind(const exports_tree_t *tree, unsigned level)
{
    return level == tree->height - 1 ? LEAF_FLAG : BRANCH_FLAG;
}


/* where in the page a node begins, as the page says */

static inline unsigned
exports_tree_pos(const exports_level_t *level, unsigned i)
{
    return exports_tree_get16(level->page + PAGE_HEADER
                              + i * sizeof(uint16_t));
}


/* the number of the page below a node; NO_PAGE: no node can be there */

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


/* that page, not checked; NULL: its number is out of range */

static inline const uint8_t *
exports_tree_below(const exports_tree_t *tree, const exports_level_t *level,
    unsigned i)
{
    uint64_t  pgno;

    pgno = exports_tree_child(tree, level, i);

    return pgno < tree->pages ? tree->map + pgno * tree->page_size : NULL;
}


/* The key of a node, of length len; NULL: it has no such key. */

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


/* Moves to the record before in the order of keys, whatever its scope; the tree
   must be positioned.  Inline, for it is done for each record of a page. */

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

    /* the header: the length of the value; flags; the length of the key */

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
