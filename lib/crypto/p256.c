/* P-256 on words of 64 bits: what p256.h promises, out of points and scalars. */
#include "crypto/p256.h"

#include <string.h>

#include <sodium.h>

#include "crypto/p256_nonce.h"
#include "crypto/p256_point.h"
#include "crypto/p256_reveal.h"

/* More than all functions below this file need at a time: what they leave of secrets on the stack is wiped with it. */
#define STACK_WIPE 4096

const char *p256_implementation(void)
{
	return "64-bit";
}

/* 1 when 0 < k < n. */
static uint64_t scalar_decode(struct sn *k, const uint8_t p[static P256_LEN])
{
	uint64_t less = sn_decode(k, p);

	return less & (1 - sn_is_zero(k));
}

int p256_public(uint8_t point[static P256_POINT_LEN], const uint8_t scalar[static P256_LEN])
{
	struct point a;
	struct sn k;
	int r = -1;

	if (p256_reveal(scalar_decode(&k, scalar))) {
		point_mul_base(&a, &k);
		(void)point_encode(point, &a);	/* it is not infinity */
		explicit_bzero(&a, sizeof(a));
		r = 0;
	}
	explicit_bzero(&k, sizeof(k));
	sodium_stackzero(STACK_WIPE);
	return r;
}

int p256_check(const uint8_t point[static P256_POINT_LEN])
{
	struct point a;

	return point_decode(&a, point) == 1 ? 0 : -1;
}

int p256_shared(uint8_t out[static P256_POINT_LEN], const uint8_t scalar[static P256_LEN],
		const uint8_t point[static P256_POINT_LEN])
{
	struct point a;
	struct sn k;
	int r = -1;

	if (point_decode(&a, point) == 1 && p256_reveal(scalar_decode(&k, scalar))) {
		point_mul(&a, &k, &a);
		(void)point_encode(out, &a);
		r = 0;
	} else {
		memset(out, 0, P256_POINT_LEN);
	}
	explicit_bzero(&a, sizeof(a));
	explicit_bzero(&k, sizeof(k));
	sodium_stackzero(STACK_WIPE);
	return r;
}

int p256_muladd(uint8_t out[static P256_POINT_LEN], const uint8_t x[static P256_LEN],
		const uint8_t a[static P256_POINT_LEN], const uint8_t y[static P256_LEN], const uint8_t *b)
{
	struct point pa, pb;
	struct sn kx, ky;
	uint64_t ok = point_decode(&pa, a) & sn_decode(&kx, x) & sn_decode(&ky, y);

	if (b != NULL)
		ok &= point_decode(&pb, b);
	if (ok == 1) {
		point_mul_public(&pa, &kx, &pa);
		if (b != NULL)
			point_mul_public(&pb, &ky, &pb);
		else
			point_mul_base(&pb, &ky);
		point_add(&pa, &pa, &pb);
		ok = point_encode(out, &pa);
	}
	if (ok != 1)
		memset(out, 0, P256_POINT_LEN);
	return ok == 1 ? 0 : -1;
}

/* The leftmost 256 bits of the hash, modulo n (FIPS 186-5 6.4.1 step 2). */
static void hash_decode(struct sn *z, const uint8_t *hash, size_t len)
{
	uint8_t padded[P256_LEN] = {0};
	size_t take = len < P256_LEN ? len : P256_LEN;

	if (take > 0)
		memcpy(padded + P256_LEN - take, hash, take);
	(void)sn_decode(z, padded);
}

/* r = x modulo n, of a point that is not at infinity. */
static void point_x_mod_n(struct sn *r, const struct point *a)
{
	uint8_t encoded[P256_POINT_LEN];

	(void)point_encode(encoded, a);
	(void)sn_decode(r, encoded + 1);
}

/* FIPS 186-5 6.4.1, steps 3 to 11, with the nonce that is given. 0 when it does not serve, and then sig is no signature. */
static uint64_t sign_with(uint8_t sig[static P256_SIG_LEN], const struct sn *d, const struct sn *z,
			  const uint8_t nonce[static P256_LEN])
{
	struct sn k, inverse, r, s, t;
	struct point a;
	uint64_t ok = scalar_decode(&k, nonce);

	point_mul_base(&a, &k);
	point_x_mod_n(&r, &a);
	sn_mont(&t, &r);
	sn_mul(&t, &t, d);
	sn_add(&t, &t, z);
	sn_inv(&inverse, &k);
	sn_mul(&s, &t, &inverse);
	sn_encode(sig, &r);
	sn_encode(sig + P256_LEN, &s);
	ok &= 1 - sn_is_zero(&r);
	ok &= 1 - sn_is_zero(&s);
	explicit_bzero(&k, sizeof(k));
	explicit_bzero(&inverse, sizeof(inverse));
	explicit_bzero(&t, sizeof(t));
	explicit_bzero(&a, sizeof(a));
	return ok;
}

int p256_sign(uint8_t sig[static P256_SIG_LEN], const uint8_t scalar[static P256_LEN], const uint8_t *hash,
	      size_t hash_len)
{
	const br_hash_class *class = p256_hash_of_len(hash_len);
	uint8_t h[P256_LEN], nonce[P256_LEN];
	struct p256_nonces nonces;
	struct sn d, z;

	if (class == NULL)
		return -1;
	if (!p256_reveal(scalar_decode(&d, scalar))) {
		explicit_bzero(&d, sizeof(d));
		return -1;
	}
	hash_decode(&z, hash, hash_len);
	sn_encode(h, &z);
	p256_nonces_init(&nonces, class, scalar, h);
	do {
		p256_nonces_next(&nonces, nonce);
	} while (!p256_reveal(sign_with(sig, &d, &z, nonce)));
	explicit_bzero(&d, sizeof(d));
	explicit_bzero(nonce, sizeof(nonce));
	explicit_bzero(&nonces, sizeof(nonces));
	sodium_stackzero(STACK_WIPE);
	return 0;
}

/*
 * Whether x = X / Z of the point is r modulo n. x is less than p, and p is between n and 2n, so x is r or r + n; asking
 * whether X = r Z spares the division.
 */
static bool x_is(const struct point *a, const struct sn *r)
{
	uint64_t sum[4], t[4];
	struct fe x;

	if (fe_is_zero(&a->z))
		return false;
	fe_from_limbs(&x, r->w);
	fe_mul(&x, &x, &a->z);
	if (fe_equal(&x, &a->x))
		return true;
	if (limbs_add(sum, r->w, sn_n) != 0 || limbs_sub(t, sum, fe_p) == 0)
		return false;
	fe_from_limbs(&x, sum);
	fe_mul(&x, &x, &a->z);
	return fe_equal(&x, &a->x) == 1;
}

/* FIPS 186-5 6.4.2. All of it is public. */
int p256_verify(const uint8_t point[static P256_POINT_LEN], const uint8_t *hash, size_t hash_len,
		const uint8_t sig[static P256_SIG_LEN])
{
	struct sn r, s, z, inverse, u, v;
	struct point a, q;

	if (point_decode(&q, point) != 1 || scalar_decode(&r, sig) != 1 || scalar_decode(&s, sig + P256_LEN) != 1)
		return -1;
	hash_decode(&z, hash, hash_len);
	sn_inv(&inverse, &s);
	sn_mul(&u, &z, &inverse);
	sn_mul(&v, &r, &inverse);
	point_mul_base(&a, &u);
	point_mul_public(&q, &v, &q);
	point_add(&a, &a, &q);
	return x_is(&a, &r) ? 0 : -1;
}
