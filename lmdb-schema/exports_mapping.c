
/*
 * Where the mapping of a file begins, as the kernel tells: LMDB does not say,
 * and the numbers in pages may be wrong.  Without stdio, for a read may be left
 * by longjmp() at any time.
 */

#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

#include "exports_tree.h"


typedef struct {
    int      fd;
    size_t   pos;
    size_t   len;
    char     buf[4096];
} input_t;


static int next_char(input_t *in);
static uintptr_t read_hex(input_t *in, char end, int *ended);


/* proc(5): a line is "begin-end modes offset device inode path" */

const uint8_t *
exports_mapping(const uint8_t *p)
{
    int         fd, ended;
    input_t     in;
    uintptr_t   begin, end, offset, base;

    fd = open("/proc/self/maps", O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return NULL;
    }

    in.fd = fd;
    in.pos = 0;
    in.len = 0;
    ended = 0;
    base = 0;

    while (!ended && base == 0) {
        begin = read_hex(&in, '-', &ended);
        end = read_hex(&in, ' ', &ended);
        (void) read_hex(&in, ' ', &ended);
        offset = read_hex(&in, ' ', &ended);
        (void) read_hex(&in, '\n', &ended);

        if (!ended && (uintptr_t) p >= begin && (uintptr_t) p < end
            && begin >= offset)
        {
            base = begin - offset;
        }
    }

    (void) close(fd);

    return base != 0 ? p - ((uintptr_t) p - base) : NULL;
}


/* reads up to the character "end"; also skips what is not a number */

static uintptr_t
read_hex(input_t *in, char end, int *ended)
{
    int        c;
    uintptr_t  number;

    for (number = 0; (c = next_char(in)) != end; /* void */ ) {

        if (c == -1) {
            *ended = 1;
            return 0;
        }

        number = number << 4
                 | (uintptr_t) (c >= 'a' && c <= 'f' ? c - 'a' + 10
                                                     : c - '0');
    }

    return number;
}


static int
next_char(input_t *in)
{
    ssize_t  n;

    if (in->pos == in->len) {
        n = read(in->fd, in->buf, sizeof(in->buf));

        if (n <= 0) {
            return -1;
        }

        in->pos = 0;
        in->len = (size_t) n;
    }

    return (unsigned char) in->buf[in->pos++];
}
