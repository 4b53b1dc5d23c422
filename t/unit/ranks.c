
/*
 * Lists and their blocks, against arrays: exports_list.c, exports_block.c,
 * exports_union.c, exports_writer_lists.c and exports_writer_ranks.c.
 *
 * Ties are made up, so that boundaries of all levels are frequent, and blocks
 * are looked up in lists of any length: the first two are compiled in here.
 */

#include "fixture.h"

#define NEAR_ENTRIES  4
#define NEAR_LEAVES   1
#define LEVEL_BITS    level_bits

static unsigned  level_bits = 2;

#include "exports_list.c"       /* NOLINT(bugprone-suspicious-include) */
#include "exports_block.c"      /* NOLINT(bugprone-suspicious-include) */

#include "exports_verify_private.h"
#include "exports_writer_private.h"


#define NITEMS     2000
#define NTYPES     13
#define NSTATUSES  5

typedef struct {
    uint64_t         created;
    uint64_t         tie;
    unsigned         status;
    unsigned         type;
    unsigned         alive;
} item_t;

typedef struct {
    unsigned         nlists;
    exports_facet_t  lists[EXPORTS_LISTS_MAX];
    unsigned         n;
    unsigned         found[NITEMS];     /* in the order of pages */
} query_t;


static const char *const  statuses[NSTATUSES] = {
    "ready", "pending", "processing", "failed", "cancelled"
};

static const uint8_t  numbers[NSTATUSES] = {
    EXPORTS_STATUS_READY, EXPORTS_STATUS_PENDING, EXPORTS_STATUS_PROCESSING,
    EXPORTS_STATUS_FAILED, EXPORTS_STATUS_CANCELLED
};

static item_t          items[NITEMS], saved[NITEMS];
static exports_page_t  page;


/* of an eighth of all ties 5 bits are zero, of an eighth of these 10, ... */

static uint64_t
random_tie(void)
{
    uint64_t  tie;

    for (tie = rnd(); (tie & 0x1f) == 0; tie = rnd()) {
        /* void */
    }

    return below(8) ? tie : below(8) ? tie << 5 : below(4) ? tie << 10
           : below(4) ? tie << 15 : tie << 20;
}


static exports_rc_t
put_item(exports_writer_t *w, unsigned i, exports_error_t *error)
{
    char                 id[16];
    spec_t               spec;
    exports_manifest_t   manifest;

    (void) snprintf(id, sizeof(id), "u-%u", i);

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_USER;
    spec.scope = "1";
    spec.id = id;
    spec.created = items[i].created;
    spec.status = statuses[items[i].status];
    spec.type = type_name(items[i].type);

    spec_manifest(&manifest, &spec);
    manifest.tie = items[i].tie;

    return exports_writer_put(w, &manifest, NULL, error);
}


static void
change_item(exports_writer_t *w, unsigned span)
{
    char             id[16];
    unsigned         i;
    exports_rc_t     rc;
    exports_error_t  error;

    i = below(NITEMS);
    (void) snprintf(id, sizeof(id), "u-%u", i);

    if (items[i].alive && chance(30)) {
        items[i].alive = 0;
        rc = exports_writer_delete(w, EXPORTS_USER, "1", 1, id, strlen(id),
                                   &error);

    } else {
        if (!items[i].alive || chance(20)) {
            items[i].created = TEST_TIME + below(span);
        }

        items[i].alive = 1;
        items[i].status = below(10) ? below(2) : below(NSTATUSES);
        items[i].type = below(NTYPES);
        rc = put_item(w, i, &error);
    }

    must(rc == EXPORTS_OK, "%s: %s", id, error.text);
}


static int
compare_items(const void *a, const void *b)
{
    const item_t  *x = &items[*(const unsigned *) a];
    const item_t  *y = &items[*(const unsigned *) b];

    if (x->created != y->created) {
        return x->created < y->created ? 1 : -1;
    }

    return (x->tie < y->tie) - (x->tie > y->tie);
}


