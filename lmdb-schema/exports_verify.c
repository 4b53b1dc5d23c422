
/*
 * The order of the checks: all pages, once; then, as all that follows reads by
 * LMDB, what LMDB trusts in the nodes of lists; the scopes, which the rest is
 * looked up in; tokens and manifests; the indexes, entry by entry only if there
 * is reason to; and last the blocks of lists.
 */

#include <string.h>

#include "exports_item.h"
#include "exports_verify_private.h"


/* what is left to do when there is no repair */
#define WHAT_IS_LEFT  "restore a backup, or export what can be read"


static void init(exports_check_t *c, exports_verify_t *result,
    exports_fault_pt fault, void *data);
static exports_rc_t mend(exports_check_t *c, exports_writer_t *writer,
    exports_error_t *error);
static exports_rc_t check_all(exports_check_t *c);
static exports_rc_t check_again(exports_check_t *c, exports_error_t *error);
static exports_rc_t could_not(exports_error_t *error, exports_rc_t rc,
    const char *what);
static void ignore_fault(void *data, const char *text);
static exports_rc_t check_token(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static int scope_exists(const exports_check_t *c,
    const exports_token_t *token);
static exports_rc_t rank_fault(void *data, exports_rank_fault_t type,
    const uint8_t *key, size_t len, const char *text);


exports_rc_t
exports_verify(exports_reader_t *reader, exports_verify_t *result,
    exports_fault_pt fault, void *data, exports_error_t *error)
{
    exports_rc_t     rc;
    exports_check_t  c;

    init(&c, result, fault, data);

    c.reader = reader;

    rc = exports_verify_pages(&c);

    if (rc == EXPORTS_OK) {
        rc = check_all(&c);
    }

    exports_verify_release(&c);

    return rc == EXPORTS_OK ? rc : could_not(error, rc, "verifying");
}


exports_rc_t
exports_repair(exports_writer_t *writer, exports_verify_t *result,
    exports_fault_pt fault, void *data, exports_error_t *error)
{
    exports_rc_t     rc;
    exports_check_t  c;

    init(&c, result, fault, data);

    c.reader = exports_writer_reader(writer);
    c.repair = 1;

    rc = exports_verify_pages(&c);

    if (rc == EXPORTS_NOT_FOUND) {
        exports_verify_release(&c);
        return exports_error(error, EXPORTS_FAILED, "nothing is repaired, for "
                             "pages cannot be looked at without "
                             "/proc/self/maps");
    }

    /* if pages are damaged nothing is repaired, and LMDB might die of them */

    if (rc == EXPORTS_OK && !c.trees_damaged) {
        rc = check_all(&c);
    }

    rc = rc == EXPORTS_OK ? mend(&c, writer, error)
                          : could_not(error, rc, "verifying");

    exports_verify_release(&c);

    return rc;
}


/*
 * If entries are missing, what leads to them looks as if it had to be dropped;
 * and if a page is in the place of another one, writing to it changes it where
 * it belongs, too.  A repair would do more harm.
 */

static exports_rc_t
mend(exports_check_t *c, exports_writer_t *writer, exports_error_t *error)
{
    exports_rc_t  rc;

    if (c->trees_damaged) {
        return exports_error(error, EXPORTS_CORRUPT, "nothing is repaired, "
                             "for pages are damaged, or entries are missing "
                             "or out of order: "
                             WHAT_IS_LEFT);
    }

    rc = exports_verify_fix(c, writer, error);

    if (rc == EXPORTS_OK) {
        rc = exports_verify_touch(c, writer, error);
    }

    return rc == EXPORTS_OK && c->result->faults > 0 ? check_again(c, error)
                                                     : rc;
}


/* a repair may fail to remove what a search does not find; and one fault may be
   the cause of others, which are gone with it */

static exports_rc_t
check_again(exports_check_t *c, exports_error_t *error)
{
    exports_rc_t      rc;
    exports_check_t   again;
    exports_verify_t  left;

    init(&again, &left, ignore_fault, NULL);

    again.reader = c->reader;

    rc = check_all(&again);

    exports_verify_release(&again);

    if (rc != EXPORTS_OK) {
        return could_not(error, rc, "verifying what was repaired");
    }

    c->result->repaired = c->result->faults > left.faults
                              ? c->result->faults - left.faults : 0;

    return EXPORTS_OK;
}


static exports_rc_t
could_not(exports_error_t *error, exports_rc_t rc, const char *what)
{
    return exports_error(error, rc, "%s: %s%s", what, exports_strerror(rc),
                         rc == EXPORTS_CORRUPT ? ": " WHAT_IS_LEFT : "");
}


/* the faults that are left have been reported before */

static void
ignore_fault(void *data, const char *text)
{
    (void) data;
    (void) text;
}


static void
init(exports_check_t *c, exports_verify_t *result, exports_fault_pt fault,
    void *data)
{
    memset(result, 0, sizeof(exports_verify_t));
    memset(c, 0, sizeof(exports_check_t));

    c->result = result;
    c->fault = fault;
    c->data = data;
}


static exports_rc_t
check_all(exports_check_t *c)
{
    exports_rc_t  rc;

    rc = exports_verify_nodes(c->reader);

    if (rc == EXPORTS_OK) {
        rc = exports_verify_scopes(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_walk(c, DB_TOKENS, check_token);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_manifests(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_counts(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_ids(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_entries(c);
    }

    return rc == EXPORTS_OK ? exports_verify_ranks(c->reader, rank_fault, c)
                            : rc;
}


exports_rc_t
exports_verify_walk(exports_check_t *c, exports_db_t db,
    exports_visit_pt visit)
{
    exports_rc_t      rc;
    exports_walked_t  walked;

    rc = exports_walk(c->reader, db, visit, c, &walked);

    if (rc != EXPORTS_OK || exports_walked_whole(&walked)) {
        return rc;
    }

    c->trees_damaged = 1;

    return exports_verify_report(c, FIX_NONE, NULL, 0, NULL,
                                 "%s: %llu entries, of %llu; %llu are out "
                                 "of order", exports_db_names[db],
                                 (unsigned long long) walked.entries,
                                 (unsigned long long) walked.stored,
                                 (unsigned long long) walked.unordered);
}


/* a value that passes its checksum was written like that, by a later version or
   another program */

const char *
exports_verify_unread(const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    return len >= CHECKED_POS && len <= EXPORTS_TOKEN_RECORD_MAX
           && exports_get64(value + CHECKSUM_POS)
              == exports_checksum(key, key_len, value + CHECKED_POS,
                                  len - CHECKED_POS)
               ? "has its checksum, but cannot be decoded"
               : "fails its checksum";
}


static exports_rc_t
check_token(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    char              id[EXPORTS_TOKEN_ID_LEN];
    exports_check_t  *c = data;
    exports_token_t   token;

    c->result->tokens++;

    if (key_len != EXPORTS_SHA256_LEN) {
        return exports_verify_report(c, FIX_NONE, key, key_len, NULL,
                                     "tokens: not a token's key");
    }

    exports_token_id(id, key);

    if (exports_token_decode(&token, key, value, len) != EXPORTS_OK) {
        return exports_verify_report(c, FIX_DROP_TOKEN, key, key_len, NULL,
                                     "tokens: %.*s: %s", EXPORTS_TOKEN_ID_LEN,
                                     id, exports_verify_unread(key, key_len,
                                                               value, len));
    }

    if (!scope_exists(c, &token)) {
        return exports_verify_report(c, FIX_NONE, key, key_len, NULL,
                                     "tokens: %.*s: its scope does not exist",
                                     EXPORTS_TOKEN_ID_LEN, id);
    }

    return EXPORTS_OK;
}


static int
scope_exists(const exports_check_t *c, const exports_token_t *token)
{
    const exports_known_scope_t  *scope;

    scope = exports_verify_find_scope(c, token->scope);

    return scope != NULL
           && scope->key[0] == token->kind
           && scope->key_len - 1U == token->scope_name.len
           && memcmp(scope->key + 1, token->scope_name.data,
                     token->scope_name.len)
              == 0;
}


static exports_rc_t
rank_fault(void *data, exports_rank_fault_t type, const uint8_t *key,
    size_t len, const char *text)
{
    static const exports_fix_type_t  fixes[] = {
        [RANK_LIST] = FIX_NONE,
        [RANK_BLOCKS] = FIX_RERANK,
        [RANK_KEY] = FIX_DROP_RANKS
    };

    return exports_verify_report(data, fixes[type], key, len, NULL, "%s",
                                 text);
}
