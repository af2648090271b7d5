/* Rows of operators. */
#include "store/operators.h"

#define COLUMNS "name, role, token_id, secret_hash, created_by, created_s, expires_s, revoked_s FROM operators"

int operator_put(struct db *db, const struct operator_row *o, struct error *err)
{
	struct query q = query_open(
		db, "INSERT INTO operators (name, role, token_id, secret_hash, created_by, created_s, expires_s)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
		    " ON CONFLICT (name) DO UPDATE SET role = excluded.role, token_id = excluded.token_id,"
		    " secret_hash = excluded.secret_hash, created_by = excluded.created_by,"
		    " created_s = excluded.created_s, expires_s = excluded.expires_s, revoked_s = NULL");

	query_str(&q, 1, o->name);
	query_str(&q, 2, o->role);
	query_str(&q, 3, o->token_id);
	query_str(&q, 4, o->secret_hash);
	query_str(&q, 5, o->created_by);
	query_int(&q, 6, o->created_s);
	if (o->expires_s == 0)
		query_null(&q, 7);
	else
		query_int(&q, 7, o->expires_s);
	return query_run(&q, err);
}

static void read_row(struct query *q, struct operator_row *o)
{
	*o = (struct operator_row){.created_s = query_col_int(q, 5)};
	query_col_str(q, 0, o->name, sizeof(o->name));
	query_col_str(q, 1, o->role, sizeof(o->role));
	query_col_str(q, 2, o->token_id, sizeof(o->token_id));
	query_col_str(q, 3, o->secret_hash, sizeof(o->secret_hash));
	query_col_str(q, 4, o->created_by, sizeof(o->created_by));
	o->expires_s = query_col_int(q, 6);
	o->revoked_s = query_col_int(q, 7);
}

/* The first row of q, which is closed: 1, 0, -1. */
static int read_one(struct query *q, struct operator_row *out, struct error *err)
{
	int r = query_next(q, err);

	if (r > 0)
		read_row(q, out);
	query_close(q);
	return r;
}

int operator_find(struct db *db, struct slice name, struct operator_row *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " COLUMNS " WHERE name = ?1");

	query_text(&q, 1, name);
	return read_one(&q, out, err);
}

int operator_find_token(struct db *db, const char *token_id, struct operator_row *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " COLUMNS " WHERE token_id = ?1");

	query_str(&q, 1, token_id);
	return read_one(&q, out, err);
}

int operator_set_revoked(struct db *db, struct slice name, int64_t now_s, struct error *err)
{
	struct query q = query_open(db, "UPDATE operators SET revoked_s = ?2 WHERE name = ?1 AND revoked_s IS NULL");

	query_text(&q, 1, name);
	query_int(&q, 2, now_s);
	return query_run(&q, err);
}

void operator_walk_open(struct operator_walk *w, struct db *db)
{
	w->q = query_open(db, "SELECT " COLUMNS " ORDER BY name");
}

int operator_walk_next(struct operator_walk *w, struct error *err)
{
	int r = query_next(&w->q, err);

	if (r > 0)
		read_row(&w->q, &w->row);
	return r;
}

void operator_walk_close(struct operator_walk *w)
{
	query_close(&w->q);
}
