
/*
 * Every record is looked up in all its indexes.  When nothing is missing there
 * and an index holds as many entries as the records ask for, it holds nothing
 * else; only where it holds more is each entry traced back to its record.
 */

#define _GNU_SOURCE             /* qsort_r() */

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_json.h"
#include "exports_private.h"
#include "exports_verify.h"


/* what a repair does; more faults than these take another run */
#define FIXES_MAX  1000000

/* drops, additions, counts */
#define PASS_LAST  2

typedef enum {
    FIX_DROP_MANIFEST = 1,
    FIX_INDEX,
    FIX_DROP_ID,
    FIX_DROP_TOKEN,
    FIX_DROP_ENTRY,
    FIX_DROP_RANKS,
    FIX_RERANK,
    FIX_RECOUNT
} fix_type_t;

typedef struct {
    fix_type_t         type;
    size_t             len;
    uint8_t            entry[EXPORTS_ENTRY_LEN];
    uint8_t            key[EXPORTS_ID_KEY_MAX];
} fix_t;

typedef struct {
    uint64_t           id;
    uint64_t           left[EXPORTS_STATUSES];  /* of its counts, no record */
    uint64_t           unread;      /* records whose status is not known */
    uint8_t            changed;     /* by a repair */
    uint8_t            key_len;
    uint8_t            key[EXPORTS_SCOPE_KEY_MAX];
} known_scope_t;

typedef struct {
    exports_reader_t  *reader;
    MDB_cursor        *facets;
    exports_verify_t  *result;
    exports_fault_pt   fault;
    void              *data;

    int                repair;
    fix_t             *fixes;
    size_t             nfixes;
    size_t             fixes_size;

    known_scope_t     *scopes;
    size_t             nscopes;
    size_t             scopes_size;

    uint64_t           next_scope;
    int                scopes_lost; /* a scope cannot be read */
    uint64_t           records;     /* that can be read */
    uint64_t           expected;    /* entries of facets that these ask for */
} check_t;


static const char  orphaned[] = "is of a scope that does not exist";


