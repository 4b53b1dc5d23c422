
/*
 * exports_probe.c, exports_freelist.c: data files that LMDB must not see.
 */

#include "fixture.h"

#include "exports_mdb_layout.h"


#define META_SIZE  152          /* of each meta page, what is not padding */


static exports_error_t  error;
static uint8_t          whole[1 << 22];
static size_t           whole_len, page_size;
static char             file[4300];


static void
write_file(const uint8_t *data, size_t len)
{
    int  fd;

    fd = open(file, O_WRONLY|O_CREAT|O_TRUNC, 0644);
    must(fd != -1 && write(fd, data, len) == (ssize_t) len && close(fd) == 0,
         "writing %s: %s", file, strerror(errno));
}


static exports_rc_t
probe(const uint8_t *data, size_t len)
{
    write_file(data, len);
    memset(&error, 0, sizeof(error));

    return exports_probe(file, &error);
}


/* a sound store, its file read whole */

static void
prepare(void)
{
    int             fd;
    char            id[32];
    spec_t          spec;
    ssize_t         n;
    unsigned        i;
    exports_env_t  *env;

    page_size = (size_t) sysconf(_SC_PAGESIZE);

    env = new_store(in_dir("store"));

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_PROJECT;
    spec.scope = "alpha";
    spec.id = id;
    spec.status = "ready";
    spec.type = "contacts";

    for (i = 0; i < 120; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", below(100));
        spec.created = TEST_TIME + below(50);
        store_spec(env, &spec);
    }

    exports_env_close(env);

    fd = open(in_dir("store/data.mdb"), O_RDONLY);
    must(fd != -1, "open");

    for (whole_len = 0;
         (n = read(fd, whole + whole_len, sizeof(whole) - whole_len)) > 0;
         whole_len += (size_t) n)
    {
        /* void */
    }

    (void) close(fd);
    must(whole_len > 20 * page_size && whole_len < sizeof(whole),
         "%zu bytes", whole_len);

    (void) snprintf(file, sizeof(file), "%s", in_dir("probed.mdb"));
}


static uint64_t
last_page(unsigned n)
{
    uint64_t  value;

    memcpy(&value, whole + n * page_size + 136, 8);

    return value;
}


/* the meta page of the last commit */

static unsigned
newest(void)
{
    uint64_t  txnid[2];

    memcpy(&txnid[0], whole + 144, 8);
    memcpy(&txnid[1], whole + page_size + 144, 8);

    return txnid[0] < txnid[1];
}


static void
truncated(void)
{
    size_t        len, need;
    exports_rc_t  rc, want;

    is_int(probe(whole, whole_len), EXPORTS_OK, "a sound file");

    need = (last_page(newest()) + 1) * page_size;
    ok(need <= whole_len, "%zu of %zu bytes are needed", need, whole_len);

    for (len = 512; len < whole_len; len += 512) {
        rc = probe(whole, len);
        want = len >= need ? EXPORTS_OK
               : len < page_size + META_SIZE ? EXPORTS_FORMAT
               : EXPORTS_CORRUPT;

        check(rc == want || (len < page_size + META_SIZE
                             && rc == EXPORTS_CORRUPT),
              "%zu bytes: %s, not %s", len, rc_name(rc), rc_name(want));

        check(rc == EXPORTS_OK || strstr(error.text, file) != NULL,
              "%zu bytes: %s", len, error.text);
    }

    for (len = 1; len < 2 * page_size; len += 1 + below(40)) {
        rc = probe(whole, len);
        check(rc == EXPORTS_FORMAT || rc == EXPORTS_CORRUPT, "%zu bytes: %s",
              len, rc_name(rc));
    }

    checked("a truncated file is refused");

    is_int(probe(whole, 0), EXPORTS_MISSING, "an empty file");
    has_str(error.text, "is empty", "the text says so");

    is_int(probe(whole, need - 1), EXPORTS_CORRUPT, "a byte too short");
    has_str(error.text, "is shorter than its meta pages say",
            "the text says so");

    memset(whole + whole_len, 0, page_size);
    is_int(probe(whole, whole_len + 100), EXPORTS_OK, "longer than needed");
}


/* with one field of a meta page changed */

static exports_rc_t
probe_changed(unsigned n, size_t at, const void *value, size_t len)
{
    uint8_t       old[8];
    exports_rc_t  rc;

    memcpy(old, whole + n * page_size + at, len);
    memcpy(whole + n * page_size + at, value, len);

    rc = probe(whole, whole_len);

    memcpy(whole + n * page_size + at, old, len);

    return rc;
}


