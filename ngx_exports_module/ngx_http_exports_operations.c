
/*
 * Operation grouping: which run of an operation a request belongs to.
 *
 * A run is found by the digest of token, key and ID.  It is listed under its
 * token, the last used first, so that a token that has many loses its own; and
 * under its key, the last begun first, as long as it is not idle: that is
 * where requests with a key only look.  "The newest" active run is thus the
 * one that began last, not the one that was used last.  Once found idle a run
 * is idle for good.  It stays, until its place is needed, for its client to be
 * told so; the run that replaces it is used with it, and so outlives it.
 */

#include "ngx_http_exports_shm.h"

#include "exports_digest.h"


#define NGX_HTTP_EXPORTS_IDLE       420000

/* of keys and runs */
#define NGX_HTTP_EXPORTS_LABEL_MAX  128

/* oprun_20260602T012345_123456Z_abc123def456 */
#define NGX_HTTP_EXPORTS_RUN_LEN    42

/* what one token may have of the runs of a zone; the upper bound is also that
   of the idle runs that one request may have to clear away */
#define NGX_HTTP_EXPORTS_SHARE      16
#define NGX_HTTP_EXPORTS_SHARE_MIN  8
#define NGX_HTTP_EXPORTS_SHARE_MAX  1024


/* a token, or a key of a token: it is there while it has runs */

typedef struct {
    ngx_http_exports_shm_node_t   node;
    ngx_queue_t                   runs;
    ngx_uint_t                    n;
} ngx_http_exports_owner_t;


typedef struct {
    ngx_http_exports_shm_node_t   node;
    ngx_queue_t                   all;      /* of all runs, and of the */
    ngx_queue_t                   own;      /* token's: the last used first */
    ngx_queue_t                   active;   /* of the key's active ones: the
                                               last begun first */
    ngx_http_exports_owner_t     *token;
    ngx_http_exports_owner_t     *key;      /* NULL: idle */
    ngx_msec_t                    used;

    /* the node of the run in its place; zeroes: none yet */
    u_char                        next[NGX_HTTP_EXPORTS_SHM_KEY_LEN];

    size_t                        len;
    u_char                        id[NGX_HTTP_EXPORTS_LABEL_MAX];
} ngx_http_exports_run_t;


typedef struct {
    ngx_http_exports_shm_slots_t  run_slots;
    ngx_http_exports_shm_slots_t  owner_slots;
    ngx_http_exports_shm_tree_t   runs;
    ngx_http_exports_shm_tree_t   owners;
    ngx_queue_t                   all;
    ngx_uint_t                    share;
} ngx_http_exports_operations_sh_t;


typedef struct {
    u_char                        node[NGX_HTTP_EXPORTS_SHM_KEY_LEN];
    u_char                        id[NGX_HTTP_EXPORTS_LABEL_MAX];
    size_t                        len;      /* 0: not given */
} ngx_http_exports_run_id_t;


/* what is to be decided under the lock, and what was */

typedef struct {
    ngx_msec_t                    idle;
    const u_char                 *token;
    ngx_str_t                     name;     /* the key */
    u_char                        key[NGX_HTTP_EXPORTS_SHM_KEY_LEN];
    ngx_http_exports_run_id_t     given;
    ngx_http_exports_run_id_t     generated;

    ngx_http_exports_grouping_e   grouping;
    u_char                        answer[NGX_HTTP_EXPORTS_LABEL_MAX];
    size_t                        len;
} ngx_http_exports_decision_t;


static ngx_int_t ngx_http_exports_operation_header(ngx_http_request_t *r,
    const char *name, size_t len, ngx_str_t *label);
static ngx_int_t ngx_http_exports_operation_label(ngx_str_t *label);
static ngx_int_t ngx_http_exports_operation_group(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_str_t *key, ngx_str_t *run);
static ngx_int_t ngx_http_exports_operation_generate(
    ngx_http_exports_ctx_t *ctx, ngx_http_exports_decision_t *d);
static ngx_int_t ngx_http_exports_operation_digest(u_char *digest,
    ngx_http_exports_decision_t *d, const u_char *run, size_t len);

