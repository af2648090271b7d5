/* The engine of a network, many of them against each other on a virtual clock. */
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

static size_t known_to_all(struct sim *s)
{
	size_t least = SIZE_MAX;
	unsigned i;

	for (i = 1; i <= s->count; i++)
		if (mesh_engine_peers(s->node[i].e) < least)
			least = mesh_engine_peers(s->node[i].e);
	return least;
}

/* A packet of each to each, and whether all have come after ms. */
static bool all_pairs(struct sim *s, int64_t ms)
{
	uint64_t before = 0, after = 0;
	unsigned i, k;

	for (i = 1; i <= s->count; i++)
		before += s->node[i].received_data;
	for (i = 1; i <= s->count; i++)
		for (k = 1; k <= s->count; k++)
			if (i != k)
				CHECK(sim_data(&s->node[i], &s->node[k]));
	sim_wait(s, ms);
	for (i = 1; i <= s->count; i++)
		after += s->node[i].received_data;
	return after - before == s->count * (s->count - 1);
}

TEST(two_nodes_find_each_other_by_a_configured_endpoint)
{
	struct sim *s = network(1, 2);

	sim_wait(s, 50);
	CHECK(sim_live(&s->node[1], &s->node[2]) && sim_live(&s->node[2], &s->node[1]));
	CHECK(all_pairs(s, 10));
	sim_free(s);
}

TEST(three_and_twenty_nodes_reach_each_other_in_all_pairs)
{
	struct sim *s = network(2, 3);

	sim_wait(s, 3000);
	CHECK_INT(known_to_all(s), 2);
	CHECK(all_pairs(s, 100));
	sim_free(s);
	s = network(3, 20);
	sim_wait(s, 8000);
	CHECK_INT(known_to_all(s), 19);
	CHECK(all_pairs(s, 500));
	sim_free(s);
}

/* Whether what a sends with is what b sends with. */
static bool one_session(struct sim_node *a, struct sim_node *b)
{
	uint32_t peer;
	struct sim_session *x = sim_session(a, sim_peer(a, b, &peer)->sending);

	return x != NULL && x->s->tx.remote_index == sim_peer(b, a, &peer)->sending;
}

TEST(crossing_initiations_come_to_one_session_on_both_sides)
{
	unsigned seed;

	for (seed = 1; seed <= 40; seed++) {
		struct sim *s = network(seed, 3);

		sim_wait(s, 8000);
		CHECK(!sim_live(&s->node[2], &s->node[3]) && !sim_live(&s->node[3], &s->node[2]));
		s->delay_ms = (int64_t)(mesh_random(&s->seed) % 60);
		CHECK(all_pairs(s, 700));
		CHECK(one_session(&s->node[2], &s->node[3]));
		sim_free(s);
	}
}

TEST(half_of_all_datagrams_lost_is_no_end)
{
	struct sim *s = network(5, 3);
	unsigned i;

	s->loss_percent = 50;
	sim_wait(s, 900000);
	CHECK_INT(known_to_all(s), 2);
	for (i = 0; i < 50; i++) {
		sim_data(&s->node[2], &s->node[3]);
		sim_wait(s, 1000);
	}
	CHECK(s->node[3].received_data > 10);
	sim_free(s);
}

TEST(a_restarted_node_is_back_with_the_next_packet)
{
	struct sim *s = network(6, 2);
	struct mesh_engine_stats st;
	uint64_t before;

	sim_wait(s, 5000);
	CHECK(all_pairs(s, 50));
	sim_kill(&s->node[2]);
	sim_start(&s->node[2], WALL);
	sim_wait(s, 2000);
	before = s->node[2].received_data;
	CHECK(sim_data(&s->node[1], &s->node[2]));
	sim_wait(s, 20);
	CHECK(sim_data(&s->node[1], &s->node[2]));
	sim_wait(s, 80);
	CHECK(s->node[2].received_data > before);
	mesh_engine_stats(s->node[1].e, &st);
	CHECK_INT(st.hints_taken, 1);
	sim_free(s);
}

