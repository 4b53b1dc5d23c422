
/*
 * exports_codec.c: keys and records as bytes.
 */

#include "fixture.h"


typedef exports_rc_t (*decode_pt)(const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);


/* numbers that differ a little, and in any byte */

static uint64_t
some_number(void)
{
    switch (below(5)) {

    case 0:
        return below(3);

    case 1:
        return UINT64_MAX - below(3);

    case 2:
        return 1ULL << below(64);

    case 3:
        return (uint64_t) below(256) << 8 * below(8);

    default:
        return rnd();
    }
}


static int
sign(int n)
{
    return (n > 0) - (n < 0);
}


static int
compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}


static void
numbers(void)
{
    uint8_t   p[9];
    uint64_t  value;
    unsigned  i;

    exports_put64(p, 0x0102030405060708ULL);
    is_mem(p, 8, "\1\2\3\4\5\6\7\10", 8, "integers are big-endian");

    for (i = 0; i < 1000; i++) {
        value = some_number();
        p[0] = 0xaa;
        exports_put64(p + 1, value);
        check(p[0] == 0xaa && exports_get64(p + 1) == value, "%" PRIu64,
              value);
    }

    checked("integers at any address");
}


/* keys are in the order of what they are made of */

static void
orders(void)
{
    int        want;
    uint8_t    a[EXPORTS_MANIFEST_KEY_LEN], b[EXPORTS_MANIFEST_KEY_LEN];
    uint64_t   x[3], y[3];
    unsigned   i, k;

    for (i = 0; i < rounds(100000, 50000); i++) {
        want = 0;

        for (k = 0; k < 3; k++) {
            x[k] = some_number();
            y[k] = chance(50) ? x[k] : some_number();

            if (want == 0) {
                want = compare(x[k], y[k]);
            }
        }

        exports_manifest_key(a, x[0], x[1], x[2]);
        exports_manifest_key(b, y[0], y[1], y[2]);

        check(sign(memcmp(a, b, sizeof(a))) == want,
              "%" PRIx64 " %" PRIx64 " %" PRIx64 " and %" PRIx64 " %" PRIx64
              " %" PRIx64, x[0], x[1], x[2], y[0], y[1], y[2]);
    }

    checked("keys of manifests: by scope, then time, then tie");
}


/* exports_order() is memcmp() of any bytes, at any address */

static void
orders_of_bytes(void)
{
    size_t     len, pos;
    uint8_t    bytes[2][64];
    uint8_t   *a, *b;
    unsigned   i;

    for (i = 0; i < rounds(100000, 50000); i++) {
        len = below(48);
        a = bytes[0] + below(8);
        b = bytes[1] + below(8);

        random_bytes(a, len);
        memcpy(b, a, len);

        if (len > 0 && chance(90)) {
            pos = below((unsigned) len);
            random_bytes(b + pos, chance(50) ? 1 : len - pos);
        }

        check(sign(exports_order(a, b, len)) == sign(memcmp(a, b, len)),
              "%zu bytes, round %u", len, i);
    }

    checked("the order of bytes is memcmp()'s");
}


static void
small_keys(void)
{
    size_t    len;
    uint8_t   key[EXPORTS_ID_KEY_MAX];
    char      longest[EXPORTS_ID_MAX];

    len = exports_scope_key(key, EXPORTS_PROJECT, "example_project", 15);
    is_mem(key, len, "pexample_project", 16, "a key of a project");
    len = exports_scope_key(key, EXPORTS_USER, "42", 2);
    is_mem(key, len, "u42", 3, "a key of a user");

    len = exports_id_key(key, EXPORTS_PROJECT, 258, "exp_1", 5);
    is_mem(key, len, "p\0\0\0\0\0\0\1\2exp_1", 14, "a key of an export ID");
    len = exports_id_key(key, EXPORTS_USER, 258, "aaaa", 4);
    is_mem(key, len, "uaaaa", 5, "a key of a uuid: without its scope");

    memset(longest, 'l', sizeof(longest));
    is_int(exports_id_key(key, EXPORTS_PROJECT, UINT64_MAX, longest,
                          sizeof(longest)), EXPORTS_ID_KEY_MAX,
           "the longest of them");
    is_int(exports_scope_key(key, EXPORTS_PROJECT, longest,
                             EXPORTS_SCOPE_NAME_MAX), EXPORTS_SCOPE_KEY_MAX,
           "the longest of a scope");
}


/* keys of lists: equal when, and only when, what they fix is equal */

static void
some_facets(exports_facets_t *values)
{
    memset(values, 0, sizeof(exports_facets_t));
    values->status = (uint8_t) (1 + below(6));
    memset(values->type, (int) below(3), EXPORTS_HASH_LEN);
    memset(values->subject_type, (int) below(3), EXPORTS_HASH_LEN);
    values->subject_id = (int64_t) below(3) - 1;
}


