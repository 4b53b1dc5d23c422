
/*
 * Whether a page is as LMDB writes it.  LMDB trusts the nodes of a page: when
 * it deletes one, it moves all nodes before it by the length stored in that
 * node, and frees the pages that it names; when it splits a page or merges two,
 * it copies nodes by their lengths; and when it writes to a page, it frees the
 * one whose number is stored there.  So a single wrong bit destroys more than
 * its own record, as soon as something near it is written.
 */

#include <stdlib.h>
#include <string.h>

#include "exports_private.h"
#include "exports_tree_check.h"


/* LMDB's nodes begin at even places */
#define PLACES_MAX  (PAGE_SIZE_MAX / 2)


static int is_filled(const exports_tree_t *tree, const exports_level_t *page,
    int is_leaf);
static size_t node_size(const node_header_t *node, int is_leaf);
static int is_value(const exports_tree_t *tree, const uint8_t *node);
static int is_page(const exports_tree_t *tree, uint64_t pgno);
static int is_run(const exports_tree_t *tree, const exports_level_t *leaf);


const char *
exports_tree_page_fault(const exports_tree_t *tree,
    const exports_level_t *page, unsigned kind)
{
    unsigned        i;
    page_header_t   header;

    memcpy(&header, page->page, sizeof(header));

    /* LMDB would write in place to a page that claims to be a copy already */

    if (header.flags != kind) {
        return "has flags of a page that is being written";
    }

    if (kind & LEAF2_FLAG) {
        return is_run(tree, page) ? NULL : "has the bounds of another one";
    }

    if (!is_filled(tree, page, kind == LEAF_FLAG)) {
        return "has nodes that overlap, or leave gaps";
    }

    if (kind == LEAF_FLAG) {

        for (i = 0; i < page->n; i++) {
            if (!is_value(tree, exports_tree_page_node(page, i))) {
                return "has a value of another kind";
            }
        }
    }

    return NULL;
}


/*
 * Whether the nodes fill the page from where they begin to its end: each must
 * end where another one begins, and together they must be as long.
 */

static int
is_filled(const exports_tree_t *tree, const exports_level_t *page, int is_leaf)
{
    size_t          pos, size, total;
    uint64_t        starts[EXPORTS_BITS_WORDS(PLACES_MAX + 1)];
    unsigned        i;
    node_header_t   node;

    memset(starts, 0,
           EXPORTS_BITS_WORDS(tree->page_size / 2 + 1) * sizeof(uint64_t));
    (void) exports_bits_put(starts, tree->page_size / 2);

    for (i = 0; i < page->n; i++) {
        pos = (size_t) (exports_tree_page_node(page, i) - page->page);

        if (pos % 2 != 0 || pos < page->upper
            || pos > tree->page_size - NODE_HEADER
            || !exports_bits_put(starts, pos / 2))
        {
            return 0;
        }
    }

    for (total = 0, i = 0; i < page->n; i++) {
        memcpy(&node, exports_tree_page_node(page, i), sizeof(node));

        pos = (size_t) (exports_tree_page_node(page, i) - page->page);
        size = node_size(&node, is_leaf);

        if (size > tree->page_size - pos
            || !exports_bits_has(starts, (pos + size) / 2))
        {
            return 0;
        }

        total += size;
    }

    return total == tree->page_size - page->upper;
}


static size_t
node_size(const node_header_t *node, int is_leaf)
{
    size_t  size;

    size = NODE_HEADER + (size_t) node->key_len;

    if (is_leaf) {
        size += node->flags & OVERFLOW_FLAG
                    ? sizeof(uint64_t)
                    : node_value_len(node);
    }

    return size + size % 2;
}


/* whether the value is of a kind that the database has; for facets and ranks
   also whether LMDB can read it */

static int
is_value(const exports_tree_t *tree, const uint8_t *node)
{
    MDB_val         key;
    node_header_t   header;

    memcpy(&header, node, sizeof(header));

    if (tree->runs) {
        key = exports_mdb_val(node + NODE_HEADER, header.key_len);

        return exports_run_count(&key, 0) > 0;
    }

    return header.flags == 0 || header.flags == OVERFLOW_FLAG;
}


