
/*
 * exports_run_tree.c, and how keys are found for it, against an array, and
 * against damage.
 */

#include "arena.h"

#include "exports_list.h"


#define NKEYS    150
#define NVALUES  6000           /* that a key may have */

/* those whose number of values changes most */
#define NLONG    6


typedef struct {
    size_t           len;
    uint8_t          bytes[EXPORTS_RANK_KEY_MAX];
} name_t;

/* what has to be under a key: by the number of a value, and those numbers */

typedef struct {
    name_t           key;
    unsigned         n;
    uint16_t         values[NVALUES];
    uint8_t          has[NVALUES];
} values_t;

typedef struct {
    exports_db_t     db;
    size_t           size;              /* of a value */
    values_t         keys[NKEYS];
} model_t;

/* a run as far as it has been walked */

typedef struct {
    exports_run_t    run;
    const model_t   *model;
    const values_t  *of;
    unsigned         first;             /* value of the leaf */
} walk_t;


static model_t        model, before;
static unsigned       greatest_height, greatest_run;
static unsigned long  wrong;            /* damage that was found */


/* in the order of their numbers */

static void
make_value(uint8_t *value, const model_t *m, unsigned i)
{
    exports_put64(value, TEST_TIME + i / 3);
    exports_put64(value + 8, (i % 3) * 0x5555555555555555ULL + i * 0x10001ULL);

    if (m->size > EXPORTS_ENTRY_LEN) {
        exports_put64(value + EXPORTS_ENTRY_LEN, i * 0x9e3779b97f4a7c15ULL);
    }
}


static void
random_key(name_t *of, exports_db_t db)
{
    exports_facet_t   key;
    exports_facets_t  values;

    memset(&values, 0, sizeof(values));
    values.status = (uint8_t) (1 + below(6));
    values.subject_id = below(20);
    random_bytes(values.type, 2);
    random_bytes(values.subject_type, 1);

    exports_facet_key(&key, 1 + below(4), below(EXPORTS_FACET_MASK + 1),
                      &values);

    of->len = key.len;
    memcpy(of->bytes, key.bytes, key.len);

    if (db == DB_RANKS) {
        of->len = exports_rank_key(of->bytes, key.bytes, key.len,
                                   1 + below(EXPORTS_RANK_LEVELS));
    }
}


static int
compare_keys(const void *a, const void *b)
{
    int            order;
    const name_t  *x = a, *y = b;

    order = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);

    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}


/* keys in their order, without values */

static void
make_model(exports_db_t db)
{
    name_t    keys[NKEYS];
    unsigned  i;

    memset(&model, 0, sizeof(model));
    model.db = db;
    model.size = db == DB_RANKS ? EXPORTS_RANK_LEN : EXPORTS_ENTRY_LEN;

    do {
        for (i = 0; i < NKEYS; i++) {
            random_key(&keys[i], db);
        }

        qsort(keys, NKEYS, sizeof(name_t), compare_keys);

        for (i = 1;
             i < NKEYS && compare_keys(&keys[i - 1], &keys[i]) != 0;
             i++)
        {
            /* void */
        }

    } while (i < NKEYS);

    for (i = 0; i < NKEYS; i++) {
        model.keys[i].key = keys[i];
    }
}


/* to n values of a key, anywhere or near to one another, put and deleted in
   whatever order */

static void
change_key(MDB_txn *txn, MDB_dbi dbi, values_t *of, unsigned n)
{
    uint8_t          value[EXPORTS_RANK_LEN], is;
    unsigned         i, k, from, to, order, count;
    static uint16_t  changes[NVALUES];

    to = n + (chance(50) ? below(n + 1) : below(NVALUES - n + 1));
    to = to < NVALUES ? to : NVALUES;
    from = below(NVALUES - to + 1);
    to += from;
    order = below(3);

    for (of->n = 0, count = 0, i = 0; i < NVALUES; i++) {
        is = i >= from && i < to && below(to - i) < n;
        n -= is;

        if (is) {
            of->values[of->n++] = (uint16_t) i;
        }

        if (is != of->has[i]) {
            of->has[i] = is;
            k = order == 2 ? below(count + 1) : count;
            changes[count++] = changes[k];
            changes[k] = (uint16_t) i;
        }
    }

    for (i = 0; i < count; i++) {
        k = changes[order == 1 ? count - 1 - i : i];
        make_value(value, &model, k);

        if (of->has[k]) {
            raw_put(txn, dbi, of->key.bytes, of->key.len, value, model.size);

        } else {
            raw_del(txn, dbi, of->key.bytes, of->key.len, value, model.size);
        }
    }
}


static unsigned
random_count(int is_long)
{
    static const unsigned  few[] = { 0, 0, 1, 1, 2, 3, 5, 9, 12, 20, 33 };
    static const unsigned  many[] = { 0, 2, 40, 90, 300, 1000, 2500, 5000 };

    return is_long ? many[below(sizeof(many) / sizeof(many[0]))]
                   : few[below(sizeof(few) / sizeof(few[0]))];
}


/* most: of the values of any key, which the first has where all are changed */

static void
change(exports_env_t *env, unsigned percent, unsigned most)
{
    MDB_txn   *txn;
    unsigned   i, n;

    txn = raw_begin(env);

    for (i = 0; i < NKEYS; i++) {
        if (chance(percent)) {
            n = i == 0 && percent == 100
                    ? most : random_count(i % (NKEYS / NLONG) == 0);
            change_key(txn, env->dbi[model.db], &model.keys[i],
                       n < most ? n : most);
        }
    }

    /* that there is a commit, if nothing else */

    raw_put(txn, env->dbi[DB_META], "test", 4, &i, sizeof(i));
    raw_commit(txn);
}


/* how many values of the key are less */

