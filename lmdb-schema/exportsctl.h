
/*
 * exportsctl.h: what the sources of the command share; not installed.
 *
 * The command uses only the library's public headers.  Functions that can fail
 * print the reason to standard error, and return CTL_FAILED or CTL_USAGE, which
 * the caller only has to pass on.  Those that print nothing say "silent".
 */

#ifndef EXPORTSCTL_H
#define EXPORTSCTL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "exports_codec.h"
#include "exports_env.h"
#include "exports_error.h"
#include "exports_manifest.h"
#include "exports_read.h"
#include "exports_schema.h"
#include "exports_text.h"
#include "exports_writer.h"


/* exit values */
#define CTL_OK       0
#define CTL_FAILED   1
#define CTL_USAGE    2

/* in messages and summaries */
#define CTL_S(n)     ((n) == 1 ? "" : "s")

/* rounds up, so that anything may follow so many bytes; the size of max_align_t
   need not be a power of two */
#define CTL_ALIGNED(n)  (((n) + _Alignof(max_align_t) - 1)                    \
                         & ~(_Alignof(max_align_t) - 1))


/* the commands as bits, for the table of options */

#define CTL_TOP           0x0001        /* no command: exportsctl --help */
#define CTL_INIT          0x0002
#define CTL_IMPORT        0x0004
#define CTL_PUT           0x0008
#define CTL_GET           0x0010
#define CTL_LIST          0x0020
#define CTL_DELETE        0x0040
#define CTL_EXPORT        0x0080
#define CTL_TOKEN_CREATE  0x0100
#define CTL_TOKEN_IMPORT  0x0200
#define CTL_TOKEN_LIST    0x0400
#define CTL_TOKEN_REVOKE  0x0800
#define CTL_STAT          0x1000
#define CTL_VERIFY        0x2000
#define CTL_BACKUP        0x4000
#define CTL_SWEEP         0x8000


typedef struct ctl_args_s  ctl_args_t;

typedef enum {
    CTL_SCOPE_NONE = 0,
    CTL_SCOPE_OPTIONAL,         /* --project or --user */
    CTL_SCOPE_REQUIRED
} ctl_scope_need_t;

#define CTL_BY_PROJECT    0x01          /* --project */
#define CTL_BY_USER       0x02          /* --user */

typedef struct {
    const char        *name;            /* one word or two */
    unsigned           bit;             /* CTL_INIT, ... */
    ctl_scope_need_t   scope;
    int                min;             /* operands, STORE included */
    int                max;             /* -1: any number */
    const char        *operands;        /* as the usage shows them */
    const char        *summary;         /* a sentence, no period */
    int              (*run)(const ctl_args_t *args);
} ctl_command_t;

struct ctl_args_s {
    const ctl_command_t  *command;
    const char           *store;
    char                **operands;     /* after STORE */
    int                   noperands;

    const char           *scope;        /* NULL: neither was given */
    size_t                scope_len;
    exports_kind_t        kind;
    unsigned              scopes;       /* CTL_BY_*: those that were given */

    int                   admin;
    int                   atomic;
    int                   dry_run;
    int                   help;
    int                   json;
    int                   nometasync;
    int                   no_verify;
    int                   repair;
    int                   stream;
    int                   tokens;
    int                   version;

    uint64_t              batch;
    uint64_t              limit;        /* 0: none */
    size_t                map_size;     /* 0: the library's */
    uint64_t              expires;      /* 0: never */
    const char           *root;         /* NULL: not given */
    gid_t                 group;        /* (gid_t) -1: not given */
    const uint8_t        *lineage;      /* NULL: not given */
    uint8_t               lineage_bytes[EXPORTS_LINEAGE_LEN];
    const char           *status_text;  /* NULL: any */
    unsigned              status;
    unsigned              ntables;
    const char           *tables[EXPORTS_TOKEN_TABLES_MAX];
};


/* exportsctl_options.c */

/*
 * Reads the options and operands of a command; argv[0] is its name.  operands:
 * room for argc pointers.  CTL_OK or CTL_USAGE.  If args->help or args->version
 * is set, nothing after it was looked at.
 */
