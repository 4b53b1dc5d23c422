
/*
 * exports_page.c and the writer, against a model: arrays that are sorted and
 * filtered the slow way.
 */

#include "fixture.h"

#include "exports_mdb_layout.h"


#define NTYPES      64          /* known to queries; few are in use */
#define NSUBJECTS   5
#define NSTATUSES   5

typedef struct {
    uint64_t         created;
    uint64_t         tie;
    long long        subject_id;
    unsigned         version;
    uint8_t          alive;
    uint8_t          status;        /* the stored number */
    uint8_t          type;
    uint8_t          subject;       /* 0: none */
} item_t;

typedef struct {
    const char      *name;
    exports_kind_t   kind;
    unsigned         target;        /* manifests, about */
    unsigned         size;          /* ids */
    uint64_t         span;          /* of the times, in microseconds */

    item_t          *items;         /* by the number of the id */
    item_t          *saved;
    unsigned         alive;
    unsigned         order[8192];   /* numbers, in the order of pages */
    unsigned         changed;
    uint64_t         revision;
    uint64_t         id;
} scope_t;

typedef struct {
    const scope_t   *scope;
    unsigned         statuses;      /* bits; 0: any */
    uint64_t         types;
    unsigned         subjects;
    unsigned         nids;          /* subject_ids; 0: any */
    long long        ids[2];
    unsigned         nlists;
    exports_facet_t  lists[EXPORTS_LISTS_MAX];
} query_t;


static scope_t  scopes[] = {
    { .name = "none", .kind = EXPORTS_PROJECT, .target = 0, .span = 10 },
    { .name = "one", .kind = EXPORTS_PROJECT, .target = 1, .span = 10 },
    { .name = "two", .kind = EXPORTS_PROJECT, .target = 2, .span = 1 },
    { .name = "hundreds", .kind = EXPORTS_PROJECT, .target = 300,
      .span = 1000000 },
    { .name = "thousands", .kind = EXPORTS_PROJECT, .target = 3000,
      .span = 31536000000000 },
    { .name = "equal", .kind = EXPORTS_PROJECT, .target = 1000, .span = 7 },
    { .name = "0", .kind = EXPORTS_USER, .target = 0, .span = 10 },
    { .name = "1", .kind = EXPORTS_USER, .target = 1, .span = 10 },
    { .name = "2", .kind = EXPORTS_USER, .target = 2, .span = 1 },
    { .name = "300", .kind = EXPORTS_USER, .target = 300, .span = 40 },
    { .name = "3000", .kind = EXPORTS_USER, .target = 3000,
      .span = 31536000000000 },
};

#define NSCOPES  (sizeof(scopes) / sizeof(scopes[0]))

static exports_facets_t  type_hashes[NTYPES], subject_hashes[NSUBJECTS];
static exports_page_t    page;
static unsigned long     reads, most_lists;


static const char *
item_id(const scope_t *scope, unsigned n)
{
    static char  id[64];

    (void) snprintf(id, sizeof(id),
                    scope->kind == EXPORTS_PROJECT ? "exp_%s_%u" : "%s-%u",
                    scope->name, n);

    return id;
}


static void
prepare(void)
{
    char       name[16];
    size_t     s;
    unsigned   i;
    scope_t   *scope;

    for (i = 0; i < NTYPES; i++) {
        (void) snprintf(name, sizeof(name), "type%u", i);
        must(exports_hash(type_hashes[i].type, name, strlen(name)) == 0,
             "SHA-256");
    }

    for (i = 0; i < NSUBJECTS; i++) {
        (void) snprintf(name, sizeof(name), "subject%u", i);
        must(exports_hash(subject_hashes[i].subject_type, name, strlen(name))
                 == 0, "SHA-256");
    }

    for (s = 0; s < NSCOPES; s++) {
        scope = &scopes[s];
        scope->size = scope->target + scope->target / 2 + 2;

        free(scope->items);
        free(scope->saved);

        scope->items = calloc(scope->size, sizeof(item_t));
        scope->saved = calloc(scope->size, sizeof(item_t));
        must(scope->items != NULL && scope->saved != NULL, "memory");

        for (i = 0; i < scope->size; i++) {
            must(exports_tie(item_id(scope, i), strlen(item_id(scope, i)),
                             &scope->items[i].tie) == 0, "SHA-256");
        }
    }
}


static const item_t  *sorting;

static int
compare_items(const void *a, const void *b)
{
    const item_t  *x, *y;

    x = &sorting[*(const unsigned *) a];
    y = &sorting[*(const unsigned *) b];

    if (x->created != y->created) {
        return x->created < y->created ? 1 : -1;
    }

    return (x->tie < y->tie) - (x->tie > y->tie);
}


