
/*
 * fixture.h: what the unit tests of the store share.
 *
 * Random numbers from a seed that is printed, a directory that is removed at
 * the end, stores in it, and manifests.
 *
 *   EXPORTS_TEST_SEED=N    the seed of a run that failed
 *   EXPORTS_TEST_ROUNDS=N  N times as many rounds of the random tests
 */

#ifndef FIXTURE_H
#define FIXTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exports_page.h"
#include "exports_private.h"
#include "exports_time.h"
#include "exports_verify.h"
#include "exports_writer.h"
#include "tap.h"


#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED  1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED  1
#endif
#endif

#ifndef SANITIZED
#define SANITIZED  0
#endif


/* a map that tests fill without taking the machine's address space */
#define TEST_MAP_SIZE  ((size_t) 1 << 30)

/* 2026-06-02T01:23:45Z */
#define TEST_TIME      1780363425000000ULL

/* of EXPORTS_TEST_ROUNDS: more is taken for 1 */
#define ROUNDS_MAX     10000


typedef struct {
    exports_kind_t  kind;
    const char     *scope;
    const char     *id;
    uint64_t        created;
    const char     *status;
    const char     *type;           /* or the table */
    const char     *subject_type;   /* NULL: no subject */
    long long       subject_id;
    unsigned long   version;        /* goes in as row_count */
    const char     *storage_key;    /* NULL: the id */
} spec_t;


static uint64_t  random_state;
static char      test_dir[4096];
static pid_t     test_pid;


/* splitmix64 */

static inline uint64_t
rnd(void)
{
    uint64_t  z;

    z = (random_state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;

    return z ^ (z >> 31);
}


/* 0 to n - 1 */

static inline unsigned
below(unsigned n)
{
    must(n > 0, "there is no number below 0");

    return (unsigned) (rnd() % n);
}


static inline int
chance(unsigned percent)
{
    return below(100) < percent;
}


/* good until the next call */

static inline const char *
type_name(unsigned n)
{
    static char  name[16];

    (void) snprintf(name, sizeof(name), "type%u", n);

    return name;
}


static inline void
random_bytes(void *p, size_t len)
{
    size_t    i;
    uint8_t  *bytes = p;

    for (i = 0; i < len; i++) {
        bytes[i] = (uint8_t) rnd();
    }
}


static inline void
random_seed(void)
{
    uint64_t     seed;
    const char  *text;

    text = getenv("EXPORTS_TEST_SEED");

    seed = text != NULL ? strtoull(text, NULL, 10)
                        : (exports_time_now() ^ (uint64_t) getpid() << 40)
                          % 1000000000000ULL;

    note("EXPORTS_TEST_SEED=%" PRIu64, seed);

    random_state = seed;
    tap.seed = seed;
}


/* rounds of a random test: those of a usual run, and of a sanitized one */

static inline unsigned
rounds(unsigned plain, unsigned sanitized)
{
    long         n;
    const char  *text;

    text = getenv("EXPORTS_TEST_ROUNDS");
    n = text != NULL ? strtol(text, NULL, 10) : 1;

    if (n < 1 || n > ROUNDS_MAX) {
        n = 1;
    }

    return (SANITIZED ? sanitized : plain) * (unsigned) n;
}


/*
 * Is there another round: of a test that has to have met something, chance may
 * need more rounds than it usually has.
 */

static inline int
goes_on(unsigned round, unsigned least, int met)
{
    return round < least || (!met && round < 100 * least);
}


static inline int
remove_visit(const char *path, const struct stat *st, int type,
    struct FTW *ftw)
{
    (void) st;
    (void) type;
    (void) ftw;

    return remove(path);
}


static inline void
remove_tree(const char *path)
{
    (void) nftw(path, remove_visit, 16, FTW_DEPTH|FTW_PHYS);
}


static inline void
remove_test_dir(void)
{
    if (getpid() == test_pid) {
        remove_tree(test_dir);
    }
}


/* a path in the test's directory; good for eight more calls */

__attribute__((format(printf, 1, 2)))
static inline const char *
in_dir(const char *fmt, ...)
{
    size_t           n;
    va_list          args;
    static char      paths[8][4200];
    static unsigned  next;
    char            *path;
    const char      *tmp;

    if (test_dir[0] == '\0') {
        tmp = getenv("TMPDIR");

        (void) snprintf(test_dir, sizeof(test_dir), "%s/exports-unit-XXXXXX",
                        tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
        must(mkdtemp(test_dir) != NULL, "mkdtemp: %s", strerror(errno));

        test_pid = getpid();
        (void) atexit(remove_test_dir);
    }

    path = paths[next++ % 8];
    n = (size_t) snprintf(path, sizeof(paths[0]), "%s/", test_dir);

    va_start(args, fmt);
    (void) vsnprintf(path + n, sizeof(paths[0]) - n, fmt, args);
    va_end(args);

    return path;
}


static inline const char *
rc_name(exports_rc_t rc)
{
    static const char *const  names[] = {
        [EXPORTS_OK] = "OK",
        [EXPORTS_NOT_FOUND] = "NOT_FOUND",
        [EXPORTS_INVALID] = "INVALID",
        [EXPORTS_CONFLICT] = "CONFLICT",
        [EXPORTS_CORRUPT] = "CORRUPT",
        [EXPORTS_MISSING] = "MISSING",
        [EXPORTS_FORMAT] = "FORMAT",
        [EXPORTS_DENIED] = "DENIED",
        [EXPORTS_UNLOCKED] = "UNLOCKED",
        [EXPORTS_STALE] = "STALE",
        [EXPORTS_BUSY] = "BUSY",
        [EXPORTS_FULL] = "FULL",
        [EXPORTS_COMMITTED] = "COMMITTED",
        [EXPORTS_NOMEM] = "NOMEM",
        [EXPORTS_FAILED] = "FAILED"
    };

    return (unsigned) rc < sizeof(names) / sizeof(names[0]) ? names[rc] : "?";
}


/* a code, and the sentence that came with it */

#define is_rc(got, want, error, ...)                                         \
    is_rc_at(got, want, error, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 6, 7)))
