/*
 * SHA-256, SHA-384 and SHA-512 (FIPS 180-4). SHA-256 runs on SHA-NI (x86) or the ARMv8 crypto extension where the
 * processor has it, found at run time, else portably; it is the hash used wherever large bytes flow.
 */
#ifndef MESHANICS_CRYPTO_HASH_H
#define MESHANICS_CRYPTO_HASH_H

#include "base/error.h"

#define SHA256_LEN 32
#define SHA384_LEN 48
#define SHA512_LEN 64
#define SHA256_HEX_LEN 65	/* with NUL */

struct sha256 {
	uint32_t state[8];
	uint64_t total;		/* bytes so far */
	uint8_t block[64];
};
void sha256_init(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *p, size_t n);
/* Ends the computation and wipes h. */
void sha256_final(struct sha256 *h, uint8_t out[static SHA256_LEN]);
void sha256_of(struct slice s, uint8_t out[static SHA256_LEN]);
/* "sha-ni", "armv8" or "portable": which code runs here. */
const char *sha256_implementation(void);

struct sha512 {
	uint64_t opaque[27];	/* libsodium's state behind sha512_* */
};
void sha512_init(struct sha512 *h);
void sha512_update(struct sha512 *h, const void *p, size_t n);
void sha512_final(struct sha512 *h, uint8_t out[static SHA512_LEN]);

/* SHA-384, for ECDSA P-384 alone. */
void sha384_of(struct slice s, uint8_t out[static SHA384_LEN]);

/* Hash a whole open file from offset 0 to its end, streaming; progress may be NULL. *len gets the byte count. */
WARN_UNUSED int sha256_file(int fd, uint8_t out[static SHA256_LEN], uint64_t *len,
			    void (*progress)(void *arg, uint64_t done), void *arg, struct error *err);

#endif