static void
sort_scope(scope_t *scope)
{
    unsigned  i;

    scope->alive = 0;

    for (i = 0; i < scope->size; i++) {
        if (scope->items[i].alive) {
            scope->order[scope->alive++] = i;
        }
    }

    sorting = scope->items;
    qsort(scope->order, scope->alive, sizeof(unsigned), compare_items);
}


/* operations: on the store and on the model alike */

static void
put_item(exports_writer_t *w, scope_t *scope, unsigned n, const item_t *item)
{
    int              replaced, had;
    char             type[16], subject[16];
    spec_t           spec;
    exports_rc_t     rc;
    exports_error_t  error;

    (void) snprintf(type, sizeof(type), "type%u", item->type);
    (void) snprintf(subject, sizeof(subject), "subject%u", item->subject);

    memset(&spec, 0, sizeof(spec));
    spec.kind = scope->kind;
    spec.scope = scope->name;
    spec.id = item_id(scope, n);
    spec.created = item->created;
    spec.status = exports_status_name(item->status);
    spec.type = type;
    spec.subject_type = item->subject != 0 ? subject : NULL;
    spec.subject_id = item->subject_id;
    spec.version = item->version;

    had = scope->items[n].alive;
    replaced = 7;

    rc = put_spec(w, &spec, &replaced, &error);

    check(rc == EXPORTS_OK && replaced == had, "put %s: %s %s, replaced %d",
          spec.id, rc_name(rc), rc != EXPORTS_OK ? error.text : "", replaced);

    scope->items[n] = *item;
    scope->items[n].alive = 1;
    scope->changed = 1;
    scope->alive += !had;
}


static void
delete_item(exports_writer_t *w, scope_t *scope, unsigned n)
{
    const char       *id;
    exports_rc_t      rc;
    exports_error_t   error;

    id = item_id(scope, n);

    rc = exports_writer_delete(w, scope->kind, scope->name,
                               strlen(scope->name), id, strlen(id), &error);

    check(rc == (scope->items[n].alive ? EXPORTS_OK : EXPORTS_NOT_FOUND),
          "delete %s: %s", id, rc_name(rc));

    if (scope->items[n].alive) {
        scope->items[n].alive = 0;
        scope->changed = 1;
        scope->alive--;
    }
}


static uint64_t
random_time(const scope_t *scope)
{
    return TEST_TIME + rnd() % scope->span;
}


static uint8_t
random_status(const scope_t *scope)
{
    static const uint8_t  user[] = {
        EXPORTS_STATUS_READY, EXPORTS_STATUS_PENDING,
        EXPORTS_STATUS_PROCESSING, EXPORTS_STATUS_FAILED,
        EXPORTS_STATUS_CANCELLED
    };

    if (scope->kind == EXPORTS_PROJECT) {
        return chance(10) ? EXPORTS_STATUS_NOT_FOUND : EXPORTS_STATUS_READY;
    }

    return user[below(NSTATUSES)];
}


static uint8_t
other_status(const scope_t *scope)
{
    return scope->kind == EXPORTS_PROJECT ? EXPORTS_STATUS_NOT_FOUND
                                          : EXPORTS_STATUS_FAILED;
}


/* what changes with each chance, all of it in a new manifest */

static void
random_item(const scope_t *scope, item_t *item, unsigned percent)
{
    item->version++;

    if (chance(percent)) {
        item->created = random_time(scope);
    }

    if (chance(percent)) {
        item->status = random_status(scope);
    }

    if (chance(percent)) {
        item->type = (uint8_t) (chance(95) ? below(5) : below(NTYPES));
    }

    if (scope->kind == EXPORTS_USER && chance(percent)) {
        item->subject = (uint8_t) below(NSUBJECTS);
        item->subject_id = chance(80) ? (long long) below(4) - 1
                                      : (long long) rnd();
    }
}


static void
random_change(exports_writer_t *w, scope_t *scope)
{
    item_t    item;
    unsigned  n;

    n = below(scope->size);
    item = scope->items[n];

    if (!item.alive) {
        if (scope->alive < scope->target || chance(40)) {
            random_item(scope, &item, 100);
            put_item(w, scope, n, &item);

        } else if (chance(10)) {
            delete_item(w, scope, n);
        }

        return;
    }

    if (chance(scope->alive > scope->target ? 60 : 25)) {
        delete_item(w, scope, n);
        return;
    }

    random_item(scope, &item, chance(20) ? 0 : 40);
    put_item(w, scope, n, &item);
}


/* the newest become misses of the usual filter, or all become hits again */

