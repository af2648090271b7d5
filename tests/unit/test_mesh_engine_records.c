/* Records in a network of engines: which are newer, how long they count, and what is spread. */
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

static void cut_off(struct sim *s, unsigned number, bool off)
{
	unsigned i;

	for (i = 1; i <= s->count; i++)
		s->cut[number][i] = s->cut[i][number] = off;
}

/* The name by which a node knows another one. */
static bool calls_it(struct sim_node *n, const struct sim_node *other, const char *name)
{
	struct mesh_peer_info i;

	return mesh_engine_find(n->e, other->key.id, &i) && strcmp(i.name, name) == 0;
}

/* The file is written some seconds after the record is made: a power cut takes those seconds. */
TEST(a_node_that_lost_its_last_records_is_heard_by_those_that_saw_them)
{
	struct sim *s = network(5, 4);
	struct error err = ERROR_INIT;
	unsigned i, lost;

	sim_wait(s, 20000);
	for (i = 0; i < 4; i++) {
		CHECK_INT(mesh_engine_own(s->node[2].e, &s->node[2].own, s->now_ms, &err), 0);
		sim_pump(&s->node[2]);
		sim_wait(s, 6000);
	}
	/* Three records are lost, then all that there were. */
	for (lost = 3; lost <= 4; lost++) {
		sim_kill(&s->node[2]);
		s->node[2].sequence = lost == 4 ? 0 : s->node[2].sequence - lost;
		snprintf(s->node[2].own.name, sizeof(s->node[2].own.name), "lost%u", lost);
		/* These two hear of it from the first alone, and not at once. */
		for (i = 3; i <= 4; i++)
			cut_off(s, i, true);
		sim_start(&s->node[2], WALL);
		sim_configure(&s->node[2], &s->node[1]);
		sim_wait(s, 10000);
		for (i = 3; i <= 4; i++)
			s->cut[1][i] = s->cut[i][1] = false;
		sim_wait(s, 3600000);
		for (i = 1; i <= 4; i++)
			CHECK(i == 2 || calls_it(&s->node[i], &s->node[2], s->node[2].own.name));
		for (i = 3; i <= 4; i++)
			cut_off(s, i, false);
	}
	sim_free(s);
}

/* From a backup of long ago even the epoch is an old one. */
TEST(a_node_from_a_backup_goes_above_what_others_have_of_it)
{
	struct sim *s = network(6, 3);
	uint32_t epoch;
	unsigned i;

	sim_wait(s, 10000);
	for (i = 0; i < 5; i++) {
		sim_kill(&s->node[2]);
		sim_start(&s->node[2], WALL);
		sim_configure(&s->node[2], &s->node[1]);
		sim_wait(s, 10000);
	}
	epoch = s->node[2].epoch;
	sim_kill(&s->node[2]);
	s->node[2].epoch = 0;
	s->node[2].sequence = 1;
	snprintf(s->node[2].own.name, sizeof(s->node[2].own.name), "backup");
	sim_start(&s->node[2], WALL);
	sim_configure(&s->node[2], &s->node[1]);
	/* Those that know better do not answer it; it hears of itself from the first that calls. */
	for (i = 0; i < 60 && s->node[2].epoch <= epoch; i++)
		sim_wait(s, 60000);
	CHECK(s->node[2].epoch > epoch);
	sim_wait(s, 120000);
	CHECK(mesh_engine_record(s->node[2].e)->sequence > (uint64_t)s->node[2].epoch << 32);
	CHECK(calls_it(&s->node[1], &s->node[2], "backup") && calls_it(&s->node[3], &s->node[2], "backup"));
	sim_free(s);
}

#define DAY_MS INT64_C(86400000)

/* Whether its record counts there. */
static bool counts(struct sim_node *n, const struct sim_node *other)
{
	struct mesh_peer_info i;

	return mesh_engine_find(n->e, other->key.id, &i) && i.record.len > 0 && !i.away;
}

static void unconfigure(struct sim *s)
{
	unsigned i;

	for (i = 1; i <= s->count; i++)
		if (s->node[i].up)
			mesh_engine_configured(s->node[i].e, NULL, 0, s->now_ms);
}

/* Days of machines that are awake for a minute or so in each, by a clock that runs on. */
static void days(struct sim *s, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		s->now_ms += DAY_MS - 75000;
		sim_wait(s, 75000);
	}
}

