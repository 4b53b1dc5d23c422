
#include <string.h>

#include "exports_codec.h"
#include "exports_text.h"


static uint64_t hex_digits(uint64_t n);


void
exports_hex(char *text, const uint8_t *bytes, size_t len)
{
    uint8_t  rest[4], digits[8];

    for ( /* void */ ; len >= 4; len -= 4) {
        exports_put64((uint8_t *) text, hex_digits(exports_get32(bytes)));

        bytes += 4;
        text += 8;
    }

    if (len > 0) {
        memset(rest, 0, sizeof(rest));
        memcpy(rest, bytes, len);

        exports_put64(digits, hex_digits(exports_get32(rest)));
        memcpy(text, digits, 2 * len);
    }
}


/*
 * the eight digits of a number of 32 bits, one in each byte.  Without a table:
 * which of its cache lines are used would tell something of a signature
 */

static uint64_t
hex_digits(uint64_t n)
{
    uint64_t  letters;

    n = (n | n << 16) & 0x0000ffff0000ffff;
    n = (n | n << 8) & 0x00ff00ff00ff00ff;
    n = (n | n << 4) & 0x0f0f0f0f0f0f0f0f;

    letters = (n + 0x0606060606060606) >> 4 & 0x0101010101010101;

    return n + 0x3030303030303030 + letters * ('a' - 10 - '0');
}


int
exports_unhex(uint8_t *bytes, size_t len, const char *text)
{
    int      digit;
    char     c;
    size_t   i;

    for (i = 0; i < 2 * len; i++) {
        c = text[i];

        if (c >= '0' && c <= '9') {
            digit = c - '0';

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (c | 0x20) - 'a' + 10;

        } else {
            return -1;
        }

        bytes[i / 2] = (uint8_t) ((i & 1) ? (bytes[i / 2] << 4) | digit
                                          : digit);
    }

    return 0;
}


size_t
exports_decimal(char *text, uint64_t number)
{
    char    digits[EXPORTS_DECIMAL_MAX], *p;
    size_t  len;

    if (number < 10) {
        *text = (char) ('0' + number);
        return 1;
    }

    p = digits + sizeof(digits);

    do {
        *--p = (char) ('0' + number % 10);
        number /= 10;
    } while (number != 0);

    len = (size_t) (digits + sizeof(digits) - p);
    memcpy(text, p, len);

    return len;
}


/* the range of the second byte depends on the first: it leaves out overlong
   forms, surrogates, and what is above U+10FFFF */

size_t
exports_utf8_length(const char *text, size_t len)
{
    size_t                i, n;
    unsigned char         c;
    const unsigned char  *p;

    if (len == 0) {
        return 0;
    }

    p = (const unsigned char *) text;
    c = p[0];

    if (c < 0x80) {
        return 1;
    }

    n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (c < 0xc2 || c > 0xf4 || len < n
        || p[1] < (c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80)
        || p[1] > (c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf))
    {
        return 0;
    }

    for (i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }

    return n;
}


int
exports_utf8_valid(const char *text, size_t len)
{
    size_t  i, n;

    for (i = 0; i < len; i += n) {
        n = exports_utf8_length(text + i, len - i);

        if (n == 0) {
            return 0;
        }
    }

    return 1;
}


void
exports_uuid_unparse(char *text, const uint8_t *bytes)
{
    size_t  i;

    for (i = 0; i < EXPORTS_LINEAGE_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *text++ = '-';
        }

        exports_hex(text, bytes + i, 1);
        text += 2;
    }
}


int
exports_uuid_parse(uint8_t *bytes, const char *text, size_t len)
{
    size_t  i;

    if (len != EXPORTS_LINEAGE_TEXT_LEN) {
        return -1;
    }

    for (i = 0; i < EXPORTS_LINEAGE_LEN; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (*text++ != '-') {
                return -1;
            }
        }

        if (exports_unhex(bytes + i, 1, text) != 0) {
            return -1;
        }

        text += 2;
    }

    return 0;
}


static const char  *status_names[] = {
    [EXPORTS_STATUS_READY] = "ready",
    [EXPORTS_STATUS_NOT_FOUND] = "not_found",
    [EXPORTS_STATUS_PENDING] = "pending",
    [EXPORTS_STATUS_PROCESSING] = "processing",
    [EXPORTS_STATUS_FAILED] = "failed",
    [EXPORTS_STATUS_CANCELLED] = "cancelled"
};

#define STATUS_COUNT  (sizeof(status_names) / sizeof(status_names[0]))

_Static_assert(STATUS_COUNT == EXPORTS_STATUSES + 1, "a word for each status");


const char *
exports_status_name(unsigned status)
{
    return status < STATUS_COUNT ? status_names[status] : NULL;
}


unsigned
exports_status_parse(exports_kind_t kind, const char *text, size_t len)
{
    unsigned  status;

    for (status = EXPORTS_STATUS_READY; status < STATUS_COUNT; status++) {

        if (status != EXPORTS_STATUS_READY
            && (status == EXPORTS_STATUS_NOT_FOUND)
               != (kind == EXPORTS_PROJECT))
        {
            continue;
        }

        if (strlen(status_names[status]) == len
            && memcmp(status_names[status], text, len) == 0)
        {
            return status;
        }
    }

    return 0;
}


const char *
exports_kind_name(exports_kind_t kind)
{
    return kind == EXPORTS_PROJECT ? "project" : "user";
}


int
exports_scope_name_valid(exports_kind_t kind, const char *text, size_t len)
{
    static const char  project[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    static const char  user[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t             i, max;
    const char        *set;

    set = kind == EXPORTS_PROJECT ? project : user;
    max = kind == EXPORTS_PROJECT ? EXPORTS_PROJECT_MAX : EXPORTS_USER_MAX;

    if (len == 0 || len > max) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if (text[i] == '\0' || strchr(set, text[i]) == NULL) {
            return 0;
        }
    }

    return 1;
}


int
exports_id_valid(exports_kind_t kind, const char *text, size_t len)
{
    size_t  i;

    if (kind == EXPORTS_PROJECT) {
        if (len < 5 || len > EXPORTS_ID_MAX || memcmp(text, "exp_", 4) != 0) {
            return 0;
        }

    } else if (len == 0 || len > EXPORTS_UUID_MAX) {
        return 0;
    }

    for (i = 0; i < len; i++) {
        if ((text[i] >= 'A' && text[i] <= 'Z')
            || (text[i] >= 'a' && text[i] <= 'z')
            || (text[i] >= '0' && text[i] <= '9')
            || text[i] == '-'
            || (text[i] == '_' && kind == EXPORTS_PROJECT))
        {
            continue;
        }

        return 0;
    }

    return 1;
}
