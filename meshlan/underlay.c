/*
 * What the mesh goes over: the addresses of this machine, which are its endpoints, told anew at each change; the
 * multicast of the local networks; and the peers that an operator named.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <net/if.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/log.h"
#include "meshlan/internal.h"
#include "net/addr.h"
#include "net/dial.h"
#include "sys/clock.h"
#include "sys/file.h"

#define LOOK_MS 5		/* after a change: several come at once */
#define BEACON_PORT 7783
#define BEACONS_A_TURN 64
#define RESOLVE_MS 300000
#define RESOLVE_AGAIN_MS 15000
#define RESOLVE_TIMEOUT_MS 10000
#define OF_ONE_INTERFACE 4

static const uint8_t group4[4] = {239, 255, 77, 83};
static const uint8_t group6[16] = {0xff, 0x12, [14] = 0x4d, [15] = 0x53};

/* ---- addresses ---- */

struct looking {
	struct meshlan *m;
	uint32_t usable[UNDERLAY_MAX];	/* interfaces */
	size_t usable_count;
	struct underlay_address found[UNDERLAY_MAX];
	size_t found_count;
};

static bool is_ours(const struct meshlan *m, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < m->lans_count; i++)
		if (m->lans[i]->plane != NULL && !m->lans[i]->no_interface && plane_tun(m->lans[i]->plane)->ifindex == ifindex)
			return true;
	return false;
}

static bool link_each(void *arg, const struct netlink_link *k)
{
	struct looking *x = arg;

	if ((k->flags & IFF_UP) != 0 && (k->flags & IFF_RUNNING) != 0 && (k->flags & IFF_LOOPBACK) == 0 &&
	    !is_ours(x->m, k->ifindex) && x->usable_count < UNDERLAY_MAX)
		x->usable[x->usable_count++] = k->ifindex;
	return true;
}

static bool inside_mesh(const struct meshlan *m, const struct endpoint *e)
{
	uint32_t v4 = (uint32_t)e->addr[0] << 24 | (uint32_t)e->addr[1] << 16 | (uint32_t)e->addr[2] << 8 | e->addr[3];
	size_t i;

	for (i = 0; i < m->lans_count; i++) {
		const struct addressing *a = &m->lans[i]->addressing;

		if (e->family == ENDPOINT_V4 ? addressing_has_v4(a, v4) : addressing_has_v6(a, e->addr))
			return true;
	}
	return false;
}

static bool address_each(void *arg, const struct netlink_address *a)
{
	struct underlay_address u = {.prefix = a->prefix.len, .ifindex = a->ifindex};
	struct looking *x = arg;
	size_t i, same = 0;
	bool usable = false;

	u.at.family = a->prefix.family == AF_INET ? ENDPOINT_V4 : ENDPOINT_V6;
	memcpy(u.at.addr, a->prefix.addr, u.at.family == ENDPOINT_V4 ? 4 : 16);
	u.at.port = 1;
	for (i = 0; i < x->usable_count; i++)
		usable |= x->usable[i] == a->ifindex;
	for (i = 0; i < x->found_count; i++)
		same += x->found[i].ifindex == a->ifindex && x->found[i].at.family == u.at.family;
	if (!usable || !a->usable || !endpoint_usable(&u.at) || inside_mesh(x->m, &u.at) || same == OF_ONE_INTERFACE ||
	    x->found_count == UNDERLAY_MAX)
		return true;
	u.at.port = 0;
	x->found[x->found_count++] = u;
	return true;
}

void underlay_tell(struct meshlan *m, struct lan *l)
{
	struct record_endpoint ends[ENGINE_ENDPOINTS_MAX];
	int64_t now_ms = loop_now_ms(m->loop);
	size_t n = 0, i;

	if (l == NULL) {
		for (i = 0; i < m->lans_count; i++)
			underlay_tell(m, m->lans[i]);
		return;
	}
	if (l->engine == NULL)
		return;
	for (i = 0; i < m->underlay_count && n < ENGINE_ENDPOINTS_MAX; i++) {
		uint16_t port = m->underlay[i].at.family == ENDPOINT_V4 ? l->port4 : l->port6;

		if (port == 0)
			continue;
		ends[n] = (struct record_endpoint){ENDPOINT_OWN, m->underlay[i].at};
		ends[n++].at.port = port;
	}
	mesh_engine_endpoints(l->engine, ends, n, now_ms);
	if (m->peers_count > 0)
		mesh_engine_configured(l->engine, m->peers, m->peers_count, now_ms);
	lan_pump(l);
}

/* ---- multicast ---- */

