/*
 * Interfaces, addresses and routes in a network of this test's own: what is added is listed, watched, and gone
 * again.
 */
#include "sys/netlink.h"

#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"

static struct error err;
static struct netlink n;
static uint32_t lo = 1;

/* A namespace that has nothing but a loopback interface, which is down. */
static void own_network(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		SKIP("not root");
	CHECK(netlink_open(&n, &err) == 0);
}

static unsigned seen, seen_flags;

static bool count_link(void *arg, const struct netlink_link *l)
{
	(void)arg;
	seen++;
	if (strcmp(l->name, "lo") == 0) {
		CHECK(l->ifindex == lo && l->mtu == 65536);
		seen_flags = l->flags;
	}
	return true;
}

static bool find_address(void *arg, const struct netlink_address *a)
{
	const struct netlink_prefix *p = arg;

	if (a->prefix.family == p->family && a->prefix.len == p->len && memcmp(a->prefix.addr, p->addr, 16) == 0) {
		CHECK(a->ifindex == lo && a->usable && !a->point);
		seen++;
	}
	return true;
}

static bool find_route(void *arg, const struct netlink_route *r)
{
	const struct netlink_prefix *p = arg;

	if (r->to.family == p->family && r->to.len == p->len && memcmp(r->to.addr, p->addr, 16) == 0 && r->table == 254) {
		CHECK(r->ifindex == lo);
		seen++;
	}
	return true;
}

static bool enough(void *arg, const struct netlink_address *a)
{
	(void)arg;
	(void)a;
	seen++;
	return false;
}

static unsigned addresses(const struct netlink_prefix *p)
{
	struct netlink_prefix copy = *p;

	seen = 0;
	CHECK(netlink_addresses(&n, find_address, &copy, &err) == 0);
	return seen;
}

static unsigned routes(const struct netlink_prefix *p)
{
	struct netlink_prefix copy = *p;

	seen = 0;
	CHECK(netlink_routes(&n, find_route, &copy, &err) == 0);
	return seen;
}

static const struct netlink_prefix v4 = {.family = AF_INET, .addr = {198, 18, 0, 9}, .len = 19};
static const struct netlink_prefix v6 = {.family = AF_INET6, .addr = {0xfd, 0x12, [15] = 1}, .len = 48};
static const struct netlink_prefix to4 = {.family = AF_INET, .addr = {10, 77}, .len = 16};
static const struct netlink_prefix to6 = {.family = AF_INET6, .addr = {0xfd, 0x77}, .len = 32};

TEST(links_are_listed_and_set_up)
{
	own_network();
	CHECK(netlink_links(&n, count_link, NULL, &err) == 0);
	CHECK(seen >= 1 && (seen_flags & IFF_UP) == 0 && (seen_flags & IFF_LOOPBACK) != 0);
	CHECK(netlink_link_up(&n, lo, true, &err) == 0);
	CHECK(netlink_links(&n, count_link, NULL, &err) == 0);
	CHECK((seen_flags & IFF_UP) != 0);
	CHECK(netlink_link_mtu(&n, lo, 1300, &err) == 0);
	CHECK(netlink_link_queue(&n, lo, 77, &err) == 0);
	CHECK(netlink_link_large(&n, lo, 62000, &err) == 0);
	CHECK(netlink_link_no_ll(&n, lo, &err) == 0);
	/* There is no such interface. */
	CHECK(netlink_link_up(&n, 999, true, &err) < 0 && strstr(err.text, "cannot set the interface up") != NULL);
	netlink_close(&n);
	netlink_close(&n);
}

TEST(addresses_come_and_go)
{
	const struct netlink_prefix *both[] = {&v4, &v6};

	own_network();
	CHECK(netlink_link_up(&n, lo, true, &err) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(addresses(both[i]) == 0);
		CHECK(netlink_address_add(&n, lo, both[i], &err) == 0);
		CHECK(netlink_address_add(&n, lo, both[i], &err) == 0);
		CHECK(addresses(both[i]) == 1);
		CHECK(netlink_address_remove(&n, lo, both[i], &err) == 0);
		CHECK(netlink_address_remove(&n, lo, both[i], &err) == 0);
		CHECK(addresses(both[i]) == 0);
	}
	/* One that has had enough ends the list, and the next question finds its own answer. */
	CHECK(netlink_address_add(&n, lo, &v4, &err) == 0);
	seen = 0;
	CHECK(netlink_addresses(&n, enough, NULL, &err) == 0 && seen == 1);
	CHECK(addresses(&v4) == 1);
}

TEST(routes_come_and_go)
{
	const struct netlink_prefix *both[] = {&to4, &to6};

	own_network();
	CHECK(netlink_link_up(&n, lo, true, &err) == 0);
	for (int i = 0; i < 2; i++) {
		CHECK(routes(both[i]) == 0);
		CHECK(netlink_route_add(&n, lo, both[i], &err) == 0);
		CHECK(netlink_route_add(&n, lo, both[i], &err) == 0);
		CHECK(routes(both[i]) == 1);
		CHECK(netlink_route_remove(&n, lo, both[i], &err) == 0);
		CHECK(netlink_route_remove(&n, lo, both[i], &err) == 0);
		CHECK(routes(both[i]) == 0);
	}
}

TEST(changes_are_watched)
{
	int fd;

	own_network();
	CHECK(netlink_watch(&fd, &err) == 0);
	CHECK(netlink_changes(fd, 0) == 0);
	CHECK(netlink_link_up(&n, lo, true, &err) == 0);
	CHECK((netlink_changes(fd, 0) & NETLINK_LINKS) != 0);
	CHECK(netlink_address_add(&n, lo, &v4, &err) == 0);
	CHECK((netlink_changes(fd, 0) & NETLINK_ADDRESSES) != 0);
	CHECK(netlink_changes(fd, 0) == 0);
	CHECK(netlink_route_add(&n, lo, &to4, &err) == 0);
	CHECK(netlink_changes(fd, 0) == NETLINK_ROUTES);
	/* Our own interface is no news. */
	CHECK(netlink_route_remove(&n, lo, &to4, &err) == 0 && netlink_address_remove(&n, lo, &v4, &err) == 0);
	CHECK(netlink_changes(fd, lo) == 0);
	close(fd);
}