static inline int
is_rc_at(exports_rc_t got, exports_rc_t want, const exports_error_t *error,
    const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) tap_line(got == want, file, line, fmt, args);
    va_end(args);

    if (got != want) {
        diag("got %s, not %s: %s", rc_name(got), rc_name(want),
             got != EXPORTS_OK && error != NULL ? error->text : "");
    }

    return got == want;
}


/* opens or makes a store; ends the program when that fails */

static inline exports_env_t *
mapped_store(const char *path, unsigned flags, size_t map_size)
{
    exports_rc_t            rc;
    exports_env_t          *env;
    exports_error_t         error;
    exports_env_options_t   options;

    memset(&options, 0, sizeof(options));
    options.path = path;
    options.map_size = map_size;
    options.flags = flags;
    options.group = (gid_t) -1;

    rc = exports_env_open(&env, &options, &error);
    must(rc == EXPORTS_OK, "opening \"%s\": %s: %s", path, rc_name(rc),
         error.text);

    return env;
}


static inline exports_env_t *
open_store(const char *path, unsigned flags)
{
    return mapped_store(path, flags, TEST_MAP_SIZE);
}


static inline exports_env_t *
new_store(const char *path)
{
    return open_store(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE
                            |EXPORTS_ENV_NOMETASYNC);
}


static inline exports_writer_t *
begin_writer(exports_env_t *env)
{
    exports_rc_t       rc;
    exports_error_t    error;
    exports_writer_t  *w;

    rc = exports_writer_begin(&w, env, &error);
    must(rc == EXPORTS_OK, "beginning to write: %s: %s", rc_name(rc),
         error.text);

    return w;
}


