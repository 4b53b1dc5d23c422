
/*
 * What the sources of the module share.  The way of a request: handler.c
 * (route, method) -> list.c (token, arguments, ETag, page, body) -> send.c;
 * what goes wrong on it, or around it in nginx: error.c.  store.c hands out
 * the store, project.c says what is special to an API.
 */

#ifndef _NGX_HTTP_EXPORTS_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "exports_codec.h"
#include "exports_env.h"
#include "exports_page.h"
#include "exports_read.h"
#include "exports_time.h"


#if !(NGX_PCRE)
#error "the exports module needs nginx with PCRE"
#endif


typedef struct ngx_http_exports_ctx_s    ngx_http_exports_ctx_t;
typedef struct ngx_http_exports_api_s    ngx_http_exports_api_t;
typedef struct ngx_http_exports_store_s  ngx_http_exports_store_t;
typedef struct ngx_http_exports_error_s  ngx_http_exports_error_t;


#define NGX_HTTP_EXPORTS_REQUEST_ID_LEN  40

/* "W/" and 32 hexadecimal digits in quotes */
#define NGX_HTTP_EXPORTS_ETAG_LEN        36

/* to be raised when the same records would be rendered otherwise */
#define NGX_HTTP_EXPORTS_RENDERING       1


/* an API, as the pipeline sees it */

struct ngx_http_exports_api_s {
    ngx_str_t                   name;
    exports_kind_t              kind;

    /* of the routes below the prefix; captures: 1 the scope */
    ngx_str_t                   pattern;

    /* what the arguments ask for; a bad one is kept in ctx->bad_args */
    ngx_int_t                 (*args)(ngx_http_request_t *r,
                                      ngx_http_exports_ctx_t *ctx);

    /* the lists that they stand for */
    void                      (*lists)(ngx_http_exports_ctx_t *ctx,
                                       exports_page_query_t *query);

    /* a page in two passes over the same items: its length, then its bytes */
    size_t                    (*length)(ngx_http_request_t *r,
                                        ngx_http_exports_ctx_t *ctx,
                                        const exports_page_t *page);
    u_char                   *(*render)(ngx_http_request_t *r,
                                        ngx_http_exports_ctx_t *ctx,
                                        const exports_page_t *page,
                                        u_char *p);

    ngx_buf_t                *(*error)(ngx_http_request_t *r,
                                       ngx_http_exports_ctx_t *ctx,
                                       const ngx_http_exports_error_t *err);
};


typedef struct {
    ngx_array_t                 stores;     /* ngx_http_exports_store_t * */
    ngx_regex_t                *project_routes;
    ngx_array_t                 fallbacks;  /* ngx_http_exports_fallback_t */
} ngx_http_exports_main_conf_t;


/* a named location that has to exist */

typedef struct {
    ngx_str_t                   name;
    ngx_http_core_srv_conf_t   *cscf;
} ngx_http_exports_fallback_t;


typedef struct {
    ngx_http_exports_store_t   *store;
    const ngx_http_exports_api_t *api;
    ngx_regex_t                *routes;
    ngx_str_t                   prefix;     /* with a slash at its end */
    ngx_str_t                   link;       /* prefix as it goes into JSON */
    ngx_str_t                   fallback;   /* a named location */
} ngx_http_exports_loc_conf_t;


typedef enum {
    NGX_HTTP_EXPORTS_CACHE_NONE = 0,
    NGX_HTTP_EXPORTS_CACHE_BYPASS,
    NGX_HTTP_EXPORTS_CACHE_REVALIDATED
} ngx_http_exports_cache_e;


struct ngx_http_exports_ctx_s {
    ngx_http_exports_loc_conf_t    *conf;

    ngx_str_t                       scope;      /* the project's slug */
    uint64_t                        now;        /* of the request, in us */
    u_char                          digest[EXPORTS_SHA256_LEN];
    u_char                          etag[NGX_HTTP_EXPORTS_ETAG_LEN];
    u_char                   request_id[NGX_HTTP_EXPORTS_REQUEST_ID_LEN];

    /* arguments */
    const ngx_http_exports_error_t *bad_args;
    uint32_t                        statuses;   /* bits; 0: all */
    ngx_uint_t                      limit;
    uint64_t                        offset;

    /* the answer */
    const ngx_http_exports_error_t *error;
    exports_scope_t                 found;
    uint64_t                        total;
    ngx_buf_t                      *body;
    ngx_http_exports_cache_e        cache;

    unsigned                        has_total:1;
    unsigned                        not_modified:1;

    /* of the filters */
    unsigned                        answered:1; /* by us, not to be replaced */
    unsigned                        replace:1;
    unsigned                        replaced:1;
};


/* reasons for an error; the table of them is in error.c */