TEST(parts_of_a_network_meet_again_after_months)
{
	struct sim *s = network(9, 4);
	unsigned i, k;

	sim_wait(s, 60000);
	unconfigure(s);
	s->node[3].side = s->node[4].side = 1;
	s->parted = true;
	days(s, 100);
	CHECK(counts(&s->node[1], &s->node[2]) && counts(&s->node[3], &s->node[4]));
	CHECK(!counts(&s->node[1], &s->node[3]) && !counts(&s->node[4], &s->node[2]));
	s->parted = false;
	sim_wait(s, 3600000);
	for (i = 1; i <= 4; i++)
		for (k = 1; k <= 4; k++)
			CHECK(i == k || counts(&s->node[i], &s->node[k]));
	CHECK(sim_data(&s->node[1], &s->node[4]));
	sim_wait(s, 1000);
	CHECK_INT(s->node[4].received_data, 1);
	sim_free(s);
}

/* Others, which were awake all the time, have moved meanwhile: they know where it was, and it has the same address. */
TEST(a_laptop_out_of_a_drawer_is_found_by_those_that_knew_it)
{
	struct sim *s = sim_new(10);
	unsigned i;

	s->disk = true;
	for (i = 1; i <= 4; i++)
		sim_add(s, 0, WALL);
	for (i = 2; i <= 4; i++)
		sim_configure(&s->node[i], &s->node[1]);
	sim_wait(s, 60000);
	unconfigure(s);
	for (i = 1; i <= 3; i++)
		CHECK(sim_data(&s->node[4], &s->node[i]));
	sim_wait(s, 1000);
	sim_kill(&s->node[4]);
	days(s, 20);
	/* Restarts do not make anybody younger. */
	sim_kill(&s->node[3]);
	sim_start(&s->node[3], WALL + 20 * 86400);
	days(s, 60);
	for (i = 1; i <= 3; i++) {
		const struct record_endpoint moved = {ENDPOINT_OWN, {ENDPOINT_V4, {203, 0, 113, (uint8_t)i}, 7783}};

		CHECK(!counts(&s->node[i], &s->node[4]));
		s->node[i].at = moved.at;
		mesh_engine_endpoints(s->node[i].e, &moved, 1, s->now_ms);
		sim_pump(&s->node[i]);
	}
	sim_start(&s->node[4], WALL + 80 * 86400);
	for (i = 1; i <= 3; i++)
		CHECK(counts(&s->node[4], &s->node[i]));
	sim_wait(s, 3600000);
	for (i = 1; i <= 3; i++)
		CHECK(counts(&s->node[i], &s->node[4]) && sim_data(&s->node[4], &s->node[i]));
	sim_wait(s, 1000);
	for (i = 1; i <= 3; i++)
		CHECK(s->node[i].received_data >= 2);
	sim_free(s);
}

/* What is known of it goes at last, where it was never reached and where it was. */
TEST(what_is_known_of_a_node_is_let_go_of_in_time)
{
	struct sim *s = network(11, 3);

	sim_wait(s, 5000);
	sim_kill(&s->node[3]);
	days(s, 29);
	CHECK(counts(&s->node[1], &s->node[3]) && counts(&s->node[2], &s->node[3]));
	days(s, 2);
	CHECK(!counts(&s->node[1], &s->node[3]) && !counts(&s->node[2], &s->node[3]));
	CHECK_INT(mesh_engine_peers(s->node[1].e), 2);
	days(s, 370);
	CHECK_INT(mesh_engine_peers(s->node[1].e), 1);
	CHECK_INT(mesh_engine_peers(s->node[2].e), 1);
	sim_free(s);
}

#define LATER (FIXTURE_CREATED + 200 * 86400)	/* there may be clocks that are months behind */
#define YEARS (2 * 365 * 86400)

/* Newcomers learn of it from each other, and its clock may be anything. */
TEST(the_record_of_a_node_that_is_gone_dies_out)
{
	static const int64_t clocks[] = {LATER, 0, LATER - 40 * 86400, LATER + YEARS};
	struct mesh_peer_info info;
	unsigned c, d, i;

	for (c = 0; c < ARRAY_SIZE(clocks); c++) {
		struct sim *s = sim_new(11 + c);

		for (i = 1; i <= 3; i++)
			sim_add(s, 0, i == 3 ? clocks[c] : LATER);
		for (i = 2; i <= 3; i++)
			sim_configure(&s->node[i], &s->node[1]);
		sim_wait(s, 60000);
		CHECK(counts(&s->node[1], &s->node[3]) && counts(&s->node[2], &s->node[3]));
		sim_kill(&s->node[3]);
		for (d = 7; d <= 70; d += 7) {
			days(s, 7);
			/* Every second one has no clock. */
			sim_add(s, 0, d % 2 == 0 ? 0 : LATER + (int64_t)d * 86400);
			for (i = 1; i < s->count; i += i == 2 ? 2 : 1)
				sim_configure(&s->node[s->count], &s->node[i]);
			sim_wait(s, 60000);
		}
		for (i = 1; i <= s->count; i++)
			CHECK(i == 3 || !counts(&s->node[i], &s->node[3]));
		/* Those that came after the last one to spread it never heard of it. */
		CHECK(!mesh_engine_find(s->node[s->count].e, s->node[3].key.id, &info));
		sim_free(s);
	}
}

