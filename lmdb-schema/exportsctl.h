
/*
 * exportsctl.h: what the sources of the command share; not installed.
 *
 * The command sees the store only through the library's public headers.
 * Functions that can fail print why, to standard error, and return CTL_FAILED
 * or CTL_USAGE; so the caller has only to pass it on.
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
    char                **operands;     /* behind STORE */
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
 * Reads the options and operands of a command; argv[0] is its name.
 * operands: room for argc pointers.  CTL_OK or CTL_USAGE; with args->help or
 * args->version set nothing else was looked at.
 */
int ctl_options(ctl_args_t *args, const ctl_command_t *command, int argc,
    char **argv, char **operands);

/* prints the options that a command has, as the usage shows them */
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

/* "exportsctl: COMMAND: ..." with what is not printable escaped */
void ctl_message(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* the same, and returns CTL_FAILED */
int ctl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* the same, with a hint at the help, and returns CTL_USAGE */
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Copies text with control characters, and bytes that are not UTF-8, escaped
 * as \xNN; cuts it where buf is full.  Ends it with a zero; returns buf.
 */
char *ctl_printable(char *buf, size_t size, const char *text, size_t len);

/* room for any path in this form */
#define CTL_PATH_SHOWN  (4 * 4096 + 1)

/* writes a line to standard output; CTL_FAILED, silent: it cannot */
int ctl_print_line(const char *text);

/* the same of a JSON value, which it frees; NULL: out of memory */
int ctl_print_json(json_t *value);

/* a string of any bytes; what is not UTF-8 becomes U+FFFD */
json_t *ctl_json_text(const char *text);
json_t *ctl_json_time(uint64_t time);       /* 0: null */

/* CTL_FAILED when something written could not be */
int ctl_flush(void);

/* it could not: nothing need be read that is only to be printed */
int ctl_output_lost(void);

/* closes standard output; result, or CTL_FAILED when that failed */
int ctl_finish(int result);


/* exportsctl_lines.c: lines of a file, a batch at a time */

typedef struct {
    int          fd;
    const char  *name;          /* for messages */
    char        *buf;
    size_t       start;         /* of what was not handed out */
    size_t       stop;          /* of the batch */
    size_t       end;           /* of what was read */
    int          eof;
    uint64_t     number;        /* of the line handed out last, from 1 */
    uint64_t     bytes;         /* handed out in all */
    uint64_t     size;          /* of the input; 0: not known */
    int          err;           /* errno of a read that failed */
} ctl_lines_t;

/* path: "-" is standard input; close it even when this fails */
int ctl_lines_open(ctl_lines_t *lines, const char *path);
void ctl_lines_close(ctl_lines_t *lines);

/*
 * Reads the next batch: up to max lines, less when their text exceeds 64 MiB,
 * and no further than a line that is longer than any may be.  The one before
 * must have been handed out.  At the end of the input the batch is empty.
 * CTL_FAILED, silent: the input cannot be read.
 */
int ctl_lines_fill(ctl_lines_t *lines, uint64_t max);

/* says why it cannot, and returns CTL_FAILED */
int ctl_lines_error(const ctl_lines_t *lines);

/*
 * The next line of the batch without its end, "\n" or "\r\n"; good until the
 * next fill.  Returns 0 when there is none.
 */
int ctl_lines_next(ctl_lines_t *lines, const char **text, size_t *len);

/* all of the batch at once */
void ctl_lines_rest(ctl_lines_t *lines, const char **text, size_t *len);

/*
 * A part of a batch in memory of its own, to be handed out beside others: the
 * next lines, up to max, and about 64 KiB.  Of a line that is longer than any
 * may be only so much is copied that this can be seen.
 */
int ctl_lines_part(ctl_lines_t *part);      /* CTL_FAILED, silent: no memory */
void ctl_lines_take(ctl_lines_t *lines, ctl_lines_t *part, unsigned max);


/* exportsctl_parser.c: lines that threads of their own read and parse */

typedef enum {
    CTL_PARSED_LINE = 1,
    CTL_PARSED_BATCH,           /* the end of a batch */
    CTL_PARSED_END,             /* the end of the input */
    CTL_PARSED_REFUSED,         /* a line; why is in error; nothing follows */
    CTL_PARSED_FAILED           /* the input cannot be read; nothing follows */
} ctl_parsed_type_t;

typedef struct {
    ctl_parsed_type_t       type;
    exports_line_type_t     line_type;
    uint64_t                number;     /* of the line, or of the last one */
    uint64_t                bytes;      /* of the input up to it */
    size_t                  size;       /* up to the next */
    const exports_error_t  *error;
    exports_line_t          line;       /* not whole: only what is set in it */
} ctl_parsed_t;

typedef struct ctl_parser_s  ctl_parser_t;

/* lines that are blank are left out; batch: of ctl_lines_fill() */
int ctl_parser_start(ctl_parser_t **parser, const char *path, uint64_t batch,
    int tokens_only);

/* good until the next call; waits */
const ctl_parsed_t *ctl_parser_next(ctl_parser_t *parser);

/* to be called before the program exits; frees nothing */
void ctl_parser_stop(ctl_parser_t *parser);

uint64_t ctl_parser_size(const ctl_parser_t *parser);   /* 0: not known */
int ctl_parser_error(const ctl_parser_t *parser);       /* CTL_FAILED */


/*
 * exportsctl_held.c: manifests that are held back.  All have different IDs, so
 * that the order in which they are put does not matter.
 */
typedef struct ctl_held_s  ctl_held_t;

ctl_held_t *ctl_held_make(void);
void ctl_held_free(ctl_held_t *held);

/* 1: a line that holds a manifest need not be held back, for nothing is, and it
   comes behind the last that was not */
int ctl_held_pass(ctl_held_t *held, const ctl_parsed_t *parsed);

/* A line that holds a manifest; it is copied.  0: take what is held before, for
   there is no room, or one with that ID. */
int ctl_held_add(ctl_held_t *held, const ctl_parsed_t *parsed);

/* Their number, 0 too; *lines: in the order of their keys, good until the next
   is added.  Nothing is held then. */
size_t ctl_held_take(ctl_held_t *held, const ctl_parsed_t ***lines);


/*
 * exportsctl_arena.c: memory for jansson; where there is none, the program ends.
 * What a thread lets it allocate between begin and end must be freed by then: the
 * next begin takes the same.
 */
void ctl_arena_init(void);      /* before anything is allocated */
void ctl_arena_begin(void);
void ctl_arena_end(void);


/* exportsctl_signal.c */

/* says that the store is damaged where LMDB would die of it */
void ctl_guard(void);
void ctl_on_assert(const char *message);

/* what goes on while LMDB does: an open store's steps, and a file that is being
   written; NULL, -1: none */
void ctl_watch(const exports_env_t *env, int fd);

/*
 * From now on SIGINT, SIGTERM and SIGHUP end the program with a message:
 * at once, or while held when they are released.
 */
void ctl_interruptible(void);
void ctl_hold(void);
void ctl_release(void);
int ctl_interrupted(void);

/* around what waits for other writers: after a while it says so */
void ctl_wait(void);
void ctl_wait_end(void);

/* ends the program, from any thread */
void ctl_no_memory(void) __attribute__((noreturn));

/* what to add to the message when a signal ends the program; one line */
void ctl_last_words(const char *text);

/* a store that is to be removed however the program ends; NULL: none */
void ctl_doom(const char *directory);
void ctl_remove_doomed(void);


/* exportsctl_store.c: the store that a command works on */

typedef struct {
    exports_env_t     *env;
    exports_reader_t  *reader;      /* renewed */
    exports_writer_t  *writer;
    int                committed;   /* by the last commit, whatever it said */
} ctl_store_t;

int ctl_store_open(ctl_store_t *store, const ctl_args_t *args,
    unsigned flags);

/* the same, and makes it where there is none: exports_env_created() */
int ctl_store_make(ctl_store_t *store, const ctl_args_t *args);

/* the same, to read one snapshot; or to write, and begins */
int ctl_store_read(ctl_store_t *store, const ctl_args_t *args);
int ctl_store_write(ctl_store_t *store, const ctl_args_t *args);

int ctl_store_begin(ctl_store_t *store);
int ctl_store_commit(ctl_store_t *store);
void ctl_store_abort(ctl_store_t *store);

/* aborts what was begun; harmless when nothing was opened */
void ctl_store_close(ctl_store_t *store);


/* exportsctl_manifest.c */

/* a line: the manifest, of the scope that --project or --user names */
int ctl_print_manifest(const ctl_args_t *args,
    const exports_record_t *record);


/* exportsctl_each.c */

/* Changes what an ID names; the error's text begins with it. */
typedef exports_rc_t (*ctl_change_pt)(ctl_store_t *store,
    const ctl_args_t *args, const char *id, exports_error_t *error);

/*
 * Does it with each operand, in the transaction that was begun, and commits.
 * One that is not found does not keep the others; it fails all the same.
 * done, what: for the summary, such as "deleted" and "manifest".
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
    uint64_t         count;         /* of its manifests, as it is stored */
    uint64_t         met;           /* of them, by who walks them */
} ctl_scope_t;

typedef struct {
    uint64_t         only;          /* the ID of the one wanted; 0: all */
    int              damaged;       /* some were, and are left out */
    ctl_scope_t     *elts;
    size_t           nelts;
    size_t           size;
    char            *text;
    size_t           text_len;
    size_t           text_size;
} ctl_scopes_t;

/* all, or the one that --project or --user names; to be freed in any case */
int ctl_scopes_load(ctl_scopes_t *scopes, exports_reader_t *reader,
    const ctl_args_t *args);
void ctl_scopes_free(ctl_scopes_t *scopes);

/* NULL: not among them */
ctl_scope_t *ctl_scopes_find(const ctl_scopes_t *scopes, uint64_t id);

const char *ctl_scopes_name(const ctl_scopes_t *scopes,
    const ctl_scope_t *scope);


#endif /* EXPORTSCTL_H */
