
/*
 * exports_mdb_layout.h: the part of LMDB's file format (0.9, 64-bit machines)
 * that is read or checked without LMDB; private.  From its mdb.c, where it is
 * the same from 0.9.24 to 0.9.32: pages 0 and 1, a struct MDB_meta after the
 * page header, and the pages of trees.
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
#define PAGE_LOWER      12              /* its offset in the page header */
#define NODE_HEADER     8
#define NODE_KEY_LEN    6               /* its offset in the node header */
#define BRANCH_FLAG     0x01            /* P_BRANCH, P_LEAF of a page */
#define LEAF_FLAG       0x02
#define OVERFLOW_PAGE_FLAG  0x04        /* P_OVERFLOW: of a long value */
#define LEAF2_FLAG      0x20            /* P_LEAF2: values of one size */
#define SUBPAGE_FLAG    0x40            /* P_SUBP: inside a node */
#define KIND_FLAGS      0x2f            /* those that say what a page is */
#define OVERFLOW_FLAG   0x01            /* F_BIGDATA of a node: its value is on
                                           overflow pages */
#define SUBTREE_FLAG    0x02            /* F_SUBDATA: its data is a tree_t */
#define VALUES_FLAG     0x04            /* F_DUPDATA: its key has values, in a
                                           sub-page or, with SUBTREE_FLAG, in a
                                           tree */
#define DEPTH_MAX       32              /* of a tree */
#define VALUE_MAX       511             /* MDB_MAXKEYSIZE: of values where a key
                                           may have several */


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


/* for a node of a leaf: the length of its value, wherever that lies */

static inline size_t
node_value_len(const node_header_t *node)
{
    return node->low | (size_t) node->high << 16;
}


#endif /* EXPORTS_MDB_LAYOUT_H */
