
/*
 * exports_codec.h: keys and records as bytes.
 *
 * Encodes and decodes what the databases hold, as README.md lays it out.
 * Nothing here allocates, locks or knows LMDB.  Integers are big-endian.
 * Decoded strings are views into the bytes that were decoded, and live as long
 * as those; they are not zero-terminated.
 */

#ifndef EXPORTS_CODEC_H
#define EXPORTS_CODEC_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "exports_error.h"
#include "exports_schema.h"
#include "exports_text.h"


typedef struct {
    const char  *data;      /* NULL: null, where null is allowed */
    size_t       len;
} exports_str_t;


/* keys and the small values */

#define EXPORTS_MANIFEST_KEY_LEN  24    /* scope 8, created 8, tie 8 */
#define EXPORTS_ENTRY_LEN         16    /* created 8, tie 8: in facets */
#define EXPORTS_SCOPE_KEY_MAX     (1 + EXPORTS_SCOPE_NAME_MAX)
#define EXPORTS_ID_KEY_MAX        (1 + 8 + EXPORTS_ID_MAX)
#define EXPORTS_FACET_KEY_MAX     (8 + 1 + 1 + 2 * EXPORTS_HASH_LEN + 8)
#define EXPORTS_RANK_KEY_MAX      (EXPORTS_FACET_KEY_MAX + 1)
#define EXPORTS_RANK_LEN          (EXPORTS_ENTRY_LEN + 8) /* count 4, check 4 */
#define EXPORTS_SCOPE_VALUE_LEN   (8 + 8 + 8 * EXPORTS_STATUSES + 8)
#define EXPORTS_ID_VALUE_LEN      32

/* keys of manifests and facets begin with a scope ID; what follows it is at */
#define EXPORTS_ENTRY_POS         8     /* manifests: the entry of facets, */
#define EXPORTS_TIE_POS           16    /* which has created, then the tie */
#define EXPORTS_FACET_POS         8     /* facets: the facet, and */
#define EXPORTS_FACET_VALUES_POS  9     /* the values that it fixes */

typedef struct {
    uint64_t  id;
    uint64_t  revision;
    uint64_t  counts[EXPORTS_STATUSES];     /* its manifests, by status - 1 */
} exports_scope_t;

typedef struct {
    uint8_t   bytes[EXPORTS_FACET_KEY_MAX];
    size_t    len;
} exports_facet_t;

/* the values that a manifest is listed by */
typedef struct {
    unsigned  has;                          /* which of them: EXPORTS_FACET_* */
    uint8_t   status;
    uint8_t   type[EXPORTS_HASH_LEN];
    uint8_t   subject_type[EXPORTS_HASH_LEN];
    int64_t   subject_id;
} exports_facets_t;


static inline uint64_t
exports_get64(const uint8_t *p)
{
    uint64_t  value;

    memcpy(&value, p, 8);

    return be64toh(value);
}


static inline void
exports_put64(uint8_t *p, uint64_t value)
{
    value = htobe64(value);
    memcpy(p, &value, 8);
}


static inline uint32_t
exports_get32(const uint8_t *p)
{
    uint32_t  value;

    memcpy(&value, p, 4);

    return be32toh(value);
}


static inline void
exports_put32(uint8_t *p, uint32_t value)
{
    value = htobe32(value);
    memcpy(p, &value, 4);
}


/* like memcmp(), but without a call: most of the keys and entries that searches
   compare differ in their first two words */

static inline int
exports_order(const uint8_t *a, const uint8_t *b, size_t len)
{
    size_t    i;
    uint64_t  x, y;

    for (i = 0; i + 8 <= len; i += 8) {
        x = exports_get64(a + i);
        y = exports_get64(b + i);

        if (x != y) {
            return x < y ? -1 : 1;
        }
    }

    return i == len ? 0 : memcmp(a + i, b + i, len - i);
}


/*
 * The checksum of all values but those of facets and ranks: XXH3-64 of the
 * value without its checksum, XOR XXH3-64 of its key.  The key is included so
 * that a value which got under another key is noticed.
 */
uint64_t exports_checksum(const void *key, size_t key_len, const void *value,
    size_t len);

/* the same for a key of manifests */
uint64_t exports_checksum_manifest(const uint8_t *key, const void *value,
    size_t len);

