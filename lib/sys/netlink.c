/* Interfaces, addresses and routes by rtnetlink: requests and their answers. */
#include "sys/netlink.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/netlink_internal.h"

/* The kernel sends dumps in parts of at most 32 KiB to a reader with so much room. */
#define ANSWER_MAX 32768
#define ANSWER_WAIT_S 5

static struct nlmsghdr *head_of(struct netlink_request *q)
{
	return (struct nlmsghdr *)(void *)q->bytes;
}

static int open_socket(int protocol, uint32_t groups, int flags, struct error *err)
{
	struct sockaddr_nl us = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, protocol);

	if (fd < 0)
		return error_errno(err, errno, "cannot make a netlink socket");
	if (bind(fd, (struct sockaddr *)&us, sizeof(us)) < 0) {
		error_errno(err, errno, "cannot bind a netlink socket");
		close(fd);
		return -1;
	}
	return fd;
}

int netlink_open_protocol(struct netlink *n, int protocol, struct error *err)
{
	struct timeval wait = {.tv_sec = ANSWER_WAIT_S};

	n->seq = 0;
	n->fd = open_socket(protocol, 0, 0, err);
	if (n->fd < 0)
		return -1;
	(void)setsockopt(n->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return 0;
}

int netlink_open(struct netlink *n, struct error *err)
{
	return netlink_open_protocol(n, NETLINK_ROUTE, err);
}

void netlink_close(struct netlink *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void *netlink_start(struct netlink_request *q, uint16_t type, uint16_t flags, size_t body)
{
	memset(q, 0, sizeof(*q));
	head_of(q)->nlmsg_len = (uint32_t)NLMSG_LENGTH(body);
	head_of(q)->nlmsg_type = type;
	head_of(q)->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return NLMSG_DATA(head_of(q));
}

struct rtattr *netlink_put(struct netlink_request *q, uint16_t type, const void *value, size_t len)
{
	size_t at = NLMSG_ALIGN(head_of(q)->nlmsg_len);
	struct rtattr *a = (struct rtattr *)(void *)(q->bytes + at);

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len > 0)
		memcpy(RTA_DATA(a), value, len);
	head_of(q)->nlmsg_len = (uint32_t)(at + RTA_ALIGN(a->rta_len));
	return a;
}

static void put_end(struct netlink_request *q, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)(q->bytes + head_of(q)->nlmsg_len - (uint8_t *)nest);
}

static int send_request(struct netlink *n, struct netlink_request *q, struct error *err)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	head_of(q)->nlmsg_seq = ++n->seq;
	if (sendto(n->fd, q->bytes, head_of(q)->nlmsg_len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return error_errno(err, errno, "cannot ask the kernel about the network");
	return 0;
}

/* One part of an answer; only what the kernel itself sent counts. */
static ssize_t receive(struct netlink *n, void *room, struct error *err)
{
	for (;;) {
		struct sockaddr_nl from;
		struct iovec iov = {room, ANSWER_MAX};
		struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
		ssize_t got = recvmsg(n->fd, &m, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, errno, "the kernel did not answer about the network");
		if (m.msg_flags & MSG_TRUNC)
			return error_set(err, ERR_LIMIT, "an answer of the kernel about the network is too long");
		if (from.nl_pid == 0)
			return got;
	}
}

int netlink_status(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);

	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
		return -1;
	return -e->error;
}

/* Send it and wait for its status: 0, or an errno in *status. */
static int transact(struct netlink *n, struct netlink_request *q, int *status, struct error *err)
{
	_Alignas(struct nlmsghdr) uint8_t room[ANSWER_MAX];

	if (send_request(n, q, err) < 0)
		return -1;
	for (;;) {
		ssize_t got = receive(n, room, err);
		size_t left = got < 0 ? 0 : (size_t)got;

		if (got < 0)
			return -1;
		for (struct nlmsghdr *h = (void *)room; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			if (h->nlmsg_seq == n->seq && (*status = netlink_status(h)) >= 0)
				return 0;
		}
	}
}

int netlink_change(struct netlink *n, struct netlink_request *q, int allowed, const char *what, struct error *err)
{
	int status = 0;

	if (transact(n, q, &status, err) < 0)
		return error_wrap(err, "cannot %s", what);
	if (status == 0 || status == allowed)
		return 0;
	error_errno(err, status, "cannot %s", what);
	if (status == EPERM) {
		err->kind = ERR_DENIED;
		return error_hint(err, "run it as root, or with CAP_NET_ADMIN");
	}
	return -1;
}

