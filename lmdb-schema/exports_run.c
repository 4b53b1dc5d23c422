
#include <string.h>

#include "exports_mdb_layout.h"
#include "exports_private.h"


static int sound_leaf(const MDB_val *values, size_t size);


exports_rc_t
exports_run_from(exports_run_t *run, MDB_cursor *cursor, const uint8_t *key,
    size_t key_len, const uint8_t *from, size_t size)
{
    int      rc;
    MDB_val  k, v;

    run->cursor = cursor;
    run->size = size;
    run->values = NULL;
    run->n = 0;
    run->at = 0;

    k.mv_data = (void *) key;
    k.mv_size = key_len;
    v.mv_data = (void *) from;
    v.mv_size = size;

    rc = mdb_cursor_get(cursor, &k, &v,
                        from != NULL ? MDB_GET_BOTH_RANGE : MDB_SET);

    return rc == 0 ? exports_run_leaf(run, MDB_GET_MULTIPLE, &v)
                   : exports_rc_of_mdb(rc);
}


exports_rc_t
exports_run_next(exports_run_t *run)
{
    exports_rc_t  rc;

    rc = exports_run_leaf(run, MDB_NEXT_MULTIPLE, NULL);
    run->at = 0;

    return rc;
}


/*
 * A key with one value has no leaf: LMDB then leaves the result untouched and
 * says nothing.
 */

exports_rc_t
exports_run_leaf(exports_run_t *run, MDB_cursor_op op, const MDB_val *current)
{
    int      rc;
    MDB_val  k, v;

    v.mv_data = NULL;
    v.mv_size = 0;

    rc = mdb_cursor_get(run->cursor, &k, &v, op);

    if (rc == 0 && v.mv_size == 0 && op == MDB_GET_MULTIPLE) {
        rc = mdb_cursor_get(run->cursor, &k, &v, MDB_GET_CURRENT);

    } else if (rc == 0 && v.mv_size > 0 && !sound_leaf(&v, run->size)) {
        return EXPORTS_CORRUPT;
    }

    if (rc != 0) {
        return exports_rc_of_mdb(rc);
    }

    if (v.mv_size == 0 || v.mv_size % run->size != 0) {
        return EXPORTS_CORRUPT;
    }

    run->values = v.mv_data;
    run->n = v.mv_size / run->size;
    run->at = run->n - 1;

    if (current != NULL) {
        run->at = (size_t) ((const uint8_t *) current->mv_data - run->values)
                  / run->size;
    }

    return run->at < run->n ? EXPORTS_OK : EXPORTS_CORRUPT;
}


/*
 * The leaf's header stands before its values, and LMDB believes it: another
 * page in the leaf's place would pass for a leaf with some other number of
 * values.  Both bounds of the free space follow from that number.
 */

static int
sound_leaf(const MDB_val *values, size_t size)
{
    size_t         n, page_size;
    page_header_t  header;

    memcpy(&header, (const uint8_t *) values->mv_data - PAGE_HEADER,
           PAGE_HEADER);

    n = values->mv_size / size;

    if ((header.flags & KIND_FLAGS) != (LEAF_FLAG|LEAF2_FLAG)
        || header.pad != size
        || header.lower != PAGE_HEADER + n * sizeof(uint16_t))
    {
        return 0;
    }

    if (header.flags & SUBPAGE_FLAG) {
        return 1;
    }

    page_size = header.upper + n * (size - sizeof(uint16_t));

    return page_size >= PAGE_SIZE_MIN && (page_size & (page_size - 1)) == 0;
}


size_t
exports_run_until(const exports_run_t *run, const uint8_t *entry)
{
    size_t  low, high, middle;

    low = 0;
    high = run->n;

    while (low < high) {
        middle = (low + high) / 2;

        if (memcmp(run->values + middle * run->size, entry, EXPORTS_ENTRY_LEN)
            <= 0)
        {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low;
}


exports_rc_t
exports_run_blocks(MDB_cursor *facets, const uint8_t *key, size_t len,
    exports_block_pt visit, void *data)
{
    size_t          n;
    uint8_t         rank[EXPORTS_RANK_KEY_MAX], block[EXPORTS_RANK_LEN];
    uint64_t        count, before[EXPORTS_RANK_LEVELS];
    unsigned        level, height;
    exports_rc_t    rc;
    exports_run_t   run;
    const uint8_t  *entry;

    memset(before, 0, sizeof(before));
    count = 0;

    rc = exports_run_from(&run, facets, key, len, NULL, EXPORTS_ENTRY_LEN);

    while (rc == EXPORTS_OK && run.at < run.n) {
        entry = run.values + run.at * EXPORTS_ENTRY_LEN;
        height = exports_rank_height(entry);
        count++;

        for (level = 1; level <= height && rc == EXPORTS_OK; level++) {
            n = exports_rank_key(rank, key, len, level);
            memcpy(block, entry, EXPORTS_ENTRY_LEN);
            exports_rank_encode(block, count - before[level - 1], rank, n);
            before[level - 1] = count;

            rc = visit(data, level, rank, n, block);
        }

        if (rc == EXPORTS_OK && ++run.at == run.n) {
            rc = exports_run_next(&run);
        }
    }

    return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
}