static void
cluster(exports_writer_t *w, scope_t *scope)
{
    item_t    item;
    unsigned  i, n, misses;

    sort_scope(scope);
    misses = chance(75);
    n = chance(50) ? 500 : 30 + below(12);

    for (i = 0; i < n && i < scope->alive; i++) {
        item = scope->items[scope->order[i]];
        item.version++;
        item.status = misses ? other_status(scope) : EXPORTS_STATUS_READY;
        put_item(w, scope, scope->order[i], &item);
    }
}


/* as an application writes them: newer than all */

static void
append(exports_writer_t *w, scope_t *scope)
{
    item_t    item;
    unsigned  n, left;
    uint64_t  newest;

    sort_scope(scope);

    newest = scope->alive > 0 ? scope->items[scope->order[0]].created
                              : TEST_TIME;
    left = below(60);

    for (n = 0; n < scope->size && left > 0; n++) {
        if (!scope->items[n].alive) {
            item = scope->items[n];
            random_item(scope, &item, 100);
            item.created = newest + (chance(50) ? 1 : 0);
            newest = item.created;
            put_item(w, scope, n, &item);
            left--;
        }
    }
}


static void
save(int restore)
{
    size_t    s;
    scope_t  *scope;

    for (s = 0; s < NSCOPES; s++) {
        scope = &scopes[s];

        if (restore) {
            memcpy(scope->items, scope->saved, scope->size * sizeof(item_t));
        } else {
            memcpy(scope->saved, scope->items, scope->size * sizeof(item_t));
        }

        scope->changed = 0;
    }
}


static void
fill(exports_env_t *env)
{
    size_t             s;
    item_t             item;
    unsigned           i, n;
    exports_writer_t  *w;

    w = begin_writer(env);

    for (s = 0; s < NSCOPES; s++) {
        for (i = 0; scopes[s].alive < scopes[s].target; i++) {

            /* some scopes in the order of their ids, some at random */

            n = s % 2 == 0 ? i : below(scopes[s].size);

            if (!scopes[s].items[n].alive) {
                item = scopes[s].items[n];
                random_item(&scopes[s], &item, 100);
                put_item(w, &scopes[s], n, &item);
            }
        }
    }

    /* a scope that is left without a manifest */

    for (s = 0; s < NSCOPES; s++) {
        if (scopes[s].target == 0) {
            item = scopes[s].items[0];
            random_item(&scopes[s], &item, 100);
            put_item(w, &scopes[s], 0, &item);
            delete_item(w, &scopes[s], 0);
        }
    }

    commit_writer(w);
}


static void
transaction(exports_env_t *env)
{
    int                aborted;
    size_t             s;
    unsigned           i, n;
    scope_t           *scope;
    exports_writer_t  *w;

    aborted = chance(20);

    save(0);

    w = begin_writer(env);

    for (s = 0; s < NSCOPES; s++) {
        scope = &scopes[s];

        if (chance(30)) {
            continue;
        }

        if (scope->target >= 300 && chance(40)) {
            cluster(w, scope);
        }

        if (scope->target >= 300 && chance(30)) {
            append(w, scope);
        }

        n = chance(30) ? 1 : below(scope->target / 8 + 3);

        if (scope->target == 0 && !chance(20)) {
            n = 0;
        }

        for (i = 0; i < n; i++) {
            random_change(w, scope);
        }
    }

    if (aborted) {
        exports_writer_abort(w);
        save(1);

    } else {
        commit_writer(w);
    }
}


/* revisions go up where something changed, and nowhere else */

static void
check_revisions(exports_reader_t *reader)
{
    size_t            s;
    exports_rc_t      rc;
    exports_scope_t   found;
    scope_t          *scope;

    for (s = 0; s < NSCOPES; s++) {
        scope = &scopes[s];

        rc = exports_read_scope(reader, scope->kind, scope->name,
                                strlen(scope->name), &found);

        check(rc == EXPORTS_OK, "scope %s: %s", scope->name, rc_name(rc));

        check(scope->id == 0 || scope->id == found.id,
              "scope %s: the ID changed", scope->name);

        check(scope->changed ? found.revision > scope->revision
                             : found.revision == scope->revision,
              "scope %s: %schanged, from %" PRIu64 " to %" PRIu64,
              scope->name, scope->changed ? "" : "un", scope->revision,
              found.revision);

        scope->revision = found.revision;
        scope->id = found.id;
        scope->changed = 0;
    }
}


/* queries */

