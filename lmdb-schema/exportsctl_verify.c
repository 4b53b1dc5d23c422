
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_verify.h"
#include "exportsctl.h"


static exports_rc_t run_verify(ctl_store_t *store, const ctl_args_t *args,
    exports_verify_t *result, exports_error_t *error);
static void print_fault(void *data, const char *text);
static void print_fault_json(const char *text);
static int print_verify(const ctl_args_t *args,
    const exports_verify_t *result, int failed);


int
ctl_verify(const ctl_args_t *args)
{
    int               rc;
    ctl_store_t       store;
    exports_rc_t      erc;
    exports_error_t   error;
    exports_verify_t  result;

    memset(&result, 0, sizeof(exports_verify_t));

    rc = args->repair ? ctl_store_write(&store, args)
                      : ctl_store_read(&store, args);

    if (rc == CTL_OK) {

        if (args->json) {
            (void) fputs("{\"faults\":[", stdout);
            (void) ctl_flush();
            ctl_last_output("],\"complete\":false}\n");
        }

        erc = run_verify(&store, args, &result, &error);

        ctl_last_output(NULL);

        rc = print_verify(args, &result, erc != EXPORTS_OK
                                         && erc != EXPORTS_COMMITTED);

        if (erc != EXPORTS_OK) {
            rc = ctl_error("%s", error.text);
        }
    }

    ctl_store_close(&store);

    return rc;
}


static exports_rc_t
run_verify(ctl_store_t *store, const ctl_args_t *args,
    exports_verify_t *result, exports_error_t *error)
{
    exports_rc_t       rc;
    exports_writer_t  *writer;

    if (!args->repair) {
        return exports_verify(store->reader, result, print_fault,
                              (void *) args, error);
    }

    rc = exports_repair(store->writer, result, print_fault, (void *) args,
                        error);

    if (rc == EXPORTS_OK && result->repaired > 0) {
        writer = store->writer;
        store->writer = NULL;
        rc = exports_writer_commit(writer, error);
    }

    if (rc != EXPORTS_OK && rc != EXPORTS_COMMITTED) {
        result->repaired = 0;
    }

    return rc;
}


/* printed at once: damage may end the program at any moment */

static void
print_fault(void *data, const char *text)
{
    char               line[4 * EXPORTS_ERROR_TEXT + 1];
    const ctl_args_t  *args = data;

    if (args->json) {
        print_fault_json(text);

    } else {
        (void) puts(ctl_printable(line, sizeof(line), text, strlen(text)));
    }

    /* if the output is lost, a fault settles the exit status; but a repair goes
       on to its commit */

    if (ctl_flush() != CTL_OK && !args->repair) {
        exit(ctl_finish(CTL_FAILED));
    }
}


static void
print_fault_json(const char *text)
{
    json_t      *value;
    static int   more;

    value = ctl_json_text(text);

    if (value != NULL) {
        (void) fputs(more ? "," : "", stdout);
        (void) json_dumpf(value, stdout, JSON_ENCODE_ANY);
        more = 1;
    }

    json_decref(value);
}


static int
print_verify(const ctl_args_t *args, const exports_verify_t *result,
    int failed)
{
    (void) printf(args->json
                      ? "],\"complete\":%s,\"scopes\":%llu,\"tokens\":%llu,"
                        "\"manifests\":%llu,\"ids\":%llu,\"entries\":%llu,"
                        "\"found\":%llu,\"repaired\":%llu}\n"
                      : "%schecked: %llu scopes, %llu tokens, %llu manifests, "
                        "%llu ids, %llu entries of lists: %llu faults, "
                        "%llu repaired\n",
                  args->json ? (failed ? "false" : "true")
                             : (failed ? "not all " : ""),
                  (unsigned long long) result->scopes,
                  (unsigned long long) result->tokens,
                  (unsigned long long) result->manifests,
                  (unsigned long long) result->ids,
                  (unsigned long long) result->entries,
                  (unsigned long long) result->faults,
                  (unsigned long long) result->repaired);

    return failed || result->faults > result->repaired ? CTL_FAILED : CTL_OK;
}
