
#include "ngx_http_exports.h"


/* two groups at the most, and what PCRE needs beside them */
#define NGX_HTTP_EXPORTS_CAPTURES  ((2 + 1) * 3)


static void ngx_http_exports_captured(ngx_str_t *dst, ngx_str_t *path,
    int *captures, ngx_int_t n, ngx_uint_t group);


ngx_regex_t *
ngx_http_exports_route_compile(ngx_conf_t *cf,
    const ngx_http_exports_api_t *api)
{
    u_char               errstr[NGX_MAX_CONF_ERRSTR];
    ngx_regex_compile_t  rc;

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    rc.pattern = api->pattern;
    rc.pool = cf->pool;
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    if (ngx_regex_compile(&rc) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V", &rc.err);
        return NULL;
    }

#if (NGX_PCRE2)

    /* every request matches it; without JIT it works as well, but slower */

    (void) pcre2_jit_compile(rc.regex, PCRE2_JIT_COMPLETE);

#endif

    return rc.regex;
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
