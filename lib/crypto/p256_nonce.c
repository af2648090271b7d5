/* RFC 6979: its generator is HMAC_DRBG, seeded with the secret scalar and the hash. */
#include "crypto/p256_nonce.h"

#include <string.h>

#include "crypto/hash_class.h"

const br_hash_class *p256_hash_of_len(size_t len)
{
	switch (len) {
	case br_sha1_SIZE:
		return &br_sha1_vtable;
	case br_sha224_SIZE:
		return &br_sha224_vtable;
	case br_sha256_SIZE:
		return &sha256_class;
	case br_sha384_SIZE:
		return &br_sha384_vtable;
	case br_sha512_SIZE:
		return &br_sha512_vtable;
	default:
		return NULL;
	}
}

void p256_nonces_init(struct p256_nonces *g, const br_hash_class *hash, const uint8_t scalar[static P256_LEN],
		      const uint8_t h[static P256_LEN])
{
	uint8_t seed[2 * P256_LEN];

	memcpy(seed, scalar, P256_LEN);
	memcpy(seed + P256_LEN, h, P256_LEN);
	br_hmac_drbg_init(&g->drbg, hash, seed, sizeof(seed));
	explicit_bzero(seed, sizeof(seed));
}

void p256_nonces_next(struct p256_nonces *g, uint8_t k[static P256_LEN])
{
	br_hmac_drbg_generate(&g->drbg, k, P256_LEN);
}
