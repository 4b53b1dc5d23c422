
/*
 * The body of a page is written while its items are read: their records are
 * then still in the processor's caches, and have just been verified.  So its
 * length is not known beforehand; it is guessed from the pages before.
 */

#include "ngx_http_exports_page.h"


/* the first guess of an item's length */
#define NGX_HTTP_EXPORTS_ITEM_SIZE  640

/* a fourth of a page's memory may be empty while it is sent */
#define NGX_HTTP_EXPORTS_WASTE      4


static void ngx_http_exports_render_finish(ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_render_begin(
    ngx_http_exports_render_t *render, const exports_page_t *page,
    const exports_item_t *first);
static ngx_int_t ngx_http_exports_render_room(
    ngx_http_exports_render_t *render, size_t len);
static void ngx_http_exports_render_learn(ngx_http_exports_render_t *render);


/* the length of an item of each API, about the longest average of late */

static size_t  ngx_http_exports_item_size[NGX_HTTP_EXPORTS_APIS] = {
    [NGX_HTTP_EXPORTS_API_PROJECT] = NGX_HTTP_EXPORTS_ITEM_SIZE,
    [NGX_HTTP_EXPORTS_API_USER] = NGX_HTTP_EXPORTS_ITEM_SIZE
};


void
ngx_http_exports_render_init(ngx_http_exports_render_t *render,
    ngx_http_exports_ctx_t *ctx)
{
    render->ctx = ctx;
    render->limit = ctx->limit - ctx->conf->api->beyond;
    render->items = 0;
    render->last = NULL;
}


exports_rc_t
ngx_http_exports_render_items(void *data, const exports_page_t *page,
    const exports_item_t *items, unsigned n)
{
    ngx_http_exports_render_t *render = data;

    u_char                        *p;
    size_t                         len;
    unsigned                       i;
    ngx_http_exports_ctx_t        *ctx;
    const ngx_http_exports_api_t  *api;

    n = ngx_min(n, render->limit - render->items);

    if (n == 0) {
        return EXPORTS_OK;
    }

    if (render->last == NULL
        && ngx_http_exports_render_begin(render, page, items) != NGX_OK)
    {
        return EXPORTS_NOMEM;
    }

    len = n * (render->link + 1);

    for (i = 0; i < n; i++) {
        len += items[i].json_len;
    }

    if ((size_t) (render->end - render->last) < len
        && ngx_http_exports_render_room(render,
                       (render->expected - render->items) * (len / n + 1))
           != NGX_OK)
    {
        return EXPORTS_NOMEM;
    }

    ctx = render->ctx;
    api = ctx->conf->api;
    p = render->last;

    for (i = 0; i < n; i++) {

        if (render->items++ > 0) {
            *p++ = ',';
        }

        p = api->item(ctx, &items[i], p);
    }

    render->last = p;

    return EXPORTS_OK;
}


exports_rc_t
ngx_http_exports_render_end(ngx_http_exports_render_t *render,
    const exports_page_t *page)
{
    ngx_http_exports_ctx_t  *ctx;

    ctx = render->ctx;

    if (render->last == NULL
        && ngx_http_exports_render_begin(render, page, NULL) != NGX_OK)
    {
        return EXPORTS_NOMEM;
    }

    ngx_http_exports_render_learn(render);

    render->last = ctx->conf->api->foot(ctx, page, render->last);

    ctx->page->len = render->last - ctx->page->data;
    ctx->page->total = page->total;

    ngx_http_exports_render_finish(ctx);

    return EXPORTS_OK;
}


/*
 * Only now the length of the page is known, which decides whether it is kept.
 * One that will be compressed at once is not kept plain as well.  If the guess
 * was too high, memory is given back: it must neither count in the cache, nor
 * wait for a slow client
 */

static void
ngx_http_exports_render_finish(ngx_http_exports_ctx_t *ctx)
{
    size_t                    used, room;
    ngx_http_exports_page_t  *page;

    page = ctx->page;
    room = 0;

    if (page->key.len == 0
        || ngx_http_exports_gzip_takes(ctx, page->len)
        || !ngx_http_exports_cache_takes(ctx, 0, page->len))
    {
        page->key.len = 0;
        room = ngx_http_exports_tail_length(ctx);
    }

    used = page->data + page->len + room - (u_char *) page;

    if (page->key.len > 0
        || page->size - used > page->size / NGX_HTTP_EXPORTS_WASTE)
    {
        ngx_http_exports_guard_hold(1);
        ctx->page = ngx_http_exports_page_trim(page, room);
        ngx_http_exports_guard_hold(0);
    }
}


/* first: NULL, if there are no items */

static ngx_int_t
ngx_http_exports_render_begin(ngx_http_exports_render_t *render,
    const exports_page_t *page, const exports_item_t *first)
{
    size_t                         size;
    uint64_t                       left;
    ngx_http_exports_ctx_t        *ctx;
    const ngx_http_exports_api_t  *api;

    ctx = render->ctx;
    api = ctx->conf->api;

    render->expected = 0;
    size = 0;

    if (first != NULL) {
        left = page->total - ctx->offset;
        render->expected = ngx_min(left, render->limit);
        render->link = api->link_length(ctx);

        size = ngx_http_exports_item_size[api->index];
        size = ngx_max(first->json_len + 1U,
                       render->expected * (size + size / 16))
               + render->link;
    }

    if (ngx_http_exports_render_room(render, size) != NGX_OK) {
        return NGX_ERROR;
    }

    render->last = ngx_cpymem(render->last, api->head.data, api->head.len);
    render->end += api->head.len;

    return NGX_OK;
}


/*
 * Makes room for len more bytes of items: in a new page, to which what has been
 * written is copied.  There is room for the tail, too, so that a page that is
 * not kept is sent as one buffer.
 */

static ngx_int_t
ngx_http_exports_render_room(ngx_http_exports_render_t *render, size_t len)
{
    size_t                         size, used;
    ngx_http_exports_ctx_t        *ctx;
    ngx_http_exports_page_t       *page;
    const ngx_http_exports_api_t  *api;

    ctx = render->ctx;
    api = ctx->conf->api;

    used = render->last != NULL ? (size_t) (render->last - ctx->page->data)
                                : 0;
    size = used + len + api->length(ctx) + ngx_http_exports_tail_length(ctx);

    ngx_http_exports_guard_hold(1);

    page = ngx_http_exports_page_create(ctx, size,
                                        ngx_http_exports_cache_keeps(ctx));

    if (page != NULL && ctx->page != NULL) {
        ngx_memcpy(page->data, ctx->page->data, used);
        ngx_http_exports_page_release(ctx->page);
    }

    if (page != NULL) {
        ctx->page = page;
    }

    ngx_http_exports_guard_hold(0);

    if (page == NULL) {
        return NGX_ERROR;
    }

    render->last = page->data + used;
    render->end = render->last + len;

    return NGX_OK;
}


/* adapts to longer items at once, to shorter ones in a few pages */

static void
ngx_http_exports_render_learn(ngx_http_exports_render_t *render)
{
    size_t                         size, *expected;
    ngx_http_exports_ctx_t        *ctx;
    const ngx_http_exports_api_t  *api;

    if (render->items == 0) {
        return;
    }

    ctx = render->ctx;
    api = ctx->conf->api;

    size = (render->last - ctx->page->data - api->head.len) / render->items;
    expected = &ngx_http_exports_item_size[api->index];

    *expected = size > *expected ? size : *expected - (*expected - size) / 8;
}
