/* What moves a device's number, and that nothing kept by it is ever older than an answered change. */
#include "tap.h"

#include <pthread.h>
#include <stdatomic.h>

#include "control/beat.h"
#include "store/assignments.h"
#include "store/certificates.h"
#include "store/devices.h"
#include "store/lastseen.h"
#include "store/rollouts.h"
#include "store/schema.h"
#include "store/versions.h"
#include "store/writer.h"

#define NOW 1795203000
#define PRINT "aa00000000000000000000000000000000000000000000000000000000000000"

static char dir[] = "/tmp/test_versions.XXXXXX", path[64];
static struct writer *writer;
static struct versions *versions;
static struct error err;
static int64_t first, second;

static void leave(void)
{
	char cmd[64];

	writer_stop(writer);
	versions_free(versions);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static int make_devices(struct db *db, void *arg, struct error *e)
{
	struct certificate_row row = {.fingerprint = PRINT, .subject = "one", .not_after_s = NOW + 1000};

	(void)arg;
	if (device_add(db, SLICE_LIT("one"), NOW, &first, e) < 0 || device_add(db, SLICE_LIT("two"), NOW, &second, e) < 0)
		return -1;
	row.device_id = first;
	return certificate_insert(db, "device", &row, SLICE_LIT("der"), e);
}

static int run(writer_job *job, void *arg)
{
	int r = writer_call(writer, job, arg, &err);

	if (r < 0)
		printf("# %s\n", err.text);
	return r;
}

static void begin(void)
{
	struct db *db;

	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	snprintf(path, sizeof(path), "%s/c.db", dir);
	db = db_open(path, DB_CREATE, &control_schema, &err);
	REQUIRE(db != NULL);
	versions = versions_new();
	writer = writer_start(db, versions, &err);
	REQUIRE(writer != NULL);
	REQUIRE(run(make_devices, NULL) == 0);
}

/* ---- what moves whose number ---- */

static int64_t rollout, assignment;

static int revoke_it(struct db *db, void *arg, struct error *e)
{
	int64_t count;

	(void)arg;
	return certificates_revoke(db, first, "lost", NOW, &count, e);
}

static int supersede(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return certificates_supersede(db, first, "", NOW + 5, e);
}

static int decommission(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return device_set_state(db, first, DEVICE_DECOMMISSIONED, e);
}

static int order(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return order_add(db, first, ORDER_RENEW, PRINT, NOW, e);
}

static int close_order(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return orders_drop(db, first, NOW, e);
}

static int assign(struct db *db, void *arg, struct error *e)
{
	int64_t count;

	(void)arg;
	if (assignment_add(db, rollout, first, 0, 0, NOW, e) < 0)
		return -1;
	assignment = db_last_id(db);
	return assignments_open(db, rollout, 0, "", NOW, &count, e);
}

static int report(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return assignment_set_state(db, assignment, ASSIGNMENT_HEALTHY, SLICE_EMPTY, NOW, e);
}

static int forget(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return certificates_forget(db, first, NOW + 5000, e);
}

static int begin_rollout(struct db *db, void *arg, struct error *e)
{
	const struct rollout r = {.artifact = "plant/plc/1", .artifact_name = "plant/plc", .kind = "file", .created_s = NOW};

	(void)arg;
	return rollout_add(db, &r, SLICE_LIT("{}"), SLICE_LIT("{}"), &rollout, e);
}

static int pause_it(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return rollout_set_state(db, rollout, ROLLOUT_PAUSED, "", NOW, e);
}

static int say_why(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return rollout_set_state(db, rollout, ROLLOUT_PAUSED, "another reason", NOW + 1, e);
}

static int see(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return device_set_seen(db, first, NOW + 60, SLICE_LIT("{\"agent_version\":\"2\"}"), e) < 0
		       ? -1
		       : device_set_seen(db, second, NOW + 60, SLICE_EMPTY, e);
}

static int tag(struct db *db, void *arg, struct error *e)
{
	(void)arg;
	return device_tag_add(db, first, SLICE_LIT("north"), e);
}

TEST(what_moves_a_number_and_whose)
{
	static const struct {
		const char *what;
		writer_job *job;
		bool first, second;
	} steps[] = {
		{"last seen", see, false, false},	{"a tag", tag, false, false},
		{"an order", order, true, false},	{"its end", close_order, true, false},
		{"superseded", supersede, true, false},	{"a rollout", begin_rollout, true, true},
		{"an assignment", assign, true, false}, {"its state", report, true, false},
		{"a pause", pause_it, true, true},		{"words alone", say_why, false, false},
		{"a certificate forgotten", forget, true, false},
		{"decommissioned", decommission, true, false},
		{"the same again", decommission, false, false},
	};
	uint64_t one, two, epoch;
	unsigned i;

	begin();
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		printf("# %s\n", steps[i].what);
		one = versions_of(versions, first);
		two = versions_of(versions, second);
		epoch = versions_epoch(versions);
		REQUIRE(run(steps[i].job, NULL) == 0);
		CHECK_INT(versions_of(versions, first) != one, steps[i].first);
		CHECK_INT(versions_of(versions, second) != two, steps[i].second);
		CHECK_INT(versions_epoch(versions) != epoch, steps[i].first || steps[i].second);
	}
}

