/* Requests of rtnetlink as netlink.c builds them, for policyroute.c as well, and what addrguard.c shares. */
#ifndef MESHANICS_SYS_NETLINK_INTERNAL_H
#define MESHANICS_SYS_NETLINK_INTERNAL_H

#include <linux/rtnetlink.h>

#include "sys/netlink.h"

#define NETLINK_REQUEST_MAX 256

/* netlink_open, of NETLINK_ROUTE or another protocol. */
WARN_UNUSED int netlink_open_protocol(struct netlink *n, int protocol, struct error *err);
/* The kernel's status in a message: 0, an errno, or -1 when it is none. */
int netlink_status(const struct nlmsghdr *h);

/* A message under construction: the header, one fixed structure, attributes. */
struct netlink_request {
	_Alignas(struct nlmsghdr) uint8_t bytes[NETLINK_REQUEST_MAX];
};

/* Begins a message of that type; returns its fixed structure of `body` bytes, zeroed. */
void *netlink_start(struct netlink_request *q, uint16_t type, uint16_t flags, size_t body);
/* All that is put into requests has a small fixed size, so that room is no question. */
struct rtattr *netlink_put(struct netlink_request *q, uint16_t type, const void *value, size_t len);
/* Sends it and waits for its status; `allowed` is an errno that is as good as success. */
WARN_UNUSED int netlink_change(struct netlink *n, struct netlink_request *q, int allowed, const char *what, struct error *err);

/* A dump and what to do with each of its messages; take returns false to end it. */
struct netlink_dump {
	uint16_t answer;
	size_t body;
	bool (*take)(const struct netlink_dump *d, const struct nlmsghdr *h);
	void *arg;
	union {
		bool (*link)(void *arg, const struct netlink_link *l);
		bool (*address)(void *arg, const struct netlink_address *a);
		bool (*route)(void *arg, const struct netlink_route *r);
	} each;
};
/* The fixed structure that is sent is zeros but for its first byte, the family (0: all). */
WARN_UNUSED int netlink_run_dump(struct netlink *n, const struct netlink_dump *d, uint16_t type, uint8_t family,
				 struct error *err);
/* The attributes of a message behind its fixed structure, by type; later ones win. */
void netlink_attributes(const struct nlmsghdr *h, size_t body, const struct rtattr **out, size_t n);
/* false: it is not there, or shorter. */
bool netlink_copy(void *to, size_t len, const struct rtattr *a);

#endif
