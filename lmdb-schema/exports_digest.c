
#include <openssl/evp.h>

#include "exports_digest.h"


int
exports_sha256(uint8_t *digest, const void *data, size_t len)
{
    /*
     * OpenSSL 3 looks the algorithm up and allocates in every one-shot call,
     * which takes several times as long as hashing a token; so both are kept
     */

    static _Thread_local EVP_MD      *md;
    static _Thread_local EVP_MD_CTX  *ctx;

    if (ctx == NULL) {
        md = EVP_MD_fetch(NULL, "SHA256", NULL);
        if (md == NULL) {
            return -1;
        }

        ctx = EVP_MD_CTX_new();
        if (ctx == NULL) {
            EVP_MD_free(md);
            return -1;
        }
    }

    if (EVP_DigestInit_ex2(ctx, md, NULL) != 1
        || EVP_DigestUpdate(ctx, data, len) != 1
        || EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
    {
        return -1;
    }

    return 0;
}
