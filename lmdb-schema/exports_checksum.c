
/* checksums by XXH3: of whole values, and of the blocks in ranks */

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "exports_codec.h"


#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)

/*
 * libxxhash's function that chooses SSE2, AVX2 or AVX-512 at run time, if it
 * was built with it.  It is declared here, for its header cannot be included
 * together with the inline functions, which are faster for short keys.
 */

XXH64_hash_t XXH3_64bits_dispatch(const void *input, size_t len);


/*
 * That function leaves the upper halves of the vector registers in use.  The
 * SSE instructions by which compilers copy memory then wait for a state to be
 * saved: up to 100 ns, several times what the hash takes
 */

__attribute__((target("avx")))
static void
clear_upper_halves(void)
{
    __builtin_ia32_vzeroupper();
}


static uint64_t
hash_value(const void *value, size_t len)
{
    uint64_t  hash;

    hash = XXH3_64bits_dispatch(value, len);

    if (__builtin_cpu_supports("avx")) {
        clear_upper_halves();
    }

    return hash;
}

#else

#define hash_value(value, len)  XXH3_64bits(value, len)

#endif


uint64_t
exports_checksum(const void *key, size_t key_len, const void *value,
    size_t len)
{
    return hash_value(value, len) ^ XXH3_64bits(key, key_len);
}


/* pages are full of keys of this length: a constant makes it faster */

uint64_t
exports_checksum_manifest(const uint8_t *key, const void *value, size_t len)
{
    return hash_value(value, len)
           ^ XXH3_64bits(key, EXPORTS_MANIFEST_KEY_LEN);
}


static uint32_t
block_check(const uint8_t *block, uint64_t key_hash)
{
    return (uint32_t) (XXH3_64bits(block, EXPORTS_ENTRY_LEN + 4) ^ key_hash);
}


void
exports_rank_encode(uint8_t *block, uint64_t count, const uint8_t *key,
    size_t len)
{
    exports_put32(block + EXPORTS_ENTRY_LEN, (uint32_t) count);
    exports_put32(block + EXPORTS_ENTRY_LEN + 4,
                  block_check(block, XXH3_64bits(key, len)));
}


int
exports_rank_check(const uint8_t *block, const uint8_t *key, size_t len)
{
    return exports_get32(block + EXPORTS_ENTRY_LEN + 4)
           == block_check(block, XXH3_64bits(key, len));
}


uint64_t
exports_rank_hash(const uint8_t *key, size_t len)
{
    return XXH3_64bits(key, len);
}


/* a page may need hundreds of blocks: one loop, without a call */

int
exports_rank_pass(const uint8_t *blocks, size_t *n, const uint8_t *before,
    uint64_t key_hash, uint64_t most, uint64_t *sum)
{
    uint64_t        count, total;
    const uint8_t  *block, *last, *end;

    end = blocks + *n * EXPORTS_RANK_LEN;
    last = before;
    total = 0;

    for (block = blocks; block < end; block += EXPORTS_RANK_LEN) {

        if ((last != NULL && exports_order(block, last, EXPORTS_ENTRY_LEN) <= 0)
            || exports_get32(block + EXPORTS_ENTRY_LEN + 4)
               != block_check(block, key_hash))
        {
            return 0;
        }

        count = exports_get32(block + EXPORTS_ENTRY_LEN);

        if (total + count > most) {
            break;
        }

        total += count;
        last = block;
    }

    *n = (size_t) (block - blocks) / EXPORTS_RANK_LEN;
    *sum += total;

    return 1;
}


int
exports_rank_add(const uint8_t *blocks, size_t n, const uint8_t *before,
    uint64_t key_hash, uint64_t *sum)
{
    size_t          first;
    uint64_t        total;
    const uint8_t  *block, *end;

    first = n > 0;
    total = 0;

    if (!exports_rank_pass(blocks, &first, before, key_hash, UINT64_MAX,
                           &total))
    {
        return 0;
    }

    end = blocks + n * EXPORTS_RANK_LEN;

    for (block = blocks + first * EXPORTS_RANK_LEN;
         block < end;
         block += EXPORTS_RANK_LEN)
    {
        if (exports_order(block, block - EXPORTS_RANK_LEN, EXPORTS_ENTRY_LEN)
            <= 0)
        {
            return 0;
        }

        total += exports_get32(block + EXPORTS_ENTRY_LEN);
    }

    *sum += total;

    return 1;
}
