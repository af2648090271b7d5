/*
 * The handshake: Noise messages with their payloads inside datagrams (meshanics-mesh-protocol(7), "Handshake").
 * No I/O, no clock. What is persisted (boot epoch, counters) is the caller's.
 */
#ifndef MESHANICS_MESH_HANDSHAKE_H
#define MESHANICS_MESH_HANDSHAKE_H

#include "mesh/noise.h"
#include "mesh/session.h"

#define HANDSHAKE_RETRY_FIRST_MS 100
#define HANDSHAKE_RETRY_MAX_MS 5000
#define HANDSHAKE_GIVE_UP_MS 90000	/* of a series of initiations */
#define HANDSHAKE_PENDING_MS 5000	/* how long an answer to one is taken */
#define CROSSING_HOLD_MS 250
#define MESH_MTU_MIN 1280
#define MESH_MTU_MAX 9000

/* The node's side of all its handshakes in one generation. Borrowed by every call. */
struct handshake_self {
	const struct nodekey *key;
	const struct subkeys *subkeys;
	uint8_t network_id[NETWORK_ID_LEN];
	uint32_t generation;
	uint8_t ciphers;	/* aead_ciphers() */
	uint16_t mtu;		/* of its interface, MESH_MTU_MIN to _MAX */
	uint32_t boot_epoch;	/* persisted, raised at each start */
	struct slice record;	/* its own, signed */
	uint64_t sequence;	/* of that record */
};

/* (epoch, counter): the order of one node's initiations. */
struct handshake_order {
	uint32_t boot_epoch, counter;
};
/* Whether b comes strictly after a. */
bool handshake_order_after(const struct handshake_order *a, const struct handshake_order *b);

/* An initiation on its way, until its answer or HANDSHAKE_PENDING_MS. Secret; wiped by handshake_wipe. */
struct handshake {
	struct noise noise;
	uint32_t local_index;
	uint8_t remote_id[NODE_ID_LEN];
	uint8_t ciphers;		/* that we said */
	uint8_t outer_tag[PACKET_TAG_LEN];	/* of the datagram as sent; a cookie quotes it */
};

/*
 * Begin towards the node of that id and static key: the datagram in out (PACKET_OUTER_MAX). local_index: neither 0 nor
 * UINT32_MAX. counter: this node's, to this peer, never used twice in one epoch. send_record: whether the own record
 * goes along. cookie may be NULL. Returns the length; 0 when the static key is of small order.
 */
size_t handshake_initiate(struct handshake *hs, const struct handshake_self *self,
			  const uint8_t remote_id[static NODE_ID_LEN], const uint8_t remote_static[static 32],
			  uint32_t local_index, uint32_t counter, bool send_record, const uint8_t *cookie, uint8_t *out);
void handshake_wipe(struct handshake *hs);

/* What a peer has said in its message; authenticated, but the record inside is not verified yet. */
struct handshake_peer {
	uint8_t id[NODE_ID_LEN];
	uint8_t sign_public[32], static_public[32];
	struct handshake_order order;	/* of an initiation */
	uint32_t boot_epoch;
	uint64_t sequence;		/* of its record */
	uint8_t ciphers;		/* of an initiation: all it has; of a response: the one chosen */
	bool rotation;			/* response: this session is for rotation only */
	uint16_t mtu;
	struct endpoint observed;	/* response: where it sees us; family 0 in an initiation */
	uint8_t record_bytes[RECORD_LEN_MAX];
	size_t record_len;		/* 0: none */
};

/*
 * First half of an answer: read the body of an initiation that packet_open has opened. The caller then decides by
 * peer->id whether and how to answer: allowed, its order after the last one, its record good.
 * Costs two X25519 and leaves `noise` ready for handshake_respond. -1: not for us, by us, or forged; says no more.
 */
WARN_UNUSED int handshake_read_initiation(struct noise *noise, const struct handshake_self *self, struct slice body,
					  struct handshake_peer *peer, uint32_t *remote_index);
/*
 * Second half: the datagram in out (PACKET_OUTER_MAX), its length returned; params gets everything but now_ms. Wipes
 * noise. kind SESSION_ROTATION: the initiator is of a generation whose grace is over, and on the stay list.
 */
size_t handshake_respond(struct noise *noise, const struct handshake_self *self, const struct handshake_peer *peer,
			 uint32_t remote_index, uint32_t local_index, enum session_kind kind,
			 const struct endpoint *observed, bool send_record, struct session_params *params, uint8_t *out);
/*
 * The initiator reads the body of a response to hs. 0, and params gets everything but now_ms, hs is wiped; -1: it does
 * not hold, and hs goes on waiting for one that does.
 */
WARN_UNUSED int handshake_finish(struct handshake *hs, const struct handshake_self *self, const struct packet_header *h,
				 struct slice body, struct handshake_peer *peer, struct session_params *params);

/*
 * Whether to answer an initiation of a peer while an own one to it waits since own_age_ms (of the first of its series):
 * the node with the higher id does at once; the lower one only when its own seems lost. Either way the own one stays
 * pending, since its answer may be on the way.
 */
bool handshake_answer_crossing(const uint8_t self[static NODE_ID_LEN], const uint8_t peer[static NODE_ID_LEN],
			       int64_t own_age_ms);
/* How long to wait after the n-th initiation of a series (from 0): 100, 200, 400 ms ... 5 s; random: any, for +-20 %. */
int64_t handshake_retry_ms(unsigned n, uint32_t random);

#endif
