
/*
 * exports_read.c: snapshots, point reads.
 */

#include "fixture.h"

#include <pthread.h>


static exports_error_t  error;


static exports_rc_t
read_scope(exports_reader_t *reader, exports_kind_t kind, const char *name)
{
    exports_scope_t  scope;

    return exports_read_scope(reader, kind, name, strlen(name), &scope);
}


static exports_rc_t
read_manifest(exports_reader_t *reader, exports_kind_t kind, uint64_t scope,
    const char *id)
{
    uint8_t           key[EXPORTS_MANIFEST_KEY_LEN];
    exports_record_t  record;

    return exports_read_manifest(reader, kind, scope, id, strlen(id), key,
                                 &record);
}


static void
points(void)
{
    char               name[400];
    spec_t             spec;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    uint64_t           alpha, beta;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_scope_t    scope;
    exports_token_t    token;
    exports_record_t   record;
    exports_reader_t  *reader;

    memset(name, 'a', sizeof(name));

    env = new_store(in_dir("points"));
    reader = open_reader(env);
    renew_reader(reader);

    is_int(read_scope(reader, EXPORTS_PROJECT, "alpha"), EXPORTS_NOT_FOUND,
           "an empty store: no scope");
    is_int(read_manifest(reader, EXPORTS_PROJECT, 1, "exp_1"),
           EXPORTS_NOT_FOUND, "an empty store: no manifest");
    is_int(exports_read_token(reader, (uint8_t *) name, &token),
           EXPORTS_NOT_FOUND, "an empty store: no token");
    exports_reader_reset(reader);

    spec = project_spec("alpha", "exp_1", TEST_TIME + 5);
    spec.storage_key = "some/where.csv";
    store_spec(env, &spec);
    spec = project_spec("beta", "exp_1", TEST_TIME + 6);
    store_spec(env, &spec);
    spec = project_spec("42", "exp_1", TEST_TIME + 7);
    spec.kind = EXPORTS_USER;
    spec.id = "aaaa-1";
    spec.subject_type = "company";
    spec.subject_id = -7;
    store_spec(env, &spec);

    alpha = stored_scope(env, EXPORTS_PROJECT, "alpha").id;
    beta = stored_scope(env, EXPORTS_PROJECT, "beta").id;

    renew_reader(reader);

    is_mem(exports_reader_lineage(reader), EXPORTS_LINEAGE_LEN,
           exports_env_lineage(env), EXPORTS_LINEAGE_LEN, "the lineage");

    rc = exports_read_scope(reader, EXPORTS_PROJECT, "alpha", 5, &scope);
    ok(rc == EXPORTS_OK && scope.id == alpha && scope.revision > 0,
       "a scope");
    is_int(read_scope(reader, EXPORTS_USER, "alpha"), EXPORTS_NOT_FOUND,
           "a scope of another kind");
    is_int(read_scope(reader, EXPORTS_PROJECT, "alph"), EXPORTS_NOT_FOUND,
           "a prefix of a scope");
    is_int(read_scope(reader, EXPORTS_PROJECT, ""), EXPORTS_NOT_FOUND,
           "an empty name");
    is_int(exports_read_scope(reader, EXPORTS_PROJECT, name, 128, &scope),
           EXPORTS_NOT_FOUND, "the longest name");
    is_int(exports_read_scope(reader, EXPORTS_PROJECT, name, sizeof(name),
                              &scope),
           EXPORTS_NOT_FOUND, "a name too long");

    rc = exports_read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_1", 5, key,
                               &record);
    is_int(rc, EXPORTS_OK, "a project's manifest");
    ok(exports_get64(key) == alpha
       && exports_get64(key + 8) == TEST_TIME + 5, "its key");
    is_mem(record.item.id.data, record.item.id.len, "exp_1", 5, "its id");
    is_mem(record.storage_key.data, record.storage_key.len, "some/where.csv",
           14, "its storage key");
    is_mem(record.storage_backend.data, record.storage_backend.len, "local", 5,
           "its backend");
    is_mem(record.content_type.data, record.content_type.len,
           "text/csv; charset=utf-8", 23, "its content type");
    is_mem(record.name.data, record.name.len, "contacts.csv", 12, "its name");
    is_mem(record.group.data, record.group.len, "contacts", 8, "its table");
    is_int(record.item.status, EXPORTS_STATUS_READY, "its status");

    rc = exports_read_manifest(reader, EXPORTS_USER, 0, "aaaa-1", 6, key,
                               &record);
    ok(rc == EXPORTS_OK && record.item.kind == EXPORTS_USER
       && record.subject_id == -7, "a user's manifest, of any scope");

    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_2"),
           EXPORTS_NOT_FOUND, "an id that is not there");
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha + 7, "exp_1"),
           EXPORTS_NOT_FOUND, "a scope that is not there");
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, ""),
           EXPORTS_NOT_FOUND, "an empty id");
    is_int(read_manifest(reader, EXPORTS_USER, 0, ""),
           EXPORTS_NOT_FOUND, "an empty uuid");
    is_int(exports_read_manifest(reader, EXPORTS_PROJECT, alpha, name, 128,
                                 key, &record),
           EXPORTS_NOT_FOUND, "the longest id");
    is_int(exports_read_manifest(reader, EXPORTS_PROJECT, alpha, name,
                                 sizeof(name), key, &record),
           EXPORTS_NOT_FOUND, "an id too long");

    exports_reader_close(reader);

    is_int(alpha + 1, (long long) beta, "scopes in order");
    exports_env_close(env);
}


