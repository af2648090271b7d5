/* UDP sockets whose datagrams leave and arrive in bursts. */
#include "sys/udp.h"

#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define FULL_WAIT_MS 10
/* Errors of earlier datagrams (ICMP) that one receive passes over. */
#define STORED_ERRORS_MAX 16

/* Room for what goes along with a datagram: its segment size, and our address. */
union control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

bool udp_addr_equal(const union udp_addr *a, const union udp_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	if (a->sa.sa_family == AF_INET6)
		return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
		       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
	return true;
}

/* The address alone, as it is compared: the port of our side is the socket's. */
static union udp_addr bare(const union udp_addr *a)
{
	union udp_addr out = *a;

	if (out.sa.sa_family == AF_INET6) {
		out.in6.sin6_port = 0;
		out.in6.sin6_scope_id = 0;
	} else {
		out.in.sin_port = 0;
	}
	return out;
}

bool udp_path_equal(const struct udp_path *a, const struct udp_path *b)
{
	union udp_addr ours = bare(&a->local), theirs = bare(&b->local);

	return udp_addr_equal(&a->remote, &b->remote) && udp_addr_equal(&ours, &theirs) && a->ifindex == b->ifindex;
}

static socklen_t addr_len(const union udp_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

static int set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* More than the system's limit where we have CAP_NET_ADMIN, else as much as there is: less costs packets, not sense. */
static void set_buffer(int fd, int force, int within, int bytes)
{
	if (bytes > 0 && set_int(fd, SOL_SOCKET, force, bytes) < 0)
		(void)set_int(fd, SOL_SOCKET, within, bytes);
}

/* What every datagram of the socket needs: our address along with it, and DF. */
static int set_family(int fd, int family)
{
	if (family == AF_INET6)
		return set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1) < 0 ||
		       set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) < 0 ||
		       set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO) < 0 ? -1 : 0;
	return set_int(fd, IPPROTO_IP, IP_PKTINFO, 1) < 0 ||
	       set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO) < 0 ? -1 : 0;
}

int udp_open(struct udp *u, const union udp_addr *bind_to, const struct udp_options *o, struct error *err)
{
	int family = bind_to->sa.sa_family;

	u->family = family;
	u->gro = false;
	atomic_init(&u->gso, false);
	u->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0)
		return error_errno(err, errno, "cannot make a UDP socket");
	if (set_family(u->fd, family) < 0 || (o->reuse && set_int(u->fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)) {
		error_errno(err, errno, "cannot set up a UDP socket");
		goto fail;
	}
	set_buffer(u->fd, SO_RCVBUFFORCE, SO_RCVBUF, o->receive_buffer);
	set_buffer(u->fd, SO_SNDBUFFORCE, SO_SNDBUF, o->send_buffer);
	if (!o->no_offload) {
		atomic_init(&u->gso, set_int(u->fd, IPPROTO_UDP, UDP_SEGMENT, 0) == 0);
		u->gro = set_int(u->fd, IPPROTO_UDP, UDP_GRO, 1) == 0;
	}
	if (bind(u->fd, &bind_to->sa, addr_len(bind_to)) < 0) {
		error_errno(err, errno, "cannot listen on UDP port %u",
			    (unsigned)ntohs(family == AF_INET6 ? bind_to->in6.sin6_port : bind_to->in.sin_port));
		if (err->sys_errno == EADDRINUSE)
			err->kind = ERR_CONFLICT;
		goto fail;
	}
	return 0;
fail:
	udp_close(u);
	return -1;
}

void udp_close(struct udp *u)
{
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}

int udp_local(const struct udp *u, union udp_addr *out, struct error *err)
{
	socklen_t len = sizeof(*out);

	memset(out, 0, sizeof(*out));
	if (getsockname(u->fd, &out->sa, &len) < 0)
		return error_errno(err, errno, "cannot ask a UDP socket for its address");
	return 0;
}

static void put_control(struct msghdr *m, int level, int type, const void *value, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)((uint8_t *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), value, len);
	m->msg_controllen += CMSG_SPACE(len);
}

