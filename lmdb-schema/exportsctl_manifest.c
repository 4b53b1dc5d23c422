
/* put, get, delete: single manifests */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exportsctl.h"


static int read_one(exports_manifest_t *manifest, const char *path);
static int print_put(const ctl_args_t *args,
    const exports_manifest_t *manifest, int replaced);
static int get_one(ctl_store_t *store, const ctl_args_t *args,
    const exports_scope_t *scope, const char *id);
static exports_rc_t delete_one(ctl_store_t *store, const ctl_args_t *args,
    const char *id, exports_error_t *error);


int
ctl_put(const ctl_args_t *args)
{
    int                  rc, replaced;
    ctl_store_t          store;
    exports_error_t      error;
    exports_manifest_t  *manifest;

    manifest = malloc(sizeof(exports_manifest_t));
    if (manifest == NULL) {
        return ctl_error("out of memory");
    }

    rc = read_one(manifest, args->operands[0]);

    if (rc != CTL_OK) {
        free(manifest);
        return rc;
    }

    rc = ctl_store_write(&store, args);

    if (rc == CTL_OK
        && exports_writer_put(store.writer, manifest, &replaced, &error)
           != EXPORTS_OK)
    {
        rc = ctl_error("%s", error.text);
    }

    if (rc == CTL_OK) {
        rc = ctl_store_commit(&store);
    }

    ctl_store_close(&store);

    if (rc == CTL_OK) {
        rc = print_put(args, manifest, replaced);
    }

    free(manifest);

    return rc;
}


static int
read_one(exports_manifest_t *manifest, const char *path)
{
    int               rc;
    size_t            len;
    const char       *text;
    ctl_lines_t       lines;
    exports_error_t   error;

    rc = ctl_lines_open(&lines, path);

    if (rc == CTL_OK && ctl_lines_fill(&lines, UINT64_MAX, 0) != CTL_OK) {
        rc = ctl_lines_error(&lines);
    }

    if (rc == CTL_OK) {
        ctl_lines_rest(&lines, &text, &len);

        if (exports_manifest_parse(manifest, text, len, &error)
            != EXPORTS_OK)
        {
            rc = ctl_error("%s", error.text);
        }
    }

    ctl_lines_close(&lines);

    return rc;
}


static int
print_put(const ctl_args_t *args, const exports_manifest_t *manifest,
    int replaced)
{
    if (args->json) {
        return ctl_print_json(json_pack("{s:s#, s:s#, s:b}",
                                exports_kind_name(manifest->kind),
                                manifest->scope, (int) manifest->scope_len,
                                manifest->kind == EXPORTS_PROJECT ? "id"
                                                                  : "uuid",
                                manifest->id, (int) manifest->id_len,
                                "replaced", replaced));
    }

    (void) printf("%s %.*s\n", replaced ? "replaced" : "added",
                  (int) manifest->id_len, manifest->id);

    return CTL_OK;
}


int
ctl_get(const ctl_args_t *args)
{
    int              i, rc;
    ctl_store_t      store;
    exports_scope_t  scope;

    rc = ctl_store_read(&store, args);

    if (rc == CTL_OK) {
        rc = ctl_scope_find(store.reader, args, &scope);
    }

    if (rc == CTL_OK) {
        for (i = 0; i < args->noperands && !ctl_output_lost(); i++) {
            rc |= get_one(&store, args, &scope, args->operands[i]);
        }
    }

    ctl_store_close(&store);

    return rc;
}


static int
get_one(ctl_store_t *store, const ctl_args_t *args,
    const exports_scope_t *scope, const char *id)
{
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t       rc;
    exports_record_t   record;

    rc = exports_read_manifest(store->reader, args->kind, scope->id, id,
                               strlen(id), key, &record);

    /* a uuid is found even if it is another user's */

    if (rc == EXPORTS_OK && exports_get64(key) != scope->id) {
        rc = EXPORTS_NOT_FOUND;
    }

    return rc == EXPORTS_OK ? ctl_print_manifest(args, &record)
                            : ctl_error("%s: %s", id, exports_strerror(rc));
}


int
ctl_print_manifest(const ctl_args_t *args, const exports_record_t *record)
{
    int               rc;
    char             *text;
    exports_error_t   error;

    if (exports_manifest_print(&text, record, args->scope, args->scope_len,
                               &error)
        != EXPORTS_OK)
    {
        return ctl_error("%s", error.text);
    }

    rc = ctl_print_line(text);
    free(text);

    return rc;
}


int
ctl_delete(const ctl_args_t *args)
{
    int              rc;
    ctl_store_t      store;
    exports_scope_t  scope;

    rc = ctl_store_write(&store, args);

    if (rc == CTL_OK) {
        rc = ctl_scope_find(exports_writer_reader(store.writer), args,
                            &scope);
    }

    if (rc == CTL_OK) {
        rc = ctl_change_each(&store, args, delete_one, "deleted", "manifest");
    }

    ctl_store_close(&store);

    return rc;
}


static exports_rc_t
delete_one(ctl_store_t *store, const ctl_args_t *args, const char *id,
    exports_error_t *error)
{
    exports_rc_t     rc;
    exports_error_t  why;

    rc = exports_writer_delete(store->writer, args->kind, args->scope,
                               args->scope_len, id, strlen(id), &why);

    return rc == EXPORTS_OK
               ? rc
               : exports_error(error, rc, "%s: %s", id,
                               rc == EXPORTS_NOT_FOUND ? exports_strerror(rc)
                                                       : why.text);
}
