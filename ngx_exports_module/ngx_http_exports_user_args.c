
/* filters and pages of the user exports API; knows no LMDB */

#include "ngx_http_exports_user.h"


#define NGX_HTTP_EXPORTS_PER_PAGE      25
#define NGX_HTTP_EXPORTS_PER_PAGE_MAX  100

#define NGX_HTTP_EXPORTS_STATUSES      5


typedef enum {
    NGX_HTTP_EXPORTS_FILTER_STATUS = 0,
    NGX_HTTP_EXPORTS_FILTER_TYPE,
    NGX_HTTP_EXPORTS_FILTER_SUBJECT_TYPE,
    NGX_HTTP_EXPORTS_FILTER_SUBJECT_ID,
    NGX_HTTP_EXPORTS_FILTERS
} ngx_http_exports_filter_e;


/* while the arguments are gone through */

typedef struct {
    ngx_pool_t                     *pool;
    ngx_http_exports_user_args_t   *ua;
    ngx_uint_t                      nstatuses;  /* values seen */
    ngx_uint_t                      ntypes;
    ngx_uint_t                      overflow;   /* types without a place */
    u_char                         *repeated;   /* name of a list of values, */
    ngx_uint_t                      filter;     /* which is theirs */

    const ngx_http_exports_arg_t   *subject_type;
    const ngx_http_exports_arg_t   *subject_id;
    const ngx_http_exports_arg_t   *page;
    const ngx_http_exports_arg_t   *per_page;
    ngx_str_t                       unknown;    /* the first filter that does
                                                   not exist */
    ngx_uint_t                      nunknown;
    ngx_array_t                     errors;     /* ngx_str_t: JSON members */
} ngx_http_exports_user_parse_t;


static ngx_int_t ngx_http_exports_user_arg(ngx_http_exports_user_parse_t *up,
    ngx_http_exports_arg_t *arg);
static ngx_int_t ngx_http_exports_filter_name(const ngx_str_t *name,
    ngx_str_t *filter);
static ngx_int_t ngx_http_exports_filter_values(
    ngx_http_exports_user_parse_t *up, ngx_uint_t filter,
    ngx_http_exports_arg_t *arg);
static ngx_int_t ngx_http_exports_filter_status(
    ngx_http_exports_user_parse_t *up, ngx_str_t *value, ngx_uint_t bad);
static ngx_int_t ngx_http_exports_filter_type(
    ngx_http_exports_user_parse_t *up, ngx_str_t *value, ngx_uint_t bad);
static ngx_int_t ngx_http_exports_filter_subject(
    ngx_http_exports_user_parse_t *up);
static ngx_int_t ngx_http_exports_user_pages(
    ngx_http_exports_user_parse_t *up);
static ngx_int_t ngx_http_exports_user_combinations(
    ngx_http_exports_user_parse_t *up);
static ngx_uint_t ngx_http_exports_filter_text(const ngx_str_t *value,
    ngx_uint_t bad);
static ngx_int_t ngx_http_exports_filter_integer(
    const ngx_http_exports_arg_t *arg, int64_t *number);
static ngx_int_t ngx_http_exports_user_fault(
    ngx_http_exports_user_parse_t *up, const char *field, ngx_int_t place,
    const char *message);
static ngx_int_t ngx_http_exports_user_refuse(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_user_parse_t *up);
static ngx_int_t ngx_http_exports_user_no_filter(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_user_parse_t *up);


static const ngx_str_t  ngx_http_exports_filters[] = {
    ngx_string("status"),
    ngx_string("type"),
    ngx_string("subject_type"),
    ngx_string("subject_id")
};


