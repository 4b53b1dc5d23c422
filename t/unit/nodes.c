
/*
 * What a writer and a repair leave of the rest, where a node or a page of a
 * store is damaged: all that could be read before, byte for byte, also when
 * others have written, to pages that were free then.
 *
 * Each round is a child's: verify goes on where pages are damaged, and LMDB
 * answers some of that with an assertion or a signal.
 */

#include "fixture.h"

#include <sys/mman.h>

#include "exports_mdb_layout.h"
#include "exports_tree_check.h"


#define NSCOPES       3
#define NITEMS        180
#define NTOKENS       20
#define NCHECKPOINTS  2
#define NTHINGS       (NITEMS + NTOKENS + NCHECKPOINTS)
#define NNEW          10
#define NMANY         60
#define PAGES_MAX     1024

/* of a thing that cannot be read */
#define UNREAD        0

/* what a child ends with, but for 0, and 1 by a sanitizer */
#define UNOPENED      2
#define ASSERTED      3
#define UNOPENED_NOW  4

/* seconds; LMDB may have no end */
#define TIME_MAX      20


typedef enum {
    OPENING = 0,
    LOOKING,
    OPERATING,
    AFTER,
    WRITING_ON,
    LAST,
    DONE
} phase_t;

typedef enum {
    REPAIR = 0,
    PUT,
    PUT_LONGER,
    PUT_MOVED,
    DELETE,
    DELETE_MANY,
    PUT_TOKEN,
    REVOKE,
    CHECKPOINT,
    PUT_NEW,
    OPERATIONS
} operation_t;

/* what has been seen of a store: before, after, and when more was written */

typedef struct {
    uint64_t          sums[NTHINGS];
    exports_rc_t      verified;
    uint64_t          faults;
    int               pages;        /* some of them are of pages */
    char              first[EXPORTS_ERROR_TEXT];
} look_t;

/* what a child tells, in memory that is shared with it */

typedef struct {
    phase_t           phase;
    unsigned          died;         /* bits: phases that ended it */
    operation_t       operation;
    int               about;        /* a thing, -1: all or none */
    unsigned          many;         /* of them, from that one on */
    exports_rc_t      rc;
    exports_error_t   error;
    exports_verify_t  repaired;
    look_t            looks[3];
    exports_rc_t      copied[3];    /* where there are no faults */
} round_t;


static const struct {
    exports_kind_t    kind;
    const char       *name;
} scopes[NSCOPES] = {
    { EXPORTS_USER, "41" },
    { EXPORTS_PROJECT, "alpha" },
    { EXPORTS_USER, "42" }
};

static const char *const  operations[] = {
    "repair", "put", "put of another length", "put of another time", "delete",
    "delete of many", "put of a token", "revoke", "checkpoint",
    "put of new ones"
};

static exports_error_t  error;
static uint64_t         scope_ids[NSCOPES];
static uint8_t         *image, *damaged;
static size_t           image_size, page_size;
static uint64_t         trees[PAGES_MAX];       /* pages with nodes */
static unsigned         ntrees;
static uint64_t         values[PAGES_MAX];      /* pages of long values */
static unsigned         nvalues;
static char             damage_text[256];
static round_t         *now;

static struct {
    unsigned  refused;
    unsigned  over;             /* what was damaged was replaced or deleted */
    unsigned  repaired;         /* whole, with faults */
    unsigned  pages;            /* with faults of pages */
    unsigned  unseen;           /* without any */
    unsigned  died[DONE];
    unsigned  unopened;
} met;


/* what is in the store */

static unsigned
scope_of(unsigned n)
{
    return n % 10 < 8 ? 0 : n % 10 - 7;
}


static const char *
item_id(unsigned n)
{
    static char  id[32];

    (void) snprintf(id, sizeof(id),
                    scopes[scope_of(n)].kind == EXPORTS_PROJECT ? "exp_%u"
                                                                : "u-%u", n);

    return id;
}


/* size: 0, in a node; 1 and 2, with so many pages of its own */

