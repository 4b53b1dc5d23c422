
/* putting a manifest: adding it, or replacing the one with its id */

#include <string.h>

#include "exports_writer_private.h"


/* the place of a manifest, and that of the one that it replaces */

typedef struct {
    uint8_t   id_key[EXPORTS_ID_KEY_MAX];
    size_t    id_len;
    uint8_t   key[EXPORTS_MANIFEST_KEY_LEN];
    uint8_t   old_key[EXPORTS_MANIFEST_KEY_LEN];
} place_t;


static exports_rc_t new_scope(exports_writer_t *w,
    const exports_manifest_t *manifest, exports_met_scope_t **met,
    exports_error_t *error);
static exports_rc_t other_user(const exports_manifest_t *manifest,
    exports_error_t *error);
static exports_rc_t claim_id(exports_writer_t *w, place_t *place, int *found,
    exports_error_t *error);
static exports_rc_t add(exports_writer_t *w,
    const exports_manifest_t *manifest, const place_t *place,
    exports_error_t *error);
static exports_rc_t replace(exports_writer_t *w,
    exports_met_scope_t *met, const exports_manifest_t *manifest,
    const place_t *place, exports_error_t *error);
static exports_rc_t put_record(exports_writer_t *w,
    const exports_manifest_t *manifest, const uint8_t *key, int replace,
    exports_error_t *error);
static exports_rc_t same_place(exports_writer_t *w, const uint8_t *key,
    const exports_manifest_t *manifest, exports_error_t *error);


