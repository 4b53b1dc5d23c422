
/*
 * Offsets in the union of lists.  An entry is guessed, its rank in each list
 * is found, and the sum is compared with the offset: so the window of each list
 * in which the page can begin gets smaller.  The guess is an entry of the list
 * with the largest window, as far into it as the offset is into all windows
 * together; lists that cover the same time need two to four guesses.  When a
 * guess did not halve what is left, the next one is drawn at random: that
 * halves it on average, whatever times the lists cover.  The last few entries
 * are passed one by one.
 */

#include <string.h>

#include "exports_list.h"
#include "exports_private.h"


/* so many entries, and one for each list, are passed without another guess */
#define FEW      8

/* a bound: each guess excludes an entry at least, about sixty have been seen */
#define GUESSES  10000


/* the entries of a list that come before the page: between low and high */

typedef struct {
    uint64_t  low;
    uint64_t  high;
    uint64_t  rank;     /* of the guess: entries that are newer */
} window_t;

typedef struct {
    exports_list_t  **lists;
    unsigned          n;
    uint64_t          offset;
    uint64_t          low;      /* sums over the lists */
    uint64_t          high;
    uint64_t          lot;      /* the last random number */
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


/* A guess before the page is better than one after it, for from there the rest
   can be passed.  Returns the list. */

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


/* any entry of the windows, with equal chances */

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


/* counts the entries of each list, and of all, that are newer than the guess */

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

            /* the counts of blocks contradict each other */

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

            /* the guess itself is passed, too, unless it is the first entry
               of the page */

            w->low = w->rank + (i == list && sum < u->offset);

        } else {
            w->high = w->rank;
        }

        u->low += w->low;
        u->high += w->high;
    }
}


/* about twice the square root: the guess may be wrong by that much */

static uint64_t
margin(uint64_t n)
{
    return (uint64_t) 1 << (64 - __builtin_clzll(n)) / 2;
}