/* The first 8 bytes of the SHA-256 of an id.  Returns 0, -1: libcrypto. */
int exports_tie(const char *id, size_t len, uint64_t *tie);

/* The first 16 bytes of the SHA-256 of a string.  Returns 0, -1: libcrypto. */
int exports_hash(uint8_t *hash, const char *text, size_t len);

/* Builders of keys, which return their length; the caller has checked that of
   names and ids. */
size_t exports_scope_key(uint8_t *key, exports_kind_t kind, const char *name,
    size_t len);
size_t exports_id_key(uint8_t *key, exports_kind_t kind, uint64_t scope,
    const char *id, size_t len);
void exports_manifest_key(uint8_t *key, uint64_t scope, uint64_t created,
    uint64_t tie);

/* The key of the list that fixes the fields of "facet" to these values.  Only
   those fields are looked at: NULL will do for EXPORTS_FACET_ALL. */
void exports_facet_key(exports_facet_t *key, uint64_t scope, unsigned facet,
    const exports_facets_t *values);

/* The key, in ranks, of the blocks of a list, by its key in facets; level: 1 to
   EXPORTS_RANK_LEVELS.  Returns the length. */
size_t exports_rank_key(uint8_t *key, const uint8_t *list, size_t len,
    unsigned level);

/*
 * A value of ranks, EXPORTS_RANK_LEN bytes.  The block's boundary, an entry, is
 * there already; after it are stored the count, and the low half of a checksum.
 * 32 bits hold any count: each entry takes 16 bytes, and its manifest some
 * hundreds more.
 */
void exports_rank_encode(uint8_t *block, uint64_t count, const uint8_t *key,
    size_t len);

/* whether one value has its checksum */
int exports_rank_check(const uint8_t *block, const uint8_t *key, size_t len);

/* the part of a check that all blocks of a key have in common */
uint64_t exports_rank_hash(const uint8_t *key, size_t len);

/*
 * Passes adjacent values of ranks, at most *n, as long as their counts add up
 * to no more than "most".  *n: how many were passed; their counts are added to
 * *sum.  These, and the one that was too many, must have their checks, and be
 * in order, after the entry "before" unless that is NULL: otherwise 0.
 */
int exports_rank_pass(const uint8_t *blocks, size_t *n, const uint8_t *before,
    uint64_t key_hash, uint64_t most, uint64_t *sum);

/* The same for all n of them, which are in one leaf; only the first must have
   its check, for another list's leaf has another key. */
int exports_rank_add(const uint8_t *blocks, size_t n, const uint8_t *before,
    uint64_t key_hash, uint64_t *sum);

/* the number of levels on which an entry closes a block */
static inline unsigned
exports_rank_height(const uint8_t *entry)
{
    uint64_t  tie;
    unsigned  height;

    tie = exports_get64(entry + EXPORTS_ENTRY_LEN - 8);

    for (height = 0;
         height < EXPORTS_RANK_LEVELS
         && tie % (1U << EXPORTS_RANK_BITS) == 0;
         height++)
    {
        tie >>= EXPORTS_RANK_BITS;
    }

    return height;
}


/*
 * Iterates over all facets a manifest with these values is in: start with
 * EXPORTS_FACET_ALL, end when the result is greater than EXPORTS_FACET_MASK.
 */
unsigned exports_facet_next(unsigned facet, const exports_facets_t *values);

/* values of scopes and ids; decoding one returns EXPORTS_OK, EXPORTS_CORRUPT */
void exports_scope_encode(uint8_t *value, const exports_scope_t *scope,
    const uint8_t *key, size_t key_len);
exports_rc_t exports_scope_decode(exports_scope_t *scope, const uint8_t *key,
    size_t key_len, const void *value, size_t len);

void exports_id_encode(uint8_t *value, const uint8_t *manifest_key,
    const uint8_t *key, size_t key_len);
/* *manifest_key points into value */
exports_rc_t exports_id_decode(const uint8_t **manifest_key,
    const uint8_t *key, size_t key_len, const void *value, size_t len);


/* manifests */

#define EXPORTS_RECORD_EXPIRES  0x01    /* expires is set */
#define EXPORTS_RECORD_LINK     0x02    /* a link goes in at link_pos */
#define EXPORTS_RECORD_SUBJECT  0x04    /* subject_type, subject_id are set */
#define EXPORTS_RECORD_FLAGS    0x07

