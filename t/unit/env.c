
/*
 * exports_env.c, exports_files.c, exports_mdb.c: opening, and what is done to
 * the files.
 */

#include "fixture.h"

#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "exports_mdb_layout.h"
#include "exports_text.h"


#define NOBODY  65534


static exports_error_t  error;


static exports_rc_t
try_open(exports_env_t **env, const char *path, unsigned flags,
    const uint8_t *lineage)
{
    exports_env_options_t  options;

    memset(&options, 0, sizeof(options));
    memset(&error, 0, sizeof(error));
    options.path = path;
    options.map_size = TEST_MAP_SIZE;
    options.flags = flags;
    options.lineage = lineage;
    options.group = (gid_t) -1;

    *env = NULL;

    return exports_env_open(env, &options, &error);
}


/* an open that must fail, with both fragments in its text */

#define refused(path, flags, want, a, b, ...)                                \
    refused_at(path, flags, want, a, b, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 8, 9)))
static void
refused_at(const char *path, unsigned flags, exports_rc_t want, const char *a,
    const char *b, const char *file, int line, const char *fmt, ...)
{
    char            name[256];
    va_list         args;
    exports_rc_t    rc;
    exports_env_t  *env;

    va_start(args, fmt);
    (void) vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);

    rc = try_open(&env, path, flags, NULL);

    if (rc == EXPORTS_OK) {
        exports_env_close(env);
    }

    (void) is_rc_at(rc, want, &error, file, line, "%s", name);

    if (rc != EXPORTS_OK) {
        (void) tap_has_str(error.text, a, file, line, "%s: the text", name);

        if (b != NULL) {
            (void) tap_has_str(error.text, b, file, line, "%s: and", name);
        }
    }
}


static unsigned
mode_of(const char *path)
{
    struct stat  st;

    must(stat(path, &st) == 0, "stat %s: %s", path, strerror(errno));

    return st.st_mode & 07777;
}


static void
some_spec(spec_t *spec, const char *id)
{
    memset(spec, 0, sizeof(spec_t));
    spec->kind = EXPORTS_PROJECT;
    spec->scope = "alpha";
    spec->id = id;
    spec->created = TEST_TIME;
    spec->status = "ready";
    spec->type = "contacts";
}


static void
modes(void)
{
    mode_t                  mask;
    unsigned                i;
    const char             *path;
    exports_rc_t            rc;
    exports_env_t          *env;
    struct stat             st;
    exports_env_options_t   options;
    static const mode_t     masks[] = { 077, 022, 0777, 0 };

    for (i = 0; i < 4; i++) {

        /* what its owner may not look into, only root can */

        if (masks[i] == 0777 && geteuid() != 0) {
            continue;
        }

        path = in_dir("modes-%03o", (unsigned) masks[i]);

        mask = umask(masks[i]);
        env = new_store(path);
        (void) umask(mask);

        exports_env_close(env);

        is_int(mode_of(path), 02770, "umask %03o: the directory",
               (unsigned) masks[i]);
        is_int(mode_of(in_dir("modes-%03o/data.mdb", (unsigned) masks[i])),
               0640, "umask %03o: data.mdb", (unsigned) masks[i]);
        is_int(mode_of(in_dir("modes-%03o/lock.mdb", (unsigned) masks[i])),
               0660, "umask %03o: lock.mdb", (unsigned) masks[i]);
    }

    /* a directory that is there stays what it is */

    path = in_dir("modes-dir");
    must(mkdir(path, 0700) == 0 && chmod(path, 0711) == 0, "mkdir");
    exports_env_close(new_store(path));
    is_int(mode_of(path), 0711, "a directory that was there");

    /* a lock file that was left behind is a new store's as it must be */

    path = in_dir("modes-left");
    must(mkdir(path, 0700) == 0
         && mknod(in_dir("modes-left/lock.mdb"), S_IFREG|0600, 0) == 0,
         "a lock file");
    exports_env_close(new_store(path));
    is_int(mode_of(in_dir("modes-left/lock.mdb")), 0660,
           "a lock file that was there");

    /* a lock file that is missing is made anew, by a reader too */

    path = in_dir("modes-022/lock.mdb");
    must(unlink(path) == 0, "unlink");
    mask = umask(077);
    env = open_store(in_dir("modes-022"), 0);
    (void) umask(mask);
    exports_env_close(env);
    is_int(mode_of(path), 0660, "a lock file made by a reader, umask 077");

    if (geteuid() != 0) {
        return;
    }

    memset(&options, 0, sizeof(options));
    options.path = in_dir("modes-group");
    options.map_size = TEST_MAP_SIZE;
    options.flags = EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE;
    options.group = NOBODY;

    rc = exports_env_open(&env, &options, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    exports_env_close(env);

    ok(stat(options.path, &st) == 0 && st.st_gid == NOBODY
       && (st.st_mode & 07777) == 02770, "group of the directory");
    ok(stat(in_dir("modes-group/data.mdb"), &st) == 0 && st.st_gid == NOBODY
       && (st.st_mode & 07777) == 0640, "group of data.mdb");
    ok(stat(in_dir("modes-group/lock.mdb"), &st) == 0 && st.st_gid == NOBODY
       && (st.st_mode & 07777) == 0660, "group of lock.mdb");
}


static void
lineages(void)
{
    char            text[EXPORTS_LINEAGE_TEXT_LEN + 1];
    uint8_t         given[EXPORTS_LINEAGE_LEN], first[EXPORTS_LINEAGE_LEN];
    const char     *path;
    exports_rc_t    rc;
    exports_env_t  *env;

    path = in_dir("random");
    env = new_store(path);
    memcpy(first, exports_env_lineage(env), sizeof(first));
    ok((first[6] & 0xf0) == 0x40 && (first[8] & 0xc0) == 0x80,
       "a random lineage is a UUID of version 4");
    is_str(strrchr(exports_env_path(env), '/'), "/random", "its path");
    exports_env_close(env);

    env = open_store(path, 0);
    is_mem(exports_env_lineage(env), sizeof(first), first, sizeof(first),
           "it stays");
    exports_env_close(env);

    env = new_store(path);
    is_mem(exports_env_lineage(env), sizeof(first), first, sizeof(first),
           "creating what is there changes nothing");
    exports_env_close(env);

    env = new_store(in_dir("another"));
    ok(memcmp(exports_env_lineage(env), first, sizeof(first)) != 0,
       "another store has another one");
    exports_env_close(env);

    random_bytes(given, sizeof(given));
    path = in_dir("given");

    rc = try_open(&env, path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, given);
    is_rc(rc, EXPORTS_OK, &error, "a lineage given");
    is_mem(exports_env_lineage(env), sizeof(given), given, sizeof(given),
           "is the store's");
    exports_env_close(env);

    rc = try_open(&env, path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, given);
    is_rc(rc, EXPORTS_OK, &error, "the same given again");
    exports_env_close(env);

    given[3] ^= 1;
    rc = try_open(&env, path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, given);
    is_rc(rc, EXPORTS_CONFLICT, &error, "another one given");

    given[3] ^= 1;
    exports_uuid_unparse(text, given);
    text[EXPORTS_LINEAGE_TEXT_LEN] = '\0';
    has_str(error.text, text, "the text has the store's");

    refused(path, EXPORTS_ENV_WRITE, EXPORTS_OK, "", NULL,
            "none given: any will do");
}


static void
flags(void)
{
    const char  *path = in_dir("flags");

    refused(path, EXPORTS_ENV_CREATE, EXPORTS_INVALID, "flags",
            "has to be opened to write", "CREATE without WRITE");
    refused(path, EXPORTS_ENV_CREATE|EXPORTS_ENV_WRITE|EXPORTS_ENV_IMMUTABLE,
            EXPORTS_INVALID, "flags", "is immutable",
            "CREATE, WRITE, IMMUTABLE");
    refused(path, EXPORTS_ENV_CREATE|EXPORTS_ENV_IMMUTABLE, EXPORTS_INVALID,
            "flags", "is immutable", "CREATE, IMMUTABLE");
    ok(access(path, F_OK) == -1, "nothing is made");

    exports_env_close(new_store(path));
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_IMMUTABLE, EXPORTS_INVALID,
            "flags", "is immutable", "WRITE, IMMUTABLE");
}


