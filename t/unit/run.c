
/*
 * Lists whose values lie in the node of their key: exports_run.c, and
 * exports_run_tree.c.  Where a field of the node or of the page in it is wrong,
 * the list is read as it was, or not at all; in the file, and in the pages of a
 * writer before its commit.
 */

#include "guard.h"

#include "exports_list.h"
#include "exports_mdb_layout.h"
#include "exports_verify_private.h"
#include "exports_writer_private.h"


#define NLISTS    9
#define NENTRIES  400           /* of a list, at most */
#define NKEYS     64


/* entries of a list that are put, and of those so many deleted again: then its
   page has no room left.  31 make it as long as a page of its own may be, and
   two as long as the record of a tree. */

static const struct {
    unsigned         put;
    unsigned         deleted;
} lengths[NLISTS] = {
    { 1, 0 }, { 2, 0 }, { 5, 0 }, { 60, 0 }, { 3, 2 }, { 33, 2 }, { 4, 2 },
    { 150, 0 }, { 130, 70 }
};

typedef struct {
    exports_db_t     db;
    size_t           size;
    size_t           len;
    uint8_t          key[EXPORTS_RANK_KEY_MAX];
    unsigned         n;
    uint8_t          values[NENTRIES][EXPORTS_RANK_LEN];
} values_t;

typedef struct {
    exports_facet_t  list;
    unsigned         n;
    char             ids[NENTRIES][16];
} page_t;

typedef struct {
    exports_env_t     *env;
    exports_reader_t  *reader;
    exports_writer_t  *writer;      /* NULL: what is damaged is in the file */
    int                fd;
    const uint8_t     *map;
    const uint8_t     *node;        /* in which a field is wrong */
} store_t;

/* what is to be read */
typedef struct {
    exports_reader_t        *reader;
    const exports_source_t  *source;
    const values_t          *of;
    const page_t            *page;
    unsigned                 first;
} reading_t;


static values_t        keys[NKEYS];
static unsigned        nkeys;
static page_t          pages[NLISTS];
static exports_page_t  page;
static uint64_t        scope;
static unsigned        refused, unharmed;

static exports_verify_t  verified;


static void
change(exports_env_t *env, unsigned type, unsigned n, int add)
{
    char               id[16];
    spec_t             spec;
    exports_rc_t       rc;
    exports_error_t    error;
    exports_writer_t  *w;

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_USER;
    spec.scope = "1";
    spec.id = id;
    spec.status = "ready";
    spec.type = type_name(type);

    w = begin_writer(env);

    while (n-- > 0) {
        (void) snprintf(id, sizeof(id), "u-%u-%u", type, n);
        spec.created = TEST_TIME + n;

        rc = add ? put_spec(w, &spec, NULL, &error)
                 : exports_writer_delete(w, EXPORTS_USER, "1", 1, id,
                                         strlen(id), &error);
        must(rc == EXPORTS_OK, "%s: %s", id, error.text);
    }

    commit_writer(w);
}


static void
make_store(exports_env_t *env)
{
    unsigned  i;

    for (i = 0; i < NLISTS; i++) {
        change(env, i, lengths[i].put, 1);
        change(env, i, lengths[i].deleted, 0);
    }
}


/* all that LMDB says there is, as long as it is sound */

static void
load_keys(MDB_txn *txn, exports_env_t *env, exports_db_t db)
{
    MDB_val      k, v;
    values_t    *to;
    MDB_cursor  *cursor;

    must(mdb_cursor_open(txn, env->dbi[db], &cursor) == 0, "a cursor");

    for (to = NULL; mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0; ) {

        if (to == NULL || to->len != k.mv_size
            || memcmp(to->key, k.mv_data, to->len) != 0)
        {
            must(nkeys < NKEYS && k.mv_size <= sizeof(to->key), "a key");

            to = &keys[nkeys++];
            to->db = db;
            to->size = v.mv_size;
            to->len = k.mv_size;
            memcpy(to->key, k.mv_data, k.mv_size);
            to->n = 0;
        }

        must(to->n < NENTRIES && v.mv_size == to->size, "a value");
        memcpy(to->values[to->n++], v.mv_data, v.mv_size);
    }

    mdb_cursor_close(cursor);
}


