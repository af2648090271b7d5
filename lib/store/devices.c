/* Rows of devices, their tags and their orders. */
#include "store/devices.h"

#include <stdio.h>

#include "base/compiler.h"

static const char *const state_names[] = {"enrolled", "active", "revoked", "decommissioned"};
static const char *const order_names[] = {"wipe", "renew"};

const char *device_state_name(enum device_state state)
{
	return state_names[state];
}

const char *order_kind_name(enum order_kind kind)
{
	return order_names[kind];
}

/* The CHECK of the table knows the same words. */
static unsigned word_index(struct slice word, const char *const *words, unsigned count)
{
	unsigned i;

	for (i = 0; i + 1 < count; i++)
		if (slice_equal_str(word, words[i]))
			break;
	return i;
}

#define DEVICE_COLUMNS "id, name, state, created_s, registered_s, last_seen_s"

static void read_device(struct query *q, struct device *d)
{
	d->id = query_col_int(q, 0);
	query_col_str(q, 1, d->name, sizeof(d->name));
	d->state = (enum device_state)word_index(query_col_slice(q, 2), state_names, ARRAY_SIZE(state_names));
	d->created_s = query_col_int(q, 3);
	d->registered_s = query_col_int(q, 4);
	d->last_seen_s = query_col_int(q, 5);
}

int device_add(struct db *db, struct slice name, int64_t now_s, int64_t *id, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO devices (name, state, created_s) VALUES (?1, 'enrolled', ?2)"
					" ON CONFLICT (name) DO NOTHING");

	query_text(&q, 1, name);
	query_int(&q, 2, now_s);
	if (query_run(&q, err) < 0)
		return -1;
	if (db_changes(db) == 0)
		return error_set(err, ERR_CONFLICT, "there is a device '%.*s' already", SLICE_ARG(name));
	*id = db_last_id(db);
	return 0;
}

int device_find(struct db *db, struct slice name, struct device *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " DEVICE_COLUMNS " FROM devices WHERE name = ?1");
	char word[NAME_LEN_MAX + 16];
	int r;

	query_text(&q, 1, name);
	snprintf(word, sizeof(word), "device '%.*s'", name.len > NAME_LEN_MAX ? NAME_LEN_MAX : (int)name.len,
		 (const char *)name.ptr);
	r = query_need(&q, word, err);
	if (r == 0)
		read_device(&q, out);
	query_close(&q);
	return r;
}

int device_find_id(struct db *db, int64_t id, struct device *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " DEVICE_COLUMNS " FROM devices WHERE id = ?1");
	int r;

	query_int(&q, 1, id);
	r = query_need(&q, "device", err);
	if (r == 0)
		read_device(&q, out);
	query_close(&q);
	return r;
}

static int get_text(struct db *db, const char *sql, int64_t id, struct buf *out, struct error *err)
{
	struct query q = query_open(db, sql);
	int r;

	query_int(&q, 1, id);
	r = query_need(&q, "device", err);
	if (r == 0)
		buf_put_slice(out, query_col_slice(&q, 0));
	query_close(&q);
	if (r == 0 && out->failed)
		return error_set(err, ERR_LIMIT, "what is stored of a device is larger than %zu bytes", out->max);
	return r;
}

int device_highest_number(struct db *db, struct slice prefix, int64_t *highest, struct error *err)
{
	/* '.' follows '-' in ASCII, so this is one range of the index. */
	struct query q = query_open(db, "SELECT coalesce(max(CAST(substr(name, length(?1) + 2) AS INTEGER)), 0)"
					" FROM devices WHERE name > ?1 || '-' AND name < ?1 || '.'"
					" AND length(name) <= length(?1) + 10"
					" AND substr(name, length(?1) + 2) NOT GLOB '*[^0-9]*'");
	int r;

	query_text(&q, 1, prefix);
	r = query_need(&q, "number", err);
	if (r == 0)
		*highest = query_col_int(&q, 0);
	query_close(&q);
	return r;
}

