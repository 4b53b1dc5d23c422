
/*
 * The lists in facets are merged, and each record is read by its key.
 *
 * The manifests of a scope lie in the order of its pages.  So for the list of
 * all manifests, and for one by status while most records have that status, the
 * next record is reached by going through those between ("scan"), instead of a
 * search.  None of those may be one that the lists should have.
 *
 * A damaged tree that lacks some records, or lists, may look like a sound one:
 * so the lengths of the lists are checked against the counts of the scope.
 *
 *   lists    one for each value that is asked for, each newest first
 *     |      exports_merge.c: merged, and skipped to the offset
 *   merge    on top the list with the newest entry
 *     |      find_items(): the record of that entry, not yet read
 *   found    two sets of 8: one is filled while memory brings the other
 *     |      add_items(): checks, decodes
 *   items    of the page
 *     |
 *   visit    the caller's, for each set
 */

#include <string.h>

#include "exports_item.h"
#include "exports_list.h"
#include "exports_page.h"
#include "exports_private.h"


/* a scan gives way to searches after this many misses and two for each hit */
#define SCAN_MISSES     32

#define ALL_STATUSES    0xffffffff

/* records of a set, which are found while those of the set before are read */
#define FOUND_AHEAD     8

/* more of the lowest branches to prefetch for a page that is not the first,
   which may be under any of them */
#define BRANCHES_MORE   3


typedef struct {
    exports_reader_t            *reader;
    const exports_page_query_t  *query;
    exports_page_t              *page;
    exports_items_pt             visit;
    void                        *data;
    uint8_t                      scope[8];  /* what keys begin with */
    uint64_t                     created;   /* of the record before */
    uint64_t                     tie;
    exports_tree_t              *tree;      /* NULL: by LMDB's cursor */
    unsigned                     fixed;     /* by the lists: EXPORTS_FACET_* */
    unsigned                     statuses;  /* to scan for; 0: no scan */
    unsigned                     misses;    /* records that a scan passed by */
    exports_merge_t              merge;
    exports_list_t               lists[EXPORTS_LISTS_MAX];
} page_walk_t;


/* a record that was found, but not yet read */

typedef struct {
    const uint8_t               *key;
    MDB_val                      value;
    unsigned                     statuses;  /* that it may have */
    unsigned                     list;      /* not set by scan_list() */
} found_t;


static exports_rc_t read_page(page_walk_t *w);
static exports_rc_t open_manifests(page_walk_t *w);
static exports_rc_t count_lists(page_walk_t *w);
static exports_rc_t check_total(page_walk_t *w);
static uint64_t count_of(const uint64_t *counts, unsigned statuses);
static unsigned scan_statuses(const exports_page_query_t *query);
static unsigned list_statuses(const exports_facet_t *list);
static exports_rc_t read_items(page_walk_t *w, unsigned want);
static exports_rc_t find_items(page_walk_t *w, found_t *found, unsigned n);
static exports_rc_t add_items(page_walk_t *w, const found_t *found,
    unsigned n);
static exports_rc_t scan_list(page_walk_t *w, found_t **found,
    const found_t *end);
static exports_rc_t find_next(page_walk_t *w, found_t *found);
static exports_rc_t not_found(page_walk_t *w, exports_rc_t rc,
    const uint8_t *entry);
static inline void fetch_record(const uint8_t *record);
static exports_rc_t find_record(page_walk_t *w, const uint8_t *entry,
    found_t *found);
static inline exports_rc_t scan(page_walk_t *w, const uint8_t *entry,
    found_t *found);
static exports_rc_t scan_on(page_walk_t *w, const uint8_t *entry,
    found_t *found);
static inline int is_key(const page_walk_t *w, const uint8_t *key,
    const uint8_t *entry);
static void make_key(const page_walk_t *w, uint8_t *key, const uint8_t *entry);
static exports_rc_t bad_entry(page_walk_t *w, const uint8_t *entry);
static exports_rc_t bad_record(page_walk_t *w, const uint8_t *key);
static inline exports_rc_t add_item(page_walk_t *w, const found_t *found,
    exports_item_t *item);
static exports_rc_t check_members(page_walk_t *w, const found_t *found,
    const exports_item_t *items, unsigned n);


exports_rc_t
exports_page_read(exports_reader_t *reader, const exports_page_query_t *query,
    exports_page_t *page)
{
    return exports_page_visit(reader, query, page, NULL, NULL);
}


