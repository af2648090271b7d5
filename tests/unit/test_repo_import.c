/* A site takes what headquarters have published: what comes into force, what is refused, what is healed. */
#include "tap.h"

#include "base/encode.h"
#include "import_fixture.h"
#include "sys/fault.h"

static struct pair p;
static struct load l;
static struct repo_import m;
static struct error err;

static void begin(void)
{
	err = ERROR_INIT;
	pair_start(&p);
	MUST(fix_publish(&p.hq, p.main, "plant/plc/1", "one", 1, FIX_NOW + 10, &err));
	load_all(&l, &p);
}

static void end(void)
{
	load_release(&l);
	pair_end(&p);
}

/* The first bundle is in force. */
static void begin_imported(void)
{
	begin();
	pair_carry(&p, "one");
	MUST(pair_import(&p, &l, &m, FIX_NOW + 20, &err));
	load_release(&l);
}

static void refuses(enum error_kind kind, const char *says)
{
	int64_t was = repo_timestamp(p.site)->head.version;

	REFUSED(pair_import(&p, &l, &m, FIX_NOW + 30, &err), kind, says);
	CHECK_INT(repo_timestamp(p.site)->head.version, was);
	m = (struct repo_import){.files = l.list, .file_count = l.count, .complete = true, .now_s = FIX_NOW + 30};
	REFUSED(repo_import_check(p.site, &m, &err), kind, says);
}

static bool has(const char *path)
{
	struct artifact a;

	err = ERROR_INIT;
	return artifact_find(p.site, slice_str(path), &a, &err) == 0;
}

/* "N.ROLE.json" of a role in force at the depot. */
static const char *depot_file(const char *role)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/repo/metadata/%lld.%s.json", p.depot.home,
		 (long long)repo_role_find(p.site, slice_str(role))->version, role);
	return path;
}

static void put_file(const char *path, const char *text)
{
	MUST(file_replace(AT_FDCWD, path, 0644, slice_str(text), &err));
}

/* A file of `releases` as its key signs it, on an empty one, with one target. */
static void forge(const char *path, const char *content, int64_t version, struct buf *out)
{
	struct descriptor d = {.kind = PAYLOAD_FILE, .release = 1, .placement.mode = DESCRIPTOR_MODE_DEFAULT};
	struct publish_change change = {.path = path, .descriptor = &d};
	struct publish_terms terms = {.now_s = version, .life_s = 90 * FIX_DAY, .last_version = 0, .signer_count = 1};
	struct tuf_signer signer;
	struct seckey *k;
	char name[128];

	snprintf(name, sizeof(name), "%s/repo/keys/releases.key", p.hq.home);
	k = keyfile_open(AT_FDCWD, name, SLICE_EMPTY, &err);
	REQUIRE(k != NULL);
	tuf_signer_init(&signer, k);
	terms.signers = &signer;
	change.length = strlen(content);
	sha256_of(slice_str(content), change.sha256);
	buf_clear(out);
	MUST(publish_build(out, SLICE_EMPTY, &change, 1, &terms, NULL, &err));
	seckey_free(k);
}

/* In place of the publisher's file in the load. */
static void load_forged(const char *path, const char *content, int64_t version)
{
	struct buf file = BUF_INIT(FIX_FILE_MAX);
	char name[80];
	unsigned i;

	forge(path, content, version, &file);
	for (i = 0; i < l.count; i++) {
		if (strstr(l.name[i], ".releases.json") == NULL)
			continue;
		buf_release(&l.text[i]);
		l.count--;
		memmove(&l.text[i], &l.text[i + 1], (l.count - i) * sizeof(l.text[0]));
		memmove(&l.name[i], &l.name[i + 1], (l.count - i) * sizeof(l.name[0]));
		memmove(&l.list[i], &l.list[i + 1], (l.count - i) * sizeof(l.list[0]));
		i--;
	}
	for (i = 0; i < l.count; i++)
		l.list[i].path = slice_str(l.name[i]);
	snprintf(name, sizeof(name), "%lld.releases.json", (long long)version);
	load_add(&l, name, buf_slice(&file));
	buf_release(&file);
}

