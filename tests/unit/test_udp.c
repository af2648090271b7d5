/* Bursts of datagrams over loopback: what leaves together arrives the same, with and without the kernel's help. */
#include "sys/udp.h"

#include <arpa/inet.h>
#include <poll.h>

#include "tap.h"

#define SIZE 1000

static struct error err;

static union udp_addr loopback(int family)
{
	union udp_addr a;

	memset(&a, 0, sizeof(a));
	a.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET6)
		a.in6.sin6_addr = in6addr_loopback;
	else
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

/* Two sockets, and the path from the first to the second. */
struct pair {
	struct udp a, b;
	struct udp_path path;
};

static void open_pair(struct pair *p, int family, bool no_offload)
{
	struct udp_options o = {.no_offload = no_offload, .receive_buffer = 1 << 20, .send_buffer = 1 << 20};
	union udp_addr at = loopback(family);

	memset(p, 0, sizeof(*p));
	if (udp_open(&p->a, &at, &o, &err) < 0 || udp_open(&p->b, &at, &o, &err) < 0)
		SKIP("no loopback of this family");
	CHECK(udp_local(&p->b, &p->path.remote, &err) == 0);
}

static void close_pair(struct pair *p)
{
	udp_close(&p->a);
	udp_close(&p->b);
	CHECK(p->a.fd == -1);
	udp_close(&p->a);
}

/* Everything that arrives within a moment, one behind the other; how many datagrams it was. */
static size_t collect(struct udp *u, uint8_t *out, size_t *len, const union udp_addr *from)
{
	static uint8_t rooms[UDP_BURSTS][65536];
	struct udp_arrival a[UDP_BURSTS];
	struct pollfd wait = {.fd = u->fd, .events = POLLIN};
	size_t count = 0, n;

	*len = 0;
	while (poll(&wait, 1, 200) > 0) {
		for (size_t i = 0; i < UDP_BURSTS; i++)
			a[i] = (struct udp_arrival){.data = rooms[i], .room = sizeof(rooms[i])};
		n = udp_receive(u, a, UDP_BURSTS);
		for (size_t i = 0; i < n; i++) {
			CHECK(!a[i].cut && a[i].size > 0);
			CHECK(udp_addr_equal(&a[i].path.remote, from));
			CHECK(a[i].path.local.sa.sa_family == u->family);
			memcpy(out + *len, a[i].data, a[i].len);
			*len += a[i].len;
			count += (a[i].len + a[i].size - 1) / a[i].size;
		}
	}
	return count;
}

static void bursts_arrive(int family, bool no_offload)
{
	static uint8_t bytes[UDP_BURST_BYTES], back[2 * UDP_BURST_BYTES];
	struct udp_burst b[3];
	union udp_addr from;
	struct pair p;
	int errnos[3];
	size_t len;

	open_pair(&p, family, no_offload);
	CHECK(udp_local(&p.a, &from, &err) == 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + i / 256);
	/* A long one whose last is short, a single one, and a short burst. */
	b[0] = (struct udp_burst){.path = &p.path, .data = bytes, .len = 40 * SIZE + 17, .size = SIZE};
	b[1] = (struct udp_burst){.path = &p.path, .data = bytes + 40 * SIZE + 17, .len = 5, .size = 5};
	b[2] = (struct udp_burst){.path = &p.path, .data = bytes + 40 * SIZE + 22, .len = 2 * SIZE, .size = SIZE};
	CHECK(udp_send(&p.a, b, 3, errnos) == 3);
	CHECK(errnos[0] == 0 && errnos[1] == 0 && errnos[2] == 0);
	CHECK(collect(&p.b, back, &len, &from) == 44);
	CHECK(len == 42 * SIZE + 22 && memcmp(back, bytes, len) == 0);
	close_pair(&p);
}

TEST(bursts_arrive_by_ipv4)
{
	bursts_arrive(AF_INET, false);
}

TEST(bursts_arrive_by_ipv6)
{
	bursts_arrive(AF_INET6, false);
}

TEST(bursts_arrive_one_by_one)
{
	bursts_arrive(AF_INET, true);
	bursts_arrive(AF_INET6, true);
}

/*
 * The kernel fails UDP_SEGMENT where nothing computes checksums, be it a device or, as here, a socket: the burst leaves
 * all the same, and it is not asked again.
 */
