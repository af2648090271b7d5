/* The multicast of the local networks, by which nodes on them hear of each other. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "meshlan/internal.h"
#include "sys/file.h"

#define BEACONS_A_TURN 64

static const uint8_t group4[4] = {239, 255, 77, 83};
static const uint8_t group6[16] = {0xff, 0x12, [14] = 0x4d, [15] = 0x53};

/* Being in a group already is no failure. */
void beacons_join(struct meshlan *m, uint32_t ifindex)
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

union control {
	char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct cmsghdr align;
};

/* Whether it came to the group: the socket of IPv4 gets nothing else. */
static bool to_group(struct msghdr *h)
{
	const struct sockaddr_storage *from = h->msg_name;
	struct cmsghdr *c;

	if (from->ss_family == AF_INET)
		return true;
	for (c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c))
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo p;

			memcpy(&p, CMSG_DATA(c), sizeof(p));
			return memcmp(&p.ipi6_addr, group6, sizeof(group6)) == 0;
		}
	return false;
}

/*
 * Whether a sender of that address may be beside us: whoever answers a beacon must not be aimed at somebody elsewhere. An
 * address may have come without its network, as one by DHCPv6 does: then those next to it are.
 */
static bool beside(const struct meshlan *m, const struct endpoint *at)
{
	size_t i;

	for (i = 0; i < m->underlay_count; i++) {
		const struct underlay_address *u = &m->underlay[i];
		unsigned least = u->at.family == ENDPOINT_V4 ? 24 : 64;

		if (endpoint_within(at, &u->at, u->prefix < least ? u->prefix : least))
			return true;
	}
	return false;
}

static void beacon_take(struct meshlan *m, int fd)
{
	uint8_t dgram[PACKET_OUTER_MAX + 1];
	struct iovec iov = {dgram, sizeof(dgram)};
	struct sockaddr_storage from;
	union control control;
	struct endpoint at;
	unsigned turn;
	size_t i;

	for (turn = 0; turn < BEACONS_A_TURN; turn++) {
		struct msghdr h = {.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1,
				   .msg_control = &control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &h, 0);

		if (n < 0)
			return;
		if (endpoint_from_sockaddr(&at, (struct sockaddr *)&from) < 0 || n > PACKET_OUTER_MAX || !to_group(&h) ||
		    !beside(m, &at))
			continue;
		for (i = 0; i < m->lans_count; i++) {
			if (m->lans[i]->engine == NULL)
				continue;
			mesh_engine_beacon(m->lans[i]->engine, &at, dgram, (size_t)n, loop_now_ms(m->loop));
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
 * Of IPv4 bound to the group, so that nothing else comes; of IPv6 that would name an interface as well, and to_group looks.
 * Another process of this machine may do the same.
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
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
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
	union control control = {.room = {0}};
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

void beacons_send(struct lan *l, struct slice bytes)
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

void beacons_start(struct meshlan *m)
{
	start_beacon(m, &m->beacon4, AF_INET, beacon4_ready);
	start_beacon(m, &m->beacon6, AF_INET6, beacon6_ready);
}

static void end(struct watch *w)
{
	loop_unwatch(w);
	file_close(&w->fd);
}

void beacons_stop(struct meshlan *m)
{
	end(&m->beacon4);
	end(&m->beacon6);
}
