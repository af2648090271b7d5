/*
 * SQLite made safe. A db is one connection, used by one thread at a time; a query is one prepared
 * statement of it, taken from the connection's cache.
 *
 * What db_open promises of every connection: the file is ours alone (0600, no symlink), WAL (or what the schema asks for)
 * with synchronous=FULL (a commit that returned survives the power cut), foreign keys and recursive triggers on,
 * schema not trusted, defensive, no extensions, no double-quoted strings, a busy timeout of 5 s, and after
 * the migrations an authorizer that refuses UPDATE, DELETE, DROP and ALTER of append-only tables, ATTACH,
 * and any change of the schema or of these settings.
 *
 * Errors of every call: ERR_RETRY (another process holds the lock), ERR_CONFLICT (a UNIQUE or foreign key
 * constraint), ERR_REFUSED (an append-only table, a CHECK), ERR_FAILED (damaged file, the rest, and with sys_errno
 * ENOSPC a full disk).
 * No text from the outside is ever part of an SQL string: values are bound.
 */
#ifndef MESHANICS_DB_DB_H
#define MESHANICS_DB_DB_H

#include "base/buf.h"
#include "base/error.h"

#define DB_BUSY_TIMEOUT_MS 5000
#define DB_VALUE_MAX (16u << 20)	/* bytes of one bound or read value, and of one SQL text */

struct db;

/*
 * What lives in a database: schemas are constants of the program. migrations[i] is a NULL-terminated list of
 * SQL texts (any number of statements each) that takes user_version i to i + 1, in one transaction with the
 * version's change. A migration once released never changes.
 */
struct db_schema {
	const char *what;		/* in messages: "control database" */
	const char *damaged_hint;	/* what the operator does when the file is damaged */
	uint32_t application_id;	/* tells our files from other SQLite files, and our kinds apart */
	const char *const *const *migrations;
	unsigned version;		/* the number of migrations; the user_version this program works with */
	const char *const *append_only;	/* table names, NULL-terminated; may be NULL */
	unsigned cache_kib;		/* page cache of one connection; 0: 2048 */
	/*
	 * So many pages in the WAL are taken over into the file; 0: 1000. The WAL keeps the room it has grown to, so that
	 * a small number bounds what the database takes of the disk, and writes into a WAL of that size need no new room.
	 */
	unsigned wal_pages;
	/*
	 * A rollback journal instead of WAL: for a database that one process at a time opens, mostly to read a row.
	 * Nothing is made beside it then unless something is written.
	 */
	bool rollback_journal;
};

enum db_mode {
	DB_CREATE,	/* as DB_WRITE, and made whole when absent (path.new, renamed); the caller holds its owner's lock */
	DB_WRITE,	/* read and write; ERR_NOT_FOUND when absent; migrated forward */
	DB_READ,	/* read only; ERR_NOT_FOUND when absent; ERR_RETRY when the schema is older than the program's */
};

/*
 * Open path. schema is borrowed for the life of the connection. NULL with err: as above, and ERR_FAILED for a
 * file of another application, an empty one, or one of a newer program (its schema version is above ours),
 * ERR_REFUSED for a symbolic link or permissions that let others in.
 */
WARN_UNUSED struct db *db_open(const char *path, enum db_mode mode, const struct db_schema *schema,
			       struct error *err);
void db_close(struct db *db);	/* NULL is fine; an open transaction is rolled back, queries must be closed */

const char *db_path(const struct db *db);

/* ---- transactions ---- */
WARN_UNUSED int db_begin(struct db *db, struct error *err);	 /* takes the write lock at once */
WARN_UNUSED int db_begin_read(struct db *db, struct error *err); /* one consistent view until the end */
WARN_UNUSED int db_commit(struct db *db, struct error *err);	 /* durable when it returns 0; rolled back when not */
void db_rollback(struct db *db);	/* nothing when there is no transaction */
/* False also after SQLite itself gave a whole transaction up (disk full, I/O error): check before going on. */
bool db_in_transaction(const struct db *db);

/* Inside a transaction; they nest, at most DB_SAVEPOINTS_MAX deep (asserted). */
#define DB_SAVEPOINTS_MAX 8
WARN_UNUSED int db_savepoint(struct db *db, struct error *err);
WARN_UNUSED int db_savepoint_keep(struct db *db, struct error *err);
void db_savepoint_undo(struct db *db);	/* back to the innermost savepoint, which ends */