static unsigned
place_of(const model_t *m, const values_t *of, const uint8_t *value)
{
    uint8_t   bytes[EXPORTS_RANK_LEN];
    unsigned  low, high, middle;

    for (low = 0, high = of->n; low < high; /* void */ ) {
        middle = (low + high) / 2;
        make_value(bytes, m, of->values[middle]);

        if (memcmp(bytes, value, m->size) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    return low;
}


/* the next greater or less */

static void
step_bytes(uint8_t *bytes, size_t len, int by)
{
    while (len-- > 0) {
        bytes[len] = (uint8_t) (bytes[len] + by);

        if (bytes[len] != (by > 0 ? 0 : 0xff)) {
            return;
        }
    }
}


/* the walk is at a leaf, which begins with the value of that number */

static void
check_leaf(walk_t *w, unsigned first, const char *how)
{
    size_t    i;
    uint8_t   value[EXPORTS_RANK_LEN];

    w->first = first;

    if (!check(w->run.n > 0 && w->run.at < w->run.n
               && first + w->run.n <= w->of->n,
               "%s: a leaf of %zu, at %zu, from %u of %u", how, w->run.n,
               w->run.at, first, w->of->n))
    {
        return;
    }

    for (i = 0; i < w->run.n; i++) {
        make_value(value, w->model, w->of->values[first + i]);

        if (!check(memcmp(w->run.values + i * w->run.size, value, w->run.size)
                   == 0, "%s: value %zu of %u", how, first + i, w->of->n))
        {
            return;
        }
    }
}


/* whether there was another leaf */

static int
check_next(walk_t *w)
{
    exports_rc_t  rc;

    w->first += w->run.n;
    rc = exports_run_next(&w->run);

    if (w->first >= w->of->n) {
        check(rc == EXPORTS_NOT_FOUND, "behind all: %s", rc_name(rc));
        return 0;
    }

    if (!check(rc == EXPORTS_OK && w->run.at == 0, "next: %s", rc_name(rc))) {
        return 0;
    }

    check_leaf(w, w->first, "next");

    return 1;
}


static int
check_back(walk_t *w)
{
    exports_rc_t  rc;

    rc = exports_run_back(&w->run);

    if (w->first == 0) {
        check(rc == EXPORTS_NOT_FOUND, "before all: %s", rc_name(rc));
        return 0;
    }

    if (!check(rc == EXPORTS_OK && w->run.at == w->run.n - 1
               && w->run.n <= w->first, "back: %s", rc_name(rc)))
    {
        return 0;
    }

    check_leaf(w, w->first - (unsigned) w->run.n, "back");

    return 1;
}


static exports_rc_t
find(walk_t *w, const exports_source_t *source, uint64_t *count)
{
    return exports_run_find(&w->run, source, w->of->key.bytes, w->of->key.len,
                            w->model->size, count);
}


static exports_rc_t
from(walk_t *w, const exports_source_t *source, const uint8_t *value)
{
    return exports_run_from(&w->run, source, w->of->key.bytes, w->of->key.len,
                            value, w->model->size);
}


/* some value, or what lies next to one, before all or behind all */

static void
random_value(uint8_t *value, const model_t *m)
{
    make_value(value, m, below(NVALUES));

    if (chance(30)) {
        step_bytes(value, m->size, chance(50) ? 1 : -1);
    }

    if (chance(10)) {
        memset(value, chance(50) ? 0 : 0xff, m->size);
    }
}


/* and from there some leaves to and fro */

static void
check_from(walk_t *w, const exports_source_t *source)
{
    uint8_t       value[EXPORTS_RANK_LEN];
    unsigned      i, steps;
    exports_rc_t  rc;

    random_value(value, w->model);
    i = place_of(w->model, w->of, value);
    rc = from(w, source, value);

    if (i == w->of->n) {
        check(rc == EXPORTS_NOT_FOUND, "from behind all: %s", rc_name(rc));
        return;
    }

    if (!check(rc == EXPORTS_OK && w->run.at <= i, "from value %u of %u: %s",
               i, w->of->n, rc_name(rc)))
    {
        return;
    }

    check_leaf(w, i - (unsigned) w->run.at, "from");

    for (steps = below(8); steps > 0; steps--) {
        if (!(chance(50) ? check_next(w) : check_back(w))) {
            return;
        }
    }
}


/* all of a key: its number, to and fro, and from some values on */

static void
check_key(const exports_source_t *source, const model_t *m, const values_t *of)
{
    walk_t        w;
    uint64_t      count;
    unsigned      i;
    exports_rc_t  rc;

    w.model = m;
    w.of = of;
    count = 0;
    rc = find(&w, source, &count);

    if (of->n == 0) {
        check(rc == EXPORTS_NOT_FOUND, "a key without values: %s",
              rc_name(rc));
        rc = from(&w, source, NULL);
        check(rc == EXPORTS_NOT_FOUND, "from: %s", rc_name(rc));
        return;
    }

    check(rc == EXPORTS_OK && count == of->n, "%u values, %" PRIu64 " found: "
          "%s", of->n, count, rc_name(rc));

    rc = exports_run_last(&w.run);

    if (check(rc == EXPORTS_OK && w.run.n <= of->n
              && w.run.at == w.run.n - 1, "last: %s", rc_name(rc)))
    {
        check_leaf(&w, of->n - (unsigned) w.run.n, "last");

        while (check_back(&w)) {
            /* void */
        }
    }

    if (source->tree != NULL && w.run.height > greatest_run) {
        greatest_run = w.run.height;
    }

    rc = from(&w, source, NULL);

    if (check(rc == EXPORTS_OK && w.run.at == 0, "from the first: %s",
              rc_name(rc)))
    {
        check_leaf(&w, 0, "from the first");

        while (check_next(&w)) {
            /* void */
        }
    }

    for (i = 0; i < 4; i++) {
        check_from(&w, source);
    }
}


/* one of the model's, or what lies next to it */

static unsigned
near_key(name_t *key, const model_t *m, unsigned i)
{
    *key = m->keys[i].key;

    switch (below(8)) {

    case 0:
        step_bytes(key->bytes, key->len, chance(50) ? 1 : -1);
        break;

    case 1:
        key->len -= 1 + below(8);
        break;

    case 2:
        if (key->len < sizeof(key->bytes)) {
            key->bytes[key->len++] = (uint8_t) rnd();
        }
        break;

    case 3:
        memset(key->bytes, chance(50) ? 0 : 0xff, key->len);
        break;

    default:
        return m->keys[i].n > 0;
    }

    for (i = 0; i < NKEYS; i++) {
        if (m->keys[i].n > 0 && compare_keys(key, &m->keys[i].key) == 0) {
            return 1;
        }
    }

    return 0;
}


/* a key as if it were the first */

static exports_rc_t
find_alone(const exports_tree_t *tree, const name_t *key, MDB_val *found)
{
    exports_tree_t  fresh;

    fresh = *tree;
    fresh.searched = 0;
    memset(fresh.levels, 0, sizeof(fresh.levels));

    return exports_tree_node(&fresh, key->bytes, key->len, found);
}


/* keys in some order, which makes no difference */

static void
check_series(exports_tree_t *tree, const model_t *m)
{
    int              way;
    MDB_val          found, alone;
    unsigned         i, n, is_there;
    exports_rc_t     rc, alone_rc;
    name_t           key;

    way = (int) below(3) - 1;
    i = below(NKEYS);

    for (n = 0; n < 60; n++) {
        i = way == 0 ? below(NKEYS)
                     : (i + NKEYS + (unsigned) (way * (int) below(6))) % NKEYS;

        is_there = near_key(&key, m, i);

        alone_rc = find_alone(tree, &key, &alone);
        rc = exports_tree_node(tree, key.bytes, key.len, &found);

        check(alone_rc == (is_there ? EXPORTS_OK : EXPORTS_NOT_FOUND),
              "a key alone: %s", rc_name(alone_rc));

        check(rc == alone_rc
              && (rc != EXPORTS_OK
                  || (found.mv_data == alone.mv_data
                      && found.mv_size == key.len
                      && memcmp(found.mv_data, key.bytes, key.len) == 0)),
              "a key in a series: %s, alone: %s", rc_name(rc),
              rc_name(alone_rc));
    }
}


static exports_tree_t *
open_tree(exports_reader_t *reader, exports_db_t db)
{
    exports_tree_t  *tree;

    must(exports_reader_tree(reader, db, &tree) == EXPORTS_OK && tree != NULL,
         "a tree");

    return tree;
}


/* in the map, and by LMDB */

static void
check_whole(exports_reader_t *reader, const model_t *m)
{
    unsigned          i;
    exports_source_t  map, lmdb;

    memset(&map, 0, sizeof(map));
    memset(&lmdb, 0, sizeof(lmdb));

    map.tree = open_tree(reader, m->db);
    must(exports_reader_cursor(reader, m->db, &lmdb.cursor) == EXPORTS_OK,
         "a cursor");

    for (i = 0; i < NKEYS; i++) {
        check_key(&map, m, &m->keys[i]);
        check_key(&lmdb, m, &m->keys[i]);
    }

    mdb_cursor_close(lmdb.cursor);

    if (map.tree->height > greatest_height) {
        greatest_height = map.tree->height;
    }

    for (i = 0; i < 20; i++) {
        map.tree = open_tree(reader, m->db);
        check_series(map.tree, m);
    }
}


static void
property(exports_db_t db, size_t page_size)
{
    unsigned           i;
    exports_env_t     *env;
    exports_reader_t  *reader, *old;

    env = sized_store(in_dir("property-%d-%zu", (int) db, page_size),
                      page_size);
    make_model(db);
    reader = open_reader(env);
    old = open_reader(env);
    greatest_height = 0;
    greatest_run = 0;

    for (i = 0; i < rounds(8, 4); i++) {
        renew_reader(reader);
        renew_reader(old);
        check_whole(reader, &model);
        check_whole(old, &model);
        exports_reader_reset(reader);

        /* the snapshot stays what it is while there are others */

        before = model;
        change(env, i == 0 ? 100 : 60, NVALUES);
        check_whole(old, &before);

        renew_reader(reader);
        check_whole(reader, &model);
        exports_reader_reset(reader);

        change(env, i % 3 == 2 ? 100 : 30, i % 3 == 2 ? 0 : NVALUES);
        check_whole(old, &before);
        exports_reader_reset(old);
    }

    renew_reader(reader);
    check_whole(reader, &model);

    checked("%s, pages of %zu bytes: as an array", exports_db_names[db],
            page_size);
    note("up to %u levels of keys, and %u of values", greatest_height,
         greatest_run);

    exports_reader_close(reader);
    exports_reader_close(old);
    exports_env_close(env);
}


/* a run in the copy, which may be damaged */

static exports_rc_t
find_run(exports_run_t *run, exports_tree_t *tree, const values_t *of,
    uint64_t *count)
{
    exports_source_t  source = { tree, NULL };

    return exports_run_find(run, &source, of->key.bytes, of->key.len,
                            model.size, count);
}


static exports_rc_t
run_from(exports_run_t *run, exports_tree_t *tree, const values_t *of,
    const uint8_t *value)
{
    exports_source_t  source = { tree, NULL };

    return exports_run_from(run, &source, of->key.bytes, of->key.len, value,
                            model.size);
}


static exports_rc_t
expect_ok(exports_rc_t rc)
{
    check(rc == EXPORTS_OK || rc == EXPORTS_NOT_FOUND || rc == EXPORTS_CORRUPT,
          "%s", rc_name(rc));
    wrong += rc == EXPORTS_CORRUPT;

    return rc;
}


/* values lie in one page, all of them */

static int
check_bounds(const exports_tree_t *tree, const exports_run_t *run)
{
    size_t           at;
    static uint8_t   values[PAGE_SIZE_MAX];

    at = (size_t) (run->values - tree->map);

    if (!check(at / tree->page_size < tree->pages
               && arena_used[at / tree->page_size]
               && run->n > 0 && run->at < run->n
               && run->n * run->size
                  <= tree->page_size - at % tree->page_size,
               "%zu values at %zu of %zu", run->n, run->at, at))
    {
        return 0;
    }

    memcpy(values, run->values, run->n * run->size);

    return 1;
}


/* how many values there are on a way to its end; 0, it has none */

static uint64_t
count_walked(exports_run_t *run, exports_rc_t rc,
    exports_rc_t (*step)(exports_run_t *run))
{
    uint64_t  n, leaves;

    for (n = 0, leaves = 0; expect_ok(rc) == EXPORTS_OK; leaves++) {
        if (!check(leaves < arena_next, "more leaves than pages")
            || !check_bounds(run->source.tree, run))
        {
            return 0;
        }

        n += run->n;
        rc = step(run);
    }

    return rc == EXPORTS_NOT_FOUND ? n : 0;
}


/* the list that it is: as long as it says, or an error */

static exports_rc_t
read_list(const exports_run_t *run, uint64_t count, uint64_t walked)
{
    uint64_t        n;
    exports_rc_t    rc;
    exports_list_t  list;

    memset(&list, 0, sizeof(list));
    list.run = *run;
    list.count = count;

    rc = exports_list_last(&list);

    for (n = 0; rc == EXPORTS_OK && list.left > 0; /* void */ ) {
        n += list.left;
        check(n <= count && list.older == count - n, "%" PRIu64 " entries, "
              "and %" PRIu64 " older ones, of %" PRIu64, n, list.older,
              count);
        rc = exports_list_skip(&list, list.left);
    }

    check(rc == EXPORTS_OK ? n == count && walked == count
                           : rc == EXPORTS_CORRUPT,
          "a list of %" PRIu64 ", of which there are %" PRIu64 ", and %" PRIu64
          " in its leaves: %s", count, n, walked, rc_name(rc));

    return rc;
}


static void
read_key(exports_tree_t *tree, const values_t *of)
{
    uint8_t         value[EXPORTS_RANK_LEN];
    uint64_t        count, walked;
    exports_run_t   run, found;

    count = 0;

    if (expect_ok(find_run(&found, tree, of, &count)) != EXPORTS_OK) {
        return;
    }

    check(count > 0, "no values");

    run = found;
    walked = count_walked(&run, exports_run_last(&run), exports_run_back);

    if (model.db == DB_FACETS) {
        (void) read_list(&found, count, walked);
    }

    (void) count_walked(&run, run_from(&run, tree, of, NULL),
                        exports_run_next);

    random_value(value, &model);
    (void) count_walked(&run, run_from(&run, tree, of, value),
                        chance(50) ? exports_run_next : exports_run_back);
}


/* what is found alone is not missed behind others without an error */

static void
read_near(exports_tree_t *tree)
{
    MDB_val          found, alone;
    exports_rc_t     rc, alone_rc;
    name_t           key;

    (void) near_key(&key, &model, below(NKEYS));

    alone_rc = expect_ok(find_alone(tree, &key, &alone));
    rc = expect_ok(exports_tree_node(tree, key.bytes, key.len, &found));

    check(rc != EXPORTS_NOT_FOUND || alone_rc != EXPORTS_OK,
          "a key that was missed");
}


/* some keys, in any order, among them that one and those next to it */

static void
read_keys(exports_tree_t *tree, unsigned i)
{
    unsigned  n;

    tree->searched = 0;

    for (n = 0; n < 12; n++) {
        read_key(tree, &model.keys[n % 3 == 0 ? below(NKEYS)
                                              : (i + NKEYS + n % 5 - 2)
                                                % NKEYS]);
        read_near(tree);
    }

    read_key(tree, &model.keys[i]);
}


/* where a value is: on the pages of the keys' tree, and then */

typedef struct {
    exports_run_t    run;
    uint8_t         *node;              /* of its key */
    uint8_t         *data;              /* of that */
    size_t           size;
} place_t;


static exports_rc_t
find_place(exports_tree_t *tree, place_t *place, const values_t *of,
    const uint8_t *value)
{
    MDB_val         found;
    exports_rc_t    rc;
    node_header_t   node;

    tree->searched = 0;

    rc = exports_tree_node(tree, of->key.bytes, of->key.len, &found);

    if (rc != EXPORTS_OK) {
        return rc;
    }

    place->node = (uint8_t *) found.mv_data - NODE_HEADER;
    place->data = (uint8_t *) found.mv_data + found.mv_size;
    memcpy(&node, place->node, sizeof(node));
    place->size = node.low | (size_t) node.high << 16;

    return run_from(&place->run, tree, of, value);
}


/* of a key that has some */

static unsigned
some_key(int is_long)
{
    unsigned  i;

    do {
        i = is_long ? below(NLONG) * (NKEYS / NLONG) : below(NKEYS);
    } while (model.keys[i].n == 0);

    return i;
}


static void
some_value(uint8_t *value, const values_t *of)
{
    make_value(value, &model, of->values[below(of->n)]);
}


static uint8_t *
page_of(const exports_tree_t *tree, const uint8_t *at)
{
    return arena + (size_t) (at - arena) / tree->page_size * tree->page_size;
}


static void
damage_page_header(const exports_tree_t *tree, damage_t *damage, uint8_t *at)
{
    uint64_t  number;

    switch (below(5)) {

    case 0:
        number = random_number(tree);
        damage_bytes(damage, at, &number, sizeof(number));
        break;

    case 1:
        damage16(damage, at + PAGE_PAD,
                 chance(50) ? below(64) : random_bound(tree));
        break;

    case 2:
        damage16(damage, at + PAGE_FLAGS,
                 chance(50) ? 1U << below(16) : below(256));
        break;

    default:
        damage16(damage, at + (chance(50) ? PAGE_LOWER : PAGE_UPPER),
                 random_bound(tree));
    }
}


static void
damage_record(const exports_tree_t *tree, damage_t *damage, uint8_t *at)
{
    uint64_t  number;

    switch (below(6)) {

    case 0:
        damage16(damage, at + offsetof(tree_t, pad), below(64));
        break;

    case 1:
        damage16(damage, at + offsetof(tree_t, flags), 1U << below(16));
        break;

    case 2:
        damage16(damage, at + offsetof(tree_t, depth),
                 chance(70) ? below(12) : random_bound(tree));
        break;

    case 3:
        number = chance(50) ? below(1000) : rnd();
        damage_bytes(damage, at + offsetof(tree_t, entries), &number,
                     sizeof(number));
        break;

    default:
        number = random_number(tree);
        damage_bytes(damage, at + offsetof(tree_t, root), &number,
                     sizeof(number));
    }
}


/* of a page with nodes, in whatever place they are */

static void
damage_node(const exports_tree_t *tree, damage_t *damage,
    const exports_level_t *level)
{
    size_t    pos;
    uint8_t  *at;
    uint64_t  number;
    unsigned  i;
    uint16_t  ptr;

    at = (uint8_t *) level->page;
    i = chance(50) ? level->at : below(level->n);
    i = i < level->n ? i : 0;
    pos = PAGE_HEADER + i * sizeof(ptr);
    memcpy(&ptr, at + pos, sizeof(ptr));

    if (chance(20) || ptr > tree->page_size - sizeof(number)) {
        damage16(damage, at + pos, random_bound(tree));

    } else if (chance(30)) {
        number = random_number(tree);
        damage_below(damage, at + ptr, number);

    } else {
        damage16(damage, at + ptr + 2 * below(4), random_bound(tree));
    }
}


static void
damage_any(const exports_tree_t *tree, damage_t *damage, uint8_t *at)
{
    size_t    pos;
    uint64_t  number;

    pos = (size_t) (at - page_of(tree, at)) + below(80);
    pos = chance(50) ? pos : below((unsigned) tree->page_size);

    if (pos > tree->page_size - sizeof(number)) {
        pos = 0;
    }

    number = rnd();
    damage_bytes(damage, page_of(tree, at) + pos, &number, 1 + below(8));
}


/* on the way to a value; whether that still can be found */

static int
random_damage(exports_tree_t *tree, damage_t *damage, unsigned i)
{
    place_t                 place;
    uint8_t                 value[EXPORTS_RANK_LEN];
    unsigned                n;
    const exports_level_t  *level;

    some_value(value, &model.keys[i]);

    if (find_place(tree, &place, &model.keys[i], value) != EXPORTS_OK) {
        return 0;
    }

    n = below(tree->height + place.run.height);
    level = n < tree->height ? &tree->levels[n]
                             : &place.run.levels[n - tree->height];

    switch (below(8)) {

    case 0:
        damage_any(tree, damage, place.node);
        break;

    case 1:
        damage_any(tree, damage, (uint8_t *) level->page);
        break;

    case 2:
    case 3:
        damage_page_header(tree, damage, (uint8_t *) level->page);
        break;

    case 4:
        damage16(damage, place.node + 2 * below(4),
                 chance(50) ? below(128) : random_bound(tree));
        break;

    case 5:
    case 6:
        if (place.run.height > 0) {
            damage_record(tree, damage, place.data);
            break;
        }

        if (place.size > PAGE_HEADER) {
            damage_page_header(tree, damage, place.data);
            break;
        }

        /* fall through */

    default:
        if (n < tree->height + place.run.height - 1 || n < tree->height) {
            damage_node(tree, damage, level);

        } else {
            damage_page_header(tree, damage, (uint8_t *) level->page);
        }
    }

    return 1;
}


/* one fault, or some; each of them leads to pages that can be read here */

static void
damage_and_read(exports_tree_t *tree)
{
    int        is_readable;
    damage_t   damage[3];
    unsigned   i, n, most;

    i = some_key(chance(50));
    most = chance(60) ? 1 : 3;
    is_readable = 1;

    for (n = 0; n < most && is_readable; n++) {
        if (!random_damage(tree, &damage[n], i)) {
            break;
        }

        is_readable = !leads_nowhere(tree, page_of(tree, damage[n].at));
    }

    if (is_readable) {
        read_keys(tree, i);
    }

    while (n-- > 0) {
        repair(&damage[n]);
    }
}


/*
 * Damage that is in the way of a value is found, whatever else is sound.
 */

typedef struct {
    exports_tree_t  *tree;
    const values_t  *of;
    uint8_t          value[EXPORTS_RANK_LEN];
} way_t;


static exports_rc_t
go(const way_t *way)
{
    place_t  place;

    return find_place(way->tree, &place, way->of, way->value);
}


/* its place, while all is sound */

static void
way_place(const way_t *way, place_t *place)
{
    exports_rc_t  rc;

    rc = find_place(way->tree, place, way->of, way->value);
    must(rc == EXPORTS_OK, "a sound tree: %s", rc_name(rc));
}


static void
expect_corrupt(const way_t *way, const damage_t *damage, const char *what)
{
    exports_rc_t  rc;

    rc = go(way);
    check(rc == EXPORTS_CORRUPT, "%u values, %s: %s", way->of->n, what,
          rc_name(rc));

    repair(damage);

    rc = go(way);
    must(rc == EXPORTS_OK, "%s, repaired: %s", what, rc_name(rc));
}


static void
corrupt(const way_t *way, uint8_t *at, const void *bytes, size_t len,
    const char *what)
{
    damage_t  damage;

    damage_bytes(&damage, at, bytes, len);
    expect_corrupt(way, &damage, what);
}


static void
corrupt16(const way_t *way, uint8_t *at, unsigned value, const char *what)
{
    uint16_t  v = (uint16_t) value;

    corrupt(way, at, &v, sizeof(v), what);
}


static void
corrupt64(const way_t *way, uint8_t *at, uint64_t value, const char *what)
{
    corrupt(way, at, &value, sizeof(value), what);
}


/* the number of the page below a node */

static void
corrupt_below(const way_t *way, uint8_t *node, uint64_t number,
    const char *what)
{
    damage_t  damage;

    damage_below(&damage, node, number);
    expect_corrupt(way, &damage, what);
}


static unsigned
get16(const uint8_t *at)
{
    return exports_tree_get16(at);
}


/* bounds that fit together, but not the page, of that length */

static void
damage_bounds(const way_t *way, uint8_t *at, unsigned len, unsigned n)
{
    uint16_t  bounds[2];

    bounds[0] = (uint16_t) (PAGE_HEADER + 2 * n);
    bounds[1] = (uint16_t) (len - n * ((unsigned) model.size - 2));

    corrupt(way, at + PAGE_LOWER, bounds, sizeof(bounds),
            "as many values as do not fit");
}


/* of a page of values, in a node or not: all that its header says */

static void
damage_values(const way_t *way, uint8_t *at, unsigned len, unsigned n)
{
    unsigned  i;
    uint16_t  header[4];

    static const int  by[] = { -16, -8, -4, -2, -1, 1, 2, 4, 8, 16 };

    for (i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
        corrupt16(way, at + PAGE_PAD, get16(at + PAGE_PAD) + (unsigned) by[i],
                  "the size of values");
        corrupt16(way, at + PAGE_LOWER,
                  get16(at + PAGE_LOWER) + (unsigned) by[i],
                  "the number of values");
        corrupt16(way, at + PAGE_UPPER,
                  get16(at + PAGE_UPPER) + (unsigned) by[i],
                  "the end of values");
    }

    corrupt16(way, at + PAGE_PAD, 0, "values of no size");
    corrupt16(way, at + PAGE_LOWER, 0, "a page that ends in its header");
    corrupt16(way, at + PAGE_LOWER, PAGE_HEADER, "a page without values");
    corrupt16(way, at + PAGE_LOWER, PAGE_HEADER + 1, "half of a value");
    corrupt16(way, at + PAGE_LOWER, get16(at + PAGE_UPPER) + 2,
              "more values than there is room for");
    corrupt16(way, at + PAGE_UPPER, 0xffff, "values behind the page");

    for (i = 0; i < 4; i++) {
        corrupt16(way, at + PAGE_FLAGS, get16(at + PAGE_FLAGS) ^ 1U << i,
                  "the kind of a page");
    }

    corrupt16(way, at + PAGE_FLAGS, get16(at + PAGE_FLAGS) ^ LEAF2_FLAG,
              "values of no one size");

    damage_bounds(way, at, len, (len - PAGE_HEADER) / model.size + 1);
    damage_bounds(way, at, len, 0);
    damage_bounds(way, at, len, -1U);
    damage_bounds(way, at, len, -8U);

    /* shorter values, at the end of the page */

    memcpy(header, at + PAGE_PAD, sizeof(header));
    header[0] = (uint16_t) (model.size - 2);
    header[3] = (uint16_t) (header[3] + 2 * n);

    corrupt(way, at + PAGE_PAD, header, sizeof(header),
            "values of another size");
}


static void
damage_child(const way_t *way, const exports_level_t *level)
{
    uint8_t   *at, *node;
    unsigned   i, size;
    uint64_t   number;

    static const unsigned  lengths[] = { 0, 1, 15, 17, 23, 25, 0xffff };

    at = (uint8_t *) level->page;
    node = node_of(at, level->at);
    size = (unsigned) way->tree->page_size;
    number = (uint64_t) (level->page - way->tree->map) / size;

    corrupt_below(way, node, way->tree->pages, "a page behind the last");
    corrupt_below(way, node, NO_PAGE, "the greatest page");
    corrupt_below(way, node, number, "a page below itself");
    corrupt16(way, at + PAGE_HEADER + 2 * level->at, size - 7,
              "a child at the end of the page");
    corrupt16(way, at + PAGE_HEADER + 2 * level->at, 0xffff,
              "a child behind the page");

    if (level->at == 0) {
        return;
    }

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        corrupt16(way, node + NODE_KEY_LEN, lengths[i],
                  "a branch's value of another size");
    }

    corrupt16(way, at + PAGE_HEADER + 2 * level->at,
              size - NODE_HEADER - (unsigned) model.size + 1,
              "a branch's value that leaves its page");
}


/* a sound node, but in the free space, where LMDB leaves what it has moved */

static void
damage_free(const way_t *way, const exports_level_t *level, unsigned i)
{
    size_t     len;
    uint8_t   *at, *to;
    unsigned   upper;

    at = (uint8_t *) level->page;
    upper = get16(at + PAGE_UPPER);

    if (i == level->n) {
        return;
    }

    len = NODE_HEADER + get16(node_of(at, i) + NODE_KEY_LEN);

    if (upper < PAGE_HEADER + 2 * level->n + len) {
        return;
    }

    to = at + upper - len;
    memmove(to, node_of(at, i), len);
    corrupt16(way, at + PAGE_HEADER + 2 * i, upper - (unsigned) len,
              "a node that is gone");
}


static void
damage_branch(const way_t *way, const exports_level_t *level)
{
    uint8_t   *at;
    uint16_t   bounds[2] = { 0xfffe, 0xfffe };
    unsigned   i, size;
    uint64_t   number;

    at = (uint8_t *) level->page;
    size = (unsigned) way->tree->page_size;

    memcpy(&number, at, sizeof(number));
    corrupt64(way, at, number + 2, "the number of a page");

    for (i = 0; i < 4; i++) {
        corrupt16(way, at + PAGE_FLAGS, get16(at + PAGE_FLAGS) ^ 1U << i,
                  "the kind of a page");
    }

    corrupt16(way, at + PAGE_FLAGS, get16(at + PAGE_FLAGS) ^ LEAF2_FLAG,
              "a branch of values of one size");
    corrupt16(way, at + PAGE_LOWER, 0, "a page that ends in its header");
    corrupt16(way, at + PAGE_LOWER, PAGE_HEADER, "a page without a node");
    corrupt16(way, at + PAGE_LOWER, get16(at + PAGE_UPPER) + 2,
              "more nodes than there is room for");
    corrupt16(way, at + PAGE_UPPER, size + 1, "nodes behind the page");
    corrupt(way, at + PAGE_LOWER, bounds, sizeof(bounds),
            "more nodes than a page has room for");

    damage_child(way, level);
    damage_free(way, level, level->at);
    damage_free(way, level, level->at + 1);
}


static void
damage_root(const way_t *way, uint8_t *record)
{
    tree_t     was;
    uint8_t   *at;
    uint32_t   pad;
    unsigned   i;

    memcpy(&was, record, sizeof(was));

    for (i = 0; i < 32; i++) {
        pad = was.pad ^ 1U << i;
        corrupt(way, record + offsetof(tree_t, pad), &pad, sizeof(pad),
                "the size of values of a tree");
    }

    for (i = 0; i < 16; i++) {
        corrupt16(way, record + offsetof(tree_t, flags), was.flags ^ 1U << i,
                  "the flags of a tree");
    }

    at = record + offsetof(tree_t, depth);
    corrupt16(way, at, 0, "a tree without levels");
    corrupt16(way, at, was.depth - 1U, "a level too few");
    corrupt16(way, at, was.depth + 1U, "a level too many");
    corrupt16(way, at, EXPORTS_RUN_LEVELS, "too many levels");
    corrupt16(way, at, EXPORTS_RUN_LEVELS + 1, "more levels than there are");
    corrupt16(way, at, 0xffff, "as many levels as can be");

    at = record + offsetof(tree_t, entries);
    corrupt64(way, at, 0, "a tree without values");
    corrupt64(way, at, (uint64_t) 1 << 60, "more values than can be");
    corrupt64(way, at, UINT64_MAX, "as many values as can be");

    at = record + offsetof(tree_t, root);
    corrupt64(way, at, NO_PAGE, "no root");
    corrupt64(way, at, way->tree->pages, "a root behind the last page");
    corrupt64(way, at, way->tree->root, "the root of all");
    corrupt64(way, at,
              was.root + UINT64_MAX / way->tree->page_size + 1,
              "a root whose place is the same, to 64 bits");
}


/* a node that ends with its key at the end of the page, or behind it */

static void
damage_end(const way_t *way, unsigned flags, size_t size, size_t behind)
{
    size_t            pos, len;
    uint8_t          *at, was[NODE_HEADER + EXPORTS_RANK_KEY_MAX];
    damage_t          damage;
    exports_rc_t      rc;
    node_header_t     header;
    exports_level_t  *level;

    rc = go(way);
    must(rc == EXPORTS_OK, "a sound tree");

    level = &way->tree->levels[way->tree->height - 1];
    at = (uint8_t *) level->page;
    len = NODE_HEADER + way->of->key.len;
    pos = way->tree->page_size - len + behind;

    memcpy(was, at + pos, len - behind);
    damage16(&damage, at + PAGE_HEADER + 2 * level->at, (unsigned) pos);

    memset(&header, 0, sizeof(header));
    header.low = (uint16_t) size;
    header.flags = (uint16_t) flags;
    header.key_len = (uint16_t) way->of->key.len;
    memcpy(at + pos, &header, sizeof(header));
    memcpy(at + pos + NODE_HEADER, way->of->key.bytes,
           way->of->key.len - behind);

    rc = go(way);
    check(rc == EXPORTS_CORRUPT
          || (behind > 0 && rc == EXPORTS_NOT_FOUND),
          "values behind the page, flags %u: %s", flags, rc_name(rc));

    memcpy(at + pos, was, len - behind);
    repair(&damage);
}


static void
damage_key(const way_t *way)
{
    place_t        place;
    unsigned       i;
    node_header_t  header;

    way_place(way, &place);
    memcpy(&header, place.node, sizeof(header));

    for (i = 0; i < way->tree->height; i++) {
        damage_free(way, &way->tree->levels[i], way->tree->levels[i].at);
    }

    for (i = 0; i < 16; i++) {
        corrupt16(way, place.node + offsetof(node_header_t, flags),
                  header.flags ^ 1U << i, "the flags of a node");
        corrupt16(way, place.node + offsetof(node_header_t, low),
                  header.low ^ 1U << i, "the length of a node");
        corrupt16(way, place.node + offsetof(node_header_t, high), 1U << i,
                  "a node of more than a page");
    }

    damage_end(way, 0, model.size, 0);
    damage_end(way, VALUES_FLAG, PAGE_HEADER + 2 * model.size, 0);
    damage_end(way, VALUES_FLAG, 0, 0);
    damage_end(way, VALUES_FLAG|SUBTREE_FLAG, sizeof(tree_t), 0);
    damage_end(way, VALUES_FLAG|SUBTREE_FLAG, 0, 0);
    damage_end(way, 0, model.size, 1);
}


/* a root that leads to itself, on as many levels as the record says */

static void
damage_cycle(const way_t *way, place_t *place)
{
    damage_t        child, depth;
    uint8_t        *at;
    unsigned        i;
    exports_rc_t    rc;
    exports_run_t   run;

    static const unsigned  depths[] = {
        2, EXPORTS_RUN_LEVELS - 1, EXPORTS_RUN_LEVELS, EXPORTS_RUN_LEVELS + 1,
        DEPTH_MAX, 1000, 0xffff
    };

    at = (uint8_t *) place->run.levels[0].page;
    damage_below(&child, node_of(at, 0), place->run.root);

    for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        damage16(&depth, place->data + offsetof(tree_t, depth), depths[i]);

        rc = run_from(&run, way->tree, way->of, NULL);
        check(rc == EXPORTS_CORRUPT, "a cycle of %u levels: %s", depths[i],
              rc_name(rc));
        repair(&depth);
    }

    repair(&child);
}


