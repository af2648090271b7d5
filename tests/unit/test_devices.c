/* The device API's rules: register, heartbeat, status, orders, tags; and last-seen times. */
#include "tap.h"

#include "fleet/devices.h"
#include "fleet/rollout.h"
#include "store/audit.h"
#include "store/lastseen.h"
#include "store/schema.h"

#define NOW 1795203000
#define INSTANCE "\"instance\":\"0123456789abcdef\""

static char dir[] = "/tmp/test_devices.XXXXXX", path[64];
static struct db *db;
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

static int64_t begin(void)
{
	int64_t id;

	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	snprintf(path, sizeof(path), "%s/c.db", dir);
	db = db_open(path, DB_CREATE, &control_schema, &err);
	REQUIRE(db != NULL);
	must(device_add(db, SLICE_LIT("press-3"), NOW - 100, &id, &err));
	return id;
}

static char answer[65536];

/* One request; the answer (or the error's text) is in `answer`. */
static int call(const char *what, int64_t id, const char *body, const char *fingerprint)
{
	struct buf out = BUF_INIT(1 << 20), report = BUF_INIT(DEVICE_REPORT_MAX);
	struct json_writer w = JSON_WRITER(&out);
	struct json doc = JSON_INIT;
	int r;

	err = ERROR_INIT;
	must(json_parse(&doc, slice_str(body), JSON_FRACTIONS, &err));
	must(db_savepoint(db, &err));
	if (strcmp(what, "register") == 0)
		r = device_register(db, id, json_root(&doc), "main", 60, NOW, &w, &err);
	else if (strcmp(what, "heartbeat") == 0)
		r = device_heartbeat(db, id, fingerprint, json_root(&doc), 60, &report, &w, &err);
	else
		r = device_status(db, id, json_root(&doc), NOW, &err);
	if (r == 0) {
		must(db_savepoint_keep(db, &err));
		snprintf(answer, sizeof(answer), "%s", report.len > 0 ? buf_cstr(&report) : buf_cstr(&out));
		if (report.len > 0)
			snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "\n%s", buf_cstr(&out));
	} else {
		db_savepoint_undo(db);
		snprintf(answer, sizeof(answer), "%s", err.text);
	}
	json_release(&doc);
	buf_release(&out);
	buf_release(&report);
	return r;
}

static int64_t rows(const char *sql)
{
	int64_t n = -1;

	must(db_get_int(db, sql, &n, &err));
	return n;
}

TEST(register_keeps_what_is_known_and_is_idempotent)
{
	struct buf profile = BUF_INIT(DEVICE_PROFILE_MAX);
	int64_t id = begin();
	struct device d;

	CHECK_INT(call("register", id, "{" INSTANCE ",\"future\":[1.5],\"profile\":{\"model\":\"Press\\n9\",\"arch\":\"arm64\","
		"\"memory_mb\":2048,\"accelerators\":[\"npu\"],\"colour\":\"red\"}}", NULL), 0);
	CHECK(strstr(answer, "\"device\":\"press-3\",\"site\":\"main\",\"interval_s\":") != NULL);
	must(device_find(db, SLICE_LIT("press-3"), &d, &err));
	CHECK_INT(d.state, DEVICE_ACTIVE);
	CHECK_INT(d.registered_s, NOW);
	CHECK_INT(d.last_seen_s, NOW);
	must(device_profile(db, id, &profile, &err));
	CHECK_STR(buf_cstr(&profile), "{\"model\":\"Press\\\\x0a9\",\"arch\":\"arm64\",\"memory_mb\":2048,\"accelerators\":"
		"[\"npu\"]}");
	buf_release(&profile);
	CHECK_INT(call("register", id, "{" INSTANCE ",\"profile\":{}}", NULL), 0);
	CHECK_INT(rows("SELECT count(*) FROM audit WHERE action = 'device.register' AND actor = 'device:press-3'"), 2);
}

