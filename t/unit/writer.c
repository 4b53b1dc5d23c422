
/*
 * exports_writer.c, exports_writer_manifest.c, exports_writer_token.c.  What
 * the lists hold after many changes is page.c's to test.
 */

#include "fixture.h"


static exports_error_t  error;


static spec_t
user_spec(const char *user, const char *uuid, uint64_t requested)
{
    spec_t  spec;

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_USER;
    spec.scope = user;
    spec.id = uuid;
    spec.created = requested;
    spec.status = "ready";
    spec.type = "contacts";
    spec.subject_type = "company";
    spec.subject_id = 7;

    return spec;
}


static exports_rc_t
delete(exports_writer_t *w, exports_kind_t kind, const char *scope,
    const char *id)
{
    return exports_writer_delete(w, kind, scope, strlen(scope), id, strlen(id),
                                 &error);
}


/* commits when something was done, compares with the sum before when not */

static void
commit_unchanged(exports_env_t *env, exports_writer_t *w, uint64_t sum,
    const char *what)
{
    exports_rc_t  rc;

    rc = exports_writer_commit(w, &error);
    is_rc(rc, EXPORTS_OK, &error, "%s: the writer can go on", what);
    ok(store_sum(env) == sum, "%s: nothing has changed", what);
}


static void
put_and_delete(void)
{
    int                replaced;
    spec_t             p, u;
    uint64_t           sum;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    env = new_store(in_dir("put"));

    p = project_spec("alpha", "exp_1", TEST_TIME);
    u = user_spec("42", "aaaa-1", TEST_TIME);

    w = begin_writer(env);

    replaced = 7;
    rc = put_spec(w, &p, &replaced, &error);
    is_rc(rc, EXPORTS_OK, &error, "a project's manifest");
    is_int(replaced, 0, "it is new");

    rc = put_spec(w, &u, NULL, &error);
    is_rc(rc, EXPORTS_OK, &error, "a user's manifest");

    rc = put_spec(w, &p, &replaced, &error);
    is_rc(rc, EXPORTS_OK, &error, "the same again in one transaction");
    is_int(replaced, 1, "it is replaced");

    p.scope = "beta";
    rc = put_spec(w, &p, &replaced, &error);
    is_rc(rc, EXPORTS_OK, &error, "the same id in another project");
    is_int(replaced, 0, "it is another manifest");

    commit_writer(w);

    is_int(store_faults(env), 0, "the store is sound");

    sum = store_sum(env);
    w = begin_writer(env);
    is_int(delete(w, EXPORTS_PROJECT, "Gamma", "exp_1"), EXPORTS_INVALID,
           "delete: not a project's name");
    has_str(error.text, "project", "the text says so");
    is_int(delete(w, EXPORTS_PROJECT, "gamma", "exp_1"), EXPORTS_NOT_FOUND,
           "delete: no such project");
    is_int(delete(w, EXPORTS_PROJECT, "alpha", "exp_2"), EXPORTS_NOT_FOUND,
           "delete: no such export");
    has_str(error.text, "exp_2", "the text names it");
    is_int(delete(w, EXPORTS_PROJECT, "alpha", "nonsense"), EXPORTS_NOT_FOUND,
           "delete: not an id");
    is_int(delete(w, EXPORTS_USER, "43", "aaaa-1"), EXPORTS_NOT_FOUND,
           "delete: no such user");
    commit_unchanged(env, w, sum, "deleting nothing");

    u.id = "bbbb-1";
    u.scope = "43";
    store_spec(env, &u);

    sum = store_sum(env);
    w = begin_writer(env);
    is_int(delete(w, EXPORTS_USER, "43", "aaaa-1"), EXPORTS_NOT_FOUND,
           "delete: another user's export");
    commit_unchanged(env, w, sum, "deleting another's");

    w = begin_writer(env);
    is_int(delete(w, EXPORTS_USER, "42", "aaaa-1"), EXPORTS_OK,
           "delete: one's own");
    is_int(delete(w, EXPORTS_PROJECT, "alpha", "exp_1"), EXPORTS_OK,
           "delete: a project's");
    is_int(delete(w, EXPORTS_PROJECT, "alpha", "exp_1"), EXPORTS_NOT_FOUND,
           "delete: twice");
    commit_writer(w);

    is_int(store_faults(env), 0, "the store is sound");

    exports_env_close(env);
}


/* a uuid is one user's for ever */

static void
uuid_conflict(void)
{
    spec_t             mine, theirs;
    uint64_t           sum;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    env = new_store(in_dir("uuid"));

    mine = user_spec("1", "aaaa", TEST_TIME);
    store_spec(env, &mine);

    sum = store_sum(env);
    w = begin_writer(env);
    theirs = user_spec("2", "aaaa", TEST_TIME + 1);
    rc = put_spec(w, &theirs, NULL, &error);
    is_rc(rc, EXPORTS_CONFLICT, &error, "another user's uuid, a new user");
    has_str(error.text, "uuid: ", "the text names the key");
    has_str(error.text, "aaaa", "and the uuid");
    commit_unchanged(env, w, sum, "a uuid of another");

    theirs.id = "bbbb";
    store_spec(env, &theirs);

    sum = store_sum(env);
    w = begin_writer(env);
    theirs.id = "aaaa";
    rc = put_spec(w, &theirs, NULL, &error);
    is_rc(rc, EXPORTS_CONFLICT, &error, "another user's uuid, a known user");
    commit_unchanged(env, w, sum, "a uuid of another");

    w = begin_writer(env);
    rc = put_spec(w, &theirs, NULL, &error);
    is_rc(rc, EXPORTS_CONFLICT, &error, "refused");
    theirs.id = "cccc";
    rc = put_spec(w, &theirs, NULL, &error);
    is_rc(rc, EXPORTS_OK, &error, "then another one is accepted");
    commit_writer(w);

    theirs.id = "AAAA";
    store_spec(env, &theirs);
    is_int(store_faults(env), 0, "a uuid of other case is another uuid");

    exports_env_close(env);
}


/* two ids, one microsecond, one tie: no way to put them in order */

