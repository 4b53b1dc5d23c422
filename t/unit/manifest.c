
/*
 * exports_manifest.c, exports_json.c: manifests as JSON.
 */

#include "fixture.h"

#include <jansson.h>


#define NOT_A_TIME                                                            \
    "not an RFC 3339 time from 1970 to 9999 of six fractional digits at most"


static exports_error_t     error;
static exports_manifest_t  manifest;


static const char  project_sample[] =
    "{\"id\":\"exp_20260601_182345_a1b2c3d4e5\",\"kind\":\"table_export\","
    "\"scope\":\"project\",\"project\":\"example_project\",\"table\":"
    "\"contacts\",\"format\":\"csv\",\"download_name\":\"contacts.csv\","
    "\"storage_backend\":\"local\",\"content_type\":"
    "\"text/csv; charset=utf-8\",\"row_count\":25,\"table_count\":null,"
    "\"size_bytes\":2048,\"status\":\"ready\",\"status_reason\":null,"
    "\"missing_at\":null,\"created_at\":\"2026-06-02T01:23:45Z\","
    "\"expires_at\":null}";

static const char  project_item[] =
    "{\"id\":\"exp_20260601_182345_a1b2c3d4e5\",\"kind\":\"table_export\","
    "\"scope\":\"project\",\"project\":\"example_project\",\"table\":"
    "\"contacts\",\"format\":\"csv\",\"download_name\":\"contacts.csv\","
    "\"download_url\":\"example_project/export/download/"
    "exp_20260601_182345_a1b2c3d4e5\",\"storage_backend\":\"local\","
    "\"content_type\":\"text/csv; charset=utf-8\",\"row_count\":25,"
    "\"table_count\":null,\"size_bytes\":2048,\"status\":\"ready\","
    "\"status_reason\":null,\"missing_at\":null,\"created_at\":"
    "\"2026-06-02T01:23:45Z\",\"expires_at\":null}";

static const char  user_sample[] =
    "{\"uuid\":\"0f9a4c1e-7b1d-4c58-9d0a-5a2f3d6b8e10\",\"type\":"
    "\"transactions\",\"status\":\"ready\",\"filename\":"
    "\"transactions.csv\",\"file_size\":123,\"row_count\":123,"
    "\"error_message\":null,\"requested_at\":\"2026-06-02T01:23:45.5+02:00\","
    "\"completed_at\":\"2026-06-02T01:24:45Z\",\"failed_at\":null,"
    "\"subject\":{\"type\":\"charger\",\"id\":123,\"label\":\"Home\"},"
    "\"user\":42}";

static const char  user_item[] =
    "{\"uuid\":\"0f9a4c1e-7b1d-4c58-9d0a-5a2f3d6b8e10\",\"type\":"
    "\"transactions\",\"status\":\"ready\",\"filename\":"
    "\"transactions.csv\",\"file_size\":123,\"row_count\":123,"
    "\"error_message\":null,\"requested_at\":\"2026-06-01T23:23:45.500000Z\","
    "\"completed_at\":\"2026-06-02T01:24:45Z\",\"failed_at\":null,"
    "\"subject\":{\"type\":\"charger\",\"id\":123,\"label\":\"Home\"},"
    "\"download_url\":\"\"}";

static const char *const  project_keys[] = {
    "id", "kind", "scope", "project", "table", "format", "download_name",
    "download_url", "storage_backend", "content_type", "row_count",
    "table_count", "size_bytes", "status", "status_reason", "missing_at",
    "created_at", "expires_at", NULL
};

static const char *const  user_keys[] = {
    "uuid", "type", "status", "filename", "file_size", "row_count",
    "error_message", "requested_at", "completed_at", "failed_at", "subject",
    "download_url", NULL
};


static exports_rc_t
parse_bytes(const char *text, size_t len)
{
    memset(&error, 0, sizeof(error));

    return exports_manifest_parse(&manifest, text, len, &error);
}


static exports_rc_t
parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}


/* a sample with one key changed; value: JSON, or NULL to leave it out */

static json_t *
altered(const char *sample, const char *key, const char *value)
{
    json_t  *root;

    root = json_loads(sample, 0, NULL);
    must(root != NULL, "a sample");

    if (value == NULL) {
        (void) json_object_del(root, key);

    } else {
        must(json_object_set_new(root, key,
                                 json_loads(value, JSON_DECODE_ANY, NULL))
                 == 0, "%s: %s", key, value);
    }

    return root;
}


static exports_rc_t
parse_object(json_t *root)
{
    char          *text;
    exports_rc_t   rc;

    text = json_dumps(root, JSON_COMPACT);
    must(text != NULL, "json_dumps");
    rc = parse(text);
    free(text);
    json_decref(root);

    return rc;
}


/* the record as a reader sees it */

static void
decode(exports_record_t *record)
{
    exports_rc_t    rc;
    static uint8_t  key[EXPORTS_MANIFEST_KEY_LEN];

    exports_manifest_key(key, 1, manifest.created, manifest.tie);
    exports_record_seal(manifest.record, manifest.record_len, key);

    rc = exports_record_decode(record, key, manifest.record,
                               manifest.record_len);
    must(rc == EXPORTS_OK, "decoding: %s", rc_name(rc));
}


static void
keys_in_order(const char *json, size_t len, const char *const *keys,
    const char *name)
{
    json_t      *root, *value;
    unsigned     n;
    const char  *key;

    root = json_loadb(json, len, JSON_REJECT_DUPLICATES, NULL);
    must(root != NULL, "the item is JSON");

    n = 0;

    json_object_foreach (root, key, value) {
        if (keys[n] == NULL
            || !check(strcmp(keys[n], key) == 0, "key %u is %s", n, key))
        {
            break;
        }

        n++;
    }

    check(keys[n] == NULL && json_object_size(root) == n, "%u keys", n);
    checked("%s: exactly the contract's keys in their order", name);

    json_decref(root);
}


static int
str_is(exports_str_t str, const char *text)
{
    return text == NULL ? str.data == NULL
                        : str.data != NULL && str.len == strlen(text)
                          && memcmp(str.data, text, str.len) == 0;
}


