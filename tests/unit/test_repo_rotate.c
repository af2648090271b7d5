/* New online keys: staged, named by a root, in force; and whole again after a crash at any call between. */
#include "tap.h"

#include "repo_fixture.h"
#include "sys/fault.h"

/* A repository in force, with new keys staged (and a publisher under a fresh name). */
static struct repo *staged_repo(struct fixture *f, struct online_keys *next)
{
	struct repo *r = fix_repo(f);
	struct buf text = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct error err = ERROR_INIT;
	struct repo_publisher fresh;
	struct repo_rotate_options o = {.publishers = &fresh, .publisher_count = 1, .now_s = FIX_NOW};

	MUST(publisher_parse_word(&fresh, "releases2:plant/*/*", &err));
	MUST(repo_keys_rotate(r, &o, &text, &err));
	MUST(online_keys_parse(next, buf_slice(&text), &err));
	repo_publisher_release(&fresh);
	buf_release(&text);
	return r;
}

/* The next root and targets, which name these online keys: files into the fixture's buffers. */
static void rotate_to(struct fixture *f, const struct online_keys *next, struct buf *root, struct buf *targets)
{
	static const uint8_t nonce[16] = {5};
	struct repo_publisher fresh = {.name = "releases2"};
	struct ceremony_rotation r = {
		.next = {.root = buf_slice(&f->root_file), .targets = buf_slice(&f->targets_file), .publishers = &fresh,
			 .publisher_count = 1, .removed = (const char *const[]){"releases"}, .removed_count = 1,
			 .life_s = 180 * FIX_DAY, .now_s = FIX_NOW, .nonce = nonce},
		.online = next,
		.root_life_s = 365 * FIX_DAY,
	};
	struct buf text = BUF_INIT(CEREMONY_REQUEST_MAX);
	struct error err = ERROR_INIT;
	struct ceremony *c;

	MUST(ceremony_rotate(&text, &r, &err));
	c = ceremony_parse(buf_slice(&text), &err);
	REQUIRE(c != NULL);
	fix_answer(c, f->root[0], FIX_NOW);
	fix_answer(c, f->root[1], FIX_NOW);
	fix_answer(c, f->targets[0], FIX_NOW);
	MUST(ceremony_finish(c, 0, FIX_NOW, root, &err));
	MUST(ceremony_finish(c, 1, FIX_NOW, targets, &err));
	ceremony_free(c);
	buf_release(&text);
}

static int adopt(struct repo *r, const struct buf *root, const struct buf *targets, struct error *err)
{
	const struct slice files[] = {buf_slice(root), buf_slice(targets)};
	struct repo_adoption out;

	return repo_adopt(r, files, 2, FIX_NOW + 1, &out, err);
}

TEST(staged_keys_come_into_force_with_their_root)
{
	struct buf root = BUF_INIT(FIX_FILE_MAX), targets = BUF_INIT(FIX_FILE_MAX);
	struct repo_resigned signed_now;
	struct error err = ERROR_INIT;
	struct online_keys next;
	struct fixture f;
	struct repo *r = staged_repo(&f, &next);

	CHECK(repo_keys_staged(r));
	CHECK(!pubkey_equal(&next.snapshot, &f.online.snapshot));
	CHECK(!pubkey_equal(&next.timestamp, &f.online.timestamp));
	CHECK(!pubkey_equal(next.record_site, f.online.record_site));
	CHECK_INT(next.publisher_count, 1);
	CHECK_STR(next.publishers[0].name, "releases2");
	/* The old ones sign until then. */
	CHECK_INT(repo_resign(r, FIX_NOW + 1, REPO_FORCE, 0, &signed_now, &err), 0);
	rotate_to(&f, &next, &root, &targets);
	CHECK_INT(adopt(r, &root, &targets, &err), 0);
	CHECK(!repo_keys_staged(r));
	CHECK(pubkey_equal(&repo_online_keys(r)->snapshot, &next.snapshot));
	CHECK(repo_role_find(r, SLICE_LIT("releases2"))->held);
	CHECK_INT(repo_resign(r, FIX_NOW + 2, REPO_FORCE, 0, &signed_now, &err), 0);
	CHECK_INT(signed_now.publishers, 1);
	repo_free(r);
	r = fix_open(&f);
	CHECK(pubkey_equal(&repo_online_keys(r)->timestamp, &next.timestamp));
	CHECK_INT(repo_resign(r, FIX_NOW + 3, REPO_FORCE, 0, &signed_now, &err), 0);
	repo_free(r);
	online_keys_release(&next);
	buf_release(&root);
	buf_release(&targets);
	fix_end(&f);
}

