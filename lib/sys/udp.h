/*
 * UDP sockets for a packet path: many datagrams in one call, in both directions. A burst of datagrams of one size
 * leaves as one buffer that the kernel cuts (UDP_SEGMENT), and arrives as one that it has joined (UDP_GRO).
 * Nothing here allocates or blocks. One socket may be sent on by several threads at once; receiving is for one.
 */
#ifndef MESHANICS_SYS_UDP_H
#define MESHANICS_SYS_UDP_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/uio.h>

#include "base/error.h"

#define UDP_BURST_SEGMENTS 64	/* the kernel's limit for one UDP_SEGMENT send */
#define UDP_BURST_BYTES 65507	/* of payload; what IPv4 leaves of 65,535 */
#define UDP_BURSTS 16		/* in one udp_send or udp_receive */

/* An address and port of either family; family AF_UNSPEC (all zero): none. IPv4 is never mapped into IPv6. */
union udp_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* Where a datagram goes to, or came from, and by which of our own addresses. */
struct udp_path {
	union udp_addr remote;
	union udp_addr local;	/* its port is not used; AF_UNSPEC: as the kernel's routes say */
	uint32_t ifindex;	/* 0: as the kernel's routes say; needed for link-local addresses only */
};

bool udp_addr_equal(const union udp_addr *a, const union udp_addr *b);	/* port and, for link-local, scope included */
bool udp_path_equal(const struct udp_path *a, const struct udp_path *b);

struct udp {
	int fd;				/* -1: closed */
	int family;			/* AF_INET or AF_INET6 */
	atomic_bool gso;		/* UDP_SEGMENT is used; false for good after the kernel failed it with EIO */
	bool gro;			/* UDP_GRO is on */
};

/* Some datagrams of one path, one behind the other in memory: each `size` bytes, the last may be shorter. */
struct udp_burst {
	const struct udp_path *path;
	uint8_t *data;
	size_t len;		/* of all */
	size_t size;		/* of each; len when it is a single one */
};

/* What udp_receive fills: like a burst, with its own path and room. */
struct udp_arrival {
	uint8_t *data;		/* the caller's room */
	size_t room;
	size_t len;
	size_t size;
	struct udp_path path;
	bool cut;		/* it was larger than the room */
};

struct udp_options {
	bool no_offload;	/* neither UDP_SEGMENT nor UDP_GRO, although the kernel has them */
	/* Bytes of SO_RCVBUF and SO_SNDBUF, past the system's limit where we may; 0: as they are. */
	int receive_buffer, send_buffer;
	bool reuse;		/* SO_REUSEADDR, for multicast beacons */
};

/*
 * Open a socket bound to `bind_to` (a port of 0 takes a free one), not blocking, with pktinfo, DF on all that
 * leaves (path MTU as the kernel learns it; what is larger fails with EMSGSIZE); an IPv6 one takes no IPv4.
 * Offloads that the kernel lacks are left out.
 */
WARN_UNUSED int udp_open(struct udp *u, const union udp_addr *bind_to, const struct udp_options *o, struct error *err);
void udp_close(struct udp *u);	/* safe on a closed one */
/* The address that the socket has. */
WARN_UNUSED int udp_local(const struct udp *u, union udp_addr *out, struct error *err);

/*
 * Send n bursts (<= UDP_BURSTS), in one call where it can be. Never waits for long: a full socket buffer is waited
 * for up to 10 ms, then the rest is dropped, as a network would. Returns how many bursts the kernel took;
 * errnos[i], where errnos is not NULL, is 0, or why burst i (or a part of it) was not sent: EMSGSIZE (larger than
 * the path's MTU), ENETUNREACH, EPERM (a firewall), ENOBUFS, ...
 */
size_t udp_send(struct udp *u, const struct udp_burst *b, size_t n, int *errnos);
/*
 * Receive up to n bursts (<= UDP_BURSTS) that are there already. Returns how many; 0 when there is none. Errors
 * that the kernel had stored (ICMP) are passed over.
 */
size_t udp_receive(struct udp *u, struct udp_arrival *a, size_t n);

/* What the kernel knows as the MTU to `remote` right now, of whole IP packets. */
WARN_UNUSED int udp_path_mtu(const struct udp_path *path, size_t *mtu, struct error *err);

#endif