static void
damaged(void)
{
    size_t             id_len;
    spec_t             spec;
    uint8_t            a[24], b[24], u[24], id_key[EXPORTS_ID_KEY_MAX];
    uint8_t            value[EXPORTS_ID_VALUE_LEN], key[EXPORTS_SCOPE_KEY_MAX];
    MDB_txn           *txn;
    uint64_t           alpha;
    exports_env_t     *env;
    exports_reader_t  *reader;

    env = new_store(in_dir("damaged"));

    spec = project_spec("alpha", "exp_1", TEST_TIME);
    store_spec(env, &spec);
    spec.id = "exp_2";
    store_spec(env, &spec);
    spec.scope = "beta";
    spec.id = "exp_1";
    store_spec(env, &spec);
    spec.kind = EXPORTS_USER;
    store_spec(env, &(spec_t) { EXPORTS_USER, "42", "exp-1", TEST_TIME,
                                "ready", "t", NULL, 0, 0, NULL });

    alpha = stored_scope(env, EXPORTS_PROJECT, "alpha").id;
    stored_key(env, EXPORTS_PROJECT, "alpha", "exp_2", a);
    stored_key(env, EXPORTS_PROJECT, "beta", "exp_1", b);
    stored_key(env, EXPORTS_USER, "42", "exp-1", u);

    id_len = exports_id_key(id_key, EXPORTS_PROJECT, alpha, "exp_1", 5);
    reader = open_reader(env);

    /* an id that leads to other records, or to none, with a right checksum */

    txn = raw_begin(env);
    exports_id_encode(value, a, id_key, id_len);
    raw_put(txn, env->dbi[DB_IDS], id_key, id_len, value, sizeof(value));
    raw_commit(txn);

    renew_reader(reader);
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_1"),
           EXPORTS_CORRUPT, "an id that leads to another id's record");
    exports_reader_reset(reader);

    txn = raw_begin(env);
    exports_id_encode(value, b, id_key, id_len);
    raw_put(txn, env->dbi[DB_IDS], id_key, id_len, value, sizeof(value));
    raw_commit(txn);

    renew_reader(reader);
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_1"),
           EXPORTS_CORRUPT, "an id that leads to another project's record");
    exports_reader_reset(reader);

    txn = raw_begin(env);
    exports_id_encode(value, u, id_key, id_len);
    raw_put(txn, env->dbi[DB_IDS], id_key, id_len, value, sizeof(value));
    raw_commit(txn);

    renew_reader(reader);
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_1"),
           EXPORTS_CORRUPT, "an id that leads to a user's record");
    exports_reader_reset(reader);

    txn = raw_begin(env);
    a[23] ^= 1;
    exports_id_encode(value, a, id_key, id_len);
    a[23] ^= 1;
    raw_put(txn, env->dbi[DB_IDS], id_key, id_len, value, sizeof(value));
    raw_commit(txn);

    renew_reader(reader);
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_1"),
           EXPORTS_CORRUPT, "an id that leads nowhere");
    exports_reader_reset(reader);

    raw_flip(env, DB_IDS, id_key, id_len, 30);
    renew_reader(reader);
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_1"),
           EXPORTS_CORRUPT, "an id with a wrong checksum");
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_2"),
           EXPORTS_OK, "another is not affected");
    exports_reader_reset(reader);

    raw_flip(env, DB_MANIFESTS, a, sizeof(a), 99);
    renew_reader(reader);
    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_2"),
           EXPORTS_CORRUPT, "a record with a wrong checksum");
    exports_reader_reset(reader);

    raw_flip(env, DB_SCOPES, key,
             exports_scope_key(key, EXPORTS_PROJECT, "alpha", 5), 9);
    renew_reader(reader);
    is_int(read_scope(reader, EXPORTS_PROJECT, "alpha"), EXPORTS_CORRUPT,
           "a scope with a wrong checksum");
    is_int(read_scope(reader, EXPORTS_PROJECT, "beta"), EXPORTS_OK,
           "another is not affected");

    exports_reader_close(reader);
    exports_env_close(env);
}