static int
matches(const query_t *query, const item_t *item)
{
    unsigned  i, found;

    if ((query->statuses != 0 && !(query->statuses & 1U << item->status))
        || (query->types != 0 && !(query->types & 1ULL << item->type))
        || (query->subjects != 0
            && (item->subject == 0
                || !(query->subjects & 1U << item->subject))))
    {
        return 0;
    }

    for (found = query->nids == 0, i = 0; i < query->nids; i++) {
        found |= item->subject != 0 && item->subject_id == query->ids[i];
    }

    return (int) found;
}


static void
add_list(query_t *query, unsigned facet, const exports_facets_t *values)
{
    must(query->nlists < EXPORTS_LISTS_MAX, "too many lists");

    exports_facet_key(&query->lists[query->nlists++], query->scope->id, facet,
                      values);
}


static int
compare_lists(const void *a, const void *b)
{
    const exports_facet_t  *x = a, *y = b;

    return memcmp(x->bytes, y->bytes, x->len);
}


static unsigned
ones(uint64_t set)
{
    return set == 0 ? 1 : (unsigned) __builtin_popcountll(set);
}


/* the product of what the filters allow */

static void
make_lists(query_t *query)
{
    unsigned           status, type, subject, id, facet;
    exports_facets_t   values;

    memset(&values, 0, sizeof(values));

    facet = (query->statuses != 0 ? EXPORTS_FACET_STATUS : 0U)
            | (query->types != 0 ? EXPORTS_FACET_TYPE : 0U)
            | (query->subjects != 0 ? EXPORTS_FACET_SUBJECT_TYPE : 0U)
            | (query->nids != 0 ? EXPORTS_FACET_SUBJECT_ID : 0U);

    for (status = 0; status < 8; status++) {
        if (query->statuses != 0 ? !(query->statuses & 1U << status)
                                 : status != 0)
        {
            continue;
        }

        for (type = 0; type < NTYPES; type++) {
            if (query->types != 0 ? !(query->types & 1ULL << type)
                                  : type != 0)
            {
                continue;
            }

            for (subject = 0; subject < NSUBJECTS; subject++) {
                if (query->subjects != 0 ? !(query->subjects & 1U << subject)
                                         : subject != 0)
                {
                    continue;
                }

                for (id = 0; id < (query->nids != 0 ? query->nids : 1); id++) {
                    values.status = (uint8_t) status;
                    memcpy(values.type, type_hashes[type].type,
                           EXPORTS_HASH_LEN);
                    memcpy(values.subject_type,
                           subject_hashes[subject].subject_type,
                           EXPORTS_HASH_LEN);
                    values.subject_id = query->ids[id];

                    add_list(query, facet, &values);
                }
            }
        }
    }

    /* as a server asks for them, mostly */

    if (chance(70)) {
        qsort(query->lists, query->nlists, sizeof(exports_facet_t),
              compare_lists);
    }
}


static void
random_query(query_t *query)
{
    unsigned  i, n;

    memset(query, 0, sizeof(query_t));

    do {
        query->scope = &scopes[below(NSCOPES)];
    } while (query->scope->target < 300 && chance(60));

    if (query->scope->kind == EXPORTS_PROJECT) {
        n = below(4);
        query->statuses = (n & 1 ? 1U << EXPORTS_STATUS_READY : 0)
                          | (n & 2 ? 1U << EXPORTS_STATUS_NOT_FOUND : 0);
        make_lists(query);
        return;
    }

    if (chance(60)) {
        query->statuses = below(64) << 1 & 0x7a;
    }

    if (chance(50)) {
        n = chance(70) ? below(4) : below(NTYPES) + 1;

        for (i = 0; i < n; i++) {
            query->types |= 1ULL << (chance(60) ? below(6) : below(NTYPES));
        }

        if (chance(5)) {
            query->types = UINT64_MAX;
        }
    }

    if (chance(30)) {
        query->subjects = below(1U << NSUBJECTS) & ~1U;
    }

    if (chance(30)) {
        query->nids = 1 + below(2);
        query->ids[0] = (long long) below(4) - 1;
        query->ids[1] = query->ids[0] + 1 + below(2);
    }

    /* fewer values until the lists are few enough */

    while (ones(query->statuses) * ones(query->types) * ones(query->subjects)
           * (query->nids > 1 ? query->nids : 1)
           > EXPORTS_LISTS_MAX)
    {
        switch (below(3)) {

        case 0:
            query->types &= rnd();
            break;

        case 1:
            query->statuses &= (unsigned) rnd();
            break;

        default:
            query->subjects &= (unsigned) rnd();
        }
    }

    make_lists(query);
}


typedef struct {
    unsigned           n;
    unsigned           stop;        /* at this item; 0: not at all */
    unsigned           wrong;
    uint64_t           total;
    uint64_t           scope;
    exports_reader_t  *reader;      /* to read one of the items by; or NULL */
} visits_t;


