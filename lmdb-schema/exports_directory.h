
/*
 * exports_directory.h: directories that appear whole, or not at all.
 */

#ifndef EXPORTS_DIRECTORY_H
#define EXPORTS_DIRECTORY_H

#include <stddef.h>


#define EXPORTS_DIRECTORY_SUFFIX  ".tmp.XXXXXX"

/*
 * Makes a template for mkdtemp(): the path, without slashes at its end, and the
 * suffix.  Returns 0, or -1 and errno: ENOENT for an empty path, ENAMETOOLONG.
 */
int exports_directory_beside(char *name, size_t size, const char *path);

/*
 * Renames a directory, unless something has the new name already, be it an
 * empty directory (which a file system without RENAME_NOREPLACE replaces).
 * Returns 0, or -1 and errno: EEXIST or ENOTEMPTY.
 */
int exports_directory_publish(const char *from, const char *to);

/*
 * Makes the entries of a directory survive a power cut.  If the user may not
 * read it, or it cannot be synced by itself, the whole file system that fd is
 * on is synced.  Returns 0, or -1 and errno.
 */
int exports_directory_sync(const char *path, int fd);


#endif /* EXPORTS_DIRECTORY_H */
