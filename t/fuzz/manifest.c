
/* a line of an import: a manifest of either API, or a token */

#include <jansson.h>

#include "exports_digest.h"
#include "exports_manifest.h"
#include "exports_time.h"
#include "fuzz.h"


static void refused(const exports_error_t *error);
static void check_manifest(exports_manifest_t *manifest, json_t *source);
static void check_keys(const exports_manifest_t *manifest, json_t *item,
    json_t *source);
static void check_value(const char *key, json_t *value, json_t *source);
static void check_path(const exports_str_t *path);
static void check_again(const exports_manifest_t *manifest,
    const exports_record_t *record);
static json_t *item_of(const exports_record_t *record);
static void check_token(const exports_token_line_t *line, json_t *source);
static void check_token_again(const exports_token_line_t *line);


static const char  *project_keys[] = {
    "id", "kind", "scope", "project", "table", "format", "download_name",
    "download_url", "storage_backend", "content_type", "row_count",
    "table_count", "size_bytes", "status", "status_reason", "missing_at",
    "created_at", "expires_at", NULL
};

static const char  *user_keys[] = {
    "uuid", "type", "status", "filename", "file_size", "row_count",
    "error_message", "requested_at", "completed_at", "failed_at", "subject",
    "download_url", NULL
};


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                 *text;
    json_t               *source;
    exports_rc_t          rc;
    exports_error_t       error;
    static exports_line_t line;
    exports_line_type_t   type;

    text = fuzz_copy(data, size);
    error.text[0] = '\0';
    type = 0;

    rc = exports_line_parse(&line, &type, text, size, &error);
    source = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);

    if (rc == EXPORTS_OK) {
        must(json_is_object(source), "no object");

        if (type == EXPORTS_LINE_MANIFEST) {
            check_manifest(&line.manifest, source);

        } else {
            must(type == EXPORTS_LINE_TOKEN, "%d", (int) type);
            check_token(&line.token, source);
        }

    } else {
        must(rc == EXPORTS_INVALID, "%d: %s", rc, error.text);
        refused(&error);
    }

    json_decref(source);
    free(text);

    return 0;
}


/* one line that says which key, or what the object as a whole lacks */

static void
refused(const exports_error_t *error)
{
    size_t              i;
    const char         *p;
    static const char  *whole[] = {
        "not JSON as it must be: ", "not a JSON object", "neither \"project\"",
        "both \"project\"", "larger than a record", "longer than ",
        "a user's token has no "
    };

    must(error->rc == EXPORTS_INVALID, "%d", error->rc);

    for (p = error->text; *p != '\0'; p++) {
        must((unsigned char) *p >= 0x20 && *p != 0x7f, "%02x", *p);
    }

    must(p > error->text, "no text");

    for (i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
        if (strncmp(error->text, whole[i], strlen(whole[i])) == 0) {
            return;
        }
    }

    must(strstr(error->text, ": ") != NULL, "no key: %s", error->text);
}


static void
check_manifest(exports_manifest_t *manifest, json_t *source)
{
    json_t             *item;
    uint8_t             key[EXPORTS_MANIFEST_KEY_LEN];
    exports_record_t    record;
    exports_facets_t    facets;

    must(exports_scope_name_valid(manifest->kind, manifest->scope,
                                  manifest->scope_len), "scope");
    must(exports_id_valid(manifest->kind, manifest->id, manifest->id_len),
         "id");
    must(manifest->created <= EXPORTS_TIME_MAX, "%llu",
         (unsigned long long) manifest->created);
    must(manifest->record_len <= EXPORTS_RECORD_MAX, "%zu",
         manifest->record_len);

    exports_manifest_key(key, 1, manifest->created, manifest->tie);
    exports_record_seal(manifest->record, manifest->record_len, key);

    must(exports_record_decode(&record, key, manifest->record,
                               manifest->record_len) == EXPORTS_OK,
         "the record does not decode");
    must(record.item.kind == manifest->kind, "%d", record.item.kind);
    must(record.item.id.len == manifest->id_len
         && memcmp(record.item.id.data, manifest->id, manifest->id_len) == 0,
         "another id");

    memset(&facets, 0, sizeof(facets));
    must(exports_record_facets(&facets, &record) == 0
         && facets.has == manifest->facets.has
         && facets.status == manifest->facets.status, "other facets");

    check_path(&record.storage_key);

    item = item_of(&record);
    check_keys(manifest, item, source);
    json_decref(item);

    check_again(manifest, &record);
}


/* as the API documents them: these keys, in this order, with these values */

