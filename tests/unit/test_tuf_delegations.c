/* The search through delegations: order, ends, cycles, limits, and who may sign what. */
#include "tap.h"

#include "tufkit.h"

#include "tuf/delegation.h"

static struct kit kit;
static struct kit_store store;
static struct kit_run run;

#define ALL "\"paths\": [\"*\", \"*/*\", \"*/*/*\"]"

static void begin(void)
{
	kit_init(&kit);
	kit_store_open(&store);
}

static void end(void)
{
	kit_store_close(&store);
	kit_release(&kit);
}

static struct kit_targets *role(const char *name, const struct kit_key *key, const char *target)
{
	struct kit_targets *t = kit_role(&kit, name, key);

	if (target != NULL)
		kit_target(t, target, name);
	return t;
}

/* Look path up afresh; want is the role that answers, or part of the refusal. */
static void finds(const char *path, const char *want)
{
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, path);
	CHECK_ACCEPTED(run);
	if (run.r == 0)
		CHECK_STR(run.result.role, want);
	kit_done(&run);
}

static void fails(const char *path, const char *says)
{
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, path);
	CHECK_REFUSED(run, says);
	kit_done(&run);
}

TEST(delegated_roles_are_fetched_on_demand)
{
	begin();
	role("publisher", &kit.spare[0], "plant/plc/1");
	kit_target(&kit.targets, "top", "content");
	kit_delegate_one(&kit.targets, "publisher", &kit.spare[0], "\"paths\": [\"plant/*/*\"]", true);
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, "top");
	CHECK_ACCEPTED(run);
	CHECK(strstr(kit.log, "publisher") == NULL);
	kit_lookup(&kit, &run, &store.t, "other/plc/1");
	CHECK_INT(run.err.kind, ERR_NOT_FOUND);
	CHECK(strstr(kit.log, "publisher") == NULL);
	kit_lookup(&kit, &run, &store.t, "plant/plc/1");
	CHECK_ACCEPTED(run);
	CHECK_STR(run.result.role, "publisher");
	CHECK(strstr(kit.log, " 1.publisher.json ") != NULL);
	kit_lookup(&kit, &run, &store.t, "plant/plc/1");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "publisher"), 1);
	kit_run(&kit, &run, &store.t, "plant/plc/1");
	CHECK_ACCEPTED(run);
	CHECK_STR(kit.log, "2.root.json timestamp.json ");
	kit_done(&run);
	end();
}

/*
 * targets -> A, B;  A -> C, D;  B -> E: pre-order is A C D B E. Each role's answer hides those that come later.
 */
TEST(the_search_is_pre_order_and_depth_first)
{
	static const char *const order[] = {"A", "C", "D", "B", "E"};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		struct buf want = BUF_INIT(1000);

		begin();
		const struct kit_delegation top[] = {{"A", &kit.spare[0], ALL, false}, {"B", &kit.spare[1], ALL, false}};
		const struct kit_delegation a[] = {{"C", &kit.spare[2], ALL, false}, {"D", &kit.spare[3], ALL, false}};
		const struct kit_key *keys[] = {&kit.spare[0], &kit.spare[2], &kit.spare[3], &kit.spare[1], &kit.spare[4]};

		kit_delegate(&kit.targets, top, 2);
		for (j = 0; j < ARRAY_SIZE(order); j++)
			role(order[j], keys[j], j >= i ? "x" : NULL);
		kit_delegate(&kit.roles[0], a, 2);
		kit_delegate_one(&kit.roles[3], "E", &kit.spare[4], ALL, false);
		finds("x", order[i]);
		buf_put_str(&want, "2.root.json timestamp.json 1.snapshot.json 1.targets.json ");
		for (j = 0; j <= i; j++)
			buf_printf(&want, "1.%s.json ", order[j]);
		CHECK_STR(kit.log, buf_cstr(&want));
		buf_release(&want);
		end();
	}
}

TEST(a_terminating_role_ends_the_search)
{
	begin();
	const struct kit_delegation top[] = {{"A", &kit.spare[0], ALL, true}, {"B", &kit.spare[1], ALL, false}};

	kit_delegate(&kit.targets, top, 2);
	role("A", &kit.spare[0], "a");
	role("B", &kit.spare[1], "b");
	finds("a", "A");
	fails("b", "no role that may speak for target 'b' lists it");
	CHECK(strstr(kit.log, "B.json") == NULL);
	end();
}