static void ngx_http_exports_operation_init(void *data, u_char *start,
    u_char *end);
static ngx_int_t ngx_http_exports_operation_decide(
    ngx_http_exports_operations_sh_t *sh, ngx_http_exports_decision_t *d);
static ngx_http_exports_run_t *ngx_http_exports_run_of_key(
    ngx_http_exports_operations_sh_t *sh, ngx_http_exports_decision_t *d);
static ngx_http_exports_run_t *ngx_http_exports_run_given(
    ngx_http_exports_operations_sh_t *sh, ngx_http_exports_decision_t *d);
static ngx_http_exports_run_t *ngx_http_exports_run_newest(
    ngx_http_exports_operations_sh_t *sh, ngx_http_exports_decision_t *d);
static ngx_http_exports_run_t *ngx_http_exports_run_begin(
    ngx_http_exports_operations_sh_t *sh, ngx_http_exports_decision_t *d,
    ngx_http_exports_run_id_t *id);
static ngx_http_exports_run_t *ngx_http_exports_run_slot(
    ngx_http_exports_operations_sh_t *sh, ngx_http_exports_decision_t *d);
static void ngx_http_exports_run_evict(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_run_t *run);
static void ngx_http_exports_run_use(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_run_t *run);
static ngx_uint_t ngx_http_exports_run_active(
    ngx_http_exports_operations_sh_t *sh, ngx_http_exports_run_t *run,
    ngx_msec_t idle);
static void ngx_http_exports_run_retire(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_run_t *run);
static ngx_http_exports_owner_t *ngx_http_exports_owner(
    ngx_http_exports_operations_sh_t *sh, const u_char *key);
static void ngx_http_exports_disown(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_owner_t *owner);


static const ngx_http_exports_zone_type_t  ngx_http_exports_operation_type = {
    ngx_string("exports_operation_zone"),
    sizeof(ngx_http_exports_operations_sh_t),
    ngx_http_exports_operation_init
};


char *
ngx_http_exports_operation_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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

    zone = ngx_http_exports_shm_define(cf, &ngx_http_exports_operation_type);
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->idle = (ngx_msec_t) idle;

    return NGX_CONF_OK;
}


char *
ngx_http_exports_operations(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
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
                                            &ngx_http_exports_operation_type);

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

    /* without a key there is nothing to group, and nothing to remember */

    operation->run.len = run.len;
    operation->run.data = ngx_pstrdup(r->pool, &run);
    if (operation->run.data == NULL) {
        return NGX_ERROR;
    }

    operation->grouping = NGX_HTTP_EXPORTS_ACCEPTED_PROVIDED_RUN;

    return NGX_OK;
}


