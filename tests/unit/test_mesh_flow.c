/* The table of flows against a model that is too simple to be wrong, at its limits, and under several threads. */
#include "mesh/filter.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "inner_kit.h"
#include "tap.h"

#define PORTS 4		/* of each side: local port P is served when bit P of `served` is set */
#define TUPLES (2 * PORTS * PORTS * 2)	/* peers, ports, TCP and UDP */

static uint64_t seed = 1;

static unsigned dice(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static unsigned served;
static uint32_t generation = 1;

static bool ask(void *arg, const struct flow_key *k, int *rule, uint32_t *g)
{
	(void)arg;
	*g = generation;
	*rule = (served >> k->local_port & 1) != 0 ? k->local_port : SCOPE_NO_RULE;
	return *rule >= 0;
}

static struct flow_packet packet_of(unsigned tuple, uint8_t flags, int64_t now_ms)
{
	struct flow_packet p = {.key = {.local = {1}, .remote = {2}, .version = 4}, .now_ms = now_ms, .generation = generation,
				.judge = {.ask = ask}};

	p.key.kind = tuple & 1 ? FLOW_TCP : FLOW_UDP;
	p.key.local_port = (uint16_t)(tuple / 2 % PORTS);
	p.key.remote_port = (uint16_t)(tuple / 2 / PORTS % PORTS);
	p.key.peer = tuple / 2 / PORTS / PORTS;
	p.tcp_flags = tuple & 1 ? flags : 0;
	return p;
}

/* ---- the model: one flow a tuple, as the head of flow.h says it ---- */

struct model {
	enum { NONE, NEW, ANSWERED, OPEN, HALF, CLOSED } state;
	bool let_in, cut;
	bool fin[2];
	uint32_t generation;
	int64_t last;
};

static int64_t lifetime(const struct model *m, bool tcp)
{
	if (m->cut)
		return 180000;
	if (!tcp)
		return m->state == OPEN ? 180000 : 30000;
	return m->state == OPEN ? 7440000 : m->state == HALF ? 1800000 : m->state == CLOSED ? 30000 : 60000;
}

static void model_begin(struct model *m, bool let_in, int64_t now)
{
	*m = (struct model){.state = NEW, .let_in = let_in, .generation = generation, .last = now};
}

static void model_pass(struct model *m, bool tcp, bool in, uint8_t flags, int64_t now)
{
	bool opener = in == m->let_in;

	if (m->state == CLOSED)
		return;
	m->last = now;
	if (!tcp) {
		if (!opener)
			m->state = OPEN;
		return;
	}
	if (flags & PKT_RST) {
		m->state = CLOSED;
		return;
	}
	if (m->state == NEW && !opener)
		m->state = ANSWERED;
	else if (m->state == ANSWERED && opener && !(flags & PKT_SYN))
		m->state = OPEN;
	if (flags & INNER_FIN) {
		m->fin[in] = true;
		if (m->fin[0] && m->fin[1])
			m->state = CLOSED;
		else if (m->state == OPEN)
			m->state = HALF;
	}
}

static enum flow_verdict model_new(struct model *m, bool tcp, bool in, bool rule, uint8_t flags, int64_t now)
{
	bool syn = (flags & PKT_SYNACK) == PKT_SYN;

	if (in && !rule)
		return FLOW_DENIED;
	if (tcp && (flags & PKT_RST))
		return FLOW_PASS;
	if (!in && tcp && !syn && !rule)
		return FLOW_STRAY;
	model_begin(m, in || (rule && !(tcp && syn)), now);
	if (tcp)
		model_pass(m, tcp, in, flags, now);
	return FLOW_PASS;
}

static enum flow_verdict model_step(struct model *m, const struct flow_packet *p, bool in)
{
	bool tcp = p->key.kind == FLOW_TCP, rule = (served >> p->key.local_port & 1) != 0;
	bool syn = tcp && (p->tcp_flags & PKT_SYNACK) == PKT_SYN;

	if (m->state != NONE && p->now_ms - m->last >= lifetime(m, tcp))
		m->state = NONE;
	if (m->state == NONE)
		return model_new(m, tcp, in, rule, p->tcp_flags, p->now_ms);
	if (m->let_in && m->generation != generation) {
		if (!rule && !m->cut)
			m->last = p->now_ms;
		m->cut = !rule;
		m->generation = generation;
	}
	if (!in && syn && (m->cut || m->state == CLOSED)) {
		model_begin(m, false, p->now_ms);
		return FLOW_PASS;
	}
	if (m->cut) {
		if (!in)
			m->last = p->now_ms;
		return FLOW_ENDED;
	}
	if (in && syn && (!m->let_in || m->state == CLOSED)) {
		if (!rule)
			return FLOW_DENIED;
		if (m->state == CLOSED)
			model_begin(m, true, p->now_ms);
		return FLOW_PASS;
	}
	model_pass(m, tcp, in, p->tcp_flags, p->now_ms);
	return FLOW_PASS;
}

/* What the table counts of a peer, the model counts too; what ran out of time is counted until somebody looks. */
static void check_counts(struct flows *t, struct model *m, int64_t now)
{
	flows_sweep(t, now);
	for (uint32_t peer = 0; peer < 2; peer++) {
		uint32_t let_in, fresh, want_in = 0, want_fresh = 0;

		for (unsigned i = 0; i < TUPLES; i++) {
			bool tcp = i & 1;

			if (i / 2 / PORTS / PORTS != peer || m[i].state == NONE || now - m[i].last >= lifetime(&m[i], tcp) || !m[i].let_in)
				continue;
			want_in++;
			want_fresh += !m[i].cut && m[i].state != OPEN && m[i].state != HALF;
		}
		flows_count_peer(t, peer, &let_in, &fresh);
		CHECK_INT(let_in, want_in);
		CHECK_INT(fresh, want_fresh);
	}
}

static int64_t some_time(void)
{
	static const int64_t times[] = {0, 0, 0, 0, 0, 0, 1, 500, 9999, 29999, 30000, 59999, 60000, 179999, 180000, 1799999, 1800000, 7439999,
					7440000};

	return dice(3) != 0 ? 0 : times[dice(ARRAY_SIZE(times))];
}

TEST(the_table_does_what_the_model_does)
{
	static const uint8_t flags[] = {PKT_SYN, PKT_SYN, PKT_SYNACK, PKT_ACK, PKT_ACK, PKT_ACK, PKT_FINACK, PKT_RST, PKT_RST | PKT_ACK};
	unsigned seen[FLOW_FULL + 1] = {0};

	for (seed = 1; seed <= 40; seed++) {
		uint64_t run = seed;
		struct model model[TUPLES] = {0};
		struct flows *t = flows_new();
		int64_t now = 1000;

		for (int i = 0; i < 10000 && tap_failures == 0; i++) {
			/* A few at a time, so that they get somewhere. */
			unsigned tuple = (dice(3) + (unsigned)(i / 500) * 7) % TUPLES;
			uint8_t flag = flags[dice(ARRAY_SIZE(flags))];
			bool in = dice(2);
			enum flow_verdict got, want;
			struct flow_packet p;

			now += some_time();
			if (dice(50) == 0) {
				served = dice(1 << PORTS);
				generation++;
			}
			p = packet_of(tuple, flag, now);
			want = model_step(&model[tuple], &p, in);
			got = in ? flow_in(t, &p, NULL) : flow_out(t, &p, NULL);
			CHECK_INT(got, want);
			if (got != want)
				printf("# run %llu, step %d\n", (unsigned long long)run, i);
			seen[got]++;
			if (i % 100 == 0)
				check_counts(t, model, now);
		}
		flows_free(t);
		seed = run;
	}
	/* The walk went everywhere. */
	CHECK(seen[FLOW_PASS] > 1000 && seen[FLOW_DENIED] > 1000 && seen[FLOW_ENDED] > 1000 && seen[FLOW_STRAY] > 100);
}

TEST(without_rules_only_answers_pass)
{
	/* The one thing that must hold, whatever else: by a far simpler model, which knows who was spoken to. */
	struct flows *t = flows_new();
	bool spoken[TUPLES] = {false};
	int64_t now = 0;

	served = 0;
	for (int i = 0; i < 300000; i++) {
		unsigned tuple = dice(TUPLES);
		uint8_t flags = (uint8_t)(dice(2) ? PKT_ACK : dice(64));
		struct flow_packet p = packet_of(tuple, flags, now += dice(100));

		if (dice(40) == 0)
			generation++;
		p.generation = generation;
		if (dice(100) == 0 && flow_out(t, &p, NULL) == FLOW_PASS && (!(tuple & 1) || (flags & PKT_SYNACK) == PKT_SYN))
			spoken[tuple] = true;
		if (flow_in(t, &p, NULL) == FLOW_PASS)
			CHECK(spoken[tuple]);
		if (i % 10000 == 0) {
			flows_forget_peer(t, 0);
			flows_forget_peer(t, 1);
			memset(spoken, 0, sizeof(spoken));
		}
	}
	flows_free(t);
}

static bool yes(void *arg, const struct flow_key *k, int *rule, uint32_t *g)
{
	(void)arg, (void)k;
	*rule = 0;
	*g = 1;
	return true;
}

static struct flow_packet udp_of(uint32_t peer, uint32_t n)
{
	struct flow_packet p = {.key = {.peer = peer, .kind = FLOW_UDP, .version = 6}, .generation = 1, .judge = {.ask = yes}};

	put_be32(p.key.remote, n / 60000);
	p.key.remote_port = (uint16_t)(n % 60000);
	return p;
}

TEST(each_has_its_share)
{
	struct flows *t = flows_new();
	uint32_t let_in, fresh;
	struct flow_counts c;
	struct flow_packet p;
	unsigned passed = 0;

	/* What is answered stays, up to its limit. */
	for (uint32_t n = 0; n < 100000; n++) {
		p = udp_of(3, n);
		if (flow_in(t, &p, NULL) == FLOW_PASS && flow_out(t, &p, NULL) == FLOW_PASS)
			passed++;
	}
	CHECK_INT(passed, FLOW_PEER_MAX);
	flows_count_peer(t, 3, &let_in, &fresh);
	CHECK_INT(let_in, FLOW_PEER_MAX);
	CHECK_INT(fresh, 0);
	/* And all who were answered are there. */
	passed = 0;
	for (uint32_t n = 0; n < 100000; n++) {
		p = udp_of(3, n);
		passed += flow_known(t, &p) == FLOW_PASS;
	}
	CHECK_INT(passed, FLOW_PEER_MAX);
	/* Many of them at once leave a quarter to us. */
	for (uint32_t peer = 4; peer < 12; peer++) {
		for (uint32_t n = 0; n < 20000; n++) {
			p = udp_of(peer, n);
			if (flow_in(t, &p, NULL) == FLOW_PASS)
				CHECK_INT(flow_out(t, &p, NULL), FLOW_PASS);
		}
	}
	flows_count(t, &c);
	CHECK(c.let_in <= FLOW_MAX / 4 * 3 && c.let_in > FLOW_MAX / 4 * 3 - 100 && c.full > 0);
	passed = 0;
	for (uint32_t n = 0; n < 8000; n++) {
		p = udp_of(20, 1000000 + n);
		p.judge.ask = ask;
		served = 0;
		passed += flow_out(t, &p, NULL) == FLOW_PASS;
	}
	CHECK_INT(passed, 8000);
	flows_forget_peer(t, 3);
	flows_count_peer(t, 3, &let_in, &fresh);
	CHECK_INT(let_in, 0);
	flows_free(t);
}

static unsigned how_many_known(struct flows *t, uint32_t peer, uint32_t n, int64_t now_ms)
{
	unsigned known = 0;

	while (n-- > 0) {
		struct flow_packet p = udp_of(peer, n);

		p.now_ms = now_ms;
		known += flow_known(t, &p) == FLOW_PASS;
	}
	return known;
}

/* A call of UDP and its answer, or a connection of TCP; half: of which the service has said that it ends. */
static bool call(struct flows *t, uint32_t peer, uint32_t n, bool tcp, bool half, int64_t now_ms)
{
	struct flow_packet p = udp_of(peer, n);

	p.now_ms = now_ms;
	if (tcp) {
		p.key.kind = FLOW_TCP;
		p.tcp_flags = PKT_SYN;
	}
	if (flow_in(t, &p, NULL) != FLOW_PASS)
		return false;
	p.tcp_flags = PKT_SYNACK;
	if (flow_out(t, &p, NULL) != FLOW_PASS)
		return false;
	if (tcp) {
		p.tcp_flags = PKT_ACK;
		CHECK_INT(flow_in(t, &p, NULL), FLOW_PASS);
		p.tcp_flags = half ? PKT_FINACK : PKT_ACK;
		CHECK_INT(flow_out(t, &p, NULL), FLOW_PASS);
	}
	return true;
}

static bool ssh_lives(struct flows *t, int64_t now_ms)
{
	unsigned alive = 0;

	for (uint32_t n = 0; n < 3; n++) {
		struct flow_packet p = udp_of(50, n);

		p.key.kind = FLOW_TCP;
		p.now_ms = now_ms;
		alive += flow_known(t, &p) == FLOW_PASS;
	}
	return alive == 3;
}

/* Three members who hold as much as they may, which is all there is: by UDP, by connections that end, by such that do not. */
static void fill_by_three(bool tcp, bool half)
{
	struct flows *t = flows_new();
	struct flow_counts c;
	unsigned passed = 0;

	for (uint32_t n = 0; n < 3; n++)
		CHECK(call(t, 50, n, true, false, 0));
	for (uint32_t n = 0; n < FLOW_PEER_MAX + 2000; n++)
		for (uint32_t peer = 3; peer < 6; peer++)
			(void)!call(t, peer, n, tcp, half, 1000 + n / 1000);
	flows_count(t, &c);
	CHECK(c.let_in > FLOW_MAX / 4 * 3 - 100);
	/* Who has little is let in all the same, and what it has stays. */
	for (uint32_t n = 0; n < 1000; n++)
		passed += call(t, 20, n, false, false, 40000);
	CHECK_INT(passed, 1000);
	CHECK_INT(how_many_known(t, 20, 1000, 40000), 1000);
	/* More of the kind, who go on. */
	passed = 0;
	for (uint32_t n = 0; n < 600; n++)
		for (uint32_t peer = 100; peer < 150; peer++)
			passed += call(t, peer, n, tcp, half, 41000);
	CHECK_INT(passed, 600 * 50);
	for (uint32_t n = 0; n < 10000; n++)
		for (uint32_t peer = 3; peer < 6; peer++)
			(void)!call(t, peer, 100000 + n, tcp, half, 42000);
	/* Who has most is found among some: of what is more than sure, a little may go. */
	CHECK(how_many_known(t, 20, 1000, 42000) >= 980);
	CHECK(ssh_lives(t, 42000));
	flows_count(t, &c);
	CHECK(c.let_in <= FLOW_MAX / 4 * 3);
	flows_free(t);
}

TEST(who_has_most_gives_way)
{
	fill_by_three(false, false);
	fill_by_three(true, true);
	fill_by_three(true, false);
}

TEST(a_few_flows_of_each_never_give_way)
{
	struct flows *t = flows_new();
	uint32_t passed[1100] = {0};
	unsigned refused = 0;

	for (uint32_t n = 0; n < 3; n++)
		CHECK(call(t, 50, n, true, false, 0));
	/* As many as are sure, of more members than there is room for. */
	for (uint32_t peer = 100; peer < ARRAY_SIZE(passed); peer++)
		for (uint32_t n = 0; n < FLOW_PEER_SURE; n++)
			passed[peer] += call(t, peer, n, false, false, 1000);
	for (uint32_t n = 0; n < 20000; n++)
		refused += !call(t, 20, n, false, false, 2000);
	CHECK(refused >= 20000 - 100);
	for (uint32_t peer = 100; peer < ARRAY_SIZE(passed); peer++)
		CHECK_INT(how_many_known(t, peer, FLOW_PEER_SURE, 2000), passed[peer]);
	CHECK(ssh_lives(t, 2000));
	flows_free(t);
}

TEST(what_few_have_begun_outlives_a_flood)
{
	struct flows *t = flows_new();
	struct flow_counts c;

	for (uint32_t n = 0; n < FLOW_PEER_SURE; n++) {
		struct flow_packet p = udp_of(20, n);

		CHECK_INT(flow_in(t, &p, NULL), FLOW_PASS);
	}
	for (uint32_t n = 0; n < 2 * FLOW_PEER_NEW_MAX; n++) {
		for (uint32_t peer = 100; peer < 160; peer++) {
			struct flow_packet p = udp_of(peer, n);

			p.now_ms = 1;
			CHECK_INT(flow_in(t, &p, NULL), FLOW_PASS);
		}
	}
	flows_count(t, &c);
	CHECK(c.let_in > FLOW_MAX / 4 * 3 - 100 && c.evicted > 0);
	CHECK_INT(how_many_known(t, 20, FLOW_PEER_SURE, 1), FLOW_PEER_SURE);
	flows_free(t);
}

TEST(clocks_of_threads_differ_a_little)
{
	struct flows *t = flows_new();
	struct flow_packet p = udp_of(1, 1);

	p.now_ms = 100000;
	CHECK_INT(flow_in(t, &p, NULL), FLOW_PASS);
	p.now_ms = 99990;
	CHECK_INT(flow_out(t, &p, NULL), FLOW_PASS);
	p.now_ms = 100000 + FLOW_UDP_OPEN_MS - 1;
	CHECK_INT(flow_known(t, &p), FLOW_PASS);
	flows_free(t);
}

/* ---- several threads ---- */

#define HOSTS 12

static struct filter *shared;
static _Atomic bool stop;
static _Atomic int64_t clock_ms = 1000000;
static _Atomic unsigned leaks, hammered;

static struct scope *some_scope(unsigned first)
{
	struct scope_target node = {.name = "press", .v4 = 0xc6120001};
	struct scope_rule r = {.proto = SCOPE_TCP, .port_first = (uint16_t)first, .port_last = (uint16_t)(first + 20)};
	struct scope *s = scope_new();
	struct error err = ERROR_INIT;

	pkt_address(node.v6, 6, 1);
	if (scope_add_target(s, &node, NULL, &err) < 0 || scope_add_rule(s, &r, &err) < 0)
		abort();
	return s;
}

/* Ports 1000 and above are never in a rule, and nobody here speaks from them: nothing may reach them. */
static void *hammer(void *arg)
{
	uint64_t s = (uint64_t)(uintptr_t)arg;
	struct filter_decision d;
	struct pkt p;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		unsigned r, host, port;
		bool in;
		int ver;

		s = s * 6364136223846793005u + 1442695040888963407u;
		r = (unsigned)(s >> 33);
		host = 2 + r % HOSTS;
		port = r / 16 % 64;
		in = r / 1024 % 2;
		ver = r / 2048 % 2 ? 4 : 6;
		if (in && r / 4096 % 8 == 0)
			port += 1000;
		if (r / 32768 % 4 == 0)
			pkt_udp(&p, ver, in ? host : 1, in ? 7 : port, in ? 1 : host, in ? port : 7);
		else
			pkt_tcp(&p, ver, in ? host : 1, in ? 7 : port, in ? 1 : host, in ? port : 7,
				(r >> 17) % 3 == 0 ? PKT_SYN : (r >> 17) % 8 == 1 ? PKT_FINACK : PKT_ACK);
		if (in)
			filter_in(shared, host, p.b, p.len, atomic_load(&clock_ms), &d);
		else
			filter_out(shared, host, p.b, p.len, atomic_load(&clock_ms), &d);
		if (in && port >= 1000 && d.verdict != FILTER_DROP)
			atomic_fetch_add(&leaks, 1);
		atomic_fetch_add(&hammered, 1);
	}
	return NULL;
}

