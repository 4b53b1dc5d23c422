
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "exports_codec.h"


/*
 * libxxhash's own choice, when the program runs, among SSE2, AVX2 and AVX-512:
 * records are hashed in half the time.  Its header cannot be had beside the
 * inline functions, which are the faster ones for keys.
 */

#if defined(__x86_64__)

XXH64_hash_t XXH3_64bits_dispatch(const void *input, size_t len);

#define hash_value(p, len)  XXH3_64bits_dispatch(p, len)

#else

#define hash_value(p, len)  XXH3_64bits(p, len)

#endif


uint64_t
exports_checksum(const void *key, size_t key_len, const void *value,
    size_t len)
{
    return hash_value(value, len) ^ XXH3_64bits(key, key_len);
}
