
/* checks the pages that LMDB may write to, from the root to a key's place */

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


/* makes the levels lead to the place of a key; *node: NULL, it is not there */

static exports_rc_t
search(exports_tree_t *tree, const uint8_t *key, size_t len,
    const uint8_t **node)
{
    size_t                  key_len;
    MDB_val                 v;
    exports_rc_t            rc;
    const exports_level_t  *leaf;

    /* a repair may want to delete a key of a wrong length */

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


/* Checks a page on the way, and its neighbours: LMDB merges a page with one of
   them when a deletion has left too little of it. */

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

    /* a page may be sound, but in the wrong place: so that is checked each
       time */

    if (rc == EXPORTS_OK
        && (!is_between(tree, level, i, &page)
            || (level == tree->height - 1
                && !exports_tree_page_is_of(tree, &page))))
    {
        return EXPORTS_CORRUPT;
    }

    return rc;
}


/* checks a page, unless it is in the set already */

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


/* Whether the keys of a page, the i-th child of the page above, lie between the
   keys that it must have.  The nodes of all pages above are sound. */

static int
is_between(const exports_tree_t *tree, unsigned level, unsigned i,
    const exports_level_t *page)
{
    unsigned        first;
    const uint8_t  *bound;

    /* LMDB takes the first key of a branch for less than all others */

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


/* the node above with the key that the page begins with; NULL: it begins with
   the least of all keys */

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


/* the node above with the key that the page ends before; NULL: it ends with the
   greatest of all keys */

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
