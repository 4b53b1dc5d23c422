
/*
 * Compressed pages.  A page is deflated once, up to a byte boundary.  What
 * differs from request to request follows as a stored block, so that sending a
 * page from the cache compresses nothing.
 */

#include "ngx_http_exports_page.h"

#include <zlib.h>


/* raw deflate; its window of 32 KB holds some sixty items, much alike */
#define NGX_HTTP_EXPORTS_GZIP_LEVEL   1
#define NGX_HTTP_EXPORTS_GZIP_WBITS   15
#define NGX_HTTP_EXPORTS_GZIP_MEM     8

#define NGX_HTTP_EXPORTS_GZIP_HEADER  10

/* deflateBound() does not count the empty block of a flush */
#define NGX_HTTP_EXPORTS_GZIP_FLUSH   16


static z_stream *ngx_http_exports_gzip_stream(ngx_http_request_t *r);
static ngx_http_exports_page_t *ngx_http_exports_gzip_shrink(
    ngx_http_exports_ctx_t *ctx, ngx_http_exports_page_t *page);
static u_char *ngx_http_exports_put_le(u_char *p, uint32_t n, ngx_uint_t len);


/* one stream for all pages of a worker, made when it is first needed */

static z_stream    ngx_http_exports_z;
static ngx_uint_t  ngx_http_exports_z_made;


static u_char  ngx_http_exports_gzip_header[NGX_HTTP_EXPORTS_GZIP_HEADER] = {
    0x1f, 0x8b, Z_DEFLATED, 0, 0, 0, 0, 0, 0, 3
};


char *
ngx_http_exports_check_gzip(ngx_conf_t *cf, void *post, void *data)
{
#if !(NGX_HTTP_GZIP)

    ngx_flag_t *gzip = data;

    if (*gzip) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"exports_gzip\" needs an nginx with its gzip "
                           "module");
        return NGX_CONF_ERROR;
    }

#endif

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_exports_gzip_ok(ngx_http_request_t *r,
    ngx_http_exports_loc_conf_t *elcf)
{
#if (NGX_HTTP_GZIP)

    if (!elcf->gzip) {
        return 0;
    }

    return r->gzip_tested ? r->gzip_ok : ngx_http_gzip_ok(r) == NGX_OK;

#else

    return 0;

#endif
}


ngx_http_exports_page_t *
ngx_http_exports_gzip(ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_page_t *plain)
{
    int                       rc;
    size_t                    size;
    z_stream                 *z;
    ngx_http_exports_page_t  *page;

    z = ngx_http_exports_gzip_stream(ctx->request);
    if (z == NULL) {
        return NULL;
    }

    size = deflateBound(z, (uLong) plain->len) + NGX_HTTP_EXPORTS_GZIP_FLUSH;

    page = ngx_http_exports_page_create(ctx,
                                    NGX_HTTP_EXPORTS_GZIP_HEADER + size, 0);
    if (page == NULL) {
        return NULL;
    }

    ngx_memcpy(page->data, ngx_http_exports_gzip_header,
               NGX_HTTP_EXPORTS_GZIP_HEADER);

    z->next_in = plain->data;
    z->avail_in = (uInt) plain->len;
    z->next_out = page->data + NGX_HTTP_EXPORTS_GZIP_HEADER;
    z->avail_out = (uInt) size;

    rc = deflate(z, Z_FULL_FLUSH);

    if (rc != Z_OK || z->avail_in > 0 || z->avail_out == 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_http_exports_log(ctx->request), 0,
                      "deflate() failed: %d, %ud bytes left", rc, z->avail_in);
        ngx_http_exports_page_release(page);
        return NULL;
    }

    page->gzip = 1;
    page->total = plain->total;
    page->len = z->next_out - page->data;
    page->plain_len = plain->len;
    page->crc = (uint32_t) crc32(0, plain->data, (uInt) plain->len);

    return ngx_http_exports_gzip_shrink(ctx, page);
}


/* the last block, stored: its length has 16 bits */

u_char *
ngx_http_exports_gzip_tail(const ngx_http_exports_page_t *page, u_char *p,
    u_char *last)
{
    size_t     len;
    u_char    *header;
    uint32_t   crc;

    len = last - p;
    header = p - NGX_HTTP_EXPORTS_GZIP_BEFORE;

    *header = 1;
    header = ngx_http_exports_put_le(header + 1, (uint32_t) len, 2);
    (void) ngx_http_exports_put_le(header, ~(uint32_t) len, 2);

    crc = (uint32_t) crc32(page->crc, p, (uInt) len);

    last = ngx_http_exports_put_le(last, crc, 4);

    return ngx_http_exports_put_le(last, (uint32_t) (page->plain_len + len), 4);
}


void
ngx_http_exports_gzip_done(void)
{
    if (ngx_http_exports_z_made) {
        (void) deflateEnd(&ngx_http_exports_z);
        ngx_http_exports_z_made = 0;
    }
}


static z_stream *
ngx_http_exports_gzip_stream(ngx_http_request_t *r)
{
    int  rc;

    if (ngx_http_exports_z_made) {
        rc = deflateReset(&ngx_http_exports_z);

    } else {
        rc = deflateInit2(&ngx_http_exports_z, NGX_HTTP_EXPORTS_GZIP_LEVEL,
                          Z_DEFLATED, -NGX_HTTP_EXPORTS_GZIP_WBITS,
                          NGX_HTTP_EXPORTS_GZIP_MEM, Z_DEFAULT_STRATEGY);
    }

    if (rc != Z_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_http_exports_log(r), 0,
                      "%s() failed: %d",
                      ngx_http_exports_z_made ? "deflateReset"
                                              : "deflateInit2", rc);
        return NULL;
    }

    ngx_http_exports_z_made = 1;

    return &ngx_http_exports_z;
}


/* a page that is kept gets no more memory than it needs */

static ngx_http_exports_page_t *
ngx_http_exports_gzip_shrink(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_page_t *page)
{
    ngx_http_exports_page_t  *kept;

    if (!ngx_http_exports_cache_takes(ctx, 1, page->len)) {
        return page;
    }

    kept = ngx_http_exports_page_create(ctx, page->len, 1);
    if (kept == NULL) {
        return page;
    }

    ngx_memcpy(kept->data, page->data, page->len);

    kept->gzip = 1;
    kept->total = page->total;
    kept->len = page->len;
    kept->plain_len = page->plain_len;
    kept->crc = page->crc;

    ngx_http_exports_page_release(page);

    return kept;
}


/* little-endian, len bytes */

static u_char *
ngx_http_exports_put_le(u_char *p, uint32_t n, ngx_uint_t len)
{
    while (len-- > 0) {
        *p++ = (u_char) n;
        n >>= 8;
    }

    return p;
}
