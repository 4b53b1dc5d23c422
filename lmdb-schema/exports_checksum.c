
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
    uint64_t    hash;
    static int  avx = -1;

    if (avx == -1) {
        avx = __builtin_cpu_supports("avx");
    }

    hash = XXH3_64bits_dispatch(value, len);

    if (avx) {
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
exports_rank_sound(const uint8_t *blocks, size_t n, const uint8_t *key,
    size_t len)
{
    uint64_t        key_hash;
    const uint8_t  *block, *end;

    key_hash = XXH3_64bits(key, len);
    end = blocks + n * EXPORTS_RANK_LEN;

    for (block = blocks; block < end; block += EXPORTS_RANK_LEN) {
        if (exports_get32(block + EXPORTS_ENTRY_LEN + 4)
            != block_check(block, key_hash))
        {
            return 0;
        }
    }

    return 1;
}