int device_profile(struct db *db, int64_t id, struct buf *out, struct error *err)
{
	return get_text(db, "SELECT profile FROM devices WHERE id = ?1", id, out, err);
}

int device_report(struct db *db, int64_t id, struct buf *out, struct error *err)
{
	return get_text(db, "SELECT report FROM devices WHERE id = ?1", id, out, err);
}

int device_set_state(struct db *db, int64_t id, enum device_state state, struct error *err)
{
	struct query q = query_open(db, "UPDATE devices SET state = ?2 WHERE id = ?1");

	query_int(&q, 1, id);
	query_str(&q, 2, state_names[state]);
	return query_run(&q, err);
}

/* The later of what is there and ?NOW, unless what is there is of a clock that was ahead of it by more than ?SLACK. */
#define SEEN_SQL(now, slack) \
	"CASE WHEN last_seen_s BETWEEN " now " AND " now " + " slack " THEN last_seen_s ELSE " now " END"

int device_set_registered(struct db *db, int64_t id, struct slice profile, int64_t now_s, struct error *err)
{
	struct query q = query_open(db, "UPDATE devices SET state = 'active', profile = ?2, registered_s = ?3,"
					" last_seen_s = " SEEN_SQL("?3", "?4") " WHERE id = ?1");

	query_int(&q, 1, id);
	query_text(&q, 2, profile);
	query_int(&q, 3, now_s);
	query_int(&q, 4, DEVICE_SEEN_AHEAD_S);
	return query_run(&q, err);
}

int device_set_seen(struct db *db, int64_t id, int64_t seen_s, struct slice report, struct error *err)
{
	struct query q = query_open(db, "UPDATE devices SET last_seen_s = " SEEN_SQL("?2", "?4") ","
					" report = coalesce(?3, report) WHERE id = ?1");

	query_int(&q, 1, id);
	query_int(&q, 2, seen_s);
	if (report.len > 0)
		query_text(&q, 3, report);
	query_int(&q, 4, DEVICE_SEEN_AHEAD_S);
	return query_run(&q, err);
}

int devices_highest_version(struct db *db, struct slice role, int64_t *out, struct error *err)
{
	struct query q = query_open(db, "SELECT max(m.value) FROM devices d, json_each(d.report, '$.metadata') m"
					" WHERE m.key = ?1 AND m.type = 'integer' AND d.state <> 'revoked'");
	int r;

	query_text(&q, 1, role);
	r = query_need(&q, "version", err);
	if (r == 0)
		*out = query_col_int(&q, 0);
	query_close(&q);
	return r;
}

/* ---- tags ---- */

static int change_tag(struct db *db, const char *sql, int64_t id, struct slice tag, struct error *err)
{
	struct query q = query_open(db, sql);

	query_int(&q, 1, id);
	query_text(&q, 2, tag);
	return query_run(&q, err);
}

int device_tag_add(struct db *db, int64_t id, struct slice tag, struct error *err)
{
	return change_tag(db, "INSERT INTO device_tags (device_id, tag) VALUES (?1, ?2) ON CONFLICT DO NOTHING", id, tag,
			  err);
}

int device_tag_remove(struct db *db, int64_t id, struct slice tag, struct error *err)
{
	return change_tag(db, "DELETE FROM device_tags WHERE device_id = ?1 AND tag = ?2", id, tag, err);
}

int device_tag_count(struct db *db, int64_t id, unsigned *out, struct error *err)
{
	struct query q = query_open(db, "SELECT count(*) FROM device_tags WHERE device_id = ?1");
	int r;

	query_int(&q, 1, id);
	r = query_need(&q, "count", err);
	if (r == 0)
		*out = (unsigned)query_col_int(&q, 0);
	query_close(&q);
	return r;
}

int device_tags(struct db *db, int64_t id, struct buf *out, struct error *err)
{
	struct query q = query_open(db, "SELECT tag FROM device_tags WHERE device_id = ?1 ORDER BY tag");
	int r;

	buf_clear(out);
	query_int(&q, 1, id);
	while ((r = query_next(&q, err)) > 0) {
		if (out->len > 0)
			buf_put_u8(out, ',');
		buf_put_slice(out, query_col_slice(&q, 0));
	}
	query_close(&q);
	if (r == 0 && out->failed)
		return error_set(err, ERR_LIMIT, "the tags of a device are longer than %zu bytes", out->max);
	return r;
}

