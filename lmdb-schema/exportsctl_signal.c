
/* signals: interruption, waiting for a writer, the end of the program */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exportsctl.h"


#define PATH_SIZE  4096

/* seconds of waiting before a command says so */
#define SILENCE    2


static void interrupted(int signo);
static void waiting(int signo);
static void say(int fd, const char *text);


/* handlers may call little more than write(2) and unlink(2): their texts are
   made beforehand */

static char                   interrupted_text[96];
static char                   waiting_text[96];
static char                   last_words[256];
static const char *volatile   last_output;

static char                   doomed_data[PATH_SIZE];
static char                   doomed_lock[PATH_SIZE];
static char                   doomed_directory[PATH_SIZE];
static volatile sig_atomic_t  doomed;

static volatile sig_atomic_t  held;
static volatile sig_atomic_t  caught;


void
ctl_signal(int signo, void (*handler)(int signo), int flags)
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


void
ctl_interruptible(void)
{
    /* on a terminal, ^C or the progress stands in the current line */

    (void) snprintf(interrupted_text, sizeof(interrupted_text),
                    "%sexportsctl: %s: interrupted\n",
                    isatty(STDERR_FILENO) ? "\n" : "", ctl_name());

    ctl_signal(SIGINT, interrupted, SA_RESTART);
    ctl_signal(SIGTERM, interrupted, SA_RESTART);
    ctl_signal(SIGHUP, interrupted, SA_RESTART);
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
        ctl_die(interrupted_text);
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

    ctl_signal(SIGALRM, waiting, SA_RESTART);
    (void) alarm(SILENCE);
}


void
ctl_wait_end(void)
{
    (void) alarm(0);
}


void
ctl_die(const char *text)
{
    say(STDERR_FILENO, text);
    say(STDERR_FILENO, last_words);

    if (last_output != NULL) {
        say(STDOUT_FILENO, last_output);
    }

    ctl_remove_doomed();
    _exit(CTL_FAILED);
}


void
ctl_no_memory(void)
{
    char  text[96];

    (void) snprintf(text, sizeof(text), "exportsctl: %s: out of memory\n",
                    ctl_name());
    ctl_die(text);
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


static void
interrupted(int signo)
{
    if (held) {
        caught = signo;
        return;
    }

    ctl_die(interrupted_text);
}


static void
waiting(int signo)
{
    (void) signo;

    say(STDERR_FILENO, waiting_text);
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
