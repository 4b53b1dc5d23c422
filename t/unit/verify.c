
/*
 * exports_verify*.c: each kind of fault in what is stored, made with LMDB
 * itself; and what the writer does where a record is damaged.
 */

#include "faults.h"

#include "exports_run.h"


static exports_rc_t
read_item(exports_env_t *env, unsigned scope, unsigned n)
{
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    uint64_t           id;
    const char        *text;
    exports_rc_t       rc;
    exports_record_t   record;
    exports_reader_t  *reader;

    id = stored_scope(env, scopes[scope].kind, scopes[scope].name).id;
    text = item_id(scope, n);

    reader = open_reader(env);
    renew_reader(reader);
    rc = exports_read_manifest(reader, scopes[scope].kind, id, text,
                               strlen(text), key, &record);
    exports_reader_close(reader);

    return rc;
}


static void
sound(void)
{
    uint64_t        sum;
    exports_env_t  *env;

    env = sound_store();

    is_int(verify(env), 0, "a sound store has no faults");
    is_int(result.scopes, NSCOPES, "scopes");
    is_int(result.tokens, NSCOPES, "tokens");
    is_int(result.manifests, NSCOPES * NITEMS, "manifests");
    is_int(result.ids, NSCOPES * NITEMS, "ids");

    /* a project's is in 2 lists, a user's in 4, with a subject in 16 */

    is_int(result.entries, 2 * NITEMS * 2 + 2 * (3 * 4 + 9 * 16),
           "entries of facets");

    sum = store_sum(env);
    is_int(repair(env), 0, "a repair finds none either");
    is_int(result.repaired, 0, "and mends nothing");
    ok(store_sum(env) == sum, "nor changes a thing");
    close_store(env);

    env = new_store(in_dir("empty"));
    is_int(verify(env), 0, "an empty store has no faults");
    is_int(result.scopes + result.manifests + result.entries, 0, "nor more");
    close_store(env);
}


/* a reader that was used for other things in another snapshot */

static void
used_reader(void)
{
    spec_t                 spec;
    unsigned               i;
    exports_rc_t           rc;
    exports_env_t         *env;
    exports_facet_t        list;
    exports_facets_t       values;
    exports_reader_t      *reader;
    exports_page_query_t   query;
    static exports_page_t  page;

    env = sound_store();
    reader = open_reader(env);
    memset(&values, 0, sizeof(values));

    for (i = 0; i < 30; i++) {
        item_spec(&spec, 1, i % NITEMS);
        spec.created = TEST_TIME + i;
        store_spec(env, &spec);

        renew_reader(reader);

        memset(&query, 0, sizeof(query));
        query.scope = stored_scope(env, scopes[1].kind, scopes[1].name).id;
        query.kind = scopes[1].kind;
        exports_facet_key(&list, query.scope, EXPORTS_FACET_ALL, &values);
        query.lists = &list;
        query.nlists = 1;
        query.limit = 5;

        if (i % 2 == 0) {
            rc = exports_page_read(reader, &query, &page);
            check(rc == EXPORTS_OK, "a page: %s", rc_name(rc));
        }

        nfaults = 0;
        rc = exports_verify(reader, &result, keep_fault, NULL, &error);
        check(rc == EXPORTS_OK && nfaults == 0, "%s, %u faults", rc_name(rc),
              nfaults);

        exports_reader_reset(reader);
    }

    checked("a reader verifies one snapshot after another");

    exports_reader_close(reader);
    close_store(env);
}


