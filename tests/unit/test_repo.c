/* A repository: adoption, the schedule, publishing, and what a power cut leaves of each. */
#include "tap.h"

#include <sys/stat.h>

#include "base/encode.h"
#include "repo_fixture.h"
#include "sys/fault.h"

static bool exists(const struct fixture *f, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/repo/%s", f->home, path);
	return file_exists(AT_FDCWD, full);
}

TEST(online_keys_come_back_as_written)
{
	struct buf text = BUF_INIT(ONLINE_KEYS_SIZE_MAX), again = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct online_keys k;
	struct fixture f;
	char path[128];

	fix_start(&f, "main");
	snprintf(path, sizeof(path), "%s/repo/online-keys.json", f.home);
	MUST(file_read(AT_FDCWD, path, &text, &err));
	MUST(online_keys_parse(&k, buf_slice(&text), &err));
	online_keys_put(&again, &k);
	CHECK(slice_equal(buf_slice(&text), buf_slice(&again)));
	CHECK_INT(k.record_export_count, 1);
	CHECK_INT(k.publisher_count, 1);
	CHECK_STR(k.publishers[0].slices.items[0], "plant/*/*");
	online_keys_release(&k);
	buf_release(&text);
	buf_release(&again);
	fix_end(&f);
}

TEST(init_refuses_a_second_repository)
{
	struct repo_init_options o = {.site = "main", .lives = REPO_LIVES_DEFAULT, .now_s = FIX_NOW};
	struct buf out = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct fixture f;

	fix_start(&f, "main");
	REFUSED(repo_init(f.home, &o, &out, &err), ERR_CONFLICT, "already");
	o.site = "Main";
	REFUSED(repo_init("/tmp", &o, &out, &err), ERR_MALFORMED, "site");
	o.site = "main";
	o.lives.timestamp_s = 0;
	REFUSED(repo_init("/tmp", &o, &out, &err), ERR_USAGE, "life");
	CHECK(repo_open("/tmp/meshanics-nowhere", &err) == NULL);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	buf_release(&out);
	fix_end(&f);
}

TEST(adoption_puts_root_and_targets_in_force)
{
	struct repo_resigned resigned;
	struct error err = ERROR_INIT;
	struct fixture f;
	struct repo *r;

	fix_start(&f, "main");
	fix_ceremony(&f);
	r = fix_open(&f);
	CHECK(repo_root(r) == NULL);
	CHECK_INT(repo_due(r), INT64_MAX);
	REFUSED(repo_resign(r, FIX_NOW, 0, 0, &resigned, &err), ERR_NOT_FOUND, "no root yet");
	MUST(fix_adopt(&f, r, FIX_NOW, &err));
	CHECK_INT(repo_root(r)->head.version, 1);
	CHECK_INT(repo_timestamp(r)->head.version, FIX_NOW);
	CHECK_INT(repo_timestamp(r)->signed_at_s, FIX_NOW);
	CHECK_INT(repo_snapshot(r)->head.version, FIX_NOW);
	REQUIRE(repo_role_count(r) == 1);
	CHECK_STR(repo_role_at(r, 0)->name, "releases");
	CHECK(repo_role_at(r, 0)->held && repo_role_at(r, 0)->file != NULL);
	CHECK_INT(repo_due(r), FIX_NOW + FIX_DAY / 2);
	/* Again: nothing changes. */
	MUST(fix_adopt(&f, r, FIX_NOW, &err));
	CHECK_INT(repo_timestamp(r)->head.version, FIX_NOW);
	CHECK(exists(&f, "metadata/1.root.json") && exists(&f, "metadata/1.targets.json"));
	CHECK(exists(&f, "metadata/4000000000.releases.json") && exists(&f, "metadata/timestamp.json"));
	repo_free(r);
	r = fix_open(&f);
	CHECK_INT(repo_root(r)->head.version, 1);
	CHECK_INT(repo_role_count(r), 1);
	repo_free(r);
	fix_end(&f);
}