static void
samples(void)
{
    uint8_t           hash[EXPORTS_HASH_LEN];
    uint64_t          tie;
    exports_rc_t      rc;
    exports_record_t  record;

    rc = parse(project_sample);
    is_rc(rc, EXPORTS_OK, &error, "the sample of the project API");
    decode(&record);

    is_mem(record.item.json, record.item.json_len, project_item,
           sizeof(project_item) - 1, "its item");
    keys_in_order(record.item.json, record.item.json_len, project_keys,
                  "project");

    is_int(manifest.kind, EXPORTS_PROJECT, "its kind");
    is_mem(manifest.scope, manifest.scope_len, "example_project", 15,
           "its project");
    is_mem(manifest.id, manifest.id_len, "exp_20260601_182345_a1b2c3d4e5", 30,
           "its id");
    is_int(manifest.created, TEST_TIME, "its time");
    must(exports_tie(manifest.id, manifest.id_len, &tie) == 0, "SHA-256");
    ok(manifest.tie == tie, "its tie");
    is_int(manifest.facets.has, EXPORTS_FACET_STATUS, "its facets");
    is_int(manifest.facets.status, EXPORTS_STATUS_READY, "its status");

    ok(memcmp(record.item.json + record.item.link_pos - 16,
              "\"download_url\":\"example", 23) == 0,
       "the place of the link is behind its quotation mark");
    is_int(record.item.flags, EXPORTS_RECORD_LINK, "flags");
    is_int(record.item.export_kind, EXPORTS_TABLE_EXPORT, "export kind");
    ok(str_is(record.storage_backend, "local")
       && str_is(record.storage_key, "exp_20260601_182345_a1b2c3d4e5")
       && str_is(record.content_type, "text/csv; charset=utf-8")
       && str_is(record.name, "contacts.csv")
       && str_is(record.group, "contacts")
       && str_is(record.subject_type, NULL), "what a download needs");

    /* users */

    rc = parse(user_sample);
    is_rc(rc, EXPORTS_OK, &error, "a sample of the user API");
    decode(&record);

    is_mem(record.item.json, record.item.json_len, user_item,
           sizeof(user_item) - 1, "its item");
    keys_in_order(record.item.json, record.item.json_len, user_keys, "user");

    is_int(manifest.kind, EXPORTS_USER, "its kind");
    is_mem(manifest.scope, manifest.scope_len, "42", 2, "its user");
    is_int(manifest.created, TEST_TIME + 500000 - 7200000000LL, "its time");
    is_int(manifest.facets.has, EXPORTS_FACET_MASK, "its facets");
    is_int(manifest.facets.subject_id, 123, "its subject's id");
    must(exports_hash(hash, "transactions", 12) == 0, "SHA-256");
    is_mem(manifest.facets.type, 16, hash, 16, "its type, hashed");
    must(exports_hash(hash, "charger", 7) == 0, "SHA-256");
    is_mem(manifest.facets.subject_type, 16, hash, 16,
           "its subject's type, hashed");

    ok(memcmp(record.item.json + record.item.link_pos - 16,
              "\"download_url\":\"\"}", 18) == 0, "the place of the link");
    is_int(record.item.flags, EXPORTS_RECORD_LINK|EXPORTS_RECORD_SUBJECT,
           "flags");
    is_int(record.item.export_kind, 0, "export kind");
    ok(str_is(record.storage_backend, "local")
       && str_is(record.storage_key, "0f9a4c1e-7b1d-4c58-9d0a-5a2f3d6b8e10")
       && str_is(record.content_type, "application/octet-stream")
       && str_is(record.name, "transactions.csv")
       && str_is(record.group, "transactions")
       && str_is(record.subject_type, "charger") && record.subject_id == 123,
       "what a download needs, by default");
}


/* items are printed as jansson prints, which stores of other versions hold */

static void
as_jansson(const char *sample, const char *key, json_t *value)
{
    char              *text;
    json_t            *root;
    exports_rc_t       rc;
    exports_record_t   record;

    root = json_loads(sample, 0, NULL);
    must(root != NULL && value != NULL
         && json_object_set_new(root, key, value) == 0, "a sample");

    rc = parse_object(root);

    if (!check(rc == EXPORTS_OK, "%s", error.text)) {
        return;
    }

    decode(&record);

    root = json_loadb(record.item.json, record.item.json_len, 0, NULL);
    text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
    must(text != NULL, "an item");

    check(strlen(text) == record.item.json_len
          && memcmp(text, record.item.json, record.item.json_len) == 0,
          "%.*s, not %s", (int) record.item.json_len, record.item.json, text);

    free(text);
    json_decref(root);
}


static void
printing(void)
{
    char               text[16];
    size_t             i;
    unsigned           c;
    static const char  *const  others[] = {
        "\u00e9", "\u20ac\ud7ff", "\U0001f600 \x7f", "/", "</script>"
    };
    static const json_int_t    counts[] = {
        0, 1, 9, 10, 99, 100, 4294967296, INT64_MAX
    };
    static const json_int_t    ids[] = {
        0, -1, -10, 7, INT64_MAX, INT64_MIN
    };

    for (c = 1; c < 0x80; c++) {
        (void) snprintf(text, sizeof(text), "%cx%c%cy%c", c, c, c, c);
        as_jansson(project_sample, "format", json_string(text));

        (void) snprintf(text, sizeof(text), "%c", c);
        as_jansson(user_sample, "filename", json_string(text));
        as_jansson(user_sample, "subject",
                   json_pack("{s:s, s:i, s:s}", "type", text, "id", 1, "label",
                             text));
    }

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        as_jansson(project_sample, "table", json_string(others[i]));
    }

    checked("characters");

    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        as_jansson(project_sample, "row_count", json_integer(counts[i]));
    }

    for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        as_jansson(user_sample, "subject",
                   json_pack("{s:s, s:I}", "type", "x", "id", ids[i]));
    }

    checked("integers");
}


/* the values of one key: accepted, or refused with the key's name */

typedef struct {
    const char  *key;
    const char  *value;         /* JSON; NULL: the key is left out */
    const char  *refused;       /* in the text; NULL: accepted */
} rule_t;


