
/*
 * What changes of a list do to the counts of its blocks.  Take ten entries, the
 * oldest first, two of which, D and H, are boundaries of one level:
 *
 *   a b c D | e f g H | i j          D: 4, H: 4
 *
 * Those after the last boundary, i and j, are in the open block, which has no
 * count.  An entry may be added in three ways:
 *
 *   k after j        the open block: nothing is to be done, nor on higher
 *                    levels; so with most new exports
 *   x after f        not a boundary: it is added to the count of its block,
 *                    H: 5; when it is deleted, it is taken off
 *   X after f        a boundary: it cuts the block in two, of which both are
 *                    counted again, X: 3, and H: 2
 *
 * If there are several changes, each block with one of them is counted again:
 * its entries, or, on a higher level, the counts of the blocks below.  For many
 * changes that takes about as long as adding to the counts; for a single one it
 * would read many pages that are not needed otherwise.
 */

#include <string.h>

#include "exports_writer_private.h"


typedef struct {
    exports_writer_t        *w;
    MDB_cursor              *facets;
    MDB_cursor             **ranks;
    const exports_facet_t   *list;
    const exports_change_t  *changes;
    size_t                   n;
    unsigned                 recount;       /* rather than add to a count */
    unsigned                 open;          /* all changes are in the open
                                               block: nothing is left to do */
    unsigned                 level;
    size_t                   len;
    uint8_t                  key[EXPORTS_RANK_KEY_MAX];
} ranking_t;


static exports_rc_t failed(exports_writer_t *w, exports_rc_t rc,
    exports_error_t *error);
static exports_rc_t add_to_level(ranking_t *r);
static exports_rc_t rank_level(ranking_t *r);
static exports_rc_t change_boundaries(ranking_t *r, unsigned *changed);
static exports_rc_t recount_blocks(ranking_t *r, unsigned changed);
static exports_rc_t change_boundary(ranking_t *r,
    const exports_change_t *change);
static exports_rc_t put_boundary(ranking_t *r, const uint8_t *block);
static exports_rc_t del_boundary(ranking_t *r, const uint8_t *block);
static exports_rc_t find_block(ranking_t *r, const uint8_t *entry,
    uint8_t *block);
static exports_rc_t recount_block(ranking_t *r, const uint8_t *entry,
    uint8_t *end);
static exports_rc_t count_block(ranking_t *r, const uint8_t *after,
    const uint8_t *end, uint64_t *count);
static exports_rc_t put_count(ranking_t *r, int back, const uint8_t *old,
    const uint8_t *block);
static exports_rc_t put_block(void *data, unsigned level,
    const uint8_t *key, size_t len, const uint8_t *block);


