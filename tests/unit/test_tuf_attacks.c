/* What a server, a mirror or a thief of some keys may try. Each test breaks one thing, and names the clause. */
#include "tap.h"

#include "tufkit.h"

static struct kit kit;
static struct kit_store store;
static struct kit_run run;

static void begin(void)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit_target(&kit.targets, "a", "content");
	kit_publish(&kit);
}

static void end(void)
{
	kit_store_close(&store);
	kit_release(&kit);
}

/* A run that must fail, saying so. */
static void refused(const char *text)
{
	kit_run(&kit, &run, &store.t, NULL);
	CHECK_REFUSED(run, text);
	kit_done(&run);
}

/* The same for a client that has seen nothing yet. */
static void refused_afresh(const char *text)
{
	kit_run(&kit, &run, NULL, NULL);
	CHECK_REFUSED(run, text);
	kit_done(&run);
}

static void accepted(void)
{
	kit_run(&kit, &run, &store.t, "a");
	CHECK_ACCEPTED(run);
	kit_done(&run);
}

/* ---- signatures ---- */

static void anchor_refused(const char *text)
{
	kit_publish_root(&kit);
	refused(text);
	CHECK_STR(kit.log, "");
}

TEST(an_anchor_that_does_not_sign_itself_is_refused_before_any_request)
{
	begin();
	kit.by[TUF_ROOT].sign[0] = &kit.spare[0];
	anchor_refused("signed by 0 of the 1 keys needed");
	kit.by[TUF_ROOT].sign_count = 0;
	anchor_refused("signed by 0 of the 1 keys needed");
	kit_signers_set(&kit.by[TUF_ROOT], 2, &kit.root_key, NULL, NULL);
	anchor_refused("signed by 1 of the 2 keys needed");
	end();
}

/* Too few, by the wrong key, by one key twice: for every role below root. */
TEST(each_role_needs_its_threshold_of_its_keys)
{
	static const struct {
		enum tuf_type type;
		const char *clause;
	} roles[] = {{TUF_TIMESTAMP, "(5.4.2)"}, {TUF_SNAPSHOT, "(5.5.3)"}, {TUF_TARGETS, "(5.6.3)"}};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		struct kit_signers *by;

		begin();
		by = &kit.by[roles[i].type];
		kit_signers_set(by, 2, &kit.spare[0], &kit.spare[1], &kit.spare[2]);
		by->sign_count = 1;
		kit_publish(&kit);
		refused_afresh("signed by 1 of the 2 keys needed");
		refused_afresh(roles[i].clause);
		by->sign[1] = &kit.spare[3];
		by->sign_count = 2;
		kit_publish(&kit);
		refused_afresh("signed by 1 of the 2 keys needed");
		by->sign_count = 0;
		kit_publish(&kit);
		refused_afresh("signed by 0 of the 2 keys needed");
		by->sign[0] = &kit.spare[2];
		by->sign[1] = &kit.spare[0];
		by->sign_count = 2;
		kit_publish(&kit);
		accepted();
		end();
	}
}

/* The keys of one online role sign another's file. */
TEST(a_role_does_not_speak_for_another)
{
	unsigned i, j;

	for (i = TUF_TIMESTAMP; i < TUF_TYPES; i++)
		for (j = 0; j < TUF_TYPES; j++) {
			if (i == j)
				continue;
			begin();
			kit.by[i].sign[0] = kit.by[j].keys[0];
			kit_publish_online(&kit);
			refused("signed by 0 of the 1 keys needed");
			end();
		}
}

TEST(a_file_of_another_type_is_refused)
{
	static const char *const from[] = {"1.targets.json", "1.snapshot.json", "1.root.json"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(from); i++) {
		begin();
		/* All roles by one key, so that only the type is wrong. */
		for (unsigned j = 0; j < TUF_TYPES; j++)
			kit_signers_set(&kit.by[j], 1, &kit.root_key, NULL, NULL);
		kit_publish(&kit);
		buf_clear(&kit_file(&kit, "timestamp.json")->bytes);
		buf_put_slice(&kit_file(&kit, "timestamp.json")->bytes, buf_slice(&kit_file(&kit, from[i])->bytes));
		refused("not 'timestamp'");
		end();
	}
}

