/*
 * Control messages: what peers say to each other inside a session (meshanics-mesh-protocol(7), "Control messages").
 * One message is the content of one packet of type PACKET_CONTROL; an empty one keeps a session alive.
 */
#ifndef MESHANICS_MESH_MESSAGE_H
#define MESHANICS_MESH_MESSAGE_H

#include "mesh/packet.h"
#include "mesh/stay.h"

#define MESSAGE_LEN_MAX 8972		/* a probe for the largest MTU */
#define MESSAGE_GOSSIP_MAX 1151		/* of others but RELAY: fits into PACKET_OUTER_MAX, relayed or not */
#define DIGEST_BUCKETS 16		/* by the first four bits of the node id */
#define HAVE_MAX 46			/* pairs of one message */
#define WANT_MAX 64			/* ids of one message */
#define CANDIDATES_MAX 8		/* endpoints of INTRODUCE */
#define ROTATE_CHUNK 1024
#define ANSWER_TEXT_MAX 255

enum message_type {
	MESSAGE_KEEPALIVE = 0,	/* no bytes at all */
	MESSAGE_PROBE = 1,
	MESSAGE_PONG = 2,
	MESSAGE_DIGEST = 3,
	MESSAGE_HAVE = 4,
	MESSAGE_WANT = 5,
	MESSAGE_RECORDS = 6,
	MESSAGE_ROTATE = 7,
	MESSAGE_INTRODUCE = 8,	/* ask a peer to make another one call us */
	MESSAGE_INTRODUCED = 9,	/* and what it says to that one */
	MESSAGE_RELAY = 10,	/* pass a datagram on to a node */
	MESSAGE_RELAYED = 11,	/* it came from that node */
	MESSAGE_RELAY_NO = 12,
	MESSAGE_GOODBYE = 13,
	MESSAGE_ASK = 14,	/* may I call this? */
	MESSAGE_ANSWER = 15,
};

enum relay_no { RELAY_NO_ROUTE = 1, RELAY_NO_SERVICE = 2, RELAY_NO_ROOM = 3 };
enum answer { ANSWER_ALLOWED = 1, ANSWER_DENIED = 2, ANSWER_NOTHING = 3 };
enum goodbye { GOODBYE_STOPPING = 1, GOODBYE_LEAVING = 2, GOODBYE_ROTATED = 3 };

struct message_have { uint8_t id[NODE_ID_LEN]; uint64_t sequence; };

/* One message. Slices and pointers borrow: from the content when read, from the caller when written. */
struct message {
	enum message_type type;
	union {
		/* size: of the whole datagram, so that a path's MTU is found; the content is padded to it. */
		struct { uint64_t token; uint16_t size; } probe;
		struct { uint64_t token; uint16_t size; struct endpoint observed; } pong;
		struct { uint32_t records; uint64_t bucket[DIGEST_BUCKETS]; } digest;
		/* part of parts (from 0), all of one bucket. */
		struct { uint8_t bucket; uint16_t part, parts; size_t count; struct message_have pair[HAVE_MAX]; } have;
		struct { size_t count; uint8_t id[WANT_MAX][NODE_ID_LEN]; } want;
		/* Records, each behind its length (u16), not verified; walk with message_next_record. */
		struct slice records;
		struct { uint32_t generation; uint16_t part, parts; struct slice chunk; } rotate;
		/* node: INTRODUCE: whom to call; INTRODUCED: who calls. */
		struct { uint8_t node[NODE_ID_LEN]; size_t count; struct endpoint at[CANDIDATES_MAX]; } introduce;
		/* node: RELAY: to; RELAYED: from; RELAY_NO: to, without a datagram. */
		struct { uint8_t node[NODE_ID_LEN]; uint8_t reason; struct slice datagram; } relay;
		uint8_t goodbye;
		/* protocol: of IP (6, 17; 1 is echo, of either version); place: ordinal * 8 + slot of the receiver's. */
		struct { uint64_t token; uint8_t protocol; uint16_t port; uint8_t place; } ask;
		/* text: for people, UTF-8 that may be anything. */
		struct { uint64_t token; uint8_t verdict; struct slice text; } answer;
	} u;
};

/*
 * The content in out, its length returned; 0 for KEEPALIVE, and when it does not fit into `room`. What m borrows may
 * not overlap it.
 */
size_t message_put(const struct message *m, uint8_t *out, size_t room);
/* -1 for a type that is unknown (skip it) or content that breaks its form. */
WARN_UNUSED int message_get(struct message *m, struct slice content);
/* The next record of u.records, *at from 0: false at the end. The lengths have been checked by message_get. */
bool message_next_record(struct slice records, size_t *at, struct slice *record);
/* Append a record to out, a content of MESSAGE_RECORDS in the making (begun with len 0); false when it does not fit. */
bool message_add_record(uint8_t out[static MESSAGE_GOSSIP_MAX], size_t *len, struct slice record);

#endif
