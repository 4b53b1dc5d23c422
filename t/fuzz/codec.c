
/*
 * Values as they lie in the store.  The first byte chooses what is decoded, the
 * second whether the value is sealed for it; then the key, then the value.
 */

#include "exports_codec.h"
#include "exports_digest.h"
#include "fuzz.h"


#define SEAL        0x01        /* mend what a mutation has no chance to hit */

#define HEAD_LEN    16          /* magic 4, length 4, checksum 8 */

#define SCOPE_CHECKED   (EXPORTS_SCOPE_VALUE_LEN - 8)


static void decode_record(const uint8_t *key, uint8_t *value, size_t len,
    int seal);
static void check_item(const exports_record_t *record, const uint8_t *key,
    const uint8_t *value, size_t len);
static void check_record(const exports_record_t *record, const uint8_t *key,
    const uint8_t *value, size_t len);
static void decode_token(const uint8_t *key, uint8_t *value, size_t len,
    int seal);
static void check_token(const exports_token_t *token, const uint8_t *key,
    const uint8_t *value, size_t len);
static void decode_scope(const uint8_t *key, uint8_t *value, size_t len,
    int seal);
static void decode_id(const uint8_t *key, uint8_t *value, size_t len,
    int seal);
static void decode_facets(const uint8_t *value, size_t len);
static void seal_head(uint8_t *value, size_t len, const char *magic,
    const uint8_t *key, size_t key_len);
static void inside(const exports_str_t *str, const uint8_t *value, size_t len);
static int same(const exports_str_t *a, const exports_str_t *b);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int            seal;
    size_t         i, len;
    uint8_t        key[EXPORTS_SHA256_LEN], *value;
    unsigned       kind;
    fuzz_input_t   in = { data, data + size };

    kind = fuzz_byte(&in);
    seal = (fuzz_byte(&in) & SEAL) != 0;

    for (i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t) fuzz_byte(&in);
    }

    len = (size_t) (in.end - in.pos);
    value = fuzz_copy(in.pos, len);

    switch (kind) {

    case 'r':
        decode_record(key, value, len, seal);
        break;

    case 't':
        decode_token(key, value, len, seal);
        break;

    case 's':
        decode_scope(key, value, len, seal);
        break;

    case 'i':
        decode_id(key, value, len, seal);
        break;

    case 'f':
        decode_facets(value, len);
        break;
    }

    free(value);

    return 0;
}


static void
decode_record(const uint8_t *key, uint8_t *value, size_t len, int seal)
{
    exports_rc_t       item_rc, rc;
    exports_item_t     item;
    exports_record_t   record;

    if (seal) {
        seal_head(value, len, "EXR1", key, EXPORTS_MANIFEST_KEY_LEN);
    }

    memset(&item, 0, sizeof(exports_item_t));
    memset(&record, 0, sizeof(exports_record_t));

    item_rc = exports_item_decode(&item, key, value, len);
    rc = exports_record_decode(&record, key, value, len);

    must(item_rc == EXPORTS_OK || item_rc == EXPORTS_CORRUPT, "%d", item_rc);
    must(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT, "%d", rc);

    if (item_rc == EXPORTS_OK) {
        must(len <= EXPORTS_RECORD_MAX, "%zu", len);
        must((const uint8_t *) item.json >= value
             && (const uint8_t *) item.json + item.json_len <= value + len,
             "json of %u in %zu", item.json_len, len);
        must(item.link_pos <= item.json_len, "%u", item.link_pos);
        inside(&item.id, value, len);
    }

    if (rc != EXPORTS_OK) {
        return;
    }

    must(item_rc == EXPORTS_OK, "a record, but no item");
    must(item.json == record.item.json && item.id.data == record.item.id.data
         && item.id.len == record.item.id.len
         && item.json_len == record.item.json_len
         && item.link_pos == record.item.link_pos
         && item.flags == record.item.flags && item.kind == record.item.kind
         && item.status == record.item.status
         && item.export_kind == record.item.export_kind,
         "item and record differ");

    check_item(&record, key, value, len);
    check_record(&record, key, value, len);
}


