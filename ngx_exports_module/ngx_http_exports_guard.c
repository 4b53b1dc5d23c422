
/*
 * LMDB reads through a map of a file and believes what is there.  A file that
 * is cut short or damaged under it makes SIGBUS, SIGSEGV, SIGFPE, a failed
 * assertion or an endless loop (a page that points to itself) of what would
 * have been an error elsewhere.  Between arming and disarming these lead back
 * here; outside of it the old handlers hold.
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
 * ms of processor time that a read has at the least, less than 1000; it takes
 * microseconds, but the first one in valgrind longer than this
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
static volatile sig_atomic_t   ngx_http_exports_running;
static volatile sig_atomic_t   ngx_http_exports_armed;
static volatile ngx_uint_t     ngx_http_exports_runs;
static ngx_uint_t              ngx_http_exports_ticked;     /* which run, */
static uint64_t                ngx_http_exports_ticked_at;  /* and when */
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

    /* the handler does not return, and no mask is saved and restored */

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


/* runs all the time, which costs ten signals a second of work */

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
 * at the end of a process: the module is unloaded before the process is gone,
 * and a tick or a fault would find no handler where it was
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


/* NGX_ERROR: it did not come to its end */

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
 * around what must not be left half done inside of a guarded run and reads no
 * map, such as an allocation; outside of a run it does nothing.  The fences are
 * for the compiler: nothing is moved from one side to the other.
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


/* why the last one did not come to its end */

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

    /* not ours: happens again at once, under the handler that was there */

    for (i = 0; i < NGX_HTTP_EXPORTS_SIGNALS; i++) {
        if (ngx_http_exports_signals[i] == signo) {
            (void) sigaction(signo, &ngx_http_exports_old[i], NULL);
        }
    }
}


/*
 * A read that was under way at the tick before, and has computed since then, is
 * in a loop: the timer counts the time of all threads, and this one may have
 * waited for the disk.  It is safe to leave it: nothing that takes a lock lasts
 * that long.
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

    /* ticks do not come to the millisecond */

    if (used - ngx_http_exports_ticked_at >= NGX_HTTP_EXPORTS_GUARD_TICK / 2) {
        ngx_http_exports_reason = "an endless loop";
        siglongjmp(ngx_http_exports_return, 1);
    }
}


/* ms of processor time of this thread; as safe in a handler as it looks */

static uint64_t
ngx_http_exports_guard_used(void)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == -1) {
        return 0;
    }

    return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}


/* a fault of another thread, of a thread pool, is not ours */

static ngx_uint_t
ngx_http_exports_guarded(void)
{
    return ngx_http_exports_armed
           && pthread_equal(pthread_self(), ngx_http_exports_thread);
}
