
/* environments that are open: see the header */

#include "ngx_http_exports.h"
#include "ngx_http_exports_env.h"


/* the arguments and results of what runs under the guard */

typedef struct {
    ngx_http_exports_env_t    *env;
    exports_env_options_t     *options;
    exports_error_t           *error;
    exports_rc_t               rc;
} ngx_http_exports_env_open_t;


typedef struct {
    ngx_http_exports_env_t    *env;
    ngx_http_exports_read_pt   read;
    void                      *data;
    exports_rc_t               rc;
    ngx_uint_t                 renewed;
} ngx_http_exports_env_read_t;


static void ngx_http_exports_env_run_open(void *data);
static void ngx_http_exports_env_run_read(void *data);
static void ngx_http_exports_env_run_reap(void *data);
static void ngx_http_exports_env_run_reset(void *data);
static void ngx_http_exports_env_run_close(void *data);
static void ngx_http_exports_env_close(ngx_http_exports_env_t *env);


static ngx_queue_t  ngx_http_exports_envs;
static uint64_t     ngx_http_exports_serial;


ngx_http_exports_env_t *
ngx_http_exports_env_find(const exports_identity_t *identity)
{
    ngx_queue_t             *q;
    ngx_http_exports_env_t  *env;

    if (ngx_http_exports_envs.next == NULL) {
        return NULL;
    }

    for (q = ngx_queue_head(&ngx_http_exports_envs);
         q != ngx_queue_sentinel(&ngx_http_exports_envs);
         q = ngx_queue_next(q))
    {
        env = ngx_queue_data(q, ngx_http_exports_env_t, queue);

        if (exports_identity_equal(identity, exports_env_identity(env->env))) {
            return env;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_exports_env_open(ngx_http_exports_env_t **envp, const char *path,
    size_t map_size, ngx_uint_t immutable, exports_error_t *error,
    ngx_log_t *log)
{
    exports_env_options_t         options;
    ngx_http_exports_env_t       *env;
    ngx_http_exports_env_open_t   run;

    env = ngx_calloc(sizeof(ngx_http_exports_env_t), log);
    if (env == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&options, sizeof(exports_env_options_t));

    options.path = path;
    options.map_size = map_size;
    options.flags = immutable ? EXPORTS_ENV_IMMUTABLE : 0;
    options.on_assert = ngx_http_exports_guard_assert;

    run.env = env;
    run.options = &options;
    run.error = error;

    if (ngx_http_exports_guard(ngx_http_exports_env_run_open, &run)
        != NGX_OK)
    {
        (void) exports_error(error, EXPORTS_CORRUPT,
                             "\"%s\" is damaged: %s while opening it", path,
                             ngx_http_exports_guard_reason());

        ngx_http_exports_env_close(env);
        return NGX_ABORT;
    }

    if (run.rc != EXPORTS_OK) {
        ngx_free(env);
        return NGX_DECLINED;
    }

    env->immutable = immutable;
    env->serial = ++ngx_http_exports_serial;

    if (ngx_http_exports_envs.next == NULL) {
        ngx_queue_init(&ngx_http_exports_envs);
    }

    ngx_queue_insert_tail(&ngx_http_exports_envs, &env->queue);

    *envp = env;

    return NGX_OK;
}


static void
ngx_http_exports_env_run_open(void *data)
{
    ngx_http_exports_env_open_t *run = data;

    ngx_http_exports_env_t  *env;

    env = run->env;

    run->rc = exports_env_open(&env->env, run->options, run->error);

    if (run->rc != EXPORTS_OK) {
        return;
    }

    run->rc = exports_reader_open(&env->reader, env->env, run->error);

    if (run->rc != EXPORTS_OK) {
        exports_env_close(env->env);
        env->env = NULL;
    }
}


ngx_int_t
ngx_http_exports_env_read(ngx_http_exports_env_t *env,
    ngx_http_exports_read_pt read, void *data, exports_rc_t *rc)
{
    ngx_http_exports_env_read_t  run;

    run.env = env;
    run.read = read;
    run.data = data;
    run.renewed = 0;

    if (ngx_http_exports_guard(ngx_http_exports_env_run_read, &run)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    *rc = run.rc;

    return run.renewed ? NGX_OK : NGX_DECLINED;
}


static void
ngx_http_exports_env_run_read(void *data)
{
    ngx_http_exports_env_read_t *run = data;

    run->rc = exports_reader_renew(run->env->reader);

    if (run->rc != EXPORTS_OK) {
        return;
    }

    run->renewed = 1;
    run->rc = run->read(run->env->reader, run->data);

    exports_reader_reset(run->env->reader);
}


ngx_int_t
ngx_http_exports_env_reap(ngx_http_exports_env_t *env)
{
    return ngx_http_exports_guard(ngx_http_exports_env_run_reap, env);
}


static void
ngx_http_exports_env_run_reap(void *data)
{
    ngx_http_exports_env_t *env = data;

    env->reaped = exports_env_reap(env->env);
}


/* the reader slot is given back, which touches only the lock file; if it were
   kept, it would pin the pages of its snapshot */

void
ngx_http_exports_env_break(ngx_http_exports_env_t *env)
{
    (void) ngx_http_exports_guard(ngx_http_exports_env_run_reset, env);

    env->broken = 1;
}


static void
ngx_http_exports_env_run_reset(void *data)
{
    ngx_http_exports_env_t *env = data;

    exports_reader_reset(env->reader);
}


void
ngx_http_exports_env_release(ngx_http_exports_env_t *env)
{
    if (--env->refs > 0) {
        return;
    }

    ngx_queue_remove(&env->queue);

    ngx_http_exports_env_close(env);
}


/*
 * Closing does not look at the data file: it is safe whatever is in there, and
 * wherever a read was left.  It writes to the lock file, which may have been
 * cut short: then the environment is leaked
 */

static void
ngx_http_exports_env_close(ngx_http_exports_env_t *env)
{
    if (ngx_http_exports_guard(ngx_http_exports_env_run_close, env)
        == NGX_OK)
    {
        ngx_free(env);
    }
}


static void
ngx_http_exports_env_run_close(void *data)
{
    ngx_http_exports_env_t *env = data;

    if (env->reader != NULL) {
        exports_reader_close(env->reader);
    }

    if (env->env != NULL) {
        exports_env_close(env->env);
    }
}
