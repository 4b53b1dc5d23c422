
/*
 * exports_tree_check.h: whether the pages of a tree are as LMDB writes them;
 * private.
 */

#ifndef EXPORTS_TREE_CHECK_H
#define EXPORTS_TREE_CHECK_H

#include "exports_read.h"
#include "exports_tree.h"


/* A set of pages of a snapshot, a bit each.  Begins as zeroes; the caller frees
   the words. */
typedef struct {
    uint64_t  *words;
    uint64_t   n;
} exports_page_set_t;

/* Is told what is wrong with a page.  Returns EXPORTS_OK to go on; anything
   else ends the check and is returned. */
typedef exports_rc_t (*exports_page_fault_pt)(void *data, uint64_t pgno,
    const char *text);


/*
 * Checks all pages of a database, those of its lists, too: each must be of the
 * right kind, occur once, and be filled by its nodes and values.  Pages are
 * added to "seen".  exports_tree_check.c
 *
 * EXPORTS_NOT_FOUND  the kernel does not tell where the map is, or the snapshot
 *                    is a writer's
 * EXPORTS_CORRUPT    the root cannot be found
 * EXPORTS_NOMEM, EXPORTS_STALE, EXPORTS_FAILED
 */
exports_rc_t exports_tree_check(exports_reader_t *reader, exports_db_t db,
    exports_page_set_t *seen, exports_page_fault_pt fault, void *data);

/*
 * Checks the pages that LMDB may write to when it puts or deletes what is under
 * a key: those on the way to its place; with "merging" their neighbours, too;
 * and those of a value that has pages of its own.  *value is such a value, else
 * its mv_data is NULL.  They have to be checked because LMDB frees a page by
 * the number stored in it, and copies nodes by the lengths stored in them.
 * sound: the pages of this snapshot that have been checked before; more are
 * added.  exports_tree_way.c
 *
 * EXPORTS_CORRUPT  writing there may destroy other entries
 * EXPORTS_NOMEM
 */
exports_rc_t exports_tree_check_way(exports_tree_t *tree,
    exports_page_set_t *sound, const uint8_t *key, size_t len, int merging,
    MDB_val *value);


/* exports_tree_page.c */

/* What is wrong with a page that exports_tree_enter() has accepted as one of
   that kind: words to follow its number.  NULL: nothing. */
const char *exports_tree_page_fault(const exports_tree_t *tree,
    const exports_level_t *page, unsigned kind);

/* Whether at least one node of a leaf is like those of this database: a leaf of
   another database has none. */
int exports_tree_page_is_of(const exports_tree_t *tree,
    const exports_level_t *leaf);

/* only for a page without a fault */

static inline const uint8_t *
exports_tree_page_node(const exports_level_t *page, unsigned i)
{
    return page->page + exports_tree_pos(page, i);
}

/* Whether the pages that LMDB would free with the value of a node are the
   value's own: *n of them, from *pgno on. */
int exports_tree_own_pages(const exports_tree_t *tree, const uint8_t *node,
    uint64_t *pgno, uint64_t *n);

/* makes room for all pages of a tree's snapshot, unless that is done already */
exports_rc_t exports_page_set_make(exports_page_set_t *set,
    const exports_tree_t *tree);

/* adds n pages; 0: one of them is in the set already, or cannot exist */
int exports_page_set_add(exports_page_set_t *set, uint64_t pgno, uint64_t n);


#define EXPORTS_BITS_WORDS(n)  (((n) + 63) / 64)

static inline int
exports_bits_has(const uint64_t *words, size_t bit)
{
    return words[bit / 64] >> bit % 64 & 1;
}

/* sets a bit; 0: it was set already */

static inline int
exports_bits_put(uint64_t *words, size_t bit)
{
    if (exports_bits_has(words, bit)) {
        return 0;
    }

    words[bit / 64] |= (uint64_t) 1 << bit % 64;

    return 1;
}


#endif /* EXPORTS_TREE_CHECK_H */
