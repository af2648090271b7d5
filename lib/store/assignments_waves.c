/* Assignments by the wave: opening, cancelling, counting. */
#include "store/assignments.h"

/* SQL lists of the same words. */
#define UNSETTLED "('planned','assigned','downloading','verifying','applying','probing')"
#define SETTLED "('healthy','rolled_back','failed')"
#define BAD "('rolled_back','failed')"

static int run_with_id(struct db *db, const char *sql, int64_t id, struct error *err)
{
	struct query q = query_open(db, sql);

	query_int(&q, 1, id);
	return query_run(&q, err);
}

/*
 * A change of many rows: ?1 the rollout, ?2 the reason, ?3 the time, ?4 the wave. wave < 0: the statement knows no
 * wave. count may be NULL.
 */
static int run_bulk(struct db *db, const char *sql, int64_t rollout_id, const char *reason, int64_t now_s, int wave,
		    int64_t *count, struct error *err)
{
	struct query q = query_open(db, sql);

	query_int(&q, 1, rollout_id);
	query_str(&q, 2, reason);
	query_int(&q, 3, now_s);
	if (wave >= 0)
		query_int(&q, 4, wave);
	if (query_run(&q, err) < 0)
		return -1;
	if (count != NULL)
		*count = db_changes(db);
	return 0;
}

/*
 * The three steps of opening, for the rows that `which` picks: SQL over ?1, ?4 and ?5 that one index answers. Two texts of
 * each rather than one with an OR, which would walk the whole rollout for the one device that came late.
 */
#define OF_WAVE "rollout_id = ?1 AND wave <= ?4 AND state = 'planned'"
#define OF_DEVICE OF_WAVE " AND device_id = ?5"

/* What each falls back to: the current one if that is good, else what that one would fall back to. */
#define OPEN_PREVIOUS(which)                                                                              \
	"UPDATE assignments AS n SET previous_id ="                                                       \
	" (SELECT CASE WHEN c.state = 'healthy' AND c.action = 'install' THEN c.id"                       \
	"  ELSE c.previous_id END FROM assignments c"                                                     \
	"  WHERE c.current = 1 AND c.device_id = n.device_id AND c.artifact_name = n.artifact_name)"      \
	" WHERE " which
#define OPEN_SUPERSEDE(which)                                                                             \
	"UPDATE assignments AS c SET current = 0,"                                                        \
	" updated_s = CASE WHEN c.state IN " UNSETTLED " THEN ?3 ELSE c.updated_s END,"                   \
	" reason = CASE WHEN c.state IN " UNSETTLED " THEN ?2 ELSE c.reason END,"                         \
	" state = CASE WHEN c.state IN " UNSETTLED " THEN 'superseded' ELSE c.state END"                  \
	" WHERE c.current = 1 AND (c.device_id, c.artifact_name) IN"                                      \
	" (SELECT device_id, artifact_name FROM assignments WHERE " which ")"
#define OPEN_ASSIGN(which)                                                                                \
	"UPDATE assignments SET state = 'assigned', current = 1, reason = ?2, updated_s = ?3,"            \
	" assigned_s = ?3 WHERE " which

static int run_open(struct db *db, const char *const sql[static 3], int64_t rollout_id, int wave, int64_t device_id,
		    const char *reason, int64_t now_s, int64_t *count, struct error *err)
{
	unsigned i;

	for (i = 0; i < 3; i++) {
		struct query q = query_open(db, sql[i]);

		query_int(&q, 1, rollout_id);
		if (i > 0) {
			query_str(&q, 2, reason);
			query_int(&q, 3, now_s);
		}
		query_int(&q, 4, wave);
		if (device_id != 0)
			query_int(&q, 5, device_id);
		if (query_run(&q, err) < 0)
			return -1;
	}
	*count = db_changes(db);
	return 0;
}

int assignments_open(struct db *db, int64_t rollout_id, int wave, const char *reason, int64_t now_s, int64_t *count,
		     struct error *err)
{
	static const char *const sql[3] = {OPEN_PREVIOUS(OF_WAVE), OPEN_SUPERSEDE(OF_WAVE), OPEN_ASSIGN(OF_WAVE)};

	return run_open(db, sql, rollout_id, wave, 0, reason, now_s, count, err);
}

