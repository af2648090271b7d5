/* The proxy's thread: sockets that listen on our own address, and what the data plane has taken for it. */
#include "meshlan/proxy_internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "mesh/bytes.h"
#include "mesh/plane_packet.h"
#include "sys/descriptors.h"

#define BACKLOG 1024
#define TCP_SYN 2
#define DESCRIPTORS_LEFT 512	/* for rules, keys and whoever asks: callers can open as many as they like */

/* A packet on its way to the thread. */
struct taken {
	struct post post;
	struct proxy *p;
	uint32_t peer;
	size_t len;
	uint8_t ip[];
};

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

/* ---- addresses ---- */

union udp_addr proxy_sockaddr(const struct redirect_address *a, uint16_t port)
{
	union udp_addr out;

	memset(&out, 0, sizeof(out));
	if (a->version == 6) {
		out.in6.sin6_family = AF_INET6;
		out.in6.sin6_port = htons(port);
		memcpy(&out.in6.sin6_addr, a->bytes, 16);
	} else {
		out.in.sin_family = AF_INET;
		out.in.sin_port = htons(port);
		memcpy(&out.in.sin_addr, a->bytes, 4);
	}
	return out;
}

void proxy_from_sockaddr(const union udp_addr *a, struct redirect_address *out, uint16_t *port)
{
	*out = (struct redirect_address){.version = a->sa.sa_family == AF_INET6 ? 6 : 4};
	if (out->version == 6)
		memcpy(out->bytes, &a->in6.sin6_addr, 16);
	else
		memcpy(out->bytes, &a->in.sin_addr, 4);
	*port = ntohs(out->version == 6 ? a->in6.sin6_port : a->in.sin_port);
}

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

/* ---- what others see ---- */

void proxy_trouble(struct proxy *p, enum proxy_trouble t, bool on)
{
	if (on)
		atomic_fetch_or(&p->troubles, t);
	else if (atomic_load(&p->troubles) & t)
		atomic_fetch_and(&p->troubles, ~(unsigned)t);
}

unsigned proxy_troubles(const struct proxy *p)
{
	return atomic_load(&p->troubles);
}

const char *proxy_trouble_text(enum proxy_trouble t)
{
	switch (t) {
	case PROXY_NO_TRANSPARENT:
		return "services that listen on loopback alone are not reached: a socket may not have a foreign address "
		       "(CAP_NET_ADMIN is needed)";
	case PROXY_NO_POLICY:
		return "services that listen on loopback alone are not reached: the kernel refuses the policy rule for their answers";
	case PROXY_NO_LISTENERS:
		return "services that listen on loopback or on one address alone are not reached: the kernel does not tell "
		       "who listens (sock_diag)";
	case PROXY_NO_ECHO:
		return "forwards do not answer ping: the system lets us have no socket for it (CAP_NET_RAW is needed)";
	case PROXY_NO_ROOM:
		return "connections to services and forwards were refused: no descriptors are left";
	}
	return "";
}

void proxy_figures(const struct proxy *p, struct proxy_figures *out)
{
	*out = (struct proxy_figures){
		.tcp = atomic_load(&p->tcp_n),
		.udp = atomic_load(&p->udp_n),
		.echoes = atomic_load(&p->asked_n),
		.tcp_opened = atomic_load(&p->tcp_opened),
		.tcp_refused = atomic_load(&p->tcp_refused),
		.udp_opened = atomic_load(&p->udp_opened),
		.echoes_answered = atomic_load(&p->echoes_answered),
		.echoes_failed = atomic_load(&p->echoes_failed),
	};
}

/* ---- answers ---- */

void proxy_answer(struct proxy *p, uint32_t peer, const uint8_t *ip, size_t len)
{
	if (peer == PLANE_SELF)
		(void)plane_inject(p->o.plane, ip, len);
	else
		(void)plane_send_packet(p->o.plane, peer, ip, len);
}

void proxy_refuse(struct proxy *p, uint32_t peer, const uint8_t *ip, size_t len, enum reject_kind kind)
{
	uint8_t out[REJECT_MAX];
	size_t n = reject_make(out, ip, len, kind, 0);

	if (n > 0)
		proxy_answer(p, peer, out, n);
}

