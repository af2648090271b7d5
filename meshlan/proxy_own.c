/* Our own addresses and forwards: sockets that listen on those, what of them the data plane knows, and what ends. */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "mesh/bytes.h"
#include "meshlan/proxy_internal.h"

#define BACKLOG 1024

/* A call of proxy_set, which waits for the thread. */
struct setting {
	struct post post;
	struct proxy *p;
	uint32_t v4;
	const uint8_t *v6;
	const struct proxy_forward *forwards;
	size_t n;
	struct error *err;
	int result;
	sem_t done;
};

static struct redirect_address address4(uint32_t v4)
{
	struct redirect_address a = {.version = v4 == 0 ? 0 : 4};

	put_be32(a.bytes, v4);
	return a;
}

static struct redirect_address address6(const uint8_t v6[static 16])
{
	static const uint8_t zeros[16];
	struct redirect_address a = {.version = memcmp(v6, zeros, 16) == 0 ? 0 : 6};

	memcpy(a.bytes, v6, 16);
	return a;
}

/* ---- sockets ---- */

static int listen_on(struct side *s, int type, struct watch *w, uint16_t *port, struct error *err)
{
	union udp_addr at = s->own;
	socklen_t len = proxy_sockaddr_len(&at);
	bool v6 = at.sa.sa_family == AF_INET6;
	int on = 1, ifindex = (int)s->p->o.ifindex;
	struct redirect_address a;

	w->fd = socket(at.sa.sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->fd < 0)
		return error_errno(err, errno, "cannot make a socket");
	/* The address may not be on the interface yet. Nobody but the data plane has business with the socket. */
	(void)setsockopt(w->fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof(on));
	if (ifindex != 0)
		(void)setsockopt(w->fd, SOL_SOCKET, SO_BINDTOIFINDEX, &ifindex, sizeof(ifindex));
	if (bind(w->fd, &at.sa, len) < 0 || (type == SOCK_STREAM && listen(w->fd, BACKLOG) < 0) ||
	    getsockname(w->fd, &at.sa, &len) < 0)
		return error_errno(err, errno, "cannot listen on our own address");
	proxy_from_sockaddr(&at, &a, port);
	w->events = EPOLLIN;
	w->ready = type == SOCK_STREAM ? proxy_tcp_accept : proxy_udp_ready;
	return loop_watch(s->p->loop, w, err);
}

