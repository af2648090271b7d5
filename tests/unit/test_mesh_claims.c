/* Addresses as the page derives them, and claims: one rule, simulated for whole networks that part and meet again. */
#include "tap.h"

#include <arpa/inet.h>

#include "base/encode.h"
#include "mesh/bytes.h"
#include "mesh/claims.h"
#include "mesh_fixture.h"

static void example(struct addressing *a)
{
	struct error err = ERROR_INIT;
	uint8_t id[NETWORK_ID_LEN];
	struct range range;
	int i;

	REQUIRE(crypto_start(&err) == 0);
	for (i = 0; i < NETWORK_ID_LEN; i++)
		id[i] = (uint8_t)i;
	REQUIRE(range_parse(&range, SLICE_LIT("198.18.32.0/19"), &err) == 0);
	addressing_init(a, id, &range, FIXTURE_CREATED);
}

/* What a man page says of this node: its id, and where attempt `attempt` puts it. */
static void worked(const struct addressing *a, const char *id_hex, uint16_t ordinal, uint32_t attempt, uint32_t block,
		   const char *v4, const char *v6)
{
	uint8_t id[NODE_ID_LEN], addr[16];
	struct error err = ERROR_INIT;
	char text[INET6_ADDRSTRLEN];
	struct in_addr in;
	uint32_t got;
	unsigned slot;

	REQUIRE(hex_decode(id, NODE_ID_LEN, slice_str(id_hex), &err) == 0);
	CHECK_INT(block_index(a, id, ordinal, attempt), block);
	in.s_addr = htonl(block_v4(a, block, SLOT_NODE));
	CHECK_STR(inet_ntop(AF_INET, &in, text, sizeof(text)), v4);
	block_v6(a, block, SLOT_NODE, addr);
	CHECK_STR(inet_ntop(AF_INET6, addr, text, sizeof(text)), v6);
	CHECK(block_of_v4(a, ntohl(in.s_addr), &got, &slot) && got == block && slot == SLOT_NODE);
	CHECK(block_of_v6(a, addr, &got, &slot) && got == block && slot == SLOT_NODE);
}

#define NAS "a79bf5cefd46744cc05899faa1d09d57"
#define LAPTOP "5393c7b69dca50afe13b6bfcdcee1314"

/* The numbers were made by tests/data/mesh/reference.py, and meshanics-mesh(7) must have them. */
TEST(the_worked_examples_of_the_page_are_right)
{
	static const char *const said[] = {NAS, LAPTOP, "fd12:22c3:9932::/48", "833", "198.18.58.9", "1011", "198.18.63.153",
					   "fd12:22c3:9932:341::1", "fd12:22c3:9932:3f3::1", "414", "198.18.44.241"};
	static char page[1 << 16];
	FILE *f = fopen("man/meshanics-mesh.7", "r");
	struct addressing a;
	size_t i;

	example(&a);
	worked(&a, NAS, 0, 0, 833, "198.18.58.9", "fd12:22c3:9932:341::1");
	worked(&a, LAPTOP, 0, 0, 833, "198.18.58.9", "fd12:22c3:9932:341::1");
	worked(&a, LAPTOP, 0, 1, 1011, "198.18.63.153", "fd12:22c3:9932:3f3::1");
	worked(&a, NAS, 1, 0, 414, "198.18.44.241", "fd12:22c3:9932:19e::1");
	REQUIRE(f != NULL);
	page[fread(page, 1, sizeof(page) - 1, f)] = '\0';
	fclose(f);
	for (i = 0; i < ARRAY_SIZE(said); i++) {
		if (strstr(page, said[i]) == NULL)
			CHECK_STR("the page does not say", said[i]);
	}
}

