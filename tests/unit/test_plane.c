/* Peers, sessions and what waits for them come and go under a running data plane, in a network of this test's own. */
#include "mesh/plane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "mesh/bytes.h"
#include "sys/netlink.h"
#include "tap.h"

static struct error err;
static struct plane *plane;
static atomic_int sealed, freed;
static uint8_t last[2048];	/* content of what was sealed last; to be read once `sealed` says so */
static atomic_int last_len;

/* Sessions that only count. */
static bool seal(struct session *s, uint8_t *dgram, size_t n, uint8_t type, uint8_t flags)
{
	/* Read, so that a freed one is found out. */
	CHECK(*(int *)(void *)s == 77);
	put_be32(dgram, 1);
	dgram[4] = type;
	dgram[5] = flags;
	dgram[PLANE_HEADER_LEN + n] = 0;
	if (n <= sizeof(last)) {
		memcpy(last, dgram + PLANE_HEADER_LEN, n);
		atomic_store(&last_len, (int)n);
	}
	atomic_fetch_add(&sealed, 1);
	return true;
}

static bool peek(const void *masks, const uint8_t *dgram, size_t len, bool (*known)(void *arg, uint32_t index), void *arg,
		 struct plane_head *head)
{
	(void)masks;
	(void)len;
	*head = (struct plane_head){.index = get_be32(dgram), .type = dgram[4], .flags = dgram[5]};
	return known(arg, head->index);
}

static bool open_it(struct session *s, const struct plane_head *head, uint8_t *dgram, size_t len)
{
	(void)head;
	(void)dgram;
	(void)len;
	return *(int *)(void *)s == 77;
}

static void session_done(struct session *s)
{
	*(int *)(void *)s = 0;
	free(s);
	atomic_fetch_add(&freed, 1);
}

static const struct plane_crypto crypto = {
	.type_data = 16, .seal = seal, .peek = peek, .open = open_it, .session_free = session_done, .masks_free = free,
};
static struct plane_scope scope;

static struct session *new_session(void)
{
	int *s = malloc(sizeof(*s));

	*s = 77;
	return (struct session *)(void *)s;
}

static struct plane_options options(void)
{
	struct plane_options o = {.interface = "mesh%d", .tun_offloads = ~0u, .range4 = 0xc6120000, .range4_len = 19,
				  .range6 = {0xfd, 0x12}};

	o.listen4.in.sin_family = AF_INET;
	o.listen4.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return o;
}

static void start(void)
{
	struct plane_options o = options();
	struct netlink_prefix ours = {.family = AF_INET, .addr = {198, 18, 0, 9}, .len = 19};
	struct netlink n;

	if (unshare(CLONE_NEWNET) < 0)
		SKIP("not root");
	CHECK(netlink_open(&n, &err) == 0 && netlink_link_up(&n, 1, true, &err) == 0);
	plane = plane_new(&o, &crypto, &scope, &err);
	if (plane == NULL && (err.kind == ERR_NOT_FOUND || err.kind == ERR_DENIED))
		SKIP("no TUN");
	CHECK(plane != NULL && plane_start(plane, &err) == 0);
	CHECK(netlink_address_add(&n, plane_tun(plane)->ifindex, &ours, &err) == 0);
	netlink_close(&n);
	plane_block_set(plane, 1, PLANE_SELF);
}

/* Datagrams of so many bytes to the peer in block 2. */
static void send_some(int count, size_t size)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0xc6120011)}};
	static uint8_t bytes[1400];
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (int i = 0; i < count; i++)
		CHECK(sendto(s, bytes, size, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)size);
	close(s);
}

/* Wait for an event of this kind; those of others are passed over. */
static bool hear(enum plane_event_kind kind, struct plane_event *e)
{
	struct pollfd wait = {.fd = plane_event_fd(plane), .events = POLLIN};

	while (poll(&wait, 1, 3000) > 0)
		while (plane_next(plane, e))
			if (e->kind == kind)
				return true;
	return false;
}

static uint64_t staged(void)
{
	struct plane_stats s;

	plane_stats(plane, &s);
	return s.staged;
}

static uint64_t staged_lost(void)
{
	struct plane_stats s;

	plane_stats(plane, &s);
	return s.staged_lost;
}

