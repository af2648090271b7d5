/* The proxy's thread: its life, who listens on this host, and what the data plane has taken for it. */
#include "meshlan/proxy_internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "mesh/bytes.h"
#include "mesh/plane_packet.h"
#include "sys/descriptors.h"

#define TCP_SYN 2
#define REAP_EVERY_MS 1000
#define DESCRIPTORS_LEFT 512	/* for rules, keys and whoever asks: callers can open as many as they like */

_Static_assert(REDIRECT_PORTS_BYTES == LISTENERS_PORTS_BYTES, "a bit for each port");

/* A packet on its way to the thread. */
struct taken {
	struct post post;
	struct proxy *p;
	uint32_t peer;
	size_t len;
	uint8_t ip[];
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

bool proxy_whose(const struct proxy *p, uint8_t protocol, const union udp_addr *from, struct redirect_flow *out)
{
	struct redirect_address alias;
	uint16_t port;

	proxy_from_sockaddr(from, &alias, &port);
	return redirect_of_alias(p->o.redirect, protocol, &alias, port, out);
}

/*
 * One that has given way is heard of no more, and would keep its sockets until it has been idle for hours. Only whoever
 * needs sockets looks, and not for each: all are gone through.
 */
void proxy_reap(struct proxy *p)
{
	int64_t now_ms = loop_now_ms(p->loop);
	struct redirect_counts c;

	if (now_ms - p->reaped_ms < REAP_EVERY_MS)
		return;
	redirect_count(p->o.redirect, &c);
	if (c.evicted == p->evicted)
		return;
	p->evicted = c.evicted;
	p->reaped_ms = now_ms;
	proxy_tcp_reap(p);
	proxy_udp_reap(p);
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
	if (!redirect_holds(p->o.redirect, &packet)) {
		proxy_refuse(p, peer, ip, len, REJECT_UNREACHABLE);
		return;
	}
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

static bool all_ports(void *arg, uint8_t protocol, uint8_t bits[static REDIRECT_PORTS_BYTES])
{
	struct proxy *p = arg;
	struct error err = ERROR_INIT;

	return listeners_ports(&p->listeners, protocol, bits, &err) == 0;
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
	struct redirect_options o = {.arg = p, .taken = kernel_takes, .listening = who_listens, .ports = all_ports};
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
	proxy_side_close(&p->side4);
	proxy_side_close(&p->side6);
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
