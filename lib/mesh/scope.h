/*
 * The port scope: who may reach what on this node and on the devices it forwards to. A scope is built, then never
 * changed; a new one takes its place (filter.h). What no rule allows is denied. The one exception is echo
 * ("ping"), which is answered unless `echo` is off or a rule about echo says for whom. No I/O.
 * Caps: SCOPE_RULES_MAX, SCOPE_CALLERS_MAX a rule, SCOPE_TARGETS_MAX.
 */
#ifndef MESHANICS_MESH_SCOPE_H
#define MESHANICS_MESH_SCOPE_H

#include "mesh/address.h"

#define SCOPE_RULES_MAX 256
#define SCOPE_CALLERS_MAX 64
#define SCOPE_TARGETS_MAX 65		/* the node, and 64 forwards */
#define SCOPE_NAME_LEN 64		/* with NUL */
#define SCOPE_ORIGIN_LEN 48		/* with NUL */
#define SCOPE_RULE_TEXT_LEN 24		/* "tcp:65535-65535" with NUL */
#define SCOPE_WHY_LEN 512

enum scope_proto { SCOPE_TCP, SCOPE_UDP, SCOPE_ECHO };

/* In place of the index of a rule. */
enum {
	SCOPE_NO_RULE = -1,		/* denied: no rule allows it */
	SCOPE_BY_ECHO = -2,		/* allowed: echo is answered */
	SCOPE_NO_TARGET = -3,		/* denied: the address is nothing of ours */
	SCOPE_NO_CALLER = -4,		/* denied: nobody knows who asks */
};
static inline bool scope_allows(int rule)
{
	return rule >= 0 || rule == SCOPE_BY_ECHO;
}

#define SCOPE_ANY_TARGET (-1)

struct scope_caller {
	uint8_t id[NODE_ID_LEN];
	char name[SCOPE_NAME_LEN];	/* as it was when the rule was made; only for people */
};

struct scope_rule {
	enum scope_proto proto;
	uint16_t port_first, port_last;	/* both included; of echo 0 and 0 */
	int target;			/* index of a target, or SCOPE_ANY_TARGET */
	char origin[SCOPE_ORIGIN_LEN];	/* where it stands, for people: "network key", "config.yaml"; may be empty */
	const struct scope_caller *callers;	/* callers_n of them, copied; 0: any member */
	size_t callers_n;
};

/* An address of ours that may be reached: target 0 is the node, the others are forwards. */
struct scope_target {
	char name[SCOPE_NAME_LEN];
	uint32_t v4;			/* host order */
	uint8_t v6[16];
	bool take_echo;			/* echo requests go to control, which probes the device itself */
};

struct scope;

/* Empty: no target, no rule; echo is answered. */
struct scope *scope_new(void);
void scope_free(struct scope *s);
void scope_set_echo(struct scope *s, bool answered);
/* The first one is the node. *index may be NULL. -1: ERR_LIMIT. */
WARN_UNUSED int scope_add_target(struct scope *s, const struct scope_target *t, int *index, struct error *err);
/*
 * Copied. Rules count in the order they are added, which decides nothing but which of several is named. -1: ERR_LIMIT;
 * ERR_USAGE for ports that are none, for echo with ports, and for a target that is not there.
 */
WARN_UNUSED int scope_add_rule(struct scope *s, const struct scope_rule *r, struct error *err);

size_t scope_rules(const struct scope *s);
const struct scope_rule *scope_rule_at(const struct scope *s, size_t i);
size_t scope_targets(const struct scope *s);
const struct scope_target *scope_target_at(const struct scope *s, size_t i);

/*
 * "tcp:22", "udp:5000-5010", "icmp" (or "ping"): sets protocol and ports of *r, and clears the rest. -1: ERR_USAGE
 * with a hint. "tcp" without ports is refused, since it is more than anyone means; "tcp:1-65535" says it.
 */
WARN_UNUSED int scope_rule_parse(struct scope_rule *r, struct slice text, struct error *err);
const char *scope_rule_text(char out[static SCOPE_RULE_TEXT_LEN], const struct scope_rule *r);
const char *scope_proto_name(enum scope_proto p);

/* The target with this address (4 or 16 bytes, as in a packet), or -1. */
int scope_target_find(const struct scope *s, const uint8_t *address, size_t len);
/* The target of this name, or -1. */
int scope_target_named(const struct scope *s, const char *name);

/* What decides about a call: the index of a rule, or one of the above. caller: NODE_ID_LEN bytes, NULL: unknown. */
int scope_judge(const struct scope *s, const uint8_t *caller, int target, enum scope_proto proto, uint16_t port);

struct scope_reason {
	bool allowed;
	int rule;
	char why[SCOPE_WHY_LEN];	/* a sentence or two, without a full stop at the end */
};
/*
 * The same in words: which rule decides, and where none does, which ones come nearest and what they miss.
 * caller_name: what people call it. A target that is not there is SCOPE_NO_TARGET.
 */
void scope_explain(const struct scope *s, const uint8_t *caller, const char *caller_name, int target,
		   enum scope_proto proto, uint16_t port, struct scope_reason *out);

#endif
