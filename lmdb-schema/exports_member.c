
#include "exports_member.h"


/*
 * Only a string with that hash is kept.  A copy is hashed, for reading the map
 * may fault, which must not happen inside libcrypto.
 */

exports_rc_t
exports_member_learn(exports_hashes_t *hashes, const uint8_t *hash,
    const uint8_t *record, size_t len, size_t at)
{
    size_t             n;
    uint8_t            bytes[2 + EXPORTS_STRING_MAX], found[EXPORTS_HASH_LEN];
    exports_hashed_t  *known;

    if (at > len - 2) {
        return EXPORTS_CORRUPT;
    }

    n = exports_get16(record + at);

    if (n > EXPORTS_STRING_MAX || n > len - 2 - at) {
        return EXPORTS_CORRUPT;
    }

    memcpy(bytes, record + at, 2 + n);

    if (exports_hash(found, (char *) bytes + 2, n) != 0) {
        return EXPORTS_FAILED;
    }

    if (memcmp(found, hash, EXPORTS_HASH_LEN) != 0) {
        return EXPORTS_CORRUPT;
    }

    hashes->last = hashes->next;
    hashes->next = (hashes->next + 1) % EXPORTS_HASHES;

    known = &hashes->known[hashes->last];
    memcpy(known->hash, found, EXPORTS_HASH_LEN);
    memcpy(known->bytes, bytes, 2 + n);
    known->len = n;

    return EXPORTS_OK;
}
