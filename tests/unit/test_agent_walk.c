/*
 * The agent interrupted at every change it makes to a disk: power cuts, errors, a full and a read-only disk. After each
 * it starts again without the fault, and must come to its end: the old version or the new one in place, whole, at
 * every look; each transition told once and none lost; nothing left behind. Here its first start and an update;
 * test_agent_walk_back.c has the ways back and out. sys/fault.h says how to walk all.
 */
#include "tap.h"

#ifdef MESHANICS_TEST

#include "walk_agent.h"

/* ---- a device's first start: state, registration, the first version ---- */

static void check_first(bool cut)
{
	struct told t;

	check_told(&t);
	CHECK(!cut || told_times(&t, 1, "healthy") == 1);
	check_calm(told_times(&t, 1, "healthy") == 1 ? 1 : 0, 0);
}

static const struct walk first = {"first start", 0, 1, false, check_first};

TEST(a_first_start_survives_power_cuts)
{
	NEEDS_SECCOMP();
	site_start();
	run_script(1, "plant/plc/1.0", "install");
	walk_modes(&first, 11, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_first_start_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_start();
	run_script(1, "plant/plc/1.0", "install");
	walk_modes(&first, 61, errors, ARRAY_SIZE(errors));
	site_end();
}

/* ---- an update ---- */

static void check_update(bool cut)
{
	struct told t;
	bool healthy;

	check_told(&t);
	healthy = told_times(&t, 2, "healthy") == 1;
	CHECK(!cut || healthy);
	CHECK_INT(told_times(&t, 1, "healthy"), 1);
	if (healthy)
		check_calm(2, 1);
	else
		check_calm(1, 0);
}

static const struct walk update = {"update", 1, 2, false, check_update};

TEST(an_update_survives_power_cuts)
{
	NEEDS_SECCOMP();
	site_with_one();
	run_script(2, "plant/plc/2.0", "install");
	walk_modes(&update, 5, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(an_update_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_with_one();
	run_script(2, "plant/plc/2.0", "install");
	walk_modes(&update, 29, errors, ARRAY_SIZE(errors));
	site_end();
}

#else

TEST(faults_are_in_test_builds_only)
{
	SKIP("not a test build");
}

#endif
