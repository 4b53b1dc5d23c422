
/*
 * Lists and their blocks, against arrays: exports_list.c, exports_union.c,
 * exports_writer_lists.c and exports_writer_ranks.c.
 *
 * Ties are made up, so that boundaries of all levels are frequent, and blocks
 * are looked up in lists of any length: exports_list.c is compiled in here.
 */

#include "fixture.h"

#define NEAR_ENTRIES  4
#define NEAR_LEAVES   1
#define LEVEL_BITS    2

#include "exports_list.c"       /* NOLINT(bugprone-suspicious-include) */

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


/* of an eighth of all ties the last byte is zero, of an eighth of these two */

static uint64_t
random_tie(void)
{
    uint64_t  tie;

    for (tie = rnd(); (tie & 0xff) == 0; tie = rnd()) {
        /* void */
    }

    return below(8) ? tie : below(8) ? tie << 8 : below(4) ? tie << 16
                                                : tie << 24;
}


static const char *
type_name(unsigned type)
{
    static char  name[16];

    (void) snprintf(name, sizeof(name), "type%u", type);

    return name;
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
        for (level = 1; level <= 3; level++) {
            count = 0;
            k = list;

            for (rc = mdb_cursor_get(facets, &k, &v, MDB_FIRST_DUP);
                 rc == 0;
                 rc = mdb_cursor_get(facets, &k, &v, MDB_NEXT_DUP))
            {
                entry = v.mv_data;
                count++;

                if (entry[15] != 0 || (level > 1 && entry[14] != 0)
                    || (level > 2 && entry[13] != 0))
                {
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
                           && exports_get64((uint8_t *) rv.mv_data + 16)
                              == count,
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


/* the n-th value of ranks; returns its key's length */

static size_t
nth_block(exports_env_t *env, unsigned n, uint8_t *key, uint8_t *block)
{
    size_t       len;
    MDB_val      k, v;
    MDB_txn     *txn;
    MDB_cursor  *cursor;

    must(mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn) == 0
         && mdb_cursor_open(txn, env->dbi[DB_RANKS], &cursor) == 0, "reading");

    do {
        must(mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0, "a block");
    } while (n-- > 0);

    len = k.mv_size;
    memcpy(key, k.mv_data, len);
    memcpy(block, v.mv_data, EXPORTS_RANK_LEN);

    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);

    return len;
}


/*
 * A count that is wrong, a block too few or too many: the right page, or none.
 * A boundary that sorts elsewhere is for verify to find.
 */

static void
damage(void)
{
    size_t             len;
    query_t            q;
    uint8_t            key[EXPORTS_RANK_KEY_MAX], block[EXPORTS_RANK_LEN];
    uint8_t            wrong[EXPORTS_RANK_LEN];
    uint64_t           scope;
    MDB_txn           *txn;
    unsigned           i, n, how;
    unsigned long      blocks, noticed;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_reader_t  *reader;

    env = new_store(in_dir("damage"));
    random_items(100000);
    fill(env, 0);

    reader = open_reader(env);
    scope = stored_scope(env, EXPORTS_USER, "1").id;
    blocks = recount(env);
    noticed = 0;

    for (n = 0; n < rounds(400, 100); n++) {
        len = nth_block(env, below(1 + (unsigned) (chance(50) ? blocks / 8
                                                              : blocks - 1)),
                        key, block);
        memcpy(wrong, block, sizeof(block));
        how = below(4);

        if (how == 0) {
            wrong[EXPORTS_ENTRY_LEN + below(8)] ^= (uint8_t) (1 + below(255));

        } else if (how == 1) {
            wrong[EXPORTS_RANK_LEN - 1] ^= 1;
        }

        txn = raw_begin(env);

        if (how != 3) {
            raw_del(txn, env->dbi[DB_RANKS], key, len, block, sizeof(block));
        }

        if (how == 3) {
            random_bytes(wrong + 8, 8);
        }

        if (how != 2) {
            raw_put(txn, env->dbi[DB_RANKS], key, len, wrong, sizeof(wrong));
        }

        raw_commit(txn);
        renew_reader(reader);

        for (i = 0; i < 20; i++) {
            random_query(&q, scope);
            rc = read_page_of(reader, &q, scope, below(q.n + 1), 3);
            noticed += (rc == EXPORTS_CORRUPT);

            check(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT,
                  "damage %u: %u lists: %s", how, q.nlists, rc_name(rc));
        }

        exports_reader_reset(reader);

        txn = raw_begin(env);

        if (how != 2) {
            raw_del(txn, env->dbi[DB_RANKS], key, len, wrong, sizeof(wrong));
        }

        if (how != 3) {
            raw_put(txn, env->dbi[DB_RANKS], key, len, block, sizeof(block));
        }

        raw_commit(txn);
    }

    note("%lu pages noticed it", noticed);
    checked("a block that is wrong: the right page, or none");
    ok(noticed > 0, "it is noticed");

    (void) recount(env);
    checked("all is as it was");

    exports_reader_close(reader);
    exports_env_close(env);
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
    order();
    damage();
    disjoint();

    return done_testing();
}