static void
random_query(query_t *q, uint64_t scope)
{
    unsigned          i, facet, some_statuses, some_types;
    exports_facets_t  values;

    facet = below(4);

    do {
        some_statuses = facet & 1 ? 1 + below((1U << NSTATUSES) - 1) : 1;
        some_types = facet & 2 ? 1 + below((1U << NTYPES) - 1) : 1;
    } while (__builtin_popcount(some_statuses) * __builtin_popcount(some_types)
             > EXPORTS_LISTS_MAX);

    memset(&values, 0, sizeof(values));
    q->nlists = 0;
    q->n = 0;

    for (i = 0; i < NSTATUSES * NTYPES; i++) {

        if ((some_statuses >> i % NSTATUSES & 1)
            && (some_types >> i / NSTATUSES & 1))
        {
            values.status = numbers[i % NSTATUSES];
            must(exports_hash(values.type, type_name(i / NSTATUSES),
                              strlen(type_name(i / NSTATUSES))) == 0,
                 "SHA-256");
            exports_facet_key(&q->lists[q->nlists++], scope, facet, &values);
        }
    }

    for (i = 0; i < NITEMS; i++) {
        if (items[i].alive
            && (!(facet & 1) || (some_statuses >> items[i].status & 1))
            && (!(facet & 2) || (some_types >> items[i].type & 1)))
        {
            q->found[q->n++] = i;
        }
    }

    qsort(q->found, q->n, sizeof(unsigned), compare_items);
}


/* EXPORTS_OK: the page is right; EXPORTS_FAILED: it is not */

static exports_rc_t
read_page_of(exports_reader_t *reader, const query_t *q, uint64_t scope,
    uint64_t offset, unsigned limit)
{
    char                   id[16];
    unsigned               i, n;
    exports_rc_t           rc;
    exports_page_query_t   query;

    memset(&query, 0, sizeof(query));
    query.scope = scope;
    query.kind = EXPORTS_USER;
    query.lists = q->lists;
    query.nlists = q->nlists;
    query.offset = offset;
    query.limit = limit;

    rc = exports_page_read(reader, &query, &page);

    if (rc != EXPORTS_OK) {
        return rc;
    }

    n = offset >= q->n ? 0
        : q->n - offset < limit ? (unsigned) (q->n - offset) : limit;

    if (page.total != q->n || page.nitems != n) {
        return EXPORTS_FAILED;
    }

    for (i = 0; i < n; i++) {
        (void) snprintf(id, sizeof(id), "u-%u", q->found[offset + i]);

        if (page.items[i].id.len != strlen(id)
            || memcmp(page.items[i].id.data, id, strlen(id)) != 0)
        {
            return EXPORTS_FAILED;
        }
    }

    return EXPORTS_OK;
}


static void
check_pages(exports_reader_t *reader, uint64_t scope, unsigned n)
{
    query_t       q;
    uint64_t      offset;
    unsigned      limit;
    exports_rc_t  rc;

    while (n-- > 0) {
        random_query(&q, scope);

        offset = chance(5) ? q.n - (q.n > 0)
                 : chance(5) ? q.n + below(2) : below(q.n + 1);
        limit = 1 + below(chance(90) ? 5 : 100);

        rc = read_page_of(reader, &q, scope, offset, limit);

        check(rc == EXPORTS_OK, "%u lists, %u items, offset %" PRIu64
              ", limit %u: %s", q.nlists, q.n, offset, limit, rc_name(rc));
    }
}


/*
 * What ranks must hold, from what facets holds: keys are in the same order
 * there, for none is the beginning of another.
 */

