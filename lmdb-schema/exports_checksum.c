
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "exports_codec.h"


#if defined(__x86_64__)

/*
 * libxxhash's own choice, when the program runs, among SSE2, AVX2 and AVX-512.
 * Its header cannot be had beside the inline functions, which are the faster
 * ones for keys.
 */

XXH64_hash_t XXH3_64bits_dispatch(const void *input, size_t len);


/*
 * it leaves the upper halves of the vector registers in use, and then every
 * SSE instruction, of which compilers make copies, waits for a state to be
 * saved: 100 ns were seen, several times what the hash takes
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


/* the length that pages are full of: there it pays that it is a constant */

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


/* for hundreds of blocks a page: one pass, and no call */

int
exports_rank_check(const uint8_t *blocks, size_t n, const uint8_t *before,
    const uint8_t *key, size_t len, uint64_t *sum)
{
    int             order;
    uint64_t        key_hash, created, tie, last_created, last_tie;
    const uint8_t  *block, *end;

    key_hash = XXH3_64bits(key, len);
    end = blocks + n * EXPORTS_RANK_LEN;
    order = before != NULL;
    last_created = order ? exports_get64(before) : 0;
    last_tie = order ? exports_get64(before + 8) : 0;

    for (block = blocks; block < end; block += EXPORTS_RANK_LEN) {
        created = exports_get64(block);
        tie = exports_get64(block + 8);

        if ((order && (created < last_created
                       || (created == last_created && tie <= last_tie)))
            || exports_get32(block + EXPORTS_ENTRY_LEN + 4)
               != block_check(block, key_hash))
        {
            return 0;
        }

        *sum += exports_get32(block + EXPORTS_ENTRY_LEN);
        last_created = created;
        last_tie = tie;
        order = 1;
    }

    return 1;
}
