/* The safe database: refusals at open, migrations, append-only tables, statements, copies. */
#include "tap.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "db/db.h"

static const char *const step_1[] = {
	"CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, n INTEGER CHECK (n < 100)) STRICT;",
	"CREATE TABLE log (seq INTEGER PRIMARY KEY, what TEXT NOT NULL) STRICT;"
	"CREATE TRIGGER log_u BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'log is append-only'); END;"
	"CREATE TRIGGER log_d BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'log is append-only'); END;",
	NULL};
static const char *const step_2[] = {
	"CREATE TABLE child (t_id INTEGER NOT NULL REFERENCES t(id)) STRICT; INSERT INTO t VALUES (1, 'made', 1);", NULL};
static const char *const step_bad[] = {"CREATE TABLE half (x INTEGER) STRICT;", "CREATE TABLE t (again INTEGER);", NULL};
static const char *const *const steps[] = {step_1, step_2, step_bad};
static const char *const append_only[] = {"log", NULL};

static const struct db_schema schema_1 = {.what = "test database", .damaged_hint = "restore it",
	.application_id = 0x74657374, .migrations = steps, .version = 1, .append_only = append_only};
static const struct db_schema schema_2 = {.what = "test database", .damaged_hint = "restore it",
	.application_id = 0x74657374, .migrations = steps, .version = 2, .append_only = append_only};
static const struct db_schema schema_3 = {.what = "test database", .damaged_hint = "restore it",
	.application_id = 0x74657374, .migrations = steps, .version = 3, .append_only = append_only};
static const struct db_schema schema_other = {.what = "other database", .damaged_hint = "",
	.application_id = 0x6f746872, .migrations = steps, .version = 1};

static char dir[] = "/tmp/test_db.XXXXXX", path[64];

static void leave(void)
{
	char cmd[64];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd) != 0)
		printf("# %s stays\n", dir);
}

static void enter(void)
{
	REQUIRE(mkdtemp(dir) != NULL);
	atexit(leave);
	snprintf(path, sizeof(path), "%s/x.db", dir);
}

static struct db *open_ok(enum db_mode mode, const struct db_schema *schema)
{
	struct error err = ERROR_INIT;
	struct db *db = db_open(path, mode, schema, &err);

	if (db == NULL)
		printf("# %s\n", err.text);
	REQUIRE(db != NULL);
	return db;
}

static enum error_kind run_kind(struct db *db, const char *sql)
{
	struct error err = ERROR_INIT;
	struct query q = query_open(db, sql);

	return query_run(&q, &err) == 0 ? ERR_NONE : err.kind;
}

