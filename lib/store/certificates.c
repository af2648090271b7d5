/* Rows of issued certificates. */
#include "store/certificates.h"

#include <stdio.h>

#define COLUMNS                                                                                    \
	"c.fingerprint, c.subject, c.device_id, d.state, c.serial, c.key_hash, c.token_id,"        \
	" c.not_before_s, c.not_after_s, c.issued_s, c.superseded_s, c.revoked_s, c.revoke_reason" \
	" FROM certificates c LEFT JOIN devices d ON d.id = c.device_id"

/* NULL for what is 0 or "". */
static void bind_int(struct query *q, int at, int64_t v)
{
	if (v == 0)
		query_null(q, at);
	else
		query_int(q, at, v);
}

int certificate_insert(struct db *db, const char *kind, const struct certificate_row *c, struct slice der,
		       struct error *err)
{
	struct query q = query_open(db, "INSERT INTO certificates (fingerprint, kind, subject, device_id, serial,"
					" key_hash, token_id, not_before_s, not_after_s, issued_s, der)"
					" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");

	query_str(&q, 1, c->fingerprint);
	query_str(&q, 2, kind);
	query_str(&q, 3, c->subject);
	bind_int(&q, 4, c->device_id);
	query_str(&q, 5, c->serial);
	query_str(&q, 6, c->key_hash);
	query_str(&q, 7, c->token_id[0] == '\0' ? NULL : c->token_id);
	query_int(&q, 8, c->not_before_s);
	query_int(&q, 9, c->not_after_s);
	query_int(&q, 10, c->issued_s);
	query_blob(&q, 11, der);
	return query_run(&q, err);
}

static void read_row(struct query *q, struct certificate_row *c)
{
	*c = (struct certificate_row){.device_id = query_col_int(q, 2)};
	query_col_str(q, 0, c->fingerprint, sizeof(c->fingerprint));
	query_col_str(q, 1, c->subject, sizeof(c->subject));
	query_col_str(q, 3, c->device_state, sizeof(c->device_state));
	query_col_str(q, 4, c->serial, sizeof(c->serial));
	query_col_str(q, 5, c->key_hash, sizeof(c->key_hash));
	query_col_str(q, 6, c->token_id, sizeof(c->token_id));
	c->not_before_s = query_col_int(q, 7);
	c->not_after_s = query_col_int(q, 8);
	c->issued_s = query_col_int(q, 9);
	c->superseded_s = query_col_int(q, 10);
	c->revoked_s = query_col_int(q, 11);
	query_col_str(q, 12, c->reason, sizeof(c->reason));
}

/* The first row of q, which is closed: 1, 0, -1. */
static int read_one(struct query *q, struct certificate_row *out, struct error *err)
{
	int r = query_next(q, err);

	if (r > 0)
		read_row(q, out);
	query_close(q);
	return r;
}

int certificate_find(struct db *db, const char *fingerprint, struct certificate_row *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " COLUMNS " WHERE c.fingerprint = ?1");

	query_str(&q, 1, fingerprint);
	return read_one(&q, out, err);
}

int certificate_find_enrolled(struct db *db, const char *token_id, const char *key_hash,
			      struct certificate_row *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " COLUMNS " WHERE c.token_id = ?1 AND c.key_hash = ?2"
					" ORDER BY c.rowid DESC LIMIT 1");

	query_str(&q, 1, token_id);
	query_str(&q, 2, key_hash);
	return read_one(&q, out, err);
}

int certificate_find_key(struct db *db, int64_t device_id, const char *key_hash, struct certificate_row *out,
			 struct error *err)
{
	struct query q = query_open(db, "SELECT " COLUMNS " WHERE c.device_id = ?1 AND c.key_hash = ?2"
					" ORDER BY c.rowid DESC LIMIT 1");

	query_int(&q, 1, device_id);
	query_str(&q, 2, key_hash);
	return read_one(&q, out, err);
}

int certificate_find_any(struct db *db, const char *key_hash, struct certificate_row *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " COLUMNS " WHERE c.key_hash = ?1 AND c.kind = 'device'"
					" ORDER BY c.rowid DESC LIMIT 1");

	query_str(&q, 1, key_hash);
	return read_one(&q, out, err);
}

int certificate_der(struct db *db, const char *fingerprint, struct buf *out, struct error *err)
{
	struct query q = query_open(db, "SELECT der FROM certificates WHERE fingerprint = ?1");
	int r;

	query_str(&q, 1, fingerprint);
	r = query_need(&q, "certificate", err);
	if (r == 0)
		buf_put_slice(out, query_col_slice(&q, 0));
	query_close(&q);
	if (r == 0 && out->failed)
		return error_set(err, ERR_LIMIT, "certificate is larger than %zu bytes", out->max);
	return r;
}

int certificates_live(struct db *db, int64_t device_id, int64_t now_s, int64_t *count, struct error *err)
{
	struct query q = query_open(db, "SELECT count(*) FROM certificates WHERE device_id = ?1"
					" AND not_after_s >= ?2 AND revoked_s IS NULL"
					" AND (superseded_s IS NULL OR superseded_s > ?2)");
	int r;

	query_int(&q, 1, device_id);
	query_int(&q, 2, now_s);
	r = query_need(&q, "count", err);
	if (r == 0)
		*count = query_col_int(&q, 0);
	query_close(&q);
	return r;
}

int certificates_supersede(struct db *db, int64_t device_id, const char *except, int64_t at_s, struct error *err)
{
	struct query q = query_open(db, "UPDATE certificates SET superseded_s = ?3 WHERE device_id = ?1"
					" AND fingerprint <> ?2"
					" AND (superseded_s IS NULL OR superseded_s > ?3)");

	query_int(&q, 1, device_id);
	query_str(&q, 2, except);
	query_int(&q, 3, at_s);
	return query_run(&q, err);
}

int certificates_revoke(struct db *db, int64_t device_id, const char *reason, int64_t now_s, int64_t *count,
			struct error *err)
{
	struct query q;

	if (certificates_live(db, device_id, now_s, count, err) < 0)
		return -1;
	q = query_open(db, "UPDATE certificates SET revoked_s = ?3, revoke_reason = ?2"
			   " WHERE device_id = ?1 AND revoked_s IS NULL");
	query_int(&q, 1, device_id);
	query_str(&q, 2, reason);
	query_int(&q, 3, now_s);
	return query_run(&q, err);
}

int certificates_forget(struct db *db, int64_t device_id, int64_t before_s, struct error *err)
{
	struct query q = query_open(db, "DELETE FROM certificates WHERE device_id = ?1 AND not_after_s < ?2"
					" AND revoked_s IS NULL");

	query_int(&q, 1, device_id);
	query_int(&q, 2, before_s);
	return query_run(&q, err);
}

void certificate_walk_open(struct certificate_walk *w, struct db *db, int64_t device_id)
{
	w->q = query_open(db, "SELECT " COLUMNS " WHERE c.device_id = ?1 ORDER BY c.rowid DESC");
	query_int(&w->q, 1, device_id);
}

int certificate_walk_next(struct certificate_walk *w, struct error *err)
{
	int r = query_next(&w->q, err);

	if (r > 0)
		read_row(&w->q, &w->row);
	return r;
}

void certificate_walk_close(struct certificate_walk *w)
{
	query_close(&w->q);
}
