
/*
 * What the sources of the module share.  A request goes through handler.c
 * (route, method) -> list.c (token, rate, operation, arguments, ETag, a page
 * from cache.c or render.c, gzip.c) -> send.c, or -> download.c -> artifact.c
 * or redirect.c.  error.c and filter.c answer what fails on the way, or in
 * nginx around it.  store.c opens stores, and store.h says how they are read;
 * project.c and user.c describe what is special to an API.
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

#include "ngx_http_exports_store.h"


#if !(NGX_PCRE)
#error "the exports module needs nginx with PCRE"
#endif


typedef struct ngx_http_exports_ctx_s    ngx_http_exports_ctx_t;
typedef struct ngx_http_exports_api_s    ngx_http_exports_api_t;
typedef struct ngx_http_exports_error_s  ngx_http_exports_error_t;
typedef struct ngx_http_exports_zone_s   ngx_http_exports_zone_t;
typedef struct ngx_http_exports_artifact_s  ngx_http_exports_artifact_t;
typedef struct ngx_http_exports_page_s   ngx_http_exports_page_t;
typedef struct ngx_http_exports_routes_s  ngx_http_exports_routes_t;


#define NGX_HTTP_EXPORTS_REQUEST_ID_LEN  40

#define NGX_HTTP_EXPORTS_UNPROCESSABLE   422

/* "W/" and 32 hexadecimal digits in quotes */
#define NGX_HTTP_EXPORTS_ETAG_LEN        36

/* in every ETag: to be raised when the same records are rendered otherwise */
#define NGX_HTTP_EXPORTS_RENDERING       1

/* the end of an error message, after the name of the directive */
#define NGX_HTTP_EXPORTS_NOT_ALONE                                            \
    "shares its location with another directive that answers its requests, "  \
    "such as \"proxy_pass\""

/* the APIs, whose descriptors are listed in conf.c */

typedef enum {
    NGX_HTTP_EXPORTS_API_PROJECT = 0,
    NGX_HTTP_EXPORTS_API_USER,
    NGX_HTTP_EXPORTS_APIS
} ngx_http_exports_api_e;

/* strings that the pages of one API may depend on: api->parts */
#define NGX_HTTP_EXPORTS_PARTS           3


/* reasons for an error; the table of them is in error.c */

typedef enum {
    NGX_HTTP_EXPORTS_MISSING_AUTHORIZATION = 0,
    NGX_HTTP_EXPORTS_INVALID_TOKEN,
    NGX_HTTP_EXPORTS_BAD_STATUS,
    NGX_HTTP_EXPORTS_BAD_LIMIT,
    NGX_HTTP_EXPORTS_BAD_OFFSET,
    NGX_HTTP_EXPORTS_NO_ROUTE,
    NGX_HTTP_EXPORTS_NO_EXPORT,
    NGX_HTTP_EXPORTS_NO_ARTIFACT,
    NGX_HTTP_EXPORTS_EXPIRED,
    NGX_HTTP_EXPORTS_NEEDS_ADMIN,
    NGX_HTTP_EXPORTS_NEEDS_TABLE,
    NGX_HTTP_EXPORTS_BAD_SIGNATURE,
    NGX_HTTP_EXPORTS_BAD_FILTER,
    NGX_HTTP_EXPORTS_BAD_VALUE,
    NGX_HTTP_EXPORTS_TOO_MANY_ATTEMPTS,
    NGX_HTTP_EXPORTS_BAD_GATEWAY,
    NGX_HTTP_EXPORTS_BAD_METHOD,
    NGX_HTTP_EXPORTS_UNREADABLE,
    NGX_HTTP_EXPORTS_UNAVAILABLE,
    NGX_HTTP_EXPORTS_NO_ERROR               /* the last: not in the table */
} ngx_http_exports_reason_e;

struct ngx_http_exports_error_s {
    ngx_uint_t                  status;
    ngx_str_t                   code;
    ngx_str_t                   message;
    ngx_str_t                   user_message;   /* for the user exports API;
                                                   len 0: the same */
};


typedef enum {
    NGX_HTTP_EXPORTS_LIST = 0,
    NGX_HTTP_EXPORTS_DOWNLOAD
} ngx_http_exports_route_e;


/* an API, as the pipeline sees it */

struct ngx_http_exports_api_s {
    ngx_str_t                   name;
    exports_kind_t              kind;
    ngx_http_exports_api_e      index;      /* its place in arrays of APIs */

