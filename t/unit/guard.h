
/*
 * guard.h: LMDB reads what is damaged.  Since 0.9.27 it follows the page in a
 * node as soon as a cursor comes to the key, before that can be checked; then
 * an assertion may fail, or a read fault.  Programs that read stores are
 * guarded against both, and so is what these tests read; with older versions
 * nothing may get that far, and it is not.
 */

#ifndef GUARD_H
#define GUARD_H

#include "fixture.h"

#include <setjmp.h>
#include <signal.h>

#if SANITIZED
#include <sanitizer/lsan_interface.h>
#endif


static sigjmp_buf             guard_leave;
static volatile sig_atomic_t  guard_armed;


static inline int
guard_needed(void)
{
    int  major, minor, patch;

    (void) mdb_version(&major, &minor, &patch);

    return major > 0 || minor > 9 || patch >= 27;
}


static inline void
guard_signal(int signo)
{
    if (!guard_armed) {
        (void) signal(signo, SIG_DFL);
        (void) raise(signo);
        return;
    }

    siglongjmp(guard_leave, 1);
}


static inline void
guard_assertion(MDB_env *mdb, const char *message)
{
    (void) mdb;

    must(guard_armed, "%s", message);
    siglongjmp(guard_leave, 1);
}


static inline void
guard_install(exports_env_t *env)
{
    if (guard_needed()) {
        (void) signal(SIGSEGV, guard_signal);
        (void) signal(SIGBUS, guard_signal);
        (void) mdb_env_set_assert(env->mdb, guard_assertion);
    }
}


/* read(data), or EXPORTS_CORRUPT if LMDB did not come back from it; what it
   had allocated is lost then */

static inline exports_rc_t
guarded(exports_rc_t (*read)(void *data), void *data)
{
    exports_rc_t  rc;

    if (!guard_needed()) {
        return read(data);
    }

    rc = EXPORTS_CORRUPT;

#if SANITIZED
    __lsan_disable();
#endif

    if (sigsetjmp(guard_leave, 1) == 0) {
        guard_armed = 1;
        rc = read(data);
    }

    guard_armed = 0;

#if SANITIZED
    __lsan_enable();
#endif

    return rc;
}


#endif /* GUARD_H */