/* How long until what node 1 has for node 2, a packet each 10 ms, comes to it. */
static int64_t back_after(struct sim *s, int64_t limit_ms)
{
	uint64_t before = s->node[2].received_data;
	int64_t since_ms = s->now_ms;

	while (s->node[2].received_data == before && s->now_ms - since_ms < limit_ms) {
		sim_data(&s->node[1], &s->node[2]);
		sim_wait(s, 10);
	}
	return s->now_ms - since_ms;
}

/* One that keeps nothing of the other, and so calls nobody: whoever still sends to it learns of that by a hint. */
TEST(a_node_killed_right_after_it_came_is_back_with_the_next_packet)
{
	static const int64_t ages_ms[] = {300, 2500, 6000};

	for (uint64_t seed = 1; seed <= 6; seed++)
		for (size_t k = 0; k < ARRAY_SIZE(ages_ms); k++) {
			struct sim *s = sim_new(seed);

			sim_add(s, 0, WALL);
			sim_add(s, 0, WALL);
			sim_configure(&s->node[2], &s->node[1]);
			sim_wait(s, 50);
			CHECK(sim_live(&s->node[1], &s->node[2]));
			sim_data(&s->node[1], &s->node[2]);
			sim_wait(s, ages_ms[k]);
			sim_kill(&s->node[2]);
			sim_wait(s, 200);
			sim_start(&s->node[2], WALL);
			CHECK(back_after(s, 20000) < 100);
			sim_free(s);
		}
}

static void keep_sending(struct sim *s, int seconds)
{
	for (int i = 0; i < seconds * 10; i++) {
		sim_data(&s->node[1], &s->node[2]);
		sim_wait(s, 100);
	}
}

TEST(traffic_to_one_that_has_vanished_goes_on_calling_it)
{
	struct sim *s = sim_new(3);
	uint64_t told;

	sim_add(s, 0, WALL);
	sim_add(s, 0, WALL);
	sim_configure(&s->node[2], &s->node[1]);
	sim_wait(s, 50);
	mesh_engine_configured(s->node[2].e, NULL, 0, s->now_ms);
	keep_sending(s, 5);
	s->parted = true;
	s->node[2].side = 1;
	/* The series ends before the session does. */
	keep_sending(s, 100);
	told = s->node[1].given_up;
	keep_sending(s, 100);
	CHECK(s->node[1].given_up > told + 5);
	s->parted = false;
	CHECK(back_after(s, 60000) < 10000);
	sim_free(s);
}

TEST(a_session_in_use_is_renewed_and_an_idle_one_ends)
{
	struct sim *s = network(7, 2);
	uint64_t lost = 0;
	int i;

	sim_wait(s, 1000);
	for (i = 0; i < 900; i++) {
		uint64_t before = s->node[2].received_data;

		sim_data(&s->node[1], &s->node[2]);
		sim_wait(s, 1000);
		lost += s->node[2].received_data == before;
	}
	CHECK_INT(lost, 0);
	CHECK_INT(s->node[1].refused + s->node[2].refused, 0);
	CHECK(s->node[1].sessions_count <= 3 && s->node[2].sessions_count <= 3);
	sim_free(s);
}

TEST(a_clock_wrong_by_a_day_or_by_thirty_years_silences_nobody)
{
	struct sim *s = sim_new(8);

	sim_add(s, 0, WALL);
	sim_add(s, 0, WALL - 86400);
	sim_add(s, 0, WALL + 86400);
	sim_add(s, 0, 1);
	sim_configure(&s->node[2], &s->node[1]);
	sim_configure(&s->node[3], &s->node[1]);
	sim_configure(&s->node[4], &s->node[1]);
	sim_wait(s, 8000);
	CHECK(all_pairs(s, 200));
	sim_free(s);
}

