
/*
 * The rate limit: the requests of a user or of an address are counted in
 * windows of a minute, which begin with the first of them.  A refused request
 * is not counted, for another location of the zone may have a higher limit.
 */

#include "ngx_http_exports_shm.h"


#define NGX_HTTP_EXPORTS_RATE         500
#define NGX_HTTP_EXPORTS_RATE_MAX     1000000

/* ms */
#define NGX_HTTP_EXPORTS_WINDOW       60000

/* ms between two messages about a full zone */
#define NGX_HTTP_EXPORTS_RATE_SILENT  60000


/* in the order in which windows give way when there is no room */

typedef enum {
    NGX_HTTP_EXPORTS_RATE_ADDRESS = 0,
    NGX_HTTP_EXPORTS_RATE_USER,
    NGX_HTTP_EXPORTS_RATE_CLASSES
} ngx_http_exports_rate_class_e;


typedef struct {
    ngx_http_exports_shm_node_t   node;
    ngx_queue_t                   use;      /* of its class, the last used, */
    ngx_queue_t                   age;      /* the last begun window first */
    ngx_msec_t                    begun;
    ngx_uint_t                    requests;
} ngx_http_exports_rate_window_t;


typedef struct {
    ngx_http_exports_shm_slots_t  slots;
    ngx_http_exports_shm_tree_t   tree;
    ngx_queue_t                   use[NGX_HTTP_EXPORTS_RATE_CLASSES];
    ngx_queue_t                   age[NGX_HTTP_EXPORTS_RATE_CLASSES];

    ngx_msec_t                    told;     /* last, that the zone is full */
    ngx_uint_t                    uncounted;    /* requests since then */
} ngx_http_exports_rate_sh_t;


static void ngx_http_exports_rate_init(void *sh, u_char *start, u_char *end);
static void ngx_http_exports_rate_user(u_char *key, uint64_t scope,
    const uint8_t *lineage);
static void ngx_http_exports_rate_address(u_char *key,
    struct sockaddr *sockaddr);
static ngx_http_exports_rate_window_t *ngx_http_exports_rate_get(
    ngx_http_exports_rate_sh_t *sh, const u_char *key, ngx_uint_t class);
static ngx_http_exports_rate_window_t *ngx_http_exports_rate_oldest(
    ngx_http_exports_rate_sh_t *sh, ngx_uint_t class);
static void ngx_http_exports_rate_count(ngx_http_exports_rate_window_t *window,
    ngx_http_exports_rate_t *rate);
static ngx_uint_t ngx_http_exports_rate_tell(ngx_http_exports_rate_sh_t *sh);


static const ngx_http_exports_zone_type_t  ngx_http_exports_rate_type = {
    ngx_string("exports_rate_zone"),
    sizeof(ngx_http_exports_rate_sh_t),
    ngx_http_exports_rate_init
};


char *
ngx_http_exports_conf_rate_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return ngx_http_exports_shm_define(cf, &ngx_http_exports_rate_type) != NULL
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_http_exports_conf_rate_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_exports_loc_conf_t *elcf = conf;

    ngx_int_t   limit;
    ngx_str_t  *value, s;

    if (elcf->rate_set) {
        return "is duplicate";
    }

    elcf->rate_set = 1;
    elcf->rate_limit = NGX_HTTP_EXPORTS_RATE;

    value = cf->args->elts;

    if (cf->args->nelts == 3) {

        if (ngx_strncmp(value[2].data, "rate=", 5) != 0
            || ngx_strcmp(value[1].data, "off") == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        s.data = value[2].data + 5;
        s.len = value[2].len - 5;

        limit = NGX_ERROR;

        if (s.len > 3 && ngx_strcmp(s.data + s.len - 3, "r/m") == 0) {
            limit = ngx_atoi(s.data, s.len - 3);
        }

        if (limit < 1 || limit > NGX_HTTP_EXPORTS_RATE_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid rate \"%V\", it must be from 1r/m to "
                               "%dr/m", &s, NGX_HTTP_EXPORTS_RATE_MAX);
            return NGX_CONF_ERROR;
        }

        elcf->rate_limit = limit;
    }

    if (ngx_strcmp(value[1].data, "off") == 0) {
        elcf->rate = NULL;
        return NGX_CONF_OK;
    }

    elcf->rate = ngx_http_exports_shm_use(cf, &value[1],
                                          &ngx_http_exports_rate_type);

    return elcf->rate != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/*
 * A request that the zone has no room for is let through, as the first of its
 * window: a zone that is too small must not keep out well-behaved clients.  It
 * can only be a request of an address, while users of this minute take up the
 * whole zone
 */