/* ---- statements ---- */

/*
 * Constant SQL with values bound by number (?1, ?2, ...). A query remembers its first failure, so that
 * only its end needs a check:
 *
 *	struct query q = query_open(db, "UPDATE devices SET state = ?2 WHERE name = ?1");
 *	query_text(&q, 1, name);
 *	query_str(&q, 2, "active");
 *	return query_run(&q, err);
 *
 *	q = query_open(db, "SELECT name, last_seen_s FROM devices");
 *	while ((r = query_next(&q, err)) > 0)
 *		... query_col_slice(&q, 0), query_col_int(&q, 1) ...
 *	query_close(&q);
 *	return r;
 *
 * sql must live as long as the db (a literal): the cache knows statements by their text.
 */
struct query {
	struct db *db;
	void *stmt;	/* sqlite3_stmt; NULL when failed or closed */
	int slot;	/* in the cache, or -1 */
	int failure;	/* SQLite's code of the first failure */
	char why[160];	/* and its words */
};
struct query query_open(struct db *db, const char *sql);
void query_close(struct query *q);	/* safe on a zeroed or closed query */

/* Values are copied. Text must be UTF-8 without NUL, or the query fails with ERR_MALFORMED. */
void query_text(struct query *q, int at, struct slice text);
void query_str(struct query *q, int at, const char *text);	/* NULL binds NULL */
void query_blob(struct query *q, int at, struct slice bytes);
void query_int(struct query *q, int at, int64_t value);
void query_null(struct query *q, int at);

/* 1: a row is at hand; 0: no more rows; -1: err. */
WARN_UNUSED int query_next(struct query *q, struct error *err);
/* Run to the end, ignoring rows, and close. 0 or -1. */
WARN_UNUSED int query_run(struct query *q, struct error *err);
/* The first row, or ERR_NOT_FOUND "no such WHAT" when there is none; the query stays open for its columns. */
WARN_UNUSED int query_need(struct query *q, const char *what, struct error *err);
/* Columns of the row at hand, from 0. Slices are borrowed until the next query_next or query_close. */
int64_t query_col_int(struct query *q, int col);
struct slice query_col_slice(struct query *q, int col);	/* text or blob; empty for NULL */
bool query_col_null(struct query *q, int col);
/* The text into out (size bytes), terminated, cut to fit. Returns out. */
char *query_col_str(struct query *q, int col, char *out, size_t size);

/* Run constant SQL without values; any number of statements. */
WARN_UNUSED int db_exec(struct db *db, const char *sql, struct error *err);
/* The first column of the first row as an integer; ERR_NOT_FOUND when there is no row. */
WARN_UNUSED int db_get_int(struct db *db, const char *sql, int64_t *out, struct error *err);
int64_t db_last_id(const struct db *db);	/* rowid of the last INSERT */
int64_t db_changes(const struct db *db);	/* rows changed by the last statement */

/* ---- watching what changes ---- */

/* Rows whose changes matter to somebody who keeps what he once read of them. */
struct db_watched {
	const char *table;
	const char *key;		/* an integer column, handed to the callback, which gets 0 for NULL; NULL: always 0 */
	const char *const *columns;	/* an UPDATE counts when one of these changes, NULL-terminated; NULL: always */
};
/*
 * Call changed(arg, key) for each row of these tables (a list ended by table == NULL; borrowed) that this connection
 * inserts, updates or deletes, by triggers too, while the statement runs: whether it is committed is seen later. An
 * update that changes the key tells both. Once a connection, outside a transaction. -1 when a table or column is not
 * there.
 */
#define DB_WATCHED_MAX 8
WARN_UNUSED int db_watch(struct db *db, const struct db_watched *list, void (*changed)(void *arg, int64_t key), void *arg,
			 struct error *err);

/* ---- health ---- */
/* The whole file: pages, indexes, foreign keys. ERR_FAILED names the first fault. Reads everything. */
WARN_UNUSED int db_check(struct db *db, struct error *err);
/* A consistent copy of the database as it is now into new file `to` (0600), synced. Writers go on. */
WARN_UNUSED int db_copy(struct db *db, const char *to, struct error *err);

#endif
