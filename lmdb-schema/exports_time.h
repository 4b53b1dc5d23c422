
/*
 * exports_time.h: times as the store keeps them.
 *
 * A time is a count of microseconds since 1970-01-01T00:00:00Z, 1970 to 9999.
 * The text form is RFC 3339's (section 5.6).
 */

#ifndef EXPORTS_TIME_H
#define EXPORTS_TIME_H

#include <stddef.h>
#include <stdint.h>


#define EXPORTS_TIME_TEXT_MAX  27       /* 9999-12-31T23:59:59.999999Z */
#define EXPORTS_TIME_MAX       253402300799999999ULL


/*
 * Parses RFC 3339: any offset, at most six fractional digits, no leap second.
 * Returns 0, or -1 when the text is no such time or its year in UTC lies
 * outside 1970-9999.
 */
int exports_time_parse(const char *text, size_t len, uint64_t *time);

/*
 * Prints the time in UTC with a "Z", without a fraction when that is zero,
 * else with six digits.  Writes up to EXPORTS_TIME_TEXT_MAX bytes and no
 * terminating zero; returns the number written.
 */
size_t exports_time_format(char *buf, uint64_t time);

/* the clock of the machine */
uint64_t exports_time_now(void);


#endif /* EXPORTS_TIME_H */