static unsigned long
recount(exports_env_t *env)
{
    int             rc;
    MDB_val         k, v, rk, rv, list;
    MDB_txn        *txn;
    uint64_t        count;
    unsigned        level;
    MDB_cursor     *facets, *ranks;
    const uint8_t  *entry;
    unsigned long   blocks;

    rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    must(rc == 0, "mdb_txn_begin: %s", mdb_strerror(rc));
    must(mdb_cursor_open(txn, env->dbi[DB_FACETS], &facets) == 0
         && mdb_cursor_open(txn, env->dbi[DB_RANKS], &ranks) == 0, "cursors");

    blocks = 0;

    for (rc = mdb_cursor_get(facets, &list, &v, MDB_FIRST);
         rc == 0;
         rc = mdb_cursor_get(facets, &list, &v, MDB_NEXT_NODUP))
    {
        for (level = 1; level <= 4; level++) {
            count = 0;
            k = list;

            for (rc = mdb_cursor_get(facets, &k, &v, MDB_FIRST_DUP);
                 rc == 0;
                 rc = mdb_cursor_get(facets, &k, &v, MDB_NEXT_DUP))
            {
                entry = v.mv_data;
                count++;

                if (exports_get64(entry + 8) % (1U << 5 * level) != 0) {
                    continue;
                }

                blocks++;
                rc = mdb_cursor_get(ranks, &rk, &rv, MDB_NEXT);

                if (!check(rc == 0 && rk.mv_size == list.mv_size + 1
                           && memcmp(rk.mv_data, list.mv_data, list.mv_size)
                              == 0
                           && ((uint8_t *) rk.mv_data)[list.mv_size] == level
                           && rv.mv_size == 24
                           && memcmp(rv.mv_data, entry, 16) == 0
                           && exports_get32((uint8_t *) rv.mv_data + 16)
                              == count
                           && exports_get32((uint8_t *) rv.mv_data + 20)
                              == (uint32_t) exports_checksum(rk.mv_data,
                                                             rk.mv_size,
                                                             rv.mv_data, 20),
                           "a block of level %u, of %" PRIu64 " entries",
                           level, count))
                {
                    goto done;
                }

                count = 0;
            }
        }
    }

    check(mdb_cursor_get(ranks, &rk, &rv, MDB_NEXT) == MDB_NOTFOUND,
          "there are more blocks than %lu", blocks);

done:

    mdb_cursor_close(facets);
    mdb_cursor_close(ranks);
    mdb_txn_abort(txn);

    return blocks;
}


static void
new_items(void)
{
    unsigned  i;

    memset(items, 0, sizeof(items));

    for (i = 0; i < NITEMS; i++) {
        items[i].tie = random_tie();
    }
}


/* puts, replacements and deletions in transactions of all sizes */

static void
property(void)
{
    char               id[16];
    uint64_t           scope;
    unsigned           i, n, span;
    unsigned long      blocks, most;
    exports_env_t     *env;
    exports_reader_t  *reader;
    exports_writer_t  *w;

    env = new_store(in_dir("property"));
    reader = open_reader(env);
    most = 0;
    span = 1;

    for (n = 0; n < rounds(60, 15); n++) {

        if (n % 15 == 0) {
            w = begin_writer(env);

            for (i = 0; i < NITEMS; i++) {
                (void) snprintf(id, sizeof(id), "u-%u", i);

                if (items[i].alive) {
                    must(exports_writer_delete(w, EXPORTS_USER, "1", 1, id,
                                               strlen(id), NULL)
                             == EXPORTS_OK, "deleting");
                }
            }

            commit_writer(w);
            check(recount(env) == 0, "an empty store has blocks");

            new_items();
            span = n % 2 ? 1000000 : 300;
        }

        w = begin_writer(env);
        memcpy(saved, items, sizeof(items));

        for (i = chance(30) ? 1 : 1 + below(chance(50) ? 30 : 1500);
             i > 0;
             i--)
        {
            change_item(w, span);

            /* what reads lists has them stored in the midst */

            if (chance(1) && exports_read_scope(exports_writer_reader(w),
                                                EXPORTS_USER, "1", 1,
                                                &(exports_scope_t) { 0 })
                             == EXPORTS_OK)
            {
                check_pages(exports_writer_reader(w), 1, 1);
            }
        }

        if (n % 15 > 2 && chance(15)) {
            exports_writer_abort(w);
            memcpy(items, saved, sizeof(items));

        } else {
            commit_writer(w);
        }

        blocks = recount(env);
        most = blocks > most ? blocks : most;

        scope = stored_scope(env, EXPORTS_USER, "1").id;
        must(scope == 1, "the scope's ID");

        renew_reader(reader);
        check_pages(reader, scope, 60);
        exports_reader_reset(reader);
    }

    note("%lu blocks at most", most);
    checked("blocks and pages after random changes");

    exports_reader_close(reader);
    exports_env_close(env);
}


/*
 * Each row of up to five additions and removals of one entry, and each of them
 * of one that is there before: the last one counts.  In the order of the
 * entries, for these are not sorted, and all first ones before all second ones.
 */

#define NROWS  62

static int
row_step(unsigned row, unsigned step, int *add)
{
    unsigned  len;

    for (row += 2, len = 0; row >> len > 1; len++) {
        /* void */
    }

    *add = (int) (row >> step & 1);

    return step < len;
}


