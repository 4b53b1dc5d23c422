
/*
 * exports_tree.c against LMDB's own cursor, and against damage.
 */

#include "arena.h"

#include <sys/resource.h>


#define KEY_LEN      EXPORTS_MANIFEST_KEY_LEN
#define RECORDS_MAX  8192


typedef struct {
    uint8_t         key[KEY_LEN];
    MDB_val         value;
} record_t;

/* what LMDB says is in a snapshot, in the order of keys */

typedef struct {
    unsigned        n;
    record_t        records[RECORDS_MAX];
} content_t;


static content_t       content;
static exports_page_t  page;
static unsigned        greatest_height;
static unsigned long   wrong;           /* damage that was found */


/* records */

static size_t
random_record(uint8_t *buf, const uint8_t *key)
{
    size_t            len, json_len;
    exports_rc_t      rc;
    exports_record_t  record;
    static char       json[EXPORTS_RECORD_MAX];

    switch (below(20)) {

    case 0:
        json_len = EXPORTS_RECORD_MAX - 100;
        break;

    case 1:
        json_len = below(EXPORTS_RECORD_MAX - 100);
        break;

    case 2:
        json_len = 1900 + below(200);
        break;

    case 3:
    case 4:
    case 5:
        json_len = below(2000);
        break;

    default:
        json_len = below(200);
    }

    memset(&record, 0, sizeof(record));
    random_bytes(json, json_len < 64 ? json_len : 64);

    record.item.kind = EXPORTS_USER;
    record.item.status = EXPORTS_STATUS_READY;
    record.item.json = json;
    record.item.json_len = (uint16_t) json_len;
    record.item.id.data = "id";
    record.item.id.len = 2;

    rc = exports_record_encode(buf, EXPORTS_RECORD_MAX, &len, &record);
    must(rc == EXPORTS_OK, "a record of %zu bytes", json_len);
    exports_record_seal(buf, len, key);

    return len;
}


static void
random_key(uint8_t *key)
{
    exports_manifest_key(key, 1 + below(12), TEST_TIME + below(50), rnd() % 99);
}


/* records come and go until there are so many, but for keys that meet */

static void
change(exports_env_t *env, unsigned n)
{
    int              rc;
    size_t           len;
    MDB_val          k, v;
    MDB_txn         *txn;
    MDB_stat         st;
    uint8_t          key[KEY_LEN];
    unsigned         had, left;
    MDB_cursor      *cursor;
    static uint8_t   buf[EXPORTS_RECORD_MAX];

    txn = raw_begin(env);

    rc = mdb_stat(txn, env->dbi[DB_MANIFESTS], &st);
    must(rc == 0, "mdb_stat: %s", mdb_strerror(rc));
    rc = mdb_cursor_open(txn, env->dbi[DB_MANIFESTS], &cursor);
    must(rc == 0, "mdb_cursor_open: %s", mdb_strerror(rc));

    left = had = (unsigned) st.ms_entries;

    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
        if (had > n ? below(had) >= n : chance(10)) {
            rc = mdb_cursor_del(cursor, 0);
            must(rc == 0, "mdb_cursor_del: %s", mdb_strerror(rc));
            left--;
        }
    }

    mdb_cursor_close(cursor);

    for ( /* void */ ; left < n; left++) {
        random_key(key);
        len = random_record(buf, key);
        raw_put(txn, env->dbi[DB_MANIFESTS], key, KEY_LEN, buf, len);
    }

    /* that there is a commit, if nothing else */

    raw_put(txn, env->dbi[DB_META], "test", 4, &left, sizeof(left));
    raw_commit(txn);
}


