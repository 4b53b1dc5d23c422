
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

#define NAME_SIZE      (EXPORTS_SCOPE_NAME_MAX + EXPORTS_ID_MAX + 16)

/* these texts are how a later sweep knows what an earlier one did */
#define REASON_MISSING  "swept: the file is missing"
#define REASON_EXPIRED  "swept: the export expired"


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
    int                unnamed;         /* one was found that is not there */
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


static int sweep_all(sweep_t *sw);
static int collect(sweep_t *sw);
static int renew(sweep_t *sw);
static exports_rc_t visit(void *data, const uint8_t *key, size_t key_len,
    const uint8_t *value, size_t len);
static void fill_found(found_t *found, found_type_t type, uint64_t scope,
    const exports_record_t *record);
static found_type_t type_of(const exports_record_t *record);
static int was_swept(const exports_record_t *record);
static void examine(sweep_t *sw, found_t *found);
static int look(sweep_t *sw, const found_t *found, int *there);
static void report_left(sweep_t *sw, const found_t *found, const char *why);
static const char *name_of(const sweep_t *sw, const found_t *found,
    char *buf);
static void report_user(sweep_t *sw, const found_t *found);
static int change_all(sweep_t *sw);
static int begin(sweep_t *sw);
static int end(sweep_t *sw, int rc);
static int change(sweep_t *sw, const found_t *found);
static int is_as_found(const exports_record_t *record, const found_t *found);
static json_t *changed(const sweep_t *sw, const found_t *found,
    const char *text);
static int rewrite(sweep_t *sw, const found_t *found, json_t *manifest);
static exports_rc_t put(sweep_t *sw, const char *text,
    exports_error_t *error);
static void count(sweep_t *sw, const found_t *found);
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

    return rc != CTL_OK || sw.errors > 0 ? CTL_FAILED : CTL_OK;
}


