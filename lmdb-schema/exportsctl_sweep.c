
/*
 * Brings the statuses of manifests in line with the artifacts that are there.
 * A chunk at a time: what may have to change is collected in a snapshot, the
 * files are looked at with no transaction open, and what has to change is
 * written in one transaction, if it is still as it was.
 */

#define _GNU_SOURCE             /* O_PATH */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exports_artifact.h"
#include "exports_time.h"
#include "exportsctl.h"


#define CHUNK_RECORDS  10000
#define CHUNK_FOUND    1000

/* these texts are how a later sweep knows what an earlier one did */
#define REASON_MISSING  "swept: the file is missing"
#define REASON_EXPIRED  "swept: the export expired"


typedef enum {
    FOUND_READY = 1,            /* of a project */
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
    int                root;
    uint64_t           now;

    uint8_t            last[EXPORTS_MANIFEST_KEY_LEN];
    int                begun;           /* last is set */
    int                ended;
    unsigned           nrecords;        /* of this chunk */
    unsigned           nfound;
    found_t           *found;

    uint64_t           checked;
    uint64_t           missing;
    uint64_t           expired;
    uint64_t           restored;
    uint64_t           damaged;
    uint64_t           user_missing;
} sweep_t;


static int sweep_all(sweep_t *sw);
static int collect(sweep_t *sw);
static exports_rc_t visit(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);
static void note(found_t *found, found_type_t type, uint64_t scope,
    const exports_record_t *record);
static found_type_t type_of(const exports_record_t *record);
static int was_swept(const exports_record_t *record);
static int examine(sweep_t *sw, found_t *found);
static int look(sweep_t *sw, const found_t *found, int *there);
static void count(sweep_t *sw, const found_t *found);
static void report_user(sweep_t *sw, const found_t *found);
static int change_all(sweep_t *sw);
static int change(sweep_t *sw, const found_t *found);
static int is_as_found(const exports_record_t *record, const found_t *found);
static int rewrite(sweep_t *sw, const found_t *found, json_t *manifest);
static json_t *time_or_null(const sweep_t *sw, int set);
static int print_result(const sweep_t *sw);


int
ctl_sweep(const ctl_args_t *args)
{
    int              rc;
    sweep_t          sw;
    exports_error_t  error;

    if (args->root == NULL) {
        return ctl_usage("--root is missing");
    }

    memset(&sw, 0, sizeof(sweep_t));

    sw.args = args;
    sw.now = exports_time_now();
    sw.root = open(args->root, O_PATH|O_DIRECTORY|O_CLOEXEC);

    if (sw.root == -1) {
        return ctl_error("\"%s\": %s", args->root, strerror(errno));
    }

    sw.found = malloc(CHUNK_FOUND * sizeof(found_t));

    if (sw.found == NULL) {
        (void) close(sw.root);
        return ctl_error("out of memory");
    }

    rc = ctl_store_open(&sw.store, args, args->dry_run ? 0
                                                       : EXPORTS_ENV_WRITE);

    if (rc == CTL_OK
        && exports_reader_open(&sw.store.reader, sw.store.env, &error)
           != EXPORTS_OK)
    {
        sw.store.reader = NULL;
        rc = ctl_error("%s", error.text);
    }

    if (rc == CTL_OK) {
        rc = sweep_all(&sw);
    }

    if (rc == CTL_OK) {
        rc = print_result(&sw);
    }

    ctl_scopes_free(&sw.scopes);
    ctl_store_close(&sw.store);
    (void) close(sw.root);
    free(sw.found);

    return rc != CTL_OK || sw.damaged > 0 ? CTL_FAILED : CTL_OK;
}


static int
sweep_all(sweep_t *sw)
{
    int       rc;
    unsigned  i;

    while (!sw->ended) {

        rc = collect(sw);
        if (rc != CTL_OK) {
            return rc;
        }

        for (i = 0; i < sw->nfound; i++) {
            rc = examine(sw, &sw->found[i]);
            if (rc != CTL_OK) {
                return rc;
            }
        }

        rc = change_all(sw);
        if (rc != CTL_OK) {
            return rc;
        }
    }

    return CTL_OK;
}


static int
collect(sweep_t *sw)
{
    int                rc;
    exports_rc_t       erc;
    exports_reader_t  *reader;

    reader = sw->store.reader;
    sw->nrecords = 0;
    sw->nfound = 0;
    sw->ended = 1;

    erc = exports_reader_renew(reader);

    if (erc != EXPORTS_OK) {
        return ctl_error("reading the store: %s", exports_strerror(erc));
    }

    /* scopes that are new have names that were not read yet */

    ctl_scopes_free(&sw->scopes);
    memset(&sw->scopes, 0, sizeof(ctl_scopes_t));

    rc = ctl_scopes_load(&sw->scopes, reader, sw->args);

    if (rc == CTL_OK) {
        erc = exports_walk_manifests_after(reader,
                                           sw->begun ? sw->last : NULL,
                                           visit, sw);
    }

    exports_reader_reset(reader);

    if (rc == CTL_OK && erc != EXPORTS_OK && sw->ended) {
        return ctl_error("reading the store: %s", exports_strerror(erc));
    }

    return rc;
}


