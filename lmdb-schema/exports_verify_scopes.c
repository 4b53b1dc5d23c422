
/*
 * Checks the scopes, and keeps them in the order of their IDs: while the rest
 * is checked they are looked up, and their manifests are counted.
 */

#define _GNU_SOURCE             /* qsort_r() */

#include <stdlib.h>
#include <string.h>

#include "exports_verify_private.h"


static exports_rc_t check_next_scope(exports_check_t *c);
static exports_rc_t check_given(exports_check_t *c);
static exports_rc_t check_all_there(exports_check_t *c);
static exports_rc_t check_scope(void *data, const uint8_t *key,
    size_t key_len, const uint8_t *value, size_t len);
static exports_rc_t keep_scope(exports_check_t *c,
    const exports_scope_t *scope, const uint8_t *key, size_t key_len);
static exports_rc_t check_unique(exports_check_t *c);
static int shares_id(const exports_check_t *c, size_t i);
static int counts_agree(const exports_known_scope_t *scope);
static int sort_scopes(const void *a, const void *b, void *data);
static int compare_scopes(const void *a, const void *b);


exports_rc_t
exports_verify_scopes(exports_check_t *c)
{
    exports_rc_t  rc;

    rc = check_next_scope(c);

    if (rc == EXPORTS_OK) {
        rc = check_given(c);
    }

    if (rc == EXPORTS_OK) {
        rc = exports_verify_walk(c, DB_SCOPES, check_scope);
    }

    if (rc == EXPORTS_OK) {
        rc = check_all_there(c);
    }

    return rc == EXPORTS_OK ? check_unique(c) : rc;
}


/* if the next scope ID is an old one, the scopes may be old, too */

static exports_rc_t
check_given(exports_check_t *c)
{
    uint64_t      last;
    exports_rc_t  rc;

    rc = exports_mdb_last_scope(c->reader->txn, c->reader->env, &last);

    if (rc != EXPORTS_OK || last < c->next_scope) {

        /* a key of a wrong length is reported with the manifests */

        return rc == EXPORTS_CORRUPT ? EXPORTS_OK : rc;
    }

    c->scopes_lost = 1;

    return exports_verify_report(c, FIX_NONE, NULL, 0, NULL,
                                 "meta: the next scope gets ID %llu, but there "
                                 "are manifests of scope %llu",
                                 (unsigned long long) c->next_scope,
                                 (unsigned long long) last);
}


/* IDs are given out one after the other, and a scope is never removed */

static exports_rc_t
check_all_there(exports_check_t *c)
{
    if (c->next_scope == UINT64_MAX
        || c->result->scopes >= c->next_scope - 1)
    {
        return EXPORTS_OK;
    }

    c->scopes_lost = 1;

    return exports_verify_report(c, FIX_NONE, NULL, 0, NULL,
                                 "scopes: there are %llu, of the %llu whose "
                                 "IDs were given out",
                                 (unsigned long long) c->result->scopes,
                                 (unsigned long long) c->next_scope - 1);
}


static exports_rc_t
check_next_scope(exports_check_t *c)
{
    if (exports_meta_get64(c->reader->txn, c->reader->env,
                           EXPORTS_META_NEXT_SCOPE, &c->next_scope)
        == EXPORTS_OK)
    {
        return EXPORTS_OK;
    }

    /* then it is not known either whether all scopes are there */

    c->next_scope = UINT64_MAX;
    c->scopes_lost = 1;

    return exports_verify_report(c, FIX_NONE, NULL, 0, NULL,
                                 "meta: the next scope ID cannot be read");
}


static exports_rc_t
check_scope(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len)
{
    const char       *name, *fault;
    exports_check_t  *c = data;
    exports_scope_t   scope;

    c->result->scopes++;
    name = (const char *) key + 1;

    if (key_len < 2 || (key[0] != EXPORTS_PROJECT && key[0] != EXPORTS_USER)
        || !exports_scope_name_valid(key[0], name, key_len - 1))
    {
        c->scopes_lost = 1;
        return exports_verify_report(c, FIX_NONE, key, key_len, NULL,
                                     "scopes: not a scope's key");
    }

    if (exports_scope_decode(&scope, key, key_len, value, len) != EXPORTS_OK) {
        fault = "fails its checksum";

    } else if (scope.id == 0 || scope.id >= c->next_scope) {
        fault = "its ID was never given out";

    } else {
        return keep_scope(c, &scope, key, key_len);
    }

    c->scopes_lost = 1;

    return exports_verify_report(c, FIX_NONE, key, key_len, NULL,
                                 "scopes: %s \"%.*s\": %s",
                                 exports_kind_name(key[0]), (int) key_len - 1,
                                 name, fault);
}