static int add_many(struct db *db, void *arg, struct error *e)
{
	char name[32];
	int64_t id;
	int i;

	(void)arg;
	for (i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "many-%d", i);
		if (device_add(db, slice_str(name), NOW, &id, e) < 0)
			return -1;
	}
	return 0;
}

TEST(a_commit_that_changes_very_many_changes_all)
{
	uint64_t one;

	begin();
	one = versions_of(versions, first);
	REQUIRE(run(add_many, NULL) == 0);
	CHECK(versions_of(versions, first) != one);
}

TEST(a_watched_column_that_is_not_there_is_an_error)
{
	static const struct db_watched wrong[] = {{.table = "devices", .key = "nonsense"}, {.table = NULL}};
	struct db *db;

	begin();
	db = db_open(path, DB_WRITE, &control_schema, &err);
	REQUIRE(db != NULL);
	CHECK_INT(db_watch(db, wrong, NULL, NULL, &err), -1);
	CHECK(strstr(err.text, "has no column 'nonsense'") != NULL);
	db_close(db);
}

/* ---- the kept answer ---- */

static const struct api_route route = {.method = "POST", .pattern = "/device/heartbeat"};

static struct beat *keep(struct lastseen *l, uint64_t epoch, const char *body, const char *answer)
{
	struct api_actor actor = {.device_id = first, .cert_until_s = NOW + 100};
	struct api_call call;
	struct beat *b;

	api_call_init(&call);
	call.route = &route;
	call.actor = &actor;
	buf_put_str(&call.reply, answer);
	call.report_digest = lastseen_digest(slice_str(body));
	lastseen_touch(l, first, NOW, slice_str(body));
	b = beat_new(versions, epoch, &call, slice_str(body));
	api_call_release(&call);
	return b;
}

static bool ask(struct beat *b, struct lastseen *l, const char *body, int64_t now_s)
{
	struct buf out = BUF_INIT(8192);
	bool yes = beat_answer(b, versions, l, slice_str(body), 60, now_s, &out);

	CHECK_INT(out.len > 0, yes);
	if (yes) {
		CHECK(slice_starts(buf_slice(&out), SLICE_LIT("{\"interval_s\":5")) ||
		      slice_starts(buf_slice(&out), SLICE_LIT("{\"interval_s\":60")));
		CHECK(slice_ends(buf_slice(&out), SLICE_LIT(",\"desired\":[],\"orders\":[]}")));
	}
	buf_release(&out);
	return yes;
}

#define ANSWER "{\"interval_s\":57,\"desired\":[],\"orders\":[]}"

TEST(a_beat_is_answered_again_until_something_is_different)
{
	struct lastseen *l;
	struct beat *b;

	begin();
	l = lastseen_new();
	b = keep(l, versions_epoch(versions), "{\"a\":1}", ANSWER);
	REQUIRE(b != NULL);
	CHECK(beat_is_of(b, SLICE_LIT("POST"), SLICE_LIT("/device/heartbeat"), SLICE_EMPTY));
	CHECK(!beat_is_of(b, SLICE_LIT("GET"), SLICE_LIT("/device/heartbeat"), SLICE_EMPTY));
	CHECK(!beat_is_of(b, SLICE_LIT("POST"), SLICE_LIT("/device/status"), SLICE_EMPTY));
	CHECK(!beat_is_of(b, SLICE_LIT("POST"), SLICE_LIT("/device/heartbeat"), SLICE_LIT("x")));
	CHECK(ask(b, l, "{\"a\":1}", NOW + 1));
	CHECK_INT(lastseen_get(l, first), NOW + 1);
	CHECK(!ask(b, l, "{\"a\":2}", NOW + 2));
	CHECK(!ask(b, l, "{\"a\":1", NOW + 2));
	CHECK(!ask(b, l, "", NOW + 2));
	CHECK_INT(lastseen_get(l, first), NOW + 1);
	/* The certificate's last second, and the one after. */
	CHECK(ask(b, l, "{\"a\":1}", NOW + 100));
	CHECK(!ask(b, l, "{\"a\":1}", NOW + 101));
	/* Another connection of the device has reported something else. */
	lastseen_touch(l, first, NOW, SLICE_LIT("{\"other\":1}"));
	CHECK(!ask(b, l, "{\"a\":1}", NOW + 2));
	lastseen_touch(l, first, NOW, SLICE_LIT("{\"a\":1}"));
	CHECK(ask(b, l, "{\"a\":1}", NOW + 2));
	REQUIRE(run(see, NULL) == 0);
	CHECK(ask(b, l, "{\"a\":1}", NOW + 2));
	REQUIRE(run(revoke_it, NULL) == 0);
	CHECK(!ask(b, l, "{\"a\":1}", NOW + 2));
	beat_free(b);
	lastseen_free(l);
}