exports_rc_t
exports_writer_rank(exports_writer_t *w, MDB_cursor *facets,
    MDB_cursor **ranks, const exports_facet_t *list,
    const exports_change_t *changes, size_t n, exports_error_t *error)
{
    ranking_t     r;
    exports_rc_t  rc;

    r.w = w;
    r.facets = facets;
    r.ranks = ranks;
    r.list = list;
    r.changes = changes;
    r.n = n;
    r.recount = n > 1 || exports_rank_height(changes[0].entry) > 0;
    r.open = 0;

    rc = EXPORTS_OK;

    for (r.level = 1;
         r.level <= EXPORTS_RANK_LEVELS && rc == EXPORTS_OK && !r.open;
         r.level++)
    {
        if (*ranks == NULL) {
            rc = exports_rc_of_mdb(mdb_cursor_open(w->txn,
                                                   w->env->dbi[DB_RANKS],
                                                   ranks));
            if (rc != EXPORTS_OK) {
                break;
            }
        }

        r.len = exports_rank_key(r.key, list->bytes, list->len, r.level);

        rc = exports_writer_check(w, DB_RANKS, r.key, r.len, 1, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        rc = r.recount ? rank_level(&r) : add_to_level(&r);
    }

    return failed(w, rc, error);
}


/* gives a code, unless it is EXPORTS_OK, the text that it came without */

static exports_rc_t
failed(exports_writer_t *w, exports_rc_t rc, exports_error_t *error)
{
    if (rc == EXPORTS_OK) {
        return EXPORTS_OK;
    }

    /* the map is full: its text says what to do */

    if (rc == EXPORTS_FULL) {
        return exports_mdb_error(error, w->env, "writing", MDB_MAP_FULL);
    }

    return exports_error(error, rc, "writing \"%s\": %s", w->env->path,
                         exports_strerror(rc));
}


/* does what rank_level() does, for one entry; recounts a damaged block */

static exports_rc_t
add_to_level(ranking_t *r)
{
    uint8_t       block[EXPORTS_RANK_LEN];
    MDB_val       k, v;
    uint64_t      count;
    exports_rc_t  rc;

    rc = find_block(r, r->changes[0].entry, block);

    if (rc != EXPORTS_OK) {
        r->open = rc == EXPORTS_NOT_FOUND;
        return r->open ? EXPORTS_OK : rc;
    }

    count = exports_get32(block + EXPORTS_ENTRY_LEN);
    count += r->changes[0].add ? 1 : (uint64_t) -1;

    /* a count of 0 is wrong, for the boundary is in the block, too */

    if (!exports_rank_check(block, r->key, r->len) || count == 0) {
        r->recount = 1;
        return rank_level(r);
    }

    exports_rank_encode(block, count, r->key, r->len);

    k = exports_mdb_val(r->key, r->len);
    v = exports_mdb_val(block, EXPORTS_RANK_LEN);

    return exports_rc_of_mdb(mdb_cursor_put(*r->ranks, &k, &v, MDB_CURRENT));
}


/* stores first which blocks there are, then their counts */

static exports_rc_t
rank_level(ranking_t *r)
{
    unsigned      changed;
    exports_rc_t  rc;

    rc = change_boundaries(r, &changed);

    return rc == EXPORTS_OK ? recount_blocks(r, changed) : rc;
}


static exports_rc_t
change_boundaries(ranking_t *r, unsigned *changed)
{
    size_t        i;
    exports_rc_t  rc;

    *changed = 0;

    for (rc = EXPORTS_OK, i = 0; i < r->n && rc == EXPORTS_OK; i++) {
        if (exports_rank_height(r->changes[i].entry) >= r->level) {
            *changed = 1;
            rc = change_boundary(r, &r->changes[i]);
        }
    }

    return rc;
}


static exports_rc_t
recount_blocks(ranking_t *r, unsigned changed)
{
    int           rc, added;
    size_t        i;
    uint8_t       entry[EXPORTS_ENTRY_LEN], end[EXPORTS_ENTRY_LEN];
    exports_rc_t  erc;

    for (i = 0; i < r->n; /* void */ ) {
        memcpy(entry, r->changes[i].entry, EXPORTS_ENTRY_LEN);

        do {
            erc = recount_block(r, entry, end);

            if (erc == EXPORTS_NOT_FOUND) {

                /* it is in the open block, and so are all that follow; if all
                   changes are, they are on higher levels, too */

                r->open = i == 0 && !changed;
                return EXPORTS_OK;
            }

            if (erc != EXPORTS_OK) {
                return erc;
            }

            for (added = 0; i < r->n; i++) {
                rc = memcmp(r->changes[i].entry, end, EXPORTS_ENTRY_LEN);

                if (rc > 0) {
                    break;
                }

                added = (rc == 0);
            }

            /* a new boundary has cut a block: the rest of it, after the
               boundary, has to be counted, too.  The last bit of a boundary is
               zero, so that adding one gives the next possible entry */

            memcpy(entry, end, EXPORTS_ENTRY_LEN);
            entry[EXPORTS_ENTRY_LEN - 1]++;

        } while (added);
    }

    return EXPORTS_OK;
}


static exports_rc_t
change_boundary(ranking_t *r, const exports_change_t *change)
{
    int               found;
    uint8_t           block[EXPORTS_RANK_LEN];
    exports_rc_t      rc;
    exports_run_t     run;
    exports_source_t  source = { NULL, *r->ranks };
    const uint8_t    *p;

    memset(block, 0, sizeof(block));
    memcpy(block, change->entry, EXPORTS_ENTRY_LEN);

    rc = exports_run_from(&run, &source, r->key, r->len, block,
                          EXPORTS_RANK_LEN);
    if (rc != EXPORTS_OK && rc != EXPORTS_NOT_FOUND) {
        return rc;
    }

    found = 0;

    if (rc == EXPORTS_OK) {
        p = run.values + run.at * EXPORTS_RANK_LEN;
        found = memcmp(p, block, EXPORTS_ENTRY_LEN) == 0;

        if (found) {
            memcpy(block, p, EXPORTS_RANK_LEN);
        }
    }

    if (change->add) {
        return found ? EXPORTS_OK : put_boundary(r, block);
    }

    return found ? del_boundary(r, block) : EXPORTS_OK;
}


static exports_rc_t
put_boundary(ranking_t *r, const uint8_t *block)
{
    MDB_val  k, v;

    k = exports_mdb_val(r->key, r->len);
    v = exports_mdb_val(block, EXPORTS_RANK_LEN);

    return exports_rc_of_mdb(mdb_cursor_put(*r->ranks, &k, &v, 0));
}


static exports_rc_t
del_boundary(ranking_t *r, const uint8_t *block)
{
    int           rc;
    exports_rc_t  erc;

    /* LMDB 0.9.24 must not delete while a cursor is on the page */

    exports_mdb_close(r->ranks);

    erc = exports_writer_del(r->w, DB_RANKS, r->key, r->len, block,
                             EXPORTS_RANK_LEN, NULL);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    rc = mdb_cursor_open(r->w->txn, r->w->env->dbi[DB_RANKS], r->ranks);

    return exports_rc_of_mdb(rc);
}


/* Finds the block that an entry is in, or would be, and leaves the cursor of
   ranks there.  EXPORTS_NOT_FOUND: it is in the open one. */

static exports_rc_t
find_block(ranking_t *r, const uint8_t *entry, uint8_t *block)
{
    int      rc;
    MDB_val  k, v;

    memset(block, 0, EXPORTS_RANK_LEN);
    memcpy(block, entry, EXPORTS_ENTRY_LEN);

    k = exports_mdb_val(r->key, r->len);
    v = exports_mdb_val(block, EXPORTS_RANK_LEN);

    rc = mdb_cursor_get(*r->ranks, &k, &v, MDB_GET_BOTH_RANGE);

    if (rc != 0 || v.mv_size != EXPORTS_RANK_LEN) {
        return rc != 0 ? exports_rc_of_mdb(rc) : EXPORTS_CORRUPT;
    }

    memcpy(block, v.mv_data, EXPORTS_RANK_LEN);

    return EXPORTS_OK;
}


/* counts the block that an entry is in, or would be; end: its boundary */

static exports_rc_t
recount_block(ranking_t *r, const uint8_t *entry, uint8_t *end)
{
    int             rc;
    uint8_t         from[EXPORTS_RANK_LEN], old[EXPORTS_RANK_LEN];
    uint8_t         new[EXPORTS_RANK_LEN];
    MDB_val         k, v;
    uint64_t        count;
    exports_rc_t    erc;
    const uint8_t  *after;

    erc = find_block(r, entry, old);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    memcpy(end, old, EXPORTS_ENTRY_LEN);

    after = NULL;
    rc = mdb_cursor_get(*r->ranks, &k, &v, MDB_PREV_DUP);

    if (rc == 0 && v.mv_size == EXPORTS_RANK_LEN) {
        memset(from, 0, sizeof(from));
        memcpy(from, v.mv_data, EXPORTS_ENTRY_LEN);
        after = from;

    } else if (rc != MDB_NOTFOUND) {
        return rc != 0 ? exports_rc_of_mdb(rc) : EXPORTS_CORRUPT;
    }

    erc = count_block(r, after, end, &count);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    memcpy(new, end, EXPORTS_ENTRY_LEN);
    exports_rank_encode(new, count, r->key, r->len);

    return memcmp(new, old, EXPORTS_RANK_LEN) == 0
               ? EXPORTS_OK : put_count(r, after != NULL, old, new);
}


/* the entries after one boundary, or NULL, up to another */

static exports_rc_t
count_block(ranking_t *r, const uint8_t *after, const uint8_t *end,
    uint64_t *count)
{
    size_t            len, until;
    uint8_t           key[EXPORTS_RANK_KEY_MAX];
    exports_rc_t      rc;
    exports_run_t     run;
    exports_source_t  source;

    *count = 0;
    source.tree = NULL;

    if (r->level == 1) {
        source.cursor = r->facets;
        rc = exports_run_from(&run, &source, r->list->bytes, r->list->len,
                              after, EXPORTS_ENTRY_LEN);

    } else {
        source.cursor = *r->ranks;
        len = exports_rank_key(key, r->list->bytes, r->list->len,
                               r->level - 1);
        rc = exports_run_from(&run, &source, key, len, after,
                              EXPORTS_RANK_LEN);
    }

    if (rc == EXPORTS_OK && after != NULL
        && memcmp(run.values + run.at * run.size, after, EXPORTS_ENTRY_LEN)
           == 0)
    {
        run.at++;
    }

    while (rc == EXPORTS_OK) {

        until = exports_run_until(&run, end);

        if (r->level == 1) {
            *count += until > run.at ? until - run.at : 0;

        } else {
            for ( /* void */ ; run.at < until; run.at++) {
                *count += exports_get32(run.values + run.at * run.size
                                        + EXPORTS_ENTRY_LEN);
            }
        }

        if (until < run.n) {
            break;
        }

        rc = exports_run_next(&run);
    }

    return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
}


/* replaces a block; back: the cursor of ranks is at the one before it */

static exports_rc_t
put_count(ranking_t *r, int back, const uint8_t *old, const uint8_t *block)
{
    int      rc;
    MDB_val  k, v;

    k = exports_mdb_val(r->key, r->len);
    v = exports_mdb_val(old, EXPORTS_RANK_LEN);
    rc = 0;

    /* on a higher level the cursor has been at the blocks of the level below */

    if (r->level > 1) {
        rc = mdb_cursor_get(*r->ranks, &k, &v, MDB_GET_BOTH);

    } else if (back) {
        rc = mdb_cursor_get(*r->ranks, &k, &v, MDB_NEXT_DUP);
    }

    if (rc == MDB_NOTFOUND
        || (rc == 0 && (v.mv_size != EXPORTS_RANK_LEN
                        || memcmp(v.mv_data, old, EXPORTS_RANK_LEN) != 0)))
    {
        rc = MDB_CORRUPTED;
    }

    if (rc == 0) {
        v = exports_mdb_val(block, EXPORTS_RANK_LEN);
        rc = mdb_cursor_put(*r->ranks, &k, &v, MDB_CURRENT);
    }

    return exports_rc_of_mdb(rc);
}


exports_rc_t
exports_writer_rerank(exports_writer_t *w, const uint8_t *list, size_t len,
    exports_error_t *error)
{
    int            rc;
    size_t         n;
    uint8_t        key[EXPORTS_RANK_KEY_MAX];
    unsigned       level;
    MDB_cursor    *facets;
    exports_rc_t   erc;

    erc = exports_writer_flush(w, error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    for (level = 1; level <= EXPORTS_RANK_LEVELS; level++) {
        n = exports_rank_key(key, list, len, level);
        erc = exports_writer_drop_ranks(w, key, n, error);
        if (erc != EXPORTS_OK) {
            return erc;
        }
    }

    rc = mdb_cursor_open(w->txn, w->env->dbi[DB_FACETS], &facets);
    if (rc != 0) {
        return exports_mdb_error(error, w->env, "writing", rc);
    }

    erc = exports_run_blocks(facets, list, len, put_block, w);

    mdb_cursor_close(facets);

    return failed(w, erc, error);
}


exports_rc_t
exports_writer_drop_ranks(exports_writer_t *w, const uint8_t *key, size_t len,
    exports_error_t *error)
{
    return exports_writer_del(w, DB_RANKS, key, len, NULL, 0, error);
}


static exports_rc_t
put_block(void *data, unsigned level, const uint8_t *key, size_t len,
    const uint8_t *block)
{
    exports_writer_t  *w = data;

    (void) level;

    return exports_writer_store(w, DB_RANKS, key, len, block,
                                EXPORTS_RANK_LEN, NULL);
}
