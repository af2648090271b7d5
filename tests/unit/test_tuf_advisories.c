/*
 * What went wrong in other TUF clients, each under the number of its advisory. The texts of nine were
 * looked up. That of CVE-2022-29173 was not found: its test follows what is known of it, that versions of roles other
 * than root could go back. Where one concerns a part that does not exist here (CVE-2026-24686: map files), the mistake
 * behind it is tested.
 */
#include "tap.h"

#include <sys/stat.h>

#include "tufkit.h"

static struct kit kit;
static struct kit_store store;
static struct kit_run run;

static void begin(void)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit_target(&kit.targets, "a", "content");
}

/* A role "team" by spare[0] that speaks for all in x/ and lists x/1. */
static struct kit_targets *begin_delegated(void)
{
	struct kit_targets *team;

	begin();
	team = kit_role(&kit, "team", &kit.spare[0]);
	kit_delegate_one(&kit.targets, "team", &kit.spare[0], "\"paths\": [\"x/*\"]", false);
	kit_target(team, "x/1", "one");
	return team;
}

static void end(void)
{
	kit_store_close(&store);
	kit_release(&kit);
}

static void accepted(const char *path)
{
	kit_run(&kit, &run, &store.t, path);
	CHECK_ACCEPTED(run);
	kit_done(&run);
}

static void refused(const char *path, const char *text)
{
	kit_run(&kit, &run, &store.t, path);
	CHECK_REFUSED(run, text);
	kit_done(&run);
}

/* The first signature of a served file, under the key id `as` (NULL: its own), once more at the end of the list. */
static void signature_repeat(const char *path, const char *as)
{
	struct buf *b = &kit_file(&kit, path)->bytes, out = BUF_INIT(2 * KIT_TEXT_MAX);
	const uint8_t *first = memmem(b->ptr, b->len, "{\"keyid\"", 8), *past = NULL, *list_end = NULL;
	struct buf copy = BUF_INIT(2000);

	REQUIRE(first != NULL);
	past = memchr(first, '}', b->len - (size_t)(first - b->ptr));
	list_end = memchr(past, ']', b->len - (size_t)(past - b->ptr));
	REQUIRE(past != NULL && list_end != NULL);
	buf_put(&copy, first, (size_t)(past + 1 - first));
	if (as != NULL) {
		uint8_t *id = memmem(copy.ptr, copy.len, ":\"", 2);

		memcpy(id + 2, as, 64);
	}
	buf_put(&out, b->ptr, (size_t)(list_end - b->ptr));
	buf_put_u8(&out, ',');
	buf_put_slice(&out, buf_slice(&copy));
	buf_put(&out, list_end, b->len - (size_t)(list_end - b->ptr));
	buf_release(b);
	buf_release(&copy);
	*b = out;
}

/* ---- thresholds ---- */

static const struct {
	enum tuf_type type;
	const char *path;
} top_level[] = {{TUF_TIMESTAMP, "timestamp.json"}, {TUF_SNAPSHOT, "1.snapshot.json"}, {TUF_TARGETS, "1.targets.json"}};

/* CVE-2020-6174, python-tuf: one signature, listed many times, was counted many times. */
TEST(ghsa_pwqf_9h7j_7mv8_a_repeated_signature_counts_once)
{
	size_t i;
	int n;

	for (i = 0; i < ARRAY_SIZE(top_level); i++) {
		begin();
		kit.lengths = false;
		kit_signers_set(&kit.by[top_level[i].type], 2, &kit.spare[0], &kit.spare[1], NULL);
		kit.by[top_level[i].type].sign_count = 1;
		kit_publish(&kit);
		for (n = 0; n < 3; n++)
			signature_repeat(top_level[i].path, NULL);
		refused(NULL, "two signatures under key id");
		/* Under other ids that the role lists it is a wrong signature. */
		kit_publish(&kit);
		signature_repeat(top_level[i].path, kit.spare[1].id);
		refused(NULL, "signed by 1 of the 2 keys needed");
		end();
	}
}

