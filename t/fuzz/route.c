
/* a path, by itself and below the prefix of each API */

#include "request.h"


#define PATH_MAX_LEN  4096


static void check_route(const ngx_http_exports_api_t *api, const char *prefix,
    const uint8_t *path, size_t len);
static size_t span(const uint8_t *p, size_t len, const char *set, size_t max);
static ngx_int_t model_project(const uint8_t *path, size_t len,
    ngx_str_t *scope, ngx_str_t *id);
static ngx_int_t model_user(const uint8_t *path, size_t len, ngx_str_t *id);
static int equal(const ngx_str_t *a, const ngx_str_t *b);


#define LOWER    "abcdefghijklmnopqrstuvwxyz0123456789"
#define LETTERS  LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_nginx();

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > PATH_MAX_LEN) {
        return 0;
    }

    check_route(&ngx_http_exports_project, "", data, size);
    check_route(&ngx_http_exports_project, "/projects", data, size);
    check_route(&ngx_http_exports_user, "", data, size);
    check_route(&ngx_http_exports_user, "/api/v3/exports", data, size);

    return 0;
}


static void
check_route(const ngx_http_exports_api_t *api, const char *prefix,
    const uint8_t *path, size_t len)
{
    u_char                   uri[PATH_MAX_LEN + 64];
    ngx_int_t                rc, want;
    ngx_str_t                scope, id, *below;
    ngx_http_request_t      *r;
    ngx_http_exports_ctx_t  *ctx;

    r = fuzz_request(api);
    ctx = fuzz_ctx(r);

    memcpy(uri, prefix, strlen(prefix));
    memcpy(uri + strlen(prefix), path, len);
    r->uri = fuzz_str(r, uri, strlen(prefix) + len);

    rc = ngx_http_exports_route(r, ctx);

    below = &ctx->conf->prefix;
    ngx_str_null(&scope);
    ngx_str_null(&id);
    want = NGX_DECLINED;

    if (r->uri.len >= below->len
        && memcmp(r->uri.data, below->data, below->len) == 0)
    {
        path = r->uri.data + below->len;
        len = r->uri.len - below->len;

        want = api == &ngx_http_exports_project
                   ? model_project(path, len, &scope, &id)
                   : model_user(path, len, &id);
    }

    must(rc == want, "\"%.*s\": %d, not %d", (int) r->uri.len, r->uri.data,
         (int) rc, (int) want);

    if (rc == NGX_OK) {
        must(equal(&ctx->scope, &scope) && equal(&ctx->id, &id),
             "\"%.*s\": \"%.*s\", \"%.*s\"", (int) r->uri.len, r->uri.data,
             (int) ctx->scope.len, ctx->scope.data, (int) ctx->id.len,
             ctx->id.data);
        must(ctx->route == (id.len > 0 ? NGX_HTTP_EXPORTS_DOWNLOAD
                                       : NGX_HTTP_EXPORTS_LIST),
             "route %d", ctx->route);

        /* the store takes the same names */

        must(scope.len == 0
             || exports_scope_name_valid(EXPORTS_PROJECT, (char *) scope.data,
                                         scope.len), "scope");
        must(id.len == 0 || exports_id_valid(api->kind, (char *) id.data,
                                             id.len), "id");
    }

    fuzz_request_done(r);
}


/* bytes of the set that stand here */

static size_t
span(const uint8_t *p, size_t len, const char *set, size_t max)
{
    size_t  i;

    for (i = 0; i < len && i < max; i++) {
        if (memchr(set, p[i], strlen(set)) == NULL) {
            break;
        }
    }

    return i;
}


static ngx_int_t
model_project(const uint8_t *path, size_t len, ngx_str_t *scope,
    ngx_str_t *id)
{
    size_t             n;
    static const char  download[] = "/export/download/exp_";

    if (len == 0 || path[0] != '/') {
        return NGX_DECLINED;
    }

    path++;
    len--;

    n = span(path, len, LOWER "_-", len);

    if (n < 1 || n > 128) {
        return NGX_DECLINED;
    }

    scope->data = (u_char *) path;
    scope->len = n;

    path += n;
    len -= n;

    if (len == 8 && memcmp(path, "/exports", 8) == 0) {
        return NGX_OK;
    }

    n = sizeof(download) - 1;

    if (len <= n || memcmp(path, download, n) != 0 || len - n > 124
        || span(path + n, len - n, LETTERS "_-", len) != len - n)
    {
        return NGX_DECLINED;
    }

    id->data = (u_char *) path + n - 4;
    id->len = len - n + 4;

    return NGX_OK;
}


static ngx_int_t
model_user(const uint8_t *path, size_t len, ngx_str_t *id)
{
    size_t  n;

    if (len == 0) {
        return NGX_OK;
    }

    n = span(path + 1, len - 1, LETTERS "-", len);

    if (path[0] != '/' || n < 1 || n > 64 || len - 1 - n != 9
        || memcmp(path + 1 + n, "/download", 9) != 0)
    {
        return NGX_DECLINED;
    }

    id->data = (u_char *) path + 1;
    id->len = n;

    return NGX_OK;
}


static int
equal(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
