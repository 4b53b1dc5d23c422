
/* the pipeline of a list, the same for all APIs */

#include "ngx_http_exports_page.h"


typedef struct {
    ngx_http_exports_ctx_t   *ctx;
    ngx_http_exports_page_t  *found;    /* in the cache */
} ngx_http_exports_list_t;


static ngx_int_t ngx_http_exports_list_anonymous(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static exports_rc_t ngx_http_exports_list_read(exports_reader_t *reader,
    void *data);
static exports_rc_t ngx_http_exports_list_page(ngx_http_exports_list_t *list,
    exports_reader_t *reader);
static ngx_uint_t ngx_http_exports_list_empty(const exports_scope_t *scope);
static void ngx_http_exports_list_use(ngx_http_exports_list_t *list);
static void ngx_http_exports_list_compress(ngx_http_exports_list_t *list);
static void ngx_http_exports_log_unreadable(ngx_http_exports_ctx_t *ctx,
    const exports_page_t *page);


ngx_int_t
ngx_http_exports_list(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t                 rc;
    exports_rc_t              erc;
    ngx_http_exports_list_t   list;

    rc = ngx_http_exports_bearer(r, ctx);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_exports_list_anonymous(r, ctx);
    }

    if (ctx->conf->api->args(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->gzip = ngx_http_exports_gzip_ok(r, ctx->conf);

    list.ctx = ctx;
    list.found = NULL;

    rc = ngx_http_exports_store_read(ctx->conf->store, ngx_http_exports_log(r),
                                     ngx_http_exports_list_read, &list, &erc);
    if (rc != NGX_OK) {
        return ngx_http_exports_unavailable(r, ctx);
    }

    if (erc == EXPORTS_NOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (erc != EXPORTS_OK) {
        ctx->error = ngx_http_exports_error(NGX_HTTP_EXPORTS_UNREADABLE);

        if (!ctx->logged && ngx_http_exports_log_due(r, &ctx->scope)) {
            ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(r), 0,
                          "exports of \"%V\" cannot be read: %s",
                          &ctx->scope, exports_strerror(erc));
        }
    }

    if (ctx->error != NULL) {
        return ngx_http_exports_send_error(r, ctx, ctx->error);
    }

    if (!ctx->not_modified) {
        ngx_http_exports_list_use(&list);
    }

    return ngx_http_exports_send(r, ctx);
}


static ngx_int_t
ngx_http_exports_list_anonymous(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ctx->error =
        ngx_http_exports_error(NGX_HTTP_EXPORTS_MISSING_AUTHORIZATION);

    if (ctx->conf->api->account(r, ctx, NULL) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exports_send_error(r, ctx, ctx->error);
}


/* runs in one snapshot and under the guard, which may end it: see store.h */

static exports_rc_t
ngx_http_exports_list_read(exports_reader_t *reader, void *data)
{
    ngx_http_exports_list_t *list = data;

    exports_rc_t             rc;
    exports_token_t          token;
    const uint8_t           *lineage;
    ngx_http_request_t      *r;
    ngx_http_exports_ctx_t  *ctx;

    ctx = list->ctx;
    r = ctx->request;

    lineage = exports_reader_lineage(reader);

    rc = ngx_http_exports_authenticate(ctx, reader, &token);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    /* it locks zones, and a lock that is left would never be released */

    ngx_http_exports_guard_hold(1);

    rc = ctx->conf->api->account(r, ctx, lineage) == NGX_OK ? EXPORTS_OK
                                                            : EXPORTS_NOMEM;
    ngx_http_exports_guard_hold(0);

    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (ctx->error != NULL) {
        return EXPORTS_OK;
    }

    if (ctx->bad_args != NULL) {
        ctx->error = ctx->bad_args;
        return EXPORTS_OK;
    }

    if (ngx_http_exports_etag(r, ctx, lineage) != NGX_OK) {
        return EXPORTS_NOMEM;
    }

    if (ngx_http_exports_etag_matches(r, ctx)) {
        ctx->not_modified = 1;
        ctx->cache = NGX_HTTP_EXPORTS_CACHE_REVALIDATED;
        return EXPORTS_OK;
    }

    if (ctx->gzip) {
        list->found = ngx_http_exports_cache_find(ctx, 1);
    }

    if (list->found == NULL) {
        list->found = ngx_http_exports_cache_find(ctx, 0);
    }

    if (list->found != NULL) {
        return EXPORTS_OK;
    }

    return ngx_http_exports_list_page(list, reader);
}


static exports_rc_t
ngx_http_exports_list_page(ngx_http_exports_list_t *list,
    exports_reader_t *reader)
{
    exports_rc_t                   rc;
    exports_facet_t                lists[EXPORTS_LISTS_MAX];
    exports_page_query_t           query;
    ngx_http_exports_ctx_t        *ctx;
    ngx_http_exports_render_t      render;
    const ngx_http_exports_api_t  *api;

    /* 16 KB, static to spare the stack: unused once this function returns */

    static exports_page_t          page;

    ctx = list->ctx;
    api = ctx->conf->api;

    query.scope = ctx->found.id;
    query.kind = api->kind;
    query.lists = lists;
    query.offset = ctx->offset;
    query.limit = ctx->limit;
    query.counts = ctx->found.counts;

    ngx_http_exports_render_init(&render, ctx);

    if (ngx_http_exports_list_empty(&ctx->found)) {
        page.nitems = 0;
        page.total = 0;

        return ngx_http_exports_render_end(&render, &page);
    }

    api->lists(ctx, &query);

    rc = exports_page_visit(reader, &query, &page,
                            ngx_http_exports_render_items, &render);

    if (rc == EXPORTS_CORRUPT) {
        ngx_http_exports_guard_hold(1);
        ngx_http_exports_log_unreadable(ctx, &page);
        ngx_http_exports_guard_hold(0);

        ctx->logged = 1;
    }

    return rc == EXPORTS_OK ? ngx_http_exports_render_end(&render, &page) : rc;
}


/* then all its lists are, and need not be looked up */

static ngx_uint_t
ngx_http_exports_list_empty(const exports_scope_t *scope)
{
    ngx_uint_t  i;

    for (i = 0; i < EXPORTS_STATUSES; i++) {
        if (scope->counts[i] > 0) {
            return 0;
        }
    }

    return 1;
}


/* outside the guard: changes of the cache must not be interrupted */

static void
ngx_http_exports_list_use(ngx_http_exports_list_t *list)
{
    ngx_http_exports_ctx_t   *ctx;
    ngx_http_exports_page_t  *page;

    ctx = list->ctx;
    page = list->found != NULL ? list->found : ctx->page;

    ctx->total = page->total;
    ctx->has_total = 1;

    if (!page->gzip && ngx_http_exports_gzip_takes(ctx, page->len)) {
        ngx_http_exports_list_compress(list);
    }

    if (list->found != NULL) {
        ctx->cache = NGX_HTTP_EXPORTS_CACHE_HIT;
        ctx->page = list->found;
        ngx_http_exports_cache_use(ctx->page);
        return;
    }

    ctx->cache = ngx_http_exports_cache_keep(ctx, ctx->page) == NGX_OK
                     ? NGX_HTTP_EXPORTS_CACHE_MISS
                     : NGX_HTTP_EXPORTS_CACHE_BYPASS;
}


/* a page that cannot be compressed is sent as it is */

static void
ngx_http_exports_list_compress(ngx_http_exports_list_t *list)
{
    ngx_http_exports_ctx_t   *ctx;
    ngx_http_exports_page_t  *page;

    ctx = list->ctx;

    page = ngx_http_exports_gzip(ctx, list->found != NULL ? list->found
                                                          : ctx->page);
    if (page == NULL) {
        return;
    }

    if (ctx->page != NULL) {
        ngx_http_exports_page_release(ctx->page);
    }

    ctx->page = page;
    list->found = NULL;
}


static void
ngx_http_exports_log_unreadable(ngx_http_exports_ctx_t *ctx,
    const exports_page_t *page)
{
    u_char               key[2 * EXPORTS_MANIFEST_KEY_LEN];
    ngx_http_request_t  *r;

    r = ctx->request;

    if (!ngx_http_exports_log_due(r, &ctx->scope)) {
        return;
    }

    exports_hex((char *) key, page->bad_key, EXPORTS_MANIFEST_KEY_LEN);

    ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(r), 0,
                  "damaged record or index of exports of \"%V\", key %*s; "
                  "run \"exportsctl verify\"", &ctx->scope, sizeof(key), key);
}
