/* The client workflow when all is well: which files are asked for, what is stored, time and its floor. */
#include "tap.h"

#include "tufkit.h"

static struct kit kit;
static struct kit_store store;
static struct kit_run run;

TEST(a_first_refresh_asks_for_four_files)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit_target(&kit.targets, "a/b/1", "content");
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	CHECK(tuf_client_ready(run.c));
	CHECK_STR(kit.log, "2.root.json timestamp.json 1.snapshot.json 1.targets.json ");
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "root"), 1);
	CHECK_INT(kit_stored_version(&store.t, "timestamp"), 1);
	CHECK_INT(kit_stored_version(&store.t, "snapshot"), 1);
	CHECK_INT(kit_stored_version(&store.t, "targets"), 1);
	kit_store_close(&store);
	kit_release(&kit);
}

TEST(a_refresh_with_nothing_new_asks_for_two)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit_target(&kit.targets, "a/b/1", "content");
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	kit_done(&run);
	kit_run(&kit, &run, &store.t, "a/b/1");
	CHECK_ACCEPTED(run);
	CHECK_STR(kit.log, "2.root.json timestamp.json ");
	CHECK_INT(run.result.length, 7);
	kit_done(&run);
	kit_store_close(&store);
	kit_release(&kit);
}

TEST(without_consistent_snapshots_names_carry_no_version)
{
	struct buf path = BUF_INIT(1000);

	kit_init(&kit);
	kit.consistent = false;
	kit_target(&kit.targets, "a/b c/1", "content");
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, "a/b c/1");
	CHECK_ACCEPTED(run);
	CHECK_STR(kit.log, "2.root.json timestamp.json snapshot.json targets.json ");
	tuf_result_put_path(&path, &run.result);
	CHECK_STR(buf_cstr(&path), "a/b%20c/1");
	buf_release(&path);
	kit_done(&run);
	kit_release(&kit);
}

TEST(a_target_has_its_hash_before_its_file_name)
{
	struct buf path = BUF_INIT(1000);

	kit_init(&kit);
	kit_target(&kit.targets, "a/b/1", "content");
	kit_target(&kit.targets, "top", "content");
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, "a/b/1");
	CHECK_ACCEPTED(run);
	tuf_result_put_path(&path, &run.result);
	CHECK_STR(buf_cstr(&path), "a/b/ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73.1");
	buf_clear(&path);
	kit_lookup(&kit, &run, NULL, "top");
	CHECK_ACCEPTED(run);
	tuf_result_put_path(&path, &run.result);
	CHECK_STR(buf_cstr(&path), "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73.top");
	CHECK_STR(run.result.role, "targets");
	kit_lookup(&kit, &run, NULL, "absent");
	CHECK_REFUSED(run, "no role that may speak for target 'absent' lists it");
	CHECK_INT(run.err.kind, ERR_NOT_FOUND);
	kit_lookup(&kit, &run, NULL, "../top");
	CHECK_INT(run.err.kind, ERR_USAGE);
	kit_lookup(&kit, &run, NULL, "top");
	CHECK_ACCEPTED(run);
	buf_release(&path);
	kit_done(&run);
	kit_release(&kit);
}

TEST(custom_comes_as_it_was_signed)
{
	kit_init(&kit);
	buf_put_str(&kit.targets.targets,
		    "\"x/y/1\": {\"length\": 1, \"hashes\": {\"sha512\": \""
		    "00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
		    "000000000000000000000000\"}, \"custom\": {\"meshanics\":  {\"kind\": \"file\"}}}");
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, "x/y/1");
	CHECK_ACCEPTED(run);
	CHECK(slice_equal_str(run.result.custom, "{\"meshanics\":  {\"kind\": \"file\"}}"));
	CHECK(run.result.hashes.has_sha512 && !run.result.hashes.has_sha256);
	kit_done(&run);
	kit_release(&kit);
}

TEST(p256_keys_sign_every_role)
{
	struct kit_key p256;

	kit_init(&kit);
	kit_key_init(&p256, KEY_ECDSA_P256);
	for (unsigned i = 0; i < TUF_TYPES; i++)
		kit_signers_set(&kit.by[i], 1, &p256, NULL, NULL);
	kit_target(&kit.targets, "a", "content");
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, "a");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	kit_key_release(&p256);
	kit_release(&kit);
}