static void
facet_keys(void)
{
    unsigned           i, has, facet, seen, n;
    uint64_t           scope, other;
    exports_facet_t    a, b;
    exports_facets_t   x, y;

    for (i = 0; i < rounds(50000, 20000); i++) {
        unsigned  f, g;
        int       equal;

        some_facets(&x);
        some_facets(&y);
        scope = below(2);
        other = below(2);
        f = below(EXPORTS_FACET_MASK + 1);
        g = chance(70) ? f : below(EXPORTS_FACET_MASK + 1);

        exports_facet_key(&a, scope, f, &x);
        exports_facet_key(&b, other, g, &y);

        equal = scope == other && f == g
                && (!(f & EXPORTS_FACET_STATUS) || x.status == y.status)
                && (!(f & EXPORTS_FACET_TYPE) || x.type[0] == y.type[0])
                && (!(f & EXPORTS_FACET_SUBJECT_TYPE)
                    || x.subject_type[0] == y.subject_type[0])
                && (!(f & EXPORTS_FACET_SUBJECT_ID)
                    || x.subject_id == y.subject_id);

        check(a.len <= EXPORTS_FACET_KEY_MAX && exports_get64(a.bytes) == scope
              && a.bytes[8] == f, "a key of %zu bytes", a.len);

        check((a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0)
              == equal, "facets %x and %x", f, g);
    }

    checked("keys of lists");

    some_facets(&x);
    exports_facet_key(&a, 1, EXPORTS_FACET_MASK, &x);
    is_int(a.len, EXPORTS_FACET_KEY_MAX, "the longest of them");
    exports_facet_key(&a, 1, EXPORTS_FACET_ALL, &x);
    is_int(a.len, 9, "the shortest");

    for (has = 0; has <= EXPORTS_FACET_MASK; has++) {
        x.has = has;
        seen = 0;
        n = 0;

        for (facet = EXPORTS_FACET_ALL;
             facet <= EXPORTS_FACET_MASK;
             facet = exports_facet_next(facet, &x))
        {
            check((facet & ~has) == 0, "has %x: facet %x", has, facet);
            seen |= 1U << facet;
            n++;
        }

        check(n == 1U << __builtin_popcount(has)
              && (unsigned) __builtin_popcount(seen) == n,
              "has %x: %u facets", has, n);
    }

    checked("a manifest is in each list its fields allow");
}


/* one changed bit, one byte less or more, another key: all refused */

static void
tamper(const char *what, decode_pt decode, uint8_t *key, size_t key_len,
    uint8_t *value, size_t len)
{
    size_t    i;
    uint8_t   old, *exact;
    unsigned  n;

    check(decode(key, key_len, value, len) == EXPORTS_OK, "%s", what);

    for (i = 0; i < len; i++) {
        old = value[i];

        for (n = 0; n < 3; n++) {
            value[i] = n == 0 ? (uint8_t) (old ^ (1 << below(8)))
                       : n == 1 ? (uint8_t) ~old : (uint8_t) (old + 1);
            check(decode(key, key_len, value, len) == EXPORTS_CORRUPT,
                  "%s, byte %zu: %02x for %02x", what, i, value[i], old);
        }

        value[i] = old;
    }

    /* of its exact size, for a sanitizer to see what is read behind it */

    for (i = 0; i < len; i += len < 2000 ? 1 : 1 + below(60)) {
        exact = malloc(i + 1);
        must(exact != NULL, "memory");
        memcpy(exact, value, i);
        check(decode(key, key_len, exact, i) == EXPORTS_CORRUPT,
              "%s of %zu bytes", what, i);
        free(exact);
    }

    exact = malloc(len + 8);
    must(exact != NULL, "memory");
    memcpy(exact, value, len);
    memset(exact + len, 0, 8);
    check(decode(key, key_len, exact, len + 1) == EXPORTS_CORRUPT,
          "%s, a byte longer", what);
    check(decode(key, key_len, exact, len + 8) == EXPORTS_CORRUPT,
          "%s, 8 bytes longer", what);
    free(exact);

    for (i = 0; i < key_len; i++) {
        key[i] ^= 1;
        check(decode(key, key_len, value, len) == EXPORTS_CORRUPT,
              "%s, byte %zu of its key", what, i);
        key[i] ^= 1;
    }

    check(decode(key, key_len, value, len) == EXPORTS_OK, "%s, again", what);
}


/* scopes and ids */

static exports_rc_t
decode_scope(const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    exports_scope_t  scope;

    return exports_scope_decode(&scope, key, key_len, value, len);
}


static exports_rc_t
decode_id(const uint8_t *key, size_t key_len, const uint8_t *value, size_t len)
{
    const uint8_t  *found;

    return exports_id_decode(&found, key, key_len, value, len);
}


