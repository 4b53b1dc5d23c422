
/*
 * exports_time.c, against the C library's gmtime() and timegm().
 */

#include "fixture.h"


#define SECOND  1000000ULL


static exports_rc_t
parse(const char *text, uint64_t *time)
{
    *time = 77;

    return exports_time_parse(text, strlen(text), time) == 0 ? EXPORTS_OK
                                                             : EXPORTS_INVALID;
}


/* printed as the library of C has it, and parsed again */

static void
same(uint64_t time)
{
    char       text[EXPORTS_TIME_TEXT_MAX + 1], want[80], other[100];
    size_t     len;
    time_t     seconds;
    uint64_t   again;
    struct tm  tm;

    seconds = (time_t) (time / SECOND);
    (void) gmtime_r(&seconds, &tm);

    (void) snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d",
                    tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                    tm.tm_min, tm.tm_sec);

    if (time % SECOND != 0) {
        (void) snprintf(other, sizeof(other), "%s.%06uZ", want,
                        (unsigned) (time % SECOND));
    } else {
        (void) snprintf(other, sizeof(other), "%sZ", want);
    }

    memset(text, 'x', sizeof(text));
    len = exports_time_format(text, time);

    check(len <= EXPORTS_TIME_TEXT_MAX && text[len] == 'x',
          "%" PRIu64 " is of %zu bytes", time, len);
    text[len] = '\0';

    check(strcmp(text, other) == 0, "%" PRIu64 " is %s, not %s", time, text,
          other);

    check(parse(text, &again) == EXPORTS_OK && again == time,
          "%s is %" PRIu64 ", not %" PRIu64, text, again, time);
}


static void
formats(void)
{
    int        year;
    unsigned   i;
    uint64_t   time;
    struct tm  tm;

    for (i = 0; i < rounds(200000, 60000); i++) {
        time = rnd() % (EXPORTS_TIME_MAX + 1);
        same(chance(50) ? time : time - time % SECOND);
    }

    checked("random times");

    for (year = 1970; year <= 9999; year++) {
        memset(&tm, 0, sizeof(tm));
        tm.tm_year = year - 1900;
        tm.tm_mday = 1;
        time = (uint64_t) timegm(&tm) * SECOND;

        same(time);
        same(time + 1);

        if (time > 0) {
            same(time - 1);
            same(time - SECOND);
        }

        /* around the leap day, and where it is none */

        tm.tm_mon = 1;
        tm.tm_mday = 28;
        time = (uint64_t) timegm(&tm) * SECOND;
        same(time);
        same(time + 86400 * SECOND - 1);
        same(time + 86400 * SECOND);
        same(time + 2 * 86400 * SECOND);
    }

    checked("the bounds of all years");

    same(0);
    same(1);
    same(999999);
    same(EXPORTS_TIME_MAX);
    same(EXPORTS_TIME_MAX - 999999);
    checked("the first and the last times");
}


/* every day there is, and the days after those */

static void
days(void)
{
    static const unsigned  lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30,
                                         31, 30, 31 };
    char                   text[40];
    unsigned               year, month, day, last;
    uint64_t               time, before;
    exports_rc_t           rc;

    before = 0;

    for (year = 1969; year <= 9999; year++) {
        for (month = 0; month <= 13; month++) {
            last = month >= 1 && month <= 12 ? lengths[month - 1] : 0;

            if (month == 2 && year % 4 == 0
                && (year % 100 != 0 || year % 400 == 0))
            {
                last++;
            }

            for (day = 27; day <= 32; day++) {
                (void) snprintf(text, sizeof(text), "%04u-%02u-%02uT12:00:00Z",
                                year, month, day);
                rc = parse(text, &time);

                if (year == 1969 || day > last) {
                    check(rc == EXPORTS_INVALID, "%s", text);
                    continue;
                }

                check(rc == EXPORTS_OK && time > before, "%s: %" PRIu64, text,
                      time);
                before = time;
            }
        }
    }

    checked("the last days of all months");
}


