
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_json.h"
#include "exports_time.h"


typedef enum {
    VALUE_STRING = 1,
    VALUE_TIME,
    VALUE_COUNT,            /* an integer of 0 or more */
    VALUE_SUBJECT,
    VALUE_USER,             /* an integer or a string */
    VALUE_LINK              /* ours: not in a manifest, only in an item */
} value_type_t;

#define NULLABLE    0x01    /* null, or left out */
#define OPTIONAL    0x02    /* left out, not null */
#define EXTRA       0x04    /* not of the item */
#define NONEMPTY    0x08
#define NOCONTROL   0x10    /* goes into a header or a path */

typedef struct {
    const char    *name;
    value_type_t   type;
    unsigned       flags;
} field_t;


/* in the order of the item */

enum {
    P_ID = 0, P_KIND, P_SCOPE, P_PROJECT, P_TABLE, P_FORMAT, P_DOWNLOAD_NAME,
    P_DOWNLOAD_URL, P_STORAGE_BACKEND, P_CONTENT_TYPE, P_ROW_COUNT,
    P_TABLE_COUNT, P_SIZE_BYTES, P_STATUS, P_STATUS_REASON, P_MISSING_AT,
    P_CREATED_AT, P_EXPIRES_AT, P_STORAGE_KEY, P_FIELDS
};

static const field_t  project_fields[P_FIELDS] = {
    { "id", VALUE_STRING, 0 },
    { "kind", VALUE_STRING, 0 },
    { "scope", VALUE_STRING, NONEMPTY },
    { "project", VALUE_STRING, 0 },
    { "table", VALUE_STRING, NULLABLE|NONEMPTY },
    { "format", VALUE_STRING, NONEMPTY },
    { "download_name", VALUE_STRING, NONEMPTY },
    { "download_url", VALUE_LINK, 0 },
    { "storage_backend", VALUE_STRING, NONEMPTY|NOCONTROL },
    { "content_type", VALUE_STRING, NONEMPTY|NOCONTROL },
    { "row_count", VALUE_COUNT, NULLABLE },
    { "table_count", VALUE_COUNT, NULLABLE },
    { "size_bytes", VALUE_COUNT, NULLABLE },
    { "status", VALUE_STRING, 0 },
    { "status_reason", VALUE_STRING, NULLABLE },
    { "missing_at", VALUE_TIME, NULLABLE },
    { "created_at", VALUE_TIME, 0 },
    { "expires_at", VALUE_TIME, NULLABLE },
    { "storage_key", VALUE_STRING, EXTRA|OPTIONAL|NONEMPTY|NOCONTROL }
};


enum {
    U_UUID = 0, U_TYPE, U_STATUS, U_FILENAME, U_FILE_SIZE, U_ROW_COUNT,
    U_ERROR_MESSAGE, U_REQUESTED_AT, U_COMPLETED_AT, U_FAILED_AT, U_SUBJECT,
    U_DOWNLOAD_URL, U_USER, U_STORAGE_BACKEND, U_STORAGE_KEY, U_CONTENT_TYPE,
    U_FIELDS
};

static const field_t  user_fields[U_FIELDS] = {
    { "uuid", VALUE_STRING, 0 },
    { "type", VALUE_STRING, NONEMPTY },
    { "status", VALUE_STRING, 0 },
    { "filename", VALUE_STRING, NULLABLE|NONEMPTY },
    { "file_size", VALUE_COUNT, NULLABLE },
    { "row_count", VALUE_COUNT, NULLABLE },
    { "error_message", VALUE_STRING, NULLABLE },
    { "requested_at", VALUE_TIME, 0 },
    { "completed_at", VALUE_TIME, NULLABLE },
    { "failed_at", VALUE_TIME, NULLABLE },
    { "subject", VALUE_SUBJECT, NULLABLE },
    { "download_url", VALUE_LINK, 0 },
    { "user", VALUE_USER, EXTRA },
    { "storage_backend", VALUE_STRING, EXTRA|OPTIONAL|NONEMPTY|NOCONTROL },
    { "storage_key", VALUE_STRING, EXTRA|OPTIONAL|NONEMPTY|NOCONTROL },
    { "content_type", VALUE_STRING, EXTRA|OPTIONAL|NONEMPTY|NOCONTROL }
};

#define FIELDS_MAX  P_FIELDS


/* a manifest while it is parsed */

