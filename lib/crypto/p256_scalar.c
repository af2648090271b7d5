/* Scalars of P-256, by Montgomery multiplication on words of 64 bits. */
#include "crypto/p256_scalar.h"

const uint64_t sn_n[4] = {0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000};

/* -1/n mod 2^64; 2^512 mod n. */
#define N_INV 0xccd1c8aaee00bc4f
static const struct sn sn_r2 = {
	{0x83244c95be79eea2, 0x4699799c49bd6fa6, 0x2845b2392b6bec59, 0x66e12d94f3d95620}
};

/* r = t / 2^256 mod n, for t < n * 2^256. Destroys t. */
LIMBS_INLINE void reduce(struct sn *r, uint64_t t[static 8])
{
	uint64_t c, m, carry = 0;	/* carry: out of t[i + 3], to be added to t[i + 4] in the next round */
	unsigned i;

#pragma GCC unroll 4
	for (i = 0; i < 4; i++) {
		m = t[i] * N_INV;
		c = limbs_mac(&t[i], m, sn_n[0], 0);	/* t[i] becomes 0 */
		c = limbs_mac(&t[i + 1], m, sn_n[1], c);
		c = limbs_mac(&t[i + 2], m, sn_n[2], c);
		c = limbs_mac(&t[i + 3], m, sn_n[3], c);
		carry = limbs_adc(&t[i + 4], t[i + 4], c, carry);
	}
	limbs_reduce_once(r->w, carry, t + 4, sn_n);
}

void sn_mul(struct sn *r, const struct sn *a, const struct sn *b)
{
	uint64_t t[8];

	limbs_mul(t, a->w, b->w);
	reduce(r, t);
}

static void sn_sqr(struct sn *r, const struct sn *a)
{
	uint64_t t[8];

	limbs_sqr(t, a->w);
	reduce(r, t);
}

void sn_mont(struct sn *r, const struct sn *a)
{
	sn_mul(r, a, &sn_r2);
}

void sn_reduce(struct sn *r, const uint64_t a[static 4])
{
	limbs_reduce_once(r->w, 0, a, sn_n);
}

/* a^(n-2), by Fermat, four bits at a time; what is looked up and left out depends on n alone. */
void sn_inv(struct sn *r, const struct sn *a)
{
	static const uint64_t exponent[4] = {0xf3b9cac2fc63254f, 0xbce6faada7179e84, 0xffffffffffffffff,
					     0xffffffff00000000};
	struct sn power[16], t;	/* power[i]: a^i * 2^256, power[0] not used */
	unsigned i, digit;

	sn_mont(&power[1], a);
	for (i = 2; i < 16; i++)
		sn_mul(&power[i], &power[i - 1], &power[1]);
	t = power[15];
	for (i = 63; i-- > 0;) {
		sn_sqr(&t, &t);
		sn_sqr(&t, &t);
		sn_sqr(&t, &t);
		sn_sqr(&t, &t);
		digit = exponent[i / 16] >> (4 * (i % 16)) & 15;
		if (digit != 0)
			sn_mul(&t, &t, &power[digit]);
	}
	*r = t;
}

uint64_t sn_decode(struct sn *r, const uint8_t p[static 32])
{
	uint64_t plain[4], t[4];

	limbs_decode(plain, p);
	sn_reduce(r, plain);
	return limbs_sub(t, plain, sn_n);
}

void sn_encode(uint8_t p[static 32], const struct sn *a)
{
	limbs_encode(p, a->w);
}

uint64_t sn_abs(struct sn *r, const struct sn *a)
{
	uint64_t t[4], mask;
	struct sn minus;

	(void)limbs_sub(minus.w, sn_n, a->w);
	mask = limbs_mask(limbs_sub(t, minus.w, a->w));
	*r = *a;
	limbs_cmov(r->w, minus.w, mask);
	return mask;
}