TEST(adoption_refuses_what_is_not_for_this_box)
{
	struct buf cut = BUF_INIT(FIX_FILE_MAX);
	struct error err = ERROR_INIT;
	struct repo_adoption out;
	struct fixture f, g, other;
	struct slice files[2];
	struct repo *r;

	fix_start(&f, "main");
	fix_ceremony(&f);
	fix_start(&g, "main");
	fix_ceremony(&g);
	fix_start(&other, "depot-7");
	fix_ceremony(&other);
	r = fix_open(&f);
	REFUSED(fix_adopt(&other, r, FIX_NOW, &err), ERR_REFUSED, "for site 'depot-7'");
	REFUSED(fix_adopt(&g, r, FIX_NOW, &err), ERR_REFUSED, "does not name this box's own snapshot key");
	files[0] = buf_slice(&f.root_file);
	REFUSED(repo_adopt(r, files, 1, FIX_NOW, &out, &err), ERR_USAGE, "no targets");
	files[0] = buf_slice(&f.targets_file);
	REFUSED(repo_adopt(r, files, 1, FIX_NOW, &out, &err), ERR_USAGE, "no root");
	files[0] = buf_slice(&f.root_file);
	files[1] = buf_slice(&g.targets_file);
	REFUSED(repo_adopt(r, files, 2, FIX_NOW, &out, &err), ERR_REFUSED, "signed by 0 of the 1");
	REFUSED(fix_adopt(&f, r, FIX_NOW + 366 * FIX_DAY, &err), ERR_REFUSED, "expired");
	REFUSED(fix_adopt(&f, r, 0, &err), ERR_RETRY, "before this program was built");
	buf_put_slice(&cut, slice_sub(buf_slice(&f.root_file), 0, f.root_file.len / 2));
	files[0] = buf_slice(&cut);
	REFUSED(repo_adopt(r, files, 2, FIX_NOW, &out, &err), ERR_MALFORMED, "file 1");
	files[0] = slice_str("{\"signed\":{\"_type\":\"snapshot\"}}");
	REFUSED(repo_adopt(r, files, 1, FIX_NOW, &out, &err), ERR_MALFORMED, "neither root nor targets");
	CHECK(repo_root(r) == NULL && !exists(&f, "metadata/timestamp.json"));
	MUST(fix_adopt(&f, r, FIX_NOW, &err));
	files[0] = buf_slice(&g.root_file);
	REFUSED(repo_adopt(r, files, 1, FIX_NOW, &out, &err), ERR_REFUSED, "another root of version 1");
	buf_release(&cut);
	repo_free(r);
	fix_end(&f);
	fix_end(&g);
	fix_end(&other);
}

TEST(a_root_with_one_signature_too_few_is_refused)
{
	struct error err = ERROR_INIT;
	struct buf text = BUF_INIT(FIX_FILE_MAX), payload = BUF_INIT(FIX_FILE_MAX), sig = BUF_INIT(100);
	struct fixture f;
	struct repo *r;
	struct json doc = JSON_INIT;

	fix_start(&f, "main");
	fix_ceremony(&f);
	MUST(json_parse(&doc, buf_slice(&f.root_file), JSON_STRICT, &err));
	MUST(tuf_sign_envelope(&text, json_raw(json_get(json_root(&doc), "signed")), NULL, 0, &err));
	MUST(tuf_sign_payload(&payload, buf_slice(&text), &err));
	MUST(seckey_sign(f.root[0], buf_slice(&payload), &sig, &err));
	json_release(&doc);
	buf_clear(&f.root_file);
	{
		char id[KEY_FINGERPRINT_LEN];

		key_id(id, seckey_public(f.root[0]));
		MUST(tuf_sign_attach(&f.root_file, buf_slice(&text), id, buf_slice(&sig), &err));
	}
	r = fix_open(&f);
	REFUSED(fix_adopt(&f, r, FIX_NOW, &err), ERR_REFUSED, "signed by 1 of the 2");
	repo_free(r);
	buf_release(&text);
	buf_release(&payload);
	buf_release(&sig);
	fix_end(&f);
}

