/*
 * Which sockets of this host take new TCP connections and UDP datagrams: the kernel's own table, by sock_diag. One
 * socket for requests, each of which waits for the kernel's answer (some ten microseconds); for one thread at a time.
 */
#ifndef MESHANICS_SYS_LISTENERS_H
#define MESHANICS_SYS_LISTENERS_H

#include <stdbool.h>

#include "base/error.h"
#include "sys/udp.h"

struct listeners {
	int fd;		/* -1: closed */
	uint32_t seq;
};

/* A listening TCP socket, or a UDP socket that is connected to nobody. */
struct listener {
	int family;
	uint8_t addr[16];	/* the first 4 for IPv4; zeros: any */
	bool v6only;		/* of AF_INET6 */
	uint32_t ifindex;	/* bound to this interface; 0: to none */
};

/* -1 where the kernel has no such table, too: it is asked once. */
WARN_UNUSED int listeners_open(struct listeners *l, struct error *err);
void listeners_close(struct listeners *l);	/* safe on a closed one */

/* protocol: IPPROTO_TCP or IPPROTO_UDP; ports in host order. Fills up to max; *n: how many. */
WARN_UNUSED int listeners_on(struct listeners *l, uint8_t protocol, uint16_t port, struct listener *out, size_t max, size_t *n,
			     struct error *err);
/* The bit of each port on which anybody does, on whatever address: a look through all sockets, like listeners_on. */
#define LISTENERS_PORTS_BYTES 8192
WARN_UNUSED int listeners_ports(struct listeners *l, uint8_t protocol, uint8_t bits[static LISTENERS_PORTS_BYTES],
				struct error *err);
/*
 * Is there a socket, listening or connected, that a packet from `remote` to `local` is for, when it comes in by the
 * interface ifindex? Of one family, both with ports.
 */
WARN_UNUSED int listeners_take(struct listeners *l, uint8_t protocol, const union udp_addr *local, const union udp_addr *remote,
			       uint32_t ifindex, bool *taken, struct error *err);

#endif
