
/* the context of a request, which has to outlive internal redirects */

#include "ngx_http_exports_page.h"


static ngx_http_exports_ctx_t *ngx_http_exports_next_ctx(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *used);
static ngx_http_exports_ctx_t *ngx_http_exports_add_ctx(ngx_http_request_t *r);
static void ngx_http_exports_cleanup_ctx(void *data);


ngx_http_exports_ctx_t *
ngx_http_exports_create_ctx(ngx_http_request_t *r)
{
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_exports_add_ctx(r);

    if (ctx == NULL) {
        return NULL;
    }

    ctx->now = exports_time_now();

    if (ngx_http_exports_id(ctx->request_id, ctx->now, "req_") == NULL) {
        return NULL;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_exports_module);

    return ctx;
}


/*
 * One of our variables may have created the context before an "if" or a
 * redirect changed the configuration: so conf is set anew.  But a context that
 * has answered keeps its conf, for it may refer to the store and a page of it;
 * a second one follows it, with the same request ID.  The time is taken anew,
 * for limit_req or auth_request may have delayed the request
 */

ngx_http_exports_ctx_t *
ngx_http_exports_use_ctx(ngx_http_request_t *r, ngx_uint_t again)
{
    ngx_http_exports_ctx_t       *ctx;
    ngx_http_exports_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_exports_module);

    ctx = ngx_http_exports_get_ctx(r);

    if (ctx == NULL) {
        ctx = ngx_http_exports_create_ctx(r);

    } else {

        if (ctx->used && (!again || ctx->conf != elcf)) {
            ctx = ngx_http_exports_next_ctx(r, ctx);
        }

        if (ctx != NULL) {
            ctx->now = exports_time_now();
        }
    }

    if (ctx != NULL) {
        ctx->conf = elcf;
        ctx->used = 1;
    }

    return ctx;
}


static ngx_http_exports_ctx_t *
ngx_http_exports_next_ctx(ngx_http_request_t *r, ngx_http_exports_ctx_t *used)
{
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_exports_add_ctx(r);

    if (ctx != NULL) {
        ngx_memcpy(ctx->request_id, used->request_id,
                   NGX_HTTP_EXPORTS_REQUEST_ID_LEN);

        ngx_http_set_ctx(r, ctx, ngx_http_exports_module);
    }

    return ctx;
}


static ngx_http_exports_ctx_t *
ngx_http_exports_add_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_exports_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_exports_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_exports_ctx_t));

    cln->handler = ngx_http_exports_cleanup_ctx;

    ctx->request = r;
    ctx->conf = ngx_http_get_module_loc_conf(r, ngx_http_exports_module);

    return ctx;
}


/*
 * nginx clears all contexts for an error page or an internal redirect: ours is
 * found among the cleanups of the pool then.  Subrequests share the pool
 */

ngx_http_exports_ctx_t *
ngx_http_exports_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t      *cln;
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exports_module);

    if (ctx == NULL && (r->internal || r->filter_finalize)) {

        for (cln = r->pool->cleanup; cln; cln = cln->next) {

            if (cln->handler != ngx_http_exports_cleanup_ctx) {
                continue;
            }

            ctx = cln->data;

            if (ctx->request == r) {
                ngx_http_set_ctx(r, ctx, ngx_http_exports_module);

                /* the answer that was being sent has been given up */

                ctx->answering = 0;
                return ctx;
            }
        }

        return NULL;
    }

    return ctx;
}


/* also what the context is recognized by among the cleanups of the pool */

static void
ngx_http_exports_cleanup_ctx(void *data)
{
    ngx_http_exports_ctx_t *ctx = data;

    if (ctx->page != NULL) {
        ngx_http_exports_page_release(ctx->page);
    }
}
