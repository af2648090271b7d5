/* Diffie-Hellman on Curve25519 (RFC 7748), in constant time. */
#ifndef MESHANICS_CRYPTO_X25519_H
#define MESHANICS_CRYPTO_X25519_H

#include <stdint.h>

#include "base/compiler.h"

#define X25519_LEN 32	/* of scalars and of u-coordinates, both little-endian */

/* The public value of a secret scalar, which is clamped as RFC 7748 section 5 says. */
void x25519_public(uint8_t out[static X25519_LEN], const uint8_t scalar[static X25519_LEN]);
/* The shared secret. -1 when it is all zero: the point was of small order, and nothing is agreed on (section 6.1). */
WARN_UNUSED int x25519_shared(uint8_t out[static X25519_LEN], const uint8_t scalar[static X25519_LEN],
			      const uint8_t point[static X25519_LEN]);

#endif