static void
item_spec(spec_t *spec, unsigned n, unsigned size)
{
    static char               type[1025], storage_key[1025];
    static const char *const  statuses[] = { "ready", "failed", "pending" };

    memset(spec, 0, sizeof(spec_t));
    spec->kind = scopes[scope_of(n)].kind;
    spec->scope = scopes[scope_of(n)].name;
    spec->id = item_id(n);
    spec->created = TEST_TIME + n / 3;
    spec->status = spec->kind == EXPORTS_USER ? statuses[n % 3] : "ready";
    spec->type = n % 2 == 0 ? "contacts" : "orders";

    if (size > 0) {
        memset(type, 't', sizeof(type) - 1);
        memset(storage_key, 'k', sizeof(storage_key) - 1);
        type[size == 1 ? 700 : 1000] = '\0';
        storage_key[size == 1 ? 200 : 1000] = '\0';
        spec->type = type;
        spec->storage_key = storage_key;
    }
}


static unsigned
item_size(unsigned n)
{
    return n % 7 == 0 ? 1 + n / 7 % 2 : 0;
}


static void
token_line(exports_token_line_t *line, unsigned n, unsigned ntables)
{
    int           len;
    char          text[512];
    exports_rc_t  rc;

    len = snprintf(text, sizeof(text), "{\"sha256\":\"%08x%056x\","
                   "\"project\":\"alpha\",\"tables\":[\"contacts\"%s]}",
                   n * 0x01234567, n,
                   ntables > 0 ? ",\"another_table\",\"a_third_one\"" : "");

    rc = exports_token_parse(line, text, (size_t) len, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
}


static const char *
checkpoint_name(unsigned n)
{
    return n == 0 ? "stream" : "another-stream";
}


static exports_rc_t
put_item(exports_writer_t *w, unsigned n, unsigned size, unsigned later)
{
    spec_t  spec;

    item_spec(&spec, n, size);
    spec.created += later;
    spec.version = later;

    return put_spec(w, &spec, NULL, &now->error);
}


static exports_rc_t
put_token(exports_writer_t *w, unsigned n, unsigned ntables)
{
    exports_token_line_t  line;

    token_line(&line, n, ntables);

    return exports_writer_put_token(w, &line, &now->error);
}


static exports_rc_t
put_checkpoint(exports_writer_t *w, unsigned n, const char *value)
{
    return exports_writer_checkpoint(w, checkpoint_name(n), value,
                                     strlen(value), &now->error);
}


/* in several commits: there are free pages, too */

static void
fill_store(exports_env_t *env)
{
    unsigned           i, n;
    exports_rc_t       rc;
    exports_writer_t  *w;

    w = begin_writer(env);

    for (rc = EXPORTS_OK, i = 0; i < NITEMS && rc == EXPORTS_OK; i++) {
        if (i % 20 == 19) {
            commit_writer(w);
            w = begin_writer(env);
        }

        n = i * 7 % NITEMS;
        rc = put_item(w, n, item_size(n), 0);
    }

    for (i = 0; i < NTOKENS && rc == EXPORTS_OK; i++) {
        rc = put_token(w, i, i % 2);
    }

    for (i = 0; i < NCHECKPOINTS && rc == EXPORTS_OK; i++) {
        rc = put_checkpoint(w, i, "position 1");
    }

    must(rc == EXPORTS_OK, "%s", now->error.text);
    commit_writer(w);
}


/* its pages, by what can be damaged in them */

static exports_rc_t
no_fault(void *data, uint64_t pgno, const char *text)
{
    (void) data;
    must(0, "page %" PRIu64 " %s", pgno, text);
}


/* of the tree that the entries of a long list make up: writers believe it */

static int
is_of_list(const uint8_t *page)
{
    uint16_t        pos;
    node_header_t   node;
    page_header_t   header;

    memcpy(&header, page, sizeof(header));

    if (header.flags == BRANCH_FLAG) {
        memcpy(&pos, page + PAGE_HEADER, sizeof(pos));
        memcpy(&node, page + pos, sizeof(node));
        memcpy(&header, image + (node.low | (size_t) node.high << 16)
                                * page_size, sizeof(header));
    }

    return (header.flags & LEAF2_FLAG) != 0;
}


static void
find_pages(exports_env_t *env)
{
    exports_rc_t         rc;
    exports_db_t         db;
    exports_reader_t    *reader;
    exports_page_set_t   set = { NULL, 0 };
    uint32_t             pages;
    uint64_t             i;
    page_header_t        header;

    reader = open_reader(env);
    renew_reader(reader);

    for (db = DB_META; db <= DB_RANKS; db++) {
        rc = exports_tree_check(reader, db, &set, no_fault, NULL);
        must(rc == EXPORTS_OK, "%s", rc_name(rc));
    }

    page_size = reader->trees[DB_META].page_size;
    exports_reader_close(reader);

    for (i = 0; i < set.n; i++) {
        if (!(set.words[i / 64] >> i % 64 & 1)) {
            continue;
        }

        memcpy(&header, image + i * page_size, sizeof(header));

        if (header.flags & OVERFLOW_PAGE_FLAG) {
            memcpy(&pages, image + i * page_size + PAGE_LOWER, sizeof(pages));
            must(nvalues < PAGES_MAX, "too many");
            values[nvalues++] = i;
            i += pages - 1;

        } else if (!is_of_list(image + i * page_size)) {
            must(ntrees < PAGES_MAX, "too many");
            trees[ntrees++] = i;
        }
    }

    free(set.words);
}


static void
read_image(const char *path)
{
    int          fd;
    struct stat  st;

    fd = open(path, O_RDONLY);
    must(fd != -1 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));

    image_size = (size_t) st.st_size;
    image = malloc(image_size);
    damaged = malloc(image_size);
    must(image != NULL && damaged != NULL, "memory");
    must(read(fd, image, image_size) == (ssize_t) image_size, "read");
    (void) close(fd);
}


