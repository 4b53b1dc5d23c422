
/*
 * exportsctl_sweep.h: what the sources of "exportsctl sweep" share.
 *
 * A sweep brings the statuses of manifests in line with the artifacts that are
 * there, a chunk at a time: what may have to change is collected in a snapshot,
 * the files are looked at with no transaction open, and what has to change is
 * written in one transaction, if it is still as it was.
 */

#ifndef EXPORTSCTL_SWEEP_H
#define EXPORTSCTL_SWEEP_H

#include "exportsctl.h"


#define SWEEP_FOUND    1000             /* found of a chunk, at most */

/* these texts are how a later sweep knows what an earlier one did */
#define SWEEP_MISSING  "swept: the file is missing"
#define SWEEP_EXPIRED  "swept: the export expired"


typedef enum {
    FOUND_NOTHING = 0,          /* that a sweep has to do with */
    FOUND_READY,                /* of a project */
    FOUND_SWEPT,
    FOUND_USER
} found_type_t;

typedef struct {
    found_type_t       type;
    const char        *reason;  /* to become not_found; NULL: stays, or ready */
    int                change;
    uint64_t           scope;
    uint64_t           expires; /* 0: never */
    int                local;
    size_t             id_len;
    char               id[EXPORTS_ID_MAX];
    char               key[EXPORTS_STRING_MAX + 1];
} found_t;

typedef struct {
    const ctl_args_t  *args;
    ctl_store_t        store;
    ctl_scopes_t       scopes;
    int                unnamed;         /* "scopes" lacks that of a manifest
                                           which was found */
    int                root;
    uint64_t           now;

    uint8_t            last[EXPORTS_MANIFEST_KEY_LEN];
    int                begun;           /* last is set */
    int                ended;
    unsigned           nrecords;        /* of this chunk */
    unsigned           nfound;
    found_t           *found;

    exports_reader_t  *current;         /* of what is to be changed */

    uint64_t           checked;
    uint64_t           missing;
    uint64_t           expired;
    uint64_t           restored;
    uint64_t           errors;          /* reported, and left as they are */
    uint64_t           user_missing;
} sweep_t;


/* exportsctl_sweep.c */

/* reports one that cannot be swept; it does not keep the others */
void ctl_sweep_left(sweep_t *sw, const found_t *found, const char *why);


/* exportsctl_sweep_collect.c */

/* collects the next chunk into sw->found; sw->ended: it is the last */
int ctl_sweep_collect(sweep_t *sw);

/* renews sw->store.reader, which the caller resets */
int ctl_sweep_renew(sweep_t *sw);

/* whether a record is as it was found, in all that decides about it */
int ctl_sweep_is_as_found(const exports_record_t *record,
    const found_t *found);


/* exportsctl_sweep_change.c */

/* changes what has to be changed of the chunk; --dry-run: but does not write */
int ctl_sweep_change(sweep_t *sw);


#endif /* EXPORTSCTL_SWEEP_H */
