
/*
 * tap.h: a test program that prints TAP, the Test Anything Protocol.
 *
 * Each assertion prints one line; a failed one is explained on stderr with its
 * place.  Loops of thousands of checks print one line for all: check() is
 * silent while it holds, checked() prints the line.  A program ends with
 * "return done_testing();".  Children of fork() say nothing and leave by
 * _exit().
 */

#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* failed checks of one loop that are shown */
#define TAP_SHOWN  5

typedef struct {
    unsigned       run;
    unsigned       failed;
    unsigned       planned;
    unsigned long  checks;      /* since the last checked() */
    unsigned long  bad;
    unsigned long  seed;        /* of random tests, said when one fails */
} tap_t;

static tap_t  tap;


#define ok(cond, ...)                                                        \
    tap_ok((cond) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)

#define is_int(got, want, ...)                                               \
    tap_is_int((long long) (got), (long long) (want), __FILE__, __LINE__,    \
               __VA_ARGS__)

/* strings that end with a zero; NULL is equal to NULL */
#define is_str(got, want, ...)                                               \
    tap_is_str(got, want, __FILE__, __LINE__, __VA_ARGS__)

#define is_mem(got, got_len, want, want_len, ...)                            \
    tap_is_mem(got, got_len, want, want_len, __FILE__, __LINE__, __VA_ARGS__)

/* got contains the text */
#define has_str(got, text, ...)                                              \
    tap_has_str(got, text, __FILE__, __LINE__, __VA_ARGS__)

#define pass(...)  tap_ok(1, __FILE__, __LINE__, __VA_ARGS__)
#define fail(...)  tap_ok(0, __FILE__, __LINE__, __VA_ARGS__)

/* one of many checks: returns what it was, shows the text when it failed */
#define check(cond, ...)                                                     \
    (tap.checks++, (cond) ? 1                                                \
                          : tap_unchecked(__FILE__, __LINE__, __VA_ARGS__))

/* the line for all checks since the last one */
#define checked(...)  tap_checked(__FILE__, __LINE__, __VA_ARGS__)

/* what the rest of the program cannot do without */
#define must(cond, ...)                                                      \
    do {                                                                     \
        if (!(cond)) {                                                       \
            tap_bail(__FILE__, __LINE__, __VA_ARGS__);                       \
        }                                                                    \
    } while (0)


static inline void
diag(const char *fmt, ...)
{
    va_list  args;

    (void) fflush(stdout);
    (void) fputs("# ", stderr);

    va_start(args, fmt);
    (void) vfprintf(stderr, fmt, args);
    va_end(args);

    (void) fputc('\n', stderr);
}


static inline void
note(const char *fmt, ...)
{
    va_list  args;

    (void) fputs("# ", stdout);

    va_start(args, fmt);
    (void) vprintf(fmt, args);
    va_end(args);

    (void) putchar('\n');
    (void) fflush(stdout);
}


/* without a plan done_testing() prints one */

static inline void
plan(unsigned n)
{
    tap.planned = n;
    (void) printf("1..%u\n", n);
    (void) fflush(stdout);
}


static inline const char *
tap_basename(const char *file)
{
    const char  *slash;

    slash = strrchr(file, '/');

    return slash != NULL ? slash + 1 : file;
}


static inline int
tap_line(int good, const char *file, int line, const char *fmt, va_list args)
{
    char  name[512];

    (void) vsnprintf(name, sizeof(name), fmt, args);
    (void) printf("%sok %u - %s\n", good ? "" : "not ", ++tap.run, name);
    (void) fflush(stdout);

    if (!good) {
        tap.failed++;
        diag("failed: %s", name);
        diag("at %s:%d", tap_basename(file), line);
    }

    return good;
}


__attribute__((format(printf, 4, 5)))
static inline int
tap_ok(int good, const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    good = tap_line(good, file, line, fmt, args);
    va_end(args);

    return good;
}


__attribute__((format(printf, 5, 6)))
static inline int
tap_is_int(long long got, long long want, const char *file, int line,
    const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) tap_line(got == want, file, line, fmt, args);
    va_end(args);

    if (got != want) {
        diag("got %lld, not %lld", got, want);
    }

    return got == want;
}