int ctl_options(ctl_args_t *args, const ctl_command_t *command, int argc,
    char **argv, char **operands);

/* prints the options of a command, as its usage shows them */
void ctl_options_help(unsigned command);


/* the commands; each returns an exit value */

int ctl_init(const ctl_args_t *args);
int ctl_stat(const ctl_args_t *args);
int ctl_verify(const ctl_args_t *args);
int ctl_backup(const ctl_args_t *args);
int ctl_import(const ctl_args_t *args);
int ctl_put(const ctl_args_t *args);
int ctl_get(const ctl_args_t *args);
int ctl_delete(const ctl_args_t *args);
int ctl_list(const ctl_args_t *args);
int ctl_export(const ctl_args_t *args);
int ctl_sweep(const ctl_args_t *args);
int ctl_token_create(const ctl_args_t *args);
int ctl_token_list(const ctl_args_t *args);
int ctl_token_revoke(const ctl_args_t *args);


/* exportsctl_io.c: messages and output */

void ctl_set_name(const char *command);
const char *ctl_name(void);

/* prints "exportsctl: COMMAND: ...", with unprintable characters escaped */
void ctl_message(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* the same, and returns CTL_FAILED */
int ctl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* the same, adds a hint at --help, and returns CTL_USAGE */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Copies text with control characters, and bytes that are not UTF-8, escaped
 * as \xNN; cuts it where buf is full.  Ends it with a zero; returns buf.
 */
char *ctl_printable(char *buf, size_t size, const char *text, size_t len);

/* room for any path as ctl_printable() shows it */
#define CTL_PATH_SHOWN  (4 * 4096 + 1)

/* prints a line to standard output; CTL_FAILED, silent: that fails */
int ctl_print_line(const char *text);

/* the same for a JSON value, which it frees; value NULL: out of memory */
int ctl_print_json(json_t *value);

/* a string of any bytes; what is not UTF-8 becomes U+FFFD */
json_t *ctl_json_text(const char *text);
json_t *ctl_json_time(uint64_t time);       /* 0: null */

/* CTL_FAILED, silent: something could not be written to standard output */
int ctl_flush(void);

/* 1: that has happened; what would only be printed need not be read */
int ctl_output_lost(void);

/* closes standard output; returns the result, or CTL_FAILED if that fails */
int ctl_finish(int result);


/* exportsctl_lines.c: lines of a file, a batch at a time */

/* a batch ends with the line that makes its text so long */
#define CTL_BATCH_TEXT  ((size_t) 64 << 20)

typedef struct {
    int          fd;
    const char  *name;          /* for messages */
    char        *buf;
    size_t       start;         /* of what has not been handed out */
    size_t       stop;          /* end of the batch */
    size_t       end;           /* of what has been read */
    int          eof;
    int          paused;        /* the batch ended where the input paused */
    uint64_t     number;        /* of the line handed out last, from 1 */
    uint64_t     bytes;         /* handed out in all */
    uint64_t     size;          /* of the input; 0: unknown */
    int          err;           /* errno of a read that failed */
} ctl_lines_t;

/* path "-": standard input.  To be closed even if this fails. */
int ctl_lines_open(ctl_lines_t *lines, const char *path);
void ctl_lines_close(ctl_lines_t *lines);

/*
 * Reads the next batch: up to max lines, less if their text exceeds 64 MiB, and
 * no further than a line that is longer than lines may be.  stream: nor further
 * than what has come, if that is a line at least.  The batch before must have
 * been handed out.  At the end of the input the batch is empty.
 * CTL_FAILED, silent: the input cannot be read.
 */
int ctl_lines_fill(ctl_lines_t *lines, uint64_t max, int stream);

/* prints why the input cannot be read, and returns CTL_FAILED */
int ctl_lines_error(const ctl_lines_t *lines);

/*
 * The next line of the batch without its end, "\n" or "\r\n"; valid until the
 * next fill.  Returns 0 if there is none.
 */
int ctl_lines_next(ctl_lines_t *lines, const char **text, size_t *len);

/* the rest of the batch at once */
void ctl_lines_rest(ctl_lines_t *lines, const char **text, size_t *len);

/*
 * A part of a batch in memory of its own, for a thread to read while others
 * read theirs.  ctl_lines_take() copies the next lines, up to max, or about
 * 64 KiB; of a line that is too long just enough to tell that it is.
 */
int ctl_lines_part(ctl_lines_t *part);      /* CTL_FAILED, silent: no memory */
void ctl_lines_take(ctl_lines_t *lines, ctl_lines_t *part, unsigned max);


/* exportsctl_parser.c: lines that threads of their own read and parse */

typedef enum {
    CTL_PARSED_LINE = 1,
    CTL_PARSED_BATCH,           /* the end of a batch */
    CTL_PARSED_PAUSE,           /* the same: no more input had come */
    CTL_PARSED_END,             /* the end of the input */
    CTL_PARSED_REFUSED,         /* a bad line: see error; nothing follows */
    CTL_PARSED_FAILED           /* the input cannot be read; nothing follows */
} ctl_parsed_type_t;

typedef struct {
    ctl_parsed_type_t       type;
    exports_line_type_t     line_type;
    uint64_t                number;     /* of the line, or of the last one */
    uint64_t                bytes;      /* of the input up to it */
    size_t                  size;       /* of this struct: see line */
    const exports_error_t  *error;
    exports_line_t          line;       /* cut off after what is set in it */
} ctl_parsed_t;

typedef struct ctl_parser_s  ctl_parser_t;

/* Starts the threads.  Blank lines are left out.  batch: lines of a batch;
   stream: less, if the input pauses. */
int ctl_parser_start(ctl_parser_t **parser, const char *path, uint64_t batch,
    int stream, int tokens_only);

/* waits for the next line or event; it is valid until the next call */
const ctl_parsed_t *ctl_parser_next(ctl_parser_t *parser);

/* after the end of a batch: whether lines of the next one have been read */
int ctl_parser_has_more(ctl_parser_t *parser);

/* halts the threads, before the program exits; frees nothing */
void ctl_parser_stop(ctl_parser_t *parser);

uint64_t ctl_parser_size(const ctl_parser_t *parser);   /* 0: not known */
int ctl_parser_error(const ctl_parser_t *parser);       /* CTL_FAILED */


/*
 * exportsctl_held.c: manifests that are held back, to be put in the order of
 * their keys.  They have different IDs, so that their order does not matter.
 */
typedef struct ctl_held_s  ctl_held_t;

ctl_held_t *ctl_held_make(void);
void ctl_held_free(ctl_held_t *held);

/* 1: a manifest need not be held back, for it comes after the last one that was
   not, in the order of keys, and no others are held */
int ctl_held_pass(ctl_held_t *held, const ctl_parsed_t *parsed);

/* Copies a manifest, to hold it back.  0: there is no room, or one with that ID
   is held; take those first. */
int ctl_held_add(ctl_held_t *held, const ctl_parsed_t *parsed);

/* Takes out all that are held, and returns their number.  *lines: in the order
   of their keys; valid until the next is added. */
size_t ctl_held_take(ctl_held_t *held, const ctl_parsed_t ***lines);


/*
 * exportsctl_arena.c: memory for jansson; if there is none, the program ends.
 * What a thread makes jansson allocate between begin and end must be freed
 * before the end, for the next begin uses that memory again.
 */
void ctl_arena_init(void);      /* before anything is allocated */
void ctl_arena_begin(void);
void ctl_arena_end(void);


/* exportsctl_guard.c */

/* From now on the program ends with a message that the store is damaged, when
   LMDB faults or loops; ctl_on_assert() is for its assertions. */
void ctl_guard(void);
void ctl_on_assert(const char *message);

/* What shows that LMDB does not loop: the steps of an open store, or the growth
   of a file that is being written; NULL, -1: none. */
void ctl_watch(const exports_env_t *env, int fd);

/* So does this: a step of the command's own, which may be busy for long without
   the store. */
void ctl_step(void);


/* exportsctl_signal.c */

/* sets a handler, unless the signal is ignored: nohup */
void ctl_signal(int signo, void (*handler)(int signo), int flags);

/*
 * From now on SIGINT, SIGTERM and SIGHUP end the program with a message: at
 * once or, between ctl_hold() and ctl_release(), at the latter.
 */
void ctl_interruptible(void);
void ctl_hold(void);
void ctl_release(void);
int ctl_interrupted(void);

/* around what may wait for another writer: after a while it says so */
void ctl_wait(void);
void ctl_wait_end(void);

/* end the program with a message, from any thread and any handler */
void ctl_die(const char *text) __attribute__((noreturn));
void ctl_no_memory(void) __attribute__((noreturn));

/* a line to print after the message when a signal ends the program */
void ctl_last_words(const char *text);

/* what ends the output then, which must have been flushed; NULL: nothing */
void ctl_last_output(const char *text);

/* a store that is removed if the program ends before its time; NULL: none */
void ctl_doom(const char *directory);
void ctl_remove_doomed(void);


/* exportsctl_store.c: the store that a command works on */

typedef struct {
    exports_env_t     *env;
    exports_reader_t  *reader;      /* renewed */
    exports_writer_t  *writer;
    int                committed;   /* the last commit was made, even if it
                                       returned CTL_FAILED */
} ctl_store_t;

int ctl_store_open(ctl_store_t *store, const ctl_args_t *args,
    unsigned flags);

/* the same, and makes the store if there is none: exports_env_created() */
int ctl_store_make(ctl_store_t *store, const ctl_args_t *args);

/* open it, and begin to read a snapshot; or to write */
int ctl_store_read(ctl_store_t *store, const ctl_args_t *args);
int ctl_store_write(ctl_store_t *store, const ctl_args_t *args);

int ctl_store_begin(ctl_store_t *store);
int ctl_store_commit(ctl_store_t *store);
void ctl_store_abort(ctl_store_t *store);

/* aborts what was begun; harmless if nothing was opened */
void ctl_store_close(ctl_store_t *store);


/* exportsctl_manifest.c */

/* prints a manifest of the scope that --project or --user names, as a line */
int ctl_print_manifest(const ctl_args_t *args,
    const exports_record_t *record);


/* exportsctl_each.c */

/* changes what an ID names; the text of an error begins with the ID */
typedef exports_rc_t (*ctl_change_pt)(ctl_store_t *store,
    const ctl_args_t *args, const char *id, exports_error_t *error);

/*
 * Changes what each operand names, in the transaction that was begun, and
 * commits.  If one is not found the others are changed all the same, but
 * CTL_FAILED is returned.  done, what: for the summary, such as "deleted" and
 * "manifest".
 */
int ctl_change_each(ctl_store_t *store, const ctl_args_t *args,
    ctl_change_pt change, const char *done, const char *what);


/* exportsctl_scope.c */

/* finds the scope that --project or --user names */
int ctl_scope_find(exports_reader_t *reader, const ctl_args_t *args,
    exports_scope_t *scope);


/* the names of scopes, to be found by their IDs */

typedef struct {
    uint64_t         id;
    exports_kind_t   kind;
    size_t           pos;           /* of the name in the text of all */
    size_t           len;
    uint64_t         count;         /* of its manifests, as stored */
    uint64_t         met;           /* manifests met so far, by export */
} ctl_scope_t;

typedef struct {
    uint64_t         only;          /* the ID of the one wanted; 0: all */
    int              damaged;       /* some could not be read, and are left
                                       out */
    ctl_scope_t     *elts;
    size_t           nelts;
    size_t           size;
    char            *text;
    size_t           text_len;
    size_t           text_size;
} ctl_scopes_t;

/* loads all, or the one that --project or --user names; to be freed even if
   this fails */
int ctl_scopes_load(ctl_scopes_t *scopes, exports_reader_t *reader,
    const ctl_args_t *args);
void ctl_scopes_free(ctl_scopes_t *scopes);

/* NULL: not among them */
ctl_scope_t *ctl_scopes_find(const ctl_scopes_t *scopes, uint64_t id);

const char *ctl_scopes_name(const ctl_scopes_t *scopes,
    const ctl_scope_t *scope);


#endif /* EXPORTSCTL_H */
