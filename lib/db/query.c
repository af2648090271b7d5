/* Statements: the cache, binding, stepping, columns. */
#include "db/internal.h"

#include <stdio.h>

#include "base/utf8.h"

static void query_fail(struct query *q, int code, const char *words)
{
	if (q->failure != SQLITE_OK)
		return;
	q->failure = code;
	snprintf(q->why, sizeof(q->why), "%s", words);
}

static sqlite3_stmt *prepare(struct query *q, const char *sql, unsigned flags)
{
	sqlite3_stmt *stmt = NULL;
	const char *tail = NULL;
	int code = sqlite3_prepare_v3(q->db->handle, sql, -1, flags, &stmt, &tail);

	if (code != SQLITE_OK) {
		query_fail(q, sqlite3_extended_errcode(q->db->handle), sqlite3_errmsg(q->db->handle));
		return NULL;
	}
	if (stmt == NULL || *tail != '\0') {
		sqlite3_finalize(stmt);
		query_fail(q, SQLITE_MISUSE, "not exactly one statement");
		return NULL;
	}
	return stmt;
}

/* The slot that holds sql, else the one to put it in: free, or the least lately used. -1: all are busy. */
static int slot_find(struct db *db, const char *sql)
{
	int i, best = -1;

	for (i = 0; i < DB_CACHE_SLOTS; i++) {
		struct db_slot *s = &db->slots[i];

		if (s->busy)
			continue;
		if (s->sql != NULL && (s->sql == sql || strcmp(s->sql, sql) == 0))
			return i;
		if (best < 0 || (s->sql == NULL && db->slots[best].sql != NULL) ||
		    (db->slots[best].sql != NULL && s->used < db->slots[best].used))
			best = i;
	}
	return best;
}

struct query query_open(struct db *db, const char *sql)
{
	struct query q = {.db = db, .slot = slot_find(db, sql)};
	struct db_slot *s;

	if (q.slot < 0) {
		q.stmt = prepare(&q, sql, 0);
		return q;
	}
	s = &db->slots[q.slot];
	if (s->sql == NULL || strcmp(s->sql, sql) != 0) {
		sqlite3_finalize(s->stmt);
		s->sql = NULL;
		s->stmt = prepare(&q, sql, SQLITE_PREPARE_PERSISTENT);
		if (s->stmt == NULL) {
			q.slot = -1;
			return q;
		}
		s->sql = sql;
	}
	s->busy = true;
	s->used = ++db->tick;
	q.stmt = s->stmt;
	return q;
}

void query_close(struct query *q)
{
	if (q->stmt != NULL && q->slot >= 0) {
		sqlite3_reset(q->stmt);
		sqlite3_clear_bindings(q->stmt);
		q->db->slots[q->slot].busy = false;
	} else if (q->stmt != NULL) {
		sqlite3_finalize(q->stmt);
	}
	q->stmt = NULL;
	q->slot = -1;
}

void db_forget_statements(struct db *db)
{
	unsigned i;

	for (i = 0; i < DB_CACHE_SLOTS; i++) {
		sqlite3_finalize(db->slots[i].stmt);
		db->slots[i] = (struct db_slot){.sql = NULL};
	}
}

/* ---- binding ---- */

static void bound(struct query *q, int code)
{
	if (code != SQLITE_OK)
		query_fail(q, code, sqlite3_errmsg(q->db->handle));
}

/* SQLite stores whatever it is given and calls it text. */
static bool is_text(struct slice s)
{
	uint32_t cp;

	while (s.len > 0) {
		size_t n = utf8_decode(s, &cp);

		if (n == 0 || cp == 0)
			return false;
		s = slice_sub(s, n, s.len);
	}
	return true;
}

void query_text(struct query *q, int at, struct slice text)
{
	if (q->stmt == NULL)
		return;
	if (text.len > DB_VALUE_MAX)
		query_fail(q, SQLITE_TOOBIG, "text is too large");
	else if (!is_text(text))
		query_fail(q, SQLITE_MISMATCH, "text is not UTF-8, or holds a NUL");
	else
		bound(q, sqlite3_bind_text(q->stmt, at, text.len == 0 ? "" : (const char *)text.ptr,
					   (int)text.len, SQLITE_TRANSIENT));
}

void query_str(struct query *q, int at, const char *text)
{
	if (text == NULL)
		query_null(q, at);
	else
		query_text(q, at, slice_str(text));
}

void query_blob(struct query *q, int at, struct slice bytes)
{
	if (q->stmt == NULL)
		return;
	if (bytes.len > DB_VALUE_MAX)
		query_fail(q, SQLITE_TOOBIG, "value is too large");
	else
		bound(q, sqlite3_bind_blob(q->stmt, at, bytes.len == 0 ? (const void *)"" : bytes.ptr,
					   (int)bytes.len, SQLITE_TRANSIENT));
}

void query_int(struct query *q, int at, int64_t value)
{
	if (q->stmt != NULL)
		bound(q, sqlite3_bind_int64(q->stmt, at, value));
}

void query_null(struct query *q, int at)
{
	if (q->stmt != NULL)
		bound(q, sqlite3_bind_null(q->stmt, at));
}

/* ---- stepping ---- */

int query_next(struct query *q, struct error *err)
{
	int code;

	if (q->failure == SQLITE_OK && q->stmt == NULL)
		query_fail(q, SQLITE_MISUSE, "statement is closed");
	if (q->failure != SQLITE_OK)
		return db_fail_words(q->db, q->failure, q->why, err);
	code = sqlite3_step(q->stmt);
	if (code == SQLITE_ROW)
		return 1;
	if (code == SQLITE_DONE)
		return 0;
	query_fail(q, sqlite3_extended_errcode(q->db->handle), sqlite3_errmsg(q->db->handle));
	return db_fail_words(q->db, q->failure, q->why, err);
}

int query_run(struct query *q, struct error *err)
{
	int r;

	while ((r = query_next(q, err)) > 0)
		;
	query_close(q);
	return r;
}

int query_need(struct query *q, const char *what, struct error *err)
{
	int r = query_next(q, err);

	if (r == 0)
		return error_set(err, ERR_NOT_FOUND, "no such %s", what);
	return r < 0 ? -1 : 0;
}

/* ---- columns ---- */

int64_t query_col_int(struct query *q, int col)
{
	return sqlite3_column_int64(q->stmt, col);
}

struct slice query_col_slice(struct query *q, int col)
{
	const void *p = sqlite3_column_blob(q->stmt, col);
	int n = sqlite3_column_bytes(q->stmt, col);

	return p == NULL ? SLICE_EMPTY : slice_of(p, (size_t)n);
}

bool query_col_null(struct query *q, int col)
{
	return sqlite3_column_type(q->stmt, col) == SQLITE_NULL;
}

char *query_col_str(struct query *q, int col, char *out, size_t size)
{
	struct slice s = slice_sub(query_col_slice(q, col), 0, size - 1);

	if (s.len > 0)
		memcpy(out, s.ptr, s.len);
	out[s.len] = '\0';
	return out;
}

/* ---- short forms ---- */

int db_exec(struct db *db, const char *sql, struct error *err)
{
	if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return db_fail(db, sqlite3_extended_errcode(db->handle), err);
}

int db_get_int(struct db *db, const char *sql, int64_t *out, struct error *err)
{
	struct query q = query_open(db, sql);
	int r = query_need(&q, "row", err);

	if (r == 0)
		*out = query_col_int(&q, 0);
	query_close(&q);
	return r;
}

int64_t db_last_id(const struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}

int64_t db_changes(const struct db *db)
{
	return sqlite3_changes64(db->handle);
}
