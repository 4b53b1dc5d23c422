
#include "ngx_http_exports.h"


/* two groups at the most, and what PCRE needs beside them */
#define NGX_HTTP_EXPORTS_CAPTURES  ((2 + 1) * 3)


static void ngx_http_exports_route_free(void *data);
static void ngx_http_exports_captured(ngx_str_t *dst, ngx_str_t *path,
    int *captures, ngx_int_t n, ngx_uint_t group);


/*
 * not by ngx_regex_compile(): what that compiles takes its memory from nginx
 * while nginx compiles, and cannot be given to the JIT compiler from here
 */

ngx_regex_t *
ngx_http_exports_route_compile(ngx_conf_t *cf,
    const ngx_http_exports_api_t *api)
{
    int                  n;
    size_t               offset;
    ngx_regex_t         *re;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    re = pcre2_compile(api->pattern.data, api->pattern.len, 0, &n, &offset,
                       NULL);
    if (re == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pcre2_compile() failed: %d in \"%V\" at %uz",
                           n, &api->pattern, offset);
        return NULL;
    }

    cln->handler = ngx_http_exports_route_free;
    cln->data = re;

    /* every request matches it; without JIT it works as well, but slower */

    n = pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);

    if (n != 0) {
        ngx_conf_log_error(NGX_LOG_INFO, cf, 0,
                           "pcre2_jit_compile() failed: %d in \"%V\"",
                           n, &api->pattern);
    }

    return re;
}


static void
ngx_http_exports_route_free(void *data)
{
    pcre2_code_free(data);
}


/* NGX_DECLINED: what lies below the prefix is no route of the API */

ngx_int_t
ngx_http_exports_route(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    int                           captures[NGX_HTTP_EXPORTS_CAPTURES];
    ngx_int_t                     n;
    ngx_str_t                     path;
    ngx_http_exports_loc_conf_t  *elcf;
    const ngx_http_exports_api_t *api;

    elcf = ctx->conf;

    if (r->uri.len < elcf->prefix.len
        || ngx_memcmp(r->uri.data, elcf->prefix.data, elcf->prefix.len) != 0)
    {
        return NGX_DECLINED;
    }

    path.data = r->uri.data + elcf->prefix.len;
    path.len = r->uri.len - elcf->prefix.len;

    n = ngx_regex_exec(elcf->routes, &path, captures,
                       NGX_HTTP_EXPORTS_CAPTURES);

    if (n == NGX_REGEX_NO_MATCHED) {
        return NGX_DECLINED;
    }

    if (n < 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_http_exports_log(r), 0,
                      ngx_regex_exec_n " failed: %i on exports route", n);
        return NGX_ERROR;
    }

    api = elcf->api;

    if (api->scope_capture > 0) {
        ngx_http_exports_captured(&ctx->scope, &path, captures, n,
                                  api->scope_capture);
    }

    ngx_http_exports_captured(&ctx->id, &path, captures, n, api->id_capture);

    ctx->route = ctx->id.len > 0 ? NGX_HTTP_EXPORTS_DOWNLOAD
                                 : NGX_HTTP_EXPORTS_LIST;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "exports route:%d scope:\"%V\" id:\"%V\"",
                   ctx->route, &ctx->scope, &ctx->id);

    return NGX_OK;
}


/* n: one more than the last group that took part */

static void
ngx_http_exports_captured(ngx_str_t *dst, ngx_str_t *path, int *captures,
    ngx_int_t n, ngx_uint_t group)
{
    if ((ngx_int_t) group < n && captures[2 * group] >= 0) {
        dst->data = path->data + captures[2 * group];
        dst->len = captures[2 * group + 1] - captures[2 * group];
    }
}