static void
load(exports_reader_t *reader)
{
    int          rc;
    MDB_val      k, v;
    record_t    *record;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(reader->txn, reader->env->dbi[DB_MANIFESTS], &cursor);
    must(rc == 0, "mdb_cursor_open: %s", mdb_strerror(rc));

    for (content.n = 0;
         (rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0;
         content.n++)
    {
        must(content.n < RECORDS_MAX && k.mv_size == KEY_LEN, "too much");
        record = &content.records[content.n];
        memcpy(record->key, k.mv_data, KEY_LEN);
        record->value = v;
    }

    must(rc == MDB_NOTFOUND, "mdb_cursor_get: %s", mdb_strerror(rc));
    mdb_cursor_close(cursor);
}


/* the number of records before a key, or at it */

static unsigned
place_of(const uint8_t *key)
{
    unsigned  low, high, middle;

    for (low = 0, high = content.n; low < high; /* void */ ) {
        middle = (low + high) / 2;

        if (memcmp(content.records[middle].key, key, KEY_LEN) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    return low;
}


static int
is_key(const uint8_t *key)
{
    unsigned  i;

    i = place_of(key);

    return i < content.n && memcmp(content.records[i].key, key, KEY_LEN) == 0;
}


/* the next greater or less */

static void
step_key(uint8_t *key, int by)
{
    unsigned  i;

    for (i = KEY_LEN; i-- > 0; /* void */ ) {
        key[i] = (uint8_t) (key[i] + by);

        if (key[i] != (by > 0 ? 0 : 0xff)) {
            return;
        }
    }
}


/* a key that is less than that of the record at "end"; most are there */

static void
lesser_key(uint8_t *key, unsigned end, unsigned stride)
{
    unsigned  i;

    if (end > 0) {
        i = 1 + below(stride);
        i = i < end ? end - i : 0;
        memcpy(key, content.records[i].key, KEY_LEN);

    } else {
        i = 0;
        memset(key, content.n > 0 ? content.records[0].key[7] / 2 : 1,
               KEY_LEN);
    }

    if (chance(20)) {
        step_key(key, chance(50) || i + 1 >= end ? -1 : 1);
    }
}


static void
check_value(unsigned i, exports_rc_t rc, const uint8_t *key,
    const MDB_val *value, const char *how)
{
    const record_t  *record;

    record = &content.records[i];

    check(rc == EXPORTS_OK && memcmp(key, record->key, KEY_LEN) == 0
          && value->mv_size == record->value.mv_size
          && value->mv_data == record->value.mv_data,
          "%s: record %u of %u: %s", how, i, content.n, rc_name(rc));
}


/* the key that is found is the one that was sought, where it is stored */

static exports_rc_t
find_key(exports_tree_t *tree, const uint8_t *key, MDB_val *v)
{
    exports_rc_t    rc;
    const uint8_t  *found;

    found = NULL;

    rc = exports_tree_find(tree, key, &found, v);

    check(rc != EXPORTS_OK
          || (found != key && memcmp(found, key, KEY_LEN) == 0),
          "the key as it is stored");

    return rc;
}


/* another series, of keys up to the record's, by chance with a scan from one
   of those that follow */

static void
start(exports_tree_t *tree, unsigned i)
{
    uint8_t  key[KEY_LEN];

    tree->positioned = 0;
    tree->reached = 0;
    tree->scan = 0;

    if (chance(50)) {
        return;
    }

    i += below(4) * below(content.n + 1) / 8;
    memset(key, 0xff, KEY_LEN);

    if (i < content.n) {
        memcpy(key, content.records[i].key, chance(50) ? KEY_LEN : 8);
    }

    exports_tree_scan(tree, key, below(5));
    check(tree->scan && !tree->positioned, "a scan begins");
}


/* one series of keys, as a page of a list asks for them */

static void
check_series(exports_reader_t *reader)
{
    MDB_val          v = { 0, NULL };
    uint8_t          key[KEY_LEN] = { 0 };
    unsigned         i, end, n, backs, stride;
    exports_rc_t     rc;
    exports_tree_t  *tree;
    const uint8_t   *found;

    found = key;
    tree = &reader->trees[DB_MANIFESTS];

    rc = exports_tree_open(tree, reader->env, reader->txn, DB_MANIFESTS);
    check(rc == EXPORTS_OK, "open: %s", rc_name(rc));

    if (tree->height > greatest_height) {
        greatest_height = tree->height;
    }

    end = chance(50) ? content.n : below(content.n + 1);
    start(tree, end);
    backs = below(4) * 33;
    stride = chance(50) ? 3 : 1 + below(content.n / 4 + 1);

    for (n = 0; n < 200; n++) {

        if (tree->positioned && chance(backs)) {
            rc = exports_tree_back(tree, &found, &v);

            if (end == 0) {
                check(rc == EXPORTS_NOT_FOUND, "before all: %s", rc_name(rc));

            } else {
                end--;
                check_value(end, rc, found, &v, "back");
            }

            continue;
        }

        lesser_key(key, end, stride);
        rc = find_key(tree, key, &v);
        i = place_of(key);

        if (is_key(key)) {
            check_value(i, rc, key, &v, "find");

        } else {
            check(rc == EXPORTS_NOT_FOUND && !tree->positioned,
                  "a key that is not there: %s", rc_name(rc));
        }

        end = i;
    }
}


/* each record, each gap, and all the way back */

static void
check_whole(exports_reader_t *reader)
{
    MDB_val          v = { 0, NULL };
    uint8_t          key[KEY_LEN] = { 0 };
    unsigned         i;
    exports_rc_t     rc;
    exports_tree_t  *tree;
    const uint8_t   *found;

    found = key;
    tree = &reader->trees[DB_MANIFESTS];

    for (i = 0; i < content.n; i++) {
        must(exports_tree_open(tree, reader->env, reader->txn, DB_MANIFESTS)
             == EXPORTS_OK,
             "open");
        rc = find_key(tree, content.records[i].key, &v);
        check_value(i, rc, content.records[i].key, &v, "find alone");

        memcpy(key, content.records[i].key, KEY_LEN);
        step_key(key, -1);

        if (rc == EXPORTS_OK && (i == 0 || !is_key(key))) {
            rc = find_key(tree, key, &v);
            check(rc == EXPORTS_NOT_FOUND, "before %u: %s", i, rc_name(rc));
        }
    }

    if (content.n == 0) {
        memset(key, 0, KEY_LEN);
        rc = find_key(tree, key, &v);
        check(rc == EXPORTS_NOT_FOUND, "in nothing: %s", rc_name(rc));
        return;
    }

    rc = exports_tree_open(tree, reader->env, reader->txn, DB_MANIFESTS);
    check(rc == EXPORTS_OK, "open: %s", rc_name(rc));

    i = content.n - 1;
    rc = find_key(tree, content.records[i].key, &v);
    check_value(i, rc, content.records[i].key, &v, "the last");

    while (i-- > 0) {
        rc = exports_tree_back(tree, &found, &v);
        check_value(i, rc, found, &v, "all the way");
    }

    rc = exports_tree_back(tree, &found, &v);
    check(rc == EXPORTS_NOT_FOUND, "before the first: %s", rc_name(rc));
}


static void
property(size_t page_size)
{
    unsigned               n, i;
    exports_env_t         *env;
    exports_reader_t      *reader, *old;
    static const unsigned  counts[] = {
        0, 1, 2, 3, 7, 1, 0, 40, 300, 1500, 1400, 20, 0, 5, 1000, 0
    };

    env = sized_store(in_dir("property-%zu", page_size), page_size);
    reader = open_reader(env);
    old = open_reader(env);
    greatest_height = 0;

    for (n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
        change(env, counts[n]);

        renew_reader(reader);
        renew_reader(old);
        load(reader);
        check_whole(reader);

        for (i = 0; i < rounds(60, 20); i++) {
            check_series(chance(50) ? reader : old);
        }

        exports_reader_reset(reader);

        /* the snapshot stays what it is while there are others */

        change(env, content.n / 2);
        change(env, content.n / 2 + 30);
        check_whole(old);

        renew_reader(reader);
        load(reader);
        check_whole(reader);
        exports_reader_reset(reader);
        exports_reader_reset(old);
    }

    checked("pages of %zu bytes: as LMDB's cursor", page_size);
    note("up to %u levels", greatest_height);

    exports_reader_close(reader);
    exports_reader_close(old);
    exports_env_close(env);
}


/* where the kernel does not tell where the map is, it is LMDB that reads */

static void
unknown_map(void)
{
    spec_t                 spec;
    exports_rc_t           rc;
    exports_env_t         *env;
    struct rlimit          files, none;
    exports_facet_t        list;
    exports_reader_t      *reader;
    exports_page_query_t   q;

    env = new_store(in_dir("unknown"));

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_PROJECT;
    spec.scope = "a";
    spec.id = "exp_1";
    spec.type = "contacts";
    spec.status = "ready";
    spec.created = TEST_TIME;
    store_spec(env, &spec);

    memset(&q, 0, sizeof(q));
    q.scope = stored_scope(env, EXPORTS_PROJECT, "a").id;
    q.kind = EXPORTS_PROJECT;
    exports_facet_key(&list, q.scope, EXPORTS_FACET_ALL, NULL);
    q.lists = &list;
    q.nlists = 1;
    q.limit = 10;

    reader = open_reader(env);
    renew_reader(reader);

    must(getrlimit(RLIMIT_NOFILE, &files) == 0, "getrlimit");
    none = files;
    none.rlim_cur = 0;
    must(setrlimit(RLIMIT_NOFILE, &none) == 0, "setrlimit");

    rc = exports_tree_open(&reader->trees[DB_MANIFESTS], env, reader->txn,
                           DB_MANIFESTS);
    is_int(rc, EXPORTS_NOT_FOUND, "a map that cannot be found");
    rc = exports_page_read(reader, &q, &page);
    ok(rc == EXPORTS_OK && page.nitems == 1, "is read by LMDB");

    must(setrlimit(RLIMIT_NOFILE, &files) == 0, "setrlimit");

    rc = exports_tree_open(&reader->trees[DB_MANIFESTS], env, reader->txn,
                           DB_MANIFESTS);
    is_int(rc, EXPORTS_OK, "a map that can be found again");

    exports_reader_close(reader);
    exports_env_close(env);
}


/* another process gives the map another size */

static void
grow(const char *dir, size_t map_size, unsigned n)
{
    pid_t           pid;
    exports_env_t  *env;

    pid = fork_child();

    if (pid == 0) {
        env = mapped_store(dir, EXPORTS_ENV_WRITE, map_size);
        change(env, n);
        exports_env_close(env);
        _exit(0);
    }

    must(wait_child(pid) == 0, "the other process");
}


static void
moved_map(void)
{
    const char        *dir;
    exports_env_t     *env;
    const uint8_t     *map;
    exports_reader_t  *reader;

    dir = in_dir("moved");
    exports_env_close(new_store(dir));
    grow(dir, (size_t) 1 << 20, 100);

    env = mapped_store(dir, 0, (size_t) 4 << 20);
    reader = open_reader(env);
    renew_reader(reader);
    load(reader);
    check_whole(reader);
    map = reader->trees[DB_MANIFESTS].map;
    exports_reader_reset(reader);

    /* what is new fits into the map, as long as that stays */

    grow(dir, (size_t) 32 << 20, content.n + 1);
    renew_reader(reader);
    load(reader);
    check_whole(reader);
    check(reader->trees[DB_MANIFESTS].map == map, "the map has moved");
    exports_reader_reset(reader);

    must(exports_mdb_remap(env) == 0, "mdb_env_set_mapsize");

    renew_reader(reader);
    load(reader);
    check_whole(reader);
    check(reader->trees[DB_MANIFESTS].map != map, "the map has not moved");
    exports_reader_reset(reader);
    checked("a map that was moved between two reads of a snapshot");

    grow(dir, (size_t) 64 << 20, content.n + 4000);
    renew_reader(reader);
    load(reader);
    check_whole(reader);
    checked("a map that was too small");

    exports_reader_close(reader);
    exports_env_close(env);
}


static size_t
compact_copy(exports_env_t *env, uint8_t *bytes, size_t size)
{
    int               fd;
    char              path[4300];
    ssize_t           n;
    exports_error_t   error;

    (void) snprintf(path, sizeof(path), "%s.copy", exports_env_path(env));
    fd = open(path, O_RDWR|O_CREAT|O_TRUNC, 0600);
    must(fd != -1, "open: %s", strerror(errno));

    must(exports_env_copy(env, fd, &error) == EXPORTS_OK, "%s", error.text);

    n = pread(fd, bytes, size, 0);
    must(n > 0 && (size_t) n < size, "pread");
    (void) close(fd);

    return (size_t) n;
}


/* every record of a store, and none but those */

static void
check_content(exports_reader_t *reader)
{
    renew_reader(reader);
    load(reader);
    check_whole(reader);
    exports_reader_reset(reader);
}


/* two copies have the same numbers: of the snapshot, of the last commit */

static void
copied_over(void)
{
    int                fd;
    char               path[4300];
    size_t             few, many;
    unsigned           i;
    const char        *dir;
    exports_env_t     *env;
    exports_reader_t  *reader;
    static uint8_t     small[16 << 20], large[16 << 20];

    dir = in_dir("copied");
    env = new_store(dir);
    change(env, 5);
    few = compact_copy(env, small, sizeof(small));
    change(env, 900);
    many = compact_copy(env, large, sizeof(large));
    exports_env_close(env);

    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_DATA_FILE, dir);
    fd = open(path, O_RDWR|O_TRUNC);
    must(fd != -1 && write(fd, small, few) == (ssize_t) few, "write");

    env = open_store(dir, EXPORTS_ENV_IMMUTABLE);
    reader = open_reader(env);
    check_content(reader);

    for (i = 0; i < 4; i++) {
        must(pwrite(fd, (i & 1) ? small : large, (i & 1) ? few : many, 0) > 0,
             "pwrite");
        check_content(reader);
    }

    checked("a file that another one is copied over");

    exports_reader_close(reader);
    exports_env_close(env);
    (void) close(fd);
}


/* LMDB's number of a snapshot may be 0, where no writer has come by */

static void
no_number(void)
{
    int                fd;
    char               path[4300];
    const char        *dir;
    unsigned           i;
    meta_page_t        metas[2];
    exports_env_t     *env;
    exports_reader_t  *reader;

    dir = in_dir("no-number");
    env = new_store(dir);
    change(env, 50);
    exports_env_close(env);

    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_DATA_FILE, dir);
    fd = open(path, O_RDWR);
    must(fd != -1, "open: %s", strerror(errno));

    for (i = 0; i < 2; i++) {
        must(pread(fd, &metas[i], sizeof(metas[0]),
                   (off_t) (i * system_page()))
             == (ssize_t) sizeof(metas[0]), "pread");
    }

    metas[0] = metas[metas[0].txnid < metas[1].txnid];
    metas[0].txnid = 0;

    for (i = 0; i < 2; i++) {
        metas[0].pgno = i;
        must(pwrite(fd, &metas[0], sizeof(metas[0]),
                    (off_t) (i * system_page()))
             == (ssize_t) sizeof(metas[0]), "pwrite");
    }

    (void) close(fd);

    env = open_store(dir, EXPORTS_ENV_IMMUTABLE);
    reader = open_reader(env);
    renew_reader(reader);
    must(exports_reader_txnid(reader) == 0, "a number");
    load(reader);
    check_whole(reader);
    checked("a snapshot of number 0");

    exports_reader_close(reader);
    exports_env_close(env);
}


/* a value lies in one page or, where LMDB puts long ones, in the map; and when
   it passes for a record it is the one of its key */

static void
check_bounds(const exports_tree_t *tree, exports_rc_t rc, const uint8_t *key,
    const MDB_val *value)
{
    size_t            at, in_page, size;
    unsigned          i;
    exports_item_t    item;

    if (rc != EXPORTS_OK) {
        check(rc == EXPORTS_NOT_FOUND || rc == EXPORTS_CORRUPT, "%s",
              rc_name(rc));
        wrong += (rc == EXPORTS_CORRUPT);
        return;
    }

    at = (size_t) ((const uint8_t *) value->mv_data - tree->map);
    in_page = at % tree->page_size;
    size = tree->pages * tree->page_size;

    if (!check(at < size && value->mv_size <= size - at
               && (in_page == PAGE_HEADER
                   || value->mv_size <= tree->page_size - in_page),
               "%zu bytes at %zu", value->mv_size, at))
    {
        return;
    }

    if (exports_item_decode(&item, key, value->mv_data, value->mv_size)
        != EXPORTS_OK)
    {
        wrong++;
        return;
    }

    i = place_of(key);

    check(is_key(key)
          && content.records[i].value.mv_size == value->mv_size
          && memcmp(content.records[i].value.mv_data, value->mv_data,
                    value->mv_size) == 0,
          "another record");
}


/* all of a tree, in several ways */

static void
read_all(exports_tree_t *tree)
{
    MDB_val         v;
    uint8_t         key[KEY_LEN];
    unsigned        i, n, stride;
    exports_rc_t    rc;
    const uint8_t  *found;

    start(tree, content.n - 1);
    stride = 1 + below(7);

    for (i = content.n; i > 0; i -= stride < i ? stride : i) {
        rc = find_key(tree, content.records[i - 1].key, &v);
        check_bounds(tree, rc, content.records[i - 1].key, &v);

        if (rc == EXPORTS_OK && chance(30)) {
            rc = exports_tree_back(tree, &found, &v);
            memcpy(key, rc == EXPORTS_OK ? found : content.records[0].key,
                   KEY_LEN);
            check_bounds(tree, rc, key, &v);
        }
    }

    /* back, from where the tree still can be entered */

    start(tree, content.n - 1);

    for (i = content.n; i > 0 && !tree->positioned; i--) {
        (void) find_key(tree, content.records[i - 1].key, &v);
    }

    for (n = 0; tree->positioned && n < 2 * content.n; n++) {
        rc = exports_tree_back(tree, &found, &v);

        if (rc == EXPORTS_NOT_FOUND) {
            break;
        }

        memcpy(key, rc == EXPORTS_OK ? found : content.records[0].key,
               KEY_LEN);
        check_bounds(tree, rc, key, &v);
    }
}


/* of a page on the way to a record; whether there is any */

static int
random_damage(exports_tree_t *tree, damage_t *damage)
{
    int               is_leaf;
    MDB_val           v;
    uint8_t          *at, *node;
    uint64_t          number;
    exports_rc_t      rc;
    exports_level_t  *level;

    start(tree, content.n - 1);
    rc = find_key(tree, content.records[below(content.n)].key, &v);
    must(rc == EXPORTS_OK, "a sound tree: %s", rc_name(rc));

    level = &tree->levels[below(tree->height)];
    is_leaf = level == &tree->levels[tree->height - 1];
    at = (uint8_t *) level->page;
    node = node_of(at, chance(50) ? level->at : below(level->n));
    number = random_number(tree);

    switch (below(10)) {

    case 0:
        damage_bytes(damage, at, &number, sizeof(number));
        break;

    case 1:
        damage16(damage, at + PAGE_FLAGS,
                 chance(50) ? 1U << below(16) : below(256));
        break;

    case 2:
        damage16(damage, at + PAGE_LOWER, random_bound(tree));
        break;

    case 3:
        damage16(damage, at + PAGE_UPPER, random_bound(tree));
        break;

    case 4:
        damage16(damage, at + PAGE_HEADER + 2 * below(level->n),
                 random_bound(tree));
        break;

    case 5:
        damage16(damage, node + NODE_KEY_LEN, random_bound(tree));
        break;

    case 6:
        if (is_leaf) {
            damage16(damage, node + 2 * below(3), random_bound(tree));

        } else {
            damage_below(damage, node, number);
        }
        break;

    case 7:
        damage_bytes(damage,
                     node + (is_leaf ? NODE_HEADER + KEY_LEN : 0), &number,
                     sizeof(number));
        break;

    case 8:
        number = rnd();
        damage_bytes(damage, at + below((unsigned) tree->page_size - 8),
                     &number, 1 + below(8));
        break;

    default:

        /* of a value of several pages, or of one */

        if ((size_t) ((const uint8_t *) v.mv_data - tree->map)
                % tree->page_size
            == PAGE_HEADER)
        {
            damage16(damage, (uint8_t *) v.mv_data - 2 * (1 + below(8)),
                     random_bound(tree));
            return 1;
        }

        damage16(damage, at + 2 * below(8), random_bound(tree));
    }

    if (leads_nowhere(tree, at)) {
        repair(damage);
        return 0;
    }

    return 1;
}


/*
 * Damage that is in the way of a record is found, whatever else is sound.
 */

static void
expect_corrupt(exports_tree_t *tree, unsigned i, const damage_t *damage,
    const char *what)
{
    MDB_val       v;
    exports_rc_t  rc;

    start(tree, i);
    rc = find_key(tree, content.records[i].key, &v);
    check(rc == EXPORTS_CORRUPT, "%s: %s", what, rc_name(rc));

    repair(damage);

    start(tree, i);
    rc = find_key(tree, content.records[i].key, &v);
    must(rc == EXPORTS_OK, "%s, repaired: %s", what, rc_name(rc));
}


static void
damage_header(exports_tree_t *tree, unsigned i, uint8_t *at)
{
    uint64_t   number;
    unsigned   bit;
    damage_t   damage;

    memcpy(&number, at, sizeof(number));
    number += 2;
    damage_bytes(&damage, at, &number, sizeof(number));
    expect_corrupt(tree, i, &damage, "the number of a page");

    for (bit = 0; bit < 4; bit++) {
        damage16(&damage, at + PAGE_FLAGS,
                 (exports_tree_get16(at + PAGE_FLAGS) & KIND_FLAGS)
                 ^ 1U << bit);
        expect_corrupt(tree, i, &damage, "the kind of a page");
    }

    damage16(&damage, at + PAGE_FLAGS,
             exports_tree_get16(at + PAGE_FLAGS) ^ LEAF2_FLAG);
    expect_corrupt(tree, i, &damage, "a page of values of one size");
}


static void
damage_bounds(exports_tree_t *tree, unsigned i, uint8_t *at)
{
    uint16_t   upper;
    uint32_t   bounds = 0xfffefffe;
    damage_t   damage;

    memcpy(&upper, at + PAGE_UPPER, sizeof(upper));

    damage16(&damage, at + PAGE_LOWER, 0);
    expect_corrupt(tree, i, &damage, "a page that ends in its header");
    damage16(&damage, at + PAGE_LOWER, PAGE_HEADER);
    expect_corrupt(tree, i, &damage, "a page without a node");
    damage16(&damage, at + PAGE_LOWER, PAGE_HEADER + 1);
    expect_corrupt(tree, i, &damage, "a page with half of a node");
    damage16(&damage, at + PAGE_LOWER, upper + 2U);
    expect_corrupt(tree, i, &damage, "more nodes than there is room for");
    damage16(&damage, at + PAGE_UPPER, (unsigned) tree->page_size + 1);
    expect_corrupt(tree, i, &damage, "nodes behind the page");
    damage_bytes(&damage, at + PAGE_LOWER, &bounds, sizeof(bounds));
    expect_corrupt(tree, i, &damage, "more nodes than a page has room for");
}


static void
damage_child(exports_tree_t *tree, unsigned i, const exports_level_t *level)
{
    uint8_t   *at, *node;
    uint64_t   number;
    damage_t   damage;

    at = (uint8_t *) level->page;
    node = node_of(at, level->at);

    damage_below(&damage, node, tree->pages);
    expect_corrupt(tree, i, &damage, "a page behind the last");
    damage_below(&damage, node, NO_PAGE);
    expect_corrupt(tree, i, &damage, "the greatest page");

    number = (uint64_t) (level->page - tree->map) / tree->page_size;
    damage_below(&damage, node, number);
    expect_corrupt(tree, i, &damage, "a page below itself");

    damage16(&damage, at + PAGE_HEADER + 2 * level->at,
             (unsigned) tree->page_size - 4);
    expect_corrupt(tree, i, &damage, "a child at the end of the page");

    if (level->at > 0) {
        damage16(&damage, node + NODE_KEY_LEN, 0);
        expect_corrupt(tree, i, &damage, "a branch's key that is none");
    }
}


static void
damage_long(exports_tree_t *tree, unsigned i, uint8_t *node, uint8_t *at)
{
    uint64_t       number, pages;
    damage_t       damage;
    node_header_t  header;

    damage_header(tree, i, at);

    node += NODE_HEADER + KEY_LEN;
    number = tree->pages;
    damage_bytes(&damage, node, &number, sizeof(number));
    expect_corrupt(tree, i, &damage, "a long value behind the last page");

    number = NO_PAGE;
    damage_bytes(&damage, node, &number, sizeof(number));
    expect_corrupt(tree, i, &damage, "a long value at the greatest page");

    /* one byte more than the rest of the map */

    node -= NODE_HEADER + KEY_LEN;
    pages = tree->pages - (uint64_t) (at - tree->map) / tree->page_size;
    number = pages * tree->page_size - PAGE_HEADER + 1;
    memcpy(&header, node, sizeof(header));
    header.low = (uint16_t) number;
    header.high = (uint16_t) (number >> 16);
    damage_bytes(&damage, node, &header, sizeof(header));
    expect_corrupt(tree, i, &damage, "a long value that does not end");
}


static void
damage_leaf(exports_tree_t *tree, unsigned i, const MDB_val *value)
{
    uint8_t                *at, *node;
    damage_t                damage;
    const exports_level_t  *level;

    level = &tree->levels[tree->height - 1];
    at = (uint8_t *) level->page;
    node = node_of(at, level->at);

    damage16(&damage, at + PAGE_HEADER + 2 * level->at,
             (unsigned) tree->page_size - NODE_HEADER - KEY_LEN + 1);
    expect_corrupt(tree, i, &damage, "a node at the end of the page");
    damage16(&damage, at + PAGE_HEADER + 2 * level->at, 0xffff);
    expect_corrupt(tree, i, &damage, "a node behind the page");
    damage16(&damage, node + NODE_KEY_LEN, KEY_LEN - 1);
    expect_corrupt(tree, i, &damage, "a shorter key");
    damage16(&damage, node + NODE_KEY_LEN, KEY_LEN + 1);
    expect_corrupt(tree, i, &damage, "a longer key");
    damage16(&damage, node + 4, 2);
    expect_corrupt(tree, i, &damage, "a value that is a database");
    damage16(&damage, node + 4, 4);
    expect_corrupt(tree, i, &damage, "several values");
    damage16(&damage, node + 4, 3);
    expect_corrupt(tree, i, &damage, "a long value that is a database");

    if ((uint8_t *) value->mv_data != node + NODE_HEADER + KEY_LEN) {
        damage_long(tree, i, node, (uint8_t *) value->mv_data - PAGE_HEADER);
        return;
    }

    damage16(&damage, node + offsetof(node_header_t, low),
             (unsigned) (at + tree->page_size - node) - NODE_HEADER - KEY_LEN
             + 1);
    expect_corrupt(tree, i, &damage, "a value that leaves its page");
    damage16(&damage, node + offsetof(node_header_t, high), 1);
    expect_corrupt(tree, i, &damage, "a value of more than a page");
}


/* a node that ends with its key at the end of the page, or behind it */

static void
damage_end(exports_tree_t *tree, unsigned i, unsigned flags, size_t behind)
{
    size_t                  pos;
    uint8_t                *at, old[NODE_HEADER + KEY_LEN];
    damage_t                damage;
    node_header_t           header;
    const exports_level_t  *level;

    level = &tree->levels[tree->height - 1];
    at = (uint8_t *) level->page;
    pos = tree->page_size - sizeof(old) + behind;

    memcpy(old, at + pos, sizeof(old) - behind);
    damage16(&damage, at + PAGE_HEADER + 2 * level->at, (unsigned) pos);

    memset(&header, 0, sizeof(header));
    header.low = 1;
    header.flags = (uint16_t) flags;
    header.key_len = KEY_LEN;
    memcpy(at + pos, &header, sizeof(header));
    memcpy(at + pos + NODE_HEADER, content.records[i].key, KEY_LEN - behind);

    {
        MDB_val       v;
        exports_rc_t  rc;

        start(tree, i);
        rc = find_key(tree, content.records[i].key, &v);
        check(rc != EXPORTS_OK, "a value behind the page, flags %u", flags);
    }

    memcpy(at + pos, old, sizeof(old) - behind);
    repair(&damage);
}


/* a sound node, but in the free space, where LMDB leaves what it has moved */

static void
damage_free(exports_tree_t *tree, unsigned i, unsigned l)
{
    size_t            len;
    MDB_val           v;
    uint8_t          *at, *free_at;
    damage_t          ptr;
    uint16_t          upper;
    exports_rc_t      rc;
    exports_level_t  *level;

    level = &tree->levels[l];
    at = (uint8_t *) level->page;
    len = NODE_HEADER + (l + 1 < tree->height && level->at == 0 ? 0 : KEY_LEN);
    memcpy(&upper, at + PAGE_UPPER, sizeof(upper));

    if (upper < PAGE_HEADER + 2 * level->n + len) {
        return;
    }

    /* the header and the key suffice: its value is not looked at */

    free_at = at + upper - len;
    memcpy(free_at, node_of(at, level->at), len);
    damage16(&ptr, at + PAGE_HEADER + 2 * level->at,
             (unsigned) (free_at - at));

    start(tree, i);
    rc = find_key(tree, content.records[i].key, &v);
    check(rc == EXPORTS_CORRUPT, "a node that is gone, level %u: %s", l,
          rc_name(rc));

    repair(&ptr);

    start(tree, i);
    rc = find_key(tree, content.records[i].key, &v);
    must(rc == EXPORTS_OK, "a sound tree");
}


/* from a record to the one before */

static void
damage_before(exports_tree_t *tree, unsigned i)
{
    MDB_val          v;
    uint8_t         *at, *node;
    damage_t         damage;
    unsigned         level;
    exports_rc_t     rc;
    const uint8_t   *found;
    exports_level_t  levels[DEPTH_MAX];

    start(tree, i - 1);
    rc = find_key(tree, content.records[i - 1].key, &v);
    must(rc == EXPORTS_OK, "a sound tree");
    memcpy(levels, tree->levels, sizeof(levels));

    level = tree->height - 1;
    at = (uint8_t *) levels[level].page;
    node = node_of(at, levels[level].at);

    start(tree, i);
    rc = find_key(tree, content.records[i].key, &v);
    must(rc == EXPORTS_OK, "a sound tree");

    damage16(&damage, node + NODE_KEY_LEN, 0);
    rc = exports_tree_back(tree, &found, &v);
    check(rc == EXPORTS_CORRUPT, "back to a key that is none: %s",
          rc_name(rc));
    repair(&damage);

    if (level == 0) {
        return;
    }

    /* a leaf that is not that of the record */

    start(tree, i);
    rc = find_key(tree, content.records[i].key, &v);
    must(rc == EXPORTS_OK, "a sound tree");

    if (tree->levels[level].page == levels[level].page) {
        node = node_of((uint8_t *) levels[level - 1].page,
                       levels[level - 1].at);
        damage16(&damage, node + NODE_KEY_LEN, 0);
        rc = find_key(tree, content.records[i - 1].key, &v);
        check_bounds(tree, rc, content.records[i - 1].key, &v);
        repair(&damage);
        return;
    }

    node = node_of((uint8_t *) levels[level - 1].page, levels[level - 1].at);
    damage_below(&damage, node, tree->pages);
    rc = exports_tree_back(tree, &found, &v);
    check(rc == EXPORTS_CORRUPT && !tree->positioned,
          "back to a leaf that is none: %s", rc_name(rc));
    repair(&damage);
}


static void
damage_way(exports_tree_t *tree, unsigned i)
{
    MDB_val                 v;
    unsigned                l;
    exports_rc_t            rc;
    const exports_level_t  *level;

    start(tree, i);
    rc = find_key(tree, content.records[i].key, &v);
    must(rc == EXPORTS_OK, "a sound tree");

    for (l = 0; l < tree->height; l++) {
        level = &tree->levels[l];
        damage_header(tree, i, (uint8_t *) level->page);
        damage_bounds(tree, i, (uint8_t *) level->page);

        if (l + 1 < tree->height) {
            damage_child(tree, i, level);
        }
    }

    for (l = 0; l < tree->height; l++) {
        damage_free(tree, i, l);
    }

    damage_leaf(tree, i, &v);
    damage_end(tree, i, 0, 0);
    damage_end(tree, i, OVERFLOW_FLAG, 0);
    damage_end(tree, i, 0, 1);

    if (i > 0) {
        damage_before(tree, i);
    }
}


static void
damage(size_t page_size, unsigned count)
{
    unsigned           i, n;
    damage_t           bytes;
    exports_env_t     *env;
    exports_tree_t     tree;
    exports_reader_t  *reader;

    env = sized_store(in_dir("damage-%zu-%u", page_size, count), page_size);
    change(env, count);

    reader = open_reader(env);
    renew_reader(reader);
    load(reader);
    must(exports_tree_open(&reader->trees[DB_MANIFESTS], env, reader->txn,
                           DB_MANIFESTS)
         == EXPORTS_OK,
         "open");
    copy_tree(&tree, &reader->trees[DB_MANIFESTS]);

    read_all(&tree);
    ok(tap.bad == 0 && wrong == 0, "the copy is sound, of %u levels",
       tree.height);

    n = rounds(60, 20);

    for (i = 0; i < n; i++) {
        damage_way(&tree, i < content.n ? (content.n - 1) * i / n : 0);
    }

    checked("pages of %zu bytes, %u records: damage on the way is found",
            page_size, content.n);

    for (i = 0; i < rounds(3000, 500); i++) {
        if (random_damage(&tree, &bytes)) {
            read_all(&tree);
            repair(&bytes);
        }
    }

    check(wrong > 0, "nothing was found");
    note("%lu reads of %lu were refused", wrong, tap.checks);
    checked("pages of %zu bytes, %u records: any damage", page_size,
            content.n);
    wrong = 0;

    drop_copy();
    exports_reader_close(reader);
    exports_env_close(env);
}


/* the main database's record, in the file under the map */

typedef struct {
    exports_env_t     *env;
    exports_reader_t  *reader;
    int                fd;
    size_t             page_size;
    uint64_t           pgno;        /* of the page that the record lies on */
    size_t             at;          /* and where */
    tree_t             stored;
} names_t;


static void
patch(const names_t *names, uint64_t pgno, size_t at, const void *bytes,
    size_t len)
{
    must(pwrite(names->fd, bytes, len,
                (off_t) (pgno * names->page_size + at))
         == (ssize_t) len, "pwrite: %s", strerror(errno));
}


static void
open_names(names_t *names, const char *dir)
{
    char         path[4300];
    MDB_val      v;
    struct stat  st;

    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_DATA_FILE, dir);
    must(stat(path, &st) == 0, "stat: %s", strerror(errno));

    /* nothing of the map lies behind the file */

    names->fd = open(path, O_RDWR);
    must(names->fd != -1, "open: %s", strerror(errno));
    names->env = mapped_store(dir, 0, (size_t) st.st_size);
    names->page_size = system_page();
    names->reader = open_reader(names->env);
    renew_reader(names->reader);
    load(names->reader);

    must(exports_mdb_get(names->reader->txn, names->env->names,
                         EXPORTS_DB_MANIFESTS, 9, &v)
         == EXPORTS_OK && v.mv_size == sizeof(tree_t), "a record");

    names->at = (uintptr_t) v.mv_data % names->page_size;
    memcpy(&names->pgno, (uint8_t *) v.mv_data - names->at, 8);
    memcpy(&names->stored, v.mv_data, sizeof(tree_t));
}