exports_rc_t
exports_page_visit(exports_reader_t *reader, const exports_page_query_t *query,
    exports_page_t *page, exports_items_pt visit, void *data)
{
    page_walk_t   w;
    exports_rc_t  rc;

    page->nitems = 0;
    page->total = 0;
    memset(page->bad_key, 0, sizeof(page->bad_key));

    if (query->nlists == 0 || query->nlists > EXPORTS_LISTS_MAX
        || query->limit > EXPORTS_PAGE_MAX)
    {
        return EXPORTS_INVALID;
    }

    w.reader = reader;
    w.query = query;
    w.page = page;
    w.visit = visit;
    w.data = data;
    exports_put64(w.scope, query->scope);
    w.created = UINT64_MAX;
    w.tie = UINT64_MAX;
    w.tree = NULL;
    w.fixed = 0;
    w.statuses = 0;
    w.misses = 0;

    rc = read_page(&w);

    if (reader->borrowed) {
        exports_reader_close_cursors(reader);
    }

    return rc;
}


static exports_rc_t
read_page(page_walk_t *w)
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

    rc = open_manifests(w);

    if (rc == EXPORTS_OK) {
        rc = exports_merge_begin(&w->merge, w->reader, w->lists,
                                 query->nlists);
    }

    if (rc == EXPORTS_OK && query->offset > 0) {
        rc = exports_merge_skip(&w->merge, query->offset);
    }

    return rc == EXPORTS_OK ? read_items(w, want) : rc;
}


