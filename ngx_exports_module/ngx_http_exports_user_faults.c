
/*
 * the body of a 422 of the user exports API.  The arguments are parsed twice:
 * first to find the room that the texts of their faults take
 */

#include "ngx_http_exports_user.h"

#include "exports_text.h"


/* room for the name of the longest field, and a place */
#define NGX_HTTP_EXPORTS_FIELD_MAX                                            \
    (sizeof("filter.subject_type.") + EXPORTS_DECIMAL_MAX)

#define NGX_HTTP_EXPORTS_JSON_MESSAGE  "{\"message\":\""
#define NGX_HTTP_EXPORTS_JSON_ERRORS   "\",\"errors\":{"

/* what goes around fields and messages: in a member, and in the whole body */
#define NGX_HTTP_EXPORTS_SENTENCE    "The  field ."
#define NGX_HTTP_EXPORTS_MEMBER_LEN                                           \
    (sizeof(",\"\":[\"" NGX_HTTP_EXPORTS_SENTENCE "\"]") - 1)
#define NGX_HTTP_EXPORTS_ERRORS_LEN                                           \
    (sizeof(NGX_HTTP_EXPORTS_JSON_MESSAGE NGX_HTTP_EXPORTS_SENTENCE           \
            NGX_HTTP_EXPORTS_JSON_ERRORS "}}") - 1)


typedef struct {
    ngx_str_t                       field;
    ngx_str_t                       message;
} ngx_http_exports_rule_t;


static u_char *ngx_http_exports_user_fault_text(u_char *p,
    const ngx_http_exports_rule_t *rule, ngx_int_t place, ngx_uint_t first);
static u_char *ngx_http_exports_user_sentence(u_char *p,
    const ngx_str_t *field, const ngx_str_t *message);


static const ngx_http_exports_rule_t  ngx_http_exports_rules[] = {

    [NGX_HTTP_EXPORTS_RULE_STATUS] =
    { ngx_string("filter.status"),
      ngx_string("must be " EXPORTS_USER_STATUS_WORDS) },

    [NGX_HTTP_EXPORTS_RULE_TYPE] =
    { ngx_string("filter.type"),
      ngx_string("must be 1 to 1024 bytes of UTF-8") },

    [NGX_HTTP_EXPORTS_RULE_SUBJECT_TYPE] =
    { ngx_string("filter.subject_type"),
      ngx_string("must be 1 to 1024 bytes of UTF-8") },

    [NGX_HTTP_EXPORTS_RULE_SUBJECT_ID] =
    { ngx_string("filter.subject_id"),
      ngx_string("must be an integer") },

    [NGX_HTTP_EXPORTS_RULE_PAGE] =
    { ngx_string("page"),
      ngx_string("must be an integer of at least 1") },

    [NGX_HTTP_EXPORTS_RULE_PER_PAGE] =
    { ngx_string("per_page"),
      ngx_string("must be an integer between 1 and 100") },

    [NGX_HTTP_EXPORTS_RULE_COMBINATIONS] =
    { ngx_string("filter"),
      ngx_string("must not name more than 64 combinations") }
};


void
ngx_http_exports_user_fault(ngx_http_exports_user_faults_t *faults,
    ngx_http_exports_rule_e broken, ngx_int_t place)
{
    size_t                          name;
    ngx_uint_t                      first;
    const ngx_http_exports_rule_t  *rule;

    rule = &ngx_http_exports_rules[broken];
    first = (faults->n++ == 0);

    if (faults->last != NULL) {
        faults->last = ngx_http_exports_user_fault_text(faults->last, rule,
                                                        place, first);
        return;
    }

    name = rule->field.len + sizeof(".") - 1 + EXPORTS_DECIMAL_MAX;

    faults->len += NGX_HTTP_EXPORTS_MEMBER_LEN + 2 * name + rule->message.len;

    /* the answer's own message is that of the first fault */

    if (first) {
        faults->len += NGX_HTTP_EXPORTS_ERRORS_LEN + name + rule->message.len;
    }
}


static u_char *
ngx_http_exports_user_fault_text(u_char *p,
    const ngx_http_exports_rule_t *rule, ngx_int_t place, ngx_uint_t first)
{
    u_char     *last;
    u_char      name[NGX_HTTP_EXPORTS_FIELD_MAX];
    ngx_str_t   field;

    last = ngx_cpymem(name, rule->field.data, rule->field.len);

    if (place >= 0) {
        *last++ = '.';
        last += exports_decimal((char *) last, (uint64_t) place);
    }

    field.data = name;
    field.len = last - name;

    if (first) {
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_MESSAGE);
        p = ngx_http_exports_user_sentence(p, &field, &rule->message);
        p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_JSON_ERRORS);

    } else {
        *p++ = ',';
    }

    *p++ = '"';
    p = ngx_cpymem(p, field.data, field.len);
    p = ngx_http_exports_cpylit(p, "\":[\"");
    p = ngx_http_exports_user_sentence(p, &field, &rule->message);

    return ngx_http_exports_cpylit(p, "\"]");
}


static u_char *
ngx_http_exports_user_sentence(u_char *p, const ngx_str_t *field,
    const ngx_str_t *message)
{
    p = ngx_http_exports_cpylit(p, "The ");
    p = ngx_cpymem(p, field->data, field->len);
    p = ngx_http_exports_cpylit(p, " field ");
    p = ngx_cpymem(p, message->data, message->len);
    *p++ = '.';

    return p;
}
