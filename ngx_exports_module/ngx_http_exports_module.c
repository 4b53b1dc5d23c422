
/* directives, configuration, start and end of a worker; no request logic */

#include "ngx_http_exports_page.h"
#include "ngx_http_exports_shm.h"
#include "ngx_http_exports_user.h"


static ngx_int_t ngx_http_exports_init_process(ngx_cycle_t *cycle);
static void ngx_http_exports_exit_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_exports_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_exports_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_exports_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_exports_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_exports_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_exports_merge_api(ngx_conf_t *cf,
    ngx_http_exports_loc_conf_t *prev, ngx_http_exports_loc_conf_t *conf);
static char *ngx_http_exports_add_fallback(ngx_conf_t *cf,
    ngx_http_exports_loc_conf_t *conf);


static ngx_conf_post_t  ngx_http_exports_root_post = {
    ngx_http_exports_check_root
};

static ngx_conf_post_t  ngx_http_exports_gzip_post = {
    ngx_http_exports_check_gzip
};

static ngx_conf_num_bounds_t  ngx_http_exports_link_ttl_bounds = {
    ngx_conf_check_num_bounds, 60, 365 * 24 * 3600
};


static ngx_command_t  ngx_http_exports_commands[] = {

    { ngx_string("exports_store"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_exports_conf_store,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_exports_conf_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_fallback"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_exports_conf_fallback,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_root"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_exports_loc_conf_t, root),
      &ngx_http_exports_root_post },

    { ngx_string("exports_redirect"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_http_exports_conf_redirect,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_link_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_exports_conf_link_key_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_link_ttl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_exports_loc_conf_t, link_ttl),
      &ngx_http_exports_link_ttl_bounds },

    { ngx_string("exports_base_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_exports_conf_base_url,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_operation_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_exports_conf_operation_zone,
      0,
      0,
      NULL },

    { ngx_string("exports_operations"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_exports_conf_operations,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_rate_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_exports_conf_rate_zone,
      0,
      0,
      NULL },

    { ngx_string("exports_rate_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_exports_conf_rate_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_page_cache"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_exports_conf_page_cache,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("exports_gzip"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_exports_loc_conf_t, gzip),
      &ngx_http_exports_gzip_post },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_exports_module_ctx = {
    ngx_http_exports_add_variables,        /* preconfiguration */
    ngx_http_exports_postconfiguration,    /* postconfiguration */

    ngx_http_exports_create_main_conf,     /* create main configuration */
    ngx_http_exports_init_main_conf,       /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_exports_create_loc_conf,      /* create location configuration */
    ngx_http_exports_merge_loc_conf        /* merge location configuration */
};


ngx_module_t  ngx_http_exports_module = {
    NGX_MODULE_V1,
    &ngx_http_exports_module_ctx,          /* module context */
    ngx_http_exports_commands,             /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_exports_init_process,         /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_exports_exit_process,         /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/*
 * Never fails: a worker that fails here is not respawned, and connections to
 * its port would be accepted and never answered.  The cache manager and loader
 * are left out: they call init_process, but not exit_process
 */

static ngx_int_t
ngx_http_exports_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_exports_store_t      **store;
    ngx_http_exports_main_conf_t   *emcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    emcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exports_module);

    if (emcf == NULL || emcf->stores.nelts == 0) {
        return NGX_OK;
    }

    store = emcf->stores.elts;

    for (i = 0; i < emcf->stores.nelts; i++) {
        ngx_http_exports_store_start(store[i], cycle->log);
    }

    return NGX_OK;
}


static void
ngx_http_exports_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_exports_store_t      **store;
    ngx_http_exports_main_conf_t   *emcf;

    ngx_http_exports_cache_done(cycle->log);
    ngx_http_exports_gzip_done();

    /* stores are closed here, for nothing guards them when their pool is
       destroyed */

    emcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_exports_module);

    if (emcf != NULL) {
        store = emcf->stores.elts;

        for (i = 0; i < emcf->stores.nelts; i++) {
            ngx_http_exports_store_stop(store[i]);
        }
    }

    ngx_http_exports_guard_done();
}


static ngx_int_t
ngx_http_exports_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_exports_check_fallbacks(cf) != NGX_OK
        || ngx_http_exports_shm_check(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_exports_filter_init(cf);
}


static void *
ngx_http_exports_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_exports_main_conf_t  *emcf;

    emcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_exports_main_conf_t));
    if (emcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     emcf->routes = { NULL };
     */

    emcf->page_cache = NGX_CONF_UNSET_SIZE;

    if (ngx_array_init(&emcf->stores, cf->pool, 4,
                       sizeof(ngx_http_exports_store_t *))
            != NGX_OK
        || ngx_array_init(&emcf->fallbacks, cf->pool, 4,
                          sizeof(ngx_http_exports_fallback_t))
           != NGX_OK)
    {
        return NULL;
    }

    return emcf;
}


