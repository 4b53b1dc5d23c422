
/*
 * Rendered pages: the part of a body that is the same for all requests of the
 * page, as it is or compressed.  A page is memory of its own, not a request's:
 * every request that sends it holds a reference, and the cache one more, so
 * that what is evicted stays until the slowest client has it.
 *
 * A worker has one cache, under "exports_page_cache".  It finds a page by all
 * bytes that the page depends on.  What makes a page out of date (a version)
 * is compared behind that: a busy scope has one entry for a page, not one for
 * each commit.
 */

#ifndef _NGX_HTTP_EXPORTS_PAGE_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_PAGE_H_INCLUDED_


#include "ngx_http_exports.h"


struct ngx_http_exports_page_s {
    ngx_rbtree_node_t           node;       /* key: a hash of key and gzip */
    ngx_queue_t                 queue;
    ngx_uint_t                  refs;
    ngx_uint_t                  used;       /* last, by the cache's clock */
    size_t                      size;       /* of all its memory */

    ngx_str_t                   key;        /* len 0: cannot be kept */
    ngx_http_exports_version_t  version;
    uint64_t                    total;

    u_char                     *data;
    size_t                      len;
    size_t                      plain_len;  /* of what is compressed */
    uint32_t                    crc;

    unsigned                    gzip:1;
    unsigned                    kept:1;     /* in the cache */
    unsigned                    counted:1;  /* among the bytes of the cache */
};


/* page.c */

/*
 * with room for len bytes, one reference, the caller's; NULL: it has been
 * logged.  With the key and the version of the context, if it is to be kept
 */

ngx_http_exports_page_t *ngx_http_exports_page_create(
    ngx_http_exports_ctx_t *ctx, size_t len, ngx_uint_t keep);
void ngx_http_exports_page_release(ngx_http_exports_page_t *page);

/* of the only reference: gives back what its bytes, and so many behind them, do
   not need, and moves */

ngx_http_exports_page_t *ngx_http_exports_page_trim(
    ngx_http_exports_page_t *page, size_t room);


/* cache.c */

/* of a worker */

typedef struct {
    size_t                      size;       /* bytes in use */
    ngx_uint_t                  pages;
    ngx_uint_t                  hits;
    ngx_uint_t                  misses;
    ngx_uint_t                  evicted;    /* to make room */
    ngx_uint_t                  outdated;
    ngx_uint_t                  declined;   /* too large, or not admitted */
    ngx_uint_t                  refused;    /* no room was to be had */
} ngx_http_exports_cache_stat_t;

extern ngx_http_exports_cache_stat_t  ngx_http_exports_cache_stat;


char *ngx_http_exports_conf_page_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* whether pages of the context may be kept at all */

ngx_uint_t ngx_http_exports_cache_keeps(ngx_http_exports_ctx_t *ctx);

/* whether one of so many bytes is.  Changes nothing, and may be interrupted */

ngx_uint_t ngx_http_exports_cache_takes(ngx_http_exports_ctx_t *ctx,
    ngx_uint_t gzip, size_t len);

/*
 * changes nothing, and may be interrupted; what it has found is good until
 * the cache is called again
 */

ngx_http_exports_page_t *ngx_http_exports_cache_find(
    ngx_http_exports_ctx_t *ctx, ngx_uint_t gzip);

/* a reference to what was found, and to the front of the queue */

void ngx_http_exports_cache_use(ngx_http_exports_page_t *page);

/* of each page that was not found; NGX_DECLINED: it is not kept */

ngx_int_t ngx_http_exports_cache_keep(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_page_t *page);

/* of a page that was counted, once nobody refers to it */

void ngx_http_exports_cache_freed(ngx_http_exports_page_t *page);

void ngx_http_exports_cache_done(ngx_log_t *log);


/* render.c: a page of the context's, as its items are read */

typedef struct {
    ngx_http_exports_ctx_t     *ctx;
    ngx_uint_t                  limit;      /* items of a page */
    ngx_uint_t                  expected;   /* items */
    ngx_uint_t                  items;      /* that have been written */
    size_t                      link;       /* bytes of an item's, at most */
    u_char                     *last;       /* NULL: nothing has */
    u_char                     *end;        /* of the room for items */
} ngx_http_exports_render_t;

void ngx_http_exports_render_init(ngx_http_exports_render_t *render,
    ngx_http_exports_ctx_t *ctx);

/* for exports_page_visit(); EXPORTS_OK or EXPORTS_NOMEM */

exports_rc_t ngx_http_exports_render_items(void *data,
    const exports_page_t *page, const exports_item_t *items, unsigned n);
exports_rc_t ngx_http_exports_render_end(ngx_http_exports_render_t *render,
    const exports_page_t *page);


/* gzip.c */

/*
 * a page that is shorter or longer is not compressed.  Nobody else is served
 * meanwhile: 20 ms for the longest one of strings that do not repeat; of the
 * usual items it has some eight hundred
 */
#define NGX_HTTP_EXPORTS_GZIP_MIN     256
#define NGX_HTTP_EXPORTS_GZIP_MAX     (512 * 1024)

/* what the end of a compressed body has before it, and around it */
#define NGX_HTTP_EXPORTS_GZIP_BEFORE  5
#define NGX_HTTP_EXPORTS_GZIP_TAIL    (NGX_HTTP_EXPORTS_GZIP_BEFORE + 8)

char *ngx_http_exports_check_gzip(ngx_conf_t *cf, void *post, void *data);

ngx_uint_t ngx_http_exports_gzip_ok(ngx_http_request_t *r,
    ngx_http_exports_loc_conf_t *elcf);

#define ngx_http_exports_gzip_takes(ctx, len)                                 \
    ((ctx)->gzip && (len) >= NGX_HTTP_EXPORTS_GZIP_MIN                        \
     && (len) <= NGX_HTTP_EXPORTS_GZIP_MAX)

/* NULL: it has been logged why */

ngx_http_exports_page_t *ngx_http_exports_gzip(ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_page_t *plain);

/* from p to last stands the end of the body, with room around it */

u_char *ngx_http_exports_gzip_tail(const ngx_http_exports_page_t *page,
    u_char *p, u_char *last);

void ngx_http_exports_gzip_done(void);


#endif /* _NGX_HTTP_EXPORTS_PAGE_H_INCLUDED_ */
