
/* the project exports API: its arguments, lists, permissions and JSON */

#include "ngx_http_exports.h"


#define NGX_HTTP_EXPORTS_LIMIT      50
#define NGX_HTTP_EXPORTS_LIMIT_MAX  500


static ngx_int_t ngx_http_exports_project_args(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_project_account(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const uint8_t *lineage);
static ngx_http_exports_reason_e ngx_http_exports_project_permit(
    const exports_token_t *token, const exports_record_t *record);
static void ngx_http_exports_project_lists(ngx_http_exports_ctx_t *ctx,
    exports_page_query_t *query);
static size_t ngx_http_exports_project_length(ngx_http_exports_ctx_t *ctx);
static size_t ngx_http_exports_project_link_length(
    ngx_http_exports_ctx_t *ctx);
static u_char *ngx_http_exports_project_item(ngx_http_exports_ctx_t *ctx,
    const exports_item_t *item, u_char *p);
static u_char *ngx_http_exports_project_foot(ngx_http_exports_ctx_t *ctx,
    const exports_page_t *page, u_char *p);
static u_char *ngx_http_exports_project_tail(ngx_http_exports_ctx_t *ctx,
    u_char *p);
static size_t ngx_http_exports_project_tail_length(
    ngx_http_exports_ctx_t *ctx);
static u_char *ngx_http_exports_project_string(u_char *p, const ngx_str_t *s);
static ngx_buf_t *ngx_http_exports_project_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err);
static ngx_int_t ngx_http_exports_project_status(ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_arg_t *arg);
static ngx_int_t ngx_http_exports_project_limit(ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_arg_t *arg);


#define NGX_HTTP_EXPORTS_JSON_HEAD     "{\"ok\":true,\"data\":{\"exports\":["
#define NGX_HTTP_EXPORTS_JSON_TOTAL    "],\"total\":"
#define NGX_HTTP_EXPORTS_JSON_LIMITED  ",\"limit\":"
#define NGX_HTTP_EXPORTS_JSON_FROM     ",\"offset\":"
#define NGX_HTTP_EXPORTS_JSON_END      "},\"error\":null"

#define NGX_HTTP_EXPORTS_JSON_ID       ",\"request_id\":\""
#define NGX_HTTP_EXPORTS_JSON_META     ",\"meta\":{\"generated_at\":\""
#define NGX_HTTP_EXPORTS_JSON_CLOSE    "\"}}"

#define NGX_HTTP_EXPORTS_JSON_OPERATION_KEY  ",\"operation_key\":"
#define NGX_HTTP_EXPORTS_JSON_OPERATION_RUN  ",\"operation_run_id\":"
#define NGX_HTTP_EXPORTS_JSON_GROUPING       ",\"operation_grouping_status\":"

#define NGX_HTTP_EXPORTS_JSON_CODE                                            \
    "{\"ok\":false,\"data\":null,\"error\":{\"code\":\""
#define NGX_HTTP_EXPORTS_JSON_MESSAGE  "\",\"message\":\""

#define NGX_HTTP_EXPORTS_TAIL_LEN                                             \
    (sizeof(NGX_HTTP_EXPORTS_JSON_ID NGX_HTTP_EXPORTS_JSON_META               \
            NGX_HTTP_EXPORTS_JSON_CLOSE "\"") - 1                             \
     + NGX_HTTP_EXPORTS_REQUEST_ID_LEN + sizeof("2026-06-02T01:23:45Z") - 1)


const ngx_http_exports_api_t  ngx_http_exports_project = {
    .name = ngx_string("project"),
    .kind = EXPORTS_PROJECT,
    .index = NGX_HTTP_EXPORTS_API_PROJECT,
    .pattern =
        ngx_string("\\A/([a-z0-9_-]{1,128})/"
                   "(?:exports|export/download/(exp_[A-Za-z0-9_-]{1,124}))\\z"),
    .scope_capture = 1,
    .id_capture = 2,
    .args = ngx_http_exports_project_args,
    .account = ngx_http_exports_project_account,
    .parts = NULL,
    .lists = ngx_http_exports_project_lists,
    .permit = ngx_http_exports_project_permit,
    .beyond = 0,
    .head = ngx_string(NGX_HTTP_EXPORTS_JSON_HEAD),
    .length = ngx_http_exports_project_length,
    .link_length = ngx_http_exports_project_link_length,
    .item = ngx_http_exports_project_item,
    .foot = ngx_http_exports_project_foot,
    .tail_length = ngx_http_exports_project_tail_length,
    .tail = ngx_http_exports_project_tail,
    .error = ngx_http_exports_project_error
};