static void
missing(void)
{
    const char  *path;
    int          fd;

    refused(in_dir("nowhere"), 0, EXPORTS_MISSING, "nowhere", NULL,
            "no directory");
    refused(in_dir("nowhere"), EXPORTS_ENV_WRITE, EXPORTS_MISSING, "nowhere",
            NULL, "no directory, for writing");
    refused(in_dir("nowhere"), EXPORTS_ENV_IMMUTABLE, EXPORTS_MISSING,
            "nowhere", NULL, "no directory, immutable");
    ok(access(in_dir("nowhere"), F_OK) == -1, "none was made");

    path = in_dir("empty");
    must(mkdir(path, 0755) == 0, "mkdir");
    refused(path, 0, EXPORTS_MISSING, "data.mdb", NULL, "no data file");
    ok(access(in_dir("empty/lock.mdb"), F_OK) == -1, "no lock file was made");

    path = in_dir("file");
    fd = open(path, O_CREAT|O_WRONLY, 0644);
    must(fd != -1 && close(fd) == 0, "open");
    refused(path, 0, EXPORTS_MISSING, path, NULL, "a file, no directory");

    path = in_dir("dangling");
    must(symlink("nothing", path) == 0, "symlink");
    refused(path, 0, EXPORTS_MISSING, path, NULL, "a symlink to nothing");

    /* something is there, but what it is cannot be told */

    path = in_dir("round");
    must(symlink(path, path) == 0, "symlink");
    refused(path, 0, EXPORTS_FAILED, path, strerror(ELOOP), "a symlink's loop");

    path = in_dir("turning");
    must(mkdir(path, 0700) == 0
         && symlink("data.mdb", in_dir("turning/data.mdb")) == 0, "symlink");
    refused(path, 0, EXPORTS_FAILED, path, strerror(ELOOP),
            "a data file that is one");
    refused(path, EXPORTS_ENV_WRITE, EXPORTS_FAILED, path, strerror(ELOOP),
            "a data file that is one, to write");

    refused(in_dir("a/b/c"), EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE,
            EXPORTS_FAILED, "cannot be created", NULL,
            "creating below nothing");
}


/* LMDB files that are not stores */

static void
plain_lmdb(const char *path, const char *name, unsigned flags)
{
    int       rc;
    MDB_dbi   dbi;
    MDB_env  *mdb;
    MDB_txn  *txn;
    MDB_val   k, v;

    must(mkdir(path, 0755) == 0, "mkdir: %s", strerror(errno));

    rc = mdb_env_create(&mdb);
    must(rc == 0, "%s", mdb_strerror(rc));

    (void) mdb_env_set_maxdbs(mdb, 8);

    rc = mdb_env_open(mdb, path, 0, 0644);
    must(rc == 0, "%s", mdb_strerror(rc));

    rc = mdb_txn_begin(mdb, NULL, 0, &txn);
    must(rc == 0, "%s", mdb_strerror(rc));

    rc = mdb_dbi_open(txn, name, name != NULL ? MDB_CREATE|flags : 0, &dbi);
    must(rc == 0, "%s", mdb_strerror(rc));

    k.mv_data = "key";
    k.mv_size = 3;
    v.mv_data = "value";
    v.mv_size = 5;

    rc = mdb_put(txn, dbi, &k, &v, 0);
    must(rc == 0, "%s", mdb_strerror(rc));

    rc = mdb_txn_commit(txn);
    must(rc == 0, "%s", mdb_strerror(rc));

    mdb_env_close(mdb);
}


/* as LMDB leaves it before a first commit */

static void
begun_lmdb(const char *path)
{
    int       rc;
    MDB_env  *mdb;

    must(mkdir(path, 0755) == 0, "mkdir: %s", strerror(errno));

    rc = mdb_env_create(&mdb);
    must(rc == 0, "%s", mdb_strerror(rc));

    rc = mdb_env_open(mdb, path, 0, 0644);
    must(rc == 0, "%s", mdb_strerror(rc));

    mdb_env_close(mdb);
}


static void
not_stores(void)
{
    const char  *path;

    path = in_dir("begun");
    begun_lmdb(path);
    refused(path, 0, EXPORTS_MISSING, "not there yet", path,
            "an LMDB file with nothing in it");
    refused(path, EXPORTS_ENV_WRITE, EXPORTS_MISSING, "not there yet", path,
            "an LMDB file with nothing in it, for writing");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_OK, "", NULL,
            "an LMDB file with nothing in it, creating");

    path = in_dir("plain");
    plain_lmdb(path, NULL, 0);
    refused(path, 0, EXPORTS_FORMAT, "not a store", path,
            "an LMDB file of others");
    refused(path, EXPORTS_ENV_WRITE, EXPORTS_FORMAT, "not a store", path,
            "an LMDB file of others, for writing");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FORMAT,
            "not a store", path, "creating into an LMDB file of others");
    refused(path, 0, EXPORTS_FORMAT, "not a store", path, "it stays one");

    path = in_dir("named");
    plain_lmdb(path, "others", MDB_DUPSORT);
    refused(path, 0, EXPORTS_FORMAT, "no database \"meta\"", path,
            "databases of others");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FORMAT,
            "not a store", path, "creating among databases of others");

    path = in_dir("kind");
    plain_lmdb(path, "meta", MDB_DUPSORT);
    refused(path, 0, EXPORTS_FORMAT, "\"meta\" is of another kind", path,
            "a database of another kind");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FORMAT, path,
            NULL, "creating over a database of another kind");

    path = in_dir("integer");
    plain_lmdb(path, "scopes", MDB_INTEGERKEY);
    refused(path, 0, EXPORTS_FORMAT, "not a store", path,
            "no database \"meta\"");
}


/* what meta says */

static void
put_meta(exports_env_t *env, const char *name, const void *value, size_t len,
    int damaged)
{
    uint8_t   buf[64];
    MDB_txn  *txn;

    memcpy(buf, value, len);
    exports_put64(buf + len, exports_checksum(name, strlen(name), value, len));
    buf[len] ^= (uint8_t) damaged;

    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_META], name, strlen(name), buf, len + 8);
    raw_commit(txn);
}


static void
formats(void)
{
    uint8_t         version[8];
    const char     *path;
    MDB_txn        *txn;
    exports_env_t  *env;

    path = in_dir("newer");
    env = new_store(path);
    exports_put64(version, EXPORTS_FORMAT_VERSION + 1);
    put_meta(env, "format", version, 8, 0);
    exports_env_close(env);
    refused(path, 0, EXPORTS_FORMAT, "is of store format 3", path,
            "a newer format");
    refused(path, EXPORTS_ENV_WRITE, EXPORTS_FORMAT, "knows format 2", path,
            "a newer format, for writing");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FORMAT,
            "is of store format 3", path, "a newer format, creating");

    /* as it was before there was "ranks" */

    path = in_dir("first");
    env = new_store(path);
    exports_put64(version, 1);
    put_meta(env, "format", version, 8, 0);
    txn = raw_begin(env);
    must(mdb_drop(txn, env->dbi[DB_RANKS], 1) == 0, "mdb_drop");
    raw_commit(txn);
    exports_env_close(env);
    refused(path, 0, EXPORTS_FORMAT, "is of store format 1", path,
            "an older format");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FORMAT,
            "is of store format 1", path, "an older format, creating");

    path = in_dir("older");
    env = new_store(path);
    exports_put64(version, 0);
    put_meta(env, "format", version, 8, 0);
    exports_env_close(env);
    refused(path, 0, EXPORTS_FORMAT, "is of store format 0", path,
            "an impossible format");

    path = in_dir("damaged-format");
    env = new_store(path);
    exports_put64(version, 1);
    put_meta(env, "format", version, 8, 1);
    exports_env_close(env);
    refused(path, 0, EXPORTS_FORMAT, "format version cannot be read", path,
            "a format that is damaged");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FORMAT,
            "format version cannot be read", path,
            "a format that is damaged, creating");

    path = in_dir("short-format");
    env = new_store(path);
    put_meta(env, "format", version, 7, 0);
    exports_env_close(env);
    refused(path, 0, EXPORTS_FORMAT, "format version cannot be read", path,
            "a format of 7 bytes");

    path = in_dir("no-format");
    env = new_store(path);
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_META], "format", 6, NULL, 0);
    raw_commit(txn);
    exports_env_close(env);
    refused(path, 0, EXPORTS_FORMAT, "format version cannot be read", path,
            "no format");

    path = in_dir("damaged-lineage");
    env = new_store(path);
    put_meta(env, "lineage", "0123456789abcdef", 16, 1);
    exports_env_close(env);
    refused(path, 0, EXPORTS_CORRUPT, "lineage cannot be read", path,
            "a lineage that is damaged");

    path = in_dir("long-lineage");
    env = new_store(path);
    put_meta(env, "lineage", "0123456789abcdef0", 17, 0);
    exports_env_close(env);
    refused(path, 0, EXPORTS_CORRUPT, "lineage cannot be read", path,
            "a lineage of 17 bytes");
}


/* files that are no regular ones: never a hang */