/* It ends the search for everybody who waits, not only for its siblings. */
TEST(a_terminating_role_below_cuts_off_those_above)
{
	begin();
	const struct kit_delegation top[] = {{"A", &kit.spare[0], ALL, false}, {"B", &kit.spare[1], ALL, false}};

	kit_delegate(&kit.targets, top, 2);
	kit_delegate_one(role("A", &kit.spare[0], NULL), "C", &kit.spare[2], ALL, true);
	role("B", &kit.spare[1], "b");
	role("C", &kit.spare[2], "c");
	finds("c", "C");
	fails("b", "no role that may speak");
	end();
}

/* A terminating role for other paths ends nothing. */
TEST(a_terminating_role_that_is_not_asked_ends_nothing)
{
	begin();
	const struct kit_delegation top[] = {{"A", &kit.spare[0], "\"paths\": [\"z\"]", true},
					     {"B", &kit.spare[1], ALL, false}};

	kit_delegate(&kit.targets, top, 2);
	role("A", &kit.spare[0], "b");
	role("B", &kit.spare[1], "b");
	finds("b", "B");
	end();
}

TEST(cycles_end)
{
	begin();
	kit_delegate_one(&kit.targets, "A", &kit.spare[0], ALL, false);
	kit_delegate_one(role("A", &kit.spare[0], NULL), "B", &kit.spare[1], ALL, false);
	kit_delegate_one(role("B", &kit.spare[1], "b"), "A", &kit.spare[0], ALL, false);
	finds("b", "B");
	fails("x", "no role that may speak");
	CHECK_STR(kit.log, "2.root.json timestamp.json 1.snapshot.json 1.targets.json 1.A.json 1.B.json ");
	end();
	/* A role that delegates to itself. */
	begin();
	kit_delegate_one(&kit.targets, "A", &kit.spare[0], ALL, false);
	kit_delegate_one(role("A", &kit.spare[0], "a"), "A", &kit.spare[1], ALL, false);
	finds("a", "A");
	fails("x", "no role that may speak");
	end();
}

/* A chain of n roles, the last of which lists "deep". */
static void chain(unsigned n)
{
	struct kit_targets *above = &kit.targets;
	unsigned i;

	for (i = 1; i <= n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "r%u", i);
		kit_delegate_one(above, name, &kit.spare[0], ALL, false);
		above = role(name, &kit.spare[0], i == n ? "deep" : NULL);
	}
}

TEST(at_most_32_roles_are_visited)
{
	begin();
	chain(32);
	finds("deep", "r32");
	end();
	begin();
	chain(33);
	fails("deep", "not in the first 32 roles");
	CHECK_INT(run.err.kind, ERR_LIMIT);
	end();
}

TEST(many_siblings_count_as_well)
{
	struct kit_delegation list[40];
	char names[40][8];
	unsigned i, at;

	for (at = 31; at <= 32; at++) {
		begin();
		for (i = 0; i < 40; i++) {
			snprintf(names[i], sizeof(names[i]), "s%u", i);
			list[i] = (struct kit_delegation){names[i], &kit.spare[0], ALL, false};
			role(names[i], &kit.spare[0], i == at ? "deep" : NULL);
		}
		kit_delegate(&kit.targets, list, 40);
		if (at < 32)
			finds("deep", names[at]);
		else
			fails("deep", "not in the first 32 roles");
		end();
	}
}

/* ---- what a role may speak for ---- */

TEST(a_role_speaks_only_for_its_paths)
{
	begin();
	role("A", &kit.spare[0], "plant/plc/1");
	kit_target(&kit.roles[0], "admin/plc/1", "content");
	kit_delegate_one(&kit.targets, "A", &kit.spare[0], "\"paths\": [\"plant/*/*\"]", false);
	finds("plant/plc/1", "A");
	fails("admin/plc/1", "no role that may speak");
	end();
}