static void
change_entry(exports_writer_t *w, const exports_facet_t *list, unsigned i,
    int add)
{
    uint8_t       entry[EXPORTS_ENTRY_LEN];
    exports_rc_t  rc;

    /* every other one is a boundary */

    exports_put64(entry, TEST_TIME + i / 2);
    exports_put64(entry + 8, i % 2 ? 0x0102030405060708 : 0x0102030405060700);

    rc = exports_writer_list(w, list->bytes, list->len, entry, add, NULL);
    must(rc == EXPORTS_OK, "changing: %s", rc_name(rc));
}


static void
change_rows(exports_writer_t *w, const exports_facet_t *list, int in_turn)
{
    int       add;
    unsigned  i, row, step;

    for (i = 0; i < 4 * NROWS * 5; i++) {
        row = in_turn ? i / 5 : i % (4 * NROWS);
        step = in_turn ? i % 5 : i / (4 * NROWS);

        if (row_step(row / 4, step, &add)) {
            change_entry(w, list, row, add);
        }
    }
}


static void
check_rows(exports_env_t *env, const exports_facet_t *list, int in_turn)
{
    int             add, last;
    MDB_val         k, v;
    MDB_txn        *txn;
    unsigned        row, step;
    uint8_t         entry[EXPORTS_ENTRY_LEN];

    must(mdb_txn_begin(env->mdb, NULL, 0, &txn) == 0, "reading");

    for (row = 0; row < 4 * NROWS; row++) {
        exports_put64(entry, TEST_TIME + row / 2);
        exports_put64(entry + 8, row % 2 ? 0x0102030405060708
                                         : 0x0102030405060700);

        for (last = 0, step = 0; row_step(row / 4, step, &add); step++) {
            last = add;
        }

        k.mv_data = (void *) list->bytes;
        k.mv_size = list->len;
        v.mv_data = entry;
        v.mv_size = sizeof(entry);

        /* to delete is to find out */

        check((mdb_del(txn, env->dbi[DB_FACETS], &k, &v) == 0) == last,
              "%s, row %u of %u changes: the entry is %s",
              in_turn ? "in turn" : "mixed", row, step,
              last ? "missing" : "there");
    }

    mdb_txn_abort(txn);
}


static void
changes(void)
{
    int                in_turn;
    unsigned           i;
    exports_env_t     *env;
    exports_facet_t    list;
    exports_writer_t  *w;

    exports_facet_key(&list, 1, EXPORTS_FACET_ALL, NULL);

    for (in_turn = 0; in_turn < 2; in_turn++) {
        env = new_store(in_dir("changes-%d", in_turn));
        w = begin_writer(env);

        for (i = 0; i < 4 * NROWS; i++) {
            if (i % 4 < 2) {
                change_entry(w, &list, i, 1);
            }
        }

        commit_writer(w);
        must(recount(env) == NROWS, "a boundary a row");

        w = begin_writer(env);
        change_rows(w, &list, in_turn);
        commit_writer(w);

        check_rows(env, &list, in_turn);
        (void) recount(env);
        exports_env_close(env);
    }

    checked("of several changes of one entry the last one counts");
}


/* a count that its check does not fit */

static void
damage_last(exports_env_t *env, const exports_facet_t *list)
{
    size_t       len;
    uint8_t      key[EXPORTS_RANK_KEY_MAX], block[EXPORTS_RANK_LEN];
    MDB_val      k, v;
    MDB_txn     *txn;
    MDB_cursor  *cursor;

    len = exports_rank_key(key, list->bytes, list->len, 1);

    k.mv_data = key;
    k.mv_size = len;

    must(mdb_txn_begin(env->mdb, NULL, 0, &txn) == 0
         && mdb_cursor_open(txn, env->dbi[DB_RANKS], &cursor) == 0
         && mdb_cursor_get(cursor, &k, &v, MDB_SET) == 0
         && mdb_cursor_get(cursor, &k, &v, MDB_LAST_DUP) == 0, "reading");

    memcpy(block, v.mv_data, EXPORTS_RANK_LEN);
    block[EXPORTS_ENTRY_LEN + 3] ^= 0x40;

    v.mv_data = block;
    must(mdb_cursor_put(cursor, &k, &v, MDB_CURRENT) == 0, "damaging");

    mdb_cursor_close(cursor);
    must(mdb_txn_commit(txn) == 0, "damaging");
}


static void
change_alone(exports_env_t *env, const exports_facet_t *list, unsigned i,
    int add)
{
    exports_writer_t  *w;

    w = begin_writer(env);
    change_entry(w, list, i, add);
    commit_writer(w);

    (void) recount(env);
}