static void
no_files(void)
{
    int             fd;
    const char     *path;
    exports_env_t  *env;

    (void) alarm(20);

    path = in_dir("fifo");
    must(mkdir(path, 0755) == 0
         && mkfifo(in_dir("fifo/data.mdb"), 0644) == 0, "mkfifo");
    refused(path, 0, EXPORTS_FORMAT, "not a regular file", path, "a FIFO");
    refused(path, EXPORTS_ENV_WRITE, EXPORTS_FORMAT, "not a regular file",
            path, "a FIFO, for writing");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FORMAT,
            "not a regular file", path, "a FIFO, creating");

    path = in_dir("directory");
    must(mkdir(path, 0755) == 0
         && mkdir(in_dir("directory/data.mdb"), 0755) == 0, "mkdir");
    refused(path, 0, EXPORTS_FORMAT, "not a regular file", path,
            "a directory");

    path = in_dir("lock-fifo");
    env = new_store(path);
    exports_env_close(env);
    must(unlink(in_dir("lock-fifo/lock.mdb")) == 0
         && mkfifo(in_dir("lock-fifo/lock.mdb"), 0660) == 0, "mkfifo");
    refused(path, 0, EXPORTS_FAILED, path, NULL, "a lock file that is a FIFO");

    path = in_dir("zero");
    must(mkdir(path, 0755) == 0, "mkdir");
    fd = open(in_dir("zero/data.mdb"), O_CREAT|O_WRONLY, 0644);
    must(fd != -1 && close(fd) == 0, "open");
    refused(path, 0, EXPORTS_MISSING, "is empty", path, "an empty file");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_OK, "", NULL,
            "an empty file, creating");

    (void) alarm(0);
}


/* what another user is told: in a child, for users are for ever */

typedef void (*as_nobody_pt)(void);

static void
as_nobody(as_nobody_pt tests)
{
    pid_t  pid;
    int    fds[2];
    char   buf[16384], *line, *save;
    size_t n;

    must(pipe(fds) == 0, "pipe");

    pid = fork_child();

    if (pid == 0) {
        (void) dup2(fds[1], 1);
        (void) dup2(fds[1], 2);
        (void) close(fds[0]);

        tap.run = 0;
        tap.failed = 0;

        if (setgroups(0, NULL) == 0 && setgid(NOBODY) == 0
            && setuid(NOBODY) == 0)
        {
            tests();
        }

        (void) fflush(NULL);
        _exit(tap.failed != 0 || tap.run == 0);
    }

    (void) close(fds[1]);

    for (n = 0; n < sizeof(buf) - 1; /* void */) {
        ssize_t  got;

        got = read(fds[0], buf + n, sizeof(buf) - 1 - n);
        if (got <= 0) {
            break;
        }

        n += (size_t) got;
    }

    (void) close(fds[0]);
    buf[n] = '\0';

    /* its lines become ours, numbered anew */

    for (line = strtok_r(buf, "\n", &save);
         line != NULL;
         line = strtok_r(NULL, "\n", &save))
    {
        char  *name;

        name = strstr(line, " - ");

        if (strncmp(line, "ok ", 3) == 0 && name != NULL) {
            pass("nobody: %s", name + 3);

        } else if (strncmp(line, "not ok ", 7) == 0 && name != NULL) {
            fail("nobody: %s", name + 3);

        } else {
            diag("%s", line);
        }
    }

    is_int(wait_child(pid), 0, "the child of another user ends well");
}


static void
denied_tests(void)
{
    char            user[32];
    struct passwd  *pw;

    pw = getpwuid(NOBODY);
    (void) snprintf(user, sizeof(user), "user \"%s\" (%d:%d)",
                    pw != NULL ? pw->pw_name : "?", NOBODY, NOBODY);

    refused(in_dir("denied-lock"), 0, EXPORTS_DENIED,
            "denied-lock/lock.mdb\" must be readable and writable by", user,
            "lock.mdb not writable");
    has_str(error.text, "is 0640", "its mode");

    refused(in_dir("denied-lock"), EXPORTS_ENV_IMMUTABLE, EXPORTS_OK, "", NULL,
            "lock.mdb not writable, immutable");

    refused(in_dir("denied-data"), 0, EXPORTS_DENIED,
            "denied-data/data.mdb\" must be readable by", user,
            "data.mdb not readable");
    refused(in_dir("denied-data"), EXPORTS_ENV_IMMUTABLE, EXPORTS_DENIED,
            "denied-data/data.mdb\" must be readable by", user,
            "data.mdb not readable, immutable");

    refused(in_dir("denied-write"), 0, EXPORTS_OK, "", NULL,
            "data.mdb readable");
    refused(in_dir("denied-write"), EXPORTS_ENV_WRITE, EXPORTS_DENIED,
            "data.mdb\" must be readable and writable by", user,
            "data.mdb readable, for writing");

    refused(in_dir("denied-dir"), 0, EXPORTS_DENIED,
            "denied-dir/data.mdb\" must be reachable by", user,
            "a directory that is closed");
    refused(in_dir("denied-dir/inner"), 0, EXPORTS_DENIED,
            "denied-dir/inner\" must be reachable by", user,
            "a store in a directory that is closed");

    refused(in_dir("denied-no-lock"), 0, EXPORTS_DENIED,
            "lock.mdb\" must be creatable by", user,
            "no lock file in a read-only directory");
    refused(in_dir("denied-no-lock"), EXPORTS_ENV_IMMUTABLE, EXPORTS_OK, "",
            NULL, "no lock file in a read-only directory, immutable");
    ok(access(in_dir("denied-no-lock/lock.mdb"), F_OK) == -1,
       "none was made");

    refused(in_dir("denied-no-lock/new"),
            EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_DENIED,
            "denied-no-lock/new\" must be creatable by", user,
            "creating in a read-only directory");
    refused(in_dir("denied-empty"), EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE,
            EXPORTS_DENIED, "data.mdb\" must be creatable by", user,
            "creating into a read-only directory");
}


static void
make_denied(const char *name, mode_t dir, mode_t data, mode_t lock)
{
    spec_t          spec;
    exports_env_t  *env;

    env = new_store(in_dir("%s", name));
    some_spec(&spec, "exp_1");
    store_spec(env, &spec);
    exports_env_close(env);

    if (lock == 0) {
        must(unlink(in_dir("%s/lock.mdb", name)) == 0, "unlink");
    } else {
        must(chmod(in_dir("%s/lock.mdb", name), lock) == 0, "chmod");
    }

    must(chmod(in_dir("%s/data.mdb", name), data) == 0, "chmod");
    must(chmod(in_dir("%s", name), dir) == 0, "chmod");
}


static void
denied(void)
{
    if (geteuid() != 0) {
        note("not root: what another user is told is not tested");
        return;
    }

    must(chmod(in_dir("."), 0755) == 0, "chmod");

    make_denied("denied-lock", 0755, 0644, 0640);
    make_denied("denied-data", 0755, 0640, 0666);
    make_denied("denied-write", 0755, 0644, 0666);
    make_denied("denied-dir", 0700, 0644, 0666);
    make_denied("denied-no-lock", 0555, 0644, 0);
    must(mkdir(in_dir("denied-dir/inner"), 0777) == 0, "mkdir");
    must(mkdir(in_dir("denied-empty"), 0555) == 0, "mkdir");

    as_nobody(denied_tests);
}


/* a file system mounted for reading only */

static void
read_only(void)
{
    pid_t           pid;
    int             status;
    spec_t          spec;
    const char     *path;
    exports_env_t  *env;

    path = in_dir("read-only");
    env = new_store(path);
    some_spec(&spec, "exp_1");
    store_spec(env, &spec);
    exports_env_close(env);

    pid = fork_child();

    if (pid == 0) {
        exports_rc_t  rc[4];

        if (unshare(CLONE_NEWNS) == -1
            || mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL) == -1
            || mount(path, path, NULL, MS_BIND, NULL) == -1
            || mount(NULL, path, NULL, MS_BIND|MS_REMOUNT|MS_RDONLY, NULL)
               == -1)
        {
            _exit(77);
        }

        rc[0] = try_open(&env, path, 0, NULL);

        if (rc[0] != EXPORTS_OK
            && strstr(error.text, "read-only file system") == NULL)
        {
            _exit(2);
        }

        rc[1] = try_open(&env, path, EXPORTS_ENV_WRITE, NULL);
        rc[2] = try_open(&env, path, EXPORTS_ENV_IMMUTABLE, NULL);

        if (rc[2] == EXPORTS_OK) {
            exports_env_close(env);
        }

        (void) umount(path);
        (void) unlink("lock.mdb");

        _exit(rc[0] == EXPORTS_UNLOCKED && rc[1] == EXPORTS_UNLOCKED
              && rc[2] == EXPORTS_OK ? 0 : 1);
    }

    status = wait_child(pid);

    if (status == 77) {
        note("nothing can be mounted here: no read-only file system");
        return;
    }

    is_int(status, 0, "a read-only file system: refused, unless immutable");
}


