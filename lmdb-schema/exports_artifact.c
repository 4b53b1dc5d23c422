
#define _GNU_SOURCE             /* O_PATH */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(SYS_openat2)
#include <linux/openat2.h>
#endif

#include "exports_artifact.h"


/* openat2() fails with EAGAIN when something is renamed meanwhile */
#define ATTEMPTS  8

#define NAME_LEN_MAX  255


#if defined(SYS_openat2)
static int open_beneath(int root, const char *key, int flags);
#endif
static int open_steps(int root, const char *key, int flags);


int
exports_artifact_open(int root, const char *key, int flags)
{
    /* openat2() refuses flags that have no meaning with O_PATH */

    flags |= O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK|O_NOCTTY);

#if defined(SYS_openat2)
    {
        int         fd;
        static int  lacking;

        if (!lacking) {
            fd = open_beneath(root, key, flags);

            /* an old kernel, or a sandbox that does not know the call */

            if (fd != -1 || (errno != ENOSYS && errno != EPERM)) {
                return fd;
            }

            lacking = (errno == ENOSYS);
        }
    }
#endif

    return open_steps(root, key, flags);
}


#if defined(SYS_openat2)

static int
open_beneath(int root, const char *key, int flags)
{
    int              fd, i;
    struct open_how  how;

    memset(&how, 0, sizeof(struct open_how));
    how.flags = (unsigned) flags;
    how.resolve = RESOLVE_BENEATH|RESOLVE_NO_MAGICLINKS;

    i = 0;

    do {
        fd = (int) syscall(SYS_openat2, root, key, &how, sizeof(how));
    } while (fd == -1 && (errno == EAGAIN || errno == EINTR)
             && ++i < ATTEMPTS);

    return fd;
}

#endif


static int
open_steps(int root, const char *key, int flags)
{
    int          fd, next, err;
    char         name[NAME_LEN_MAX + 1];
    size_t       len;
    const char  *p, *end;

    fd = dup(root);

    for (p = key; fd != -1; p = end + 1) {

        end = strchrnul(p, '/');
        len = (size_t) (end - p);

        if (len == 0 && p != key && *end == '/') {
            continue;
        }

        if (len == 0 || len > NAME_LEN_MAX || (len == 2 && p[0] == '.'
                                               && p[1] == '.'))
        {
            err = len > NAME_LEN_MAX ? ENAMETOOLONG
                  : p == key && *end == '/' ? EXDEV
                  : len == 2 ? EXDEV : ENOENT;
            (void) close(fd);
            errno = err;
            return -1;
        }

        memcpy(name, p, len);
        name[len] = '\0';

        next = openat(fd, name,
                      O_NOFOLLOW | (*end == '\0' ? flags
                                    : O_PATH|O_DIRECTORY|O_CLOEXEC));
        err = errno;
        (void) close(fd);
        errno = err;

        if (next == -1 || *end == '\0') {
            return next;
        }

        fd = next;
    }

    return -1;
}
