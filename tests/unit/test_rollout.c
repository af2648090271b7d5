/* Rollouts against a real database: waves, halts, approvals, aborts, late and leaving devices. */
#include "tap.h"

#include "fleet/devices.h"
#include "fleet/rollout.h"
#include "store/audit.h"
#include "store/schema.h"

#define T0 1795203000

static char dir[] = "/tmp/test_rollout.XXXXXX", path[64];
static struct db *db;
static int64_t now_s = T0;
static struct error err;

static void leave(void)
{
	char cmd[64];

	db_close(db);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static void must(int r)
{
	if (r < 0)
		printf("# %s\n", err.text);
	REQUIRE(r >= 0);
}

/* Everything happens in transactions that are kept. */
static void begin(void)
{
	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	snprintf(path, sizeof(path), "%s/c.db", dir);
	db = db_open(path, DB_CREATE, &control_schema, &err);
	if (db == NULL)
		printf("# %s\n", err.text);
	REQUIRE(db != NULL);
	must(db_begin(db, &err));
}

static int64_t add_device(const char *name)
{
	struct query q = query_open(db, "UPDATE devices SET state = 'active', profile = ?2 WHERE id = ?1");
	int64_t id;

	must(device_add(db, slice_str(name), now_s, &id, &err));
	query_int(&q, 1, id);
	query_str(&q, 2, "{\"arch\":\"arm64\"}");
	must(query_run(&q, &err));
	return id;
}

static void add_devices(unsigned n)
{
	char name[32];
	unsigned i;

	for (i = 1; i <= n; i++) {
		snprintf(name, sizeof(name), "dev-%u", i);
		add_device(name);
	}
}

static int try_create(const char *artifact, const char *selector, const char *strategy, bool allow_empty, int64_t *id)
{
	const struct rollout_actor who = {.name = "operator:alice", .now_s = now_s};
	const struct rollout_spec spec = {.artifact = slice_str(artifact), .kind = SLICE_LIT("file"),
		.selector = slice_str(selector), .strategy = slice_str(strategy), .allow_empty = allow_empty};
	int r;

	err = ERROR_INIT;
	must(db_savepoint(db, &err));
	r = rollout_create(db, &spec, &who, id, &err);
	if (r < 0)
		db_savepoint_undo(db);
	else
		must(db_savepoint_keep(db, &err));
	return r;
}

static int64_t create(const char *artifact, const char *strategy)
{
	int64_t id = 0;

	must(try_create(artifact, "{\"all\":true}", strategy, false, &id));
	return id;
}

#define THREE_WAVES "{\"waves\":[{\"percent\":10},{\"percent\":50},{\"percent\":100}],\"max_failure_rate\":0.2}"
#define ONE_WAVE "{\"waves\":[{\"percent\":100}]}"

static const char *state_of(int64_t id)
{
	struct rollout r;

	must(rollout_find(db, id, &r, &err));
	return rollout_state_name(r.state);
}

static int wave_of(int64_t id)
{
	struct rollout r;

	must(rollout_find(db, id, &r, &err));
	return r.wave;
}

static int64_t count_in(int64_t id, enum assignment_state state)
{
	struct assignment_counts c;

	must(assignments_count(db, id, 1000, 0, &c, &err));
	return c.in[state];
}

/* The triggers' counts against a count of the rows. */
static void check_counts(void)
{
	int64_t wrong;

	must(db_get_int(db, "SELECT count(*) FROM (SELECT rollout_id, wave, state, acknowledged, count(*) AS k FROM"
			    " assignments GROUP BY 1, 2, 3, 4) a FULL JOIN (SELECT * FROM assignment_counts WHERE n > 0) c"
			    " USING (rollout_id, wave, state, acknowledged) WHERE a.k IS NOT c.n", &wrong, &err));
	CHECK_INT(wrong, 0);
	must(db_get_int(db, "SELECT count(*) FROM (SELECT 1 FROM assignments WHERE current = 1"
			    " GROUP BY device_id, artifact_name HAVING count(*) > 1)", &wrong, &err));
	CHECK_INT(wrong, 0);
}

static void report_as(int64_t assignment, int64_t device_id, enum assignment_state state, const char *why)
{
	struct device d;

	must(device_find_id(db, device_id, &d, &err));
	must(rollout_reported(db, &d, assignment, state, slice_str(why), now_s, &err));
	check_counts();
}

/* Up to n assigned devices of a rollout, in cohort order, report this. How many did. */
static unsigned report_some(int64_t id, unsigned n, enum assignment_state state)
{
	int64_t ids[256], devices[256];
	struct assignment_walk w;
	unsigned k = 0, i;

	assignment_walk_rollout(&w, db, id);
	while (k < n && k < 256 && assignment_walk_next(&w, &err) > 0)
		if (w.assignment.state == ASSIGNMENT_ASSIGNED) {
			ids[k] = w.assignment.id;
			devices[k++] = w.assignment.device_id;
		}
	assignment_walk_close(&w);
	for (i = 0; i < k; i++)
		report_as(ids[i], devices[i], state, "because");
	return k;
}

/* "install:a/b/1 revert:c/d/2 " */
static const char *desired_of(const char *device)
{
	static char text[512];
	struct assignment_walk w;
	struct device d;
	size_t n = 0;

	text[0] = '\0';
	must(device_find(db, slice_str(device), &d, &err));
	assignment_walk_desired(&w, db, d.id);
	while (assignment_walk_next(&w, &err) > 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s:%s ", w.assignment.revert ? "revert" : "install",
				      w.assignment.artifact);
	assignment_walk_close(&w);
	return text;
}

static int64_t assignment_on(int64_t rollout, const char *device)
{
	struct assignment a;
	struct device d;

	must(device_find(db, slice_str(device), &d, &err));
	REQUIRE(assignment_of(db, rollout, d.id, &a, &err) == 1);
	return a.id;
}

static void report_one(int64_t rollout, const char *device, enum assignment_state state)
{
	struct device d;

	must(device_find(db, slice_str(device), &d, &err));
	report_as(assignment_on(rollout, device), d.id, state, "because");
}

static struct rollout_actor alice(void)
{
	return (struct rollout_actor){.name = "operator:alice", .now_s = now_s};
}

static int64_t audit_count(const char *action)
{
	struct audit_walk w;
	int64_t n = 0;

	audit_walk_open(&w, db, &(struct audit_filter){.action = action});
	while (audit_walk_next(&w, &err) > 0)
		n++;
	audit_walk_close(&w);
	return n;
}

TEST(waves_open_one_after_the_other)
{
	int64_t id;

	begin();
	add_devices(20);
	id = create("plant/plc/1", THREE_WAVES);
	CHECK_STR(state_of(id), "running");
	CHECK_INT(wave_of(id), 0);
	CHECK_INT(count_in(id, ASSIGNMENT_ASSIGNED), 2);
	CHECK_INT(report_some(id, 1, ASSIGNMENT_DOWNLOADING), 1);
	CHECK_INT(report_some(id, 1, ASSIGNMENT_HEALTHY), 1);
	CHECK_INT(wave_of(id), 0);
	{
		/* The one that only downloads so far. */
		struct assignment_walk w;
		int64_t a = 0, d = 0;

		assignment_walk_rollout(&w, db, id);
		while (assignment_walk_next(&w, &err) > 0)
			if (w.assignment.state == ASSIGNMENT_DOWNLOADING)
				a = w.assignment.id, d = w.assignment.device_id;
		assignment_walk_close(&w);
		report_as(a, d, ASSIGNMENT_HEALTHY, "");
	}
	CHECK_INT(wave_of(id), 1);
	CHECK_INT(count_in(id, ASSIGNMENT_ASSIGNED), 8);
	/* 80 % of 10 healthy is enough for the next. */
	CHECK_INT(report_some(id, 5, ASSIGNMENT_HEALTHY), 5);
	CHECK_INT(wave_of(id), 1);
	CHECK_INT(report_some(id, 1, ASSIGNMENT_HEALTHY), 1);
	CHECK_INT(wave_of(id), 2);
	CHECK_INT(count_in(id, ASSIGNMENT_ASSIGNED), 12);
	CHECK_INT(report_some(id, 11, ASSIGNMENT_HEALTHY), 11);
	CHECK_STR(state_of(id), "running");
	CHECK_INT(report_some(id, 1, ASSIGNMENT_HEALTHY), 1);
	CHECK_STR(state_of(id), "completed");
	CHECK_INT(audit_count("rollout.wave"), 3);
	CHECK_INT(audit_count("rollout.complete"), 1);
}

TEST(the_cohort_is_stable_and_differs_between_rollouts)
{
	char first[2][20 * 16] = {"", ""};
	int64_t ids[2];
	unsigned i;

	begin();
	add_devices(20);
	for (i = 0; i < 2; i++) {
		struct assignment_walk w;

		ids[i] = create(i == 0 ? "plant/plc/1" : "plant/hmi/1", ONE_WAVE);
		assignment_walk_rollout(&w, db, ids[i]);
		while (assignment_walk_next(&w, &err) > 0) {
			strncat(first[i], " ", sizeof(first[i]) - strlen(first[i]) - 1);
			strncat(first[i], (const char *)w.device.ptr, w.device.len);
		}
		assignment_walk_close(&w);
	}
	CHECK(strcmp(first[0], first[1]) != 0);
	CHECK(strncmp(first[0], " dev-1 dev-2 dev-3", 18) != 0);
}

TEST(too_many_failures_halt_mid_wave_and_resume_acknowledges)
{
	struct rollout_actor who = alice();
	struct buf detail = BUF_INIT(4096);
	struct rollout r;
	int64_t id;

	begin();
	add_devices(20);
	id = create("plant/plc/1", "{\"waves\":[{\"percent\":100}],\"max_failure_rate\":0.2,\"min_sample\":3}");
	CHECK_INT(count_in(id, ASSIGNMENT_ASSIGNED), 20);
	report_some(id, 2, ASSIGNMENT_ROLLED_BACK);
	CHECK_STR(state_of(id), "running");
	report_some(id, 1, ASSIGNMENT_HEALTHY);
	CHECK_STR(state_of(id), "halted");
	must(rollout_find(db, id, &r, &err));
	CHECK_STR(r.reason, "halted in wave 1: 2 of 3 reported went bad (66.7 %, allowed 20.0 %)");
	CHECK_INT(audit_count("rollout.halt"), 1);
	/* Nobody is told to begin while it is halted; who reports further is heard. */
	{
		unsigned offered = 0, i;
		char name[32];

		for (i = 1; i <= 20; i++) {
			snprintf(name, sizeof(name), "dev-%u", i);
			offered += desired_of(name)[0] != '\0';
		}
		CHECK_INT(offered, 1);
	}
	CHECK_INT(rollout_pause(db, id, &who, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	who.note = SLICE_LIT("seen\n");
	who.detail = &detail;
	must(rollout_resume(db, id, &who, &err));
	CHECK_STR(state_of(id), "running");
	/* Counted from now: two more bad ones of four are below the sample until the third outcome. */
	report_some(id, 2, ASSIGNMENT_HEALTHY);
	report_some(id, 1, ASSIGNMENT_FAILED);
	CHECK_STR(state_of(id), "halted");
	must(rollout_resume(db, id, &who, &err));
	report_some(id, 100, ASSIGNMENT_HEALTHY);
	CHECK_STR(state_of(id), "completed");
	CHECK(strstr(buf_cstr(&detail), "{\"reason\":\"resumed by operator:alice: seen\\\\x0a\",\"was\":\"halted\"}") ==
	      buf_cstr(&detail));
	buf_release(&detail);
}

TEST(old_outcomes_leave_the_window)
{
	int64_t id;

	begin();
	add_devices(20);
	id = create("plant/plc/1", "{\"waves\":[{\"percent\":100}],\"max_failure_rate\":0.5,\"min_sample\":2,\"window\":60}");
	report_some(id, 1, ASSIGNMENT_FAILED);
	now_s += 100;
	report_some(id, 1, ASSIGNMENT_FAILED);
	CHECK_STR(state_of(id), "running");
	now_s += 30;
	report_some(id, 1, ASSIGNMENT_FAILED);
	CHECK_STR(state_of(id), "halted");
}

/* A clock that was ahead and came back must not hide failures: what is dated later than now counts. */
TEST(outcomes_under_a_clock_that_was_ahead_stay_in_the_window)
{
	int64_t id;

	begin();
	add_devices(20);
	id = create("plant/plc/1", "{\"waves\":[{\"percent\":100}],\"max_failure_rate\":0.5,\"min_sample\":2,\"window\":60}");
	now_s = INT64_C(2208988800);
	report_some(id, 1, ASSIGNMENT_FAILED);
	CHECK_STR(state_of(id), "running");
	now_s = T0 + 200;
	report_some(id, 1, ASSIGNMENT_FAILED);
	CHECK_STR(state_of(id), "halted");
}

TEST(manual_waves_wait_for_approval)
{
	struct rollout_actor who = alice(), bob = {.name = "operator:bob", .now_s = T0, .note = SLICE_LIT("looks good")};
	struct rollout r;
	struct wave w;
	int64_t id;

	begin();
	add_devices(10);
	id = create("plant/plc/1", "{\"waves\":[{\"percent\":10,\"approval\":\"manual\"},{\"percent\":100,\"approval\":"
				   "\"manual\"}]}");
	CHECK_INT(wave_of(id), -1);
	CHECK_INT(count_in(id, ASSIGNMENT_PLANNED), 10);
	must(rollout_find(db, id, &r, &err));
	CHECK_STR(r.reason, "wave 1 (10 %) waits for approval");
	must(rollout_approve(db, id, false, &bob, &err));
	CHECK_INT(wave_of(id), 0);
	CHECK_INT(rollout_approve(db, id, false, &bob, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK(strstr(err.text, "0 of 1 healthy") != NULL);
	report_some(id, 1, ASSIGNMENT_HEALTHY);
	CHECK_INT(wave_of(id), 0);
	must(wave_find(db, id, 1, &w, &err));
	CHECK_INT(w.state, WAVE_WAITING);
	must(rollout_approve(db, id, false, &bob, &err));
	CHECK_INT(wave_of(id), 1);
	must(wave_find(db, id, 1, &w, &err));
	CHECK_STR(w.approved_by, "operator:bob");
	CHECK_INT(rollout_approve(db, id, true, &who, &err), -1);
	CHECK(strstr(err.text, "all waves") != NULL);
	CHECK_INT(audit_count("rollout.wait"), 2);
}

TEST(a_wave_can_be_opened_early)
{
	struct rollout_actor who = alice();
	int64_t id;

	begin();
	add_devices(10);
	id = create("plant/plc/1", "{\"waves\":[{\"percent\":10},{\"percent\":100}]}");
	CHECK_INT(rollout_approve(db, id, false, &who, &err), -1);
	must(rollout_approve(db, id, true, &who, &err));
	CHECK_INT(wave_of(id), 1);
	CHECK_INT(count_in(id, ASSIGNMENT_ASSIGNED), 10);
}

TEST(pause_holds_back_who_has_not_begun)
{
	struct rollout_actor who = alice();
	int64_t id;

	begin();
	add_devices(3);
	id = create("plant/plc/1", ONE_WAVE);
	report_one(id, "dev-1", ASSIGNMENT_DOWNLOADING);
	report_one(id, "dev-2", ASSIGNMENT_APPLYING);
	must(rollout_pause(db, id, &who, &err));
	CHECK_STR(desired_of("dev-1"), "");
	CHECK_STR(desired_of("dev-2"), "install:plant/plc/1 ");
	CHECK_STR(desired_of("dev-3"), "");
	report_one(id, "dev-2", ASSIGNMENT_HEALTHY);
	CHECK_STR(state_of(id), "paused");
	must(rollout_resume(db, id, &who, &err));
	CHECK_STR(desired_of("dev-3"), "install:plant/plc/1 ");
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/1 ");
}

TEST(a_newer_rollout_supersedes_and_failure_falls_back)
{
	int64_t one, two, three;

	begin();
	add_devices(3);
	one = create("plant/plc/1", ONE_WAVE);
	report_one(one, "dev-1", ASSIGNMENT_HEALTHY);
	report_one(one, "dev-2", ASSIGNMENT_APPLYING);
	two = create("plant/plc/2", "{\"waves\":[{\"percent\":100}],\"max_failure_rate\":1}");
	/* dev-2 and dev-3 were under way: superseded, so the first is over. */
	CHECK_INT(count_in(one, ASSIGNMENT_SUPERSEDED), 2);
	CHECK_STR(state_of(one), "completed");
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/2 ");
	report_one(two, "dev-1", ASSIGNMENT_ROLLED_BACK);
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/1 ");
	report_one(two, "dev-2", ASSIGNMENT_FAILED);
	CHECK_STR(desired_of("dev-2"), "");
	/* dev-3 says late that the first had come to a good end: the second is still wanted. */
	report_one(one, "dev-3", ASSIGNMENT_HEALTHY);
	CHECK_STR(desired_of("dev-3"), "install:plant/plc/2 ");
	report_one(two, "dev-3", ASSIGNMENT_HEALTHY);
	CHECK_STR(state_of(two), "completed");
	/* A third on a device that fell back to the first falls back to the first again. */
	three = create("plant/plc/3", ONE_WAVE);
	report_one(three, "dev-1", ASSIGNMENT_FAILED);
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/1 ");
	CHECK_STR(desired_of("dev-3"), "install:plant/plc/2 ");	/* the third has halted and holds back */
	CHECK_STR(state_of(three), "halted");
}

TEST(held_back_devices_keep_their_previous_version)
{
	struct rollout_actor who = alice();
	int64_t one, two;

	begin();
	add_devices(2);
	one = create("plant/plc/1", ONE_WAVE);
	report_some(one, 2, ASSIGNMENT_HEALTHY);
	two = create("plant/plc/2", ONE_WAVE);
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/2 ");
	must(rollout_pause(db, two, &who, &err));
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/1 ");
	must(rollout_abort(db, two, ABORT_KEEP, &who, &err));
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/1 ");
	CHECK_INT(count_in(two, ASSIGNMENT_CANCELLED), 2);
	check_counts();
}

TEST(two_rollouts_do_not_race_on_one_device)
{
	struct rollout_actor who = alice();
	int64_t one, two;

	begin();
	add_devices(10);
	one = create("plant/plc/1", THREE_WAVES);
	CHECK_INT(try_create("plant/plc/2", "{\"all\":true}", ONE_WAVE, false, &two), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	CHECK(strstr(err.text, "rollout 1 of the same artifact still has waves to open") != NULL);
	must(try_create("plant/hmi/2", "{\"all\":true}", ONE_WAVE, false, &two));
	must(rollout_abort(db, one, ABORT_KEEP, &who, &err));
	must(try_create("plant/plc/2", "{\"all\":true}", ONE_WAVE, false, &two));
	CHECK_INT(rollout_abort(db, one, ABORT_KEEP, &who, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
}

TEST(abort_revert_takes_devices_back)
{
	struct rollout_actor who = alice();
	int64_t one, two;

	begin();
	add_devices(4);
	one = create("plant/plc/1", ONE_WAVE);
	report_some(one, 4, ASSIGNMENT_HEALTHY);
	two = create("plant/plc/2", ONE_WAVE);
	report_one(two, "dev-1", ASSIGNMENT_HEALTHY);
	report_one(two, "dev-2", ASSIGNMENT_APPLYING);
	must(rollout_abort(db, two, ABORT_REVERT, &who, &err));
	CHECK_STR(desired_of("dev-1"), "revert:plant/plc/2 ");
	CHECK_STR(desired_of("dev-2"), "revert:plant/plc/2 ");
	CHECK_STR(desired_of("dev-3"), "revert:plant/plc/2 ");
	report_one(two, "dev-1", ASSIGNMENT_ROLLED_BACK);
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/1 ");
	/* Had it already come to its end, it still has to go back. */
	report_one(two, "dev-2", ASSIGNMENT_HEALTHY);
	CHECK_STR(desired_of("dev-2"), "revert:plant/plc/2 ");
	report_one(two, "dev-2", ASSIGNMENT_ROLLED_BACK);
	CHECK_STR(desired_of("dev-2"), "install:plant/plc/1 ");
	CHECK_STR(state_of(two), "aborted");
	/* A completed one can be reverted too, but not merely kept. */
	report_one(two, "dev-3", ASSIGNMENT_ROLLED_BACK);
	CHECK_INT(rollout_abort(db, one, ABORT_KEEP, &who, &err), -1);
	must(rollout_abort(db, one, ABORT_REVERT, &who, &err));
	CHECK_STR(desired_of("dev-1"), "revert:plant/plc/1 ");
	report_one(one, "dev-1", ASSIGNMENT_ROLLED_BACK);
	CHECK_STR(desired_of("dev-1"), "");
}

TEST(abort_keep_lets_the_far_ones_finish)
{
	struct rollout_actor who = alice();
	int64_t id;

	begin();
	add_devices(4);
	id = create("plant/plc/1", ONE_WAVE);
	report_one(id, "dev-1", ASSIGNMENT_HEALTHY);
	report_one(id, "dev-2", ASSIGNMENT_PROBING);
	report_one(id, "dev-3", ASSIGNMENT_DOWNLOADING);
	must(rollout_abort(db, id, ABORT_KEEP, &who, &err));
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/1 ");
	CHECK_STR(desired_of("dev-2"), "install:plant/plc/1 ");
	CHECK_STR(desired_of("dev-3"), "");
	CHECK_STR(desired_of("dev-4"), "");
	/* It could not be stopped in time: that is what the device has now. */
	report_one(id, "dev-3", ASSIGNMENT_HEALTHY);
	CHECK_STR(desired_of("dev-3"), "install:plant/plc/1 ");
}

TEST(late_devices_join_the_last_open_wave)
{
	struct rollout_actor who = alice();
	int64_t id, done, late, later, other;
	struct assignment a;

	begin();
	add_devices(10);
	done = create("plant/plc/1", ONE_WAVE);
	report_some(done, 10, ASSIGNMENT_HEALTHY);
	CHECK_STR(state_of(done), "completed");
	other = create("plant/hmi/1", "{\"waves\":[{\"percent\":50,\"approval\":\"manual\"},{\"percent\":100}]}");
	id = create("plant/plc/2", THREE_WAVES);
	CHECK_INT(wave_of(id), 0);
	late = add_device("late-1");
	must(rollouts_adopt(db, late, now_s, &err));
	CHECK_STR(desired_of("late-1"), "install:plant/plc/2 ");
	CHECK_INT(assignment_of(db, id, late, &a, &err), 1);
	CHECK_INT(a.wave, 0);
	CHECK_INT(assignment_of(db, done, late, &a, &err), 0);
	CHECK_INT(assignment_of(db, other, late, &a, &err), 1);
	CHECK_INT(a.state, ASSIGNMENT_PLANNED);
	must(rollouts_adopt(db, late, now_s, &err));
	CHECK_INT(audit_count("rollout.join"), 2);
	must(rollout_pause(db, id, &who, &err));
	later = add_device("late-2");
	must(rollouts_adopt(db, later, now_s, &err));
	CHECK_STR(desired_of("late-2"), "");
	must(rollout_resume(db, id, &who, &err));
	CHECK_STR(desired_of("late-2"), "install:plant/plc/2 ");
	must(rollout_approve(db, other, false, &who, &err));
	CHECK_STR(desired_of("late-1"), "install:plant/hmi/1 install:plant/plc/2 ");
	check_counts();
}

TEST(a_completed_rollout_still_takes_devices_in)
{
	int64_t id, late;

	begin();
	add_devices(1);
	id = create("plant/plc/1", ONE_WAVE);
	report_some(id, 1, ASSIGNMENT_HEALTHY);
	late = add_device("late");
	must(rollouts_adopt(db, late, now_s, &err));
	CHECK_STR(desired_of("late"), "install:plant/plc/1 ");
	CHECK_STR(state_of(id), "completed");
}

TEST(a_tag_brings_a_device_in_but_never_back_to_an_older_rollout)
{
	struct error e = ERROR_INIT;
	struct json add = JSON_INIT;
	struct device d;
	int64_t canary, all;

	begin();
	add_devices(2);
	must(try_create("plant/plc/1", "{\"tags\":[\"canary\"]}", ONE_WAVE, true, &canary));
	CHECK_STR(state_of(canary), "completed");
	must(try_create("plant/plc/2", "{\"devices\":[\"dev-1\"]}", ONE_WAVE, false, &all));
	REQUIRE(json_parse(&add, SLICE_LIT("[\"canary\"]"), JSON_STRICT, &e) == 0);
	must(device_find(db, SLICE_LIT("dev-1"), &d, &err));
	must(device_change_tags(db, &d, json_root(&add), (struct json_value){.doc = NULL}, now_s, &err));
	CHECK_STR(desired_of("dev-1"), "install:plant/plc/2 ");
	must(device_find(db, SLICE_LIT("dev-2"), &d, &err));
	must(device_change_tags(db, &d, json_root(&add), (struct json_value){.doc = NULL}, now_s, &err));
	CHECK_STR(desired_of("dev-2"), "install:plant/plc/1 ");
	json_release(&add);
}

TEST(a_device_that_leaves_is_not_waited_for)
{
	struct device d;
	int64_t id;

	begin();
	add_devices(3);
	id = create("plant/plc/1", ONE_WAVE);
	report_one(id, "dev-1", ASSIGNMENT_HEALTHY);
	report_one(id, "dev-2", ASSIGNMENT_HEALTHY);
	must(device_find(db, SLICE_LIT("dev-3"), &d, &err));
	must(device_retire(db, &d, DEVICE_REVOKED, "", "device was revoked", now_s, &err));
	CHECK_STR(state_of(id), "completed");
	CHECK_STR(desired_of("dev-3"), "");
	must(device_find(db, SLICE_LIT("dev-1"), &d, &err));
	must(device_retire(db, &d, DEVICE_DECOMMISSIONED, "ab12", "left", now_s, &err));
	CHECK_STR(desired_of("dev-1"), "");
	CHECK_INT(count_in(id, ASSIGNMENT_HEALTHY), 2);
	/* It comes back under its name: what it lost is assigned anew. */
	must(device_set_state(db, 3, DEVICE_ACTIVE, &err));
	must(rollouts_adopt(db, 3, now_s, &err));
	CHECK_STR(desired_of("dev-3"), "install:plant/plc/1 ");
	check_counts();
}

TEST(what_cannot_be_created_is_refused)
{
	int64_t id;

	begin();
	CHECK_INT(try_create("plant/plc/1", "{\"all\":true}", ONE_WAVE, false, &id), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	add_devices(2);
	CHECK_INT(try_create("plant/plc", "{\"all\":true}", ONE_WAVE, false, &id), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	CHECK_INT(try_create("plant/../1", "{\"all\":true}", ONE_WAVE, false, &id), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	CHECK_INT(try_create("plant/plc/1", "{}", ONE_WAVE, false, &id), -1);
	CHECK_INT(try_create("plant/plc/1", "{\"all\":true}", "{\"waves\":[]}", false, &id), -1);
	CHECK_INT(try_create("plant/plc/1", "{\"devices\":[\"dev-1\",\"dve-2\"]}", ONE_WAVE, false, &id), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_STR(err.text, "no such device 'dve-2'");
	must(try_create("plant/plc/1", "{\"devices\":[\"dev-1\",\"dve-2\"]}", ONE_WAVE, true, &id));
	CHECK_INT(count_in(id, ASSIGNMENT_ASSIGNED), 1);
	CHECK_INT(rollout_pause(db, 99, &(struct rollout_actor){.name = "x"}, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_STR(err.text, "no such rollout 99");
}

TEST(an_assignment_of_another_device_is_refused)
{
	struct device d;
	int64_t id;

	begin();
	add_devices(2);
	id = create("plant/plc/1", ONE_WAVE);
	must(device_find(db, SLICE_LIT("dev-2"), &d, &err));
	CHECK_INT(rollout_reported(db, &d, assignment_on(id, "dev-1"), ASSIGNMENT_HEALTHY, SLICE_EMPTY, now_s, &err), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(rollout_reported(db, &d, 999, ASSIGNMENT_HEALTHY, SLICE_EMPTY, now_s, &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
}

TEST(a_rollout_is_shown_as_json)
{
	struct buf out = BUF_INIT(1 << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct json doc = JSON_INIT;
	struct json_value v;
	int64_t id;

	begin();
	add_devices(10);
	id = create("plant/plc/1", THREE_WAVES);
	report_some(id, 1, ASSIGNMENT_HEALTHY);
	must(rollout_put(db, id, true, &w, &err));
	must(json_parse(&doc, buf_slice(&out), JSON_FRACTIONS, &err));
	v = json_root(&doc);
	CHECK_INT(json_int(json_get(v, "id")), id);
	CHECK_INT(json_int(json_get(v, "wave")), 2);
	CHECK_INT(json_count(json_get(v, "waves")), 3);
	CHECK_INT(json_count(json_get(v, "assignments")), 10);
	CHECK_INT(json_int(json_get(json_get(v, "devices"), "total")), 10);
	CHECK_INT(json_int(json_get(json_get(v, "devices"), "healthy")), 1);
	json_release(&doc);
	buf_clear(&out);
	w = JSON_WRITER(&out);
	must(rollouts_put(db, NULL, NULL, &w, &err));
	must(json_parse(&doc, buf_slice(&out), JSON_STRICT, &err));
	CHECK_INT(json_count(json_root(&doc)), 1);
	json_release(&doc);
	buf_release(&out);
}
