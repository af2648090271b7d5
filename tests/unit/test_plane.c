/* Peers, sessions and what waits for them come and go under a running data plane, in a network of this test's own. */
#include "mesh/plane.h"

#include <arpa/inet.h>
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

/* Sessions that only count. */
static bool seal(struct session *s, uint8_t *dgram, size_t n, uint8_t type, uint8_t flags)
{
	/* Read, so that a freed one is found out. */
	CHECK(*(int *)(void *)s == 77);
	put_be32(dgram, 1);
	dgram[4] = type;
	dgram[5] = flags;
	dgram[PLANE_HEADER_LEN + n] = 0;
	atomic_fetch_add(&sealed, 1);
	return true;
}

static bool peek(const void *masks, const uint8_t *dgram, size_t len, bool (*known)(void *arg, uint32_t index), void *arg,
		 struct plane_head *head)
{
	(void)masks;
	(void)len;
	head->index = get_be32(dgram);
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
static const struct plane_scope scope = {.arg = NULL};

static struct session *new_session(void)
{
	int *s = malloc(sizeof(*s));

	*s = 77;
	return (struct session *)(void *)s;
}

static void start(void)
{
	struct plane_options o = {.interface = "mesh%d", .tun_offloads = ~0u, .range4 = 0xc6120000, .range4_len = 19,
				  .range6 = {0xfd, 0x12}};
	struct netlink_prefix ours = {.family = AF_INET, .addr = {198, 18, 0, 9}, .len = 19};
	struct netlink n;

	if (unshare(CLONE_NEWNET) < 0)
		SKIP("not root");
	o.listen4.in.sin_family = AF_INET;
	o.listen4.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
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
