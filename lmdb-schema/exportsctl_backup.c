
/*
 * A backup is made beside its place, verified, synced, and then gets its name:
 * so a directory of that name is a whole store, whenever the program ends.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exports_directory.h"
#include "exports_verify.h"
#include "exportsctl.h"


#define PATH_SIZE       4096

/* faults of the copy that are printed; further ones are only counted */
#define FAULTS_SHOWN    10


typedef struct {
    char      directory[PATH_SIZE];     /* its name in the end, */
    char      copy[PATH_SIZE];          /* and until it is whole */
    int       fd;                       /* of the directory */
    gid_t     group;
    mode_t    mode;                     /* of the store's directory */
    mode_t    data_mode;                /* of its data file */
    uint64_t  faults;
    uint64_t  bytes;
} backup_t;


static int name_paths(backup_t *b, const char *directory);
static int make_copy(backup_t *b, ctl_store_t *store);
static int take_modes(backup_t *b, const ctl_store_t *store);
static int make_directory(backup_t *b);
static int copy_data(backup_t *b, ctl_store_t *store, const char *path);
static int give_group(const backup_t *b, int fd, const char *path);
static int sync_directory(const backup_t *b, const char *path);
static int check_copy(backup_t *b, const ctl_args_t *args);
static void show_fault(void *data, const char *text);
static int sync_copy(const backup_t *b);
static int publish(const backup_t *b);
static int print_backup(const backup_t *b, const ctl_args_t *args);


int
ctl_backup(const ctl_args_t *args)
{
    int          rc;
    backup_t     b;
    ctl_store_t  store;

    memset(&b, 0, sizeof(backup_t));
    b.fd = -1;

    rc = name_paths(&b, args->operands[0]);
    if (rc != CTL_OK) {
        return rc;
    }

    rc = ctl_store_open(&store, args, 0);

    if (rc == CTL_OK) {
        ctl_interruptible();
        rc = make_copy(&b, &store);
    }

    ctl_store_close(&store);

    if (rc == CTL_OK) {
        rc = check_copy(&b, args);
    }

    if (rc == CTL_OK) {
        rc = sync_copy(&b);
    }

    if (rc == CTL_OK) {
        rc = publish(&b);
    }

    ctl_remove_doomed();

    if (b.fd != -1) {
        (void) close(b.fd);
    }

    return rc == CTL_OK ? print_backup(&b, args) : rc;
}


static int
name_paths(backup_t *b, const char *directory)
{
    size_t       len;
    struct stat  st;

    if (exports_directory_beside(b->copy, PATH_SIZE - 16, directory) == -1) {
        return ctl_error("\"%s\": %s", directory, strerror(errno));
    }

    len = strlen(b->copy) - (sizeof(EXPORTS_DIRECTORY_SUFFIX) - 1);
    (void) snprintf(b->directory, PATH_SIZE, "%.*s", (int) len, b->copy);

    if (lstat(b->directory, &st) == 0) {
        return ctl_error("\"%s\": %s", b->directory, strerror(EEXIST));
    }

    return CTL_OK;
}


static int
make_copy(backup_t *b, ctl_store_t *store)
{
    char  path[PATH_SIZE + 16];

    if (take_modes(b, store) != CTL_OK || make_directory(b) != CTL_OK) {
        return CTL_FAILED;
    }

    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_DATA_FILE, b->copy);

    if (copy_data(b, store, path) != CTL_OK) {
        return CTL_FAILED;
    }

    return CTL_OK;
}


/* those of the store, but the user who makes the copy can always access it */

static int
take_modes(backup_t *b, const ctl_store_t *store)
{
    char         path[PATH_SIZE + 16];
    const char  *directory;
    struct stat  st;

    directory = exports_env_path(store->env);

    if (stat(directory, &st) == -1) {
        return ctl_error("\"%s\": %s", directory, strerror(errno));
    }

    b->mode = (st.st_mode & 07777) | S_IRWXU;

    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_DATA_FILE, directory);

    if (stat(path, &st) == -1) {
        return ctl_error("\"%s\": %s", path, strerror(errno));
    }

    b->data_mode = (st.st_mode & 0777) | S_IRUSR | S_IWUSR;
    b->group = st.st_gid;

    return CTL_OK;
}


