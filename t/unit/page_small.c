
/*
 * exports_page.c with small stores, made by hand: limits; lists, blocks and
 * records that are damaged, missing, or another's.
 */

#include "fixture.h"

#include "exports_mdb_layout.h"


static exports_page_t  page;


static void
put_some(exports_env_t *env, exports_kind_t kind, const char *name,
    unsigned count)
{
    char               id[32];
    spec_t             spec;
    unsigned           i;
    exports_rc_t       rc;
    exports_error_t    error;
    exports_writer_t  *w;

    memset(&spec, 0, sizeof(spec));
    spec.kind = kind;
    spec.scope = name;
    spec.id = id;
    spec.type = "contacts";
    spec.status = "ready";

    w = begin_writer(env);

    for (i = 0; i < count; i++) {
        (void) snprintf(id, sizeof(id),
                        kind == EXPORTS_PROJECT ? "exp_%s-%u" : "%s-%u",
                        name, i);
        spec.created = TEST_TIME + i;
        rc = put_spec(w, &spec, NULL, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }

    commit_writer(w);
}


/* one list by its facet, its status "ready" */

static exports_rc_t
read_list(exports_reader_t *reader, exports_kind_t kind, uint64_t scope,
    unsigned facet, uint64_t offset, unsigned limit)
{
    exports_facet_t        list;
    exports_facets_t       values;
    exports_page_query_t   q;

    memset(&values, 0, sizeof(values));
    values.status = EXPORTS_STATUS_READY;
    must(exports_hash(values.type, "contacts", 8) == 0, "SHA-256");

    exports_facet_key(&list, scope, facet, &values);

    memset(&q, 0, sizeof(q));
    q.scope = scope;
    q.kind = kind;
    q.lists = &list;
    q.nlists = 1;
    q.offset = offset;
    q.limit = limit;

    memset(&page, 0xee, sizeof(page));

    return exports_page_read(reader, &q, &page);
}


static void
edges(void)
{
    uint64_t              id;
    exports_rc_t          rc;
    exports_env_t        *env;
    exports_reader_t     *reader;
    exports_page_query_t  bad = { 1, EXPORTS_PROJECT, NULL, 0, 0, 1, NULL };

    env = new_store(in_dir("edges"));
    reader = open_reader(env);

    renew_reader(reader);
    rc = read_list(reader, EXPORTS_PROJECT, 1, EXPORTS_FACET_ALL, 0, 50);
    ok(rc == EXPORTS_OK && page.total == 0 && page.nitems == 0,
       "a store without a scope: an empty page");
    exports_reader_reset(reader);

    put_some(env, EXPORTS_PROJECT, "a", 3);
    put_some(env, EXPORTS_USER, "b", 1);

    id = stored_scope(env, EXPORTS_PROJECT, "a").id;
    renew_reader(reader);

    rc = read_list(reader, EXPORTS_PROJECT, id, EXPORTS_FACET_ALL, 0, 50);
    ok(rc == EXPORTS_OK && page.total == 3 && page.nitems == 3
       && memcmp(page.items[0].id.data, "exp_a-2", 7) == 0, "all of a scope");
    is_int(page.items[0].flags, EXPORTS_RECORD_LINK, "flags of an item");
    is_int(page.items[0].export_kind, EXPORTS_TABLE_EXPORT,
           "kind of an item");

    rc = read_list(reader, EXPORTS_PROJECT, id + 7, EXPORTS_FACET_ALL, 0, 50);
    ok(rc == EXPORTS_OK && page.total == 0 && page.nitems == 0,
       "a scope that does not exist: an empty page");

    rc = read_list(reader, EXPORTS_PROJECT, id, EXPORTS_FACET_STATUS, 0, 0);
    ok(rc == EXPORTS_OK && page.total == 3 && page.nitems == 0,
       "limit 0: the total alone");

    rc = read_list(reader, EXPORTS_PROJECT, id, EXPORTS_FACET_STATUS,
                   UINT64_MAX, EXPORTS_PAGE_MAX);
    ok(rc == EXPORTS_OK && page.total == 3 && page.nitems == 0,
       "the greatest offset");

    rc = read_list(reader, EXPORTS_USER,
                   stored_scope(env, EXPORTS_USER, "b").id,
                   EXPORTS_FACET_STATUS|EXPORTS_FACET_TYPE, 0, 25);
    ok(rc == EXPORTS_OK && page.total == 1 && page.nitems == 1
       && page.items[0].kind == EXPORTS_USER, "a list of one manifest");

    rc = read_list(reader, EXPORTS_USER, id, EXPORTS_FACET_ALL, 0, 50);
    is_int(rc, EXPORTS_CORRUPT, "items of another kind are refused");
    is_int(exports_get64(page.bad_key), (long long) id,
           "with the key of the first");

    bad.nlists = 0;
    is_int(exports_page_read(reader, &bad, &page), EXPORTS_INVALID,
           "no lists");
    bad.nlists = EXPORTS_LISTS_MAX + 1;
    is_int(exports_page_read(reader, &bad, &page), EXPORTS_INVALID,
           "too many lists");
    bad.nlists = 1;
    bad.limit = EXPORTS_PAGE_MAX + 1;
    is_int(exports_page_read(reader, &bad, &page), EXPORTS_INVALID,
           "too many items");

    exports_reader_close(reader);
    exports_env_close(env);
}


/* a list of a user's, of a type, held against the counts of the scope */

static exports_rc_t
read_held(exports_env_t *env, unsigned facet, const char *type,
    unsigned offset)
{
    exports_rc_t           rc;
    exports_facet_t        list;
    exports_scope_t        scope;
    exports_facets_t       values;
    exports_reader_t      *reader;
    exports_page_query_t   q;

    scope = stored_scope(env, EXPORTS_USER, "u");

    memset(&values, 0, sizeof(values));
    values.status = EXPORTS_STATUS_READY;
    must(exports_hash(values.type, type, strlen(type)) == 0, "SHA-256");
    exports_facet_key(&list, scope.id, facet, &values);

    memset(&q, 0, sizeof(q));
    q.scope = scope.id;
    q.kind = EXPORTS_USER;
    q.lists = &list;
    q.nlists = 1;
    q.offset = offset;
    q.limit = 10;
    q.counts = scope.counts;

    reader = open_reader(env);
    renew_reader(reader);
    rc = exports_page_read(reader, &q, &page);
    exports_reader_close(reader);

    return rc;
}


/* add: one that is not in the lists; else one is taken out, or all are */

static void
change_list(exports_env_t *env, unsigned facet, const uint8_t *entry, int add)
{
    MDB_txn           *txn;
    exports_facet_t    list;
    exports_facets_t   values;

    memset(&values, 0, sizeof(values));
    values.status = EXPORTS_STATUS_READY;
    must(exports_hash(values.type, "contacts", 8) == 0, "SHA-256");
    exports_facet_key(&list, stored_scope(env, EXPORTS_USER, "u").id, facet,
                      &values);

    txn = raw_begin(env);

    if (add) {
        raw_put(txn, env->dbi[DB_FACETS], list.bytes, list.len, entry,
                EXPORTS_ENTRY_LEN);
    } else {
        raw_del(txn, env->dbi[DB_FACETS], list.bytes, list.len, entry,
                EXPORTS_ENTRY_LEN);
    }

    raw_commit(txn);
}


/*
 * A list that lacks entries, or has too many.  What is not noticed: a list by
 * type that has lost some, while the list of all has not.
 */

static void
lengths(void)
{
    uint8_t         key[EXPORTS_MANIFEST_KEY_LEN], none[EXPORTS_ENTRY_LEN];
    unsigned        facet, n;
    exports_env_t  *env;

    memset(none, 0, sizeof(none));

    for (n = 0; n < 4; n++) {
        env = new_store(in_dir("lengths-%u", n));
        put_some(env, EXPORTS_PROJECT, "before", 3);
        put_some(env, EXPORTS_USER, "u", 5);
        put_some(env, EXPORTS_USER, "behind", 3);
        stored_key(env, EXPORTS_USER, "u", "u-2", key);

        for (facet = 0; facet <= EXPORTS_FACET_TYPE; facet++) {
            check(read_held(env, facet, "contacts", 0) == EXPORTS_OK
                  && page.total == 5 && page.nitems == 5, "facet %u", facet);
        }

        check(read_held(env, EXPORTS_FACET_TYPE, "orders", 0) == EXPORTS_OK
              && page.total == 0, "another type");

        for (facet = 0; facet <= EXPORTS_FACET_TYPE; facet++) {

            switch (n) {

            case 0:
                change_list(env, facet, NULL, 0);
                break;

            case 1:
                change_list(env, facet, key + 8, 0);
                break;

            case 2:
                change_list(env, facet, none, 1);
                break;

            default:
                break;
            }

            check(read_held(env, facet, "contacts", 0)
                  == ((n == 1 && facet == EXPORTS_FACET_TYPE) || n == 3
                      ? EXPORTS_OK : EXPORTS_CORRUPT),
                  "case %u, facet %u", n, facet);

            check(read_held(env, facet, "contacts", 50)
                  == ((n == 1 && facet == EXPORTS_FACET_TYPE) || n == 3
                      ? EXPORTS_OK : EXPORTS_CORRUPT),
                  "case %u, facet %u, behind its end", n, facet);
        }

        check(read_held(env, EXPORTS_FACET_TYPE, "orders", 0)
              == (n == 3 ? EXPORTS_OK : EXPORTS_CORRUPT),
              "case %u, an empty list", n);

        exports_env_close(env);
    }

    checked("lists are held against the counts of their scope");

    /* what a type has is not counted, an empty list of all shows */

    env = new_store(in_dir("lengths"));
    put_some(env, EXPORTS_USER, "u", 5);
    change_list(env, EXPORTS_FACET_TYPE, NULL, 0);
    ok(read_held(env, EXPORTS_FACET_TYPE, "contacts", 0) == EXPORTS_OK
       && page.total == 0, "a list by type that is emptied alone");
    change_list(env, EXPORTS_FACET_ALL, NULL, 0);
    is_int(read_held(env, EXPORTS_FACET_TYPE, "contacts", 0), EXPORTS_CORRUPT,
           "and with the list of all");
    exports_env_close(env);
}


/* a page reports what it meets, and only what it meets */

static void
damage(void)
{
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    uint64_t           p, u;
    MDB_txn           *txn;
    unsigned           i;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_reader_t  *reader;

    env = new_store(in_dir("damage"));

    put_some(env, EXPORTS_USER, "first", 5);
    put_some(env, EXPORTS_PROJECT, "a", 10);
    put_some(env, EXPORTS_USER, "last", 5);

    p = stored_scope(env, EXPORTS_PROJECT, "a").id;
    u = stored_scope(env, EXPORTS_USER, "last").id;

    stored_key(env, EXPORTS_PROJECT, "a", "exp_a-4", key);
    raw_flip(env, DB_MANIFESTS, key, sizeof(key), 60);

    reader = open_reader(env);
    renew_reader(reader);

    for (i = 0; i < 2; i++) {
        rc = read_list(reader, EXPORTS_PROJECT, p, i, 0, 10);
        is_int(rc, EXPORTS_CORRUPT, "facet %u, a damaged record", i);
        is_mem(page.bad_key, 24, key, 24, "facet %u, its key", i);

        rc = read_list(reader, EXPORTS_PROJECT, p, i, 0, 5);
        ok(rc == EXPORTS_OK && page.nitems == 5, "facet %u, the pages before",
           i);

        rc = read_list(reader, EXPORTS_PROJECT, p, i, 6, 10);
        ok(rc == EXPORTS_OK && page.nitems == 4, "facet %u, the pages after",
           i);
    }

    exports_reader_reset(reader);

    /* the record is gone, but not its entries */

    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_MANIFESTS], key, sizeof(key), NULL, 0);
    raw_commit(txn);

    renew_reader(reader);

    rc = read_list(reader, EXPORTS_PROJECT, p, EXPORTS_FACET_ALL, 0, 10);
    is_int(rc, EXPORTS_CORRUPT, "a scan finds less than the list promised");
    is_mem(page.bad_key, 24, key, 24, "the key of what is gone");

    rc = read_list(reader, EXPORTS_PROJECT, p, EXPORTS_FACET_ALL, 5, 1);
    is_int(rc, EXPORTS_CORRUPT, "a scan that begins at nothing");
    is_mem(page.bad_key, 24, key, 24, "its key");

    exports_reader_reset(reader);

    /* by lists */

    stored_key(env, EXPORTS_USER, "last", "last-2", key);

    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_MANIFESTS], key, sizeof(key), NULL, 0);
    raw_commit(txn);

    renew_reader(reader);

    rc = read_list(reader, EXPORTS_USER, u, EXPORTS_FACET_TYPE, 0, 5);
    is_int(rc, EXPORTS_CORRUPT, "an entry that leads nowhere");
    is_mem(page.bad_key, 24, key, 24, "its key");

    rc = read_list(reader, EXPORTS_USER, u, EXPORTS_FACET_TYPE, 0, 2);
    ok(rc == EXPORTS_OK && page.nitems == 2, "the page before it");

    exports_reader_reset(reader);

    /* the oldest of the first scope: the scan runs into the end */

    u = stored_scope(env, EXPORTS_USER, "first").id;
    stored_key(env, EXPORTS_USER, "first", "first-0", key);

    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_MANIFESTS], key, sizeof(key), NULL, 0);
    raw_commit(txn);

    renew_reader(reader);

    rc = read_list(reader, EXPORTS_USER, u, EXPORTS_FACET_ALL, 0, 5);
    is_int(rc, EXPORTS_CORRUPT, "a scan to the very beginning");
    is_mem(page.bad_key, 24, key, 24, "the key of what is gone");

    exports_reader_close(reader);
    exports_env_close(env);
}