int assignments_open_device(struct db *db, int64_t rollout_id, int wave, int64_t device_id, const char *reason,
			    int64_t now_s, struct error *err)
{
	static const char *const sql[3] = {OPEN_PREVIOUS(OF_DEVICE), OPEN_SUPERSEDE(OF_DEVICE), OPEN_ASSIGN(OF_DEVICE)};
	int64_t count;

	return run_open(db, sql, rollout_id, wave, device_id, reason, now_s, &count, err);
}

#define SUPERSEDED_ROLLOUTS                                                                               \
	"SELECT DISTINCT o.rollout_id FROM assignments n JOIN rollouts r ON"                              \
	" r.artifact_name = n.artifact_name AND r.id <> n.rollout_id"                                     \
	" AND r.state IN ('running','paused','halted')"                                                   \
	" JOIN assignments o ON o.rollout_id = r.id AND o.device_id = n.device_id"                        \
	" AND o.state = 'superseded' WHERE n.rollout_id = ?1"

int assignments_superseded_rollouts(struct db *db, int64_t rollout_id, int64_t device_id, int64_t *ids, unsigned max,
				    struct error *err)
{
	struct query q = query_open(db, device_id == 0 ? SUPERSEDED_ROLLOUTS " LIMIT ?2"
						       : SUPERSEDED_ROLLOUTS " AND n.device_id = ?3 LIMIT ?2");
	unsigned n = 0;
	int r = 0;

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, max);
	if (device_id != 0)
		query_int(&q, 3, device_id);
	while (n < max && (r = query_next(&q, err)) > 0)
		ids[n++] = query_col_int(&q, 0);
	query_close(&q);
	return r < 0 ? -1 : (int)n;
}

int assignments_acknowledge(struct db *db, int64_t rollout_id, struct error *err)
{
	return run_with_id(db, "UPDATE assignments SET acknowledged = 1 WHERE rollout_id = ?1 AND state IN " SETTLED,
			   rollout_id, err);
}

int assignments_cancel(struct db *db, int64_t rollout_id, const char *reason, int64_t now_s, int64_t *count,
		       struct error *err)
{
	if (run_bulk(db, "UPDATE assignments SET state = 'cancelled', current = 0, reason = ?2, updated_s = ?3"
			 " WHERE rollout_id = ?1 AND state IN ('planned','assigned','downloading')",
		     rollout_id, reason, now_s, -1, count, err) < 0)
		return -1;
	return run_with_id(db, "UPDATE assignments AS p SET current = 1 WHERE p.state = 'healthy'"
			       " AND p.action = 'install' AND p.id IN"
			       " (SELECT previous_id FROM assignments WHERE rollout_id = ?1 AND state = 'cancelled')"
			       " AND NOT EXISTS (SELECT 1 FROM assignments c WHERE c.current = 1 AND"
			       "  c.device_id = p.device_id AND c.artifact_name = p.artifact_name)", rollout_id, err);
}

int assignments_revert(struct db *db, int64_t rollout_id, const char *reason, int64_t now_s, int64_t *count,
		       struct error *err)
{
	if (run_bulk(db, "UPDATE assignments SET state = 'cancelled', reason = ?2, updated_s = ?3"
			 " WHERE rollout_id = ?1 AND state = 'planned'", rollout_id, reason, now_s, -1, NULL, err) < 0)
		return -1;
	return run_bulk(db, "UPDATE assignments SET action = 'revert', reason = ?2, updated_s = ?3"
			    " WHERE rollout_id = ?1 AND current = 1", rollout_id, reason, now_s, -1, count, err);
}