TEST(the_rule_of_the_page_decides_between_nas_and_laptop)
{
	uint8_t nas[NODE_ID_LEN], laptop[NODE_ID_LEN];
	struct claim early = {0, 0, FIXTURE_CREATED + 100}, late = {0, 0, FIXTURE_CREATED + 200}, own;
	struct error err = ERROR_INIT;
	struct claims_holder h;
	struct addressing a;
	struct claims *c;
	unsigned moved, dated;

	example(&a);
	REQUIRE(hex_decode(nas, 16, SLICE_LIT(NAS), &err) == 0 && hex_decode(laptop, 16, SLICE_LIT(LAPTOP), &err) == 0);
	c = claims_new(&a);
	/* A newcomer yields to the claim that it knows. */
	CHECK(claims_set(c, nas, &late, 1, &err) == 1);
	CHECK(claims_choose(c, laptop, 0, FIXTURE_CREATED + 300, &own, &err) == 0);
	CHECK(own.attempt == 1 && own.claimed_at_s == FIXTURE_CREATED + 300);
	/* Both had the block before they met: the earlier claim keeps it. */
	CHECK(claims_set(c, laptop, &early, 1, &err) == 1);
	CHECK(claims_holder(c, 833, &h) && memcmp(h.node, laptop, 16) == 0);
	own = late;
	CHECK(claims_settle(c, nas, &own, 1, FIXTURE_CREATED + 300, &moved, &dated, &err) == 0);
	CHECK(moved == 1 && dated == 0 && own.attempt > 0 && own.claimed_at_s == FIXTURE_CREATED + 300);
	/* In the same second the lower id does. */
	CHECK(claims_set(c, nas, &early, 1, &err) == 1);
	CHECK(claims_holder(c, 833, &h) && memcmp(h.node, laptop, 16) == 0);
	/* Which is gone: the other has it at once. */
	claims_remove(c, laptop);
	CHECK(claims_holder(c, 833, &h) && memcmp(h.node, nas, 16) == 0);
	CHECK(claims_nodes(c) == 1 && claims_blocks_taken(c) == 1);
	claims_free(c);
}

TEST(claims_that_do_not_count_or_lose)
{
	uint8_t x[NODE_ID_LEN] = {0x01}, y[NODE_ID_LEN] = {0x02};
	struct claim before = {0, 0, FIXTURE_CREATED - 1}, at = {0, 0, FIXTURE_CREATED}, own, some[3];
	struct error err = ERROR_INIT;
	struct addressing a;
	struct claims *c;
	unsigned moved, dated;
	uint32_t block;
	int64_t future = FIXTURE_CREATED + 10 * 365 * 86400;

	example(&a);
	c = claims_new(&a);
	/* Dated before the network: invalid, and whoever holds such a one claims anew. */
	CHECK(!claim_valid(&a, &before) && claim_valid(&a, &at));
	CHECK(claims_set(c, x, &before, 1, &err) == 0 && claims_nodes(c) == 1 && claims_blocks_taken(c) == 0);
	own = before;
	CHECK(claims_settle(c, x, &own, 1, FIXTURE_CREATED + 9, &moved, &dated, &err) == 0);
	CHECK(moved == 1 && own.claimed_at_s == FIXTURE_CREATED + 9 && claims_holds(c, x, 0, &block));
	/* Ordinals and attempts have ends; a doubled ordinal counts once. */
	CHECK(!claim_valid(&a, &(struct claim){13, 0, FIXTURE_CREATED}));
	CHECK(claim_valid(&a, &(struct claim){12, 65535, FIXTURE_CREATED}));
	CHECK(!claim_valid(&a, &(struct claim){0, 65536, FIXTURE_CREATED}));
	some[0] = some[1] = at;
	some[1].attempt = 1;
	some[2] = (struct claim){1, 0, FIXTURE_CREATED};
	CHECK(claims_set(c, y, some, 3, &err) == 2 && !claims_holds(c, y, 2, &block));
	/* A date in the future loses to one that is not, whatever the ids. */
	CHECK(claim_compare(&(struct claim){0, 0, future}, x, &at, y) > 0);
	/* A node whose clock is before the network claims last of all, and gets its date later, on the same block. */
	claims_remove(c, x);
	CHECK(claims_choose(c, x, 0, 0, &own, &err) == 0 && own.claimed_at_s == CLAIM_TIME_UNKNOWN && claim_valid(&a, &own));
	CHECK(claim_compare(&own, x, &(struct claim){0, 0, future}, y) > 0);
	block = own.attempt;
	CHECK(claims_settle(c, x, &own, 1, FIXTURE_CREATED + 50, &moved, &dated, &err) == 0);
	CHECK(moved == 0 && dated == 1 && own.attempt == block && own.claimed_at_s == FIXTURE_CREATED + 50);
	CHECK(claims_settle(c, x, &own, 1, FIXTURE_CREATED + 60, &moved, &dated, &err) == 0 && moved == 0 && dated == 0);
	claims_free(c);
}

