/*
 * The curves of a handshake: BearSSL's, but Curve25519 and P-256 by lib/crypto. BearSSL's engine makes a random scalar, hands
 * it to mulgen, then to mul, and knows nothing else about it. On Curve25519 it is read as RFC 7748 has it, little-endian, as
 * BearSSL 0.6 does; both clamp, so they agree on every input. On P-256 it is big-endian; 0 and what is not less than the
 * order are refused, of which the engine makes none.
 */
#include <string.h>

#include "crypto/p256.h"
#include "crypto/x25519.h"
#include "net/tls_internal.h"

_Static_assert(X25519_LEN == P256_LEN, "one length of scalars");

/* x where its curve wants it: at the low end of 32 bytes, which is their beginning on Curve25519. */
static void scalar_fill(uint8_t out[static P256_LEN], const unsigned char *x, size_t len, int curve)
{
	memset(out, 0, P256_LEN);
	memcpy(curve == BR_EC_curve25519 ? out : out + P256_LEN - len, x, len);
}

static const unsigned char *generator(int curve, size_t *len)
{
	return br_ec_get_default()->generator(curve, len);
}

static const unsigned char *order(int curve, size_t *len)
{
	return br_ec_get_default()->order(curve, len);
}

static size_t xoff(int curve, size_t *len)
{
	return br_ec_get_default()->xoff(curve, len);
}

static int x25519_mul(unsigned char *G, const uint8_t scalar[static X25519_LEN])
{
	uint8_t shared[X25519_LEN];
	int r = x25519_shared(shared, scalar, G);

	memcpy(G, shared, sizeof(shared));
	explicit_bzero(shared, sizeof(shared));
	return r;
}

/* G = x * G; 1 when that is a point to go on with. */
static uint32_t mul(unsigned char *G, size_t G_len, const unsigned char *x, size_t x_len, int curve)
{
	uint8_t scalar[P256_LEN];
	int r;

	if (curve != BR_EC_curve25519 && curve != BR_EC_secp256r1)
		return br_ec_get_default()->mul(G, G_len, x, x_len, curve);
	if (G_len != (curve == BR_EC_curve25519 ? X25519_LEN : P256_POINT_LEN) || x_len > sizeof(scalar))
		return 0;
	scalar_fill(scalar, x, x_len, curve);
	r = curve == BR_EC_curve25519 ? x25519_mul(G, scalar) : p256_shared(G, scalar, G);
	explicit_bzero(scalar, sizeof(scalar));
	return r == 0;
}

/* R = x * G; its length, or 0 when there is no such point. */
static size_t mulgen(unsigned char *R, const unsigned char *x, size_t x_len, int curve)
{
	uint8_t scalar[P256_LEN];
	size_t len = X25519_LEN;

	if (curve != BR_EC_curve25519 && curve != BR_EC_secp256r1)
		return br_ec_get_default()->mulgen(R, x, x_len, curve);
	if (x_len > sizeof(scalar))
		return 0;
	scalar_fill(scalar, x, x_len, curve);
	if (curve == BR_EC_curve25519)
		x25519_public(R, scalar);
	else
		len = p256_public(R, scalar) == 0 ? P256_POINT_LEN : 0;
	explicit_bzero(scalar, sizeof(scalar));
	return len;
}

/* A = x * A + y * B, B being the base point when it is NULL. Of public numbers. */
static uint32_t muladd(unsigned char *A, const unsigned char *B, size_t len, const unsigned char *x, size_t x_len,
		       const unsigned char *y, size_t y_len, int curve)
{
	uint8_t a[P256_LEN], b[P256_LEN];

	if (curve != BR_EC_secp256r1)
		return br_ec_get_default()->muladd(A, B, len, x, x_len, y, y_len, curve);
	if (len != P256_POINT_LEN || x_len > sizeof(a) || y_len > sizeof(b))
		return 0;
	scalar_fill(a, x, x_len, curve);
	scalar_fill(b, y, y_len, curve);
	return p256_muladd(A, a, A, b, B) == 0;
}

const br_ec_impl tls_curves = {
	.supported_curves = 1u << BR_EC_curve25519 | 1u << BR_EC_secp256r1 | 1u << BR_EC_secp384r1,
	.generator = generator,
	.order = order,
	.xoff = xoff,
	.mul = mul,
	.mulgen = mulgen,
	.muladd = muladd,
};