static bool reaped(void)
{
	for (int i = 0; i < 3000; i++) {
		if (plane_reap(plane) == 0)
			return true;
		usleep(1000);
	}
	return false;
}

static void use_loopback(uint32_t peer)
{
	struct plane_endpoint e = {.way = PLANE_WAY_UDP, .mtu = 1420};

	e.path.remote.in.sin_family = AF_INET;
	e.path.remote.in.sin_port = htons(9);
	e.path.remote.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	plane_endpoint_set(plane, peer, &e);
}

/* A peer in block 2 that can be sent to; returns the index of its session. */
static uint32_t join_peer(uint32_t *peer)
{
	uint32_t index = 0;

	CHECK(plane_peer_add(plane, peer, &err) == 0 && plane_index_take(plane, &index, &err) == 0);
	plane_block_set(plane, 2, *peer);
	use_loopback(*peer);
	plane_session_publish(plane, index, *peer, new_session(), PLANE_USE_NOW);
	return index;
}

static bool sealed_becomes(int n)
{
	for (int i = 0; i < 3000 && atomic_load(&sealed) < n; i++)
		usleep(1000);
	return atomic_load(&sealed) == n;
}

static void sum_header(uint8_t *ip)
{
	uint32_t sum = 0;

	put_be16(ip + 10, 0);
	for (size_t i = 0; i < 20; i += 2)
		sum += get_be16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put_be16(ip + 10, (uint16_t)~(sum + (sum >> 16)));
}

/* An empty-checksum UDP packet of 28 + n bytes over IPv4 between hosts of the range. */
static size_t udp_packet(uint8_t *ip, uint8_t from, uint8_t to, uint16_t from_port, uint16_t to_port, size_t n)
{
	memset(ip, 0, 28 + n);
	ip[0] = 0x45;
	put_be16(ip + 2, (uint16_t)(28 + n));
	ip[6] = 0x40;
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, (uint8_t[]){198, 18, 0, from, 198, 18, 0, to}, 8);
	sum_header(ip);
	put_be16(ip + 20, from_port);
	put_be16(ip + 22, to_port);
	put_be16(ip + 24, (uint16_t)(8 + n));
	return 28 + n;
}

TEST(a_packet_of_our_own_is_sealed_also_without_an_interface)
{
	struct plane_options o = options();
	struct plane_event e;
	uint8_t ip[9100];
	uint32_t peer = 0;
	size_t n;

	o.no_interface = true;
	plane = plane_new(&o, &crypto, &scope, &err);
	CHECK(plane != NULL && plane_tun(plane)->fd < 0 && plane_start(plane, &err) == 0);
	plane_block_set(plane, 1, PLANE_SELF);
	n = udp_packet(ip, 9, 17, 5, 6, 100);
	(void)join_peer(&peer);
	CHECK(plane_send_packet(plane, peer, ip, n) && sealed_becomes(1));
	CHECK(atomic_load(&last_len) == (int)n && memcmp(last, ip, n) == 0);
	CHECK(!plane_inject(plane, ip, n));
	/* Not for this peer; not a packet; larger than the path; larger than anything. */
	ip[19] = 25;
	CHECK(plane_send_packet(plane, peer, ip, n) && plane_send_packet(plane, peer, "x", 1));
	n = udp_packet(ip, 9, 17, 5, 6, 1500);
	CHECK(plane_send_packet(plane, peer, ip, n) && !plane_send_packet(plane, peer, ip, PLANE_CONTENT_MAX + 1));
	n = udp_packet(ip, 9, 17, 5, 6, 10);
	CHECK(plane_send_packet(plane, peer, ip, n) && sealed_becomes(2) && atomic_load(&last_len) == 38);
	/* And it waits for a session. */
	plane_session_retire(plane, plane_session_sending(plane, peer));
	CHECK(plane_send_packet(plane, peer, ip, n) && hear(PLANE_EVENT_WANTED, &e) && staged() == 1);
	plane_peer_remove(plane, peer);
	CHECK(plane_send_packet(plane, peer, ip, n) && reaped() && staged() == 0);
	plane_free(plane);
}