TEST(an_import_brings_what_headquarters_have)
{
	int64_t timestamp;

	begin();
	CHECK(!has("plant/plc/1"));
	pair_carry(&p, "one");
	MUST(pair_import(&p, &l, &m, FIX_NOW + 20, &err));
	CHECK(has("plant/plc/1"));
	CHECK_INT(m.roots, 0);
	CHECK_INT(m.roles, 1);
	CHECK_INT(m.placed, 1);
	CHECK_INT(m.healed, 0);
	CHECK_INT(m.artifacts, 1);
	MUST(pair_verify(&p, FIX_NOW + 20, &err));
	/* The same again signs nothing. */
	timestamp = repo_timestamp(p.site)->head.version;
	MUST(pair_import(&p, &l, &m, FIX_NOW + 30, &err));
	CHECK_INT(repo_timestamp(p.site)->head.version, timestamp);
	CHECK_INT(m.roles + m.bins + m.placed + m.healed, 0);
	/* And all of it is on the disk. */
	repo_free(p.site);
	p.site = fix_open(&p.depot);
	CHECK(has("plant/plc/1"));
	end();
}

TEST(a_gap_is_fine)
{
	begin_imported();
	MUST(fix_publish(&p.hq, p.main, "plant/plc/2", "two", 2, FIX_NOW + 40, &err));
	MUST(fix_publish(&p.hq, p.main, "plant/plc/3", "three", 3, FIX_NOW + 50, &err));
	load_all(&l, &p);
	pair_carry(&p, "two");
	pair_carry(&p, "three");
	MUST(pair_import(&p, &l, &m, FIX_NOW + 60, &err));
	CHECK_INT(m.placed, 2);
	CHECK(has("plant/plc/1") && has("plant/plc/2") && has("plant/plc/3"));
	MUST(pair_verify(&p, FIX_NOW + 60, &err));
	end();
}

struct seen {
	unsigned count, held;
};

static int see(void *arg, const struct repo_import_artifact *a, struct error *e)
{
	struct seen *s = arg;

	(void)e;
	s->count++;
	s->held += a->held;
	return 0;
}

TEST(a_check_tells_what_is_needed_and_changes_nothing)
{
	struct seen seen = {0, 0};
	struct repo *reader;

	begin();
	reader = repo_open_readonly(p.depot.home, &err);
	REQUIRE(reader != NULL);
	m = (struct repo_import){.files = l.list, .file_count = l.count, .now_s = FIX_NOW + 20, .artifact = see, .arg = &seen};
	MUST(repo_import_check(reader, &m, &err));
	CHECK_INT(seen.count, 1);
	CHECK_INT(seen.held, 0);
	CHECK_INT(m.lacking, 1);
	CHECK_INT(m.roles, 1);
	REFUSED(repo_import(reader, &m, &err), ERR_FAILED, "open for reading only");
	pair_carry(&p, "one");
	seen = (struct seen){0, 0};
	MUST(repo_import_check(reader, &m, &err));
	CHECK_INT(seen.held, 1);
	repo_free(reader);
	CHECK(!has("plant/plc/1"));
	end();
}

TEST(an_artifact_that_nobody_has_is_refused)
{
	begin();
	REFUSED(pair_import(&p, &l, &m, FIX_NOW + 20, &err), ERR_REFUSED, "neither in the bundle nor held here");
	CHECK(strstr(err.hint, "--since") != NULL);
	CHECK(!has("plant/plc/1"));
	MUST(pair_verify(&p, FIX_NOW + 20, &err));
	end();
}