static exports_rc_t
visited(void *data, const exports_page_t *p, const exports_item_t *items,
    unsigned n)
{
    visits_t              *visits = data;
    uint8_t                key[EXPORTS_MANIFEST_KEY_LEN];
    exports_record_t       record;
    const exports_item_t  *item;

    visits->wrong += p != &page || n == 0 || p->nitems != visits->n + n
                     || p->total != visits->total
                     || items != &p->items[visits->n];
    visits->n += n;

    if (visits->reader != NULL && n > 0) {
        item = &items[below(n)];
        visits->wrong += exports_read_manifest(visits->reader, item->kind,
                                               visits->scope, item->id.data,
                                               item->id.len, key, &record)
                         != EXPORTS_OK;
    }

    return visits->stop > 0 && visits->n >= visits->stop ? EXPORTS_CONFLICT
                                                         : EXPORTS_OK;
}


static void
check_page(exports_reader_t *reader, const query_t *query,
    const unsigned *found, unsigned total, uint64_t offset, unsigned limit)
{
    char                     version[32];
    unsigned                 i, n;
    const char              *id;
    const item_t            *item;
    exports_rc_t             rc;
    exports_scope_t          stored;
    exports_page_query_t     q;
    visits_t                 visits;
    const exports_item_t    *got;

    memset(&q, 0, sizeof(q));
    q.scope = query->scope->id;
    q.kind = query->scope->kind;
    q.lists = query->lists;
    q.nlists = query->nlists;
    q.offset = offset;
    q.limit = limit;

    /* a writer stores the counts at the end */

    if (!reader->borrowed
        && exports_read_scope(reader, q.kind, query->scope->name,
                              strlen(query->scope->name), &stored)
           == EXPORTS_OK)
    {
        q.counts = stored.counts;
    }

    n = offset >= total ? 0
        : total - offset < limit ? (unsigned) (total - offset) : limit;

    memset(&page, 0xee, sizeof(page));

    visits.n = 0;
    visits.wrong = 0;
    visits.total = total;
    visits.scope = q.scope;
    visits.reader = chance(30) ? reader : NULL;
    visits.stop = limit > 0 && chance(5) ? 1 + below(limit) : 0;

    rc = exports_page_visit(reader, &q, &page, visited, &visits);
    reads++;

    if (query->nlists > most_lists) {
        most_lists = query->nlists;
    }

    if (visits.stop > 0 && visits.stop <= n) {
        (void) check(rc == EXPORTS_CONFLICT && visits.n >= visits.stop
                     && visits.n == page.nitems && visits.n <= n
                     && visits.wrong == 0, "stopped: %s, %u items not %u",
                     rc_name(rc), visits.n, visits.stop);
        return;
    }

    if (!check(rc == EXPORTS_OK && page.total == total && page.nitems == n
               && visits.n == n && visits.wrong == 0,
               "scope %s, statuses %x, types %" PRIx64 ", subjects %x, %u ids,"
               " %u lists, offset %" PRIu64 ", limit %u: %s, total %" PRIu64
               " not %u, %u items not %u", query->scope->name,
               query->statuses, query->types, query->subjects, query->nids,
               query->nlists, offset, limit, rc_name(rc), page.total, total,
               page.nitems, n))
    {
        return;
    }

    for (i = 0; i < n; i++) {
        got = &page.items[i];
        item = &query->scope->items[found[offset + i]];
        id = item_id(query->scope, found[offset + i]);

        (void) snprintf(version, sizeof(version), "\"row_count\":%u,",
                        item->version);

        if (got->id.len != strlen(id)
            || memcmp(got->id.data, id, got->id.len) != 0
            || got->status != item->status || got->kind != query->scope->kind
            || memmem(got->json, got->json_len, version, strlen(version))
               == NULL)
        {
            (void) check(0, "scope %s, %u lists, offset %" PRIu64
                         ", limit %u: item %u is \"%.*s\", not \"%s\"",
                         query->scope->name, query->nlists, offset, limit, i,
                         (int) got->id.len, got->id.data, id);
            return;
        }
    }
}


/* some pages of one query */

