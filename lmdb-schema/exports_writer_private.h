
/*
 * exports_writer_private.h: what the sources of the writer share.
 */

#ifndef EXPORTS_WRITER_PRIVATE_H
#define EXPORTS_WRITER_PRIVATE_H

#include "exports_private.h"
#include "exports_tree_check.h"
#include "exports_writer.h"


/* where a manifest is listed: a key for each facet, of length 0 for none */

typedef struct {
    uint8_t          entry[EXPORTS_ENTRY_LEN];
    unsigned         status;        /* 0: of a record that cannot be read */
    exports_facet_t  keys[EXPORTS_FACET_MASK + 1];
} exports_listing_t;


/* a scope that the transaction has met */

typedef struct {
    exports_scope_t  scope;
    uint64_t         stored;        /* its revision; 0: it is new */
    exports_kind_t   kind;
    unsigned         changed;       /* its revision goes up at the commit */
    unsigned         given;         /* the revision is one from outside */
    unsigned         recount;       /* its counts are taken from its lists */
    size_t           key_len;
    uint8_t          key[EXPORTS_SCOPE_KEY_MAX];
} exports_met_scope_t;


/* a change of a list, an entry that is added or removed */

typedef struct {
    uint8_t          entry[EXPORTS_ENTRY_LEN];
    uint32_t         add;
    uint32_t         number;        /* in the order of arrival */
} exports_change_t;

typedef struct exports_pending_s  exports_pending_t;


struct exports_writer_s {
    exports_env_t     *env;
    MDB_txn           *txn;
    void              *scopes;      /* tsearch(3) tree of the scopes met */
    exports_pending_t *pending;     /* changes of lists, or NULL */
    exports_reader_t   reader;
    int                checking;    /* what it began with can be read */
    exports_page_set_t sound;       /* pages of that which were looked at */
    int                disjoint;    /* no long value has pages of another one:
                                       1; -1: one has; 0: not known */
    uint64_t           now;
    exports_rc_t       flushed;     /* what flushing the scopes returned */
};


/* The scope of a name; it stays where it is until the writer ends:
   exports_writer_scopes.c */
exports_rc_t exports_writer_find_scope(exports_writer_t *w,
    exports_kind_t kind, const char *name, size_t len,
    exports_met_scope_t **met, exports_error_t *error);
exports_rc_t exports_writer_make_scope(exports_writer_t *w,
    exports_kind_t kind, const char *name, size_t len,
    exports_met_scope_t **met, exports_error_t *error);

/* Stores those that have changed.  May be done again: what is stored depends on
   what was there at first. */
exports_rc_t exports_writer_flush_scopes(exports_writer_t *w);

/* The key in manifests that an entry of ids leads to; read: of one found. */
exports_rc_t exports_writer_find_id(exports_writer_t *w,
    const uint8_t *id_key, size_t len, uint8_t *key, exports_error_t *error);
exports_rc_t exports_writer_read_id(const uint8_t *id_key, size_t len,
    const MDB_val *value, uint8_t *key, exports_error_t *error);

void exports_listing_fill(exports_listing_t *listing, const uint8_t *key,
    const exports_facets_t *facets);

/* A manifest is the scope's no more; status: 0 when it is not known. */
void exports_writer_uncount(exports_met_scope_t *met, unsigned status);

/*
 * The lists that a stored manifest is in.  When its record cannot be read, it
 * is taken out of all lists of its scope here, and the listing is empty.
 */
exports_rc_t exports_writer_read_listing(exports_writer_t *w,
    const uint8_t *key, exports_listing_t *listing, exports_error_t *error);

/* Out of the lists of one, but for those of the other; and into them. */
exports_rc_t exports_writer_unlist(exports_writer_t *w,
    const exports_listing_t *old, const exports_listing_t *kept,
    exports_error_t *error);
exports_rc_t exports_writer_enlist(exports_writer_t *w,
    const exports_listing_t *listing, const exports_listing_t *had,
    exports_error_t *error);

/* value: NULL deletes the key with all its values */
exports_rc_t exports_writer_store(exports_writer_t *w, exports_db_t db,
    const void *key, size_t key_len, const void *value, size_t len,
    exports_error_t *error);
exports_rc_t exports_writer_del(exports_writer_t *w, exports_db_t db,
    const void *key, size_t key_len, const void *value, size_t len,
    exports_error_t *error);

exports_rc_t exports_writer_put_meta(exports_writer_t *w, const char *name,
    const void *value, size_t len, exports_error_t *error);

/*
 * Before what is under a key is put, replaced or, with "deleting", deleted: LMDB
 * goes by what pages and nodes say of their numbers and lengths, and if that is
 * wrong, others are lost.  The pages are looked at as they were committed, each
 * once for a writer.  exports_writer_check.c
 *
 * EXPORTS_CORRUPT  pages are damaged, not only what is stored there
 */
exports_rc_t exports_writer_check(exports_writer_t *w, exports_db_t db,
    const void *key, size_t key_len, int deleting, exports_error_t *error);
void exports_writer_uncheck(exports_writer_t *w);

/*
 * Adds an entry to a list, or removes it, when the changes are made: by
 * exports_writer_flush(), which the commit calls, and every reading of lists.
 * len: at most EXPORTS_FACET_KEY_MAX.  exports_writer_lists.c
 */
exports_rc_t exports_writer_list(exports_writer_t *w, const uint8_t *key,
    size_t len, const uint8_t *entry, int add, exports_error_t *error);
exports_rc_t exports_writer_flush(exports_writer_t *w, exports_error_t *error);
void exports_writer_forget(exports_writer_t *w);

/*
 * Counts the blocks of a list that changes have touched; these by entry, one
 * an entry; a single one must have changed the list.  facets: a cursor; ranks:
 * the same or NULL, to be closed by the caller.  exports_writer_ranks.c
 */
exports_rc_t exports_writer_rank(exports_writer_t *w, MDB_cursor *facets,
    MDB_cursor **ranks, const exports_facet_t *list,
    const exports_change_t *changes, size_t n, exports_error_t *error);


#endif /* EXPORTS_WRITER_PRIVATE_H */