/* a chunk that is full ends the walk; it goes on behind the last key */

static exports_rc_t
visit(void *data, const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    sweep_t           *sw = data;
    found_type_t       type;
    exports_record_t   record;

    if (key_len != EXPORTS_MANIFEST_KEY_LEN) {
        sw->damaged++;
        return EXPORTS_OK;
    }

    if (sw->nrecords == CHUNK_RECORDS || sw->nfound == CHUNK_FOUND) {
        sw->ended = 0;
        return EXPORTS_BUSY;
    }

    memcpy(sw->last, key, EXPORTS_MANIFEST_KEY_LEN);
    sw->begun = 1;
    sw->nrecords++;
    sw->checked++;

    if (exports_record_decode(&record, key, value, len) != EXPORTS_OK) {
        sw->damaged++;
        (void) ctl_error("a record is damaged: run \"exportsctl verify\"");
        return EXPORTS_OK;
    }

    type = type_of(&record);

    if (type == 0 || record.item.id.len > EXPORTS_ID_MAX
        || record.storage_key.len > EXPORTS_STRING_MAX)
    {
        return EXPORTS_OK;
    }

    note(&sw->found[sw->nfound++], type, exports_get64(key), &record);

    return EXPORTS_OK;
}


static void
note(found_t *found, found_type_t type, uint64_t scope,
    const exports_record_t *record)
{
    found->type = type;
    found->reason = NULL;
    found->change = 0;
    found->scope = scope;
    found->expires = (record->item.flags & EXPORTS_RECORD_EXPIRES)
                         ? record->expires : 0;
    found->local = record->storage_backend.len == 5
                   && memcmp(record->storage_backend.data, "local", 5) == 0;
    found->id_len = record->item.id.len;
    memcpy(found->id, record->item.id.data, found->id_len);
    memcpy(found->key, record->storage_key.data, record->storage_key.len);
    found->key[record->storage_key.len] = '\0';
}


/* 0: nothing that a sweep has to do with */

static found_type_t
type_of(const exports_record_t *record)
{
    if (record->item.kind == EXPORTS_USER) {
        return record->item.status == EXPORTS_STATUS_READY ? FOUND_USER : 0;
    }

    if (record->item.status == EXPORTS_STATUS_READY) {
        return FOUND_READY;
    }

    return was_swept(record) ? FOUND_SWEPT : 0;
}


static int
was_swept(const exports_record_t *record)
{
    int          swept;
    json_t      *item;
    const char  *reason;

    item = json_loadb(record->item.json, record->item.json_len, 0, NULL);
    reason = json_string_value(json_object_get(item, "status_reason"));

    swept = reason != NULL && (strcmp(reason, REASON_MISSING) == 0
                               || strcmp(reason, REASON_EXPIRED) == 0);
    json_decref(item);

    return swept;
}


static int
examine(sweep_t *sw, found_t *found)
{
    int  rc, there;

    if (found->expires != 0 && found->expires <= sw->now
        && found->type != FOUND_USER)
    {
        found->reason = REASON_EXPIRED;

    } else if (found->local) {

        rc = look(sw, found, &there);
        if (rc != CTL_OK) {
            return rc;
        }

        if (!there) {
            found->reason = REASON_MISSING;
        }
    }

    found->change = (found->type == FOUND_READY && found->reason != NULL)
                    || (found->type == FOUND_SWEPT && found->reason == NULL);

    if (found->type == FOUND_USER && found->reason != NULL) {
        sw->user_missing++;
        report_user(sw, found);
    }

    if (sw->args->dry_run && found->change) {
        count(sw, found);
    }

    return CTL_OK;
}


/* a file that cannot be looked at, on a disk that fails say, is not missing */

static int
look(sweep_t *sw, const found_t *found, int *there)
{
    int          fd;
    char         key[256];
    struct stat  st;

    fd = exports_artifact_open(sw->root, found->key, O_PATH);

    if (fd == -1) {
        *there = 0;

        switch (errno) {

        case ENOENT:
        case ENOTDIR:
        case EXDEV:
        case ELOOP:
        case ENAMETOOLONG:
            return CTL_OK;

        default:
            return ctl_error("\"%s\": %s",
                             ctl_printable(key, sizeof(key), found->key,
                                           strlen(found->key)),
                             strerror(errno));
        }
    }

    *there = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

    (void) close(fd);

    return CTL_OK;
}


static void
count(sweep_t *sw, const found_t *found)
{
    if (found->reason == NULL) {
        sw->restored++;

    } else if (strcmp(found->reason, REASON_EXPIRED) == 0) {
        sw->expired++;

    } else {
        sw->missing++;
    }
}


static void
report_user(sweep_t *sw, const found_t *found)
{
    char                line[640], key[256];
    const ctl_scope_t  *scope;

    if (sw->args->json) {
        return;
    }

    scope = ctl_scopes_find(&sw->scopes, found->scope);

    (void) snprintf(line, sizeof(line), "user %.*s: %.*s: no file \"%s\"",
                    scope != NULL ? (int) scope->len : 1,
                    scope != NULL ? ctl_scopes_name(&sw->scopes, scope) : "?",
                    (int) found->id_len, found->id,
                    ctl_printable(key, sizeof(key), found->key,
                                  strlen(found->key)));

    (void) ctl_print_line(line);
}


