/* The filter, packet by packet: what comes in, what goes out, and what a change of rules does to both. We are host 1 (2: a forward). */
#include "mesh/filter.h"

#include "inner_kit.h"
#include "tap.h"

#define PEER 5
#define OTHER_PEER 6
#define THEY 9

static const uint8_t nas[NODE_ID_LEN] = {1}, tablet[NODE_ID_LEN] = {2};
static int64_t now = 1000000;
static struct filter_decision d;

/* rules: "tcp:22 udp:53@1 tcp:445<nas", @: target, <: from nas. */
static struct scope *scope_of(const char *rules)
{
	static const struct scope_caller from_nas = {.id = {1}, .name = "nas"};
	struct scope *s = scope_new();
	struct error err = ERROR_INIT;
	char copy[256], *at = copy, *word;

	for (unsigned host = 1; host <= 2; host++) {
		struct scope_target t = {.v4 = 0xc6120000 + host, .take_echo = host == 2};

		snprintf(t.name, sizeof(t.name), host == 1 ? "press" : "printer");
		pkt_address(t.v6, 6, host);
		REQUIRE(scope_add_target(s, &t, NULL, &err) == 0);
	}
	snprintf(copy, sizeof(copy), "%s", rules);
	while ((word = strsep(&at, " ")) != NULL) {
		struct scope_rule r;
		size_t n = strcspn(word, "@<");

		if (word[0] == '\0')
			continue;
		REQUIRE(scope_rule_parse(&r, slice_of(word, n), &err) == 0);
		if (word[n] == '@')
			r.target = word[n + 1] - '0';
		if (word[n] == '<') {
			r.callers = &from_nas;
			r.callers_n = 1;
		}
		REQUIRE(scope_add_rule(s, &r, &err) == 0);
	}
	return s;
}

static struct filter *filter_of(const char *rules)
{
	struct filter *f = filter_new(INT64_MIN);

	filter_set_scope(f, scope_of(rules));
	filter_set_peer(f, PEER, nas);
	filter_set_peer(f, OTHER_PEER, tablet);
	return f;
}

static enum filter_verdict in_from(struct filter *f, uint32_t peer, const struct pkt *p)
{
	filter_in(f, peer, p->b, p->len, now, &d);
	return d.verdict;
}

static enum filter_verdict in(struct filter *f, const struct pkt *p)
{
	return in_from(f, PEER, p);
}

static enum filter_verdict out(struct filter *f, const struct pkt *p)
{
	filter_out(f, PEER, p->b, p->len, now, &d);
	return d.verdict;
}

static enum filter_verdict tcp_in(struct filter *f, unsigned from_port, unsigned port, uint8_t flags)
{
	struct pkt p;

	pkt_tcp(&p, 4, THEY, from_port, 1, port, flags);
	return in(f, &p);
}

static enum filter_verdict tcp_out(struct filter *f, unsigned port, unsigned to_port, uint8_t flags)
{
	struct pkt p;

	pkt_tcp(&p, 4, 1, port, THEY, to_port, flags);
	return out(f, &p);
}

static enum filter_verdict udp_in(struct filter *f, unsigned from_port, unsigned port)
{
	struct pkt p;

	pkt_udp(&p, 4, THEY, from_port, 1, port);
	return in(f, &p);
}

static enum filter_verdict udp_out(struct filter *f, unsigned port, unsigned to_port)
{
	struct pkt p;

	pkt_udp(&p, 4, 1, port, THEY, to_port);
	return out(f, &p);
}

TEST(nothing_comes_in_without_a_rule)
{
	struct filter *f = filter_of("");
	struct pkt p;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_tcp(&p, ver, THEY, 40000, 1, 22, PKT_SYN);
		CHECK_INT(in(f, &p), FILTER_DROP);
		CHECK_INT(d.reason, FILTER_NO_RULE);
		pkt_tcp(&p, ver, THEY, 40000, 1, 22, PKT_ACK);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_tcp(&p, ver, THEY, 40000, 1, 22, PKT_RST);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_udp(&p, ver, THEY, 53, 1, 40000);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_echo(&p, ver, THEY, 1, true, 7);
		CHECK_INT(in(f, &p), FILTER_DROP);
		CHECK_INT(d.reason, FILTER_NO_FLOW);
		pkt_ip(&p, ver, THEY, 1, 132, 20);
		CHECK_INT(in(f, &p), FILTER_DROP);
		CHECK_INT(d.reason, FILTER_PROTOCOL);
		pkt_icmp(&p, ver, THEY, 1, ver == 4 ? 5 : 137, 0, 40);
		CHECK_INT(in(f, &p), FILTER_DROP);
		CHECK_INT(d.reason, FILTER_PROTOCOL);
	}
	p.len = 3;
	CHECK_INT(in(f, &p), FILTER_DROP);
	CHECK_INT(d.reason, FILTER_MALFORMED);
	filter_free(f);
}

