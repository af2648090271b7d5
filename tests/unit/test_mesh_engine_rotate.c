/* Rotation in a network of engines: who learns of a generation, how, and who does not. */
#include "tap.h"

#include "mesh_sim.h"

#define WALL (FIXTURE_CREATED + 86400)
#define DAY_MS INT64_C(86400000)

static struct sim *network(uint64_t seed, unsigned count)
{
	struct sim *s = sim_new(seed);
	unsigned i;

	for (i = 0; i < count; i++)
		sim_add(s, 0, WALL);
	for (i = 2; i <= count; i++)
		sim_configure(&s->node[i], &s->node[1]);
	sim_wait(s, 8000);
	return s;
}

/* The verb on a node that has the owner's key: the list has all but `out`, and `fill` ids of nobody. */
static void rotate(struct sim *s, struct sim_node *n, const struct sim_node *out, unsigned fill, int64_t grace_ms)
{
	uint8_t (*ids)[NODE_ID_LEN] = xcalloc(SIM_NODES + fill, NODE_ID_LEN);
	struct buf list = BUF_INIT(STAY_LEN_MAX);
	struct error err = ERROR_INIT;
	struct netkey next;
	size_t count = 0;
	unsigned i;

	REQUIRE(netkey_next(&next, &n->gen, 0, &err) == 0);
	for (i = 1; i <= s->count; i++)
		if (&s->node[i] != out)
			memcpy(ids[count++], s->node[i].key.id, NODE_ID_LEN);
	for (i = 0; i < fill; i++)
		sim_random(n, ids[count++], NODE_ID_LEN);
	REQUIRE(staylist_put(&list, &next, &s->net.owner, (const uint8_t (*)[NODE_ID_LEN])ids, count, WALL, &err) == 0);
	CHECK(mesh_engine_rotate(n->e, &next, buf_slice(&list), grace_ms, s->now_ms, &err) == 0);
	/* Whom it leaves out stands on the disk before the daemon hears of it. */
	sim_pump(n);
	sim_keep(n, &next, buf_slice(&list), grace_ms);
	buf_release(&list);
	free(ids);
}

static uint32_t generation(const struct sim_node *n)
{
	return mesh_engine_key(n->e)->generation;
}

static bool passes(struct sim *s, struct sim_node *from, struct sim_node *to, int64_t ms)
{
	uint64_t before = to->received_data;

	CHECK(sim_data(from, to));
	sim_wait(s, ms);
	return to->received_data > before;
}

TEST(a_rotation_goes_to_all_that_stay_and_the_evicted_one_is_out_at_once)
{
	struct sim *s = network(1, 5);
	uint64_t before;
	unsigned i, k;

	for (i = 1; i <= 5; i++)
		for (k = 1; k <= 5; k++)
			CHECK(i == k || passes(s, &s->node[i], &s->node[k], 100));
	rotate(s, &s->node[1], &s->node[5], 0, DAY_MS);
	sim_wait(s, 1000);
	before = 0;
	for (i = 1; i <= 4; i++) {
		struct mesh_peer_info info;

		CHECK_INT(generation(&s->node[i]), 2);
		CHECK(!sim_live(&s->node[i], &s->node[5]));
		CHECK(mesh_engine_find(s->node[i].e, s->node[5].key.id, &info) && info.evicted && info.record.len == 0);
		CHECK_INT(s->node[i].out_count, 1);
		before += s->node[i].received_data;
	}
	CHECK_INT(generation(&s->node[5]), 1);
	/* Within the grace, and at all times after. */
	for (k = 0; k < 3; k++) {
		for (i = 1; i <= 4; i++)
			CHECK(sim_data(&s->node[5], &s->node[i]));
		sim_wait(s, k == 1 ? 2 * DAY_MS : 5000);
	}
	for (i = 1; i <= 4; i++)
		before -= s->node[i].received_data;
	CHECK_INT(before, 0);
	CHECK_INT(generation(&s->node[5]), 1);
	for (i = 1; i <= 4; i++)
		for (k = 1; k <= 4; k++)
			CHECK(i == k || passes(s, &s->node[i], &s->node[k], 1000));
	sim_free(s);
}

