
/*
 * LMDB reads through a map of a file and trusts what is there.  If the file is
 * cut short or damaged, the read ends with SIGBUS, SIGSEGV, SIGFPE, a failed
 * assertion, or not at all (a page that points to itself).  While the guard is
 * armed all these lead back to ngx_http_exports_guard(); otherwise the previous
 * handlers get the signals.
 *
 * What is interrupted is not undone: its environment must be given up.
 */

#include "ngx_http_exports.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <time.h>


/*
 * ms, less than 1000: the processor time that a read has at the least.  It
 * takes microseconds, but in valgrind the first one takes longer than this
 */

#ifndef NGX_HTTP_EXPORTS_GUARD_TICK
#define NGX_HTTP_EXPORTS_GUARD_TICK  100
#endif


static void ngx_http_exports_guard_timer(ngx_log_t *log);
static void ngx_http_exports_guard_signal(int signo);
static void ngx_http_exports_guard_tick(int signo);
static uint64_t ngx_http_exports_guard_used(void);
static ngx_uint_t ngx_http_exports_guarded(void);


static int  ngx_http_exports_signals[] = { SIGBUS, SIGSEGV, SIGFPE };

#define NGX_HTTP_EXPORTS_SIGNALS                                              \
    (sizeof(ngx_http_exports_signals) / sizeof(int))


static struct sigaction        ngx_http_exports_old[NGX_HTTP_EXPORTS_SIGNALS];
static sigjmp_buf              ngx_http_exports_return;
static ngx_uint_t              ngx_http_exports_installed;
static pthread_t               ngx_http_exports_thread;
static volatile sig_atomic_t   ngx_http_exports_running;    /* in a run, */
static volatile sig_atomic_t   ngx_http_exports_armed;      /* and not held */
static volatile ngx_uint_t     ngx_http_exports_runs;
static ngx_uint_t              ngx_http_exports_ticked;     /* run of the last
                                                               tick, and its */
static uint64_t                ngx_http_exports_ticked_at;  /* processor time */
static const char             *ngx_http_exports_reason;


void
ngx_http_exports_guard_init(ngx_log_t *log)
{
    ngx_uint_t        i;
    struct sigaction  sa;

    if (ngx_http_exports_installed) {
        return;
    }

    ngx_http_exports_installed = 1;
    ngx_http_exports_thread = pthread_self();

    ngx_memzero(&sa, sizeof(struct sigaction));
    sa.sa_handler = ngx_http_exports_guard_signal;
    sigemptyset(&sa.sa_mask);

    /* the handler leaves by siglongjmp(), which restores no mask here: with
       the signal masked, a second fault would kill the worker */

    sa.sa_flags = SA_NODEFER;

    for (i = 0; i < NGX_HTTP_EXPORTS_SIGNALS; i++) {
        if (sigaction(ngx_http_exports_signals[i], &sa,
                      &ngx_http_exports_old[i])
            == -1)
        {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          "sigaction(%d) failed", ngx_http_exports_signals[i]);
        }
    }

    ngx_http_exports_guard_timer(log);
}


/* the timer runs all the time: ten signals for a second of work */

static void
ngx_http_exports_guard_timer(ngx_log_t *log)
{
    struct sigaction   sa;
    struct itimerval   itv;

    ngx_memzero(&sa, sizeof(struct sigaction));
    sa.sa_handler = ngx_http_exports_guard_tick;
    sigemptyset(&sa.sa_mask);
    sa.sa_flags = SA_NODEFER|SA_RESTART;

    itv.it_interval.tv_sec = 0;
    itv.it_interval.tv_usec = NGX_HTTP_EXPORTS_GUARD_TICK * 1000;
    itv.it_value = itv.it_interval;

    if (sigaction(SIGVTALRM, &sa, NULL) == -1
        || setitimer(ITIMER_VIRTUAL, &itv, NULL) == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "setitimer(ITIMER_VIRTUAL) failed");
    }
}


/*
 * nginx unloads the module before the process ends: a tick or a fault would
 * then call a handler that is no longer there
 */

