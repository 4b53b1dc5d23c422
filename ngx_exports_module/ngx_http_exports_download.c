
/* the pipeline of a download: token or signature, record, place of its bytes */

#include "ngx_http_exports.h"


typedef struct {
    ngx_http_exports_ctx_t       *ctx;
    ngx_http_exports_artifact_t  *artifact;
} ngx_http_exports_download_t;


static const ngx_http_exports_error_t *ngx_http_exports_download_refused(
    ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx);
static exports_rc_t ngx_http_exports_download_read(exports_reader_t *reader,
    void *data);
static exports_rc_t ngx_http_exports_download_record(
    ngx_http_exports_download_t *download, exports_reader_t *reader,
    const exports_token_t *token);
static ngx_http_exports_reason_e ngx_http_exports_download_state(
    ngx_http_exports_ctx_t *ctx, const exports_record_t *record);
static exports_rc_t ngx_http_exports_download_copy(ngx_pool_t *pool,
    ngx_http_exports_artifact_t *artifact, const exports_record_t *record);
static ngx_int_t ngx_http_exports_download_string(ngx_pool_t *pool,
    ngx_str_t *copy, const exports_str_t *str);
static void ngx_http_exports_log_unreadable_export(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, exports_rc_t rc);


ngx_int_t
ngx_http_exports_download(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t                        rc;
    exports_rc_t                     erc;
    ngx_http_exports_download_t      download;
    const ngx_http_exports_error_t  *err;

    err = ngx_http_exports_download_refused(r, ctx);

    if (err != NULL) {
        return ngx_http_exports_send_error(r, ctx, err);
    }

    download.ctx = ctx;
    download.artifact = ngx_pcalloc(r->pool,
                                    sizeof(ngx_http_exports_artifact_t));
    if (download.artifact == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_exports_store_read(ctx->conf->store, ngx_http_exports_log(r),
                                     ngx_http_exports_download_read,
                                     &download, &erc);

    /* even if the read was left half way, once the token had been found */

    if (ctx->authorized && ngx_http_exports_operation(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_OK) {
        return ngx_http_exports_unavailable(r, ctx);
    }

    if (erc == EXPORTS_NOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (erc != EXPORTS_OK) {
        ctx->error = ngx_http_exports_error(NGX_HTTP_EXPORTS_UNREADABLE);

        if (!ctx->logged) {
            ngx_http_exports_log_unreadable_export(r, ctx, erc);
        }
    }

    if (ctx->error != NULL) {
        return ngx_http_exports_send_error(r, ctx, ctx->error);
    }

    ctx->artifact = download.artifact;

    return ngx_http_exports_is_local(&ctx->artifact->storage_backend)
               ? ngx_http_exports_artifact_send(r, ctx)
               : ngx_http_exports_redirect(r, ctx);
}


/* what is known without the store: NULL, it may go on */

static const ngx_http_exports_error_t *
ngx_http_exports_download_refused(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t                  rc;
    ngx_http_exports_reason_e  reason;

    if (ctx->conf->api->kind == EXPORTS_USER) {
        rc = ngx_http_exports_verify_link(r, ctx);
        reason = NGX_HTTP_EXPORTS_BAD_SIGNATURE;

    } else {
        rc = ngx_http_exports_bearer(r, ctx);
        reason = NGX_HTTP_EXPORTS_MISSING_AUTHORIZATION;
    }

    switch (rc) {

    case NGX_OK:
        return NULL;

    case NGX_DECLINED:
        return ngx_http_exports_error(reason);

    default: /* NGX_ERROR */
        return ngx_http_exports_error_of_status(r,
                                              NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}


/* runs in one snapshot and under the guard: see store.h */

static exports_rc_t
ngx_http_exports_download_read(exports_reader_t *reader, void *data)
{
    ngx_http_exports_download_t *download = data;

    exports_rc_t             rc;
    exports_token_t          token;
    ngx_http_exports_ctx_t  *ctx;

    ctx = download->ctx;

    if (ctx->conf->api->kind == EXPORTS_USER) {
        return ngx_http_exports_download_record(download, reader, NULL);
    }

    rc = ngx_http_exports_authenticate(ctx, reader, &token);

    if (rc != EXPORTS_OK || ctx->error != NULL) {
        return rc;
    }

    ctx->authorized = 1;

    return ngx_http_exports_download_record(download, reader, &token);
}


/* token: NULL, the signed link permits the download */

static exports_rc_t
ngx_http_exports_download_record(ngx_http_exports_download_t *download,
    exports_reader_t *reader, const exports_token_t *token)
{
    uint8_t                        key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t                   rc;
    exports_record_t               record;
    ngx_http_exports_ctx_t        *ctx;
    ngx_http_exports_reason_e      reason;
    const ngx_http_exports_api_t  *api;

    ctx = download->ctx;
    api = ctx->conf->api;

    rc = exports_read_manifest(reader, api->kind, ctx->found.id,
                               (char *) ctx->id.data, ctx->id.len, key,
                               &record);

    if (rc == EXPORTS_NOT_FOUND) {
        ctx->error = ngx_http_exports_error(NGX_HTTP_EXPORTS_NO_EXPORT);
        return EXPORTS_OK;
    }

    if (rc != EXPORTS_OK) {
        return rc;
    }

    /* first: a client without the permission must not learn of its state */

    reason = NGX_HTTP_EXPORTS_NO_ERROR;

    if (token != NULL) {
        reason = api->permit(token, &record);
    }

    if (reason == NGX_HTTP_EXPORTS_NO_ERROR) {
        reason = ngx_http_exports_download_state(ctx, &record);
    }

    if (reason != NGX_HTTP_EXPORTS_NO_ERROR) {
        ctx->error = ngx_http_exports_error(reason);
        return EXPORTS_OK;
    }

    return ngx_http_exports_download_copy(ctx->request->pool,
                                          download->artifact, &record);
}


/* whether the record has something to download now */

static ngx_http_exports_reason_e
ngx_http_exports_download_state(ngx_http_exports_ctx_t *ctx,
    const exports_record_t *record)
{
    if ((record->item.flags & EXPORTS_RECORD_EXPIRES)
        && record->expires <= ctx->now)
    {
        return NGX_HTTP_EXPORTS_EXPIRED;
    }

    if (record->item.status != EXPORTS_STATUS_READY) {
        return NGX_HTTP_EXPORTS_NO_ARTIFACT;
    }

    return NGX_HTTP_EXPORTS_NO_ERROR;
}


/* what is needed after the snapshot has ended */

static exports_rc_t
ngx_http_exports_download_copy(ngx_pool_t *pool,
    ngx_http_exports_artifact_t *artifact, const exports_record_t *record)
{
    if (ngx_http_exports_download_string(pool, &artifact->storage_backend,
                                         &record->storage_backend)
        != NGX_OK
        || ngx_http_exports_download_string(pool, &artifact->storage_key,
                                            &record->storage_key)
           != NGX_OK
        || ngx_http_exports_download_string(pool, &artifact->content_type,
                                            &record->content_type)
           != NGX_OK
        || ngx_http_exports_download_string(pool, &artifact->name,
                                            &record->name)
           != NGX_OK)
    {
        return EXPORTS_NOMEM;
    }

    return EXPORTS_OK;
}


static ngx_int_t
ngx_http_exports_download_string(ngx_pool_t *pool, ngx_str_t *copy,
    const exports_str_t *str)
{
    u_char  *p;

    ngx_http_exports_guard_hold(1);
    p = ngx_pnalloc(pool, str->len + 1);
    ngx_http_exports_guard_hold(0);

    if (p == NULL) {
        return NGX_ERROR;
    }

    copy->data = p;
    copy->len = str->len;

    if (str->len > 0) {
        p = ngx_cpymem(p, str->data, str->len);
    }

    *p = '\0';

    return NGX_OK;
}


static void
ngx_http_exports_log_unreadable_export(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, exports_rc_t rc)
{
    if (!ngx_http_exports_log_due(r, &ctx->id)) {
        return;
    }

    if (rc == EXPORTS_CORRUPT) {
        ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(r), 0,
                      "damaged record or index of export \"%V\"; "
                      "run \"exportsctl verify\"", &ctx->id);
        return;
    }

    ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(r), 0,
                  "export \"%V\" cannot be read: %s", &ctx->id,
                  exports_strerror(rc));
}
