
/*
 * exports_tree_check.c, as verify and a writer use it: pages and nodes that are
 * not as LMDB writes them.
 */

#include "faults.h"

#include "exports_run.h"
#include "exports_tree_check.h"


/* trees that are damaged are left alone */

static void
check_not_repaired(exports_env_t *env)
{
    uint64_t           sum;
    exports_rc_t       rc;
    exports_writer_t  *w;

    sum = store_sum(env);
    nfaults = 0;
    w = begin_writer(env);

    rc = exports_repair(w, &result, keep_fault, NULL, &error);

    check(rc == EXPORTS_CORRUPT && result.repaired == 0
          && strncmp(error.text, "nothing is repaired, for pages are", 34)
             == 0, "a repair: %s, %s", rc_name(rc), error.text);

    commit_writer(w);

    check(store_sum(env) == sum, "the repair changed something");
}


/* a record that a walk comes by, and a search does not */

static void
hidden(exports_env_t *env, const char *name)
{
    check(verify(env) > 0
          && reported("manifests: a record", NULL) == 1, "%u faults", nfaults);

    check(reported("manifests: 48 entries, of 48; 1 are out of order", NULL)
          == 1, "its place");
    check_not_repaired(env);
    checked("%s", name);

    close_store(env);
}


/* keys that no program of ours has written, and LMDB hands out as they are */

static void
keys(void)
{
    uint8_t         key[EXPORTS_ID_KEY_MAX + 1], *node;
    uint8_t         long_key[500];
    uint16_t        size;
    MDB_txn        *txn;
    exports_env_t  *env;

    /* longer than LMDB lets one be: it has text, but no end */

    env = sound_store();
    txn = raw_begin(env);
    memset(long_key, 'x', sizeof(long_key));
    raw_put(txn, env->dbi[DB_IDS], long_key, sizeof(long_key), long_key,
            sizeof(long_key));
    raw_put(txn, env->dbi[DB_IDS], "y", 1, long_key, sizeof(long_key));
    node = node_of(txn, env->dbi[DB_IDS], long_key, sizeof(long_key));
    size = 990;
    memcpy(node + NODE_KEY_LEN, &size, sizeof(size));
    raw_commit(txn);

    check(verify(env) >= 2, "%u faults", nfaults);
    is_int(reported("ids: \"xxxx", NULL), 1, "an id without an end");
    close_store(env);

    /* a key that a search does not find, for it is out of order */

    env = sound_store();
    key_of(env, 1, 5, key);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_MANIFESTS], key, EXPORTS_MANIFEST_KEY_LEN, "x", 1);
    node = node_of(txn, env->dbi[DB_MANIFESTS], key, EXPORTS_MANIFEST_KEY_LEN);
    node[NODE_HEADER] ^= 0x80;
    raw_commit(txn);

    hidden(env, "what a repair cannot find it does not say it has repaired");

    /* none at all */

    env = sound_store();
    key_of(env, 1, 0, key);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_MANIFESTS], key, EXPORTS_MANIFEST_KEY_LEN, "x", 1);
    node = node_of(txn, env->dbi[DB_MANIFESTS], key, EXPORTS_MANIFEST_KEY_LEN);
    size = 0;
    memcpy(node + NODE_KEY_LEN, &size, sizeof(size));
    raw_commit(txn);

    hidden(env, "nor one with an empty key");
}


/* writes to the data file, as nothing but LMDB does */

static void
patch(exports_env_t *env, const exports_tree_t *tree, const uint8_t *at,
    const void *bytes, size_t len)
{
    int   fd;
    char  path[4400];

    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_DATA_FILE,
                    exports_env_path(env));
    fd = open(path, O_WRONLY);
    must(fd != -1 && pwrite(fd, bytes, len, at - tree->map) == (ssize_t) len,
         "%s: %s", path, strerror(errno));
    (void) close(fd);
}


