/*
 * The mesh process: every network of this machine in one process, `meshanics meshlan run`. Each network has an
 * interface and sockets of its own (mesh/plane.h), an engine (mesh/engine.h) and a filter (mesh/filter.h); they share one
 * loop, the names, the resolver and the control socket HOME/mesh/control.sock, which is root's.
 */
#ifndef MESHANICS_MESHLAN_MESHLAN_H
#define MESHANICS_MESHLAN_MESHLAN_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "mesh/record.h"

#define MESHLAN_PORT 7784		/* UDP, of the network that was joined first */
#define MESHLAN_PEERS_MAX 32
#define MESHLAN_UPSTREAMS_MAX 3
#define MESHLAN_FORWARDS_MAX 64		/* of the configuration */
#define MESHLAN_SUFFIX "mesh"
#define MESHLAN_ANSWER_MAX (16u << 20)	/* bytes of what the control socket says */

struct netstore;
struct network_ids;

/* A device that config.yaml names. */
struct meshlan_forward {
	const char *name;
	const char *target;	/* a literal address */
	const char *network;	/* as operators name it; NULL: every network */
};

/* All borrowed for the life of the call. */
struct meshlan_options {
	const char *home;
	const char *name;		/* of this node in its networks; NULL: made from the host's */
	const char *listen;		/* "ADDRESS:PORT" or ":PORT" of the network joined first; NULL: ":7784", or a free one */
	const char *const *peers;	/* "HOST:PORT": asked who is there, by every network */
	size_t peers_count;
	const char *dns_suffix;		/* NULL: "mesh" */
	const char *const *dns_upstream;	/* "ADDRESS" or "ADDRESS:PORT", for names of elsewhere; none: they are refused */
	size_t dns_upstream_count;
	bool no_dns;			/* no resolver, and systemd-resolved is left alone */
	const struct meshlan_forward *forwards;
	size_t forwards_count;
	bool no_discovery;		/* no beacons on the local network */
	uint16_t mtu;			/* of the interfaces; 0: 1420 */
	const char *resolvectl;		/* the program; NULL: /usr/bin/resolvectl */
	const char *notify_socket;	/* NOTIFY_SOCKET, or NULL */
	int64_t watchdog_ms;		/* 0: never */
};

/* Run until SIGTERM or SIGINT. ERR_USAGE for an option, ERR_RETRY when another one runs in this home. */
WARN_UNUSED int meshlan_run(const struct meshlan_options *options, struct error *err);

/* Networks in the order in which they were joined, by which a name that several of them have means one node. */
void meshlan_sort_by_joining(const struct netstore *s, struct network_ids *ids);

/*
 * Whether a setting may be: the name of this node, where it listens, a peer, the suffix of names, a server to ask for other
 * names, a forward. 0, or -1 with err: ERR_USAGE, or ERR_REFUSED for a target that is none, with a hint what may be.
 */
WARN_UNUSED int meshlan_check_name(const char *text, struct error *err);
WARN_UNUSED int meshlan_check_listen(const char *text, struct error *err);
WARN_UNUSED int meshlan_check_peer(const char *text, struct error *err);
WARN_UNUSED int meshlan_check_suffix(const char *text, struct error *err);
WARN_UNUSED int meshlan_check_upstream(const char *text, struct error *err);
WARN_UNUSED int meshlan_check_forward(struct slice name, struct slice target, struct error *err);
/* Whether two words that people write are one name in the mesh. */
bool meshlan_same_name(struct slice a, struct slice b);

/* A word without a dot at its end and without the suffix, in any case: "nas.home" of "nas.home.mesh.". */
struct slice meshlan_bare_name(struct slice word, const char *suffix);
/* Whether it is a literal address, IPv4 or IPv6. */
bool meshlan_is_address(struct slice word);
/*
 * The name that people mean in a network of which they say `network`: "nas" of "nas", "NAS.mesh", "nas.home.mesh",
 * "office-printer" of "Office Printer". ERR_USAGE with a hint: it is an address, a name of another network, or nothing
 * that can be a name.
 */
WARN_UNUSED int meshlan_name_parse(char out[static MESH_NAME_MAX + 1], struct slice word, const char *suffix,
				   const char *network, struct error *err);

/*
 * One request to the process that runs: its answer, JSON, is appended. body: JSON, or empty for GET. ERR_RETRY when
 * none runs; else the error that it says, with its kind. timeout_ms bounds the whole.
 */
WARN_UNUSED int meshlan_ask(const char *home, const char *method, const char *target, struct slice body,
			    int64_t timeout_ms, struct buf *out, struct error *err);

#endif