TEST(rules_let_in_and_their_answers_out)
{
	struct filter *f = filter_of("tcp:22 udp:53@1 tcp:445<nas");
	struct pkt p;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_tcp(&p, ver, THEY, 40000, 1, 22, PKT_SYN);
		CHECK_INT(in(f, &p), FILTER_PASS);
		CHECK(d.reason == FILTER_BY_RULE && d.rule == 0);
		pkt_tcp(&p, ver, 1, 22, THEY, 40000, PKT_SYNACK);
		CHECK_INT(out(f, &p), FILTER_PASS);
		pkt_tcp(&p, ver, THEY, 40000, 1, 22, PKT_ACK);
		CHECK_INT(in(f, &p), FILTER_PASS);
		/* A forward's port, not the node's. */
		pkt_udp(&p, ver, THEY, 40000, 2, 53);
		CHECK_INT(in(f, &p), FILTER_PASS);
		pkt_udp(&p, ver, THEY, 40000, 1, 53);
		CHECK_INT(in(f, &p), FILTER_DROP);
		/* An address of our block that nothing has. */
		pkt_tcp(&p, ver, THEY, 40000, 3, 22, PKT_SYN);
		CHECK_INT(in(f, &p), FILTER_TAKE);
		/* One caller alone; its address decides nothing, who it is does. */
		pkt_tcp(&p, ver, THEY, 40000, 1, 445, PKT_SYN);
		CHECK_INT(in_from(f, PEER, &p), FILTER_PASS);
		CHECK_INT(in_from(f, OTHER_PEER, &p), FILTER_DROP);
		CHECK_INT(in_from(f, 7, &p), FILTER_DROP);
	}
	filter_free(f);
}

TEST(what_began_here_is_answered_by_whom_it_went_to)
{
	struct filter *f = filter_of("");
	struct pkt p;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_tcp(&p, ver, 1, 40000, THEY, 22, PKT_SYN);
		CHECK_INT(out(f, &p), FILTER_PASS);
		pkt_tcp(&p, ver, THEY, 22, 1, 40000, PKT_SYNACK);
		CHECK_INT(in_from(f, OTHER_PEER, &p), FILTER_DROP);
		CHECK_INT(in(f, &p), FILTER_PASS);
		CHECK_INT(d.reason, FILTER_BY_FLOW);
		pkt_tcp(&p, ver, THEY, 23, 1, 40000, PKT_SYNACK);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_tcp(&p, ver, THEY, 22, 1, 40001, PKT_SYNACK);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_tcp(&p, ver, 8, 22, 1, 40000, PKT_SYNACK);
		CHECK_INT(in(f, &p), FILTER_DROP);
		/* It may not begin one the other way round. */
		pkt_tcp(&p, ver, THEY, 22, 1, 40000, PKT_SYN);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_udp(&p, ver, 1, 40000, THEY, 53);
		CHECK_INT(out(f, &p), FILTER_PASS);
		pkt_udp(&p, ver, THEY, 53, 1, 40000);
		CHECK_INT(in(f, &p), FILTER_PASS);
		pkt_udp(&p, ver, THEY, 54, 1, 40000);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_echo(&p, ver, 1, THEY, false, 77);
		CHECK_INT(out(f, &p), FILTER_PASS);
		pkt_echo(&p, ver, THEY, 1, true, 77);
		CHECK_INT(in(f, &p), FILTER_PASS);
		pkt_echo(&p, ver, THEY, 1, true, 78);
		CHECK_INT(in(f, &p), FILTER_DROP);
	}
	filter_free(f);
}