static void
check_item(const exports_record_t *record, const uint8_t *key,
    const uint8_t *value, size_t len)
{
    uint8_t            other[EXPORTS_MANIFEST_KEY_LEN];
    unsigned           facet, n;
    exports_item_t     item;
    exports_facet_t    list;
    exports_facets_t   facets;

    inside(&record->storage_backend, value, len);
    inside(&record->storage_key, value, len);
    inside(&record->content_type, value, len);
    inside(&record->name, value, len);
    inside(&record->group, value, len);
    inside(&record->subject_type, value, len);

    must(record->storage_key.data != NULL, "no storage key");

    must(exports_record_facets(&facets, record) == 0, "no facets");

    n = 0;

    for (facet = EXPORTS_FACET_ALL; facet <= EXPORTS_FACET_MASK;
         facet = exports_facet_next(facet, &facets))
    {
        exports_facet_key(&list, 1, facet, &facets);
        must(list.len <= sizeof(list.bytes), "a key of %zu", list.len);
        n++;
    }

    must(n == 1U << __builtin_popcount(facets.has), "%u lists", n);

    /* under another key it is another's */

    memcpy(other, key, EXPORTS_MANIFEST_KEY_LEN);
    other[value[len - 1] % EXPORTS_MANIFEST_KEY_LEN] ^= 1;

    must(exports_item_decode(&item, other, value, len) == EXPORTS_CORRUPT,
         "decoded under another key");
}


/* what was decoded encodes to what means the same, and that to itself */

static void
check_record(const exports_record_t *record, const uint8_t *key,
    const uint8_t *value, size_t len)
{
    size_t             n, again;
    uint8_t            first[EXPORTS_RECORD_MAX], second[EXPORTS_RECORD_MAX];
    exports_record_t   copy;

    must(exports_record_encode(first, sizeof(first), &n, record)
         == EXPORTS_OK, "does not encode");
    exports_record_seal(first, n, key);

    /* but for a storage key that is the id, and was spelled out */

    must((n == len && memcmp(first, value, n) == 0)
         || same(&record->storage_key, &record->item.id), "other bytes");

    must(exports_record_decode(&copy, key, first, n) == EXPORTS_OK,
         "does not decode again");
    must(same(&copy.item.id, &record->item.id)
         && same(&copy.storage_backend, &record->storage_backend)
         && same(&copy.storage_key, &record->storage_key)
         && same(&copy.content_type, &record->content_type)
         && same(&copy.name, &record->name)
         && same(&copy.group, &record->group)
         && same(&copy.subject_type, &record->subject_type)
         && copy.expires == record->expires
         && copy.subject_id == record->subject_id
         && copy.item.json_len == record->item.json_len
         && memcmp(copy.item.json, record->item.json, copy.item.json_len)
            == 0,
         "another record");

    must(exports_record_encode(second, sizeof(second), &again, &copy)
         == EXPORTS_OK, "does not encode again");
    exports_record_seal(second, again, key);
    must(again == n && memcmp(first, second, n) == 0, "no fixed point");

    /* neither where it does not fit */

    must(exports_record_encode(second, n - 1, &again, record)
         == EXPORTS_INVALID, "fits into %zu", n - 1);
}


static void
decode_token(const uint8_t *key, uint8_t *value, size_t len, int seal)
{
    exports_rc_t      rc;
    exports_token_t   token;

    if (seal) {
        seal_head(value, len, "EXT1", key, EXPORTS_SHA256_LEN);
    }

    rc = exports_token_decode(&token, key, value, len);

    must(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT, "%d", rc);

    if (rc == EXPORTS_OK) {
        check_token(&token, key, value, len);
    }
}


static void
check_token(const exports_token_t *token, const uint8_t *key,
    const uint8_t *value, size_t len)
{
    size_t           n;
    uint8_t         *again;
    uint64_t         now;
    unsigned         i;

    inside(&token->scope_name, value, len);
    must(token->ntables <= EXPORTS_TOKEN_TABLES_MAX, "%u", token->ntables);

    for (i = 0; i < token->ntables; i++) {
        inside(&token->tables[i], value, len);
    }

    again = malloc(len);
    must(again != NULL, "out of memory");
    must(exports_token_encode(again, len, &n, token, key) == EXPORTS_OK,
         "does not encode");

    /* four bytes of the header are for later: zeroes are written */

    must(n == len, "%zu bytes of %zu", n, len);
    memset(again + 8, 0, 8);
    memcpy(again + 8, value + 8, 8);
    memcpy(again + 20, value + 20, 4);
    must(memcmp(again, value, n) == 0, "other bytes");
    must(exports_token_encode(again, len - 1, &n, token, key)
         == EXPORTS_INVALID, "fits into %zu", len - 1);

    free(again);

    for (now = token->expires, i = 0; i < 2; i++) {
        must(!exports_token_valid(token, now) || token->expires == 0,
             "valid when it expires");
        now = UINT64_MAX;
    }

    if (token->flags & EXPORTS_TOKEN_INACTIVE || token->revoked != 0) {
        must(!exports_token_valid(token, 0), "valid all the same");
    }
}


