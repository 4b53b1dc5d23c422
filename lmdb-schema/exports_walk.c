
/*
 * Walks a database from entry to entry, by LMDB's cursor, which trusts what
 * pages say.  If a page is in the place of another one, or leads back to an
 * earlier one, keys are out of order.  Such entries are visited all the same,
 * for it may be the one before that is wrong.
 */

#include <string.h>

#include "exports_private.h"


/* a tree is taken for endless when keys were less than the one before so often,
   or the same key came so often in a row, more than any page can have */
#define DESCENTS_MAX  1000
#define REPEATS_MAX   65536


typedef struct {
    const uint8_t  *from;           /* where to begin */
    size_t          from_len;
    size_t          prefix_len;     /* of "from", which all keys begin with */
    int             ordered;        /* an entry out of order ends the walk */
} range_t;


static exports_rc_t walk(exports_reader_t *reader, exports_db_t db,
    const range_t *range, exports_visit_pt visit, void *data,
    exports_walked_t *walked);
static exports_rc_t walk_cursor(MDB_cursor *cursor,
    const exports_reader_t *reader, int has_lists, const range_t *range,
    exports_visit_pt visit, void *data, exports_walked_t *walked);
static exports_rc_t walk_all(exports_reader_t *reader, exports_db_t db,
    exports_visit_pt visit, void *data);
static exports_rc_t walk_range(exports_reader_t *reader, const range_t *range,
    exports_visit_pt visit, void *data);
static int compare(const MDB_val *key, const MDB_val *value,
    const MDB_val *last, const MDB_val *last_value);
static int has_prefix(const MDB_val *key, const range_t *range);
static uint64_t most_entries(const exports_reader_t *reader);


exports_rc_t
exports_walk_scopes(exports_reader_t *reader, exports_visit_pt visit,
    void *data)
{
    return walk_all(reader, DB_SCOPES, visit, data);
}


exports_rc_t
exports_walk_tokens(exports_reader_t *reader, exports_visit_pt visit,
    void *data)
{
    return walk_all(reader, DB_TOKENS, visit, data);
}


exports_rc_t
exports_walk_ids(exports_reader_t *reader, exports_visit_pt visit, void *data)
{
    return walk_all(reader, DB_IDS, visit, data);
}


exports_rc_t
exports_walk_facets(exports_reader_t *reader, exports_visit_pt visit,
    void *data)
{
    return walk_all(reader, DB_FACETS, visit, data);
}


exports_rc_t
exports_walk_manifests(exports_reader_t *reader, uint64_t scope,
    exports_visit_pt visit, void *data)
{
    uint8_t  prefix[8];
    range_t  range = { prefix, sizeof(prefix), sizeof(prefix), 0 };

    if (scope == 0) {
        return walk_all(reader, DB_MANIFESTS, visit, data);
    }

    exports_put64(prefix, scope);

    return walk_range(reader, &range, visit, data);
}


exports_rc_t
exports_walk_manifests_after(exports_reader_t *reader, const uint8_t *key,
    exports_visit_pt visit, void *data)
{
    uint8_t  next[EXPORTS_MANIFEST_KEY_LEN + 1];
    range_t  range = { next, sizeof(next), 0, 1 };

    if (key == NULL) {
        range.from_len = 0;

    } else {

        /* the least key that is greater */

        memcpy(next, key, EXPORTS_MANIFEST_KEY_LEN);
        next[EXPORTS_MANIFEST_KEY_LEN] = 0;
    }

    return walk_range(reader, &range, visit, data);
}


exports_rc_t
exports_walk(exports_reader_t *reader, exports_db_t db, exports_visit_pt visit,
    void *data, exports_walked_t *walked)
{
    static const range_t  all;

    return walk(reader, db, &all, visit, data, walked);
}


static exports_rc_t
walk_all(exports_reader_t *reader, exports_db_t db, exports_visit_pt visit,
    void *data)
{
    exports_rc_t      rc;
    exports_walked_t  walked;

    rc = exports_walk(reader, db, visit, data, &walked);

    return rc == EXPORTS_OK && !exports_walked_whole(&walked)
               ? EXPORTS_CORRUPT : rc;
}


static exports_rc_t
walk_range(exports_reader_t *reader, const range_t *range,
    exports_visit_pt visit, void *data)
{
    exports_rc_t      rc;
    exports_walked_t  walked;

    rc = walk(reader, DB_MANIFESTS, range, visit, data, &walked);

    return rc == EXPORTS_OK && walked.unordered > 0 ? EXPORTS_CORRUPT : rc;
}