ngx_int_t
ngx_http_exports_user_args(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    ngx_uint_t                       i;
    ngx_array_t                      args;
    ngx_http_exports_arg_t          *arg;
    ngx_http_exports_user_args_t    *ua;
    ngx_http_exports_user_parse_t    up;

    ua = ngx_palloc(r->pool, sizeof(ngx_http_exports_user_args_t));
    if (ua == NULL) {
        return NGX_ERROR;
    }

    ctx->args = ua;

    ua->given = 0;
    ua->statuses = 0;
    ua->ntypes = 0;
    ua->page = 1;
    ua->per_page = NGX_HTTP_EXPORTS_PER_PAGE;
    ua->per_page_given = 0;
    ngx_str_null(&ua->message);
    ngx_str_null(&ua->errors);

    if (r->args.len > 0) {

        ngx_memzero(&up, sizeof(ngx_http_exports_user_parse_t));
        up.pool = r->pool;
        up.ua = ua;

        if (ngx_array_init(&args, r->pool, 4, sizeof(ngx_http_exports_arg_t))
                != NGX_OK
            || ngx_array_init(&up.errors, r->pool, 2, sizeof(ngx_str_t))
               != NGX_OK
            || ngx_http_exports_args(r, &args) != NGX_OK)
        {
            return NGX_ERROR;
        }

        arg = args.elts;

        for (i = 0; i < args.nelts; i++) {
            if (ngx_http_exports_user_arg(&up, &arg[i]) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        if (up.nunknown > 0) {
            return ngx_http_exports_user_no_filter(ctx, &up);
        }

        if (ngx_http_exports_filter_subject(&up) != NGX_OK
            || ngx_http_exports_user_pages(&up) != NGX_OK
            || ngx_http_exports_user_combinations(&up) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (up.errors.nelts > 0) {
            return ngx_http_exports_user_refuse(ctx, &up);
        }
    }

    ctx->limit = ua->per_page + 1;

    ctx->offset = ua->page - 1 > (uint64_t) INT64_MAX / ua->per_page
                      ? (uint64_t) INT64_MAX
                      : (ua->page - 1) * ua->per_page;

    return ngx_http_exports_user_urls(r, ctx);
}


static ngx_int_t
ngx_http_exports_user_arg(ngx_http_exports_user_parse_t *up,
    ngx_http_exports_arg_t *arg)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    if (arg->name.data == up->repeated) {
        return ngx_http_exports_filter_values(up, up->filter, arg);
    }

    if (ngx_http_exports_arg(arg, "page")) {
        up->page = arg;
        return NGX_OK;
    }

    if (ngx_http_exports_arg(arg, "per_page")) {
        up->per_page = arg;
        return NGX_OK;
    }

    if (ngx_http_exports_filter_name(&arg->name, &name) != NGX_OK) {
        return NGX_OK;
    }

    for (i = 0; i < NGX_HTTP_EXPORTS_FILTERS; i++) {
        if (ngx_http_exports_filters[i].len == name.len
            && ngx_memcmp(ngx_http_exports_filters[i].data, name.data,
                          name.len)
               == 0)
        {
            break;
        }
    }

    switch (i) {

    case NGX_HTTP_EXPORTS_FILTER_STATUS:
    case NGX_HTTP_EXPORTS_FILTER_TYPE:
        up->repeated = arg->name.data;
        up->filter = i;
        return ngx_http_exports_filter_values(up, i, arg);

    case NGX_HTTP_EXPORTS_FILTER_SUBJECT_TYPE:
        up->subject_type = arg;
        return NGX_OK;

    case NGX_HTTP_EXPORTS_FILTER_SUBJECT_ID:
        up->subject_id = arg;
        return NGX_OK;

    default:
        if (up->nunknown++ == 0) {
            up->unknown = name;
        }

        return NGX_OK;
    }
}


/* filter[name], filter[name][], filter[name][0]; NGX_DECLINED: no filter */

static ngx_int_t
ngx_http_exports_filter_name(const ngx_str_t *name, ngx_str_t *filter)
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

    if (p == last) {
        return NGX_OK;
    }

    return *p == '[' && ngx_strlchr(p, last, ']') == last - 1 ? NGX_OK
                                                              : NGX_DECLINED;
}


/* a value may be several, separated by commas */

static ngx_int_t
ngx_http_exports_filter_values(ngx_http_exports_user_parse_t *up,
    ngx_uint_t filter, ngx_http_exports_arg_t *arg)
{
    u_char     *p, *last, *end;
    ngx_int_t   rc;
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

        rc = filter == NGX_HTTP_EXPORTS_FILTER_STATUS
                 ? ngx_http_exports_filter_status(up, &value, arg->bad)
                 : ngx_http_exports_filter_type(up, &value, arg->bad);

        if (rc != NGX_OK || end == last) {
            return rc;
        }

        p = end + 1;
    }
}


