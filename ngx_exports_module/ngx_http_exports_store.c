
/*
 * The stores of the configuration: a store is a path, and what is known of it
 * now.
 *
 * No read lasts longer than one event.  So whenever a store looks at its path
 * no read is in progress, and its previous environment may be closed at once.
 */

#include "ngx_http_exports.h"
#include "ngx_http_exports_env.h"


/* ms; the timer is for workers without requests */
#define NGX_HTTP_EXPORTS_TICK         1000

/* the reader slots of dead processes are freed every 5 ticks */
#define NGX_HTTP_EXPORTS_REAP         5

/* ms before files are tried again on which a read had to be given up */
#define NGX_HTTP_EXPORTS_BACKOFF      1000
#define NGX_HTTP_EXPORTS_BACKOFF_MAX  60000


struct ngx_http_exports_store_s {
    ngx_str_t                    path;
    size_t                       map_size;
    ngx_msec_t                   check;
    ngx_uint_t                   immutable;

    ngx_http_exports_env_t      *env;       /* NULL: it cannot be read */
    ngx_msec_t                   checked;

    /* the files on which a read had to be given up, and when to retry */
    exports_identity_t           bad;
    uint64_t                     bad_born;
    ngx_msec_t                   backoff;
    ngx_msec_t                   retry;

    exports_error_t              error;     /* the last one that was logged */

    ngx_uint_t                   ticks;
    ngx_event_t                  timer;

    unsigned                     started:1;
};


static void ngx_http_exports_store_cleanup(void *data);
static void ngx_http_exports_store_timer(ngx_event_t *ev);
static void ngx_http_exports_store_reap(ngx_http_exports_store_t *store,
    ngx_log_t *log);
static void ngx_http_exports_store_look(ngx_http_exports_store_t *store,
    ngx_log_t *log);
static void ngx_http_exports_store_open(ngx_http_exports_store_t *store,
    ngx_log_t *log);
static ngx_http_exports_env_t *ngx_http_exports_store_get_env(
    ngx_http_exports_store_t *store, const char *path, ngx_log_t *log);
static void ngx_http_exports_store_failed(ngx_http_exports_store_t *store,
    exports_error_t *error, ngx_log_t *log);
static void ngx_http_exports_store_give_up(ngx_http_exports_store_t *store,
    ngx_log_t *log);
static void ngx_http_exports_store_shun(ngx_http_exports_store_t *store,
    const exports_identity_t *identity);
static ngx_uint_t ngx_http_exports_store_is_bad(
    ngx_http_exports_store_t *store, const exports_identity_t *identity);
static void ngx_http_exports_store_release(ngx_http_exports_store_t *store);


ngx_http_exports_store_t *
ngx_http_exports_store_create(ngx_conf_t *cf, ngx_str_t *path, size_t map_size,
    ngx_msec_t check, ngx_uint_t immutable)
{
    ngx_uint_t                      i;
    ngx_pool_cleanup_t             *cln;
    ngx_http_exports_store_t       *store, **p;
    ngx_http_exports_main_conf_t   *emcf;

    emcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_exports_module);

    p = emcf->stores.elts;

    for (i = 0; i < emcf->stores.nelts; i++) {
        store = p[i];

        if (store->path.len != path->len
            || ngx_strncmp(store->path.data, path->data, path->len) != 0)
        {
            continue;
        }

        if (store->map_size != map_size || store->check != check
            || store->immutable != immutable)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the store \"%V\" is given elsewhere with "
                               "other parameters", path);
            return NULL;
        }

        return store;
    }

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_exports_store_t));
    if (cln == NULL) {
        return NULL;
    }

    store = cln->data;
    ngx_memzero(store, sizeof(ngx_http_exports_store_t));

    cln->handler = ngx_http_exports_store_cleanup;

    store->path = *path;
    store->map_size = map_size;
    store->check = check;
    store->immutable = immutable;

    p = ngx_array_push(&emcf->stores);
    if (p == NULL) {
        return NULL;
    }

    *p = store;

    return store;
}


void
ngx_http_exports_store_start(ngx_http_exports_store_t *store, ngx_log_t *log)
{
    store->started = 1;

    ngx_http_exports_guard_init(log);

    store->timer.handler = ngx_http_exports_store_timer;
    store->timer.data = store;
    store->timer.log = ngx_cycle->log;

    /* a worker that shuts down does not wait for it */

    store->timer.cancelable = 1;

    ngx_add_timer(&store->timer, NGX_HTTP_EXPORTS_TICK);

    ngx_http_exports_store_look(store, log);
}