static exports_rc_t
read_page(exports_reader_t *reader, const page_t *of, uint64_t offset)
{
    exports_page_query_t  q;

    memset(&q, 0, sizeof(q));
    q.scope = scope;
    q.kind = EXPORTS_USER;
    q.lists = &of->list;
    q.nlists = 1;
    q.offset = offset;
    q.limit = EXPORTS_PAGE_MAX;

    return exports_page_read(reader, &q, &page);
}


static void
load_page(exports_reader_t *reader, unsigned type)
{
    page_t            *to;
    unsigned           i;
    exports_facets_t   values;

    to = &pages[type];
    to->n = lengths[type].put - lengths[type].deleted;

    memset(&values, 0, sizeof(values));
    must(exports_hash(values.type, type_name(type), strlen(type_name(type)))
         == 0, "SHA-256");
    exports_facet_key(&to->list, scope, EXPORTS_FACET_TYPE, &values);

    must(read_page(reader, to, 0) == EXPORTS_OK && page.total == to->n
         && page.nitems == to->n, "a page of %u items", to->n);

    for (i = 0; i < to->n; i++) {
        (void) snprintf(to->ids[i], sizeof(to->ids[0]), "%.*s",
                        (int) page.items[i].id.len, page.items[i].id.data);
    }
}


static void
load(store_t *store)
{
    unsigned  i;

    nkeys = 0;
    scope = stored_scope(store->env, EXPORTS_USER, "1").id;

    load_keys(store->reader->txn, store->env, DB_FACETS);
    load_keys(store->reader->txn, store->env, DB_RANKS);

    for (i = 0; i < NLISTS; i++) {
        load_page(store->reader, i);
    }
}


/* from one of its values on; EXPORTS_FAILED: it is another one */

static exports_rc_t
read_values(void *data)
{
    size_t            i, n;
    exports_rc_t      rc;
    exports_run_t     run;
    const values_t   *of;
    const reading_t  *reading = data;

    of = reading->of;
    n = reading->first;

    rc = exports_run_from(&run, reading->source, of->key, of->len,
                          n != 0 ? of->values[n] : NULL, of->size);

    if (rc == EXPORTS_NOT_FOUND) {
        rc = EXPORTS_FAILED;
    }

    while (rc == EXPORTS_OK) {

        for (i = run.at; i < run.n && rc == EXPORTS_OK; i++, n++) {
            if (n == of->n
                || memcmp(run.values + i * run.size, of->values[n], of->size)
                   != 0)
            {
                rc = EXPORTS_FAILED;
            }
        }

        if (rc == EXPORTS_OK) {
            rc = exports_run_next(&run);
        }
    }

    return rc == EXPORTS_NOT_FOUND ? n == of->n ? EXPORTS_OK : EXPORTS_FAILED
                                   : rc;
}


static exports_rc_t
read_run(const exports_source_t *source, const values_t *of, unsigned first)
{
    reading_t  reading = { NULL, source, of, NULL, first };

    return source->tree != NULL ? read_values(&reading)
                                : guarded(read_values, &reading);
}


/* the same by LMDB, and in the map, where a writer's pages are not */

