/*
 * A session: two keys from one handshake, packets sealed and opened in place, the replay window, and when to make the
 * next one. The sending half and the receiving half share nothing that changes, so that each may live in its thread.
 * Times are milliseconds of one monotonic clock of the caller.
 */
#ifndef MESHANICS_MESH_SESSION_H
#define MESHANICS_MESH_SESSION_H

#include <stdatomic.h>

#include "mesh/aead.h"
#include "mesh/packet.h"

#define REPLAY_WINDOW 8192		/* packets */
#define SESSION_OVERHEAD (PACKET_HEADER_LEN + PACKET_TAG_LEN)	/* around what is carried */
#define SESSION_REKEY_MS 120000		/* the initiator makes the next one */
#define SESSION_REKEY_RESPONDER_MS 150000	/* the responder does, when the initiator has not */
#define SESSION_END_MS 180000		/* nothing is sealed or opened any more */
#define SESSION_IDLE_MS 300000		/* a peer without traffic is forgotten by its sessions */
#define SESSION_REKEY_PACKETS (UINT64_C(1) << 32)
#define SESSION_END_PACKETS (UINT64_C(1) << 33)

/* Which counters have been seen: a ring of bits. One writer. */
struct replay {
	uint64_t next;		/* the highest counter seen, plus 1 */
	uint64_t bits[REPLAY_WINDOW / 64];
};

void replay_init(struct replay *r);
/* Whether the counter is new and not too old; changes nothing. Below SESSION_END_PACKETS. */
bool replay_would_accept(const struct replay *r, uint64_t counter);
/* Note a counter whose packet has been opened. -1 when it would not be accepted. */
WARN_UNUSED int replay_accept(struct replay *r, uint64_t counter);

/* The sending half. */
struct session_tx {
	struct aead aead;
	uint8_t mask[16];
	uint32_t remote_index;
	_Atomic uint64_t counter;	/* of the next packet */
};

/* The receiving half. */
struct session_rx {
	struct aead aead;
	struct replay replay;
	uint32_t local_index;
};

enum session_kind {
	SESSION_FULL,
	SESSION_ROTATION,	/* of an older generation: control messages of rotation only, never data */
};

/* What is fixed by the handshake; the halves are in it. 64-byte aligned: allocate with session_new. */
struct session {
	struct session_tx tx;
	struct session_rx rx;
	uint8_t peer[NODE_ID_LEN];
	uint32_t generation;
	enum session_kind kind;
	bool initiator;
	uint8_t cipher;
	uint16_t peer_mtu;
	int64_t created_ms;
};

/* What both sides know after a handshake; keys are wiped by session_new. */
struct session_params {
	uint8_t send_key[32], receive_key[32];
	const struct subkeys *subkeys;	/* of the generation; copied */
	uint32_t generation, local_index, remote_index;
	uint8_t peer[NODE_ID_LEN];
	enum session_kind kind;
	bool initiator;
	uint8_t cipher;
	uint16_t peer_mtu;
	int64_t now_ms;
};

struct session *session_new(struct session_params *p);
void session_free(struct session *s);	/* wipes; NULL is fine */

/*
 * Seal `len` bytes at datagram + PACKET_HEADER_LEN; room for the tag follows them. Writes and masks the header. Returns
 * the length of the datagram; 0 when the session has no counters left. type: PACKET_DATA or PACKET_CONTROL.
 */
size_t session_seal(struct session_tx *tx, uint8_t type, uint8_t flags, uint8_t *datagram, size_t len);
/* Take n counters at once for a batch, the first in *first; -1 when they are used up. */
WARN_UNUSED int session_take(struct session_tx *tx, unsigned n, uint64_t *first);
/* As session_seal, with a counter from session_take, each used once. */
size_t session_seal_with(const struct session_tx *tx, uint64_t counter, uint8_t type, uint8_t flags, uint8_t *datagram,
			 size_t len);

enum session_verdict { SESSION_OK = 0, SESSION_REPLAYED, SESSION_FORGED };
/*
 * Open a session packet in place, whose header packet_header_get has read, with `clear` from there: the content stands
 * at datagram + PACKET_HEADER_LEN, *content_len bytes. Replay is checked before and noted after the cipher.
 */
enum session_verdict session_open(struct session_rx *rx, const struct packet_header *h,
				  const uint8_t clear[static PACKET_HEADER_LEN], uint8_t *datagram, size_t len,
				  size_t *content_len);

/* ---- decisions ---- */
/* Whether the session may still be used for anything. */
bool session_alive(const struct session *s, int64_t now_ms);
/* Whether this side should begin the next handshake now, given that it has something to send or has received. */
bool session_wants_rekey(const struct session *s, int64_t now_ms);

#endif
