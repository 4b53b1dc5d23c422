
/*
 * exports_digest.c: SHA-256 by the vectors of FIPS 180-4, and what is made of
 * it.
 */

#include "fixture.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

#include "exports_digest.h"


static void
vector(const char *data, size_t len, const char *want, const char *name)
{
    uint8_t  digest[EXPORTS_SHA256_LEN], expected[EXPORTS_SHA256_LEN];

    must(exports_unhex(expected, EXPORTS_SHA256_LEN, want) == 0, "%s", want);

    is_int(exports_sha256(digest, data, len), 0, "%s", name);
    is_mem(digest, sizeof(digest), expected, sizeof(expected), "%s: digest",
           name);
}


static void
vectors(void)
{
    char  *million;

    vector("", 0, "e3b0c44298fc1c149afbf4c8996fb924"
                  "27ae41e4649b934ca495991b7852b855", "nothing");
    vector("abc", 3, "ba7816bf8f01cfea414140de5dae2223"
                     "b00361a396177a9cb410ff61f20015ad", "abc");
    vector("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
           "56 bytes");
    vector("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
           "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu", 112,
           "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
           "112 bytes");

    million = malloc(1000000);
    must(million != NULL, "memory");
    memset(million, 'a', 1000000);
    vector(million, 1000000,
           "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
           "a million a");
    free(million);
}


/* every length around the blocks, against libcrypto's other way */

static int
other_way(uint8_t *digest, const uint8_t *data, size_t len)
{
    unsigned  n;

    return EVP_Digest(data, len, digest, &n, EVP_sha256(), NULL) == 1
           && n == EXPORTS_SHA256_LEN;
}


static void
lengths(void)
{
    size_t    len;
    uint8_t   data[300], a[EXPORTS_SHA256_LEN], b[EXPORTS_SHA256_LEN];

    for (len = 0; len < sizeof(data); len++) {
        random_bytes(data, len);
        check(exports_sha256(a, data, len) == 0 && other_way(b, data, len)
              && memcmp(a, b, sizeof(a)) == 0, "%zu bytes", len);
    }

    checked("data of all lengths");
}


static void
parts(void)
{
    uint8_t   digest[EXPORTS_SHA256_LEN], hash[EXPORTS_HASH_LEN];
    uint64_t  tie;

    must(exports_sha256(digest, "exp_1", 5) == 0, "SHA-256");

    is_int(exports_tie("exp_1", 5, &tie), 0, "a tie");
    ok(tie == exports_get64(digest), "is the first 8 bytes of the digest");

    is_int(exports_hash(hash, "exp_1", 5), 0, "a hash");
    is_mem(hash, sizeof(hash), digest, sizeof(hash),
           "is the first 16 bytes of the digest");

    is_int(exports_tie("", 0, &tie), 0, "of nothing");
    ok(tie == 0xe3b0c44298fc1c14ULL, "too");
}


/* RFC 4231, test case 2 */

static void
code_vector(void)
{
    uint8_t         code[EXPORTS_SHA256_LEN], want[EXPORTS_SHA256_LEN];
    exports_hmac_t  hmac;

    must(exports_unhex(want, EXPORTS_SHA256_LEN,
                       "5bdcc146bf60754e6a042426089575c7"
                       "5a003f089d2739839dec58b964ec3843") == 0, "hex");

    exports_hmac_key(&hmac, "Jefe", 4);
    exports_hmac(&hmac, code, "what do ya want for nothing?", 28);
    is_mem(code, sizeof(code), want, sizeof(want), "a code");

    exports_hmac(&hmac, code, "what do ya want for nothing?", 28);
    is_mem(code, sizeof(code), want, sizeof(want), "and again");
}


/* keys shorter, as long and longer than a block, texts around blocks */

static void
codes(void)
{
    size_t          len, key_len;
    uint8_t         key[200], data[300], a[EXPORTS_SHA256_LEN];
    uint8_t         b[EXPORTS_SHA256_LEN];
    unsigned        n;
    exports_hmac_t  hmac;

    for (key_len = 0; key_len < sizeof(key); key_len++) {
        random_bytes(key, sizeof(key));
        exports_hmac_key(&hmac, key, key_len);

        for (len = key_len % 7; len < sizeof(data); len += 7) {
            random_bytes(data, len);
            exports_hmac(&hmac, a, data, len);
            check(HMAC(EVP_sha256(), key, (int) key_len, data, len, b, &n)
                      != NULL
                  && memcmp(a, b, sizeof(a)) == 0,
                  "a key of %zu bytes, a text of %zu", key_len, len);
        }
    }

    checked("codes of all lengths");
}


/* each thread has its own context */

static void *
in_thread(void *data)
{
    uint8_t    text[64], a[EXPORTS_SHA256_LEN], b[EXPORTS_SHA256_LEN];
    unsigned   i, *bad = data;

    for (i = 0; i < 5000; i++) {
        memset(text, (int) (i + *bad), sizeof(text));

        if (exports_sha256(a, text, i % 64) != 0
            || !other_way(b, text, i % 64) || memcmp(a, b, sizeof(a)) != 0)
        {
            *bad = 1;
            return NULL;
        }
    }

    *bad = 0;

    return NULL;
}


static void
threads(void)
{
    unsigned   i, bad[4];
    pthread_t  thread[4];

    for (i = 0; i < 4; i++) {
        bad[i] = i;
        must(pthread_create(&thread[i], NULL, in_thread, &bad[i]) == 0,
             "pthread_create");
    }

    for (i = 0; i < 4; i++) {
        (void) pthread_join(thread[i], NULL);
        is_int(bad[i], 0, "thread %u", i);
    }
}


int
main(void)
{
    random_seed();

    vectors();
    lengths();
    parts();
    code_vector();
    codes();
    threads();

    return done_testing();
}
