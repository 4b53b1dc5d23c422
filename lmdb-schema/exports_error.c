
#include <stdarg.h>
#include <stdio.h>

#include "exports_error.h"


exports_rc_t
exports_error(exports_error_t *error, exports_rc_t rc, const char *fmt, ...)
{
    char     *p;
    va_list   args;

    if (error != NULL) {
        error->rc = rc;

        va_start(args, fmt);
        (void) vsnprintf(error->text, sizeof(error->text), fmt, args);
        va_end(args);

        /* a key or a path may have any character, a newline, too */

        for (p = error->text; *p != '\0'; p++) {
            if ((unsigned char) *p < 0x20 || *p == 0x7f) {
                *p = '?';
            }
        }
    }

    return rc;
}


const char *
exports_strerror(exports_rc_t rc)
{
    switch (rc) {

    case EXPORTS_OK:
        return "success";

    case EXPORTS_NOT_FOUND:
        return "not found";

    case EXPORTS_INVALID:
        return "not acceptable";

    case EXPORTS_CONFLICT:
        return "conflicts with what is stored";

    case EXPORTS_CORRUPT:
        return "the store is corrupt";

    case EXPORTS_MISSING:
        return "there is no store";

    case EXPORTS_FORMAT:
        return "not a store of a known format";

    case EXPORTS_DENIED:
        return "permission denied";

    case EXPORTS_UNLOCKED:
        return "readers cannot be registered";

    case EXPORTS_STALE:
        return "the store was replaced or is no longer usable";

    case EXPORTS_BUSY:
        return "no free reader slot";

    case EXPORTS_FULL:
        return "the map is full";

    case EXPORTS_COMMITTED:
        return "committed, but the file is not whole";

    case EXPORTS_NOMEM:
        return "out of memory";

    case EXPORTS_FAILED:
        break;
    }

    return "failed";
}