/* A node that has lost all but its keys, and asks where the other is. */
static void begin_anew(struct sim_node *n, const struct sim_node *asked)
{
	sim_kill(n);
	sim_start(n, WALL);
	sim_configure(n, asked);
	n->sim->victim = n->at;
	n->sim->at_victim = 0;
}

TEST(an_evicted_node_is_not_told_where_anybody_is)
{
	struct sim *s = network(17, 4);
	struct sim_node *away = &s->node[3], *out = &s->node[4];
	struct mesh_peer_info info;

	sim_kill(away);
	rotate(s, &s->node[1], out, 0, DAY_MS);
	sim_wait(s, 1000);
	CHECK_INT(generation(&s->node[2]), 2);
	begin_anew(out, &s->node[2]);
	sim_wait(s, 300000);
	CHECK_INT(s->at_victim, 0);
	CHECK(!mesh_engine_find(out->e, s->node[2].key.id, &info) && mesh_engine_peers(out->e) == 0);
	/* One that stays finds the way back by the same question. */
	begin_anew(away, &s->node[2]);
	sim_wait(s, 10000);
	CHECK(s->at_victim > 0);
	CHECK_INT(generation(away), 2);
	CHECK(passes(s, away, &s->node[2], 1000));
	sim_free(s);
}

TEST(one_that_nobody_answered_asks_at_once_when_it_gets_the_new_key)
{
	struct sim *s = network(19, 3);
	struct error err = ERROR_INIT;
	struct mesh_peer_info info;
	struct sim_node *n;

	rotate(s, &s->node[1], &s->node[3], 0, DAY_MS);
	sim_wait(s, 1000);
	n = sim_add(s, 0, WALL);
	sim_configure(n, &s->node[2]);
	/* Its pauses have become long. */
	sim_wait(s, 600000);
	CHECK(!mesh_engine_find(n->e, s->node[2].key.id, &info));
	CHECK(mesh_engine_rotate(n->e, &s->node[1].gen, SLICE_EMPTY, DAY_MS, s->now_ms, &err) == 0);
	sim_pump(n);
	sim_wait(s, 1000);
	CHECK(sim_live(n, &s->node[2]));
	sim_free(s);
}

/* The keys of a member that stays are known to all: with them the question is answered, to whoever has the secret. */
TEST(whoever_asks_in_the_name_of_another_cannot_read_the_answer)
{
	struct sim *s = network(18, 4);
	struct sim_node *out = &s->node[4];
	struct packet_who who = {.nonce = 9};
	uint8_t d[PACKET_OUTER_MAX], id[NODE_ID_LEN];
	struct mesh_peer_info info;
	unsigned i;

	rotate(s, &s->node[1], out, 0, DAY_MS);
	sim_wait(s, 1000);
	begin_anew(out, out);
	for (i = 3; i <= 4; i++) {
		memcpy(who.sign_public, s->node[i].key.sign_public, 32);
		memcpy(who.static_public, s->node[3].key.static_public, 32);
		/* Keys of two nodes are those of a third one, that is not on the list. */
		node_id_of(id, who.sign_public, who.static_public);
		CHECK((memcmp(id, s->node[3].key.id, NODE_ID_LEN) == 0) == (i == 3));
		sim_wire(out, &s->node[2].at, d, packet_put_who(&s->net.subkeys, &who, NULL, d));
		sim_wait(s, 1000);
		CHECK_INT(s->at_victim, 1);
	}
	CHECK(!mesh_engine_find(out->e, s->node[2].key.id, &info));
	sim_free(s);
}