TEST(a_full_range_says_so_and_its_last_block_is_found)
{
	struct range range = {.v4 = 0x0a000000, .prefix = 26};
	uint8_t network[NETWORK_ID_LEN] = {9}, id[NODE_ID_LEN] = {0};
	struct error err = ERROR_INIT;
	struct addressing a;
	struct claims *c;
	struct claim own;
	uint32_t i;

	REQUIRE(crypto_start(&err) == 0);
	addressing_init(&a, network, &range, FIXTURE_CREATED);
	c = claims_new(&a);
	for (i = 0; i < 8; i++) {
		put_be32(id, i);
		CHECK(claims_choose(c, id, 0, FIXTURE_CREATED + 1, &own, &err) == 0);
		CHECK(claims_set(c, id, &own, 1, &err) == 1 && claims_blocks_taken(c) == i + 1);
	}
	put_be32(id, 9);
	CHECK(claims_choose(c, id, 0, FIXTURE_CREATED + 1, &own, &err) < 0 && err.kind == ERR_LIMIT);
	CHECK_STR(err.text, "all 8 blocks of '10.0.0.0/26' are taken");
	claims_free(c);
}

TEST(ranges_and_addresses_outside_are_not_of_the_network)
{
	static const char *const bad[] = {"", "198.18.32.0", "198.18.32.0/", "198.18.32.0/19 ", "198.18.032.0/19", "198.18.32.0/+9",
					  "198.18.32.0/019", "198.18.32/19", "198.18.32.0/190", "a/19", "198.18.32.1/19",
					  "8.8.0.0/19", "10.0.0.0/12", "10.0.0.0/27", "198.16.0.0/14", "100.128.0.0/19"};
	static const char *const good[] = {"198.18.0.0/15", "10.8.0.0/13", "172.31.255.192/26", "192.168.0.0/16", "100.64.0.0/13"};
	struct error err = ERROR_INIT;
	struct addressing a;
	struct range r, s;
	char text[RANGE_TEXT_LEN];
	uint8_t v6[16];
	uint32_t block;
	unsigned slot;
	size_t i;

	example(&a);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(range_parse(&r, slice_str(bad[i]), &err) < 0);
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK(range_parse(&r, slice_str(good[i]), &err) == 0);
		CHECK_STR(range_text(text, &r), good[i]);
	}
	for (i = 0; i < RANGE_DEFAULTS; i++) {
		r = range_default((unsigned)i);
		CHECK(range_check(&r, &err) == 0);
		s = range_default((unsigned)i + 1);
		CHECK(!range_overlaps(&r, &s));
		s = (struct range){.v4 = 0xc6120000, .prefix = 15};
		CHECK(range_overlaps(&r, &s) && range_overlaps(&s, &r));
	}
	CHECK(!block_of_v4(&a, 0xc6121fff, &block, &slot) && !block_of_v4(&a, 0xc6124001, &block, &slot));
	CHECK(!block_of_v4(&a, 0xc6122000, &block, &slot) && !block_of_v4(&a, 0xc6122007, &block, &slot));
	CHECK(block_of_v4(&a, 0xc6122006, &block, &slot) && block == 0 && slot == 6);
	block_v6(&a, 1023, 6, v6);
	CHECK(block_of_v6(&a, v6, &block, &slot) && block == 1023 && slot == 6);
	v6[14] = 1;
	CHECK(!block_of_v6(&a, v6, &block, &slot));
	block_v6(&a, 1024, 1, v6);
	CHECK(!block_of_v6(&a, v6, &block, &slot) && addressing_has_v6(&a, v6));
	block_v6(&a, 3, 7, v6);
	CHECK(!block_of_v6(&a, v6, &block, &slot));
}

