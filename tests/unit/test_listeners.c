/* Who listens, by the kernel's table: against sockets of this test's own, in a network of its own. */
#include "sys/listeners.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include "sys/netlink.h"
#include "tap.h"

#define PORT 8080

static struct error err;
static struct listeners l = {.fd = -1};

static void own_network(void)
{
	struct netlink n;

	if (unshare(CLONE_NEWNET) < 0)
		SKIP("not root");
	REQUIRE(netlink_open(&n, &err) == 0 && netlink_link_up(&n, 1, true, &err) == 0);
	netlink_close(&n);
	if (listeners_open(&l, &err) < 0)
		SKIP("no sock_diag under qemu-user");
}

static union udp_addr at(const char *text, uint16_t port)
{
	union udp_addr a;

	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		a.in.sin_port = htons(port);
		return a;
	}
	REQUIRE(inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1);
	a.in6.sin6_family = AF_INET6;
	a.in6.sin6_port = htons(port);
	return a;
}

/* type: SOCK_STREAM or SOCK_DGRAM. */
static int listener(int type, const char *text, uint16_t port, int v6only, const char *device)
{
	union udp_addr a = at(text, port);
	bool v6 = a.sa.sa_family == AF_INET6;
	int fd = socket(a.sa.sa_family, type, 0);

	REQUIRE(fd >= 0);
	if (v6)
		REQUIRE(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)) == 0);
	if (device != NULL)
		REQUIRE(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) == 0);
	REQUIRE(bind(fd, &a.sa, v6 ? sizeof(a.in6) : sizeof(a.in)) == 0);
	REQUIRE(type == SOCK_DGRAM || listen(fd, 1) == 0);
	return fd;
}

static const struct listener *find(const struct listener *all, size_t n, const char *text)
{
	union udp_addr a = at(text, 0);
	const void *bytes = a.sa.sa_family == AF_INET6 ? (const void *)&a.in6.sin6_addr : &a.in.sin_addr;

	for (size_t i = 0; i < n; i++)
		if (all[i].family == a.sa.sa_family && memcmp(all[i].addr, bytes, a.sa.sa_family == AF_INET6 ? 16 : 4) == 0)
			return &all[i];
	return NULL;
}

static bool takes(uint8_t protocol, const char *local, uint16_t port, const char *remote, uint16_t remote_port)
{
	union udp_addr to = at(local, port), from = at(remote, remote_port);
	bool taken = false;

	REQUIRE(listeners_take(&l, protocol, &to, &from, 0, &taken, &err) == 0);
	return taken;
}

static void of_protocol(uint8_t protocol)
{
	int type = protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	const struct listener *one;
	struct listener all[16];
	size_t n;

	own_network();
	CHECK(listeners_on(&l, protocol, PORT, all, 16, &n, &err) == 0 && n == 0);
	listener(type, "127.0.0.1", PORT, 0, NULL);
	listener(type, "127.0.0.53", PORT, 0, NULL);
	listener(type, "::1", PORT, 1, NULL);
	listener(type, "127.0.0.1", PORT + 1, 0, NULL);
	listener(type, "127.0.0.1", PORT - 1, 0, NULL);
	CHECK(listeners_on(&l, protocol, PORT, all, 16, &n, &err) == 0 && n == 3);
	CHECK(find(all, n, "127.0.0.1") != NULL && find(all, n, "127.0.0.53") != NULL && find(all, n, "::1") != NULL);
	CHECK(takes(protocol, "127.0.0.1", PORT, "198.18.0.9", 4000) && !takes(protocol, "198.18.0.1", PORT, "198.18.0.9", 4000));
	CHECK(takes(protocol, "::1", PORT, "fd12::9", 4000) && !takes(protocol, "fd12::1", PORT, "fd12::9", 4000));
	/* No more than asked for. */
	CHECK(listeners_on(&l, protocol, PORT, all, 2, &n, &err) == 0 && n == 2);
	/* The other protocol's sockets are none of it. */
	CHECK(listeners_on(&l, protocol == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP, PORT, all, 16, &n, &err) == 0 && n == 0);
	listener(type, "::", 9000, 0, NULL);
	CHECK(listeners_on(&l, protocol, 9000, all, 16, &n, &err) == 0 && n == 1);
	one = find(all, n, "::");
	CHECK(one != NULL && !one->v6only && one->ifindex == 0);
	CHECK(takes(protocol, "198.18.0.1", 9000, "198.18.0.9", 4000) && takes(protocol, "fd12::1", 9000, "fd12::9", 4000));
	listener(type, "::", 9001, 1, "lo");
	CHECK(listeners_on(&l, protocol, 9001, all, 16, &n, &err) == 0 && n == 1);
	one = find(all, n, "::");
	CHECK(one != NULL && one->v6only && one->ifindex == 1);
	CHECK(!takes(protocol, "198.18.0.1", 9001, "198.18.0.9", 4000));
	listeners_close(&l);
	listeners_close(&l);
}

