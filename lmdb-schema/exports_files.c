
/*
 * Makes the files of a store before LMDB opens them.  LMDB would apply the
 * umask, and a lock file that nginx's workers cannot write to makes the store
 * unreadable to them.
 */

#define _GNU_SOURCE             /* fallocate(), statx() */

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exports_directory.h"
#include "exports_private.h"


#define PATH_SIZE       4096

/* a header of two cache lines, and a line for each slot */
#define LOCK_SIZE       (128 + 64 * EXPORTS_READERS_MAX)

/* the least room to go on with: the header and the first 62 slots */
#define LOCK_LEAST      4096

/* the unit of st_blocks, whatever the blocks of the file system */
#define STAT_BLOCK      512


static exports_rc_t make_directory(const exports_env_options_t *options,
    const char *made, exports_error_t *error);
static exports_rc_t create_file(const char *path, mode_t mode, gid_t group,
    int begun, int sync, exports_error_t *error);
static int open_new(const char *path, mode_t mode, int begun, int *made);
static exports_rc_t not_created(const char *path, exports_error_t *error);
static int give(int fd, mode_t mode, gid_t group);
static int sync_modes(int fd);
static exports_rc_t reserve(const char *lock_file, exports_error_t *error);


exports_rc_t
exports_identity(exports_identity_t *identity, const char *path,
    exports_error_t *error)
{
    int          n;
    char         file[PATH_SIZE];
    struct stat  st;

    n = snprintf(file, sizeof(file), "%s/" EXPORTS_DATA_FILE, path);

    if (n < 0 || (size_t) n >= sizeof(file)) {
        return exports_error(error, EXPORTS_FAILED, "\"%s\": path too long",
                             path);
    }

    if (stat(file, &st) == -1) {
        return exports_files_unreachable(file, error);
    }

    identity->data_dev = st.st_dev;
    identity->data_ino = st.st_ino;

    (void) snprintf(file, sizeof(file), "%s/" EXPORTS_LOCK_FILE, path);

    if (stat(file, &st) == -1) {
        if (errno != ENOENT) {
            return exports_files_unreachable(file, error);
        }

        st.st_dev = 0;
        st.st_ino = 0;
    }

    identity->lock_dev = st.st_dev;
    identity->lock_ino = st.st_ino;

    return EXPORTS_OK;
}


int
exports_identity_equal(const exports_identity_t *a,
    const exports_identity_t *b)
{
    return a->data_ino == b->data_ino && a->data_dev == b->data_dev
           && a->lock_ino == b->lock_ino && a->lock_dev == b->lock_dev;
}


uint64_t
exports_identity_born(const char *path)
{
#if defined(STATX_BTIME)

    int            n;
    char           file[PATH_SIZE];
    struct statx   st;

    n = snprintf(file, sizeof(file), "%s/" EXPORTS_DATA_FILE, path);

    if (n > 0 && (size_t) n < sizeof(file)
        && statx(AT_FDCWD, file, 0, STATX_BTIME, &st) == 0
        && (st.stx_mask & STATX_BTIME))
    {
        return (uint64_t) st.stx_btime.tv_sec * 1000000000
               + st.stx_btime.tv_nsec;
    }

#else
    (void) path;
#endif

    return 0;
}


/* the directory appears with its mode and group, or not at all, whenever the
   process is killed */

exports_rc_t
exports_files_mkdir(const exports_env_options_t *options,
    exports_error_t *error)
{
    char          made[PATH_SIZE];
    exports_rc_t  rc;
    struct stat   st;

    if ((options->flags & EXPORTS_ENV_CREATE) == 0
        || lstat(options->path, &st) == 0)
    {
        return EXPORTS_OK;
    }

    if (exports_directory_beside(made, sizeof(made), options->path) == -1
        || mkdtemp(made) == NULL)
    {
        return not_created(options->path, error);
    }

    rc = make_directory(options, made, error);

    if (rc == EXPORTS_OK) {
        if (exports_directory_publish(made, options->path) == 0) {
            return EXPORTS_OK;
        }

        /* another process may have been first */

        if (errno != EEXIST && errno != ENOTEMPTY) {
            rc = not_created(options->path, error);
        }
    }

    (void) rmdir(made);

    return rc;
}


