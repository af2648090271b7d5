/*
 * The local proxy of one network, a thread with a loop of its own: what reaches services that listen on loopback
 * alone, and the devices that this node forwards to. It knows which packets are for it from lib/mesh/redirect.h.
 *
 *	member --> plane --> redirect --SYN--> control --proxy_taken--> dials the service or device
 *	                        |                                            | it answers: the SYN goes on
 *	                        +--> kernel --> our listener, accept <-------+ it does not: RST or ICMP to the member
 *
 * A service on loopback sees the member's mesh address: we connect from a socket bound to it (IP_TRANSPARENT), and
 * policy rules (lib/sys/policyroute.h) bring the service's answers back. A device sees this host. An echo request to a
 * forward is answered when the device has answered one of ours.
 * Caps: REDIRECT_FLOWS_MAX flows, PROXY_RULES_MAX of them to ::1, PROXY_ECHOES_MAX echoes, PROXY_BUFFER bytes held in
 * each direction of each. When all rules are in use, the member with most gives one up for whoever has fewer.
 *
 * Order of life: redirect_new, plane_new, proxy_new, plane_start ... proxy_free, plane_free, redirect_free.
 */
#ifndef MESHANICS_MESHLAN_PROXY_H
#define MESHANICS_MESHLAN_PROXY_H

#include "mesh/address.h"
#include "mesh/redirect.h"
#include "sys/udp.h"

#define PROXY_ECHOES_MAX 1024
#define PROXY_BUFFER 65536
#define PROXY_RULES_MAX 512		/* the kernel goes through all of them for what it sends */
#define PROXY_DIAL_MS 10000		/* until a service or device has taken a connection */
#define PROXY_ECHO_MS 5000
#define PROXY_TCP_IDLE_MS 7440000
#define PROXY_UDP_IDLE_MS 180000
#define PROXY_WAITING_MAX 1024		/* packets of proxy_taken that the thread has not looked at */

struct plane;
struct proxy;

struct proxy_options {
	struct redirect *redirect;	/* borrowed */
	struct plane *plane;		/* borrowed: plane_inject and plane_send_packet are called from the thread */
	struct addressing addressing;	/* copied */
	uint32_t ifindex;		/* of the network's interface */
};

/* An own forward. */
struct proxy_forward {
	uint32_t v4;			/* host order; its address in the mesh */
	uint8_t v6[16];
	union udp_addr target;		/* the device; its port is not used */
};

/* Starts the thread; nothing is redirected before proxy_set. What the kernel withholds is no error: proxy_troubles. */
WARN_UNUSED struct proxy *proxy_new(const struct proxy_options *o, struct error *err);
/*
 * Ends its connections, without a word to members, and its thread; removes its rules from the kernel. Nothing is
 * redirected from then on. NULL is fine.
 */
void proxy_free(struct proxy *p);

/*
 * Our own addresses (v4 of 0, v6 of zeros: none) and forwards (REDIRECT_FORWARDS_MAX at most) from now on; copied. What
 * is no longer among them ends. The addresses need not be on the interface yet. -1: out of descriptors or ports; what was
 * set before holds no longer then.
 */
WARN_UNUSED int proxy_set(struct proxy *p, uint32_t v4, const uint8_t v6[static 16], const struct proxy_forward *f,
			  size_t n, struct error *err);
/* An IP packet of PLANE_EVENT_TAKEN, inward or outward; peer as it stands there. Copied. */
void proxy_taken(struct proxy *p, uint32_t peer, struct slice ip);

/* What does not work here, and so what does not; any thread. A bit each; 0: all is well. */
enum proxy_trouble {
	PROXY_NO_TRANSPARENT = 1,	/* no socket may have a foreign address: loopback services are not reached */
	PROXY_NO_POLICY = 2,		/* the policy rule is refused: likewise */
	PROXY_NO_LISTENERS = 4,		/* the kernel does not tell who listens: only what it delivers itself is reached */
	PROXY_NO_ECHO = 8,		/* no socket for ping: forwards do not answer it */
	PROXY_NO_ROOM = 16,		/* out of descriptors or flows, lately */
};
unsigned proxy_troubles(const struct proxy *p);
/* A sentence about one of them, for a warning. */
const char *proxy_trouble_text(enum proxy_trouble t);

struct proxy_figures {
	uint32_t tcp, udp, echoes;	/* now */
	uint64_t tcp_opened, tcp_refused, udp_opened, echoes_answered, echoes_failed;	/* ever */
};
void proxy_figures(const struct proxy *p, struct proxy_figures *out);

#endif
