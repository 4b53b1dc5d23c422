
/*
 * Two ways lead to a page.  The manifests of a scope lie in the order of its
 * pages, so that one range read backward serves the list of all, and a list by
 * status as long as most records pass ("scan").  Otherwise the lists in facets
 * are merged and each record is read by its key ("merge").  Offsets are taken
 * from the lists.  A scan is held against them, and their length against the
 * counts of the scope: a damaged tree that lacks some records, or lists, would
 * look like a sound one.
 */

#include <string.h>

#include "exports_private.h"


/* a scan gives way to the lists after this many misses, and two a hit */
#define SCAN_MISSES     32

#define ALL_STATUSES    0xffffffff


typedef struct {
    exports_reader_t            *reader;
    const exports_page_query_t  *query;
    exports_page_t              *page;
    uint64_t                     created;   /* of the record before */
    uint64_t                     tie;
    unsigned                     statuses;  /* to scan for; 0: no scan */
    unsigned                     nheap;
    exports_list_t              *heap[EXPORTS_LISTS_MAX];
    exports_list_t               lists[EXPORTS_LISTS_MAX];
} walk_t;


static exports_rc_t read_page(walk_t *w);
static exports_rc_t count_lists(walk_t *w);
static exports_rc_t check_total(walk_t *w);
static uint64_t count_of(const uint64_t *counts, unsigned statuses);
static unsigned scan_statuses(const exports_page_query_t *query);
static exports_rc_t scan(walk_t *w, unsigned want);
static exports_rc_t scanned(walk_t *w, const uint8_t *found);
static exports_rc_t merge(walk_t *w, unsigned want);
static exports_rc_t add_item(walk_t *w, const uint8_t *key,
    const MDB_val *value, unsigned statuses);
static void set_key(uint8_t *key, uint64_t scope, const uint8_t *entry);

static exports_rc_t heap_build(walk_t *w);
static void heapify(walk_t *w);
static exports_rc_t heap_skip(walk_t *w, uint64_t n);
static exports_rc_t heap_pop(walk_t *w);
static void heap_down(walk_t *w, unsigned i);
static int newer(const exports_list_t *a, const exports_list_t *b);


exports_rc_t
exports_page_read(exports_reader_t *reader, const exports_page_query_t *query,
    exports_page_t *page)
{
    walk_t        w;
    exports_rc_t  rc;

    page->nitems = 0;
    page->total = 0;
    memset(page->bad_key, 0, sizeof(page->bad_key));

    w.reader = reader;
    w.query = query;
    w.page = page;
    w.created = UINT64_MAX;
    w.tie = UINT64_MAX;
    w.nheap = 0;

    rc = read_page(&w);

    if (reader->borrowed) {
        exports_reader_close_cursors(reader);
    }

    return rc;
}


static exports_rc_t
read_page(walk_t *w)
{
    unsigned                     want;
    exports_rc_t                 rc;
    exports_page_t              *page;
    const exports_page_query_t  *query;

    page = w->page;
    query = w->query;

    rc = count_lists(w);

    if (rc != EXPORTS_OK || query->offset >= page->total || query->limit == 0)
    {
        return rc;
    }

    want = query->limit;

    if (want > page->total - query->offset) {
        want = (unsigned) (page->total - query->offset);
    }

    rc = exports_reader_cursor(w->reader, DB_MANIFESTS, &w->reader->manifests);

    if (rc == EXPORTS_OK) {
        rc = heap_build(w);
    }

    if (rc == EXPORTS_OK && query->offset > 0) {
        rc = heap_skip(w, query->offset);
    }

    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (w->nheap == 0) {
        return EXPORTS_CORRUPT;
    }

    w->statuses = scan_statuses(query);

    if (w->statuses != 0) {
        rc = scan(w, want);
    }

    /* a scan gives up after too many misses: on from where it is */

    return rc == EXPORTS_OK ? merge(w, want) : rc;
}


static exports_rc_t
count_lists(walk_t *w)
{
    unsigned      i;
    exports_rc_t  rc;

    for (i = 0; i < w->query->nlists; i++) {
        rc = exports_list_open(&w->lists[i], w->reader, i,
                               &w->query->lists[i]);

        if (rc != EXPORTS_OK) {
            return rc;
        }

        w->page->total += w->lists[i].count;
    }

    return w->query->counts != NULL ? check_total(w) : EXPORTS_OK;
}


/*
 * Lists that fix more than the status have no length that is known.  Where they
 * are empty, the list of all tells whether lists can be found at all.
 */

