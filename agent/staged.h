/*
 * The worker's payloads on their way: HOME/agent/work/SHA256.part, one at a time. Nobody believes what is in them before
 * it has been hashed, and the supervisor hashes again.
 */
#ifndef MESHANICS_AGENT_STAGED_H
#define MESHANICS_AGENT_STAGED_H

#include "base/error.h"
#include "crypto/hash.h"

#define STAGED_NAME_LEN (SHA256_HEX_LEN + 8)

/*
 * Open the payload's file, made if absent, after all others are removed; name is filled. *at: bytes that are there, 0
 * when they are more than length. Room for all of it is taken. The descriptor, or -1.
 */
WARN_UNUSED int staged_open(int dirfd, const uint8_t sha256[static SHA256_LEN], uint64_t length,
			    char name[static STAGED_NAME_LEN], uint64_t *at, struct error *err);
/* All of fd is the payload: 0, or ERR_REFUSED. */
WARN_UNUSED int staged_check(int fd, const uint8_t sha256[static SHA256_LEN], uint64_t length, struct error *err);

#endif
