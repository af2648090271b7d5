/* The filter at its place in the data plane: verdicts, and what the local kernel is told. */
#include "mesh/gate.h"

#include "inner_kit.h"
#include "mesh/plane_packet.h"
#include "tap.h"

static int64_t now = 1000;
static uint8_t told[REJECT_MAX];
static size_t told_len;
static unsigned told_n;

static int64_t now_ms(void)
{
	return now;
}

static bool inject(struct plane *p, const void *ip, size_t len)
{
	(void)p;
	memcpy(told, ip, len);
	told_len = len;
	told_n++;
	return true;
}

static struct gate gate;
static const uint8_t nas[NODE_ID_LEN] = {1};

static void open_gate(const char *rule)
{
	struct scope_target node = {.name = "press", .v4 = 0xc6120001}, printer = {.name = "printer", .v4 = 0xc6120002, .take_echo = true};
	struct scope *s = scope_new();
	struct error err = ERROR_INIT;
	struct scope_rule r;

	gate_init(&gate, filter_new(INT64_MIN), now_ms);
	gate.inject = inject;
	REQUIRE(scope_add_target(s, &node, NULL, &err) == 0 && scope_add_target(s, &printer, NULL, &err) == 0);
	REQUIRE(rule == NULL || (scope_rule_parse(&r, slice_str(rule), &err) == 0 && scope_add_rule(s, &r, &err) == 0));
	filter_set_scope(gate.filter, s);
	filter_set_peer(gate.filter, 0, nas);
}

static enum plane_verdict judge(enum plane_verdict (*f)(void *, uint32_t, const struct plane_packet *), const struct pkt *p)
{
	struct plane_packet packet;

	REQUIRE(plane_packet_parse(p->b, p->len, &packet));
	return f(gate.scope.arg, 0, &packet);
}

TEST(verdicts_are_the_filters)
{
	struct pkt p;

	open_gate("tcp:22");
	pkt_tcp(&p, 4, 9, 40000, 1, 22, PKT_SYN);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_PASS);
	pkt_tcp(&p, 4, 1, 22, 9, 40000, PKT_SYNACK);
	CHECK_INT(judge(gate.scope.out, &p), PLANE_PASS);
	pkt_tcp(&p, 4, 9, 40000, 1, 23, PKT_SYN);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_DROP);
	pkt_echo(&p, 4, 9, 2, false, 1);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_TAKE);
	/* Members are not told, the local kernel has not asked. */
	CHECK_INT(told_n, 0);
	filter_free(gate.filter);
}

TEST(a_service_whose_rule_is_gone_hears_of_it)
{
	struct error err = ERROR_INIT;
	struct scope *s;
	struct inner in;
	struct pkt p;

	open_gate("tcp:22");
	pkt_tcp(&p, 4, 9, 40000, 1, 22, PKT_ACK);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_PASS);
	s = scope_new();
	REQUIRE(scope_add_target(s, &(struct scope_target){.name = "press", .v4 = 0xc6120001}, NULL, &err) == 0);
	filter_set_scope(gate.filter, s);
	pkt_tcp(&p, 4, 1, 22, 9, 40000, PKT_ACK);
	CHECK_INT(judge(gate.scope.out, &p), PLANE_DROP);
	CHECK_INT(told_n, 1);
	CHECK_INT(inner_parse(&in, told, told_len), INNER_OK);
	CHECK(in.kind == INNER_TCP && in.tcp_flags == INNER_RST && in.target_port == 22);
	/* What is malformed does not come as far. */
	pkt_tcp(&p, 4, 1, 22, 9, 40000, 0);
	CHECK(!plane_packet_parse(p.b, p.len, &(struct plane_packet){0}));
	filter_free(gate.filter);
}

TEST(nobody_waits_for_an_address_that_nobody_has)
{
	struct plane_packet packet;
	struct inner in;
	struct pkt p;

	open_gate(NULL);
	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_echo(&p, ver, 1, 77, false, 5);
		REQUIRE(plane_packet_parse(p.b, p.len, &packet));
		CHECK_INT(gate.scope.unowned(gate.scope.arg, false, &packet), PLANE_DROP);
		CHECK_INT(inner_parse(&in, told, told_len), INNER_OK);
		CHECK(in.kind == INNER_ERROR && in.icmp_type == (ver == 4 ? 3 : 1) && in.icmp_code == (ver == 4 ? 1 : 3));
		told_n = 0;
		for (int i = 0; i < 100; i++)
			CHECK_INT(gate.scope.unowned(gate.scope.arg, true, &packet), PLANE_DROP);
		CHECK_INT(told_n, REJECT_TARGET_PER_S - 1);
		now += 1000;
	}
	CHECK_INT(gate.answered, 2 * REJECT_TARGET_PER_S);
	filter_free(gate.filter);
}