/* n.root.json signed by the former root's keys as well. */
static void next_root(const struct kit_key *also)
{
	struct kit_signers *by = &kit.by[TUF_ROOT];

	kit.version[TUF_ROOT]++;
	if (also != NULL)
		by->sign[by->sign_count++] = also;
	kit_publish_root(&kit);
	if (also != NULL)
		by->sign_count--;
}

TEST(the_root_chain_is_walked_one_by_one)
{
	const struct slice *chain;

	kit_init(&kit);
	kit_store_open(&store);
	kit_publish(&kit);
	next_root(NULL);
	kit_signers_set(&kit.by[TUF_ROOT], 1, &kit.spare[0], NULL, NULL);
	next_root(&kit.root_key);
	kit_publish_online(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	CHECK_STR(kit.log, "2.root.json 3.root.json 4.root.json timestamp.json 1.snapshot.json 1.targets.json ");
	CHECK_INT(tuf_client_chain(run.c, &chain), 2);
	CHECK(slice_equal(chain[1], buf_slice(&kit_file(&kit, "3.root.json")->bytes)));
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "root"), 3);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_STR(kit.log, "4.root.json timestamp.json ");
	kit_done(&run);
	kit_store_close(&store);
	kit_release(&kit);
}

TEST(a_root_on_the_way_may_be_expired_but_not_the_last)
{
	kit_init(&kit);
	kit_publish(&kit);
	kit.expires[TUF_ROOT] = KIT_PAST;
	next_root(NULL);
	kit_run(&kit, &run, NULL, NULL);
	CHECK_REFUSED(run, "root version 2 expired at 2027-01-15T08:00:00Z");
	CHECK_REFUSED(run, "(5.3.10)");
	CHECK_STR(kit.log, "2.root.json 3.root.json ");
	kit_done(&run);
	kit.expires[TUF_ROOT] = KIT_EXPIRES;
	next_root(NULL);
	kit_run(&kit, &run, NULL, NULL);
	CHECK_ACCEPTED(run);
	kit_done(&run);
	kit_release(&kit);
}

TEST(at_most_256_roots_in_one_update)
{
	unsigned i;

	kit_init(&kit);
	kit_store_open(&store);
	kit_publish(&kit);
	for (i = 0; i < 258; i++)
		next_root(NULL);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_root(run.c)->head.version, 257);
	CHECK(strstr(kit.log, " 258.root.json") == NULL);
	kit_done(&run);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_root(run.c)->head.version, 259);
	kit_done(&run);
	kit_store_close(&store);
	kit_release(&kit);
}

TEST(new_content_is_fetched_and_old_kept_out)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	kit_done(&run);
	kit_target(&kit.targets, "new", "content");
	kit_bump(&kit);
	kit_run(&kit, &run, &store.t, "new");
	CHECK_ACCEPTED(run);
	CHECK_STR(kit.log, "2.root.json timestamp.json 2.snapshot.json 2.targets.json ");
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "targets"), 2);
	kit_store_close(&store);
	kit_release(&kit);
}

/* Bytes are kept as received: white space after the end is part of the file, and of its signed length. */
TEST(files_are_stored_byte_for_byte)
{
	struct buf stored = BUF_INIT(KIT_TEXT_MAX);
	struct error err = ERROR_INIT;

	kit_init(&kit);
	kit_store_open(&store);
	kit_publish(&kit);
	buf_put_str(&kit_file(&kit, "timestamp.json")->bytes, " \n ");
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	kit_done(&run);
	CHECK_INT(trusted_read(&store.t, "timestamp", &stored, &err), 0);
	CHECK(slice_equal(buf_slice(&stored), buf_slice(&kit_file(&kit, "timestamp.json")->bytes)));
	buf_release(&stored);
	kit_store_close(&store);
	kit_release(&kit);
}

static void damage(const char *role, const char *text)
{
	const struct tuf_change change = {role, slice_str(text), 1};
	struct error err = ERROR_INIT;

	REQUIRE(trusted_commit(&store.t, &change, 1, -1, &err) == 0);
}

TEST(a_damaged_store_heals)
{
	static const char *const roles[] = {"root", "timestamp", "snapshot", "targets"};
	static const char *const texts[] = {"", "{", "{\"signed\": {}, \"signatures\": []}", "\xff\xff"};
	size_t i, j;

	kit_init(&kit);
	kit_store_open(&store);
	kit_target(&kit.targets, "a", "content");
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	kit_done(&run);
	for (i = 0; i < ARRAY_SIZE(roles); i++)
		for (j = 0; j < ARRAY_SIZE(texts); j++) {
			damage(roles[i], texts[j]);
			kit_run(&kit, &run, &store.t, "a");
			CHECK_ACCEPTED(run);
			kit_done(&run);
			CHECK_INT(kit_stored_version(&store.t, roles[i]), 1);
		}
	kit_store_close(&store);
	kit_release(&kit);
}

