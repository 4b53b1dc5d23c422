
/*
 * exports_member.h: whether a record belongs in the list that led to it, for
 * lists that fix more than the status; private.
 *
 * An entry has no checksum, and a damaged leaf may hold those of another list:
 * only the record can tell.  As this is done for each item of a page, it is
 * inline, and the hashes of strings that repeat are kept.
 */

#ifndef EXPORTS_MEMBER_H
#define EXPORTS_MEMBER_H

#include "exports_item.h"


#define EXPORTS_HASHES  16

/* a string as records have it, with its length in front, and its hash */
typedef struct {
    uint8_t            hash[EXPORTS_HASH_LEN];
    size_t             len;
    uint8_t            bytes[2 + EXPORTS_STRING_MAX];
} exports_hashed_t;

/* the strings that have been met lately; begins as zeroes */
typedef struct {
    unsigned           last;        /* the one that was found last */
    unsigned           next;        /* the one to be replaced next */
    exports_hashed_t   known[EXPORTS_HASHES];
} exports_hashes_t;


/* does what exports_member_string() says for a hash that is not known yet */
exports_rc_t exports_member_learn(exports_hashes_t *hashes,
    const uint8_t *hash, const uint8_t *record, size_t len, size_t at);


/* Whether the string at an offset of a record, which may be past its end, has
   that hash.  EXPORTS_CORRUPT: it has not; EXPORTS_FAILED: libcrypto. */
static inline exports_rc_t
exports_member_string(exports_hashes_t *hashes, const uint8_t *hash,
    const uint8_t *record, size_t len, size_t at)
{
    unsigned           i, n;
    exports_hashed_t  *known;

    for (n = hashes->last, i = 0; i < EXPORTS_HASHES; i++) {
        known = &hashes->known[n];

        if (memcmp(known->hash, hash, EXPORTS_HASH_LEN) == 0) {
            hashes->last = n;

            return at + 2 + known->len <= len
                   && memcmp(known->bytes, record + at, 2 + known->len) == 0
                       ? EXPORTS_OK : EXPORTS_CORRUPT;
        }

        n = (n + 1) % EXPORTS_HASHES;
    }

    return exports_member_learn(hashes, hash, record, len, at);
}


/* The offset after a string.  An offset past the end of the record stays there;
   a string that is null, and must not be, leads there, too. */
static inline size_t
exports_member_skip(const uint8_t *record, size_t len, size_t at)
{
    return at > len - 2 ? at : at + 2 + exports_get16(record + at);
}


static inline size_t
exports_member_skip_null(const uint8_t *record, size_t len, size_t at)
{
    size_t  next;

    next = exports_member_skip(record, len, at);

    return next == at + 2 + STRING_NULL ? at + 2 : next;
}


/* Whether the record that the item was read from belongs in a list; returns
   what exports_member_string() returns. */
static inline exports_rc_t
exports_member_check(exports_hashes_t *hashes, const exports_facet_t *list,
    const exports_item_t *item, const uint8_t *record, size_t len)
{
    size_t          at;
    unsigned        facet;
    exports_rc_t    rc;
    const uint8_t  *fixed;

    facet = list->bytes[EXPORTS_FACET_POS];
    fixed = list->bytes + EXPORTS_FACET_VALUES_POS
            + ((facet & EXPORTS_FACET_STATUS) != 0);

    if (item->kind != EXPORTS_USER
        || ((facet & (EXPORTS_FACET_SUBJECT_TYPE|EXPORTS_FACET_SUBJECT_ID)) != 0
            && (item->flags & EXPORTS_RECORD_SUBJECT) == 0))
    {
        return EXPORTS_CORRUPT;
    }

    _Static_assert(STRING_STORAGE_BACKEND == STRING_ID + 1
                   && STRING_STORAGE_KEY == STRING_STORAGE_BACKEND + 1
                   && STRING_CONTENT_TYPE == STRING_STORAGE_KEY + 1
                   && STRING_NAME == STRING_CONTENT_TYPE + 1
                   && STRING_GROUP == STRING_NAME + 1
                   && STRING_SUBJECT_TYPE == STRING_GROUP + 1,
                   "the strings that are skipped below");

    /* after the ID: backend, storage key, content type, name */

    at = (size_t) ((const uint8_t *) item->id.data - record) + item->id.len;
    at = exports_member_skip(record, len, at);
    at = exports_member_skip_null(record, len, at);
    at = exports_member_skip(record, len, at);
    at = exports_member_skip_null(record, len, at);

    if (facet & EXPORTS_FACET_TYPE) {
        rc = exports_member_string(hashes, fixed, record, len, at);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        fixed += EXPORTS_HASH_LEN;
    }

    if (facet & EXPORTS_FACET_SUBJECT_TYPE) {
        at = exports_member_skip(record, len, at);

        rc = exports_member_string(hashes, fixed, record, len, at);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        fixed += EXPORTS_HASH_LEN;
    }

    return (facet & EXPORTS_FACET_SUBJECT_ID) == 0
           || memcmp(record + SUBJECT_ID_POS, fixed, 8) == 0
               ? EXPORTS_OK : EXPORTS_CORRUPT;
}


#endif /* EXPORTS_MEMBER_H */