/* ---- whole networks ---- */

#define PARTS_MAX 5

struct sim_node {
	uint8_t id[NODE_ID_LEN];
	struct claim claim;
	bool settled;		/* it has a claim */
	unsigned part, moves;
};

struct sim {
	struct addressing a;
	struct sim_node *nodes;
	size_t count;
	struct claims *known[PARTS_MAX];	/* what everybody in a part knows, once gossip has been around */
	uint64_t seed;
	int64_t now_s;
};

static void sim_init(struct sim *s, const char *range, size_t count, uint64_t seed)
{
	struct error err = ERROR_INIT;
	uint8_t id[NETWORK_ID_LEN];
	struct range r;
	size_t i;

	REQUIRE(crypto_start(&err) == 0 && range_parse(&r, slice_str(range), &err) == 0);
	memset(s, 0, sizeof(*s));
	s->seed = seed;
	put_be64(id, mesh_random(&s->seed));
	put_be64(id + 8, mesh_random(&s->seed));
	addressing_init(&s->a, id, &r, FIXTURE_CREATED);
	s->now_s = FIXTURE_CREATED;
	s->count = count;
	s->nodes = calloc(count, sizeof(*s->nodes));
	REQUIRE(s->nodes != NULL);
	for (i = 0; i < count; i++) {
		put_be64(s->nodes[i].id, mesh_random(&s->seed));
		put_be64(s->nodes[i].id + 8, mesh_random(&s->seed));
	}
	for (i = 0; i < PARTS_MAX; i++)
		s->known[i] = claims_new(&s->a);
}

static void sim_release(struct sim *s)
{
	int i;

	for (i = 0; i < PARTS_MAX; i++)
		claims_free(s->known[i]);
	free(s->nodes);
}

/* A node joins its part: it learns what is known there, then claims. */
static void join(struct sim *s, struct sim_node *n)
{
	struct error err = ERROR_INIT;

	s->now_s += (int64_t)(mesh_random(&s->seed) % 3);	/* several in a second, now and then */
	REQUIRE(claims_choose(s->known[n->part], n->id, 0, s->now_s, &n->claim, &err) == 0);
	REQUIRE(claims_set(s->known[n->part], n->id, &n->claim, 1, &err) == 1);
	n->settled = true;
}

/* Each node in turn, from a random one, settles by what is known; how many moved. */
static unsigned settle_all(struct sim *s, struct claims *known)
{
	size_t first = mesh_random(&s->seed) % s->count, i;
	struct error err = ERROR_INIT;
	unsigned all = 0, moved, dated;

	for (i = 0; i < s->count; i++) {
		struct sim_node *n = &s->nodes[(first + i) % s->count];

		if (!n->settled)
			continue;
		REQUIRE(claims_settle(known, n->id, &n->claim, 1, s->now_s, &moved, &dated, &err) == 0);
		n->moves += moved;
		all += moved;
	}
	return all;
}

