
/* the fields of a manifest of the user exports API */

#include <string.h>

#include "exports_manifest_private.h"


/* in the order of the item */

enum {
    U_UUID = 0, U_TYPE, U_STATUS, U_FILENAME, U_FILE_SIZE, U_ROW_COUNT,
    U_ERROR_MESSAGE, U_REQUESTED_AT, U_COMPLETED_AT, U_FAILED_AT, U_SUBJECT,
    U_DOWNLOAD_URL, U_USER, U_STORAGE_BACKEND, U_STORAGE_KEY, U_CONTENT_TYPE,
    U_FIELDS
};

static const exports_field_t  fields[U_FIELDS] = {
    FIELD(U_UUID, "uuid", VALUE_STRING, 0),
    FIELD(U_TYPE, "type", VALUE_STRING, NONEMPTY),
    FIELD(U_STATUS, "status", VALUE_STRING, 0),
    FIELD(U_FILENAME, "filename", VALUE_STRING, NULLABLE|NONEMPTY),
    FIELD(U_FILE_SIZE, "file_size", VALUE_COUNT, NULLABLE),
    FIELD(U_ROW_COUNT, "row_count", VALUE_COUNT, NULLABLE),
    FIELD(U_ERROR_MESSAGE, "error_message", VALUE_STRING, NULLABLE),
    FIELD(U_REQUESTED_AT, "requested_at", VALUE_TIME, 0),
    FIELD(U_COMPLETED_AT, "completed_at", VALUE_TIME, NULLABLE),
    FIELD(U_FAILED_AT, "failed_at", VALUE_TIME, NULLABLE),
    FIELD(U_SUBJECT, "subject", VALUE_SUBJECT, NULLABLE),
    FIELD(U_DOWNLOAD_URL, "download_url", VALUE_LINK, 0),
    FIELD(U_USER, "user", VALUE_USER, EXTRA),
    FIELD(U_STORAGE_BACKEND, "storage_backend", VALUE_STRING,
          EXTRA|OPTIONAL|NONEMPTY|NOCONTROL),
    FIELD(U_STORAGE_KEY, "storage_key", VALUE_STRING,
          EXTRA|OPTIONAL|NONEMPTY|NOCONTROL),
    FIELD(U_CONTENT_TYPE, "content_type", VALUE_STRING,
          EXTRA|OPTIONAL|NONEMPTY|NOCONTROL)
};

_Static_assert(U_FIELDS <= EXPORTS_FIELDS_MAX, "the arrays of a manifest");


static exports_str_t text_or(const exports_str_t *text, const char *other);


void
exports_user_fields(exports_input_t *in)
{
    in->fields = fields;
    in->nfields = U_FIELDS;
}


exports_rc_t
exports_user_take(exports_manifest_t *manifest, exports_input_t *in,
    exports_record_t *record)
{
    exports_rc_t  rc;

    if ((rc = exports_json_scope(EXPORTS_USER, "user", in->values[U_USER],
                                 manifest->scope, &manifest->scope_len,
                                 in->error))
           != EXPORTS_OK
        || (rc = exports_take_id(manifest, in, U_UUID, record)) != EXPORTS_OK
        || (rc = exports_take_status(in, U_STATUS, record)) != EXPORTS_OK
        || (rc = exports_take_storage_key(in, U_STORAGE_KEY, record))
           != EXPORTS_OK)
    {
        return rc;
    }

    record->group = in->texts[U_TYPE];

    if (memchr(record->group.data, ',', record->group.len) != NULL) {
        return exports_json_bad(in->error, "type", "has a comma",
                                in->values[U_TYPE]);
    }

    if (in->values[U_SUBJECT] != NULL) {
        record->item.flags |= EXPORTS_RECORD_SUBJECT;
        record->subject_type = in->subject.type;
        record->subject_id = in->subject.id;
    }

    if (record->item.status == EXPORTS_STATUS_READY) {
        record->item.flags |= EXPORTS_RECORD_LINK;
    }

    record->storage_backend = text_or(&in->texts[U_STORAGE_BACKEND],
                                      EXPORTS_BACKEND_LOCAL);
    record->content_type = text_or(&in->texts[U_CONTENT_TYPE],
                                   "application/octet-stream");
    record->name = in->texts[U_FILENAME];

    manifest->created = in->times[U_REQUESTED_AT];

    return EXPORTS_OK;
}


static exports_str_t
text_or(const exports_str_t *text, const char *other)
{
    exports_str_t  str;

    if (text->data != NULL) {
        return *text;
    }

    str.data = other;
    str.len = strlen(other);

    return str;
}
