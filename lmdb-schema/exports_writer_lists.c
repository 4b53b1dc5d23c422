
/*
 * Changes of lists are held back until the commit, or until lists are read.
 * Then they are made in the order of the keys, so that those on the same pages
 * come together; the entries of a list go in as one array.  LMDB stores them
 * several times faster like that than in the order of their arrival.  The
 * blocks of a list are counted again while its pages are at hand.
 *
 * Deletions come first, while no cursor is open: in LMDB 0.9.24 they are safe
 * only if no cursor is on the page.
 */

#define _GNU_SOURCE             /* qsort_r() */

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>

#include "exports_writer_private.h"


/* when so many changes are pending, they are made before the commit */
#define CHANGES_MAX   (1U << 18)


/* a list with pending changes */

typedef struct {
    exports_facet_t     key;
    uint32_t            n;          /* its changes */
    uint32_t            first;      /* of these, when they are sorted */
    uint32_t            changed;    /* one of them has changed it indeed */
} changed_t;

typedef struct {
    exports_change_t    change;
    uint32_t            list;
} pending_t;

struct exports_pending_s {
    pending_t          *pending;    /* in the order of arrival */
    size_t              n;
    size_t              size;
    changed_t          *lists;
    size_t              nlists;
    size_t              lists_size;
    uint32_t           *slots;      /* numbers of lists + 1, by their hashes */
    size_t              nslots;     /* a power of two, twice lists_size */
};


static exports_pending_t *make_pending(void);
static int find_list(exports_pending_t *p, const uint8_t *key, size_t len,
    uint32_t *list);
static int grow_lists(exports_pending_t *p);
static void enter(exports_pending_t *p, uint32_t list);
static exports_rc_t flush(exports_writer_t *w, exports_pending_t *p,
    exports_error_t *error);
static exports_rc_t delete_all(exports_writer_t *w, exports_pending_t *p,
    const uint32_t *order, const exports_change_t *sorted,
    exports_error_t *error);
static exports_rc_t put_all(exports_writer_t *w, exports_pending_t *p,
    const uint32_t *order, const exports_change_t *sorted, uint8_t *entries,
    exports_error_t *error);
static void sort_changes(exports_pending_t *p, uint32_t *order,
    exports_change_t *sorted);
static int in_order(const exports_change_t *changes, uint32_t n);
static int compare_lists(const void *a, const void *b, void *data);
static int compare_changes(const void *a, const void *b);
static uint32_t last_ones(exports_change_t *changes, uint32_t n);
static exports_rc_t delete_entries(exports_writer_t *w, changed_t *list,
    const exports_change_t *changes, exports_error_t *error);
static size_t count_entries(exports_writer_t *w);
static exports_rc_t put_entries(exports_writer_t *w, MDB_cursor *cursor,
    changed_t *list, const exports_change_t *changes, uint8_t *entries,
    exports_error_t *error);
static int count_older(MDB_cursor *cursor, const changed_t *list,
    const uint8_t *entries, size_t n, size_t *older);
static exports_rc_t put_run(exports_writer_t *w, MDB_cursor *cursor,
    const changed_t *list, const uint8_t *entries, size_t n, unsigned flags,
    exports_error_t *error);


