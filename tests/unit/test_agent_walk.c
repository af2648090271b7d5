/*
 * The agent interrupted at every change it makes to a disk: power cuts, errors, a full and a read-only disk. After each
 * it starts again without the fault, and must come to its end: the old version or the new one in place, whole, at
 * every look; each transition told once and none lost; nothing left behind. See sys/fault.h for how to walk all.
 */
#include "walk_site.h"

#ifdef MESHANICS_TEST

#include "agent/supervisor.h"

#define PATIENCE_MS 1500	/* of a run with a fault that does not end it, but after which calls work again */
#define PATIENCE_SHORT_MS 300	/* with one that lasts */
#define PATIENCE_LONG_MS 60000	/* of one without */

/* ---- what must hold at every moment ---- */

/* Which version is in place: 0 none, 1, 2, 3; -1: neither whole. */
static int in_place(void)
{
	static const char *const contents[] = {"one\n", "two\n", "three\n"}, *const versions[] = {"1.0", "2.0", "3.0"};
	struct buf text = BUF_INIT(100);
	struct error err = ERROR_INIT;
	char path[160], link[NAME_LEN_MAX + 1] = "";
	int i, fd, found = -1;
	struct stat st;

	snprintf(path, sizeof(path), "%s/agent/artifacts", site.dev);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !file_exists(fd, "plant/plc/current")) {
		found = 0;
	} else if (place_current(fd, "plant/plc", link, &err) == 0 &&
		   file_read(fd, "plant/plc/current/plc", &text, &err) == 0 &&
		   fstatat(fd, "plant/plc/current/plc", &st, 0) == 0 && (st.st_mode & 07777) == 0640) {
		for (i = 0; i < 3; i++)
			if (strcmp(link, versions[i]) == 0 && slice_equal_str(buf_slice(&text), contents[i]))
				found = i + 1;
	}
	if (found < 0)
		printf("# current -> '%s': '%.*s' (%s)\n", link, SLICE_ARG(buf_slice(&text)), err.text);
	file_close(&fd);
	buf_release(&text);
	return found;
}

