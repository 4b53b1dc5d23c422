
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
    uint64_t                unread;     /* records whose status is not known */
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
                                               not there, or may not be */
    int                     trees_damaged;  /* entries are not where they
                                               belong */
    uint64_t                records;        /* that can be read */
    uint64_t                expected;       /* entries of facets that these
                                               ask for */
} exports_check_t;


/*
 * The scopes, first, for the others look them up; and what they count, once
 * the manifests have been checked: exports_verify_scopes.c
 */
exports_rc_t exports_verify_scopes(exports_check_t *c);
exports_rc_t exports_verify_counts(exports_check_t *c);

/* NULL: there is none of that ID that can be read */
exports_known_scope_t *exports_verify_find_scope(const exports_check_t *c,
    uint64_t id);

/* Counts a manifest of its scope.  record: NULL when it cannot be read, and will
   be dropped. */
void exports_verify_count(exports_check_t *c, const uint8_t *key,
    size_t key_len, const exports_record_t *record);

/* one that was counted, and is dropped after all */
void exports_verify_uncount(exports_check_t *c, const uint8_t *key,
    const exports_record_t *record);

/* a repair's last step: the scopes that it changed */
exports_rc_t exports_verify_touch(exports_check_t *c, exports_writer_t *writer,
    exports_error_t *error);


/*
 * The entries of a database, which have to be as many as it says, and in order:
 * each is reported to the visitor with c as its data.  exports_verify.c
 */
exports_rc_t exports_verify_walk(exports_check_t *c, exports_db_t db,
    exports_visit_pt visit);

/* What is wrong with a record or a token that cannot be decoded. */
const char *exports_verify_unread(const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);

/*
 * The manifests, and after them ids and facets, whose entries are counted and,
 * where they may be too many, looked at: exports_verify_manifests.c
 */
exports_rc_t exports_verify_manifests(exports_check_t *c);
exports_rc_t exports_verify_ids(exports_check_t *c);
exports_rc_t exports_verify_entries(exports_check_t *c);

/* Whether the id of a record leads to it; twice: to another record, which has
   it, too. */
int exports_verify_id(exports_check_t *c, const uint8_t *key,
    const exports_record_t *record, int *twice);


/* what is at fault in ranks */
typedef enum {
    RANK_LIST,              /* a list itself; key: of it in facets */
    RANK_BLOCKS,            /* those of a list; key: of the list */
    RANK_KEY                /* of no list's blocks; key: in ranks */
} exports_rank_fault_t;

typedef exports_rc_t (*exports_rank_fault_pt)(void *data,
    exports_rank_fault_t type, const uint8_t *key, size_t len,
    const char *text);

/* Holds ranks against the lists: exports_verify_ranks.c. */
exports_rc_t exports_verify_ranks(exports_reader_t *reader,
    exports_rank_fault_pt fault, void *data);

/*
 * The pages of all databases, as they were committed: exports_verify_pages.c.
 * EXPORTS_NOT_FOUND: they cannot be looked at, and there is a repair.
 */
exports_rc_t exports_verify_pages(exports_check_t *c);

/* Whether LMDB can be let near the values of facets and ranks: before all else.
   EXPORTS_CORRUPT: not of all, which no repair mends. */
exports_rc_t exports_verify_nodes(exports_reader_t *reader);


/*
 * Reports a fault, with the key when there is one, and keeps what a repair does
 * about it.  entry: the entry that FIX_DROP_ENTRY drops, otherwise NULL.
 * exports_verify_fixes.c
 */
exports_rc_t exports_verify_report(exports_check_t *c,
    exports_fix_type_t type, const uint8_t *key, size_t len,
    const uint8_t *entry, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

exports_rc_t exports_verify_fix(exports_check_t *c, exports_writer_t *writer,
    exports_error_t *error);

void exports_verify_release(exports_check_t *c);


#endif /* EXPORTS_VERIFY_PRIVATE_H */