static exports_rc_t
check_total(walk_t *w)
{
    uint64_t                     most, total;
    unsigned                     i, statuses;
    exports_rc_t                 rc;
    const uint8_t               *key;
    exports_facet_t              all;
    const exports_page_query_t  *query;

    query = w->query;
    total = w->page->total;

    for (statuses = 0, i = 0; i < query->nlists; i++) {
        key = query->lists[i].bytes;
        statuses |= (key[8] & EXPORTS_FACET_STATUS) ? 1U << key[9]
                                                    : ALL_STATUSES;
    }

    most = count_of(query->counts, statuses);

    if (total > most || (total < most && scan_statuses(query) != 0)) {
        return EXPORTS_CORRUPT;
    }

    if (total > 0 || most == 0) {
        return EXPORTS_OK;
    }

    exports_facet_key(&all, query->scope, EXPORTS_FACET_ALL, NULL);

    rc = exports_list_open(&w->lists[0], w->reader, 0, &all);

    if (rc == EXPORTS_OK
        && w->lists[0].count != count_of(query->counts, ALL_STATUSES))
    {
        return EXPORTS_CORRUPT;
    }

    return rc;
}


static uint64_t
count_of(const uint64_t *counts, unsigned statuses)
{
    unsigned  i;
    uint64_t  sum;

    for (sum = 0, i = 0; i < EXPORTS_STATUSES; i++) {
        if (statuses & (1U << (i + 1))) {
            sum += counts[i];
        }
    }

    return sum;
}


/* the set of statuses that the lists stand for, if they fix nothing else */

static unsigned
scan_statuses(const exports_page_query_t *query)
{
    unsigned        i, statuses;
    const uint8_t  *key;

    for (statuses = 0, i = 0; i < query->nlists; i++) {
        key = query->lists[i].bytes;

        if (key[8] == EXPORTS_FACET_ALL) {
            return ALL_STATUSES;
        }

        if (key[8] != EXPORTS_FACET_STATUS) {
            return 0;
        }

        statuses |= 1U << key[9];
    }

    return statuses;
}


static exports_rc_t
scan(walk_t *w, unsigned want)
{
    int            rc;
    uint8_t        key[EXPORTS_MANIFEST_KEY_LEN];
    MDB_val        k, v;
    unsigned       misses, before;
    MDB_cursor    *cursor;
    exports_rc_t   erc;

    cursor = w->reader->manifests;

    set_key(key, w->query->scope, exports_list_entry(w->heap[0]));

    k.mv_data = key;
    k.mv_size = EXPORTS_MANIFEST_KEY_LEN;

    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_KEY);

    for (misses = 0;
         misses <= SCAN_MISSES + 2 * w->page->nitems;
         rc = mdb_cursor_get(cursor, &k, &v, MDB_PREV))
    {
        if (rc != 0 && rc != MDB_NOTFOUND) {
            return exports_rc_of_mdb(rc);
        }

        if (rc == MDB_NOTFOUND || k.mv_size != EXPORTS_MANIFEST_KEY_LEN
            || exports_get64(k.mv_data) != w->query->scope)
        {
            /* the lists promised more than there is */

            return scanned(w, NULL);
        }

        before = w->page->nitems;

        erc = add_item(w, k.mv_data, &v, w->statuses);
        if (erc != EXPORTS_OK) {
            return erc;
        }

        if (w->page->nitems == before) {
            misses++;
            continue;
        }

        erc = scanned(w, (const uint8_t *) k.mv_data + 8);
        if (erc != EXPORTS_OK || w->page->nitems == want) {
            return erc;
        }
    }

    return EXPORTS_OK;
}


/* the entry of what a scan has found, or NULL: it must be what comes next */

static exports_rc_t
scanned(walk_t *w, const uint8_t *found)
{
    const uint8_t  *next;

    next = w->nheap > 0 ? exports_list_entry(w->heap[0]) : NULL;

    if (next != NULL && found != NULL
        && memcmp(next, found, EXPORTS_ENTRY_LEN) == 0)
    {
        return heap_pop(w);
    }

    /* the newer one is what the other side lacks */

    if (next == NULL || (found != NULL && memcmp(next, found,
                                                 EXPORTS_ENTRY_LEN) < 0))
    {
        next = found;
    }

    if (next != NULL) {
        set_key(w->page->bad_key, w->query->scope, next);
    }

    return EXPORTS_CORRUPT;
}


