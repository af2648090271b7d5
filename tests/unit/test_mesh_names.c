/* Names: who holds one, what an address is called, and what is told when either changes hands. */
#include "tap.h"

#include "mesh_names_fixture.h"

TEST(a_name_has_the_addresses_of_its_node)
{
	struct mesh_record nas = record_of(1, "nas", 60, true);
	struct names_entry e;
	struct named n;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &nas) == 0);
	REQUIRE(names_find(n.names, SLICE_LIT("nas"), &e));
	CHECK_STR(e.name, "nas");
	CHECK(e.holds && e.has_address && e.slot == SLOT_NODE);
	CHECK_INT(e.v4, address_of(&n.home, &nas, 1));
	CHECK(memcmp(e.v6, n.home.addressing.v6_prefix, 6) == 0);
	CHECK_INT(e.v6[15], 1);
	CHECK(e.network == n.home.net);
	REQUIRE(names_find(n.names, SLICE_LIT("NaS-cAm"), &e));
	CHECK_STR(e.name, "nas-cam");
	CHECK_INT(e.v4, address_of(&n.home, &nas, 3));
	REQUIRE(names_of_v4(n.names, address_of(&n.home, &nas, 3), &e));
	CHECK_STR(e.name, "nas-cam");
	CHECK(names_of_v6(n.names, e.v6, &e) && strcmp(e.name, "nas-cam") == 0);
	named_release(&n);
}

TEST(what_is_no_name_is_not_found)
{
	static const char *const none[] = {"", "na", "nas1", "nas.", ".nas", "nas..home", "nas.work", "nas.home.x", "-nas",
					   "nas ", "n\xc3\xa4s", "home", "a.nas", "nas-cam-"};
	struct mesh_record nas = record_of(1, "nas", 60, true);
	struct names_entry e;
	struct named n;
	char longest[70];
	size_t i;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &nas) == 0);
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CHECK(!names_find(n.names, slice_str(none[i]), &e));
	memset(longest, 'a', sizeof(longest));
	CHECK(!names_find(n.names, slice_of(longest, 64), &e));
	CHECK(!names_find(n.names, slice_of("nas\0x", 5), &e));
	/* Slots that nobody has, blocks that nobody claims, addresses of nobody. */
	CHECK(!names_of_v4(n.names, address_of(&n.home, &nas, 2), &e));
	CHECK(!names_of_v4(n.names, address_of(&n.home, &nas, 0), &e));
	CHECK(!names_of_v4(n.names, address_of(&n.home, &nas, 7), &e));
	CHECK(!names_of_v4(n.names, address_of(&n.home, &nas, 1) ^ 0x100, &e));
	CHECK(!names_of_v4(n.names, 0x7f000001, &e));
	names_remove(n.home.net, nas.id);
	CHECK(!names_find(n.names, SLICE_LIT("nas"), &e));
	CHECK(!names_find(n.names, SLICE_LIT("nas-cam"), &e));
	CHECK_INT(names_nodes(n.home.net), 0);
	named_release(&n);
}

static const char *holder_of(const struct named *n, const char *name, uint8_t *id)
{
	static struct names_entry e;

	if (!names_find(n->names, slice_str(name), &e))
		return "nobody";
	*id = e.node[0];
	return e.name;
}

TEST(the_earlier_then_the_lower_id_has_the_name_in_any_order)
{
	struct mesh_record r[4] = {record_of(9, "nas", 50, false), record_of(3, "nas", 60, false),
				   record_of(2, "nas", 60, false), record_of(1, "nas", RECORD_NAMED_UNKNOWN, false)};
	static const uint8_t expected[4] = {9, 2, 3, 1};
	unsigned order, i;

	for (order = 0; order < 4; order++) {
		struct named n;
		uint8_t id = 0;

		REQUIRE(named_init(&n) == 0);
		for (i = 0; i < 4; i++)
			REQUIRE(node_add(&n.home, &r[(i + order) % 4]) == 0);
		for (i = 0; i < 4; i++) {
			uint8_t whole[NODE_ID_LEN];

			CHECK_STR(holder_of(&n, "nas", &id), "nas");
			CHECK_INT(id, expected[i]);
			memset(whole, id, sizeof(whole));
			names_remove(n.home.net, whole);
		}
		CHECK_STR(holder_of(&n, "nas", &id), "nobody");
		named_release(&n);
	}
}

