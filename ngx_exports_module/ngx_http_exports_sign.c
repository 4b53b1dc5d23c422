
/* signed links: whoever has one may download until it expires */

#include "ngx_http_exports.h"
#include "exports_digest.h"

#include <openssl/crypto.h>
#include <xxhash.h>


#define NGX_HTTP_EXPORTS_KEY_MIN       32
#define NGX_HTTP_EXPORTS_KEY_FILE_MAX  65536

/* {prefix}/{uuid}/download?expires={19 digits} */
#define NGX_HTTP_EXPORTS_EXPIRES_LEN   19


static ngx_int_t ngx_http_exports_read_keys(ngx_conf_t *cf, ngx_str_t *path,
    u_char *buf, size_t *len);
static char *ngx_http_exports_add_keys(ngx_conf_t *cf, ngx_str_t *path,
    ngx_array_t *keys, u_char *p, u_char *last);
static ngx_uint_t ngx_http_exports_lines(u_char *p, u_char *last);
static void ngx_http_exports_forget_keys(void *data);
static void ngx_http_exports_signature(const exports_hmac_t *key,
    const u_char *text, size_t len, u_char *signature);
static ngx_int_t ngx_http_exports_link_args(const ngx_str_t *args,
    ngx_str_t *expires, u_char **signature);
static u_char *ngx_http_exports_signed_text(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_str_t *expires, size_t *len);
static ngx_uint_t ngx_http_exports_is_signed(const ngx_array_t *keys,
    const u_char *text, size_t len, const u_char *signature);


char *
ngx_http_exports_conf_link_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_exports_loc_conf_t *elcf = conf;

    char                *rv;
    size_t               len;
    u_char              *buf;
    ngx_str_t           *value, path;
    ngx_pool_cleanup_t  *cln;

    if (elcf->keys != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;
    path = value[1];

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    buf = ngx_palloc(cf->temp_pool, NGX_HTTP_EXPORTS_KEY_FILE_MAX + 1);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (buf == NULL || cln == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_exports_read_keys(cf, &path, buf, &len) != NGX_OK) {
        ngx_explicit_memzero(buf, NGX_HTTP_EXPORTS_KEY_FILE_MAX + 1);
        return NGX_CONF_ERROR;
    }

    /* room for all keys: an array that grows leaves a copy of them behind */

    elcf->keys = ngx_array_create(cf->pool,
                                  ngx_http_exports_lines(buf, buf + len),
                                  sizeof(exports_hmac_t));
    if (elcf->keys == NULL) {
        ngx_explicit_memzero(buf, len);
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_exports_forget_keys;
    cln->data = elcf->keys;

    rv = ngx_http_exports_add_keys(cf, &path, elcf->keys, buf, buf + len);

    ngx_explicit_memzero(buf, len);

    return rv;
}


void
ngx_http_exports_sign(ngx_http_exports_loc_conf_t *elcf, const u_char *path,
    size_t len, u_char *signature)
{
    ngx_http_exports_signature(elcf->keys->elts, path, len, signature);
}


/* a hash of what the key makes of a text that cannot be the path of a link */

uint64_t
ngx_http_exports_signer(ngx_http_exports_loc_conf_t *elcf)
{
    u_char  signature[NGX_HTTP_EXPORTS_SIGNATURE_LEN];

    ngx_http_exports_sign(elcf, (u_char *) "key", sizeof("key") - 1,
                          signature);

    return XXH3_64bits(signature, sizeof(signature));
}


/* the text that was signed is rebuilt from the route, not from the URL */

ngx_int_t
ngx_http_exports_verify_link(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    size_t      len;
    u_char     *text, *signature;
    time_t      until;
    ngx_str_t   expires;
    ngx_uint_t  valid;

    if (ngx_http_exports_link_args(&r->args, &expires, &signature) != NGX_OK) {
        return NGX_DECLINED;
    }

    text = ngx_http_exports_signed_text(r, ctx, &expires, &len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    valid = ngx_http_exports_is_signed(ctx->conf->keys, text, len, signature);

    until = ngx_atotm(expires.data, expires.len);

    if (!valid || until == NGX_ERROR
        || (uint64_t) until < ctx->now / 1000000)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_read_keys(ngx_conf_t *cf, ngx_str_t *path, u_char *buf,
    size_t *len)
{
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_int_t         rc;
    ngx_file_info_t   fi;

    rc = NGX_ERROR;

    fd = ngx_open_file(path->data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);
        goto done;
    }

    if (!ngx_is_file(&fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key file \"%V\" is not a regular file", path);
        goto done;
    }

    if (ngx_file_access(&fi) & (S_IRWXO)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key file \"%V\" must not be accessible by "
                           "others", path);
        goto done;
    }

    n = ngx_read_fd(fd, buf, NGX_HTTP_EXPORTS_KEY_FILE_MAX + 1);

    if (n == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_read_fd_n " \"%V\" failed", path);
        goto done;
    }

    if (n > NGX_HTTP_EXPORTS_KEY_FILE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key file \"%V\" is larger than %d bytes",
                           path, NGX_HTTP_EXPORTS_KEY_FILE_MAX);
        goto done;
    }

    *len = n;
    rc = NGX_OK;

