
/*
 * exports_schema.h: what a store consists of.
 *
 * Names of the databases, the version of the format, enumerations with their
 * stored numbers, and limits.  README.md beside this file describes the same
 * byte for byte.  A number that is stored never changes its meaning: a new
 * meaning takes a new number, a new layout a new EXPORTS_FORMAT_VERSION.
 */

#ifndef EXPORTS_SCHEMA_H
#define EXPORTS_SCHEMA_H

#include <stddef.h>
#include <stdint.h>


/* stored in meta under "format"; a store of any other version is refused */
#define EXPORTS_FORMAT_VERSION    2

#define EXPORTS_DATA_FILE         "data.mdb"
#define EXPORTS_LOCK_FILE         "lock.mdb"

#define EXPORTS_DIRECTORY_MODE    02770
#define EXPORTS_DATA_MODE         0640
#define EXPORTS_LOCK_MODE         0660

#define EXPORTS_DB_META           "meta"
#define EXPORTS_DB_SCOPES         "scopes"
#define EXPORTS_DB_TOKENS         "tokens"
#define EXPORTS_DB_MANIFESTS      "manifests"
#define EXPORTS_DB_IDS            "ids"
#define EXPORTS_DB_FACETS         "facets"
#define EXPORTS_DB_RANKS          "ranks"
#define EXPORTS_DB_COUNT          7

#define EXPORTS_META_FORMAT       "format"
#define EXPORTS_META_LINEAGE      "lineage"
#define EXPORTS_META_NEXT_SCOPE   "next_scope"
#define EXPORTS_META_CHECKPOINT   "checkpoint/"     /* + name */

/* the storage backend whose files lie below a directory of this machine */
#define EXPORTS_BACKEND_LOCAL     "local"


/* limits in bytes, except where a comment says otherwise */
#define EXPORTS_STRING_MAX        1024
#define EXPORTS_RECORD_MAX        16384
#define EXPORTS_PROJECT_MAX       128
#define EXPORTS_USER_MAX          64
#define EXPORTS_SCOPE_NAME_MAX    128
#define EXPORTS_ID_MAX            128
#define EXPORTS_UUID_MAX          64
#define EXPORTS_CHECKPOINT_NAME_MAX  64
#define EXPORTS_CHECKPOINT_MAX    1024
#define EXPORTS_TOKEN_TABLES_MAX  64        /* tables of one token */
#define EXPORTS_LISTS_MAX         64        /* lists that one page may merge */
#define EXPORTS_PAGE_MAX          501       /* items: one more than the longest
                                               page, to know if more follow */

#define EXPORTS_SHA256_LEN        32
#define EXPORTS_LINEAGE_LEN       16
#define EXPORTS_LINEAGE_TEXT_LEN  36
#define EXPORTS_HASH_LEN          16        /* a string inside a facet key */

#define EXPORTS_MAP_SIZE          ((size_t) 64 << 30)
#define EXPORTS_READERS_MAX       1024      /* slots in the lock file */


/* the first byte of a key in scopes and ids; also stored in records */
typedef enum {
    EXPORTS_PROJECT = 'p',
    EXPORTS_USER = 'u'
} exports_kind_t;


/* exports of projects have 1 or 2; those of users 1, or 3 to 6 */
typedef enum {
    EXPORTS_STATUS_READY = 1,
    EXPORTS_STATUS_NOT_FOUND = 2,
    EXPORTS_STATUS_PENDING = 3,
    EXPORTS_STATUS_PROCESSING = 4,
    EXPORTS_STATUS_FAILED = 5,
    EXPORTS_STATUS_CANCELLED = 6
} exports_status_t;

/* Numbered from 1 on.  Scopes count their manifests by status: one more makes
   their values longer, and so takes a new EXPORTS_FORMAT_VERSION. */
#define EXPORTS_STATUSES            6


typedef enum {
    EXPORTS_TABLE_EXPORT = 1,
    EXPORTS_DATABASE_EXPORT = 2,
    EXPORTS_SCHEMA_EXPORT = 3
} exports_export_kind_t;


/*
 * A facet is a set of these bits: the fields whose values are fixed in a
 * list.  0 is the list of all manifests of a scope.
 */
#define EXPORTS_FACET_ALL           0x00
#define EXPORTS_FACET_STATUS        0x01
#define EXPORTS_FACET_TYPE          0x02
#define EXPORTS_FACET_SUBJECT_TYPE  0x04
#define EXPORTS_FACET_SUBJECT_ID    0x08
#define EXPORTS_FACET_MASK          0x0f


/*
 * An entry of a list closes a block of level L when the last 5 * L bits of its
 * tie are zero.
 */
#define EXPORTS_RANK_LEVELS         4
#define EXPORTS_RANK_BITS           5


#endif /* EXPORTS_SCHEMA_H */
