
/*
 * The lists of a page as one, newest entry first: a heap, with the list on top
 * that has the newest entry of all.
 */

#include "exports_list.h"
#include "exports_private.h"


static void heapify(exports_merge_t *m);
static void sift_down(exports_merge_t *m, unsigned i);
static inline int newer(const exports_list_t *a, const exports_list_t *b);


exports_rc_t
exports_merge_begin(exports_merge_t *m, exports_reader_t *reader,
    exports_list_t *lists, unsigned n)
{
    unsigned         i;
    exports_rc_t     rc;
    exports_list_t  *list;

    m->reader = reader;
    m->n = 0;

    for (i = 0; i < n; i++) {
        list = &lists[i];

        if (list->count == 0) {
            continue;
        }

        rc = exports_list_last(list);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        m->heap[m->n++] = list;
    }

    heapify(m);

    return EXPORTS_OK;
}


exports_rc_t
exports_merge_skip(exports_merge_t *m, uint64_t n)
{
    unsigned      i, left;
    exports_rc_t  rc;

    rc = exports_reader_source(m->reader, DB_RANKS, &m->reader->ranks.cursor,
                               &m->reader->ranks);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (m->n == 1) {
        m->heap[0]->alone = 1;
        return exports_list_seek(m->heap[0], n);
    }

    rc = exports_union_seek(m->heap, m->n, n, &n);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    for (left = 0, i = 0; i < m->n; i++) {
        if (m->heap[i]->left > 0) {
            m->heap[left++] = m->heap[i];
        }
    }

    m->n = left;
    heapify(m);

    for ( /* void */ ; n > 0 && m->n > 0; n--) {
        rc = exports_merge_next(m);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return EXPORTS_OK;
}


exports_rc_t
exports_merge_next(exports_merge_t *m)
{
    exports_rc_t     rc;
    exports_list_t  *list;

    list = m->heap[0];

    if (list->left > 1) {
        list->left--;

    } else {
        rc = exports_list_skip(list, 1);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        if (list->left == 0) {
            m->heap[0] = m->heap[--m->n];
        }
    }

    if (m->n > 1) {
        sift_down(m, 0);
    }

    return EXPORTS_OK;
}


static void
heapify(exports_merge_t *m)
{
    unsigned  i;

    for (i = m->n / 2; i > 0; i--) {
        sift_down(m, i - 1);
    }
}


static void
sift_down(exports_merge_t *m, unsigned i)
{
    unsigned         child;
    exports_list_t  *list;

    while ((child = 2 * i + 1) < m->n) {

        if (child + 1 < m->n && newer(m->heap[child + 1], m->heap[child])) {
            child++;
        }

        if (!newer(m->heap[child], m->heap[i])) {
            return;
        }

        list = m->heap[i];
        m->heap[i] = m->heap[child];
        m->heap[child] = list;
        i = child;
    }
}


/* inline: done several times for each item of several lists */

static inline int
newer(const exports_list_t *a, const exports_list_t *b)
{
    return exports_order(exports_list_entry(a), exports_list_entry(b),
                         EXPORTS_ENTRY_LEN)
           > 0;
}
