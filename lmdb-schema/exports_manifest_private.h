
/*
 * exports_manifest_private.h: what the sources that read manifests share.
 */

#ifndef EXPORTS_MANIFEST_PRIVATE_H
#define EXPORTS_MANIFEST_PRIVATE_H

#include "exports_json.h"


typedef enum {
    VALUE_STRING = 1,
    VALUE_TIME,
    VALUE_COUNT,            /* an integer of 0 or more */
    VALUE_SUBJECT,
    VALUE_USER,             /* an integer or a string */
    VALUE_LINK              /* made by us: in an item, not in a manifest */
} exports_value_t;

#define NULLABLE    0x01    /* may be null, or left out */
#define OPTIONAL    0x02    /* may be left out, but not be null */
#define EXTRA       0x04    /* in a manifest, not in an item */
#define NONEMPTY    0x08
#define NOCONTROL   0x10    /* for it goes into a header or a path */

typedef struct {
    const char       *name;
    size_t            len;
    exports_value_t   type;
    unsigned          flags;
} exports_field_t;

#define FIELD(field, name, type, flags)                                       \
    [field] = { name, sizeof(name) - 1, type, flags }


/* a manifest while it is parsed: the value of each field, NULL for null */

#define EXPORTS_FIELDS_MAX  20

typedef struct {
    exports_str_t  type;
    int64_t        id;
    exports_str_t  label;           /* may be null */
} exports_subject_t;

typedef struct {
    exports_kind_t          kind;
    const exports_field_t  *fields;
    unsigned                nfields;
    json_t                 *values[EXPORTS_FIELDS_MAX];     /* borrowed */
    exports_str_t           texts[EXPORTS_FIELDS_MAX];      /* of strings */
    uint64_t                times[EXPORTS_FIELDS_MAX];
    exports_subject_t       subject;
    exports_error_t        *error;
} exports_input_t;


/*
 * For each kind of manifest: sets its fields; and, once each value has been
 * checked by itself, checks what they mean to the store, and fills the record
 * but its item's JSON.
 */
void exports_project_fields(exports_input_t *in);
exports_rc_t exports_project_take(exports_manifest_t *manifest,
    exports_input_t *in, exports_record_t *record);
void exports_user_fields(exports_input_t *in);
exports_rc_t exports_user_take(exports_manifest_t *manifest,
    exports_input_t *in, exports_record_t *record);

/* The same for the i-th field, which both kinds have; the storage key after the
   ID, which it is by default. */
exports_rc_t exports_take_id(exports_manifest_t *manifest,
    exports_input_t *in, unsigned i, exports_record_t *record);
exports_rc_t exports_take_status(exports_input_t *in, unsigned i,
    exports_record_t *record);
exports_rc_t exports_take_storage_key(exports_input_t *in, unsigned i,
    exports_record_t *record);


/* checks each value by itself: exports_manifest_check.c */
exports_rc_t exports_check_values(exports_input_t *in);


/* an item while it is printed: exports_manifest_item.c */

typedef struct {
    char    text[EXPORTS_RECORD_MAX];
    size_t  len;
    size_t  link_pos;
    int     failed;             /* it does not fit */
} exports_output_t;

void exports_item_print(exports_output_t *out, const exports_input_t *in,
    const exports_manifest_t *manifest, const exports_record_t *record);


#endif /* EXPORTS_MANIFEST_PRIVATE_H */
