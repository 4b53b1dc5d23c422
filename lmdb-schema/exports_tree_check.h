
/*
 * exports_tree_check.h: whether the pages of a tree are such as LMDB writes
 * them; private.
 */

#ifndef EXPORTS_TREE_CHECK_H
#define EXPORTS_TREE_CHECK_H

#include "exports_read.h"
#include "exports_tree.h"


/* pages of a snapshot, a bit each; zeroes: none yet, and the words are for the
   caller to free */
typedef struct {
    uint64_t  *words;
    uint64_t   n;
} exports_page_set_t;

/* What is wrong with a page; what it returns ends the check, unless it is
   EXPORTS_OK. */
typedef exports_rc_t (*exports_page_fault_pt)(void *data, uint64_t pgno,
    const char *text);


/*
 * All pages of a database, those of its lists too: each is what has to be
 * there, is there once, and its nodes and values fill it.  exports_tree_check.c
 *
 * EXPORTS_NOT_FOUND  the kernel does not tell where the map is, or the snapshot
 *                    is a writer's
 * EXPORTS_CORRUPT    where the tree begins cannot be read
 * EXPORTS_NOMEM, EXPORTS_STALE, EXPORTS_FAILED
 */
exports_rc_t exports_tree_check(exports_reader_t *reader, exports_db_t db,
    exports_page_set_t *seen, exports_page_fault_pt fault, void *data);

/*
 * The pages that LMDB may write to when it puts or deletes what is under a key:
 * those on the way to its place, with "merging" those beside them, and of its
 * value, if that has pages of its own, which is then in *value; else its mv_data
 * is NULL.  LMDB frees a page by the number that stands in it, and copies nodes
 * by the lengths that they say they have.  sound: pages of the snapshot that
 * have been looked at, and stay so.  exports_tree_way.c
 *
 * EXPORTS_CORRUPT  others may be lost by that
 * EXPORTS_NOMEM
 */
exports_rc_t exports_tree_check_way(exports_tree_t *tree,
    exports_page_set_t *sound, const uint8_t *key, size_t len, int merging,
    MDB_val *value);


/* exports_tree_page.c */

/* What is wrong with a page of that kind which exports_tree_enter() let pass:
   words to follow its number.  NULL: nothing. */
const char *exports_tree_page_fault(const exports_tree_t *tree,
    const exports_level_t *page, unsigned kind);

/* Whether one of the nodes of a leaf, at least, is such as those of this
   database are: another one's has none. */
int exports_tree_page_is_of(const exports_tree_t *tree,
    const exports_level_t *leaf);

/* of a page that has no fault */

static inline const uint8_t *
exports_tree_page_node(const exports_level_t *page, unsigned i)
{
    return page->page + exports_tree_pos(page, i);
}

/* Whether the pages that LMDB would free with a value are its own: n from pgno
   on. */
int exports_tree_own_pages(const exports_tree_t *tree, const uint8_t *node,
    uint64_t *pgno, uint64_t *n);

/* for all pages of a tree's snapshot, unless it is made already */
exports_rc_t exports_page_set_make(exports_page_set_t *set,
    const exports_tree_t *tree);

/* 0: one of them is in the set already, or can be in none */
int exports_page_set_add(exports_page_set_t *set, uint64_t pgno, uint64_t n);


#define EXPORTS_BITS_WORDS(n)  (((n) + 63) / 64)

static inline int
exports_bits_has(const uint64_t *words, size_t bit)
{
    return words[bit / 64] >> bit % 64 & 1;
}

/* 0: it is there already */

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
