/* Sockets that take what is new, by sock_diag. */
#include "sys/listeners.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 32768
#define ANSWER_WAIT_S 2

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
	/* For a dump: what the kernel itself compares. */
	struct rtattr filter;
	struct inet_diag_bc_op ops[4];
};

/* What becomes of the sockets that a dump names: those of one port, or the port of each. */
struct wanted {
	uint16_t port;
	struct listener *out;
	size_t max, n;
	uint8_t *bits;		/* NULL: the former */
};

/* The kernel answered one message or one part of a dump. */
struct answer {
	_Alignas(struct nlmsghdr) uint8_t room[ANSWER_MAX];
	size_t len;
};

int listeners_open(struct listeners *l, struct error *err)
{
	struct timeval wait = {.tv_sec = ANSWER_WAIT_S};
	struct listener one;
	size_t n;

	l->seq = 0;
	l->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (l->fd < 0)
		return error_errno(err, errno, "cannot ask the kernel about sockets");
	(void)setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (listeners_on(l, IPPROTO_TCP, 1, &one, 1, &n, err) < 0 || listeners_on(l, IPPROTO_UDP, 1, &one, 1, &n, err) < 0) {
		listeners_close(l);
		return -1;
	}
	return 0;
}

void listeners_close(struct listeners *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static int ask(struct listeners *l, struct request *q, size_t len, uint16_t flags, struct error *err)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	q->head = (struct nlmsghdr){.nlmsg_len = (uint32_t)len, .nlmsg_type = SOCK_DIAG_BY_FAMILY,
				    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags), .nlmsg_seq = ++l->seq};
	if (sendto(l->fd, q, len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return error_errno(err, errno, "cannot ask the kernel about sockets");
	return 0;
}

static int receive(struct listeners *l, struct answer *a, struct error *err)
{
	for (;;) {
		struct sockaddr_nl from;
		socklen_t from_len = sizeof(from);
		ssize_t got = recvfrom(l->fd, a->room, sizeof(a->room), 0, (struct sockaddr *)&from, &from_len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return error_errno(err, errno, "the kernel did not answer about sockets");
		a->len = (size_t)got;
		if (from.nl_pid == 0)
			return 0;
	}
}

/* The kernel's errno in a message; 0: it says that all is well; -1: it is no such message. */
static int status_of(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);

	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
		return -1;
	return -e->error;
}

/* ---- who listens on a port ---- */

/*
 * "The source port is `port`", as the kernel's little machine wants it: not below, and not above. An operation goes
 * on `yes` bytes further when it holds, `no` when it does not; past the end means no.
 */
static void filter_by_port(struct request *q, uint16_t port)
{
	q->filter = (struct rtattr){.rta_len = RTA_LENGTH(sizeof(q->ops)), .rta_type = INET_DIAG_REQ_BYTECODE};
	q->ops[0] = (struct inet_diag_bc_op){.code = INET_DIAG_BC_S_GE, .yes = 8, .no = 20};
	q->ops[1] = (struct inet_diag_bc_op){.no = port};
	q->ops[2] = (struct inet_diag_bc_op){.code = INET_DIAG_BC_S_LE, .yes = 8, .no = 12};
	q->ops[3] = (struct inet_diag_bc_op){.no = port};
}

static void take(const struct nlmsghdr *h, struct wanted *w)
{
	const struct inet_diag_msg *m = NLMSG_DATA(h);
	size_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof(*m));
	const struct rtattr *a = (const void *)(m + 1);
	uint16_t port = ntohs(m->id.idiag_sport);
	struct listener *out;

	if (m->idiag_family != AF_INET && m->idiag_family != AF_INET6)
		return;
	if (w->bits != NULL) {
		w->bits[port / 8] |= (uint8_t)(1 << port % 8);
		return;
	}
	if (port != w->port || w->n >= w->max)
		return;
	out = &w->out[w->n++];
	*out = (struct listener){.family = m->idiag_family, .ifindex = m->id.idiag_if};
	memcpy(out->addr, m->id.idiag_src, m->idiag_family == AF_INET ? 4 : 16);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) >= 1)
			out->v6only = *(const uint8_t *)RTA_DATA(a) != 0;
}

