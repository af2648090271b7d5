/*
 * The field of P-256: integers modulo p = 2^256 - 2^224 + 2^192 + 2^96 - 1 (SP 800-186 3.2.1.3), in constant time.
 * Elements are in Montgomery form, a * 2^256 mod p, and always less than p, so that equal elements are equal words.
 */
#ifndef MESHANICS_CRYPTO_P256_FIELD_H
#define MESHANICS_CRYPTO_P256_FIELD_H

#include "crypto/p256_limbs.h"

struct fe {
	uint64_t w[4];
};

extern const struct fe fe_one;
extern const uint64_t fe_p[4];	/* p itself */

/* Results may be arguments. */
void fe_mul(struct fe *r, const struct fe *a, const struct fe *b);
void fe_sqr(struct fe *r, const struct fe *a);
/* 1/a; 0 for 0. */
void fe_inv(struct fe *r, const struct fe *a);
/* From the words of a number less than p. */
void fe_from_limbs(struct fe *r, const uint64_t a[static 4]);
/* 1 when the 32 bytes are less than p; r is undefined when they are not. */
uint64_t fe_decode(struct fe *r, const uint8_t p[static 32]);
void fe_encode(uint8_t p[static 32], const struct fe *a);

static inline void fe_add(struct fe *r, const struct fe *a, const struct fe *b)
{
	limbs_add_mod(r->w, a->w, b->w, fe_p);
}

static inline void fe_sub(struct fe *r, const struct fe *a, const struct fe *b)
{
	limbs_sub_mod(r->w, a->w, b->w, fe_p);
}

/* r = a where mask is all ones, r as it was where it is zero. */
static inline void fe_cmov(struct fe *r, const struct fe *a, uint64_t mask)
{
	limbs_cmov(r->w, a->w, mask);
}

/* 1 or 0. */
static inline uint64_t fe_is_zero(const struct fe *a)
{
	return limbs_is_zero(a->w);
}

static inline uint64_t fe_equal(const struct fe *a, const struct fe *b)
{
	return limbs_equal(a->w, b->w);
}

#endif
