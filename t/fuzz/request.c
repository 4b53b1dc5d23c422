
#define _GNU_SOURCE             /* memfd_create() */

#include <sys/mman.h>

#include "request.h"


#define LOGGED_MAX  4096
#define POOL_SIZE   4096


static void keep_message(ngx_log_t *log, ngx_uint_t level, u_char *buf,
    size_t len);
static void set_conf(ngx_conf_t *cf, ngx_http_exports_loc_conf_t *elcf,
    const ngx_http_exports_api_t *api, const char *prefix);


ngx_str_t    fuzz_logged;
ngx_pool_t  *fuzz_pool;


static ngx_log_t                     request_log;
static ngx_cycle_t                   cycle;
static ngx_http_core_srv_conf_t      server;
static ngx_http_exports_main_conf_t  main_conf;     /* pages are not kept */
static ngx_http_exports_loc_conf_t   locations[2];


void
fuzz_nginx(void)
{
    ngx_conf_t  *cf;

    ngx_pagesize = (ngx_uint_t) getpagesize();
    ngx_cacheline_size = 64;
    ngx_time_init();

    ngx_use_stderr = 0;
    request_log.log_level = NGX_LOG_DEBUG_ALL;
    request_log.writer = keep_message;

    fuzz_pool = ngx_create_pool(POOL_SIZE, &request_log);
    must(fuzz_pool != NULL, "out of memory");

    cycle.log = &request_log;
    cycle.pool = fuzz_pool;
    ngx_cycle = &cycle;

    must(ngx_list_init(&cycle.shared_memory, fuzz_pool, 1,
                       sizeof(ngx_shm_zone_t)) == NGX_OK, "out of memory");

    ngx_str_set(&server.server_name, "server");
    ngx_str_set(&cycle.prefix, "/");
    ngx_str_set(&cycle.conf_prefix, "/");

    ngx_http_max_module = 2;
    ngx_http_core_module.ctx_index = 0;
    ngx_http_exports_module.ctx_index = 1;

    cf = fuzz_conf("");
    set_conf(cf, &locations[0], &ngx_http_exports_project, "/projects");
    set_conf(cf, &locations[1], &ngx_http_exports_user, "/api/v3/exports");
}


static void
keep_message(ngx_log_t *log, ngx_uint_t level, u_char *buf, size_t len)
{
    static u_char  text[LOGGED_MAX];

    if (level == NGX_LOG_DEBUG) {
        return;
    }

    must(len <= sizeof(text), "a message of %zu bytes", len);

    ngx_memcpy(text, buf, len);
    fuzz_logged.data = text;
    fuzz_logged.len = len;
}


static void
set_conf(ngx_conf_t *cf, ngx_http_exports_loc_conf_t *elcf,
    const ngx_http_exports_api_t *api, const char *prefix)
{
    elcf->api = api;
    elcf->routes = ngx_http_exports_route_compile(cf, api);
    must(elcf->routes != NULL, "no routes");

    elcf->prefix.data = (u_char *) prefix;
    elcf->prefix.len = ngx_strlen(prefix);
    elcf->link = elcf->prefix;
    elcf->link_ttl = 3600;
    elcf->keys = NGX_CONF_UNSET_PTR;
}


ngx_conf_t *
fuzz_conf(const char *argument)
{
    static ngx_str_t         arguments[2];
    static ngx_conf_t        cf;
    static ngx_array_t       args = { arguments, 2, sizeof(ngx_str_t), 2,
                                      NULL };
    static ngx_conf_file_t   file;

    arguments[1].data = (u_char *) argument;
    arguments[1].len = ngx_strlen(argument);

    ngx_str_set(&file.file.name, "nginx.conf");

    cf.pool = fuzz_pool;
    cf.temp_pool = fuzz_pool;
    cf.cycle = &cycle;
    cf.log = &request_log;
    cf.args = &args;
    cf.conf_file = &file;

    return &cf;
}


