/*
 * Datagrams: the masked header, the outer seal, and the fixed parts of every type (meshanics-mesh-protocol(7),
 * "Datagrams"). Nothing here allocates, and nothing but random bytes is looked at by a stranger.
 */
#ifndef MESHANICS_MESH_PACKET_H
#define MESHANICS_MESH_PACKET_H

#include "mesh/endpoint.h"
#include "mesh/key.h"
#include "mesh/record.h"

#define PACKET_HEADER_LEN 16
#define PACKET_TAG_LEN 16
#define PACKET_LEN_MIN 32		/* header and what masks it */
#define PACKET_SALT_LEN 24
#define PACKET_OUTER_LEN (PACKET_HEADER_LEN + PACKET_SALT_LEN + PACKET_TAG_LEN)	/* around a body */
#define PACKET_MAC2_LEN 16
#define PACKET_OUTER_MAX 1232		/* of every type but session packets: the least IPv6 path */
#define PACKET_PADDING_MAX 63
#define COOKIE_LEN 16

enum packet_type {
	PACKET_INITIATION = 1,
	PACKET_RESPONSE = 2,
	PACKET_COOKIE = 3,
	PACKET_HINT = 4,
	PACKET_WHO = 5,
	PACKET_HERE = 6,
	PACKET_BEACON = 7,
	PACKET_DATA = 16,	/* of a session: an IP packet */
	PACKET_CONTROL = 17,	/* of a session: message.h */
};

/* Flags of outer packets and of data. */
#define PACKET_HAS_MAC2 1u	/* initiation, who */
#define PACKET_NO_CHECKSUM 1u	/* data: the transport checksum was not computed, receiver completes it */

struct packet_header {
	uint32_t receiver;	/* index; 0 where the type has none */
	uint8_t type, flags;
	uint64_t counter;	/* 0 in outer packets */
};

static inline bool packet_is_session(const struct packet_header *h)
{
	return h->type >= PACKET_DATA;
}

/* ---- header ---- */
/* Mask or unmask the header in place by the 16 bytes after it. mask: of the subkeys. A datagram has PACKET_LEN_MIN bytes. */
void packet_mask(const uint8_t mask[static 16], uint8_t *datagram);
void packet_header_put(uint8_t out[static PACKET_HEADER_LEN], const struct packet_header *h);
/*
 * Unmask a copy of the header and read it; the datagram is not changed. clear, if not NULL, gets the 16 unmasked bytes.
 * -1 when the datagram is too short or too long for its type, the type is unknown, or anything reserved is not zero: not
 * of this generation (almost surely: of random bytes three in 2^32 pass, as session packets).
 */
WARN_UNUSED int packet_header_get(const struct subkeys *k, const uint8_t *datagram, size_t len, struct packet_header *h,
				  uint8_t *clear);

/* ---- outer seal ---- */
/*
 * Open the body of an outer packet whose header packet_header_get has read. body has room for PACKET_OUTER_MAX bytes.
 * -1 when the seal does not hold. mac2 is not looked at.
 */
WARN_UNUSED int packet_open(const struct subkeys *k, const uint8_t *datagram, size_t len, const struct packet_header *h,
			    uint8_t *body, size_t *body_len);
/* Whether the mac2 of the datagram is made with this cookie, in constant time; false without one. */
bool packet_mac2_holds(const uint8_t *datagram, size_t len, const struct packet_header *h,
		       const uint8_t cookie[static COOKIE_LEN]);
/* The tag of the outer seal, which a cookie answer quotes. */
const uint8_t *packet_outer_tag(const uint8_t *datagram, size_t len, const struct packet_header *h);

/*
 * All packet_put_* write a whole datagram to out (PACKET_OUTER_MAX bytes) and return its length; padding of random
 * length is added where it fits. cookie: NULL, or what PACKET_HAS_MAC2 is made with. All *_get read a body; they borrow
 * from it, and return -1 for one that is too short or says what it may not.
 */
#define PACKET_COOKIE_FOR_WHO UINT32_MAX	/* receiver of a cookie that answers a WHO */
struct packet_initiation {
	uint32_t sender;	/* index, neither 0 nor PACKET_COOKIE_FOR_WHO */
	struct slice noise;	/* message 1 */
};
size_t packet_put_initiation(const struct subkeys *k, const struct packet_initiation *p, const uint8_t *cookie,
			     uint8_t *out);
WARN_UNUSED int packet_initiation_get(struct packet_initiation *p, struct slice body);

struct packet_response {
	uint32_t receiver;	/* the initiation's sender; in the header */
	uint32_t sender;
	struct slice noise;	/* message 2 */
};
size_t packet_put_response(const struct subkeys *k, const struct packet_response *p, uint8_t *out);
WARN_UNUSED int packet_response_get(struct packet_response *p, const struct packet_header *h, struct slice body);

struct packet_cookie {
	uint32_t receiver;	/* the initiation's sender, or PACKET_COOKIE_FOR_WHO */
	uint8_t quoted[PACKET_TAG_LEN];	/* outer tag of what is answered */
	uint8_t cookie[COOKIE_LEN];
};
size_t packet_put_cookie(const struct subkeys *k, const struct packet_cookie *p, uint8_t *out);
WARN_UNUSED int packet_cookie_get(struct packet_cookie *p, const struct packet_header *h, struct slice body);

/* "No session": quotes the clear header of the session packet that it answers. */
size_t packet_put_hint(const struct subkeys *k, const uint8_t clear[static PACKET_HEADER_LEN], uint8_t *out);
WARN_UNUSED int packet_hint_get(struct packet_header *quoted, struct slice body);

struct packet_who {
	uint8_t wanted[NODE_ID_LEN];	/* zeros: whoever is there */
	uint64_t nonce;
	uint8_t sign_public[32], static_public[32];	/* who asks, as it says; the answer is sealed to the latter */
};
#define PACKET_WHO_LEN_MIN 1135		/* so that the answer is never the longer one */
size_t packet_put_who(const struct subkeys *k, const struct packet_who *p, const uint8_t *cookie, uint8_t *out);
WARN_UNUSED int packet_who_get(struct packet_who *p, struct slice body);

struct packet_here {
	uint64_t nonce;			/* of the WHO */
	struct endpoint observed;	/* where that came from */
	struct slice record;		/* not verified */
};
/* Sealed to the static key `to`: whoever asks in another's name cannot read it. 0: the key is of small order. */
size_t packet_put_here(const struct subkeys *k, const struct packet_here *p, const uint8_t to[static 32], uint8_t *out);
/* The nonce alone, which stands before the seal. */
WARN_UNUSED int packet_here_nonce(uint64_t *nonce, struct slice body);
/* self: whom it is sealed to. *p borrows from room, of PACKET_OUTER_MAX bytes. */
WARN_UNUSED int packet_here_get(struct packet_here *p, struct slice body, const struct nodekey *self, uint8_t *room);

struct packet_beacon {
	uint8_t id[NODE_ID_LEN];
	uint32_t boot_epoch;
	uint64_t sequence;		/* of the node's record */
	uint16_t port_v4, port_v6;	/* 0: none */
	bool answer;			/* send yours soon */
};
#define BEACON_PORT 7783
#define BEACON_GROUP_V4 "239.255.77.83"
#define BEACON_GROUP_V6 "ff12::4d53"
size_t packet_put_beacon(const struct subkeys *k, const struct packet_beacon *p, uint8_t *out);
WARN_UNUSED int packet_beacon_get(struct packet_beacon *p, struct slice body);

#endif
