
/*
 * Prefetches.  Getting a page that is in no cache takes as long as reading
 * several records, and translating its address, if the TLB lacks that, longer
 * still.  So pages are prefetched together, as soon as it is known which ones:
 * the lowest branches while the lists are read, the heads of several leaves
 * before the first leaf is entered, and the nodes of the next leaf when its
 * head is there, which tells where they lie.
 */

#include "exports_private.h"
#include "exports_tree.h"


/* so many leaves are prefetched before the first one is entered, which suits a
   page of 50 */
#define LEAVES_FIRST  14

/* later on, when LEAVES_LEFT are left, they are made LEAVES_AHEAD again: a page
   of 500 is faster if they come a few at a time */
#define LEAVES_AHEAD  8
#define LEAVES_LEFT   4

/* prefetching the nodes that a search compares first pays from here on */
#define MANY_NODES    16


static const uint8_t *leaf_before(const exports_tree_t *tree,
    unsigned before);


void
exports_tree_fetch_branches(const exports_tree_t *tree, const uint8_t *key,
    unsigned more)
{
    unsigned                i;
    const uint8_t          *page, *first;
    const exports_level_t  *above;

    above = &tree->levels[tree->height - 3];
    i = above->at;

    for ( ;; ) {
        page = exports_tree_below(tree, above, i);

        if (page != NULL) {
            exports_fetch_lines(page);
        }

        if (i == 0 || more-- == 0) {
            return;
        }

        /* the key that the page begins with */

        first = exports_tree_key(tree, above, i--, EXPORTS_MANIFEST_KEY_LEN);

        if (first == NULL || memcmp(first, key, 8) != 0) {
            return;
        }
    }
}


/* the seven nodes that the first three steps of a binary search may compare */

void
exports_tree_fetch_middles(const exports_level_t *level)
{
    unsigned  i;

    if (level->n >= MANY_NODES) {
        for (i = 1; i < 8; i++) {
            exports_fetch(level->page
                          + exports_tree_pos(level, i * level->n / 8));
        }
    }
}


void
exports_tree_read_ahead(exports_tree_t *tree)
{
    if (tree->ahead <= LEAVES_LEFT) {
        exports_tree_fetch_heads(tree);
    }

    exports_tree_fetch_nodes(tree, 1);
}


/* the heads of leaves that have not been prefetched yet */

void
exports_tree_fetch_heads(exports_tree_t *tree)
{
    unsigned        n, last;
    const uint8_t  *leaf;

    last = tree->ahead > 0 ? LEAVES_AHEAD : LEAVES_FIRST;

    for (n = tree->ahead > 0 ? tree->ahead + 1 : 0; n <= last; n++) {
        leaf = leaf_before(tree, n);

        if (leaf == NULL) {
            break;
        }

        exports_fetch(leaf);
    }

    tree->ahead = last;
}


void
exports_tree_fetch_nodes(const exports_tree_t *tree, unsigned before)
{
    unsigned        pos;
    const uint8_t  *leaf, *p, *end;

    leaf = leaf_before(tree, before);

    if (leaf == NULL) {
        return;
    }

    end = leaf + exports_tree_get16(leaf + PAGE_LOWER);

    if (end > leaf + CACHE_LINE) {
        end = leaf + CACHE_LINE;
    }

    for (p = leaf + PAGE_HEADER; p < end; p += sizeof(uint16_t)) {
        pos = exports_tree_get16(p);

        if (pos < tree->page_size) {
            exports_fetch(leaf + pos);
            exports_fetch(leaf + pos + CACHE_LINE);
        }
    }
}


/* the leaf that is so many before; NULL: it is not below the same branch */

static const uint8_t *
leaf_before(const exports_tree_t *tree, unsigned before)
{
    const exports_level_t  *above;

    if (tree->height < 2) {
        return before == 0 ? tree->levels[0].page : NULL;
    }

    above = &tree->levels[tree->height - 2];

    if (above->at < before) {
        return NULL;
    }

    return exports_tree_below(tree, above, above->at - before);
}
