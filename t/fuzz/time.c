
/* the small texts: times, UUIDs, hexadecimal digits, names and words */

#define _GNU_SOURCE             /* timegm() */

#include <time.h>

#include "exports_text.h"
#include "exports_time.h"
#include "fuzz.h"


static void check_time(const char *text, size_t len);
static int model_time(const char *text, size_t len, uint64_t *time);
static int take(const char **p, const char *end, unsigned digits, int *value);
static void check_format(uint64_t time);
static void check_uuid(const char *text, size_t len);
static void check_words(const char *text, size_t len);
static int of_set(const char *text, size_t len, const char *set, size_t max);


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char          *text;
    uint64_t       number;
    fuzz_input_t   in = { data, data + size };

    text = fuzz_copy(data, size);

    check_time(text, size);
    check_uuid(text, size);
    check_words(text, size);

    free(text);

    number = fuzz_number(&in, 8) % (EXPORTS_TIME_MAX + 1);
    check_format(number);

    return 0;
}


static void
check_time(const char *text, size_t len)
{
    int        rc, want;
    char       first[EXPORTS_TIME_TEXT_MAX];
    size_t     n;
    uint64_t   time, model, again;

    time = 0;
    model = 0;

    rc = exports_time_parse(text, len, &time);
    want = model_time(text, len, &model);

    must(rc == want, "\"%.*s\": %d, not %d", (int) len, text, rc, want);

    if (rc != 0) {
        return;
    }

    must(time == model, "\"%.*s\": %llu, not %llu", (int) len, text,
         (unsigned long long) time, (unsigned long long) model);
    must(time <= EXPORTS_TIME_MAX, "%llu", (unsigned long long) time);

    n = exports_time_format(first, time);
    must(exports_time_parse(first, n, &again) == 0 && again == time,
         "\"%.*s\" is another time", (int) n, first);
}


/* by the C library's calendar */

