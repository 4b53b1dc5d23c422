
/*
 * Checks a data file before LMDB opens it, for LMDB trusts what it finds: a
 * page size of zero makes a SIGFPE, a file shorter than its last page a SIGBUS
 * at some later read, and a FIFO lets it wait for ever.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exports_mdb_layout.h"
#include "exports_private.h"


/* a meta page may be read in the middle of a writer's pwrite(): try again */
#define ATTEMPTS        16


static const char  empty[] = "is empty";
static const char  truncated[] = "is shorter than its meta pages say";


static const char *check_file(int fd);
static const char *read_meta(int fd, unsigned n, meta_page_t *metas);
static const char *check_commit(const meta_page_t *meta, uint64_t file_size);


exports_rc_t
exports_probe(const char *data_file, exports_error_t *error)
{
    int          fd, i;
    const char  *fault;

    fd = open(data_file, O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_NOCTTY);

    if (fd == -1) {
        return exports_error(error,
                             errno == ENOENT || errno == ENOTDIR
                                 ? EXPORTS_MISSING : EXPORTS_FAILED,
                             "\"%s\" cannot be opened: %s", data_file,
                             strerror(errno));
    }

    fault = NULL;

    for (i = 0; i < ATTEMPTS; i++) {
        fault = check_file(fd);

        if (fault == NULL || fault == truncated) {
            break;
        }
    }

    (void) close(fd);

    if (fault != NULL) {
        return exports_error(error,
                             fault == empty ? EXPORTS_MISSING
                             : fault == truncated ? EXPORTS_CORRUPT
                             : EXPORTS_FORMAT,
                             "\"%s\" %s", data_file, fault);
    }

    return EXPORTS_OK;
}


static const char *
check_file(int fd)
{
    const char   *fault;
    meta_page_t   metas[2];
    struct stat   st;

    if (fstat(fd, &st) == -1) {
        return "cannot be examined";
    }

    if (!S_ISREG(st.st_mode)) {
        return "is not a regular file";
    }

    if (st.st_size == 0) {
        return empty;
    }

    fault = read_meta(fd, 0, metas);

    if (fault == NULL) {
        fault = read_meta(fd, 1, metas);
    }

    if (fault != NULL) {
        return fault;
    }

    /*
     * Only the meta page of the last commit has to be sound: when LMDB cannot
     * write one, it restores the number of the commit that was there before,
     * but not its roots.
     */

    return check_commit(&metas[metas[0].txnid < metas[1].txnid],
                        (uint64_t) st.st_size);
}


static const char *
read_meta(int fd, unsigned n, meta_page_t *metas)
{
    uint32_t      page_size;
    meta_page_t  *meta;

    meta = &metas[n];
    page_size = n > 0 ? metas[0].trees[0].pad : 0;

    if (pread(fd, meta, sizeof(meta_page_t), (off_t) n * page_size)
        != (ssize_t) sizeof(meta_page_t))
    {
        return "is too short to be an LMDB file";
    }

    if ((meta->flags & META_FLAG) == 0 || meta->magic != META_MAGIC) {
        return "is not an LMDB file";
    }

    if (meta->version != META_VERSION) {
        return "is of another version of LMDB's format than 0.9's";
    }

    if (meta->trees[0].pad < PAGE_SIZE_MIN || meta->trees[0].pad > PAGE_SIZE_MAX
        || (meta->trees[0].pad & (meta->trees[0].pad - 1)) != 0
        || (n > 0 && meta->trees[0].pad != page_size))
    {
        return "has a damaged meta page: the page size is impossible";
    }

    return meta->pgno == n && meta->last_page >= 1
               ? NULL : "has a damaged meta page: its number is wrong";
}


/* the meta page of the last commit, which LMDB begins with */

static const char *
check_commit(const meta_page_t *meta, uint64_t file_size)
{
    unsigned  i;

    for (i = 0; i < 2; i++) {
        if (meta->trees[i].root != NO_PAGE
            && (meta->trees[i].root < 2
                || meta->trees[i].root > meta->last_page))
        {
            return "has a damaged meta page: a root lies outside the file";
        }
    }

    /* last, for it may turn out to be no fault: see exports_short.c */

    return meta->last_page >= file_size / meta->trees[0].pad ? truncated
                                                             : NULL;
}
