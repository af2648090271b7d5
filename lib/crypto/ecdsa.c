/* ECDSA: the strict form of its signatures, the ranges of its numbers; P-256 is ours, P-384 BearSSL's. */
#include "crypto/ecdsa.h"

#include <assert.h>
#include <bearssl.h>
#include <sodium.h>

#include "crypto/der.h"

size_t ecdsa_len(enum key_scheme scheme)
{
	return scheme == KEY_ECDSA_P256 ? P256_LEN : scheme == KEY_ECDSA_P384 ? P384_LEN : 0;
}

/* Whether 0 < v < n, the order of the curve. */
static bool in_range(enum key_scheme scheme, const uint8_t *v, size_t len)
{
	int curve = scheme == KEY_ECDSA_P256 ? BR_EC_secp256r1 : BR_EC_secp384r1;
	size_t order_len;
	const unsigned char *order = br_ec_get_default()->order(curve, &order_len);

	return order_len == len && memcmp(v, order, len) < 0 && !sodium_is_zero(v, len);
}

static int p384_check(const uint8_t p[static P384_POINT_LEN])
{
	static const unsigned char one[1] = {1};
	uint8_t point[P384_POINT_LEN];

	/* Multiplying checks that the point is on the curve; by one, it is cheap. */
	memcpy(point, p, sizeof(point));
	return br_ec_get_default()->mul(point, sizeof(point), one, sizeof(one), BR_EC_secp384r1) == 1 ? 0 : -1;
}

int ecdsa_check(const struct pubkey *k, struct error *err)
{
	size_t len = ecdsa_len(k->scheme);
	int r;

	if (k->len != 1 + 2 * len || k->data[0] != 0x04)
		return error_set(err, ERR_MALFORMED, "not an uncompressed point of %zu bytes", 1 + 2 * len);
	r = k->scheme == KEY_ECDSA_P256 ? p256_check(k->data) : p384_check(k->data);
	if (r < 0)
		return error_set(err, ERR_REFUSED, "the point is not on the curve of %s",
				 key_scheme_name(k->scheme));
	return 0;
}

/* One number of a signature into a field of len bytes. */
static int number_from_der(uint8_t *out, size_t len, struct der *d, const char *what, struct error *err)
{
	struct slice magnitude;

	if (der_uint(d, &magnitude, what, err) < 0)
		return -1;
	if (magnitude.len > len)
		return error_set(err, ERR_MALFORMED, "%s is longer than %zu bytes", what, len);
	memset(out, 0, len);
	if (magnitude.len > 0)
		memcpy(out + len - magnitude.len, magnitude.ptr, magnitude.len);
	return 0;
}

int ecdsa_raw_from_der(uint8_t *raw, size_t len, struct slice der, struct error *err)
{
	struct der all = der_of(der), pair;

	if (der_enter(&all, DER_SEQUENCE, &pair, "ECDSA signature", err) < 0 ||
	    number_from_der(raw, len, &pair, "r of the ECDSA signature", err) < 0 ||
	    number_from_der(raw + len, len, &pair, "s of the ECDSA signature", err) < 0 ||
	    der_end(&pair, "s of the ECDSA signature", err) < 0)
		return -1;
	return der_end(&all, "the ECDSA signature", err);
}

/* INTEGER from a field of len bytes: without leading zeros, but one where it would look negative. */
static void put_number(struct buf *out, const uint8_t *p, size_t len)
{
	while (len > 1 && p[0] == 0) {
		p++;
		len--;
	}
	buf_put_u8(out, DER_INTEGER);
	buf_put_u8(out, (uint8_t)(len + (p[0] >= 0x80 ? 1 : 0)));
	if (p[0] >= 0x80)
		buf_put_u8(out, 0);
	buf_put(out, p, len);
}

void ecdsa_put_der(struct buf *out, const uint8_t *raw, size_t len)
{
	struct buf pair = BUF_INIT(127);	/* so that the length is one byte */

	assert(len < 60);
	put_number(&pair, raw, len);
	put_number(&pair, raw + len, len);
	assert(!pair.failed);
	buf_put_u8(out, DER_SEQUENCE);
	buf_put_u8(out, (uint8_t)pair.len);
	buf_put_slice(out, buf_slice(&pair));
	buf_release(&pair);
}

static int p384_verify(const uint8_t p[static P384_POINT_LEN], struct slice hash, const uint8_t raw[static 2 * P384_LEN])
{
	uint8_t point[P384_POINT_LEN];
	br_ec_public_key pk = {BR_EC_secp384r1, point, sizeof(point)};

	memcpy(point, p, sizeof(point));	/* BearSSL's type has no const */
	return br_ecdsa_i31_vrfy_raw(br_ec_get_default(), hash.ptr, hash.len, &pk, raw, 2 * P384_LEN) == 1 ? 0 : -1;
}

int ecdsa_verify(const struct pubkey *k, struct slice hash, struct slice sig_der, struct error *err)
{
	size_t len = ecdsa_len(k->scheme);
	uint8_t raw[ECDSA_RAW_MAX];
	int r;

	if (k->len != 1 + 2 * len || hash.len != len)
		return error_set(err, ERR_REFUSED, "key or hash has the wrong length for %s",
				 key_scheme_name(k->scheme));
	if (ecdsa_raw_from_der(raw, len, sig_der, err) < 0)
		return -1;
	if (!in_range(k->scheme, raw, len) || !in_range(k->scheme, raw + len, len))
		return error_set(err, ERR_REFUSED, "r or s of the ECDSA signature is out of range");
	r = k->scheme == KEY_ECDSA_P256 ? p256_verify(k->data, hash.ptr, hash.len, raw)
					: p384_verify(k->data, hash, raw);
	if (r < 0)
		return error_set(err, ERR_REFUSED, "the ECDSA signature does not hold");
	return 0;
}

int ecdsa_public(struct pubkey *k, const uint8_t scalar[static P256_LEN], struct error *err)
{
	*k = (struct pubkey){.scheme = KEY_ECDSA_P256, .len = P256_POINT_LEN};
	if (p256_public(k->data, scalar) < 0)
		return error_set(err, ERR_REFUSED, "the secret number of the P-256 key is out of range");
	return 0;
}

int ecdsa_sign(const uint8_t scalar[static P256_LEN], const uint8_t hash[static 32], struct buf *sig_der,
	       struct error *err)
{
	uint8_t raw[P256_SIG_LEN];

	if (p256_sign(raw, scalar, hash, 32) < 0)
		return error_set(err, ERR_FAILED, "cannot sign with the P-256 key");
	ecdsa_put_der(sig_der, raw, P256_LEN);
	return 0;
}
