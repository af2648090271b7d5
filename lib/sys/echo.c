/* Echo requests and their answers: ping sockets, and raw ones where those are not for us. */
#include "sys/echo.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sys/clock.h"
#include "sys/rng.h"

#define HEADER 8
#define PACKET_MAX (60 + HEADER + ECHO_PAYLOAD_MAX)
#define LOOKS 256	/* at messages that are nothing to us, in one call */
#define REQUEST4 8
#define REPLY4 0
#define REQUEST6 128
#define REPLY6 129

/* What one recvmsg has brought. */
struct message {
	uint8_t bytes[PACKET_MAX];
	size_t len;
	union udp_addr from;
	int64_t at_us;
	int error;		/* of the error queue */
};

static int64_t time_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int level(const struct echo *e)
{
	return e->family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

static int protocol(const struct echo *e)
{
	return e->family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

/* A ping socket gets its id by being bound. */
static bool bind_id(struct echo *e)
{
	union udp_addr a = {.sa.sa_family = (sa_family_t)e->family};
	socklen_t len = e->family == AF_INET6 ? sizeof(a.in6) : sizeof(a.in);

	if (bind(e->fd, &a.sa, len) < 0 || getsockname(e->fd, &a.sa, &len) < 0)
		return false;
	e->id = ntohs(e->family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
	return true;
}

/*
 * Of all that a raw socket would see, answers with our id alone: else every ping of the host's wakes us. IPv4 shows its own
 * header, too. A kernel that will not have it only has more work.
 */
static void only_ours(const struct echo *e)
{
	struct icmp_filter f4 = {.data = ~(1u << REPLY4)};
	struct icmp6_filter f6;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, e->id, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog id = {.len = ARRAY_SIZE(code), .filter = code};

	if (e->family == AF_INET6)
		code[0] = (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0);
	(void)setsockopt(e->fd, SOL_SOCKET, SO_ATTACH_FILTER, &id, sizeof(id));
	if (e->family == AF_INET) {
		(void)setsockopt(e->fd, SOL_RAW, ICMP_FILTER, &f4, sizeof(f4));
		return;
	}
	ICMP6_FILTER_SETBLOCKALL(&f6);
	ICMP6_FILTER_SETPASS(REPLY6, &f6);
	(void)setsockopt(e->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f6, sizeof(f6));
}

static int open_raw(struct echo *e, struct error *err)
{
	e->fd = socket(e->family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol(e));
	if (e->fd < 0) {
		int why = errno;

		error_errno(err, why, "cannot make a socket for ping");
		if (why == EPERM || why == EACCES) {
			err->kind = ERR_DENIED;
			return error_hint(err, "give it CAP_NET_RAW, or a net.ipv4.ping_group_range with its group");
		}
		return -1;
	}
	e->raw = true;
	e->id = (uint16_t)rng_below(65536);
	only_ours(e);
	return 0;
}

int echo_open(struct echo *e, int family, struct error *err)
{
	int on = 1;

	*e = (struct echo){.family = family};
	e->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol(e));
	if (e->fd >= 0 && !bind_id(e))
		echo_close(e);
	if (e->fd < 0 && open_raw(e, err) < 0)
		return -1;
	/* Errors are kept with what they are about; stamps are the kernel's. */
	(void)setsockopt(e->fd, level(e), e->family == AF_INET6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on));
	(void)setsockopt(e->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	return 0;
}

void echo_close(struct echo *e)
{
	if (e->fd >= 0)
		close(e->fd);
	e->fd = -1;
}

/* RFC 1071; over IPv6 the kernel computes it, and for ping sockets always. */
static uint16_t checksum(const uint8_t *head, const uint8_t *payload, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < HEADER; i += 2)
		sum += (uint32_t)head[i] << 8 | head[i + 1];
	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (uint32_t)payload[i] << 8 : payload[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

int echo_send(struct echo *e, const union udp_addr *to, uint16_t sequence, const void *payload, size_t len)
{
	uint8_t head[HEADER] = {e->family == AF_INET6 ? REQUEST6 : REQUEST4, 0, 0, 0, (uint8_t)(e->id >> 8), (uint8_t)e->id,
				(uint8_t)(sequence >> 8), (uint8_t)sequence};
	struct iovec iov[2] = {{head, sizeof(head)}, {(void *)(uintptr_t)payload, len}};
	union udp_addr name = *to;
	struct msghdr m = {.msg_name = &name, .msg_iov = iov, .msg_iovlen = 2,
			   .msg_namelen = e->family == AF_INET6 ? sizeof(name.in6) : sizeof(name.in)};

	if (len > ECHO_PAYLOAD_MAX)
		return EMSGSIZE;
	if (to->sa.sa_family != e->family)
		return EAFNOSUPPORT;
	/* To a raw socket of IPv6 a port is a protocol. */
	if (e->family == AF_INET6)
		name.in6.sin6_port = 0;
	else
		name.in.sin_port = 0;
	if (e->family == AF_INET) {
		uint16_t sum = checksum(head, payload, len);

		head[2] = (uint8_t)(sum >> 8);
		head[3] = (uint8_t)sum;
	}
	/* An error that the kernel has stored about an earlier request is told instead of sending; it is in the queue too. */
	for (int i = 0; i < 3; i++) {
		if (sendmsg(e->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EHOSTUNREACH && errno != ECONNREFUSED && errno != EINTR)
			break;
	}
	return errno;
}

static void read_control(struct message *msg, struct msghdr *m)
{
	int64_t now_us = clock_mono_us(), wall_us = time_us(CLOCK_REALTIME);

	msg->at_us = now_us;
	msg->error = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec t;
			int64_t ago_us;

			memcpy(&t, CMSG_DATA(c), sizeof(t));
			ago_us = wall_us - ((int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000);
			/* The stamp is the wall clock's, which may have been set meanwhile. */
			if (ago_us > 0 && ago_us < 1000000)
				msg->at_us = now_us - ago_us;
		} else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
			   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
			struct sock_extended_err x;

			memcpy(&x, CMSG_DATA(c), sizeof(x));
			msg->error = x.ee_errno != 0 ? (int)x.ee_errno : EHOSTUNREACH;
		}
	}
}

/* 0: nothing there; -1: an error that has been taken off, more may be there. */
static int receive_one(const struct echo *e, struct message *msg, int flags)
{
	_Alignas(struct cmsghdr) uint8_t control[512];
	struct iovec iov = {msg->bytes, sizeof(msg->bytes)};
	struct msghdr m = {.msg_name = &msg->from, .msg_namelen = sizeof(msg->from), .msg_iov = &iov, .msg_iovlen = 1,
			   .msg_control = control, .msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(e->fd, &m, flags | MSG_DONTWAIT);

	if (got < 0)
		return errno == EAGAIN || errno == EBADF ? 0 : -1;
	msg->len = (size_t)got;
	read_control(msg, &m);
	return 1;
}

static void no_port(union udp_addr *a)
{
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = 0;
	else
		a->in.sin_port = 0;
}

/* The message is a header of ICMP and what is behind it, type `type`, ours. */
static bool read_message(const struct echo *e, const struct message *msg, size_t at, uint8_t type, struct echo_event *out,
			 uint8_t *room, size_t size)
{
	const uint8_t *h = msg->bytes + at;
	size_t len;

	if (msg->len < at + HEADER || h[0] != type || ((h[4] << 8 | h[5]) != e->id))
		return false;
	len = msg->len - at - HEADER;
	*out = (struct echo_event){.error = msg->error, .target = msg->from, .at_us = msg->at_us,
				   .sequence = (uint16_t)(h[6] << 8 | h[7])};
	no_port(&out->target);
	if (msg->error != 0)
		return true;
	len = len < size ? len : size;
	if (len > 0)
		memcpy(room, h + HEADER, len);
	out->payload = slice_of(room, len);
	return true;
}

/* IPv4's raw sockets alone tell the header of IP. */
static size_t header_of_ip(const struct echo *e, const struct message *msg)
{
	return e->raw && e->family == AF_INET && msg->len > 0 ? (size_t)(msg->bytes[0] & 15) * 4 : 0;
}

bool echo_receive(struct echo *e, struct echo_event *out, uint8_t *room, size_t size)
{
	struct message msg;
	int got, left = LOOKS;

	if (e->fd < 0)
		return false;
	while (left-- > 0 && (got = receive_one(e, &msg, MSG_ERRQUEUE)) != 0)
		if (got > 0 && msg.error != 0 && read_message(e, &msg, 0, e->family == AF_INET6 ? REQUEST6 : REQUEST4, out, room, size))
			return true;
	while (left-- > 0 && (got = receive_one(e, &msg, 0)) != 0)
		if (got > 0 && read_message(e, &msg, header_of_ip(e, &msg), e->family == AF_INET6 ? REPLY6 : REPLY4, out, room, size))
			return true;
	return false;
}