/* 1: there is more to come. */
static int take_all(const struct listeners *l, struct answer *a, struct wanted *w, struct error *err)
{
	size_t left = a->len;

	for (struct nlmsghdr *h = (void *)a->room; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
		int status = status_of(h);

		if (h->nlmsg_seq != l->seq)
			continue;
		if (h->nlmsg_type == NLMSG_DONE || status == 0)
			return 0;
		if (status > 0)
			return error_errno(err, status, "the kernel does not tell about sockets");
		if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			take(h, w);
	}
	return 1;
}

static int dump(struct listeners *l, int family, uint8_t protocol, struct wanted *w, struct error *err)
{
	/* Of UDP, "closed" is a socket that is connected to nobody. */
	struct request q = {.body = {.sdiag_family = (uint8_t)family, .sdiag_protocol = protocol,
				     .idiag_states = protocol == IPPROTO_TCP ? 1u << TCP_LISTEN : 1u << TCP_CLOSE}};
	struct answer a;
	int more = 1;

	if (w->bits == NULL)
		filter_by_port(&q, w->port);
	if (ask(l, &q, w->bits == NULL ? sizeof(q) : NLMSG_LENGTH(sizeof(q.body)), NLM_F_DUMP, err) < 0)
		return -1;
	while (more == 1)
		if (receive(l, &a, err) < 0 || (more = take_all(l, &a, w, err)) < 0)
			return -1;
	return 0;
}

static int dump_both(struct listeners *l, uint8_t protocol, struct wanted *w, struct error *err)
{
	if (dump(l, AF_INET, protocol, w, err) < 0)
		return -1;
	if (dump(l, AF_INET6, protocol, w, err) < 0)
		/* A kernel without IPv6. */
		return err->sys_errno == ENOENT ? 0 : -1;
	return 0;
}

int listeners_on(struct listeners *l, uint8_t protocol, uint16_t port, struct listener *out, size_t max, size_t *n,
		 struct error *err)
{
	struct wanted w = {.port = port, .out = out, .max = max};
	int r = dump_both(l, protocol, &w, err);

	*n = w.n;
	return r;
}

int listeners_ports(struct listeners *l, uint8_t protocol, uint8_t bits[static LISTENERS_PORTS_BYTES],
		    struct error *err)
{
	struct wanted w = {.bits = bits};

	memset(bits, 0, LISTENERS_PORTS_BYTES);
	return dump_both(l, protocol, &w, err);
}

/* ---- whom a packet is for ---- */

static void put_end(__be16 *port, __be32 *addr, const union udp_addr *a)
{
	if (a->sa.sa_family == AF_INET) {
		*port = a->in.sin_port;
		memcpy(addr, &a->in.sin_addr, 4);
	} else {
		*port = a->in6.sin6_port;
		memcpy(addr, &a->in6.sin6_addr, 16);
	}
}

int listeners_take(struct listeners *l, uint8_t protocol, const union udp_addr *local, const union udp_addr *remote,
		   uint32_t ifindex, bool *taken, struct error *err)
{
	struct request q = {.body = {.sdiag_family = (uint8_t)local->sa.sa_family, .sdiag_protocol = protocol,
				     .idiag_states = ~0u}};
	struct inet_diag_sockid *id = &q.body.id;
	struct answer a;

	/* Of UDP, the kernel reads the two the other way round. */
	put_end(&id->idiag_sport, id->idiag_src, protocol == IPPROTO_TCP ? local : remote);
	put_end(&id->idiag_dport, id->idiag_dst, protocol == IPPROTO_TCP ? remote : local);
	id->idiag_if = ifindex;
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (ask(l, &q, NLMSG_LENGTH(sizeof(q.body)), 0, err) < 0)
		return -1;
	for (;;) {
		size_t left;

		if (receive(l, &a, err) < 0)
			return -1;
		left = a.len;
		for (struct nlmsghdr *h = (void *)a.room; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			int status = status_of(h);

			if (h->nlmsg_seq != l->seq)
				continue;
			*taken = h->nlmsg_type == SOCK_DIAG_BY_FAMILY;
			if (!*taken && status > 0 && status != ENOENT)
				return error_errno(err, status, "the kernel does not tell about a socket");
			return 0;
		}
	}
}
