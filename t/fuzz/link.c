
/*
 * A signed link: a byte that chooses the clock, the export's uuid, a newline,
 * and the query, in which "@1" to "@3" stand for the signatures of the three
 * keys, the last of which is not the server's.
 */

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "request.h"


#define TEXT_MAX  4096
#define HEX_LEN   NGX_HTTP_EXPORTS_SIGNATURE_LEN


static size_t sign_query(u_char *query, const uint8_t *p, size_t len,
    const ngx_str_t *id);
static void sign(char *hex, unsigned key, const ngx_str_t *id,
    const u_char *expires, size_t len);
static ngx_int_t model_link(const ngx_str_t *args, const ngx_str_t *id,
    uint64_t now);
static void check_own(ngx_http_request_t *r);


static const char  *keys[] = {
    "first key, of at least 32 bytes, that signs",
    "second key, of 32 bytes or more: \001\002\xff",
    "third key, which the server has not got"
};

static const uint64_t  clocks[] = {
    0, 1, FUZZ_NOW / 1000000 - 1, FUZZ_NOW / 1000000, FUZZ_NOW / 1000000 + 1,
    INT64_MAX / 1000000
};


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char                 text[256];
    ngx_conf_t          *cf;
    ngx_http_request_t  *r;

    fuzz_nginx();

    (void) snprintf(text, sizeof(text), "%s\n%s", keys[0], keys[1]);
    cf = fuzz_conf(fuzz_key_file(text, strlen(text)));

    r = fuzz_request(&ngx_http_exports_user);

    must(ngx_http_exports_conf_link_key_file(cf, NULL, fuzz_ctx(r)->conf)
         == NGX_CONF_OK, "%.*s", (int) fuzz_logged.len, fuzz_logged.data);

    fuzz_request_done(r);

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                   len;
    u_char                   query[TEXT_MAX + 64 * HEX_LEN];
    uint64_t                 now;
    ngx_int_t                rc, want;
    const uint8_t           *id;
    fuzz_input_t             in = { data, data + size };
    ngx_http_request_t      *r;
    ngx_http_exports_ctx_t  *ctx;

    if (size > TEXT_MAX) {
        return 0;
    }

    now = clocks[fuzz_byte(&in) % (sizeof(clocks) / sizeof(clocks[0]))];
    id = fuzz_until(&in, '\n', &len);

    r = fuzz_request(&ngx_http_exports_user);
    ctx = fuzz_ctx(r);
    ctx->now = now * 1000000 + 123456;

    /* the route lets nothing else through */

    if (exports_id_valid(EXPORTS_USER, (const char *) id, len)) {

        ctx->id = fuzz_str(r, id, len);

        len = sign_query(query, in.pos, (size_t) (in.end - in.pos), &ctx->id);
        r->args = fuzz_str(r, query, len);

        rc = ngx_http_exports_verify_link(r, ctx);
        want = model_link(&r->args, &ctx->id, now);

        must(rc == want, "\"%.*s\": %d, not %d", (int) r->args.len,
             r->args.data, (int) rc, (int) want);
        must(fuzz_logged.len == 0, "logged: %.*s", (int) fuzz_logged.len,
             fuzz_logged.data);

        check_own(r);
    }

    fuzz_request_done(r);

    return 0;
}


/* what is signed is the first number behind "expires=" */

static size_t
sign_query(u_char *query, const uint8_t *p, size_t len, const ngx_str_t *id)
{
    size_t   i, n, signatures;
    char     hex[HEX_LEN + 1];
    u_char  *expires, *last;

    expires = NULL;
    signatures = 0;

    for (n = 0, i = 0; i < len; i++) {

        if (p[i] != '@' || i + 1 == len || p[i + 1] < '1' || p[i + 1] > '3'
            || expires == NULL || ++signatures > 64)
        {
            query[n++] = p[i];

            if (expires == NULL && n >= 8
                && memcmp(query + n - 8, "expires=", 8) == 0)
            {
                expires = query + n;
            }

            continue;
        }

        for (last = expires; last < query + n && *last >= '0' && *last <= '9';
             last++)
        {
            /* void */
        }

        sign(hex, p[++i] - '1', id, expires, (size_t) (last - expires));
        memcpy(query + n, hex, HEX_LEN);
        n += HEX_LEN;
    }

    return n;
}


/* by another interface of libcrypto */

static void
sign(char *hex, unsigned key, const ngx_str_t *id, const u_char *expires,
    size_t len)
{
    int        n;
    u_char     mac[EVP_MAX_MD_SIZE];
    char       text[2 * TEXT_MAX];
    unsigned   mac_len;

    n = snprintf(text, sizeof(text),
                 "/api/v3/exports/%.*s/download?expires=%.*s", (int) id->len,
                 id->data, (int) len, expires);

    must(HMAC(EVP_sha256(), keys[key], (int) strlen(keys[key]),
              (u_char *) text, (size_t) n, mac, &mac_len) != NULL
         && mac_len == 32, "no HMAC");

    exports_hex(hex, mac, mac_len);
    hex[HEX_LEN] = '\0';
}


/* the whole of the query that would be right, compared */

static ngx_int_t
model_link(const ngx_str_t *args, const ngx_str_t *id, uint64_t now)
{
    char      hex[HEX_LEN + 1], want[256];
    size_t    digits;
    uint64_t  until;
    unsigned  key;

    if (args->len < 8) {
        return NGX_DECLINED;
    }

    for (digits = 0; 8 + digits < args->len && args->data[8 + digits] >= '0'
                     && args->data[8 + digits] <= '9'; digits++)
    {
        /* void */
    }

    if (digits < 1 || digits > 19) {
        return NGX_DECLINED;
    }

    (void) snprintf(want, sizeof(want), "%.*s", (int) digits, args->data + 8);
    until = strtoull(want, NULL, 10);

    if (until > INT64_MAX || until < now) {
        return NGX_DECLINED;
    }

    for (key = 0; key < 2; key++) {
        sign(hex, key, id, args->data + 8, digits);

        (void) snprintf(want, sizeof(want), "expires=%.*s&signature=%s",
                        (int) digits, args->data + 8, hex);

        if (strlen(want) == args->len
            && memcmp(want, args->data, args->len) == 0)
        {
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/* a link that the list would show */

static void
check_own(ngx_http_request_t *r)
{
    char                     path[256], query[256];
    u_char                   hex[HEX_LEN];
    uint64_t                 now;
    ngx_http_exports_ctx_t  *ctx;

    ctx = fuzz_ctx(r);
    now = ctx->now / 1000000;

    (void) snprintf(path, sizeof(path),
                    "/api/v3/exports/%.*s/download?expires=%llu",
                    (int) ctx->id.len, ctx->id.data,
                    (unsigned long long) now);

    ngx_http_exports_sign(ctx->conf, (u_char *) path, strlen(path), hex);

    (void) snprintf(query, sizeof(query), "expires=%llu&signature=%.*s",
                    (unsigned long long) now, HEX_LEN, hex);
    r->args = fuzz_str(r, query, strlen(query));

    must(ngx_http_exports_verify_link(r, ctx) == NGX_OK, "%s", query);

    ctx->now += 1000000;

    must(ngx_http_exports_verify_link(r, ctx) == NGX_DECLINED,
         "after its time: %s", query);
}
