/*
 * The control plane's store interrupted at every system call of group commits: reports of several devices with their
 * audit rows, by way of the writer's thread. What was answered stays, nothing stands twice, and the trail verifies.
 */
#include "tap.h"

#include <pthread.h>

#include "fleet/audit.h"
#include "fleet/devices.h"
#include "store/schema.h"
#include "store/writer.h"
#include "sys/fault.h"
#include "sys/file.h"

#ifdef MESHANICS_TEST

#define NOW 1795203000
#define RUN_FAILED 3	/* not 1, which is a sanitizer's */
#define DEVICES 4
#define REPORTS 6	/* of each device */
#define GROUPS 3	/* they come in as many crowds */

/* In memory where there is such a place, as in test_db_fault.c. */
static char dir[] = "/dev/shm/test_storewalk.XXXXXX", path[64], image[80];
static int64_t device_ids[DEVICES];

static void leave(void)
{
	struct error err = ERROR_INIT;

	if (file_remove_tree(AT_FDCWD, dir, &err) < 0)
		printf("# %s stays\n", dir);
}

static struct db *open_db(void)
{
	struct error err = ERROR_INIT;
	struct db *db = db_open(path, DB_CREATE, &control_schema, &err);

	if (db == NULL)
		printf("# %s\n", err.text);
	return db;
}

static void shell(const char *command)
{
	REQUIRE(system(command) == 0);
}

/* A database with the devices in it, kept as an image. */
static void begin(void)
{
	struct error err = ERROR_INIT;
	char command[256], name[16];
	struct db *db;
	int i;

	if (mkdtemp(dir) == NULL) {
		strcpy(dir, "/tmp/test_storewalk.XXXXXX");
		REQUIRE(mkdtemp(dir) != NULL);
	}
	atexit(leave);
	snprintf(path, sizeof(path), "%s/c/m.db", dir);
	snprintf(image, sizeof(image), "%s/image", dir);
	REQUIRE(file_mkdirs(AT_FDCWD, image, 0700, &err) == 0);
	snprintf(command, sizeof(command), "mv %s %s/c", image, dir);
	shell(command);
	db = open_db();
	REQUIRE(db != NULL);
	for (i = 0; i < DEVICES; i++) {
		snprintf(name, sizeof(name), "press-%d", i);
		REQUIRE(device_add(db, slice_str(name), NOW, &device_ids[i], &err) == 0);
	}
	db_close(db);
	snprintf(command, sizeof(command), "cp -a %s/c %s", dir, image);
	shell(command);
}

static void bring_back(void)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s/c && cp -a %s %s/c", dir, image, dir);
	shell(command);
}

/* ---- one report ---- */

struct report {
	int device, seq;
	int told_fd;	/* what the answer over the network would be */
};

static int report_job(struct db *db, void *arg, struct error *err)
{
	const struct report *r = arg;
	struct json doc = JSON_INIT;
	char text[256];
	int result;

	snprintf(text, sizeof(text), "{\"instance\":\"0123456789abcdef\",\"assignment\":0,\"seq\":%d,"
		 "\"path\":\"plant/plc/1.%d\",\"state\":\"healthy\",\"reason\":\"\",\"at\":\"2026-11-20T19:30:00Z\"}",
		 r->seq, r->seq);
	if (json_parse(&doc, slice_str(text), JSON_STRICT, err) < 0)
		return -1;
	result = device_status(db, device_ids[r->device], json_root(&doc), NOW, err);
	json_release(&doc);
	return result;
}

static void report_done(void *arg, int result, const struct error *err)
{
	const struct report *r = arg;
	unsigned char told[2] = {(unsigned char)r->device, (unsigned char)r->seq};

	(void)err;
	if (result == 0 && write(r->told_fd, told, 2) != 2)
		_exit(9);
}

/* Holds the writer until the crowd stands in the queue. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static int gate_job(struct db *db, void *arg, struct error *err)
{
	(void)db;
	(void)arg;
	(void)err;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return 0;
}

/* All reports, in crowds; 0 when all were answered well. */
static int send_all(int told_fd)
{
	static struct report reports[DEVICES * REPORTS];
	struct error err = ERROR_INIT;
	struct db *db = open_db();
	struct writer *w = db == NULL ? NULL : writer_start(db, NULL, &err);
	struct writer_stats s;
	unsigned i, g, count = DEVICES * REPORTS;

	if (w == NULL)
		return 1;
	for (g = 0; g < GROUPS; g++) {
		pthread_mutex_lock(&gate);
		if (writer_post(w, gate_job, NULL, NULL, &err) < 0)
			return 2;
		for (i = g * count / GROUPS; i < (g + 1) * count / GROUPS; i++) {
			reports[i] = (struct report){(int)(i % DEVICES), (int)(i / DEVICES) + 1, told_fd};
			if (writer_post(w, report_job, report_done, &reports[i], &err) < 0)
				return 2;
		}
		pthread_mutex_unlock(&gate);
		(void)!writer_call(w, gate_job, NULL, &err);
	}
	writer_stats(w, &s);
	writer_stop(w);
	return s.failed_jobs == 0 && s.failed_commits == 0 ? 0 : 1;
}

