/* Opening a database: what file is believed, how SQLite is tamed, and migrations. */
#include "db/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "sys/file.h"

/* ---- what a statement may do once the schema stands ---- */

/* Pragmas that only look; the setting ones share their names with questions, so they may carry no value. */
static bool pragma_is_harmless(const char *name, const char *value)
{
	static const char *const questions[] = {"user_version", "data_version", "application_id", "page_count"};
	unsigned i;

	if (strcmp(name, "quick_check") == 0 || strcmp(name, "foreign_key_check") == 0)
		return true;
	for (i = 0; value == NULL && i < ARRAY_SIZE(questions); i++)
		if (strcmp(name, questions[i]) == 0)
			return true;
	return false;
}

static bool is_append_only(const struct db *db, const char *table)
{
	const char *const *t = db->schema->append_only;

	for (; t != NULL && *t != NULL; t++)
		if (sqlite3_stricmp(*t, table) == 0)
			return true;
	return false;
}

/* Triggers guard append-only tables row by row; this refuses the statement, and everything around the triggers. */
static int authorize(void *arg, int action, const char *a, const char *b, const char *database, const char *trigger)
{
	const struct db *db = arg;

	(void)database;
	(void)trigger;
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_INSERT:
	case SQLITE_TRANSACTION:
	case SQLITE_SAVEPOINT:
	case SQLITE_RECURSIVE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		return b != NULL && sqlite3_stricmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
		return is_append_only(db, a) ? SQLITE_DENY : SQLITE_OK;
	case SQLITE_PRAGMA:
		return pragma_is_harmless(a, b) ? SQLITE_OK : SQLITE_DENY;
	default:	/* schema changes, ATTACH, virtual tables, and what we do not know */
		return SQLITE_DENY;
	}
}

/* ---- opening ---- */

static int configure_handle(struct db *db, struct error *err)
{
	static const struct {
		int what, on;
	} settings[] = {
		{SQLITE_DBCONFIG_DEFENSIVE, 1},	      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
		{SQLITE_DBCONFIG_DQS_DML, 0},	      {SQLITE_DBCONFIG_DQS_DDL, 0},
		{SQLITE_DBCONFIG_ENABLE_FKEY, 1},     {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
		{SQLITE_DBCONFIG_ENABLE_TRIGGER, 1},  {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
	};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		int now = -1;
		int code = sqlite3_db_config(db->handle, settings[i].what, settings[i].on, &now);

		if (code != SQLITE_OK || now != settings[i].on)
			return error_set(err, ERR_FAILED, "%s: SQLite refuses setting %d", db->schema->what,
					 settings[i].what);
	}
	sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, DB_VALUE_MAX);
	sqlite3_limit(db->handle, SQLITE_LIMIT_SQL_LENGTH, 1 << 18);
	sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_busy_timeout(db->handle, DB_BUSY_TIMEOUT_MS);
	return 0;
}

static int set_pragmas(struct db *db, bool writable, struct error *err)
{
	char cache[64], wal[64];

	snprintf(wal, sizeof(wal), "PRAGMA wal_autocheckpoint=%u",
		 db->schema->wal_pages == 0 ? 1000 : db->schema->wal_pages);
	snprintf(cache, sizeof(cache), "PRAGMA cache_size=-%u",
		 db->schema->cache_kib == 0 ? 2048 : db->schema->cache_kib);
	if (db_exec(db, cache, err) < 0 ||
	    db_exec(db, "PRAGMA recursive_triggers=ON; PRAGMA temp_store=MEMORY; PRAGMA cell_size_check=ON;"
			"PRAGMA mmap_size=0", err) < 0)
		return -1;
	if (!writable)
		return db_exec(db, "PRAGMA query_only=ON", err);
	if (db_exec(db, db->schema->rollback_journal ? "PRAGMA journal_mode=DELETE" : "PRAGMA journal_mode=WAL", err) < 0)
		return -1;
	return db_exec(db, "PRAGMA synchronous=FULL; PRAGMA secure_delete=FAST;"
			   "PRAGMA journal_size_limit=67108864", err) < 0 ? -1 : db_exec(db, wal, err);
}