static void
records(void)
{
    uint8_t         key[24], other[24], buf[EXPORTS_RECORD_MAX];
    size_t          len;
    unsigned        n;
    MDB_txn        *txn;
    exports_env_t  *env;

    /* flipped, in a list by two facets */

    env = sound_store();
    key_of(env, 0, 3, key);
    raw_flip(env, DB_MANIFESTS, key, 24, 70);
    is_int(verify(env), 4, "a project's record, damaged");
    is_int(reported("manifests: a record fails its checksum", NULL), 1,
           "is reported");
    is_int(reported("ids: \"exp_a0_3\" leads to no record of that id", NULL), 1,
           "its id, too");
    is_int(reported("facets: an entry leads to no record that can be read",
                    NULL), 2, "and its entries");
    mended(env, 4, 0, NSCOPES * NITEMS - 1, "a project's record");

    /* by sixteen */

    env = sound_store();
    key_of(env, 3, 3, key);
    raw_flip(env, DB_MANIFESTS, key, 24, 0);
    mended(env, 18, 3, NSCOPES * NITEMS - 1, "a user's record");

    /* gone: nobody misses it but its entries, and its scope's counts */

    env = sound_store();
    key_of(env, 1, 4, key);
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_MANIFESTS], key, 24, NULL, 0);
    raw_commit(txn);
    mended(env, 6, 1, NSCOPES * NITEMS - 1, "a record that is gone");

    /* under a key of another length */

    env = sound_store();
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_MANIFESTS], "short", 5, "x", 1);
    raw_commit(txn);
    is_int(verify(env), 1, "a key of another length");
    is_int(reported("manifests: a record has a key of another length",
                    "(key 73686f7274)"), 1, "is reported");
    mended(env, 1, -1, NSCOPES * NITEMS, "a key of another length");

    /* of an id that its key does not stand for */

    env = sound_store();
    key_of(env, 0, 3, key);
    memcpy(other, key, 24);
    other[20] ^= 1;

    txn = raw_begin(env);
    len = raw_get(txn, env->dbi[DB_MANIFESTS], key, 24, buf, sizeof(buf));
    raw_del(txn, env->dbi[DB_MANIFESTS], key, 24, NULL, 0);
    exports_record_seal(buf, len, other);
    raw_put(txn, env->dbi[DB_MANIFESTS], other, 24, buf, len);
    raw_commit(txn);

    (void) verify(env);
    is_int(reported("manifests: a record is not of the id that its key",
                    NULL), 1, "a record under another tie");
    mended(env, 4, 0, NSCOPES * NITEMS - 1, "a record under another tie");

    /* of an id that cannot be one, its tie and checksum right */

    env = sound_store();
    key_of(env, 0, 3, key);

    txn = raw_begin(env);
    len = raw_get(txn, env->dbi[DB_MANIFESTS], key, 24, buf, sizeof(buf));

    {
        uint8_t   *id;
        uint64_t   tie;

        id = memmem(buf + EXPORTS_RECORD_HEADER
                    + (buf[20] << 8 | buf[21]), 20, "exp_a0_3", 8);
        must(id != NULL, "the id");
        id[4] = ' ';
        must(exports_tie((char *) id, 7, &tie) == 0, "SHA-256");

        memcpy(other, key, 24);
        exports_put64(other + 16, tie);
    }

    exports_record_seal(buf, len, other);
    raw_put(txn, env->dbi[DB_MANIFESTS], other, 24, buf, len);
    raw_commit(txn);

    (void) verify(env);
    is_int(reported("manifests: a record has an id that cannot be one", NULL),
           1, "an id that cannot be one");
    mended(env, 1, 0, NSCOPES * NITEMS, "an id that cannot be one");

    /* its item no JSON, the checksum right */

    env = sound_store();
    key_of(env, 0, 3, key);

    txn = raw_begin(env);
    len = raw_get(txn, env->dbi[DB_MANIFESTS], key, 24, buf, sizeof(buf));
    buf[EXPORTS_RECORD_HEADER] = '[';
    exports_record_seal(buf, len, key);
    raw_put(txn, env->dbi[DB_MANIFESTS], key, 24, buf, len);
    raw_commit(txn);

    (void) verify(env);
    is_int(reported("manifests: a record has an item that is no JSON object",
                    NULL), 1, "an item that is not JSON");
    mended(env, 2, 0, NSCOPES * NITEMS - 1, "an item that is not JSON");

    /* JSON, but no object: as export refuses it */

    env = sound_store();
    key_of(env, 0, 3, key);

    txn = raw_begin(env);
    len = raw_get(txn, env->dbi[DB_MANIFESTS], key, 24, buf, sizeof(buf));
    n = (unsigned) buf[20] << 8 | buf[21];
    memset(buf + EXPORTS_RECORD_HEADER, ' ', n);
    memcpy(buf + EXPORTS_RECORD_HEADER, "[]", 2);
    exports_record_seal(buf, len, key);
    raw_put(txn, env->dbi[DB_MANIFESTS], key, 24, buf, len);
    raw_commit(txn);
    mended(env, 2, 0, NSCOPES * NITEMS - 1, "an item that is an array");

    /* of a status that there is not, the checksum right */

    env = sound_store();
    key_of(env, 0, 3, key);

    txn = raw_begin(env);
    len = raw_get(txn, env->dbi[DB_MANIFESTS], key, 24, buf, sizeof(buf));
    buf[17] = EXPORTS_STATUSES + 1;
    exports_record_seal(buf, len, key);
    raw_put(txn, env->dbi[DB_MANIFESTS], key, 24, buf, len);
    raw_commit(txn);

    (void) verify(env);
    is_int(reported("manifests: a record has its checksum, but cannot be "
                    "decoded", NULL), 1, "a status that is none");
    mended(env, 4, 0, NSCOPES * NITEMS - 1, "a status that is none");

    /* not UTF-8 */

    env = sound_store();
    key_of(env, 2, 3, key);

    txn = raw_begin(env);
    len = raw_get(txn, env->dbi[DB_MANIFESTS], key, 24, buf, sizeof(buf));
    buf[EXPORTS_RECORD_HEADER + 9] = 0xff;
    exports_record_seal(buf, len, key);
    raw_put(txn, env->dbi[DB_MANIFESTS], key, 24, buf, len);
    raw_commit(txn);
    mended(env, 2, 2, NSCOPES * NITEMS - 1, "an item that is not UTF-8");

    /* there twice: by its id the one, the other a stray */

    env = sound_store();
    key_of(env, 1, 3, key);
    memcpy(other, key, 24);
    exports_put64(other + 8, TEST_TIME + 1000);

    txn = raw_begin(env);
    len = raw_get(txn, env->dbi[DB_MANIFESTS], key, 24, buf, sizeof(buf));
    exports_record_seal(buf, len, other);
    raw_put(txn, env->dbi[DB_MANIFESTS], other, 24, buf, len);
    raw_commit(txn);

    (void) verify(env);
    is_int(reported("manifests: \"u-1-3\" is there twice", NULL), 1,
           "a manifest that is there twice");
    mended(env, 1, 1, NSCOPES * NITEMS, "a manifest that is there twice");
}


