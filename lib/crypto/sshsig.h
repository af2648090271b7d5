/*
 * Detached signatures in OpenSSH's SSHSIG format (PROTOCOL.sshsig), which `ssh-keygen -Y verify` checks.
 * Hash sha512 or sha256 of the message; Ed25519 keys. Namespaces of ours: meshanics-artifact,
 * meshanics-bundle, meshanics-receipt, meshanics-audit, meshanics-ceremony.
 */
#ifndef MESHANICS_CRYPTO_SSHSIG_H
#define MESHANICS_CRYPTO_SSHSIG_H

#include "crypto/hash.h"
#include "crypto/key.h"

#define SSHSIG_SIZE_MAX 4096	/* of the armored text */

/* Appends the armored signature over a message given by its SHA-256 (so that large files hash once). */
WARN_UNUSED int sshsig_sign_sha256(const struct seckey *k, const char *namespace_, const uint8_t hash[static SHA256_LEN],
				   struct buf *armored_out, struct error *err);
/* Verifies armored over the message with this SHA-256, by exactly this key, in this namespace. */
WARN_UNUSED int sshsig_verify_sha256(const struct pubkey *k, const char *namespace_, const uint8_t hash[static SHA256_LEN],
				     struct slice armored, struct error *err);

#endif