TEST(without_segmentation_for_good)
{
	int one = 1;
	static uint8_t bytes[3 * SIZE], back[3 * SIZE];
	struct udp_burst b = {.data = bytes, .len = sizeof(bytes), .size = SIZE};
	union udp_addr from;
	struct pair p;
	size_t len;

	open_pair(&p, AF_INET, false);
	CHECK(udp_local(&p.a, &from, &err) == 0);
	if (!atomic_load(&p.a.gso))
		SKIP("no UDP_SEGMENT");
	CHECK(setsockopt(p.a.fd, SOL_SOCKET, SO_NO_CHECK, &one, sizeof(one)) == 0);
	b.path = &p.path;
	CHECK(udp_send(&p.a, &b, 1, NULL) == 1);
	CHECK(!atomic_load(&p.a.gso));
	CHECK(collect(&p.b, back, &len, &from) == 3 && len == sizeof(bytes));
	CHECK(udp_send(&p.a, &b, 1, NULL) == 1);
	CHECK(collect(&p.b, back, &len, &from) == 3 && len == sizeof(bytes));
	close_pair(&p);
}

TEST(refusals_are_of_their_burst_alone)
{
	static uint8_t bytes[70000];
	struct udp_path nowhere = {.remote = loopback(AF_INET)};
	struct udp_burst b[3];
	struct pair p;
	int errnos[3];

	open_pair(&p, AF_INET, false);
	nowhere.remote.in.sin_port = htons(9);
	nowhere.local.in.sin_family = AF_INET;
	nowhere.local.in.sin_addr.s_addr = inet_addr("192.0.2.77");	/* not ours */
	b[0] = (struct udp_burst){.path = &p.path, .data = bytes, .len = 100, .size = 100};
	b[1] = (struct udp_burst){.path = &p.path, .data = bytes, .len = 65508, .size = 65508};
	b[2] = (struct udp_burst){.path = &p.path, .data = bytes, .len = 100, .size = 100};
	CHECK(udp_send(&p.a, b, 3, errnos) == 2);
	CHECK(errnos[0] == 0 && errnos[1] == EMSGSIZE && errnos[2] == 0);
	b[1] = (struct udp_burst){.path = &nowhere, .data = bytes, .len = 200, .size = 100};
	CHECK(udp_send(&p.a, b, 3, errnos) == 2);
	CHECK(errnos[0] == 0 && errnos[1] != 0 && errnos[2] == 0);
	close_pair(&p);
}

TEST(the_answer_comes_from_the_address_that_was_asked)
{
	struct udp_options o = {0};
	union udp_addr any = loopback(AF_INET);
	struct udp_arrival a;
	struct udp_burst b = {.data = (uint8_t *)"x", .len = 1, .size = 1};
	struct udp_path there, back;
	struct udp server, client;
	struct pollfd wait;
	uint8_t room[16];

	any.in.sin_addr.s_addr = 0;
	CHECK(udp_open(&server, &any, &o, &err) == 0 && udp_open(&client, &any, &o, &err) == 0);
	memset(&there, 0, sizeof(there));
	CHECK(udp_local(&server, &there.remote, &err) == 0);
	there.remote.in.sin_addr.s_addr = inet_addr("127.7.7.7");
	b.path = &there;
	CHECK(udp_send(&client, &b, 1, NULL) == 1);
	wait = (struct pollfd){.fd = server.fd, .events = POLLIN};
	CHECK(poll(&wait, 1, 1000) == 1);
	a = (struct udp_arrival){.data = room, .room = sizeof(room)};
	CHECK(udp_receive(&server, &a, 1) == 1);
	CHECK(a.path.local.in.sin_addr.s_addr == inet_addr("127.7.7.7") && a.path.ifindex == 0);
	back = a.path;
	b.path = &back;
	CHECK(udp_send(&server, &b, 1, NULL) == 1);
	wait.fd = client.fd;
	CHECK(poll(&wait, 1, 1000) == 1);
	CHECK(udp_receive(&client, &a, 1) == 1);
	CHECK(udp_addr_equal(&a.path.remote, &there.remote));
	udp_close(&server);
	udp_close(&client);
}

TEST(a_taken_port_is_a_conflict)
{
	struct udp_options o = {0};
	struct udp again;
	struct pair p;

	open_pair(&p, AF_INET, false);
	CHECK(udp_open(&again, &p.path.remote, &o, &err) < 0 && err.kind == ERR_CONFLICT && again.fd == -1);
	close_pair(&p);
}

TEST(paths_are_told_apart)
{
	struct udp_path a = {.remote = loopback(AF_INET)}, b = a;
	size_t mtu = 0;

	a.remote.in.sin_port = b.remote.in.sin_port = htons(7);
	CHECK(udp_path_equal(&a, &b));
	b.local = loopback(AF_INET);
	CHECK(!udp_path_equal(&a, &b));
	a.local = b.local;
	a.local.in.sin_port = 99;	/* ours does not count */
	CHECK(udp_path_equal(&a, &b));
	b.remote.in.sin_port = htons(8);
	CHECK(!udp_path_equal(&a, &b));
	CHECK(udp_path_mtu(&a, &mtu, &err) == 0 || err.kind != ERR_NONE);
	CHECK(mtu == 0 || mtu >= 576);
}
