/*
 * Own addresses of an interface that are reached by it, and by no other, and what lies behind it that sends by it, and by no
 * other: Linux takes a packet for any address of its own at any interface, from whomever it says that it is. A table of
 * nf_tables does it, `inet meshanics-INTERFACE`,
 *
 *	set own4 { addresses of IPv4 }	set own6 { of IPv6 }
 *	chain stray { type filter hook prerouting priority raw; policy accept;
 *		iif INTERFACE accept
 *		iif lo accept
 *		ip daddr @own4 counter drop
 *		ip6 daddr @own6 counter drop
 *		fib saddr oif INTERFACE counter drop
 *	}
 *
 * Single addresses, not blocks, and sources by their route: should a LAN have the same range, nothing else of it is in the
 * way. A kernel without nft_fib_inet goes without the last rule. The table belongs to
 * our socket and ends with it, however the process ends, and `nft flush ruleset` leaves it alone; before Linux 5.12 it is
 * a plain one, which a killed process leaves behind (addrguard_reset). Without libnftnl: messages are made here.
 */
#ifndef MESHANICS_SYS_ADDRGUARD_H
#define MESHANICS_SYS_ADDRGUARD_H

#include "sys/netlink.h"

#define ADDRGUARD_PREFIX "meshanics-"
#define ADDRGUARD_NAME_LEN 28	/* with the name of an interface and NUL */
#define ADDRGUARD_MAX 128	/* places */

/* One place has an address of each family. */
struct addrguard_place {
	uint8_t v4[4], v6[16];	/* network order */
};

struct addrguard {
	struct netlink netlink;	/* whoever has it open has the table */
	char table[ADDRGUARD_NAME_LEN];
	bool set;		/* the table is there */
	bool plain;		/* this kernel's tables have no owner: what others flush has to be set again now and then */
	bool no_sources;	/* nor can it look up whence a source would come: those are not looked at */
};
#define ADDRGUARD_INIT ((struct addrguard){.netlink = {.fd = -1}})

/*
 * Make the table, or replace it in one step. n: 1 to ADDRGUARD_MAX. The interface stays the same until addrguard_drop.
 * -1, and what held before still holds: ERR_RETRY while a table of this name belongs to another process, as to one that
 * was killed a moment ago; ERR_DENIED without CAP_NET_ADMIN; ERR_FAILED, with sys_errno, where the kernel cannot. Waits
 * for nobody.
 */
WARN_UNUSED int addrguard_set(struct addrguard *g, const char *interface, uint32_t ifindex, const struct addrguard_place *own,
			      size_t n, struct error *err);
void addrguard_drop(struct addrguard *g);	/* safe on one that was never set */
/* Remove plain tables of ours, of all interfaces whose name is this and a number: the process that made them is gone. */
WARN_UNUSED int addrguard_reset(const char *interfaces, struct error *err);

#endif