__attribute__((format(printf, 5, 6)))
static inline int
tap_is_str(const char *got, const char *want, const char *file, int line,
    const char *fmt, ...)
{
    int      good;
    va_list  args;

    good = got == want
           || (got != NULL && want != NULL && strcmp(got, want) == 0);

    va_start(args, fmt);
    (void) tap_line(good, file, line, fmt, args);
    va_end(args);

    if (!good) {
        diag("got  \"%s\"", got != NULL ? got : "(null)");
        diag("want \"%s\"", want != NULL ? want : "(null)");
    }

    return good;
}


__attribute__((format(printf, 5, 6)))
static inline int
tap_has_str(const char *got, const char *text, const char *file, int line,
    const char *fmt, ...)
{
    int      good;
    va_list  args;

    good = got != NULL && strstr(got, text) != NULL;

    va_start(args, fmt);
    (void) tap_line(good, file, line, fmt, args);
    va_end(args);

    if (!good) {
        diag("got  \"%s\"", got != NULL ? got : "(null)");
        diag("that has no \"%s\"", text);
    }

    return good;
}


static inline void
tap_dump(const char *what, const unsigned char *p, size_t len)
{
    char    text[3 * 64 + 1];
    size_t  i;

    text[0] = '\0';

    for (i = 0; i < len && i < 64; i++) {
        (void) snprintf(text + 3 * i, 4, " %02x", p[i]);
    }

    diag("%s, %zu bytes:%s%s", what, len, text, len > i ? " ..." : "");
}


__attribute__((format(printf, 7, 8)))
static inline int
tap_is_mem(const void *got, size_t got_len, const void *want, size_t want_len,
    const char *file, int line, const char *fmt, ...)
{
    int                   good;
    size_t                i;
    va_list               args;
    const unsigned char  *a = got, *b = want;

    good = got_len == want_len && (got_len == 0 || memcmp(a, b, got_len) == 0);

    va_start(args, fmt);
    (void) tap_line(good, file, line, fmt, args);
    va_end(args);

    if (!good) {
        for (i = 0; i < got_len && i < want_len && a[i] == b[i]; i++) {
            /* void */
        }

        diag("they differ at byte %zu", i);
        tap_dump("got ", a, got_len);
        tap_dump("want", b, want_len);
    }

    return good;
}


__attribute__((format(printf, 3, 4)))
static inline int
tap_unchecked(const char *file, int line, const char *fmt, ...)
{
    char     text[512];
    va_list  args;

    if (++tap.bad <= TAP_SHOWN) {
        va_start(args, fmt);
        (void) vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);

        diag("check %lu at %s:%d: %s", tap.checks, tap_basename(file), line,
             text);
    }

    return 0;
}


__attribute__((format(printf, 3, 4)))
static inline int
tap_checked(const char *file, int line, const char *fmt, ...)
{
    int      good;
    char     name[512];
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(name, sizeof(name), fmt, args);
    va_end(args);

    good = tap_ok(tap.bad == 0 && tap.checks > 0, file, line,
                  "%s (%lu checks)", name, tap.checks);

    if (!good) {
        diag("%lu of %lu checks failed", tap.bad, tap.checks);
    }

    tap.checks = 0;
    tap.bad = 0;

    return good;
}


__attribute__((format(printf, 3, 4), noreturn))
static inline void
tap_bail(const char *file, int line, const char *fmt, ...)
{
    va_list  args;

    (void) fputs("Bail out! ", stdout);

    va_start(args, fmt);
    (void) vprintf(fmt, args);
    va_end(args);

    (void) printf(" (%s:%d)\n", tap_basename(file), line);
    (void) fflush(stdout);

    exit(255);
}


/* what main() returns */

static inline int
done_testing(void)
{
    if (tap.checks > 0) {
        (void) checked("checks that nobody asked for");
    }

    if (tap.failed > 0 && tap.seed != 0) {
        (void) fprintf(stderr, "# EXPORTS_TEST_SEED=%lu\n", tap.seed);
    }

    if (tap.planned == 0) {
        (void) printf("1..%u\n", tap.run);

    } else if (tap.planned != tap.run) {
        diag("planned %u tests but ran %u", tap.planned, tap.run);
        tap.failed++;
    }

    (void) fflush(stdout);

    return tap.failed == 0 && tap.run > 0 ? 0 : 1;
}


#endif /* TAP_H */
