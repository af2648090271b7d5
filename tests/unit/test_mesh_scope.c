/* Rules of the port scope: text, judgement, and the words for it. */
#include "mesh/scope.h"
#include "tap.h"

static const uint8_t nas[NODE_ID_LEN] = {1}, tablet[NODE_ID_LEN] = {2}, stranger[NODE_ID_LEN] = {3};

TEST(rules_are_read_and_written)
{
	static const struct { const char *text; enum scope_proto proto; unsigned first, last; } right[] = {
		{"tcp:22", SCOPE_TCP, 22, 22}, {"udp:5000-5010", SCOPE_UDP, 5000, 5010}, {"tcp:1-65535", SCOPE_TCP, 1, 65535},
		{"udp:65535", SCOPE_UDP, 65535, 65535}, {"icmp", SCOPE_ECHO, 0, 0},
	};
	struct error err = ERROR_INIT;
	char text[SCOPE_RULE_TEXT_LEN];
	struct scope_rule r;

	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		CHECK_INT(scope_rule_parse(&r, slice_str(right[i].text), &err), 0);
		CHECK(r.proto == right[i].proto && r.port_first == right[i].first && r.port_last == right[i].last);
		CHECK(r.target == SCOPE_ANY_TARGET && r.callers_n == 0);
		CHECK_STR(scope_rule_text(text, &r), right[i].text);
	}
	CHECK_INT(scope_rule_parse(&r, slice_str("ping"), &err), 0);
	CHECK_STR(scope_rule_text(text, &r), "icmp");
	CHECK_INT(scope_rule_parse(&r, slice_str("tcp:7-7"), &err), 0);
	CHECK_STR(scope_rule_text(text, &r), "tcp:7");
}

TEST(what_is_no_rule_is_refused)
{
	static const char *const wrong[] = {"", "tcp", "tcp:", "udp:0", "tcp:65536", "tcp:022", "tcp:+22", "tcp: 22", "tcp:22 ", "tcp:22-",
		"tcp:-22", "tcp:23-22", "tcp:22-23-24", "TCP:22", "sctp:22", "icmp:8", "tcp:22,23", "any", "*", "tcp:99999999999",
		"tcp:22-99999", "tcp22", "udp:1-0"};
	struct error err = ERROR_INIT;
	struct scope_rule r;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		err = ERROR_INIT;
		CHECK_INT(scope_rule_parse(&r, slice_str(wrong[i]), &err), -1);
		CHECK_INT(err.kind, ERR_USAGE);
		CHECK(err.hint[0] != '\0');
	}
	CHECK_INT(scope_rule_parse(&r, SLICE_LIT("tcp:2\0002"), &err), -1);
	CHECK_STR(err.text, "'tcp:2\\x002' is no rule");
}

static void allow(struct scope *s, const char *text, const uint8_t *from, const char *name, int target)
{
	struct scope_caller caller = {.name = ""};
	struct error err = ERROR_INIT;
	struct scope_rule r;

	REQUIRE(scope_rule_parse(&r, slice_str(text), &err) == 0);
	if (from != NULL) {
		memcpy(caller.id, from, NODE_ID_LEN);
		snprintf(caller.name, sizeof(caller.name), "%s", name);
		r.callers = &caller;
		r.callers_n = 1;
	}
	r.target = target;
	snprintf(r.origin, sizeof(r.origin), "config.yaml");
	REQUIRE(scope_add_rule(s, &r, &err) == 0);
}

static struct scope *two_targets(void)
{
	struct scope_target node = {.name = "press", .v4 = 0xc6120001, .v6 = {0xfd, 1}};
	struct scope_target printer = {.name = "printer", .v4 = 0xc6120002, .v6 = {0xfd, 2}};
	struct scope *s = scope_new();
	struct error err = ERROR_INIT;
	int index;

	REQUIRE(scope_add_target(s, &node, &index, &err) == 0 && index == 0);
	REQUIRE(scope_add_target(s, &printer, &index, &err) == 0 && index == 1);
	return s;
}

