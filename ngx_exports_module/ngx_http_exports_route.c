
/* from the path of a request to API, route, scope and id */

#include "ngx_http_exports.h"


/* the whole match, and two groups at most */
#define NGX_HTTP_EXPORTS_CAPTURES  3


struct ngx_http_exports_routes_s {
    pcre2_code        *code;
    pcre2_match_data  *match;
};


static void ngx_http_exports_route_free(void *data);
static int ngx_http_exports_route_match(ngx_http_exports_routes_t *routes,
    const ngx_str_t *path);
static void ngx_http_exports_captured(ngx_str_t *dst, const ngx_str_t *path,
    const size_t *captures, int n, ngx_uint_t group);


/*
 * Not by ngx_regex_compile(): its patterns are allocated by nginx's functions,
 * which work only while nginx itself compiles, so that pcre2_jit_compile()
 * cannot be called for them here
 */

ngx_http_exports_routes_t *
ngx_http_exports_route_compile(ngx_conf_t *cf,
    const ngx_http_exports_api_t *api)
{
    int                         n;
    size_t                      offset;
    ngx_pool_cleanup_t         *cln;
    ngx_http_exports_routes_t  *routes;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_http_exports_routes_t));
    if (cln == NULL) {
        return NULL;
    }

    routes = cln->data;
    ngx_memzero(routes, sizeof(ngx_http_exports_routes_t));

    cln->handler = ngx_http_exports_route_free;

    routes->code = pcre2_compile(api->pattern.data, api->pattern.len, 0, &n,
                                 &offset, NULL);
    if (routes->code == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pcre2_compile() failed: %d in \"%V\" at %uz",
                           n, &api->pattern, offset);
        return NULL;
    }

    routes->match = pcre2_match_data_create(NGX_HTTP_EXPORTS_CAPTURES, NULL);

    if (routes->match == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "pcre2_match_data_create() failed");
        return NULL;
    }

    /* every request is matched; that works without JIT, too, but slower */

    n = pcre2_jit_compile(routes->code, PCRE2_JIT_COMPLETE);

    if (n != 0) {
        ngx_conf_log_error(NGX_LOG_INFO, cf, 0,
                           "pcre2_jit_compile() failed: %d in \"%V\"",
                           n, &api->pattern);
    }

    return routes;
}


static void
ngx_http_exports_route_free(void *data)
{
    ngx_http_exports_routes_t *routes = data;

    pcre2_match_data_free(routes->match);
    pcre2_code_free(routes->code);
}


/* NGX_DECLINED: what lies below the prefix is no route of the API */

ngx_int_t
ngx_http_exports_route(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    int                           n;
    size_t                       *captures;
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

    n = ngx_http_exports_route_match(elcf->routes, &path);

    if (n == PCRE2_ERROR_NOMATCH) {
        return NGX_DECLINED;
    }

    if (n < 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_http_exports_log(r), 0,
                      "pcre2_match() failed: %d on exports route", n);
        return NGX_ERROR;
    }

    api = elcf->api;
    captures = pcre2_get_ovector_pointer(elcf->routes->match);

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


/* pcre2_match() would first have to find out whether there is JIT code */

static int
ngx_http_exports_route_match(ngx_http_exports_routes_t *routes,
    const ngx_str_t *path)
{
    int  n;

    n = pcre2_jit_match(routes->code, path->data, path->len, 0, 0,
                        routes->match, NULL);

    if (n == PCRE2_ERROR_JIT_BADOPTION) {
        n = pcre2_match(routes->code, path->data, path->len, 0, 0,
                        routes->match, NULL);
    }

    return n;
}


/* n: one more than the last group that took part */

static void
ngx_http_exports_captured(ngx_str_t *dst, const ngx_str_t *path,
    const size_t *captures, int n, ngx_uint_t group)
{
    if ((int) group < n && captures[2 * group] != PCRE2_UNSET) {
        dst->data = path->data + captures[2 * group];
        dst->len = captures[2 * group + 1] - captures[2 * group];
    }
}
