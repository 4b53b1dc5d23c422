
#include <stdlib.h>
#include <string.h>

#include "exportsctl.h"


static exports_rc_t add_walked(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);
static exports_rc_t add(ctl_scopes_t *scopes, exports_kind_t kind,
    const exports_scope_t *stored, const char *name, size_t len);
static void *grow(void *array, size_t *size, size_t need, size_t element);
static int sort_ids(const void *a, const void *b);
static int compare_ids(const void *a, const void *b);


int
ctl_scope_find(exports_reader_t *reader, const ctl_args_t *args,
    exports_scope_t *scope)
{
    exports_rc_t  rc;

    rc = exports_read_scope(reader, args->kind, args->scope, args->scope_len,
                            scope);

    switch (rc) {

    case EXPORTS_OK:
        return CTL_OK;

    case EXPORTS_NOT_FOUND:
        return ctl_error("%s \"%s\" is not in the store",
                         exports_kind_name(args->kind), args->scope);

    default:
        return ctl_error("%s \"%s\" cannot be read: %s",
                         exports_kind_name(args->kind), args->scope,
                         exports_strerror(rc));
    }
}


int
ctl_scopes_load(ctl_scopes_t *scopes, exports_reader_t *reader,
    const ctl_args_t *args)
{
    exports_rc_t     rc;
    exports_scope_t  scope;

    memset(scopes, 0, sizeof(ctl_scopes_t));

    if (args->scope != NULL) {
        if (ctl_scope_find(reader, args, &scope) != CTL_OK) {
            return CTL_FAILED;
        }

        scopes->only = scope.id;
        rc = add(scopes, args->kind, &scope, args->scope, args->scope_len);

    } else {
        rc = exports_walk_scopes(reader, add_walked, scopes);
    }

    if (rc == EXPORTS_CORRUPT) {
        ctl_message("not all scopes can be read: %s", exports_strerror(rc));
        scopes->damaged = 1;

    } else if (rc != EXPORTS_OK) {
        return ctl_error("reading the scopes: %s", exports_strerror(rc));
    }

    if (scopes->nelts > 0) {
        qsort(scopes->elts, scopes->nelts, sizeof(ctl_scope_t), sort_ids);
    }

    return CTL_OK;
}


void
ctl_scopes_free(ctl_scopes_t *scopes)
{
    free(scopes->elts);
    free(scopes->text);
}


ctl_scope_t *
ctl_scopes_find(const ctl_scopes_t *scopes, uint64_t id)
{
    ctl_scope_t  key;

    if (scopes->nelts == 0) {
        return NULL;
    }

    key.id = id;

    return bsearch(&key, scopes->elts, scopes->nelts, sizeof(ctl_scope_t),
                   compare_ids);
}


const char *
ctl_scopes_name(const ctl_scopes_t *scopes, const ctl_scope_t *scope)
{
    return scopes->text + scope->pos;
}


static exports_rc_t
add_walked(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    ctl_scopes_t     *scopes = data;
    exports_scope_t   scope;

    if (key_len < 2
        || exports_scope_decode(&scope, key, key_len, value, len)
           != EXPORTS_OK)
    {
        ctl_message("scope \"%.*s\" is left out: the record is damaged",
                    key_len > 0 ? (int) key_len - 1 : 0,
                    (const char *) key + 1);
        scopes->damaged = 1;
        return EXPORTS_OK;
    }

    return add(scopes, key[0], &scope, (const char *) key + 1, key_len - 1);
}


static exports_rc_t
add(ctl_scopes_t *scopes, exports_kind_t kind, const exports_scope_t *stored,
    const char *name, size_t len)
{
    void         *p;
    unsigned      i;
    ctl_scope_t  *scope;

    p = grow(scopes->elts, &scopes->size, scopes->nelts + 1,
             sizeof(ctl_scope_t));
    if (p == NULL) {
        return EXPORTS_NOMEM;
    }

    scopes->elts = p;

    p = grow(scopes->text, &scopes->text_size, scopes->text_len + len, 1);
    if (p == NULL) {
        return EXPORTS_NOMEM;
    }

    scopes->text = p;

    scope = &scopes->elts[scopes->nelts++];
    scope->id = stored->id;
    scope->kind = kind;
    scope->pos = scopes->text_len;
    scope->len = len;
    scope->count = 0;
    scope->met = 0;

    for (i = 0; i < EXPORTS_STATUSES; i++) {
        scope->count += stored->counts[i];
    }

    memcpy(scopes->text + scopes->text_len, name, len);
    scopes->text_len += len;

    return EXPORTS_OK;
}


/* NULL: out of memory */

static void *
grow(void *array, size_t *size, size_t need, size_t element)
{
    void    *grown;
    size_t   n;

    if (need <= *size) {
        return array;
    }

    n = 2 * need + 64;

    grown = realloc(array, n * element);

    if (grown != NULL) {
        *size = n;
    }

    return grown;
}


static int
sort_ids(const void *a, const void *b)
{
    ctl_step();

    return compare_ids(a, b);
}


static int
compare_ids(const void *a, const void *b)
{
    const ctl_scope_t  *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}
