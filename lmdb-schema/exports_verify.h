
/*
 * exports_verify.h: checking a whole store.
 *
 * Every record is checked against its checksum, its key and its scope.  Each
 * must be found by its id and in each list that it belongs to; and the other
 * way round, every id and every entry of a list must lead to such a record.
 * The blocks of each list and the manifests of each scope are counted again.
 * Entries must be in order, and as many as their databases say.
 */

#ifndef EXPORTS_VERIFY_H
#define EXPORTS_VERIFY_H

#include "exports_env.h"
#include "exports_writer.h"


typedef struct {
    uint64_t  scopes;           /* looked at */
    uint64_t  tokens;
    uint64_t  manifests;
    uint64_t  ids;
    uint64_t  entries;          /* of facets */
    uint64_t  faults;           /* found */
    uint64_t  repaired;         /* of these, no more found by a second check */
} exports_verify_t;

/* called for each fault, with a sentence that says what and where */
typedef void (*exports_fault_pt)(void *data, const char *text);

/*
 * Checks the snapshot of a reader, which must be renewed.  EXPORTS_OK is
 * returned even if there are faults; anything else: it could not read on.
 */
exports_rc_t exports_verify(exports_reader_t *reader,
    exports_verify_t *result, exports_fault_pt fault, void *data,
    exports_error_t *error);

/*
 * The same, and mends what it can, in the writer's transaction, which the
 * caller commits; then checks again.  Index entries that lead nowhere are
 * deleted, missing ones are added, the blocks of lists and the manifests of
 * scopes are counted anew.  A manifest that cannot be read is deleted, with
 * every entry that led to it; so is a token.
 *
 * That includes a manifest whose item jansson cannot parse.  As jansson does
 * not tell when that was for want of memory, a program that goes on without
 * memory must not repair.
 *
 * EXPORTS_CORRUPT  pages are damaged, or entries are missing or out of order:
 *                  nothing was changed; or it could not read on: the writer
 *                  must be aborted
 * EXPORTS_FAILED   nothing was changed, for pages cannot be checked without
 *                  /proc/self/maps
 */
exports_rc_t exports_repair(exports_writer_t *writer,
    exports_verify_t *result, exports_fault_pt fault, void *data,
    exports_error_t *error);


#endif /* EXPORTS_VERIFY_H */