void
ngx_http_exports_rate(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx,
    uint64_t scope, const uint8_t *lineage)
{
    u_char                           key[NGX_HTTP_EXPORTS_SHM_KEY_LEN];
    ngx_uint_t                       class, uncounted;
    ngx_http_exports_rate_t         *rate;
    ngx_http_exports_zone_t         *zone;
    ngx_http_exports_rate_sh_t      *sh;
    ngx_http_exports_rate_window_t  *window;

    if (ctx->conf->rate == NULL) {
        return;
    }

    zone = ctx->conf->rate->data;
    sh = zone->sh;

    ngx_memzero(key, NGX_HTTP_EXPORTS_SHM_KEY_LEN);

    if (scope != 0) {
        class = NGX_HTTP_EXPORTS_RATE_USER;
        ngx_http_exports_rate_user(key, scope, lineage);

    } else {
        class = NGX_HTTP_EXPORTS_RATE_ADDRESS;
        ngx_http_exports_rate_address(key, r->connection->sockaddr);
    }

    rate = &ctx->rate;

    rate->counted = 1;
    rate->limit = ctx->conf->rate_limit;
    rate->remaining = rate->limit - 1;
    rate->retry_after = 0;

    uncounted = 0;

    ngx_http_exports_shm_lock(zone);

    window = ngx_http_exports_rate_get(sh, key, class);

    if (window != NULL) {
        ngx_http_exports_rate_count(window, rate);

    } else {
        uncounted = ngx_http_exports_rate_tell(sh);
    }

    ngx_http_exports_shm_unlock(zone);

    if (uncounted > 0) {
        ngx_log_error(NGX_LOG_WARN, ngx_http_exports_log(r), 0,
                      "exports zone \"%V\" is full of users, %ui requests of "
                      "addresses were not counted",
                      &ctx->conf->rate->shm.name, uncounted);
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "exports rate: limit %ui, remaining %ui, retry after %ui",
                   rate->limit, rate->remaining, rate->retry_after);
}


static void
ngx_http_exports_rate_init(void *data, u_char *start, u_char *end)
{
    ngx_http_exports_rate_sh_t *sh = data;

    ngx_uint_t  i, n;

    n = (end - start) / sizeof(ngx_http_exports_rate_window_t);

    (void) ngx_http_exports_shm_slots_init(&sh->slots, start,
                                sizeof(ngx_http_exports_rate_window_t), n);

    ngx_http_exports_shm_tree_init(&sh->tree);

    for (i = 0; i < NGX_HTTP_EXPORTS_RATE_CLASSES; i++) {
        ngx_queue_init(&sh->use[i]);
        ngx_queue_init(&sh->age[i]);
    }

    sh->told = ngx_current_msec - NGX_HTTP_EXPORTS_RATE_SILENT;
    sh->uncounted = 0;
}


/* scope IDs are those of a store, which its lineage tells from another */

static void
ngx_http_exports_rate_user(u_char *key, uint64_t scope, const uint8_t *lineage)
{
    *key++ = 'u';
    key = ngx_cpymem(key, &scope, sizeof(uint64_t));
    ngx_memcpy(key, lineage, EXPORTS_LINEAGE_LEN);
}


/* an IPv6 client has all of its /64; a Unix socket has no address */

