
/*
 * exports_member.h against what a record decoded whole says: random records of
 * few strings, and such as only a checksum is right of, in memory that ends
 * where they do.
 */

#include "fixture.h"


/* more than are kept at a time */
#define NSTRINGS  (EXPORTS_HASHES + 9)

static exports_hashes_t  hashes;
static unsigned long     members, strangers;


static exports_str_t
some_string(void)
{
    static char    text[NSTRINGS][EXPORTS_STRING_MAX + 1];
    unsigned       n;
    exports_str_t  str;

    n = below(chance(70) ? 3 : NSTRINGS);

    str.data = text[n];
    str.len = n == 0 ? EXPORTS_STRING_MAX : n;

    memset(text[n], 'a' + (int) n % 7, str.len);

    return str;
}


static exports_str_t
some_or_null(void)
{
    exports_str_t  null = { NULL, 0 };

    return chance(30) ? null : some_string();
}


static size_t
some_record(uint8_t *buf, const uint8_t *key)
{
    size_t            len;
    exports_record_t  record;

    memset(&record, 0, sizeof(record));

    record.item.kind = chance(85) ? EXPORTS_USER : EXPORTS_PROJECT;
    record.item.status = (uint8_t) (1 + below(6));
    record.item.json = "{}";
    record.item.json_len = 2;
    record.item.id.data = "id";
    record.item.id.len = 2;
    record.storage_backend = some_string();
    record.storage_key = some_or_null();
    record.content_type = some_string();
    record.name = record.item.kind == EXPORTS_USER ? some_or_null()
                                                   : some_string();
    record.group = some_string();

    if (record.item.kind == EXPORTS_USER && chance(60)) {
        record.item.flags = EXPORTS_RECORD_SUBJECT;
        record.subject_type = some_string();
        record.subject_id = (int64_t) below(4) - 1;
    }

    must(exports_record_encode(buf, EXPORTS_RECORD_MAX, &len, &record)
         == EXPORTS_OK, "encoding");
    exports_record_seal(buf, len, key);

    return len;
}


/* a list of any facet; mostly, in each field, of what a record has */

static void
some_list(exports_facet_t *list, const exports_facets_t *has)
{
    exports_str_t     str;
    exports_facets_t  values;

    values = *has;

    if (!(values.has & EXPORTS_FACET_TYPE) || chance(20)) {
        str = some_string();
        must(exports_hash(values.type, str.data, str.len) == 0, "SHA-256");
    }

    if (!(values.has & EXPORTS_FACET_SUBJECT_TYPE) || chance(20)) {
        str = some_string();
        must(exports_hash(values.subject_type, str.data, str.len) == 0,
             "SHA-256");
        values.subject_id = (int64_t) below(4) - 1;
    }

    /* the status is not its business */

    exports_facet_key(list, 1, EXPORTS_FACET_TYPE + below(14), &values);
}


static int
belongs(const exports_facet_t *list, const exports_facets_t *has)
{
    exports_facet_t  right;

    if ((list->bytes[8] & ~has->has) != 0) {
        return 0;
    }

    exports_facet_key(&right, 1, list->bytes[8], has);

    return memcmp(right.bytes, list->bytes, list->len) == 0;
}


/* in an allocation of its own, so that a sanitizer sees its end */

static exports_rc_t
check_exact(const uint8_t *record, size_t len, const uint8_t *key,
    const exports_facet_t *list)
{
    uint8_t         *exact;
    exports_rc_t     rc;
    exports_item_t   item;

    exact = malloc(len);
    must(exact != NULL, "memory");
    memcpy(exact, record, len);

    rc = exports_item_decode(&item, key, exact, len);

    if (rc == EXPORTS_OK) {
        rc = exports_member_check(&hashes, list, &item, exact, len);
    }

    free(exact);

    return rc;
}


