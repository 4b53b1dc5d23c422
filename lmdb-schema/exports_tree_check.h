
/*
 * exports_tree_check.h: whether the pages of a tree are such as LMDB writes
 * them; private.
 */

#ifndef EXPORTS_TREE_CHECK_H
#define EXPORTS_TREE_CHECK_H

#include "exports_read.h"
#include "exports_tree.h"


/* pages of a snapshot that belong to a tree already; zeroes: none yet, and the
   words are for the caller to free */
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
 * there, is there once, and its nodes and values fill it.
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
 * those on the way to its place, and beside them, and of its value, if that has
 * pages of its own.  LMDB frees a page by the number that stands in it, and
 * copies nodes by the lengths that they say they have.  sound: pages of the
 * snapshot that have been looked at, and stay so.
 *
 * EXPORTS_CORRUPT  others may be lost by that
 * EXPORTS_NOMEM
 */
exports_rc_t exports_tree_check_way(exports_tree_t *tree, exports_db_t db,
    exports_page_set_t *sound, const uint8_t *key, size_t len);


#endif /* EXPORTS_TREE_CHECK_H */
