
/* headers: one more, all gone but some, and sent */

#include "ngx_http_exports.h"


/* what an unsatisfiable range leaves of a download */

static ngx_str_t  ngx_http_exports_range_kept[] = {
    ngx_string("Content-Range"),
    ngx_null_string
};

static ngx_str_t  ngx_http_exports_none_kept[] = {
    ngx_null_string
};

/* of those that nginx keeps of an answer with X-Accel-Redirect */

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


/* of all headers those that are named stay, and so does what nginx made */

void
ngx_http_exports_drop_headers(ngx_http_request_t *r, ngx_str_t *kept)
{
    r->headers_out.server = NULL;
    r->headers_out.date = NULL;
    r->headers_out.location = NULL;
    r->headers_out.refresh = NULL;
    r->headers_out.www_authenticate = NULL;
    r->headers_out.expires = NULL;

    /* then it is printed from the number, which stays */

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


/* before ours are added: two that contradict each other are none */

void
ngx_http_exports_drop_brought(ngx_http_request_t *r)
{
    r->headers_out.expires = NULL;

    ngx_memzero(&r->headers_out.cache_control,
                sizeof(r->headers_out.cache_control));

    ngx_http_exports_drop(r, ngx_http_exports_brought, 1);
}


/* those of the names, or all others */

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

    /* that of a range which cannot be satisfied goes with the status */

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


/* what nginx then sends, be it an error_page of the location, is not ours */

ngx_int_t
ngx_http_exports_send_headers(ngx_http_request_t *r)
{
    ngx_int_t  rc;

    rc = ngx_http_send_header(r);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE && !r->header_sent) {
        ngx_http_exports_retract(r, rc);
    }

    /* nginx takes it for a failure, and would close the connection, on which
       that of a precondition is answered as well as any other error */

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
