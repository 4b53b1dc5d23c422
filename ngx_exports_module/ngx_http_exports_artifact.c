
/* artifacts below "exports_root"; the headers of all artifacts */

#include "ngx_http_exports.h"

#include "exports_artifact.h"


static ngx_int_t ngx_http_exports_artifact_body(ngx_http_request_t *r,
    ngx_buf_t *b, ngx_file_info_t *fi);
static ngx_int_t ngx_http_exports_artifact_open(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_file_t *file);
static ngx_int_t ngx_http_exports_artifact_path(ngx_pool_t *pool,
    ngx_str_t *root, ngx_str_t *key, ngx_str_t *path);
static ngx_int_t ngx_http_exports_artifact_failed(ngx_http_request_t *r,
    ngx_err_t err, ngx_str_t *path);
static ngx_int_t ngx_http_exports_artifact_stat(ngx_http_request_t *r,
    ngx_file_t *file, ngx_file_info_t *fi);

static void ngx_http_exports_content_type(ngx_http_request_t *r,
    ngx_str_t *type);
static ngx_int_t ngx_http_exports_disposition(ngx_http_request_t *r,
    ngx_str_t *name);
static ngx_uint_t ngx_http_exports_is_ascii(ngx_str_t *name);
static u_char *ngx_http_exports_quoted(u_char *p, ngx_str_t *name);
static u_char *ngx_http_exports_extended(u_char *p, ngx_str_t *name);
static size_t ngx_http_exports_control(u_char *p, u_char *last);


