/* RSASSA-PSS on top of BearSSL's modular exponentiation: the padding is checked here (RFC 8017 9.1.2). */
#include "crypto/rsa.h"

#include <bearssl.h>

#include "crypto/der.h"
#include "crypto/hash.h"

#define MODULUS_MAX (RSA_BITS_MAX / 8)

/* The number of bits of a number without leading zeros. */
static size_t bit_length(struct slice v)
{
	size_t bits = 8 * v.len;
	uint8_t top = v.len > 0 ? v.ptr[0] : 0x80;

	for (; top < 0x80; top = (uint8_t)(top << 1))
		bits--;
	return bits;
}

int rsa_parts(const struct pubkey *k, struct slice *n, struct slice *e, struct error *err)
{
	struct der all = der_of(slice_of(k->data, k->len)), pair;
	size_t bits;

	if (der_enter(&all, DER_SEQUENCE, &pair, "RSA key", err) < 0 ||
	    der_uint(&pair, n, "modulus of the RSA key", err) < 0 ||
	    der_uint(&pair, e, "exponent of the RSA key", err) < 0 ||
	    der_end(&pair, "exponent of the RSA key", err) < 0 || der_end(&all, "RSA key", err) < 0)
		return -1;
	bits = bit_length(*n);
	if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
		return error_set(err, ERR_REFUSED, "the RSA key has %zu bits, not %d to %d", bits, RSA_BITS_MIN,
				 RSA_BITS_MAX);
	if ((n->ptr[n->len - 1] & 1) == 0)
		return error_set(err, ERR_REFUSED, "the modulus of the RSA key is even");
	if (e->len < 1 || e->len > 4 || (e->ptr[e->len - 1] & 1) == 0 || (e->len == 1 && e->ptr[0] == 1))
		return error_set(err, ERR_REFUSED, "the exponent of the RSA key is not odd between 3 and 2^32");
	return 0;
}

/* XOR MGF1-SHA256 of seed over p (RFC 8017 B.2.1). */
static void mgf1_xor(uint8_t *p, size_t len, const uint8_t seed[static SHA256_LEN])
{
	uint8_t mask[SHA256_LEN], counter[4] = {0};
	struct sha256 h;
	size_t i;

	for (i = 0; i < len; i++) {
		if (i % SHA256_LEN == 0) {
			sha256_init(&h);
			sha256_update(&h, seed, SHA256_LEN);
			sha256_update(&h, counter, sizeof(counter));
			sha256_final(&h, mask);
			counter[3]++;	/* a modulus takes at most 16 */
		}
		p[i] ^= mask[i % SHA256_LEN];
	}
}

/* H' of 9.1.2 steps 12 and 13: eight zero bytes, the hash of the message, the salt. */
static void salted_hash(uint8_t out[static SHA256_LEN], const uint8_t hash[static SHA256_LEN], struct slice salt)
{
	static const uint8_t zeros[8];
	struct sha256 h;

	sha256_init(&h);
	sha256_update(&h, zeros, sizeof(zeros));
	sha256_update(&h, hash, SHA256_LEN);
	sha256_update(&h, salt.ptr, salt.len);
	sha256_final(&h, out);
}

/* EMSA-PSS-VERIFY over em of em_bits bits, which is changed. Nothing here is secret, so time may vary. */
static bool pss_holds(uint8_t *em, size_t em_bits, const uint8_t hash[static SHA256_LEN])
{
	size_t em_len = (em_bits + 7) / 8, db_len = em_len - SHA256_LEN - 1, at = 0;
	uint8_t spare = (uint8_t)(0xff << (8 - (8 * em_len - em_bits)));	/* bits above em_bits */
	uint8_t want[SHA256_LEN];

	if (em[em_len - 1] != 0xbc || (em[0] & spare) != 0)
		return false;
	mgf1_xor(em, db_len, em + db_len);
	em[0] = (uint8_t)(em[0] & ~spare);
	while (at < db_len && em[at] == 0)
		at++;
	if (at == db_len || em[at] != 0x01)
		return false;
	salted_hash(want, hash, slice_of(em + at + 1, db_len - at - 1));
	return memcmp(want, em + db_len, SHA256_LEN) == 0;
}

int rsa_pss_verify(const struct pubkey *k, const uint8_t hash[static 32], struct slice sig, struct error *err)
{
	uint8_t em[MODULUS_MAX], n_copy[MODULUS_MAX], e_copy[4];
	size_t em_bits, skip;
	struct slice n, e;

	if (rsa_parts(k, &n, &e, err) < 0)
		return -1;
	if (sig.len != n.len)
		return error_set(err, ERR_MALFORMED, "the RSA signature has %zu bytes, its key %zu", sig.len, n.len);
	memcpy(em, sig.ptr, sig.len);
	memcpy(n_copy, n.ptr, n.len);	/* BearSSL's type has no const */
	memcpy(e_copy, e.ptr, e.len);
	if (br_rsa_public_get_default()(em, sig.len, &(br_rsa_public_key){n_copy, n.len, e_copy, e.len}) != 1)
		return error_set(err, ERR_REFUSED, "the RSA signature is not below its modulus");
	/* A modulus of 8m + 1 bits leaves a whole byte before the encoded message, which is zero. */
	em_bits = bit_length(n) - 1;
	skip = n.len - (em_bits + 7) / 8;
	if ((skip == 1 && em[0] != 0) || !pss_holds(em + skip, em_bits, hash))
		return error_set(err, ERR_REFUSED, "the RSA-PSS signature does not hold");
	return 0;
}
