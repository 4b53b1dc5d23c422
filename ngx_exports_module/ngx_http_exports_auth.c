
/* bearer tokens: from the header to the scope */

#include "ngx_http_exports.h"

#include "exports_digest.h"


static void ngx_http_exports_take_user(ngx_http_exports_ctx_t *ctx,
    const exports_token_t *token);
static ngx_uint_t ngx_http_exports_fits_route(
    const ngx_http_exports_ctx_t *ctx, const exports_token_t *token);
static void ngx_http_exports_log_unreadable_token(ngx_http_exports_ctx_t *ctx);


/*
 * stores the digest of the token to the context; the token itself is neither
 * kept nor logged.  NGX_DECLINED: there is no token
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
        || (ngx_memcmp(value->data, "Bearer ", sizeof("Bearer ") - 1) != 0
            && ngx_strncasecmp(value->data, (u_char *) "Bearer ",
                               sizeof("Bearer ") - 1)
               != 0))
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
 * stores the token's scope to ctx->found, if it is the one that the request is
 * for: that of the route or, for the user API, the token's own.  Otherwise sets
 * ctx->error, without telling the client what is wrong with the token
 */

exports_rc_t
ngx_http_exports_authenticate(ngx_http_exports_ctx_t *ctx,
    exports_reader_t *reader, exports_token_t *token)
{
    exports_rc_t  rc;

    rc = exports_read_token(reader, ctx->digest, token);

    if (rc == EXPORTS_OK) {
        ngx_http_exports_take_user(ctx, token);

        rc = ngx_http_exports_fits_route(ctx, token)
                 ? exports_read_scope(reader, token->kind,
                                      token->scope_name.data,
                                      token->scope_name.len, &ctx->found)
                 : EXPORTS_NOT_FOUND;
    }

    if (rc == EXPORTS_CORRUPT) {
        ngx_http_exports_guard_hold(1);
        ngx_http_exports_log_unreadable_token(ctx);
        ngx_http_exports_guard_hold(0);

        ctx->logged = 1;
    }

    if (rc != EXPORTS_OK && rc != EXPORTS_NOT_FOUND) {
        return rc;
    }

    if (rc == EXPORTS_NOT_FOUND || token->scope != ctx->found.id) {
        ctx->error = ngx_http_exports_error(NGX_HTTP_EXPORTS_INVALID_TOKEN);
    }

    return EXPORTS_OK;
}


/*
 * the user API's route names no user: the scope is the token's.  It is copied,
 * for what was read is gone with the snapshot
 */

static void
ngx_http_exports_take_user(ngx_http_exports_ctx_t *ctx,
    const exports_token_t *token)
{
    const exports_str_t  *name;

    name = &token->scope_name;

    if (token->kind != EXPORTS_USER || ctx->conf->api->kind != EXPORTS_USER
        || name->len == 0 || name->len > EXPORTS_USER_MAX)
    {
        return;
    }

    ngx_memcpy(ctx->user, name->data, name->len);

    ctx->scope.data = ctx->user;
    ctx->scope.len = name->len;
}


static ngx_uint_t
ngx_http_exports_fits_route(const ngx_http_exports_ctx_t *ctx,
    const exports_token_t *token)
{
    const exports_str_t  *name;

    name = &token->scope_name;

    return token->kind == ctx->conf->api->kind
           && name->len > 0
           && name->len == ctx->scope.len
           && ngx_memcmp(name->data, ctx->scope.data, name->len) == 0
           && exports_token_valid(token, ctx->now);
}


/* by its ID, as exportsctl names it, too: the request may name no scope */

static void
ngx_http_exports_log_unreadable_token(ngx_http_exports_ctx_t *ctx)
{
    u_char               text[EXPORTS_TOKEN_ID_LEN];
    ngx_str_t            id;
    ngx_http_request_t  *r;

    r = ctx->request;

    exports_token_id((char *) text, ctx->digest);

    id.data = text;
    id.len = EXPORTS_TOKEN_ID_LEN;

    if (ngx_http_exports_log_due(r, &id)) {
        ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(r), 0,
                      "damaged record or index of token \"%V\", or of its "
                      "project or user; run \"exportsctl verify\"", &id);
    }
}