TEST(a_selection_remembers_what_it_leaves_out)
{
	uint8_t (*list)[SHA256_LEN], hash[SHA256_LEN];
	size_t count;

	begin();
	m = (struct repo_import){.files = l.list, .file_count = l.count, .now_s = FIX_NOW + 20};
	MUST(repo_import(p.site, &m, &err));
	CHECK_INT(m.lacking, 1);
	CHECK(has("plant/plc/1"));
	sha256_of(SLICE_LIT("one"), hash);
	MUST(repo_selected_read(repo_dirfd(p.site), &list, &count, &err));
	CHECK_INT(count, 1);
	CHECK(repo_selected_find(list, count, hash));
	hash[0] ^= 1;
	CHECK(!repo_selected_find(list, count, hash));
	free(list);
	MUST(pair_verify(&p, FIX_NOW + 20, &err));
	/* It comes later, and is left out no more. */
	pair_carry(&p, "one");
	MUST(pair_import(&p, &l, &m, FIX_NOW + 30, &err));
	MUST(repo_selected_read(repo_dirfd(p.site), &list, &count, &err));
	CHECK_INT(count, 0);
	free(list);
	MUST(pair_verify(&p, FIX_NOW + 30, &err));
	end();
}

/* Where the bytes of plant/plc/1, which are "one", lie at the depot. */
static const char *blob_path(void)
{
	static char path[300];
	char hex[SHA256_HEX_LEN];
	uint8_t hash[SHA256_LEN];

	sha256_of(SLICE_LIT("one"), hash);
	hex_encode(hex, hash, sizeof(hash));
	snprintf(path, sizeof(path), "%s/repo/targets/plant/plc/%s.1", p.depot.home, hex);
	return path;
}

TEST(what_was_meant_to_be_here_is_missed)
{
	begin_imported();
	REQUIRE(unlink(blob_path()) == 0);
	REFUSED(pair_verify(&p, FIX_NOW + 20, &err), ERR_REFUSED, "targets/plant/plc/");
	end();
}

TEST(an_older_bundle_is_refused_kindly)
{
	struct load old;

	begin_imported();
	load_all(&old, &p);
	MUST(fix_publish(&p.hq, p.main, "plant/plc/2", "two", 2, FIX_NOW + 40, &err));
	load_all(&l, &p);
	pair_carry(&p, "two");
	MUST(pair_import(&p, &l, &m, FIX_NOW + 50, &err));
	REFUSED(pair_import(&p, &old, &m, FIX_NOW + 60, &err), ERR_REFUSED, "which this site holds");
	CHECK(m.older);
	CHECK(strstr(err.text, "releases version") != NULL);
	CHECK(strstr(err.hint, "nothing has changed") != NULL);
	CHECK(has("plant/plc/2"));
	load_release(&old);
	end();
}

TEST(files_that_do_not_belong_are_refused)
{
	begin();
	pair_carry(&p, "one");
	load_add(&l, "1.stranger.json", l.list[2].bytes);
	refuses(ERR_REFUSED, "nothing delegates to 'stranger'");
	l.count--;
	buf_release(&l.text[l.count]);
	load_add(&l, "1.snapshot.json", l.list[2].bytes);
	refuses(ERR_REFUSED, "signed by each site itself");
	l.count--;
	buf_release(&l.text[l.count]);
	load_add(&l, "releases.json", l.list[2].bytes);
	refuses(ERR_MALFORMED, "no name of a metadata file");
	l.count--;
	buf_release(&l.text[l.count]);
	load_add(&l, "9.releases.json", l.list[2].bytes);
	refuses(ERR_MALFORMED, "there twice");
	end();
}

TEST(a_root_of_another_site_is_refused)
{
	begin();
	load_add(&l, "1.root.json", buf_slice(&p.hq.root_file));
	refuses(ERR_REFUSED, "another root of version 1 is in force already");
	load_add(&l, "1.root.json", buf_slice(&p.depot.root_file));
	load_add(&l, "2.root.json", buf_slice(&p.hq.root_file));
	refuses(ERR_REFUSED, "2.root.json: ");
	end();
}

