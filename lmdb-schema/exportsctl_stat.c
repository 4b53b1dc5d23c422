
#include <stdio.h>
#include <string.h>

#include "exportsctl.h"


/* warn when more of the map is used, not counting free pages */
#define FULL_PERCENT  80


static void print_stat(const ctl_store_t *store,
    const exports_env_stat_t *stat, double percent);
static json_t *stat_json(const ctl_store_t *store,
    const exports_env_stat_t *stat, double percent);


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
