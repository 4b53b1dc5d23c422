
/* what is there already, before a writer lets LMDB change it */

#include <string.h>

#include "exports_item.h"
#include "exports_tree_check.h"
#include "exports_writer_private.h"


static int is_sound(const exports_writer_t *w, exports_db_t db,
    const void *key, size_t len, const MDB_val *value);
static exports_rc_t check_leaf(exports_reader_t *reader, exports_db_t db,
    const void *key, size_t len);


exports_rc_t
exports_writer_check_old(exports_writer_t *w, exports_db_t db, const void *key,
    size_t key_len, exports_error_t *error)
{
    MDB_val       v;
    exports_rc_t  rc;

    /* these have their own checks: exports_run_count() */

    if (db == DB_FACETS || db == DB_RANKS) {
        return EXPORTS_OK;
    }

    rc = exports_mdb_get(w->txn, w->env->dbi[db], key, key_len, &v);

    if (rc == EXPORTS_NOT_FOUND
        || (rc == EXPORTS_OK && is_sound(w, db, key, key_len, &v)))
    {
        return EXPORTS_OK;
    }

    return exports_writer_check_leaf(w, db, key, key_len, error);
}


static int
is_sound(const exports_writer_t *w, exports_db_t db, const void *key,
    size_t len, const MDB_val *value)
{
    size_t              n;
    const uint8_t      *found;
    exports_scope_t     scope;
    exports_token_t     token;
    exports_record_t    record;

    switch (db) {

    case DB_META:
        return exports_meta_get(w->txn, w->env, key, &found, &n) == EXPORTS_OK;

    case DB_SCOPES:
        return exports_scope_decode(&scope, key, len, value->mv_data,
                                    value->mv_size)
               == EXPORTS_OK;

    case DB_TOKENS:
        return len == EXPORTS_SHA256_LEN
               && exports_token_decode(&token, key, value->mv_data,
                                       value->mv_size)
                  == EXPORTS_OK;

    case DB_IDS:
        return exports_id_decode(&found, key, len, value->mv_data,
                                 value->mv_size)
               == EXPORTS_OK;

    default:
        return len == EXPORTS_MANIFEST_KEY_LEN
               && exports_record_decode(&record, key, value->mv_data,
                                        value->mv_size)
                  == EXPORTS_OK;
    }
}


/* a page that this transaction has written to already is nowhere to be seen,
   but nothing of it was damaged by that */

exports_rc_t
exports_writer_check_leaf(exports_writer_t *w, exports_db_t db,
    const void *key, size_t key_len, exports_error_t *error)
{
    exports_rc_t       rc;
    exports_reader_t  *reader;

    rc = exports_reader_open(&reader, w->env, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = exports_reader_renew(reader);

    if (rc == EXPORTS_OK) {
        rc = check_leaf(reader, db, key, key_len);
        exports_reader_reset(reader);
    }

    exports_reader_close(reader);

    if (rc == EXPORTS_CORRUPT) {
        return exports_error(error, rc, "\"%s\" is damaged: what is around a "
                             "damaged entry of %s cannot be kept if that is "
                             "written: restore a backup, or export what can "
                             "be read", w->env->path, exports_db_names[db]);
    }

    return rc == EXPORTS_OK ? rc
                            : exports_error(error, rc, "reading \"%s\": %s",
                                            w->env->path,
                                            exports_strerror(rc));
}


static exports_rc_t
check_leaf(exports_reader_t *reader, exports_db_t db, const void *key,
    size_t len)
{
    exports_rc_t     rc;
    exports_tree_t  *tree;

    rc = exports_reader_tree(reader, db, &tree);

    return rc != EXPORTS_OK ? rc
           : tree != NULL ? exports_tree_check_leaf(tree, key, len)
           : EXPORTS_CORRUPT;
}