TEST(schedule_signs_at_half_life_and_not_before)
{
	const struct repo_expiry *list;
	struct repo_resigned out;
	struct error err = ERROR_INIT;
	struct fixture f;
	struct repo *r = fix_repo(&f);
	int64_t version = repo_timestamp(r)->head.version;

	MUST(repo_resign(r, FIX_NOW + FIX_DAY / 2 - 1, 0, 0, &out, &err));
	CHECK(!out.timestamp && !out.snapshot);
	CHECK_INT(repo_timestamp(r)->head.version, version);
	MUST(repo_resign(r, FIX_NOW + FIX_DAY / 2, 0, 0, &out, &err));
	CHECK(out.timestamp && !out.snapshot);
	CHECK_INT(repo_timestamp(r)->head.version, FIX_NOW + FIX_DAY / 2);
	MUST(repo_resign(r, FIX_NOW + 4 * FIX_DAY, 0, 0, &out, &err));
	CHECK(out.timestamp && out.snapshot && out.publishers == 0);
	/* Far ahead: the publisher's turn, once the operator vouches for the clock. */
	REFUSED(repo_resign(r, FIX_NOW + 46 * FIX_DAY, 0, 0, &out, &err), ERR_RETRY, "after the last signature");
	MUST(repo_resign(r, FIX_NOW + 46 * FIX_DAY, REPO_ACCEPT_CLOCK, 0, &out, &err));
	CHECK_INT(out.publishers, 1);
	/* Twice in the same second: versions still rise. */
	version = repo_timestamp(r)->head.version;
	MUST(repo_resign(r, FIX_NOW + 46 * FIX_DAY, REPO_FORCE, 0, &out, &err));
	CHECK_INT(repo_timestamp(r)->head.version, version + 1);
	/* A shorter life on request. */
	MUST(repo_resign(r, FIX_NOW + 46 * FIX_DAY, 0, 5, &out, &err));
	CHECK_INT(repo_timestamp(r)->head.expires_s, FIX_NOW + 46 * FIX_DAY + 5);
	CHECK_INT(repo_expiries(r, &list), 5);
	CHECK_STR(list[0].role, "timestamp");
	CHECK_STR(list[4].role, "root");
	CHECK(list[0].online && !list[4].online);
	repo_free(r);
	fix_end(&f);
}

TEST(clock_that_jumped_is_not_signed_with)
{
	struct repo_resigned out;
	struct error err = ERROR_INIT;
	struct fixture f;
	struct repo *r = fix_repo(&f);

	REFUSED(repo_resign(r, 0, REPO_FORCE, 0, &out, &err), ERR_RETRY, "before this program was built");
	REFUSED(repo_resign(r, 0, REPO_FORCE | REPO_ACCEPT_CLOCK, 0, &out, &err), ERR_RETRY, "built");
	REFUSED(repo_resign(r, FIX_NOW - 601, REPO_FORCE, 0, &out, &err), ERR_RETRY, "before the last signature");
	CHECK(strstr(err.hint, "--accept-clock") != NULL);
	CHECK_INT(repo_resign(r, FIX_NOW - 600, REPO_FORCE, 0, &out, &err), 0);
	REFUSED(repo_resign(r, FIX_NOW + 31 * FIX_DAY, 0, 0, &out, &err), ERR_RETRY, "after the last signature");
	REFUSED(repo_resign(r, FIX_NOW + 400 * FIX_DAY, REPO_ACCEPT_CLOCK, 0, &out, &err), ERR_REFUSED, "root");
	REFUSED(fix_publish(&f, r, "plant/plc/1", "x", 1, FIX_NOW + 31 * FIX_DAY, &err), ERR_RETRY, "clock");
	/* Versions are at most a day ahead of the clock, so a clock that is far behind cannot sign at all. */
	REFUSED(repo_resign(r, FIX_NOW - 2 * FIX_DAY, REPO_FORCE | REPO_ACCEPT_CLOCK, 0, &out, &err), ERR_RETRY,
		"ahead of the clock");
	CHECK_INT(repo_resign(r, FIX_NOW + 1, REPO_FORCE, 0, &out, &err), 0);
	repo_free(r);
	fix_end(&f);
}