static exports_tree_t *
tree_of(exports_reader_t *reader, exports_db_t db)
{
    exports_rc_t     rc;
    exports_tree_t  *tree;

    rc = exports_reader_tree(reader, db, &tree);
    must(rc == EXPORTS_OK && tree != NULL, "a tree: %s", rc_name(rc));

    return tree;
}


static exports_level_t
last_leaf(const exports_tree_t *tree)
{
    unsigned         level;
    uint64_t         pgno;
    exports_rc_t     rc;
    exports_level_t  page;

    pgno = tree->root;

    for (level = 0; level < tree->height; level++) {
        rc = exports_tree_enter(tree, &page, pgno,
                                exports_tree_kind(tree, level));
        must(rc == EXPORTS_OK, "a page: %s", rc_name(rc));

        pgno = exports_tree_child(tree, &page, page.n - 1);
    }

    return page;
}


static const uint8_t *
stored_node(exports_tree_t *tree, const void *key, size_t len, MDB_val *value)
{
    exports_rc_t            rc;
    const exports_level_t  *leaf;

    rc = exports_tree_get(tree, key, len, value);
    must(rc == EXPORTS_OK, "a value: %s", rc_name(rc));

    leaf = &tree->levels[tree->height - 1];

    return exports_tree_page_node(leaf, leaf->at);
}


static void
dirty(exports_env_t *env, exports_reader_t *reader)
{
    exports_tree_t   *tree;
    page_header_t     header;
    exports_level_t   leaf;

    tree = tree_of(reader, DB_MANIFESTS);
    leaf = last_leaf(tree);
    memcpy(&header, leaf.page, sizeof(header));
    header.flags |= 0x10;                       /* P_DIRTY */
    patch(env, tree, leaf.page, &header, sizeof(header));
}


/* two nodes, of which one is longer by as much as the other one is shorter */

static void
overlapping(exports_env_t *env, exports_reader_t *reader)
{
    const uint8_t    *a, *b;
    exports_tree_t   *tree;
    node_header_t     before, behind;
    exports_level_t   leaf;

    tree = tree_of(reader, DB_MANIFESTS);
    leaf = last_leaf(tree);
    a = exports_tree_page_node(&leaf, 0);
    b = exports_tree_page_node(&leaf, 1);
    memcpy(&before, a < b ? a : b, sizeof(before));
    memcpy(&behind, a < b ? b : a, sizeof(behind));
    before.low += 2;
    behind.low -= 2;
    patch(env, tree, a < b ? a : b, &before, sizeof(before));
    patch(env, tree, a < b ? b : a, &behind, sizeof(behind));
}


/* in the order of the keys above, and without a fault of its own */

static void
of_ids(exports_env_t *env, exports_reader_t *reader)
{
    exports_tree_t   *tree;
    exports_level_t   from, to;

    tree = tree_of(reader, DB_MANIFESTS);
    to = last_leaf(tree);
    from = last_leaf(tree_of(reader, DB_IDS));
    patch(env, tree, to.page + sizeof(uint64_t), from.page + sizeof(uint64_t),
          tree->page_size - sizeof(uint64_t));
}


/* a writer would have to write to the last leaf of the manifests */

static void
last_pages(void)
{
    size_t              i;
    spec_t              spec;
    exports_rc_t        rc;
    exports_env_t      *env;
    exports_reader_t   *reader;
    exports_writer_t   *w;

    static const struct {
        void          (*damage)(exports_env_t *env, exports_reader_t *reader);
        const char     *text;
    } cases[] = {
        { dirty, "has flags of a page that is being written" },
        { overlapping, "has nodes that overlap, or leave gaps" },
        { of_ids, "manifests: " }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        env = sound_store();
        reader = open_reader(env);
        renew_reader(reader);
        cases[i].damage(env, reader);
        exports_reader_close(reader);

        check(verify(env) > 0 && reported(cases[i].text, NULL) > 0, "%s",
              cases[i].text);

        item_spec(&spec, NSCOPES - 1, NITEMS);
        w = begin_writer(env);
        rc = put_spec(w, &spec, NULL, &error);
        check(rc == EXPORTS_CORRUPT
              && strstr(error.text, "other entries of manifests") != NULL,
              "%s: a put: %s", cases[i].text, rc_name(rc));
        exports_writer_abort(w);
        close_store(env);
    }

    checked("a page that is not as LMDB writes it is not written to");
}