/* All parts meet: each node's record reaches everybody, in random order; nobody has moved yet. Part 0 remains. */
static void merge(struct sim *s)
{
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < PARTS_MAX; i++) {
		claims_free(s->known[i]);
		s->known[i] = claims_new(&s->a);
	}
	for (i = 0; i < s->count; i++) {
		s->nodes[i].part = 0;
		if (s->nodes[i].settled)
			REQUIRE(claims_set(s->known[0], s->nodes[i].id, &s->nodes[i].claim, 1, &err) == 1);
	}
}

static void check_unique(struct sim *s)
{
	uint32_t blocks = range_blocks(&s->a.range), block;
	uint8_t *taken = calloc(blocks, 1);
	size_t i;

	REQUIRE(taken != NULL);
	for (i = 0; i < s->count; i++) {
		if (!s->nodes[i].settled)
			continue;
		block = block_index(&s->a, s->nodes[i].id, 0, s->nodes[i].claim.attempt);
		CHECK(!taken[block]);
		taken[block] = 1;
		CHECK(claims_holds(s->known[0], s->nodes[i].id, 0, &block));
	}
	free(taken);
}

static unsigned total_moves(const struct sim *s)
{
	unsigned all = 0;
	size_t i;

	for (i = 0; i < s->count; i++)
		all += s->nodes[i].moves;
	return all;
}

/* How many lose when the parts meet, counted by the rule itself and not by the table. */
static unsigned losers(const struct sim *s)
{
	uint32_t blocks = range_blocks(&s->a.range), *index = calloc(s->count, sizeof(*index));
	size_t *best = malloc(blocks * sizeof(*best)), i;
	unsigned n = 0;

	REQUIRE(index != NULL && best != NULL);
	memset(best, 0xff, blocks * sizeof(*best));
	for (i = 0; i < s->count; i++) {
		size_t *b;

		index[i] = block_index(&s->a, s->nodes[i].id, 0, s->nodes[i].claim.attempt);
		b = &best[index[i]];
		if (*b == SIZE_MAX || claim_compare(&s->nodes[i].claim, s->nodes[i].id, &s->nodes[*b].claim,
						    s->nodes[*b].id) < 0)
			*b = i;
	}
	for (i = 0; i < s->count; i++)
		n += best[index[i]] != i;
	free(index);
	free(best);
	return n;
}

static void simulate(const char *range, size_t count, unsigned parts, uint64_t seed)
{
	unsigned expected, round;
	struct sim s;
	size_t i;

	sim_init(&s, range, count, seed);
	/* Half of them come one by one to one network: nobody ever moves. */
	for (i = 0; i < count / 2; i++)
		join(&s, &s.nodes[i]);
	CHECK_INT(settle_all(&s, s.known[0]), 0);
	/* Then it falls apart. Each part keeps what it knew, and newcomers come to all of them: still nobody moves. */
	for (i = 1; i < parts; i++) {
		struct error err = ERROR_INIT;
		size_t k;

		for (k = 0; k < count / 2; k++)
			REQUIRE(claims_set(s.known[i], s.nodes[k].id, &s.nodes[k].claim, 1, &err) == 1);
	}
	for (i = count / 2; i < count; i++) {
		s.nodes[i].part = (unsigned)(mesh_random(&s.seed) % parts);
		join(&s, &s.nodes[i]);
	}
	CHECK_INT(total_moves(&s), 0);
	/* And meets again: exactly the losers move, each once if it learns in turn, and that is all. */
	expected = losers(&s);
	merge(&s);
	s.now_s += 10;
	CHECK_INT(settle_all(&s, s.known[0]), expected);
	for (round = 0; round < 3; round++)
		CHECK_INT(settle_all(&s, s.known[0]), 0);
	for (i = 0; i < count / 2; i++)
		CHECK_INT(s.nodes[i].moves, 0);	/* older than every newcomer */
	CHECK_INT(claims_blocks_taken(s.known[0]), count);
	check_unique(&s);
	printf("# %zu nodes in %s, %u parts: %u moved when they met\n", count, range, parts, expected);
	sim_release(&s);
}

