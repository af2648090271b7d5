/*
 * What a service on loopback answers to an address of a mesh comes back to this host, so that a socket of ours that
 * is bound to that address gets it: for each range one policy rule,
 *
 *	from 127.0.0.0/8 iif lo to RANGE lookup POLICYROUTE_TABLE		(IPv6: from ::1)
 *
 * and in that table `local RANGE dev lo`. Nothing else leaves with a source on loopback, so nothing else is touched;
 * route_localnet stays off. Both carry POLICYROUTE_PROTOCOL, by which what a former run has left is found.
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
/* Remove all of ours, of whatever range. */
WARN_UNUSED int policyroute_reset(struct netlink *n, struct error *err);

#endif
