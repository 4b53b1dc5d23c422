
/* our own answers: headers and body */

#include "ngx_http_exports_page.h"


static ngx_int_t ngx_http_exports_not_modified(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_list_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_table_elt_t *ngx_http_exports_vary(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_rate_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_number_header(ngx_http_request_t *r,
    const char *name, ngx_uint_t number);
static ngx_int_t ngx_http_exports_page_buf(ngx_http_exports_page_t *page,
    ngx_buf_t **buf, ngx_pool_t *pool);
static ngx_int_t ngx_http_exports_tail_buf(ngx_http_exports_ctx_t *ctx,
    ngx_buf_t *page, ngx_buf_t **buf, ngx_pool_t *pool);
static ngx_uint_t ngx_http_exports_page_room(
    const ngx_http_exports_page_t *page, size_t len);
static ngx_int_t ngx_http_exports_send_body(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_chain_t *out);
static ngx_int_t ngx_http_exports_begin_answer(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);


/* a list that was read */

ngx_int_t
ngx_http_exports_send(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t     rc;
    ngx_chain_t   page, tail;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    /* list.c has looked at the conditions; nginx would answer 412 */

    r->disable_not_modified = 1;

    r->headers_out.status = ctx->not_modified ? NGX_HTTP_NOT_MODIFIED
                                              : NGX_HTTP_OK;

    /* left by a file or an answer that an internal redirect came from */

    ngx_http_exports_clear_headers(r);

    if (ctx->not_modified) {
        return ngx_http_exports_not_modified(r, ctx);
    }

    /* before the headers, for a failure here would inherit them */

    if (ngx_http_exports_page_buf(ctx->page, &page.buf, r->pool) != NGX_OK
        || ngx_http_exports_tail_buf(ctx, page.buf, &tail.buf, r->pool)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_exports_list_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    page.next = tail.buf != NULL ? &tail : NULL;
    tail.next = NULL;

    return ngx_http_exports_send_body(r, ctx, &page);
}


ngx_int_t
ngx_http_exports_unavailable(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    if (ctx->conf->fallback.name.len > 0) {
        return ngx_http_named_location(r, &ctx->conf->fallback.name);
    }

    return ngx_http_exports_send_error(r, ctx,
                        ngx_http_exports_error(NGX_HTTP_EXPORTS_UNAVAILABLE));
}


ngx_int_t
ngx_http_exports_send_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ctx->error = err;

    if (err->status < NGX_HTTP_INTERNAL_SERVER_ERROR) {
        ngx_log_error(NGX_LOG_INFO, ngx_http_exports_log(r), 0,
                      "exports request refused: %ui %V", err->status,
                      &err->code);
    }

    out.buf = ctx->conf->api->error(r, ctx, err);
    out.next = NULL;

    if (out.buf == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = err->status;
    ngx_http_exports_clear_headers(r);

    if (ngx_http_exports_error_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* nginx knows no text for it */

    if (err->status == NGX_HTTP_EXPORTS_UNPROCESSABLE) {
        ngx_str_set(&r->headers_out.status_line, "422 Unprocessable Content");
    }

    return ngx_http_exports_send_body(r, ctx, &out);
}


ngx_int_t
ngx_http_exports_error_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_http_exports_drop_brought(r);

    if (ngx_http_exports_request_id_header(r, ctx) != NGX_OK
        || ngx_http_exports_header(r, "Cache-Control", "no-store") == NULL)
    {
        return NGX_ERROR;
    }

    /* a request may have been counted before its read was left half way, or
       its answer refused: only some errors say so */

    if (ctx->error->status != NGX_HTTP_NOT_FOUND
        && ctx->error->status != NGX_HTTP_NOT_ALLOWED
        && ctx->error->status != NGX_HTTP_SERVICE_UNAVAILABLE
        && ngx_http_exports_rate_headers(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->error->status == NGX_HTTP_UNAUTHORIZED
        && (r->headers_out.www_authenticate == NULL
            || r->headers_out.www_authenticate->hash == 0))
    {
        r->headers_out.www_authenticate =
            ngx_http_exports_header(r, "WWW-Authenticate", "Bearer");

        if (r->headers_out.www_authenticate == NULL) {
            return NGX_ERROR;
        }
    }

    if (ctx->error->status == NGX_HTTP_NOT_ALLOWED
        && ngx_http_exports_header(r, "Allow", "GET, HEAD") == NULL)
    {
        return NGX_ERROR;
    }

    if (ctx->error == ngx_http_exports_error(NGX_HTTP_EXPORTS_UNAVAILABLE)
        && ngx_http_exports_header(r, "Retry-After", "1") == NULL)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_exports_content(ngx_http_request_t *r, off_t len)
{
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.charset.len = 0;

    /* a header from before would be sent instead of the number */

    ngx_http_clear_content_length(r);
    r->headers_out.content_length_n = len;
}


static ngx_int_t
ngx_http_exports_not_modified(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ngx_http_exports_list_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.content_length_n = -1;

    rc = ngx_http_exports_begin_answer(r, ctx);

    return rc == NGX_DONE ? NGX_OK : rc;
}


static ngx_int_t
ngx_http_exports_list_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_http_exports_drop_brought(r);

    r->headers_out.etag = ngx_http_exports_add_header(r, "ETag", 4, ctx->etag,
                                                NGX_HTTP_EXPORTS_ETAG_LEN);

    if (r->headers_out.etag == NULL
        || ngx_http_exports_header(r, "Cache-Control", "private, no-cache")
           == NULL
        || ngx_http_exports_vary(r, ctx) == NULL)
    {
        return NGX_ERROR;
    }

    if (ctx->page != NULL && ctx->page->gzip) {
        r->headers_out.content_encoding =
            ngx_http_exports_header(r, "Content-Encoding", "gzip");

        if (r->headers_out.content_encoding == NULL) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_exports_rate_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_exports_request_id_header(r, ctx);
}


/* with "gzip_vary on" nginx adds Accept-Encoding, if r->gzip_vary is set */

static ngx_table_elt_t *
ngx_http_exports_vary(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
#if (NGX_HTTP_GZIP)

    ngx_http_core_loc_conf_t  *clcf;

    if (ctx->conf->gzip) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

        if (!clcf->gzip_vary) {
            return ngx_http_exports_header(r, "Vary",
                                           "Authorization, Accept-Encoding");
        }

        r->gzip_vary = 1;
    }

#endif

    return ngx_http_exports_header(r, "Vary", "Authorization");
}


static ngx_int_t
ngx_http_exports_rate_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_http_exports_rate_t  *rate;

    rate = &ctx->rate;

    if (!rate->counted) {
        return NGX_OK;
    }

    if (ngx_http_exports_number_header(r, "X-RateLimit-Limit", rate->limit)
        != NGX_OK
        || ngx_http_exports_number_header(r, "X-RateLimit-Remaining",
                                          rate->remaining)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return rate->retry_after == 0 || ctx->error == NULL
           || ctx->error->status != NGX_HTTP_TOO_MANY_REQUESTS
               ? NGX_OK
               : ngx_http_exports_number_header(r, "Retry-After",
                                                rate->retry_after);
}


static ngx_int_t
ngx_http_exports_number_header(ngx_http_request_t *r, const char *name,
    ngx_uint_t number)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, EXPORTS_DECIMAL_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_exports_add_header(r, name, ngx_strlen(name), p,
                                       exports_decimal((char *) p, number))
           != NULL ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_http_exports_request_id_header(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    return ngx_http_exports_add_header(r, "X-Request-Id", 12, ctx->request_id,
                                       NGX_HTTP_EXPORTS_REQUEST_ID_LEN)
           != NULL ? NGX_OK : NGX_ERROR;
}


/* not a temporary buffer: filters might write to it, and others send it, too */

static ngx_int_t
ngx_http_exports_page_buf(ngx_http_exports_page_t *page, ngx_buf_t **buf,
    ngx_pool_t *pool)
{
    ngx_buf_t  *b;

    b = ngx_calloc_buf(pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = page->data;
    b->last = page->data + page->len;
    b->start = b->pos;
    b->end = b->last;
    b->memory = 1;

    *buf = b;

    return NGX_OK;
}


size_t
ngx_http_exports_tail_length(ngx_http_exports_ctx_t *ctx)
{
    const ngx_http_exports_api_t  *api;

    api = ctx->conf->api;

    return api->tail != NULL ? api->tail_length(ctx) : 0;
}


/* *buf is NULL if nothing follows the page, or the page had room for it */

static ngx_int_t
ngx_http_exports_tail_buf(ngx_http_exports_ctx_t *ctx, ngx_buf_t *page,
    ngx_buf_t **buf, ngx_pool_t *pool)
{
    size_t      len;
    u_char     *p;
    ngx_buf_t  *b;

    len = ngx_http_exports_tail_length(ctx);

    *buf = NULL;

    if (len == 0 && !ctx->page->gzip) {
        return NGX_OK;
    }

    /* filters pass a single buffer on as it is */

    if (ngx_http_exports_page_room(ctx->page, len)) {
        page->last = ctx->conf->api->tail(ctx, page->last);
        page->end = page->last;
        return NGX_OK;
    }

    b = ngx_create_temp_buf(pool, len + NGX_HTTP_EXPORTS_GZIP_TAIL);
    if (b == NULL) {
        return NGX_ERROR;
    }

    if (ctx->page->gzip) {
        b->last += NGX_HTTP_EXPORTS_GZIP_BEFORE;
    }

    p = b->last;

    if (len > 0) {
        b->last = ctx->conf->api->tail(ctx, p);
    }

    if (ctx->page->gzip) {
        b->last = ngx_http_exports_gzip_tail(ctx->page, p, b->last);
    }

    *buf = b;

    return NGX_OK;
}


/* whether len bytes fit in the page, and nobody else sends it, or ever will */

static ngx_uint_t
ngx_http_exports_page_room(const ngx_http_exports_page_t *page, size_t len)
{
    size_t  used;

    if (page->kept || page->refs > 1 || page->gzip) {
        return 0;
    }

    used = page->data + page->len - (u_char *) page;

    return len <= page->size - used;
}


static ngx_int_t
ngx_http_exports_send_body(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx,
    ngx_chain_t *out)
{
    off_t         len;
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    len = ngx_buf_size(out->buf);

    for (cl = out; cl->next != NULL; cl = cl->next) {
        len += ngx_buf_size(cl->next->buf);
    }

    cl->buf->last_buf = (r == r->main);
    cl->buf->last_in_chain = 1;

    ngx_http_exports_content(r, len);

    rc = ngx_http_exports_begin_answer(r, ctx);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, out);
}


/* sends the headers; meanwhile our filter leaves their status alone */

static ngx_int_t
ngx_http_exports_begin_answer(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->answered = 1;
    ctx->answering = 1;

    rc = ngx_http_exports_send_headers(r);

    ctx->answering = 0;

    return rc;
}