static void
check_keys(const exports_manifest_t *manifest, json_t *item, json_t *source)
{
    json_t       *value;
    const char   *key, **want;

    want = manifest->kind == EXPORTS_PROJECT ? project_keys : user_keys;

    json_object_foreach (item, key, value) {
        must(*want != NULL && strcmp(key, *want) == 0, "%s", key);
        want++;

        if (strcmp(key, "download_url") != 0) {
            check_value(key, value, json_object_get(source, key));
        }
    }

    must(*want == NULL, "without %s", *want);

    value = json_object_get(item, "download_url");

    must(manifest->kind == EXPORTS_USER || json_is_string(value), "no link");
    must(manifest->kind == EXPORTS_PROJECT
         || json_is_string(value)
            == (strcmp(json_string_value(json_object_get(item, "status")),
                       "ready")
                == 0), "link");
}


static void
check_value(const char *key, json_t *value, json_t *source)
{
    size_t     len;
    uint64_t   time;
    char       text[EXPORTS_TIME_TEXT_MAX];

    if (source == NULL || json_is_null(source)) {
        must(json_is_null(value), "%s is not null", key);
        return;
    }

    len = strlen(key);

    if (len > 3 && strcmp(key + len - 3, "_at") == 0) {
        must(exports_time_parse(json_string_value(source),
                                json_string_length(source), &time) == 0,
             "%s is no time", key);
        len = exports_time_format(text, time);
        must(json_string_length(value) == len
             && memcmp(json_string_value(value), text, len) == 0,
             "%s is another time", key);
        return;
    }

    if (strcmp(key, "subject") != 0) {
        must(json_equal(value, source), "%s is another value", key);
        must(!json_is_integer(value) || json_integer_value(value) >= 0
             || strcmp(key, "id") == 0, "%s is negative", key);
        return;
    }

    check_value("type", json_object_get(value, "type"),
                json_object_get(source, "type"));
    check_value("id", json_object_get(value, "id"),
                json_object_get(source, "id"));
    check_value("label", json_object_get(value, "label"),
                json_object_get(source, "label"));
    must(json_object_size(value) == 3, "a subject of %zu",
         json_object_size(value));
}


/* below the root, whoever joins it to one */

static void
check_path(const exports_str_t *path)
{
    size_t   i;
    char     framed[EXPORTS_STRING_MAX + 3];

    must(path->len > 0 && path->len <= EXPORTS_STRING_MAX, "%zu", path->len);
    must(path->data[0] != '/', "absolute");

    for (i = 0; i < path->len; i++) {
        must((unsigned char) path->data[i] >= 0x20 && path->data[i] != 0x7f,
             "%02x", path->data[i]);
    }

    framed[0] = '/';
    memcpy(framed + 1, path->data, path->len);
    framed[path->len + 1] = '/';
    framed[path->len + 2] = '\0';

    must(strstr(framed, "/../") == NULL, "%s", framed);
}


/* printed and parsed it is the same manifest */

static void
check_again(const exports_manifest_t *manifest,
    const exports_record_t *record)
{
    char                      *text, *second;
    uint8_t                    key[EXPORTS_MANIFEST_KEY_LEN];
    exports_error_t            error;
    exports_record_t           decoded;
    static exports_manifest_t  again;

    must(exports_manifest_print(&text, record, manifest->scope,
                                manifest->scope_len, &error) == EXPORTS_OK,
         "%s", error.text);
    must(strchr(text, '\n') == NULL, "%s", text);
    must(exports_manifest_parse(&again, text, strlen(text), &error)
         == EXPORTS_OK, "%s: %s", error.text, text);

    must(again.kind == manifest->kind
         && again.scope_len == manifest->scope_len
         && memcmp(again.scope, manifest->scope, again.scope_len) == 0
         && again.created == manifest->created && again.tie == manifest->tie
         && again.facets.has == manifest->facets.has, "another manifest");

    exports_manifest_key(key, 1, again.created, again.tie);
    exports_record_seal(again.record, again.record_len, key);

    must(again.record_len == manifest->record_len
         && memcmp(again.record, manifest->record, again.record_len) == 0,
         "another record of %s", text);

    must(exports_record_decode(&decoded, key, again.record, again.record_len)
         == EXPORTS_OK, "does not decode");
    must(exports_manifest_print(&second, &decoded, again.scope,
                                again.scope_len, &error) == EXPORTS_OK
         && strcmp(text, second) == 0, "printed otherwise");

    free(text);
    free(second);
}


