/* Audit records: writing the chain, walking it, and the text that is hashed (man/meshanics-audit.5). */
#include "store/audit.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/timefmt.h"

/* ---- the canonical text ---- */

/* A canonical JSON string of text without control bytes: only `"` and `\` are escaped. */
static void put_text(struct buf *out, const char *name, struct slice text)
{
	size_t i;

	buf_printf(out, "\"%s\":\"", name);
	for (i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			buf_put_u8(out, '\\');
		buf_put_u8(out, text.ptr[i]);
	}
	buf_put_str(out, "\"");
}

static void put_hash(struct buf *out, const char *name, const uint8_t hash[static SHA256_LEN])
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, hash, SHA256_LEN);
	buf_printf(out, "\"%s\":\"%s\"", name, hex);
}

static void put_record(struct buf *out, const struct audit_record *r, bool with_hash)
{
	char when[TIME_TEXT_LEN];

	buf_put_str(out, "{");
	put_text(out, "action", r->action);
	buf_put_str(out, ",");
	put_text(out, "actor", r->actor);
	buf_put_str(out, ",\"detail\":");
	buf_put_slice(out, r->detail);
	buf_put_str(out, ",");
	if (with_hash) {
		put_hash(out, "hash", r->hash);
		buf_put_str(out, ",");
	}
	put_text(out, "object", r->object);
	buf_put_str(out, ",");
	put_hash(out, "prev", r->prev);
	buf_printf(out, ",\"seq\":%lld,\"time\":\"%s\",", (long long)r->seq, time_text(when, r->time_s));
	put_text(out, "verdict", r->verdict);
	buf_put_str(out, "}");
}

void audit_record_put(struct buf *out, const struct audit_record *r)
{
	put_record(out, r, true);
}

static void hash_record(const struct audit_record *r, uint8_t out[static SHA256_LEN])
{
	struct buf text = BUF_INIT(AUDIT_RECORD_MAX);

	put_record(&text, r, false);
	sha256_of(buf_slice(&text), out);
	buf_release(&text);
}

/* Without this, a detail with a piece of a record inside could be cut in two ways to the same text. */
static int check_detail(struct slice detail, struct error *err)
{
	struct buf canonical = BUF_INIT(AUDIT_DETAIL_MAX);
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, detail, JSON_STRICT, err) < 0 ||
	    json_canonical(&canonical, json_root(&doc), err) < 0)
		goto out;
	if (json_type(json_root(&doc)) != JSON_OBJECT || !slice_equal(buf_slice(&canonical), detail))
		error_set(err, ERR_MALFORMED, "detail is not a canonical JSON object");
	else
		r = 0;
out:
	json_release(&doc);
	buf_release(&canonical);
	return r;
}

int audit_record_hash(const struct audit_record *r, uint8_t out[static SHA256_LEN], struct error *err)
{
	if (check_detail(r->detail, err) < 0)
		return -1;
	hash_record(r, out);
	return 0;
}

/* ---- appending ---- */

/* Control bytes stand only inside strings of canonical JSON, where `\\xNN` is the escaped form of \xNN. */
static void put_without_controls(struct buf *out, struct slice canonical)
{
	size_t i;

	for (i = 0; i < canonical.len; i++) {
		if (canonical.ptr[i] < 0x20 || canonical.ptr[i] == 0x7f)
			buf_printf(out, "\\\\x%02x", canonical.ptr[i]);
		else
			buf_put_u8(out, canonical.ptr[i]);
	}
}

static int canonical_detail(struct buf *out, struct slice detail, struct error *err)
{
	struct buf canonical = BUF_INIT(AUDIT_DETAIL_MAX);
	struct json doc = JSON_INIT;
	int r = -1;

	if (detail.len == 0)
		detail = SLICE_LIT("{}");
	if (json_parse(&doc, detail, JSON_STRICT, err) < 0)
		goto out;
	if (json_type(json_root(&doc)) != JSON_OBJECT) {
		error_set(err, ERR_MALFORMED, "the detail of an audit record is not an object");
		goto out;
	}
	if (json_canonical(&canonical, json_root(&doc), err) < 0)
		goto out;
	put_without_controls(out, buf_slice(&canonical));
	r = out->failed ? error_set(err, ERR_LIMIT, "the detail of an audit record is larger than %zu bytes", out->max)
			: 0;
out:
	json_release(&doc);
	buf_release(&canonical);
	return r;
}