ngx_http_request_t *
fuzz_request(const ngx_http_exports_api_t *api)
{
    ngx_pool_t           *pool;
    ngx_connection_t     *c;
    ngx_http_request_t   *r;

    fuzz_logged.len = 0;

    pool = ngx_create_pool(POOL_SIZE, &request_log);
    must(pool != NULL, "out of memory");

    r = ngx_pcalloc(pool, sizeof(ngx_http_request_t));
    c = ngx_pcalloc(pool, sizeof(ngx_connection_t));

    r->main = r;
    r->pool = pool;
    r->connection = c;
    c->log = &request_log;

    r->ctx = ngx_pcalloc(pool, 2 * sizeof(void *));
    r->main_conf = ngx_pcalloc(pool, 2 * sizeof(void *));
    r->srv_conf = ngx_pcalloc(pool, 2 * sizeof(void *));
    r->loc_conf = ngx_pcalloc(pool, 2 * sizeof(void *));

    r->srv_conf[ngx_http_core_module.ctx_index] = &server;
    r->main_conf[ngx_http_exports_module.ctx_index] = &main_conf;
    r->loc_conf[ngx_http_exports_module.ctx_index] = &locations[api->index];

    must(ngx_list_init(&r->headers_in.headers, pool, 4,
                       sizeof(ngx_table_elt_t)) == NGX_OK, "out of memory");

    must(ngx_http_exports_create_ctx(r) != NULL, "no context");
    fuzz_ctx(r)->now = FUZZ_NOW;

    return r;
}


ngx_http_exports_ctx_t *
fuzz_ctx(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r, ngx_http_exports_module);
}


void
fuzz_request_done(ngx_http_request_t *r)
{
    ngx_destroy_pool(r->pool);
}


char *
fuzz_key_file(const void *data, size_t len)
{
    static int   fd = -1;
    static char  path[64];

    if (fd == -1) {
        fd = memfd_create("keys", MFD_CLOEXEC);
        must(fd != -1 && fchmod(fd, 0600) == 0, "%s", strerror(errno));

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    }

    must(ftruncate(fd, 0) == 0
         && pwrite(fd, data, len, 0) == (ssize_t) len, "%s",
         strerror(errno));

    return path;
}


ngx_str_t
fuzz_str(ngx_http_request_t *r, const void *data, size_t len)
{
    ngx_str_t  str;

    str.len = len;
    str.data = ngx_pnalloc(r->pool, len);
    must(str.data != NULL, "out of memory");

    ngx_memcpy(str.data, data, len);

    return str;
}


ngx_table_elt_t *
fuzz_header(ngx_http_request_t *r, const char *name, const void *value,
    size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_in.headers);
    must(h != NULL, "out of memory");

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->key = fuzz_str(r, name, ngx_strlen(name));
    h->value = fuzz_str(r, value, len);

    return h;
}


u_char *
fuzz_body(ngx_http_request_t *r, exports_page_t *page, u_char **last)
{
    u_char                     *body;
    unsigned                    n, nitems;
    const exports_item_t       *items;
    ngx_http_exports_ctx_t     *ctx;
    ngx_http_exports_render_t   render;

    ctx = fuzz_ctx(r);
    nitems = page->nitems;

    ngx_http_exports_render_init(&render, ctx);

    /* one, two, and so on: what the store hands over at a time may be any */

    for (page->nitems = 0, n = 1; page->nitems < nitems; n++) {
        n = ngx_min(n, nitems - page->nitems);
        items = &page->items[page->nitems];
        page->nitems += n;

        must(ngx_http_exports_render_items(&render, page, items, n)
             == EXPORTS_OK, "items");
    }

    must(ngx_http_exports_render_end(&render, page) == EXPORTS_OK, "the end");

    body = malloc(ctx->page->len);
    must(body != NULL, "out of memory");
    ngx_memcpy(body, ctx->page->data, ctx->page->len);
    *last = body + ctx->page->len;

    ngx_http_exports_page_release(ctx->page);
    ctx->page = NULL;

    return body;
}
