
/*
 * exports_text.c: text forms, and which are valid.
 */

#include "fixture.h"


static void
hexadecimal(void)
{
    char      text[600];
    size_t    len, i;
    uint8_t   bytes[256], again[256];
    unsigned  n;

    for (n = 0; n < 500; n++) {
        len = below(256);
        random_bytes(bytes, len);

        memset(text, 'x', sizeof(text));
        exports_hex(text, bytes, len);

        for (i = 0; i < 2 * len; i++) {
            check(strchr("0123456789abcdef", text[i]) != NULL, "%c", text[i]);
        }

        check(text[2 * len] == 'x', "a byte more was written");

        for (i = 0; i < 2 * len; i++) {
            if (chance(50) && text[i] >= 'a' && text[i] <= 'f') {
                text[i] = (char) (text[i] - 'a' + 'A');
            }
        }

        check(exports_unhex(again, len, text) == 0
              && memcmp(bytes, again, len) == 0, "%.*s", (int) (2 * len),
              text);
    }

    checked("hexadecimal digits, and back in either case");

    for (n = 0; n < 256; n++) {
        text[0] = '0';
        text[1] = (char) n;
        check((exports_unhex(again, 1, text) == 0)
              == (n != 0 && strchr("0123456789abcdefABCDEF", (int) n) != NULL),
              "0%c", n);

        text[1] = '0';
        text[0] = (char) n;
        check((exports_unhex(again, 1, text) == 0)
              == (n != 0 && strchr("0123456789abcdefABCDEF", (int) n) != NULL),
              "%c0", n);
    }

    checked("no other digits");
}


static void
decimals(void)
{
    int       want;
    char      text[EXPORTS_DECIMAL_MAX + 2], expected[EXPORTS_DECIMAL_MAX + 1];
    size_t    len;
    uint64_t  number;
    unsigned  n;

    for (n = 0; n <= 3 * 64; n++) {

        /* around every power of two, zero and the greatest too */

        number = (n / 3 < 64 ? 1ULL << n / 3 : 0) - 1 + n % 3;
        want = snprintf(expected, sizeof(expected), "%" PRIu64, number);

        memset(text, 'x', sizeof(text));
        len = exports_decimal(text, number);

        check(len == (size_t) want && memcmp(text, expected, len) == 0
              && text[len] == 'x', "%s", expected);
    }

    checked("decimal digits");
}


static void
uuids(void)
{
    char               text[EXPORTS_LINEAGE_TEXT_LEN + 2];
    size_t             i;
    uint8_t            bytes[16], again[16];
    unsigned           n;
    static const char  known[] = "00112233-4455-6677-8899-aAbBcCdDeEfF";

    is_int(exports_uuid_parse(bytes, known, 36), 0, "a UUID");
    is_mem(bytes, 16, "\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc"
           "\xdd\xee\xff", 16, "its bytes");

    memset(text, 'x', sizeof(text));
    exports_uuid_unparse(text, bytes);
    is_mem(text, 37, "00112233-4455-6677-8899-aabbccddeeffx", 37,
           "printed in lower case, not a byte more");

    for (n = 0; n < 500; n++) {
        random_bytes(bytes, 16);
        exports_uuid_unparse(text, bytes);
        check(exports_uuid_parse(again, text, 36) == 0
              && memcmp(bytes, again, 16) == 0, "%.36s", text);
    }

    checked("random UUIDs");

    for (i = 0; i < 36; i++) {
        for (n = 0; n < 256; n++) {
            int  right;

            memcpy(text, known, 36);
            text[i] = (char) n;
            right = known[i] == '-' ? n == '-'
                    : n != 0 && strchr("0123456789abcdefABCDEF", (int) n);

            check((exports_uuid_parse(again, text, 36) == 0) == right,
                  "byte %zu: %02x", i, n);
        }
    }

    checked("each byte replaced");

    for (i = 0; i < 40; i++) {
        if (i != 36) {
            check(exports_uuid_parse(again, known, i) == -1, "%zu bytes", i);
        }
    }

    checked("another length");
    is_int(exports_uuid_parse(again, "{0112233-4455-6677-8899-aabbccddeef}",
                              36), -1, "in braces");
    is_int(exports_uuid_parse(again, "001122334455-6677-8899-aabb-ccddeeff",
                              36), -1, "hyphens elsewhere");
}


