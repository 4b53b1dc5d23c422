
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exportsctl.h"


#define READ_SIZE    ((size_t) 1 << 20)

/* the longest line that is looked at, with its "\r\n" */
#define LONGEST      ((size_t) EXPORTS_JSON_MAX + 2)

/* after a batch the buffer has at most a part of a line and what was read last;
   before it there may be as much */
#define REST_SIZE    (LONGEST + READ_SIZE)
#define BUFFER_SIZE  (CTL_BATCH_TEXT + 2 * REST_SIZE)

#define PART_TEXT    ((size_t) 64 << 10)
#define PART_SIZE    (PART_TEXT + LONGEST + 1)


static void make_room(ctl_lines_t *lines);
static int has_input(const ctl_lines_t *lines);
static int read_more(ctl_lines_t *lines);


int
ctl_lines_open(ctl_lines_t *lines, const char *path)
{
    off_t        offset;
    struct stat  st;

    memset(lines, 0, sizeof(ctl_lines_t));

    lines->name = path;
    lines->fd = strcmp(path, "-") == 0
                    ? STDIN_FILENO
                    : open(path, O_RDONLY|O_CLOEXEC|O_NOCTTY);

    if (lines->fd == -1 || fstat(lines->fd, &st) == -1) {
        lines->err = errno;
        return ctl_lines_error(lines);
    }

    if (S_ISDIR(st.st_mode)) {
        lines->err = EISDIR;
        return ctl_lines_error(lines);
    }

    if (S_ISREG(st.st_mode)) {
        offset = lseek(lines->fd, 0, SEEK_CUR);

        if (offset >= 0 && offset < st.st_size) {
            lines->size = (uint64_t) (st.st_size - offset);
        }
    }

    lines->buf = malloc(BUFFER_SIZE);

    return lines->buf != NULL ? CTL_OK : ctl_error("out of memory");
}


void
ctl_lines_close(ctl_lines_t *lines)
{
    if (lines->fd > STDERR_FILENO) {
        (void) close(lines->fd);
    }

    lines->fd = -1;

    free(lines->buf);
    lines->buf = NULL;
}


int
ctl_lines_fill(ctl_lines_t *lines, uint64_t max, int stream)
{
    char      *newline;
    size_t     line, scanned;
    uint64_t   n;

    make_room(lines);

    lines->stop = lines->start;
    lines->paused = 0;
    line = lines->start;
    scanned = line;

    for (n = 0; n < max && line - lines->start < CTL_BATCH_TEXT; ) {

        newline = memchr(lines->buf + scanned, '\n', lines->end - scanned);

        if (newline != NULL) {
            line = (size_t) (newline + 1 - lines->buf);
            scanned = line;
            n++;
            continue;
        }

        scanned = lines->end;

        if (lines->eof || lines->end - line > LONGEST) {
            line = lines->end;
            break;
        }

        if (stream && n > 0 && !has_input(lines)) {
            lines->paused = 1;
            break;
        }

        if (read_more(lines) != CTL_OK) {
            return CTL_FAILED;
        }
    }

    lines->stop = line;

    return CTL_OK;
}


int
ctl_lines_next(ctl_lines_t *lines, const char **text, size_t *len)
{
    char    *p, *newline;
    size_t   n;

    if (lines->start == lines->stop) {
        return 0;
    }

    p = lines->buf + lines->start;
    n = lines->stop - lines->start;

    newline = memchr(p, '\n', n);

    if (newline != NULL) {
        n = (size_t) (newline - p);
        lines->start++;
        lines->bytes++;
    }

    lines->start += n;
    lines->bytes += n;
    lines->number++;

    if (n > 0 && p[n - 1] == '\r') {
        n--;
    }

    *text = p;
    *len = n;

    return 1;
}


void
ctl_lines_rest(ctl_lines_t *lines, const char **text, size_t *len)
{
    *text = lines->buf + lines->start;
    *len = lines->stop - lines->start;

    lines->start = lines->stop;
}


int
ctl_lines_part(ctl_lines_t *part)
{
    memset(part, 0, sizeof(ctl_lines_t));

    part->fd = -1;
    part->buf = malloc(PART_SIZE);

    return part->buf != NULL ? CTL_OK : CTL_FAILED;
}


void
ctl_lines_take(ctl_lines_t *lines, ctl_lines_t *part, unsigned max)
{
    size_t       start, len;
    unsigned     n;
    const char  *text;

    part->start = 0;
    part->number = lines->number;
    part->bytes = lines->bytes;

    start = lines->start;

    for (n = 0; n < max && lines->start - start < PART_TEXT; n++) {
        if (!ctl_lines_next(lines, &text, &len)) {
            break;
        }
    }

    part->stop = lines->start - start;

    if (part->stop > PART_SIZE) {
        part->stop = PART_SIZE;
    }

    memcpy(part->buf, lines->buf + start, part->stop);
}


int
ctl_lines_error(const ctl_lines_t *lines)
{
    return lines->fd == STDIN_FILENO
               ? ctl_error("standard input: %s", strerror(lines->err))
               : ctl_error("\"%s\": %s", lines->name, strerror(lines->err));
}


/* moves what is left to the front, but not again and again: batches may be of
   one line */

static void
make_room(ctl_lines_t *lines)
{
    size_t  rest;

    rest = lines->end - lines->start;

    if (lines->start >= rest) {
        memmove(lines->buf, lines->buf + lines->start, rest);
        lines->start = 0;
        lines->end = rest;
    }
}


/* whether a read would not have to wait; the end of the input counts, too */

static int
has_input(const ctl_lines_t *lines)
{
    struct pollfd  input;

    input.fd = lines->fd;
    input.events = POLLIN;

    return poll(&input, 1, 0) != 0;
}


static int
read_more(ctl_lines_t *lines)
{
    size_t   room;
    ssize_t  n;

    room = BUFFER_SIZE - lines->end;

    do {
        n = read(lines->fd, lines->buf + lines->end,
                 room < READ_SIZE ? room : READ_SIZE);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        lines->err = errno;
        return CTL_FAILED;
    }

    lines->end += (size_t) n;
    lines->eof = (n == 0);

    return CTL_OK;
}