static char *
ngx_http_exports_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_exports_main_conf_t *emcf = conf;

    ngx_conf_init_size_value(emcf->page_cache, 0);

    return NGX_CONF_OK;
}


static void *
ngx_http_exports_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_exports_loc_conf_t  *elcf;

    elcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_exports_loc_conf_t));
    if (elcf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     elcf->api = NULL;
     *     elcf->routes = NULL;
     *     elcf->prefix = { 0, NULL };
     *     elcf->link = { 0, NULL };
     *     elcf->fallback = { { 0, NULL } };
     *     elcf->root = { 0, NULL };
     *     elcf->signer = 0;
     *     elcf->operations = NULL;
     *     elcf->operations_set = 0;
     *     elcf->rate = NULL;
     *     elcf->rate_limit = 0;
     *     elcf->rate_set = 0;
     *     elcf->merged_error_pages = NULL;
     *     elcf->error_pages = NULL;
     */

    elcf->store = NGX_CONF_UNSET_PTR;
    elcf->redirects = NGX_CONF_UNSET_PTR;
    elcf->keys = NGX_CONF_UNSET_PTR;
    elcf->link_ttl = NGX_CONF_UNSET;
    elcf->base_url = NGX_CONF_UNSET_PTR;
    elcf->gzip = NGX_CONF_UNSET;

    return elcf;
}


static char *
ngx_http_exports_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_exports_loc_conf_t  *prev = parent;
    ngx_http_exports_loc_conf_t  *conf = child;

    ngx_conf_merge_ptr_value(conf->store, prev->store, NULL);
    ngx_conf_merge_str_value(conf->root, prev->root, "");
    ngx_conf_merge_ptr_value(conf->redirects, prev->redirects, NULL);
    ngx_conf_merge_ptr_value(conf->keys, prev->keys, NULL);
    ngx_conf_merge_sec_value(conf->link_ttl, prev->link_ttl, 3600);
    ngx_conf_merge_ptr_value(conf->base_url, prev->base_url, NULL);
    ngx_conf_merge_value(conf->gzip, prev->gzip, 0);

    if (conf->fallback.name.data == NULL) {
        conf->fallback = prev->fallback;
    }

    if (!conf->operations_set) {
        conf->operations = prev->operations;
        conf->operations_set = prev->operations_set;
    }

    if (!conf->rate_set) {
        conf->rate = prev->rate;
        conf->rate_limit = prev->rate_limit;
        conf->rate_set = prev->rate_set;
    }

    return ngx_http_exports_merge_api(cf, prev, conf);
}


static char *
ngx_http_exports_merge_api(ngx_conf_t *cf, ngx_http_exports_loc_conf_t *prev,
    ngx_http_exports_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    /* like a handler, "exports_api" is inherited only by "if" and
       "limit_except" */

    if (conf->api == NULL && prev->api != NULL && clcf->noname
        && clcf->handler == NULL)
    {
        conf->api = prev->api;
        conf->routes = prev->routes;
        conf->prefix = prev->prefix;
        conf->link = prev->link;

        clcf->handler = ngx_http_exports_handler;
    }

    ngx_http_exports_conf_error_pages(clcf, prev, conf);

    if (conf->api == NULL) {
        return NGX_CONF_OK;
    }

    if (clcf->handler != ngx_http_exports_handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"exports_api\" of prefix \"%V\" "
                           NGX_HTTP_EXPORTS_NOT_ALONE, &conf->prefix);
        return NGX_CONF_ERROR;
    }

    if (conf->store == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"exports_api\" of prefix \"%V\" has no "
                           "\"exports_store\"", &conf->prefix);
        return NGX_CONF_ERROR;
    }

    if (conf->api->kind == EXPORTS_USER) {

        if (conf->keys == NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"exports_api user\" of prefix \"%V\" has no "
                               "\"exports_link_key_file\"", &conf->prefix);
            return NGX_CONF_ERROR;
        }

        conf->signer = ngx_http_exports_signer(conf);
    }

    return ngx_http_exports_add_fallback(cf, conf);
}


/* checked when all named locations are known */

static char *
ngx_http_exports_add_fallback(ngx_conf_t *cf,
    ngx_http_exports_loc_conf_t *conf)
{
    ngx_http_exports_fallback_t   *fallback;
    ngx_http_exports_main_conf_t  *emcf;

    if (conf->fallback.name.len == 0) {
        return NGX_CONF_OK;
    }

    emcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_exports_module);

    fallback = ngx_array_push(&emcf->fallbacks);
    if (fallback == NULL) {
        return NGX_CONF_ERROR;
    }

    *fallback = conf->fallback;
    fallback->cscf = ngx_http_conf_get_module_srv_conf(cf,
                                                       ngx_http_core_module);

    return NGX_CONF_OK;
}