ngx_int_t
ngx_http_exports_store_read(ngx_http_exports_store_t *store, ngx_log_t *log,
    ngx_http_exports_read_pt read, void *data, exports_rc_t *rc)
{
    ngx_int_t         rv;
    ngx_uint_t        tries;
    exports_error_t   error;

    if (!store->started) {
        ngx_http_exports_store_start(store, log);
    }

    if (ngx_current_msec - store->checked >= store->check
        || (store->env != NULL && store->env->broken))
    {
        ngx_http_exports_store_look(store, log);
    }

    for (tries = 0; tries < 2 && store->env != NULL; tries++) {

        rv = ngx_http_exports_env_read(store->env, read, data, rc);

        if (rv == NGX_OK) {
            return NGX_OK;
        }

        if (rv == NGX_ERROR) {
            ngx_http_exports_store_give_up(store, log);
            return NGX_DECLINED;
        }

        /* there is no snapshot: what can be mended is mended by opening the
           store again, hence a second try */

        (void) exports_error(&error, *rc, "\"%s\": %s",
                             exports_env_path(store->env->env),
                             exports_strerror(*rc));

        ngx_http_exports_store_release(store);
        ngx_http_exports_store_failed(store, &error, log);
        ngx_http_exports_store_look(store, log);
    }

    return NGX_DECLINED;
}


uint64_t
ngx_http_exports_store_serial(const ngx_http_exports_store_t *store)
{
    return store->env->serial;
}


/* called with the pool of a configuration, also at the end of a worker */

static void
ngx_http_exports_store_cleanup(void *data)
{
    ngx_http_exports_store_stop(data);
}


void
ngx_http_exports_store_stop(ngx_http_exports_store_t *store)
{
    if (store->timer.timer_set) {
        ngx_del_timer(&store->timer);
    }

    ngx_http_exports_store_release(store);
}


static void
ngx_http_exports_store_timer(ngx_event_t *ev)
{
    ngx_http_exports_store_t *store = ev->data;

    if (ngx_current_msec - store->checked >= store->check
        || store->env == NULL || store->env->broken)
    {
        ngx_http_exports_store_look(store, ev->log);
    }

    if (++store->ticks % NGX_HTTP_EXPORTS_REAP == 0) {
        ngx_http_exports_store_reap(store, ev->log);
    }

    ngx_add_timer(ev, NGX_HTTP_EXPORTS_TICK);
}


static void
ngx_http_exports_store_reap(ngx_http_exports_store_t *store, ngx_log_t *log)
{
    ngx_http_exports_env_t  *env;

    env = store->env;

    if (env == NULL || env->broken) {
        return;
    }

    if (ngx_http_exports_env_reap(env) != NGX_OK) {
        ngx_http_exports_store_give_up(store, log);
        return;
    }

    if (env->reaped > 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "%ui reader slots of dead processes freed in exports "
                      "store \"%V\"", env->reaped, &store->path);
    }
}


/* opens what the path leads to, unless that is what it led to before */

static void
ngx_http_exports_store_look(ngx_http_exports_store_t *store, ngx_log_t *log)
{
    exports_rc_t         rc;
    exports_error_t      error;
    exports_identity_t   identity;

    store->checked = ngx_current_msec;

    rc = exports_identity(&identity, (char *) store->path.data, &error);

    if (rc == EXPORTS_NOMEM && store->env != NULL && !store->env->broken) {

        /* this says nothing of the store: go on with the present one */

        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "exports store \"%V\" cannot be looked for: %s",
                      &store->path, error.text);
        return;
    }

    if (rc != EXPORTS_OK) {
        ngx_http_exports_store_release(store);
        ngx_http_exports_store_failed(store, &error, log);
        return;
    }

    if (store->env != NULL) {

        if (exports_identity_equal(&identity,
                                   exports_env_identity(store->env->env)))
        {
            if (!store->env->broken) {
                return;
            }

            /* another store of the same files has given it up */

            ngx_http_exports_store_shun(store, &identity);

        } else {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "exports store \"%V\" was replaced", &store->path);
        }

        ngx_http_exports_store_release(store);
    }

    if ((ngx_msec_int_t) (store->retry - ngx_current_msec) > 0
        && ngx_http_exports_store_is_bad(store, &identity))
    {
        return;
    }

    ngx_http_exports_store_open(store, log);
}