TEST(publishing_stores_names_and_never_changes)
{
	struct error err = ERROR_INIT;
	char path[200], hex[SHA256_HEX_LEN];
	struct artifact a;
	struct fixture f;
	struct repo *r = fix_repo(&f);
	uint8_t hash[SHA256_LEN];

	MUST(fix_publish(&f, r, "plant/plc/1.0", "one\n", 1, FIX_NOW + 10, &err));
	MUST(fix_publish(&f, r, "plant/plc/1.1", "two\n", 2, FIX_NOW + 10, &err));
	MUST(artifact_find(r, SLICE_LIT("plant/plc/1.0"), &a, &err));
	CHECK_INT(a.target.length, 4);
	sha256_of(SLICE_LIT("one\n"), hash);
	hex_encode(hex, hash, sizeof(hash));
	snprintf(path, sizeof(path), "targets/plant/plc/%s.1.0", hex);
	CHECK(exists(&f, path));
	snprintf(path, sizeof(path), "staging/%s", hex);
	CHECK(!exists(&f, path));
	REFUSED(fix_publish(&f, r, "plant/plc/1.0", "uno\n", 1, FIX_NOW + 10, &err), ERR_CONFLICT, "already");
	REFUSED(fix_publish(&f, r, "plant/plc/1.0", "one\n", 9, FIX_NOW + 10, &err), ERR_CONFLICT, "already");
	REFUSED(fix_publish(&f, r, "depot/plc/1.0", "one\n", 1, FIX_NOW + 10, &err), ERR_REFUSED, "outside the slice");
	REFUSED(artifact_find(r, SLICE_LIT("plant/plc/2.0"), &a, &err), ERR_NOT_FOUND, "not published");
	REFUSED(artifact_find(r, SLICE_LIT("../x/y"), &a, &err), ERR_MALFORMED, "");
	/* The same bytes under two paths. */
	MUST(fix_publish(&f, r, "plant/copy/1.0", "one\n", 1, FIX_NOW + 10, &err));
	repo_free(r);
	r = fix_open(&f);
	MUST(artifact_find(r, SLICE_LIT("plant/copy/1.0"), &a, &err));
	repo_free(r);
	fix_end(&f);
}

static int count_artifact(void *arg, const struct artifact *a, struct error *err)
{
	unsigned *n = arg;

	(void)a, (void)err;
	(*n)++;
	return 0;
}