enum reject_kind proxy_reason(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case ECONNRESET:
		return REJECT_PORT;
	case EACCES:
	case EPERM:
		return REJECT_PROHIBITED;
	default:
		return REJECT_UNREACHABLE;
	}
}

/* ---- what the data plane has taken ---- */

static void take(struct proxy *p, uint32_t peer, const uint8_t *ip, size_t len)
{
	struct plane_packet packet;
	struct redirect_flow f;

	if (p->ending || !plane_packet_parse(ip, len, &packet))
		return;
	if (packet.protocol == IPPROTO_ICMP || packet.protocol == IPPROTO_ICMPV6) {
		proxy_echo_taken(p, peer, &packet);
		return;
	}
	if (packet.protocol != IPPROTO_TCP || packet.len < packet.l4 + 20u)
		return;
	/* Of a connection that nobody here knows (any more). */
	if (!redirect_of_packet(p->o.redirect, ip, len, &f))
		proxy_refuse(p, peer, ip, len, REJECT_PORT);
	else if ((ip[packet.l4 + 13] & TCP_SYN) != 0)
		proxy_tcp_taken(p, &f, ip, packet.len);
}

static void taken_run(struct post *post)
{
	struct taken *t = container_of(post, struct taken, post);

	atomic_fetch_sub(&t->p->waiting, 1);
	take(t->p, t->peer, t->ip, t->len);
	free(t);
}

void proxy_taken(struct proxy *p, uint32_t peer, struct slice ip)
{
	struct taken *t;

	if (atomic_load(&p->waiting) >= PROXY_WAITING_MAX || ip.len > TUN_PACKET_MAX)
		return;
	atomic_fetch_add(&p->waiting, 1);
	t = xmalloc(sizeof(*t) + ip.len);
	*t = (struct taken){.post = {.run = taken_run}, .p = p, .peer = peer, .len = ip.len};
	memcpy(t->ip, ip.ptr, ip.len);
	loop_post(p->loop, &t->post);
}

/* ---- our own addresses ---- */

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

static void side_close(struct side *s)
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
	side_close(s);
	s->own = wanted;
	if (own->version == 0)
		return 0;
	if (listen_on(s, SOCK_STREAM, &s->tcp, &s->tcp_port, err) == 0 && listen_on(s, SOCK_DGRAM, &s->udp, &s->udp_port, err) == 0)
		return 0;
	side_close(s);
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

/* ---- who listens: rx's thread asks ---- */

static bool kernel_takes(void *arg, uint8_t protocol, const struct redirect_address *local, uint16_t local_port,
			 const struct redirect_address *remote, uint16_t remote_port)
{
	union udp_addr l = proxy_sockaddr(local, local_port), r = proxy_sockaddr(remote, remote_port);
	struct proxy *p = arg;
	struct error err = ERROR_INIT;
	bool taken = true;

	if (listeners_take(&p->listeners, protocol, &l, &r, p->o.ifindex, &taken, &err) < 0) {
		proxy_trouble(p, PROXY_NO_LISTENERS, true);
		return true;
	}
	proxy_trouble(p, PROXY_NO_LISTENERS, false);
	return taken;
}

static size_t who_listens(void *arg, uint8_t protocol, uint16_t port, struct redirect_listener *out, size_t max)
{
	struct listener all[REDIRECT_LISTENERS_MAX];
	struct proxy *p = arg;
	struct error err = ERROR_INIT;
	size_t n = 0, kept = 0;

	if (listeners_on(&p->listeners, protocol, port, all, ARRAY_SIZE(all), &n, &err) < 0)
		proxy_trouble(p, PROXY_NO_LISTENERS, true);
	for (size_t i = 0; i < n && kept < max; i++) {
		const struct listener *l = &all[i];

		/* Bound to another interface: it would not get the packet at whatever address. 1 is loopback. */
		if (l->ifindex > 1 && l->ifindex != p->o.ifindex)
			continue;
		out[kept] = (struct redirect_listener){.both = l->family == AF_INET6 && !l->v6only, .local = l->ifindex == 1};
		out[kept].address.version = l->family == AF_INET6 ? 6 : 4;
		memcpy(out[kept++].address.bytes, l->addr, 16);
	}
	return kept;
}

