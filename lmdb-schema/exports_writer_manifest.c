
#include <string.h>

#include "exports_writer_private.h"


/* where a manifest is listed: a key for each facet, of length 0 for none */

typedef struct {
    uint8_t            entry[EXPORTS_ENTRY_LEN];
    exports_facet_t    keys[EXPORTS_FACET_MASK + 1];
} listing_t;


static exports_rc_t find_id(exports_writer_t *w, const uint8_t *id_key,
    size_t len, uint8_t *old_key, exports_error_t *error);
static exports_rc_t put_record(exports_writer_t *w,
    const exports_manifest_t *manifest, const uint8_t *key, int replace,
    exports_error_t *error);
static exports_rc_t same_place(exports_writer_t *w, const uint8_t *key,
    const exports_manifest_t *manifest, exports_error_t *error);
static exports_rc_t read_listing(exports_writer_t *w, const uint8_t *key,
    listing_t *listing, exports_error_t *error);
static exports_rc_t search_listing(exports_writer_t *w, const uint8_t *key,
    exports_error_t *error);
static void fill_listing(listing_t *listing, const uint8_t *key,
    const exports_facets_t *facets);
static exports_rc_t unlist(exports_writer_t *w, const listing_t *old,
    const listing_t *kept, exports_error_t *error);
static exports_rc_t enlist(exports_writer_t *w, const listing_t *listing,
    const listing_t *had, exports_error_t *error);
static int listed(const listing_t *listing, const listing_t *other,
    unsigned facet);
static exports_rc_t remove_manifest(exports_writer_t *w, const uint8_t *key,
    exports_error_t *error);


