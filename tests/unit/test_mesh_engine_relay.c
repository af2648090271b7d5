/* Datagrams through a member: who takes that way, when it is left again, and what a member cannot do by it. */
#include "tap.h"

#include "mesh_sim.h"

#define WALL (FIXTURE_CREATED + 86400)

static void relays(struct sim_node *n)
{
	struct error err = ERROR_INIT;

	n->own.flags = RECORD_RELAYS;
	CHECK(mesh_engine_own(n->e, &n->own, n->sim->now_ms, &err) == 0);
	sim_pump(n);
}

/* The first `offering` of them relay; each but the first has the first one's endpoint. */
static struct sim *network(uint64_t seed, unsigned count, unsigned offering)
{
	struct sim *s = sim_new(seed);
	unsigned i;

	for (i = 1; i <= count; i++) {
		sim_add(s, 0, WALL);
		if (i <= offering)
			relays(&s->node[i]);
	}
	for (i = 2; i <= count; i++)
		sim_configure(&s->node[i], &s->node[1]);
	sim_wait(s, 8000);
	return s;
}

static void cut(struct sim *s, unsigned a, unsigned b, bool cut_it)
{
	s->cut[a][b] = s->cut[b][a] = cut_it;
}

static struct mesh_peer_info info_of(struct sim_node *n, const struct sim_node *other)
{
	struct mesh_peer_info i;

	REQUIRE(mesh_engine_find(n->e, other->key.id, &i));
	return i;
}

static bool through(struct sim_node *n, const struct sim_node *other, const struct sim_node *via)
{
	struct mesh_peer_info i = info_of(n, other);

	return i.live && i.path == MESH_PATH_PEER && i.relay == info_of(n, via).peer && i.at.family == ENDPOINT_NONE;
}

static bool direct(struct sim_node *n, const struct sim_node *other)
{
	struct mesh_peer_info i = info_of(n, other);

	return i.live && (i.path == MESH_PATH_DIRECT || i.path == MESH_PATH_LAN) && i.relay == ENGINE_NOBODY;
}

/* How many of n packets, one each `ms`, come through; answers go the other way. */
static unsigned talk(struct sim *s, struct sim_node *a, struct sim_node *b, unsigned n, int64_t ms)
{
	uint64_t before = b->received_data;
	unsigned i;

	for (i = 0; i < n; i++) {
		CHECK(sim_data(a, b));
		CHECK(sim_data(b, a));
		sim_wait(s, ms);
	}
	return (unsigned)(b->received_data - before);
}

static void natted(bool offered)
{
	struct sim *s = sim_new(1);
	struct mesh_engine_stats st;
	unsigned got;

	sim_nat(s, 1, SIM_SYMMETRIC);
	sim_nat(s, 2, SIM_SYMMETRIC);
	sim_add(s, 0, WALL);
	if (offered)
		relays(&s->node[1]);
	sim_add(s, 1, WALL);
	sim_add(s, 2, WALL);
	sim_configure(&s->node[2], &s->node[1]);
	sim_configure(&s->node[3], &s->node[1]);
	/* An hour of nothing, and it still works. */
	sim_wait(s, 3600000);
	CHECK(sim_data(&s->node[2], &s->node[3]));
	sim_wait(s, 700);
	CHECK_INT(s->node[3].received_data, offered ? 1 : 0);
	got = talk(s, &s->node[2], &s->node[3], 300, 1000);
	CHECK_INT(got, offered ? 300 : 0);
	CHECK(!offered || (through(&s->node[2], &s->node[3], &s->node[1]) &&
			   through(&s->node[3], &s->node[2], &s->node[1])));
	mesh_engine_stats(s->node[1].e, &st);
	CHECK((st.relayed > 0) == offered);
	/* Nobody has asked one that does not offer it. */
	CHECK(offered || st.relay_refused == 0);
	sim_free(s);
}

TEST(two_behind_symmetric_nats_talk_through_a_member_that_offers_it_and_no_other)
{
	natted(true);
	natted(false);
}

TEST(a_direct_path_that_goes_dead_is_left_and_taken_again)
{
	struct sim *s = network(2, 3, 1);
	struct sim_node *a = &s->node[2], *b = &s->node[3];
	unsigned lost = 0, ms;

	CHECK_INT(talk(s, a, b, 20, 100), 20);
	CHECK(direct(a, b));
	cut(s, 2, 3, true);
	for (ms = 0; ms < 10000 && talk(s, a, b, 1, 100) == 0; ms += 100)
		lost++;
	printf("# %u ms without\n", lost * 100);
	CHECK(lost <= 45);
	CHECK_INT(talk(s, a, b, 100, 100), 100);
	CHECK(through(a, b, &s->node[1]) && through(b, a, &s->node[1]));
	/* What it costs: the member's header, once more sealed. */
	CHECK_INT(info_of(a, b).mtu, 1420 - 49);
	CHECK(info_of(a, b).rtt_us >= 8000);
	cut(s, 2, 3, false);
	for (ms = 0; ms < 10000 && !(direct(a, b) && direct(b, a)); ms += 100)
		CHECK_INT(talk(s, a, b, 1, 100), 1);
	printf("# direct again after %u ms\n", ms);
	CHECK(ms <= 5000);
	CHECK_INT(info_of(a, b).mtu, 1420);
	sim_free(s);
}