static void
small_values(void)
{
    size_t            len;
    uint8_t           key[EXPORTS_ID_KEY_MAX], value[EXPORTS_SCOPE_VALUE_LEN];
    uint8_t           manifest[EXPORTS_MANIFEST_KEY_LEN];
    unsigned          i, n;
    const uint8_t    *found;
    exports_scope_t   scope, again;

    for (i = 0; i < 50; i++) {
        scope.id = some_number();
        scope.revision = some_number();

        for (n = 0; n < EXPORTS_STATUSES; n++) {
            scope.counts[n] = some_number();
        }

        len = exports_scope_key(key, EXPORTS_PROJECT, "example_project",
                                1 + below(15));
        exports_scope_encode(value, &scope, key, len);

        check(exports_scope_decode(&again, key, len, value,
                                   EXPORTS_SCOPE_VALUE_LEN) == EXPORTS_OK
              && memcmp(&again, &scope, sizeof(scope)) == 0,
              "scope %" PRIu64, scope.id);

        tamper("a scope", decode_scope, key, len, value,
               EXPORTS_SCOPE_VALUE_LEN);

        random_bytes(manifest, sizeof(manifest));
        len = exports_id_key(key, chance(50) ? EXPORTS_PROJECT : EXPORTS_USER,
                             some_number(), "exp_12345678", 5 + below(8));
        exports_id_encode(value, manifest, key, len);

        check(exports_id_decode(&found, key, len, value, EXPORTS_ID_VALUE_LEN)
              == EXPORTS_OK && found == value
              && memcmp(found, manifest, sizeof(manifest)) == 0, "an id");

        tamper("an id", decode_id, key, len, value, EXPORTS_ID_VALUE_LEN);
    }

    checked("scopes and ids");
}


/* records */

static exports_rc_t
decode_record(const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    exports_rc_t       rc;
    exports_item_t     item;
    exports_record_t   record;

    (void) key_len;

    rc = exports_record_decode(&record, key, value, len);

    /* the two agree about all that a checksum can tell */

    if (exports_item_decode(&item, key, value, len) != rc) {
        return EXPORTS_FAILED;
    }

    return rc;
}


static exports_str_t
some_string(const char *bytes, size_t max, int or_null)
{
    exports_str_t  str = { NULL, 0 };

    if (or_null && chance(30)) {
        return str;
    }

    str.data = bytes + below(100);
    str.len = chance(10) ? max : below((unsigned) max + 1);

    return str;
}


static void
some_record(exports_record_t *record, const char *bytes)
{
    memset(record, 0, sizeof(exports_record_t));

    record->item.kind = chance(50) ? EXPORTS_PROJECT : EXPORTS_USER;
    record->item.status = (uint8_t) (1 + below(6));
    record->item.json = bytes + below(100);
    record->item.json_len = (uint16_t) below(3000);
    record->item.link_pos = (uint16_t) below(record->item.json_len + 1U);
    record->item.id = some_string(bytes, EXPORTS_ID_MAX, 0);
    record->storage_backend = some_string(bytes, EXPORTS_STRING_MAX, 0);
    record->storage_key = chance(50)
                          ? record->item.id
                          : some_string(bytes, EXPORTS_STRING_MAX, 0);
    record->content_type = some_string(bytes, EXPORTS_STRING_MAX, 0);
    record->name = some_string(bytes, EXPORTS_STRING_MAX,
                               record->item.kind == EXPORTS_USER);

    if (chance(50)) {
        record->item.flags |= EXPORTS_RECORD_LINK;
    }

    if (record->item.kind == EXPORTS_PROJECT) {
        record->item.export_kind = (uint8_t) (1 + below(3));
        record->group = some_string(bytes, EXPORTS_STRING_MAX,
                                    record->item.export_kind
                                    != EXPORTS_TABLE_EXPORT);

        if (chance(50)) {
            record->item.flags |= EXPORTS_RECORD_EXPIRES;
            record->expires = some_number();
        }

        return;
    }

    record->group = some_string(bytes, EXPORTS_STRING_MAX, 0);

    if (chance(60)) {
        record->item.flags |= EXPORTS_RECORD_SUBJECT;
        record->subject_id = (int64_t) some_number();
        record->subject_type = some_string(bytes, EXPORTS_STRING_MAX, 0);
    }
}


static int
same_string(exports_str_t a, exports_str_t b)
{
    if (a.data == NULL || b.data == NULL) {
        return a.data == b.data && a.len == b.len;
    }

    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}


static int
same_item(const exports_item_t *a, const exports_item_t *b)
{
    return a->kind == b->kind && a->status == b->status
           && a->flags == b->flags && a->export_kind == b->export_kind
           && a->json_len == b->json_len && a->link_pos == b->link_pos
           && memcmp(a->json, b->json, a->json_len) == 0
           && same_string(a->id, b->id);
}


