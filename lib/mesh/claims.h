/*
 * Claims: who holds which block, as far as this node knows (meshanics-mesh(7), "Who keeps a block"). The same set of
 * records gives the same holders, in whatever order they arrive.
 */
#ifndef MESHANICS_MESH_CLAIMS_H
#define MESHANICS_MESH_CLAIMS_H

#include "mesh/address.h"

#define CLAIMS_NODES_MAX 8192	/* nodes of one network */

struct claims;

struct claims_holder {
	uint8_t node[NODE_ID_LEN];
	struct claim claim;
};

struct claims *claims_new(const struct addressing *a);
void claims_free(struct claims *c);	/* NULL is fine */

/*
 * What a node claims from now on, instead of what it claimed before: count of them, at most CLAIMS_MAX, of its newest
 * record. Those that are not valid (claim_valid), and further ones of an ordinal, are left out. Returns how many
 * were taken, or -1 with ERR_LIMIT when the table has CLAIMS_NODES_MAX others.
 */
WARN_UNUSED int claims_set(struct claims *c, const uint8_t node[static NODE_ID_LEN], const struct claim *claims,
			   size_t count, struct error *err);
void claims_remove(struct claims *c, const uint8_t node[static NODE_ID_LEN]);

/* Who holds the block; false when nobody claims it. */
bool claims_holder(const struct claims *c, uint32_t block, struct claims_holder *out);
/* Whether the node holds the block of its claim with that ordinal, which goes to *block. */
bool claims_holds(const struct claims *c, const uint8_t node[static NODE_ID_LEN], uint16_t ordinal, uint32_t *block);
size_t claims_nodes(const struct claims *c);
size_t claims_blocks_taken(const struct claims *c);

/*
 * What a newcomer (or a loser) claims: the lowest attempt whose block nobody known claims, not even the node itself.
 * now_s: its clock; below the network's creation the claim is CLAIM_TIME_UNKNOWN. ERR_LIMIT: the range is full, with a hint.
 */
WARN_UNUSED int claims_choose(const struct claims *c, const uint8_t node[static NODE_ID_LEN], uint16_t ordinal,
			      int64_t now_s, struct claim *out, struct error *err);
/*
 * Put the node's own claims in order after others have changed: each of `own` that lost its block is chosen anew, and
 * each of CLAIM_TIME_UNKNOWN gets its date once the clock is right. *moved gets the number of blocks that changed, *dated
 * of those that only got a date: if either is not 0, a new record is due. What is known of the node is replaced.
 */
WARN_UNUSED int claims_settle(struct claims *c, const uint8_t node[static NODE_ID_LEN], struct claim *own, size_t count,
			      int64_t now_s, unsigned *moved, unsigned *dated, struct error *err);

#endif
