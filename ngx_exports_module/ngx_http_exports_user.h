
/* what the sources of the user exports API share */

#ifndef _NGX_HTTP_EXPORTS_USER_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_USER_H_INCLUDED_


#include "ngx_http_exports.h"


/* all that exports_status_parse() takes of a user: a filter by all of them is
   the same as none, and takes one list */
#define NGX_HTTP_EXPORTS_ALL_STATUSES                                         \
    ((2U << EXPORTS_STATUSES) - 2 - (1U << EXPORTS_STATUS_NOT_FOUND))


typedef struct {
    /* filters; what is not given is not looked at */
    ngx_uint_t                  given;          /* EXPORTS_FACET_* bits */
    uint32_t                    statuses;       /* bits */
    ngx_uint_t                  ntypes;         /* different ones */
    ngx_str_t                   types[EXPORTS_LISTS_MAX];
    ngx_str_t                   subject_type;
    int64_t                     subject_id;

    uint64_t                    page;
    ngx_uint_t                  per_page;
    ngx_uint_t                  per_page_given;

    /* of the answer */
    ngx_str_t                   url;    /* base and prefix, fit for JSON */
    ngx_str_t                   query;  /* filters and per_page, encoded; it
                                           ends with an ampersand */
    ngx_str_t                   expiry; /* of links: "/download?expires=" and
                                           the time */

    /* why it was refused: the message of a 400; the arguments of a 422, and
       the most bytes that its body may take */
    ngx_str_t                   message;
    ngx_array_t                 args;
    size_t                      errors_len;     /* 0: none are bad */
} ngx_http_exports_user_args_t;


/* user_args.c */
ngx_int_t ngx_http_exports_user_args(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);
ngx_buf_t *ngx_http_exports_user_errors(ngx_http_request_t *r,
    ngx_http_exports_user_args_t *ua);

/* user_faults.c */
typedef enum {
    NGX_HTTP_EXPORTS_RULE_STATUS = 0,
    NGX_HTTP_EXPORTS_RULE_TYPE,
    NGX_HTTP_EXPORTS_RULE_SUBJECT_TYPE,
    NGX_HTTP_EXPORTS_RULE_SUBJECT_ID,
    NGX_HTTP_EXPORTS_RULE_PAGE,
    NGX_HTTP_EXPORTS_RULE_PER_PAGE,
    NGX_HTTP_EXPORTS_RULE_COMBINATIONS
} ngx_http_exports_rule_e;

typedef struct {
    ngx_uint_t                  n;
    size_t                      len;    /* of their texts, at most */
    u_char                     *last;   /* where to write them; NULL: they are
                                           only counted */
} ngx_http_exports_user_faults_t;

/* counts or writes a fault; place: of the value in its filter, or -1 */
void ngx_http_exports_user_fault(ngx_http_exports_user_faults_t *faults,
    ngx_http_exports_rule_e broken, ngx_int_t place);

/* user_url.c */
char *ngx_http_exports_conf_base_url(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* sets url, query and expiry of the arguments, and ctx->version.expires */
ngx_int_t ngx_http_exports_user_urls(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx);


#endif /* _NGX_HTTP_EXPORTS_USER_H_INCLUDED_ */