static void
ngx_http_exports_rate_address(u_char *key, struct sockaddr *sockaddr)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    switch (sockaddr->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sockaddr;

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            *key++ = '4';
            ngx_memcpy(key, sin6->sin6_addr.s6_addr + 12, 4);
            break;
        }

        *key++ = '6';
        ngx_memcpy(key, sin6->sin6_addr.s6_addr, 8);
        break;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sockaddr;

        *key++ = '4';
        ngx_memcpy(key, &sin->sin_addr, 4);
        break;

    default:
        *key = '-';
        break;
    }
}


/* the window that a request counts in, perhaps a new one; NULL: no room */

static ngx_http_exports_rate_window_t *
ngx_http_exports_rate_get(ngx_http_exports_rate_sh_t *sh, const u_char *key,
    ngx_uint_t class)
{
    ngx_http_exports_rate_window_t  *window;

    window = ngx_http_exports_shm_find(&sh->tree, key);

    if (window != NULL) {
        ngx_queue_remove(&window->use);
        ngx_queue_insert_head(&sh->use[class], &window->use);

        if (ngx_http_exports_shm_elapsed(window->begun)
            < NGX_HTTP_EXPORTS_WINDOW)
        {
            return window;
        }

        ngx_queue_remove(&window->age);

    } else {
        window = ngx_http_exports_shm_take(&sh->slots);

        if (window == NULL) {
            window = ngx_http_exports_rate_oldest(sh, class);

            if (window == NULL) {
                return NULL;
            }

            ngx_queue_remove(&window->use);
            ngx_queue_remove(&window->age);
            ngx_http_exports_shm_delete(&sh->tree, &window->node);
        }

        ngx_http_exports_shm_insert(&sh->tree, &window->node, key);
        ngx_queue_insert_head(&sh->use[class], &window->use);
    }

    window->begun = ngx_current_msec;
    window->requests = 0;

    ngx_queue_insert_head(&sh->age[class], &window->age);

    return window;
}


/*
 * The window whose place a new one takes: one that has ended, else the least
 * recently used one of an address, else, for a user only, that of a user.  So
 * a client at its limit keeps its window, and does not get a new one, for as
 * long as it goes on
 */

static ngx_http_exports_rate_window_t *
ngx_http_exports_rate_oldest(ngx_http_exports_rate_sh_t *sh, ngx_uint_t class)
{
    ngx_uint_t                       i;
    ngx_queue_t                     *q;
    ngx_http_exports_rate_window_t  *window;

    for (i = 0; i < NGX_HTTP_EXPORTS_RATE_CLASSES; i++) {

        if (ngx_queue_empty(&sh->age[i])) {
            continue;
        }

        q = ngx_queue_last(&sh->age[i]);
        window = ngx_queue_data(q, ngx_http_exports_rate_window_t, age);

        if (ngx_http_exports_shm_elapsed(window->begun)
            >= NGX_HTTP_EXPORTS_WINDOW)
        {
            return window;
        }
    }

    for (i = 0; i <= class; i++) {

        if (ngx_queue_empty(&sh->use[i])) {
            continue;
        }

        q = ngx_queue_last(&sh->use[i]);

        return ngx_queue_data(q, ngx_http_exports_rate_window_t, use);
    }

    return NULL;
}


static void
ngx_http_exports_rate_count(ngx_http_exports_rate_window_t *window,
    ngx_http_exports_rate_t *rate)
{
    ngx_msec_t  left;

    if (window->requests < rate->limit) {
        window->requests++;
        rate->remaining = rate->limit - window->requests;
        return;
    }

    /* 1 ms to 60 s are left */

    left = NGX_HTTP_EXPORTS_WINDOW
           - ngx_http_exports_shm_elapsed(window->begun);

    rate->remaining = 0;
    rate->retry_after = (left + 999) / 1000;
}


/* the number of uncounted requests to report now; 0: not yet */

static ngx_uint_t
ngx_http_exports_rate_tell(ngx_http_exports_rate_sh_t *sh)
{
    ngx_uint_t  uncounted;

    sh->uncounted++;

    if (ngx_http_exports_shm_elapsed(sh->told) < NGX_HTTP_EXPORTS_RATE_SILENT)
    {
        return 0;
    }

    uncounted = sh->uncounted;

    sh->uncounted = 0;
    sh->told = ngx_current_msec;

    return uncounted;
}