/* a record as it would be after a change of status that no list knows of */

static void
claim_ready(exports_env_t *env, const uint8_t *key)
{
    size_t    len;
    MDB_txn  *txn;
    uint8_t   record[EXPORTS_RECORD_MAX];

    txn = raw_begin(env);

    len = raw_get(txn, env->dbi[DB_MANIFESTS], key, EXPORTS_MANIFEST_KEY_LEN,
                  record, sizeof(record));
    must(len > 17 && record[17] == EXPORTS_STATUS_NOT_FOUND, "a record");

    record[17] = EXPORTS_STATUS_READY;
    exports_record_seal(record, len, key);
    raw_put(txn, env->dbi[DB_MANIFESTS], key, EXPORTS_MANIFEST_KEY_LEN,
            record, len);

    raw_commit(txn);
}


/*
 * Which way a page is read, told by a record that should be in the list: a scan
 * does not pass it by; a search does not come there.
 */

static void
ways(void)
{
    char               id[32];
    spec_t             spec;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    uint64_t           scope;
    unsigned           i;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;
    exports_reader_t  *reader;

    env = new_store(in_dir("ways"));

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_PROJECT;
    spec.scope = "a";
    spec.id = id;
    spec.type = "contacts";

    w = begin_writer(env);

    for (i = 0; i < 200; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        spec.created = TEST_TIME + i;
        spec.status = i < 100 || i == 199 ? "ready" : "not_found";
        must(put_spec(w, &spec, NULL, NULL) == EXPORTS_OK, "put");
    }

    commit_writer(w);

    scope = stored_scope(env, EXPORTS_PROJECT, "a").id;
    reader = open_reader(env);

    stored_key(env, EXPORTS_PROJECT, "a", "exp_140", key);
    claim_ready(env, key);

    renew_reader(reader);
    rc = read_list(reader, EXPORTS_PROJECT, scope, EXPORTS_FACET_STATUS, 0,
                   10);
    ok(rc == EXPORTS_OK && page.nitems == 10,
       "one that claims to be ready behind 58 misses: nobody comes by");
    exports_reader_reset(reader);

    stored_key(env, EXPORTS_PROJECT, "a", "exp_191", key);
    raw_flip(env, DB_MANIFESTS, key, sizeof(key), 60);

    renew_reader(reader);
    rc = read_list(reader, EXPORTS_PROJECT, scope, EXPORTS_FACET_STATUS, 0,
                   10);
    ok(rc == EXPORTS_OK && page.nitems == 10,
       "a damaged record behind 7 misses, of another status: passed by");
    exports_reader_reset(reader);

    stored_key(env, EXPORTS_PROJECT, "a", "exp_190", key);
    claim_ready(env, key);

    renew_reader(reader);
    rc = read_list(reader, EXPORTS_PROJECT, scope, EXPORTS_FACET_STATUS, 0,
                   10);
    is_int(rc, EXPORTS_CORRUPT,
           "one that claims to be ready behind 8 misses: the list lacks it");
    is_mem(page.bad_key, 24, key, 24, "its key");

    exports_reader_close(reader);
    exports_env_close(env);
}


