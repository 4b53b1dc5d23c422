
/*
 * Opening of lists.  A search from the root for each would be most of what a
 * filter costs that nothing matches.  So from where a list would be, if it were
 * there, the cursor goes on from key to key to the place of the next one.
 *
 * That must not miss what a search would find, also in a damaged tree, where
 * the list would be lacking and nothing else be wrong.  A leaf that got into
 * another's place can lead over the keys of those behind it.  So keys have to
 * be in order, and the last one has to be where a search finds it: then there
 * is nothing between it and the first.
 */

#include <string.h>

#include "exports_private.h"


/* keys to go on by, and so many more for each list that was told by them */
#define STEPS       16
#define MORE_STEPS  4


typedef struct {
    exports_reader_t  *reader;
    unsigned           slot;        /* of the cursor, which is no list's yet */
    unsigned           steps;
    unsigned           between;     /* no key lies between these: */
    MDB_val            before;
    MDB_val            after;       /* where the cursor is */
    unsigned           told;        /* by keys that are not confirmed yet */
} walk_t;


static exports_rc_t open_each(exports_list_t *lists,
    exports_reader_t *reader, const exports_facet_t *keys, unsigned n);
static exports_rc_t open_list(walk_t *w, exports_list_t *list,
    const exports_facet_t *key, int stay);
static exports_rc_t open_found(walk_t *w, exports_list_t *list,
    const exports_facet_t *key);
static exports_rc_t search(walk_t *w, exports_list_t *list,
    const exports_facet_t *key);
static exports_rc_t walk(walk_t *w, const MDB_val *key, int *order);
static exports_rc_t confirm(walk_t *w);
static int is_near(const exports_facet_t *a, const exports_facet_t *b);
static int compare(const MDB_val *a, const MDB_val *b);


exports_rc_t
exports_lists_open(exports_list_t *lists, exports_reader_t *reader,
    const exports_facet_t *keys, unsigned n)
{
    int           absent, near;
    walk_t        w;
    unsigned      i;
    exports_rc_t  rc;

    w.reader = reader;
    w.slot = 0;
    w.steps = STEPS;
    w.between = 0;
    w.told = 0;

    absent = 0;

    if (reader->borrowed) {
        return open_each(lists, reader, keys, n);
    }

    for (i = 0; i < n; i++) {

        /* after one that is there, the next one may be there, too */

        near = i + 1 < n && is_near(&keys[i], &keys[i + 1]);

        rc = open_list(&w, &lists[i], &keys[i], absent && near);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        absent = lists[i].count == 0;

        if (!absent) {
            w.slot++;
        }

        if (!absent || !near) {
            w.between = 0;
        }
    }

    return confirm(&w);
}


/* in a write transaction a cursor cannot be renewed, for another search */

static exports_rc_t
open_each(exports_list_t *lists, exports_reader_t *reader,
    const exports_facet_t *keys, unsigned n)
{
    unsigned      i;
    exports_rc_t  rc;

    for (rc = EXPORTS_OK, i = 0; i < n && rc == EXPORTS_OK; i++) {
        rc = exports_list_open(&lists[i], reader, i, &keys[i]);
    }

    return rc;
}


/* stay: where a list would be that is not there */

static exports_rc_t
open_list(walk_t *w, exports_list_t *list, const exports_facet_t *key,
    int stay)
{
    int            order;
    MDB_val        k;
    exports_rc_t   rc;

    if (w->between) {
        k.mv_data = (void *) key->bytes;
        k.mv_size = key->len;

        rc = walk(w, &k, &order);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        if (order < 0) {
            w->told++;
            exports_list_none(list, w->reader, key);
            return EXPORTS_OK;
        }

        w->between = 0;

        if (order == 0) {
            return open_found(w, list, key);
        }
    }

    return stay && w->steps > 0 ? search(w, list, key)
                                : exports_list_open(list, w->reader, w->slot,
                                                    key);
}


/* what has been come by is where a search finds it, too */

