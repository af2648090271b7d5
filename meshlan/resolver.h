/*
 * The name server of the mesh: UDP and TCP sockets on addresses of our own, answers from the table of names
 * (lib/mesh/dns.h), and the rest handed to other resolvers, if there are any, whose replies are looked through.
 *
 *	asker --UDP, TCP--> [ listeners ] --> dns_answer --> reply
 *	                                         | not of the mesh, asked from this machine
 *	                                         v
 *	                                    [ look-up ] --UDP, then TCP--> upstream, and the next one
 *	                                         |
 *	                                         v
 *	                                 dns_filter_upstream --> reply, or SERVFAIL when none came in time
 *
 * Only who asks from an address that we listen on is on this machine; strangers are answered of the mesh alone. All of
 * it belongs to the loop's thread; nothing blocks, and everything has an end in time.
 */
#ifndef MESHANICS_MESHLAN_RESOLVER_H
#define MESHANICS_MESHLAN_RESOLVER_H

#include <sys/socket.h>

#include "base/error.h"
#include "mesh/names.h"
#include "net/loop.h"

#define RESOLVER_PORT 53
#define RESOLVER_ADDRESSES_MAX 128	/* IPv4 and IPv6 of NAMES_NETWORKS_MAX networks */
#define RESOLVER_UPSTREAMS_MAX 3
#define RESOLVER_LOOKUPS_MAX 128	/* under way at a time; each has a descriptor for every upstream it has asked */
#define RESOLVER_QUERY_MAX 4096		/* longer ones are not answered */
#define RESOLVER_CONNECTIONS_MAX 64
#define RESOLVER_STRANGERS_MAX 16	/* connections from other machines, of these */
#define RESOLVER_STRANGER_MAX 4		/* from one of them */
#define RESOLVER_CONNECTION_MS 10000	/* between two queries, and for one to arrive */
#define RESOLVER_PIPELINE_MAX 16	/* look-ups of one connection at a time; it is not read while there are more */
#define RESOLVER_TRY_MS 1000		/* until the next upstream is asked, or the only one again */
#define RESOLVER_LOOKUP_MS 4500		/* then SERVFAIL; less than the 5 s that most askers wait */
#define RESOLVER_LOOKUP_RATE 200	/* a second */
#define RESOLVER_LOOKUP_BURST 1000
#define RESOLVER_STRANGER_RATE 200	/* queries a second, of all other machines together */
#define RESOLVER_STRANGER_BURST 400

struct resolver;

struct resolver_options {
	struct loop *loop;		/* borrowed */
	const struct names *names;	/* borrowed; read at each query */
	const char *suffix;		/* copied; has passed dns_suffix_check */
	const struct sockaddr_storage *upstreams;	/* copied; port 0: RESOLVER_PORT */
	size_t upstream_count;		/* 0: what is not of the mesh is REFUSED */
};

/* Counted since resolver_new. */
struct resolver_counts {
	uint64_t answered;	/* of the mesh */
	uint64_t refused;	/* no upstream, or asked from another machine */
	uint64_t lookups;	/* handed to an upstream */
	uint64_t failed;	/* of these: SERVFAIL, since none replied in time */
	uint64_t stripped;	/* records left out of replies */
	uint64_t bad;		/* datagrams of an upstream that were no reply to what it was asked */
	uint64_t dropped;	/* queries past a limit, and what was no query */
};

/*
 * ERR_USAGE: an upstream that is no IPv4 or IPv6 address of one host. ERR_LIMIT: there are more than
 * RESOLVER_UPSTREAMS_MAX.
 */
WARN_UNUSED struct resolver *resolver_new(const struct resolver_options *options, struct error *err);
/* Look-ups under way end without a reply. NULL is fine. */
void resolver_free(struct resolver *r);

/*
 * Listen on these addresses and ports (0: a free one), and on no others; what is there already stays as it is. -1 when
 * one of them cannot be had, with the first reason; all others are listened on then, and another call tries again.
 * ERR_CONFLICT: another process is there. Nothing changes on ERR_USAGE: an address that is not of one host; and on
 * ERR_LIMIT: there are more than RESOLVER_ADDRESSES_MAX.
 */
WARN_UNUSED int resolver_listen(struct resolver *r, const struct sockaddr_storage *addresses, size_t count,
				struct error *err);
/* On how many addresses; the first `max` of them, with their ports, are copied to out. */
size_t resolver_listening(const struct resolver *r, struct sockaddr_storage *out, size_t max);
const struct resolver_counts *resolver_counts(const struct resolver *r);
/* An upstream that did not reply when it was last asked, or NULL when all is well. */
const struct sockaddr_storage *resolver_silent(const struct resolver *r);

#endif
