
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_private.h"


static exports_rc_t begin(exports_reader_t *reader);
static exports_rc_t renew(exports_reader_t *reader);
static void drop(exports_reader_t *reader);
static void deactivate(exports_reader_t *reader);
static exports_rc_t get(exports_reader_t *reader, exports_db_t db,
    const uint8_t *key, size_t len, MDB_val *value);
static exports_rc_t settle_writer(exports_reader_t *reader, exports_db_t db);


exports_rc_t
exports_reader_open(exports_reader_t **readerp, exports_env_t *env,
    exports_error_t *error)
{
    exports_rc_t       rc;
    exports_reader_t  *reader;

    reader = calloc(1, sizeof(exports_reader_t));
    if (reader == NULL) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    reader->env = env;

    rc = exports_reader_renew(reader);

    if (rc != EXPORTS_OK) {
        exports_reader_close(reader);
        return exports_error(error, rc, "reading \"%s\": %s", env->path,
                             exports_strerror(rc));
    }

    exports_reader_reset(reader);

    *readerp = reader;

    return EXPORTS_OK;
}


void
exports_reader_close(exports_reader_t *reader)
{
    drop(reader);
    free(reader);
}


exports_rc_t
exports_reader_renew(exports_reader_t *reader)
{
    exports_rc_t  rc;

    rc = reader->txn == NULL ? begin(reader) : renew(reader);

    if (rc != EXPORTS_OK) {
        drop(reader);
        return rc;
    }

    reader->active = 1;
    (void) atomic_fetch_add_explicit(&reader->env->readers, 1,
                                     memory_order_relaxed);

    return EXPORTS_OK;
}


void
exports_reader_reset(exports_reader_t *reader)
{
    if (reader->active) {
        mdb_txn_reset(reader->txn);
        deactivate(reader);
    }
}


const uint8_t *
exports_reader_lineage(const exports_reader_t *reader)
{
    return exports_env_lineage(reader->env);
}


uint64_t
exports_reader_txnid(const exports_reader_t *reader)
{
    return mdb_txn_id(reader->txn);
}


void
exports_reader_borrow(exports_reader_t *reader, exports_env_t *env,
    MDB_txn *txn, exports_writer_t *writer,
    exports_rc_t (*settle)(exports_writer_t *writer, exports_db_t db))
{
    memset(reader, 0, sizeof(exports_reader_t));

    reader->env = env;
    reader->txn = txn;
    reader->active = 1;
    reader->borrowed = writer;
    reader->settle = settle;
}


void
exports_reader_return(exports_reader_t *reader)
{
    drop(reader);
}


exports_rc_t
exports_reader_cursor(exports_reader_t *reader, exports_db_t db,
    MDB_cursor **cursor)
{
    int           rc;
    exports_rc_t  erc;

    erc = settle_writer(reader, db);
    if (erc != EXPORTS_OK) {
        return erc;
    }

    if (*cursor == NULL) {
        rc = mdb_cursor_open(reader->txn, reader->env->dbi[db], cursor);

    } else {
        rc = mdb_cursor_renew(reader->txn, *cursor);
    }

    return exports_rc_of_mdb(rc);
}


/* a writer's new pages are not in the map yet: only LMDB can read them */

exports_rc_t
exports_reader_tree(exports_reader_t *reader, exports_db_t db,
    exports_tree_t **tree)
{
    exports_rc_t  rc;

    *tree = NULL;

    if (reader->borrowed) {
        return EXPORTS_OK;
    }

    rc = exports_tree_open(&reader->trees[db], reader->env, reader->txn, db);

    if (rc == EXPORTS_OK) {
        *tree = &reader->trees[db];
    }

    return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
}


exports_rc_t
exports_reader_source(exports_reader_t *reader, exports_db_t db,
    MDB_cursor **cursor, exports_source_t *source)
{
    exports_rc_t  rc;

    rc = exports_reader_tree(reader, db, &source->tree);

    if (rc == EXPORTS_OK && source->tree == NULL) {
        rc = exports_reader_cursor(reader, db, cursor);
        source->cursor = *cursor;
    }

    return rc;
}


void
exports_reader_close_cursors(exports_reader_t *reader)
{
    int  i;

    exports_mdb_close(&reader->manifests);
    exports_mdb_close(&reader->ranks.cursor);

    for (i = 0; i < EXPORTS_LISTS_MAX; i++) {
        exports_mdb_close(&reader->facets[i]);
    }
}


exports_rc_t
exports_read_token(exports_reader_t *reader, const uint8_t *digest,
    exports_token_t *token)
{
    MDB_val       v;
    exports_rc_t  rc;

    rc = get(reader, DB_TOKENS, digest, EXPORTS_SHA256_LEN, &v);

    return rc == EXPORTS_OK ? exports_token_decode(token, digest, v.mv_data,
                                                   v.mv_size)
                            : rc;
}


exports_rc_t
exports_read_scope(exports_reader_t *reader, exports_kind_t kind,
    const char *name, size_t len, exports_scope_t *scope)
{
    size_t        key_len;
    uint8_t       key[EXPORTS_SCOPE_KEY_MAX];
    MDB_val       v;
    exports_rc_t  rc;

    if (len == 0 || len > EXPORTS_SCOPE_NAME_MAX) {
        return EXPORTS_NOT_FOUND;
    }

    key_len = exports_scope_key(key, kind, name, len);

    rc = get(reader, DB_SCOPES, key, key_len, &v);

    return rc == EXPORTS_OK ? exports_scope_decode(scope, key, key_len,
                                                   v.mv_data, v.mv_size)
                            : rc;
}


