
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "exportsctl.h"


static int print_init(const ctl_store_t *store, const ctl_args_t *args);
static int is_roots(const char *path);


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


/* whether the group is root's, which nginx's workers seldom have */

static int
is_roots(const char *path)
{
    struct stat  sb;

    return stat(path, &sb) == 0 && sb.st_gid == 0;
}
