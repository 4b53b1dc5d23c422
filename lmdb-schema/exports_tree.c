
/* searches in a tree, and the way from record to record */

#include <string.h>

#include "exports_private.h"
#include "exports_tree.h"


/* searches that begin at the root; later ones compare the keys of the branches
   that the last one came by, to begin further down */
#define SEARCHES  8


static exports_rc_t find(exports_tree_t *tree, const uint8_t *key,
    size_t len, const uint8_t **found, MDB_val *value);
static int is_ordered(exports_tree_t *tree);
static unsigned climb(const exports_tree_t *tree, unsigned level,
    const uint8_t *key, size_t len);
static unsigned common_level(const exports_tree_t *tree,
    const uint8_t *key, size_t len);
static int leads_down(const exports_tree_t *tree,
    const exports_level_t *branch, const uint8_t *key, size_t len);
static exports_rc_t descend(exports_tree_t *tree, unsigned level,
    unsigned last, unsigned end, const uint8_t *key, size_t len,
    const uint8_t **found);
static exports_rc_t enter_next(exports_tree_t *tree, unsigned level);
static exports_rc_t enter(exports_tree_t *tree, unsigned level,
    uint64_t pgno);
static exports_rc_t enter_child(exports_tree_t *tree, unsigned level);
static exports_rc_t read_overflow(const exports_tree_t *tree,
    const uint8_t *data, size_t size, MDB_val *value);


static inline const exports_level_t *
leaf_of(const exports_tree_t *tree)
{
    return &tree->levels[tree->height - 1];
}


/*
 * NULL: there cannot be a node, or not one with a key of this database.  The
 * free space before the nodes must be ruled out, for nodes that were once there
 * still look sound.
 */

static inline const uint8_t *
node_at(const exports_tree_t *tree, const exports_level_t *level, unsigned i)
{
    size_t          pos, key_len;
    const uint8_t  *node;

    pos = exports_tree_pos(level, i);

    if (pos < level->upper || pos + NODE_HEADER > tree->page_size) {
        return NULL;
    }

    node = level->page + pos;
    key_len = exports_tree_get16(node + NODE_KEY_LEN);

    return pos + NODE_HEADER + key_len <= tree->page_size
           && (tree->key_len == 0 || key_len == tree->key_len)
               ? node : NULL;
}


/* compares the key of a node with another one, in LMDB's order */

static inline int
compare(const uint8_t *node, const uint8_t *key, size_t len)
{
    int     order;
    size_t  node_len;

    node_len = exports_tree_get16(node + NODE_KEY_LEN);
    order = exports_order(node + NODE_HEADER, key,
                          node_len < len ? node_len : len);

    return order != 0 ? order : (node_len > len) - (node_len < len);
}


exports_rc_t
exports_tree_get(exports_tree_t *tree, const uint8_t *key, size_t len,
    MDB_val *value)
{
    exports_rc_t    rc;
    const uint8_t  *found;

    tree->positioned = 0;
    tree->reached = 0;

    rc = find(tree, key, len, &found, value);

    /* a scan must not go on from here */

    tree->positioned = 0;

    return rc;
}


exports_rc_t
exports_tree_find(exports_tree_t *tree, const uint8_t *key,
    const uint8_t **found, MDB_val *value)
{
    return find(tree, key, EXPORTS_MANIFEST_KEY_LEN, found, value);
}


void
exports_tree_scan(exports_tree_t *tree, const uint8_t *key, unsigned more)
{
    const uint8_t  *node;

    tree->positioned = 0;
    tree->reached = 0;

    if (tree->height >= 3
        && enter(tree, 0, tree->root) == EXPORTS_OK
        && descend(tree, 0, tree->height - 3, tree->levels[0].n, key,
                   EXPORTS_MANIFEST_KEY_LEN, &node) != EXPORTS_CORRUPT)
    {
        tree->reached = tree->height - 2;

        exports_tree_fetch_branches(tree, key, more);
    }

    tree->scan = 1;
}


static exports_rc_t
find(exports_tree_t *tree, const uint8_t *key, size_t len,
    const uint8_t **found, MDB_val *value)
{
    unsigned        level, end;
    exports_rc_t    rc;
    const uint8_t  *node;

    if (tree->height == 0) {
        return EXPORTS_NOT_FOUND;
    }

    if (tree->positioned) {
        level = climb(tree, tree->height - 1, key, len);
        end = tree->levels[level].at;

    } else if (tree->reached > 0) {
        level = climb(tree, tree->reached - 1, key, len);
        end = tree->levels[level].at + 1;

    } else {
        rc = enter(tree, 0, tree->root);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        level = 0;
        end = tree->levels[0].n;
    }

    tree->positioned = 0;
    tree->reached = 0;
    tree->ahead = 0;
    node = NULL;

    rc = descend(tree, level, tree->height - 1, end, key, len, &node);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    tree->positioned = 1;
    *found = node + NODE_HEADER;

    if (tree->scan) {
        exports_tree_fetch_nodes(tree, 0);
        exports_tree_read_ahead(tree);
    }

    return exports_tree_value(tree, node, value);
}