/* GHSA-pwqf-9h7j-7mv8, and one public key under two ids (with an unknown field in the second object). */
TEST(one_public_key_under_two_ids_counts_once)
{
	struct kit_key twin;
	uint8_t hash[SHA256_LEN];
	struct buf canonical = BUF_INIT(1000), hex = BUF_INIT(200);

	begin();
	twin = kit.timestamp_key;
	twin.object = BUF_INIT(1000);
	for (size_t i = 0; i < seckey_public(twin.sec)->len; i++)
		buf_printf(&hex, "%02x", seckey_public(twin.sec)->data[i]);
	buf_printf(&canonical, "{\"keytype\":\"ed25519\",\"keyval\":{\"public\":\"%s\"},\"scheme\":\"ed25519\",\"x\":1}",
		   buf_cstr(&hex));
	sha256_of(buf_slice(&canonical), hash);
	hex_encode(twin.id, hash, sizeof(hash));
	buf_put_slice(&twin.object, buf_slice(&canonical));
	kit_signers_set(&kit.by[TUF_TIMESTAMP], 2, &kit.timestamp_key, &twin, NULL);
	kit_publish(&kit);
	refused("signed by 1 of the 2 keys needed");
	kit_signers_set(&kit.by[TUF_TIMESTAMP], 2, &kit.timestamp_key, &twin, &kit.spare[0]);
	kit_publish(&kit);
	accepted();
	buf_release(&canonical);
	buf_release(&hex);
	buf_release(&twin.object);
	end();
}

/* Replace the first `from` in a served file. */
static void alter(const char *path, const char *from, const char *to)
{
	struct buf *b = &kit_file(&kit, path)->bytes, out = BUF_INIT(KIT_TEXT_MAX);
	const uint8_t *at = memmem(b->ptr, b->len, from, strlen(from));

	REQUIRE(at != NULL);
	buf_put(&out, b->ptr, (size_t)(at - b->ptr));
	buf_put_str(&out, to);
	buf_put(&out, at + strlen(from), b->len - (size_t)(at - b->ptr) - strlen(from));
	buf_release(b);
	*b = out;
	b->max = 2 * KIT_TEXT_MAX;
}

TEST(a_changed_byte_is_found_in_every_file)
{
	static const char *const paths[] = {"timestamp.json", "1.snapshot.json", "1.targets.json"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		begin();
		kit.lengths = false;
		kit_publish(&kit);
		alter(paths[i], "2027-02-15", "2027-02-16");
		refused("signed by 0 of the 1 keys needed");
		end();
	}
}

/* White space and the order of members are not signed, and do no harm. */
TEST(only_the_canonical_form_is_signed)
{
	begin();
	alter("timestamp.json", "\"signed\":", "\"signed\"\n:\t");
	accepted();
	end();
}

TEST(signatures_that_do_not_count_do_no_harm)
{
	begin();
	alter("timestamp.json", "[{\"keyid\"", "[{\"keyid\":\"dead\",\"sig\":\"beef\"},{\"keyid\":\"x\",\"sig\":\"\"},{\"keyid\"");
	accepted();
	alter("timestamp.json", "\"sig\":\"", "\"sig\":\"zz");
	accepted();
	end();
}

TEST(signatures_in_odd_forms_do_not_count)
{
	static const char *const forms[] = {"", "0", "zz", "00"};
	char sig[200];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		const uint8_t *at;
		struct buf *b;

		begin();
		b = &kit_file(&kit, "timestamp.json")->bytes;
		at = memmem(b->ptr, b->len, "\"sig\":\"", 7);
		REQUIRE(at != NULL);
		memcpy(sig, at + 7, 128);
		sig[128] = '\0';
		alter("timestamp.json", sig, forms[i]);
		refused("signed by 0 of the 1 keys needed");
		end();
	}
}

/* ---- root chain ---- */

static void root_refused(const char *text)
{
	kit_publish_root(&kit);
	refused(text);
	CHECK_INT(kit_stored_version(&store.t, "root"), 1);
}

TEST(a_new_root_needs_old_and_new_keys)
{
	begin();
	accepted();
	kit.version[TUF_ROOT] = 2;
	kit_signers_set(&kit.by[TUF_ROOT], 1, &kit.spare[0], NULL, NULL);
	root_refused("root by the trusted root's keys: signed by 0 of the 1 keys needed (5.3.4)");
	kit.by[TUF_ROOT].sign[0] = &kit.root_key;
	root_refused("root by its own keys: signed by 0 of the 1 keys needed (5.3.4)");
	kit.by[TUF_ROOT].sign[1] = &kit.spare[0];
	kit.by[TUF_ROOT].sign_count = 2;
	kit_publish_root(&kit);
	accepted();
	CHECK_INT(kit_stored_version(&store.t, "root"), 2);
	end();
}