static exports_rc_t
make_directory(const exports_env_options_t *options, const char *made,
    exports_error_t *error)
{
    int  fd, rc;

    fd = open(made, O_RDONLY|O_DIRECTORY|O_NOFOLLOW|O_CLOEXEC);

    rc = fd == -1 ? errno
                  : give(fd, EXPORTS_DIRECTORY_MODE, options->group);

    if (rc == 0) {
        rc = sync_modes(fd);
    }

    if (fd != -1) {
        (void) close(fd);
    }

    return rc == 0 ? EXPORTS_OK
                   : exports_error(error, EXPORTS_FAILED,
                                   "the mode or group of \"%s\" cannot be "
                                   "set: %s", options->path, strerror(rc));
}


exports_rc_t
exports_files_create(const exports_env_options_t *options,
    const char *data_file, const char *lock_file, exports_error_t *error)
{
    int           begun, create;
    gid_t         group;
    exports_rc_t  rc;
    struct stat   st;

    /* an earlier call may have been killed between two of these steps */

    begun = exports_files_new(data_file, options);

    create = (options->flags & EXPORTS_ENV_CREATE) != 0;
    group = create ? options->group : (gid_t) -1;

    if (create) {
        rc = create_file(data_file, EXPORTS_DATA_MODE, group, begun, 1, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }

    } else if (stat(data_file, &st) == -1) {
        return exports_files_unreachable(data_file, error);
    }

    if (options->flags & EXPORTS_ENV_IMMUTABLE) {
        return EXPORTS_OK;
    }

    /* a lock file that was left behind has to get its mode, too */

    begun = exports_files_new(data_file, options);

    rc = create_file(lock_file, EXPORTS_LOCK_MODE, group, begun, create,
                     error);

    return rc == EXPORTS_OK ? reserve(lock_file, error) : rc;
}


int
exports_files_allocate(int fd, int mode, off_t offset, off_t len)
{
    int  rc;

    do {
        rc = fallocate(fd, mode, offset, len);
    } while (rc == -1 && errno == EINTR);

    return rc == 0 || errno == EOPNOTSUPP || errno == ENOSYS ? 0 : errno;
}


int
exports_files_new(const char *data_file, const exports_env_options_t *options)
{
    struct stat  st;

    return (options->flags & EXPORTS_ENV_CREATE)
           && stat(data_file, &st) == 0
           && S_ISREG(st.st_mode) && st.st_size == 0;
}


exports_rc_t
exports_files_denied(exports_error_t *error, const char *path,
    const char *access)
{
    char            modes[32], buf[1024];
    struct stat     st;
    struct passwd   entry, *pw;

    modes[0] = '\0';

    if (stat(path, &st) == 0) {
        (void) snprintf(modes, sizeof(modes), ", is %04o %u:%u",
                        (unsigned) st.st_mode & 07777, (unsigned) st.st_uid,
                        (unsigned) st.st_gid);
    }

    pw = NULL;
    (void) getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &pw);

    return exports_error(error, EXPORTS_DENIED,
                         "\"%s\" must be %s by user \"%s\" (%u:%u)%s: "
                         "permission denied", path, access,
                         pw != NULL ? pw->pw_name : "?", (unsigned) geteuid(),
                         (unsigned) getegid(), modes);
}


exports_rc_t
exports_files_unreachable(const char *path, exports_error_t *error)
{
    exports_rc_t  rc;

    switch (errno) {

    case EACCES:
        return exports_files_denied(error, path, "reachable");

    case ENOENT:
    case ENOTDIR:
        rc = EXPORTS_MISSING;
        break;

    /* this says nothing about the file */

    case ENOMEM:
        rc = EXPORTS_NOMEM;
        break;

    default:
        rc = EXPORTS_FAILED;
    }

    return exports_error(error, rc, "\"%s\": %s", path, strerror(errno));
}


exports_rc_t
exports_files_access(const char *file, int mode, exports_error_t *error)
{
    if (faccessat(AT_FDCWD, file, mode, AT_EACCESS) == 0) {
        return EXPORTS_OK;
    }

    if (errno == EACCES) {
        return exports_files_denied(error, file,
                                    (mode & W_OK) ? "readable and writable"
                                                  : "readable");
    }

    if (errno == EROFS) {
        return exports_error(error, EXPORTS_UNLOCKED,
                             "\"%s\" is on a read-only file system: readers "
                             "would be invisible to a writer elsewhere", file);
    }

    return exports_error(error, EXPORTS_FAILED, "\"%s\": %s", file,
                         strerror(errno));
}