/* two records of an id that leads to neither: one stays, at the first repair */

static void
twins(void)
{
    size_t          len, id_len;
    uint8_t         key[24], other[24], buf[EXPORTS_RECORD_MAX];
    uint8_t         id_key[EXPORTS_ID_KEY_MAX];
    MDB_txn        *txn;
    unsigned        of, scope;
    exports_env_t  *env;

    /* of a project, of a user, of two users */

    for (of = 0; of < 3; of++) {
        env = sound_store();
        scope = of == 0 ? 0 : 1;

        key_of(env, scope, 3, key);
        key_of(env, of == 2 ? 3 : scope, 3, other);
        memcpy(other + 16, key + 16, 8);
        exports_put64(other + 8, TEST_TIME + 1000);

        id_len = exports_id_key(id_key, scopes[scope].kind, exports_get64(key),
                                item_id(scope, 3), strlen(item_id(scope, 3)));

        txn = raw_begin(env);
        len = raw_get(txn, env->dbi[DB_MANIFESTS], key, 24, buf, sizeof(buf));
        exports_record_seal(buf, len, other);
        raw_put(txn, env->dbi[DB_MANIFESTS], other, 24, buf, len);
        raw_del(txn, env->dbi[DB_IDS], id_key, id_len, NULL, 0);
        raw_commit(txn);

        /* each of them, and what the scope of the second counts */

        if (of < 2) {
            mended(env, 3, (int) scope, NSCOPES * NITEMS,
                   "a manifest that is there twice, without an id");
            continue;
        }

        is_int(repair(env), 3, "the uuid of two users, without an id");
        is_int(result.repaired, 3, "is one user's");
        is_int(verify(env), 0, "and its other record is gone");
        is_int(result.manifests, NSCOPES * NITEMS, "that one alone");
        is_int(read_item(env, 1, 3), EXPORTS_OK, "the first stays");
        close_store(env);
    }
}


