/* How soon nodes of a network reach each other, and by which of their addresses, on a virtual clock. */
#include "tap.h"

#include "mesh_sim.h"

#define WALL (FIXTURE_CREATED + 86400)

static struct sim *network(uint64_t seed, unsigned count)
{
	struct sim *s = sim_new(seed);
	unsigned i;

	for (i = 0; i < count; i++)
		sim_add(s, 0, WALL);
	for (i = 2; i <= count; i++)
		sim_configure(&s->node[i], &s->node[1]);
	return s;
}

static struct mesh_peer_info info_of(struct sim_node *n, const struct sim_node *other)
{
	struct mesh_peer_info i;

	REQUIRE(mesh_engine_find(n->e, other->key.id, &i));
	return i;
}

static uint64_t received(const struct sim *s)
{
	uint64_t all = 0;
	unsigned i;

	for (i = 1; i <= s->count; i++)
		all += s->node[i].received_data;
	return all;
}

/*
 * Milliseconds from the start of the last of them until each has had a packet of each; each tries once a known other
 * one. They start one after the other, at random within `apart` ms.
 */
static int64_t all_pairs_ms(unsigned count, int64_t delay_ms, unsigned apart, uint64_t seed)
{
	struct sim *s = sim_new(seed);
	bool sent[SIM_NODES + 1][SIM_NODES + 1] = {{false}};
	int64_t ms = 0;
	unsigned i, k;

	s->delay_ms = delay_ms;
	for (i = 1; i <= count; i++) {
		sim_add(s, 0, WALL);
		if (i > 1)
			sim_configure(&s->node[i], &s->node[1]);
		if (apart > 0)
			sim_wait(s, (int64_t)(mesh_random(&s->seed) % (2 * apart / count)));
	}
	for (; ms < 10000 && received(s) < (uint64_t)count * (count - 1); ms++) {
		for (i = 1; i <= count; i++)
			for (k = 1; k <= count; k++)
				if (i != k && !sent[i][k])
					sent[i][k] = sim_data(&s->node[i], &s->node[k]);
		sim_wait(s, 1);
	}
	sim_free(s);
	return ms;
}

TEST(twenty_nodes_that_start_at_once_reach_each_other_in_half_a_second)
{
	int64_t worst = 0, ms;
	unsigned seed;

	for (seed = 1; seed <= 10; seed++) {
		ms = all_pairs_ms(20, 2, seed % 2 * 300, seed);
		if (ms > worst)
			worst = ms;
	}
	printf("# 2 ms away: all pairs %lld ms after the start\n", (long long)worst);
	CHECK(worst <= 500);
	ms = all_pairs_ms(20, 20, 300, 1);
	printf("# 20 ms away: %lld ms\n", (long long)ms);
	CHECK(ms <= 1000);
}

/* Each tries every `ms` until something comes; how long it took. */
static int64_t until_data(struct sim_node *from, struct sim_node *to, int64_t ms, int64_t most_ms)
{
	struct sim *s = from->sim;
	uint64_t before = to->received_data;
	int64_t start = s->now_ms;

	while (to->received_data == before && s->now_ms - start < most_ms) {
		sim_data(from, to);
		sim_wait(s, ms);
	}
	return s->now_ms - start;
}

TEST(a_first_packet_is_there_within_fifty_milliseconds_of_the_start)
{
	struct sim *s = sim_new(2);
	struct sim_node *a, *b;
	int64_t ms;

	s->disk = true;
	a = sim_add(s, 0, WALL);
	b = sim_add(s, 0, WALL);
	sim_configure(b, a);
	ms = until_data(b, a, 1, 1000);
	printf("# %lld ms with an endpoint alone\n", (long long)ms);
	CHECK(ms <= 50);
	sim_wait(s, 1000);
	sim_kill(b);
	sim_start(b, WALL);
	ms = until_data(b, a, 1, 1000);
	printf("# %lld ms with what the disk has\n", (long long)ms);
	CHECK(ms <= 50);
	sim_free(s);
}

/* A peer is killed, and starts again after `away_ms`; the other one sends all the time. */
static int64_t restart(int64_t away_ms, bool disk)
{
	struct sim *s = sim_new(3);
	struct sim_node *a, *b;
	int64_t ms;

	s->disk = disk;
	a = sim_add(s, 0, WALL);
	b = sim_add(s, 0, WALL);
	sim_configure(b, a);
	sim_wait(s, 5000);
	CHECK(until_data(a, b, 10, 1000) <= 20);
	sim_kill(b);
	until_data(a, b, 100, away_ms);
	sim_start(b, WALL);
	if (!disk)
		sim_configure(b, a);
	ms = until_data(a, b, 10, 10000);
	sim_free(s);
	return ms;
}

