
/* the user exports API: the lists that its filters select, links and JSON */

#include "ngx_http_exports_user.h"


static ngx_int_t ngx_http_exports_user_account(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const uint8_t *lineage);
static void ngx_http_exports_user_parts(ngx_http_exports_ctx_t *ctx,
    ngx_str_t *parts);
static void ngx_http_exports_user_lists(ngx_http_exports_ctx_t *ctx,
    exports_page_query_t *query);
static void ngx_http_exports_user_hashes(ngx_http_exports_user_args_t *ua,
    uint8_t (*hashes)[EXPORTS_HASH_LEN]);
static ngx_uint_t ngx_http_exports_user_types(
    ngx_http_exports_user_args_t *ua, uint8_t (*hashes)[EXPORTS_HASH_LEN],
    exports_facet_t *lists, ngx_uint_t n, uint64_t scope, ngx_uint_t facet,
    exports_facets_t *values);
static size_t ngx_http_exports_user_length(ngx_http_exports_ctx_t *ctx);
static size_t ngx_http_exports_user_link_length(ngx_http_exports_ctx_t *ctx);
static u_char *ngx_http_exports_user_foot(ngx_http_exports_ctx_t *ctx,
    const exports_page_t *page, u_char *p);
static u_char *ngx_http_exports_user_item(ngx_http_exports_ctx_t *ctx,
    const exports_item_t *item, u_char *p);
static u_char *ngx_http_exports_user_link(ngx_http_exports_ctx_t *ctx,
    const exports_item_t *item, u_char *p);
static u_char *ngx_http_exports_user_page_url(u_char *p,
    ngx_http_exports_user_args_t *ua, uint64_t page);
static u_char *ngx_http_exports_user_number(u_char *p, ngx_uint_t shown,
    uint64_t number);
static ngx_buf_t *ngx_http_exports_user_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err);


#define NGX_HTTP_EXPORTS_JSON_DATA       "{\"data\":["
#define NGX_HTTP_EXPORTS_JSON_FIRST      "],\"links\":{\"first\":"
#define NGX_HTTP_EXPORTS_JSON_PREV       ",\"last\":null,\"prev\":"
#define NGX_HTTP_EXPORTS_JSON_NEXT       ",\"next\":"
#define NGX_HTTP_EXPORTS_JSON_CURRENT    "},\"meta\":{\"current_page\":"
#define NGX_HTTP_EXPORTS_JSON_FROM       ",\"from\":"
#define NGX_HTTP_EXPORTS_JSON_PATH       ",\"path\":\""
#define NGX_HTTP_EXPORTS_JSON_PER_PAGE   "\",\"per_page\":"
#define NGX_HTTP_EXPORTS_JSON_TO         ",\"to\":"
#define NGX_HTTP_EXPORTS_JSON_DONE       "}}"

/* "?", then the query, then "page=" and a number, in quotes */
#define NGX_HTTP_EXPORTS_URL_LEN    (sizeof("\"?page=\"") + NGX_INT64_LEN)


const ngx_http_exports_api_t  ngx_http_exports_user = {
    .name = ngx_string("user"),
    .kind = EXPORTS_USER,
    .index = NGX_HTTP_EXPORTS_API_USER,
    .pattern = ngx_string("\\A(?:/([A-Za-z0-9-]{1,64})/download)?\\z"),
    .scope_capture = 0,
    .id_capture = 1,
    .args = ngx_http_exports_user_args,
    .account = ngx_http_exports_user_account,
    .parts = ngx_http_exports_user_parts,
    .lists = ngx_http_exports_user_lists,
    .permit = NULL,
    .beyond = 1,
    .head = ngx_string(NGX_HTTP_EXPORTS_JSON_DATA),
    .length = ngx_http_exports_user_length,
    .link_length = ngx_http_exports_user_link_length,
    .item = ngx_http_exports_user_item,
    .foot = ngx_http_exports_user_foot,
    .tail_length = NULL,
    .tail = NULL,
    .error = ngx_http_exports_user_error
};


/* 429 precedes 401: without a valid token the address is counted */

static ngx_int_t
ngx_http_exports_user_account(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const uint8_t *lineage)
{
    ngx_http_exports_rate(r, ctx, ctx->error == NULL ? ctx->found.id : 0,
                          lineage);

    if (ctx->rate.retry_after > 0) {
        ctx->error =
            ngx_http_exports_error(NGX_HTTP_EXPORTS_TOO_MANY_ATTEMPTS);
    }

    return NGX_OK;
}


/* the page number, too: offsets beyond 63 bits are all cut to the same one */