/* ---- all devices ---- */

void device_walk_open(struct device_walk *w, struct db *db, const char *tag, const char *state, struct slice after,
		      unsigned limit)
{
	*w = (struct device_walk){
		.q = query_open(db, "SELECT " DEVICE_COLUMNS ", profile, report,"
				    " (SELECT group_concat(tag, ',') FROM (SELECT tag FROM device_tags"
				    "  WHERE device_id = devices.id ORDER BY tag))"
				    " FROM devices WHERE name > ?3 AND (?2 IS NULL OR state = ?2)"
				    " AND (?1 IS NULL OR EXISTS (SELECT 1 FROM device_tags"
				    "  WHERE device_id = devices.id AND tag = ?1))"
				    " ORDER BY name LIMIT ?4"),
	};
	query_str(&w->q, 1, tag);
	query_str(&w->q, 2, state);
	query_text(&w->q, 3, after);
	query_int(&w->q, 4, limit == 0 ? -1 : (int64_t)limit);
}

int device_walk_next(struct device_walk *w, struct error *err)
{
	int r = query_next(&w->q, err);

	if (r <= 0)
		return r;
	read_device(&w->q, &w->device);
	w->profile = query_col_slice(&w->q, 6);
	w->report = query_col_slice(&w->q, 7);
	w->tags = query_col_slice(&w->q, 8);
	return 1;
}

void device_walk_close(struct device_walk *w)
{
	query_close(&w->q);
}

/* ---- orders ---- */

int order_add(struct db *db, int64_t device_id, enum order_kind kind, const char *fingerprint, int64_t now_s,
	      struct error *err)
{
	struct query q = query_open(db, "INSERT INTO orders (device_id, kind, fingerprint, created_s)"
					" SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM orders WHERE"
					" device_id = ?1 AND kind = ?2 AND fingerprint = ?3 AND done_s IS NULL)");

	query_int(&q, 1, device_id);
	query_str(&q, 2, order_names[kind]);
	query_str(&q, 3, fingerprint);
	query_int(&q, 4, now_s);
	return query_run(&q, err);
}

int orders_open(struct db *db, int64_t device_id, struct order *out, unsigned max, struct error *err)
{
	struct query q = query_open(db, "SELECT id, kind, fingerprint FROM orders"
					" WHERE device_id = ?1 AND done_s IS NULL ORDER BY id LIMIT ?2");
	unsigned n = 0;
	int r = 0;

	query_int(&q, 1, device_id);
	query_int(&q, 2, max);
	while (n < max && (r = query_next(&q, err)) > 0) {
		out[n].id = query_col_int(&q, 0);
		out[n].kind = (enum order_kind)word_index(query_col_slice(&q, 1), order_names,
							  ARRAY_SIZE(order_names));
		query_col_str(&q, 2, out[n].fingerprint, sizeof(out[n].fingerprint));
		n++;
	}
	query_close(&q);
	return r < 0 ? -1 : (int)n;
}

int order_done(struct db *db, int64_t device_id, int64_t id, int64_t now_s, struct error *err)
{
	struct query q = query_open(db, "UPDATE orders SET done_s = ?3 WHERE device_id = ?1 AND id = ?2"
					" AND done_s IS NULL");

	query_int(&q, 1, device_id);
	query_int(&q, 2, id);
	query_int(&q, 3, now_s);
	return query_run(&q, err);
}

int orders_drop(struct db *db, int64_t device_id, int64_t now_s, struct error *err)
{
	struct query q = query_open(db, "UPDATE orders SET done_s = ?2 WHERE device_id = ?1 AND done_s IS NULL");

	query_int(&q, 1, device_id);
	query_int(&q, 2, now_s);
	return query_run(&q, err);
}