static void
build(void)
{
    unsigned        i;
    exports_env_t  *env;

    env = new_store(in_dir("whole"));
    fill_store(env);

    for (i = 0; i < NSCOPES; i++) {
        scope_ids[i] = stored_scope(env, scopes[i].kind, scopes[i].name).id;
    }

    read_image(in_dir("whole/" EXPORTS_DATA_FILE));
    find_pages(env);
    exports_env_close(env);

    note("%zu bytes, %u pages with nodes, %u long values", image_size, ntrees,
         nvalues);
    must(ntrees > 12 && nvalues > 12, "too few");
}


/* damage */

static void
change_byte(size_t at, const char *what, uint64_t pgno)
{
    uint8_t  old;

    old = damaged[at];

    if (chance(75)) {
        damaged[at] ^= (uint8_t) (1 << below(8));
    } else {
        damaged[at] = (uint8_t) rnd();
    }

    (void) snprintf(damage_text, sizeof(damage_text), "%s of page %" PRIu64
                    ", at %zu: %02x to %02x", what, pgno, at, old,
                    damaged[at]);
}


/* in its header, or behind it */

static void
damage_node(int in_header)
{
    size_t          at;
    uint8_t        *page;
    uint64_t        pgno;
    uint16_t        pos;
    unsigned        i, n, len;
    node_header_t   node;
    page_header_t   header;

    pgno = trees[below(ntrees)];
    page = damaged + pgno * page_size;
    memcpy(&header, page, sizeof(header));

    n = (header.lower - PAGE_HEADER) / sizeof(pos);

    i = below(n);
    memcpy(&pos, page + PAGE_HEADER + i * sizeof(pos), sizeof(pos));
    at = pgno * page_size + pos;

    memcpy(&node, page + pos, sizeof(node));
    len = header.flags & BRANCH_FLAG || node.flags != 0
              ? 0 : node.low | (unsigned) node.high << 16;

    if (in_header || len == 0) {
        change_byte(at + below(NODE_HEADER), "a node", pgno);

    } else {
        change_byte(at + NODE_HEADER + node.key_len + below(len),
                    "the value of a node", pgno);
    }
}


/* the number of its first page: that of another one */

static void
damage_place(void)
{
    uint8_t        *page;
    uint64_t        to;
    uint16_t        pos;
    unsigned        tries;
    node_header_t   node;
    page_header_t   header;

    for (tries = 0; tries < 10000; tries++) {
        page = damaged + trees[below(ntrees)] * page_size;
        memcpy(&header, page, sizeof(header));
        memcpy(&pos, page + PAGE_HEADER
                     + below((header.lower - PAGE_HEADER) / sizeof(pos))
                       * sizeof(pos), sizeof(pos));
        memcpy(&node, page + pos, sizeof(node));

        if (header.flags == LEAF_FLAG && node.flags == OVERFLOW_FLAG) {
            to = values[below(nvalues)];
            memcpy(page + pos + NODE_HEADER + node.key_len, &to, sizeof(to));
            (void) snprintf(damage_text, sizeof(damage_text),
                            "a long value at page %" PRIu64, to);
            return;
        }
    }

    must(0, "no long value");
}