/* Version N+1 exactly, under the name N+1. */
TEST(a_new_root_has_the_next_version)
{
	static const int64_t versions[] = {1, 3, 9, TUF_VERSION_MAX};
	size_t i;

	begin();
	accepted();
	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		struct kit_file *f;
		struct buf body = BUF_INIT(KIT_TEXT_MAX);

		kit.version[TUF_ROOT] = versions[i];
		kit_root_body(&kit, &body);
		f = kit_file_reset(&kit, "2.root.json");
		kit_sign(&f->bytes, &body, &kit.by[TUF_ROOT]);
		refused("where 2 must follow (5.3.5)");
		buf_release(&body);
	}
	end();
}

TEST(a_root_of_another_site_is_a_stranger)
{
	static const char *const sites[] = {"", ", \"x-meshanics\": {\"site\": \"main\"}",
					    ", \"x-meshanics\": {\"site\": \"depot-7\"}"};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(sites); i++)
		for (j = 0; j < ARRAY_SIZE(sites); j++) {
			begin();
			kit.extra[TUF_ROOT] = sites[i];
			kit_publish_root(&kit);
			kit.version[TUF_ROOT] = 2;
			kit.extra[TUF_ROOT] = sites[j];
			kit_publish_root(&kit);
			if (i == j)
				accepted();
			else
				refused("the trusted root for");
			end();
		}
}

/* Only 403 and 404 say that there is no newer root; a mirror that drops the connection does not. */
TEST(a_root_that_cannot_be_had_ends_the_update)
{
	begin();
	kit_file_reset(&kit, "2.root.json")->answer = ERR_RETRY;
	refused("cannot get 2.root.json");
	CHECK_STR(kit.log, "2.root.json ");
	kit_file_reset(&kit, "2.root.json")->answer = ERR_FAILED;
	refused("cannot get 2.root.json");
	end();
}

TEST(a_malformed_new_root_ends_the_update)
{
	static const char *const texts[] = {"", "{}", "[]", "null", "not found", "{\"signed\": {}, \"signatures\": []}"};
	size_t i;

	begin();
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		buf_put_str(&kit_file_reset(&kit, "2.root.json")->bytes, texts[i]);
		refused("2.root.json: ");
	}
	end();
}

/* ---- freshness ---- */

TEST(each_role_expires)
{
	static const struct {
		enum tuf_type type;
		const char *text;
	} roles[] = {
		{TUF_ROOT, "root version 1 expired at 2027-01-15T08:00:00Z"},
		{TUF_TIMESTAMP, "timestamp version 1 expired at 2027-01-15T08:00:00Z"},
		{TUF_SNAPSHOT, "snapshot version 1 expired at 2027-01-15T08:00:00Z"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		begin();
		kit.expires[roles[i].type] = KIT_PAST;
		kit_publish(&kit);
		refused_afresh(roles[i].text);
		kit.expires[roles[i].type] = "2027-01-15T08:00:01Z";
		kit_publish(&kit);
		accepted();
		end();
	}
	begin();
	kit.targets.expires = KIT_PAST;
	kit_publish(&kit);
	refused_afresh("targets version 1 expired at 2027-01-15T08:00:00Z");
	end();
}

/* Freeze: the server goes on serving what once was right. */
TEST(a_frozen_timestamp_is_found)
{
	struct tuf_options options = kit_options();
	struct slice anchor;

	begin();
	kit.expires[TUF_TIMESTAMP] = "2027-01-15T09:00:00Z";
	kit_publish_online(&kit);
	accepted();
	options.clock_s = KIT_NOW + 3600;
	anchor = buf_slice(&kit_file(&kit, "1.root.json")->bytes);
	kit_run_with(&kit, &run, anchor, &store.t, &options, NULL);
	CHECK_REFUSED(run, "timestamp version 1 expired");
	CHECK(run.err.hint[0] != '\0');
	kit_done(&run);
	end();
}

/* A stored targets file that has ended is not a dead end: the server's is fetched. */
TEST(an_expired_stored_file_is_replaced)
{
	struct tuf_options options = kit_options();

	begin();
	kit.targets.expires = "2027-01-15T09:00:00Z";
	kit_bump(&kit);
	accepted();
	kit.targets.expires = KIT_EXPIRES;
	kit_bump(&kit);
	options.clock_s = KIT_NOW + 3600;
	kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "1.root.json")->bytes), &store.t, &options, "a");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	end();
}