TEST(bad_registrations_change_nothing)
{
	static const char *const bad[] = {
		"[]", "{}", "{\"profile\":{}}", "{" INSTANCE "}", "{" INSTANCE ",\"profile\":[]}",
		"{\"instance\":\"0123456789ABCDEF\",\"profile\":{}}", "{\"instance\":\"0123\",\"profile\":{}}",
		"{\"instance\":5,\"profile\":{}}", "{" INSTANCE ",\"profile\":{\"model\":5}}",
		"{" INSTANCE ",\"profile\":{\"cores\":-1}}", "{" INSTANCE ",\"profile\":{\"cores\":1.5}}",
		"{" INSTANCE ",\"profile\":{\"cores\":\"4\"}}", "{" INSTANCE ",\"profile\":{\"accelerators\":[1]}}",
		"{" INSTANCE ",\"profile\":{\"model\":null}}",
		"{" INSTANCE ",\"profile\":{\"accelerators\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}}",
	};
	char large[1024], text[512];
	int64_t id = begin();
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (call("register", id, bad[i], NULL) == 0)
			printf("# taken: %s\n", bad[i]);
		CHECK(err.kind == ERR_MALFORMED || err.kind == ERR_LIMIT);
	}
	memset(text, 'x', sizeof(text));
	text[129] = '\0';
	snprintf(large, sizeof(large), "{" INSTANCE ",\"profile\":{\"model\":\"%s\"}}", text);
	CHECK_INT(call("register", id, large, NULL), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	CHECK_INT(rows("SELECT count(*) FROM audit"), 0);
	CHECK_INT(rows("SELECT count(*) FROM devices WHERE state = 'enrolled'"), 1);
	CHECK_INT(call("register", 99, "{" INSTANCE ",\"profile\":{}}", NULL), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
}

static int64_t assign(const char *artifact)
{
	const struct rollout_actor who = {.name = "operator:alice", .now_s = NOW};
	const struct rollout_spec spec = {.artifact = slice_str(artifact), .kind = SLICE_LIT("file"),
		.selector = SLICE_LIT("{\"all\":true}"),
		.strategy = SLICE_LIT("{\"waves\":[{\"percent\":100}],\"max_failure_rate\":1}")};
	int64_t id;

	must(rollout_create(db, &spec, &who, &id, &err));
	return rows("SELECT max(id) FROM assignments");
}

TEST(a_heartbeat_tells_and_is_told)
{
	int64_t id = begin(), a, highest;
	char want[256];

	a = assign("plant/plc/1.2");
	CHECK_INT(call("heartbeat", id, "{\"agent_version\":\"0.1.0\",\"uptime_s\":5,\"metadata\":{\"root\":1,\"publisher\":7},"
		"\"artifacts\":[{\"path\":\"plant/plc/1.1\",\"release\":3,\"state\":\"healthy\"}]}", "ab"), 0);
	snprintf(want, sizeof(want), "\"desired\":[{\"assignment\":%lld,\"action\":\"install\",\"path\":\"plant/plc/1.2\","
		 "\"kind\":\"file\"}],\"orders\":[]}", (long long)a);
	CHECK(strstr(answer, want) != NULL);
	CHECK(strstr(answer, "{\"agent_version\":\"0.1.0\",\"metadata\":{\"root\":1,\"publisher\":7},\"artifacts\":"
		"[{\"path\":\"plant/plc/1.1\",\"release\":3,\"state\":\"healthy\"}]}\n") == answer);
	must(device_set_seen(db, id, NOW, slice_sub(slice_str(answer), 0, strcspn(answer, "\n")), &err));
	must(devices_highest_version(db, SLICE_LIT("publisher"), &highest, &err));
	CHECK_INT(highest, 7);
	must(devices_highest_version(db, SLICE_LIT("other"), &highest, &err));
	CHECK_INT(highest, 0);
	CHECK_INT(call("heartbeat", id, "{}", "ab"), 0);
	CHECK_INT(rows("SELECT count(*) FROM audit WHERE action LIKE 'device.%'"), 0);
}

TEST(bad_heartbeats_are_refused)
{
	static const char *const bad[] = {
		"[]", "{\"metadata\":[]}", "{\"metadata\":{\"root\":-1}}", "{\"metadata\":{\"root\":\"1\"}}",
		"{\"metadata\":{\"../x\":1}}", "{\"metadata\":{\"root\":1.5}}", "{\"artifacts\":{}}", "{\"artifacts\":[1]}",
		"{\"artifacts\":[{\"path\":\"a/b\",\"release\":1,\"state\":\"healthy\"}]}",
		"{\"artifacts\":[{\"path\":\"a/b/1\",\"release\":1,\"state\":\"splendid\"}]}",
		"{\"artifacts\":[{\"path\":\"a/b/1\",\"state\":\"healthy\"}]}", "{\"agent_version\":1}",
	};
	int64_t id = begin();
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (call("heartbeat", id, bad[i], "ab") == 0)
			printf("# taken: %s\n", bad[i]);
		CHECK(err.kind == ERR_MALFORMED);
	}
}