/* A plane with no interface and the peer in block 2; all that comes of packets is what control hears. */
static uint32_t start_bare(uint32_t *peer)
{
	struct plane_options o = options();

	o.no_interface = true;
	plane = plane_new(&o, &crypto, &scope, &err);
	CHECK(plane != NULL && plane_start(plane, &err) == 0);
	plane_block_set(plane, 1, PLANE_SELF);
	return join_peer(peer);
}

/* A datagram of this type as if it had come in under the index. */
static bool feed(uint32_t index, uint8_t type, const void *content, size_t n)
{
	struct udp_path from = {.remote.in.sin_family = AF_INET};
	uint8_t dgram[PLANE_OVERHEAD + 2048] = {0};

	put_be32(dgram, index);
	dgram[4] = type;
	memcpy(dgram + PLANE_HEADER_LEN, content, n);
	return plane_feed(plane, &from, dgram, PLANE_OVERHEAD + n);
}

static enum plane_verdict take_in(void *arg, uint32_t peer, const struct plane_packet *p)
{
	CHECK(arg == NULL && peer < PLANE_PEERS_MAX && p->bytes == NULL);
	return PLANE_TAKE;
}

static uint64_t foreign_becomes(uint64_t n)
{
	struct plane_stats s = {0};

	for (int i = 0; i < 3000; i++) {
		plane_stats(plane, &s);
		if (s.in_foreign >= n)
			break;
		usleep(1000);
	}
	return s.in_foreign;
}

TEST(a_source_is_a_slot_of_the_senders_block)
{
	uint8_t ip[48] = {0x60, [5] = 8, [6] = IPPROTO_UDP, [7] = 64, [8] = 0xfd, 0x12, [24] = 0xfd, 0x12};
	uint32_t peer = 0, index;
	struct plane_event e;
	uint64_t refused = 0;

	scope.in = take_in;
	index = start_bare(&peer);
	for (uint8_t slot = 0; slot < 8; slot++) {
		uint8_t v4[64];
		size_t n = udp_packet(v4, (uint8_t)(16 + slot), 9, 7, 8, 4);

		CHECK(feed(index, 16, v4, n));
		if (slot >= 1 && slot <= 6)
			CHECK(hear(PLANE_EVENT_TAKEN, &e) && e.data.len == n && e.data.ptr[15] == 16 + slot);
		else
			CHECK_INT(foreign_becomes(++refused), refused);
	}
	/* Of IPv6 they are as few. */
	ip[15] = 2;
	ip[31] = ip[39] = 1;
	put_be16(ip + 44, 8);
	for (unsigned slot = 0; slot <= 8; slot++) {
		ip[23] = (uint8_t)slot;
		CHECK(feed(index, 16, ip, sizeof(ip)));
		if (slot >= 1 && slot <= 6)
			CHECK(hear(PLANE_EVENT_TAKEN, &e) && e.data.len == sizeof(ip) && e.data.ptr[23] == slot);
		else
			CHECK_INT(foreign_becomes(++refused), refused);
	}
	ip[23] = 1;
	for (unsigned at = 16; at < 23; at++) {
		ip[at] = 1;
		CHECK(feed(index, 16, ip, sizeof(ip)));
		CHECK_INT(foreign_becomes(++refused), refused);
		ip[at] = 0;
	}
	CHECK(feed(index, 16, ip, sizeof(ip)) && hear(PLANE_EVENT_TAKEN, &e));
	plane_free(plane);
}

/* ---- when control is away for a while ---- */

static struct plane_stats stats_now(void)
{
	struct plane_stats s;

	plane_stats(plane, &s);
	return s;
}

/* Give tx a packet for the node of a block, when it has room for one more. */
static void give(uint32_t peer, uint32_t block, size_t size)
{
	uint8_t ip[2048];
	size_t n = udp_packet(ip, 9, 17, 5, 6, size);

	put_be16(ip + 18, (uint16_t)(block * 8 + 1));
	sum_header(ip);
	while (!plane_send_packet(plane, peer, ip, n))
		usleep(100);
}

/* Give packets, of which each becomes an event, until control's ring has no room for them any more. */
static void fill_out(uint32_t peer)
{
	struct plane_endpoint by_control = {.way = PLANE_WAY_CONTROL, .mtu = 1420};

	plane_endpoint_set(plane, peer, &by_control);
	for (size_t size = 1300; stats_now().out_events_lost == 0; size = size > 40 ? size - 30 : 1300)
		give(peer, 2, size);
}