TEST(a_database_is_made_private_and_whole)
{
	struct error err = ERROR_INIT;
	struct stat st;
	struct db *db;
	char other[80];

	enter();
	CHECK(db_open(path, DB_READ, &schema_1, &err) == NULL);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK(db_open(path, DB_WRITE, &schema_1, &err) == NULL);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	umask(0);
	db = open_ok(DB_CREATE, &schema_1);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (1, 'a', 1)"), ERR_NONE);
	REQUIRE(stat(path, &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	snprintf(other, sizeof(other), "%s-wal", path);
	REQUIRE(stat(other, &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	snprintf(other, sizeof(other), "%s.new", path);
	CHECK(stat(other, &st) < 0);
	CHECK_INT(db_check(db, &err), 0);
	db_close(db);
	db = open_ok(DB_READ, &schema_1);
	CHECK_INT(run_kind(db, "SELECT * FROM t"), ERR_NONE);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (2, 'b', 1)"), ERR_FAILED);
	db_close(db);
	db_close(NULL);
}

TEST(files_that_are_not_ours_are_refused)
{
	struct error err = ERROR_INIT;
	struct db *db;
	char link[80];
	int fd;

	enter();
	db_close(open_ok(DB_CREATE, &schema_1));
	CHECK(db_open(path, DB_WRITE, &schema_other, &err) == NULL);
	CHECK_INT(err.kind, ERR_FAILED);
	CHECK(strstr(err.text, "is no other database") != NULL);
	REQUIRE(chmod(path, 0640) == 0);
	CHECK(db_open(path, DB_WRITE, &schema_1, &err) == NULL);
	CHECK_INT(err.kind, ERR_REFUSED);
	CHECK(strstr(err.hint, "chmod 600") != NULL);
	REQUIRE(chmod(path, 0600) == 0);
	snprintf(link, sizeof(link), "%s/link", dir);
	REQUIRE(symlink(path, link) == 0);
	CHECK(db_open(link, DB_CREATE, &schema_1, &err) == NULL);
	CHECK_INT(err.kind, ERR_REFUSED);
	REQUIRE(truncate(path, 0) == 0);
	CHECK(db_open(path, DB_CREATE, &schema_1, &err) == NULL);
	CHECK_INT(err.kind, ERR_FAILED);
	CHECK_STR(err.hint, "restore it");
	fd = open(path, O_WRONLY);
	REQUIRE(fd >= 0 && write(fd, "this is certainly no database at all, is it?", 44) == 44);
	close(fd);
	db = db_open(path, DB_WRITE, &schema_1, &err);
	CHECK(db == NULL);
	CHECK(strstr(err.text, "is damaged") != NULL);
	CHECK_STR(err.hint, "restore it");
}

TEST(migrations_go_forward_only_and_whole)
{
	struct error err = ERROR_INIT;
	struct db *db;
	int64_t n;

	enter();
	db_close(open_ok(DB_CREATE, &schema_1));
	CHECK(db_open(path, DB_READ, &schema_2, &err) == NULL);
	CHECK_INT(err.kind, ERR_RETRY);
	db = open_ok(DB_WRITE, &schema_2);
	CHECK_INT(db_get_int(db, "SELECT n FROM t WHERE name = 'made'", &n, &err), 0);
	CHECK_INT(n, 1);
	db_close(db);
	CHECK(db_open(path, DB_WRITE, &schema_1, &err) == NULL);
	CHECK_INT(err.kind, ERR_FAILED);
	CHECK(strstr(err.text, "has schema version 2, this program knows versions up to 1") != NULL);
	/* A step that fails halfway leaves the old version, with nothing of the step. */
	CHECK(db_open(path, DB_WRITE, &schema_3, &err) == NULL);
	db = open_ok(DB_WRITE, &schema_2);
	CHECK_INT(db_get_int(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'half'", &n, &err), 0);
	CHECK_INT(n, 0);
	db_close(db);
}

TEST(append_only_tables_stay)
{
	struct error err = ERROR_INIT;
	struct db *db;
	int64_t n;

	enter();
	db = open_ok(DB_CREATE, &schema_2);
	CHECK_INT(run_kind(db, "INSERT INTO log VALUES (1, 'one')"), ERR_NONE);
	CHECK_INT(run_kind(db, "UPDATE log SET what = 'two'"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "DELETE FROM log"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "INSERT OR REPLACE INTO log VALUES (1, 'two')"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "INSERT INTO log VALUES (1, 'x') ON CONFLICT DO UPDATE SET what = 'x'"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "DROP TABLE log"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "DROP TRIGGER log_d"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "ALTER TABLE log RENAME TO gol"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "ATTACH ':memory:' AS m"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "PRAGMA recursive_triggers = OFF"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "PRAGMA user_version = 7"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "PRAGMA writable_schema = ON"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "CREATE TEMP TRIGGER x BEFORE INSERT ON t BEGIN SELECT 1; END"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "SELECT \"no such column\" FROM t"), ERR_FAILED);
	CHECK_INT(db_get_int(db, "SELECT count(*) FROM log WHERE what = 'one'", &n, &err), 0);
	CHECK_INT(n, 1);
	db_close(db);
}

TEST(constraints_have_their_kinds)
{
	struct db *db;

	enter();
	db = open_ok(DB_CREATE, &schema_2);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (2, 'made', 1)"), ERR_CONFLICT);
	CHECK_INT(run_kind(db, "INSERT INTO child VALUES (99)"), ERR_CONFLICT);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (2, 'b', 100)"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (2, 'b', 'text')"), ERR_REFUSED);
	CHECK_INT(run_kind(db, "SELECT 1; SELECT 2"), ERR_FAILED);
	CHECK_INT(run_kind(db, ""), ERR_FAILED);
	db_close(db);
}

TEST(queries_remember_their_first_failure)
{
	struct error err = ERROR_INIT;
	struct db *db;
	struct query q;
	char text[4];

	enter();
	db = open_ok(DB_CREATE, &schema_1);
	q = query_open(db, "INSERT INTO t VALUES (?1, ?2, ?3)");
	query_text(&q, 2, SLICE_LIT("bad\xff"));
	query_int(&q, 9, 1);
	CHECK_INT(query_run(&q, &err), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	q = query_open(db, "INSERT INTO t VALUES (?1, ?2, ?3)");
	query_text(&q, 2, SLICE_LIT("nul\0"));
	CHECK_INT(query_run(&q, &err), -1);
	CHECK_INT(err.kind, ERR_MALFORMED);
	q = query_open(db, "INSERT INTO t VALUES (?1, ?2, ?3)");
	query_int(&q, 9, 1);
	CHECK_INT(query_run(&q, &err), -1);
	q = query_open(db, "INSERT INTO t VALUES (?1, ?2, ?3)");
	query_int(&q, 1, 5);
	query_text(&q, 2, SLICE_LIT("five \xc3\xa9"));
	CHECK_INT(query_run(&q, &err), 0);
	CHECK_INT(db_last_id(db), 5);
	CHECK_INT(db_changes(db), 1);
	q = query_open(db, "SELECT name, n, id FROM t WHERE id = ?1");
	query_int(&q, 1, 5);
	CHECK_INT(query_need(&q, "row", &err), 0);
	CHECK(slice_equal_str(query_col_slice(&q, 0), "five \xc3\xa9"));
	CHECK_STR(query_col_str(&q, 0, text, sizeof(text)), "fiv");
	CHECK(query_col_null(&q, 1));
	CHECK_INT(query_col_int(&q, 2), 5);
	query_close(&q);
	query_close(&q);
	q = query_open(db, "SELECT name FROM t WHERE id = ?1");
	query_int(&q, 1, 6);
	CHECK_INT(query_need(&q, "thing 'x'", &err), -1);
	CHECK_INT(err.kind, ERR_NOT_FOUND);
	CHECK_STR(err.text, "no such thing 'x'");
	query_close(&q);
	db_close(db);
}

/* The same SQL in use twice, and more texts than the cache holds. */
TEST(the_statement_cache_gives_each_query_its_own)
{
	struct error err = ERROR_INIT;
	struct query outer, inner;
	static char sql[200][64];
	struct db *db;
	unsigned i, rows = 0;
	int64_t n;

	enter();
	db = open_ok(DB_CREATE, &schema_2);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (2, 'b', 2), (3, 'c', 3)"), ERR_NONE);
	outer = query_open(db, "SELECT id FROM t");
	while (query_next(&outer, &err) > 0) {
		inner = query_open(db, "SELECT id FROM t");
		while (query_next(&inner, &err) > 0)
			rows++;
		query_close(&inner);
	}
	query_close(&outer);
	CHECK_INT(rows, 9);
	for (i = 0; i < 200; i++) {
		snprintf(sql[i], sizeof(sql[i]), "SELECT %u", i);
		CHECK(db_get_int(db, sql[i], &n, &err) == 0 && n == (int64_t)i);
	}
	CHECK(db_get_int(db, sql[3], &n, &err) == 0 && n == 3);
	db_close(db);
}

TEST(savepoints_undo_their_part)
{
	struct error err = ERROR_INIT;
	struct db *db;
	int64_t n;

	enter();
	db = open_ok(DB_CREATE, &schema_2);
	REQUIRE(db_begin(db, &err) == 0);
	CHECK(db_in_transaction(db));
	CHECK_INT(db_savepoint(db, &err), 0);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (2, 'kept', 2)"), ERR_NONE);
	CHECK_INT(db_savepoint(db, &err), 0);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (3, 'undone', 3)"), ERR_NONE);
	db_savepoint_undo(db);
	CHECK_INT(db_savepoint_keep(db, &err), 0);
	CHECK_INT(db_commit(db, &err), 0);
	CHECK(!db_in_transaction(db));
	CHECK(db_get_int(db, "SELECT count(*) FROM t", &n, &err) == 0 && n == 2);
	REQUIRE(db_begin(db, &err) == 0);
	CHECK_INT(run_kind(db, "DELETE FROM t"), ERR_NONE);
	db_rollback(db);
	db_rollback(db);
	CHECK(db_get_int(db, "SELECT count(*) FROM t", &n, &err) == 0 && n == 2);
	db_close(db);
}

TEST(a_reader_keeps_one_view)
{
	struct error err = ERROR_INIT;
	struct db *writer, *reader;
	int64_t n;

	enter();
	writer = open_ok(DB_CREATE, &schema_2);
	reader = open_ok(DB_READ, &schema_2);
	REQUIRE(db_begin_read(reader, &err) == 0);
	CHECK_INT(run_kind(writer, "INSERT INTO t VALUES (2, 'b', 2)"), ERR_NONE);
	CHECK(db_get_int(reader, "SELECT count(*) FROM t", &n, &err) == 0 && n == 1);
	CHECK_INT(db_commit(reader, &err), 0);
	CHECK(db_get_int(reader, "SELECT count(*) FROM t", &n, &err) == 0 && n == 2);
	db_close(reader);
	db_close(writer);
}

TEST(a_locked_database_says_try_again)
{
	struct error err = ERROR_INIT;
	sqlite3 *other = NULL;
	struct db *db;

	enter();
	db = open_ok(DB_CREATE, &schema_2);
	REQUIRE(sqlite3_open(path, &other) == SQLITE_OK);
	REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	CHECK_INT(db_begin(db, &err), -1);
	CHECK_INT(err.kind, ERR_RETRY);
	CHECK_INT(error_exit_status(err.kind), 4);
	sqlite3_close(other);
	CHECK_INT(db_begin(db, &err), 0);
	db_close(db);
}

TEST(a_damaged_page_is_found)
{
	struct error err = ERROR_INIT;
	struct db *db;
	char junk[4096];
	int fd;

	enter();
	db_close(open_ok(DB_CREATE, &schema_2));
	memset(junk, 0xa5, sizeof(junk));
	fd = open(path, O_WRONLY);
	REQUIRE(fd >= 0 && pwrite(fd, junk, sizeof(junk), 4096) == (ssize_t)sizeof(junk));
	close(fd);
	db = db_open(path, DB_WRITE, &schema_2, &err);
	if (db != NULL)
		CHECK_INT(db_check(db, &err), -1);
	CHECK_INT(err.kind, ERR_FAILED);
	CHECK(strstr(err.text, "is damaged") != NULL);
	CHECK_STR(err.hint, "restore it");
	db_close(db);
}

TEST(a_copy_is_whole_while_a_writer_works)
{
	struct error err = ERROR_INIT;
	struct db *db, *reader;
	char to[80];
	struct stat st;
	int64_t n;

	enter();
	db = open_ok(DB_CREATE, &schema_2);
	reader = open_ok(DB_READ, &schema_2);
	REQUIRE(db_begin(db, &err) == 0);
	CHECK_INT(run_kind(db, "INSERT INTO t VALUES (2, 'not yet', 2)"), ERR_NONE);
	snprintf(to, sizeof(to), "%s/copy.db", dir);
	CHECK_INT(db_copy(reader, to, &err), 0);
	CHECK_INT(db_commit(db, &err), 0);
	CHECK_INT(db_copy(reader, to, &err), -1);
	CHECK_INT(err.kind == ERR_NONE, 0);
	db_close(db);
	db_close(reader);
	REQUIRE(stat(to, &st) == 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s/copy.db", dir);
	db = open_ok(DB_WRITE, &schema_2);
	CHECK(db_get_int(db, "SELECT count(*) FROM t", &n, &err) == 0 && n == 1);
	CHECK_INT(db_check(db, &err), 0);
	db_close(db);
}
