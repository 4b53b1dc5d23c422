
/*
 * exports_text.h: text forms of what the store holds, and which are valid.
 */

#ifndef EXPORTS_TEXT_H
#define EXPORTS_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "exports_schema.h"


/* Writes 2 * len lower-case hexadecimal digits. */
void exports_hex(char *text, const uint8_t *bytes, size_t len);

/* Reads 2 * len digits of either case.  Returns 0, or -1: not hexadecimal. */
int exports_unhex(uint8_t *bytes, size_t len, const char *text);

#define EXPORTS_DECIMAL_MAX  20

/* Writes up to EXPORTS_DECIMAL_MAX digits; returns the number written. */
size_t exports_decimal(char *text, uint64_t number);

/*
 * The length of the first character of a text, in bytes: 1 to 4.  0: it is not
 * UTF-8, or the text is empty.  Strict, by RFC 3629: no surrogates, nothing
 * above U+10FFFF, nothing longer than need be, nothing cut off.  A zero byte is
 * a character like others.  At most len bytes are looked at.
 */
size_t exports_utf8_length(const char *text, size_t len);

/* 1 when all of a text is UTF-8 in that sense, or the text is empty */
int exports_utf8_valid(const char *text, size_t len);

/* 8-4-4-4-12.  unparse writes EXPORTS_LINEAGE_TEXT_LEN bytes; parse returns 0,
   or -1: not a UUID */
void exports_uuid_unparse(char *text, const uint8_t *bytes);
int exports_uuid_parse(uint8_t *bytes, const char *text, size_t len);

/* room for the longest word for a status */
#define EXPORTS_STATUS_NAME_MAX  10

/* the words for the statuses of each kind, as messages list them */
#define EXPORTS_PROJECT_STATUS_WORDS  "ready or not_found"
#define EXPORTS_USER_STATUS_WORDS                                             \
    "pending, processing, ready, failed, or cancelled"

/* the word for a status, NULL: there is none; and back, 0: there is none */
const char *exports_status_name(unsigned status);
unsigned exports_status_parse(exports_kind_t kind, const char *text,
    size_t len);

/* the word for a kind: "project", "user" */
const char *exports_kind_name(exports_kind_t kind);

/*
 * 1 when the text is acceptable as a project's slug or a user's ID, as the
 * project's export ID or the user's uuid.
 */
int exports_scope_name_valid(exports_kind_t kind, const char *text,
    size_t len);
int exports_id_valid(exports_kind_t kind, const char *text, size_t len);


#endif /* EXPORTS_TEXT_H */
