/* Rules and forwards as they stand on the disk, and the scope that is built of them. */
#include "tap.h"

#include "mesh/scope_build.h"
#include "mesh_fixture.h"

#define NAS "a79bf5cefd46744cc05899faa1d09d57"
#define LAPTOP "5393c7b69dca50afe13b6bfcdcee1314"

static const uint8_t nas[NODE_ID_LEN] = {0xa7, 0x9b, 0xf5, 0xce, 0xfd, 0x46, 0x74, 0x4c,
					 0xc0, 0x58, 0x99, 0xfa, 0xa1, 0xd0, 0x9d, 0x57};
static const uint8_t laptop[NODE_ID_LEN] = {0x53, 0x93, 0xc7, 0xb6, 0x9d, 0xca, 0x50, 0xaf,
					    0xe1, 0x3b, 0x6b, 0xfc, 0xdc, 0xee, 0x13, 0x14};

static struct allow_list list, again;	/* too large for every stack */

static void read_rules(struct allow_list *l, const char *text)
{
	struct error err = ERROR_INIT;

	if (allow_list_parse(l, slice_str(text), &err) < 0)
		printf("# %s\n", err.text);
	REQUIRE(err.kind == ERR_NONE);
}

static void check_rules(const struct allow_list *l, const char *want)
{
	struct buf text = BUF_INIT(ALLOW_FILE_MAX);

	allow_list_put(&text, l);
	CHECK_STR(buf_cstr(&text), want);
	buf_release(&text);
}

/* ---- rules ---- */

TEST(rules_with_callers_and_targets_come_back)
{
	static const char text[] = "allow tcp:22\n"
				   "allow tcp:22 from " LAPTOP " laptop\n"
				   "allow tcp:22 from " NAS "\n"
				   "allow tcp:22 to .\n"
				   "allow tcp:22 to from from " LAPTOP " to\n"
				   "allow tcp:631-640 to printer\n"
				   "allow udp:53 to printer from " NAS " nas\n"
				   "allow icmp\n"
				   "allow icmp to printer from " NAS " nas\n";
	char shown[ALLOW_TEXT_LEN];

	read_rules(&list, text);
	CHECK_INT(list.count, 9);
	CHECK(!list.no_echo);
	check_rules(&list, text);
	CHECK_STR(allow_text(shown, &list.rules[0]), "tcp:22");
	CHECK_STR(allow_text(shown, &list.rules[1]), "tcp:22 from laptop");
	CHECK_STR(allow_text(shown, &list.rules[2]), "tcp:22 from a79bf5cefd46");
	CHECK_STR(allow_text(shown, &list.rules[3]), "tcp:22 to this node");
	CHECK_STR(allow_text(shown, &list.rules[6]), "udp:53 from nas to printer");
	CHECK(memcmp(list.rules[6].from, nas, NODE_ID_LEN) == 0);
	CHECK_STR(list.rules[6].to, "printer");
	read_rules(&list, "deny icmp\nallow tcp:22\n");
	CHECK(list.no_echo);
	check_rules(&list, "deny icmp\nallow tcp:22\n");
	read_rules(&list, "");
	CHECK(!list.no_echo && list.count == 0);
}