static void
tie_conflict(void)
{
    spec_t               spec;
    uint8_t              key[EXPORTS_MANIFEST_KEY_LEN];
    uint64_t             sum;
    exports_rc_t         rc;
    exports_env_t       *env;
    exports_writer_t    *w;
    exports_manifest_t   a, b;

    env = new_store(in_dir("tie"));

    spec = project_spec("alpha", "exp_a", TEST_TIME);
    spec_manifest(&a, &spec);
    store_spec(env, &spec);

    spec = project_spec("alpha", "exp_b", TEST_TIME + 5);
    store_spec(env, &spec);

    /* a new one */

    spec = project_spec("alpha", "exp_c", TEST_TIME);
    spec_manifest(&b, &spec);
    b.tie = a.tie;

    sum = store_sum(env);
    w = begin_writer(env);
    rc = exports_writer_put(w, &b, NULL, &error);
    is_rc(rc, EXPORTS_CONFLICT, &error, "the place is taken: a new manifest");
    has_str(error.text, "exp_c", "the text names the one");
    has_str(error.text, "exp_a", "and the other");
    commit_unchanged(env, w, sum, "a place that is taken");

    /* one that would move there */

    spec = project_spec("alpha", "exp_b", TEST_TIME);
    spec_manifest(&b, &spec);
    b.tie = a.tie;

    w = begin_writer(env);
    rc = exports_writer_put(w, &b, NULL, &error);
    is_rc(rc, EXPORTS_CONFLICT, &error, "the place is taken: a replacement");
    commit_unchanged(env, w, sum, "a move that is refused");

    /* the same, when what would move is damaged */

    stored_key(env, EXPORTS_PROJECT, "alpha", "exp_b", key);
    raw_flip(env, DB_MANIFESTS, key, sizeof(key), 50);

    sum = store_sum(env);
    w = begin_writer(env);
    rc = exports_writer_put(w, &b, NULL, &error);
    is_rc(rc, EXPORTS_CONFLICT, &error, "the place is taken: a replacement of "
          "a damaged record");
    commit_unchanged(env, w, sum, "a move of a damaged record");

    /* what is in the place is damaged */

    stored_key(env, EXPORTS_PROJECT, "alpha", "exp_a", key);
    raw_flip(env, DB_MANIFESTS, key, sizeof(key), 50);

    spec = project_spec("alpha", "exp_c", TEST_TIME);
    spec_manifest(&b, &spec);
    b.tie = a.tie;

    sum = store_sum(env);
    w = begin_writer(env);
    rc = exports_writer_put(w, &b, NULL, &error);
    is_rc(rc, EXPORTS_CONFLICT, &error, "the place is a damaged record's");
    has_str(error.text, "damaged", "the text says so");
    commit_unchanged(env, w, sum, "a place that is damaged");

    exports_env_close(env);
}


/* revisions */

static uint64_t
revision(exports_env_t *env, const char *project)
{
    return stored_scope(env, EXPORTS_PROJECT, project).revision;
}


static exports_rc_t
set_revision(exports_writer_t *w, const char *project, uint64_t value)
{
    return exports_writer_set_revision(w, EXPORTS_PROJECT, project,
                                       strlen(project), value, &error);
}


