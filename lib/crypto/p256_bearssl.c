/* P-256 by BearSSL: what p256.h promises, where the compiler has no numbers of 128 bits (armhf). */
#include "crypto/p256.h"

#include <stdbool.h>
#include <string.h>

#include <sodium.h>

#include "crypto/p256_nonce.h"

#define STACK_WIPE 4096	/* BearSSL leaves scalars and nonces there */

const char *p256_implementation(void)
{
	return "bearssl";
}

/* Whether v < n, in time that does not depend on v. */
static bool below_order(const uint8_t v[static P256_LEN])
{
	size_t len, i;
	const unsigned char *order = br_ec_get_default()->order(BR_EC_secp256r1, &len);
	unsigned borrow = 0;

	for (i = P256_LEN; i-- > 0;)
		borrow = ((unsigned)v[i] - order[i] - borrow) >> 8 & 1;
	return borrow == 1;
}

static bool in_range(const uint8_t v[static P256_LEN])
{
	return below_order(v) && !sodium_is_zero(v, P256_LEN);
}

int p256_public(uint8_t point[static P256_POINT_LEN], const uint8_t scalar[static P256_LEN])
{
	int r = -1;

	if (in_range(scalar) && br_ec_get_default()->mulgen(point, scalar, P256_LEN, BR_EC_secp256r1) == P256_POINT_LEN)
		r = 0;
	sodium_stackzero(STACK_WIPE);
	return r;
}

int p256_check(const uint8_t point[static P256_POINT_LEN])
{
	static const unsigned char one[1] = {1};
	uint8_t copy[P256_POINT_LEN];

	/* Multiplying checks that the point is on the curve; by one, it is cheap. */
	memcpy(copy, point, sizeof(copy));
	return br_ec_get_default()->mul(copy, sizeof(copy), one, sizeof(one), BR_EC_secp256r1) == 1 ? 0 : -1;
}

int p256_shared(uint8_t out[static P256_POINT_LEN], const uint8_t scalar[static P256_LEN],
		const uint8_t point[static P256_POINT_LEN])
{
	int r = -1;

	memmove(out, point, P256_POINT_LEN);
	if (in_range(scalar) &&
	    br_ec_get_default()->mul(out, P256_POINT_LEN, scalar, P256_LEN, BR_EC_secp256r1) == 1)
		r = 0;
	else
		memset(out, 0, P256_POINT_LEN);
	sodium_stackzero(STACK_WIPE);
	return r;
}

/* BearSSL's sum goes wrong where a factor is 0. */
static int sum_of_one(uint8_t out[static P256_POINT_LEN], const uint8_t x[static P256_LEN],
		      const uint8_t a[static P256_POINT_LEN], const uint8_t y[static P256_LEN], const uint8_t *b)
{
	if (p256_check(a) < 0 || (b != NULL && p256_check(b) < 0))
		return -1;
	if (!sodium_is_zero(x, P256_LEN))
		return p256_shared(out, x, a);
	if (b != NULL)
		return p256_shared(out, y, b);
	return p256_public(out, y);
}

int p256_muladd(uint8_t out[static P256_POINT_LEN], const uint8_t x[static P256_LEN],
		const uint8_t a[static P256_POINT_LEN], const uint8_t y[static P256_LEN], const uint8_t *b)
{
	uint8_t sum[P256_POINT_LEN];
	bool ok = below_order(x) && below_order(y);

	memcpy(sum, a, sizeof(sum));
	if (in_range(x) && in_range(y))
		ok = br_ec_get_default()->muladd(sum, b, sizeof(sum), x, P256_LEN, y, P256_LEN, BR_EC_secp256r1) == 1;
	else
		ok = ok && sum_of_one(sum, x, a, y, b) == 0;
	if (ok)
		memcpy(out, sum, sizeof(sum));
	else
		memset(out, 0, P256_POINT_LEN);
	return ok ? 0 : -1;
}

int p256_sign(uint8_t sig[static P256_SIG_LEN], const uint8_t scalar[static P256_LEN], const uint8_t *hash,
	      size_t hash_len)
{
	const br_hash_class *class = p256_hash_of_len(hash_len);
	uint8_t copy[P256_LEN];
	br_ec_private_key sk = {BR_EC_secp256r1, copy, sizeof(copy)};
	size_t n;

	if (class == NULL || !in_range(scalar))
		return -1;
	memcpy(copy, scalar, sizeof(copy));	/* BearSSL's type has no const */
	n = br_ecdsa_i31_sign_raw(br_ec_get_default(), class, hash, &sk, sig);
	explicit_bzero(copy, sizeof(copy));
	sodium_stackzero(STACK_WIPE);
	return n == P256_SIG_LEN ? 0 : -1;
}

int p256_verify(const uint8_t point[static P256_POINT_LEN], const uint8_t *hash, size_t hash_len,
		const uint8_t sig[static P256_SIG_LEN])
{
	uint8_t copy[P256_POINT_LEN];
	br_ec_public_key pk = {BR_EC_secp256r1, copy, sizeof(copy)};

	/* Not left to it, since it does not look for 0. */
	if (!in_range(sig) || !in_range(sig + P256_LEN))
		return -1;
	memcpy(copy, point, sizeof(copy));
	return br_ecdsa_i31_vrfy_raw(br_ec_get_default(), hash, hash_len, &pk, sig, P256_SIG_LEN) == 1 ? 0 : -1;
}