static inline void
commit_writer(exports_writer_t *w)
{
    exports_rc_t     rc;
    exports_error_t  error;

    rc = exports_writer_commit(w, &error);
    must(rc == EXPORTS_OK, "committing: %s: %s", rc_name(rc), error.text);
}


static inline exports_reader_t *
open_reader(exports_env_t *env)
{
    exports_rc_t       rc;
    exports_error_t    error;
    exports_reader_t  *reader;

    rc = exports_reader_open(&reader, env, &error);
    must(rc == EXPORTS_OK, "opening a reader: %s: %s", rc_name(rc),
         error.text);

    return reader;
}


static inline void
renew_reader(exports_reader_t *reader)
{
    exports_rc_t  rc;

    rc = exports_reader_renew(reader);
    must(rc == EXPORTS_OK, "renewing a reader: %s", rc_name(rc));
}


/* one that is ready; the rest may be changed */

static inline spec_t
project_spec(const char *project, const char *id, uint64_t created)
{
    spec_t  spec;

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_PROJECT;
    spec.scope = project;
    spec.id = id;
    spec.created = created;
    spec.status = "ready";
    spec.type = "contacts";

    return spec;
}


/* a manifest of either kind as JSON; returns its length */

static inline size_t
spec_json(char *text, size_t size, const spec_t *spec)
{
    int   n;
    char  time[EXPORTS_TIME_TEXT_MAX + 1], subject[256], key[1200];

    time[exports_time_format(time, spec->created)] = '\0';
    key[0] = '\0';

    if (spec->storage_key != NULL) {
        (void) snprintf(key, sizeof(key), ",\"storage_key\":\"%s\"",
                        spec->storage_key);
    }

    if (spec->kind == EXPORTS_PROJECT) {
        n = snprintf(text, size,
                     "{\"id\":\"%s\",\"kind\":\"table_export\","
                     "\"scope\":\"project\",\"project\":\"%s\","
                     "\"table\":\"%s\",\"format\":\"csv\","
                     "\"download_name\":\"%s.csv\","
                     "\"storage_backend\":\"local\","
                     "\"content_type\":\"text/csv; charset=utf-8\","
                     "\"row_count\":%lu,\"size_bytes\":2048,"
                     "\"status\":\"%s\",\"created_at\":\"%s\"%s}",
                     spec->id, spec->scope, spec->type, spec->type,
                     spec->version, spec->status, time, key);

    } else {
        (void) snprintf(subject, sizeof(subject), "null");

        if (spec->subject_type != NULL) {
            (void) snprintf(subject, sizeof(subject),
                            "{\"type\":\"%s\",\"id\":%lld,\"label\":null}",
                            spec->subject_type, spec->subject_id);
        }

        n = snprintf(text, size,
                     "{\"uuid\":\"%s\",\"type\":\"%s\",\"status\":\"%s\","
                     "\"filename\":\"%s.csv\",\"file_size\":2048,"
                     "\"row_count\":%lu,\"requested_at\":\"%s\","
                     "\"subject\":%s,\"user\":\"%s\"%s}",
                     spec->id, spec->type, spec->status, spec->type,
                     spec->version, time, subject, spec->scope, key);
    }

    must(n > 0 && (size_t) n < size, "a manifest of %d bytes", n);

    return (size_t) n;
}


static inline void
spec_manifest(exports_manifest_t *manifest, const spec_t *spec)
{
    char             text[4096];
    size_t           len;
    exports_rc_t     rc;
    exports_error_t  error;

    len = spec_json(text, sizeof(text), spec);

    rc = exports_manifest_parse(manifest, text, len, &error);
    must(rc == EXPORTS_OK, "%s: %s", error.text, text);
}


static inline exports_rc_t
put_spec(exports_writer_t *w, const spec_t *spec, int *replaced,
    exports_error_t *error)
{
    exports_manifest_t  manifest;

    spec_manifest(&manifest, spec);

    return exports_writer_put(w, &manifest, replaced, error);
}


