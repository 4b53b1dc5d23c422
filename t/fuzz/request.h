
/*
 * request.h: requests without a connection, for targets of the module.
 *
 * Nothing of nginx runs around them: a pool, the two configurations, and what
 * is logged is kept.
 */

#ifndef FUZZ_REQUEST_H
#define FUZZ_REQUEST_H

#include "ngx_http_exports_page.h"
#include "ngx_http_exports_user.h"
#include "fuzz.h"


/* 2026-06-02T01:23:45.123456Z, when all requests are made */
#define FUZZ_NOW  1780363425123456ULL


/* the last message that was logged; len 0: none since the request began */
extern ngx_str_t  fuzz_logged;

/* of what lives on */
extern ngx_pool_t  *fuzz_pool;

void fuzz_nginx(void);

/* a request to an API, and its context; the configuration has routes and a
   prefix, and stays */
ngx_http_request_t *fuzz_request(const ngx_http_exports_api_t *api);
ngx_http_exports_ctx_t *fuzz_ctx(ngx_http_request_t *r);
void fuzz_request_done(ngx_http_request_t *r);

/* a directive is called with one argument, without its name */
ngx_conf_t *fuzz_conf(const char *argument);

/* the path of a file of its own with these contents; good until the next */
char *fuzz_key_file(const void *data, size_t len);

/* a copy in the pool that ends where it ends */
ngx_str_t fuzz_str(ngx_http_request_t *r, const void *data, size_t len);

/* a header of the request, at the end of the list */
ngx_table_elt_t *fuzz_header(ngx_http_request_t *r, const char *name,
    const void *value, size_t len);

/* the body of a page with all these items, in memory of its own: to be freed;
   *last: its end */
u_char *fuzz_body(ngx_http_request_t *r, exports_page_t *page, u_char **last);


#endif /* FUZZ_REQUEST_H */
