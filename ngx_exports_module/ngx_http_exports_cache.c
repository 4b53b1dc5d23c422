
/*
 * The page cache of a worker.  The least recently used pages are evicted, but a
 * new page is admitted only if that evicts no page but idle ones, or by chance.
 */

#include "ngx_http_exports_page.h"


/* the least "exports_page_cache" */
#define NGX_HTTP_EXPORTS_CACHE_MIN     (64 * 1024)

/* a page may take a fourth of the cache */
#define NGX_HTTP_EXPORTS_CACHE_SHARE   4

/* only an unusual query has a longer key: its page is not kept */
#define NGX_HTTP_EXPORTS_CACHE_KEY     2048

/* pages being sent that the search for room passes before it gives up */
#define NGX_HTTP_EXPORTS_CACHE_PASSED  64

/* what malloc() adds to a block */
#define NGX_HTTP_EXPORTS_CACHE_BLOCK   16

/* idle: not used in the last 3 * (number of pages kept) requests */
#define NGX_HTTP_EXPORTS_CACHE_IDLE    3

/* bits: one new page in 16 is admitted although no page is idle */
#define NGX_HTTP_EXPORTS_CACHE_CHANCE  4


typedef struct {
    ngx_rbtree_t       rbtree;
    ngx_rbtree_node_t  sentinel;
    ngx_queue_t        queue;       /* the most recently used page first */
    ngx_uint_t         clock;       /* requests for pages, kept or not */
    ngx_uint_t         initialized;

    size_t             size;        /* bytes in use */
    ngx_uint_t         pages;

    /* since the worker has started */
    ngx_uint_t         hits;
    ngx_uint_t         misses;
    ngx_uint_t         evicted;     /* to make room */
    ngx_uint_t         outdated;    /* replaced by a newer version */
    ngx_uint_t         declined;    /* too large, or not admitted */
    ngx_uint_t         refused;     /* no room could be made */
} ngx_http_exports_cache_t;


static void ngx_http_exports_cache_init(void);
static size_t ngx_http_exports_cache_size(ngx_http_exports_ctx_t *ctx);
static ngx_http_exports_page_t *ngx_http_exports_cache_get(const ngx_str_t *key,
    uint64_t hash, ngx_uint_t gzip);
static ngx_int_t ngx_http_exports_cache_compare(
    const ngx_http_exports_page_t *page, const ngx_str_t *key,
    ngx_rbtree_key_t hash, ngx_uint_t gzip);
static void ngx_http_exports_cache_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_uint_t ngx_http_exports_cache_chance(void);
static ngx_uint_t ngx_http_exports_cache_idle(size_t room, size_t size);
static ngx_uint_t ngx_http_exports_cache_room(size_t room, size_t size);
static ngx_http_exports_page_t *ngx_http_exports_cache_victim(ngx_queue_t **q,
    ngx_uint_t *passed);
static void ngx_http_exports_cache_touch(ngx_http_exports_page_t *page);
static void ngx_http_exports_cache_remove(ngx_http_exports_page_t *page);


static ngx_http_exports_cache_t  ngx_http_exports_cache;


char *
ngx_http_exports_conf_page_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_exports_main_conf_t *emcf = conf;

    off_t       size;
    ngx_str_t  *value;

    if (emcf->page_cache != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        emcf->page_cache = 0;
        return NGX_CONF_OK;
    }

    size = ngx_parse_offset(&value[1]);

    if (size == NGX_ERROR || size < NGX_HTTP_EXPORTS_CACHE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of the page cache, it must be "
                           "\"off\" or at least 64k", &value[1]);
        return NGX_CONF_ERROR;
    }

    emcf->page_cache = (size_t) size;

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_http_exports_cache_keeps(ngx_http_exports_ctx_t *ctx)
{
    return ctx->key.len <= NGX_HTTP_EXPORTS_CACHE_KEY
           && ngx_http_exports_cache_size(ctx) > 0;
}


ngx_uint_t
ngx_http_exports_cache_takes(ngx_http_exports_ctx_t *ctx, ngx_uint_t gzip,
    size_t len)
{
    size_t  room, size;

    size = ngx_http_exports_cache_size(ctx);

    room = sizeof(ngx_http_exports_page_t) + ctx->key.len + len
           + NGX_HTTP_EXPORTS_CACHE_BLOCK;

    if (!ngx_http_exports_cache_keeps(ctx)
        || room > size / NGX_HTTP_EXPORTS_CACHE_SHARE)
    {
        return 0;
    }

    /* a page that replaces its own older version takes no other's place */

    return !ngx_http_exports_cache.initialized
           || ngx_http_exports_cache_chance()
           || ngx_http_exports_cache_idle(room, size)
           || ngx_http_exports_cache_get(&ctx->key, ctx->hash, gzip) != NULL;
}