/* CVE-2020-15093, tough: the same for a root, where it takes the whole trust. */
TEST(ghsa_5q2r_92f9_4m49_a_root_needs_distinct_signatures)
{
	int n;

	begin();
	kit_signers_set(&kit.by[TUF_ROOT], 2, &kit.root_key, &kit.spare[0], &kit.spare[1]);
	kit_publish(&kit);
	accepted("a");
	kit.version[TUF_ROOT] = 2;
	kit.by[TUF_ROOT].sign_count = 1;
	kit_publish_root(&kit);
	for (n = 0; n < 2; n++)
		signature_repeat("2.root.json", NULL);
	refused(NULL, "two signatures under key id");
	kit_publish_root(&kit);
	signature_repeat("2.root.json", kit.spare[0].id);
	signature_repeat("2.root.json", kit.spare[1].id);
	refused(NULL, "signed by 1 of the 2 keys needed");
	CHECK_INT(kit_stored_version(&store.t, "root"), 1);
	end();
}

/* tough: delegated roles were not covered by the fix of the former. */
TEST(cve_2026_6966_a_delegated_role_needs_distinct_signatures)
{
	struct kit_targets *team = begin_delegated();
	struct buf *d = &kit.targets.delegations;

	kit.lengths = false;
	buf_clear(d);
	buf_printf(d, "{\"keys\": {\"%s\": %s, ", kit.spare[0].id, buf_cstr(&kit.spare[0].object));
	buf_printf(d, "\"%s\": %s}, \"roles\": [{\"name\": \"team\", \"keyids\": [\"%s\", \"%s\"], \"threshold\": 2, "
		   "\"paths\": [\"x/*\"], \"terminating\": false}]}", kit.spare[1].id, buf_cstr(&kit.spare[1].object),
		   kit.spare[0].id, kit.spare[1].id);
	kit_publish(&kit);
	refused("x/1", "signed by 1 of the 2 keys needed");
	signature_repeat("1.team.json", NULL);
	refused("x/1", "two signatures under key id");
	kit_publish(&kit);
	signature_repeat("1.team.json", kit.spare[1].id);
	refused("x/1", "signed by 1 of the 2 keys needed");
	CHECK_INT(kit_stored_version(&store.t, "team"), 0);
	kit_signers_set(&team->by, 2, &kit.spare[0], &kit.spare[1], NULL);
	kit_publish(&kit);
	accepted("x/1");
	end();
}

/* CVE-2026-23992, go-tuf: a delegation with threshold 0 needed no signature at all. */
TEST(ghsa_fphv_w9fq_2525_a_threshold_of_zero_is_refused)
{
	static const char *const thresholds[] = {"0", "-1", "false", "\"1\"", "null"};
	struct kit_targets *team;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(thresholds); i++) {
		team = begin_delegated();
		buf_clear(&kit.targets.delegations);
		buf_printf(&kit.targets.delegations, "{\"keys\": {\"%s\": %s}, \"roles\": [{\"name\": \"team\", "
			   "\"keyids\": [\"%s\"], \"threshold\": %s, \"paths\": [\"x/*\"], \"terminating\": false}]}",
			   kit.spare[0].id, buf_cstr(&kit.spare[0].object), kit.spare[0].id, thresholds[i]);
		team->by.sign_count = 0;
		kit_publish(&kit);
		refused("x/1", "threshold");
		CHECK_INT(kit_stored_version(&store.t, "team"), 0);
		CHECK_INT(kit_stored_version(&store.t, "targets"), 0);
		end();
	}
	for (i = 0; i < TUF_TYPES; i++) {
		begin();
		kit_publish(&kit);
		kit.version[TUF_ROOT] = 2;
		kit.by[i].threshold = 0;
		kit_publish_root(&kit);
		refused("a", "threshold");
		CHECK_INT(kit_stored_version(&store.t, "root"), 1);
		end();
	}
}

/* ---- rollback ---- */