exports_rc_t
exports_tree_node(exports_tree_t *tree, const uint8_t *key, size_t len,
    MDB_val *found)
{
    size_t          size;
    unsigned        level;
    exports_rc_t    rc;
    node_header_t   header;
    const uint8_t  *node, *data;

    if (tree->height == 0) {
        return EXPORTS_NOT_FOUND;
    }

    level = 0;

    if (tree->searched >= SEARCHES) {
        level = common_level(tree, key, len);

    } else {
        rc = enter(tree, 0, tree->root);
        if (rc != EXPORTS_OK) {
            tree->searched = 0;
            return rc;
        }
    }

    node = NULL;

    rc = descend(tree, level, tree->height - 1, tree->levels[level].n, key, len,
                 &node);

    /* if branches are out of order, another leaf may have the key */

    if (rc == EXPORTS_NOT_FOUND && level > 0 && !is_ordered(tree)) {
        rc = EXPORTS_CORRUPT;
    }

    tree->searched = rc == EXPORTS_CORRUPT ? 0 : tree->searched + 1;

    if (rc != EXPORTS_OK) {
        return rc;
    }

    memcpy(&header, node, sizeof(header));

    *found = exports_mdb_val(node + NODE_HEADER, header.key_len);

    size = node_value_len(&header);
    data = node + NODE_HEADER + header.key_len;

    return (size_t) (leaf_of(tree)->page + tree->page_size - data) >= size
               ? EXPORTS_OK : EXPORTS_CORRUPT;
}


/* whether the keys of the branches on the way are in order; each is checked
   once */

static int
is_ordered(exports_tree_t *tree)
{
    unsigned          level, i;
    const uint8_t    *node, *next;
    exports_level_t  *l;

    for (level = 0; level < tree->height - 1; level++) {
        l = &tree->levels[level];

        if (l->ordered) {
            continue;
        }

        /* LMDB takes the first key of a branch for less than all others */

        for (node = NULL, i = 1; i < l->n; i++, node = next) {
            next = node_at(tree, l, i);

            if (next == NULL
                || (node != NULL
                    && compare(node, next + NODE_HEADER,
                               exports_tree_get16(next + NODE_KEY_LEN))
                       >= 0))
            {
                return 0;
            }
        }

        l->ordered = 1;
    }

    return 1;
}


/*
 * From a level up to the lowest one whose page does not begin after the key.  A
 * page begins with its key in the page above; the first page there has none.
 */

static unsigned
climb(const exports_tree_t *tree, unsigned level, const uint8_t *key,
    size_t len)
{
    const uint8_t          *node;
    const exports_level_t  *above;

    for ( /* void */ ; level > 0; level--) {
        above = &tree->levels[level - 1];

        if (above->at > 0) {
            node = node_at(tree, above, above->at);

            if (node != NULL && compare(node, key, len) <= 0) {
                break;
            }
        }
    }

    return level;
}


/* the lowest level whose page a search for the key would come by, too */

static unsigned
common_level(const exports_tree_t *tree, const uint8_t *key, size_t len)
{
    unsigned  level;

    for (level = 0; level < tree->height - 1; level++) {
        if (!leads_down(tree, &tree->levels[level], key, len)) {
            break;
        }
    }

    return level;
}


/* whether the page below, where the last search went, is also the one for this
   key: it begins with the key or before, and the next one begins after it */

static int
leads_down(const exports_tree_t *tree, const exports_level_t *branch,
    const uint8_t *key, size_t len)
{
    const uint8_t  *node;

    if (branch->at > 0) {
        node = node_at(tree, branch, branch->at);

        if (node == NULL || compare(node, key, len) > 0) {
            return 0;
        }
    }

    if (branch->at + 1 < branch->n) {
        node = node_at(tree, branch, branch->at + 1);

        if (node == NULL || compare(node, key, len) <= 0) {
            return 0;
        }
    }

    return 1;
}


/* Searches from a page of one level, where only the nodes before "end" count,
   to another level.  *found: on EXPORTS_OK, the node of the key there. */

static exports_rc_t
descend(exports_tree_t *tree, unsigned level, unsigned last, unsigned end,
    const uint8_t *key, size_t len, const uint8_t **found)
{
    int               order;
    unsigned          low, middle;
    exports_rc_t      rc;
    const uint8_t    *node;
    exports_level_t  *l;

    for ( ;; ) {
        l = &tree->levels[level];
        low = level < tree->height - 1;
        order = 1;

        /* low becomes the node after the last that is not greater; the first
           one of a branch is taken for less than all others */

        while (low < end) {
            middle = (low + end) / 2;

            node = node_at(tree, l, middle);
            if (node == NULL) {
                return EXPORTS_CORRUPT;
            }

            order = compare(node, key, len);

            if (order == 0) {
                low = middle + 1;
                *found = node;
                break;
            }

            if (order < 0) {
                low = middle + 1;

            } else {
                end = middle;
            }
        }

        l->at = low - 1;

        if (level == last) {
            return order == 0 ? EXPORTS_OK : EXPORTS_NOT_FOUND;
        }

        rc = enter_next(tree, level++);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        end = tree->levels[level].n;
    }
}


