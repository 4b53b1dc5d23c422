
#include "ngx_http_exports.h"

#include "exports_digest.h"


/*
 * the digest of the bearer token to the context; NGX_DECLINED: there is none.
 * Of the token itself nothing is kept or logged
 */

ngx_int_t
ngx_http_exports_bearer(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    u_char     *p, *last;
    ngx_str_t  *value;

    if (r->headers_in.authorization == NULL) {
        return NGX_DECLINED;
    }

    value = &r->headers_in.authorization->value;

    if (value->len < sizeof("Bearer ") - 1
        || ngx_strncasecmp(value->data, (u_char *) "Bearer ",
                           sizeof("Bearer ") - 1)
           != 0)
    {
        return NGX_DECLINED;
    }

    p = value->data + sizeof("Bearer ") - 1;
    last = value->data + value->len;

    while (p < last && *p == ' ') {
        p++;
    }

    while (last > p && last[-1] == ' ') {
        last--;
    }

    if (p == last) {
        return NGX_DECLINED;
    }

    if (exports_sha256(ctx->digest, p, last - p) != 0) {
        ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(r), 0,
                      "SHA-256 failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * the scope that the token must open to ctx->found: the route's, or for an API
 * of users the token's own.  ctx->error when it does not; what is wrong with
 * it is not told: unknown, revoked and another scope's take the same way
 */

exports_rc_t
ngx_http_exports_authenticate(ngx_http_exports_ctx_t *ctx,
    exports_reader_t *reader, exports_token_t *token)
{
    exports_rc_t    token_rc, scope_rc;
    exports_kind_t  kind;

    kind = ctx->conf->api->kind;

    token_rc = exports_read_token(reader, ctx->digest, token);

    if (token_rc != EXPORTS_OK && token_rc != EXPORTS_NOT_FOUND) {
        return token_rc;
    }

    if (kind == EXPORTS_USER && token_rc == EXPORTS_OK
        && token->kind == EXPORTS_USER
        && token->scope_name.len <= EXPORTS_USER_MAX)
    {
        ngx_memcpy(ctx->user, token->scope_name.data, token->scope_name.len);

        ctx->scope.data = ctx->user;
        ctx->scope.len = token->scope_name.len;
    }

    scope_rc = EXPORTS_NOT_FOUND;

    if (ctx->scope.len > 0) {
        scope_rc = exports_read_scope(reader, kind, (char *) ctx->scope.data,
                                      ctx->scope.len, &ctx->found);
    }

    if (scope_rc != EXPORTS_OK && scope_rc != EXPORTS_NOT_FOUND) {
        return scope_rc;
    }

    if (token_rc != EXPORTS_OK || scope_rc != EXPORTS_OK
        || token->kind != kind || token->scope != ctx->found.id
        || !exports_token_valid(token, ctx->now))
    {
        ctx->error = ngx_http_exports_error(NGX_HTTP_EXPORTS_INVALID_TOKEN);
    }

    return EXPORTS_OK;
}
