
/*
 * Parsing JSON takes as long as writing what it says; so a thread reads and
 * parses ahead, into a ring of slots.  Both sides move some slots at a time:
 * to wake the other for each would cost more than is won.
 */

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "exportsctl.h"


#define SLOTS  64
#define GROUP  16


struct ctl_parser_s {
    ctl_lines_t       lines;
    uint64_t          batch;
    int               tokens_only;

    pthread_mutex_t   mutex;
    pthread_cond_t    filled;
    pthread_cond_t    freed;
    pthread_cond_t    halted;

    unsigned          count;        /* slots that are filled */
    int               stop;
    int               at_rest;      /* nothing is touched but the input */

    /* of the one who takes */
    unsigned          head;
    unsigned          taken;
    unsigned          used;

    /* of the one who fills */
    unsigned          tail;
    unsigned          room;
    unsigned          pending;      /* filled, not yet counted */

    ctl_parsed_t      slots[SLOTS];
};


static int start_thread(ctl_parser_t *p);
static void *run(void *data);
static int fill(ctl_parser_t *p);
static int parse_batch(ctl_parser_t *p);
static int parse_line(ctl_parser_t *p, const char *text, size_t len);
static int is_blank(const char *text, size_t len);
static ctl_parsed_t *next_slot(ctl_parser_t *p);
static void post(ctl_parser_t *p, ctl_parsed_type_t type);
static void publish(ctl_parser_t *p);
static void halt(ctl_parser_t *p) __attribute__((noreturn));


int
ctl_parser_start(ctl_parser_t **parser, const char *path, uint64_t batch,
    int tokens_only)
{
    int            rc;
    ctl_parser_t  *p;

    p = calloc(1, sizeof(ctl_parser_t));
    if (p == NULL) {
        return ctl_error("out of memory");
    }

    p->batch = batch;
    p->tokens_only = tokens_only;
    p->room = SLOTS;

    rc = ctl_lines_open(&p->lines, path);

    if (rc == CTL_OK) {
        rc = start_thread(p);
    }

    if (rc != CTL_OK) {
        ctl_lines_close(&p->lines);
        free(p);
        return rc;
    }

    *parser = p;

    return CTL_OK;
}


const ctl_parsed_t *
ctl_parser_next(ctl_parser_t *p)
{
    if (p->used == p->taken) {
        (void) pthread_mutex_lock(&p->mutex);

        p->head = (p->head + p->taken) % SLOTS;
        p->count -= p->taken;
        (void) pthread_cond_signal(&p->freed);

        while (p->count == 0) {
            (void) pthread_cond_wait(&p->filled, &p->mutex);
        }

        p->taken = p->count < GROUP ? p->count : GROUP;
        p->used = 0;

        (void) pthread_mutex_unlock(&p->mutex);
    }

    return &p->slots[(p->head + p->used++) % SLOTS];
}


/*
 * The thread may be waiting for input that never comes, so it is not ended,
 * but kept from doing anything more: the program is about to exit.
 */

void
ctl_parser_stop(ctl_parser_t *p)
{
    (void) pthread_mutex_lock(&p->mutex);

    p->stop = 1;
    (void) pthread_cond_signal(&p->freed);

    while (!p->at_rest) {
        (void) pthread_cond_wait(&p->halted, &p->mutex);
    }

    (void) pthread_mutex_unlock(&p->mutex);
}


uint64_t
ctl_parser_size(const ctl_parser_t *p)
{
    return p->lines.size;
}


int
ctl_parser_error(const ctl_parser_t *p)
{
    return ctl_lines_error(&p->lines);
}


static int
start_thread(ctl_parser_t *p)
{
    int        rc;
    sigset_t   all, old;
    pthread_t  thread;

    (void) pthread_mutex_init(&p->mutex, NULL);
    (void) pthread_cond_init(&p->filled, NULL);
    (void) pthread_cond_init(&p->freed, NULL);
    (void) pthread_cond_init(&p->halted, NULL);

    /* signals are for the thread that writes */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);

    rc = pthread_create(&thread, NULL, run, p);

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);

    if (rc != 0) {
        return ctl_error("a thread cannot be started: %s", strerror(rc));
    }

    (void) pthread_detach(thread);

    return CTL_OK;
}


