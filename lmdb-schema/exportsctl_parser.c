
/*
 * Parsing a line takes longer than writing what it says: so some threads read
 * and parse ahead.  One of them reads a batch, then all take turns: a thread
 * takes the next group of lines and parses it.  The groups are handed out in
 * the order of turns, which is that of the lines.
 */

#define _GNU_SOURCE             /* sched_getaffinity() */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "exportsctl.h"


/* one thread that writes keeps no more than these busy */
#define THREADS_MAX  4

/* of a thread: Jansson follows 2,048 levels of JSON, for which the 128 kB that
   musl would give are too few */
#define STACK_SIZE   (1 << 20)

/* all groups together have room for what is parsed during a commit */
#define GROUP_LINES  64
#define GROUP_SIZE   (3 * sizeof(ctl_parsed_t))
#define GROUPS       256

/* each time that so many groups have become free, another thread is woken */
#define GROUPS_WAKE  (GROUPS / 8)


typedef struct group_s  group_t;

struct group_s {
    group_t          *next;         /* free one */
    int               ready;        /* to be handed out */
    int               more;         /* its thread waits to fill it again */
    exports_error_t   error;        /* of a refused line */
    size_t            used;
    _Alignas(max_align_t)
    char              buf[GROUP_SIZE];
};


/* one of the threads */

typedef struct {
    ctl_parser_t       *parser;
    group_t            *group;
    ctl_lines_t         lines;
    ctl_parsed_type_t   end;        /* what follows the lines; 0: other lines */
} worker_t;


struct ctl_parser_s {
    ctl_lines_t       lines;
    uint64_t          batch;
    int               stream;
    int               tokens_only;

    pthread_mutex_t   mutex;
    pthread_cond_t    parsed;       /* for the thread that writes */
    pthread_cond_t    changed;      /* for those that parse */
    pthread_cond_t    halted;       /* for ctl_parser_stop() */

    int               filling;      /* a thread is reading the next batch */
    int               ended;        /* no more lines are to be parsed */
    int               stop;
    unsigned          busy;         /* threads that are parsing a group */

    group_t          *free;
    unsigned          nfree;
    group_t          *turns[GROUPS];
    uint64_t          next;         /* turn to be taken */
    uint64_t          head;         /* turn to be handed out */

    /* of the thread that writes */
    group_t          *group;
    size_t            pos;

    worker_t          workers[THREADS_MAX];
    group_t           groups[GROUPS];
};


static int start_threads(ctl_parser_t *p);
static unsigned count_threads(void);
static void *run(void *data);
static void take_turn(ctl_parser_t *p, worker_t *worker);
static ctl_parsed_type_t fill(ctl_parser_t *p);
static void parse_lines(ctl_parser_t *p, worker_t *worker);
static int parse_line(ctl_parser_t *p, worker_t *worker, const char *text,
    size_t len);
static int is_blank(const char *text, size_t len);
static size_t line_size(const ctl_parsed_t *parsed);
static ctl_parsed_t *at(group_t *group, size_t pos);
static void add(worker_t *worker, ctl_parsed_type_t type, size_t size);
static void drain(ctl_parser_t *p, group_t *group);
static void publish(ctl_parser_t *p, worker_t *worker);
static void hand_out(ctl_parser_t *p, group_t *group);
static void next_group(ctl_parser_t *p);
static void give_back(ctl_parser_t *p);
static void wait_change(ctl_parser_t *p);
static void halt_if_stopped(ctl_parser_t *p);


