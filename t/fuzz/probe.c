
/* the checks of a store's file before LMDB is let near it: see base.h */

#include <unistd.h>

#include "base.h"
#include "exports_mdb_layout.h"
#include "exports_private.h"


static void check_probe(size_t length);
static int read_meta(meta_page_t *meta, uint32_t at);
static int model_page(const meta_page_t *meta, unsigned n, uint32_t page_size);
static int model_roots(const meta_page_t *meta);
static void check_short(uint64_t txnid, size_t length);


static char    file[96];
static size_t  file_size;


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    char  dir[64];

    (void) argc;
    (void) argv;

    base_make(dir, &file_size);
    (void) snprintf(file, sizeof(file), "%s/" EXPORTS_DATA_FILE, dir);

    must(base_change((const uint8_t *) "", 0) == file_size
         && exports_probe(file, NULL) == EXPORTS_OK, "refused as it is");

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t    length;
    uint64_t  txnid;

    length = base_change(data, size);

    check_probe(length);

    for (txnid = 0; txnid < 8; txnid++) {
        check_short(txnid, length);
    }

    return 0;
}


static void
check_probe(size_t length)
{
    exports_rc_t        rc, want;
    meta_page_t         meta[2];
    uint32_t            page_size;
    exports_error_t     error;
    const meta_page_t  *newest;

    rc = exports_probe(file, &error);

    want = length == 0 ? EXPORTS_MISSING : EXPORTS_FORMAT;

    if (read_meta(&meta[0], 0)) {
        page_size = meta[0].trees[0].pad;

        if (model_page(&meta[0], 0, page_size)
            && read_meta(&meta[1], page_size)
            && model_page(&meta[1], 1, page_size))
        {
            newest = meta[1].txnid > meta[0].txnid ? &meta[1] : &meta[0];

            if (model_roots(newest)) {
                want = length / page_size <= newest->last_page
                           ? EXPORTS_CORRUPT : EXPORTS_OK;
            }
        }
    }

    must(rc == want, "%d, not %d: %s", rc, want,
         rc == EXPORTS_OK ? "" : error.text);
    must(rc == EXPORTS_OK || strstr(error.text, file) != NULL, "%s",
         error.text);
}


static int
read_meta(meta_page_t *meta, uint32_t at)
{
    return pread(base_fd(), meta, sizeof(meta_page_t), (off_t) at)
           == (ssize_t) sizeof(meta_page_t);
}


static int
model_page(const meta_page_t *meta, unsigned n, uint32_t page_size)
{
    return meta->pgno == n && (meta->flags & 0x08) != 0
           && meta->magic == 0xbeefc0de && meta->version == 1
           && meta->trees[0].pad == page_size
           && page_size >= 512 && page_size <= 65536
           && __builtin_popcount(page_size) == 1 && meta->last_page >= 1;
}


static int
model_roots(const meta_page_t *meta)
{
    unsigned  i;

    for (i = 0; i < 2; i++) {
        if (meta->trees[i].root != UINT64_MAX
            && (meta->trees[i].root < 2
                || meta->trees[i].root > meta->last_page))
        {
            return 0;
        }
    }

    return 1;
}


static void
check_short(uint64_t txnid, size_t length)
{
    uint64_t      have, need;
    exports_rc_t  rc;

    have = 0;
    need = 0;

    rc = exports_probe_short(base_fd(), txnid, &have, &need);

    must(rc == EXPORTS_OK || rc == EXPORTS_CORRUPT || rc == EXPORTS_STALE,
         "%d", rc);

    if (rc == EXPORTS_STALE) {
        return;
    }

    must(have <= length, "%llu of %zu", (unsigned long long) have, length);

    /* no more can be missing than a list in what is left can name */

    if (rc == EXPORTS_OK && need > have) {
        must((need - have) / PAGE_SIZE_MAX <= length,
             "%llu bytes are missing of %zu",
             (unsigned long long) (need - have), length);
    }
}