/* ---- rollback (CVE-2022-29173) ---- */

TEST(the_timestamp_does_not_go_back)
{
	begin();
	kit.version[TUF_TIMESTAMP] = 5;
	kit_publish_online(&kit);
	accepted();
	kit.version[TUF_TIMESTAMP] = 4;
	kit_publish_online(&kit);
	refused("timestamp version 4 is older than trusted version 5 (5.4.3.1)");
	CHECK_INT(kit_stored_version(&store.t, "timestamp"), 5);
	end();
}

TEST(the_snapshot_in_the_timestamp_does_not_go_back)
{
	begin();
	kit.version[TUF_SNAPSHOT] = 5;
	kit_publish_online(&kit);
	accepted();
	kit.version[TUF_SNAPSHOT] = 4;
	kit.version[TUF_TIMESTAMP] = 2;
	kit_publish_online(&kit);
	refused("timestamp names snapshot version 4, older than trusted version 5 (5.4.3.2)");
	end();
}

TEST(targets_in_the_snapshot_do_not_go_back)
{
	begin();
	kit.targets.version = 5;
	kit_publish_online(&kit);
	accepted();
	kit.targets.version = 4;
	kit.version[TUF_SNAPSHOT] = kit.version[TUF_TIMESTAMP] = 2;
	kit_publish_online(&kit);
	refused("snapshot lists 'targets.json' at version 4, older than trusted version 5 (5.5.5)");
	CHECK_INT(kit_stored_version(&store.t, "snapshot"), 1);
	end();
}

TEST(a_role_does_not_vanish_from_the_snapshot)
{
	begin();
	kit_role(&kit, "publisher", &kit.spare[0]);
	kit_role(&kit, "zulu", &kit.spare[0]);
	kit_publish_online(&kit);
	accepted();
	kit.roles[0].unlisted = true;
	kit_bump(&kit);
	refused("snapshot no longer lists 'publisher.json' (5.5.5)");
	kit.roles[0].unlisted = false;
	kit_bump(&kit);
	accepted();
	end();
}

/* A stored snapshot that is too old to be used still says what may not go back. */
TEST(an_expired_stored_snapshot_still_guards)
{
	struct tuf_options options = kit_options();

	begin();
	kit.targets.version = 5;
	kit.expires[TUF_SNAPSHOT] = "2027-01-15T09:00:00Z";
	kit_publish_online(&kit);
	accepted();
	kit.targets.version = 4;
	kit.version[TUF_SNAPSHOT] = kit.version[TUF_TIMESTAMP] = 2;
	kit.expires[TUF_SNAPSHOT] = KIT_EXPIRES;
	kit_publish_online(&kit);
	options.clock_s = KIT_NOW + 7200;
	kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "1.root.json")->bytes), &store.t, &options, NULL);
	CHECK_REFUSED(run, "older than trusted version 5 (5.5.5)");
	kit_done(&run);
	end();
}

/* The same timestamp version with other content is not adopted, whatever it names. */
TEST(an_equal_timestamp_changes_nothing)
{
	begin();
	accepted();
	kit.version[TUF_SNAPSHOT] = 7;
	kit_publish_online(&kit);
	accepted();
	CHECK_INT(kit_stored_version(&store.t, "snapshot"), 1);
	CHECK_STR(kit.log, "2.root.json timestamp.json ");
	end();
}

/* ---- mix and match, arbitrary content ---- */