/* each in a transaction of its own, the half of them without a change */

static void
alone(void)
{
    unsigned           i, n;
    exports_env_t     *env;
    exports_facet_t    list;
    exports_writer_t  *w;

    exports_facet_key(&list, 1, EXPORTS_FACET_ALL, NULL);

    env = new_store(in_dir("alone"));
    w = begin_writer(env);

    for (i = 0; i < 64; i++) {
        if (i % 4 < 2) {
            change_entry(w, &list, i, 1);
        }
    }

    commit_writer(w);
    must(recount(env) == 16, "a boundary in four");

    /* before the last boundary, and behind it */

    damage_last(env, &list);
    change_alone(env, &list, 59, 1);
    change_alone(env, &list, 63, 1);

    for (n = 0; n < rounds(400, 100); n++) {
        i = below(64);
        change_alone(env, &list, chance(80) ? i | 1 : i, chance(50));
    }

    checked("changes of one entry");

    exports_env_close(env);
}


static void
fill(exports_env_t *env, int backward)
{
    unsigned           i, n;
    exports_rc_t       rc;
    exports_error_t    error;
    exports_writer_t  *w;

    for (n = 0, w = NULL; n < NITEMS; n++) {
        i = backward ? NITEMS - 1 - n : n;
        w = w == NULL ? begin_writer(env) : w;

        rc = put_item(w, i, &error);
        must(rc == EXPORTS_OK, "%s", error.text);

        if (chance(backward ? 10 : 1) || n == NITEMS - 1) {
            commit_writer(w);
            w = NULL;
        }
    }
}


static void
random_items(unsigned span)
{
    unsigned  i;

    new_items();

    for (i = 0; i < NITEMS; i++) {
        items[i].created = TEST_TIME + below(span);
        items[i].status = below(NSTATUSES);
        items[i].type = below(NTYPES);
        items[i].alive = 1;
    }
}


static uint64_t
sum_of(exports_env_t *env, exports_db_t db)
{
    MDB_val      k, v;
    MDB_txn     *txn;
    uint64_t     sum;
    MDB_cursor  *cursor;

    must(mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn) == 0
         && mdb_cursor_open(txn, env->dbi[db], &cursor) == 0, "reading");

    for (sum = 0; mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0; ) {
        sum = sum * 0x9e3779b97f4a7c15ULL
              + exports_checksum(k.mv_data, k.mv_size, v.mv_data, v.mv_size);
    }

    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);

    return sum;
}


static void
order(void)
{
    uint64_t        sum;
    exports_env_t  *one, *two;

    one = new_store(in_dir("one"));
    two = new_store(in_dir("two"));

    random_items(5000);
    fill(one, 0);
    fill(two, 1);

    sum = sum_of(one, DB_RANKS);
    ok(sum != 0 && sum == sum_of(two, DB_RANKS)
       && sum_of(one, DB_FACETS) == sum_of(two, DB_FACETS),
       "written in another order: the same blocks");

    (void) recount(one);
    checked("of the right counts");

    exports_env_close(one);
    exports_env_close(two);
}


/* blocks of a level of a list */

typedef struct {
    size_t    len;
    uint8_t   key[EXPORTS_RANK_KEY_MAX];
    unsigned  n;
    uint8_t   values[NITEMS][EXPORTS_RANK_LEN];
} blocks_t;

typedef enum {
    FLIPPED,        /* in its place */
    MOVED,          /* flipped, and where it then belongs */
    REMOVED,
    ADDED,          /* the same with another boundary */
    COPIED,         /* over another one of the list */
    EXCHANGED,      /* with another one of the list */
    FOREIGN,        /* one of another list or level in its place */
    TURNED,         /* two neighbouring rows of the list, exchanged */
    NDAMAGES
} damage_t;

static const char *const  damages[NDAMAGES] = {
    "flipped", "moved", "removed", "added", "copied", "exchanged", "foreign",
    "turned"
};


/* those that the n-th value of ranks is of; returns its place */

