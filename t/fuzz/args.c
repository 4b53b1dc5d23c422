
/* the query of the project exports API */

#include <jansson.h>

#include "request.h"


#define ARGS_MAX  8192


/* as they are to be understood, found another way */

typedef struct {
    size_t    name_len;
    size_t    value_len;
    int       bad;
    uint8_t  *name;
    uint8_t  *value;
} model_arg_t;


static void check_parse(ngx_http_request_t *r, const uint8_t *data,
    size_t size);
static const uint8_t *model_arg(model_arg_t *arg, const uint8_t *p,
    const uint8_t *end);
static size_t model_decode(uint8_t *dst, const uint8_t *p, size_t len,
    int *bad);
static int hex_digit(uint8_t c);
static void check_project(ngx_http_request_t *r, const uint8_t *data,
    size_t size);
static int model_number(const model_arg_t *arg, uint64_t max, uint64_t *n);
static void check_lists(ngx_http_exports_ctx_t *ctx);
static void check_body(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx);
static void check_error(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx);


static uint8_t  names[ARGS_MAX], values[ARGS_MAX];


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_nginx();

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_http_request_t  *r;

    if (size > ARGS_MAX) {
        return 0;
    }

    r = fuzz_request(&ngx_http_exports_project);
    r->args = fuzz_str(r, data, size);

    check_parse(r, data, size);
    check_project(r, data, size);

    fuzz_request_done(r);

    return 0;
}


static void
check_parse(ngx_http_request_t *r, const uint8_t *data, size_t size)
{
    ngx_uint_t               i;
    ngx_array_t              args;
    model_arg_t              want;
    const uint8_t           *p, *end;
    ngx_http_exports_arg_t  *arg;

    must(ngx_array_init(&args, r->pool, 4, sizeof(ngx_http_exports_arg_t))
         == NGX_OK && ngx_http_exports_args(r, &args) == NGX_OK,
         "out of memory");

    p = data;
    end = data + size;
    arg = args.elts;

    for (i = 0; (p = model_arg(&want, p, end)) != NULL; i++) {
        must(i < args.nelts, "only %zu arguments", (size_t) args.nelts);
        must(arg[i].bad == (ngx_uint_t) want.bad, "argument %zu: bad %d",
             (size_t) i, want.bad);
        must(arg[i].name.len == want.name_len
             && ngx_memcmp(arg[i].name.data, want.name, want.name_len) == 0,
             "argument %zu: its name", (size_t) i);
        must(arg[i].value.len == want.value_len
             && ngx_memcmp(arg[i].value.data, want.value, want.value_len)
                == 0,
             "argument %zu: its value", (size_t) i);
    }

    must(i == args.nelts, "%zu arguments, not %zu", (size_t) args.nelts,
         (size_t) i);
}


/* the next argument that is not empty; NULL: none */

static const uint8_t *
model_arg(model_arg_t *arg, const uint8_t *p, const uint8_t *end)
{
    int             ignored;
    const uint8_t  *stop, *equal;

    while (p < end && *p == '&') {
        p++;
    }

    if (p == end) {
        return NULL;
    }

    for (stop = p; stop < end && *stop != '&'; stop++) { /* void */ }
    for (equal = p; equal < stop && *equal != '='; equal++) { /* void */ }

    arg->bad = (equal == stop);
    arg->name = names;
    arg->value = values;
    arg->name_len = model_decode(names, p, (size_t) (equal - p), &ignored);
    arg->value_len = 0;

    if (equal < stop) {
        arg->value_len = model_decode(values, equal + 1,
                                      (size_t) (stop - equal - 1), &arg->bad);
    }

    return stop;
}


static size_t
model_decode(uint8_t *dst, const uint8_t *p, size_t len, int *bad)
{
    size_t  i, n;

    for (n = 0, i = 0; i < len; i++) {

        if (p[i] == '+') {
            dst[n++] = ' ';

        } else if (p[i] != '%') {
            dst[n++] = p[i];

        } else if (i + 2 < len && hex_digit(p[i + 1]) >= 0
                   && hex_digit(p[i + 2]) >= 0)
        {
            dst[n++] = (uint8_t) (hex_digit(p[i + 1]) * 16
                                  + hex_digit(p[i + 2]));
            i += 2;

        } else {
            *bad = 1;
            dst[n++] = '%';
        }
    }

    return n;
}


static int
hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}


/* the last of each name counts, and the first that is bad is reported */

