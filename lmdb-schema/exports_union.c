
/*
 * Offsets in the union of lists.  An entry is guessed, its rank in each list
 * found, and the sum compared with the offset: so the part of each list in which
 * the page can begin grows smaller.  The guess is an entry of the list with the
 * largest such part, as far into it as the offset is into all of them; lists
 * that cover the same time need two to four.  When a guess did not halve what
 * is left, the next one is drawn by lot, which halves it on average whatever
 * times the lists cover.  The last few entries are passed one by one.
 */

#include <string.h>

#include "exports_list.h"
#include "exports_private.h"


/* entries that are passed rather than to guess again, and one a list */
#define FEW      8

/* each guess excludes an entry at least; some sixty have been seen */
#define GUESSES  10000


/* of a list: so many entries precede the page at least, and at most */

typedef struct {
    uint64_t  low;
    uint64_t  high;
    uint64_t  rank;     /* of the guess */
} window_t;

typedef struct {
    exports_list_t  **lists;
    unsigned          n;
    uint64_t          offset;
    uint64_t          low;      /* sums over the lists */
    uint64_t          high;
    uint64_t          lot;
    window_t          windows[EXPORTS_LISTS_MAX];
} union_t;


static unsigned guess(union_t *u, uint64_t *rank);
static unsigned draw(union_t *u, uint64_t *rank);
static exports_rc_t rank_guess(union_t *u, unsigned list, uint64_t rank,
    uint64_t *sum);
static void narrow(union_t *u, unsigned list, uint64_t sum);
static uint64_t margin(uint64_t n);


exports_rc_t
exports_union_seek(exports_list_t **lists, unsigned n, uint64_t offset,
    uint64_t *rest)
{
    union_t       u;
    unsigned      i, list, guesses, halved;
    uint64_t      rank, sum, left, width;
    exports_rc_t  rc;

    u.lists = lists;
    u.n = n;
    u.offset = offset;
    u.low = 0;
    u.high = 0;
    u.lot = offset;
    halved = 1;

    memset(u.windows, 0, sizeof(u.windows));

    for (i = 0; i < n; i++) {
        u.windows[i].high = lists[i]->count;
        u.high += lists[i]->count;
    }

    for (guesses = 0; offset - u.low > FEW + n; guesses++) {

        if (guesses == GUESSES) {
            return EXPORTS_CORRUPT;
        }

        left = offset - u.low;
        width = u.high - u.low;

        list = halved ? guess(&u, &rank) : draw(&u, &rank);

        rc = rank_guess(&u, list, rank, &sum);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        narrow(&u, list, sum);

        halved = offset - u.low <= left / 2 || u.high - u.low <= width / 2;
    }

    for (i = 0; i < n; i++) {

        if (u.windows[i].low == lists[i]->count) {
            lists[i]->left = 0;
            continue;
        }

        rc = exports_list_seek(lists[i], u.windows[i].low);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    *rest = offset - u.low;

    return EXPORTS_OK;
}


/* rather before the page than behind it: from there the rest is passed */

static unsigned
guess(union_t *u, uint64_t *rank)
{
    double       part;
    uint64_t     left, width;
    unsigned     i, list;
    window_t    *w;

    for (list = 0, width = 0, i = 0; i < u->n; i++) {
        w = &u->windows[i];

        if (w->high - w->low > width) {
            width = w->high - w->low;
            list = i;
        }
    }

    left = u->offset - u->low;
    left -= margin(left);

    part = (double) left / (double) (u->high - u->low);
    left = (uint64_t) (part * (double) width);

    *rank = u->windows[list].low + (left < width ? left : width - 1);

    return list;
}


static unsigned
draw(union_t *u, uint64_t *rank)
{
    unsigned   i;
    uint64_t   n, width;

    u->lot = u->lot * 6364136223846793005ULL + 1442695040888963407ULL;
    n = (u->lot >> 20) % (u->high - u->low);

    for (i = 0; /* void */ ; i++) {
        width = u->windows[i].high - u->windows[i].low;

        if (n < width) {
            break;
        }

        n -= width;
    }

    *rank = u->windows[i].low + n;

    return i;
}


/* how many entries of each list, and of all, are newer than the guess */

static exports_rc_t
rank_guess(union_t *u, unsigned list, uint64_t rank, uint64_t *sum)
{
    unsigned        i;
    window_t       *w;
    exports_rc_t    rc;
    const uint8_t  *entry;

    rc = exports_list_seek(u->lists[list], rank);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    entry = exports_list_entry(u->lists[list]);
    *sum = 0;

    for (i = 0; i < u->n; i++) {
        w = &u->windows[i];
        w->rank = i == list ? rank : w->low;

        if (i != list && w->low < w->high) {
            rc = exports_list_rank(u->lists[i], entry, &w->rank);
            if (rc != EXPORTS_OK) {
                return rc;
            }

            /* the counts of blocks contradict one another */

            if (w->rank < w->low || w->rank > w->high) {
                return EXPORTS_CORRUPT;
            }
        }

        *sum += w->rank;
    }

    return EXPORTS_OK;
}


static void
narrow(union_t *u, unsigned list, uint64_t sum)
{
    unsigned   i;
    window_t  *w;

    u->low = 0;
    u->high = 0;

    for (i = 0; i < u->n; i++) {
        w = &u->windows[i];

        if (sum <= u->offset) {

            /* with less than the offset before it the guess is passed, too */

            w->low = w->rank + (i == list && sum < u->offset);

        } else {
            w->high = w->rank;
        }

        u->low += w->low;
        u->high += w->high;
    }
}


/* twice the square root, about: by so much the guess may be wrong */

static uint64_t
margin(uint64_t n)
{
    return (uint64_t) 1 << (64 - __builtin_clzll(n)) / 2;
}
