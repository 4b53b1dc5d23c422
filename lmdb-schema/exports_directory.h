
/*
 * exports_directory.h: directories that appear whole, or not at all.
 */

#ifndef EXPORTS_DIRECTORY_H
#define EXPORTS_DIRECTORY_H

#include <stddef.h>


#define EXPORTS_DIRECTORY_SUFFIX  ".tmp.XXXXXX"

/*
 * A template for mkdtemp(): the path, whatever slashes it ends with, and the
 * suffix.  Returns 0, or -1 and errno: ENOENT for an empty path, ENAMETOOLONG.
 */
int exports_directory_beside(char *name, size_t size, const char *path);

/*
 * Gives a directory its name, where there is nothing of that name, not even an
 * empty directory.  Returns 0, or -1 and errno: EEXIST if there is.
 */
int exports_directory_publish(const char *from, const char *to);

/*
 * Its entries survive a power cut.  Where it may be searched, but not read, all
 * of the file system is synced, which fd is on.  Returns 0, or -1 and errno.
 */
int exports_directory_sync(const char *path, int fd);


#endif /* EXPORTS_DIRECTORY_H */