static exports_rc_t
walk(exports_reader_t *reader, exports_db_t db, const range_t *range,
    exports_visit_pt visit, void *data, exports_walked_t *walked)
{
    MDB_stat       st;
    MDB_cursor    *cursor;
    exports_rc_t   rc;

    memset(walked, 0, sizeof(exports_walked_t));
    cursor = NULL;

    rc = exports_reader_cursor(reader, db, &cursor);

    if (rc == EXPORTS_OK) {
        rc = exports_rc_of_mdb(mdb_stat(reader->txn, reader->env->dbi[db],
                                        &st));
    }

    if (rc == EXPORTS_OK) {
        walked->stored = st.ms_entries;
        rc = walk_cursor(cursor, reader, db == DB_FACETS, range, visit, data,
                         walked);
    }

    exports_mdb_close(&cursor);

    return rc;
}


static exports_rc_t
walk_cursor(MDB_cursor *cursor, const exports_reader_t *reader, int has_lists,
    const range_t *range, exports_visit_pt visit, void *data,
    exports_walked_t *walked)
{
    int            rc, order;
    MDB_val        k, v, last, last_value;
    uint64_t       left;
    unsigned       descents, repeats;
    exports_rc_t   erc;
    MDB_cursor_op  op;

    left = most_entries(reader);
    descents = 0;
    repeats = 0;
    last = exports_mdb_val(range->from, range->from_len);
    last_value = exports_mdb_val(NULL, 0);
    k = last;
    v = last_value;
    op = range->from_len != 0 ? MDB_SET_RANGE : MDB_FIRST;

    for (erc = EXPORTS_OK; erc == EXPORTS_OK; op = MDB_NEXT) {

        rc = left-- > 0 ? mdb_cursor_get(cursor, &k, &v, op) : MDB_CORRUPTED;
        exports_env_step(reader->env);

        if (rc != 0) {
            return rc == MDB_NOTFOUND ? EXPORTS_OK : exports_rc_of_mdb(rc);
        }

        order = op == MDB_NEXT ? compare(&k, has_lists ? &v : NULL, &last,
                                         &last_value)
                : exports_mdb_before(&k, last.mv_data, last.mv_size) ? -1 : 1;

        if (order > 0 && !has_prefix(&k, range)) {
            break;
        }

        repeats = order == 0 ? repeats + 1 : 0;

        if (order <= 0) {
            walked->unordered++;

            if (range->ordered || repeats > REPEATS_MAX
                || (order < 0 && ++descents > DESCENTS_MAX))
            {
                return EXPORTS_CORRUPT;
            }

            /* the same entry again is not visited; a page of nothing but one
               bits has thousands */

            if (order == 0 || !has_prefix(&k, range)) {
                continue;
            }
        }

        walked->entries++;
        last = k;
        last_value = v;

        erc = visit(data, k.mv_data, k.mv_size, v.mv_data, v.mv_size);
    }

    return erc;
}


/* compares entries, which may share their key; value: NULL, they do not */

static int
compare(const MDB_val *key, const MDB_val *value, const MDB_val *last,
    const MDB_val *last_value)
{
    if (exports_mdb_before(last, key->mv_data, key->mv_size)) {
        return 1;
    }

    if (exports_mdb_before(key, last->mv_data, last->mv_size)) {
        return -1;
    }

    return value != NULL ? compare(value, NULL, last_value, NULL) : 0;
}


static int
has_prefix(const MDB_val *key, const range_t *range)
{
    return range->prefix_len == 0
           || (key->mv_size >= range->prefix_len
               && memcmp(key->mv_data, range->from, range->prefix_len) == 0);
}


/*
 * More entries than any tree can have: as many of the smallest ones as fit into
 * the file.  Without it a walk would not end if damaged pages lead back to
 * others.  There is no such bound for a writer, whose new pages LMDB does not
 * count.
 */

static uint64_t
most_entries(const exports_reader_t *reader)
{
    MDB_stat     st;
    MDB_envinfo  info;

    if (reader->borrowed) {
        return UINT64_MAX;
    }

    (void) mdb_env_stat(reader->env->mdb, &st);
    (void) mdb_env_info(reader->env->mdb, &info);

    return (uint64_t) st.ms_psize * (info.me_last_pgno + 1) / 8;
}