static void
revisions(void)
{
    char               longest[300];
    spec_t             spec;
    uint64_t           before, now, sum;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    static const uint64_t  none[EXPORTS_STATUSES];

    env = new_store(in_dir("revisions"));

    before = exports_time_now();

    spec = project_spec("alpha", "exp_1", TEST_TIME);
    store_spec(env, &spec);
    spec.scope = "beta";
    store_spec(env, &spec);

    now = revision(env, "alpha");
    ok(now >= before && now <= exports_time_now(),
       "a revision is the time of the change");

    before = revision(env, "beta");
    spec.scope = "alpha";
    store_spec(env, &spec);
    ok(revision(env, "alpha") > now, "it goes up with a replacement");
    is_int(revision(env, "beta"), (long long) before,
           "another scope's stays");

    w = begin_writer(env);
    rc = put_spec(w, &spec, NULL, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    sum = store_sum(env);
    exports_writer_abort(w);
    ok(store_sum(env) == sum, "an aborted writer leaves nothing");

    w = begin_writer(env);
    commit_unchanged(env, w, sum, "an empty transaction");

    /* from outside */

    before = revision(env, "alpha");

    w = begin_writer(env);
    is_int(set_revision(w, "alpha", before), EXPORTS_CONFLICT,
           "the revision that is");
    has_str(error.text, "alpha", "the text names the scope");
    is_int(set_revision(w, "alpha", before - 1), EXPORTS_CONFLICT,
           "one that was");
    is_int(set_revision(w, "alpha", 0), EXPORTS_CONFLICT, "zero");
    is_int(set_revision(w, "Alpha", before + 9), EXPORTS_INVALID,
           "not a name");
    sum = store_sum(env);
    commit_unchanged(env, w, sum, "revisions that are refused");

    w = begin_writer(env);
    is_int(set_revision(w, "alpha", before + 1), EXPORTS_OK,
           "one that is greater by one");
    commit_writer(w);
    is_int(revision(env, "alpha"), (long long) before + 1, "it is stored");

    /* in the far future, with a change */

    now = before + 1000000000000000ULL;

    w = begin_writer(env);
    rc = put_spec(w, &spec, NULL, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    is_int(set_revision(w, "alpha", now), EXPORTS_OK, "after a change");
    rc = put_spec(w, &spec, NULL, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    commit_writer(w);
    is_int(revision(env, "alpha"), (long long) now,
           "the commit has the revision given, one more change or not");

    store_spec(env, &spec);
    is_int(revision(env, "alpha"), (long long) now + 1,
           "the next change counts from there");

    /* twice in one transaction: what is stored is what counts */

    w = begin_writer(env);
    is_int(set_revision(w, "alpha", now + 20), EXPORTS_OK, "given once");
    is_int(set_revision(w, "alpha", now + 10), EXPORTS_OK,
           "given twice, lower but greater than what is stored");
    is_int(set_revision(w, "alpha", now + 1), EXPORTS_CONFLICT,
           "not greater than what is stored, though one was given");
    is_int(set_revision(w, "alpha", 5), EXPORTS_CONFLICT, "nor a low one");
    commit_writer(w);
    is_int(revision(env, "alpha"), (long long) now + 10,
           "the last that was accepted");

    /* a scope that is not there yet */

    w = begin_writer(env);
    is_int(set_revision(w, "delta", 0), EXPORTS_CONFLICT, "zero of none");
    is_int(set_revision(w, "gamma", 77), EXPORTS_OK, "a new scope");
    commit_writer(w);
    is_int(revision(env, "gamma"), 77, "it is made, with its revision");

    store_spec(env, &spec);
    ok(revision(env, "alpha") == now + 11, "up by one");

    /* the end of the numbers */

    w = begin_writer(env);
    is_int(set_revision(w, "gamma", UINT64_MAX), EXPORTS_INVALID,
           "a revision that none could follow");
    is_int(set_revision(w, "gamma", UINT64_MAX - 1), EXPORTS_INVALID,
           "a revision that one could follow");
    is_int(set_revision(w, "gamma", (uint64_t) INT64_MAX + 1),
           EXPORTS_INVALID, "a revision that is too great");
    has_str(error.text, "9223372036854775807", "the text names the greatest");
    is_int(set_revision(w, "gamma", INT64_MAX), EXPORTS_OK, "the greatest");
    exports_writer_abort(w);

    /* touch */

    before = revision(env, "beta");
    w = begin_writer(env);
    rc = exports_writer_touch(w, EXPORTS_PROJECT, "beta", 4, &error);
    is_rc(rc, EXPORTS_OK, &error, "touch");
    rc = exports_writer_touch(w, EXPORTS_PROJECT, "delta", 5, &error);
    is_rc(rc, EXPORTS_NOT_FOUND, &error, "touch: no such scope");

    memset(longest, 'a', sizeof(longest));
    rc = exports_writer_touch(w, EXPORTS_PROJECT, longest, 128, &error);
    is_rc(rc, EXPORTS_NOT_FOUND, &error, "touch: a name of 128 bytes");
    rc = exports_writer_touch(w, EXPORTS_PROJECT, longest, sizeof(longest),
                              &error);
    is_rc(rc, EXPORTS_INVALID, &error, "touch: a name too long");
    rc = exports_writer_set_counts(w, EXPORTS_PROJECT, longest,
                                   sizeof(longest), none, &error);
    is_rc(rc, EXPORTS_INVALID, &error, "counts: a name too long");
    commit_writer(w);
    ok(revision(env, "beta") > before, "touched: the revision went up");

    is_int(store_faults(env), 0, "the store is sound");

    exports_env_close(env);
}


/* a user's manifests, 0: there is none; and of some the record is damaged */

#define NCOUNTED  40

typedef struct {
    unsigned  status[NCOUNTED];
    unsigned  flipped[NCOUNTED];
} counted_t;


static const char *
counted_id(unsigned i)
{
    static char  id[16];

    (void) snprintf(id, sizeof(id), "u-%u", i);

    return id;
}


static void
change_counted(exports_writer_t *w, counted_t *model, unsigned i)
{
    spec_t        spec;
    unsigned      status;
    exports_rc_t  rc;

    if (chance(30)) {
        rc = delete(w, EXPORTS_USER, "1", counted_id(i));
        check(rc == (model->status[i] != 0 ? EXPORTS_OK : EXPORTS_NOT_FOUND),
              "deleting: %s", rc_name(rc));
        status = 0;

    } else {
        status = 2 + below(5);
        status = status == EXPORTS_STATUS_NOT_FOUND ? EXPORTS_STATUS_READY
                                                    : status;

        spec = user_spec("1", counted_id(i), TEST_TIME + below(4));
        spec.status = exports_status_name(status);

        rc = put_spec(w, &spec, NULL, &error);
        check(rc == EXPORTS_OK, "putting: %s", error.text);
    }

    model->status[i] = status;
    model->flipped[i] = 0;
}


static void
check_counted(exports_env_t *env, const counted_t *model)
{
    uint64_t         expected[EXPORTS_STATUSES];
    unsigned         i;
    exports_scope_t  scope;

    memset(expected, 0, sizeof(expected));

    for (i = 0; i < NCOUNTED; i++) {
        if (model->status[i] != 0) {
            expected[model->status[i] - 1]++;
        }
    }

    scope = stored_scope(env, EXPORTS_USER, "1");

    for (i = 0; i < EXPORTS_STATUSES; i++) {
        check(scope.counts[i] == expected[i], "%s: %" PRIu64 ", not %" PRIu64,
              exports_status_name(i + 1), scope.counts[i], expected[i]);
    }
}


/* what a scope counts, held against a model */

static void
counts(void)
{
    size_t             len;
    uint8_t            key[EXPORTS_SCOPE_KEY_MAX];
    uint8_t            value[EXPORTS_SCOPE_VALUE_LEN];
    uint8_t            manifest[EXPORTS_MANIFEST_KEY_LEN];
    MDB_txn           *txn;
    unsigned           n, i, recounts;
    counted_t          model, changed;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_scope_t    scope;
    exports_writer_t  *w;

    env = new_store(in_dir("counts"));
    memset(&model, 0, sizeof(model));

    w = begin_writer(env);
    rc = exports_writer_set_revision(w, EXPORTS_USER, "1", 1, 5, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    commit_writer(w);
    check_counted(env, &model);

    for (recounts = 0, n = 0; n < rounds(300, 60); n++) {

        i = below(NCOUNTED);

        if (model.status[i] != 0 && !model.flipped[i]) {
            stored_key(env, EXPORTS_USER, "1", counted_id(i), manifest);
            raw_flip(env, DB_MANIFESTS, manifest, sizeof(manifest), 50);
            model.flipped[i] = 1;
        }

        changed = model;
        w = begin_writer(env);

        for (i = below(12); i > 0; i--) {
            change_counted(w, &changed, below(NCOUNTED));
        }

        if (chance(20)) {
            exports_writer_abort(w);

        } else {
            for (i = 0; i < NCOUNTED; i++) {
                recounts += model.flipped[i] && !changed.flipped[i];
            }

            commit_writer(w);
            model = changed;
        }

        check_counted(env, &model);
    }

    checked("a scope counts its manifests by status");
    ok(recounts > 0, "also those that replaced damaged ones: %u", recounts);

    /* counts that are wrong are not counted on below zero */

    w = begin_writer(env);
    for (i = 0; i < NCOUNTED; i++) {
        change_counted(w, &model, i);
    }
    commit_writer(w);

    scope = stored_scope(env, EXPORTS_USER, "1");
    memset(scope.counts, 0, sizeof(scope.counts));
    len = exports_scope_key(key, EXPORTS_USER, "1", 1);
    exports_scope_encode(value, &scope, key, len);

    for (n = 0; n < 2; n++) {
        txn = raw_begin(env);
        raw_put(txn, env->dbi[DB_SCOPES], key, len, value, sizeof(value));
        raw_commit(txn);

        w = begin_writer(env);

        if (n == 0) {
            for (i = 0; model.status[i] == 0; i++) { /* void */ }
            rc = delete(w, EXPORTS_USER, "1", counted_id(i));
            model.status[i] = 0;

        } else {
            rc = exports_writer_touch(w, EXPORTS_USER, "1", 1, &error);
        }

        check(rc == EXPORTS_OK, "%s", error.text);
        commit_writer(w);
        check_counted(env, &model);
    }

    checked("wrong counts are taken from the lists");
    is_int(store_faults(env), 0, "the store is sound");

    exports_env_close(env);
}


/* what a writer's reader sees of scopes that are not stored yet */

static void
scopes_before_commit(void)
{
    spec_t             spec;
    uint64_t           revised;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_scope_t    scope;
    exports_reader_t  *reader;
    exports_writer_t  *w;

    env = new_store(in_dir("seen"));
    spec = project_spec("alpha", "exp_1", TEST_TIME);

    w = begin_writer(env);
    reader = exports_writer_reader(w);

    rc = exports_read_scope(reader, EXPORTS_PROJECT, "alpha", 5, &scope);
    is_int(rc, EXPORTS_NOT_FOUND, "a scope that is not there yet");

    rc = put_spec(w, &spec, NULL, &error);
    must(rc == EXPORTS_OK, "%s", error.text);

    rc = exports_read_scope(reader, EXPORTS_PROJECT, "alpha", 5, &scope);
    is_int(rc, EXPORTS_OK, "the writer's reader sees one that it has made");
    is_int(scope.counts[EXPORTS_STATUS_READY - 1], 1, "and what it counts");

    rc = delete(w, EXPORTS_PROJECT, "alpha", "exp_1");
    must(rc == EXPORTS_OK, "%s", error.text);
    is_int(set_revision(w, "alpha", scope.revision + 7), EXPORTS_OK,
           "it changes again");
    revised = scope.revision + 7;

    rc = exports_read_scope(reader, EXPORTS_PROJECT, "alpha", 5, &scope);
    ok(rc == EXPORTS_OK && scope.counts[EXPORTS_STATUS_READY - 1] == 0
       && scope.revision == revised, "and is seen so");

    exports_writer_abort(w);

    reader = open_reader(env);
    renew_reader(reader);
    rc = exports_read_scope(reader, EXPORTS_PROJECT, "alpha", 5, &scope);
    is_int(rc, EXPORTS_NOT_FOUND, "aborted, it is gone");
    exports_reader_close(reader);

    exports_env_close(env);
}


/* many scopes in one transaction */

static void
many_scopes(void)
{
    char               name[32], id[32];
    spec_t             spec;
    uint64_t           first, steps;
    unsigned           i, n;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_scope_t    scope;
    exports_reader_t  *reader;
    exports_writer_t  *w;

    n = 2000;
    env = new_store(in_dir("scopes"));

    w = begin_writer(env);

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "%u", i * 7919 % n);
        (void) snprintf(id, sizeof(id), "u-%u", i);
        spec = user_spec(name, id, TEST_TIME + i);
        rc = put_spec(w, &spec, NULL, &error);
        check(rc == EXPORTS_OK, "%s", error.text);
    }

    commit_writer(w);

    reader = open_reader(env);
    renew_reader(reader);
    first = 0;

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "%u", i * 7919 % n);
        rc = exports_read_scope(reader, EXPORTS_USER, name, strlen(name),
                                &scope);
        check(rc == EXPORTS_OK && scope.revision >= TEST_TIME / 2,
              "user %s: %s", name, rc_name(rc));

        if (i == 0) {
            first = scope.id;
        }

        check(scope.id == first + i, "user %s: ID %" PRIu64, name, scope.id);
    }

    checked("IDs of scopes are given out in order");
    is_int(first, 1, "beginning at 1");

    exports_reader_close(reader);

    /* those of millions are sorted for longer than a watchdog may wait */

    w = begin_writer(env);

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "%u", i * 7919 % n);
        rc = exports_writer_set_revision(w, EXPORTS_USER, name, strlen(name),
                                         INT64_MAX, &error);
        check(rc == EXPORTS_OK, "%s", error.text);
    }

    checked("all scopes are changed");
    steps = exports_env_steps(env);
    commit_writer(w);
    steps = exports_env_steps(env) - steps;
    ok(steps > 4 * n, "sorting %u scopes makes steps: %" PRIu64, n, steps);

    is_int(store_faults(env), 0, "the store is sound");
    exports_env_close(env);
}