TEST(files_must_be_those_that_are_listed)
{
	begin();
	/* The right name, another version inside. */
	kit.lengths = false;
	kit_publish_online(&kit);
	kit.version[TUF_SNAPSHOT] = 2;
	buf_clear(&kit_file(&kit, "1.snapshot.json")->bytes);
	buf_put_slice(&kit_file(&kit, "1.snapshot.json")->bytes, buf_slice(&kit_publish_snapshot(&kit)->bytes));
	refused("snapshot has version 2 where 1 is signed (5.5.4)");
	end();
	begin();
	kit.lengths = false;
	kit_publish_online(&kit);
	kit.targets.version = 2;
	buf_clear(&kit_file(&kit, "1.targets.json")->bytes);
	buf_put_slice(&kit_file(&kit, "1.targets.json")->bytes, buf_slice(&kit_publish_targets(&kit, &kit.targets)->bytes));
	refused("targets has version 2 where 1 is signed (5.6.4)");
	end();
}

TEST(length_and_hash_of_listed_files_hold)
{
	begin();
	buf_put_str(&kit_file(&kit, "1.snapshot.json")->bytes, " ");
	refused("more than");
	kit_publish(&kit);
	kit_file(&kit, "1.snapshot.json")->bytes.len--;
	refused("are signed (5.5.2)");
	kit_publish(&kit);
	kit_file(&kit, "1.snapshot.json")->bytes.ptr[kit_file(&kit, "1.snapshot.json")->bytes.len - 1] = ' ';
	refused("SHA-256 is not the one that is signed");
	kit_publish(&kit);
	buf_put_str(&kit_file(&kit, "1.targets.json")->bytes, " ");
	refused("1.targets.json");
	kit_publish(&kit);
	kit_file(&kit, "1.targets.json")->bytes.ptr[kit_file(&kit, "1.targets.json")->bytes.len - 1] = ' ';
	refused("(5.6.2)");
	end();
}

TEST(hashes_of_no_known_kind_are_refused)
{
	begin();
	kit_publish_snapshot(&kit);
	buf_clear(&kit_file(&kit, "timestamp.json")->bytes);
	struct buf body = BUF_INIT(KIT_TEXT_MAX);
	kit_put_head(&body, "timestamp", 1, KIT_EXPIRES);
	buf_put_str(&body, ", \"meta\": {\"snapshot.json\": {\"version\": 1, \"hashes\": {\"md5\": \"00\"}}}}");
	kit_sign(&kit_file(&kit, "timestamp.json")->bytes, &body, &kit.by[TUF_TIMESTAMP]);
	refused("none of the listed hashes is of a kind known here");
	buf_release(&body);
	end();
}

TEST(a_target_with_hashes_of_no_known_kind_is_refused_alone)
{
	begin();
	buf_put_str(&kit.targets.targets, ", \"odd\": {\"length\": 1, \"hashes\": {\"blake3\": \"00\"}}");
	kit_publish(&kit);
	kit_run(&kit, &run, NULL, "odd");
	CHECK_REFUSED(run, "none of its hashes is of a kind known here");
	kit_lookup(&kit, &run, NULL, "a");
	CHECK_ACCEPTED(run);
	kit_done(&run);
	end();
}

/* ---- endless data ---- */

static void pad(const char *path, uint64_t to)
{
	struct buf *b = &kit_file(&kit, path)->bytes;

	while (b->len < to)
		buf_put_str(b, "                                                                ");
}

TEST(unlisted_files_have_their_ceilings)
{
	begin();
	kit.version[TUF_ROOT] = 2;
	kit_publish_root(&kit);
	pad("2.root.json", TUF_ROOT_MAX + 1);
	refused("more than");
	kit_publish_root(&kit);
	pad("2.root.json", TUF_ROOT_MAX - 64);
	accepted();
	pad("timestamp.json", TUF_TIMESTAMP_MAX + 1);
	refused("more than");
	end();
}