/* In a child, with call n going wrong: which reports were answered. Its exit status. */
static int run(unsigned n, enum fault_mode mode, bool told[DEVICES][REPORTS + 1], unsigned *calls)
{
	int told_fds[2], count_fds[2], status;
	unsigned char one[2];
	pid_t pid;

	memset(told, 0, DEVICES * sizeof(*told));
	REQUIRE(pipe(told_fds) == 0 && pipe(count_fds) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		int r;

		fault_arm(n, mode);
		r = send_all(told_fds[1]);
		*calls = fault_count();
		if (write(count_fds[1], calls, sizeof(*calls)) != (ssize_t)sizeof(*calls))
			_exit(9);
		_exit(r == 0 ? 0 : RUN_FAILED);
	}
	close(told_fds[1]);
	close(count_fds[1]);
	while (read(told_fds[0], one, 2) == 2)
		told[one[0]][one[1]] = true;
	if (read(count_fds[0], calls, sizeof(*calls)) != (ssize_t)sizeof(*calls))
		*calls = 0;
	close(told_fds[0]);
	close(count_fds[0]);
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == RUN_FAILED || WEXITSTATUS(status) == FAULT_CUT_STATUS);
	return WEXITSTATUS(status);
}

static int64_t number(struct db *db, const char *sql)
{
	struct error err = ERROR_INIT;
	int64_t n = -1;

	if (db_get_int(db, sql, &n, &err) < 0)
		printf("# %s: %s\n", sql, err.text);
	return n;
}

/* A transition for each audit row, and an audit row for each transition; the trail holds. */
static void check_books(struct db *db)
{
	struct audit_chain chain = {.first = 0};
	struct error err = ERROR_INIT;

	CHECK_INT(db_check(db, &err), 0);
	if (audit_verify_db(db, &chain, &err) < 0) {
		printf("# %s\n", err.text);
		tap_failures++;
	}
	CHECK_INT(number(db, "SELECT count(*) FROM audit"), number(db, "SELECT count(*) FROM transitions"));
}

static bool stands(struct db *db, int device, int seq)
{
	struct query q = query_open(db, "SELECT 1 FROM transitions WHERE device_id = ?1 AND seq = ?2");
	struct error err = ERROR_INIT;
	bool found;

	query_int(&q, 1, device_ids[device]);
	query_int(&q, 2, seq);
	found = query_next(&q, &err) == 1;
	query_close(&q);
	return found;
}

/* At the next start; then the devices repeat what was not answered, and some of what was. */
static void check(bool told[DEVICES][REPORTS + 1])
{
	bool again[DEVICES][REPORTS + 1];
	struct db *db = open_db();
	unsigned calls;
	int d, s;

	REQUIRE(db != NULL);
	for (d = 0; d < DEVICES; d++)
		for (s = 1; s <= REPORTS; s++)
			CHECK(!told[d][s] || stands(db, d, s));
	check_books(db);
	db_close(db);
	CHECK_INT(run(0, FAULT_NONE, again, &calls), 0);
	db = open_db();
	REQUIRE(db != NULL);
	CHECK_INT(number(db, "SELECT count(*) FROM transitions"), DEVICES * REPORTS);
	check_books(db);
	db_close(db);
}

static void at_every_call(enum fault_mode mode)
{
	bool told[DEVICES][REPORTS + 1], all = getenv("WALK_ALL") != NULL || getenv("SOAK_ROUNDS") != NULL;
	unsigned n, calls, ignored;
	int was;

	alarm(all ? 3600 : 120);
	begin();
	REQUIRE(run(0, FAULT_NONE, told, &calls) == 0);
	check(told);
	CHECK(calls > 20);
	printf("# %u calls\n", calls);
	for (n = 1 + (unsigned)mode % 3; n <= calls; n += all ? 1 : 3) {
		was = tap_failures;
		bring_back();
		(void)run(n, mode, told, &ignored);
		check(told);
		if (tap_failures > was)
			printf("# ^ call %u\n", n);
	}
}

TEST(a_power_cut_loses_no_report_that_was_answered)
{
	at_every_call(FAULT_CUT);
}

TEST(a_power_cut_that_loses_all_that_was_not_synced_loses_none)
{
	at_every_call(FAULT_CUTZERO);
}

TEST(a_power_cut_that_loses_names_loses_none)
{
	at_every_call(FAULT_CUTDIR);
}

TEST(a_failing_call_loses_none)
{
	at_every_call(FAULT_ERROR);
}

TEST(a_torn_write_loses_none)
{
	at_every_call(FAULT_TORN);
}

TEST(a_full_disk_loses_none)
{
	at_every_call(FAULT_FULL);
}

TEST(a_read_only_disk_loses_none)
{
	at_every_call(FAULT_ROFS);
}

#else

TEST(faults_are_in_test_builds_only)
{
	SKIP("not a test build");
}

#endif
