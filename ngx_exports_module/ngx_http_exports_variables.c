
#include "ngx_http_exports.h"


static ngx_int_t ngx_http_exports_request_id_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_exports_scope_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_exports_total_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_exports_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_exports_cache_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_exports_set_variable(ngx_http_variable_value_t *v,
    u_char *data, size_t len);


static ngx_http_variable_t  ngx_http_exports_variables[] = {

    { ngx_string("exports_request_id"), NULL,
      ngx_http_exports_request_id_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("exports_scope"), NULL,
      ngx_http_exports_scope_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("exports_total"), NULL,
      ngx_http_exports_total_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("exports_error"), NULL,
      ngx_http_exports_error_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("exports_cache"), NULL,
      ngx_http_exports_cache_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_str_t  ngx_http_exports_cache_names[] = {
    [NGX_HTTP_EXPORTS_CACHE_NONE] = ngx_null_string,
    [NGX_HTTP_EXPORTS_CACHE_BYPASS] = ngx_string("BYPASS"),
    [NGX_HTTP_EXPORTS_CACHE_REVALIDATED] = ngx_string("REVALIDATED"),
    [NGX_HTTP_EXPORTS_CACHE_HIT] = ngx_string("HIT"),
    [NGX_HTTP_EXPORTS_CACHE_MISS] = ngx_string("MISS")
};


ngx_int_t
ngx_http_exports_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_exports_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* in a location of ours the first use makes the ID, even before the handler */

static ngx_int_t
ngx_http_exports_request_id_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_exports_ctx_t       *ctx;
    ngx_http_exports_loc_conf_t  *elcf;

    ctx = ngx_http_exports_get_ctx(r);

    if (ctx == NULL) {
        elcf = ngx_http_get_module_loc_conf(r, ngx_http_exports_module);

        if (elcf->api == NULL) {
            v->not_found = 1;
            return NGX_OK;
        }

        ctx = ngx_http_exports_create_ctx(r);

        if (ctx == NULL) {
            return NGX_ERROR;
        }
    }

    return ngx_http_exports_set_variable(v, ctx->request_id,
                                         NGX_HTTP_EXPORTS_REQUEST_ID_LEN);
}


static ngx_int_t
ngx_http_exports_scope_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_exports_get_ctx(r);

    if (ctx == NULL || ctx->scope.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_exports_set_variable(v, ctx->scope.data, ctx->scope.len);
}


static ngx_int_t
ngx_http_exports_total_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                  *p;
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_exports_get_ctx(r);

    if (ctx == NULL || !ctx->has_total || ctx->error != NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_exports_set_variable(v, p,
                                   ngx_sprintf(p, "%uL", ctx->total) - p);
}


static ngx_int_t
ngx_http_exports_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_exports_get_ctx(r);

    if (ctx == NULL || ctx->error == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    return ngx_http_exports_set_variable(v, ctx->error->code.data,
                                         ctx->error->code.len);
}


static ngx_int_t
ngx_http_exports_cache_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t               *name;
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_exports_get_ctx(r);

    if (ctx == NULL || ctx->cache == NGX_HTTP_EXPORTS_CACHE_NONE) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = &ngx_http_exports_cache_names[ctx->cache];

    return ngx_http_exports_set_variable(v, name->data, name->len);
}


static ngx_int_t
ngx_http_exports_set_variable(ngx_http_variable_value_t *v, u_char *data,
    size_t len)
{
    v->data = data;
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
