
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "exports_verify.h"
#include "exportsctl.h"


/* of the map, free pages not counted */
#define FULL_PERCENT  80


static int is_roots(const char *path);
static int print_init(const ctl_store_t *store, const ctl_args_t *args);
static void print_stat(const ctl_store_t *store,
    const exports_env_stat_t *stat, double percent);
static json_t *stat_json(const ctl_store_t *store,
    const exports_env_stat_t *stat, double percent);
static exports_rc_t run_verify(ctl_store_t *store, const ctl_args_t *args,
    exports_verify_t *result, exports_error_t *error);
static void print_fault(void *data, const char *text);
static void print_fault_json(const char *text);
static int print_verify(const ctl_args_t *args,
    const exports_verify_t *result, int failed);


int
ctl_init(const ctl_args_t *args)
{
    int          rc;
    ctl_store_t  store;

    rc = ctl_store_make(&store, args);

    if (rc == CTL_OK) {
        rc = print_init(&store, args);
    }

    ctl_store_close(&store);

    return rc;
}


static int
print_init(const ctl_store_t *store, const ctl_args_t *args)
{
    int          created;
    char         lineage[EXPORTS_LINEAGE_TEXT_LEN + 1];
    char         shown[CTL_PATH_SHOWN];
    const char  *path;

    path = exports_env_path(store->env);
    created = exports_env_created(store->env);

    exports_uuid_unparse(lineage, exports_env_lineage(store->env));
    lineage[EXPORTS_LINEAGE_TEXT_LEN] = '\0';

    if (created && args->group == (gid_t) -1 && is_roots(path)) {
        ctl_message("the group of \"%s\" must be that of nginx's workers, "
                    "and its mode 2770: see --group", path);
    }

    if (!created && args->group != (gid_t) -1) {
        ctl_message("--group is for new stores: nothing is changed");
    }

    if (args->json) {
        return ctl_print_json(json_pack("{s:o, s:s, s:b}",
                                        "path", ctl_json_text(path),
                                        "lineage", lineage,
                                        "created", created));
    }

    (void) printf(created ? "created \"%s\", of lineage %s\n"
                          : "\"%s\" is a store already, of lineage %s\n",
                  ctl_printable(shown, sizeof(shown), path, strlen(path)),
                  lineage);

    return CTL_OK;
}


/* nginx's workers are seldom of that group */

static int
is_roots(const char *path)
{
    struct stat  sb;

    return stat(path, &sb) == 0 && sb.st_gid == 0;
}


int
ctl_stat(const ctl_args_t *args)
{
    int                 rc;
    double              percent;
    ctl_store_t         store;
    exports_error_t     error;
    exports_env_stat_t  stat;

    rc = ctl_store_open(&store, args, 0);

    if (rc == CTL_OK
        && exports_env_stat(store.env, &stat, &error) != EXPORTS_OK)
    {
        rc = ctl_error("%s", error.text);
    }

    if (rc == CTL_OK) {
        percent = (double) (stat.pages_used - stat.pages_free)
                  * (double) stat.page_size * 100 / (double) stat.map_size;

        if (args->json) {
            rc = ctl_print_json(stat_json(&store, &stat, percent));

        } else {
            print_stat(&store, &stat, percent);
        }

        if (percent > FULL_PERCENT) {
            ctl_message("%.1f %% of the map are used: let the writers give a "
                        "larger --map-size", percent);
        }
    }

    ctl_store_close(&store);

    return rc;
}


static void
print_stat(const ctl_store_t *store, const exports_env_stat_t *stat,
    double percent)
{
    int          i;
    char         lineage[EXPORTS_LINEAGE_TEXT_LEN], shown[CTL_PATH_SHOWN];
    const char  *path;

    path = exports_env_path(store->env);

    exports_uuid_unparse(lineage, exports_env_lineage(store->env));

    (void) printf("path         %s\n"
                  "lineage      %.*s\n"
                  "format       %d\n"
                  "last commit  %llu\n"
                  "map          %llu bytes, %.1f %% used\n"
                  "pages        %llu of %llu bytes, %llu of them free\n"
                  "readers      %u of %u slots\n",
                  ctl_printable(shown, sizeof(shown), path, strlen(path)),
                  EXPORTS_LINEAGE_TEXT_LEN, lineage, EXPORTS_FORMAT_VERSION,
                  (unsigned long long) stat->txnid,
                  (unsigned long long) stat->map_size, percent,
                  (unsigned long long) stat->pages_used,
                  (unsigned long long) stat->page_size,
                  (unsigned long long) stat->pages_free,
                  stat->readers, stat->readers_max);

    for (i = 0; i < EXPORTS_DB_COUNT; i++) {
        (void) printf("%-12s %llu entr%s\n", exports_db_names[i],
                      (unsigned long long) stat->entries[i],
                      stat->entries[i] == 1 ? "y" : "ies");
    }
}


static json_t *
stat_json(const ctl_store_t *store, const exports_env_stat_t *stat,
    double percent)
{
    int      i, failed;
    char     lineage[EXPORTS_LINEAGE_TEXT_LEN];
    json_t  *entries;

    exports_uuid_unparse(lineage, exports_env_lineage(store->env));

    entries = json_object();

    for (failed = 0, i = 0; i < EXPORTS_DB_COUNT; i++) {
        failed |= json_object_set_new(entries, exports_db_names[i],
                                      json_integer((json_int_t)
                                                   stat->entries[i]));
    }

    if (failed) {
        json_decref(entries);
        return NULL;
    }

    return json_pack("{s:o, s:s#, s:i, s:I, s:I, s:I, s:I, s:I, s:f, s:i, "
                     "s:i, s:o}",
                     "path", ctl_json_text(exports_env_path(store->env)),
                     "lineage", lineage, EXPORTS_LINEAGE_TEXT_LEN,
                     "format", EXPORTS_FORMAT_VERSION,
                     "txnid", (json_int_t) stat->txnid,
                     "map_size", (json_int_t) stat->map_size,
                     "page_size", (json_int_t) stat->page_size,
                     "pages_used", (json_int_t) stat->pages_used,
                     "pages_free", (json_int_t) stat->pages_free,
                     "used_percent", percent,
                     "readers", (int) stat->readers,
                     "readers_max", (int) stat->readers_max,
                     "entries", entries);
}


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
        }

        erc = run_verify(&store, args, &result, &error);

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


/* at once: what is damaged may end the program any moment */

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

    /* with a fault the exit status is known; a repair goes on to its commit */

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