TEST(the_interval_has_jitter_downwards)
{
	int64_t low = 1000, high = 0;
	unsigned i;

	for (i = 0; i < 1000; i++) {
		int64_t n = heartbeat_interval(60, 2654435769u * i);

		low = n < low ? n : low;
		high = n > high ? n : high;
	}
	CHECK_INT(low, 54);
	CHECK_INT(high, 60);
	CHECK_INT(heartbeat_interval(1, 77), 1);
	CHECK_INT(heartbeat_interval(0, 77), 1);
}

static void status_body(char *out, size_t size, int64_t a, unsigned seq, const char *state)
{
	snprintf(out, size, "{" INSTANCE ",\"assignment\":%lld,\"seq\":%u,\"path\":\"plant/plc/1\",\"state\":\"%s\","
		 "\"reason\":\"line one\\nline two\",\"at\":\"2026-11-20T19:29:00Z\"}", (long long)a, seq, state);
}

TEST(a_transition_is_recorded_once)
{
	int64_t id = begin(), a = assign("plant/plc/1");
	char body[512];

	status_body(body, sizeof(body), a, 1, "downloading");
	CHECK_INT(call("status", id, body, NULL), 0);
	CHECK_INT(call("status", id, body, NULL), 0);
	CHECK_INT(rows("SELECT count(*) FROM transitions"), 1);
	CHECK_INT(rows("SELECT count(*) FROM audit WHERE action = 'device.status'"), 1);
	status_body(body, sizeof(body), a, 2, "rolled_back");
	CHECK_INT(call("status", id, body, NULL), 0);
	CHECK_INT(rows("SELECT count(*) FROM assignments WHERE state = 'rolled_back' AND reason = 'line one\\x0aline two'"),
		  1);
	CHECK_INT(rows("SELECT count(*) FROM audit WHERE action = 'device.status' AND verdict = 'failed'"), 1);
	/* The first one again, late: it changes nothing. */
	status_body(body, sizeof(body), a, 1, "downloading");
	CHECK_INT(call("status", id, body, NULL), 0);
	CHECK_INT(rows("SELECT count(*) FROM assignments WHERE state = 'rolled_back'"), 1);
	/* The same number under another state of the agent is new. */
	memcpy(strstr(body, "0123456789abcdef"), "ffff", 4);
	CHECK_INT(call("status", id, body, NULL), 0);
	CHECK_INT(rows("SELECT count(*) FROM transitions"), 3);
	status_body(body, sizeof(body), 0, 1, "healthy");
	CHECK_INT(call("status", id, body, NULL), 0);
	CHECK_INT(rows("SELECT count(*) FROM transitions WHERE assignment_id = 0"), 1);
}

TEST(bad_transitions_are_refused)
{
	static const struct {
		const char *cut, *put;
		enum error_kind kind;
	} cases[] = {
		{"\"seq\":1", "\"seq\":0", ERR_MALFORMED},
		{"\"seq\":1", "\"seq\":\"1\"", ERR_MALFORMED},
		{"downloading", "planned", ERR_MALFORMED},
		{"downloading", "superseded", ERR_MALFORMED},
		{"downloading", "sleeping", ERR_MALFORMED},
		{"plant/plc/1\"", "plant/plc/2\"", ERR_REFUSED},
		{"plant/plc/1\"", "plant/../1\"", ERR_MALFORMED},
		{"19:29:00Z", "19:29:00", ERR_MALFORMED},
		{"2026-11-20", "2026-02-30", ERR_MALFORMED},
		{"\"assignment\":1", "\"assignment\":77", ERR_NOT_FOUND},
		{"\"assignment\":1", "\"assignment\":-1", ERR_MALFORMED},
		{"0123456789abcdef", "0123456789abcdeg", ERR_MALFORMED},
		{"\"at\"", "\"when\"", ERR_MALFORMED},
	};
	int64_t id = begin(), a = assign("plant/plc/1"), other;
	char body[512], changed[1024];
	unsigned i;

	CHECK_INT(a, 1);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *at;

		status_body(body, sizeof(body), a, 1, "downloading");
		at = strstr(body, cases[i].cut);
		REQUIRE(at != NULL);
		snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - body), body, cases[i].put,
			 at + strlen(cases[i].cut));
		if (call("status", id, changed, NULL) == 0)
			printf("# taken: %s\n", changed);
		CHECK_INT(err.kind, cases[i].kind);
	}
	must(device_add(db, SLICE_LIT("press-4"), NOW, &other, &err));
	status_body(body, sizeof(body), a, 1, "downloading");
	CHECK_INT(call("status", other, body, NULL), -1);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK_INT(rows("SELECT count(*) FROM transitions"), 0);
}