/*
 * A tree that has lost something in the middle of a page is as sound as any:
 * what is left follows in order.  By a damaged page that happens; here the
 * record, or the entry, of one manifest is taken out.
 */

static void
gap(const char *name, unsigned facet, int entry)
{
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    MDB_txn           *txn;
    uint64_t           scope;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_facet_t    list;
    exports_facets_t   values;
    exports_reader_t  *reader;

    env = new_store(in_dir("%s", name));
    put_some(env, EXPORTS_PROJECT, "a", 100);

    scope = stored_scope(env, EXPORTS_PROJECT, "a").id;
    stored_key(env, EXPORTS_PROJECT, "a", "exp_a-95", key);

    txn = raw_begin(env);

    if (entry) {
        values.status = EXPORTS_STATUS_READY;
        exports_facet_key(&list, scope, facet, &values);
        raw_del(txn, env->dbi[DB_FACETS], list.bytes, list.len, key + 8,
                EXPORTS_ENTRY_LEN);

    } else {
        raw_del(txn, env->dbi[DB_MANIFESTS], key, sizeof(key), NULL, 0);
    }

    raw_commit(txn);

    reader = open_reader(env);
    renew_reader(reader);

    rc = read_list(reader, EXPORTS_PROJECT, scope, facet, 0, 4);
    ok(rc == EXPORTS_OK && page.nitems == 4, "%s: the page before", name);

    rc = read_list(reader, EXPORTS_PROJECT, scope, facet, 0, 10);
    is_int(rc, EXPORTS_CORRUPT, "%s: noticed", name);
    is_mem(page.bad_key, 24, key, 24, "%s: the key", name);

    exports_reader_close(reader);
    exports_env_close(env);
}