static void
check_query(exports_reader_t *reader, const query_t *query)
{
    unsigned         i, total, found[8192];
    const scope_t   *scope;

    scope = query->scope;
    total = 0;

    for (i = 0; i < scope->alive; i++) {
        if (matches(query, &scope->items[scope->order[i]])) {
            found[total++] = scope->order[i];
        }
    }

    check_page(reader, query, found, total, 0, 25);
    check_page(reader, query, found, total, 0, 1 + below(EXPORTS_PAGE_MAX));
    check_page(reader, query, found, total, below(total + 1), 50);
    check_page(reader, query, found, total, below(total + 3),
               below(EXPORTS_PAGE_MAX + 1));

    switch (below(6)) {

    case 0:
        check_page(reader, query, found, total, total, 10);
        break;

    case 1:
        check_page(reader, query, found, total, total + rnd() % 1000, 10);
        break;

    case 2:
        check_page(reader, query, found, total, UINT64_MAX, 10);
        break;

    case 3:
        check_page(reader, query, found, total, below(total + 1), 0);
        break;

    case 4:
        check_page(reader, query, found, total, 0, EXPORTS_PAGE_MAX);
        break;

    default:
        check_page(reader, query, found, total, total > 0 ? total - 1 : 0,
                   EXPORTS_PAGE_MAX);
    }
}


static void
check_sound(exports_reader_t *reader)
{
    size_t             s;
    uint64_t           manifests;
    exports_rc_t       rc;
    exports_verify_t   result;

    for (manifests = 0, s = 0; s < NSCOPES; s++) {
        manifests += scopes[s].alive;
    }

    rc = exports_verify(reader, &result, show_fault, NULL, NULL);

    check(rc == EXPORTS_OK && result.faults == 0, "verify: %s, %" PRIu64
          " faults", rc_name(rc), result.faults);

    check(result.manifests == manifests && result.ids == manifests
          && result.scopes == NSCOPES, "verify: %" PRIu64 " manifests, %"
          PRIu64 " ids, %" PRIu64 " scopes", result.manifests, result.ids,
          result.scopes);
}


static void
property(void)
{
    size_t             s;
    query_t            query;
    unsigned           i, n, commits, queries;
    exports_env_t     *env;
    exports_reader_t  *reader;

    commits = rounds(24, 12);
    queries = rounds(200, 340);

    env = new_store(in_dir("property"));
    reader = open_reader(env);
    prepare();

    fill(env);

    for (n = 0; n < commits; n++) {

        if (n > 0) {
            transaction(env);
        }

        renew_reader(reader);
        check_revisions(reader);

        for (s = 0; s < NSCOPES; s++) {
            sort_scope(&scopes[s]);
        }

        for (i = 0; i < queries; i++) {
            random_query(&query);
            check_query(reader, &query);
        }

        if (n % 6 == 0 || n == commits - 1) {
            check_sound(reader);
        }

        exports_reader_reset(reader);
    }

    checked("random changes and pages agree with the model");
    note("%lu pages of up to %lu lists, %u transactions", reads, most_lists,
         commits);

    exports_reader_close(reader);
    exports_env_close(env);
}


/* runs of misses at the newest end, and in between */

static void
put_pattern(exports_env_t *env, scope_t *scope, unsigned lead, unsigned hits,
    unsigned misses)
{
    item_t             item;
    unsigned           i;
    exports_writer_t  *w;

    w = begin_writer(env);

    /* the greatest number is the newest */

    for (i = 0; i < scope->size; i++) {
        item = scope->items[i];
        item.version++;
        item.created = TEST_TIME + i;
        item.status = i >= scope->size - lead
                      || (hits + misses > 0 && i % (hits + misses) >= hits)
                          ? EXPORTS_STATUS_NOT_FOUND : EXPORTS_STATUS_READY;
        put_item(w, scope, i, &item);
    }

    commit_writer(w);
    sort_scope(scope);
}


static void
check_all_pages(exports_reader_t *reader, scope_t *scope)
{
    query_t   query;
    unsigned  i, n, total, offset, found[1024];

    for (n = 0; n < 4; n++) {
        memset(&query, 0, sizeof(query));
        query.scope = scope;
        query.statuses = (n & 1 ? 1U << EXPORTS_STATUS_READY : 0)
                         | (n & 2 ? 1U << EXPORTS_STATUS_NOT_FOUND : 0);
        make_lists(&query);

        for (total = 0, i = 0; i < scope->alive; i++) {
            if (matches(&query, &scope->items[scope->order[i]])) {
                found[total++] = scope->order[i];
            }
        }

        for (offset = 0; offset <= total; offset += 1 + offset % 23) {
            check_page(reader, &query, found, total, offset, 1);
            check_page(reader, &query, found, total, offset, 50);
        }

        check_page(reader, &query, found, total, 0, EXPORTS_PAGE_MAX);
    }
}


