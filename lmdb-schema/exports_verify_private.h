
/*
 * exports_verify_private.h: what the sources of verify share.
 */

#ifndef EXPORTS_VERIFY_PRIVATE_H
#define EXPORTS_VERIFY_PRIVATE_H

#include "exports_private.h"
#include "exports_verify.h"


/* what a repair does about a fault */

typedef enum {
    FIX_NONE = 0,               /* nothing can be done */
    FIX_DROP_MANIFEST,
    FIX_INDEX,
    FIX_DROP_ID,
    FIX_DROP_TOKEN,
    FIX_DROP_ENTRY,
    FIX_DROP_RANKS,
    FIX_RERANK,
    FIX_RECOUNT
} exports_fix_type_t;

typedef struct exports_fix_s  exports_fix_t;


typedef struct {
    uint64_t                id;
    uint64_t                counts[EXPORTS_STATUSES];   /* stored */
    uint64_t                found[EXPORTS_STATUSES];    /* records that stay */
    uint64_t                unread;     /* records without a known status */
    uint8_t                 changed;    /* by a repair */
    uint8_t                 key_len;
    uint8_t                 key[EXPORTS_SCOPE_KEY_MAX];
} exports_known_scope_t;


typedef struct {
    exports_reader_t       *reader;
    MDB_cursor             *facets;
    exports_verify_t       *result;
    exports_fault_pt        fault;
    void                   *data;

    int                     repair;
    exports_fix_t          *fixes;
    size_t                  nfixes;
    size_t                  fixes_size;

    exports_known_scope_t  *scopes;
    size_t                  nscopes;
    size_t                  scopes_size;

    uint64_t                next_scope;
    int                     scopes_lost;    /* a scope cannot be read, or is
                                               missing, or may be */
    int                     trees_damaged;  /* pages are damaged, or entries
                                               not where they belong */
    uint64_t                records;        /* that can be read */
    uint64_t                expected;       /* entries of facets that these
                                               must have */
} exports_check_t;


/*
 * Check the scopes, first of all, for the other checks look them up; and their
 * counts, once the manifests have been checked: exports_verify_scopes.c.
 */
exports_rc_t exports_verify_scopes(exports_check_t *c);
exports_rc_t exports_verify_counts(exports_check_t *c);

/* NULL: no scope that can be read has that ID */
exports_known_scope_t *exports_verify_find_scope(const exports_check_t *c,
    uint64_t id);

/* Counts a manifest for its scope.  record: NULL, it cannot be read, and will
   be dropped. */
void exports_verify_count(exports_check_t *c, const uint8_t *key,
    size_t key_len, const exports_record_t *record);

/* for a manifest that was counted, and is dropped after all */
void exports_verify_uncount(exports_check_t *c, const uint8_t *key,
    const exports_record_t *record);

/* the last step of a repair: stores the scopes that it has changed */
exports_rc_t exports_verify_touch(exports_check_t *c, exports_writer_t *writer,
    exports_error_t *error);


/*
 * Visits the entries of a database, with c as the visitor's data; reports it if
 * they are out of order, or not as many as it says.  exports_verify.c
 */
exports_rc_t exports_verify_walk(exports_check_t *c, exports_db_t db,
    exports_visit_pt visit);

/* what is wrong with a record or a token that cannot be decoded */
const char *exports_verify_unread(const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);

/*
 * Check the manifests, and after them ids and facets, whose entries are counted
 * and, if that gives reason to, checked one by one: exports_verify_manifests.c.
 */
exports_rc_t exports_verify_manifests(exports_check_t *c);
exports_rc_t exports_verify_ids(exports_check_t *c);
exports_rc_t exports_verify_entries(exports_check_t *c);

/* Whether the id of a record leads to it.  *twice: it leads to another record,
   which has the same id. */
int exports_verify_id(exports_check_t *c, const uint8_t *key,
    const exports_record_t *record, int *twice);


/* what is at fault in ranks */
typedef enum {
    RANK_LIST,              /* a list itself; key: the list's, in facets */
    RANK_BLOCKS,            /* the blocks of a list; key: the list's */
    RANK_KEY                /* blocks of no list; key: theirs, in ranks */
} exports_rank_fault_t;

typedef exports_rc_t (*exports_rank_fault_pt)(void *data,
    exports_rank_fault_t type, const uint8_t *key, size_t len,
    const char *text);

/* Checks ranks against the lists: exports_verify_ranks.c. */
exports_rc_t exports_verify_ranks(exports_reader_t *reader,
    exports_rank_fault_pt fault, void *data);

/*
 * Checks the pages of all databases, as they were committed:
 * exports_verify_pages.c.  EXPORTS_NOT_FOUND, only for a repair: they cannot be
 * checked.
 */
exports_rc_t exports_verify_pages(exports_check_t *c);

/* Checks, before anything else is read, what LMDB trusts when it reads the
   values of facets and ranks.  EXPORTS_CORRUPT: no repair mends it. */
exports_rc_t exports_verify_nodes(exports_reader_t *reader);


/*
 * Reports a fault, with the key unless that is NULL, and notes what a repair is
 * to do about it.  entry: what FIX_DROP_ENTRY drops, otherwise NULL.
 * exports_verify_fixes.c
 */
exports_rc_t exports_verify_report(exports_check_t *c,
    exports_fix_type_t type, const uint8_t *key, size_t len,
    const uint8_t *entry, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

/* makes the repairs that were noted */
exports_rc_t exports_verify_fix(exports_check_t *c, exports_writer_t *writer,
    exports_error_t *error);

void exports_verify_release(exports_check_t *c);


#endif /* EXPORTS_VERIFY_PRIVATE_H */
