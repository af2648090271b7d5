/* Public keys: their names, their checks, and the one way to a verified signature. */
#include "crypto/key.h"

#include <sodium.h>

#include "crypto/ecdsa.h"
#include "crypto/hash.h"
#include "crypto/rsa.h"

static const char *const scheme_names[] = {
	[KEY_NONE] = "none",
	[KEY_ED25519] = "ed25519",
	[KEY_ECDSA_P256] = "ecdsa-sha2-nistp256",
	[KEY_ECDSA_P384] = "ecdsa-sha2-nistp384",
	[KEY_RSA_PSS_SHA256] = "rsassa-pss-sha256",
};

int crypto_start(struct error *err)
{
	if (sodium_init() < 0)
		return error_set(err, ERR_FAILED, "cannot start libsodium: the system gives no randomness");
	return 0;
}

bool secret_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || sodium_memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b)
{
	return a->scheme == b->scheme && slice_equal(slice_of(a->data, a->len), slice_of(b->data, b->len));
}

const char *key_scheme_name(enum key_scheme scheme)
{
	return (size_t)scheme < ARRAY_SIZE(scheme_names) ? scheme_names[scheme] : scheme_names[KEY_NONE];
}

enum key_scheme key_scheme_by_name(struct slice name)
{
	enum key_scheme scheme;

	for (scheme = KEY_ED25519; scheme < ARRAY_SIZE(scheme_names); scheme++)
		if (slice_equal_str(name, scheme_names[scheme]))
			return scheme;
	return KEY_NONE;
}

/* On the curve, in its encoding, in the prime subgroup: what every honestly made key is. */
static int ed25519_check(const struct pubkey *k, struct error *err)
{
	if (k->len != crypto_sign_ed25519_PUBLICKEYBYTES)
		return error_set(err, ERR_MALFORMED, "an Ed25519 key has 32 bytes, not %zu", k->len);
	if (crypto_core_ed25519_is_valid_point(k->data) != 1)
		return error_set(err, ERR_REFUSED, "the Ed25519 key is no point of the prime subgroup");
	return 0;
}

int pubkey_check(const struct pubkey *k, struct error *err)
{
	struct slice n, e;

	switch (k->scheme) {
	case KEY_ED25519:
		return ed25519_check(k, err);
	case KEY_ECDSA_P256:
	case KEY_ECDSA_P384:
		return ecdsa_check(k, err);
	case KEY_RSA_PSS_SHA256:
		return rsa_parts(k, &n, &e, err);
	case KEY_NONE:
		break;
	}
	return error_set(err, ERR_REFUSED, "no key of a known scheme");
}

/*
 * RFC 8032 5.1.7 with the refusals that make a signature belong to one message and one key: S below L, R and A
 * encoded canonically and not of small order. libsodium checks all of these.
 */
static int ed25519_verify(const struct pubkey *k, struct slice msg, struct slice sig, struct error *err)
{
	if (k->len != crypto_sign_ed25519_PUBLICKEYBYTES)
		return error_set(err, ERR_MALFORMED, "an Ed25519 key has 32 bytes, not %zu", k->len);
	if (sig.len != crypto_sign_ed25519_BYTES)
		return error_set(err, ERR_MALFORMED, "an Ed25519 signature has 64 bytes, not %zu", sig.len);
	if (crypto_sign_ed25519_verify_detached(sig.ptr, msg.ptr, msg.len, k->data) != 0)
		return error_set(err, ERR_REFUSED, "the Ed25519 signature does not hold");
	return 0;
}

static int p384_verify(const struct pubkey *k, struct slice msg, struct slice sig, struct error *err)
{
	uint8_t hash[SHA384_LEN];

	sha384_of(msg, hash);
	return ecdsa_verify(k, slice_of(hash, sizeof(hash)), sig, err);
}

int pubkey_verify(const struct pubkey *k, struct slice msg, struct slice sig, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	switch (k->scheme) {
	case KEY_ED25519:
		return ed25519_verify(k, msg, sig, err);
	case KEY_ECDSA_P256:
		sha256_of(msg, hash);
		return ecdsa_verify(k, slice_of(hash, sizeof(hash)), sig, err);
	case KEY_ECDSA_P384:
		return p384_verify(k, msg, sig, err);
	case KEY_RSA_PSS_SHA256:
		sha256_of(msg, hash);
		return rsa_pss_verify(k, hash, sig, err);
	case KEY_NONE:
		break;
	}
	return error_set(err, ERR_REFUSED, "no key of a known scheme");
}

int pubkey_verify_sha256(const struct pubkey *k, const uint8_t hash[static 32], struct slice sig, struct error *err)
{
	if (k->scheme != KEY_ECDSA_P256)
		return error_set(err, ERR_REFUSED, "a P-256 key is wanted, this is %s", key_scheme_name(k->scheme));
	return ecdsa_verify(k, slice_of(hash, SHA256_LEN), sig, err);
}
