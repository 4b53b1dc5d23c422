
/*
 * exports_token.c: tokens as JSON.
 */

#include "fixture.h"

#include <jansson.h>


#define D  "00112233445566778899aabbccddeeff" \
           "fedcba98765432100123456789abcdef"


static exports_error_t       error;
static exports_token_line_t  line;


static exports_rc_t
parse(const char *text)
{
    memset(&error, 0, sizeof(error));
    memset(&line, 0x55, sizeof(line));

    return exports_token_parse(&line, text, strlen(text), &error);
}


/* a token with its hash, and more keys */

static exports_rc_t
parse_with(const char *rest)
{
    char  text[4096];

    (void) snprintf(text, sizeof(text), "{\"sha256\":\"" D "\"%s%s}",
                    rest[0] != '\0' ? "," : "", rest);

    return parse(text);
}


static void
samples(void)
{
    uint8_t   digest[EXPORTS_SHA256_LEN];
    uint64_t  before;

    must(exports_unhex(digest, sizeof(digest), D) == 0, "digits");

    before = exports_time_now();
    is_rc(parse_with("\"project\":\"alpha\""), EXPORTS_OK, &error,
          "a project's token");
    is_mem(line.digest, sizeof(line.digest), digest, sizeof(digest),
           "its hash");
    is_mem(line.scope, line.scope_len, "alpha", 5, "its project");
    is_int(line.token.kind, EXPORTS_PROJECT, "its kind");
    is_int(line.token.flags, 0, "no flags");
    is_int(line.token.ntables, 0, "no tables");
    ok(line.token.created >= before
       && line.token.created <= exports_time_now(), "made just now");
    ok(line.token.expires == 0 && line.token.revoked == 0,
       "neither expires nor is revoked");

    is_rc(parse_with("\"user\":42,\"active\":false,"
                     "\"created_at\":\"2026-06-02T01:23:45Z\","
                     "\"expires_at\":\"2027-06-02T01:23:45.000001Z\","
                     "\"revoked_at\":\"2026-07-02T00:00:00Z\""), EXPORTS_OK,
          &error, "a user's token");
    is_mem(line.scope, line.scope_len, "42", 2, "its user");
    is_int(line.token.kind, EXPORTS_USER, "its kind");
    is_int(line.token.flags, EXPORTS_TOKEN_INACTIVE, "inactive");
    is_int(line.token.created, TEST_TIME, "made then");
    is_int(line.token.expires, TEST_TIME + 31536000000001LL, "expires then");
    ok(line.token.revoked != 0, "is revoked");

    is_rc(parse_with("\"project\":\"a\",\"admin\":true,\"active\":true,"
                     "\"tables\":[\"contacts\",\"\\u00e9\"]"), EXPORTS_OK,
          &error, "a token with all rights to some");
    is_int(line.token.flags, EXPORTS_TOKEN_ADMIN|EXPORTS_TOKEN_TABLES,
           "flags");
    is_int(line.token.ntables, 2, "two tables");
    is_mem(line.token.tables[0].data, line.token.tables[0].len, "contacts", 8,
           "the one");
    is_mem(line.token.tables[1].data, line.token.tables[1].len, "\xc3\xa9", 2,
           "the other");

    is_rc(parse_with("\"project\":\"a\",\"tables\":[]"), EXPORTS_OK, &error,
          "a token for no tables");
    ok(line.token.flags == EXPORTS_TOKEN_TABLES && line.token.ntables == 0,
       "is restricted to none");

    is_rc(parse_with("\"project\":\"a\",\"tables\":null,\"expires_at\":null,"
                     "\"revoked_at\":null,\"created_at\":null"), EXPORTS_OK,
          &error, "nulls");
    ok(line.token.flags == 0 && line.token.created >= before
       && line.token.expires == 0 && line.token.revoked == 0,
       "are as if left out");

    is_rc(parse_with("\"user\":\"42\",\"admin\":false"), EXPORTS_OK, &error,
          "a user's token is no admin's");

    is_int(parse("{\"project\":\"a\",\"sha256\":\""
                 "00112233445566778899AABBCCDDEEFF"
                 "fedcba98765432100123456789ABCDEF\"}"), EXPORTS_OK,
           "digits in upper case, the hash last");
    is_mem(line.digest, sizeof(line.digest), digest, sizeof(digest),
           "are the same");
}


