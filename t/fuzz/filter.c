
/*
 * The query of the user exports API: up to the first newline the Host header,
 * behind it the arguments.
 */

#include <jansson.h>

#include "request.h"


#define QUERY_MAX    4096
#define FAULTS_MAX   8192

#define STATUSES     5


/* what the arguments ask for, found another way */

typedef struct {
    uint32_t      statuses;
    unsigned      nstatuses;    /* values seen */
    unsigned      ntypes;
    unsigned      ndistinct;
    ngx_str_t     types[EXPORTS_LISTS_MAX];
    const ngx_http_exports_arg_t *last[4];  /* page, per_page, subject_type,
                                               subject_id */
    int           unknown;
    unsigned      nfaults;
    char          faults[FAULTS_MAX][32];
} model_t;

enum { PAGE = 0, PER_PAGE, SUBJECT_TYPE, SUBJECT_ID };


static void read_model(model_t *m, ngx_http_request_t *r);
static int is_index(const ngx_http_exports_arg_t *arg, size_t at);
static void read_arg(model_t *m, const ngx_http_exports_arg_t *arg);
static void read_values(model_t *m, const ngx_http_exports_arg_t *arg,
    int is_status);
static void read_value(model_t *m, const uint8_t *p, size_t len, int bad,
    int is_status);
static void check_last(model_t *m);
static int integer(const ngx_http_exports_arg_t *arg, int sign, int64_t *n);
static int is_text(const uint8_t *p, size_t len, int bad);
static void fault(model_t *m, const char *name, int place);
static void check_refused(ngx_http_request_t *r, const model_t *m);
static void check_accepted(ngx_http_request_t *r, const model_t *m);
static void check_lists(ngx_http_request_t *r);
static void check_page(ngx_http_request_t *r, unsigned nitems);
static void check_urls(json_t *json, ngx_http_request_t *r, int more);
static void check_again(ngx_http_request_t *r);
static json_t *load(const u_char *text, size_t len);


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char         *argument;
    ngx_conf_t   *cf;
    ngx_http_request_t *r;
    ngx_http_exports_loc_conf_t *elcf;

    fuzz_nginx();

    argument = fuzz_key_file("0123456789abcdef0123456789abcdef\n", 33);
    cf = fuzz_conf(argument);

    r = fuzz_request(&ngx_http_exports_user);
    elcf = fuzz_ctx(r)->conf;

    must(ngx_http_exports_conf_link_key_file(cf, NULL, elcf) == NGX_CONF_OK,
         "%.*s", (int) fuzz_logged.len, fuzz_logged.data);

    fuzz_request_done(r);

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t               len;
    const uint8_t       *host;
    fuzz_input_t         in = { data, data + size };
    static model_t       model;
    ngx_http_request_t  *r;

    if (size > QUERY_MAX) {
        return 0;
    }

    host = fuzz_until(&in, '\n', &len);

    r = fuzz_request(&ngx_http_exports_user);
    r->headers_in.host = fuzz_header(r, "Host", host, len);
    r->args = fuzz_str(r, in.pos, (size_t) (in.end - in.pos));

    read_model(&model, r);

    must(ngx_http_exports_user.args(r, fuzz_ctx(r)) == NGX_OK,
         "out of memory");

    if (model.unknown || model.nfaults > 0) {
        check_refused(r, &model);

    } else {
        check_accepted(r, &model);
    }

    fuzz_request_done(r);

    return 0;
}


static void
read_model(model_t *m, ngx_http_request_t *r)
{
    unsigned      i;
    ngx_array_t   args;

    memset(m, 0, offsetof(model_t, faults));

    must(ngx_array_init(&args, r->pool, 4, sizeof(ngx_http_exports_arg_t))
         == NGX_OK && ngx_http_exports_args(r, &args) == NGX_OK,
         "out of memory");

    for (i = 0; i < args.nelts; i++) {
        read_arg(m, (ngx_http_exports_arg_t *) args.elts + i);
    }

    check_last(m);

    i = (unsigned) __builtin_popcount(m->statuses);

    if ((i == STATUSES ? 1 : i) * m->ndistinct > EXPORTS_LISTS_MAX
        || m->ndistinct > EXPORTS_LISTS_MAX)
    {
        fault(m, "filter", -1);
    }
}