/* Being in a group already is no failure. */
static void join(struct meshlan *m, uint32_t ifindex)
{
	struct ip_mreqn v4 = {.imr_ifindex = (int)ifindex};
	struct ipv6_mreq v6 = {.ipv6mr_interface = ifindex};

	memcpy(&v4.imr_multiaddr, group4, sizeof(group4));
	memcpy(&v6.ipv6mr_multiaddr, group6, sizeof(group6));
	if (m->beacon4.fd >= 0)
		(void)setsockopt(m->beacon4.fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &v4, sizeof(v4));
	if (m->beacon6.fd >= 0)
		(void)setsockopt(m->beacon6.fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &v6, sizeof(v6));
}

static void beacon_take(struct meshlan *m, int fd)
{
	uint8_t dgram[PACKET_OUTER_MAX + 1];
	struct sockaddr_storage from;
	struct endpoint at;
	unsigned turn;
	size_t i;

	for (turn = 0; turn < BEACONS_A_TURN; turn++) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, dgram, sizeof(dgram), 0, (struct sockaddr *)&from, &len);

		if (n < 0)
			return;
		if (endpoint_from_sockaddr(&at, (struct sockaddr *)&from) < 0 || n > PACKET_OUTER_MAX)
			continue;
		for (i = 0; i < m->lans_count; i++) {
			if (m->lans[i]->engine == NULL)
				continue;
			mesh_engine_datagram(m->lans[i]->engine, &at, dgram, (size_t)n, loop_now_ms(m->loop));
			lan_pump(m->lans[i]);
		}
	}
}

static void beacon4_ready(struct watch *w, uint32_t revents)
{
	(void)revents;
	beacon_take(container_of(w, struct meshlan, beacon4), w->fd);
}

static void beacon6_ready(struct watch *w, uint32_t revents)
{
	(void)revents;
	beacon_take(container_of(w, struct meshlan, beacon6), w->fd);
}

/*
 * Of IPv4 bound to the group, so that nothing else comes; of IPv6 that would name an interface as well. Another process of
 * this machine may do the same.
 */
static int open_beacon(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, hops = 1;
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(BEACON_PORT)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(BEACON_PORT)};
	int r;

	if (fd < 0)
		return -1;
	memcpy(&a4.sin_addr, group4, sizeof(group4));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET) {
		int off = 0;

		/* Only groups that this socket has joined, on the interfaces where it has. */
		(void)setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof(off));
		(void)setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, sizeof(hops));
		r = bind(fd, (struct sockaddr *)&a4, sizeof(a4));
	} else {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops));
		r = bind(fd, (struct sockaddr *)&a6, sizeof(a6));
	}
	if (r < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void start_beacon(struct meshlan *m, struct watch *w, int family, void (*ready)(struct watch *w, uint32_t revents))
{
	struct error err = ERROR_INIT;

	*w = (struct watch){.fd = open_beacon(family), .events = EPOLLIN, .ready = ready};
	if (w->fd < 0)
		log_warn("mesh.discovery", "family=%d no socket for it: %s", family == AF_INET ? 4 : 6, strerror(errno));
	else if (loop_watch(m->loop, w, &err) < 0)
		file_close(&w->fd);
}

static void send_from(int fd, const struct underlay_address *u, struct slice bytes)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(BEACON_PORT)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(BEACON_PORT), .sin6_scope_id = u->ifindex};
	union {
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
		struct cmsghdr align;
	} control = {.room = {0}};
	struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
	struct cmsghdr *c = &control.align;

	memcpy(&a4.sin_addr, group4, sizeof(group4));
	memcpy(&a6.sin6_addr, group6, sizeof(group6));
	/* From an address that others can answer to: of IPv6 the kernel would take the link-local one. */
	if (u->at.family == ENDPOINT_V4) {
		struct in_pktinfo p = {.ipi_ifindex = (int)u->ifindex};

		memcpy(&p.ipi_spec_dst, u->at.addr, 4);
		h.msg_name = &a4;
		h.msg_namelen = sizeof(a4);
		*c = (struct cmsghdr){CMSG_LEN(sizeof(p)), IPPROTO_IP, IP_PKTINFO};
		memcpy(CMSG_DATA(c), &p, sizeof(p));
		h.msg_controllen = CMSG_SPACE(sizeof(p));
	} else {
		struct in6_pktinfo p = {.ipi6_ifindex = u->ifindex};

		memcpy(&p.ipi6_addr, u->at.addr, 16);
		h.msg_name = &a6;
		h.msg_namelen = sizeof(a6);
		*c = (struct cmsghdr){CMSG_LEN(sizeof(p)), IPPROTO_IPV6, IPV6_PKTINFO};
		memcpy(CMSG_DATA(c), &p, sizeof(p));
		h.msg_controllen = CMSG_SPACE(sizeof(p));
	}
	(void)sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void underlay_beacon(struct lan *l, struct slice bytes)
{
	struct meshlan *m = l->m;
	size_t i, k;

	for (i = 0; i < m->underlay_count; i++) {
		const struct underlay_address *u = &m->underlay[i];
		int fd = u->at.family == ENDPOINT_V4 ? m->beacon4.fd : m->beacon6.fd;

		/* Once for each interface and family. */
		for (k = 0; k < i; k++)
			if (m->underlay[k].ifindex == u->ifindex && m->underlay[k].at.family == u->at.family)
				break;
		if (fd >= 0 && k == i)
			send_from(fd, u, bytes);
	}
}