static void
refusals(void)
{
    size_t                    i;
    static const struct {
        const char  *rest;
        const char  *text;
    } cases[] = {
        { "", "neither \"project\" nor \"user\"" },
        { "\"project\":\"a\",\"user\":1", "both \"project\" and \"user\"" },
        { "\"user\":1,\"project\":\"a\"", "both \"project\" and \"user\"" },
        { "\"project\":null", "project: not 1 to 128" },
        { "\"project\":1", "project: not 1 to 128" },
        { "\"project\":\"\"", "project: not 1 to 128" },
        { "\"project\":\"A\"", "project: not 1 to 128" },
        { "\"user\":null", "user: not an integer" },
        { "\"user\":1.5", "user: not an integer" },
        { "\"user\":\"a b\"", "user: not an integer" },
        { "\"project\":\"a\",\"admin\":1", "admin: neither true nor false" },
        { "\"project\":\"a\",\"admin\":null",
          "admin: neither true nor false" },
        { "\"project\":\"a\",\"active\":\"yes\"",
          "active: neither true nor false" },
        { "\"user\":1,\"admin\":true", "\"admin\", \"tables\"" },
        { "\"user\":1,\"tables\":[\"a\"]", "\"admin\", \"tables\"" },
        { "\"user\":1,\"tables\":[]", "\"admin\", \"tables\"" },
        { "\"tables\":[\"a\"],\"user\":1", "\"admin\", \"tables\"" },
        { "\"project\":\"a\",\"tables\":\"a\"", "tables: not an array" },
        { "\"project\":\"a\",\"tables\":{}", "tables: not an array" },
        { "\"project\":\"a\",\"tables\":[1]", "tables: not a string" },
        { "\"project\":\"a\",\"tables\":[null]", "tables: not a string" },
        { "\"project\":\"a\",\"tables\":[\"\"]", "tables: not a string" },
        { "\"project\":\"a\",\"tables\":[[\"a\"]]", "tables: not a string" },
        { "\"project\":\"a\",\"created_at\":5", "created_at: not an RFC" },
        { "\"project\":\"a\",\"expires_at\":\"never\"",
          "expires_at: not an RFC 3339 time from 1970 to 9999 of six "
          "fractional digits at most: \"never\"" },
        { "\"project\":\"a\",\"revoked_at\":\"\"", "revoked_at: not an RFC" },
        { "\"project\":\"a\",\"expires_at\":\"1970-01-01T00:00:00Z\"",
          "expires_at: not" },
        { "\"project\":\"a\",\"token\":\"x\"", "token: unknown key" },
        { "\"project\":\"a\",\"scope\":\"x\"", "scope: unknown key" },
        { "\"project\":\"a\",\"a\\nb\":\"x\"", "a?b: unknown key" },
        { "\"project\":\"a\",\"project\":\"a\"", "duplicate" },
        { "\"project\":\"a\",\"sha256\":\"" D "\"", "duplicate" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is_int(parse_with(cases[i].rest), EXPORTS_INVALID, "refused: %s",
               cases[i].rest);
        has_str(error.text, cases[i].text, "the text");
    }

    is_int(parse("{\"project\":\"a\"}"), EXPORTS_INVALID, "no hash");
    has_str(error.text, "sha256: missing", "the text");
    is_int(parse("{\"sha256\":5,\"project\":\"a\"}"), EXPORTS_INVALID,
           "a hash that is no string");
    is_int(parse("{\"sha256\":\"\",\"project\":\"a\"}"), EXPORTS_INVALID,
           "an empty hash");
    is_int(parse("{\"sha256\":\"" D "0\",\"project\":\"a\"}"), EXPORTS_INVALID,
           "a hash of 65 digits");
    is_int(parse("{\"sha256\":\"00112233445566778899aabbccddeeff"
                 "fedcba98765432100123456789abcdeg\",\"project\":\"a\"}"),
           EXPORTS_INVALID, "a hash with a letter too far");
    has_str(error.text, "sha256: not 64 hexadecimal digits", "the text");

    is_int(parse("[]"), EXPORTS_INVALID, "no object");
    is_int(parse(""), EXPORTS_INVALID, "nothing");
    is_int(exports_token_parse(&line, "{}", 2, NULL), EXPORTS_INVALID,
           "without an error to fill");
}


/* up to 64 tables of up to 1024 bytes */

static void
tables(void)
{
    char          *text, name[1100];
    size_t         n, len;
    json_t        *root, *array;
    exports_rc_t   rc;

    for (n = 63; n <= 65; n++) {
        for (len = 1023; len <= 1025; len++) {
            root = json_pack("{s:s, s:s, s:[]}", "sha256", D, "project", "a",
                             "tables");
            must(root != NULL, "json_pack");
            array = json_object_get(root, "tables");

            memset(name, 't', sizeof(name));
            name[len] = '\0';

            while (json_array_size(array) < n) {
                name[0] = (char) ('A' + json_array_size(array) % 26);
                (void) json_array_append_new(array, json_string(name));
            }

            text = json_dumps(root, JSON_COMPACT);
            must(text != NULL, "json_dumps");
            rc = parse(text);

            is_int(rc, n <= 64 && len <= 1024 ? EXPORTS_OK : EXPORTS_INVALID,
                   "%zu tables of %zu bytes", n, len);

            if (rc == EXPORTS_OK) {
                ok(line.token.ntables == n && line.token.tables[n - 1].len
                   == len && line.token.tables[n - 1].data[0]
                   == (char) ('A' + (n - 1) % 26)
                   && line.token.tables[0].data[1] == 't', "are all there");
            }

            free(text);
            json_decref(root);
        }
    }
}


/* printed and parsed again */

static void
round_trips(void)
{
    int                          same;
    char                        *text;
    size_t                       len;
    unsigned                     i, k;
    exports_rc_t                 rc;
    static exports_token_line_t  first;

    for (i = 0; i < rounds(20000, 6000); i++) {
        memset(&first, 0, sizeof(first));
        random_bytes(first.digest, sizeof(first.digest));

        first.token.kind = chance(50) ? EXPORTS_PROJECT : EXPORTS_USER;
        first.scope_len = (size_t) snprintf(first.scope, sizeof(first.scope),
                                            "%u", below(100000));
        first.token.created = 1 + rnd() % EXPORTS_TIME_MAX;
        first.token.expires = chance(50) ? 0 : 1 + rnd() % EXPORTS_TIME_MAX;
        first.token.revoked = chance(50) ? 0 : 1 + rnd() % EXPORTS_TIME_MAX;
        first.token.flags = chance(50) ? EXPORTS_TOKEN_INACTIVE : 0;

        if (first.token.kind == EXPORTS_PROJECT) {
            first.token.flags |= chance(50) ? EXPORTS_TOKEN_ADMIN : 0;

            if (chance(50)) {
                first.token.flags |= EXPORTS_TOKEN_TABLES;
                first.token.ntables = below(5);

                for (k = 0; k < first.token.ntables; k++) {
                    len = 1 + below(20);
                    memset(first.text + 20 * k,
                           chance(80) ? 'a' + (int) k : '"', len);
                    first.token.tables[k].data = first.text + 20 * k;
                    first.token.tables[k].len = len;
                }
            }
        }

        rc = exports_token_print(&text, first.digest, &first.token,
                                 first.scope, first.scope_len, &error);

        if (!check(rc == EXPORTS_OK, "printing: %s", rc_name(rc))) {
            continue;
        }

        check(strchr(text, '\n') == NULL, "lines: %s", text);
        rc = parse(text);

        same = rc == EXPORTS_OK
               && memcmp(line.digest, first.digest, EXPORTS_SHA256_LEN) == 0
               && line.scope_len == first.scope_len
               && memcmp(line.scope, first.scope, line.scope_len) == 0
               && line.token.kind == first.token.kind
               && line.token.flags == first.token.flags
               && line.token.created == first.token.created
               && line.token.expires == first.token.expires
               && line.token.revoked == first.token.revoked
               && line.token.ntables == first.token.ntables;

        for (k = 0; same && k < first.token.ntables; k++) {
            same = line.token.tables[k].len == first.token.tables[k].len
                   && memcmp(line.token.tables[k].data,
                             first.token.tables[k].data,
                             line.token.tables[k].len) == 0;
        }

        check(same, "%s: %s", rc_name(rc), text);
        free(text);
    }

    checked("a token printed is the same token");
}


/* a record whose checksum is right, but whose strings no line can have */

static void
no_text(void)
{
    char          *text;
    exports_rc_t   rc;

    memset(&line, 0, sizeof(line));
    line.token.kind = EXPORTS_PROJECT;
    line.token.flags = EXPORTS_TOKEN_TABLES;
    line.token.ntables = 1;
    line.token.tables[0].data = "\xff";
    line.token.tables[0].len = 1;

    rc = exports_token_print(&text, line.digest, &line.token, "a", 1, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "a table that is not UTF-8");
    has_str(error.text, "UTF-8", "the text says so");

    line.token.ntables = 0;

    rc = exports_token_print(&text, line.digest, &line.token, "\xff", 1,
                             &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "a scope that is not UTF-8");
}


static void
lines(void)
{
    exports_rc_t            rc;
    exports_line_type_t     type;
    static exports_line_t   any;
    static const char       text[] = "{\"sha256\":\"" D "\",\"project\":"
                                     "\"alpha\",\"admin\":true}";

    rc = exports_line_parse(&any, &type, text, sizeof(text) - 1, &error);
    ok(rc == EXPORTS_OK && type == EXPORTS_LINE_TOKEN
       && any.token.token.flags == EXPORTS_TOKEN_ADMIN, "a line of a token");
}


int
main(void)
{
    random_seed();

    samples();
    refusals();
    tables();
    round_trips();
    no_text();
    lines();

    return done_testing();
}