static ngx_str_t  ngx_http_exports_groupings[] = {
    [NGX_HTTP_EXPORTS_NO_OPERATION] = ngx_null_string,
    [NGX_HTTP_EXPORTS_ACCEPTED_PROVIDED_RUN] =
        ngx_string("accepted_provided_run"),
    [NGX_HTTP_EXPORTS_RENEWED_AFTER_IDLE] = ngx_string("renewed_after_idle"),
    [NGX_HTTP_EXPORTS_GENERATED_RUN] = ngx_string("generated_run"),
    [NGX_HTTP_EXPORTS_CONTINUED_RUN] = ngx_string("continued_run"),
    [NGX_HTTP_EXPORTS_REJECTED_INVALID] = ngx_string("rejected_invalid")
};


/* the last of repeated arguments counts; errors have a fixed order */

static ngx_int_t
ngx_http_exports_project_args(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_uint_t                i;
    ngx_array_t               args;
    ngx_http_exports_arg_t   *arg, *status, *limit, *offset;

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
    limit = NULL;
    offset = NULL;

    arg = args.elts;

    for (i = 0; i < args.nelts; i++) {

        if (ngx_http_exports_arg_is(&arg[i], "status")) {
            status = &arg[i];

        } else if (ngx_http_exports_arg_is(&arg[i], "limit")) {
            limit = &arg[i];

        } else if (ngx_http_exports_arg_is(&arg[i], "offset")) {
            offset = &arg[i];
        }
    }

    if (status != NULL
        && ngx_http_exports_project_status(ctx, status) != NGX_OK)
    {
        ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_STATUS);
        return NGX_OK;
    }

    if (limit != NULL && ngx_http_exports_project_limit(ctx, limit) != NGX_OK) {
        ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_LIMIT);
        return NGX_OK;
    }

    if (offset != NULL
        && ngx_http_exports_arg_number(offset, &ctx->offset) != NGX_OK)
    {
        ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_OFFSET);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "exports statuses:%uxD limit:%ui offset:%uL",
                   ctx->statuses, ctx->limit, ctx->offset);

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_project_account(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const uint8_t *lineage)
{
    return ctx->error == NULL ? ngx_http_exports_operation(r, ctx) : NGX_OK;
}


static ngx_http_exports_reason_e
ngx_http_exports_project_permit(const exports_token_t *token,
    const exports_record_t *record)
{
    unsigned  i;

    if (token->flags & EXPORTS_TOKEN_ADMIN) {
        return NGX_HTTP_EXPORTS_NO_ERROR;
    }

    if (record->item.export_kind != EXPORTS_TABLE_EXPORT) {
        return NGX_HTTP_EXPORTS_NEEDS_ADMIN;
    }

    if ((token->flags & EXPORTS_TOKEN_TABLES) == 0) {
        return NGX_HTTP_EXPORTS_NO_ERROR;
    }

    for (i = 0; i < token->ntables; i++) {
        if (token->tables[i].len == record->group.len
            && ngx_memcmp(token->tables[i].data, record->group.data,
                          record->group.len)
               == 0)
        {
            return NGX_HTTP_EXPORTS_NO_ERROR;
        }
    }

    return NGX_HTTP_EXPORTS_NEEDS_TABLE;
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
ngx_http_exports_project_length(ngx_http_exports_ctx_t *ctx)
{
    return sizeof(NGX_HTTP_EXPORTS_JSON_HEAD NGX_HTTP_EXPORTS_JSON_TOTAL
                  NGX_HTTP_EXPORTS_JSON_LIMITED NGX_HTTP_EXPORTS_JSON_FROM
                  NGX_HTTP_EXPORTS_JSON_END) - 1
           + 3 * EXPORTS_DECIMAL_MAX;
}


static size_t
ngx_http_exports_project_link_length(ngx_http_exports_ctx_t *ctx)
{
    return ctx->conf->link.len + 1;
}


static u_char *
ngx_http_exports_project_item(ngx_http_exports_ctx_t *ctx,
    const exports_item_t *item, u_char *p)
{
    ngx_str_t  *link;

    link = &ctx->conf->link;

    p = ngx_cpymem(p, item->json, item->link_pos);
    p = ngx_cpymem(p, link->data, link->len);
    *p++ = '/';

    return ngx_cpymem(p, item->json + item->link_pos,
                      item->json_len - item->link_pos);
}


static u_char *
ngx_http_exports_project_foot(ngx_http_exports_ctx_t *ctx,
    const exports_page_t *page, u_char *p)
{
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_TOTAL);
    p += exports_decimal((char *) p, page->total);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_LIMITED);
    p += exports_decimal((char *) p, ctx->limit);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_FROM);
    p += exports_decimal((char *) p, ctx->offset);

    return ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_END);
}