TEST(same_again_is_no_change_and_withdrawal_leaves_a_mark)
{
	struct descriptor d = {.kind = PAYLOAD_FILE, .release = 2, .placement.mode = DESCRIPTOR_MODE_DEFAULT};
	struct publish_change same = {.path = "plant/plc/1.1", .descriptor = &d},
			      gone = {.path = "plant/plc/1.1", .withdraw = true};
	struct buf file = BUF_INIT(PUBLISH_FILE_MAX);
	struct publish_result result;
	struct error err = ERROR_INIT;
	struct publish_blob blob;
	int64_t release, version;
	struct fixture f;
	struct repo *r = fix_repo(&f);
	const struct repo_role *role;
	bool unchanged = false;
	unsigned n = 0;

	MUST(fix_publish(&f, r, "plant/plc/1.0", "one\n", 1, FIX_NOW + 10, &err));
	MUST(fix_publish(&f, r, "plant/plc/1.1", "two\n", 2, FIX_NOW + 10, &err));
	MUST(fix_stage(r, "two\n", &blob, &err));
	same.length = blob.len;
	memcpy(same.sha256, blob.sha256, SHA256_LEN);
	MUST(fix_build(&f, r, &same, FIX_NOW + 20, &file, &unchanged, &err));
	CHECK(unchanged && file.len == 0);
	role = repo_role_find(r, SLICE_LIT("releases"));
	MUST(publish_next_release(buf_slice(&role->text), "plant/plc/1.1", 0, &release, &err));
	CHECK_INT(release, 2);
	MUST(publish_next_release(buf_slice(&role->text), "plant/plc/1.2", 0, &release, &err));
	CHECK_INT(release, 3);
	version = role->version;
	MUST(fix_build(&f, r, &gone, FIX_NOW + 20, &file, NULL, &err));
	REFUSED(publish_commit(r, SLICE_LIT("releases"), version - 1, buf_slice(&file), FIX_NOW + 20, &result, &err),
		ERR_CONFLICT, "which this one was built upon");
	MUST(publish_commit(r, SLICE_LIT("releases"), version, buf_slice(&file), FIX_NOW + 20, &result, &err));
	CHECK_INT(result.removed, 1);
	CHECK_INT(result.added, 0);
	role = repo_role_find(r, SLICE_LIT("releases"));
	MUST(publish_next_release(buf_slice(&role->text), "plant/plc/1.2", 0, &release, &err));
	CHECK_INT(release, 3);
	MUST(publish_next_release(SLICE_EMPTY, "plant/plc/1.2", 0, &release, &err));
	CHECK_INT(release, 1);
	buf_clear(&file);
	REFUSED(fix_build(&f, r, &gone, FIX_NOW + 30, &file, NULL, &err), ERR_NOT_FOUND, "not published");
	/* The mark survives the publisher's renewal. */
	{
		struct repo_resigned out;

		MUST(repo_resign(r, FIX_NOW + 40, REPO_FORCE, 0, &out, &err));
		role = repo_role_find(r, SLICE_LIT("releases"));
		MUST(publish_next_release(buf_slice(&role->text), "plant/plc/1.2", 0, &release, &err));
		CHECK_INT(release, 3);
	}
	CHECK_INT(artifact_each(r, count_artifact, &n, &err), 0);
	CHECK_INT(n, 1);
	MUST(publish_remove_blob(r, "plant/plc/1.1", same.sha256, &err));
	REFUSED(publish_remove_blob(r, "plant/plc/1.0", same.sha256, &err), ERR_CONFLICT, "withdraw it first");
	buf_release(&file);
	repo_free(r);
	fix_end(&f);
}