static void
offsets(void)
{
    size_t       i;
    uint64_t     time, want;
    static const struct {
        const char  *text;
        const char  *utc;       /* NULL: refused */
    } pairs[] = {
        { "2026-06-02T01:23:45+00:00", "2026-06-02T01:23:45Z" },
        { "2026-06-02T01:23:45-00:00", "2026-06-02T01:23:45Z" },
        { "2026-06-02T01:23:45+02:00", "2026-06-01T23:23:45Z" },
        { "2026-06-02T01:23:45-05:30", "2026-06-02T06:53:45Z" },
        { "2026-06-02t01:23:45z", "2026-06-02T01:23:45Z" },
        { "2026-06-02T01:23:45.25+23:59", "2026-06-01T01:24:45.25Z" },
        { "2026-06-02T01:23:45-23:59", "2026-06-03T01:22:45Z" },
        { "1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00Z" },
        { "1970-01-01T02:00:00+02:00", "1970-01-01T00:00:00Z" },
        { "1970-01-01T01:59:59+02:00", NULL },
        { "1970-01-01T00:00:00+00:01", NULL },
        { "1969-12-31T23:59:59-00:01", "1970-01-01T00:00:59Z" },
        { "1969-12-31T23:59:59.999999Z", NULL },
        { "1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00Z" },
        { "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z" },
        { "9999-12-31T23:59:59-00:01", NULL },
        { "9999-12-31T23:58:59.9-00:01", "9999-12-31T23:59:59.9Z" },
        { "9999-12-31T23:59:59+01:00", "9999-12-31T22:59:59Z" },
        { "0000-01-01T00:00:00Z", NULL },
        { "0000-02-29T00:00:00Z", NULL },
        { "0001-01-01T00:00:00-23:59", NULL }
    };

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (pairs[i].utc == NULL) {
            is_int(parse(pairs[i].text, &time), EXPORTS_INVALID, "%s: refused",
                   pairs[i].text);
            continue;
        }

        must(parse(pairs[i].utc, &want) == EXPORTS_OK, "%s", pairs[i].utc);
        ok(parse(pairs[i].text, &time) == EXPORTS_OK && time == want,
           "%s is %s", pairs[i].text, pairs[i].utc);
    }
}


/* any offset, any fraction: the same as counting */

static void
random_forms(void)
{
    char       text[64];
    int        minutes, digits, n;
    time_t     seconds;
    unsigned   i, micro, scale;
    uint64_t   time;
    struct tm  tm;

    for (i = 0; i < rounds(100000, 40000); i++) {
        seconds = (time_t) (rnd() % (EXPORTS_TIME_MAX / SECOND));
        minutes = (int) below(2 * 1439 + 1) - 1439;

        (void) gmtime_r(&seconds, &tm);

        digits = (int) below(7);
        micro = 0;
        n = snprintf(text, sizeof(text), "%04d-%02d-%02d%c%02d:%02d:%02d",
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                     chance(50) ? 'T' : 't', tm.tm_hour, tm.tm_min, tm.tm_sec);

        if (digits > 0) {
            text[n++] = '.';

            for (scale = 100000; digits > 0; digits--, scale /= 10) {
                text[n] = (char) ('0' + below(10));
                micro += scale * (unsigned) (text[n++] - '0');
            }
        }

        (void) snprintf(text + n, sizeof(text) - (size_t) n, "%c%02d:%02d",
                        minutes < 0 ? '-' : '+', abs(minutes) / 60,
                        abs(minutes) % 60);

        seconds -= minutes * 60;

        if (seconds < 0 || (uint64_t) seconds > EXPORTS_TIME_MAX / SECOND) {
            check(parse(text, &time) == EXPORTS_INVALID, "%s", text);

        } else {
            check(parse(text, &time) == EXPORTS_OK
                  && time == (uint64_t) seconds * SECOND + micro,
                  "%s: %" PRIu64, text, time);
        }
    }

    checked("random offsets and fractions");
}