static void
damage_value(unsigned from, unsigned n)
{
    uint64_t  pgno;

    pgno = values[below(nvalues)];
    change_byte(pgno * page_size + from + below(n),
                from == 0 ? "the header" : "the value", pgno);
}


static uint64_t
any_page(void)
{
    unsigned  i;

    i = below(ntrees + nvalues);

    return i < ntrees ? trees[i] : values[i - ntrees];
}


static void
damage_page(void)
{
    uint64_t  from, to;

    from = any_page();
    to = any_page();
    memcpy(damaged + to * page_size, image + from * page_size, page_size);
    (void) snprintf(damage_text, sizeof(damage_text), "page %" PRIu64
                    " over page %" PRIu64, from, to);
}


static void
damage(void)
{
    memcpy(damaged, image, image_size);

    switch (below(11)) {

    case 0:
        damage_page();
        break;

    case 1:
        damage_value(0, PAGE_HEADER);
        break;

    case 2:
        damage_value(PAGE_LOWER, sizeof(uint32_t));
        break;

    case 3:
        damage_value(PAGE_HEADER, 2000);
        break;

    case 4:
        damage_node(0);
        break;

    case 5:
        damage_place();
        break;

    default:
        damage_node(1);
    }
}


static void
write_damaged(void)
{
    int  fd;

    (void) mkdir(in_dir("copy"), 0700);
    (void) unlink(in_dir("copy/lock.mdb"));
    fd = open(in_dir("copy/" EXPORTS_DATA_FILE), O_RDWR|O_CREAT|O_TRUNC, 0600);
    must(fd != -1 && write(fd, damaged, image_size) == (ssize_t) image_size,
         "write: %s", strerror(errno));
    (void) close(fd);
}


/* what a child does */

static uint64_t
sum_of(const void *key, size_t key_len, const void *value, size_t len)
{
    uint64_t  sum;

    sum = exports_checksum(key, key_len, value, len);

    return sum == UNREAD ? UNREAD + 1 : sum;
}


static uint64_t
read_item(exports_reader_t *reader, unsigned n)
{
    uint64_t           sum;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    const char        *id;
    exports_record_t   record;

    id = item_id(n);

    if (exports_read_manifest(reader, scopes[scope_of(n)].kind,
                              scope_ids[scope_of(n)], id, strlen(id), key,
                              &record)
        != EXPORTS_OK)
    {
        return UNREAD;
    }

    sum = sum_of(key, sizeof(key), record.item.json, record.item.json_len);

    return sum ^ exports_checksum(record.group.data, record.group.len,
                                  record.storage_key.data,
                                  record.storage_key.len);
}


static uint64_t
read_token(exports_reader_t *reader, unsigned n)
{
    exports_token_t       token;
    exports_token_line_t  line;

    token_line(&line, n, 0);

    return exports_read_token(reader, line.digest, &token) == EXPORTS_OK
               ? sum_of(&token.revoked, sizeof(token.revoked),
                        token.tables[0].data, token.tables[0].len)
                 + token.ntables
               : UNREAD;
}


static uint64_t
read_thing(exports_reader_t *reader, unsigned n)
{
    size_t          len;
    const uint8_t  *value;

    if (n < NITEMS) {
        return read_item(reader, n);
    }

    if (n < NITEMS + NTOKENS) {
        return read_token(reader, n - NITEMS);
    }

    return exports_read_checkpoint(reader,
                                   checkpoint_name(n - NITEMS - NTOKENS),
                                   &value, &len)
           == EXPORTS_OK
               ? sum_of("", 0, value, len) : UNREAD;
}


/* where a key of another length is, as an odd one may be unnoticed, a search
   without LMDB ends when it comes by that, and it need not do so each time */

