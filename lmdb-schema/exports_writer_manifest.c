
/* stored manifests: their ids, the lists they are in, deletion and repair */

#include <string.h>

#include "exports_writer_private.h"


static exports_rc_t bad_id(exports_rc_t rc, exports_error_t *error);
static exports_rc_t unlist_everywhere(exports_writer_t *w, const uint8_t *key,
    exports_error_t *error);
static int next_list(MDB_cursor *cursor, const uint8_t *scope, uint8_t *from,
    size_t *len);
static int listed(const exports_listing_t *listing,
    const exports_listing_t *other, unsigned facet);
static exports_rc_t remove_manifest(exports_writer_t *w, const uint8_t *key,
    unsigned *status, exports_error_t *error);


exports_rc_t
exports_writer_delete(exports_writer_t *w, exports_kind_t kind,
    const char *scope, size_t scope_len, const char *id, size_t id_len,
    exports_error_t *error)
{
    size_t                len;
    uint8_t               id_key[EXPORTS_ID_KEY_MAX];
    uint8_t               key[EXPORTS_MANIFEST_KEY_LEN];
    unsigned              status;
    exports_rc_t          rc;
    exports_met_scope_t  *met;

    rc = exports_writer_check_name(kind, scope, scope_len, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = exports_writer_find_scope(w, kind, scope, scope_len, &met, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = EXPORTS_NOT_FOUND;

    if (exports_id_valid(kind, id, id_len)) {
        len = exports_id_key(id_key, kind, met->scope.id, id, id_len);
        rc = exports_writer_find_id(w, id_key, len, key, error);
    }

    if (rc == EXPORTS_NOT_FOUND
        || (rc == EXPORTS_OK && exports_get64(key) != met->scope.id))
    {
        return exports_error(error, EXPORTS_NOT_FOUND, "%.*s: not found",
                             (int) id_len, id);
    }

    if (rc == EXPORTS_OK) {
        met->changed = 1;
        rc = remove_manifest(w, key, &status, error);
    }

    if (rc == EXPORTS_OK) {
        exports_writer_uncount(met, status);
        rc = exports_writer_del(w, DB_IDS, id_key, len, NULL, 0, error);
    }

    return rc;
}


exports_rc_t
exports_writer_drop_manifest(exports_writer_t *w, const uint8_t *key,
    size_t len, exports_error_t *error)
{
    unsigned  status;

    return len == EXPORTS_MANIFEST_KEY_LEN
               ? remove_manifest(w, key, &status, error)
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
    exports_listing_t  listing, none;
    exports_rc_t       rc;
    exports_facets_t   facets;

    if (exports_record_facets(&facets, record) != 0) {
        return exports_error(error, EXPORTS_FAILED, "SHA-256 failed");
    }

    len = exports_id_key(id_key, record->item.kind, exports_get64(key),
                         record->item.id.data, record->item.id.len);
    exports_id_encode(id_value, key, id_key, len);
    exports_listing_fill(&listing, key, &facets);
    memset(&none, 0, sizeof(exports_listing_t));

    rc = exports_writer_store(w, DB_IDS, id_key, len, id_value,
                              EXPORTS_ID_VALUE_LEN, error);

    return rc == EXPORTS_OK
               ? exports_writer_enlist(w, &listing, &none, error) : rc;
}


exports_rc_t
exports_writer_find_id(exports_writer_t *w, const uint8_t *id_key, size_t len,
    uint8_t *key, exports_error_t *error)
{
    MDB_val       v;
    exports_rc_t  rc;

    rc = exports_writer_check(w, DB_IDS, id_key, len, 0, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = exports_mdb_get(w->txn, w->env->dbi[DB_IDS], id_key, len, &v);

    if (rc == EXPORTS_OK) {
        return exports_writer_read_id(id_key, len, &v, key, error);
    }

    return rc == EXPORTS_NOT_FOUND ? rc : bad_id(rc, error);
}


exports_rc_t
exports_writer_read_id(const uint8_t *id_key, size_t len, const MDB_val *value,
    uint8_t *key, exports_error_t *error)
{
    exports_rc_t    rc;
    const uint8_t  *found;

    rc = exports_id_decode(&found, id_key, len, value->mv_data,
                           value->mv_size);
    if (rc != EXPORTS_OK) {
        return bad_id(rc, error);
    }

    memcpy(key, found, EXPORTS_MANIFEST_KEY_LEN);

    return EXPORTS_OK;
}


void
exports_writer_uncount(exports_met_scope_t *met, unsigned status)
{
    uint64_t  *count;

    count = &met->scope.counts[status > 0 ? status - 1 : 0];

    if (status == 0 || *count == 0) {
        met->recount = 1;
        return;
    }

    --*count;
}


static exports_rc_t
bad_id(exports_rc_t rc, exports_error_t *error)
{
    return exports_error(error, rc, "an entry of \"ids\": %s",
                         exports_strerror(rc));
}


exports_rc_t
exports_writer_read_listing(exports_writer_t *w, const uint8_t *key,
    exports_listing_t *listing, exports_error_t *error)
{
    MDB_val            v;
    exports_rc_t       rc;
    exports_facets_t   facets;
    exports_record_t   record;

    memset(listing, 0, sizeof(exports_listing_t));

    rc = exports_writer_check(w, DB_MANIFESTS, key, EXPORTS_MANIFEST_KEY_LEN,
                              0, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = exports_mdb_get(w->txn, w->env->dbi[DB_MANIFESTS], key,
                         EXPORTS_MANIFEST_KEY_LEN, &v);

    if (rc == EXPORTS_OK) {
        rc = exports_record_decode(&record, key, v.mv_data, v.mv_size);
    }

    if (rc == EXPORTS_NOT_FOUND || rc == EXPORTS_CORRUPT) {
        return unlist_everywhere(w, key, error);
    }

    if (rc != EXPORTS_OK) {
        return exports_error(error, rc, "reading \"%s\": %s", w->env->path,
                             exports_strerror(rc));
    }

    if (exports_record_facets(&facets, &record) != 0) {
        return exports_error(error, EXPORTS_FAILED, "SHA-256 failed");
    }

    exports_listing_fill(listing, key, &facets);

    return EXPORTS_OK;
}


/* takes an entry out of all lists of its scope, for it is unknown which have
   it */

static exports_rc_t
unlist_everywhere(exports_writer_t *w, const uint8_t *key,
    exports_error_t *error)
{
    int            rc;
    size_t         len;
    uint8_t        list[EXPORTS_FACET_KEY_MAX + 1];
    MDB_val        k, v;
    MDB_cursor    *cursor;
    exports_rc_t   erc;

    /* changes that are held back would be missed */

    erc = exports_writer_flush(w, error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    rc = mdb_cursor_open(w->txn, w->env->dbi[DB_FACETS], &cursor);
    if (rc != 0) {
        return exports_mdb_error(error, w->env, "reading", rc);
    }

    memcpy(list, key, 8);
    len = 8;

    while (erc == EXPORTS_OK
           && (rc = next_list(cursor, key, list, &len)) == 0)
    {
        k = exports_mdb_val(list, len);
        v = exports_mdb_val(key + EXPORTS_ENTRY_POS, EXPORTS_ENTRY_LEN);

        rc = mdb_cursor_get(cursor, &k, &v, MDB_GET_BOTH);

        if (rc == 0) {
            erc = exports_writer_list(w, list, len, key + EXPORTS_ENTRY_POS, 0,
                                      error);

        } else if (rc != MDB_NOTFOUND) {
            break;
        }

        /* go on from the least key that is greater */

        list[len++] = 0;
    }

    mdb_cursor_close(cursor);

    return erc != EXPORTS_OK || rc == 0 || rc == MDB_NOTFOUND
               ? erc : exports_mdb_error(error, w->env, "reading", rc);
}


/* *from: the first key of a list of the scope that is not less; MDB_NOTFOUND:
   none is left */

static int
next_list(MDB_cursor *cursor, const uint8_t *scope, uint8_t *from, size_t *len)
{
    int      rc;
    MDB_val  k, v;

    for ( ;; ) {
        k = exports_mdb_val(from, *len);

        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);

        if (rc != 0) {
            return rc;
        }

        if (exports_mdb_before(&k, from, *len)) {
            return MDB_CORRUPTED;
        }

        if (k.mv_size < 8 || memcmp(k.mv_data, scope, 8) != 0) {
            return MDB_NOTFOUND;
        }

        if (k.mv_size <= EXPORTS_FACET_KEY_MAX) {
            *len = k.mv_size;
            memcpy(from, k.mv_data, *len);
            return 0;
        }

        /* too long for the key of a list: skip all that begin like it */

        *len = EXPORTS_FACET_KEY_MAX;
        memcpy(from, k.mv_data, *len);

        while (*len > 8 && ++from[*len - 1] == 0) {
            --*len;
        }

        if (*len == 8) {
            return MDB_NOTFOUND;
        }
    }
}


void
exports_listing_fill(exports_listing_t *listing, const uint8_t *key,
    const exports_facets_t *facets)
{
    unsigned  facet;

    memset(listing, 0, sizeof(exports_listing_t));
    memcpy(listing->entry, key + EXPORTS_ENTRY_POS, EXPORTS_ENTRY_LEN);
    listing->status = facets->status;

    for (facet = EXPORTS_FACET_ALL;
         facet <= EXPORTS_FACET_MASK;
         facet = exports_facet_next(facet, facets))
    {
        exports_facet_key(&listing->keys[facet], exports_get64(key), facet,
                          facets);
    }
}


exports_rc_t
exports_writer_unlist(exports_writer_t *w, const exports_listing_t *old,
    const exports_listing_t *kept, exports_error_t *error)
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


exports_rc_t
exports_writer_enlist(exports_writer_t *w, const exports_listing_t *listing,
    const exports_listing_t *had, exports_error_t *error)
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


/* whether both have the same entry in the same list */

static int
listed(const exports_listing_t *listing, const exports_listing_t *other,
    unsigned facet)
{
    const exports_facet_t  *a, *b;

    a = &listing->keys[facet];
    b = &other->keys[facet];

    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0
           && memcmp(listing->entry, other->entry, EXPORTS_ENTRY_LEN) == 0;
}


static exports_rc_t
remove_manifest(exports_writer_t *w, const uint8_t *key, unsigned *status,
    exports_error_t *error)
{
    exports_rc_t       rc;
    exports_listing_t  old, none;

    rc = exports_writer_read_listing(w, key, &old, error);

    *status = old.status;

    if (rc == EXPORTS_OK) {
        memset(&none, 0, sizeof(exports_listing_t));
        rc = exports_writer_unlist(w, &old, &none, error);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_writer_del(w, DB_MANIFESTS, key,
                                EXPORTS_MANIFEST_KEY_LEN, NULL, 0, error);
    }

    return rc;
}