static const rule_t  project_rules[] = {
    { "id", NULL, "id: missing" },
    { "id", "null", "id: " },
    { "id", "5", "id: not a string" },
    { "id", "\"\"", "id: not exp_" },
    { "id", "\"exp_\"", "id: not exp_" },
    { "id", "\"exp\"", "id: not exp_" },
    { "id", "\"EXP_a\"", "id: not exp_" },
    { "id", "\"exp_a b\"", "id: not exp_" },
    { "id", "\"exp_a/b\"", "id: not exp_" },
    { "id", "\"exp_a.b\"", "id: not exp_" },
    { "id", "\"exp_\\u00e9\"", "id: not exp_" },
    { "id", "\"exp_-_Az09\"", NULL },

    { "kind", NULL, "kind: missing" },
    { "kind", "null", "kind: " },
    { "kind", "\"\"", "kind: not table_export" },
    { "kind", "\"table\"", "kind: not table_export" },
    { "kind", "\"Table_export\"", "kind: not table_export" },
    { "kind", "1", "kind: not a string" },
    { "kind", "\"database_export\"", NULL },
    { "kind", "\"schema_export\"", NULL },

    { "scope", NULL, "scope: missing" },
    { "scope", "null", "scope: " },
    { "scope", "\"\"", "scope: empty" },
    { "scope", "\"workspace\"", NULL },

    { "project", NULL, "neither \"project\" nor \"user\"" },
    { "project", "null", "project: " },
    { "project", "5", "project: not a string" },
    { "project", "\"\"", "project: not 1 to 128" },
    { "project", "\"Alpha\"", "project: not 1 to 128" },
    { "project", "\"a b\"", "project: not 1 to 128" },
    { "project", "\"a/b\"", "project: not 1 to 128" },
    { "project", "\"a.b\"", "project: not 1 to 128" },
    { "project", "\"-_09az\"", NULL },

    { "table", NULL, "table: missing" },
    { "table", "null", "table: missing" },
    { "table", "\"\"", "table: empty" },
    { "table", "7", "table: not a string" },
    { "table", "\"a\\nb\"", NULL },

    { "format", NULL, "format: missing" },
    { "format", "null", "format: " },
    { "format", "\"\"", "format: empty" },
    { "format", "\"zip-csv\"", NULL },
    { "format", "\"parquet\"", NULL },

    { "download_name", NULL, "download_name: missing" },
    { "download_name", "null", "download_name: " },
    { "download_name", "\"\"", "download_name: empty" },
    { "download_name", "\"\\u0442.csv\"", NULL },

    { "download_url", "\"/x\"", "download_url: unknown key" },
    { "download_url", "null", "download_url: unknown key" },

    { "storage_backend", NULL, "storage_backend: missing" },
    { "storage_backend", "null", "storage_backend: " },
    { "storage_backend", "\"\"", "storage_backend: empty" },
    { "storage_backend", "\"a\\u0001\"", "storage_backend: has a control" },
    { "storage_backend", "\"s3\"", NULL },

    { "content_type", NULL, "content_type: missing" },
    { "content_type", "null", "content_type: " },
    { "content_type", "\"\"", "content_type: empty" },
    { "content_type", "\"a/b\\r\\nX: y\"", "content_type: has a control" },
    { "content_type", "\"a/b\\u007f\"", "content_type: has a control" },
    { "content_type", "\"a/b\\t\"", "content_type: has a control" },
    { "content_type", "\"a/\\u00e9\"", NULL },

    { "row_count", NULL, NULL },
    { "row_count", "null", NULL },
    { "row_count", "0", NULL },
    { "row_count", "9223372036854775807", NULL },
    { "row_count", "-1", "row_count: not an integer of 0 or more" },
    { "row_count", "1.5", "row_count: not an integer" },
    { "row_count", "1.0", "row_count: not an integer" },
    { "row_count", "1e3", "row_count: not an integer" },
    { "row_count", "\"1\"", "row_count: not an integer" },
    { "row_count", "true", "row_count: not an integer" },
    { "row_count", "[]", "row_count: not an integer" },
    { "table_count", NULL, NULL },
    { "table_count", "-5", "table_count: not an integer" },
    { "size_bytes", NULL, NULL },
    { "size_bytes", "{}", "size_bytes: not an integer" },

    { "status", NULL, "status: missing" },
    { "status", "null", "status: " },
    { "status", "\"Ready\"", "status: not ready or not_found" },
    { "status", "\"pending\"", "status: not ready or not_found" },
    { "status", "\"\"", "status: not ready or not_found" },
    { "status", "\"not_found\"", NULL },

    { "status_reason", NULL, NULL },
    { "status_reason", "\"\"", NULL },
    { "status_reason", "\"gone\\n\"", NULL },
    { "status_reason", "false", "status_reason: not a string" },

    { "missing_at", NULL, NULL },
    { "missing_at", "null", NULL },
    { "missing_at", "\"2026-06-02T01:23:45Z\"", NULL },
    { "missing_at", "\"yesterday\"",
      "missing_at: " NOT_A_TIME ": \"yesterday\"" },
    { "missing_at", "5", "missing_at: " NOT_A_TIME ": 5" },

    { "created_at", NULL, "created_at: missing" },
    { "created_at", "null", "created_at: not an RFC 3339 time" },
    { "created_at", "\"\"", "created_at: not an RFC 3339 time" },
    { "created_at", "\"2026-06-02\"", "created_at: not an RFC 3339 time" },
    { "created_at", "\"1969-12-31T23:59:59Z\"",
      "created_at: not an RFC 3339 time" },
    { "created_at", "\"2026-06-02T01:23:45.1234567Z\"",
      "created_at: not an RFC 3339 time" },
    { "created_at", "\"1970-01-01T00:00:00Z\"", NULL },
    { "created_at", "\"9999-12-31T23:59:59.999999Z\"", NULL },

    { "expires_at", NULL, NULL },
    { "expires_at", "null", NULL },
    { "expires_at", "\"2026-06-31T01:23:45Z\"",
      "expires_at: not an RFC 3339 time" },

    { "storage_key", NULL, NULL },
    { "storage_key", "null", "storage_key: " },
    { "storage_key", "5", "storage_key: not a string" },
    { "storage_key", "\"\"", "storage_key: empty" },
    { "storage_key", "\"/etc/passwd\"", "storage_key: must not be absolute" },
    { "storage_key", "\"/\"", "storage_key: must not be absolute" },
    { "storage_key", "\"..\"", "storage_key: must not have \"..\"" },
    { "storage_key", "\"../a\"", "storage_key: must not have \"..\"" },
    { "storage_key", "\"a/..\"", "storage_key: must not have \"..\"" },
    { "storage_key", "\"a/../b\"", "storage_key: must not have \"..\"" },
    { "storage_key", "\"a//../b\"", "storage_key: must not have \"..\"" },
    { "storage_key", "\"a/b/../\"", "storage_key: must not have \"..\"" },
    { "storage_key", "\"a\\nb\"", "storage_key: has a control character" },
    { "storage_key", "\"a\\u007f\"", "storage_key: has a control character" },
    { "storage_key", "\"a/b/c.csv\"", NULL },
    { "storage_key", "\"..a/b../...\"", NULL },
    { "storage_key", "\"a..b\"", NULL },

    { "user", "42", "user: unknown key" },
    { "uuid", "\"a\"", "uuid: unknown key" },
    { "Id", "\"a\"", "Id: unknown key" },
    { "", "\"a\"", "unknown key" },
    { NULL, NULL, NULL }
};