static void
property(void)
{
    size_t             len;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN], buf[EXPORTS_RECORD_MAX];
    unsigned           i;
    exports_rc_t       rc, want;
    exports_facet_t    list;
    exports_facets_t   has;
    exports_record_t   record;

    random_bytes(key, sizeof(key));

    for (i = 0; i < rounds(20000, 4000); i++) {
        len = some_record(buf, key);

        must(exports_record_decode(&record, key, buf, len) == EXPORTS_OK
             && exports_record_facets(&has, &record) == 0, "decoding");

        some_list(&list, &has);
        want = belongs(&list, &has) ? EXPORTS_OK : EXPORTS_CORRUPT;

        rc = check_exact(buf, len, key, &list);
        check(rc == want, "facet %x, has %x: %s", list.bytes[8], has.has,
              rc_name(rc));

        if (want == EXPORTS_OK) {
            members++;
        } else {
            strangers++;
        }
    }

    checked("records belong in the lists that they are in, and in no others");
    ok(members > 100 && strangers > 100, "%lu do, %lu do not", members,
       strangers);
}


/* cut off, or of other lengths: never right, unless all that is looked at is */

static void
forged(void)
{
    size_t             len, n, at;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN], buf[EXPORTS_RECORD_MAX];
    unsigned           i;
    exports_rc_t       rc;
    exports_facet_t    list;
    exports_facets_t   has;
    exports_record_t   record, other;

    random_bytes(key, sizeof(key));

    for (i = 0; i < rounds(20000, 4000); i++) {
        len = some_record(buf, key);

        must(exports_record_decode(&record, key, buf, len) == EXPORTS_OK
             && exports_record_facets(&has, &record) == 0, "decoding");
        some_list(&list, &has);

        n = EXPORTS_RECORD_HEADER + 6 + below((unsigned) len
                                              - EXPORTS_RECORD_HEADER - 5);

        if (chance(60)) {
            at = EXPORTS_RECORD_HEADER + 6
                 + below((unsigned) len - EXPORTS_RECORD_HEADER - 6);
            buf[at] = chance(30) ? 0xff : (uint8_t) rnd();
        }

        exports_put32(buf + 4, (uint32_t) n);
        exports_record_seal(buf, n, key);

        rc = check_exact(buf, n, key, &list);
        check(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT, "%s", rc_name(rc));

        if (rc == EXPORTS_OK
            && exports_record_decode(&other, key, buf, n) == EXPORTS_OK)
        {
            must(exports_record_facets(&has, &other) == 0, "SHA-256");
            check(belongs(&list, &has), "facet %x", list.bytes[8]);
        }
    }

    checked("records of wrong lengths are not read behind their end");
}


/* one that goes on into the next one is longer than a string can be, whatever
   its hash */

static void
too_long(void)
{
    char               text[EXPORTS_STRING_MAX];
    size_t             len, at, n;
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN], buf[EXPORTS_RECORD_MAX];
    exports_rc_t       rc;
    exports_facet_t    list;
    exports_facets_t   has;
    exports_record_t   record;

    random_bytes(key, sizeof(key));
    memset(text, 'a', sizeof(text));
    memset(&has, 0, sizeof(has));
    memset(&record, 0, sizeof(record));

    record.item.kind = EXPORTS_USER;
    record.item.status = EXPORTS_STATUS_READY;
    record.item.flags = EXPORTS_RECORD_SUBJECT;
    record.item.json = "{}";
    record.item.json_len = 2;
    record.item.id.data = text;
    record.item.id.len = 2;
    record.storage_backend.data = text;
    record.content_type.data = text;
    record.group.data = text;
    record.group.len = EXPORTS_STRING_MAX;
    record.subject_type = record.group;

    must(exports_record_encode(buf, sizeof(buf), &len, &record) == EXPORTS_OK,
         "encoding");

    at = len - 2 * (2 + EXPORTS_STRING_MAX);

    for (n = EXPORTS_STRING_MAX; n <= len - 2 - at; n++) {
        buf[at] = (uint8_t) (n >> 8);
        buf[at + 1] = (uint8_t) n;
        exports_record_seal(buf, len, key);

        must(exports_hash(has.type, (char *) buf + at + 2, n) == 0, "SHA-256");
        exports_facet_key(&list, 1, EXPORTS_FACET_TYPE, &has);

        rc = check_exact(buf, len, key, &list);
        check(rc == (n > EXPORTS_STRING_MAX ? EXPORTS_CORRUPT : EXPORTS_OK),
              "%zu bytes: %s", n, rc_name(rc));
    }

    checked("strings that are too long belong in no list");
}


int
main(void)
{
    random_seed();

    property();
    forged();
    too_long();

    return done_testing();
}
