
/* the fields of a manifest of the project exports API */

#include <string.h>

#include "exports_manifest_private.h"


/* in the order of the item */

enum {
    P_ID = 0, P_KIND, P_SCOPE, P_PROJECT, P_TABLE, P_FORMAT, P_DOWNLOAD_NAME,
    P_DOWNLOAD_URL, P_STORAGE_BACKEND, P_CONTENT_TYPE, P_ROW_COUNT,
    P_TABLE_COUNT, P_SIZE_BYTES, P_STATUS, P_STATUS_REASON, P_MISSING_AT,
    P_CREATED_AT, P_EXPIRES_AT, P_STORAGE_KEY, P_FIELDS
};

static const exports_field_t  fields[P_FIELDS] = {
    FIELD(P_ID, "id", VALUE_STRING, 0),
    FIELD(P_KIND, "kind", VALUE_STRING, 0),
    FIELD(P_SCOPE, "scope", VALUE_STRING, NONEMPTY),
    FIELD(P_PROJECT, "project", VALUE_STRING, 0),
    FIELD(P_TABLE, "table", VALUE_STRING, NULLABLE|NONEMPTY),
    FIELD(P_FORMAT, "format", VALUE_STRING, NONEMPTY),
    FIELD(P_DOWNLOAD_NAME, "download_name", VALUE_STRING, NONEMPTY),
    FIELD(P_DOWNLOAD_URL, "download_url", VALUE_LINK, 0),
    FIELD(P_STORAGE_BACKEND, "storage_backend", VALUE_STRING,
          NONEMPTY|NOCONTROL),
    FIELD(P_CONTENT_TYPE, "content_type", VALUE_STRING, NONEMPTY|NOCONTROL),
    FIELD(P_ROW_COUNT, "row_count", VALUE_COUNT, NULLABLE),
    FIELD(P_TABLE_COUNT, "table_count", VALUE_COUNT, NULLABLE),
    FIELD(P_SIZE_BYTES, "size_bytes", VALUE_COUNT, NULLABLE),
    FIELD(P_STATUS, "status", VALUE_STRING, 0),
    FIELD(P_STATUS_REASON, "status_reason", VALUE_STRING, NULLABLE),
    FIELD(P_MISSING_AT, "missing_at", VALUE_TIME, NULLABLE),
    FIELD(P_CREATED_AT, "created_at", VALUE_TIME, 0),
    FIELD(P_EXPIRES_AT, "expires_at", VALUE_TIME, NULLABLE),
    FIELD(P_STORAGE_KEY, "storage_key", VALUE_STRING,
          EXTRA|OPTIONAL|NONEMPTY|NOCONTROL)
};

_Static_assert(P_FIELDS <= EXPORTS_FIELDS_MAX, "the arrays of a manifest");


void
exports_project_fields(exports_input_t *in)
{
    in->fields = fields;
    in->nfields = P_FIELDS;
}


exports_rc_t
exports_project_take(exports_manifest_t *manifest, exports_input_t *in,
    exports_record_t *record)
{
    unsigned            i;
    exports_rc_t        rc;
    static const char  *kinds[] = {
        [EXPORTS_TABLE_EXPORT] = "table_export",
        [EXPORTS_DATABASE_EXPORT] = "database_export",
        [EXPORTS_SCHEMA_EXPORT] = "schema_export"
    };

    if ((rc = exports_json_scope(EXPORTS_PROJECT, "project",
                                 in->values[P_PROJECT], manifest->scope,
                                 &manifest->scope_len, in->error))
           != EXPORTS_OK
        || (rc = exports_take_id(manifest, in, P_ID, record)) != EXPORTS_OK
        || (rc = exports_take_status(in, P_STATUS, record)) != EXPORTS_OK
        || (rc = exports_take_storage_key(in, P_STORAGE_KEY, record))
           != EXPORTS_OK)
    {
        return rc;
    }

    for (i = EXPORTS_TABLE_EXPORT; i <= EXPORTS_SCHEMA_EXPORT; i++) {
        if (strcmp(kinds[i], in->texts[P_KIND].data) == 0) {
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
    record->storage_backend = in->texts[P_STORAGE_BACKEND];
    record->content_type = in->texts[P_CONTENT_TYPE];
    record->name = in->texts[P_DOWNLOAD_NAME];
    record->group = in->texts[P_TABLE];

    manifest->created = in->times[P_CREATED_AT];

    return EXPORTS_OK;
}
