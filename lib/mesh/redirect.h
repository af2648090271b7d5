/*
 * Flows that do not go where they are addressed: addresses, ports and checksums of their packets are changed on their
 * way between the data plane and the local kernel. Which ones is decided with their first packet, when the filter
 * has let it in.
 *
 *	called			who listens there			the kernel sees
 *	node address M, port p	somebody on M, or on all addresses	C:c -> M:p	as it is; no flow here
 *				somebody on another address L		C:c -> L:p	REDIRECT_ADDRESS
 *				somebody on loopback alone		C:s -> M:proxy	REDIRECT_LOOPBACK
 *				somebody of the other family alone,
 *				on loopback, or by TCP on all addresses	C:s -> M:proxy	REDIRECT_LOOPBACK
 *				nobody					C:c -> M:p	as it is; it says no itself
 *	forward F, port p	(never asked)				C:s -> M:proxy	REDIRECT_FORWARD
 *	forward F, by M itself						F:s -> M:proxy	REDIRECT_FORWARD
 *
 * C:c is the caller; s is c, or another port where two flows of C had become one. The first packet of a TCP flow to the
 * proxy (meshlan/proxy.h) is taken: the proxy dials first, and lets it go on by redirect_ready.
 *
 * Called by the threads of the data plane, which pass quickly where nothing is redirected, and by the proxy's. One lock. The
 * time is given; the only I/O is by `options.listening`, at the beginning of flows; its answers are remembered for a moment.
 * Caps: REDIRECT_FLOWS_MAX in all, REDIRECT_PEER_MAX of one member. When all are in use, those not open give way to new
 * ones, then those of the member with most to whoever has fewer.
 */
#ifndef MESHANICS_MESH_REDIRECT_H
#define MESHANICS_MESH_REDIRECT_H

#include "mesh/plane.h"

#define REDIRECT_FLOWS_MAX 4096
#define REDIRECT_PEER_MAX 1024
#define REDIRECT_FORWARDS_MAX 64
#define REDIRECT_LISTENERS_MAX 32	/* of one port */
#define REDIRECT_PORTS_BYTES 8192
#define REDIRECT_FRAGMENTS 64		/* fragmented packets in flight, each way */
#define REDIRECT_TCP_NEW_MS 60000
#define REDIRECT_TCP_OPEN_MS 7440000
#define REDIRECT_UDP_MS 200000
#define REDIRECT_CLOSED_MS 60000

struct redirect;

/* An address of this host; IPv4: the first four bytes. */
struct redirect_address {
	uint8_t version;	/* 4 or 6; 0: none */
	uint8_t bytes[16];
};

/* A socket that takes new flows. */
struct redirect_listener {
	struct redirect_address address;	/* all zeros: any */
	bool both;		/* of version 6, any: takes IPv4 as well */
	bool local;		/* on the loopback interface alone */
};

struct redirect_options {
	void *arg;
	/*
	 * Would the kernel give a new packet from remote to local, come in by the mesh's interface, to a socket? By
	 * rx's thread. The ports are in host order. NULL: nothing but forwards is redirected.
	 */
	bool (*taken)(void *arg, uint8_t protocol, const struct redirect_address *local, uint16_t local_port,
		      const struct redirect_address *remote, uint16_t remote_port);
	/* Who listens on this port, on whatever address: fills up to max, returns how many. By rx's thread. */
	size_t (*listening)(void *arg, uint8_t protocol, uint16_t port, struct redirect_listener *out, size_t max);
	/*
	 * The bit of each port on which anybody listens: asked when there are too many questions. false: nobody tells.
	 * By rx's thread.
	 */
	bool (*ports)(void *arg, uint8_t protocol, uint8_t bits[static REDIRECT_PORTS_BYTES]);
};

WARN_UNUSED struct redirect *redirect_new(void);
void redirect_free(struct redirect *r);		/* NULL is fine */

/* ---- the data plane ---- */