/* An INSERT OR REPLACE slips past the triggers of append-only tables without recursive_triggers. */
static int check_pragmas(struct db *db, bool writable, struct error *err)
{
	const char *journal = db->schema->rollback_journal ? "delete" : "wal";
	int64_t recursive, keys, sync;
	char mode[16];
	struct query q;
	int r;

	if (db_get_int(db, "PRAGMA recursive_triggers", &recursive, err) < 0 ||
	    db_get_int(db, "PRAGMA foreign_keys", &keys, err) < 0 ||
	    db_get_int(db, "PRAGMA synchronous", &sync, err) < 0)
		return -1;
	q = query_open(db, "PRAGMA journal_mode");
	r = query_need(&q, "journal mode", err);
	if (r == 0)
		query_col_str(&q, 0, mode, sizeof(mode));
	query_close(&q);
	if (r < 0)
		return -1;
	if (recursive != 1 || keys != 1 || (writable && (sync != 2 || strcmp(mode, journal) != 0)))
		return error_set(err, ERR_FAILED, "%s: SQLite does not keep our settings", db->schema->what);
	return 0;
}

/* Refuse what is not a private file of ours. The file is not opened: closing it would drop SQLite's locks. */
static int check_file(const char *path, const struct db_schema *schema, struct error *err)
{
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return error_set(err, ERR_NOT_FOUND, "there is no %s at '%s'", schema->what, path);
		return error_errno(err, errno, "cannot look at '%s'", path);
	}
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERR_REFUSED, "%s '%s' is not a regular file", schema->what, path);
	if ((st.st_mode & 077) != 0) {
		error_set(err, ERR_REFUSED, "%s '%s' is open to others (mode %04o)", schema->what, path,
			  (unsigned)st.st_mode & 07777);
		return error_hint(err, "chmod 600 '%s'", path);
	}
	if (st.st_uid != geteuid() && geteuid() != 0)
		return error_set(err, ERR_REFUSED, "%s '%s' belongs to user %u", schema->what, path,
				 (unsigned)st.st_uid);
	if (st.st_size == 0) {
		error_set(err, ERR_FAILED, "%s '%s' is empty", schema->what, path);
		return error_hint(err, "%s", schema->damaged_hint);
	}
	return 0;
}

static int check_identity(struct db *db, int64_t *version, struct error *err)
{
	const struct db_schema *schema = db->schema;
	int64_t id;

	if (db_get_int(db, "PRAGMA application_id", &id, err) < 0 ||
	    db_get_int(db, "PRAGMA user_version", version, err) < 0)
		return -1;
	if (id != (int64_t)schema->application_id)
		return error_set(err, ERR_FAILED, "'%s' is no %s of meshanics", db->path, schema->what);
	if (*version > (int64_t)schema->version) {
		error_set(err, ERR_FAILED, "%s '%s' has schema version %lld, this program knows versions up to %u",
			  schema->what, db->path, (long long)*version, schema->version);
		return error_hint(err, "run the newer meshanics that wrote it, or restore a backup made before");
	}
	return 0;
}

/* One step of the schema, with its number, in one transaction. */
static int migrate_step(struct db *db, unsigned from, struct error *err)
{
	const char *const *part = db->schema->migrations[from];
	char stamp[64];

	if (db_begin(db, err) < 0)
		return -1;
	for (; *part != NULL; part++)
		if (db_exec(db, *part, err) < 0)
			goto undo;
	snprintf(stamp, sizeof(stamp), "PRAGMA user_version=%u", from + 1);
	if (db_exec(db, stamp, err) < 0)
		goto undo;
	return db_commit(db, err);
undo:
	db_rollback(db);
	return error_wrap(err, "cannot bring the %s to schema version %u", db->schema->what, from + 1);
}

static int migrate(struct db *db, int64_t version, struct error *err)
{
	unsigned v;

	for (v = (unsigned)version; v < db->schema->version; v++)
		if (migrate_step(db, v, err) < 0)
			return -1;
	return 0;
}

static struct db *connect(const char *path, int flags, const struct db_schema *schema, struct error *err)
{
	struct db *db = xcalloc(1, sizeof(*db));
	int code;

