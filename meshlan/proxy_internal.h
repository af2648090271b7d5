/*
 * What the parts of the proxy share; all of it belongs to its thread, but for what says otherwise.
 *
 *	proxy.c		the thread, who listens on this host, what was taken
 *	proxy_own.c	our own addresses and forwards, and sockets that listen
 *	proxy_dial.c	sockets to services and devices
 *	proxy_rules.c	who has a place for services on ::1
 *	proxy_tcp.c	connections, and bytes between their two ends
 *	proxy_udp.c	datagrams
 *	proxy_echo.c	echo requests to forwards
 */
#ifndef MESHANICS_MESHLAN_PROXY_INTERNAL_H
#define MESHANICS_MESHLAN_PROXY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "mesh/plane.h"
#include "mesh/reject.h"
#include "meshlan/proxy_rules.h"
#include "net/loop.h"
#include "sys/echo.h"
#include "sys/listeners.h"
#include "sys/netlink.h"
#include "sys/policyroute.h"

struct tcp_flow;
struct udp_flow;
struct asked;

/* One family of our own address, and the sockets on it. */
struct side {
	struct proxy *p;
	union udp_addr own;		/* family AF_UNSPEC: none */
	struct watch tcp, udp;		/* fd -1: none */
	struct timer later;		/* no descriptor was free for a connection */
	uint16_t tcp_port, udp_port;
};

struct proxy {
	struct proxy_options o;
	struct loop *loop;
	pthread_t thread;
	bool ending;			/* what was posted finds nothing */
	struct side side4, side6;
	struct proxy_forward forwards[REDIRECT_FORWARDS_MAX];
	uint16_t forward_ids[REDIRECT_FORWARDS_MAX];	/* of each, as flows name it; another target is another one */
	uint16_t next_forward_id;
	size_t forwards_n;
	struct tcp_flow *tcp[REDIRECT_FLOWS_MAX];	/* by slot of the flow's id */
	struct udp_flow *udp[REDIRECT_FLOWS_MAX];
	struct netlink netlink;		/* for the policy rule */
	int64_t policy_ms;		/* when it was seen to last */
	struct proxy_rules rules;	/* of flows to ::1 */
	uint64_t evicted;		/* flows that had given way when sockets were last gone through */
	int64_t reaped_ms;		/* and when that was */
	struct echo echo4, echo6;
	struct watch echo4_watch, echo6_watch;
	struct asked *asked[PROXY_ECHOES_MAX];		/* by sequence */
	struct timer asked_due;
	size_t asked_bytes;
	uint16_t next_sequence;
	uint8_t *room;			/* PROXY_ROOM bytes, for whoever works */
	int fd_max;			/* of connections: those above are the process's own */
	struct listeners listeners;	/* rx's, by way of redirect */
	_Atomic unsigned waiting;	/* packets taken, any thread */
	_Atomic unsigned troubles;	/* any thread reads */
	_Atomic uint32_t tcp_n, udp_n, asked_n;
	_Atomic uint64_t tcp_opened, tcp_refused, udp_opened, echoes_answered, echoes_failed;
};

#define PROXY_ROOM 65536

/* ---- proxy.c ---- */
void proxy_trouble(struct proxy *p, enum proxy_trouble t, bool on);
/* A packet from the called to the caller, as the caller knows them. */
void proxy_answer(struct proxy *p, uint32_t peer, const uint8_t *ip, size_t len);
void proxy_refuse(struct proxy *p, uint32_t peer, const uint8_t *ip, size_t len, enum reject_kind kind);
/* What an errno of a socket means to the caller. */
enum reject_kind proxy_reason(int error);
static inline size_t proxy_slot(const struct redirect_flow *f)
{
	return f->id % REDIRECT_FLOWS_MAX;
}
union udp_addr proxy_sockaddr(const struct redirect_address *a, uint16_t port);
void proxy_from_sockaddr(const union udp_addr *a, struct redirect_address *out, uint16_t *port);
/* Before a flow takes up sockets: those of flows that have given way are let go of. */
void proxy_reap(struct proxy *p);
/* The flow of what came from there to a socket of ours. false: of none, and so nobody has business there. */
bool proxy_whose(const struct proxy *p, uint8_t protocol, const union udp_addr *from, struct redirect_flow *out);
static inline socklen_t proxy_sockaddr_len(const union udp_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

/* ---- proxy_own.c ---- */
void proxy_side_close(struct side *s);
/* The forward of this id; NULL: it is no more. */
const struct proxy_forward *proxy_forward_of(const struct proxy *p, uint16_t id);
/* Whether the flow would still be made, by our own addresses and forwards. */
bool proxy_has(const struct proxy *p, const struct redirect_flow *f);

/* ---- proxy_dial.c ---- */
void proxy_policy(struct proxy *p);
/*
 * A socket that connects, or has connected, to what the flow is for. type: SOCK_STREAM or SOCK_DGRAM. *rule is what
 * proxy_hung_up gets when the socket is closed; it stays where it is. Another flow may be ended for its place. -1
 * with an errno in *error.
 */
int proxy_dial(struct proxy *p, const struct redirect_flow *f, int type, struct policyroute_flow *rule, int *error);
void proxy_hung_up(struct proxy *p, struct policyroute_flow *rule);

/* ---- proxy_tcp.c ---- */
/* The first packet of a flow. */
void proxy_tcp_taken(struct proxy *p, const struct redirect_flow *f, const uint8_t *ip, size_t len);
void proxy_tcp_accept(struct watch *w, uint32_t revents);
void proxy_tcp_again(struct timer *t);
/* End all, or those that are no longer ours. */
void proxy_tcp_end(struct proxy *p, bool all);
/* End those that have given way. */
void proxy_tcp_reap(struct proxy *p);
/* End the one in this slot. */
void proxy_tcp_give_way(struct proxy *p, size_t slot);

/* ---- proxy_udp.c ---- */
void proxy_udp_ready(struct watch *w, uint32_t revents);
void proxy_udp_end(struct proxy *p, bool all);
void proxy_udp_reap(struct proxy *p);
void proxy_udp_give_way(struct proxy *p, size_t slot);

/* ---- proxy_echo.c ---- */
void proxy_echo_open(struct proxy *p);
void proxy_echo_close(struct proxy *p);
void proxy_echo_taken(struct proxy *p, uint32_t peer, const struct plane_packet *request);

#endif
