/* What db.c and query.c share: the connection, its statement cache, and the wording of SQLite's errors. */
#ifndef MESHANICS_DB_INTERNAL_H
#define MESHANICS_DB_INTERNAL_H

#define SQLITE_ENABLE_PREUPDATE_HOOK 1	/* Debian builds it in */
#include <sqlite3.h>

#include "base/compiler.h"
#include "db/db.h"

#define DB_CACHE_SLOTS 64

struct db_slot {
	const char *sql;	/* the literal it was prepared from; NULL: free */
	sqlite3_stmt *stmt;
	uint64_t used;		/* the tick of its last use, for eviction */
	bool busy;		/* in the hands of a query */
};

struct db {
	sqlite3 *handle;
	const struct db_schema *schema;
	char *path;
	unsigned savepoints;
	uint64_t tick;
	struct db_slot slots[DB_CACHE_SLOTS];
	struct db_watch *watch;	/* db_watch.c; NULL: nobody watches */
};

/* Turn SQLite's (extended) code and words into err. Returns -1. */
int db_fail_words(const struct db *db, int code, const char *words, struct error *err);
/* The same for the connection's latest failure. */
int db_fail(const struct db *db, int code, struct error *err);
/* Test builds: SQLite's system calls can be made to fail (sys/fault.h). Nothing in shipped ones. */
void db_fault_install(void);
/* Finalize every cached statement. */
void db_forget_statements(struct db *db);

#endif
