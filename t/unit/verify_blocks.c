
/*
 * exports_verify_ranks.c: blocks that are missing, damaged, or of others; and
 * lists that are not as long as they say.
 */

#include "faults.h"


/* n manifests, newer than all others of the scope, that each close a block of
   level 1 */

static void
put_boundaries(exports_env_t *env, unsigned scope, unsigned n)
{
    char      id[32];
    spec_t    spec;
    unsigned  i;
    uint64_t  tie;

    for (i = 0; n > 0; i++) {
        (void) snprintf(id, sizeof(id), "%s%u",
                        scopes[scope].kind == EXPORTS_PROJECT ? "exp_block_"
                                                              : "u-block-",
                        i);
        must(exports_tie(id, strlen(id), &tie) == 0, "SHA-256");

        if ((tie & 0x1f) == 0) {
            item_spec(&spec, scope, 1);
            spec.id = id;
            spec.created = TEST_TIME + 100 + i;
            store_spec(env, &spec);
            n--;
        }
    }
}


/* a store with NBLOCKS blocks of level 1 in two lists of the first scope */

#define NBLOCKS  3

static exports_env_t *
ranked_store(uint8_t *key, size_t *len, uint8_t blocks[][EXPORTS_RANK_LEN])
{
    unsigned          n;
    MDB_val           k, v;
    MDB_txn          *txn;
    MDB_cursor       *cursor;
    exports_env_t    *env;
    exports_facet_t   list;

    env = sound_store();
    put_boundaries(env, 0, NBLOCKS);

    exports_facet_key(&list, stored_scope(env, scopes[0].kind,
                                          scopes[0].name).id,
                      EXPORTS_FACET_ALL, NULL);
    *len = exports_rank_key(key, list.bytes, list.len, 1);

    txn = raw_begin(env);
    must(mdb_cursor_open(txn, env->dbi[DB_RANKS], &cursor) == 0, "a cursor");

    k.mv_data = key;
    k.mv_size = *len;
    must(mdb_cursor_get(cursor, &k, &v, MDB_SET) == 0, "blocks");

    for (n = 0; n < NBLOCKS; n++) {
        must(v.mv_size == EXPORTS_RANK_LEN, "a block");
        memcpy(blocks[n], v.mv_data, EXPORTS_RANK_LEN);
        must((mdb_cursor_get(cursor, &k, &v, MDB_NEXT_DUP) == 0)
                 == (n + 1 < NBLOCKS), "%u blocks", NBLOCKS);
    }

    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);

    return env;
}


