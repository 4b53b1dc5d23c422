
/*
 * The options of a build with sanitizers, in it as nginx keeps no environment
 * when it starts another binary in its place.
 *
 * Leaks are not looked for: what a configuration allocates nginx -t does not
 * give back, a store that a read was given up on is left as it is, and what
 * lies in a pool goes with it.  The quarantine is small, as there are tests
 * that look at how memory grows.
 */

const char *__asan_default_options(void);
const char *__ubsan_default_options(void);


const char *
__asan_default_options(void)
{
    return "detect_leaks=0:quarantine_size_mb=4:abort_on_error=1"
           ":detect_stack_use_after_return=1:strict_string_checks=1";
}


const char *
__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}
