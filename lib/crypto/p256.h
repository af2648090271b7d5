/*
 * The curve P-256 (SP 800-186 3.2.1.3): Diffie-Hellman and ECDSA (FIPS 186-5, RFC 6979) on plain bytes.
 *
 * Two files stand behind this header, and the Makefile takes one: p256.c computes on words of 64 bits and wants a
 * compiler with __int128, p256_bearssl.c hands everything to BearSSL, for the others. What is secret (scalars and the
 * nonces of signatures) takes the same time whatever its value, and is wiped; what is public (verification) may not.
 *
 * Numbers are 32 bytes, the most significant first. Points are 65 bytes, 04 || X || Y (SEC 1 2.3.3); compressed points
 * and infinity have other lengths and are not known here. Functions that judge return 0 or -1; 0 is the only yes.
 */
#ifndef MESHANICS_CRYPTO_P256_H
#define MESHANICS_CRYPTO_P256_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define P256_LEN 32		/* of a coordinate or a scalar */
#define P256_POINT_LEN 65
#define P256_SIG_LEN 64		/* r || s */

/* The public point of a secret scalar; -1 unless 0 < scalar < n. */
WARN_UNUSED int p256_public(uint8_t point[static P256_POINT_LEN], const uint8_t scalar[static P256_LEN]);
/* 0 when both coordinates are less than p and the point is on the curve. */
WARN_UNUSED int p256_check(const uint8_t point[static P256_POINT_LEN]);
/*
 * scalar * point, whose X is what both sides of a Diffie-Hellman have in common. out may be point. -1, and zeros in out,
 * unless 0 < scalar < n and the point passes p256_check; never infinity then, for the order of the curve is prime.
 */
WARN_UNUSED int p256_shared(uint8_t out[static P256_POINT_LEN], const uint8_t scalar[static P256_LEN],
			    const uint8_t point[static P256_POINT_LEN]);
/*
 * x * a + y * b, where NULL for b is the base point. Public numbers alone. out may be a or b. -1, and zeros in out, when a
 * point does not pass p256_check, x or y is not less than n, or the sum is infinity.
 */
WARN_UNUSED int p256_muladd(uint8_t out[static P256_POINT_LEN], const uint8_t x[static P256_LEN],
			    const uint8_t a[static P256_POINT_LEN], const uint8_t y[static P256_LEN], const uint8_t *b);
/*
 * ECDSA with the nonce of RFC 6979: the same signature each time. The length of the hash tells its function, by which the
 * nonce is made: 20 SHA-1, 28 SHA-224, 32 SHA-256, 48 SHA-384, 64 SHA-512. -1 for other lengths, and unless
 * 0 < scalar < n.
 */
WARN_UNUSED int p256_sign(uint8_t sig[static P256_SIG_LEN], const uint8_t scalar[static P256_LEN], const uint8_t *hash,
			  size_t hash_len);
/*
 * 0 when sig is a signature of the hash by the key. Of a hash longer than 32 bytes the first 32 count (FIPS 186-5 6.4.2),
 * a shorter one is taken as it is. r and s are from 1 to n - 1; s and n - s are equally good, as the standard has it. A hash
 * that is 0 modulo n, which nobody finds, p256_bearssl.c refuses.
 */
WARN_UNUSED int p256_verify(const uint8_t point[static P256_POINT_LEN], const uint8_t *hash, size_t hash_len,
			    const uint8_t sig[static P256_SIG_LEN]);

/* "64-bit" or "bearssl": which code runs here. */
const char *p256_implementation(void);

#endif
