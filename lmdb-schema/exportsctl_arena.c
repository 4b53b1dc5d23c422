
/*
 * Memory for jansson.  Where it gets none it may print an object without a key,
 * or refuse what is sound JSON as any other, or fail an assertion: so that is
 * the end of the program.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "exportsctl.h"


/* of a line of 400 bytes jansson makes some 60 pieces, 4 KB in all */
#define ARENA_SIZE  32768


typedef struct {
    int          active;
    size_t       used;
    max_align_t  bytes[ARENA_SIZE / sizeof(max_align_t)];
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
    void    *p;
    size_t   n;

    if (!arena.active || size > ARENA_SIZE - arena.used) {
        p = malloc(size);

        if (p == NULL) {
            ctl_no_memory();
        }

        return p;
    }

    n = arena.used / sizeof(max_align_t);

    arena.used += (size + sizeof(max_align_t) - 1)
                  & ~(sizeof(max_align_t) - 1);

    return arena.bytes + n;
}


static void
release(void *p)
{
    if ((uintptr_t) p - (uintptr_t) arena.bytes >= ARENA_SIZE) {
        free(p);
    }
}
