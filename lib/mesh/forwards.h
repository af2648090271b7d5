/*
 * Forwards of a node in one network: devices beside it that have an address and a name in the mesh through it. Some
 * were added by a verb, others stand in config.yaml; both have their places in one file, so that addresses stay what
 * they are:
 *
 *	printer 192.168.1.50 0 2 86400			name, target, ordinal of the block, slot, since when
 *	camera fd00::7 0 3 unknown config		of config.yaml; the name was taken before the clock was right
 *
 * A forward keeps its place as long as it is there; a new one gets the lowest that is free.
 */
#ifndef MESHANICS_MESH_FORWARDS_H
#define MESHANICS_MESH_FORWARDS_H

#include "mesh/record.h"

#define FORWARDS_MAX RECORD_FORWARDS_MAX
#define FORWARD_TARGET_TEXT_LEN 46	/* with NUL */
#define FORWARDS_FILE_MAX (FORWARDS_MAX * (MESH_NAME_MAX + FORWARD_TARGET_TEXT_LEN + 32))
/* Bytes of the node's record that forwards and the claims for them may take; the rest is for endpoints and names. */
#define FORWARDS_RECORD_MAX 600

struct forward {
	char name[MESH_NAME_MAX + 1];
	struct endpoint target;		/* port 0 */
	bool config;			/* of config.yaml, so that no verb changes it */
	uint8_t ordinal, slot;
	uint32_t named_s;		/* seconds after the network's creation, RECORD_NAMED_UNKNOWN */
};

struct forward_list {
	struct forward all[FORWARDS_MAX];	/* ordered by place */
	size_t count;
};

/*
 * A target: a literal IPv4 or IPv6 address that is neither loopback, link-local, multicast, unspecified, IPv4 inside
 * IPv6, nor reserved. ERR_USAGE for what is no address, ERR_REFUSED for the others, each with a hint.
 */
WARN_UNUSED int forward_target_parse(struct endpoint *target, struct slice text, struct error *err);
/* ERR_REFUSED for one inside the network of a, called `network` or NULL: members reach that as it is. */
WARN_UNUSED int forward_target_outside(const struct endpoint *target, const struct addressing *a, const char *network,
				       struct error *err);
const char *forward_target_text(char out[static FORWARD_TARGET_TEXT_LEN], const struct endpoint *target);
/* The name out of what people write: "Office Printer" becomes "office-printer". ERR_USAGE when nothing is left. */
WARN_UNUSED int forward_name_parse(char out[static MESH_NAME_MAX + 1], struct slice text, struct error *err);

const struct forward *forwards_find(const struct forward_list *l, const char *name);	/* NULL: none */
/*
 * Give f (name, target, config, named_s) the lowest free place and add it. ERR_CONFLICT: the name is there.
 * ERR_LIMIT: the node's record has no room for it.
 */
WARN_UNUSED int forwards_add(struct forward_list *l, const struct forward *f, struct error *err);
bool forwards_remove(struct forward_list *l, const char *name);	/* false: there is none */

/* What forwards_merge could not do as it stands in config.yaml, for people; one line each. */
typedef void forwards_told_fn(void *arg, const char *name, const char *what);
/*
 * Bring the list in line with config.yaml (count of name and target; the rest is ignored): those that it does not
 * name any more go, new ones get places, changed targets count. One that a verb has added under the same name becomes
 * the configuration's and keeps its place. What has no room, an unusable target (a: the network's) or a name twice is
 * left out and told. named_s: of new ones, and of those whose name is still undated, if it is not
 * RECORD_NAMED_UNKNOWN. Returns whether anything changed, and is to be kept by network_set_forwards.
 */
bool forwards_merge(struct forward_list *l, const struct forward *config, size_t count, const struct addressing *a,
		    uint32_t named_s, forwards_told_fn *told, void *arg);
/* Seconds from the network's creation to now, or RECORD_NAMED_UNKNOWN when the clock is before it. */
uint32_t forwards_named_s(int64_t created_s, int64_t now_s);
/*
 * As they go into the node's record; how many. Left out is one with the name of the node itself, which the record
 * could not hold; *clash is then that one, else NULL. clash may be NULL.
 */
size_t forwards_to_record(const struct forward_list *l, const char *node_name,
			  struct record_forward out[static FORWARDS_MAX], const struct forward **clash);

/* The file; parse takes exactly what put makes. ERR_MALFORMED with the number of the line, ERR_LIMIT. */
void forwards_put(struct buf *out, const struct forward_list *l);
WARN_UNUSED int forwards_parse(struct forward_list *l, struct slice text, struct error *err);

#endif