static void
ngx_http_exports_user_parts(ngx_http_exports_ctx_t *ctx, ngx_str_t *parts)
{
    ngx_http_exports_user_args_t   *ua;

    ua = ctx->args;

    parts[0] = ua->url;
    parts[1] = ua->query;
    parts[2].data = (u_char *) &ua->page;
    parts[2].len = sizeof(uint64_t);
}


/*
 * A list for each combination of status and type, 64 at most, as user_args.c
 * has seen to.  They come in the order of their keys: so they are found fastest
 */

static void
ngx_http_exports_user_lists(ngx_http_exports_ctx_t *ctx,
    exports_page_query_t *query)
{
    uint8_t                         hashes[EXPORTS_LISTS_MAX][EXPORTS_HASH_LEN];
    uint32_t                        statuses;
    unsigned                        status;
    ngx_uint_t                      n, facet;
    exports_facet_t                *lists;
    exports_facets_t                values;
    ngx_http_exports_user_args_t   *ua;

    ua = ctx->args;
    lists = (exports_facet_t *) query->lists;
    facet = ua->given;

    ngx_memzero(&values, sizeof(exports_facets_t));

    values.subject_id = ua->subject_id;

    if (facet & EXPORTS_FACET_SUBJECT_TYPE) {
        (void) exports_hash(values.subject_type,
                            (char *) ua->subject_type.data,
                            ua->subject_type.len);
    }

    ngx_http_exports_user_hashes(ua, hashes);

    statuses = ua->statuses;

    if (statuses == NGX_HTTP_EXPORTS_ALL_STATUSES) {
        facet &= ~EXPORTS_FACET_STATUS;
    }

    /* a status that is not fixed: one round, with any value */

    if ((facet & EXPORTS_FACET_STATUS) == 0) {
        statuses = 1;
    }

    for (n = 0, status = 0; statuses >> status; status++) {
        if (statuses & (1U << status)) {
            values.status = (uint8_t) status;
            n = ngx_http_exports_user_types(ua, hashes, lists, n,
                                            query->scope, facet, &values);
        }
    }

    query->nlists = (unsigned) n;
}


/* the hashes of the types, made once for all statuses.  Sorted by their first
   halves: for speed only, so equal halves do no harm */

static void
ngx_http_exports_user_hashes(ngx_http_exports_user_args_t *ua,
    uint8_t (*hashes)[EXPORTS_HASH_LEN])
{
    uint8_t     hash[EXPORTS_HASH_LEN];
    ngx_uint_t  i, n;

    for (n = 0; n < ua->ntypes; n++) {
        (void) exports_hash(hash, (char *) ua->types[n].data,
                            ua->types[n].len);

        for (i = n;
             i > 0 && exports_get64(hashes[i - 1]) > exports_get64(hash);
             i--)
        {
            ngx_memcpy(hashes[i], hashes[i - 1], EXPORTS_HASH_LEN);
        }

        ngx_memcpy(hashes[i], hash, EXPORTS_HASH_LEN);
    }
}


/* adds the lists of one status after the first n; returns their number */

static ngx_uint_t
ngx_http_exports_user_types(ngx_http_exports_user_args_t *ua,
    uint8_t (*hashes)[EXPORTS_HASH_LEN], exports_facet_t *lists, ngx_uint_t n,
    uint64_t scope, ngx_uint_t facet, exports_facets_t *values)
{
    ngx_uint_t  i;

    if ((facet & EXPORTS_FACET_TYPE) == 0) {
        exports_facet_key(&lists[n], scope, facet, values);
        return n + 1;
    }

    for (i = 0; i < ua->ntypes; i++) {
        ngx_memcpy(values->type, hashes[i], EXPORTS_HASH_LEN);
        exports_facet_key(&lists[n++], scope, facet, values);
    }

    return n;
}


static size_t
ngx_http_exports_user_length(ngx_http_exports_ctx_t *ctx)
{
    ngx_http_exports_user_args_t   *ua;

    ua = ctx->args;

    return sizeof(NGX_HTTP_EXPORTS_JSON_DATA NGX_HTTP_EXPORTS_JSON_FIRST
                  NGX_HTTP_EXPORTS_JSON_PREV NGX_HTTP_EXPORTS_JSON_NEXT
                  NGX_HTTP_EXPORTS_JSON_CURRENT NGX_HTTP_EXPORTS_JSON_FROM
                  NGX_HTTP_EXPORTS_JSON_PATH NGX_HTTP_EXPORTS_JSON_PER_PAGE
                  NGX_HTTP_EXPORTS_JSON_TO NGX_HTTP_EXPORTS_JSON_DONE)
           + 3 * (ua->url.len + ua->query.len + NGX_HTTP_EXPORTS_URL_LEN)
           + ua->url.len + 4 * NGX_INT64_LEN;
}