TEST(a_loser_keeps_its_address_and_is_shown_with_its_id)
{
	struct mesh_record first = record_of(9, "nas", 50, false), second = record_of(3, "nas", 60, false);
	char shown[NAMES_SHOWN_LEN];
	struct names_entry e;
	struct named n;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &second) == 0 && node_add(&n.home, &first) == 0);
	REQUIRE(names_of_v4(n.names, address_of(&n.home, &second, 1), &e));
	CHECK(!e.holds && e.node[0] == 3 && e.holder[0] == 9 && e.has_address);
	CHECK_STR(names_shown(shown, &e), "nas (03030303030303030303030303030303)");
	REQUIRE(names_of_v4(n.names, address_of(&n.home, &first, 1), &e));
	CHECK(e.holds);
	CHECK_STR(names_shown(shown, &e), "nas");
	/* A new record with another name ends it. */
	second = record_of(3, "box", 70, false);
	REQUIRE(node_add(&n.home, &second) == 0);
	REQUIRE(names_of_v4(n.names, address_of(&n.home, &second, 1), &e));
	CHECK(e.holds);
	CHECK_INT(names_nodes(n.home.net), 2);
	named_release(&n);
}

TEST(a_forward_and_a_node_want_one_name)
{
	struct mesh_record gate = record_of(1, "gate", 80, true), cam = record_of(2, "gate-cam", 70, false);
	struct names_entry e;
	struct named n;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &gate) == 0);
	REQUIRE(names_find(n.names, SLICE_LIT("gate-cam"), &e));
	CHECK_INT(e.slot, 3);
	REQUIRE(node_add(&n.home, &cam) == 0);
	REQUIRE(names_find(n.names, SLICE_LIT("gate-cam"), &e));
	CHECK(e.node[0] == 2 && e.slot == SLOT_NODE);
	named_release(&n);
}

TEST(a_name_whose_block_is_another_s_has_no_address)
{
	struct mesh_record a = record_of(1, "nas", 60, false), b = record_of(2, "box", 50, false);
	struct names_entry e;
	struct named n;
	uint32_t attempt;

	REQUIRE(named_init(&n) == 0);
	for (attempt = 0; block_index(&n.home.addressing, b.id, 0, attempt) !=
			  block_index(&n.home.addressing, a.id, 0, a.claims[0].attempt); attempt++)
		;
	b.claims[0].attempt = attempt;
	REQUIRE(node_add(&n.home, &a) == 0 && node_add(&n.home, &b) == 0);
	REQUIRE(names_find(n.names, SLICE_LIT("nas"), &e));
	CHECK(e.holds && !e.has_address);
	CHECK_INT(e.v4, 0);
	REQUIRE(names_of_v4(n.names, address_of(&n.home, &a, 1), &e));
	CHECK_STR(e.name, "box");
	named_release(&n);
}