exports_rc_t
exports_read_manifest(exports_reader_t *reader, exports_kind_t kind,
    uint64_t scope, const char *id, size_t len,
    uint8_t key[EXPORTS_MANIFEST_KEY_LEN], exports_record_t *record)
{
    size_t          id_key_len;
    uint8_t         id_key[EXPORTS_ID_KEY_MAX];
    MDB_val         v;
    exports_rc_t    rc;
    const uint8_t  *found;

    if (len == 0 || len > EXPORTS_ID_MAX) {
        return EXPORTS_NOT_FOUND;
    }

    id_key_len = exports_id_key(id_key, kind, scope, id, len);

    rc = get(reader, DB_IDS, id_key, id_key_len, &v);
    exports_env_step(reader->env);

    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = exports_id_decode(&found, id_key, id_key_len, v.mv_data, v.mv_size);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    memcpy(key, found, EXPORTS_MANIFEST_KEY_LEN);

    rc = get(reader, DB_MANIFESTS, key, EXPORTS_MANIFEST_KEY_LEN, &v);

    if (rc == EXPORTS_NOT_FOUND) {
        return EXPORTS_CORRUPT;
    }

    if (rc == EXPORTS_OK) {
        rc = exports_record_decode(record, key, v.mv_data, v.mv_size);
    }

    if (rc == EXPORTS_OK
        && (record->item.kind != kind
            || (kind == EXPORTS_PROJECT && exports_get64(key) != scope)
            || record->item.id.len != len
            || memcmp(record->item.id.data, id, len) != 0))
    {
        return EXPORTS_CORRUPT;
    }

    return rc;
}


exports_rc_t
exports_read_checkpoint(exports_reader_t *reader, const char *name,
    const uint8_t **value, size_t *len)
{
    char  key[sizeof(EXPORTS_META_CHECKPOINT) + EXPORTS_CHECKPOINT_NAME_MAX];

    if (strlen(name) > EXPORTS_CHECKPOINT_NAME_MAX) {
        return EXPORTS_NOT_FOUND;
    }

    (void) snprintf(key, sizeof(key), EXPORTS_META_CHECKPOINT "%s", name);

    return exports_meta_get(reader->txn, reader->env, key, value, len);
}


static exports_rc_t
begin(exports_reader_t *reader)
{
    int       rc;
    MDB_env  *mdb;

    mdb = reader->env->mdb;

    rc = mdb_txn_begin(mdb, NULL, MDB_RDONLY, &reader->txn);

    if (rc == MDB_READERS_FULL) {
        (void) exports_env_reap(reader->env);
        rc = mdb_txn_begin(mdb, NULL, MDB_RDONLY, &reader->txn);
    }

    if (rc == MDB_MAP_RESIZED && exports_mdb_remap(reader->env) == 0) {
        rc = mdb_txn_begin(mdb, NULL, MDB_RDONLY, &reader->txn);
    }

    if (rc != 0) {
        reader->txn = NULL;
    }

    return exports_rc_of_mdb(rc);
}


static exports_rc_t
renew(exports_reader_t *reader)
{
    int  rc;

    rc = mdb_txn_renew(reader->txn);

    if (rc == 0) {
        return EXPORTS_OK;
    }

    if (rc == MDB_BAD_RSLOT || rc == MDB_READERS_FULL) {
        drop(reader);
        return begin(reader);
    }

    if (rc == MDB_MAP_RESIZED && exports_mdb_remap(reader->env) == 0) {
        rc = mdb_txn_renew(reader->txn);
    }

    return exports_rc_of_mdb(rc);
}


static void
drop(exports_reader_t *reader)
{
    exports_reader_close_cursors(reader);

    if (reader->txn != NULL && !reader->borrowed) {
        mdb_txn_abort(reader->txn);
    }

    reader->txn = NULL;
    deactivate(reader);
}


/* from now on nothing that was read is used any more: the map may move */

static void
deactivate(exports_reader_t *reader)
{
    if (reader->active && !reader->borrowed) {
        (void) atomic_fetch_sub_explicit(&reader->env->readers, 1,
                                         memory_order_release);
    }

    reader->active = 0;
}


static exports_rc_t
get(exports_reader_t *reader, exports_db_t db, const uint8_t *key, size_t len,
    MDB_val *value)
{
    exports_rc_t     rc;
    exports_tree_t  *tree;

    rc = exports_reader_tree(reader, db, &tree);

    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (tree != NULL) {
        return exports_tree_get(tree, key, len, value);
    }

    rc = settle_writer(reader, db);

    return rc == EXPORTS_OK
               ? exports_mdb_get(reader->txn, reader->env->dbi[db], key, len,
                                 value)
               : rc;
}


/* a writer holds back changes of lists and scopes: they are stored first */

static exports_rc_t
settle_writer(exports_reader_t *reader, exports_db_t db)
{
    return reader->borrowed
           && (exports_db_has_runs(db) || db == DB_SCOPES)
               ? reader->settle(reader->borrowed, db)
               : EXPORTS_OK;
}
