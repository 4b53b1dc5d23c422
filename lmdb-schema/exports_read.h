
/*
 * exports_read.h: reading a store; what the module and the command share.
 *
 * A reader is one read transaction, which is renewed for each unit of work and
 * reset after it.  Between the two it sees one snapshot; a reader that is not
 * reset pins the pages of its snapshot, and the file grows.  What reads needs a
 * renewed reader, and hands out views into the map: valid until the reset.
 *
 * A reader belongs to one thread at a time.
 */

#ifndef EXPORTS_READ_H
#define EXPORTS_READ_H

#include "exports_codec.h"
#include "exports_env.h"


typedef struct exports_reader_s  exports_reader_t;


/* Opens a reader, not renewed yet; *reader is set only if EXPORTS_OK is
   returned.  EXPORTS_NOMEM, or what exports_reader_renew() returns. */
exports_rc_t exports_reader_open(exports_reader_t **reader,
    exports_env_t *env, exports_error_t *error);

void exports_reader_close(exports_reader_t *reader);

/*
 * Begins to read the latest snapshot.  Copes with a lost slot, with a full
 * reader table (frees dead slots and tries again, once), and with a map that a
 * writer has made larger.
 *
 * EXPORTS_BUSY   there is no free slot
 * EXPORTS_STALE  the environment must be closed and opened again; or the map is
 *                larger now, and cannot be moved while another reader or a
 *                writer of this environment is active; or this reader was not
 *                reset
 * EXPORTS_NOMEM, EXPORTS_FAILED
 */
exports_rc_t exports_reader_renew(exports_reader_t *reader);

/* Ends the snapshot.  Harmless when there is none. */
void exports_reader_reset(exports_reader_t *reader);

/* the store's EXPORTS_LINEAGE_LEN bytes */
const uint8_t *exports_reader_lineage(const exports_reader_t *reader);

/* the number of the snapshot's commit */
uint64_t exports_reader_txnid(const exports_reader_t *reader);


/*
 * Point reads.  EXPORTS_OK, EXPORTS_NOT_FOUND, EXPORTS_CORRUPT; EXPORTS_FAILED,
 * EXPORTS_STALE or EXPORTS_NOMEM as LMDB reports.  By a writer's reader also
 * what storing its changes, which comes first, may return.
 */

/* digest: the SHA-256 of the token */
exports_rc_t exports_read_token(exports_reader_t *reader,
    const uint8_t *digest, exports_token_t *token);

exports_rc_t exports_read_scope(exports_reader_t *reader,
    exports_kind_t kind, const char *name, size_t len,
    exports_scope_t *scope);

/* scope: the project's ID; not used for users, whose uuids are unique.  *key is
   set to the key in manifests. */
exports_rc_t exports_read_manifest(exports_reader_t *reader,
    exports_kind_t kind, uint64_t scope, const char *id, size_t len,
    uint8_t key[EXPORTS_MANIFEST_KEY_LEN], exports_record_t *record);

/* what exports_writer_checkpoint() stored; at most EXPORTS_CHECKPOINT_MAX */
exports_rc_t exports_read_checkpoint(exports_reader_t *reader,
    const char *name, const uint8_t **value, size_t *len);


/*
 * Iteration in key order, for export, token list, sweep.  The visitor returns
 * EXPORTS_OK to go on; anything else ends the walk and is returned.  Values
 * are handed over undecoded, so that damaged ones can be reported.
 *
 * EXPORTS_CORRUPT  the tree is damaged: LMDB could not go on.  Or, after all
 *                  entries have been visited: some were out of order, or a
 *                  database does not have as many as it says
 */

typedef exports_rc_t (*exports_visit_pt)(void *data,
    const uint8_t *key, size_t key_len, const uint8_t *value, size_t len);

exports_rc_t exports_walk_scopes(exports_reader_t *reader,
    exports_visit_pt visit, void *data);
exports_rc_t exports_walk_tokens(exports_reader_t *reader,
    exports_visit_pt visit, void *data);
exports_rc_t exports_walk_ids(exports_reader_t *reader,
    exports_visit_pt visit, void *data);

/* oldest first; scope 0: those of all scopes, by scope ID */
exports_rc_t exports_walk_manifests(exports_reader_t *reader, uint64_t scope,
    exports_visit_pt visit, void *data);

/* Those of all scopes, after a key; NULL: from the first.  Ends where an entry
   is out of order: to go on after its key might never end. */
exports_rc_t exports_walk_manifests_after(exports_reader_t *reader,
    const uint8_t *key, exports_visit_pt visit, void *data);

/* key: the list's; value: an entry of EXPORTS_ENTRY_LEN bytes */
exports_rc_t exports_walk_facets(exports_reader_t *reader,
    exports_visit_pt visit, void *data);


#endif /* EXPORTS_READ_H */
