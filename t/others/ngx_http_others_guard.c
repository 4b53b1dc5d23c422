
/*
 * reads under the guard of ours, for others.t: one that waits, beside a thread
 * of another module that computes, and one that computes without an end
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <dlfcn.h>
#include <pthread.h>
#include <time.h>


/* ms: more than two ticks of the guard; and what nothing here takes */
#define NGX_HTTP_OTHERS_LONG   450
#define NGX_HTTP_OTHERS_BOUND  20000


typedef ngx_int_t (*ngx_http_others_guard_pt)(void (*run)(void *data),
    void *data);


static volatile ngx_uint_t  ngx_http_others_enough;


static ngx_msec_t
ngx_http_others_clock(clockid_t id)
{
    struct timespec  ts;

    (void) clock_gettime(id, &ts);

    return (ngx_msec_t) ts.tv_sec * 1000 + (ngx_msec_t) ts.tv_nsec / 1000000;
}


static void *
ngx_http_others_compute(void *data)
{
    ngx_msec_t  start;

    start = ngx_http_others_clock(CLOCK_MONOTONIC);

    while (!ngx_http_others_enough
           && ngx_http_others_clock(CLOCK_MONOTONIC) - start
              < NGX_HTTP_OTHERS_BOUND)
    {
        /* void */
    }

    return NULL;
}


/* until the other thread has had its time */

static void
ngx_http_others_wait(void *data)
{
    clockid_t        *clock = data;
    ngx_msec_t        start;
    struct timespec   ts = { 0, 5000000 };

    start = ngx_http_others_clock(CLOCK_MONOTONIC);

    while (ngx_http_others_clock(*clock) < NGX_HTTP_OTHERS_LONG
           && ngx_http_others_clock(CLOCK_MONOTONIC) - start
              < NGX_HTTP_OTHERS_BOUND)
    {
        (void) nanosleep(&ts, NULL);
    }
}


static void
ngx_http_others_loop(void *data)
{
    (void) ngx_http_others_compute(data);
}


static ngx_int_t
ngx_http_others_waits(ngx_http_others_guard_pt guard)
{
    sigset_t    all, old;
    clockid_t   clock;
    pthread_t   thread;
    ngx_int_t   rc;

    /* as nginx starts those of its pools */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);

    rc = pthread_create(&thread, NULL, ngx_http_others_compute, NULL);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != 0 || pthread_getcpuclockid(thread, &clock) != 0) {
        return NGX_DECLINED;
    }

    rc = guard(ngx_http_others_wait, &clock);

    ngx_http_others_enough = 1;
    (void) pthread_join(thread, NULL);
    ngx_http_others_enough = 0;

    return rc;
}


/* 204: the read came to its end; 409: it was left */

ngx_int_t
ngx_http_others_guard_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_others_guard_pt  guard;

    guard = (ngx_http_others_guard_pt) dlsym(RTLD_DEFAULT,
                                             "ngx_http_exports_guard");
    if (guard == NULL) {
        return NGX_HTTP_NOT_IMPLEMENTED;
    }

    rc = r->args.len > 0 ? guard(ngx_http_others_loop, NULL)
                         : ngx_http_others_waits(guard);

    return rc == NGX_OK ? NGX_HTTP_NO_CONTENT
         : rc == NGX_ERROR ? NGX_HTTP_CONFLICT
         : NGX_HTTP_INTERNAL_SERVER_ERROR;
}
