
/*
 * exports_private.h: what the sources of the library share; not installed.
 *
 * The one place outside which no source but exports_env.c, exports_read.c,
 * exports_page.c, exports_writer.c and exports_verify.c sees LMDB.
 */

#ifndef EXPORTS_PRIVATE_H
#define EXPORTS_PRIVATE_H

#include <lmdb.h>

#include "exports_codec.h"
#include "exports_env.h"
#include "exports_page.h"
#include "exports_read.h"


typedef enum {
    DB_META = 0,
    DB_SCOPES,
    DB_TOKENS,
    DB_MANIFESTS,
    DB_IDS,
    DB_FACETS
} exports_db_t;


struct exports_env_s {
    MDB_env             *mdb;
    MDB_dbi              dbi[EXPORTS_DB_COUNT];
    exports_identity_t   identity;
    unsigned             flags;
    uint8_t              lineage[EXPORTS_LINEAGE_LEN];
    void               (*on_assert)(const char *message);
    char                *path;
};


struct exports_reader_s {
    exports_env_t       *env;
    MDB_txn             *txn;
    MDB_cursor          *manifests;
    MDB_cursor          *facets[EXPORTS_LISTS_MAX];
    unsigned             active;        /* bits: between renew and reset */
    unsigned             borrowed;      /* the transaction is a writer's */
};


/* MDB codes to ours: the one place, exports_mdb.c */
exports_rc_t exports_rc_of_mdb(int mdb);

/* the same, with a text: what was done, LMDB's word, and the path */
exports_rc_t exports_mdb_error(exports_error_t *error,
    const exports_env_t *env, const char *what, int mdb);

/* what is done to the files before LMDB opens them: exports_files.c */
exports_rc_t exports_files_mkdir(const exports_env_options_t *options,
    exports_error_t *error);
exports_rc_t exports_files_create(const exports_env_options_t *options,
    const char *data_file, const char *lock_file, exports_error_t *error);

/* a data file that has just been made */
int exports_files_new(const char *data_file,
    const exports_env_options_t *options);

/* Never opens a file: closing the lock file drops the process's locks. */
exports_rc_t exports_files_access(const char *file, int mode,
    exports_error_t *error);

/* EXPORTS_DENIED; access: what the file must be */
exports_rc_t exports_files_denied(exports_error_t *error, const char *path,
    const char *access);

/*
 * The checks before LMDB is let near the file: exports_probe.c.  A file that
 * is sound but shorter than its last page is EXPORTS_CORRUPT, all else that is
 * wrong with its contents EXPORTS_FORMAT.
 */
exports_rc_t exports_probe(const char *data_file, exports_error_t *error);

/*
 * Whether the file may be shorter than the commit of that number says: when
 * all pages that it lacks are in the free list.  have, need: lengths in bytes.
 * exports_freelist.c reads that list by itself, for LMDB would die of one that
 * is cut off.
 *
 * EXPORTS_CORRUPT  pages are missing that are not free
 * EXPORTS_STALE    there are newer commits
 */
exports_rc_t exports_probe_short(int fd, uint64_t txnid, uint64_t *have,
    uint64_t *need);

/*
 * LMDB does not write pages that were allocated at the end of the file and
 * freed again in one transaction.  Such a file is sound: readers look into the
 * free list to tell it from a truncated one.  So do writers, at open and after
 * each commit, and extend it, for others may look at its length alone.
 *
 * EXPORTS_CORRUPT  it is truncated
 */
exports_rc_t exports_env_fill(exports_env_t *env, exports_error_t *error);

/* get of a value with MDB codes translated */
exports_rc_t exports_mdb_get(MDB_txn *txn, MDB_dbi dbi, const void *key,
    size_t key_len, MDB_val *value);

/* a value of meta, its checksum verified and cut off */
exports_rc_t exports_meta_get(MDB_txn *txn, const exports_env_t *env,
    const char *name, const uint8_t **value, size_t *len);
exports_rc_t exports_meta_put(MDB_txn *txn, const exports_env_t *env,
    const char *name, const uint8_t *value, size_t len,
    exports_error_t *error);

/* a reader over a transaction that somebody else began and will end */
void exports_reader_borrow(exports_reader_t *reader, exports_env_t *env,
    MDB_txn *txn);
void exports_reader_return(exports_reader_t *reader);

/* Opens a cursor of the reader, or renews it: before its first use in each
   snapshot. */
exports_rc_t exports_reader_cursor(exports_reader_t *reader, exports_db_t db,
    MDB_cursor **cursor);

/* In a write transaction no cursor can be renewed, and each one open is moved
   about by every change: there they are closed after each use. */
void exports_reader_close_cursors(exports_reader_t *reader);


#endif /* EXPORTS_PRIVATE_H */