static void
decode_scope(const uint8_t *key, uint8_t *value, size_t len, int seal)
{
    size_t            key_len;
    uint8_t           again[EXPORTS_SCOPE_VALUE_LEN];
    exports_rc_t      rc;
    exports_scope_t   scope;

    key_len = 2 + key[0] % 20;

    if (seal && len == EXPORTS_SCOPE_VALUE_LEN) {
        exports_put64(value + SCOPE_CHECKED,
                      exports_checksum(key, key_len, value, SCOPE_CHECKED));
    }

    rc = exports_scope_decode(&scope, key, key_len, value, len);

    must(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT, "%d", rc);
    must(rc == EXPORTS_OK || !seal || len != EXPORTS_SCOPE_VALUE_LEN,
         "refused");

    if (rc != EXPORTS_OK) {
        return;
    }

    exports_scope_encode(again, &scope, key, key_len);
    must(memcmp(again, value, len) == 0, "other bytes");

    must(exports_scope_decode(&scope, key, key_len - 1, value, len)
         == EXPORTS_CORRUPT, "decoded under another key");
}


static void
decode_id(const uint8_t *key, uint8_t *value, size_t len, int seal)
{
    size_t          key_len;
    uint8_t         again[EXPORTS_ID_VALUE_LEN];
    exports_rc_t    rc;
    const uint8_t  *found;

    key_len = 2 + key[0] % 20;

    if (seal && len == EXPORTS_ID_VALUE_LEN) {
        exports_put64(value + EXPORTS_MANIFEST_KEY_LEN,
                      exports_checksum(key, key_len, value,
                                       EXPORTS_MANIFEST_KEY_LEN));
    }

    rc = exports_id_decode(&found, key, key_len, value, len);

    must(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT, "%d", rc);

    if (rc != EXPORTS_OK) {
        return;
    }

    must(found == value, "points elsewhere");

    exports_id_encode(again, found, key, key_len);
    must(memcmp(again, value, len) == 0, "other bytes");
}


/* two sets of values: their lists have one key only where they agree */

static void
decode_facets(const uint8_t *value, size_t len)
{
    int                agree;
    unsigned           facet, i;
    fuzz_input_t       in = { value, value + len };
    exports_facet_t    keys[2];
    exports_facets_t   facets[2];

    facet = fuzz_byte(&in) & EXPORTS_FACET_MASK;

    for (i = 0; i < 2; i++) {
        memset(&facets[i], 0, sizeof(exports_facets_t));
        facets[i].status = (uint8_t) fuzz_byte(&in);
        memset(facets[i].type, (int) fuzz_byte(&in), EXPORTS_HASH_LEN);
        memset(facets[i].subject_type, (int) fuzz_byte(&in),
               EXPORTS_HASH_LEN);
        facets[i].subject_id = (int64_t) fuzz_number(&in, 8);

        exports_facet_key(&keys[i], 7, facet, &facets[i]);
    }

    agree = ((facet & EXPORTS_FACET_STATUS) == 0
             || facets[0].status == facets[1].status)
            && ((facet & EXPORTS_FACET_TYPE) == 0
                || facets[0].type[0] == facets[1].type[0])
            && ((facet & EXPORTS_FACET_SUBJECT_TYPE) == 0
                || facets[0].subject_type[0] == facets[1].subject_type[0])
            && ((facet & EXPORTS_FACET_SUBJECT_ID) == 0
                || facets[0].subject_id == facets[1].subject_id);

    must(keys[0].len == keys[1].len, "%zu, %zu", keys[0].len, keys[1].len);
    must(agree == (memcmp(keys[0].bytes, keys[1].bytes, keys[0].len) == 0),
         "agree %d", agree);
}


static void
seal_head(uint8_t *value, size_t len, const char *magic, const uint8_t *key,
    size_t key_len)
{
    if (len < HEAD_LEN) {
        return;
    }

    memcpy(value, magic, 4);
    value[4] = (uint8_t) (len >> 24);
    value[5] = (uint8_t) (len >> 16);
    value[6] = (uint8_t) (len >> 8);
    value[7] = (uint8_t) len;
    exports_put64(value + 8, exports_checksum(key, key_len, value + HEAD_LEN,
                                              len - HEAD_LEN));
}


static void
inside(const exports_str_t *str, const uint8_t *value, size_t len)
{
    const uint8_t  *p = (const uint8_t *) str->data;

    must(p == NULL || (p >= value && p + str->len <= value + len),
         "%zu bytes outside of %zu", str->len, len);
}


static int
same(const exports_str_t *a, const exports_str_t *b)
{
    return (a->data == NULL) == (b->data == NULL) && a->len == b->len
           && (a->data == NULL || memcmp(a->data, b->data, a->len) == 0);
}