TEST(rules_in_another_form_are_refused)
{
	static const char *const bad[] = {
		"allow\n", "allow \n", "allow tcp:22 \n", "allow  tcp:22\n", "allow tcp:22\r\n", "allow ping\n", "allow tcp:22 to\n",
		"allow tcp:22 to \n", "allow tcp:22 to Printer\n", "allow tcp:22 to ..\n", "allow tcp:22 to printer \n",
		"allow tcp:22 to printer nas\n", "allow tcp:22 from\n", "allow tcp:22 from nas\n",
		"allow tcp:22 from " NAS " \n", "allow tcp:22 from " NAS " nas \n", "allow tcp:22 from " NAS " nas x\n",
		"allow tcp:22 from " NAS "00\n", "allow tcp:22 from A79BF5CEFD46744CC05899FAA1D09D57\n",
		"allow tcp:22 from " NAS " to printer\n", "allow tcp:22 from " NAS " -nas\n", "allow icmp:0\n",
		"allow tcp:22 to from from\n",
		"allow tcp:22 from " NAS "\nallow tcp:22 from " NAS " nas\n",	/* one rule twice */
		"allow tcp:22 from " NAS "\nallow tcp:22 from " LAPTOP "\n", "allow icmp\nallow udp:1\n",
		"deny icmp\nallow icmp\n", "allow tcp:22\ndeny icmp\n", "deny icmp\ndeny icmp\n", "deny tcp:22\n", "deny icmp",
		"\n", "allow tcp:22\n\n", "allow tcp:22-22\n", "allow tcp:22 to . to printer\n",
	};
	struct error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err = ERROR_INIT;
		if (allow_list_parse(&list, slice_str(bad[i]), &err) == 0)
			printf("# taken: %s\n", bad[i]);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
}

TEST(a_rule_that_is_there_takes_the_newer_name_of_its_caller)
{
	struct error err = ERROR_INIT;
	struct allow a;

	read_rules(&list, "allow tcp:22 from " NAS " nas\n");
	a = list.rules[0];
	snprintf(a.from_name, sizeof(a.from_name), "box");
	CHECK_INT(allow_list_add(&list, &a, &err), 0);
	check_rules(&list, "allow tcp:22 from " NAS " box\n");
}

TEST(taking_away_never_lets_more_in)
{
	struct error err = ERROR_INIT;
	struct allow icmp;

	read_rules(&list, "allow tcp:22\nallow icmp\nallow icmp from " NAS " nas\n");
	allow_list_drop(&list, 1);
	check_rules(&list, "allow tcp:22\nallow icmp from " NAS " nas\n");
	allow_list_drop(&list, 1);
	check_rules(&list, "deny icmp\nallow tcp:22\n");
	allow_list_drop(&list, 0);
	check_rules(&list, "deny icmp\n");
	REQUIRE(allow_parse(&icmp, SLICE_LIT("ping"), &err) == 0);
	CHECK_INT(allow_list_add(&list, &icmp, &err), 0);
	check_rules(&list, "allow icmp\n");
}

TEST(rules_cover_what_is_inside_them)
{
	static const struct {
		const char *a, *b;
		bool covers;
	} cases[] = {
		{"tcp:22", "tcp:22 from " NAS, true}, {"tcp:22 from " NAS, "tcp:22", false}, {"tcp:20-30", "tcp:22", true},
		{"tcp:22", "tcp:20-30", false}, {"tcp:22", "udp:22", false}, {"tcp:22", "tcp:22 to printer", true},
		{"tcp:22", "tcp:22 to .", true}, {"tcp:22 to .", "tcp:22", false}, {"tcp:22 to .", "tcp:22 to printer", false},
		{"tcp:22 to printer", "tcp:22 to printer from " NAS, true}, {"tcp:22 from " NAS, "tcp:22 from " NAS " nas", true},
		{"tcp:22 from " NAS, "tcp:22 from " LAPTOP, false}, {"icmp", "icmp to printer", true}, {"icmp", "tcp:1", false},
	};
	char text[256];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "allow %s\n", cases[i].a);
		read_rules(&list, text);
		snprintf(text, sizeof(text), "allow %s\n", cases[i].b);
		read_rules(&again, text);
		CHECK(allow_covers(&list.rules[0], &again.rules[0]) == cases[i].covers);
	}
}

/* ---- forwards ---- */

static struct forward forward(const char *name, const char *target)
{
	struct error err = ERROR_INIT;
	struct forward f = {.named_s = 60};

	snprintf(f.name, sizeof(f.name), "%s", name);
	REQUIRE(forward_target_parse(&f.target, slice_str(target), &err) == 0);
	return f;
}

