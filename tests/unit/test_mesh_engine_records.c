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
