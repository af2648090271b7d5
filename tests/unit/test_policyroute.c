/* The rule and the route for answers from loopback, in a network of this test's own: what they are for, and their end. */
#include "sys/policyroute.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "tap.h"

static struct error err;
static struct netlink n;
static const struct netlink_prefix range4 = {AF_INET, {198, 18, 32}, 19};
static const struct netlink_prefix range6 = {AF_INET6, {0xfd, 0x12, 1, 2, 3, 4}, 48};
static const struct netlink_prefix other4 = {AF_INET, {198, 18, 64}, 19};

static void own_network(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		SKIP("not root");
	REQUIRE(netlink_open(&n, &err) == 0 && netlink_link_up(&n, 1, true, &err) == 0);
	/* An emulator that passes on no more than addresses and routes. */
	if (policyroute_add(&n, &range4, &err) < 0 && err.sys_errno == EOPNOTSUPP)
		SKIP("no policy rules under qemu-user");
	REQUIRE(policyroute_remove(&n, &range4, &err) == 0);
}

static unsigned in_table;

static bool count(void *arg, const struct netlink_route *r)
{
	(void)arg;
	in_table += r->table == POLICYROUTE_TABLE;
	return true;
}

static unsigned routes(void)
{
	in_table = 0;
	REQUIRE(netlink_routes(&n, count, NULL, &err) == 0);
	return in_table;
}

/* A datagram with a foreign source to a socket on loopback, and back. */
static bool there_and_back(int family, const char *lo, const char *caller)
{
	struct sockaddr_storage at = {.ss_family = (sa_family_t)family}, from;
	socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6), from_len = sizeof(from);
	int service = socket(family, SOCK_DGRAM, 0), us = socket(family, SOCK_DGRAM, 0), on = 1;
	void *bytes = family == AF_INET ? (void *)&((struct sockaddr_in *)(void *)&at)->sin_addr :
					  (void *)&((struct sockaddr_in6 *)(void *)&at)->sin6_addr;
	struct pollfd wait = {.fd = us, .events = POLLIN};
	char text[64], got;

	REQUIRE(service >= 0 && us >= 0 && inet_pton(family, lo, bytes) == 1);
	REQUIRE(bind(service, (struct sockaddr *)&at, len) == 0 && getsockname(service, (struct sockaddr *)&at, &len) == 0);
	from = at;
	bytes = (char *)&from + ((char *)bytes - (char *)&at);
	REQUIRE(inet_pton(family, caller, bytes) == 1);
	REQUIRE(setsockopt(us, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT,
			   &on, sizeof(on)) == 0);
	REQUIRE(bind(us, (struct sockaddr *)&from, len) == 0 && connect(us, (struct sockaddr *)&at, len) == 0);
	REQUIRE(send(us, "x", 1, 0) == 1);
	REQUIRE(recvfrom(service, &got, 1, 0, (struct sockaddr *)&from, &from_len) == 1);
	CHECK_STR(inet_ntop(family, bytes, text, sizeof(text)), caller);
	/* Without a route back, the kernel says no, or the packet is lost. */
	if (sendto(service, "y", 1, 0, (struct sockaddr *)&from, from_len) != 1)
		return false;
	return poll(&wait, 1, 500) == 1 && recv(us, &got, 1, 0) == 1 && got == 'y';
}

TEST(answers_from_loopback_come_back)
{
	own_network();
	CHECK(!there_and_back(AF_INET, "127.0.0.1", "198.18.32.9"));
	CHECK(policyroute_add(&n, &range4, &err) == 0 && policyroute_add(&n, &range6, &err) == 0);
	CHECK(there_and_back(AF_INET, "127.0.0.1", "198.18.32.9"));
	CHECK(there_and_back(AF_INET, "127.0.0.53", "198.18.63.254"));
	CHECK(there_and_back(AF_INET6, "::1", "fd12:102:304:7::1"));
	CHECK(!there_and_back(AF_INET, "127.0.0.1", "198.18.64.1"));
	CHECK(policyroute_remove(&n, &range4, &err) == 0 && policyroute_remove(&n, &range6, &err) == 0);
	CHECK(!there_and_back(AF_INET, "127.0.0.1", "198.18.32.9"));
	CHECK_INT(routes(), 0);
}

TEST(adding_twice_and_removing_what_is_not_there_is_fine)
{
	own_network();
	CHECK(policyroute_remove(&n, &range4, &err) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(policyroute_add(&n, &range4, &err) == 0);
	CHECK_INT(routes(), 1);
	CHECK(policyroute_remove(&n, &range4, &err) == 0);
	CHECK_INT(routes(), 0);
	CHECK(policyroute_remove(&n, &range4, &err) == 0);
}

TEST(what_a_former_run_has_left_is_found)
{
	own_network();
	CHECK(policyroute_reset(&n, &err) == 0);
	CHECK(policyroute_add(&n, &range4, &err) == 0 && policyroute_add(&n, &range6, &err) == 0);
	CHECK(policyroute_add(&n, &other4, &err) == 0);
	CHECK_INT(routes(), 3);
	CHECK(policyroute_reset(&n, &err) == 0);
	CHECK_INT(routes(), 0);
	CHECK(!there_and_back(AF_INET, "127.0.0.1", "198.18.32.9"));
	/* And it is whole again afterwards. */
	CHECK(policyroute_add(&n, &range4, &err) == 0);
	CHECK(there_and_back(AF_INET, "127.0.0.1", "198.18.32.9"));
}

TEST(one_who_may_not_is_told_so)
{
	own_network();
	REQUIRE(setresuid(65534, 65534, 65534) == 0);
	CHECK(policyroute_add(&n, &range4, &err) < 0 && err.kind == ERR_DENIED);
}