static void add(struct forward_list *l, const char *name, const char *target)
{
	struct forward f = forward(name, target);
	struct error err = ERROR_INIT;

	REQUIRE(forwards_add(l, &f, &err) == 0);
}

static void check_forwards(const struct forward_list *l, const char *want)
{
	struct forward_list back;
	struct buf text = BUF_INIT(FORWARDS_FILE_MAX);
	struct error err = ERROR_INIT;

	forwards_put(&text, l);
	CHECK_STR(buf_cstr(&text), want);
	CHECK_INT(forwards_parse(&back, buf_slice(&text), &err), 0);
	CHECK_INT(back.count, l->count);
	buf_release(&text);
}

TEST(targets_are_addresses_of_devices)
{
	static const char *const good[] = {"192.168.1.50", "10.0.0.1", "8.8.8.8", "fd00::7", "2001:db8::1", "100.64.0.1"};
	static const char *const none[] = {"", "printer", "192.168.1", "192.168.1.256", "192.168.1.50:631", "192.168.01.5",
					   "[fd00::7]", "fd00::7%eth0", "fd00:::7", "0xc0a80101", "192.168.1.50 ", "1",
					   "2001:db8:0000:0000:0000:0000:0000:0000:0001:0000:0000:0000:0000:0000:0000:1"};
	static const char *const not_there[] = {"127.0.0.1", "127.255.0.9", "169.254.7.7", "0.0.0.0", "0.1.2.3", "224.0.0.251",
						"255.255.255.255", "240.0.0.1", "::", "::1", "fe80::1", "febf::1", "ff02::fb",
						"::ffff:10.0.0.1", "::10.0.0.1"};
	char text[FORWARD_TARGET_TEXT_LEN];
	struct endpoint t;
	struct error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		err = ERROR_INIT;
		CHECK_INT(forward_target_parse(&t, slice_str(good[i]), &err), 0);
		CHECK_STR(forward_target_text(text, &t), good[i]);
		CHECK_INT(t.port, 0);
	}
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		err = ERROR_INIT;
		CHECK_INT(forward_target_parse(&t, slice_str(none[i]), &err), -1);
		CHECK_INT(err.kind, ERR_USAGE);
	}
	CHECK_INT(forward_target_parse(&t, SLICE_LIT("10.0.0.1\0" "2"), &err), -1);
	for (i = 0; i < ARRAY_SIZE(not_there); i++) {
		err = ERROR_INIT;
		CHECK_INT(forward_target_parse(&t, slice_str(not_there[i]), &err), -1);
		CHECK_INT(err.kind, ERR_REFUSED);
		CHECK(err.hint[0] != '\0');
	}
}

TEST(addresses_of_the_mesh_are_no_targets)
{
	const struct range range = {.v4 = 0xc6122000, .prefix = 19};
	const uint8_t id[NETWORK_ID_LEN] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	struct error err = ERROR_INIT;
	struct addressing a;
	struct forward f;

	addressing_init(&a, id, &range, FIXTURE_CREATED);
	f = forward("x", "198.18.63.255");
	CHECK_INT(forward_target_outside(&f.target, &a, "home", &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.text, "network 'home'") != NULL);
	f = forward("x", "198.18.64.0");
	CHECK_INT(forward_target_outside(&f.target, &a, "home", &err), 0);
	f = forward("x", "fd12:22c3:9932:7::7");
	CHECK_INT(forward_target_outside(&f.target, &a, NULL, &err), -1);
	f = forward("x", "fd12:22c3:9933::7");
	CHECK_INT(forward_target_outside(&f.target, &a, NULL, &err), 0);
}