    /* matches what follows the prefix.  It captures the scope, if that is in
       the path, and the id, which makes the request a download */
    ngx_str_t                   pattern;
    ngx_uint_t                  scope_capture;      /* 0: none */
    ngx_uint_t                  id_capture;

    /* parses the arguments, before the store is read; sets ctx->bad_args if
       they are wrong */
    ngx_int_t                 (*args)(ngx_http_request_t *r,
                                      ngx_http_exports_ctx_t *ctx);

    /* counts or groups the request, once its token has been looked up, with
       the guard held.  ctx->error is set already if the token is not valid,
       and is to be set here if the request is one too many.  Also called for
       a request without a token: then lineage is NULL */
    ngx_int_t                 (*account)(ngx_http_request_t *r,
                                         ngx_http_exports_ctx_t *ctx,
                                         const uint8_t *lineage);

    /* what follows, up to tail_length, runs under the guard: see store.h */

    /* stores to parts, which are empty before, what tells pages apart besides
       status, limit and offset.  NULL: nothing does */
    void                      (*parts)(ngx_http_exports_ctx_t *ctx,
                                       ngx_str_t *parts);

    /* stores to query->lists the lists that the arguments select */
    void                      (*lists)(ngx_http_exports_ctx_t *ctx,
                                       exports_page_query_t *query);

    /* why a token may not download a record, or NGX_HTTP_EXPORTS_NO_ERROR.
       NULL: downloads take no token */
    ngx_http_exports_reason_e (*permit)(const exports_token_t *token,
                                        const exports_record_t *record);

    /* items to read beyond the end of a page, to know whether there are more */
    ngx_uint_t                  beyond;

    /* what a page begins with.  From here to the end of its foot a page is the
       same for all requests; commas separate its items */
    ngx_str_t                   head;

    /* the most bytes that head and foot may take */
    size_t                    (*length)(ngx_http_exports_ctx_t *ctx);

    /* the most bytes that are inserted into an item */
    size_t                    (*link_length)(ngx_http_exports_ctx_t *ctx);

    /* writes an item; like all that write, returns where it ends */
    u_char                   *(*item)(ngx_http_exports_ctx_t *ctx,
                                      const exports_item_t *item, u_char *p);

    /* writes what follows the last item */
    u_char                   *(*foot)(ngx_http_exports_ctx_t *ctx,
                                      const exports_page_t *page, u_char *p);

    /* the most bytes that the tail may take.  NULL, like tail: there is none */
    size_t                    (*tail_length)(ngx_http_exports_ctx_t *ctx);

    /* writes what follows the page and differs from request to request */
    u_char                   *(*tail)(ngx_http_exports_ctx_t *ctx, u_char *p);

    /* the body of an error; NULL: no memory */
    ngx_buf_t                *(*error)(ngx_http_request_t *r,
                                       ngx_http_exports_ctx_t *ctx,
                                       const ngx_http_exports_error_t *err);
};


typedef struct {
    ngx_array_t                 stores;     /* ngx_http_exports_store_t * */

    /* by api->index */
    ngx_http_exports_routes_t  *routes[NGX_HTTP_EXPORTS_APIS];
    ngx_array_t                 fallbacks;  /* ngx_http_exports_fallback_t */
    size_t                      page_cache; /* bytes; 0: off */
} ngx_http_exports_main_conf_t;


/* artifacts of another storage backend */

typedef struct {
    ngx_str_t                   backend;
    ngx_str_t                   prefix;     /* of the URI to redirect to */
} ngx_http_exports_redirect_t;


/* a named location that has to exist */

typedef struct {
    ngx_str_t                   name;       /* len 0: none */
    ngx_str_t                   file;       /* where it is asked for */
    ngx_uint_t                  line;
    ngx_http_core_srv_conf_t   *cscf;
} ngx_http_exports_fallback_t;