/* go-tuf: only the root's version was compared with the one at hand. */
TEST(cve_2022_29173_no_role_goes_back)
{
	struct kit_targets *team = begin_delegated();
	static const char *const roles[] = {"timestamp", "snapshot", "targets", "team"};
	int64_t *const versions[] = {&kit.version[TUF_TIMESTAMP], &kit.version[TUF_SNAPSHOT], &kit.targets.version,
				     &team->version};
	size_t i, k;

	for (k = 0; k < ARRAY_SIZE(versions); k++)
		*versions[k] = 5;
	kit_publish(&kit);
	accepted("x/1");
	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		/* All else goes forward, so that only this one can be what is refused. */
		for (k = 0; k < ARRAY_SIZE(versions); k++)
			*versions[k] = k == i ? 4 : 6 + (int64_t)i;
		kit_publish_online(&kit);
		refused("x/1", "older than trusted version 5");
		CHECK_INT(kit_stored_version(&store.t, roles[i]), 5);
	}
	for (k = 0; k < ARRAY_SIZE(versions); k++)
		*versions[k] = 20;
	kit_publish_online(&kit);
	accepted("x/1");
	end();
}

/* ---- the order of delegations ---- */

/* CVE-2024-47534, go-tuf: delegations were looked up in the order of a hash table. */
TEST(ghsa_4f8r_qqr9_fq8j_the_first_delegation_that_lists_a_target_wins)
{
	struct kit_delegation list[12];
	char names[ARRAY_SIZE(list)][8];
	size_t first, i;

	for (first = 0; first < ARRAY_SIZE(list); first++) {
		begin();
		for (i = 0; i < ARRAY_SIZE(list); i++) {
			/* Names in an order of their own, which is neither sorted nor reversed. */
			size_t k = (i * 5 + first) % ARRAY_SIZE(list);
			char content[16];

			snprintf(names[i], sizeof(names[i]), "r%02zu", k);
			snprintf(content, sizeof(content), "%0*zu", (int)k + 1, k);
			kit_target(kit_role(&kit, names[i], &kit.spare[0]), "x", content);
			list[i] = (struct kit_delegation){names[i], &kit.spare[0], "\"paths\": [\"*\"]", i % 2 == 1};
		}
		kit_delegate(&kit.targets, list, ARRAY_SIZE(list));
		kit_publish(&kit);
		kit_run(&kit, &run, &store.t, "x");
		CHECK_ACCEPTED(run);
		CHECK_STR(run.result.role, names[0]);
		CHECK_INT(run.result.length, first + 1);
		kit_done(&run);
		end();
	}
}

/* ---- delegated metadata is metadata ---- */

/* tough: expiry, hash and length of delegated metadata were not looked at. */
TEST(cve_2026_6967_delegated_metadata_is_checked_as_top_level_metadata_is)
{
	struct tuf_options options = kit_options();
	struct kit_targets *team = begin_delegated();
	struct buf *b;

	kit_publish(&kit);
	b = &kit_file(&kit, "1.team.json")->bytes;
	b->ptr[b->len - 1] = ' ';
	refused("x/1", "(5.6.2): team: SHA-256 is not the one that is signed");
	kit_publish(&kit);
	kit_file(&kit, "1.team.json")->bytes.len--;
	refused("x/1", "are signed (5.6.2)");
	kit_publish(&kit);
	buf_put_u8(&kit_file(&kit, "1.team.json")->bytes, ' ');
	refused("x/1", "more than");
	team->expires = KIT_PAST;
	kit_bump(&kit);
	refused("x/1", "team version 1 expired");
	CHECK_INT(kit_stored_version(&store.t, "team"), 0);
	/* Nor is a stored one good beyond its end. */
	team->expires = "2027-01-16T08:00:00Z";
	team->version = 2;
	kit_bump(&kit);
	accepted("x/1");
	options.clock_s = KIT_NOW + 2 * 86400;
	kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "1.root.json")->bytes), &store.t, &options, "x/1");
	CHECK_REFUSED(run, "team version 2 expired");
	kit_done(&run);
	/* And under another version than the snapshot lists. */
	team->expires = KIT_EXPIRES;
	kit.lengths = false;
	team->version = 3;
	kit_bump(&kit);
	team->version = 4;
	b = &kit_file(&kit, "3.team.json")->bytes;
	buf_clear(b);
	buf_put_slice(b, buf_slice(&kit_publish_targets(&kit, team)->bytes));
	refused("x/1", "team has version 4 where 3 is signed (5.6.4)");
	CHECK_INT(kit_stored_version(&store.t, "team"), 2);
	end();
}