typedef enum {
    NGX_HTTP_EXPORTS_MISSING_AUTHORIZATION = 0,
    NGX_HTTP_EXPORTS_INVALID_TOKEN,
    NGX_HTTP_EXPORTS_BAD_STATUS,
    NGX_HTTP_EXPORTS_BAD_LIMIT,
    NGX_HTTP_EXPORTS_BAD_OFFSET,
    NGX_HTTP_EXPORTS_NO_ROUTE,
    NGX_HTTP_EXPORTS_BAD_METHOD,
    NGX_HTTP_EXPORTS_UNREADABLE,
    NGX_HTTP_EXPORTS_UNAVAILABLE
} ngx_http_exports_reason_e;

struct ngx_http_exports_error_s {
    ngx_uint_t                  status;
    ngx_str_t                   code;
    ngx_str_t                   message;
};


extern ngx_module_t  ngx_http_exports_module;

extern const ngx_http_exports_api_t  ngx_http_exports_project;


/* conf.c */
char *ngx_http_exports_conf_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exports_conf_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exports_conf_fallback(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_exports_check_fallbacks(ngx_conf_t *cf);

/* handler.c */
ngx_int_t ngx_http_exports_handler(ngx_http_request_t *r);

/* ctx.c: the state of a request, also behind an internal redirect */
ngx_http_exports_ctx_t *ngx_http_exports_create_ctx(ngx_http_request_t *r);
ngx_http_exports_ctx_t *ngx_http_exports_get_ctx(ngx_http_request_t *r);

/* log.c: for messages of ours about a request; good until the next call */
ngx_log_t *ngx_http_exports_log(ngx_http_request_t *r);

/* id.c */
u_char *ngx_http_exports_id(u_char *p, uint64_t now, const char *kind);
u_char *ngx_http_exports_timestamp(u_char *p, uint64_t now);

/* route.c */
ngx_regex_t *ngx_http_exports_route_compile(ngx_conf_t *cf,
    const ngx_http_exports_api_t *api);
ngx_int_t ngx_http_exports_route(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* args.c: no LMDB */
typedef struct {
    ngx_str_t                   name;       /* decoded */
    ngx_str_t                   value;
    ngx_uint_t                  bad;        /* no "=", or a malformed escape */
} ngx_http_exports_arg_t;

ngx_int_t ngx_http_exports_args(ngx_http_request_t *r, ngx_array_t *args);
ngx_int_t ngx_http_exports_arg_number(const ngx_http_exports_arg_t *arg,
    uint64_t *number);

/* auth.c */
ngx_int_t ngx_http_exports_bearer(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
exports_rc_t ngx_http_exports_authenticate(ngx_http_exports_ctx_t *ctx,
    exports_reader_t *reader);

/* list.c */
ngx_int_t ngx_http_exports_list(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* etag.c */
void ngx_http_exports_etag(ngx_http_exports_ctx_t *ctx,
    const uint8_t *lineage);
ngx_uint_t ngx_http_exports_etag_matches(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* send.c */
ngx_int_t ngx_http_exports_send(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
ngx_int_t ngx_http_exports_send_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err);
ngx_table_elt_t *ngx_http_exports_add_header(ngx_http_request_t *r,
    const char *name, size_t name_len, u_char *value, size_t len);
ngx_int_t ngx_http_exports_error_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
void ngx_http_exports_content(ngx_http_request_t *r, ngx_buf_t *body);

#define ngx_http_exports_header(r, name, value)                               \
    ngx_http_exports_add_header(r, name, sizeof(name) - 1,                    \
                                (u_char *) value, sizeof(value) - 1)

/* error.c */
const ngx_http_exports_error_t *ngx_http_exports_error(
    ngx_http_exports_reason_e reason);
const ngx_http_exports_error_t *ngx_http_exports_error_of_status(
    ngx_http_request_t *r, ngx_uint_t status);

/* filter.c */
ngx_int_t ngx_http_exports_filter_init(ngx_conf_t *cf);

/* variables.c */
ngx_int_t ngx_http_exports_add_variables(ngx_conf_t *cf);

/* store.c: see there */
typedef exports_rc_t (*ngx_http_exports_read_pt)(exports_reader_t *reader,
    void *data);

ngx_http_exports_store_t *ngx_http_exports_store_create(ngx_conf_t *cf,
    ngx_str_t *path, size_t map_size, ngx_msec_t check, ngx_uint_t immutable);
void ngx_http_exports_store_start(ngx_http_exports_store_t *store,
    ngx_log_t *log);
ngx_int_t ngx_http_exports_store_read(ngx_http_exports_store_t *store,
    ngx_log_t *log, ngx_http_exports_read_pt read, void *data,
    exports_rc_t *rc);

/* guard.c */
typedef void (*ngx_http_exports_guarded_pt)(void *data);

void ngx_http_exports_guard_init(ngx_log_t *log);
ngx_int_t ngx_http_exports_guard(ngx_http_exports_guarded_pt run, void *data);
void ngx_http_exports_guard_assert(const char *message);
const char *ngx_http_exports_guard_reason(void);


#endif /* _NGX_HTTP_EXPORTS_H_INCLUDED_ */