static void
snapshots(void)
{
    spec_t             spec;
    uint64_t           txnid, id;
    exports_env_t     *env;
    exports_reader_t  *reader, *other;

    env = new_store(in_dir("snapshots"));

    spec = project_spec("alpha", "exp_1", TEST_TIME);
    store_spec(env, &spec);
    id = stored_scope(env, EXPORTS_PROJECT, "alpha").id;

    reader = open_reader(env);
    other = open_reader(env);

    renew_reader(reader);
    txnid = exports_reader_txnid(reader);

    spec.id = "exp_2";
    store_spec(env, &spec);

    renew_reader(other);

    is_int(read_manifest(reader, EXPORTS_PROJECT, id, "exp_2"),
           EXPORTS_NOT_FOUND, "a reader renewed before sees the old state");
    is_int(exports_reader_txnid(reader), (long long) txnid, "of its commit");
    is_int(read_manifest(other, EXPORTS_PROJECT, id, "exp_2"), EXPORTS_OK,
           "one renewed afterwards the new one");
    is_int(exports_reader_txnid(other), (long long) txnid + 1,
           "of the next commit");

    exports_reader_reset(reader);
    exports_reader_reset(reader);
    pass("a reset more than there was to reset");

    renew_reader(reader);
    is_int(read_manifest(reader, EXPORTS_PROJECT, id, "exp_2"), EXPORTS_OK,
           "renewed it sees it");

    exports_reader_reset(reader);
    exports_reader_close(reader);
    exports_reader_close(other);
    exports_env_close(env);
}


/* a process that closes the lock file somewhere loses its locks */

static void
lost_slot(void)
{
    int                fd;
    pid_t              pid;
    spec_t             spec;
    uint64_t           id;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_reader_t  *reader;

    env = new_store(in_dir("slot"));

    spec = project_spec("alpha", "exp_1", TEST_TIME);
    store_spec(env, &spec);
    id = stored_scope(env, EXPORTS_PROJECT, "alpha").id;

    reader = open_reader(env);
    renew_reader(reader);
    exports_reader_reset(reader);

    fd = open(in_dir("slot/lock.mdb"), O_RDWR);
    must(fd != -1 && close(fd) == 0, "open");

    pid = fork_child();

    if (pid == 0) {
        env = open_store(in_dir("slot"), EXPORTS_ENV_WRITE);
        spec.id = "exp_2";
        store_spec(env, &spec);
        exports_env_close(env);
        _exit(0);
    }

    is_int(wait_child(pid), 0, "another process takes the slot for dead");

    rc = exports_reader_renew(reader);
    is_int(rc, EXPORTS_OK, "the reader finds another one");
    is_int(read_manifest(reader, EXPORTS_PROJECT, id, "exp_2"), EXPORTS_OK,
           "and sees what is new");

    exports_reader_close(reader);
    exports_env_close(env);
}


/* what a reader has been handed is not unmapped for another one */

