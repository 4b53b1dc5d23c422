
/*
 * commit STORE N SEED [all]: what LMDB alone needs for N changes of one record
 * of a project, each in a transaction of its own and durable.  What is stored
 * is given back as it is: LMDB does not compare, and the store stays what it
 * was.
 *
 * all: of all pages that a change of the record's status writes.  These are,
 * besides the record's, those of an entry of both lists, of the blocks that it
 * is counted in, and of the scope.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lmdb.h>


#define KEY_LEN     24
#define ENTRY_LEN   16
#define BLOCK_LEN   24
#define LEVELS      3
#define STATUSES    2
#define VALUE_MAX   16384


typedef struct {
    MDB_dbi        manifests;
    MDB_dbi        scopes;
    MDB_dbi        facets;
    MDB_dbi        ranks;
    int            all;
    unsigned char  first[KEY_LEN];
    unsigned char  last[KEY_LEN];
} store_t;


static unsigned long long
time_of(const unsigned char *key)
{
    unsigned            i;
    unsigned long long  n;

    for (n = 0, i = 8; i < 16; i++) {
        n = n << 8 | key[i];
    }

    return n;
}


/* a key at any time between the two */

static void
pick_key(unsigned char *key, const unsigned char *first,
    const unsigned char *last)
{
    unsigned            i;
    unsigned long long  n;

    n = time_of(first);
    n += (unsigned long long) (drand48() * (double) (time_of(last) - n));

    memcpy(key, first, 8);
    memset(key + 16, 0, 8);

    for (i = 16; i-- > 8; n >>= 8) {
        key[i] = (unsigned char) n;
    }
}


static int
key_at(MDB_cursor *cursor, MDB_cursor_op op, unsigned char *key)
{
    int      rc;
    MDB_val  k, v;

    rc = mdb_cursor_get(cursor, &k, &v, op);

    if (rc == 0) {
        memcpy(key, k.mv_data, KEY_LEN);
    }

    return rc;
}


static int
ends_of(MDB_txn *txn, MDB_dbi dbi, unsigned char *first, unsigned char *last)
{
    int          rc;
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0) {
        return rc;
    }

    rc = key_at(cursor, MDB_FIRST, first);

    if (rc == 0) {
        rc = key_at(cursor, MDB_LAST, last);
    }

    mdb_cursor_close(cursor);

    return rc;
}


/* puts once more what the operation finds by k and near */

static int
give_back(MDB_cursor *cursor, MDB_val *k, MDB_cursor_op op, const MDB_val *near)
{
    int      rc;
    char     value[VALUE_MAX];
    MDB_val  v;

    v = *near;
    rc = mdb_cursor_get(cursor, k, &v, op);

    if (rc == 0) {
        memcpy(value, v.mv_data, v.mv_size);
        v.mv_data = value;
        rc = mdb_cursor_put(cursor, k, &v, MDB_CURRENT);
    }

    return rc;
}


/* what is sorted behind an entry, or the same, or the newest */

static int
give_back_near(MDB_cursor *cursor, void *key, size_t len, void *near,
    size_t near_len)
{
    int      rc;
    MDB_val  k, v;

    k.mv_data = key;
    k.mv_size = len;
    v.mv_data = near;
    v.mv_size = near_len;

    rc = give_back(cursor, &k, MDB_GET_BOTH_RANGE, &v);

    if (rc == MDB_NOTFOUND && near_len == ENTRY_LEN) {
        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET);

        if (rc == 0) {
            rc = give_back(cursor, &k, MDB_LAST_DUP, &v);
        }
    }

    return rc == MDB_NOTFOUND ? 0 : rc;
}


/* keys as lmdb-schema/README.md has them: scope, facet 1, status; and level */

static int
change_lists(MDB_txn *txn, const store_t *store, const unsigned char *record)
{
    int            rc;
    unsigned char  key[11], near[BLOCK_LEN], status, level;
    MDB_cursor    *facets, *ranks;

    rc = mdb_cursor_open(txn, store->facets, &facets);
    if (rc != 0) {
        return rc;
    }

    rc = mdb_cursor_open(txn, store->ranks, &ranks);
    if (rc != 0) {
        mdb_cursor_close(facets);
        return rc;
    }

    memcpy(key, record, 8);
    key[8] = 1;

    memset(near, 0, BLOCK_LEN);
    memcpy(near, record + 8, ENTRY_LEN);

    for (status = 1; status <= STATUSES && rc == 0; status++) {
        key[9] = status;
        rc = give_back_near(facets, key, 10, near, ENTRY_LEN);

        for (level = 1; level <= LEVELS && rc == 0; level++) {
            key[10] = level;
            rc = give_back_near(ranks, key, 11, near, BLOCK_LEN);
        }
    }

    mdb_cursor_close(ranks);
    mdb_cursor_close(facets);

    return rc;
}