/* with a link where the module puts one */

static json_t *
item_of(const exports_record_t *record)
{
    char                   *text;
    size_t                  i, n;
    json_t                 *item;
    json_error_t            error;
    const exports_item_t   *in = &record->item;
    static const char       link[] = "/x";

    must(fuzz_utf8(in->json, in->json_len), "not UTF-8");

    for (i = 0; i < in->json_len; i++) {
        must((unsigned char) in->json[i] >= 0x20, "a raw control character");
    }

    text = malloc(in->json_len + sizeof(link));
    must(text != NULL, "out of memory");

    n = in->json_len;
    memcpy(text, in->json, n);

    if (in->flags & EXPORTS_RECORD_LINK) {
        memcpy(text + in->link_pos, link, 2);
        memcpy(text + in->link_pos + 2, in->json + in->link_pos,
               n - in->link_pos);
        n += 2;
    }

    item = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    must(json_is_object(item), "%s: %.*s", error.text, (int) n, text);

    if (in->flags & EXPORTS_RECORD_LINK) {
        must(strncmp(json_string_value(json_object_get(item, "download_url")),
                     link, 2) == 0, "the link is not in its place");
    }

    free(text);

    return item;
}


static void
check_token(const exports_token_line_t *line, json_t *source)
{
    int                     tables;
    uint8_t                *value;
    size_t                  len;
    unsigned                i;
    json_t                 *array;
    exports_token_t         token, decoded;

    token = line->token;

    must(token.kind == (json_object_get(source, "project") != NULL
                        ? EXPORTS_PROJECT : EXPORTS_USER), "kind");
    must(exports_scope_name_valid(token.kind, line->scope, line->scope_len),
         "scope");
    must((token.flags & EXPORTS_TOKEN_ADMIN ? 1 : 0)
         == json_is_true(json_object_get(source, "admin")), "admin");
    must((token.flags & EXPORTS_TOKEN_INACTIVE ? 1 : 0)
         == json_is_false(json_object_get(source, "active")), "active");

    array = json_object_get(source, "tables");
    tables = json_is_array(array);

    must((token.flags & EXPORTS_TOKEN_TABLES ? 1 : 0) == tables
         && token.ntables == json_array_size(array), "tables");

    for (i = 0; i < token.ntables; i++) {
        must(token.tables[i].len
             == json_string_length(json_array_get(array, i))
             && memcmp(token.tables[i].data,
                       json_string_value(json_array_get(array, i)),
                       token.tables[i].len) == 0, "table %u", i);
    }

    must(token.expires <= EXPORTS_TIME_MAX && token.revoked <= EXPORTS_TIME_MAX
         && token.created != 0, "times");

    /* the writer's next step */

    token.scope = 1;
    token.scope_name.data = line->scope;
    token.scope_name.len = line->scope_len;

    value = malloc(EXPORTS_TOKEN_RECORD_MAX);
    must(value != NULL, "out of memory");

    must(exports_token_encode(value, EXPORTS_TOKEN_RECORD_MAX, &len, &token,
                              line->digest) == EXPORTS_OK, "does not encode");
    must(exports_token_decode(&decoded, line->digest, value, len)
         == EXPORTS_OK, "does not decode");
    must(decoded.flags == token.flags && decoded.ntables == token.ntables
         && decoded.expires == token.expires, "another token");

    free(value);

    check_token_again(line);
}


static void
check_token_again(const exports_token_line_t *line)
{
    char                         *text, *second;
    exports_error_t               error;
    static exports_token_line_t   again;

    must(exports_token_print(&text, line->digest, &line->token, line->scope,
                             line->scope_len, &error) == EXPORTS_OK,
         "%s", error.text);
    must(exports_token_parse(&again, text, strlen(text), &error)
         == EXPORTS_OK, "%s: %s", error.text, text);

    must(memcmp(again.digest, line->digest, EXPORTS_SHA256_LEN) == 0
         && again.scope_len == line->scope_len
         && memcmp(again.scope, line->scope, line->scope_len) == 0
         && again.token.kind == line->token.kind
         && again.token.flags == line->token.flags
         && again.token.created == line->token.created
         && again.token.expires == line->token.expires
         && again.token.revoked == line->token.revoked
         && again.token.ntables == line->token.ntables, "another token: %s",
         text);

    must(exports_token_print(&second, again.digest, &again.token, again.scope,
                             again.scope_len, &error) == EXPORTS_OK
         && strcmp(text, second) == 0, "printed otherwise: %s", text);

    free(text);
    free(second);
}
