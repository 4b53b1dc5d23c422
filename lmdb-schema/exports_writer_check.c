
/* checks what is there, before a writer lets LMDB change it */

#include <stdlib.h>
#include <string.h>

#include "exports_item.h"
#include "exports_tree_check.h"
#include "exports_writer_private.h"


static exports_rc_t check_long_value(exports_writer_t *w, exports_db_t db,
    const void *key, size_t len, const MDB_val *value);
static exports_rc_t shared_page(void *data, uint64_t pgno, const char *text);
static int is_sound(const exports_writer_t *w, exports_db_t db,
    const void *key, size_t len, const MDB_val *value);
static exports_rc_t committed_tree(exports_writer_t *w, exports_db_t db,
    exports_tree_t **tree);
static exports_rc_t begin(exports_env_t *env);
static exports_rc_t check_value(const exports_writer_t *w, exports_db_t db,
    const void *key, size_t key_len);


exports_rc_t
exports_writer_check(exports_writer_t *w, exports_db_t db, const void *key,
    size_t key_len, int deleting, exports_error_t *error)
{
    MDB_val          value;
    exports_rc_t     rc;
    exports_tree_t  *tree;

    rc = committed_tree(w, db, &tree);

    if (rc == EXPORTS_OK && tree == NULL) {
        rc = check_value(w, db, key, key_len);

    } else if (rc == EXPORTS_OK) {
        rc = exports_tree_check_way(tree, &w->sound, key, key_len, deleting,
                                    &value);

        if (rc == EXPORTS_OK && value.mv_data != NULL) {
            rc = check_long_value(w, db, key, key_len, &value);
        }
    }

    if (rc == EXPORTS_CORRUPT) {
        return exports_error(error, rc, "\"%s\" is damaged: other entries of "
                             "%s may be lost if one is written there: restore "
                             "a backup, or export what can be read",
                             w->env->path, exports_db_names[db]);
    }

    return rc == EXPORTS_OK ? rc
                            : exports_error(error, rc, "reading \"%s\": %s",
                                            w->env->path,
                                            exports_strerror(rc));
}


void
exports_writer_uncheck(exports_writer_t *w)
{
    if (w->checking) {
        exports_reader_reset(w->env->committed);
        w->checking = 0;
    }

    free(w->sound.words);
    w->sound.words = NULL;
}


/*
 * The tree as it was committed.  Pages that this transaction has written to are
 * not in the map, but those they were copied from are; copying damaged nothing.
 * NULL: there is no slot for a reader, or only LMDB can read it.
 */

static exports_rc_t
committed_tree(exports_writer_t *w, exports_db_t db, exports_tree_t **tree)
{
    exports_rc_t  rc;

    *tree = NULL;

    if (!w->checking) {
        rc = begin(w->env);

        if (rc != EXPORTS_OK) {
            return rc == EXPORTS_BUSY ? EXPORTS_OK : rc;
        }

        w->checking = 1;
    }

    return exports_reader_tree(w->env->committed, db, tree);
}


/* the reader is kept for the writers that follow, for finding the map takes
   longer than most of them do */

static exports_rc_t
begin(exports_env_t *env)
{
    exports_rc_t  rc;

    if (env->committed == NULL) {
        rc = exports_reader_open(&env->committed, env, NULL);

        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return exports_reader_renew(env->committed);
}


/*
 * A value with pages of its own, which LMDB will free.  If the node names wrong
 * pages, they are another value's: then the checksum fails, for it includes the
 * key.  It also fails if the value is damaged on its own pages: then no other
 * value has them, which takes a look at all long values.
 */

static exports_rc_t
check_long_value(exports_writer_t *w, exports_db_t db, const void *key,
    size_t len, const MDB_val *value)
{
    exports_rc_t        rc;
    exports_page_set_t  seen = { NULL, 0 };

    if (is_sound(w, db, key, len, value)) {
        return EXPORTS_OK;
    }

    if (w->disjoint == 0) {
        rc = exports_tree_check(w->env->committed, DB_MANIFESTS, &seen,
                                shared_page, NULL);

        if (rc == EXPORTS_OK) {
            rc = exports_tree_check(w->env->committed, DB_TOKENS, &seen,
                                    shared_page, NULL);
        }

        free(seen.words);

        if (rc != EXPORTS_OK && rc != EXPORTS_CORRUPT) {
            return rc;
        }

        w->disjoint = rc == EXPORTS_OK ? 1 : -1;
    }

    return w->disjoint == 1 ? EXPORTS_OK : EXPORTS_CORRUPT;
}


/* any fault will do: the pages may be shared */

static exports_rc_t
shared_page(void *data, uint64_t pgno, const char *text)
{
    (void) data;
    (void) pgno;
    (void) text;

    return EXPORTS_CORRUPT;
}


/* for when pages cannot be checked: if the value that is replaced is sound, so
   is its length */

static exports_rc_t
check_value(const exports_writer_t *w, exports_db_t db, const void *key,
    size_t key_len)
{
    MDB_val       v;
    exports_rc_t  rc;

    if (exports_db_has_runs(db)) {
        return EXPORTS_OK;
    }

    rc = exports_mdb_get(w->txn, w->env->dbi[db], key, key_len, &v);

    if (rc == EXPORTS_OK && !is_sound(w, db, key, key_len, &v)) {
        return EXPORTS_CORRUPT;
    }

    return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
}


/* whether a stored value passes its checksum and can be decoded */

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
