/*
 * One word added or subtracted with carry: the primitive below p256_limbs.h, in two hands. gcc finds the instruction of
 * x86-64 only where it is called by name, which makes an addition in the field twice as fast; elsewhere the compiler is
 * left to find it.
 */
#ifndef MESHANICS_CRYPTO_P256_CARRY_H
#define MESHANICS_CRYPTO_P256_CARRY_H

#include <stdint.h>

/* Against gcc's judgement of sizes: what these make is small once it is in place. */
#define LIMBS_INLINE __attribute__((always_inline)) static inline

#if defined(__x86_64__)

#include <immintrin.h>

/* *sum = a + b + carry; returns the carry out. carry is 0 or 1. */
LIMBS_INLINE uint64_t limbs_adc(uint64_t *sum, uint64_t a, uint64_t b, uint64_t carry)
{
	unsigned long long t;
	uint64_t out = _addcarry_u64((unsigned char)carry, a, b, &t);

	*sum = t;
	return out;
}

/* *diff = a - b - borrow; returns the borrow out. borrow is 0 or 1. */
LIMBS_INLINE uint64_t limbs_sbb(uint64_t *diff, uint64_t a, uint64_t b, uint64_t borrow)
{
	unsigned long long t;
	uint64_t out = _subborrow_u64((unsigned char)borrow, a, b, &t);

	*diff = t;
	return out;
}

#else

LIMBS_INLINE uint64_t limbs_adc(uint64_t *sum, uint64_t a, uint64_t b, uint64_t carry)
{
	uint64_t t;
	uint64_t out = __builtin_add_overflow(a, b, &t);

	return out | __builtin_add_overflow(t, carry, sum);
}

LIMBS_INLINE uint64_t limbs_sbb(uint64_t *diff, uint64_t a, uint64_t b, uint64_t borrow)
{
	uint64_t t;
	uint64_t out = __builtin_sub_overflow(a, b, &t);

	return out | __builtin_sub_overflow(t, borrow, diff);
}

#endif

#endif