static size_t
ngx_http_exports_user_link_length(ngx_http_exports_ctx_t *ctx)
{
    ngx_http_exports_user_args_t   *ua;

    ua = ctx->args;

    return ua->url.len + 1 + EXPORTS_ID_MAX + ua->expiry.len
           + sizeof(NGX_HTTP_EXPORTS_SIGNATURE)
           + NGX_HTTP_EXPORTS_SIGNATURE_LEN;
}


static u_char *
ngx_http_exports_user_item(ngx_http_exports_ctx_t *ctx,
    const exports_item_t *item, u_char *p)
{
    if ((item->flags & EXPORTS_RECORD_LINK) == 0) {
        return ngx_cpymem(p, item->json, item->json_len);
    }

    p = ngx_cpymem(p, item->json, item->link_pos);

    p = ngx_http_exports_user_link(ctx, item, p);

    return ngx_cpymem(p, item->json + item->link_pos,
                      item->json_len - item->link_pos);
}


/*
 * The copy that was just written is signed, not the bytes in the map: a fault
 * of the map must not happen inside libcrypto
 */

static u_char *
ngx_http_exports_user_link(ngx_http_exports_ctx_t *ctx,
    const exports_item_t *item, u_char *p)
{
    size_t                          len;
    u_char                         *path;
    ngx_http_exports_user_args_t   *ua;

    ua = ctx->args;

    path = p + ua->url.len - ctx->conf->link.len;

    p = ngx_cpymem(p, ua->url.data, ua->url.len);
    *p++ = '/';
    p = ngx_cpymem(p, item->id.data, item->id.len);
    p = ngx_cpymem(p, ua->expiry.data, ua->expiry.len);

    len = p - path;
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_SIGNATURE);

    ngx_http_exports_sign(ctx->conf, path, len, p);

    return p + NGX_HTTP_EXPORTS_SIGNATURE_LEN;
}


static u_char *
ngx_http_exports_user_foot(ngx_http_exports_ctx_t *ctx,
    const exports_page_t *page, u_char *p)
{
    ngx_uint_t                      n, more;
    ngx_http_exports_user_args_t   *ua;

    ua = ctx->args;

    more = page->nitems > ua->per_page;
    n = more ? ua->per_page : page->nitems;

    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_FIRST);
    p = ngx_http_exports_user_page_url(p, ua, 1);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_PREV);
    p = ngx_http_exports_user_page_url(p, ua, ua->page - 1);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_NEXT);
    p = ngx_http_exports_user_page_url(p, ua, more ? ua->page + 1 : 0);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_CURRENT);
    p = ngx_http_exports_user_number(p, 1, ua->page);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_FROM);
    p = ngx_http_exports_user_number(p, n > 0, ctx->offset + 1);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_PATH);
    p = ngx_cpymem(p, ua->url.data, ua->url.len);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_PER_PAGE);
    p = ngx_http_exports_user_number(p, 1, ua->per_page);
    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_TO);
    p = ngx_http_exports_user_number(p, n > 0, ctx->offset + n);

    return ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_DONE);
}


/* page 0: null */

static u_char *
ngx_http_exports_user_page_url(u_char *p, ngx_http_exports_user_args_t *ua,
    uint64_t page)
{
    if (page == 0) {
        return ngx_http_exports_cpylit(p, "null");
    }

    return ngx_sprintf(p, "\"%V?%Vpage=%uL\"", &ua->url, &ua->query, page);
}


static u_char *
ngx_http_exports_user_number(u_char *p, ngx_uint_t shown, uint64_t number)
{
    return shown ? ngx_sprintf(p, "%uL", number)
                 : ngx_http_exports_cpylit(p, "null");
}


static ngx_buf_t *
ngx_http_exports_user_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err)
{
    u_char                         *p;
    ngx_buf_t                      *b;
    ngx_str_t                       message;
    ngx_http_exports_user_args_t   *ua;

    ua = ctx->args;
    message = err->user_message.len > 0 ? err->user_message : err->message;

    if (err == ctx->bad_args) {

        if (ua->errors_len > 0) {
            return ngx_http_exports_user_errors(r, ua);
        }

        message = ua->message;
    }

    b = ngx_create_temp_buf(r->pool, sizeof("{\"message\":\"\"}") - 1
                                     + message.len);
    if (b == NULL) {
        return NULL;
    }

    p = ngx_http_exports_cpylit(b->last, "{\"message\":\"");
    p = ngx_cpymem(p, message.data, message.len);
    b->last = ngx_http_exports_cpylit(p, "\"}");

    return b;
}
