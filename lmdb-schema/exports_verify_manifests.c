
/*
 * Every record is looked up in all its indexes.  If nothing is missing there,
 * and an index has as many entries as the records must have, all different, it
 * has no others.  Only if it has another number of them, or a fault was found
 * before, each entry is traced back to its record.
 */

#include <string.h>

#include "exports_json.h"
#include "exports_verify_private.h"


static const char  orphaned[] = "is of a scope that does not exist";


static exports_rc_t check_index(exports_check_t *c, exports_db_t db,
    uint64_t *count, uint64_t expected, exports_visit_pt check);
static exports_rc_t pass(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);
static exports_rc_t check_manifest(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static const char *manifest_fault(exports_check_t *c, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len,
    exports_record_t *record);
static const char *item_fault(const uint8_t *key,
    const exports_record_t *record);
static exports_rc_t check_indexes(exports_check_t *c, const uint8_t *key,
    const exports_record_t *record);
static int found_in_lists(exports_check_t *c, const uint8_t *key,
    const exports_facets_t *facets);
static exports_rc_t check_id(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);
static int leads_to_record(exports_check_t *c, const uint8_t *id_key,
    size_t len, const uint8_t *key);
static size_t id_pos(const uint8_t *id_key, size_t len);
static exports_rc_t check_entry(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static const char *entry_fault(exports_check_t *c, const uint8_t *key,
    size_t key_len, const uint8_t *entry);


exports_rc_t
exports_verify_manifests(exports_check_t *c)
{
    exports_rc_t  rc;

    rc = exports_reader_cursor(c->reader, DB_FACETS, &c->facets);

    if (rc == EXPORTS_OK) {
        rc = exports_verify_walk(c, DB_MANIFESTS, check_manifest);
        mdb_cursor_close(c->facets);
    }

    return rc;
}


exports_rc_t
exports_verify_ids(exports_check_t *c)
{
    return check_index(c, DB_IDS, &c->result->ids, c->records, check_id);
}


exports_rc_t
exports_verify_entries(exports_check_t *c)
{
    return check_index(c, DB_FACETS, &c->result->entries, c->expected,
                       check_entry);
}


static exports_rc_t
check_index(exports_check_t *c, exports_db_t db, uint64_t *count,
    uint64_t expected, exports_visit_pt check)
{
    MDB_stat  st;

    if (mdb_stat(c->reader->txn, c->reader->env->dbi[db], &st) != 0) {
        return EXPORTS_FAILED;
    }

    *count = st.ms_entries;

    return exports_verify_walk(c, db,
                               c->result->faults > 0 || *count != expected
                                   ? check : pass);
}


/* an entry of which only the order is checked */

static exports_rc_t
pass(void *data, const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    (void) data;
    (void) key;
    (void) key_len;
    (void) value;
    (void) len;

    return EXPORTS_OK;
}


static exports_rc_t
check_manifest(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    const char         *fault;
    exports_check_t    *c = data;
    exports_record_t    record;
    exports_fix_type_t  type;

    c->result->manifests++;

    fault = manifest_fault(c, key, key_len, value, len, &record);

    if (fault == NULL) {
        return check_indexes(c, key, &record);
    }

    exports_verify_count(c, key, key_len, NULL);

    /* if scopes are lost, the record may well be sound */

    type = fault == orphaned && c->scopes_lost ? FIX_NONE : FIX_DROP_MANIFEST;

    return exports_verify_report(c, type, key, key_len, NULL,
                                 "manifests: a record %s", fault);
}


static const char *
manifest_fault(exports_check_t *c, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len, exports_record_t *record)
{
    const exports_known_scope_t  *scope;

    if (key_len != EXPORTS_MANIFEST_KEY_LEN) {
        return "has a key of another length";
    }

    if (exports_record_decode(record, key, value, len) != EXPORTS_OK) {
        return exports_verify_unread(key, key_len, value, len);
    }

    scope = exports_verify_find_scope(c, exports_get64(key));

    if (scope == NULL || scope->key[0] != record->item.kind) {
        return orphaned;
    }

    return item_fault(key, record);
}


static const char *
item_fault(const uint8_t *key, const exports_record_t *record)
{
    json_t      *item;
    uint64_t     tie;
    const char  *fault;

    if (!exports_id_valid(record->item.kind, record->item.id.data,
                          record->item.id.len))
    {
        return "has an id that cannot be one";
    }

    if (exports_tie(record->item.id.data, record->item.id.len, &tie) != 0
        || tie != exports_get64(key + EXPORTS_TIE_POS))
    {
        return "is not of the id that its key stands for";
    }

    /* jansson refuses what is not UTF-8 */

    item = json_loadb(record->item.json, record->item.json_len,
                      JSON_REJECT_DUPLICATES, NULL);
    fault = json_is_object(item) ? NULL
                                 : "has an item that is no JSON object";
    json_decref(item);

    return fault;
}


static exports_rc_t
check_indexes(exports_check_t *c, const uint8_t *key,
    const exports_record_t *record)
{
    int                twice;
    const char        *missing;
    exports_facets_t   facets;

    missing = exports_verify_id(c, key, record, &twice) ? NULL : "ids";

    if (twice) {
        return exports_verify_report(c, FIX_DROP_MANIFEST, key,
                                     EXPORTS_MANIFEST_KEY_LEN, NULL,
                                     "manifests: \"%.*s\" is there twice",
                                     (int) record->item.id.len,
                                     record->item.id.data);
    }

    c->records++;
    exports_verify_count(c, key, EXPORTS_MANIFEST_KEY_LEN, record);

    if (exports_record_facets(&facets, record) != 0) {
        return EXPORTS_FAILED;
    }

    if (!found_in_lists(c, key, &facets)) {
        missing = "facets";
    }

    if (missing == NULL) {
        return EXPORTS_OK;
    }

    return exports_verify_report(c, FIX_INDEX, key, EXPORTS_MANIFEST_KEY_LEN,
                                 NULL,
                                 "%s: \"%.*s\" is not listed as it should be",
                                 missing, (int) record->item.id.len,
                                 record->item.id.data);
}


int
exports_verify_id(exports_check_t *c, const uint8_t *key,
    const exports_record_t *record, int *twice)
{
    size_t          len;
    uint8_t         id_key[EXPORTS_ID_KEY_MAX];
    MDB_val         v;
    const uint8_t  *found;

    *twice = 0;

    len = exports_id_key(id_key, record->item.kind, exports_get64(key),
                         record->item.id.data, record->item.id.len);

    if (exports_mdb_get(c->reader->txn, c->reader->env->dbi[DB_IDS], id_key,
                        len, &v)
            != EXPORTS_OK
        || exports_id_decode(&found, id_key, len, v.mv_data, v.mv_size)
           != EXPORTS_OK)
    {
        return 0;
    }

    if (memcmp(found, key, EXPORTS_MANIFEST_KEY_LEN) == 0) {
        return 1;
    }

    *twice = leads_to_record(c, id_key, len, found);

    return 0;
}


static int
found_in_lists(exports_check_t *c, const uint8_t *key,
    const exports_facets_t *facets)
{
    int              found;
    MDB_val          k, v;
    unsigned         facet;
    exports_facet_t  list;

    found = 1;

    for (facet = EXPORTS_FACET_ALL;
         facet <= EXPORTS_FACET_MASK;
         facet = exports_facet_next(facet, facets))
    {
        exports_facet_key(&list, exports_get64(key), facet, facets);

        c->expected++;

        k = exports_mdb_val(list.bytes, list.len);
        v = exports_mdb_val(key + EXPORTS_ENTRY_POS, EXPORTS_ENTRY_LEN);

        if (mdb_cursor_get(c->facets, &k, &v, MDB_GET_BOTH) != 0) {
            found = 0;
        }
    }

    return found;
}


static exports_rc_t
check_id(void *data, const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    size_t            pos, id_len;
    const uint8_t    *found;
    exports_check_t  *c = data;

    if (key_len <= EXPORTS_ID_KEY_MAX
        && exports_id_decode(&found, key, key_len, value, len) == EXPORTS_OK
        && leads_to_record(c, key, key_len, found))
    {
        return EXPORTS_OK;
    }

    pos = id_pos(key, key_len);
    id_len = key_len > pos ? key_len - pos : 0;

    return exports_verify_report(c, FIX_DROP_ID, key, key_len, NULL,
                                 "ids: \"%.*s\" leads to no record of that id",
                                 (int) (id_len < EXPORTS_ID_MAX
                                            ? id_len : EXPORTS_ID_MAX),
                                 (const char *) key + pos);
}


/* whether an id leads to a record with that id, which will not be dropped */

static int
leads_to_record(exports_check_t *c, const uint8_t *id_key, size_t len,
    const uint8_t *key)
{
    size_t              pos;
    MDB_val             v;
    const char         *fault;
    exports_record_t    record;

    pos = id_pos(id_key, len);

    /* a project's: in its scope */

    if (len < pos || memcmp(id_key + 1, key, pos - 1) != 0) {
        return 0;
    }

    if (exports_mdb_get(c->reader->txn, c->reader->env->dbi[DB_MANIFESTS], key,
                        EXPORTS_MANIFEST_KEY_LEN, &v)
        != EXPORTS_OK)
    {
        return 0;
    }

    fault = manifest_fault(c, key, EXPORTS_MANIFEST_KEY_LEN, v.mv_data,
                           v.mv_size, &record);

    return (fault == NULL || (fault == orphaned && c->scopes_lost))
           && record.item.kind == id_key[0]
           && record.item.id.len == len - pos
           && memcmp(record.item.id.data, id_key + pos, len - pos) == 0;
}


/* where the id begins in a key of ids: after the kind and a project's scope */

static size_t
id_pos(const uint8_t *id_key, size_t len)
{
    return len > 0 && id_key[0] == EXPORTS_PROJECT ? 1 + 8 : 1;
}


static exports_rc_t
check_entry(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    const char       *fault;
    exports_check_t  *c = data;

    if (len != EXPORTS_ENTRY_LEN) {
        return exports_verify_report(c, FIX_NONE, key, key_len, NULL,
                                     "facets: an entry of another length");
    }

    fault = entry_fault(c, key, key_len, value);

    return fault == NULL ? EXPORTS_OK
                         : exports_verify_report(c, FIX_DROP_ENTRY, key,
                                                 key_len, value,
                                                 "facets: an entry %s", fault);
}


static const char *
entry_fault(exports_check_t *c, const uint8_t *key, size_t key_len,
    const uint8_t *entry)
{
    uint8_t             manifest_key[EXPORTS_MANIFEST_KEY_LEN];
    MDB_val             v;
    unsigned            facet;
    exports_facet_t     list;
    exports_record_t    record;
    exports_facets_t    facets;

    if (key_len <= EXPORTS_FACET_POS || key_len > EXPORTS_FACET_KEY_MAX
        || key[EXPORTS_FACET_POS] > EXPORTS_FACET_MASK)
    {
        return "of a list with an impossible key";
    }

    facet = key[EXPORTS_FACET_POS];

    memcpy(manifest_key, key, 8);
    memcpy(manifest_key + EXPORTS_ENTRY_POS, entry, EXPORTS_ENTRY_LEN);

    if (exports_mdb_get(c->reader->txn, c->reader->env->dbi[DB_MANIFESTS],
                        manifest_key, EXPORTS_MANIFEST_KEY_LEN, &v)
            != EXPORTS_OK
        || exports_record_decode(&record, manifest_key, v.mv_data, v.mv_size)
           != EXPORTS_OK
        || exports_record_facets(&facets, &record) != 0)
    {
        return "leads to no record that can be read";
    }

    if ((facet & ~facets.has) == 0) {
        exports_facet_key(&list, exports_get64(key), facet, &facets);

        if (list.len == key_len && memcmp(list.bytes, key, key_len) == 0) {
            return NULL;
        }
    }

    return "leads to a record that does not belong in its list";
}