static exports_rc_t
read_runs(exports_reader_t *reader, const values_t *of)
{
    unsigned          i, first;
    exports_rc_t      rc;
    exports_source_t  source[2];

    memset(source, 0, sizeof(source));

    must(exports_reader_cursor(reader, of->db, &source[0].cursor) == EXPORTS_OK
         && exports_reader_tree(reader, of->db, &source[1].tree) == EXPORTS_OK
         && (source[1].tree == NULL) == (reader->borrowed != NULL),
         "a cursor, and a tree");

    rc = read_run(&source[0], of, 0);
    first = below(of->n);

    for (i = 0; i < (source[1].tree != NULL ? 2 : 1); i++) {
        check(read_run(&source[i], of, 0) == rc
              && read_run(&source[i], of, first) == rc
              && read_run(&source[i], of, of->n - 1) == rc,
              "from a value on, %s: not %s", i == 0 ? "by LMDB" : "in the map",
              rc_name(rc));
    }

    mdb_cursor_close(source[0].cursor);

    return rc;
}


static exports_rc_t
read_entries(void *data)
{
    unsigned          n;
    exports_rc_t      rc;
    exports_list_t    list;
    exports_facet_t   key;
    const values_t   *of;
    const reading_t  *reading = data;

    of = reading->of;
    key.len = of->len;
    memcpy(key.bytes, of->key, of->len);

    rc = exports_lists_open(&list, reading->reader, &key, 1);

    if (rc == EXPORTS_OK) {
        rc = list.count == of->n ? exports_list_last(&list) : EXPORTS_FAILED;
    }

    for (n = of->n; rc == EXPORTS_OK && list.left > 0; ) {
        if (n == 0
            || memcmp(exports_list_entry(&list), of->values[--n], of->size)
               != 0)
        {
            rc = EXPORTS_FAILED;
            break;
        }

        rc = exports_list_skip(&list, 1);
    }

    return rc == EXPORTS_OK && n > 0 ? EXPORTS_FAILED : rc;
}


/* a writer's transaction is read by LMDB; a cursor that has met damage may not
   be used again */

static exports_rc_t
read_guarded(exports_rc_t (*read)(void *data), reading_t *reading)
{
    exports_rc_t  rc;

    if (!reading->reader->borrowed) {
        return read(reading);
    }

    rc = guarded(read, reading);
    exports_reader_close_cursors(reading->reader);

    return rc;
}


static exports_rc_t
read_list(exports_reader_t *reader, const values_t *of)
{
    reading_t  reading = { reader, NULL, of, NULL, 0 };

    return read_guarded(read_entries, &reading);
}


static exports_rc_t
read_items(void *data)
{
    const reading_t  *reading = data;

    return read_page(reading->reader, reading->page, reading->first);
}


static exports_rc_t
check_page(exports_reader_t *reader, const page_t *of, unsigned offset)
{
    unsigned       i, n;
    reading_t      reading = { reader, NULL, NULL, of, offset };
    exports_rc_t   rc;

    rc = read_guarded(read_items, &reading);
    n = offset < of->n ? of->n - offset : 0;

    if (rc == EXPORTS_OK && (page.total != of->n || page.nitems != n)) {
        return EXPORTS_FAILED;
    }

    for (i = 0; rc == EXPORTS_OK && i < n; i++) {
        if (page.items[i].id.len != strlen(of->ids[offset + i])
            || memcmp(page.items[i].id.data, of->ids[offset + i],
                      page.items[i].id.len)
               != 0)
        {
            rc = EXPORTS_FAILED;
        }
    }

    return rc;
}


/* by all ways; they are of one mind */

static exports_rc_t
read_all(store_t *store, const values_t *of)
{
    unsigned      i;
    exports_rc_t  rc;

    rc = read_runs(store->reader, of);

    if (of->db != DB_FACETS) {
        return rc;
    }

    check(read_list(store->reader, of) == rc, "the list: not %s", rc_name(rc));

    for (i = 0; i < NLISTS; i++) {
        if (pages[i].list.len == of->len
            && memcmp(pages[i].list.bytes, of->key, of->len) == 0)
        {
            check(check_page(store->reader, &pages[i], 0) == rc
                  && check_page(store->reader, &pages[i], below(of->n)) == rc
                  && check_page(store->reader, &pages[i], of->n + 5) == rc,
                  "pages: not %s", rc_name(rc));
        }
    }

    return rc;
}


