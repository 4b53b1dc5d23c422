
/*
 * import: threads parse the lines (exportsctl_parser.c), some are held back to
 * be put in a better order (exportsctl_held.c), a transaction takes a batch.
 */

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exportsctl.h"


/* progress is considered after so many lines, and shown twice a second */
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
    ctl_parser_t      *parser;
    ctl_held_t        *held;
    uint64_t           lines;
    uint64_t           bytes;           /* of these lines */
    uint64_t           manifests;
    uint64_t           replaced;
    uint64_t           tokens;
    uint64_t           commits;
    uint64_t           committed;       /* lines */
    uint64_t           committed_bytes;
    uint64_t           confirmed;       /* of these, as --stream says */
    progress_t         progress;
} import_t;


static int import(import_t *im);
static int take_line(import_t *im, const ctl_parsed_t *parsed);
static int put_held(import_t *im);
static int put_in_turn(import_t *im, const ctl_parsed_t **lines, size_t n);
static int compare_numbers(const void *a, const void *b);
static int put_line(import_t *im, const ctl_parsed_t *parsed,
    exports_rc_t *rc, exports_error_t *error);
static int refuse(import_t *im, const ctl_parsed_t *parsed,
    const exports_error_t *error);
static int pause_stream(import_t *im);
static int commit(import_t *im);
static int confirm(import_t *im);
static int sync_last(import_t *im);
static void describe_committed(const import_t *im, char *text, size_t size);
static void describe_doubt(const import_t *im, char *text, size_t size);
static int give_up(import_t *im);
static int print_import(import_t *im);
static void progress_show(progress_t *p, const ctl_parsed_t *parsed,
    uint64_t size);
static void progress_clear(progress_t *p);
static double now(void);


int
ctl_import(const ctl_args_t *args)
{
    int       rc;
    char      text[128];
    import_t  im;

    memset(&im, 0, sizeof(import_t));

    im.args = args;
    im.tokens_only = args->command->bit == CTL_TOKEN_IMPORT;
    im.atomic = args->atomic || im.tokens_only;
    im.progress.terminal = isatty(STDERR_FILENO) && !args->stream;
    im.progress.started = now();
    im.progress.last = im.progress.started;

    im.held = ctl_held_make();

    if (im.held == NULL) {
        return CTL_FAILED;
    }

    /* before a named pipe is opened, which waits until somebody writes to it */

    describe_committed(&im, text, sizeof(text));
    ctl_last_words(text);
    ctl_interruptible();

    rc = ctl_store_open(&im.store, args, EXPORTS_ENV_WRITE);

    if (rc == CTL_OK) {
        rc = ctl_parser_start(&im.parser, args->operands[0], args->batch,
                              args->stream, im.tokens_only);
    }

    if (rc == CTL_OK) {
        rc = import(&im) == CTL_OK ? print_import(&im) : give_up(&im);
        ctl_parser_stop(im.parser);
    }

    ctl_store_close(&im.store);
    ctl_held_free(im.held);

    return rc;
}


/*
 * All lines of a batch are read before its transaction begins: the input may be
 * slow, and during a transaction nobody else can write.
 */

static int
import(import_t *im)
{
    int                  rc;
    const ctl_parsed_t  *parsed;

    do {

        /* waiting for input must end by a signal, even in a transaction */

        if (im->atomic) {
            ctl_release();
        }

        parsed = ctl_parser_next(im->parser);
        im->lines = parsed->number;
        im->bytes = parsed->bytes;
        ctl_step();

        /* before anything else, what is held back has to be put */

        rc = parsed->type == CTL_PARSED_LINE ? take_line(im, parsed)
                                             : put_held(im);
        if (rc != CTL_OK) {
            return rc;
        }

        switch (parsed->type) {

        case CTL_PARSED_LINE:
            break;

        case CTL_PARSED_BATCH:
            rc = im->atomic ? CTL_OK : commit(im);
            break;

        case CTL_PARSED_PAUSE:
            rc = pause_stream(im);
            break;

        case CTL_PARSED_END:
            rc = commit(im) == CTL_OK ? sync_last(im) : CTL_FAILED;
            break;

        case CTL_PARSED_REFUSED:
            rc = refuse(im, parsed, parsed->error);
            break;

        default:
            rc = ctl_parser_error(im->parser);
            break;
        }

    } while (rc == CTL_OK && parsed->type != CTL_PARSED_END);

    return rc;
}


static int
take_line(import_t *im, const ctl_parsed_t *parsed)
{
    if (parsed->number % PROGRESS_LINES == 0) {
        progress_show(&im->progress, parsed, ctl_parser_size(im->parser));
    }

    if (parsed->line_type == EXPORTS_LINE_MANIFEST) {

        if (ctl_held_pass(im->held, parsed)) {
            return put_in_turn(im, &parsed, 1);
        }

        if (ctl_held_add(im->held, parsed)) {
            return CTL_OK;
        }
    }

    if (put_held(im) != CTL_OK) {
        return CTL_FAILED;
    }

    /* a manifest can be held back now */

    return parsed->line_type == EXPORTS_LINE_MANIFEST
           && ctl_held_add(im->held, parsed)
               ? CTL_OK : put_in_turn(im, &parsed, 1);
}


/* those with a conflict are tried again when all others are put */

