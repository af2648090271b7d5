/*
 * Names: which node or forward a name means, in all networks of this machine, and which name an address has
 * (meshanics-mesh(7), "Names"). One name in one network is held by whoever took it first, then by the lower node id;
 * the same records give the same holders, in whatever order they arrive. Between networks the one added first goes
 * before; the names of every network with a label are reached behind that label as well: nas.home.mesh.
 */
#ifndef MESHANICS_MESH_NAMES_H
#define MESHANICS_MESH_NAMES_H

#include "mesh/claims.h"
#include "mesh/record.h"

#define NAMES_NETWORKS_MAX 64
#define NAMES_PINS_MAX 65536	/* of one network */
#define NAMES_SHOWN_LEN (MESH_NAME_MAX + 2 * NODE_ID_LEN + 4)

struct names;
struct names_network;

/* A name with what it means. */
struct names_entry {
	char name[MESH_NAME_MAX + 1];
	uint8_t node[NODE_ID_LEN];	/* the node itself, or the one that forwards */
	uint8_t ordinal, slot;		/* slot SLOT_NODE: the node */
	bool has_address;	/* false: the node does not hold the block it claims */
	uint32_t v4;		/* host order */
	uint8_t v6[16];
	bool holds;		/* false: another node has the name in this network, and this entry is only reported */
	uint8_t holder[NODE_ID_LEN];	/* who has it; node, if holds */
	const struct names_network *network;
};

enum names_kind { NAMES_NAME = 1, NAMES_BLOCK = 2 };

/* A name or a block that another node had when it was last looked at. */
struct names_change {
	enum names_kind kind;
	const struct names_network *network;
	char name[MESH_NAME_MAX + 1];	/* of NAMES_NAME */
	uint32_t block;			/* of NAMES_BLOCK */
	uint8_t before[NODE_ID_LEN], now[NODE_ID_LEN];
};

struct names *names_new(void);
void names_free(struct names *n);	/* NULL is fine */

/*
 * Add a network, after those that are there. Borrows claims until the network is removed, and reads them at each
 * lookup; copies a. label: a name as mesh_name_check takes it, or empty. ERR_CONFLICT: another network has the label;
 * ERR_LIMIT: there are NAMES_NETWORKS_MAX; ERR_MALFORMED: the label.
 */
WARN_UNUSED int names_network_add(struct names *n, const struct addressing *a, const struct claims *claims,
				  struct slice label, struct names_network **out, struct error *err);
void names_network_remove(struct names *n, struct names_network *net);
const char *names_network_label(const struct names_network *net);
const struct addressing *names_network_addressing(const struct names_network *net);
/* A label out of what people call a network: "Home network" becomes "home-network"; empty when nothing is left. */
void names_label(char out[static MESH_NAME_MAX + 1], struct slice text);

/* The newest record of a node, instead of the one before. ERR_LIMIT: there are CLAIMS_NODES_MAX others. */
WARN_UNUSED int names_set(struct names_network *net, const struct mesh_record *r, struct error *err);
void names_remove(struct names_network *net, const uint8_t node[static NODE_ID_LEN]);
size_t names_nodes(const struct names_network *net);

/* The holder of a name, of one label or, with a network's label behind it, two; any case. False: nobody has it. */
bool names_find(const struct names *n, struct slice name, struct names_entry *out);
/* Whether some network has that label, so that there may be names below it; any case. */
bool names_label_known(const struct names *n, struct slice label);
/* Whose address it is, also when the name is another's (holds). False: it is nobody's. */
bool names_of_v4(const struct names *n, uint32_t v4, struct names_entry *out);
bool names_of_v6(const struct names *n, const uint8_t v6[static 16], struct names_entry *out);
/* Whether the bytes of the address lie in a range of some network, whoever it belongs to. */
bool names_covers_v4(const struct names *n, uint32_t v4);
bool names_covers_v6(const struct names *n, const uint8_t v6[static 16]);
/* Whether all of the 2^(32-prefix) addresses from v4 on lie in the range of one network. */
bool names_covers_v4_part(const struct names *n, uint32_t v4, unsigned prefix);

typedef void names_each_fn(void *arg, const struct names_entry *e);
/* Every name, network by network, ordered by name, its holder before the others. */
void names_each(const struct names *n, names_each_fn *each, void *arg);
/* What people are shown: "nas", or for who lost it "nas (5393c7b69dca50afe13b6bfcdcee1314)". */
const char *names_shown(char out[static NAMES_SHOWN_LEN], const struct names_entry *e);

typedef void names_change_fn(void *arg, const struct names_change *c);
/*
 * Look at who holds each name and block now. One that is seen for the first time is pinned to its holder; one whose
 * holder is another than its pin says is told, once, and pinned anew. A pin outlives the record of its node, so that
 * a name is told also when it was free for a while. Returns how many were told. When there are NAMES_PINS_MAX,
 * pins of what nobody wants any more make room; what finds none is not pinned.
 */
size_t names_review(struct names_network *net, names_change_fn *told, void *arg);
/* A pin from the last run: before is who held it. ERR_LIMIT, ERR_MALFORMED (name), ERR_CONFLICT (pinned already). */
WARN_UNUSED int names_pin(struct names_network *net, const struct names_change *pin, struct error *err);
/* Every pin, to be kept for the next run: before is who holds it. */
void names_pins_each(const struct names_network *net, names_change_fn *each, void *arg);
size_t names_pins(const struct names_network *net);

#endif