static void
blocks(void)
{
    size_t          len;
    uint8_t         key[EXPORTS_RANK_KEY_MAX + 1];
    uint8_t         b[NBLOCKS][EXPORTS_RANK_LEN];
    MDB_dbi         dbi;
    MDB_txn        *txn;
    unsigned        i, total;
    exports_env_t  *env;

    total = NSCOPES * NITEMS + NBLOCKS;

    env = ranked_store(key, &len, b);
    is_int(verify(env), 0, "a sound store with blocks");
    close_store(env);

    /* each byte of one: boundary, count, check */

    for (i = 0; i < EXPORTS_RANK_LEN; i++) {
        env = ranked_store(key, &len, b);
        b[1][i] ^= 0x10;
        txn = raw_begin(env);
        raw_overwrite(txn, env->dbi[DB_RANKS], key, len, 1, b[1],
                      EXPORTS_RANK_LEN);
        raw_commit(txn);

        check(verify(env) == 1
              && reported("ranks: blocks of a list are missing, damaged or "
                          "have other counts", NULL) == 1,
              "byte %u: %u faults", i, nfaults);
        check(repair(env) == 1 && verify(env) == 0,
              "byte %u: %u faults after the repair", i, nfaults);
        close_store(env);
    }

    checked("each byte of a block matters, and is mended");

    /* two exchanged, one over another, missing, one more */

    for (i = 0; i < 5; i++) {
        env = ranked_store(key, &len, b);
        dbi = env->dbi[DB_RANKS];
        txn = raw_begin(env);

        if (i < 2) {
            raw_overwrite(txn, dbi, key, len, 2, b[0], EXPORTS_RANK_LEN);
        }

        if (i == 0) {
            raw_overwrite(txn, dbi, key, len, 0, b[2], EXPORTS_RANK_LEN);

        } else if (i == 2) {
            raw_del(txn, dbi, key, len, b[1], EXPORTS_RANK_LEN);

        } else if (i == 3) {
            raw_del(txn, dbi, key, len, NULL, 0);

        } else if (i == 4) {
            b[1][14] ^= 1;
            exports_rank_encode(b[1], 1, key, len);
            raw_put(txn, dbi, key, len, b[1], EXPORTS_RANK_LEN);
        }

        raw_commit(txn);
        mended(env, 1, 0, total, i == 0 ? "blocks exchanged"
                                 : i == 1 ? "a block over another"
                                 : i == 2 ? "a block that is missing"
                                 : i == 3 ? "all blocks missing"
                                          : "a block of no entry");
    }

    /* sound ones of another list or level */

    env = ranked_store(key, &len, b);
    key[len - 1] = 2;
    txn = raw_begin(env);
    exports_rank_encode(b[0], 1, key, len);
    raw_put(txn, env->dbi[DB_RANKS], key, len, b[0], EXPORTS_RANK_LEN);
    raw_commit(txn);
    mended(env, 1, 0, total, "a level that has no blocks");

    /* no list's */

    env = ranked_store(key, &len, b);
    key[len] = 1;
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_RANKS], key, 3, b[0], EXPORTS_RANK_LEN);
    raw_commit(txn);

    is_int(verify(env), 1, "blocks of no list");
    is_int(reported("ranks: ", NULL), 1, "are reported");
    is_int(repair(env), 1, "the repair");
    is_int(verify(env), 0, "drops them");
    close_store(env);
}


/* one that is missing in a list, and one too many in another: as many blocks as
   there should be */

static void
as_many_blocks(void)
{
    size_t          len;
    uint8_t         key[EXPORTS_RANK_KEY_MAX + 1];
    uint8_t         b[NBLOCKS][EXPORTS_RANK_LEN];
    MDB_dbi         dbi;
    MDB_txn        *txn;
    exports_env_t  *env;

    env = ranked_store(key, &len, b);
    dbi = env->dbi[DB_RANKS];
    txn = raw_begin(env);
    raw_del(txn, dbi, key, len, b[1], EXPORTS_RANK_LEN);

    /* of the list of what is ready, which has the same blocks */

    key[8] = EXPORTS_FACET_STATUS;
    key[9] = EXPORTS_STATUS_READY;
    key[10] = 1;
    b[1][14] ^= 1;
    exports_rank_encode(b[1], 1, key, 11);
    raw_put(txn, dbi, key, 11, b[1], EXPORTS_RANK_LEN);
    raw_commit(txn);

    mended(env, 2, 0, NSCOPES * NITEMS + NBLOCKS,
           "a block missing, and one too many");
}


/* of the list that all fields of a user's export fix, whose key is as long as
   one can be; no greater key has blocks */

static void
longest_block(MDB_txn *txn, MDB_dbi dbi, uint8_t key[EXPORTS_RANK_KEY_MAX],
    uint8_t block[EXPORTS_RANK_LEN])
{
    MDB_val      k, v;
    MDB_cursor  *cursor;

    must(mdb_cursor_open(txn, dbi, &cursor) == 0
         && mdb_cursor_get(cursor, &k, &v, MDB_LAST) == 0
         && k.mv_size == EXPORTS_RANK_KEY_MAX
         && v.mv_size == EXPORTS_RANK_LEN, "the last block");

    memcpy(key, k.mv_data, EXPORTS_RANK_KEY_MAX);
    memcpy(block, v.mv_data, EXPORTS_RANK_LEN);

    mdb_cursor_close(cursor);
}


