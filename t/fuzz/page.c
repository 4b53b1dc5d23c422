
/*
 * A damaged store, read as a worker reads it: LMDB believes what it finds, and
 * what comes of that must lead back to the guard.  See base.h.
 */

#include "request.h"
#include "base.h"


#define LISTS  4


typedef struct {
    exports_env_t      *env;
    exports_reader_t   *reader;
    exports_rc_t        rc;
    exports_error_t     error;
    int                 first;
} read_t;


static void open_store(void *data);
static void read_store(void *data);
static void read_points(exports_reader_t *reader, uint64_t scopes[2]);
static void read_page(exports_reader_t *reader, exports_kind_t kind,
    uint64_t scope, unsigned list, uint64_t offset);
static void read_stranger(exports_reader_t *reader, uint64_t scope);
static void check_page(const exports_page_query_t *query,
    const exports_page_t *page);
static void whole(const exports_page_t *page, unsigned want);


static char       dir[64];
static unsigned   expect_whole;
static unsigned   volatile  touched;


/* what a read has left behind, when the guard has ended it, is given up */

const char *
__asan_default_options(void)
{
    return "allow_user_segv_handler=1:detect_leaks=0";
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    size_t  size;

    fuzz_nginx();
    base_make(dir, &size);

    ngx_http_exports_guard_init(ngx_cycle->log);

    expect_whole = 1;
    (void) LLVMFuzzerTestOneInput((const uint8_t *) "", 0);
    expect_whole = 0;

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ngx_int_t      rc;
    static read_t  rd;

    (void) base_change(data, size);

    rd.env = NULL;
    rd.reader = NULL;

    rc = ngx_http_exports_guard(open_store, &rd);

    must(rc == NGX_OK || !expect_whole, "the guard");

    if (rc != NGX_OK || rd.rc != EXPORTS_OK) {
        must(!expect_whole, "%s", rd.error.text);

        if (rc != NGX_OK && rd.env != NULL) {
            exports_env_close(rd.env);
        }

        return 0;
    }

    rc = ngx_http_exports_guard(read_store, &rd);

    must(rc == NGX_OK || !expect_whole, "the guard");
    must(rc == NGX_OK || ngx_http_exports_guard_reason() != NULL,
         "without a reason");

    /* closing follows no pointer of the map */

    if (rd.reader != NULL) {
        exports_reader_close(rd.reader);
    }

    exports_env_close(rd.env);

    return 0;
}


static void
open_store(void *data)
{
    read_t                 *rd = data;
    exports_env_options_t   options;

    memset(&options, 0, sizeof(options));
    options.path = dir;
    options.map_size = 1 << 20;
    options.flags = EXPORTS_ENV_IMMUTABLE;
    options.group = (gid_t) -1;
    options.on_assert = ngx_http_exports_guard_assert;

    rd->rc = exports_env_open(&rd->env, &options, &rd->error);
}


static void
read_store(void *data)
{
    read_t     *rd = data;
    unsigned    list;
    uint64_t    scopes[2];

    if (exports_reader_open(&rd->reader, rd->env, &rd->error) != EXPORTS_OK
        || exports_reader_renew(rd->reader) != EXPORTS_OK)
    {
        must(!expect_whole, "no reader");
        return;
    }

    read_points(rd->reader, scopes);

    for (list = 0; list < LISTS; list++) {
        read_page(rd->reader, EXPORTS_PROJECT, scopes[0], list, list);
        read_page(rd->reader, EXPORTS_USER, scopes[1], list, 0);
        read_page(rd->reader, EXPORTS_USER, scopes[1], list, 7);
    }

    read_stranger(rd->reader, scopes[0]);

    exports_reader_reset(rd->reader);
}