TEST(a_stored_root_of_a_stranger_is_not_followed)
{
	struct kit other;
	struct buf text = BUF_INIT(KIT_TEXT_MAX);

	kit_init(&kit);
	kit_init(&other);
	kit_store_open(&store);
	kit_publish(&kit);
	other.version[TUF_ROOT] = 5;
	other.extra[TUF_ROOT] = ", \"x-meshanics\": {\"site\": \"depot-7\"}";
	buf_put_slice(&text, buf_slice(&kit_publish_root(&other)->bytes));
	damage("root", buf_cstr(&text));
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_root(run.c)->head.version, 1);
	kit_done(&run);
	buf_release(&text);
	kit_store_close(&store);
	kit_release(&other);
	kit_release(&kit);
}

/* ---- time ---- */

TEST(signed_time_raises_the_floor)
{
	struct tuf_options options = kit_options();
	int64_t floor_s;

	kit_init(&kit);
	kit_store_open(&store);
	kit.extra[TUF_TIMESTAMP] = ", \"x-meshanics-signed-at\": \"2027-01-15T07:59:00Z\"";
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_floor(run.c), KIT_NOW - 60);
	CHECK_INT(tuf_client_time(run.c), KIT_NOW);
	kit_done(&run);
	CHECK_INT(trusted_floor(&store.t, &floor_s, &run.err), 0);
	CHECK_INT(floor_s, KIT_NOW - 60);
	/* The clock has lost its battery. */
	options.clock_s = 0;
	options.floor_s = floor_s;
	kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "1.root.json")->bytes), &store.t, &options, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_time(run.c), KIT_NOW - 60);
	kit_done(&run);
	options.floor_s = 0;
	options.build_s = KIT_NOW + 5;
	kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "1.root.json")->bytes), NULL, &options, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_time(run.c), KIT_NOW + 5);
	kit_done(&run);
	kit_store_close(&store);
	kit_release(&kit);
}

/* A clock of 2040 makes the device try again, and leaves no trace. */
TEST(a_clock_ahead_is_survived)
{
	struct tuf_options options = kit_options();
	struct slice anchor;

	kit_init(&kit);
	kit_store_open(&store);
	kit.extra[TUF_TIMESTAMP] = ", \"x-meshanics-signed-at\": \"2027-01-15T07:59:00Z\"";
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	kit_done(&run);
	anchor = buf_slice(&kit_file(&kit, "1.root.json")->bytes);
	options.clock_s = INT64_C(2208988800);
	options.floor_s = KIT_NOW - 60;
	kit_run_with(&kit, &run, anchor, &store.t, &options, NULL);
	CHECK_REFUSED(run, "and it is 2040-01-01T00:00:00Z");
	CHECK_INT(run.err.kind, ERR_RETRY);
	CHECK_INT(tuf_client_floor(run.c), KIT_NOW - 60);
	kit_done(&run);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	kit_done(&run);
	/* Signed time and build time do not lie: then it is a refusal. */
	options.clock_s = KIT_NOW;
	options.build_s = INT64_C(2208988800);
	kit_run_with(&kit, &run, anchor, &store.t, &options, NULL);
	CHECK_REFUSED(run, "root version 1 expired");
	CHECK_INT(run.err.kind, ERR_REFUSED);
	kit_done(&run);
	options.build_s = 0;
	options.floor_s = INT64_C(2208988800);
	kit_run_with(&kit, &run, anchor, &store.t, &options, NULL);
	CHECK_INT(run.err.kind, ERR_REFUSED);
	kit_done(&run);
	kit_store_close(&store);
	kit_release(&kit);
}

/* A clock of 1970 believes the signed time at once: an old snapshot is refused in the same update. */
TEST(the_floor_counts_in_the_update_that_raises_it)
{
	struct tuf_options options = kit_options();

	kit_init(&kit);
	kit.extra[TUF_TIMESTAMP] = ", \"x-meshanics-signed-at\": \"2027-01-15T08:00:00Z\"";
	kit.expires[TUF_SNAPSHOT] = KIT_PAST;
	kit_publish(&kit);
	options.clock_s = 0;
	kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "1.root.json")->bytes), NULL, &options, NULL);
	CHECK_REFUSED(run, "snapshot version 1 expired");
	kit_done(&run);
	options.no_floor = true;
	kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "1.root.json")->bytes), NULL, &options, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_floor(run.c), -1);
	CHECK_INT(tuf_client_time(run.c), 0);
	kit_done(&run);
	kit_release(&kit);
}