/* one manifest, one commit */

static inline void
store_spec(exports_env_t *env, const spec_t *spec)
{
    exports_rc_t       rc;
    exports_error_t    error;
    exports_writer_t  *w;

    w = begin_writer(env);

    rc = put_spec(w, spec, NULL, &error);
    must(rc == EXPORTS_OK, "%s: %s", spec->id, error.text);

    commit_writer(w);
}


/* of a scope; ends the program when there is none */

static inline exports_scope_t
stored_scope(exports_env_t *env, exports_kind_t kind, const char *name)
{
    exports_rc_t       rc;
    exports_scope_t    scope;
    exports_reader_t  *reader;

    reader = open_reader(env);
    renew_reader(reader);

    rc = exports_read_scope(reader, kind, name, strlen(name), &scope);
    must(rc == EXPORTS_OK, "scope %s: %s", name, rc_name(rc));

    exports_reader_close(reader);

    return scope;
}


/* LMDB itself, for what the library refuses to do */

static inline MDB_txn *
raw_begin(exports_env_t *env)
{
    int       rc;
    MDB_txn  *txn;

    rc = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    must(rc == 0, "mdb_txn_begin: %s", mdb_strerror(rc));

    return txn;
}


static inline void
raw_commit(MDB_txn *txn)
{
    int  rc;

    rc = mdb_txn_commit(txn);
    must(rc == 0, "mdb_txn_commit: %s", mdb_strerror(rc));
}


/* copies a value; its length, 0 when there is none */

static inline size_t
raw_get(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len, void *buf,
    size_t size)
{
    MDB_val  k, v;

    k.mv_data = (void *) key;
    k.mv_size = key_len;

    if (mdb_get(txn, dbi, &k, &v) != 0) {
        return 0;
    }

    must(v.mv_size <= size, "a value of %zu bytes", v.mv_size);
    memcpy(buf, v.mv_data, v.mv_size);

    return v.mv_size;
}


static inline void
raw_put(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len,
    const void *value, size_t len)
{
    int      rc;
    MDB_val  k, v;

    k.mv_data = (void *) key;
    k.mv_size = key_len;
    v.mv_data = (void *) value;
    v.mv_size = len;

    rc = mdb_put(txn, dbi, &k, &v, 0);
    must(rc == 0, "mdb_put: %s", mdb_strerror(rc));
}


/* value: NULL: all of the key */

static inline void
raw_del(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len,
    const void *value, size_t len)
{
    int      rc;
    MDB_val  k, v;

    k.mv_data = (void *) key;
    k.mv_size = key_len;
    v.mv_data = (void *) value;
    v.mv_size = len;

    rc = mdb_del(txn, dbi, &k, value != NULL ? &v : NULL);
    must(rc == 0, "mdb_del: %s", mdb_strerror(rc));
}


/* the i-th value of a key in its place, without LMDB's putting it into order */

static inline void
raw_overwrite(MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_len,
    unsigned i, const void *value, size_t len)
{
    int          rc;
    MDB_val      k, v;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, dbi, &cursor);
    must(rc == 0, "mdb_cursor_open: %s", mdb_strerror(rc));

    k.mv_data = (void *) key;
    k.mv_size = key_len;

    for (rc = mdb_cursor_get(cursor, &k, &v, MDB_SET); rc == 0 && i > 0; i--) {
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT_DUP);
    }

    must(rc == 0, "mdb_cursor_get: %s", mdb_strerror(rc));

    v.mv_data = (void *) value;
    v.mv_size = len;
    rc = mdb_cursor_put(cursor, &k, &v, MDB_CURRENT);
    must(rc == 0, "mdb_cursor_put: %s", mdb_strerror(rc));

    mdb_cursor_close(cursor);
}


/* flips bits of one byte of a stored value */

