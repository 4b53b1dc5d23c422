
/*
 * Runs by LMDB's cursor, with checks of what it would trust; and what both ways
 * to read runs have in common.
 */

#include <string.h>

#include "exports_mdb_layout.h"
#include "exports_private.h"
#include "exports_run.h"


/* values of a key: more than any map has room for, and few enough that the sum
   over all lists of a page cannot overflow */
#define COUNT_MAX  ((uint64_t) 1 << 48)


static exports_rc_t find(exports_run_t *run, const uint8_t *key,
    size_t key_len, uint64_t *count);
static exports_rc_t leaf(exports_run_t *run, MDB_cursor_op op,
    const MDB_val *current);
static int sound_leaf(const exports_run_t *run, const MDB_val *values);
static int in_its_node(const exports_run_t *run, const uint8_t *page);
static uint64_t sub_page_count(const uint8_t *page, size_t len, size_t size);
static uint64_t tree_count(const uint8_t *record, size_t size);


exports_rc_t
exports_run_find(exports_run_t *run, const exports_source_t *source,
    const uint8_t *key, size_t key_len, size_t size, uint64_t *count)
{
    run->source = *source;
    run->size = size;
    run->values = NULL;
    run->n = 0;
    run->at = 0;

    return source->tree != NULL
               ? exports_run_tree_find(run, key, key_len, count)
               : find(run, key, key_len, count);
}


/* if no value is asked for, LMDB before 0.9.27 does not look into the node: it
   can be checked before.  Later versions do, and then it is the guard of the
   program that meets what is damaged there. */

static exports_rc_t
find(exports_run_t *run, const uint8_t *key, size_t key_len, uint64_t *count)
{
    int      rc;
    MDB_val  k;

    k = exports_mdb_val(key, key_len);

    rc = mdb_cursor_get(run->source.cursor, &k, NULL, MDB_SET_KEY);

    if (rc != 0) {
        return exports_rc_of_mdb(rc);
    }

    *count = exports_run_count(&k, run->size);

    return *count > 0 ? EXPORTS_OK : EXPORTS_CORRUPT;
}


exports_rc_t
exports_run_from(exports_run_t *run, const exports_source_t *source,
    const uint8_t *key, size_t key_len, const uint8_t *from, size_t size)
{
    int           rc;
    MDB_val       k, v;
    uint64_t      count;
    exports_rc_t  erc;

    erc = exports_run_find(run, source, key, key_len, size, &count);

    if (erc != EXPORTS_OK) {
        return erc;
    }

    if (source->tree != NULL) {
        return exports_run_tree_from(run, from);
    }

    k = exports_mdb_val(key, key_len);
    v = exports_mdb_val(from, size);

    rc = mdb_cursor_get(source->cursor, &k, &v,
                        from != NULL ? MDB_GET_BOTH_RANGE : MDB_SET);

    return rc == 0 ? leaf(run, MDB_GET_MULTIPLE, &v) : exports_rc_of_mdb(rc);
}


exports_rc_t
exports_run_last(exports_run_t *run)
{
    int          rc;
    MDB_val      k, v;
    MDB_cursor  *cursor;

    if (run->source.tree != NULL) {
        return exports_run_tree_last(run);
    }

    cursor = run->source.cursor;

    rc = mdb_cursor_get(cursor, &k, NULL, MDB_GET_CURRENT);

    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET);
    }

    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST_DUP);
    }

    if (rc == 0) {

        /* at the last value MDB_GET_MULTIPLE hands out nothing, unless the
           cursor has come there from the one before */

        rc = mdb_cursor_get(cursor, &k, &v, MDB_PREV_DUP);

        if (rc == 0) {
            rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT_DUP);

        } else if (rc == MDB_NOTFOUND) {
            rc = 0;
        }
    }

    return rc == 0 ? leaf(run, MDB_GET_MULTIPLE, NULL) : exports_rc_of_mdb(rc);
}