static const rule_t  user_rules[] = {
    { "uuid", NULL, "uuid: missing" },
    { "uuid", "null", "uuid: " },
    { "uuid", "\"\"", "uuid: not 1 to 64" },
    { "uuid", "\"a_b\"", "uuid: not 1 to 64" },
    { "uuid", "\"a b\"", "uuid: not 1 to 64" },
    { "uuid", "\"Az-09\"", NULL },

    { "type", NULL, "type: missing" },
    { "type", "null", "type: " },
    { "type", "\"\"", "type: empty" },
    { "type", "\"a,b\"", "type: has a comma" },
    { "type", "\",\"", "type: has a comma" },
    { "type", "\"a b/\\u00e9\"", NULL },

    { "status", NULL, "status: missing" },
    { "status", "\"not_found\"", "status: not pending, processing" },
    { "status", "\"Ready\"", "status: not pending" },
    { "status", "1", "status: not a string" },
    { "status", "\"pending\"", NULL },
    { "status", "\"processing\"", NULL },
    { "status", "\"failed\"", NULL },
    { "status", "\"cancelled\"", NULL },

    { "filename", NULL, NULL },
    { "filename", "null", NULL },
    { "filename", "\"\"", "filename: empty" },
    { "filename", "1", "filename: not a string" },

    { "file_size", "null", NULL },
    { "file_size", "-1", "file_size: not an integer" },
    { "row_count", "\"x\"", "row_count: not an integer" },

    { "error_message", NULL, NULL },
    { "error_message", "\"\"", NULL },
    { "error_message", "[1]", "error_message: not a string" },

    { "requested_at", NULL, "requested_at: missing" },
    { "requested_at", "null", "requested_at: not an RFC 3339 time" },
    { "requested_at", "\"2026-06-02T01:23:60Z\"",
      "requested_at: not an RFC 3339 time" },
    { "completed_at", "\"x\"", "completed_at: not an RFC 3339 time" },
    { "completed_at", "null", NULL },
    { "failed_at", "true", "failed_at: not an RFC 3339 time" },
    { "failed_at", NULL, NULL },

    { "subject", NULL, NULL },
    { "subject", "null", NULL },
    { "subject", "\"x\"", "subject: neither an object nor null" },
    { "subject", "[]", "subject: neither an object nor null" },
    { "subject", "{}", "subject.type: missing" },
    { "subject", "{\"type\":\"a\"}", "subject.id: missing" },
    { "subject", "{\"id\":1}", "subject.type: missing" },
    { "subject", "{\"type\":\"\",\"id\":1}", "subject.type: not a string" },
    { "subject", "{\"type\":null,\"id\":1}", "subject.type: not a string" },
    { "subject", "{\"type\":\"a\",\"id\":null}", "subject.id: not an int" },
    { "subject", "{\"type\":\"a\",\"id\":\"1\"}", "subject.id: not an int" },
    { "subject", "{\"type\":\"a\",\"id\":1.5}", "subject.id: not an integer" },
    { "subject", "{\"type\":\"a\",\"id\":1,\"label\":2}", "subject.label: " },
    { "subject", "{\"type\":\"a\",\"id\":1,\"x\":2}",
      "subject.x: unknown key" },
    { "subject", "{\"type\":\"a\",\"id\":-1}", NULL },
    { "subject", "{\"type\":\"a\",\"id\":1,\"label\":null}", NULL },
    { "subject", "{\"label\":\"\",\"id\":-9223372036854775808,"
                 "\"type\":\"a\"}", NULL },

    { "download_url", "null", "download_url: unknown key" },

    { "user", NULL, "neither \"project\" nor \"user\"" },
    { "user", "null", "user: " },
    { "user", "\"\"", "user: not an integer or 1 to 64" },
    { "user", "\"a b\"", "user: not an integer or 1 to 64" },
    { "user", "\"a/b\"", "user: not an integer or 1 to 64" },
    { "user", "1.5", "user: not an integer or 1 to 64" },
    { "user", "true", "user: not an integer or 1 to 64" },
    { "user", "{}", "user: not an integer or 1 to 64" },
    { "user", "-7", NULL },
    { "user", "9223372036854775807", NULL },
    { "user", "\"Az.0_9-\"", NULL },

    { "storage_backend", "null", "storage_backend: " },
    { "storage_backend", "\"\"", "storage_backend: empty" },
    { "storage_backend", "\"s3\"", NULL },
    { "storage_key", "null", "storage_key: " },
    { "storage_key", "\"a/../b\"", "storage_key: must not have" },
    { "storage_key", "\"a/b\"", NULL },
    { "content_type", "null", "content_type: " },
    { "content_type", "\"a/b\\n\"", "content_type: has a control" },
    { "content_type", "\"a/b\"", NULL },

    { "project", "\"alpha\"", "unknown key" },
    { "table", "\"a\"", "table: unknown key" },
    { NULL, NULL, NULL }
};


static void
obey(const char *sample, const rule_t *rules, const char *name)
{
    exports_rc_t       rc;
    exports_record_t   record;

    for ( /* void */ ; rules->key != NULL; rules++) {

        rc = parse_object(altered(sample, rules->key, rules->value));

        check(rc == (rules->refused == NULL ? EXPORTS_OK : EXPORTS_INVALID),
              "%s = %s: %s %s", rules->key,
              rules->value != NULL ? rules->value : "(none)", rc_name(rc),
              rc != EXPORTS_OK ? error.text : "");

        if (rc == EXPORTS_OK) {
            decode(&record);

        } else if (rules->refused != NULL) {
            check(strstr(error.text, rules->refused) != NULL,
                  "%s = %s: \"%s\" has no \"%s\"", rules->key,
                  rules->value != NULL ? rules->value : "(none)", error.text,
                  rules->refused);
            check(error.rc == rc, "the code in the error");
        }
    }

    checked("%s: what is accepted, and what is refused by name", name);
}


/* what is no manifest at all */

