
/*
 * Whether pages of a tree are such as LMDB writes them.  It believes their nodes:
 * to delete one it moves all that lie before it by the length that this one says
 * it has, and frees the pages that it says are its value's; when it splits a page
 * or merges two, it copies nodes by their lengths; and of a page that it writes
 * to it frees the one whose number stands in it.  So a wrong bit costs more than
 * its own record, as soon as something near it is written to.
 */

#include <stdlib.h>
#include <string.h>

#include "exports_private.h"
#include "exports_tree_check.h"


/* LMDB's nodes begin at even places */
#define PLACES_MAX  (PAGE_SIZE_MAX / 2)
#define WORD_BITS   64
#define WORDS(n)    (((n) + WORD_BITS - 1) / WORD_BITS)


typedef struct {
    const exports_tree_t    *tree;
    int                      lists;         /* its keys have several values */
    exports_env_t           *env;
    exports_page_set_t      *seen;
    exports_page_fault_pt    fault;
    void                    *data;
} check_t;


static exports_rc_t search(exports_tree_t *tree, int lists,
    const uint8_t *key, size_t len, const uint8_t **node);
static exports_rc_t check_level(const exports_tree_t *tree, unsigned level,
    int lists, exports_page_set_t *sound);
static int may_merge(const exports_tree_t *tree, unsigned level);
static exports_rc_t check_child(const exports_tree_t *tree, unsigned level,
    unsigned i, int lists, exports_page_set_t *sound);
static exports_rc_t check_page(const exports_tree_t *tree,
    const exports_level_t *page, unsigned level, int lists,
    exports_page_set_t *sound);
static int is_between(const exports_tree_t *tree,
    const exports_level_t *above, unsigned i, const exports_level_t *page,
    unsigned level);
static int compare_nodes(const uint8_t *a, const uint8_t *b);
static exports_rc_t check_below(check_t *c, uint64_t pgno, unsigned height,
    unsigned leaf_kind);
static exports_rc_t check_children(check_t *c, const exports_level_t *page,
    unsigned height, unsigned leaf_kind);
static exports_rc_t check_values(check_t *c, const exports_level_t *leaf);
static exports_rc_t check_value(check_t *c, const uint8_t *node,
    uint64_t leaf);
static const char *fault_of(const exports_tree_t *tree,
    const exports_level_t *page, unsigned kind, int lists);
static int is_filled(const exports_tree_t *tree, const exports_level_t *page,
    int is_leaf);
static size_t node_size(const node_header_t *node, int is_leaf);
static int is_value(const uint8_t *node, int lists);
static int own_pages(const exports_tree_t *tree, const uint8_t *node,
    uint64_t *pgno, uint64_t *n);
static int is_run(const exports_tree_t *tree, const exports_level_t *leaf);
static int has_lists(exports_db_t db);
static exports_rc_t make_set(exports_page_set_t *set,
    const exports_tree_t *tree);
static int add_pages(exports_page_set_t *seen, uint64_t pgno, uint64_t n);
static int put(uint64_t *words, size_t bit);
static int has(const uint64_t *words, size_t bit);


static inline const uint8_t *
node_of(const exports_level_t *page, unsigned i)
{
    return page->page + exports_tree_get16(page->page + PAGE_HEADER
                                           + i * sizeof(uint16_t));
}


exports_rc_t
exports_tree_check(exports_reader_t *reader, exports_db_t db,
    exports_page_set_t *seen, exports_page_fault_pt fault, void *data)
{
    check_t          c;
    exports_rc_t     rc;
    exports_tree_t  *tree;

    rc = exports_reader_tree(reader, db, &tree);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (tree == NULL) {
        return EXPORTS_NOT_FOUND;
    }

    rc = make_set(seen, tree);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    c.tree = tree;
    c.lists = has_lists(db);
    c.env = reader->env;
    c.seen = seen;
    c.fault = fault;
    c.data = data;

    return tree->height == 0
               ? EXPORTS_OK
               : check_below(&c, tree->root, tree->height, LEAF_FLAG);
}


exports_rc_t
exports_tree_check_way(exports_tree_t *tree, exports_db_t db,
    exports_page_set_t *sound, const uint8_t *key, size_t len)
{
    int              lists;
    uint64_t         pgno, n;
    unsigned         level;
    exports_rc_t     rc;
    node_header_t    header;
    const uint8_t   *node;

    lists = has_lists(db);

    rc = search(tree, lists, key, len, &node);

    if (rc == EXPORTS_OK) {
        rc = make_set(sound, tree);
    }

    for (level = 0; level < tree->height && rc == EXPORTS_OK; level++) {
        rc = check_level(tree, level, lists, sound);
    }

    if (rc != EXPORTS_OK || node == NULL) {
        return rc;
    }

    memcpy(&header, node, sizeof(header));

    return (header.flags & OVERFLOW_FLAG) && !own_pages(tree, node, &pgno, &n)
               ? EXPORTS_CORRUPT : EXPORTS_OK;
}


/* *node: NULL, if there is none with that key; the levels lead to its place */

