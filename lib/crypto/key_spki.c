/* Public keys as SubjectPublicKeyInfo: RFC 5480 (ECDSA), RFC 8410 (Ed25519), RFC 3279 (RSA); DER and PEM. */
#include "crypto/der.h"
#include "crypto/key.h"
#include "crypto/pem.h"

#define PEM_LABEL "PUBLIC KEY"
#define SPKI_MAX (PUBKEY_LEN_MAX + 64)

/* The AlgorithmIdentifier of each scheme in full: there is exactly one way to write each. */
static const struct algorithm {
	enum key_scheme scheme;
	size_t key_len;		/* 0: varies */
	struct slice der;
} algorithms[] = {
	/* 1.3.101.112, no parameters */
	{KEY_ED25519, 32, {(const uint8_t *)"\x30\x05\x06\x03\x2b\x65\x70", 7}},
	/* 1.2.840.10045.2.1 with 1.2.840.10045.3.1.7 */
	{KEY_ECDSA_P256, 65,
	 {(const uint8_t *)"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
			   "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 21}},
	/* 1.2.840.10045.2.1 with 1.3.132.0.34 */
	{KEY_ECDSA_P384, 97,
	 {(const uint8_t *)"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22", 18}},
	/* 1.2.840.113549.1.1.1 with NULL */
	{KEY_RSA_PSS_SHA256, 0,
	 {(const uint8_t *)"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00", 15}},
};

/* Tag and length of content up to 64 KiB. */
static void put_head(struct buf *out, uint8_t tag, size_t len)
{
	buf_put_u8(out, tag);
	if (len > 0xff)
		buf_put_u8(out, 0x82);
	else if (len > 0x7f)
		buf_put_u8(out, 0x81);
	if (len > 0xff)
		buf_put_u8(out, (uint8_t)(len >> 8));
	buf_put_u8(out, (uint8_t)len);
}

/* How long put_head's work and the content are together. */
static size_t element_len(size_t len)
{
	return len + (len > 0xff ? 4 : len > 0x7f ? 3 : 2);
}

void pubkey_put_spki(struct buf *out, const struct pubkey *k)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(algorithms); i++) {
		const struct algorithm *a = &algorithms[i];

		if (a->scheme != k->scheme)
			continue;
		put_head(out, DER_SEQUENCE, a->der.len + element_len(1 + k->len));
		buf_put_slice(out, a->der);
		put_head(out, DER_BIT_STRING, 1 + k->len);
		buf_put_u8(out, 0);	/* no unused bits */
		buf_put(out, k->data, k->len);
	}
}

void pubkey_put_pem(struct buf *out, const struct pubkey *k)
{
	struct buf der = BUF_INIT(SPKI_MAX);

	pubkey_put_spki(&der, k);
	pem_put(out, PEM_LABEL, buf_slice(&der));
	buf_release(&der);
}

static const struct algorithm *algorithm_of(struct slice der)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (slice_equal(der, algorithms[i].der))
			return &algorithms[i];
	return NULL;
}

int pubkey_from_spki(struct pubkey *k, struct slice der, struct error *err)
{
	struct der all = der_of(der), info;
	struct slice algorithm, bits;
	const struct algorithm *a;

	if (der_enter(&all, DER_SEQUENCE, &info, "public key", err) < 0 ||
	    der_end(&all, "the public key", err) < 0 ||
	    der_get_whole(&info, DER_SEQUENCE, &algorithm, "algorithm of the public key", err) < 0 ||
	    der_bits(&info, &bits, "bits of the public key", err) < 0 ||
	    der_end(&info, "bits of the public key", err) < 0)
		return -1;
	a = algorithm_of(algorithm);
	if (a == NULL) {
		error_set(err, ERR_MALFORMED, "the public key is of an algorithm that is not known here");
		return error_hint(err, "known are Ed25519, ECDSA P-256 and P-384 as named curves, and RSA");
	}
	if (bits.len > sizeof(k->data) || (a->key_len != 0 && bits.len != a->key_len))
		return error_set(err, ERR_MALFORMED, "a public key of %zu bytes does not fit its algorithm",
				 bits.len);
	*k = (struct pubkey){.scheme = a->scheme, .len = bits.len};
	memcpy(k->data, bits.ptr, bits.len);
	return pubkey_check(k, err);
}

int pubkey_from_pem(struct pubkey *k, struct slice pem, struct error *err)
{
	struct buf der = BUF_INIT(SPKI_MAX);
	int r = -1;

	if (pem_get(pem, PEM_LABEL, &der, err) == 0)
		r = pubkey_from_spki(k, buf_slice(&der), err);
	buf_release(&der);
	return r;
}
