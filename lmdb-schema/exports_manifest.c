
/* a manifest as JSON: parsed into a record, printed from one */

#include <string.h>

#include "exports_manifest_private.h"
#include "exports_text.h"


static const char *fault_of(const json_t *root,
    const exports_record_t *record, const char *scope, size_t scope_len);
static exports_rc_t choose_kind(exports_input_t *in, const json_t *root);
static exports_rc_t collect(exports_input_t *in, json_t *root);
static int find_field(const exports_input_t *in, const char *key,
    unsigned *field);
static exports_rc_t encode(exports_manifest_t *manifest,
    const exports_input_t *in, exports_output_t *out,
    exports_record_t *record);


exports_rc_t
exports_manifest_parse(exports_manifest_t *manifest, const char *text,
    size_t len, exports_error_t *error)
{
    json_t        *root;
    exports_rc_t   rc;

    root = exports_json_load(text, len, error);
    if (root == NULL) {
        return EXPORTS_INVALID;
    }

    rc = exports_manifest_take(manifest, root, error);

    json_decref(root);

    return rc;
}


exports_rc_t
exports_manifest_print(char **text, const exports_record_t *record,
    const char *scope, size_t scope_len, exports_error_t *error)
{
    int          failed;
    json_t      *root;
    const char  *fault;

    /* the item is a JSON object even without the link that goes into it */

    root = json_loadb(record->item.json, record->item.json_len, 0, NULL);
    fault = fault_of(root, record, scope, scope_len);

    if (fault != NULL) {
        json_decref(root);
        return exports_error(error, EXPORTS_CORRUPT, "%.*s: %s",
                             (int) record->item.id.len, record->item.id.data,
                             fault);
    }

    failed = json_object_del(root, "download_url");

    if (record->item.kind == EXPORTS_USER) {
        failed |= json_object_set_new(root, "user",
                                      json_stringn(scope, scope_len))
                  | json_object_set_new(root, "storage_backend",
                               json_stringn(record->storage_backend.data,
                                            record->storage_backend.len))
                  | json_object_set_new(root, "content_type",
                               json_stringn(record->content_type.data,
                                            record->content_type.len));
    }

    failed |= json_object_set_new(root, "storage_key",
                                  json_stringn(record->storage_key.data,
                                               record->storage_key.len));

    return exports_json_print(text, root, failed, error);
}


exports_rc_t
exports_manifest_take(exports_manifest_t *manifest, json_t *root,
    exports_error_t *error)
{
    exports_rc_t      rc;
    exports_input_t   in;
    exports_output_t  out;
    exports_record_t  record;

    memset(&in, 0, sizeof(exports_input_t));
    in.error = error;

    if ((rc = choose_kind(&in, root)) != EXPORTS_OK
        || (rc = collect(&in, root)) != EXPORTS_OK
        || (rc = exports_check_values(&in)) != EXPORTS_OK)
    {
        return rc;
    }

    memset(&record, 0, sizeof(exports_record_t));
    record.item.kind = (uint8_t) in.kind;
    manifest->kind = in.kind;

    rc = in.kind == EXPORTS_PROJECT
             ? exports_project_take(manifest, &in, &record)
             : exports_user_take(manifest, &in, &record);

    return rc == EXPORTS_OK ? encode(manifest, &in, &out, &record) : rc;
}


exports_rc_t
exports_take_id(exports_manifest_t *manifest, exports_input_t *in,
    unsigned i, exports_record_t *record)
{
    exports_str_t  id;

    id = in->texts[i];

    if (!exports_id_valid(in->kind, id.data, id.len)) {
        return exports_json_bad(in->error, in->fields[i].name,
                                in->kind == EXPORTS_PROJECT
                                    ? "not exp_ and 1 to 124 of A-Z, a-z, "
                                      "0-9, _ and -"
                                    : "not 1 to 64 of A-Z, a-z, 0-9 and -",
                                in->values[i]);
    }

    memcpy(manifest->id, id.data, id.len);
    manifest->id_len = id.len;
    record->item.id = id;

    return EXPORTS_OK;
}


exports_rc_t
exports_take_status(exports_input_t *in, unsigned i, exports_record_t *record)
{
    const exports_str_t  *text;

    text = &in->texts[i];
    record->item.status = (uint8_t) exports_status_parse(in->kind, text->data,
                                                         text->len);
    if (record->item.status == 0) {
        return exports_json_bad(in->error, in->fields[i].name,
                                in->kind == EXPORTS_PROJECT
                                    ? "not " EXPORTS_PROJECT_STATUS_WORDS
                                    : "not " EXPORTS_USER_STATUS_WORDS,
                                in->values[i]);
    }

    return EXPORTS_OK;
}


