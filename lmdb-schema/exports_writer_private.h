
/*
 * exports_writer_private.h: what the sources of the writer share.
 */

#ifndef EXPORTS_WRITER_PRIVATE_H
#define EXPORTS_WRITER_PRIVATE_H

#include "exports_private.h"
#include "exports_tree_check.h"
#include "exports_writer.h"


/* the lists that a manifest is in: the key for each facet, of length 0: none */

typedef struct {
    uint8_t          entry[EXPORTS_ENTRY_LEN];
    unsigned         status;        /* 0: the record cannot be read */
    exports_facet_t  keys[EXPORTS_FACET_MASK + 1];
} exports_listing_t;


/* a scope that the transaction has met; flags say what its commit does */

typedef struct {
    exports_scope_t  scope;
    uint64_t         stored;        /* its revision; 0: it is new */
    exports_kind_t   kind;
    unsigned         changed;       /* raises the revision */
    unsigned         given;         /* stores the revision as it is */
    unsigned         recount;       /* takes the counts from the lists */
    size_t           key_len;
    uint8_t          key[EXPORTS_SCOPE_KEY_MAX];
} exports_met_scope_t;


/* a change of a list: an entry that is added or removed */

typedef struct {
    uint8_t          entry[EXPORTS_ENTRY_LEN];
    uint32_t         add;
    uint32_t         number;        /* in the order of arrival */
} exports_change_t;

typedef struct exports_pending_s  exports_pending_t;


struct exports_writer_s {
    exports_env_t     *env;
    MDB_txn           *txn;
    void              *scopes;      /* tsearch(3) tree of the scopes met, */
    exports_met_scope_t **met;      /* and an array */
    size_t             nmet;
    size_t             met_size;
    int                sorted;      /* the array is in the order of keys */
    exports_pending_t *pending;     /* changes of lists, or NULL */
    exports_reader_t   reader;
    int                checking;    /* env->committed is renewed, and */
    exports_page_set_t sound;       /* these pages of it have been checked */
    int                disjoint;    /* whether no two long values share pages:
                                       1, or -1: some do; 0: not known */
    uint64_t           now;
};


/* EXPORTS_INVALID: no scope can have that name.  exports_writer_scopes.c */
exports_rc_t exports_writer_check_name(exports_kind_t kind, const char *name,
    size_t len, exports_error_t *error);

/* Find or make the scope of a valid name; it stays where it is until the writer
   ends. */
exports_rc_t exports_writer_find_scope(exports_writer_t *w,
    exports_kind_t kind, const char *name, size_t len,
    exports_met_scope_t **met, exports_error_t *error);
exports_rc_t exports_writer_make_scope(exports_writer_t *w,
    exports_kind_t kind, const char *name, size_t len,
    exports_met_scope_t **met, exports_error_t *error);

/* Stores the scopes that have changed.  May be called again: revisions depend
   on what was stored before the transaction. */
exports_rc_t exports_writer_flush_scopes(exports_writer_t *w,
    exports_error_t *error);

/* The key in manifests that an entry of ids leads to; by the entry's key, or by
   its value. */
exports_rc_t exports_writer_find_id(exports_writer_t *w,
    const uint8_t *id_key, size_t len, uint8_t *key, exports_error_t *error);
exports_rc_t exports_writer_read_id(const uint8_t *id_key, size_t len,
    const MDB_val *value, uint8_t *key, exports_error_t *error);

/* the lists of a manifest that has these values; key: its own in manifests */
void exports_listing_fill(exports_listing_t *listing, const uint8_t *key,
    const exports_facets_t *facets);

/* Takes a manifest off the counts of its scope; status: 0, it is not known. */
void exports_writer_uncount(exports_met_scope_t *met, unsigned status);

/*
 * The lists that a stored manifest is in.  If its record cannot be read, it is
 * taken out of all lists of its scope here, and the listing is empty.
 */
exports_rc_t exports_writer_read_listing(exports_writer_t *w,
    const uint8_t *key, exports_listing_t *listing, exports_error_t *error);

/* Take a manifest out of the lists of "old" that are not in "kept"; put it into
   those of "listing" that are not in "had". */
exports_rc_t exports_writer_unlist(exports_writer_t *w,
    const exports_listing_t *old, const exports_listing_t *kept,
    exports_error_t *error);
exports_rc_t exports_writer_enlist(exports_writer_t *w,
    const exports_listing_t *listing, const exports_listing_t *had,
    exports_error_t *error);

/* Put a value, or delete it, after exports_writer_check(); what is not there
   need not be deleted.  value NULL: delete the key with all its values. */
exports_rc_t exports_writer_store(exports_writer_t *w, exports_db_t db,
    const void *key, size_t key_len, const void *value, size_t len,
    exports_error_t *error);
exports_rc_t exports_writer_del(exports_writer_t *w, exports_db_t db,
    const void *key, size_t key_len, const void *value, size_t len,
    exports_error_t *error);

exports_rc_t exports_writer_put_meta(exports_writer_t *w, const char *name,
    const void *value, size_t len, exports_error_t *error);

/*
 * To be called before a value is put, replaced or, with "deleting", deleted:
 * LMDB trusts the numbers and lengths that pages and nodes have in them, and if
 * they are wrong, it destroys others.  Pages are checked as they were
 * committed, each once for a writer.  exports_writer_check.c
 *
 * EXPORTS_CORRUPT  pages are damaged, not only the value
 */
exports_rc_t exports_writer_check(exports_writer_t *w, exports_db_t db,
    const void *key, size_t key_len, int deleting, exports_error_t *error);

/* frees what that has kept; to be called while the writer still has the lock */
void exports_writer_uncheck(exports_writer_t *w);

/*
 * Notes that an entry is to be added to a list, or removed.  The changes are
 * made by exports_writer_flush(), which is called by the commit, and before
 * lists are read.  len: at most EXPORTS_FACET_KEY_MAX.  exports_writer_lists.c
 */
exports_rc_t exports_writer_list(exports_writer_t *w, const uint8_t *key,
    size_t len, const uint8_t *entry, int add, exports_error_t *error);
exports_rc_t exports_writer_flush(exports_writer_t *w, exports_error_t *error);

/* frees the changes that are noted, made or not */
void exports_writer_forget(exports_writer_t *w);

/*
 * Counts again the blocks of a list that changes have touched.  The changes are
 * in the order of their entries, one for each entry; if there is only one, it
 * must have changed the list indeed.  facets: a cursor; *ranks: a cursor, or
 * NULL to open one, which the caller closes.  exports_writer_ranks.c
 */
exports_rc_t exports_writer_rank(exports_writer_t *w, MDB_cursor *facets,
    MDB_cursor **ranks, const exports_facet_t *list,
    const exports_change_t *changes, size_t n, exports_error_t *error);


#endif /* EXPORTS_WRITER_PRIVATE_H */