exports_rc_t
exports_run_next(exports_run_t *run)
{
    exports_rc_t  rc;

    if (run->source.tree != NULL) {
        return exports_run_tree_next(run);
    }

    rc = leaf(run, MDB_NEXT_MULTIPLE, NULL);
    run->at = 0;

    return rc;
}


exports_rc_t
exports_run_back(exports_run_t *run)
{
    return run->source.tree != NULL ? exports_run_tree_back(run)
                                    : leaf(run, MDB_PREV_MULTIPLE, NULL);
}


uint64_t
exports_run_count(const MDB_val *key, size_t size)
{
    size_t          len;
    node_header_t   node;
    const uint8_t  *data;

    memcpy(&node, (const uint8_t *) key->mv_data - NODE_HEADER, NODE_HEADER);

    len = node_value_len(&node);
    data = (const uint8_t *) key->mv_data + key->mv_size;

    switch (node.flags) {

    case 0:
        return size == 0 ? len <= VALUE_MAX : len == size;

    case VALUES_FLAG:
        return sub_page_count(data, len, size);

    case VALUES_FLAG|SUBTREE_FLAG:
        return len == sizeof(tree_t) ? tree_count(data, size) : 0;

    default:
        return 0;
    }
}


/*
 * Takes the leaf that the cursor is at, or comes to by one of LMDB's *_MULTIPLE
 * operations.  run->at is set to its last value or, unless that is NULL, to
 * "current", a value in it.  A key with one value has no leaf: then LMDB leaves
 * the result as it was, and returns 0.
 */

static exports_rc_t
leaf(exports_run_t *run, MDB_cursor_op op, const MDB_val *current)
{
    int      rc;
    MDB_val  k, v;

    v = exports_mdb_val(NULL, 0);

    rc = mdb_cursor_get(run->source.cursor, &k, &v, op);

    if (rc == 0 && v.mv_size == 0 && op == MDB_GET_MULTIPLE) {
        rc = mdb_cursor_get(run->source.cursor, &k, &v, MDB_GET_CURRENT);

        if (rc == 0 && v.mv_size != run->size) {
            return EXPORTS_CORRUPT;
        }

    } else if (rc == 0 && v.mv_size > 0 && !sound_leaf(run, &v)) {
        return EXPORTS_CORRUPT;
    }

    if (rc != 0) {
        return exports_rc_of_mdb(rc);
    }

    if (v.mv_size == 0 || v.mv_size % run->size != 0) {
        return EXPORTS_CORRUPT;
    }

    run->values = v.mv_data;
    run->n = v.mv_size / run->size;
    run->at = run->n - 1;

    if (current != NULL) {
        run->at = (size_t) ((const uint8_t *) current->mv_data - run->values)
                  / run->size;
    }

    return run->at < run->n ? EXPORTS_OK : EXPORTS_CORRUPT;
}


/*
 * LMDB trusts the leaf's header, which stands before the values: another page
 * in its place would pass for a leaf with some number of values.  Both bounds
 * of the free space follow from the number of values, and the upper one also
 * from the length of the page, which must be one that a page can have.
 */

static int
sound_leaf(const exports_run_t *run, const MDB_val *values)
{
    size_t          n, page_size;
    page_header_t   header;
    const uint8_t  *page;

    page = (const uint8_t *) values->mv_data - PAGE_HEADER;
    memcpy(&header, page, PAGE_HEADER);

    n = values->mv_size / run->size;

    if ((header.flags & KIND_FLAGS) != (LEAF_FLAG|LEAF2_FLAG)
        || header.pad != run->size
        || header.lower != PAGE_HEADER + n * sizeof(uint16_t))
    {
        return 0;
    }

    if (header.flags & SUBPAGE_FLAG) {
        return in_its_node(run, page);
    }

    page_size = header.upper + n * (run->size - sizeof(uint16_t));

    return page_size >= PAGE_SIZE_MIN && (page_size & (page_size - 1)) == 0;
}