TEST(udp_answers_come_for_a_while)
{
	struct filter *f = filter_of("");

	CHECK_INT(udp_out(f, 40000, 53), FILTER_PASS);
	now += FLOW_UDP_NEW_MS;
	CHECK_INT(udp_in(f, 53, 40000), FILTER_DROP);
	CHECK_INT(udp_out(f, 40000, 53), FILTER_PASS);
	now += FLOW_UDP_NEW_MS - 1;
	CHECK_INT(udp_in(f, 53, 40000), FILTER_PASS);
	now += FLOW_UDP_OPEN_MS - 1;
	CHECK_INT(udp_in(f, 53, 40000), FILTER_PASS);
	now += FLOW_UDP_OPEN_MS;
	CHECK_INT(udp_in(f, 53, 40000), FILTER_DROP);
	filter_free(f);
}

static void open_out(struct filter *f, unsigned port, unsigned to_port)
{
	CHECK_INT(tcp_out(f, port, to_port, PKT_SYN), FILTER_PASS);
	CHECK_INT(tcp_in(f, to_port, port, PKT_SYNACK), FILTER_PASS);
	CHECK_INT(tcp_out(f, port, to_port, PKT_ACK), FILTER_PASS);
}

static void open_in(struct filter *f, unsigned from_port, unsigned port)
{
	CHECK_INT(tcp_in(f, from_port, port, PKT_SYN), FILTER_PASS);
	CHECK_INT(tcp_out(f, port, from_port, PKT_SYNACK), FILTER_PASS);
	CHECK_INT(tcp_in(f, from_port, port, PKT_ACK), FILTER_PASS);
}

TEST(tcp_ends_when_both_have_said_so)
{
	struct filter *f = filter_of("");

	open_out(f, 40000, 22);
	now += FLOW_TCP_OPEN_MS - 1;
	CHECK_INT(tcp_in(f, 22, 40000, PKT_ACK), FILTER_PASS);
	CHECK_INT(tcp_out(f, 40000, 22, PKT_FINACK), FILTER_PASS);
	/* Half of it lives on. */
	now += FLOW_TCP_HALF_MS - 1;
	CHECK_INT(tcp_in(f, 22, 40000, PKT_ACK), FILTER_PASS);
	CHECK_INT(tcp_in(f, 22, 40000, PKT_FINACK), FILTER_PASS);
	CHECK_INT(tcp_out(f, 40000, 22, PKT_ACK), FILTER_PASS);
	/* Late ones pass, and prolong nothing. */
	now += FLOW_TCP_CLOSED_MS - 1;
	CHECK_INT(tcp_in(f, 22, 40000, PKT_ACK), FILTER_PASS);
	now += 1;
	CHECK_INT(tcp_in(f, 22, 40000, PKT_ACK), FILTER_DROP);
	open_out(f, 40001, 22);
	CHECK_INT(tcp_in(f, 22, 40001, PKT_RST), FILTER_PASS);
	now += FLOW_TCP_CLOSED_MS;
	CHECK_INT(tcp_in(f, 22, 40001, PKT_ACK), FILTER_DROP);
	/* A SYN that nobody answers. */
	CHECK_INT(tcp_out(f, 40002, 22, PKT_SYN), FILTER_PASS);
	now += FLOW_TCP_NEW_MS;
	CHECK_INT(tcp_in(f, 22, 40002, PKT_SYNACK), FILTER_DROP);
	filter_free(f);
}

TEST(ports_may_be_used_again_at_once)
{
	struct filter *f = filter_of("tcp:22");

	open_in(f, 40000, 22);
	CHECK_INT(tcp_in(f, 40000, 22, PKT_RST), FILTER_PASS);
	open_in(f, 40000, 22);
	now += FLOW_TCP_OPEN_MS - 1;
	CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_PASS);
	open_out(f, 40000, 80);
	CHECK_INT(tcp_out(f, 40000, 80, PKT_RST), FILTER_PASS);
	open_out(f, 40000, 80);
	now += FLOW_TCP_OPEN_MS - 1;
	CHECK_INT(tcp_in(f, 80, 40000, PKT_ACK), FILTER_PASS);
	filter_free(f);
}