static void
indexes(void)
{
    size_t             len;
    uint8_t            key[24], other[24], id_key[EXPORTS_ID_KEY_MAX];
    uint8_t            value[EXPORTS_ID_VALUE_LEN];
    MDB_txn           *txn;
    uint64_t           id;
    exports_env_t     *env;
    exports_facet_t    list;
    exports_facets_t   values;

    memset(&values, 0, sizeof(values));

    /* an entry is missing */

    env = sound_store();
    key_of(env, 0, 3, key);
    values.status = EXPORTS_STATUS_READY;
    exports_facet_key(&list, exports_get64(key), EXPORTS_FACET_STATUS,
                      &values);
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_FACETS], list.bytes, list.len, key + 8, 16);
    raw_commit(txn);

    is_int(verify(env), 1, "an entry that is missing");
    is_int(reported("facets: \"exp_a0_3\" is not listed as it should be", NULL),
           1, "is reported");
    mended(env, 1, 0, NSCOPES * NITEMS, "an entry that is missing");

    /* a whole list is missing */

    env = sound_store();
    key_of(env, 3, 3, key);
    exports_facet_key(&list, exports_get64(key), EXPORTS_FACET_ALL, &values);
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_FACETS], list.bytes, list.len, NULL, 0);
    raw_commit(txn);
    mended(env, NITEMS, 3, NSCOPES * NITEMS, "a list that is missing");

    /* an entry in a list where it does not belong */

    env = sound_store();
    key_of(env, 0, 3, key);
    values.status = EXPORTS_STATUS_NOT_FOUND;
    exports_facet_key(&list, exports_get64(key), EXPORTS_FACET_STATUS,
                      &values);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_FACETS], list.bytes, list.len, key + 8, 16);
    raw_commit(txn);

    is_int(verify(env), 1, "an entry of another list");
    is_int(reported("facets: an entry leads to a record that does not belong "
                    "in its list", NULL), 1, "is reported");
    mended(env, 1, 0, NSCOPES * NITEMS, "an entry of another list");

    /* of a facet that the record does not have */

    env = sound_store();
    key_of(env, 0, 3, key);
    exports_facet_key(&list, exports_get64(key), EXPORTS_FACET_MASK, &values);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_FACETS], list.bytes, list.len, key + 8, 16);
    raw_commit(txn);
    mended(env, 1, 0, NSCOPES * NITEMS, "an entry of another facet");

    /* of no manifest */

    env = sound_store();
    key_of(env, 0, 3, key);
    exports_facet_key(&list, exports_get64(key), EXPORTS_FACET_ALL, &values);
    key[23] ^= 1;
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_FACETS], list.bytes, list.len, key + 8, 16);
    raw_commit(txn);
    mended(env, 1, 0, NSCOPES * NITEMS, "an entry of no manifest");

    /* of a list that cannot be */

    env = sound_store();
    key_of(env, 0, 3, key);
    list.bytes[8] = 0x10;
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_FACETS], list.bytes, list.len, key + 8, 16);
    raw_put(txn, env->dbi[DB_FACETS], "list", 4, key + 8, 16);
    raw_commit(txn);

    is_int(verify(env), 2, "lists that cannot be");
    is_int(reported("facets: an entry of a list with an impossible key", NULL),
           2, "are reported");
    mended(env, 2, 0, NSCOPES * NITEMS, "lists that cannot be");

    /* an entry of another length, which nothing but LMDB can remove */

    env = sound_store();
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_FACETS], "short", 5, "entry", 5);
    raw_commit(txn);

    is_int(verify(env), 1, "an entry of another length");
    is_int(reported("facets: an entry of another length", NULL), 1,
           "is reported");
    is_int(repair(env), 1, "the repair");
    is_int(result.repaired, 0, "leaves it");
    close_store(env);

    /* an id is missing */

    env = sound_store();
    id = stored_scope(env, scopes[0].kind, scopes[0].name).id;
    len = exports_id_key(id_key, EXPORTS_PROJECT, id, "exp_a0_3", 8);
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_IDS], id_key, len, NULL, 0);
    raw_commit(txn);

    is_int(verify(env), 1, "an id that is missing");
    is_int(reported("ids: \"exp_a0_3\" is not listed as it should be", NULL),
           1, "is reported");
    is_int(read_item(env, 0, 3), EXPORTS_NOT_FOUND, "it is not found");
    is_int(repair(env), 1, "the repair");
    is_int(read_item(env, 0, 3), EXPORTS_OK, "then it is");
    is_int(verify(env), 0, "all is well");
    close_store(env);

    /* it leads to another record */

    env = sound_store();
    key_of(env, 0, 4, key);
    txn = raw_begin(env);
    exports_id_encode(value, key, id_key, len);
    raw_put(txn, env->dbi[DB_IDS], id_key, len, value, sizeof(value));
    raw_commit(txn);

    is_int(verify(env), 2, "an id that leads to another record");
    is_int(reported("ids: \"exp_a0_3\" is not listed as it should be", NULL),
           1, "the record is reported");
    is_int(reported("ids: \"exp_a0_3\" leads to no record of that id", NULL), 1,
           "and the id");
    mended(env, 2, 0, NSCOPES * NITEMS, "an id that leads to another record");

    /* its checksum is wrong */

    env = sound_store();
    raw_flip(env, DB_IDS, id_key, len, 31);
    mended(env, 2, 0, NSCOPES * NITEMS, "an id that is damaged");

    /* a user's, to another user's record */

    env = sound_store();
    len = exports_id_key(id_key, EXPORTS_USER, 0, "u-1-3", 5);
    key_of(env, 3, 3, key);
    txn = raw_begin(env);
    exports_id_encode(value, key, id_key, len);
    raw_put(txn, env->dbi[DB_IDS], id_key, len, value, sizeof(value));
    raw_commit(txn);
    mended(env, 2, 1, NSCOPES * NITEMS, "a uuid that leads to another's");

    /* ids that nobody has */

    env = sound_store();
    key_of(env, 0, 4, key);
    len = exports_id_key(id_key, EXPORTS_PROJECT, exports_get64(key),
                         "exp_more", 8);
    exports_id_encode(value, key, id_key, len);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_IDS], id_key, len, value, sizeof(value));
    raw_put(txn, env->dbi[DB_IDS], "x", 1, value, sizeof(value));
    raw_put(txn, env->dbi[DB_IDS], "pshort", 6, value, 3);
    raw_put(txn, env->dbi[DB_IDS], "u\x1b[31m\n\xff", 8, value, 32);
    raw_commit(txn);

    (void) verify(env);
    is_int(reported("ids: \"?[31m??\" leads to no record", NULL), 1,
           "ids are shown in ASCII");
    mended(env, 4, -1, NSCOPES * NITEMS, "ids that nobody has");

    /* an id of one project that leads to the same id of another */

    env = sound_store();
    key_of(env, 2, 4, other);
    id = stored_scope(env, scopes[0].kind, scopes[0].name).id;
    len = exports_id_key(id_key, EXPORTS_PROJECT, id, "exp_a2_4", 8);
    exports_id_encode(value, other, id_key, len);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_IDS], id_key, len, value, sizeof(value));
    raw_commit(txn);
    mended(env, 1, -1, NSCOPES * NITEMS,
           "an id that leads into another project");

    /* a user's id that leads to a project's export of that id */

    env = sound_store();
    key_of(env, 0, 4, key);
    len = exports_id_key(id_key, EXPORTS_USER, 0, "exp_a0_4", 8);
    exports_id_encode(value, key, id_key, len);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_IDS], id_key, len, value, sizeof(value));
    raw_commit(txn);
    mended(env, 1, -1, NSCOPES * NITEMS,
           "an id that leads to an export of another kind");
}


