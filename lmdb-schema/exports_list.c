
/*
 * One list, read from leaf to leaf, which are arrays; what is far away is found
 * by blocks.
 */

#include <string.h>

#include "exports_list.h"
#include "exports_private.h"


/* up to so many entries or leaves are walked rather than looked up by blocks;
   tests change it */
#ifndef NEAR_ENTRIES
#define NEAR_ENTRIES  1024
#define NEAR_LEAVES   4
#endif


static exports_rc_t open_list(exports_list_t *list, exports_reader_t *reader,
    const exports_source_t *source, const exports_facet_t *key);
static exports_rc_t older_leaf(exports_list_t *list);
static exports_rc_t check_end(exports_list_t *list);


exports_rc_t
exports_lists_open(exports_list_t *lists, exports_reader_t *reader,
    const exports_facet_t *keys, unsigned n)
{
    unsigned          i;
    exports_rc_t      rc;
    exports_source_t  source;

    source.tree = NULL;

    for (rc = EXPORTS_OK, i = 0; rc == EXPORTS_OK && i < n; i++) {

        if (source.tree == NULL) {
            rc = exports_reader_source(reader, DB_FACETS, &reader->facets[i],
                                       &source);
        }

        if (rc == EXPORTS_OK) {
            rc = open_list(&lists[i], reader, &source, &keys[i]);
        }
    }

    return rc;
}


static exports_rc_t
open_list(exports_list_t *list, exports_reader_t *reader,
    const exports_source_t *source, const exports_facet_t *key)
{
    exports_rc_t  rc;

    list->reader = reader;
    list->key = key;
    list->left = 0;
    list->count = 0;
    list->checked = 0;
    list->alone = 0;
    memset(list->ends, 0, sizeof(list->ends));

    rc = exports_run_find(&list->run, source, key->bytes, key->len,
                          EXPORTS_ENTRY_LEN, &list->count);

    return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
}


exports_rc_t
exports_list_last(exports_list_t *list)
{
    exports_rc_t  rc;

    rc = exports_run_last(&list->run);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (list->run.n > list->count) {
        return EXPORTS_CORRUPT;
    }

    exports_list_set_leaf(list);
    list->older = list->count - list->run.n;
    list->newest = exports_list_entry(list);

    return EXPORTS_OK;
}


exports_rc_t
exports_list_skip(exports_list_t *list, uint64_t n)
{
    exports_rc_t  rc;

    while (n >= list->left) {
        n -= list->left;
        list->left = 0;

        if (list->older == 0) {
            return check_end(list);
        }

        rc = older_leaf(list);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    list->left -= n;

    return EXPORTS_OK;
}


exports_rc_t
exports_list_seek(exports_list_t *list, uint64_t newer)
{
    uint64_t      index;
    exports_rc_t  rc;

    index = list->count - 1 - newer;

    if (index + NEAR_ENTRIES < list->older
        || index >= list->older + list->size + NEAR_ENTRIES)
    {
        rc = exports_block_find(list, NULL, index);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    for (rc = EXPORTS_OK; rc == EXPORTS_OK && index < list->older; ) {
        rc = older_leaf(list);
    }

    while (rc == EXPORTS_OK && index >= list->older + list->size) {
        rc = exports_list_newer_leaf(list);
    }

    list->left = (size_t) (index - list->older) + 1;

    return rc;
}


exports_rc_t
exports_list_rank(exports_list_t *list, const uint8_t *entry, uint64_t *newer)
{
    unsigned      leaves;
    exports_rc_t  rc;

    for (leaves = 0; /* void */ ; leaves++) {

        if (leaves == NEAR_LEAVES) {
            rc = exports_block_find(list, entry, 0);
            if (rc != EXPORTS_OK) {
                return rc;
            }
        }

        /* to older leaves, up to the one that begins with the entry or before;
           or to newer ones, up to the one that ends after it */

        if (exports_list_compare(list, 0, entry) > 0) {

            if (list->older == 0) {
                break;
            }

            rc = older_leaf(list);

            if (rc == EXPORTS_OK
                && exports_list_compare(list, list->size - 1, entry) <= 0)
            {
                break;
            }

        } else {

            if (exports_list_compare(list, list->size - 1, entry) > 0
                || list->older + list->size == list->count)
            {
                break;
            }

            rc = exports_list_newer_leaf(list);

            if (rc == EXPORTS_OK && exports_list_compare(list, 0, entry) > 0) {
                break;
            }
        }

        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    *newer = list->count - list->older
             - exports_run_until(&list->run, entry);

    return EXPORTS_OK;
}


void
exports_list_set_leaf(exports_list_t *list)
{
    list->entries = list->run.values;
    list->size = list->run.n;
    list->left = list->run.at + 1;
}


static exports_rc_t
older_leaf(exports_list_t *list)
{
    exports_rc_t  rc;

    rc = exports_run_back(&list->run);

    if (rc != EXPORTS_OK || list->run.n > list->older) {
        return rc == EXPORTS_NOT_FOUND || rc == EXPORTS_OK ? EXPORTS_CORRUPT
                                                           : rc;
    }

    list->older -= list->run.n;
    exports_list_set_leaf(list);

    return EXPORTS_OK;
}


/* a list that has further leaves is longer than it says */

static exports_rc_t
check_end(exports_list_t *list)
{
    exports_rc_t  rc;

    rc = exports_run_back(&list->run);

    return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK
           : rc == EXPORTS_OK ? EXPORTS_CORRUPT : rc;
}


exports_rc_t
exports_list_newer_leaf(exports_list_t *list)
{
    exports_rc_t  rc;

    rc = exports_run_next(&list->run);

    if (rc != EXPORTS_OK
        || list->run.n > list->count - list->older - list->size)
    {
        return rc == EXPORTS_NOT_FOUND || rc == EXPORTS_OK ? EXPORTS_CORRUPT
                                                           : rc;
    }

    list->older += list->size;
    exports_list_set_leaf(list);

    return EXPORTS_OK;
}


int
exports_list_compare(const exports_list_t *list, size_t i,
    const uint8_t *entry)
{
    return exports_order(list->entries + i * EXPORTS_ENTRY_LEN, entry,
                         EXPORTS_ENTRY_LEN);
}