static int
same_record(const exports_record_t *a, const exports_record_t *b)
{
    return same_item(&a->item, &b->item) && a->expires == b->expires
           && a->subject_id == b->subject_id
           && same_string(a->storage_backend, b->storage_backend)
           && same_string(a->storage_key, b->storage_key)
           && same_string(a->content_type, b->content_type)
           && same_string(a->name, b->name) && same_string(a->group, b->group)
           && same_string(a->subject_type, b->subject_type);
}


static void
records(void)
{
    char              *bytes;
    size_t             len;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    uint8_t            buf[EXPORTS_RECORD_MAX + 10];
    unsigned           i;
    exports_rc_t       rc;
    exports_item_t     item;
    exports_record_t   record, again;

    bytes = malloc(8192);
    must(bytes != NULL, "memory");
    random_bytes(bytes, 8192);

    for (i = 0; i < rounds(5000, 2000); i++) {
        some_record(&record, bytes);
        random_bytes(key, sizeof(key));

        rc = exports_record_encode(buf, EXPORTS_RECORD_MAX, &len, &record);
        check(rc == EXPORTS_OK && len <= EXPORTS_RECORD_MAX, "encoding: %s",
              rc_name(rc));

        if (rc != EXPORTS_OK) {
            continue;
        }

        exports_record_seal(buf, len, key);

        rc = exports_record_decode(&again, key, buf, len);
        check(rc == EXPORTS_OK && same_record(&record, &again),
              "a record: %s", rc_name(rc));

        rc = exports_item_decode(&item, key, buf, len);
        check(rc == EXPORTS_OK && same_item(&record.item, &item),
              "its item: %s", rc_name(rc));

        if (i % 500 == 0) {
            tamper("a record", decode_record, key, sizeof(key), buf, len);
        }
    }

    checked("records");
    free(bytes);
}


/* what the checksum says is right, but no library of ours wrote */

static void
forge(const char *what, const uint8_t *from, size_t len, size_t at,
    unsigned value, exports_rc_t want)
{
    uint8_t           key[EXPORTS_MANIFEST_KEY_LEN], buf[4096];
    exports_rc_t      rc;
    exports_record_t  record;

    memset(key, 7, sizeof(key));
    memcpy(buf, from, len);
    buf[at] = (uint8_t) value;
    exports_record_seal(buf, len, key);

    rc = exports_record_decode(&record, key, buf, len);
    is_int(rc, want, "%s", what);
}