static void
checkpoints(void)
{
    char               name[80];
    size_t             len, i;
    uint8_t            big[EXPORTS_CHECKPOINT_MAX + 1];
    uint64_t           sum;
    exports_rc_t       rc;
    const char        *bad;
    exports_env_t     *env;
    const uint8_t     *value;
    exports_reader_t  *reader;
    exports_writer_t  *w;

    env = new_store(in_dir("checkpoints"));
    random_bytes(big, sizeof(big));
    memset(name, 'n', sizeof(name));
    name[EXPORTS_CHECKPOINT_NAME_MAX] = '\0';

    w = begin_writer(env);
    rc = exports_writer_checkpoint(w, "stream/a", "12345", 5, &error);
    is_rc(rc, EXPORTS_OK, &error, "a checkpoint");
    rc = exports_writer_checkpoint(w, "empty", "", 0, &error);
    is_rc(rc, EXPORTS_OK, &error, "an empty one");
    rc = exports_writer_checkpoint(w, name, big, EXPORTS_CHECKPOINT_MAX,
                                   &error);
    is_rc(rc, EXPORTS_OK, &error, "the longest name and value");
    commit_writer(w);

    reader = open_reader(env);
    renew_reader(reader);

    rc = exports_read_checkpoint(reader, "stream/a", &value, &len);
    ok(rc == EXPORTS_OK && len == 5 && memcmp(value, "12345", 5) == 0,
       "it is read");
    rc = exports_read_checkpoint(reader, "empty", &value, &len);
    ok(rc == EXPORTS_OK && len == 0, "the empty one");
    rc = exports_read_checkpoint(reader, name, &value, &len);
    ok(rc == EXPORTS_OK && len == EXPORTS_CHECKPOINT_MAX
       && memcmp(value, big, len) == 0, "the longest");
    is_int(exports_read_checkpoint(reader, "other", &value, &len),
           EXPORTS_NOT_FOUND, "there is no other");
    is_int(exports_read_checkpoint(reader, "", &value, &len),
           EXPORTS_NOT_FOUND, "nor one without a name");

    name[EXPORTS_CHECKPOINT_NAME_MAX] = 'n';
    name[EXPORTS_CHECKPOINT_NAME_MAX + 1] = '\0';
    is_int(exports_read_checkpoint(reader, name, &value, &len),
           EXPORTS_NOT_FOUND, "nor one with a name too long");

    exports_reader_close(reader);

    sum = store_sum(env);
    w = begin_writer(env);

    rc = exports_writer_checkpoint(w, name, "", 0, &error);
    is_rc(rc, EXPORTS_INVALID, &error, "a name too long");
    rc = exports_writer_checkpoint(w, "name", big, sizeof(big), &error);
    is_rc(rc, EXPORTS_INVALID, &error, "a value too long");

    for (bad = "\x20\x7f\x1f\x80\xff\n\t", i = 0; bad[i] != '\0'; i++) {
        (void) snprintf(name, sizeof(name), "a%cb", bad[i]);
        rc = exports_writer_checkpoint(w, name, "", 0, &error);
        check(rc == EXPORTS_INVALID, "name with %02x: %s",
              (unsigned char) bad[i], rc_name(rc));
    }

    checked("names are printable ASCII");

    is_int(exports_writer_checkpoint(w, "", "", 0, &error), EXPORTS_INVALID,
           "no name");

    commit_unchanged(env, w, sum, "checkpoints that are refused");

    w = begin_writer(env);
    rc = exports_writer_checkpoint(w, "stream/a", "67", 2, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    exports_writer_abort(w);
    ok(store_sum(env) == sum, "an aborted checkpoint leaves nothing");

    w = begin_writer(env);
    rc = exports_writer_checkpoint(w, "stream/a", "67", 2, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    rc = exports_read_checkpoint(exports_writer_reader(w), "stream/a", &value,
                                 &len);
    ok(rc == EXPORTS_OK && len == 2 && memcmp(value, "67", 2) == 0,
       "it is replaced, the writer sees it");
    commit_writer(w);

    exports_env_close(env);
}


/* tokens */

static void
token_line(exports_token_line_t *line, const char *digest, const char *rest)
{
    char          text[512];
    int           n;
    exports_rc_t  rc;

    n = snprintf(text, sizeof(text), "{\"sha256\":\"%s\",%s}", digest, rest);
    rc = exports_token_parse(line, text, (size_t) n, &error);
    must(rc == EXPORTS_OK, "%s: %s", text, error.text);
}


static exports_rc_t
read_token(exports_env_t *env, const uint8_t *digest, exports_token_t *token)
{
    exports_rc_t       rc;
    exports_reader_t  *reader;

    reader = open_reader(env);
    renew_reader(reader);
    rc = exports_read_token(reader, digest, token);
    exports_reader_close(reader);

    return rc;
}


static exports_rc_t
revoke_by_id(exports_env_t *env, const char *id)
{
    exports_rc_t       rc;
    exports_writer_t  *w;

    w = begin_writer(env);
    rc = exports_writer_revoke_token(w, id, strlen(id), &error);
    commit_writer(w);

    return rc;
}


#define D1  "00112233445566778899aabbccddeeff" \
            "00112233445566778899aabbccddeeff"
#define D2  "00112233445566778899aabbccddeeff" \
            "00112233445566778899aabbccddee00"
#define D3  "ffffffffffffffffffffffffffffffff" \
            "ffffffffffffffffffffffffffffffff"

static void
tokens(void)
{
    char                   id[EXPORTS_TOKEN_ID_LEN + 1];
    uint64_t               sum, before;
    exports_rc_t           rc;
    exports_env_t         *env;
    exports_token_t        token;
    exports_writer_t      *w;
    exports_token_line_t   line, other;

    env = new_store(in_dir("tokens"));

    token_line(&line, D1, "\"project\":\"alpha\",\"admin\":true,"
                          "\"expires_at\":\"2030-01-01T00:00:00Z\"");

    w = begin_writer(env);
    rc = exports_writer_put_token(w, &line, &error);
    is_rc(rc, EXPORTS_OK, &error, "a token");
    commit_writer(w);

    rc = read_token(env, line.digest, &token);
    is_int(rc, EXPORTS_OK, "it is read");
    is_int(token.kind, EXPORTS_PROJECT, "its kind");
    is_int(token.flags, EXPORTS_TOKEN_ADMIN, "its flags");
    is_int(token.expires, (long long) line.token.expires, "its expiry");
    is_int(token.revoked, 0, "not revoked");
    is_int(token.scope, (long long) stored_scope(env, EXPORTS_PROJECT,
                                                 "alpha").id,
           "its scope was made");
    is_int(store_faults(env), 0, "the store is sound");

    before = stored_scope(env, EXPORTS_PROJECT, "alpha").revision;

    token_line(&line, D1, "\"project\":\"beta\",\"tables\":[\"a\",\"b\"]");
    w = begin_writer(env);
    rc = exports_writer_put_token(w, &line, &error);
    is_rc(rc, EXPORTS_OK, &error, "the same token again");
    commit_writer(w);

    rc = read_token(env, line.digest, &token);
    ok(rc == EXPORTS_OK && token.flags == EXPORTS_TOKEN_TABLES
       && token.ntables == 2 && token.scope != 1, "it is replaced");
    is_int(stored_scope(env, EXPORTS_PROJECT, "alpha").revision,
           (long long) before, "a token changes no list: no revision");

    /* by its ID */

    exports_token_id(id, line.digest);
    id[EXPORTS_TOKEN_ID_LEN] = '\0';
    is_str(id, "tok_0011223344556677", "a token's ID");

    sum = store_sum(env);
    is_int(revoke_by_id(env, "tok_001122334455667"), EXPORTS_INVALID,
           "revoke: too short");
    is_int(revoke_by_id(env, "tok_00112233445566778"), EXPORTS_INVALID,
           "revoke: too long");
    is_int(revoke_by_id(env, "tok_001122334455667g"), EXPORTS_INVALID,
           "revoke: not hexadecimal");
    is_int(revoke_by_id(env, "pat_0011223344556677"), EXPORTS_INVALID,
           "revoke: another word in front");
    is_int(revoke_by_id(env, ""), EXPORTS_INVALID, "revoke: nothing");
    is_int(revoke_by_id(env, "tok_0011223344556676"), EXPORTS_NOT_FOUND,
           "revoke: there is none, but a greater one");
    has_str(error.text, "tok_0011223344556676", "the text names it");
    is_int(revoke_by_id(env, "tok_0011223344556678"), EXPORTS_NOT_FOUND,
           "revoke: there is none, nor a greater one");
    ok(store_sum(env) == sum, "nothing has changed");

    before = exports_time_now();
    is_int(revoke_by_id(env, id), EXPORTS_OK, "revoke");
    rc = read_token(env, line.digest, &token);
    ok(rc == EXPORTS_OK && token.revoked >= before
       && token.revoked <= exports_time_now() && token.ntables == 2
       && token.tables[1].len == 1, "it is revoked as of now, all else stays");
    ok(!exports_token_valid(&token, 0), "it is not valid");

    sum = store_sum(env);
    is_int(revoke_by_id(env, id), EXPORTS_OK, "revoke again");
    ok(store_sum(env) == sum, "the time of the first stays");

    /* two tokens of one ID */

    token_line(&other, D2, "\"user\":42");
    w = begin_writer(env);
    rc = exports_writer_put_token(w, &other, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    token_line(&other, D3, "\"user\":42");
    rc = exports_writer_put_token(w, &other, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    commit_writer(w);

    sum = store_sum(env);
    is_int(revoke_by_id(env, id), EXPORTS_CONFLICT, "revoke: the ID of two");
    ok(store_sum(env) == sum, "nothing has changed");

    is_int(revoke_by_id(env, "tok_ffffffffffffffff"), EXPORTS_OK,
           "revoke: the last of all");

    raw_flip(env, DB_TOKENS, other.digest, EXPORTS_SHA256_LEN, 30);
    is_int(read_token(env, other.digest, &token), EXPORTS_CORRUPT,
           "a damaged token");
    is_int(revoke_by_id(env, "tok_ffffffffffffffff"), EXPORTS_CORRUPT,
           "revoke: a damaged token");

    exports_env_close(env);
}


/* what a writer cannot do without */

static void
damaged(void)
{
    size_t             len;
    spec_t             spec;
    uint8_t            key[EXPORTS_ID_KEY_MAX];
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    env = new_store(in_dir("damaged"));
    spec = user_spec("1", "aaaa", TEST_TIME);
    store_spec(env, &spec);

    len = exports_id_key(key, EXPORTS_USER, 0, "aaaa", 4);
    raw_flip(env, DB_IDS, key, len, 3);

    w = begin_writer(env);
    rc = put_spec(w, &spec, NULL, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "put: the id is damaged");
    has_str(error.text, "\"ids\"", "the text says where");
    exports_writer_abort(w);

    w = begin_writer(env);
    is_int(delete(w, EXPORTS_USER, "1", "aaaa"), EXPORTS_CORRUPT,
           "delete: the id is damaged");
    exports_writer_abort(w);

    raw_flip(env, DB_META, "next_scope", 10, 3);

    w = begin_writer(env);
    spec.id = "bbbb";
    rc = put_spec(w, &spec, NULL, &error);
    is_rc(rc, EXPORTS_OK, &error, "put: a known scope needs no new ID");
    spec.scope = "2";
    spec.id = "cccc";
    rc = put_spec(w, &spec, NULL, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "put: the next scope ID is damaged");
    has_str(error.text, "next scope ID", "the text says so");
    exports_writer_abort(w);

    len = exports_scope_key(key, EXPORTS_USER, "1", 1);
    raw_flip(env, DB_SCOPES, key, len, 3);

    w = begin_writer(env);
    spec.scope = "1";
    rc = put_spec(w, &spec, NULL, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "put: the scope is damaged");
    is_int(delete(w, EXPORTS_USER, "1", "aaaa"), EXPORTS_CORRUPT,
           "delete: the scope is damaged");
    rc = exports_writer_set_revision(w, EXPORTS_USER, "1", 1, 5, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "a revision: the scope is damaged");
    exports_writer_abort(w);

    exports_env_close(env);
}


/* the largest token there can be */

static void
large_token(void)
{
    size_t                i;
    exports_rc_t          rc;
    exports_env_t        *env;
    exports_token_t       token;
    uint64_t              sum;
    exports_writer_t     *w;
    exports_token_line_t  line;

    env = new_store(in_dir("large"));

    token_line(&line, D1, "\"project\":\"alpha\",\"tables\":[]");

    memset(line.text, 't', sizeof(line.text));
    line.token.ntables = EXPORTS_TOKEN_TABLES_MAX;

    for (i = 0; i < EXPORTS_TOKEN_TABLES_MAX; i++) {
        line.token.tables[i].data = line.text + i * EXPORTS_STRING_MAX;
        line.token.tables[i].len = EXPORTS_STRING_MAX;
    }

    sum = store_sum(env);
    w = begin_writer(env);
    line.token.ntables++;
    rc = exports_writer_put_token(w, &line, &error);
    is_rc(rc, EXPORTS_INVALID, &error, "one of more tables");
    commit_unchanged(env, w, sum, "a token that is refused");
    line.token.ntables--;

    w = begin_writer(env);
    rc = exports_writer_put_token(w, &line, &error);
    is_rc(rc, EXPORTS_OK, &error, "a token of 64 tables of 1024 bytes");
    commit_writer(w);

    is_int(revoke_by_id(env, "tok_0011223344556677"), EXPORTS_OK,
           "it is revoked");

    rc = read_token(env, line.digest, &token);
    ok(rc == EXPORTS_OK && token.ntables == EXPORTS_TOKEN_TABLES_MAX
       && token.tables[63].len == EXPORTS_STRING_MAX && token.revoked != 0,
       "it is read");

    exports_env_close(env);
}


/* the map is full: at every point of a transaction */

#define FULL_STORES  10

typedef struct {
    unsigned    rounds;
    unsigned    puts;       /* that met a full map */
    unsigned    commits;
} full_t;

static void
fill_store(exports_env_t *env, full_t *f)
{
    char               id[32], key[1025];
    spec_t             spec;
    uint64_t           sum;
    unsigned           i, n;
    exports_rc_t       rc;
    exports_writer_t  *w;

    memset(key, 'k', sizeof(key) - 1);
    key[1024] = '\0';

    for (n = 0; n < f->rounds; n++) {
        sum = store_sum(env);
        w = begin_writer(env);
        rc = EXPORTS_OK;

        /* the lists follow at the commit, or after many changes */

        for (i = 0; i < (n % 8 ? 1 + n % 4 : 60) && rc == EXPORTS_OK; i++) {
            (void) snprintf(id, sizeof(id), "u-%u", below(200));

            /* around the point where it is full, by steps of all sizes */

            if (below(2 * f->rounds) < n) {
                rc = delete(w, EXPORTS_USER, "1", id);

                if (rc == EXPORTS_NOT_FOUND) {
                    rc = EXPORTS_OK;
                }

                continue;
            }

            key[1 + below(1000)] = '\0';

            spec = user_spec("1", id, TEST_TIME + below(1000));
            spec.storage_key = key;
            rc = put_spec(w, &spec, NULL, &error);
            memset(key, 'k', sizeof(key) - 1);
        }

        if (rc == EXPORTS_OK) {
            rc = exports_writer_commit(w, &error);
            f->commits += (rc == EXPORTS_FULL);

        } else {
            exports_writer_abort(w);
            f->puts += (rc == EXPORTS_FULL);
        }

        check(rc == EXPORTS_OK || rc == EXPORTS_FULL, "%s: %s", rc_name(rc),
              error.text);

        if (rc != EXPORTS_OK) {
            check(store_sum(env) == sum, "something has changed");
            check(strstr(error.text, "give a larger --map-size") != NULL,
                  "%s", error.text);
        }
    }
}


static void
full(void)
{
    full_t                  f;
    spec_t                  spec;
    uint64_t                sum;
    unsigned                i;
    exports_rc_t            rc;
    exports_env_t          *env;
    exports_env_options_t   options;

    sum = 0;

    memset(&options, 0, sizeof(options));
    options.flags = EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE
                    |EXPORTS_ENV_NOMETASYNC;
    options.group = (gid_t) -1;

    memset(&f, 0, sizeof(f));
    f.rounds = rounds(60, 30);

    /* a store that is full stays full, with as many pages left, or none: each
       of several is so in its own way */

    for (i = 0; i < FULL_STORES; i++) {
        options.path = in_dir("full-%u", i);
        options.map_size = 256 * 1024;

        rc = exports_env_open(&env, &options, &error);
        must(rc == EXPORTS_OK, "%s", error.text);

        fill_store(env, &f);

        check(store_faults(env) == 0, "store %u is not sound", i);
        sum = store_sum(env);
        exports_env_close(env);
    }

    checked("a full map leaves a store as it was");
    ok(f.puts > 0 && f.commits > 0, "the map was full: %u puts, %u commits",
       f.puts, f.commits);

    options.map_size = 4 * 1024 * 1024;
    rc = exports_env_open(&env, &options, &error);
    must(rc == EXPORTS_OK, "%s", error.text);

    ok(store_sum(env) == sum, "the same in a larger map");

    spec = user_spec("1", "more", TEST_TIME);
    store_spec(env, &spec);
    is_int(store_faults(env), 0, "which takes more");

    exports_env_close(env);
}


/* a page of ranks claims that it is being written: the text says which database
   is damaged, and what to do */

static void
damaged_ranks(void)
{
    int                fd;
    char               file[4300], id[32];
    spec_t             spec;
    tree_t             tree;
    MDB_txn           *txn;
    MDB_stat           st;
    uint16_t           flags;
    unsigned           i;
    const char        *dir;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    dir = in_dir("ranks");
    env = new_store(dir);
    w = begin_writer(env);

    for (i = 0; i < 200; i++) {
        (void) snprintf(id, sizeof(id), "u-%u", i);
        spec = user_spec("1", id, TEST_TIME + i);
        rc = put_spec(w, &spec, NULL, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }

    commit_writer(w);

    txn = raw_begin(env);
    must(raw_get(txn, env->names, EXPORTS_DB_RANKS, strlen(EXPORTS_DB_RANKS),
                 &tree, sizeof(tree))
         == sizeof(tree), "the record of ranks");
    must(mdb_env_stat(env->mdb, &st) == 0 && tree.root != NO_PAGE, "its root");
    mdb_txn_abort(txn);

    (void) snprintf(file, sizeof(file), "%s/data.mdb", dir);
    fd = open(file, O_WRONLY);
    flags = (uint16_t) ((tree.depth > 1 ? BRANCH_FLAG : LEAF_FLAG) | 0x10);
    must(fd != -1
         && pwrite(fd, &flags, sizeof(flags),
                   (off_t) (tree.root * st.ms_psize
                            + offsetof(page_header_t, flags)))
            == sizeof(flags), "%s: %s", file, strerror(errno));
    (void) close(fd);

    w = begin_writer(env);
    spec = user_spec("1", "u-500", TEST_TIME + 500);
    rc = put_spec(w, &spec, NULL, &error);
    must(rc == EXPORTS_OK, "%s", error.text);

    rc = exports_writer_commit(w, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "a damaged page of ranks");
    has_str(error.text, "other entries of ranks may be lost", "is named");

    exports_env_close(env);
}


/* files that are no longer those that were opened */

static void
copy_file(const char *from, const char *to)
{
    char     buf[65536];
    int      in, out;
    ssize_t  n;

    in = open(from, O_RDONLY);
    out = open(to, O_WRONLY|O_CREAT, 0640);
    must(in != -1 && out != -1, "copying %s: %s", from, strerror(errno));

    while ((n = read(in, buf, sizeof(buf))) > 0) {
        must(write(out, buf, (size_t) n) == n, "writing");
    }

    (void) close(in);
    (void) close(out);
}


static void
stale_case(const char *what, const char *change)
{
    char               data[4300], lock[4300], copy[4300], moved[4300];
    spec_t             spec;
    const char        *dir;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    dir = in_dir("stale-%s", change);

    (void) snprintf(data, sizeof(data), "%s/data.mdb", dir);
    (void) snprintf(lock, sizeof(lock), "%s/lock.mdb", dir);
    (void) snprintf(copy, sizeof(copy), "%s/copy.mdb", dir);
    (void) snprintf(moved, sizeof(moved), "%s/moved.mdb", dir);

    env = new_store(dir);
    spec = project_spec("alpha", "exp_1", TEST_TIME);
    store_spec(env, &spec);
    copy_file(data, copy);
    spec.id = "exp_2";
    store_spec(env, &spec);

    if (strcmp(change, "rename") == 0) {
        must(rename(copy, data) == 0, "rename");

    } else if (strcmp(change, "no-data") == 0) {
        must(unlink(data) == 0, "unlink");

    } else if (strcmp(change, "no-lock") == 0) {
        must(unlink(lock) == 0, "unlink");

    } else if (strcmp(change, "new-lock") == 0) {
        must(rename(lock, moved) == 0, "rename");
        copy_file(moved, lock);

    } else {
        copy_file(copy, data);
    }

    rc = exports_writer_begin(&w, env, &error);
    is_rc(rc, EXPORTS_STALE, &error, "%s", what);
    has_str(error.text, dir, "the text names the store");

    if (rc == EXPORTS_OK) {
        exports_writer_abort(w);
    }

    exports_env_close(env);
}


static void
stale(void)
{
    stale_case("data.mdb renamed over", "rename");
    stale_case("data.mdb deleted", "no-data");
    stale_case("lock.mdb deleted", "no-lock");
    stale_case("lock.mdb replaced", "new-lock");
    stale_case("data.mdb overwritten with an older copy", "copied");
}


/* several processes, some of which die in a transaction */

static void
write_many(const char *path, unsigned writer, unsigned n, int dies)
{
    char               id[32];
    spec_t             spec;
    unsigned           i;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    env = open_store(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_NOMETASYNC);

    for (i = 0; i < n; i++) {
        (void) snprintf(id, sizeof(id), "u-%u-%u", writer, i);
        spec = user_spec(i % 2 == 0 ? "shared" : id, id, TEST_TIME + i);

        w = begin_writer(env);
        rc = put_spec(w, &spec, NULL, &error);
        must(rc == EXPORTS_OK, "%s", error.text);

        if (dies && i == n / 2) {
            (void) kill(getpid(), SIGKILL);
        }

        commit_writer(w);
    }

    exports_env_close(env);
}


static void
processes(void)
{
    pid_t              pids[6];
    unsigned           i, n;
    uint64_t           before;
    exports_rc_t       rc;
    const char        *path;
    exports_env_t     *env;
    exports_reader_t  *reader;
    exports_verify_t   result;

    n = rounds(60, 40);
    path = in_dir("processes");
    env = new_store(path);

    for (i = 0; i < 6; i++) {
        pids[i] = fork_child();

        if (pids[i] == 0) {
            write_many(path, i, n, i >= 4);
            _exit(0);
        }
    }

    before = 0;
    reader = open_reader(env);

    /* as long as they write */

    for (i = 0; i < 6; i++) {
        int              status;
        exports_scope_t  scope;

        do {
            renew_reader(reader);

            if (exports_read_scope(reader, EXPORTS_USER, "shared", 6, &scope)
                == EXPORTS_OK)
            {
                check(scope.revision >= before, "the revision went down");
                before = scope.revision;
            }

            rc = exports_verify(reader, &result, show_fault, NULL, NULL);
            check(rc == EXPORTS_OK && result.faults == 0, "%s, %" PRIu64
                  " faults", rc_name(rc), result.faults);

            exports_reader_reset(reader);

        } while (waitpid(pids[i], &status, WNOHANG) == 0);

        check(i < 4 ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                    : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
              "child %u: status %x", i, (unsigned) status);
    }

    checked("what a reader sees while six processes write is sound");

    renew_reader(reader);
    rc = exports_verify(reader, &result, show_fault, NULL, NULL);
    ok(rc == EXPORTS_OK && result.faults == 0, "at the end, too");
    is_int(result.manifests, 4 * n + 2 * (n / 2),
           "every commit is there, and nothing of those who died");

    exports_reader_close(reader);
    exports_env_close(env);
}


int
main(void)
{
    random_seed();

    put_and_delete();
    uuid_conflict();
    tie_conflict();
    revisions();
    counts();
    scopes_before_commit();
    many_scopes();
    checkpoints();
    tokens();
    damaged();
    large_token();
    full();
    damaged_ranks();
    stale();
    processes();

    return done_testing();
}