static ngx_int_t
ngx_http_exports_filter_status(ngx_http_exports_user_parse_t *up,
    ngx_str_t *value, ngx_uint_t bad)
{
    unsigned    status;
    ngx_uint_t  place;

    place = up->nstatuses++;

    status = bad ? 0 : exports_status_parse(EXPORTS_USER,
                                            (char *) value->data, value->len);
    if (status == 0) {
        return ngx_http_exports_user_fault(up, "filter.status", place,
                               "must be pending, processing, ready, failed, "
                               "or cancelled");
    }

    up->ua->given |= EXPORTS_FACET_STATUS;
    up->ua->statuses |= 1U << status;

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_filter_type(ngx_http_exports_user_parse_t *up,
    ngx_str_t *value, ngx_uint_t bad)
{
    ngx_uint_t                     i, place;
    ngx_http_exports_user_args_t  *ua;

    ua = up->ua;
    place = up->ntypes++;

    if (!ngx_http_exports_filter_text(value, bad)) {
        return ngx_http_exports_user_fault(up, "filter.type", place,
                               "must be 1 to 1024 bytes of UTF-8");
    }

    ua->given |= EXPORTS_FACET_TYPE;

    for (i = 0; i < ua->ntypes; i++) {

        /* names that begin alike are what there are many of */

        if (ua->types[i].len == value->len
            && ua->types[i].data[value->len - 1]
               == value->data[value->len - 1]
            && ngx_memcmp(ua->types[i].data, value->data, value->len) == 0)
        {
            return NGX_OK;
        }
    }

    if (ua->ntypes == NGX_HTTP_EXPORTS_VALUES_MAX) {
        up->overflow = 1;
        return NGX_OK;
    }

    ua->types[ua->ntypes++] = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_filter_subject(ngx_http_exports_user_parse_t *up)
{
    ngx_int_t                      rc;
    ngx_http_exports_user_args_t  *ua;

    ua = up->ua;
    rc = NGX_OK;

    if (up->subject_type != NULL) {

        if (ngx_http_exports_filter_text(&up->subject_type->value,
                                         up->subject_type->bad))
        {
            ua->given |= EXPORTS_FACET_SUBJECT_TYPE;
            ua->subject_type = up->subject_type->value;

        } else {
            rc = ngx_http_exports_user_fault(up, "filter.subject_type", -1,
                                   "must be 1 to 1024 bytes of UTF-8");
        }
    }

    if (up->subject_id == NULL || rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_exports_filter_integer(up->subject_id, &ua->subject_id)
        != NGX_OK)
    {
        return ngx_http_exports_user_fault(up, "filter.subject_id", -1,
                                           "must be an integer");
    }

    ua->given |= EXPORTS_FACET_SUBJECT_ID;

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_user_pages(ngx_http_exports_user_parse_t *up)
{
    uint64_t                       number;
    ngx_http_exports_user_args_t  *ua;

    ua = up->ua;

    if (up->page != NULL
        && (ngx_http_exports_arg_number(up->page, &ua->page) != NGX_OK
            || ua->page < 1)
        && ngx_http_exports_user_fault(up, "page", -1,
                                       "must be an integer of at least 1")
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (up->per_page == NULL) {
        return NGX_OK;
    }

    if (ngx_http_exports_arg_number(up->per_page, &number) != NGX_OK
        || number < 1 || number > NGX_HTTP_EXPORTS_PER_PAGE_MAX)
    {
        return ngx_http_exports_user_fault(up, "per_page", -1,
                               "must be an integer between 1 and 100");
    }

    ua->per_page = number;
    ua->per_page_given = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_user_combinations(ngx_http_exports_user_parse_t *up)
{
    ngx_uint_t                     nstatuses;
    ngx_http_exports_user_args_t  *ua;

    ua = up->ua;
    nstatuses = __builtin_popcount(ua->statuses);

    /* all statuses there are: the filter left out */

    if (nstatuses == NGX_HTTP_EXPORTS_STATUSES) {
        nstatuses = 1;
    }

    if (!up->overflow && ua->ntypes * nstatuses <= EXPORTS_LISTS_MAX) {
        return NGX_OK;
    }

    return ngx_http_exports_user_fault(up, "filter", -1,
                               "must not name more than 64 combinations");
}


/*
 * strict, and without zeros: ngx_utf8_decode() is not for ASCII, and takes
 * surrogates and lead bytes that do not exist
 */

static ngx_uint_t
ngx_http_exports_filter_text(const ngx_str_t *value, ngx_uint_t bad)
{
    u_char   c, *p, *last;
    ssize_t  n;

    if (bad || value->len == 0 || value->len > EXPORTS_STRING_MAX) {
        return 0;
    }

    p = value->data;
    last = p + value->len;

    while (p < last) {
        c = *p++;

        if (c > 0 && c < 0x80) {
            continue;
        }

        n = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

        if (c < 0xc2 || c > 0xf4 || last - p < n
            || *p < (c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80)
            || *p > (c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf))
        {
            return 0;
        }

        for (p++; n > 1; n--) {
            if ((*p++ & 0xc0) != 0x80) {
                return 0;
            }
        }
    }

    return 1;
}


static ngx_int_t
ngx_http_exports_filter_integer(const ngx_http_exports_arg_t *arg,
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

    if (ngx_http_exports_arg_number(&digits, &n) != NGX_OK) {
        return NGX_ERROR;
    }

    *number = negative ? -(int64_t) n : (int64_t) n;

    return NGX_OK;
}


/* place: of a value among those of its filter, or -1 */

static ngx_int_t
ngx_http_exports_user_fault(ngx_http_exports_user_parse_t *up,
    const char *field, ngx_int_t place, const char *message)
{
    u_char     *p;
    size_t      len;
    ngx_str_t  *error, name;

    error = ngx_array_push(&up->errors);
    if (error == NULL) {
        return NGX_ERROR;
    }

    len = ngx_strlen(field) + 1 + NGX_INT_T_LEN;

    name.data = ngx_pnalloc(up->pool, len);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    p = place < 0 ? ngx_sprintf(name.data, "%s", field)
                  : ngx_sprintf(name.data, "%s.%i", field, place);
    name.len = p - name.data;

    len = sizeof("\"\":[\"The  field .\"]") + 2 * name.len
          + ngx_strlen(message);

    error->data = ngx_pnalloc(up->pool, len);
    if (error->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(error->data, "\"%V\":[\"The %V field %s.\"]", &name, &name,
                    message);
    error->len = p - error->data;

    /* the message of the answer is that of the first field */

    if (up->errors.nelts == 1) {
        up->ua->message.data = error->data + name.len + 5;
        up->ua->message.len = error->len - name.len - 7;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_exports_user_refuse(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_user_parse_t *up)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *error;
    ngx_uint_t  i;

    error = up->errors.elts;

    for (len = 2, i = 0; i < up->errors.nelts; i++) {
        len += error[i].len + 1;
    }

    p = ngx_pnalloc(up->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    up->ua->errors.data = p;
    *p++ = '{';

    for (i = 0; i < up->errors.nelts; i++) {

        if (i > 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, error[i].data, error[i].len);
    }

    *p++ = '}';
    up->ua->errors.len = p - up->ua->errors.data;

    ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_VALUE);

    return NGX_OK;
}


#define NGX_HTTP_EXPORTS_NOT_ALLOWED                                          \
    "Requested filter `"
#define NGX_HTTP_EXPORTS_ALLOWED                                              \
    "` is not allowed. Allowed filters are `status, type, subject_type, "    \
    "subject_id`."

static ngx_int_t
ngx_http_exports_user_no_filter(ngx_http_exports_ctx_t *ctx,
    ngx_http_exports_user_parse_t *up)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *name;

    name = &up->unknown;

    /* what is not UTF-8 cannot be named in JSON */

    if (!ngx_http_exports_filter_text(name, 0)) {
        ngx_str_set(name, "?");
    }

    len = sizeof(NGX_HTTP_EXPORTS_NOT_ALLOWED NGX_HTTP_EXPORTS_ALLOWED) - 1
          + name->len + ngx_escape_json(NULL, name->data, name->len);

    p = ngx_pnalloc(up->pool, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    up->ua->message.data = p;
    up->ua->message.len = len;

    p = ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_NOT_ALLOWED);
    p = (u_char *) ngx_escape_json(p, name->data, name->len);
    (void) ngx_http_exports_cpylit(p, NGX_HTTP_EXPORTS_ALLOWED);

    ctx->bad_args = ngx_http_exports_error(NGX_HTTP_EXPORTS_BAD_FILTER);

    return NGX_OK;
}