TEST(names_of_people_become_names_of_the_mesh)
{
	char name[MESH_NAME_MAX + 1];
	struct error err = ERROR_INIT;

	CHECK_INT(forward_name_parse(name, SLICE_LIT("Office Printer"), &err), 0);
	CHECK_STR(name, "office-printer");
	CHECK_INT(forward_name_parse(name, SLICE_LIT("  cam_2! "), &err), 0);
	CHECK_STR(name, "cam-2");
	CHECK_INT(forward_name_parse(name, SLICE_LIT("---"), &err), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK_INT(forward_name_parse(name, SLICE_EMPTY, &err), -1);
}

TEST(a_forward_keeps_its_place_and_a_new_one_gets_the_lowest)
{
	struct forward_list l = {.count = 0};
	struct error err = ERROR_INIT;
	struct forward f;
	char name[8];
	int i;

	for (i = 0; i < 7; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		add(&l, name, "10.0.0.1");
	}
	CHECK(forwards_find(&l, "f4")->ordinal == 0 && forwards_find(&l, "f4")->slot == 6);
	CHECK(forwards_find(&l, "f5")->ordinal == 1 && forwards_find(&l, "f5")->slot == 2);
	CHECK(forwards_remove(&l, "f1") && forwards_remove(&l, "f5"));
	CHECK(!forwards_remove(&l, "f1"));
	add(&l, "new", "fd00::1");
	add(&l, "newer", "fd00::2");
	check_forwards(&l, "f0 10.0.0.1 0 2 60\nnew fd00::1 0 3 60\nf2 10.0.0.1 0 4 60\nf3 10.0.0.1 0 5 60\n"
			   "f4 10.0.0.1 0 6 60\nnewer fd00::2 1 2 60\nf6 10.0.0.1 1 3 60\n");
	f = forward("new", "10.0.0.9");
	CHECK_INT(forwards_add(&l, &f, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
}

TEST(as_many_forwards_fit_as_a_record_holds)
{
	struct forward_list l = {.count = 0};
	struct mesh_record r = {.sequence = 1, .ciphers = CIPHER_CHACHA20_POLY1305, .endpoints_count = 5};
	struct buf bytes = BUF_INIT(RECORD_LEN_MAX);
	struct error err = ERROR_INIT;
	struct nodekey key;
	struct mesh_net net;
	struct forward f;
	size_t i;

	for (i = 0; err.kind == ERR_NONE; i++) {
		REQUIRE(i <= FORWARDS_MAX);
		f = forward("x", "10.0.0.1");
		snprintf(f.name, sizeof(f.name), "device-%03zu", i);
		(void)!forwards_add(&l, &f, &err);
	}
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK(l.count >= 30);
	CHECK_INT(l.count, i - 1);
	/* The longest name, and some endpoints beside them. */
	REQUIRE(net_init(&net) == 0);
	nodekey_generate(&key);
	memset(r.name, 'n', MESH_NAME_MAX);
	for (i = 0; i < r.endpoints_count; i++)
		r.endpoints[i] = (struct record_endpoint){ENDPOINT_OWN, {ENDPOINT_V6, {0x20, 1, [15] = (uint8_t)i}, 7783}};
	r.forwards_count = forwards_to_record(&l, r.name, r.forwards, NULL);
	CHECK_INT(r.forwards_count, l.count);
	for (i = 0; i <= l.all[l.count - 1].ordinal; i++)
		r.claims[r.claims_count++] = (struct claim){.ordinal = (uint16_t)i, .claimed_at_s = FIXTURE_CREATED};
	err = ERROR_INIT;
	CHECK_INT(record_put(&bytes, &r, &key, &net.addressing, &err), 0);
	buf_release(&bytes);
	for (l.count = 0, i = 0; i < FORWARDS_MAX; i++) {
		f = forward("x", "10.0.0.1");
		snprintf(f.name, sizeof(f.name), "%zu", i);
		if (forwards_add(&l, &f, &err) < 0)
			break;
	}
	CHECK(i > 50);
}

TEST(one_with_the_name_of_the_node_stays_out_of_the_record)
{
	struct record_forward out[FORWARDS_MAX];
	struct forward_list l = {.count = 0};
	const struct forward *clash;

	add(&l, "printer", "10.0.0.1");
	add(&l, "nas", "10.0.0.2");
	CHECK_INT(forwards_to_record(&l, "nas", out, &clash), 1);
	CHECK_STR(out[0].name, "printer");
	CHECK(out[0].ordinal == 0 && out[0].slot == 2 && out[0].named_s == 60);
	REQUIRE(clash != NULL);
	CHECK_STR(clash->name, "nas");
	CHECK_INT(forwards_to_record(&l, "press", out, &clash), 2);
	CHECK(clash == NULL);
}

TEST(forwards_in_another_form_are_refused)
{
	static const char *const bad[] = {
		"printer\n", "printer 10.0.0.1\n", "printer 10.0.0.1 0 2\n", "printer 10.0.0.1 0 2 \n", "printer 10.0.0.1 0 2 60",
		"printer 10.0.0.1 0 1 60\n", "printer 10.0.0.1 0 7 60\n", "printer 10.0.0.1 13 2 60\n",
		"printer 10.0.0.1 00 2 60\n", "printer 10.0.0.1 0 2 060\n", "printer 10.0.0.1 0 2 4294967295\n",
		"printer 10.0.0.1 0 2 -1\n", "printer 10.0.0.1 0 2 never\n", "printer 10.0.0.1 0 2 60 live\n",
		"printer 10.0.0.1 0 2 60 config \n", "printer 10.0.0.1  0 2 60\n", "Printer 10.0.0.1 0 2 60\n",
		"printer 127.0.0.1 0 2 60\n", "printer FD00::1 0 2 60\n", "printer fd00:0::1 0 2 60\n",
		"printer 10.0.0.1 0 3 60\ncamera 10.0.0.2 0 2 60\n", "printer 10.0.0.1 0 2 60\ncamera 10.0.0.2 0 2 60\n",
		"printer 10.0.0.1 0 2 60\nprinter 10.0.0.2 0 3 60\n", "\n", " printer 10.0.0.1 0 2 60\n",
	};
	struct forward_list l;
	struct error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err = ERROR_INIT;
		if (forwards_parse(&l, slice_str(bad[i]), &err) == 0)
			printf("# taken: %s\n", bad[i]);
		CHECK_INT(err.kind, ERR_MALFORMED);
	}
}

/* ---- the configuration ---- */

struct complaints {
	int count;
	char last[256];
};

static void complain(void *arg, const char *name, const char *what)
{
	struct complaints *c = arg;

	c->count++;
	snprintf(c->last, sizeof(c->last), "%s: %s", name, what);
}

static bool merge(struct forward_list *l, const struct forward *config, size_t count, uint32_t named_s,
		  struct complaints *c)
{
	const struct range range = {.v4 = 0xc6122000, .prefix = 19};
	const uint8_t id[NETWORK_ID_LEN] = {7};
	struct addressing a;

	*c = (struct complaints){.count = 0};
	addressing_init(&a, id, &range, FIXTURE_CREATED);
	return forwards_merge(l, config, count, &a, named_s, complain, c);
}

TEST(the_configuration_comes_in_and_goes_and_places_stay)
{
	struct forward config[] = {forward("camera", "10.0.0.7"), forward("scanner", "fd00::9")};
	struct forward_list l = {.count = 0};
	struct complaints c;

	add(&l, "printer", "10.0.0.1");
	CHECK(merge(&l, config, 2, RECORD_NAMED_UNKNOWN, &c));
	CHECK_INT(c.count, 0);
	check_forwards(&l, "printer 10.0.0.1 0 2 60\ncamera 10.0.0.7 0 3 unknown config\nscanner fd00::9 0 4 unknown config\n");
	CHECK(!merge(&l, config, 2, RECORD_NAMED_UNKNOWN, &c));
	/* The clock is right now. */
	CHECK(merge(&l, config, 2, 500, &c));
	CHECK(!merge(&l, config, 2, 600, &c));
	check_forwards(&l, "printer 10.0.0.1 0 2 60\ncamera 10.0.0.7 0 3 500 config\nscanner fd00::9 0 4 500 config\n");
	/* Another target keeps the place; who is not named goes. */
	config[1] = forward("scanner", "10.0.0.9");
	CHECK(merge(&l, config + 1, 1, 700, &c));
	check_forwards(&l, "printer 10.0.0.1 0 2 60\nscanner 10.0.0.9 0 4 500 config\n");
	CHECK(merge(&l, NULL, 0, 700, &c));
	check_forwards(&l, "printer 10.0.0.1 0 2 60\n");
	CHECK(!merge(&l, NULL, 0, 700, &c));
}

TEST(what_the_configuration_cannot_have_is_told)
{
	struct forward config[] = {forward("printer", "10.0.0.5"), forward("mesh", "198.18.32.9"), forward("printer", "10.0.0.6"),
				   forward("self", "10.0.0.1"), forward("Big", "10.0.0.1")};
	struct forward_list l = {.count = 0};
	struct complaints c;
	int i;

	config[3].target.addr[0] = 127;
	add(&l, "printer", "10.0.0.1");
	CHECK(merge(&l, config, 1, 500, &c));
	CHECK_INT(c.count, 1);
	CHECK_STR(c.last, "printer: it was added by a verb as well, and config.yaml counts from now on");
	check_forwards(&l, "printer 10.0.0.5 0 2 60 config\n");
	CHECK(!merge(&l, config, 1, 500, &c));
	CHECK_INT(c.count, 0);
	CHECK(!merge(&l, config, 2, 500, &c));
	CHECK_STR(c.last, "mesh: 198.18.32.9 is an address of the network itself");
	CHECK(!merge(&l, config, 3, 500, &c));
	CHECK_STR(c.last, "printer: it is there twice, and the first one counts");
	CHECK(!merge(&l, config, 4, 500, &c));
	CHECK_STR(c.last, "self: its target is a loopback address");
	CHECK(!merge(&l, config, 5, 500, &c));
	CHECK_INT(c.count, 4);
	CHECK(strstr(c.last, "'Big' is no name of the mesh") != NULL);
	/* One that has become unusable is not forwarded to where it was. */
	config[0].target.addr[0] = 127;
	CHECK(merge(&l, config, 1, 500, &c));
	CHECK_INT(l.count, 0);
	for (i = 0; i < FORWARDS_MAX; i++) {
		struct forward f = forward("x", "10.0.0.1");
		struct error err = ERROR_INIT;

		snprintf(f.name, sizeof(f.name), "%d", i);
		if (forwards_add(&l, &f, &err) < 0)
			break;
	}
	config[0] = forward("one-more-with-a-long-name-for-which-there-is-no-room-any-more", "10.0.0.1");
	CHECK(!merge(&l, config, 1, 500, &c));
	CHECK(strstr(c.last, "no room") != NULL);
}

TEST(names_are_dated_from_the_creation_of_the_network)
{
	CHECK_INT(forwards_named_s(1000, 1000), 0);
	CHECK_INT(forwards_named_s(1000, 1007), 7);
	CHECK(forwards_named_s(1000, 999) == RECORD_NAMED_UNKNOWN);
	CHECK(forwards_named_s(0, INT64_C(0xffffffff)) == RECORD_NAMED_UNKNOWN);
	CHECK(forwards_named_s(0, INT64_C(0xfffffffe)) == 0xfffffffe);
}

/* ---- the scope ---- */

struct parts {
	struct scope_parts p;
	struct addressing addressing;
	struct forward_list forwards;
	struct claim claims[2];
};

static void parts_init(struct parts *p)
{
	const struct range range = {.v4 = 0xc6122000, .prefix = 19};
	const uint8_t id[NETWORK_ID_LEN] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

	memset(p, 0, sizeof(*p));
	addressing_init(&p->addressing, id, &range, FIXTURE_CREATED);
	p->claims[0] = (struct claim){.ordinal = 0, .claimed_at_s = FIXTURE_CREATED};
	p->claims[1] = (struct claim){.ordinal = 1, .claimed_at_s = FIXTURE_CREATED};
	p->p = (struct scope_parts){.allow = &list, .forwards = &p->forwards, .addressing = &p->addressing, .node = nas,
				    .node_name = "nas", .claims = p->claims, .claims_count = 2};
}

static int judge(const struct scope *s, const uint8_t *caller, const char *target, const char *what)
{
	struct error err = ERROR_INIT;
	struct allow a;

	REQUIRE(allow_parse(&a, slice_str(what), &err) == 0);
	return scope_judge(s, caller, scope_target_named(s, target), a.proto, a.first);
}

TEST(a_scope_has_the_node_and_its_forwards_at_their_addresses)
{
	static const uint8_t node_v4[4] = {198, 18, 58, 9}, printer_v4[4] = {198, 18, 58, 10};
	static const uint8_t printer_v6[16] = {0xfd, 0x12, 0x22, 0xc3, 0x99, 0x32, 0x03, 0x41, [15] = 2};
	static const uint8_t far_v4[4] = {198, 18, 44, 242};
	struct parts p;
	struct scope *s;
	char name[4];
	int i;

	parts_init(&p);
	read_rules(&list, "");
	add(&p.forwards, "printer", "10.0.0.1");
	for (i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		add(&p.forwards, name, "10.0.0.2");
	}
	/* The worked example of meshanics-mesh(7). */
	s = scope_build(&p.p, NULL);
	CHECK_INT(scope_targets(s), 7);
	CHECK_INT(scope_target_find(s, node_v4, 4), 0);
	CHECK_INT(scope_target_find(s, printer_v4, 4), 1);
	CHECK_INT(scope_target_find(s, printer_v6, 16), 1);
	CHECK_INT(scope_target_find(s, far_v4, 4), 6);
	CHECK(!scope_target_at(s, 0)->take_echo && scope_target_at(s, 1)->take_echo);
	scope_free(s);
	/* A block that is not claimed yet has no addresses; without the first one there is nothing. */
	p.p.claims_count = 1;
	s = scope_build(&p.p, NULL);
	CHECK_INT(scope_targets(s), 6);
	scope_free(s);
	p.p.claims_count = 0;
	s = scope_build(&p.p, NULL);
	CHECK_INT(scope_targets(s), 0);
	scope_free(s);
}

TEST(callers_of_one_rule_stand_together_and_targets_count)
{
	struct scope_reason why;
	struct parts p;
	struct scope *s;
	size_t waiting;

	parts_init(&p);
	add(&p.forwards, "printer", "10.0.0.1");
	read_rules(&list, "allow tcp:22\n"
			  "allow tcp:445 from " LAPTOP " laptop\n"
			  "allow tcp:445 from " NAS "\n"
			  "allow tcp:631 to printer from " LAPTOP " laptop\n"
			  "allow tcp:700 to .\n"
			  "allow tcp:800 to camera\n"
			  "allow tcp:801 to camera from " LAPTOP "\n"
			  "allow tcp:801 to camera from " NAS "\n");
	s = scope_build(&p.p, &waiting);
	CHECK_INT(scope_rules(s), 4);
	CHECK_INT(waiting, 3);
	CHECK_INT(scope_rule_at(s, 1)->callers_n, 2);
	CHECK_STR(scope_rule_at(s, 0)->origin, "policy");
	CHECK_INT(judge(s, laptop, "nas", "tcp:22"), 0);
	CHECK_INT(judge(s, laptop, "printer", "tcp:22"), 0);
	CHECK_INT(judge(s, laptop, "nas", "tcp:445"), 1);
	CHECK_INT(judge(s, nas, "printer", "tcp:445"), 1);
	CHECK_INT(judge(s, laptop, "printer", "tcp:631"), 2);
	CHECK_INT(judge(s, laptop, "nas", "tcp:631"), SCOPE_NO_RULE);
	CHECK_INT(judge(s, nas, "printer", "tcp:631"), SCOPE_NO_RULE);
	CHECK_INT(judge(s, nas, "nas", "tcp:700"), 3);
	CHECK_INT(judge(s, nas, "printer", "tcp:700"), SCOPE_NO_RULE);
	CHECK_INT(judge(s, laptop, "nas", "tcp:800"), SCOPE_NO_RULE);
	CHECK_INT(judge(s, laptop, "nas", "icmp"), SCOPE_BY_ECHO);
	scope_explain(s, laptop, "laptop", 1, SCOPE_TCP, 631, &why);
	CHECK_STR(why.why, "allowed: laptop to printer on tcp port 631, by rule 3 (tcp:631 from laptop to printer; policy)");
	scope_free(s);
}

TEST(a_forward_with_the_name_of_the_node_does_not_stand_for_it)
{
	struct parts p;
	struct scope *s;

	parts_init(&p);
	add(&p.forwards, "nas", "10.0.0.1");
	read_rules(&list, "allow tcp:631 to nas\n");
	s = scope_build(&p.p, NULL);
	CHECK_INT(scope_judge(s, laptop, 0, SCOPE_TCP, 631), SCOPE_NO_RULE);
	CHECK_INT(scope_judge(s, laptop, 1, SCOPE_TCP, 631), 0);
	scope_free(s);
}

TEST(echo_is_answered_as_the_rules_say)
{
	struct parts p;
	struct scope *s;

	parts_init(&p);
	read_rules(&list, "deny icmp\n");
	s = scope_build(&p.p, NULL);
	CHECK_INT(judge(s, laptop, "nas", "icmp"), SCOPE_NO_RULE);
	scope_free(s);
	read_rules(&list, "allow icmp from " LAPTOP " laptop\n");
	s = scope_build(&p.p, NULL);
	CHECK_INT(judge(s, laptop, "nas", "icmp"), 0);
	CHECK_INT(judge(s, nas, "nas", "icmp"), SCOPE_NO_RULE);
	scope_free(s);
	/* A rule that waits is a rule: it does not open echo to all the others. */
	read_rules(&list, "allow icmp to camera\n");
	s = scope_build(&p.p, NULL);
	CHECK_INT(judge(s, laptop, "nas", "icmp"), SCOPE_NO_RULE);
	scope_free(s);
}

TEST(more_callers_than_one_rule_holds_become_two)
{
	struct error err = ERROR_INIT;
	struct allow a = {.proto = SCOPE_TCP, .first = 22, .last = 22, .bound = true};
	struct parts p;
	struct scope *s;
	size_t i;

	parts_init(&p);
	read_rules(&list, "");
	for (i = 0; i < ALLOW_MAX; i++) {
		a.from[0] = (uint8_t)i;
		REQUIRE(allow_list_add(&list, &a, &err) == 0);
	}
	s = scope_build(&p.p, NULL);
	CHECK_INT(scope_rules(s), ALLOW_MAX / SCOPE_CALLERS_MAX);
	for (i = 0; i < ALLOW_MAX; i++) {
		a.from[0] = (uint8_t)i;
		CHECK(scope_judge(s, a.from, 0, SCOPE_TCP, 22) >= 0);
	}
	a.from[1] = 1;
	CHECK_INT(scope_judge(s, a.from, 0, SCOPE_TCP, 22), SCOPE_NO_RULE);
	scope_free(s);
	/* And as many rules as there may be fit into a scope. */
	for (list.count = 0, i = 1; i <= ALLOW_MAX; i++) {
		a = (struct allow){.proto = SCOPE_UDP, .first = (uint16_t)i, .last = (uint16_t)i};
		REQUIRE(allow_list_add(&list, &a, &err) == 0);
	}
	s = scope_build(&p.p, NULL);
	CHECK_INT(scope_rules(s), ALLOW_MAX);
	scope_free(s);
}
