
/*
 * exports_item.h: what a page needs of a record, without a call but for its
 * checksum, because it is done for each of them; private.
 */

#ifndef EXPORTS_ITEM_H
#define EXPORTS_ITEM_H

#include "exports_codec.h"


#define RECORD_MAGIC    0x45585231      /* EXR1 */
#define STRING_NULL     0xffff

/* records and tokens begin alike: magic 4, length 4, checksum 8, then the
   rest */
#define CHECKSUM_POS    8
#define CHECKED_POS     16
#define SUBJECT_ID_POS  32
#define HEAD_OF(magic, len)  ((uint64_t) (magic) << 32 | (len))


static inline uint16_t
exports_get16(const uint8_t *p)
{
    return (uint16_t) (p[0] << 8 | p[1]);
}


/* all but the ID */

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

    item->kind = p[16];
    item->status = p[17];
    item->flags = p[18];
    item->export_kind = p[19];
    item->json_len = exports_get16(p + 20);
    item->link_pos = exports_get16(p + 22);
    item->json = (const char *) p + EXPORTS_RECORD_HEADER;

    if ((item->kind != EXPORTS_PROJECT && item->kind != EXPORTS_USER)
        || item->status < EXPORTS_STATUS_READY
        || item->status > EXPORTS_STATUS_CANCELLED
        || (item->flags & ~EXPORTS_RECORD_FLAGS) != 0
        || item->json_len > len - EXPORTS_RECORD_HEADER
        || item->link_pos > item->json_len)
    {
        return EXPORTS_CORRUPT;
    }

    return EXPORTS_OK;
}


/* exports_item_decode() */

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

    /* the first of the strings */

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
