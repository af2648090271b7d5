/*
 * Keys that live in hardware, reached through a PKCS#11 module (pkcs11_uri.h says which). A key is found by label and
 * id, never by being the only one there is; what a token answers is capped, checked, and its signatures are verified
 * before anybody sees them. The keys are Ed25519 and ECDSA P-256, as those of files.
 *
 * PINs: one login for each opened key, never a second try. A PIN from a file is not shown to a token that has one try
 * left, and one that was wrong is not shown again by this process: a schedule cannot lock a token.
 *
 * Limits: 64 tokens at a module, PIN 255 bytes. Modules are initialised with the first key that is opened and finalised
 * with the last one freed. Calls may come from any thread; one key belongs to one thread. A child after fork uses no key
 * of its parent.
 *
 * Errors of all of these: ERR_RETRY when the token is not there; ERR_REFUSED for a wrong PIN, a locked token, a module
 * that others can write; ERR_NOT_FOUND for a module or a key that does not exist; ERR_CONFLICT when two tokens or keys
 * answer to the URI; ERR_MALFORMED for answers that PKCS#11 does not allow; else ERR_FAILED with the module's word.
 */
#ifndef MESHANICS_CRYPTO_PKCS11_H
#define MESHANICS_CRYPTO_PKCS11_H

#include "crypto/key.h"
#include "crypto/pkcs11_uri.h"

#define PKCS11_PIN_MAX 255

struct pkcs11_key;	/* a private key, with the session through which it is used */

/* Is the token there? Opens no session and needs no PIN. */
WARN_UNUSED int pkcs11_probe(const struct pkcs11_uri *u, struct error *err);
/*
 * The private key that u names by object, id or both (asserted). pin empty: the content of u->pin_file, without its last
 * newline; such a file must be closed to others.
 */
WARN_UNUSED struct pkcs11_key *pkcs11_key_open(const struct pkcs11_uri *u, struct slice pin, struct error *err);
/*
 * Make a key pair in the token: sensitive, not extractable. u->object is its label; its id, random
 * when u has none, is filled in. ERR_CONFLICT when there is a key of that id.
 */
WARN_UNUSED struct pkcs11_key *pkcs11_key_generate(struct pkcs11_uri *u, enum key_scheme scheme, struct slice pin,
						   struct error *err);
/* Close the session. NULL is fine. */
void pkcs11_key_free(struct pkcs11_key *k);
/* Remove a key that pkcs11_key_generate made just now from its token. */
WARN_UNUSED int pkcs11_key_destroy(struct pkcs11_key *k, struct error *err);

/* The public half, as the token has it (checked by pubkey_check), with the id and label of the private one. */
WARN_UNUSED int pkcs11_key_public(struct pkcs11_key *k, struct pubkey *out, struct pkcs11_uri *u, struct error *err);
/* Whether the token says that the private key was made inside and can never leave. */
bool pkcs11_key_confined(struct pkcs11_key *k);
/*
 * Append the token's signature in the form pubkey_verify takes. Ed25519: `data` is the message; P-256: its SHA-256
 * (asserted). Verified under pub before it is given out: ERR_REFUSED when the token's key is another one.
 */
WARN_UNUSED int pkcs11_key_sign(struct pkcs11_key *k, const struct pubkey *pub, struct slice data, struct buf *sig_out,
				struct error *err);

#endif