static int
sweep_all(sweep_t *sw)
{
    int       rc;
    unsigned  i;

    while (!sw->ended && !(sw->args->dry_run && ctl_output_lost())) {

        rc = collect(sw);
        if (rc != CTL_OK) {
            return rc;
        }

        for (i = 0; i < sw->nfound; i++) {
            examine(sw, &sw->found[i]);
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

    sw->unnamed = 0;
    rc = CTL_OK;

    if (renew(sw) != CTL_OK) {
        return CTL_FAILED;
    }

    erc = exports_walk_manifests_after(reader, sw->begun ? sw->last : NULL,
                                       visit, sw);

    /* all names, once, and again where scopes have been made since */

    if (sw->unnamed) {
        ctl_scopes_free(&sw->scopes);
        memset(&sw->scopes, 0, sizeof(ctl_scopes_t));

        rc = ctl_scopes_load(&sw->scopes, reader, sw->args);
    }

    exports_reader_reset(reader);

    if (rc == CTL_OK && erc != EXPORTS_OK && sw->ended) {
        return ctl_error("reading the store: %s", exports_strerror(erc));
    }

    return rc;
}


static int
renew(sweep_t *sw)
{
    exports_rc_t  rc;

    rc = exports_reader_renew(sw->store.reader);

    return rc == EXPORTS_OK ? CTL_OK
                            : ctl_error("reading the store: %s",
                                        exports_strerror(rc));
}


/* a chunk that is full ends the walk; it goes on behind the last key */

static exports_rc_t
visit(void *data, const uint8_t *key, size_t key_len, const uint8_t *value,
    size_t len)
{
    sweep_t           *sw = data;
    found_type_t       type;
    exports_record_t   record;

    if (sw->nrecords == CHUNK_RECORDS || sw->nfound == CHUNK_FOUND) {
        sw->ended = 0;
        return EXPORTS_BUSY;
    }

    sw->checked++;

    if (key_len == EXPORTS_MANIFEST_KEY_LEN) {
        memcpy(sw->last, key, EXPORTS_MANIFEST_KEY_LEN);
        sw->begun = 1;
        sw->nrecords++;
    }

    if (key_len != EXPORTS_MANIFEST_KEY_LEN
        || exports_record_decode(&record, key, value, len) != EXPORTS_OK)
    {
        sw->errors++;
        ctl_message("a record is damaged: run \"exportsctl verify\"");
        return EXPORTS_OK;
    }

    type = type_of(&record);

    if (type == FOUND_NOTHING || record.item.id.len > EXPORTS_ID_MAX
        || record.storage_key.len > EXPORTS_STRING_MAX)
    {
        return EXPORTS_OK;
    }

    fill_found(&sw->found[sw->nfound++], type, exports_get64(key), &record);

    if (ctl_scopes_find(&sw->scopes, exports_get64(key)) == NULL) {
        sw->unnamed = 1;
    }

    return EXPORTS_OK;
}


static void
fill_found(found_t *found, found_type_t type, uint64_t scope,
    const exports_record_t *record)
{
    found->type = type;
    found->reason = NULL;
    found->change = 0;
    found->scope = scope;
    found->expires = 0;
    found->local = record->storage_backend.len
                   == sizeof(EXPORTS_BACKEND_LOCAL) - 1
                   && memcmp(record->storage_backend.data,
                             EXPORTS_BACKEND_LOCAL,
                             sizeof(EXPORTS_BACKEND_LOCAL) - 1)
                      == 0;
    found->id_len = record->item.id.len;
    memcpy(found->id, record->item.id.data, found->id_len);
    memcpy(found->key, record->storage_key.data, record->storage_key.len);
    found->key[record->storage_key.len] = '\0';

    /* 1970 itself is as long ago a microsecond later */

    if (record->item.flags & EXPORTS_RECORD_EXPIRES) {
        found->expires = record->expires != 0 ? record->expires : 1;
    }
}


static found_type_t
type_of(const exports_record_t *record)
{
    if (record->item.kind == EXPORTS_USER) {
        return record->item.status == EXPORTS_STATUS_READY ? FOUND_USER
                                                           : FOUND_NOTHING;
    }

    if (record->item.status == EXPORTS_STATUS_READY) {
        return FOUND_READY;
    }

    return was_swept(record) ? FOUND_SWEPT : FOUND_NOTHING;
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


static void
examine(sweep_t *sw, found_t *found)
{
    int  there;

    if (found->expires != 0 && found->expires <= sw->now
        && found->type != FOUND_USER)
    {
        found->reason = REASON_EXPIRED;

    } else if (found->local) {

        if (look(sw, found, &there) != CTL_OK) {
            return;
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
}


/* a file that cannot be looked at, on a disk that fails say, is not missing */

static int
look(sweep_t *sw, const found_t *found, int *there)
{
    int          fd, err;
    char         key[256], why[512];
    struct stat  st;

    *there = 0;
    err = 0;

    fd = exports_artifact_open(sw->root, found->key, O_PATH);

    if (fd == -1 || fstat(fd, &st) == -1) {
        err = errno;

    } else {
        *there = S_ISREG(st.st_mode);
    }

    if (fd != -1) {
        (void) close(fd);
    }

    switch (err) {

    case 0:
    case ENOENT:
    case ENOTDIR:
    case EXDEV:
    case ELOOP:
    case ENAMETOOLONG:
        return CTL_OK;

    default:
        (void) snprintf(why, sizeof(why), "\"%s\": %s",
                        ctl_printable(key, sizeof(key), found->key,
                                      strlen(found->key)),
                        strerror(err));
        report_left(sw, found, why);

        return CTL_FAILED;
    }
}


/* one that cannot be swept does not keep the others */

static void
report_left(sweep_t *sw, const found_t *found, const char *why)
{
    char  name[NAME_SIZE];

    sw->errors++;
    ctl_message("%s: left as it is: %s", name_of(sw, found, name), why);
}


static const char *
name_of(const sweep_t *sw, const found_t *found, char *buf)
{
    const ctl_scope_t  *scope;

    scope = ctl_scopes_find(&sw->scopes, found->scope);

    (void) snprintf(buf, NAME_SIZE, "%s %.*s: %.*s",
                    exports_kind_name(found->type == FOUND_USER
                                          ? EXPORTS_USER : EXPORTS_PROJECT),
                    scope != NULL ? (int) scope->len : 1,
                    scope != NULL ? ctl_scopes_name(&sw->scopes, scope) : "?",
                    (int) found->id_len, found->id);

    return buf;
}


static void
report_user(sweep_t *sw, const found_t *found)
{
    char  line[640], key[256], name[NAME_SIZE];

    if (sw->args->json) {
        return;
    }

    (void) snprintf(line, sizeof(line), "%s: no file \"%s\"",
                    name_of(sw, found, name),
                    ctl_printable(key, sizeof(key), found->key,
                                  strlen(found->key)));

    (void) ctl_print_line(line);
}


/* --dry-run does the same, but for the writing */

static int
change_all(sweep_t *sw)
{
    int       rc;
    unsigned  i, n;

    for (n = 0, i = 0; i < sw->nfound; i++) {
        n += (sw->found[i].change != 0);
    }

    if (n == 0) {
        return CTL_OK;
    }

    rc = begin(sw);
    if (rc != CTL_OK) {
        return rc;
    }

    for (i = 0; i < sw->nfound && rc == CTL_OK; i++) {
        if (sw->found[i].change) {
            rc = change(sw, &sw->found[i]);
        }
    }

    return end(sw, rc);
}


static int
begin(sweep_t *sw)
{
    if (sw->args->dry_run) {
        sw->current = sw->store.reader;
        return renew(sw);
    }

    if (ctl_store_begin(&sw->store) != CTL_OK) {
        return CTL_FAILED;
    }

    sw->current = exports_writer_reader(sw->store.writer);

    return CTL_OK;
}


static int
end(sweep_t *sw, int rc)
{
    if (sw->args->dry_run) {
        exports_reader_reset(sw->current);
        return rc;
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

    rc = exports_read_manifest(sw->current, EXPORTS_PROJECT, found->scope,
                               found->id, found->id_len, key, &record);

    scope = ctl_scopes_find(&sw->scopes, found->scope);

    /* somebody else has changed it since: the next sweep will see */

    if (rc == EXPORTS_NOT_FOUND
        || (rc == EXPORTS_OK && !is_as_found(&record, found)))
    {
        return CTL_OK;
    }

    if (rc == EXPORTS_OK && scope == NULL) {
        report_left(sw, found, "its project cannot be read: run "
                    "\"exportsctl verify\"");
        return CTL_OK;
    }

    if (rc == EXPORTS_OK) {
        rc = exports_manifest_print(&text, &record,
                                    ctl_scopes_name(&sw->scopes, scope),
                                    scope->len, &error);
    }

    if (rc == EXPORTS_CORRUPT) {
        report_left(sw, found, "damaged: run \"exportsctl verify\"");
        return CTL_OK;
    }

    if (rc != EXPORTS_OK) {
        return ctl_error("%.*s: %s", (int) found->id_len, found->id,
                         exports_strerror(rc));
    }

    manifest = changed(sw, found, text);
    free(text);

    return manifest != NULL ? rewrite(sw, found, manifest)
                            : ctl_error("out of memory");
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

    fill_found(&now, type, found->scope, record);

    return now.expires == found->expires && now.local == found->local
           && strcmp(now.key, found->key) == 0;
}


static json_t *
changed(const sweep_t *sw, const found_t *found, const char *text)
{
    int       gone, failed;
    json_t   *manifest;
    uint64_t  second;

    gone = found->reason != NULL;
    second = sw->now / 1000000 * 1000000;
    manifest = json_loads(text, 0, NULL);

    failed = json_object_set_new(manifest, "status",
                                 json_string(gone ? "not_found" : "ready"))
             | json_object_set_new(manifest, "status_reason",
                                   gone ? json_string(found->reason)
                                        : json_null())
             | json_object_set_new(manifest, "missing_at",
                                   ctl_json_time(gone ? second : 0));

    if (failed) {
        json_decref(manifest);
        return NULL;
    }

    return manifest;
}


static int
rewrite(sweep_t *sw, const found_t *found, json_t *manifest)
{
    char             *text;
    exports_rc_t      rc;
    exports_error_t   error;

    text = json_dumps(manifest, JSON_COMPACT);
    json_decref(manifest);

    if (text == NULL) {
        return ctl_error("out of memory");
    }

    rc = put(sw, text, &error);
    free(text);

    switch (rc) {

    case EXPORTS_OK:
        count(sw, found);
        return CTL_OK;

    case EXPORTS_INVALID:
    case EXPORTS_CONFLICT:
        report_left(sw, found, error.text);
        return CTL_OK;

    default:
        return ctl_error("%.*s: %s", (int) found->id_len, found->id,
                         error.text);
    }
}


static exports_rc_t
put(sweep_t *sw, const char *text, exports_error_t *error)
{
    exports_rc_t               rc;
    static exports_manifest_t  parsed;

    rc = exports_manifest_parse(&parsed, text, strlen(text), error);

    return rc == EXPORTS_OK && !sw->args->dry_run
               ? exports_writer_put(sw->store.writer, &parsed, NULL, error)
               : rc;
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


static int
print_result(const sweep_t *sw)
{
    if (sw->args->json) {
        return ctl_print_json(json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I}",
                          "dry_run", sw->args->dry_run,
                          "checked", (json_int_t) sw->checked,
                          "missing", (json_int_t) sw->missing,
                          "expired", (json_int_t) sw->expired,
                          "restored", (json_int_t) sw->restored,
                          "user_files_missing",
                          (json_int_t) sw->user_missing,
                          "errors", (json_int_t) sw->errors));
    }

    (void) printf("checked %llu manifest%s: %llu %sbecome not_found (%llu "
                  "without a file, %llu expired), %llu %sready again; %llu "
                  "file%s of users' exports missing; %llu error%s\n",
                  (unsigned long long) sw->checked, CTL_S(sw->checked),
                  (unsigned long long) (sw->missing + sw->expired),
                  sw->args->dry_run ? "would " : "have ",
                  (unsigned long long) sw->missing,
                  (unsigned long long) sw->expired,
                  (unsigned long long) sw->restored,
                  sw->args->dry_run ? "would be " : "are ",
                  (unsigned long long) sw->user_missing,
                  CTL_S(sw->user_missing),
                  (unsigned long long) sw->errors, CTL_S(sw->errors));

    return CTL_OK;
}
