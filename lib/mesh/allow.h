/*
 * What a node lets in from a network, as the operator writes it: protocol and ports, and where that is said, for whom
 * and to what. These rules stay on their node; no key or record carries them. The file, a line each, in this order:
 *
 *	deny icmp					echo is not answered; only without a rule about icmp
 *	allow tcp:22					from any member, to the node and its forwards
 *	allow tcp:631 to printer			to that forward alone; "to ." is the node alone
 *	allow tcp:22 from NODEID nas			from that node alone, which was called nas then
 *	allow icmp to printer from NODEID
 */
#ifndef MESHANICS_MESH_ALLOW_H
#define MESHANICS_MESH_ALLOW_H

#include "mesh/record.h"
#include "mesh/scope.h"

#define ALLOW_MAX 256	/* rules of one network; one more caller is one more rule */
#define ALLOW_TO_NODE "."
/* "udp:60000-65535 from NAME to FORWARD" with NUL */
#define ALLOW_TEXT_LEN (SCOPE_RULE_TEXT_LEN + sizeof(" to  from ") + 2 * (size_t)MESH_NAME_MAX)
#define ALLOW_FILE_MAX (ALLOW_MAX * (ALLOW_TEXT_LEN + sizeof("allow ") + NODE_ID_HEX_LEN))

struct allow {
	enum scope_proto proto;
	uint16_t first, last;		/* ports, 1 to 65535; of SCOPE_ECHO 0 and 0 */
	char to[MESH_NAME_MAX + 1];	/* a forward, ALLOW_TO_NODE, or empty: the node and all its forwards */
	bool bound;			/* to the caller `from`; else any member may */
	uint8_t from[NODE_ID_LEN];
	char from_name[MESH_NAME_MAX + 1];	/* its name when the rule was made, for people; may be empty */
};

struct allow_list {
	struct allow rules[ALLOW_MAX];	/* sorted, no two alike (names of callers apart) */
	size_t count;
	bool no_echo;			/* no rule is about echo, and it is not answered all the same */
};

/* "tcp:22", "udp:5000-5010", "icmp" (or "ping"): for any member, to everything. ERR_USAGE with a hint. */
WARN_UNUSED int allow_parse(struct allow *a, struct slice text, struct error *err);
/* For people: "tcp:445 from nas to printer"; a caller without a name is the beginning of its id. */
const char *allow_text(char out[static ALLOW_TEXT_LEN], const struct allow *a);
/* Protocol and ports alone. */
const char *allow_ports_text(char out[static SCOPE_RULE_TEXT_LEN], const struct allow *a);
/* Whether all that b lets in, a lets in as well. */
bool allow_covers(const struct allow *a, const struct allow *b);

/*
 * A rule that is there already is a success, and takes the newer name of its caller. ERR_LIMIT when the list is full.
 * A rule about echo says who gets an answer, so that no_echo is over.
 */
WARN_UNUSED int allow_list_add(struct allow_list *l, const struct allow *a, struct error *err);
/* Take out the rule at i. Where it was the last one about echo, no_echo: taking away never lets more in. */
void allow_list_drop(struct allow_list *l, size_t i);
/* The file; parse takes exactly what put makes. ERR_MALFORMED with the number of the line, ERR_LIMIT. */
void allow_list_put(struct buf *out, const struct allow_list *l);
WARN_UNUSED int allow_list_parse(struct allow_list *l, struct slice text, struct error *err);

#endif