static exports_rc_t
search(exports_tree_t *tree, int lists, const uint8_t *key, size_t len,
    const uint8_t **node)
{
    size_t                  key_len;
    MDB_val                 v;
    exports_rc_t            rc;
    const exports_level_t  *leaf;

    /* a key of another length is what a repair may want to delete */

    key_len = tree->key_len;
    tree->key_len = 0;

    rc = lists ? exports_tree_node(tree, key, len, &v)
               : exports_tree_get(tree, key, len, &v);

    tree->key_len = key_len;
    *node = NULL;

    if (rc == EXPORTS_OK && !lists) {
        leaf = &tree->levels[tree->height - 1];
        *node = node_of(leaf, leaf->at);
    }

    return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
}


/* a page on the way, and those beside it where LMDB may merge it with one */

static exports_rc_t
check_level(const exports_tree_t *tree, unsigned level, int lists,
    exports_page_set_t *sound)
{
    unsigned                i, last;
    exports_rc_t            rc;
    const exports_level_t  *above;

    if (level == 0) {
        return check_page(tree, &tree->levels[0], 0, lists, sound);
    }

    above = &tree->levels[level - 1];
    i = above->at;
    last = i;

    if (may_merge(tree, level)) {
        i -= i > 0;
        last += last + 1 < above->n;
    }

    for (rc = EXPORTS_OK; i <= last && rc == EXPORTS_OK; i++) {
        rc = check_child(tree, level, i, lists, sound);
    }

    return rc;
}


/*
 * LMDB merges a leaf when deletions have left it less than a quarter full, and a
 * branch when it has one node.  A writer that deletes more in one go than what
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
    int lists, exports_page_set_t *sound)
{
    exports_rc_t            rc;
    exports_level_t         page;
    const exports_level_t  *above;

    above = &tree->levels[level - 1];

    rc = exports_tree_enter(tree, &page, exports_tree_child(tree, above, i),
                            level == tree->height - 1 ? LEAF_FLAG
                                                      : BRANCH_FLAG);

    if (rc == EXPORTS_OK) {
        rc = check_page(tree, &page, level, lists, sound);
    }

    /* a sound page may be another one's: that depends on where it is met */

    return rc == EXPORTS_OK && !is_between(tree, above, i, &page, level)
               ? EXPORTS_CORRUPT : rc;
}


/* each once for a set */

static exports_rc_t
check_page(const exports_tree_t *tree, const exports_level_t *page,
    unsigned level, int lists, exports_page_set_t *sound)
{
    unsigned  kind;
    uint64_t  pgno;

    pgno = (uint64_t) (page->page - tree->map) / tree->page_size;

    if (has(sound->words, pgno)) {
        return EXPORTS_OK;
    }

    kind = level == tree->height - 1 ? LEAF_FLAG : BRANCH_FLAG;

    if (fault_of(tree, page, kind, lists) != NULL) {
        return EXPORTS_CORRUPT;
    }

    (void) put(sound->words, pgno);

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

    return page->n <= first
           || ((i == 0
                || compare_nodes(node_of(above, i), node_of(page, first)) <= 0)
               && (i + 1 == above->n
                   || compare_nodes(node_of(above, i + 1),
                                    node_of(page, page->n - 1)) > 0));
}


static int
compare_nodes(const uint8_t *a, const uint8_t *b)
{
    return exports_key_order(a + NODE_HEADER,
                             exports_tree_get16(a + NODE_KEY_LEN),
                             b + NODE_HEADER,
                             exports_tree_get16(b + NODE_KEY_LEN));
}


/* what lies below a page that is not sound is not looked at */

static exports_rc_t
check_below(check_t *c, uint64_t pgno, unsigned height, unsigned leaf_kind)
{
    unsigned         kind;
    const char      *fault;
    exports_level_t  page;

    exports_env_step(c->env);

    kind = height == 1 ? leaf_kind : BRANCH_FLAG;

    if (exports_tree_enter(c->tree, &page, pgno, kind) != EXPORTS_OK) {
        return c->fault(c->data, pgno, "is not what has to be there");
    }

    if (!add_pages(c->seen, pgno, 1)) {
        return c->fault(c->data, pgno, "is there twice");
    }

    fault = fault_of(c->tree, &page, kind, c->lists);

    if (fault != NULL) {
        return c->fault(c->data, pgno, fault);
    }

    return height > 1 ? check_children(c, &page, height - 1, leaf_kind)
           : leaf_kind == LEAF_FLAG ? check_values(c, &page)
           : EXPORTS_OK;
}


static exports_rc_t
check_children(check_t *c, const exports_level_t *page, unsigned height,
    unsigned leaf_kind)
{
    unsigned      i;
    exports_rc_t  rc;

    for (rc = EXPORTS_OK, i = 0; i < page->n && rc == EXPORTS_OK; i++) {
        rc = check_below(c, exports_tree_child(c->tree, page, i), height,
                         leaf_kind);
    }

    return rc;
}


/* those that lie elsewhere */

