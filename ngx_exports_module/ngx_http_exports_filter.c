
/*
 * replaces the body of every error that nginx or another module raises in a
 * location of ours.  The status stays, and so do the headers that go with it.
 * Of what object storage answers only the bytes and what describes them leave
 */

#include "ngx_http_exports.h"


#define NGX_HTTP_EXPORTS_RANGES  "multipart/byteranges;"


static ngx_int_t ngx_http_exports_header_filter(ngx_http_request_t *r);
static ngx_http_exports_ctx_t *ngx_http_exports_error_ctx(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_exports_replace(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err);
static ngx_int_t ngx_http_exports_stored(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_stored_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_stored_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static void ngx_http_exports_drop_headers(ngx_http_request_t *r,
    ngx_str_t *kept);
static ngx_uint_t ngx_http_exports_is_kept(ngx_str_t *key, ngx_str_t *kept);
static ngx_int_t ngx_http_exports_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


/* what describes the bytes that storage sends */

static ngx_str_t  ngx_http_exports_stored_kept[] = {
    ngx_string("Accept-Ranges"),
    ngx_string("Content-Encoding"),
    ngx_string("Content-Range"),
    ngx_string("ETag"),
    ngx_string("Last-Modified"),
    ngx_string("Vary"),
    ngx_null_string
};

/* what an unsatisfiable range leaves of a download */

static ngx_str_t  ngx_http_exports_range_kept[] = {
    ngx_string("Content-Range"),
    ngx_null_string
};

static ngx_str_t  ngx_http_exports_none_kept[] = {
    ngx_null_string
};


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
        rc = ngx_http_exports_stored(r, ctx);

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


/* the context, when the error is one to be replaced */

static ngx_http_exports_ctx_t *
ngx_http_exports_error_ctx(ngx_http_request_t *r)
{
    ngx_http_exports_ctx_t       *ctx;
    ngx_http_exports_loc_conf_t  *elcf;

    elcf = ngx_http_get_module_loc_conf(r, ngx_http_exports_module);

    if (elcf == NULL || elcf->api == NULL) {
        return NULL;
    }

    ctx = ngx_http_exports_use_ctx(r, 1);

    return ctx == NULL || ctx->answered ? NULL : ctx;
}


static ngx_int_t
ngx_http_exports_replace(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_error_t *err)
{
    ctx->error = err;
    ctx->body = ctx->conf->api->error(r, ctx, err);

    if (ctx->body == NULL) {
        return NGX_ERROR;
    }

    /* those of a file that was about to be sent */

    if (ctx->artifact != NULL) {
        ngx_http_exports_drop_headers(r,
                        err->status == NGX_HTTP_RANGE_NOT_SATISFIABLE
                            ? ngx_http_exports_range_kept
                            : ngx_http_exports_none_kept);
    }

    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    if (r->headers_out.content_encoding != NULL) {
        r->headers_out.content_encoding->hash = 0;
        r->headers_out.content_encoding = NULL;
    }

    ngx_http_exports_content(r, ngx_buf_size(ctx->body));

    ctx->answered = 1;
    ctx->replace = 1;

    return ngx_http_exports_error_headers(r, ctx);
}


/* an answer from behind a redirection of ours */

static ngx_int_t
ngx_http_exports_stored(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    /* what is no HTTP would be passed on as HTTP/0.9, without headers */

    r->http_version = ctx->artifact->http_version;

    if (r->err_status == 0
        && (r->headers_out.status == NGX_HTTP_OK
            || r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
            || r->headers_out.status == NGX_HTTP_NOT_MODIFIED))
    {
        return ngx_http_exports_stored_headers(r, ctx);
    }

    return ngx_http_exports_stored_error(r, ctx);
}


static ngx_int_t
ngx_http_exports_stored_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_str_t  type;

    type = r->headers_out.content_type;

    ngx_http_exports_drop_headers(r, ngx_http_exports_stored_kept);

    if (ngx_http_exports_artifact_headers(r, ctx, ctx->artifact) != NGX_OK) {
        return NGX_ERROR;
    }

    /* of several ranges it says where one ends; each has a type of its own */

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        && type.len >= sizeof(NGX_HTTP_EXPORTS_RANGES) - 1
        && ngx_strncasecmp(type.data, (u_char *) NGX_HTTP_EXPORTS_RANGES,
                           sizeof(NGX_HTTP_EXPORTS_RANGES) - 1)
           == 0)
    {
        r->headers_out.content_type = type;
        r->headers_out.content_type_len = type.len;
        r->headers_out.content_type_lowcase = NULL;
        ngx_str_null(&r->headers_out.charset);
    }

    if (r->headers_out.status == NGX_HTTP_NOT_MODIFIED) {
        ngx_str_null(&r->headers_out.content_type);
    }

    return NGX_OK;
}


/*
 * a handler that gets a status back from here gives up what it was about to
 * send, and its connection to the storage with it; then nginx comes here again
 * with that status as an error of its own.  What a cache may keep is read to
 * its end instead
 */

static ngx_int_t
ngx_http_exports_stored_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_uint_t                       first;
    const ngx_http_exports_error_t  *err;

    switch (r->headers_out.status) {

    case NGX_HTTP_NOT_FOUND:
        err = ngx_http_exports_error(NGX_HTTP_EXPORTS_NO_ARTIFACT);
        break;

    case NGX_HTTP_PRECONDITION_FAILED:
    case NGX_HTTP_RANGE_NOT_SATISFIABLE:
        err = ngx_http_exports_error_of_status(r, r->headers_out.status);
        break;

    default:
        err = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_GATEWAY);
    }

    first = (r->err_status == 0);

    if (first) {
        ngx_log_error(NGX_LOG_ERR, ngx_http_exports_log(r), 0,
                      "storage \"%V\" answered %ui for export \"%V\"",
                      &ctx->artifact->storage_backend, r->headers_out.status,
                      &ctx->id);
    }

    r->headers_out.status = err->status;
    r->headers_out.status_line.len = 0;

    if (first && (r->upstream == NULL || !r->upstream->cacheable)) {
        return err->status;
    }

    r->err_status = err->status;

    return ngx_http_exports_replace(r, ctx, err);
}


/* of all headers those that are named stay, and so does what nginx made */

static void
ngx_http_exports_drop_headers(ngx_http_request_t *r, ngx_str_t *kept)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (!ngx_http_exports_is_kept(&h[i].key, kept)) {
                h[i].hash = 0;
            }
        }
    }

    r->headers_out.server = NULL;
    r->headers_out.date = NULL;
    r->headers_out.location = NULL;
    r->headers_out.refresh = NULL;
    r->headers_out.www_authenticate = NULL;
    r->headers_out.expires = NULL;
    r->headers_out.override_charset = NULL;

    /* an array or a pointer, by the version of nginx */

    ngx_memzero(&r->headers_out.cache_control,
                sizeof(r->headers_out.cache_control));
    ngx_memzero(&r->headers_out.link, sizeof(r->headers_out.link));

    if (r->headers_out.content_encoding
        && r->headers_out.content_encoding->hash == 0)
    {
        r->headers_out.content_encoding = NULL;
    }
}


static ngx_uint_t
ngx_http_exports_is_kept(ngx_str_t *key, ngx_str_t *kept)
{
    for ( /* void */ ; kept->len > 0; kept++) {
        if (kept->len == key->len
            && ngx_strncasecmp(kept->data, key->data, key->len) == 0)
        {
            return 1;
        }
    }

    return 0;
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