/*
 * LMDB tells where the node is.  It must not be looked for before the page: if
 * that only claims to be in a node, there may be no memory before it, for a
 * writer's pages are allocated one by one.
 */

static int
in_its_node(const exports_run_t *run, const uint8_t *page)
{
    MDB_val  k;

    return mdb_cursor_get(run->source.cursor, &k, NULL, MDB_GET_CURRENT) == 0
           && (const uint8_t *) k.mv_data + k.mv_size == page
           && exports_run_count(&k, run->size) > 0;
}


/* the header alone gives the number of values; both together must give the
   length of the node's data */

static uint64_t
sub_page_count(const uint8_t *page, size_t len, size_t size)
{
    size_t         n;
    page_header_t  header;

    if (len < PAGE_HEADER) {
        return 0;
    }

    memcpy(&header, page, PAGE_HEADER);

    if ((header.flags & (KIND_FLAGS|SUBPAGE_FLAG))
            != (LEAF_FLAG|LEAF2_FLAG|SUBPAGE_FLAG)
        || (size != 0 && header.pad != size)
        || header.lower <= PAGE_HEADER
        || header.lower > header.upper
        || header.lower % sizeof(uint16_t) != 0)
    {
        return 0;
    }

    n = (header.lower - PAGE_HEADER) / sizeof(uint16_t);

    return header.upper + n * header.pad == len + n * sizeof(uint16_t) ? n : 0;
}


/* a sub-page of two values has the same length as such a record, in which LMDB
   would find the root of a tree */

static uint64_t
tree_count(const uint8_t *record, size_t size)
{
    tree_t  tree;

    memcpy(&tree, record, sizeof(tree));

    return tree.flags == MDB_DUPFIXED && (size == 0 || tree.pad == size)
           && tree.entries <= COUNT_MAX
               ? tree.entries : 0;
}


size_t
exports_run_until(const exports_run_t *run, const uint8_t *entry)
{
    size_t  low, high, middle;

    low = 0;
    high = run->n;

    while (low < high) {
        middle = (low + high) / 2;

        if (exports_order(run->values + middle * run->size, entry,
                          EXPORTS_ENTRY_LEN)
            <= 0)
        {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


exports_rc_t
exports_run_blocks(MDB_cursor *facets, const uint8_t *key, size_t len,
    exports_block_pt visit, void *data)
{
    size_t            n;
    uint8_t           rank[EXPORTS_RANK_KEY_MAX], block[EXPORTS_RANK_LEN];
    uint64_t          count, stored, before[EXPORTS_RANK_LEVELS];
    unsigned          level, height;
    exports_rc_t      rc;
    exports_run_t     run;
    exports_source_t  source = { NULL, facets };
    const uint8_t    *entry;

    memset(before, 0, sizeof(before));
    stored = 0;
    count = 0;

    rc = exports_run_find(&run, &source, key, len, EXPORTS_ENTRY_LEN, &stored);

    if (rc != EXPORTS_OK) {
        return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
    }

    rc = exports_run_from(&run, &source, key, len, NULL, EXPORTS_ENTRY_LEN);

    while (rc == EXPORTS_OK && run.at < run.n) {
        entry = run.values + run.at * EXPORTS_ENTRY_LEN;
        height = exports_rank_height(entry);

        /* leaves that lead back to others would never end */

        if (++count > stored) {
            return EXPORTS_CORRUPT;
        }

        for (level = 1; level <= height && rc == EXPORTS_OK; level++) {
            n = exports_rank_key(rank, key, len, level);
            memcpy(block, entry, EXPORTS_ENTRY_LEN);
            exports_rank_encode(block, count - before[level - 1], rank, n);
            before[level - 1] = count;

            rc = visit(data, level, rank, n, block);
        }

        if (rc == EXPORTS_OK && ++run.at == run.n) {
            rc = exports_run_next(&run);
        }
    }

    if (rc != EXPORTS_NOT_FOUND) {
        return rc;
    }

    return count == stored ? EXPORTS_OK : EXPORTS_CORRUPT;
}
