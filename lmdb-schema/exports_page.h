
/*
 * exports_page.h: one page of a union of lists, newest first.
 *
 * A list is a key of facets: all manifests of a scope that agree in some
 * fields.  Lists of one query are disjoint (they fix the same fields to
 * different values), so that totals are sums and a page is a merge.
 */

#ifndef EXPORTS_PAGE_H
#define EXPORTS_PAGE_H

#include "exports_codec.h"
#include "exports_read.h"


typedef struct {
    uint64_t                scope;
    exports_kind_t          kind;       /* that every item must be of */
    const exports_facet_t  *lists;
    unsigned                nlists;     /* 1 to EXPORTS_LISTS_MAX */
    uint64_t                offset;     /* items to skip */
    unsigned                limit;      /* items; EXPORTS_PAGE_MAX at most */

    /* the scope's, which the lengths of the lists are checked against: read in
       the same snapshot or, of a writer, after its last change.  NULL: they are
       not checked */
    const uint64_t         *counts;
} exports_page_query_t;


/* the items' strings are views into the map: valid until the reader's reset */
typedef struct {
    uint64_t        total;              /* of all lists, whatever the offset */
    unsigned        nitems;
    uint8_t         bad_key[EXPORTS_MANIFEST_KEY_LEN];  /* EXPORTS_CORRUPT */
    exports_item_t  items[EXPORTS_PAGE_MAX];
} exports_page_t;


/*
 * Reads a page in the snapshot of the reader, which must be renewed.  The order
 * is the same everywhere: created descending, then tie descending.
 *
 * EXPORTS_CORRUPT  page->bad_key is the key of a record that is damaged or
 *                  missing, or contradicts the lists; zeros: a list is damaged
 * EXPORTS_INVALID  no lists, too many, or too many items wanted
 * EXPORTS_STALE, EXPORTS_FAILED, EXPORTS_NOMEM  as LMDB reports
 */
exports_rc_t exports_page_read(exports_reader_t *reader,
    const exports_page_query_t *query, exports_page_t *page);

/*
 * The same, and hands over the items, some at a time, as soon as they have been
 * read: their records are then still in the processor's caches.  They are the
 * last n of page->nitems so far; page->total is final.  A visit returns
 * EXPORTS_OK to go on; anything else ends the page and is returned.  It may
 * read manifests by the same reader, but no pages.
 */
typedef exports_rc_t (*exports_items_pt)(void *data,
    const exports_page_t *page, const exports_item_t *items, unsigned n);

exports_rc_t exports_page_visit(exports_reader_t *reader,
    const exports_page_query_t *query, exports_page_t *page,
    exports_items_pt visit, void *data);


#endif /* EXPORTS_PAGE_H */