int
exports_tree_page_is_of(const exports_tree_t *tree,
    const exports_level_t *leaf)
{
    unsigned        i;
    MDB_val         key;
    node_header_t   node;

    for (i = 0; i < leaf->n; i++) {
        memcpy(&node, exports_tree_page_node(leaf, i), sizeof(node));

        key = exports_mdb_val(exports_tree_page_node(leaf, i) + NODE_HEADER,
                              node.key_len);

        if (tree->runs ? exports_run_count(&key, tree->value_len) > 0
                       : (tree->key_len == 0 || node.key_len == tree->key_len)
                         && (tree->value_len == 0
                             || node_value_len(&node) == tree->value_len))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * A value that has become shorter keeps all the pages that it got at first.
 * Those it no longer needs have remains of it; one that looks like a page shows
 * that they are not its own.
 */

int
exports_tree_own_pages(const exports_tree_t *tree, const uint8_t *node,
    uint64_t *pgno, uint64_t *n)
{
    size_t          size;
    uint32_t        pages;
    uint64_t        i;
    node_header_t   header;
    page_header_t   page;

    memcpy(&header, node, sizeof(header));
    memcpy(pgno, node + NODE_HEADER + header.key_len, sizeof(*pgno));

    if (*pgno >= tree->pages) {
        return 0;
    }

    memcpy(&page, tree->map + *pgno * tree->page_size, sizeof(page));
    memcpy(&pages, tree->map + *pgno * tree->page_size + PAGE_LOWER,
           sizeof(pages));

    size = PAGE_HEADER + node_value_len(&header);
    *n = pages;

    if (page.pgno != *pgno || page.flags != OVERFLOW_PAGE_FLAG
        || pages > tree->pages - *pgno || pages * tree->page_size < size)
    {
        return 0;
    }

    for (i = (size + tree->page_size - 1) / tree->page_size; i < *n; i++) {
        if (is_page(tree, *pgno + i)) {
            return 0;
        }
    }

    return 1;
}


/* Whether there is a page, and not remains of a value.  These may begin with
   the number of the page by chance, such as a byte and then zeroes: so the rest
   of the header has to look like that of a page, too. */

static int
is_page(const exports_tree_t *tree, uint64_t pgno)
{
    page_header_t  page;

    memcpy(&page, tree->map + pgno * tree->page_size, sizeof(page));

    if (page.pgno != pgno) {
        return 0;
    }

    switch (page.flags) {

    case OVERFLOW_PAGE_FLAG:
        return 1;

    case BRANCH_FLAG:
    case LEAF_FLAG:
    case LEAF_FLAG|LEAF2_FLAG:
        return page.lower >= PAGE_HEADER && page.lower <= page.upper
               && page.upper <= tree->page_size;

    default:
        return 0;
    }
}


/* whether a leaf is one of a list's tree: values without nodes */

static int
is_run(const exports_tree_t *tree, const exports_level_t *leaf)
{
    page_header_t  header;

    memcpy(&header, leaf->page, sizeof(header));

    return header.pad >= sizeof(uint16_t)
           && header.lower % sizeof(uint16_t) == 0
           && header.upper + leaf->n * (header.pad - sizeof(uint16_t))
              == tree->page_size;
}


exports_rc_t
exports_page_set_make(exports_page_set_t *set, const exports_tree_t *tree)
{
    if (set->words == NULL) {
        set->words = calloc(EXPORTS_BITS_WORDS(tree->pages), sizeof(uint64_t));
        set->n = tree->pages;
    }

    return set->words != NULL ? EXPORTS_OK : EXPORTS_NOMEM;
}


int
exports_page_set_add(exports_page_set_t *set, uint64_t pgno, uint64_t n)
{
    for ( /* void */ ; n > 0; n--, pgno++) {
        if (pgno >= set->n || !exports_bits_put(set->words, pgno)) {
            return 0;
        }
    }

    return 1;
}