/* a path below a root, or a key of an object store: it must not lead out */

exports_rc_t
exports_take_storage_key(exports_input_t *in, unsigned i,
    exports_record_t *record)
{
    exports_str_t   key;
    const char     *p, *end, *next;

    key = in->texts[i];

    if (key.data == NULL) {
        record->storage_key = record->item.id;
        return EXPORTS_OK;
    }

    if (key.data[0] == '/') {
        return exports_json_bad(in->error, in->fields[i].name,
                                "must not be absolute", in->values[i]);
    }

    end = key.data + key.len;

    for (p = key.data; p < end; p = next + 1) {
        next = memchr(p, '/', (size_t) (end - p));

        if (next == NULL) {
            next = end;
        }

        if (next - p == 2 && memcmp(p, "..", 2) == 0) {
            return exports_json_bad(in->error, in->fields[i].name,
                                    "must not have \"..\"", in->values[i]);
        }
    }

    record->storage_key = key;

    return EXPORTS_OK;
}


/* why a record was made of no manifest, though it has its checksum; or NULL.
   root: its item */

static const char *
fault_of(const json_t *root, const exports_record_t *record,
    const char *scope, size_t scope_len)
{
    if (root == NULL) {
        return "its item is not JSON";
    }

    if (json_object_get(root, "download_url") == NULL) {
        return "its item has no download_url";
    }

    return exports_utf8_valid(scope, scope_len)
           && exports_utf8_valid(record->storage_backend.data,
                                 record->storage_backend.len)
           && exports_utf8_valid(record->storage_key.data,
                                 record->storage_key.len)
           && exports_utf8_valid(record->content_type.data,
                                 record->content_type.len)
               ? NULL : "a string of its record is not UTF-8";
}


static exports_rc_t
choose_kind(exports_input_t *in, const json_t *root)
{
    if (json_object_get(root, "project") != NULL) {
        in->kind = EXPORTS_PROJECT;
        exports_project_fields(in);
        return EXPORTS_OK;
    }

    if (json_object_get(root, "user") != NULL) {
        in->kind = EXPORTS_USER;
        exports_user_fields(in);
        return EXPORTS_OK;
    }

    return exports_error(in->error, EXPORTS_INVALID,
                         "neither \"project\" nor \"user\" is given");
}


/* stores the value of each key at its field */

static exports_rc_t
collect(exports_input_t *in, json_t *root)
{
    void        *iter;
    unsigned     field;
    const char  *key;

    field = 0;

    for (iter = json_object_iter(root);
         iter != NULL;
         iter = json_object_iter_next(root, iter))
    {
        key = json_object_iter_key(iter);

        if (!find_field(in, key, &field)) {
            return exports_error(in->error, EXPORTS_INVALID,
                                 "%.64s: unknown key", key);
        }

        in->values[field++] = json_object_iter_value(iter);
    }

    return EXPORTS_OK;
}


/* programs write keys in one order: the search begins after the last one's */

static int
find_field(const exports_input_t *in, const char *key, unsigned *field)
{
    unsigned  i, tried;

    for (tried = 0, i = *field; tried < in->nfields; tried++, i++) {

        if (i >= in->nfields) {
            i = 0;
        }

        if (in->fields[i].type != VALUE_LINK
            && strcmp(in->fields[i].name, key) == 0)
        {
            *field = i;
            return 1;
        }
    }

    return 0;
}


static exports_rc_t
encode(exports_manifest_t *manifest, const exports_input_t *in,
    exports_output_t *out, exports_record_t *record)
{
    exports_item_print(out, in, manifest, record);

    record->item.json = out->text;
    record->item.json_len = (uint16_t) out->len;
    record->item.link_pos = (uint16_t) out->link_pos;

    if (out->failed
        || exports_record_encode(manifest->record, EXPORTS_RECORD_MAX,
                                 &manifest->record_len, record)
           != EXPORTS_OK)
    {
        return exports_error(in->error, EXPORTS_INVALID,
                             "larger than a record may be: %d bytes",
                             EXPORTS_RECORD_MAX);
    }

    if (exports_tie(manifest->id, manifest->id_len, &manifest->tie) != 0
        || exports_record_facets(&manifest->facets, record) != 0)
    {
        return exports_error(in->error, EXPORTS_FAILED, "SHA-256 failed");
    }

    return EXPORTS_OK;
}
