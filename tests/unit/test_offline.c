/* The trusted state read without a server: each file good, expired, damaged or missing, and what hangs from it. */
#include "tap.h"

#include <fcntl.h>

#include "tuf/offline.h"
#include "tufkit.h"

static struct kit k;
static struct kit_store store;
static struct offline_state now;

static void refresh(void)
{
	struct kit_run run;

	CHECK_INT(kit_run(&k, &run, &store.t, NULL), 0);
	kit_done(&run);
}

static void set_up(void)
{
	kit_init(&k);
	kit_publish(&k);
	kit_store_open(&store);
	refresh();
}

static void tear_down(void)
{
	kit_store_close(&store);
	kit_release(&k);
}

static const char *state_at(int64_t now_s)
{
	static const char letters[] = "mdeg";
	static char text[TUF_TYPES + 1];
	struct error err = ERROR_INIT;
	unsigned i;

	if (offline_read(&now, buf_slice(&kit_file(&k, "1.root.json")->bytes), &store.t, now_s, &err) < 0)
		return err.text[0] != '\0' ? "refused" : "";
	for (i = 0; i < TUF_TYPES; i++)
		text[i] = letters[now.roles[i].state];
	return text;
}

/* In the order root, timestamp, snapshot, targets. */
TEST(all_is_good_until_it_expires)
{
	struct error err = ERROR_INIT;

	set_up();
	CHECK_STR(state_at(KIT_NOW), "gggg");
	CHECK(now.usable);
	CHECK_INT(now.refreshed_s, 0);
	CHECK_INT(now.roles[TUF_SNAPSHOT].version, 1);
	k.expires[TUF_TIMESTAMP] = "2027-01-16T08:00:00Z";
	kit_bump(&k);
	refresh();
	CHECK_STR(state_at(KIT_NOW), "gggg");
	CHECK_STR(state_at(KIT_NOW + 24 * 3600), "gegg");
	CHECK(!now.usable);
	CHECK_INT(now.roles[TUF_TIMESTAMP].version, 2);
	CHECK_STR(state_at(KIT_NOW + 365 * 24 * 3600), "eeee");
	CHECK_INT(trusted_refreshed(&store.t, KIT_NOW - 7, &err), 0);
	CHECK_STR(state_at(KIT_NOW), "gggg");
	CHECK_INT(now.refreshed_s, KIT_NOW - 7);
	tear_down();
}

TEST(what_hangs_from_a_damaged_file_is_missing)
{
	static const struct {
		const char *name, *damaged, *lost;
	} cases[] = {
		{"targets.json", "gggd", "gggm"},
		{"snapshot.json", "ggdm", "ggmm"},
		{"timestamp.json", "gdmm", "gmmm"},
	};
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up();
		CHECK_INT(file_replace(store.t.dirfd, cases[i].name, 0600, SLICE_LIT("{}"), &err), 0);
		CHECK_STR(state_at(KIT_NOW), cases[i].damaged);
		CHECK_INT(file_unlink(store.t.dirfd, cases[i].name, &err), 0);
		CHECK_STR(state_at(KIT_NOW), cases[i].lost);
		tear_down();
	}
}

/* A snapshot that is signed well, but is not the one that the timestamp names. */
TEST(files_that_do_not_belong_together_are_damaged)
{
	struct error err = ERROR_INIT;

	set_up();
	kit_bump(&k);
	CHECK_INT(file_replace(store.t.dirfd, "snapshot.json", 0600, buf_slice(&kit_file(&k, "2.snapshot.json")->bytes),
			       &err),
		  0);
	CHECK_STR(state_at(KIT_NOW), "ggdm");
	tear_down();
}

TEST(a_damaged_root_is_told_and_a_lost_one_is_the_anchor)
{
	struct error err = ERROR_INIT;

	set_up();
	k.version[TUF_ROOT] = 2;
	kit_publish_root(&k);
	refresh();
	CHECK_STR(state_at(KIT_NOW), "gggg");
	CHECK_INT(now.roles[TUF_ROOT].version, 2);
	CHECK_INT(file_replace(store.t.dirfd, "root.json", 0600, SLICE_LIT("{"), &err), 0);
	CHECK_STR(state_at(KIT_NOW), "dmmm");
	CHECK_INT(file_unlink(store.t.dirfd, "root.json", &err), 0);
	CHECK_STR(state_at(KIT_NOW), "gggg");
	CHECK_INT(now.roles[TUF_ROOT].version, 1);
	kit_file(&k, "1.root.json")->bytes.len /= 2;
	CHECK_STR(state_at(KIT_NOW), "refused");
	tear_down();
}
