
#include <string.h>

#include "exportsctl.h"


static exports_rc_t open_env(ctl_store_t *store, const ctl_args_t *args,
    unsigned flags, exports_error_t *error);


int
ctl_store_open(ctl_store_t *store, const ctl_args_t *args, unsigned flags)
{
    exports_error_t  error;

    return open_env(store, args, flags, &error) == EXPORTS_OK
               ? CTL_OK : ctl_error("%s", error.text);
}


/* a store that is there is opened to read: it need not be writable, and no
   writer is waited for */

int
ctl_store_make(ctl_store_t *store, const ctl_args_t *args)
{
    exports_rc_t     rc;
    exports_error_t  error;

    rc = open_env(store, args, 0, &error);

    if (rc == EXPORTS_OK) {
        rc = exports_env_sync(store->env, &error);

    } else if (rc == EXPORTS_MISSING) {
        rc = open_env(store, args, EXPORTS_ENV_WRITE|EXPORTS_ENV_CREATE,
                      &error);
    }

    return rc == EXPORTS_OK ? CTL_OK : ctl_error("%s", error.text);
}


static exports_rc_t
open_env(ctl_store_t *store, const ctl_args_t *args, unsigned flags,
    exports_error_t *error)
{
    exports_rc_t           rc;
    exports_env_options_t  options;

    memset(store, 0, sizeof(ctl_store_t));
    memset(&options, 0, sizeof(exports_env_options_t));

    options.path = args->store;
    options.map_size = args->map_size;
    options.flags = flags;
    options.lineage = args->lineage;
    options.group = args->group;
    options.on_assert = ctl_on_assert;

    if (args->nometasync) {
        options.flags |= EXPORTS_ENV_NOMETASYNC;
    }

    rc = exports_env_open(&store->env, &options, error);

    if (rc == EXPORTS_OK) {
        ctl_watch(store->env, -1);
    }

    return rc;
}


int
ctl_store_read(ctl_store_t *store, const ctl_args_t *args)
{
    exports_rc_t     rc;
    exports_error_t  error;

    if (ctl_store_open(store, args, 0) != CTL_OK) {
        return CTL_FAILED;
    }

    rc = exports_reader_open(&store->reader, store->env, &error);

    if (rc != EXPORTS_OK) {
        return ctl_error("%s", error.text);
    }

    rc = exports_reader_renew(store->reader);

    if (rc != EXPORTS_OK) {
        return ctl_error("reading \"%s\": %s", exports_env_path(store->env),
                         exports_strerror(rc));
    }

    return CTL_OK;
}


int
ctl_store_write(ctl_store_t *store, const ctl_args_t *args)
{
    if (ctl_store_open(store, args, EXPORTS_ENV_WRITE) != CTL_OK) {
        return CTL_FAILED;
    }

    return ctl_store_begin(store);
}


int
ctl_store_begin(ctl_store_t *store)
{
    exports_rc_t     rc;
    exports_error_t  error;

    ctl_wait();
    rc = exports_writer_begin(&store->writer, store->env, &error);
    ctl_wait_end();

    if (rc != EXPORTS_OK) {
        return ctl_error("%s", error.text);
    }

    return CTL_OK;
}


int
ctl_store_commit(ctl_store_t *store)
{
    exports_rc_t     rc;
    exports_error_t  error;

    rc = exports_writer_commit(store->writer, &error);
    store->writer = NULL;
    store->committed = rc == EXPORTS_OK || rc == EXPORTS_COMMITTED;

    return rc == EXPORTS_OK ? CTL_OK : ctl_error("%s", error.text);
}


void
ctl_store_abort(ctl_store_t *store)
{
    if (store->writer != NULL) {
        exports_writer_abort(store->writer);
        store->writer = NULL;
    }
}


void
ctl_store_close(ctl_store_t *store)
{
    ctl_store_abort(store);

    if (store->reader != NULL) {
        exports_reader_close(store->reader);
        store->reader = NULL;
    }

    if (store->env != NULL) {
        ctl_watch(NULL, -1);
        exports_env_close(store->env);
        store->env = NULL;
    }
}
