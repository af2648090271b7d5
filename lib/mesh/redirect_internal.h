/*
 * What the parts of redirect.h share: the table of flows (redirect.c), which of them give
 * way (redirect_room.c), which flows begin (redirect_admit.c), packets on their
 * way (redirect_path.c) and being changed (redirect_packet.c), what the proxy asks and tells (redirect_proxy.c).
 */
#ifndef MESHANICS_MESH_REDIRECT_INTERNAL_H
#define MESHANICS_MESH_REDIRECT_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>

#include "mesh/redirect.h"

#define PORT_CELLS 1024		/* of counters by port; a power of two */
#define DECISION_SETS 256	/* of ports that share a place; a power of two */
#define DECISION_WAYS 4

/* Two ends of a flow as they stand in a packet. */
struct ends {
	struct redirect_address from, to;
	uint16_t from_port, to_port;
	uint8_t protocol;
};

enum flow_end { END_IN = 1, END_OUT = 2 };

struct rflow {
	struct redirect_flow f;
	struct ends called;	/* caller -> called: as members see it */
	struct ends seen;	/* alias -> who listens: as the kernel sees it */
	uint32_t next_called, next_seen, next_free;	/* slot + 1 */
	uint32_t older, newer;	/* slot + 1: of the same member and kind, by last_ms to a second or so */
	int64_t last_ms;
	uint8_t kind;		/* of rkind: the list that it is in */
	uint8_t ends;		/* of flow_end: who has sent FIN */
	bool used;
	bool ready;		/* packets pass */
	bool answered;		/* the kernel has sent something back */
	bool closed;
};

/* In the order in which a member's flows give way. */
enum rkind { RKIND_WAITING, RKIND_UDP, RKIND_TCP, RKINDS };	/* WAITING: not answered, not ready, or closed */

/* Where a member stands among those with the same number of flows; members are counted from 1, 0: none. */
struct rstand {
	uint16_t before, after;
};

/* The flows of one member. */
struct rmember {
	uint32_t oldest[RKINDS], newest[RKINDS];	/* slot + 1 */
	uint16_t of[RKINDS], flows;
	struct rstand by_flows, by_waiting;
};

/* Members by a number of flows. */
struct rranking {
	uint16_t first[REDIRECT_PEER_MAX + 1];
	uint16_t top;		/* nobody has more */
};

/* A datagram in fragments: all get the addresses of the first. */
struct rfragment {
	struct redirect_address from, to, new_from, new_to;
	uint32_t id;
	uint8_t protocol;
	int64_t until_ms;
};

struct rfragments {
	struct rfragment kept[REDIRECT_FRAGMENTS];
	unsigned next;
	_Atomic int64_t until_ms;	/* of the youngest: none is kept afterwards */
};

/* Where new flows to a port of the node go. */
enum decided { GOES_ITS_WAY, GOES_TO_ADDRESS, GOES_TO_PROXY, GOES_NOWHERE };

struct decision {
	uint8_t version, protocol;
	uint16_t port;
	bool asked;		/* who listens; else the kernel took a packet */
	enum decided what;
	struct redirect_address service;
	int64_t until_ms;
};

/* On which ports of a protocol somebody listened, at that time. */
struct port_bits {
	int64_t at_ms;		/* 0: never */
	bool told;
	uint8_t bits[REDIRECT_PORTS_BYTES];
};

/* Questions for the calls of one member, in the second that began then. */
struct asker {
	int64_t ask_ms;
	uint32_t asked;
};

struct redirect {
	pthread_mutex_t lock;		/* over all but what is said to be rx's, or atomic */
	uint8_t seed[16];
	uint64_t next_id;
	struct rflow *flows;		/* REDIRECT_FLOWS_MAX */
	uint32_t *by_called, *by_seen;	/* hash -> slot + 1 */
	uint32_t made, free;		/* slots that were ever used; first that is free again, + 1 */
	uint32_t sweep;
	struct rmember *members;	/* by peer + 1; the last is this node */
	struct rranking by_flows, by_waiting;
	struct redirect_counts counts;
	struct redirect_own own;
	_Atomic uint32_t generation;	/* of own */
	_Atomic uint32_t live;		/* flows */
	_Atomic uint16_t called_ports[PORT_CELLS], seen_ports[PORT_CELLS];	/* flows by port: 0 is surely none */
	struct rfragments in_fragments, out_fragments, own_fragments;
	/* rx's */
	struct redirect_own rx_own;
	uint32_t rx_generation;
	struct decision decisions[DECISION_SETS][DECISION_WAYS];
	struct port_bits tcp_ports, udp_ports;
	struct asker *askers;		/* by peer; the last is this node */
	int64_t ask_ms;			/* since when questions to the kernel are counted */
	uint32_t asked_listening, asked_taken;
	/* over options alone, held while they are called */
	pthread_mutex_t options_lock;
	struct redirect_options options;
	/* tx's */
	struct redirect_own tx_own;
	uint32_t tx_generation;
	uint8_t *room;
};