TEST(staging_refuses_what_would_do_harm)
{
	struct buf root = BUF_INIT(FIX_FILE_MAX), targets = BUF_INIT(FIX_FILE_MAX), text = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
	struct repo_rotate_options o = {.now_s = FIX_NOW};
	struct error err = ERROR_INIT;
	struct repo_publisher same;
	struct online_keys next;
	struct fixture f;
	struct repo *r = staged_repo(&f, &next);

	REFUSED(repo_keys_rotate(r, &o, &text, &err), ERR_CONFLICT, "wait for their root already");
	MUST(publisher_parse_word(&same, "releases:plant/*/*", &err));
	o.publishers = &same;
	o.publisher_count = 1;
	o.replace = true;
	REFUSED(repo_keys_rotate(r, &o, &text, &err), ERR_CONFLICT, "publisher 'releases' has a key here already");
	CHECK(repo_keys_staged(r));
	rotate_to(&f, &next, &root, &targets);
	o.publisher_count = 0;
	MUST(repo_keys_rotate(r, &o, &text, &err));
	/* Others wait now: the root that names the former is not this box's any more. */
	REFUSED(adopt(r, &root, &targets, &err), ERR_REFUSED, "does not name this box's own snapshot key");
	CHECK(repo_keys_staged(r));
	/* A root that names the keys in use leaves the staged ones waiting. */
	{
		const struct ceremony_rotation renewal = {
			.next = {.root = buf_slice(&f.root_file), .life_s = FIX_DAY, .now_s = FIX_NOW,
				 .nonce = (const uint8_t[16]){1}},
			.root_life_s = 300 * FIX_DAY,
		};
		struct repo_adoption out;
		struct ceremony *c;
		struct slice file;

		buf_clear(&text);
		buf_clear(&root);
		text.max = CEREMONY_REQUEST_MAX;
		MUST(ceremony_rotate(&text, &renewal, &err));
		c = ceremony_parse(buf_slice(&text), &err);
		REQUIRE(c != NULL);
		fix_answer(c, f.root[0], FIX_NOW);
		fix_answer(c, f.root[1], FIX_NOW);
		MUST(ceremony_finish(c, 0, FIX_NOW, &root, &err));
		ceremony_free(c);
		file = buf_slice(&root);
		CHECK_INT(repo_adopt(r, &file, 1, FIX_NOW + 1, &out, &err), 0);
		CHECK(repo_keys_staged(r));
		CHECK(pubkey_equal(&repo_online_keys(r)->snapshot, &f.online.snapshot));
	}
	repo_publisher_release(&same);
	repo_free(r);
	online_keys_release(&next);
	buf_release(&root);
	buf_release(&targets);
	buf_release(&text);
	fix_end(&f);
}

TEST(a_box_that_was_silent_for_long_asks_for_its_clock)
{
	struct buf root = BUF_INIT(FIX_FILE_MAX), text = BUF_INIT(CEREMONY_REQUEST_MAX);
	int64_t late = FIX_NOW + 420 * FIX_DAY;
	const struct ceremony_delegation next = {.life_s = 180 * FIX_DAY, .now_s = late, .nonce = (const uint8_t[16]){1}};
	struct ceremony_rotation rotation = {.next = next, .root_life_s = 365 * FIX_DAY};
	struct buf targets = BUF_INIT(FIX_FILE_MAX);
	struct repo_adoption out;
	struct repo_resigned signed_now;
	struct error err = ERROR_INIT;
	struct slice files[2];
	struct ceremony *c;
	struct fixture f;
	struct repo *r = fix_repo(&f);

	rotation.next.root = buf_slice(&f.root_file);
	rotation.next.targets = buf_slice(&f.targets_file);
	MUST(ceremony_rotate(&text, &rotation, &err));
	c = ceremony_parse(buf_slice(&text), &err);
	REQUIRE(c != NULL);
	fix_answer(c, f.root[0], late);
	fix_answer(c, f.root[1], late);
	fix_answer(c, f.targets[0], late);
	MUST(ceremony_finish(c, 0, late, &root, &err));
	MUST(ceremony_finish(c, 1, late, &targets, &err));
	ceremony_free(c);
	REFUSED(repo_resign(r, late, REPO_ACCEPT_CLOCK, 0, &signed_now, &err), ERR_REFUSED, "expired");
	files[0] = buf_slice(&root);
	files[1] = buf_slice(&targets);
	REFUSED(repo_adopt(r, files, 2, late, &out, &err), ERR_RETRY, "after the last signature");
	CHECK(strstr(err.hint, "repo adopt --accept-clock") != NULL);
	CHECK_INT(repo_adopt_with(r, files, 2, late, REPO_ACCEPT_CLOCK, &out, &err), 0);
	CHECK_INT(repo_resign(r, late + 1, REPO_FORCE, 0, &signed_now, &err), 0);
	repo_free(r);
	buf_release(&root);
	buf_release(&targets);
	buf_release(&text);
	fix_end(&f);
}