static void
changed(unsigned n, size_t at, const void *value, size_t len,
    const char *text, const char *name)
{
    exports_rc_t  rc;

    rc = probe_changed(n, at, value, len);

    is_rc(rc, EXPORTS_FORMAT, &error, "meta page %u: %s", n, name);
    has_str(error.text, text, "meta page %u: %s: the text", n, name);
}


/*
 * LMDB that could not write a meta page leaves roots of a commit that never was
 * in the older one, which nobody follows
 */

static void
roots(void)
{
    unsigned    n, i;
    uint64_t    page;

    n = newest();

    for (i = 0; i < 2; i++) {
        page = last_page(n) + 1;
        changed(n, 80 + i * 48, &page, 8, "a root lies outside",
                "a root behind the end");
        is_int(probe_changed(!n, 80 + i * 48, &page, 8), EXPORTS_OK,
               "a root behind the end in the older meta page");

        page = 1;
        changed(n, 80 + i * 48, &page, 8, "a root lies outside",
                "a root that is a meta page");
        page = UINT64_MAX - 1;
        changed(n, 80 + i * 48, &page, 8, "a root lies outside",
                "a root far outside");
    }
}


static void
meta_pages(void)
{
    unsigned                n, i;
    uint16_t                flags;
    uint32_t                word;
    uint64_t                page;
    static const uint32_t   sizes[] = { 0, 1, 256, 4095, 4097, 1 << 17,
                                        UINT32_MAX };

    for (n = 0; n < 2; n++) {
        word = 0xbeefc0df;
        changed(n, 16, &word, 4, "is not an LMDB file", "the magic");

        word = 999;
        changed(n, 20, &word, 4, "another version of LMDB", "version 1.0's");
        word = 2;
        changed(n, 20, &word, 4, "another version of LMDB", "version 2");

        flags = 0x02;
        changed(n, 10, &flags, 2, "is not an LMDB file", "a leaf");

        for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            changed(n, 40, &sizes[i], 4, "the page size is impossible",
                    "a page size");
        }

        page = 7;
        changed(n, 0, &page, 8, "its number is wrong", "its number");
        page = 0;
        changed(n, 136, &page, 8, "its number is wrong", "no pages");
    }

    roots();

    /* the sizes of the two differ, though each could be one */

    word = (uint32_t) page_size * 2;
    changed(1, 40, &word, 4, "the page size is impossible",
            "another page size than the first's");
}


static void
no_files(void)
{
    uint8_t      garbage[9000];
    unsigned     i;

    (void) alarm(20);

    is_int(exports_probe(in_dir("nothing"), &error), EXPORTS_MISSING,
           "no file");
    is_int(exports_probe(in_dir("probed.mdb/x"), &error), EXPORTS_MISSING,
           "below a file");
    is_int(exports_probe(in_dir("store"), &error), EXPORTS_FORMAT,
           "a directory");

    must(mkfifo(in_dir("fifo"), 0644) == 0, "mkfifo");
    is_int(exports_probe(in_dir("fifo"), &error), EXPORTS_FORMAT, "a FIFO");
    is_int(exports_probe("/dev/zero", &error), EXPORTS_FORMAT, "a device");

    must(symlink("store/data.mdb", in_dir("link")) == 0, "symlink");
    is_int(exports_probe(in_dir("link"), &error), EXPORTS_OK,
           "a symlink to a sound file");
    is_int(exports_probe(in_dir("link"), NULL), EXPORTS_OK,
           "without an error");
    is_int(exports_probe(in_dir("store"), NULL), EXPORTS_FORMAT,
           "with an error nobody asked for");

    (void) alarm(0);

    for (i = 0; i < 200; i++) {
        random_bytes(garbage, sizeof(garbage));
        check(probe(garbage, below(sizeof(garbage)) + 1) == EXPORTS_FORMAT,
              "garbage: %s", error.text);
    }

    memset(garbage, 0, sizeof(garbage));
    check(probe(garbage, sizeof(garbage)) == EXPORTS_FORMAT, "zeros");
    memset(garbage, 0xff, sizeof(garbage));
    check(probe(garbage, sizeof(garbage)) == EXPORTS_FORMAT, "ones");

    checked("garbage is refused");
}


/* two meta pages alone, of each size that pages can have */

