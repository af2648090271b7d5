/* A connection after it was opened: its errors, transactions, health and copies. */
#include "db/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "sys/file.h"

/* ---- errors ---- */

static int fail_constraint(const struct db *db, int code, const char *words, struct error *err)
{
	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return error_set(err, ERR_CONFLICT, "%s: %s", db->schema->what, words);
	default:
		return error_set(err, ERR_REFUSED, "%s: %s", db->schema->what, words);
	}
}

int db_fail_words(const struct db *db, int code, const char *words, struct error *err)
{
	const char *what = db->schema->what;

	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		error_set(err, ERR_RETRY, "%s '%s' is locked by another process", what, db->path);
		return error_hint(err, "'fuser %s' names the process", db->path);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		error_set(err, ERR_FAILED, "%s '%s' is damaged: %s", what, db->path, words);
		return error_hint(err, "%s", db->schema->damaged_hint);
	case SQLITE_FULL:
		error_set(err, ERR_FAILED, "%s '%s': no space left on the file system", what, db->path);
		err->sys_errno = ENOSPC;
		return error_hint(err, "free some space; nothing of this transaction was kept");
	case SQLITE_CONSTRAINT:
		return fail_constraint(db, code, words, err);
	case SQLITE_AUTH:
		return error_set(err, ERR_REFUSED, "%s: statement is not allowed: %s", what, words);
	case SQLITE_MISMATCH:
		return error_set(err, ERR_MALFORMED, "%s: %s", what, words);
	case SQLITE_TOOBIG:
		return error_set(err, ERR_LIMIT, "%s: %s", what, words);
	case SQLITE_READONLY:
		error_set(err, ERR_FAILED, "%s '%s': %s", what, db->path, words);
		err->sys_errno = EROFS;
		return error_hint(err, "has its file system become read-only after an error? dmesg says");
	case SQLITE_IOERR:
		error_set(err, ERR_FAILED, "%s '%s': %s", what, db->path, words);
		return error_hint(err, "is the file system full, or its disk failing? df and dmesg say");
	default:
		return error_set(err, ERR_FAILED, "%s '%s': %s", what, db->path, words);
	}
}

int db_fail(const struct db *db, int code, struct error *err)
{
	int saved = sqlite3_system_errno(db->handle);

	db_fail_words(db, code, sqlite3_errmsg(db->handle), err);
	if ((code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN)
		err->sys_errno = saved != 0 ? saved : EIO;
	return -1;
}

/* ---- its end ---- */

void db_close(struct db *db)
{
	if (db == NULL)
		return;
	if (db->handle != NULL) {
		db_rollback(db);
		db_forget_statements(db);
		sqlite3_close_v2(db->handle);
	}
	free(db->watch);
	free(db->path);
	free(db);
}

const char *db_path(const struct db *db)
{
	return db->path;
}

/* ---- transactions ---- */

int db_begin(struct db *db, struct error *err)
{
	db->savepoints = 0;
	return db_exec(db, "BEGIN IMMEDIATE", err);
}

int db_begin_read(struct db *db, struct error *err)
{
	struct query q;

	db->savepoints = 0;
	if (db_exec(db, "BEGIN", err) < 0)
		return -1;
	/* The view is fixed by the first read, not by BEGIN. */
	q = query_open(db, "SELECT 1 FROM sqlite_schema");
	if (query_run(&q, err) < 0) {
		db_rollback(db);
		return -1;
	}
	return 0;
}

int db_commit(struct db *db, struct error *err)
{
	if (db_exec(db, "COMMIT", err) == 0)
		return 0;
	db_rollback(db);
	return -1;
}

void db_rollback(struct db *db)
{
	if (db_in_transaction(db))
		sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
	db->savepoints = 0;
}

bool db_in_transaction(const struct db *db)
{
	return sqlite3_get_autocommit(db->handle) == 0;
}

int db_savepoint(struct db *db, struct error *err)
{
	assert(db->savepoints < DB_SAVEPOINTS_MAX);
	if (db_exec(db, "SAVEPOINT s", err) < 0)
		return -1;
	db->savepoints++;
	return 0;
}

int db_savepoint_keep(struct db *db, struct error *err)
{
	assert(db->savepoints > 0);
	if (db_exec(db, "RELEASE s", err) < 0)
		return -1;
	db->savepoints--;
	return 0;
}

void db_savepoint_undo(struct db *db)
{
	if (db->savepoints == 0)
		return;
	db->savepoints--;
	if (db_in_transaction(db))
		sqlite3_exec(db->handle, "ROLLBACK TO s; RELEASE s", NULL, NULL, NULL);
}

/* ---- health ---- */

int db_check(struct db *db, struct error *err)
{
	struct query q = query_open(db, "PRAGMA quick_check(1)");
	char word[256];
	int r = query_need(&q, "answer of quick_check", err);

	if (r == 0 && strcmp(query_col_str(&q, 0, word, sizeof(word)), "ok") != 0)
		r = db_fail_words(db, SQLITE_CORRUPT, word, err);
	query_close(&q);
	if (r < 0)
		return -1;
	q = query_open(db, "PRAGMA foreign_key_check");
	r = query_next(&q, err);
	if (r > 0) {
		snprintf(word, sizeof(word), "a row of table %.100s points at nothing",
			 query_col_str(&q, 0, (char[128]){0}, 128));
		r = db_fail_words(db, SQLITE_CORRUPT, word, err);
	}
	query_close(&q);
	return r;
}

static int copy_pages(struct db *db, sqlite3 *dest, struct error *err)
{
	sqlite3_backup *b = sqlite3_backup_init(dest, "main", db->handle, "main");
	int code;

	if (b == NULL)
		return db_fail_words(db, sqlite3_extended_errcode(dest), sqlite3_errmsg(dest), err);
	/* All pages in one step: one read transaction, so one moment in time; in WAL no writer waits for it. */
	do {
		code = sqlite3_backup_step(b, -1);
	} while (code == SQLITE_OK);
	sqlite3_backup_finish(b);
	if (code != SQLITE_DONE)
		return db_fail_words(db, code, sqlite3_errstr(code), err);
	/* A plain file without a log, complete in itself. */
	if (sqlite3_exec(dest, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL) != SQLITE_OK)
		return db_fail_words(db, sqlite3_extended_errcode(dest), sqlite3_errmsg(dest), err);
	return 0;
}

int db_copy(struct db *db, const char *to, struct error *err)
{
	sqlite3 *dest = NULL;
	int code, r, fd = file_open(AT_FDCWD, to, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, err);

	if (fd < 0)
		return -1;
	code = sqlite3_open_v2(to, &dest, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (code == SQLITE_OK)
		r = copy_pages(db, dest, err);
	else
		r = error_set(err, ERR_FAILED, "cannot open '%s': %s", to, sqlite3_errstr(code));
	if (sqlite3_close_v2(dest) != SQLITE_OK && r == 0)
		r = error_set(err, ERR_FAILED, "cannot finish '%s'", to);
	if (r == 0)
		r = file_sync(fd, to, err);
	file_close(&fd);
	if (r < 0) {
		struct error ignored = ERROR_INIT;

		if (file_unlink(AT_FDCWD, to, &ignored) < 0)
			error_hint(err, "'%s' is left behind", to);
		return error_wrap(err, "cannot copy the %s to '%s'", db->schema->what, to);
	}
	return 0;
}