int netlink_link_up(struct netlink *n, uint32_t ifindex, bool up, struct error *err)
{
	struct netlink_request q;
	struct ifinfomsg *i = netlink_start(&q, RTM_NEWLINK, NLM_F_ACK, sizeof(*i));

	i->ifi_index = (int)ifindex;
	i->ifi_change = IFF_UP;
	i->ifi_flags = up ? IFF_UP : 0;
	return netlink_change(n, &q, 0, up ? "set the interface up" : "set the interface down", err);
}

static int link_u32(struct netlink *n, uint32_t ifindex, uint16_t attribute, uint32_t value, const char *what,
		    struct error *err)
{
	struct netlink_request q;
	struct ifinfomsg *i = netlink_start(&q, RTM_NEWLINK, NLM_F_ACK, sizeof(*i));

	i->ifi_index = (int)ifindex;
	netlink_put(&q, attribute, &value, sizeof(value));
	return netlink_change(n, &q, 0, what, err);
}

int netlink_link_mtu(struct netlink *n, uint32_t ifindex, uint32_t mtu, struct error *err)
{
	return link_u32(n, ifindex, IFLA_MTU, mtu, "set the MTU of the interface", err);
}

int netlink_link_queue(struct netlink *n, uint32_t ifindex, uint32_t packets, struct error *err)
{
	return link_u32(n, ifindex, IFLA_TXQLEN, packets, "set the queue of the interface", err);
}

int netlink_link_large(struct netlink *n, uint32_t ifindex, uint32_t bytes, struct error *err)
{
	return link_u32(n, ifindex, IFLA_GSO_MAX_SIZE, bytes, "limit the large buffers of the interface", err);
}

int netlink_link_no_ll(struct netlink *n, uint32_t ifindex, struct error *err)
{
	struct netlink_request q;
	struct ifinfomsg *i = netlink_start(&q, RTM_NEWLINK, NLM_F_ACK, sizeof(*i));
	uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	struct rtattr *spec, *inet6;

	i->ifi_index = (int)ifindex;
	spec = netlink_put(&q, IFLA_AF_SPEC, NULL, 0);
	inet6 = netlink_put(&q, AF_INET6, NULL, 0);
	netlink_put(&q, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
	put_end(&q, inet6);
	put_end(&q, spec);
	/* Where IPv6 is off there is nothing to turn off. */
	return netlink_change(n, &q, EAFNOSUPPORT, "turn off link-local addresses of the interface", err);
}

static size_t addr_size(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

static void address_request(struct netlink_request *q, uint16_t type, uint16_t flags, uint32_t ifindex,
			    const struct netlink_prefix *p)
{
	struct ifaddrmsg *a = netlink_start(q, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*a));

	a->ifa_family = (uint8_t)p->family;
	a->ifa_prefixlen = p->len;
	a->ifa_index = ifindex;
	a->ifa_flags = p->family == AF_INET6 && type == RTM_NEWADDR ? IFA_F_NODAD : 0;
	netlink_put(q, IFA_LOCAL, p->addr, addr_size(p->family));
	netlink_put(q, IFA_ADDRESS, p->addr, addr_size(p->family));
}

int netlink_address_add(struct netlink *n, uint32_t ifindex, const struct netlink_prefix *p, struct error *err)
{
	struct netlink_request q;

	address_request(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, p);
	return netlink_change(n, &q, EEXIST, "add an address", err);
}

int netlink_address_remove(struct netlink *n, uint32_t ifindex, const struct netlink_prefix *p, struct error *err)
{
	struct netlink_request q;

	address_request(&q, RTM_DELADDR, 0, ifindex, p);
	return netlink_change(n, &q, EADDRNOTAVAIL, "remove an address", err);
}

static void route_request(struct netlink_request *q, uint16_t type, uint16_t flags, uint32_t ifindex,
			  const struct netlink_prefix *to)
{
	struct rtmsg *r = netlink_start(q, type, (uint16_t)(NLM_F_ACK | flags), sizeof(*r));

	r->rtm_family = (uint8_t)to->family;
	r->rtm_dst_len = to->len;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_STATIC;
	r->rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE :
		       to->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	r->rtm_type = RTN_UNICAST;
	netlink_put(q, RTA_DST, to->addr, addr_size(to->family));
	netlink_put(q, RTA_OIF, &ifindex, sizeof(ifindex));
}

int netlink_route_add(struct netlink *n, uint32_t ifindex, const struct netlink_prefix *to, struct error *err)
{
	struct netlink_request q;

	route_request(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, ifindex, to);
	return netlink_change(n, &q, EEXIST, "add a route", err);
}

int netlink_route_remove(struct netlink *n, uint32_t ifindex, const struct netlink_prefix *to, struct error *err)
{
	struct netlink_request q;

	route_request(&q, RTM_DELROUTE, 0, ifindex, to);
	return netlink_change(n, &q, ESRCH, "remove a route", err);
}

void netlink_attributes(const struct nlmsghdr *h, size_t body, const struct rtattr **out, size_t n)
{
	size_t room = NLMSG_LENGTH(body), left = h->nlmsg_len > NLMSG_ALIGN(room) ? h->nlmsg_len - NLMSG_ALIGN(room) : 0;
	const struct rtattr *a = (const void *)((const uint8_t *)h + NLMSG_ALIGN(room));

	memset(out, 0, n * sizeof(*out));
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		size_t type = a->rta_type & ~(unsigned)NLA_F_NESTED;

		if (type < n)
			out[type] = a;
	}
}