/* a branch leads to a page before once more */

static void
damage_order(const way_t *way, place_t *place)
{
    damage_t                damage;
    uint64_t                number, n;
    unsigned                i;
    exports_run_t           run;
    const exports_level_t  *level;

    level = &place->run.levels[below(place->run.height - 1)];
    must(level->n > 1, "a branch of one page");
    i = 1 + below(level->n - 1);

    number = exports_tree_child(way->tree, level, below(i));
    damage_below(&damage, node_of((uint8_t *) level->page, i), number);

    n = count_walked(&run, run_from(&run, way->tree, way->of, NULL),
                     exports_run_next);
    check(n == 0, "pages that are there twice: %" PRIu64, n);

    n = count_walked(&run, exports_run_last(&run), exports_run_back);
    check(n == 0, "pages that are there twice, back: %" PRIu64, n);

    repair(&damage);
}


/* a list does not have as many values as its leaves */

static void
damage_count(const way_t *way)
{
    uint64_t         count, walked, wrong_count;
    exports_rc_t     rc;
    exports_run_t    run, found;

    rc = find_run(&found, way->tree, way->of, &count);
    must(rc == EXPORTS_OK, "a sound tree");

    run = found;
    walked = count_walked(&run, exports_run_last(&run), exports_run_back);
    check(read_list(&found, count, walked) == EXPORTS_OK, "a sound list");

    for (wrong_count = 1; wrong_count < count + 200; wrong_count++) {
        rc = read_list(&found, wrong_count, walked);
        check((rc == EXPORTS_OK) == (wrong_count == count),
              "a list of %" PRIu64 ", not %" PRIu64 ": %s", count,
              wrong_count, rc_name(rc));
    }
}


