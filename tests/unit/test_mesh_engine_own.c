/* What a node says of itself, on a virtual clock: where it is, as it and others see it, and what has no room. */
#include "tap.h"

#include "mesh_sim.h"

#define WALL (FIXTURE_CREATED + 86400)

/* Forwards one after the other, until the engine takes no more. */
static void fill(struct sim_node *n)
{
	struct mesh_record *own = &n->own;
	struct error err = ERROR_INIT;
	size_t i;

	*own = *mesh_engine_record(n->e);
	for (i = 0; i < RECORD_FORWARDS_MAX; i++) {
		own->forwards[i] = (struct record_forward){.ordinal = (uint8_t)(i / 5), .slot = (uint8_t)(2 + i % 5)};
		snprintf(own->forwards[i].name, sizeof(own->forwards[i].name), "fwd%zu", i);
		own->forwards_count = i + 1;
		if (mesh_engine_own(n->e, own, n->sim->now_ms, &err) < 0)
			break;
		sim_pump(n);
	}
	CHECK_INT(err.kind, ERR_LIMIT);
	own->forwards_count = mesh_engine_record(n->e)->forwards_count;
	CHECK_INT(own->forwards_count, i);
	CHECK(i > 40 && i < RECORD_FORWARDS_MAX);
}

static void tell_endpoints(struct sim_node *n, size_t count)
{
	struct record_endpoint ends[ENGINE_ENDPOINTS_MAX];
	size_t i;

	for (i = 0; i < count; i++)
		ends[i] = (struct record_endpoint){ENDPOINT_OWN,
						   {ENDPOINT_V6, {0x20, 1, 0xd, 0xb8, [7] = (uint8_t)(1 + i), [15] = 1}, 7783}};
	mesh_engine_endpoints(n->e, ends, count, n->sim->now_ms);
	sim_pump(n);
	sim_wait(n->sim, 6000);
}

TEST(endpoints_that_have_no_room_are_left_out_and_the_best_ones_told)
{
	struct sim *s = sim_new(1);
	struct sim_node *n = sim_add(s, 0, WALL);
	const struct mesh_record *own;
	struct error err = ERROR_INIT;
	size_t told, turn;

	sim_wait(s, 6000);
	fill(n);
	CHECK_INT(mesh_engine_left_out(n->e), 0);
	/* It moves, to where it has more. */
	tell_endpoints(n, 8);
	own = mesh_engine_record(n->e);
	told = own->endpoints_count;
	CHECK(told < 8 && mesh_engine_left_out(n->e) == 8 - told);
	CHECK(record_length(own) <= RECORD_LEN_MAX && record_length(own) + 20 > RECORD_LEN_MAX);
	CHECK_INT(own->forwards_count, n->own.forwards_count);
	/* More forwards would leave out more; fewer leave out less. */
	n->own.forwards_count++;
	CHECK(mesh_engine_own(n->e, &n->own, s->now_ms, &err) < 0 && err.kind == ERR_LIMIT && err.hint[0] != '\0');
	CHECK_INT(own->endpoints_count, told);
	n->own.forwards_count -= 6;
	CHECK(mesh_engine_own(n->e, &n->own, s->now_ms, &err) == 0);
	sim_pump(n);
	CHECK(own->endpoints_count > told && mesh_engine_left_out(n->e) == 8 - own->endpoints_count);
	CHECK_INT(own->endpoints[0].at.addr[7], 1);
	/* A week on it is renewed, and then waited for again. */
	s->now_ms += INT64_C(7) * 86400000;
	for (turn = 0; turn < 10; turn++) {
		mesh_engine_timer(n->e, s->now_ms);
		sim_pump(n);
	}
	CHECK(mesh_engine_due(n->e) > s->now_ms);
	tell_endpoints(n, 1);
	CHECK_INT(mesh_engine_left_out(n->e), 0);
	sim_free(s);
}

TEST(where_others_see_it_is_told_in_a_record_that_is_full)
{
	struct sim *s = sim_new(2);
	const struct mesh_record *own;
	struct error err = ERROR_INIT;
	struct sim_node *n;
	size_t told;

	sim_nat(s, 1, SIM_FULL_CONE);
	sim_add(s, 0, WALL);
	n = sim_add(s, 1, WALL);
	fill(n);
	n->own.forwards_count -= 3;
	CHECK(mesh_engine_own(n->e, &n->own, s->now_ms, &err) == 0);
	sim_pump(n);
	tell_endpoints(n, 8);
	own = mesh_engine_record(n->e);
	told = own->endpoints_count;
	CHECK(told >= 2 && told < 8);
	sim_configure(n, &s->node[1]);
	sim_wait(s, 12000);
	CHECK(own->endpoints[0].kind == ENDPOINT_OWN && own->endpoints[0].at.addr[7] == 1);
	CHECK_INT(own->endpoints[own->endpoints_count - 1].kind, ENDPOINT_OBSERVED);
	CHECK_INT(mesh_engine_left_out(n->e), 9 - own->endpoints_count);
	sim_free(s);
}

/* Of an hour, the minutes in which the public node could have sent to the one behind the NAT, beside n others on its LAN. */
static unsigned reachable(unsigned others)
{
	struct sim *s = sim_new(11);
	struct sim_node *n;
	unsigned i, k, live = 0;

	sim_nat(s, 1, SIM_SYMMETRIC);
	sim_add(s, 0, WALL);
	n = sim_add(s, 1, WALL);
	for (i = 0; i < others; i++)
		sim_add(s, 1, WALL);
	for (i = 2; i <= s->count; i++) {
		s->node[i].lan = 1;
		sim_configure(&s->node[i], &s->node[1]);
	}
	sim_wait(s, 30000);
	for (i = 0; i < 60; i++) {
		for (k = 3; k <= s->count; k++) {
			CHECK(sim_data(n, &s->node[k]));
			CHECK(sim_data(&s->node[k], n));
		}
		sim_wait(s, 60000);
		live += sim_live(&s->node[1], n);
	}
	CHECK(sim_data(&s->node[1], n));
	k = (unsigned)n->received_data;
	sim_wait(s, 1000);
	CHECK_INT(n->received_data, k + 1);
	sim_free(s);
	return live;
}

TEST(one_behind_a_nat_stays_reachable_whoever_is_beside_it)
{
	CHECK_INT(reachable(0), 60);
	CHECK_INT(reachable(1), 60);
	CHECK_INT(reachable(9), 60);
}
