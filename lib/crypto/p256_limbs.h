/*
 * Numbers of 256 bits as four words of 64, the least significant first: what the field (p256_field.c) and the scalars
 * (p256_scalar.c) of P-256 have in common. Everything here takes the same time for all values; results may overlap
 * arguments unless said otherwise.
 */
#ifndef MESHANICS_CRYPTO_P256_LIMBS_H
#define MESHANICS_CRYPTO_P256_LIMBS_H

#include <stdint.h>

#include "crypto/p256_carry.h"

/* A product of two words with what is added to it. The one typedef of a number here: C has no short name for it. */
typedef unsigned __int128 limbs_wide;

/*
 * All ones for 1, zero for 0. The empty assembly hides from the compiler that there are but two cases, or it might make
 * a branch of what is done with the mask.
 */
LIMBS_INLINE uint64_t limbs_mask(uint64_t bit)
{
	__asm__("" : "+r"(bit));
	return 0 - bit;
}

/* 1 when v is zero, else 0. */
static inline uint64_t limbs_word_is_zero(uint64_t v)
{
	return (~v & (v - 1)) >> 63;
}

static inline uint64_t limbs_is_zero(const uint64_t a[static 4])
{
	return limbs_word_is_zero(a[0] | a[1] | a[2] | a[3]);
}

/* 1 when they are equal, else 0. */
static inline uint64_t limbs_equal(const uint64_t a[static 4], const uint64_t b[static 4])
{
	return limbs_word_is_zero((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]));
}

/* *at += a * b + carry; returns the carry out. It never overflows: (2^64-1)^2 + 2(2^64-1) = 2^128-1. */
LIMBS_INLINE uint64_t limbs_mac(uint64_t *at, uint64_t a, uint64_t b, uint64_t carry)
{
	limbs_wide t = (limbs_wide)a * b + *at + carry;

	*at = (uint64_t)t;
	return (uint64_t)(t >> 64);
}

LIMBS_INLINE uint64_t limbs_add(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t b[static 4])
{
	uint64_t c;

	c = limbs_adc(&r[0], a[0], b[0], 0);
	c = limbs_adc(&r[1], a[1], b[1], c);
	c = limbs_adc(&r[2], a[2], b[2], c);
	return limbs_adc(&r[3], a[3], b[3], c);
}

LIMBS_INLINE uint64_t limbs_sub(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t b[static 4])
{
	uint64_t c;

	c = limbs_sbb(&r[0], a[0], b[0], 0);
	c = limbs_sbb(&r[1], a[1], b[1], c);
	c = limbs_sbb(&r[2], a[2], b[2], c);
	return limbs_sbb(&r[3], a[3], b[3], c);
}

/* r = a where mask is all ones, r as it was where it is zero. */
LIMBS_INLINE void limbs_cmov(uint64_t r[static 4], const uint64_t a[static 4], uint64_t mask)
{
	r[0] ^= (r[0] ^ a[0]) & mask;
	r[1] ^= (r[1] ^ a[1]) & mask;
	r[2] ^= (r[2] ^ a[2]) & mask;
	r[3] ^= (r[3] ^ a[3]) & mask;
}

/* r = carry * 2^256 + a, reduced once: less than m when that number is less than 2m. */
LIMBS_INLINE void limbs_reduce_once(uint64_t r[static 4], uint64_t carry, const uint64_t a[static 4],
				     const uint64_t m[static 4])
{
	uint64_t t[4], borrow = limbs_sub(t, a, m);

	/* a is kept only where the subtraction borrows and there is no carry to borrow from. */
	limbs_cmov(t, a, limbs_mask(borrow & ~carry));
	r[0] = t[0];
	r[1] = t[1];
	r[2] = t[2];
	r[3] = t[3];
}

/* r = a + b modulo m, both less than m. */
static inline void limbs_add_mod(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t b[static 4],
				 const uint64_t m[static 4])
{
	uint64_t t[4], carry = limbs_add(t, a, b);

	limbs_reduce_once(r, carry, t, m);
}

