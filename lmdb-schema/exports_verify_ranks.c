
/*
 * Checks ranks.  The blocks of each list are counted anew, and looked up.  Only
 * if that finds a fault, or ranks has another number of blocks, each of its
 * keys is looked at, too.
 */

#include <string.h>

#include "exports_verify_private.h"


typedef struct {
    exports_reader_t       *reader;
    MDB_cursor             *facets;
    MDB_cursor             *ranks;
    exports_rank_fault_pt   fault;
    void                   *data;
    uint64_t                blocks;     /* counted, of all lists */
    int                     faulty;     /* a list, or a block of one, is */

    /* the list that is being counted */
    const uint8_t          *key;
    size_t                  len;
    int                     wrong;      /* a block is, or is missing */
    uint64_t                expected[EXPORTS_RANK_LEVELS];
} check_t;


static exports_rc_t check_nodes(exports_reader_t *reader, exports_db_t db);
static exports_rc_t check_lists(check_t *c);
static exports_rc_t check_keys(check_t *c);
static exports_rc_t check_key(check_t *c, const MDB_val *key);
static exports_rc_t count_list(check_t *c, const uint8_t *key, size_t len);
static exports_rc_t check_block(void *data, unsigned level,
    const uint8_t *key, size_t len, const uint8_t *block);


