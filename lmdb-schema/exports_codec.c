
#include "exports_digest.h"
#include "exports_item.h"


#define TOKEN_MAGIC     0x45585431      /* EXT1 */

/* where the fields of a token are; the first 16 bytes are as in records */
#define TOKEN_KIND_POS      16          /* 1 */
#define TOKEN_FLAGS_POS     17          /* 1 */
#define TOKEN_TABLES_POS    18          /* 2: how many */
#define TOKEN_ZERO_POS      20          /* 4 */
#define TOKEN_SCOPE_POS     24          /* 8 */
#define TOKEN_CREATED_POS   32          /* 8 */
#define TOKEN_EXPIRES_POS   40          /* 8 */
#define TOKEN_REVOKED_POS   48          /* 8 */

_Static_assert(TOKEN_REVOKED_POS + 8 == EXPORTS_TOKEN_HEADER,
               "the header of a token");

/* in a scope's value: where its counts begin, and where its checksum is */
#define COUNTS_POS      16
#define SCOPE_CHECKED   (EXPORTS_SCOPE_VALUE_LEN - 8)

/* the stores of a version have values of these lengths: others are damage */
_Static_assert(EXPORTS_FORMAT_VERSION == 2 && EXPORTS_SCOPE_VALUE_LEN == 72
               && EXPORTS_RECORD_HEADER == 40 && EXPORTS_TOKEN_HEADER == 56
               && EXPORTS_RANK_LEN == 24 && EXPORTS_ID_VALUE_LEN == 32,
               "another length takes another version of the format");


/* bounded cursors with a sticky error: after a failure they do nothing */

typedef struct {
    const uint8_t  *pos;
    const uint8_t  *end;
    int             failed;
} input_t;

typedef struct {
    uint8_t        *pos;
    uint8_t        *end;
    int             failed;
} output_t;


/* where the strings are in exports_record_t */
static const size_t  strings[STRING_COUNT] = {
    [STRING_ID] = offsetof(exports_record_t, item.id),
    [STRING_STORAGE_BACKEND] = offsetof(exports_record_t, storage_backend),
    [STRING_STORAGE_KEY] = offsetof(exports_record_t, storage_key),
    [STRING_CONTENT_TYPE] = offsetof(exports_record_t, content_type),
    [STRING_NAME] = offsetof(exports_record_t, name),
    [STRING_GROUP] = offsetof(exports_record_t, group),
    [STRING_SUBJECT_TYPE] = offsetof(exports_record_t, subject_type)
};


static void put16(uint8_t *p, uint16_t value);
static void write_bytes(output_t *out, const void *data, size_t len);
static void write_string(output_t *out, const exports_str_t *str);
static exports_str_t read_string(input_t *in);


int
exports_tie(const char *id, size_t len, uint64_t *tie)
{
    uint8_t  digest[EXPORTS_SHA256_LEN];

    if (exports_sha256(digest, id, len) != 0) {
        return -1;
    }

    *tie = exports_get64(digest);

    return 0;
}


int
exports_hash(uint8_t *hash, const char *text, size_t len)
{
    uint8_t  digest[EXPORTS_SHA256_LEN];

    if (exports_sha256(digest, text, len) != 0) {
        return -1;
    }

    memcpy(hash, digest, EXPORTS_HASH_LEN);

    return 0;
}


size_t
exports_scope_key(uint8_t *key, exports_kind_t kind, const char *name,
    size_t len)
{
    key[0] = (uint8_t) kind;
    memcpy(key + 1, name, len);

    return 1 + len;
}


size_t
exports_id_key(uint8_t *key, exports_kind_t kind, uint64_t scope,
    const char *id, size_t len)
{
    uint8_t  *p;

    p = key;
    *p++ = (uint8_t) kind;

    /* a project's ids are its own, a uuid is one user's in all the store */

    if (kind == EXPORTS_PROJECT) {
        exports_put64(p, scope);
        p += 8;
    }

    memcpy(p, id, len);

    return (size_t) (p - key) + len;
}


void
exports_manifest_key(uint8_t *key, uint64_t scope, uint64_t created,
    uint64_t tie)
{
    exports_put64(key, scope);
    exports_put64(key + EXPORTS_ENTRY_POS, created);
    exports_put64(key + EXPORTS_TIE_POS, tie);
}