TEST(a_restarted_peer_answers_within_a_tenth_of_a_second)
{
	static const int64_t away_ms[] = {100, 2000, 5000, 12000, 60000, 170000, 400000};
	int64_t ms, worst = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(away_ms) * 2; i++) {
		ms = restart(away_ms[i / 2], i % 2 == 0);
		if (ms > worst)
			worst = ms;
	}
	printf("# %lld ms at most\n", (long long)worst);
	CHECK(worst <= 100);
}

TEST(a_killed_peer_is_said_to_be_unreachable)
{
	struct sim *s = network(4, 2);
	struct sim_node *a = &s->node[1], *b = &s->node[2];
	int64_t ms;

	sim_wait(s, 1000);
	CHECK(until_data(a, b, 10, 1000) <= 20);
	sim_wait(s, 5000);
	sim_kill(b);
	for (ms = 0; ms < 20000 && a->given_up == 0; ms += 100) {
		sim_data(a, b);
		sim_wait(s, 100);
	}
	printf("# after %lld ms\n", (long long)ms);
	CHECK(ms <= 6000);	/* a second to notice, 700 ms of probes, 3 s of calls */
	CHECK(!info_of(a, b).live && info_of(a, b).path == MESH_PATH_NONE);
	sim_free(s);
}

TEST(one_that_is_only_quiet_is_not)
{
	struct sim *s = network(5, 2);
	struct sim_node *a = &s->node[1], *b = &s->node[2];
	int i;

	sim_wait(s, 1000);
	/* Data goes one way for ten minutes, and one datagram in five is lost. */
	s->loss_percent = 20;
	for (i = 0; i < 600; i++) {
		sim_data(a, b);
		sim_wait(s, 1000);
	}
	CHECK_INT(a->given_up, 0);
	CHECK(b->received_data > 400);
	CHECK(info_of(a, b).live);
	sim_free(s);
}

TEST(a_new_address_is_followed_at_once_by_all_live_peers)
{
	struct sim *s = network(6, 8);
	struct record_endpoint own = {ENDPOINT_OWN, {ENDPOINT_V4, {192, 0, 2, 99}, 7783}};
	struct sim_node *n = &s->node[3];
	uint64_t before;
	unsigned i;

	sim_wait(s, 3000);
	for (i = 1; i <= 8; i++)
		if (i != 3)
			CHECK(until_data(&s->node[i], n, 1, 100) < 100);
	sim_wait(s, 1000);
	n->at = own.at;
	mesh_engine_endpoints(n->e, &own, 1, s->now_ms);
	sim_pump(n);
	/* There, back to the new address and there again. */
	sim_wait(s, 7);
	before = n->received_data;
	for (i = 1; i <= 8; i++)
		if (i != 3)
			CHECK(sim_data(&s->node[i], n));
	sim_wait(s, 2);
	CHECK_INT(n->received_data, before + 7);
	/* The same although most of what says so is lost. */
	own.at.addr[3] = 98;
	n->at = own.at;
	s->loss_percent = 50;
	mesh_engine_endpoints(n->e, &own, 1, s->now_ms);
	sim_pump(n);
	sim_wait(s, 500);
	s->loss_percent = 0;
	sim_wait(s, 1500);
	for (i = 1; i <= 8; i++)
		if (i != 3)
			CHECK(endpoint_equal(&s->node[i].peers[info_of(&s->node[i], n).peer].at, &own.at));
	sim_free(s);
}

TEST(calls_that_came_to_nothing_are_repeated_from_a_new_address)
{
	struct sim *s = network(7, 3);
	struct record_endpoint own = {ENDPOINT_OWN, {ENDPOINT_V4, {192, 0, 2, 99}, 7783}};
	struct sim_node *a = &s->node[2], *b = &s->node[3];
	int i;

	sim_wait(s, 8000);
	s->cut[2][1] = s->cut[2][3] = true;
	for (i = 0; i < 40; i++) {
		sim_data(a, b);
		sim_wait(s, 1000);
	}
	CHECK(!info_of(a, b).live && info_of(a, b).calling);
	CHECK(sim_data(a, b));
	s->cut[2][1] = s->cut[2][3] = false;
	a->at = own.at;
	mesh_engine_endpoints(a->e, &own, 1, s->now_ms);
	sim_pump(a);
	sim_wait(s, 10);
	CHECK(info_of(a, b).live);
	CHECK(b->received_data > 0);
	sim_free(s);
}