/* an entry in a list of a status that the record does not have */

static void
foreign_entry(void)
{
    uint8_t             key[EXPORTS_MANIFEST_KEY_LEN];
    uint64_t            id;
    MDB_txn            *txn;
    exports_rc_t        rc;
    exports_env_t      *env;
    exports_facet_t     list;
    exports_facets_t    values;
    exports_reader_t   *reader;

    env = new_store(in_dir("foreign"));
    put_some(env, EXPORTS_USER, "a", 3);

    id = stored_scope(env, EXPORTS_USER, "a").id;
    stored_key(env, EXPORTS_USER, "a", "a-1", key);

    memset(&values, 0, sizeof(values));
    values.status = EXPORTS_STATUS_FAILED;
    must(exports_hash(values.type, "contacts", 8) == 0, "SHA-256");
    exports_facet_key(&list, id, EXPORTS_FACET_STATUS|EXPORTS_FACET_TYPE,
                      &values);

    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_FACETS], list.bytes, list.len, key + 8,
            EXPORTS_ENTRY_LEN);
    raw_commit(txn);

    reader = open_reader(env);
    renew_reader(reader);

    {
        exports_page_query_t  q = {
            .scope = id, .kind = EXPORTS_USER, .lists = &list, .nlists = 1,
            .limit = 25
        };

        rc = exports_page_read(reader, &q, &page);
    }

    is_int(rc, EXPORTS_CORRUPT, "a record under another status is refused");
    is_mem(page.bad_key, 24, key, 24, "its key");

    exports_reader_close(reader);
    exports_env_close(env);
}


