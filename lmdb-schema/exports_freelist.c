
/* LMDB's free list, read from the file: which pages may be missing from it */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exports_mdb_layout.h"
#include "exports_private.h"


/* a tree whose values are lists of page numbers */

typedef struct {
    int       fd;
    uint32_t  page_size;
    uint64_t  end;                      /* pages that the file has */
    uint64_t  budget;                   /* pages that may still be read: those
                                           of a damaged tree might not end */
    uint64_t  beyond;                   /* free pages that the file lacks */
} free_list_t;


static exports_rc_t read_meta(int fd, uint64_t txnid, meta_page_t *meta);
static exports_rc_t read_tree(free_list_t *list, uint64_t pgno,
    unsigned depth);
static exports_rc_t read_node(free_list_t *list, const uint8_t *page,
    uint32_t at, int is_leaf, unsigned depth);
static exports_rc_t read_overflow(free_list_t *list, uint64_t pgno,
    uint64_t len);
static exports_rc_t read_at(int fd, void *buf, size_t len, uint64_t offset);
static void count_numbers(free_list_t *list, const uint8_t *p, size_t len);


exports_rc_t
exports_probe_short(int fd, uint64_t txnid, uint64_t *have, uint64_t *need)
{
    free_list_t   list;
    meta_page_t   meta;
    struct stat   st;
    exports_rc_t  rc;

    rc = read_meta(fd, txnid, &meta);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (fstat(fd, &st) == -1) {
        return EXPORTS_FAILED;
    }

    list.fd = fd;
    list.page_size = meta.trees[0].pad;
    list.end = (uint64_t) st.st_size / list.page_size;
    list.budget = list.end;
    list.beyond = 0;

    *have = list.end * list.page_size;
    *need = (meta.last_page + 1) * list.page_size;

    if (list.end > meta.last_page) {
        return EXPORTS_OK;
    }

    rc = meta.trees[0].root != NO_PAGE
             ? read_tree(&list, meta.trees[0].root, 0) : EXPORTS_OK;

    return rc == EXPORTS_OK && list.beyond != meta.last_page + 1 - list.end
               ? EXPORTS_CORRUPT : rc;
}


/* the meta page of a commit; the second commit after that overwrites it */

static exports_rc_t
read_meta(int fd, uint64_t txnid, meta_page_t *meta)
{
    exports_rc_t  rc;

    rc = read_at(fd, meta, sizeof(meta_page_t), 0);

    if (rc == EXPORTS_OK && meta->txnid != txnid) {
        rc = read_at(fd, meta, sizeof(meta_page_t), meta->trees[0].pad);
    }

    if (rc == EXPORTS_FAILED) {
        return rc;
    }

    return rc == EXPORTS_OK && meta->txnid == txnid
           && meta->magic == META_MAGIC
           && meta->trees[0].pad >= PAGE_SIZE_MIN
           && meta->trees[0].pad <= PAGE_SIZE_MAX
               ? EXPORTS_OK : EXPORTS_STALE;
}


static exports_rc_t
read_tree(free_list_t *list, uint64_t pgno, unsigned depth)
{
    uint8_t        *page;
    uint16_t        at;
    unsigned        i, n;
    exports_rc_t    rc;
    page_header_t   header;

    if (pgno < 2 || pgno >= list->end || depth > DEPTH_MAX
        || list->budget-- == 0)
    {
        return EXPORTS_CORRUPT;
    }

    page = malloc(list->page_size);
    if (page == NULL) {
        return EXPORTS_NOMEM;
    }

    rc = read_at(list->fd, page, list->page_size, pgno * list->page_size);

    if (rc != EXPORTS_OK) {
        free(page);
        return rc;
    }

    memcpy(&header, page, PAGE_HEADER);

    if (header.pgno != pgno
        || (header.flags & (BRANCH_FLAG|LEAF_FLAG)) == 0
        || header.lower < PAGE_HEADER || header.lower > list->page_size)
    {
        free(page);
        return EXPORTS_CORRUPT;
    }

    n = (header.lower - PAGE_HEADER) / 2U;

    for (i = 0; i < n && rc == EXPORTS_OK; i++) {
        memcpy(&at, page + PAGE_HEADER + 2 * i, 2);
        rc = read_node(list, page, at, header.flags & LEAF_FLAG, depth);
    }

    free(page);

    return rc;
}


static exports_rc_t
read_node(free_list_t *list, const uint8_t *page, uint32_t at, int is_leaf,
    unsigned depth)
{
    uint64_t        len, pgno;
    node_header_t   node;

    if (at + NODE_HEADER > list->page_size) {
        return EXPORTS_CORRUPT;
    }

    memcpy(&node, page + at, NODE_HEADER);
    len = node_value_len(&node);

    if (!is_leaf) {
        return read_tree(list, len | (uint64_t) node.flags << 32, depth + 1);
    }

    at += NODE_HEADER + node.key_len;

    if (at + sizeof(pgno) > list->page_size) {
        return EXPORTS_CORRUPT;
    }

    if (node.flags & OVERFLOW_FLAG) {
        memcpy(&pgno, page + at, sizeof(pgno));
        return read_overflow(list, pgno, len);
    }

    if (at + len > list->page_size) {
        return EXPORTS_CORRUPT;
    }

    count_numbers(list, page + at, len);

    return EXPORTS_OK;
}


static exports_rc_t
read_overflow(free_list_t *list, uint64_t pgno, uint64_t len)
{
    uint8_t       *numbers;
    uint64_t       pages;
    exports_rc_t   rc;

    pages = (PAGE_HEADER + len + list->page_size - 1) / list->page_size;

    /* nodes of a sound list share no pages, those of a damaged one may */

    if (pgno < 2 || pgno >= list->end || pages > list->end - pgno
        || pages > list->budget)
    {
        return EXPORTS_CORRUPT;
    }

    list->budget -= pages;

    numbers = malloc(len);
    if (numbers == NULL) {
        return EXPORTS_NOMEM;
    }

    rc = read_at(list->fd, numbers, len,
                 pgno * list->page_size + PAGE_HEADER);

    if (rc == EXPORTS_OK) {
        count_numbers(list, numbers, len);
    }

    free(numbers);

    return rc;
}


/* EXPORTS_CORRUPT: the file ends before */

static exports_rc_t
read_at(int fd, void *buf, size_t len, uint64_t offset)
{
    ssize_t  n;

    n = pread(fd, buf, len, (off_t) offset);

    return n == (ssize_t) len ? EXPORTS_OK
           : n == -1 ? EXPORTS_FAILED : EXPORTS_CORRUPT;
}


/* the first number is how many follow */

static void
count_numbers(free_list_t *list, const uint8_t *p, size_t len)
{
    size_t    i;
    uint64_t  n, number;

    if (len < sizeof(uint64_t)) {
        return;
    }

    memcpy(&n, p, sizeof(uint64_t));

    for (i = 1; i <= n && (i + 1) * sizeof(uint64_t) <= len; i++) {
        memcpy(&number, p + i * sizeof(uint64_t), sizeof(uint64_t));
        list->beyond += (number >= list->end);
    }
}