TEST(the_floor_stays_below_the_roots_end)
{
	kit_init(&kit);
	kit.expires[TUF_ROOT] = "2027-01-20T00:00:00Z";
	kit.expires[TUF_TIMESTAMP] = "9999-12-31T23:59:59Z";
	kit.extra[TUF_TIMESTAMP] = ", \"x-meshanics-signed-at\": \"9999-12-31T23:59:59Z\"";
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_floor(run.c), INT64_C(1800403200));
	kit_done(&run);
	kit_release(&kit);
}

/* Whoever stole the timestamp key pushed the floor to the root's end; the root that retires the key frees the device. */
TEST(a_root_with_new_timestamp_keys_drops_the_floor)
{
	struct tuf_options options = kit_options();
	struct slice anchor;

	kit_init(&kit);
	kit_publish(&kit);
	options.floor_s = INT64_C(1802678400); /* KIT_EXPIRES */
	anchor = buf_slice(&kit_file(&kit, "1.root.json")->bytes);
	kit_run_with(&kit, &run, anchor, NULL, &options, NULL);
	CHECK_REFUSED(run, "root version 1 expired");
	kit_done(&run);
	next_root(NULL);
	kit_run_with(&kit, &run, anchor, NULL, &options, NULL);
	CHECK_REFUSED(run, "root version 2 expired");
	kit_done(&run);
	kit_signers_set(&kit.by[TUF_TIMESTAMP], 1, &kit.spare[0], NULL, NULL);
	next_root(NULL);
	kit_publish_online(&kit);
	kit_run_with(&kit, &run, anchor, NULL, &options, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_floor(run.c), 0);
	CHECK_INT(tuf_client_time(run.c), KIT_NOW);
	kit_done(&run);
	kit_release(&kit);
}

/* ---- recovery ---- */

TEST(new_online_keys_recover_from_a_fast_forward)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit.version[TUF_TIMESTAMP] = kit.version[TUF_SNAPSHOT] = TUF_VERSION_MAX;
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	kit_done(&run);
	kit.version[TUF_TIMESTAMP] = kit.version[TUF_SNAPSHOT] = 2;
	kit_publish_online(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_REFUSED(run, "(5.4.3.1)");
	kit_done(&run);
	/* One key more for the snapshot is a change of its keys, though the old one still signs. */
	kit_signers_set(&kit.by[TUF_SNAPSHOT], 1, &kit.snapshot_key, &kit.spare[0], NULL);
	next_root(NULL);
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_timestamp(run.c)->head.version, 2);
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "timestamp"), 2);
	CHECK_INT(kit_stored_version(&store.t, "snapshot"), 2);
	kit_store_close(&store);
	kit_release(&kit);
}

/* The removal holds even when the new timestamp does not arrive (5.3.11). */
TEST(rotated_online_keys_remove_what_they_signed)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	kit_done(&run);
	kit_signers_set(&kit.by[TUF_TIMESTAMP], 1, &kit.spare[0], NULL, NULL);
	next_root(NULL);
	kit_file(&kit, "timestamp.json")->answer = ERR_RETRY;
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_REFUSED(run, "cannot get timestamp.json: connection reset");
	CHECK_INT(run.err.kind, ERR_RETRY);
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "root"), 2);
	CHECK_INT(kit_stored_version(&store.t, "timestamp"), 0);
	CHECK_INT(kit_stored_version(&store.t, "snapshot"), 0);
	CHECK_INT(kit_stored_version(&store.t, "targets"), 1);
	kit_store_close(&store);
	kit_release(&kit);
}

/* What was verified before a failure is kept, and the next update goes on from there. */
TEST(progress_before_a_failure_is_stored)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	kit_done(&run);
	next_root(NULL);
	kit_bump(&kit);
	kit_file(&kit, "2.targets.json")->answer = ERR_RETRY;
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_REFUSED(run, "connection reset");
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "root"), 2);
	CHECK_INT(kit_stored_version(&store.t, "timestamp"), 2);
	CHECK_INT(kit_stored_version(&store.t, "snapshot"), 2);
	CHECK_INT(kit_stored_version(&store.t, "targets"), 1);
	kit_file(&kit, "2.targets.json")->answer = ERR_NONE;
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_ACCEPTED(run);
	CHECK_STR(kit.log, "3.root.json timestamp.json 2.targets.json ");
	kit_done(&run);
	kit_store_close(&store);
	kit_release(&kit);
}