TEST(orders_are_for_the_bearer_of_one_certificate)
{
	int64_t id = begin();
	struct device d;

	must(device_find(db, SLICE_LIT("press-3"), &d, &err));
	must(device_retire(db, &d, DEVICE_DECOMMISSIONED, "aa11", "sold", NOW, &err));
	must(device_retire(db, &d, DEVICE_DECOMMISSIONED, "aa11", "sold", NOW, &err));
	CHECK_INT(rows("SELECT count(*) FROM orders"), 1);
	CHECK_INT(call("heartbeat", id, "{}", "bb22"), 0);
	CHECK(strstr(answer, "\"orders\":[]") != NULL);
	CHECK_INT(call("heartbeat", id, "{}", "aa11"), 0);
	CHECK(strstr(answer, "\"orders\":[{\"id\":1,\"order\":\"wipe\",\"device\":\"press-3\",\"certificate\":\"aa11\"}]") !=
	      NULL);
	must(order_done(db, id, 1, NOW, &err));
	CHECK_INT(call("heartbeat", id, "{}", "aa11"), 0);
	CHECK(strstr(answer, "\"orders\":[]") != NULL);
}

TEST(tags_are_checked_and_counted)
{
	struct json_value none = {.doc = NULL};
	struct json doc = JSON_INIT;
	struct buf tags = BUF_INIT(4096);
	struct device d;
	char many[1024], *o = many;
	unsigned i;

	begin();
	must(device_find(db, SLICE_LIT("press-3"), &d, &err));
	must(json_parse(&doc, SLICE_LIT("[\"line-2\",\"canary\",\"line-2\"]"), JSON_STRICT, &err));
	must(device_change_tags(db, &d, json_root(&doc), none, NOW, &err));
	must(device_tags(db, d.id, &tags, &err));
	CHECK_STR(buf_cstr(&tags), "canary,line-2");
	must(device_change_tags(db, &d, none, json_root(&doc), NOW, &err));
	must(device_tags(db, d.id, &tags, &err));
	CHECK_INT(tags.len, 0);
	json_release(&doc);
	must(json_parse(&doc, SLICE_LIT("[\"Line 2\"]"), JSON_STRICT, &err));
	CHECK_INT(device_change_tags(db, &d, json_root(&doc), none, NOW, &err), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	json_release(&doc);
	o += sprintf(o, "[\"t0\"");
	for (i = 1; i <= DEVICE_TAGS_MAX; i++)
		o += sprintf(o, ",\"t%u\"", i);
	strcpy(o, "]");
	must(json_parse(&doc, slice_str(many), JSON_STRICT, &err));
	CHECK_INT(device_change_tags(db, &d, json_root(&doc), none, NOW, &err), -1);
	CHECK_INT(err.kind, ERR_LIMIT);
	json_release(&doc);
	buf_release(&tags);
}

TEST(devices_are_listed_in_pages)
{
	struct buf out = BUF_INIT(1 << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct json doc = JSON_INIT;
	int64_t id;

	begin();
	must(device_add(db, SLICE_LIT("a-1"), NOW, &id, &err));
	must(device_add(db, SLICE_LIT("b-1"), NOW, &id, &err));
	must(device_set_seen(db, id, NOW - 100, SLICE_EMPTY, &err));
	must(device_tag_add(db, id, SLICE_LIT("x"), &err));
	must(devices_put(db, NULL, NULL, SLICE_EMPTY, 2, NULL, 60, NOW, &w, &err));
	must(json_parse(&doc, buf_slice(&out), JSON_STRICT, &err));
	CHECK_INT(json_count(json_get(json_root(&doc), "devices")), 2);
	CHECK(slice_equal_str(json_string(json_get(json_root(&doc), "next")), "b-1"));
	json_release(&doc);
	buf_clear(&out);
	w = JSON_WRITER(&out);
	must(devices_put(db, NULL, NULL, SLICE_LIT("b-1"), 2, NULL, 60, NOW, &w, &err));
	CHECK(strstr(buf_cstr(&out), "\"press-3\"") != NULL);
	CHECK(strstr(buf_cstr(&out), "\"presence\":\"never\"") != NULL);
	CHECK(strstr(buf_cstr(&out), "\"next\":null") != NULL);
	buf_clear(&out);
	w = JSON_WRITER(&out);
	must(devices_put(db, "x", "enrolled", SLICE_EMPTY, 0, NULL, 60, NOW, &w, &err));
	CHECK(strstr(buf_cstr(&out), "\"device\":\"b-1\",\"state\":\"enrolled\",\"presence\":\"online\"") != NULL);
	buf_clear(&out);
	w = JSON_WRITER(&out);
	must(devices_put(db, "x", NULL, SLICE_EMPTY, 0, NULL, 30, NOW, &w, &err));
	CHECK(strstr(buf_cstr(&out), "\"presence\":\"offline\"") != NULL);
	buf_release(&out);
}

/* ---- last-seen times ---- */

static int noop(struct db *d, void *arg, struct error *e)
{
	(void)d;
	(void)arg;
	(void)e;
	return 0;
}

static const char *presence_of(struct lastseen *l, int64_t id, int64_t now_s)
{
	struct buf out = BUF_INIT(1 << 20);
	struct json_writer w = JSON_WRITER(&out);
	struct device d;
	bool online;

	must(device_find_id(db, id, &d, &err));
	must(device_put(db, &d, l, 60, now_s, &w, &err));
	online = strstr(buf_cstr(&out), "\"presence\":\"online\"") != NULL;
	buf_release(&out);
	return online ? "online" : "offline";
}

TEST(last_seen_times_are_flushed_together)
{
	struct lastseen *l = lastseen_new();
	struct writer_stats before, after;
	struct db *other;
	struct writer *w;
	int64_t id, first = begin();
	char name[16];
	unsigned i;

	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "n-%u", i);
		must(device_add(db, slice_str(name), NOW, &id, &err));
	}
	other = db_open(path, DB_WRITE, &control_schema, &err);
	REQUIRE(other != NULL);
	w = writer_start(other, NULL, &err);
	REQUIRE(w != NULL);
	for (i = 0; i <= 3000; i++)
		lastseen_touch(l, first + i, NOW + i, SLICE_LIT("{\"agent_version\":\"1\"}"));
	lastseen_touch(l, first, NOW - 50, SLICE_EMPTY);
	CHECK_INT(lastseen_get(l, first), NOW);
	CHECK_INT(lastseen_get(l, 99999), 0);
	writer_stats(w, &before);
	must(lastseen_flush(l, w, &err));
	must(lastseen_flush(l, w, &err));
	must(writer_call(w, noop, NULL, &err));
	writer_stats(w, &after);
	CHECK_INT(after.jobs - before.jobs, 2);
	CHECK_INT(rows("SELECT count(*) FROM devices WHERE last_seen_s >= 1795203000 AND report LIKE '%version%'"), 3001);
	/* Nothing new: nothing to write. */
	must(lastseen_flush(l, w, &err));
	writer_stats(w, &before);
	CHECK_INT(before.jobs, after.jobs);
	/* The time alone; then the same report is not written again. */
	lastseen_touch(l, first, NOW + 9000, SLICE_LIT("{\"agent_version\":\"1\"}"));
	must(lastseen_flush(l, w, &err));
	must(writer_call(w, noop, NULL, &err));
	CHECK_INT(rows("SELECT max(last_seen_s) FROM devices"), NOW + 9000);
	/* What could not be written is handed over again. */
	lastseen_touch(l, first, NOW + 9999, SLICE_LIT("{\"agent_version\":\"2\"}"));
	must(db_begin(db, &err));
	must(lastseen_flush(l, w, &err));
	CHECK_INT(writer_call(w, noop, NULL, &err), -1);
	/* It is known meanwhile, and what failed is said, at once and until it is over. */
	CHECK_STR(presence_of(l, first, NOW + 10000), "online");
	CHECK_STR(presence_of(NULL, first, NOW + 10000), "offline");
	must(db_commit(db, &err));
	CHECK(lastseen_flush(l, w, &err) < 0 && strstr(err.text, "locked") != NULL);
	must(writer_call(w, noop, NULL, &err));
	must(lastseen_flush(l, w, &err));
	CHECK_INT(rows("SELECT count(*) FROM devices WHERE last_seen_s = 1795212999 AND report LIKE '%\"2\"%'"), 1);
	writer_stop(w);
	lastseen_free(l);
}

