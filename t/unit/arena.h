
/*
 * arena.h: what the unit tests of trees share: stores with pages of any size,
 * and trees to be damaged.
 *
 * Those are copies in an arena, whose pages lie apart: behind each is memory
 * that nobody may read, as far as the machine's pages or a sanitizer can tell.
 */

#ifndef ARENA_H
#define ARENA_H

#include "fixture.h"

#include <sys/mman.h>

#include "exports_mdb_layout.h"

#if SANITIZED
#include <sanitizer/asan_interface.h>
#endif


/* of address space; few of its pages are in use */
#define ARENA_SIZE  ((size_t) 256 << 20)

/* where in a page header */
#define PAGE_PAD    8
#define PAGE_FLAGS  10
#define PAGE_UPPER  14


/* bytes of a page, and what was there before they were damaged */

typedef struct {
    uint8_t        *at;
    uint8_t         old[8];
    size_t          len;
} damage_t;


static uint8_t   *arena;
static uint64_t   arena_next;       /* page */
static uint8_t    arena_used[ARENA_SIZE / PAGE_SIZE_MIN];


static inline size_t
system_page(void)
{
    return (size_t) sysconf(_SC_PAGESIZE);
}


/* a data file without a database, as LMDB would make it for such a page size */

static inline void
empty_file(const char *dir, size_t page_size)
{
    int           fd;
    char          path[4300];
    unsigned      n;
    meta_page_t   meta;

    must(mkdir(dir, 0700) == 0, "mkdir: %s", strerror(errno));
    (void) snprintf(path, sizeof(path), "%s/" EXPORTS_DATA_FILE, dir);
    fd = open(path, O_RDWR|O_CREAT|O_EXCL, 0600);
    must(fd != -1, "open: %s", strerror(errno));

    for (n = 0; n < 2; n++) {
        memset(&meta, 0, sizeof(meta));
        meta.pgno = n;
        meta.flags = META_FLAG;
        meta.magic = META_MAGIC;
        meta.version = META_VERSION;
        meta.map_size = TEST_MAP_SIZE;
        meta.trees[0].pad = (uint32_t) page_size;
        meta.trees[0].flags = MDB_INTEGERKEY;
        meta.trees[0].root = NO_PAGE;
        meta.trees[1].root = NO_PAGE;
        meta.last_page = 1;

        must(pwrite(fd, &meta, sizeof(meta), (off_t) (n * page_size))
             == (ssize_t) sizeof(meta), "pwrite: %s", strerror(errno));
    }

    must(ftruncate(fd, (off_t) (2 * page_size)) == 0, "ftruncate");
    (void) close(fd);
}


static inline exports_env_t *
sized_store(const char *dir, size_t page_size)
{
    if (page_size != system_page()) {
        empty_file(dir, page_size);
    }

    return new_store(dir);
}


/* some pages, one behind the other, which stand alone in the arena */

static inline uint8_t *
place_pages(const uint8_t *from, unsigned n, size_t page_size, uint64_t *pgno)
{
    size_t    len;
    uint8_t  *to;

    *pgno = arena_next;
    memset(arena_used + *pgno, 1, n);
    arena_next += n + 1;

    to = arena + *pgno * page_size;
    len = n * page_size;
    must(arena_next * page_size <= ARENA_SIZE, "the arena is too small");

    if (page_size % system_page() == 0) {
        must(mprotect(to, len, PROT_READ|PROT_WRITE) == 0, "mprotect: %s",
             strerror(errno));
    }

#if SANITIZED
    ASAN_UNPOISON_MEMORY_REGION(to, len);
#endif

    memcpy(to, from, len);
    memcpy(to, pgno, sizeof(*pgno));

    return to;
}


static inline uint8_t *
node_of(uint8_t *at, unsigned i)
{
    uint16_t  pos;

    memcpy(&pos, at + PAGE_HEADER + i * sizeof(pos), sizeof(pos));

    return at + pos;
}


static inline unsigned
node_count(const uint8_t *at)
{
    page_header_t  header;

    memcpy(&header, at, sizeof(header));

    return (header.lower - PAGE_HEADER) / sizeof(uint16_t);
}


static inline uint64_t
node_child(const node_header_t *node)
{
    return node->low | (uint64_t) node->high << 16
           | (uint64_t) node->flags << 32;
}


static inline uint64_t copy_page(const exports_tree_t *tree, uint64_t pgno,
    unsigned height);


/* what a node of a leaf leads to: a value of several pages, or a tree */

static inline void
copy_below(const exports_tree_t *tree, uint8_t *node,
    const node_header_t *header)
{
    size_t     len;
    tree_t     record;
    uint8_t   *data;
    uint64_t   pgno, pages;

    data = node + NODE_HEADER + header->key_len;

    if (header->flags & SUBTREE_FLAG) {
        memcpy(&record, data, sizeof(record));
        record.root = copy_page(tree, record.root, record.depth);
        memcpy(data, &record, sizeof(record));

    } else if (header->flags & OVERFLOW_FLAG) {
        len = header->low | (size_t) header->high << 16;
        pages = (PAGE_HEADER + len + tree->page_size - 1) / tree->page_size;
        memcpy(&pgno, data, sizeof(pgno));
        (void) place_pages(tree->map + pgno * tree->page_size,
                           (unsigned) pages, tree->page_size, &pgno);
        memcpy(data, &pgno, sizeof(pgno));
    }
}