/* ---- changes ---- */

static void look(struct meshlan *m)
{
	struct looking *x = xcalloc(1, sizeof(*x));
	struct netlink n = {.fd = -1};
	struct error err = ERROR_INIT;
	size_t i;

	x->m = m;
	if (netlink_open(&n, &err) < 0 || netlink_links(&n, link_each, x, &err) < 0 ||
	    netlink_addresses(&n, address_each, x, &err) < 0) {
		log_failure(LOG_LEVEL_WARN, "mesh.interfaces", &err);
	} else if (x->found_count != m->underlay_count ||
		   memcmp(x->found, m->underlay, x->found_count * sizeof(x->found[0])) != 0) {
		memcpy(m->underlay, x->found, sizeof(m->underlay));
		m->underlay_count = x->found_count;
		for (i = 0; i < m->underlay_count; i++)
			join(m, m->underlay[i].ifindex);
		log_debug("mesh.interfaces", "addresses=%zu", m->underlay_count);
		underlay_tell(m, NULL);
	}
	netlink_close(&n);
	free(x);
}

static void look_fire(struct timer *t)
{
	look(container_of(t, struct meshlan, look));
}

static void links_ready(struct watch *w, uint32_t revents)
{
	struct meshlan *m = container_of(w, struct meshlan, links);

	(void)revents;
	if (netlink_changes(w->fd, 0) != 0 && m->look.slot == 0)
		loop_timer_set(m->loop, &m->look, loop_now_ms(m->loop) + LOOK_MS);
}

/* ---- configured peers ---- */

/* Names are looked up in a thread of their own, one look-up of all at a time. */
struct peers_lookup {
	struct post done;
	struct meshlan *m;	/* NULL: nobody waits any more */
	pthread_t thread;
	char hosts[MESHLAN_PEERS_MAX][256];
	uint16_t ports[MESHLAN_PEERS_MAX];
	size_t count;
	struct endpoint found[ENGINE_CONFIGURED_MAX];
	size_t found_count, unknown;
};

static void add_peer(struct endpoint *list, size_t *count, const struct sockaddr_storage *ss)
{
	struct endpoint e;
	size_t i;

	if (endpoint_from_sockaddr(&e, (const struct sockaddr *)ss) < 0 || *count == ENGINE_CONFIGURED_MAX)
		return;
	for (i = 0; i < *count; i++)
		if (endpoint_equal(&list[i], &e))
			return;
	list[(*count)++] = e;
}

static void lookup_done(struct post *p)
{
	struct peers_lookup *k = container_of(p, struct peers_lookup, done);
	struct meshlan *m = k->m;
	size_t i;

	if (m == NULL) {
		free(k);
		return;
	}
	pthread_join(k->thread, NULL);
	m->lookup = NULL;
	/* Literal ones are first in the list, and stay. */
	m->peers_count = m->peers_literal;
	for (i = 0; i < k->found_count && m->peers_count < ENGINE_CONFIGURED_MAX; i++)
		m->peers[m->peers_count++] = k->found[i];
	if (k->unknown > 0)
		log_warn("mesh.peers", "unknown=%zu configured peers have no address now; asked again", k->unknown);
	loop_timer_set(m->loop, &m->resolve, loop_now_ms(m->loop) + (k->unknown > 0 ? RESOLVE_AGAIN_MS : RESOLVE_MS));
	free(k);
	underlay_tell(m, NULL);
}

static void *lookup_run(void *arg)
{
	struct peers_lookup *k = arg;
	struct sockaddr_storage found[DIAL_ADDRESSES_MAX];
	size_t i, n, a;

	for (i = 0; i < k->count; i++) {
		struct dial d = {.deadline_ms = clock_mono_ms() + RESOLVE_TIMEOUT_MS, .cancel_fd = k->m->lookup_cancel};
		struct error err = ERROR_INIT;

		n = 0;
		if (dial_resolve(&d, k->hosts[i], HOST_NAME, k->ports[i], found, &n, &err) < 0)
			k->unknown++;
		for (a = 0; a < n; a++)
			add_peer(k->found, &k->found_count, &found[a]);
	}
	loop_post(k->m->loop, &k->done);
	return NULL;
}

