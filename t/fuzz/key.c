
/* a file of keys for links */

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "request.h"


#define FILE_MAX  65536
#define KEY_MIN   32
#define HEX_LEN   NGX_HTTP_EXPORTS_SIGNATURE_LEN


static unsigned model_keys(const uint8_t *data, size_t size, unsigned *bad);
static void check_keys(ngx_http_exports_loc_conf_t *elcf,
    const uint8_t *data, size_t size);
static int signs(ngx_http_request_t *r, const uint8_t *key, size_t len,
    int first);


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_nginx();

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                         *rv, want[64];
    unsigned                      n, bad;
    ngx_pool_t                   *pool;
    ngx_conf_t                   *cf;
    ngx_http_request_t           *r;
    ngx_http_exports_loc_conf_t  *elcf;

    r = fuzz_request(&ngx_http_exports_user);
    elcf = fuzz_ctx(r)->conf;
    elcf->keys = NGX_CONF_UNSET_PTR;

    cf = fuzz_conf(fuzz_key_file(data, size));

    pool = cf->pool;
    cf->pool = r->pool;
    cf->temp_pool = r->pool;

    rv = ngx_http_exports_conf_link_key_file(cf, NULL, elcf);

    n = model_keys(data, size, &bad);

    if (size > FILE_MAX) {
        must(rv == NGX_CONF_ERROR, "a file of %zu bytes", size);

    } else if (n == 0 || bad != 0) {
        must(rv == NGX_CONF_ERROR, "%u keys, line %u is too short", n, bad);

        (void) snprintf(want, sizeof(want), bad != 0 ? "on line %u of"
                                                     : "is empty", bad);
        must(ngx_strlcasestrn(fuzz_logged.data,
                              fuzz_logged.data + fuzz_logged.len,
                              (u_char *) want, strlen(want) - 1) != NULL,
             "%.*s", (int) fuzz_logged.len, fuzz_logged.data);

    } else {
        must(rv == NGX_CONF_OK, "%.*s", (int) fuzz_logged.len,
             fuzz_logged.data);
        must(elcf->keys->nelts == n, "%u keys, not %u",
             (unsigned) elcf->keys->nelts, n);
        check_keys(elcf, data, size);
    }

    cf->pool = pool;
    cf->temp_pool = pool;

    fuzz_request_done(r);

    return 0;
}


/* how many, and the number of the first line that is none; 0: all are */

static unsigned
model_keys(const uint8_t *data, size_t size, unsigned *bad)
{
    size_t         len;
    unsigned       n;
    fuzz_input_t   in = { data, data + size };

    *bad = 0;

    for (n = 0; in.pos < in.end; n++) {
        (void) fuzz_until(&in, '\n', &len);

        if (len < KEY_MIN && *bad == 0) {
            *bad = n + 1;
        }
    }

    return n;
}


/* the first signs, all verify, and no other */

static void
check_keys(ngx_http_exports_loc_conf_t *elcf, const uint8_t *data,
    size_t size)
{
    int                  first;
    size_t               len;
    uint8_t              other[FILE_MAX];
    const uint8_t       *key;
    fuzz_input_t         in = { data, data + size };
    ngx_http_request_t  *r;

    r = fuzz_request(&ngx_http_exports_user);

    for (first = 1; in.pos < in.end; first = 0) {
        key = fuzz_until(&in, '\n', &len);
        must(signs(r, key, len, first), "a key of %zu bytes", len);
    }

    memcpy(other, data, KEY_MIN);
    other[0] ^= 0x55;

    if (memchr(data, other[0], size) == NULL) {
        must(!signs(r, other, KEY_MIN, 0), "a key that is not there");
    }

    fuzz_request_done(r);
}


static int
signs(ngx_http_request_t *r, const uint8_t *key, size_t len, int first)
{
    char                     hex[HEX_LEN], query[256];
    u_char                   mac[EVP_MAX_MD_SIZE], own[HEX_LEN];
    unsigned                 n;
    ngx_http_exports_ctx_t  *ctx;
    static const char        path[] = "/api/v3/exports/u-1/download"
                                      "?expires=9000000000";

    ctx = fuzz_ctx(r);
    ngx_str_set(&ctx->id, "u-1");

    must(HMAC(EVP_sha256(), key, (int) len, (u_char *) path, strlen(path),
              mac, &n) != NULL && n == 32, "no HMAC");
    exports_hex(hex, mac, n);

    if (first) {
        ngx_http_exports_sign(ctx->conf, (u_char *) path, strlen(path), own);
        must(memcmp(own, hex, HEX_LEN) == 0, "another signature");
    }

    (void) snprintf(query, sizeof(query), "expires=9000000000&signature=%.*s",
                    HEX_LEN, hex);
    r->args = fuzz_str(r, query, strlen(query));

    return ngx_http_exports_verify_link(r, ctx) == NGX_OK;
}
