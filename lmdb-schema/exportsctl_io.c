
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_time.h"
#include "exportsctl.h"


#define MESSAGE_MAX  2048


static void message(const char *fmt, va_list args);
static size_t shown_length(const char *text, size_t len);


static const char  *command_name;
static int          output_errno;


void
ctl_set_name(const char *command)
{
    command_name = command;
}


const char *
ctl_name(void)
{
    return command_name;
}


void
ctl_message(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    message(fmt, args);
    va_end(args);
}


int
ctl_error(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    message(fmt, args);
    va_end(args);

    return CTL_FAILED;
}


int
ctl_usage(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    message(fmt, args);
    va_end(args);

    (void) fprintf(stderr, "Try 'exportsctl%s%s --help'.\n",
                   command_name != NULL ? " " : "",
                   command_name != NULL ? command_name : "");

    return CTL_USAGE;
}


/* by one write, so that messages of several processes are not mixed */

static void
message(const char *fmt, va_list args)
{
    int   n;
    char  text[MESSAGE_MAX], line[64 + 4 * MESSAGE_MAX];

    (void) vsnprintf(text, sizeof(text), fmt, args);

    n = command_name != NULL
            ? snprintf(line, 64, "exportsctl: %s: ", command_name)
            : snprintf(line, 64, "exportsctl: ");

    (void) ctl_printable(line + n, sizeof(line) - (size_t) n - 1, text,
                         strlen(text));
    (void) ctl_flush();
    (void) fprintf(stderr, "%s\n", line);
}


char *
ctl_printable(char *buf, size_t size, const char *text, size_t len)
{
    char               *p;
    size_t              n;
    static const char   digits[] = "0123456789abcdef";

    for (p = buf; len > 0; text += n, len -= n) {

        n = shown_length(text, len);

        if ((size_t) (buf + size - p) <= (n != 0 ? n : 4)) {
            break;
        }

        if (n != 0) {
            memcpy(p, text, n);
            p += n;
            continue;
        }

        *p++ = '\\';
        *p++ = 'x';
        *p++ = digits[(unsigned char) *text >> 4];
        *p++ = digits[(unsigned char) *text & 0x0f];
        n = 1;
    }

    *p = '\0';

    return buf;
}


int
ctl_print_line(const char *text)
{
    if (fputs(text, stdout) == EOF || putc('\n', stdout) == EOF) {
        output_errno = errno;
        return CTL_FAILED;
    }

    return CTL_OK;
}


int
ctl_print_json(json_t *value)
{
    int    rc;
    char  *text;

    text = value != NULL ? json_dumps(value, JSON_COMPACT|JSON_ENCODE_ANY)
                         : NULL;
    json_decref(value);

    if (text == NULL) {
        return ctl_error("out of memory");
    }

    rc = ctl_print_line(text);
    free(text);

    return rc;
}


json_t *
ctl_json_text(const char *text)
{
    char    *copy, *p;
    size_t   n, len;
    json_t  *value;

    value = json_string(text);

    if (value != NULL) {
        return value;
    }

    len = strlen(text);

    copy = malloc(3 * len + 1);
    if (copy == NULL) {
        return NULL;
    }

    for (p = copy; len > 0; text += n, len -= n) {

        n = exports_utf8_length(text, len);

        if (n != 0) {
            memcpy(p, text, n);
            p += n;

        } else {
            memcpy(p, "\xef\xbf\xbd", 3);
            p += 3;
            n = 1;
        }
    }

    value = json_stringn(copy, (size_t) (p - copy));
    free(copy);

    return value;
}


json_t *
ctl_json_time(uint64_t time)
{
    char  text[EXPORTS_TIME_TEXT_MAX];

    return time == 0 ? json_null()
                     : json_stringn(text, exports_time_format(text, time));
}


int
ctl_flush(void)
{
    if (fflush(stdout) != 0 && output_errno == 0) {
        output_errno = errno;
    }

    return ctl_output_lost() ? CTL_FAILED : CTL_OK;
}


int
ctl_output_lost(void)
{
    return output_errno != 0 || ferror(stdout);
}


int
ctl_finish(int result)
{
    int  failed;

    failed = ctl_flush();

    if (fclose(stdout) != 0 && output_errno == 0) {
        failed = CTL_FAILED;
        output_errno = errno;
    }

    if (failed) {
        return ctl_error("standard output: %s",
                         output_errno != 0 ? strerror(output_errno)
                                           : "write error");
    }

    return result;
}


/* the length of a printable character; 0: it is a control, or not UTF-8 */

static size_t
shown_length(const char *text, size_t len)
{
    size_t                n;
    const unsigned char  *p;

    p = (const unsigned char *) text;
    n = exports_utf8_length(text, len);

    if ((n == 1 && (p[0] < 0x20 || p[0] == 0x7f))
        || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0))
    {
        return 0;
    }

    return n;
}
