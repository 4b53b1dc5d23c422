
/* the pages that LMDB may write to, from the root to the place of a key */

#include <string.h>

#include "exports_private.h"
#include "exports_tree_check.h"


static exports_rc_t search(exports_tree_t *tree, const uint8_t *key,
    size_t len, const uint8_t **node);
static exports_rc_t check_level(const exports_tree_t *tree, unsigned level,
    exports_page_set_t *sound);
static int may_merge(const exports_tree_t *tree, unsigned level);
static exports_rc_t check_child(const exports_tree_t *tree, unsigned level,
    unsigned i, exports_page_set_t *sound);
static exports_rc_t check_page(const exports_tree_t *tree,
    const exports_level_t *page, unsigned level, exports_page_set_t *sound);
static int is_between(const exports_tree_t *tree,
    const exports_level_t *above, unsigned i, const exports_level_t *page,
    unsigned level);
static int compare_nodes(const uint8_t *a, const uint8_t *b);


exports_rc_t
exports_tree_check_way(exports_tree_t *tree, exports_page_set_t *sound,
    const uint8_t *key, size_t len)
{
    uint64_t         pgno, n;
    unsigned         level;
    exports_rc_t     rc;
    node_header_t    header;
    const uint8_t   *node;

    rc = search(tree, key, len, &node);

    if (rc == EXPORTS_OK) {
        rc = exports_page_set_make(sound, tree);
    }

    for (level = 0; level < tree->height && rc == EXPORTS_OK; level++) {
        rc = check_level(tree, level, sound);
    }

    if (rc != EXPORTS_OK || node == NULL) {
        return rc;
    }

    memcpy(&header, node, sizeof(header));

    return (header.flags & OVERFLOW_FLAG)
           && !exports_tree_own_pages(tree, node, &pgno, &n)
               ? EXPORTS_CORRUPT : EXPORTS_OK;
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


/* a page on the way, and those beside it where LMDB may merge it with one */

static exports_rc_t
check_level(const exports_tree_t *tree, unsigned level,
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

    if (may_merge(tree, level)) {
        i -= i > 0;
        last += last + 1 < above->n;
    }

    for (rc = EXPORTS_OK; i <= last && rc == EXPORTS_OK; i++) {
        rc = check_child(tree, level, i, sound);
    }

    return rc;
}


/*
 * LMDB merges a leaf when deletions have left it less than a quarter full, and
 * a branch when it has one node.  A writer that deletes more in one go than what
 * this leaves room for meets pages that were not looked at.
 */

static int
may_merge(const exports_tree_t *tree, unsigned level)
{
    const exports_level_t  *page;

    page = &tree->levels[level];

    return level < tree->height - 1 ? page->n < 4
                                    : page->upper > tree->page_size / 2;
}


static exports_rc_t
check_child(const exports_tree_t *tree, unsigned level, unsigned i,
    exports_page_set_t *sound)
{
    exports_rc_t            rc;
    exports_level_t         page;
    const exports_level_t  *above;

    above = &tree->levels[level - 1];

    rc = exports_tree_enter(tree, &page, exports_tree_child(tree, above, i),
                            exports_tree_kind(tree, level));

    if (rc == EXPORTS_OK) {
        rc = check_page(tree, &page, level, sound);
    }

    /* a sound page may be another one's: that depends on where it is met */

    return rc == EXPORTS_OK && !is_between(tree, above, i, &page, level)
               ? EXPORTS_CORRUPT : rc;
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


/* whether the keys of a page, the i-th below, are those that it has to have;
   nodes of both are sound */

static int
is_between(const exports_tree_t *tree, const exports_level_t *above,
    unsigned i, const exports_level_t *page, unsigned level)
{
    unsigned  first;

    /* the first key of a branch is taken for less than all, whatever it is */

    first = level < tree->height - 1;

    if (page->n <= first) {
        return 1;
    }

    if (i > 0
        && compare_nodes(exports_tree_page_node(above, i),
                         exports_tree_page_node(page, first))
           > 0)
    {
        return 0;
    }

    return i + 1 == above->n
           || compare_nodes(exports_tree_page_node(above, i + 1),
                            exports_tree_page_node(page, page->n - 1))
              > 0;
}


static int
compare_nodes(const uint8_t *a, const uint8_t *b)
{
    return exports_key_order(a + NODE_HEADER,
                             exports_tree_get16(a + NODE_KEY_LEN),
                             b + NODE_HEADER,
                             exports_tree_get16(b + NODE_KEY_LEN));
}