static unsigned
load_blocks(exports_env_t *env, unsigned n, blocks_t *blocks)
{
    int          rc;
    MDB_val      k, v;
    MDB_txn     *txn;
    size_t       dups;
    unsigned     before;
    MDB_cursor  *cursor;

    must(mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn) == 0
         && mdb_cursor_open(txn, env->dbi[DB_RANKS], &cursor) == 0, "reading");

    for (before = 0; /* void */ ; before += (unsigned) dups) {
        must(mdb_cursor_get(cursor, &k, &v, MDB_NEXT_NODUP) == 0
             && mdb_cursor_count(cursor, &dups) == 0, "a block");

        if (n < before + dups) {
            break;
        }
    }

    blocks->len = k.mv_size;
    memcpy(blocks->key, k.mv_data, k.mv_size);
    blocks->n = 0;

    for (rc = 0; rc == 0; rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT_DUP)) {
        memcpy(blocks->values[blocks->n++], v.mv_data, EXPORTS_RANK_LEN);
    }

    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);

    return n - before;
}


/* each row is still in order, the boundary between them is not */

static void
turn(MDB_txn *txn, MDB_dbi dbi, const blocks_t *blocks)
{
    unsigned  i, half, first;

    half = 1 + below(blocks->n < 20 ? blocks->n / 2 : 10);
    first = below(blocks->n - 2 * half + 1);

    for (i = 0; i < 2 * half; i++) {
        raw_overwrite(txn, dbi, blocks->key, blocks->len, first + i,
                      blocks->values[first + (i + half) % (2 * half)],
                      EXPORTS_RANK_LEN);
    }
}


/* returns 0 when all is as it was */

static int
damage_block(exports_env_t *env, damage_t how, const blocks_t *blocks,
    unsigned at, const uint8_t *foreign)
{
    uint8_t         wrong[EXPORTS_RANK_LEN];
    MDB_dbi         dbi;
    MDB_txn        *txn;
    unsigned        other;
    const uint8_t  *value;

    dbi = env->dbi[DB_RANKS];
    value = blocks->values[at];
    must(blocks->n > 0, "no blocks");
    other = below(blocks->n);

    if (how == FOREIGN ? memcmp(foreign, value, EXPORTS_RANK_LEN) == 0
        : how == TURNED ? blocks->n == 1
                        : (how == COPIED || how == EXCHANGED) && other == at)
    {
        return 0;
    }

    memcpy(wrong, value, EXPORTS_RANK_LEN);

    if (how == FLIPPED || how == MOVED) {
        wrong[below(EXPORTS_RANK_LEN)] ^= (uint8_t) (1 + below(255));

    } else if (how == ADDED) {
        random_bytes(wrong + 8, 8);
    }

    txn = raw_begin(env);

    if (how == MOVED || how == REMOVED) {
        raw_del(txn, dbi, blocks->key, blocks->len, value, EXPORTS_RANK_LEN);
    }

    if (how == TURNED) {
        turn(txn, dbi, blocks);

    } else if (how == MOVED || how == ADDED) {
        raw_put(txn, dbi, blocks->key, blocks->len, wrong, EXPORTS_RANK_LEN);

    } else if (how == COPIED || how == EXCHANGED) {
        raw_overwrite(txn, dbi, blocks->key, blocks->len, other, value,
                      EXPORTS_RANK_LEN);

        if (how == EXCHANGED) {
            raw_overwrite(txn, dbi, blocks->key, blocks->len, at,
                          blocks->values[other], EXPORTS_RANK_LEN);
        }

    } else if (how != REMOVED) {
        raw_overwrite(txn, dbi, blocks->key, blocks->len, at,
                      how == FOREIGN ? foreign : wrong, EXPORTS_RANK_LEN);
    }

    raw_commit(txn);

    return 1;
}


