/* Echo requests over loopback in a network of this test's own: answers, errors, and both kinds of sockets. */
#include "sys/echo.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>

#include "sys/clock.h"
#include "sys/netlink.h"
#include "tap.h"

static struct error err;
static struct echo e;
static uint8_t room[ECHO_PAYLOAD_MAX];

/* ping: the system lets everybody have ping sockets. */
static void own_network(bool ping)
{
	struct netlink n;
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		SKIP("not root");
	REQUIRE(netlink_open(&n, &err) == 0 && netlink_link_up(&n, 1, true, &err) == 0);
	netlink_close(&n);
	fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, ping ? "0 65535" : "1 0", ping ? 7 : 3) < 0)
		SKIP("no ping_group_range");
	close(fd);
}

static union udp_addr host(const char *text)
{
	union udp_addr a;

	memset(&a, 0, sizeof(a));
	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
		a.in.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1)
		a.in6.sin6_family = AF_INET6;
	/* Which is nobody's business here. */
	a.in.sin_port = htons(4711);
	return a;
}

static bool wait_for(struct echo_event *out, int ms)
{
	struct pollfd w = {.fd = e.fd, .events = POLLIN};

	for (int i = 0; i < 20; i++) {
		if (echo_receive(&e, out, room, sizeof(room)))
			return true;
		if (poll(&w, 1, ms) <= 0)
			return false;
	}
	return false;
}

static bool same(const union udp_addr *a, const union udp_addr *b)
{
	union udp_addr x = *a, y = *b;

	x.in.sin_port = y.in.sin_port = 0;
	return udp_addr_equal(&x, &y);
}

static void answered(bool ping, const char *text)
{
	union udp_addr to = host(text);
	struct echo_event x;
	int64_t before_us;

	own_network(ping);
	REQUIRE(echo_open(&e, to.sa.sa_family, &err) == 0);
	CHECK(e.raw != ping);
	for (size_t len = 0; len <= 4000; len += 1333) {
		uint8_t payload[4000];

		for (size_t i = 0; i < len; i++)
			payload[i] = (uint8_t)(i * 7);
		before_us = clock_mono_us();
		CHECK_INT(echo_send(&e, &to, (uint16_t)(500 + len), payload, len), 0);
		REQUIRE(wait_for(&x, 2000));
		CHECK(x.error == 0 && x.sequence == 500 + len && same(&x.target, &to));
		CHECK(x.payload.len == len && (len == 0 || memcmp(x.payload.ptr, payload, len) == 0));
		CHECK(x.at_us >= before_us && x.at_us <= clock_mono_us());
	}
	CHECK(!echo_receive(&e, &x, room, sizeof(room)));
	echo_close(&e);
	echo_close(&e);
	CHECK(!echo_receive(&e, &x, room, sizeof(room)));
}

TEST(a_ping_socket_is_answered)
{
	answered(true, "127.0.0.1");
}

TEST(a_ping_socket_of_ipv6_is_answered)
{
	answered(true, "::1");
}

TEST(a_raw_socket_is_answered)
{
	answered(false, "127.0.0.1");
}

TEST(a_raw_socket_of_ipv6_is_answered)
{
	answered(false, "::1");
}

/* They do not even wake us. */
static void not_ours(const char *text)
{
	union udp_addr to = host(text);
	struct echo other;
	struct echo_event x;
	struct pollfd wait;

	own_network(false);
	REQUIRE(echo_open(&e, to.sa.sa_family, &err) == 0);
	do
		REQUIRE(echo_open(&other, to.sa.sa_family, &err) == 0);
	while (other.id == e.id && (echo_close(&other), true));
	wait = (struct pollfd){.fd = e.fd, .events = POLLIN};
	CHECK_INT(echo_send(&other, &to, 1, "x", 1), 0);
	CHECK(poll(&wait, 1, 200) == 0 && !echo_receive(&e, &x, room, sizeof(room)));
	CHECK(echo_receive(&other, &x, room, sizeof(room)) && x.sequence == 1);
	echo_close(&other);
	echo_close(&e);
}

TEST(answers_of_others_are_not_ours)
{
	not_ours("127.0.0.1");
}

TEST(answers_of_others_are_not_ours_over_ipv6)
{
	not_ours("::1");
}

TEST(a_small_room_gets_what_fits)
{
	union udp_addr to = host("127.0.0.1");
	struct echo_event x;
	struct pollfd w;

	own_network(true);
	REQUIRE(echo_open(&e, AF_INET, &err) == 0);
	CHECK_INT(echo_send(&e, &to, 1, "abcdef", 6), 0);
	w = (struct pollfd){.fd = e.fd, .events = POLLIN};
	CHECK(poll(&w, 1, 2000) == 1 && echo_receive(&e, &x, room, 4) && x.payload.len == 4 && memcmp(room, "abcd", 4) == 0);
	echo_close(&e);
}

TEST(what_cannot_be_asked_is_said_at_once)
{
	union udp_addr nowhere = host("192.0.2.1"), six = host("::1"), to = host("127.0.0.1");
	static uint8_t large[ECHO_PAYLOAD_MAX + 1];

	own_network(true);
	REQUIRE(echo_open(&e, AF_INET, &err) == 0);
	CHECK_INT(echo_send(&e, &nowhere, 1, "x", 1), ENETUNREACH);
	CHECK_INT(echo_send(&e, &six, 1, "x", 1), EAFNOSUPPORT);
	CHECK_INT(echo_send(&e, &to, 1, large, sizeof(large)), EMSGSIZE);
	echo_close(&e);
}

/* On a wire with nobody at its other end: the kernel says so by ICMP, about this very request. */
static void unreachable(bool ping)
{
	struct netlink_prefix on = {.family = AF_INET, .addr = {10, 9, 0, 1}, .len = 24};
	union udp_addr gone = host("10.9.0.77");
	struct echo_event x;
	struct netlink n;

	own_network(ping);
	if (system("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up") != 0)
		SKIP("no veth");
	REQUIRE(netlink_open(&n, &err) == 0);
	REQUIRE(netlink_address_add(&n, 3, &on, &err) == 0 || netlink_address_add(&n, 2, &on, &err) == 0);
	netlink_close(&n);
	REQUIRE(echo_open(&e, AF_INET, &err) == 0);
	CHECK_INT(echo_send(&e, &gone, 77, "x", 1), 0);
	REQUIRE(wait_for(&x, 5000));
	CHECK(x.error == EHOSTUNREACH && x.sequence == 77 && same(&x.target, &gone) && x.payload.len == 0);
	echo_close(&e);
}

TEST(a_host_that_is_off_is_an_error_of_its_request)
{
	unreachable(true);
}

TEST(a_host_that_is_off_is_told_by_a_raw_socket)
{
	unreachable(false);
}

TEST(one_who_may_not_is_told_what_helps)
{
	own_network(false);
	REQUIRE(setresuid(65534, 65534, 65534) == 0);
	CHECK(echo_open(&e, AF_INET, &err) < 0 && err.kind == ERR_DENIED);
	CHECK(strstr(err.hint, "CAP_NET_RAW") != NULL);
}