static void
malformed(void)
{
    char                *text;
    size_t               i, len;
    static const char   *texts[] = {
        "", " ", "[]", "5", "\"x\"", "null", "{", "}", "{}", "{\"project\"}",
        "{\"project\":\"a\",}", "{'project':'a'}", "{\"project\":\"a\"}}",
        "{\"project\":\"a\"} x", "\xef\xbb\xbf{}", "{\"project\":\"\\ud800\"}",
        "{\"project\":\"\\udc00\\ud800\"}", "{\"project\":\"\\u0000\"}",
        "{\"project\":\"a\\u0000\"}", "{\"pro\\u0000ject\":\"a\"}",
        "{\"project\":\"\xff\"}", "{\"project\":\"\xc0\x80\"}",
        "{\"project\":\"\xed\xa0\x80\"}", "{\"project\":\"\xf4\x90\x80\x80\"}",
        "{\"\xff\":1}", "{\"project\":\"\xe2\x82\"}", "{\"project\":\"\x01\"}",
        "{\"project\":\"a\nb\"}", "{\"project\":\"a\",\"project\":\"a\"}",
        "{\"user\":1,\"user\":1}", "{\"user\":99999999999999999999}",
        "{\"user\":9223372036854775808}", "{\"user\":-9223372036854775809}",
        "{\"user\":1e999}", "{\"user\":NaN}", "{\"user\":Infinity}",
        "{\"user\":0x10}", "{\"user\":01}", "{\"user\":+1}", "{\"user\":1.}",
        "{\"user\":1,\"subject\":{\"type\":\"a\",\"type\":\"b\",\"id\":1}}",
        "{\"a\nb\":1,\"user\":1}", "{\"a\\nb\":1,\"user\":1}",
        "{\"a\\u001b[31m\":1,\"user\":1}",
        "{\"user\":1,\"subject\":{\"\\n\":1}}"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check(parse(texts[i]) == EXPORTS_INVALID, "%s", texts[i]);
        check(error.text[0] != '\0', "%s: no text", texts[i]);

        for (len = 0; error.text[len] != '\0'; len++) {
            if ((unsigned char) error.text[len] < 0x20
                || error.text[len] == 0x7f)
            {
                check(0, "%zu: a control character in: %s", i, error.text);
                break;
            }
        }
    }

    check(parse_bytes("{\"user\":1}\0", 11) == EXPORTS_INVALID, "a NUL");
    check(parse_bytes("\0", 1) == EXPORTS_INVALID, "a NUL alone");
    check(parse_bytes(project_sample, sizeof(project_sample))
          == EXPORTS_INVALID, "a sample and a NUL");
    check(parse_bytes(project_sample, sizeof(project_sample) - 2)
          == EXPORTS_INVALID, "a sample cut off");

    checked("what is no JSON object is refused, in one line");

    /* a key twice: in a manifest that is right but for that */

    is_int(parse_bytes(project_sample, sizeof(project_sample) - 1),
           EXPORTS_OK, "a sample");

    text = malloc(sizeof(project_sample) + 40);
    must(text != NULL, "memory");
    (void) snprintf(text, sizeof(project_sample) + 40,
                    "%.*s,\"status\":\"ready\"}",
                    (int) sizeof(project_sample) - 2, project_sample);
    is_int(parse(text), EXPORTS_INVALID, "a key twice");
    has_str(error.text, "duplicate object key", "the text says so");
    free(text);

    /* with 64 bits one too many: which of jansson's words matters less */

    is_int(parse("{\"user\":9223372036854775808}"), EXPORTS_INVALID,
           "an integer of more than 63 bits");
    has_str(error.text, "integer", "the text says so");

    /* nesting, and length */

    text = malloc(EXPORTS_JSON_MAX + 2);
    must(text != NULL, "memory");

    memset(text, '[', EXPORTS_JSON_MAX);
    is_int(parse_bytes(text, EXPORTS_JSON_MAX), EXPORTS_INVALID,
           "nested without end");

    memset(text, ' ', EXPORTS_JSON_MAX + 1);
    memcpy(text, project_sample, sizeof(project_sample) - 1);
    is_int(parse_bytes(text, EXPORTS_JSON_MAX), EXPORTS_OK,
           "of the greatest length");
    is_int(parse_bytes(text, EXPORTS_JSON_MAX + 1), EXPORTS_INVALID,
           "a byte longer");
    has_str(error.text, "longer than", "the text says so");

    free(text);

    /* a NUL inside of every string */

    is_int(parse("{\"id\":\"exp_a\",\"kind\":\"table_export\",\"scope\":"
                 "\"p\",\"project\":\"p\",\"table\":\"t\",\"format\":\"csv\","
                 "\"download_name\":\"x\",\"storage_backend\":\"local\","
                 "\"content_type\":\"a/b\",\"status\":\"ready\","
                 "\"created_at\":\"2026-06-02T01:23:45Z\",\"storage_key\":"
                 "\"a\\u0000b\"}"), EXPORTS_INVALID,
           "a NUL in a storage key");
}


/* lengths of strings, in bytes */

static void
lengths(void)
{
    char               text[2200], quoted[2300];
    size_t             i, n;
    json_t            *subject;
    exports_rc_t       rc;
    exports_record_t   record;
    static const struct {
        const char  *sample;
        const char  *key;
        size_t       max;
        const char  *start;
    } fields[] = {
        { project_sample, "id", 128, "exp_" },
        { project_sample, "scope", 1024, "" },
        { project_sample, "project", 128, "" },
        { project_sample, "table", 1024, "" },
        { project_sample, "format", 1024, "" },
        { project_sample, "download_name", 1024, "" },
        { project_sample, "storage_backend", 1024, "" },
        { project_sample, "content_type", 1024, "" },
        { project_sample, "status_reason", 1024, "" },
        { project_sample, "storage_key", 1024, "" },
        { user_sample, "uuid", 64, "" },
        { user_sample, "type", 1024, "" },
        { user_sample, "filename", 1024, "" },
        { user_sample, "error_message", 1024, "" },
        { user_sample, "user", 64, "" },
        { user_sample, "storage_backend", 1024, "" },
        { user_sample, "storage_key", 1024, "" },
        { user_sample, "content_type", 1024, "" }
    };

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        for (n = fields[i].max - 1; n <= fields[i].max + 1; n++) {
            memset(text, 'a', n);
            memcpy(text, fields[i].start, strlen(fields[i].start));
            text[n] = '\0';
            (void) snprintf(quoted, sizeof(quoted), "\"%s\"", text);

            rc = parse_object(altered(fields[i].sample, fields[i].key,
                                      quoted));

            check(rc == (n > fields[i].max ? EXPORTS_INVALID : EXPORTS_OK),
                  "%s of %zu bytes: %s", fields[i].key, n, rc_name(rc));

            if (rc == EXPORTS_OK) {
                decode(&record);
            } else {
                check(strncmp(error.text, fields[i].key,
                              strlen(fields[i].key)) == 0,
                      "%s: \"%s\"", fields[i].key, error.text);
            }
        }
    }

    checked("strings of the greatest length, and longer");

    /* bytes, not characters */

    for (n = 0; n < 512; n++) {
        memcpy(text + 2 * n, "\xc3\xa9", 2);
    }

    memcpy(text + 1024, "x", 2);
    (void) snprintf(quoted, sizeof(quoted), "\"%.1024s\"", text);
    is_int(parse_object(altered(project_sample, "table", quoted)), EXPORTS_OK,
           "512 characters of two bytes");
    (void) snprintf(quoted, sizeof(quoted), "\"%s\"", text);
    is_int(parse_object(altered(project_sample, "table", quoted)),
           EXPORTS_INVALID, "and one byte");

    /* a subject's */

    for (i = 0; i < 2; i++) {
        for (n = 1024; n <= 1025; n++) {
            memset(text, 's', n);
            text[n] = '\0';

            subject = json_pack("{s:s, s:i, s:s}", "type", i == 0 ? text : "t",
                                "id", 1, "label", i == 1 ? text : "l");
            must(subject != NULL, "json_pack");

            {
                json_t  *root;

                root = altered(user_sample, "x", NULL);
                (void) json_object_set_new(root, "subject", subject);
                rc = parse_object(root);
            }

            check(rc == (n > 1024 ? EXPORTS_INVALID : EXPORTS_OK),
                  "a subject's %s of %zu bytes: %s", i == 0 ? "type" : "label",
                  n, rc_name(rc));
            check(rc == EXPORTS_OK
                  || strstr(error.text, i == 0 ? "subject.type: "
                                               : "subject.label: ") != NULL,
                  "%s", error.text);
        }
    }

    checked("a subject's strings");
}


