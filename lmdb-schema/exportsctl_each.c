
#include <stdio.h>

#include "exportsctl.h"


static int change_all(ctl_store_t *store, const ctl_args_t *args,
    ctl_change_pt change, json_int_t *changed, json_t *missing);


int
ctl_change_each(ctl_store_t *store, const ctl_args_t *args,
    ctl_change_pt change, const char *done, const char *what)
{
    int          rc;
    json_t      *missing;
    json_int_t   changed;

    missing = json_array();
    changed = 0;

    rc = change_all(store, args, change, &changed, missing);

    if (rc == CTL_OK && changed > 0) {
        rc = ctl_store_commit(store);
    }

    if (rc != CTL_OK) {
        json_decref(missing);
        return rc;
    }

    rc = json_array_size(missing) > 0 ? CTL_FAILED : CTL_OK;

    if (args->json) {
        return rc | ctl_print_json(json_pack("{s:I, s:o}", done, changed,
                                             "missing", missing));
    }

    json_decref(missing);

    (void) printf("%s %lld %s%s\n", done, (long long) changed, what,
                  CTL_S(changed));

    return rc;
}


static int
change_all(ctl_store_t *store, const ctl_args_t *args, ctl_change_pt change,
    json_int_t *changed, json_t *missing)
{
    int              i;
    const char      *id;
    exports_error_t  error;

    for (i = 0; i < args->noperands; i++) {
        id = args->operands[i];

        switch (change(store, args, id, &error)) {

        case EXPORTS_OK:
            (*changed)++;
            break;

        case EXPORTS_NOT_FOUND:
        case EXPORTS_INVALID:
        case EXPORTS_CONFLICT:
            ctl_message("%s", error.text);
            (void) json_array_append_new(missing, ctl_json_text(id));
            break;

        default:
            return ctl_error("%s", error.text);
        }
    }

    return CTL_OK;
}
