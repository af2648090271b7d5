/*
 * Who has the policy rules that calls of services on ::1 need, and who gives one up for another member. PROXY_RULES_MAX
 * of them; a member has as many as it likes while others want none. No rule is made or removed here.
 */
#ifndef MESHANICS_MESHLAN_PROXY_RULES_H
#define MESHANICS_MESHLAN_PROXY_RULES_H

#include "mesh/plane.h"
#include "meshlan/proxy.h"

struct proxy_rule {
	const void *owner;		/* NULL: free */
	uint32_t peer;
	uint8_t protocol;
	size_t slot;			/* of the flow, in the proxy's tables */
	uint64_t number;		/* the later, the higher */
};

struct proxy_rules {
	struct proxy_rule all[PROXY_RULES_MAX];
	size_t n;
	uint64_t next;
	uint16_t of[PLANE_PEERS_MAX + 1];	/* each member's; the last is this node's */
};

/* owner: borrowed as a name. There must be room. */
void proxy_rules_take(struct proxy_rules *r, const void *owner, uint32_t peer, uint8_t protocol, size_t slot);
/* Nothing happens when it has none. */
void proxy_rules_give_back(struct proxy_rules *r, const void *owner);
/*
 * Whose is to be given up for one of `peer`'s: of the member with most, when that has more than it; a datagram flow's
 * before a connection's, and the latest. NULL: nobody's.
 */
const struct proxy_rule *proxy_rules_victim(const struct proxy_rules *r, uint32_t peer);

#endif