TEST(a_change_of_rules_ends_flows_at_once)
{
	struct filter *f = filter_of("tcp:22 udp:53");

	open_in(f, 40000, 22);
	CHECK_INT(udp_in(f, 40000, 53), FILTER_PASS);
	CHECK_INT(udp_out(f, 53, 40000), FILTER_PASS);
	open_out(f, 40005, 443);
	filter_set_scope(f, scope_of("tcp:80"));
	CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_DROP);
	CHECK_INT(d.reason, FILTER_ENDED);
	CHECK_INT(udp_in(f, 40000, 53), FILTER_DROP);
	/* What the services still send begins nothing, for as long as they send. */
	for (int i = 0; i < 5; i++) {
		CHECK_INT(tcp_out(f, 22, 40000, PKT_ACK), FILTER_REJECT);
		CHECK_INT(udp_out(f, 53, 40000), FILTER_REJECT);
		CHECK_INT(d.reason, FILTER_ENDED);
		CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_DROP);
		CHECK_INT(udp_in(f, 40000, 53), FILTER_DROP);
		now += FLOW_ENDED_MS - 1;
	}
	/* Ours are not touched. */
	CHECK_INT(tcp_in(f, 443, 40005, PKT_ACK), FILTER_PASS);
	filter_free(f);
}

TEST(flows_go_on_where_the_new_rules_allow_them)
{
	struct filter *f = filter_of("tcp:22");

	open_in(f, 40000, 22);
	filter_set_scope(f, scope_of("udp:1 tcp:20-25<nas"));
	CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_PASS);
	CHECK_INT(d.rule, 1);
	filter_set_scope(f, scope_of(""));
	CHECK_INT(tcp_out(f, 22, 40000, PKT_ACK), FILTER_REJECT);
	filter_set_scope(f, scope_of("tcp:22"));
	CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_PASS);
	filter_free(f);
}

TEST(ports_of_an_ended_flow_can_be_used_from_here)
{
	struct filter *f = filter_of("tcp:22 udp:53");

	open_in(f, 40000, 22);
	CHECK_INT(udp_in(f, 40000, 53), FILTER_PASS);
	filter_set_scope(f, scope_of(""));
	CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_DROP);
	CHECK_INT(udp_in(f, 40000, 53), FILTER_DROP);
	CHECK_INT(tcp_out(f, 22, 40000, PKT_SYN), FILTER_PASS);
	CHECK_INT(tcp_in(f, 40000, 22, PKT_SYNACK), FILTER_PASS);
	/* UDP: when it has been quiet here, whatever they send. */
	now += FLOW_ENDED_MS - 1;
	CHECK_INT(udp_in(f, 40000, 53), FILTER_DROP);
	now += 1;
	CHECK_INT(udp_out(f, 53, 40000), FILTER_PASS);
	CHECK_INT(udp_in(f, 40000, 53), FILTER_PASS);
	filter_free(f);
}

TEST(what_a_served_port_sends_first_is_still_under_its_rule)
{
	struct filter *f = filter_of("udp:53");

	CHECK_INT(udp_out(f, 53, 40000), FILTER_PASS);
	CHECK_INT(udp_in(f, 40000, 53), FILTER_PASS);
	filter_set_scope(f, scope_of(""));
	CHECK_INT(udp_in(f, 40000, 53), FILTER_DROP);
	CHECK_INT(udp_out(f, 53, 40000), FILTER_REJECT);
	filter_free(f);
}