TEST(default_is_deny)
{
	struct scope *s = two_targets();

	CHECK_INT(scope_judge(s, nas, 0, SCOPE_TCP, 22), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, nas, 1, SCOPE_UDP, 1), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, nas, 0, SCOPE_ECHO, 0), SCOPE_BY_ECHO);
	CHECK_INT(scope_judge(s, NULL, 0, SCOPE_ECHO, 0), SCOPE_NO_CALLER);
	CHECK_INT(scope_judge(s, nas, 2, SCOPE_ECHO, 0), SCOPE_NO_TARGET);
	CHECK_INT(scope_judge(s, nas, -1, SCOPE_TCP, 22), SCOPE_NO_TARGET);
	scope_set_echo(s, false);
	CHECK_INT(scope_judge(s, nas, 0, SCOPE_ECHO, 0), SCOPE_NO_RULE);
	CHECK(!scope_allows(SCOPE_NO_RULE) && !scope_allows(SCOPE_NO_TARGET) && !scope_allows(SCOPE_NO_CALLER));
	CHECK(scope_allows(0) && scope_allows(SCOPE_BY_ECHO));
	scope_free(s);
}

TEST(a_rule_is_for_its_port_caller_and_target)
{
	struct scope *s = two_targets();

	allow(s, "tcp:22", NULL, NULL, SCOPE_ANY_TARGET);
	allow(s, "tcp:445", nas, "nas", 0);
	allow(s, "udp:5000-5010", NULL, NULL, 1);
	CHECK_INT(scope_judge(s, stranger, 0, SCOPE_TCP, 22), 0);
	CHECK_INT(scope_judge(s, stranger, 1, SCOPE_TCP, 22), 0);
	CHECK_INT(scope_judge(s, stranger, 0, SCOPE_UDP, 22), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, stranger, 0, SCOPE_TCP, 21), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, NULL, 0, SCOPE_TCP, 22), SCOPE_NO_CALLER);
	CHECK_INT(scope_judge(s, nas, 0, SCOPE_TCP, 445), 1);
	CHECK_INT(scope_judge(s, nas, 1, SCOPE_TCP, 445), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, tablet, 0, SCOPE_TCP, 445), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, nas, 1, SCOPE_UDP, 5000), 2);
	CHECK_INT(scope_judge(s, nas, 1, SCOPE_UDP, 5010), 2);
	CHECK_INT(scope_judge(s, nas, 1, SCOPE_UDP, 4999), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, nas, 1, SCOPE_UDP, 5011), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, nas, 0, SCOPE_UDP, 5005), SCOPE_NO_RULE);
	scope_free(s);
}

TEST(a_rule_about_echo_says_for_whom)
{
	struct scope *s = two_targets();

	allow(s, "icmp", nas, "nas", SCOPE_ANY_TARGET);
	CHECK_INT(scope_judge(s, nas, 0, SCOPE_ECHO, 0), 0);
	CHECK_INT(scope_judge(s, tablet, 0, SCOPE_ECHO, 0), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, nas, 0, SCOPE_TCP, 0), SCOPE_NO_RULE);
	scope_free(s);
}

TEST(targets_are_found_by_address_and_name)
{
	static const uint8_t v4[4] = {198, 18, 0, 2}, other4[4] = {198, 18, 0, 3}, v6[16] = {0xfd, 1}, other6[16] = {0xfd, 1, 1};
	struct scope *s = two_targets();

	CHECK_INT(scope_target_find(s, v4, 4), 1);
	CHECK_INT(scope_target_find(s, v6, 16), 0);
	CHECK_INT(scope_target_find(s, other4, 4), -1);
	CHECK_INT(scope_target_find(s, other6, 16), -1);
	CHECK_INT(scope_target_named(s, "printer"), 1);
	CHECK_INT(scope_target_named(s, "print"), -1);
	scope_free(s);
}

