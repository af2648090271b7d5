/* Rows of assignments: single ones, whole waves, counts; and transitions. */
#include "store/assignments.h"

#include <stdio.h>

#include "base/compiler.h"

static const char *const state_names[ASSIGNMENT_STATES] = {
	"planned", "assigned", "downloading", "verifying", "applying", "probing",
	"healthy", "rolled_back", "failed", "cancelled", "superseded",
};

const char *assignment_state_name(enum assignment_state state)
{
	return state_names[state];
}

enum assignment_state assignment_state_by_name(struct slice word)
{
	unsigned i;

	for (i = 0; i < ASSIGNMENT_STATES; i++)
		if (slice_equal_str(word, state_names[i]))
			break;
	return (enum assignment_state)i;
}

bool assignment_is_settled(enum assignment_state state)
{
	return state == ASSIGNMENT_HEALTHY || state == ASSIGNMENT_ROLLED_BACK || state == ASSIGNMENT_FAILED;
}

bool assignment_is_reportable(enum assignment_state state)
{
	return state >= ASSIGNMENT_DOWNLOADING && state <= ASSIGNMENT_FAILED;
}

/* ---- single ones ---- */

int assignment_add(struct db *db, int64_t rollout_id, int64_t device_id, int64_t position, int wave, int64_t now_s,
		   struct error *err)
{
	struct query q = query_open(db, "INSERT INTO assignments (rollout_id, device_id, artifact, artifact_name, kind,"
					" position, wave, state, updated_s)"
					" SELECT id, ?2, artifact, artifact_name, kind, ?3, ?4, 'planned', ?5"
					" FROM rollouts WHERE id = ?1 ON CONFLICT (rollout_id, device_id) DO NOTHING");

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, device_id);
	query_int(&q, 3, position);
	query_int(&q, 4, wave);
	query_int(&q, 5, now_s);
	return query_run(&q, err);
}

int assignment_renew(struct db *db, int64_t rollout_id, int64_t device_id, int wave, int64_t now_s, bool *changed,
		     struct error *err)
{
	struct query q = query_open(db, "UPDATE assignments SET state = 'planned', wave = ?3, updated_s = ?4,"
					" settled_s = NULL, reason = '', action = 'install', acknowledged = 0"
					" WHERE rollout_id = ?1 AND device_id = ?2 AND state = 'cancelled'");

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, device_id);
	query_int(&q, 3, wave);
	query_int(&q, 4, now_s);
	if (query_run(&q, err) < 0)
		return -1;
	*changed = db_changes(db) > 0;
	return 0;
}

#define ASSIGNMENT_COLUMNS                                                                                     \
	"a.id, a.rollout_id, a.device_id, a.artifact, a.artifact_name, a.kind, a.wave, a.action, a.state, a.current," \
	" a.previous_id, a.reason, a.updated_s"

static void read_assignment(struct query *q, struct assignment *a)
{
	a->id = query_col_int(q, 0);
	a->rollout_id = query_col_int(q, 1);
	a->device_id = query_col_int(q, 2);
	query_col_str(q, 3, a->artifact, sizeof(a->artifact));
	query_col_str(q, 4, a->artifact_name, sizeof(a->artifact_name));
	query_col_str(q, 5, a->kind, sizeof(a->kind));
	a->wave = (int)query_col_int(q, 6);
	a->revert = slice_equal_str(query_col_slice(q, 7), "revert");
	a->state = assignment_state_by_name(query_col_slice(q, 8));
	a->current = query_col_int(q, 9) != 0;
	a->previous_id = query_col_int(q, 10);
	query_col_str(q, 11, a->reason, sizeof(a->reason));
	a->updated_s = query_col_int(q, 12);
}

int assignment_find(struct db *db, int64_t id, struct assignment *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " ASSIGNMENT_COLUMNS " FROM assignments a WHERE a.id = ?1");
	char word[48];
	int r;

	query_int(&q, 1, id);
	snprintf(word, sizeof(word), "assignment %lld", (long long)id);
	r = query_need(&q, word, err);
	if (r == 0)
		read_assignment(&q, out);
	query_close(&q);
	return r;
}

int assignment_of(struct db *db, int64_t rollout_id, int64_t device_id, struct assignment *out, struct error *err)
{
	struct query q = query_open(db, "SELECT " ASSIGNMENT_COLUMNS " FROM assignments a"
					" WHERE a.rollout_id = ?1 AND a.device_id = ?2");
	int r;

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, device_id);
	r = query_next(&q, err);
	if (r > 0)
		read_assignment(&q, out);
	query_close(&q);
	return r;
}

int assignment_set_state(struct db *db, int64_t id, enum assignment_state state, struct slice reason, int64_t now_s,
			 struct error *err)
{
	struct query q = query_open(db, "UPDATE assignments SET state = ?2, reason = ?3, updated_s = ?4,"
					" settled_s = CASE ?5 WHEN 1 THEN ?4 END WHERE id = ?1");

