
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exportsctl.h"


/* the clock is looked at after so many lines, the terminal twice a second */
#define PROGRESS_LINES     1024
#define PROGRESS_INTERVAL  0.5


typedef struct {
    int       shown;
    int       terminal;
    double    started;
    double    last;
} progress_t;

typedef struct {
    const ctl_args_t  *args;
    int                tokens_only;
    int                atomic;
    ctl_store_t        store;
    ctl_lines_t        lines;
    uint64_t           manifests;
    uint64_t           replaced;
    uint64_t           tokens;
    uint64_t           commits;
    uint64_t           committed;       /* lines */
    progress_t         progress;
    exports_line_t     line;
} import_t;


static int import(import_t *im);
static int put_batch(import_t *im);
static int put_line(import_t *im, const char *text, size_t len);
static int is_blank(const char *text, size_t len);
static int commit(import_t *im);
static void describe_committed(const import_t *im, char *text, size_t size);
static int give_up(import_t *im);
static int print_import(const import_t *im);
static void progress_show(progress_t *p, const ctl_lines_t *lines);
static void progress_clear(progress_t *p);
static double now(void);


int
ctl_import(const ctl_args_t *args)
{
    int        rc;
    import_t  *im;

    im = calloc(1, sizeof(import_t));
    if (im == NULL) {
        return ctl_error("out of memory");
    }

    im->args = args;
    im->tokens_only = args->command->bit == CTL_TOKEN_IMPORT;
    im->atomic = args->atomic || im->tokens_only;
    im->progress.terminal = isatty(STDERR_FILENO);
    im->progress.started = now();
    im->progress.last = im->progress.started;

    rc = ctl_lines_open(&im->lines, args->operands[0]);

    if (rc == CTL_OK) {
        rc = ctl_store_open(&im->store, args, EXPORTS_ENV_WRITE);
    }

    if (rc == CTL_OK) {
        rc = import(im);
    }

    ctl_store_close(&im->store);
    ctl_lines_close(&im->lines);

    if (rc == CTL_OK) {
        rc = print_import(im);
    }

    free(im);

    return rc;
}


/*
 * The lines of a batch are read before its transaction begins: while it lasts
 * nobody else can write, and the input may be slow.
 */

static int
import(import_t *im)
{
    char  text[128];

    describe_committed(im, text, sizeof(text));
    ctl_last_words(text);
    ctl_interruptible();

    for ( ;; ) {

        if (ctl_lines_fill(&im->lines, im->args->batch) != CTL_OK) {
            return give_up(im);
        }

        if (im->lines.start == im->lines.stop) {
            break;
        }

        if (put_batch(im) != CTL_OK) {
            return give_up(im);
        }
    }

    if (im->store.writer != NULL && commit(im) != CTL_OK) {
        return give_up(im);
    }

    progress_clear(&im->progress);

    return CTL_OK;
}


static int
put_batch(import_t *im)
{
    size_t       len;
    const char  *text;

    /* waits for another writer, so not while signals are held */

    if (im->store.writer == NULL && ctl_store_begin(&im->store) != CTL_OK) {
        return CTL_FAILED;
    }

    ctl_hold();

    while (ctl_lines_next(&im->lines, &text, &len)) {

        if (put_line(im, text, len) != CTL_OK) {
            return CTL_FAILED;
        }

        if (ctl_interrupted()) {
            ctl_store_abort(&im->store);
            break;
        }

        if (im->lines.number % PROGRESS_LINES == 0) {
            progress_show(&im->progress, &im->lines);
        }
    }

    if (!im->atomic && im->store.writer != NULL && commit(im) != CTL_OK) {
        return CTL_FAILED;
    }

    ctl_release();

    return CTL_OK;
}


