
/*
 * operation grouping: what the headers of a request say of its operation, and
 * what the answer says of its run
 */

#include "ngx_http_exports_runs.h"

#include "exports_digest.h"


/* "idle=", in ms */
#define NGX_HTTP_EXPORTS_IDLE       420000

/* oprun_20260602T012345_123456Z_abc123def456 */
#define NGX_HTTP_EXPORTS_RUN_LEN    42


static ngx_int_t ngx_http_exports_operation_header(ngx_http_request_t *r,
    const char *name, size_t len, ngx_str_t *label);
static ngx_int_t ngx_http_exports_operation_label(ngx_str_t *label);
static ngx_int_t ngx_http_exports_operation_group(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_str_t *key, ngx_str_t *run);
static ngx_int_t ngx_http_exports_operation_generate(
    ngx_http_exports_ctx_t *ctx, ngx_http_exports_decision_t *d);
static ngx_int_t ngx_http_exports_operation_digest(
    ngx_http_exports_ctx_t *ctx, u_char *digest,
    ngx_http_exports_decision_t *d, const u_char *run, size_t len);


char *
ngx_http_exports_conf_operation_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_int_t                 idle;
    ngx_str_t                *value, s;
    ngx_http_exports_zone_t  *zone;

    value = cf->args->elts;
    idle = NGX_HTTP_EXPORTS_IDLE;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "idle=", 5) != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        s.data = value[2].data + 5;
        s.len = value[2].len - 5;

        idle = ngx_parse_time(&s, 0);

        if (idle == NGX_ERROR || idle == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid idle \"%V\", it must be a time of at "
                               "least 1ms", &s);
            return NGX_CONF_ERROR;
        }
    }

    zone = ngx_http_exports_shm_define(cf, &ngx_http_exports_runs_type);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->idle = (ngx_msec_t) idle;

    return NGX_CONF_OK;
}


char *
ngx_http_exports_conf_operations(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_exports_loc_conf_t *elcf = conf;

    ngx_str_t  *value;

    if (elcf->operations_set) {
        return "is duplicate";
    }

    elcf->operations_set = 1;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        elcf->operations = NULL;
        return NGX_CONF_OK;
    }

    elcf->operations = ngx_http_exports_shm_use(cf, &value[1],
                                            &ngx_http_exports_runs_type);

    return elcf->operations != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_exports_operation(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    ngx_int_t                      key_rc, run_rc;
    ngx_str_t                      key, run;
    ngx_http_exports_operation_t  *operation;

    if (ctx->conf->operations == NULL) {
        return NGX_OK;
    }

    operation = &ctx->operation;

    key_rc = ngx_http_exports_operation_header(r, "X-Operation-Key",
                                   sizeof("X-Operation-Key") - 1, &key);
    run_rc = ngx_http_exports_operation_header(r, "X-Operation-Run-Id",
                                   sizeof("X-Operation-Run-Id") - 1, &run);

    if (key_rc == NGX_DECLINED && run_rc == NGX_DECLINED) {
        return NGX_OK;
    }

    if (key_rc == NGX_OK) {
        operation->key.len = key.len;
        operation->key.data = ngx_pstrdup(r->pool, &key);
        if (operation->key.data == NULL) {
            return NGX_ERROR;
        }
    }

    if (key_rc == NGX_ERROR || run_rc == NGX_ERROR) {
        operation->grouping = NGX_HTTP_EXPORTS_REJECTED_INVALID;
        return NGX_OK;
    }

    if (key_rc == NGX_OK) {
        return ngx_http_exports_operation_group(r, ctx, &key, &run);
    }

    /* without a key there is nothing to group or to remember */

    operation->run.len = run.len;
    operation->run.data = ngx_pstrdup(r->pool, &run);
    if (operation->run.data == NULL) {
        return NGX_ERROR;
    }

    operation->grouping = NGX_HTTP_EXPORTS_ACCEPTED_PROVIDED_RUN;

    return NGX_OK;
}


/* NGX_DECLINED: there is none; NGX_ERROR: it is malformed, or there are two */