static int
put_held(import_t *im)
{
    size_t                i, n, late;
    exports_rc_t          rc;
    exports_error_t       error;
    const ctl_parsed_t  **lines;

    n = ctl_held_take(im->held, &lines);

    for (late = 0, i = 0; i < n; i++) {
        if (put_line(im, lines[i], &rc, &error) != CTL_OK) {
            return CTL_FAILED;
        }

        if (rc == EXPORTS_CONFLICT) {
            lines[late++] = lines[i];

        } else if (rc != EXPORTS_OK) {
            return refuse(im, lines[i], &error);
        }
    }

    qsort(lines, late, sizeof(void *), compare_numbers);

    return put_in_turn(im, lines, late);
}


/*
 * Puts lines in the order of their numbers; none of them may fail.  What was in
 * the way of a line that was held back may be gone when all lines before it are
 * put; and the first line that is still refused would also be refused in the
 * order of the file.  Lines after it have been put as well, but can make way
 * for it only if the SHA-256 of two IDs begin alike: then it is let in.
 */

static int
put_in_turn(import_t *im, const ctl_parsed_t **lines, size_t n)
{
    size_t           i;
    exports_rc_t     rc;
    exports_error_t  error;

    for (i = 0; i < n; i++) {
        if (put_line(im, lines[i], &rc, &error) != CTL_OK) {
            return CTL_FAILED;
        }

        if (rc != EXPORTS_OK) {
            return refuse(im, lines[i], &error);
        }
    }

    return CTL_OK;
}


static int
compare_numbers(const void *a, const void *b)
{
    const ctl_parsed_t  *x, *y;

    x = *(const ctl_parsed_t *const *) a;
    y = *(const ctl_parsed_t *const *) b;

    return (x->number > y->number) - (x->number < y->number);
}


/* *rc: what the put returned; CTL_FAILED: it could not be tried */

static int
put_line(import_t *im, const ctl_parsed_t *parsed, exports_rc_t *rc,
    exports_error_t *error)
{
    int  replaced;

    /* not while signals are held, for it may wait for other writers */

    if (im->store.writer == NULL && ctl_store_begin(&im->store) != CTL_OK) {
        return CTL_FAILED;
    }

    ctl_hold();

    if (ctl_interrupted()) {
        ctl_store_abort(&im->store);
        ctl_release();
    }

    if (parsed->line_type == EXPORTS_LINE_TOKEN) {
        *rc = exports_writer_put_token(im->store.writer, &parsed->line.token,
                                       error);
        im->tokens += (*rc == EXPORTS_OK);

        return CTL_OK;
    }

    *rc = exports_writer_put(im->store.writer, &parsed->line.manifest,
                             &replaced, error);

    if (*rc == EXPORTS_OK) {
        im->manifests++;
        im->replaced += (replaced != 0);
    }

    return CTL_OK;
}


static int
refuse(import_t *im, const ctl_parsed_t *parsed, const exports_error_t *error)
{
    progress_clear(&im->progress);

    return ctl_error("line %llu: %s", (unsigned long long) parsed->number,
                     error->text);
}


/* lines that came during the last commit share the next one, until they are a
   batch or more; what has not been read yet is not waited for */

static int
pause_stream(import_t *im)
{
    return ctl_parser_has_more(im->parser)
           && im->lines - im->committed < im->args->batch
           && im->bytes - im->committed_bytes < CTL_BATCH_TEXT
               ? CTL_OK : commit(im);
}


static int
commit(import_t *im)
{
    int   rc;
    char  text[128];

    ctl_hold();

    rc = CTL_OK;

    if (im->store.writer != NULL) {
        describe_doubt(im, text, sizeof(text));
        ctl_last_words(text);

        rc = ctl_store_commit(&im->store);

        if (!im->store.committed) {
            return rc;
        }

        im->commits++;
    }

    im->committed = im->lines;
    im->committed_bytes = im->bytes;

    describe_committed(im, text, sizeof(text));
    ctl_last_words(text);
    ctl_release();

    return rc == CTL_OK && im->args->stream ? confirm(im) : rc;
}


static int
confirm(import_t *im)
{
    int   rc;
    char  text[64];

    if (im->confirmed == im->committed) {
        return CTL_OK;
    }

    im->confirmed = im->committed;

    if (im->args->json) {
        rc = ctl_print_json(json_pack("{s:I}", "committed",
                                      (json_int_t) im->committed));
    } else {
        (void) snprintf(text, sizeof(text), "committed up to line %llu",
                        (unsigned long long) im->committed);
        rc = ctl_print_line(text);
    }

    return rc == CTL_OK ? ctl_flush() : rc;
}


/* with nometasync a commit is synced by the next one, but this is the last */

static int
sync_last(import_t *im)
{
    exports_error_t  error;

    return !im->args->nometasync
           || exports_env_sync(im->store.env, &error) == EXPORTS_OK
               ? CTL_OK : ctl_error("%s", error.text);
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


/* for a fault during the commit; the user's signals are held meanwhile */

static void
describe_doubt(const import_t *im, char *text, size_t size)
{
    (void) snprintf(text, size, "lines before %llu are committed, lines "
                    "%llu-%llu may be",
                    (unsigned long long) im->committed + 1,
                    (unsigned long long) im->committed + 1,
                    (unsigned long long) im->lines);
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
print_import(import_t *im)
{
    progress_clear(&im->progress);

    if (im->args->json) {
        return ctl_print_json(json_pack("{s:I, s:I, s:I, s:I, s:I}",
                                "lines", (json_int_t) im->lines,
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
progress_show(progress_t *p, const ctl_parsed_t *parsed, uint64_t size)
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
                   (unsigned long long) parsed->number,
                   (double) parsed->number / elapsed);

    if (size > 0) {
        part = (double) parsed->bytes / (double) size;

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
