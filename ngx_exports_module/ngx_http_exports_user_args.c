
/* filters and pages of the user exports API; knows no LMDB */

#include "ngx_http_exports_user.h"

#include "exports_text.h"


#define NGX_HTTP_EXPORTS_PER_PAGE      25
#define NGX_HTTP_EXPORTS_PER_PAGE_MAX  100


typedef enum {
    NGX_HTTP_EXPORTS_USER_FILTER_STATUS = 0,
    NGX_HTTP_EXPORTS_USER_FILTER_TYPE,
    NGX_HTTP_EXPORTS_USER_FILTER_SUBJECT_TYPE,
    NGX_HTTP_EXPORTS_USER_FILTER_SUBJECT_ID,
    NGX_HTTP_EXPORTS_USER_FILTERS
} ngx_http_exports_user_filter_e;


/* what is known of the arguments so far, while they are parsed */

typedef struct {
    ngx_http_exports_user_args_t   *ua;
    ngx_uint_t                      statuses_seen;  /* values, with bad and */
    ngx_uint_t                      types_seen;     /* repeated ones */
    ngx_uint_t                      overflow;   /* of ua->types */
    u_char                         *repeated;   /* name of the last argument
                                                   of a filter of lists, */
    ngx_uint_t                      filter;     /* and which filter that is */

    const ngx_http_exports_arg_t   *subject_type;
    const ngx_http_exports_arg_t   *subject_id;
    const ngx_http_exports_arg_t   *page;
    const ngx_http_exports_arg_t   *per_page;
    ngx_str_t                       unknown;    /* the first filter that does
                                                   not exist */
    ngx_uint_t                      nunknown;

    ngx_http_exports_user_faults_t  faults;
} ngx_http_exports_user_parse_t;


static void ngx_http_exports_user_defaults(ngx_http_exports_user_args_t *ua);
static void ngx_http_exports_user_parse(ngx_http_exports_user_parse_t *up,
    ngx_http_exports_user_args_t *ua, u_char *faults);
static void ngx_http_exports_user_arg(ngx_http_exports_user_parse_t *up,
    ngx_http_exports_arg_t *arg);
static ngx_int_t ngx_http_exports_user_filter_name(const ngx_str_t *name,
    ngx_str_t *filter);
static void ngx_http_exports_user_filter_values(
    ngx_http_exports_user_parse_t *up, ngx_uint_t filter,
    ngx_http_exports_arg_t *arg);
static void ngx_http_exports_user_filter_status(
    ngx_http_exports_user_parse_t *up, ngx_str_t *value, ngx_uint_t bad);
static void ngx_http_exports_user_filter_type(
    ngx_http_exports_user_parse_t *up, ngx_str_t *value, ngx_uint_t bad);
static void ngx_http_exports_user_filter_subject(
    ngx_http_exports_user_parse_t *up);
static void ngx_http_exports_user_pages(ngx_http_exports_user_parse_t *up);
static void ngx_http_exports_user_combinations(
    ngx_http_exports_user_parse_t *up);
static ngx_uint_t ngx_http_exports_user_filter_text(const ngx_str_t *value,
    ngx_uint_t bad);
static ngx_int_t ngx_http_exports_user_filter_integer(
    const ngx_http_exports_arg_t *arg, int64_t *number);
static ngx_uint_t ngx_http_exports_user_filter_lowest(
    const ngx_http_exports_arg_t *digits);
static ngx_int_t ngx_http_exports_user_no_filter(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_str_t *name);


static const ngx_str_t
    ngx_http_exports_user_filters[NGX_HTTP_EXPORTS_USER_FILTERS] = {
    [NGX_HTTP_EXPORTS_USER_FILTER_STATUS] = ngx_string("status"),
    [NGX_HTTP_EXPORTS_USER_FILTER_TYPE] = ngx_string("type"),
    [NGX_HTTP_EXPORTS_USER_FILTER_SUBJECT_TYPE] = ngx_string("subject_type"),
    [NGX_HTTP_EXPORTS_USER_FILTER_SUBJECT_ID] = ngx_string("subject_id")
};


