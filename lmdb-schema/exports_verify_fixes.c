
/*
 * Faults are reported as they are found.  What a repair is to do about them is
 * noted, and done when all has been read, for what is being walked must not
 * change.
 */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_verify_private.h"


/* of one repair; what is left takes another one */
#define FIXES_MAX  1000000

/* What is dropped may be in the place of what is added; and what is left in the
   end has to be counted. */

enum {
    PASS_DROP = 0,
    PASS_ADD,
    PASS_COUNT,
    PASSES
};

/* around the key, in the text of a fault */
#define KEY_BEFORE  " (key "
#define KEY_AFTER   ")"


struct exports_fix_s {
    exports_fix_type_t   type;
    size_t               len;
    uint8_t              entry[EXPORTS_ENTRY_LEN];
    uint8_t              key[EXPORTS_ID_KEY_MAX];
};


static void print_key(char text[EXPORTS_ERROR_TEXT], size_t n,
    const uint8_t *key, size_t len);
static exports_rc_t keep_fix(exports_check_t *c, exports_fix_type_t type,
    const uint8_t *key, size_t len, const uint8_t *entry);
static exports_rc_t apply_pass(exports_check_t *c, exports_writer_t *writer,
    unsigned pass, exports_error_t *error);
static unsigned pass_of(exports_fix_type_t type);
static void mark_scope(const exports_check_t *c, const exports_fix_t *fix);
static exports_rc_t apply(exports_check_t *c, exports_writer_t *writer,
    const exports_fix_t *fix, exports_error_t *error);
static exports_rc_t apply_index(exports_check_t *c, exports_writer_t *writer,
    const exports_fix_t *fix, exports_error_t *error);


exports_rc_t
exports_verify_report(exports_check_t *c, exports_fix_type_t type,
    const uint8_t *key, size_t len, const uint8_t *entry, const char *fmt, ...)
{
    int      n;
    char     text[EXPORTS_ERROR_TEXT];
    size_t   i;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    /* a damaged id may have any bytes */

    for (i = 0; text[i] != '\0'; i++) {
        if ((unsigned char) text[i] < 0x20 || (unsigned char) text[i] > 0x7e) {
            text[i] = '?';
        }
    }

    /* the key, for the record may have no readable name; if there is room */

    n += (int) sizeof(KEY_BEFORE KEY_AFTER);

    if (key != NULL && n < (int) sizeof(text)) {
        print_key(text, i, key, len);
    }

    c->result->faults++;
    c->fault(c->data, text);

    return c->repair && type != FIX_NONE && key != NULL
               ? keep_fix(c, type, key, len, entry) : EXPORTS_OK;
}


/* appends the key to a text of length n */

static void
print_key(char text[EXPORTS_ERROR_TEXT], size_t n, const uint8_t *key,
    size_t len)
{
    size_t  i;

    n += (size_t) snprintf(text + n, EXPORTS_ERROR_TEXT - n, KEY_BEFORE);

    for (i = 0; i < len && n + 3 < EXPORTS_ERROR_TEXT; i++, n += 2) {
        exports_hex(text + n, key + i, 1);
    }

    (void) snprintf(text + n, EXPORTS_ERROR_TEXT - n, KEY_AFTER);
}


static exports_rc_t
keep_fix(exports_check_t *c, exports_fix_type_t type, const uint8_t *key,
    size_t len, const uint8_t *entry)
{
    exports_fix_t  *fix;

    /* LMDB cannot delete what has an empty key; one that is longer than any of
       ours is left to whoever wrote it */

    if (len == 0 || len > EXPORTS_ID_KEY_MAX || c->nfixes == FIXES_MAX) {
        return EXPORTS_OK;
    }

    if (c->nfixes == c->fixes_size
        && exports_grow((void **) &c->fixes, &c->fixes_size,
                        sizeof(exports_fix_t))
           != 0)
    {
        return EXPORTS_NOMEM;
    }

    fix = &c->fixes[c->nfixes++];
    fix->type = type;
    fix->len = len;
    memcpy(fix->key, key, len);

    if (entry != NULL) {
        memcpy(fix->entry, entry, EXPORTS_ENTRY_LEN);
    }

    return EXPORTS_OK;
}