/* It has the generation between, by hand, and its sessions are of the one before that. */
TEST(who_stays_hears_at_once_of_an_eviction_that_follows_a_rotation)
{
	struct sim *s = network(21, 3);
	struct error err = ERROR_INIT;
	struct netkey next;

	CHECK(passes(s, &s->node[1], &s->node[2], 200) && passes(s, &s->node[3], &s->node[2], 200));
	REQUIRE(netkey_next(&next, &s->node[1].gen, 0, &err) == 0);
	for (int i = 1; i <= 2; i++) {
		CHECK(mesh_engine_rotate(s->node[i].e, &next, SLICE_EMPTY, DAY_MS, s->now_ms, &err) == 0);
		sim_pump(&s->node[i]);
		sim_keep(&s->node[i], &next, SLICE_EMPTY, DAY_MS);
	}
	sim_wait(s, 300);
	rotate(s, &s->node[1], &s->node[3], 0, DAY_MS);
	sim_wait(s, 1000);
	CHECK_INT(generation(&s->node[2]), 3);
	CHECK(!sim_live(&s->node[2], &s->node[3]));
	sim_free(s);
}

/* For the first to have it the former generation is over when the second gets it. */
TEST(a_key_by_hand_renews_the_sessions_that_may_be_over)
{
	struct sim *s = network(22, 3);
	struct error err = ERROR_INIT;
	struct netkey next;

	CHECK(passes(s, &s->node[1], &s->node[2], 200) && passes(s, &s->node[1], &s->node[3], 200));
	REQUIRE(netkey_next(&next, &s->node[1].gen, 0, &err) == 0);
	CHECK(mesh_engine_rotate(s->node[1].e, &next, SLICE_EMPTY, 1000, s->now_ms, &err) == 0);
	sim_pump(&s->node[1]);
	sim_wait(s, 2000);
	CHECK(!passes(s, &s->node[2], &s->node[1], 200));
	CHECK(mesh_engine_rotate(s->node[2].e, &next, SLICE_EMPTY, DAY_MS, s->now_ms, &err) == 0);
	sim_pump(&s->node[2]);
	sim_wait(s, 100);
	CHECK(passes(s, &s->node[2], &s->node[1], 100) && passes(s, &s->node[1], &s->node[2], 100));
	sim_free(s);
}

TEST(nothing_is_lost_while_a_generation_goes_through_and_while_its_grace_ends)
{
	struct sim *s = network(2, 3);
	uint64_t lost = 0;
	struct mesh_peer_info info;
	int i;

	CHECK(passes(s, &s->node[2], &s->node[3], 200));
	for (i = 0; i < 600; i++) {
		if (i == 20)
			rotate(s, &s->node[1], NULL, 0, 400000);
		lost += !passes(s, &s->node[2], &s->node[3], 1000);
	}
	CHECK_INT(lost, 0);
	CHECK(mesh_engine_find(s->node[2].e, s->node[3].key.id, &info));
	CHECK_INT(info.generation, 2);
	CHECK(mesh_engine_key_before(s->node[1].e) == NULL && mesh_engine_key_before(s->node[2].e) != NULL);
	sim_free(s);
}

TEST(a_list_of_eight_thousand_goes_through_with_loss)
{
	struct sim *s = network(3, 4);
	struct mesh_engine_stats st;

	CHECK(passes(s, &s->node[2], &s->node[1], 200) && passes(s, &s->node[3], &s->node[1], 200) &&
	      passes(s, &s->node[4], &s->node[1], 200));
	s->loss_percent = 10;
	rotate(s, &s->node[1], NULL, 8000, DAY_MS);
	sim_wait(s, 60000);
	CHECK_INT(generation(&s->node[2]), 2);
	CHECK_INT(generation(&s->node[3]), 2);
	CHECK_INT(generation(&s->node[4]), 2);
	mesh_engine_stats(s->node[1].e, &st);
	printf("# sent whole %llu times to three, 8,004 ids\n", (unsigned long long)st.rotations_sent);
	CHECK(st.rotations_sent <= 12);
	sim_free(s);
}

