
/*
 * OpenSSL 3 calls the functions of openssl/sha.h deprecated.  But a state of
 * theirs is a plain value: a key's two can be kept and copied, where EVP_MAC
 * allocates and initializes for every code, which takes twice as long for
 * texts as short as a link.
 */

#define OPENSSL_SUPPRESS_DEPRECATED

#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "exports_digest.h"


/*
 * OpenSSL 3 looks the algorithm up and allocates in every one-shot call, which
 * takes several times as long as hashing a token; so both are kept
 */

/* ipad and opad of RFC 2104 */
#define HMAC_INNER  0x36
#define HMAC_OUTER  0x5c


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