static void
forgeries(void)
{
    size_t             len, id_at, at;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN], buf[4096], *exact;
    unsigned           i, n, accepted;
    exports_str_t      text = { "some-text", 9 };
    exports_rc_t       rc, other;
    exports_item_t     item;
    exports_record_t   record;

    memset(key, 7, sizeof(key));
    memset(&record, 0, sizeof(record));
    record.item.kind = EXPORTS_USER;
    record.item.status = EXPORTS_STATUS_READY;
    record.item.flags = EXPORTS_RECORD_SUBJECT;
    record.item.json = "{}";
    record.item.json_len = 2;
    record.item.id = text;
    record.storage_backend = text;
    record.storage_key = (exports_str_t) { "key", 3 };
    record.content_type = text;
    record.name = text;
    record.group = text;
    record.subject_type = text;

    rc = exports_record_encode(buf, sizeof(buf), &len, &record);
    must(rc == EXPORTS_OK, "encoding");
    is_int(len, 40 + 2 + 6 * 11 + 5, "its length");
    is_mem(buf, 4, "EXR1", 4, "its magic");

    id_at = EXPORTS_RECORD_HEADER + 2;

    forge("as it was", buf, len, 16, 'u', EXPORTS_OK);
    forge("a kind that is none", buf, len, 16, 'x', EXPORTS_CORRUPT);
    forge("a status of 0", buf, len, 17, 0, EXPORTS_CORRUPT);
    forge("a status of 7", buf, len, 17, 7, EXPORTS_CORRUPT);
    forge("a status of 255", buf, len, 17, 255, EXPORTS_CORRUPT);
    forge("a flag that is none", buf, len, 18, 0x0c, EXPORTS_CORRUPT);
    forge("a subject without the flag", buf, len, 18, 0, EXPORTS_CORRUPT);
    forge("JSON longer than the record", buf, len, 20, 1, EXPORTS_CORRUPT);
    forge("JSON into the strings", buf, len, 21, 3, EXPORTS_CORRUPT);
    forge("a link behind the JSON", buf, len, 23, 3, EXPORTS_CORRUPT);
    forge("a link at its end", buf, len, 23, 2, EXPORTS_OK);
    forge("a long id", buf, len, id_at, 1, EXPORTS_CORRUPT);
    forge("a shorter id", buf, len, id_at + 1, 8, EXPORTS_CORRUPT);
    forge("a project's with a subject", buf, len, 16, 'p', EXPORTS_OK);

    buf[7]++;
    forge("a byte behind the strings", buf, len + 1, len, 0, EXPORTS_CORRUPT);
    buf[7]--;

    /* null where there must be something */

    for (i = 0; i < 7; i++) {
        exports_record_t   less;
        exports_str_t     *strings[] = {
            &less.item.id, &less.storage_backend, &less.content_type,
            &less.group, &less.subject_type, &less.name, &less.storage_key
        };

        less = record;
        strings[i]->data = NULL;
        strings[i]->len = 0;

        if (i == 0) {

            /* the storage key is compared with it */

            less.item.id.data = NULL;
        }

        rc = exports_record_encode(buf, sizeof(buf), &len, &less);
        must(rc == EXPORTS_OK, "encoding");
        exports_record_seal(buf, len, key);
        rc = exports_record_decode(&less, key, buf, len);
        is_int(rc, i < 5 ? EXPORTS_CORRUPT : EXPORTS_OK,
               "a user's, string %u is null", i);
    }

    record.item.kind = EXPORTS_PROJECT;
    record.item.flags = 0;
    record.subject_type.data = NULL;

    for (i = 0; i < 3; i++) {
        exports_record_t          less;
        static const char *const  what[] = {
            "its name", "its table", "the table of a table export"
        };

        less = record;

        if (i == 0) {
            less.name.data = NULL;
        } else {
            less.group.data = NULL;
            less.item.export_kind = i == 1 ? EXPORTS_SCHEMA_EXPORT
                                           : EXPORTS_TABLE_EXPORT;
        }

        rc = exports_record_encode(buf, sizeof(buf), &len, &less);
        must(rc == EXPORTS_OK, "encoding");
        exports_record_seal(buf, len, key);
        rc = exports_record_decode(&less, key, buf, len);
        is_int(rc, i == 1 ? EXPORTS_OK : EXPORTS_CORRUPT,
               "a project's, %s is null", what[i]);
    }

    /* an id as long as can be, and longer */

    {
        char  id[EXPORTS_ID_MAX + 1];

        memset(id, 'i', sizeof(id));

        for (n = EXPORTS_ID_MAX; n <= EXPORTS_ID_MAX + 1; n++) {
            record.item.id.data = id;
            record.item.id.len = n;
            rc = exports_record_encode(buf, sizeof(buf), &len, &record);
            must(rc == EXPORTS_OK, "encoding");
            exports_record_seal(buf, len, key);
            is_int(decode_record(key, sizeof(key), buf, len),
                   n > EXPORTS_ID_MAX ? EXPORTS_CORRUPT : EXPORTS_OK,
                   "an id of %u bytes", n);
        }
    }

    /* any bytes at all behind a right magic, length and checksum */

    accepted = 0;
    record.item.id = text;
    rc = exports_record_encode(buf, sizeof(buf), &len, &record);
    must(rc == EXPORTS_OK, "encoding");

    for (i = 0; i < rounds(200000, 100000); i++) {
        size_t  n_len;

        n_len = chance(70) ? len : EXPORTS_RECORD_HEADER + below(200);
        exact = malloc(n_len);
        must(exact != NULL, "memory");

        random_bytes(exact, n_len);
        memcpy(exact, buf, n_len < len ? n_len : len);

        for (n = below(6); n > 0; n--) {
            at = 16 + below((unsigned) n_len - 16);
            exact[at] = chance(60) ? (uint8_t) below(12) : (uint8_t) rnd();
        }

        memcpy(exact, "EXR1", 4);
        exact[4] = exact[5] = 0;
        exact[6] = (uint8_t) (n_len >> 8);
        exact[7] = (uint8_t) n_len;
        exports_record_seal(exact, n_len, key);

        rc = exports_record_decode(&record, key, exact, n_len);
        other = exports_item_decode(&item, key, exact, n_len);

        check(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT, "%s", rc_name(rc));
        check(rc != EXPORTS_OK || other == EXPORTS_OK,
              "a record is accepted, its item not");

        check(other != EXPORTS_OK
              || (item.id.len <= EXPORTS_ID_MAX
                  && (uint8_t *) item.id.data >= exact
                  && (uint8_t *) item.id.data + item.id.len <= exact + n_len
                  && (uint8_t *) item.json + item.json_len <= exact + n_len),
              "an item reaches out of its record");

        if (rc == EXPORTS_OK) {
            uint8_t  sum;

            /* every byte of it is inside */

            for (sum = 0, at = 0; at < record.item.json_len; at++) {
                sum ^= (uint8_t) record.item.json[at];
            }

            for (at = 0; at < record.group.len; at++) {
                sum ^= (uint8_t) record.group.data[at];
            }

            accepted += 1 + (sum & 0);
        }

        free(exact);
    }

    checked("forged records crash nothing");
    note("%u of them were accepted", accepted);
}


/* lengths at the limit */

