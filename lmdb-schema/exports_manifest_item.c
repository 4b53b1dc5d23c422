
/* the item of a manifest, printed as JSON: as it is sent, but for the link */

#include <string.h>

#include "exports_manifest_private.h"
#include "exports_text.h"
#include "exports_time.h"


#define print_literal(out, text)  print(out, text, sizeof(text) - 1)


static void print_value(exports_output_t *out, const exports_input_t *in,
    unsigned i);
static void print_link(exports_output_t *out,
    const exports_manifest_t *manifest, const exports_record_t *record);
static void print_subject(exports_output_t *out,
    const exports_subject_t *subject);
static void print_time(exports_output_t *out, uint64_t time);
static void print_integer(exports_output_t *out, int64_t value);
static void print_string(exports_output_t *out, const exports_str_t *str);
static size_t escape(char *text, unsigned char c);
static void print(exports_output_t *out, const char *text, size_t len);


void
exports_item_print(exports_output_t *out, const exports_input_t *in,
    const exports_manifest_t *manifest, const exports_record_t *record)
{
    unsigned                i;
    const exports_field_t  *field;

    out->len = 0;
    out->link_pos = 0;
    out->failed = 0;

    for (i = 0; i < in->nfields; i++) {
        field = &in->fields[i];

        if (field->flags & EXTRA) {
            continue;
        }

        print(out, i == 0 ? "{\"" : ",\"", 2);
        print(out, field->name, field->len);
        print_literal(out, "\":");

        if (field->type == VALUE_LINK) {
            print_link(out, manifest, record);

        } else if (in->values[i] == NULL) {
            print_literal(out, "null");

        } else {
            print_value(out, in, i);
        }
    }

    print_literal(out, "}");
}


static void
print_value(exports_output_t *out, const exports_input_t *in, unsigned i)
{
    switch (in->fields[i].type) {

    case VALUE_TIME:
        print_time(out, in->times[i]);
        break;

    case VALUE_COUNT:
        print_integer(out, json_integer_value(in->values[i]));
        break;

    case VALUE_SUBJECT:
        print_subject(out, &in->subject);
        break;

    default: /* VALUE_STRING */
        print_string(out, &in->texts[i]);
        break;
    }
}


static void
print_link(exports_output_t *out, const exports_manifest_t *manifest,
    const exports_record_t *record)
{
    if ((record->item.flags & EXPORTS_RECORD_LINK) == 0) {
        print_literal(out, "null");
        return;
    }

    print_literal(out, "\"");
    out->link_pos = out->len;

    if (record->item.kind == EXPORTS_PROJECT) {
        print(out, manifest->scope, manifest->scope_len);
        print_literal(out, "/export/download/");
        print(out, manifest->id, manifest->id_len);
    }

    print_literal(out, "\"");
}


static void
print_subject(exports_output_t *out, const exports_subject_t *subject)
{
    print_literal(out, "{\"type\":");
    print_string(out, &subject->type);
    print_literal(out, ",\"id\":");
    print_integer(out, subject->id);
    print_literal(out, ",\"label\":");

    if (subject->label.data == NULL) {
        print_literal(out, "null");

    } else {
        print_string(out, &subject->label);
    }

    print_literal(out, "}");
}


static void
print_time(exports_output_t *out, uint64_t time)
{
    char  text[EXPORTS_TIME_TEXT_MAX];

    print_literal(out, "\"");
    print(out, text, exports_time_format(text, time));
    print_literal(out, "\"");
}


static void
print_integer(exports_output_t *out, int64_t value)
{
    char      text[EXPORTS_DECIMAL_MAX];
    uint64_t  number;

    number = (uint64_t) value;

    if (value < 0) {
        print_literal(out, "-");
        number = 0 - number;
    }

    print(out, text, exports_decimal(text, number));
}


/* jansson has checked that it is UTF-8 without zero bytes */

static void
print_string(exports_output_t *out, const exports_str_t *str)
{
    char         text[6];
    const char  *p, *start, *end;

    print_literal(out, "\"");

    start = str->data;
    end = start + str->len;

    for (p = start; p < end; p++) {

        if ((unsigned char) *p >= 0x20 && *p != '"' && *p != '\\') {
            continue;
        }

        print(out, start, (size_t) (p - start));
        print(out, text, escape(text, (unsigned char) *p));
        start = p + 1;
    }

    print(out, start, (size_t) (end - start));
    print_literal(out, "\"");
}


/* like jansson, by which "export" and "get" print items */

static size_t
escape(char *text, unsigned char c)
{
    const char         *letter;
    static const char   from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";

    text[0] = '\\';
    letter = strchr(from, c);

    if (letter != NULL) {
        text[1] = to[letter - from];
        return 2;
    }

    memcpy(text + 1, "u00", 3);
    text[4] = (char) ('0' + (c >> 4));
    text[5] = "0123456789ABCDEF"[c & 0x0f];

    return 6;
}


static void
print(exports_output_t *out, const char *text, size_t len)
{
    if (out->failed || len > sizeof(out->text) - out->len) {
        out->failed = 1;
        return;
    }

    memcpy(out->text + out->len, text, len);
    out->len += len;
}
