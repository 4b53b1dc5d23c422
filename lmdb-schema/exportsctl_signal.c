
/* signals: faults and loops of LMDB, interruption, waiting for a writer */

#define _GNU_SOURCE             /* RUSAGE_THREAD, gettid() */

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "exportsctl.h"


#define PATH_SIZE  4096

/* ms of processor time without a step before LMDB is taken to loop: five ticks,
   which the clock may count as a little less */
#define PATIENCE   4900

/* seconds of waiting before a command says so */
#define SILENCE    2


static void own_signals(void);
static void install(int signo, void (*handler)(int signo), int flags);
static void start_clock(void);
static void damaged(int signo);
static void tick(int signo);
static uint64_t steps_made(void);
static int64_t time_spent(void);
static void interrupted(int signo);
static void waiting(int signo);
static void die(const char *text) __attribute__((noreturn));
static void say(int fd, const char *text);


/* handlers may call little more than write(2) and unlink(2): their texts are
   made beforehand */

static char                   damaged_text[160];
static char                   interrupted_text[96];
static char                   waiting_text[96];
static char                   last_words[256];
static const char *volatile   last_output;

static char                   doomed_data[PATH_SIZE];
static char                   doomed_lock[PATH_SIZE];
static char                   doomed_directory[PATH_SIZE];
static volatile sig_atomic_t  doomed;

static const exports_env_t *volatile  watched;
static volatile sig_atomic_t  watched_file = -1;
static _Atomic uint64_t       own_steps;
static uint64_t               steps_seen;
static int64_t                spent_then;

static volatile sig_atomic_t  held;
static volatile sig_atomic_t  caught;


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

    install(SIGBUS, damaged, SA_RESETHAND);
    install(SIGSEGV, damaged, SA_RESETHAND);
    install(SIGFPE, damaged, SA_RESETHAND);
    install(SIGABRT, damaged, SA_RESETHAND);

    /* endless loops, such as by a page with a negative number of entries */

    install(SIGVTALRM, tick, SA_RESTART);
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

    die(damaged_text);
}


void
ctl_interruptible(void)
{
    /* on a terminal, ^C or the progress stands in the current line */

    (void) snprintf(interrupted_text, sizeof(interrupted_text),
                    "%sexportsctl: %s: interrupted\n",
                    isatty(STDERR_FILENO) ? "\n" : "", ctl_name());

    install(SIGINT, interrupted, SA_RESTART);
    install(SIGTERM, interrupted, SA_RESTART);
    install(SIGHUP, interrupted, SA_RESTART);
}


void
ctl_hold(void)
{
    held = 1;
}


void
ctl_release(void)
{
    held = 0;

    if (caught) {
        die(interrupted_text);
    }
}


int
ctl_interrupted(void)
{
    return caught;
}


void
ctl_wait(void)
{
    (void) snprintf(waiting_text, sizeof(waiting_text),
                    "exportsctl: %s: waiting for another writer\n",
                    ctl_name());

    install(SIGALRM, waiting, SA_RESTART);
    (void) alarm(SILENCE);
}


void
ctl_wait_end(void)
{
    (void) alarm(0);
}


void
ctl_no_memory(void)
{
    char  text[96];

    (void) snprintf(text, sizeof(text), "exportsctl: %s: out of memory\n",
                    ctl_name());
    die(text);
}


void
ctl_last_words(const char *text)
{
    (void) snprintf(last_words, sizeof(last_words), "exportsctl: %s: %s\n",
                    ctl_name(), text);
}


void
ctl_last_output(const char *text)
{
    last_output = text;
}


void
ctl_doom(const char *directory)
{
    doomed = 0;

    if (directory == NULL) {
        return;
    }

    (void) snprintf(doomed_directory, PATH_SIZE, "%s", directory);
    (void) snprintf(doomed_data, PATH_SIZE, "%s/" EXPORTS_DATA_FILE,
                    directory);
    (void) snprintf(doomed_lock, PATH_SIZE, "%s/" EXPORTS_LOCK_FILE,
                    directory);
    doomed = 1;
}


void
ctl_remove_doomed(void)
{
    if (doomed) {
        (void) unlink(doomed_data);
        (void) unlink(doomed_lock);
        (void) rmdir(doomed_directory);
        doomed = 0;
    }
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


static void
install(int signo, void (*handler)(int signo), int flags)
{
    struct sigaction  sa;

    /* ignored signals stay ignored: nohup */

    if (sigaction(signo, NULL, &sa) == -1 || sa.sa_handler == SIG_IGN) {
        return;
    }

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = handler;
    sa.sa_flags = flags;
    (void) sigemptyset(&sa.sa_mask);

    (void) sigaction(signo, &sa, NULL);
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
        die(damaged_text);
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

    die(damaged_text);
}


static void
interrupted(int signo)
{
    if (held) {
        caught = signo;
        return;
    }

    die(interrupted_text);
}


static void
waiting(int signo)
{
    (void) signo;

    say(STDERR_FILENO, waiting_text);
}


static void
die(const char *text)
{
    say(STDERR_FILENO, text);
    say(STDERR_FILENO, last_words);

    if (last_output != NULL) {
        say(STDOUT_FILENO, last_output);
    }

    ctl_remove_doomed();
    _exit(CTL_FAILED);
}


static void
say(int fd, const char *text)
{
    ssize_t  n;
    size_t   len;

    for (len = strlen(text); len > 0; text += n, len -= (size_t) n) {

        n = write(fd, text, len);

        if (n <= 0) {
            return;
        }
    }
}
