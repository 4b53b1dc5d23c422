
/*
 * exports_walk.c: walks, of sound stores and of such whose pages are not where
 * they belong, and what verify and a repair make of these.
 */

#include "fixture.h"

#include <fcntl.h>


static exports_error_t  error;


typedef struct {
    unsigned      n;
    unsigned      stop;         /* after as many */
    unsigned      unordered;
    size_t        len;
    uint8_t       last[600];
} walked_t;

static exports_rc_t
visit(void *data, const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    size_t     n;
    uint8_t    both[600];
    walked_t  *w = data;

    (void) value;

    /* of facets the values are in order, too */

    n = key_len;
    memcpy(both, key, n);

    if (len == EXPORTS_ENTRY_LEN) {
        memcpy(both + n, value, len);
        n += len;
    }

    if (w->n > 0
        && memcmp(w->last, both, w->len < n ? w->len : n) > 0)
    {
        w->unordered++;
    }

    memcpy(w->last, both, n);
    w->len = n;

    return ++w->n == w->stop ? EXPORTS_CONFLICT : EXPORTS_OK;
}


static void
walks(void)
{
    char               id[32];
    spec_t             spec;
    walked_t           w;
    unsigned           i;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_scope_t    a, b, c;
    exports_reader_t  *reader;
    exports_writer_t  *writer;

    env = new_store(in_dir("walks"));
    reader = open_reader(env);

    renew_reader(reader);
    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests(reader, 0, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 0, "a walk over nothing");
    rc = exports_walk_manifests(reader, 1, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 0, "a walk over no scope");
    exports_reader_reset(reader);

    writer = begin_writer(env);

    for (i = 0; i < 60; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        spec = project_spec(i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c", id,
                            TEST_TIME + below(20));
        rc = put_spec(writer, &spec, NULL, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }

    commit_writer(writer);

    a = stored_scope(env, EXPORTS_PROJECT, "a");
    b = stored_scope(env, EXPORTS_PROJECT, "b");
    c = stored_scope(env, EXPORTS_PROJECT, "c");

    renew_reader(reader);

    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests(reader, 0, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 60 && w.unordered == 0,
       "all manifests, in order");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests(reader, a.id, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 20 && w.unordered == 0
       && exports_get64(w.last) == a.id, "the first scope's");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests(reader, b.id, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 20 && exports_get64(w.last) == b.id,
       "the second scope's");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests(reader, c.id, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 20 && exports_get64(w.last) == c.id,
       "the last scope's");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests(reader, c.id + 1, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 0, "a scope behind the last");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests(reader, UINT64_MAX, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 0, "the greatest scope");

    memset(&w, 0, sizeof(w));
    w.stop = 7;
    rc = exports_walk_manifests(reader, b.id, visit, &w);
    ok(rc == EXPORTS_CONFLICT && w.n == 7,
       "a visitor ends the walk with its code");

    memset(&w, 0, sizeof(w));
    w.stop = 7;
    rc = exports_walk_ids(reader, visit, &w);
    ok(rc == EXPORTS_CONFLICT && w.n == 7,
       "what it has not seen of all is not missing then");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_scopes(reader, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 3 && w.unordered == 0, "scopes");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_tokens(reader, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 0, "tokens");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_ids(reader, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 60 && w.unordered == 0, "ids");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_facets(reader, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 120 && w.unordered == 0,
       "entries of facets");

    exports_reader_close(reader);
    exports_env_close(env);
}


/* in a transaction that has made the store many times larger */

static void
writers(void)
{
    char               id[32];
    spec_t             spec;
    walked_t           w;
    unsigned           i, n;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_verify_t   result;
    exports_reader_t  *reader;
    exports_writer_t  *writer;

    n = rounds(5000, 3000);
    env = new_store(in_dir("writers"));
    writer = begin_writer(env);

    for (i = 0; i < n; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        spec = project_spec("a", id, TEST_TIME + i);
        rc = put_spec(writer, &spec, NULL, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }

    reader = exports_writer_reader(writer);

    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests(reader, 0, visit, &w);
    ok(rc == EXPORTS_OK && w.n == n, "a writer walks what it has put");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_ids(reader, visit, &w);
    ok(rc == EXPORTS_OK && w.n == n, "by its ids");

    memset(&w, 0, sizeof(w));
    rc = exports_walk_facets(reader, visit, &w);
    ok(rc == EXPORTS_OK && w.n == 2 * n, "and by its lists");

    rc = exports_verify(reader, &result, show_fault, NULL, &error);
    ok(rc == EXPORTS_OK && result.faults == 0 && result.manifests == n,
       "and verifies it");

    exports_writer_abort(writer);
    exports_env_close(env);
}


/* a store of several leaves of each kind, whose file is written to */

#define NSCOPES  300
#define NLEAVES  400

typedef struct {
    exports_env_t  *env;
    uint8_t        *data;           /* of the file, when it was sound */
    size_t          size;
    size_t          page_size;
    int             fd;

    const uint8_t  *map;
    uint64_t        leaves[NLEAVES];    /* of a database, in its order */
    unsigned        nleaves;
} file_t;

static const exports_db_t  damaged_dbs[] = {
    DB_SCOPES, DB_TOKENS, DB_MANIFESTS, DB_IDS, DB_FACETS
};


static void
put_scope(exports_writer_t *w, unsigned n)
{
    char                   name[32], id[32], text[256];
    int                    len;
    spec_t                 spec;
    unsigned               i;
    exports_rc_t           rc;
    exports_token_line_t   line;

    (void) snprintf(name, sizeof(name), "p%03u", n);

    for (i = 0; i < 3; i++) {
        (void) snprintf(id, sizeof(id), "exp_%u", i);
        spec = project_spec(name, id, TEST_TIME + i);
        rc = put_spec(w, &spec, NULL, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }

    len = snprintf(text, sizeof(text), "{\"sha256\":\"%064x\",\"project\":"
                   "\"%s\"}", n, name);

    rc = exports_token_parse(&line, text, (size_t) len, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    rc = exports_writer_put_token(w, &line, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
}


static void
open_file(file_t *file)
{
    char               path[4300];
    unsigned           i;
    MDB_stat           st;
    MDB_envinfo        info;
    exports_writer_t  *w;

    file->env = new_store(in_dir("pages"));
    w = begin_writer(file->env);

    for (i = 0; i < NSCOPES; i++) {
        put_scope(w, i);
    }

    commit_writer(w);

    (void) mdb_env_stat(file->env->mdb, &st);
    (void) mdb_env_info(file->env->mdb, &info);

    file->page_size = st.ms_psize;
    file->size = (info.me_last_pgno + 1) * st.ms_psize;
    file->data = malloc(file->size);
    must(file->data != NULL, "memory");

    (void) snprintf(path, sizeof(path), "%s/data.mdb",
                    exports_env_path(file->env));

    file->fd = open(path, O_RDWR);
    must(file->fd != -1
         && pread(file->fd, file->data, file->size, 0)
            == (ssize_t) file->size, "reading \"%s\"", path);
}


/* what has been damaged is as it was */

static void
restore_file(const file_t *file)
{
    must(pwrite(file->fd, file->data, file->size, 0) == (ssize_t) file->size,
         "writing the file");
}


static exports_rc_t
keep_leaf(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    file_t    *file = data;
    uint64_t   pgno;

    (void) key_len;
    (void) value;
    (void) len;

    pgno = (uint64_t) (key - file->map) / file->page_size;

    if (file->nleaves == 0 || file->leaves[file->nleaves - 1] != pgno) {
        must(file->nleaves < NLEAVES, "too many leaves");
        file->leaves[file->nleaves++] = pgno;
    }

    return EXPORTS_OK;
}


static void
find_leaves(file_t *file, exports_db_t db)
{
    exports_tree_t    *tree;
    exports_reader_t  *reader;
    exports_walked_t   walked;

    reader = open_reader(file->env);
    renew_reader(reader);

    must(exports_reader_tree(reader, db, &tree) == EXPORTS_OK && tree != NULL,
         "a tree");

    file->map = tree->map;
    file->nleaves = 0;

    must(exports_walk(reader, db, keep_leaf, file, &walked) == EXPORTS_OK
         && exports_walked_whole(&walked) && file->nleaves > 2,
         "the leaves of %s", exports_db_names[db]);

    exports_reader_close(reader);
}


static void
write_page(const file_t *file, uint64_t pgno, size_t from, const void *data,
    size_t len)
{
    must(pwrite(file->fd, data, len,
                (off_t) (pgno * file->page_size + from)) == (ssize_t) len,
         "writing a page");
}


/* one leaf where another one belongs, or half of its nodes lost */

static void
damage_leaf(const file_t *file)
{
    size_t    from;
    uint16_t  lower;
    unsigned  to, other;

    to = below(file->nleaves);

    if (chance(30)) {
        memcpy(&lower, file->data + file->leaves[to] * file->page_size
                       + PAGE_LOWER, sizeof(lower));
        lower = (uint16_t) (PAGE_HEADER + (lower - PAGE_HEADER) / 4 * 2);
        write_page(file, file->leaves[to], PAGE_LOWER, &lower, sizeof(lower));
        return;
    }

    do {
        other = below(file->nleaves);
    } while (other == to);

    /* the number of the page is what it begins with */

    from = chance(50) ? 0 : sizeof(uint64_t);

    write_page(file, file->leaves[to], from,
               file->data + file->leaves[other] * file->page_size + from,
               file->page_size - from);
}


static void
no_fault(void *data, const char *text)
{
    (void) data;
    (void) text;
}


static void
check_damaged(const file_t *file, exports_db_t db)
{
    uint64_t           sum;
    walked_t           w;
    exports_rc_t       rc;
    exports_reader_t  *reader;
    exports_verify_t   result;
    exports_writer_t  *writer;

    reader = open_reader(file->env);
    renew_reader(reader);

    memset(&w, 0, sizeof(w));

    rc = db == DB_SCOPES ? exports_walk_scopes(reader, visit, &w)
         : db == DB_TOKENS ? exports_walk_tokens(reader, visit, &w)
         : db == DB_MANIFESTS ? exports_walk_manifests(reader, 0, visit, &w)
         : db == DB_IDS ? exports_walk_ids(reader, visit, &w)
                        : exports_walk_facets(reader, visit, &w);

    check(rc == EXPORTS_CORRUPT, "a walk of %s: %s", exports_db_names[db],
          rc_name(rc));

    memset(&w, 0, sizeof(w));
    rc = exports_walk_manifests_after(reader, NULL, visit, &w);

    check(w.unordered == 0, "a walk that is to go on from the last key");
    check(rc == EXPORTS_OK || (rc == EXPORTS_CORRUPT && db == DB_MANIFESTS),
          "that walk: %s", rc_name(rc));

    rc = exports_verify(reader, &result, no_fault, NULL, &error);
    check(rc == EXPORTS_CORRUPT || (rc == EXPORTS_OK && result.faults > 0),
          "verify: %s, %" PRIu64 " faults", rc_name(rc), result.faults);

    exports_reader_close(reader);

    sum = store_sum(file->env);
    writer = begin_writer(file->env);

    rc = exports_repair(writer, &result, no_fault, NULL, &error);
    check(rc == EXPORTS_CORRUPT && result.repaired == 0, "a repair: %s",
          rc_name(rc));
    commit_writer(writer);

    check(store_sum(file->env) == sum, "a repair has changed something");
}


static void
damaged(void)
{
    file_t         file;
    unsigned       i, n;
    exports_db_t   db;

    open_file(&file);

    for (i = 0; i < sizeof(damaged_dbs) / sizeof(damaged_dbs[0]); i++) {
        db = damaged_dbs[i];
        find_leaves(&file, db);

        for (n = 0; n < rounds(20, 8); n++) {
            damage_leaf(&file);
            check_damaged(&file, db);
            restore_file(&file);
        }

        checked("leaves of %s in wrong places are noticed, and left alone",
                exports_db_names[db]);
    }

    is_int(store_faults(file.env), 0, "the store is as it was");

    (void) close(file.fd);
    free(file.data);
    exports_env_close(file.env);
}


/* makes a page a branch, whose children all are one page */

static void
write_branch(const file_t *file, uint64_t pgno, uint64_t child)
{
    unsigned        i, n;
    uint8_t        *page;
    uint16_t        at;
    page_header_t   header;
    node_header_t   node;

    page = calloc(1, file->page_size);
    must(page != NULL, "memory");

    n = (unsigned) ((file->page_size - PAGE_HEADER)
                    / (NODE_HEADER + sizeof(at)));

    memset(&header, 0, sizeof(header));
    header.pgno = pgno;
    header.flags = BRANCH_FLAG;
    header.lower = (uint16_t) (PAGE_HEADER + n * sizeof(at));
    header.upper = (uint16_t) (file->page_size - n * NODE_HEADER);
    memcpy(page, &header, sizeof(header));

    memset(&node, 0, sizeof(node));
    node.low = (uint16_t) child;
    node.high = (uint16_t) (child >> 16);

    for (i = 0; i < n; i++) {
        at = (uint16_t) (header.upper + i * NODE_HEADER);
        memcpy(page + PAGE_HEADER + i * sizeof(at), &at, sizeof(at));
        memcpy(page + at, &node, sizeof(node));
    }

    write_page(file, pgno, 0, page, file->page_size);
    free(page);
}


/* a tree that comes by one leaf more often than anybody could wait for: of one
   node, the same again and again, or of several, which begin again */

static void
endless(void)
{
    file_t             file;
    uint16_t           lower;
    unsigned           i, n;
    exports_rc_t       rc;
    exports_tree_t    *tree;
    exports_reader_t  *reader;
    exports_verify_t   result;
    exports_writer_t  *writer;

    open_file(&file);
    find_leaves(&file, DB_MANIFESTS);

    reader = open_reader(file.env);
    renew_reader(reader);
    must(exports_reader_tree(reader, DB_MANIFESTS, &tree) == EXPORTS_OK,
         "a tree");

    for (n = 1; n <= 3; n++) {
        write_branch(&file, tree->root, file.leaves[0]);

        for (i = 0; i < 5; i++) {
            write_branch(&file, file.leaves[i], file.leaves[i + 1]);
        }

        lower = (uint16_t) (PAGE_HEADER + n * sizeof(uint16_t));
        write_page(&file, file.leaves[i], PAGE_LOWER, &lower, sizeof(lower));

        rc = exports_verify(reader, &result, no_fault, NULL, &error);
        is_rc(rc, EXPORTS_CORRUPT, &error, "%u nodes: verify ends", n);

        writer = begin_writer(file.env);
        rc = exports_repair(writer, &result, no_fault, NULL, &error);
        is_rc(rc, EXPORTS_CORRUPT, &error, "%u nodes: so does a repair", n);
        exports_writer_abort(writer);

        restore_file(&file);
    }

    exports_reader_close(reader);
    is_int(store_faults(file.env), 0, "the store is as it was");

    (void) close(file.fd);
    free(file.data);
    exports_env_close(file.env);
}


int
main(void)
{
    random_seed();

    walks();
    writers();
    damaged();
    endless();

    return done_testing();
}