static inline uint64_t
copy_page(const exports_tree_t *tree, uint64_t pgno, unsigned height)
{
    uint8_t         *to, *node;
    uint64_t         new, child;
    unsigned         i;
    page_header_t    page;
    node_header_t    header;

    to = place_pages(tree->map + pgno * tree->page_size, 1, tree->page_size,
                     &new);
    memcpy(&page, to, sizeof(page));

    if (page.flags & LEAF2_FLAG) {
        return new;
    }

    for (i = 0; i < node_count(to); i++) {
        node = node_of(to, i);
        memcpy(&header, node, sizeof(header));

        if (height > 1) {
            child = copy_page(tree, node_child(&header), height - 1);
            header.low = (uint16_t) child;
            header.high = (uint16_t) (child >> 16);
            header.flags = 0;
            memcpy(node, &header, sizeof(header));

        } else {
            copy_below(tree, node, &header);
        }
    }

    return new;
}


static inline void
copy_tree(exports_tree_t *copy, const exports_tree_t *tree)
{
    memset(copy, 0, sizeof(exports_tree_t));
    copy->page_size = tree->page_size;
    copy->key_len = tree->key_len;
    copy->height = tree->height;

    /* pages of any size lie at multiples of theirs */

    arena = mmap(NULL, ARENA_SIZE, tree->page_size % system_page() == 0
                                   ? PROT_NONE : PROT_READ|PROT_WRITE,
                 MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0);
    must(arena != MAP_FAILED, "mmap: %s", strerror(errno));

#if SANITIZED
    ASAN_POISON_MEMORY_REGION(arena, ARENA_SIZE);
#endif

    arena_next = 2;
    memset(arena_used, 0, sizeof(arena_used));
    copy->map = arena;
    copy->root = copy_page(tree, tree->root, tree->height);
    copy->pages = arena_next;
}


static inline void
drop_copy(void)
{
#if SANITIZED
    ASAN_UNPOISON_MEMORY_REGION(arena, ARENA_SIZE);
#endif

    must(munmap(arena, ARENA_SIZE) == 0, "munmap");
}


static inline void
damage_bytes(damage_t *damage, uint8_t *at, const void *bytes, size_t len)
{
    damage->at = at;
    damage->len = len;
    memcpy(damage->old, at, len);
    memcpy(at, bytes, len);
}


static inline void
damage16(damage_t *damage, uint8_t *at, unsigned value)
{
    uint16_t  v = (uint16_t) value;

    damage_bytes(damage, at, &v, sizeof(v));
}


/* the number of the page below a node of a branch */

static inline void
damage_below(damage_t *damage, uint8_t *node, uint64_t number)
{
    node_header_t  header;

    memcpy(&header, node, sizeof(header));
    header.low = (uint16_t) number;
    header.high = (uint16_t) (number >> 16);
    header.flags = (uint16_t) (number >> 32);
    damage_bytes(damage, node, &header, sizeof(header));
}


static inline void
repair(const damage_t *damage)
{
    memcpy(damage->at, damage->old, damage->len);
}


/* the page that a node leads to; NO_PAGE: to none */

static inline uint64_t
page_below(const exports_tree_t *tree, const uint8_t *at, size_t pos,
    int is_branch)
{
    uint64_t        pgno;
    node_header_t   node;

    memcpy(&node, at + pos, sizeof(node));

    if (is_branch) {
        return node_child(&node);
    }

    pos += NODE_HEADER + node.key_len;

    if (node.flags & SUBTREE_FLAG) {
        pos += offsetof(tree_t, root);

    } else if (node.flags != OVERFLOW_FLAG) {
        return NO_PAGE;
    }

    if (pos > tree->page_size - sizeof(pgno)) {
        return NO_PAGE;
    }

    memcpy(&pgno, at + pos, sizeof(pgno));

    return pgno;
}


/*
 * A page that is in no use could be read in a map, but not here, and what a
 * damaged one leads to is not known before it is damaged.
 */

static inline int
leads_nowhere(const exports_tree_t *tree, const uint8_t *at)
{
    size_t          pos;
    uint64_t        pgno;
    unsigned        i, n;
    uint16_t        ptr;
    page_header_t   page;

    memcpy(&page, at, sizeof(page));
    n = page.flags & LEAF2_FLAG ? 0 : node_count(at);

    for (i = 0; i < n; i++) {
        pos = PAGE_HEADER + i * sizeof(ptr);

        if (pos > tree->page_size - sizeof(ptr)) {
            return 0;
        }

        memcpy(&ptr, at + pos, sizeof(ptr));

        if (ptr > tree->page_size - NODE_HEADER) {
            continue;
        }

        pgno = page_below(tree, at, ptr, page.flags & BRANCH_FLAG);

        if (pgno < tree->pages && !arena_used[pgno]) {
            return 1;
        }
    }

    return 0;
}


/* what any field may be damaged to */

static inline unsigned
random_bound(const exports_tree_t *tree)
{
    static const unsigned  small[] = {
        0, 1, 2, 15, 16, 17, 18, 23, 24, 25, 0x7fff, 0xffff
    };

    switch (below(4)) {

    case 0:
        return small[below(sizeof(small) / sizeof(small[0]))];

    case 1:
        return (unsigned) tree->page_size + 4 - below(60);

    case 2:
        return below((unsigned) tree->page_size);

    default:
        return below(0x10000);
    }
}


/* the number of a page, of one in use or of none */

static inline uint64_t
random_number(const exports_tree_t *tree)
{
    uint64_t  number;

    switch (below(4)) {

    case 0:
        return rnd();

    case 1:
        return tree->pages + below(3);

    default:
        do {
            number = below((unsigned) tree->pages);
        } while (!arena_used[number]);

        return number;
    }
}


#endif /* ARENA_H */
