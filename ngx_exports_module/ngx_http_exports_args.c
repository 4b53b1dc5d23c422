
/* the arguments of a query; knows nothing of their meaning */

#include "ngx_http_exports.h"


static u_char *ngx_http_exports_arg_end(u_char *p, u_char *last,
    ngx_http_exports_arg_t *arg, ngx_uint_t *encoded);
static u_char *ngx_http_exports_decode(u_char *dst, ngx_str_t *text,
    ngx_uint_t *bad);
static ngx_int_t ngx_http_exports_digit(u_char c);


/*
 * in the order of the query; names and values may contain any byte, zero too.
 * What needs no decoding is not copied.  An argument with the name of the one
 * before it shares its string, so that callers may compare pointers
 */

ngx_int_t
ngx_http_exports_args(ngx_http_request_t *r, ngx_array_t *args)
{
    u_char                  *p, *dst, *end, *last;
    ngx_str_t                name;
    ngx_uint_t               encoded, same, ignored;
    ngx_http_exports_arg_t   found, *arg;

    dst = NULL;
    ngx_str_null(&name);
    last = r->args.data + r->args.len;

    for (p = r->args.data; p < last; p = end + 1) {

        end = ngx_http_exports_arg_end(p, last, &found, &encoded);

        if (end == p) {
            continue;
        }

        arg = ngx_array_push(args);
        if (arg == NULL) {
            return NGX_ERROR;
        }

        *arg = found;

        /* a filter's values follow each other: its name is decoded once */

        same = name.data != NULL && found.name.len == name.len
               && ngx_memcmp(found.name.data, name.data, name.len) == 0;

        name = found.name;

        if (same) {
            arg->name = arg[-1].name;
        }

        if (!encoded) {
            continue;
        }

        /* decoding makes nothing longer */

        if (dst == NULL) {
            dst = ngx_pnalloc(r->pool, r->args.len);
            if (dst == NULL) {
                return NGX_ERROR;
            }
        }

        if (!same) {
            dst = ngx_http_exports_decode(dst, &arg->name, &ignored);
        }

        dst = ngx_http_exports_decode(dst, &arg->value, &arg->bad);
    }

    return NGX_OK;
}


/* one argument, undecoded; returns where it ends */

static u_char *
ngx_http_exports_arg_end(u_char *p, u_char *last, ngx_http_exports_arg_t *arg,
    ngx_uint_t *encoded)
{
    u_char               *name, *value;
    static const u_char   special[256] = {
        ['&'] = 1, ['='] = 1, ['%'] = 1, ['+'] = 1
    };

    name = p;
    value = NULL;
    *encoded = 0;

    for ( /* void */ ; p < last; p++) {

        if (!special[*p]) {
            continue;
        }

        if (*p == '&') {
            break;
        }

        if (*p != '=') {
            *encoded = 1;

        } else if (value == NULL) {
            value = p + 1;
        }
    }

    arg->bad = (value == NULL);
    arg->name.data = name;
    arg->name.len = (value != NULL ? value - 1 : p) - name;
    arg->value.data = value != NULL ? value : p;
    arg->value.len = p - arg->value.data;

    return p;
}


ngx_uint_t
ngx_http_exports_arg_named(const ngx_http_exports_arg_t *arg, const char *name,
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


/* decodes the text to dst, where it is from then on; returns where it ends */

static u_char *
ngx_http_exports_decode(u_char *dst, ngx_str_t *text, ngx_uint_t *bad)
{
    u_char     c, *src, *end;
    ngx_int_t  high, low;

    src = text->data;
    end = src + text->len;

    text->data = dst;

    while (src < end) {
        c = *src++;

        if (c == '+') {
            c = ' ';

        } else if (c == '%') {
            high = end - src > 1 ? ngx_http_exports_digit(src[0]) : NGX_ERROR;
            low = end - src > 1 ? ngx_http_exports_digit(src[1]) : NGX_ERROR;

            if (high == NGX_ERROR || low == NGX_ERROR) {
                *bad = 1;

            } else {
                c = (u_char) (high << 4 | low);
                src += 2;
            }
        }

        *dst++ = c;
    }

    text->len = dst - text->data;

    return dst;
}


/* hexadecimal */

static ngx_int_t
ngx_http_exports_digit(u_char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : NGX_ERROR;
}