bool netlink_copy(void *to, size_t len, const struct rtattr *a)
{
	if (a == NULL || RTA_PAYLOAD(a) < len)
		return false;
	memcpy(to, RTA_DATA(a), len);
	return true;
}

/* The whole dump is read also after the callback has had enough, so that the next request finds a clean socket. */
int netlink_run_dump(struct netlink *n, const struct netlink_dump *d, uint16_t type, uint8_t family, struct error *err)
{
	_Alignas(struct nlmsghdr) uint8_t room[ANSWER_MAX];
	struct netlink_request q;
	bool enough = false;

	*(uint8_t *)netlink_start(&q, type, NLM_F_DUMP, d->body) = family;
	if (send_request(n, &q, err) < 0)
		return -1;
	for (;;) {
		ssize_t got = receive(n, room, err);
		size_t left = got < 0 ? 0 : (size_t)got;

		if (got < 0)
			return -1;
		for (struct nlmsghdr *h = (void *)room; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			int status = netlink_status(h);

			if (h->nlmsg_seq != n->seq)
				continue;
			if (h->nlmsg_type == NLMSG_DONE || status == 0)
				return 0;
			if (status > 0)
				return error_errno(err, status, "the kernel does not tell about the network");
			if (!enough && h->nlmsg_type == d->answer && h->nlmsg_len >= NLMSG_LENGTH(d->body))
				enough = !d->take(d, h);
		}
	}
}

static bool take_link(const struct netlink_dump *d, const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);
	const struct rtattr *a[IFLA_MTU + 1];
	struct netlink_link l = {.ifindex = (uint32_t)i->ifi_index, .flags = i->ifi_flags};

	netlink_attributes(h, sizeof(*i), a, ARRAY_SIZE(a));
	if (a[IFLA_IFNAME] != NULL) {
		size_t len = RTA_PAYLOAD(a[IFLA_IFNAME]);

		memcpy(l.name, RTA_DATA(a[IFLA_IFNAME]), len < sizeof(l.name) ? len : sizeof(l.name) - 1);
	}
	(void)netlink_copy(&l.mtu, sizeof(l.mtu), a[IFLA_MTU]);
	return d->each.link(d->arg, &l);
}

int netlink_links(struct netlink *n, bool (*each)(void *arg, const struct netlink_link *l), void *arg, struct error *err)
{
	struct netlink_dump d = {RTM_NEWLINK, sizeof(struct ifinfomsg), take_link, arg, {.link = each}};

	return netlink_run_dump(n, &d, RTM_GETLINK, 0, err);
}

static bool take_address(const struct netlink_dump *d, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *i = NLMSG_DATA(h);
	const struct rtattr *a[IFA_FLAGS + 1];
	struct netlink_address out = {.prefix = {.family = i->ifa_family, .len = i->ifa_prefixlen}, .ifindex = i->ifa_index};
	uint32_t flags = i->ifa_flags;
	uint8_t there[16] = {0};
	size_t size = addr_size(i->ifa_family);

	if (i->ifa_family != AF_INET && i->ifa_family != AF_INET6)
		return true;
	netlink_attributes(h, sizeof(*i), a, ARRAY_SIZE(a));
	(void)netlink_copy(&flags, sizeof(flags), a[IFA_FLAGS]);
	out.usable = (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)) == 0;
	/* IFA_LOCAL is ours and IFA_ADDRESS the peer's where both are there. */
	if (!netlink_copy(there, size, a[IFA_ADDRESS]))
		memset(there, 0, sizeof(there));
	if (!netlink_copy(out.prefix.addr, size, a[IFA_LOCAL]))
		memcpy(out.prefix.addr, there, size);
	out.point = memcmp(out.prefix.addr, there, size) != 0;
	return d->each.address(d->arg, &out);
}

