/*
 * Flows: who talks with whom, and who began it. A packet from a member passes when a rule allows it, or when it
 * answers what began allowed; this table knows the second. Called by the threads of the data plane at once. No
 * I/O, no clock, no allocation but for the table itself, whose memory is touched as it fills.
 *
 * A flow is "let in" (began by the member, judged by the rules) or "let out" (began here, free). One that was let
 * in is judged again on its first packet under other rules; ended by them it stays as a tombstone, so that what
 * the service here still sends does not begin it anew from this side.
 *
 *	TCP  NEW --other side--> ANSWERED --opener--> OPEN --FIN--> HALF --FIN of the other--> CLOSED     RST: CLOSED from all
 *	UDP  NEW --other side--> OPEN			echo: NEW		later fragments: NEW
 *
 * Of those, NEW, ANSWERED and CLOSED may be evicted when room is short. Where none is seen that is one of many, OPEN and
 * HALF that were let in give way to a flow let in of a member that has less: the oldest of the member that has most, and
 * none of one with FLOW_PEER_SURE at most. Tombstones, and what is OPEN or HALF and began here, are never evicted. A TCP
 * flow may begin in the middle where the rules would have let it begin: so connections outlive a restart.
 *
 * Caps: FLOW_MAX in all; FLOW_PEER_MAX let in of one member, FLOW_PEER_NEW_MAX of them not OPEN or HALF; a quarter
 * of the room is kept from flows that are let in.
 */
#ifndef MESHANICS_MESH_FLOW_H
#define MESHANICS_MESH_FLOW_H

#include <stdbool.h>

#include "base/compiler.h"

#define FLOW_MAX 65536
#define FLOW_SHARDS 16
#define FLOW_PEERS_MAX 8192		/* peers are numbered below this */
#define FLOW_PEER_MAX 16384
#define FLOW_PEER_NEW_MAX 1024
#define FLOW_PEER_SURE 64		/* so many let in of one member do not give way to others' */

#define FLOW_TCP_NEW_MS 60000
#define FLOW_TCP_OPEN_MS 7440000	/* RFC 5382 5: not below 2 hours 4 minutes */
#define FLOW_TCP_HALF_MS 1800000
#define FLOW_TCP_CLOSED_MS 30000	/* from its end, whatever passes */
#define FLOW_UDP_NEW_MS 30000
#define FLOW_UDP_OPEN_MS 180000
#define FLOW_ECHO_MS 30000
#define FLOW_FRAGMENT_MS 10000		/* from the first fragment */
#define FLOW_ENDED_MS 180000		/* a tombstone, after the last packet from here */

struct flows;

enum flow_kind { FLOW_TCP, FLOW_UDP, FLOW_ECHO, FLOW_FRAGMENT };

/* "local" is our side of it, whichever way a packet goes. Bytes that are not used are zero. */
struct flow_key {
	uint8_t local[16], remote[16];	/* IPv4: the first four bytes */
	uint32_t peer;
	/*
	 * Ports; an echo that was let in has its id in remote_port, one that was let out in local_port, and zero in the other;
	 * fragments have their id in both, upper half in remote_port.
	 */
	uint16_t local_port, remote_port;
	uint8_t version;		/* 4 or 6 */
	uint8_t kind;			/* enum flow_kind */
	uint8_t protocol;		/* of fragments; 1 for an echo that was let out; else zero */
	uint8_t zero;
};

/*
 * Asks the rules about a flow that is, or would be, let in: fills *rule (scope.h) and *generation, the number of
 * the rules that said so. Called with a lock of the table held: it may not call back.
 */
struct flow_judge {
	void *arg;
	bool (*ask)(void *arg, const struct flow_key *k, int *rule, uint32_t *generation);
};

/* What a packet's side of a flow is. */
struct flow_packet {
	struct flow_key key;
	uint8_t tcp_flags;
	bool reply;		/* an echo reply */
	bool resume;		/* out: a TCP flow may begin in the middle, although no rule is about it (filter.h) */
	int64_t now_ms;
	uint32_t generation;	/* of the rules in force */
	struct flow_judge judge;
};

enum flow_verdict {
	FLOW_PASS,
	FLOW_DENIED,		/* in: no rule, and no flow */
	FLOW_ENDED,		/* it was let in once, and the rules changed */
	FLOW_STRAY,		/* out: TCP that belongs to nothing */
	FLOW_FULL,		/* no room, or the member has more than its share */
};

struct flows *flows_new(void);
void flows_free(struct flows *t);

/* A packet from, or to, the member key.peer: TCP, UDP, echo. *rule: that let it in, or SCOPE_NO_RULE; may be NULL. */
WARN_UNUSED enum flow_verdict flow_in(struct flows *t, const struct flow_packet *p, int *rule);
WARN_UNUSED enum flow_verdict flow_out(struct flows *t, const struct flow_packet *p, int *rule);
/* The first fragment of key (FLOW_FRAGMENT) came in and passed: the later ones may. FLOW_PASS or FLOW_FULL. */
WARN_UNUSED enum flow_verdict flow_fragment_first(struct flows *t, const struct flow_packet *p);
/* May a later one? FLOW_PASS or FLOW_DENIED. */
WARN_UNUSED enum flow_verdict flow_fragment_later(struct flows *t, const struct flow_packet *p);
/* Is this flow alive and allowed? For errors about it: they neither begin nor prolong anything. */
WARN_UNUSED enum flow_verdict flow_known(struct flows *t, const struct flow_packet *p);

/* All flows of a member, tombstones too, are gone: its number belongs to another one. */
void flows_forget_peer(struct flows *t, uint32_t peer);
/* Give back the room of what has run out of time; it does no harm where it is. */
void flows_sweep(struct flows *t, int64_t now_ms);

struct flow_counts {
	uint32_t used;		/* with those that have run out of time */
	uint32_t let_in;
	uint64_t evicted, full;	/* ever */
};
void flows_count(struct flows *t, struct flow_counts *out);
/* Of one member: let in, and those not OPEN or HALF. */
void flows_count_peer(const struct flows *t, uint32_t peer, uint32_t *let_in, uint32_t *fresh);

struct flow_info {
	struct flow_key key;
	bool let_in, allowed, open;	/* open: OPEN or HALF */
	bool stale;			/* judged under rules other than `generation` */
	int rule;			/* as of its last judgement */
	int64_t began_ms, last_ms;
};
/* Show what is alive at now_ms, in no order. A lock is held while `show` runs: it may not call back. */
void flows_each(struct flows *t, int64_t now_ms, uint32_t generation, void (*show)(void *arg, const struct flow_info *f), void *arg);

#endif