ngx_int_t
ngx_http_exports_user_args(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    ngx_http_exports_user_args_t   *ua;
    ngx_http_exports_user_parse_t   up;

    ua = ngx_palloc(r->pool, sizeof(ngx_http_exports_user_args_t));
    if (ua == NULL) {
        return NGX_ERROR;
    }

    ctx->args = ua;

    ngx_http_exports_user_defaults(ua);
    ngx_str_null(&ua->message);
    ua->errors_len = 0;

    if (r->args.len > 0) {

        if (ngx_array_init(&ua->args, r->pool, 4,
                           sizeof(ngx_http_exports_arg_t))
                != NGX_OK
            || ngx_http_exports_args(r, &ua->args) != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_exports_user_parse(&up, ua, NULL);

        if (up.nunknown > 0) {
            return ngx_http_exports_user_no_filter(r, ctx, &up.unknown);
        }

        if (up.faults.n > 0) {
            ua->errors_len = up.faults.len;
            ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_VALUE);
            return NGX_OK;
        }
    }

    ctx->limit = ua->per_page + 1;

    ctx->offset = ua->page - 1 > (uint64_t) INT64_MAX / ua->per_page
                      ? (uint64_t) INT64_MAX
                      : (ua->page - 1) * ua->per_page;

    return ngx_http_exports_user_urls(r, ctx);
}


/*
 * Parses the arguments again, now to write down what is wrong with them.  At
 * first faults are only counted, for it takes a valid token to be told.
 */

ngx_buf_t *
ngx_http_exports_user_errors(ngx_http_request_t *r,
    ngx_http_exports_user_args_t *ua)
{
    ngx_buf_t                      *b;
    ngx_http_exports_user_parse_t   up;

    b = ngx_create_temp_buf(r->pool, ua->errors_len);
    if (b == NULL) {
        return NULL;
    }

    ngx_http_exports_user_defaults(ua);
    ngx_http_exports_user_parse(&up, ua, b->last);

    b->last = ngx_http_exports_cpylit(up.faults.last, "}}");

    return b;
}


static void
ngx_http_exports_user_defaults(ngx_http_exports_user_args_t *ua)
{
    ua->given = 0;
    ua->statuses = 0;
    ua->ntypes = 0;
    ua->page = 1;
    ua->per_page = NGX_HTTP_EXPORTS_PER_PAGE;
    ua->per_page_given = 0;
}


static void
ngx_http_exports_user_parse(ngx_http_exports_user_parse_t *up,
    ngx_http_exports_user_args_t *ua, u_char *faults)
{
    ngx_uint_t               i;
    ngx_http_exports_arg_t  *arg;

    ngx_memzero(up, sizeof(ngx_http_exports_user_parse_t));
    up->ua = ua;
    up->faults.last = faults;

    arg = ua->args.elts;

    for (i = 0; i < ua->args.nelts; i++) {
        ngx_http_exports_user_arg(up, &arg[i]);
    }

    ngx_http_exports_user_filter_subject(up);
    ngx_http_exports_user_pages(up);
    ngx_http_exports_user_combinations(up);
}


static void
ngx_http_exports_user_arg(ngx_http_exports_user_parse_t *up,
    ngx_http_exports_arg_t *arg)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    if (arg->name.data == up->repeated) {
        ngx_http_exports_user_filter_values(up, up->filter, arg);
        return;
    }

    if (ngx_http_exports_arg_is(arg, "page")) {
        up->page = arg;
        return;
    }

    if (ngx_http_exports_arg_is(arg, "per_page")) {
        up->per_page = arg;
        return;
    }

    if (ngx_http_exports_user_filter_name(&arg->name, &name) != NGX_OK) {
        return;
    }

    for (i = 0; i < NGX_HTTP_EXPORTS_USER_FILTERS; i++) {
        if (ngx_http_exports_user_filters[i].len == name.len
            && ngx_memcmp(ngx_http_exports_user_filters[i].data, name.data,
                          name.len)
               == 0)
        {
            break;
        }
    }

    switch (i) {

    case NGX_HTTP_EXPORTS_USER_FILTER_STATUS:
    case NGX_HTTP_EXPORTS_USER_FILTER_TYPE:
        up->repeated = arg->name.data;
        up->filter = i;
        ngx_http_exports_user_filter_values(up, i, arg);
        return;

    case NGX_HTTP_EXPORTS_USER_FILTER_SUBJECT_TYPE:
        up->subject_type = arg;
        return;

    case NGX_HTTP_EXPORTS_USER_FILTER_SUBJECT_ID:
        up->subject_id = arg;
        return;

    default:
        if (up->nunknown++ == 0) {
            up->unknown = name;
        }
    }
}


/*
 * filter[name], filter[name][] or filter[name][0].  Anything else that follows
 * is taken for a part of the name, so that no such filter exists: a client that
 * asks for some exports must not get all.  NGX_DECLINED: it is no filter.
 */