/* a tree that nobody has opened yet, and one that knows the map */

static void
expect_open(names_t *names, exports_rc_t first, exports_rc_t again,
    const char *what)
{
    exports_rc_t      rc;
    exports_tree_t    fresh;
    exports_tree_t   *tree;

    memset(&fresh, 0, sizeof(fresh));
    rc = exports_tree_open(&fresh, names->env, names->reader->txn,
                           DB_MANIFESTS);
    check(rc == first, "%s: %s", what, rc_name(rc));

    tree = &names->reader->trees[DB_MANIFESTS];
    tree->txnid = 0;
    rc = exports_tree_open(tree, names->env, names->reader->txn, DB_MANIFESTS);
    check(rc == again, "%s, and the map is known: %s", what, rc_name(rc));
    check(rc == EXPORTS_OK || tree->txnid == 0, "%s: it is remembered", what);
}


static void
damage_stored(names_t *names, uint64_t root, unsigned depth, exports_rc_t open,
    exports_rc_t find)
{
    MDB_val          v;
    tree_t           stored;
    exports_rc_t     rc;
    exports_tree_t  *tree;

    stored = names->stored;
    stored.root = root;
    stored.depth = (uint16_t) depth;
    patch(names, names->pgno, names->at, &stored, sizeof(stored));

    expect_open(names, open, open, "a root");

    if (open == EXPORTS_OK) {
        tree = &names->reader->trees[DB_MANIFESTS];
        rc = find_key(tree, content.records[0].key, &v);
        check(rc == find, "root %" PRIu64 ", depth %u: %s", root, depth,
              rc_name(rc));
    }

    patch(names, names->pgno, names->at, &names->stored,
          sizeof(names->stored));
}


