
/*
 * The command "sweep": its chunks, the files that they name, the summary.
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
#include "exportsctl_sweep.h"


#define NAME_SIZE  (EXPORTS_SCOPE_NAME_MAX + EXPORTS_ID_MAX + 16)


static int sweep_all(sweep_t *sw);
static void examine(sweep_t *sw, found_t *found);
static int look(sweep_t *sw, const found_t *found, int *there);
static int root_stays(const sweep_t *sw);
static void report_users(sweep_t *sw);
static void report_user(sweep_t *sw, const found_t *found);
static const char *name_of(const sweep_t *sw, const found_t *found, char *buf);
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

    sw.found = malloc(SWEEP_FOUND * sizeof(found_t));

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

        rc = ctl_sweep_collect(sw);
        if (rc != CTL_OK) {
            return rc;
        }

        for (i = 0; i < sw->nfound; i++) {
            examine(sw, &sw->found[i]);
        }

        rc = root_stays(sw);
        if (rc != CTL_OK) {
            return rc;
        }

        report_users(sw);

        rc = ctl_sweep_change(sw);
        if (rc != CTL_OK) {
            return rc;
        }
    }

    return CTL_OK;
}


static void
examine(sweep_t *sw, found_t *found)
{
    int  there;

    if (found->expires != 0 && found->expires <= sw->now
        && found->type != FOUND_USER)
    {
        found->reason = SWEEP_EXPIRED;

    } else if (found->local) {

        if (look(sw, found, &there) != CTL_OK) {
            return;
        }

        if (!there) {
            found->reason = SWEEP_MISSING;
        }
    }

    found->change = (found->type == FOUND_READY && found->reason != NULL)
                    || (found->type == FOUND_SWEPT && found->reason == NULL);
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

    /* what the kernel needs for it is no loop of LMDB */

    ctl_step();

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
        ctl_sweep_left(sw, found, why);

        return CTL_FAILED;
    }
}


void
ctl_sweep_left(sweep_t *sw, const found_t *found, const char *why)
{
    char  name[NAME_SIZE];

    sw->errors++;
    ctl_message("%s: left as it is: %s", name_of(sw, found, name), why);
}


/* of a directory that was replaced, and then emptied, all files are missing */

static int
root_stays(const sweep_t *sw)
{
    struct stat  now, then;

    if (stat(sw->args->root, &now) == -1 || fstat(sw->root, &then) == -1) {
        return ctl_error("\"%s\": %s", sw->args->root, strerror(errno));
    }

    return now.st_ino == then.st_ino && now.st_dev == then.st_dev
               ? CTL_OK
               : ctl_error("\"%s\" was replaced while in use: sweep again",
                           sw->args->root);
}


static void
report_users(sweep_t *sw)
{
    unsigned  i;

    for (i = 0; i < sw->nfound; i++) {
        if (sw->found[i].type == FOUND_USER && sw->found[i].reason != NULL) {
            sw->user_missing++;
            report_user(sw, &sw->found[i]);
        }
    }
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
