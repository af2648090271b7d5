/* The data types of the SSH protocol (RFC 4251 5) that keys and SSHSIG are made of. */
#ifndef MESHANICS_CRYPTO_KEY_SSH_H
#define MESHANICS_CRYPTO_KEY_SSH_H

#include "crypto/key.h"

/* "ssh-ed25519", "ecdsa-sha2-nistp256", ...: what OpenSSH calls such a key. */
const char *ssh_key_type(enum key_scheme scheme);
/* string: its length in 4 bytes, then the bytes. */
void ssh_put_string(struct buf *out, struct slice s);
/* mpint of a number that is not negative. */
void ssh_put_mpint(struct buf *out, struct slice magnitude);

#endif
