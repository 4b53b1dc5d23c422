
/* what a page depends on: its key in the cache, its version, its ETag */

#include "ngx_http_exports.h"

#include <xxhash.h>


/* the scope, the links, and what an API adds */
#define NGX_HTTP_EXPORTS_ETAG_PARTS  (2 + NGX_HTTP_EXPORTS_PARTS)


/* what a key begins with; the strings of these lengths follow.  Hashed as it
   is, so it must not have padding */

typedef struct {
    uint8_t        lineage[EXPORTS_LINEAGE_LEN];
    uint64_t       signer;
    uint64_t       limit;
    uint64_t       offset;
    uint32_t       statuses;
    uint32_t       rendering;
    uint32_t       kind;
    uint32_t       lengths[NGX_HTTP_EXPORTS_ETAG_PARTS];
} ngx_http_exports_key_t;

_Static_assert(sizeof(ngx_http_exports_key_t)
               == EXPORTS_LINEAGE_LEN + 3 * sizeof(uint64_t)
                  + (3 + NGX_HTTP_EXPORTS_ETAG_PARTS) * sizeof(uint32_t),
               "no padding");

typedef struct {
    XXH128_hash_t  key;
    uint64_t       revision;
    uint64_t       expires;
} ngx_http_exports_validator_t;


static ngx_int_t ngx_http_exports_key(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const uint8_t *lineage);
static ngx_uint_t ngx_http_exports_etag_listed(u_char *p, u_char *last,
    u_char *etag);


/*
 * Runs under the guard.  The token is not in the key, for all tokens of a scope
 * see the same list; nor is anything of the machine, for replicas must give the
 * same ETag
 */

ngx_int_t
ngx_http_exports_etag(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx,
    const uint8_t *lineage)
{
    u_char                          bytes[16];
    XXH128_hash_t                   hash;
    ngx_http_exports_validator_t    v;

    if (ngx_http_exports_key(r, ctx, lineage) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->version.store = ngx_http_exports_store_serial(ctx->conf->store);
    ctx->version.revision = ctx->found.revision;

    v.key = XXH3_128bits(ctx->key.data, ctx->key.len);
    v.revision = ctx->version.revision;
    v.expires = ctx->version.expires;

    ctx->hash = v.key.low64;

    hash = XXH3_128bits(&v, sizeof(v));

    exports_put64(bytes, hash.high64);
    exports_put64(bytes + 8, hash.low64);

    ngx_memcpy(ctx->etag, "W/\"", 3);
    exports_hex((char *) ctx->etag + 3, bytes, sizeof(bytes));
    ctx->etag[NGX_HTTP_EXPORTS_ETAG_LEN - 1] = '"';

    return NGX_OK;
}


/* all that a page depends on, but the version: a newer one replaces it */

static ngx_int_t
ngx_http_exports_key(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx,
    const uint8_t *lineage)
{
    u_char                  *p;
    ngx_str_t                parts[NGX_HTTP_EXPORTS_ETAG_PARTS];
    ngx_uint_t               i;
    ngx_http_exports_key_t   key;

    ngx_memzero(parts, sizeof(parts));

    parts[0] = ctx->scope;
    parts[1] = ctx->conf->link;

    if (ctx->conf->api->parts != NULL) {
        ctx->conf->api->parts(ctx, &parts[2]);
    }

    ngx_memzero(&key, sizeof(ngx_http_exports_key_t));

    ngx_memcpy(key.lineage, lineage, EXPORTS_LINEAGE_LEN);
    key.signer = ctx->conf->signer;
    key.limit = ctx->limit;
    key.offset = ctx->offset;
    key.statuses = ctx->statuses;
    key.rendering = NGX_HTTP_EXPORTS_RENDERING;
    key.kind = ctx->conf->api->kind;

    ctx->key.len = sizeof(ngx_http_exports_key_t);

    for (i = 0; i < NGX_HTTP_EXPORTS_ETAG_PARTS; i++) {
        key.lengths[i] = (uint32_t) parts[i].len;
        ctx->key.len += parts[i].len;
    }

    ngx_http_exports_guard_hold(1);
    p = ngx_pnalloc(r->pool, ctx->key.len);
    ngx_http_exports_guard_hold(0);

    if (p == NULL) {
        return NGX_ERROR;
    }

    ctx->key.data = p;

    p = ngx_cpymem(p, &key, sizeof(ngx_http_exports_key_t));

    for (i = 0; i < NGX_HTTP_EXPORTS_ETAG_PARTS; i++) {
        if (parts[i].len > 0) {
            p = ngx_cpymem(p, parts[i].data, parts[i].len);
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_exports_etag_matches(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_str_t  *value;

    /* the condition is not meant for a subrequest or an error page */

    if (r != r->main || r->err_status != 0) {
        return 0;
    }

    /* a 304 would not tell the client of its new run */

    if (r->headers_in.if_none_match == NULL
        || ctx->operation.began
        || ctx->operation.grouping == NGX_HTTP_EXPORTS_RENEWED_AFTER_IDLE)
    {
        return 0;
    }

    value = &r->headers_in.if_none_match->value;

    if (value->len == 1 && value->data[0] == '*') {
        return 1;
    }

    return ngx_http_exports_etag_listed(value->data, value->data + value->len,
                                        ctx->etag);
}


/* the weak comparison of RFC 9110: only the opaque tags count, not the "W/" */

static ngx_uint_t
ngx_http_exports_etag_listed(u_char *p, u_char *last, u_char *etag)
{
    u_char        *end;
    const size_t   len = NGX_HTTP_EXPORTS_ETAG_LEN - 2;

    etag += 2;

    while (p < last) {

        if (*p == ' ' || *p == '\t' || *p == ',') {
            p++;
            continue;
        }

        if (last - p > 2 && p[0] == 'W' && p[1] == '/') {
            p += 2;
        }

        if (*p != '"') {
            return 0;
        }

        /* a match is whole, for len includes both quotes */

        if ((size_t) (last - p) >= len && ngx_memcmp(p, etag, len) == 0) {
            return 1;
        }

        end = ngx_strlchr(p + 1, last, '"');

        if (end == NULL) {
            return 0;
        }

        p = end + 1;
    }

    return 0;
}