static void
identities(void)
{
    char                *path;
    char                 one[4300], two[4300], link[4300];
    uint64_t             born;
    exports_rc_t         rc;
    exports_env_t       *env;
    exports_identity_t   a, b;

    (void) snprintf(one, sizeof(one), "%s", in_dir("one"));
    (void) snprintf(two, sizeof(two), "%s", in_dir("two"));
    (void) snprintf(link, sizeof(link), "%s", in_dir("link"));

    is_int(exports_identity(&a, one, &error), EXPORTS_MISSING,
           "of what does not exist");

    env = new_store(one);
    exports_env_close(new_store(two));

    rc = exports_identity(&a, one, &error);
    is_rc(rc, EXPORTS_OK, &error, "of a store");
    ok(exports_identity_equal(&a, exports_env_identity(env)),
       "is that of the environment");

    must(symlink(one, link) == 0, "symlink");
    rc = exports_identity(&b, link, &error);
    ok(rc == EXPORTS_OK && exports_identity_equal(&a, &b),
       "through a symlink: the same");
    exports_env_close(env);

    env = open_store(link, 0);
    ok(exports_identity_equal(&a, exports_env_identity(env)),
       "opened through a symlink: the same");
    is_str(strrchr(exports_env_path(env), '/'), "/one", "by its real path");

    rc = exports_env_resolve(&path, link, &error);
    is_rc(rc, EXPORTS_OK, &error, "which can be had before");
    is_str(path, exports_env_path(env), "the same");
    free(path);
    is_int(exports_env_resolve(&path, in_dir("none"), &error),
           EXPORTS_MISSING, "if there is one");

    must(unlink(link) == 0 && symlink(two, link) == 0, "symlink");
    rc = exports_identity(&b, link, &error);
    ok(rc == EXPORTS_OK
       && !exports_identity_equal(&b, exports_env_identity(env)),
       "the symlink swapped: another");

    must(unlink(in_dir("one/lock.mdb")) == 0, "unlink");
    rc = exports_identity(&b, one, &error);
    ok(rc == EXPORTS_OK && !exports_identity_equal(&a, &b),
       "the lock file deleted: another");
    is_int(b.lock_ino, 0, "without a lock file");

    must(rename(in_dir("two/lock.mdb"), in_dir("one/lock.mdb")) == 0,
         "rename");
    rc = exports_identity(&b, one, &error);
    ok(rc == EXPORTS_OK && !exports_identity_equal(&a, &b),
       "the lock file replaced: another");

    is_int(exports_identity_born(in_dir("none")), 0, "born: not known");
    born = exports_identity_born(in_dir("two"));
    must(rename(in_dir("two/data.mdb"), in_dir("one/data.mdb")) == 0,
         "rename");
    ok(exports_identity_born(one) == born, "born: as before the rename");
    rc = exports_identity(&b, one, &error);
    ok(rc == EXPORTS_OK && b.data_ino != a.data_ino
       && !exports_identity_equal(&a, &b), "the data file replaced: another");

    exports_env_close(env);
}


/* slots of readers */

static pid_t
start_reader(int ready)
{
    pid_t              pid;
    exports_reader_t  *reader;

    pid = fork_child();

    if (pid == 0) {
        reader = open_reader(open_store(in_dir("dead"), 0));
        renew_reader(reader);
        tell(ready);

        for ( ;; ) {
            (void) pause();
        }
    }

    return pid;
}


static void
end_reader(pid_t pid)
{
    int  status;

    (void) kill(pid, SIGKILL);
    must(waitpid(pid, &status, 0) == pid, "waitpid");
}


static void
dead_reader(void)
{
    int                 ready[2], i;
    pid_t               pids[3];
    spec_t              spec;
    exports_env_t      *env;
    exports_rc_t        rc;
    exports_env_stat_t  st;

    must(pipe(ready) == 0, "pipe");

    env = new_store(in_dir("dead"));

    for (i = 0; i < 3; i++) {
        pids[i] = start_reader(ready[1]);
        await(ready[0]);
    }

    is_int(exports_env_reap(env), 0, "readers that live are left alone");

    end_reader(pids[0]);

    is_int(exports_env_reap(env), 1, "a reader that died is reaped");
    is_int(exports_env_reap(env), 0, "once");

    /* the third one keeps the locks, which are made anew otherwise */

    exports_env_close(env);
    end_reader(pids[1]);
    env = open_store(in_dir("dead"), EXPORTS_ENV_WRITE|EXPORTS_ENV_NOMETASYNC);

    is_int(exports_env_reap(env), 0, "and by who opens the store");

    end_reader(pids[2]);
    is_int(exports_env_reap(env), 1, "the last one");

    /* it would have pinned every page: the file stays small */

    for (i = 0; i < 300; i++) {
        some_spec(&spec, "exp_1");
        spec.version = (unsigned) i;
        store_spec(env, &spec);
    }

    rc = exports_env_stat(env, &st, &error);
    is_rc(rc, EXPORTS_OK, &error, "stat");
    ok(st.pages_used < 100, "the file does not grow: %" PRIu64 " pages",
       st.pages_used);

    exports_env_close(env);

    (void) close(ready[0]);
    (void) close(ready[1]);
}


/* a writer that cannot look at what is committed has less to check by */

static void
write_unseen(exports_env_t *env)
{
    spec_t             spec;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t       rc;
    exports_record_t   record;
    exports_writer_t  *w;

    some_spec(&spec, "exp_unseen");
    store_spec(env, &spec);

    w = begin_writer(env);
    rc = put_spec(w, &spec, NULL, &error);
    is_rc(rc, EXPORTS_OK, &error, "all slots taken: a put over another one");
    commit_writer(w);

    w = begin_writer(env);
    rc = exports_read_manifest(exports_writer_reader(w), spec.kind, 1,
                               spec.id, strlen(spec.id), key, &record);
    must(rc == EXPORTS_OK, "the key: %s", rc_name(rc));
    exports_writer_abort(w);
    raw_flip(env, DB_MANIFESTS, key, sizeof(key), 20);

    w = begin_writer(env);
    rc = put_spec(w, &spec, NULL, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error,
          "all slots taken: not over one that is damaged");
    exports_writer_abort(w);
}


static void
full_table(void)
{
    int                 ready[2], go[2], status;
    pid_t               pid;
    unsigned            i;
    const char         *path;
    exports_env_t      *env;
    exports_rc_t        rc;
    exports_reader_t   *reader, *readers[EXPORTS_READERS_MAX];

    must(pipe(ready) == 0 && pipe(go) == 0, "pipe");

    path = in_dir("table");
    exports_env_close(new_store(path));

    pid = fork_child();

    if (pid == 0) {
        env = open_store(path, 0);

        for (i = 0; i < EXPORTS_READERS_MAX; i++) {
            readers[i] = open_reader(env);
        }

        rc = exports_reader_open(&reader, env, &error);
        must(rc == EXPORTS_BUSY, "one too many: %s", rc_name(rc));

        /* a slot is given back by closing */

        exports_reader_close(readers[7]);
        readers[7] = open_reader(env);

        tell(ready[1]);
        await(go[0]);
        (void) kill(getpid(), SIGKILL);
    }

    await(ready[0]);

    refused(path, 0, EXPORTS_BUSY, path, NULL, "all slots taken: reading");

    rc = try_open(&env, path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, NULL);
    is_rc(rc, EXPORTS_OK, &error, "all slots taken: making needs none");

    rc = exports_reader_open(&reader, env, &error);
    is_rc(rc, EXPORTS_BUSY, &error, "all slots taken: a reader");
    has_str(error.text, "no free reader slot", "the text says so");

    write_unseen(env);

    tell(go[1]);
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    ok(WIFSIGNALED(status), "the process that took them dies");

    rc = exports_reader_open(&reader, env, &error);
    is_rc(rc, EXPORTS_OK, &error, "a reader finds a slot");

    exports_reader_close(reader);
    exports_env_close(env);

    (void) close(ready[0]);
    (void) close(ready[1]);
    (void) close(go[0]);
    (void) close(go[1]);
}


/* a free list is damaged where its first entry has the length, or the count */

