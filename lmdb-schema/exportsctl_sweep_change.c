
/*
 * What a sweep writes: the manifests of a chunk that have to change, in one
 * transaction.  --dry-run does the same, but for the writing.
 */

#include <stdlib.h>
#include <string.h>

#include "exportsctl_sweep.h"


static int begin(sweep_t *sw);
static int end(sweep_t *sw, int rc);
static int change(sweep_t *sw, const found_t *found);
static json_t *changed(const sweep_t *sw, const found_t *found,
    const char *text);
static int rewrite(sweep_t *sw, const found_t *found, json_t *manifest);
static exports_rc_t put(sweep_t *sw, const char *text, exports_error_t *error);
static void count(sweep_t *sw, const found_t *found);


int
ctl_sweep_change(sweep_t *sw)
{
    int       rc;
    unsigned  i, n;

    for (n = 0, i = 0; i < sw->nfound; i++) {
        n += (sw->found[i].change != 0);
    }

    if (n == 0) {
        return CTL_OK;
    }

    rc = begin(sw);
    if (rc != CTL_OK) {
        return rc;
    }

    for (i = 0; i < sw->nfound && rc == CTL_OK; i++) {
        if (sw->found[i].change) {
            rc = change(sw, &sw->found[i]);
        }
    }

    return end(sw, rc);
}


static int
begin(sweep_t *sw)
{
    if (sw->args->dry_run) {
        sw->current = sw->store.reader;
        return ctl_sweep_renew(sw);
    }

    if (ctl_store_begin(&sw->store) != CTL_OK) {
        return CTL_FAILED;
    }

    sw->current = exports_writer_reader(sw->store.writer);

    return CTL_OK;
}


static int
end(sweep_t *sw, int rc)
{
    if (sw->args->dry_run) {
        exports_reader_reset(sw->current);
        return rc;
    }

    if (rc != CTL_OK) {
        ctl_store_abort(&sw->store);
        return rc;
    }

    return ctl_store_commit(&sw->store);
}


static int
change(sweep_t *sw, const found_t *found)
{
    char               *text;
    json_t             *manifest;
    uint8_t             key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t        rc;
    exports_error_t     error;
    exports_record_t    record;
    const ctl_scope_t  *scope;

    rc = exports_read_manifest(sw->current, EXPORTS_PROJECT, found->scope,
                               found->id, found->id_len, key, &record);

    scope = ctl_scopes_find(&sw->scopes, found->scope);

    /* somebody else has changed it since: the next sweep will see */

    if (rc == EXPORTS_NOT_FOUND
        || (rc == EXPORTS_OK && !ctl_sweep_is_as_found(&record, found)))
    {
        return CTL_OK;
    }

    if (rc == EXPORTS_OK && scope == NULL) {
        ctl_sweep_left(sw, found, "its project cannot be read: run "
                       "\"exportsctl verify\"");
        return CTL_OK;
    }

    if (rc == EXPORTS_OK) {
        rc = exports_manifest_print(&text, &record,
                                    ctl_scopes_name(&sw->scopes, scope),
                                    scope->len, &error);
    }

    if (rc == EXPORTS_CORRUPT) {
        ctl_sweep_left(sw, found, "damaged: run \"exportsctl verify\"");
        return CTL_OK;
    }

    if (rc != EXPORTS_OK) {
        return ctl_error("%.*s: %s", (int) found->id_len, found->id,
                         exports_strerror(rc));
    }

    manifest = changed(sw, found, text);
    free(text);

    return manifest != NULL ? rewrite(sw, found, manifest)
                            : ctl_error("out of memory");
}


static json_t *
changed(const sweep_t *sw, const found_t *found, const char *text)
{
    int       gone, failed;
    json_t   *manifest;
    uint64_t  second;

    gone = found->reason != NULL;
    second = sw->now / 1000000 * 1000000;
    manifest = json_loads(text, 0, NULL);

    failed = json_object_set_new(manifest, "status",
                                 json_string(gone ? "not_found" : "ready"))
             | json_object_set_new(manifest, "status_reason",
                                   gone ? json_string(found->reason)
                                        : json_null())
             | json_object_set_new(manifest, "missing_at",
                                   ctl_json_time(gone ? second : 0));

    if (failed) {
        json_decref(manifest);
        return NULL;
    }

    return manifest;
}


static int
rewrite(sweep_t *sw, const found_t *found, json_t *manifest)
{
    char             *text;
    exports_rc_t      rc;
    exports_error_t   error;

    text = json_dumps(manifest, JSON_COMPACT);
    json_decref(manifest);

    if (text == NULL) {
        return ctl_error("out of memory");
    }

    rc = put(sw, text, &error);
    free(text);

    switch (rc) {

    case EXPORTS_OK:
        count(sw, found);
        return CTL_OK;

    case EXPORTS_INVALID:
    case EXPORTS_CONFLICT:
        ctl_sweep_left(sw, found, error.text);
        return CTL_OK;

    default:
        return ctl_error("%.*s: %s", (int) found->id_len, found->id,
                         error.text);
    }
}


static exports_rc_t
put(sweep_t *sw, const char *text, exports_error_t *error)
{
    exports_rc_t               rc;
    static exports_manifest_t  parsed;

    rc = exports_manifest_parse(&parsed, text, strlen(text), error);

    return rc == EXPORTS_OK && !sw->args->dry_run
               ? exports_writer_put(sw->store.writer, &parsed, NULL, error)
               : rc;
}


static void
count(sweep_t *sw, const found_t *found)
{
    if (found->reason == NULL) {
        sw->restored++;

    } else if (strcmp(found->reason, SWEEP_EXPIRED) == 0) {
        sw->expired++;

    } else {
        sw->missing++;
    }
}