static void
longest_keys(void)
{
    size_t          len;
    uint8_t         key[EXPORTS_RANK_KEY_MAX + 1];
    uint8_t         b[NBLOCKS][EXPORTS_RANK_LEN];
    MDB_dbi         dbi;
    MDB_txn        *txn;
    unsigned        total;
    exports_env_t  *env;

    total = NSCOPES * NITEMS + NBLOCKS + 1;

    env = ranked_store(key, &len, b);
    put_boundaries(env, 1, 1);
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_RANKS], key, len, NULL, 0);
    raw_commit(txn);
    mended(env, 1, 0, total, "blocks missing beside those of a user");

    env = ranked_store(key, &len, b);
    put_boundaries(env, 1, 1);
    dbi = env->dbi[DB_RANKS];
    txn = raw_begin(env);
    longest_block(txn, dbi, key, b[0]);
    b[0][EXPORTS_ENTRY_LEN] ^= 1;
    raw_overwrite(txn, dbi, key, EXPORTS_RANK_KEY_MAX, 0, b[0],
                  EXPORTS_RANK_LEN);
    raw_commit(txn);
    mended(env, 1, 1, total, "a damaged block of all fields of a user");
}


static void
drop_id(exports_env_t *env, unsigned scope, unsigned n)
{
    size_t       len;
    uint8_t      key[EXPORTS_ID_KEY_MAX];
    MDB_txn     *txn;
    const char  *id;

    id = item_id(scope, n);
    len = exports_id_key(key, scopes[scope].kind,
                         stored_scope(env, scopes[scope].kind,
                                      scopes[scope].name).id,
                         id, strlen(id));
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_IDS], key, len, NULL, 0);
    raw_commit(txn);
}


/* a list whose node says that it has other entries than it has */

static void
lengths(void)
{
    int               more;
    tree_t            tree;
    uint8_t           key[EXPORTS_RANK_KEY_MAX + 1], *node;
    uint8_t           b[NBLOCKS][EXPORTS_RANK_LEN], entry[EXPORTS_ENTRY_LEN];
    size_t            len;
    spec_t            spec;
    MDB_dbi           dbi;
    MDB_txn          *txn;
    unsigned          i;
    exports_env_t    *env;
    exports_scope_t   counted, mended_scope;

    for (more = -1; more <= 1; more += 2) {
        env = ranked_store(key, &len, b);

        /* so many that they are a tree */

        for (i = 0; i < 300; i++) {
            item_spec(&spec, 0, 1);
            spec.id = in_dir("exp_more_%u", i);
            spec.id = strrchr(spec.id, '/') + 1;
            spec.created = TEST_TIME + 200 + i;
            store_spec(env, &spec);
        }

        is_int(verify(env), 0, "a long list");

        /* to have its leaf written */

        dbi = env->dbi[DB_FACETS];
        txn = raw_begin(env);
        memset(entry, 1, sizeof(entry));
        key[8] = EXPORTS_FACET_STATUS;
        key[9] = EXPORTS_STATUS_READY;
        raw_put(txn, dbi, key, 10, entry, sizeof(entry));
        raw_del(txn, dbi, key, 10, entry, sizeof(entry));

        node = node_of(txn, dbi, key, 10) + NODE_HEADER + 10;
        memcpy(&tree, node, sizeof(tree));
        must(tree.entries == 300 + NITEMS + NBLOCKS, "a tree");
        tree.entries += (uint64_t) more;
        memcpy(node, &tree, sizeof(tree));
        raw_commit(txn);

        is_int(verify(env), 1, "%s than there are", more > 0 ? "more" : "less");
        is_int(reported("facets: a list cannot be read, or is longer or "
                        "shorter than it says", "key"), 1, "is reported");
        is_int(repair(env), 1, "by a repair, too");
        is_int(result.repaired, 0, "which cannot mend it");

        /* while it mends something else of the scope */

        drop_id(env, 0, 3);
        counted = stored_scope(env, scopes[0].kind, scopes[0].name);
        is_int(repair(env), 2, "and an id that is missing");
        is_int(result.repaired, 1, "which is mended");
        is_int(verify(env), 1, "the list is as it was");
        mended_scope = stored_scope(env, scopes[0].kind, scopes[0].name);
        ok(memcmp(counted.counts, mended_scope.counts, sizeof(counted.counts))
               == 0
           && mended_scope.revision > counted.revision,
           "and the scope's counts, which were not taken from it");
        close_store(env);
    }
}


int
main(void)
{
    random_seed();

    blocks();
    as_many_blocks();
    longest_keys();
    lengths();

    return done_testing();
}
