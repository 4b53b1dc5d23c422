
/* the arguments of a query; knows nothing of their meaning */

#include "ngx_http_exports.h"


static u_char *ngx_http_exports_decode(u_char *dst, u_char *src, u_char *end,
    ngx_str_t *decoded, ngx_uint_t *bad);


/* in the order of the query; a name or value may have any byte, zero too */

ngx_int_t
ngx_http_exports_args(ngx_http_request_t *r, ngx_array_t *args)
{
    u_char                  *p, *dst, *end, *last, *value;
    ngx_uint_t               ignored;
    ngx_http_exports_arg_t  *arg;

    if (r->args.len == 0) {
        return NGX_OK;
    }

    /* what is decoded is not longer */

    dst = ngx_pnalloc(r->pool, r->args.len);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {

        end = ngx_strlchr(p, last, '&');

        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            continue;
        }

        arg = ngx_array_push(args);
        if (arg == NULL) {
            return NGX_ERROR;
        }

        arg->bad = 0;
        arg->value.len = 0;
        arg->value.data = dst;

        value = ngx_strlchr(p, end, '=');

        if (value == NULL) {
            arg->bad = 1;
            dst = ngx_http_exports_decode(dst, p, end, &arg->name, &ignored);
            continue;
        }

        dst = ngx_http_exports_decode(dst, p, value, &arg->name, &ignored);
        dst = ngx_http_exports_decode(dst, value + 1, end, &arg->value,
                                      &arg->bad);
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_exports_arg_is(const ngx_http_exports_arg_t *arg, const char *name,
    size_t len)
{
    return arg->name.len == len && ngx_memcmp(arg->name.data, name, len) == 0;
}


/* decimal digits, up to 63 bits */

ngx_int_t
ngx_http_exports_arg_number(const ngx_http_exports_arg_t *arg,
    uint64_t *number)
{
    size_t    i;
    uint64_t  n, digit;

    if (arg->bad || arg->value.len == 0) {
        return NGX_ERROR;
    }

    for (n = 0, i = 0; i < arg->value.len; i++) {

        if (arg->value.data[i] < '0' || arg->value.data[i] > '9') {
            return NGX_ERROR;
        }

        digit = arg->value.data[i] - '0';

        if (n > ((uint64_t) INT64_MAX - digit) / 10) {
            return NGX_ERROR;
        }

        n = n * 10 + digit;
    }

    *number = n;

    return NGX_OK;
}


static u_char *
ngx_http_exports_decode(u_char *dst, u_char *src, u_char *end,
    ngx_str_t *decoded, ngx_uint_t *bad)
{
    ngx_int_t  byte;

    decoded->data = dst;

    while (src < end) {

        if (*src == '+') {
            *dst++ = ' ';
            src++;

        } else if (*src != '%') {
            *dst++ = *src++;

        } else {
            byte = end - src > 2 ? ngx_hextoi(src + 1, 2) : NGX_ERROR;

            if (byte == NGX_ERROR) {
                *bad = 1;
                *dst++ = *src++;
                continue;
            }

            *dst++ = (u_char) byte;
            src += 3;
        }
    }

    decoded->len = dst - decoded->data;

    return dst;
}
