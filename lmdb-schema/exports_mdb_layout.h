
/*
 * exports_mdb_layout.h: what LMDB 0.9 writes on 64-bit machines, as far as it
 * is read without LMDB or checked behind it; private.  From its mdb.c, the same
 * from 0.9.24 to 0.9.32: struct MDB_meta behind the page header on pages 0 and
 * 1, and pages of trees.
 */

#ifndef EXPORTS_MDB_LAYOUT_H
#define EXPORTS_MDB_LAYOUT_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>


#define META_MAGIC      0xbeefc0de
#define META_VERSION    1
#define META_FLAG       0x08            /* P_META in the page header */
#define NO_PAGE         UINT64_MAX      /* the root of an empty tree */

#define PAGE_SIZE_MIN   512
#define PAGE_SIZE_MAX   65536

#define PAGE_HEADER     16
#define PAGE_LOWER      12              /* where in it */
#define NODE_HEADER     8
#define NODE_KEY_LEN    6               /* where in it */
#define BRANCH_FLAG     0x01            /* P_BRANCH, P_LEAF of a page */
#define LEAF_FLAG       0x02
#define OVERFLOW_PAGE_FLAG  0x04        /* P_OVERFLOW: a value too long */
#define LEAF2_FLAG      0x20            /* P_LEAF2: values of one size */
#define SUBPAGE_FLAG    0x40            /* P_SUBP: inside of a node */
#define KIND_FLAGS      0x2f            /* those that say what a page is */
#define OVERFLOW_FLAG   0x01            /* F_BIGDATA of a node */
#define SUBTREE_FLAG    0x02            /* F_SUBDATA: its data is a tree_t */
#define VALUES_FLAG     0x04            /* F_DUPDATA: of values of its key, in
                                           a sub-page if not in that tree */
#define DEPTH_MAX       32              /* of a tree */
#define VALUE_MAX       511             /* MDB_MAXKEYSIZE: where a key may have
                                           several */


typedef struct {
    uint32_t  pad;                      /* of the first: the page size */
    uint16_t  flags;
    uint16_t  depth;
    uint64_t  branch_pages;
    uint64_t  leaf_pages;
    uint64_t  overflow_pages;
    uint64_t  entries;
    uint64_t  root;
} tree_t;

typedef struct {
    uint64_t  pgno;
    uint16_t  pad;
    uint16_t  flags;
    uint32_t  bounds;
    uint32_t  magic;
    uint32_t  version;
    uint64_t  address;
    uint64_t  map_size;
    tree_t    trees[2];
    uint64_t  last_page;
    uint64_t  txnid;
} meta_page_t;

_Static_assert(sizeof(size_t) == 8 && sizeof(meta_page_t) == 152,
               "LMDB's layout on 64-bit machines");

typedef struct {
    uint64_t  pgno;
    uint16_t  pad;
    uint16_t  flags;
    uint16_t  lower;
    uint16_t  upper;
} page_header_t;

typedef struct {
#if __BYTE_ORDER == __LITTLE_ENDIAN
    uint16_t  low;                      /* of the length, of the page below */
    uint16_t  high;
#else
    uint16_t  high;
    uint16_t  low;
#endif
    uint16_t  flags;                    /* or the page's bits from 32 up */
    uint16_t  key_len;
} node_header_t;


/* of a leaf: the length of its value, wherever that lies */

static inline size_t
node_value_len(const node_header_t *node)
{
    return node->low | (size_t) node->high << 16;
}


#endif /* EXPORTS_MDB_LAYOUT_H */