static void
ignore_fault(void *data, const char *text)
{
    (void) data;
    (void) text;
}


/* where a key's node is, which must be where it can be changed */

static const uint8_t *
find_node(store_t *store, const values_t *of)
{
    MDB_val         k;
    MDB_cursor     *cursor;
    const uint8_t  *node;

    k.mv_data = (void *) of->key;
    k.mv_size = of->len;

    must(mdb_cursor_open(store->reader->txn, store->env->dbi[of->db], &cursor)
             == 0
         && mdb_cursor_get(cursor, &k, NULL, MDB_SET_KEY) == 0, "a key");

    mdb_cursor_close(cursor);

    node = (const uint8_t *) k.mv_data - NODE_HEADER;
    must(store->map == NULL
         || (node >= store->map && node < store->map + TEST_MAP_SIZE)
            == (store->writer == NULL), "a node elsewhere");

    return node;
}


static exports_rc_t
verify_nodes(void *data)
{
    return exports_verify_nodes(((const reading_t *) data)->reader);
}


static exports_rc_t
verify_all(void *data)
{
    exports_error_t  error;

    return exports_verify(((const reading_t *) data)->reader, &verified,
                          ignore_fault, NULL, &error);
}


/* its faults, or an error, unless all is sound */

static void
check_verify(store_t *store, exports_rc_t was)
{
    reading_t       reading = { store->reader, NULL, NULL, NULL, 0 };
    exports_rc_t    rc;
    node_header_t   node;

    /* what length a single value has is left to others */

    memcpy(&node, store->node, NODE_HEADER);

    rc = guarded(verify_nodes, &reading);
    check(rc == was || (rc == EXPORTS_OK && node.flags == 0),
          "%s, but nodes: %s", rc_name(was), rc_name(rc));

    if (store->writer != NULL) {
        return;
    }

    rc = guarded(verify_all, &reading);

    check(rc == EXPORTS_OK ? (verified.faults > 0) == (was == EXPORTS_CORRUPT)
                           : rc == EXPORTS_CORRUPT && was == EXPORTS_CORRUPT,
          "%s, but verified: %s, %" PRIu64 " faults", rc_name(was),
          rc_name(rc), verified.faults);
}


/* where page 0 would be, by the number of another one */

static void
find_map(store_t *store)
{
    size_t           size;
    MDB_stat         st;
    page_header_t    header;
    const uint8_t   *at;

    must(mdb_env_stat(store->env->mdb, &st) == 0, "the size of pages");
    size = st.ms_psize;

    store->map = NULL;
    at = find_node(store, &keys[0]);
    at -= (uintptr_t) at % size;
    memcpy(&header, at, PAGE_HEADER);

    store->map = at - header.pgno * size;
}


static void
write_field(store_t *store, const uint8_t *at, uint16_t value)
{
    if (store->writer != NULL) {
        memcpy((void *) at, &value, sizeof(value));
        return;
    }

    must(pwrite(store->fd, &value, sizeof(value), at - store->map)
         == (ssize_t) sizeof(value), "pwrite: %s", strerror(errno));
}


/* without a change, so that the writer has copies of its own */

static void
touch_keys(MDB_txn *txn, exports_env_t *env)
{
    MDB_val      k, v;
    unsigned     i;
    MDB_cursor  *cursor;

    for (i = 0; i < nkeys; i++) {
        k.mv_data = keys[i].key;
        k.mv_size = keys[i].len;

        must(mdb_cursor_open(txn, env->dbi[keys[i].db], &cursor) == 0
             && mdb_cursor_get(cursor, &k, &v, MDB_SET) == 0, "a key");

        v.mv_data = keys[i].values[0];
        v.mv_size = keys[i].size;

        must(mdb_cursor_put(cursor, &k, &v, MDB_CURRENT) == 0, "putting");
        mdb_cursor_close(cursor);
    }
}


