
/*
 * exports_digest.h: SHA-256 (FIPS 180-4) by OpenSSL's libcrypto.
 */

#ifndef EXPORTS_DIGEST_H
#define EXPORTS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "exports_schema.h"


/*
 * Writes the EXPORTS_SHA256_LEN bytes of the digest of data.  Returns 0, or
 * -1 when libcrypto failed (out of memory, no provider).  Each thread has a
 * context of its own, which ends with it.
 */
int exports_sha256(uint8_t *digest, const void *data, size_t len);


#endif /* EXPORTS_DIGEST_H */