static ngx_int_t
ngx_http_exports_user_filter_name(const ngx_str_t *name, ngx_str_t *filter)
{
    u_char  *p, *last, *end;

    if (name->len < sizeof("filter[]") - 1
        || ngx_memcmp(name->data, "filter[", 7) != 0)
    {
        return NGX_DECLINED;
    }

    p = name->data + 7;
    last = name->data + name->len;

    end = ngx_strlchr(p, last, ']');

    if (end == NULL) {
        return NGX_DECLINED;
    }

    filter->data = p;
    filter->len = end - p;

    p = end + 1;

    if (p < last && (*p != '[' || ngx_strlchr(p, last, ']') != last - 1)) {
        filter->len = last - (last[-1] == ']') - filter->data;
    }

    return NGX_OK;
}


/* a value may be several values, separated by commas */

static void
ngx_http_exports_user_filter_values(ngx_http_exports_user_parse_t *up,
    ngx_uint_t filter, ngx_http_exports_arg_t *arg)
{
    u_char     *p, *last, *end;
    ngx_str_t   value;

    p = arg->value.data;
    last = p + arg->value.len;

    for ( ;; ) {
        end = arg->value.len > 0 ? ngx_strlchr(p, last, ',') : NULL;

        if (end == NULL) {
            end = last;
        }

        value.data = p;
        value.len = end - p;

        if (filter == NGX_HTTP_EXPORTS_USER_FILTER_STATUS) {
            ngx_http_exports_user_filter_status(up, &value, arg->bad);

        } else {
            ngx_http_exports_user_filter_type(up, &value, arg->bad);
        }

        if (end == last) {
            return;
        }

        p = end + 1;
    }
}


static void
ngx_http_exports_user_filter_status(ngx_http_exports_user_parse_t *up,
    ngx_str_t *value, ngx_uint_t bad)
{
    unsigned    status;
    ngx_uint_t  place;

    place = up->statuses_seen++;

    /* empty values are not looked up: a query may have thousands of them */

    status = bad || value->len == 0
                 ? 0
                 : exports_status_parse(EXPORTS_USER, (char *) value->data,
                                        value->len);
    if (status == 0) {
        ngx_http_exports_user_fault(&up->faults,
                                    NGX_HTTP_EXPORTS_RULE_STATUS, place);
        return;
    }

    up->ua->given |= EXPORTS_FACET_STATUS;
    up->ua->statuses |= 1U << status;
}


static void
ngx_http_exports_user_filter_type(ngx_http_exports_user_parse_t *up,
    ngx_str_t *value, ngx_uint_t bad)
{
    ngx_uint_t                     i, place;
    ngx_http_exports_user_args_t  *ua;

    ua = up->ua;
    place = up->types_seen++;

    if (!ngx_http_exports_user_filter_text(value, bad)) {
        ngx_http_exports_user_fault(&up->faults,
                                    NGX_HTTP_EXPORTS_RULE_TYPE, place);
        return;
    }

    ua->given |= EXPORTS_FACET_TYPE;

    for (i = 0; i < ua->ntypes; i++) {

        /* many types begin alike: the last byte is compared first */

        if (ua->types[i].len == value->len
            && ua->types[i].data[value->len - 1]
               == value->data[value->len - 1]
            && ngx_memcmp(ua->types[i].data, value->data, value->len) == 0)
        {
            return;
        }
    }

    if (ua->ntypes == EXPORTS_LISTS_MAX) {
        up->overflow = 1;
        return;
    }

    ua->types[ua->ntypes++] = *value;
}


static void
ngx_http_exports_user_filter_subject(ngx_http_exports_user_parse_t *up)
{
    ngx_http_exports_user_args_t  *ua;

    ua = up->ua;

    if (up->subject_type != NULL) {

        if (ngx_http_exports_user_filter_text(&up->subject_type->value,
                                              up->subject_type->bad))
        {
            ua->given |= EXPORTS_FACET_SUBJECT_TYPE;
            ua->subject_type = up->subject_type->value;

        } else {
            ngx_http_exports_user_fault(&up->faults,
                                        NGX_HTTP_EXPORTS_RULE_SUBJECT_TYPE, -1);
        }
    }

    if (up->subject_id == NULL) {
        return;
    }

    if (ngx_http_exports_user_filter_integer(up->subject_id, &ua->subject_id)
        != NGX_OK)
    {
        ngx_http_exports_user_fault(&up->faults,
                                    NGX_HTTP_EXPORTS_RULE_SUBJECT_ID, -1);
        return;
    }

    ua->given |= EXPORTS_FACET_SUBJECT_ID;
}