/* a record of up to 16 KiB: text that JSON writes as six bytes each */

static void
record_size(void)
{
    char               text[8000], quoted[8200];
    size_t             n, largest;
    json_t            *root;
    unsigned           i;
    exports_rc_t       rc;
    exports_record_t   record;
    static const char *const  keys[] = { "scope", "format", "status_reason" };

    largest = 0;

    for (n = 0; n <= 1024; n++) {
        root = altered(project_sample, "x", NULL);

        for (i = 0; i < 3; i++) {

            /* two of the full length less a bit, one that varies */

            size_t  len, k;

            len = i < 2 ? 900 : n;

            for (k = 0; k < len; k++) {
                memcpy(text + 6 * k, "\\u0001", 6);
            }

            text[6 * len] = '\0';
            (void) snprintf(quoted, sizeof(quoted), "\"%s\"", text);
            (void) json_object_set_new(root, keys[i],
                                       json_loads(quoted, JSON_DECODE_ANY,
                                                  NULL));
        }

        rc = parse_object(root);

        if (rc == EXPORTS_OK) {
            decode(&record);
            check(manifest.record_len > largest
                  && manifest.record_len <= EXPORTS_RECORD_MAX,
                  "%zu: a record of %zu bytes", n, manifest.record_len);
            largest = manifest.record_len;

        } else {
            check(rc == EXPORTS_INVALID && largest + 6 > EXPORTS_RECORD_MAX,
                  "%zu: %s, though the one before was of %zu bytes", n,
                  rc_name(rc), largest);
            check(strstr(error.text, "larger than a record may be") != NULL,
                  "%s", error.text);
        }
    }

    checked("records up to 16 KiB");
    ok(largest > EXPORTS_RECORD_MAX - 6 && largest <= EXPORTS_RECORD_MAX,
       "the largest is of %zu bytes", largest);
}


/* what a message shows of a value */

static void
messages(void)
{
    char    value[300];
    size_t  len, i;

    memset(value, 'y', sizeof(value));
    value[0] = value[200] = '"';
    value[201] = '\0';

    is_int(parse_object(altered(project_sample, "created_at", value)),
           EXPORTS_INVALID, "a long value");
    has_str(error.text, "created_at: " NOT_A_TIME ": \"yyyyyyyyyyyyyyyy"
            "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
            "its beginning is shown");
    len = strlen(error.text);
    ok(len < 160 && strcmp(error.text + len - 3, "...") == 0,
       "and dots for the rest");

    is_int(parse_object(altered(project_sample, "created_at",
                                "\"a\\u001b[31m\\n\\u20ac\"")),
           EXPORTS_INVALID, "a value with control characters");

    for (i = 0; error.text[i] >= 0x20 && error.text[i] < 0x7f; i++) {
        /* void */
    }

    ok(error.text[i] == '\0', "is shown as ASCII: %s", error.text);

    memset(value, 'k', sizeof(value));
    value[250] = '\0';
    is_int(parse_object(altered(project_sample, value, "1")), EXPORTS_INVALID,
           "a long key that is unknown");
    ok(strlen(error.text) < 100 && strstr(error.text, "kkk: unknown key"),
       "is cut: %s", error.text);

    is_int(exports_manifest_parse(&manifest, "{}", 2, NULL), EXPORTS_INVALID,
           "without an error to fill");
    is_int(exports_manifest_parse(&manifest, "{", 1, NULL), EXPORTS_INVALID,
           "not JSON, without an error to fill");
}


/* 42 and "42" */

static void
users(void)
{
    size_t              len;
    static exports_manifest_t  first;

    is_int(parse_object(altered(user_sample, "user", "42")), EXPORTS_OK,
           "user 42");
    first = manifest;
    is_int(parse_object(altered(user_sample, "user", "\"42\"")), EXPORTS_OK,
           "user \"42\"");

    len = first.record_len;
    ok(manifest.scope_len == 2 && memcmp(manifest.scope, "42", 2) == 0
       && manifest.record_len == len
       && memcmp(manifest.record, first.record, len) == 0
       && manifest.tie == first.tie && manifest.created == first.created,
       "are the same manifest");

    is_int(parse_object(altered(user_sample, "user", "-42")), EXPORTS_OK,
           "user -42");
    is_mem(manifest.scope, manifest.scope_len, "-42", 3, "is another");
    is_int(parse_object(altered(user_sample, "user", "\"042\"")), EXPORTS_OK,
           "user \"042\"");
    is_mem(manifest.scope, manifest.scope_len, "042", 3, "is another");
}


/* links are for what is ready, and for every project's */

static void
links(void)
{
    unsigned                  i;
    exports_record_t          record;
    static const char *const  words[] = { "pending", "processing", "ready",
                                          "failed", "cancelled" };

    for (i = 0; i < 5; i++) {
        char  quoted[32];

        (void) snprintf(quoted, sizeof(quoted), "\"%s\"", words[i]);
        is_int(parse_object(altered(user_sample, "status", quoted)),
               EXPORTS_OK, "a user's, %s", words[i]);
        decode(&record);

        ok(((record.item.flags & EXPORTS_RECORD_LINK) != 0) == (i == 2)
           && (memmem(record.item.json, record.item.json_len,
                      "\"download_url\":null}", 20) == NULL) == (i == 2),
           "%s: its link", words[i]);
    }

    is_int(parse_object(altered(project_sample, "status", "\"not_found\"")),
           EXPORTS_OK, "a project's, not_found");
    decode(&record);
    is_int(record.item.flags, EXPORTS_RECORD_LINK, "has its link");

    is_int(parse_object(altered(project_sample, "expires_at",
                                "\"2030-01-01T00:00:00Z\"")),
           EXPORTS_OK, "one that expires");
    decode(&record);
    ok((record.item.flags & EXPORTS_RECORD_EXPIRES)
       && record.expires == 1893456000000000ULL, "has the time of that");
}