static void
statuses(void)
{
    char                      text[32];
    size_t                    i, k;
    unsigned                  n;
    static const struct {
        const char  *word;
        unsigned     project;
        unsigned     user;
    } words[] = {
        { "ready", EXPORTS_STATUS_READY, EXPORTS_STATUS_READY },
        { "not_found", EXPORTS_STATUS_NOT_FOUND, 0 },
        { "pending", 0, EXPORTS_STATUS_PENDING },
        { "processing", 0, EXPORTS_STATUS_PROCESSING },
        { "failed", 0, EXPORTS_STATUS_FAILED },
        { "cancelled", 0, EXPORTS_STATUS_CANCELLED },
        { "all", 0, 0 },
        { "", 0, 0 },
        { "Ready", 0, 0 },
        { "ready ", 0, 0 },
        { "canceled", 0, 0 },
        { "read", 0, 0 },
        { "readyx", 0, 0 }
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        n = exports_status_parse(EXPORTS_PROJECT, words[i].word,
                                 strlen(words[i].word));
        check(n == words[i].project, "project, \"%s\": %u", words[i].word, n);

        n = exports_status_parse(EXPORTS_USER, words[i].word,
                                 strlen(words[i].word));
        check(n == words[i].user, "user, \"%s\": %u", words[i].word, n);

        /* no zero at the end, and no more bytes than given */

        (void) snprintf(text, sizeof(text), "%szzz", words[i].word);
        n = exports_status_parse(EXPORTS_USER, text, strlen(words[i].word));
        check(n == words[i].user, "\"%s\" and more: %u", words[i].word, n);

        /* the first six are words, no beginning of which is one */

        for (k = 0; i < 6 && k < strlen(words[i].word); k++) {
            check(exports_status_parse(EXPORTS_USER, words[i].word, k) == 0,
                  "%.*s", (int) k, words[i].word);
        }
    }

    checked("words for statuses, by kind");

    for (n = 1; n <= EXPORTS_STATUSES; n++) {
        is_str(exports_status_name(n), words[n - 1].word, "status %u", n);

        /* messages have room for the words, and list those of a kind */

        check(strlen(words[n - 1].word) <= EXPORTS_STATUS_NAME_MAX, "%s",
              words[n - 1].word);
        check((strstr(EXPORTS_PROJECT_STATUS_WORDS, words[n - 1].word) != NULL)
              == (words[n - 1].project != 0), "project, %s", words[n - 1].word);
        check((strstr(EXPORTS_USER_STATUS_WORDS, words[n - 1].word) != NULL)
              == (words[n - 1].user != 0), "user, %s", words[n - 1].word);
    }

    checked("words for statuses, in messages");

    ok(exports_status_name(0) == NULL
       && exports_status_name(EXPORTS_STATUSES + 1) == NULL
       && exports_status_name(UINT32_MAX) == NULL, "there are no others");

    /* the numbers are stored: they never change */

    ok(EXPORTS_STATUS_READY == 1 && EXPORTS_STATUS_NOT_FOUND == 2
       && EXPORTS_STATUS_PENDING == 3 && EXPORTS_STATUS_PROCESSING == 4
       && EXPORTS_STATUS_FAILED == 5 && EXPORTS_STATUS_CANCELLED == 6,
       "stored numbers of statuses");
    ok(EXPORTS_PROJECT == 'p' && EXPORTS_USER == 'u', "of kinds");
    ok(EXPORTS_TABLE_EXPORT == 1 && EXPORTS_DATABASE_EXPORT == 2
       && EXPORTS_SCHEMA_EXPORT == 3, "of kinds of exports");

    is_str(exports_kind_name(EXPORTS_PROJECT), "project", "a kind");
    is_str(exports_kind_name(EXPORTS_USER), "user", "a kind");
}


/* the alphabets and lengths of the contract */