TEST(rules_that_make_no_sense_are_refused)
{
	static struct scope_caller many[SCOPE_CALLERS_MAX + 1];
	struct scope *s = two_targets();
	struct error err = ERROR_INIT;
	struct scope_rule r = {.proto = SCOPE_TCP, .port_first = 1, .port_last = 2, .target = 2};

	CHECK_INT(scope_add_rule(s, &r, &err), -1);
	r.target = -2;
	CHECK_INT(scope_add_rule(s, &r, &err), -1);
	r.target = 0;
	r.port_first = 3;
	CHECK_INT(scope_add_rule(s, &r, &err), -1);
	r.port_first = 0;
	CHECK_INT(scope_add_rule(s, &r, &err), -1);
	r = (struct scope_rule){.proto = SCOPE_ECHO, .port_last = 1};
	CHECK_INT(scope_add_rule(s, &r, &err), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	r = (struct scope_rule){.proto = SCOPE_ECHO, .callers = many, .callers_n = SCOPE_CALLERS_MAX + 1};
	CHECK_INT(scope_add_rule(s, &r, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK_INT(scope_rules(s), 0);
	r.callers_n = SCOPE_CALLERS_MAX;
	for (int i = 0; i < SCOPE_RULES_MAX; i++)
		CHECK_INT(scope_add_rule(s, &r, &err), 0);
	CHECK_INT(scope_add_rule(s, &r, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	for (int i = 2; i < SCOPE_TARGETS_MAX; i++)
		CHECK_INT(scope_add_target(s, &(struct scope_target){.name = "x"}, NULL, &err), 0);
	CHECK_INT(scope_add_target(s, &(struct scope_target){.name = "x"}, NULL, &err), -1);
	scope_free(s);
}

static const char *why(const struct scope *s, const uint8_t *caller, const char *name, int target, enum scope_proto proto, unsigned port)
{
	static struct scope_reason r;

	scope_explain(s, caller, name, target, proto, (uint16_t)port, &r);
	CHECK(r.allowed == scope_allows(scope_judge(s, caller, target, proto, (uint16_t)port)));
	return r.why;
}

TEST(words_name_the_rule_or_what_is_missed)
{
	struct scope *s = two_targets();

	CHECK_STR(why(s, nas, "nas", 0, SCOPE_TCP, 22),
		  "denied: nas to press on tcp port 22, since no rule allows it; this network has no rules, so that nothing is let in");
	allow(s, "tcp:22", NULL, NULL, SCOPE_ANY_TARGET);
	allow(s, "tcp:445", nas, "nas", 0);
	CHECK_STR(why(s, nas, "nas", 0, SCOPE_TCP, 22),
		  "allowed: nas to press on tcp port 22, by rule 1 (tcp:22 from any member; config.yaml)");
	CHECK_STR(why(s, nas, "nas", 0, SCOPE_TCP, 445),
		  "allowed: nas to press on tcp port 445, by rule 2 (tcp:445 from nas to press; config.yaml)");
	CHECK_STR(why(s, tablet, "tablet", 0, SCOPE_TCP, 445),
		  "denied: tablet to press on tcp port 445, since no rule allows it; rule 2 (tcp:445 from nas to press; config.yaml) "
		  "is for other callers");
	CHECK_STR(why(s, nas, "nas", 1, SCOPE_TCP, 445),
		  "denied: nas to printer on tcp port 445, since no rule allows it; rule 2 (tcp:445 from nas to press; config.yaml) "
		  "is for another target");
	CHECK_STR(why(s, tablet, "tablet", 1, SCOPE_TCP, 445),
		  "denied: tablet to printer on tcp port 445, since no rule allows it; rule 2 (tcp:445 from nas to press; config.yaml) "
		  "is for other callers and another target");
	CHECK_STR(why(s, nas, "nas", 0, SCOPE_UDP, 22),
		  "denied: nas to press on udp port 22, since no rule allows it; none of its 2 rules is about udp port 22");
	CHECK_STR(why(s, nas, "nas", 0, SCOPE_ECHO, 0),
		  "allowed: nas to press by icmp echo, since echo is answered to every member unless a rule says otherwise");
	CHECK_STR(why(s, NULL, "who", 0, SCOPE_TCP, 22), "denied: 'who' is no member that is known here");
	CHECK_STR(why(s, nas, "nas", 9, SCOPE_TCP, 22), "denied: the address is neither this node's nor a forward's");
	scope_set_echo(s, false);
	CHECK_STR(why(s, nas, "nas", 0, SCOPE_ECHO, 0),
		  "denied: nas to press by icmp echo, since no rule allows it; echo is switched off for this network");
	scope_free(s);
}

TEST(words_from_outside_cannot_steer_a_terminal)
{
	struct scope *s = two_targets();

	CHECK(strchr(why(s, nas, "na\033[2Js", 0, SCOPE_TCP, 22), '\033') == NULL);
	scope_free(s);
}