/* ---- what passed may be led elsewhere ---- */

static bool kernel_takes(void *arg, uint8_t protocol, const struct redirect_address *local, uint16_t local_port,
			 const struct redirect_address *remote, uint16_t remote_port)
{
	(void)arg;
	(void)protocol;
	(void)local;
	(void)remote;
	(void)remote_port;
	return local_port == 80;
}

static size_t on_loopback(void *arg, uint8_t protocol, uint16_t port, struct redirect_listener *out, size_t max)
{
	(void)arg;
	(void)protocol;
	(void)max;
	out[0] = (struct redirect_listener){.address = {4, {127, 0, 0, 1}}};
	return port == 22;
}

static void redirect_all(void)
{
	struct redirect_options o = {NULL, kernel_takes, on_loopback};
	struct redirect_own own = {.node4 = {4, {198, 18, 0, 1}}, .tcp4 = 50000, .udp4 = 50001, .forwards_n = 1};

	own.forwards[0] = (struct redirect_address){4, {198, 18, 0, 2}};
	gate.redirect = redirect_new();
	redirect_set_options(gate.redirect, &o);
	redirect_set(gate.redirect, &own);
}

TEST(what_the_filter_passed_may_be_the_proxys)
{
	struct pkt p;

	open_gate("tcp:1-100");
	redirect_all();
	pkt_tcp(&p, 4, 9, 40000, 1, 80, PKT_SYN);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_PASS);
	pkt_tcp(&p, 4, 9, 40000, 1, 22, PKT_SYN);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_TAKE);
	pkt_tcp(&p, 4, 9, 40000, 2, 22, PKT_SYN);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_TAKE);
	/* What the filter denies is not even asked about. */
	pkt_tcp(&p, 4, 9, 40001, 2, 220, PKT_SYN);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_DROP);
	redirect_free(gate.redirect);
	filter_free(gate.filter);
}

/* A reset about a packet that was changed on its way out goes to who has sent it. */
TEST(a_refusal_reaches_the_sender_of_what_was_changed)
{
	struct plane_packet packet;
	struct redirect_flow f;
	struct error err = ERROR_INIT;
	struct scope *s;
	struct inner in;
	struct pkt p;

	open_gate("tcp:1-100");
	redirect_all();
	pkt_tcp(&p, 4, 9, 40000, 1, 22, PKT_SYN);
	CHECK_INT(judge(gate.scope.in, &p), PLANE_TAKE);
	REQUIRE(redirect_of_packet(gate.redirect, p.b, p.len, &f) && redirect_ready(gate.redirect, f.id, p.b, p.len));
	s = scope_new();
	REQUIRE(scope_add_target(s, &(struct scope_target){.name = "press", .v4 = 0xc6120001}, NULL, &err) == 0);
	filter_set_scope(gate.filter, s);
	pkt_tcp(&p, 4, 1, 50000, 9, 40000, PKT_ACK);
	REQUIRE(plane_packet_parse(p.b, p.len, &packet));
	packet.bytes = p.b;
	packet.now_ms = now;
	gate.scope.rewrite_out(gate.scope.arg, &packet);
	CHECK_INT(get_be16(p.b + p.l4), 22);
	CHECK_INT(judge(gate.scope.out, &p), PLANE_DROP);
	CHECK_INT(told_n, 1);
	CHECK_INT(inner_parse(&in, told, told_len), INNER_OK);
	CHECK(in.kind == INNER_TCP && in.tcp_flags == INNER_RST && in.target_port == 50000);
	redirect_free(gate.redirect);
	filter_free(gate.filter);
}

TEST(this_host_gets_to_its_own_forwards)
{
	struct plane_packet packet;
	struct pkt p;

	open_gate(NULL);
	redirect_all();
	pkt_udp(&p, 4, 1, 40000, 2, 161);
	REQUIRE(plane_packet_parse(p.b, p.len, &packet));
	packet.now_ms = now;
	CHECK_INT(gate.scope.unowned(gate.scope.arg, true, &packet), PLANE_DROP);
	CHECK(told_n == 1 && get_be16(told + 22) == 50001 && told[15] == 2 && told[19] == 1);
	pkt_tcp(&p, 4, 1, 40000, 2, 161, PKT_SYN);
	REQUIRE(plane_packet_parse(p.b, p.len, &packet));
	packet.now_ms = now;
	CHECK_INT(gate.scope.unowned(gate.scope.arg, true, &packet), PLANE_TAKE);
	/* What is in no block of ours is unreachable as ever. */
	CHECK_INT(gate.scope.unowned(gate.scope.arg, false, &packet), PLANE_DROP);
	CHECK_INT(told_n, 2);
	redirect_free(gate.redirect);
	filter_free(gate.filter);
}