/*
 * Lists that hold each other's entries, of as many manifests: the first kind of
 * them, and others that differ from it in some fields.
 */

#define NEACH  3

typedef struct {
    const char  *status;
    const char  *type;
    const char  *subject_type;
    long long    subject_id;
    unsigned     differs;           /* EXPORTS_FACET_* bits */
} variant_t;

#define SUBJECT  (EXPORTS_FACET_SUBJECT_TYPE|EXPORTS_FACET_SUBJECT_ID)

static const variant_t  variants[] = {
    { "ready", "contacts", "account", 1, 0 },
    { "failed", "contacts", "account", 1, EXPORTS_FACET_STATUS },
    { "ready", "orders", "account", 1, EXPORTS_FACET_TYPE },
    { "ready", "contact", "account", 1, EXPORTS_FACET_TYPE },
    { "ready", "contacts", "person", 1, EXPORTS_FACET_SUBJECT_TYPE },
    { "ready", "contacts", "contacts", 1, EXPORTS_FACET_SUBJECT_TYPE },
    { "ready", "contacts", "account", -1, EXPORTS_FACET_SUBJECT_ID },
    { "ready", "account", "contacts", 1,
      EXPORTS_FACET_TYPE|EXPORTS_FACET_SUBJECT_TYPE },
    { "ready", "contacts", NULL, 0, SUBJECT },
};

