
/* checks the pages of all databases, before LMDB reads them */

#include <stdlib.h>

#include "exports_tree_check.h"
#include "exports_verify_private.h"


typedef struct {
    exports_check_t  *check;
    exports_db_t      db;
} place_t;


static exports_rc_t check_all(exports_check_t *c, exports_reader_t *reader);
static exports_rc_t page_fault(void *data, uint64_t pgno, const char *text);


exports_rc_t
exports_verify_pages(exports_check_t *c)
{
    exports_rc_t       rc;
    exports_reader_t  *reader;

    if (!c->repair) {
        rc = check_all(c, c->reader);

        /* only a repair depends on the pages having been checked */

        return rc == EXPORTS_NOT_FOUND ? EXPORTS_OK : rc;
    }

    /* the pages that a writer has written are not in the map; all others are as
       they were committed */

    rc = exports_reader_open(&reader, c->reader->env, NULL);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = exports_reader_renew(reader);

    if (rc == EXPORTS_OK) {
        rc = check_all(c, reader);
        exports_reader_reset(reader);
    }

    exports_reader_close(reader);

    return rc;
}


static exports_rc_t
check_all(exports_check_t *c, exports_reader_t *reader)
{
    place_t             place;
    exports_rc_t        rc;
    exports_page_set_t  seen;

    rc = EXPORTS_OK;
    seen.words = NULL;
    seen.n = 0;
    place.check = c;

    for (place.db = DB_META;
         place.db <= DB_RANKS && rc == EXPORTS_OK;
         place.db++)
    {
        rc = exports_tree_check(reader, place.db, &seen, page_fault, &place);
    }

    free(seen.words);

    return rc;
}


static exports_rc_t
page_fault(void *data, uint64_t pgno, const char *text)
{
    place_t  *place = data;

    place->check->trees_damaged = 1;

    return exports_verify_report(place->check, FIX_NONE, NULL, 0, NULL,
                                 "%s: page %llu %s",
                                 exports_db_names[place->db],
                                 (unsigned long long) pgno, text);
}
