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
	sim_wait(s, 600000);
	CHECK(s->node[2].epoch > epoch);
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

/* Days of machines that are awake for two minutes in each, by a clock that runs on. */
static void days(struct sim *s, unsigned count)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		s->now_ms += DAY_MS - 120000;
		sim_wait(s, 120000);
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