TEST(commit_checks_what_the_publisher_made)
{
	struct descriptor d = {.kind = PAYLOAD_FILE, .release = 1, .placement.mode = DESCRIPTOR_MODE_DEFAULT};
	struct publish_change c = {.path = "plant/plc/1", .descriptor = &d, .length = 3};
	struct buf file = BUF_INIT(PUBLISH_FILE_MAX);
	struct error err = ERROR_INIT;
	struct publish_result out;
	struct fixture f;
	struct repo *r = fix_repo(&f);
	int64_t version = repo_role_at(r, 0)->version;

	MUST(fix_build(&f, r, &c, FIX_NOW + 5, &file, NULL, &err));
	REFUSED(publish_commit(r, SLICE_LIT("releases"), version, buf_slice(&file), FIX_NOW + 5, &out, &err),
		ERR_NOT_FOUND, "no staged blob of 3 bytes");
	REFUSED(publish_commit(r, SLICE_LIT("nobody"), 0, buf_slice(&file), FIX_NOW + 5, &out, &err), ERR_NOT_FOUND,
		"no publisher 'nobody'");
	buf_clear(&file);
	MUST(fix_build(&f, r, &c, FIX_NOW + 2 * FIX_DAY, &file, NULL, &err));
	REFUSED(publish_commit(r, SLICE_LIT("releases"), version, buf_slice(&file), FIX_NOW + 5, &out, &err),
		ERR_REFUSED, "more than a day ahead");
	/* Signed by somebody else. */
	{
		struct publish_terms terms = {.now_s = FIX_NOW + 5, .life_s = FIX_DAY, .last_version = version};
		struct tuf_signer signer;

		tuf_signer_init(&signer, f.root[0]);
		terms.signers = &signer;
		terms.signer_count = 1;
		buf_clear(&file);
		MUST(publish_build(&file, SLICE_EMPTY, &c, 1, &terms, NULL, &err));
		REFUSED(publish_commit(r, SLICE_LIT("releases"), version, buf_slice(&file), FIX_NOW + 5, &out, &err),
			ERR_REFUSED, "signed by 0 of the 1");
	}
	REFUSED(publish_commit(r, SLICE_LIT("releases"), version, SLICE_LIT("{}"), FIX_NOW + 5, &out, &err),
		ERR_MALFORMED, "releases");
	CHECK_INT(repo_role_at(r, 0)->version, version);
	buf_release(&file);
	repo_free(r);
	fix_end(&f);
}

TEST(staging_resumes_and_refuses_other_bytes)
{
	struct error err = ERROR_INIT;
	uint8_t hash[SHA256_LEN];
	struct fixture f;
	struct repo *r = fix_repo(&f);
	uint64_t have = 9;
	int fd;

	sha256_of(SLICE_LIT("hello"), hash);
	REQUIRE((fd = publish_stage_open(repo_dirfd(r), hash, &have, &err)) >= 0);
	CHECK_INT(have, 0);
	MUST(file_write_all(fd, SLICE_LIT("hel"), "part", &err));
	close(fd);
	REQUIRE((fd = publish_stage_open(repo_dirfd(r), hash, &have, &err)) >= 0);
	CHECK_INT(have, 3);
	MUST(file_write_all(fd, SLICE_LIT("lo"), "part", &err));
	close(fd);
	MUST(publish_stage_finish(repo_dirfd(r), hash, &have, &err));
	CHECK_INT(have, 5);
	CHECK(publish_staged(repo_dirfd(r), hash));
	REFUSED(publish_stage_open(repo_dirfd(r), hash, &have, &err), ERR_CONFLICT, "staged already");
	hash[0] ^= 1;
	REQUIRE((fd = publish_stage_open(repo_dirfd(r), hash, &have, &err)) >= 0);
	MUST(file_write_all(fd, SLICE_LIT("hello"), "part", &err));
	close(fd);
	REFUSED(publish_stage_finish(repo_dirfd(r), hash, &have, &err), ERR_REFUSED, "another SHA-256");
	CHECK(!publish_staged(repo_dirfd(r), hash));
	REFUSED(publish_stage_finish(repo_dirfd(r), hash, &have, &err), ERR_NOT_FOUND, "");
	{
		struct publish_blob blob;
		int pipes[2];

		REQUIRE(pipe(pipes) == 0);
		REFUSED(publish_stage_file(repo_dirfd(r), pipes[0], &blob, NULL, NULL, NULL, &err), ERR_USAGE,
			"regular file");
		close(pipes[0]);
		close(pipes[1]);
	}
	repo_free(r);
	fix_end(&f);
}