exports_rc_t
exports_writer_put(exports_writer_t *w, const exports_manifest_t *manifest,
    int *replaced, exports_error_t *error)
{
    int                   found;
    place_t               place;
    exports_rc_t          rc;
    exports_met_scope_t  *met;

    rc = exports_writer_find_scope(w, manifest->kind, manifest->scope,
                                   manifest->scope_len, &met, error);

    if (rc == EXPORTS_NOT_FOUND) {
        rc = new_scope(w, manifest, &met, error);
    }

    if (rc != EXPORTS_OK) {
        return rc;
    }

    place.id_len = exports_id_key(place.id_key, manifest->kind, met->scope.id,
                                  manifest->id, manifest->id_len);
    exports_manifest_key(place.key, met->scope.id, manifest->created,
                         manifest->tie);

    rc = claim_id(w, &place, &found, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (found && exports_get64(place.old_key) != met->scope.id) {
        return other_user(manifest, error);
    }

    rc = found ? replace(w, met, manifest, &place, error)
               : add(w, manifest, &place, error);

    if (rc == EXPORTS_OK) {
        met->scope.counts[manifest->facets.status - 1]++;
        met->changed = 1;
    }

    if (replaced != NULL) {
        *replaced = found;
    }

    return rc;
}


static exports_rc_t
new_scope(exports_writer_t *w, const exports_manifest_t *manifest,
    exports_met_scope_t **met, exports_error_t *error)
{
    size_t        len;
    uint8_t       id_key[EXPORTS_ID_KEY_MAX], key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t  rc;

    /* a new user may bring another's uuid; the ids of a project are its own */

    if (manifest->kind == EXPORTS_USER) {
        len = exports_id_key(id_key, EXPORTS_USER, 0, manifest->id,
                             manifest->id_len);

        rc = exports_writer_find_id(w, id_key, len, key, error);

        if (rc != EXPORTS_NOT_FOUND) {
            return rc == EXPORTS_OK ? other_user(manifest, error) : rc;
        }
    }

    return exports_writer_make_scope(w, manifest->kind, manifest->scope,
                                     manifest->scope_len, met, error);
}


static exports_rc_t
other_user(const exports_manifest_t *manifest, exports_error_t *error)
{
    return exports_error(error, EXPORTS_CONFLICT,
                         "uuid: \"%.*s\" is an export of another user",
                         (int) manifest->id_len, manifest->id);
}


/* stores the id, unless it is there: most are new, and looking for them first
   would search the tree twice */

static exports_rc_t
claim_id(exports_writer_t *w, place_t *place, int *found,
    exports_error_t *error)
{
    int           rc;
    uint8_t       value[EXPORTS_ID_VALUE_LEN];
    MDB_val       k, v;
    exports_rc_t  erc;

    erc = exports_writer_check(w, DB_IDS, place->id_key, place->id_len, 0,
                               error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    exports_id_encode(value, place->key, place->id_key, place->id_len);

    k = exports_mdb_val(place->id_key, place->id_len);
    v = exports_mdb_val(value, EXPORTS_ID_VALUE_LEN);

    rc = mdb_put(w->txn, w->env->dbi[DB_IDS], &k, &v, MDB_NOOVERWRITE);
    exports_env_step(w->env);

    *found = (rc == MDB_KEYEXIST);

    if (rc == MDB_KEYEXIST) {
        return exports_writer_read_id(place->id_key, place->id_len, &v,
                                      place->old_key, error);
    }

    return rc == 0 ? EXPORTS_OK
                   : exports_mdb_error(error, w->env, "writing", rc);
}


static exports_rc_t
add(exports_writer_t *w, const exports_manifest_t *manifest,
    const place_t *place, exports_error_t *error)
{
    exports_rc_t       rc, undo;
    exports_listing_t  new, none;

    rc = put_record(w, manifest, place->key, 0, error);

    if (rc == EXPORTS_CONFLICT) {

        /* a put that is refused must not change anything */

        undo = exports_writer_del(w, DB_IDS, place->id_key, place->id_len,
                                  NULL, 0, error);

        return undo == EXPORTS_OK ? rc : undo;
    }

    if (rc != EXPORTS_OK) {
        return rc;
    }

    memset(&none, 0, sizeof(exports_listing_t));
    exports_listing_fill(&new, place->key, &manifest->facets);

    return exports_writer_enlist(w, &new, &none, error);
}


static exports_rc_t
replace(exports_writer_t *w, exports_met_scope_t *met,
    const exports_manifest_t *manifest, const place_t *place,
    exports_error_t *error)
{
    int                moved;
    uint8_t            id_value[EXPORTS_ID_VALUE_LEN];
    exports_rc_t       rc;
    exports_listing_t  old, new;

    moved = memcmp(place->key, place->old_key, EXPORTS_MANIFEST_KEY_LEN) != 0;

    if (!moved) {
        rc = exports_writer_read_listing(w, place->old_key, &old, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    /* before anything is changed, for it may be refused */

    rc = put_record(w, manifest, place->key, !moved, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (moved) {
        rc = exports_writer_read_listing(w, place->old_key, &old, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }

        exports_id_encode(id_value, place->key, place->id_key, place->id_len);

        if ((rc = exports_writer_del(w, DB_MANIFESTS, place->old_key,
                                     EXPORTS_MANIFEST_KEY_LEN, NULL, 0, error))
               != EXPORTS_OK
            || (rc = exports_writer_store(w, DB_IDS, place->id_key,
                                          place->id_len, id_value,
                                          EXPORTS_ID_VALUE_LEN, error))
               != EXPORTS_OK)
        {
            return rc;
        }
    }

    exports_writer_uncount(met, old.status);
    exports_listing_fill(&new, place->key, &manifest->facets);

    rc = exports_writer_unlist(w, &old, &new, error);

    return rc == EXPORTS_OK ? exports_writer_enlist(w, &new, &old, error) : rc;
}


static exports_rc_t
put_record(exports_writer_t *w, const exports_manifest_t *manifest,
    const uint8_t *key, int replace, exports_error_t *error)
{
    int           rc;
    MDB_val       k, v;
    exports_rc_t  erc;

    erc = exports_writer_check(w, DB_MANIFESTS, key, EXPORTS_MANIFEST_KEY_LEN,
                               0, error);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    k = exports_mdb_val(key, EXPORTS_MANIFEST_KEY_LEN);
    v = exports_mdb_val(NULL, manifest->record_len);

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


/* the key in manifests is taken: another id has the same time and tie */

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