typedef struct {
    ngx_http_exports_store_t   *store;
    const ngx_http_exports_api_t *api;
    ngx_http_exports_routes_t  *routes;
    ngx_str_t                   prefix;     /* no slash at its end */
    ngx_str_t                   link;       /* prefix as it goes into URLs */
    ngx_http_exports_fallback_t fallback;

    ngx_str_t                   root;       /* of artifacts; no slash at its
                                               end */
    ngx_array_t                *redirects;  /* ngx_http_exports_redirect_t */

    /* of signed links: the first signs, all verify */
    ngx_array_t                *keys;       /* exports_hmac_t */
    uint64_t                    signer;     /* identifies the first key */
    time_t                      link_ttl;
    ngx_http_complex_value_t   *base_url;   /* NULL: $scheme://$http_host */

    ngx_shm_zone_t             *operations;
    ngx_flag_t                  operations_set;

    ngx_shm_zone_t             *rate;
    ngx_uint_t                  rate_limit; /* requests a minute */
    ngx_flag_t                  rate_set;

    /* as nginx merged them, and those that apply: see conf.c */
    ngx_array_t                *merged_error_pages;
    ngx_array_t                *error_pages;

    ngx_flag_t                  gzip;
} ngx_http_exports_loc_conf_t;


/* operation_grouping_status; 0: the request names no operation */

typedef enum {
    NGX_HTTP_EXPORTS_NO_OPERATION = 0,
    NGX_HTTP_EXPORTS_ACCEPTED_PROVIDED_RUN,
    NGX_HTTP_EXPORTS_RENEWED_AFTER_IDLE,
    NGX_HTTP_EXPORTS_GENERATED_RUN,
    NGX_HTTP_EXPORTS_CONTINUED_RUN,
    NGX_HTTP_EXPORTS_REJECTED_INVALID
} ngx_http_exports_grouping_e;

typedef struct {
    ngx_http_exports_grouping_e grouping;
    ngx_uint_t                  began;      /* this request began the run */
    ngx_str_t                   key;        /* empty: null */
    ngx_str_t                   run;        /* empty: null */
} ngx_http_exports_operation_t;


typedef struct {
    ngx_uint_t                  counted;    /* the headers are to be sent */
    ngx_uint_t                  limit;
    ngx_uint_t                  remaining;
    ngx_uint_t                  retry_after;    /* s; 0: within the limit */
} ngx_http_exports_rate_t;


typedef enum {
    NGX_HTTP_EXPORTS_CACHE_NONE = 0,
    NGX_HTTP_EXPORTS_CACHE_BYPASS,
    NGX_HTTP_EXPORTS_CACHE_REVALIDATED,
    NGX_HTTP_EXPORTS_CACHE_HIT,
    NGX_HTTP_EXPORTS_CACHE_MISS
} ngx_http_exports_cache_e;


/* a page of another version is out of date */

typedef struct {
    uint64_t                    store;      /* its serial: see store.h */
    uint64_t                    revision;
    uint64_t                    expires;    /* of links; 0: none */
} ngx_http_exports_version_t;


struct ngx_http_exports_ctx_s {
    ngx_http_request_t             *request;    /* subrequests have contexts
                                                   in the same pool */
    ngx_http_exports_loc_conf_t    *conf;

    ngx_http_exports_route_e        route;
    ngx_str_t                       scope;      /* the project's slug, the
                                                   user's ID */
    ngx_str_t                       id;         /* of the export */
    uint64_t                        now;        /* of the answer, in us */
    u_char                          digest[EXPORTS_SHA256_LEN];
    u_char                          user[EXPORTS_USER_MAX];
    u_char                          etag[NGX_HTTP_EXPORTS_ETAG_LEN];
    u_char                   request_id[NGX_HTTP_EXPORTS_REQUEST_ID_LEN];

    /* arguments */
    const ngx_http_exports_error_t *bad_args;
    uint32_t                        statuses;   /* bits; 0: all */
    ngx_uint_t                      limit;      /* items to read */
    uint64_t                        offset;
    void                           *args;       /* further ones, the API's */

    ngx_http_exports_operation_t    operation;
    ngx_http_exports_rate_t         rate;

    /* of the page */
    ngx_str_t                       key;        /* all that it depends on
                                                   but the version */
    ngx_http_exports_version_t      version;
    uint64_t                        hash;       /* of the key */

    /* the answer */
    const ngx_http_exports_error_t *error;
    exports_scope_t                 found;
    uint64_t                        total;
    ngx_http_exports_page_t        *page;       /* a reference to it */
    ngx_buf_t                      *body;       /* of an error that replaces
                                                   another answer */
    ngx_http_exports_artifact_t    *artifact;   /* of a download */
    ngx_http_exports_cache_e        cache;

