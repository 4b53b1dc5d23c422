
/*
 * exports_error.h: return codes of the store library, and the sentence that
 * goes with one.
 *
 * Functions of the library that can fail in several ways return an
 * exports_rc_t.  Those that take an exports_error_t fill it when they return
 * something else than EXPORTS_OK, otherwise its contents mean nothing; it may
 * be NULL.  Small functions that can fail in one way only return 0 or -1.
 */

#ifndef EXPORTS_ERROR_H
#define EXPORTS_ERROR_H


typedef enum {
    EXPORTS_OK = 0,
    EXPORTS_NOT_FOUND,      /* no such record, scope or token */
    EXPORTS_INVALID,        /* an argument or an input is not acceptable */
    EXPORTS_CONFLICT,       /* contradicts what is stored */
    EXPORTS_CORRUPT,        /* stored bytes fail their checks */
    EXPORTS_MISSING,        /* there is no store at the path (yet) */
    EXPORTS_FORMAT,         /* not a store, or of a format not known here */
    EXPORTS_DENIED,         /* a file's permissions do not suffice */
    EXPORTS_UNLOCKED,       /* readers cannot be registered (read-only fs) */
    EXPORTS_STALE,          /* replaced on disk, or no longer usable: reopen */
    EXPORTS_BUSY,           /* no free reader slot */
    EXPORTS_FULL,           /* the map is full */
    EXPORTS_COMMITTED,      /* the commit was made, but something is wrong with
                               the file: the text says what */
    EXPORTS_NOMEM,          /* out of memory */
    EXPORTS_FAILED          /* anything else; the text says what */
} exports_rc_t;

#define EXPORTS_ERROR_TEXT  768

typedef struct {
    exports_rc_t  rc;
    char          text[EXPORTS_ERROR_TEXT];     /* one line, no period */
} exports_error_t;


/*
 * Sets *error (when not NULL) and returns rc, so that a failing function can
 * say "return exports_error(error, EXPORTS_INVALID, ...)".
 */
exports_rc_t exports_error(exports_error_t *error, exports_rc_t rc,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* what a code means, in a few words of lower case; never NULL */
const char *exports_strerror(exports_rc_t rc);


#endif /* EXPORTS_ERROR_H */
