
/*
 * Requests with the headers of operations, one a line: a byte for the time
 * that passes, one for the token, then headers between tabs, "k" for
 * X-Operation-Key, "r" for X-Operation-Run-Id, "K" and "R" for the same in
 * another case, anything else for another header.  The first byte chooses the
 * size of the zone: in a small one runs are given up, and then not all is
 * known.
 */

#include "ngx_http_exports_shm.h"
#include "request.h"


#define LABEL_MAX      128
#define GENERATED_LEN  42
#define IDLE           420000
#define STEP           15000       /* of time, in ms */

#define ZONE_MAX       (512 * 1024)
#define REQUESTS_MAX   64           /* fewer than what one token may have */
#define TOKENS         3
#define HEADERS_MAX    8


typedef struct {
    ngx_str_t    label;             /* len 0: none */
    int          malformed;
} header_t;

typedef struct {
    unsigned     token;
    ngx_str_t    key;
    ngx_str_t    id;
    ngx_msec_t   used;
    int          next;              /* the run in its place, or -1 */
} run_t;

typedef struct {
    int          small;
    unsigned     nruns;
    run_t        runs[2 * REQUESTS_MAX];
    u_char       ids[2 * REQUESTS_MAX][LABEL_MAX];
} model_t;


static void request(model_t *m, const uint8_t *line, size_t len);
static void read_header(header_t *header, const uint8_t *value, size_t len);
static void check(model_t *m, ngx_http_exports_operation_t *got,
    unsigned token, const header_t *key, const header_t *run);
static void check_group(model_t *m, ngx_http_exports_operation_t *got,
    unsigned token, const header_t *key, const header_t *run);
static int find(model_t *m, unsigned token, const ngx_str_t *key,
    const ngx_str_t *id);
static int newest(model_t *m, unsigned token, const ngx_str_t *key);
static int active(const run_t *run);
static int begin(model_t *m, unsigned token, const ngx_str_t *key,
    const ngx_str_t *id);
static void expect(ngx_http_exports_operation_t *got,
    ngx_http_exports_grouping_e grouping, const ngx_str_t *id);
static void check_generated(const ngx_str_t *id);
static int label(const ngx_str_t *text);
static int same(const ngx_str_t *a, const ngx_str_t *b);


static const size_t      zone_sizes[] = { ZONE_MAX, 8192 };

static ngx_shm_zone_t   *zones;
static ngx_slab_pool_t   pool;
static u_char           *memory;


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    ngx_conf_t               *cf;
    ngx_http_request_t       *r;
    ngx_http_exports_zone_t  *zone;

    fuzz_nginx();

    cf = fuzz_conf("operations:1m");

    must(ngx_http_exports_conf_operation_zone(cf, NULL, NULL) == NGX_CONF_OK,
         "%.*s", (int) fuzz_logged.len, fuzz_logged.data);

    zones = cf->cycle->shared_memory.part.elts;
    zone = zones->data;
    zone->shpool = &pool;

    must(zone->idle == IDLE, "%lu", (unsigned long) zone->idle);
    must(ngx_shmtx_create(&pool.mutex, &pool.lock, NULL) == NGX_OK,
         "no mutex");

    memory = malloc(ZONE_MAX);
    must(memory != NULL, "out of memory");

    r = fuzz_request(&ngx_http_exports_project);
    fuzz_ctx(r)->conf->operations = zones;
    fuzz_request_done(r);

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                    len;
    unsigned                  n;
    fuzz_input_t              in = { data, data + size };
    const uint8_t            *line;
    static model_t            m;
    ngx_http_exports_zone_t  *zone;

    m.small = (fuzz_byte(&in) & 1) != 0;
    m.nruns = 0;

    zone = zones->data;
    ngx_http_exports_shm_start(zone, memory, zone_sizes[m.small]);

    ngx_current_msec = 0;

    for (n = 0; in.pos < in.end && n < REQUESTS_MAX; n++) {
        line = fuzz_until(&in, '\n', &len);
        request(&m, line, len);
    }

    return 0;
}


static void
request(model_t *m, const uint8_t *line, size_t len)
{
    size_t                   n;
    header_t                 key, run;
    unsigned                 name, token, i;
    fuzz_input_t             in = { line, line + len };
    const uint8_t           *value;
    ngx_http_request_t      *r;
    ngx_http_exports_ctx_t  *ctx;
    static const char       *names[] = {
        "X-Operation-Key", "x-operation-KEY", "X-Operation-Run-Id",
        "X-OPERATION-RUN-ID", "X-Operation"
    };

    ngx_current_msec += (ngx_msec_t) (fuzz_byte(&in) & 0x1f) * STEP;
    token = fuzz_byte(&in) % TOKENS;

    memset(&key, 0, sizeof(header_t));
    memset(&run, 0, sizeof(header_t));

    r = fuzz_request(&ngx_http_exports_project);
    ctx = fuzz_ctx(r);
    memset(ctx->digest, (int) token, sizeof(ctx->digest));

    for (i = 0; in.pos < in.end && i < HEADERS_MAX; i++) {
        name = fuzz_byte(&in);
        value = fuzz_until(&in, '\t', &n);

        switch (name) {

        case 'k':
        case 'K':
            (void) fuzz_header(r, names[name == 'K'], value, n);
            read_header(&key, value, n);
            break;

        case 'r':
        case 'R':
            (void) fuzz_header(r, names[2 + (name == 'R')], value, n);
            read_header(&run, value, n);
            break;

        default:
            (void) fuzz_header(r, names[4], value, n);
        }
    }

    must(ngx_http_exports_operation(r, ctx) == NGX_OK, "failed");
    must(pool.lock.lock == 0, "the lock is held");

    check(m, &ctx->operation, token, &key, &run);

    fuzz_request_done(r);
}


