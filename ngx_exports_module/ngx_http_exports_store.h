
/*
 * Reading the store: always in one snapshot, and under a guard, since LMDB
 * believes what is in a file, and damage there ends a read anywhere.
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
 * One for each path, whatever the number of directives.  NULL: it has been
 * logged that another one gives other parameters, or there is no memory.
 */

ngx_http_exports_store_t *ngx_http_exports_store_create(ngx_conf_t *cf,
    ngx_str_t *path, size_t map_size, ngx_msec_t check, ngx_uint_t immutable);

/*
 * In a worker; opens it, and from then on looks at its path.  A store that
 * cannot be opened is tried again.  With "master_process off" a new
 * configuration comes without this call; then the first read does it.
 */

void ngx_http_exports_store_start(ngx_http_exports_store_t *store,
    ngx_log_t *log);

/*
 * Closes it, and looks at it no more.  Before ngx_http_exports_guard_done(): to
 * close one writes into the map of its lock file.  More than once is the same.
 */

void ngx_http_exports_store_stop(ngx_http_exports_store_t *store);

/*
 * Runs "read" in a snapshot and under the guard: what holds for "run" below
 * holds for it.  It runs once or not at all; the reader, and what was read by
 * it, are good until it returns.
 *
 * NGX_OK        it has returned, *rc is what
 * NGX_DECLINED  there is nothing to be read at the moment, or it was left; *rc
 *               is not set.  The log says why, but not again each time
 */

ngx_int_t ngx_http_exports_store_read(ngx_http_exports_store_t *store,
    ngx_log_t *log, ngx_http_exports_read_pt read, void *data,
    exports_rc_t *rc);

/*
 * Only inside of a read: the number of what is open and read.  What is opened
 * later has another one, be it the same files.
 */

uint64_t ngx_http_exports_store_serial(const ngx_http_exports_store_t *store);


/* guard.c */

typedef void (*ngx_http_exports_guarded_pt)(void *data);

/*
 * Installs the handlers of signals, once in a process.  The thread that calls
 * it is the one that may be guarded.
 */

void ngx_http_exports_guard_init(ngx_log_t *log);

/*
 * Runs "run", which may be left at any instruction: it takes no lock,
 * allocates nothing and changes no list unless held (below), and does nothing
 * else that would have to be undone.  What LMDB does to open, renew or close
 * is not held: where that is left, what it had is lost.
 *
 * In the main thread only, and not nested.
 *
 * NGX_OK     it has returned
 * NGX_ERROR  it was left, see ngx_http_exports_guard_reason(); what it touched
 *            is undefined, and its environment must not be read again
 */

ngx_int_t ngx_http_exports_guard(ngx_http_exports_guarded_pt run, void *data);

/*
 * Only inside of a run.  From 1 to 0 it is not left.  A fault meanwhile kills
 * the worker, so the map must not be read.  Does not nest: the first 0 is the
 * end.
 */

void ngx_http_exports_guard_hold(ngx_uint_t hold);

/* why the last run that was left was */

const char *ngx_http_exports_guard_reason(void);

/* an assertion of LMDB has failed: leaves the run; outside of one, aborts */

void ngx_http_exports_guard_assert(const char *message);

/* at the end of a process */

void ngx_http_exports_guard_done(void);


#endif /* _NGX_HTTP_EXPORTS_STORE_H_INCLUDED_ */