TEST(connections_outlive_a_restart)
{
	struct filter *f = filter_of("tcp:22");

	/* Theirs, where the rules let it in: whoever speaks first. */
	CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_PASS);
	CHECK_INT(tcp_out(f, 22, 40001, PKT_ACK), FILTER_PASS);
	CHECK_INT(tcp_in(f, 40001, 22, PKT_ACK), FILTER_PASS);
	/* And that is no hole: it ends with its rule. */
	filter_set_scope(f, scope_of(""));
	CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_DROP);
	CHECK_INT(tcp_in(f, 40001, 22, PKT_ACK), FILTER_DROP);
	CHECK_INT(tcp_out(f, 22, 40002, PKT_ACK), FILTER_REJECT);
	CHECK_INT(d.reason, FILTER_STRAY);
	CHECK_INT(tcp_in(f, 40002, 22, PKT_ACK), FILTER_DROP);
	CHECK_INT(tcp_out(f, 22, 40002, PKT_RST), FILTER_PASS);
	CHECK_INT(tcp_in(f, 40002, 22, PKT_ACK), FILTER_DROP);
	filter_free(f);

	/* Ours: a client's port here, for a minute. */
	f = filter_new(now);
	filter_set_scope(f, scope_of(""));
	filter_set_peer(f, PEER, nas);
	CHECK_INT(tcp_out(f, 22, 40000, PKT_ACK), FILTER_REJECT);
	CHECK_INT(tcp_out(f, 40000, 40000, PKT_ACK), FILTER_REJECT);
	CHECK_INT(tcp_in(f, 22, 40000, PKT_ACK), FILTER_DROP);
	CHECK_INT(tcp_out(f, 40000, 22, PKT_ACK), FILTER_PASS);
	CHECK_INT(tcp_in(f, 22, 40000, PKT_ACK), FILTER_PASS);
	now += FILTER_RESUME_MS;
	CHECK_INT(tcp_out(f, 40001, 22, PKT_ACK), FILTER_REJECT);
	CHECK_INT(tcp_in(f, 22, 40000, PKT_ACK), FILTER_DROP);
	filter_free(f);
}

TEST(icmp_errors_pass_about_known_flows_alone)
{
	struct filter *f = filter_of("tcp:22");
	struct pkt sent, p;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_udp(&sent, ver, 1, 40000, THEY, 53);
		pkt_error(&p, ver, THEY, 1, &sent, sent.len);
		CHECK_INT(in(f, &p), FILTER_DROP);
		CHECK_INT(d.reason, FILTER_NO_FLOW);
		CHECK_INT(out(f, &sent), FILTER_PASS);
		CHECK_INT(in(f, &p), FILTER_PASS);
		CHECK_INT(in_from(f, OTHER_PEER, &p), FILTER_DROP);
		/* About another port. */
		put_be16(sent.b + sent.l4 + 2, 54);
		pkt_error(&p, ver, THEY, 1, &sent, sent.len);
		CHECK_INT(in(f, &p), FILTER_DROP);
		/* About our answers. */
		pkt_tcp(&p, ver, THEY, 40000, 1, 22, PKT_SYN);
		CHECK_INT(in(f, &p), FILTER_PASS);
		pkt_tcp(&sent, ver, 1, 22, THEY, 40000, PKT_SYNACK);
		pkt_error(&p, ver, THEY, 1, &sent, sent.l4 + 8);
		CHECK_INT(in(f, &p), FILTER_PASS);
		/* One that quotes somebody else's, or nothing. */
		pkt_error(&p, ver, THEY, 2, &sent, sent.len);
		CHECK_INT(in(f, &p), FILTER_DROP);
		CHECK_INT(d.reason, FILTER_MALFORMED);
		pkt_error(&p, ver, THEY, 1, &sent, 0);
		CHECK_INT(in(f, &p), FILTER_DROP);
		/* Ours go out. */
		pkt_error(&p, ver, 1, THEY, &sent, sent.len);
		CHECK_INT(out(f, &p), FILTER_PASS);
		CHECK_INT(d.reason, FILTER_UNJUDGED);
	}
	filter_set_scope(f, scope_of(""));
	pkt_tcp(&sent, 4, 1, 22, THEY, 40000, PKT_SYNACK);
	pkt_error(&p, 4, THEY, 1, &sent, sent.len);
	CHECK_INT(in(f, &p), FILTER_DROP);
	/* It prolongs nothing. */
	pkt_udp(&sent, 4, 1, 40000, THEY, 53);
	pkt_error(&p, 4, THEY, 1, &sent, sent.len);
	now += FLOW_UDP_NEW_MS - 1;
	CHECK_INT(in(f, &p), FILTER_PASS);
	now += 1;
	CHECK_INT(in(f, &p), FILTER_DROP);
	filter_free(f);
}

