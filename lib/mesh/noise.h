/*
 * Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b (Noise Protocol Framework, revision 34): the state of one handshake. Bytes in,
 * bytes out; no I/O and no clock. A state that has failed stays failed.
 *
 *	initiator   START --write 1--> SENT ------read 2---> DONE --split--> SPENT
 *	responder   START --read 1---> RECEIVED --write 2--> DONE --split--> SPENT
 *	            any failure: FAILED
 */
#ifndef MESHANICS_MESH_NOISE_H
#define MESHANICS_MESH_NOISE_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/slice.h"

#define NOISE_HASH_LEN 64
#define NOISE_TAG_LEN 16
#define NOISE_MESSAGE_1_LEN 96	/* around the payload: e, sealed s, tag */
#define NOISE_MESSAGE_2_LEN 48	/* e, tag */
#define NOISE_MESSAGE_MAX 65535

enum noise_stage { NOISE_START, NOISE_SENT, NOISE_RECEIVED, NOISE_DONE, NOISE_SPENT, NOISE_FAILED };

struct noise {
	enum noise_stage stage;
	bool initiator, has_key, has_ephemeral;
	uint64_t n;			/* nonce under k */
	uint8_t h[NOISE_HASH_LEN], ck[NOISE_HASH_LEN];
	uint8_t k[32], psk[32];
	uint8_t s_secret[32], s_public[32];
	uint8_t e_secret[32], e_public[32];
	uint8_t rs[32], re[32];		/* the other side's; rs of a responder after message 1 */
};

/* Begin. remote_static: the responder's, for the initiator; NULL for the responder. Copies everything. */
void noise_init(struct noise *n, bool initiator, struct slice prologue, const uint8_t static_secret[static 32],
		const uint8_t static_public[static 32], const uint8_t *remote_static, const uint8_t psk[static 32]);
/* Use this ephemeral key for the next message instead of a random one: test vectors. */
void noise_set_ephemeral(struct noise *n, const uint8_t secret[static 32]);
/*
 * Write the next message with this payload to out, NOISE_MESSAGE_n_LEN longer than the payload; out may not overlap
 * it. 0; -1 when it does not fit into `room`, when it is not this side's turn, or when the other static key is of
 * small order: failed.
 */
WARN_UNUSED int noise_write(struct noise *n, struct slice payload, uint8_t *out, size_t room, size_t *len);
/*
 * Read the next message; its payload goes to out (room for message.len bytes is enough), which may not overlap.
 * 0; -1 when anything in it does not hold: failed, and out holds nothing.
 */
WARN_UNUSED int noise_read(struct noise *n, struct slice message, uint8_t *out, size_t room, size_t *len);
/* Take the two transport keys when DONE (asserted). */
void noise_split(struct noise *n, uint8_t send[static 32], uint8_t receive[static 32]);
/* Wipes everything. */
void noise_wipe(struct noise *n);

#endif