static exports_rc_t
open_manifests(page_walk_t *w)
{
    uint8_t       newest[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t  rc;

    rc = exports_reader_tree(w->reader, DB_MANIFESTS, &w->tree);

    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (w->tree == NULL) {
        return exports_reader_cursor(w->reader, DB_MANIFESTS,
                                     &w->reader->manifests);
    }

    w->statuses = scan_statuses(w->query);

    if (w->statuses != 0) {
        memcpy(newest, w->scope, 8);
        memset(newest + EXPORTS_ENTRY_POS, 0xff, EXPORTS_ENTRY_LEN);

        exports_tree_scan(w->tree, newest,
                          w->query->offset > 0 ? BRANCHES_MORE : 0);
    }

    return EXPORTS_OK;
}


static exports_rc_t
count_lists(page_walk_t *w)
{
    unsigned         i;
    exports_rc_t     rc;
    exports_list_t  *list;

    rc = exports_lists_open(w->lists, w->reader, w->query->lists,
                            w->query->nlists);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    for (i = 0; i < w->query->nlists; i++) {
        list = &w->lists[i];
        list->number = i;
        list->statuses = list_statuses(list->key);

        w->page->total += list->count;
        w->fixed |= list->key->bytes[EXPORTS_FACET_POS];
    }

    return w->query->counts != NULL ? check_total(w) : EXPORTS_OK;
}


/*
 * The scope does not count lists that fix more than the status.  If they are
 * empty, the length of the list of all tells whether lists can be found at all.
 */

static exports_rc_t
check_total(page_walk_t *w)
{
    uint64_t                     most, total;
    unsigned                     i, statuses;
    exports_rc_t                 rc;
    exports_facet_t              all;
    const exports_page_query_t  *query;

    query = w->query;
    total = w->page->total;

    for (statuses = 0, i = 0; i < query->nlists; i++) {
        statuses |= w->lists[i].statuses;
    }

    most = count_of(query->counts, statuses);

    if (total > most || (total < most && scan_statuses(query) != 0)) {
        return EXPORTS_CORRUPT;
    }

    if (total > 0 || most == 0) {
        return EXPORTS_OK;
    }

    exports_facet_key(&all, query->scope, EXPORTS_FACET_ALL, NULL);

    rc = exports_lists_open(w->lists, w->reader, &all, 1);

    if (rc == EXPORTS_OK
        && w->lists[0].count != count_of(query->counts, ALL_STATUSES))
    {
        return EXPORTS_CORRUPT;
    }

    return rc;
}


/* the number of manifests with one of the statuses */

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


/* the statuses that the records of a list may have */

static unsigned
list_statuses(const exports_facet_t *list)
{
    return (list->bytes[EXPORTS_FACET_POS] & EXPORTS_FACET_STATUS)
               ? 1U << list->bytes[EXPORTS_FACET_VALUES_POS] : ALL_STATUSES;
}


/* the statuses of all lists together; 0: a list fixes more than the status */

static unsigned
scan_statuses(const exports_page_query_t *query)
{
    unsigned  i, statuses;

    for (statuses = 0, i = 0; i < query->nlists; i++) {
        if (query->lists[i].bytes[EXPORTS_FACET_POS] & ~EXPORTS_FACET_STATUS) {
            return 0;
        }

        statuses |= list_statuses(&query->lists[i]);
    }

    return statuses;
}


/* a set of records is found and prefetched while the set before it is read */

static exports_rc_t
read_items(page_walk_t *w, unsigned want)
{
    found_t       found[2][FOUND_AHEAD];
    unsigned      n, next, turn;
    exports_rc_t  rc;

    n = want < FOUND_AHEAD ? want : FOUND_AHEAD;
    rc = find_items(w, found[0], n);

    for (turn = 0; rc == EXPORTS_OK && n > 0; turn = !turn, n = next) {
        want -= n;
        next = want < FOUND_AHEAD ? want : FOUND_AHEAD;

        rc = find_items(w, found[!turn], next);

        if (rc == EXPORTS_OK) {
            rc = add_items(w, found[turn], n);
        }
    }

    return rc;
}


static exports_rc_t
find_items(page_walk_t *w, found_t *found, unsigned n)
{
    found_t       *end;
    exports_rc_t   rc;

    end = found + n;

    while (found < end) {

        if (w->merge.n == 1 && w->merge.heap[0]->left > 1 && w->statuses != 0
            && w->tree->positioned)
        {
            rc = scan_list(w, &found, end);

        } else {
            rc = find_next(w, found++);
        }

        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return EXPORTS_OK;
}


/*
 * What most pages are made of: the records of one list, one after the other.
 * The last entry of a leaf of the list is left to find_next().
 */

static exports_rc_t
scan_list(page_walk_t *w, found_t **found, const found_t *end)
{
    found_t         *f;
    unsigned         statuses;
    exports_rc_t     rc;
    exports_list_t  *list;
    const uint8_t   *entry;

    list = w->merge.heap[0];
    entry = exports_list_entry(list);
    statuses = list->statuses;
    f = *found;

    if ((size_t) (end - f) > list->left - 1) {
        end = f + list->left - 1;
    }

    list->left -= (size_t) (end - f);

    for ( /* void */ ; f < end; f++) {
        rc = scan(w, entry, f);

        if (rc != EXPORTS_OK) {
            return not_found(w, rc, entry);
        }

        f->statuses = statuses;
        fetch_record(f->value.mv_data);
        entry -= EXPORTS_ENTRY_LEN;
    }

    *found = f;

    return EXPORTS_OK;
}


static exports_rc_t
add_items(page_walk_t *w, const found_t *found, unsigned n)
{
    unsigned         i;
    exports_rc_t     rc;
    exports_item_t  *items;

    items = &w->page->items[w->page->nitems];

    for (i = 0; i < n; i++) {
        rc = add_item(w, &found[i], &items[i]);

        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    /* found->list is set then, for such lists are not scanned */

    if (w->fixed & ~EXPORTS_FACET_STATUS) {
        rc = check_members(w, found, items, n);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    w->page->nitems += n;

    return w->visit != NULL ? w->visit(w->data, w->page, items, n)
                            : EXPORTS_OK;
}


/* the record of the newest entry of all lists */

static exports_rc_t
find_next(page_walk_t *w, found_t *found)
{
    exports_rc_t     rc;
    exports_list_t  *list;
    const uint8_t   *entry;

    if (w->merge.n == 0) {
        return EXPORTS_CORRUPT;
    }

    list = w->merge.heap[0];
    entry = exports_list_entry(list);

    found->statuses = list->statuses;
    found->list = list->number;

    rc = w->statuses != 0 && w->tree->positioned
             ? scan(w, entry, found)
             : find_record(w, entry, found);

    if (rc != EXPORTS_OK) {
        return not_found(w, rc, entry);
    }

    fetch_record(found->value.mv_data);

    return exports_merge_next(&w->merge);
}


/* an entry without a record is damage, too */

static exports_rc_t
not_found(page_walk_t *w, exports_rc_t rc, const uint8_t *entry)
{
    return rc == EXPORTS_NOT_FOUND || rc == EXPORTS_CORRUPT
               ? bad_entry(w, entry) : rc;
}


/* as many cache lines as most records have */

static inline void
fetch_record(const uint8_t *record)
{
    exports_fetch_lines(record);
    exports_fetch_lines(record + 4 * CACHE_LINE);
    exports_fetch(record + 8 * CACHE_LINE);
    exports_fetch(record + 9 * CACHE_LINE);
}


static exports_rc_t
find_record(page_walk_t *w, const uint8_t *entry, found_t *found)
{
    int      rc;
    MDB_val  k;
    uint8_t  key[EXPORTS_MANIFEST_KEY_LEN];

    make_key(w, key, entry);

    if (w->tree != NULL) {
        return exports_tree_find(w->tree, key, &found->key, &found->value);
    }

    k = exports_mdb_val(key, EXPORTS_MANIFEST_KEY_LEN);

    rc = mdb_cursor_get(w->reader->manifests, &k, &found->value, MDB_SET_KEY);
    found->key = k.mv_data;

    return exports_rc_of_mdb(rc);
}


static inline exports_rc_t
scan(page_walk_t *w, const uint8_t *entry, found_t *found)
{
    exports_rc_t  rc;

    rc = exports_tree_back(w->tree, &found->key, &found->value);

    return rc != EXPORTS_OK || is_key(w, found->key, entry)
               ? rc : scan_on(w, entry, found);
}


/*
 * Passes the records between.  None of them may be one that the lists should
 * have.  Only their status is looked at for that, for nothing of them is sent.
 */

static exports_rc_t
scan_on(page_walk_t *w, const uint8_t *entry, found_t *found)
{
    uint8_t       key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t  rc;

    make_key(w, key, entry);

    do {
        if (exports_order(found->key, key, EXPORTS_MANIFEST_KEY_LEN) < 0) {
            return EXPORTS_NOT_FOUND;
        }

        if (w->statuses & 1U << exports_item_status(found->value.mv_data,
                                                    found->value.mv_size))
        {
            return bad_record(w, found->key);
        }

        if (++w->misses > SCAN_MISSES + 2 * w->page->nitems) {
            w->statuses = 0;
            w->tree->scan = 0;
            return exports_tree_find(w->tree, key, &found->key,
                                     &found->value);
        }

        rc = exports_tree_back(w->tree, &found->key, &found->value);
        if (rc != EXPORTS_OK) {
            return rc;
        }

    } while (!is_key(w, found->key, entry));

    return EXPORTS_OK;
}


static inline int
is_key(const page_walk_t *w, const uint8_t *key, const uint8_t *entry)
{
    return memcmp(key + EXPORTS_ENTRY_POS, entry, EXPORTS_ENTRY_LEN) == 0
           && memcmp(key, w->scope, 8) == 0;
}


static void
make_key(const page_walk_t *w, uint8_t *key, const uint8_t *entry)
{
    memcpy(key, w->scope, 8);
    memcpy(key + EXPORTS_ENTRY_POS, entry, EXPORTS_ENTRY_LEN);
}


static exports_rc_t
bad_entry(page_walk_t *w, const uint8_t *entry)
{
    uint8_t  key[EXPORTS_MANIFEST_KEY_LEN];

    make_key(w, key, entry);

    return bad_record(w, key);
}


static exports_rc_t
bad_record(page_walk_t *w, const uint8_t *key)
{
    static const uint8_t  none[EXPORTS_MANIFEST_KEY_LEN];

    /* the first bad one is reported */

    if (memcmp(w->page->bad_key, none, EXPORTS_MANIFEST_KEY_LEN) == 0) {
        memcpy(w->page->bad_key, key, EXPORTS_MANIFEST_KEY_LEN);
    }

    return EXPORTS_CORRUPT;
}


/*
 * Each record must be older than the one before: this also finds out a tree
 * whose pages are in the wrong places.
 */

static inline exports_rc_t
add_item(page_walk_t *w, const found_t *found, exports_item_t *item)
{
    uint64_t  created, tie;

    created = exports_get64(found->key + EXPORTS_ENTRY_POS);
    tie = exports_get64(found->key + EXPORTS_TIE_POS);

    if (exports_item_read(item, found->key, found->value.mv_data,
                          found->value.mv_size)
            != EXPORTS_OK
        || item->kind != w->query->kind
        || (found->statuses & (1U << item->status)) == 0
        || created > w->created
        || (created == w->created && tie >= w->tie))
    {
        return bad_record(w, found->key);
    }

    w->created = created;
    w->tie = tie;

    return EXPORTS_OK;
}


static exports_rc_t
check_members(page_walk_t *w, const found_t *found,
    const exports_item_t *items, unsigned n)
{
    unsigned      i;
    exports_rc_t  rc;

    for (i = 0; i < n; i++) {
        rc = exports_member_check(&w->reader->hashes,
                                  &w->query->lists[found[i].list], &items[i],
                                  found[i].value.mv_data,
                                  found[i].value.mv_size);
        if (rc != EXPORTS_OK) {
            return rc == EXPORTS_CORRUPT ? bad_record(w, found[i].key) : rc;
        }
    }

    return EXPORTS_OK;
}
