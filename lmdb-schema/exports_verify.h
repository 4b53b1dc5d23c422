
/*
 * exports_verify.h: checking a store whole.
 *
 * Every record against its checksum, its key and its scope; that each is
 * found by its id and in each list it belongs to; and the other way, that
 * every id and every entry of a list leads to such a record.  The blocks of
 * each list are counted again, and the manifests of each scope; and entries are
 * in order, and as many as their databases say.
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
    uint64_t  repaired;         /* of these, not found by a second check */
} exports_verify_t;

/* called for each fault, with a sentence that says what and where */
typedef void (*exports_fault_pt)(void *data, const char *text);

/*
 * Checks the snapshot that a reader, renewed, sees.  Returns EXPORTS_OK also
 * when there are faults; otherwise it could not read on.
 */
exports_rc_t exports_verify(exports_reader_t *reader,
    exports_verify_t *result, exports_fault_pt fault, void *data,
    exports_error_t *error);

/*
 * The same, and mends, in one transaction which the caller commits, and checks
 * again: index entries that lead nowhere go, missing ones are made, the blocks
 * of lists and the manifests of scopes are counted, and a manifest that cannot
 * be read goes, with every entry that led to it, as does a token.
 *
 * An item that jansson cannot parse is one of them, and jansson does not tell
 * when that was for want of memory: a program that goes on without memory must
 * not repair.
 *
 * EXPORTS_CORRUPT  entries are missing or out of order, and nothing was changed;
 *                  or it could not read on: the transaction is to be aborted
 */
exports_rc_t exports_repair(exports_writer_t *writer,
    exports_verify_t *result, exports_fault_pt fault, void *data,
    exports_error_t *error);


#endif /* EXPORTS_VERIFY_H */