#define EXPORTS_RECORD_HEADER   40

/* what a page needs of a record */
typedef struct {
    uint8_t        kind;            /* exports_kind_t */
    uint8_t        status;          /* exports_status_t */
    uint8_t        flags;           /* EXPORTS_RECORD_* */
    uint8_t        export_kind;     /* exports_export_kind_t; 0: a user's */
    uint16_t       json_len;
    uint16_t       link_pos;        /* bytes of json before the link */
    const char    *json;            /* the item as it is sent */
    exports_str_t  id;
} exports_item_t;

/* a whole record */
typedef struct {
    exports_item_t  item;
    uint64_t        expires;            /* with EXPORTS_RECORD_EXPIRES */
    int64_t         subject_id;         /* with EXPORTS_RECORD_SUBJECT */
    exports_str_t   storage_backend;
    exports_str_t   storage_key;        /* stored as null when it is the id */
    exports_str_t   content_type;
    exports_str_t   name;               /* download_name, filename */
    exports_str_t   group;              /* table, type */
    exports_str_t   subject_type;       /* null without a subject */
} exports_record_t;


/*
 * Encodes a record without its checksum: that needs the key, and is stored by
 * exports_record_seal() once the scope is known.  Writes up to size bytes to
 * buf; *len is the length.  EXPORTS_INVALID: the record does not fit, or is
 * longer than EXPORTS_RECORD_MAX.
 */
exports_rc_t exports_record_encode(uint8_t *buf, size_t size, size_t *len,
    const exports_record_t *record);

void exports_record_seal(uint8_t *record, size_t len, const uint8_t *key);

/*
 * Check a value read from manifests under a key: its length, magic, checksum,
 * and that every length inside stays inside.  EXPORTS_OK or EXPORTS_CORRUPT.
 */
exports_rc_t exports_item_decode(exports_item_t *item, const uint8_t *key,
    const void *value, size_t len);
exports_rc_t exports_record_decode(exports_record_t *record,
    const uint8_t *key, const void *value, size_t len);

/* What the manifest of a record is listed by.  Returns 0, -1: libcrypto. */
int exports_record_facets(exports_facets_t *facets,
    const exports_record_t *record);


/* tokens */

#define EXPORTS_TOKEN_ADMIN       0x01
#define EXPORTS_TOKEN_TABLES      0x02  /* restricted to the tables listed */
#define EXPORTS_TOKEN_INACTIVE    0x04
#define EXPORTS_TOKEN_FLAGS       0x07

#define EXPORTS_TOKEN_HEADER      56
#define EXPORTS_TOKEN_RECORD_MAX                                             \
    (EXPORTS_TOKEN_HEADER + 2 + EXPORTS_SCOPE_NAME_MAX                       \
     + EXPORTS_TOKEN_TABLES_MAX * (2 + EXPORTS_STRING_MAX))

#define EXPORTS_TOKEN_ID_LEN      20    /* tok_ + 16 hexadecimal digits */

typedef struct {
    exports_kind_t  kind;
    unsigned        flags;          /* EXPORTS_TOKEN_* */
    uint64_t        scope;
    exports_str_t   scope_name;     /* the project's slug, the user's ID */
    uint64_t        created;
    uint64_t        expires;        /* 0: never */
    uint64_t        revoked;        /* 0: not */
    unsigned        ntables;
    exports_str_t   tables[EXPORTS_TOKEN_TABLES_MAX];
} exports_token_t;

/* key: the EXPORTS_SHA256_LEN bytes of the token's digest.  EXPORTS_INVALID:
   it has too many tables, or does not fit; EXPORTS_CORRUPT: it is damaged */
exports_rc_t exports_token_encode(uint8_t *buf, size_t size, size_t *len,
    const exports_token_t *token, const uint8_t *key);
exports_rc_t exports_token_decode(exports_token_t *token, const uint8_t *key,
    const void *value, size_t len);

/* 1: neither revoked, nor inactive, nor expired at that time */
int exports_token_valid(const exports_token_t *token, uint64_t now);

/* Writes EXPORTS_TOKEN_ID_LEN bytes: the token's name, from the first 8 bytes
   of its digest. */
void exports_token_id(char *id, const uint8_t *key);


#endif /* EXPORTS_CODEC_H */