ngx_http_exports_page_t *
ngx_http_exports_cache_find(ngx_http_exports_ctx_t *ctx, ngx_uint_t gzip)
{
    ngx_http_exports_page_t  *page;

    if (!ngx_http_exports_cache.initialized
        || ngx_http_exports_cache_size(ctx) == 0)
    {
        return NULL;
    }

    page = ngx_http_exports_cache_get(&ctx->key, ctx->hash, gzip);

    if (page == NULL
        || page->version.store != ctx->version.store
        || page->version.revision != ctx->version.revision
        || page->version.expires != ctx->version.expires)
    {
        return NULL;
    }

    return page;
}


void
ngx_http_exports_cache_use(ngx_http_exports_page_t *page)
{
    page->refs++;

    ngx_http_exports_cache.clock++;
    ngx_http_exports_cache_touch(page);

    ngx_http_exports_cache.hits++;
}


ngx_int_t
ngx_http_exports_cache_keep(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_page_t *page)
{
    size_t                    size;
    ngx_http_exports_page_t  *old;

    if (ngx_http_exports_cache_size(ctx) == 0) {
        return NGX_DECLINED;
    }

    /* even if the page is declined: cache_done() is to report that */

    if (!ngx_http_exports_cache.initialized) {
        ngx_http_exports_cache_init();
    }

    ngx_http_exports_cache.clock++;

    if (page->key.len == 0) {
        ngx_http_exports_cache.declined++;
        return NGX_DECLINED;
    }

    old = ngx_http_exports_cache_get(&page->key, ctx->hash, page->gzip);

    if (old != NULL) {
        ngx_http_exports_cache.outdated++;
        ngx_http_exports_cache_remove(old);
    }

    size = page->size + NGX_HTTP_EXPORTS_CACHE_BLOCK;

    if (!ngx_http_exports_cache_room(size, ngx_http_exports_cache_size(ctx))) {
        ngx_http_exports_cache.refused++;
        return NGX_DECLINED;
    }

    page->refs++;
    page->kept = 1;
    page->counted = 1;
    page->used = ngx_http_exports_cache.clock;
    page->node.key = (ngx_rbtree_key_t) ctx->hash;

    ngx_rbtree_insert(&ngx_http_exports_cache.rbtree, &page->node);
    ngx_queue_insert_head(&ngx_http_exports_cache.queue, &page->queue);

    ngx_http_exports_cache.size += size;
    ngx_http_exports_cache.pages++;
    ngx_http_exports_cache.misses++;

    return NGX_OK;
}


void
ngx_http_exports_cache_freed(ngx_http_exports_page_t *page)
{
    ngx_http_exports_cache.size -= page->size + NGX_HTTP_EXPORTS_CACHE_BLOCK;
}


/* at the end of a process, when requests may still be sending pages */

void
ngx_http_exports_cache_done(ngx_log_t *log)
{
    ngx_queue_t               *queue;
    ngx_http_exports_cache_t  *cache;

    if (!ngx_http_exports_cache.initialized) {
        return;
    }

    cache = &ngx_http_exports_cache;

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "exports page cache: %ui hits, %ui misses, %ui evicted, "
                  "%ui out of date, %ui declined, %ui refused, "
                  "%ui pages of %uz bytes",
                  cache->hits, cache->misses, cache->evicted, cache->outdated,
                  cache->declined, cache->refused, cache->pages, cache->size);

    queue = &cache->queue;

    while (!ngx_queue_empty(queue)) {
        ngx_http_exports_cache_remove(ngx_queue_data(ngx_queue_head(queue),
                                                     ngx_http_exports_page_t,
                                                     queue));
    }
}


static void
ngx_http_exports_cache_init(void)
{
    ngx_rbtree_init(&ngx_http_exports_cache.rbtree,
                    &ngx_http_exports_cache.sentinel,
                    ngx_http_exports_cache_insert);

    ngx_queue_init(&ngx_http_exports_cache.queue);

    ngx_http_exports_cache.initialized = 1;
}


static size_t
ngx_http_exports_cache_size(ngx_http_exports_ctx_t *ctx)
{
    ngx_http_exports_main_conf_t  *emcf;

    emcf = ngx_http_get_module_main_conf(ctx->request,
                                         ngx_http_exports_module);

    return emcf->page_cache;
}


static ngx_http_exports_page_t *
ngx_http_exports_cache_get(const ngx_str_t *key, uint64_t hash,
    ngx_uint_t gzip)
{
    ngx_int_t                 rc;
    ngx_rbtree_node_t        *node, *sentinel;
    ngx_http_exports_page_t  *page;

    node = ngx_http_exports_cache.rbtree.root;
    sentinel = ngx_http_exports_cache.rbtree.sentinel;

    while (node != sentinel) {

        page = ngx_rbtree_data(node, ngx_http_exports_page_t, node);

        rc = ngx_http_exports_cache_compare(page, key, (ngx_rbtree_key_t) hash,
                                            gzip);
        if (rc == 0) {
            return page;
        }

        node = rc < 0 ? node->left : node->right;
    }

    return NULL;
}