exports_rc_t
exports_writer_list(exports_writer_t *w, const uint8_t *key, size_t len,
    const uint8_t *entry, int add, exports_error_t *error)
{
    pending_t          *pending;
    exports_rc_t        rc;
    exports_pending_t  *p;

    if (w->pending == NULL) {
        w->pending = make_pending();
    }

    p = w->pending;

    if (p != NULL && p->n == CHANGES_MAX) {
        rc = exports_writer_flush(w, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    if (p == NULL
        || (p->n == p->size
            && exports_grow((void **) &p->pending, &p->size,
                            sizeof(pending_t))
               != 0))
    {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    pending = &p->pending[p->n];

    if (find_list(p, key, len, &pending->list) != 0) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    memcpy(pending->change.entry, entry, EXPORTS_ENTRY_LEN);
    pending->change.add = (uint32_t) add;
    pending->change.number = (uint32_t) p->n++;
    p->lists[pending->list].n++;

    return EXPORTS_OK;
}


exports_rc_t
exports_writer_flush(exports_writer_t *w, exports_error_t *error)
{
    exports_rc_t        rc;
    exports_pending_t  *p;

    p = w->pending;

    if (p == NULL || p->n == 0) {
        return EXPORTS_OK;
    }

    rc = flush(w, p, error);

    p->n = 0;
    p->nlists = 0;
    memset(p->slots, 0, p->nslots * sizeof(uint32_t));

    return rc;
}


void
exports_writer_forget(exports_writer_t *w)
{
    if (w->pending != NULL) {
        free(w->pending->pending);
        free(w->pending->lists);
        free(w->pending->slots);
        free(w->pending);
        w->pending = NULL;
    }
}


static exports_pending_t *
make_pending(void)
{
    exports_pending_t  *p;

    p = calloc(1, sizeof(exports_pending_t));
    if (p == NULL) {
        return NULL;
    }

    if (exports_grow((void **) &p->pending, &p->size, sizeof(pending_t)) != 0
        || grow_lists(p) != 0)
    {
        free(p->pending);
        free(p->lists);
        free(p->slots);
        free(p);
        return NULL;
    }

    return p;
}


static int
find_list(exports_pending_t *p, const uint8_t *key, size_t len,
    uint32_t *list)
{
    size_t            slot;
    exports_facet_t  *found;

    for (slot = XXH3_64bits(key, len) & (p->nslots - 1);
         p->slots[slot] != 0;
         slot = (slot + 1) & (p->nslots - 1))
    {
        *list = p->slots[slot] - 1;
        found = &p->lists[*list].key;

        if (found->len == len && memcmp(found->bytes, key, len) == 0) {
            return 0;
        }
    }

    if (p->nlists == p->lists_size && grow_lists(p) != 0) {
        return -1;
    }

    *list = (uint32_t) p->nlists++;
    p->lists[*list].n = 0;

    found = &p->lists[*list].key;
    found->len = len;
    memcpy(found->bytes, key, len);

    enter(p, *list);

    return 0;
}


static int
grow_lists(exports_pending_t *p)
{
    uint32_t  i;

    if (exports_grow((void **) &p->lists, &p->lists_size, sizeof(changed_t))
        != 0)
    {
        return -1;
    }

    free(p->slots);

    p->nslots = 2 * p->lists_size;
    p->slots = calloc(p->nslots, sizeof(uint32_t));

    if (p->slots == NULL) {
        return -1;
    }

    for (i = 0; i < p->nlists; i++) {
        enter(p, i);
    }

    return 0;
}


static void
enter(exports_pending_t *p, uint32_t list)
{
    size_t                  slot;
    const exports_facet_t  *key;

    key = &p->lists[list].key;
    slot = XXH3_64bits(key->bytes, key->len) & (p->nslots - 1);

    while (p->slots[slot] != 0) {
        slot = (slot + 1) & (p->nslots - 1);
    }

    p->slots[slot] = list + 1;
}


static exports_rc_t
flush(exports_writer_t *w, exports_pending_t *p, exports_error_t *error)
{
    uint8_t           *entries;
    uint32_t          *order;
    exports_rc_t       rc;
    exports_change_t  *sorted;

    order = malloc(p->nlists * sizeof(uint32_t));
    sorted = malloc(p->n * sizeof(exports_change_t));
    entries = malloc(p->n * EXPORTS_ENTRY_LEN);

    if (order == NULL || sorted == NULL || entries == NULL) {
        rc = exports_error(error, EXPORTS_NOMEM, "out of memory");

    } else {
        sort_changes(p, order, sorted);
        rc = delete_all(w, p, order, sorted, error);

        if (rc == EXPORTS_OK) {
            rc = put_all(w, p, order, sorted, entries, error);
        }
    }

    free(entries);
    free(sorted);
    free(order);

    return rc;
}


static exports_rc_t
delete_all(exports_writer_t *w, exports_pending_t *p, const uint32_t *order,
    const exports_change_t *sorted, exports_error_t *error)
{
    size_t         i;
    changed_t     *list;
    exports_rc_t   rc;

    for (rc = EXPORTS_OK, i = 0; i < p->nlists && rc == EXPORTS_OK; i++) {
        list = &p->lists[order[i]];
        rc = delete_entries(w, list, sorted + list->first, error);
    }

    return rc;
}


/* adds entries and counts the blocks; entries: room for those of all changes */

static exports_rc_t
put_all(exports_writer_t *w, exports_pending_t *p, const uint32_t *order,
    const exports_change_t *sorted, uint8_t *entries, exports_error_t *error)
{
    int            rc;
    size_t         i;
    changed_t     *list;
    MDB_cursor    *cursor, *ranks;
    exports_rc_t   erc;

    rc = mdb_cursor_open(w->txn, w->env->dbi[DB_FACETS], &cursor);
    if (rc != 0) {
        return exports_mdb_error(error, w->env, "writing", rc);
    }

    ranks = NULL;

    for (erc = EXPORTS_OK, i = 0; i < p->nlists && erc == EXPORTS_OK; i++) {
        list = &p->lists[order[i]];
        erc = put_entries(w, cursor, list, sorted + list->first, entries,
                          error);

        if (erc == EXPORTS_OK && list->changed) {
            erc = exports_writer_rank(w, cursor, &ranks, &list->key,
                                      sorted + list->first, list->n, error);
        }
    }

    mdb_cursor_close(cursor);
    exports_mdb_close(&ranks);

    return erc;
}


/* sorts lists by key, and the changes of each by entry, one for each entry */

static void
sort_changes(exports_pending_t *p, uint32_t *order, exports_change_t *sorted)
{
    size_t             i;
    uint32_t           first;
    changed_t         *list;
    exports_change_t  *change;

    for (i = 0; i < p->nlists; i++) {
        order[i] = (uint32_t) i;
    }

    qsort_r(order, p->nlists, sizeof(uint32_t), compare_lists, p->lists);

    for (first = 0, i = 0; i < p->nlists; i++) {
        list = &p->lists[order[i]];
        list->first = first;
        first += list->n;
        list->n = 0;
    }

    for (i = 0; i < p->n; i++) {
        list = &p->lists[p->pending[i].list];
        sorted[list->first + list->n++] = p->pending[i].change;
    }

    for (i = 0; i < p->nlists; i++) {
        list = &p->lists[i];
        change = sorted + list->first;

        if (!in_order(change, list->n)) {
            qsort(change, list->n, sizeof(exports_change_t), compare_changes);
        }

        list->n = last_ones(change, list->n);
    }
}


static int
in_order(const exports_change_t *changes, uint32_t n)
{
    uint32_t  i;

    for (i = 1; i < n; i++) {
        if (memcmp(changes[i - 1].entry, changes[i].entry, EXPORTS_ENTRY_LEN)
            > 0)
        {
            return 0;
        }
    }

    return 1;
}


static int
compare_lists(const void *a, const void *b, void *data)
{
    const changed_t        *lists = data;
    const exports_facet_t  *x, *y;

    x = &lists[*(const uint32_t *) a].key;
    y = &lists[*(const uint32_t *) b].key;

    return exports_key_order(x->bytes, x->len, y->bytes, y->len);
}


static int
compare_changes(const void *a, const void *b)
{
    int                      rc;
    const exports_change_t  *x = a, *y = b;

    rc = memcmp(x->entry, y->entry, EXPORTS_ENTRY_LEN);

    return rc != 0 ? rc
                   : (x->number > y->number) - (x->number < y->number);
}


/* the last change of an entry counts */

static uint32_t
last_ones(exports_change_t *changes, uint32_t n)
{
    uint32_t  i, kept;

    for (kept = 0, i = 1; i < n; i++) {
        if (memcmp(changes[kept].entry, changes[i].entry, EXPORTS_ENTRY_LEN)
            != 0)
        {
            kept++;
        }

        changes[kept] = changes[i];
    }

    return kept + 1;
}


static exports_rc_t
delete_entries(exports_writer_t *w, changed_t *list,
    const exports_change_t *changes, exports_error_t *error)
{
    size_t        before;
    uint32_t      i;
    exports_rc_t  rc;

    before = count_entries(w);

    for (rc = EXPORTS_OK, i = 0; i < list->n && rc == EXPORTS_OK; i++) {
        if (!changes[i].add) {
            rc = exports_writer_del(w, DB_FACETS, list->key.bytes,
                                    list->key.len, changes[i].entry,
                                    EXPORTS_ENTRY_LEN, error);
        }
    }

    list->changed = (rc == EXPORTS_OK && count_entries(w) != before);

    return rc;
}


/* of all lists together; 0: LMDB cannot tell, and the transaction will fail */

static size_t
count_entries(exports_writer_t *w)
{
    MDB_stat  st;

    return mdb_stat(w->txn, w->env->dbi[DB_FACETS], &st) == 0 ? st.ms_entries
                                                              : 0;
}


/* entries newer than the newest of the list are appended, others are inserted;
   entries: room for all */

static exports_rc_t
put_entries(exports_writer_t *w, MDB_cursor *cursor, changed_t *list,
    const exports_change_t *changes, uint8_t *entries, exports_error_t *error)
{
    int           rc;
    size_t        n, older, before;
    uint32_t      i;
    exports_rc_t  erc;

    for (n = 0, i = 0; i < list->n; i++) {
        if (changes[i].add) {
            memcpy(entries + n++ * EXPORTS_ENTRY_LEN, changes[i].entry,
                   EXPORTS_ENTRY_LEN);
        }
    }

    if (n == 0) {
        return EXPORTS_OK;
    }

    erc = exports_writer_check(w, DB_FACETS, list->key.bytes, list->key.len, 0,
                               error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    rc = count_older(cursor, list, entries, n, &older);
    if (rc != 0) {
        return exports_mdb_error(error, w->env, "writing", rc);
    }

    before = count_entries(w);

    erc = put_run(w, cursor, list, entries, older, 0, error);

    if (erc == EXPORTS_OK) {
        erc = put_run(w, cursor, list, entries + older * EXPORTS_ENTRY_LEN,
                      n - older, MDB_APPENDDUP, error);
    }

    if (erc == EXPORTS_OK && count_entries(w) != before) {
        list->changed = 1;
    }

    return erc;
}


/* *older: how many of the entries are not newer than the newest of the list;
   n: at least 1 */

static int
count_older(MDB_cursor *cursor, const changed_t *list, const uint8_t *entries,
    size_t n, size_t *older)
{
    int      rc;
    MDB_val  k, v;

    k = exports_mdb_val(list->key.bytes, list->key.len);
    v = exports_mdb_val(entries, EXPORTS_ENTRY_LEN);

    *older = 0;

    rc = mdb_cursor_get(cursor, &k, &v, MDB_GET_BOTH_RANGE);

    if (rc != 0) {
        return rc == MDB_NOTFOUND ? 0 : rc;
    }

    /* the list has one that is not older than the first of them */

    if (n == 1) {
        *older = 1;
        return 0;
    }

    rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST_DUP);

    while (rc == 0 && *older < n
           && memcmp(entries + *older * EXPORTS_ENTRY_LEN, v.mv_data,
                     EXPORTS_ENTRY_LEN)
              <= 0)
    {
        ++*older;
    }

    return rc;
}


/* LMDB stops at an entry that the key already has as its only one: so it is
   called again for the rest */

static exports_rc_t
put_run(exports_writer_t *w, MDB_cursor *cursor, const changed_t *list,
    const uint8_t *entries, size_t n, unsigned flags, exports_error_t *error)
{
    int      rc;
    MDB_val  k, v[2];

    while (n > 0) {
        k = exports_mdb_val(list->key.bytes, list->key.len);
        v[0] = exports_mdb_val(entries, EXPORTS_ENTRY_LEN);
        v[1] = exports_mdb_val(NULL, n);

        rc = mdb_cursor_put(cursor, &k, v, MDB_MULTIPLE | flags);
        exports_env_step(w->env);

        if (rc != 0) {
            return exports_mdb_error(error, w->env, "writing", rc);
        }

        if (v[1].mv_size == n) {
            break;
        }

        entries += (v[1].mv_size + 1) * EXPORTS_ENTRY_LEN;
        n -= v[1].mv_size + 1;
    }

    return EXPORTS_OK;
}