/* [] or [text] up to the end of the name */

static int
is_index(const ngx_http_exports_arg_t *arg, size_t at)
{
    size_t  i, end;

    end = arg->name.len - 1;

    if (end <= at || arg->name.data[at] != '[' || arg->name.data[end] != ']') {
        return 0;
    }

    for (i = at + 1; i < end; i++) {
        if (arg->name.data[i] == ']') {
            return 0;
        }
    }

    return 1;
}


/* filter[NAME], filter[NAME][ANYTHING] */

static void
read_arg(model_t *m, const ngx_http_exports_arg_t *arg)
{
    char     name[32];
    size_t   close;

    if (ngx_http_exports_arg_is(arg, "page")) {
        m->last[PAGE] = arg;
        return;
    }

    if (ngx_http_exports_arg_is(arg, "per_page")) {
        m->last[PER_PAGE] = arg;
        return;
    }

    if (arg->name.len < 8 || memcmp(arg->name.data, "filter[", 7) != 0) {
        return;
    }

    for (close = 7; close < arg->name.len; close++) {
        if (arg->name.data[close] == ']') {
            break;
        }
    }

    if (close == arg->name.len) {
        return;
    }

    if (close + 1 < arg->name.len && !is_index(arg, close + 1)) {
        m->unknown = 1;
        return;
    }

    (void) snprintf(name, sizeof(name), "%.*s", (int) (close - 7),
                    arg->name.data + 7);

    /* what is longer, or has a zero in it, is none of them */

    if (close - 7 != strlen(name)) {
        name[0] = '\0';
    }

    if (strcmp(name, "status") == 0) {
        read_values(m, arg, 1);

    } else if (strcmp(name, "type") == 0) {
        read_values(m, arg, 0);

    } else if (strcmp(name, "subject_type") == 0) {
        m->last[SUBJECT_TYPE] = arg;

    } else if (strcmp(name, "subject_id") == 0) {
        m->last[SUBJECT_ID] = arg;

    } else {
        m->unknown = 1;
    }
}


static void
read_values(model_t *m, const ngx_http_exports_arg_t *arg, int is_status)
{
    size_t  i, start;

    for (start = 0, i = 0; i <= arg->value.len; i++) {
        if (i == arg->value.len || arg->value.data[i] == ',') {
            read_value(m, arg->value.data + start, i - start,
                       (int) arg->bad, is_status);
            start = i + 1;
        }
    }
}


static void
read_value(model_t *m, const uint8_t *p, size_t len, int bad, int is_status)
{
    unsigned  i;

    if (is_status) {
        for (i = EXPORTS_STATUS_READY; i <= EXPORTS_STATUS_CANCELLED; i++) {
            if (!bad && i != EXPORTS_STATUS_NOT_FOUND
                && strlen(exports_status_name(i)) == len
                && memcmp(p, exports_status_name(i), len) == 0)
            {
                m->statuses |= 1U << i;
                m->nstatuses++;
                return;
            }
        }

        fault(m, "filter.status", (int) m->nstatuses++);
        return;
    }

    if (!is_text(p, len, bad)) {
        fault(m, "filter.type", (int) m->ntypes++);
        return;
    }

    m->ntypes++;

    for (i = 0; i < m->ndistinct && i < EXPORTS_LISTS_MAX; i++) {
        if (m->types[i].len == len && memcmp(m->types[i].data, p, len) == 0) {
            return;
        }
    }

    if (m->ndistinct < EXPORTS_LISTS_MAX) {
        m->types[m->ndistinct].data = (u_char *) p;
        m->types[m->ndistinct].len = len;
    }

    m->ndistinct++;
}


