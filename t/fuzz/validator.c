
/* the value of If-None-Match, in which "@" stands for the page's own ETag */

#include "request.h"


#define VALUE_MAX  4096


static int model_list(const u_char *p, size_t len, const u_char *etag,
    int *match);
static ngx_uint_t matches(ngx_http_request_t *r, const u_char *value,
    size_t len);


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_nginx();

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                      match;
    size_t                   i, n;
    u_char                   value[VALUE_MAX + NGX_HTTP_EXPORTS_ETAG_LEN];
    ngx_http_request_t      *r;
    ngx_http_exports_ctx_t  *ctx;

    r = fuzz_request(&ngx_http_exports_project);
    ctx = fuzz_ctx(r);

    memcpy(ctx->etag, "W/\"0123456789abcdef0123456789abcdef\"",
           NGX_HTTP_EXPORTS_ETAG_LEN);

    must(!ngx_http_exports_etag_matches(r, ctx), "no header");

    for (n = 0, i = 0; i < size && n < VALUE_MAX; i++) {
        if (data[i] == '@') {
            memcpy(value + n, ctx->etag, NGX_HTTP_EXPORTS_ETAG_LEN);
            n += NGX_HTTP_EXPORTS_ETAG_LEN;

        } else {
            value[n++] = data[i];
        }
    }

    if (model_list(value, n, ctx->etag, &match)) {
        must(matches(r, value, n) == (ngx_uint_t) match, "%.*s: not %d",
             (int) n, value, match);

    } else {
        must(!matches(r, value, n)
             || memmem(value, n, ctx->etag + 2,
                       NGX_HTTP_EXPORTS_ETAG_LEN - 2) != NULL,
             "%.*s", (int) n, value);
    }

    /* to be told its run, a client gets the page */

    ctx->operation.began = 1;
    must(!matches(r, value, n), "a run would be lost");

    ctx->operation.began = 0;
    ctx->operation.grouping = NGX_HTTP_EXPORTS_RENEWED_AFTER_IDLE;
    must(!matches(r, value, n), "a new run would be lost");

    fuzz_request_done(r);

    return 0;
}


static ngx_uint_t
matches(ngx_http_request_t *r, const u_char *value, size_t len)
{
    r->headers_in.if_none_match = fuzz_header(r, "If-None-Match", value, len);

    return ngx_http_exports_etag_matches(r, fuzz_ctx(r));
}


/* RFC 9110: "*", or entity tags between commas; 0: neither */

static int
model_list(const u_char *p, size_t len, const u_char *etag, int *match)
{
    size_t         i, n;
    const u_char  *tag;

    *match = (len == 1 && *p == '*');

    if (*match) {
        return 1;
    }

    for (i = 0; i < len; /* void */ ) {

        for ( /* void */ ; i < len && strchr(" \t,", p[i]) != NULL
                           && p[i] != '\0'; i++)
        {
            /* void */
        }

        if (i == len) {
            return 1;
        }

        if (len - i > 2 && p[i] == 'W' && p[i + 1] == '/') {
            i += 2;
        }

        if (p[i] != '"') {
            return 0;
        }

        tag = p + i;

        for (i++; i < len && p[i] != '"'; i++) {
            if (p[i] < 0x21 || p[i] == 0x7f) {
                return 0;
            }
        }

        if (i == len) {
            return 0;
        }

        n = (size_t) (p + ++i - tag);

        if (n == NGX_HTTP_EXPORTS_ETAG_LEN - 2
            && memcmp(tag, etag + 2, n) == 0)
        {
            *match = 1;
        }

        if (i < len && strchr(" \t,", p[i]) == NULL) {
            return 0;
        }
    }

    return 1;
}
