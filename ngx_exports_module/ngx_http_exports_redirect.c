
/*
 * Artifacts of other backends: an internal redirect fetches them.  Of its
 * answer only the bytes, and the headers that describe them, reach the client.
 */

#include "ngx_http_exports.h"


#define NGX_HTTP_EXPORTS_RANGES  "multipart/byteranges;"


static ngx_http_exports_redirect_t *ngx_http_exports_redirect_find(
    ngx_array_t *redirects, ngx_str_t *backend);
static ngx_int_t ngx_http_exports_redirect_uri(ngx_pool_t *pool,
    ngx_str_t *prefix, ngx_str_t *key, ngx_str_t *uri);
static ngx_int_t ngx_http_exports_drop_credentials(ngx_http_request_t *r);
static ngx_int_t ngx_http_exports_drop_variables(ngx_http_request_t *r);
static void ngx_http_exports_redirect_go(ngx_http_request_t *r);
static ngx_int_t ngx_http_exports_drop_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_exports_storage_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
static ngx_int_t ngx_http_exports_storage_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);


/* what the client has sent to us, and the storage must not get */

static ngx_str_t  ngx_http_exports_credentials[] = {
    ngx_string("Authorization"),
    ngx_string("Proxy-Authorization"),
    ngx_string("Cookie"),
    ngx_null_string
};

/* the same as variables, which keep the value they were first read with */

static ngx_str_t  ngx_http_exports_credential_variables[] = {
    ngx_string("http_authorization"),
    ngx_string("http_proxy_authorization"),
    ngx_string("http_cookie"),
    ngx_null_string
};

/* what describes the bytes that the storage sends */

static ngx_str_t  ngx_http_exports_storage_kept[] = {
    ngx_string("Accept-Ranges"),
    ngx_string("Content-Encoding"),
    ngx_string("Content-Range"),
    ngx_string("ETag"),
    ngx_string("Last-Modified"),
    ngx_string("Vary"),
    ngx_null_string
};