TEST(hash_prefixes_select)
{
	char scope[100], hex[SHA256_HEX_LEN];
	uint8_t hash[SHA256_LEN];
	unsigned n;

	sha256_of(SLICE_LIT("a"), hash);
	hex_encode(hex, hash, sizeof(hash));
	for (n = 1; n <= 64; n += 7) {
		begin();
		role("A", &kit.spare[0], "a");
		snprintf(scope, sizeof(scope), "\"path_hash_prefixes\": [\"%.*s\"]", (int)n, hex);
		kit_delegate_one(&kit.targets, "A", &kit.spare[0], scope, false);
		finds("a", "A");
		hex[n - 1] = hex[n - 1] == '0' ? '1' : '0';
		snprintf(scope, sizeof(scope), "\"path_hash_prefixes\": [\"%.*s\"]", (int)n, hex);
		kit_delegate_one(&kit.targets, "A", &kit.spare[0], scope, false);
		fails("a", "no role that may speak");
		hex_encode(hex, hash, sizeof(hash));
		end();
	}
}

/* SHA-256("a") begins ca97 8112: its bin under 8 bits is ca, under 10 bits 32a, under 1 bit 1. */
TEST(succinct_roles_are_hash_bins)
{
	static const struct {
		unsigned bits;
		const char *bin;
	} list[] = {{1, "bin-1"}, {4, "bin-c"}, {5, "bin-19"}, {8, "bin-ca"}, {10, "bin-32a"}, {32, "bin-ca978112"}};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(list); i++) {
		struct buf *b = &kit.targets.delegations;

		begin();
		role(list[i].bin, &kit.spare[0], "a");
		buf_printf(b, "{\"keys\": {\"%s\": %.*s}, \"succinct_roles\": {\"keyids\": [\"%s\"], \"threshold\": 1, "
			   "\"bit_length\": %u, \"name_prefix\": \"bin\"}}",
			   kit.spare[0].id, SLICE_ARG(buf_slice(&kit.spare[0].object)), kit.spare[0].id, list[i].bits);
		finds("a", list[i].bin);
		kit.roles[0].by.sign[0] = &kit.spare[1];
		fails("a", "signed by 0 of the 1 keys needed (5.6.3)");
		end();
	}
}

