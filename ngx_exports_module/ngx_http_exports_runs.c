
/*
 * The runs of operations, in shared memory.  All functions but
 * ngx_http_exports_runs_init() are called under the zone's lock.
 *
 * A run is found by the digest of token, key and ID.  It is in a queue of its
 * token, the last used first, so that a token with too many runs loses one of
 * its own; and, as long as it is not idle, in a queue of its key, the last
 * begun first, where requests that name only a key look.  So the newest active
 * run is the one that began last, not the one that was used last.
 *
 * A run that was found to be idle is idle for good.  It stays until its place
 * is needed, so that its client can be told; the run that replaces it counts as
 * used whenever it is, and so outlives it.
 */

#include "ngx_http_exports_runs.h"


/* a token may have a sixteenth of the runs of a zone, within these bounds.  The
   upper one also bounds the idle runs that one request has to clear away */
#define NGX_HTTP_EXPORTS_SHARE      16
#define NGX_HTTP_EXPORTS_SHARE_MIN  8
#define NGX_HTTP_EXPORTS_SHARE_MAX  1024


/* a token, or a key of a token; it exists while it has runs */

typedef struct {
    ngx_http_exports_shm_node_t   node;
    ngx_queue_t                   runs;
    ngx_uint_t                    n;
} ngx_http_exports_owner_t;


typedef struct {
    ngx_http_exports_shm_node_t   node;
    ngx_queue_t                   all;      /* all runs, and those of the */
    ngx_queue_t                   own;      /* token, the last used first */
    ngx_queue_t                   active;   /* the active ones of the key, the
                                               last begun first */
    ngx_http_exports_owner_t     *token;
    ngx_http_exports_owner_t     *key;      /* NULL: idle */
    ngx_msec_t                    used;

    /* the node of the run that has replaced it; zeroes: none */
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
} ngx_http_exports_runs_sh_t;


static void ngx_http_exports_runs_init(void *data, u_char *start,
    u_char *end);
static ngx_http_exports_run_t *ngx_http_exports_run_of_key(
    ngx_http_exports_runs_sh_t *sh, ngx_http_exports_decision_t *d);
static ngx_http_exports_run_t *ngx_http_exports_run_given(
    ngx_http_exports_runs_sh_t *sh, ngx_http_exports_decision_t *d);
static ngx_http_exports_run_t *ngx_http_exports_run_newest(
    ngx_http_exports_runs_sh_t *sh, ngx_http_exports_decision_t *d);
static ngx_http_exports_run_t *ngx_http_exports_run_begin(
    ngx_http_exports_runs_sh_t *sh, ngx_http_exports_decision_t *d,
    ngx_http_exports_run_id_t *id);
static ngx_http_exports_run_t *ngx_http_exports_run_slot(
    ngx_http_exports_runs_sh_t *sh, ngx_http_exports_decision_t *d);
static void ngx_http_exports_run_evict(ngx_http_exports_runs_sh_t *sh,
    ngx_http_exports_run_t *run);
static void ngx_http_exports_run_use(ngx_http_exports_runs_sh_t *sh,
    ngx_http_exports_run_t *run);
static ngx_uint_t ngx_http_exports_run_active(
    ngx_http_exports_runs_sh_t *sh, ngx_http_exports_run_t *run,
    ngx_msec_t idle);
static void ngx_http_exports_run_retire(ngx_http_exports_runs_sh_t *sh,
    ngx_http_exports_run_t *run);
static ngx_http_exports_owner_t *ngx_http_exports_owner(
    ngx_http_exports_runs_sh_t *sh, const u_char *key);
static void ngx_http_exports_disown(ngx_http_exports_runs_sh_t *sh,
    ngx_http_exports_owner_t *owner);


const ngx_http_exports_zone_type_t  ngx_http_exports_runs_type = {
    ngx_string("exports_operation_zone"),
    sizeof(ngx_http_exports_runs_sh_t),
    ngx_http_exports_runs_init
};


/* a run has one token and at most one key, so owners cannot run out */

static void
ngx_http_exports_runs_init(void *data, u_char *start, u_char *end)
{
    ngx_http_exports_runs_sh_t *sh = data;

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


ngx_int_t
ngx_http_exports_runs_decide(void *data, ngx_http_exports_decision_t *d)
{
    ngx_http_exports_runs_sh_t *sh = data;

    ngx_http_exports_run_t  *run;

    d->began = 0;

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
ngx_http_exports_run_of_key(ngx_http_exports_runs_sh_t *sh,
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
ngx_http_exports_run_given(ngx_http_exports_runs_sh_t *sh,
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

    /* as the last used one it is not evicted to make room for the next */

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


/* the newest active run of the key; idle ones are taken off its queue */

static ngx_http_exports_run_t *
ngx_http_exports_run_newest(ngx_http_exports_runs_sh_t *sh,
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

    /* not until the queue is empty: the key goes with its last run */

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
ngx_http_exports_run_begin(ngx_http_exports_runs_sh_t *sh,
    ngx_http_exports_decision_t *d, ngx_http_exports_run_id_t *id)
{
    ngx_http_exports_run_t  *run;

    d->began = 1;

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


/* a token that has its share gives up its least recently used run */

static ngx_http_exports_run_t *
ngx_http_exports_run_slot(ngx_http_exports_runs_sh_t *sh,
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
ngx_http_exports_run_evict(ngx_http_exports_runs_sh_t *sh,
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
ngx_http_exports_run_use(ngx_http_exports_runs_sh_t *sh,
    ngx_http_exports_run_t *run)
{
    ngx_queue_remove(&run->all);
    ngx_queue_insert_head(&sh->all, &run->all);

    ngx_queue_remove(&run->own);
    ngx_queue_insert_head(&run->token->runs, &run->own);

    /* another process may have noted a later time */

    if (ngx_http_exports_shm_elapsed(run->used) > 0) {
        run->used = ngx_current_msec;
    }
}


static ngx_uint_t
ngx_http_exports_run_active(ngx_http_exports_runs_sh_t *sh,
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
ngx_http_exports_run_retire(ngx_http_exports_runs_sh_t *sh,
    ngx_http_exports_run_t *run)
{
    ngx_queue_remove(&run->active);
    ngx_http_exports_disown(sh, run->key);

    run->key = NULL;
}


/* finds or makes the owner of one more run */

static ngx_http_exports_owner_t *
ngx_http_exports_owner(ngx_http_exports_runs_sh_t *sh, const u_char *key)
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
ngx_http_exports_disown(ngx_http_exports_runs_sh_t *sh,
    ngx_http_exports_owner_t *owner)
{
    if (--owner->n > 0) {
        return;
    }

    ngx_http_exports_shm_delete(&sh->owners, &owner->node);
    ngx_http_exports_shm_give(&sh->owner_slots, owner);
}