static bool staged_becomes(uint64_t n)
{
	for (int i = 0; i < 3000 && staged() != n; i++)
		usleep(1000);
	return staged() == n;
}

/* Which peers are wanted, of all that control has not heard yet; how many. */
static unsigned hear_wanted(bool *wanted)
{
	struct plane_event e;
	unsigned n = 0;

	while (plane_next(plane, &e)) {
		if (e.kind != PLANE_EVENT_WANTED)
			continue;
		CHECK(!wanted[e.peer]);
		wanted[e.peer] = true;
		n++;
	}
	return n;
}

TEST(a_peer_is_wanted_behind_a_flood_of_packets)
{
	static bool wanted[PLANE_PEERS_MAX];
	uint32_t flooded = 0, peer[20];

	(void)start_bare(&flooded);
	for (uint32_t i = 0; i < ARRAY_SIZE(peer); i++) {
		CHECK(plane_peer_add(plane, &peer[i], &err) == 0);
		plane_block_set(plane, 10 + i, peer[i]);
	}
	fill_out(flooded);
	for (uint32_t i = 0; i < ARRAY_SIZE(peer); i++) {
		give(peer[i], 10 + i, 100);
		give(flooded, 2, 4 + i * 60);
	}
	CHECK(staged_becomes(ARRAY_SIZE(peer)));
	CHECK_INT(hear_wanted(wanted), ARRAY_SIZE(peer));
	plane_free(plane);
}

#define MANY 1000

TEST(what_was_lost_is_said_again)
{
	static bool wanted[PLANE_PEERS_MAX];
	uint32_t flooded = 0, peer[MANY];
	unsigned heard = 0, before;

	(void)start_bare(&flooded);
	for (uint32_t i = 0; i < MANY; i++) {
		CHECK(plane_peer_add(plane, &peer[i], &err) == 0);
		plane_block_set(plane, 10 + i, peer[i]);
	}
	fill_out(flooded);
	for (int round = 1; heard < MANY && round < 10; round++) {
		before = heard;
		for (uint32_t i = 0; i < MANY; i++)
			give(peer[i], 10 + i, 10);
		CHECK(staged_becomes((unsigned)round * MANY));
		heard += hear_wanted(wanted);
		CHECK(heard > before && (round > 1 || heard < MANY));
	}
	CHECK_INT(heard, MANY);
	plane_free(plane);
}

/* All that was fed has been looked at: rx has come to a stranger behind it. */
static void fed_all(void)
{
	uint64_t strangers = stats_now().in_strangers;

	while (!feed(0x12345678, 16, "", 0))
		usleep(100);
	for (int i = 0; i < 3000 && stats_now().in_strangers == strangers; i++)
		usleep(1000);
	CHECK(stats_now().in_strangers == strangers + 1);
}

TEST(a_session_is_confirmed_until_it_is_heard)
{
	uint32_t other[MANY], index[MANY], peer = 0, waiting = 0, younger = 0;
	struct plane_event e;
	int heard = 0;

	(void)start_bare(&peer);
	CHECK(plane_index_take(plane, &waiting, &err) == 0);
	plane_session_publish(plane, waiting, peer, new_session(), PLANE_USE_CONFIRMED);
	/* Of each of these a little, until nothing more goes in. */
	for (uint32_t i = 0; i < MANY; i++) {
		CHECK(plane_peer_add(plane, &other[i], &err) == 0 && plane_index_take(plane, &index[i], &err) == 0);
		plane_session_publish(plane, index[i], other[i], new_session(), PLANE_USE_CONFIRMED);
	}
	for (uint32_t i = 0; i < MANY; i++)
		for (int n = 0; n < 2; n++)
			while (!feed(index[i], 17, "hello", 5))
				usleep(100);
	fed_all();
	CHECK(stats_now().in_events_lost > 0);
	CHECK(feed(waiting, 17, "hello", 5));
	fed_all();
	/* It is used by now. Then control, not knowing it, makes another one, to which we do not go back from. */
	CHECK(plane_session_sending(plane, peer) == waiting);
	CHECK(plane_index_take(plane, &younger, &err) == 0);
	plane_session_publish(plane, younger, peer, new_session(), PLANE_USE_NOW);
	while (plane_next(plane, &e))
		CHECK(e.peer != peer);
	CHECK(feed(waiting, 17, "again", 5) && feed(waiting, 17, "again", 5));
	fed_all();
	while (plane_next(plane, &e)) {
		if (e.kind == PLANE_EVENT_CONFIRMED && e.peer == peer && e.index == waiting)
			CHECK_INT(++heard, 1);
		if (e.kind == PLANE_EVENT_MESSAGE && e.peer == peer)
			CHECK_INT(heard, 1);
	}
	CHECK_INT(heard, 1);
	CHECK(plane_session_sending(plane, peer) == younger);
	plane_free(plane);
}

