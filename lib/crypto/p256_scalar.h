/*
 * Scalars of P-256: integers modulo n, the order of its base point (SP 800-186 3.2.1.3), in constant time. They are plain
 * numbers less than n; the multiplication is Montgomery's, which takes 2^256 out of the product.
 */
#ifndef MESHANICS_CRYPTO_P256_SCALAR_H
#define MESHANICS_CRYPTO_P256_SCALAR_H

#include "crypto/p256_limbs.h"

struct sn {
	uint64_t w[4];
};

extern const uint64_t sn_n[4];	/* n itself */

/* Results may be arguments. */
void sn_mul(struct sn *r, const struct sn *a, const struct sn *b);	/* a * b / 2^256 */
void sn_mont(struct sn *r, const struct sn *a);				/* a * 2^256 */
/* 2^256 / a, so that sn_mul by it divides by a; 0 for 0. */
void sn_inv(struct sn *r, const struct sn *a);
/* The number of 32 bytes modulo n; 1 when it was less than n, else 0. */
uint64_t sn_decode(struct sn *r, const uint8_t p[static 32]);
void sn_encode(uint8_t p[static 32], const struct sn *a);
/* From the words of any number of 256 bits, which is less than 2n. */
void sn_reduce(struct sn *r, const uint64_t a[static 4]);
/* r = a, or n - a where that is less: then all ones is returned, else zero. */
uint64_t sn_abs(struct sn *r, const struct sn *a);

static inline void sn_add(struct sn *r, const struct sn *a, const struct sn *b)
{
	limbs_add_mod(r->w, a->w, b->w, sn_n);
}

/* 1 or 0. */
static inline uint64_t sn_is_zero(const struct sn *a)
{
	return limbs_is_zero(a->w);
}

#endif