static uint64_t
read_by_lmdb(exports_env_t *env, unsigned n)
{
    uint64_t           sum;
    exports_writer_t  *w;

    w = begin_writer(env);
    sum = read_thing(exports_writer_reader(w), n);
    exports_writer_abort(w);

    return sum;
}


static void
keep_fault(void *data, const char *text)
{
    look_t  *look = data;

    if (look->first[0] == '\0') {
        (void) snprintf(look->first, sizeof(look->first), "%s", text);
    }

    if (strstr(text, ": page ") != NULL) {
        look->pages = 1;
    }
}


static void
look_at(exports_env_t *env, unsigned n)
{
    look_t            *look;
    unsigned           i;
    exports_reader_t  *reader;
    exports_verify_t   result;

    look = &now->looks[n];
    look->verified = EXPORTS_FAILED;
    reader = open_reader(env);
    renew_reader(reader);

    for (i = 0; i < NTHINGS; i++) {
        look->sums[i] = read_thing(reader, i);

        if (look->sums[i] == UNREAD && now->looks[0].sums[i] != UNREAD) {
            look->sums[i] = read_by_lmdb(env, i);
        }
    }

    look->verified = exports_verify(reader, &result, keep_fault, look, &error);
    look->faults = result.faults;
    exports_reader_close(reader);
}


/* faults that have been found are not in its way, but nothing is promised */

static void
copy_store(exports_env_t *env, unsigned n)
{
    int  fd;

    if (now->looks[n].verified != EXPORTS_OK || now->looks[n].faults > 0) {
        return;
    }

    fd = open(in_dir("compacted"), O_RDWR|O_CREAT|O_TRUNC, 0600);
    must(fd != -1, "open: %s", strerror(errno));
    now->copied[n] = EXPORTS_FAILED;
    now->copied[n] = exports_env_copy(env, fd, &now->error);
    (void) close(fd);
}


static int
a_thing(unsigned from, unsigned n)
{
    unsigned  i, first;

    first = below(n);

    if (chance(70)) {
        for (i = 0; i < n; i++) {
            if (now->looks[0].sums[from + (first + i) % n] == UNREAD) {
                return (int) (from + (first + i) % n);
            }
        }
    }

    return (int) (from + first);
}


static exports_rc_t
put_new(exports_writer_t *w, unsigned from)
{
    unsigned      i;
    exports_rc_t  rc;

    for (rc = EXPORTS_OK, i = 0; i < NNEW && rc == EXPORTS_OK; i++) {
        rc = put_item(w, from + i, chance(20), below(500));
    }

    return rc;
}


static exports_rc_t
delete_item(exports_writer_t *w, unsigned n)
{
    spec_t  spec;

    item_spec(&spec, n, 0);

    return exports_writer_delete(w, spec.kind, spec.scope, strlen(spec.scope),
                                 spec.id, strlen(spec.id), &now->error);
}


/* so that pages are merged; what cannot be read is not found */

static exports_rc_t
delete_many(exports_writer_t *w, unsigned from)
{
    unsigned      i;
    exports_rc_t  rc;

    now->many = NITEMS - from < NMANY ? NITEMS - from : NMANY;

    for (rc = EXPORTS_OK, i = 0; i < now->many && rc == EXPORTS_OK; i++) {
        rc = delete_item(w, from + i);

        if (rc == EXPORTS_NOT_FOUND) {
            rc = EXPORTS_OK;
        }
    }

    return rc;
}


static exports_rc_t
write_item(exports_writer_t *w)
{
    unsigned  n, size;

    n = (unsigned) (now->about = a_thing(0, NITEMS));
    size = item_size(n);

    switch (now->operation) {

    case PUT:
        return put_item(w, n, size, 0);

    case PUT_LONGER:
        return put_item(w, n, (size + 1) % 3, 0);

    case PUT_MOVED:
        return put_item(w, n, size, 1 + below(1000));

    case DELETE_MANY:
        return delete_many(w, n);

    default:
        return delete_item(w, n);
    }
}


static exports_rc_t
write_token(exports_writer_t *w)
{
    char                   id[EXPORTS_TOKEN_ID_LEN];
    unsigned               n;
    exports_token_line_t   line;

    now->about = a_thing(NITEMS, NTOKENS);
    n = (unsigned) now->about - NITEMS;

    if (now->operation == PUT_TOKEN) {
        return put_token(w, n, below(2));
    }

    token_line(&line, n, 0);
    exports_token_id(id, line.digest);

    return exports_writer_revoke_token(w, id, sizeof(id), &now->error);
}