/* GHSA-wjw6-2cqr-j4qr: a role's name leads neither out of the URL nor out of the directory. */
TEST(role_names_are_encoded_in_urls)
{
	static const char *const list[][2] = {
		{"?", "1.%3F.json"},
		{"/delegatedrole", "1.%2Fdelegatedrole.json"},
		{"../delegatedrole", "1...%2Fdelegatedrole.json"},
		{"a b#c", "1.a%20b%23c.json"},
		{"-", "1.-.json"},
		{"..", "1....json"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(list); i++) {
		begin();
		role(list[i][0], &kit.spare[0], "a");
		kit_delegate_one(&kit.targets, list[i][0], &kit.spare[0], ALL, false);
		kit_publish(&kit);
		kit_run(&kit, &run, &store.t, "a");
		CHECK_ACCEPTED(run);
		CHECK(strstr(kit.log, list[i][1]) != NULL);
		kit_done(&run);
		CHECK_INT(kit_stored_version(&store.t, list[i][0]), 1);
		kit_run(&kit, &run, &store.t, "a");
		CHECK_STR(kit.log, "2.root.json timestamp.json ");
		kit_done(&run);
		end();
	}
}

/* ---- delegated metadata gets every check that top-level metadata gets (CVE-2026-6967) ---- */

static struct kit_targets *publisher(void)
{
	begin();
	kit_delegate_one(&kit.targets, "publisher", &kit.spare[0], ALL, true);
	return role("publisher", &kit.spare[0], "a");
}

TEST(a_delegated_file_is_checked_like_any_other)
{
	struct kit_targets *p = publisher();

	p->by.sign[0] = &kit.targets_key;
	fails("a", "publisher: signed by 0 of the 1 keys needed (5.6.3)");
	p->by.sign_count = 0;
	fails("a", "publisher: signed by 0 of the 1 keys needed (5.6.3)");
	end();
	p = publisher();
	p->expires = KIT_PAST;
	fails("a", "publisher version 1 expired");
	end();
	p = publisher();
	p->unlisted = true;
	fails("a", "snapshot does not list role 'publisher' (5.6.1)");
	end();
	p = publisher();
	p->extra = ", \"x\": 1";
	kit_publish(&kit);
	p->extra = ", \"x\": 2";
	kit_publish_targets(&kit, p);
	kit_run(&kit, &run, NULL, "a");
	CHECK_REFUSED(run, "SHA-256 is not the one that is signed");
	kit_done(&run);
	end();
	p = publisher();
	kit_publish(&kit);
	buf_put_str(&kit_file(&kit, "1.publisher.json")->bytes, " ");
	kit_run(&kit, &run, NULL, "a");
	CHECK_REFUSED(run, "more than");
	kit_done(&run);
	end();
	p = publisher();
	kit.lengths = false;
	kit_publish(&kit);
	p->version = 2;
	buf_clear(&kit_file(&kit, "1.publisher.json")->bytes);
	buf_put_slice(&kit_file(&kit, "1.publisher.json")->bytes, buf_slice(&kit_publish_targets(&kit, p)->bytes));
	kit_run(&kit, &run, NULL, "a");
	CHECK_REFUSED(run, "publisher has version 2 where 1 is signed (5.6.4)");
	kit_done(&run);
	end();
	publisher();
	kit_publish(&kit);
	kit_file(&kit, "1.publisher.json")->answer = ERR_NOT_FOUND;
	kit_run(&kit, &run, NULL, "a");
	CHECK_REFUSED(run, "the repository does not have 1.publisher.json");
	kit_done(&run);
	end();
}

TEST(a_delegated_role_does_not_go_back)
{
	struct kit_targets *p = publisher();

	p->version = 5;
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, "a");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	p->version = 4;
	kit_bump(&kit);
	kit_run(&kit, &run, &store.t, "a");
	CHECK_REFUSED(run, "snapshot lists 'publisher.json' at version 4, older than trusted version 5 (5.5.5)");
	kit_done(&run);
	end();
}

/* A delegation of two keys with this threshold. */
static void delegate_to_two(int threshold)
{
	struct buf *b = &kit.targets.delegations;

	buf_clear(b);
	buf_printf(b, "{\"keys\": {\"%s\": %.*s, ", kit.spare[0].id, SLICE_ARG(buf_slice(&kit.spare[0].object)));
	buf_printf(b, "\"%s\": %.*s}, ", kit.spare[1].id, SLICE_ARG(buf_slice(&kit.spare[1].object)));
	buf_printf(b, "\"roles\": [{\"name\": \"publisher\", \"keyids\": [\"%s\", \"%s\"], \"threshold\": %d, "
		   ALL ", \"terminating\": true}]}",
		   kit.spare[0].id, kit.spare[1].id, threshold);
}

/* CVE-2026-6966: a signature given twice; GHSA-fphv-w9fq-2525: a threshold of nothing. */
TEST(a_delegated_threshold_counts_distinct_keys)
{
	struct kit_targets *p = publisher();

	delegate_to_two(2);
	fails("a", "publisher: signed by 1 of the 2 keys needed (5.6.3)");
	p->by.sign[1] = &kit.spare[0];
	p->by.sign_count = 2;
	fails("a", "two signatures under key id");
	p->by.sign[1] = &kit.spare[2];
	fails("a", "publisher: signed by 1 of the 2 keys needed (5.6.3)");
	p->by.sign[1] = &kit.spare[1];
	finds("a", "publisher");
	delegate_to_two(0);
	fails("a", "threshold");
	delegate_to_two(-1);
	fails("a", "threshold");
	end();
}

/* A failed search leaves the client ready for the next one, and what failed is not stored. */
TEST(a_failed_search_spoils_nothing)
{
	struct kit_targets *p = publisher();

	kit_target(&kit.targets, "top", "content");
	p->by.sign[0] = &kit.spare[5];
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, "a");
	CHECK_REFUSED(run, "publisher: signed by 0");
	CHECK(tuf_client_ready(run.c));
	CHECK_INT(tuf_client_result(run.c, &run.result, &run.err), -1);
	CHECK_INT(run.err.kind, ERR_FAILED);
	kit_lookup(&kit, &run, &store.t, "top");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "publisher"), 0);
	end();
}

