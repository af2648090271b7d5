/*
 * Interfaces, addresses and routes, by rtnetlink: no other program is run. A `struct netlink` is one socket for
 * requests, each of which waits for the kernel's answer (microseconds); a watch is another socket for a loop.
 */
#ifndef MESHANICS_SYS_NETLINK_H
#define MESHANICS_SYS_NETLINK_H

#include <netinet/in.h>
#include <stdbool.h>

#include "base/error.h"

struct netlink {
	int fd;		/* -1: closed */
	uint32_t seq;
};

/* An address with its prefix, or a destination. */
struct netlink_prefix {
	int family;		/* AF_INET or AF_INET6 */
	uint8_t addr[16];	/* the first 4 for IPv4, network order */
	uint8_t len;		/* of the prefix, bits */
};

struct netlink_address {
	struct netlink_prefix prefix;
	uint32_t ifindex;
	bool point;		/* has a peer address: addr is our end */
	bool usable;		/* not tentative, not failed in duplicate detection, not deprecated */
};

struct netlink_route {
	struct netlink_prefix to;	/* len 0: default */
	uint32_t ifindex;		/* 0: of several next hops, or none (blackhole) */
	uint8_t gateway[16];		/* of the family of `to`; zero: none */
	uint32_t table;			/* 254 main, 255 local */
	uint32_t metric;
};

struct netlink_link {
	uint32_t ifindex;
	char name[16];
	uint32_t mtu;
	unsigned flags;		/* IFF_UP, IFF_RUNNING, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_MULTICAST */
};

WARN_UNUSED int netlink_open(struct netlink *n, struct error *err);
void netlink_close(struct netlink *n);	/* safe on a closed one */

WARN_UNUSED int netlink_link_up(struct netlink *n, uint32_t ifindex, bool up, struct error *err);
WARN_UNUSED int netlink_link_mtu(struct netlink *n, uint32_t ifindex, uint32_t mtu, struct error *err);
/* How many packets may wait in front of the interface. */
WARN_UNUSED int netlink_link_queue(struct netlink *n, uint32_t ifindex, uint32_t packets, struct error *err);
/* How many bytes a large buffer for the interface may have, headers included. */
WARN_UNUSED int netlink_link_large(struct netlink *n, uint32_t ifindex, uint32_t bytes, struct error *err);
/* The kernel shall make no link-local IPv6 address for it. */
WARN_UNUSED int netlink_link_no_ll(struct netlink *n, uint32_t ifindex, struct error *err);
/* Adding what is there, and removing what is not, is a success. IPv6 addresses skip duplicate detection. */
WARN_UNUSED int netlink_address_add(struct netlink *n, uint32_t ifindex, const struct netlink_prefix *p, struct error *err);
WARN_UNUSED int netlink_address_remove(struct netlink *n, uint32_t ifindex, const struct netlink_prefix *p, struct error *err);
WARN_UNUSED int netlink_route_add(struct netlink *n, uint32_t ifindex, const struct netlink_prefix *to, struct error *err);
WARN_UNUSED int netlink_route_remove(struct netlink *n, uint32_t ifindex, const struct netlink_prefix *to, struct error *err);

/* Call each for all there are; a callback that returns false ends it. Nothing may be asked of n inside. */
WARN_UNUSED int netlink_links(struct netlink *n, bool (*each)(void *arg, const struct netlink_link *l), void *arg,
			      struct error *err);
WARN_UNUSED int netlink_addresses(struct netlink *n, bool (*each)(void *arg, const struct netlink_address *a), void *arg,
				  struct error *err);
WARN_UNUSED int netlink_routes(struct netlink *n, bool (*each)(void *arg, const struct netlink_route *r), void *arg,
			       struct error *err);

/* A descriptor that becomes readable when links, addresses or routes change; not blocking; closed with close(2). */
WARN_UNUSED int netlink_watch(int *fd, struct error *err);
/*
 * Read all that waits on a watch: what changed, or everything where the kernel had to drop news. `ignore`: changes
 * of this interface (our own) are not counted; 0: none.
 */
enum netlink_change {
	NETLINK_LINKS = 1,
	NETLINK_ADDRESSES = 2,
	NETLINK_ROUTES = 4,
};
unsigned netlink_changes(int fd, uint32_t ignore);

#endif