static void
switching(void)
{
    size_t                 i;
    scope_t                scope;
    exports_env_t         *env;
    exports_reader_t      *reader;
    static const unsigned  patterns[][3] = {
        { 0, 0, 0 }, { 1, 0, 0 }, { 31, 0, 0 }, { 32, 0, 0 }, { 33, 0, 0 },
        { 34, 0, 0 }, { 35, 0, 0 }, { 500, 0, 0 }, { 599, 0, 0 },
        { 600, 0, 0 }, { 0, 1, 1 }, { 0, 1, 2 }, { 0, 1, 3 }, { 32, 1, 2 },
        { 33, 1, 2 }, { 0, 5, 40 }, { 0, 40, 60 }, { 0, 50, 200 },
        { 40, 1, 30 }
    };

    memset(&scope, 0, sizeof(scope));
    scope.name = "patterns";
    scope.kind = EXPORTS_PROJECT;
    scope.size = 600;
    scope.items = calloc(scope.size, sizeof(item_t));
    must(scope.items != NULL, "memory");

    for (i = 0; i < scope.size; i++) {
        must(exports_tie(item_id(&scope, (unsigned) i),
                         strlen(item_id(&scope, (unsigned) i)),
                         &scope.items[i].tie)
                 == 0, "SHA-256");
    }

    env = new_store(in_dir("switching"));
    reader = open_reader(env);

    for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        put_pattern(env, &scope, patterns[i][0], patterns[i][1],
                    patterns[i][2]);

        scope.id = stored_scope(env, scope.kind, scope.name).id;

        renew_reader(reader);
        check_all_pages(reader, &scope);
        exports_reader_reset(reader);
    }

    checked("a scan goes over to searches without a gap");

    exports_reader_close(reader);
    exports_env_close(env);
    free(scope.items);
}


/* leaves that are mixed up at a time, at most */
#define NMIXED  20

/* the leaves of lists, or copies of them that are free */

typedef struct {
    size_t     size;
    size_t     n;
    uint64_t  *numbers;
    uint8_t   *file;
} leaves_t;


static void
load_leaves(leaves_t *leaves, const char *path)
{
    FILE           *file;
    size_t          pages, i;
    struct stat     st;
    page_header_t   header;

    file = fopen(path, "rb");
    must(file != NULL && fstat(fileno(file), &st) == 0, "%s", path);

    leaves->size = (size_t) sysconf(_SC_PAGESIZE);
    pages = (size_t) st.st_size / leaves->size;
    leaves->file = malloc((size_t) st.st_size);
    leaves->numbers = calloc(pages, sizeof(uint64_t));
    must(leaves->file != NULL && leaves->numbers != NULL
         && fread(leaves->file, leaves->size, pages, file) == pages,
         "reading %s", path);
    (void) fclose(file);

    for (leaves->n = 0, i = 2; i < pages; i++) {
        memcpy(&header, leaves->file + i * leaves->size, PAGE_HEADER);

        if (header.pgno == i && header.flags == (LEAF_FLAG|LEAF2_FLAG)
            && header.pad == EXPORTS_ENTRY_LEN)
        {
            leaves->numbers[leaves->n++] = i;
        }
    }

    must(leaves->n > 1, "no leaves");
}


static uint64_t
random_leaf(const leaves_t *leaves)
{
    return leaves->numbers[below((unsigned) leaves->n)];
}


/* one in the place of another, but for its number */

static void
write_leaf(const leaves_t *leaves, int fd, uint64_t to, uint64_t from)
{
    must(pwrite(fd, leaves->file + from * leaves->size + 8, leaves->size - 8,
                (off_t) (to * leaves->size + 8))
         == (ssize_t) leaves->size - 8, "writing: %s", strerror(errno));
}


/* whether all items of a page are what was asked for */

static int
all_match(const query_t *query)
{
    char             id[64];
    unsigned         i, n;
    const scope_t   *scope;
    exports_item_t  *got;

    scope = query->scope;

    for (i = 0; i < page.nitems; i++) {
        got = &page.items[i];
        (void) snprintf(id, sizeof(id), "%.*s", (int) got->id.len,
                        got->id.data);
        n = (unsigned) strtoul(strrchr(id, scope->kind == EXPORTS_PROJECT
                                           ? '_' : '-') + 1, NULL, 10);

        if (n >= scope->size || strcmp(id, item_id(scope, n)) != 0
            || !matches(query, &scope->items[n]))
        {
            return 0;
        }
    }

    return 1;
}


