/*
 * ECDSA of a handshake and of certificates, in the form of BearSSL's br_ecdsa_sign and br_ecdsa_vrfy: P-256 by lib/crypto.
 * Our own keys are P-256; keys that others show (an intermediate CA's) may be on another of `curves`, and are BearSSL's to judge.
 */
#include "crypto/ecdsa.h"
#include "net/tls_internal.h"

size_t tls_ecdsa_sign(const br_ec_impl *curves, const br_hash_class *hash, const void *value,
		      const br_ec_private_key *key, void *sig)
{
	size_t hash_len = hash->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK;

	(void)curves;
	if (key->curve != BR_EC_secp256r1 || key->xlen != P256_LEN || p256_sign(sig, key->x, value, hash_len) < 0)
		return 0;
	return br_ecdsa_raw_to_asn1(sig, P256_SIG_LEN);
}

uint32_t tls_ecdsa_verify(const br_ec_impl *curves, const void *hash, size_t hash_len, const br_ec_public_key *key,
			  const void *sig, size_t sig_len)
{
	struct error err = ERROR_INIT;	/* the caller asks for no reason */
	uint8_t raw[P256_SIG_LEN];

	if (key->curve != BR_EC_secp256r1)
		return br_ecdsa_vrfy_asn1_get_default()(curves, hash, hash_len, key, sig, sig_len);
	if (key->qlen != P256_POINT_LEN || ecdsa_raw_from_der(raw, P256_LEN, slice_of(sig, sig_len), &err) < 0)
		return 0;
	return p256_verify(key->q, hash, hash_len, raw) == 0;
}