TEST(networks_go_in_order_and_by_label)
{
	struct mesh_record home = record_of(1, "nas", 60, false), work = record_of(2, "nas", 10, false);
	struct names_network *third;
	struct error err = ERROR_INIT;
	struct names_entry e;
	struct named n;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &home) == 0 && node_add(&n.work, &work) == 0);
	CHECK(names_find(n.names, SLICE_LIT("nas"), &e) && e.network == n.home.net);
	CHECK(names_find(n.names, SLICE_LIT("nas.Home"), &e) && e.network == n.home.net);
	CHECK(names_of_v4(n.names, address_of(&n.work, &work, 1), &e) && e.network == n.work.net && e.holds);
	CHECK(names_label_known(n.names, SLICE_LIT("HOME")) && !names_label_known(n.names, SLICE_LIT("")) &&
	      !names_label_known(n.names, SLICE_LIT("nas")));
	CHECK(names_covers_v4(n.names, 0xc6122000) && names_covers_v4(n.names, 0xc6123fff));
	CHECK(!names_covers_v4(n.names, 0xc6124000) && !names_covers_v4(n.names, 0xc6121fff));
	CHECK(names_covers_v4(n.names, 0x0a01027f) && !names_covers_v4(n.names, 0x0a010280));
	CHECK(names_covers_v4_part(n.names, 0xc6122100, 24) && !names_covers_v4_part(n.names, 0xc6120000, 16));
	CHECK(names_network_add(n.names, &n.work.addressing, n.work.claims, SLICE_LIT("home"), &third, &err) < 0);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK(names_network_add(n.names, &n.work.addressing, n.work.claims, SLICE_LIT("Ho me"), &third, &err) < 0);
	CHECK_INT(err.kind, ERR_MALFORMED);
	names_network_remove(n.names, n.home.net);
	CHECK(names_find(n.names, SLICE_LIT("nas"), &e) && e.network == n.work.net);
	CHECK(!names_find(n.names, SLICE_LIT("nas.home"), &e) && !names_covers_v4(n.names, 0xc6122000));
	named_release(&n);
}

TEST(tables_are_bounded)
{
	struct mesh_record r = record_of(1, "nas", 60, false);
	struct error err = ERROR_INIT;
	struct names_network *net;
	struct named n;
	unsigned i;

	REQUIRE(named_init(&n) == 0);
	for (i = 2; i < NAMES_NETWORKS_MAX; i++)
		REQUIRE(names_network_add(n.names, &n.home.addressing, n.home.claims, SLICE_EMPTY, &net, &err) == 0);
	CHECK(names_network_add(n.names, &n.home.addressing, n.home.claims, SLICE_EMPTY, &net, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	for (i = 0; i < CLAIMS_NODES_MAX; i++) {
		memcpy(r.id, &i, sizeof(i));
		REQUIRE(names_set(n.home.net, &r, &err) == 0);
	}
	CHECK(names_set(n.home.net, &r, &err) == 0);	/* a new record of a known node has room */
	memcpy(r.id, &i, sizeof(i));
	CHECK(names_set(n.home.net, &r, &err) < 0);
	CHECK_INT(err.kind, ERR_LIMIT);
	named_release(&n);
}

TEST(labels_are_made_of_what_people_write)
{
	char out[MESH_NAME_MAX + 1], longest[100];

	names_label(out, SLICE_LIT("Home network"));
	CHECK_STR(out, "home-network");
	names_label(out, SLICE_LIT("  --B\xc3\xbcro / 2!  "));
	CHECK_STR(out, "b-ro-2");
	names_label(out, SLICE_LIT("\xe2\x98\x83"));
	CHECK_STR(out, "");
	memset(longest, 'A', sizeof(longest));
	longest[62] = ' ';
	names_label(out, slice_of(longest, sizeof(longest)));
	CHECK_INT(strlen(out), 62);
}

struct told {
	size_t count;
	struct names_change last;
};

static void tell(void *arg, const struct names_change *c)
{
	struct told *t = arg;

	t->count++;
	t->last = *c;
}

TEST(a_name_that_changes_hands_is_told_once)
{
	struct mesh_record nas = record_of(5, "nas", 60, false), thief = record_of(6, "nas", 61, false);
	struct error err = ERROR_INIT;
	struct told t = {0};
	struct named n;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &nas) == 0);
	CHECK_INT(names_review(n.home.net, tell, &t), 0);
	CHECK_INT(names_pins(n.home.net), 2);	/* its name and its block */
	REQUIRE(node_add(&n.home, &thief) == 0);
	CHECK_INT(names_review(n.home.net, tell, &t), 0);
	/* Gone for a while, and then another has it. */
	names_remove(n.home.net, nas.id);
	names_remove(n.home.net, thief.id);
	CHECK_INT(names_review(n.home.net, tell, &t), 0);
	REQUIRE(names_set(n.home.net, &thief, &err) == 0);
	CHECK_INT(names_review(n.home.net, tell, &t), 1);
	CHECK(t.last.kind == NAMES_NAME && t.last.before[0] == 5 && t.last.now[0] == 6);
	CHECK_STR(t.last.name, "nas");
	CHECK_INT(names_review(n.home.net, tell, &t), 0);
	CHECK_INT(t.count, 1);
	named_release(&n);
}