TEST(a_changed_byte_is_refused)
{
	unsigned i;

	begin();
	pair_carry(&p, "one");
	for (i = 0; i < l.count; i++) {
		uint8_t *digit = (uint8_t *)strstr(buf_cstr(&l.text[i]), "\"expires\":\"") + 14;

		if (strstr(l.name[i], ".root.json") != NULL || strstr(l.name[i], ".targets.json") != NULL)
			continue;
		*digit = *digit == '9' ? '8' : '9';
		refuses(ERR_REFUSED, "signed by 0 of the 1 keys needed");
	}
	end();
}

TEST(what_was_published_keeps_its_bytes)
{
	begin_imported();
	load_all(&l, &p);
	load_forged("plant/plc/1", "other", FIX_NOW + 100);
	pair_carry(&p, "other");
	refuses(ERR_REFUSED, "published already, with other content");
	load_forged("plant/plc/2", "other", repo_role_find(p.main, SLICE_LIT("releases"))->version);
	refuses(ERR_REFUSED, "another file of 'releases'");
	end();
}

/* Headquarters would never have taken it, and no client looks for it there. */
TEST(what_lies_outside_the_slice_is_passed_over)
{
	begin();
	load_forged("office/mail/1", "other", FIX_NOW + 100);
	MUST(pair_import(&p, &l, &m, FIX_NOW + 30, &err));
	CHECK_INT(m.artifacts, 0);
	CHECK(!has("office/mail/1"));
	end();
}

TEST(a_slow_clock_does_not_cut_off_the_site)
{
	begin();
	load_forged("plant/plc/1", "one", FIX_NOW + 30 * FIX_DAY);
	pair_carry(&p, "one");
	MUST(pair_import(&p, &l, &m, FIX_NOW + 30, &err));
	CHECK(has("plant/plc/1"));
	end();
}

TEST(what_has_expired_is_refused)
{
	begin();
	m = (struct repo_import){.files = l.list, .file_count = l.count, .now_s = FIX_NOW + 100 * FIX_DAY, .flags = REPO_ACCEPT_CLOCK};
	REFUSED(repo_import_check(p.site, &m, &err), ERR_RETRY, "releases version");
	m.flags = 0;
	REFUSED(repo_import_check(p.site, &m, &err), ERR_RETRY, "the clock says");
	CHECK(strstr(err.hint, "bundle import --accept-clock") != NULL);
	end();
}

static void heals(const char *what, unsigned expected)
{
	int64_t timestamp = repo_timestamp(p.site)->head.version;

	repo_free(p.site);
	p.site = fix_open(&p.depot);
	err = ERROR_INIT;
	CHECK(pair_verify(&p, FIX_NOW + 30, &err) < 0);
	MUST(pair_import(&p, &l, &m, FIX_NOW + 30, &err));
	if (m.healed != expected)
		printf("# %s\n", what);
	CHECK_INT(m.healed, expected);
	CHECK_INT(repo_timestamp(p.site)->head.version, timestamp);
	CHECK(has("plant/plc/1"));
	MUST(pair_verify(&p, FIX_NOW + 30, &err));
}

TEST(the_same_bundle_heals)
{
	begin_imported();
	load_all(&l, &p);
	put_file(depot_file("releases"), "{}");
	heals("a torn publisher's file", 1);
	REQUIRE(unlink(depot_file("releases")) == 0);
	heals("a lost publisher's file", 1);
	put_file(blob_path(), "two");
	pair_carry(&p, "one");
	heals("a changed blob", 1);
	REQUIRE(unlink(blob_path()) == 0);
	pair_carry(&p, "one");
	heals("a lost blob", 0);
	end();
}