TEST(a_partition_heals_by_itself)
{
	struct sim *s = network(9, 6);
	unsigned i;

	sim_wait(s, 8000);
	CHECK(all_pairs(s, 300));
	for (i = 4; i <= 6; i++)
		s->node[i].side = 1;
	s->parted = true;
	sim_wait(s, 900000);
	CHECK(!sim_live(&s->node[1], &s->node[5]));
	/* Meanwhile one says something new. */
	snprintf(s->node[1].own.name, sizeof(s->node[1].own.name), "renamed");
	{
		struct error err = ERROR_INIT;

		CHECK(mesh_engine_own(s->node[1].e, &s->node[1].own, s->now_ms, &err) == 0);
		sim_pump(&s->node[1]);
	}
	s->parted = false;
	CHECK(all_pairs(s, 6000));
	sim_wait(s, 600000);
	for (i = 2; i <= 6; i++) {
		struct mesh_peer_info info;

		CHECK(mesh_engine_find(s->node[i].e, s->node[1].key.id, &info));
		CHECK_STR(info.name, "renamed");
	}
	sim_free(s);
}

/* The block of n's own address, as `by` sees it. */
static uint32_t block_seen(struct sim_node *by, const struct sim_node *n)
{
	uint32_t block = UINT32_MAX;

	CHECK(claims_holds(mesh_engine_claims(by->e), n->key.id, 0, &block));
	return block;
}

TEST(nodes_that_meet_late_settle_on_a_block_each)
{
	struct sim *s = sim_new(23);
	uint64_t moved = 0;
	unsigned i, k;

	/* Eight blocks for six nodes that have never heard of each other: some have chosen the same. */
	s->net.key.range = (struct range){.v4 = 0xc6122000, .prefix = 26};
	netkey_subkeys(&s->net.subkeys, &s->net.key);
	addressing_init(&s->net.addressing, s->net.key.id, &s->net.key.range, s->net.key.created_s);
	for (i = 1; i <= 6; i++) {
		sim_add(s, 0, WALL + i);
		s->node[i].side = i;
	}
	s->parted = true;
	sim_wait(s, 10000);
	s->parted = false;
	for (i = 2; i <= 6; i++)
		sim_configure(&s->node[i], &s->node[1]);
	sim_wait(s, 120000);
	for (i = 1; i <= 6; i++) {
		moved += s->node[i].moved;
		for (k = 1; k <= 6; k++)
			CHECK_INT(block_seen(&s->node[k], &s->node[i]), block_seen(&s->node[i], &s->node[i]));
		for (k = 1; k < i; k++)
			CHECK(block_seen(&s->node[1], &s->node[i]) != block_seen(&s->node[1], &s->node[k]));
	}
	printf("# %llu moved\n", (unsigned long long)moved);
	/* The one with the earliest claim never does. */
	CHECK_INT(s->node[1].moved, 0);
	CHECK(all_pairs(s, 500));
	sim_free(s);
}

TEST(a_node_that_roams_is_followed_at_once)
{
	struct sim *s = network(10, 2);
	struct record_endpoint own = {ENDPOINT_OWN, {ENDPOINT_V4, {192, 0, 2, 99}, 7783}};
	uint64_t before;

	sim_wait(s, 5000);
	CHECK(all_pairs(s, 50));
	s->node[2].at = own.at;
	mesh_engine_endpoints(s->node[2].e, &own, 1, s->now_ms);
	sim_pump(&s->node[2]);
	sim_wait(s, 20);
	before = s->node[2].received_data;
	CHECK(sim_data(&s->node[1], &s->node[2]));
	sim_wait(s, 10);
	CHECK_INT(s->node[2].received_data, before + 1);
	sim_free(s);
}

static void natted(enum sim_nat_kind a, enum sim_nat_kind b, bool reached)
{
	struct sim *s = sim_new(11);
	int i;

	sim_nat(s, 1, a);
	sim_nat(s, 2, b);
	sim_add(s, 0, WALL);
	sim_add(s, 1, WALL);
	sim_add(s, 2, WALL);
	sim_configure(&s->node[2], &s->node[1]);
	sim_configure(&s->node[3], &s->node[1]);
	sim_wait(s, 30000);
	CHECK_INT(known_to_all(s), 2);
	CHECK(sim_live(&s->node[2], &s->node[1]) && sim_live(&s->node[3], &s->node[1]));
	/* An hour later the node without a NAT still reaches them, and they each other. */
	sim_wait(s, 3600000);
	CHECK(sim_live(&s->node[1], &s->node[2]) && sim_live(&s->node[1], &s->node[3]));
	for (i = 0; i < 5; i++) {
		CHECK(sim_data(&s->node[2], &s->node[3]));
		sim_wait(s, 1000);
	}
	CHECK((s->node[3].received_data > 0) == reached);
	sim_free(s);
}