/* enters the next page of a search, and prefetches what it will need there */

static exports_rc_t
enter_next(exports_tree_t *tree, unsigned level)
{
    exports_rc_t  rc;

    if (!tree->scan) {
        return enter_child(tree, level);
    }

    if (level == tree->height - 2) {
        exports_tree_fetch_heads(tree);
    }

    rc = enter_child(tree, level);

    if (rc == EXPORTS_OK) {
        exports_tree_fetch_middles(&tree->levels[level + 1]);
    }

    return rc;
}


exports_rc_t
exports_tree_leaf_back(exports_tree_t *tree)
{
    unsigned      level;
    exports_rc_t  rc;

    level = tree->height - 1;

    do {
        if (level == 0) {
            return EXPORTS_NOT_FOUND;
        }

        level--;

    } while (tree->levels[level].at == 0);

    tree->positioned = 0;
    tree->levels[level].at--;
    tree->ahead = level == tree->height - 2 && tree->ahead > 0
                      ? tree->ahead - 1 : 0;

    for ( /* void */ ; level < tree->height - 1; level++) {
        rc = enter_child(tree, level);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        tree->levels[level + 1].at = tree->levels[level + 1].n - 1;
    }

    tree->positioned = 1;

    if (tree->scan) {
        exports_tree_read_ahead(tree);
    }

    return EXPORTS_OK;
}


static exports_rc_t
enter_child(exports_tree_t *tree, unsigned level)
{
    const exports_level_t  *l;

    l = &tree->levels[level];

    return enter(tree, level + 1, exports_tree_child(tree, l, l->at));
}


static exports_rc_t
enter(exports_tree_t *tree, unsigned level, uint64_t pgno)
{
    return exports_tree_enter(tree, &tree->levels[level], pgno,
                              exports_tree_kind(tree, level));
}


exports_rc_t
exports_tree_enter(const exports_tree_t *tree, exports_level_t *level,
    uint64_t pgno, unsigned kind)
{
    page_header_t   header;
    const uint8_t  *page;

    if (pgno >= tree->pages) {
        return EXPORTS_CORRUPT;
    }

    page = tree->map + pgno * tree->page_size;
    memcpy(&header, page, sizeof(header));

    if (header.pgno != pgno
        || (header.flags & KIND_FLAGS) != kind
        || header.lower < PAGE_HEADER + sizeof(uint16_t)
        || header.lower > header.upper
        || header.upper > tree->page_size)
    {
        return EXPORTS_CORRUPT;
    }

    level->page = page;
    level->n = (header.lower - PAGE_HEADER) / sizeof(uint16_t);
    level->upper = header.upper;
    level->at = 0;
    level->ordered = 0;

    return EXPORTS_OK;
}


exports_rc_t
exports_tree_value(const exports_tree_t *tree, const uint8_t *node,
    MDB_val *value)
{
    size_t          size;
    node_header_t   header;
    const uint8_t  *data, *end;

    memcpy(&header, node, sizeof(header));

    size = node_value_len(&header);
    data = node + NODE_HEADER + header.key_len;
    end = leaf_of(tree)->page + tree->page_size;

    if (header.flags == OVERFLOW_FLAG) {
        return (size_t) (end - data) >= sizeof(uint64_t)
                   ? read_overflow(tree, data, size, value)
                   : EXPORTS_CORRUPT;
    }

    if (header.flags != 0 || (size_t) (end - data) < size) {
        return EXPORTS_CORRUPT;
    }

    *value = exports_mdb_val(data, size);

    return EXPORTS_OK;
}


/* a value that is too long for a leaf is on overflow pages */

static exports_rc_t
read_overflow(const exports_tree_t *tree, const uint8_t *data, size_t size,
    MDB_val *value)
{
    uint64_t        pgno;
    page_header_t   header;
    const uint8_t  *page;

    memcpy(&pgno, data, sizeof(pgno));

    if (pgno >= tree->pages
        || PAGE_HEADER + size > (tree->pages - pgno) * tree->page_size)
    {
        return EXPORTS_CORRUPT;
    }

    page = tree->map + pgno * tree->page_size;
    memcpy(&header, page, sizeof(header));

    if (header.pgno != pgno
        || (header.flags & KIND_FLAGS) != OVERFLOW_PAGE_FLAG)
    {
        return EXPORTS_CORRUPT;
    }

    *value = exports_mdb_val(page + PAGE_HEADER, size);

    return EXPORTS_OK;
}