/* the page says that it is another */

static void
damage_number(names_t *names)
{
    uint64_t  number, pages;

    pages = names->reader->trees[DB_MANIFESTS].pages;

    for (number = 0; number < pages + 3; number++) {
        if (number != names->pgno) {
            patch(names, names->pgno, 0, &number, sizeof(number));
            expect_open(names, EXPORTS_CORRUPT, EXPORTS_CORRUPT, "a number");
        }
    }

    /* its place in the file is the same, to 64 bits */

    number = names->pgno + UINT64_MAX / names->page_size + 1;
    patch(names, names->pgno, 0, &number, sizeof(number));
    expect_open(names, EXPORTS_CORRUPT, EXPORTS_CORRUPT, "a great number");

    number = NO_PAGE;
    patch(names, names->pgno, 0, &number, sizeof(number));
    expect_open(names, EXPORTS_CORRUPT, EXPORTS_CORRUPT, "the greatest number");

    patch(names, names->pgno, 0, &names->pgno, sizeof(number));
    expect_open(names, EXPORTS_OK, EXPORTS_OK, "the right number");
}


/* and the other one says so, too, and is like it */

static void
damage_copy(names_t *names)
{
    size_t          len;
    uint64_t        other;
    static uint8_t  was[2 * PAGE_SIZE_MAX];

    len = names->page_size;
    other = names->pgno + 1;

    must(pread(names->fd, was, 2 * len, (off_t) (names->pgno * len))
         == (ssize_t) (2 * len), "pread");

    patch(names, names->pgno, 0, &other, sizeof(other));
    patch(names, other, 0, was, len);
    patch(names, other, 0, &other, sizeof(other));
    expect_open(names, EXPORTS_CORRUPT, EXPORTS_CORRUPT, "a copy");

    patch(names, names->pgno, 0, was, 2 * len);
}


