
/* the URLs of a page of the user exports API */

#include "ngx_http_exports_user.h"


static ngx_uint_t ngx_http_exports_user_is_url(const ngx_str_t *url);
static ngx_int_t ngx_http_exports_user_base(ngx_http_request_t *r,
    ngx_http_exports_loc_conf_t *elcf, ngx_str_t *base);
static ngx_int_t ngx_http_exports_user_server(ngx_http_request_t *r,
    ngx_str_t *host);
static size_t ngx_http_exports_user_clean(u_char *dst, const ngx_str_t *src);
static ngx_int_t ngx_http_exports_user_expiry(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_user_query(ngx_http_request_t *r,
    ngx_http_exports_user_args_t *ua);
static u_char *ngx_http_exports_user_integer(u_char *p, int64_t number);
static u_char *ngx_http_exports_user_component(u_char *p,
    const ngx_str_t *value);


#define NGX_HTTP_EXPORTS_Q_STATUS        "filter%5Bstatus%5D%5B%5D="
#define NGX_HTTP_EXPORTS_Q_TYPE          "filter%5Btype%5D%5B%5D="
#define NGX_HTTP_EXPORTS_Q_SUBJECT_TYPE  "filter%5Bsubject_type%5D="
#define NGX_HTTP_EXPORTS_Q_SUBJECT_ID    "filter%5Bsubject_id%5D="
#define NGX_HTTP_EXPORTS_Q_PER_PAGE      "per_page="


char *
ngx_http_exports_conf_base_url(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exports_loc_conf_t *elcf = conf;

    ngx_str_t                          *value;
    ngx_http_compile_complex_value_t    ccv;

    if (elcf->base_url != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "is empty";
    }

    /* with a variable in front the URL is known only at run time */

    if (value[1].data[0] != '$' && !ngx_http_exports_user_is_url(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\", it must begin with "
                           "\"http://\" or \"https://\" and a host, or a "
                           "variable", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_strchr(value[1].data, '?') != NULL
        || ngx_strchr(value[1].data, '#') != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URL \"%V\", a path is put behind it: it "
                           "must have neither \"?\" nor \"#\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    elcf->base_url = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (elcf->base_url == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &value[1];
    ccv.complex_value = elcf->base_url;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


static ngx_uint_t
ngx_http_exports_user_is_url(const ngx_str_t *url)
{
    size_t  len;

    len = ngx_strncasecmp(url->data, (u_char *) "http://", 7) == 0 ? 7
          : ngx_strncasecmp(url->data, (u_char *) "https://", 8) == 0 ? 8
          : 0;

    return len > 0 && url->len > len
           && ngx_strchr("/?#:@ ", url->data[len]) == NULL;
}


ngx_int_t
ngx_http_exports_user_urls(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    size_t                          len;
    u_char                         *p;
    ngx_str_t                       base;
    ngx_http_exports_loc_conf_t    *elcf;
    ngx_http_exports_user_args_t   *ua;

    elcf = ctx->conf;
    ua = ctx->args;

    if (ngx_http_exports_user_base(r, elcf, &base) != NGX_OK) {
        return NGX_ERROR;
    }

    len = ngx_http_exports_user_clean(NULL, &base);

    p = ngx_pnalloc(r->pool, len + elcf->link.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ua->url.data = p;
    ua->url.len = len + elcf->link.len;

    if (len == base.len) {
        ngx_memcpy(p, base.data, len);

    } else {
        (void) ngx_http_exports_user_clean(p, &base);
    }

    p += len;
    ngx_memcpy(p, elcf->link.data, elcf->link.len);

    if (ngx_http_exports_user_expiry(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_exports_user_query(r, ua);
}


static ngx_int_t
ngx_http_exports_user_base(ngx_http_request_t *r,
    ngx_http_exports_loc_conf_t *elcf, ngx_str_t *base)
{
    u_char     *p, addr[NGX_SOCKADDR_STRLEN];
    ngx_str_t   scheme, host;

    if (elcf->base_url != NULL) {

        if (ngx_http_complex_value(r, elcf->base_url, base) != NGX_OK) {
            return NGX_ERROR;
        }

        /* a path follows it, with a slash of its own */

        while (base->len > 0 && base->data[base->len - 1] == '/') {
            base->len--;
        }

        return NGX_OK;
    }

    ngx_str_set(&scheme, "http");

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        ngx_str_set(&scheme, "https");
    }
#endif

    if (r->headers_in.host != NULL) {
        host = r->headers_in.host->value;

    } else if (r->headers_in.server.len > 0) {
        host = r->headers_in.server;

    } else {
        host.data = addr;
        host.len = NGX_SOCKADDR_STRLEN;

        if (ngx_http_exports_user_server(r, &host) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    base->len = scheme.len + sizeof("://") - 1 + host.len;
    base->data = ngx_pnalloc(r->pool, base->len);

    if (base->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(base->data, scheme.data, scheme.len);
    p = ngx_http_exports_cpylit(p, "://");
    ngx_memcpy(p, host.data, host.len);

    return NGX_OK;
}


/* stores the server's name to host; if that is empty, "_", a wildcard or a
   regular expression, the address that the client is connected to */

static ngx_int_t
ngx_http_exports_user_server(ngx_http_request_t *r, ngx_str_t *host)
{
    u_char                     c;
    size_t                     i;
    ngx_str_t                 *name;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    name = &cscf->server_name;

    for (i = 0; i < name->len; i++) {
        c = name->data[i];

        if (c != '.' && c != '-' && c != '_' && !(c >= '0' && c <= '9')
            && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
        {
            break;
        }
    }

    if (i == name->len && i > 0 && name->data[0] != '.'
        && !(i == 1 && name->data[0] == '_'))
    {
        *host = *name;
        return NGX_OK;
    }

    if (ngx_connection_local_sockaddr(r->connection, host, 1) != NGX_OK) {
        return NGX_ERROR;
    }

#if (NGX_HAVE_UNIX_DOMAIN)
    if (r->connection->local_sockaddr->sa_family == AF_UNIX) {
        ngx_str_set(host, "localhost");
    }
#endif

    return NGX_OK;
}


/*
 * The client may send any host: what is not ASCII, or would have to be escaped
 * in JSON or HTML, is percent-encoded.  Returns the length; dst may be NULL
 */

static size_t
ngx_http_exports_user_clean(u_char *dst, const ngx_str_t *src)
{
    u_char           c;
    size_t           i, len;
    static u_char    hex[] = "0123456789ABCDEF";

    /* controls, the space, "&'<>\\^`{|}, and all from 0x7f on */

    static uint32_t  encoded[] = {
        0xffffffff, 0x500000c5, 0x50000000, 0xb8000001,
        0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff
    };

    for (len = 0, i = 0; i < src->len; i++) {
        c = src->data[i];

        if ((encoded[c >> 5] & (1U << (c & 0x1f))) == 0) {

            if (dst != NULL) {
                dst[len] = c;
            }

            len++;
            continue;
        }

        if (dst != NULL) {
            dst[len] = '%';
            dst[len + 1] = hex[c >> 4];
            dst[len + 2] = hex[c & 0x0f];
        }

        len += 3;
    }

    return len;
}


/* links expire at multiples of a quarter of their life, so that the page stays
   the same for that long */

static ngx_int_t
ngx_http_exports_user_expiry(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    u_char                         *p;
    time_t                          ttl, quarter, expires;
    ngx_http_exports_user_args_t   *ua;

    ua = ctx->args;
    ttl = ctx->conf->link_ttl;

    quarter = ttl / 4;
    expires = (time_t) (ctx->now / 1000000) + ttl;
    expires = (expires + quarter - 1) / quarter * quarter;

    ctx->version.expires = (uint64_t) expires;

    p = ngx_pnalloc(r->pool, sizeof(NGX_HTTP_EXPORTS_EXPIRES) - 1
                             + EXPORTS_DECIMAL_MAX);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ua->expiry.data = p;

    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_EXPIRES);
    p += exports_decimal((char *) p, ctx->version.expires);

    ua->expiry.len = p - ua->expiry.data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_user_query(ngx_http_request_t *r,
    ngx_http_exports_user_args_t *ua)
{
    size_t       len;
    u_char      *p;
    unsigned     status;
    ngx_uint_t   i;

    len = EXPORTS_STATUSES
              * (sizeof(NGX_HTTP_EXPORTS_Q_STATUS) + EXPORTS_STATUS_NAME_MAX)
          + sizeof(NGX_HTTP_EXPORTS_Q_SUBJECT_TYPE)
          + sizeof(NGX_HTTP_EXPORTS_Q_SUBJECT_ID) + NGX_INT64_LEN
          + sizeof(NGX_HTTP_EXPORTS_Q_PER_PAGE) + NGX_INT64_LEN;

    for (i = 0; i < ua->ntypes; i++) {
        len += sizeof(NGX_HTTP_EXPORTS_Q_TYPE) + 3 * ua->types[i].len;
    }

    if (ua->given & EXPORTS_FACET_SUBJECT_TYPE) {
        len += 3 * ua->subject_type.len;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ua->query.data = p;

    for (status = 0; ua->statuses >> status; status++) {
        if (ua->statuses & (1U << status)) {
            p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_Q_STATUS);
            p = ngx_sprintf(p, "%s&", exports_status_name(status));
        }
    }

    for (i = 0; i < ua->ntypes; i++) {
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_Q_TYPE);
        p = ngx_http_exports_user_component(p, &ua->types[i]);
    }

    if (ua->given & EXPORTS_FACET_SUBJECT_TYPE) {
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_Q_SUBJECT_TYPE);
        p = ngx_http_exports_user_component(p, &ua->subject_type);
    }

    if (ua->given & EXPORTS_FACET_SUBJECT_ID) {
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_Q_SUBJECT_ID);
        p = ngx_http_exports_user_integer(p, ua->subject_id);
    }

    if (ua->per_page_given) {
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_Q_PER_PAGE);
        p = ngx_sprintf(p, "%ui&", ua->per_page);
    }

    ua->query.len = p - ua->query.data;

    return NGX_OK;
}


/* not by "%L": ngx_sprintf() negates the number: INT64_MIN would overflow */

static u_char *
ngx_http_exports_user_integer(u_char *p, int64_t number)
{
    if (number >= 0) {
        return ngx_sprintf(p, "%uL&", (uint64_t) number);
    }

    return ngx_sprintf(p, "-%uL&", 0 - (uint64_t) number);
}


static u_char *
ngx_http_exports_user_component(u_char *p, const ngx_str_t *value)
{
    p = (u_char *) ngx_escape_uri(p, value->data, value->len,
                                  NGX_ESCAPE_URI_COMPONENT);
    *p++ = '&';

    return p;
}