static int
has_list(const query_t *q, const blocks_t *blocks)
{
    unsigned  i;

    for (i = 0; i < q->nlists; i++) {
        if (q->lists[i].len == blocks->len - 1
            && memcmp(q->lists[i].bytes, blocks->key, blocks->len - 1) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* pages of the list, mostly; the number of those that are refused */

static unsigned
damaged_pages(exports_reader_t *reader, const blocks_t *blocks, damage_t how)
{
    query_t       q;
    uint64_t      scope;
    unsigned      i, tries, refused;
    exports_rc_t  rc;

    scope = exports_get64(blocks->key);

    for (refused = 0, i = 0; i < 20; i++) {

        for (tries = 0; tries < 50; tries++) {
            random_query(&q, scope);

            if (has_list(&q, blocks)) {
                break;
            }
        }

        rc = read_page_of(reader, &q, scope, below(q.n + 1), 3);
        refused += (rc == EXPORTS_CORRUPT);

        check(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT, "%s: %u lists: %s",
              damages[how], q.nlists, rc_name(rc));
    }

    return refused;
}


typedef struct {
    unsigned         n;
    exports_facet_t  lists[2];
} found_t;


static exports_rc_t
keep_list(void *data, exports_rank_fault_t type, const uint8_t *key,
    size_t len, const char *text)
{
    found_t  *found = data;

    must(type == RANK_BLOCKS && found->n < 2, "another fault: %s", text);

    memcpy(found->lists[found->n].bytes, key, len);
    found->lists[found->n++].len = len;

    return EXPORTS_OK;
}


static void
mend(exports_env_t *env, exports_reader_t *reader, damage_t how)
{
    found_t            found;
    unsigned           i;
    exports_rc_t       rc;
    exports_writer_t  *w;

    found.n = 0;
    rc = exports_verify_ranks(reader, keep_list, &found);
    check(rc == EXPORTS_OK && found.n == 1, "%s: %s, %u lists reported",
          damages[how], rc_name(rc), found.n);

    exports_reader_reset(reader);

    w = begin_writer(env);

    for (i = 0; i < found.n; i++) {
        rc = exports_writer_rerank(w, found.lists[i].bytes,
                                   found.lists[i].len, NULL);
        must(rc == EXPORTS_OK, "counting again: %s", rc_name(rc));
    }

    commit_writer(w);
}


static int
are_refused(const unsigned *refused)
{
    damage_t  how;

    for (how = 0; how < NDAMAGES; how++) {
        if (refused[how] == 0) {
            return 0;
        }
    }

    return 1;
}


/* the right page, or none; verify finds it, and all is as it was afterwards */

static void
damage(void)
{
    uint8_t            foreign[EXPORTS_RANK_LEN];
    uint64_t           sum;
    unsigned           at, n, least, tried[NDAMAGES], refused[NDAMAGES];
    damage_t           how;
    unsigned long      blocks;
    exports_env_t     *env;
    exports_reader_t  *reader;
    static blocks_t    damaged;

    env = new_store(in_dir("damage"));
    random_items(100000);
    fill(env, 0);

    reader = open_reader(env);
    blocks = recount(env);
    must(blocks > 100, "%lu blocks", blocks);
    sum = sum_of(env, DB_RANKS);
    memset(tried, 0, sizeof(tried));
    memset(refused, 0, sizeof(refused));

    least = rounds(400, 100);

    for (n = 0; goes_on(n, least, are_refused(refused)); n++) {
        how = below(NDAMAGES);

        at = load_blocks(env, below((unsigned) blocks), &damaged);
        memcpy(foreign, damaged.values[at], EXPORTS_RANK_LEN);

        /* the longest lists come first */

        at = load_blocks(env, below((unsigned) (chance(50) ? blocks / 8
                                                           : blocks)),
                         &damaged);

        if (!damage_block(env, how, &damaged, at, foreign)) {
            continue;
        }

        renew_reader(reader);
        level_bits = 2 + below(4);
        tried[how]++;
        refused[how] += damaged_pages(reader, &damaged, how);
        mend(env, reader, how);
    }

    for (how = 0; how < NDAMAGES; how++) {
        note("%s: %u, %u pages refused", damages[how], tried[how],
             refused[how]);
        check(refused[how] > 0, "%s: not noticed", damages[how]);
    }

    level_bits = 2;
    checked("a block that is wrong: the right page, or none");

    (void) recount(env);
    ok(sum_of(env, DB_RANKS) == sum, "all is as it was");

    exports_reader_close(reader);
    exports_env_close(env);
}


/* rows of blocks that lie side by side, as in a leaf */

#define ROW_MAX  40

typedef struct {
    size_t    n;
    uint64_t  key_hash;
    uint64_t  counts[ROW_MAX];
    uint8_t   before[EXPORTS_ENTRY_LEN];
    uint8_t   values[ROW_MAX][EXPORTS_RANK_LEN];
} row_t;


static void
random_row(row_t *row)
{
    size_t    i;
    uint8_t   key[EXPORTS_RANK_KEY_MAX];

    random_bytes(key, sizeof(key));
    memset(row, 0, sizeof(row_t));

    row->n = below(ROW_MAX + 1);
    row->key_hash = exports_rank_hash(key, sizeof(key));

    for (i = 0; i < row->n; i++) {
        exports_put64(row->values[i], TEST_TIME + i / 2);
        exports_put64(row->values[i] + 8, i + 1);
        row->counts[i] = 1 + below(100);
        exports_rank_encode(row->values[i], row->counts[i], key, sizeof(key));
    }
}


/* good: the blocks that come before a faulty one; -1: there is none */

static void
check_row(const row_t *row, const uint8_t *before, int good, const char *what)
{
    int       sound;
    size_t    n, passed;
    uint64_t  most, sum, expected;

    most = below((unsigned) (60 * row->n + 2));
    expected = 7;

    for (passed = 0;
         passed < row->n && expected - 7 + row->counts[passed] <= most;
         passed++)
    {
        expected += row->counts[passed];
    }

    n = row->n;
    sum = 7;
    sound = good < 0 || passed < (size_t) good;

    check(exports_rank_pass(row->values[0], &n, before, row->key_hash, most,
                            &sum)
          == sound, "%s: pass of %zu", what, row->n);
    check(!sound || (n == passed && sum == expected),
          "%s: %zu passed, not %zu; %llu", what, n, passed,
          (unsigned long long) sum);
}


static void
check_sum(const row_t *row, const uint8_t *before, int sound, const char *what)
{
    size_t    i;
    uint64_t  sum, expected;

    for (expected = 7, i = 0; i < row->n; i++) {
        expected += row->counts[i];
    }

    sum = 7;

    check(exports_rank_add(row->values[0], row->n, before, row->key_hash, &sum)
          == sound, "%s: sum of %zu", what, row->n);
    check(!sound || sum == expected, "%s: %llu", what,
          (unsigned long long) sum);
}


/* those that are passed, up to the one that is too many, must be sound; of
   those that are only added up, the first, and the order of all */

static void
rows(void)
{
    int       at;
    row_t     row;
    unsigned  i;
    uint8_t   kept[EXPORTS_RANK_LEN];

    for (i = 0; i < rounds(2000, 500); i++) {
        random_row(&row);
        check_row(&row, NULL, -1, "sound");
        check_row(&row, row.before, -1, "after another");
        check_sum(&row, row.before, 1, "sound");

        if (row.n < 2) {
            continue;
        }

        check_row(&row, row.values[0], 0, "after itself");
        check_sum(&row, row.values[0], 0, "after itself");

        at = (int) below((unsigned) row.n);
        row.values[at][EXPORTS_RANK_LEN - 1 - below(4)] ^= 1;
        check_row(&row, NULL, at, "a wrong check");
        check_sum(&row, NULL, at > 0, "a wrong check");

        random_row(&row);

        if (row.n < 2) {
            continue;
        }

        at = (int) below((unsigned) row.n - 1);
        memcpy(kept, row.values[at], EXPORTS_RANK_LEN);
        memcpy(row.values[at], row.values[at + 1], EXPORTS_RANK_LEN);
        memcpy(row.values[at + 1], kept, EXPORTS_RANK_LEN);
        row.counts[at] = exports_get32(row.values[at] + EXPORTS_ENTRY_LEN);
        row.counts[at + 1] = exports_get32(kept + EXPORTS_ENTRY_LEN);
        check_row(&row, NULL, at + 1, "exchanged");
        check_sum(&row, NULL, 0, "exchanged");

        row.key_hash++;
        check_row(&row, NULL, 0, "of another list");
        check_sum(&row, NULL, 0, "of another list");
    }

    checked("rows of blocks");
}


/* lists that cover times of their own, and of very different lengths */

static void
disjoint(void)
{
    uint64_t           scope;
    unsigned           i;
    exports_env_t     *env;
    exports_reader_t  *reader;

    env = new_store(in_dir("disjoint"));
    random_items(1);

    for (i = 0; i < NITEMS; i++) {
        items[i].created = TEST_TIME + i;
        items[i].type = i < 1000 ? 0 : i < 1990 ? 1 : i % NTYPES;
        items[i].status = i / (NITEMS / NSTATUSES);
    }

    fill(env, 0);

    scope = stored_scope(env, EXPORTS_USER, "1").id;
    reader = open_reader(env);
    renew_reader(reader);
    check_pages(reader, scope, rounds(2000, 500));
    checked("lists of disjoint times");

    exports_reader_close(reader);
    exports_env_close(env);
}


int
main(void)
{
    random_seed();

    property();
    changes();
    alone();
    order();
    damage();
    rows();
    disjoint();

    return done_testing();
}