static inline void
raw_flip(exports_env_t *env, exports_db_t db, const void *key, size_t key_len,
    size_t at)
{
    size_t    len;
    MDB_txn  *txn;
    uint8_t  *buf;

    buf = malloc(EXPORTS_TOKEN_RECORD_MAX);
    must(buf != NULL, "memory");

    txn = raw_begin(env);
    len = raw_get(txn, env->dbi[db], key, key_len, buf,
                  EXPORTS_TOKEN_RECORD_MAX);
    must(at < len, "a value of %zu bytes", len);

    buf[at] ^= 0x41;
    raw_put(txn, env->dbi[db], key, key_len, buf, len);
    raw_commit(txn);

    free(buf);
}


/* the key of a stored manifest */

static inline void
stored_key(exports_env_t *env, exports_kind_t kind, const char *name,
    const char *id, uint8_t key[EXPORTS_MANIFEST_KEY_LEN])
{
    exports_rc_t       rc;
    exports_scope_t    scope;
    exports_record_t   record;
    exports_reader_t  *reader;

    scope = stored_scope(env, kind, name);

    reader = open_reader(env);
    renew_reader(reader);

    rc = exports_read_manifest(reader, kind, scope.id, id, strlen(id), key,
                               &record);
    must(rc == EXPORTS_OK, "reading %s: %s", id, rc_name(rc));

    exports_reader_close(reader);
}


/* of all that a store holds, to see that nothing has changed */

static inline uint64_t
store_sum(exports_env_t *env)
{
    int          i, rc;
    MDB_val      k, v;
    MDB_txn     *txn;
    uint64_t     sum;
    MDB_cursor  *cursor;

    rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    must(rc == 0, "mdb_txn_begin: %s", mdb_strerror(rc));

    for (sum = 0, i = 0; i < EXPORTS_DB_COUNT; i++) {
        rc = mdb_cursor_open(txn, env->dbi[i], &cursor);
        must(rc == 0, "mdb_cursor_open: %s", mdb_strerror(rc));

        while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
            sum = sum * 0x9e3779b97f4a7c15ULL + (unsigned) i
                  + exports_checksum(k.mv_data, k.mv_size, v.mv_data,
                                     v.mv_size);
        }

        must(rc == MDB_NOTFOUND, "mdb_cursor_get: %s", mdb_strerror(rc));
        mdb_cursor_close(cursor);
    }

    mdb_txn_abort(txn);

    return sum;
}


static inline void
show_fault(void *data, const char *text)
{
    (void) data;
    diag("fault: %s", text);
}


/* verified whole; the number of faults, which are shown */

static inline uint64_t
store_faults(exports_env_t *env)
{
    exports_rc_t       rc;
    exports_error_t    error;
    exports_reader_t  *reader;
    exports_verify_t   result;

    reader = open_reader(env);
    renew_reader(reader);

    rc = exports_verify(reader, &result, show_fault, NULL, &error);
    must(rc == EXPORTS_OK, "verifying: %s", error.text);

    exports_reader_close(reader);

    return result.faults;
}


/* waits for a child; the status of its exit, -1 when a signal ended it */

static inline int
wait_child(pid_t pid)
{
    int  status;

    while (waitpid(pid, &status, 0) == -1) {
        must(errno == EINTR, "waitpid: %s", strerror(errno));
    }

    if (WIFSIGNALED(status)) {
        diag("child %d: signal %d", (int) pid, WTERMSIG(status));
    }

    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}


static inline pid_t
fork_child(void)
{
    pid_t  pid;

    (void) fflush(NULL);

    pid = fork();
    must(pid != -1, "fork: %s", strerror(errno));

    return pid;
}


/* one byte through a pipe, to wait for another process */

static inline void
tell(int fd)
{
    must(write(fd, "", 1) == 1, "write: %s", strerror(errno));
}


static inline void
await(int fd)
{
    char     c;
    ssize_t  n;

    do {
        n = read(fd, &c, 1);
    } while (n == -1 && errno == EINTR);

    must(n == 1, "the other process is gone");
}


#endif /* FIXTURE_H */