/*
 * < 0: what is looked for is left of the page.  By the hash, in the end by the
 * whole key: so keys that somebody has chosen for their common hash cannot
 * degrade the tree.
 */

static ngx_int_t
ngx_http_exports_cache_compare(const ngx_http_exports_page_t *page,
    const ngx_str_t *key, ngx_rbtree_key_t hash, ngx_uint_t gzip)
{
    if (hash != page->node.key) {
        return hash < page->node.key ? -1 : 1;
    }

    if (gzip != page->gzip) {
        return gzip < page->gzip ? -1 : 1;
    }

    return ngx_memn2cmp(key->data, page->key.data, key->len, page->key.len);
}


static void
ngx_http_exports_cache_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t        **p;
    ngx_http_exports_page_t   *page, *other;

    page = ngx_rbtree_data(node, ngx_http_exports_page_t, node);

    for ( ;; ) {
        other = ngx_rbtree_data(temp, ngx_http_exports_page_t, node);

        p = ngx_http_exports_cache_compare(other, &page->key, node->key,
                                           page->gzip)
            < 0 ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


/*
 * Without it a page that becomes popular while all others are in use would
 * never be admitted.  Multiplying the clock by the golden ratio scatters it: no
 * regular sequence of requests is admitted each time, or never.
 */

static ngx_uint_t
ngx_http_exports_cache_chance(void)
{
    uint32_t  n;

    n = (uint32_t) ngx_http_exports_cache.clock * 2654435769u;

    return n >> (32 - NGX_HTTP_EXPORTS_CACHE_CHANCE) == 0;
}


/*
 * Whether evicting idle pages would make room.  Without this test a client that
 * walks through more pages than fit would evict each of them before it comes
 * back to it.
 */

static ngx_uint_t
ngx_http_exports_cache_idle(size_t room, size_t size)
{
    ngx_uint_t                passed, limit;
    ngx_queue_t              *q;
    ngx_http_exports_page_t  *page;

    q = ngx_queue_last(&ngx_http_exports_cache.queue);
    passed = 0;

    limit = NGX_HTTP_EXPORTS_CACHE_IDLE * ngx_http_exports_cache.pages;
    room += ngx_http_exports_cache.size;

    while (room > size) {

        page = ngx_http_exports_cache_victim(&q, &passed);

        /* no room was found: cache_keep() will not find any either, and count
           that as refused, but move what was passed out of the way */

        if (page == NULL) {
            return 1;
        }

        if (ngx_http_exports_cache.clock - page->used <= limit) {
            return 0;
        }

        room -= page->size + NGX_HTTP_EXPORTS_CACHE_BLOCK;
    }

    return 1;
}


/*
 * Evicts pages, but none that is being sent, for that would free no memory.  It
 * is in use: so it is moved to the front, and slow clients, however many, do
 * not hide behind their pages what could be evicted
 */

static ngx_uint_t
ngx_http_exports_cache_room(size_t room, size_t size)
{
    ngx_uint_t                passed;
    ngx_queue_t              *q;
    ngx_http_exports_page_t  *page;

    passed = 0;

    while (ngx_http_exports_cache.size + room > size) {

        q = ngx_queue_last(&ngx_http_exports_cache.queue);

        if (q == ngx_queue_sentinel(&ngx_http_exports_cache.queue)
            || passed == NGX_HTTP_EXPORTS_CACHE_PASSED)
        {
            return 0;
        }

        page = ngx_queue_data(q, ngx_http_exports_page_t, queue);

        if (page->refs > 1) {
            ngx_http_exports_cache_touch(page);
            passed++;
            continue;
        }

        ngx_http_exports_cache.evicted++;
        ngx_http_exports_cache_remove(page);
    }

    return 1;
}


/* the next page that could be evicted, or NULL; changes nothing */

static ngx_http_exports_page_t *
ngx_http_exports_cache_victim(ngx_queue_t **q, ngx_uint_t *passed)
{
    ngx_http_exports_page_t  *page;

    while (*q != ngx_queue_sentinel(&ngx_http_exports_cache.queue)
           && *passed < NGX_HTTP_EXPORTS_CACHE_PASSED)
    {
        page = ngx_queue_data(*q, ngx_http_exports_page_t, queue);
        *q = ngx_queue_prev(*q);

        if (page->refs == 1) {
            return page;
        }

        (*passed)++;
    }

    return NULL;
}


/* the most recently used page now */

static void
ngx_http_exports_cache_touch(ngx_http_exports_page_t *page)
{
    page->used = ngx_http_exports_cache.clock;

    ngx_queue_remove(&page->queue);
    ngx_queue_insert_head(&ngx_http_exports_cache.queue, &page->queue);
}


static void
ngx_http_exports_cache_remove(ngx_http_exports_page_t *page)
{
    ngx_rbtree_delete(&ngx_http_exports_cache.rbtree, &page->node);
    ngx_queue_remove(&page->queue);

    page->kept = 0;
    ngx_http_exports_cache.pages--;

    ngx_http_exports_page_release(page);
}
