
/*
 * commit STORE N SEED: what LMDB alone needs for N changes of one record, each
 * in a transaction of its own and durable.  Records of the store are given
 * back as they are: LMDB does not compare, and the store stays what it was
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lmdb.h>


#define KEY_LEN  24


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


static int
change(MDB_txn *txn, MDB_dbi dbi, const unsigned char *first,
    const unsigned char *last)
{
    int             rc;
    char            value[16384];
    MDB_val         k, v;
    MDB_cursor     *cursor;
    unsigned char   key[KEY_LEN];

    pick_key(key, first, last);

    k.mv_data = key;
    k.mv_size = KEY_LEN;

    rc = mdb_cursor_open(txn, dbi, &cursor);
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

    return rc;
}


static int
run(MDB_env *env, long n)
{
    int            rc;
    MDB_dbi        dbi;
    MDB_txn       *txn;
    unsigned char  first[KEY_LEN], last[KEY_LEN];

    rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }

    rc = mdb_dbi_open(txn, "manifests", 0, &dbi);

    if (rc == 0) {
        rc = ends_of(txn, dbi, first, last);
    }

    while (rc == 0 && n-- > 0) {
        rc = change(txn, dbi, first, last);

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

    if (argc != 4) {
        (void) fprintf(stderr, "usage: commit STORE N SEED\n");
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
        rc = run(env, strtol(argv[2], NULL, 10));
    }

    mdb_env_close(env);

    if (rc != 0) {
        (void) fprintf(stderr, "commit: %s\n", mdb_strerror(rc));
        return 1;
    }

    return 0;
}