/* an id as long as one can be, and beside it one that nobody has */

static void
longest_ids(void)
{
    char            name[EXPORTS_ID_MAX + 1];
    size_t          len;
    spec_t          spec;
    uint8_t         key[EXPORTS_MANIFEST_KEY_LEN];
    uint8_t         id_key[EXPORTS_ID_KEY_MAX], value[EXPORTS_ID_VALUE_LEN];
    MDB_txn        *txn;
    exports_env_t  *env;

    (void) snprintf(name, sizeof(name), "exp_%0*d", EXPORTS_ID_MAX - 4, 0);

    env = sound_store();
    item_spec(&spec, 0, 1);
    spec.id = name;
    store_spec(env, &spec);

    name[EXPORTS_ID_MAX - 1] = '1';

    key_of(env, 0, 1, key);
    len = exports_id_key(id_key, EXPORTS_PROJECT, exports_get64(key), name,
                         EXPORTS_ID_MAX);
    is_int(len, EXPORTS_ID_KEY_MAX, "the key of an id as long as one can be");
    exports_id_encode(value, key, id_key, len);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_IDS], id_key, len, value, sizeof(value));
    raw_commit(txn);

    mended(env, 1, -1, NSCOPES * NITEMS + 1, "one of two such ids");
}


/* what a scope counts */

static void
counts(void)
{
    size_t           len;
    uint8_t          key[EXPORTS_SCOPE_KEY_MAX];
    uint8_t          value[EXPORTS_SCOPE_VALUE_LEN];
    MDB_txn         *txn;
    unsigned         i;
    exports_env_t   *env;
    exports_scope_t  scope, sound;

    for (i = 0; i < 3; i++) {
        env = sound_store();
        sound = scope = stored_scope(env, EXPORTS_USER, "41");

        is_int(scope.counts[EXPORTS_STATUS_PENDING - 1], NITEMS / 3,
               "manifests that are pending");

        /* one too many, one too few, one as another */

        scope.counts[0] += (i == 0);
        scope.counts[EXPORTS_STATUS_PENDING - 1] -= (i != 0);
        scope.counts[EXPORTS_STATUS_NOT_FOUND - 1] += (i == 2);

        len = exports_scope_key(key, EXPORTS_USER, "41", 2);
        exports_scope_encode(value, &scope, key, len);

        txn = raw_begin(env);
        raw_put(txn, env->dbi[DB_SCOPES], key, len, value, sizeof(value));
        raw_commit(txn);

        is_int(verify(env), 1, "counts that are wrong");
        is_int(reported("scopes: user \"41\": counts other manifests than it "
                        "has (key 0000000000000002)", NULL), 1, "are reported");
        (void) repair(env);
        scope = stored_scope(env, EXPORTS_USER, "41");
        is_mem(scope.counts, sizeof(scope.counts), sound.counts,
               sizeof(sound.counts), "they are counted again");

        txn = raw_begin(env);
        raw_put(txn, env->dbi[DB_SCOPES], key, len, value, sizeof(value));
        raw_commit(txn);
        mended(env, 1, 1, NSCOPES * NITEMS, "counts");
    }
}


/* a repair of a store that lacks the scope of some */

static void
keeps_manifests(exports_env_t *env, const char *name)
{
    uint64_t  sum;

    sum = store_sum(env);
    (void) repair(env);
    is_int(reported("manifests: a record is of a scope that does not exist",
                    NULL), NITEMS, "%s", name);
    ok(store_sum(env) == sum, "%s: a repair drops none of its manifests",
       name);
    close_store(env);
}


/* what no repair can bring back, and what it must not make worse */

