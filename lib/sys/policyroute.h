/*
 * What a service on loopback answers to an address of a mesh comes back to this host, so that a socket of ours that
 * is bound to that address gets it. For each range of IPv4 one policy rule, of IPv6 one for each flow,
 *
 *	from 127.0.0.0/8 iif lo to RANGE lookup POLICYROUTE_TABLE
 *	from ::1 iif lo to CALLER ipproto P sport SERVICE dport CALLER'S lookup POLICYROUTE_TABLE
 *
 * and in that table `local RANGE dev lo`. Nothing else leaves with a source on loopback, so nothing else is touched;
 * route_localnet stays off. All carry POLICYROUTE_PROTOCOL, by which what a former run has left is found.
 *
 * A rule for the whole range of IPv6 would let any local user be any caller: with IPV6_FREEBIND, which needs no right,
 * it sends from whatever address it likes, and with the rule it would get the answers. A flow's own is of use to nobody
 * else, as long as our socket has its four numbers. Of IPv4 the kernel sends from foreign addresses for nobody without the right.
 */
#ifndef MESHANICS_SYS_POLICYROUTE_H
#define MESHANICS_SYS_POLICYROUTE_H

#include "sys/netlink.h"

#define POLICYROUTE_TABLE 7784
#define POLICYROUTE_PRIORITY 778	/* before main (32766), and before what VPNs take over */
#define POLICYROUTE_PROTOCOL 77		/* none of rtnetlink's own */

/* Adding what is there, and removing what is not, is a success. -1: ERR_DENIED without CAP_NET_ADMIN. */
WARN_UNUSED int policyroute_add(struct netlink *n, const struct netlink_prefix *range, struct error *err);
WARN_UNUSED int policyroute_remove(struct netlink *n, const struct netlink_prefix *range, struct error *err);
/* For flows: the route alone, which policyroute_remove takes away as well. */
WARN_UNUSED int policyroute_add_route(struct netlink *n, const struct netlink_prefix *range, struct error *err);
/* One flow of a service on ::1. */
struct policyroute_flow {
	uint8_t protocol;		/* IPPROTO_TCP or IPPROTO_UDP; 0: no flow */
	uint8_t caller[16];
	uint16_t caller_port, service_port;	/* host order */
};
WARN_UNUSED int policyroute_flow_add(struct netlink *n, const struct policyroute_flow *f, struct error *err);
WARN_UNUSED int policyroute_flow_remove(struct netlink *n, const struct policyroute_flow *f, struct error *err);
/* Remove all of ours, of whatever range. */
WARN_UNUSED int policyroute_reset(struct netlink *n, struct error *err);

#endif
