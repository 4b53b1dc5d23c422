
/*
 * A place far inside a list is reached from its oldest end, by the blocks that
 * ranks counts: those of the highest level that end before it are passed, the
 * next one is entered on the level below, and so on.
 *
 * A wrong count would lead to a wrong page with nothing else wrong about it.
 * So the counts of blocks are added up to the end of the block above, which has
 * their sum, and the entries of the lowest block are walked to its end.
 */

#include <string.h>

#include "exports_list.h"
#include "exports_private.h"


/* by how many bits a list must be longer for each further level to be read;
   tests change it */
#ifndef LEVEL_BITS
#define LEVEL_BITS    EXPORTS_RANK_BITS
#endif


/* the part of a list that the place is known to be in */

typedef struct {
    exports_list_t  *list;
    const uint8_t   *entry;     /* the next newer one is sought; if NULL, */
    uint64_t         index;     /* the one with so many older ones */

    const uint8_t   *after;     /* the boundary it begins after, or NULL */
    const uint8_t   *end;       /* the boundary it ends with; NULL: open */
    uint64_t         older;     /* entries before the part */
    uint64_t         count;     /* entries of the part */
} part_t;


/* the blocks of a level in a part, while they are read leaf by leaf */

typedef struct {
    int              checked;   /* they have been before */
    int              add_up;    /* those behind the place are added up, too */
    int              whole;     /* and looked at like those before it */
    uint64_t         key_hash;
    const uint8_t   *last;      /* the boundary before the next one, or NULL */
    uint64_t         rest;      /* sum of those that are not passed */
} level_blocks_t;


static exports_rc_t find_block(exports_list_t *list, const uint8_t *entry,
    uint64_t index);
static unsigned top_level(uint64_t count);
static exports_rc_t enter_block(part_t *part, unsigned level);
static void begin_blocks(level_blocks_t *blocks, const part_t *part,
    unsigned level);
static int pass_blocks(part_t *part, level_blocks_t *blocks,
    exports_run_t *run, size_t until);
static void skip_blocks(const uint8_t *values, size_t *n, uint64_t most,
    uint64_t *sum);
static int add_blocks(level_blocks_t *blocks, const exports_run_t *run,
    size_t until);
static exports_rc_t narrow(part_t *part, part_t *in);
static exports_rc_t first_block(part_t *part, unsigned level,
    exports_run_t *run);
static exports_rc_t go_to_end(part_t *part);


/*
 * The way to the newest entry is gone first, once for a list: on that way every
 * part is open, so that all blocks of the highest level are added up, and
 * checked against the length of the list.
 */

exports_rc_t
exports_block_find(exports_list_t *list, const uint8_t *entry, uint64_t index)
{
    exports_rc_t  rc;

    if (!list->checked) {

        rc = find_block(list, NULL, list->count - 1);

        if (rc == EXPORTS_OK
            && exports_list_compare(list,
                                    (size_t) (list->count - 1 - list->older),
                                    list->newest)
               != 0)
        {
            rc = EXPORTS_CORRUPT;
        }

        if (rc != EXPORTS_OK) {
            return rc;
        }

        list->checked = 1;
    }

    return find_block(list, entry, index);
}