TEST(nodes_behind_nats_meet_through_a_third)
{
	natted(SIM_FULL_CONE, SIM_FULL_CONE, true);
	natted(SIM_SYMMETRIC, SIM_FULL_CONE, true);
	natted(SIM_FULL_CONE, SIM_SYMMETRIC, true);
	/* Two symmetric ones need a relay: they come to nothing, and harm nobody. */
	natted(SIM_SYMMETRIC, SIM_SYMMETRIC, false);
}

TEST(nodes_of_a_lan_find_each_other_by_beacons)
{
	struct sim *s = sim_new(12);
	unsigned i;

	for (i = 0; i < 4; i++)
		sim_add(s, 0, WALL)->lan = 1;
	sim_wait(s, 10000);
	CHECK_INT(known_to_all(s), 3);
	CHECK(all_pairs(s, 100));
	sim_free(s);
}

TEST(a_newcomer_on_a_lan_is_answered_by_those_that_were_heard_a_moment_ago)
{
	struct sim *s = sim_new(31);
	struct sim_node *n;
	unsigned i;

	for (i = 0; i < 2; i++)
		sim_add(s, 0, WALL)->lan = 1;
	sim_wait(s, 600000);
	/* Both speak, and are not alone: neither has a reason to call whoever comes. */
	sim_kill(&s->node[2]);
	sim_start(&s->node[2], WALL);
	sim_wait(s, 3000);
	CHECK(sim_live(&s->node[1], &s->node[2]) && sim_live(&s->node[2], &s->node[1]));
	n = sim_add(s, 0, WALL);
	n->lan = 1;
	sim_wait(s, 15000);
	CHECK(sim_live(n, &s->node[1]) || sim_live(n, &s->node[2]));
	CHECK_INT(known_to_all(s), 2);
	sim_free(s);
}

TEST(twenty_idle_nodes_send_at_most_ten_packets_a_minute)
{
	struct sim *s = network(13, 20);
	uint64_t before[SIM_NODES], worst = 0, all = 0;
	unsigned i;

	sim_wait(s, 10000);
	CHECK(all_pairs(s, 500));
	sim_wait(s, 600000);
	for (i = 1; i <= 20; i++)
		before[i] = s->node[i].sent;
	sim_wait(s, 1800000);
	for (i = 1; i <= 20; i++) {
		uint64_t sent = s->node[i].sent - before[i];

		all += sent;
		if (sent > worst)
			worst = sent;
	}
	printf("# idle: %.1f packets a minute and node, the busiest %.1f\n", (double)all / 600, (double)worst / 30);
	CHECK(worst <= 300);
	/* And they still know each other. */
	CHECK_INT(known_to_all(s), 19);
	CHECK(all_pairs(s, 500));
	sim_free(s);
}

/* count records of nodes that are nowhere. */
static void load_records(struct sim_node *n, unsigned count)
{
	struct error err = ERROR_INIT;
	unsigned i;

	for (i = 0; i < count; i++) {
		struct mesh_node other;

		REQUIRE(node_init(&other, &n->sim->net, "x") == 0);
		CHECK(mesh_engine_load(n->e, buf_slice(&other.bytes), 0, n->sim->now_ms, &err) == 0);
		node_release(&other);
		sim_pump(n);
	}
}

TEST(a_thousand_records_spread_to_all)
{
	struct sim *s = sim_new(14);
	unsigned i;

	sim_add(s, 0, WALL);
	load_records(&s->node[1], 1000);
	for (i = 0; i < 3; i++) {
		sim_add(s, 0, WALL);
		sim_configure(&s->node[i + 2], &s->node[1]);
	}
	sim_wait(s, 60000);
	CHECK_INT(known_to_all(s), 1003);
	sim_free(s);
}

