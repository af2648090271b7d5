/* A database under a failing disk and under power cuts, at every system call: what was committed stays. */
#include "tap.h"

#include <fcntl.h>

#include "db/db.h"
#include "sys/fault.h"
#include "sys/file.h"

#ifdef MESHANICS_TEST

static const char *const step_1[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY, pad BLOB) STRICT;", NULL};
static const char *const step_2[] = {"CREATE TABLE u (id INTEGER PRIMARY KEY) STRICT; INSERT INTO u VALUES (7);", NULL};
static const char *const *const steps[] = {step_1, step_2};
static const struct db_schema schema_1 = {.what = "test database", .damaged_hint = "", .application_id = 0x74657374,
	.migrations = steps, .version = 1};
static const struct db_schema schema_2 = {.what = "test database", .damaged_hint = "", .application_id = 0x74657374,
	.migrations = steps, .version = 2};

/* In memory where there is such a place: what a power cut takes is decided by sys/fault.h, and syncs cost nothing. */
static char dir[] = "/dev/shm/test_dbfault.XXXXXX", path[64];

static void leave(void)
{
	struct error err = ERROR_INIT;

	if (file_remove_tree(AT_FDCWD, dir, &err) < 0)
		printf("# %s stays\n", dir);
}

static void enter(void)
{
	if (mkdtemp(dir) == NULL) {
		strcpy(dir, "/tmp/test_dbfault.XXXXXX");
		REQUIRE(mkdtemp(dir) != NULL);
	}
	atexit(leave);
	snprintf(path, sizeof(path), "%s/x.db", dir);
}

static void clear(void)
{
	struct error err = ERROR_INIT;
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".new", ".new-wal", ".new-shm", ".new-journal"};
	char name[80];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		REQUIRE(file_unlink(AT_FDCWD, name, &err) == 0);
	}
}

static int insert(struct db *db, int64_t id, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO t VALUES (?1, randomblob(3000))");

	query_int(&q, 1, id);
	return query_run(&q, err);
}

#define ROWS 5

/* Rows one commit each; tells through the pipe which are durable, as an answer over the network would. */
static int work(int out)
{
	struct error err = ERROR_INIT;
	struct db *db = db_open(path, DB_CREATE, &schema_1, &err);
	unsigned char id;
	int failed = 0;

	if (db == NULL)
		return 1;
	for (id = 1; id <= ROWS; id++) {
		if (db_begin(db, &err) < 0) {
			failed = 1;
			continue;
		}
		if (insert(db, id, &err) < 0 || db_commit(db, &err) < 0) {
			db_rollback(db);
			failed = 1;
			continue;
		}
		if (write(out, &id, 1) != 1)
			return 2;
	}
	db_close(db);
	return failed;
}

/* The work in a child, with call n going wrong; which rows it told. Its exit status. */
static int run(unsigned n, enum fault_mode mode, bool told[ROWS + 1], unsigned *calls)
{
	unsigned char id;
	int pipe_fds[2], count_fds[2], status;
	pid_t pid;

	memset(told, 0, (ROWS + 1) * sizeof(*told));
	REQUIRE(pipe(pipe_fds) == 0 && pipe(count_fds) == 0);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		int r;

		fault_arm(n, mode);
		r = work(pipe_fds[1]);
		*calls = fault_count();
		if (write(count_fds[1], calls, sizeof(*calls)) != (ssize_t)sizeof(*calls))
			r = 3;
		_exit(r);
	}
	close(pipe_fds[1]);
	close(count_fds[1]);
	while (read(pipe_fds[0], &id, 1) == 1)
		told[id] = true;
	if (read(count_fds[0], calls, sizeof(*calls)) != (ssize_t)sizeof(*calls))
		*calls = 0;
	close(pipe_fds[0]);
	close(count_fds[0]);
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Opened as the next start would: whole, and with every row that was told. */
static void check(const bool told[ROWS + 1], unsigned n, const char *mode)
{
	struct error err = ERROR_INIT;
	struct db *db = db_open(path, DB_CREATE, &schema_2, &err);
	unsigned id;

	if (db == NULL)
		printf("# %s at call %u: %s\n", mode, n, err.text);
	REQUIRE(db != NULL);
	CHECK_INT(db_check(db, &err), 0);
	for (id = 1; id <= ROWS; id++) {
		struct query q = query_open(db, "SELECT 1 FROM t WHERE id = ?1");

		query_int(&q, 1, id);
		if (told[id] && query_next(&q, &err) != 1) {
			printf("# %s at call %u: row %u was told and is gone\n", mode, n, id);
			CHECK(false);
		}
		query_close(&q);
	}
	db_close(db);
}

static void at_every_call(enum fault_mode mode, const char *name)
{
	bool told[ROWS + 1];
	unsigned n, calls, ignored;

	enter();
	REQUIRE(run(0, FAULT_NONE, told, &calls) == 0);
	CHECK(calls > 20);
	check(told, 0, "nothing");
	for (n = 1; n <= calls; n++) {
		clear();
		(void)run(n, mode, told, &ignored);
		check(told, n, name);
	}
}

TEST(a_power_cut_at_every_call_loses_nothing_that_was_told)
{
	at_every_call(FAULT_CUT, "cut");
}

TEST(a_power_cut_that_loses_all_that_was_not_synced_loses_nothing_that_was_told)
{
	at_every_call(FAULT_CUTZERO, "cutzero");
}

TEST(a_power_cut_that_loses_names_too_loses_nothing_that_was_told)
{
	at_every_call(FAULT_CUTDIR, "cutdir");
}

TEST(a_disk_that_turns_read_only_loses_nothing_that_was_told)
{
	at_every_call(FAULT_ROFS, "rofs");
}

TEST(a_failing_call_loses_nothing_that_was_told)
{
	at_every_call(FAULT_ERROR, "error");
}

TEST(a_torn_write_loses_nothing_that_was_told)
{
	at_every_call(FAULT_TORN, "torn");
}

TEST(a_full_disk_loses_nothing_that_was_told)
{
	at_every_call(FAULT_FULL, "full");
}

/* The old schema or the new one, never half. */
TEST(a_power_cut_in_a_migration_leaves_old_or_new)
{
	struct error err = ERROR_INIT;
	unsigned n;
	int status = 0;
	pid_t pid;

	enter();
	for (n = 1; n < 200; n++) {
		struct db *db;
		int64_t u = 0;

		clear();
		db = db_open(path, DB_CREATE, &schema_1, &err);
		REQUIRE(db != NULL);
		db_close(db);
		pid = fork();
		REQUIRE(pid >= 0);
		if (pid == 0) {
			fault_arm(n, FAULT_CUT);
			db = db_open(path, DB_WRITE, &schema_2, &err);
			db_close(db);
			_exit(db == NULL);
		}
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		db = db_open(path, DB_WRITE, &schema_2, &err);
		if (db == NULL)
			printf("# at call %u: %s\n", n, err.text);
		REQUIRE(db != NULL);
		CHECK(db_get_int(db, "SELECT id FROM u", &u, &err) == 0 && u == 7);
		db_close(db);
		if (WEXITSTATUS(status) == 0)
			break;
	}
	CHECK(n > 5 && n < 200);
}

#else

TEST(faults_are_in_test_builds_only)
{
	SKIP("not a test build");
}

#endif