TEST(later_fragments_pass_behind_their_first)
{
	struct filter *f = filter_of("udp:53 icmp");
	struct pkt first, later, p;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_udp(&first, ver, THEY, 40000, 1, 53);
		pkt_fragment(&first, 0x4321, 0, true);
		pkt_udp(&later, ver, THEY, 40000, 1, 53);
		pkt_fragment(&later, 0x4321, 1400, false);
		CHECK_INT(in(f, &later), FILTER_DROP);
		CHECK_INT(d.reason, FILTER_NO_FLOW);
		CHECK_INT(in(f, &first), FILTER_PASS);
		CHECK_INT(in(f, &later), FILTER_PASS);
		CHECK_INT(in_from(f, OTHER_PEER, &later), FILTER_DROP);
		/* Of another packet. */
		pkt_udp(&p, ver, THEY, 40000, 1, 53);
		pkt_fragment(&p, 0x4322, 1400, false);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_ip(&p, ver, THEY, 1, IPPROTO_TCP, 40);
		pkt_fragment(&p, 0x4321, 1400, false);
		CHECK_INT(in(f, &p), FILTER_DROP);
		/* Behind one that was denied. */
		pkt_udp(&p, ver, THEY, 40000, 1, 54);
		pkt_fragment(&p, 0x5555, 0, true);
		CHECK_INT(in(f, &p), FILTER_DROP);
		pkt_udp(&p, ver, THEY, 40000, 1, 54);
		pkt_fragment(&p, 0x5555, 1400, false);
		CHECK_INT(in(f, &p), FILTER_DROP);
		/* A ping of several. */
		pkt_echo(&p, ver, THEY, 1, false, 3);
		pkt_fragment(&p, 0x6666, 0, true);
		CHECK_INT(in(f, &p), FILTER_PASS);
		pkt_echo(&p, ver, THEY, 1, false, 3);
		pkt_fragment(&p, 0x6666, 1400, false);
		CHECK_INT(in(f, &p), FILTER_PASS);
		now += FLOW_FRAGMENT_MS;
		CHECK_INT(in(f, &later), FILTER_DROP);
		/* Other rules: nobody knows what it is a part of. */
		CHECK_INT(in(f, &first), FILTER_PASS);
		filter_set_scope(f, scope_of("udp:53 icmp"));
		CHECK_INT(in(f, &later), FILTER_DROP);
		CHECK_INT(in(f, &first), FILTER_PASS);
		CHECK_INT(in(f, &later), FILTER_PASS);
		/* Out they are free. */
		pkt_udp(&p, ver, 1, 1, THEY, 2);
		pkt_fragment(&p, 9, 1400, false);
		CHECK_INT(out(f, &p), FILTER_PASS);
	}
	filter_free(f);
}

/* Somebody says so to its sender, as often as echo is answered; to one who may not know what is there it is the same. */
TEST(what_is_for_a_place_that_nobody_has_is_taken)
{
	struct filter *f = filter_of("tcp:445<nas");
	unsigned taken = 0;
	struct pkt p;

	for (int ver = 4; ver <= 6; ver += 2) {
		pkt_tcp(&p, ver, THEY, 40000, 3, 22, PKT_SYN);
		CHECK_INT(in(f, &p), FILTER_TAKE);
		CHECK_INT(d.reason, FILTER_NO_RULE);
		pkt_udp(&p, ver, THEY, 40000, 3, 53);
		CHECK_INT(in_from(f, OTHER_PEER, &p), FILTER_TAKE);
		pkt_echo(&p, ver, THEY, 3, true, 0);
		CHECK_INT(in(f, &p), FILTER_DROP);
	}
	pkt_udp(&p, 4, THEY, 40000, 3, 53);
	pkt_fragment(&p, 1, 0, true);
	CHECK_INT(in(f, &p), FILTER_DROP);
	pkt_udp(&p, 4, THEY, 40000, 3, 53);
	for (int i = 0; i < 3000; i++)
		taken += in(f, &p) == FILTER_TAKE;
	CHECK(taken < FILTER_ECHO_PER_S);
	/* Before the node knows its addresses there is nothing to say. */
	filter_set_scope(f, scope_new());
	CHECK_INT(in_from(f, OTHER_PEER, &p), FILTER_DROP);
	filter_free(f);
}

