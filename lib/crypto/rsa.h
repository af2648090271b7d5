/* RSA keys as DER RSAPublicKey, and RSASSA-PSS verification (RFC 8017) with SHA-256; behind key.h. */
#ifndef MESHANICS_CRYPTO_RSA_H
#define MESHANICS_CRYPTO_RSA_H

#include "crypto/key.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 4096

/*
 * Modulus and exponent of a key, without leading zeros, borrowed from k. ERR_MALFORMED when it is no
 * RSAPublicKey, ERR_REFUSED when the modulus has not 2048 to 4096 bits or the exponent is even, 1 or over 32 bits.
 */
WARN_UNUSED int rsa_parts(const struct pubkey *k, struct slice *n, struct slice *e, struct error *err);
WARN_UNUSED int rsa_pss_verify(const struct pubkey *k, const uint8_t hash[static 32], struct slice sig,
			       struct error *err);

#endif
