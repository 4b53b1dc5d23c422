
/* response headers: added, dropped and sent */

#include "ngx_http_exports.h"


/* a 416 keeps this header of a download */

static ngx_str_t  ngx_http_exports_range_kept[] = {
    ngx_string("Content-Range"),
    ngx_null_string
};

static ngx_str_t  ngx_http_exports_none_kept[] = {
    ngx_null_string
};

/* some of those that nginx keeps of an answer with X-Accel-Redirect */

static ngx_str_t  ngx_http_exports_brought[] = {
    ngx_string("Cache-Control"),
    ngx_string("Content-Disposition"),
    ngx_string("Expires"),
    ngx_null_string
};


static void ngx_http_exports_drop(ngx_http_request_t *r, ngx_str_t *names,
    ngx_uint_t listed);


ngx_table_elt_t *
ngx_http_exports_add_header(ngx_http_request_t *r, const char *name,
    size_t name_len, u_char *value, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = name_len;
    h->value.data = value;
    h->value.len = len;

#if (nginx_version >= 1023000)
    h->next = NULL;
#endif

    return h;
}


void
ngx_http_exports_drop_headers(ngx_http_request_t *r, ngx_str_t *kept)
{
    r->headers_out.server = NULL;
    r->headers_out.date = NULL;
    r->headers_out.location = NULL;
    r->headers_out.refresh = NULL;
    r->headers_out.www_authenticate = NULL;
    r->headers_out.expires = NULL;

    /* the header is then made from content_length_n, which stays */

    r->headers_out.content_length = NULL;
    r->headers_out.override_charset = NULL;

    /* an array or a pointer, by the version of nginx */

    ngx_memzero(&r->headers_out.cache_control,
                sizeof(r->headers_out.cache_control));
    ngx_memzero(&r->headers_out.link, sizeof(r->headers_out.link));

    ngx_http_exports_drop(r, kept, 0);

    if (r->headers_out.content_encoding
        && r->headers_out.content_encoding->hash == 0)
    {
        r->headers_out.content_encoding = NULL;
    }
}


/* before our own are added: of two that contradict each other neither counts */

void
ngx_http_exports_drop_brought(ngx_http_request_t *r)
{
    r->headers_out.expires = NULL;

    ngx_memzero(&r->headers_out.cache_control,
                sizeof(r->headers_out.cache_control));

    ngx_http_exports_drop(r, ngx_http_exports_brought, 1);
}


/* drops the named headers, or, if "listed" is 0, all others */

static void
ngx_http_exports_drop(ngx_http_request_t *r, ngx_str_t *names,
    ngx_uint_t listed)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_exports_is_listed(&h[i].key, names) == listed) {
                h[i].hash = 0;
            }
        }
    }
}


void
ngx_http_exports_clear_headers(ngx_http_request_t *r)
{
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    /* a 416 has to have it */

    if (r->headers_out.content_range != NULL
        && r->headers_out.status != NGX_HTTP_RANGE_NOT_SATISFIABLE)
    {
        r->headers_out.content_range->hash = 0;
        r->headers_out.content_range = NULL;
    }

    if (r->headers_out.content_encoding != NULL) {
        r->headers_out.content_encoding->hash = 0;
        r->headers_out.content_encoding = NULL;
    }
}


void
ngx_http_exports_retract(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_http_exports_drop_headers(r, status == NGX_HTTP_RANGE_NOT_SATISFIABLE
                                         ? ngx_http_exports_range_kept
                                         : ngx_http_exports_none_kept);
    ngx_http_exports_clear_headers(r);
}


/* what nginx sends after a refusal, such as an error_page, is not ours */

ngx_int_t
ngx_http_exports_send_headers(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_send_header(r);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE && !r->header_sent) {
        ngx_http_exports_retract(r, rc);
    }

    /* a filter that has answered by ngx_http_filter_finalize_request(), such
       as a 412, returns a failure: nginx would close the connection, though
       the answer is complete */

    if ((rc == NGX_ERROR || rc == NGX_AGAIN) && r->filter_finalize
        && r->header_sent && !r->connection->error)
    {
        r->filter_finalize = 0;
        return NGX_DONE;
    }

    return rc;
}


ngx_uint_t
ngx_http_exports_is_listed(ngx_str_t *header, ngx_str_t *names)
{
    for ( /* void */ ; names->len > 0; names++) {
        if (names->len == header->len
            && ngx_strncasecmp(names->data, header->data, header->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}