static int
make_directory(backup_t *b)
{
    int  rc;

    ctl_hold();

    if (mkdtemp(b->copy) == NULL) {
        ctl_release();
        return ctl_error("\"%s\": %s", b->directory, strerror(errno));
    }

    ctl_doom(b->copy);
    ctl_release();

    b->fd = open(b->copy, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (b->fd == -1) {
        return ctl_error("\"%s\": %s", b->copy, strerror(errno));
    }

    /* the mode last: a change of the group takes the setgid bit away */

    rc = give_group(b, b->fd, b->copy);

    if (rc == CTL_OK && fchmod(b->fd, b->mode) == -1) {
        rc = ctl_error("\"%s\": %s", b->copy, strerror(errno));
    }

    return rc;
}


static int
copy_data(backup_t *b, ctl_store_t *store, const char *path)
{
    int              fd, rc;
    struct stat      st;
    exports_error_t  error;

    fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600);

    if (fd == -1) {
        return ctl_error("\"%s\": %s", path, strerror(errno));
    }

    rc = give_group(b, fd, path);

    ctl_watch(NULL, fd);

    if (rc == CTL_OK
        && exports_env_copy(store->env, fd, &error) != EXPORTS_OK)
    {
        rc = ctl_error("%s", error.text);
    }

    ctl_watch(store->env, -1);

    if (rc == CTL_OK
        && (fchmod(fd, b->data_mode) == -1 || fsync(fd) == -1
            || fstat(fd, &st) == -1))
    {
        rc = ctl_error("\"%s\": %s", path, strerror(errno));
    }

    if (close(fd) == -1 && rc == CTL_OK) {
        rc = ctl_error("\"%s\": %s", path, strerror(errno));
    }

    if (rc == CTL_OK) {
        b->bytes = (uint64_t) st.st_size;
    }

    return rc;
}


static int
give_group(const backup_t *b, int fd, const char *path)
{
    struct stat  st;

    if (fstat(fd, &st) == 0 && st.st_gid == b->group) {
        return CTL_OK;
    }

    if (fchown(fd, (uid_t) -1, b->group) == 0) {
        return CTL_OK;
    }

    return ctl_error("\"%s\" cannot be given to group %u, that of the "
                     "store: %s", path, (unsigned) b->group, strerror(errno));
}


static int
sync_directory(const backup_t *b, const char *path)
{
    return exports_directory_sync(path, b->fd) == 0
               ? CTL_OK : ctl_error("\"%s\": %s", path, strerror(errno));
}


/* opens the copy like any reader, which also makes its lock file */

static int
check_copy(backup_t *b, const ctl_args_t *args)
{
    int               rc;
    ctl_args_t        copy;
    ctl_store_t       store;
    exports_error_t   error;
    exports_verify_t  result;

    copy = *args;
    copy.store = b->copy;

    rc = ctl_store_read(&store, &copy);

    if (rc == CTL_OK && !args->no_verify) {

        if (exports_verify(store.reader, &result, show_fault, b, &error)
            != EXPORTS_OK)
        {
            rc = ctl_error("%s", error.text);

        } else if (result.faults > 0) {
            rc = ctl_error("the copy has %llu fault%s, as the store may: "
                           "run \"exportsctl verify\", or give --no-verify",
                           (unsigned long long) result.faults,
                           CTL_S(result.faults));
        }
    }

    ctl_store_close(&store);

    return rc;
}


static void
show_fault(void *data, const char *text)
{
    backup_t  *b = data;

    if (b->faults++ < FAULTS_SHOWN) {
        ctl_message("%s", text);
    }
}


/* syncs the names and the mode of the lock file.  Nobody has the copy open now,
   whose locks closing that file would drop */

static int
sync_copy(const backup_t *b)
{
    int   fd, rc;
    char  path[PATH_SIZE + 16];

    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_LOCK_FILE, b->copy);

    fd = open(path, O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return ctl_error("\"%s\": %s", path, strerror(errno));
    }

    rc = fsync(fd) == -1 ? ctl_error("\"%s\": %s", path, strerror(errno))
                         : CTL_OK;
    (void) close(fd);

    return rc == CTL_OK ? sync_directory(b, b->copy) : rc;
}


static int
publish(const backup_t *b)
{
    int   rc;
    char  parent[PATH_SIZE + 4];

    (void) snprintf(parent, sizeof(parent), "%s/..", b->directory);

    ctl_hold();

    if (exports_directory_publish(b->copy, b->directory) == -1) {
        rc = ctl_error("\"%s\": %s", b->directory, strerror(errno));

    } else {
        ctl_doom(NULL);
        rc = CTL_OK;

        if (exports_directory_sync(parent, b->fd) == -1) {
            rc = ctl_error("\"%s\" is made and whole, but a power cut may take "
                           "it away, for its directory cannot be synced: %s",
                           b->directory, strerror(errno));
        }
    }

    ctl_release();

    return rc;
}


static int
print_backup(const backup_t *b, const ctl_args_t *args)
{
    char  shown[CTL_PATH_SHOWN];

    if (args->json) {
        return ctl_print_json(json_pack("{s:o, s:I, s:b}",
                                        "path", ctl_json_text(b->directory),
                                        "bytes", (json_int_t) b->bytes,
                                        "verified", !args->no_verify));
    }

    (void) printf("copied to \"%s\": %llu bytes%s\n",
                  ctl_printable(shown, sizeof(shown), b->directory,
                                strlen(b->directory)),
                  (unsigned long long) b->bytes,
                  args->no_verify ? "" : ", verified");

    return CTL_OK;
}