TEST(hash_bins_come_over)
{
	int64_t timestamp;
	char path[200];

	err = ERROR_INIT;
	pair_start_bins(&p, 8);
	MUST(repo_resign(p.main, FIX_NOW + 1, REPO_FORCE, 0, &(struct repo_resigned){0}, &err));
	load_all(&l, &p);
	MUST(pair_import(&p, &l, &m, FIX_NOW + 20, &err));
	CHECK_INT(m.bins, 8);
	MUST(pair_verify(&p, FIX_NOW + 20, &err));
	timestamp = repo_timestamp(p.site)->head.version;
	MUST(pair_import(&p, &l, &m, FIX_NOW + 30, &err));
	CHECK_INT(repo_timestamp(p.site)->head.version, timestamp);
	snprintf(path, sizeof(path), "%s/repo/metadata/%lld.releases-bin-3.json", p.depot.home,
		 (long long)repo_file_find(p.site, SLICE_LIT("releases-bin-3"))->version);
	REQUIRE(unlink(path) == 0);
	MUST(pair_import(&p, &l, &m, FIX_NOW + 30, &err));
	CHECK_INT(m.healed, 1);
	MUST(pair_verify(&p, FIX_NOW + 30, &err));
	end();
}

/* ---- the offline keys speak ---- */

/* Headquarters give `name` these keys. */
static void redelegate(const char *name, const struct pubkey *key, const char *removed)
{
	struct ceremony_delegation d = {.removed = &removed, .removed_count = removed != NULL, .now_s = FIX_NOW + 30};
	struct repo_publisher publisher;
	char word[80];

	snprintf(word, sizeof(word), "%s:plant/*/*", name);
	MUST(publisher_parse_word(&publisher, word, &err));
	publisher.keys = xcalloc(1, sizeof(*publisher.keys));
	publisher.keys[0] = *key;
	publisher.key_count = 1;
	d.publishers = &publisher;
	d.publisher_count = 1;
	fix_delegate(&p.hq, &d);
	MUST(repo_adopt(p.main, (const struct slice[]){buf_slice(&p.hq.targets_file)}, 1, FIX_NOW + 30,
			&(struct repo_adoption){0}, &err));
	repo_publisher_release(&publisher);
}

/* The key of `releases` was stolen. The bundle says so, although nobody has published with the new one yet. */
TEST(a_stolen_key_ends_with_the_targets_of_a_bundle)
{
	struct ceremony_signer fresh;
	struct seckey *k;

	begin_imported();
	k = fix_key(&fresh, "fresh");
	redelegate("releases", &fresh.key, NULL);
	load_all(&l, &p);
	MUST(pair_import(&p, &l, &m, FIX_NOW + 40, &err));
	CHECK_INT(m.targets_version, 2);
	CHECK(!has("plant/plc/1"));
	CHECK_INT(repo_role_find(p.site, SLICE_LIT("releases"))->fault, ROLE_OTHER_KEYS);
	/* What the thief signs now is refused. */
	load_forged("plant/plc/9", "evil", FIX_NOW + 200);
	pair_carry(&p, "evil");
	refuses(ERR_REFUSED, "signed by 0 of the 1 keys needed");
	seckey_free(k);
	end();
}

TEST(a_fresh_name_takes_the_slice)
{
	struct ceremony_signer fresh;
	struct seckey *k;

	begin_imported();
	k = fix_key(&fresh, "fresh");
	redelegate("releases2", &fresh.key, "releases");
	load_all(&l, &p);
	MUST(pair_import(&p, &l, &m, FIX_NOW + 40, &err));
	CHECK(!has("plant/plc/1"));
	CHECK(repo_role_find(p.site, SLICE_LIT("releases")) == NULL);
	MUST(pair_verify(&p, FIX_NOW + 40, &err));
	seckey_free(k);
	end();
}

/* The depot's next root, with everything else as in r. */
static void next_root(const struct ceremony_rotation *r, struct buf *out)
{
	struct ceremony_rotation rotation = *r;
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct ceremony *c;

	rotation.next = (struct ceremony_delegation){.root = buf_slice(&p.depot.root_file), .life_s = FIX_DAY,
						     .now_s = FIX_NOW, .nonce = (const uint8_t[16]){1}};
	rotation.root_life_s = 300 * FIX_DAY;
	MUST(ceremony_rotate(&text, &rotation, &err));
	c = ceremony_parse(buf_slice(&text), &err);
	REQUIRE(c != NULL);
	fix_answer(c, p.hq.root[0], FIX_NOW);
	fix_answer(c, p.hq.root[1], FIX_NOW);
	MUST(ceremony_finish(c, 0, FIX_NOW, out, &err));
	ceremony_free(c);
	buf_release(&text);
}

