
/*
 * exports_env.h: an open store.
 *
 * A store is a directory with LMDB's two files.  A process may have one
 * exports_env_t of a store at a time: LMDB's locks belong to the process, and
 * closing a second one would drop them.  exports_identity() tells whether two
 * paths lead to the same store.  An environment must not be used after a fork.
 * Threads may share it, but each reader and writer belongs to one thread.
 */

#ifndef EXPORTS_ENV_H
#define EXPORTS_ENV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "exports_error.h"
#include "exports_schema.h"


typedef struct exports_env_s  exports_env_t;


/* flags of exports_env_open() */

#define EXPORTS_ENV_WRITE       0x01    /* writers may be begun */
#define EXPORTS_ENV_CREATE      0x02    /* with WRITE: make it if missing */
#define EXPORTS_ENV_IMMUTABLE   0x04    /* nobody writes: no locks, no slots */
#define EXPORTS_ENV_NOMETASYNC  0x08    /* a power cut may lose one commit */
#define EXPORTS_ENV_NORDAHEAD   0x10    /* for stores larger than memory */

typedef struct {
    const char     *path;       /* the directory */
    size_t          map_size;   /* bytes; 0: EXPORTS_MAP_SIZE */
    unsigned        flags;      /* EXPORTS_ENV_* */
    const uint8_t  *lineage;    /* that the store must be of, and a new one
                                   gets: EXPORTS_LINEAGE_LEN bytes; NULL: any,
                                   a random one */
    gid_t           group;      /* of what CREATE makes; (gid_t) -1: default */

    /* called instead of abort() when an assertion of LMDB fails, as it may with
       damaged files; must not return */
    void          (*on_assert)(const char *message);
} exports_env_options_t;


/*
 * The files that a path leads to.  They are no longer those of an environment
 * when a symlink was swapped, or a file was renamed over or deleted.
 */
typedef struct {
    dev_t  data_dev;
    ino_t  data_ino;
    dev_t  lock_dev;            /* 0, 0: there is no lock file */
    ino_t  lock_ino;
} exports_identity_t;

/* EXPORTS_MISSING, EXPORTS_DENIED, EXPORTS_FAILED; EXPORTS_NOMEM: the kernel
   had no memory to tell, which says nothing of the store */
exports_rc_t exports_identity(exports_identity_t *identity, const char *path,
    exports_error_t *error);

int exports_identity_equal(const exports_identity_t *a,
    const exports_identity_t *b);

/* When the data file was made, in ns since 1970; 0: not known.  Files that were
   deleted may have left their numbers to those that took their place, unless
   somebody has them open: this tells them apart. */
uint64_t exports_identity_born(const char *path);

/* The path without symlinks, which the caller frees.  Who looks whether a store
   is open already, and opens it if not, must do both by such a path: a symlink
   may be swapped in between.  EXPORTS_MISSING, ... as above. */
exports_rc_t exports_env_resolve(char **resolved, const char *path,
    exports_error_t *error);


/*
 * Opens a store, after checking the data file's meta pages: LMDB itself trusts
 * them and dies of bad ones.  Never blocks on a file that is not regular.  A
 * missing lock file is created, with mode 0660 whatever the umask, except with
 * EXPORTS_ENV_IMMUTABLE; the data file (0640) and the directory (2770) only
 * with EXPORTS_ENV_CREATE.
 *
 * EXPORTS_INVALID   flags: IMMUTABLE with WRITE or CREATE, CREATE without WRITE
 * EXPORTS_MISSING   no directory or no data file, or nothing in it yet
 * EXPORTS_DENIED    the text names the file and the user
 * EXPORTS_FORMAT    not LMDB's, not a store, or of another format version
 * EXPORTS_CORRUPT   meta pages that contradict the file, or no lineage that can
 *                   be read
 * EXPORTS_UNLOCKED  a read-only file system, without EXPORTS_ENV_IMMUTABLE
 * EXPORTS_CONFLICT  the store is of another lineage than the one given
 * EXPORTS_BUSY      all EXPORTS_READERS_MAX reader slots are in use
 * EXPORTS_STALE     a file was replaced while it was opened; or the locks had
 *                   been destroyed, as LMDB 0.9.26 to 0.9.31 may do, and other
 *                   processes keep them so: tried for about 50 ms
 * EXPORTS_FULL      CREATE, and map_size has no room for an empty store
 * EXPORTS_NOMEM, EXPORTS_FAILED
 *
 * *env is set as soon as there is something to close, and is NULL after a
 * failure: so a caller that leaves by longjmp(), from on_assert or a signal
 * handler, can close it.
 */
exports_rc_t exports_env_open(exports_env_t **env,
    const exports_env_options_t *options, exports_error_t *error);

/* Closes it; all its readers and writers must be closed before. */
void exports_env_close(exports_env_t *env);

/* the files that were opened */
const exports_identity_t *exports_env_identity(const exports_env_t *env);

/* EXPORTS_LINEAGE_LEN bytes */
const uint8_t *exports_env_lineage(const exports_env_t *env);

const char *exports_env_path(const exports_env_t *env);

/* 1: there was no store, and this open made it */
int exports_env_created(const exports_env_t *env);

/*
 * Makes data file and names survive a power cut.  The open that makes a store
 * does this itself; one that finds a store cannot know whether that open came
 * to its end.
 */
exports_rc_t exports_env_sync(exports_env_t *env, exports_error_t *error);

/*
 * Frees the reader slots of dead processes, which would pin pages and make the
 * file grow.  Returns the number of slots freed.
 */
unsigned exports_env_reap(exports_env_t *env);

/*
 * Writes the whole store, compacted, as one snapshot to a file descriptor
 * that is open for writing.  Pages stay pinned while it runs.
 */
exports_rc_t exports_env_copy(exports_env_t *env, int fd,
    exports_error_t *error);


typedef struct {
    uint64_t  map_size;
    uint64_t  page_size;
    uint64_t  pages_used;       /* of the map: up to the last page */
    uint64_t  pages_free;       /* of those, in LMDB's free list */
    uint64_t  txnid;            /* the number of the last commit */
    uint64_t  entries[EXPORTS_DB_COUNT];    /* in the order below */
    unsigned  readers;          /* slots, the most that were in use at once */
    unsigned  readers_max;
} exports_env_stat_t;

/* Names of the databases, in the order of exports_env_stat_t.entries. */
extern const char *const  exports_db_names[EXPORTS_DB_COUNT];

/* EXPORTS_CORRUPT: the free list contradicts itself or the map; otherwise what
   exports_reader_open() returns */
exports_rc_t exports_env_stat(exports_env_t *env, exports_env_stat_t *stat,
    exports_error_t *error);

/*
 * The number of steps that walks, verify, reads of manifests by their IDs and
 * writers have made, in all threads.  While it rises, LMDB returns from its
 * calls, which with damaged files it may not.  For a watchdog, which may be
 * another thread or a signal handler.
 */
uint64_t exports_env_steps(const exports_env_t *env);


#endif /* EXPORTS_ENV_H */
