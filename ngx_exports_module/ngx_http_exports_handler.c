
#include "ngx_http_exports.h"


static ngx_int_t ngx_http_exports_no_route(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);


ngx_int_t
ngx_http_exports_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_exports_use_ctx(r, 0);

    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_exports_route(r, ctx);

    if (rc == NGX_DECLINED) {
        return ngx_http_exports_no_route(r, ctx);
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the signature of a link must not be logged from here on */

    if (ctx->route == NGX_HTTP_EXPORTS_DOWNLOAD) {
        ngx_http_exports_hide_args(r);
    }

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return ngx_http_exports_send_error(r, ctx,
                         ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_METHOD));
    }

    return ctx->route == NGX_HTTP_EXPORTS_LIST
               ? ngx_http_exports_list(r, ctx)
               : ngx_http_exports_download(r, ctx);
}


static ngx_int_t
ngx_http_exports_no_route(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    if (ctx->conf->fallback.name.len > 0) {
        return ngx_http_named_location(r, &ctx->conf->fallback.name);
    }

    return ngx_http_exports_send_error(r, ctx,
                           ngx_http_exports_error(NGX_HTTP_EXPORTS_NO_ROUTE));
}