static void
limits(void)
{
    char              *bytes;
    size_t             len, n;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    uint8_t           *buf;
    exports_str_t      text = { "x", 1 };
    exports_rc_t       rc;
    exports_record_t   record;

    memset(key, 1, sizeof(key));
    bytes = calloc(1, 70000);
    buf = malloc(70000);
    must(bytes != NULL && buf != NULL, "memory");

    memset(&record, 0, sizeof(record));
    record.item.kind = EXPORTS_PROJECT;
    record.item.status = EXPORTS_STATUS_READY;
    record.item.json = bytes;
    record.item.id = text;
    record.storage_backend = text;
    record.storage_key = text;
    record.content_type = text;
    record.name = text;

    /* header 40, four strings of 1, three nulls */

    n = EXPORTS_RECORD_MAX - 40 - 4 * 3 - 3 * 2;

    record.item.json_len = (uint16_t) n;
    rc = exports_record_encode(buf, 70000, &len, &record);
    ok(rc == EXPORTS_OK && len == EXPORTS_RECORD_MAX, "a record of 16 KiB");
    exports_record_seal(buf, len, key);
    is_int(decode_record(key, sizeof(key), buf, len), EXPORTS_OK,
           "is accepted");

    rc = exports_record_encode(buf, EXPORTS_RECORD_MAX - 1, &len, &record);
    is_int(rc, EXPORTS_INVALID, "in a buffer too small by a byte");

    record.item.json_len++;
    rc = exports_record_encode(buf, 70000, &len, &record);
    is_int(rc, EXPORTS_INVALID, "a record larger by a byte");

    record.item.json_len = 0;
    rc = exports_record_encode(buf, EXPORTS_RECORD_HEADER - 1, &len, &record);
    is_int(rc, EXPORTS_INVALID, "a buffer smaller than the header");
    rc = exports_record_encode(buf, EXPORTS_RECORD_HEADER, &len, &record);
    is_int(rc, EXPORTS_INVALID, "a buffer of the header alone");

    record.name.data = bytes;

    for (n = 65533; n <= 65536; n++) {
        record.name.len = n;
        rc = exports_record_encode(buf, 70000, &len, &record);
        is_int(rc, EXPORTS_INVALID, "a string of %zu bytes", n);
    }

    /* buffers of all sizes: nothing is written behind them */

    record.name = text;
    record.item.json_len = 20;
    rc = exports_record_encode(buf, 70000, &len, &record);
    must(rc == EXPORTS_OK, "encoding");

    for (n = 0; n <= len; n++) {
        size_t    got;
        uint8_t  *exact;

        exact = malloc(n + 1);
        must(exact != NULL, "memory");
        rc = exports_record_encode(exact, n, &got, &record);
        check(rc == (n < len ? EXPORTS_INVALID : EXPORTS_OK), "%zu bytes: %s",
              n, rc_name(rc));
        free(exact);
    }

    checked("buffers of all sizes");

    free(bytes);
    free(buf);
}


static void
facets_of_records(void)
{
    uint8_t            hash[EXPORTS_HASH_LEN];
    exports_record_t   record;
    exports_facets_t   facets;

    memset(&record, 0, sizeof(record));
    record.item.status = EXPORTS_STATUS_NOT_FOUND;
    record.item.kind = EXPORTS_PROJECT;
    record.group = (exports_str_t) { "contacts", 8 };

    is_int(exports_record_facets(&facets, &record), 0, "a project's");
    ok(facets.has == EXPORTS_FACET_STATUS
       && facets.status == EXPORTS_STATUS_NOT_FOUND, "is listed by status");

    record.item.kind = EXPORTS_USER;
    record.item.status = EXPORTS_STATUS_FAILED;
    is_int(exports_record_facets(&facets, &record), 0, "a user's");
    must(exports_hash(hash, "contacts", 8) == 0, "SHA-256");
    ok(facets.has == (EXPORTS_FACET_STATUS|EXPORTS_FACET_TYPE)
       && memcmp(facets.type, hash, sizeof(hash)) == 0,
       "is listed by status and type");

    record.item.flags = EXPORTS_RECORD_SUBJECT;
    record.subject_type = (exports_str_t) { "company", 7 };
    record.subject_id = -5;
    is_int(exports_record_facets(&facets, &record), 0, "with a subject");
    must(exports_hash(hash, "company", 7) == 0, "SHA-256");
    ok(facets.has == EXPORTS_FACET_MASK && facets.subject_id == -5
       && memcmp(facets.subject_type, hash, sizeof(hash)) == 0,
       "is listed by that, too");
}


/* tokens */

static exports_rc_t
decode_token(const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    exports_token_t  token;

    (void) key_len;

    return exports_token_decode(&token, key, value, len);
}