static void
check_project(ngx_http_request_t *r, const uint8_t *data, size_t size)
{
    uint64_t                 limit, offset;
    uint32_t                 statuses;
    model_arg_t              arg;
    const char              *bad[3] = { NULL, NULL, NULL }, *code;
    const uint8_t           *p, *end;
    ngx_http_exports_ctx_t  *ctx;

    statuses = 0;
    limit = 50;
    offset = 0;
    end = data + size;

    for (p = data; (p = model_arg(&arg, p, end)) != NULL; /* void */ ) {

#define NAMED(text)                                                           \
        (arg.name_len == sizeof(text) - 1                                     \
         && memcmp(arg.name, text, sizeof(text) - 1) == 0)
#define VALUE(text)                                                           \
        (!arg.bad && arg.value_len == sizeof(text) - 1                        \
         && memcmp(arg.value, text, sizeof(text) - 1) == 0)

        if (NAMED("status")) {
            bad[0] = NULL;
            statuses = 0;

            if (VALUE("ready")) {
                statuses = 1 << EXPORTS_STATUS_READY;

            } else if (VALUE("not_found")) {
                statuses = 1 << EXPORTS_STATUS_NOT_FOUND;

            } else if (!VALUE("all")) {
                bad[0] = "invalid_export_status";
            }

        } else if (NAMED("limit")) {
            bad[1] = model_number(&arg, 500, &limit) && limit >= 1
                         ? NULL : "validation_failed";

        } else if (NAMED("offset")) {
            bad[2] = model_number(&arg, INT64_MAX, &offset)
                         ? NULL : "validation_failed";
        }
    }

    code = bad[0] != NULL ? bad[0] : bad[1] != NULL ? bad[1] : bad[2];
    ctx = fuzz_ctx(r);

    must(ngx_http_exports_project.args(r, ctx) == NGX_OK, "out of memory");

    if (code != NULL) {
        must(ctx->bad_args != NULL, "not %s", code);
        must(ctx->bad_args->status == NGX_HTTP_BAD_REQUEST
             && strcmp((char *) ctx->bad_args->code.data, code) == 0,
             "%s", ctx->bad_args->code.data);
        check_error(r, ctx);
        return;
    }

    must(ctx->bad_args == NULL, "%s", ctx->bad_args->message.data);
    must(ctx->statuses == statuses, "statuses %x", ctx->statuses);
    must(ctx->limit == limit, "limit %zu", (size_t) ctx->limit);
    must(ctx->offset == offset, "offset %llu",
         (unsigned long long) ctx->offset);

    check_lists(ctx);
    check_body(r, ctx);
}


static int
model_number(const model_arg_t *arg, uint64_t max, uint64_t *n)
{
    char     text[32];
    size_t   i;

    if (arg->bad || arg->value_len == 0) {
        return 0;
    }

    for (i = 0; i < arg->value_len; i++) {
        if (arg->value[i] < '0' || arg->value[i] > '9') {
            return 0;
        }
    }

    for (i = 0; i < arg->value_len - 1 && arg->value[i] == '0'; i++) {
        /* void */
    }

    if (arg->value_len - i > 19) {
        return 0;
    }

    memcpy(text, arg->value + i, arg->value_len - i);
    text[arg->value_len - i] = '\0';
    *n = strtoull(text, NULL, 10);

    return *n <= max;
}


static void
check_lists(ngx_http_exports_ctx_t *ctx)
{
    exports_facet_t        lists[EXPORTS_LISTS_MAX];
    exports_page_query_t   query;

    query.scope = 7;
    query.lists = lists;

    ngx_http_exports_project.lists(ctx, &query);
    must(query.nlists == 1, "%u lists", query.nlists);
    must(lists[0].bytes[8] == (ctx->statuses == 0 ? EXPORTS_FACET_ALL
                                                  : EXPORTS_FACET_STATUS),
         "facet %u", lists[0].bytes[8]);
}


static void
check_body(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    size_t                  len;
    u_char                 *page_body, *body, *last;
    json_t                 *json, *data;
    static exports_page_t   page;
    static const char       item[] = "{\"id\":\"exp_1\","
                                     "\"download_url\":\"x\"}";

    /* where there can be anything */

    page.total = 2;
    page.nitems = 0;

    if (ctx->offset < (uint64_t) 1 << 48) {
        page.total += ctx->offset;
        page.nitems = ngx_min(2, ctx->limit);
    }

    page.items[0].json = item;
    page.items[0].json_len = sizeof(item) - 1;
    page.items[0].link_pos = sizeof(item) - 4;
    page.items[1] = page.items[0];

    page_body = fuzz_body(r, &page, &last);

    /* what follows the page */

    len = (size_t) (last - page_body);
    body = realloc(page_body, len + ngx_http_exports_project.tail_length(ctx));
    must(body != NULL, "out of memory");
    last = ngx_http_exports_project.tail(ctx, body + len);

    json = json_loadb((char *) body, (size_t) (last - body),
                      JSON_REJECT_DUPLICATES, NULL);
    data = json_object_get(json, "data");

    must(json_is_true(json_object_get(json, "ok")), "%.*s",
         (int) (last - body), body);
    must((uint64_t) json_integer_value(json_object_get(data, "offset"))
         == ctx->offset
         && (uint64_t) json_integer_value(json_object_get(data, "limit"))
            == ctx->limit
         && json_array_size(json_object_get(data, "exports"))
            == page.nitems, "%.*s",
         (int) (last - body), body);

    json_decref(json);
    free(body);
}


static void
check_error(ngx_http_request_t *r, ngx_http_exports_ctx_t *ctx)
{
    json_t     *json, *error;
    ngx_buf_t  *b;

    b = ngx_http_exports_project.error(r, ctx, ctx->bad_args);
    must(b != NULL && b->last <= b->end, "longer than its buffer");

    json = json_loadb((char *) b->pos, (size_t) (b->last - b->pos),
                      JSON_REJECT_DUPLICATES, NULL);
    error = json_object_get(json, "error");

    must(json_is_false(json_object_get(json, "ok"))
         && strcmp(json_string_value(json_object_get(error, "code")),
                   (char *) ctx->bad_args->code.data) == 0, "%.*s",
         (int) (b->last - b->pos), b->pos);

    json_decref(json);
}