int
ctl_parser_start(ctl_parser_t **parser, const char *path, uint64_t batch,
    int stream, int tokens_only)
{
    int            rc;
    unsigned       i;
    ctl_parser_t  *p;

    p = calloc(1, sizeof(ctl_parser_t));
    if (p == NULL) {
        return ctl_error("out of memory");
    }

    p->batch = batch;
    p->stream = stream;
    p->tokens_only = tokens_only;

    for (i = 0; i < GROUPS; i++) {
        p->groups[i].next = p->free;
        p->free = &p->groups[i];
    }

    p->nfree = GROUPS;

    rc = ctl_lines_open(&p->lines, path);

    if (rc == CTL_OK) {
        rc = start_threads(p);
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
    const ctl_parsed_t  *parsed;

    /* a group of blank lines is empty */

    while (p->group == NULL || p->pos == p->group->used) {
        next_group(p);
    }

    parsed = at(p->group, p->pos);
    p->pos += parsed->size;

    return parsed;
}


int
ctl_parser_has_more(ctl_parser_t *p)
{
    int  more;

    /* the turn that is being handed out is still the head */

    (void) pthread_mutex_lock(&p->mutex);
    more = p->next > p->head + 1;
    (void) pthread_mutex_unlock(&p->mutex);

    return more;
}


/*
 * The threads are not ended, for one may be waiting for input that never comes:
 * they are only kept from doing anything more.  The program is about to exit.
 */

void
ctl_parser_stop(ctl_parser_t *p)
{
    (void) pthread_mutex_lock(&p->mutex);

    p->stop = 1;

    while (p->busy > 0) {
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
start_threads(ctl_parser_t *p)
{
    int             rc;
    unsigned        i, n;
    sigset_t        all, old;
    pthread_t       thread;
    pthread_attr_t  attributes;

    (void) pthread_mutex_init(&p->mutex, NULL);
    (void) pthread_cond_init(&p->parsed, NULL);
    (void) pthread_cond_init(&p->changed, NULL);
    (void) pthread_cond_init(&p->halted, NULL);

    (void) pthread_attr_init(&attributes);
    (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void) pthread_attr_setstacksize(&attributes, STACK_SIZE);

    n = count_threads();
    rc = 0;

    /* signals are for the thread that writes */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &old);

    for (i = 0; i < n; i++) {
        p->workers[i].parser = p;

        rc = ctl_lines_part(&p->workers[i].lines) == CTL_OK
                 ? pthread_create(&thread, &attributes, run, &p->workers[i])
                 : ENOMEM;

        if (rc != 0) {
            break;
        }
    }

    (void) pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void) pthread_attr_destroy(&attributes);

    /* one thread is enough */

    if (i == 0) {
        ctl_lines_close(&p->workers[0].lines);
        return ctl_error("a thread cannot be started: %s", strerror(rc));
    }

    return CTL_OK;
}


/* the thread that writes is not counted: while it has more to do than the
   others, these wait */

static unsigned
count_threads(void)
{
    int        n;
    cpu_set_t  set;

    n = sched_getaffinity(0, sizeof(cpu_set_t), &set) == 0 ? CPU_COUNT(&set)
                                                           : 1;

    return n > THREADS_MAX ? THREADS_MAX : (unsigned) n;
}


static void *
run(void *data)
{
    worker_t      *worker = data;
    ctl_parser_t  *p = worker->parser;

    for ( ;; ) {
        take_turn(p, worker);
        parse_lines(p, worker);
        publish(p, worker);
    }

    return NULL;
}


static void
take_turn(ctl_parser_t *p, worker_t *worker)
{
    (void) pthread_mutex_lock(&p->mutex);

    halt_if_stopped(p);

    while (p->ended || p->filling || p->free == NULL) {
        wait_change(p);
    }

    worker->end = p->lines.start == p->lines.stop ? fill(p) : 0;

    ctl_lines_take(&p->lines, &worker->lines, GROUP_LINES);

    if (worker->end == 0 && p->lines.start == p->lines.stop) {
        worker->end = p->lines.paused ? CTL_PARSED_PAUSE : CTL_PARSED_BATCH;
    }

    worker->group = p->free;
    p->free = p->free->next;
    p->nfree--;

    worker->group->used = 0;
    p->turns[p->next++ % GROUPS] = worker->group;
    p->busy++;

    (void) pthread_mutex_unlock(&p->mutex);
}


/* reads the next batch, without the lock, for that may wait for ever */

static ctl_parsed_type_t
fill(ctl_parser_t *p)
{
    int  rc;

    p->filling = 1;
    (void) pthread_mutex_unlock(&p->mutex);

    rc = ctl_lines_fill(&p->lines, p->batch, p->stream);

    (void) pthread_mutex_lock(&p->mutex);
    p->filling = 0;

    halt_if_stopped(p);

    (void) pthread_cond_broadcast(&p->changed);

    if (rc == CTL_OK && p->lines.start != p->lines.stop) {
        return 0;
    }

    p->ended = 1;

    return rc == CTL_OK ? CTL_PARSED_END : CTL_PARSED_FAILED;
}


static void
parse_lines(ctl_parser_t *p, worker_t *worker)
{
    size_t       len;
    group_t     *group;
    const char  *text;

    group = worker->group;

    while (ctl_lines_next(&worker->lines, &text, &len)) {

        if (is_blank(text, len)) {
            continue;
        }

        /* room for a line, and for an event that may follow it */

        if (sizeof(group->buf) - group->used < 2 * sizeof(ctl_parsed_t)) {
            drain(p, group);
        }

        if (parse_line(p, worker, text, len) != CTL_OK) {
            worker->end = CTL_PARSED_REFUSED;
            break;
        }
    }

    if (worker->end != 0) {
        add(worker, worker->end, offsetof(ctl_parsed_t, line));
    }
}


static int
parse_line(ctl_parser_t *p, worker_t *worker, const char *text, size_t len)
{
    group_t       *group;
    exports_rc_t   rc;
    ctl_parsed_t  *parsed;

    group = worker->group;
    parsed = at(group, group->used);
    parsed->line_type = EXPORTS_LINE_TOKEN;

    ctl_arena_begin();

    rc = p->tokens_only
             ? exports_token_parse(&parsed->line.token, text, len,
                                   &group->error)
             : exports_line_parse(&parsed->line, &parsed->line_type, text,
                                  len, &group->error);
    ctl_arena_end();

    if (rc != EXPORTS_OK) {
        return CTL_FAILED;
    }

    add(worker, CTL_PARSED_LINE, line_size(parsed));

    return CTL_OK;
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


/* up to the end of what is set in it */

static size_t
line_size(const ctl_parsed_t *parsed)
{
    const char             *end;
    const exports_str_t    *last;
    const exports_token_t  *token;

    if (parsed->line_type == EXPORTS_LINE_MANIFEST) {
        end = (const char *) parsed->line.manifest.record
              + parsed->line.manifest.record_len;

        return (size_t) (end - (const char *) parsed);
    }

    end = parsed->line.token.text;
    token = &parsed->line.token.token;

    if (token->ntables > 0) {
        last = &token->tables[token->ntables - 1];
        end = last->data + last->len;
    }

    return (size_t) (end - (const char *) parsed);
}


static ctl_parsed_t *
at(group_t *group, size_t pos)
{
    return (ctl_parsed_t *) (group->buf + pos);
}


static void
add(worker_t *worker, ctl_parsed_type_t type, size_t size)
{
    group_t       *group;
    ctl_parsed_t  *parsed;

    group = worker->group;

    parsed = at(group, group->used);
    parsed->type = type;
    parsed->number = worker->lines.number;
    parsed->bytes = worker->lines.bytes;
    parsed->size = CTL_ALIGNED(size);
    parsed->error = &group->error;

    group->used += parsed->size;
}


/* hands out a full group, and waits to get it back for the rest of its lines */

static void
drain(ctl_parser_t *p, group_t *group)
{
    (void) pthread_mutex_lock(&p->mutex);

    group->more = 1;
    hand_out(p, group);

    do {
        wait_change(p);
    } while (group->more);

    p->busy++;

    (void) pthread_mutex_unlock(&p->mutex);
}


static void
publish(ctl_parser_t *p, worker_t *worker)
{
    (void) pthread_mutex_lock(&p->mutex);

    if (worker->end == CTL_PARSED_REFUSED) {
        p->ended = 1;
    }

    hand_out(p, worker->group);

    (void) pthread_mutex_unlock(&p->mutex);
}


static void
hand_out(ctl_parser_t *p, group_t *group)
{
    group->ready = 1;

    if (group == p->turns[p->head % GROUPS]) {
        (void) pthread_cond_signal(&p->parsed);
    }

    p->busy--;

    if (p->stop) {
        (void) pthread_cond_signal(&p->halted);
    }
}


static void
next_group(ctl_parser_t *p)
{
    group_t  *group;

    (void) pthread_mutex_lock(&p->mutex);

    if (p->group != NULL) {
        give_back(p);
    }

    for ( ;; ) {
        group = p->turns[p->head % GROUPS];

        if (group != NULL && group->ready) {
            break;
        }

        (void) pthread_cond_wait(&p->parsed, &p->mutex);
    }

    p->group = group;
    p->pos = 0;

    (void) pthread_mutex_unlock(&p->mutex);
}


static void
give_back(ctl_parser_t *p)
{
    group_t  *group;

    group = p->group;
    group->ready = 0;

    if (group->more) {
        group->more = 0;
        group->used = 0;
        (void) pthread_cond_broadcast(&p->changed);
        return;
    }

    p->turns[p->head++ % GROUPS] = NULL;
    group->next = p->free;
    p->free = group;

    /*
     * A thread that waits for a free group has seen none, so nfree has to come
     * by a multiple of GROUPS_WAKE from 0 on.  If the signal wakes one that
     * waits in drain() instead, no harm is done: when that gets its group back,
     * all are woken.
     */

    if (++p->nfree % GROUPS_WAKE == 0) {
        (void) pthread_cond_signal(&p->changed);
    }
}


static void
wait_change(ctl_parser_t *p)
{
    (void) pthread_cond_wait(&p->changed, &p->mutex);

    halt_if_stopped(p);
}


static void
halt_if_stopped(ctl_parser_t *p)
{
    while (p->stop) {
        (void) pthread_cond_wait(&p->changed, &p->mutex);
    }
}
