
/* the project exports API: what its list is called by and looks like */

#include "ngx_http_exports.h"


#define NGX_HTTP_EXPORTS_LIMIT      50
#define NGX_HTTP_EXPORTS_LIMIT_MAX  500


static ngx_int_t ngx_http_exports_project_args(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static void ngx_http_exports_project_lists(ngx_http_exports_ctx_t *ctx,
    exports_page_query_t *query);
static size_t ngx_http_exports_project_length(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const exports_page_t *page);
static u_char *ngx_http_exports_project_render(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const exports_page_t *page, u_char *p);
static u_char *ngx_http_exports_project_tail(ngx_http_exports_ctx_t *ctx,
    u_char *p);
static ngx_buf_t *ngx_http_exports_project_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err);
static ngx_int_t ngx_http_exports_project_status(ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_arg_t *arg);


#define NGX_HTTP_EXPORTS_HEAD     "{\"ok\":true,\"data\":{\"exports\":["
#define NGX_HTTP_EXPORTS_TOTAL    "],\"total\":"
#define NGX_HTTP_EXPORTS_LIMITED  ",\"limit\":"
#define NGX_HTTP_EXPORTS_FROM     ",\"offset\":"
#define NGX_HTTP_EXPORTS_END      "},\"error\":null"

#define NGX_HTTP_EXPORTS_ID       ",\"request_id\":\""
#define NGX_HTTP_EXPORTS_META     "\",\"meta\":{\"generated_at\":\""
#define NGX_HTTP_EXPORTS_CLOSE    "\"}}"

#define NGX_HTTP_EXPORTS_CODE     "{\"ok\":false,\"data\":null,"               \
                                  "\"error\":{\"code\":\""
#define NGX_HTTP_EXPORTS_MESSAGE  "\",\"message\":\""

#define NGX_HTTP_EXPORTS_TAIL_LEN                                             \
    (sizeof(NGX_HTTP_EXPORTS_ID NGX_HTTP_EXPORTS_META                         \
            NGX_HTTP_EXPORTS_CLOSE) - 1                                       \
     + NGX_HTTP_EXPORTS_REQUEST_ID_LEN + sizeof("2026-06-02T01:23:45Z") - 1)

#define ngx_http_exports_cpylit(p, literal)                                   \
    ngx_cpymem(p, literal, sizeof(literal) - 1)


const ngx_http_exports_api_t  ngx_http_exports_project = {
    ngx_string("project"),
    EXPORTS_PROJECT,
    ngx_string("\\A([a-z0-9_-]{1,128})/exports\\z"),
    ngx_http_exports_project_args,
    ngx_http_exports_project_lists,
    ngx_http_exports_project_length,
    ngx_http_exports_project_render,
    ngx_http_exports_project_error
};


/* of a repeated argument the last counts; errors in a fixed order */

static ngx_int_t
ngx_http_exports_project_args(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    uint64_t                  limit;
    ngx_uint_t                i;
    ngx_array_t               args;
    ngx_http_exports_arg_t   *arg, *status, *limited, *from;

    ctx->limit = NGX_HTTP_EXPORTS_LIMIT;

    if (r->args.len == 0) {
        return NGX_OK;
    }

    if (ngx_array_init(&args, r->pool, 4, sizeof(ngx_http_exports_arg_t))
        != NGX_OK
        || ngx_http_exports_args(r, &args) != NGX_OK)
    {
        return NGX_ERROR;
    }

    status = NULL;
    limited = NULL;
    from = NULL;

    arg = args.elts;

    for (i = 0; i < args.nelts; i++) {

        if (arg[i].name.len == 6
            && ngx_strncmp(arg[i].name.data, "status", 6) == 0)
        {
            status = &arg[i];

        } else if (arg[i].name.len == 5
                   && ngx_strncmp(arg[i].name.data, "limit", 5) == 0)
        {
            limited = &arg[i];

        } else if (arg[i].name.len == 6
                   && ngx_strncmp(arg[i].name.data, "offset", 6) == 0)
        {
            from = &arg[i];
        }
    }

    if (status != NULL && ngx_http_exports_project_status(ctx, status) != NGX_OK)
    {
        ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_STATUS);
        return NGX_OK;
    }

    if (limited != NULL) {

        if (ngx_http_exports_arg_number(limited, &limit) != NGX_OK
            || limit < 1 || limit > NGX_HTTP_EXPORTS_LIMIT_MAX)
        {
            ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_LIMIT);
            return NGX_OK;
        }

        ctx->limit = limit;
    }

    if (from != NULL
        && ngx_http_exports_arg_number(from, &ctx->offset) != NGX_OK)
    {
        ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_OFFSET);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "exports statuses:%uxD limit:%ui offset:%uL",
                   ctx->statuses, ctx->limit, ctx->offset);

    return NGX_OK;
}