/* the record lies partly in the next page, or wholly */

static void
damage_place(names_t *names)
{
    size_t          pos;
    uint8_t         head[NODE_HEADER + 9], bytes[sizeof(head) + sizeof(tree_t)];
    uint16_t        ptr, lower;
    exports_rc_t    rc;
    node_header_t   node;
    static uint8_t  was[2 * PAGE_SIZE_MAX];

    /* the page, and the next one */

    must(pread(names->fd, was, 2 * names->page_size,
               (off_t) (names->pgno * names->page_size))
         == (ssize_t) (2 * names->page_size), "pread");

    memcpy(head, was + names->at - sizeof(head), sizeof(head));

    /* a length that is wrong */

    memcpy(&node, head, sizeof(node));
    node.low--;
    patch(names, names->pgno, names->at - sizeof(head), &node, sizeof(node));
    expect_open(names, EXPORTS_CORRUPT, EXPORTS_CORRUPT, "a length");
    node.low += 2;
    patch(names, names->pgno, names->at - sizeof(head), &node, sizeof(node));
    expect_open(names, EXPORTS_CORRUPT, EXPORTS_CORRUPT, "a length");

    /* a name that is not there */

    memcpy(bytes, head, sizeof(head));
    bytes[sizeof(head) - 1]++;
    patch(names, names->pgno, names->at - sizeof(head), bytes, sizeof(head));
    expect_open(names, EXPORTS_CORRUPT, EXPORTS_CORRUPT, "a name");
    patch(names, names->pgno, names->at - sizeof(head), head, sizeof(head));

    /* the only one of its page */

    lower = PAGE_HEADER + sizeof(ptr);
    patch(names, names->pgno, PAGE_LOWER, &lower, sizeof(lower));

    for (pos = names->page_size - sizeof(head) - sizeof(tree_t);
         pos <= names->page_size - sizeof(head); pos++)
    {
        ptr = (uint16_t) pos;
        memcpy(bytes, head, sizeof(head));
        memcpy(bytes + sizeof(head), &names->stored, sizeof(tree_t));
        patch(names, names->pgno, pos, bytes, sizeof(bytes));
        patch(names, names->pgno, PAGE_HEADER, &ptr, sizeof(ptr));

        rc = pos + sizeof(bytes) > names->page_size ? EXPORTS_CORRUPT
                                                    : EXPORTS_OK;
        expect_open(names, rc, rc, "a place");
    }

    patch(names, names->pgno, 0, was, 2 * names->page_size);
}


