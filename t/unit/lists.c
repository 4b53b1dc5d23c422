
/*
 * Opening of lists, many at once against one by one: exports_list.c.  Also in
 * damaged trees: what one by one finds must not be missed without an error.
 */

#include "fixture.h"

#include "exports_list.h"
#include "exports_mdb_layout.h"


#define NTYPES     40
#define NSTATUSES  5
#define NKEYS      4096
#define NPAGES     512

/* entries of a list: one, some in its leaf, or a tree of its own */
typedef enum {
    SHORT = 0,
    LONG,
    TREE,
    MIXED,
    NLAYOUTS
} layout_t;

typedef struct {
    unsigned         n;
    exports_facet_t  keys[EXPORTS_LISTS_MAX];
} query_t;

typedef struct {
    size_t           size;
    unsigned         n;
    uint64_t         numbers[NPAGES];
    uint8_t          bytes[NPAGES][PAGE_SIZE_MAX];
} leaves_t;


static exports_list_t  lists[EXPORTS_LISTS_MAX];
static leaves_t        leaves;
static unsigned long   refused, empty;


static void
random_key(exports_facet_t *key, unsigned facet)
{
    char               name[16];
    uint64_t           scope;
    exports_facets_t   values;

    static const uint8_t  statuses[NSTATUSES] = { 1, 3, 4, 5, 6 };

    memset(&values, 0, sizeof(values));
    scope = 1 + below(2);
    values.status = statuses[below(NSTATUSES)];
    values.subject_id = below(6);

    (void) snprintf(name, sizeof(name), "type%u", below(NTYPES));
    must(exports_hash(values.type, name, strlen(name)) == 0, "SHA-256");

    exports_facet_key(key, scope, facet, &values);
}


static void
put_list(MDB_txn *txn, MDB_dbi dbi, const exports_facet_t *key,
    layout_t layout)
{
    uint8_t   entry[EXPORTS_ENTRY_LEN];
    unsigned  n;

    if (layout == MIXED) {
        layout = (layout_t) below(MIXED);
    }

    n = layout == SHORT ? 1 : layout == LONG ? 50 + below(40) : 150;

    for ( /* void */ ; n > 0; n--) {
        random_bytes(entry, sizeof(entry));
        raw_put(txn, dbi, key->bytes, key->len, entry, sizeof(entry));
    }
}


/* of "percent" of the lists that there may be */

static void
fill(exports_env_t *env, layout_t layout, unsigned percent)
{
    unsigned         i;
    MDB_txn         *txn;
    exports_facet_t  key;

    txn = raw_begin(env);

    for (i = 0; i < 4 * percent; i++) {
        random_key(&key, below(EXPORTS_FACET_MASK + 1) & below(16));
        put_list(txn, env->dbi[DB_FACETS], &key, layout);
    }

    raw_commit(txn);
}


static int
compare_keys(const void *a, const void *b)
{
    const exports_facet_t  *x = a, *y = b;

    return memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);
}


/* different lists of one facet, in order mostly */

static void
random_query(query_t *query)
{
    unsigned         i, n, facet;
    exports_facet_t  key;

    n = chance(50) ? 1 + below(6) : 1 + below(EXPORTS_LISTS_MAX);
    facet = chance(60) ? EXPORTS_FACET_STATUS|EXPORTS_FACET_TYPE
                       : below(EXPORTS_FACET_MASK + 1);
    query->n = 0;

    while (n-- > 0) {
        random_key(&key, facet);

        for (i = 0; i < query->n; i++) {
            if (compare_keys(&query->keys[i], &key) == 0) {
                break;
            }
        }

        if (i == query->n) {
            query->keys[query->n++] = key;
        }
    }

    if (chance(90)) {
        qsort(query->keys, query->n, sizeof(exports_facet_t), compare_keys);
    }
}


/* sound: it must not be refused */

static void
check_query(exports_reader_t *reader, const query_t *query, int sound)
{
    unsigned        i;
    exports_rc_t    rc, one;
    exports_list_t  list;

    memset(lists, 0xee, sizeof(lists));

    rc = exports_lists_open(lists, reader, query->keys, query->n);

    check(rc == EXPORTS_OK || (rc == EXPORTS_CORRUPT && !sound),
          "%u lists: %s", query->n, rc_name(rc));

    if (rc != EXPORTS_OK) {
        refused++;
        return;
    }

    for (i = 0; i < query->n; i++) {
        check(lists[i].key == &query->keys[i] && lists[i].left == 0,
              "list %u of %u: opened", i, query->n);

        empty += lists[i].count == 0;
    }

    /* each by a cursor of its own, which is where it was left */

    for (i = 0; i < query->n && sound; i++) {
        if (lists[i].count > 0) {
            check(exports_list_last(&lists[i]) == EXPORTS_OK
                  && lists[i].older + lists[i].size == lists[i].count,
                  "list %u of %u: its end", i, query->n);
        }
    }

    /* alone, by the cursor of the first one */

    for (i = 0; i < query->n; i++) {
        one = exports_lists_open(&list, reader, &query->keys[i], 1);

        /* of two that the damage made the same either will do */

        check(one == EXPORTS_OK
              && (sound ? lists[i].count == list.count
                        : lists[i].count > 0 || list.count == 0),
              "list %u of %u of facet %u: %s, %" PRIu64 " entries, not %"
              PRIu64, i, query->n, query->keys[i].bytes[8], rc_name(one),
              lists[i].count, list.count);
    }
}