/* of a header that is sent twice it is not known which is meant */

static void
read_header(header_t *header, const uint8_t *value, size_t len)
{
    if (len == 0) {
        return;
    }

    if (header->label.len > 0) {
        header->malformed = 1;
        return;
    }

    header->label.data = (u_char *) value;
    header->label.len = len;
    header->malformed = !label(&header->label);
}


static void
check(model_t *m, ngx_http_exports_operation_t *got, unsigned token,
    const header_t *key, const header_t *run)
{
    ngx_str_t  none = ngx_null_string;

    must(same(&got->key, key->malformed ? &none : &key->label),
         "key \"%.*s\"", (int) got->key.len, got->key.data);

    if (key->label.len == 0 && run->label.len == 0) {
        expect(got, NGX_HTTP_EXPORTS_NO_OPERATION, &none);

    } else if (key->malformed || run->malformed) {
        expect(got, NGX_HTTP_EXPORTS_REJECTED_INVALID, &none);

    } else if (key->label.len == 0) {
        expect(got, NGX_HTTP_EXPORTS_ACCEPTED_PROVIDED_RUN, &run->label);

    } else if (m->small) {
        must(got->grouping >= NGX_HTTP_EXPORTS_ACCEPTED_PROVIDED_RUN
             && got->grouping <= NGX_HTTP_EXPORTS_CONTINUED_RUN, "%d",
             got->grouping);
        must(label(&got->run), "run \"%.*s\"", (int) got->run.len,
             got->run.data);

    } else {
        check_group(m, got, token, key, run);
    }
}


static void
check_group(model_t *m, ngx_http_exports_operation_t *got, unsigned token,
    const header_t *key, const header_t *run)
{
    int                          i, next;
    ngx_http_exports_grouping_e  grouping;

    if (run->label.len == 0) {
        i = newest(m, token, &key->label);
        grouping = NGX_HTTP_EXPORTS_CONTINUED_RUN;

        if (i == -1) {
            check_generated(&got->run);
            must(find(m, token, &key->label, &got->run) == -1, "again");
            i = begin(m, token, &key->label, &got->run);
            grouping = NGX_HTTP_EXPORTS_GENERATED_RUN;
        }

    } else {
        i = find(m, token, &key->label, &run->label);
        grouping = NGX_HTTP_EXPORTS_ACCEPTED_PROVIDED_RUN;

        if (i == -1) {
            i = begin(m, token, &key->label, &run->label);

        } else if (!active(&m->runs[i])) {
            next = m->runs[i].next;
            grouping = NGX_HTTP_EXPORTS_RENEWED_AFTER_IDLE;

            if (next == -1 || !active(&m->runs[next])) {
                check_generated(&got->run);
                must(find(m, token, &key->label, &got->run) == -1, "again");
                next = begin(m, token, &key->label, &got->run);
                m->runs[i].next = next;
            }

            i = next;
        }
    }

    m->runs[i].used = ngx_current_msec;
    expect(got, grouping, &m->runs[i].id);
}


static int
find(model_t *m, unsigned token, const ngx_str_t *key, const ngx_str_t *id)
{
    unsigned  i;

    for (i = 0; i < m->nruns; i++) {
        if (m->runs[i].token == token && same(&m->runs[i].key, key)
            && same(&m->runs[i].id, id))
        {
            return (int) i;
        }
    }

    return -1;
}


/* of those that are active the one that began last */

static int
newest(model_t *m, unsigned token, const ngx_str_t *key)
{
    unsigned  i;

    for (i = m->nruns; i > 0; i--) {
        if (m->runs[i - 1].token == token && same(&m->runs[i - 1].key, key)
            && active(&m->runs[i - 1]))
        {
            return (int) i - 1;
        }
    }

    return -1;
}


static int
active(const run_t *run)
{
    return ngx_current_msec - run->used <= IDLE;
}


static int
begin(model_t *m, unsigned token, const ngx_str_t *key, const ngx_str_t *id)
{
    run_t  *run;

    must(id->len <= LABEL_MAX, "%zu", id->len);

    run = &m->runs[m->nruns];
    run->token = token;
    run->key = *key;
    run->id.data = m->ids[m->nruns];
    run->id.len = id->len;
    memcpy(run->id.data, id->data, id->len);
    run->next = -1;

    return (int) m->nruns++;
}


static void
expect(ngx_http_exports_operation_t *got,
    ngx_http_exports_grouping_e grouping, const ngx_str_t *id)
{
    must(got->grouping == grouping, "%d, not %d", got->grouping, grouping);
    must(same(&got->run, id), "run \"%.*s\", not \"%.*s\"",
         (int) got->run.len, got->run.data, (int) id->len, id->data);
}


/* oprun_20260602T012345_123456Z_abc123def456 */

static void
check_generated(const ngx_str_t *id)
{
    size_t  i;

    must(id->len == GENERATED_LEN
         && memcmp(id->data, "oprun_20260602T012345_123456Z_", 30) == 0,
         "\"%.*s\"", (int) id->len, id->data);

    for (i = 30; i < GENERATED_LEN; i++) {
        must(memchr("0123456789abcdef", id->data[i], 16) != NULL, "\"%.*s\"",
             (int) id->len, id->data);
    }
}


static int
label(const ngx_str_t *text)
{
    size_t             i;
    static const char  set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789._:-";

    for (i = 0; i < text->len; i++) {
        if (memchr(set, text->data[i], sizeof(set) - 1) == NULL) {
            return 0;
        }
    }

    return text->len >= 1 && text->len <= LABEL_MAX;
}


static int
same(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len
           && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