/* A member that says more than control hears leaves room for what others say. */
TEST(one_that_floods_is_heard_and_so_are_the_others)
{
	uint32_t loud = 0, loud_index, quiet[8], index[8];
	unsigned from_loud = 0, from_quiet = 0;
	uint8_t ip[1400];
	size_t n = udp_packet(ip, 17, 9, 7, 8, 1000);
	struct plane_event e;

	scope.in = take_in;
	loud_index = start_bare(&loud);
	for (uint32_t i = 0; i < ARRAY_SIZE(quiet); i++) {
		CHECK(plane_peer_add(plane, &quiet[i], &err) == 0 && plane_index_take(plane, &index[i], &err) == 0);
		plane_session_publish(plane, index[i], quiet[i], new_session(), PLANE_USE_NOW);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3000; i++)
			while (!feed(loud_index, i % 2 ? 16 : 17, ip, i % 2 ? n : (size_t)i % 50))
				usleep(100);
		for (int i = 0; i < 20; i++)
			for (uint32_t q = 0; q < ARRAY_SIZE(quiet); q++)
				while (!feed(index[q], 17, "hello", 5))
					usleep(100);
		fed_all();
		while (plane_next(plane, &e)) {
			from_loud += e.peer == loud && e.kind != PLANE_EVENT_ROAMED;
			from_quiet += e.peer != loud && e.kind == PLANE_EVENT_MESSAGE;
		}
		CHECK(from_loud > 100u * ((unsigned)round + 1));
		CHECK_INT(from_quiet, 20 * ARRAY_SIZE(quiet) * ((unsigned)round + 1));
	}
	/* What is heard at once has no limit. */
	for (int i = 0; i < 3000; i++) {
		CHECK(feed(loud_index, 17, "x", 1));
		CHECK(hear(PLANE_EVENT_MESSAGE, &e) && e.peer == loud);
	}
	plane_free(plane);
}

TEST(neither_direction_is_heard_before_the_other)
{
	struct plane_event e;
	uint32_t peer = 0, index;
	int waited = 0;

	index = start_bare(&peer);
	fill_out(peer);
	CHECK(feed(index, 17, "hello", 5));
	fed_all();
	while (plane_next(plane, &e) && e.kind != PLANE_EVENT_MESSAGE)
		waited++;
	CHECK(e.kind == PLANE_EVENT_MESSAGE && waited <= 4);
	while (plane_next(plane, &e))
		waited++;
	CHECK(waited > 100);
	plane_free(plane);
}

static void delete_link(uint32_t ifindex)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} m = {.h = {.nlmsg_len = sizeof(m), .nlmsg_type = RTM_DELLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
	       .i = {.ifi_index = (int)ifindex}};
	char answer[1024];
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	CHECK(send(s, &m, sizeof(m), 0) == sizeof(m) && recv(s, answer, sizeof(answer), 0) > 0);
	close(s);
}

TEST(an_interface_that_went_is_told_of_once)
{
	uint32_t flooded = 0, peer[MANY];
	struct plane_event e;
	int heard = 0;
	uint64_t lost;

	start();
	(void)join_peer(&flooded);
	for (uint32_t i = 0; i < MANY; i++) {
		CHECK(plane_peer_add(plane, &peer[i], &err) == 0);
		plane_block_set(plane, 10 + i, peer[i]);
	}
	fill_out(flooded);
	for (uint32_t i = 0; i < MANY; i++)
		give(peer[i], 10 + i, 10);
	CHECK(staged_becomes(MANY));
	lost = stats_now().out_events_lost;
	delete_link(plane_tun(plane)->ifindex);
	for (int i = 0; i < 3000 && stats_now().out_events_lost == lost; i++)
		usleep(1000);
	CHECK(stats_now().out_events_lost > lost);
	CHECK(hear(PLANE_EVENT_GONE, &e) && e.error == ENODEV);
	give(peer[0], 10, 10);
	fed_all();
	while (plane_next(plane, &e))
		heard += e.kind == PLANE_EVENT_GONE;
	CHECK_INT(heard, 0);
	plane_free(plane);
}

