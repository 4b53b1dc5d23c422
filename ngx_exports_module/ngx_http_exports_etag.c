
#include "ngx_http_exports.h"

#include <xxhash.h>


/* all that a page depends on, without padding */

typedef struct {
    uint8_t   lineage[EXPORTS_LINEAGE_LEN];
    uint64_t  revision;
    uint64_t  scope;
    uint64_t  link;
    uint64_t  variant;
    uint32_t  rendering;
    uint32_t  kind;
} ngx_http_exports_validator_t;


static ngx_uint_t ngx_http_exports_etag_listed(u_char *p, u_char *last,
    u_char *etag);


/* not of the token: all tokens of a scope see the same list */

void
ngx_http_exports_etag(ngx_http_exports_ctx_t *ctx, const uint8_t *lineage)
{
    u_char                         *p, bytes[16];
    XXH128_hash_t                   hash;
    ngx_http_exports_validator_t    v;

    ngx_memcpy(v.lineage, lineage, EXPORTS_LINEAGE_LEN);
    v.revision = ctx->found.revision;
    v.scope = XXH3_64bits(ctx->scope.data, ctx->scope.len);
    v.link = XXH3_64bits(ctx->conf->link.data, ctx->conf->link.len);
    v.variant = ctx->conf->api->variant(ctx);
    v.rendering = NGX_HTTP_EXPORTS_RENDERING;
    v.kind = ctx->conf->api->kind;

    hash = XXH3_128bits(&v, sizeof(v));

    exports_put64(bytes, hash.high64);
    exports_put64(bytes + 8, hash.low64);

    p = ngx_cpymem(ctx->etag, "W/\"", 3);
    p = ngx_hex_dump(p, bytes, sizeof(bytes));
    *p = '"';
}


ngx_uint_t
ngx_http_exports_etag_matches(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_str_t  *value;

    /* the client has to be told its run */

    if (r->headers_in.if_none_match == NULL
        || ctx->operation.grouping == NGX_HTTP_EXPORTS_GENERATED_RUN
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


/* the weak comparison of RFC 9110: the opaque tags, whatever stands before */

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

        end = ngx_strlchr(p + 1, last, '"');

        if (end == NULL) {
            return 0;
        }

        if ((size_t) (end + 1 - p) == len && ngx_memcmp(p, etag, len) == 0) {
            return 1;
        }

        p = end + 1;
    }

    return 0;
}
