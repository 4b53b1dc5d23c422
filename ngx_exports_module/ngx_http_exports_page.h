
/*
 * Rendered pages: the part of a body that is the same for all requests of a
 * page, plain or compressed.  A page has its own memory, not a request's: every
 * request that sends it holds a reference, and the cache one more, so that an
 * evicted page stays until the slowest client has got it.
 *
 * Each worker has one cache, "exports_page_cache".  A page is looked up by a
 * key of all that it depends on but its version, which is compared only when
 * it has been found: so a busy scope has one entry for a page, not one for each
 * commit.
 */

#ifndef _NGX_HTTP_EXPORTS_PAGE_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_PAGE_H_INCLUDED_


#include "ngx_http_exports.h"


struct ngx_http_exports_page_s {
    ngx_rbtree_node_t           node;       /* by the hash of the key */
    ngx_queue_t                 queue;
    ngx_uint_t                  refs;
    ngx_uint_t                  used;       /* last; by the cache's clock */
    size_t                      size;       /* of all its memory */

    ngx_str_t                   key;        /* len 0: cannot be kept */
    ngx_http_exports_version_t  version;
    uint64_t                    total;

    u_char                     *data;
    size_t                      len;
    size_t                      plain_len;  /* before it was compressed, and */
    uint32_t                    crc;        /* of that */

    unsigned                    gzip:1;
    unsigned                    kept:1;     /* in the cache */
    unsigned                    counted:1;  /* among the bytes of the cache */
};


/* page.c */

/*
 * a page with room for len bytes, and one reference, the caller's; with key and
 * version of the context, if it may be kept.  NULL: the reason is logged
 */

ngx_http_exports_page_t *ngx_http_exports_page_create(
    ngx_http_exports_ctx_t *ctx, size_t len, ngx_uint_t keep);
void ngx_http_exports_page_release(ngx_http_exports_page_t *page);

/* shrinks a page, by the only reference to it, to its bytes and some room after
   them; the page may move */

ngx_http_exports_page_t *ngx_http_exports_page_trim(
    ngx_http_exports_page_t *page, size_t room);


/* cache.c */

char *ngx_http_exports_conf_page_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* whether the page of the context may be kept at all */

ngx_uint_t ngx_http_exports_cache_keeps(ngx_http_exports_ctx_t *ctx);

/*
 * whether it would be kept if it had that many bytes.  Changes nothing, and may
 * be interrupted
 */

ngx_uint_t ngx_http_exports_cache_takes(ngx_http_exports_ctx_t *ctx,
    ngx_uint_t gzip, size_t len);

/*
 * the page of the context, if it is kept and up to date; valid until the cache
 * is called again.  Changes nothing, and may be interrupted
 */

ngx_http_exports_page_t *ngx_http_exports_cache_find(
    ngx_http_exports_ctx_t *ctx, ngx_uint_t gzip);

/* takes a reference to a page that was found, now the most recently used */

void ngx_http_exports_cache_use(ngx_http_exports_page_t *page);

/* for each page that was not found; NGX_DECLINED: it is not kept */

ngx_int_t ngx_http_exports_cache_keep(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_page_t *page);

/* for a page that was counted, when its last reference is gone */

void ngx_http_exports_cache_freed(ngx_http_exports_page_t *page);

void ngx_http_exports_cache_done(ngx_log_t *log);


/* render.c: writes the page of the context while its items are read */

typedef struct {
    ngx_http_exports_ctx_t     *ctx;
    ngx_uint_t                  limit;      /* items of a page */
    ngx_uint_t                  expected;   /* items */
    ngx_uint_t                  items;      /* written so far */
    size_t                      link;       /* an item's, at most; bytes */
    u_char                     *last;       /* NULL: nothing is written */
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
 * pages that are shorter or longer than these are not compressed.  A worker
 * serves nobody else while it compresses: up to 20 ms for a page of the longest
 * kind, which some eight hundred items of the usual length make
 */
#define NGX_HTTP_EXPORTS_GZIP_MIN     256
#define NGX_HTTP_EXPORTS_GZIP_MAX     (512 * 1024)

/* room before the end of a compressed body, and before and after it */
#define NGX_HTTP_EXPORTS_GZIP_BEFORE  5
#define NGX_HTTP_EXPORTS_GZIP_TAIL    (NGX_HTTP_EXPORTS_GZIP_BEFORE + 8)

char *ngx_http_exports_check_gzip(ngx_conf_t *cf, void *post, void *data);

ngx_uint_t ngx_http_exports_gzip_ok(ngx_http_request_t *r,
    ngx_http_exports_loc_conf_t *elcf);

#define ngx_http_exports_gzip_takes(ctx, len)                                 \
    ((ctx)->gzip && (len) >= NGX_HTTP_EXPORTS_GZIP_MIN                        \
     && (len) <= NGX_HTTP_EXPORTS_GZIP_MAX)

/* the page, compressed; NULL: the reason is logged */

ngx_http_exports_page_t *ngx_http_exports_gzip(ngx_http_exports_ctx_t *ctx,
    const ngx_http_exports_page_t *plain);

/* ends a compressed body: from p to last are its last bytes, not compressed,
   with room around them.  Returns the new end */

u_char *ngx_http_exports_gzip_tail(const ngx_http_exports_page_t *page,
    u_char *p, u_char *last);

void ngx_http_exports_gzip_done(void);


#endif /* _NGX_HTTP_EXPORTS_PAGE_H_INCLUDED_ */