static void port_out(void *arg, struct plane_packet *p)
{
	CHECK(arg == NULL && p->bytes == p->ip && p->version == 4);
	/* To the peer in block 2, who is not who was asked for; the header's sum grows by what the address loses. */
	if (p->protocol == IPPROTO_UDP && p->ip[19] == 33) {
		p->bytes[19] = 17;
		put_be16(p->bytes + 10, (uint16_t)(get_be16(p->ip + 10) + 16));
		put_be16(p->bytes + p->l4 + 2, 4242);
	}
}

static void port_in(void *arg, uint32_t peer, struct plane_packet *p)
{
	CHECK(arg == NULL && peer < PLANE_PEERS_MAX && p->bytes == p->ip);
	if (p->protocol == IPPROTO_UDP && get_be16(p->ip + p->l4 + 2) == 4242)
		put_be16(p->bytes + p->l4 + 2, 2424);
}

TEST(addresses_and_ports_are_changed_on_the_way_out)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(0xc6120021)}};
	static uint8_t bytes[3000];
	uint32_t peer = 0, sum = 0;
	int s;

	scope.rewrite_out = port_out;
	start();
	(void)join_peer(&peer);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(sendto(s, bytes, 100, 0, (struct sockaddr *)&to, sizeof(to)) == 100);
	CHECK(sealed_becomes(1) && last[19] == 17 && get_be16(last + 22) == 4242);
	for (size_t i = 0; i < 20; i += 2)
		sum += get_be16(last + i);
	CHECK((sum & 0xffff) + (sum >> 16) == 0xffff);
	close(s);
	plane_free(plane);
}

TEST(and_on_the_way_in_for_joined_ones_as_for_single_ones)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(2424)};
	struct udp_path from = {.remote.in.sin_family = AF_INET};
	uint8_t dgram[2][PLANE_OVERHEAD + 128] = {0}, got[200];
	int s, burst, each = sizeof(dgram[0]);
	union udp_addr to, none;
	struct plane_stats stats;
	uint32_t peer = 0, index;
	size_t n = 0;

	scope.rewrite_in = port_in;
	start();
	index = join_peer(&peer);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(bind(s, (struct sockaddr *)&at, sizeof(at)) == 0);
	for (size_t i = 0; i < 2; i++) {
		put_be32(dgram[i], index);
		dgram[i][4] = 16;
		n = udp_packet(dgram[i] + PLANE_HEADER_LEN, 17, 9, 7, 4242, 100) + PLANE_OVERHEAD;
		CHECK(n == sizeof(dgram[0]));
	}
	/* One that has no checksum, one whose checksum the kernel is asked to compute, and two that may be joined. */
	CHECK(plane_feed(plane, &from, dgram[0], n));
	CHECK(poll(&(struct pollfd){.fd = s, .events = POLLIN}, 1, 3000) == 1 && recv(s, got, sizeof(got), 0) == 100);
	dgram[0][5] = dgram[1][5] = PLANE_FLAG_NO_CHECKSUM;
	CHECK(plane_feed(plane, &from, dgram[0], n));
	CHECK(poll(&(struct pollfd){.fd = s, .events = POLLIN}, 1, 3000) == 1 && recv(s, got, sizeof(got), 0) == 100);
	plane_listening(plane, &to, &none);
	burst = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(setsockopt(burst, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &each, sizeof(each)) == 0);
	CHECK(sendto(burst, dgram, sizeof(dgram), 0, &to.sa, sizeof(to.in)) == sizeof(dgram));
	for (int i = 0; i < 2; i++)
		CHECK(poll(&(struct pollfd){.fd = s, .events = POLLIN}, 1, 3000) == 1 && recv(s, got, sizeof(got), 0) == 100);
	/* Counted when the write returns. */
	for (int i = 0; i < 3000; i++) {
		plane_stats(plane, &stats);
		if (stats.tun_written == 4)
			break;
		usleep(1000);
	}
	CHECK(stats.tun_written == 4 && stats.tun_writes == ((plane_tun(plane)->offloads & TUN_USO) != 0 ? 3 : 4));
	close(burst);
	close(s);
	plane_free(plane);
}