/* nothing is kept of what was read: LMDB ends a transaction that met damage */

static void
read_anew(store_t *store, const values_t *of)
{
    if (store->writer == NULL) {
        exports_reader_reset(store->reader);
        renew_reader(store->reader);

    } else if (guard_needed()) {
        exports_writer_abort(store->writer);
        store->writer = begin_writer(store->env);
        store->reader = exports_writer_reader(store->writer);
        touch_keys(store->reader->txn, store->env);
    }

    store->node = find_node(store, of);
}


static void
damage_field(store_t *store, const values_t *of, size_t pos, const char *name)
{
    unsigned      i;
    uint16_t      was, is;
    exports_rc_t  rc;

    static const int  by[] = { -8, -4, -2, -1, 1, 2, 4, 8, 16, 24, 32 };
    static const int  to[] = { 0, 1, 16, 48, 0x7fff, 0x8000, 0xffff };

    memcpy(&was, store->node + pos, sizeof(was));

    for (i = 0; i < sizeof(by) / sizeof(by[0]) + sizeof(to) / sizeof(to[0]);
         i++)
    {
        is = (uint16_t) (i < sizeof(by) / sizeof(by[0])
                             ? was + by[i]
                             : to[i - sizeof(by) / sizeof(by[0])]);

        if (is == was) {
            continue;
        }

        write_field(store, store->node + pos, is);
        rc = read_all(store, of);

        check(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT,
              "%u values of %zu bytes, %s %u, not %u: %s", of->n, of->size,
              name, is, was, rc == EXPORTS_FAILED ? "another list"
                                                  : rc_name(rc));
        check_verify(store, rc);

        refused += rc == EXPORTS_CORRUPT;
        unharmed += rc == EXPORTS_OK;

        write_field(store, store->node + pos, was);
        read_anew(store, of);
    }
}


/* the number of pages in nodes */

static unsigned
damage_keys(store_t *store)
{
    size_t          len, sub_page;
    unsigned        i, n;
    node_header_t   node;

    for (n = 0, i = 0; i < nkeys; i++) {
        read_anew(store, &keys[i]);
        memcpy(&node, store->node, NODE_HEADER);
        len = node.low | (size_t) node.high << 16;

        /* of a tree its record says how long it is */

        damage_field(store, &keys[i], offsetof(node_header_t, low), "length");
        damage_field(store, &keys[i], offsetof(node_header_t, high),
                     "length / 65536");
        damage_field(store, &keys[i], offsetof(node_header_t, flags),
                     "flags of the node");

        if (node.flags != VALUES_FLAG) {
            continue;
        }

        n++;
        sub_page = NODE_HEADER + node.key_len;
        must(len >= PAGE_HEADER + keys[i].n * keys[i].size, "a page in it");

        damage_field(store, &keys[i], sub_page + offsetof(page_header_t, pad),
                     "size of values");
        damage_field(store, &keys[i],
                     sub_page + offsetof(page_header_t, flags), "flags");
        damage_field(store, &keys[i],
                     sub_page + offsetof(page_header_t, lower), "lower");
        damage_field(store, &keys[i],
                     sub_page + offsetof(page_header_t, upper), "upper");
    }

    return n;
}