static void
ngx_http_exports_user_pages(ngx_http_exports_user_parse_t *up)
{
    uint64_t                       number;
    ngx_http_exports_user_args_t  *ua;

    ua = up->ua;

    if (up->page != NULL
        && (ngx_http_exports_arg_number(up->page, &ua->page) != NGX_OK
            || ua->page < 1))
    {
        ngx_http_exports_user_fault(&up->faults,
                                    NGX_HTTP_EXPORTS_RULE_PAGE, -1);
    }

    if (up->per_page == NULL) {
        return;
    }

    if (ngx_http_exports_arg_number(up->per_page, &number) != NGX_OK
        || number < 1 || number > NGX_HTTP_EXPORTS_PER_PAGE_MAX)
    {
        ngx_http_exports_user_fault(&up->faults,
                                    NGX_HTTP_EXPORTS_RULE_PER_PAGE, -1);
        return;
    }

    ua->per_page = number;
    ua->per_page_given = 1;
}


static void
ngx_http_exports_user_combinations(ngx_http_exports_user_parse_t *up)
{
    ngx_uint_t                     nstatuses;
    ngx_http_exports_user_args_t  *ua;

    ua = up->ua;
    nstatuses = ua->statuses == NGX_HTTP_EXPORTS_ALL_STATUSES
                    ? 1 : __builtin_popcount(ua->statuses);

    if (up->overflow || ua->ntypes * nstatuses > EXPORTS_LISTS_MAX) {
        ngx_http_exports_user_fault(&up->faults,
                                    NGX_HTTP_EXPORTS_RULE_COMBINATIONS, -1);
    }
}


/*
 * UTF-8 without zero bytes.  Not by ngx_utf8_decode(), which does not take
 * ASCII, but takes surrogates and lead bytes that do not exist.
 */

static ngx_uint_t
ngx_http_exports_user_filter_text(const ngx_str_t *value, ngx_uint_t bad)
{
    size_t   n;
    u_char  *p, *last;

    if (bad || value->len == 0 || value->len > EXPORTS_STRING_MAX) {
        return 0;
    }

    last = value->data + value->len;

    for (p = value->data; p < last; p += n) {
        n = exports_utf8_length((char *) p, (size_t) (last - p));

        if (n == 0 || *p == '\0') {
            return 0;
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_exports_user_filter_integer(const ngx_http_exports_arg_t *arg,
    int64_t *number)
{
    uint64_t                 n;
    ngx_uint_t               negative;
    ngx_http_exports_arg_t   digits;

    digits = *arg;
    negative = digits.value.len > 0 && digits.value.data[0] == '-';

    if (negative) {
        digits.value.data++;
        digits.value.len--;
    }

    if (ngx_http_exports_arg_number(&digits, &n) == NGX_OK) {
        *number = negative ? -(int64_t) n : (int64_t) n;
        return NGX_OK;
    }

    if (negative && ngx_http_exports_user_filter_lowest(&digits)) {
        *number = INT64_MIN;
        return NGX_OK;
    }

    return NGX_ERROR;
}


/* INT64_MIN, whose digits are too large for a positive number */

static ngx_uint_t
ngx_http_exports_user_filter_lowest(const ngx_http_exports_arg_t *digits)
{
    ngx_str_t               value;
    static const ngx_str_t  lowest = ngx_string("9223372036854775808");

    value = digits->value;

    while (value.len > lowest.len && *value.data == '0') {
        value.data++;
        value.len--;
    }

    return !digits->bad && value.len == lowest.len
           && ngx_memcmp(value.data, lowest.data, lowest.len) == 0;
}


#define NGX_HTTP_EXPORTS_NOT_ALLOWED                                          \
    "Requested filter `"
#define NGX_HTTP_EXPORTS_ALLOWED                                              \
    "` is not allowed. Allowed filters are `status, type, subject_type, "    \
    "subject_id`."

static ngx_int_t
ngx_http_exports_user_no_filter(ngx_http_request_t *r,
    ngx_http_exports_ctx_t *ctx, ngx_str_t *name)
{
    size_t                         len;
    u_char                        *p;
    ngx_http_exports_user_args_t  *ua;

    ua = ctx->args;

    /* JSON cannot quote what is not UTF-8 */

    if (name->len > 0 && !ngx_http_exports_user_filter_text(name, 0)) {
        ngx_str_set(name, "?");
    }

    len = sizeof(NGX_HTTP_EXPORTS_NOT_ALLOWED NGX_HTTP_EXPORTS_ALLOWED) - 1
          + name->len + ngx_escape_json(NULL, name->data, name->len);

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ua->message.data = p;
    ua->message.len = len;

    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_NOT_ALLOWED);
    p = (u_char *) ngx_escape_json(p, name->data, name->len);
    (void) ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_ALLOWED);

    ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_FILTER);

    return NGX_OK;
}