TEST(packets_wait_for_a_session_and_the_oldest_give_way)
{
	struct plane_event e;
	uint32_t peer = 0, index = 0;

	start();
	CHECK(plane_peer_add(plane, &peer, &err) == 0);
	plane_block_set(plane, 2, peer);
	send_some(3, 100);
	CHECK(hear(PLANE_EVENT_WANTED, &e) && e.peer == peer && e.count >= 1);
	send_some(200, 100);
	for (int i = 0; i < 3000 && staged_lost() != 203 - PLANE_STAGED_PER_PEER; i++)
		usleep(1000);
	CHECK(staged() == PLANE_STAGED_PER_PEER && staged_lost() == 203 - PLANE_STAGED_PER_PEER);
	CHECK(atomic_load(&sealed) == 0);
	use_loopback(peer);
	CHECK(plane_index_take(plane, &index, &err) == 0);
	plane_session_publish(plane, index, peer, new_session(), PLANE_USE_NOW);
	CHECK(plane_session_sending(plane, peer) == index);
	for (int i = 0; i < 3000 && atomic_load(&sealed) < PLANE_STAGED_PER_PEER; i++)
		usleep(1000);
	CHECK(atomic_load(&sealed) == PLANE_STAGED_PER_PEER && staged() == 0);
	plane_session_retire(plane, index);
	CHECK(plane_session_sending(plane, peer) == PLANE_NOBODY && reaped() && atomic_load(&freed) == 1);
	/* Wanted again, now that there is none. */
	send_some(1, 100);
	CHECK(hear(PLANE_EVENT_WANTED, &e) && e.peer == peer);
	plane_free(plane);
}

/* While traffic goes on, all that control takes away is freed, and nothing of it before its time. */
TEST(peers_and_sessions_come_and_go_under_traffic)
{
	uint32_t peer = 0, index = 0;

	start();
	for (int i = 0; i < 60; i++) {
		CHECK(plane_peer_add(plane, &peer, &err) == 0);
		plane_block_set(plane, 2, peer);
		send_some(20, 1200);
		use_loopback(peer);
		if (i % 3 != 0) {
			CHECK(plane_index_take(plane, &index, &err) == 0);
			plane_session_publish(plane, index, peer, new_session(), PLANE_USE_NOW);
			send_some(20, 1200);
			use_loopback(peer);
		}
		if (i % 3 == 1)
			plane_session_retire(plane, index);
		send_some(10, 300);
		plane_peer_remove(plane, peer);
		if (i % 2 == 0)
			CHECK(reaped());
	}
	CHECK(reaped() && atomic_load(&freed) == 40 && staged() == 0);
	plane_free(plane);
}

TEST(all_is_freed_in_the_middle_of_it)
{
	uint32_t peer = 0, index = 0;

	start();
	CHECK(plane_peer_add(plane, &peer, &err) == 0 && plane_index_take(plane, &index, &err) == 0);
	plane_block_set(plane, 2, peer);
	use_loopback(peer);
	plane_session_publish(plane, index, peer, new_session(), PLANE_USE_CONFIRMED);
	send_some(50, 1000);
	plane_masks_set(plane, malloc(8));
	plane_masks_set(plane, malloc(8));
	plane_free(plane);
	CHECK(atomic_load(&freed) == 1);
}

TEST(impossible_options_are_refused)
{
	struct plane_options o = {.interface = "mesh%d", .mtu = 1279, .range4_len = 19};

	CHECK(plane_new(&o, &crypto, &scope, &err) == NULL && err.kind == ERR_USAGE);
	o.mtu = PLANE_CONTENT_MAX + 1;
	CHECK(plane_new(&o, &crypto, &scope, &err) == NULL && err.kind == ERR_USAGE);
	o.mtu = 0;
	o.interface = "a-name-that-is-too-long";
	CHECK(plane_new(&o, &crypto, &scope, &err) == NULL);
	plane_free(NULL);
}
