/*
 * Public keys, secret keys and signatures. Keys made here are Ed25519 or, for TLS identities and for other
 * programs' sake, ECDSA P-256; P-384 and RSA-PSS are verified only.
 */
#ifndef MESHANICS_CRYPTO_KEY_H
#define MESHANICS_CRYPTO_KEY_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

enum key_scheme { KEY_NONE = 0, KEY_ED25519, KEY_ECDSA_P256, KEY_ECDSA_P384, KEY_RSA_PSS_SHA256 };

#define PUBKEY_LEN_MAX 600
#define SIGNATURE_LEN_MAX 512

struct pubkey {
	enum key_scheme scheme;
	size_t len;
	/* Ed25519: 32 bytes. P-256/P-384: the uncompressed point 04||X||Y. RSA: DER RSAPublicKey (RFC 8017). */
	uint8_t data[PUBKEY_LEN_MAX];
};

bool pubkey_equal(const struct pubkey *a, const struct pubkey *b);
const char *key_scheme_name(enum key_scheme scheme);	/* TUF's words: "ed25519", "ecdsa-sha2-nistp256", ... */
enum key_scheme key_scheme_by_name(struct slice name);	/* KEY_NONE when unknown */
/* ERR_REFUSED for points that are not on the curve, Ed25519 keys of small order, RSA outside 2048..4096 bits. */
WARN_UNUSED int pubkey_check(const struct pubkey *k, struct error *err);
/* SubjectPublicKeyInfo (RFC 5280 4.1.2.7) as DER and as PEM ("PUBLIC KEY", at most PUBKEY_PEM_MAX bytes). */
#define PUBKEY_PEM_MAX 1024
void pubkey_put_spki(struct buf *out, const struct pubkey *k);
void pubkey_put_pem(struct buf *out, const struct pubkey *k);
/*
 * One key and nothing after it (PEM: white space); algorithm and parameters exactly as RFC 5480, 8410 and 3279
 * write them, points uncompressed. The key has passed pubkey_check. ERR_MALFORMED, or what pubkey_check says.
 */
WARN_UNUSED int pubkey_from_spki(struct pubkey *k, struct slice der, struct error *err);
WARN_UNUSED int pubkey_from_pem(struct pubkey *k, struct slice pem, struct error *err);
/* OpenSSH's line "ssh-ed25519 AAAA... comment", without a newline. comment: one printable line; NULL for none. */
void pubkey_put_ssh(struct buf *out, const struct pubkey *k, const char *comment);
/* What that line encodes (RFC 4253 6.6, 5656, 8709), which SSHSIG carries as well. */
void pubkey_put_ssh_blob(struct buf *out, const struct pubkey *k);
/* The TUF key object {"keytype", "keyval": {"public"}, "scheme"}; name as in json.h. k has a scheme. */
void pubkey_put_tuf(struct json_writer *w, const char *name, const struct pubkey *k);
/*
 * A TUF key object in the form pubkey_put_tuf writes, without unknown members; the key has passed pubkey_check.
 * (tuf_key_parse of tuf/metadata.h reads all the forms that other programs write.)
 */
WARN_UNUSED int pubkey_from_tuf(struct pubkey *k, struct json_value object, struct error *err);

/*
 * The only yes is 0: sig is a valid signature of msg by k. Ed25519: 64 bytes, strict (RFC 8032, S < L, R and key
 * not of small order). ECDSA: DER SEQUENCE{r,s} over SHA-256 (P-256) or SHA-384 (P-384); a high s passes. RSA:
 * PSS with SHA-256 and MGF1-SHA256, a salt of any length. ERR_REFUSED otherwise, ERR_MALFORMED when the
 * signature does not even have its form.
 */
WARN_UNUSED int pubkey_verify(const struct pubkey *k, struct slice msg, struct slice sig, struct error *err);

/* ---- secret keys: in locked, guarded memory, wiped on free; or in a token, which signs itself ---- */
struct seckey;
struct pkcs11_key;	/* pkcs11.h */
WARN_UNUSED struct seckey *seckey_generate(enum key_scheme scheme, struct error *err);	/* Ed25519 or P-256 */
/* Ed25519: the 32-byte seed. P-256: the 32-byte scalar, 0 < d < n. */
WARN_UNUSED struct seckey *seckey_from_raw(enum key_scheme scheme, struct slice raw, struct error *err);
/* The key of a token, which is taken in every case; pub is its public half. */
WARN_UNUSED struct seckey *seckey_from_token(struct pkcs11_key *token, const struct pubkey *pub, struct error *err);
void seckey_free(struct seckey *k);	/* NULL is fine */
const struct pubkey *seckey_public(const struct seckey *k);
/* ERR_REFUSED when the key is in a token, which it cannot leave. */
WARN_UNUSED int seckey_put_raw(const struct seckey *k, struct buf *secret_out, struct error *err);
/* P-256 scalar for TLS; 32 bytes, borrowed; NULL for Ed25519 and for keys in tokens. */
const uint8_t *seckey_p256_scalar(const struct seckey *k);
/*
 * Appends the signature of msg to sig_out in the form pubkey_verify takes. What a token made has been verified: ERR_REFUSED
 * when it does not hold, else what pkcs11.h says.
 */
WARN_UNUSED int seckey_sign(const struct seckey *k, struct slice msg, struct buf *sig_out, struct error *err);
/* ECDSA over a ready SHA-256 (for X.509, whose TBS may be large). P-256 only (asserted). Nonces are RFC 6979's, but in tokens. */
WARN_UNUSED int seckey_sign_sha256(const struct seckey *k, const uint8_t hash[static 32], struct buf *sig_out,
				   struct error *err);
/* The other half, for a P-256 key: 0 is the only yes. */
WARN_UNUSED int pubkey_verify_sha256(const struct pubkey *k, const uint8_t hash[static 32], struct slice sig,
				     struct error *err);

/* Once, before any other call of lib/crypto: starts libsodium. -1 when the system has no randomness. */
WARN_UNUSED int crypto_start(struct error *err);
/* Constant time; lengths are public. */
bool secret_equal(struct slice a, struct slice b);

#endif