static int
put_line(import_t *im, const char *text, size_t len)
{
    int                  replaced;
    exports_rc_t         rc;
    exports_error_t      error;
    exports_line_type_t  type;

    if (is_blank(text, len)) {
        return CTL_OK;
    }

    type = EXPORTS_LINE_TOKEN;

    rc = im->tokens_only
             ? exports_token_parse(&im->line.token, text, len, &error)
             : exports_line_parse(&im->line, &type, text, len, &error);

    if (rc == EXPORTS_OK && type == EXPORTS_LINE_TOKEN) {
        rc = exports_writer_put_token(im->store.writer, &im->line.token,
                                      &error);
        im->tokens++;

    } else if (rc == EXPORTS_OK) {
        rc = exports_writer_put(im->store.writer, &im->line.manifest,
                                &replaced, &error);
        im->manifests++;
        im->replaced += (rc == EXPORTS_OK && replaced);
    }

    if (rc == EXPORTS_OK) {
        return CTL_OK;
    }

    progress_clear(&im->progress);

    return ctl_error("line %llu: %s", (unsigned long long) im->lines.number,
                     error.text);
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


static int
commit(import_t *im)
{
    char  text[128];

    ctl_hold();

    if (ctl_store_commit(&im->store) != CTL_OK) {
        return CTL_FAILED;
    }

    im->commits++;
    im->committed = im->lines.number;

    describe_committed(im, text, sizeof(text));
    ctl_last_words(text);
    ctl_release();

    return CTL_OK;
}


static void
describe_committed(const import_t *im, char *text, size_t size)
{
    if (im->committed == 0) {
        (void) snprintf(text, size, "nothing is committed");
        return;
    }

    (void) snprintf(text, size, "lines 1-%llu are committed, line %llu and "
                    "after are not", (unsigned long long) im->committed,
                    (unsigned long long) im->committed + 1);
}


static int
give_up(import_t *im)
{
    char  text[128];

    progress_clear(&im->progress);
    ctl_store_abort(&im->store);

    describe_committed(im, text, sizeof(text));

    return ctl_error("%s", text);
}


static int
print_import(const import_t *im)
{
    if (im->args->json) {
        return ctl_print_json(json_pack("{s:I, s:I, s:I, s:I, s:I}",
                                "lines", (json_int_t) im->lines.number,
                                "manifests", (json_int_t) im->manifests,
                                "replaced", (json_int_t) im->replaced,
                                "tokens", (json_int_t) im->tokens,
                                "commits", (json_int_t) im->commits));
    }

    if (im->tokens_only) {
        (void) printf("imported %llu token%s\n",
                      (unsigned long long) im->tokens, CTL_S(im->tokens));
        return CTL_OK;
    }

    (void) printf("imported %llu manifest%s (%llu replaced) and %llu token%s "
                  "in %llu commit%s\n",
                  (unsigned long long) im->manifests, CTL_S(im->manifests),
                  (unsigned long long) im->replaced,
                  (unsigned long long) im->tokens, CTL_S(im->tokens),
                  (unsigned long long) im->commits, CTL_S(im->commits));

    return CTL_OK;
}


static void
progress_show(progress_t *p, const ctl_lines_t *lines)
{
    double  t, elapsed, part;

    if (!p->terminal) {
        return;
    }

    t = now();

    if (t - p->last < PROGRESS_INTERVAL) {
        return;
    }

    elapsed = t - p->started;
    p->last = t;
    p->shown = 1;

    (void) fprintf(stderr, "\r%llu lines, %.0f a second",
                   (unsigned long long) lines->number,
                   elapsed > 0 ? (double) lines->number / elapsed : 0);

    if (lines->size > 0 && lines->bytes > 0) {
        part = (double) lines->bytes / (double) lines->size;

        (void) fprintf(stderr, ", %.0f %%, %.0f s left", 100 * part,
                       part < 1 ? elapsed / part - elapsed : 0);
    }

    (void) fprintf(stderr, "    ");
}


static void
progress_clear(progress_t *p)
{
    if (p->shown) {
        (void) fprintf(stderr, "\r%70s\r", "");
        p->shown = 0;
    }
}


static double
now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}