static int
change_all(sweep_t *sw)
{
    int       rc;
    unsigned  i, n;

    for (n = 0, i = 0; i < sw->nfound; i++) {
        n += (sw->found[i].change != 0);
    }

    if (n == 0 || sw->args->dry_run) {
        return CTL_OK;
    }

    rc = ctl_store_begin(&sw->store);

    for (i = 0; i < sw->nfound && rc == CTL_OK; i++) {
        if (sw->found[i].change) {
            rc = change(sw, &sw->found[i]);
        }
    }

    if (rc != CTL_OK) {
        ctl_store_abort(&sw->store);
        return rc;
    }

    return ctl_store_commit(&sw->store);
}


static int
change(sweep_t *sw, const found_t *found)
{
    char               *text;
    json_t             *manifest;
    uint8_t             key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t        rc;
    exports_error_t     error;
    exports_record_t    record;
    const ctl_scope_t  *scope;

    rc = exports_read_manifest(exports_writer_reader(sw->store.writer),
                               EXPORTS_PROJECT, found->scope, found->id,
                               found->id_len, key, &record);

    scope = ctl_scopes_find(&sw->scopes, found->scope);

    /* somebody else has changed it since: the next sweep will see */

    if (rc == EXPORTS_NOT_FOUND || scope == NULL
        || (rc == EXPORTS_OK && !is_as_found(&record, found)))
    {
        return CTL_OK;
    }

    if (rc == EXPORTS_OK) {
        rc = exports_manifest_print(&text, &record,
                                    ctl_scopes_name(&sw->scopes, scope),
                                    scope->len, &error);
    }

    if (rc != EXPORTS_OK) {
        return ctl_error("%.*s: %s", (int) found->id_len, found->id,
                         exports_strerror(rc));
    }

    manifest = json_loads(text, 0, NULL);
    free(text);

    return rewrite(sw, found, manifest);
}


/* in all that was looked at to decide */

static int
is_as_found(const exports_record_t *record, const found_t *found)
{
    found_t       now;
    found_type_t  type;

    type = type_of(record);

    if (type != found->type || record->storage_key.len > EXPORTS_STRING_MAX) {
        return 0;
    }

    note(&now, type, found->scope, record);

    return now.expires == found->expires && now.local == found->local
           && strcmp(now.key, found->key) == 0;
}


static int
rewrite(sweep_t *sw, const found_t *found, json_t *manifest)
{
    int                          failed, gone;
    char                        *text;
    exports_rc_t                 rc;
    exports_error_t              error;
    static exports_manifest_t    parsed;

    gone = found->reason != NULL;

    failed = json_object_set_new(manifest, "status",
                                 json_string(gone ? "not_found" : "ready"))
             | json_object_set_new(manifest, "status_reason",
                                   gone ? json_string(found->reason)
                                        : json_null())
             | json_object_set_new(manifest, "missing_at",
                                   time_or_null(sw, gone));

    text = failed ? NULL : json_dumps(manifest, JSON_COMPACT);
    json_decref(manifest);

    if (text == NULL) {
        return ctl_error("out of memory");
    }

    rc = exports_manifest_parse(&parsed, text, strlen(text), &error);
    free(text);

    if (rc == EXPORTS_OK) {
        rc = exports_writer_put(sw->store.writer, &parsed, NULL, &error);
    }

    if (rc != EXPORTS_OK) {
        return ctl_error("%.*s: %s", (int) found->id_len, found->id,
                         error.text);
    }

    count(sw, found);

    return CTL_OK;
}


static json_t *
time_or_null(const sweep_t *sw, int set)
{
    return ctl_json_time(set ? sw->now / 1000000 * 1000000 : 0);
}


static int
print_result(const sweep_t *sw)
{
    if (sw->args->json) {
        return ctl_print_json(json_pack("{s:b, s:I, s:I, s:I, s:I, s:I}",
                          "dry_run", sw->args->dry_run,
                          "checked", (json_int_t) sw->checked,
                          "missing", (json_int_t) sw->missing,
                          "expired", (json_int_t) sw->expired,
                          "restored", (json_int_t) sw->restored,
                          "user_files_missing",
                          (json_int_t) sw->user_missing));
    }

    (void) printf("checked %llu manifest%s: %llu %sbecome not_found (%llu "
                  "without a file, %llu expired), %llu %sready again; %llu "
                  "file%s of users' exports missing\n",
                  (unsigned long long) sw->checked, CTL_S(sw->checked),
                  (unsigned long long) (sw->missing + sw->expired),
                  sw->args->dry_run ? "would " : "have ",
                  (unsigned long long) sw->missing,
                  (unsigned long long) sw->expired,
                  (unsigned long long) sw->restored,
                  sw->args->dry_run ? "would be " : "are ",
                  (unsigned long long) sw->user_missing,
                  CTL_S(sw->user_missing));

    return CTL_OK;
}