static void
some_token(exports_token_t *token, const char *bytes, size_t max)
{
    unsigned  i;

    memset(token, 0, sizeof(exports_token_t));
    token->kind = chance(50) ? EXPORTS_PROJECT : EXPORTS_USER;
    token->flags = below(EXPORTS_TOKEN_FLAGS + 1);
    token->scope = some_number();
    token->scope_name = some_string(bytes, EXPORTS_SCOPE_NAME_MAX, 0);
    token->created = some_number();
    token->expires = some_number();
    token->revoked = some_number();
    token->ntables = chance(20) ? EXPORTS_TOKEN_TABLES_MAX : below(5);

    for (i = 0; i < token->ntables; i++) {
        token->tables[i] = some_string(bytes, max, 0);
    }
}


static void
tokens(void)
{
    int               same;
    char             *bytes, id[EXPORTS_TOKEN_ID_LEN + 1];
    size_t            len;
    uint8_t           key[EXPORTS_SHA256_LEN], *buf;
    unsigned          i, k;
    exports_rc_t      rc;
    exports_token_t   token, again;

    bytes = malloc(4096);
    buf = malloc(EXPORTS_TOKEN_RECORD_MAX + 10);
    must(bytes != NULL && buf != NULL, "memory");
    random_bytes(bytes, 4096);

    for (i = 0; i < rounds(3000, 1000); i++) {
        some_token(&token, bytes, i % 300 == 0 ? 20 : EXPORTS_STRING_MAX);
        random_bytes(key, sizeof(key));

        rc = exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX, &len, &token,
                                  key);
        check(rc == EXPORTS_OK, "encoding: %s", rc_name(rc));

        if (rc != EXPORTS_OK) {
            continue;
        }

        rc = exports_token_decode(&again, key, buf, len);

        same = rc == EXPORTS_OK && again.kind == token.kind
               && again.flags == token.flags && again.scope == token.scope
               && again.created == token.created
               && again.expires == token.expires
               && again.revoked == token.revoked
               && again.ntables == token.ntables
               && same_string(again.scope_name, token.scope_name);

        for (k = 0; same && k < token.ntables; k++) {
            same = same_string(again.tables[k], token.tables[k]);
        }

        check(same, "a token: %s", rc_name(rc));

        if (i % 300 == 0) {
            tamper("a token", decode_token, key, sizeof(key), buf, len);
        }
    }

    checked("tokens");

    /* the largest */

    token.scope_name = (exports_str_t) { bytes, EXPORTS_SCOPE_NAME_MAX };
    token.ntables = EXPORTS_TOKEN_TABLES_MAX;

    for (i = 0; i < EXPORTS_TOKEN_TABLES_MAX; i++) {
        token.tables[i] = (exports_str_t) { bytes, EXPORTS_STRING_MAX };
    }

    rc = exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX, &len, &token,
                              key);
    ok(rc == EXPORTS_OK && len == EXPORTS_TOKEN_RECORD_MAX,
       "the largest token");
    is_int(decode_token(key, sizeof(key), buf, len), EXPORTS_OK,
           "is accepted");

    rc = exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX - 1, &len, &token,
                              key);
    is_int(rc, EXPORTS_INVALID, "in a buffer too small");

    token.ntables++;
    rc = exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX, &len, &token,
                              key);
    is_int(rc, EXPORTS_INVALID, "with 65 tables");

    /* no record is a token, nor the other way */

    {
        size_t   record_len;
        uint8_t  record[EXPORTS_RECORD_MAX];
        exports_str_t     text = { "x", 1 };
        exports_record_t  r;

        memset(&r, 0, sizeof(r));
        r.item.kind = EXPORTS_PROJECT;
        r.item.status = 1;
        r.item.json = "{}";
        r.item.json_len = 2;
        r.item.id = r.storage_backend = r.storage_key = text;
        r.content_type = r.name = text;

        rc = exports_record_encode(record, sizeof(record), &record_len, &r);
        must(rc == EXPORTS_OK, "encoding");
        exports_record_seal(record, record_len, key);
        is_int(decode_token(key, sizeof(key), record, record_len),
               EXPORTS_CORRUPT, "a record is no token");
    }

    memset(key, 0xab, sizeof(key));
    id[EXPORTS_TOKEN_ID_LEN] = '\0';
    exports_token_id(id, key);
    is_str(id, "tok_abababababababab", "a token's ID");

    free(bytes);
    free(buf);
}


static void
forge_token(const char *what, const uint8_t *from, size_t len, size_t at,
    unsigned value, exports_rc_t want)
{
    uint8_t          key[EXPORTS_SHA256_LEN], buf[400];
    exports_token_t  token;

    memset(key, 7, sizeof(key));
    memcpy(buf, from, len);
    buf[at] = (uint8_t) value;
    exports_put64(buf + 8, exports_checksum(key, sizeof(key), buf + 16,
                                            len - 16));

    is_int(exports_token_decode(&token, key, buf, len), want, "%s", what);
}