static ngx_int_t
ngx_http_exports_operation_header(ngx_http_request_t *r, const char *name,
    size_t len, ngx_str_t *label)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    ngx_str_null(label);

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != len || h[i].value.len == 0
                || ngx_strncasecmp(h[i].key.data, (u_char *) name, len) != 0)
            {
                continue;
            }

            if (label->len > 0) {
                return NGX_ERROR;
            }

            *label = h[i].value;
        }
    }

    return label->len > 0 ? ngx_http_exports_operation_label(label)
                          : NGX_DECLINED;
}


static ngx_int_t
ngx_http_exports_operation_label(ngx_str_t *label)
{
    u_char  ch;
    size_t  i;

    if (label->len > NGX_HTTP_EXPORTS_LABEL_MAX) {
        return NGX_ERROR;
    }

    for (i = 0; i < label->len; i++) {
        ch = label->data[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
            || (ch >= 'a' && ch <= 'z')
            || ch == '.' || ch == '_' || ch == ':' || ch == '-')
        {
            continue;
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Most requests belong to a run that exists.  So an ID is generated, outside
 * the lock, only if the zone asks for it, which is then asked again
 */

static ngx_int_t
ngx_http_exports_operation_group(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_str_t *key, ngx_str_t *run)
{
    ngx_int_t                      rc;
    ngx_str_t                      answer;
    ngx_http_exports_zone_t       *zone;
    ngx_http_exports_decision_t    d;
    ngx_http_exports_operation_t  *operation;

    zone = ctx->conf->operations->data;

    d.idle = zone->idle;
    d.token = ctx->digest;
    d.name = *key;
    d.generated.len = 0;
    d.given.len = run->len;

    if (ngx_http_exports_operation_digest(ctx, d.key, &d, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (run->len > 0) {
        ngx_memcpy(d.given.id, run->data, run->len);

        if (ngx_http_exports_operation_digest(ctx, d.given.node, &d,
                                              run->data, run->len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for ( ;; ) {
        ngx_http_exports_shm_lock(zone);

        rc = ngx_http_exports_runs_decide(zone->sh, &d);

        ngx_http_exports_shm_unlock(zone);

        if (rc == NGX_OK) {
            break;
        }

        if (ngx_http_exports_operation_generate(ctx, &d) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    answer.data = d.answer;
    answer.len = d.len;

    operation = &ctx->operation;

    operation->run.len = d.len;
    operation->run.data = ngx_pstrdup(r->pool, &answer);
    if (operation->run.data == NULL) {
        return NGX_ERROR;
    }

    operation->grouping = d.grouping;
    operation->began = d.began;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "exports operation: \"%V\" run \"%V\" grouping %d",
                   key, &answer, (int) d.grouping);

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_operation_generate(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_decision_t *d)
{
    if (ngx_http_exports_id(d->generated.id, ctx->now, "oprun_") == NULL) {
        return NGX_ERROR;
    }

    d->generated.len = NGX_HTTP_EXPORTS_RUN_LEN;

    return ngx_http_exports_operation_digest(ctx, d->generated.node, d,
                                             d->generated.id,
                                             d->generated.len);
}


/* of token, key and run, or, with len 0, of token and key; the length of the
   key is hashed, too, so that key and run cannot be confused */

static ngx_int_t
ngx_http_exports_operation_digest(ngx_http_exports_ctx_t *ctx, u_char *digest,
    ngx_http_exports_decision_t *d, const u_char *run, size_t len)
{
    u_char  *p;
    u_char   text[EXPORTS_SHA256_LEN + 1 + 2 * NGX_HTTP_EXPORTS_LABEL_MAX];

    p = ngx_cpymem(text, d->token, EXPORTS_SHA256_LEN);
    *p++ = (u_char) d->name.len;
    p = ngx_cpymem(p, d->name.data, d->name.len);

    if (len > 0) {
        p = ngx_cpymem(p, run, len);
    }

    if (exports_sha256(digest, text, p - text) != 0) {
        ngx_log_error(NGX_LOG_CRIT, ngx_http_exports_log(ctx->request), 0,
                      "SHA-256 failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}
