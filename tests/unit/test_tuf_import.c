/* Import: a site takes root, targets and delegations, and measures them against its own state. */
#include "tap.h"

#include "tufkit.h"

static struct kit kit;
static struct kit_store store;
static struct kit_run run;

#define ALL "\"paths\": [\"*\", \"*/*\", \"*/*/*\"]"

/* The import as a bundle has it: files without versions in their names, roots with. */
static int import_with(int64_t clock_s)
{
	struct tuf_options options = {.mode = TUF_MODE_IMPORT, .clock_s = clock_s};

	return kit_run_with(&kit, &run, buf_slice(&kit_file(&kit, "1.root.json")->bytes), &store.t, &options, NULL);
}

static void imports(void)
{
	import_with(KIT_NOW);
	CHECK_ACCEPTED(run);
	CHECK(tuf_client_want(run.c) == NULL);
	kit_done(&run);
}

static void refuses(const char *text)
{
	import_with(KIT_NOW);
	CHECK_REFUSED(run, text);
	kit_done(&run);
}

static void begin(void)
{
	kit_init(&kit);
	kit_store_open(&store);
	kit.consistent = false;	/* names in the bundle carry no version */
	kit_target(&kit.targets, "a", "content");
	kit_target(kit_role(&kit, "publisher", &kit.spare[0]), "plant/plc/1", "content");
	kit_delegate_one(&kit.targets, "publisher", &kit.spare[0], ALL, true);
	kit_publish(&kit);
}

/* What the site does after an import: its own snapshot over what it holds now. */
static void site_snapshot(void)
{
	const struct tuf_change change = {"snapshot", buf_slice(&kit_publish_snapshot(&kit)->bytes), 1};
	struct error err = ERROR_INIT;

	REQUIRE(trusted_commit(&store.t, &change, 1, -1, &err) == 0);
}

static void end(void)
{
	kit_store_close(&store);
	kit_release(&kit);
}

TEST(an_import_takes_all_roles_and_no_snapshot)
{
	begin();
	imports();
	CHECK_STR(kit.log, "2.root.json targets.json publisher.json ");
	CHECK_INT(kit_stored_version(&store.t, "targets"), 1);
	CHECK_INT(kit_stored_version(&store.t, "publisher"), 1);
	CHECK_INT(kit_stored_version(&store.t, "timestamp"), 0);
	CHECK_INT(kit_stored_version(&store.t, "snapshot"), 0);
	site_snapshot();
	imports();
	end();
}

TEST(an_import_may_leave_out_what_has_not_changed)
{
	begin();
	imports();
	site_snapshot();
	kit.roles[0].version = 2;
	kit_publish_targets(&kit, &kit.roles[0]);
	kit_file(&kit, "targets.json")->answer = ERR_NOT_FOUND;
	imports();
	CHECK_INT(kit_stored_version(&store.t, "publisher"), 2);
	kit_file(&kit, "publisher.json")->answer = ERR_NOT_FOUND;
	imports();
	end();
}

TEST(an_import_does_not_go_back)
{
	begin();
	kit.targets.version = kit.roles[0].version = 5;
	kit_publish(&kit);
	imports();
	site_snapshot();
	kit.targets.version = 4;
	kit_publish_targets(&kit, &kit.targets);
	refuses("targets has version 4, older than version 5 held here (5.5.5)");
	kit.targets.version = 5;
	kit_publish_targets(&kit, &kit.targets);
	kit.roles[0].version = 4;
	kit_publish_targets(&kit, &kit.roles[0]);
	refuses("publisher has version 4, older than version 5 held here (5.5.5)");
	CHECK_INT(kit_stored_version(&store.t, "publisher"), 5);
	kit.roles[0].version = 6;
	kit_publish_targets(&kit, &kit.roles[0]);
	imports();
	CHECK_INT(kit_stored_version(&store.t, "publisher"), 6);
	end();
}

/* Before the first snapshot of the site, what lies in the store itself says how far we are. */
TEST(an_import_does_not_go_below_stored_files_either)
{
	begin();
	kit.targets.version = 5;
	kit_publish(&kit);
	imports();
	kit.targets.version = 4;
	kit_publish(&kit);
	refuses("targets is older than version 5 held here");
	end();
}

TEST(an_import_checks_signatures_and_expiry)
{
	begin();
	kit.by[TUF_TARGETS].sign[0] = &kit.spare[1];
	kit_publish(&kit);
	refuses("targets: signed by 0 of the 1 keys needed (5.6.3)");
	kit.by[TUF_TARGETS].sign[0] = &kit.targets_key;
	kit.roles[0].by.sign[0] = &kit.targets_key;
	kit_publish(&kit);
	refuses("publisher: signed by 0 of the 1 keys needed (5.6.3)");
	kit.roles[0].by.sign[0] = &kit.spare[0];
	kit.roles[0].expires = KIT_PAST;
	kit_publish(&kit);
	refuses("publisher version 1 expired");
	kit.roles[0].expires = KIT_EXPIRES;
	kit.expires[TUF_ROOT] = KIT_PAST;
	kit_publish(&kit);
	refuses("root version 1 expired");
	end();
}