TEST(one_way_alone_is_no_path)
{
	struct sim *s = network(3, 3, 1);
	struct sim_node *a = &s->node[2], *b = &s->node[3];

	CHECK_INT(talk(s, a, b, 20, 100), 20);
	s->cut[2][3] = true;
	talk(s, a, b, 60, 100);
	CHECK_INT(talk(s, a, b, 100, 100), 100);
	CHECK(through(a, b, &s->node[1]));
	sim_free(s);
}

TEST(when_the_member_dies_another_one_does_it)
{
	struct sim *s = network(4, 4, 2);
	struct sim_node *a = &s->node[3], *b = &s->node[4];
	unsigned via, gap;

	cut(s, 3, 4, true);
	CHECK(talk(s, a, b, 50, 100) >= 40);
	/* Both know both. */
	CHECK(talk(s, a, &s->node[2], 5, 100) == 5 && talk(s, b, &s->node[2], 5, 100) == 5);
	via = through(a, b, &s->node[1]) ? 1 : 2;
	CHECK(through(a, b, &s->node[via]));
	sim_kill(&s->node[via]);
	for (gap = 0; gap < 100 && talk(s, a, b, 1, 100) == 0; gap++)
		;
	printf("# %u ms until the other\n", gap * 100);
	CHECK(gap <= 50);
	CHECK(talk(s, a, b, 50, 100) == 50);
	CHECK(through(a, b, &s->node[3 - via]));
	/* And when there is none, they are told. */
	sim_kill(&s->node[3 - via]);
	a->given_up = 0;
	talk(s, a, b, 120, 100);
	CHECK(a->given_up > 0);
	CHECK(!info_of(a, b).live && info_of(a, b).path == MESH_PATH_NONE);
	sim_free(s);
}

/* Of all nodes that offer it. */
static void dead(unsigned count)
{
	struct sim *s = network(5, count, count);
	struct sim_node *a = &s->node[2], *b = &s->node[3];
	unsigned i;

	for (i = 4; i <= count; i++)
		CHECK(talk(s, a, &s->node[i], 1, 100) == 1 && talk(s, b, &s->node[i], 1, 100) == 1);
	CHECK_INT(talk(s, a, b, 20, 100), 20);
	sim_kill(b);
	for (i = 0; i < 300 && (i < 100 || a->given_up == 0); i++) {
		sim_data(a, b);
		sim_wait(s, 100);
	}
	printf("# with %u nodes, given up after %u ms at most\n", count, i * 100);
	CHECK(a->given_up > 0);
	CHECK(!info_of(a, b).live);
	CHECK_INT(info_of(a, b).path, MESH_PATH_NONE);
	sim_free(s);
}

TEST(a_dead_peer_is_not_made_alive_by_members_in_between)
{
	dead(3);
	dead(16);
}