TEST(a_thousand_nodes_in_a_19_have_a_block_each)
{
	unsigned parts;

	for (parts = 1; parts <= PARTS_MAX; parts++)
		simulate("198.18.32.0/19", 1000, parts, parts);
}

TEST(five_thousand_nodes_in_a_15_have_a_block_each)
{
	simulate("198.18.0.0/15", 5000, 2, 11);
	simulate("198.18.0.0/15", 5000, 5, 12);
}

/* At the worst moment: everybody settles by what was known before anybody else moved, as when gossip is slow. */
TEST(losers_that_choose_at_once_settle_in_the_end)
{
	struct error err = ERROR_INIT;
	unsigned round, moved, dated, all = 1;
	struct claim *next;
	struct sim s;
	size_t i;

	sim_init(&s, "198.18.32.0/19", 1000, 77);
	for (i = 0; i < s.count; i++) {
		s.nodes[i].part = (unsigned)(i % PARTS_MAX);
		join(&s, &s.nodes[i]);
	}
	next = calloc(s.count, sizeof(*next));
	REQUIRE(next != NULL);
	for (round = 0; round < 200 && all > 0; round++) {
		all = 0;
		merge(&s);
		s.now_s++;
		for (i = 0; i < s.count; i++) {
			next[i] = s.nodes[i].claim;
			REQUIRE(claims_settle(s.known[0], s.nodes[i].id, &next[i], 1, s.now_s, &moved, &dated, &err) == 0);
			all += moved;
			/* What the others know does not change before the round is over. */
			REQUIRE(claims_set(s.known[0], s.nodes[i].id, &s.nodes[i].claim, 1, &err) == 1);
		}
		for (i = 0; i < s.count; i++)
			s.nodes[i].claim = next[i];
	}
	printf("# settled after %u rounds\n", round);
	CHECK_INT(all, 0);
	merge(&s);
	check_unique(&s);
	free(next);
	sim_release(&s);
}

TEST(the_holder_does_not_depend_on_the_order_of_arrival)
{
	struct range range = {.v4 = 0x0a000000, .prefix = 24};
	uint8_t network[NETWORK_ID_LEN] = {3}, ids[200][NODE_ID_LEN] = {{0}};
	struct claims_holder x, y;
	struct error err = ERROR_INIT;
	struct claims *one, *two;
	struct addressing a;
	struct claim c[200];
	uint64_t seed = 5;
	uint32_t block;
	int i;

	REQUIRE(crypto_start(&err) == 0);
	addressing_init(&a, network, &range, FIXTURE_CREATED);
	one = claims_new(&a);
	two = claims_new(&a);
	for (i = 0; i < 200; i++) {
		put_be64(ids[i], mesh_random(&seed));
		c[i] = (struct claim){0, (uint32_t)(mesh_random(&seed) % 5), FIXTURE_CREATED + (int64_t)(mesh_random(&seed) % 3)};
		CHECK(claims_set(one, ids[i], &c[i], 1, &err) == 1);
	}
	for (i = 199; i >= 0; i--) {
		/* With detours: an older record first, or twice. */
		CHECK(claims_set(two, ids[i], &c[(i + 7) % 200], 1, &err) == 1);
		if (i % 3 == 0)
			claims_remove(two, ids[i]);
		CHECK(claims_set(two, ids[i], &c[i], 1, &err) == 1);
	}
	CHECK(claims_blocks_taken(one) == claims_blocks_taken(two));
	for (block = 0; block < range_blocks(&range); block++) {
		bool held = claims_holder(one, block, &x);

		CHECK(held == claims_holder(two, block, &y));
		CHECK(!held || (memcmp(x.node, y.node, NODE_ID_LEN) == 0 && x.claim.claimed_at_s == y.claim.claimed_at_s));
	}
	claims_free(one);
	claims_free(two);
}