typedef struct {
    const field_t    *fields;
    unsigned          nfields;
    json_t           *values[FIELDS_MAX];   /* borrowed; NULL: null */
    uint64_t          times[FIELDS_MAX];
    exports_error_t  *error;
} input_t;

/* the item while it is printed */

typedef struct {
    char    text[EXPORTS_RECORD_MAX];
    size_t  len;
    size_t  link_pos;
    int     failed;
} output_t;


static exports_rc_t collect(input_t *in, json_t *root);
static exports_rc_t check_values(input_t *in);
static exports_rc_t check_string(input_t *in, unsigned i);
static exports_rc_t check_subject(input_t *in, unsigned i);
static exports_rc_t take_project(exports_manifest_t *manifest, input_t *in,
    exports_record_t *record);
static exports_rc_t take_user(exports_manifest_t *manifest, input_t *in,
    exports_record_t *record);
static exports_rc_t take_id(exports_manifest_t *manifest, input_t *in,
    unsigned i, exports_record_t *record);
static exports_rc_t take_status(input_t *in, unsigned i, exports_kind_t kind,
    exports_record_t *record);
static exports_rc_t check_storage_key(input_t *in, unsigned i);
static exports_str_t string_or(const json_t *value, const char *text,
    size_t len);
static void print_item(output_t *out, const input_t *in,
    const exports_manifest_t *manifest, const exports_record_t *record);
static void print_value(output_t *out, json_t *value);
static void print_subject(output_t *out, const json_t *value);
static void print_text(output_t *out, const char *text, size_t len);


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
    int      failed;
    json_t  *root;

    /* where the item lacks its link it is an object all the same */

    root = json_loadb(record->item.json, record->item.json_len, 0, NULL);

    if (root == NULL) {
        return exports_error(error, EXPORTS_CORRUPT,
                             "%.*s: its item is not JSON",
                             (int) record->item.id.len, record->item.id.data);
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
    input_t            in;
    output_t           out;
    exports_rc_t       rc;
    exports_record_t   record;

    if (json_object_get(root, "project") != NULL) {
        manifest->kind = EXPORTS_PROJECT;
        in.fields = project_fields;
        in.nfields = P_FIELDS;

    } else if (json_object_get(root, "user") != NULL) {
        manifest->kind = EXPORTS_USER;
        in.fields = user_fields;
        in.nfields = U_FIELDS;

    } else {
        return exports_error(error, EXPORTS_INVALID,
                             "neither \"project\" nor \"user\" is given");
    }

    in.error = error;

    rc = collect(&in, root);

    if (rc == EXPORTS_OK) {
        rc = check_values(&in);
    }

    if (rc != EXPORTS_OK) {
        return rc;
    }

    memset(&record, 0, sizeof(exports_record_t));
    record.item.kind = (uint8_t) manifest->kind;

    rc = manifest->kind == EXPORTS_PROJECT
             ? take_project(manifest, &in, &record)
             : take_user(manifest, &in, &record);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    print_item(&out, &in, manifest, &record);

    record.item.json = out.text;
    record.item.json_len = (uint16_t) out.len;
    record.item.link_pos = (uint16_t) out.link_pos;

    if (out.failed
        || exports_record_encode(manifest->record, EXPORTS_RECORD_MAX,
                                 &manifest->record_len, &record)
           != EXPORTS_OK)
    {
        return exports_error(error, EXPORTS_INVALID,
                             "larger than a record may be: %d bytes",
                             EXPORTS_RECORD_MAX);
    }

    if (exports_tie(manifest->id, manifest->id_len, &manifest->tie) != 0
        || exports_record_facets(&manifest->facets, &record) != 0)
    {
        return exports_error(error, EXPORTS_NOMEM, "SHA-256 failed");
    }

    return EXPORTS_OK;
}


/* every key of the object into its place; programs write them in one order */

static exports_rc_t
collect(input_t *in, json_t *root)
{
    json_t      *value;
    unsigned     i, next, tried;
    const char  *key;

    memset(in->values, 0, sizeof(in->values));
    next = 0;

    json_object_foreach (root, key, value) {

        for (tried = 0, i = next; tried < in->nfields; tried++) {
            if (in->fields[i].type != VALUE_LINK
                && strcmp(in->fields[i].name, key) == 0)
            {
                break;
            }

            i = (i + 1) % in->nfields;
        }

        if (tried == in->nfields) {
            return exports_error(in->error, EXPORTS_INVALID,
                                 "%.64s: unknown key", key);
        }

        in->values[i] = value;
        next = (i + 1) % in->nfields;
    }

    return EXPORTS_OK;
}