static void resolve_fire(struct timer *t)
{
	struct meshlan *m = container_of(t, struct meshlan, resolve);
	struct peers_lookup *k;
	size_t i;

	k = xcalloc(1, sizeof(*k));
	k->done.run = lookup_done;
	k->m = m;
	for (i = 0; i < m->options->peers_count; i++) {
		const char *text = m->options->peers[i], *colon = strrchr(text, ':');
		struct sockaddr_storage ss;
		struct error err = ERROR_INIT;
		socklen_t len;

		if (addr_parse(&ss, &len, slice_str(text), &err) == 0)
			continue;
		(void)snprintf(k->hosts[k->count], sizeof(k->hosts[0]), "%.*s", (int)(colon - text), text);
		k->ports[k->count++] = (uint16_t)strtoul(colon + 1, NULL, 10);
	}
	m->lookup = k;
	if (pthread_create(&k->thread, NULL, lookup_run, k) != 0) {
		m->lookup = NULL;
		free(k);
		loop_timer_set(m->loop, t, loop_now_ms(m->loop) + RESOLVE_AGAIN_MS);
	}
}

/* "HOST:PORT", HOST a name or an address, IPv6 in brackets. */
static int check_peer(const char *text, bool *literal, struct sockaddr_storage *ss, struct error *err)
{
	const char *colon = strrchr(text, ':');
	unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, NULL, 10);
	struct error ignored = ERROR_INIT;
	socklen_t len;

	*literal = text[0] != ':' && addr_parse(ss, &len, slice_str(text), &ignored) == 0;
	if (*literal)
		return 0;
	if (colon == NULL || colon == text || colon - text > 253 || port == 0 || port > 65535 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1) || memchr(text, ':', (size_t)(colon - text)) != NULL) {
		error_set(err, ERR_USAGE, "'%s' is no peer", text);
		return error_hint(err, "HOST:PORT, as in gate.example.org:%d or [2001:db8::7]:%d", MESHLAN_PORT, MESHLAN_PORT);
	}
	return 0;
}

static int start_peers(struct meshlan *m, struct error *err)
{
	const struct meshlan_options *o = m->options;
	struct sockaddr_storage ss;
	bool literal;
	size_t i, names = 0;

	if (o->peers_count > MESHLAN_PEERS_MAX)
		return error_set(err, ERR_USAGE, "more than %d peers", MESHLAN_PEERS_MAX);
	for (i = 0; i < o->peers_count; i++) {
		if (check_peer(o->peers[i], &literal, &ss, err) < 0)
			return -1;
		if (literal)
			add_peer(m->peers, &m->peers_count, &ss);
		names += !literal;
	}
	m->peers_literal = m->peers_count;
	m->resolve.fire = resolve_fire;
	if (names > 0)
		loop_timer_set(m->loop, &m->resolve, loop_now_ms(m->loop));
	return 0;
}

int underlay_start(struct meshlan *m, struct error *err)
{
	int fd;

	if ((m->lookup_cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
		return error_errno(err, errno, "cannot make an event descriptor");
	if (start_peers(m, err) < 0)
		return -1;
	if (netlink_watch(&fd, err) < 0)
		return -1;
	m->links = (struct watch){.fd = fd, .events = EPOLLIN, .ready = links_ready};
	m->look.fire = look_fire;
	if (loop_watch(m->loop, &m->links, err) < 0)
		return -1;
	if (!m->options->no_discovery) {
		start_beacon(m, &m->beacon4, AF_INET, beacon4_ready);
		start_beacon(m, &m->beacon6, AF_INET6, beacon6_ready);
	}
	look(m);
	return 0;
}

static void end(struct watch *w)
{
	loop_unwatch(w);
	file_close(&w->fd);
}

void underlay_stop(struct meshlan *m)
{
	/* A look-up that runs ends now; what it posts is run by loop_free, and finds nobody. */
	if (m->lookup != NULL) {
		(void)eventfd_write(m->lookup_cancel, 1);
		pthread_join(m->lookup->thread, NULL);
		m->lookup->m = NULL;
		m->lookup = NULL;
	}
	loop_timer_cancel(m->loop, &m->resolve);
	loop_timer_cancel(m->loop, &m->look);
	end(&m->links);
	end(&m->beacon4);
	end(&m->beacon6);
	file_close(&m->lookup_cancel);
}