/* The grace is a day; fill: how many ids of nobody are in the list of who stays. */
static void comes_back(unsigned seed, int64_t away_ms, unsigned fill, bool by_itself)
{
	struct sim *s = network(seed, 4);
	struct sim_node *away = &s->node[3];
	unsigned i;

	CHECK(passes(s, away, &s->node[1], 200) && passes(s, away, &s->node[2], 200));
	s->parted = true;
	away->side = 1;
	sim_wait(s, 200000);
	rotate(s, &s->node[1], &s->node[4], fill, DAY_MS);
	sim_wait(s, away_ms);
	CHECK_INT(generation(away), 1);
	CHECK_INT(generation(&s->node[2]), 2);
	s->parted = false;
	/* By itself, within a few rounds of gossip (a call to any node, one round in four); with traffic at once. */
	if (by_itself)
		sim_wait(s, 60 * 60000);
	else
		CHECK(passes(s, away, &s->node[2], 8000));
	CHECK_INT(generation(away), 2);
	CHECK(passes(s, away, &s->node[1], 1000) && passes(s, &s->node[2], away, 1000));
	/* It has heard who is out as well. */
	CHECK(!sim_live(away, &s->node[4]));
	CHECK_INT(away->out_count, 1);
	for (i = 1; i <= 4; i++)
		CHECK(s->node[i].sessions_count <= 16);
	sim_free(s);
}

TEST(whoever_was_away_comes_back_within_the_grace)
{
	comes_back(4, 3600000, 0, false);
}

TEST(whoever_was_away_comes_back_by_itself_long_after_it)
{
	comes_back(5, 3 * DAY_MS, 0, true);
}

TEST(whoever_was_away_comes_back_with_traffic_long_after_it)
{
	comes_back(6, 3 * DAY_MS, 3000, false);
}

/* A node with the older key and an id that nobody knows. */
static void newcomer(int64_t after_ms)
{
	struct sim *s = network(8, 3);
	struct sim_node *n;
	struct mesh_engine_stats st;
	uint64_t before;
	unsigned i;

	rotate(s, &s->node[1], &s->node[3], 0, DAY_MS);
	sim_wait(s, after_ms);
	n = sim_add(s, 0, WALL);
	/* It has their records from its former life. */
	for (i = 1; i <= 2; i++) {
		struct error err = ERROR_INIT;
		struct mesh_peer_info info;

		CHECK(mesh_engine_find(s->node[3].e, s->node[i].key.id, &info));
		CHECK(mesh_engine_load(n->e, info.record, 0, s->now_ms, &err) == 0);
		sim_pump(n);
	}
	before = s->node[1].received_data + s->node[2].received_data;
	sim_configure(n, &s->node[1]);
	for (i = 0; i < 20; i++) {
		sim_data(n, &s->node[1]);
		sim_data(n, &s->node[2]);
		sim_wait(s, 5000);
	}
	CHECK_INT(s->node[1].received_data + s->node[2].received_data, before);
	CHECK_INT(generation(n), 1);
	CHECK(!sim_live(n, &s->node[1]) && !sim_live(&s->node[1], n) && !sim_live(&s->node[2], n));
	mesh_engine_stats(s->node[1].e, &st);
	CHECK(st.initiations_refused > 0);
	sim_free(s);
}

TEST(a_new_id_helps_nobody_within_the_grace_or_after)
{
	newcomer(60000);
	newcomer(3 * DAY_MS);
}

/* A member makes up thousands of others, and all are evicted: whoever comes next still finds room. */
TEST(thousands_that_were_evicted_leave_room_for_members)
{
	struct sim *s = sim_new(77);
	struct sim_node *a = sim_add(s, 0, WALL), *b;
	struct mesh_peer_info info;
	uint8_t id[NODE_ID_LEN] = {0};
	unsigned i;

	for (i = 0; i < ENGINE_PEERS_MAX + 100; i++) {
		id[0] = (uint8_t)(i >> 8);
		id[1] = (uint8_t)i;
		id[2] = 1;
		mesh_engine_evict(a->e, id, s->now_ms + i);
	}
	sim_pump(a);
	b = sim_add(s, 0, WALL);
	sim_configure(b, a);
	sim_wait(s, 8000);
	CHECK(sim_live(a, b) && sim_live(b, a));
	/* Those evicted last are known still. */
	CHECK(mesh_engine_find(a->e, id, &info) && info.evicted);
	sim_free(s);
}