/* A server whose clock was in 2040 for a while: when it is right again, who is silent is offline, who speaks is seen now. */
TEST(devices_seen_under_a_clock_that_was_ahead)
{
	const int64_t y2040 = INT64_C(2208988800);
	struct lastseen *l = lastseen_new();
	int64_t id = begin();
	struct device d;

	lastseen_touch(l, id, y2040, SLICE_EMPTY);
	CHECK_INT(lastseen_get(l, id), y2040);
	lastseen_touch(l, id, NOW, SLICE_EMPTY);
	CHECK_INT(lastseen_get(l, id), NOW);
	lastseen_touch(l, id, NOW - 2, SLICE_EMPTY);	/* another loop, a moment late */
	CHECK_INT(lastseen_get(l, id), NOW);
	lastseen_free(l);

	must(device_set_seen(db, id, y2040, SLICE_EMPTY, &err));
	must(device_find(db, SLICE_LIT("press-3"), &d, &err));
	CHECK_STR(device_presence(d.last_seen_s, 60, y2040), "online");
	CHECK_STR(device_presence(d.last_seen_s, 60, NOW), "offline");
	must(device_set_seen(db, id, NOW, SLICE_EMPTY, &err));
	must(device_set_seen(db, id, NOW - 2, SLICE_EMPTY, &err));
	must(device_find(db, SLICE_LIT("press-3"), &d, &err));
	CHECK_INT(d.last_seen_s, NOW);
	CHECK_STR(device_presence(d.last_seen_s, 60, NOW + 60), "online");
	must(device_set_seen(db, id, y2040, SLICE_EMPTY, &err));
	must(device_set_registered(db, id, SLICE_LIT("{}"), NOW, &err));
	must(device_find(db, SLICE_LIT("press-3"), &d, &err));
	CHECK_INT(d.last_seen_s, NOW);
}