static void
damage(int in_writer)
{
    char         path[4300], file[4400];
    store_t      store;
    unsigned     i, n;

    (void) snprintf(path, sizeof(path), "%s", in_dir("damage-%d", in_writer));
    (void) snprintf(file, sizeof(file), "%s/" EXPORTS_DATA_FILE, path);

    store.env = new_store(path);
    store.writer = NULL;
    make_store(store.env);
    guard_install(store.env);

    store.fd = open(file, O_WRONLY);
    must(store.fd != -1, "opening: %s", strerror(errno));

    store.reader = open_reader(store.env);
    renew_reader(store.reader);
    load(&store);
    find_map(&store);
    exports_reader_reset(store.reader);

    if (in_writer) {
        exports_reader_close(store.reader);
        store.writer = begin_writer(store.env);
        store.reader = exports_writer_reader(store.writer);
        touch_keys(store.reader->txn, store.env);

    } else {
        renew_reader(store.reader);
    }

    for (i = 0; i < nkeys; i++) {
        check(read_all(&store, &keys[i]) == EXPORTS_OK, "%u values",
              keys[i].n);
    }

    refused = 0;
    unharmed = 0;
    n = damage_keys(&store);

    checked("damage to nodes %s: the list as it was, or none",
            in_writer ? "of a writer" : "in the file");
    note("%u pages in nodes, %u lists refused, %u unharmed", n, refused,
         unharmed);
    ok(n > 10 && refused > 500, "there were pages in nodes");

    for (i = 0; i < nkeys; i++) {
        check(read_all(&store, &keys[i]) == EXPORTS_OK, "%u values",
              keys[i].n);
    }

    checked("and all is as it was");

    if (in_writer) {
        exports_writer_abort(store.writer);

    } else {
        exports_reader_close(store.reader);
        ok(store_faults(store.env) == 0, "and sound");
    }

    exports_env_close(store.env);
    (void) close(store.fd);
}


/* a leaf that claims to be in a node: nothing is read before a writer's page */

static void
claim(void)
{
    MDB_val           k, v;
    store_t           store;
    uint16_t          flags;
    unsigned          i;
    uint8_t          *at;
    MDB_cursor       *cursor;
    exports_source_t  source;

    store.env = new_store(in_dir("claim"));
    make_store(store.env);
    guard_install(store.env);

    store.reader = open_reader(store.env);
    renew_reader(store.reader);
    load(&store);
    exports_reader_close(store.reader);

    store.writer = begin_writer(store.env);
    store.reader = exports_writer_reader(store.writer);
    touch_keys(store.reader->txn, store.env);

    for (i = 0; i < nkeys; i++) {
        if (keys[i].db != DB_FACETS || keys[i].n < 140) {
            continue;
        }

        k.mv_data = keys[i].key;
        k.mv_size = keys[i].len;

        must(mdb_cursor_open(store.reader->txn, store.env->dbi[DB_FACETS],
                             &cursor) == 0
             && mdb_cursor_get(cursor, &k, &v, MDB_SET) == 0
             && mdb_cursor_get(cursor, &k, &v, MDB_GET_MULTIPLE) == 0,
             "a leaf");
        mdb_cursor_close(cursor);

        at = (uint8_t *) v.mv_data - PAGE_HEADER
             + offsetof(page_header_t, flags);
        memcpy(&flags, at, sizeof(flags));
        flags |= SUBPAGE_FLAG;
        memcpy(at, &flags, sizeof(flags));

        memset(&source, 0, sizeof(source));
        must(exports_reader_cursor(store.reader, DB_FACETS, &source.cursor)
             == EXPORTS_OK, "a cursor");

        check(read_run(&source, &keys[i], 0) == EXPORTS_CORRUPT, "%u values",
              keys[i].n);
        mdb_cursor_close(source.cursor);
    }

    checked("leaves that claim to be in a node");

    exports_writer_abort(store.writer);
    exports_env_close(store.env);
}


/* what sound stores hold, also between changes */

#define NMODELS  12

typedef struct {
    exports_facet_t  list;
    unsigned         most;
    uint8_t          has[NENTRIES];
} model_t;


static void
make_entry(uint8_t *entry, unsigned i)
{
    exports_put64(entry, TEST_TIME + i);
    exports_put64(entry + 8, i % 3 ? 0x0102030405060708 + i * 2ULL * 5
                                   : 0x0102030405060700);
}


