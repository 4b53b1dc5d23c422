
/*
 * Where a tree of exports_tree.h begins: its root, and the map that it is in.
 */

#include <string.h>

#include "exports_private.h"


static int is_kept(const exports_tree_t *tree);
static void read_metas(const exports_tree_t *tree, exports_meta_t *metas);
static exports_rc_t read_root(exports_tree_t *tree, const exports_env_t *env,
    MDB_txn *txn, const char *name);
static exports_rc_t find_map(exports_tree_t *tree, const exports_env_t *env,
    const uint8_t *p);
static int is_in_place(const exports_tree_t *tree, const uint8_t *p);


/* the lengths of keys and values where all are alike; else 0 */

static const struct {
    size_t  key_len;
    size_t  value_len;
} lengths[] = {
    [DB_META] = { 0, 0 },
    [DB_SCOPES] = { 0, EXPORTS_SCOPE_VALUE_LEN },
    [DB_TOKENS] = { EXPORTS_SHA256_LEN, 0 },
    [DB_MANIFESTS] = { EXPORTS_MANIFEST_KEY_LEN, 0 },
    [DB_IDS] = { 0, EXPORTS_ID_VALUE_LEN },
    [DB_FACETS] = { 0, EXPORTS_ENTRY_LEN },
    [DB_RANKS] = { 0, EXPORTS_RANK_LEN }
};


/* A root is kept by the number of its snapshot.  That comes from the lock file,
   and is 0 until there has been a writer: then it tells nothing. */

exports_rc_t
exports_tree_open(exports_tree_t *tree, const exports_env_t *env,
    MDB_txn *txn, exports_db_t db)
{
    uint64_t      txnid;
    exports_rc_t  rc;

    txnid = mdb_txn_id(txn);
    tree->positioned = 0;
    tree->reached = 0;
    tree->scan = 0;
    tree->searched = 0;

    if (tree->txnid == txnid && txnid != 0 && tree->maps == env->maps
        && is_kept(tree))
    {
        return EXPORTS_OK;
    }

    tree->txnid = 0;
    tree->key_len = lengths[db].key_len;
    tree->value_len = lengths[db].value_len;
    tree->runs = exports_db_has_runs(db);

    rc = read_root(tree, env, txn, exports_db_names[db]);

    if (rc == EXPORTS_OK) {
        tree->txnid = txnid;
    }

    return rc;
}


/*
 * Somebody may have copied another file over this one, whose snapshot has the
 * same number, as all compacted copies have.  So what led to the root must
 * still be there.
 */

static int
is_kept(const exports_tree_t *tree)
{
    exports_meta_t  metas[2];

    read_metas(tree, metas);

    return memcmp(metas, tree->metas, sizeof(metas)) == 0
           && memcmp(tree->stored_at, &tree->stored, sizeof(tree_t)) == 0;
}


static void
read_metas(const exports_tree_t *tree, exports_meta_t *metas)
{
    unsigned        i;
    meta_page_t     meta;

    for (i = 0; i < 2; i++) {
        memcpy(&meta, tree->map + i * tree->page_size, sizeof(meta));

        metas[i].txnid = meta.txnid;
        metas[i].root = meta.trees[1].root;
    }
}


/* LMDB stores the record of a database, with its root, in another database,
   under its name */

static exports_rc_t
read_root(exports_tree_t *tree, const exports_env_t *env, MDB_txn *txn,
    const char *name)
{
    MDB_val       v;
    MDB_stat      st;
    MDB_envinfo   info;
    exports_rc_t  rc;

    (void) mdb_env_stat(env->mdb, &st);
    (void) mdb_env_info(env->mdb, &info);

    tree->page_size = st.ms_psize;
    tree->pages = info.me_last_pgno + 1;

    if (tree->pages > info.me_mapsize / tree->page_size) {
        tree->pages = info.me_mapsize / tree->page_size;
    }

    rc = exports_mdb_get(txn, env->names, name, strlen(name), &v);

    if (rc != EXPORTS_OK) {
        return rc != EXPORTS_NOT_FOUND ? rc : EXPORTS_CORRUPT;
    }

    rc = find_map(tree, env, v.mv_data);

    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (v.mv_size != sizeof(tree_t) || !is_in_place(tree, v.mv_data)) {
        return EXPORTS_CORRUPT;
    }

    read_metas(tree, tree->metas);

    tree->stored_at = v.mv_data;
    memcpy(&tree->stored, v.mv_data, sizeof(tree_t));

    if (tree->stored.depth > DEPTH_MAX
        || (tree->stored.depth == 0) != (tree->stored.root == NO_PAGE))
    {
        return EXPORTS_CORRUPT;
    }

    tree->root = tree->stored.root;
    tree->height = tree->stored.depth;

    return EXPORTS_OK;
}


/* p: an address in the map */

static exports_rc_t
find_map(exports_tree_t *tree, const exports_env_t *env, const uint8_t *p)
{
    if (tree->maps == env->maps) {
        return EXPORTS_OK;
    }

    tree->map = exports_mapping(p);

    if (tree->map == NULL) {
        return EXPORTS_NOT_FOUND;
    }

    tree->maps = env->maps;

    return EXPORTS_OK;
}


/* whether the record lies on one page, and that has the number of its place */

static int
is_in_place(const exports_tree_t *tree, const uint8_t *p)
{
    size_t         at;
    uint64_t       pgno;
    page_header_t  header;

    at = (size_t) (p - tree->map) % tree->page_size;
    pgno = (size_t) (p - tree->map) / tree->page_size;

    memcpy(&header, p - at, sizeof(header));

    return pgno < tree->pages && header.pgno == pgno && at >= PAGE_HEADER
           && at <= tree->page_size - sizeof(tree_t);
}
