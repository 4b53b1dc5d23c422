
/*
 * The scopes that a transaction has met.  They are found or made once, and kept
 * in a tree until the commit, which stores those that have changed.
 */

#define _GNU_SOURCE             /* qsort_r() */

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "exports_list.h"
#include "exports_writer_private.h"


static exports_rc_t check_unused(exports_writer_t *w, uint64_t id,
    exports_error_t *error);
static exports_rc_t keep_scope(exports_writer_t *w,
    const exports_met_scope_t *found, exports_met_scope_t **met,
    exports_error_t *error);
static int compare_scopes(const void *a, const void *b);
static int sort_scopes(const void *a, const void *b, void *data);
static exports_rc_t flush_scope(exports_writer_t *w, exports_met_scope_t *met,
    exports_error_t *error);
static exports_rc_t recount_scope(exports_writer_t *w, exports_scope_t *scope);


exports_rc_t
exports_writer_check_name(exports_kind_t kind, const char *name, size_t len,
    exports_error_t *error)
{
    return exports_scope_name_valid(kind, name, len)
               ? EXPORTS_OK
               : exports_error(error, EXPORTS_INVALID, "%s: not a valid name",
                               exports_kind_name(kind));
}


exports_rc_t
exports_writer_find_scope(exports_writer_t *w, exports_kind_t kind,
    const char *name, size_t len, exports_met_scope_t **met,
    exports_error_t *error)
{
    void                 *node;
    MDB_val               v;
    exports_rc_t          rc;
    exports_met_scope_t   wanted;

    wanted.key_len = exports_scope_key(wanted.key, kind, name, len);

    node = tfind(&wanted, &w->scopes, compare_scopes);

    if (node != NULL) {
        *met = *(exports_met_scope_t **) node;
        return EXPORTS_OK;
    }

    rc = exports_writer_check(w, DB_SCOPES, wanted.key, wanted.key_len, 0,
                              error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    /* not by the reader, which would first store all that is held back */

    rc = exports_mdb_get(w->txn, w->env->dbi[DB_SCOPES], wanted.key,
                         wanted.key_len, &v);

    if (rc == EXPORTS_OK) {
        rc = exports_scope_decode(&wanted.scope, wanted.key, wanted.key_len,
                                  v.mv_data, v.mv_size);
    }

    if (rc != EXPORTS_OK) {
        return exports_error(error, rc, "%s \"%.*s\": %s",
                             exports_kind_name(kind), (int) len, name,
                             exports_strerror(rc));
    }

    wanted.kind = kind;
    wanted.stored = wanted.scope.revision;
    wanted.changed = 0;
    wanted.given = 0;
    wanted.recount = 0;

    return keep_scope(w, &wanted, met, error);
}


exports_rc_t
exports_writer_make_scope(exports_writer_t *w, exports_kind_t kind,
    const char *name, size_t len, exports_met_scope_t **met,
    exports_error_t *error)
{
    uint8_t              next[8];
    exports_rc_t         rc;
    exports_met_scope_t  made;

    memset(&made, 0, sizeof(exports_met_scope_t));

    if (exports_meta_get64(w->txn, w->env, EXPORTS_META_NEXT_SCOPE,
                           &made.scope.id)
        != EXPORTS_OK)
    {
        return exports_error(error, EXPORTS_CORRUPT,
                             "\"%s\" is damaged: the next scope ID cannot be "
                             "read", w->env->path);
    }

    made.key_len = exports_scope_key(made.key, kind, name, len);
    made.kind = kind;
    made.changed = 1;

    rc = check_unused(w, made.scope.id, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    exports_put64(next, made.scope.id + 1);

    rc = exports_writer_put_meta(w, EXPORTS_META_NEXT_SCOPE, next, 8, error);

    return rc == EXPORTS_OK ? keep_scope(w, &made, met, error) : rc;
}


/* a new scope must not get the manifests of a scope that was lost */

static exports_rc_t
check_unused(exports_writer_t *w, uint64_t id, exports_error_t *error)
{
    uint64_t      last;
    exports_rc_t  rc;

    rc = exports_mdb_last_scope(w->txn, w->env, &last);

    if (rc != EXPORTS_OK) {
        return exports_error(error, rc, "reading \"%s\": %s", w->env->path,
                             exports_strerror(rc));
    }

    return last < id
               ? EXPORTS_OK
               : exports_error(error, EXPORTS_CORRUPT,
                               "\"%s\" is damaged: there are manifests of "
                               "scopes whose IDs were never given out",
                               w->env->path);
}


static exports_rc_t
keep_scope(exports_writer_t *w, const exports_met_scope_t *found,
    exports_met_scope_t **met, exports_error_t *error)
{
    exports_met_scope_t  *kept;

    if (w->nmet == w->met_size
        && exports_grow((void **) &w->met, &w->met_size,
                        sizeof(exports_met_scope_t *))
           != 0)
    {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    kept = malloc(sizeof(exports_met_scope_t));

    if (kept == NULL) {
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    *kept = *found;

    if (tsearch(kept, &w->scopes, compare_scopes) == NULL) {
        free(kept);
        return exports_error(error, EXPORTS_NOMEM, "out of memory");
    }

    w->met[w->nmet++] = kept;
    w->sorted = 0;
    *met = kept;

    return EXPORTS_OK;
}


static int
compare_scopes(const void *a, const void *b)
{
    const exports_met_scope_t  *x = a, *y = b;

    return exports_key_order(x->key, x->key_len, y->key, y->key_len);
}


static int
sort_scopes(const void *a, const void *b, void *data)
{
    exports_writer_t  *w = data;

    exports_env_step(w->env);

    return compare_scopes(*(exports_met_scope_t *const *) a,
                          *(exports_met_scope_t *const *) b);
}


exports_rc_t
exports_writer_flush_scopes(exports_writer_t *w, exports_error_t *error)
{
    size_t        i;
    exports_rc_t  rc;

    /* LMDB is faster in the order of keys */

    if (!w->sorted && w->nmet > 0) {
        qsort_r(w->met, w->nmet, sizeof(exports_met_scope_t *), sort_scopes,
                w);
        w->sorted = 1;
    }

    for (rc = EXPORTS_OK, i = 0; i < w->nmet && rc == EXPORTS_OK; i++) {
        if (w->met[i]->changed) {
            rc = flush_scope(w, w->met[i], error);
        }
    }

    return rc;
}


static exports_rc_t
flush_scope(exports_writer_t *w, exports_met_scope_t *met,
    exports_error_t *error)
{
    uint8_t           value[EXPORTS_SCOPE_VALUE_LEN];
    exports_rc_t      rc;
    exports_scope_t  *scope;

    scope = &met->scope;

    if (!met->given) {
        scope->revision = met->stored + 1 > w->now ? met->stored + 1 : w->now;
    }

    if (met->recount) {
        rc = recount_scope(w, scope);

        if (rc != EXPORTS_OK) {
            return exports_error(error, rc, "reading \"%s\": %s",
                                 w->env->path, exports_strerror(rc));
        }
    }

    exports_scope_encode(value, scope, met->key, met->key_len);

    return exports_writer_store(w, DB_SCOPES, met->key, met->key_len, value,
                                EXPORTS_SCOPE_VALUE_LEN, error);
}


/* changes of lists have been made before */

static exports_rc_t
recount_scope(exports_writer_t *w, exports_scope_t *scope)
{
    exports_rc_t      rc;
    exports_list_t    list;
    exports_facet_t   key;
    exports_facets_t  values;

    for (rc = EXPORTS_OK, values.status = 1;
         values.status <= EXPORTS_STATUSES && rc == EXPORTS_OK;
         values.status++)
    {
        exports_facet_key(&key, scope->id, EXPORTS_FACET_STATUS, &values);

        rc = exports_lists_open(&list, &w->reader, &key, 1);

        if (rc == EXPORTS_OK) {
            scope->counts[values.status - 1] = list.count;
        }

        exports_reader_close_cursors(&w->reader);
    }

    return rc;
}
