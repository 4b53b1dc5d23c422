
/*
 * Runs in the map, without LMDB.  One value or a few are in the node of their
 * key; more of them are a tree of their own, whose leaves have nothing but
 * values, one after the other.
 */

#include <string.h>

#include "exports_private.h"
#include "exports_run.h"


static exports_rc_t step(exports_run_t *run, int back);
static exports_rc_t check_order(const exports_run_t *run,
    const uint8_t *lesser, const uint8_t *greater);
static exports_rc_t descend(exports_run_t *run, unsigned level, int last);
static exports_rc_t enter(exports_run_t *run, unsigned level);
static exports_rc_t set_leaf(exports_run_t *run, const uint8_t *page);
static exports_rc_t search(const exports_run_t *run, exports_level_t *branch,
    const uint8_t *value);
static size_t search_leaf(const exports_run_t *run, const uint8_t *value);


exports_rc_t
exports_run_tree_find(exports_run_t *run, const uint8_t *key, size_t key_len,
    uint64_t *count)
{
    tree_t          tree;
    MDB_val         found;
    exports_rc_t    rc;
    node_header_t   node;
    const uint8_t  *data;

    rc = exports_tree_node(run->source.tree, key, key_len, &found);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    *count = exports_run_count(&found, run->size);

    if (*count == 0) {
        return EXPORTS_CORRUPT;
    }

    data = (const uint8_t *) found.mv_data + found.mv_size;
    memcpy(&node, (const uint8_t *) found.mv_data - NODE_HEADER, NODE_HEADER);

    if (node.flags & SUBTREE_FLAG) {
        memcpy(&tree, data, sizeof(tree));

        run->root = tree.root;
        run->height = tree.depth;

        return tree.depth > 0 && tree.depth <= EXPORTS_RUN_LEVELS
                   ? EXPORTS_OK : EXPORTS_CORRUPT;
    }

    run->height = 0;
    run->values = node.flags & VALUES_FLAG ? data + PAGE_HEADER : data;
    run->n = *count;

    return EXPORTS_OK;
}


exports_rc_t
exports_run_tree_from(exports_run_t *run, const uint8_t *from)
{
    unsigned      level;
    exports_rc_t  rc;

    if (from == NULL) {
        return descend(run, 0, 0);
    }

    for (level = 0; level < run->height; level++) {

        rc = enter(run, level);

        if (rc == EXPORTS_OK && level < run->height - 1) {
            rc = search(run, &run->levels[level], from);
        }

        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    run->at = search_leaf(run, from);

    return run->at < run->n ? EXPORTS_OK : exports_run_tree_next(run);
}


exports_rc_t
exports_run_tree_last(exports_run_t *run)
{
    return descend(run, 0, 1);
}


exports_rc_t
exports_run_tree_next(exports_run_t *run)
{
    return step(run, 0);
}


exports_rc_t
exports_run_tree_back(exports_run_t *run)
{
    return step(run, 1);
}


/* to the next leaf, or, with "back", to the one before */

static exports_rc_t
step(exports_run_t *run, int back)
{
    unsigned          level;
    exports_rc_t      rc;
    const uint8_t    *values;
    exports_level_t  *branch;

    values = run->values;

    for (level = run->height; level-- > 1; ) {
        branch = &run->levels[level - 1];

        if (back ? branch->at == 0 : branch->at + 1 == branch->n) {
            continue;
        }

        branch->at = back ? branch->at - 1 : branch->at + 1;

        rc = descend(run, level, back);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        return back ? check_order(run, run->values, values)
                    : check_order(run, values, run->values);
    }

    return EXPORTS_NOT_FOUND;
}


/* compares leaves by their first values: so a walk comes to no leaf twice, and
   ends, even if damaged pages lead back to others */

static exports_rc_t
check_order(const exports_run_t *run, const uint8_t *lesser,
    const uint8_t *greater)
{
    return memcmp(lesser, greater, run->size) < 0 ? EXPORTS_OK
                                                  : EXPORTS_CORRUPT;
}


/* from a level down to the leaf, always by the first page, or the last one */

static exports_rc_t
descend(exports_run_t *run, unsigned level, int last)
{
    exports_rc_t  rc;

    for ( /* void */ ; level < run->height; level++) {

        rc = enter(run, level);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        if (last) {
            run->levels[level].at = run->levels[level].n - 1;
        }
    }

    run->at = last ? run->n - 1 : 0;

    return EXPORTS_OK;
}


static exports_rc_t
enter(exports_run_t *run, unsigned level)
{
    int               is_leaf;
    uint64_t          pgno;
    exports_rc_t      rc;
    exports_level_t  *l;

    l = &run->levels[level];
    is_leaf = level == run->height - 1;

    pgno = level == 0 ? run->root
                      : exports_tree_child(run->source.tree, l - 1, l[-1].at);

    rc = exports_tree_enter(run->source.tree, l, pgno,
                            is_leaf ? LEAF_FLAG|LEAF2_FLAG : BRANCH_FLAG);

    return rc == EXPORTS_OK && is_leaf ? set_leaf(run, l->page) : rc;
}


/* both bounds of the free space must agree with the number of values */

static exports_rc_t
set_leaf(exports_run_t *run, const uint8_t *page)
{
    page_header_t  header;

    memcpy(&header, page, sizeof(header));

    run->values = page + PAGE_HEADER;
    run->n = (header.lower - PAGE_HEADER) / sizeof(uint16_t);

    return header.pad == run->size
           && header.lower == PAGE_HEADER + run->n * sizeof(uint16_t)
           && header.upper + run->n * (run->size - sizeof(uint16_t))
              == run->source.tree->page_size
               ? EXPORTS_OK : EXPORTS_CORRUPT;
}


/* to the last page that begins with the value or a lesser one; the first page
   is taken to begin before all values */

static exports_rc_t
search(const exports_run_t *run, exports_level_t *branch, const uint8_t *value)
{
    unsigned        low, high, middle;
    const uint8_t  *key;

    low = 1;
    high = branch->n;

    while (low < high) {
        middle = (low + high) / 2;

        key = exports_tree_key(run->source.tree, branch, middle, run->size);
        if (key == NULL) {
            return EXPORTS_CORRUPT;
        }

        if (exports_order(key, value, run->size) <= 0) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    branch->at = low - 1;

    return EXPORTS_OK;
}


/* the number of values that are less */

static size_t
search_leaf(const exports_run_t *run, const uint8_t *value)
{
    size_t  low, high, middle;

    low = 0;
    high = run->n;

    while (low < high) {
        middle = (low + high) / 2;

        if (exports_order(run->values + middle * run->size, value, run->size)
            < 0)
        {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}