exports_rc_t
exports_writer_put(exports_writer_t *w, const exports_manifest_t *manifest,
    int *replaced, exports_error_t *error)
{
    int             found, moved;
    size_t          id_len;
    uint8_t         id_key[EXPORTS_ID_KEY_MAX], id_value[EXPORTS_ID_VALUE_LEN];
    uint8_t         key[EXPORTS_MANIFEST_KEY_LEN];
    uint8_t         old_key[EXPORTS_MANIFEST_KEY_LEN];
    listing_t       old, new;
    exports_met_scope_t    *met;
    exports_rc_t    rc;

    rc = exports_writer_find_scope(w, manifest->kind, manifest->scope,
                                   manifest->scope_len, &met, error);
    if (rc != EXPORTS_OK && rc != EXPORTS_NOT_FOUND) {
        return rc;
    }

    id_len = exports_id_key(id_key, manifest->kind,
                            rc == EXPORTS_OK ? met->scope.id : 0,
                            manifest->id, manifest->id_len);

    found = 0;

    if (rc == EXPORTS_OK || manifest->kind == EXPORTS_USER) {
        exports_rc_t  idrc;

        idrc = find_id(w, id_key, id_len, old_key, error);

        if (idrc != EXPORTS_OK && idrc != EXPORTS_NOT_FOUND) {
            return idrc;
        }

        found = (idrc == EXPORTS_OK);
    }

    if (found && (rc != EXPORTS_OK || exports_get64(old_key) != met->scope.id))
    {
        return exports_error(error, EXPORTS_CONFLICT,
                             "uuid: \"%.*s\" is an export of another user",
                             (int) manifest->id_len, manifest->id);
    }

    if (rc != EXPORTS_OK) {
        rc = exports_writer_make_scope(w, manifest->kind, manifest->scope,
                                       manifest->scope_len, &met, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        id_len = exports_id_key(id_key, manifest->kind, met->scope.id,
                                manifest->id, manifest->id_len);
    }

    exports_manifest_key(key, met->scope.id, manifest->created, manifest->tie);

    moved = !found || memcmp(key, old_key, EXPORTS_MANIFEST_KEY_LEN) != 0;

    memset(&old, 0, sizeof(listing_t));

    if (!moved) {
        rc = read_listing(w, old_key, &old, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    /* where it is refused, nothing may have been changed before */

    rc = put_record(w, manifest, key, !moved, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (found && moved) {
        rc = read_listing(w, old_key, &old, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    met->changed = 1;

    fill_listing(&new, key, &manifest->facets);

    if (found && moved) {
        rc = exports_writer_del(w, DB_MANIFESTS, old_key,
                                EXPORTS_MANIFEST_KEY_LEN, NULL, 0, error);
    }

    if (rc == EXPORTS_OK && found) {
        rc = unlist(w, &old, &new, error);
    }

    if (rc == EXPORTS_OK && moved) {
        exports_id_encode(id_value, key, id_key, id_len);
        rc = exports_writer_store(w, DB_IDS, id_key, id_len, id_value,
                                  EXPORTS_ID_VALUE_LEN, error);
    }

    if (rc == EXPORTS_OK) {
        rc = enlist(w, &new, &old, error);
    }

    if (replaced != NULL) {
        *replaced = found;
    }

    return rc;
}


exports_rc_t
exports_writer_delete(exports_writer_t *w, exports_kind_t kind,
    const char *scope, size_t scope_len, const char *id, size_t id_len,
    exports_error_t *error)
{
    size_t         len;
    uint8_t        id_key[EXPORTS_ID_KEY_MAX], key[EXPORTS_MANIFEST_KEY_LEN];
    exports_met_scope_t   *met;
    exports_rc_t   rc;

    if (!exports_scope_name_valid(kind, scope, scope_len)) {
        return exports_error(error, EXPORTS_INVALID, "%s: not a valid name",
                             exports_kind_name(kind));
    }

    rc = exports_writer_find_scope(w, kind, scope, scope_len, &met, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = EXPORTS_NOT_FOUND;

    if (exports_id_valid(kind, id, id_len)) {
        len = exports_id_key(id_key, kind, met->scope.id, id, id_len);
        rc = find_id(w, id_key, len, key, error);
    }

    if (rc == EXPORTS_NOT_FOUND
        || (rc == EXPORTS_OK && exports_get64(key) != met->scope.id))
    {
        return exports_error(error, EXPORTS_NOT_FOUND, "%.*s: not found",
                             (int) id_len, id);
    }

    if (rc == EXPORTS_OK) {
        met->changed = 1;
        rc = remove_manifest(w, key, error);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_writer_del(w, DB_IDS, id_key, len, NULL, 0, error);
    }

    return rc;
}


exports_rc_t
exports_writer_drop_manifest(exports_writer_t *w, const uint8_t *key,
    size_t len, exports_error_t *error)
{
    return len == EXPORTS_MANIFEST_KEY_LEN
               ? remove_manifest(w, key, error)
               : exports_writer_del(w, DB_MANIFESTS, key, len, NULL, 0, error);
}


exports_rc_t
exports_writer_drop_id(exports_writer_t *w, const uint8_t *key, size_t len,
    exports_error_t *error)
{
    return exports_writer_del(w, DB_IDS, key, len, NULL, 0, error);
}


exports_rc_t
exports_writer_drop_facet(exports_writer_t *w, const uint8_t *key, size_t len,
    const uint8_t *entry, exports_error_t *error)
{
    return len <= EXPORTS_FACET_KEY_MAX
               ? exports_writer_list(w, key, len, entry, 0, error)
               : exports_writer_del(w, DB_FACETS, key, len, entry,
                                    EXPORTS_ENTRY_LEN, error);
}


exports_rc_t
exports_writer_index(exports_writer_t *w, const uint8_t *key,
    const exports_record_t *record, exports_error_t *error)
{
    size_t             len;
    uint8_t            id_key[EXPORTS_ID_KEY_MAX];
    uint8_t            id_value[EXPORTS_ID_VALUE_LEN];
    listing_t          listing, none;
    exports_rc_t       rc;
    exports_facets_t   facets;

    if (exports_record_facets(&facets, record) != 0) {
        return exports_error(error, EXPORTS_NOMEM, "SHA-256 failed");
    }

    len = exports_id_key(id_key, record->item.kind, exports_get64(key),
                         record->item.id.data, record->item.id.len);
    exports_id_encode(id_value, key, id_key, len);
    fill_listing(&listing, key, &facets);
    memset(&none, 0, sizeof(listing_t));

    rc = exports_writer_store(w, DB_IDS, id_key, len, id_value,
                              EXPORTS_ID_VALUE_LEN, error);

    return rc == EXPORTS_OK ? enlist(w, &listing, &none, error) : rc;
}


static exports_rc_t
find_id(exports_writer_t *w, const uint8_t *id_key, size_t len,
    uint8_t *old_key, exports_error_t *error)
{
    MDB_val         v;
    exports_rc_t    rc;
    const uint8_t  *found;

    rc = exports_mdb_get(w->txn, w->env->dbi[DB_IDS], id_key, len, &v);

    if (rc == EXPORTS_OK) {
        rc = exports_id_decode(&found, id_key, len, v.mv_data, v.mv_size);
    }

    if (rc == EXPORTS_OK) {
        memcpy(old_key, found, EXPORTS_MANIFEST_KEY_LEN);

    } else if (rc != EXPORTS_NOT_FOUND) {
        return exports_error(error, rc, "an entry of \"ids\": %s",
                             exports_strerror(rc));
    }

    return rc;
}


static exports_rc_t
put_record(exports_writer_t *w, const exports_manifest_t *manifest,
    const uint8_t *key, int replace, exports_error_t *error)
{
    int      rc;
    MDB_val  k, v;

    k.mv_data = (void *) key;
    k.mv_size = EXPORTS_MANIFEST_KEY_LEN;
    v.mv_data = NULL;
    v.mv_size = manifest->record_len;

    rc = mdb_put(w->txn, w->env->dbi[DB_MANIFESTS], &k, &v,
                 MDB_RESERVE | (replace ? 0 : MDB_NOOVERWRITE));

    if (rc == MDB_KEYEXIST) {
        return same_place(w, key, manifest, error);
    }

    if (rc != 0) {
        return exports_mdb_error(error, w->env, "writing", rc);
    }

    memcpy(v.mv_data, manifest->record, manifest->record_len);
    exports_record_seal(v.mv_data, manifest->record_len, key);

    return EXPORTS_OK;
}


static exports_rc_t
same_place(exports_writer_t *w, const uint8_t *key,
    const exports_manifest_t *manifest, exports_error_t *error)
{
    MDB_val         v;
    exports_item_t  item;

    if (exports_mdb_get(w->txn, w->env->dbi[DB_MANIFESTS], key,
                        EXPORTS_MANIFEST_KEY_LEN, &v)
            != EXPORTS_OK
        || exports_item_decode(&item, key, v.mv_data, v.mv_size) != EXPORTS_OK)
    {
        return exports_error(error, EXPORTS_CONFLICT,
                             "%.*s: its place is taken by a damaged record; "
                             "run \"exportsctl verify --repair\"",
                             (int) manifest->id_len, manifest->id);
    }

    return exports_error(error, EXPORTS_CONFLICT,
                         "%.*s: cannot be told in order from \"%.*s\": both "
                         "have the same time and their SHA-256 begins alike",
                         (int) manifest->id_len, manifest->id,
                         (int) item.id.len, item.id.data);
}


/*
 * The lists that a stored manifest is in.  When its record cannot be read, it
 * is taken out of all lists of its scope here, and the listing is empty.
 */

static exports_rc_t
read_listing(exports_writer_t *w, const uint8_t *key, listing_t *listing,
    exports_error_t *error)
{
    MDB_val            v;
    exports_rc_t       rc;
    exports_facets_t   facets;
    exports_record_t   record;

    memset(listing, 0, sizeof(listing_t));

    rc = exports_mdb_get(w->txn, w->env->dbi[DB_MANIFESTS], key,
                         EXPORTS_MANIFEST_KEY_LEN, &v);

    if (rc == EXPORTS_OK) {
        rc = exports_record_decode(&record, key, v.mv_data, v.mv_size);
    }

    if (rc == EXPORTS_NOT_FOUND || rc == EXPORTS_CORRUPT) {
        return search_listing(w, key, error);
    }

    if (rc != EXPORTS_OK || exports_record_facets(&facets, &record) != 0) {
        return exports_error(error, EXPORTS_FAILED, "reading \"%s\": %s",
                             w->env->path, exports_strerror(rc));
    }

    fill_listing(listing, key, &facets);

    return EXPORTS_OK;
}


/* of each key the least one that is greater */

static exports_rc_t
search_listing(exports_writer_t *w, const uint8_t *key, exports_error_t *error)
{
    int            rc;
    size_t         len;
    uint8_t        facet[EXPORTS_FACET_KEY_MAX + 1];
    MDB_val        k, v;
    MDB_cursor    *cursor;
    exports_rc_t   erc;

    /* what is held back would be missed */

    erc = exports_writer_flush(w, error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    rc = mdb_cursor_open(w->txn, w->env->dbi[DB_FACETS], &cursor);
    if (rc != 0) {
        return exports_mdb_error(error, w->env, "reading", rc);
    }

    memcpy(facet, key, 8);
    len = 8;

    for (erc = EXPORTS_OK; erc == EXPORTS_OK; facet[len++] = 0) {

        k.mv_data = facet;
        k.mv_size = len;

        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);

        if (rc == 0 && exports_mdb_before(&k, facet, len)) {
            rc = MDB_CORRUPTED;
        }

        if (rc != 0 || k.mv_size < 8 || k.mv_size > EXPORTS_FACET_KEY_MAX
            || memcmp(k.mv_data, key, 8) != 0)
        {
            break;
        }

        len = k.mv_size;
        memcpy(facet, k.mv_data, len);

        k.mv_data = facet;
        v.mv_data = (void *) (key + 8);
        v.mv_size = EXPORTS_ENTRY_LEN;

        if (mdb_cursor_get(cursor, &k, &v, MDB_GET_BOTH) == 0) {
            erc = exports_writer_list(w, facet, len, key + 8, 0, error);
        }
    }

    mdb_cursor_close(cursor);

    if (erc == EXPORTS_OK && rc != 0 && rc != MDB_NOTFOUND) {
        return exports_mdb_error(error, w->env, "reading", rc);
    }

    return erc;
}


static void
fill_listing(listing_t *listing, const uint8_t *key,
    const exports_facets_t *facets)
{
    unsigned  facet;

    memset(listing, 0, sizeof(listing_t));
    memcpy(listing->entry, key + 8, EXPORTS_ENTRY_LEN);

    for (facet = EXPORTS_FACET_ALL;
         facet <= EXPORTS_FACET_MASK;
         facet = exports_facet_next(facet, facets))
    {
        exports_facet_key(&listing->keys[facet], exports_get64(key), facet,
                          facets);
    }
}


static exports_rc_t
unlist(exports_writer_t *w, const listing_t *old, const listing_t *kept,
    exports_error_t *error)
{
    unsigned      facet;
    exports_rc_t  rc;

    for (facet = 0; facet <= EXPORTS_FACET_MASK; facet++) {

        if (old->keys[facet].len == 0 || listed(old, kept, facet)) {
            continue;
        }

        rc = exports_writer_list(w, old->keys[facet].bytes,
                                 old->keys[facet].len, old->entry, 0, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return EXPORTS_OK;
}


static exports_rc_t
enlist(exports_writer_t *w, const listing_t *listing, const listing_t *had,
    exports_error_t *error)
{
    unsigned      facet;
    exports_rc_t  rc;

    for (facet = 0; facet <= EXPORTS_FACET_MASK; facet++) {

        if (listing->keys[facet].len == 0 || listed(listing, had, facet)) {
            continue;
        }

        rc = exports_writer_list(w, listing->keys[facet].bytes,
                                 listing->keys[facet].len, listing->entry, 1,
                                 error);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return EXPORTS_OK;
}


/* the same entry in the same list */

static int
listed(const listing_t *listing, const listing_t *other, unsigned facet)
{
    const exports_facet_t  *a, *b;

    a = &listing->keys[facet];
    b = &other->keys[facet];

    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0
           && memcmp(listing->entry, other->entry, EXPORTS_ENTRY_LEN) == 0;
}


static exports_rc_t
remove_manifest(exports_writer_t *w, const uint8_t *key,
    exports_error_t *error)
{
    listing_t     old, none;
    exports_rc_t  rc;

    rc = read_listing(w, key, &old, error);

    if (rc == EXPORTS_OK) {
        memset(&none, 0, sizeof(listing_t));
        rc = unlist(w, &old, &none, error);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_writer_del(w, DB_MANIFESTS, key,
                                EXPORTS_MANIFEST_KEY_LEN, NULL, 0, error);
    }

    return rc;
}