#define NVARIANTS  (sizeof(variants) / sizeof(variants[0]))


static const char *
variant_id(size_t v, unsigned i)
{
    static char  id[32];

    (void) snprintf(id, sizeof(id), "v%zu-%u", v, i);

    return id;
}


static void
put_variants(exports_env_t *env)
{
    size_t             v;
    spec_t             spec;
    unsigned           i;
    exports_writer_t  *w;

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_USER;
    spec.scope = "u";

    w = begin_writer(env);

    for (v = 0; v < NVARIANTS; v++) {
        spec.status = variants[v].status;
        spec.type = variants[v].type;
        spec.subject_type = variants[v].subject_type;
        spec.subject_id = variants[v].subject_id;

        for (i = 0; i < NEACH; i++) {
            spec.id = variant_id(v, i);
            spec.created = TEST_TIME + NVARIANTS * i + v;
            must(put_spec(w, &spec, NULL, NULL) == EXPORTS_OK, "put");
        }
    }

    commit_writer(w);
}


static int
has_list(unsigned facet, size_t v)
{
    return variants[v].subject_type != NULL || (facet & SUBJECT) == 0;
}


/* the list of a facet that a variant is in, if it has one */

static void
variant_list(exports_facet_t *list, uint64_t scope, unsigned facet, size_t v)
{
    exports_facets_t   values;
    const variant_t   *variant;

    variant = &variants[v];

    memset(&values, 0, sizeof(values));
    values.status = (uint8_t) exports_status_parse(EXPORTS_USER,
                                                   variant->status,
                                                   strlen(variant->status));
    values.subject_id = variant->subject_id;
    must(exports_hash(values.type, variant->type, strlen(variant->type)) == 0
         && (variant->subject_type == NULL
             || exports_hash(values.subject_type, variant->subject_type,
                             strlen(variant->subject_type)) == 0), "SHA-256");

    exports_facet_key(list, scope, facet, &values);
}


/* those of a variant and no others */

static void
set_list(MDB_txn *txn, exports_env_t *env, const exports_facet_t *list,
    size_t v, const uint8_t (*keys)[EXPORTS_MANIFEST_KEY_LEN])
{
    unsigned  i;

    raw_del(txn, env->dbi[DB_FACETS], list->bytes, list->len, NULL, 0);

    for (i = 0; i < NEACH; i++) {
        raw_put(txn, env->dbi[DB_FACETS], list->bytes, list->len,
                keys[v * NEACH + i] + 8, EXPORTS_ENTRY_LEN);
    }
}