TEST(an_evicted_one_has_nobody_to_pass_its_datagrams_on)
{
	struct sim *s = network(6, 4, 1);
	struct sim_node *a = &s->node[2], *b = &s->node[3];
	uint64_t before;

	cut(s, 2, 3, true);
	CHECK(talk(s, a, b, 50, 100) >= 40);
	mesh_engine_evict(b->e, a->key.id, s->now_ms);
	sim_pump(b);
	before = b->received_data;
	CHECK(sim_data(a, b));
	sim_wait(s, 5000);
	CHECK(sim_data(a, b));
	sim_wait(s, 5000);
	CHECK_INT(b->received_data, before);
	CHECK(!info_of(b, a).live);
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

TEST(asked_for_what_it_does_not_do_a_member_says_no)
{
	struct sim *s = network(7, 3, 0);
	struct message m = {.type = MESSAGE_RELAY};
	struct mesh_engine_stats st;
	uint8_t d[64] = {1};
	uint64_t sent;
	unsigned i;

	CHECK(talk(s, &s->node[2], &s->node[1], 1, 100) == 1 && talk(s, &s->node[3], &s->node[1], 1, 100) == 1);
	m.u.relay.datagram = slice_of(d, sizeof(d));
	memcpy(m.u.relay.node, s->node[3].key.id, NODE_ID_LEN);
	sent = s->node[1].sent;
	for (i = 0; i < 1000; i++)
		say(&s->node[2], &s->node[1], &m);
	sim_wait(s, 100);
	mesh_engine_stats(s->node[1].e, &st);
	CHECK_INT(st.relayed, 0);
	CHECK_INT(st.relay_refused, 1000);
	CHECK(s->node[1].sent - sent >= 1 && s->node[1].sent - sent <= 12);
	/* It offers it now: to those it has a session with, neither itself, nor the asker, nor nobody. */
	relays(&s->node[1]);
	say(&s->node[2], &s->node[1], &m);
	memcpy(m.u.relay.node, s->node[2].key.id, NODE_ID_LEN);
	say(&s->node[2], &s->node[1], &m);
	memcpy(m.u.relay.node, s->node[1].key.id, NODE_ID_LEN);
	say(&s->node[2], &s->node[1], &m);
	memset(m.u.relay.node, 7, NODE_ID_LEN);
	say(&s->node[2], &s->node[1], &m);
	sim_wait(s, 100);
	mesh_engine_stats(s->node[1].e, &st);
	CHECK_INT(st.relayed, 1);
	CHECK_INT(st.relay_refused, 1003);
	sim_free(s);
}

TEST(no_more_than_64_kib_wait_for_one_target)
{
	struct sim *s = network(8, 4, 1);
	struct sim_node *n = &s->node[1];
	uint8_t d[1200] = {1}, content[MESSAGE_LEN_MAX];
	struct message m = {.type = MESSAGE_RELAY};
	size_t len, bytes = 0, noes = 0, other = 0;
	struct mesh_peer_info from, to;
	struct sim_peer *p;
	struct mesh_act a;
	unsigned i;

	for (i = 2; i <= 4; i++)
		CHECK(talk(s, &s->node[i], n, 1, 100) == 1);
	from = info_of(n, &s->node[2]);
	to = info_of(n, &s->node[3]);
	p = &n->peers[from.peer];
	memcpy(m.u.relay.node, s->node[3].key.id, NODE_ID_LEN);
	m.u.relay.datagram = slice_of(d, sizeof(d));
	len = message_put(&m, content, sizeof(content));
	for (i = 0; i < 1000; i++)
		mesh_engine_message(n->e, from.peer, p->sending, &p->at, slice_of(content, len), s->now_ms);
	/* Another one is not held up. */
	memcpy(content + 1, s->node[4].key.id, NODE_ID_LEN);
	mesh_engine_message(n->e, from.peer, p->sending, &p->at, slice_of(content, len), s->now_ms);
	while (mesh_engine_next(n->e, &a)) {
		CHECK_INT(a.kind, MESH_ACT_CONTROL);
		if (a.peer == to.peer)
			bytes += a.bytes.len;
		else if (a.peer == from.peer)
			noes++;
		else
			other++;
	}
	CHECK(bytes > 60000 && bytes <= 65536 + 17 * 64);
	CHECK(noes >= 1 && noes <= 8);
	CHECK_INT(other, 1);
	/* With the queue empty it goes on. */
	memcpy(content + 1, s->node[3].key.id, NODE_ID_LEN);
	mesh_engine_message(n->e, from.peer, p->sending, &p->at, slice_of(content, len), s->now_ms);
	CHECK(mesh_engine_next(n->e, &a) && a.peer == to.peer);
	sim_pump(n);
	sim_free(s);
}

TEST(a_member_cannot_speak_for_another_one)
{
	struct sim *s = network(9, 3, 1);
	struct sim_node *bad = &s->node[1], *n = &s->node[2];
	struct message m = {.type = MESSAGE_RELAYED};
	struct mesh_engine_stats before, st;
	uint8_t d[PACKET_OUTER_MAX];
	struct mesh_node other;
	struct handshake hs;
	size_t peers;
	unsigned i;

	CHECK(talk(s, bad, n, 1, 100) == 1);
	REQUIRE(node_init(&other, &s->net, "other") == 0);
	mesh_engine_stats(n->e, &before);
	/* An initiation of one id under the name of another. */
	m.u.relay.datagram = slice_of(d, handshake_initiate(&hs, &other.self, n->key.id, n->key.static_public, 5, 1, true,
							    NULL, d));
	memcpy(m.u.relay.node, s->node[3].key.id, NODE_ID_LEN);
	say(bad, n, &m);
	sim_wait(s, 50);
	mesh_engine_stats(n->e, &st);
	CHECK_INT(st.initiations_taken, before.initiations_taken);
	CHECK_INT(st.initiations_refused, before.initiations_refused + 1);
	/* Of the receiver itself, of the member itself; noise; whos; packets of sessions that are not there. */
	memcpy(m.u.relay.node, n->key.id, NODE_ID_LEN);
	say(bad, n, &m);
	memcpy(m.u.relay.node, bad->key.id, NODE_ID_LEN);
	say(bad, n, &m);
	peers = mesh_engine_peers(n->e);
	for (i = 0; i < 2000; i++) {
		struct packet_who who = {.nonce = i};

		sim_random(n, m.u.relay.node, NODE_ID_LEN);
		if (i % 4 == 0) {
			m.u.relay.datagram = slice_of(d, packet_put_who(&s->net.subkeys, &who, NULL, d));
		} else {
			sim_random(n, d, sizeof(d));
			m.u.relay.datagram = slice_of(d, 32 + mesh_random(&s->seed) % 1000);
		}
		if (i % 4 == 3)
			memcpy(m.u.relay.node, s->node[3].key.id, NODE_ID_LEN);
		say(bad, n, &m);
		sim_wait(s, 1);
	}
	mesh_engine_stats(n->e, &st);
	CHECK_INT(st.initiations_taken, before.initiations_taken);
	CHECK(mesh_engine_peers(n->e) <= peers + 40);
	CHECK(n->sessions_count <= 4);
	/* A session packet of one peer, handed in as another one's, moves nobody. */
	CHECK(talk(s, n, &s->node[3], 5, 100) == 5);
	CHECK(direct(n, &s->node[3]) && direct(n, bad));
	node_release(&other);
	sim_free(s);
}

TEST(a_call_through_a_member_reaches_one_that_does_not_know_the_caller)
{
	struct sim *s = network(10, 3, 1);
	struct sim_node *n, *b = &s->node[3];
	uint64_t had;

	n = sim_add(s, 0, WALL);
	cut(s, 4, 3, true);
	sim_configure(n, &s->node[1]);
	sim_wait(s, 30);
	CHECK(talk(s, b, &s->node[1], 1, 100) == 1);
	had = b->received_data;
	while (b->received_data == had && s->now_ms < SIM_START + 20000) {
		sim_data(n, b);
		sim_wait(s, 100);
	}
	CHECK(s->now_ms < SIM_START + 10000);
	CHECK_INT(talk(s, n, b, 20, 100), 20);
	CHECK(through(n, b, &s->node[1]) && through(b, n, &s->node[1]));
	sim_free(s);
}

TEST(long_records_and_small_datagrams_go_through_as_well)
{
	struct sim *s = network(11, 3, 1);
	struct sim_node *a = &s->node[2], *b = &s->node[3];
	struct error err = ERROR_INIT;
	unsigned i;

	for (i = 0; i < 12; i++) {
		struct record_forward *f = &a->own.forwards[a->own.forwards_count++];

		*f = (struct record_forward){.ordinal = (uint8_t)(i / 5), .slot = (uint8_t)(2 + i % 5), .named_s = 5};
		snprintf(f->name, sizeof(f->name), "a-device-with-a-name-as-long-as-%02u", i);
	}
	CHECK(mesh_engine_own(a->e, &a->own, s->now_ms, &err) == 0);
	sim_pump(a);
	s->mtu = 1232;
	cut(s, 2, 3, true);
	talk(s, a, b, 100, 100);
	CHECK(through(a, b, &s->node[1]));
	CHECK_INT(talk(s, a, b, 50, 100), 50);
	CHECK_INT(info_of(a, b).mtu, 1151);
	/* 180 s on, over the member: the next session. */
	CHECK_INT(talk(s, a, b, 300, 1000), 300);
	CHECK(through(a, b, &s->node[1]));
	sim_free(s);
}

TEST(a_rotation_goes_through_a_member_too)
{
	struct sim *s = network(12, 3, 1);
	struct sim_node *a = &s->node[2], *b = &s->node[3];
	struct buf list = BUF_INIT(STAY_LEN_MAX);
	uint8_t ids[3][NODE_ID_LEN];
	struct error err = ERROR_INIT;
	struct netkey next;
	unsigned i;

	cut(s, 2, 3, true);
	CHECK(talk(s, a, b, 50, 100) >= 40);
	for (i = 0; i < 3; i++)
		memcpy(ids[i], s->node[i + 1].key.id, NODE_ID_LEN);
	REQUIRE(netkey_next(&next, &a->gen, 0, &err) == 0);
	REQUIRE(staylist_put(&list, &next, &s->net.owner, (const uint8_t (*)[NODE_ID_LEN])ids, 3, WALL, &err) == 0);
	CHECK(mesh_engine_rotate(a->e, &next, buf_slice(&list), ENGINE_GRACE_MS, s->now_ms, &err) == 0);
	sim_pump(a);
	sim_keep(a, &next, buf_slice(&list), ENGINE_GRACE_MS);
	CHECK_INT(talk(s, a, b, 300, 1000), 300);
	CHECK_INT(b->gen.generation, 2);
	CHECK_INT(info_of(a, b).generation, 2);
	CHECK(through(a, b, &s->node[1]));
	buf_release(&list);
	sim_free(s);
}
