
/*
 * exports_digest.h: SHA-256 (FIPS 180-4) by OpenSSL's libcrypto, and
 * HMAC-SHA256 (RFC 2104) with keys that are prepared once.
 */

#ifndef EXPORTS_DIGEST_H
#define EXPORTS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/sha.h>

#include "exports_schema.h"


/* Writes the EXPORTS_SHA256_LEN bytes of the digest of data.  Returns 0, or -1
   when libcrypto failed. */
int exports_sha256(uint8_t *digest, const void *data, size_t len);


/* SHA-256 after each of the key's two blocks: as secret as the key itself */
typedef struct {
    SHA256_CTX  inner;
    SHA256_CTX  outer;
} exports_hmac_t;


/* Prepares a key, of any length. */
void exports_hmac_key(exports_hmac_t *hmac, const void *key, size_t len);

/* Writes the EXPORTS_SHA256_LEN bytes of the code of data. */
void exports_hmac(const exports_hmac_t *hmac, uint8_t *code, const void *data,
    size_t len);


#endif /* EXPORTS_DIGEST_H */