static void
bad_free_list(const char *name, long low, uint64_t count)
{
    int                  fd;
    off_t                at;
    uint16_t             pos, len;
    exports_rc_t         rc;
    meta_page_t          meta[2];
    exports_env_t       *env;
    exports_env_stat_t   st;

    fd = open(in_dir("free/data.mdb"), O_RDWR);
    must(fd != -1 && pread(fd, &meta[0], sizeof(meta[0]), 0) > 0
         && pread(fd, &meta[1], sizeof(meta[1]), meta[0].trees[0].pad) > 0,
         "meta pages");

    meta[0] = meta[meta[1].txnid > meta[0].txnid];
    must(meta[0].trees[0].depth == 1, "a free list of one page");

    at = (off_t) (meta[0].trees[0].root * meta[0].trees[0].pad);
    must(pread(fd, &pos, 2, at + PAGE_HEADER) == 2, "where an entry is");
    at += pos;

    len = (uint16_t) low;
    must(low == -1 || pwrite(fd, &len, 2, at) == 2, "its length");
    must(pwrite(fd, &count, 8, at + NODE_HEADER + 8) == 8, "its count");
    (void) close(fd);

    env = open_store(in_dir("free"), 0);
    rc = exports_env_stat(env, &st, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "%s", name);
    has_str(error.text, "the store is corrupt", "%s: the text", name);
    exports_env_close(env);
}


static void
free_lists(void)
{
    spec_t          spec;
    exports_env_t  *env;

    env = new_store(in_dir("free"));
    some_spec(&spec, "exp_1");
    store_spec(env, &spec);
    spec.version++;
    store_spec(env, &spec);
    exports_env_close(env);

    bad_free_list("more free pages than there is room for", -1, 511);
    bad_free_list("a count that overflows", -1, UINT64_MAX);
    bad_free_list("more free pages than there are", 4000, 499);
    bad_free_list("no room for a count", 4, 0);
}


/* what LMDB would believe of a file, also where a store may be made */

static void
impossible_root(void)
{
    int           fd, i;
    off_t         at;
    const char   *path;
    meta_page_t   meta;

    path = in_dir("impossible");
    exports_env_close(new_store(path));

    fd = open(in_dir("impossible/data.mdb"), O_RDWR);
    must(fd != -1, "open");

    for (at = 0, i = 0; i < 2; i++, at = meta.trees[0].pad) {
        must(pread(fd, &meta, sizeof(meta), at) == (ssize_t) sizeof(meta),
             "a meta page");
        meta.trees[0].root = meta.last_page + 1;
        must(pwrite(fd, &meta, sizeof(meta), at) == (ssize_t) sizeof(meta),
             "another one");
    }

    (void) close(fd);

    refused(path, 0, EXPORTS_FORMAT, "damaged meta page", path,
            "a root that lies outside");
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FORMAT,
            "damaged meta page", path, "creating where a root lies outside");
}


/* without locks, in the process itself */

static void
immutable(void)
{
    spec_t              spec;
    exports_rc_t        rc;
    exports_env_t      *env;
    exports_env_stat_t  st;

    env = new_store(in_dir("immutable"));
    some_spec(&spec, "exp_1");
    store_spec(env, &spec);
    exports_env_close(env);

    must(unlink(in_dir("immutable/lock.mdb")) == 0, "unlink");

    rc = try_open(&env, in_dir("immutable"),
                  EXPORTS_ENV_IMMUTABLE|EXPORTS_ENV_NORDAHEAD, NULL);
    is_rc(rc, EXPORTS_OK, &error, "immutable");
    is_int(store_faults(env), 0, "is read");
    is_int(exports_env_reap(env), 0, "there are no slots to reap");
    is_int(exports_env_identity(env)->lock_ino, 0, "there is no lock file");
    rc = exports_env_stat(env, &st, &error);
    ok(rc == EXPORTS_OK && st.entries[DB_MANIFESTS] == 1, "stat");
    exports_env_close(env);

    ok(access(in_dir("immutable/lock.mdb"), F_OK) == -1,
       "no lock file was made");
}


static void
long_paths(void)
{
    char                 path[5000];
    exports_env_t       *env;
    exports_identity_t   identity;

    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';

    is_int(try_open(&env, path, 0, NULL), EXPORTS_FAILED, "a path too long");
    is_int(try_open(&env, path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, NULL),
           EXPORTS_FAILED, "a path too long, creating");
    is_int(exports_identity(&identity, path, &error), EXPORTS_FAILED,
           "of a path too long");
    ok(strlen(error.text) < EXPORTS_ERROR_TEXT, "the text is cut");

    /* ".": as long as can be with a file name behind it, and not */

    memset(path, '/', sizeof(path));
    path[4085] = '\0';
    is_int(exports_identity(&identity, path, &error), EXPORTS_MISSING,
           "of a path just short enough");
    path[4085] = '/';
    path[4087] = '\0';
    is_int(exports_identity(&identity, path, &error), EXPORTS_FAILED,
           "of one that is not");
}


static void
statistics(void)
{
    unsigned             i;
    spec_t               spec;
    uint64_t             txnid;
    exports_rc_t         rc;
    exports_env_t       *env;
    exports_reader_t    *reader;
    exports_env_stat_t   st;

    env = new_store(in_dir("stat"));
    rc = exports_env_stat(env, &st, &error);
    is_rc(rc, EXPORTS_OK, &error, "stat of a new store");
    is_int(st.map_size, TEST_MAP_SIZE, "map size");
    is_int(st.page_size, sysconf(_SC_PAGESIZE), "page size");
    is_int(st.readers_max, EXPORTS_READERS_MAX, "reader slots");
    ok(st.pages_used >= 4 && st.pages_used < 20, "pages used: %" PRIu64,
       st.pages_used);
    is_int(st.entries[DB_META], 3, "entries of meta");
    is_int(st.entries[DB_SCOPES], 0, "entries of scopes");

    txnid = st.txnid;
    reader = open_reader(env);

    some_spec(&spec, "exp_1");
    store_spec(env, &spec);
    spec.id = "exp_2";
    store_spec(env, &spec);

    rc = exports_env_stat(env, &st, &error);
    is_rc(rc, EXPORTS_OK, &error, "stat of two manifests");
    is_int(st.txnid, (long long) txnid + 2, "two commits later");
    is_int(st.entries[DB_SCOPES], 1, "scopes");
    is_int(st.entries[DB_TOKENS], 0, "tokens");
    is_int(st.entries[DB_MANIFESTS], 2, "manifests");
    is_int(st.entries[DB_IDS], 2, "ids");
    is_int(st.entries[DB_FACETS], 4, "facets");
    ok(st.readers >= 1, "readers: %u", st.readers);
    ok(st.pages_free > 0 && st.pages_free < st.pages_used,
       "free pages: %" PRIu64 " of %" PRIu64, st.pages_free, st.pages_used);

    for (i = 0; i < EXPORTS_DB_COUNT; i++) {
        ok(exports_db_names[i] != NULL, "database %u is \"%s\"", i,
           exports_db_names[i]);
    }

    exports_reader_close(reader);
    exports_env_close(env);
}


static void
copying(void)
{
    int                 fd;
    char                id[32];
    spec_t              spec;
    uint64_t            sum;
    unsigned            i;
    exports_rc_t        rc;
    exports_env_t      *env, *copy;
    exports_env_stat_t  st;

    env = new_store(in_dir("original"));

    for (i = 0; i < 50; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        some_spec(&spec, id);
        store_spec(env, &spec);
    }

    must(mkdir(in_dir("copy"), 0755) == 0, "mkdir");
    fd = open(in_dir("copy/data.mdb"), O_CREAT|O_WRONLY, 0644);
    must(fd != -1, "open");

    rc = exports_env_copy(env, fd, &error);
    is_rc(rc, EXPORTS_OK, &error, "a copy");
    (void) close(fd);

    sum = store_sum(env);
    copy = open_store(in_dir("copy"), EXPORTS_ENV_WRITE);
    ok(store_sum(copy) == sum, "holds the same");
    is_mem(exports_env_lineage(copy), 16, exports_env_lineage(env), 16,
           "is of the same lineage");
    rc = exports_env_stat(copy, &st, &error);
    ok(rc == EXPORTS_OK && st.pages_free == 0, "and has no free pages");
    is_int(store_faults(copy), 0, "is sound");

    some_spec(&spec, "exp_new");
    store_spec(copy, &spec);
    ok(store_sum(copy) != sum && store_sum(env) == sum,
       "and goes its own way");

    fd = open("/dev/null", O_RDONLY);
    rc = exports_env_copy(env, fd, &error);
    is_rc(rc, EXPORTS_FAILED, &error, "a copy to what cannot be written");
    (void) close(fd);

    exports_env_close(copy);
    exports_env_close(env);
}


/* several processes make one store, and open and close it, all at once */