static void
lost_scopes(void)
{
    size_t             len;
    uint8_t            key[EXPORTS_SCOPE_KEY_MAX], next[16];
    uint8_t            value[EXPORTS_SCOPE_VALUE_LEN];
    spec_t             spec;
    uint64_t           sum;
    MDB_txn           *txn;
    exports_env_t     *env;
    exports_scope_t    scope;
    exports_writer_t  *w;

    /* a scope is damaged: its manifests may be all right */

    env = sound_store();
    len = exports_scope_key(key, EXPORTS_USER, "41", 2);
    raw_flip(env, DB_SCOPES, key, len, 3);
    sum = store_sum(env);

    is_int(verify(env), 1 + NITEMS + 1, "a scope that is damaged");
    is_int(reported("scopes: user \"41\": fails its checksum", NULL), 1,
           "is reported");
    is_int(reported("manifests: a record is of a scope that does not exist",
                    NULL), NITEMS, "and its manifests");
    is_int(reported("tokens: tok_", "its scope does not exist"), 1,
           "and its token");
    is_int(repair(env), 1 + NITEMS + 1, "the repair");
    is_int(result.repaired, 0, "mends nothing of it");
    ok(store_sum(env) == sum, "and changes nothing");
    close_store(env);

    /* a scope is gone */

    env = sound_store();
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_SCOPES], key, len, NULL, 0);
    raw_commit(txn);

    (void) verify(env);
    is_int(reported("manifests: a record is of a scope that does not exist",
                    NULL), NITEMS, "a scope that is gone");
    is_int(reported("scopes: there are 3, of the 4 whose IDs were given out",
                    NULL), 1, "is missed");
    sum = store_sum(env);
    (void) repair(env);
    is_int(result.repaired, 0, "the repair mends nothing");
    ok(store_sum(env) == sum, "and drops nothing");
    close_store(env);

    /* one is gone, and how many there were cannot be read */

    env = sound_store();
    raw_flip(env, DB_META, "next_scope", 10, 3);
    txn = raw_begin(env);
    raw_del(txn, env->dbi[DB_SCOPES], key, len, NULL, 0);
    raw_commit(txn);
    keeps_manifests(env, "a scope that is gone, nobody knows");

    /* one has the ID of another instead of its own */

    env = sound_store();
    txn = raw_begin(env);
    scope = stored_scope(env, EXPORTS_USER, "41");
    scope.id = stored_scope(env, EXPORTS_USER, "42").id;
    exports_scope_encode(value, &scope, key, len);
    raw_put(txn, env->dbi[DB_SCOPES], key, len, value, sizeof(value));
    raw_commit(txn);
    keeps_manifests(env, "a scope whose ID is another's");

    /* the next scope ID and the scopes are those of before there were any */

    env = sound_store();
    txn = raw_begin(env);
    must(mdb_drop(txn, env->dbi[DB_SCOPES], 0) == 0, "mdb_drop");
    exports_put64(next, 1);
    must(exports_meta_put(txn, env, EXPORTS_META_NEXT_SCOPE, next, 8, &error)
         == EXPORTS_OK, "next_scope");
    raw_commit(txn);
    sum = store_sum(env);
    (void) repair(env);
    is_int(reported("meta: the next scope gets ID 1, but there are manifests "
                    "of scope 4", NULL), 1, "scopes that are all forgotten");
    is_int(result.repaired, 0, "the repair mends nothing");
    ok(store_sum(env) == sum, "and drops nothing");

    item_spec(&spec, 0, 1);
    spec.scope = "another";
    w = begin_writer(env);
    is_int(put_spec(w, &spec, NULL, &error), EXPORTS_CORRUPT,
           "none that is new gets manifests of theirs");
    has_str(error.text, "whose IDs were never given out", "the text says so");
    exports_writer_abort(w);
    close_store(env);

    /* of another kind than its manifests: as good as gone */

    env = sound_store();
    txn = raw_begin(env);
    scope = stored_scope(env, EXPORTS_USER, "41");
    raw_del(txn, env->dbi[DB_SCOPES], key, len, NULL, 0);
    key[0] = EXPORTS_PROJECT;
    exports_scope_encode(value, &scope, key, len);
    raw_put(txn, env->dbi[DB_SCOPES], key, len, value, sizeof(value));
    raw_commit(txn);
    (void) verify(env);
    is_int(reported("manifests: a record is of a scope that does not exist",
                    NULL), NITEMS, "a scope of another kind");
    close_store(env);
}


/* names and IDs that cannot be */

static void
impossible_scopes(void)
{
    size_t            len;
    uint8_t           key[EXPORTS_SCOPE_KEY_MAX];
    uint8_t           value[EXPORTS_SCOPE_VALUE_LEN];
    MDB_txn          *txn;
    exports_env_t    *env;
    exports_scope_t   scope;

    env = sound_store();
    txn = raw_begin(env);
    scope = stored_scope(env, EXPORTS_USER, "41");
    scope.id = 3;
    len = exports_scope_key(key, EXPORTS_USER, "43", 2);
    exports_scope_encode(value, &scope, key, len);
    raw_put(txn, env->dbi[DB_SCOPES], key, len, value, sizeof(value));

    scope.id = 99;
    len = exports_scope_key(key, EXPORTS_USER, "44", 2);
    exports_scope_encode(value, &scope, key, len);
    raw_put(txn, env->dbi[DB_SCOPES], key, len, value, sizeof(value));

    raw_put(txn, env->dbi[DB_SCOPES], "pUpper", 6, value, sizeof(value));
    raw_put(txn, env->dbi[DB_SCOPES], "x", 1, value, sizeof(value));
    raw_commit(txn);

    is_int(verify(env), 4, "scopes that cannot be");
    is_int(reported("scopes: ID 3 is given twice", NULL), 1, "an ID twice");
    is_int(reported("scopes: user \"44\": its ID was never given out", NULL),
           1, "an ID too high");
    is_int(reported("scopes: not a scope's key", NULL), 2, "two keys");
    close_store(env);
}


