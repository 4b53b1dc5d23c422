
/*
 * Memory for jansson.  Without memory jansson may print an object that lacks a
 * key, refuse sound JSON as it refuses any other, or fail an assertion: so the
 * program ends instead.  While a line is parsed, its memory is a thread's own
 * arena, which takes no lock, and is freed at once.
 */

#include <stdint.h>
#include <stdlib.h>

#include "exportsctl.h"


/* for a line of 400 bytes jansson allocates some 60 pieces, 4 KB in all */
#define ARENA_SIZE  32768


typedef struct {
    int            active;
    size_t         used;
    _Alignas(max_align_t)
    unsigned char  bytes[ARENA_SIZE];
} arena_t;


static void *allocate(size_t size);
static void release(void *p);


static _Thread_local arena_t  arena;


void
ctl_arena_init(void)
{
    json_set_alloc_funcs(allocate, release);
}


void
ctl_arena_begin(void)
{
    arena.active = 1;
    arena.used = 0;
}


void
ctl_arena_end(void)
{
    arena.active = 0;
}


static void *
allocate(size_t size)
{
    void  *p;

    if (!arena.active || size > ARENA_SIZE - arena.used) {
        p = malloc(size);

        if (p == NULL) {
            ctl_no_memory();
        }

        return p;
    }

    p = arena.bytes + arena.used;
    arena.used += CTL_ALIGNED(size);

    return p;
}


/* what is outside the arena, below or above it, came from malloc() */

static void
release(void *p)
{
    if ((uintptr_t) p - (uintptr_t) arena.bytes >= ARENA_SIZE) {
        free(p);
    }
}