TEST(a_beat_is_not_kept_when_the_store_moved_meanwhile_or_it_is_too_long)
{
	char *big = xcalloc(1, BEAT_ANSWER_MAX + 64);
	struct lastseen *l;
	uint64_t epoch;

	begin();
	l = lastseen_new();
	epoch = versions_epoch(versions);
	REQUIRE(run(order, NULL) == 0);
	CHECK(keep(l, epoch, "{}", ANSWER) == NULL);
	CHECK(keep(l, versions_epoch(versions), "{}", "{}") == NULL);
	CHECK(keep(l, versions_epoch(versions), "{}", "{\"interval_s\":60}") == NULL);
	snprintf(big, BEAT_ANSWER_MAX + 64, "{\"interval_s\":60,%0*d", BEAT_ANSWER_MAX, 0);
	CHECK(keep(l, versions_epoch(versions), "{}", big) == NULL);
	memset(big, 'x', BEAT_BODY_MAX + 1);
	big[BEAT_BODY_MAX + 1] = '\0';
	CHECK(keep(l, versions_epoch(versions), big, ANSWER) == NULL);
	free(big);
	lastseen_free(l);
}

/* ---- readers beside the writer ---- */

#define CHANGES 600
#define READERS 2

static _Atomic int64_t answered;	/* the newest change whose end was told */
static _Atomic uint64_t fresh_looks, kept_uses;

/* Change n: the state of a row is n. Orders of one device, the newest tells. */
static int change(struct db *db, void *arg, struct error *e)
{
	struct query q = query_open(db, "UPDATE certificates SET superseded_s = ?1 WHERE device_id = ?2");

	query_int(&q, 1, *(int64_t *)arg);
	query_int(&q, 2, first);
	return query_run(&q, e);
}

static void *read_all_the_time(void *arg)
{
	struct error e = ERROR_INIT;
	struct db *db = db_open(path, DB_READ, &control_schema, &e);
	int64_t value = -1, must_be, *worst = arg;
	uint64_t version = 0, epoch;
	bool kept = false;

	while (db != NULL && (must_be = answered) < CHANGES) {
		if (kept && versions_of(versions, first) == version) {
			kept_uses++;
		} else {
			struct certificate_row row;

			epoch = versions_epoch(versions);
			if (certificate_find(db, PRINT, &row, &e) <= 0)
				break;
			value = row.superseded_s;
			version = versions_of(versions, first);
			kept = versions_epoch(versions) == epoch;
			fresh_looks++;
		}
		if (must_be - value > *worst)
			*worst = must_be - value;
	}
	db_close(db);
	return NULL;
}

TEST(nothing_kept_is_older_than_an_answered_change)
{
	pthread_t readers[READERS];
	int64_t worst[READERS] = {0}, n;
	unsigned i;

	begin();
	for (i = 0; i < READERS; i++)
		REQUIRE(pthread_create(&readers[i], NULL, read_all_the_time, &worst[i]) == 0);
	for (n = 1; n <= CHANGES; n++) {
		REQUIRE(run(change, &n) == 0);
		answered = n;
	}
	for (i = 0; i < READERS; i++) {
		pthread_join(readers[i], NULL);
		CHECK_INT(worst[i], 0);
	}
	printf("# %llu looks, %llu uses of what was kept\n", (unsigned long long)fresh_looks, (unsigned long long)kept_uses);
	CHECK(fresh_looks > 10 && kept_uses > fresh_looks);
}
