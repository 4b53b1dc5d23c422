
/* request IDs and timestamps */

#include "ngx_http_exports.h"

#include <openssl/rand.h>


#define NGX_HTTP_EXPORTS_RANDOM_LEN  6


static ngx_int_t ngx_http_exports_random(u_char *bytes);
static const u_char *ngx_http_exports_second(uint64_t now);


/* kind, then 20260602T012345_123456Z_abc123def456; NULL: no random bytes */

u_char *
ngx_http_exports_id(u_char *p, uint64_t now, const char *kind)
{
    u_char         random[NGX_HTTP_EXPORTS_RANDOM_LEN];
    ngx_uint_t     i, micro;
    const u_char  *s;

    if (ngx_http_exports_random(random) != NGX_OK) {
        return NULL;
    }

    s = ngx_http_exports_second(now);

    p = ngx_cpymem(p, kind, ngx_strlen(kind));
    p = ngx_cpymem(p, s, 4);
    p = ngx_cpymem(p, s + 5, 2);
    p = ngx_cpymem(p, s + 8, 5);
    p = ngx_cpymem(p, s + 14, 2);
    p = ngx_cpymem(p, s + 17, 2);
    *p++ = '_';

    micro = now % 1000000;

    for (i = 6; i > 0; i--) {
        p[i - 1] = (u_char) ('0' + micro % 10);
        micro /= 10;
    }

    p += 6;
    *p++ = 'Z';
    *p++ = '_';

    return ngx_hex_dump(p, random, NGX_HTTP_EXPORTS_RANDOM_LEN);
}


/* 2026-06-02T01:23:45Z */

u_char *
ngx_http_exports_timestamp(u_char *p, uint64_t now)
{
    return ngx_cpymem(p, ngx_http_exports_second(now), 20);
}


/* one call of RAND_bytes() takes longer than a hundred copies out of it */

static ngx_int_t
ngx_http_exports_random(u_char *bytes)
{
    static u_char      pool[256 * NGX_HTTP_EXPORTS_RANDOM_LEN];
    static ngx_uint_t  used = sizeof(pool);

    if (used == sizeof(pool)) {

        if (RAND_bytes(pool, sizeof(pool)) != 1) {
            ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                          "RAND_bytes() failed");
            return NGX_ERROR;
        }

        used = 0;
    }

    ngx_memcpy(bytes, pool + used, NGX_HTTP_EXPORTS_RANDOM_LEN);
    used += NGX_HTTP_EXPORTS_RANDOM_LEN;

    return NGX_OK;
}


static const u_char *
ngx_http_exports_second(uint64_t now)
{
    static u_char    text[EXPORTS_TIME_TEXT_MAX];
    static uint64_t  second = (uint64_t) -1;

    if (now / 1000000 != second) {
        second = now / 1000000;
        (void) exports_time_format((char *) text, second * 1000000);
    }

    return text;
}