static void
together(void)
{
    char            id[32];
    int             fds[2];
    pid_t           pids[6];
    spec_t          spec;
    uint8_t         lineages[6][EXPORTS_LINEAGE_LEN];
    unsigned        i, n;
    const char     *path;
    exports_rc_t    rc;
    exports_env_t  *env;

    path = in_dir("made-together");
    must(pipe(fds) == 0, "pipe");

    for (i = 0; i < 6; i++) {
        pids[i] = fork_child();

        if (pids[i] == 0) {
            env = new_store(path);
            must(write(fds[1], exports_env_lineage(env), EXPORTS_LINEAGE_LEN)
                 == EXPORTS_LINEAGE_LEN, "write");

            for (n = 0; n < rounds(40, 20); n++) {
                (void) snprintf(id, sizeof(id), "exp_%u_%u", i, n);
                some_spec(&spec, id);
                store_spec(env, &spec);
                exports_env_close(env);

                rc = try_open(&env, path, n % 2 == 0 ? 0 : EXPORTS_ENV_WRITE,
                              NULL);
                must(rc == EXPORTS_OK, "%s", error.text);
                exports_env_close(env);

                env = new_store(path);
            }

            exports_env_close(env);
            _exit(0);
        }
    }

    for (i = 0; i < 6; i++) {
        is_int(wait_child(pids[i]), 0, "process %u makes and uses a store", i);
        must(read(fds[0], lineages[i], EXPORTS_LINEAGE_LEN)
             == EXPORTS_LINEAGE_LEN, "read");
        check(memcmp(lineages[i], lineages[0], EXPORTS_LINEAGE_LEN) == 0,
              "process %u has another lineage", i);
    }

    checked("it is one store");

    env = open_store(path, 0);
    is_int(store_faults(env), 0, "it is sound");
    exports_env_close(env);

    (void) close(fds[0]);
    (void) close(fds[1]);
}


/* in place of libc's: a disk whose pages, but for the meta pages, cannot be
   read at that moment */

static int  read_fault;

ssize_t
pread(int fd, void *buf, size_t len, off_t offset)
{
    if (read_fault != 0 && offset >= 2 * sysconf(_SC_PAGESIZE)) {
        errno = read_fault;
        return -1;
    }

    return (ssize_t) syscall(SYS_pread64, fd, buf, len, offset);
}


/* a data file that is shorter than its last page, and rightly so */

static int
is_short(exports_env_t *env)
{
    char          file[4300];
    exports_rc_t  rc;

    (void) snprintf(file, sizeof(file), "%s/data.mdb", exports_env_path(env));

    rc = exports_probe(file, &error);
    must(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT, "%s", error.text);

    return rc == EXPORTS_CORRUPT;
}


/* a large value, replaced in one transaction several times */

static void
shorten(exports_env_t *env, unsigned n)
{
    char            key[EXPORTS_MANIFEST_KEY_LEN + 1];
    MDB_txn        *txn;
    MDB_val         k;
    unsigned        i;
    static uint8_t  buf[EXPORTS_RECORD_MAX];

    (void) snprintf(key, sizeof(key), "zzzzzzzz%016u", n);
    txn = raw_begin(env);

    for (i = 1 + below(6); i > 0; i--) {
        if (chance(30)) {
            k.mv_data = key;
            k.mv_size = EXPORTS_MANIFEST_KEY_LEN;
            (void) mdb_del(txn, env->dbi[DB_MANIFESTS], &k, NULL);

        } else {
            raw_put(txn, env->dbi[DB_MANIFESTS], key, EXPORTS_MANIFEST_KEY_LEN,
                    buf, 1 + below(EXPORTS_RECORD_MAX));
        }
    }

    raw_commit(txn);
}


static void
filling(void)
{
    unsigned        n, shorts;
    uint64_t        sum;
    exports_rc_t    rc;
    exports_env_t  *env;

    env = new_store(in_dir("short"));
    shorts = 0;

    for (n = 0; n < rounds(600, 400); n++) {
        shorten(env, n);

        if (!is_short(env)) {
            continue;
        }

        shorts++;
        sum = store_sum(env);

        rc = exports_env_fill(env, &error);
        check(rc == EXPORTS_OK, "filling: %s", error.text);
        check(!is_short(env), "it is still short");
        check(store_sum(env) == sum, "something has changed");
    }

    checked("a short file is filled");
    note("%u of %u files were short", shorts, n);

    /* left by a writer that died before it could */

    for (n = 10000; n < 20000 && !is_short(env); n++) {
        shorten(env, n);
    }

    sum = store_sum(env);
    exports_env_close(env);

    rc = try_open(&env, in_dir("short"), 0, NULL);
    is_rc(rc, EXPORTS_OK, &error, "a reader opens a short file");
    ok(is_short(env), "and leaves it as it is");
    ok(store_sum(env) == sum, "all is there");
    exports_env_close(env);

    rc = try_open(&env, in_dir("short"), EXPORTS_ENV_IMMUTABLE, NULL);
    is_rc(rc, EXPORTS_OK, &error, "as an immutable one, too");
    exports_env_close(env);

    read_fault = EIO;
    rc = try_open(&env, in_dir("short"), 0, NULL);
    is_rc(rc, EXPORTS_FAILED, &error, "a short file that cannot be read");
    has_str(error.text, strerror(EIO), "the text says why");
    read_fault = 0;

    rc = try_open(&env, in_dir("short"), EXPORTS_ENV_WRITE, NULL);
    is_rc(rc, EXPORTS_OK, &error, "a writer opens it");
    ok(!is_short(env), "and fills it");
    ok(store_sum(env) == sum, "nothing is lost");

    is_int(exports_env_fill(env, &error), EXPORTS_OK,
           "filling what is not short");
    exports_env_close(env);
}


/* in place of libc's: a disk that is full at that moment, or cannot do it */

static int    disk_fault;
static off_t  disk_room;        /* for so long a file there is room */

int
fallocate(int fd, int mode, off_t offset, off_t len)
{
    if (disk_fault != 0 && offset + len > disk_room) {
        errno = disk_fault;
        return -1;
    }

    return (int) syscall(SYS_fallocate, fd, mode, offset, len);
}


static int
has_holes(const char *path)
{
    struct stat  st;

    must(stat(path, &st) == 0, "stat %s: %s", path, strerror(errno));

    return st.st_blocks * 512 < st.st_size;
}


/* LMDB writes the lock file by its map, where a full disk is a SIGBUS */

static void
lock_file(void)
{
    int             fd;
    const char     *path, *lock, *text;
    struct stat     st;
    exports_env_t  *env;

    path = in_dir("lock");
    lock = in_dir("lock/lock.mdb");
    text = "there is no room for \"";

    disk_fault = ENOSPC;
    refused(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE, EXPORTS_FAILED, text,
            "lock.mdb\": No space left on device", "a new store, a full disk");

    disk_fault = 0;
    env = new_store(path);
    ok(!has_holes(lock), "a lock file without holes");
    exports_env_close(env);

    must(unlink(lock) == 0, "unlink");
    disk_fault = ENOSPC;
    refused(path, 0, EXPORTS_FAILED, text,
            "lock.mdb\": No space left on device", "no lock file, a full disk");

    disk_fault = EOPNOTSUPP;
    exports_env_close(open_store(path, 0));
    ok(has_holes(lock), "a file system that cannot fill them");

    disk_fault = ENOSPC;
    disk_room = 4096;
    exports_env_close(open_store(path, 0));
    ok(has_holes(lock), "a full disk, holes behind the first slots");

    disk_fault = 0;
    disk_room = 0;
    env = open_store(path, 0);
    ok(!has_holes(lock), "are filled when there is room");
    exports_env_close(env);

    fd = open(lock, O_WRONLY|O_TRUNC);
    must(fd != -1 && close(fd) == 0, "open");
    exports_env_close(open_store(path, 0));
    ok(!has_holes(lock), "an empty lock file");

    /* whoever may write to it cannot have the disk filled by others */

    must(unlink(lock) == 0, "unlink");
    fd = open(lock, O_WRONLY|O_CREAT, 0660);
    must(fd != -1 && ftruncate(fd, 1024 * 1024) == 0 && close(fd) == 0,
         "a long lock file");
    exports_env_close(open_store(path, 0));
    must(stat(lock, &st) == 0, "stat");
    ok(st.st_blocks * 512 >= 64 * EXPORTS_READERS_MAX
       && st.st_blocks * 512 < 128 * EXPORTS_READERS_MAX,
       "a long lock file has no more room than others");
}


/* a manifest whose record takes some pages: text that JSON writes out longer */

static void
put_long(exports_writer_t *w, const char *id)
{
    char          json[14000], reason[12000];
    size_t        len;
    exports_rc_t  rc;

    static exports_manifest_t  manifest;

    len = 6 * below(1024);
    reason[len] = '\0';

    while (len > 0) {
        len -= 6;
        memcpy(reason + len, "\\u0001", 6);
    }

    len = (size_t) snprintf(json, sizeof(json),
                            "{\"id\":\"%s\",\"kind\":\"database_export\","
                            "\"scope\":\"project\",\"project\":\"p\","
                            "\"format\":\"sql\",\"download_name\":\"x\","
                            "\"storage_backend\":\"local\","
                            "\"content_type\":\"a/b\",\"status\":\"ready\","
                            "\"status_reason\":\"%s\","
                            "\"created_at\":\"2026-06-02T01:23:45Z\"}",
                            id, reason);

    rc = exports_manifest_parse(&manifest, json, len, &error);
    must(rc == EXPORTS_OK, "%s", error.text);

    rc = exports_writer_put(w, &manifest, NULL, &error);
    check(rc == EXPORTS_OK, "put: %s", error.text);
}