TEST(the_new_key_by_hand_lets_anybody_in)
{
	struct sim *s = network(9, 3);
	struct sim_node *n;

	rotate(s, &s->node[1], &s->node[3], 0, DAY_MS);
	sim_wait(s, 1000);
	s->net.key = s->node[1].gen;
	n = sim_add(s, 0, WALL);
	sim_configure(n, &s->node[1]);
	sim_wait(s, 5000);
	CHECK(passes(s, n, &s->node[2], 1000));
	sim_free(s);
}

TEST(without_a_list_both_hold_for_the_grace_and_then_the_older_one_is_out)
{
	struct sim *s = network(10, 3);
	struct error err = ERROR_INIT;
	struct netkey next;

	REQUIRE(netkey_next(&next, &s->node[1].gen, 0, &err) == 0);
	CHECK(mesh_engine_rotate(s->node[1].e, &next, SLICE_EMPTY, 3600000, s->now_ms, &err) == 0);
	sim_pump(&s->node[1]);
	CHECK(mesh_engine_rotate(s->node[2].e, &next, SLICE_EMPTY, 3600000, s->now_ms, &err) == 0);
	sim_pump(&s->node[2]);
	sim_wait(s, 600000);
	CHECK(passes(s, &s->node[1], &s->node[2], 1000));
	CHECK(passes(s, &s->node[1], &s->node[3], 1000) && passes(s, &s->node[3], &s->node[2], 1000));
	CHECK_INT(generation(&s->node[3]), 1);
	sim_wait(s, 3600000);
	CHECK(!passes(s, &s->node[3], &s->node[1], 10000) && !passes(s, &s->node[2], &s->node[3], 10000));
	CHECK(passes(s, &s->node[1], &s->node[2], 1000));
	CHECK_INT(generation(&s->node[3]), 1);
	sim_free(s);
}

TEST(a_kill_in_the_middle_leaves_the_old_or_the_new)
{
	int64_t at_ms;

	/* 40 parts at 64 a second. */
	for (at_ms = 0; at_ms < 60; at_ms += 3) {
		struct sim *s = network(11, 3);

		CHECK(passes(s, &s->node[2], &s->node[1], 200));
		rotate(s, &s->node[1], &s->node[3], 2500, DAY_MS);
		sim_wait(s, at_ms);
		sim_kill(&s->node[2]);
		CHECK(s->node[2].gen.generation == 1 || s->node[2].out_count == 1);
		sim_start(&s->node[2], WALL);
		sim_configure(&s->node[2], &s->node[1]);
		sim_wait(s, 10000);
		CHECK_INT(generation(&s->node[2]), 2);
		CHECK(passes(s, &s->node[2], &s->node[1], 1000));
		sim_free(s);
	}
}

TEST(whoever_restarts_with_the_new_key_still_passes_it_on)
{
	struct sim *s = network(12, 3);

	s->parted = true;
	s->node[2].side = s->node[3].side = 1;
	rotate(s, &s->node[1], NULL, 0, DAY_MS);
	sim_kill(&s->node[1]);
	sim_start(&s->node[1], WALL);
	CHECK_INT(generation(&s->node[1]), 2);
	s->parted = false;
	/* The first packet says that its session is gone. */
	CHECK(sim_data(&s->node[2], &s->node[1]));
	sim_wait(s, 1000);
	CHECK(passes(s, &s->node[2], &s->node[1], 100));
	sim_wait(s, 10000);
	CHECK_INT(generation(&s->node[2]), 2);
	CHECK(passes(s, &s->node[2], &s->node[3], 3000));
	sim_wait(s, 120000);
	CHECK_INT(generation(&s->node[3]), 2);
	sim_free(s);
}