void
exports_facet_key(exports_facet_t *key, uint64_t scope, unsigned facet,
    const exports_facets_t *values)
{
    uint8_t  *p;

    p = key->bytes;

    exports_put64(p, scope);
    p += 8;

    *p++ = (uint8_t) facet;

    if (facet & EXPORTS_FACET_STATUS) {
        *p++ = values->status;
    }

    if (facet & EXPORTS_FACET_TYPE) {
        memcpy(p, values->type, EXPORTS_HASH_LEN);
        p += EXPORTS_HASH_LEN;
    }

    if (facet & EXPORTS_FACET_SUBJECT_TYPE) {
        memcpy(p, values->subject_type, EXPORTS_HASH_LEN);
        p += EXPORTS_HASH_LEN;
    }

    if (facet & EXPORTS_FACET_SUBJECT_ID) {
        exports_put64(p, (uint64_t) values->subject_id);
        p += 8;
    }

    key->len = (size_t) (p - key->bytes);
}


size_t
exports_rank_key(uint8_t *key, const uint8_t *list, size_t len, unsigned level)
{
    memcpy(key, list, len);
    key[len] = (uint8_t) level;

    return len + 1;
}


unsigned
exports_facet_next(unsigned facet, const exports_facets_t *values)
{
    do {
        facet++;
    } while (facet <= EXPORTS_FACET_MASK && (facet & ~values->has) != 0);

    return facet;
}


void
exports_scope_encode(uint8_t *value, const exports_scope_t *scope,
    const uint8_t *key, size_t key_len)
{
    unsigned  i;

    exports_put64(value, scope->id);
    exports_put64(value + 8, scope->revision);

    for (i = 0; i < EXPORTS_STATUSES; i++) {
        exports_put64(value + COUNTS_POS + 8 * i, scope->counts[i]);
    }

    exports_put64(value + SCOPE_CHECKED,
                  exports_checksum(key, key_len, value, SCOPE_CHECKED));
}


exports_rc_t
exports_scope_decode(exports_scope_t *scope, const uint8_t *key,
    size_t key_len, const void *value, size_t len)
{
    unsigned        i;
    const uint8_t  *p = value;

    if (len != EXPORTS_SCOPE_VALUE_LEN
        || exports_get64(p + SCOPE_CHECKED)
           != exports_checksum(key, key_len, p, SCOPE_CHECKED))
    {
        return EXPORTS_CORRUPT;
    }

    scope->id = exports_get64(p);
    scope->revision = exports_get64(p + 8);

    for (i = 0; i < EXPORTS_STATUSES; i++) {
        scope->counts[i] = exports_get64(p + COUNTS_POS + 8 * i);
    }

    return EXPORTS_OK;
}


void
exports_id_encode(uint8_t *value, const uint8_t *manifest_key,
    const uint8_t *key, size_t key_len)
{
    memcpy(value, manifest_key, EXPORTS_MANIFEST_KEY_LEN);
    exports_put64(value + EXPORTS_MANIFEST_KEY_LEN,
                  exports_checksum(key, key_len, value,
                                   EXPORTS_MANIFEST_KEY_LEN));
}


exports_rc_t
exports_id_decode(const uint8_t **manifest_key, const uint8_t *key,
    size_t key_len, const void *value, size_t len)
{
    const uint8_t  *p = value;

    if (len != EXPORTS_ID_VALUE_LEN
        || exports_get64(p + EXPORTS_MANIFEST_KEY_LEN)
           != exports_checksum(key, key_len, p, EXPORTS_MANIFEST_KEY_LEN))
    {
        return EXPORTS_CORRUPT;
    }

    *manifest_key = p;

    return EXPORTS_OK;
}


exports_rc_t
exports_record_encode(uint8_t *buf, size_t size, size_t *len,
    const exports_record_t *record)
{
    size_t                 n;
    output_t               out;
    unsigned               i;
    exports_str_t          str;
    const exports_item_t  *item;

    if (size < EXPORTS_RECORD_HEADER) {
        return EXPORTS_INVALID;
    }

    item = &record->item;

    if (size > EXPORTS_RECORD_MAX) {
        size = EXPORTS_RECORD_MAX;
    }

    out.pos = buf + EXPORTS_RECORD_HEADER;
    out.end = buf + size;
    out.failed = 0;

    write_bytes(&out, item->json, item->json_len);

    for (i = 0; i < STRING_COUNT; i++) {
        memcpy(&str, (const char *) record + strings[i], sizeof(str));

        if (i == STRING_STORAGE_KEY && str.len == item->id.len
            && memcmp(str.data, item->id.data, item->id.len) == 0)
        {
            str.data = NULL;
        }

        write_string(&out, &str);
    }

    if (out.failed) {
        return EXPORTS_INVALID;
    }

    n = (size_t) (out.pos - buf);

    exports_put64(buf, HEAD_OF(RECORD_MAGIC, n));
    exports_put64(buf + CHECKSUM_POS, 0);
    buf[KIND_POS] = item->kind;
    buf[STATUS_POS] = item->status;
    buf[FLAGS_POS] = item->flags;
    buf[EXPORT_KIND_POS] = item->export_kind;
    put16(buf + JSON_LEN_POS, item->json_len);
    put16(buf + LINK_POS, item->link_pos);
    exports_put64(buf + EXPIRES_POS, record->expires);
    exports_put64(buf + SUBJECT_ID_POS, (uint64_t) record->subject_id);

    *len = n;

    return EXPORTS_OK;
}