static int insert_record(struct db *db, const struct audit_record *r, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO audit (seq, time_s, actor, action, object, verdict, detail,"
					" prev, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
	char prev[SHA256_HEX_LEN], hash[SHA256_HEX_LEN];

	hex_encode(prev, r->prev, SHA256_LEN);
	hex_encode(hash, r->hash, SHA256_LEN);
	query_int(&q, 1, r->seq);
	query_int(&q, 2, r->time_s);
	query_text(&q, 3, r->actor);
	query_text(&q, 4, r->action);
	query_text(&q, 5, r->object);
	query_text(&q, 6, r->verdict);
	query_text(&q, 7, r->detail);
	query_str(&q, 8, prev);
	query_str(&q, 9, hash);
	return query_run(&q, err);
}

int audit_append(struct db *db, const struct audit_entry *e, struct error *err)
{
	char actor[AUDIT_TEXT_MAX + 1], action[AUDIT_TEXT_MAX + 1], object[AUDIT_TEXT_MAX + 1];
	struct buf detail = BUF_INIT(AUDIT_DETAIL_MAX);
	struct audit_head head;
	struct audit_record r;
	int result = -1;

	if (audit_head(db, &head, err) < 0 || canonical_detail(&detail, e->detail, err) < 0)
		goto out;
	r = (struct audit_record){
		.seq = head.seq + 1,
		.time_s = e->time_s < 0 ? 0 : e->time_s > TIME_MAX_S ? TIME_MAX_S : e->time_s,
		.actor = slice_str(printable(actor, sizeof(actor), slice_str(e->actor))),
		.action = slice_str(printable(action, sizeof(action), slice_str(e->action))),
		.object = slice_str(printable(object, sizeof(object), slice_str(e->object))),
		.verdict = slice_str(e->verdict),
		.detail = buf_slice(&detail),
	};
	memcpy(r.prev, head.hash, SHA256_LEN);
	hash_record(&r, r.hash);
	result = insert_record(db, &r, err);
out:
	buf_release(&detail);
	return result;
}

int audit_head(struct db *db, struct audit_head *out, struct error *err)
{
	struct query q = query_open(db, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
	int r = query_next(&q, err);

	*out = (struct audit_head){.seq = 0};
	if (r > 0) {
		out->seq = query_col_int(&q, 0);
		r = hex_decode(out->hash, SHA256_LEN, query_col_slice(&q, 1), err);
	}
	query_close(&q);
	return r < 0 ? error_wrap(err, "audit trail") : 0;
}

/* ---- walking ---- */

static void bind_filter(struct query *q, const struct audit_filter *f)
{
	query_int(q, 1, f->from_seq);
	query_int(q, 2, f->to_seq == 0 ? INT64_MAX : f->to_seq);
	query_int(q, 3, f->since_s);
	query_int(q, 4, f->until_s == 0 ? INT64_MAX : f->until_s);
	query_str(q, 5, f->actor);
	query_str(q, 6, f->action);
	query_str(q, 7, f->object);
	query_int(q, 8, f->limit == 0 ? -1 : (int64_t)f->limit);
}

#define AUDIT_SELECT                                                                                        \
	"SELECT seq, time_s, actor, action, object, verdict, detail, prev, hash FROM audit"                 \
	" WHERE seq BETWEEN ?1 AND ?2 AND time_s BETWEEN ?3 AND ?4"                                         \
	" AND (?5 IS NULL OR actor = ?5)"                                                                   \
	" AND (?6 IS NULL OR action = ?6 OR (substr(?6, -1) = '.' AND substr(action, 1, length(?6)) = ?6))" \
	" AND (?7 IS NULL OR object = ?7)"

void audit_walk_open(struct audit_walk *w, struct db *db, const struct audit_filter *f)
{
	*w = (struct audit_walk){
		.q = query_open(db, f->newest_first ? AUDIT_SELECT " ORDER BY seq DESC LIMIT ?8"
						    : AUDIT_SELECT " ORDER BY seq LIMIT ?8"),
	};
	bind_filter(&w->q, f);
}

int audit_walk_next(struct audit_walk *w, struct error *err)
{
	struct audit_record *r = &w->record;
	int got = query_next(&w->q, err);

	if (got <= 0)
		return got;
	*r = (struct audit_record){
		.seq = query_col_int(&w->q, 0),
		.time_s = query_col_int(&w->q, 1),
		.actor = query_col_slice(&w->q, 2),
		.action = query_col_slice(&w->q, 3),
		.object = query_col_slice(&w->q, 4),
		.verdict = query_col_slice(&w->q, 5),
		.detail = query_col_slice(&w->q, 6),
	};
	if (hex_decode(r->prev, SHA256_LEN, query_col_slice(&w->q, 7), err) < 0 ||
	    hex_decode(r->hash, SHA256_LEN, query_col_slice(&w->q, 8), err) < 0)
		return error_wrap(err, "audit record %lld", (long long)r->seq);
	return 1;
}

void audit_walk_close(struct audit_walk *w)
{
	query_close(&w->q);
}