/* one page of them, or one of few */

static int
change_scope(MDB_txn *txn, const store_t *store)
{
    int          rc;
    MDB_val      k, v = { 0, NULL };
    MDB_cursor  *cursor;

    rc = mdb_cursor_open(txn, store->scopes, &cursor);
    if (rc != 0) {
        return rc;
    }

    rc = give_back(cursor, &k, MDB_FIRST, &v);

    mdb_cursor_close(cursor);

    return rc;
}


static int
change(MDB_txn *txn, const store_t *store)
{
    int             rc;
    char            value[VALUE_MAX];
    MDB_val         k, v;
    MDB_cursor     *cursor;
    unsigned char   key[KEY_LEN];

    pick_key(key, store->first, store->last);

    k.mv_data = key;
    k.mv_size = KEY_LEN;

    rc = mdb_cursor_open(txn, store->manifests, &cursor);
    if (rc != 0) {
        return rc;
    }

    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);

    if (rc == 0) {
        memcpy(key, k.mv_data, KEY_LEN);
        memcpy(value, v.mv_data, v.mv_size);

        k.mv_data = key;
        v.mv_data = value;
        rc = mdb_cursor_put(cursor, &k, &v, 0);
    }

    mdb_cursor_close(cursor);

    if (rc == 0 && store->all) {
        rc = change_lists(txn, store, key);

        if (rc == 0) {
            rc = change_scope(txn, store);
        }
    }

    return rc;
}


static int
open_store(MDB_txn *txn, store_t *store)
{
    int  rc;

    if ((rc = mdb_dbi_open(txn, "manifests", 0, &store->manifests)) != 0
        || (rc = mdb_dbi_open(txn, "scopes", 0, &store->scopes)) != 0
        || (rc = mdb_dbi_open(txn, "facets", 0, &store->facets)) != 0
        || (rc = mdb_dbi_open(txn, "ranks", 0, &store->ranks)) != 0)
    {
        return rc;
    }

    return ends_of(txn, store->manifests, store->first, store->last);
}


static int
run(MDB_env *env, long n, int all)
{
    int       rc;
    MDB_txn  *txn;
    store_t   store;

    rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }

    store.all = all;
    rc = open_store(txn, &store);

    while (rc == 0 && n-- > 0) {
        rc = change(txn, &store);

        if (rc == 0) {
            rc = mdb_txn_commit(txn);
            txn = NULL;
        }

        if (rc == 0) {
            rc = mdb_txn_begin(env, NULL, 0, &txn);
        }
    }

    if (txn != NULL) {
        mdb_txn_abort(txn);
    }

    return rc;
}


int
main(int argc, char **argv)
{
    int       rc;
    MDB_env  *env;

    if (argc != 4 && (argc != 5 || strcmp(argv[4], "all") != 0)) {
        (void) fprintf(stderr, "usage: commit STORE N SEED [all]\n");
        return 2;
    }

    srand48(strtol(argv[3], NULL, 10));

    rc = mdb_env_create(&env);
    if (rc != 0) {
        (void) fprintf(stderr, "commit: %s\n", mdb_strerror(rc));
        return 1;
    }

    (void) mdb_env_set_mapsize(env, (size_t) 64 << 30);
    (void) mdb_env_set_maxreaders(env, 1024);
    (void) mdb_env_set_maxdbs(env, 8);

    rc = mdb_env_open(env, argv[1], MDB_NOTLS, 0640);

    if (rc == 0) {
        rc = run(env, strtol(argv[2], NULL, 10), argc == 5);
    }

    mdb_env_close(env);

    if (rc != 0) {
        (void) fprintf(stderr, "commit: %s\n", mdb_strerror(rc));
        return 1;
    }

    return 0;
}