static void
at_work(exports_env_t *env, exports_reader_t *reader, uint64_t alpha)
{
    exports_rc_t       rc;
    exports_reader_t  *second;
    exports_writer_t  *w;

    rc = exports_reader_open(&second, env, &error);
    is_rc(rc, EXPORTS_STALE, &error, "a map too small, a reader at work: "
          "another reader");

    rc = exports_writer_begin(&w, env, &error);
    is_rc(rc, EXPORTS_STALE, &error, "a writer");

    is_int(read_manifest(reader, EXPORTS_PROJECT, alpha, "exp_1499"),
           EXPORTS_OK, "the reader goes on");
    exports_reader_close(reader);

    rc = exports_writer_begin(&w, env, &error);
    is_rc(rc, EXPORTS_OK, &error, "a writer, when no reader is at work");
    exports_writer_abort(w);
}


/* another process makes the file larger than the map of this one */

static void
resized(void)
{
    char                    id[32];
    pid_t                   pid;
    spec_t                  spec;
    uint64_t                alpha;
    unsigned                i, n;
    const char             *path;
    exports_rc_t            rc;
    exports_env_t          *env;
    exports_reader_t       *first, *second;
    exports_writer_t       *w;
    exports_env_stat_t      st;
    exports_env_options_t   options;

    path = in_dir("resized");
    env = new_store(path);
    spec = project_spec("alpha", "exp_0", TEST_TIME);
    store_spec(env, &spec);
    exports_env_close(env);

    memset(&options, 0, sizeof(options));
    options.path = path;
    options.map_size = 64 * 1024;
    options.group = (gid_t) -1;
    options.flags = EXPORTS_ENV_WRITE;

    for (n = 0; n < 5; n++) {
        rc = exports_env_open(&env, &options, &error);
        must(rc == EXPORTS_OK, "%s", error.text);

        alpha = stored_scope(env, EXPORTS_PROJECT, "alpha").id;
        first = n == 0 || n == 3 ? open_reader(env) : NULL;

        if (n == 3) {
            renew_reader(first);
        }

        pid = fork_child();

        if (pid == 0) {
            env = open_store(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_NOMETASYNC);
            w = begin_writer(env);

            for (i = 0; i < 1500; i++) {
                (void) snprintf(id, sizeof(id), "exp_%u", 1500 * n + i);
                spec = project_spec("alpha", id, TEST_TIME + i);
                rc = put_spec(w, &spec, NULL, &error);
                must(rc == EXPORTS_OK, "%s", error.text);
            }

            commit_writer(w);
            exports_env_close(env);
            _exit(0);
        }

        must(wait_child(pid) == 0, "the other process");
        (void) snprintf(id, sizeof(id), "exp_%u", 1500 * n + 1499);

        if (n == 0) {
            rc = exports_reader_renew(first);
            is_int(rc, EXPORTS_OK, "a reader of a map too small is renewed");

            is_int(read_manifest(first, EXPORTS_PROJECT, alpha, id),
                   EXPORTS_OK, "and sees what is new");
            exports_reader_close(first);

        } else if (n == 1) {
            rc = exports_reader_open(&second, env, &error);
            is_rc(rc, EXPORTS_OK, &error, "a reader is opened");
            renew_reader(second);
            is_int(read_manifest(second, EXPORTS_PROJECT, alpha, id),
                   EXPORTS_OK, "and sees what is new");
            exports_reader_close(second);

        } else if (n == 3) {
            at_work(env, first, alpha);

        } else if (n == 4) {
            rc = exports_env_stat(env, &st, &error);
            is_rc(rc, EXPORTS_OK, &error, "what is in it is told");
            is_int(st.entries[DB_MANIFESTS], 1500 * 5 + 1, "up to what is new");

        } else {
            rc = exports_writer_begin(&w, env, &error);
            is_rc(rc, EXPORTS_OK, &error, "a writer of a map too small");
            is_int(read_manifest(exports_writer_reader(w), EXPORTS_PROJECT,
                                 alpha, id),
                   EXPORTS_OK, "and sees what is new");
            spec = project_spec("alpha", "exp_more", TEST_TIME);
            rc = put_spec(w, &spec, NULL, &error);
            must(rc == EXPORTS_OK, "%s", error.text);
            commit_writer(w);
        }

        is_int(store_faults(env), 0, "the store is sound");
        exports_env_close(env);
    }
}


/* threads share an environment, each with a reader of its own */

static exports_env_t  *shared;
static uint64_t        shared_scope;