static inline uint32_t redirect_cell(uint8_t protocol, uint16_t port)
{
	return (port ^ (protocol == IPPROTO_UDP ? PORT_CELLS / 2 : 0)) & (PORT_CELLS - 1);
}

/* Surely no flow: without the lock, and without a look at the table. */
static inline bool redirect_none_called(const struct redirect *r, const struct ends *e)
{
	return atomic_load_explicit(&r->called_ports[redirect_cell(e->protocol, e->to_port)], memory_order_relaxed) == 0;
}

/* The same of a packet from the kernel. */
static inline bool redirect_none_seen(const struct redirect *r, const struct ends *e)
{
	return atomic_load_explicit(&r->seen_ports[redirect_cell(e->protocol, e->from_port)], memory_order_relaxed) == 0;
}

/* ---- redirect.c: with the lock held ---- */

#define NO_TIME INT64_MIN	/* in place of now: what has expired counts, too, since it still has the name */
struct rflow *redirect_find(struct redirect *r, const struct ends *called, int64_t now_ms);
struct rflow *redirect_find_seen(struct redirect *r, const struct ends *seen, int64_t now_ms);
/* A new flow; NULL: no room, or the proxy has no port for it. */
struct rflow *redirect_begin(struct redirect *r, const struct redirect_flow *wanted, int64_t now_ms);
void redirect_drop(struct redirect *r, struct rflow *f);
/* NULL: it is no more. */
struct rflow *redirect_by_id(struct redirect *r, uint64_t id);
/* Who listens, as the kernel sees it. false: the proxy has no such port. */
bool redirect_seen_by(const struct redirect *r, const struct redirect_flow *w, struct ends *seen);
/* A packet of it has passed. */
void redirect_note(struct redirect *r, struct rflow *f, const struct plane_packet *p, enum flow_end way);
bool redirect_expired(const struct rflow *f, int64_t now_ms);
bool redirect_is_open(const struct rflow *f);

/* ---- redirect_room.c: with the lock held ---- */

/* A flow is in the table; it is to leave it; it may be of another kind by now, or was heard of. */
void redirect_room_enter(struct redirect *r, struct rflow *f);
void redirect_room_leave(struct redirect *r, struct rflow *f);
void redirect_room_change(struct redirect *r, struct rflow *f, int64_t last_ms);
/* The flow that gives way to a new one of this member; *out is NULL where it needs none. false: there is no room. */
bool redirect_room_make(struct redirect *r, uint32_t peer, struct rflow **out);

/* ---- redirect_admit.c: with no lock held ---- */

/* The number of the forward with this address in own->forwards, or -1. */
int redirect_forward(const struct redirect_own *own, const struct redirect_address *a);
/* What becomes of a packet to a forward; it may begin a flow. */
enum redirect_verdict redirect_admit_forward(struct redirect *r, const struct redirect_own *own, int forward, uint32_t peer,
					     const struct plane_packet *p);

/* ---- redirect_packet.c ---- */

/* The ends of a TCP or UDP packet, first fragment or whole. false: it has none. */
bool redirect_ends(const struct plane_packet *p, struct ends *out);
void redirect_turn(const struct ends *e, struct ends *out);
bool redirect_same(const struct redirect_address *a, const struct redirect_address *b);
struct redirect_address redirect_source(const struct plane_packet *p);
struct redirect_address redirect_target(const struct plane_packet *p);
/* Make `to` the packet's ends, checksums with them. */
void redirect_write(struct plane_packet *p, const struct ends *to);
/* Addresses alone, of a packet whose transport header is elsewhere. */
void redirect_write_addresses(struct plane_packet *p, const struct redirect_address *from, const struct redirect_address *to);
/* Whether it is an error of ICMP; then the ends of the packet that it quotes. */
bool redirect_quoted(const struct plane_packet *p, struct ends *out);
/* Make the quoted ends `to`, and the addresses of the error itself those given. */
void redirect_write_error(struct plane_packet *p, const struct ends *to, const struct redirect_address *outer_from,
			  const struct redirect_address *outer_to);
/* A number that all fragments of a datagram have. */
uint32_t redirect_fragment_id(const struct plane_packet *p);
bool redirect_is_later_fragment(const struct plane_packet *p);

#endif