static void
alphabet(const char *what, int (*valid)(exports_kind_t, const char *, size_t),
    exports_kind_t kind, const char *start, const char *set, size_t max)
{
    char      text[400];
    size_t    n, len;
    unsigned  c;

    len = strlen(start);

    for (c = 0; c < 256; c++) {
        for (n = 0; n < 3; n++) {

            /* first, in the middle, last */

            memcpy(text, start, len);
            memcpy(text + len, "aaa", 3);
            text[len + n] = (char) c;

            check(valid(kind, text, len + 3)
                  == (c != 0 && strchr(set, (int) c) != NULL),
                  "%s: byte %02x at %zu", what, c, n);
        }
    }

    memset(text, 'a', sizeof(text));
    memcpy(text, start, len);

    for (n = 0; n < sizeof(text); n++) {
        check(valid(kind, text, n) == (n > len && n <= max),
              "%s: %zu bytes", what, n);
    }

    checked("%s: its alphabet and lengths", what);
}


#define LOWER   "abcdefghijklmnopqrstuvwxyz"
#define UPPER   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

static void
names(void)
{
    alphabet("a project", exports_scope_name_valid, EXPORTS_PROJECT, "",
             LOWER DIGITS "_-", 128);
    alphabet("a user", exports_scope_name_valid, EXPORTS_USER, "",
             LOWER UPPER DIGITS "._-", 64);
    alphabet("an export ID", exports_id_valid, EXPORTS_PROJECT, "exp_",
             LOWER UPPER DIGITS "_-", 128);
    alphabet("a uuid", exports_id_valid, EXPORTS_USER, "",
             LOWER UPPER DIGITS "-", 64);

    ok(!exports_id_valid(EXPORTS_PROJECT, "EXP_a", 5)
       && !exports_id_valid(EXPORTS_PROJECT, "xexp_a", 6)
       && !exports_id_valid(EXPORTS_PROJECT, "exp-a", 5),
       "an export ID begins with exp_");
}


/* decoded without a doubt, and the same again when encoded */

static size_t
model_length(const uint8_t *p, size_t len)
{
    size_t    n, i;
    uint32_t  c;

    for (n = 1; n <= 4 && n <= len; n++) {
        c = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));

        for (i = 1; i < n; i++) {
            c = c << 6 | (p[i] & 0x3f);
        }

        if (n != (c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4)
            || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)
            || (n > 1 && p[0] != (uint8_t) (0xf00 >> n | c >> 6 * (n - 1))))
        {
            continue;
        }

        for (i = 1; i < n; i++) {
            if (p[i] != (0x80 | (c >> 6 * (n - 1 - i) & 0x3f))) {
                break;
            }
        }

        if (i == n) {
            return n;
        }
    }

    return 0;
}


static void
characters(void)
{
    size_t                len, is, of[5];
    uint8_t               all[4], bytes[4], *p;
    unsigned              i, n;
    static const uint8_t  edges[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                      0xa0, 0xbf, 0xc0, 0xc2, 0xed, 0xf4,
                                      0xff };

    memset(of, 0, sizeof(of));

    n = sizeof(edges);

    for (i = 0; i < 256 * n * n * n; i++) {
        all[0] = (uint8_t) i;
        all[1] = edges[i / 256 % n];
        all[2] = edges[i / 256 / n % n];
        all[3] = edges[i / 256 / n / n];

        for (len = 0; len <= 4; len++) {

            /* at the end of the array, so that ASan sees a step beyond */

            p = memcpy(bytes + 4 - len, all, len);
            is = exports_utf8_length((char *) p, len);
            of[is]++;

            check(is == model_length(p, len), "%zu of %02x %02x %02x %02x: "
                  "%zu", len, all[0], all[1], all[2], all[3], is);
        }
    }

    checked("every first byte, and those behind it at the edges of ranges");

    ok(exports_utf8_valid("", 0) && exports_utf8_valid("a\xc3\xa9z", 4)
       && !exports_utf8_valid("a\xc3\xa9z", 2)
       && !exports_utf8_valid("az\xff", 3), "whole texts");
    ok(of[1] > 0 && of[2] > 0 && of[3] > 0 && of[4] > 0,
       "characters of each length among them");
}


int
main(void)
{
    random_seed();

    hexadecimal();
    decimals();
    characters();
    uuids();
    statuses();
    names();

    return done_testing();
}
