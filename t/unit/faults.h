
/*
 * faults.h: a store of four scopes, and what verify and a repair report of it.
 */

#ifndef FAULTS_H
#define FAULTS_H

#include "fixture.h"

#include "exports_mdb_layout.h"


#define NSCOPES  4
#define NITEMS   12         /* manifests of each scope */

static const struct {
    exports_kind_t   kind;
    const char      *name;
} scopes[NSCOPES] = {
    { EXPORTS_PROJECT, "alpha" },
    { EXPORTS_USER, "41" },
    { EXPORTS_PROJECT, "beta" },
    { EXPORTS_USER, "42" }
};


static exports_error_t   error;
static exports_verify_t  result;
static char              faults[256][EXPORTS_ERROR_TEXT];
static unsigned          nfaults;
static unsigned          nstores;


static inline void
keep_fault(void *data, const char *text)
{
    (void) data;

    if (nfaults < 256) {
        (void) snprintf(faults[nfaults], sizeof(faults[0]), "%s", text);
    }

    nfaults++;
}


/* none of a project closes a block */

static inline const char *
item_id(unsigned scope, unsigned n)
{
    static char      ids[4][32];
    static unsigned  next;
    char            *id;

    id = ids[next++ % 4];

    (void) snprintf(id, sizeof(ids[0]),
                    scopes[scope].kind == EXPORTS_PROJECT ? "exp_a%u_%u"
                                                          : "u-%u-%u",
                    scope, n);

    return id;
}


static inline void
item_spec(spec_t *spec, unsigned scope, unsigned n)
{
    static const char *const  statuses[] = { "ready", "failed", "pending" };

    memset(spec, 0, sizeof(spec_t));
    spec->kind = scopes[scope].kind;
    spec->scope = scopes[scope].name;
    spec->id = item_id(scope, n);
    spec->created = TEST_TIME + n / 3;
    spec->type = n % 2 == 0 ? "contacts" : "orders";
    spec->status = "ready";

    if (spec->kind == EXPORTS_USER) {
        spec->status = statuses[n % 3];

        if (n % 4 != 0) {
            spec->subject_type = "company";
            spec->subject_id = n % 5;
        }
    }
}


static inline void
put_tokens(exports_writer_t *w)
{
    char                   text[256];
    int                    n;
    unsigned               i;
    exports_rc_t           rc;
    exports_token_line_t   line;

    for (i = 0; i < NSCOPES; i++) {
        n = snprintf(text, sizeof(text), "{\"sha256\":\"%064u\",\"%s\":"
                     "\"%s\"}", i, exports_kind_name(scopes[i].kind),
                     scopes[i].name);

        rc = exports_token_parse(&line, text, (size_t) n, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
        rc = exports_writer_put_token(w, &line, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }
}


static inline exports_env_t *
sound_store(void)
{
    spec_t             spec;
    unsigned           s, i;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    env = new_store(in_dir("store-%u", ++nstores));
    w = begin_writer(env);

    for (s = 0; s < NSCOPES; s++) {
        for (i = 0; i < NITEMS; i++) {
            item_spec(&spec, s, i);
            rc = put_spec(w, &spec, NULL, &error);
            must(rc == EXPORTS_OK, "%s", error.text);
        }
    }

    put_tokens(w);
    commit_writer(w);

    return env;
}


static inline void
close_store(exports_env_t *env)
{
    char  path[4300];

    (void) snprintf(path, sizeof(path), "%s", exports_env_path(env));
    exports_env_close(env);
    remove_tree(path);
}


static inline unsigned
verify(exports_env_t *env)
{
    exports_rc_t       rc;
    exports_reader_t  *reader;

    nfaults = 0;
    reader = open_reader(env);
    renew_reader(reader);

    rc = exports_verify(reader, &result, keep_fault, NULL, &error);
    must(rc == EXPORTS_OK, "verifying: %s", error.text);

    exports_reader_close(reader);

    if (result.faults != nfaults) {
        fail("%" PRIu64 " faults, but %u were reported", result.faults,
             nfaults);
    }

    return nfaults;
}


static inline unsigned
repair(exports_env_t *env)
{
    exports_rc_t       rc;
    exports_writer_t  *w;

    nfaults = 0;
    w = begin_writer(env);

    rc = exports_repair(w, &result, keep_fault, NULL, &error);
    must(rc == EXPORTS_OK, "repairing: %s", error.text);

    commit_writer(w);

    return nfaults;
}


/* the number of faults whose text has all that */

static inline unsigned
reported(const char *text, const char *more)
{
    unsigned  i, n;

    for (n = 0, i = 0; i < nfaults; i++) {
        n += strstr(faults[i], text) != NULL
             && (more == NULL || strstr(faults[i], more) != NULL);
    }

    return n;
}


static inline void
show_faults(void)
{
    unsigned  i;

    for (i = 0; i < nfaults && i < 20; i++) {
        diag("fault: %s", faults[i]);
    }
}


static inline void
key_of(exports_env_t *env, unsigned scope, unsigned n, uint8_t *key)
{
    stored_key(env, scopes[scope].kind, scopes[scope].name, item_id(scope, n),
               key);
}


static inline uint64_t
revision(exports_env_t *env, unsigned scope)
{
    return stored_scope(env, scopes[scope].kind, scopes[scope].name).revision;
}


/*
 * A store with one fault: so many reports, which a repair ends, and the
 * revision of that scope alone goes up; -1: of none.
 */

static inline void
mended(exports_env_t *env, unsigned count, int scope, unsigned left,
    const char *name)
{
    unsigned  i;
    uint64_t  before[NSCOPES];

    for (i = 0; i < NSCOPES; i++) {
        before[i] = revision(env, i);
    }

    if (!is_int(verify(env), count, "%s: faults", name)) {
        show_faults();
    }

    is_int(repair(env), count, "%s: the repair reports the same", name);
    is_int(result.repaired, count, "%s: and mends them", name);

    if (!is_int(verify(env), 0, "%s: then there are none", name)) {
        show_faults();
    }

    is_int(result.manifests, left, "%s: manifests that are left", name);
    is_int(result.ids, left, "%s: as many ids", name);

    for (i = 0; i < NSCOPES; i++) {
        if ((int) i == scope) {
            check(revision(env, i) > before[i], "scope %u: no new revision",
                  i);
        } else {
            check(revision(env, i) == before[i], "scope %u: a new revision",
                  i);
        }
    }

    checked("%s: the revision of what changed", name);

    close_store(env);
}


/* in the leaf of a transaction: the node of a key that has been written */

static inline uint8_t *
node_of(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t len)
{
    MDB_val      k, v;
    MDB_cursor  *cursor;

    must(mdb_cursor_open(txn, dbi, &cursor) == 0, "a cursor");

    k.mv_data = (void *) key;
    k.mv_size = len;
    must(mdb_cursor_get(cursor, &k, &v, MDB_SET_KEY) == 0, "the key");
    mdb_cursor_close(cursor);

    return (uint8_t *) k.mv_data - NODE_HEADER;
}

#endif