void
ngx_http_exports_guard_done(void)
{
    ngx_uint_t        i;
    struct itimerval  itv;

    if (!ngx_http_exports_installed) {
        return;
    }

    ngx_memzero(&itv, sizeof(struct itimerval));

    (void) setitimer(ITIMER_VIRTUAL, &itv, NULL);
    (void) signal(SIGVTALRM, SIG_IGN);

    for (i = 0; i < NGX_HTTP_EXPORTS_SIGNALS; i++) {
        (void) sigaction(ngx_http_exports_signals[i], &ngx_http_exports_old[i],
                         NULL);
    }

    ngx_http_exports_installed = 0;
}


ngx_int_t
ngx_http_exports_guard(ngx_http_exports_guarded_pt run, void *data)
{
    if (sigsetjmp(ngx_http_exports_return, 0) != 0) {
        ngx_http_exports_armed = 0;
        ngx_http_exports_running = 0;
        return NGX_ERROR;
    }

    ngx_http_exports_runs++;
    ngx_http_exports_running = 1;
    ngx_http_exports_guard_hold(0);

    run(data);

    ngx_http_exports_guard_hold(1);
    ngx_http_exports_running = 0;

    return NGX_OK;
}


/*
 * for what must not be left half done, such as an allocation; outside a run it
 * does nothing.  The fences keep the compiler from moving code across.
 */

void
ngx_http_exports_guard_hold(ngx_uint_t hold)
{
    atomic_signal_fence(memory_order_seq_cst);

    ngx_http_exports_armed = ngx_http_exports_running && !hold;

    atomic_signal_fence(memory_order_seq_cst);
}


void
ngx_http_exports_guard_assert(const char *message)
{
    if (ngx_http_exports_guarded()) {
        ngx_http_exports_reason = "an assertion of LMDB failed";
        siglongjmp(ngx_http_exports_return, 1);
    }

    ngx_log_error(NGX_LOG_EMERG, ngx_cycle->log, 0, "LMDB: %s", message);
    ngx_abort();
}


const char *
ngx_http_exports_guard_reason(void)
{
    return ngx_http_exports_reason;
}


static void
ngx_http_exports_guard_signal(int signo)
{
    ngx_uint_t  i;

    if (ngx_http_exports_guarded()) {
        ngx_http_exports_reason = signo == SIGBUS ? "SIGBUS"
                                : signo == SIGSEGV ? "SIGSEGV" : "SIGFPE";
        siglongjmp(ngx_http_exports_return, 1);
    }

    /* not ours: it happens again at once, under the previous handler */

    for (i = 0; i < NGX_HTTP_EXPORTS_SIGNALS; i++) {
        if (ngx_http_exports_signals[i] == signo) {
            (void) sigaction(signo, &ngx_http_exports_old[i], NULL);
        }
    }
}


/*
 * A read that was running at the previous tick, and has used the processor ever
 * since, is in a loop.  Its own processor time has to be looked at, for the
 * timer counts that of all threads, and this one may just wait for the disk.
 * Leaving the read is safe: nothing that takes a lock lasts that long.
 */

static void
ngx_http_exports_guard_tick(int signo)
{
    uint64_t  used;

    if (!ngx_http_exports_guarded()) {
        return;
    }

    used = ngx_http_exports_guard_used();

    if (ngx_http_exports_ticked != ngx_http_exports_runs) {
        ngx_http_exports_ticked = ngx_http_exports_runs;
        ngx_http_exports_ticked_at = used;
        return;
    }

    /* half a tick, for ticks are not exact */

    if (used - ngx_http_exports_ticked_at >= NGX_HTTP_EXPORTS_GUARD_TICK / 2) {
        ngx_http_exports_reason = "an endless loop";
        siglongjmp(ngx_http_exports_return, 1);
    }
}


/* ms of processor time of this thread; clock_gettime() is safe in a handler */

static uint64_t
ngx_http_exports_guard_used(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == -1) {
        return 0;
    }

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


/* a fault in another thread, such as one of a thread pool, is not ours */

static ngx_uint_t
ngx_http_exports_guarded(void)
{
    return ngx_http_exports_armed
           && pthread_equal(pthread_self(), ngx_http_exports_thread);
}
