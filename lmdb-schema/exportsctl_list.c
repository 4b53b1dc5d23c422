
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exports_page.h"
#include "exports_time.h"
#include "exportsctl.h"


#define PAGE_ITEMS  500

#define TABLE_ROW   "%-36s  %-10s  %-27s  %s"


static int list_pages(ctl_store_t *store, const ctl_args_t *args,
    const exports_scope_t *scope, exports_page_t *page);
static int list_item(exports_reader_t *reader, const ctl_args_t *args,
    uint64_t scope, const exports_item_t *item);
static int print_row(const exports_record_t *record, uint64_t created);
static int list_error(const exports_page_t *page, exports_rc_t rc);


int
ctl_list(const ctl_args_t *args)
{
    int              rc;
    ctl_store_t      store;
    exports_page_t  *page;
    exports_scope_t  scope;

    page = malloc(sizeof(exports_page_t));
    if (page == NULL) {
        return ctl_error("out of memory");
    }

    rc = ctl_store_read(&store, args);

    if (rc == CTL_OK) {
        rc = ctl_scope_find(store.reader, args, &scope);
    }

    if (rc == CTL_OK) {
        rc = list_pages(&store, args, &scope, page);
    }

    ctl_store_close(&store);
    free(page);

    return rc;
}


static int
list_pages(ctl_store_t *store, const ctl_args_t *args,
    const exports_scope_t *scope, exports_page_t *page)
{
    unsigned              i;
    uint64_t              left;
    exports_rc_t          rc;
    exports_facet_t       list;
    exports_facets_t      values;
    exports_page_query_t  query;

    values.status = (uint8_t) args->status;
    exports_facet_key(&list, scope->id,
                      args->status != 0 ? EXPORTS_FACET_STATUS
                                        : EXPORTS_FACET_ALL,
                      &values);

    query.scope = scope->id;
    query.kind = args->kind;
    query.lists = &list;
    query.nlists = 1;
    query.offset = 0;
    query.counts = scope->counts;

    if (!args->json) {
        (void) printf(TABLE_ROW "\n", "ID", "STATUS", "CREATED", "NAME");
    }

    left = args->limit != 0 ? args->limit : UINT64_MAX;

    do {
        query.limit = left < PAGE_ITEMS ? (unsigned) left : PAGE_ITEMS;

        rc = exports_page_read(store->reader, &query, page);
        if (rc != EXPORTS_OK) {
            return list_error(page, rc);
        }

        for (i = 0; i < page->nitems; i++) {
            if (list_item(store->reader, args, scope->id, &page->items[i])
                != CTL_OK)
            {
                return CTL_FAILED;
            }
        }

        query.offset += page->nitems;
        left -= page->nitems;

    } while (page->nitems == query.limit && left > 0);

    return CTL_OK;
}


static int
list_item(exports_reader_t *reader, const ctl_args_t *args, uint64_t scope,
    const exports_item_t *item)
{
    uint8_t            key[EXPORTS_MANIFEST_KEY_LEN];
    exports_rc_t       rc;
    exports_record_t   record;

    rc = exports_read_manifest(reader, args->kind, scope, item->id.data,
                               item->id.len, key, &record);

    if (rc != EXPORTS_OK) {
        return ctl_error("%.*s: %s", (int) item->id.len, item->id.data,
                         exports_strerror(rc == EXPORTS_NOT_FOUND
                                          ? EXPORTS_CORRUPT : rc));
    }

    return args->json ? ctl_print_manifest(args, &record)
                      : print_row(&record,
                                  exports_get64(key + EXPORTS_ENTRY_POS));
}


static int
print_row(const exports_record_t *record, uint64_t created)
{
    char  id[EXPORTS_ID_MAX + 1], time[EXPORTS_TIME_TEXT_MAX + 1];
    char  name[4 * EXPORTS_STRING_MAX + 1], row[sizeof(name) + 256];

    (void) ctl_printable(id, sizeof(id), record->item.id.data,
                         record->item.id.len);
    (void) ctl_printable(name, sizeof(name), record->name.data,
                         record->name.len);
    time[exports_time_format(time, created)] = '\0';

    (void) snprintf(row, sizeof(row), TABLE_ROW, id,
                    exports_status_name(record->item.status), time,
                    record->name.data != NULL ? name : "-");

    return ctl_print_line(row);
}


static int
list_error(const exports_page_t *page, exports_rc_t rc)
{
    char                  key[2 * EXPORTS_MANIFEST_KEY_LEN];
    static const uint8_t  none[EXPORTS_MANIFEST_KEY_LEN];

    if (rc != EXPORTS_CORRUPT) {
        return ctl_error("reading the list: %s", exports_strerror(rc));
    }

    if (memcmp(page->bad_key, none, EXPORTS_MANIFEST_KEY_LEN) == 0) {
        return ctl_error("the list is damaged: run \"exportsctl verify\"");
    }

    exports_hex(key, page->bad_key, EXPORTS_MANIFEST_KEY_LEN);

    return ctl_error("a record (key %.*s) is damaged, or not of the list: run "
                     "\"exportsctl verify\"", (int) sizeof(key), key);
}
