/* Own addresses and the interfaces by which they are reached, in a network of this test's own: packets come by two TUNs. */
#include "sys/addrguard.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "sys/tun.h"
#include "tap.h"

static struct error err;
static struct netlink n;
static struct tun mesh, wire;
static const struct addrguard_place own[2] = {
	{{198, 18, 32, 9}, {0xfd, 0x12, 1, 2, 3, 4, 0, 7, [15] = 1}}, {{198, 18, 32, 10}, {0xfd, 0x12, 1, 2, 3, 4, 0, 7, [15] = 2}},
};
static const struct addrguard_place moved[1] = {{{198, 18, 33, 1}, {0xfd, 0x12, 1, 2, 3, 4, 0, 8, [15] = 1}}};

static const struct addrguard_place lan = {{10, 9, 0, 2}, {0xfd, 0, 0, 9, [15] = 2}};
static const struct addrguard_place neighbour = {{10, 9, 0, 77}, {0xfd, 0, 0, 9, [15] = 77}};
static const struct addrguard_place member = {{198, 18, 40, 1}, {0xfd, 0x12, 1, 2, 3, 4, 0, 9, [15] = 1}};

static void give(struct tun *t, const struct addrguard_place *p)
{
	struct netlink_prefix p4 = {.family = AF_INET, .len = 19}, p6 = {.family = AF_INET6, .len = 48};

	memcpy(p4.addr, p->v4, sizeof(p->v4));
	memcpy(p6.addr, p->v6, sizeof(p->v6));
	REQUIRE(netlink_address_add(&n, t->ifindex, &p4, &err) == 0 && netlink_address_add(&n, t->ifindex, &p6, &err) == 0);
}

static void own_network(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		SKIP("not root");
	REQUIRE(netlink_open(&n, &err) == 0 && netlink_link_up(&n, 1, true, &err) == 0);
	if (tun_open(&mesh, "mesh0", 0, &err) < 0)
		SKIP("no /dev/net/tun");
	REQUIRE(tun_open(&wire, "wire", 0, &err) == 0);
	REQUIRE(netlink_link_up(&n, mesh.ifindex, true, &err) == 0 && netlink_link_up(&n, wire.ifindex, true, &err) == 0);
	give(&mesh, &own[0]);
	give(&mesh, &own[1]);
	give(&mesh, &moved[0]);
	give(&wire, &lan);
}

/* A datagram of one byte to port 9. Of IPv4 it has no checksum; of IPv6 one that is yet to be computed, and so is not looked at. */
static void write_datagram(struct tun *t, bool six, const uint8_t *from, const uint8_t *to)
{
	struct virtio_net_hdr head = {.flags = six ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0, .csum_start = 40, .csum_offset = 6};
	uint8_t p4[29] = {0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, [20] = 0x30, 0x39, 0, 9, 0, 9, 0, 0, 'x'};
	uint8_t p6[49] = {0x60, 0, 0, 0, 0, 9, 17, 64, [40] = 0x30, 0x39, 0, 9, 0, 9, 0, 1, 'x'};
	struct iovec iov[2] = {{&head, sizeof(head)}, {six ? p6 : p4, six ? sizeof(p6) : sizeof(p4)}};
	uint32_t sum = 0;

	memcpy(six ? p6 + 8 : p4 + 12, from, six ? 16 : 4);
	memcpy(six ? p6 + 24 : p4 + 16, to, six ? 16 : 4);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)p4[i] << 8 | p4[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	p4[10] = (uint8_t)(sum >> 8);
	p4[11] = (uint8_t)sum;
	REQUIRE(tun_write(t, iov, 2));
}

static int listener(bool six)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0), one = 1;

	REQUIRE(fd >= 0 && (!six || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) == 0));
	REQUIRE(bind(fd, six ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4, six ? sizeof(a6) : sizeof(a4)) == 0);
	return fd;
}

static bool comes_of(struct tun *t, bool six, const struct addrguard_place *from, const struct addrguard_place *to)
{
	int fd = listener(six);
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	bool r;

	write_datagram(t, six, six ? from->v6 : from->v4, six ? to->v6 : to->v4);
	r = poll(&wait, 1, 200) == 1;
	close(fd);
	return r;
}