static void all_count(struct sim *s)
{
	unsigned i, k;

	for (i = 1; i <= s->count; i++)
		for (k = 1; k <= s->count; k++)
			if (i != k && !counts(&s->node[i], &s->node[k]))
				CHECK_INT(i * 100 + k, 0);
}

TEST(a_member_with_any_clock_is_known_to_all)
{
	static const int64_t clocks[] = {0, LATER - 86400, LATER + 86400, LATER - 31 * 86400, LATER + 31 * 86400, LATER + YEARS,
					 LATER - 25 * 86400};
	struct sim *s = network(13, 0);
	unsigned i;

	for (i = 0; i < 3; i++)
		sim_add(s, 0, LATER);
	for (i = 0; i < ARRAY_SIZE(clocks); i++)
		sim_add(s, 0, clocks[i]);
	for (i = 2; i <= s->count; i++)
		sim_configure(&s->node[i], &s->node[1]);
	sim_wait(s, 10000);
	all_count(s);
	for (i = 0; i < 15; i++) {
		days(s, 3);
		all_count(s);
	}
	/* By way of one that has not heard of all from themselves. */
	sim_add(s, 0, LATER + 45 * 86400);
	sim_configure(&s->node[s->count], &s->node[2]);
	sim_wait(s, 3600000);
	all_count(s);
	sim_free(s);
}

TEST(a_wrong_clock_at_the_start_loses_nobody)
{
	static const int64_t clocks[] = {0, LATER - 86400, LATER + 86400, LATER - 31 * 86400, LATER + 31 * 86400, LATER + YEARS};
	unsigned c, i;

	for (c = 0; c < ARRAY_SIZE(clocks); c++) {
		struct sim *s = network(14 + c, 0);

		s->disk = true;
		for (i = 1; i <= 4; i++)
			sim_add(s, 0, LATER);
		for (i = 2; i <= 4; i++)
			sim_configure(&s->node[i], &s->node[1]);
		sim_wait(s, 10000);
		sim_kill(&s->node[2]);
		s->node[2].side = 1;
		s->parted = true;
		sim_start(&s->node[2], clocks[c]);
		all_count(s);
		/* Nobody is there: what it has goes when its time is over, and not anew with each start. */
		for (i = 0; i < 14; i++) {
			days(s, 2);
			sim_kill(&s->node[2]);
			sim_start(&s->node[2], clocks[c]);
			CHECK(counts(&s->node[2], &s->node[3]));
		}
		days(s, 3);
		CHECK(!counts(&s->node[2], &s->node[3]) && counts(&s->node[1], &s->node[3]));
		s->parted = false;
		sim_wait(s, 2 * 3600000);
		all_count(s);
		sim_free(s);
	}
}

/* As of a machine that was off for long: it has what the others let go of, and they have what it takes for living. */
TEST(what_one_lets_go_of_and_another_does_not_is_not_sent_again_and_again)
{
	struct sim *s = network(30, 2);
	struct error err = ERROR_INIT;
	uint64_t before;
	unsigned i;

	for (i = 0; i < 300; i++) {
		struct mesh_node other;

		REQUIRE(node_init(&other, &s->net, "x") == 0);
		REQUIRE(mesh_engine_load(s->node[1].e, buf_slice(&other.bytes), 31 * 86400, s->now_ms, &err) == 0);
		REQUIRE(mesh_engine_load(s->node[2].e, buf_slice(&other.bytes), 86400, s->now_ms, &err) == 0);
		node_release(&other);
		sim_pump(&s->node[1]);
		sim_pump(&s->node[2]);
	}
	before = s->node[1].sent_bytes + s->node[2].sent_bytes;
	sim_wait(s, 900000);
	CHECK(sim_live(&s->node[1], &s->node[2]));
	before = s->node[1].sent_bytes + s->node[2].sent_bytes - before;
	printf("# %lu bytes in a quarter of an hour\n", (unsigned long)before);
	CHECK(before < 1000000);
	/* A third one is told what counts there. */
	sim_add(s, 0, WALL);
	sim_configure(&s->node[3], &s->node[1]);
	sim_wait(s, 1800000);
	CHECK_INT(mesh_engine_peers(s->node[3].e), 302);
	sim_free(s);
}