/* What stays must still be good. */
TEST(an_import_does_not_keep_what_has_ended)
{
	begin();
	kit.roles[0].expires = "2027-01-15T09:00:00Z";
	kit_publish(&kit);
	imports();
	site_snapshot();
	kit_file(&kit, "publisher.json")->answer = ERR_NOT_FOUND;
	import_with(KIT_NOW + 3600);
	CHECK_REFUSED(run, "publisher version 1 expired");
	CHECK(run.err.hint[0] != '\0');
	kit_done(&run);
	end();
}

TEST(a_missing_targets_file_is_refused)
{
	begin();
	kit_file(&kit, "targets.json")->answer = ERR_NOT_FOUND;
	refuses("role 'targets' is missing");
	end();
}

TEST(a_role_that_was_held_may_not_go_missing)
{
	const struct tuf_change gone = {"publisher", SLICE_EMPTY, 0};
	struct error err = ERROR_INIT;

	begin();
	imports();
	site_snapshot();
	REQUIRE(trusted_commit(&store.t, &gone, 1, -1, &err) == 0);
	kit_file(&kit, "publisher.json")->answer = ERR_NOT_FOUND;
	refuses("role 'publisher' is missing");
	end();
	/* But one that nobody has published yet may. */
	begin();
	kit_file(&kit, "publisher.json")->answer = ERR_NOT_FOUND;
	imports();
	CHECK_INT(kit_stored_version(&store.t, "targets"), 1);
	CHECK_INT(kit_stored_version(&store.t, "publisher"), 0);
	end();
}

TEST(a_damaged_own_snapshot_stops_the_import)
{
	const struct tuf_change torn = {"snapshot", SLICE_LIT("{"), 1};
	struct error err = ERROR_INIT;

	begin();
	imports();
	REQUIRE(trusted_commit(&store.t, &torn, 1, -1, &err) == 0);
	refuses("our own snapshot does not hold");
	CHECK(run.err.hint[0] != '\0');
	end();
}

TEST(every_delegator_of_an_imported_role_must_agree)
{
	begin();
	const struct kit_delegation top[] = {{"publisher", &kit.spare[0], ALL, false}, {"other", &kit.spare[1], ALL, false}};

	kit_delegate(&kit.targets, top, 2);
	kit_role(&kit, "other", &kit.spare[1]);
	kit_delegate_one(&kit.roles[1], "publisher", &kit.spare[0], ALL, false);
	kit_publish(&kit);
	imports();
	kit_delegate_one(&kit.roles[1], "publisher", &kit.spare[2], ALL, false);
	kit.roles[1].version = 2;
	kit_publish(&kit);
	refuses("as delegated by 'other'");
	end();
}

/* A targets key was stolen and its version driven up: new targets keys and new online keys let it come down. */
TEST(an_import_recovers_from_a_fast_forward)
{
	begin();
	kit.targets.version = TUF_VERSION_MAX;
	kit_publish(&kit);
	imports();
	site_snapshot();
	kit.targets.version = 2;
	kit.version[TUF_ROOT] = 2;
	kit_signers_set(&kit.by[TUF_TARGETS], 1, &kit.spare[3], NULL, NULL);
	kit_publish_root(&kit);
	kit_publish_targets(&kit, &kit.targets);
	refuses("older than version 9007199254740991 held here");
	CHECK_INT(kit_stored_version(&store.t, "root"), 2);
	end();
	begin();
	kit.targets.version = TUF_VERSION_MAX;
	kit_publish(&kit);
	imports();
	site_snapshot();
	kit.targets.version = 2;
	kit.version[TUF_ROOT] = 2;
	kit_signers_set(&kit.by[TUF_TARGETS], 1, &kit.spare[3], NULL, NULL);
	kit_signers_set(&kit.by[TUF_SNAPSHOT], 1, &kit.spare[4], NULL, NULL);
	kit_publish_root(&kit);
	kit_publish_targets(&kit, &kit.targets);
	imports();
	CHECK_INT(kit_stored_version(&store.t, "targets"), 2);
	end();
}

TEST(an_import_has_no_targets_to_search)
{
	begin();
	import_with(KIT_NOW);
	CHECK_ACCEPTED(run);
	CHECK_INT(tuf_client_lookup(run.c, SLICE_LIT("a"), &run.err), -1);
	kit_done(&run);
	end();
}
