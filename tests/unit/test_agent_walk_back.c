/*
 * As test_agent_walk.c, for the ways back and out: rollback, an order to revert, the renewal of the certificate, and
 * leaving the fleet.
 */
#include "tap.h"

#ifdef MESHANICS_TEST

#include "walk_agent.h"

/* ---- a rollback: the probe fails ---- */

static void check_rollback(bool cut)
{
	struct told t;

	check_told(&t);
	CHECK_INT(told_times(&t, 2, "healthy"), 0);
	CHECK(!cut || told_times(&t, 2, "rolled_back") == 1);
	check_calm(1, 0);
}

static const struct walk back = {"rollback", 1, 2, false, check_rollback};

static void site_whose_probe_fails(void)
{
	struct error err = ERROR_INIT;

	site_with_one();
	MUST(file_replace(AT_FDCWD, site.life, 0644, SLICE_EMPTY, &err));
	run_script(2, "plant/plc/2.0", "install");
}

TEST(a_rollback_survives_power_cuts)
{
	NEEDS_SECCOMP();
	site_whose_probe_fails();
	walk_modes(&back, 9, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_rollback_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_whose_probe_fails();
	walk_modes(&back, 41, errors, ARRAY_SIZE(errors));
	site_end();
}

/* ---- an order to revert what is healthy ---- */

static void check_revert(bool cut)
{
	struct told t;

	(void)cut;
	check_told(&t);
	CHECK_INT(told_times(&t, 2, "rolled_back"), 1);
	check_calm(1, 0);
}

static const struct walk revert = {"revert", 2, 1, false, check_revert};

static void site_with_two(void)
{
	struct run_end end;

	site_with_one();
	run_script(2, "plant/plc/2.0", "install");
	end = run_agent(0, FAULT_NONE, PATIENCE_LONG_MS);
	REQUIRE(end.status == 0 && !end.late && in_place() == 2);
	run_script(2, "plant/plc/2.0", "revert");
}

TEST(a_revert_survives_power_cuts)
{
	NEEDS_SECCOMP();
	site_with_two();
	walk_modes(&revert, 4, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_revert_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_with_two();
	walk_modes(&revert, 17, errors, ARRAY_SIZE(errors));
	site_end();
}

/* The order is taken back after the power failed: what the record says runs. */
TEST(a_revert_that_is_not_repeated_leaves_record_and_disk_the_same)
{
	char home[128];
	struct error err = ERROR_INIT;
	struct run_end end, whole;
	struct installed i;
	struct db *db;
	unsigned n;

	NEEDS_SECCOMP();
	site_with_two();
	site_keep();
	whole = run_agent(0, FAULT_NONE, PATIENCE_LONG_MS);
	for (n = whole.calls > 40 ? whole.calls - 40 : 1; n <= whole.calls; n += walk_all() ? 1 : 4) {
		site_bring_back();
		run_script(2, "plant/plc/2.0", "revert");
		end = run_agent(n, FAULT_CUT, PATIENCE_MS);
		script = (struct script){.action = "install"};
		end = run_agent(0, FAULT_NONE, 400);
		CHECK(end.status == 0);
		snprintf(home, sizeof(home), "%s/agent", site.dev);
		db = state_open(home, &err);
		REQUIRE(db != NULL);
		CHECK(state_installed(db, "plant/plc", &i, &err) == 0);
		db_close(db);
		CHECK_STR(i.version, in_place() == 1 ? "1.0" : "2.0");
	}
	site_end();
}

/* ---- the renewal of a certificate ---- */

static void check_renewal(bool cut)
{
	struct error err = ERROR_INIT;
	struct identity id;
	int fd = agent_home_open(site.dev, &err);
	struct told t;

	(void)cut;
	REQUIRE(fd >= 0);
	read_told(&t);
	CHECK_INT(t.other_keys, 0);
	identity_init(&id);
	CHECK_INT(identity_load(&id, fd, &err), 0);	/* the key belongs to the certificate */
	CHECK(!slice_equal(buf_slice(&id.certificate), buf_slice(&site.first.certificate)));
	identity_release(&id);
	close(fd);
	check_calm(0, 0);
}

static const struct walk renewal = {"renewal", 0, 0, false, check_renewal};

/* And between the two runs it has one that works; run_agent would not start otherwise. */
static void site_to_renew(void)
{
	site_start();
	script = (struct script){.order = "renew", .action = "", .path = ""};
}

TEST(a_renewal_survives_power_cuts)
{
	NEEDS_SECCOMP();
	site_to_renew();
	walk_modes(&renewal, 14, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_renewal_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_to_renew();
	walk_modes(&renewal, 41, errors, ARRAY_SIZE(errors));
	site_end();
}

/* ---- leaving the fleet ---- */

static void check_wiped(bool cut)
{
	(void)cut;
	CHECK(strcmp(names_in("."), "") == 0 || strcmp(names_in("."), "lock") == 0);
}

static const struct walk wipe = {"wipe", 1, 0, true, check_wiped};

static void site_to_leave(void)
{
	site_with_one();
	script = (struct script){.order = "wipe", .action = "", .path = ""};
}

/* Its last start may be the one that finishes, or the one that finds nothing more to do. */
TEST(a_wipe_survives_power_cuts)
{
	NEEDS_SECCOMP();
	site_to_leave();
	walk_modes(&wipe, 7, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_wipe_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_to_leave();
	walk_modes(&wipe, 21, errors, ARRAY_SIZE(errors));
	site_end();
}

#else

TEST(faults_are_in_test_builds_only)
{
	SKIP("not a test build");
}

#endif