TEST(targets_change_and_old_files_are_swept)
{
	struct ceremony_delegation d = {.now_s = FIX_NOW + 5};
	struct error err = ERROR_INIT;
	struct ceremony_signer ci;
	struct repo_resigned out;
	struct repo_publisher p;
	struct seckey *key;
	struct fixture f;
	struct repo *r = fix_repo(&f);
	struct slice old = slice_str(xstrdup(buf_cstr(&f.targets_file)));
	struct repo_adoption adopted;
	int i;

	MUST(fix_publish(&f, r, "plant/plc/1", "x", 1, FIX_NOW + 1, &err));
	key = fix_key(&ci, "ci");
	MUST(publisher_parse_word(&p, "ci:lab/*/*", &err));
	p.keys = xcalloc(1, sizeof(*p.keys));
	*p.keys = ci.key;
	p.key_count = 1;
	d.publishers = &p;
	d.publisher_count = 1;
	fix_delegate(&f, &d);
	MUST(fix_adopt(&f, r, FIX_NOW + 5, &err));
	CHECK_INT(repo_targets(r)->head.version, 2);
	CHECK_INT(repo_role_count(r), 2);
	CHECK(repo_role_find(r, SLICE_LIT("ci"))->file == NULL && !repo_role_find(r, SLICE_LIT("ci"))->held);
	CHECK(json_count(repo_role_find(r, SLICE_LIT("releases"))->file->targets) == 1);
	REFUSED(repo_adopt(r, &old, 1, FIX_NOW + 6, &adopted, &err), ERR_REFUSED, "older than version 2");
	for (i = 0; i < 20; i++)
		MUST(repo_resign(r, FIX_NOW + 100 + i, REPO_FORCE, 0, &out, &err));
	CHECK(!exists(&f, "metadata/4000000000.snapshot.json"));
	CHECK(!exists(&f, "metadata/4000000001.releases.json"));
	CHECK(exists(&f, "metadata/1.root.json") && exists(&f, "metadata/1.targets.json"));
	CHECK(exists(&f, "metadata/4000000111.snapshot.json"));
	free((void *)(uintptr_t)old.ptr);
	repo_publisher_release(&p);
	seckey_free(key);
	repo_free(r);
	fix_end(&f);
}

TEST(a_damaged_publisher_is_his_matter_alone)
{
	struct error err = ERROR_INIT;
	struct repo_resigned out;
	char path[128];
	struct fixture f;
	struct repo *r = fix_repo(&f);

	MUST(fix_publish(&f, r, "plant/plc/1", "x", 1, FIX_NOW + 1, &err));
	repo_free(r);
	snprintf(path, sizeof(path), "%s/repo/metadata/4000000001.releases.json", f.home);
	MUST(file_replace(AT_FDCWD, path, 0644, SLICE_LIT("{}"), &err));
	r = fix_open(&f);
	CHECK_INT(repo_role_at(r, 0)->fault, ROLE_DAMAGED);
	MUST(repo_resign(r, FIX_NOW + 2, REPO_FORCE, 0, &out, &err));
	CHECK_INT(out.publishers, 0);
	REFUSED(fix_publish(&f, r, "plant/plc/2", "y", 2, FIX_NOW + 2, &err), ERR_REFUSED, "damaged");
	repo_free(r);
	fix_end(&f);
}

#ifdef MESHANICS_TEST

/* What a client can see: version of timestamp, and whether 1.1 is published with its bytes in place. */
static int look(struct fixture *f, int64_t *timestamp)
{
	struct error err = ERROR_INIT;
	struct repo *r = repo_open(f->home, &err);
	struct artifact a;
	int has;

	if (r == NULL)
		printf("# after the fault: %s\n", err.text);
	REQUIRE(r != NULL);
	*timestamp = repo_timestamp(r) == NULL ? 0 : repo_timestamp(r)->head.version;
	has = artifact_find(r, SLICE_LIT("plant/plc/1.1"), &a, &err) == 0;
	if (has) {
		struct buf file = BUF_INIT(512);
		struct stat st;

		artifact_put_file(&file, a.target.path, a.target.hashes.sha256);
		CHECK_INT(fstatat(repo_dirfd(r), buf_cstr(&file), &st, 0), 0);
		CHECK_INT(st.st_size, 4);
		buf_release(&file);
	}
	repo_free(r);
	return has;
}

static void copy_home(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s && cp -a %s %s", to, from, to);
	REQUIRE(system(command) == 0);
}