enum redirect_verdict {
	REDIRECT_PASS,		/* redirected or not, it goes its way */
	REDIRECT_TAKE,		/* the proxy's: PLANE_TAKE */
	REDIRECT_DROP,		/* no room, no question left as to who listens, or nobody's business */
};
/* rx: a packet from a member that the filter passed, before it is joined with others: a flow may begin. */
enum redirect_verdict redirect_admit(struct redirect *r, uint32_t peer, const struct plane_packet *p);
/* rx: just before a buffer is written to the kernel. Changes it in place. */
void redirect_in(struct redirect *r, struct plane_packet *p);
/* tx: just after a buffer was read from the kernel. Changes it in place. A flow may be found open, or at its end. */
void redirect_out(struct redirect *r, struct plane_packet *p);
/*
 * tx: a packet that redirect_out has seen. False: it has the source of an own forward and is of no flow of it: somebody
 * here, or on a network that is routed here, speaks in the device's name.
 */
bool redirect_may_leave(struct redirect *r, const struct plane_packet *p);
/*
 * tx: a packet of this host to an address in an own block (plane_scope.unowned); it is not changed. PASS: it is of a flow
 * of a forward, and `inject` has been called with what the kernel is to get, checksums computed (a buffer of many datagrams:
 * with each). TAKE: the proxy's. DROP: nothing is there, to be rejected.
 */
enum redirect_verdict redirect_own(struct redirect *r, const struct plane_packet *p,
				   void (*inject)(void *arg, const void *ip, size_t len), void *arg);

/* ---- the proxy ---- */

/* From the next packet on; NULL: nobody tells. Copied. Returns when the former ones are not being called any more. */
void redirect_set_options(struct redirect *r, const struct redirect_options *o);

struct redirect_own {
	struct redirect_address node4, node6;	/* M; version 0: none */
	uint16_t tcp4, tcp6, udp4, udp6;	/* ports of the proxy on them, host order; 0: none */
	struct redirect_address forwards[2 * REDIRECT_FORWARDS_MAX];	/* of either version */
	uint16_t forward_of[2 * REDIRECT_FORWARDS_MAX];	/* the caller's number for it */
	size_t forwards_n;
};
/* From the next packet on; copied. Flows that these would not make are forgotten. */
void redirect_set(struct redirect *r, const struct redirect_own *own);

enum redirect_kind { REDIRECT_ADDRESS, REDIRECT_LOOPBACK, REDIRECT_FORWARD };

struct redirect_flow {
	uint64_t id;			/* never used twice */
	enum redirect_kind kind;
	uint8_t protocol;		/* IPPROTO_TCP or IPPROTO_UDP */
	uint32_t peer;			/* PLANE_SELF: this node */
	struct redirect_address caller, called;	/* of one version */
	uint16_t caller_port, called_port;
	struct redirect_address alias;	/* the caller, as the kernel sees it */
	uint16_t alias_port;
	struct redirect_address service;	/* LOOPBACK: where it listens, of either version */
	uint16_t forward;		/* FORWARD: of forward_of */
};

/* Whether a packet that was taken is for the node or one of its forwards, or for a place in its blocks that nobody has. */
bool redirect_holds(struct redirect *r, const struct plane_packet *p);
/* The flow of a packet that was taken. false: there is none (any more). */
bool redirect_of_packet(struct redirect *r, const uint8_t *ip, size_t len, struct redirect_flow *out);
/* The flow whose caller the kernel sees as this. */
bool redirect_of_alias(struct redirect *r, uint8_t protocol, const struct redirect_address *alias, uint16_t port,
		       struct redirect_flow *out);
/* Whether it is still in the table: the name of one that gave way may be another's by now. */
bool redirect_lives(struct redirect *r, uint64_t id);
/*
 * The service has answered: packets pass from now on. ip: the packet that was taken; changed in place, checksums
 * computed, to be injected. false: the flow is gone.
 */
bool redirect_ready(struct redirect *r, uint64_t id, uint8_t *ip, size_t len);
/* The flow has ended. gone: at once, nothing was ever said; else its last packets still pass. */
void redirect_end(struct redirect *r, uint64_t id, bool gone);

struct redirect_counts {
	uint32_t flows;
	uint64_t opened, evicted, full;	/* ever */
};
void redirect_count(struct redirect *r, struct redirect_counts *out);

#endif
