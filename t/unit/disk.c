
/*
 * A disk that fails for a moment, behind LMDB's back: what was committed
 * before is still there, and it goes on.
 */

#include "fixture.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exports_mdb_layout.h"


static exports_error_t  error;

/* writes of a meta page that fail, and how many have failed */
static unsigned  meta_faults, failed;


/* in place of libc's: LMDB's writes, of meta pages a part of one */

ssize_t
pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    if (meta_faults > 0 && len < sizeof(meta_page_t)
        && (size_t) offset < 2 * (size_t) sysconf(_SC_PAGESIZE))
    {
        meta_faults--;
        failed++;
        errno = EIO;
        return -1;
    }

    return syscall(SYS_pwrite64, fd, buf, len, offset);
}


static exports_rc_t
commit_some(exports_env_t *env, unsigned from, unsigned n)
{
    char               id[32];
    spec_t             spec;
    exports_writer_t  *w;

    spec = (spec_t) { .kind = EXPORTS_PROJECT, .scope = "alpha", .id = id,
                      .created = TEST_TIME, .status = "ready",
                      .type = "contacts" };
    w = begin_writer(env);

    while (n-- > 0) {
        (void) snprintf(id, sizeof(id), "exp_%u", from++);
        check(put_spec(w, &spec, NULL, &error) == EXPORTS_OK, "put: %s",
              error.text);
    }

    return exports_writer_commit(w, &error);
}


/*
 * LMDB then puts the number of the commit before last back, and leaves the
 * roots of the new one beside it; if that fails, too, all of the page may be
 * new
 */

static void
meta_page(void)
{
    unsigned        round, n;
    uint64_t        sum;
    exports_rc_t    rc;
    exports_env_t  *env;

    env = new_store(in_dir("meta"));
    exports_env_close(env);

    for (round = 0, n = 0; round < 40; round++, n += 50) {
        env = open_store(in_dir("meta"), EXPORTS_ENV_WRITE);
        check(commit_some(env, n, 1 + below(20)) == EXPORTS_OK, "commit: %s",
              error.text);
        sum = store_sum(env);

        failed = 0;
        meta_faults = 1;
        rc = commit_some(env, n + 20, 1 + below(30));
        meta_faults = 0;

        check(failed == 1 && rc != EXPORTS_OK && rc != EXPORTS_COMMITTED,
              "a commit whose meta page is not written: %s", rc_name(rc));
        exports_env_close(env);

        env = open_store(in_dir("meta"), 0);
        check(store_sum(env) == sum, "round %u: another state", round);
        check(store_faults(env) == 0, "round %u: verify", round);
        exports_env_close(env);
    }

    checked("a store whose meta page could not be written is as before");
}


int
main(void)
{
    random_seed();

    meta_page();

    return done_testing();
}
