/*
 * Key files (man/meshanics-key.5): JSON, one key each, sealed with a passphrase (Argon2id and
 * XChaCha20-Poly1305, parameters in the file, public part bound as associated data) or, by an explicit
 * flag for online keys, unsealed. Mode 0600. At most KEYFILE_SIZE_MAX bytes.
 */
#ifndef MESHANICS_CRYPTO_KEYFILE_H
#define MESHANICS_CRYPTO_KEYFILE_H

#include "crypto/key.h"

#define KEYFILE_SIZE_MAX 4096
#define KEY_FINGERPRINT_LEN 65	/* hex SHA-256 of the TUF key object, which is also the TUF key id; with NUL */

struct keyfile {
	char name[64];		/* file name without ".key" */
	struct pubkey pub;
	char keyid[KEY_FINGERPRINT_LEN];
	char comment[128];
	int64_t created_s;
	bool sealed;
};

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
/* The secret part. Wrong passphrase or tampered file: ERR_REFUSED. passphrase empty for an unsealed file. */
WARN_UNUSED struct seckey *keyfile_open(int dirfd, const char *path, struct slice passphrase, struct error *err);
/*
 * Seal the key in this file anew, in place and atomically; name, comment and date stay. k is what keyfile_open gave
 * for it (ERR_REFUSED when it is another key). new_passphrase empty: the seal comes off (the caller has the
 * operator's explicit word).
 */
WARN_UNUSED int keyfile_reseal(int dirfd, const char *path, const struct seckey *k, struct slice new_passphrase,
			       struct error *err);

#endif