/* An anchor that came with a newer program takes the place of an older stored root. */
TEST(a_newer_anchor_replaces_an_older_stored_root)
{
	struct tuf_options options = kit_options();

	kit_init(&kit);
	kit_store_open(&store);
	kit_publish(&kit);
	kit_run(&kit, &run, &store.t, NULL);
	kit_done(&run);
	next_root(NULL);
	next_root(NULL);
	kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "3.root.json")->bytes), &store.t, &options, NULL);
	CHECK_ACCEPTED(run);
	CHECK_STR(kit.log, "4.root.json timestamp.json ");
	kit_done(&run);
	CHECK_INT(kit_stored_version(&store.t, "root"), 3);
	kit_store_close(&store);
	kit_release(&kit);
}

/* ---- blobs: the supervisor's view ---- */

TEST(blobs_repeat_the_whole_workflow)
{
	struct tuf_options options = kit_options();
	struct tuf_blob blobs[KIT_FILES];
	struct error err = ERROR_INIT;
	struct tuf_result result;
	struct tuf_client *c;
	struct slice anchor;
	unsigned i;

	kit_init(&kit);
	kit_store_open(&store);
	kit_target(kit_role(&kit, "publisher", &kit.spare[0]), "plant/plc/1", "content");
	kit_delegate_one(&kit.targets, "publisher", &kit.spare[0], "\"paths\": [\"plant/*/*\"]", true);
	kit_publish(&kit);
	anchor = buf_slice(&kit_file(&kit, "1.root.json")->bytes);
	for (i = 0; i < kit.file_count; i++)
		blobs[i] = (struct tuf_blob){slice_str(kit.files[i].path), buf_slice(&kit.files[i].bytes)};
	CHECK_INT(tuf_verify_offline(anchor, &options, &store.t, blobs, i, SLICE_LIT("plant/plc/1"), &c, &err), 0);
	CHECK_INT(tuf_client_result(c, &result, &err), 0);
	CHECK_STR(result.role, "publisher");
	CHECK_INT(kit_stored_version(&store.t, "root"), 0);
	CHECK_INT(trusted_commit_client(&store.t, c, &err), 0);
	CHECK_INT(kit_stored_version(&store.t, "publisher"), 1);
	tuf_client_free(c);
	/* Withheld: the last blob is the timestamp, the first the root. */
	CHECK_INT(tuf_verify_offline(anchor, &options, NULL, blobs, i - 1, SLICE_EMPTY, &c, &err), -1);
	CHECK(strstr(err.text, "the repository does not have timestamp.json") != NULL);
	tuf_client_free(c);
	CHECK_INT(tuf_verify_offline(SLICE_LIT("{}"), &options, NULL, blobs, i, SLICE_EMPTY, &c, &err), -1);
	CHECK(c == NULL);
	CHECK_INT(tuf_verify_offline(anchor, &options, NULL, blobs, i, SLICE_LIT("plant/plc/2"), &c, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	tuf_client_free(c);
	kit_store_close(&store);
	kit_release(&kit);
}

/* ---- misuse ---- */

TEST(answers_that_nobody_asked_for)
{
	struct buf bytes = BUF_INIT(10);

	kit_init(&kit);
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, NULL);
	CHECK_ACCEPTED(run);
	buf_put_str(&bytes, "x");
	CHECK_INT(tuf_client_feed(run.c, &bytes, &run.err), -1);
	CHECK_INT(bytes.len, 0);
	CHECK_INT(tuf_client_absent(run.c, &run.err), -1);
	CHECK_INT(tuf_client_fail(run.c, &run.err, &run.err), -1);
	CHECK(tuf_client_ready(run.c));
	kit_done(&run);
	tuf_client_free(NULL);
	kit_release(&kit);
}

TEST(a_failed_client_wants_nothing)
{
	kit_init(&kit);
	kit_publish(&kit);
	kit_file(&kit, "timestamp.json")->answer = ERR_RETRY;
	kit_run(&kit, &run, NULL, NULL);
	CHECK_INT(run.r, -1);
	CHECK(!tuf_client_ready(run.c));
	CHECK(tuf_client_want(run.c) == NULL);
	CHECK_INT(tuf_client_lookup(run.c, SLICE_LIT("a"), &run.err), -1);
	kit_done(&run);
	kit_release(&kit);
}