/* ---- names that would be paths ---- */

/* As JSON has them, and as they are. */
static const struct {
	const char *json, *name;
} hostile_names[] = {
	{"../evil", "../evil"}, {"../../../../tmp/evil", "../../../../tmp/evil"}, {"/tmp/evil", "/tmp/evil"}, {"..", ".."}, {".", "."},
	{"a/../../evil", "a/../../evil"}, {"a/b", "a/b"}, {"..\\\\evil", "..\\evil"}, {"~/evil", "~/evil"}, {"a//b", "a//b"},
	{"%2e%2e%2fevil", "%2e%2e%2fevil"}, {"evil\\u002f..", "evil/.."}, {"\\u002e\\u002e\\u002fevil", "../evil"},
};

static unsigned entries(const char *dir)
{
	char command[200];
	unsigned n = 0;
	FILE *f;

	snprintf(command, sizeof(command), "ls -A '%s' | wc -l", dir);
	f = popen(command, "r");
	REQUIRE(f != NULL && fscanf(f, "%u", &n) == 1);
	pclose(f);
	return n;
}

/* The repository with one role of that name, which lists "t"; the snapshot has it in its JSON form. */
static void publish_named(const char *json, const char *name)
{
	struct buf body = BUF_INIT(KIT_TEXT_MAX);
	struct kit_file *f;

	kit_target(kit_role(&kit, name, &kit.spare[0]), "t", "content");
	kit_delegate_one(&kit.targets, json, &kit.spare[0], "\"paths\": [\"*\"]", false);
	kit_publish_root(&kit);
	kit_publish_targets(&kit, &kit.targets);
	kit_publish_targets(&kit, &kit.roles[0]);
	kit_put_head(&body, "snapshot", 1, KIT_EXPIRES);
	buf_printf(&body, ", \"meta\": {\"targets.json\": {\"version\": 1}, \"%s.json\": {\"version\": 1}}}", json);
	f = kit_versioned(&kit, "snapshot", 1);
	kit_sign(&f->bytes, &body, &kit.by[TUF_SNAPSHOT]);
	kit_publish_timestamp(&kit, f);
	buf_release(&body);
}

/* CVE-2021-41131, python-tuf: the name of a delegated role was joined to the metadata directory. */
TEST(ghsa_wjw6_2cqr_j4qr_a_role_name_is_no_path)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(hostile_names); i++) {
		char outer[80], inner[100];
		struct error err = ERROR_INIT;
		struct trusted t = TRUSTED_INIT;

		begin();
		snprintf(outer, sizeof(outer), "%s/outer", store.dir);
		snprintf(inner, sizeof(inner), "%s/inner", outer);
		REQUIRE(trusted_open(&t, AT_FDCWD, inner, &err) == 0);
		publish_named(hostile_names[i].json, hostile_names[i].name);
		kit_run(&kit, &run, &t, "t");
		CHECK_ACCEPTED(run);
		CHECK_STR(run.result.role, hostile_names[i].name);
		kit_done(&run);
		CHECK_INT(kit_stored_version(&t, hostile_names[i].name), 1);
		/* root, timestamp, snapshot, targets, the role, lock and next: all of it inside, nothing beside. */
		CHECK_INT(entries(inner), 7);
		CHECK_INT(entries(outer), 1);
		trusted_close(&t);
		end();
	}
}

/*
 * go-tuf: the name of a repository in a map file was joined to a path. There are no map files here; whatever name comes
 * from outside, the file it is kept in is one plain name, and another one for every other name.
 */