/* Names in a directory below the agent's home, sorted by strcmp, joined by blanks; "." and ".." apart. */
static const char *names_in(const char *dir)
{
	static char out[1024];
	struct dirent **list = NULL;
	char path[256];
	int n, i;

	snprintf(path, sizeof(path), "%s/agent/%s", site.dev, dir);
	out[0] = '\0';
	n = scandir(path, &list, NULL, alphasort);
	for (i = 0; i < n; i++) {
		size_t len = strlen(out);

		if (strcmp(list[i]->d_name, ".") != 0 && strcmp(list[i]->d_name, "..") != 0)
			snprintf(out + len, sizeof(out) - len, "%s%s", len > 0 ? " " : "", list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return out;
}

static int64_t number(struct db *db, const char *sql)
{
	struct error err = ERROR_INIT;
	int64_t n = -1;

	CHECK_INT(db_get_int(db, sql, &n, &err), 0);
	return n;
}

/* The record says the same as the disk, nothing is under way, nothing is left to say, and nothing lies about. */
static void check_calm(int version, int previous)
{
	static const char *const versions[] = {"", "1.0", "2.0", "3.0"};
	char home[128], want[32] = "";
	unsigned keys = 0;
	const char *at;
	struct error err = ERROR_INIT;
	struct installed i;
	struct db *db;

	CHECK_INT(in_place(), version);
	snprintf(home, sizeof(home), "%s/agent", site.dev);
	db = state_open(home, &err);
	REQUIRE(db != NULL);
	CHECK_INT(db_check(db, &err), 0);
	CHECK(state_installed(db, "plant/plc", &i, &err) == 0);
	CHECK_STR(i.version, versions[version]);
	CHECK_STR(i.previous, versions[previous]);
	CHECK_STR(i.older, "");
	CHECK_INT(number(db, "SELECT count(*) FROM reports"), 0);
	CHECK_INT(number(db, "SELECT count(*) FROM updates WHERE state BETWEEN 1 AND 4"), 0);
	db_close(db);
	CHECK_STR(names_in("work"), "");
	if (version != 0)
		snprintf(want, sizeof(want), "%s%s%s%scurrent", previous != 0 && previous < version ? versions[previous] : "",
			 previous != 0 && previous < version ? " " : "", versions[version], " ");
	CHECK_STR(names_in("artifacts/plant/plc"), want);
	CHECK(strcmp(names_in("artifacts"), "plant") == 0 || version == 0);
	CHECK(strstr(names_in("."), ".tmp.") == NULL && strstr(names_in("trusted"), ".tmp.") == NULL);
	/* One key, as a file and its public half, beside what a device has. */
	for (at = names_in("."); (at = strstr(at, "device-")) != NULL; at++)
		keys++;
	CHECK_INT(keys, 2);
}

/* Every transition was told, in order, none by two numbers, and no payload was fetched after the end. */
static void check_told(struct told *t)
{
	read_told(t);
	CHECK_INT(t->broken, 0);
	CHECK_INT(t->fetches_after_end, 0);
	CHECK(told_times(t, script.assignment, "applying") <= 1);
	CHECK(told_times(t, script.assignment, "probing") <= 1);
	CHECK_INT(told_times(t, script.assignment, "healthy") + told_times(t, script.assignment, "failed") +
			  (strcmp(script.action, "install") == 0 ? told_times(t, script.assignment, "rolled_back") : 0),
		  1);
}

/* ---- the walk ---- */

struct walk {
	const char *name;
	int before, after;	/* versions that may be in place while it runs (in_place) */
	bool leaves;		/* neither is a promise */
	void (*check_end)(bool cut);	/* cut: the power failed; else a call did, which may have ended the update otherwise */
};

static bool walk_all(void)
{
	return getenv("WALK_ALL") != NULL || getenv("SOAK_ROUNDS") != NULL;
}

static bool is_power_cut(enum fault_mode mode)
{
	return mode == FAULT_CUT || mode == FAULT_CUTZERO || mode == FAULT_CUTDIR;
}

static void print_log(void)
{
	char command[160];

	snprintf(command, sizeof(command), "tail -n 25 %s | sed 's/^/# /'", site.log);
	fflush(stdout);
	CHECK(system(command) == 0);
}

static void walk_one(const struct walk *w, unsigned n, enum fault_mode mode)
{
	int was = tap_failures;
	struct run_end end;

	site_bring_back();
	end = run_agent(n, mode, mode == FAULT_FULL || mode == FAULT_ROFS ? PATIENCE_SHORT_MS : PATIENCE_MS);
	CHECK(end.status == 0 || end.status == RUN_FAILED || end.status == AGENT_EXIT_WIPED || end.status == FAULT_CUT_STATUS);
	CHECK(!is_power_cut(mode) || end.status == FAULT_CUT_STATUS || end.calls < n);
	if (!w->leaves) {
		int seen = in_place();

		CHECK(seen == w->before || seen == w->after);
	}
	end = run_agent(0, FAULT_NONE, PATIENCE_LONG_MS);
	CHECK(!end.late);
	w->check_end(is_power_cut(mode));
	if (tap_failures == was)
		return;
	printf("# ^ %s, call %u, mode %d\n", w->name, n, (int)mode);
	print_log();
	REQUIRE(tap_failures < 40);
}

/* In each mode the stride begins elsewhere, so that together they come by most calls. */
static void walk_modes(const struct walk *w, unsigned stride, const enum fault_mode *modes, size_t count)
{
	struct run_end whole;
	unsigned n;
	size_t m;

	alarm(walk_all() ? 7200 : 280);
	if (walk_all())
		stride = 1;
	site_keep();
	whole = run_agent(0, FAULT_NONE, PATIENCE_LONG_MS);
	CHECK(!whole.late && (whole.status == 0 || whole.status == AGENT_EXIT_WIPED));
	w->check_end(true);
	if (tap_failures > 0)
		print_log();
	REQUIRE(tap_failures == 0);
	printf("# %s: %u calls, every %u.\n", w->name, whole.calls, stride);
	for (m = 0; m < count; m++)
		for (n = 1 + (unsigned)(m * 5) % stride; n <= whole.calls; n += stride)
			walk_one(w, n, modes[m]);
}

static const enum fault_mode cuts[] = {FAULT_CUT, FAULT_CUTZERO, FAULT_CUTDIR};
/* What leaves the process alive costs waiting, not work. */
static const enum fault_mode errors[] = {FAULT_ERROR, FAULT_TORN, FAULT_FULL, FAULT_ROFS};

static void run_script(int64_t assignment, const char *path, const char *action)
{
	script = (struct script){assignment, path, action, NULL};
}

/* Version 1.0 runs. */
static void site_with_one(void)
{
	struct run_end end;

	site_start();
	run_script(1, "plant/plc/1.0", "install");
	end = run_agent(0, FAULT_NONE, PATIENCE_LONG_MS);
	if (end.status != 0 || end.late || in_place() != 1)
		print_log();
	REQUIRE(end.status == 0 && !end.late && in_place() == 1);
}

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
	walk_modes(&first, 9, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_first_start_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_start();
	run_script(1, "plant/plc/1.0", "install");
	walk_modes(&first, 37, errors, ARRAY_SIZE(errors));
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
	walk_modes(&update, 19, errors, ARRAY_SIZE(errors));
	site_end();
}

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
	walk_modes(&back, 7, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_rollback_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_whose_probe_fails();
	walk_modes(&back, 29, errors, ARRAY_SIZE(errors));
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
	walk_modes(&revert, 3, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_revert_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_with_two();
	walk_modes(&revert, 11, errors, ARRAY_SIZE(errors));
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
	for (n = whole.calls > 40 ? whole.calls - 40 : 1; n <= whole.calls; n += walk_all() ? 1 : 2) {
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

	(void)cut;
	REQUIRE(fd >= 0);
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
	walk_modes(&renewal, 7, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_renewal_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_to_renew();
	walk_modes(&renewal, 29, errors, ARRAY_SIZE(errors));
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
	walk_modes(&wipe, 5, cuts, ARRAY_SIZE(cuts));
	site_end();
}

TEST(a_wipe_survives_failing_calls)
{
	NEEDS_SECCOMP();
	site_to_leave();
	walk_modes(&wipe, 13, errors, ARRAY_SIZE(errors));
	site_end();
}

#else

TEST(faults_are_in_test_builds_only)
{
	SKIP("not a test build");
}

#endif