/* random manifests: parsed, printed and parsed again */

static void
random_text(json_t *root, const char *key, unsigned max, int plain)
{
    char      text[1100];
    size_t    n, len;
    static const char *const  pieces[] = {
        "a", "B", "7", " ", "\"", "\\", "/", "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f\x98\x80", "<", "&", "%", "\x7f", "\n", "\x01", "\xe2\x80\xa8"
    };

    len = 0;
    text[0] = '\0';

    do {
        const char  *piece;

        piece = pieces[below(plain ? 13 : 17)];
        n = strlen(piece);

        if (len + n > max) {
            break;
        }

        memcpy(text + len, piece, n + 1);
        len += n;

    } while (!chance(5));

    if (len == 0) {
        memcpy(text, "x", 2);
    }

    (void) json_object_set_new(root, key, json_string(text));
}


static void
random_value(json_t *root, const char *key)
{
    char  time[EXPORTS_TIME_TEXT_MAX + 1];

    switch (below(3)) {

    case 0:
        (void) json_object_set_new(root, key, json_null());
        break;

    case 1:
        break;

    default:

        if (strstr(key, "_at") != NULL) {
            time[exports_time_format(time, rnd() % (EXPORTS_TIME_MAX + 1))]
                = '\0';
            (void) json_object_set_new(root, key, json_string(time));

        } else {
            (void) json_object_set_new(root, key,
                                       json_integer((json_int_t) (rnd() >> (1
                                                          + below(60)))));
        }
    }
}


static void
random_time(json_t *root, const char *key)
{
    char    time[EXPORTS_TIME_TEXT_MAX + 1];
    size_t  len;

    len = exports_time_format(time, rnd() % (EXPORTS_TIME_MAX + 1));
    time[len] = '\0';
    (void) json_object_set_new(root, key, json_string(time));
}


static json_t *
random_manifest(void)
{
    char      id[40];
    json_t   *root;
    static const char *const  kinds[] = { "table_export", "database_export",
                                          "schema_export" };
    static const char *const  words[] = { "pending", "processing", "ready",
                                          "failed", "cancelled" };

    root = json_object();

    if (chance(50)) {
        (void) snprintf(id, sizeof(id), "exp_%" PRIx64, rnd());
        (void) json_object_set_new(root, "id", json_string(id));
        (void) json_object_set_new(root, "kind", json_string(kinds[below(3)]));
        random_text(root, "scope", 30, 0);
        (void) json_object_set_new(root, "project",
                                   json_string(chance(50) ? "a" : "b-_9"));
        random_text(root, "table", 1024, 0);
        random_text(root, "format", 30, 0);
        random_text(root, "download_name", 300, 0);
        random_text(root, "storage_backend", 30, 1);
        random_text(root, "content_type", 30, 1);
        random_value(root, "row_count");
        random_value(root, "table_count");
        random_value(root, "size_bytes");
        (void) json_object_set_new(root, "status",
                                   json_string(chance(50) ? "ready"
                                                          : "not_found"));
        random_value(root, "missing_at");
        random_value(root, "expires_at");
        random_time(root, "created_at");

        if (chance(50)) {
            random_text(root, "status_reason", 1024, 0);
        }

    } else {
        (void) snprintf(id, sizeof(id), "%" PRIx64 "-%x", rnd(), below(99));
        (void) json_object_set_new(root, "uuid", json_string(id));
        random_text(root, "type", 100, 0);
        (void) json_object_set_new(root, "status",
                                   json_string(words[below(5)]));
        random_value(root, "file_size");
        random_value(root, "row_count");
        random_value(root, "completed_at");
        random_value(root, "failed_at");
        random_time(root, "requested_at");
        (void) json_object_set_new(root, "user",
                                   chance(50) ? json_integer((json_int_t)
                                                             rnd())
                                              : json_string("a.b_C-9"));

        if (chance(50)) {
            random_text(root, "filename", 300, 0);
            random_text(root, "error_message", 300, 0);
        }

        if (chance(60)) {
            json_t  *subject;

            subject = json_object();
            random_text(subject, "type", 100, 0);
            (void) json_object_set_new(subject, "id",
                                       json_integer((json_int_t) rnd()));

            if (chance(50)) {
                random_text(subject, "label", 300, 0);
            }

            (void) json_object_set_new(root, "subject", subject);
        }

        if (chance(30)) {
            random_text(root, "content_type", 30, 1);
            random_text(root, "storage_backend", 30, 1);
        }
    }

    if (chance(40)) {
        random_text(root, "storage_key", 1000, 1);
        (void) snprintf(id, sizeof(id), "a/%x/b..c", below(1000));
        (void) json_object_set_new(root, "storage_key", json_string(id));
    }

    return root;
}


/* the same object, its keys in another order */

static json_t *
shuffled(json_t *root)
{
    size_t       n, i, j;
    json_t      *value, *other;
    const char  *key, *keys[32], *swap;

    n = 0;

    json_object_foreach (root, key, value) {
        keys[n++] = key;
    }

    for (i = n; i > 1; i--) {
        j = below((unsigned) i);
        swap = keys[i - 1];
        keys[i - 1] = keys[j];
        keys[j] = swap;
    }

    other = json_object();

    for (i = 0; i < n; i++) {
        (void) json_object_set(other, keys[i], json_object_get(root, keys[i]));
    }

    return other;
}


static int
same_manifest(const exports_manifest_t *a, const exports_manifest_t *b)
{
    return a->kind == b->kind && a->scope_len == b->scope_len
           && memcmp(a->scope, b->scope, a->scope_len) == 0
           && a->id_len == b->id_len && memcmp(a->id, b->id, a->id_len) == 0
           && a->created == b->created && a->tie == b->tie
           && a->record_len == b->record_len
           && memcmp(a->record, b->record, a->record_len) == 0
           && a->facets.has == b->facets.has
           && a->facets.status == b->facets.status;
}


static void
round_trips(void)
{
    char              *text, *printed;
    json_t            *root;
    unsigned           i;
    exports_rc_t       rc;
    exports_record_t   record;
    static exports_manifest_t  first;

    for (i = 0; i < rounds(20000, 6000); i++) {
        root = random_manifest();

        text = json_dumps(root, chance(50) ? JSON_COMPACT
                                           : JSON_INDENT(2)|JSON_ENSURE_ASCII);
        must(text != NULL, "json_dumps");

        rc = parse(text);

        if (!check(rc == EXPORTS_OK, "%s: %s", rc == EXPORTS_OK ? ""
                                                                : error.text,
                   text))
        {
            json_decref(root);
            free(text);
            continue;
        }

        decode(&record);
        first = manifest;

        rc = exports_manifest_print(&printed, &record, manifest.scope,
                                    manifest.scope_len, &error);

        if (check(rc == EXPORTS_OK, "printing: %s", error.text)) {
            check(strchr(printed, '\n') == NULL, "lines: %s", printed);
            rc = parse(printed);

            if (check(rc == EXPORTS_OK, "%s: %s", error.text, printed)) {
                decode(&record);
                check(same_manifest(&first, &manifest), "%s\n# %s", text,
                      printed);
            }

            free(printed);
        }

        free(text);

        rc = parse_object(shuffled(root));
        check(rc == EXPORTS_OK, "in another order: %s", error.text);

        if (rc == EXPORTS_OK) {
            decode(&record);
            check(same_manifest(&first, &manifest),
                  "another order makes another record");
        }

        json_decref(root);
    }

    checked("a manifest printed is the same manifest");
}