/* so many manifests that their list is a tree */

#define LONG_LIST  300

static exports_rc_t
keep_text(void *data, uint64_t pgno, const char *text)
{
    const char **kept = data;

    (void) pgno;

    *kept = text;

    return EXPORTS_OK;
}


/* a node says that its list is a tree, of a depth that none has */

static void
no_list(void)
{
    size_t               i;
    unsigned             n;
    tree_t               list;
    spec_t               spec;
    MDB_val              found;
    const char          *text;
    exports_rc_t         rc;
    const uint8_t       *at;
    exports_env_t       *env;
    exports_tree_t      *tree;
    exports_facet_t      all;
    exports_writer_t    *w;
    exports_reader_t    *reader;
    exports_page_set_t   seen;

    static const uint16_t  depths[] = { 0, EXPORTS_RUN_LEVELS + 1, 1 };

    env = sound_store();
    w = begin_writer(env);

    for (n = NITEMS; n < LONG_LIST; n++) {
        item_spec(&spec, 0, n);
        rc = put_spec(w, &spec, NULL, &error);
        must(rc == EXPORTS_OK, "%s", error.text);
    }

    commit_writer(w);

    exports_facet_key(&all, stored_scope(env, scopes[0].kind,
                                         scopes[0].name).id,
                      EXPORTS_FACET_ALL, NULL);

    reader = open_reader(env);
    renew_reader(reader);
    tree = tree_of(reader, DB_FACETS);

    rc = exports_tree_node(tree, all.bytes, all.len, &found);
    must(rc == EXPORTS_OK, "a list: %s", rc_name(rc));

    at = (const uint8_t *) found.mv_data + found.mv_size;
    memcpy(&list, at, sizeof(list));
    must(list.depth == 2, "a list of %u levels", list.depth);

    for (i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        list.depth = depths[i];
        patch(env, tree, at, &list, sizeof(list));

        text = "";
        memset(&seen, 0, sizeof(seen));
        rc = exports_tree_check(reader, DB_FACETS, &seen, keep_text, &text);
        free(seen.words);

        check(rc == EXPORTS_OK
              && (depths[i] == 1 ? text[0] != '\0'
                                 : strcmp(text, "leads to no list") == 0),
              "%u levels: %s, \"%s\"", depths[i], rc_name(rc), text);
    }

    checked("a list of no levels, of too many, of one too few");

    exports_reader_close(reader);
    close_store(env);
}


/* a manifest with two pages of its own, and such a token */

#define LONG_TABLES  5

static void
long_spec(spec_t *spec, unsigned n)
{
    static char  type[1001], storage_key[1001];

    item_spec(spec, NSCOPES - 1, n);
    memset(type, 't', sizeof(type) - 1);
    memset(storage_key, 'k', sizeof(storage_key) - 1);
    spec->type = type;
    spec->storage_key = storage_key;
}