static void
token_forgeries(void)
{
    char              name[EXPORTS_SCOPE_NAME_MAX + 1];
    size_t            len;
    uint8_t           key[EXPORTS_SHA256_LEN], buf[400];
    exports_rc_t      rc;
    exports_token_t   token;

    memset(key, 7, sizeof(key));
    memset(name, 'n', sizeof(name));
    memset(&token, 0, sizeof(token));
    token.kind = EXPORTS_PROJECT;
    token.scope_name = (exports_str_t) { "alpha", 5 };
    token.ntables = 2;
    token.tables[0] = (exports_str_t) { "a", 1 };
    token.tables[1] = (exports_str_t) { "b", 1 };

    rc = exports_token_encode(buf, sizeof(buf), &len, &token, key);
    must(rc == EXPORTS_OK, "encoding");
    is_int(len, 56 + 7 + 3 + 3, "the length of a token's record");
    is_mem(buf, 4, "EXT1", 4, "its magic");

    forge_token("as it was", buf, len, 16, 'p', EXPORTS_OK);
    forge_token("a kind that is none", buf, len, 16, 'x', EXPORTS_CORRUPT);
    forge_token("a flag that is none", buf, len, 17, 8, EXPORTS_CORRUPT);
    forge_token("more tables than there are", buf, len, 19, 3,
                EXPORTS_CORRUPT);
    forge_token("fewer tables than there are", buf, len, 19, 1,
                EXPORTS_CORRUPT);
    forge_token("65 tables", buf, len, 19, 65, EXPORTS_CORRUPT);
    forge_token("512 tables", buf, len, 18, 2, EXPORTS_CORRUPT);
    forge_token("a name into the tables", buf, len, 57, 6, EXPORTS_CORRUPT);
    forge_token("a name behind the end", buf, len, 57, 200, EXPORTS_CORRUPT);
    forge_token("a table behind the end", buf, len, 67, 2, EXPORTS_CORRUPT);

    token.scope_name = (exports_str_t) { NULL, 0 };
    rc = exports_token_encode(buf, sizeof(buf), &len, &token, key);
    must(rc == EXPORTS_OK, "encoding");
    is_int(exports_token_decode(&token, key, buf, len), EXPORTS_CORRUPT,
           "no name of a scope");

    for (len = EXPORTS_SCOPE_NAME_MAX; len <= sizeof(name); len++) {
        size_t  n;

        token.ntables = 0;
        token.scope_name = (exports_str_t) { name, len };
        rc = exports_token_encode(buf, sizeof(buf), &n, &token, key);
        must(rc == EXPORTS_OK, "encoding");
        is_int(exports_token_decode(&token, key, buf, n),
               len > EXPORTS_SCOPE_NAME_MAX ? EXPORTS_CORRUPT : EXPORTS_OK,
               "a name of %zu bytes", len);
    }

    token.scope_name = (exports_str_t) { "alpha", 5 };
    token.ntables = 1;
    token.tables[0] = (exports_str_t) { NULL, 0 };
    rc = exports_token_encode(buf, sizeof(buf), &len, &token, key);
    must(rc == EXPORTS_OK, "encoding");
    is_int(exports_token_decode(&token, key, buf, len), EXPORTS_CORRUPT,
           "a table that is null");
}


static void
validity(void)
{
    size_t           i;
    exports_token_t  token;
    static const struct {
        const char  *name;
        uint64_t     expires;
        uint64_t     revoked;
        unsigned     flags;
        int          valid;     /* at 1000 */
    } cases[] = {
        { "a token for ever", 0, 0, 0, 1 },
        { "with rights", 0, 0, EXPORTS_TOKEN_ADMIN|EXPORTS_TOKEN_TABLES, 1 },
        { "inactive", 0, 0, EXPORTS_TOKEN_INACTIVE, 0 },
        { "to expire in a microsecond", 1001, 0, 0, 1 },
        { "that expires now", 1000, 0, 0, 0 },
        { "expired", 999, 0, 0, 0 },
        { "expired long ago", 1, 0, 0, 0 },
        { "to expire at the end", UINT64_MAX, 0, 0, 1 },
        { "revoked", 0, 999, 0, 0 },
        { "revoked, by a clock that is ahead", 0, 1001, 0, 0 },
        { "revoked, not expired", 2000, 1, 0, 0 },
        { "inactive, not expired", 2000, 0, EXPORTS_TOKEN_INACTIVE, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&token, 0, sizeof(token));
        token.flags = cases[i].flags;
        token.expires = cases[i].expires;
        token.revoked = cases[i].revoked;

        is_int(exports_token_valid(&token, 1000) != 0, cases[i].valid,
               "a token: %s", cases[i].name);
    }
}


int
main(void)
{
    random_seed();

    numbers();
    orders();
    orders_of_bytes();
    small_keys();
    facet_keys();
    small_values();
    records();
    forgeries();
    limits();
    facets_of_records();
    tokens();
    token_forgeries();
    validity();

    return done_testing();
}
