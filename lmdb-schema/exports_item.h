
/*
 * exports_item.h: decodes what a page needs of a record; private.  Inline, for
 * it is done for each record of a page: only the checksum is a call.
 */

#ifndef EXPORTS_ITEM_H
#define EXPORTS_ITEM_H

#include "exports_codec.h"


#define RECORD_MAGIC    0x45585231      /* EXR1 */
#define STRING_NULL     0xffff

/* records and tokens begin alike: magic 4, length 4, checksum 8, then what the
   checksum is of */
#define CHECKSUM_POS    8
#define CHECKED_POS     16
#define HEAD_OF(magic, len)  ((uint64_t) (magic) << 32 | (len))

/* where the fields of a record's header are */
#define KIND_POS         16             /* 1 */
#define STATUS_POS       17             /* 1 */
#define FLAGS_POS        18             /* 1 */
#define EXPORT_KIND_POS  19             /* 1 */
#define JSON_LEN_POS     20             /* 2 */
#define LINK_POS         22             /* 2 */
#define EXPIRES_POS      24             /* 8 */
#define SUBJECT_ID_POS   32             /* 8 */

/* the header is followed by the item, and then by strings, in this order */
typedef enum {
    STRING_ID = 0,
    STRING_STORAGE_BACKEND,
    STRING_STORAGE_KEY,                 /* or null */
    STRING_CONTENT_TYPE,
    STRING_NAME,                        /* or null: a user's */
    STRING_GROUP,                       /* or null: a project's */
    STRING_SUBJECT_TYPE,                /* or null */
    STRING_COUNT
} exports_string_t;

_Static_assert(KIND_POS == CHECKED_POS
               && SUBJECT_ID_POS + 8 == EXPORTS_RECORD_HEADER,
               "the header of a record");


static inline uint16_t
exports_get16(const uint8_t *p)
{
    return (uint16_t) (p[0] << 8 | p[1]);
}


/* The status of a record that has not been checked; 0: it is too short to have
   one.  A damaged record may have any, so it is kept below 32: callers shift by
   it. */

static inline unsigned
exports_item_status(const uint8_t *record, size_t len)
{
    return len >= EXPORTS_RECORD_HEADER ? record[STATUS_POS] & 0x1f : 0;
}


/* decodes all of the item but its ID */

static inline exports_rc_t
exports_item_header(exports_item_t *item, const uint8_t *key, const uint8_t *p,
    size_t len)
{
    if (len < EXPORTS_RECORD_HEADER || len > EXPORTS_RECORD_MAX
        || exports_get64(p) != HEAD_OF(RECORD_MAGIC, len)
        || exports_get64(p + CHECKSUM_POS)
           != exports_checksum_manifest(key, p + CHECKED_POS,
                                        len - CHECKED_POS))
    {
        return EXPORTS_CORRUPT;
    }

    item->kind = p[KIND_POS];
    item->status = p[STATUS_POS];
    item->flags = p[FLAGS_POS];
    item->export_kind = p[EXPORT_KIND_POS];
    item->json_len = exports_get16(p + JSON_LEN_POS);
    item->link_pos = exports_get16(p + LINK_POS);
    item->json = (const char *) p + EXPORTS_RECORD_HEADER;

    if ((item->kind != EXPORTS_PROJECT && item->kind != EXPORTS_USER)
        || item->status < EXPORTS_STATUS_READY
        || item->status > EXPORTS_STATUSES
        || (item->flags & ~EXPORTS_RECORD_FLAGS) != 0
        || item->json_len > len - EXPORTS_RECORD_HEADER
        || item->link_pos > item->json_len)
    {
        return EXPORTS_CORRUPT;
    }

    return EXPORTS_OK;
}


/* does what exports_item_decode() says */

static inline exports_rc_t
exports_item_read(exports_item_t *item, const uint8_t *key, const uint8_t *p,
    size_t len)
{
    size_t        left, id_len;
    exports_rc_t  rc;

    rc = exports_item_header(item, key, p, len);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    /* STRING_ID, the first */

    p += EXPORTS_RECORD_HEADER + item->json_len;
    left = len - EXPORTS_RECORD_HEADER - item->json_len;

    if (left < 2) {
        return EXPORTS_CORRUPT;
    }

    id_len = exports_get16(p);

    if (id_len > left - 2 || id_len > EXPORTS_ID_MAX) {
        return EXPORTS_CORRUPT;
    }

    item->id.data = (const char *) p + 2;
    item->id.len = id_len;

    return EXPORTS_OK;
}


#endif /* EXPORTS_ITEM_H */