static exports_rc_t check_all(check_t *c);
static exports_rc_t check_next_scope(check_t *c);
static exports_rc_t check_scope(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static exports_rc_t check_scopes_unique(check_t *c);
static exports_rc_t check_token(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static exports_rc_t check_manifest(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static void count_manifest(check_t *c, const uint8_t *key, size_t key_len,
    const exports_record_t *record);
static exports_rc_t check_counts(check_t *c);
static int counts_agree(const known_scope_t *scope);
static const char *manifest_fault(check_t *c, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len,
    exports_record_t *record);
static exports_rc_t check_indexes(check_t *c, const uint8_t *key,
    const exports_record_t *record);
static int leads_to_record(check_t *c, const uint8_t *id_key, size_t len,
    const uint8_t *key);
static exports_rc_t check_id(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);
static exports_rc_t check_entry(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static const char *entry_fault(check_t *c, const uint8_t *key,
    size_t key_len, const uint8_t *entry);
static exports_rc_t rank_fault(void *data, const uint8_t *key, size_t len,
    int list, const char *text);
static known_scope_t *find_scope(const check_t *c, uint64_t id);
static int sort_scopes(const void *a, const void *b, void *data);
static int compare_scopes(const void *a, const void *b);
static exports_rc_t report(check_t *c, fix_type_t fix, const uint8_t *key,
    size_t len, const uint8_t *entry, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
static void *grow(void *array, size_t n, size_t *size, size_t element);
static exports_rc_t apply_all(check_t *c, exports_writer_t *writer,
    unsigned pass, exports_error_t *error);
static unsigned pass_of(fix_type_t type);
static exports_rc_t apply(check_t *c, exports_writer_t *writer,
    const fix_t *fix, exports_error_t *error);
static void release(check_t *c);


exports_rc_t
exports_verify(exports_reader_t *reader, exports_verify_t *result,
    exports_fault_pt fault, void *data, exports_error_t *error)
{
    check_t       c;
    exports_rc_t  rc;

    memset(result, 0, sizeof(exports_verify_t));
    memset(&c, 0, sizeof(check_t));

    c.reader = reader;
    c.result = result;
    c.fault = fault;
    c.data = data;

    rc = check_all(&c);

    release(&c);

    return rc == EXPORTS_OK ? rc
                            : exports_error(error, rc, "verifying: %s",
                                            exports_strerror(rc));
}


exports_rc_t
exports_repair(exports_writer_t *writer, exports_verify_t *result,
    exports_fault_pt fault, void *data, exports_error_t *error)
{
    size_t        i;
    check_t       c;
    unsigned      pass;
    exports_rc_t  rc;

    memset(result, 0, sizeof(exports_verify_t));
    memset(&c, 0, sizeof(check_t));

    c.reader = exports_writer_reader(writer);
    c.result = result;
    c.fault = fault;
    c.data = data;
    c.repair = 1;

    rc = check_all(&c);

    if (rc != EXPORTS_OK) {
        release(&c);
        return exports_error(error, rc, "verifying: %s", exports_strerror(rc));
    }

    /* what is dropped may be in the place of what is added, and what is left
       in the end is counted */

    for (pass = 0; pass <= PASS_LAST && rc == EXPORTS_OK; pass++) {
        rc = apply_all(&c, writer, pass, error);
    }

    for (i = 0; i < c.nscopes && rc == EXPORTS_OK; i++) {
        if (c.scopes[i].changed) {
            rc = exports_writer_touch(writer, c.scopes[i].key[0],
                                      (char *) c.scopes[i].key + 1,
                                      c.scopes[i].key_len - 1U, error);
        }
    }

    release(&c);

    return rc;
}


static exports_rc_t
check_all(check_t *c)
{
    MDB_stat       st;
    exports_rc_t   rc;
    exports_env_t *env;

    env = c->reader->env;

    rc = check_next_scope(c);

    if (rc == EXPORTS_OK) {
        rc = exports_walk_scopes(c->reader, check_scope, c);
    }

    if (rc == EXPORTS_OK) {
        rc = check_scopes_unique(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_walk_tokens(c->reader, check_token, c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_reader_cursor(c->reader, DB_FACETS, &c->facets);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_walk_manifests(c->reader, 0, check_manifest, c);
        mdb_cursor_close(c->facets);
    }

    if (rc == EXPORTS_OK) {
        rc = check_counts(c);
    }

    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (mdb_stat(c->reader->txn, env->dbi[DB_IDS], &st) != 0) {
        return EXPORTS_FAILED;
    }

    c->result->ids = st.ms_entries;

    if (c->result->faults > 0 || st.ms_entries != c->records) {
        rc = exports_walk_ids(c->reader, check_id, c);
    }

    if (rc != EXPORTS_OK
        || mdb_stat(c->reader->txn, env->dbi[DB_FACETS], &st) != 0)
    {
        return rc != EXPORTS_OK ? rc : EXPORTS_FAILED;
    }

    c->result->entries = st.ms_entries;

    if (c->result->faults > 0 || st.ms_entries != c->expected) {
        rc = exports_walk_facets(c->reader, check_entry, c);
    }

    return rc == EXPORTS_OK ? exports_verify_ranks(c->reader, rank_fault, c)
                            : rc;
}


static exports_rc_t
check_next_scope(check_t *c)
{
    size_t          len;
    exports_rc_t    rc;
    const uint8_t  *value;

    rc = exports_meta_get(c->reader->txn, c->reader->env,
                          EXPORTS_META_NEXT_SCOPE, &value, &len);

    if (rc == EXPORTS_OK && len == 8) {
        c->next_scope = exports_get64(value);
        return EXPORTS_OK;
    }

    c->next_scope = UINT64_MAX;

    return report(c, 0, NULL, 0, NULL,
                  "meta: the next scope ID cannot be read");
}


static exports_rc_t
check_scope(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    check_t          *c = data;
    const char       *name;
    known_scope_t    *known;
    exports_scope_t   scope;

    c->result->scopes++;
    name = (const char *) key + 1;

    if (key_len < 2 || (key[0] != EXPORTS_PROJECT && key[0] != EXPORTS_USER)
        || !exports_scope_name_valid(key[0], name, key_len - 1))
    {
        c->scopes_lost = 1;
        return report(c, 0, key, key_len, NULL, "scopes: not a scope's key");
    }

    if (exports_scope_decode(&scope, key, key_len, value, len) != EXPORTS_OK) {
        c->scopes_lost = 1;
        return report(c, 0, key, key_len, NULL,
                      "scopes: %s \"%.*s\": fails its checksum",
                      exports_kind_name(key[0]), (int) key_len - 1, name);
    }

    if (scope.id == 0 || scope.id >= c->next_scope) {
        c->scopes_lost = 1;
        return report(c, 0, key, key_len, NULL,
                      "scopes: %s \"%.*s\": its ID was never given out",
                      exports_kind_name(key[0]), (int) key_len - 1, name);
    }

    if (c->nscopes == c->scopes_size) {
        c->scopes = grow(c->scopes, c->nscopes, &c->scopes_size,
                         sizeof(known_scope_t));
        if (c->scopes == NULL) {
            return EXPORTS_NOMEM;
        }
    }

    known = &c->scopes[c->nscopes++];
    known->id = scope.id;
    memcpy(known->left, scope.counts, sizeof(known->left));
    known->unread = 0;
    known->changed = 0;
    known->key_len = (uint8_t) key_len;
    memcpy(known->key, key, key_len);

    return EXPORTS_OK;
}


static exports_rc_t
check_scopes_unique(check_t *c)
{
    size_t        i;
    exports_rc_t  rc;

    if (c->nscopes == 0) {
        return EXPORTS_OK;
    }

    qsort_r(c->scopes, c->nscopes, sizeof(known_scope_t), sort_scopes, c);

    for (rc = EXPORTS_OK, i = 1; i < c->nscopes && rc == EXPORTS_OK; i++) {
        if (c->scopes[i].id == c->scopes[i - 1].id) {
            rc = report(c, 0, NULL, 0, NULL, "scopes: ID %llu is given twice",
                        (unsigned long long) c->scopes[i].id);
        }
    }

    return rc;
}


static exports_rc_t
check_token(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    char                   id[EXPORTS_TOKEN_ID_LEN];
    check_t               *c = data;
    exports_token_t        token;
    const known_scope_t   *scope;

    c->result->tokens++;

    if (key_len != EXPORTS_SHA256_LEN) {
        return report(c, 0, key, key_len, NULL, "tokens: not a token's key");
    }

    exports_token_id(id, key);

    if (exports_token_decode(&token, key, value, len) != EXPORTS_OK) {
        return report(c, FIX_DROP_TOKEN, key, key_len, NULL,
                      "tokens: %.*s: fails its checksum",
                      EXPORTS_TOKEN_ID_LEN, id);
    }

    scope = find_scope(c, token.scope);

    if (scope == NULL || scope->key[0] != token.kind
        || scope->key_len - 1U != token.scope_name.len
        || memcmp(scope->key + 1, token.scope_name.data, token.scope_name.len)
           != 0)
    {
        return report(c, 0, key, key_len, NULL,
                      "tokens: %.*s: its scope does not exist",
                      EXPORTS_TOKEN_ID_LEN, id);
    }

    return EXPORTS_OK;
}


static exports_rc_t
check_manifest(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    check_t            *c = data;
    const char         *fault;
    exports_record_t    record;

    c->result->manifests++;

    fault = manifest_fault(c, key, key_len, value, len, &record);

    if (fault == NULL) {
        return check_indexes(c, key, &record);
    }

    count_manifest(c, key, key_len, NULL);

    /* whose scope is damaged may be all right itself */

    return report(c, fault == orphaned && c->scopes_lost ? 0
                                                         : FIX_DROP_MANIFEST,
                  key, key_len, NULL, "manifests: a record %s", fault);
}


/* record: NULL when it cannot be read, and will be dropped */

static void
count_manifest(check_t *c, const uint8_t *key, size_t key_len,
    const exports_record_t *record)
{
    known_scope_t  *scope;

    scope = key_len == EXPORTS_MANIFEST_KEY_LEN
                ? find_scope(c, exports_get64(key)) : NULL;

    if (scope == NULL) {
        return;
    }

    if (record != NULL) {
        scope->left[record->item.status - 1]--;

    } else {
        scope->unread++;
    }
}


static exports_rc_t
check_counts(check_t *c)
{
    size_t          i;
    uint8_t         id[8];
    exports_rc_t    rc;
    known_scope_t  *scope;

    for (rc = EXPORTS_OK, i = 0; i < c->nscopes && rc == EXPORTS_OK; i++) {
        scope = &c->scopes[i];

        /* records are one scope's: of two with one ID neither can be checked */

        if (counts_agree(scope)
            || (i > 0 && scope[-1].id == scope->id)
            || (i + 1 < c->nscopes && scope[1].id == scope->id))
        {
            continue;
        }

        exports_put64(id, scope->id);

        rc = report(c, FIX_RECOUNT, id, 8, NULL,
                    "scopes: %s \"%.*s\": counts other manifests than it has",
                    exports_kind_name(scope->key[0]), scope->key_len - 1,
                    (char *) scope->key + 1);
    }

    return rc;
}


/* which of the records that cannot be read are counted, and where, is unknown */

static int
counts_agree(const known_scope_t *scope)
{
    unsigned  i;
    uint64_t  sum;

    for (sum = 0, i = 0; i < EXPORTS_STATUSES; i++) {
        if (scope->left[i] > scope->unread) {
            return 0;
        }

        sum += scope->left[i];
    }

    return sum <= scope->unread;
}


static const char *
manifest_fault(check_t *c, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len, exports_record_t *record)
{
    json_t               *item;
    uint64_t              tie;
    const known_scope_t  *scope;

    if (key_len != EXPORTS_MANIFEST_KEY_LEN) {
        return "has a key of another length";
    }

    if (exports_record_decode(record, key, value, len) != EXPORTS_OK) {
        return "fails its checksum";
    }

    scope = find_scope(c, exports_get64(key));

    if (scope == NULL || scope->key[0] != record->item.kind) {
        return orphaned;
    }

    if (!exports_id_valid(record->item.kind, record->item.id.data,
                          record->item.id.len))
    {
        return "has an id that cannot be one";
    }

    if (exports_tie(record->item.id.data, record->item.id.len, &tie) != 0
        || tie != exports_get64(key + 16))
    {
        return "is not of the id that its key stands for";
    }

    /* jansson refuses what is not UTF-8 */

    item = json_loadb(record->item.json, record->item.json_len,
                      JSON_REJECT_DUPLICATES, NULL);
    if (item == NULL) {
        return "has an item that is not JSON";
    }

    json_decref(item);

    return NULL;
}


static exports_rc_t
check_indexes(check_t *c, const uint8_t *key, const exports_record_t *record)
{
    size_t              len;
    uint8_t             id_key[EXPORTS_ID_KEY_MAX];
    MDB_val             k, v;
    unsigned            facet;
    exports_facet_t     list;
    exports_facets_t    facets;
    const uint8_t      *found;
    const char         *missing;

    missing = NULL;

    len = exports_id_key(id_key, record->item.kind, exports_get64(key),
                         record->item.id.data, record->item.id.len);

    if (exports_mdb_get(c->reader->txn, c->reader->env->dbi[DB_IDS], id_key,
                        len, &v)
            != EXPORTS_OK
        || exports_id_decode(&found, id_key, len, v.mv_data, v.mv_size)
           != EXPORTS_OK)
    {
        missing = "ids";

    } else if (memcmp(found, key, EXPORTS_MANIFEST_KEY_LEN) != 0) {

        if (leads_to_record(c, id_key, len, found)) {
            return report(c, FIX_DROP_MANIFEST, key, EXPORTS_MANIFEST_KEY_LEN,
                          NULL, "manifests: \"%.*s\" is there twice",
                          (int) record->item.id.len, record->item.id.data);
        }

        missing = "ids";
    }

    c->records++;
    count_manifest(c, key, EXPORTS_MANIFEST_KEY_LEN, record);

    if (exports_record_facets(&facets, record) != 0) {
        return EXPORTS_NOMEM;
    }

    for (facet = EXPORTS_FACET_ALL;
         facet <= EXPORTS_FACET_MASK;
         facet = exports_facet_next(facet, &facets))
    {
        exports_facet_key(&list, exports_get64(key), facet, &facets);

        c->expected++;

        k.mv_data = list.bytes;
        k.mv_size = list.len;
        v.mv_data = (void *) (key + 8);
        v.mv_size = EXPORTS_ENTRY_LEN;

        if (mdb_cursor_get(c->facets, &k, &v, MDB_GET_BOTH) != 0) {
            missing = "facets";
        }
    }

    if (missing == NULL) {
        return EXPORTS_OK;
    }

    return report(c, FIX_INDEX, key, EXPORTS_MANIFEST_KEY_LEN, NULL,
                  "%s: \"%.*s\" is not listed as it should be", missing,
                  (int) record->item.id.len, record->item.id.data);
}


static exports_rc_t
check_id(void *data, const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    size_t          skip;
    check_t        *c = data;
    const uint8_t  *found;

    if (key_len <= EXPORTS_ID_KEY_MAX
        && exports_id_decode(&found, key, key_len, value, len) == EXPORTS_OK
        && leads_to_record(c, key, key_len, found))
    {
        return EXPORTS_OK;
    }

    skip = key_len > 0 && key[0] == EXPORTS_PROJECT ? 9 : 1;

    return report(c, FIX_DROP_ID, key, key_len, NULL,
                  "ids: \"%.*s\" leads to no record of that id",
                  key_len > skip ? (int) (key_len - skip) : 0,
                  (const char *) key + skip);
}


/* an id to a record that is its own and will stay */

static int
leads_to_record(check_t *c, const uint8_t *id_key, size_t len,
    const uint8_t *key)
{
    size_t              skip;
    MDB_val             v;
    const char         *fault;
    exports_record_t    record;

    skip = 1;

    if (len > 0 && id_key[0] == EXPORTS_PROJECT) {
        skip = 9;

        if (len < skip || memcmp(id_key + 1, key, 8) != 0) {
            return 0;
        }
    }

    if (exports_mdb_get(c->reader->txn, c->reader->env->dbi[DB_MANIFESTS], key,
                        EXPORTS_MANIFEST_KEY_LEN, &v)
        != EXPORTS_OK)
    {
        return 0;
    }

    fault = manifest_fault(c, key, EXPORTS_MANIFEST_KEY_LEN, v.mv_data,
                           v.mv_size, &record);

    return (fault == NULL || (fault == orphaned && c->scopes_lost))
           && record.item.kind == id_key[0]
           && record.item.id.len == len - skip
           && memcmp(record.item.id.data, id_key + skip, len - skip) == 0;
}


static exports_rc_t
check_entry(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    check_t     *c = data;
    const char  *fault;

    if (len != EXPORTS_ENTRY_LEN) {
        return report(c, 0, key, key_len, NULL,
                      "facets: an entry of another length");
    }

    fault = entry_fault(c, key, key_len, value);

    return fault == NULL ? EXPORTS_OK
                         : report(c, FIX_DROP_ENTRY, key, key_len, value,
                                  "facets: an entry %s", fault);
}


static const char *
entry_fault(check_t *c, const uint8_t *key, size_t key_len,
    const uint8_t *entry)
{
    uint8_t             manifest_key[EXPORTS_MANIFEST_KEY_LEN];
    MDB_val             v;
    exports_facet_t     list;
    exports_record_t    record;
    exports_facets_t    facets;

    if (key_len < 9 || key_len > EXPORTS_FACET_KEY_MAX
        || key[8] > EXPORTS_FACET_MASK)
    {
        return "of a list with an impossible key";
    }

    memcpy(manifest_key, key, 8);
    memcpy(manifest_key + 8, entry, EXPORTS_ENTRY_LEN);

    if (exports_mdb_get(c->reader->txn, c->reader->env->dbi[DB_MANIFESTS],
                        manifest_key, EXPORTS_MANIFEST_KEY_LEN, &v)
            != EXPORTS_OK
        || exports_record_decode(&record, manifest_key, v.mv_data, v.mv_size)
           != EXPORTS_OK
        || exports_record_facets(&facets, &record) != 0)
    {
        return "leads to no record that can be read";
    }

    if ((key[8] & ~facets.has) == 0) {
        exports_facet_key(&list, exports_get64(key), key[8], &facets);

        if (list.len == key_len && memcmp(list.bytes, key, key_len) == 0) {
            return NULL;
        }
    }

    return "leads to a record that does not belong in its list";
}


static exports_rc_t
rank_fault(void *data, const uint8_t *key, size_t len, int list,
    const char *text)
{
    return report(data, list ? FIX_RERANK : FIX_DROP_RANKS, key, len, NULL,
                  "%s", text);
}


static known_scope_t *
find_scope(const check_t *c, uint64_t id)
{
    known_scope_t  wanted;

    if (c->nscopes == 0) {
        return NULL;
    }

    wanted.id = id;

    return bsearch(&wanted, c->scopes, c->nscopes, sizeof(known_scope_t),
                   compare_scopes);
}


static int
sort_scopes(const void *a, const void *b, void *data)
{
    check_t *c = data;

    c->reader->env->steps++;

    return compare_scopes(a, b);
}


static int
compare_scopes(const void *a, const void *b)
{
    const known_scope_t  *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}


/* fix: 0 when nothing can be done about it */

static exports_rc_t
report(check_t *c, fix_type_t type, const uint8_t *key, size_t len,
    const uint8_t *entry, const char *fmt, ...)
{
    int      n;
    char     text[EXPORTS_ERROR_TEXT];
    fix_t   *fix;
    size_t   i;
    va_list  args;

    va_start(args, fmt);
    n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);

    /* an id that is none may be any bytes */

    for (i = 0; text[i] != '\0'; i++) {
        if ((unsigned char) text[i] < 0x20 || (unsigned char) text[i] > 0x7e) {
            text[i] = '?';
        }
    }

    /* the key of a record that has no readable name */

    if (key != NULL && n > 0) {
        n += snprintf(text + n, sizeof(text) - (size_t) n, " (key ");

        for (i = 0; i < len && (size_t) n + 3 < sizeof(text); i++, n += 2) {
            exports_hex(text + n, key + i, 1);
        }

        (void) snprintf(text + n, sizeof(text) - (size_t) n, ")");
    }

    c->result->faults++;
    c->fault(c->data, text);

    if (!c->repair || type == 0 || key == NULL || len > EXPORTS_ID_KEY_MAX
        || c->nfixes == FIXES_MAX)
    {
        return EXPORTS_OK;
    }

    if (c->nfixes == c->fixes_size) {
        c->fixes = grow(c->fixes, c->nfixes, &c->fixes_size, sizeof(fix_t));
        if (c->fixes == NULL) {
            return EXPORTS_NOMEM;
        }
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


static void *
grow(void *array, size_t n, size_t *size, size_t element)
{
    void  *larger;

    *size = n == 0 ? 64 : 2 * n;

    larger = realloc(array, *size * element);

    if (larger == NULL) {
        free(array);
    }

    return larger;
}


static exports_rc_t
apply_all(check_t *c, exports_writer_t *writer, unsigned pass,
    exports_error_t *error)
{
    size_t        i;
    exports_rc_t  rc;

    for (rc = EXPORTS_OK, i = 0; i < c->nfixes && rc == EXPORTS_OK; i++) {

        if (pass_of(c->fixes[i].type) == pass) {
            rc = apply(c, writer, &c->fixes[i], error);
            c->result->repaired += (rc == EXPORTS_OK);
        }
    }

    return rc;
}


static unsigned
pass_of(fix_type_t type)
{
    return type == FIX_RERANK ? PASS_LAST : type == FIX_INDEX;
}


static exports_rc_t
apply(check_t *c, exports_writer_t *writer, const fix_t *fix,
    exports_error_t *error)
{
    MDB_val            v;
    known_scope_t     *scope;
    exports_record_t   record;

    /* an id that leads nowhere is in no list, nor is a token */

    if (fix->type != FIX_DROP_ID && fix->type != FIX_DROP_TOKEN
        && fix->len >= 8)
    {
        scope = find_scope(c, exports_get64(fix->key));

        if (scope != NULL) {
            scope->changed = 1;
        }
    }

    switch (fix->type) {

    case FIX_DROP_MANIFEST:
        return exports_writer_drop_manifest(writer, fix->key, fix->len, error);

    case FIX_DROP_TOKEN:
        return exports_writer_drop_token(writer, fix->key, error);

    case FIX_DROP_ID:
        return exports_writer_drop_id(writer, fix->key, fix->len, error);

    case FIX_DROP_ENTRY:
        return exports_writer_drop_facet(writer, fix->key, fix->len,
                                         fix->entry, error);

    case FIX_DROP_RANKS:
        return exports_writer_drop_ranks(writer, fix->key, fix->len, error);

    case FIX_RERANK:
        return exports_writer_rerank(writer, fix->key, fix->len, error);

    case FIX_RECOUNT:
        return EXPORTS_OK;

    case FIX_INDEX:
        break;
    }

    if (exports_mdb_get(c->reader->txn, c->reader->env->dbi[DB_MANIFESTS],
                        fix->key, fix->len, &v)
            != EXPORTS_OK
        || exports_record_decode(&record, fix->key, v.mv_data, v.mv_size)
           != EXPORTS_OK)
    {
        return EXPORTS_OK;
    }

    return exports_writer_index(writer, fix->key, &record, error);
}


static void
release(check_t *c)
{
    free(c->fixes);
    free(c->scopes);
}