/* By both families; that they differ is a failure of its own. */
static bool comes_from(struct tun *t, const struct addrguard_place *from, const struct addrguard_place *to)
{
	bool r = comes_of(t, false, from, to);

	CHECK(comes_of(t, true, from, to) == r);
	return r;
}

static bool comes(struct tun *t, const struct addrguard_place *to)
{
	return comes_from(t, &neighbour, to);
}

static bool by_lo(const struct addrguard_place *to)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd = listener(false), us = socket(AF_INET, SOCK_DGRAM, 0);
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	bool r;

	memcpy(&at.sin_addr, to->v4, sizeof(to->v4));
	REQUIRE(us >= 0 && sendto(us, "x", 1, 0, (struct sockaddr *)&at, sizeof(at)) == 1);
	r = poll(&wait, 1, 200) == 1;
	close(fd);
	close(us);
	return r;
}

static int set(struct addrguard *g, const struct addrguard_place *places, size_t count)
{
	return addrguard_set(g, mesh.name, mesh.ifindex, places, count, &err);
}

/* Whether the kernel has it here at all, and tables with owners. */
static void need_owners(void)
{
	struct addrguard g = ADDRGUARD_INIT;

	own_network();
	if (set(&g, own, 2) < 0)
		SKIP("no nf_tables");
	if (g.plain)
		SKIP("no owners of tables");
	addrguard_drop(&g);
}

TEST(own_addresses_are_reached_by_their_interface_alone)
{
	struct addrguard g = ADDRGUARD_INIT;

	need_owners();
	CHECK(comes(&wire, &own[0]) && comes(&mesh, &own[0]) && by_lo(&own[0]));
	CHECK(set(&g, own, 2) == 0 && g.set && !g.plain);
	CHECK_STR(g.table, "meshanics-mesh0");
	for (int i = 0; i < 2; i++)
		CHECK(!comes(&wire, &own[i]) && comes(&mesh, &own[i]) && by_lo(&own[i]));
	/* What is not ours is left alone. */
	CHECK(comes(&wire, &moved[0]));
	CHECK(comes(&wire, &lan));
	addrguard_drop(&g);
	CHECK(comes(&wire, &own[0]) && comes(&wire, &own[1]));
	addrguard_drop(&g);
}

TEST(who_is_behind_the_interface_sends_by_it_alone)
{
	static const struct addrguard_place far = {{192, 0, 2, 1}, {0x20, 1, 0xd, 0xb8, [15] = 1}};
	struct netlink_prefix p4 = {.family = AF_INET, .len = 24, .addr = {198, 18, 40, 2}};
	struct netlink_prefix p6 = {.family = AF_INET6, .len = 64, .addr = {0xfd, 0x12, 1, 2, 3, 4, 0, 9, [15] = 2}};
	struct addrguard g = ADDRGUARD_INIT;

	need_owners();
	CHECK(comes_from(&wire, &member, &lan));
	CHECK(set(&g, own, 2) == 0);
	if (g.no_sources)
		SKIP("no nft_fib_inet");
	CHECK(!comes_from(&wire, &member, &lan) && comes_from(&mesh, &member, &lan) && comes_from(&mesh, &member, &own[0]));
	CHECK(comes(&wire, &lan) && comes_from(&wire, &far, &lan) && by_lo(&own[0]));
	/* A LAN with a part of the same range: what it is nearer to stays its own. */
	REQUIRE(netlink_address_add(&n, wire.ifindex, &p4, &err) == 0 && netlink_address_add(&n, wire.ifindex, &p6, &err) == 0);
	CHECK(comes_from(&wire, &member, &lan));
	addrguard_drop(&g);
}

/* As on a kernel that cannot look sources up. */
TEST(own_addresses_are_kept_without_a_look_at_sources)
{
	struct addrguard g = ADDRGUARD_INIT;

	need_owners();
	g.no_sources = true;
	CHECK(set(&g, own, 2) == 0 && !comes(&wire, &own[0]) && comes_from(&wire, &member, &lan));
	addrguard_drop(&g);
}

TEST(other_addresses_take_the_place_of_the_former)
{
	struct addrguard g = ADDRGUARD_INIT;

	need_owners();
	CHECK(set(&g, own, 2) == 0);
	CHECK(set(&g, moved, 1) == 0 && g.set);
	CHECK(comes(&wire, &own[0]) && !comes(&wire, &moved[0]) && comes(&mesh, &moved[0]));
	CHECK(set(&g, own, 1) == 0);
	CHECK(!comes(&wire, &own[0]) && comes(&wire, &own[1]) && comes(&wire, &moved[0]));
	addrguard_drop(&g);
}