static void *
run(void *data)
{
    ctl_parser_t  *p = data;

    for ( ;; ) {

        if (fill(p) != CTL_OK) {
            post(p, CTL_PARSED_FAILED);
            break;
        }

        if (p->lines.start == p->lines.stop) {
            post(p, CTL_PARSED_END);
            break;
        }

        if (parse_batch(p) != CTL_OK) {
            post(p, CTL_PARSED_REFUSED);
            break;
        }

        post(p, CTL_PARSED_BATCH);
    }

    halt(p);
}


static int
fill(ctl_parser_t *p)
{
    int  rc, stop;

    (void) pthread_mutex_lock(&p->mutex);
    p->at_rest = 1;
    (void) pthread_cond_signal(&p->halted);
    (void) pthread_mutex_unlock(&p->mutex);

    rc = ctl_lines_fill(&p->lines, p->batch);

    (void) pthread_mutex_lock(&p->mutex);
    p->at_rest = 0;
    stop = p->stop;
    (void) pthread_mutex_unlock(&p->mutex);

    if (stop) {
        halt(p);
    }

    return rc;
}


static int
parse_batch(ctl_parser_t *p)
{
    size_t       len;
    const char  *text;

    while (ctl_lines_next(&p->lines, &text, &len)) {

        if (is_blank(text, len)) {
            continue;
        }

        if (parse_line(p, text, len) != CTL_OK) {
            return CTL_FAILED;
        }

        post(p, CTL_PARSED_LINE);
    }

    return CTL_OK;
}


static int
parse_line(ctl_parser_t *p, const char *text, size_t len)
{
    exports_rc_t   rc;
    ctl_parsed_t  *slot;

    slot = next_slot(p);
    slot->line_type = EXPORTS_LINE_TOKEN;

    rc = p->tokens_only
             ? exports_token_parse(&slot->line.token, text, len, &slot->error)
             : exports_line_parse(&slot->line, &slot->line_type, text, len,
                                  &slot->error);

    return rc == EXPORTS_OK ? CTL_OK : CTL_FAILED;
}


static int
is_blank(const char *text, size_t len)
{
    size_t  i;

    if (len > EXPORTS_JSON_MAX) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') {
            return 0;
        }
    }

    return 1;
}


static ctl_parsed_t *
next_slot(ctl_parser_t *p)
{
    if (p->room == 0) {
        publish(p);

        (void) pthread_mutex_lock(&p->mutex);

        while (p->count == SLOTS && !p->stop) {
            (void) pthread_cond_wait(&p->freed, &p->mutex);
        }

        p->room = SLOTS - p->count;

        (void) pthread_mutex_unlock(&p->mutex);

        if (p->room == 0) {
            halt(p);
        }
    }

    return &p->slots[p->tail];
}


/* the slot that next_slot() has given, or gives now */

static void
post(ctl_parser_t *p, ctl_parsed_type_t type)
{
    ctl_parsed_t  *slot;

    slot = next_slot(p);
    slot->type = type;
    slot->number = p->lines.number;
    slot->bytes = p->lines.bytes;

    p->tail = (p->tail + 1) % SLOTS;
    p->room--;
    p->pending++;

    if (p->pending == GROUP || type != CTL_PARSED_LINE) {
        publish(p);
    }
}


static void
publish(ctl_parser_t *p)
{
    int  stop;

    (void) pthread_mutex_lock(&p->mutex);

    p->count += p->pending;
    p->pending = 0;
    stop = p->stop;
    (void) pthread_cond_signal(&p->filled);

    (void) pthread_mutex_unlock(&p->mutex);

    if (stop) {
        halt(p);
    }
}


static void
halt(ctl_parser_t *p)
{
    (void) pthread_mutex_lock(&p->mutex);

    p->at_rest = 1;
    (void) pthread_cond_signal(&p->halted);

    for ( ;; ) {
        (void) pthread_cond_wait(&p->freed, &p->mutex);
    }
}