/* a record whose checksum is right, but whose item is no item */

static void
no_item(void)
{
    char              *text;
    exports_rc_t       rc;
    exports_record_t   record;

    is_int(parse(project_sample), EXPORTS_OK, "a sample");
    decode(&record);

    record.item.json = "[]";
    record.item.json_len = 2;
    rc = exports_manifest_print(&text, &record, "a", 1, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "an item that is no object");

    record.item.json = "{\"id\":";
    record.item.json_len = 6;
    rc = exports_manifest_print(&text, &record, "a", 1, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "nor one that is no JSON");
    has_str(error.text, "exp_20260601", "the text names it");

    record.item.json = "{}";
    record.item.json_len = 2;
    rc = exports_manifest_print(&text, &record, "a", 1, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "nor one without a link");
    has_str(error.text, "download_url", "the text says what is missing");

    is_int(parse(user_sample), EXPORTS_OK, "a sample");
    decode(&record);

    record.content_type.data = "text/\xff";
    record.content_type.len = 6;
    rc = exports_manifest_print(&text, &record, "42", 2, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "nor a string that is not UTF-8");
    has_str(error.text, "UTF-8", "the text says so");

    decode(&record);
    rc = exports_manifest_print(&text, &record, "\xff", 1, &error);
    is_rc(rc, EXPORTS_CORRUPT, &error, "nor a scope");
}


/* what comes in from a line of any kind */

static void
lines(void)
{
    static exports_line_t  line;
    exports_rc_t           rc;
    exports_line_type_t    type;

    rc = exports_line_parse(&line, &type, project_sample,
                            sizeof(project_sample) - 1, &error);
    ok(rc == EXPORTS_OK && type == EXPORTS_LINE_MANIFEST
       && line.manifest.kind == EXPORTS_PROJECT, "a line: a project's");

    rc = exports_line_parse(&line, &type, user_sample,
                            sizeof(user_sample) - 1, &error);
    ok(rc == EXPORTS_OK && type == EXPORTS_LINE_MANIFEST
       && line.manifest.kind == EXPORTS_USER, "a line: a user's");

    rc = exports_line_parse(&line, &type, "{\"sha256\":\"x\"}", 14, &error);
    is_rc(rc, EXPORTS_INVALID, &error, "a line: a token");
    has_str(error.text, "sha256: ", "the text says so");

    rc = exports_line_parse(&line, &type, "{}", 2, &error);
    is_rc(rc, EXPORTS_INVALID, &error, "a line: neither");
}


/* random damage to the samples; what is accepted all the same holds up */

static void
fuzz(void)
{
    char                  *text, *printed;
    size_t                 len, at, n;
    unsigned               i, k, accepted, total;
    exports_rc_t           rc;
    exports_record_t       record;
    exports_line_type_t    type;
    const char            *sample;
    static exports_line_t  line;
    static const char *const  samples[] = {
        project_sample, user_sample,
        "{\"sha256\":\"0011223344556677889900112233445566778899001122334455"
        "667788990011\",\"project\":\"alpha\",\"admin\":true,\"tables\":"
        "[\"a\",\"b\"],\"created_at\":\"2026-06-02T01:23:45Z\","
        "\"expires_at\":null,\"revoked_at\":null,\"active\":false}"
    };
    static const char *const  bits[] = {
        "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "true", "0", "-",
        "e9", "\\u0000", "\\ud83d", "\xff", "\xc3", "..", "/", "Z", ".", "9",
        "\"project\":", "\"user\":", "9999999999999999999"
    };

    total = rounds(250000, 100000);
    accepted = 0;
    text = malloc(4096);
    must(text != NULL, "memory");

    for (i = 0; i < total; i++) {
        sample = samples[i % 3];
        len = strlen(sample);
        memcpy(text, sample, len);

        for (k = 1 + below(4); k > 0; k--) {
            at = below((unsigned) len);

            switch (below(5)) {

            case 0:
                text[at] = (char) rnd();
                break;

            case 1:
                text[at] ^= (char) (1 << below(8));
                break;

            case 2:
                n = below(20);
                n = n < len - at ? n : len - at - 1;
                memmove(text + at, text + at + n, len - at - n);
                len -= n;
                break;

            case 3:
                len = chance(10) ? at + 1 : len;
                break;

            default:
                n = below(sizeof(bits) / sizeof(bits[0]));
                memmove(text + at + strlen(bits[n]), text + at, len - at);
                memcpy(text + at, bits[n], strlen(bits[n]));
                len += strlen(bits[n]);
            }
        }

        /* of its exact size, for a sanitizer to see what is read behind it */

        {
            char  *exact;

            exact = malloc(len);
            must(exact != NULL, "memory");
            memcpy(exact, text, len);
            rc = exports_line_parse(&line, &type, exact, len, &error);
            free(exact);
        }

        check(rc == EXPORTS_OK || rc == EXPORTS_INVALID, "%s", rc_name(rc));

        if (rc != EXPORTS_OK) {
            check(error.text[0] != '\0', "no text");
            continue;
        }

        accepted++;

        if (type == EXPORTS_LINE_TOKEN) {
            continue;
        }

        manifest = line.manifest;
        decode(&record);

        rc = exports_manifest_print(&printed, &record, manifest.scope,
                                    manifest.scope_len, &error);
        check(rc == EXPORTS_OK, "printing: %s", error.text);

        if (rc == EXPORTS_OK) {
            check(parse(printed) == EXPORTS_OK, "%s: %s", error.text, printed);
            free(printed);
        }
    }

    free(text);

    checked("damaged JSON crashes nothing");
    note("%u of %u were accepted all the same", accepted, total);
}


int
main(void)
{
    random_seed();

    samples();
    printing();
    obey(project_sample, project_rules, "project");
    obey(user_sample, user_rules, "user");
    malformed();
    lengths();
    record_size();
    messages();
    users();
    links();
    no_item();
    lines();
    round_trips();
    fuzz();

    return done_testing();
}