/* A driver that does not stop at max_len is caught by the engine. */
TEST(the_engine_measures_what_it_is_fed)
{
	struct tuf_options options = kit_options();
	struct buf bytes = BUF_INIT(1 << 20);
	struct error err = ERROR_INIT;
	struct tuf_client *c;

	begin();
	REQUIRE((c = tuf_client_new(buf_slice(&kit_file(&kit, "1.root.json")->bytes), &options, &err)) != NULL);
	CHECK_INT(tuf_client_absent(c, &err), 0);
	CHECK_STR(tuf_client_want(c)->path, "2.root.json");
	CHECK_INT(tuf_client_want(c)->max_len, TUF_ROOT_MAX);
	CHECK(tuf_client_want(c)->may_be_absent);
	CHECK_INT(tuf_client_absent(c, &err), 0);
	CHECK(tuf_client_want(c)->stored);
	CHECK_INT(tuf_client_absent(c, &err), 0);
	CHECK_STR(tuf_client_want(c)->path, "timestamp.json");
	CHECK(!tuf_client_want(c)->may_be_absent);
	pad("timestamp.json", TUF_TIMESTAMP_MAX + 1);
	buf_put_slice(&bytes, buf_slice(&kit_file(&kit, "timestamp.json")->bytes));
	CHECK_INT(tuf_client_feed(c, &bytes, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	tuf_client_free(c);
	end();
}

/* A length that nobody could hold is refused before anything is asked for. */
TEST(a_signed_length_has_a_ceiling_too)
{
	struct buf body = BUF_INIT(KIT_TEXT_MAX);

	begin();
	kit_put_head(&body, "timestamp", 1, KIT_EXPIRES);
	buf_put_str(&body, ", \"meta\": {\"snapshot.json\": {\"version\": 1, \"length\": 9223372036854775807}}}");
	kit_sign(&kit_file_reset(&kit, "timestamp.json")->bytes, &body, &kit.by[TUF_TIMESTAMP]);
	refused("is signed with 9223372036854775807 bytes, more than");
	CHECK_STR(kit.log, "2.root.json timestamp.json ");
	buf_release(&body);
	end();
}

/* ---- withheld files ---- */

TEST(a_missing_file_is_a_failure)
{
	static const char *const paths[] = {"timestamp.json", "1.snapshot.json", "1.targets.json"};
	static const enum error_kind kinds[] = {ERR_NOT_FOUND, ERR_RETRY, ERR_FAILED};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(paths); i++)
		for (j = 0; j < ARRAY_SIZE(kinds); j++) {
			begin();
			kit_file(&kit, paths[i])->answer = kinds[j];
			refused(paths[i]);
			CHECK_INT(run.err.kind, kinds[j]);
			end();
		}
}

/* Every single-byte change of every served file is refused, or leaves the trusted content as it was. */
TEST(no_byte_of_the_answers_can_be_changed_to_effect)
{
	static const char *const paths[] = {"timestamp.json", "1.snapshot.json", "1.targets.json"};
	size_t i, at;

	begin();
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		struct buf *b = &kit_file(&kit, paths[i])->bytes;

		for (at = 0; at < b->len; at++) {
			uint8_t was = b->ptr[at];

			b->ptr[at] ^= 1;
			kit_run(&kit, &run, NULL, "a");
			if (run.r == 0 && (run.result.length != 7 || tuf_client_targets(run.c)->head.version != 1)) {
				printf("# byte %zu of %s\n", at, paths[i]);
				tap_failures++;
			}
			kit_done(&run);
			b->ptr[at] = was;
		}
	}
	end();
}

/* Without the timestamp that named it, the stored snapshot still says below which version nothing may go (5.4.3.2). */
TEST(a_lost_timestamp_does_not_let_the_snapshot_go_back)
{
	struct buf old = BUF_INIT(KIT_TEXT_MAX);
	struct error err = ERROR_INIT;
	struct kit_store own;
	struct kit_run r;

	kit_init(&kit);
	kit_publish(&kit);
	buf_put_slice(&old, buf_slice(&kit_file(&kit, "timestamp.json")->bytes));
	kit.version[TUF_SNAPSHOT]++;
	kit.version[TUF_TIMESTAMP]++;
	kit_publish_online(&kit);
	kit_store_open(&own);
	CHECK_INT(kit_run(&kit, &r, &own.t, NULL), 0);
	kit_done(&r);
	CHECK_INT(file_unlink(own.t.dirfd, "timestamp.json", &err), 0);
	buf_clear(&kit_file(&kit, "timestamp.json")->bytes);
	buf_put_slice(&kit_file(&kit, "timestamp.json")->bytes, buf_slice(&old));
	kit_run(&kit, &r, &own.t, NULL);
	CHECK_REFUSED(r, "5.4.3.2");
	kit_done(&r);
	CHECK_INT(kit_stored_version(&own.t, "snapshot"), 2);
	kit_publish_online(&kit);
	kit_run(&kit, &r, &own.t, NULL);
	CHECK_ACCEPTED(r);
	kit_done(&r);
	buf_release(&old);
	kit_store_close(&own);
	kit_release(&kit);
}