static void
check_queries(exports_env_t *env, unsigned n, int sound)
{
    query_t            query;
    exports_reader_t  *reader;

    reader = open_reader(env);

    while (n-- > 0) {
        renew_reader(reader);
        random_query(&query);
        check_query(reader, &query, sound);
        exports_reader_reset(reader);
    }

    exports_reader_close(reader);
}


static void
property(void)
{
    unsigned        i, k, percent;
    exports_env_t  *env;

    for (i = 0; i < NLAYOUTS; i++) {
        for (k = 0; k < rounds(8, 2); k++) {
            percent = k == 0 ? 0 : 1 + below(100);

            env = new_store(in_dir("property-%u-%u", i, k));
            fill(env, (layout_t) i, percent);
            check_queries(env, 200, 1);
            exports_env_close(env);
        }
    }

    checked("lists at once as one by one, %lu of them empty", empty);
    ok(empty > 0, "some are");
}


/* the leaves that have the keys of facets */

static void
load_leaves(exports_env_t *env)
{
    MDB_val         k;
    MDB_txn        *txn;
    MDB_stat        st;
    MDB_cursor     *cursor;
    page_header_t   header;
    const uint8_t  *page;

    must(mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn) == 0
         && mdb_stat(txn, env->dbi[DB_FACETS], &st) == 0
         && mdb_cursor_open(txn, env->dbi[DB_FACETS], &cursor) == 0,
         "reading");

    leaves.size = st.ms_psize;
    leaves.n = 0;

    while (mdb_cursor_get(cursor, &k, NULL, MDB_NEXT_NODUP) == 0) {
        page = (const uint8_t *) ((uintptr_t) k.mv_data
                                  & ~((uintptr_t) leaves.size - 1));
        memcpy(&header, page, PAGE_HEADER);

        if (leaves.n == 0 || leaves.numbers[leaves.n - 1] != header.pgno) {
            must(leaves.n < NPAGES, "too many leaves");
            leaves.numbers[leaves.n] = header.pgno;
            memcpy(leaves.bytes[leaves.n++], page, leaves.size);
        }
    }

    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
}


static void
write_leaf(int fd, unsigned n, const uint8_t *bytes)
{
    must(pwrite(fd, bytes, leaves.size,
                (off_t) (leaves.numbers[n] * leaves.size))
         == (ssize_t) leaves.size, "writing: %s", strerror(errno));
}


/* another leaf in its place, an older one of fewer keys, or a key that is not
   what it was */

static void
damage_leaf(int fd, unsigned n)
{
    uint8_t         bytes[PAGE_SIZE_MAX];
    uint16_t        place, len;
    node_header_t   node;
    page_header_t   header;

    memcpy(bytes, leaves.bytes[n], leaves.size);
    memcpy(&header, bytes, PAGE_HEADER);

    if (chance(40)) {
        memcpy(bytes, leaves.bytes[below(leaves.n)], leaves.size);

    } else if (chance(20) && header.lower > PAGE_HEADER + 2) {
        header.lower = (uint16_t) (header.lower - 2);
        memcpy(bytes, &header, PAGE_HEADER);

    } else {
        memcpy(&place,
               bytes + PAGE_HEADER
               + (size_t) 2 * below((header.lower - PAGE_HEADER) / 2U), 2);
        memcpy(&node, bytes + place, NODE_HEADER);

        /* mostly in what makes the order of lists that are near */

        len = node.key_len > 12 && chance(70) ? 12 : node.key_len;
        bytes[place + NODE_HEADER + (len == 12 ? 9 + below(3) : below(len))]
            ^= (uint8_t) (1 + below(255));
    }

    write_leaf(fd, n, bytes);
}


static void
damage(void)
{
    int             fd;
    char            path[4300], file[4400];
    unsigned        i, k, n;
    exports_env_t  *env;

    for (i = 0; i < NLAYOUTS; i++) {
        (void) snprintf(path, sizeof(path), "%s", in_dir("damage-%u", i));
        (void) snprintf(file, sizeof(file), "%s/" EXPORTS_DATA_FILE, path);

        env = new_store(path);
        fill(env, (layout_t) i, 40);
        load_leaves(env);
        exports_env_close(env);

        fd = open(file, O_WRONLY);
        must(fd != -1, "opening: %s", strerror(errno));

        for (k = 0; k < rounds(150, 20); k++) {
            n = below(leaves.n);
            damage_leaf(fd, n);

            env = open_store(path, 0);
            check_queries(env, 40, 0);
            exports_env_close(env);

            write_leaf(fd, n, leaves.bytes[n]);
        }

        (void) close(fd);
    }

    checked("damaged leaves: none is missed that one by one is found");
    ok(refused > 0, "%lu times refused", refused);
}


int
main(void)
{
    random_seed();

    property();
    damage();

    return done_testing();
}