/* what every answer ends with, errors too */

static u_char *
ngx_http_exports_project_tail(ngx_http_exports_ctx_t *ctx, u_char *p)
{
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_ID);
    p = ngx_cpymem(p, ctx->request_id, NGX_HTTP_EXPORTS_REQUEST_ID_LEN);
    *p++ = '"';

    if (ctx->operation.grouping != NGX_HTTP_EXPORTS_NO_OPERATION) {
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_OPERATION_KEY);
        p = ngx_http_exports_project_string(p, &ctx->operation.key);
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_OPERATION_RUN);
        p = ngx_http_exports_project_string(p, &ctx->operation.run);
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_GROUPING);
        p = ngx_http_exports_project_string(p,
                    &ngx_http_exports_groupings[ctx->operation.grouping]);
    }

    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_META);
    p = ngx_http_exports_timestamp(p, ctx->now);

    return ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_CLOSE);
}


static size_t
ngx_http_exports_project_tail_length(ngx_http_exports_ctx_t *ctx)
{
    size_t  len;

    len = NGX_HTTP_EXPORTS_TAIL_LEN;

    if (ctx->operation.grouping != NGX_HTTP_EXPORTS_NO_OPERATION) {
        len += sizeof(NGX_HTTP_EXPORTS_JSON_OPERATION_KEY
                      NGX_HTTP_EXPORTS_JSON_OPERATION_RUN
                      NGX_HTTP_EXPORTS_JSON_GROUPING) - 1
               + 3 * sizeof("null") + ctx->operation.key.len
               + ctx->operation.run.len
               + ngx_http_exports_groupings[ctx->operation.grouping].len;
    }

    return len;
}


/* the alphabets of keys and runs need no escaping; empty: null */

static u_char *
ngx_http_exports_project_string(u_char *p, const ngx_str_t *s)
{
    if (s->len == 0) {
        return ngx_http_exports_cpylit(p, "null");
    }

    *p++ = '"';
    p = ngx_cpymem(p, s->data, s->len);
    *p++ = '"';

    return p;
}


static ngx_buf_t *
ngx_http_exports_project_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err)
{
    size_t      len;
    u_char     *p;
    ngx_buf_t  *b;

    len = sizeof(NGX_HTTP_EXPORTS_JSON_CODE
                 NGX_HTTP_EXPORTS_JSON_MESSAGE "\"}") - 1
          + err->code.len + err->message.len
          + ngx_http_exports_project_tail_length(ctx);

    b = ngx_create_temp_buf(r->pool, len);
    if (b == NULL) {
        return NULL;
    }

    p = ngx_http_exports_cpylit(b->last, NGX_HTTP_EXPORTS_JSON_CODE);
    p = ngx_cpymem(p, err->code.data, err->code.len);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_MESSAGE);
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


static ngx_int_t
ngx_http_exports_project_limit(ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_arg_t *arg)
{
    uint64_t  limit;

    if (ngx_http_exports_arg_number(arg, &limit) != NGX_OK
        || limit < 1 || limit > NGX_HTTP_EXPORTS_LIMIT_MAX)
    {
        return NGX_ERROR;
    }

    ctx->limit = limit;

    return NGX_OK;
}