void
exports_record_seal(uint8_t *record, size_t len, const uint8_t *key)
{
    exports_put64(record + CHECKSUM_POS,
                  exports_checksum(key, EXPORTS_MANIFEST_KEY_LEN,
                                   record + CHECKED_POS, len - CHECKED_POS));
}


exports_rc_t
exports_item_decode(exports_item_t *item, const uint8_t *key,
    const void *value, size_t len)
{
    return exports_item_read(item, key, value, len);
}


exports_rc_t
exports_record_decode(exports_record_t *record, const uint8_t *key,
    const void *value, size_t len)
{
    input_t         in;
    unsigned        i;
    exports_rc_t    rc;
    exports_str_t   str;
    const uint8_t  *p = value;

    rc = exports_item_header(&record->item, key, p, len);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    record->expires = exports_get64(p + EXPIRES_POS);
    record->subject_id = (int64_t) exports_get64(p + SUBJECT_ID_POS);

    in.pos = p + EXPORTS_RECORD_HEADER + record->item.json_len;
    in.end = p + len;
    in.failed = 0;

    for (i = 0; i < STRING_COUNT; i++) {
        str = read_string(&in);
        memcpy((char *) record + strings[i], &str, sizeof(str));
    }

    if (in.failed || in.pos != in.end
        || record->item.id.data == NULL
        || record->item.id.len > EXPORTS_ID_MAX
        || record->storage_backend.data == NULL
        || record->content_type.data == NULL
        || (record->item.kind == EXPORTS_USER && record->group.data == NULL)
        || (record->item.kind == EXPORTS_PROJECT && record->name.data == NULL)
        || (record->item.export_kind == EXPORTS_TABLE_EXPORT
            && record->group.data == NULL)
        || ((record->item.flags & EXPORTS_RECORD_SUBJECT) != 0)
           != (record->subject_type.data != NULL))
    {
        return EXPORTS_CORRUPT;
    }

    if (record->storage_key.data == NULL) {
        record->storage_key = record->item.id;
    }

    return EXPORTS_OK;
}


int
exports_record_facets(exports_facets_t *facets, const exports_record_t *record)
{
    facets->has = EXPORTS_FACET_STATUS;
    facets->status = record->item.status;

    if (record->item.kind != EXPORTS_USER) {
        return 0;
    }

    facets->has |= EXPORTS_FACET_TYPE;

    if (exports_hash(facets->type, record->group.data, record->group.len)
        != 0)
    {
        return -1;
    }

    if ((record->item.flags & EXPORTS_RECORD_SUBJECT) == 0) {
        return 0;
    }

    facets->has |= EXPORTS_FACET_SUBJECT_TYPE|EXPORTS_FACET_SUBJECT_ID;
    facets->subject_id = record->subject_id;

    return exports_hash(facets->subject_type, record->subject_type.data,
                        record->subject_type.len);
}


exports_rc_t
exports_token_encode(uint8_t *buf, size_t size, size_t *len,
    const exports_token_t *token, const uint8_t *key)
{
    size_t    n;
    unsigned  i;
    output_t  out;

    if (size < EXPORTS_TOKEN_HEADER
        || token->ntables > EXPORTS_TOKEN_TABLES_MAX)
    {
        return EXPORTS_INVALID;
    }

    out.pos = buf + EXPORTS_TOKEN_HEADER;
    out.end = buf + size;
    out.failed = 0;

    write_string(&out, &token->scope_name);

    for (i = 0; i < token->ntables; i++) {
        write_string(&out, &token->tables[i]);
    }

    if (out.failed) {
        return EXPORTS_INVALID;
    }

    n = (size_t) (out.pos - buf);

    exports_put64(buf, HEAD_OF(TOKEN_MAGIC, n));
    buf[TOKEN_KIND_POS] = (uint8_t) token->kind;
    buf[TOKEN_FLAGS_POS] = (uint8_t) token->flags;
    put16(buf + TOKEN_TABLES_POS, (uint16_t) token->ntables);
    exports_put32(buf + TOKEN_ZERO_POS, 0);
    exports_put64(buf + TOKEN_SCOPE_POS, token->scope);
    exports_put64(buf + TOKEN_CREATED_POS, token->created);
    exports_put64(buf + TOKEN_EXPIRES_POS, token->expires);
    exports_put64(buf + TOKEN_REVOKED_POS, token->revoked);

    exports_put64(buf + CHECKSUM_POS,
                  exports_checksum(key, EXPORTS_SHA256_LEN,
                                   buf + CHECKED_POS, n - CHECKED_POS));
    *len = n;

    return EXPORTS_OK;
}