static void nothing(void *arg, const struct flow_info *i)
{
	*(unsigned *)arg += i->let_in;
}

TEST(threads_share_it)
{
	static const uint8_t id[NODE_ID_LEN] = {1};
	struct filter_explanation e;
	struct filter_figures figures;
	pthread_t threads[4];
	unsigned shown = 0;

	shared = filter_new(INT64_MIN);
	for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
		REQUIRE(pthread_create(&threads[i], NULL, hammer, (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < 500; i++) {
		filter_set_scope(shared, some_scope(1 + i % 50));
		filter_set_peer(shared, 2 + i % HOSTS, i % 5 == 0 ? NULL : id);
		filter_explain(shared, id, "nas", 2 + i % HOSTS, 0, SCOPE_TCP, (uint16_t)(i % 64), atomic_load(&clock_ms), &e);
		if (i % 8 == 0)
			filter_sweep(shared, atomic_load(&clock_ms));
		filter_flows(shared, FLOW_PEERS_MAX, atomic_load(&clock_ms), nothing, &shown);
		filter_figures(shared, &figures);
		atomic_fetch_add(&clock_ms, 1 + i % 3 * 20000);
		/* Where others have the processor, the threads would never have begun before it is all over. */
		while (atomic_load(&hammered) < 50 * (i + 1))
			sched_yield();
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(leaks, 0);
	filter_figures(shared, &figures);
	CHECK_INT(figures.generation, 500);
	CHECK(figures.in[FILTER_BY_RULE] > 0 && figures.in[FILTER_NO_RULE] > 0 && figures.out[FILTER_BY_FLOW] > 0);
	/* What went in came out: the counts are right to the last one. */
	filter_sweep(shared, atomic_load(&clock_ms) + FLOW_TCP_OPEN_MS);
	filter_figures(shared, &figures);
	CHECK_INT(figures.flows.used, 0);
	CHECK_INT(figures.flows.let_in, 0);
	filter_free(shared);
}