TEST(as_many_as_there_can_be)
{
	struct addrguard_place all[ADDRGUARD_MAX];
	struct addrguard g = ADDRGUARD_INIT;

	need_owners();
	for (size_t i = 0; i < ADDRGUARD_MAX; i++) {
		all[i] = own[0];
		all[i].v4[3] = all[i].v6[15] = (uint8_t)(100 + i);
	}
	all[ADDRGUARD_MAX - 1] = own[1];
	CHECK(set(&g, all, ADDRGUARD_MAX) == 0);
	CHECK(!comes(&wire, &own[1]) && comes(&wire, &own[0]));
	addrguard_drop(&g);
}

TEST(it_ends_with_a_process_that_is_killed)
{
	struct addrguard g = ADDRGUARD_INIT;
	int up[2];
	pid_t pid;
	char c;

	need_owners();
	REQUIRE(pipe2(up, O_CLOEXEC) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		c = set(&g, own, 2) == 0 ? 'y' : 'n';
		(void)!write(up[1], &c, 1);
		pause();
		_exit(0);
	}
	REQUIRE(read(up[0], &c, 1) == 1 && c == 'y');
	CHECK(!comes(&wire, &own[0]));
	/* It is another's as long as that lives; that is no reason to say what the kernel lacks. */
	CHECK(set(&g, own, 2) < 0 && err.kind == ERR_RETRY && !g.set && !g.plain);
	REQUIRE(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	CHECK(comes(&wire, &own[0]));
	CHECK(set(&g, own, 2) == 0 && !comes(&wire, &own[0]));
	addrguard_drop(&g);
}

/* As on a kernel that knows no owners. */
TEST(a_plain_table_is_replaced_and_removed)
{
	struct addrguard g = ADDRGUARD_INIT, next = ADDRGUARD_INIT;

	need_owners();
	g.plain = next.plain = true;
	CHECK(set(&g, own, 2) == 0 && g.set && g.plain && !comes(&wire, &own[0]));
	/* Killed. */
	netlink_close(&g.netlink);
	CHECK(!comes(&wire, &own[0]));
	CHECK(set(&next, moved, 1) == 0 && comes(&wire, &own[0]) && !comes(&wire, &moved[0]));
	CHECK(set(&next, own, 2) == 0 && !comes(&wire, &own[0]) && comes(&wire, &moved[0]));
	addrguard_drop(&next);
	CHECK(comes(&wire, &own[0]));
	/* After another kernel has come, one with an owner follows on it. */
	CHECK(set(&g, own, 2) == 0);
	next.plain = false;
	CHECK(set(&next, moved, 1) == 0 && !next.plain && comes(&wire, &own[0]) && !comes(&wire, &moved[0]));
	addrguard_drop(&next);
}

TEST(plain_tables_of_former_runs_go)
{
	struct addrguard g = ADDRGUARD_INIT, theirs = ADDRGUARD_INIT, live = ADDRGUARD_INIT;

	need_owners();
	CHECK(addrguard_reset("mesh", &err) == 0);
	g.plain = theirs.plain = true;
	CHECK(addrguard_set(&g, "mesh7", mesh.ifindex, own, 1, &err) == 0);
	CHECK(addrguard_set(&theirs, "mesh-rules", mesh.ifindex, &own[1], 1, &err) == 0);
	CHECK(addrguard_set(&live, "mesh8", mesh.ifindex, moved, 1, &err) == 0 && !live.plain);
	CHECK(addrguard_reset("mesh", &err) == 0);
	CHECK(comes(&wire, &own[0]) && !comes(&wire, &own[1]) && !comes(&wire, &moved[0]));
	addrguard_drop(&theirs);
	addrguard_drop(&live);
	CHECK(comes(&wire, &own[1]) && comes(&wire, &moved[0]));
}

TEST(one_who_may_not_is_told_so)
{
	struct addrguard g = ADDRGUARD_INIT;

	need_owners();
	REQUIRE(setresuid(65534, 65534, 65534) == 0);
	CHECK(set(&g, own, 2) < 0 && err.kind == ERR_DENIED && !g.set && !g.plain && g.netlink.fd < 0);
}