TEST(tcp_listeners)
{
	of_protocol(IPPROTO_TCP);
}

TEST(udp_listeners)
{
	of_protocol(IPPROTO_UDP);
}

/* A client's socket takes answers from whom it asked, and no others: it is no listener. */
TEST(a_connected_socket_takes_its_answers_alone)
{
	union udp_addr to = at("127.0.0.1", 53);
	struct listener all[4];
	size_t n;
	int fd;

	own_network();
	fd = listener(SOCK_DGRAM, "127.0.0.1", 4000, 0, NULL);
	REQUIRE(connect(fd, &to.sa, sizeof(to.in)) == 0);
	CHECK(listeners_on(&l, IPPROTO_UDP, 4000, all, 4, &n, &err) == 0 && n == 0);
	CHECK(takes(IPPROTO_UDP, "127.0.0.1", 4000, "127.0.0.1", 53));
	CHECK(!takes(IPPROTO_UDP, "127.0.0.1", 4000, "127.0.0.1", 54));
	listeners_close(&l);
}

TEST(a_table_of_many_sockets_is_searched_by_port)
{
	struct listener all[4];
	size_t n;

	own_network();
	for (uint16_t i = 0; i < 500; i++)
		listener(SOCK_DGRAM, "127.0.0.1", (uint16_t)(10000 + i), 0, NULL);
	CHECK(listeners_on(&l, IPPROTO_UDP, 10250, all, 4, &n, &err) == 0 && n == 1);
	listeners_close(&l);
}

static unsigned ports_of(const uint8_t bits[static LISTENERS_PORTS_BYTES])
{
	unsigned n = 0;

	for (size_t i = 0; i < LISTENERS_PORTS_BYTES * 8; i++)
		n += bits[i / 8] >> i % 8 & 1;
	return n;
}

TEST(all_ports_at_once)
{
	static uint8_t bits[LISTENERS_PORTS_BYTES];
	union udp_addr to = at("127.0.0.1", 53);
	int fd;

	own_network();
	CHECK(listeners_ports(&l, IPPROTO_UDP, bits, &err) == 0 && ports_of(bits) == 0);
	for (uint16_t i = 0; i < 500; i++)
		listener(SOCK_DGRAM, i % 2 == 0 ? "127.0.0.1" : "::1", (uint16_t)(10000 + i), 0, NULL);
	listener(SOCK_DGRAM, "127.0.0.2", 10000, 0, NULL);
	listener(SOCK_DGRAM, "0.0.0.0", 65535, 0, NULL);
	fd = listener(SOCK_DGRAM, "127.0.0.1", 4000, 0, NULL);
	REQUIRE(connect(fd, &to.sa, sizeof(to.in)) == 0);
	listener(SOCK_STREAM, "127.0.0.1", 22, 0, NULL);
	CHECK(listeners_ports(&l, IPPROTO_UDP, bits, &err) == 0 && ports_of(bits) == 501);
	CHECK((bits[10499 / 8] >> 10499 % 8 & 1) == 1 && (bits[8191] & 0x80) != 0);
	/* What was there before is no part of the answer. */
	CHECK(listeners_ports(&l, IPPROTO_TCP, bits, &err) == 0 && ports_of(bits) == 1 && bits[2] == 1 << 6);
	listeners_close(&l);
}