/* Stop publishing at every system call that changes the disk; the old or the new state must be there. */
static void walk(enum fault_mode mode)
{
	char image[80];
	struct fixture f, start;
	struct repo *r = fix_repo(&f);
	struct error err = ERROR_INIT;
	int64_t before, after;
	unsigned n, saw_old = 0, saw_new = 0;

	MUST(fix_publish(&f, r, "plant/plc/1.0", "one\n", 1, FIX_NOW + 1, &err));
	before = repo_timestamp(r)->head.version;
	repo_free(r);
	snprintf(image, sizeof(image), "%s.image", f.home);
	copy_home(f.home, image);
	start = f;
	for (n = 1;; n++) {
		int status, has;
		pid_t pid;

		copy_home(image, f.home);
		fflush(stdout);
		if ((pid = fork()) == 0) {
			struct error e = ERROR_INIT;
			struct repo *child = fix_open(&start);

			fault_arm(n, mode);
			status = fix_publish(&start, child, "plant/plc/1.1", "two\n", 2, FIX_NOW + 2, &e) < 0 ? 1 : 0;
			_exit(fault_count() < n ? 7 : status);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		has = look(&f, &after);
		CHECK(after >= before);
		CHECK(!has || after > before);
		CHECK(WEXITSTATUS(status) != 0 || has);
		saw_old += !has;
		saw_new += has != 0;
		if (WEXITSTATUS(status) == 7)
			break;
		REQUIRE(n < 500);
	}
	CHECK(saw_old > 5 && saw_new > 1);
	REQUIRE(file_remove_tree(AT_FDCWD, image, &err) == 0);
	fix_end(&f);
}

TEST(publishing_survives_an_error_at_every_call)
{
	walk(FAULT_ERROR);
}

TEST(publishing_survives_a_torn_write_at_every_call)
{
	walk(FAULT_TORN);
}

TEST(publishing_survives_a_power_cut_at_every_call)
{
	walk(FAULT_CUT);
}

TEST(publishing_survives_a_power_cut_that_loses_all_that_was_not_synced)
{
	walk(FAULT_CUTZERO);
}

TEST(publishing_survives_a_power_cut_that_loses_names_too)
{
	walk(FAULT_CUTDIR);
}

static void walk_init(enum fault_mode mode)
{
	struct repo_init_options o = {.site = "main", .lives = REPO_LIVES_DEFAULT, .now_s = FIX_NOW};
	struct error err = ERROR_INIT;
	char home[] = "/dev/shm/meshanics-test.XXXXXX", path[80], keys[128];
	unsigned n;

	if (mkdtemp(home) == NULL)
		SKIP("no /dev/shm");
	MUST(crypto_start(&err));
	snprintf(path, sizeof(path), "%s/repo", home);
	snprintf(keys, sizeof(keys), "%s/online-keys.json", path);
	for (n = 1;; n++) {
		struct buf out = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
		struct repo *r;
		int status;
		pid_t pid;

		fflush(stdout);
		if ((pid = fork()) == 0) {
			fault_arm(n, mode);
			_exit(repo_init(home, &o, &out, &err) < 0 ? 1 : 0);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		/* Either it does not exist yet, and the next attempt begins anew, or it is whole. */
		if (file_exists(AT_FDCWD, keys)) {
			r = repo_open(home, &err);
			CHECK(r != NULL);
			repo_free(r);
			MUST(file_remove_tree(AT_FDCWD, path, &err));
		}
		if (WEXITSTATUS(status) == 0)
			break;
		REQUIRE(n < 500);
	}
	MUST(file_remove_tree(AT_FDCWD, home, &err));
}

TEST(init_survives_a_power_cut_at_every_call)
{
	walk_init(FAULT_CUT);
}

TEST(init_survives_a_power_cut_that_loses_names_too)
{
	walk_init(FAULT_CUTDIR);
}

#endif
