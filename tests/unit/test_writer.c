/* The one writer: order, groups, savepoints, failed commits, a clean stop. */
#include "tap.h"

#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include "store/writer.h"
#include "sys/clock.h"

static const char *const step_1[] = {"CREATE TABLE t (id INTEGER PRIMARY KEY, pad BLOB) STRICT;", NULL};
static const char *const *const steps[] = {step_1};
static const struct db_schema schema = {.what = "test database", .damaged_hint = "", .application_id = 0x74657374,
	.migrations = steps, .version = 1};

static char dir[] = "/tmp/test_writer.XXXXXX", path[64];

static void leave(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static struct writer *begin(void)
{
	struct error err = ERROR_INIT;
	struct writer *w;
	struct db *db;

	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	snprintf(path, sizeof(path), "%s/x.db", dir);
	db = db_open(path, DB_CREATE, &schema, &err);
	REQUIRE(db != NULL);
	w = writer_start(db, NULL, &err);
	REQUIRE(w != NULL);
	return w;
}

static int64_t count_rows(void)
{
	struct error err = ERROR_INIT;
	struct db *db = db_open(path, DB_READ, &schema, &err);
	int64_t n = -1;

	REQUIRE(db != NULL);
	REQUIRE(db_get_int(db, "SELECT count(*) FROM t", &n, &err) == 0);
	db_close(db);
	return n;
}

/* A job that inserts a row, and may fail afterwards. */
struct insert {
	int64_t id;
	int pad;
	bool fail;
	int result, ended;
	enum error_kind kind;
};
static unsigned end_order[8192], ended;
static pthread_mutex_t ended_lock = PTHREAD_MUTEX_INITIALIZER;

static int insert_job(struct db *db, void *arg, struct error *err)
{
	struct insert *i = arg;
	struct query q = query_open(db, "INSERT INTO t VALUES (?1, zeroblob(?2))");

	query_int(&q, 1, i->id);
	query_int(&q, 2, i->pad);
	if (query_run(&q, err) < 0)
		return -1;
	return i->fail ? error_set(err, ERR_USAGE, "asked to fail") : 0;
}

static void insert_done(void *arg, int result, const struct error *err)
{
	struct insert *i = arg;

	pthread_mutex_lock(&ended_lock);
	i->result = result;
	i->kind = result < 0 ? err->kind : ERR_NONE;
	i->ended++;
	end_order[ended++] = (unsigned)i->id;
	pthread_mutex_unlock(&ended_lock);
}

/* Holds the thread until the test has queued what it wants. */
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

TEST(a_lone_job_does_not_wait)
{
	struct error err = ERROR_INIT;
	struct writer *w = begin();
	struct insert one = {.id = 1};
	struct writer_stats s;

	CHECK_INT(writer_call(w, insert_job, &one, &err), 0);
	CHECK_INT(count_rows(), 1);
	CHECK_INT(writer_call(w, insert_job, &one, &err), -1);
	CHECK_INT(err.kind, ERR_CONFLICT);
	writer_stats(w, &s);
	CHECK_INT(s.jobs, 2);
	CHECK_INT(s.failed_jobs, 1);
	CHECK_INT(s.queued, 0);
	writer_stop(w);
	writer_stop(NULL);
}

TEST(jobs_that_pile_up_share_commits_and_keep_their_order)
{
	static struct insert jobs[1000];
	struct error err = ERROR_INIT;
	struct writer *w = begin();
	struct writer_stats s;
	unsigned i;

	pthread_mutex_lock(&gate);
	REQUIRE(writer_post(w, gate_job, NULL, NULL, &err) == 0);
	for (i = 0; i < 1000; i++) {
		jobs[i] = (struct insert){.id = (int64_t)i + 1, .fail = i % 10 == 9};
		REQUIRE(writer_post(w, insert_job, insert_done, &jobs[i], &err) == 0);
	}
	writer_stats(w, &s);
	CHECK(s.queued >= 1000);
	pthread_mutex_unlock(&gate);
	CHECK_INT(writer_call(w, gate_job, NULL, &err), 0);
	writer_stats(w, &s);
	CHECK_INT(s.failed_jobs, 100);
	CHECK(s.commits >= 1000 / WRITER_GROUP_MAX && s.commits < 500);
	writer_stop(w);
	CHECK_INT(ended, 1000);
	for (i = 0; i < 1000; i++) {
		CHECK_INT(end_order[i], i + 1);
		CHECK_INT(jobs[i].result, i % 10 == 9 ? -1 : 0);
		CHECK_INT(jobs[i].kind, i % 10 == 9 ? ERR_USAGE : ERR_NONE);
	}
	CHECK_INT(count_rows(), 900);
}

/* done comes after the COMMIT: another connection sees the row already. */
static void done_and_durable(void *arg, int result, const struct error *err)
{
	int64_t *seen = arg;

	(void)err;
	*seen = result == 0 ? count_rows() : -1;
}

TEST(done_follows_the_commit)
{
	struct error err = ERROR_INIT;
	struct writer *w = begin();
	struct insert *one;
	struct {
		int64_t seen;
		struct insert in;
	} both = {.seen = -1, .in = {.id = 1}};

	one = &both.in;
	CHECK_INT(writer_call(w, insert_job, one, &err), 0);
	CHECK_INT(writer_post(w, gate_job, done_and_durable, &both.seen, &err), 0);
	writer_stop(w);
	CHECK_INT(both.seen, 1);
}

TEST(stop_finishes_what_is_queued)
{
	static struct insert jobs[200];
	struct error err = ERROR_INIT;
	struct writer *w = begin();
	unsigned i;

	pthread_mutex_lock(&gate);
	REQUIRE(writer_post(w, gate_job, NULL, NULL, &err) == 0);
	for (i = 0; i < 200; i++) {
		jobs[i].id = (int64_t)i + 1;
		REQUIRE(writer_post(w, insert_job, insert_done, &jobs[i], &err) == 0);
	}
	pthread_mutex_unlock(&gate);
	writer_stop(w);
	CHECK_INT(ended, 200);
	CHECK_INT(count_rows(), 200);
}

TEST(a_full_queue_says_try_again)
{
	struct error err = ERROR_INIT;
	struct writer *w = begin();
	unsigned n = 0;

	pthread_mutex_lock(&gate);
	while (writer_post(w, gate_job, NULL, NULL, &err) == 0)
		REQUIRE(++n < 3 * WRITER_QUEUE_MAX);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK(n >= WRITER_QUEUE_MAX);
	pthread_mutex_unlock(&gate);
	writer_stop(w);
}

/* The file may not grow past a limit: every job of the group learns that nothing was kept, and the next work. */
TEST(a_full_disk_fails_the_whole_group)
{
	static struct insert jobs[3];
	struct error err = ERROR_INIT;
	struct writer *w = begin();
	struct insert later = {.id = 9};
	struct rlimit lim = {1 << 20, RLIM_INFINITY};
	unsigned i;

	signal(SIGXFSZ, SIG_IGN);
	REQUIRE(setrlimit(RLIMIT_FSIZE, &lim) == 0);
	pthread_mutex_lock(&gate);
	REQUIRE(writer_post(w, gate_job, NULL, NULL, &err) == 0);
	for (i = 0; i < 3; i++) {
		jobs[i] = (struct insert){.id = (int64_t)i + 1, .pad = i == 1 ? 8 << 20 : 10};
		REQUIRE(writer_post(w, insert_job, insert_done, &jobs[i], &err) == 0);
	}
	pthread_mutex_unlock(&gate);
	CHECK_INT(writer_call(w, gate_job, NULL, &err), 0);
	lim.rlim_cur = RLIM_INFINITY;
	REQUIRE(setrlimit(RLIMIT_FSIZE, &lim) == 0);
	CHECK_INT(writer_call(w, insert_job, &later, &err), 0);
	writer_stop(w);
	CHECK_INT(ended, 3);
	CHECK_INT(jobs[1].result, -1);
	CHECK_INT(jobs[1].kind, ERR_FAILED);
	/* On a slow machine the group's 20 ms may end between two jobs; what was answered is what is there. */
	CHECK_INT(count_rows(), 1 + (jobs[0].result == 0) + (jobs[2].result == 0));
}

TEST(a_lock_held_elsewhere_fails_with_retry)
{
	struct error err = ERROR_INIT;
	struct writer *w = begin();
	struct insert one = {.id = 1};
	static struct insert queued[300];
	struct writer_stats stats;
	sqlite3 *other = NULL;
	unsigned i;

	REQUIRE(sqlite3_open(path, &other) == SQLITE_OK);
	REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	/* More than a group: they wait for the lock once, all together. */
	for (i = 0; i < ARRAY_SIZE(queued); i++) {
		queued[i] = (struct insert){.id = (int64_t)i + 2};
		REQUIRE(writer_post(w, insert_job, insert_done, &queued[i], &err) == 0);
	}
	CHECK_INT(writer_call(w, insert_job, &one, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	writer_stats(w, &stats);
	CHECK_INT(stats.failed_commits, 1);
	CHECK_INT(stats.failed_jobs, ARRAY_SIZE(queued) + 1);
	sqlite3_close(other);
	CHECK_INT(writer_call(w, insert_job, &one, &err), 0);
	writer_stop(w);
	CHECK_INT(ended, ARRAY_SIZE(queued));
	for (i = 0; i < ARRAY_SIZE(queued); i++)
		CHECK(end_order[i] == queued[i].id && queued[i].result == -1 && queued[i].kind == ERR_RETRY);
}

TEST(without_a_thread_the_transaction_is_the_same)
{
	struct error err = ERROR_INIT;
	struct insert good = {.id = 1}, bad = {.id = 2, .fail = true};
	struct db *db;

	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	snprintf(path, sizeof(path), "%s/x.db", dir);
	db = db_open(path, DB_CREATE, &schema, &err);
	REQUIRE(db != NULL);
	CHECK_INT(db_transact(db, insert_job, &good, &err), 0);
	CHECK_INT(db_transact(db, insert_job, &bad, &err), -1);
	CHECK_INT(err.kind, ERR_USAGE);
	CHECK(!db_in_transaction(db));
	db_close(db);
	CHECK_INT(count_rows(), 1);
}