TEST(a_block_that_changes_hands_is_told)
{
	struct mesh_record a = record_of(1, "nas", 60, false), b = record_of(2, "box", 50, false);
	struct told t = {0};
	struct named n;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &a) == 0);
	CHECK_INT(names_review(n.home.net, tell, &t), 0);
	b.claims[0].attempt = 0;
	while (block_index(&n.home.addressing, b.id, 0, b.claims[0].attempt) !=
	       block_index(&n.home.addressing, a.id, 0, a.claims[0].attempt))
		b.claims[0].attempt++;
	REQUIRE(node_add(&n.home, &b) == 0);
	CHECK_INT(names_review(n.home.net, tell, &t), 1);
	CHECK(t.last.kind == NAMES_BLOCK && t.last.before[0] == 1 && t.last.now[0] == 2);
	CHECK_INT(t.last.block, block_index(&n.home.addressing, a.id, 0, 1));
	named_release(&n);
}

static void keep(void *arg, const struct names_change *c)
{
	struct names_network *other = arg;
	struct error err = ERROR_INIT;

	CHECK(names_pin(other, c, &err) == 0);
	CHECK(names_pin(other, c, &err) < 0 && err.kind == ERR_CONFLICT);
}

TEST(pins_outlive_the_process)
{
	struct mesh_record nas = record_of(5, "nas", 60, true), thief = record_of(6, "nas", 10, false);
	struct names_change bad = {.kind = NAMES_NAME, .name = "N"};
	struct error err = ERROR_INIT;
	struct told t = {0};
	struct named n, later;

	REQUIRE(named_init(&n) == 0 && named_init(&later) == 0 && node_add(&n.home, &nas) == 0);
	CHECK_INT(names_review(n.home.net, tell, &t), 0);
	names_pins_each(n.home.net, keep, later.home.net);
	CHECK_INT(names_pins(later.home.net), 3);
	REQUIRE(node_add(&later.home, &thief) == 0);
	CHECK_INT(names_review(later.home.net, tell, &t), 1);
	CHECK(t.last.before[0] == 5 && t.last.now[0] == 6);
	CHECK(names_pin(later.home.net, &bad, &err) < 0 && err.kind == ERR_MALFORMED);
	bad = (struct names_change){.kind = NAMES_BLOCK, .block = 1024};
	CHECK(names_pin(later.home.net, &bad, &err) < 0 && err.kind == ERR_MALFORMED);
	bad.kind = 0;
	CHECK(names_pin(later.home.net, &bad, &err) < 0 && err.kind == ERR_MALFORMED);
	named_release(&n);
	named_release(&later);
}

TEST(pins_of_what_nobody_wants_make_room)
{
	struct mesh_record nas = record_of(5, "nas", 60, false);
	struct names_change pin = {.kind = NAMES_NAME};
	struct error err = ERROR_INIT;
	struct told t = {0};
	struct named n;
	unsigned i;

	REQUIRE(named_init(&n) == 0 && node_add(&n.home, &nas) == 0);
	for (i = 0; i < NAMES_PINS_MAX; i++) {
		snprintf(pin.name, sizeof(pin.name), "x%u", i);
		REQUIRE(names_pin(n.home.net, &pin, &err) == 0);
	}
	CHECK(names_pin(n.home.net, &pin, &err) < 0 && err.kind == ERR_LIMIT);
	CHECK_INT(names_review(n.home.net, tell, &t), 0);
	CHECK_INT(names_pins(n.home.net), 2);
	named_release(&n);
}