/* What a device says of the time is kept as its word, in the row's detail; the row itself has the server's time and order. */
TEST(absurd_times_of_devices_do_not_touch_the_order_of_the_trail)
{
	static const char *const good[] = {"1970-01-01T00:00:00Z", "2038-01-19T03:14:08Z", "2040-01-01T00:00:00Z",
					   "2100-03-01T00:00:00Z", "9999-12-31T23:59:59Z"};
	static const char *const bad[] = {"2016-12-31T23:59:60Z", "1969-12-31T23:59:59Z", "10000-01-01T00:00:00Z",
					  "2026-11-28T06:00:00+00:00", "now", ""};
	int64_t id = begin();
	char body[512];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(good) + ARRAY_SIZE(bad); i++) {
		bool fine = i < ARRAY_SIZE(good);
		const char *at = fine ? good[i] : bad[i - ARRAY_SIZE(good)];

		snprintf(body, sizeof(body), "{" INSTANCE ",\"assignment\":0,\"seq\":%u,\"path\":\"plant/plc/1\","
			 "\"state\":\"healthy\",\"reason\":\"\",\"at\":\"%s\"}", i + 1, at);
		CHECK_INT(call("status", id, body, NULL), fine ? 0 : -1);
		if (!fine)
			CHECK(strstr(answer, "is not a time like") != NULL);
	}
	CHECK_INT(rows("SELECT count(*) FROM audit WHERE action = 'device.status' AND time_s = 1795203000"), ARRAY_SIZE(good));
	CHECK_INT(rows("SELECT count(*) FROM audit WHERE detail LIKE '%9999-12-31T23:59:59Z%'"), 1);
}