static exports_rc_t
check_values(input_t *in)
{
    json_t         *value;
    unsigned        i;
    exports_rc_t    rc;
    exports_str_t   text;
    const field_t  *field;

    for (i = 0; i < in->nfields; i++) {
        field = &in->fields[i];
        value = in->values[i];
        rc = EXPORTS_OK;

        if (field->type == VALUE_LINK) {
            continue;
        }

        if (value == NULL || (json_is_null(value) && field->flags & NULLABLE))
        {
            in->values[i] = NULL;

            if ((field->flags & (NULLABLE|OPTIONAL)) == 0) {
                return exports_error(in->error, EXPORTS_INVALID,
                                     "%s: missing", field->name);
            }

            continue;
        }

        switch (field->type) {

        case VALUE_STRING:
            rc = check_string(in, i);
            break;

        case VALUE_TIME:
            text = exports_json_string(value);

            if (text.data == NULL
                || exports_time_parse(text.data, text.len, &in->times[i]) != 0)
            {
                rc = exports_json_bad(in->error, field->name,
                                      "not an RFC 3339 time", value);
            }

            break;

        case VALUE_COUNT:
            if (!json_is_integer(value) || json_integer_value(value) < 0) {
                rc = exports_json_bad(in->error, field->name,
                                      "not an integer of 0 or more", value);
            }

            break;

        case VALUE_SUBJECT:
            rc = check_subject(in, i);
            break;

        case VALUE_USER:
        case VALUE_LINK:
            break;
        }

        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return EXPORTS_OK;
}


static exports_rc_t
check_string(input_t *in, unsigned i)
{
    size_t          n;
    json_t         *value;
    exports_str_t   text;
    const field_t  *field;

    field = &in->fields[i];
    value = in->values[i];

    if (!json_is_string(value)) {
        return exports_json_bad(in->error, field->name, "not a string",
                                value);
    }

    text = exports_json_string(value);

    if (text.len > EXPORTS_STRING_MAX) {
        return exports_error(in->error, EXPORTS_INVALID,
                             "%s: longer than %d bytes", field->name,
                             EXPORTS_STRING_MAX);
    }

    if ((field->flags & NONEMPTY) && text.len == 0) {
        return exports_error(in->error, EXPORTS_INVALID, "%s: empty",
                             field->name);
    }

    if (field->flags & NOCONTROL) {
        for (n = 0; n < text.len; n++) {
            if ((unsigned char) text.data[n] < 0x20 || text.data[n] == 0x7f) {
                return exports_json_bad(in->error, field->name,
                                        "has a control character", value);
            }
        }
    }

    return EXPORTS_OK;
}


static exports_rc_t
check_subject(input_t *in, unsigned i)
{
    json_t      *value, *member;
    const char  *key;

    value = in->values[i];

    if (!json_is_object(value)) {
        return exports_json_bad(in->error, in->fields[i].name,
                                "neither an object nor null", value);
    }

    json_object_foreach (value, key, member) {
        if (strcmp(key, "type") != 0 && strcmp(key, "id") != 0
            && strcmp(key, "label") != 0)
        {
            return exports_error(in->error, EXPORTS_INVALID,
                                 "subject.%.64s: unknown key", key);
        }
    }

    member = json_object_get(value, "type");

    if (!json_is_string(member) || json_string_length(member) == 0
        || json_string_length(member) > EXPORTS_STRING_MAX)
    {
        return exports_json_bad(in->error, "subject.type",
                                "not a string of 1 to 1024 bytes", member);
    }

    member = json_object_get(value, "id");

    if (!json_is_integer(member)) {
        return exports_json_bad(in->error, "subject.id", "not an integer",
                                member);
    }

    member = json_object_get(value, "label");

    if (member != NULL && !json_is_null(member)
        && (!json_is_string(member)
            || json_string_length(member) > EXPORTS_STRING_MAX))
    {
        return exports_json_bad(in->error, "subject.label",
                                "neither null nor a string of up to 1024 bytes",
                                member);
    }

    return EXPORTS_OK;
}


static exports_rc_t
take_project(exports_manifest_t *manifest, input_t *in,
    exports_record_t *record)
{
    unsigned            i;
    exports_rc_t        rc;
    exports_str_t       kind;
    static const char  *kinds[] = {
        [EXPORTS_TABLE_EXPORT] = "table_export",
        [EXPORTS_DATABASE_EXPORT] = "database_export",
        [EXPORTS_SCHEMA_EXPORT] = "schema_export"
    };

    if ((rc = exports_json_scope(EXPORTS_PROJECT, "project",
                                 in->values[P_PROJECT], manifest->scope,
                                 &manifest->scope_len, in->error))
           != EXPORTS_OK
        || (rc = take_id(manifest, in, P_ID, record)) != EXPORTS_OK
        || (rc = take_status(in, P_STATUS, EXPORTS_PROJECT, record))
           != EXPORTS_OK
        || (rc = check_storage_key(in, P_STORAGE_KEY)) != EXPORTS_OK)
    {
        return rc;
    }

    kind = exports_json_string(in->values[P_KIND]);

    for (i = EXPORTS_TABLE_EXPORT; i <= EXPORTS_SCHEMA_EXPORT; i++) {
        if (strcmp(kinds[i], kind.data) == 0) {
            record->item.export_kind = (uint8_t) i;
        }
    }

    if (record->item.export_kind == 0) {
        return exports_json_bad(in->error, "kind", "not table_export, "
                                "database_export, or schema_export",
                                in->values[P_KIND]);
    }

    if (record->item.export_kind == EXPORTS_TABLE_EXPORT
        && in->values[P_TABLE] == NULL)
    {
        return exports_error(in->error, EXPORTS_INVALID,
                             "table: missing, though kind is table_export");
    }

    if (in->values[P_EXPIRES_AT] != NULL) {
        record->item.flags |= EXPORTS_RECORD_EXPIRES;
        record->expires = in->times[P_EXPIRES_AT];
    }

    record->item.flags |= EXPORTS_RECORD_LINK;
    record->storage_backend =
        exports_json_string(in->values[P_STORAGE_BACKEND]);
    record->storage_key = string_or(in->values[P_STORAGE_KEY], manifest->id,
                                    manifest->id_len);
    record->content_type = exports_json_string(in->values[P_CONTENT_TYPE]);
    record->name = exports_json_string(in->values[P_DOWNLOAD_NAME]);
    record->group = exports_json_string(in->values[P_TABLE]);

    manifest->created = in->times[P_CREATED_AT];

    return EXPORTS_OK;
}


static exports_rc_t
take_user(exports_manifest_t *manifest, input_t *in, exports_record_t *record)
{
    json_t             *subject;
    exports_rc_t        rc;
    static const char   any[] = "application/octet-stream";

    if ((rc = exports_json_scope(EXPORTS_USER, "user", in->values[U_USER],
                                 manifest->scope, &manifest->scope_len,
                                 in->error))
           != EXPORTS_OK
        || (rc = take_id(manifest, in, U_UUID, record)) != EXPORTS_OK
        || (rc = take_status(in, U_STATUS, EXPORTS_USER, record))
           != EXPORTS_OK
        || (rc = check_storage_key(in, U_STORAGE_KEY)) != EXPORTS_OK)
    {
        return rc;
    }

    record->group = exports_json_string(in->values[U_TYPE]);

    if (memchr(record->group.data, ',', record->group.len) != NULL) {
        return exports_json_bad(in->error, "type", "has a comma",
                                in->values[U_TYPE]);
    }

    subject = in->values[U_SUBJECT];

    if (subject != NULL) {
        record->item.flags |= EXPORTS_RECORD_SUBJECT;
        record->subject_type =
            exports_json_string(json_object_get(subject, "type"));
        record->subject_id = json_integer_value(json_object_get(subject,
                                                                "id"));
    }

    if (record->item.status == EXPORTS_STATUS_READY) {
        record->item.flags |= EXPORTS_RECORD_LINK;
    }

    record->storage_backend = string_or(in->values[U_STORAGE_BACKEND],
                                        "local", 5);
    record->storage_key = string_or(in->values[U_STORAGE_KEY], manifest->id,
                                    manifest->id_len);
    record->content_type = string_or(in->values[U_CONTENT_TYPE], any,
                                     sizeof(any) - 1);
    record->name = exports_json_string(in->values[U_FILENAME]);

    manifest->created = in->times[U_REQUESTED_AT];

    return EXPORTS_OK;
}


static exports_rc_t
take_id(exports_manifest_t *manifest, input_t *in, unsigned i,
    exports_record_t *record)
{
    exports_str_t  id;

    id = exports_json_string(in->values[i]);

    if (!exports_id_valid(manifest->kind, id.data, id.len)) {
        return exports_json_bad(in->error, in->fields[i].name,
                                manifest->kind == EXPORTS_PROJECT
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


static exports_rc_t
take_status(input_t *in, unsigned i, exports_kind_t kind,
    exports_record_t *record)
{
    exports_str_t  text;

    text = exports_json_string(in->values[i]);
    record->item.status = (uint8_t) exports_status_parse(kind, text.data,
                                                         text.len);
    if (record->item.status == 0) {
        return exports_json_bad(in->error, in->fields[i].name,
                                kind == EXPORTS_PROJECT
                                    ? "not ready or not_found"
                                    : "not pending, processing, ready, "
                                      "failed, or cancelled",
                                in->values[i]);
    }

    return EXPORTS_OK;
}


/* a path below a root, or a key of an object store: never out of it */

static exports_rc_t
check_storage_key(input_t *in, unsigned i)
{
    exports_str_t   key;
    const char     *p, *end, *next;

    key = exports_json_string(in->values[i]);

    if (key.data == NULL) {
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

    return EXPORTS_OK;
}


static exports_str_t
string_or(const json_t *value, const char *text, size_t len)
{
    exports_str_t  str;

    str = exports_json_string(value);

    if (str.data == NULL) {
        str.data = text;
        str.len = len;
    }

    return str;
}


static void
print_item(output_t *out, const input_t *in,
    const exports_manifest_t *manifest, const exports_record_t *record)
{
    char            time[EXPORTS_TIME_TEXT_MAX];
    unsigned        i;
    const field_t  *field;

    out->len = 0;
    out->link_pos = 0;
    out->failed = 0;

    for (i = 0; i < in->nfields; i++) {
        field = &in->fields[i];

        if (field->flags & EXTRA) {
            continue;
        }

        print_text(out, i == 0 ? "{\"" : ",\"", 2);
        print_text(out, field->name, strlen(field->name));
        print_text(out, "\":", 2);

        if (field->type == VALUE_LINK) {

            if ((record->item.flags & EXPORTS_RECORD_LINK) == 0) {
                print_text(out, "null", 4);
                continue;
            }

            print_text(out, "\"", 1);
            out->link_pos = out->len;

            if (manifest->kind == EXPORTS_PROJECT) {
                print_text(out, manifest->scope, manifest->scope_len);
                print_text(out, "/export/download/", 17);
                print_text(out, manifest->id, manifest->id_len);
            }

            print_text(out, "\"", 1);

        } else if (in->values[i] == NULL) {
            print_text(out, "null", 4);

        } else if (field->type == VALUE_TIME) {
            print_text(out, "\"", 1);
            print_text(out, time, exports_time_format(time, in->times[i]));
            print_text(out, "\"", 1);

        } else if (field->type == VALUE_SUBJECT) {
            print_subject(out, in->values[i]);

        } else {
            print_value(out, in->values[i]);
        }
    }

    print_text(out, "}", 1);
}


static void
print_subject(output_t *out, const json_t *value)
{
    json_t  *label;

    print_text(out, "{\"type\":", 8);
    print_value(out, json_object_get(value, "type"));
    print_text(out, ",\"id\":", 6);
    print_value(out, json_object_get(value, "id"));
    print_text(out, ",\"label\":", 9);

    label = json_object_get(value, "label");

    if (label == NULL) {
        print_text(out, "null", 4);

    } else {
        print_value(out, label);
    }

    print_text(out, "}", 1);
}


static void
print_value(output_t *out, json_t *value)
{
    size_t  n, room;

    if (out->failed) {
        return;
    }

    room = sizeof(out->text) - out->len;
    n = json_dumpb(value, out->text + out->len, room,
                   JSON_ENCODE_ANY|JSON_COMPACT);

    if (n == 0 || n > room) {
        out->failed = 1;
        return;
    }

    out->len += n;
}


static void
print_text(output_t *out, const char *text, size_t len)
{
    if (out->failed || len > sizeof(out->text) - out->len) {
        out->failed = 1;
        return;
    }

    memcpy(out->text + out->len, text, len);
    out->len += len;
}


