/*
 * Addresses of a network: its IPv4 range is cut into blocks of eight, each of which is a /64 of its IPv6 prefix as well
 * (meshanics-mesh(7), "Addresses"). Which block a node may claim follows from hashes; who holds it is claims.h.
 */
#ifndef MESHANICS_MESH_ADDRESS_H
#define MESHANICS_MESH_ADDRESS_H

#include "base/buf.h"
#include "base/error.h"

#define NODE_ID_LEN 16
#define NODE_ID_HEX_LEN 33	/* with NUL */
#define NETWORK_ID_LEN 16
#define RANGE_PREFIX_MIN 13	/* 65,536 blocks */
#define RANGE_PREFIX_MAX 26	/* 8 blocks */
#define RANGE_TEXT_LEN 19	/* "255.255.255.255/32" with NUL */
#define BLOCK_SIZE 8
#define SLOT_NODE 1		/* offset in a block of the node's own address (in its first block) */
#define SLOT_FORWARD_MIN 2	/* forwards have 2 to 6; 0 and 7 are nobody's */
#define SLOT_FORWARD_MAX 6
#define CLAIMS_MAX 13		/* of one node: ordinals 0 to 12 */
#define CLAIM_ATTEMPTS_PER_BLOCK 64	/* attempts are below this times the number of blocks */
/* The time of a claim whose maker does not know the time: later than every other. */
#define CLAIM_TIME_UNKNOWN INT64_MAX

struct range {
	uint32_t v4;		/* host order; host bits are zero */
	uint8_t prefix;
};

/* What addresses of one network are made from; a copy of parts of its key. */
struct addressing {
	uint8_t network_id[NETWORK_ID_LEN];
	struct range range;
	int64_t created_s;	/* no claim is older */
	uint8_t v6_prefix[6];	/* fd12:NNNN:NNNN::/48 */
};

struct claim {
	uint16_t ordinal;	/* 0: the node's first block */
	uint32_t attempt;
	int64_t claimed_at_s;	/* by the claimer's clock; CLAIM_TIME_UNKNOWN */
};

/*
 * Whether a network may have the range: prefix 13 to 26, no host bits, inside 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12,
 * 192.168.0.0/16 or 198.18.0.0/15. ERR_REFUSED with a hint otherwise.
 */
WARN_UNUSED int range_check(const struct range *r, struct error *err);
/* "198.18.32.0/19", exactly; the range has passed range_check. ERR_USAGE for another form. */
WARN_UNUSED int range_parse(struct range *r, struct slice text, struct error *err);
const char *range_text(char out[static RANGE_TEXT_LEN], const struct range *r);
/* The n-th (0 to 15) /19 of 198.18.0.0/15: what a new network chooses from. */
struct range range_default(unsigned n);
#define RANGE_DEFAULTS 16
bool range_overlaps(const struct range *a, const struct range *b);
uint32_t range_blocks(const struct range *r);

void addressing_init(struct addressing *a, const uint8_t network_id[static NETWORK_ID_LEN], const struct range *r,
		     int64_t created_s);
/* The block, 0 to blocks - 1, of that attempt of a node. */
uint32_t block_index(const struct addressing *a, const uint8_t node[static NODE_ID_LEN], uint16_t ordinal,
		     uint32_t attempt);
/*
 * Whether the claim counts: ordinal and attempt below their limits, not dated before the network. What is dated in
 * the future counts, and loses to what is not.
 */
bool claim_valid(const struct addressing *a, const struct claim *c);
/* Below, equal or above 0 as (a, a's node) is the better, same or worse claim of a block: earlier, then lower node id. */
int claim_compare(const struct claim *a, const uint8_t a_node[static NODE_ID_LEN], const struct claim *b,
		  const uint8_t b_node[static NODE_ID_LEN]);

/* The address of a slot (0 to 7) of a block: IPv4 in host order; IPv6 of 16 bytes. */
uint32_t block_v4(const struct addressing *a, uint32_t block, unsigned slot);
void block_v6(const struct addressing *a, uint32_t block, unsigned slot, uint8_t out[static 16]);
/* The other way: false when the address is not in the network, or its slot is none of 1 to 6. */
bool block_of_v4(const struct addressing *a, uint32_t v4, uint32_t *block, unsigned *slot);
bool block_of_v6(const struct addressing *a, const uint8_t v6[static 16], uint32_t *block, unsigned *slot);
/* Whether an address lies in the network's ranges at all, whoever it belongs to. */
bool addressing_has_v4(const struct addressing *a, uint32_t v4);
bool addressing_has_v6(const struct addressing *a, const uint8_t v6[static 16]);

#endif
