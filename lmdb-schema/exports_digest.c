
/*
 * OpenSSL 3 calls the functions of openssl/sha.h deprecated.  But their state
 * is a plain value: no allocation, lock or look-up is needed, which for texts
 * as short as a token or a link would take a third of the time and more; and
 * the two states of a key can be kept and copied.
 */

#define OPENSSL_SUPPRESS_DEPRECATED

#include <string.h>

#include <openssl/crypto.h>

#include "exports_digest.h"


/* ipad and opad of RFC 2104 */
#define HMAC_INNER  0x36
#define HMAC_OUTER  0x5c


int
exports_sha256(uint8_t *digest, const void *data, size_t len)
{
    SHA256_CTX  state;

    return SHA256_Init(&state) == 1
           && SHA256_Update(&state, data, len) == 1
           && SHA256_Final(digest, &state) == 1
               ? 0 : -1;
}


void
exports_hmac_key(exports_hmac_t *hmac, const void *key, size_t len)
{
    size_t   i;
    uint8_t  block[SHA256_CBLOCK];

    memset(block, 0, sizeof(block));

    if (len > sizeof(block)) {
        (void) SHA256(key, len, block);

    } else {
        memcpy(block, key, len);
    }

    for (i = 0; i < sizeof(block); i++) {
        block[i] ^= HMAC_INNER;
    }

    (void) SHA256_Init(&hmac->inner);
    (void) SHA256_Update(&hmac->inner, block, sizeof(block));

    for (i = 0; i < sizeof(block); i++) {
        block[i] ^= HMAC_INNER ^ HMAC_OUTER;
    }

    (void) SHA256_Init(&hmac->outer);
    (void) SHA256_Update(&hmac->outer, block, sizeof(block));

    OPENSSL_cleanse(block, sizeof(block));
}


/* these functions cannot fail: they neither allocate nor look anything up */

void
exports_hmac(const exports_hmac_t *hmac, uint8_t *code, const void *data,
    size_t len)
{
    SHA256_CTX  state;

    state = hmac->inner;
    (void) SHA256_Update(&state, data, len);
    (void) SHA256_Final(code, &state);

    state = hmac->outer;
    (void) SHA256_Update(&state, code, EXPORTS_SHA256_LEN);
    (void) SHA256_Final(code, &state);
}