TEST(four_rotations_missed_are_one_to_come_back_from)
{
	struct sim *s = network(13, 3);
	unsigned i;

	CHECK(passes(s, &s->node[2], &s->node[1], 200));
	s->parted = true;
	s->node[2].side = 1;
	for (i = 0; i < ENGINE_FORMER_MAX; i++) {
		sim_wait(s, 60000);
		rotate(s, &s->node[1], NULL, 0, DAY_MS);
	}
	CHECK_INT(generation(&s->node[1]), 1 + ENGINE_FORMER_MAX);
	s->parted = false;
	CHECK(passes(s, &s->node[2], &s->node[1], 10000));
	CHECK_INT(generation(&s->node[2]), 1 + ENGINE_FORMER_MAX);
	CHECK(passes(s, &s->node[1], &s->node[2], 1000));
	sim_free(s);
}

/* Each of them answers with a session for the rotation alone, and one of these is enough. */
TEST(whoever_is_back_late_reaches_all_that_it_has_traffic_for)
{
	for (uint64_t seed = 18; seed < 20; seed++) {
		struct sim *s = network(seed, 6);
		struct sim_node *away = &s->node[3];
		unsigned i, k;

		for (i = 1; i <= 6; i++)
			CHECK(i == 3 || passes(s, away, &s->node[i], 500));
		away->side = 1;
		s->parted = true;
		mesh_engine_configured(away->e, NULL, 0, s->now_ms);
		rotate(s, &s->node[1], NULL, 0, DAY_MS);
		sim_wait(s, 3 * DAY_MS);
		CHECK_INT(generation(away), 1);
		s->parted = false;
		for (k = 0; k < 60; k++) {
			for (i = 1; i <= 6; i++)
				if (i != 3)
					sim_data(away, &s->node[i]);
			sim_wait(s, 500);
		}
		CHECK_INT(generation(away), 2);
		for (i = 1; i <= 6; i++)
			CHECK(i == 3 || sim_live(away, &s->node[i]));
		sim_free(s);
	}
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

static void say_rotation(struct sim_node *from, const struct sim_node *to, const struct netkey *next, struct slice list)
{
	struct message m = {.type = MESSAGE_ROTATE};
	struct buf bytes = BUF_SECRET(ROTATION_LEN_MAX);
	size_t at;

	rotation_put(&bytes, next, list);
	m.u.rotate.generation = next->generation;
	m.u.rotate.parts = (uint16_t)((bytes.len + ROTATE_CHUNK - 1) / ROTATE_CHUNK);
	for (at = 0; at < bytes.len; at += ROTATE_CHUNK) {
		size_t left = bytes.len - at;

		m.u.rotate.chunk = slice_of(bytes.ptr + at, left < ROTATE_CHUNK ? left : ROTATE_CHUNK);
		say(from, to, &m);
		m.u.rotate.part++;
	}
	/* After one that was refused it is not heard for up to a minute. */
	sim_wait(from->sim, 61000);
	buf_release(&bytes);
}

TEST(a_rotation_that_the_owner_did_not_make_is_refused)
{
	struct sim *s = network(14, 2);
	struct sim_node *bad = &s->node[2], *n = &s->node[1];
	struct buf list = BUF_INIT(STAY_LEN_MAX), other = BUF_INIT(STAY_LEN_MAX);
	uint8_t ids[2][NODE_ID_LEN];
	struct error err = ERROR_INIT;
	struct mesh_engine_stats st;
	struct mesh_net foreign;
	struct netkey next, wrong;

	CHECK(passes(s, bad, n, 200));
	memcpy(ids[0], bad->key.id, NODE_ID_LEN);
	memcpy(ids[1], n->key.id, NODE_ID_LEN);
	REQUIRE(net_init(&foreign) == 0 && netkey_next(&next, &n->gen, 0, &err) == 0);
	/* By another owner, of this network's id. */
	wrong = next;
	memcpy(wrong.owner, foreign.owner.public, 32);
	memcpy(foreign.owner.network_id, wrong.id, NETWORK_ID_LEN);
	REQUIRE(staylist_put(&list, &wrong, &foreign.owner, ids, 2, WALL, &err) == 0);
	say_rotation(bad, n, &wrong, buf_slice(&list));
	memcpy(wrong.owner, next.owner, 32);
	say_rotation(bad, n, &wrong, buf_slice(&list));
	/* The owner's list of another key; a flipped bit; the receiver is not on it. */
	REQUIRE(staylist_put(&other, &next, &s->net.owner, ids, 2, WALL, &err) == 0);
	wrong = next;
	wrong.secret[0] ^= 1;
	say_rotation(bad, n, &wrong, buf_slice(&other));
	other.ptr[other.len - 1] ^= 1;
	say_rotation(bad, n, &next, buf_slice(&other));
	other.len = 0;
	REQUIRE(staylist_put(&other, &next, &s->net.owner, ids, 1, WALL, &err) == 0);
	CHECK_INT(n->left_out, 0);
	say_rotation(bad, n, &next, buf_slice(&other));
	CHECK_INT(n->left_out, 1);
	say_rotation(bad, n, &next, SLICE_EMPTY);
	CHECK_INT(generation(n), 1);
	mesh_engine_stats(n->e, &st);
	CHECK_INT(st.rotations_taken, 0);
	CHECK(st.rotations_refused >= 5);
	/* And the right one after all of these. */
	other.len = 0;
	REQUIRE(staylist_put(&other, &next, &s->net.owner, ids, 2, WALL, &err) == 0);
	say_rotation(bad, n, &next, buf_slice(&other));
	CHECK_INT(generation(n), 2);
	/* Said again, and one of a generation ago: nothing. */
	CHECK(mesh_engine_rotate(n->e, &next, SLICE_EMPTY, DAY_MS, s->now_ms, &err) < 0);
	CHECK(mesh_engine_rotate(n->e, &n->former[0], SLICE_EMPTY, DAY_MS, s->now_ms, &err) < 0);
	CHECK(mesh_engine_rotate(n->e, &foreign.key, SLICE_EMPTY, DAY_MS, s->now_ms, &err) < 0);
	CHECK_INT(generation(n), 2);
	buf_release(&list);
	buf_release(&other);
	sim_free(s);
}

/* Many of them, whenever it suits them: the bad rotations of one are not looked at, those of all are no more than a few. */
static void held_off(uint64_t seed, unsigned bad, int64_t after_ms, int64_t *takes_ms)
{
	struct sim *s = network(seed, 2 + bad);
	struct sim_node *n = &s->node[1];
	struct message m = {.type = MESSAGE_ROTATE, .u.rotate.parts = 1, .u.rotate.generation = 2};
	uint8_t junk[40];
	int64_t end_ms = 0;
	unsigned i;

	sim_random(n, junk, sizeof(junk));
	m.u.rotate.chunk = slice_of(junk, sizeof(junk));
	for (i = 2; i <= 2 + bad; i++)
		CHECK(passes(s, &s->node[i], n, 100));
	sim_wait(s, after_ms);
	for (int64_t t = 0; t < 180000 && generation(n) == 1; t += 4) {
		for (i = 0; i < bad; i++)
			say(&s->node[3 + i], n, &m);
		if (t == 2000) {
			rotate(s, &s->node[2], &s->node[3], 0, DAY_MS);
			end_ms = s->now_ms;
		}
		sim_wait(s, 4);
	}
	CHECK_INT(generation(n), 2);
	*takes_ms = s->now_ms - end_ms;
	sim_free(s);
}

TEST(the_bad_rotations_of_one_do_not_hold_off_that_which_evicts_it)
{
	int64_t takes_ms;

	for (int64_t after_ms = 0; after_ms < 250; after_ms += 83) {
		held_off(16, 1, after_ms, &takes_ms);
		CHECK(takes_ms < 1000);
	}
	held_off(17, 8, 41, &takes_ms);
	CHECK(takes_ms < 1000);
}

TEST(parts_that_never_come_together_cost_little_and_stop_nobody)
{
	struct sim *s = network(15, 12);
	struct sim_node *n = &s->node[1];
	struct message m = {.type = MESSAGE_ROTATE};
	uint8_t junk[ROTATE_CHUNK];
	unsigned i, k;

	sim_random(n, junk, sizeof(junk));
	m.u.rotate.chunk = slice_of(junk, sizeof(junk));
	for (i = 3; i <= 12; i++)
		CHECK(passes(s, &s->node[i], n, 100));
	CHECK(passes(s, &s->node[2], n, 100));
	/* Ten members send parts of rotations of their own making, each of another generation each time. */
	for (k = 0; k < 1200; k++) {
		for (i = 3; i <= 12; i++) {
			m.u.rotate.generation = 2 + k % 50;
			m.u.rotate.parts = 129;
			m.u.rotate.part = (uint16_t)(mesh_random(&s->seed) % 128);
			say(&s->node[i], n, &m);
		}
		if (k == 100)
			rotate(s, &s->node[2], NULL, 300, DAY_MS);
		sim_wait(s, 20);
	}
	CHECK_INT(generation(n), 2);
	sim_free(s);
}

TEST(an_engine_refuses_generations_that_do_not_fit)
{
	struct sim *s = network(16, 1);
	struct sim_node *n = &s->node[1];
	struct engine_options o = {.key = n->gen, .node = n->key, .boot_epoch = 9, .own = n->own};
	struct buf list = BUF_INIT(STAY_LEN_MAX);
	struct error err = ERROR_INIT;
	struct netkey next, third;
	struct mesh_engine *e;

	REQUIRE(netkey_next(&next, &n->gen, 0, &err) == 0 && netkey_next(&third, &next, 0, &err) == 0);
	REQUIRE(staylist_put(&list, &next, &s->net.owner, (const uint8_t (*)[NODE_ID_LEN])n->key.id, 1, WALL, &err) == 0);
	/* A list of another generation; a former one that is younger. */
	o.staylist = buf_slice(&list);
	CHECK(mesh_engine_new(&o, &n->ops, s->now_ms, WALL, &err) == NULL && err.kind == ERR_REFUSED);
	o.staylist = SLICE_EMPTY;
	o.former[0].key = next;
	o.former_count = 1;
	CHECK(mesh_engine_new(&o, &n->ops, s->now_ms, WALL, &err) == NULL && err.kind == ERR_REFUSED);
	o.key = third;
	o.former[1].key = n->gen;
	o.former[0].grace_ms = 1000;
	o.former_count = 2;
	e = mesh_engine_new(&o, &n->ops, s->now_ms, WALL, &err);
	CHECK(e != NULL && mesh_engine_key_before(e) != NULL && mesh_engine_key_before(e)->generation == 2);
	mesh_engine_timer(e, s->now_ms + 1000);
	CHECK(mesh_engine_key_before(e) == NULL);
	mesh_engine_free(e);
	buf_release(&list);
	sim_free(s);
}

/* A board without a battery starts in 1970, when a date on its disk is decades ahead. */
TEST(a_grace_by_a_wrong_clock_ends_when_the_clock_is_set)
{
	struct sim *s = network(12, 2);

	rotate(s, &s->node[1], NULL, 0, 365 * DAY_MS);
	sim_wait(s, 60000);
	mesh_engine_grace(s->node[1].e, 400 * DAY_MS, s->now_ms);
	CHECK(mesh_engine_key_before(s->node[1].e) != NULL);
	mesh_engine_grace(s->node[1].e, 3600000, s->now_ms);
	sim_wait(s, 3599000);
	CHECK(mesh_engine_key_before(s->node[1].e) != NULL);
	sim_wait(s, 2000);
	CHECK(mesh_engine_key_before(s->node[1].e) == NULL);
	mesh_engine_grace(s->node[1].e, 3600000, s->now_ms);
	CHECK(mesh_engine_key_before(s->node[1].e) == NULL);
	CHECK(mesh_engine_key_before(s->node[2].e) != NULL);
	sim_free(s);
}