exports_rc_t
exports_verify_fix(exports_check_t *c, exports_writer_t *writer,
    exports_error_t *error)
{
    unsigned      pass;
    exports_rc_t  rc;

    for (rc = EXPORTS_OK, pass = PASS_DROP;
         pass < PASSES && rc == EXPORTS_OK;
         pass++)
    {
        rc = apply_pass(c, writer, pass, error);
    }

    return rc;
}


static exports_rc_t
apply_pass(exports_check_t *c, exports_writer_t *writer, unsigned pass,
    exports_error_t *error)
{
    size_t        i;
    exports_rc_t  rc;

    for (rc = EXPORTS_OK, i = 0; i < c->nfixes && rc == EXPORTS_OK; i++) {

        if (pass_of(c->fixes[i].type) == pass) {
            mark_scope(c, &c->fixes[i]);
            rc = apply(c, writer, &c->fixes[i], error);
        }
    }

    return rc;
}


static unsigned
pass_of(exports_fix_type_t type)
{
    switch (type) {

    case FIX_INDEX:
        return PASS_ADD;

    case FIX_RERANK:
        return PASS_COUNT;

    default:
        return PASS_DROP;
    }
}


/* a scope whose lists are changed gets a new revision and counts */

static void
mark_scope(const exports_check_t *c, const exports_fix_t *fix)
{
    exports_known_scope_t  *scope;

    /* neither an id that leads nowhere nor a token is in a list */

    if (fix->type == FIX_DROP_ID || fix->type == FIX_DROP_TOKEN
        || fix->len < 8)
    {
        return;
    }

    scope = exports_verify_find_scope(c, exports_get64(fix->key));

    if (scope != NULL) {
        scope->changed = 1;
    }
}


static exports_rc_t
apply(exports_check_t *c, exports_writer_t *writer, const exports_fix_t *fix,
    exports_error_t *error)
{
    switch (fix->type) {

    case FIX_DROP_MANIFEST:
        return exports_writer_drop_manifest(writer, fix->key, fix->len, error);

    case FIX_INDEX:
        return apply_index(c, writer, fix, error);

    case FIX_DROP_ID:
        return exports_writer_drop_id(writer, fix->key, fix->len, error);

    case FIX_DROP_TOKEN:
        return exports_writer_drop_token(writer, fix->key, error);

    case FIX_DROP_ENTRY:
        return exports_writer_drop_facet(writer, fix->key, fix->len,
                                         fix->entry, error);

    case FIX_DROP_RANKS:
        return exports_writer_drop_ranks(writer, fix->key, fix->len, error);

    case FIX_RERANK:
        return exports_writer_rerank(writer, fix->key, fix->len, error);

    case FIX_RECOUNT:           /* done by exports_verify_touch() */
    case FIX_NONE:              /* never noted */
        break;
    }

    return EXPORTS_OK;
}


static exports_rc_t
apply_index(exports_check_t *c, exports_writer_t *writer,
    const exports_fix_t *fix, exports_error_t *error)
{
    int               twice;
    MDB_val           v;
    exports_record_t  record;

    if (exports_mdb_get(c->reader->txn, c->reader->env->dbi[DB_MANIFESTS],
                        fix->key, fix->len, &v)
            != EXPORTS_OK
        || exports_record_decode(&record, fix->key, v.mv_data, v.mv_size)
           != EXPORTS_OK)
    {
        return EXPORTS_OK;
    }

    (void) exports_verify_id(c, fix->key, &record, &twice);

    if (twice) {

        /* no id led to either of two records with the same id: the first one
           has been indexed by now, and stays */

        exports_verify_uncount(c, fix->key, &record);

        return exports_writer_drop_manifest(writer, fix->key, fix->len, error);
    }

    return exports_writer_index(writer, fix->key, &record, error);
}


void
exports_verify_release(exports_check_t *c)
{
    free(c->fixes);
    free(c->scopes);
}