/*
 * targets -> A (x), B (y); A -> D by key 2, B -> D by key 3. D is signed by one key alone, or by both: it must
 * verify for the delegator by whom it was reached, from the server, from memory and from the store alike.
 */
static void two_delegators(const struct kit_key *first, const struct kit_key *second)
{
	struct kit_targets *d;

	begin();
	const struct kit_delegation top[] = {{"A", &kit.spare[0], "\"paths\": [\"x\"]", false},
					     {"B", &kit.spare[1], "\"paths\": [\"y\"]", false}};

	kit_delegate(&kit.targets, top, 2);
	kit_delegate_one(role("A", &kit.spare[0], NULL), "D", &kit.spare[2], ALL, false);
	kit_delegate_one(role("B", &kit.spare[1], NULL), "D", &kit.spare[3], ALL, false);
	d = role("D", first, "x");
	kit_target(d, "y", "content");
	if (second != NULL)
		d->by.sign[d->by.sign_count++] = second;
	kit_publish(&kit);
}

TEST(a_role_with_two_delegators_verifies_for_each)
{
	two_delegators(&kit.spare[2], NULL);
	kit_run(&kit, &run, &store.t, "x");
	CHECK_ACCEPTED(run);
	kit_lookup(&kit, &run, &store.t, "y");
	CHECK_REFUSED(run, "D: signed by 0 of the 1 keys needed (5.6.3)");
	kit_lookup(&kit, &run, &store.t, "x");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	kit_run(&kit, &run, &store.t, "y");
	CHECK_REFUSED(run, "D: signed by 0 of the 1 keys needed (5.6.3)");
	kit_done(&run);
	end();
	two_delegators(&kit.spare[2], &kit.spare[3]);
	kit_run(&kit, &run, &store.t, "x");
	CHECK_ACCEPTED(run);
	kit_lookup(&kit, &run, &store.t, "y");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	kit_run(&kit, &run, &store.t, "y");
	CHECK_ACCEPTED(run);
	CHECK_STR(kit.log, "2.root.json timestamp.json ");
	kit_done(&run);
	end();
}

/* A re-delegation with other keys takes hold of what is stored. */
TEST(a_stored_role_must_fit_its_new_delegation)
{
	struct kit_targets *p = publisher();

	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, "a");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	kit_delegate_one(&kit.targets, "publisher", &kit.spare[1], ALL, true);
	kit_bump(&kit);
	kit_run(&kit, &run, &store.t, "a");
	CHECK_REFUSED(run, "publisher: signed by 0");
	kit_done(&run);
	p->by.sign[0] = &kit.spare[1];
	p->version++;
	kit_bump(&kit);
	kit_run(&kit, &run, &store.t, "a");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	end();
}

TEST(many_searches_keep_little)
{
	struct kit_delegation list[KIT_ROLES];
	char names[KIT_ROLES][16], scopes[KIT_ROLES][32];
	unsigned i, round;

	begin();
	for (i = 0; i < KIT_ROLES; i++) {
		snprintf(names[i], sizeof(names[i]), "role-%u", i);
		snprintf(scopes[i], sizeof(scopes[i]), "\"paths\": [\"%u/*\"]", i);
		list[i] = (struct kit_delegation){names[i], &kit.spare[0], scopes[i], true};
		snprintf(names[i], sizeof(names[i]), "%u/x", i);
		kit_target(kit_role(&kit, "", &kit.spare[0]), names[i], "content");
		snprintf(names[i], sizeof(names[i]), "role-%u", i);
		snprintf(kit.roles[i].name, sizeof(kit.roles[i].name), "%s", names[i]);
	}
	kit_delegate(&kit.targets, list, KIT_ROLES);
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	for (round = 0; round < 3; round++)
		for (i = 0; i < KIT_ROLES; i++) {
			char path[16];

			snprintf(path, sizeof(path), "%u/x", i);
			kit_lookup(&kit, &run, &store.t, path);
			CHECK_ACCEPTED(run);
		}
	kit_done(&run);
	end();
}