static int
model_time(const char *text, size_t len, uint64_t *time)
{
    int          hours, minutes, sign, micro, digits;
    time_t       seconds;
    struct tm    tm, back;
    const char  *p, *end;

    p = text;
    end = text + len;
    memset(&tm, 0, sizeof(struct tm));

    if (take(&p, end, 4, &tm.tm_year) || p == end || *p++ != '-'
        || take(&p, end, 2, &tm.tm_mon) || p == end || *p++ != '-'
        || take(&p, end, 2, &tm.tm_mday) || p == end
        || strchr("Tt", *p) == NULL || *p++ == '\0'
        || take(&p, end, 2, &tm.tm_hour) || p == end || *p++ != ':'
        || take(&p, end, 2, &tm.tm_min) || p == end || *p++ != ':'
        || take(&p, end, 2, &tm.tm_sec))
    {
        return -1;
    }

    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    back = tm;

    seconds = timegm(&back);

    /* what is out of range has become another date */

    if (back.tm_year != tm.tm_year || back.tm_mon != tm.tm_mon
        || back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour
        || back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
    {
        return -1;
    }

    micro = 0;

    if (p < end && *p == '.') {
        for (p++, digits = 0; p < end && *p >= '0' && *p <= '9'; p++) {
            if (digits++ < 6) {
                micro = micro * 10 + (*p - '0');
            }
        }

        if (digits < 1 || digits > 6) {
            return -1;
        }

        for ( /* void */ ; digits < 6; digits++) {
            micro *= 10;
        }
    }

    if (end - p == 6) {
        sign = *p == '+' ? 1 : *p == '-' ? -1 : 0;
        p++;

        if (sign == 0 || take(&p, end, 2, &hours) || *p++ != ':'
            || take(&p, end, 2, &minutes) || hours > 23 || minutes > 59)
        {
            return -1;
        }

        seconds -= sign * (hours * 3600 + minutes * 60);

    } else if (end - p != 1 || (*p != 'Z' && *p != 'z')) {
        return -1;
    }

    if (seconds < 0 || (uint64_t) seconds > EXPORTS_TIME_MAX / 1000000) {
        return -1;
    }

    *time = (uint64_t) seconds * 1000000 + (uint64_t) micro;

    return 0;
}


static int
take(const char **p, const char *end, unsigned digits, int *value)
{
    for (*value = 0; digits > 0; digits--, (*p)++) {
        if (*p == end || **p < '0' || **p > '9') {
            return -1;
        }

        *value = *value * 10 + (**p - '0');
    }

    return 0;
}


static void
check_format(uint64_t time)
{
    char        text[EXPORTS_TIME_TEXT_MAX], want[64];
    size_t      n, len;
    time_t      seconds;
    uint64_t    again;
    struct tm   tm;

    n = exports_time_format(text, time);

    seconds = (time_t) (time / 1000000);
    must(gmtime_r(&seconds, &tm) != NULL, "no date");
    len = strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S", &tm);

    if (time % 1000000 != 0) {
        len += (size_t) snprintf(want + len, sizeof(want) - len, ".%06u",
                                 (unsigned) (time % 1000000));
    }

    want[len++] = 'Z';

    must(n == len && memcmp(text, want, n) == 0, "%.*s, not %.*s", (int) n,
         text, (int) len, want);
    must(exports_time_parse(text, n, &again) == 0 && again == time,
         "%.*s is another time", (int) n, text);
}


static void
check_uuid(const char *text, size_t len)
{
    char     first[EXPORTS_LINEAGE_TEXT_LEN];
    uint8_t  bytes[EXPORTS_LINEAGE_LEN];
    size_t   i;

    if (exports_uuid_parse(bytes, text, len) != 0) {
        return;
    }

    must(len == EXPORTS_LINEAGE_TEXT_LEN, "%zu", len);

    exports_uuid_unparse(first, bytes);

    for (i = 0; i < len; i++) {
        must(first[i] == (text[i] >= 'A' && text[i] <= 'F' ? text[i] | 0x20
                                                           : text[i]),
             "%.*s, not %.*s", (int) len, first, (int) len, text);
    }
}


static void
check_words(const char *text, size_t len)
{
    unsigned           status;
    const char        *name;
    static const char  lower[] = "abcdefghijklmnopqrstuvwxyz";
    static const char  letters[] = "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char               set[128];

    status = exports_status_parse(EXPORTS_PROJECT, text, len);
    must(status <= EXPORTS_STATUS_NOT_FOUND, "%u", status);

    if (status == 0) {
        status = exports_status_parse(EXPORTS_USER, text, len);
        must(status != EXPORTS_STATUS_NOT_FOUND
             && status <= EXPORTS_STATUS_CANCELLED, "%u", status);
    }

    name = exports_status_name(status);

    must(status == 0 || (strlen(name) == len && memcmp(name, text, len) == 0),
         "%s", name);

    (void) snprintf(set, sizeof(set), "%s0123456789_-", lower);
    must(exports_scope_name_valid(EXPORTS_PROJECT, text, len)
         == of_set(text, len, set, 128), "a project");

    (void) snprintf(set, sizeof(set), "%s0123456789._-", letters);
    must(exports_scope_name_valid(EXPORTS_USER, text, len)
         == of_set(text, len, set, 64), "a user");

    (void) snprintf(set, sizeof(set), "%s0123456789-", letters);
    must(exports_id_valid(EXPORTS_USER, text, len)
         == of_set(text, len, set, 64), "a uuid");

    (void) snprintf(set, sizeof(set), "%s0123456789_-", letters);
    must(exports_id_valid(EXPORTS_PROJECT, text, len)
         == (len > 4 && memcmp(text, "exp_", 4) == 0
             && of_set(text, len, set, 128)), "an export");
}


/* 1 to max bytes, all of the set */

static int
of_set(const char *text, size_t len, const char *set, size_t max)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (memchr(set, text[i], strlen(set)) == NULL) {
            return 0;
        }
    }

    return len >= 1 && len <= max;
}