static void
check_last(model_t *m)
{
    int64_t                        n;
    const ngx_http_exports_arg_t  *arg;

    arg = m->last[SUBJECT_TYPE];

    if (arg != NULL && !is_text(arg->value.data, arg->value.len,
                                (int) arg->bad))
    {
        fault(m, "filter.subject_type", -1);
    }

    arg = m->last[SUBJECT_ID];

    if (arg != NULL && !integer(arg, 1, &n)) {
        fault(m, "filter.subject_id", -1);
    }

    arg = m->last[PAGE];

    if (arg != NULL && (!integer(arg, 0, &n) || n < 1)) {
        fault(m, "page", -1);
    }

    arg = m->last[PER_PAGE];

    if (arg != NULL && (!integer(arg, 0, &n) || n < 1 || n > 100)) {
        fault(m, "per_page", -1);
    }
}


/* of 64 bits, one of them the sign */

static int
integer(const ngx_http_exports_arg_t *arg, int sign, int64_t *n)
{
    char      text[32];
    size_t    i, start;
    uint64_t  digits;

    start = sign && arg->value.len > 0 && arg->value.data[0] == '-';

    if (arg->bad || arg->value.len == start) {
        return 0;
    }

    for (i = start; i < arg->value.len; i++) {
        if (arg->value.data[i] < '0' || arg->value.data[i] > '9') {
            return 0;
        }
    }

    for (i = start; i < arg->value.len - 1 && arg->value.data[i] == '0'; i++) {
        /* void */
    }

    if (arg->value.len - i > 19) {
        return 0;
    }

    memcpy(text, arg->value.data + i, arg->value.len - i);
    text[arg->value.len - i] = '\0';

    digits = strtoull(text, NULL, 10);

    if (digits > (uint64_t) INT64_MAX + start) {
        return 0;
    }

    *n = (int64_t) (start ? 0 - digits : digits);

    return 1;
}


static int
is_text(const uint8_t *p, size_t len, int bad)
{
    return !bad && len > 0 && len <= EXPORTS_STRING_MAX
           && memchr(p, '\0', len) == NULL && fuzz_utf8(p, len);
}


static void
fault(model_t *m, const char *name, int place)
{
    must(m->nfaults < FAULTS_MAX, "%u faults", m->nfaults);

    if (place < 0) {
        (void) snprintf(m->faults[m->nfaults++], 32, "%s", name);

    } else {
        (void) snprintf(m->faults[m->nfaults++], 32, "%s.%d", name, place);
    }
}


/* the fields that are named are those that are bad */

static void
check_refused(ngx_http_request_t *r, const model_t *m)
{
    unsigned                 i;
    ngx_buf_t               *b;
    json_t                  *json, *errors, *error;
    const char              *message;
    ngx_http_exports_ctx_t  *ctx;

    ctx = fuzz_ctx(r);

    must(ctx->bad_args != NULL, "accepted");
    must(ctx->bad_args->status == (m->unknown
                                   ? NGX_HTTP_BAD_REQUEST
                                   : NGX_HTTP_EXPORTS_UNPROCESSABLE),
         "status %u", (unsigned) ctx->bad_args->status);

    b = ngx_http_exports_user.error(r, ctx, ctx->bad_args);
    must(b != NULL && b->last <= b->end, "longer than its buffer");

    json = load(b->pos, (size_t) (b->last - b->pos));
    message = json_string_value(json_object_get(json, "message"));
    errors = json_object_get(json, "errors");

    must(message != NULL, "no message");

    if (m->unknown) {
        must(strstr(message, "is not allowed") != NULL && errors == NULL,
             "%s", message);
        json_decref(json);
        return;
    }

    must(json_object_size(errors) == m->nfaults, "%zu errors, not %u",
         json_object_size(errors), m->nfaults);

    for (i = 0; i < m->nfaults; i++) {
        error = json_array_get(json_object_get(errors, m->faults[i]), 0);
        must(json_is_string(error)
             && strstr(json_string_value(error), m->faults[i]) != NULL,
             "nothing about %s", m->faults[i]);
    }

    error = json_array_get(json_object_iter_value(json_object_iter(errors)),
                           0);
    must(strcmp(json_string_value(error), message) == 0, "%s", message);

    json_decref(json);
}