static void
page_sizes(void)
{
    uint32_t        size;
    meta_page_t     meta;
    static uint8_t  data[2 * PAGE_SIZE_MAX];

    for (size = PAGE_SIZE_MIN; size <= PAGE_SIZE_MAX; size *= 2) {
        memcpy(&meta, whole, sizeof(meta));
        meta.trees[0].pad = size;
        meta.trees[0].root = NO_PAGE;
        meta.trees[1].root = NO_PAGE;
        meta.last_page = 1;

        memset(data, 0, sizeof(data));
        memcpy(data, &meta, sizeof(meta));
        meta.pgno = 1;
        memcpy(data + size, &meta, sizeof(meta));

        check(probe(data, 2 * size) == EXPORTS_OK, "%u: %s", size, error.text);
    }

    checked("each size that pages can have");
}


/* what the probe lets through LMDB opens without dying */

static void
flips(void)
{
    int               status;
    pid_t             pid;
    size_t            at;
    uint8_t           old;
    unsigned          i, n, passed;
    exports_rc_t      rc;

    must(mkdir(in_dir("flipped"), 0755) == 0, "mkdir");
    (void) snprintf(file, sizeof(file), "%s", in_dir("flipped/data.mdb"));

    n = rounds(1500, 1500);
    passed = 0;

    for (i = 0; i < n; i++) {
        at = below(2) * page_size + below(META_SIZE);
        old = whole[at];

        whole[at] ^= (uint8_t) (1 << below(8));
        rc = probe(whole, whole_len);
        whole[at] = old;

        check(rc == EXPORTS_OK || rc == EXPORTS_FORMAT
              || rc == EXPORTS_CORRUPT, "byte %zu: %s", at, rc_name(rc));

        if (rc != EXPORTS_OK || i % 8 != 0) {
            continue;
        }

        /* opened, and closed again without a look at the pages */

        passed++;
        pid = fork_child();

        if (pid == 0) {
            MDB_env  *mdb;

            if (mdb_env_create(&mdb) == 0
                && mdb_env_set_mapsize(mdb, TEST_MAP_SIZE) == 0)
            {
                (void) mdb_env_open(mdb, in_dir("flipped"), MDB_RDONLY, 0644);
                mdb_env_close(mdb);
            }

            _exit(0);
        }

        status = wait_child(pid);
        check(status == 0, "byte %zu: LMDB: %d", at, status);
    }

    checked("flipped bits in the meta pages crash nothing");
    note("%u of the files that passed were opened", passed);
}


/* the same for the free list, which the probe reads by itself */

static void
free_list(void)
{
    int           fd;
    size_t        len, at;
    uint8_t      *copy;
    unsigned      i, n;
    uint64_t      txnid, have, need;
    exports_rc_t  rc;

    copy = malloc(whole_len);
    must(copy != NULL, "memory");

    (void) snprintf(file, sizeof(file), "%s", in_dir("free.mdb"));

    memcpy(&txnid, whole + 144, 8);
    memcpy(&have, whole + page_size + 144, 8);
    txnid = txnid > have ? txnid : have;

    write_file(whole, whole_len);
    fd = open(file, O_RDWR);
    must(fd != -1, "open");

    rc = exports_probe_short(fd, txnid, &have, &need);
    ok(rc == EXPORTS_OK && have == whole_len && need <= have,
       "a file that is not short");
    is_int(exports_probe_short(fd, txnid - 1, &have, &need), EXPORTS_OK,
           "the commit before");
    is_int(exports_probe_short(fd, txnid - 2, &have, &need), EXPORTS_STALE,
           "a commit whose page is written over");
    is_int(exports_probe_short(fd, txnid + 1, &have, &need), EXPORTS_STALE,
           "a commit that is not there yet");

    n = rounds(3000, 2000);

    for (i = 0; i < n; i++) {
        memcpy(copy, whole, whole_len);

        /* up to three bytes of the pages, never of the meta pages */

        for (len = below(4); len > 0; len--) {
            at = 2 * page_size
                 + below((unsigned) (whole_len / page_size) - 2) * page_size;
            at += chance(50) ? below(40) : below((unsigned) page_size);
            copy[at] ^= (uint8_t) (1 << below(8));
        }

        len = chance(80) ? (whole_len / page_size - below(30)) * page_size
                         : whole_len - below((unsigned) whole_len);

        must(pwrite(fd, copy, whole_len, 0) == (ssize_t) whole_len
             && ftruncate(fd, (off_t) len) == 0, "writing");

        rc = exports_probe_short(fd, txnid, &have, &need);

        check(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT
              || (rc == EXPORTS_STALE && len < 2 * page_size),
              "%zu bytes: %s", len, rc_name(rc));
    }

    checked("a damaged free list crashes nothing");

    (void) close(fd);
    free(copy);
}


/* a free list of several pages, with lists too long for one of them */

