/*
 * A wire between two nodes of a mesh that remembers what it carried, and then throws it back at one of them: as it was,
 * changed, or random bytes of the same lengths. Whatever it does, the two go on talking through it.
 *
 *	meshflood LISTEN TARGET COUNT [SEED]
 *
 * LISTEN and TARGET are IP:PORT. Datagrams to LISTEN go on to TARGET, and answers back. Says "ready", on a line from
 * standard input sends COUNT datagrams to TARGET as fast as the machine lets it, says "sent N recorded M", and
 * goes on as a wire until standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_MAX 2048
#define RECORDED_MAX 4096
#define BATCH 64
#define BATCHES_A_TURN 16	/* then the wire has its turn */

struct datagram {
	uint16_t len;
	uint8_t bytes[DATAGRAM_MAX];
};

static struct datagram recorded[RECORDED_MAX];
static size_t recorded_n;
static struct sockaddr_in listen_at, target, client;
static int near_fd, far_fd;
static uint64_t seed = 1;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void fail(const char *what)
{
	fprintf(stderr, "meshflood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in parse(const char *text)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	char copy[64];
	char *colon;

	snprintf(copy, sizeof(copy), "%s", text);
	colon = strchr(copy, ':');
	if (colon == NULL)
		exit(2);
	*colon = '\0';
	a.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	if (inet_pton(AF_INET, copy, &a.sin_addr) != 1)
		exit(2);
	return a;
}

/* The newest ones displace the oldest. */
static void record(const uint8_t *bytes, size_t len)
{
	struct datagram *d = &recorded[recorded_n++ % RECORDED_MAX];

	d->len = (uint16_t)len;
	memcpy(d->bytes, bytes, len);
}

static void carry(int from, int to, const struct sockaddr_in *at, struct sockaddr_in *seen)
{
	uint8_t bytes[DATAGRAM_MAX];
	struct sockaddr_in who;
	socklen_t len = sizeof(who);
	ssize_t n;

	while ((n = recvfrom(from, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&who, &len)) >= 0) {
		record(bytes, (size_t)n);
		if (seen != NULL)
			*seen = who;
		if (at->sin_port != 0)
			(void)sendto(to, bytes, (size_t)n, 0, (const struct sockaddr *)at, sizeof(*at));
		len = sizeof(who);
	}
}

static void wire(int timeout_ms)
{
	struct pollfd p[2] = {{.fd = near_fd, .events = POLLIN}, {.fd = far_fd, .events = POLLIN}};

	(void)poll(p, 2, timeout_ms);
	carry(near_fd, far_fd, &target, &client);
	carry(far_fd, near_fd, &client, NULL);
}

/* A third as it was, a third changed in one of many ways, a third of noise. */
static size_t make(uint8_t *out)
{
	size_t have = recorded_n < RECORDED_MAX ? recorded_n : RECORDED_MAX, len, i;
	const struct datagram *d = &recorded[random64() % have];
	uint64_t kind = random64() % 9;

	len = d->len;
	memcpy(out, d->bytes, len);
	if (kind < 3)
		return len;
	if (kind < 6) {
		for (i = random64() % 4 + 1; i > 0 && len > 0; i--)
			out[random64() % len] ^= (uint8_t)(1u << random64() % 8);
		if (random64() % 4 == 0)
			len = random64() % (len + 1);
		else if (random64() % 4 == 0 && len + 64 < DATAGRAM_MAX)
			len += random64() % 64;
		return len;
	}
	if (random64() % 2 == 0)
		len = random64() % 1500;
	for (i = 0; i < len; i++)
		out[i] = (uint8_t)random64();
	return len;
}

static unsigned long long flood(unsigned long long count)
{
	static uint8_t bytes[BATCH][DATAGRAM_MAX];
	struct mmsghdr h[BATCH];
	struct iovec iov[BATCH];
	unsigned long long sent = 0;
	unsigned turn = 0;

	while (sent < count) {
		int i, n;

		memset(h, 0, sizeof(h));
		for (i = 0; i < BATCH; i++) {
			iov[i] = (struct iovec){bytes[i], make(bytes[i])};
			h[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1, .msg_name = &target,
						       .msg_namelen = sizeof(target)};
		}
		n = sendmmsg(far_fd, h, BATCH, 0);
		if (n > 0)
			sent += (unsigned)n;
		if (++turn % BATCHES_A_TURN == 0)
			wire(0);
	}
	return sent;
}

int main(int argc, char **argv)
{
	struct pollfd in = {.fd = 0, .events = POLLIN};
	unsigned long long count;
	int room = 4 << 20;
	char line[64];

	if (argc < 4)
		return 2;
	listen_at = parse(argv[1]);
	target = parse(argv[2]);
	count = strtoull(argv[3], NULL, 10);
	seed = argc > 4 ? strtoull(argv[4], NULL, 10) | 1 : 1;
	near_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	far_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (near_fd < 0 || far_fd < 0 || bind(near_fd, (struct sockaddr *)&listen_at, sizeof(listen_at)) < 0)
		fail(argv[1]);
	(void)setsockopt(near_fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	(void)setsockopt(far_fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	puts("ready");
	fflush(stdout);
	for (;;) {
		wire(20);
		if (poll(&in, 1, 0) <= 0)
			continue;
		if (read(0, line, sizeof(line)) <= 0)
			return 0;
		if (recorded_n == 0) {
			puts("nothing was recorded");
			return 1;
		}
		printf("sent %llu recorded %zu\n", flood(count), recorded_n);
		fflush(stdout);
	}
}