static void
damage_way(exports_tree_t *tree, unsigned i)
{
    way_t      way;
    place_t    place;
    unsigned   level;
    uint8_t   *at;
    uint64_t   number;

    way.tree = tree;
    way.of = &model.keys[i];
    some_value(way.value, way.of);
    way_place(&way, &place);

    damage_key(&way);

    if (place.run.height == 0) {
        if (place.size > model.size) {
            damage_values(&way, place.data, (unsigned) place.size,
                          (unsigned) place.run.n);
        }

        return;
    }

    for (level = 0; level < place.run.height - 1; level++) {
        damage_branch(&way, &place.run.levels[level]);
    }

    at = (uint8_t *) place.run.levels[level].page;
    memcpy(&number, at, sizeof(number));
    corrupt64(&way, at, number + 2, "the number of a page");
    damage_values(&way, at, (unsigned) tree->page_size,
                  (unsigned) place.run.n);
    damage_root(&way, place.data);

    if (place.run.height > 1) {
        damage_cycle(&way, &place);
        damage_order(&way, &place);
    }

    if (model.db == DB_FACETS) {
        damage_count(&way);
    }
}


static void
check_copy(exports_tree_t *tree)
{
    unsigned          i;
    exports_source_t  source = { tree, NULL };

    tree->searched = 0;

    for (i = 0; i < NKEYS; i++) {
        check_key(&source, &model, &model.keys[i]);
    }
}