static exports_rc_t
merge(walk_t *w, unsigned want)
{
    int             rc;
    uint8_t         key[EXPORTS_MANIFEST_KEY_LEN];
    MDB_val         k, v;
    unsigned        statuses, before;
    exports_rc_t    erc;
    const uint8_t  *facet;
    exports_list_t *list;

    while (w->page->nitems < want) {

        if (w->nheap == 0) {
            return EXPORTS_CORRUPT;
        }

        list = w->heap[0];
        facet = list->key->bytes;
        statuses = (facet[8] & EXPORTS_FACET_STATUS) ? 1U << facet[9]
                                                     : ALL_STATUSES;

        set_key(key, w->query->scope, exports_list_entry(list));

        k.mv_data = key;
        k.mv_size = EXPORTS_MANIFEST_KEY_LEN;

        before = w->page->nitems;
        rc = mdb_cursor_get(w->reader->manifests, &k, &v, MDB_SET);

        erc = rc == 0 ? add_item(w, key, &v, statuses) : exports_rc_of_mdb(rc);

        if (erc == EXPORTS_NOT_FOUND
            || (erc == EXPORTS_OK && w->page->nitems == before))
        {
            memcpy(w->page->bad_key, key, EXPORTS_MANIFEST_KEY_LEN);
            return EXPORTS_CORRUPT;
        }

        if (erc == EXPORTS_OK) {
            erc = heap_pop(w);
        }

        if (erc != EXPORTS_OK) {
            return erc;
        }
    }

    return EXPORTS_OK;
}


/*
 * The checksum before the status: a page must not lack what was damaged.  And
 * each record older than the one before, which also a tree whose pages are
 * mixed up can be found out by.
 */

static exports_rc_t
add_item(walk_t *w, const uint8_t *key, const MDB_val *value,
    unsigned statuses)
{
    uint64_t         created, tie;
    exports_item_t  *item;

    item = &w->page->items[w->page->nitems];
    created = exports_get64(key + 8);
    tie = exports_get64(key + 16);

    if (exports_item_decode(item, key, value->mv_data, value->mv_size)
            != EXPORTS_OK
        || item->kind != w->query->kind
        || created > w->created
        || (created == w->created && tie >= w->tie))
    {
        memcpy(w->page->bad_key, key, EXPORTS_MANIFEST_KEY_LEN);
        return EXPORTS_CORRUPT;
    }

    w->created = created;
    w->tie = tie;

    if (statuses & (1U << item->status)) {
        w->page->nitems++;
    }

    return EXPORTS_OK;
}


static void
set_key(uint8_t *key, uint64_t scope, const uint8_t *entry)
{
    exports_put64(key, scope);
    memcpy(key + 8, entry, EXPORTS_ENTRY_LEN);
}


static exports_rc_t
heap_build(walk_t *w)
{
    unsigned         i;
    exports_rc_t     rc;
    exports_list_t  *list;

    w->nheap = 0;

    for (i = 0; i < w->query->nlists; i++) {
        list = &w->lists[i];

        if (list->count == 0) {
            continue;
        }

        rc = exports_list_last(list);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        w->heap[w->nheap++] = list;
    }

    heapify(w);

    return EXPORTS_OK;
}


static void
heapify(walk_t *w)
{
    unsigned  i;

    for (i = w->nheap / 2; i > 0; i--) {
        heap_down(w, i - 1);
    }
}


/* less than there is */

static exports_rc_t
heap_skip(walk_t *w, uint64_t n)
{
    unsigned      i, left;
    exports_rc_t  rc;

    rc = exports_reader_cursor(w->reader, DB_RANKS, &w->reader->ranks);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (w->nheap == 1) {
        return exports_list_seek(w->heap[0], n);
    }

    rc = exports_union_seek(w->heap, w->nheap, n, &n);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    for (left = 0, i = 0; i < w->nheap; i++) {
        if (w->heap[i]->left > 0) {
            w->heap[left++] = w->heap[i];
        }
    }

    w->nheap = left;
    heapify(w);

    for ( /* void */ ; n > 0 && w->nheap > 0; n--) {
        rc = heap_pop(w);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return EXPORTS_OK;
}


static exports_rc_t
heap_pop(walk_t *w)
{
    exports_rc_t     rc;
    exports_list_t  *list;

    list = w->heap[0];

    if (list->left > 1) {
        list->left--;

    } else {
        rc = exports_list_skip(list, 1);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        if (list->left == 0) {
            w->heap[0] = w->heap[--w->nheap];
        }
    }

    if (w->nheap > 1) {
        heap_down(w, 0);
    }

    return EXPORTS_OK;
}


static void
heap_down(walk_t *w, unsigned i)
{
    unsigned         child;
    exports_list_t  *list;

    while ((child = 2 * i + 1) < w->nheap) {

        if (child + 1 < w->nheap && newer(w->heap[child + 1], w->heap[child]))
        {
            child++;
        }

        if (!newer(w->heap[child], w->heap[i])) {
            return;
        }

        list = w->heap[i];
        w->heap[i] = w->heap[child];
        w->heap[child] = list;
        i = child;
    }
}


static int
newer(const exports_list_t *a, const exports_list_t *b)
{
    return memcmp(exports_list_entry(a), exports_list_entry(b),
                  EXPORTS_ENTRY_LEN)
           > 0;
}
