
/*
 * What a sweep may have to change: manifests that are ready, and those that an
 * earlier sweep has changed, a chunk of them from one snapshot.
 */

#include <string.h>

#include "exportsctl_sweep.h"


#define CHUNK_RECORDS  10000


static exports_rc_t visit(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);
static void fill_found(found_t *found, found_type_t type, uint64_t scope,
    const exports_record_t *record);
static found_type_t type_of(const exports_record_t *record);
static int was_swept(const exports_record_t *record);


int
ctl_sweep_collect(sweep_t *sw)
{
    int                rc;
    exports_rc_t       erc;
    exports_reader_t  *reader;

    reader = sw->store.reader;
    sw->nrecords = 0;
    sw->nfound = 0;
    sw->ended = 1;

    sw->unnamed = 0;
    rc = CTL_OK;

    if (ctl_sweep_renew(sw) != CTL_OK) {
        return CTL_FAILED;
    }

    erc = exports_walk_manifests_after(reader, sw->begun ? sw->last : NULL,
                                       visit, sw);

    /* all names are loaded once, and again if scopes have been made since */

    if (sw->unnamed) {
        ctl_scopes_free(&sw->scopes);
        memset(&sw->scopes, 0, sizeof(ctl_scopes_t));

        rc = ctl_scopes_load(&sw->scopes, reader, sw->args);
    }

    exports_reader_reset(reader);

    if (rc == CTL_OK && erc != EXPORTS_OK && sw->ended) {
        return ctl_error("reading the store: %s", exports_strerror(erc));
    }

    return rc;
}


int
ctl_sweep_renew(sweep_t *sw)
{
    exports_rc_t  rc;

    rc = exports_reader_renew(sw->store.reader);

    return rc == EXPORTS_OK ? CTL_OK
                            : ctl_error("reading the store: %s",
                                        exports_strerror(rc));
}


/* a full chunk ends the walk; the next one goes on after the last key */

static exports_rc_t
visit(void *data, const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    sweep_t           *sw = data;
    found_type_t       type;
    exports_record_t   record;

    if (sw->nrecords == CHUNK_RECORDS || sw->nfound == SWEEP_FOUND) {
        sw->ended = 0;
        return EXPORTS_BUSY;
    }

    sw->checked++;

    if (key_len == EXPORTS_MANIFEST_KEY_LEN) {
        memcpy(sw->last, key, EXPORTS_MANIFEST_KEY_LEN);
        sw->begun = 1;
        sw->nrecords++;
    }

    if (key_len != EXPORTS_MANIFEST_KEY_LEN
        || exports_record_decode(&record, key, value, len) != EXPORTS_OK)
    {
        sw->errors++;
        ctl_message("a record is damaged: run \"exportsctl verify\"");
        return EXPORTS_OK;
    }

    type = type_of(&record);

    if (type == FOUND_NOTHING || record.item.id.len > EXPORTS_ID_MAX
        || record.storage_key.len > EXPORTS_STRING_MAX)
    {
        return EXPORTS_OK;
    }

    fill_found(&sw->found[sw->nfound++], type, exports_get64(key), &record);

    if (ctl_scopes_find(&sw->scopes, exports_get64(key)) == NULL) {
        sw->unnamed = 1;
    }

    return EXPORTS_OK;
}


static void
fill_found(found_t *found, found_type_t type, uint64_t scope,
    const exports_record_t *record)
{
    found->type = type;
    found->reason = NULL;
    found->change = 0;
    found->scope = scope;
    found->expires = 0;
    found->local = record->storage_backend.len
                   == sizeof(EXPORTS_BACKEND_LOCAL) - 1
                   && memcmp(record->storage_backend.data,
                             EXPORTS_BACKEND_LOCAL,
                             sizeof(EXPORTS_BACKEND_LOCAL) - 1)
                      == 0;
    found->id_len = record->item.id.len;
    memcpy(found->id, record->item.id.data, found->id_len);
    memcpy(found->key, record->storage_key.data, record->storage_key.len);
    found->key[record->storage_key.len] = '\0';

    /* 1970 itself is as long ago a microsecond later */

    if (record->item.flags & EXPORTS_RECORD_EXPIRES) {
        found->expires = record->expires != 0 ? record->expires : 1;
    }
}


static found_type_t
type_of(const exports_record_t *record)
{
    if (record->item.kind == EXPORTS_USER) {
        return record->item.status == EXPORTS_STATUS_READY ? FOUND_USER
                                                           : FOUND_NOTHING;
    }

    if (record->item.status == EXPORTS_STATUS_READY) {
        return FOUND_READY;
    }

    return was_swept(record) ? FOUND_SWEPT : FOUND_NOTHING;
}


static int
was_swept(const exports_record_t *record)
{
    int          swept;
    json_t      *item;
    const char  *reason;

    item = json_loadb(record->item.json, record->item.json_len, 0, NULL);
    reason = json_string_value(json_object_get(item, "status_reason"));

    swept = reason != NULL && (strcmp(reason, SWEEP_MISSING) == 0
                               || strcmp(reason, SWEEP_EXPIRED) == 0);
    json_decref(item);

    return swept;
}


int
ctl_sweep_is_as_found(const exports_record_t *record, const found_t *found)
{
    found_t       now;
    found_type_t  type;

    type = type_of(record);

    if (type != found->type || record->storage_key.len > EXPORTS_STRING_MAX) {
        return 0;
    }

    fill_found(&now, type, found->scope, record);

    return now.expires == found->expires && now.local == found->local
           && strcmp(now.key, found->key) == 0;
}