static void
damage(exports_db_t db, size_t page_size)
{
    unsigned           i;
    exports_env_t     *env;
    exports_tree_t     tree;
    exports_reader_t  *reader;

    env = sized_store(in_dir("damage-%d-%zu", (int) db, page_size), page_size);
    make_model(db);
    change(env, 100, 1000);

    reader = open_reader(env);
    renew_reader(reader);
    copy_tree(&tree, open_tree(reader, db));

    greatest_run = 0;
    check_copy(&tree);
    ok(tap.bad == 0, "the copy is sound, of %u levels of keys, %u of values",
       tree.height, greatest_run);

    for (i = 0; i < rounds(60, 20); i++) {
        damage_way(&tree, some_key(chance(50)));
    }

    checked("%s, pages of %zu bytes: damage on the way is found",
            exports_db_names[db], page_size);
    wrong = 0;

    for (i = 0; i < rounds(8000, 1000); i++) {
        damage_and_read(&tree);
    }

    check(wrong > 0, "nothing was found");
    note("%lu reads of %lu were refused", wrong, tap.checks);
    check_copy(&tree);
    checked("%s, pages of %zu bytes: any damage", exports_db_names[db],
            page_size);
    wrong = 0;

    drop_copy();
    exports_reader_close(reader);
    exports_env_close(env);
}


int
main(void)
{
    random_seed();

    property(DB_FACETS, 512);
    property(DB_RANKS, 512);
    property(DB_FACETS, system_page());
    property(DB_RANKS, system_page());
    property(DB_RANKS, 32768);

    damage(DB_FACETS, 512);
    damage(DB_RANKS, 512);
    damage(DB_FACETS, system_page());
    damage(DB_RANKS, system_page());

    return done_testing();
}