static void
put_long_token(exports_env_t *env, uint8_t digest[EXPORTS_SHA256_LEN])
{
    size_t                       i;
    char                         text[256];
    int                          n;
    exports_rc_t                 rc;
    exports_writer_t            *w;
    static exports_token_line_t  line;

    n = snprintf(text, sizeof(text), "{\"sha256\":\"%064d\",\"project\":"
                 "\"alpha\",\"tables\":[]}", NSCOPES);
    rc = exports_token_parse(&line, text, (size_t) n, &error);
    must(rc == EXPORTS_OK, "%s", error.text);

    memset(line.text, 't', sizeof(line.text));
    line.token.ntables = LONG_TABLES;

    for (i = 0; i < line.token.ntables; i++) {
        line.token.tables[i].data = line.text + i * EXPORTS_STRING_MAX;
        line.token.tables[i].len = 1000;
    }

    w = begin_writer(env);
    rc = exports_writer_put_token(w, &line, &error);
    must(rc == EXPORTS_OK, "%s", error.text);
    commit_writer(w);

    memcpy(digest, line.digest, EXPORTS_SHA256_LEN);
}


/* a node says that its value has the pages of a token */

static void
pages_of_others(void)
{
    spec_t             spec;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    uint8_t            digest[EXPORTS_SHA256_LEN];
    MDB_val            v;
    uint64_t           pgno;
    exports_rc_t       rc;
    const uint8_t     *node;
    exports_env_t     *env;
    exports_tree_t    *tree;
    exports_token_t    token;
    exports_reader_t  *reader;
    exports_writer_t  *w;

    env = sound_store();
    long_spec(&spec, 5);
    store_spec(env, &spec);
    put_long_token(env, digest);
    key_of(env, NSCOPES - 1, 5, key);

    reader = open_reader(env);
    renew_reader(reader);
    tree = tree_of(reader, DB_TOKENS);
    (void) stored_node(tree, digest, sizeof(digest), &v);
    pgno = (uint64_t) ((const uint8_t *) v.mv_data - tree->map)
           / tree->page_size;

    tree = tree_of(reader, DB_MANIFESTS);
    node = stored_node(tree, key, sizeof(key), &v);
    patch(env, tree, node + NODE_HEADER + sizeof(key), &pgno, sizeof(pgno));
    exports_reader_close(reader);

    ok(verify(env) > 0 && reported("leads to pages of others", NULL) == 1,
       "a manifest with the pages of a token");

    w = begin_writer(env);
    rc = put_spec(w, &spec, NULL, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "is not replaced");
    exports_writer_abort(w);

    reader = open_reader(env);
    renew_reader(reader);
    ok(exports_read_token(reader, digest, &token) == EXPORTS_OK
       && token.ntables == LONG_TABLES, "the token is whole");
    exports_reader_close(reader);
    close_store(env);
}


/* damaged on its own pages; or sound, at the end of the file */

static void
own_pages(void)
{
    spec_t             spec;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    MDB_val            v;
    uint64_t           pgno, n;
    exports_rc_t       rc;
    const uint8_t     *node;
    exports_env_t     *env;
    exports_tree_t     tree;
    exports_writer_t  *w;
    exports_reader_t  *reader;

    env = sound_store();
    long_spec(&spec, 5);
    store_spec(env, &spec);
    key_of(env, NSCOPES - 1, 5, key);

    reader = open_reader(env);
    renew_reader(reader);
    tree = *tree_of(reader, DB_MANIFESTS);
    node = stored_node(&tree, key, sizeof(key), &v);
    (void) exports_tree_own_pages(&tree, node, &pgno, &n);
    tree.pages = pgno + n;
    ok(n == 2 && exports_tree_own_pages(&tree, node, &pgno, &n),
       "a value may have the last pages");
    tree.pages--;
    ok(!exports_tree_own_pages(&tree, node, &pgno, &n), "but none behind");
    exports_reader_close(reader);

    raw_flip(env, DB_MANIFESTS, key, sizeof(key), 90);

    w = begin_writer(env);
    rc = put_spec(w, &spec, NULL, &error);
    is_rc(rc, EXPORTS_OK, &error, "a long value that is damaged is replaced");
    commit_writer(w);
    is_int(verify(env), 0, "then the store is sound");
    close_store(env);
}


int
main(void)
{
    random_seed();

    keys();
    last_pages();
    no_list();
    pages_of_others();
    own_pages();

    return done_testing();
}