done:

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


static char *
ngx_http_exports_add_keys(ngx_conf_t *cf, ngx_str_t *path,
    ngx_array_t *keys, u_char *p, u_char *last)
{
    u_char          *end;
    ngx_uint_t       line;
    exports_hmac_t  *key;

    for (line = 1; p < last; p = end + 1, line++) {

        end = ngx_strlchr(p, last, '\n');

        if (end == NULL) {
            end = last;
        }

        if (end - p < NGX_HTTP_EXPORTS_KEY_MIN) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "the key on line %ui of \"%V\" is shorter than "
                               "%d bytes", line, path,
                               NGX_HTTP_EXPORTS_KEY_MIN);
            return NGX_CONF_ERROR;
        }

        key = ngx_array_push(keys);
        if (key == NULL) {
            return NGX_CONF_ERROR;
        }

        exports_hmac_key(key, p, end - p);
    }

    if (keys->nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the key file \"%V\" is empty", path);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* at least 1; the last line may lack its newline */

static ngx_uint_t
ngx_http_exports_lines(u_char *p, u_char *last)
{
    ngx_uint_t  n;

    for (n = 1; p < last; p++) {
        n += (*p == '\n');
    }

    return n;
}


static void
ngx_http_exports_forget_keys(void *data)
{
    ngx_array_t *keys = data;

    ngx_explicit_memzero(keys->elts, keys->nalloc * keys->size);
}


/* 64 lower-case hexadecimal digits */

static void
ngx_http_exports_signature(const exports_hmac_t *key, const u_char *text,
    size_t len, u_char *signature)
{
    u_char  code[EXPORTS_SHA256_LEN];

    exports_hmac(key, code, text, len);

    exports_hex((char *) signature, code, EXPORTS_SHA256_LEN);
}


/* exactly "expires=...&signature=..." */

static ngx_int_t
ngx_http_exports_link_args(const ngx_str_t *args, ngx_str_t *expires,
    u_char **signature)
{
    u_char  *p, *last;

    p = args->data;

    if (args->len < sizeof("expires=") - 1
        || ngx_memcmp(p, "expires=", sizeof("expires=") - 1) != 0)
    {
        return NGX_DECLINED;
    }

    last = p + args->len;
    p += sizeof("expires=") - 1;
    expires->data = p;

    while (p < last && *p >= '0' && *p <= '9') {
        p++;
    }

    expires->len = p - expires->data;

    if (expires->len == 0 || expires->len > NGX_HTTP_EXPORTS_EXPIRES_LEN
        || (size_t) (last - p) != sizeof(NGX_HTTP_EXPORTS_SIGNATURE) - 1
                                  + NGX_HTTP_EXPORTS_SIGNATURE_LEN
        || ngx_memcmp(p, NGX_HTTP_EXPORTS_SIGNATURE,
                      sizeof(NGX_HTTP_EXPORTS_SIGNATURE) - 1)
           != 0)
    {
        return NGX_DECLINED;
    }

    *signature = p + sizeof(NGX_HTTP_EXPORTS_SIGNATURE) - 1;

    return NGX_OK;
}


static u_char *
ngx_http_exports_signed_text(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_str_t *expires, size_t *len)
{
    u_char  *text;

    *len = ctx->conf->link.len + 1 + ctx->id.len
           + sizeof(NGX_HTTP_EXPORTS_EXPIRES) - 1 + expires->len;

    text = ngx_pnalloc(r->pool, *len);

    if (text != NULL) {
        (void) ngx_sprintf(text, "%V/%V" NGX_HTTP_EXPORTS_EXPIRES "%V",
                           &ctx->conf->link, &ctx->id, expires);
    }

    return text;
}


/* in constant time: all keys are tried, and compared without a shortcut */

static ngx_uint_t
ngx_http_exports_is_signed(const ngx_array_t *keys, const u_char *text,
    size_t len, const u_char *signature)
{
    u_char                 right[NGX_HTTP_EXPORTS_SIGNATURE_LEN];
    ngx_uint_t             i, valid;
    const exports_hmac_t  *key;

    key = keys->elts;
    valid = 0;

    for (i = 0; i < keys->nelts; i++) {
        ngx_http_exports_signature(&key[i], text, len, right);

        valid |= (CRYPTO_memcmp(right, signature,
                                NGX_HTTP_EXPORTS_SIGNATURE_LEN)
                  == 0);
    }

    return valid;
}