char *
ngx_http_exports_check_root(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t *root = data;

    if (root->len == 0) {
        return "is empty";
    }

    if (ngx_conf_full_name(cf->cycle, root, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    while (root->len > 1 && root->data[root->len - 1] == '/') {
        root->data[--root->len] = '\0';
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_exports_is_local(ngx_str_t *backend)
{
    return backend->len == sizeof(EXPORTS_BACKEND_LOCAL) - 1
           && ngx_strncmp(backend->data, EXPORTS_BACKEND_LOCAL, backend->len)
              == 0;
}


ngx_int_t
ngx_http_exports_artifact_send(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t         rc;
    ngx_buf_t        *b;
    ngx_file_info_t   fi;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->file = ngx_pcalloc(r->pool, sizeof(ngx_file_t));
    if (b->file == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_exports_artifact_open(r, ctx, b->file);

    if (rc == NGX_OK) {
        rc = ngx_http_exports_artifact_stat(r, b->file, &fi);
    }

    /* answered here: a status that is returned would go to error_page */

    if (rc == NGX_ERROR) {
        return ngx_http_exports_send_error(r, ctx,
                        ngx_http_exports_error_of_status(r,
                                              NGX_HTTP_INTERNAL_SERVER_ERROR));
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_exports_send_error(r, ctx,
                        ngx_http_exports_error(NGX_HTTP_EXPORTS_NO_ARTIFACT));
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->connection->log->action = "sending response to client";

    r->headers_out.status = NGX_HTTP_OK;
    ngx_http_exports_clear_headers(r);
    r->headers_out.content_length_n = ngx_file_size(&fi);
    r->headers_out.last_modified_time = ngx_file_mtime(&fi);

    if (ngx_http_set_etag(r) != NGX_OK
        || ngx_http_exports_artifact_headers(r, ctx) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_exports_artifact_body(r, b, &fi);
}


static ngx_int_t
ngx_http_exports_artifact_body(ngx_http_request_t *r, ngx_buf_t *b,
    ngx_file_info_t *fi)
{
    ngx_int_t    rc;
    ngx_chain_t  out;

    if (r != r->main && ngx_file_size(fi) == 0) {
        return ngx_http_send_header(r);
    }

    r->allow_ranges = 1;

    /* a range or a condition that does not hold comes back as an error */

    rc = ngx_http_exports_send_headers(r);

    if (rc == NGX_DONE) {
        return NGX_OK;
    }

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->file_last = ngx_file_size(fi);
    b->in_file = b->file_last ? 1 : 0;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


/* for any artifact, local or not: what its manifest says, and our own */

ngx_int_t
ngx_http_exports_artifact_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_http_exports_artifact_t  *artifact;

    artifact = ctx->artifact;

    ngx_http_exports_drop_brought(r);
    ngx_http_exports_content_type(r, &artifact->content_type);

    if (ngx_http_exports_disposition(r, artifact->name.len > 0
                                        ? &artifact->name : &ctx->id)
        != NGX_OK
        || ngx_http_exports_header(r, "X-Content-Type-Options", "nosniff")
           == NULL
        || ngx_http_exports_header(r, "Cache-Control", "private, no-cache")
           == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_http_exports_request_id_header(r, ctx);
}


/* NGX_DECLINED: there is no artifact that can be sent, which is logged */

static ngx_int_t
ngx_http_exports_artifact_open(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_file_t *file)
{
    ngx_fd_t                  root;
    ngx_err_t                 err;
    ngx_str_t                *key;
    ngx_pool_cleanup_t       *cln;
    ngx_pool_cleanup_file_t  *clnf;

    file->log = r->connection->log;

    if (ctx->conf->root.len == 0) {
        ngx_log_error(NGX_LOG_ERR, ngx_http_exports_log(r), 0,
                      "no \"exports_root\" for the local artifact of "
                      "export \"%V\"", &ctx->id);
        return NGX_DECLINED;
    }

    key = &ctx->artifact->storage_key;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_pool_cleanup_file_t));

    if (cln == NULL
        || ngx_http_exports_artifact_path(r->pool, &ctx->conf->root, key,
                                          &file->name)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* the root is opened each time, for it may have been replaced */

    root = open((char *) ctx->conf->root.data, O_PATH|O_DIRECTORY|O_CLOEXEC);

    if (root == NGX_INVALID_FILE) {
        return ngx_http_exports_artifact_failed(r, ngx_errno,
                                                &ctx->conf->root);
    }

    file->fd = exports_artifact_open(root, (char *) key->data,
                                     O_RDONLY|O_LARGEFILE);
    err = ngx_errno;

    (void) ngx_close_file(root);

    if (file->fd == NGX_INVALID_FILE) {
        return ngx_http_exports_artifact_failed(r, err, &file->name);
    }

    cln->handler = ngx_pool_cleanup_file;

    clnf = cln->data;
    clnf->fd = file->fd;
    clnf->name = file->name.data;
    clnf->log = r->pool->log;

    return NGX_OK;
}


/* for messages only: nothing is opened by this path */

static ngx_int_t
ngx_http_exports_artifact_path(ngx_pool_t *pool, ngx_str_t *root,
    ngx_str_t *key, ngx_str_t *path)
{
    u_char  *p;

    p = ngx_pnalloc(pool, root->len + 1 + key->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    path->data = p;
    path->len = root->len + 1 + key->len;

    p = ngx_cpymem(p, root->data, root->len);
    *p++ = '/';
    p = ngx_cpymem(p, key->data, key->len);
    *p = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_artifact_failed(ngx_http_request_t *r, ngx_err_t err,
    ngx_str_t *path)
{
    ngx_log_t  *log;

    log = ngx_http_exports_log(r);

    switch (err) {

    case NGX_EXDEV:
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "exports artifact \"%V\" is a symlink out of "
                      "\"exports_root\", or an absolute one", path);
        return NGX_DECLINED;

    case NGX_ENOENT:
    case NGX_ENOTDIR:
    case NGX_ENAMETOOLONG:
    case NGX_EACCES:
    case NGX_EPERM:
    case NGX_ELOOP:
    case ENXIO:
        ngx_log_error(NGX_LOG_ERR, log, err,
                      "exports artifact: opening \"%V\" failed", path);
        return NGX_DECLINED;

    default:
        ngx_log_error(NGX_LOG_CRIT, log, err,
                      "exports artifact: opening \"%V\" failed", path);
        return NGX_ERROR;
    }
}


/* a storage key may also name a directory or a device */

static ngx_int_t
ngx_http_exports_artifact_stat(ngx_http_request_t *r, ngx_file_t *file,
    ngx_file_info_t *fi)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (ngx_fd_info(file->fd, fi) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(r), ngx_errno,
                      ngx_fd_info_n " \"%V\" failed", &file->name);
        return NGX_ERROR;
    }

    if (!ngx_is_file(fi)) {
        ngx_log_error(NGX_LOG_ERR, ngx_http_exports_log(r), 0,
                      "exports artifact \"%V\" is not a regular file",
                      &file->name);
        return NGX_DECLINED;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->read_ahead
        && ngx_file_size(fi) > (off_t) clcf->read_ahead
        && ngx_read_ahead(file->fd, clcf->read_ahead) == NGX_ERROR)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_http_exports_log(r), ngx_errno,
                      ngx_read_ahead_n " \"%V\" failed", &file->name);
    }

    if (clcf->directio <= ngx_file_size(fi)) {

        if (ngx_directio_on(file->fd) == NGX_FILE_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, ngx_http_exports_log(r), ngx_errno,
                          ngx_directio_on_n " \"%V\" failed", &file->name);
        } else {
            file->directio = 1;
        }
    }

    return NGX_OK;
}


/* the type is sent as it is; the charset filter has to know its charset */

static void
ngx_http_exports_content_type(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char  *p, *last, *end;

    ngx_str_set(&r->headers_out.content_type, "application/octet-stream");
    ngx_str_null(&r->headers_out.charset);

    last = type->data + type->len;

    for (p = type->data; p < last && *p >= 0x20 && *p < 0x7f; p++) {
        /* void */
    }

    if (type->len > 0 && p == last) {
        r->headers_out.content_type = *type;
    }

    type = &r->headers_out.content_type;

    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    last = type->data + type->len;

    p = ngx_strlchr(type->data, last, ';');

    if (p == NULL) {
        return;
    }

    /* gzip_types and the like compare the type without its parameters */

    for (end = p; end > type->data && end[-1] == ' '; end--) { /* void */ }

    r->headers_out.content_type_len = end - type->data;

    p = ngx_strlcasestrn(p, last, (u_char *) "charset=", 8 - 1);

    if (p == NULL) {
        return;
    }

    p += 8;

    if (p < last && *p == '"') {
        p++;
    }

    for (end = p; end < last && *end != ';' && *end != '"' && *end != ' ';
         end++)
    {
        /* void */
    }

    r->headers_out.charset.data = p;
    r->headers_out.charset.len = end - p;
}


/* RFC 6266: a name that is not ASCII goes into filename*, too */

static ngx_int_t
ngx_http_exports_disposition(ngx_http_request_t *r, ngx_str_t *name)
{
    u_char  *p, *value;

    value = ngx_pnalloc(r->pool,
                        sizeof("attachment; filename=\"\"; filename*=UTF-8''")
                        + 5 * name->len);
    if (value == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_exports_cpylit(value, "attachment; filename=\"");
    p = ngx_http_exports_quoted(p, name);
    *p++ = '"';

    if (!ngx_http_exports_is_ascii(name)) {
        p = ngx_http_exports_cpylit(p, "; filename*=UTF-8''");
        p = ngx_http_exports_extended(p, name);
    }

    return ngx_http_exports_add_header(r, "Content-Disposition",
                                       sizeof("Content-Disposition") - 1,
                                       value, p - value)
           != NULL ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_exports_is_ascii(ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < name->len; i++) {
        if (name->data[i] >= 0x80) {
            return 0;
        }
    }

    return 1;
}


/* at most two bytes for each; a character that is not ASCII becomes "_" */

static u_char *
ngx_http_exports_quoted(u_char *p, ngx_str_t *name)
{
    u_char  *s, *last;

    last = name->data + name->len;

    for (s = name->data; s < last; s++) {

        if (*s >= 0x80 && *s < 0xc0) {
            continue;
        }

        if (*s >= 0x80 || ngx_http_exports_control(s, last)) {
            *p++ = '_';
            continue;
        }

        if (*s == '"' || *s == '\\') {
            *p++ = '\\';
        }

        *p++ = *s;
    }

    return p;
}


/* RFC 8187: at most three bytes for each */

static u_char *
ngx_http_exports_extended(u_char *p, ngx_str_t *name)
{
    size_t         n;
    u_char        *s, *last;
    static u_char  hex[] = "0123456789ABCDEF";

    last = name->data + name->len;

    for (s = name->data; s < last; s++) {

        n = ngx_http_exports_control(s, last);

        if (n > 0) {
            *p++ = '_';
            s += n - 1;
            continue;
        }

        if ((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z')
            || (*s >= 'A' && *s <= 'Z')
            || ngx_strchr("!#$&+-.^_`|~", *s) != NULL)
        {
            *p++ = *s;
            continue;
        }

        *p++ = '%';
        *p++ = hex[*s >> 4];
        *p++ = hex[*s & 0xf];
    }

    return p;
}


/* the length of a control character; 0: there is none */

static size_t
ngx_http_exports_control(u_char *p, u_char *last)
{
    if (*p < 0x20 || *p == 0x7f) {
        return 1;
    }

    /* U+0080 to U+009F */

    if (*p == 0xc2 && last - p > 1 && p[1] >= 0x80 && p[1] < 0xa0) {
        return 2;
    }

    return 0;
}