TEST(a_probe_measures_now_and_only_live_peers)
{
	struct sim *s = network(8, 3);
	struct sim_node *a = &s->node[1], *b = &s->node[2];
	uint8_t nobody[NODE_ID_LEN] = {1};
	uint64_t sent;

	sim_wait(s, 1000);
	CHECK(mesh_engine_probe(a->e, nobody, s->now_ms) < 0);
	CHECK(!info_of(b, &s->node[3]).live && mesh_engine_probe(b->e, s->node[3].key.id, s->now_ms) < 0);
	sim_wait(s, 5000);
	sent = a->sent;
	CHECK(mesh_engine_probe(a->e, b->key.id, s->now_ms) == 0);
	/* One at a time. */
	CHECK(mesh_engine_probe(a->e, b->key.id, s->now_ms) == 0);
	sim_pump(a);
	CHECK_INT(a->sent, sent + 1);
	sim_wait(s, 5);
	CHECK_INT(info_of(a, b).rtt_us, 4000);
	CHECK_INT(info_of(a, b).probed_ms, s->now_ms - 1);
	s->delay_ms = 20;
	CHECK(mesh_engine_probe(a->e, b->key.id, s->now_ms) == 0);
	sim_pump(a);
	sim_wait(s, 50);
	CHECK_INT(info_of(a, b).rtt_us, 40000);
	CHECK_INT(info_of(a, b).probed_ms, s->now_ms - 10);
	sim_free(s);
}

/* b has two addresses of one kind, of which a uses the one that is slow now. */
static struct sim *two_addresses(struct sim_node **a, struct sim_node **b)
{
	struct sim *s = network(9, 2);
	struct record_endpoint own[2] = {{ENDPOINT_OWN, {ENDPOINT_V4, {192, 0, 2, 2}, 7783}},
					 {ENDPOINT_OWN, {ENDPOINT_V4, {198, 51, 100, 2}, 7783}}};

	*a = &s->node[1];
	*b = &s->node[2];
	(*b)->also = own[1].at;
	mesh_engine_endpoints((*b)->e, own, 2, s->now_ms);
	/* Neither is on a's network. */
	(*a)->at.addr[2] = 77;
	own[0].at = (*a)->at;
	mesh_engine_endpoints((*a)->e, own, 1, s->now_ms);
	sim_configure(*b, *a);
	sim_wait(s, 7000);
	return s;
}

static bool uses_first(struct sim_node *a, const struct sim_node *b)
{
	return endpoint_equal(&a->peers[info_of(a, b).peer].at, &b->at);
}

static void data_for(struct sim *s, struct sim_node *a, struct sim_node *b, int64_t ms)
{
	int64_t end = s->now_ms + ms;

	while (s->now_ms < end) {
		CHECK(sim_data(a, b));
		sim_wait(s, 500);
	}
}

TEST(a_faster_address_is_taken_when_it_stays_faster)
{
	struct sim_node *a, *b;
	struct sim *s = two_addresses(&a, &b);
	int64_t ms;

	data_for(s, a, b, 1000);
	CHECK(uses_first(a, b));
	data_for(s, a, b, 60000);
	CHECK(uses_first(a, b));
	s->slow = b->at;
	s->slow_ms = 10;
	for (ms = 0; ms < 120000 && uses_first(a, b); ms += 500)
		data_for(s, a, b, 500);
	printf("# taken %lld ms after the other became slow\n", (long long)ms);
	CHECK(ms >= 5000 && ms <= 45000);
	CHECK(!uses_first(a, b));
	sim_free(s);
}

TEST(an_address_that_is_a_little_faster_or_only_for_a_moment_is_not)
{
	struct sim_node *a, *b;
	struct sim *s = two_addresses(&a, &b);
	int i;

	s->delay_ms = 20;
	data_for(s, a, b, 1000);
	s->slow = b->at;
	/* 45 to 40. */
	s->slow_ms = 5;
	data_for(s, a, b, 120000);
	CHECK(uses_first(a, b));
	/* Slow for three seconds of each ten. */
	for (i = 0; i < 30; i++) {
		s->slow_ms = 60;
		data_for(s, a, b, 3000);
		s->slow_ms = 0;
		data_for(s, a, b, 7000);
	}
	CHECK(uses_first(a, b));
	sim_free(s);
}

TEST(a_newcomer_is_known_to_all_at_once_without_any_traffic)
{
	struct sim *s = network(10, 19);
	unsigned i;

	sim_wait(s, 20000);
	sim_add(s, 0, WALL);
	sim_configure(&s->node[20], &s->node[1]);
	sim_wait(s, 50);
	for (i = 1; i <= 20; i++)
		CHECK_INT(mesh_engine_peers(s->node[i].e), 19);
	sim_free(s);
}