static exports_rc_t
check_values(check_t *c, const exports_level_t *leaf)
{
    unsigned        i;
    exports_rc_t    rc;
    page_header_t   header;

    memcpy(&header, leaf->page, sizeof(header));

    for (rc = EXPORTS_OK, i = 0; i < leaf->n && rc == EXPORTS_OK; i++) {
        rc = check_value(c, node_of(leaf, i), header.pgno);
    }

    return rc;
}


static exports_rc_t
check_value(check_t *c, const uint8_t *node, uint64_t leaf)
{
    tree_t          tree;
    uint64_t        pgno, n;
    node_header_t   header;

    memcpy(&header, node, sizeof(header));

    if (header.flags & SUBTREE_FLAG) {
        memcpy(&tree, node + NODE_HEADER + header.key_len, sizeof(tree));

        return tree.depth > 0 && tree.depth <= EXPORTS_RUN_LEVELS
                   ? check_below(c, tree.root, tree.depth,
                                 LEAF_FLAG|LEAF2_FLAG)
                   : c->fault(c->data, leaf, "leads to no list");
    }

    if (header.flags & OVERFLOW_FLAG) {

        return own_pages(c->tree, node, &pgno, &n)
               && add_pages(c->seen, pgno, n)
                   ? EXPORTS_OK
                   : c->fault(c->data, leaf, "leads to pages of others");
    }

    return EXPORTS_OK;
}


/* NULL: none */

static const char *
fault_of(const exports_tree_t *tree, const exports_level_t *page,
    unsigned kind, int lists)
{
    unsigned        i;
    page_header_t   header;

    memcpy(&header, page->page, sizeof(header));

    /* LMDB would write to one that says it has been copied already */

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
            if (!is_value(node_of(page, i), lists)) {
                return "has a value of another kind";
            }
        }
    }

    return NULL;
}


/*
 * From where they begin to the end of the page its nodes lie one behind the
 * other: each ends where another one begins, and together they are as long.
 */

static int
is_filled(const exports_tree_t *tree, const exports_level_t *page, int is_leaf)
{
    size_t          pos, size, total;
    uint64_t        starts[WORDS(PLACES_MAX + 1)];
    unsigned        i;
    node_header_t   node;

    memset(starts, 0, WORDS(tree->page_size / 2 + 1) * sizeof(uint64_t));
    (void) put(starts, tree->page_size / 2);

    for (i = 0; i < page->n; i++) {
        pos = (size_t) (node_of(page, i) - page->page);

        if (pos % 2 != 0 || pos < page->upper
            || pos > tree->page_size - NODE_HEADER || !put(starts, pos / 2))
        {
            return 0;
        }
    }

    for (total = 0, i = 0; i < page->n; i++) {
        memcpy(&node, node_of(page, i), sizeof(node));

        pos = (size_t) (node_of(page, i) - page->page);
        size = node_size(&node, is_leaf);

        if (size > tree->page_size - pos || !has(starts, (pos + size) / 2)) {
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


/* of facets and ranks, as far as LMDB can be let near it, or of the others */

static int
is_value(const uint8_t *node, int lists)
{
    MDB_val         key;
    node_header_t   header;

    memcpy(&header, node, sizeof(header));

    if (lists) {
        key = exports_mdb_val(node + NODE_HEADER, header.key_len);

        return exports_run_count(&key, 0) > 0;
    }

    return header.flags == 0 || header.flags == OVERFLOW_FLAG;
}


/*
 * Whether the pages that LMDB would free with a value are its own.  One that
 * became shorter keeps as many as it was given at first: in those that it does
 * not need there are remains of it, and what begins with its own number is a
 * page of another one.
 */

static int
own_pages(const exports_tree_t *tree, const uint8_t *node, uint64_t *pgno,
    uint64_t *n)
{
    size_t          size;
    uint32_t        pages;
    uint64_t        i, number;
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
        memcpy(&number, tree->map + (*pgno + i) * tree->page_size,
               sizeof(number));

        if (number == *pgno + i) {
            return 0;
        }
    }

    return 1;
}


/* a leaf of a list's tree: values without nodes */

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


static int
has_lists(exports_db_t db)
{
    return db == DB_FACETS || db == DB_RANKS;
}


/* unless there is one */

static exports_rc_t
make_set(exports_page_set_t *set, const exports_tree_t *tree)
{
    if (set->words == NULL) {
        set->words = calloc(WORDS(tree->pages), sizeof(uint64_t));
        set->n = tree->pages;
    }

    return set->words != NULL ? EXPORTS_OK : EXPORTS_NOMEM;
}


/* 0: one of them is in the set already */

static int
add_pages(exports_page_set_t *seen, uint64_t pgno, uint64_t n)
{
    for ( /* void */ ; n > 0; n--, pgno++) {
        if (pgno >= seen->n || !put(seen->words, pgno)) {
            return 0;
        }
    }

    return 1;
}


/* 0: it is there already */

static int
put(uint64_t *words, size_t bit)
{
    if (has(words, bit)) {
        return 0;
    }

    words[bit / WORD_BITS] |= (uint64_t) 1 << bit % WORD_BITS;

    return 1;
}


static int
has(const uint64_t *words, size_t bit)
{
    return words[bit / WORD_BITS] >> bit % WORD_BITS & 1;
}