/* ---- life ---- */

static void *run(void *arg)
{
	struct proxy *p = arg;
	struct error err = ERROR_INIT;

	if (loop_run(p->loop, &err) < 0)
		log_failure(LOG_LEVEL_ERROR, "mesh.proxy", &err);
	return NULL;
}

/* What would be found out with the first service is said at once. */
static void try_transparent(struct proxy *p)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		return;
	proxy_trouble(p, PROXY_NO_TRANSPARENT, setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0);
	close(fd);
}

static void open_all(struct proxy *p)
{
	struct redirect_options o = {.arg = p, .taken = kernel_takes, .listening = who_listens};
	struct error err = ERROR_INIT;

	if (netlink_open(&p->netlink, &err) < 0) {
		p->netlink.fd = -1;
		proxy_trouble(p, PROXY_NO_POLICY, true);
	}
	if (listeners_open(&p->listeners, &err) < 0)
		proxy_trouble(p, PROXY_NO_LISTENERS, true);
	else
		redirect_set_options(p->o.redirect, &o);
	proxy_echo_open(p);
	try_transparent(p);
}

static void close_all(struct proxy *p)
{
	p->ending = true;
	proxy_tcp_end(p, true);
	proxy_udp_end(p, true);
	proxy_echo_close(p);
	side_close(&p->side4);
	side_close(&p->side6);
}

static int descriptors_for_callers(void)
{
	uint64_t most = descriptors_raise(), left = most / 4 < DESCRIPTORS_LEFT ? most / 4 : DESCRIPTORS_LEFT;

	return most - left < INT_MAX ? (int)(most - left) : INT_MAX;
}

struct proxy *proxy_new(const struct proxy_options *o, struct error *err)
{
	struct proxy *p = xcalloc(1, sizeof(*p));
	sigset_t all, before;
	int e;

	p->o = *o;
	p->side4 = p->side6 = (struct side){.p = p, .tcp = {.fd = -1}, .udp = {.fd = -1}, .later = {.fire = proxy_tcp_again}};
	p->listeners.fd = p->netlink.fd = p->echo4.fd = p->echo6.fd = -1;
	p->room = xmalloc(PROXY_ROOM);
	p->fd_max = descriptors_for_callers();
	p->loop = loop_new(err);
	if (p->loop == NULL) {
		free(p->room);
		free(p);
		return NULL;
	}
	open_all(p);
	/* Signals are for the thread of the process's loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&p->thread, NULL, run, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (e == 0)
		return p;
	error_errno(err, e, "cannot start a thread");
	redirect_set_options(p->o.redirect, NULL);
	close_all(p);
	loop_free(p->loop);
	listeners_close(&p->listeners);
	netlink_close(&p->netlink);
	free(p->room);
	free(p);
	return NULL;
}

static void remove_policy(struct proxy *p)
{
	struct netlink_prefix r4 = {.family = AF_INET, .len = p->o.addressing.range.prefix}, r6 = {.family = AF_INET6, .len = 48};
	struct error err = ERROR_INIT;

	if (p->netlink.fd < 0)
		return;
	put_be32(r4.addr, p->o.addressing.range.v4);
	memcpy(r6.addr, p->o.addressing.v6_prefix, sizeof(p->o.addressing.v6_prefix));
	if (policyroute_remove(&p->netlink, &r4, &err) < 0 || policyroute_remove(&p->netlink, &r6, &err) < 0)
		log_debug("mesh.proxy", "error=\"%s\"", err.text);
}

void proxy_free(struct proxy *p)
{
	struct redirect_own *none;

	if (p == NULL)
		return;
	none = xcalloc(1, sizeof(*none));
	redirect_set_options(p->o.redirect, NULL);
	redirect_set(p->o.redirect, none);
	free(none);
	loop_stop(p->loop);
	pthread_join(p->thread, NULL);
	close_all(p);
	/* What was still posted is run here, and finds nothing. */
	loop_free(p->loop);
	remove_policy(p);
	netlink_close(&p->netlink);
	listeners_close(&p->listeners);
	free(p->room);
	free(p);
}