ngx_int_t
ngx_http_exports_redirect(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_http_exports_artifact_t  *artifact;
    ngx_http_exports_redirect_t  *redirect;

    artifact = ctx->artifact;

    redirect = ngx_http_exports_redirect_find(ctx->conf->redirects,
                                              &artifact->storage_backend);

    if (redirect == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_http_exports_log(r), 0,
                      "no \"exports_redirect\" for the backend \"%V\" of "
                      "export \"%V\"", &artifact->storage_backend, &ctx->id);

        return ngx_http_exports_send_error(r, ctx,
                        ngx_http_exports_error(NGX_HTTP_EXPORTS_NO_ARTIFACT));
    }

    if (ngx_http_exports_redirect_uri(r->pool, &redirect->prefix,
                                      &artifact->storage_key, &artifact->uri)
        != NGX_OK
        || ngx_http_exports_drop_credentials(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    artifact->http_version = r->http_version;

    /*
     * a request body would be sent to the storage, or, if it were discarded,
     * the storage would wait for it
     */

    rc = ngx_http_read_client_request_body(r, ngx_http_exports_redirect_go);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


char *
ngx_http_exports_conf_redirect(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_exports_loc_conf_t *elcf = conf;

    size_t                        i;
    ngx_str_t                    *value;
    ngx_http_exports_redirect_t  *redirect;

    value = cf->args->elts;

    if (value[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "empty name of a backend");
        return NGX_CONF_ERROR;
    }

    if (ngx_http_exports_is_local(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "artifacts of the backend \"local\" lie below "
                           "\"exports_root\"");
        return NGX_CONF_ERROR;
    }

    if (value[2].len == 0 || value[2].data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid URI prefix \"%V\", it must begin with "
                           "\"/\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < value[2].len; i++) {
        if (value[2].data[i] < 0x20 || value[2].data[i] == 0x7f
            || value[2].data[i] == '?' || value[2].data[i] == '$')
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid URI prefix \"%V\", it must not have "
                               "arguments, variables or control characters",
                               &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_exports_redirect_find(elcf->redirects, &value[1]) != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate backend \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (elcf->redirects == NULL || elcf->redirects == NGX_CONF_UNSET_PTR) {
        elcf->redirects = ngx_array_create(cf->pool, 2,
                                         sizeof(ngx_http_exports_redirect_t));
        if (elcf->redirects == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    redirect = ngx_array_push(elcf->redirects);
    if (redirect == NULL) {
        return NGX_CONF_ERROR;
    }

    redirect->backend = value[1];
    redirect->prefix = value[2];

    return NGX_CONF_OK;
}


static ngx_http_exports_redirect_t *
ngx_http_exports_redirect_find(ngx_array_t *redirects, ngx_str_t *backend)
{
    ngx_uint_t                    i;
    ngx_http_exports_redirect_t  *redirect;

    if (redirects == NULL || redirects == NGX_CONF_UNSET_PTR) {
        return NULL;
    }

    redirect = redirects->elts;

    for (i = 0; i < redirects->nelts; i++) {
        if (redirect[i].backend.len == backend->len
            && ngx_memcmp(redirect[i].backend.data, backend->data,
                          backend->len)
               == 0)
        {
            return &redirect[i];
        }
    }

    return NULL;
}


/* not escaped, like r->uri: whoever fetches it escapes it */

static ngx_int_t
ngx_http_exports_redirect_uri(ngx_pool_t *pool, ngx_str_t *prefix,
    ngx_str_t *key, ngx_str_t *uri)
{
    u_char  *p;

    uri->len = prefix->len + key->len;

    p = ngx_pnalloc(pool, uri->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    uri->data = p;

    p = ngx_cpymem(p, prefix->data, prefix->len);
    (void) ngx_cpymem(p, key->data, key->len);

    return NGX_OK;
}


/*
 * Makes a new list, for a subrequest shares the elements of its list with the
 * main request, which must keep them.
 */

static ngx_int_t
ngx_http_exports_drop_credentials(ngx_http_request_t *r)
{
    ngx_list_t        old;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *header;

    old = r->headers_in.headers;

    if (ngx_list_init(&r->headers_in.headers, r->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (part = &old.part; part != NULL; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (ngx_http_exports_is_listed(&header[i].key,
                                           ngx_http_exports_credentials)) {
                continue;
            }

            h = ngx_list_push(&r->headers_in.headers);
            if (h == NULL) {
                return NGX_ERROR;
            }

            *h = header[i];
        }
    }

    /* variables are made from these */

    r->headers_in.authorization = NULL;

#if (nginx_version >= 1023000)
    r->headers_in.cookie = NULL;
#else
    ngx_memzero(&r->headers_in.cookies, sizeof(ngx_array_t));
#endif

    return ngx_http_exports_drop_variables(r);
}


/*
 * nginx remembers the values of variables, such as that of a limit_req by
 * token.  They are forgotten in a copy, for the main request keeps its own.
 */

static ngx_int_t
ngx_http_exports_drop_variables(ngx_http_request_t *r)
{
    size_t                      size;
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_variable_value_t  *values;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    size = cmcf->variables.nelts * sizeof(ngx_http_variable_value_t);

    values = ngx_palloc(r->pool, size);
    if (values == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(values, r->variables, size);

    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (ngx_http_exports_is_listed(&v[i].name,
                                       ngx_http_exports_credential_variables)
            || (v[i].name.len >= sizeof("cookie_") - 1
                && ngx_strncmp(v[i].name.data, "cookie_",
                               sizeof("cookie_") - 1)
                   == 0))
        {
            values[i].valid = 0;
            values[i].not_found = 0;
        }
    }

    r->variables = values;

    return NGX_OK;
}


/* called when all of the client's body has been read */

static void
ngx_http_exports_redirect_go(ngx_http_request_t *r)
{
    ngx_http_exports_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_exports_module);

    if (ngx_http_exports_drop_body(r) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "exports artifact in storage: \"%V\"", &ctx->artifact->uri);

    ctx->redirected = 1;

    /* no error pages: our filter has to see a failure, to answer it */

    r->error_page = 1;

    (void) ngx_http_internal_redirect(r, &ctx->artifact->uri, NULL);

    ngx_http_finalize_request(r, NGX_DONE);
}


/* replaces it by an empty one, for a subrequest shares the main request's */

static ngx_int_t
ngx_http_exports_drop_body(ngx_http_request_t *r)
{
    r->request_body = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    if (r->request_body == NULL) {
        return NGX_ERROR;
    }

    r->headers_in.content_length = NULL;
    r->headers_in.content_length_n = -1;
    r->headers_in.chunked = 0;

    return NGX_OK;
}


/* the answer of the location that we redirected to */

ngx_int_t
ngx_http_exports_storage_answer(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    /* nginx takes an upstream's answer without a status line for HTTP/0.9, and
       would send no headers */

    r->http_version = ctx->artifact->http_version;

    if (r->err_status == 0
        && (r->headers_out.status == NGX_HTTP_OK
            || r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
            || r->headers_out.status == NGX_HTTP_NOT_MODIFIED))
    {
        return ngx_http_exports_storage_headers(r, ctx);
    }

    return ngx_http_exports_storage_error(r, ctx);
}


static ngx_int_t
ngx_http_exports_storage_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_str_t  type;

    type = r->headers_out.content_type;

    ngx_http_exports_drop_headers(r, ngx_http_exports_storage_kept);

    if (ngx_http_exports_artifact_headers(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    /* multipart: the type has the boundary, and each part a type of its own */

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        && type.len >= sizeof(NGX_HTTP_EXPORTS_RANGES) - 1
        && ngx_strncasecmp(type.data, (u_char *) NGX_HTTP_EXPORTS_RANGES,
                           sizeof(NGX_HTTP_EXPORTS_RANGES) - 1)
           == 0)
    {
        r->headers_out.content_type = type;
        r->headers_out.content_type_len = type.len;
        r->headers_out.content_type_lowcase = NULL;
        ngx_str_null(&r->headers_out.charset);
    }

    if (r->headers_out.status == NGX_HTTP_NOT_MODIFIED) {
        ngx_str_null(&r->headers_out.content_type);
    }

    return NGX_OK;
}


/*
 * For an upstream the status is returned: nginx then gives up its answer and
 * the connection to the storage, and comes here again with that status as an
 * error of its own.  But an answer that nginx may cache is read to its end, so
 * its body is replaced at once.  So is that of other handlers, some of which
 * would ignore a returned status.
 */

static ngx_int_t
ngx_http_exports_storage_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_uint_t                       level;
    const ngx_http_exports_error_t  *err;

    level = NGX_LOG_ERR;

    switch (r->headers_out.status) {

    case NGX_HTTP_NOT_FOUND:
        err = ngx_http_exports_error(NGX_HTTP_EXPORTS_NO_ARTIFACT);
        break;

    case NGX_HTTP_PRECONDITION_FAILED:
    case NGX_HTTP_RANGE_NOT_SATISFIABLE:

        /* the client's condition or range fails */

        level = NGX_LOG_INFO;
        err = ngx_http_exports_error_of_status(r, r->headers_out.status);
        break;

    default:
        err = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_GATEWAY);
    }

    if (!ctx->storage_failed) {
        ctx->storage_failed = 1;

        ngx_log_error(level, ngx_http_exports_log(r), 0,
                      "storage \"%V\" answered %ui for export \"%V\"",
                      &ctx->artifact->storage_backend, r->headers_out.status,
                      &ctx->id);
    }

    r->headers_out.status = err->status;
    r->headers_out.status_line.len = 0;

    if (r->err_status == 0 && r->upstream != NULL && !r->upstream->cacheable) {
        return err->status;
    }

    r->err_status = err->status;
    ctx->now = exports_time_now();

    return ngx_http_exports_replace(r, ctx, err);
}