static void
malformed(void)
{
    char                      text[64];
    size_t                    i, len;
    uint64_t                  time;
    unsigned                  n;
    static const char         right[] = "2026-06-02T01:23:45.123456+01:30";
    static const char *const  texts[] = {
        "", "Z", "now", "2026", "2026-06-02", "01:23:45", "20260602T012345Z",
        "2026-06-02T01:23Z", "2026-06-02T01:23:45", "2026-06-02 01:23:45Z",
        "2026-06-02T01:23:45 Z", " 2026-06-02T01:23:45Z",
        "2026-06-02T01:23:45Z ", "2026-06-02T01:23:45Z\n",
        "2026-06-02T01:23:45ZZ", "2026-06-02T01:23:45+0100",
        "2026-06-02T01:23:45+01", "2026-06-02T01:23:45+1:00",
        "2026-06-02T01:23:45+01:0", "2026-06-02T01:23:45+24:00",
        "2026-06-02T01:23:45+01:60", "2026-06-02T01:23:45+-1:00",
        "2026-06-02T01:23:45.Z", "2026-06-02T01:23:45.1234567Z",
        "2026-06-02T01:23:45.0000000Z", "2026-06-02T01:23:45,5Z",
        "2026-06-02T01:23:45.5", "2026-06-02T01:23:45.-5Z",
        "2026-06-02T24:00:00Z", "2026-06-02T01:60:00Z",
        "2026-06-02T01:23:60Z", "2026-12-31T23:59:60Z",
        "2026-00-02T01:23:45Z", "2026-13-02T01:23:45Z",
        "2026-06-00T01:23:45Z", "2026-06-31T01:23:45Z",
        "2026-02-29T01:23:45Z", "2100-02-29T01:23:45Z",
        "2026-6-02T01:23:45Z", "+2026-06-02T01:23:45Z",
        "-2026-06-02T01:23:45Z", "12026-06-02T01:23:45Z",
        "2026/06/02T01:23:45Z", "2026-06-02T01.23.45Z",
        "2026-06-02T0a:23:45Z", "202\xd9\xa2-06-02T01:23:45Z"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check(parse(texts[i], &time) == EXPORTS_INVALID, "\"%s\"", texts[i]);
        check(time == 77, "\"%s\": the result was set", texts[i]);
    }

    checked("what is no RFC 3339 time");

    /* each beginning of a right one; and no byte behind it is looked at */

    for (len = 0; len < strlen(right); len++) {
        char  *exact;

        exact = malloc(len + 1);
        must(exact != NULL, "memory");
        memcpy(exact, right, len);
        check(exports_time_parse(exact, len, &time) == -1, "%.*s", (int) len,
              right);
        free(exact);
    }

    check(exports_time_parse("2026-06-02T01:23:45Z+01:00", 20, &time) == 0,
          "a text has the length that is given");
    checked("a time cut off");

    /* each byte of it replaced by each other: gmtime would not agree */

    for (i = 0; i < strlen(right); i++) {
        for (n = 0; n < 256; n++) {
            memcpy(text, right, sizeof(right));
            text[i] = (char) n;

            if (exports_time_parse(text, sizeof(right) - 1, &time) != 0) {
                continue;
            }

            /* digits, and the few letters that have two forms */

            check((n >= '0' && n <= '9') || (i == 10 && (n == 'T' || n == 't'))
                  || (i == 26 && (n == '+' || n == '-'))
                  || text[i] == right[i],
                  "%s, byte %zu: %02x", text, i, n);
        }
    }

    checked("each byte replaced");
    is_int(exports_time_parse("2026-06-02T01:23:45\0", 20, &time), -1,
           "a NUL at the end");
}


static void
now(void)
{
    time_t    before, after;
    uint64_t  between;

    /* the coarse clock of time() may be a tick behind */

    before = time(NULL);
    between = exports_time_now();
    after = time(NULL);

    ok(between / SECOND >= (uint64_t) before
       && between / SECOND <= (uint64_t) after + 1, "the clock");
    ok(exports_time_now() >= between, "goes on");
}


int
main(void)
{
    random_seed();

    formats();
    days();
    offsets();
    random_forms();
    malformed();
    now();

    return done_testing();
}
