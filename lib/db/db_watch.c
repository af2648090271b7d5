/* Which rows a connection changes, for those who keep what they read of them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "db/internal.h"

#define COLUMNS_MAX 8

/* One table, its columns found by name. */
struct watched {
	const char *table;
	int key;		/* -1: none */
	int columns[COLUMNS_MAX];
	int column_count;	/* -1: every update counts */
};

struct db_watch {
	struct watched list[DB_WATCHED_MAX];
	unsigned count;
	void (*changed)(void *arg, int64_t key);
	void *arg;
};

static bool value_equal(sqlite3_value *a, sqlite3_value *b)
{
	int len = sqlite3_value_bytes(a);

	if (sqlite3_value_type(a) != sqlite3_value_type(b))
		return false;
	if (sqlite3_value_type(a) == SQLITE_INTEGER)
		return sqlite3_value_int64(a) == sqlite3_value_int64(b);
	return len == sqlite3_value_bytes(b) &&
	       (len == 0 || memcmp(sqlite3_value_blob(a), sqlite3_value_blob(b), (size_t)len) == 0);
}

/* When SQLite cannot say what a row held, it counts as changed. */
static bool update_counts(sqlite3 *handle, const struct watched *w)
{
	sqlite3_value *before, *after;
	int i;

	if (w->column_count < 0)
		return true;
	for (i = 0; i < w->column_count; i++)
		if (sqlite3_preupdate_old(handle, w->columns[i], &before) != SQLITE_OK ||
		    sqlite3_preupdate_new(handle, w->columns[i], &after) != SQLITE_OK || !value_equal(before, after))
			return true;
	return false;
}

static void tell(struct db_watch *watch, sqlite3 *handle, const struct watched *w,
		 int (*get)(sqlite3 *, int, sqlite3_value **))
{
	sqlite3_value *key;

	if (w->key < 0)
		watch->changed(watch->arg, 0);
	else	/* of a key that cannot be read: all */
		watch->changed(watch->arg, get(handle, w->key, &key) == SQLITE_OK ? sqlite3_value_int64(key) : 0);
}

static void before_change(void *arg, sqlite3 *handle, int op, const char *database, const char *table,
			  sqlite3_int64 old_rowid, sqlite3_int64 new_rowid)
{
	struct db_watch *watch = arg;
	const struct watched *w = watch->list;
	unsigned i;

	(void)database;
	(void)old_rowid;
	(void)new_rowid;
	for (i = 0; i < watch->count && strcmp(w[i].table, table) != 0; i++)
		;
	if (i == watch->count || (op == SQLITE_UPDATE && !update_counts(handle, &w[i])))
		return;
	if (op != SQLITE_INSERT)
		tell(watch, handle, &w[i], sqlite3_preupdate_old);
	if (op != SQLITE_DELETE)
		tell(watch, handle, &w[i], sqlite3_preupdate_new);
}

/* The index of a column, from what "SELECT *" gives. -1 with err. */
static int column_of(struct db *db, sqlite3_stmt *all, const char *table, const char *column, struct error *err)
{
	int i, n = sqlite3_column_count(all);

	for (i = 0; i < n; i++)
		if (strcmp(sqlite3_column_name(all, i), column) == 0)
			return i;
	return error_set(err, ERR_FAILED, "%s: table '%s' has no column '%s'", db->schema->what, table, column);
}

static int find_columns(struct db *db, struct watched *w, const struct db_watched *want, struct error *err)
{
	char sql[128];
	sqlite3_stmt *all;
	int i, r = -1, code;

	sqlite3_snprintf(sizeof(sql), sql, "SELECT * FROM \"%w\"", want->table);
	code = sqlite3_prepare_v2(db->handle, sql, -1, &all, NULL);
	if (code != SQLITE_OK)
		return db_fail(db, code, err);
	*w = (struct watched){.table = want->table, .key = -1, .column_count = -1};
	if (want->key != NULL && (w->key = column_of(db, all, want->table, want->key, err)) < 0)
		goto out;
	for (i = 0; want->columns != NULL && want->columns[i] != NULL; i++) {
		assert(i < COLUMNS_MAX);
		if ((w->columns[i] = column_of(db, all, want->table, want->columns[i], err)) < 0)
			goto out;
		w->column_count = i + 1;
	}
	r = 0;
out:
	sqlite3_finalize(all);
	return r;
}

int db_watch(struct db *db, const struct db_watched *list, void (*changed)(void *arg, int64_t key), void *arg,
	     struct error *err)
{
	struct db_watch *watch = xcalloc(1, sizeof(*watch));

	assert(db->watch == NULL);
	watch->changed = changed;
	watch->arg = arg;
	for (; list->table != NULL; list++) {
		assert(watch->count < DB_WATCHED_MAX);
		if (find_columns(db, &watch->list[watch->count++], list, err) < 0) {
			free(watch);
			return -1;
		}
	}
	db->watch = watch;
	sqlite3_preupdate_hook(db->handle, before_change, watch);
	return 0;
}
