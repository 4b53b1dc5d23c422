
/*
 * Where a tree of exports_tree.h begins: its root, and the map that it is in.
 */

#include <string.h>
#include <unistd.h>

#include "exports_private.h"


static exports_rc_t read_root(exports_tree_t *tree, const exports_env_t *env,
    MDB_txn *txn, const char *name, const MDB_envinfo *info);
static exports_rc_t find_map(exports_tree_t *tree, const exports_env_t *env,
    const uint8_t *page);
static int is_page(const exports_env_t *env, const uint8_t *page,
    size_t page_size, uint64_t pgno);


/*
 * The number of a snapshot comes from the lock file, which says 0 as long as no
 * writer has been there; the root comes from the data file, over which somebody
 * may have copied an older one.
 */

exports_rc_t
exports_tree_open(exports_tree_t *tree, const exports_env_t *env,
    MDB_txn *txn, exports_db_t db)
{
    uint64_t      txnid;
    MDB_envinfo   info;
    exports_rc_t  rc;

    txnid = mdb_txn_id(txn);
    tree->positioned = 0;

    (void) mdb_env_info(env->mdb, &info);

    if (tree->txnid == txnid && txnid != 0
        && tree->last == info.me_last_txnid
        && tree->maps == env->maps)
    {
        return EXPORTS_OK;
    }

    tree->txnid = 0;
    tree->key_len = db == DB_MANIFESTS ? EXPORTS_MANIFEST_KEY_LEN
                    : db == DB_TOKENS ? EXPORTS_SHA256_LEN
                    : 0;

    rc = read_root(tree, env, txn, exports_db_names[db], &info);

    if (rc == EXPORTS_OK) {
        tree->txnid = txnid;
        tree->last = info.me_last_txnid;
    }

    return rc;
}


/* what LMDB stores of a database, under its name, in another database */

static exports_rc_t
read_root(exports_tree_t *tree, const exports_env_t *env, MDB_txn *txn,
    const char *name, const MDB_envinfo *info)
{
    size_t        at;
    tree_t        stored;
    MDB_val       v;
    MDB_stat      st;
    exports_rc_t  rc;

    (void) mdb_env_stat(env->mdb, &st);

    if (st.ms_psize > (size_t) sysconf(_SC_PAGESIZE)) {
        return EXPORTS_NOT_FOUND;
    }

    tree->page_size = st.ms_psize;
    tree->pages = info->me_last_pgno + 1;

    if (tree->pages > info->me_mapsize / tree->page_size) {
        tree->pages = info->me_mapsize / tree->page_size;
    }

    rc = exports_mdb_get(txn, env->names, name, strlen(name), &v);

    if (rc != EXPORTS_OK) {
        return rc != EXPORTS_NOT_FOUND ? rc : EXPORTS_CORRUPT;
    }

    /* its page is in the map, for LMDB has read the key before it */

    at = (uintptr_t) v.mv_data & (tree->page_size - 1);

    if (v.mv_size != sizeof(stored) || at < PAGE_HEADER
        || at > tree->page_size - sizeof(stored))
    {
        return EXPORTS_CORRUPT;
    }

    memcpy(&stored, v.mv_data, sizeof(stored));

    if (stored.depth > DEPTH_MAX
        || (stored.depth == 0) != (stored.root == NO_PAGE))
    {
        return EXPORTS_CORRUPT;
    }

    tree->root = stored.root;
    tree->height = stored.depth;

    return tree->map != NULL && tree->maps == env->maps
               ? EXPORTS_OK
               : find_map(tree, env, (const uint8_t *) v.mv_data - at);
}


/*
 * LMDB does not tell where its map begins.  But a page knows its number, and
 * where pages lie at multiples of their size, where the page begins is known.
 * A number that is wrong would lead out of the map: the file is asked.
 */

static exports_rc_t
find_map(exports_tree_t *tree, const exports_env_t *env, const uint8_t *page)
{
    page_header_t  header;

    tree->map = NULL;
    memcpy(&header, page, sizeof(header));

    if (header.pgno >= tree->pages
        || !is_page(env, page, tree->page_size, header.pgno))
    {
        return EXPORTS_CORRUPT;
    }

    tree->map = page - header.pgno * tree->page_size;
    tree->maps = env->maps;

    return EXPORTS_OK;
}


static int
is_page(const exports_env_t *env, const uint8_t *page, size_t page_size,
    uint64_t pgno)
{
    int      fd;
    off_t    pos;
    size_t   n;
    uint8_t  buf[PAGE_SIZE_MIN];

    fd = -1;
    (void) mdb_env_get_fd(env->mdb, &fd);

    pos = (off_t) (pgno * page_size);

    for (n = 0; n < page_size; n += sizeof(buf)) {
        if (pread(fd, buf, sizeof(buf), pos + (off_t) n)
                != (ssize_t) sizeof(buf)
            || memcmp(buf, page + n, sizeof(buf)) != 0)
        {
            return 0;
        }
    }

    return 1;
}