/* Our address for the datagram, when the path names one. */
static void put_source(struct msghdr *m, const struct udp_path *path)
{
	if (path->remote.sa.sa_family == AF_INET6) {
		struct in6_pktinfo info = {.ipi6_ifindex = path->ifindex};

		if (path->local.sa.sa_family == AF_INET6)
			info.ipi6_addr = path->local.in6.sin6_addr;
		else if (path->ifindex == 0)
			return;
		put_control(m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	} else {
		struct in_pktinfo info = {.ipi_ifindex = (int)path->ifindex};

		if (path->local.sa.sa_family == AF_INET)
			info.ipi_spec_dst = path->local.in.sin_addr;
		else if (path->ifindex == 0)
			return;
		put_control(m, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
}

static void fill(struct mmsghdr *m, struct iovec *iov, union control *c, const struct udp_path *path, uint8_t *data,
		 size_t len, size_t size)
{
	m->msg_len = 0;
	*iov = (struct iovec){data, len};
	m->msg_hdr = (struct msghdr){
		/* sendmsg does not write to it. */
		.msg_name = (void *)(uintptr_t)&path->remote,
		.msg_namelen = addr_len(&path->remote),
		.msg_iov = iov,
		.msg_iovlen = 1,
		.msg_control = c->bytes,
	};
	put_source(&m->msg_hdr, path);
	if (len > size) {
		uint16_t segment = (uint16_t)size;

		put_control(&m->msg_hdr, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
	if (m->msg_hdr.msg_controllen == 0)
		m->msg_hdr.msg_control = NULL;
}

/*
 * Send the messages from *done on. Returns 0 when all are sent, else the errno that message *done got, after a full
 * buffer has been waited for once.
 */
static int push(int fd, struct mmsghdr *m, size_t n, size_t *done)
{
	bool waited = false;

	while (*done < n) {
		int sent = sendmmsg(fd, m + *done, (unsigned)(n - *done), 0);

		if (sent > 0) {
			*done += (size_t)sent;
			continue;
		}
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN && !waited) {
			struct pollfd wait = {.fd = fd, .events = POLLOUT};

			waited = true;
			(void)poll(&wait, 1, FULL_WAIT_MS);
			continue;
		}
		return sent < 0 ? errno : EIO;
	}
	return 0;
}

/* A burst as single datagrams. 0, or the first errno; those that follow a refused one are tried all the same. */
static int send_singles(struct udp *u, const struct udp_burst *b)
{
	struct mmsghdr m[UDP_BURST_SEGMENTS];
	struct iovec iov[UDP_BURST_SEGMENTS];
	union control c[UDP_BURST_SEGMENTS];
	size_t n = 0, done = 0;
	int first = 0;

	for (size_t at = 0; at < b->len && n < UDP_BURST_SEGMENTS; at += b->size, n++) {
		size_t len = b->len - at < b->size ? b->len - at : b->size;

		fill(&m[n], &iov[n], &c[n], b->path, b->data + at, len, len);
	}
	while (done < n) {
		int e = push(u->fd, m, n, &done);

		if (e == 0)
			break;
		if (first == 0)
			first = e;
		/* Those that follow are as large. */
		if (e == EAGAIN || e == EMSGSIZE)
			break;
		done++;
	}
	return first;
}

/*
 * What to do about a burst that the kernel refused: 0 when it left another way. EIO and EOPNOTSUPP: the device below computes no
 * checksums, and will not learn it. EINVAL is either a segment larger than the path, or a socket or route that
 * takes none: the single ones tell.
 */
static int send_refused(struct udp *u, const struct udp_burst *b, int e)
{
	int singly;

	if (b->len <= b->size || (e != EIO && e != EOPNOTSUPP && e != EINVAL))
		return e;
	singly = send_singles(u, b);
	if (singly == 0 || e != EINVAL)
		atomic_store_explicit(&u->gso, false, memory_order_relaxed);
	return singly;
}

size_t udp_send(struct udp *u, const struct udp_burst *b, size_t n, int *errnos)
{
	struct mmsghdr m[UDP_BURSTS];
	struct iovec iov[UDP_BURSTS];
	union control c[UDP_BURSTS];
	size_t done = 0, good = 0;

	if (n > UDP_BURSTS)
		n = UDP_BURSTS;
	for (size_t i = 0; i < n; i++) {
		fill(&m[i], &iov[i], &c[i], b[i].path, b[i].data, b[i].len, b[i].size);
		if (errnos != NULL)
			errnos[i] = 0;
	}
	while (done < n) {
		size_t end = done;
		int e;

		/* Up to the next burst that must leave one by one. */
		while (end < n && (b[end].len <= b[end].size || atomic_load_explicit(&u->gso, memory_order_relaxed)))
			end++;
		if (end == done) {
			e = send_singles(u, &b[done]);
		} else {
			size_t before = done;

			e = push(u->fd, m, end, &done);
			good += done - before;
			if (e == 0)
				continue;
			e = send_refused(u, &b[done], e);
		}
		good += e == 0;
		if (errnos != NULL)
			errnos[done] = e;
		done++;
		if (e != EAGAIN)
			continue;
		for (; done < n; done++)
			if (errnos != NULL)
				errnos[done] = EAGAIN;
	}
	return good;
}

/* An interface belongs to the path only where the address means nothing without it. */
static bool needs_interface(const struct in6_addr *a)
{
	return IN6_IS_ADDR_LINKLOCAL(a);
}

static void take_control(struct udp_arrival *a, struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			int size;

			memcpy(&size, CMSG_DATA(c), sizeof(size));
			if (size > 0 && (size_t)size < a->len)
				a->size = (size_t)size;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			a->path.local.in.sin_family = AF_INET;
			a->path.local.in.sin_addr = info.ipi_spec_dst;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) {
				a->path.ifindex = info.ipi6_ifindex;
				continue;
			}
			a->path.local.in6.sin6_family = AF_INET6;
			a->path.local.in6.sin6_addr = info.ipi6_addr;
			if (needs_interface(&info.ipi6_addr))
				a->path.ifindex = info.ipi6_ifindex;
		}
	}
}

size_t udp_receive(struct udp *u, struct udp_arrival *a, size_t n)
{
	struct mmsghdr m[UDP_BURSTS];
	struct iovec iov[UDP_BURSTS];
	union control c[UDP_BURSTS];
	int got = -1;

	if (n > UDP_BURSTS)
		n = UDP_BURSTS;
	for (size_t i = 0; i < n; i++) {
		memset(&a[i].path, 0, sizeof(a[i].path));
		iov[i] = (struct iovec){a[i].data, a[i].room};
		m[i].msg_len = 0;
		m[i].msg_hdr = (struct msghdr){
			.msg_name = &a[i].path.remote,
			.msg_namelen = sizeof(a[i].path.remote),
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_control = c[i].bytes,
			.msg_controllen = sizeof(c[i].bytes),
		};
	}
	for (int tries = 0; tries < STORED_ERRORS_MAX; tries++) {
		got = recvmmsg(u->fd, m, (unsigned)n, MSG_DONTWAIT, NULL);
		if (got >= 0 || errno == EAGAIN || errno == EBADF)
			break;
	}
	if (got < 0)
		return 0;
	for (size_t i = 0; i < (size_t)got; i++) {
		a[i].len = a[i].size = m[i].msg_len;
		a[i].cut = (m[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
		take_control(&a[i], &m[i].msg_hdr);
	}
	return (size_t)got;
}

int udp_path_mtu(const struct udp_path *path, size_t *mtu, struct error *err)
{
	int family = path->remote.sa.sa_family, value = 0, r = -1;
	int level = family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	socklen_t len = sizeof(value);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return error_errno(err, errno, "cannot make a UDP socket");
	if ((path->local.sa.sa_family == family && bind(fd, &path->local.sa, addr_len(&path->local)) < 0) ||
	    connect(fd, &path->remote.sa, addr_len(&path->remote)) < 0 ||
	    getsockopt(fd, level, family == AF_INET6 ? IPV6_MTU : IP_MTU, &value, &len) < 0) {
		error_errno(err, errno, "cannot tell the MTU of a path");
		goto out;
	}
	*mtu = value > 0 ? (size_t)value : 0;
	r = 0;
out:
	close(fd);
	return r;
}
