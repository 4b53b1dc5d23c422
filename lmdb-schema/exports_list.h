
/*
 * exports_list.h: lists, their blocks, and several lists as one; private.
 */

#ifndef EXPORTS_LIST_H
#define EXPORTS_LIST_H

#include "exports_codec.h"
#include "exports_read.h"
#include "exports_run.h"


/*
 * A list, read from its newest entry on; the current entry is entries[left -
 * 1].  The leaf's place in the list is known: exports_list.c
 */
typedef struct {
    exports_reader_t       *reader;
    const exports_facet_t  *key;
    exports_run_t           run;
    const uint8_t          *newest;     /* entry */
    const uint8_t          *entries;    /* of the current leaf */
    size_t                  size;       /* entries of it */
    size_t                  left;       /* 0: at the end */
    uint64_t                older;      /* entries of the list before them */
    uint64_t                count;      /* of the list */
    unsigned                checked;    /* its blocks, against its length */

    /* of a page that merges it with others: among these, and what its records
       may have */
    unsigned                number;
    unsigned                statuses;

    /* with which boundary those of a level end that were checked last */
    const uint8_t          *ends[EXPORTS_RANK_LEVELS];
} exports_list_t;

/* Opens n lists, the fastest in the order of their keys, with the first n of
   the reader's cursors at most. */
exports_rc_t exports_lists_open(exports_list_t *lists,
    exports_reader_t *reader, const exports_facet_t *keys, unsigned n);

/* to the newest entry; there must be one */
exports_rc_t exports_list_last(exports_list_t *list);

/* n entries on, towards the oldest */
exports_rc_t exports_list_skip(exports_list_t *list, uint64_t n);

/*
 * To the entry that "newer" ones precede, less than the list has.  These two
 * want the list positioned, and the reader's source of ranks.
 */
exports_rc_t exports_list_seek(exports_list_t *list, uint64_t newer);

/* counts the entries that are newer than one, which need not be in the list;
   the list is left with a leaf near it, without a current entry */
exports_rc_t exports_list_rank(exports_list_t *list, const uint8_t *entry,
    uint64_t *newer);

/*
 * To the leaf that ends the block of what is newer than an entry, or, where that
 * is NULL, of the entry that "index" older ones precede: exports_block.c
 */
exports_rc_t exports_block_find(exports_list_t *list, const uint8_t *entry,
    uint64_t index);

/* the leaf that the run has come to; the next newer one; an entry of the leaf
   to another, as memcmp() */
void exports_list_set_leaf(exports_list_t *list);
exports_rc_t exports_list_newer_leaf(exports_list_t *list);
int exports_list_compare(const exports_list_t *list, size_t i,
    const uint8_t *entry);

static inline const uint8_t *
exports_list_entry(const exports_list_t *list)
{
    return list->entries + (list->left - 1) * EXPORTS_ENTRY_LEN;
}


/*
 * Lists as one: exports_merge.c.  The newest entry of those that are not at
 * their end is the current one of heap[0].
 */
typedef struct {
    exports_reader_t       *reader;
    unsigned                n;
    exports_list_t         *heap[EXPORTS_LISTS_MAX];
} exports_merge_t;

/* at the newest entry of n lists that are open */
exports_rc_t exports_merge_begin(exports_merge_t *merge,
    exports_reader_t *reader, exports_list_t *lists, unsigned n);

/* n entries on, less than there are: only from the newest one */
exports_rc_t exports_merge_skip(exports_merge_t *merge, uint64_t n);

/* an entry on; there must be one */
exports_rc_t exports_merge_next(exports_merge_t *merge);

/*
 * Positions lists, n of them which are not empty, so that the newest "offset"
 * entries of them all have been passed: exports_union.c.  Lists at their end
 * have nothing left.
 */
exports_rc_t exports_union_seek(exports_list_t **lists, unsigned n,
    uint64_t offset, uint64_t *rest);


#endif /* EXPORTS_LIST_H */