static void
ngx_http_exports_store_open(ngx_http_exports_store_t *store, ngx_log_t *log)
{
    char                    *path;
    exports_error_t          error;
    ngx_http_exports_env_t  *env;

    if (exports_env_resolve(&path, (char *) store->path.data, &error)
        != EXPORTS_OK)
    {
        ngx_http_exports_store_failed(store, &error, log);
        return;
    }

    env = ngx_http_exports_store_get_env(store, path, log);

    free(path);

    if (env == NULL) {
        return;
    }

    /* an immutable store is opened without locks: a writer would not see its
       readers */

    if (env->immutable != store->immutable) {
        (void) exports_error(&error, EXPORTS_CONFLICT,
                             "\"%s\" is given as immutable in one place and "
                             "not in another", exports_env_path(env->env));

        ngx_http_exports_store_failed(store, &error, log);
        return;
    }

    env->refs++;

    store->env = env;
    store->error.text[0] = '\0';

    ngx_log_error(NGX_LOG_NOTICE, log, 0, "exports store \"%V\" opened: %s",
                  &store->path, exports_env_path(env->env));
}


/*
 * The environment of the files at a path without symlinks, without a reference
 * to it yet.  A symlink might be swapped between the look and the open, to a
 * store that is open already: opened a second time, it would lose its locks
 * when one of the two is closed
 */

static ngx_http_exports_env_t *
ngx_http_exports_store_get_env(ngx_http_exports_store_t *store,
    const char *path, ngx_log_t *log)
{
    ngx_int_t                rc;
    exports_error_t          error;
    exports_identity_t       identity;
    ngx_http_exports_env_t  *env;

    if (exports_identity(&identity, path, &error) != EXPORTS_OK) {
        ngx_http_exports_store_failed(store, &error, log);
        return NULL;
    }

    env = ngx_http_exports_env_find(&identity);

    /* for the same reason not while others have not released it */

    if (env != NULL) {
        return env->broken ? NULL : env;
    }

    rc = ngx_http_exports_env_open(&env, path, store->map_size,
                                   store->immutable, &error, log);

    if (rc == NGX_ABORT) {
        ngx_http_exports_store_shun(store, &identity);
    }

    if (rc == NGX_ABORT || rc == NGX_DECLINED) {
        ngx_http_exports_store_failed(store, &error, log);
    }

    return rc == NGX_OK ? env : NULL;
}


/* an error is logged once, however often it is found again */

static void
ngx_http_exports_store_failed(ngx_http_exports_store_t *store,
    exports_error_t *error, ngx_log_t *log)
{
    ngx_uint_t  level;

    if (ngx_strcmp(store->error.text, error->text) == 0) {
        return;
    }

    store->error = *error;

    level = NGX_LOG_CRIT;

    if (error->rc == EXPORTS_MISSING || error->rc == EXPORTS_DENIED) {
        level = NGX_LOG_ERR;
    }

    ngx_log_error(level, log, 0, "exports store \"%V\" cannot be used: %s",
                  &store->path, error->text);
}


/* after a read that was left half way */

static void
ngx_http_exports_store_give_up(ngx_http_exports_store_t *store,
    ngx_log_t *log)
{
    exports_error_t  error;

    (void) exports_error(&error, EXPORTS_CORRUPT,
                         "\"%s\" is damaged: %s while reading it",
                         exports_env_path(store->env->env),
                         ngx_http_exports_guard_reason());

    ngx_http_exports_store_shun(store,
                                exports_env_identity(store->env->env));

    ngx_http_exports_env_break(store->env);
    ngx_http_exports_store_release(store);

    ngx_http_exports_store_failed(store, &error, log);
}


/*
 * Each attempt may take a while: so they become rarer and rarer, until the
 * files are replaced, or have been sound for long
 */

static void
ngx_http_exports_store_shun(ngx_http_exports_store_t *store,
    const exports_identity_t *identity)
{
    ngx_msec_int_t  since;

    since = (ngx_msec_int_t) (ngx_current_msec - store->retry);

    if (since > NGX_HTTP_EXPORTS_BACKOFF_MAX
        || !ngx_http_exports_store_is_bad(store, identity))
    {
        store->backoff = NGX_HTTP_EXPORTS_BACKOFF;

    } else {
        store->backoff = ngx_min(2 * store->backoff,
                                 NGX_HTTP_EXPORTS_BACKOFF_MAX);
    }

    store->bad = *identity;
    store->bad_born = exports_identity_born((char *) store->path.data);
    store->retry = ngx_current_msec + store->backoff;
}


/* whether these are the files on which a read had to be given up last, and not
   others that have got their numbers: nobody holds bad ones open */

static ngx_uint_t
ngx_http_exports_store_is_bad(ngx_http_exports_store_t *store,
    const exports_identity_t *identity)
{
    return store->backoff > 0
           && exports_identity_equal(identity, &store->bad)
           && exports_identity_born((char *) store->path.data)
              == store->bad_born;
}


static void
ngx_http_exports_store_release(ngx_http_exports_store_t *store)
{
    if (store->env != NULL) {
        ngx_http_exports_env_release(store->env);
        store->env = NULL;
    }
}
