/*
 * Datagrams as fast as they go, as programs send them that know UDP_SEGMENT (QUIC, for one), and how many arrive whole.
 *
 *	datagrams sink ADDRESS PORT		counts until a second passes without any, and prints thousands a second
 *	datagrams send ADDRESS PORT SIZE SECONDS BURST KPPS
 *						bursts of so many datagrams of SIZE bytes in one call, KPPS thousands a
 *						second (0: as many as go); prints how many that were
 *
 * One sender to a sink. tests/bench/mesh.sh runs both.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys/clock.h"

#define BURST_MAX 64
#define LARGEST 65507
#define ROOM (4 << 20)
#define SILENCE_MS 1000
#define START_MS 30000

static int usage(void)
{
	fputs("usage: datagrams sink ADDRESS PORT\n       datagrams send ADDRESS PORT SIZE SECONDS BURST KPPS\n", stderr);
	return 2;
}

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, host, &at.sin_addr) != 1)
		exit(usage());
	return at;
}

/* The size of the datagrams that came together, or 0. */
static size_t segment(struct msghdr *m)
{
	struct cmsghdr *c;
	int size = 0;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&size, CMSG_DATA(c), sizeof(size));
	return size > 0 ? (size_t)size : 0;
}

static int sink(const char *host, const char *port)
{
	static char bytes[1 << 16];
	struct sockaddr_in at = address(host, port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, room = ROOM;
	int64_t first = 0, last = 0;
	uint64_t count = 0;

	if (fd < 0 || setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) < 0 ||
	    bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		die(host);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		char control[CMSG_SPACE(sizeof(int))];
		struct iovec v = {bytes, sizeof(bytes)};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
		size_t each;

		if (n < 0 && errno != EAGAIN)
			die("recvmsg");
		if (n < 0) {
			if (poll(&p, 1, count == 0 ? START_MS : SILENCE_MS) <= 0)
				break;
			continue;
		}
		each = segment(&m);
		count += each == 0 ? 1 : ((size_t)n + each - 1) / each;
		last = clock_mono_us();
		if (first == 0)
			first = last;
	}
	printf("%.0f\n", last > first ? (double)count / (double)(last - first) * 1e3 : 0.0);
	return 0;
}

static int flood(const struct sockaddr_in *to, size_t size, double seconds, size_t burst, double kpps)
{
	static const char bytes[LARGEST];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), each = (int)size, room = ROOM;
	int64_t start = clock_mono_us(), end = start + (int64_t)(seconds * 1e6);
	uint64_t count = 0;

	if (fd < 0 || (burst > 1 && setsockopt(fd, SOL_UDP, UDP_SEGMENT, &each, sizeof(each)) < 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) < 0 ||
	    connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("socket");
	while (clock_mono_us() < end) {
		int64_t early_us = kpps > 0 ? start + (int64_t)((double)count * 1e3 / kpps) - clock_mono_us() : 0;

		if (early_us > 0)
			usleep((useconds_t)early_us);
		if (send(fd, bytes, size * burst, 0) == (ssize_t)(size * burst))
			count += burst;
		else if (errno != ENOBUFS && errno != ECONNREFUSED)
			die("send");
	}
	printf("%.0f\n", (double)count / (double)(clock_mono_us() - start) * 1e3);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to;
	size_t size, burst;

	if (argc == 4 && strcmp(argv[1], "sink") == 0)
		return sink(argv[2], argv[3]);
	if (argc != 8 || strcmp(argv[1], "send") != 0)
		return usage();
	to = address(argv[2], argv[3]);
	size = strtoul(argv[4], NULL, 10);
	burst = strtoul(argv[6], NULL, 10);
	if (size == 0 || burst == 0 || burst > BURST_MAX || size > LARGEST / burst)
		return usage();
	return flood(&to, size, strtod(argv[5], NULL), burst, strtod(argv[7], NULL));
}