TEST(the_next_root_comes_with_a_bundle)
{
	struct buf root = BUF_INIT(FIX_FILE_MAX);
	char path[200];

	begin();
	pair_carry(&p, "one");
	next_root(&(struct ceremony_rotation){.root_threshold = 0}, &root);
	load_add(&l, "2.root.json", buf_slice(&root));
	MUST(pair_import(&p, &l, &m, FIX_NOW + 20, &err));
	CHECK_INT(m.roots, 1);
	CHECK_INT(m.root_version, 2);
	CHECK_INT(repo_root(p.site)->head.version, 2);
	MUST(pair_verify(&p, FIX_NOW + 20, &err));
	/* One that got lost comes back with those around it. */
	buf_clear(&p.depot.root_file);
	buf_put_slice(&p.depot.root_file, buf_slice(&root));
	buf_clear(&root);
	next_root(&(struct ceremony_rotation){.root_threshold = 0}, &root);
	load_add(&l, "3.root.json", buf_slice(&root));
	MUST(pair_import(&p, &l, &m, FIX_NOW + 20, &err));
	snprintf(path, sizeof(path), "%s/repo/metadata/2.root.json", p.depot.home);
	REQUIRE(unlink(path) == 0);
	MUST(pair_import(&p, &l, &m, FIX_NOW + 20, &err));
	CHECK_INT(m.healed, 1);
	MUST(pair_verify(&p, FIX_NOW + 20, &err));
	buf_release(&root);
	end();
}

TEST(a_root_with_new_online_keys_finds_them_staged_or_is_refused)
{
	struct repo_rotate_options o = {.now_s = FIX_NOW};
	struct buf root = BUF_INIT(FIX_FILE_MAX), text = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct online_keys next;

	begin();
	pair_carry(&p, "one");
	MUST(repo_keys_rotate(p.site, &o, &text, &err));
	MUST(online_keys_parse(&next, buf_slice(&text), &err));
	next_root(&(struct ceremony_rotation){.online = &next}, &root);
	load_add(&l, "2.root.json", buf_slice(&root));
	online_keys_release(&next);
	/* Others wait now. */
	o.replace = true;
	buf_clear(&text);
	MUST(repo_keys_rotate(p.site, &o, &text, &err));
	refuses(ERR_REFUSED, "does not name this box's own snapshot key");
	MUST(online_keys_parse(&next, buf_slice(&text), &err));
	buf_clear(&root);
	next_root(&(struct ceremony_rotation){.online = &next}, &root);
	load_add(&l, "2.root.json", buf_slice(&root));
	MUST(pair_import(&p, &l, &m, FIX_NOW + 20, &err));
	CHECK(!repo_keys_staged(p.site));
	CHECK(has("plant/plc/1"));
	MUST(pair_verify(&p, FIX_NOW + 20, &err));
	online_keys_release(&next);
	buf_release(&root);
	buf_release(&text);
	end();
}

/* ---- interrupted ---- */

#ifdef MESHANICS_TEST

#define RUN_FAILED 3	/* not 1, which is a sanitizer's */

static char image[80];

static void shell(const char *verb, const char *from, const char *to)
{
	char command[300];

	snprintf(command, sizeof(command), verb, to, from, to);
	REQUIRE(system(command) == 0);
}

