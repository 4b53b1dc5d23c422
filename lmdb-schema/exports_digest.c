
#include <pthread.h>

#include <openssl/evp.h>

#include "exports_digest.h"


/*
 * OpenSSL 3 looks the algorithm up and allocates in every one-shot call, which
 * takes several times as long as hashing a token; so both are kept
 */

static EVP_MD                     *sha256;
static _Thread_local EVP_MD_CTX  *context;

static pthread_once_t             once = PTHREAD_ONCE_INIT;
static pthread_key_t              at_exit;      /* of a thread */


static void prepare(void);
static void release(void *data);


int
exports_sha256(uint8_t *digest, const void *data, size_t len)
{
    if (context == NULL) {
        (void) pthread_once(&once, prepare);

        if (sha256 == NULL) {
            return -1;
        }

        context = EVP_MD_CTX_new();
        if (context == NULL) {
            return -1;
        }

        (void) pthread_setspecific(at_exit, context);
    }

    if (EVP_DigestInit_ex2(context, sha256, NULL) != 1
        || EVP_DigestUpdate(context, data, len) != 1
        || EVP_DigestFinal_ex(context, digest, NULL) != 1)
    {
        return -1;
    }

    return 0;
}


static void
prepare(void)
{
    if (pthread_key_create(&at_exit, release) == 0) {
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    }
}


static void
release(void *data)
{
    EVP_MD_CTX_free(data);
    context = NULL;
}
