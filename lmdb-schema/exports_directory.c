
#define _GNU_SOURCE             /* renameat2(), syncfs() */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exports_directory.h"


int
exports_directory_beside(char *name, size_t size, const char *path)
{
    int     n;
    size_t  len;

    for (len = strlen(path); len > 1 && path[len - 1] == '/'; len--) {
        /* void */
    }

    if (len == 0) {
        errno = ENOENT;
        return -1;
    }

    n = len < size ? snprintf(name, size, "%.*s" EXPORTS_DIRECTORY_SUFFIX,
                              (int) len, path)
                   : -1;

    if (n < 0 || (size_t) n >= size) {
        errno = ENAMETOOLONG;
        return -1;
    }

    return 0;
}


/* plain rename() would replace an empty directory */

int
exports_directory_publish(const char *from, const char *to)
{
    int  rc;

    rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);

    /* the file system or the kernel does not support the flag */

    return rc == -1 && (errno == EINVAL || errno == ENOSYS) ? rename(from, to)
                                                            : rc;
}


int
exports_directory_sync(const char *path, int fd)
{
    int  directory, rc, err;

    directory = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (directory == -1) {
        return errno == EACCES ? syncfs(fd) : -1;
    }

    rc = fsync(directory);
    err = errno;
    (void) close(directory);
    errno = err;

    /* some file systems do not sync directories */

    return rc == -1 && err == EINVAL ? syncfs(fd) : rc;
}
