/* The field of P-256, by Montgomery multiplication on words of 64 bits. */
#include "crypto/p256_field.h"

const uint64_t fe_p[4] = {0xffffffffffffffff, 0x00000000ffffffff, 0, 0xffffffff00000001};

/* 2^256 mod p, and 2^512 mod p, which brings a number into Montgomery form. */
const struct fe fe_one = {{1, 0xffffffff00000000, 0xffffffffffffffff, 0x00000000fffffffe}};
static const struct fe fe_r2 = {{3, 0xfffffffbffffffff, 0xfffffffffffffffe, 0x00000004fffffffd}};

/*
 * r = t / 2^256 mod p, for t < p * 2^256.
 *
 * Since p = -1 mod 2^64, the multiple of p that clears the lowest word m is m itself. Of the words of p the lowest is
 * 2^64 - 1, so that m * p + m has nothing there and m in the next, where p has 2^32 - 1: together m * 2^32. So a round is
 * two shifts and one product. Four rounds on the low half of t leave at most p, the high half is less than p, and their
 * sum less than 2p.
 */
LIMBS_INLINE void reduce(struct fe *r, const uint64_t t[static 8])
{
	uint64_t a0 = t[0], a1 = t[1], a2 = t[2], a3 = t[3], c, m;
	uint64_t sum[4];
	limbs_wide top;
	unsigned i;

#pragma GCC unroll 4
	for (i = 0; i < 4; i++) {
		m = a0;
		top = (limbs_wide)m * 0xffffffff00000001;
		c = limbs_adc(&a0, a1, m << 32, 0);
		c = limbs_adc(&a1, a2, m >> 32, c);
		c = limbs_adc(&a2, a3, (uint64_t)top, c);
		a3 = (uint64_t)(top >> 64) + c;	/* the high word of a product is never all ones */
	}
	c = limbs_adc(&sum[0], a0, t[4], 0);
	c = limbs_adc(&sum[1], a1, t[5], c);
	c = limbs_adc(&sum[2], a2, t[6], c);
	c = limbs_adc(&sum[3], a3, t[7], c);
	limbs_reduce_once(r->w, c, sum, fe_p);
}

void fe_mul(struct fe *r, const struct fe *a, const struct fe *b)
{
	uint64_t t[8];

	limbs_mul(t, a->w, b->w);
	reduce(r, t);
}

void fe_sqr(struct fe *r, const struct fe *a)
{
	uint64_t t[8];

	limbs_sqr(t, a->w);
	reduce(r, t);
}

static void sqr_times(struct fe *r, const struct fe *a, unsigned n)
{
	fe_sqr(r, a);
	while (--n > 0)
		fe_sqr(r, r);
}

/*
 * a^(p-2), by Fermat. In binary the exponent is 32 ones, 31 zeros, a one, 96 zeros, 94 ones, a zero and a one; xN is a to
 * the number that N ones make.
 */
void fe_inv(struct fe *r, const struct fe *a)
{
	struct fe x2, x4, x8, x16, x30, x32, t;

	sqr_times(&t, a, 1);
	fe_mul(&x2, &t, a);
	sqr_times(&t, &x2, 2);
	fe_mul(&x4, &t, &x2);
	sqr_times(&t, &x4, 4);
	fe_mul(&x8, &t, &x4);
	sqr_times(&t, &x8, 8);
	fe_mul(&x16, &t, &x8);
	sqr_times(&t, &x16, 8);
	fe_mul(&t, &t, &x8);
	sqr_times(&t, &t, 4);
	fe_mul(&t, &t, &x4);
	sqr_times(&t, &t, 2);
	fe_mul(&x30, &t, &x2);
	sqr_times(&t, &x30, 2);
	fe_mul(&x32, &t, &x2);

	sqr_times(&t, &x32, 32);
	fe_mul(&t, &t, a);
	sqr_times(&t, &t, 128);
	fe_mul(&t, &t, &x32);
	sqr_times(&t, &t, 32);
	fe_mul(&t, &t, &x32);
	sqr_times(&t, &t, 30);
	fe_mul(&t, &t, &x30);
	sqr_times(&t, &t, 2);
	fe_mul(r, &t, a);
}

void fe_from_limbs(struct fe *r, const uint64_t a[static 4])
{
	uint64_t t[8];

	limbs_mul(t, a, fe_r2.w);
	reduce(r, t);
}

uint64_t fe_decode(struct fe *r, const uint8_t p[static 32])
{
	uint64_t plain[4], t[4];

	limbs_decode(plain, p);
	fe_from_limbs(r, plain);
	return limbs_sub(t, plain, fe_p);
}

void fe_encode(uint8_t p[static 32], const struct fe *a)
{
	static const struct fe plain_one = {{1, 0, 0, 0}};
	struct fe plain;

	fe_mul(&plain, a, &plain_one);
	limbs_encode(p, plain.w);
}
