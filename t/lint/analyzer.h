
/*
 * analyzer.h: what clang's analyzer, which sees one source at a time, must know
 * of functions in others.  ./run lint includes it ahead of the sources.
 */

#include "exports_error.h"

#define exports_error(error, rc, ...)                                         \
    (exports_error(error, rc, __VA_ARGS__), (rc))

#ifdef LINT_COMMAND

#include "exportsctl.h"

#define ctl_error(...)  (ctl_error(__VA_ARGS__), CTL_FAILED)
#define ctl_usage(...)  (ctl_usage(__VA_ARGS__), CTL_USAGE)

#endif