static void
read_points(exports_reader_t *reader, uint64_t scopes[2])
{
    unsigned               i;
    uint8_t                key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t           rc;
    exports_scope_t        scope;
    exports_token_t        token;
    exports_record_t       record;
    static const uint8_t   digest[EXPORTS_SHA256_LEN];

    rc = exports_read_token(reader, digest, &token);
    must(rc == EXPORTS_OK || !expect_whole, "the token: %d", rc);

    for (i = 0; i < 2; i++) {
        rc = exports_read_scope(reader, i ? EXPORTS_USER : EXPORTS_PROJECT,
                                i ? "42" : "demo", i ? 2 : 4, &scope);
        must(rc == EXPORTS_OK || !expect_whole, "scope %u: %d", i, rc);

        scopes[i] = rc == EXPORTS_OK ? scope.id : i + 1;
    }

    rc = exports_read_manifest(reader, EXPORTS_PROJECT, scopes[0], "exp_7", 5,
                               key, &record);
    must(rc == EXPORTS_OK || !expect_whole, "the manifest: %d", rc);

    if (rc == EXPORTS_OK) {
        must(record.item.id.len == 5
             && memcmp(record.item.id.data, "exp_7", 5) == 0
             && record.item.kind == EXPORTS_PROJECT, "another manifest");
    }
}


static void
read_page(exports_reader_t *reader, exports_kind_t kind, uint64_t scope,
    unsigned list, uint64_t offset)
{
    exports_rc_t            rc;
    exports_facet_t         lists[2];
    exports_facets_t        values;
    exports_page_query_t    query;
    static exports_page_t   page;

    memset(&values, 0, sizeof(values));
    (void) exports_hash(values.type, "type1", 5);

    query.scope = scope;
    query.counts = NULL;
    query.kind = kind;
    query.lists = lists;
    query.nlists = 1;
    query.offset = offset;
    query.limit = BASE_MANIFESTS + 1;

    switch (list) {

    case 0:
        exports_facet_key(&lists[0], scope, EXPORTS_FACET_ALL, NULL);
        break;

    case 1:
        values.status = EXPORTS_STATUS_READY;
        exports_facet_key(&lists[0], scope, EXPORTS_FACET_STATUS, &values);
        break;

    case 2:
        exports_facet_key(&lists[0], scope, EXPORTS_FACET_TYPE, &values);
        break;

    default:
        query.nlists = 2;
        values.status = EXPORTS_STATUS_READY;
        exports_facet_key(&lists[0], scope,
                          EXPORTS_FACET_STATUS|EXPORTS_FACET_TYPE, &values);
        values.status = EXPORTS_STATUS_FAILED;
        exports_facet_key(&lists[1], scope,
                          EXPORTS_FACET_STATUS|EXPORTS_FACET_TYPE, &values);
    }

    rc = exports_page_read(reader, &query, &page);

    must(rc == EXPORTS_OK || !expect_whole, "list %u: %d", list, rc);

    if (rc == EXPORTS_OK) {
        check_page(&query, &page);
    }

    if (expect_whole && list == 0) {
        whole(&page, (unsigned) (BASE_MANIFESTS - offset));
    }
}


/* a project's records are no user's, whatever leads to them */

static void
read_stranger(exports_reader_t *reader, uint64_t scope)
{
    exports_facet_t         list;
    exports_page_query_t    query;
    static exports_page_t   page;

    exports_facet_key(&list, scope, EXPORTS_FACET_ALL, NULL);

    query.scope = scope;
    query.counts = NULL;
    query.kind = EXPORTS_USER;
    query.lists = &list;
    query.nlists = 1;
    query.offset = 0;
    query.limit = 1;

    if (exports_page_read(reader, &query, &page) == EXPORTS_OK) {
        check_page(&query, &page);
    }
}


/* as the module copies it, with nothing behind the end of a record */

static void
check_page(const exports_page_query_t *query, const exports_page_t *page)
{
    unsigned               i;
    uint16_t               n;
    const exports_item_t  *item;

    must(page->nitems <= query->limit, "%u items", page->nitems);
    must(page->nitems == 0 || page->total >= query->offset + page->nitems,
         "%u items of %llu", page->nitems, (unsigned long long) page->total);

    for (i = 0; i < page->nitems; i++) {
        item = &page->items[i];

        must(item->kind == query->kind, "kind %u", item->kind);
        must(item->link_pos <= item->json_len
             && item->json_len <= EXPORTS_RECORD_MAX
             && item->id.len <= EXPORTS_ID_MAX, "item %u", i);

        for (n = 0; n < item->json_len; n++) {
            touched += (unsigned char) item->json[n];
        }
    }
}


static void
whole(const exports_page_t *page, unsigned want)
{
    must(page->total == BASE_MANIFESTS && page->nitems == want,
         "%u items of %llu", page->nitems, (unsigned long long) page->total);
}