TEST(more_records_than_a_network_may_have_make_room_for_each_other)
{
	struct sim *s = network(24, 2);

	sim_wait(s, 1000);
	CHECK(all_pairs(s, 50));
	load_records(&s->node[1], ENGINE_PEERS_MAX + 50);
	CHECK_INT(mesh_engine_peers(s->node[1].e), ENGINE_PEERS_MAX - 1);
	/* Whoever is in a session stays. */
	CHECK(sim_live(&s->node[1], &s->node[2]));
	CHECK(all_pairs(s, 50));
	sim_free(s);
}

/* A member's own message, said without its engine. */
static void say(struct sim_node *from, const struct sim_node *to, const struct message *m)
{
	uint8_t content[MESSAGE_LEN_MAX];
	uint32_t peer;
	struct sim_peer *p = sim_peer(from, to, &peer);

	REQUIRE(p != NULL && p->sending != 0);
	sim_seal(from, p, p->sending, NULL, PACKET_CONTROL, slice_of(content, message_put(m, content, sizeof(content))));
}

TEST(a_peer_says_what_it_would_let_in)
{
	struct sim *s = network(21, 2);
	struct mesh_ask ask = {77, 6, 445, 3, SLOT_FORWARD_MAX};
	struct sim_node *a = &s->node[1], *b = &s->node[2];
	uint8_t nobody[NODE_ID_LEN] = {1};
	char long_text[400];

	sim_wait(s, 5000);
	CHECK(all_pairs(s, 100));
	CHECK(mesh_engine_ask(a->e, nobody, &ask) < 0);
	CHECK(mesh_engine_ask(a->e, b->key.id, &ask) == 0);
	sim_pump(a);
	sim_wait(s, 100);
	CHECK(b->asked.kind == MESH_ACT_ASKED && b->asked.ask.token == 77 && b->asked.ask.protocol == 6 && b->asked.ask.port == 445 &&
	      b->asked.ask.ordinal == 3 && b->asked.ask.slot == SLOT_FORWARD_MAX);
	CHECK(memcmp(b->asked.node, a->key.id, NODE_ID_LEN) == 0);
	memset(long_text, 'x', sizeof(long_text));
	mesh_engine_answer(b->e, b->asked.peer, ask.token, ANSWER_DENIED, slice_of((const uint8_t *)long_text, sizeof(long_text)));
	sim_pump(b);
	sim_wait(s, 100);
	CHECK(a->answer.kind == MESH_ACT_ANSWER && a->answer.ask.token == 77 && a->answer.verdict == ANSWER_DENIED);
	CHECK_INT(strlen(a->answer_text), ANSWER_TEXT_MAX);
	sim_free(s);
}

TEST(a_member_cannot_aim_the_others_at_a_victim)
{
	struct sim *s = network(15, 3);
	struct message m = {.type = MESSAGE_INTRODUCE};
	int i, k;

	sim_wait(s, 5000);
	CHECK(all_pairs(s, 100));
	s->victim = (struct endpoint){ENDPOINT_V4, {203, 0, 113, 5}, 53};
	/* 2 asks 1 to have 3 call the victim; and, straight, 3 itself, as 1 would. */
	memcpy(m.u.introduce.node, s->node[3].key.id, NODE_ID_LEN);
	m.u.introduce.count = CANDIDATES_MAX;
	for (i = 0; i < CANDIDATES_MAX; i++)
		m.u.introduce.at[i] = s->victim;
	for (i = 0; i < 1000; i++) {
		m.type = MESSAGE_INTRODUCE;
		memcpy(m.u.introduce.node, s->node[3].key.id, NODE_ID_LEN);
		say(&s->node[2], &s->node[1], &m);
		m.type = MESSAGE_INTRODUCED;
		for (k = 0; k < NODE_ID_LEN; k++)
			m.u.introduce.node[k] = (uint8_t)mesh_random(&s->seed);
		say(&s->node[2], &s->node[3], &m);
		sim_wait(s, 10);
	}
	printf("# %llu datagrams at the victim in 10 s\n", (unsigned long long)s->at_victim);
	CHECK(s->at_victim > 0 && s->at_victim <= 72);
	CHECK(mesh_engine_peers(s->node[3].e) <= 100);
	sim_free(s);
}