int assignments_drop_device(struct db *db, int64_t device_id, const char *reason, int64_t now_s, int64_t *rollouts,
			    unsigned max, struct error *err)
{
	struct query q = query_open(db, "UPDATE assignments SET current = 0, reason = CASE WHEN state IN " UNSETTLED
					" THEN ?2 ELSE reason END, updated_s = ?3, state = CASE WHEN state IN " UNSETTLED
					" THEN 'cancelled' ELSE state END"
					" WHERE device_id = ?1 AND (current = 1 OR state IN " UNSETTLED ")");
	unsigned n = 0;
	int r = 0;

	query_int(&q, 1, device_id);
	query_str(&q, 2, reason);
	query_int(&q, 3, now_s);
	if (query_run(&q, err) < 0)
		return -1;
	q = query_open(db, "SELECT DISTINCT r.id FROM assignments a JOIN rollouts r ON r.id = a.rollout_id"
			   " WHERE a.device_id = ?1 AND r.state = 'running' LIMIT ?2");
	query_int(&q, 1, device_id);
	query_int(&q, 2, max);
	while (n < max && (r = query_next(&q, err)) > 0)
		rollouts[n++] = query_col_int(&q, 0);
	query_close(&q);
	return r < 0 ? -1 : (int)n;
}

/* ---- counts ---- */

static void count_row(struct query *q, struct assignment_counts *out)
{
	enum assignment_state state = assignment_state_by_name(query_col_slice(q, 0));
	bool acknowledged = query_col_int(q, 1) != 0;
	int64_t n = query_col_int(q, 2);
	bool bad = state == ASSIGNMENT_FAILED || state == ASSIGNMENT_ROLLED_BACK;

	if (state == ASSIGNMENT_STATES)
		return;
	out->in[state] += n;
	if (bad && acknowledged)
		out->acknowledged_bad += n;
	if (assignment_is_settled(state) && !acknowledged)
		out->sample += n;
	if (bad && !acknowledged)
		out->sample_bad += n;
}

/* Only the outcomes inside the window are judged. */
static int count_window(struct db *db, int64_t rollout_id, int wave, int64_t since_s, struct assignment_counts *out,
			struct error *err)
{
	struct query q = query_open(db, "SELECT count(*), coalesce(sum(state IN " BAD "), 0) FROM assignments"
					" WHERE rollout_id = ?1 AND settled_s >= ?3 AND wave <= ?2 AND acknowledged = 0"
					" AND state IN " SETTLED);
	int r;

	query_int(&q, 1, rollout_id);
	query_int(&q, 2, wave);
	query_int(&q, 3, since_s);
	r = query_need(&q, "count", err);
	if (r == 0) {
		out->sample = query_col_int(&q, 0);
		out->sample_bad = query_col_int(&q, 1);
	}
	query_close(&q);
	return r;
}

int assignments_count(struct db *db, int64_t rollout_id, int wave, int64_t since_s, struct assignment_counts *out,
		      struct error *err)
{
	struct query q = query_open(db, "SELECT state, acknowledged, n FROM assignment_counts"
					" WHERE rollout_id = ?1 AND wave <= ?2 AND n > 0");
	int r;

	*out = (struct assignment_counts){.sample = 0};
	query_int(&q, 1, rollout_id);
	query_int(&q, 2, wave);
	while ((r = query_next(&q, err)) > 0)
		count_row(&q, out);
	query_close(&q);
	if (r == 0 && since_s > 0)
		r = count_window(db, rollout_id, wave, since_s, out, err);
	return r;
}

int assignments_clash(struct db *db, int64_t rollout_id, int64_t *other, struct error *err)
{
	struct query q = query_open(db, "SELECT o.rollout_id FROM assignments n JOIN assignments o ON"
					" o.device_id = n.device_id AND o.artifact_name = n.artifact_name"
					" AND o.rollout_id <> n.rollout_id AND o.state = 'planned'"
					" JOIN rollouts r ON r.id = o.rollout_id AND r.state IN ('running','paused','halted')"
					" WHERE n.rollout_id = ?1 LIMIT 1");
	int r;

	query_int(&q, 1, rollout_id);
	r = query_next(&q, err);
	*other = r > 0 ? query_col_int(&q, 0) : 0;
	query_close(&q);
	return r < 0 ? -1 : 0;
}

/* Rows are never removed and their positions count from 0, so that their number, which is kept, gives the last. */
int assignments_last_position(struct db *db, int64_t rollout_id, int64_t *out, struct error *err)
{
	struct query q = query_open(db, "SELECT coalesce(sum(n), 0) - 1 FROM assignment_counts WHERE rollout_id = ?1");
	int r;

	query_int(&q, 1, rollout_id);
	r = query_need(&q, "position", err);
	if (r == 0)
		*out = query_col_int(&q, 0);
	query_close(&q);
	return r;
}