static exports_rc_t
keep_scope(exports_check_t *c, const exports_scope_t *scope,
    const uint8_t *key, size_t key_len)
{
    exports_known_scope_t  *known;

    if (c->nscopes == c->scopes_size
        && exports_grow((void **) &c->scopes, &c->scopes_size,
                        sizeof(exports_known_scope_t))
           != 0)
    {
        return EXPORTS_NOMEM;
    }

    known = &c->scopes[c->nscopes++];
    known->id = scope->id;
    memcpy(known->counts, scope->counts, sizeof(known->counts));
    memset(known->found, 0, sizeof(known->found));
    known->unread = 0;
    known->changed = 0;
    known->key_len = (uint8_t) key_len;
    memcpy(known->key, key, key_len);

    return EXPORTS_OK;
}


static exports_rc_t
check_unique(exports_check_t *c)
{
    size_t        i;
    exports_rc_t  rc;

    if (c->nscopes == 0) {
        return EXPORTS_OK;
    }

    qsort_r(c->scopes, c->nscopes, sizeof(exports_known_scope_t), sort_scopes,
            c);

    for (rc = EXPORTS_OK, i = 1; i < c->nscopes && rc == EXPORTS_OK; i++) {
        if (c->scopes[i].id == c->scopes[i - 1].id) {

            /* one of the two must have had another ID, which is lost */

            c->scopes_lost = 1;
            rc = exports_verify_report(c, FIX_NONE, NULL, 0, NULL,
                                       "scopes: ID %llu is given twice",
                                       (unsigned long long) c->scopes[i].id);
        }
    }

    return rc;
}


void
exports_verify_count(exports_check_t *c, const uint8_t *key, size_t key_len,
    const exports_record_t *record)
{
    exports_known_scope_t  *scope;

    scope = key_len == EXPORTS_MANIFEST_KEY_LEN
                ? exports_verify_find_scope(c, exports_get64(key)) : NULL;

    if (scope == NULL) {
        return;
    }

    if (record != NULL) {
        scope->found[record->item.status - 1]++;

    } else {
        scope->unread++;
    }
}


void
exports_verify_uncount(exports_check_t *c, const uint8_t *key,
    const exports_record_t *record)
{
    exports_known_scope_t  *scope;

    scope = exports_verify_find_scope(c, exports_get64(key));

    if (scope != NULL) {
        scope->found[record->item.status - 1]--;
    }
}


exports_rc_t
exports_verify_counts(exports_check_t *c)
{
    size_t                  i;
    uint8_t                 id[8];
    exports_rc_t            rc;
    exports_known_scope_t  *scope;

    for (rc = EXPORTS_OK, i = 0; i < c->nscopes && rc == EXPORTS_OK; i++) {
        scope = &c->scopes[i];

        /* of two scopes with one ID neither can be checked, for it is unknown
           whose the records are */

        if (counts_agree(scope) || shares_id(c, i)) {
            continue;
        }

        exports_put64(id, scope->id);

        rc = exports_verify_report(c, FIX_RECOUNT, id, 8, NULL,
                                   "scopes: %s \"%.*s\": counts other "
                                   "manifests than it has",
                                   exports_kind_name(scope->key[0]),
                                   scope->key_len - 1,
                                   (char *) scope->key + 1);
    }

    return rc;
}


static int
shares_id(const exports_check_t *c, size_t i)
{
    const exports_known_scope_t  *scope;

    scope = &c->scopes[i];

    return (i > 0 && scope[-1].id == scope->id)
           || (i + 1 < c->nscopes && scope[1].id == scope->id);
}


/* Records that cannot be read may have been counted by any status, or not at
   all. */

static int
counts_agree(const exports_known_scope_t *scope)
{
    unsigned  i;
    uint64_t  sum;

    for (sum = 0, i = 0; i < EXPORTS_STATUSES; i++) {
        if (scope->counts[i] < scope->found[i]
            || scope->counts[i] - scope->found[i] > scope->unread)
        {
            return 0;
        }

        sum += scope->counts[i] - scope->found[i];
    }

    return sum <= scope->unread;
}


exports_known_scope_t *
exports_verify_find_scope(const exports_check_t *c, uint64_t id)
{
    exports_known_scope_t  wanted;

    if (c->nscopes == 0) {
        return NULL;
    }

    wanted.id = id;

    return bsearch(&wanted, c->scopes, c->nscopes,
                   sizeof(exports_known_scope_t), compare_scopes);
}


exports_rc_t
exports_verify_touch(exports_check_t *c, exports_writer_t *writer,
    exports_error_t *error)
{
    size_t        i;
    exports_rc_t  rc;

    for (rc = EXPORTS_OK, i = 0; i < c->nscopes && rc == EXPORTS_OK; i++) {
        if (c->scopes[i].changed) {
            rc = exports_writer_set_counts(writer, c->scopes[i].key[0],
                                           (char *) c->scopes[i].key + 1,
                                           c->scopes[i].key_len - 1U,
                                           c->scopes[i].found, error);
        }
    }

    return rc;
}


static int
sort_scopes(const void *a, const void *b, void *data)
{
    exports_check_t  *c = data;

    exports_env_step(c->reader->env);

    return compare_scopes(a, b);
}


static int
compare_scopes(const void *a, const void *b)
{
    const exports_known_scope_t  *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}