/* r = a - b modulo m, both less than m. */
static inline void limbs_sub_mod(uint64_t r[static 4], const uint64_t a[static 4], const uint64_t b[static 4],
				 const uint64_t m[static 4])
{
	uint64_t t[4], mask = limbs_mask(limbs_sub(t, a, b));
	uint64_t back[4] = {m[0] & mask, m[1] & mask, m[2] & mask, m[3] & mask};

	(void)limbs_add(r, t, back);	/* its carry pays the borrow back */
}

/* The eight words of a * b. r overlaps neither. */
LIMBS_INLINE void limbs_mul(uint64_t r[static 8], const uint64_t a[static 4], const uint64_t b[static 4])
{
	uint64_t c;

	r[0] = r[1] = r[2] = r[3] = 0;
	c = limbs_mac(&r[0], a[0], b[0], 0);
	c = limbs_mac(&r[1], a[0], b[1], c);
	c = limbs_mac(&r[2], a[0], b[2], c);
	r[4] = limbs_mac(&r[3], a[0], b[3], c);
	c = limbs_mac(&r[1], a[1], b[0], 0);
	c = limbs_mac(&r[2], a[1], b[1], c);
	c = limbs_mac(&r[3], a[1], b[2], c);
	r[5] = limbs_mac(&r[4], a[1], b[3], c);
	c = limbs_mac(&r[2], a[2], b[0], 0);
	c = limbs_mac(&r[3], a[2], b[1], c);
	c = limbs_mac(&r[4], a[2], b[2], c);
	r[6] = limbs_mac(&r[5], a[2], b[3], c);
	c = limbs_mac(&r[3], a[3], b[0], 0);
	c = limbs_mac(&r[4], a[3], b[1], c);
	c = limbs_mac(&r[5], a[3], b[2], c);
	r[7] = limbs_mac(&r[6], a[3], b[3], c);
}

/* The eight words of a * a: the products of two different words once, doubled, then the squares. r does not overlap a. */
LIMBS_INLINE void limbs_sqr(uint64_t r[static 8], const uint64_t a[static 4])
{
	limbs_wide t;
	uint64_t c;

	r[1] = r[2] = r[3] = 0;
	c = limbs_mac(&r[1], a[0], a[1], 0);
	c = limbs_mac(&r[2], a[0], a[2], c);
	r[4] = limbs_mac(&r[3], a[0], a[3], c);
	c = limbs_mac(&r[3], a[1], a[2], 0);
	r[5] = limbs_mac(&r[4], a[1], a[3], c);
	r[6] = limbs_mac(&r[5], a[2], a[3], 0);

	r[7] = r[6] >> 63;
	r[6] = r[6] << 1 | r[5] >> 63;
	r[5] = r[5] << 1 | r[4] >> 63;
	r[4] = r[4] << 1 | r[3] >> 63;
	r[3] = r[3] << 1 | r[2] >> 63;
	r[2] = r[2] << 1 | r[1] >> 63;
	r[1] = r[1] << 1;

	t = (limbs_wide)a[0] * a[0];
	r[0] = (uint64_t)t;
	c = limbs_adc(&r[1], r[1], (uint64_t)(t >> 64), 0);
	t = (limbs_wide)a[1] * a[1];
	c = limbs_adc(&r[2], r[2], (uint64_t)t, c);
	c = limbs_adc(&r[3], r[3], (uint64_t)(t >> 64), c);
	t = (limbs_wide)a[2] * a[2];
	c = limbs_adc(&r[4], r[4], (uint64_t)t, c);
	c = limbs_adc(&r[5], r[5], (uint64_t)(t >> 64), c);
	t = (limbs_wide)a[3] * a[3];
	c = limbs_adc(&r[6], r[6], (uint64_t)t, c);
	(void)limbs_adc(&r[7], r[7], (uint64_t)(t >> 64), c);
}

/* From 32 bytes, the most significant first. */
static inline void limbs_decode(uint64_t r[static 4], const uint8_t p[static 32])
{
	unsigned i;

	r[0] = r[1] = r[2] = r[3] = 0;
	for (i = 0; i < 32; i++)
		r[3 - i / 8] = r[3 - i / 8] << 8 | p[i];
}

static inline void limbs_encode(uint8_t p[static 32], const uint64_t a[static 4])
{
	unsigned i;

	for (i = 0; i < 32; i++)
		p[i] = (uint8_t)(a[3 - i / 8] >> (56 - 8 * (i % 8)));
}

#endif