static void
damage_last_page(names_t *names)
{
    uint64_t              last;
    unsigned              i;
    exports_tree_t        tree;
    meta_page_t           metas[2];
    const size_t          at = offsetof(meta_page_t, last_page);
    static const uint64_t  lasts[] = { 1ULL << 40, UINT64_MAX - 1 };

    for (i = 0; i < 2; i++) {
        must(pread(names->fd, &metas[i], sizeof(metas[0]),
                   (off_t) (i * names->page_size))
             == (ssize_t) sizeof(metas[0]), "pread");
    }

    for (i = 0; i < 2; i++) {
        patch(names, 0, at, &lasts[i], sizeof(lasts[i]));
        patch(names, 1, at, &lasts[i], sizeof(lasts[i]));

        memset(&tree, 0, sizeof(tree));
        check(exports_tree_open(&tree, names->env, names->reader->txn,
                                DB_MANIFESTS)
              == EXPORTS_OK
              && tree.pages * tree.page_size
                 <= (size_t) lseek(names->fd, 0, SEEK_END),
              "%" PRIu64 " pages", tree.pages);
    }

    last = UINT64_MAX;
    patch(names, 0, at, &last, sizeof(last));
    patch(names, 1, at, &last, sizeof(last));
    memset(&tree, 0, sizeof(tree));
    check(exports_tree_open(&tree, names->env, names->reader->txn,
                            DB_MANIFESTS)
          == EXPORTS_CORRUPT, "no pages at all");

    for (i = 0; i < 2; i++) {
        patch(names, i, at, &metas[i].last_page, sizeof(last));
    }
}