static void
change_some(exports_writer_t *w, const char *id)
{
    unsigned      i;
    exports_rc_t  rc;

    for (i = 1 + below(5); i > 0; i--) {
        put_long(w, id);

        if (chance(30)) {
            rc = exports_writer_delete(w, EXPORTS_PROJECT, "p", 1, id,
                                       strlen(id), &error);
            check(rc == EXPORTS_OK, "delete: %s", error.text);
        }
    }
}


/* the writer does it after each commit */

static void
commits_fill(void)
{
    char               id[16];
    uint64_t           sum;
    unsigned           n, least, unfilled, unable;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    least = rounds(400, 250);
    unfilled = unable = 0;
    env = new_store(in_dir("commits"));

    /* few commits leave the file short */

    for (n = 0; goes_on(n, least, unfilled > 0 && unable > 0); n++) {
        (void) snprintf(id, sizeof(id), "exp_%u", n);

        w = begin_writer(env);
        change_some(w, id);

        disk_fault = chance(70) ? 0 : chance(50) ? ENOSPC : EOPNOTSUPP;
        rc = exports_writer_commit(w, &error);

        if (rc == EXPORTS_COMMITTED) {
            check(disk_fault == ENOSPC
                  && strncmp(error.text, "committed, but ", 15) == 0
                  && is_short(env), "committed: %s", error.text);
            unfilled++;

        } else {
            check(rc == EXPORTS_OK, "commit: %s", error.text);
            check(disk_fault == EOPNOTSUPP || !is_short(env),
                  "after a commit");
        }

        disk_fault = 0;

        if (is_short(env)) {
            unable += rc == EXPORTS_OK;
            sum = store_sum(env);
            check(exports_env_fill(env, &error) == EXPORTS_OK
                  && !is_short(env) && store_sum(env) == sum,
                  "filled later: %s", error.text);
        }
    }

    checked("after a commit no file is short, or the commit says so");
    ok(unfilled > 0, "of %u the disk had no room for the file", unfilled);
    ok(unable > 0, "%u the file system could not fill", unable);
    is_int(store_faults(env), 0, "the store is sound");
    exports_env_close(env);
}


/* processes that shorten and fill at the same time lose nothing */

static void
fill_many(const char *path, unsigned who, unsigned n)
{
    char             key[EXPORTS_MANIFEST_KEY_LEN + 1], data[64];
    MDB_txn         *txn;
    MDB_val          k, v;
    unsigned         i;
    exports_rc_t     rc;
    exports_env_t   *env;

    env = open_store(path, EXPORTS_ENV_WRITE|EXPORTS_ENV_NOMETASYNC);
    memset(data, 'd', sizeof(data));

    for (i = 0; i < n; i++) {
        shorten(env, who * 10000 + i);

        rc = exports_env_fill(env, &error);
        must(rc == EXPORTS_OK, "filling: %s", error.text);

        (void) snprintf(key, sizeof(key), "yyyyyyyy%016u", who * 10000 + i);
        txn = raw_begin(env);
        raw_put(txn, env->dbi[DB_MANIFESTS], key, EXPORTS_MANIFEST_KEY_LEN,
                data, sizeof(data));
        raw_commit(txn);

        rc = exports_env_fill(env, &error);
        must(rc == EXPORTS_OK, "filling: %s", error.text);
    }

    /* all that was written is there */

    txn = raw_begin(env);

    for (i = 0; i < n; i++) {
        (void) snprintf(key, sizeof(key), "yyyyyyyy%016u", who * 10000 + i);
        k.mv_data = key;
        k.mv_size = EXPORTS_MANIFEST_KEY_LEN;
        must(mdb_get(txn, env->dbi[DB_MANIFESTS], &k, &v) == 0
             && v.mv_size == sizeof(data)
             && memcmp(v.mv_data, data, sizeof(data)) == 0, "lost: %s", key);
    }

    mdb_txn_abort(txn);
    exports_env_close(env);
}


static void
filling_together(void)
{
    pid_t           pids[3];
    unsigned        i, n;
    const char     *path;
    exports_env_t  *env;

    path = in_dir("together");
    n = rounds(250, 150);

    env = new_store(path);

    for (i = 0; i < 3; i++) {
        pids[i] = fork_child();

        if (pids[i] == 0) {
            fill_many(path, i, n);
            _exit(0);
        }
    }

    for (i = 0; i < 3; i++) {
        is_int(wait_child(pids[i]), 0, "process %u fills short files", i);
    }

    ok(!is_short(env), "the file is as long as it says");
    exports_env_close(env);
}


/* files that were cut off: refused, by a writer too, and left as they are */

static void
truncated(void)
{
    char            id[32];
    int             fd, crashed, status;
    pid_t           pid;
    off_t           size, length;
    spec_t          spec;
    uint64_t        sum;
    unsigned        i, tried, spared;
    exports_rc_t    rc, before;
    exports_env_t  *env;
    struct stat     st;
    struct {
        char  data[4300];
        char  copy[4300];
    } path;

    env = new_store(in_dir("whole"));

    for (i = 0; i < 200; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", below(150));
        some_spec(&spec, id);
        spec.created += below(1000);
        store_spec(env, &spec);
    }

    sum = store_sum(env);
    exports_env_close(env);

    must(mkdir(in_dir("cut"), 0755) == 0, "mkdir");
    (void) snprintf(path.data, sizeof(path.data), "%s",
                    in_dir("whole/data.mdb"));
    (void) snprintf(path.copy, sizeof(path.copy), "%s",
                    in_dir("cut/data.mdb"));

    must(stat(path.data, &st) == 0, "stat");
    size = st.st_size;
    crashed = 0;
    tried = 0;
    spared = 0;

    for (length = size - 1; length >= 0; length -= 512) {
        char     buf[65536];
        int      in;
        ssize_t  n;

        in = open(path.data, O_RDONLY);
        fd = open(path.copy, O_RDWR|O_CREAT|O_TRUNC, 0644);
        must(in != -1 && fd != -1, "open");

        while ((n = read(in, buf, sizeof(buf))) > 0) {
            must(write(fd, buf, (size_t) n) == n, "write");
        }

        must(ftruncate(fd, length) == 0, "ftruncate");
        (void) close(in);
        (void) close(fd);

        /* in a child: what goes wrong here is a signal */

        pid = fork_child();

        if (pid == 0) {
            rc = try_open(&env, in_dir("cut"), 0, NULL);

            if (rc == EXPORTS_OK) {
                if (store_sum(env) != sum || store_faults(env) != 0) {
                    _exit(1);
                }

                exports_env_close(env);
            }

            before = rc;
            rc = try_open(&env, in_dir("cut"), EXPORTS_ENV_WRITE, NULL);

            if (rc != before) {
                _exit(4);
            }

            if (rc == EXPORTS_OK) {
                _exit(store_sum(env) == sum && store_faults(env) == 0 ? 77
                                                                      : 2);
            }

            _exit(rc == EXPORTS_CORRUPT || rc == EXPORTS_FORMAT ? 0 : 3);
        }

        status = wait_child(pid);
        must(stat(path.copy, &st) == 0, "stat");
        tried++;

        /* what was cut off may have been free pages */

        if (status == 77) {
            spared++;
            check(st.st_size == size, "filled to %lld of %lld bytes",
                  (long long) st.st_size, (long long) size);
            continue;
        }

        check(st.st_size == length, "cut to %lld bytes, it is of %lld",
              (long long) length, (long long) st.st_size);

        crashed += !check(status == 0, "cut to %lld of %lld bytes: %d",
                          (long long) length, (long long) size, status);

        if (crashed > 8) {
            break;
        }
    }

    checked("a truncated file is refused and left alone");
    note("%u lengths, of which %u lack nothing but free pages", tried, spared);
}


/* LMDB's assertions */

static sigjmp_buf  jump;
static char        asserted[256];

static void
on_assert(const char *message)
{
    (void) snprintf(asserted, sizeof(asserted), "%s", message);
    siglongjmp(jump, 1);
}


/* the number of the page that the hundredth manifest lies on */

typedef struct {
    unsigned  n;
    size_t    page;
} visited_t;

