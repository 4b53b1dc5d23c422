
/* the pages that LMDB may write to, from the root to the place of a key */

#include <string.h>

#include "exports_private.h"
#include "exports_tree_check.h"


static exports_rc_t search(exports_tree_t *tree, const uint8_t *key,
    size_t len, const uint8_t **node);
static exports_rc_t check_level(const exports_tree_t *tree, unsigned level,
    int merging, exports_page_set_t *sound);
static exports_rc_t check_child(const exports_tree_t *tree, unsigned level,
    unsigned i, exports_page_set_t *sound);
static exports_rc_t check_page(const exports_tree_t *tree,
    const exports_level_t *page, unsigned level, exports_page_set_t *sound);
static int is_between(const exports_tree_t *tree, unsigned level, unsigned i,
    const exports_level_t *page);
static const uint8_t *lower_bound(const exports_tree_t *tree, unsigned level,
    unsigned i);
static const uint8_t *upper_bound(const exports_tree_t *tree, unsigned level,
    unsigned i);
static int compare_nodes(const uint8_t *a, const uint8_t *b);


exports_rc_t
exports_tree_check_way(exports_tree_t *tree, exports_page_set_t *sound,
    const uint8_t *key, size_t len, int merging, MDB_val *value)
{
    uint64_t         pgno, n;
    unsigned         level;
    exports_rc_t     rc;
    node_header_t    header;
    const uint8_t   *node;

    value->mv_data = NULL;

    rc = search(tree, key, len, &node);

    if (rc == EXPORTS_OK) {
        rc = exports_page_set_make(sound, tree);
    }

    for (level = 0; level < tree->height && rc == EXPORTS_OK; level++) {
        rc = check_level(tree, level, merging, sound);
    }

    if (rc != EXPORTS_OK || node == NULL) {
        return rc;
    }

    memcpy(&header, node, sizeof(header));

    if ((header.flags & OVERFLOW_FLAG) == 0) {
        return EXPORTS_OK;
    }

    return exports_tree_own_pages(tree, node, &pgno, &n)
               ? exports_tree_value(tree, node, value) : EXPORTS_CORRUPT;
}


/* *node: NULL, if there is none with that key; the levels lead to its place */

static exports_rc_t
search(exports_tree_t *tree, const uint8_t *key, size_t len,
    const uint8_t **node)
{
    size_t                  key_len;
    MDB_val                 v;
    exports_rc_t            rc;
    const exports_level_t  *leaf;

    /* a key of another length is what a repair may want to delete */

    key_len = tree->key_len;
    tree->key_len = 0;

    rc = tree->runs ? exports_tree_node(tree, key, len, &v)
                    : exports_tree_get(tree, key, len, &v);

    tree->key_len = key_len;
    *node = NULL;

    if (rc == EXPORTS_OK && !tree->runs) {
        leaf = &tree->levels[tree->height - 1];
        *node = exports_tree_page_node(leaf, leaf->at);
    }

    return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
}


/* A page on the way, and those beside it: LMDB merges a page with one of them
   when deletions have left too little of it, be it by one that was large. */

static exports_rc_t
check_level(const exports_tree_t *tree, unsigned level, int merging,
    exports_page_set_t *sound)
{
    unsigned                i, last;
    exports_rc_t            rc;
    const exports_level_t  *above;

    if (level == 0) {
        return check_page(tree, &tree->levels[0], 0, sound);
    }

    above = &tree->levels[level - 1];
    i = above->at;
    last = i;

    if (merging) {
        i -= i > 0;
        last += last + 1 < above->n;
    }

    for (rc = EXPORTS_OK; i <= last && rc == EXPORTS_OK; i++) {
        rc = check_child(tree, level, i, sound);
    }

    return rc;
}


static exports_rc_t
check_child(const exports_tree_t *tree, unsigned level, unsigned i,
    exports_page_set_t *sound)
{
    exports_rc_t     rc;
    exports_level_t  page;

    rc = exports_tree_enter(tree, &page,
                            exports_tree_child(tree, &tree->levels[level - 1],
                                               i),
                            exports_tree_kind(tree, level));

    if (rc == EXPORTS_OK) {
        rc = check_page(tree, &page, level, sound);
    }

    /* a sound page may be another one's: that depends on where it is met */

    if (rc == EXPORTS_OK
        && (!is_between(tree, level, i, &page)
            || (level == tree->height - 1
                && !exports_tree_page_is_of(tree, &page))))
    {
        return EXPORTS_CORRUPT;
    }

    return rc;
}


/* each once for a set */

static exports_rc_t
check_page(const exports_tree_t *tree, const exports_level_t *page,
    unsigned level, exports_page_set_t *sound)
{
    uint64_t  pgno;

    pgno = (uint64_t) (page->page - tree->map) / tree->page_size;

    if (exports_bits_has(sound->words, pgno)) {
        return EXPORTS_OK;
    }

    if (exports_tree_page_fault(tree, page, exports_tree_kind(tree, level))
        != NULL)
    {
        return EXPORTS_CORRUPT;
    }

    (void) exports_bits_put(sound->words, pgno);

    return EXPORTS_OK;
}


/* whether the keys of a page, the i-th of its level below the way, are those
   that it has to have; nodes of all pages above are sound */

static int
is_between(const exports_tree_t *tree, unsigned level, unsigned i,
    const exports_level_t *page)
{
    unsigned        first;
    const uint8_t  *bound;

    /* the first key of a branch is taken for less than all, whatever it is */

    first = level < tree->height - 1;

    if (page->n <= first) {
        return 1;
    }

    bound = lower_bound(tree, level, i);

    if (bound != NULL
        && compare_nodes(bound, exports_tree_page_node(page, first)) > 0)
    {
        return 0;
    }

    bound = upper_bound(tree, level, i);

    return bound == NULL
           || compare_nodes(bound, exports_tree_page_node(page, page->n - 1))
              > 0;
}


/* the node above by whose key it begins; NULL: with the least of all keys */

static const uint8_t *
lower_bound(const exports_tree_t *tree, unsigned level, unsigned i)
{
    while (i == 0) {
        if (--level == 0) {
            return NULL;
        }

        i = tree->levels[level - 1].at;
    }

    return exports_tree_page_node(&tree->levels[level - 1], i);
}


/* the node above before whose key it ends */

static const uint8_t *
upper_bound(const exports_tree_t *tree, unsigned level, unsigned i)
{
    while (i + 1 == tree->levels[level - 1].n) {
        if (--level == 0) {
            return NULL;
        }

        i = tree->levels[level - 1].at;
    }

    return exports_tree_page_node(&tree->levels[level - 1], i + 1);
}


static int
compare_nodes(const uint8_t *a, const uint8_t *b)
{
    return exports_key_order(a + NODE_HEADER,
                             exports_tree_get16(a + NODE_KEY_LEN),
                             b + NODE_HEADER,
                             exports_tree_get16(b + NODE_KEY_LEN));
}
