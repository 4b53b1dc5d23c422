
/* export: what cannot be read is reported and left out, to save the rest */

#include <stdlib.h>
#include <string.h>

#include "exportsctl.h"


typedef struct {
    ctl_scopes_t    scopes;
    ctl_scope_t    *scope;          /* of the last manifest; NULL: unknown */
    int             result;
} export_t;


static exports_rc_t walk_result(export_t *ex, const char *what,
    exports_rc_t rc);
static void check_scopes(export_t *ex);
static exports_rc_t export_manifest(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static void meet(export_t *ex, uint64_t id);
static exports_rc_t export_token(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static exports_rc_t print(export_t *ex, char *text);
static exports_rc_t leave_out(export_t *ex, const char *what,
    const uint8_t *key, size_t key_len, const char *reason);


int
ctl_export(const ctl_args_t *args)
{
    export_t      ex;
    ctl_store_t   store;
    exports_rc_t  rc;

    memset(&ex, 0, sizeof(export_t));

    ex.result = ctl_store_read(&store, args);

    if (ex.result == CTL_OK) {
        ex.result = ctl_scopes_load(&ex.scopes, store.reader, args);
    }

    if (ex.result == CTL_OK) {
        rc = walk_result(&ex, "manifests",
                         exports_walk_manifests(store.reader, ex.scopes.only,
                                                export_manifest, &ex));
        if (rc == EXPORTS_OK) {
            check_scopes(&ex);
        }

        if (rc == EXPORTS_OK && args->tokens) {
            (void) walk_result(&ex, "tokens",
                               exports_walk_tokens(store.reader, export_token,
                                                   &ex));
        }

        ex.result |= ex.scopes.damaged ? CTL_FAILED : CTL_OK;
    }

    ctl_scopes_free(&ex.scopes);
    ctl_store_close(&store);

    return ex.result;
}


/* reports damage, but lets the export go on with what comes next */

static exports_rc_t
walk_result(export_t *ex, const char *what, exports_rc_t rc)
{
    if (rc == EXPORTS_OK) {
        return EXPORTS_OK;
    }

    /* if it was standard output that failed, ctl_finish() says so */

    if (ctl_flush() == CTL_OK) {
        ex->result = ctl_error("reading the %s: %s", what,
                               exports_strerror(rc));
    }

    return rc == EXPORTS_CORRUPT ? EXPORTS_OK : rc;
}


/* a tree that has lost manifests may be in order: the scopes count them */

static void
check_scopes(export_t *ex)
{
    size_t              i;
    const ctl_scope_t  *scope;

    for (i = 0; i < ex->scopes.nelts; i++) {
        scope = &ex->scopes.elts[i];

        if (scope->met != scope->count) {
            ex->result = ctl_error("%s \"%.*s\": there are %llu manifests, "
                                   "not %llu as it counts",
                                   exports_kind_name(scope->kind),
                                   (int) scope->len,
                                   ctl_scopes_name(&ex->scopes, scope),
                                   (unsigned long long) scope->met,
                                   (unsigned long long) scope->count);
        }
    }
}


static exports_rc_t
export_manifest(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    char              *text;
    export_t          *ex = data;
    exports_error_t    error;
    exports_record_t   record;

    if (key_len == EXPORTS_MANIFEST_KEY_LEN) {
        meet(ex, exports_get64(key));
    }

    if (key_len != EXPORTS_MANIFEST_KEY_LEN
        || exports_record_decode(&record, key, value, len) != EXPORTS_OK)
    {
        return leave_out(ex, "manifest", key, key_len,
                         "the record is damaged");
    }

    if (ex->scope == NULL || ex->scope->kind != record.item.kind) {
        return leave_out(ex, "manifest", key, key_len,
                         "its scope does not exist");
    }

    if (exports_manifest_print(&text, &record,
                               ctl_scopes_name(&ex->scopes, ex->scope),
                               ex->scope->len, &error)
        != EXPORTS_OK)
    {
        return leave_out(ex, "manifest", key, key_len, error.text);
    }

    return print(ex, text);
}


/* notes a manifest of a scope, whether it can be read or not */

static void
meet(export_t *ex, uint64_t id)
{
    if (ex->scope == NULL || ex->scope->id != id) {
        ex->scope = ctl_scopes_find(&ex->scopes, id);
    }

    if (ex->scope != NULL) {
        ex->scope->met++;
    }
}


static exports_rc_t
export_token(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    char               *text;
    export_t           *ex = data;
    exports_error_t     error;
    exports_token_t     token;
    const ctl_scope_t  *scope;

    if (key_len != EXPORTS_SHA256_LEN
        || exports_token_decode(&token, key, value, len) != EXPORTS_OK)
    {
        return leave_out(ex, "token", key, key_len, "the record is damaged");
    }

    scope = ctl_scopes_find(&ex->scopes, token.scope);

    if (scope == NULL && ex->scopes.only != 0) {
        return EXPORTS_OK;
    }

    if (scope == NULL || scope->kind != token.kind) {
        return leave_out(ex, "token", key, key_len, "its scope does not exist");
    }

    if (exports_token_print(&text, key, &token,
                            ctl_scopes_name(&ex->scopes, scope), scope->len,
                            &error)
        != EXPORTS_OK)
    {
        return leave_out(ex, "token", key, key_len, error.text);
    }

    return print(ex, text);
}


static exports_rc_t
print(export_t *ex, char *text)
{
    int  rc;

    rc = ctl_print_line(text);
    free(text);

    if (rc != CTL_OK) {
        ex->result = rc;
        return EXPORTS_FAILED;
    }

    return EXPORTS_OK;
}


static exports_rc_t
leave_out(export_t *ex, const char *what, const uint8_t *key, size_t key_len,
    const char *reason)
{
    char  hex[2 * 64];

    if (key_len > sizeof(hex) / 2) {
        key_len = sizeof(hex) / 2;
    }

    exports_hex(hex, key, key_len);

    ex->result = ctl_error("a %s (key %.*s) is left out: %s", what,
                           (int) (2 * key_len), hex, reason);
    return EXPORTS_OK;
}
