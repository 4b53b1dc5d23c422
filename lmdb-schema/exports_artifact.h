
/*
 * exports_artifact.h: opening the file that a storage_key names.
 */

#ifndef EXPORTS_ARTIFACT_H
#define EXPORTS_ARTIFACT_H


/*
 * Opens a file beneath a directory: by openat2(2) with RESOLVE_BENEATH, which
 * follows symlinks as long as they stay beneath it; where the kernel lacks that
 * call, component by component, following none.  Neither an absolute key, nor
 * "..", nor a symlink ever leads out.
 *
 * root: a descriptor of the directory (O_PATH will do); flags: of open(2);
 * O_CLOEXEC is added and, unless O_PATH is given, O_NOCTTY, and O_NONBLOCK, so
 * that a FIFO does not block.  Returns a descriptor, which with O_PATH may be a
 * symlink's that was not followed; or -1 with errno: EXDEV when the key leads
 * out, ELOOP or ENOTDIR when it has a symlink that is not followed.
 */
int exports_artifact_open(int root, const char *key, int flags);


#endif /* EXPORTS_ARTIFACT_H */