static exports_env_t *
large_free_list(void)
{
    char               id[32];
    spec_t             spec;
    unsigned           i, n;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_reader_t  *reader;
    exports_writer_t  *w;

    env = new_store(in_dir("large"));

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_PROJECT;
    spec.scope = "alpha";
    spec.id = id;
    spec.status = "ready";
    spec.type = "contacts";

    for (n = 0; n < 2; n++) {
        w = begin_writer(env);

        for (i = 0; i < 6000; i++) {
            (void) snprintf(id, sizeof(id), "exp_%u", i);
            spec.created = TEST_TIME + i;

            rc = n == 0 ? put_spec(w, &spec, NULL, &error)
                 : i < 500 ? EXPORTS_OK
                 : exports_writer_delete(w, EXPORTS_PROJECT, "alpha", 5, id,
                                         strlen(id), &error);
            must(rc == EXPORTS_OK, "%s", error.text);
        }

        commit_writer(w);
    }

    /* nothing is used again while a reader looks at it */

    reader = open_reader(env);
    renew_reader(reader);

    for (i = 0; i < 400; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", below(500));
        spec.created = TEST_TIME + below(500);
        store_spec(env, &spec);
    }

    exports_reader_close(reader);

    return env;
}


/* one with a long list of what lies at the end */

static void
change_many(exports_env_t *env, const char *project, unsigned n, int put)
{
    char               id[32];
    spec_t             spec;
    unsigned           i;
    exports_rc_t       rc;
    exports_writer_t  *w;

    memset(&spec, 0, sizeof(spec));
    spec.kind = EXPORTS_PROJECT;
    spec.scope = project;
    spec.id = id;
    spec.status = "ready";
    spec.type = "contacts";

    w = begin_writer(env);

    for (i = 0; i < n; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        spec.created = TEST_TIME + i;

        rc = put ? put_spec(w, &spec, NULL, &error)
                 : exports_writer_delete(w, EXPORTS_PROJECT, project,
                                         strlen(project), id, strlen(id),
                                         &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }

    commit_writer(w);
}


static exports_env_t *
free_tail(void)
{
    exports_env_t  *env;

    env = new_store(in_dir("tail"));

    /* the place of the first is used for what the last commit writes */

    change_many(env, "a", 6000, 1);
    change_many(env, "b", 6000, 1);
    change_many(env, "a", 6000, 0);
    change_many(env, "c", 1, 1);
    change_many(env, "c", 1, 1);
    change_many(env, "b", 6000, 0);

    return env;
}


/* which pages are free, by LMDB itself */

typedef struct {
    uint64_t  txnid;
    uint64_t  last;             /* page */
    unsigned  depth;            /* of the tree of lists */
    size_t    longest;          /* list */
    unsigned  sound;            /* lengths of files cut off */
} free_list_t;

static void
free_pages(exports_env_t *env, uint8_t *set, size_t size, free_list_t *list)
{
    size_t        i, n, page;
    MDB_val       k, v;
    MDB_txn      *txn;
    MDB_stat      st;
    MDB_cursor   *cursor;
    MDB_envinfo   info;

    memset(set, 0, size);

    must(mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn) == 0
         && mdb_cursor_open(txn, 0, &cursor) == 0
         && mdb_stat(txn, 0, &st) == 0, "the free list");

    (void) mdb_env_info(env->mdb, &info);
    list->last = info.me_last_pgno;
    list->depth = st.ms_depth;
    list->longest = 0;

    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
        memcpy(&n, v.mv_data, sizeof(n));
        list->longest = n > list->longest ? n : list->longest;

        for (i = 1; i <= n; i++) {
            memcpy(&page, (char *) v.mv_data + i * sizeof(page), sizeof(page));
            must(page < size, "page %zu", page);
            set[page] = 1;
        }
    }

    list->txnid = mdb_txn_id(txn);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);

    note("a free list of depth %u, up to %zu pages a transaction",
         list->depth, list->longest);
}


