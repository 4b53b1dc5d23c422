
/* what messages about a request end with, and how often they are written */

#include "ngx_http_exports.h"


#define NGX_HTTP_EXPORTS_LOG_PLACES  64


/* a subject of messages, and when one was last written about it */

typedef struct {
    uint32_t    hash;
    time_t      last;
    ngx_uint_t  skipped;
} ngx_http_exports_log_place_t;


static u_char *ngx_http_exports_log_request(ngx_log_t *log, u_char *buf,
    size_t len);
static ngx_str_t ngx_http_exports_log_path(const ngx_str_t *uri);
static u_char *ngx_http_exports_log_without_args(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);
static size_t ngx_http_exports_log_cut(const ngx_str_t *text);


static ngx_http_log_handler_pt  ngx_http_exports_next_log_handler;


/*
 * nginx ends messages about a request with the request line, which has the
 * signature of a link.  Ours end with the path and the request ID
 */

ngx_log_t *
ngx_http_exports_log(ngx_http_request_t *r)
{
    static ngx_log_t  log;

    log = *r->connection->log;
    log.handler = ngx_http_exports_log_request;
    log.data = r;

    return &log;
}


/*
 * Clients that poll a damaged page would fill the disk with messages.  Subjects
 * are told apart by a hash; two that share a place are each logged more often,
 * not less
 */

ngx_uint_t
ngx_http_exports_log_due(ngx_http_request_t *r, ngx_str_t *subject)
{
    uint32_t                        hash;
    ngx_http_exports_log_place_t   *place;

    static ngx_http_exports_log_place_t  places[NGX_HTTP_EXPORTS_LOG_PLACES];

    hash = ngx_crc32_short(subject->data, subject->len);
    place = &places[hash % NGX_HTTP_EXPORTS_LOG_PLACES];

    if (place->hash != hash) {
        place->hash = hash;
        place->skipped = 0;

    } else if (place->last == ngx_time()) {
        place->skipped++;
        return 0;
    }

    place->last = ngx_time();

    if (place->skipped > 0) {
        ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(r), 0,
                      "%ui messages about \"%V\", which cannot be read, were "
                      "left out", place->skipped, subject);
        place->skipped = 0;
    }

    return 1;
}


static u_char *
ngx_http_exports_log_request(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                    *p;
    ngx_str_t                  path;
    ngx_http_request_t        *r;
    ngx_http_exports_ctx_t    *ctx;
    ngx_http_core_srv_conf_t  *cscf;

    r = log->data;
    ctx = ngx_http_get_module_ctx(r, ngx_http_exports_module);
    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    path = ngx_http_exports_log_path(&r->unparsed_uri);

    p = ngx_snprintf(buf, len, ", client: %V, server: %V, request: \"%V %V\"",
                     &r->connection->addr_text, &cscf->server_name,
                     &r->method_name, &path);

    if (ctx != NULL) {
        p = ngx_snprintf(p, len - (p - buf), ", request ID: %*s",
                         (size_t) NGX_HTTP_EXPORTS_REQUEST_ID_LEN,
                         ctx->request_id);
    }

    return p;
}


/*
 * As the client sent it: a decoded path could end the line and forge another.
 * Cut off at "%3f", too, for in a link that a client has encoded as a whole the
 * signature is a part of the path
 */

static ngx_str_t
ngx_http_exports_log_path(const ngx_str_t *uri)
{
    u_char     *p, *last;
    ngx_str_t   path;

    last = uri->data + uri->len;

    for (p = uri->data; p < last; p++) {
        if (*p == '?' || *p == '#'
            || (last - p > 2 && ngx_strncasecmp(p, (u_char *) "%3f", 3) == 0))
        {
            break;
        }
    }

    path.data = uri->data;
    path.len = p - uri->data;

    return path;
}


/*
 * nginx's own messages end with the request line and with the URI that an
 * upstream is asked for, the fallback's for instance, and so with the signature
 */

void
ngx_http_exports_hide_args(ngx_http_request_t *r)
{
    ngx_http_request_t  *mr;

    mr = r->main;

    if (mr->log_handler != ngx_http_exports_log_without_args) {
        ngx_http_exports_next_log_handler = mr->log_handler;
        mr->log_handler = ngx_http_exports_log_without_args;
    }
}


static u_char *
ngx_http_exports_log_without_args(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len)
{
    ngx_str_t             line, uri;
    ngx_http_upstream_t  *u;

    u = sr->upstream;

    line = r->request_line;
    r->request_line.len = ngx_http_exports_log_cut(&line);

    ngx_str_null(&uri);

    if (u != NULL) {
        uri = u->uri;
        u->uri.len = ngx_http_exports_log_cut(&uri);
    }

    buf = ngx_http_exports_next_log_handler(r, sr, buf, len);

    r->request_line = line;

    if (u != NULL) {
        u->uri = uri;
    }

    return buf;
}


/* the length without arguments */

static size_t
ngx_http_exports_log_cut(const ngx_str_t *text)
{
    u_char  *p;

    p = ngx_strlchr(text->data, text->data + text->len, '?');

    return p != NULL ? (size_t) (p - text->data) : text->len;
}
