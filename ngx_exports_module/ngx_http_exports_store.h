
/*
 * Reading a store: in one snapshot, and under a guard.  LMDB trusts what is in
 * a file, so that damage there may end a read at any point.
 */

#ifndef _NGX_HTTP_EXPORTS_STORE_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_STORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "exports_read.h"


typedef struct ngx_http_exports_store_s  ngx_http_exports_store_t;


/* store.c */

typedef exports_rc_t (*ngx_http_exports_read_pt)(exports_reader_t *reader,
    void *data);

/*
 * One for each path, however many directives name it.  NULL: no memory, or
 * another directive gives other parameters, which is logged.
 */

ngx_http_exports_store_t *ngx_http_exports_store_create(ngx_conf_t *cf,
    ngx_str_t *path, size_t map_size, ngx_msec_t check, ngx_uint_t immutable);

/*
 * In a worker: opens the store, and watches its path from then on.  A store
 * that cannot be opened is tried again.  With "master_process off" nobody makes
 * this call after a reload; then the first read does.
 */

void ngx_http_exports_store_start(ngx_http_exports_store_t *store,
    ngx_log_t *log);

/*
 * Closes the store, and stops watching it.  To be called before
 * ngx_http_exports_guard_done(), for it writes to the map of the lock file; a
 * second call does nothing.
 */

void ngx_http_exports_store_stop(ngx_http_exports_store_t *store);

/*
 * Runs "read" in a snapshot and under the guard: the rules for "run" below
 * apply to it.  It runs once or not at all; the reader, and what was read by
 * it, are valid until it returns.
 *
 * NGX_OK        it has returned, and *rc is what it returned
 * NGX_DECLINED  there is no store to read at the moment, or the read was left
 *               half way; *rc means nothing.  The reason is logged once, not
 *               for each read
 */

ngx_int_t ngx_http_exports_store_read(ngx_http_exports_store_t *store,
    ngx_log_t *log, ngx_http_exports_read_pt read, void *data,
    exports_rc_t *rc);

/*
 * Only inside a read: the number of the environment that is read.  One that is
 * opened later has another number, even if its files are the same.
 */

uint64_t ngx_http_exports_store_serial(const ngx_http_exports_store_t *store);


/* guard.c */

typedef void (*ngx_http_exports_guarded_pt)(void *data);

/*
 * Installs the signal handlers, once in a process, to guard the calling thread.
 */

void ngx_http_exports_guard_init(ngx_log_t *log);

/*
 * Calls "run", which may be left at any instruction, by siglongjmp().  So it
 * must not take a lock, allocate, change a list, or do anything else that would
 * have to be undone, unless the guard is held (below).  LMDB's own opening,
 * renewing and closing are not held: if they are left, what they had allocated
 * is leaked.
 *
 * In the main thread only, and not nested.
 *
 * NGX_OK     it has returned
 * NGX_ERROR  it was left, see ngx_http_exports_guard_reason(); what it touched
 *            is undefined, and its environment must not be read again
 */

ngx_int_t ngx_http_exports_guard(ngx_http_exports_guarded_pt run, void *data);

/*
 * Only inside a run: between a call with 1 and a call with 0 it is not left.  A
 * fault in between kills the worker, so the map must not be read there.  Does
 * not nest: the first 0 ends it.
 */

void ngx_http_exports_guard_hold(ngx_uint_t hold);

/* why a run was left; of the last one */

const char *ngx_http_exports_guard_reason(void);

/* for LMDB's failed assertions: leaves the run; outside of one, aborts */

void ngx_http_exports_guard_assert(const char *message);

/* at the end of a process */

void ngx_http_exports_guard_done(void);


#endif /* _NGX_HTTP_EXPORTS_STORE_H_INCLUDED_ */
