/* Rows of rollouts and their waves. */
#include "store/rollouts.h"

#include <stdio.h>

#include "base/compiler.h"

static const char *const state_names[] = {"running", "paused", "halted", "completed", "aborted"};
static const char *const wave_names[] = {"planned", "waiting", "open", "complete"};

const char *rollout_state_name(enum rollout_state state)
{
	return state_names[state];
}

const char *wave_state_name(enum wave_state state)
{
	return wave_names[state];
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

int rollout_add(struct db *db, const struct rollout *r, struct slice selector, struct slice strategy, int64_t *id,
		struct error *err)
{
	struct query q = query_open(db, "INSERT INTO rollouts (artifact, artifact_name, kind, selector, strategy, state,"
					" reason, created_by, created_s, updated_s)"
					" VALUES (?1, ?2, ?3, ?4, ?5, 'running', ?6, ?7, ?8, ?8)");

	query_str(&q, 1, r->artifact);
	query_str(&q, 2, r->artifact_name);
	query_str(&q, 3, r->kind);
	query_text(&q, 4, selector);
	query_text(&q, 5, strategy);
	query_str(&q, 6, r->reason);
	query_str(&q, 7, r->created_by);
	query_int(&q, 8, r->created_s);
	if (query_run(&q, err) < 0)
		return -1;
	*id = db_last_id(db);
	return 0;
}

#define ROLLOUT_COLUMNS \
	"id, artifact, artifact_name, kind, state, wave, reason, created_by, created_s, updated_s"

static void read_rollout(struct query *q, struct rollout *r)
{
	r->id = query_col_int(q, 0);
	query_col_str(q, 1, r->artifact, sizeof(r->artifact));
	query_col_str(q, 2, r->artifact_name, sizeof(r->artifact_name));
	query_col_str(q, 3, r->kind, sizeof(r->kind));
	r->state = (enum rollout_state)word_index(query_col_slice(q, 4), state_names, ARRAY_SIZE(state_names));
	r->wave = (int)query_col_int(q, 5);
	query_col_str(q, 6, r->reason, sizeof(r->reason));
	query_col_str(q, 7, r->created_by, sizeof(r->created_by));
	r->created_s = query_col_int(q, 8);
	r->updated_s = query_col_int(q, 9);
}

static int need_rollout(struct query *q, int64_t id, struct error *err)
{
	char word[48];

	snprintf(word, sizeof(word), "rollout %lld", (long long)id);
	return query_need(q, word, err);
}

int rollout_find(struct db *db, int64_t id, struct rollout *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " ROLLOUT_COLUMNS " FROM rollouts WHERE id = ?1");
	int r;

	query_int(&q, 1, id);
	r = need_rollout(&q, id, err);
	if (r == 0)
		read_rollout(&q, out);
	query_close(&q);
	return r;
}

static int get_text(struct db *db, const char *sql, int64_t id, struct buf *out, struct error *err)
{
	struct query q = query_open(db, sql);
	int r;

	query_int(&q, 1, id);
	r = need_rollout(&q, id, err);
	if (r == 0)
		buf_put_slice(out, query_col_slice(&q, 0));
	query_close(&q);
	if (r == 0 && out->failed)
		return error_set(err, ERR_LIMIT, "what is stored of rollout %lld is larger than %zu bytes",
				 (long long)id, out->max);
	return r;
}

int rollout_selector(struct db *db, int64_t id, struct buf *out, struct error *err)
{
	return get_text(db, "SELECT selector FROM rollouts WHERE id = ?1", id, out, err);
}

int rollout_strategy(struct db *db, int64_t id, struct buf *out, struct error *err)
{
	return get_text(db, "SELECT strategy FROM rollouts WHERE id = ?1", id, out, err);
}

int rollout_set_state(struct db *db, int64_t id, enum rollout_state state, const char *reason, int64_t now_s,
		      struct error *err)
{
	struct query q = query_open(db, "UPDATE rollouts SET state = ?2, reason = ?3, updated_s = ?4 WHERE id = ?1");

	query_int(&q, 1, id);
	query_str(&q, 2, state_names[state]);
	query_str(&q, 3, reason);
	query_int(&q, 4, now_s);
	return query_run(&q, err);
}

int rollout_set_wave(struct db *db, int64_t id, int wave, int64_t now_s, struct error *err)
{
	struct query q = query_open(db, "UPDATE rollouts SET wave = ?2, updated_s = ?3 WHERE id = ?1");

	query_int(&q, 1, id);
	query_int(&q, 2, wave);
	query_int(&q, 3, now_s);
	return query_run(&q, err);
}

/* ---- waves ---- */

int wave_add(struct db *db, int64_t rollout_id, const struct wave *w, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO waves (rollout_id, wave, percent, approval, state)"
					" VALUES (?1, ?2, ?3, ?4, 'planned')");

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, w->wave);
	query_int(&q, 3, w->percent);
	query_str(&q, 4, w->manual ? "manual" : "auto");
	return query_run(&q, err);
}