/* NGX_DECLINED: none; NGX_ERROR: malformed, or two that may contradict */

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
 * most requests belong to a run that there is: an ID is generated when the
 * first look has found that it is needed, and then one looks again
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

    if (ngx_http_exports_operation_digest(d.key, &d, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    if (run->len > 0) {
        ngx_memcpy(d.given.id, run->data, run->len);

        if (ngx_http_exports_operation_digest(d.given.node, &d, run->data,
                                              run->len)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for ( ;; ) {
        ngx_shmtx_lock(&zone->shpool->mutex);

        rc = ngx_http_exports_operation_decide(zone->sh, &d);

        ngx_shmtx_unlock(&zone->shpool->mutex);

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

    return ngx_http_exports_operation_digest(d->generated.node, d,
                                             d->generated.id,
                                             d->generated.len);
}


/* of token, key and run, or of token and key; the length tells them apart */

static ngx_int_t
ngx_http_exports_operation_digest(u_char *digest,
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
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0, "SHA-256 failed");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* a run has one token and at most one key: owners cannot run out */

static void
ngx_http_exports_operation_init(void *data, u_char *start, u_char *end)
{
    ngx_http_exports_operations_sh_t *sh = data;

    ngx_uint_t  n;

    n = (end - start) / (sizeof(ngx_http_exports_run_t)
                         + 2 * sizeof(ngx_http_exports_owner_t));

    start = ngx_http_exports_shm_slots_init(&sh->run_slots, start,
                                            sizeof(ngx_http_exports_run_t), n);

    (void) ngx_http_exports_shm_slots_init(&sh->owner_slots, start,
                                      sizeof(ngx_http_exports_owner_t), 2 * n);

    ngx_http_exports_shm_tree_init(&sh->runs);
    ngx_http_exports_shm_tree_init(&sh->owners);
    ngx_queue_init(&sh->all);

    sh->share = ngx_max(n / NGX_HTTP_EXPORTS_SHARE,
                        NGX_HTTP_EXPORTS_SHARE_MIN);
    sh->share = ngx_min(sh->share, NGX_HTTP_EXPORTS_SHARE_MAX);
}


/* what follows runs under the lock */


/* NGX_AGAIN: an ID has to be generated first */

static ngx_int_t
ngx_http_exports_operation_decide(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_decision_t *d)
{
    ngx_http_exports_run_t  *run;

    run = (d->given.len > 0) ? ngx_http_exports_run_given(sh, d)
                             : ngx_http_exports_run_of_key(sh, d);

    if (run == NULL) {
        return NGX_AGAIN;
    }

    ngx_http_exports_run_use(sh, run);

    ngx_memcpy(d->answer, run->id, run->len);
    d->len = run->len;

    return NGX_OK;
}


static ngx_http_exports_run_t *
ngx_http_exports_run_of_key(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_decision_t *d)
{
    ngx_http_exports_run_t  *run;

    d->grouping = NGX_HTTP_EXPORTS_CONTINUED_RUN;

    run = ngx_http_exports_run_newest(sh, d);

    if (run != NULL || d->generated.len == 0) {
        return run;
    }

    d->grouping = NGX_HTTP_EXPORTS_GENERATED_RUN;

    return ngx_http_exports_run_begin(sh, d, &d->generated);
}


static ngx_http_exports_run_t *
ngx_http_exports_run_given(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_decision_t *d)
{
    ngx_http_exports_run_t  *run, *next;

    d->grouping = NGX_HTTP_EXPORTS_ACCEPTED_PROVIDED_RUN;

    run = ngx_http_exports_shm_find(&sh->runs, d->given.node);

    if (run == NULL) {
        return ngx_http_exports_run_begin(sh, d, &d->given);
    }

    if (ngx_http_exports_run_active(sh, run, d->idle)) {
        return run;
    }

    d->grouping = NGX_HTTP_EXPORTS_RENEWED_AFTER_IDLE;

    /* now the last used one, it is not what makes room for the next */

    ngx_http_exports_run_use(sh, run);

    next = ngx_http_exports_shm_find(&sh->runs, run->next);

    if (next != NULL && ngx_http_exports_run_active(sh, next, d->idle)) {
        return next;
    }

    if (d->generated.len == 0) {
        return NULL;
    }

    next = ngx_http_exports_run_begin(sh, d, &d->generated);

    ngx_memcpy(run->next, next->node.key, NGX_HTTP_EXPORTS_SHM_KEY_LEN);

    return next;
}


/* of the key's active runs; those found to be idle are not met again */

static ngx_http_exports_run_t *
ngx_http_exports_run_newest(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_decision_t *d)
{
    ngx_uint_t                 n;
    ngx_queue_t               *q;
    ngx_http_exports_run_t    *run;
    ngx_http_exports_owner_t  *key;

    key = ngx_http_exports_shm_find(&sh->owners, d->key);

    if (key == NULL) {
        return NULL;
    }

    /* with its last run the key goes too */

    for (n = key->n; n > 0; n--) {
        q = ngx_queue_head(&key->runs);
        run = ngx_queue_data(q, ngx_http_exports_run_t, active);

        if (ngx_http_exports_run_active(sh, run, d->idle)) {
            return run;
        }
    }

    return NULL;
}


static ngx_http_exports_run_t *
ngx_http_exports_run_begin(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_decision_t *d, ngx_http_exports_run_id_t *id)
{
    ngx_http_exports_run_t  *run;

    run = ngx_http_exports_run_slot(sh, d);

    run->token = ngx_http_exports_owner(sh, d->token);
    run->key = ngx_http_exports_owner(sh, d->key);
    run->used = ngx_current_msec;

    ngx_memzero(run->next, NGX_HTTP_EXPORTS_SHM_KEY_LEN);

    run->len = id->len;
    ngx_memcpy(run->id, id->id, id->len);

    ngx_http_exports_shm_insert(&sh->runs, &run->node, id->node);

    ngx_queue_insert_head(&sh->all, &run->all);
    ngx_queue_insert_head(&run->token->runs, &run->own);
    ngx_queue_insert_head(&run->key->runs, &run->active);

    return run;
}


/* a token that has its share gives up a run of its own, the one not used for
   longest */

static ngx_http_exports_run_t *
ngx_http_exports_run_slot(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_decision_t *d)
{
    ngx_queue_t               *q;
    ngx_http_exports_run_t    *run;
    ngx_http_exports_owner_t  *token;

    token = ngx_http_exports_shm_find(&sh->owners, d->token);

    if (token != NULL && token->n >= sh->share) {
        q = ngx_queue_last(&token->runs);
        run = ngx_queue_data(q, ngx_http_exports_run_t, own);

        ngx_http_exports_run_evict(sh, run);
    }

    run = ngx_http_exports_shm_take(&sh->run_slots);

    if (run != NULL) {
        return run;
    }

    q = ngx_queue_last(&sh->all);
    run = ngx_queue_data(q, ngx_http_exports_run_t, all);

    ngx_http_exports_run_evict(sh, run);

    return ngx_http_exports_shm_take(&sh->run_slots);
}


static void
ngx_http_exports_run_evict(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_run_t *run)
{
    if (run->key != NULL) {
        ngx_http_exports_run_retire(sh, run);
    }

    ngx_queue_remove(&run->all);
    ngx_queue_remove(&run->own);
    ngx_http_exports_disown(sh, run->token);

    ngx_http_exports_shm_delete(&sh->runs, &run->node);
    ngx_http_exports_shm_give(&sh->run_slots, run);
}


static void
ngx_http_exports_run_use(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_run_t *run)
{
    ngx_queue_remove(&run->all);
    ngx_queue_insert_head(&sh->all, &run->all);

    ngx_queue_remove(&run->own);
    ngx_queue_insert_head(&run->token->runs, &run->own);

    /* another process may already have read a later time */

    if (ngx_http_exports_shm_elapsed(run->used) > 0) {
        run->used = ngx_current_msec;
    }
}


static ngx_uint_t
ngx_http_exports_run_active(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_run_t *run, ngx_msec_t idle)
{
    if (run->key == NULL) {
        return 0;
    }

    if (ngx_http_exports_shm_elapsed(run->used) <= idle) {
        return 1;
    }

    ngx_http_exports_run_retire(sh, run);

    return 0;
}


static void
ngx_http_exports_run_retire(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_run_t *run)
{
    ngx_queue_remove(&run->active);
    ngx_http_exports_disown(sh, run->key);

    run->key = NULL;
}


/* found, or made, for one run more */

static ngx_http_exports_owner_t *
ngx_http_exports_owner(ngx_http_exports_operations_sh_t *sh, const u_char *key)
{
    ngx_http_exports_owner_t  *owner;

    owner = ngx_http_exports_shm_find(&sh->owners, key);

    if (owner == NULL) {
        owner = ngx_http_exports_shm_take(&sh->owner_slots);

        ngx_http_exports_shm_insert(&sh->owners, &owner->node, key);
        ngx_queue_init(&owner->runs);
        owner->n = 0;
    }

    owner->n++;

    return owner;
}


static void
ngx_http_exports_disown(ngx_http_exports_operations_sh_t *sh,
    ngx_http_exports_owner_t *owner)
{
    if (--owner->n > 0) {
        return;
    }

    ngx_http_exports_shm_delete(&sh->owners, &owner->node);
    ngx_http_exports_shm_give(&sh->owner_slots, owner);
}
