/*
 * The walk: the agent of walk_site.h, interrupted at its n-th change to the disk, for n after n, and what must hold then.
 */
#ifndef MESHANICS_TESTS_WALK_AGENT_H
#define MESHANICS_TESTS_WALK_AGENT_H

#include "walk_site.h"

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
static UNUSED void check_told(struct told *t)
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

#endif