	db_fault_install();
	db->schema = schema;
	db->path = xstrdup(path);
	code = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
	if (code != SQLITE_OK) {
		if (db->handle == NULL)
			error_set(err, ERR_FAILED, "cannot open %s '%s': %s", schema->what, path,
				  sqlite3_errstr(code));
		else
			db_fail(db, code, err);
		db_close(db);
		return NULL;
	}
	sqlite3_extended_result_codes(db->handle, 1);
	if (configure_handle(db, err) < 0) {
		db_close(db);
		return NULL;
	}
	return db;
}

/* What an earlier try may have left; a stale journal would be played back into the new file. */
static int remove_leftovers(const char *fresh, struct error *err)
{
	static const char *const suffixes[] = {"-journal", "-wal", "-shm", ""};
	char name[4096];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if ((size_t)snprintf(name, sizeof(name), "%s%s", fresh, suffixes[i]) >= sizeof(name))
			return error_set(err, ERR_LIMIT, "path '%s' is too long", fresh);
		if (file_unlink(AT_FDCWD, name, err) < 0)
			return -1;
	}
	return 0;
}

static int sync_file(const char *path, struct error *err)
{
	int fd = file_open(AT_FDCWD, path, O_RDWR | O_NOFOLLOW, 0, err);
	int r = fd < 0 ? -1 : file_sync(fd, path, err);

	file_close(&fd);
	return r;
}

/*
 * A whole database beside its final name, so that no half-made or empty one ever stands there. Without a journal or
 * any sync on the way: until it has its name nobody would miss it, and before that it is synced once.
 */
static int create(const char *path, const struct db_schema *schema, struct error *err)
{
	char fresh[4096], stamp[64];
	struct db *db;
	int fd, r = -1;

	if ((size_t)snprintf(fresh, sizeof(fresh), "%s.new", path) >= sizeof(fresh))
		return error_set(err, ERR_LIMIT, "path '%s' is too long", path);
	if (remove_leftovers(fresh, err) < 0)
		return -1;
	fd = file_open(AT_FDCWD, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, err);
	if (fd < 0)
		return -1;
	file_close(&fd);
	db = connect(fresh, SQLITE_OPEN_READWRITE, schema, err);
	if (db == NULL)
		return -1;
	snprintf(stamp, sizeof(stamp), "PRAGMA application_id=%u", schema->application_id);
	if (db_exec(db, "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF", err) == 0 &&
	    db_exec(db, stamp, err) == 0 && migrate(db, 0, err) == 0)
		r = 0;
	db_close(db);
	return r < 0 || sync_file(fresh, err) < 0 ? -1 : file_rename(AT_FDCWD, fresh, AT_FDCWD, path, err);
}

static int ready(struct db *db, enum db_mode mode, struct error *err)
{
	int64_t version;

	if (check_identity(db, &version, err) < 0 || set_pragmas(db, mode != DB_READ, err) < 0)
		return -1;
	if (version < (int64_t)db->schema->version) {
		if (mode == DB_READ) {
			error_set(err, ERR_RETRY, "%s '%s' is of an older version", db->schema->what, db->path);
			return error_hint(err, "start its owner once, which brings it up to date");
		}
		if (migrate(db, version, err) < 0)
			return -1;
	}
	if (check_pragmas(db, mode != DB_READ, err) < 0)
		return -1;
	db_forget_statements(db);
	sqlite3_set_authorizer(db->handle, authorize, db);
	return 0;
}

struct db *db_open(const char *path, enum db_mode mode, const struct db_schema *schema, struct error *err)
{
	struct db *db;

	if (check_file(path, schema, err) < 0) {
		if (mode != DB_CREATE || err->kind != ERR_NOT_FOUND)
			return NULL;
		if (create(path, schema, err) < 0) {
			error_wrap(err, "cannot make %s '%s'", schema->what, path);
			return NULL;
		}
	}
	db = connect(path, mode == DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE, schema, err);
	if (db != NULL && ready(db, mode, err) < 0) {
		db_close(db);
		return NULL;
	}
	return db;
}
