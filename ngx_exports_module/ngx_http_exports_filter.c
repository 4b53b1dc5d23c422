
/*
 * Replaces the body of every error that nginx or another module raises in one
 * of our locations.  The status stays, and so do the headers that go with it.
 *
 * Bits of the context say how far its answer has come:
 *
 * answering  our own headers are passing the filters: they are left alone, even
 *            if their status is an error
 * answered   our own headers have been made: an error that comes later drops
 *            them, as it drops those of an artifact
 * replace    an error was replaced: the body that follows is not ours, and is
 *            dropped
 * replaced   ctx->body was sent in its place; cleared by a further error
 */

#include "ngx_http_exports.h"


static ngx_int_t ngx_http_exports_header_filter(ngx_http_request_t *r);
static ngx_http_exports_ctx_t *ngx_http_exports_error_ctx(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_exports_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_int_t
ngx_http_exports_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_exports_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_exports_body_filter;

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_http_exports_ctx_t          *ctx;
    const ngx_http_exports_error_t  *err;

    ctx = ngx_http_exports_get_ctx(r);

    if (ctx != NULL && ctx->redirected) {
        rc = ngx_http_exports_storage_answer(r, ctx);

        return rc == NGX_OK ? ngx_http_next_header_filter(r) : rc;
    }

    if (r->headers_out.status < NGX_HTTP_BAD_REQUEST || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_exports_error_ctx(r);

    if (ctx != NULL) {
        err = ngx_http_exports_error_of_status(r, r->headers_out.status);

        if (ngx_http_exports_replace(r, ctx, err) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_next_header_filter(r);
}


/* the context, if the error is to be replaced; else NULL */

static ngx_http_exports_ctx_t *
ngx_http_exports_error_ctx(ngx_http_request_t *r)
{
    ngx_http_exports_ctx_t       *ctx;
    ngx_http_exports_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_exports_module);

    if (elcf->api == NULL) {
        return NULL;
    }

    ctx = ngx_http_exports_use_ctx(r, 1);

    return ctx == NULL || ctx->answering ? NULL : ctx;
}


ngx_int_t
ngx_http_exports_replace(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_error_t *err)
{
    ctx->error = err;
    ctx->body = ctx->conf->api->error(r, ctx, err);

    if (ctx->body == NULL) {
        return NGX_ERROR;
    }

    /* the headers of a file, or of another answer of ours, have been made */

    if (ctx->artifact != NULL || ctx->answered) {
        ngx_http_exports_retract(r, err->status);

    } else {
        ngx_http_exports_clear_headers(r);
    }

    ngx_http_exports_content(r, ngx_buf_size(ctx->body));

    ctx->answered = 1;
    ctx->replace = 1;
    ctx->replaced = 0;

    return ngx_http_exports_error_headers(r, ctx);
}


static ngx_int_t
ngx_http_exports_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_buf_t               *b;
    ngx_chain_t             *cl, out;
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exports_module);

    if (ctx == NULL || !ctx->replace || in == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    for (cl = in; cl; cl = cl->next) {
        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;
    }

    if (ctx->replaced) {
        return NGX_OK;
    }

    ctx->replaced = 1;

    b = ctx->body;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}