TEST(a_beacon_by_any_other_way_than_multicast_aims_nobody_at_a_victim)
{
	struct packet_beacon b = {.boot_epoch = 1, .sequence = 1, .port_v4 = 53, .answer = true};
	struct packet_who who = {.nonce = 1};
	struct sim *s = network(15, 1);
	struct nodekey other;
	uint8_t d[PACKET_OUTER_MAX];
	struct subkeys k;
	size_t len;
	int i;

	netkey_subkeys(&k, &s->net.key);
	sim_wait(s, 5000);
	s->victim = (struct endpoint){ENDPOINT_V4, {203, 0, 113, 5}, 53};
	for (i = 0; i < 50; i++) {
		b.id[0]++;
		len = packet_put_beacon(&k, &b, d);
		sim_receive(&s->node[1], &s->victim, d, len);
		sim_wait(s, 100);
	}
	CHECK_INT(s->at_victim, 0);
	/* Nor is the multicast a way in for anything else. */
	sim_beacon(&s->node[1], &s->victim, d, len);
	CHECK_INT(s->at_victim, 1);
	nodekey_generate(&other);
	memcpy(who.sign_public, other.sign_public, sizeof(who.sign_public));
	memcpy(who.static_public, other.static_public, sizeof(who.static_public));
	len = packet_put_who(&k, &who, NULL, d);
	sim_beacon(&s->node[1], &s->victim, d, len);
	CHECK_INT(s->at_victim, 1);
	sim_receive(&s->node[1], &s->victim, d, len);
	CHECK_INT(s->at_victim, 2);
	sim_free(s);
}

TEST(a_member_that_floods_is_slowed_and_the_others_go_on)
{
	struct sim *s = network(16, 3);
	struct message digest = {.type = MESSAGE_DIGEST};
	uint64_t sent, data;
	int i;

	sim_wait(s, 5000);
	load_records(&s->node[1], 500);
	CHECK(all_pairs(s, 100));
	sent = s->node[1].sent_bytes;
	data = s->node[3].received_data;
	for (i = 0; i < 10000; i++) {
		say(&s->node[2], &s->node[1], &digest);
		if (i % 100 == 0)
			CHECK(sim_data(&s->node[1], &s->node[3]));
		sim_wait(s, 1);
	}
	CHECK(s->node[3].received_data - data >= 100);
	sent = s->node[1].sent_bytes - sent;
	printf("# %llu bytes in answer to 10,000 digests in 10 s\n", (unsigned long long)sent);
	CHECK(sent < 2000000);
	sim_free(s);
}

