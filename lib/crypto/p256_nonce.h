/* The nonces of deterministic ECDSA on P-256 (RFC 6979 3.2), and the hash functions that are told by their lengths. */
#ifndef MESHANICS_CRYPTO_P256_NONCE_H
#define MESHANICS_CRYPTO_P256_NONCE_H

#include <bearssl.h>

#include "crypto/p256.h"

/* NULL for a length that no hash of ours has. */
const br_hash_class *p256_hash_of_len(size_t len);

struct p256_nonces {
	br_hmac_drbg_context drbg;
};

/* h: the hash as a number less than n, bits2octets(H(m)) of the RFC. */
void p256_nonces_init(struct p256_nonces *g, const br_hash_class *hash, const uint8_t scalar[static P256_LEN],
		      const uint8_t h[static P256_LEN]);
/* The next candidate, which may be 0, or n and more: then it is no nonce, and the one after it is asked for. */
void p256_nonces_next(struct p256_nonces *g, uint8_t k[static P256_LEN]);

#endif
