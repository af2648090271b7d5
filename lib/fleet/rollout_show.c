/* Rollouts and desired states as JSON, for the API. */
#include "fleet/rollout_internal.h"

#include <limits.h>

#include "base/timefmt.h"

static void put_time(struct json_writer *w, const char *name, int64_t t_s)
{
	char text[TIME_TEXT_LEN];

	if (t_s == 0)
		json_put_null(w, name);
	else
		json_put_string(w, name, time_text(text, t_s));
}

static void put_counts(struct json_writer *w, const struct assignment_counts *c)
{
	int64_t total = 0;
	unsigned i;

	json_open_object(w, "devices");
	for (i = 0; i < ASSIGNMENT_STATES; i++) {
		total += c->in[i];
		if (c->in[i] > 0)
			json_put_int(w, assignment_state_name((enum assignment_state)i), c->in[i]);
	}
	json_put_int(w, "total", total);
	json_close(w);
}

static int put_head(struct db *db, const struct rollout *r, struct json_writer *w, struct error *err)
{
	struct assignment_counts c;

	if (assignments_count(db, r->id, INT_MAX, 0, &c, err) < 0)
		return -1;
	json_put_int(w, "id", r->id);
	json_put_string(w, "artifact", r->artifact);
	json_put_string(w, "kind", r->kind);
	json_put_string(w, "state", rollout_state_name(r->state));
	json_put_int(w, "wave", r->wave + 1);
	json_put_string(w, "reason", r->reason);
	json_put_string(w, "created_by", r->created_by);
	put_time(w, "created", r->created_s);
	put_time(w, "updated", r->updated_s);
	put_counts(w, &c);
	return 0;
}

/* What one wave adds: the counts up to it less those up to the one before. */
static int put_wave(struct db *db, int64_t id, int i, struct json_writer *w, struct error *err)
{
	struct assignment_counts upto, before = {.sample = 0};
	struct wave wave;
	unsigned k;

	if (wave_find(db, id, i, &wave, err) < 0 || assignments_count(db, id, i, 0, &upto, err) < 0 ||
	    (i > 0 && assignments_count(db, id, i - 1, 0, &before, err) < 0))
		return -1;
	for (k = 0; k < ASSIGNMENT_STATES; k++)
		upto.in[k] -= before.in[k];
	json_open_object(w, NULL);
	json_put_int(w, "wave", i + 1);
	json_put_int(w, "percent", wave.percent);
	json_put_string(w, "approval", wave.manual ? "manual" : "auto");
	json_put_string(w, "state", wave_state_name(wave.state));
	json_put_string(w, "approved_by", wave.approved_by[0] == '\0' ? NULL : wave.approved_by);
	put_time(w, "opened", wave.opened_s);
	put_time(w, "completed", wave.completed_s);
	put_counts(w, &upto);
	json_close(w);
	return 0;
}

static int put_assignments(struct db *db, int64_t id, struct json_writer *w, struct error *err)
{
	struct assignment_walk walk;
	int r;

	json_open_array(w, "assignments");
	assignment_walk_rollout(&walk, db, id);
	while ((r = assignment_walk_next(&walk, err)) > 0) {
		const struct assignment *a = &walk.assignment;

		json_open_object(w, NULL);
		json_put_int(w, "assignment", a->id);
		json_put_slice(w, "device", walk.device);
		json_put_int(w, "wave", a->wave + 1);
		json_put_string(w, "action", a->revert ? "revert" : "install");
		json_put_string(w, "state", assignment_state_name(a->state));
		json_put_string(w, "reason", a->reason);
		put_time(w, "updated", a->updated_s);
		json_close(w);
	}
	assignment_walk_close(&walk);
	json_close(w);
	return r;
}

static int put_plan(struct db *db, int64_t id, const struct strategy *s, struct json_writer *w, struct error *err)
{
	struct buf selector = BUF_INIT(SELECTOR_TEXT_MAX);
	unsigned i;
	int r = rollout_selector(db, id, &selector, err);

	if (r == 0) {
		json_put_raw(w, "selector", buf_slice(&selector));
		strategy_put(w, "strategy", s);
		json_open_array(w, "waves");
		for (i = 0; r == 0 && i < s->wave_count; i++)
			r = put_wave(db, id, (int)i, w, err);
		json_close(w);
	}
	buf_release(&selector);
	return r;
}

int rollout_put(struct db *db, int64_t id, bool with_devices, struct json_writer *w, struct error *err)
{
	struct strategy s;
	struct rollout r;

	if (rollout_find(db, id, &r, err) < 0 || rollout_load_strategy(db, id, &s, err) < 0)
		return -1;
	json_open_object(w, NULL);
	if (put_head(db, &r, w, err) < 0 || put_plan(db, id, &s, w, err) < 0 ||
	    (with_devices && put_assignments(db, id, w, err) < 0))
		return -1;
	json_close(w);
	return 0;
}

int rollouts_put(struct db *db, const char *state, const char *name, struct json_writer *w, struct error *err)
{
	struct rollout_walk walk;
	int r;

	json_open_array(w, name);
	rollout_walk_open(&walk, db, state);
	while ((r = rollout_walk_next(&walk, err)) > 0) {
		json_open_object(w, NULL);
		if ((r = put_head(db, &walk.rollout, w, err)) < 0)
			break;
		json_close(w);
	}
	rollout_walk_close(&walk);
	json_close(w);
	return r;
}

int desired_put(struct db *db, int64_t device_id, const char *name, struct json_writer *w, struct error *err)
{
	struct assignment_walk walk;
	int r;

	json_open_array(w, name);
	assignment_walk_desired(&walk, db, device_id);
	while ((r = assignment_walk_next(&walk, err)) > 0) {
		const struct assignment *a = &walk.assignment;

		json_open_object(w, NULL);
		json_put_int(w, "assignment", a->id);
		json_put_string(w, "action", a->revert ? "revert" : "install");
		json_put_string(w, "path", a->artifact);
		json_put_string(w, "kind", a->kind);
		json_close(w);
	}
	assignment_walk_close(&walk);
	json_close(w);
	return r;
}
