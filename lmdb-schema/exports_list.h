
/*
 * exports_list.h: lists, their blocks, and several lists as one; private.
 */

#ifndef EXPORTS_LIST_H
#define EXPORTS_LIST_H

#include "exports_codec.h"
#include "exports_read.h"
#include "exports_run.h"


/*
 * A list, read from its newest entry on, a leaf at a time: exports_list.c.  The
 * current entry is entries[left - 1].  Entries are stored oldest first, so that
 * a leaf is preceded by older ones.
 */
typedef struct {
    exports_reader_t       *reader;
    const exports_facet_t  *key;
    exports_run_t           run;
    const uint8_t          *newest;     /* entry of the list */
    const uint8_t          *entries;    /* of the current leaf */
    size_t                  size;       /* number of these */
    size_t                  left;       /* of these; 0: the list has ended */
    uint64_t                older;      /* entries before those of the leaf */
    uint64_t                count;      /* entries of the list */
    unsigned                checked;    /* its blocks add up to count */
    unsigned                alone;      /* the page has no other */

    /* in a page that merges lists: which of them it is, and the statuses (bits)
       that its records may have */
    unsigned                number;
    unsigned                statuses;

    /* by level: the end of the part whose blocks were checked last */
    const uint8_t          *ends[EXPORTS_RANK_LEVELS];
} exports_list_t;

/* Opens n lists, with at most the first n of the reader's cursors.  Fastest if
   they come in the order of their keys. */
exports_rc_t exports_lists_open(exports_list_t *lists,
    exports_reader_t *reader, const exports_facet_t *keys, unsigned n);

/* to the newest entry; there must be one */
exports_rc_t exports_list_last(exports_list_t *list);

/* moves on by n entries, towards the oldest */
exports_rc_t exports_list_skip(exports_list_t *list, uint64_t n);

/*
 * Moves to the entry that has so many newer ones, less than the list has
 * entries.  This and the next function need a list that is positioned, and the
 * reader's source of ranks.
 */
exports_rc_t exports_list_seek(exports_list_t *list, uint64_t newer);

/* Counts the entries that are newer than one, which need not be in the list.
   Afterwards the list is at a leaf near it, and has no current entry. */
exports_rc_t exports_list_rank(exports_list_t *list, const uint8_t *entry,
    uint64_t *newer);

/*
 * Moves to the last leaf of a block: of the one that has the oldest entry newer
 * than "entry" or, if that is NULL, the entry with "index" older ones.
 * exports_block.c
 */
exports_rc_t exports_block_find(exports_list_t *list, const uint8_t *entry,
    uint64_t index);

/* takes over the leaf that the run has come to */
void exports_list_set_leaf(exports_list_t *list);

/* moves to the next newer leaf; there must be one */
exports_rc_t exports_list_newer_leaf(exports_list_t *list);

/* compares the i-th entry of the leaf with another, like memcmp() */
int exports_list_compare(const exports_list_t *list, size_t i,
    const uint8_t *entry);

static inline const uint8_t *
exports_list_entry(const exports_list_t *list)
{
    return list->entries + (list->left - 1) * EXPORTS_ENTRY_LEN;
}


/*
 * Several lists as one: exports_merge.c.  The heap has those that are not at
 * their end; the newest of their entries is the current one of heap[0].
 */
typedef struct {
    exports_reader_t       *reader;
    unsigned                n;
    exports_list_t         *heap[EXPORTS_LISTS_MAX];
} exports_merge_t;

/* begins at the newest entry of n open lists */
exports_rc_t exports_merge_begin(exports_merge_t *merge,
    exports_reader_t *reader, exports_list_t *lists, unsigned n);

/* moves on by n entries, less than there are; only from the newest one */
exports_rc_t exports_merge_skip(exports_merge_t *merge, uint64_t n);

/* moves on by an entry; there must be a current one */
exports_rc_t exports_merge_next(exports_merge_t *merge);

/*
 * Positions n lists, none of them empty, near the entry that has "offset" newer
 * ones in all of them together: exports_union.c.  *rest: how many entries are
 * still to be passed.  Lists that are at their end then have nothing left.
 */
exports_rc_t exports_union_seek(exports_list_t **lists, unsigned n,
    uint64_t offset, uint64_t *rest);


#endif /* EXPORTS_LIST_H */
