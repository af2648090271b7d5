/* Datagrams through the proxy: one connected socket for each flow, told apart by the caller's address and port. */
#include <errno.h>
#include <linux/errqueue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "mesh/bytes.h"
#include "meshlan/proxy_internal.h"

#define TURN 64		/* datagrams of one socket, before others have their turn */

struct udp_flow {
	struct proxy *p;
	struct redirect_flow flow;
	struct watch far;
	struct policyroute_flow rule;
	int64_t last_ms;
};

static void finish(struct udp_flow *u)
{
	struct proxy *p = u->p;

	loop_unwatch(&u->far);
	if (u->far.fd >= 0)
		close(u->far.fd);
	proxy_hung_up(p, &u->rule);
	redirect_end(p->o.redirect, u->flow.id, true);
	p->udp[proxy_slot(&u->flow)] = NULL;
	atomic_fetch_sub(&p->udp_n, 1);
	free(u);
}

/* An error about a datagram of the caller's, of which its headers are enough. */
static void refuse(struct udp_flow *u, int error)
{
	const struct redirect_flow *f = &u->flow;
	uint8_t ip[48] = {0};
	size_t at = f->called.version == 4 ? 20 : 40, n = f->called.version == 4 ? 4 : 16;

	if (f->called.version == 4) {
		ip[0] = 0x45;
		put_be16(ip + 2, (uint16_t)(at + 8));
		ip[8] = 64;
		ip[9] = IPPROTO_UDP;
	} else {
		ip[0] = 0x60;
		put_be16(ip + 4, 8);
		ip[6] = IPPROTO_UDP;
		ip[7] = 64;
	}
	memcpy(ip + (n == 4 ? 12 : 8), f->caller.bytes, n);
	memcpy(ip + (n == 4 ? 16 : 24), f->called.bytes, n);
	put_be16(ip + at, f->caller_port);
	put_be16(ip + at + 2, f->called_port);
	put_be16(ip + at + 4, 8);
	proxy_refuse(u->p, f->peer, ip, at + 8, proxy_reason(error));
}

static void back(struct udp_flow *u, const uint8_t *bytes, size_t len)
{
	struct side *s = u->flow.alias.version == 4 ? &u->p->side4 : &u->p->side6;
	union udp_addr to = proxy_sockaddr(&u->flow.alias, u->flow.alias_port);

	if (s->udp.fd >= 0)
		(void)sendto(s->udp.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL, &to.sa, proxy_sockaddr_len(&to));
}

/* Without it, only a closed port would be told, not a device that is off. */
static void want_errors(int fd, bool v6)
{
	int on = 1;

	(void)setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on));
}

/* What has come about datagrams of this flow; the caller is told of each. */
static void read_errors(struct udp_flow *u)
{
	for (int i = 0; i < TURN; i++) {
		_Alignas(struct cmsghdr) uint8_t control[256];
		struct iovec iov = {u->p->room, PROXY_ROOM};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

		if (recvmsg(u->far.fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
			struct sock_extended_err x;

			if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
			    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
				continue;
			memcpy(&x, CMSG_DATA(c), sizeof(x));
			/* One too large is sent again in fragments by whoever sends it. */
			if (x.ee_errno != EMSGSIZE)
				refuse(u, (int)x.ee_errno);
		}
	}
}

static void far_ready(struct watch *w, uint32_t revents)
{
	struct udp_flow *u = container_of(w, struct udp_flow, far);
	int64_t now_ms = loop_now_ms(u->p->loop);

	if (revents == 0) {
		if (now_ms - u->last_ms >= PROXY_UDP_IDLE_MS)
			finish(u);
		else
			loop_watch_deadline(w, u->last_ms + PROXY_UDP_IDLE_MS);
		return;
	}
	/* Its alias may be another flow's by now, and the answer would be taken for one to that. */
	if (!redirect_lives(u->p->o.redirect, u->flow.id)) {
		finish(u);
		return;
	}
	if ((revents & EPOLLERR) != 0)
		read_errors(u);
	for (int i = 0; i < TURN; i++) {
		ssize_t got = recv(w->fd, u->p->room, PROXY_ROOM, MSG_DONTWAIT);

		if (got < 0 && errno == EAGAIN)
			return;
		if (got >= 0) {
			u->last_ms = now_ms;
			back(u, u->p->room, (size_t)got);
		}
	}
}

static struct udp_flow *begin(struct proxy *p, const struct redirect_flow *f)
{
	struct udp_flow *u;
	int error;

	if (!proxy_has(p, f))
		return NULL;
	proxy_reap(p);
	u = xcalloc(1, sizeof(*u));
	u->p = p;
	u->flow = *f;
	u->last_ms = loop_now_ms(p->loop);
	u->far = (struct watch){.fd = proxy_dial(p, f, SOCK_DGRAM, &u->rule, &error), .events = EPOLLIN, .ready = far_ready};
	p->udp[proxy_slot(f)] = u;
	atomic_fetch_add(&p->udp_n, 1);
	if (u->far.fd < 0 || loop_watch(p->loop, &u->far, &(struct error){0}) < 0) {
		if (u->far.fd < 0)
			refuse(u, error);
		finish(u);
		return NULL;
	}
	want_errors(u->far.fd, (f->kind == REDIRECT_FORWARD ? proxy_forward_of(p, f->forward)->target.sa.sa_family == AF_INET6 :
							      f->service.version == 6));
	loop_watch_deadline(&u->far, u->last_ms + PROXY_UDP_IDLE_MS);
	atomic_fetch_add(&p->udp_opened, 1);
	proxy_trouble(p, PROXY_NO_ROOM, false);
	return u;
}

/* Begins with its first datagram. */
static struct udp_flow *flow_of(struct proxy *p, const union udp_addr *from)
{
	struct redirect_flow f;
	struct udp_flow *u;

	if (!proxy_whose(p, IPPROTO_UDP, from, &f))
		return NULL;
	u = p->udp[proxy_slot(&f)];
	if (u != NULL && u->flow.id != f.id)
		finish(u);
	else if (u != NULL)
		return u;
	return begin(p, &f);
}

void proxy_udp_ready(struct watch *w, uint32_t revents)
{
	struct side *s = container_of(w, struct side, udp);
	struct proxy *p = s->p;

	(void)revents;
	for (int i = 0; i < TURN; i++) {
		union udp_addr from;
		socklen_t len = sizeof(from);
		ssize_t got = recvfrom(w->fd, p->room, PROXY_ROOM, MSG_DONTWAIT, &from.sa, &len);
		struct udp_flow *u;

		if (got < 0 && errno == EAGAIN)
			return;
		if (got < 0)
			continue;
		u = flow_of(p, &from);
		if (u == NULL)
			continue;
		u->last_ms = loop_now_ms(p->loop);
		/* An error that the kernel had stored is told in place of sending, once; it is in the queue of errors, too. */
		if (send(u->far.fd, p->room, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			(void)send(u->far.fd, p->room, (size_t)got, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

void proxy_udp_end(struct proxy *p, bool all)
{
	for (size_t i = 0; i < REDIRECT_FLOWS_MAX; i++)
		if (p->udp[i] != NULL && (all || !proxy_has(p, &p->udp[i]->flow)))
			finish(p->udp[i]);
}

void proxy_udp_reap(struct proxy *p)
{
	for (size_t i = 0; i < REDIRECT_FLOWS_MAX; i++)
		if (p->udp[i] != NULL && !redirect_lives(p->o.redirect, p->udp[i]->flow.id))
			finish(p->udp[i]);
}

void proxy_udp_give_way(struct proxy *p, size_t slot)
{
	finish(p->udp[slot]);
}