/* The import in a child, with call n going wrong. */
static int run_import(unsigned n, enum fault_mode mode, unsigned *calls)
{
	int status, fds[2];
	pid_t pid;

	REQUIRE(pipe(fds) == 0);
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		struct repo *r;
		int ret = -1;

		fault_arm(n, mode);
		r = repo_open(p.depot.home, &err);
		m = (struct repo_import){.files = l.list, .file_count = l.count, .complete = true, .now_s = FIX_NOW + 60};
		if (r != NULL)
			ret = repo_import(r, &m, &err);
		*calls = fault_count();
		if (write(fds[1], calls, sizeof(*calls)) != (ssize_t)sizeof(*calls))
			_exit(9);
		_exit(ret == 0 ? 0 : RUN_FAILED);
	}
	close(fds[1]);
	if (read(fds[0], calls, sizeof(*calls)) != (ssize_t)sizeof(*calls))
		*calls = 0;
	close(fds[0]);
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == RUN_FAILED || WEXITSTATUS(status) == FAULT_CUT_STATUS);
	return WEXITSTATUS(status);
}

/* The old state or the new one, and whole; then the same import goes through. */
static void check_between(bool done)
{
	bool second, third;

	err = ERROR_INIT;
	p.site = repo_open(p.depot.home, &err);
	if (p.site == NULL)
		printf("# %s\n", err.text);
	REQUIRE(p.site != NULL);
	second = has("plant/plc/2");
	third = has("plant/plc/3");
	CHECK(second == third);
	CHECK(!done || second);
	CHECK(has("plant/plc/1"));
	if (pair_verify(&p, FIX_NOW + 60, &err) < 0) {
		printf("# %s\n", err.text);
		tap_failures++;
	}
	MUST(pair_import(&p, &l, &m, FIX_NOW + 60, &err));
	CHECK(has("plant/plc/2") && has("plant/plc/3"));
	MUST(pair_verify(&p, FIX_NOW + 60, &err));
	repo_free(p.site);
	p.site = NULL;
}

static void at_every_call(enum fault_mode mode)
{
	bool all = getenv("WALK_ALL") != NULL || getenv("SOAK_ROUNDS") != NULL;
	struct buf root = BUF_INIT(FIX_FILE_MAX);
	unsigned n, calls, ignored;
	int was;

	alarm(all ? 3600 : 120);
	begin_imported();
	MUST(fix_publish(&p.hq, p.main, "plant/plc/2", "two", 2, FIX_NOW + 40, &err));
	MUST(fix_publish(&p.hq, p.main, "plant/plc/3", "three", 3, FIX_NOW + 50, &err));
	load_all(&l, &p);
	next_root(&(struct ceremony_rotation){.root_threshold = 0}, &root);
	load_add(&l, "2.root.json", buf_slice(&root));
	pair_carry(&p, "two");
	pair_carry(&p, "three");
	repo_free(p.site);
	p.site = NULL;
	snprintf(image, sizeof(image), "%s.image", p.depot.home);
	shell("rm -rf %s && cp -a %s %s", p.depot.home, image);
	CHECK_INT(run_import(0, FAULT_NONE, &calls), 0);
	check_between(true);
	CHECK(calls > 10);
	printf("# %u calls\n", calls);
	for (n = 1; n <= calls; n++) {
		was = tap_failures;
		shell("rm -rf %s && cp -a %s %s", image, p.depot.home);
		check_between(run_import(n, mode, &ignored) == 0);
		if (tap_failures > was)
			printf("# ^ call %u\n", n);
	}
	CHECK(file_remove_tree(AT_FDCWD, image, &err) == 0);
	buf_release(&root);
	end();
}

TEST(a_power_cut_leaves_old_or_new)
{
	at_every_call(FAULT_CUT);
}

TEST(a_power_cut_that_loses_all_that_was_not_synced_leaves_old_or_new)
{
	at_every_call(FAULT_CUTZERO);
}

TEST(a_power_cut_that_loses_names_leaves_old_or_new)
{
	at_every_call(FAULT_CUTDIR);
}

TEST(a_failing_call_leaves_old_or_new)
{
	at_every_call(FAULT_ERROR);
}

TEST(a_torn_write_leaves_old_or_new)
{
	at_every_call(FAULT_TORN);
}

TEST(a_full_disk_leaves_old_or_new)
{
	at_every_call(FAULT_FULL);
}

TEST(a_read_only_disk_leaves_old_or_new)
{
	at_every_call(FAULT_ROFS);
}

#endif
