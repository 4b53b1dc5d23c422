
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


static exports_rc_t find_block(exports_list_t *list, const uint8_t *entry,
    uint64_t index);
static unsigned top_level(uint64_t count);
static int is_checked(const part_t *part, unsigned level);
static exports_rc_t check_blocks(const part_t *part, unsigned level,
    const exports_run_t *run, size_t until, const uint8_t *before,
    uint64_t *sum);
static exports_rc_t enter_block(part_t *part, unsigned level);
static exports_rc_t narrow(part_t *part, part_t *in);
static void pass_blocks(part_t *part, exports_run_t *run, size_t until);
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
 * Whether the blocks that are counted have their checksums, and are in order:
 * some that got elsewhere, in the place of others, may have the same sum.  Done
 * once for a part, though each guess of a page reads it.
 */

static exports_rc_t
check_blocks(const part_t *part, unsigned level, const exports_run_t *run,
    size_t until, const uint8_t *before, uint64_t *sum)
{
    size_t   len;
    uint8_t  key[EXPORTS_RANK_KEY_MAX];

    len = exports_rank_key(key, part->list->key->bytes, part->list->key->len,
                           level);

    return exports_rank_check(run->values + run->at * EXPORTS_RANK_LEN,
                              until - run->at, before, key, len, sum)
               ? EXPORTS_OK
               : EXPORTS_CORRUPT;
}


/* whether the blocks of a level in this part were the last to be checked */

static int
is_checked(const part_t *part, unsigned level)
{
    return part->end != NULL ? part->list->ends[level - 1] == part->end
                             : part->list->checked;
}


/*
 * Narrows a part to the block of a level that the place is in.  In an open part
 * the place may lie after the last boundary: then to that rest, open as well.
 */

static exports_rc_t
enter_block(part_t *part, unsigned level)
{
    int             checked, closed, add_up;
    size_t          until;
    part_t          in;
    uint64_t        sum;
    exports_rc_t    rc;
    exports_run_t   run;
    const uint8_t  *last;

    checked = is_checked(part, level);
    closed = part->end != NULL;

    /* an open part has no sum */

    add_up = closed && !checked;

    in = *part;
    in.end = NULL;
    last = part->after;
    sum = 0;

    for (rc = first_block(part, level, &run);
         rc == EXPORTS_OK;
         rc = exports_run_next(&run))
    {
        until = closed ? exports_run_until(&run, part->end) : run.n;

        if (until <= run.at
            || (!checked && check_blocks(part, level, &run, until, last, &sum)
                            != EXPORTS_OK))
        {
            return EXPORTS_CORRUPT;
        }

        last = run.values + (until - 1) * EXPORTS_RANK_LEN;

        if (in.end == NULL) {
            pass_blocks(&in, &run, until);
        }

        if ((in.end != NULL && !add_up)
            || (closed && memcmp(last, part->end, EXPORTS_ENTRY_LEN) == 0))
        {
            break;
        }
    }

    if (rc != EXPORTS_OK && (rc != EXPORTS_NOT_FOUND || closed)) {
        return rc == EXPORTS_NOT_FOUND ? EXPORTS_CORRUPT : rc;
    }

    if (add_up ? sum != part->count : sum > part->count) {
        return EXPORTS_CORRUPT;
    }

    part->list->ends[level - 1] = part->end;

    return narrow(part, &in);
}


/* in: the block that was entered; its end is NULL, if all were passed */

static exports_rc_t
narrow(part_t *part, part_t *in)
{
    uint64_t  passed;

    passed = in->older - part->older;

    if (passed > part->count
        || (in->end == NULL ? part->end != NULL : in->count > part->count))
    {
        return EXPORTS_CORRUPT;
    }

    if (in->end == NULL) {
        in->count = part->count - passed;
    }

    *part = *in;

    return EXPORTS_OK;
}


/* passes the blocks of a leaf that end before the place, and enters the next */

static void
pass_blocks(part_t *part, exports_run_t *run, size_t until)
{
    size_t          stop;
    uint64_t        count;
    const uint8_t  *block;

    stop = until;

    if (part->entry != NULL) {
        stop = exports_run_until(run, part->entry);
        stop = stop < until ? stop : until;
    }

    for ( /* void */ ; run->at < until; run->at++) {
        block = run->values + run->at * EXPORTS_RANK_LEN;
        count = exports_get32(block + EXPORTS_ENTRY_LEN);

        if (part->entry != NULL ? run->at >= stop
                                : part->index - part->older < count)
        {
            part->end = block;
            part->count = count;
            return;
        }

        part->after = block;
        part->older += count;
    }
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
