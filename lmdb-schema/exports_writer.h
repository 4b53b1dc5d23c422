
/*
 * exports_writer.h: changing a store.
 *
 * A writer is one write transaction.  A store has one at a time, in all
 * processes; the next one waits in exports_writer_begin(), without a time-out.
 * What it commits becomes visible at once and as a whole: a manifest, all its
 * indexes, and the revision of its scope.  A process that dies with a writer
 * leaves nothing of it behind.
 *
 * A function that fails with EXPORTS_INVALID, EXPORTS_CONFLICT or
 * EXPORTS_NOT_FOUND has changed nothing, and the writer can go on; after any
 * other error it can only be aborted.  Such an error may come of any function:
 *
 * EXPORTS_CORRUPT  what has to be read is damaged, or a page that would have to
 *                  be written to
 * EXPORTS_FULL     the map is full
 * EXPORTS_NOMEM, EXPORTS_FAILED, EXPORTS_STALE
 *
 * EXPORTS_INVALID comes, besides what is said below, of a scope's name that no
 * project or user can have.
 */

#ifndef EXPORTS_WRITER_H
#define EXPORTS_WRITER_H

#include "exports_codec.h"
#include "exports_env.h"
#include "exports_manifest.h"
#include "exports_read.h"


typedef struct exports_writer_s  exports_writer_t;


/*
 * Waits for the lock.  The environment must have been opened with
 * EXPORTS_ENV_WRITE.  *writer is set only if EXPORTS_OK is returned.
 *
 * EXPORTS_STALE   data.mdb or lock.mdb are no longer the files that were
 *                 opened, or a commit was lost to such a replacement; or
 *                 another process has made the map larger while a reader of
 *                 this environment is active
 * EXPORTS_DENIED  those files cannot be reached any more
 */
exports_rc_t exports_writer_begin(exports_writer_t **writer,
    exports_env_t *env, exports_error_t *error);

/*
 * Makes the changes durable and visible.  The writer is gone afterwards in any
 * case; unless EXPORTS_OK or EXPORTS_COMMITTED is returned, nothing of it was
 * written.  EXPORTS_COMMITTED: it was, but the data file was found to be
 * truncated, or cannot be extended to its last page.
 */
exports_rc_t exports_writer_commit(exports_writer_t *writer,
    exports_error_t *error);

void exports_writer_abort(exports_writer_t *writer);

/* A reader of what the writer sees, its own changes included; it must not be
   renewed, reset or closed.  Views are valid until the next change. */
exports_reader_t *exports_writer_reader(exports_writer_t *writer);


/*
 * Adds a manifest, or replaces the one with its id; *replaced says which
 * ("replaced" may be NULL).  Makes its scope if there is none.
 *
 * EXPORTS_CONFLICT  another user has the uuid; or another export of the scope
 *                   has the same time to the microsecond and the same tie
 */
exports_rc_t exports_writer_put(exports_writer_t *writer,
    const exports_manifest_t *manifest, int *replaced,
    exports_error_t *error);

/* EXPORTS_NOT_FOUND: no such scope or manifest */
exports_rc_t exports_writer_delete(exports_writer_t *writer,
    exports_kind_t kind, const char *scope, size_t scope_len, const char *id,
    size_t id_len, exports_error_t *error);


/* Adds a token or replaces it.  Makes its scope if there is none.
   EXPORTS_INVALID: it has too many tables, or too long ones. */
exports_rc_t exports_writer_put_token(exports_writer_t *writer,
    const exports_token_line_t *line, exports_error_t *error);

/*
 * Revokes the token that a token ID names, as of now; one that was revoked
 * before stays as it is.  EXPORTS_NOT_FOUND; EXPORTS_CONFLICT: several tokens
 * have that ID; EXPORTS_INVALID: it is not a token ID.
 */
exports_rc_t exports_writer_revoke_token(exports_writer_t *writer,
    const char *token_id, size_t len, exports_error_t *error);


/*
 * Sets the revision that the commit gives to a scope, instead of max(previous +
 * 1, now in microseconds).  For replicas, which take that of their source.
 * Makes the scope if there is none.  Of several calls the last one counts.
 *
 * EXPORTS_INVALID   greater than INT64_MAX: later revisions must not wrap
 * EXPORTS_CONFLICT  not greater than the stored one
 */
exports_rc_t exports_writer_set_revision(exports_writer_t *writer,
    exports_kind_t kind, const char *scope, size_t len, uint64_t revision,
    exports_error_t *error);

/*
 * Makes the commit raise the revision of a scope, for a change that no other
 * function knows of, and take the counts of its manifests from its lists.
 * EXPORTS_NOT_FOUND: no such scope.
 */
exports_rc_t exports_writer_touch(exports_writer_t *writer,
    exports_kind_t kind, const char *scope, size_t len,
    exports_error_t *error);

/*
 * Records how far a source has been followed (a position in a stream, say), in
 * the same transaction as what came from there.  Name: printable ASCII without
 * spaces, at most EXPORTS_CHECKPOINT_NAME_MAX bytes; value: at most
 * EXPORTS_CHECKPOINT_MAX.  EXPORTS_INVALID: one of them is not like that.
 */
exports_rc_t exports_writer_checkpoint(exports_writer_t *writer,
    const char *name, const void *value, size_t len, exports_error_t *error);


/*
 * For exports_repair(): these delete what is stored under a key, or store what
 * ought to be there; a key that is missing, or there already, is no error.  The
 * counts of scopes are left to exports_writer_touch() or
 * exports_writer_set_counts().
 */
exports_rc_t exports_writer_drop_manifest(exports_writer_t *writer,
    const uint8_t *key, size_t len, exports_error_t *error);
exports_rc_t exports_writer_drop_id(exports_writer_t *writer,
    const uint8_t *key, size_t len, exports_error_t *error);
exports_rc_t exports_writer_drop_token(exports_writer_t *writer,
    const uint8_t *digest, exports_error_t *error);
exports_rc_t exports_writer_drop_facet(exports_writer_t *writer,
    const uint8_t *key, size_t len, const uint8_t *entry,
    exports_error_t *error);

/* counts the blocks of a list anew; list: its key in facets */
exports_rc_t exports_writer_rerank(exports_writer_t *writer,
    const uint8_t *list, size_t len, exports_error_t *error);
exports_rc_t exports_writer_drop_ranks(exports_writer_t *writer,
    const uint8_t *key, size_t len, exports_error_t *error);

/* stores the id and the entries of a manifest; key: its own */
exports_rc_t exports_writer_index(exports_writer_t *writer,
    const uint8_t *key, const exports_record_t *record,
    exports_error_t *error);

/* exports_writer_touch(), but with given counts, EXPORTS_STATUSES of them, for
   the lists may be damaged */
exports_rc_t exports_writer_set_counts(exports_writer_t *writer,
    exports_kind_t kind, const char *scope, size_t len,
    const uint64_t *counts, exports_error_t *error);


#endif /* EXPORTS_WRITER_H */
