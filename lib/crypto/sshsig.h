/*
 * Detached signatures in OpenSSH's SSHSIG format (PROTOCOL.sshsig), which `ssh-keygen -Y verify` checks. They are
 * made over a SHA-256 of the message, so that a large file is hashed once for everything; SHA-512, which is
 * ssh-keygen's own choice, is verified too. Keys are Ed25519 and ECDSA P-256.
 *
 * A namespace keeps a signature from being shown for something else. Ours: meshanics-artifact, meshanics-bundle,
 * meshanics-receipt, meshanics-audit, meshanics-ceremony, meshanics-enroll, meshanics-enroll-request.
 */
#ifndef MESHANICS_CRYPTO_SSHSIG_H
#define MESHANICS_CRYPTO_SSHSIG_H

#include "crypto/hash.h"
#include "crypto/key.h"

#define SSHSIG_SIZE_MAX 4096	/* of the armored text */
#define SSHSIG_NAMESPACE_MAX 64

/* Appends the armored signature over a message given by its SHA-256. */
WARN_UNUSED int sshsig_sign_sha256(const struct seckey *k, const char *namespace_,
				   const uint8_t hash[static SHA256_LEN], struct buf *armored_out, struct error *err);
/*
 * 0 is the only yes: armored is a signature over the message with this hash, by exactly this key, in this
 * namespace, made with this hash function. ERR_MALFORMED when it is no SSHSIG, ERR_REFUSED with the part that
 * does not fit otherwise.
 */
WARN_UNUSED int sshsig_verify_sha256(const struct pubkey *k, const char *namespace_,
				     const uint8_t hash[static SHA256_LEN], struct slice armored, struct error *err);
WARN_UNUSED int sshsig_verify_sha512(const struct pubkey *k, const char *namespace_,
				     const uint8_t hash[static SHA512_LEN], struct slice armored, struct error *err);
/* Which of the two to compute for a signature by somebody else: *bits is 256 or 512. Says nothing about its truth. */
WARN_UNUSED int sshsig_hash_bits(struct slice armored, int *bits, struct error *err);

#endif
