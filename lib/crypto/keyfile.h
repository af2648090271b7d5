/*
 * Key files (man/meshanics-key.5): JSON, one key each, sealed with a passphrase (Argon2id and
 * XChaCha20-Poly1305, parameters in the file, public part bound as associated data) or, by an explicit
 * flag for online keys, unsealed; or without any secret, naming by a URI the token that holds it (pkcs11.h).
 * Mode 0600. At most KEYFILE_SIZE_MAX bytes.
 */
#ifndef MESHANICS_CRYPTO_KEYFILE_H
#define MESHANICS_CRYPTO_KEYFILE_H

#include "crypto/key.h"
#include "crypto/pkcs11_uri.h"

#define KEYFILE_SIZE_MAX 4096
#define KEY_FINGERPRINT_LEN 65	/* hex SHA-256 of the TUF key object, which is also the TUF key id; with NUL */

struct keyfile {
	char name[64];		/* file name without ".key" */
	struct pubkey pub;
	char keyid[KEY_FINGERPRINT_LEN];
	char comment[128];
	int64_t created_s;
	bool sealed;		/* a passphrase opens it, or the PIN of the token */
	char uri[PKCS11_URI_MAX + 1];	/* of a key in a token; empty for others */
};

static inline bool keyfile_is_token(const struct keyfile *k)
{
	return k->uri[0] != '\0';
}

/* TUF key id: hex SHA-256 of {"keytype":..,"keyval":{"public":..},"scheme":..} in canonical form. */
void key_id(char out[static KEY_FINGERPRINT_LEN], const struct pubkey *k);

/*
 * Write dir/NAME.key (0600) and dir/NAME.pub (PEM), ERR_CONFLICT when either exists.
 * passphrase empty: unsealed (the caller has the operator's explicit word).
 */
WARN_UNUSED int keyfile_write(int dirfd, const char *name, const struct seckey *k, struct slice passphrase,
			      const char *comment, int64_t created_s, struct error *err);
/* The public part; needs no passphrase. Checks permissions as well. path may be any file. */
WARN_UNUSED int keyfile_read(int dirfd, const char *path, struct keyfile *out, struct error *err);
/*
 * The secret part. Wrong passphrase or tampered file: ERR_REFUSED. passphrase empty for an unsealed file. A key in a token
 * is looked up there, with the passphrase as PIN (empty: pin-source of the URI); errors as in pkcs11.h.
 */
WARN_UNUSED struct seckey *keyfile_open(int dirfd, const char *path, struct slice passphrase, struct error *err);
/*
 * Seal the key in this file anew, in place and atomically; name, comment and date stay. k is what keyfile_open gave
 * for it (ERR_REFUSED when it is another key). new_passphrase empty: the seal comes off (the caller has the
 * operator's explicit word).
 */
WARN_UNUSED int keyfile_reseal(int dirfd, const char *path, const struct seckey *k, struct slice new_passphrase,
			       struct error *err);

/*
 * Make a key in the token that u names and write dir/NAME.key and dir/NAME.pub for it. u->object is the label, NAME
 * when empty. The new key has signed once before its files are written; when they cannot be, it is removed again.
 * pub, when not NULL, gets its public half.
 */
WARN_UNUSED int keyfile_generate_token(int dirfd, const char *name, const struct pkcs11_uri *u, enum key_scheme scheme,
				       struct slice pin, const char *comment, int64_t created_s, struct pubkey *pub,
				       struct error *err);
/*
 * Write the two files for a key that is in a token already: the one that u names by object or id (NAME is its label when
 * u has neither), and which has signed once. *confined: the token says that it was made there and cannot leave.
 */
WARN_UNUSED int keyfile_adopt_token(int dirfd, const char *name, const struct pkcs11_uri *u, struct slice pin,
				    const char *comment, int64_t created_s, bool *confined, struct error *err);

#endif