static void
free_oracle(exports_env_t *env, const char *name, free_list_t *list)
{
    int              fd, out;
    char             buf[65536];
    off_t            at;
    uint8_t         *set;
    ssize_t          n;
    uint64_t         last, pages, have, need;
    exports_rc_t     rc;

    set = malloc(100000);
    must(set != NULL, "memory");

    free_pages(env, set, 100000, list);
    last = list->last;

    fd = open(in_dir("%s/data.mdb", name), O_RDONLY);
    out = open(in_dir("cut.mdb"), O_RDWR|O_CREAT|O_TRUNC, 0644);
    must(fd != -1 && out != -1, "open");

    for (at = 0; (n = pread(fd, buf, sizeof(buf), at)) > 0; at += n) {
        must(pwrite(out, buf, (size_t) n, at) == n, "pwrite");
    }

    must(ftruncate(out, (off_t) ((last + 1) * page_size)) == 0, "ftruncate");
    rc = exports_probe_short(out, list->txnid, &have, &need);
    ok(rc == EXPORTS_OK && have == need, "the file whole");

    list->sound = 0;

    for (pages = last; pages > 1; pages -= pages > last - 50 ? 1
                                           : 1 + below(9) % (pages - 1))
    {
        uint64_t  page;

        for (page = pages; page <= last && set[page]; page++) {
            /* void */
        }

        must(ftruncate(out, (off_t) (pages * page_size)) == 0, "ftruncate");
        rc = exports_probe_short(out, list->txnid, &have, &need);

        check(rc == (page > last ? EXPORTS_OK : EXPORTS_CORRUPT),
              "%" PRIu64 " of %" PRIu64 " pages: %s", pages, last + 1,
              rc_name(rc));
        check(rc != EXPORTS_OK || (have == pages * page_size
                                   && need == (last + 1) * page_size),
              "%" PRIu64 " of %" PRIu64 " bytes", have, need);

        list->sound += (rc == EXPORTS_OK);
    }

    checked("a file cut off is sound when LMDB calls all it lacks free");
    note("%u lengths of %" PRIu64 " pages are sound", list->sound, last + 1);

    (void) close(out);
    (void) close(fd);
    free(set);
}


static void
free_lists(void)
{
    free_list_t     list;
    exports_env_t  *env;

    env = large_free_list();

    free_oracle(env, "large", &list);
    ok(list.depth > 1 && list.longest > page_size / 8,
       "a free list with branches and long lists");

    exports_env_close(env);

    env = free_tail();

    free_oracle(env, "tail", &list);
    ok(list.sound > 1 && list.longest > page_size / 8,
       "a file that may be shorter, by a long list");

    exports_env_close(env);
}


/* lists on the same pages: to read each of them takes as long as one likes */

static void
shared_lists(unsigned nlists, unsigned pages, exports_rc_t want)
{
    int             fd;
    uint8_t         data[6 * PAGE_SIZE_MIN];
    uint16_t        at;
    uint64_t        have, need, list[2], first = 3;
    unsigned        i;
    meta_page_t     meta;
    page_header_t   leaf;
    node_header_t   node;

    memset(data, 0, sizeof(data));
    memset(&meta, 0, sizeof(meta));
    memset(&leaf, 0, sizeof(leaf));
    memset(&node, 0, sizeof(node));

    meta.magic = META_MAGIC;
    meta.trees[0].pad = PAGE_SIZE_MIN;
    meta.trees[0].root = 2;
    meta.last_page = 5 + nlists;
    meta.txnid = 1;
    memcpy(data, &meta, sizeof(meta));

    leaf.pgno = 2;
    leaf.flags = LEAF_FLAG;
    leaf.lower = (uint16_t) (PAGE_HEADER + 2 * nlists);
    memcpy(data + 2 * PAGE_SIZE_MIN, &leaf, PAGE_HEADER);

    node.low = (uint16_t) (pages * PAGE_SIZE_MIN - PAGE_HEADER);
    node.flags = OVERFLOW_FLAG;
    at = 400;
    memcpy(data + 2 * PAGE_SIZE_MIN + at, &node, NODE_HEADER);
    memcpy(data + 2 * PAGE_SIZE_MIN + at + NODE_HEADER, &first, 8);

    for (i = 0; i < nlists; i++) {
        memcpy(data + 2 * PAGE_SIZE_MIN + PAGE_HEADER + 2 * i, &at, 2);
    }

    list[0] = 1;
    list[1] = 6;
    memcpy(data + 3 * PAGE_SIZE_MIN + PAGE_HEADER, list, sizeof(list));

    write_file(data, sizeof(data));

    fd = open(file, O_RDONLY);
    must(fd != -1, "open");
    is_int(exports_probe_short(fd, 1, &have, &need), want,
           "%u lists on the same %u pages", nlists, pages);
    (void) close(fd);
}


int
main(void)
{
    random_seed();

    prepare();
    truncated();
    meta_pages();
    page_sizes();
    no_files();
    flips();
    free_list();
    free_lists();
    shared_lists(1, 3, EXPORTS_OK);
    shared_lists(2, 3, EXPORTS_CORRUPT);
    shared_lists(60, 1, EXPORTS_CORRUPT);

    return done_testing();
}