    unsigned                        used:1;     /* conf stays: see ctx.c */
    unsigned                        authorized:1;   /* for a download */
    unsigned                        has_total:1;
    unsigned                        not_modified:1;
    unsigned                        logged:1;   /* what cannot be read */
    unsigned                        gzip:1;     /* the client accepts it */
    unsigned                        redirected:1;   /* to object storage */
    unsigned                        storage_failed:1;   /* and is logged */

    /* how far the answer is: see filter.c */
    unsigned                        answering:1;
    unsigned                        answered:1;
    unsigned                        replace:1;
    unsigned                        replaced:1;
};


extern ngx_module_t  ngx_http_exports_module;

extern const ngx_http_exports_api_t  ngx_http_exports_project;
extern const ngx_http_exports_api_t  ngx_http_exports_user;


/* conf.c */
char *ngx_http_exports_conf_store(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exports_conf_api(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exports_conf_fallback(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_exports_check_fallbacks(ngx_conf_t *cf);
void ngx_http_exports_conf_error_pages(ngx_http_core_loc_conf_t *clcf,
    ngx_http_exports_loc_conf_t *prev, ngx_http_exports_loc_conf_t *conf);

/* handler.c */
ngx_int_t ngx_http_exports_handler(ngx_http_request_t *r);

/* ctx.c: the state of a request, also after an internal redirect */
ngx_http_exports_ctx_t *ngx_http_exports_create_ctx(ngx_http_request_t *r);
ngx_http_exports_ctx_t *ngx_http_exports_get_ctx(ngx_http_request_t *r);

/* the context to answer with, by the configuration of the present location;
   again: one that has answered by it before may do so once more */
ngx_http_exports_ctx_t *ngx_http_exports_use_ctx(ngx_http_request_t *r,
    ngx_uint_t again);

/* log.c: a log for our messages about a request; valid until the next call */
ngx_log_t *ngx_http_exports_log(ngx_http_request_t *r);
/* whether to log that a scope, an export or a token cannot be read: once a
   second for each */
ngx_uint_t ngx_http_exports_log_due(ngx_http_request_t *r,
    ngx_str_t *subject);
/* from then on nginx's own messages lack the arguments of the request, too */
void ngx_http_exports_hide_args(ngx_http_request_t *r);

/* id.c: write an ID that begins with kind, or a time; return where it ends.
   NULL: there are no random bytes */
u_char *ngx_http_exports_id(u_char *p, uint64_t now, const char *kind);
u_char *ngx_http_exports_timestamp(u_char *p, uint64_t now);

/* route.c */
ngx_http_exports_routes_t *ngx_http_exports_route_compile(ngx_conf_t *cf,
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
ngx_uint_t ngx_http_exports_arg_named(const ngx_http_exports_arg_t *arg,
    const char *name, size_t len);
#define ngx_http_exports_arg_is(arg, name)                                    \
    ngx_http_exports_arg_named(arg, name, sizeof(name) - 1)

ngx_int_t ngx_http_exports_arg_number(const ngx_http_exports_arg_t *arg,
    uint64_t *number);

/* auth.c */
ngx_int_t ngx_http_exports_bearer(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
exports_rc_t ngx_http_exports_authenticate(ngx_http_exports_ctx_t *ctx,
    exports_reader_t *reader, exports_token_t *token);

/*
 * operations.c: stores to ctx->operation what the headers of an authorized
 * request say of its operation.  Malformed headers are no error.
 */
char *ngx_http_exports_conf_operation_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exports_conf_operations(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_exports_operation(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* rate.c: counts a request of a user, or of an address when the scope is 0, and
   stores the result to ctx->rate */
char *ngx_http_exports_conf_rate_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_exports_conf_rate_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_exports_rate(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx,
    uint64_t scope, const uint8_t *lineage);

/*
 * sign.c: HMAC-SHA256 over {prefix}/{uuid}/download?expires={unix seconds}.
 * signature: 64 lower-case hexadecimal digits
 */
#define NGX_HTTP_EXPORTS_SIGNATURE_LEN  64

/* what is between prefix, uuid, time and signature; sign.c takes apart what
   user.c and user_url.c put together */
#define NGX_HTTP_EXPORTS_EXPIRES        "/download?expires="
#define NGX_HTTP_EXPORTS_SIGNATURE      "&signature="

char *ngx_http_exports_conf_link_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_exports_sign(ngx_http_exports_loc_conf_t *elcf,
    const u_char *path, size_t len, u_char *signature);
/* tells the key that signs from others: pages with links depend on it */
uint64_t ngx_http_exports_signer(ngx_http_exports_loc_conf_t *elcf);
/* NGX_OK, NGX_DECLINED: altered or expired, NGX_ERROR */
ngx_int_t ngx_http_exports_verify_link(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* download.c: token or signature, record, permission; then artifact.c (a local
   file) or redirect.c (another backend) */
struct ngx_http_exports_artifact_s {
    ngx_str_t                   storage_backend;    /* in the pool, and */
    ngx_str_t                   storage_key;        /* zero-terminated */
    ngx_str_t                   content_type;
    ngx_str_t                   name;               /* len 0: none */
    ngx_str_t                   uri;                /* redirected to */
    ngx_uint_t                  http_version;       /* of the client */
};

ngx_int_t ngx_http_exports_download(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* artifact.c */
char *ngx_http_exports_check_root(ngx_conf_t *cf, void *post, void *data);
ngx_uint_t ngx_http_exports_is_local(ngx_str_t *backend);
ngx_int_t ngx_http_exports_artifact_send(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
ngx_int_t ngx_http_exports_artifact_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* redirect.c */
char *ngx_http_exports_conf_redirect(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_exports_redirect(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
/* called by the header filter, for what the storage has answered */
ngx_int_t ngx_http_exports_storage_answer(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* list.c */
ngx_int_t ngx_http_exports_list(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* etag.c: sets key, version and ETag of the page that is asked for */
ngx_int_t ngx_http_exports_etag(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const uint8_t *lineage);
ngx_uint_t ngx_http_exports_etag_matches(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);

/* send.c */
ngx_int_t ngx_http_exports_send(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
ngx_int_t ngx_http_exports_send_error(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err);

/* the most bytes that follow the page in an answer */
size_t ngx_http_exports_tail_length(ngx_http_exports_ctx_t *ctx);

/* there is no store: to the fallback location, or 503 */
ngx_int_t ngx_http_exports_unavailable(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
ngx_int_t ngx_http_exports_error_headers(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
ngx_int_t ngx_http_exports_request_id_header(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
void ngx_http_exports_content(ngx_http_request_t *r, off_t len);

#define ngx_http_exports_cpylit(p, literal)                                   \
    ngx_cpymem(p, literal, sizeof(literal) - 1)

/* headers.c */
ngx_table_elt_t *ngx_http_exports_add_header(ngx_http_request_t *r,
    const char *name, size_t name_len, u_char *value, size_t len);
#define ngx_http_exports_header(r, name, value)                               \
    ngx_http_exports_add_header(r, name, sizeof(name) - 1,                    \
                                (u_char *) value, sizeof(value) - 1)

/* drops all headers but the named ones; those that nginx makes itself when it
   sends the answer come all the same */
void ngx_http_exports_drop_headers(ngx_http_request_t *r, ngx_str_t *kept);
/* drops those that an internal redirect has brought along, and ours replace */
void ngx_http_exports_drop_brought(ngx_http_request_t *r);
/* drops those that describe a body which another body replaces */
void ngx_http_exports_clear_headers(ngx_http_request_t *r);
/* drops those of an answer that is given up for one of that status */
void ngx_http_exports_retract(ngx_http_request_t *r, ngx_uint_t status);
/* sends those of our answer, and retracts them if a filter refuses it.
   NGX_DONE: a filter has sent all of an error in its place */
ngx_int_t ngx_http_exports_send_headers(ngx_http_request_t *r);
/* names: ends with an empty one */
ngx_uint_t ngx_http_exports_is_listed(ngx_str_t *header, ngx_str_t *names);

/* error.c */
const ngx_http_exports_error_t *ngx_http_exports_error(
    ngx_http_exports_reason_e reason);
const ngx_http_exports_error_t *ngx_http_exports_error_of_status(
    ngx_http_request_t *r, ngx_uint_t status);

/* filter.c: replaces the bodies of errors that others raise */
ngx_int_t ngx_http_exports_filter_init(ngx_conf_t *cf);
ngx_int_t ngx_http_exports_replace(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, const ngx_http_exports_error_t *err);

/* variables.c */
ngx_int_t ngx_http_exports_add_variables(ngx_conf_t *cf);


#endif /* _NGX_HTTP_EXPORTS_H_INCLUDED_ */