static void
check_accepted(ngx_http_request_t *r, const model_t *m)
{
    int64_t                        n;
    unsigned                       i;
    ngx_http_exports_ctx_t        *ctx;
    ngx_http_exports_user_args_t  *ua;

    ctx = fuzz_ctx(r);
    ua = ctx->args;

    must(ctx->bad_args == NULL, "refused: %.*s", (int) ua->message.len,
         ua->message.data);
    must(ua->statuses == m->statuses, "statuses %x", ua->statuses);
    must(ua->ntypes == m->ndistinct, "%u types", (unsigned) ua->ntypes);

    for (i = 0; i < m->ndistinct; i++) {
        must(ua->types[i].len == m->types[i].len
             && memcmp(ua->types[i].data, m->types[i].data, m->types[i].len)
                == 0, "type %u", i);
    }

    must(!(ua->given & EXPORTS_FACET_STATUS) == (m->statuses == 0)
         && !(ua->given & EXPORTS_FACET_TYPE) == (m->ndistinct == 0)
         && !(ua->given & EXPORTS_FACET_SUBJECT_TYPE)
            == (m->last[SUBJECT_TYPE] == NULL)
         && !(ua->given & EXPORTS_FACET_SUBJECT_ID)
            == (m->last[SUBJECT_ID] == NULL),
         "given %x", (unsigned) ua->given);

    n = 1;
    (void) (m->last[PAGE] != NULL && integer(m->last[PAGE], 0, &n));
    must(ua->page == (uint64_t) n, "page %llu",
         (unsigned long long) ua->page);

    n = 25;
    (void) (m->last[PER_PAGE] != NULL && integer(m->last[PER_PAGE], 0, &n));
    must(ua->per_page == (ngx_uint_t) n && ctx->limit == ua->per_page + 1,
         "per_page %u", (unsigned) ua->per_page);

    must(ctx->offset <= INT64_MAX
         && (ctx->offset == (ua->page - 1) * ua->per_page
             || (ctx->offset == INT64_MAX
                 && ua->page - 1 > INT64_MAX / ua->per_page)),
         "offset %llu", (unsigned long long) ctx->offset);

    check_lists(r);
    check_page(r, 0);

    /* where there can be anything */

    if (ctx->offset < (uint64_t) 1 << 48) {
        check_page(r, (unsigned) ua->per_page + 1);
    }

    check_again(r);
}


/* different from each other: totals are their sum */

static void
check_lists(ngx_http_request_t *r)
{
    unsigned               i, k;
    exports_facet_t        lists[EXPORTS_LISTS_MAX];
    exports_page_query_t   query;

    query.scope = 7;
    query.lists = lists;
    query.nlists = 0;

    ngx_http_exports_user.lists(fuzz_ctx(r), &query);
    must(query.nlists >= 1 && query.nlists <= EXPORTS_LISTS_MAX, "%u lists",
         query.nlists);

    for (i = 0; i < query.nlists; i++) {
        must(lists[i].len <= EXPORTS_FACET_KEY_MAX
             && lists[i].bytes[8] == lists[0].bytes[8], "list %u", i);

        for (k = 0; k < i; k++) {
            must(lists[i].len != lists[k].len
                 || memcmp(lists[i].bytes, lists[k].bytes, lists[i].len) != 0,
                 "lists %u and %u", i, k);
        }
    }
}