#ifdef MESHANICS_TEST

static void copy_home(const char *from, const char *to)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s && cp -a %s %s", to, from, to);
	REQUIRE(system(command) == 0);
}

/* Whatever was interrupted: the repository opens, and signs with the keys that its root names. */
static bool is_new(struct fixture *f, const struct online_keys *next)
{
	struct repo_resigned signed_now;
	struct error err = ERROR_INIT;
	struct repo *r = repo_open(f->home, &err);
	bool fresh;

	if (r == NULL)
		printf("# after the fault: %s\n", err.text);
	REQUIRE(r != NULL);
	fresh = repo_root(r)->head.version == 2;
	CHECK(pubkey_equal(&repo_online_keys(r)->snapshot, fresh ? &next->snapshot : &f->online.snapshot));
	CHECK(repo_keys_staged(r) != fresh);
	MUST(repo_resign(r, FIX_NOW + 2, REPO_FORCE, 0, &signed_now, &err));
	CHECK_INT(signed_now.publishers, 1);
	repo_free(r);
	return fresh;
}

static void walk(enum fault_mode mode)
{
	struct buf root = BUF_INIT(FIX_FILE_MAX), targets = BUF_INIT(FIX_FILE_MAX);
	unsigned n, saw_old = 0, saw_new = 0;
	struct error err = ERROR_INIT;
	struct online_keys next;
	char image[80];
	struct fixture f;

	repo_free(staged_repo(&f, &next));
	rotate_to(&f, &next, &root, &targets);
	snprintf(image, sizeof(image), "%s.image", f.home);
	copy_home(f.home, image);
	for (n = 1;; n++) {
		int status;
		bool fresh;
		pid_t pid;

		copy_home(image, f.home);
		fflush(stdout);
		if ((pid = fork()) == 0) {
			struct repo *child = fix_open(&f);

			fault_arm(n, mode);
			status = adopt(child, &root, &targets, &err) < 0 ? 1 : 0;
			_exit(fault_count() < n ? 7 : status);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		fresh = is_new(&f, &next);
		CHECK(WEXITSTATUS(status) != 0 || fresh);
		saw_old += !fresh;
		saw_new += fresh;
		if (WEXITSTATUS(status) == 7)
			break;
		REQUIRE(n < 500);
	}
	CHECK(saw_old > 5 && saw_new > 5);
	REQUIRE(file_remove_tree(AT_FDCWD, image, &err) == 0);
	online_keys_release(&next);
	buf_release(&root);
	buf_release(&targets);
	fix_end(&f);
}

TEST(adoption_of_staged_keys_survives_a_power_cut_at_every_call)
{
	walk(FAULT_CUT);
}

TEST(adoption_of_staged_keys_survives_a_power_cut_that_loses_names_too)
{
	walk(FAULT_CUTDIR);
}

TEST(adoption_of_staged_keys_survives_an_error_at_every_call)
{
	walk(FAULT_ERROR);
}

static void walk_staging(enum fault_mode mode)
{
	struct repo_rotate_options o = {.now_s = FIX_NOW};
	struct error err = ERROR_INIT;
	struct fixture f;
	unsigned n;

	repo_free(fix_repo(&f));
	for (n = 1;; n++) {
		struct buf text = BUF_INIT(ONLINE_KEYS_SIZE_MAX);
		struct repo_resigned signed_now;
		struct repo *r;
		int status;
		pid_t pid;

		fflush(stdout);
		if ((pid = fork()) == 0) {
			r = fix_open(&f);
			fault_arm(n, mode);
			_exit(repo_keys_rotate(r, &o, &text, &err) < 0 ? 1 : 0);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		r = fix_open(&f);
		CHECK(pubkey_equal(&repo_online_keys(r)->snapshot, &f.online.snapshot));
		MUST(repo_resign(r, FIX_NOW + 1, REPO_FORCE, 0, &signed_now, &err));
		o.replace = repo_keys_staged(r);
		repo_free(r);
		if (WEXITSTATUS(status) == 0)
			break;
		REQUIRE(n < 500);
	}
	fix_end(&f);
}

TEST(staging_survives_a_power_cut_at_every_call)
{
	walk_staging(FAULT_CUT);
}

TEST(staging_survives_a_power_cut_that_loses_names_too)
{
	walk_staging(FAULT_CUTDIR);
}

#endif