int wave_find(struct db *db, int64_t rollout_id, int wave, struct wave *out, struct error *err)
{
	struct query q = query_open(db, "SELECT percent, approval, state, approved_by, opened_s, completed_s"
					" FROM waves WHERE rollout_id = ?1 AND wave = ?2");
	int r;

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, wave);
	r = query_need(&q, "wave", err);
	if (r == 0) {
		*out = (struct wave){.wave = wave};
		out->percent = (unsigned)query_col_int(&q, 0);
		out->manual = slice_equal_str(query_col_slice(&q, 1), "manual");
		out->state = (enum wave_state)word_index(query_col_slice(&q, 2), wave_names, ARRAY_SIZE(wave_names));
		query_col_str(&q, 3, out->approved_by, sizeof(out->approved_by));
		out->opened_s = query_col_int(&q, 4);
		out->completed_s = query_col_int(&q, 5);
	}
	query_close(&q);
	return r;
}

int wave_set_state(struct db *db, int64_t rollout_id, int wave, enum wave_state state, int64_t now_s,
		   struct error *err)
{
	struct query q = query_open(db, "UPDATE waves SET state = ?3,"
					" opened_s = CASE ?3 WHEN 'open' THEN coalesce(opened_s, ?4) ELSE opened_s END,"
					" completed_s = CASE ?3 WHEN 'complete' THEN coalesce(completed_s, ?4)"
					"  ELSE completed_s END"
					" WHERE rollout_id = ?1 AND wave = ?2");

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, wave);
	query_str(&q, 3, wave_names[state]);
	query_int(&q, 4, now_s);
	return query_run(&q, err);
}

int wave_approve(struct db *db, int64_t rollout_id, int wave, const char *actor, struct error *err)
{
	struct query q = query_open(db, "UPDATE waves SET approved_by = ?3 WHERE rollout_id = ?1 AND wave = ?2");

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, wave);
	query_str(&q, 3, actor);
	return query_run(&q, err);
}

/* ---- walking ---- */

void rollout_walk_open(struct rollout_walk *w, struct db *db, const char *state)
{
	*w = (struct rollout_walk){
		.q = query_open(db, "SELECT " ROLLOUT_COLUMNS ", selector FROM rollouts"
				    " WHERE ?1 IS NULL OR state = ?1 ORDER BY id DESC"),
	};
	query_str(&w->q, 1, state);
}

void rollout_walk_joinable(struct rollout_walk *w, struct db *db, int64_t device_id)
{
	*w = (struct rollout_walk){
		.q = query_open(db, "SELECT " ROLLOUT_COLUMNS ", selector FROM rollouts WHERE state <> 'aborted'"
				    " AND id > (SELECT coalesce(max(rollout_id), 0) FROM assignments WHERE"
				    "  device_id = ?1 AND artifact_name = rollouts.artifact_name"
				    "  AND state <> 'cancelled') ORDER BY id DESC"),
	};
	query_int(&w->q, 1, device_id);
}

int rollout_walk_next(struct rollout_walk *w, struct error *err)
{
	int r = query_next(&w->q, err);

	if (r <= 0)
		return r;
	read_rollout(&w->q, &w->rollout);
	w->selector = query_col_slice(&w->q, 10);
	return 1;
}

void rollout_walk_close(struct rollout_walk *w)
{
	query_close(&w->q);
}