TEST(echo_is_answered_at_a_rate)
{
	struct filter *f = filter_of("");
	unsigned passed = 0;
	struct pkt p;

	pkt_echo(&p, 4, THEY, 1, false, 0);
	for (int i = 0; i < 3000; i++)
		passed += in(f, &p) == FILTER_PASS;
	CHECK_INT(passed, FILTER_ECHO_PER_S);
	CHECK_INT(d.reason, FILTER_RATE);
	CHECK_INT(in_from(f, OTHER_PEER, &p), FILTER_PASS);
	now += 10;
	CHECK_INT(in(f, &p), FILTER_PASS);
	pkt_echo(&p, 4, 1, THEY, true, 0);
	CHECK_INT(out(f, &p), FILTER_PASS);
	/* Our own echo of the same id is another flow. */
	pkt_echo(&p, 4, THEY, 1, true, 0);
	CHECK_INT(in(f, &p), FILTER_DROP);
	pkt_echo(&p, 4, THEY, 2, false, 0);
	CHECK_INT(in(f, &p), FILTER_TAKE);
	pkt_fragment(&p, 1, 0, true);
	CHECK_INT(in(f, &p), FILTER_DROP);
	pkt_echo(&p, 4, THEY, 3, false, 0);
	CHECK_INT(in(f, &p), FILTER_TAKE);
	filter_set_scope(f, scope_of("icmp<nas"));
	pkt_echo(&p, 4, THEY, 1, false, 1);
	now += 1000;
	CHECK_INT(in(f, &p), FILTER_PASS);
	CHECK_INT(in_from(f, OTHER_PEER, &p), FILTER_DROP);
	filter_free(f);
}

TEST(a_number_that_changes_hands_takes_no_flows_along)
{
	struct filter *f = filter_of("tcp:445<nas");

	open_in(f, 40000, 445);
	open_out(f, 40000, 80);
	filter_set_peer(f, PEER, tablet);
	CHECK_INT(tcp_in(f, 40000, 445, PKT_ACK), FILTER_DROP);
	CHECK_INT(tcp_in(f, 80, 40000, PKT_ACK), FILTER_DROP);
	filter_set_peer(f, PEER, nas);
	open_in(f, 40000, 445);
	filter_set_peer(f, PEER, NULL);
	CHECK_INT(tcp_in(f, 40000, 445, PKT_SYN), FILTER_DROP);
	CHECK_INT(d.rule == SCOPE_NO_RULE && d.reason == FILTER_NO_RULE, 1);
	filter_free(f);
}

TEST(malformed_and_unknown_going_out)
{
	struct filter *f = filter_of("");
	struct pkt p;

	pkt_tcp(&p, 4, 1, 1, THEY, 2, 0);
	CHECK_INT(out(f, &p), FILTER_DROP);
	CHECK(d.reason == FILTER_MALFORMED && d.fault == INNER_FLAGS);
	pkt_ip(&p, 6, 1, THEY, 132, 20);
	CHECK_INT(out(f, &p), FILTER_PASS);
	pkt_ip(&p, 6, THEY, 1, 132, 20);
	CHECK_INT(in(f, &p), FILTER_DROP);
	filter_free(f);
}

TEST(a_flood_takes_no_open_connection_along)
{
	struct filter *f = filter_of("tcp:22 udp:53");
	struct filter_figures figures;
	struct pkt p;

	filter_set_peer(f, 7, tablet);
	open_in(f, 40000, 22);
	open_out(f, 40000, 80);
	CHECK_INT(udp_in(f, 40000, 53), FILTER_PASS);
	CHECK_INT(udp_out(f, 53, 40000), FILTER_PASS);
	for (unsigned i = 0; i < 150000; i++) {
		pkt_tcp(&p, 4, 100 + i / 60000, 1 + i % 60000, 1, 22, PKT_SYN);
		(void)in_from(f, OTHER_PEER, &p);
	}
	filter_figures(f, &figures);
	CHECK(figures.flows.used <= FLOW_PEER_NEW_MAX + 3);
	CHECK_INT(tcp_in(f, 40000, 22, PKT_ACK), FILTER_PASS);
	CHECK_INT(tcp_in(f, 80, 40000, PKT_ACK), FILTER_PASS);
	/* Others begin as if nothing were. */
	for (unsigned i = 0; i < 500; i++)
		open_in(f, 41000 + i, 22);
	/* From here, without end: what is open stays. */
	for (unsigned i = 0; i < 200000; i++) {
		pkt_udp(&p, 4, 1, 1 + i % 60000, 200 + i / 60000, 53);
		CHECK(out(f, &p) == FILTER_PASS);
	}
	filter_figures(f, &figures);
	CHECK(figures.flows.used <= FLOW_MAX && figures.flows.evicted > 0);
	for (unsigned i = 0; i < 500; i++)
		CHECK_INT(tcp_out(f, 22, 41000 + i, PKT_ACK), FILTER_PASS);
	CHECK_INT(udp_in(f, 40000, 53), FILTER_PASS);
	now += FLOW_TCP_OPEN_MS;
	filter_sweep(f, now);
	filter_figures(f, &figures);
	CHECK_INT(figures.flows.used, 0);
	filter_free(f);
}

