
/*
 * The manifests of a file come in the order of time, those of one scope far
 * from each other.  In the store they are neighbours: if they are put one after
 * the other, they fill the same pages, which then lie side by side.  So some
 * are held back, to be put in the order of their keys.  Those that come in that
 * order anyway are not, which saves copying them.
 */

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "exportsctl.h"


/* some more than are parsed ahead: exportsctl_parser.c */
#define HELD_MAX   20000
#define HELD_SIZE  ((size_t) 32 << 20)

/* a power of two */
#define SLOTS      65536


struct ctl_held_s {
    size_t               n;
    size_t               used;
    int                  passed;            /* "last" is set */
    ctl_parsed_t         last;              /* that was not held back; without
                                               its record */
    const ctl_parsed_t  *lines[HELD_MAX];
    uint32_t             slots[HELD_MAX];   /* where in "ids" each line is */
    uint64_t             ids[SLOTS];        /* a table of hashes; 0: free */
    _Alignas(max_align_t)
    char                 buf[HELD_SIZE];
};


static int claim_id(ctl_held_t *held, const exports_manifest_t *manifest);
static int compare(const void *a, const void *b);


ctl_held_t *
ctl_held_make(void)
{
    ctl_held_t  *held;

    /* calloc(): pages that are never used take no memory */

    held = calloc(1, sizeof(ctl_held_t));

    if (held == NULL) {
        (void) ctl_error("out of memory");
        return NULL;
    }

    return held;
}


void
ctl_held_free(ctl_held_t *held)
{
    free(held);
}


int
ctl_held_pass(ctl_held_t *held, const ctl_parsed_t *parsed)
{
    const ctl_parsed_t  *last;

    last = &held->last;

    if (held->n > 0 || (held->passed && compare(&last, &parsed) > 0)) {
        return 0;
    }

    held->passed = 1;
    memcpy(&held->last, parsed,
           offsetof(ctl_parsed_t, line.manifest.record));

    return 1;
}


int
ctl_held_add(ctl_held_t *held, const ctl_parsed_t *parsed)
{
    ctl_parsed_t  *line;

    if (held->n == HELD_MAX || sizeof(held->buf) - held->used < parsed->size
        || !claim_id(held, &parsed->line.manifest))
    {
        return 0;
    }

    line = (ctl_parsed_t *) (held->buf + held->used);
    memcpy(line, parsed, parsed->size);

    held->used += parsed->size;
    held->lines[held->n++] = line;

    return 1;
}


size_t
ctl_held_take(ctl_held_t *held, const ctl_parsed_t ***lines)
{
    size_t  i, n;

    n = held->n;

    qsort(held->lines, n, sizeof(void *), compare);

    for (i = 0; i < n; i++) {
        held->ids[held->slots[i]] = 0;
    }

    held->n = 0;
    held->used = 0;

    *lines = held->lines;

    return n;
}


/* 0: the ID is held already.  Different IDs with one hash do no harm. */

static int
claim_id(ctl_held_t *held, const exports_manifest_t *manifest)
{
    size_t    slot;
    uint64_t  hash;

    hash = XXH3_64bits(manifest->id, manifest->id_len);

    if (manifest->kind == EXPORTS_PROJECT) {
        hash = XXH3_64bits_withSeed(manifest->scope, manifest->scope_len, hash);
    }

    hash |= 1;

    for (slot = hash / 2 % SLOTS; held->ids[slot] != 0;
         slot = (slot + 1) % SLOTS)
    {
        if (held->ids[slot] == hash) {
            return 0;
        }
    }

    held->ids[slot] = hash;
    held->slots[held->n] = (uint32_t) slot;

    return 1;
}


/* the order of keys in the store, but for the order of scopes, which does not
   matter */

static int
compare(const void *a, const void *b)
{
    int                        order;
    const ctl_parsed_t        *x, *y;
    const exports_manifest_t  *m, *n;

    x = *(const ctl_parsed_t *const *) a;
    y = *(const ctl_parsed_t *const *) b;
    m = &x->line.manifest;
    n = &y->line.manifest;

    if (m->kind != n->kind) {
        return m->kind < n->kind ? -1 : 1;
    }

    if (m->scope_len != n->scope_len) {
        return m->scope_len < n->scope_len ? -1 : 1;
    }

    order = memcmp(m->scope, n->scope, m->scope_len);

    if (order != 0) {
        return order;
    }

    if (m->created != n->created) {
        return m->created < n->created ? -1 : 1;
    }

    if (m->tie != n->tie) {
        return m->tie < n->tie ? -1 : 1;
    }

    return (x->number > y->number) - (x->number < y->number);
}
