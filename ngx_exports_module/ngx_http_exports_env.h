
/*
 * The environments that are open: pairs of files, each with the worker's one
 * read transaction.  Several paths may lead to one, and, after a reload with
 * "master_process off", stores of two configurations.  LMDB must not open a
 * pair of files twice in a process: so all environments are kept in one
 * registry, by their inodes.
 */

#ifndef _NGX_HTTP_EXPORTS_ENV_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_ENV_H_INCLUDED_


#include "ngx_http_exports_store.h"


typedef struct {
    ngx_queue_t                  queue;
    ngx_uint_t                   refs;
    uint64_t                     serial;    /* another one for each open */
    exports_env_t               *env;
    exports_reader_t            *reader;
    ngx_uint_t                   immutable;
    ngx_uint_t                   reaped;    /* slots freed last time */
    unsigned                     broken:1;  /* not to be read again */
} ngx_http_exports_env_t;


/* NULL: these files are not open */
ngx_http_exports_env_t *ngx_http_exports_env_find(
    const exports_identity_t *identity);

/*
 * Opens files that are not open, without a reference to them yet.
 *
 * NGX_OK
 * NGX_DECLINED  they cannot be used: *error
 * NGX_ABORT     opening them was left half way: *error
 * NGX_ERROR     no memory, which is logged
 */
ngx_int_t ngx_http_exports_env_open(ngx_http_exports_env_t **envp,
    const char *path, size_t map_size, ngx_uint_t immutable,
    exports_error_t *error, ngx_log_t *log);

/*
 * NGX_OK        "read" has returned *rc
 * NGX_DECLINED  there is no snapshot, for the reason *rc
 * NGX_ERROR     it was left half way: see ngx_http_exports_env_break()
 */
ngx_int_t ngx_http_exports_env_read(ngx_http_exports_env_t *env,
    ngx_http_exports_read_pt read, void *data, exports_rc_t *rc);

/* frees the reader slots of dead processes: env->reaped; NGX_ERROR as above */
ngx_int_t ngx_http_exports_env_reap(ngx_http_exports_env_t *env);

/* after a read that was left half way: nothing may be read again */
void ngx_http_exports_env_break(ngx_http_exports_env_t *env);

/* drops a reference, with the last one the environment */
void ngx_http_exports_env_release(ngx_http_exports_env_t *env);


#endif /* _NGX_HTTP_EXPORTS_ENV_H_INCLUDED_ */