static void
change_model(exports_writer_t *w, model_t *model)
{
    int           add;
    uint8_t       entry[EXPORTS_ENTRY_LEN];
    unsigned      i, n;
    exports_rc_t  rc;

    if (chance(20)) {
        model->most = 1 + below(chance(70) ? 100 : NENTRIES);
    }

    for (n = below(chance(50) ? 4 : 150); n > 0; n--) {
        i = below(NENTRIES);
        add = i < model->most && chance(70);

        make_entry(entry, i);
        model->has[i] = (uint8_t) add;

        rc = exports_writer_list(w, model->list.bytes, model->list.len, entry,
                                 add, NULL);
        must(rc == EXPORTS_OK, "changing: %s", rc_name(rc));
    }
}


static exports_rc_t
unexpected(void *data, exports_rank_fault_t type, const uint8_t *key,
    size_t len, const char *text)
{
    (void) data;
    (void) type;
    (void) key;
    (void) len;

    check(0, "%s", text);

    return EXPORTS_OK;
}


static void
check_model(exports_reader_t *reader, const model_t *model)
{
    unsigned          i;
    exports_rc_t      rc;
    static values_t   values;

    values.db = DB_FACETS;
    values.size = EXPORTS_ENTRY_LEN;
    values.len = model->list.len;
    memcpy(values.key, model->list.bytes, values.len);
    values.n = 0;

    for (i = 0; i < NENTRIES; i++) {
        if (model->has[i]) {
            make_entry(values.values[values.n++], i);
        }
    }

    if (values.n == 0) {
        return;
    }

    rc = read_runs(reader, &values);
    check(rc == EXPORTS_OK, "%u values: %s", values.n, rc_name(rc));

    rc = read_list(reader, &values);
    check(rc == EXPORTS_OK, "a list of %u: %s", values.n, rc_name(rc));
}


static void
check_models(exports_reader_t *reader, const model_t *models)
{
    unsigned      i;
    exports_rc_t  rc;

    for (i = 0; i < NMODELS; i++) {
        check_model(reader, &models[i]);
    }

    rc = exports_verify_nodes(reader);
    check(rc == EXPORTS_OK, "the nodes: %s", rc_name(rc));

    rc = exports_verify_ranks(reader, unexpected, NULL);
    check(rc == EXPORTS_OK, "the blocks: %s", rc_name(rc));
}


static void
property(void)
{
    unsigned           i, n, steps;
    exports_env_t     *env;
    exports_facets_t   values;
    exports_reader_t  *reader;
    exports_writer_t  *w;
    static model_t     models[NMODELS], saved[NMODELS];

    memset(&values, 0, sizeof(values));

    for (i = 0; i < NMODELS; i++) {
        must(exports_hash(values.type, type_name(i), strlen(type_name(i)))
             == 0, "SHA-256");
        exports_facet_key(&models[i].list, 1, EXPORTS_FACET_TYPE, &values);
        models[i].most = 1 + below(100);
    }

    env = new_store(in_dir("property"));
    reader = open_reader(env);

    for (n = 0; n < rounds(150, 40); n++) {
        w = begin_writer(env);
        memcpy(saved, models, sizeof(models));

        for (steps = 1 + below(3); steps > 0; steps--) {
            for (i = 0; i < NMODELS; i++) {
                change_model(w, &models[i]);
            }

            check_models(exports_writer_reader(w), models);
        }

        if (chance(20)) {
            exports_writer_abort(w);
            memcpy(models, saved, sizeof(models));

        } else {
            commit_writer(w);
        }

        renew_reader(reader);
        check_models(reader, models);
        exports_reader_reset(reader);
    }

    checked("sound lists, also those of a writer before its commit");

    exports_reader_close(reader);
    exports_env_close(env);
}


int
main(void)
{
    random_seed();

    property();
    damage(0);
    damage(1);
    claim();

    return done_testing();
}
