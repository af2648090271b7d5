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