/*
 * begun: a file that is there already gets its mode and group, too.  sync: they
 * are to survive a power cut; a reader does not ask for it, for it would have
 * to wait for the disk.
 */

static exports_rc_t
create_file(const char *path, mode_t mode, gid_t group, int begun, int sync,
    exports_error_t *error)
{
    int  fd, rc, made;

    fd = open_new(path, mode, begun, &made);

    if (fd == -1 && errno == EROFS) {
        return exports_error(error, EXPORTS_UNLOCKED,
                             "\"%s\" cannot be created on a read-only "
                             "file system: readers would be invisible to "
                             "a writer elsewhere", path);
    }

    if (fd == -1) {
        return errno == EEXIST ? EXPORTS_OK : not_created(path, error);
    }

    rc = give(fd, mode, group);

    if (rc == 0 && sync) {
        rc = sync_modes(fd);
    }

    (void) close(fd);

    if (rc == 0) {
        return EXPORTS_OK;
    }

    if (made) {
        (void) unlink(path);
    }

    return exports_error(error, EXPORTS_FAILED,
                         "the mode or group of \"%s\" cannot be set: %s",
                         path, strerror(rc));
}


/* -1 and EEXIST: the file is there, and left as it is */

static int
open_new(const char *path, mode_t mode, int begun, int *made)
{
    int          fd;
    struct stat  st;

    fd = open(path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, mode);
    *made = fd != -1;

    if (fd == -1 && errno == EEXIST && begun) {
        fd = open(path, O_RDONLY|O_NONBLOCK|O_NOFOLLOW|O_CLOEXEC|O_NOCTTY);

        /* nor a link that somebody has made to a file elsewhere */

        if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)
                         || st.st_nlink != 1))
        {
            (void) close(fd);
            fd = -1;
        }

        if (fd == -1) {
            errno = EEXIST;
        }
    }

    return fd;
}


static exports_rc_t
not_created(const char *path, exports_error_t *error)
{
    return errno == EACCES
               ? exports_files_denied(error, path, "creatable")
               : exports_error(error, EXPORTS_FAILED,
                               "\"%s\" cannot be created: %s", path,
                               strerror(errno));
}


/* The mode last, for a change of the group clears the setgid bit.  Returns 0
   or errno. */

static int
give(int fd, mode_t mode, gid_t group)
{
    struct stat  st;

    if (fstat(fd, &st) == -1
        || (group != (gid_t) -1 && st.st_gid != group
            && fchown(fd, (uid_t) -1, group) == -1))
    {
        return errno;
    }

    return fstat(fd, &st) == -1
           || ((st.st_mode & 07777) != mode && fchmod(fd, mode) == -1)
               ? errno : 0;
}


/* LMDB syncs only data and sizes.  Returns 0 or errno. */

static int
sync_modes(int fd)
{
    /* some file systems do not sync directories */

    return fsync(fd) == -1 && errno != EINVAL ? errno : 0;
}


/*
 * LMDB writes to a map of the lock file: on a full disk the first reader whose
 * slot is in a hole would get a SIGBUS.  Opening and closing the file drops the
 * locks that this process may have on it by another environment, so it is done
 * only if there are holes.  The length is left to LMDB; a file that somebody
 * has made longer gets no more room than ours.
 */

static exports_rc_t
reserve(const char *lock_file, exports_error_t *error)
{
    int          fd, rc;
    struct stat  st;

    if (stat(lock_file, &st) == -1 || !S_ISREG(st.st_mode)
        || st.st_blocks * STAT_BLOCK >= LOCK_SIZE)
    {
        return EXPORTS_OK;
    }

    fd = open(lock_file, O_RDWR|O_NONBLOCK|O_CLOEXEC|O_NOCTTY);

    /* exports_files_access() reports what may not be opened */

    if (fd == -1) {
        return EXPORTS_OK;
    }

    rc = exports_files_allocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOCK_SIZE);

    if (rc != 0) {
        rc = exports_files_allocate(fd, FALLOC_FL_KEEP_SIZE, 0, LOCK_LEAST);
    }

    (void) close(fd);

    return rc == 0
               ? EXPORTS_OK
               : exports_error(error, EXPORTS_FAILED,
                               "there is no room for \"%s\": %s", lock_file,
                               strerror(rc));
}
