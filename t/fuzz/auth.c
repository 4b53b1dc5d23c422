
/* the value of an Authorization header */

#include <strings.h>

#include "exports_digest.h"
#include "request.h"


static int model_token(const uint8_t *data, size_t size, size_t *start,
    size_t *len);


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_nginx();

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                   start, len;
    uint8_t                  digest[EXPORTS_SHA256_LEN];
    ngx_int_t                rc;
    ngx_http_request_t      *r;
    ngx_http_exports_ctx_t  *ctx;
    static const uint8_t     zeroes[EXPORTS_SHA256_LEN];

    r = fuzz_request(&ngx_http_exports_project);
    ctx = fuzz_ctx(r);

    must(ngx_http_exports_bearer(r, ctx) == NGX_DECLINED, "no header");

    r->headers_in.authorization = fuzz_header(r, "Authorization", data, size);

    rc = ngx_http_exports_bearer(r, ctx);

    if (model_token(data, size, &start, &len)) {
        must(rc == NGX_OK, "%d", (int) rc);
        must(exports_sha256(digest, data + start, len) == 0
             && memcmp(ctx->digest, digest, sizeof(digest)) == 0,
             "another token's digest");

    } else {
        must(rc == NGX_DECLINED, "%d", (int) rc);
        must(memcmp(ctx->digest, zeroes, sizeof(zeroes)) == 0, "a digest");
    }

    must(fuzz_logged.len == 0, "logged: %.*s", (int) fuzz_logged.len,
         fuzz_logged.data);

    fuzz_request_done(r);

    return 0;
}


/* the word in any case, a space, and what is not space around the token */

static int
model_token(const uint8_t *data, size_t size, size_t *start, size_t *len)
{
    size_t  end;

    if (size < 7 || strncasecmp((const char *) data, "bearer", 6) != 0
        || data[6] != ' ')
    {
        return 0;
    }

    for (*start = 7; *start < size && data[*start] == ' '; (*start)++) {
        /* void */
    }

    for (end = size; end > *start && data[end - 1] == ' '; end--) {
        /* void */
    }

    *len = end - *start;

    return *len > 0;
}