exports_rc_t
exports_verify_ranks(exports_reader_t *reader, exports_rank_fault_pt fault,
    void *data)
{
    check_t       c;
    MDB_stat      st;
    exports_rc_t  rc;

    memset(&c, 0, sizeof(check_t));

    c.reader = reader;
    c.fault = fault;
    c.data = data;

    rc = exports_reader_cursor(reader, DB_FACETS, &c.facets);

    if (rc == EXPORTS_OK) {
        rc = exports_reader_cursor(reader, DB_RANKS, &c.ranks);
    }

    if (rc == EXPORTS_OK) {
        rc = check_lists(&c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_rc_of_mdb(mdb_stat(reader->txn,
                                        reader->env->dbi[DB_RANKS], &st));
    }

    /* a missing block and one too many would make the same number */

    if (rc == EXPORTS_OK && (st.ms_entries != c.blocks || c.faulty)) {
        rc = check_keys(&c);
    }

    exports_mdb_close(&c.facets);
    exports_mdb_close(&c.ranks);

    return rc;
}


exports_rc_t
exports_verify_nodes(exports_reader_t *reader)
{
    exports_rc_t  rc;

    rc = check_nodes(reader, DB_FACETS);

    return rc == EXPORTS_OK ? check_nodes(reader, DB_RANKS) : rc;
}


/* values of a wrong size do LMDB no harm, and are reported later */

static exports_rc_t
check_nodes(exports_reader_t *reader, exports_db_t db)
{
    int            rc;
    MDB_val        key, last;
    MDB_cursor    *cursor;
    exports_rc_t   erc;
    MDB_cursor_op  op;

    cursor = NULL;

    erc = exports_reader_cursor(reader, db, &cursor);

    for (op = MDB_FIRST; erc == EXPORTS_OK; op = MDB_NEXT_NODUP) {

        rc = mdb_cursor_get(cursor, &key, NULL, op);
        exports_env_step(reader->env);

        if (rc != 0) {
            erc = rc == MDB_NOTFOUND ? EXPORTS_OK : exports_rc_of_mdb(rc);
            break;
        }

        /* pages that lead back to others would be read for ever */

        if ((op == MDB_NEXT_NODUP
             && !exports_mdb_before(&last, key.mv_data, key.mv_size))
            || exports_run_count(&key, 0) == 0)
        {
            erc = EXPORTS_CORRUPT;
        }

        last = key;
    }

    exports_mdb_close(&cursor);

    return erc;
}


/* whether the blocks of each list are there */

static exports_rc_t
check_lists(check_t *c)
{
    int            rc;
    MDB_val        k, v, last;
    exports_rc_t   erc;
    MDB_cursor_op  op;

    for (op = MDB_FIRST; /* void */ ; op = MDB_NEXT_NODUP) {

        rc = mdb_cursor_get(c->facets, &k, &v, op);
        exports_env_step(c->reader->env);

        if (rc != 0) {
            return rc == MDB_NOTFOUND ? EXPORTS_OK : exports_rc_of_mdb(rc);
        }

        /* a cursor that has met damage may begin again */

        if (op == MDB_NEXT_NODUP
            && !exports_mdb_before(&last, k.mv_data, k.mv_size))
        {
            return EXPORTS_CORRUPT;
        }

        last = k;

        /* such entries are no list, and are reported elsewhere */

        if (v.mv_size != EXPORTS_ENTRY_LEN
            || k.mv_size > EXPORTS_FACET_KEY_MAX)
        {
            continue;
        }

        erc = count_list(c, k.mv_data, k.mv_size);

        if (erc == EXPORTS_CORRUPT) {
            c->faulty = 1;
            erc = c->fault(c->data, RANK_LIST, c->key, c->len,
                           "facets: a list cannot be read, or is longer or "
                           "shorter than it says");

        } else if (erc == EXPORTS_OK && c->wrong) {
            c->faulty = 1;
            erc = c->fault(c->data, RANK_BLOCKS, c->key, c->len,
                           "ranks: blocks of a list are missing, damaged "
                           "or have other counts");
        }

        if (erc != EXPORTS_OK) {
            return erc;
        }
    }
}


/* whether each key of ranks has as many blocks as its list must have */

static exports_rc_t
check_keys(check_t *c)
{
    int            rc;
    MDB_val        k, v;
    exports_rc_t   erc;
    MDB_cursor    *keys;
    MDB_cursor_op  op;

    keys = NULL;

    erc = exports_reader_cursor(c->reader, DB_RANKS, &keys);

    for (op = MDB_FIRST; erc == EXPORTS_OK; op = MDB_NEXT_NODUP) {

        rc = mdb_cursor_get(keys, &k, &v, op);

        if (rc != 0) {
            erc = rc == MDB_NOTFOUND ? EXPORTS_OK : exports_rc_of_mdb(rc);
            break;
        }

        erc = check_key(c, &k);
    }

    exports_mdb_close(&keys);

    return erc;
}


static exports_rc_t
check_key(check_t *c, const MDB_val *key)
{
    int             rc;
    size_t          len, count;
    MDB_val         k, v;
    unsigned        level;
    exports_rc_t    erc;
    const uint8_t  *p;

    p = key->mv_data;
    len = key->mv_size > 0 ? key->mv_size - 1 : 0;
    level = len > 0 ? p[len] : 0;

    if (len > EXPORTS_FACET_KEY_MAX || level == 0
        || level > EXPORTS_RANK_LEVELS)
    {
        return c->fault(c->data, RANK_KEY, p, key->mv_size,
                        "ranks: not a key of blocks");
    }

    erc = count_list(c, p, len);

    /* a list that cannot be counted has been reported */

    if (erc != EXPORTS_OK) {
        return erc == EXPORTS_CORRUPT ? EXPORTS_OK : erc;
    }

    if (c->expected[level - 1] == 0) {
        return c->fault(c->data, RANK_KEY, p, key->mv_size,
                        "ranks: blocks of a list that has none");
    }

    k = *key;

    rc = mdb_cursor_get(c->ranks, &k, &v, MDB_SET);

    if (rc == 0) {
        rc = mdb_cursor_count(c->ranks, &count);
    }

    if (rc != 0) {
        return exports_rc_of_mdb(rc);
    }

    /* a wrong block was reported with its list */

    return c->wrong || count == c->expected[level - 1]
               ? EXPORTS_OK
               : c->fault(c->data, RANK_BLOCKS, p, len,
                          "ranks: a block ends with no entry of its list");
}


static exports_rc_t
count_list(check_t *c, const uint8_t *key, size_t len)
{
    c->key = key;
    c->len = len;
    c->wrong = 0;
    memset(c->expected, 0, sizeof(c->expected));

    return exports_run_blocks(c->facets, key, len, check_block, c);
}


static exports_rc_t
check_block(void *data, unsigned level, const uint8_t *key, size_t len,
    const uint8_t *block)
{
    check_t  *c = data;
    MDB_val   k, v;

    c->blocks++;
    c->expected[level - 1]++;
    exports_env_step(c->reader->env);

    k = exports_mdb_val(key, len);
    v = exports_mdb_val(block, EXPORTS_RANK_LEN);

    c->wrong |= mdb_cursor_get(c->ranks, &k, &v, MDB_GET_BOTH) != 0;

    return EXPORTS_OK;
}