static exports_rc_t
visit(void *data, const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    visited_t  *v = data;

    (void) key;
    (void) key_len;
    (void) len;

    if (++v->n == 100) {
        memcpy(&v->page, (void *) ((uintptr_t) value & ~(uintptr_t) 4095),
               sizeof(size_t));
    }

    return EXPORTS_OK;
}


static int
assert_in_child(const char *path)
{
    int                     fd;
    char                    id[32];
    spec_t                  spec;
    uint16_t                flags;
    uint64_t                steps;
    unsigned                i;
    visited_t               v;
    exports_rc_t            rc;
    exports_env_t          *env;
    exports_writer_t       *w;
    exports_reader_t       *reader;
    exports_env_options_t   options;

    memset(&options, 0, sizeof(options));
    options.path = path;
    options.map_size = TEST_MAP_SIZE;
    options.flags = EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE;
    options.group = (gid_t) -1;
    options.on_assert = on_assert;

    rc = exports_env_open(&env, &options, &error);
    must(rc == EXPORTS_OK, "opening \"%s\": %s", path, error.text);

    w = begin_writer(env);

    for (i = 0; i < 200; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        some_spec(&spec, id);
        spec.created += i;
        rc = put_spec(w, &spec, NULL, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }

    commit_writer(w);

    reader = open_reader(env);
    renew_reader(reader);

    memset(&v, 0, sizeof(v));
    steps = exports_env_steps(env);
    must(steps >= 200, "%llu steps of writing", (unsigned long long) steps);
    rc = exports_walk_manifests(reader, 0, visit, &v);
    must(rc == EXPORTS_OK && v.n == 200 && v.page > 1, "walking: %s",
         rc_name(rc));
    must(exports_env_steps(env) - steps >= 200, "steps of walking");

    /* make it neither a branch nor a leaf */

    fd = open(in_dir("assert/data.mdb"), O_RDWR);
    flags = 0;
    must(fd != -1 && pwrite(fd, &flags, 2, (off_t) v.page * 4096 + 10) == 2,
         "damaging page %zu", v.page);
    (void) close(fd);

    if (sigsetjmp(jump, 0) != 0) {
        return strstr(asserted, "IS_LEAF") != NULL ? 0 : 2;
    }

    (void) exports_walk_manifests(reader, 0, visit, &v);

    return 1;
}


static void
assertions(void)
{
    pid_t  pid;

    /* what LMDB had allocated is lost */

    pid = fork_child();

    if (pid == 0) {
        _exit(assert_in_child(in_dir("assert")));
    }

    is_int(wait_child(pid), 0, "the handler is called in place of abort()");
}


/* the first fields of LMDB's lock file, and what follows in its next line of
   the processor's cache */
typedef struct {
    uint32_t         magic;
    uint32_t         format;
    pthread_mutex_t  readers;
    char             other[64 - 8 - sizeof(pthread_mutex_t)];
    pthread_mutex_t  writer;
} locks_t;

static struct {
    int    fd[2];
    pid_t  pid;
} destroyer;

static unsigned  pauses, end_at;


static void
end_destroyer(void)
{
    if (destroyer.pid != 0) {
        must(write(destroyer.fd[1], "x", 1) == 1
             && waitpid(destroyer.pid, NULL, 0) == destroyer.pid, "its end");
        destroyer.pid = 0;
        (void) close(destroyer.fd[0]);
        (void) close(destroyer.fd[1]);
    }
}


/* the library's, between two attempts to open: by then it has closed the store,
   and the other process ends at one of them */

int
nanosleep(const struct timespec *ts, struct timespec *left)
{
    (void) ts;
    (void) left;

    if (++pauses == end_at) {
        end_destroyer();
    }

    return 0;
}


/* has the store open, after another process has destroyed the locks */

static void
destroy_locks(const char *dir)
{
    int           fd, ready[2];
    char          path[4300], byte;
    locks_t      *locks;
    struct flock  lock;

    must(pipe(destroyer.fd) == 0 && pipe(ready) == 0, "pipe");

    destroyer.pid = fork();
    must(destroyer.pid != -1, "fork");

    if (destroyer.pid != 0) {
        (void) close(ready[1]);
        must(read(ready[0], &byte, 1) == 1, "its beginning");
        (void) close(ready[0]);
        return;
    }

    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_LOCK_FILE, dir);
    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_RDLCK;
    lock.l_whence = SEEK_SET;
    lock.l_len = 1;

    fd = open(path, O_RDWR);
    locks = mmap(NULL, sizeof(locks_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd,
                 0);

    if (fd == -1 || locks == MAP_FAILED || locks->magic != META_MAGIC
        || fcntl(fd, F_SETLK, &lock) == -1
        || pthread_mutex_destroy(&locks->readers) != 0
        || pthread_mutex_destroy(&locks->writer) != 0
        || write(ready[1], "x", 1) != 1
        || read(destroyer.fd[0], &byte, 1) != 1)
    {
        _exit(1);
    }

    _exit(0);
}


static void
destroyed_locks(void)
{
    char              path[4300];
    unsigned          i;
    exports_rc_t      rc;
    exports_env_t    *env;
    static const unsigned  flags[] = {
        0, EXPORTS_ENV_WRITE, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE
    };

#ifndef __GLIBC__
    note("with this C library, locks that were destroyed may still work");
    return;
#endif

    (void) snprintf(path, sizeof(path), "%s", in_dir("destroyed"));

    for (i = 0; i < 3; i++) {
        exports_env_close(new_store(path));
        destroy_locks(path);
        pauses = 0;
        end_at = 3;

        rc = try_open(&env, path, flags[i], NULL);
        is_int(rc, EXPORTS_OK, "locks that were destroyed: %s", error.text);
        is_int(pauses, 3, "are made anew by the first to open after that");

        end_destroyer();

        if (rc == EXPORTS_OK) {
            exports_env_close(env);
        }
    }

    destroy_locks(path);
    pauses = 0;
    end_at = 0;

    rc = try_open(&env, path, 0, NULL);
    is_int(rc, EXPORTS_STALE, "a process that keeps them");
    ok(pauses > 10 && strstr(error.text, path) != NULL, "%u pauses: %s",
       pauses, error.text);

    end_destroyer();
    exports_env_close(open_store(path, 0));
}


static void
codes(void)
{
    int                  i;
    static const struct {
        int           mdb;
        exports_rc_t  rc;
    } pairs[] = {
        { 0, EXPORTS_OK },
        { MDB_NOTFOUND, EXPORTS_NOT_FOUND },
        { MDB_KEYEXIST, EXPORTS_CONFLICT },
        { MDB_CORRUPTED, EXPORTS_CORRUPT },
        { MDB_PAGE_NOTFOUND, EXPORTS_CORRUPT },
        { MDB_INVALID, EXPORTS_FORMAT },
        { MDB_VERSION_MISMATCH, EXPORTS_FORMAT },
        { MDB_READERS_FULL, EXPORTS_BUSY },
        { MDB_MAP_FULL, EXPORTS_FULL },
        { MDB_TXN_FULL, EXPORTS_FULL },
        { MDB_PANIC, EXPORTS_STALE },
        { MDB_BAD_RSLOT, EXPORTS_STALE },
        { MDB_MAP_RESIZED, EXPORTS_STALE },
        { EINVAL, EXPORTS_STALE },
        { ENOMEM, EXPORTS_NOMEM },
        { EIO, EXPORTS_FAILED }
    };

    for (i = 0; i < (int) (sizeof(pairs) / sizeof(pairs[0])); i++) {
        check(exports_rc_of_mdb(pairs[i].mdb) == pairs[i].rc, "%d: %s",
              pairs[i].mdb, rc_name(exports_rc_of_mdb(pairs[i].mdb)));
    }

    checked("LMDB's codes");

    for (i = 0; i <= EXPORTS_FAILED + 1; i++) {
        check(exports_strerror((exports_rc_t) i) != NULL
              && exports_strerror((exports_rc_t) i)[0] != '\0', "%d", i);
    }

    checked("each code has its words");

    is_int(exports_error(NULL, EXPORTS_BUSY, "%s", "text"), EXPORTS_BUSY,
           "an error nobody asked for");
    is_int(exports_error(&error, EXPORTS_BUSY, "%02000d", 7), EXPORTS_BUSY,
           "a text too long");
    ok(error.rc == EXPORTS_BUSY
       && strlen(error.text) == EXPORTS_ERROR_TEXT - 1, "is cut");
}


int
main(void)
{
    random_seed();

    modes();
    lineages();
    flags();
    missing();
    not_stores();
    formats();
    no_files();
    denied();
    read_only();
    identities();
    dead_reader();
    full_table();
    immutable();
    long_paths();
    statistics();
    free_lists();
    impossible_root();
    copying();
    together();
    codes();
    filling();
    lock_file();
    commits_fill();
    filling_together();
    truncated();
    assertions();
    destroyed_locks();

    return done_testing();
}