TEST(explanations_count_live_flows)
{
	struct filter *f = filter_of("tcp:22");
	struct filter_explanation e;

	open_in(f, 40000, 22);
	open_in(f, 40001, 22);
	filter_explain(f, nas, "nas", PEER, filter_target_named(f, ""), SCOPE_TCP, 22, now, &e);
	CHECK(e.reason.allowed && e.live == 2 && e.ended == 0);
	CHECK_STR(e.flows, "2 live flows of it pass");
	filter_explain(f, nas, "nas", PEER, filter_target_named(f, "printer"), SCOPE_TCP, 22, now, &e);
	CHECK(e.reason.allowed && e.live == 0 && e.flows[0] == '\0');
	filter_explain(f, tablet, "tablet", OTHER_PEER, 0, SCOPE_TCP, 22, now, &e);
	CHECK(e.reason.allowed && e.live == 0);
	/* Told before the flow's next packet, as after it. */
	filter_set_scope(f, scope_of(""));
	for (int i = 0; i < 2; i++) {
		filter_explain(f, nas, "nas", PEER, 0, SCOPE_TCP, 22, now, &e);
		CHECK(!e.reason.allowed && e.live == 0 && e.ended == 2);
		CHECK_STR(e.flows, "2 flows of it began while it was allowed, and are cut off");
		(void)tcp_in(f, 40000, 22, PKT_ACK);
	}
	CHECK_INT(filter_target_named(f, "nobody"), -1);
	filter_explain(f, nas, "nas", PEER, -1, SCOPE_TCP, 22, now, &e);
	CHECK(!e.reason.allowed && e.reason.rule == SCOPE_NO_TARGET);
	filter_free(f);
}

TEST(explanations_of_what_goes_out)
{
	struct filter *f = filter_of("");
	struct filter_explanation e;
	uint8_t they[4];

	pkt_address(they, 4, THEY);
	open_out(f, 40000, 445);
	filter_explain_out(f, "nas", PEER, they, 4, SCOPE_TCP, 445, now, &e);
	CHECK(e.reason.allowed && e.live == 1);
	CHECK_STR(e.reason.why, "free to go out: nothing here restricts it, the rules of nas decide");
	CHECK_STR(e.flows, "1 flow of it began here, and what comes back on it is let in");
	filter_explain_out(f, "nas", PEER, they, 4, SCOPE_TCP, 446, now, &e);
	CHECK(e.live == 0 && e.flows[0] == '\0');
	filter_explain_out(f, "tablet", OTHER_PEER, they, 4, SCOPE_TCP, 445, now, &e);
	CHECK_INT(e.live, 0);
	filter_free(f);
}

TEST(decisions_are_counted)
{
	struct filter *f = filter_of("tcp:22");
	struct filter_figures figures;

	open_in(f, 40000, 22);
	(void)tcp_in(f, 40000, 23, PKT_SYN);
	filter_figures(f, &figures);
	CHECK_INT(figures.in[FILTER_BY_RULE], 2);
	CHECK_INT(figures.in[FILTER_NO_RULE], 1);
	CHECK_INT(figures.out[FILTER_BY_RULE] + figures.out[FILTER_BY_FLOW], 1);
	for (int r = 0; r < FILTER_REASONS; r++)
		CHECK(strcmp(filter_reason_text((enum filter_reason)r), "unknown") != 0);
	filter_free(f);
}