static exports_rc_t
operate(exports_writer_t *w)
{
    look_t  ignored = { .faults = 0 };

    now->about = -1;
    now->many = 1;

    switch (now->operation) {

    case REPAIR:
        return exports_repair(w, &now->repaired, keep_fault, &ignored,
                              &now->error);

    case PUT_TOKEN:
    case REVOKE:
        return write_token(w);

    case CHECKPOINT:
        now->about = a_thing(NITEMS + NTOKENS, NCHECKPOINTS);
        return put_checkpoint(w, (unsigned) now->about - NITEMS - NTOKENS,
                              chance(50) ? "position 2"
                                         : "a position of another length");

    case PUT_NEW:
        return put_new(w, NITEMS);

    default:
        return write_item(w);
    }
}


static exports_rc_t
commit_if(exports_writer_t *w, exports_rc_t rc, exports_error_t *why)
{
    if (rc == EXPORTS_OK) {
        return exports_writer_commit(w, why);
    }

    exports_writer_abort(w);

    return rc;
}


/* pages that were freed come into use with the commits that follow */

static void
write_on(exports_env_t *env)
{
    unsigned           i;
    exports_writer_t  *w;

    for (i = 1; i <= 3; i++) {
        w = begin_writer(env);
        (void) commit_if(w, put_new(w, NITEMS + i * NNEW), &error);
    }
}


static void
on_assert(const char *message)
{
    (void) snprintf(now->error.text, sizeof(now->error.text), "%s", message);
    _exit(ASSERTED);
}


static void
run_phase(exports_env_t *env)
{
    exports_writer_t  *w;

    switch (now->phase) {

    case LOOKING:
        look_at(env, 0);
        copy_store(env, 0);
        break;

    case OPERATING:
        w = begin_writer(env);
        now->rc = operate(w);
        now->rc = commit_if(w, now->rc, &now->error);
        break;

    case WRITING_ON:
        write_on(env);
        break;

    default:
        look_at(env, now->phase == AFTER ? 1 : 2);
        copy_store(env, now->phase == AFTER ? 1 : 2);
    }
}


/* from the phase that is next; each opens the store anew */

static void
run_phases(uint64_t seed)
{
    exports_rc_t            rc;
    exports_env_t          *env;
    exports_env_options_t   options;

    memset(&options, 0, sizeof(options));
    options.path = in_dir("copy");
    options.map_size = TEST_MAP_SIZE;
    options.flags = EXPORTS_ENV_WRITE|EXPORTS_ENV_NOMETASYNC;
    options.on_assert = on_assert;

    /* a sanitizer would say at length what is expected */

    (void) signal(SIGSEGV, SIG_DFL);
    (void) signal(SIGBUS, SIG_DFL);
    (void) alarm(TIME_MAX);
    random_state = seed + now->phase;

    rc = exports_env_open(&env, &options, &error);

    if (now->phase == OPENING) {
        if (rc != EXPORTS_OK) {
            _exit(UNOPENED);
        }

        now->phase = LOOKING;
    }

    while (rc == EXPORTS_OK) {
        run_phase(env);
        exports_env_close(env);

        if (++now->phase == DONE) {
            _exit(0);
        }

        rc = exports_env_open(&env, &options, &error);
    }

    now->error = error;
    _exit(UNOPENED_NOW);
}


static int
child(uint64_t seed)
{
    int    status;
    pid_t  pid;

    pid = fork_child();

    if (pid == 0) {
        run_phases(seed);
    }

    while (waitpid(pid, &status, 0) == -1) {
        must(errno == EINTR, "waitpid: %s", strerror(errno));
    }

    return status;
}


/* what must hold */

static void
explain(unsigned n, uint64_t seed)
{
    unsigned  i;

    diag("round %u, seed %" PRIu64 ": %s", n, seed, damage_text);
    diag("%s of %d: %s %s", operations[now->operation], now->about,
         rc_name(now->rc), now->rc != EXPORTS_OK ? now->error.text : "");

    for (i = 0; i < 3; i++) {
        diag("%u: %s, %" PRIu64 " faults: %s; copy: %s", i,
             rc_name(now->looks[i].verified), now->looks[i].faults,
             now->looks[i].first, rc_name(now->copied[i]));
    }
}