static void
ngx_http_exports_project_lists(ngx_http_exports_ctx_t *ctx,
    exports_page_query_t *query)
{
    exports_facet_t   *list;
    exports_facets_t   values;

    list = (exports_facet_t *) query->lists;
    query->nlists = 1;

    if (ctx->statuses == 0) {
        exports_facet_key(list, query->scope, EXPORTS_FACET_ALL, NULL);
        return;
    }

    values.status = ctx->statuses == 1U << EXPORTS_STATUS_READY
                        ? EXPORTS_STATUS_READY : EXPORTS_STATUS_NOT_FOUND;

    exports_facet_key(list, query->scope, EXPORTS_FACET_STATUS, &values);
}


static size_t
ngx_http_exports_project_length(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const exports_page_t *page)
{
    size_t      len;
    ngx_uint_t  i;

    len = sizeof(NGX_HTTP_EXPORTS_HEAD NGX_HTTP_EXPORTS_TOTAL
                 NGX_HTTP_EXPORTS_LIMITED NGX_HTTP_EXPORTS_FROM
                 NGX_HTTP_EXPORTS_END) - 1
          + 3 * NGX_INT64_LEN
          + NGX_HTTP_EXPORTS_TAIL_LEN
          + page->nitems * (ctx->conf->link.len + 1);

    for (i = 0; i < page->nitems; i++) {
        len += page->items[i].json_len;
    }

    return len;
}


static u_char *
ngx_http_exports_project_render(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const exports_page_t *page, u_char *p)
{
    ngx_str_t             *link;
    ngx_uint_t             i;
    const exports_item_t  *item;

    link = &ctx->conf->link;

    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_HEAD);

    for (i = 0; i < page->nitems; i++) {
        item = &page->items[i];

        if (i > 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, item->json, item->link_pos);
        p = ngx_cpymem(p, link->data, link->len);
        p = ngx_cpymem(p, item->json + item->link_pos,
                       item->json_len - item->link_pos);
    }

    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_TOTAL);
    p = ngx_sprintf(p, "%uL", page->total);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_LIMITED);
    p = ngx_sprintf(p, "%ui", ctx->limit);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_FROM);
    p = ngx_sprintf(p, "%uL", ctx->offset);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_END);

    return ngx_http_exports_project_tail(ctx, p);
}


/* what every answer ends with */

static u_char *
ngx_http_exports_project_tail(ngx_http_exports_ctx_t *ctx, u_char *p)
{
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_ID);
    p = ngx_cpymem(p, ctx->request_id, NGX_HTTP_EXPORTS_REQUEST_ID_LEN);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_META);
    p = ngx_http_exports_timestamp(p, ctx->now);

    return ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_CLOSE);
}


static ngx_buf_t *
ngx_http_exports_project_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err)
{
    size_t      len;
    u_char     *p;
    ngx_buf_t  *b;

    len = sizeof(NGX_HTTP_EXPORTS_CODE NGX_HTTP_EXPORTS_MESSAGE "\"}") - 1
          + err->code.len + err->message.len + NGX_HTTP_EXPORTS_TAIL_LEN;

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    p = ngx_http_exports_cpylit(b->last, NGX_HTTP_EXPORTS_CODE);
    p = ngx_cpymem(p, err->code.data, err->code.len);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_MESSAGE);
    p = ngx_cpymem(p, err->message.data, err->message.len);
    p = ngx_http_exports_cpylit(p, "\"}");

    b->last = ngx_http_exports_project_tail(ctx, p);

    return b;
}


static ngx_int_t
ngx_http_exports_project_status(ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_arg_t *arg)
{
    unsigned  status;

    if (arg->bad) {
        return NGX_ERROR;
    }

    if (arg->value.len == 3 && ngx_strncmp(arg->value.data, "all", 3) == 0) {
        return NGX_OK;
    }

    status = exports_status_parse(EXPORTS_PROJECT, (char *) arg->value.data,
                                  arg->value.len);
    if (status == 0) {
        return NGX_ERROR;
    }

    ctx->statuses = 1U << status;

    return NGX_OK;
}