int netlink_addresses(struct netlink *n, bool (*each)(void *arg, const struct netlink_address *a), void *arg,
		      struct error *err)
{
	struct netlink_dump d = {RTM_NEWADDR, sizeof(struct ifaddrmsg), take_address, arg, {.address = each}};

	return netlink_run_dump(n, &d, RTM_GETADDR, 0, err);
}

static bool take_route(const struct netlink_dump *d, const struct nlmsghdr *h)
{
	const struct rtmsg *i = NLMSG_DATA(h);
	const struct rtattr *a[RTA_TABLE + 1];
	struct netlink_route out = {.to = {.family = i->rtm_family, .len = i->rtm_dst_len}, .table = i->rtm_table};
	size_t size = addr_size(i->rtm_family);

	if ((i->rtm_family != AF_INET && i->rtm_family != AF_INET6) || (i->rtm_flags & RTM_F_CLONED) != 0)
		return true;
	netlink_attributes(h, sizeof(*i), a, ARRAY_SIZE(a));
	(void)netlink_copy(out.to.addr, size, a[RTA_DST]);
	(void)netlink_copy(&out.ifindex, sizeof(out.ifindex), a[RTA_OIF]);
	(void)netlink_copy(out.gateway, size, a[RTA_GATEWAY]);
	(void)netlink_copy(&out.table, sizeof(out.table), a[RTA_TABLE]);
	(void)netlink_copy(&out.metric, sizeof(out.metric), a[RTA_PRIORITY]);
	return d->each.route(d->arg, &out);
}

int netlink_routes(struct netlink *n, bool (*each)(void *arg, const struct netlink_route *r), void *arg, struct error *err)
{
	struct netlink_dump d = {RTM_NEWROUTE, sizeof(struct rtmsg), take_route, arg, {.route = each}};

	return netlink_run_dump(n, &d, RTM_GETROUTE, 0, err);
}

int netlink_watch(int *fd, struct error *err)
{
	*fd = open_socket(NETLINK_ROUTE, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
			  RTMGRP_IPV6_ROUTE, SOCK_NONBLOCK, err);
	return *fd < 0 ? -1 : 0;
}

static bool concerns(const struct nlmsghdr *h, uint32_t ignore)
{
	const struct rtattr *a[RTA_OIF + 1];
	uint32_t out = 0;

	if (ignore == 0)
		return true;
	netlink_attributes(h, sizeof(struct rtmsg), a, ARRAY_SIZE(a));
	return !netlink_copy(&out, sizeof(out), a[RTA_OIF]) || out != ignore;
}

static unsigned change_of(const struct nlmsghdr *h, uint32_t ignore)
{
	switch (h->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
			return 0;
		return ignore != 0 && (uint32_t)((const struct ifinfomsg *)NLMSG_DATA(h))->ifi_index == ignore ?
			       0 : NETLINK_LINKS;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifaddrmsg)))
			return 0;
		return ignore != 0 && ((const struct ifaddrmsg *)NLMSG_DATA(h))->ifa_index == ignore ? 0 : NETLINK_ADDRESSES;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (h->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtmsg)))
			return 0;
		return concerns(h, ignore) ? NETLINK_ROUTES : 0;
	default:
		return 0;
	}
}

unsigned netlink_changes(int fd, uint32_t ignore)
{
	_Alignas(struct nlmsghdr) uint8_t room[ANSWER_MAX];
	unsigned changes = 0;

	for (;;) {
		ssize_t got = recv(fd, room, sizeof(room), MSG_TRUNC);
		size_t left = got < 0 ? 0 : (size_t)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return changes;
		/* ENOBUFS: news were lost. */
		if (got < 0 || left > sizeof(room)) {
			changes |= NETLINK_LINKS | NETLINK_ADDRESSES | NETLINK_ROUTES;
			if (got < 0 && errno != ENOBUFS)
				return changes;
			continue;
		}
		for (struct nlmsghdr *h = (void *)room; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			changes |= change_of(h, ignore);
	}
}
