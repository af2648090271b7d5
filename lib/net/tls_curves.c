/*
 * The curves of a handshake: BearSSL's, but Curve25519 by lib/crypto. BearSSL's engine makes a random scalar, hands it to
 * mulgen, then to mul, and knows nothing else about it. As BearSSL 0.6 does, it is read as RFC 7748 has it, little-endian;
 * both clamp, so they agree on every input.
 */
#include <string.h>

#include "crypto/x25519.h"
#include "net/tls_internal.h"

static void scalar_fill(uint8_t out[static X25519_LEN], const unsigned char *x, size_t len)
{
	memset(out, 0, X25519_LEN);
	memcpy(out, x, len);
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

/* G = x * G; 1 when that is a point to go on with. */
static uint32_t mul(unsigned char *G, size_t G_len, const unsigned char *x, size_t x_len, int curve)
{
	uint8_t scalar[X25519_LEN], shared[X25519_LEN];
	int r;

	if (curve != BR_EC_curve25519)
		return br_ec_get_default()->mul(G, G_len, x, x_len, curve);
	if (G_len != X25519_LEN || x_len > X25519_LEN)
		return 0;
	scalar_fill(scalar, x, x_len);
	r = x25519_shared(shared, scalar, G);
	memcpy(G, shared, sizeof(shared));
	explicit_bzero(scalar, sizeof(scalar));
	explicit_bzero(shared, sizeof(shared));
	return r == 0;
}

static size_t mulgen(unsigned char *R, const unsigned char *x, size_t x_len, int curve)
{
	uint8_t scalar[X25519_LEN];

	if (curve != BR_EC_curve25519)
		return br_ec_get_default()->mulgen(R, x, x_len, curve);
	if (x_len > X25519_LEN)
		return 0;
	scalar_fill(scalar, x, x_len);
	x25519_public(R, scalar);
	explicit_bzero(scalar, sizeof(scalar));
	return X25519_LEN;
}

static uint32_t muladd(unsigned char *A, const unsigned char *B, size_t len, const unsigned char *x, size_t x_len,
		       const unsigned char *y, size_t y_len, int curve)
{
	return br_ec_get_default()->muladd(A, B, len, x, x_len, y, y_len, curve);
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