static int
is_sound(unsigned n)
{
    const look_t  *look;

    look = &now->looks[n];

    return look->verified == EXPORTS_OK && look->faults == 0;
}


static int
is_about(unsigned n)
{
    return now->about != -1 && n >= (unsigned) now->about
           && n - (unsigned) now->about < now->many;
}


static int
check_kept(unsigned n)
{
    int       good;
    unsigned  i;

    for (good = 1, i = 0; i < NTHINGS; i++) {
        if (!is_about(i) && now->looks[0].sums[i] != UNREAD
            && !check(now->looks[n].sums[i] == now->looks[0].sums[i],
                      "thing %u is %s", i,
                      now->looks[n].sums[i] == UNREAD ? "lost" : "another"))
        {
            good = 0;
            break;
        }
    }

    return good;
}


static int
check_round(void)
{
    int       good, whole;
    unsigned  n;

    good = 1;
    whole = now->operation == REPAIR && now->rc == EXPORTS_OK
            && now->repaired.faults == now->repaired.repaired;

    for (n = 1; n < 3; n++) {
        good &= check_kept(n);

        good &= check(is_sound(n) || !(is_sound(0) || whole),
                      "faults where there were none");
    }

    for (n = 0; n < 3; n++) {
        good &= check(!is_sound(n) || now->copied[n] == EXPORTS_OK,
                      "no copy of a sound store");
    }

    good &= check(!(now->died & 1U << OPERATING), "the end of an operation");

    good &= check(now->died == 0 || !is_sound(0),
                  "the end of a child with a sound store");

    return good;
}


static void
count_round(void)
{
    met.refused += now->rc == EXPORTS_CORRUPT;
    met.pages += now->looks[0].pages;
    met.unseen += is_sound(0);
    met.repaired += now->operation == REPAIR && now->rc == EXPORTS_OK
                    && now->repaired.faults > 0
                    && now->repaired.faults == now->repaired.repaired;
    met.over += now->rc == EXPORTS_OK && now->about != -1
                && now->looks[0].sums[now->about] == UNREAD;
}


static int
has_met_all(void)
{
    return met.refused > 0 && met.over > 0 && met.repaired > 0
           && met.pages > 0;
}


static void
one_round(unsigned n)
{
    int       status;
    uint64_t  seed;

    seed = random_state;
    memset(now, 0, sizeof(round_t));
    damage();
    write_damaged();
    now->operation = (operation_t) below(OPERATIONS);
    now->rc = EXPORTS_FAILED;

    while (now->phase != DONE) {
        status = child(seed);

        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            break;
        }

        check(!WIFEXITED(status) || WEXITSTATUS(status) == UNOPENED
              || WEXITSTATUS(status) == ASSERTED, "%s: status %d",
              damage_text, WEXITSTATUS(status));

        if (now->phase == OPENING) {
            met.unopened++;
            return;
        }

        met.died[now->phase]++;
        now->died |= 1U << now->phase;
        now->phase++;
    }

    count_round();

    if (!check_round()) {
        explain(n, seed);
    }
}


int
main(void)
{
    unsigned  n;

    random_seed();

    now = mmap(NULL, sizeof(round_t), PROT_READ|PROT_WRITE,
               MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    must(now != MAP_FAILED, "mmap: %s", strerror(errno));

    build();

    for (n = 0; goes_on(n, rounds(300, 150), has_met_all()); n++) {
        one_round(n);
    }

    checked("what could be read is kept");
    note("%u rounds: %u with faults of pages, %u with none; %u not opened", n,
         met.pages, met.unseen, met.unopened);
    note("%u refused, %u over what was damaged, %u repaired", met.refused,
         met.over, met.repaired);
    note("ended by LMDB: verify %u, operations %u, what followed %u",
         met.died[LOOKING], met.died[OPERATING], met.died[WRITING_ON]);
    ok(has_met_all(), "there were faults of pages, refusals, repairs, and "
       "writing over what was damaged");

    return done_testing();
}