TEST(cve_2026_24686_names_from_outside_become_plain_and_distinct_file_names)
{
	static const char *const names[] = {
		"a", "A", "a/", "/a", "a/b", "a%2Fb", "a%2fb", "..", "../a", "...", ".", "", " ", "a ", "a\n", "a.json", "%", "%25", "\xc3\xa9",
		"\xff", "next", "lock", "commit", "floor", "a:b", "a\\b", "a?b", "a*b", "~", "-rf",
	};
	struct buf made[ARRAY_SIZE(names)];
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		const char *at;

		made[i] = BUF_INIT(256);
		trusted_filename(&made[i], names[i]);
		at = buf_cstr(&made[i]);
		CHECK(!made[i].failed && made[i].len <= 255);
		CHECK(at[strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~-%")] == '\0');
		CHECK(made[i].len > 4 && strcmp(at + made[i].len - 5, ".json") == 0);
		for (k = 0; k < i; k++)
			CHECK(!slice_equal(buf_slice(&made[i]), buf_slice(&made[k])));
	}
	for (i = 0; i < ARRAY_SIZE(names); i++)
		buf_release(&made[i]);
	/* Long names are told apart by their hash, and no short name can look like one. */
	char longest[TUF_ROLE_NAME_MAX + 1], other[TUF_ROLE_NAME_MAX + 1];
	struct buf one = BUF_INIT(256), two = BUF_INIT(256);

	memset(longest, '/', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memcpy(other, longest, sizeof(other));
	other[sizeof(other) - 2] = '.';
	trusted_filename(&one, longest);
	trusted_filename(&two, other);
	CHECK(!one.failed && !two.failed && !slice_equal(buf_slice(&one), buf_slice(&two)));
	buf_release(&two);
	two = BUF_INIT(256);
	one.ptr[one.len - 5] = '\0';
	trusted_filename(&two, (const char *)one.ptr);
	one.ptr[one.len - 5] = '.';
	CHECK(!slice_equal(buf_slice(&one), buf_slice(&two)));
	buf_release(&one);
	buf_release(&two);
}

/* tough: absolute target names, symbolic links on the way, and a symbolic link in the place of a metadata file. */
TEST(cve_2026_6968_nothing_is_written_through_a_link_or_an_absolute_name)
{
	static const char *const paths[] = {"/etc/passwd", "../x", "a/../../x", "./x", "a//x", "", ".", "..", "a/"};
	char outside[80], inside[120], command[300];
	struct error err = ERROR_INIT;
	struct stat st;
	size_t i;

	begin();
	kit_publish(&kit);
	accepted("a");
	snprintf(outside, sizeof(outside), "%s/outside", store.dir);
	snprintf(command, sizeof(command), "mkdir %s && echo precious >%s/file", outside, outside);
	REQUIRE(system(command) == 0);
	/* A link in the place of each stored file. */
	for (i = 0; i < ARRAY_SIZE(top_level); i++) {
		snprintf(inside, sizeof(inside), "%s/%s", store.dir, strchr(top_level[i].path, '.') == top_level[i].path + 1
			 ? top_level[i].path + 2 : top_level[i].path);
		REQUIRE(unlink(inside) == 0);
		snprintf(command, sizeof(command), "%s/file", outside);
		REQUIRE(symlink(command, inside) == 0);
		kit_bump(&kit);
		accepted("a");
		CHECK(lstat(inside, &st) == 0 && S_ISREG(st.st_mode));
		CHECK(stat(command, &st) == 0 && st.st_size == 9);
	}
	/* A link in the place of the staging directory: nothing is cleared or staged through it. */
	trusted_close(&store.t);
	snprintf(inside, sizeof(inside), "%s/next", store.dir);
	REQUIRE(rmdir(inside) == 0 && symlink(outside, inside) == 0);
	CHECK_INT(trusted_open(&store.t, AT_FDCWD, store.dir, &err), -1);
	CHECK_INT(entries(outside), 1);
	REQUIRE(unlink(inside) == 0);
	REQUIRE(trusted_open(&store.t, AT_FDCWD, store.dir, &err) == 0);
	/* Target names that are no relative paths cannot even be asked for. */
	kit_run(&kit, &run, &store.t, NULL);
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		CHECK_INT(kit_lookup(&kit, &run, &store.t, paths[i]), -1);
		CHECK_INT(run.err.kind, ERR_USAGE);
	}
	kit_done(&run);
	end();
}