static void
damage_names(void)
{
    uint64_t           pages;
    unsigned           height;
    const char        *dir;
    exports_env_t     *env;
    names_t            names;

    dir = in_dir("names");
    env = new_store(dir);
    change(env, 500);

    /* the page is not the last of the file */

    change(env, 400);
    change(env, 900);
    exports_env_close(env);

    open_names(&names, dir);
    expect_open(&names, EXPORTS_OK, EXPORTS_OK, "a sound root");
    height = names.stored.depth;
    pages = names.reader->trees[DB_MANIFESTS].pages;
    must(height >= 2, "%u levels", height);

    damage_stored(&names, names.stored.root, 0, EXPORTS_CORRUPT, 0);
    damage_stored(&names, names.stored.root, DEPTH_MAX + 1, EXPORTS_CORRUPT,
                  0);
    damage_stored(&names, names.stored.root, 0xffff, EXPORTS_CORRUPT, 0);
    damage_stored(&names, NO_PAGE, height, EXPORTS_CORRUPT, 0);
    damage_stored(&names, NO_PAGE, 0, EXPORTS_OK, EXPORTS_NOT_FOUND);
    damage_stored(&names, names.stored.root, height - 1, EXPORTS_OK,
                  EXPORTS_CORRUPT);
    damage_stored(&names, names.stored.root, height + 1, EXPORTS_OK,
                  EXPORTS_CORRUPT);
    damage_stored(&names, names.stored.root, DEPTH_MAX, EXPORTS_OK,
                  EXPORTS_CORRUPT);
    damage_stored(&names, pages, height, EXPORTS_OK, EXPORTS_CORRUPT);
    damage_stored(&names, NO_PAGE - 1, height, EXPORTS_OK, EXPORTS_CORRUPT);
    damage_stored(&names, 0, height, EXPORTS_OK, EXPORTS_CORRUPT);
    damage_stored(&names, names.pgno, height, EXPORTS_OK, EXPORTS_CORRUPT);

    damage_number(&names);
    damage_copy(&names);
    damage_place(&names);
    damage_last_page(&names);

    expect_open(&names, EXPORTS_OK, EXPORTS_OK, "all is as it was");
    check_whole(names.reader);
    checked("damage to the record of the tree is found");

    exports_reader_close(names.reader);
    exports_env_close(names.env);
    (void) close(names.fd);
}


int
main(void)
{
    random_seed();

    property(512);
    property(1024);
    property(system_page());

    if (2 * system_page() <= 32768) {
        property(2 * system_page());
    }

    unknown_map();
    copied_over();
    moved_map();
    no_number();
    damage(system_page(), 1);
    damage(system_page(), 3);
    damage(system_page(), 1500);
    damage(512, 300);
    damage_names();

    return done_testing();
}