static void
damaged_tokens(void)
{
    char            digest[EXPORTS_SHA256_LEN];
    MDB_txn        *txn;
    exports_env_t  *env;

    env = sound_store();
    memset(digest, 0, sizeof(digest));
    raw_flip(env, DB_TOKENS, digest, sizeof(digest), 20);
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_TOKENS], "short", 5, "x", 1);
    raw_commit(txn);

    is_int(verify(env), 2, "tokens that are damaged");
    is_int(reported("tokens: tok_0000000000000000: fails its checksum", NULL),
           1, "the one is named");
    is_int(reported("tokens: not a token's key", NULL), 1,
           "the other shown");
    is_int(repair(env), 2, "the repair");
    is_int(result.repaired, 1, "drops the one: nobody can use it");
    is_int(verify(env), 1, "the other is still reported");
    is_int(result.tokens, NSCOPES, "tokens that are left, this one included");
    close_store(env);
}


/* a token that names another scope than its own */

static void
token_of_another(void)
{
    size_t            n;
    uint8_t          *buf, digest[EXPORTS_SHA256_LEN];
    MDB_txn          *txn;
    exports_env_t    *env;
    exports_token_t   token;

    env = sound_store();

    buf = malloc(EXPORTS_TOKEN_RECORD_MAX);
    must(buf != NULL, "memory");

    memset(digest, 9, sizeof(digest));
    memset(&token, 0, sizeof(token));
    token.kind = EXPORTS_USER;
    token.scope = stored_scope(env, EXPORTS_USER, "41").id;
    token.scope_name = (exports_str_t) { "42", 2 };

    must(exports_token_encode(buf, EXPORTS_TOKEN_RECORD_MAX, &n, &token,
                              digest) == EXPORTS_OK, "token");
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_TOKENS], digest, sizeof(digest), buf, n);
    raw_commit(txn);
    free(buf);

    is_int(verify(env), 1, "a token that names another scope than its own");
    is_int(reported("tokens: tok_0909090909090909: its scope does not exist",
                    NULL), 1, "is reported");
    close_store(env);
}


static void
next_scope(void)
{
    uint8_t         next[16];
    uint64_t        sum;
    MDB_txn        *txn;
    exports_env_t  *env;

    env = sound_store();
    raw_flip(env, DB_META, "next_scope", 10, 3);
    is_int(verify(env), 1, "the next scope ID, damaged");
    is_int(reported("meta: the next scope ID cannot be read", NULL), 1,
           "is reported");
    close_store(env);

    env = sound_store();
    exports_put64(next, 3);
    exports_put64(next + 8, exports_checksum("next_scope", 10, next, 8));
    txn = raw_begin(env);
    raw_put(txn, env->dbi[DB_META], "next_scope", 10, next, 16);
    raw_commit(txn);
    sum = store_sum(env);
    (void) verify(env);
    is_int(reported("its ID was never given out", NULL), 2,
           "the next scope ID too low");
    (void) repair(env);
    ok(store_sum(env) == sum, "a repair drops nothing of these scopes");
    close_store(env);
}


/* a writer meets a record that is damaged, or gone */

static void
writing_over(void)
{
    int                how, what;
    char               name[64];
    spec_t             spec;
    uint8_t            key[24];
    MDB_txn           *txn;
    unsigned           scope;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;
    static const char *const  hows[] = { "damaged", "gone" };
    static const char *const  whats[] = { "replaced", "moved", "deleted" };

    for (how = 0; how < 2; how++) {
        for (what = 0; what < 3; what++) {
            for (scope = 0; scope < 2; scope++) {
                (void) snprintf(name, sizeof(name), "a %s's record, %s, %s",
                                scope == 0 ? "project" : "user", hows[how],
                                whats[what]);

                env = sound_store();
                key_of(env, scope, 5, key);

                if (how == 0) {
                    raw_flip(env, DB_MANIFESTS, key, 24, 90);

                } else {
                    txn = raw_begin(env);
                    raw_del(txn, env->dbi[DB_MANIFESTS], key, 24, NULL, 0);
                    raw_commit(txn);
                }

                item_spec(&spec, scope, 5);
                spec.status = "ready";
                spec.type = "other";
                spec.created += what == 1 ? 3000 : 0;

                w = begin_writer(env);
                rc = what < 2 ? put_spec(w, &spec, NULL, &error)
                     : exports_writer_delete(w, spec.kind, spec.scope,
                                             strlen(spec.scope), spec.id,
                                             strlen(spec.id), &error);
                check(rc == EXPORTS_OK, "%s: %s: %s", name, rc_name(rc),
                      rc != EXPORTS_OK ? error.text : "");
                commit_writer(w);

                check(verify(env) == 0, "%s: %s", name, faults[0]);
                show_faults();

                check(result.manifests == NSCOPES * NITEMS - (what == 2),
                      "%s: %" PRIu64 " manifests", name, result.manifests);

                close_store(env);
            }
        }
    }

    checked("a writer leaves no entries of what it cannot read");
}


