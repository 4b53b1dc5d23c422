
/* the values of a manifest, each by itself: types, lengths, characters */

#include <string.h>

#include "exports_manifest_private.h"
#include "exports_time.h"


static exports_rc_t check_value(exports_input_t *in, unsigned i);
static exports_rc_t check_string(exports_input_t *in, unsigned i);
static exports_rc_t check_time(exports_input_t *in, unsigned i);
static exports_rc_t check_subject(exports_input_t *in, unsigned i);
static exports_rc_t collect_subject(exports_input_t *in, json_t *value,
    json_t **members);


exports_rc_t
exports_check_values(exports_input_t *in)
{
    json_t                 *value;
    unsigned                i;
    exports_rc_t            rc;
    const exports_field_t  *field;

    for (i = 0; i < in->nfields; i++) {
        field = &in->fields[i];
        value = in->values[i];

        in->texts[i].data = NULL;
        in->texts[i].len = 0;

        if (field->type == VALUE_LINK) {
            continue;
        }

        if (value == NULL || (json_is_null(value) && field->flags & NULLABLE))
        {
            in->values[i] = NULL;

            if ((field->flags & (NULLABLE|OPTIONAL)) == 0) {
                return exports_error(in->error, EXPORTS_INVALID,
                                     "%s: missing", field->name);
            }

            continue;
        }

        rc = check_value(in, i);
        if (rc != EXPORTS_OK) {
            return rc;
        }
    }

    return EXPORTS_OK;
}


static exports_rc_t
check_value(exports_input_t *in, unsigned i)
{
    json_t  *value;

    value = in->values[i];

    switch (in->fields[i].type) {

    case VALUE_STRING:
        return check_string(in, i);

    case VALUE_TIME:
        return check_time(in, i);

    case VALUE_COUNT:
        return json_is_integer(value) && json_integer_value(value) >= 0
                   ? EXPORTS_OK
                   : exports_json_bad(in->error, in->fields[i].name,
                                      "not an integer of 0 or more", value);

    case VALUE_SUBJECT:
        return check_subject(in, i);

    default: /* VALUE_USER, VALUE_LINK */
        return EXPORTS_OK;
    }
}


static exports_rc_t
check_string(exports_input_t *in, unsigned i)
{
    size_t                  n;
    json_t                 *value;
    exports_str_t           text;
    const exports_field_t  *field;

    field = &in->fields[i];
    value = in->values[i];

    if (!json_is_string(value)) {
        return exports_json_bad(in->error, field->name, "not a string",
                                value);
    }

    text = exports_json_string(value);

    if (text.len > EXPORTS_STRING_MAX) {
        return exports_error(in->error, EXPORTS_INVALID,
                             "%s: longer than %d bytes", field->name,
                             EXPORTS_STRING_MAX);
    }

    if ((field->flags & NONEMPTY) && text.len == 0) {
        return exports_error(in->error, EXPORTS_INVALID, "%s: empty",
                             field->name);
    }

    if (field->flags & NOCONTROL) {
        for (n = 0; n < text.len; n++) {
            if ((unsigned char) text.data[n] < 0x20 || text.data[n] == 0x7f) {
                return exports_json_bad(in->error, field->name,
                                        "has a control character", value);
            }
        }
    }

    in->texts[i] = text;

    return EXPORTS_OK;
}


static exports_rc_t
check_time(exports_input_t *in, unsigned i)
{
    exports_str_t  text;

    text = exports_json_string(in->values[i]);

    if (text.data == NULL
        || exports_time_parse(text.data, text.len, &in->times[i]) != 0)
    {
        return exports_json_bad(in->error, in->fields[i].name,
                                EXPORTS_NOT_A_TIME, in->values[i]);
    }

    return EXPORTS_OK;
}


static exports_rc_t
check_subject(exports_input_t *in, unsigned i)
{
    json_t        *members[3];      /* type, id, label */
    exports_rc_t   rc;

    if (!json_is_object(in->values[i])) {
        return exports_json_bad(in->error, in->fields[i].name,
                                "neither an object nor null", in->values[i]);
    }

    rc = collect_subject(in, in->values[i], members);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    in->subject.type = exports_json_string(members[0]);
    in->subject.label = exports_json_string(members[2]);

    if (in->subject.type.len == 0
        || in->subject.type.len > EXPORTS_STRING_MAX)
    {
        return exports_json_bad(in->error, "subject.type",
                                "not a string of 1 to 1024 bytes", members[0]);
    }

    if (!json_is_integer(members[1])) {
        return exports_json_bad(in->error, "subject.id", "not an integer",
                                members[1]);
    }

    in->subject.id = json_integer_value(members[1]);

    if (members[2] != NULL && !json_is_null(members[2])
        && (in->subject.label.data == NULL
            || in->subject.label.len > EXPORTS_STRING_MAX))
    {
        return exports_json_bad(in->error, "subject.label",
                                "neither null nor a string of up to "
                                "1024 bytes", members[2]);
    }

    return EXPORTS_OK;
}


static exports_rc_t
collect_subject(exports_input_t *in, json_t *value, json_t **members)
{
    void                *iter;
    unsigned             i;
    const char          *key;
    static const char   *keys[] = { "type", "id", "label" };

    memset(members, 0, 3 * sizeof(json_t *));

    for (iter = json_object_iter(value);
         iter != NULL;
         iter = json_object_iter_next(value, iter))
    {
        key = json_object_iter_key(iter);

        for (i = 0; i < 3 && strcmp(key, keys[i]) != 0; i++) {
            /* void */
        }

        if (i == 3) {
            return exports_error(in->error, EXPORTS_INVALID,
                                 "subject.%.64s: unknown key", key);
        }

        members[i] = json_object_iter_value(iter);
    }

    return EXPORTS_OK;
}
