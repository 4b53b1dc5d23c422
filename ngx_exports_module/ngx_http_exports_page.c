
/* the memory of a page, and the references to it */

#include "ngx_http_exports_page.h"


ngx_http_exports_page_t *
ngx_http_exports_page_create(ngx_http_exports_ctx_t *ctx, size_t len,
    ngx_uint_t keep)
{
    size_t                    size, key;
    ngx_http_exports_page_t  *page;

    key = keep ? ctx->key.len : 0;
    size = sizeof(ngx_http_exports_page_t) + key + len;

    page = ngx_alloc(size, ngx_http_exports_log(ctx->request));
    if (page == NULL) {
        return NULL;
    }

    page->size = size;
    page->refs = 1;
    page->gzip = 0;
    page->kept = 0;
    page->counted = 0;
    page->total = 0;
    page->len = 0;

    page->key.len = key;
    page->key.data = (u_char *) page + sizeof(ngx_http_exports_page_t);
    page->data = page->key.data + key;

    if (keep) {
        ngx_memcpy(page->key.data, ctx->key.data, key);
        page->version = ctx->version;
    }

    return page;
}


ngx_http_exports_page_t *
ngx_http_exports_page_trim(ngx_http_exports_page_t *page, size_t room)
{
    size_t                    size, head;
    ngx_http_exports_page_t  *trimmed;

    head = page->data - (u_char *) page;
    size = head + page->len + room;

    trimmed = realloc(page, size);
    if (trimmed == NULL) {
        return page;
    }

    trimmed->size = size;
    trimmed->key.data = (u_char *) trimmed + sizeof(ngx_http_exports_page_t);
    trimmed->data = (u_char *) trimmed + head;

    return trimmed;
}


void
ngx_http_exports_page_release(ngx_http_exports_page_t *page)
{
    if (--page->refs > 0) {
        return;
    }

    if (page->counted) {
        ngx_http_exports_cache_freed(page);
    }

    ngx_free(page);
}
