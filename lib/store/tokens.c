/* Rows of enrolment tokens. */
#include "store/tokens.h"

#define COLUMNS                                                                                 \
	"id, secret_hash, device, name_prefix, tags, note, uses_max, uses_left, created_by,"    \
	" created_s, expires_s, revoked_s FROM tokens"

static const char *or_null(const char *s)
{
	return s[0] == '\0' ? NULL : s;
}

int token_insert(struct db *db, const struct token_row *t, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO tokens (id, secret_hash, device, name_prefix, tags, note,"
					" uses_max, uses_left, created_by, created_s, expires_s)"
					" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");

	query_str(&q, 1, t->id);
	query_str(&q, 2, t->secret_hash);
	query_str(&q, 3, or_null(t->device));
	query_str(&q, 4, or_null(t->name_prefix));
	query_str(&q, 5, t->tags);
	query_str(&q, 6, t->note);
	query_int(&q, 7, t->uses_max);
	query_int(&q, 8, t->uses_left);
	query_str(&q, 9, t->created_by);
	query_int(&q, 10, t->created_s);
	query_int(&q, 11, t->expires_s);
	return query_run(&q, err);
}

static void read_row(struct query *q, struct token_row *t)
{
	*t = (struct token_row){.uses_max = query_col_int(q, 6)};
	query_col_str(q, 0, t->id, sizeof(t->id));
	query_col_str(q, 1, t->secret_hash, sizeof(t->secret_hash));
	query_col_str(q, 2, t->device, sizeof(t->device));
	query_col_str(q, 3, t->name_prefix, sizeof(t->name_prefix));
	query_col_str(q, 4, t->tags, sizeof(t->tags));
	query_col_str(q, 5, t->note, sizeof(t->note));
	t->uses_left = query_col_int(q, 7);
	query_col_str(q, 8, t->created_by, sizeof(t->created_by));
	t->created_s = query_col_int(q, 9);
	t->expires_s = query_col_int(q, 10);
	t->revoked_s = query_col_int(q, 11);
}

int token_find(struct db *db, const char *id, struct token_row *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " COLUMNS " WHERE id = ?1");
	int r;

	query_str(&q, 1, id);
	r = query_next(&q, err);
	if (r > 0)
		read_row(&q, out);
	query_close(&q);
	return r;
}

int token_use(struct db *db, const char *id, struct error *err)
{
	struct query q = query_open(db, "UPDATE tokens SET uses_left = uses_left - 1 WHERE id = ?1 AND uses_left > 0");

	query_str(&q, 1, id);
	if (query_run(&q, err) < 0)
		return -1;
	if (db_changes(db) != 1)
		return error_set(err, ERR_REFUSED, "no use of token %s is left", id);
	return 0;
}

int token_set_revoked(struct db *db, const char *id, int64_t now_s, struct error *err)
{
	struct query q = query_open(db, "UPDATE tokens SET revoked_s = ?2 WHERE id = ?1 AND revoked_s IS NULL");

	query_str(&q, 1, id);
	query_int(&q, 2, now_s);
	return query_run(&q, err);
}

void token_walk_open(struct token_walk *w, struct db *db)
{
	w->q = query_open(db, "SELECT " COLUMNS " ORDER BY created_s DESC, rowid DESC");
}

int token_walk_next(struct token_walk *w, struct error *err)
{
	int r = query_next(&w->q, err);

	if (r > 0)
		read_row(&w->q, &w->row);
	return r;
}

void token_walk_close(struct token_walk *w)
{
	query_close(&w->q);
}
