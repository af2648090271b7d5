/*
 * Three hours, or with WALK_ALL=1 a day, in the life of twenty engines, on a virtual clock: some traffic, loss, kills, addresses that change, a network in
 * two parts now and then. In the end everybody reaches everybody, and nothing has grown.
 */
#include "tap.h"

#include "mesh_sim.h"

#define NODES 20
#define DAY_S 86400
#define WALL (FIXTURE_CREATED + 86400)

static unsigned upto(struct sim *s, unsigned n)
{
	return (unsigned)(mesh_random(&s->seed) % n);
}

static void happen(struct sim *s, unsigned second)
{
	struct sim_node *n = &s->node[1 + upto(s, NODES)];

	/* Every ten seconds somebody speaks to somebody. */
	(void)sim_data(n, &s->node[1 + upto(s, NODES)]);
	if (second % 1800 == 0) {
		/* A power cut, for half a minute; now and then with a clock that is off. */
		sim_kill(n);
		sim_wait(s, 30000);
		sim_start(n, upto(s, 4) == 0 ? WALL - DAY_S : WALL + (int64_t)second);
		sim_configure(n, &s->node[n->number == 1 ? 2 : 1]);
	}
	if (second % 7200 == 3600) {
		struct record_endpoint own = {ENDPOINT_OWN, n->at};

		own.at.addr[2] ^= 1;
		n->at = own.at;
		mesh_engine_endpoints(n->e, &own, 1, s->now_ms);
		sim_pump(n);
	}
	if (second % 14400 == 7200)
		s->parted = true;
	if (second % 14400 == 8400)
		s->parted = false;
}

TEST(a_day_of_twenty_nodes)
{
	unsigned long_s = getenv("WALK_ALL") != NULL ? DAY_S : DAY_S / 8;
	struct sim *s = sim_new(77);
	uint64_t sent = 0, before;
	unsigned i, k, second, reached = 0;

	for (i = 1; i <= NODES; i++) {
		struct sim_node *n = sim_add(s, 0, WALL);

		n->side = i % 2;
		if (i > 1)
			sim_configure(n, &s->node[1]);
	}
	s->loss_percent = 3;
	for (second = 0; second < long_s; second += 10) {
		sim_wait(s, 10000);
		happen(s, second);
	}
	for (i = 1; i <= NODES; i++)
		sent += s->node[i].sent;
	printf("# %.1f datagrams a minute and node\n", (double)sent / NODES / (long_s / 60));
	s->loss_percent = 0;
	sim_wait(s, 120000);
	for (i = 1; i <= NODES; i++) {
		for (k = 1; k <= NODES; k++) {
			if (k == i)
				continue;
			before = s->node[k].received_data;
			CHECK(sim_data(&s->node[i], &s->node[k]));
			sim_wait(s, 3000);
			reached += s->node[k].received_data > before;
		}
	}
	CHECK_INT(reached, NODES * (NODES - 1));
	for (i = 1; i <= NODES; i++) {
		CHECK_INT(mesh_engine_peers(s->node[i].e), NODES - 1);
		/* Of each peer five at most, and those that are about to be. */
		CHECK(s->node[i].sessions_count <= (NODES - 1) * 6);
	}
	sim_free(s);
}
