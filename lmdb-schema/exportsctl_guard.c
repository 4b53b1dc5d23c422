
/*
 * Damage that LMDB does not notice: what it does then, faults, failed
 * assertions and endless loops, ends the program with a message.
 */

#define _GNU_SOURCE             /* RUSAGE_THREAD, gettid() */

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "exportsctl.h"


/* ms of processor time without a step before LMDB is taken to loop: five ticks,
   which the clock may count as a little less */
#define PATIENCE  4900


static void own_signals(void);
static void start_clock(void);
static void damaged(int signo);
static void tick(int signo);
static uint64_t steps_made(void);
static int64_t time_spent(void);


static char                           damaged_text[160];

static const exports_env_t *volatile  watched;
static volatile sig_atomic_t          watched_file = -1;
static _Atomic uint64_t               own_steps;
static uint64_t                       steps_seen;
static int64_t                        spent_then;


void
ctl_guard(void)
{
    const char  *verify;

    verify = strcmp(ctl_name(), "verify") == 0
                 ? "" : "run \"exportsctl verify\" or ";

    (void) snprintf(damaged_text, sizeof(damaged_text),
                    "exportsctl: %s: the store is damaged: %srestore a "
                    "backup\n", ctl_name(), verify);

    own_signals();

    /* page numbers beyond the file, or beyond any address; SIGABRT comes of
       LMDB's assertions while it opens the file */

    ctl_signal(SIGBUS, damaged, SA_RESETHAND);
    ctl_signal(SIGSEGV, damaged, SA_RESETHAND);
    ctl_signal(SIGFPE, damaged, SA_RESETHAND);
    ctl_signal(SIGABRT, damaged, SA_RESETHAND);

    /* endless loops, such as by a page with a negative number of entries */

    ctl_signal(SIGVTALRM, tick, SA_RESTART);
    start_clock();
}


void
ctl_watch(const exports_env_t *env, int fd)
{
    watched = env;
    watched_file = fd;
}


void
ctl_step(void)
{
    (void) atomic_fetch_add_explicit(&own_steps, 1, memory_order_relaxed);
}


void
ctl_on_assert(const char *message)
{
    (void) message;

    ctl_die(damaged_text);
}


/* whoever has started the command may have ignored or blocked these for reasons
   of his own; then a fault would end it without a word, and a loop never */

static void
own_signals(void)
{
    size_t            i;
    sigset_t          set;
    static const int  signals[] = { SIGBUS, SIGSEGV, SIGFPE, SIGABRT,
                                    SIGVTALRM, SIGALRM };

    (void) sigemptyset(&set);

    for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        (void) signal(signals[i], SIG_DFL);
        (void) sigaddset(&set, signals[i]);
    }

    (void) sigprocmask(SIG_UNBLOCK, &set, NULL);
}


/* the processor time of this thread, the only one that uses the store */

static void
start_clock(void)
{
    timer_t            timer;
    struct sigevent    event;
    struct itimerspec  interval;

    memset(&event, 0, sizeof(struct sigevent));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGVTALRM;

    memset(&interval, 0, sizeof(struct itimerspec));
    interval.it_interval.tv_sec = 1;
    interval.it_value = interval.it_interval;

    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) == 0) {
        (void) timer_settime(timer, 0, &interval, NULL);
    }
}


static void
tick(int signo)
{
    int64_t   spent;
    uint64_t  made;

    (void) signo;

    /* another thread has spent other time */

    if (gettid() != getpid()) {
        return;
    }

    made = steps_made();
    spent = time_spent();

    if (made != steps_seen) {
        steps_seen = made;
        spent_then = spent;
        return;
    }

    if (spent - spent_then >= PATIENCE) {
        ctl_die(damaged_text);
    }
}


static uint64_t
steps_made(void)
{
    off_t     offset;
    uint64_t  n;

    n = atomic_load_explicit(&own_steps, memory_order_relaxed);
    n += watched != NULL ? exports_env_steps(watched) : 0;

    if (watched_file != -1) {
        offset = lseek(watched_file, 0, SEEK_CUR);
        n += offset > 0 ? (uint64_t) offset : 0;
    }

    return n;
}


/* ms, without the kernel's: a file system that compresses or encrypts may need
   long to write a commit, but does not loop */

static int64_t
time_spent(void)
{
    struct rusage  usage;

    if (getrusage(RUSAGE_THREAD, &usage) == -1) {
        return 0;
    }

    return (int64_t) usage.ru_utime.tv_sec * 1000
           + usage.ru_utime.tv_usec / 1000;
}


static void
damaged(int signo)
{
    (void) signo;

    ctl_die(damaged_text);
}