static void
check_page(ngx_http_request_t *r, unsigned nitems)
{
    u_char                 *body, *last;
    json_t                 *json;
    unsigned                i;
    static exports_page_t   page;
    exports_item_t         *item;
    ngx_http_exports_ctx_t *ctx;
    static const char       text[] = "{\"uuid\":\"u-1\",\"download_url\":\"\"}";

    ctx = fuzz_ctx(r);
    page.nitems = nitems;
    page.total = ctx->offset + nitems;

    for (i = 0; i < nitems; i++) {
        item = &page.items[i];
        item->flags = EXPORTS_RECORD_LINK;
        item->json = text;
        item->json_len = sizeof(text) - 1;
        item->link_pos = sizeof(text) - 3;
        item->id.data = "u-1";
        item->id.len = 3;
    }

    body = fuzz_body(r, &page, &last);

    json = load(body, (size_t) (last - body));
    must(json_array_size(json_object_get(json, "data"))
         == (nitems > 0 ? nitems - 1 : 0),
         "%.*s", (int) ngx_min(last - body, 300), body);

    check_urls(json, r, nitems > 0);

    json_decref(json);
    free(body);
}


static void
check_urls(json_t *json, ngx_http_request_t *r, int more)
{
    int                            first;
    json_t                        *links;
    const char                    *path, *url;
    ngx_http_exports_user_args_t  *ua;

    ua = fuzz_ctx(r)->args;
    first = (ua->page == 1);

    links = json_object_get(json, "links");
    path = json_string_value(json_object_get(json_object_get(json, "meta"),
                                             "path"));

    must(path != NULL && strncmp(path, "http://", 7) == 0
         && strlen(path) >= 15
         && strcmp(path + strlen(path) - 15, "/api/v3/exports") == 0,
         "path %s", path);

    for (url = path; *url != '\0'; url++) {
        must(*url > 0x20 && *url < 0x7f
             && strchr("\"\\<>&'", *url) == NULL, "path %s", path);
    }

    url = json_string_value(json_object_get(links, "first"));
    must(url != NULL && strncmp(url, path, strlen(path)) == 0
         && strstr(url, "page=1") != NULL, "first %s", url);

    must(json_is_null(json_object_get(links, "last"))
         && json_is_null(json_object_get(links, "prev")) == first
         && json_is_string(json_object_get(links, "next")) == more, "links");
}


/* the query of a link asks for the same again */

static void
check_again(ngx_http_request_t *r)
{
    size_t                         i;
    ngx_http_request_t            *again;
    ngx_http_exports_user_args_t  *ua, *second;

    ua = fuzz_ctx(r)->args;

    again = fuzz_request(&ngx_http_exports_user);
    again->headers_in.host = r->headers_in.host;
    again->args = fuzz_str(again, ua->query.data, ua->query.len);

    must(ngx_http_exports_user.args(again, fuzz_ctx(again)) == NGX_OK,
         "out of memory");

    second = fuzz_ctx(again)->args;

    must(fuzz_ctx(again)->bad_args == NULL, "%.*s: %.*s",
         (int) ua->query.len, ua->query.data, (int) second->message.len,
         second->message.data);

    must(second->given == ua->given && second->statuses == ua->statuses
         && second->ntypes == ua->ntypes
         && second->per_page == ua->per_page
         && (!(ua->given & EXPORTS_FACET_SUBJECT_ID)
             || second->subject_id == ua->subject_id)
         && second->query.len == ua->query.len
         && memcmp(second->query.data, ua->query.data, ua->query.len) == 0,
         "%.*s", (int) ua->query.len, ua->query.data);

    for (i = 0; i < ua->query.len; i++) {
        must(ua->query.data[i] > 0x20 && ua->query.data[i] < 0x7f
             && ua->query.data[i] != '"' && ua->query.data[i] != '\\',
             "%.*s", (int) ua->query.len, ua->query.data);
    }

    fuzz_request_done(again);
}


static json_t *
load(const u_char *text, size_t len)
{
    json_t        *json;
    json_error_t   error;

    must(fuzz_utf8(text, len), "not UTF-8: %.*s", (int) len, text);

    json = json_loadb((const char *) text, len, JSON_REJECT_DUPLICATES,
                      &error);
    must(json != NULL, "%s: %.*s", error.text, (int) ngx_min(len, 300), text);

    return json;
}