TEST(strangers_with_the_key_get_cookies_and_hints_within_limits)
{
	struct sim *s = network(17, 2);
	struct sim_node *n = &s->node[1];
	struct mesh_engine_stats st;
	struct mesh_node other;
	int i;

	sim_wait(s, 5000);
	REQUIRE(node_init(&other, &s->net, "other") == 0);
	for (i = 0; i < 4000; i++) {
		struct endpoint from = {ENDPOINT_V4, {203, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4000};
		uint8_t d[PACKET_OUTER_MAX];
		struct handshake hs;
		size_t len = handshake_initiate(&hs, &other.self, n->key.id, n->key.static_public, (uint32_t)i + 1,
						(uint32_t)i + 1, true, NULL, d);

		mesh_engine_datagram(n->e, &from, d, len, s->now_ms + i / 40);
		/* A data packet of nobody. */
		memset(d, 0, 64);
		packet_header_put(d, &(struct packet_header){.receiver = 77, .type = PACKET_DATA, .counter = 5});
		memset(d + 16, i, 32);
		packet_mask(s->net.subkeys.mask, d);
		mesh_engine_datagram(n->e, &from, d, 64, s->now_ms + i / 40);
		sim_pump(n);
	}
	mesh_engine_stats(n->e, &st);
	printf("# %llu cookies, %llu taken, %llu hints\n", (unsigned long long)st.cookies_sent,
	       (unsigned long long)st.initiations_taken, (unsigned long long)st.hints_sent);
	CHECK(st.cookies_sent > 3000 && st.initiations_taken < 200);
	CHECK(st.hints_sent >= 1 && st.hints_sent <= 12);
	CHECK(n->sessions_count <= 8);
	node_release(&other);
	sim_free(s);
}

TEST(one_source_gets_five_answers_at_once)
{
	struct sim *s = network(19, 1);
	struct sim_node *n = &s->node[1];
	struct endpoint from = {ENDPOINT_V4, {203, 0, 113, 9}, 4000};
	struct mesh_engine_stats st;
	struct mesh_node other;
	uint8_t d[PACKET_OUTER_MAX];
	struct handshake hs;
	unsigned i;

	REQUIRE(node_init(&other, &s->net, "other") == 0);
	for (i = 1; i <= 50; i++) {
		size_t len = handshake_initiate(&hs, &other.self, n->key.id, n->key.static_public, i, i, true, NULL, d);

		mesh_engine_datagram(n->e, &from, d, len, s->now_ms);
		/* A replay is counted against the source, and taken by nobody. */
		mesh_engine_datagram(n->e, &from, d, len, s->now_ms);
		sim_pump(n);
	}
	mesh_engine_stats(n->e, &st);
	CHECK_INT(st.initiations_taken, 3);
	CHECK_INT(st.initiations_refused, 2);
	CHECK_INT(st.strangers_limited, 95);
	CHECK_INT(n->sessions_count, 3);
	node_release(&other);
	sim_free(s);
}

TEST(under_load_a_member_comes_in_by_a_cookie)
{
	struct sim *s = network(20, 2);
	struct sim_node *n = &s->node[1];
	struct mesh_node other;
	uint8_t d[PACKET_OUTER_MAX];
	struct mesh_engine_stats st;
	struct handshake hs;
	unsigned i;

	s->parted = true;
	s->node[2].side = 1;
	sim_wait(s, 5000);
	s->parted = false;
	REQUIRE(node_init(&other, &s->net, "other") == 0);
	for (i = 1; i <= 8000; i++) {
		struct endpoint from = {ENDPOINT_V4, {203, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i}, 4000};
		size_t len = handshake_initiate(&hs, &other.self, n->key.id, n->key.static_public, i, i, true, NULL, d);

		mesh_engine_datagram(n->e, &from, d, len, s->now_ms);
		sim_pump(n);
		sim_wait(s, 1);
	}
	mesh_engine_stats(n->e, &st);
	CHECK(st.cookies_sent > 4000);
	CHECK(sim_live(&s->node[2], &s->node[1]));
	node_release(&other);
	sim_free(s);
}

TEST(an_evicted_node_gets_silence)
{
	struct sim *s = network(21, 3);
	uint64_t before;

	sim_wait(s, 8000);
	CHECK(all_pairs(s, 300));
	mesh_engine_evict(s->node[1].e, s->node[3].key.id, s->now_ms);
	sim_pump(&s->node[1]);
	before = s->node[1].received_data;
	CHECK(sim_data(&s->node[3], &s->node[1]));
	sim_wait(s, 120000);
	CHECK(sim_data(&s->node[3], &s->node[1]));
	sim_wait(s, 5000);
	CHECK_INT(s->node[1].received_data, before);
	CHECK(!sim_live(&s->node[1], &s->node[3]));
	/* Nor does its record come back by way of the others. */
	{
		struct mesh_peer_info i;

		CHECK(mesh_engine_find(s->node[1].e, s->node[3].key.id, &i) && i.record.len == 0);
	}
	sim_free(s);
}

/* What is carried over a path of so many bytes of UDP. */
static unsigned mtu_over(size_t path)
{
	struct sim *s = network(22, 2);
	unsigned mtu;
	uint32_t peer;
	int i;

	sim_wait(s, 1000);
	s->mtu = path;
	for (i = 0; i < 20; i++) {
		sim_data(&s->node[1], &s->node[2]);
		sim_wait(s, 1000);
	}
	mtu = sim_peer(&s->node[1], &s->node[2], &peer)->mtu;
	sim_free(s);
	return mtu;
}

TEST(a_path_that_drops_large_datagrams_is_found_out)
{
	CHECK_INT(mtu_over(1452), 1420);
	CHECK_INT(mtu_over(1451), 1340);
	CHECK_INT(mtu_over(1372), 1340);	/* 1400 with IPv4 */
	CHECK_INT(mtu_over(1371), 1280);
	CHECK_INT(mtu_over(1312), 1280);
	CHECK_INT(mtu_over(1311), 1200);
}

static void talk(struct sim *s, bool back, int seconds)
{
	int i;

	for (i = 0; i < seconds; i++) {
		sim_data(&s->node[1], &s->node[2]);
		if (back)
			sim_data(&s->node[2], &s->node[1]);
		sim_wait(s, 1000);
	}
}

static unsigned mtu_now(struct sim *s)
{
	uint32_t peer;

	return sim_peer(&s->node[1], &s->node[2], &peer)->mtu;
}

TEST(a_path_that_becomes_narrow_without_a_word_is_found_out)
{
	struct sim *s = network(23, 2);

	sim_wait(s, 1000);
	talk(s, true, 40);
	CHECK_INT(mtu_now(s), 1420);
	/* While something comes back it is looked at now and then, */
	s->mtu = 1372;
	talk(s, true, 35);
	CHECK_INT(mtu_now(s), 1340);
	/* and soon when nothing does. */
	talk(s, true, 40);
	s->mtu = 1311;
	talk(s, false, 18);
	CHECK_INT(mtu_now(s), 1200);
	/* Once it is wide again that is found as well, all of it at once. */
	s->mtu = 0;
	talk(s, true, 500);
	CHECK_INT(mtu_now(s), 1200);
	talk(s, true, 140);
	CHECK_INT(mtu_now(s), 1420);
	sim_free(s);
}

TEST(a_path_that_carries_nothing_is_no_narrow_one)
{
	struct sim *s = network(24, 2);

	sim_wait(s, 1000);
	talk(s, true, 40);
	s->cut[1][2] = s->cut[2][1] = true;
	talk(s, false, 60);
	s->cut[1][2] = s->cut[2][1] = false;
	talk(s, true, 5);
	CHECK_INT(mtu_now(s), 1420);
	/* Nor is one that loses a part of everything. */
	s->loss_percent = 10;
	talk(s, true, 600);
	CHECK_INT(mtu_now(s), 1420);
	sim_free(s);
}

/* What a node sent last, kept to be mutated and sent again. */
static struct sim_event caught[64];
static unsigned caught_count;

static void catch_some(struct sim *s)
{
	size_t i;

	for (i = 0; i < s->events_count && s->events_count > 0; i++) {
		struct sim_event *c = &caught[caught_count++ % 64];

		free(c->bytes);
		*c = s->events[i];
		c->bytes = xmalloc(c->len);
		memcpy(c->bytes, s->events[i].bytes, c->len);
	}
}

TEST(a_million_random_mutated_and_replayed_datagrams_change_nothing)
{
	struct sim *s = network(18, 3);
	struct sim_node *n = &s->node[1];
	uint8_t d[2048];
	unsigned i, k;
	size_t peers;

	for (i = 0; i < 3000; i++) {
		sim_wait(s, 1);
		catch_some(s);
	}
	CHECK(all_pairs(s, 100));
	peers = mesh_engine_peers(n->e);
	for (i = 0; i < 1000000; i++) {
		struct endpoint from = {ENDPOINT_V4, {203, 0, 113, (uint8_t)mesh_random(&s->seed)}, 999};
		struct sim_event *c = &caught[mesh_random(&s->seed) % 64];
		size_t len = mesh_random(&s->seed) % 200;

		if (i % 3 > 0 && c->bytes != NULL) {
			len = c->len;
			memcpy(d, c->bytes, len);
			if (i % 3 == 1)
				d[mesh_random(&s->seed) % len] ^= (uint8_t)(1 + mesh_random(&s->seed) % 255);
		} else {
			for (k = 0; k < len; k++)
				d[k] = (uint8_t)mesh_random(&s->seed);
		}
		sim_receive(n, &from, d, len);
		if (i % 1000 == 0)
			sim_wait(s, 10);
	}
	CHECK_INT(mesh_engine_peers(n->e), peers);
	CHECK(n->sessions_count <= 12);
	CHECK(all_pairs(s, 300));
	for (i = 0; i < 64; i++)
		free(caught[i].bytes);
	sim_free(s);
}