exports_rc_t
exports_token_decode(exports_token_t *token, const uint8_t *key,
    const void *value, size_t len)
{
    unsigned        i;
    input_t         in;
    const uint8_t  *p = value;

    if (len < EXPORTS_TOKEN_HEADER || len > EXPORTS_TOKEN_RECORD_MAX
        || exports_get64(p) != HEAD_OF(TOKEN_MAGIC, len)
        || exports_get64(p + CHECKSUM_POS)
           != exports_checksum(key, EXPORTS_SHA256_LEN, p + CHECKED_POS,
                               len - CHECKED_POS)
        || (p[TOKEN_KIND_POS] != EXPORTS_PROJECT
            && p[TOKEN_KIND_POS] != EXPORTS_USER)
        || (p[TOKEN_FLAGS_POS] & ~EXPORTS_TOKEN_FLAGS) != 0)
    {
        return EXPORTS_CORRUPT;
    }

    token->kind = p[TOKEN_KIND_POS];
    token->flags = p[TOKEN_FLAGS_POS];
    token->ntables = exports_get16(p + TOKEN_TABLES_POS);
    token->scope = exports_get64(p + TOKEN_SCOPE_POS);
    token->created = exports_get64(p + TOKEN_CREATED_POS);
    token->expires = exports_get64(p + TOKEN_EXPIRES_POS);
    token->revoked = exports_get64(p + TOKEN_REVOKED_POS);

    if (token->ntables > EXPORTS_TOKEN_TABLES_MAX) {
        return EXPORTS_CORRUPT;
    }

    in.pos = p + EXPORTS_TOKEN_HEADER;
    in.end = p + len;
    in.failed = 0;

    token->scope_name = read_string(&in);

    if (token->scope_name.data == NULL
        || token->scope_name.len > EXPORTS_SCOPE_NAME_MAX)
    {
        return EXPORTS_CORRUPT;
    }

    for (i = 0; i < token->ntables; i++) {
        token->tables[i] = read_string(&in);

        if (token->tables[i].data == NULL) {
            return EXPORTS_CORRUPT;
        }
    }

    return (in.failed || in.pos != in.end) ? EXPORTS_CORRUPT : EXPORTS_OK;
}


int
exports_token_valid(const exports_token_t *token, uint64_t now)
{
    return (token->flags & EXPORTS_TOKEN_INACTIVE) == 0
           && token->revoked == 0
           && (token->expires == 0 || token->expires > now);
}


void
exports_token_id(char *id, const uint8_t *key)
{
    memcpy(id, "tok_", 4);
    exports_hex(id + 4, key, 8);
}


static void
put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t) (value >> 8);
    p[1] = (uint8_t) value;
}


static void
write_bytes(output_t *out, const void *data, size_t len)
{
    if (out->failed || (size_t) (out->end - out->pos) < len) {
        out->failed = 1;
        return;
    }

    memcpy(out->pos, data, len);
    out->pos += len;
}


static void
write_string(output_t *out, const exports_str_t *str)
{
    uint8_t  len[2];

    if (str->data == NULL) {
        put16(len, STRING_NULL);
        write_bytes(out, len, 2);
        return;
    }

    if (str->len >= STRING_NULL) {
        out->failed = 1;
        return;
    }

    put16(len, (uint16_t) str->len);
    write_bytes(out, len, 2);
    write_bytes(out, str->data, str->len);
}


static exports_str_t
read_string(input_t *in)
{
    size_t         len;
    exports_str_t  str = { NULL, 0 };

    if (in->failed || in->end - in->pos < 2) {
        in->failed = 1;
        return str;
    }

    len = exports_get16(in->pos);
    in->pos += 2;

    if (len == STRING_NULL) {
        return str;
    }

    if ((size_t) (in->end - in->pos) < len) {
        in->failed = 1;
        return str;
    }

    str.data = (const char *) in->pos;
    str.len = len;
    in->pos += len;

    return str;
}
