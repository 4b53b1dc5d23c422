
#include <time.h>

#include "exports_time.h"


/*
 * Of the proleptic Gregorian calendar: the days of an era, which is 400 years
 * and begins with a first of March, and those from 0000-03-01 to 1970-01-01.
 */
#define ERA_DAYS      146097
#define DAYS_TO_1970  719468


static int parse_digits(const char *p, size_t n, unsigned *value);
static int parse_fraction(const char *text, size_t len, size_t *pos,
    unsigned *micro);
static int parse_offset(const char *p, size_t len, int64_t *seconds);
static int64_t days_from_civil(int64_t year, unsigned month, unsigned day);
static unsigned days_in_month(unsigned year, unsigned month);
static char *format_digits(char *p, unsigned value, size_t n);


int
exports_time_parse(const char *text, size_t len, uint64_t *time)
{
    size_t    i;
    int64_t   seconds, offset;
    unsigned  year, month, day, hour, minute, second, micro;

    /* 2026-06-02T01:23:45Z is the shortest form */

    if (len < 20
        || parse_digits(text, 4, &year) || text[4] != '-'
        || parse_digits(text + 5, 2, &month) || text[7] != '-'
        || parse_digits(text + 8, 2, &day)
        || (text[10] != 'T' && text[10] != 't')
        || parse_digits(text + 11, 2, &hour) || text[13] != ':'
        || parse_digits(text + 14, 2, &minute) || text[16] != ':'
        || parse_digits(text + 17, 2, &second))
    {
        return -1;
    }

    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)
        || hour > 23 || minute > 59 || second > 59)
    {
        return -1;
    }

    micro = 0;
    i = 19;

    if ((text[i] == '.' && parse_fraction(text, len, &i, &micro) != 0)
        || parse_offset(text + i, len - i, &offset) != 0)
    {
        return -1;
    }

    seconds = days_from_civil((int64_t) year, month, day) * 86400
              + (int64_t) (hour * 3600 + minute * 60 + second) - offset;

    if (seconds < 0
        || seconds > (int64_t) (EXPORTS_TIME_MAX / 1000000))
    {
        return -1;
    }

    *time = (uint64_t) seconds * 1000000 + micro;

    return 0;
}


size_t
exports_time_format(char *buf, uint64_t time)
{
    char      *p;
    uint64_t   days, rest, era_day, era, year;
    unsigned   month, day, of_year, shifted;

    days = time / 86400000000ULL + DAYS_TO_1970;
    rest = time % 86400000000ULL;

    era = days / ERA_DAYS;
    era_day = days % ERA_DAYS;

    /* without the leap days before it each year has 365 days */

    year = (era_day - era_day / 1460 + era_day / 36524
            - era_day / (ERA_DAYS - 1))
           / 365;
    of_year = (unsigned) (era_day - (365 * year + year / 4 - year / 100));
    shifted = (5 * of_year + 2) / 153;
    day = of_year - (153 * shifted + 2) / 5 + 1;
    month = shifted < 10 ? shifted + 3 : shifted - 9;
    year += era * 400 + (month <= 2);

    p = format_digits(buf, (unsigned) year, 4);
    *p++ = '-';
    p = format_digits(p, month, 2);
    *p++ = '-';
    p = format_digits(p, day, 2);
    *p++ = 'T';
    p = format_digits(p, (unsigned) (rest / 3600000000ULL), 2);
    *p++ = ':';
    p = format_digits(p, (unsigned) (rest / 60000000 % 60), 2);
    *p++ = ':';
    p = format_digits(p, (unsigned) (rest / 1000000 % 60), 2);

    if (rest % 1000000 != 0) {
        *p++ = '.';
        p = format_digits(p, (unsigned) (rest % 1000000), 6);
    }

    *p++ = 'Z';

    return (size_t) (p - buf);
}


uint64_t
exports_time_now(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


static int
parse_digits(const char *p, size_t n, unsigned *value)
{
    size_t    i;
    unsigned  v;

    for (v = 0, i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }

        v = v * 10 + (unsigned) (p[i] - '0');
    }

    *value = v;

    return 0;
}


/* one to six digits after the point at *pos, which is moved after them */

static int
parse_fraction(const char *text, size_t len, size_t *pos, unsigned *micro)
{
    size_t    i;
    unsigned  value, digits;

    value = 0;
    digits = 0;

    for (i = *pos + 1; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
        if (++digits > 6) {
            return -1;
        }

        value = value * 10 + (unsigned) (text[i] - '0');
    }

    if (digits == 0) {
        return -1;
    }

    for ( /* void */ ; digits < 6; digits++) {
        value *= 10;
    }

    *pos = i;
    *micro = value;

    return 0;
}


static int
parse_offset(const char *p, size_t len, int64_t *seconds)
{
    unsigned  hour, minute;

    if (len == 1 && (p[0] == 'Z' || p[0] == 'z')) {
        *seconds = 0;
        return 0;
    }

    if (len != 6 || (p[0] != '+' && p[0] != '-')
        || parse_digits(p + 1, 2, &hour) || p[3] != ':'
        || parse_digits(p + 4, 2, &minute)
        || hour > 23 || minute > 59)
    {
        return -1;
    }

    *seconds = (int64_t) (hour * 3600 + minute * 60);

    if (p[0] == '-') {
        *seconds = -*seconds;
    }

    return 0;
}


static int64_t
days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t   era, of_era;
    unsigned  of_year;

    if (month <= 2) {
        year--;
    }

    /* year is -1 at the least: January of year 0 */

    era = (year >= 0 ? year : year - 399) / 400;
    of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    year -= era * 400;
    of_era = year * 365 + year / 4 - year / 100 + (int64_t) of_year;

    return era * ERA_DAYS + of_era - DAYS_TO_1970;
}


static unsigned
days_in_month(unsigned year, unsigned month)
{
    static const unsigned char  days[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) {
        return 29;
    }

    return days[month - 1];
}


static char *
format_digits(char *p, unsigned value, size_t n)
{
    size_t  i;

    for (i = n; i > 0; i--) {
        p[i - 1] = (char) ('0' + value % 10);
        value /= 10;
    }

    return p + n;
}
