
/*
 * The files of a store, before LMDB opens them: it applies the umask, and a
 * lock file that the workers cannot write makes the store unreadable to them.
 */

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exports_private.h"


static exports_rc_t create_file(const char *path, mode_t mode, gid_t group,
    exports_error_t *error);


exports_rc_t
exports_identity(exports_identity_t *identity, const char *path,
    exports_error_t *error)
{
    int          n;
    char         file[4096];
    struct stat  st;

    n = snprintf(file, sizeof(file), "%s/" EXPORTS_DATA_FILE, path);

    if (n < 0 || (size_t) n >= sizeof(file)) {
        return exports_error(error, EXPORTS_FAILED, "\"%s\": path too long",
                             path);
    }

    if (stat(file, &st) == -1) {
        if (errno == EACCES) {
            return exports_files_denied(error, file, "reachable");
        }

        return exports_error(error,
                             errno == ENOENT || errno == ENOTDIR
                                 ? EXPORTS_MISSING : EXPORTS_FAILED,
                             "\"%s\": %s", file, strerror(errno));
    }

    identity->data_dev = st.st_dev;
    identity->data_ino = st.st_ino;

    (void) snprintf(file, sizeof(file), "%s/" EXPORTS_LOCK_FILE, path);

    if (stat(file, &st) == -1) {
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


exports_rc_t
exports_files_mkdir(const exports_env_options_t *options,
    exports_error_t *error)
{
    int  err;

    if ((options->flags & EXPORTS_ENV_CREATE) == 0) {
        return EXPORTS_OK;
    }

    if (mkdir(options->path, 0700) == -1) {

        if (errno == EEXIST) {
            return EXPORTS_OK;
        }

        if (errno == EACCES) {
            return exports_files_denied(error, options->path, "creatable");
        }

        return exports_error(error, EXPORTS_FAILED,
                             "\"%s\" cannot be created: %s", options->path,
                             strerror(errno));
    }

    if ((options->group != (gid_t) -1
         && chown(options->path, (uid_t) -1, options->group) == -1)
        || chmod(options->path, EXPORTS_DIRECTORY_MODE) == -1)
    {
        err = errno;
        (void) rmdir(options->path);

        return exports_error(error, EXPORTS_FAILED,
                             "the mode or group of \"%s\" cannot be set: %s",
                             options->path, strerror(err));
    }

    return EXPORTS_OK;
}


exports_rc_t
exports_files_create(const exports_env_options_t *options,
    const char *data_file, const char *lock_file, exports_error_t *error)
{
    gid_t         group;
    exports_rc_t  rc;
    struct stat   st;

    group = (options->flags & EXPORTS_ENV_CREATE) ? options->group
                                                  : (gid_t) -1;

    if (options->flags & EXPORTS_ENV_CREATE) {
        rc = create_file(data_file, EXPORTS_DATA_MODE, group, error);
        if (rc != EXPORTS_OK) {
            return rc;
        }

    } else if (stat(data_file, &st) == -1) {

        if (errno == EACCES) {
            return exports_files_denied(error, data_file, "reachable");
        }

        return exports_error(error, EXPORTS_MISSING, "\"%s\": %s", data_file,
                             strerror(errno));
    }

    if (options->flags & EXPORTS_ENV_IMMUTABLE) {
        return EXPORTS_OK;
    }

    return create_file(lock_file, EXPORTS_LOCK_MODE, group, error);
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


/* not by opening: to close the lock file would drop the process's locks */

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


static exports_rc_t
create_file(const char *path, mode_t mode, gid_t group, exports_error_t *error)
{
    int  fd, rc;

    fd = open(path, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, mode);

    if (fd == -1) {
        if (errno == EEXIST) {
            return EXPORTS_OK;
        }

        if (errno == EROFS) {
            return exports_error(error, EXPORTS_UNLOCKED,
                                 "\"%s\" cannot be created on a read-only "
                                 "file system: readers would be invisible to "
                                 "a writer elsewhere", path);
        }

        if (errno == EACCES) {
            return exports_files_denied(error, path, "creatable");
        }

        return exports_error(error, EXPORTS_FAILED,
                             "\"%s\" cannot be created: %s", path,
                             strerror(errno));
    }

    rc = 0;

    if (group != (gid_t) -1) {
        rc = fchown(fd, (uid_t) -1, group);
    }

    if (rc == 0) {
        rc = fchmod(fd, mode);
    }

    if (rc == -1) {
        rc = errno;
        (void) close(fd);
        (void) unlink(path);

        return exports_error(error, EXPORTS_FAILED,
                             "the mode or group of \"%s\" cannot be set: %s",
                             path, strerror(rc));
    }

    (void) close(fd);

    return EXPORTS_OK;
}
