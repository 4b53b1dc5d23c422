
/* request IDs and timestamps */

#include "ngx_http_exports.h"

#include <openssl/rand.h>


/* random digits of an ID, and how many IDs they are made for at a time */
#define NGX_HTTP_EXPORTS_RANDOM_LEN  12
#define NGX_HTTP_EXPORTS_RANDOM_IDS  256


static const u_char *ngx_http_exports_random(void);
static void ngx_http_exports_second(uint64_t now);


/* the texts of the second that was asked for last */

static u_char    ngx_http_exports_stamp[EXPORTS_TIME_TEXT_MAX];
static u_char    ngx_http_exports_date[sizeof("20260602T012345_") - 1];
static uint64_t  ngx_http_exports_last = (uint64_t) -1;


/* kind, then 20260602T012345_123456Z_abc123def456; NULL: no random bytes */

u_char *
ngx_http_exports_id(u_char *p, uint64_t now, const char *kind)
{
    ngx_uint_t     i, micro;
    const u_char  *random;

    random = ngx_http_exports_random();

    if (random == NULL) {
        return NULL;
    }

    ngx_http_exports_second(now);

    p = ngx_cpymem(p, kind, ngx_strlen(kind));
    p = ngx_cpymem(p, ngx_http_exports_date, sizeof(ngx_http_exports_date));

    micro = now % 1000000;

    for (i = 6; i > 0; i--) {
        p[i - 1] = (u_char) ('0' + micro % 10);
        micro /= 10;
    }

    p += 6;
    *p++ = 'Z';
    *p++ = '_';

    return ngx_cpymem(p, random, NGX_HTTP_EXPORTS_RANDOM_LEN);
}


/* 2026-06-02T01:23:45Z */

u_char *
ngx_http_exports_timestamp(u_char *p, uint64_t now)
{
    ngx_http_exports_second(now);

    return ngx_cpymem(p, ngx_http_exports_stamp, 20);
}


/*
 * the digits of one ID, valid until the next call.  They are made in advance,
 * for a call of RAND_bytes() takes longer than a hundred copies of its result
 */

static const u_char *
ngx_http_exports_random(void)
{
    u_char             bytes[NGX_HTTP_EXPORTS_RANDOM_IDS
                             * NGX_HTTP_EXPORTS_RANDOM_LEN / 2];
    static u_char      digits[2 * sizeof(bytes)];
    static ngx_uint_t  left;

    if (left == 0) {

        if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
            ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                          "RAND_bytes() failed");
            return NULL;
        }

        exports_hex((char *) digits, bytes, sizeof(bytes));

        left = NGX_HTTP_EXPORTS_RANDOM_IDS;
    }

    return digits + --left * NGX_HTTP_EXPORTS_RANDOM_LEN;
}


/* brings the two texts up to date */

static void
ngx_http_exports_second(uint64_t now)
{
    u_char  *p, *s;

    if (now / 1000000 == ngx_http_exports_last) {
        return;
    }

    ngx_http_exports_last = now / 1000000;

    s = ngx_http_exports_stamp;
    (void) exports_time_format((char *) s, ngx_http_exports_last * 1000000);

    p = ngx_cpymem(ngx_http_exports_date, s, 4);
    p = ngx_cpymem(p, s + 5, 2);
    p = ngx_cpymem(p, s + 8, 5);
    p = ngx_cpymem(p, s + 14, 2);
    p = ngx_cpymem(p, s + 17, 2);
    *p = '_';
}