	query_int(&q, 1, id);
	query_str(&q, 2, state_names[state]);
	query_text(&q, 3, reason);
	query_int(&q, 4, now_s);
	query_int(&q, 5, assignment_is_settled(state));
	return query_run(&q, err);
}

static int run_with_id(struct db *db, const char *sql, int64_t id, struct error *err)
{
	struct query q = query_open(db, sql);

	query_int(&q, 1, id);
	return query_run(&q, err);
}

int assignment_make_current(struct db *db, int64_t id, struct error *err)
{
	if (run_with_id(db, "UPDATE assignments SET current = 0 WHERE current = 1 AND (device_id, artifact_name) ="
			    " (SELECT device_id, artifact_name FROM assignments WHERE id = ?1)", id, err) < 0)
		return -1;
	return run_with_id(db, "UPDATE assignments SET current = 1 WHERE id = ?1", id, err);
}

int assignment_fall_back(struct db *db, int64_t id, struct error *err)
{
	if (run_with_id(db, "UPDATE assignments SET current = 0 WHERE id = ?1", id, err) < 0)
		return -1;
	return run_with_id(db, "UPDATE assignments AS p SET current = 1"
			       " WHERE p.id = (SELECT previous_id FROM assignments WHERE id = ?1)"
			       " AND p.state = 'healthy' AND p.action = 'install' AND NOT EXISTS (SELECT 1 FROM assignments c WHERE c.current = 1"
			       "  AND c.device_id = p.device_id AND c.artifact_name = p.artifact_name)", id, err);
}

int assignment_current(struct db *db, int64_t device_id, const char *artifact_name, int64_t *id, struct error *err)
{
	struct query q = query_open(db, "SELECT id FROM assignments WHERE device_id = ?1 AND artifact_name = ?2"
					" AND current = 1");
	int r;

	query_int(&q, 1, device_id);
	query_str(&q, 2, artifact_name);
	r = query_next(&q, err);
	*id = r > 0 ? query_col_int(&q, 0) : 0;
	query_close(&q);
	return r < 0 ? -1 : 0;
}

/* ---- walks ---- */

static void walk_open(struct assignment_walk *w, struct db *db, const char *sql, int64_t id)
{
	*w = (struct assignment_walk){.q = query_open(db, sql)};
	query_int(&w->q, 1, id);
}

void assignment_walk_rollout(struct assignment_walk *w, struct db *db, int64_t rollout_id)
{
	walk_open(w, db, "SELECT " ASSIGNMENT_COLUMNS ", d.name FROM assignments a JOIN devices d ON d.id = a.device_id"
			 " WHERE a.rollout_id = ?1 ORDER BY a.position, a.id", rollout_id);
}

void assignment_walk_device(struct assignment_walk *w, struct db *db, int64_t device_id)
{
	walk_open(w, db, "SELECT " ASSIGNMENT_COLUMNS ", d.name FROM assignments a JOIN devices d ON d.id = a.device_id"
			 " WHERE a.device_id = ?1 ORDER BY a.id DESC", device_id);
}

void assignment_walk_desired(struct assignment_walk *w, struct db *db, int64_t device_id)
{
	walk_open(w, db, "SELECT " ASSIGNMENT_COLUMNS ", d.name FROM assignments c JOIN rollouts r ON r.id = c.rollout_id"
			 " JOIN assignments a ON a.id = CASE WHEN r.state IN ('paused','halted')"
			 "  AND c.action = 'install' AND c.state IN ('assigned','downloading')"
			 "  THEN c.previous_id ELSE c.id END"
			 " JOIN devices d ON d.id = a.device_id"
			 " WHERE c.device_id = ?1 AND c.current = 1 ORDER BY a.artifact_name", device_id);
}

int assignment_walk_next(struct assignment_walk *w, struct error *err)
{
	int r = query_next(&w->q, err);

	if (r <= 0)
		return r;
	read_assignment(&w->q, &w->assignment);
	w->device = query_col_slice(&w->q, 13);
	return 1;
}

void assignment_walk_close(struct assignment_walk *w)
{
	query_close(&w->q);
}

/* ---- transitions ---- */

int transition_add(struct db *db, const struct transition *t, bool *fresh, struct error *err)
{
	struct query q = query_open(db, "INSERT INTO transitions (device_id, instance, assignment_id, seq, artifact,"
					" state, reason, device_s, received_s)"
					" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING");

	query_int(&q, 1, t->device_id);
	query_text(&q, 2, t->instance);
	query_int(&q, 3, t->assignment_id);
	query_int(&q, 4, t->seq);
	query_text(&q, 5, t->artifact);
	query_text(&q, 6, t->state);
	query_text(&q, 7, t->reason);
	query_int(&q, 8, t->device_s);
	query_int(&q, 9, t->received_s);
	if (query_run(&q, err) < 0)
		return -1;
	*fresh = db_changes(db) > 0;
	return 0;
}