static exports_rc_t
find_block(exports_list_t *list, const uint8_t *entry, uint64_t index)
{
    part_t        part;
    unsigned      level;
    exports_rc_t  rc;

    part.list = list;
    part.entry = entry;
    part.index = index;
    part.after = NULL;
    part.end = NULL;
    part.older = 0;
    part.count = list->count;

    for (level = top_level(list->count); level > 0; level--) {
        rc = enter_block(&part, level);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return go_to_end(&part);
}


/* the highest level that is expected to have two blocks at least */

static unsigned
top_level(uint64_t count)
{
    unsigned  level;

    for (level = 0;
         level < EXPORTS_RANK_LEVELS && count >> LEVEL_BITS * (level + 1) > 1;
         level++)
    {
        /* void */
    }

    return level;
}


/*
 * Narrows a part to the block of a level that the place is in.  In an open part
 * the place may lie after the last boundary: then to that rest, open as well.
 */

static exports_rc_t
enter_block(part_t *part, unsigned level)
{
    int             closed;
    size_t          until;
    part_t          in;
    exports_rc_t    rc;
    exports_run_t   run;
    level_blocks_t  blocks;

    begin_blocks(&blocks, part, level);

    closed = part->end != NULL;
    in = *part;
    in.end = NULL;

    for (rc = first_block(part, level, &run);
         rc == EXPORTS_OK;
         rc = exports_run_next(&run))
    {
        until = closed ? exports_run_until(&run, part->end) : run.n;

        if (until <= run.at
            || (in.end == NULL && !pass_blocks(&in, &blocks, &run, until))
            || (blocks.add_up && !add_blocks(&blocks, &run, until)))
        {
            return EXPORTS_CORRUPT;
        }

        blocks.last = run.values + (until - 1) * EXPORTS_RANK_LEN;

        if ((in.end != NULL && !blocks.add_up)
            || (closed && memcmp(blocks.last, part->end, EXPORTS_ENTRY_LEN)
                          == 0))
        {
            break;
        }
    }

    if (rc != EXPORTS_OK && (rc != EXPORTS_NOT_FOUND || closed)) {
        return rc == EXPORTS_NOT_FOUND ? EXPORTS_CORRUPT : rc;
    }

    if (blocks.add_up
        && in.older - part->older + blocks.rest != part->count)
    {
        return EXPORTS_CORRUPT;
    }

    if (blocks.whole) {
        part->list->ends[level - 1] = part->end;
    }

    return narrow(part, &in);
}


/*
 * Blocks that are passed, and the one that is entered, must have their checks,
 * and be in order: some that got elsewhere, in the place of others, may have
 * the same sum.  Those behind need only be in order, be of this list, and make
 * up the sum, unless another guess of the page may pass them; for that reason
 * all are looked at then, once for a part.  An open part has no sum.
 */

static void
begin_blocks(level_blocks_t *blocks, const part_t *part, unsigned level)
{
    size_t           len;
    uint8_t          key[EXPORTS_RANK_KEY_MAX];
    exports_list_t  *list;

    list = part->list;

    blocks->checked = part->end != NULL ? list->ends[level - 1] == part->end
                                        : list->checked;
    blocks->add_up = part->end != NULL && !blocks->checked;
    blocks->whole = part->entry != NULL || !list->alone;
    blocks->key_hash = 0;
    blocks->last = part->after;
    blocks->rest = 0;

    if (!blocks->checked) {
        len = exports_rank_key(key, list->key->bytes, list->key->len, level);
        blocks->key_hash = exports_rank_hash(key, len);
    }
}


/* passes the blocks of a leaf that end before the place, and enters the next */

static int
pass_blocks(part_t *part, level_blocks_t *blocks, exports_run_t *run,
    size_t until)
{
    size_t          n, stop;
    uint64_t        most;
    const uint8_t  *values;

    n = until - run->at;
    most = UINT64_MAX;
    values = run->values + run->at * EXPORTS_RANK_LEN;

    if (part->entry == NULL) {
        most = part->index - part->older;

    } else {
        stop = exports_run_until(run, part->entry);

        if (stop < until) {
            n = stop > run->at ? stop - run->at : 0;
        }
    }

    if (blocks->checked) {
        skip_blocks(values, &n, most, &part->older);

    } else if (!exports_rank_pass(values, &n, blocks->last, blocks->key_hash,
                                  most, &part->older))
    {
        return 0;
    }

    if (n > 0) {
        part->after = values + (n - 1) * EXPORTS_RANK_LEN;
        blocks->last = part->after;
        run->at += n;
    }

    if (run->at < until) {
        part->end = run->values + run->at * EXPORTS_RANK_LEN;
        part->count = exports_get32(part->end + EXPORTS_ENTRY_LEN);
    }

    return 1;
}


/* exports_rank_pass() without checks */

static void
skip_blocks(const uint8_t *values, size_t *n, uint64_t most, uint64_t *sum)
{
    size_t    i;
    uint64_t  count, total;

    total = 0;

    for (i = 0; i < *n; i++) {
        count = exports_get32(values + EXPORTS_ENTRY_LEN);

        if (total + count > most) {
            break;
        }

        total += count;
        values += EXPORTS_RANK_LEN;
    }

    *n = i;
    *sum += total;
}


/* adds up the blocks of a leaf that are not passed */

static int
add_blocks(level_blocks_t *blocks, const exports_run_t *run, size_t until)
{
    size_t          n;
    const uint8_t  *values;

    n = until - run->at;
    values = run->values + run->at * EXPORTS_RANK_LEN;

    return blocks->whole
               ? exports_rank_pass(values, &n, blocks->last, blocks->key_hash,
                                   UINT64_MAX, &blocks->rest)
               : exports_rank_add(values, n, blocks->last, blocks->key_hash,
                                  &blocks->rest);
}


/* in: the block that was entered; its end is NULL, if all were passed */

static exports_rc_t
narrow(part_t *part, part_t *in)
{
    uint64_t  passed;

    passed = in->older - part->older;

    if (passed > part->count
        || (in->end == NULL ? part->end != NULL
                            : in->count > part->count - passed))
    {
        return EXPORTS_CORRUPT;
    }

    if (in->end == NULL) {
        in->count = part->count - passed;
    }

    *part = *in;

    return EXPORTS_OK;
}


/* to the first block of a level in the part: the one after its "after" */

static exports_rc_t
first_block(part_t *part, unsigned level, exports_run_t *run)
{
    size_t         len;
    uint8_t        key[EXPORTS_RANK_KEY_MAX], from[EXPORTS_RANK_LEN];
    exports_rc_t   rc;

    len = exports_rank_key(key, part->list->key->bytes, part->list->key->len,
                           level);

    if (part->after == NULL) {
        return exports_run_from(run, &part->list->reader->ranks, key, len,
                                NULL, EXPORTS_RANK_LEN);
    }

    memset(from, 0, sizeof(from));
    memcpy(from, part->after, EXPORTS_ENTRY_LEN);

    rc = exports_run_from(run, &part->list->reader->ranks, key, len, from,
                          EXPORTS_RANK_LEN);

    if (rc == EXPORTS_NOT_FOUND
        || (rc == EXPORTS_OK
            && memcmp(run->values + run->at * EXPORTS_RANK_LEN, from,
                      EXPORTS_ENTRY_LEN)
               != 0))
    {
        return EXPORTS_CORRUPT;
    }

    if (rc == EXPORTS_OK && ++run->at == run->n) {
        rc = exports_run_next(run);
    }

    return rc;
}


/* walks the entries of the part, whose last one must be its boundary */

static exports_rc_t
go_to_end(part_t *part)
{
    uint64_t          last;
    exports_rc_t      rc;
    exports_source_t  source;
    exports_list_t   *list;

    list = part->list;
    source = list->run.source;

    rc = exports_run_from(&list->run, &source, list->key->bytes,
                          list->key->len, part->after, EXPORTS_ENTRY_LEN);
    if (rc != EXPORTS_OK) {
        return rc == EXPORTS_NOT_FOUND ? EXPORTS_CORRUPT : rc;
    }

    exports_list_set_leaf(list);
    list->older = part->older - list->run.at;

    if (part->after != NULL) {
        list->older--;

        if (part->older <= list->run.at
            || exports_list_compare(list, list->run.at, part->after) != 0)
        {
            return EXPORTS_CORRUPT;
        }
    }

    last = part->older + part->count - 1;

    while (rc == EXPORTS_OK && last >= list->older + list->size) {
        rc = exports_list_newer_leaf(list);
    }

    if (rc == EXPORTS_OK
        && exports_list_compare(list, (size_t) (last - list->older),
                                part->end != NULL ? part->end : list->newest)
           != 0)
    {
        rc = EXPORTS_CORRUPT;
    }

    return rc;
}
