
/*
 * fuzz.h: what all fuzz targets share.
 *
 * A target is a program of one LLVMFuzzerTestOneInput(), which aborts when what
 * it holds of every input does not hold of this one.  libFuzzer calls it with
 * inputs of its own making, replay.c with those of a corpus.
 */

#ifndef FUZZ_H
#define FUZZ_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


/* what every input must hold to */
#define must(cond, ...)                                                       \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fuzz_fail(__FILE__, __LINE__, #cond, __VA_ARGS__);                \
        }                                                                     \
    } while (0)


int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* an input, taken bit by bit; behind its end there are zeroes */

typedef struct {
    const uint8_t  *pos;
    const uint8_t  *end;
} fuzz_input_t;


__attribute__((format(printf, 4, 5), noreturn))
static inline void
fuzz_fail(const char *file, int line, const char *cond, const char *fmt, ...)
{
    va_list  args;

    (void) fprintf(stderr, "%s:%d: fuzz: not so: %s\n  ", file, line, cond);

    va_start(args, fmt);
    (void) vfprintf(stderr, fmt, args);
    va_end(args);

    (void) fputc('\n', stderr);
    abort();
}


static inline unsigned
fuzz_byte(fuzz_input_t *in)
{
    return in->pos < in->end ? *in->pos++ : 0;
}


static inline uint64_t
fuzz_number(fuzz_input_t *in, unsigned bytes)
{
    uint64_t  n;

    for (n = 0; bytes > 0; bytes--) {
        n = n << 8 | fuzz_byte(in);
    }

    return n;
}


/* up to a byte, which is dropped, or to the end */

static inline const uint8_t *
fuzz_until(fuzz_input_t *in, int stop, size_t *len)
{
    const uint8_t  *start, *end;

    start = in->pos;
    end = start < in->end
              ? memchr(start, stop, (size_t) (in->end - start)) : NULL;

    if (end == NULL) {
        *len = (size_t) (in->end - start);
        in->pos = in->end;
        return start;
    }

    *len = (size_t) (end - start);
    in->pos = end + 1;

    return start;
}


/* a copy that ends where it ends, to be freed */

static inline void *
fuzz_copy(const void *data, size_t len)
{
    void  *p;

    p = calloc(1, len > 0 ? len : 1);
    must(p != NULL, "out of memory");

    if (len > 0) {
        memcpy(p, data, len);
    }

    return p;
}


/* by the RFC's table of well-formed byte sequences, one byte at a time */

static inline int
fuzz_utf8(const void *data, size_t len)
{
    size_t          i, n;
    uint32_t        c;
    const uint8_t  *p = data;

    for (i = 0; i < len; i += n) {
        c = p[i];
        n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if ((c >= 0x80 && c < 0xc0) || c > 0xf7 || n > len - i) {
            return 0;
        }

        if (n == 1) {
            continue;
        }

        c &= 0x7fU >> n;

        for (size_t k = 1; k < n; k++) {
            if ((p[i + k] & 0xc0) != 0x80) {
                return 0;
            }

            c = c << 6 | (p[i + k] & 0x3f);
        }

        if (c < (n == 2 ? 0x80U : n == 3 ? 0x800U : 0x10000U)
            || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        {
            return 0;
        }
    }

    return 1;
}


#endif /* FUZZ_H */
