/*
 * Secret keys: they live between guard pages, out of the swap, read-only once made, and are wiped on free. Those of
 * tokens stay there.
 */
#include <assert.h>

#include <sodium.h>

#include "crypto/ecdsa.h"
#include "crypto/hash.h"
#include "crypto/key.h"
#include "crypto/pkcs11.h"
#include "sys/rng.h"

struct seckey {
	struct pubkey pub;
	/* Ed25519: seed, then public key, as libsodium signs with. P-256: the scalar. */
	uint8_t secret[crypto_sign_ed25519_SECRETKEYBYTES];
	struct pkcs11_key *token;	/* owned; then there is no secret here */
};

#define RAW_LEN 32	/* of both schemes */
_Static_assert(RAW_LEN == P256_LEN && RAW_LEN == crypto_sign_ed25519_SEEDBYTES, "one length of raw keys");

/* Fill k from the raw secret. */
static int derive(struct seckey *k, enum key_scheme scheme, const uint8_t raw[static RAW_LEN], struct error *err)
{
	if (scheme == KEY_ED25519) {
		k->pub = (struct pubkey){.scheme = scheme, .len = crypto_sign_ed25519_PUBLICKEYBYTES};
		crypto_sign_ed25519_seed_keypair(k->pub.data, k->secret, raw);
		return 0;
	}
	memcpy(k->secret, raw, P256_LEN);
	return ecdsa_public(&k->pub, k->secret, err);
}

static struct seckey *allocate(struct error *err)
{
	struct seckey *k = sodium_malloc(sizeof(*k));

	if (k == NULL)
		error_set(err, ERR_FAILED, "no guarded memory for a secret key");
	else
		k->token = NULL;
	return k;
}

struct seckey *seckey_from_raw(enum key_scheme scheme, struct slice raw, struct error *err)
{
	struct seckey *k;

	if (scheme != KEY_ED25519 && scheme != KEY_ECDSA_P256) {
		error_set(err, ERR_REFUSED, "secret keys of scheme '%s' are not held here", key_scheme_name(scheme));
		return NULL;
	}
	if (raw.len != RAW_LEN) {
		error_set(err, ERR_MALFORMED, "a secret key has %d bytes, not %zu", RAW_LEN, raw.len);
		return NULL;
	}
	k = allocate(err);
	if (k == NULL)
		return NULL;
	if (derive(k, scheme, raw.ptr, err) < 0) {
		sodium_free(k);
		return NULL;
	}
	(void)sodium_mprotect_readonly(k);	/* a second net: what it would catch is our own mistake */
	return k;
}

struct seckey *seckey_generate(enum key_scheme scheme, struct error *err)
{
	uint8_t raw[RAW_LEN];
	struct seckey *k;

	/* A P-256 scalar is out of range once in 2^32 times: then the dice are thrown again. */
	do {
		rng_bytes(raw, sizeof(raw));
		k = seckey_from_raw(scheme, slice_of(raw, sizeof(raw)), err);
	} while (k == NULL && scheme == KEY_ECDSA_P256 && err->kind == ERR_REFUSED);
	explicit_bzero(raw, sizeof(raw));
	return k;
}

struct seckey *seckey_from_token(struct pkcs11_key *token, const struct pubkey *pub, struct error *err)
{
	struct seckey *k = allocate(err);

	if (k == NULL) {
		pkcs11_key_free(token);
		return NULL;
	}
	memset(k->secret, 0, sizeof(k->secret));
	k->pub = *pub;
	k->token = token;
	(void)sodium_mprotect_readonly(k);
	return k;
}

void seckey_free(struct seckey *k)
{
	if (k != NULL)
		pkcs11_key_free(k->token);
	sodium_free(k);
}

const struct pubkey *seckey_public(const struct seckey *k)
{
	return &k->pub;
}

int seckey_put_raw(const struct seckey *k, struct buf *secret_out, struct error *err)
{
	assert(secret_out->secret);
	if (k->token != NULL)
		return error_set(err, ERR_REFUSED, "the secret of the key cannot leave its token");
	buf_put(secret_out, k->secret, RAW_LEN);
	return 0;
}

const uint8_t *seckey_p256_scalar(const struct seckey *k)
{
	return k->pub.scheme == KEY_ECDSA_P256 && k->token == NULL ? k->secret : NULL;
}

int seckey_sign_sha256(const struct seckey *k, const uint8_t hash[static 32], struct buf *sig_out, struct error *err)
{
	assert(k->pub.scheme == KEY_ECDSA_P256);
	if (k->token != NULL)
		return pkcs11_key_sign(k->token, &k->pub, slice_of(hash, SHA256_LEN), sig_out, err);
	return ecdsa_sign(k->secret, hash, sig_out, err);
}

int seckey_sign(const struct seckey *k, struct slice msg, struct buf *sig_out, struct error *err)
{
	uint8_t sig[crypto_sign_ed25519_BYTES], hash[SHA256_LEN];

	if (k->pub.scheme == KEY_ECDSA_P256) {
		sha256_of(msg, hash);
		return seckey_sign_sha256(k, hash, sig_out, err);
	}
	if (k->token != NULL)
		return pkcs11_key_sign(k->token, &k->pub, msg, sig_out, err);
	crypto_sign_ed25519_detached(sig, NULL, msg.ptr, msg.len, k->secret);
	buf_put(sig_out, sig, sizeof(sig));
	return 0;
}