/* among keys too long for a list's, the last ones of the scope, too */

static void
behind_long_keys(void)
{
    int                repaired;
    spec_t             spec;
    uint8_t            long_keys[4][100], key[EXPORTS_MANIFEST_KEY_LEN];
    MDB_txn           *txn;
    unsigned           i;
    exports_rc_t       rc;
    exports_env_t     *env;
    exports_writer_t  *w;

    for (repaired = 0; repaired < 2; repaired++) {
        env = sound_store();
        key_of(env, 0, 5, key);
        txn = raw_begin(env);

        for (i = 0; i < 4; i++) {
            memset(long_keys[i], i < 3 ? 0 : 0xff, sizeof(long_keys[i]));
            memcpy(long_keys[i], key, 8);
            long_keys[i][8] = (uint8_t[]) { 0, 0, 1, 0xff }[i];
            long_keys[i][sizeof(long_keys[i]) - 1] += i;
            raw_put(txn, env->dbi[DB_FACETS], long_keys[i],
                    sizeof(long_keys[i]), key + 8, EXPORTS_ENTRY_LEN);
        }

        raw_commit(txn);
        raw_flip(env, DB_MANIFESTS, key, sizeof(key), 90);

        if (repaired) {
            (void) repair(env);

        } else {
            item_spec(&spec, 0, 5);
            spec.status = "not_found";

            w = begin_writer(env);
            rc = put_spec(w, &spec, NULL, &error);
            is_rc(rc, EXPORTS_OK, &error, "a put over a damaged record");
            commit_writer(w);
        }

        is_int(verify(env), repaired ? 0 : 4, "no entry is left behind keys "
               "that are too long: %s", repaired ? "a repair" : "a put");

        if (!is_int(reported("of a list with an impossible key", NULL),
                    nfaults, "but theirs"))
        {
            show_faults();
        }

        close_store(env);
    }
}


/* several faults at once, at random */

static void
injure(exports_env_t *env)
{
    int         rc;
    size_t      at;
    uint8_t     key[600];
    MDB_txn    *txn;
    MDB_val     k, v;
    unsigned    n, db;
    MDB_cursor *cursor;
    static const exports_db_t  dbs[] = { DB_MANIFESTS, DB_IDS, DB_FACETS };

    db = dbs[below(3)];
    txn = raw_begin(env);

    rc = mdb_cursor_open(txn, env->dbi[db], &cursor);
    must(rc == 0, "%s", mdb_strerror(rc));

    rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);

    for (n = below(40); n > 0 && rc == 0; n--) {
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }

    if (rc != 0) {
        mdb_cursor_close(cursor);
        mdb_txn_abort(txn);
        return;
    }

    memcpy(key, k.mv_data, k.mv_size);
    memcpy(key + k.mv_size, v.mv_data, v.mv_size < 16 ? v.mv_size : 16);
    k.mv_data = key;
    at = below((unsigned) v.mv_size);
    mdb_cursor_close(cursor);

    if (db == DB_FACETS) {
        raw_del(txn, env->dbi[db], key, k.mv_size, key + k.mv_size, 16);

        if (chance(60)) {
            key[k.mv_size + below(16)] ^= 1;
            raw_put(txn, env->dbi[db], key, k.mv_size, key + k.mv_size, 16);
        }

        raw_commit(txn);
        return;
    }

    if (chance(30)) {
        raw_del(txn, env->dbi[db], key, k.mv_size, NULL, 0);
        raw_commit(txn);
        return;
    }

    mdb_txn_abort(txn);
    raw_flip(env, db, key, k.mv_size, at);
}


static void
injuries(void)
{
    unsigned        i, n, total;
    exports_env_t  *env;

    total = 0;

    for (n = 0; n < rounds(200, 100); n++) {
        env = sound_store();

        for (i = 1 + below(8); i > 0; i--) {
            injure(env);
        }

        /* two may undo each other, but seldom */

        total += verify(env);
        check(repair(env) == result.repaired, "%" PRIu64 " of %u repaired",
              result.repaired, nfaults);
        check(verify(env) == 0, "after the repair: %u: %s", nfaults,
              faults[0]);
        check(result.manifests == result.ids, "%" PRIu64 " manifests, %" PRIu64
              " ids", result.manifests, result.ids);

        close_store(env);
    }

    checked("a repair mends several faults at once");
    note("%u faults in %u stores", total, n);
    ok(total > n, "there were faults");
}


int
main(void)
{
    random_seed();

    sound();
    used_reader();
    records();
    twins();
    indexes();
    longest_ids();
    counts();
    lost_scopes();
    impossible_scopes();
    damaged_tokens();
    token_of_another();
    next_scope();
    writing_over();
    behind_long_keys();
    injuries();

    return done_testing();
}