static exports_rc_t
open_found(walk_t *w, exports_list_t *list, const exports_facet_t *key)
{
    exports_rc_t  rc;

    if (w->told > 0) {
        rc = confirm(w);

        if (rc == EXPORTS_OK) {
            rc = exports_list_at(list, w->reader, w->slot, key);
        }

    } else {
        rc = exports_list_open(list, w->reader, w->slot, key);
    }

    return rc == EXPORTS_OK && list->count == 0 ? EXPORTS_CORRUPT : rc;
}


static exports_rc_t
search(walk_t *w, exports_list_t *list, const exports_facet_t *key)
{
    int            rc, order;
    MDB_cursor   **cursor;
    exports_rc_t   erc;

    cursor = &w->reader->facets[w->slot];

    erc = confirm(w);

    if (erc == EXPORTS_OK) {
        erc = exports_reader_cursor(w->reader, DB_FACETS, cursor);
    }

    if (erc != EXPORTS_OK) {
        return erc;
    }

    w->before.mv_data = (void *) key->bytes;
    w->before.mv_size = key->len;
    w->after = w->before;

    rc = mdb_cursor_get(*cursor, &w->after, NULL, MDB_SET_RANGE);

    if (rc == 0) {
        order = compare(&w->before, &w->after);

        if (order > 0) {
            return EXPORTS_CORRUPT;
        }

        if (order == 0) {
            return exports_list_at(list, w->reader, w->slot, key);
        }

        w->between = 1;
    }

    exports_list_none(list, w->reader, key);

    return rc == MDB_NOTFOUND ? EXPORTS_OK : exports_rc_of_mdb(rc);
}


/* order: less than 0, the key is in the gap; 0, behind it; else not told */

static exports_rc_t
walk(walk_t *w, const MDB_val *key, int *order)
{
    int      rc;
    MDB_val  next;

    *order = 1;

    if (compare(key, &w->before) <= 0) {
        return EXPORTS_OK;
    }

    while ((*order = compare(key, &w->after)) > 0 && w->steps > 0) {

        w->steps--;

        rc = mdb_cursor_get(w->reader->facets[w->slot], &next, NULL,
                            MDB_NEXT_NODUP);
        if (rc != 0) {
            return rc == MDB_NOTFOUND ? EXPORTS_OK : exports_rc_of_mdb(rc);
        }

        if (compare(&w->after, &next) >= 0) {
            return EXPORTS_CORRUPT;
        }

        w->before = w->after;
        w->after = next;
    }

    if (*order < 0) {
        w->steps += MORE_STEPS;
    }

    return EXPORTS_OK;
}


static exports_rc_t
confirm(walk_t *w)
{
    int            rc;
    MDB_val        key;
    MDB_cursor   **cursor;
    exports_rc_t   erc;

    if (w->told == 0) {
        return EXPORTS_OK;
    }

    w->told = 0;
    cursor = &w->reader->facets[w->slot];

    /* renewed, it does not begin where it is */

    erc = exports_reader_cursor(w->reader, DB_FACETS, cursor);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    key = w->after;
    rc = mdb_cursor_get(*cursor, &key, NULL, MDB_SET_RANGE);

    if (rc != 0) {
        return rc == MDB_NOTFOUND ? EXPORTS_CORRUPT : exports_rc_of_mdb(rc);
    }

    return key.mv_data == w->after.mv_data ? EXPORTS_OK : EXPORTS_CORRUPT;
}


/* of one facet and, if it has more than the status, of one status */

static int
is_near(const exports_facet_t *a, const exports_facet_t *b)
{
    if (memcmp(a->bytes, b->bytes, 8 + 1) != 0) {
        return 0;
    }

    return (a->bytes[8] & EXPORTS_FACET_STATUS) == 0
           || a->bytes[8] == EXPORTS_FACET_STATUS
           || a->bytes[9] == b->bytes[9];
}


static int
compare(const MDB_val *a, const MDB_val *b)
{
    int     order;
    size_t  len;

    len = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    order = memcmp(a->mv_data, b->mv_data, len);

    return order != 0 ? order : (a->mv_size > len) - (b->mv_size > len);
}
