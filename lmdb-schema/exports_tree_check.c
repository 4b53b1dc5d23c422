
/* checks all pages of a database, from its root on */

#include <string.h>

#include "exports_private.h"
#include "exports_tree_check.h"


typedef struct {
    const exports_tree_t    *tree;
    exports_env_t           *env;
    exports_page_set_t      *seen;
    exports_page_fault_pt    fault;
    void                    *data;
} check_t;


static exports_rc_t check_below(check_t *c, uint64_t pgno, unsigned height,
    unsigned leaf_kind);
static exports_rc_t check_children(check_t *c, const exports_level_t *page,
    unsigned height, unsigned leaf_kind);
static exports_rc_t check_values(check_t *c, const exports_level_t *leaf);
static exports_rc_t check_value(check_t *c, const uint8_t *node,
    uint64_t leaf);


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

    rc = exports_page_set_make(seen, tree);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    c.tree = tree;
    c.env = reader->env;
    c.seen = seen;
    c.fault = fault;
    c.data = data;

    return tree->height == 0
               ? EXPORTS_OK
               : check_below(&c, tree->root, tree->height, LEAF_FLAG);
}


/* what lies below a damaged page is not checked */

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

    if (!exports_page_set_add(c->seen, pgno, 1)) {
        return c->fault(c->data, pgno, "is there twice");
    }

    fault = exports_tree_page_fault(c->tree, &page, kind);

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


/* the values of a leaf that lie on pages of their own */

static exports_rc_t
check_values(check_t *c, const exports_level_t *leaf)
{
    unsigned        i;
    exports_rc_t    rc;
    page_header_t   header;

    memcpy(&header, leaf->page, sizeof(header));

    for (rc = EXPORTS_OK, i = 0; i < leaf->n && rc == EXPORTS_OK; i++) {
        rc = check_value(c, exports_tree_page_node(leaf, i), header.pgno);
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

        return exports_tree_own_pages(c->tree, node, &pgno, &n)
               && exports_page_set_add(c->seen, pgno, n)
                   ? EXPORTS_OK
                   : c->fault(c->data, leaf, "leads to pages of others");
    }

    return EXPORTS_OK;
}