static void *
read_in_thread(void *data)
{
    unsigned                i, *bad = data;
    exports_rc_t            rc;
    exports_page_t         *page;
    exports_facet_t         list;
    exports_scope_t         scope;
    exports_facets_t        values;
    exports_reader_t       *reader;
    exports_page_query_t    query;

    page = malloc(sizeof(exports_page_t));

    if (page == NULL
        || exports_reader_open(&reader, shared, NULL) != EXPORTS_OK)
    {
        *bad = 1;
        free(page);
        return NULL;
    }

    for (i = 0; i < 2000; i++) {
        memset(&values, 0, sizeof(values));
        values.status = EXPORTS_STATUS_READY;
        exports_facet_key(&list, shared_scope, i % 2, &values);

        memset(&query, 0, sizeof(query));
        query.scope = shared_scope;
        query.kind = EXPORTS_PROJECT;
        query.lists = &list;
        query.nlists = 1;
        query.offset = i % 30;
        query.limit = 20;
        query.counts = scope.counts;

        rc = exports_reader_renew(reader);

        if (rc == EXPORTS_OK) {
            rc = exports_read_scope(reader, EXPORTS_PROJECT, "alpha", 5,
                                    &scope);
            *bad += rc != EXPORTS_OK;

            rc = exports_page_read(reader, &query, page);
            *bad += rc != EXPORTS_OK || page->total < 50
                    || page->nitems != 20;
            exports_reader_reset(reader);

        } else {
            ++*bad;
        }
    }

    exports_reader_close(reader);
    free(page);

    return NULL;
}


static void
threads(void)
{
    char               id[32];
    spec_t             spec;
    unsigned           i, bad[4];
    pthread_t          thread[4];

    shared = new_store(in_dir("threads"));

    for (i = 0; i < 50; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        spec = project_spec("alpha", id, TEST_TIME + i);
        store_spec(shared, &spec);
    }

    shared_scope = stored_scope(shared, EXPORTS_PROJECT, "alpha").id;

    for (i = 0; i < 4; i++) {
        bad[i] = 0;
        must(pthread_create(&thread[i], NULL, read_in_thread, &bad[i]) == 0,
             "pthread_create");
    }

    for (i = 50; i < 150; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        spec = project_spec("alpha", id, TEST_TIME + i);
        store_spec(shared, &spec);
    }

    for (i = 0; i < 4; i++) {
        (void) pthread_join(thread[i], NULL);
        is_int(bad[i], 0, "thread %u reads while another writes", i);
    }

    exports_env_close(shared);
}


#define READS  100000

static void *
step_in_thread(void *data)
{
    unsigned            i, *bad = data;
    uint8_t             key[EXPORTS_MANIFEST_KEY_LEN];
    exports_reader_t   *reader;
    exports_record_t    record;

    if (exports_reader_open(&reader, shared, NULL) != EXPORTS_OK) {
        *bad = 1;
        return NULL;
    }

    *bad += exports_reader_renew(reader) != EXPORTS_OK;

    for (i = 0; i < READS && *bad == 0; i++) {
        *bad += exports_read_manifest(reader, EXPORTS_PROJECT, shared_scope,
                                      "exp_none", 8, key, &record)
                != EXPORTS_NOT_FOUND;
    }

    exports_reader_close(reader);

    return NULL;
}


/* of all threads: a watchdog sees each one get on */

static void
steps(void)
{
    unsigned   i, bad[4];
    uint64_t   before;
    pthread_t  thread[4];

    shared = new_store(in_dir("steps"));
    shared_scope = 1;
    before = exports_env_steps(shared);

    for (i = 0; i < 4; i++) {
        bad[i] = 0;
        must(pthread_create(&thread[i], NULL, step_in_thread, &bad[i]) == 0,
             "pthread_create");
    }

    for (i = 0; i < 4; i++) {
        (void) pthread_join(thread[i], NULL);
        is_int(bad[i], 0, "thread %u reads", i);
    }

    is_int(exports_env_steps(shared) - before, 4 * READS, "steps of threads");

    exports_env_close(shared);
}


int
main(void)
{
    random_seed();

    points();
    damaged();
    snapshots();
    lost_slot();
    resized();
    threads();
    steps();

    return done_testing();
}