static exports_rc_t
read_lists(exports_env_t *env, uint64_t scope, const exports_facet_t *lists,
    unsigned nlists)
{
    exports_rc_t           rc;
    exports_reader_t      *reader;
    exports_page_query_t   q;

    memset(&q, 0, sizeof(q));
    q.scope = scope;
    q.kind = EXPORTS_USER;
    q.lists = lists;
    q.nlists = nlists;
    q.limit = 100;

    reader = open_reader(env);
    renew_reader(reader);
    rc = exports_page_read(reader, &q, &page);
    exports_reader_close(reader);

    return rc;
}


static void
check_exchange(exports_env_t *env, uint64_t scope, unsigned facet, size_t v,
    const uint8_t (*keys)[EXPORTS_MANIFEST_KEY_LEN])
{
    int               both;
    MDB_txn          *txn;
    unsigned          n;
    const uint8_t    *newest;
    exports_facet_t   lists[2];

    both = has_list(facet, v);
    variant_list(&lists[0], scope, facet, 0);
    variant_list(&lists[1], scope, facet, v);

    txn = raw_begin(env);
    set_list(txn, env, &lists[0], v, keys);

    if (both) {
        set_list(txn, env, &lists[1], 0, keys);
    }

    raw_commit(txn);

    for (n = 0; n < 3; n++) {

        if (n > 0 && !both) {
            break;
        }

        /* of a union, the newer one's of the newest */

        newest = keys[(n == 1 ? 0 : v) * NEACH + NEACH - 1];

        check(read_lists(env, scope, &lists[n % 2], n == 2 ? 2 : 1)
              == EXPORTS_CORRUPT
              && memcmp(page.bad_key, newest, EXPORTS_MANIFEST_KEY_LEN) == 0,
              "facet %x, variant %zu, case %u: %u items", facet, v, n,
              page.nitems);
    }

    txn = raw_begin(env);
    set_list(txn, env, &lists[0], 0, keys);

    if (both) {
        set_list(txn, env, &lists[1], v, keys);
    }

    raw_commit(txn);
}


static void
exchanged(void)
{
    size_t           v;
    uint64_t         id;
    unsigned         i, facet;
    exports_env_t   *env;
    exports_facet_t  lists[2];
    static uint8_t   keys[NVARIANTS * NEACH][EXPORTS_MANIFEST_KEY_LEN];

    env = new_store(in_dir("exchanged"));
    put_variants(env);
    id = stored_scope(env, EXPORTS_USER, "u").id;

    for (v = 0; v < NVARIANTS; v++) {
        for (i = 0; i < NEACH; i++) {
            stored_key(env, EXPORTS_USER, "u", variant_id(v, i),
                       keys[v * NEACH + i]);
        }
    }

    /* lists by status alone are scanned, and must have all of it */

    for (facet = EXPORTS_FACET_TYPE; facet <= EXPORTS_FACET_MASK; facet++) {
        for (v = 1; v < NVARIANTS; v++) {
            if ((facet & variants[v].differs) == 0) {
                continue;
            }

            check_exchange(env, id, facet, v,
                           (const uint8_t (*)[EXPORTS_MANIFEST_KEY_LEN])
                           keys);

            variant_list(&lists[0], id, facet, 0);
            variant_list(&lists[1], id, facet, v);

            check(read_lists(env, id, lists, 1) == EXPORTS_OK
                  && page.nitems == NEACH, "facet %x, variant %zu: its own",
                  facet, v);

            if (has_list(facet, v)) {
                check(read_lists(env, id, lists, 2) == EXPORTS_OK
                      && page.nitems == 2 * NEACH,
                      "facet %x, variant %zu: both", facet, v);
            }
        }
    }

    checked("lists that hold each other's entries are refused, and no others");
    exports_env_close(env);
}


int
main(void)
{
    random_seed();

    edges();
    lengths();
    damage();
    ways();
    gap("no-record", EXPORTS_FACET_ALL, 0);
    gap("no-record-status", EXPORTS_FACET_STATUS, 0);
    gap("no-entry", EXPORTS_FACET_ALL, 1);
    gap("no-entry-status", EXPORTS_FACET_STATUS, 1);
    foreign_entry();
    exchanged();

    return done_testing();
}