static void side_watch_close(struct watch *w)
{
	loop_unwatch(w);
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

void proxy_side_close(struct side *s)
{
	side_watch_close(&s->tcp);
	side_watch_close(&s->udp);
	loop_timer_cancel(s->p->loop, &s->later);
	s->tcp_port = s->udp_port = 0;
	s->own.sa.sa_family = AF_UNSPEC;
}

/* A socket that stays is a port that stays, and with it the flows. */
static int side_set(struct side *s, const struct redirect_address *own, struct error *err)
{
	union udp_addr wanted;

	memset(&wanted, 0, sizeof(wanted));
	if (own->version != 0)
		wanted = proxy_sockaddr(own, 0);
	if (s->own.sa.sa_family == wanted.sa.sa_family && (own->version == 0 || udp_addr_equal(&s->own, &wanted)))
		return 0;
	proxy_side_close(s);
	s->own = wanted;
	if (own->version == 0)
		return 0;
	if (listen_on(s, SOCK_STREAM, &s->tcp, &s->tcp_port, err) == 0 && listen_on(s, SOCK_DGRAM, &s->udp, &s->udp_port, err) == 0)
		return 0;
	proxy_side_close(s);
	return -1;
}

const struct proxy_forward *proxy_forward_of(const struct proxy *p, uint16_t id)
{
	for (size_t i = 0; i < p->forwards_n; i++)
		if (p->forward_ids[i] == id)
			return &p->forwards[i];
	return NULL;
}

bool proxy_has(const struct proxy *p, const struct redirect_flow *f)
{
	const struct side *s = f->called.version == 4 ? &p->side4 : &p->side6;
	struct redirect_address own;
	uint16_t port;

	if (f->kind == REDIRECT_FORWARD) {
		const struct proxy_forward *forward = proxy_forward_of(p, f->forward);

		if (forward == NULL)
			return false;
		own = f->called.version == 4 ? address4(forward->v4) : address6(forward->v6);
	} else if (s->own.sa.sa_family == AF_UNSPEC) {
		return false;
	} else {
		proxy_from_sockaddr(&s->own, &own, &port);
	}
	return own.version == f->called.version && memcmp(own.bytes, f->called.bytes, sizeof(own.bytes)) == 0;
}

static void tell_redirect(struct proxy *p, const struct setting *s)
{
	struct redirect_own *own = xcalloc(1, sizeof(*own));

	own->node4 = address4(s->v4);
	own->node6 = address6(s->v6);
	own->tcp4 = p->side4.tcp_port;
	own->udp4 = p->side4.udp_port;
	own->tcp6 = p->side6.tcp_port;
	own->udp6 = p->side6.udp_port;
	for (size_t i = 0; i < p->forwards_n; i++) {
		struct redirect_address both[2] = {address4(p->forwards[i].v4), address6(p->forwards[i].v6)};

		for (size_t k = 0; k < 2; k++) {
			if (both[k].version == 0)
				continue;
			own->forwards[own->forwards_n] = both[k];
			own->forward_of[own->forwards_n++] = p->forward_ids[i];
		}
	}
	redirect_set(p->o.redirect, own);
	free(own);
}

static bool same_forward(const struct proxy_forward *a, const struct proxy_forward *b)
{
	return a->v4 == b->v4 && memcmp(a->v6, b->v6, 16) == 0 && a->target.sa.sa_family == b->target.sa.sa_family &&
	       udp_addr_equal(&a->target, &b->target);
}

/* Forwards keep their ids as long as they are the same, and flows theirs. */
static void set_forwards(struct proxy *p, const struct setting *s)
{
	size_t n = s->n < REDIRECT_FORWARDS_MAX ? s->n : REDIRECT_FORWARDS_MAX;
	uint16_t ids[REDIRECT_FORWARDS_MAX];

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < p->forwards_n && !same_forward(&p->forwards[k], &s->forwards[i]))
			k++;
		ids[i] = k < p->forwards_n ? p->forward_ids[k] : p->next_forward_id++;
	}
	p->forwards_n = n;
	if (n == 0)
		return;
	memcpy(p->forwards, s->forwards, n * sizeof(*p->forwards));
	memcpy(p->forward_ids, ids, n * sizeof(*ids));
}

static void set_run(struct post *post)
{
	struct setting *s = container_of(post, struct setting, post);
	struct redirect_address own4 = address4(s->v4), own6 = address6(s->v6);
	struct proxy *p = s->p;
	struct error other = ERROR_INIT;

	set_forwards(p, s);
	s->result = side_set(&p->side4, &own4, s->err);
	/* A machine without IPv6 is fine. */
	if (side_set(&p->side6, &own6, &other) < 0)
		log_debug("mesh.proxy", "error=\"%s\"", other.text);
	tell_redirect(p, s);
	proxy_tcp_end(p, false);
	proxy_udp_end(p, false);
	proxy_policy(p);
	sem_post(&s->done);
}

int proxy_set(struct proxy *p, uint32_t v4, const uint8_t v6[static 16], const struct proxy_forward *f, size_t n,
	      struct error *err)
{
	struct setting s = {.post = {.run = set_run}, .p = p, .v4 = v4, .v6 = v6, .forwards = f, .n = n, .err = err};

	sem_init(&s.done, 0, 0);
	loop_post(p->loop, &s.post);
	while (sem_wait(&s.done) < 0 && errno == EINTR)
		;
	sem_destroy(&s.done);
	return s.result;
}