static void
check_mixed(exports_reader_t *reader, unsigned long refused[2])
{
    query_t                query;
    unsigned               fixed;
    exports_rc_t           rc;
    exports_page_query_t   q;

    do {
        random_query(&query);
    } while (query.scope->target < 300);

    memset(&q, 0, sizeof(q));
    q.scope = query.scope->id;
    q.kind = query.scope->kind;
    q.lists = query.lists;
    q.nlists = query.nlists;
    q.offset = chance(50) ? 0 : below(query.scope->alive);
    q.limit = 1 + below(100);

    rc = exports_page_read(reader, &q, &page);

    check(rc == EXPORTS_CORRUPT || (rc == EXPORTS_OK && all_match(&query)),
          "scope %s, statuses %x, types %" PRIx64 ", subjects %x, %u ids, %u"
          " lists, offset %" PRIu64 ": %s, wrong items", query.scope->name,
          query.statuses, query.types, query.subjects, query.nids,
          query.nlists, q.offset, rc_name(rc));

    fixed = (query.types != 0 || query.subjects != 0 || query.nids != 0);
    refused[fixed] += rc == EXPORTS_CORRUPT;
}


/* no model of a store before */

static void
forget(void)
{
    size_t  s;

    for (s = 0; s < NSCOPES; s++) {
        scopes[s].alive = 0;
        scopes[s].revision = 0;
        scopes[s].id = 0;
    }

    prepare();
}


static void
mixed(void)
{
    int                fd;
    char               path[4300], file[4400];
    size_t             s;
    uint64_t           changed[NMIXED];
    unsigned           i, k, n, least;
    leaves_t           leaves;
    exports_env_t     *env;
    unsigned long      refused[2] = { 0, 0 };
    exports_reader_t  *reader;

    (void) snprintf(path, sizeof(path), "%s", in_dir("mixed"));
    (void) snprintf(file, sizeof(file), "%s/" EXPORTS_DATA_FILE, path);

    env = new_store(path);
    forget();
    fill(env);

    for (s = 0; s < NSCOPES; s++) {
        sort_scope(&scopes[s]);
        scopes[s].id = stored_scope(env, scopes[s].kind, scopes[s].name).id;
    }

    exports_env_close(env);
    load_leaves(&leaves, file);

    fd = open(file, O_WRONLY);
    must(fd != -1, "opening: %s", strerror(errno));

    least = rounds(200, 40);

    for (k = 0; goes_on(k, least, refused[0] > 0 && refused[1] > 0); k++) {
        n = 1 + below(NMIXED);

        for (i = 0; i < n; i++) {
            changed[i] = random_leaf(&leaves);
            write_leaf(&leaves, fd, changed[i], random_leaf(&leaves));
        }

        env = open_store(path, 0);
        reader = open_reader(env);
        renew_reader(reader);

        for (i = 0; i < 40; i++) {
            check_mixed(reader, refused);
        }

        exports_reader_close(reader);
        exports_env_close(env);

        for (i = 0; i < n; i++) {
            write_leaf(&leaves, fd, changed[i], changed[i]);
        }
    }

    (void) close(fd);
    free(leaves.file);
    free(leaves.numbers);

    checked("a leaf in the place of another: no item that was not asked for");
    ok(refused[0] > 0 && refused[1] > 0, "refused %lu times, and %lu by type or"
       " subject", refused[0], refused[1]);
}


/* a writer's reader sees the writer's own changes, between them */

static void
inside_writer(void)
{
    size_t             s;
    query_t            query;
    unsigned           i, n;
    scope_t           *scope;
    exports_env_t     *env;
    exports_rc_t       rc;
    exports_scope_t    found;
    exports_reader_t  *reader;
    exports_writer_t  *w;

    env = new_store(in_dir("inside"));
    forget();
    fill(env);

    w = begin_writer(env);
    reader = exports_writer_reader(w);

    for (s = 0; s < NSCOPES; s++) {
        scope = &scopes[s];
        rc = exports_read_scope(reader, scope->kind, scope->name,
                                strlen(scope->name), &found);
        check(rc == EXPORTS_OK, "scope %s: %s", scope->name, rc_name(rc));
        scope->id = found.id;
    }

    for (n = 0; n < rounds(60, 30); n++) {

        for (s = 0; s < NSCOPES; s++) {
            for (i = below(scopes[s].target / 20 + 1); i > 0; i--) {
                random_change(w, &scopes[s]);
            }

            sort_scope(&scopes[s]);
        }

        for (i = 0; i < 10; i++) {
            random_query(&query);
            check_query(reader, &query);
        }
    }

    checked("pages of a writer's own reader, between its changes");

    check_sound(reader);
    commit_writer(w);

    reader = open_reader(env);
    renew_reader(reader);

    for (i = 0; i < 100; i++) {
        random_query(&query);
        check_query(reader, &query);
    }

    check_sound(reader);
    checked("and after the commit");

    exports_reader_close(reader);
    exports_env_close(env);
}


int
main(void)
{
    random_seed();

    property();
    switching();
    mixed();
    inside_writer();

    return done_testing();
}
