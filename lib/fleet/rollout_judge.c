/* What rollouts do by themselves: judging, opening waves, taking in devices and their reports. */
#include "fleet/rollout_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/audit.h"

#define OTHERS_MAX 64	/* rollouts that one change may touch */

int rollout_load_strategy(struct db *db, int64_t id, struct strategy *s, struct error *err)
{
	struct buf text = BUF_INIT(STRATEGY_TEXT_MAX);
	int r = rollout_strategy(db, id, &text, err);

	if (r == 0)
		r = strategy_parse_text(s, buf_slice(&text), err);
	buf_release(&text);
	return r;
}

int rollout_load_tally(struct db *db, const struct rollout *r, const struct strategy *s, int64_t now_s,
		       struct tally *t, struct error *err)
{
	int64_t since_s = s->window_s > 0 && now_s > s->window_s ? now_s - s->window_s : 0;
	struct assignment_counts c;
	unsigned i;

	if (assignments_count(db, r->id, r->wave, since_s, &c, err) < 0)
		return -1;
	*t = (struct tally){
		.healthy = c.in[ASSIGNMENT_HEALTHY],
		.bad = c.in[ASSIGNMENT_FAILED] + c.in[ASSIGNMENT_ROLLED_BACK],
		.acknowledged_bad = c.acknowledged_bad,
		.sample = c.sample,
		.sample_bad = c.sample_bad,
		.last = r->wave + 1 >= (int)s->wave_count,
	};
	for (i = 0; i < ASSIGNMENT_STATES; i++)
		if (i != ASSIGNMENT_CANCELLED && i != ASSIGNMENT_SUPERSEDED)
			t->size += c.in[i];
	return 0;
}

static int note(struct db *db, int64_t id, const char *action, const char *verdict, struct slice detail,
		int64_t now_s, struct error *err)
{
	char object[48];
	const struct audit_entry e = {
		.time_s = now_s,
		.actor = ROLLOUT_SELF,
		.action = action,
		.object = object,
		.verdict = verdict,
		.detail = detail,
	};

	snprintf(object, sizeof(object), "rollout:%lld", (long long)id);
	return audit_append(db, &e, err);
}

/* A step of the rollout itself, in the audit trail. devices < 0: none to tell. */
static int note_step(struct db *db, int64_t id, const char *action, const char *verdict, const char *reason,
		     int wave, int64_t devices, int64_t now_s, struct error *err)
{
	struct buf detail = BUF_INIT(1024);
	struct json_writer w = JSON_WRITER(&detail);
	int r;

	json_open_object(&w, NULL);
	json_put_string(&w, "reason", reason);
	json_put_int(&w, "wave", wave + 1);
	if (devices >= 0)
		json_put_int(&w, "devices", devices);
	json_close(&w);
	r = note(db, id, action, verdict, buf_slice(&detail), now_s, err);
	buf_release(&detail);
	return r;
}

int rollout_judge_superseded(struct db *db, int64_t id, int64_t device_id, int64_t now_s, struct error *err)
{
	int64_t others[OTHERS_MAX];
	int i, n = assignments_superseded_rollouts(db, id, device_id, others, OTHERS_MAX, err);

	for (i = 0; i < n; i++)
		if (rollout_evaluate(db, others[i], now_s, err) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

static int wait_for_approval(struct db *db, const struct rollout *r, const struct wave *next, int64_t now_s,
			     struct error *err)
{
	char reason[ROLLOUT_REASON_MAX];

	if (next->state == WAVE_WAITING)
		return 0;
	snprintf(reason, sizeof(reason), "wave %d (%u %%) waits for approval", next->wave + 1, next->percent);
	if (wave_set_state(db, r->id, next->wave, WAVE_WAITING, now_s, err) < 0 ||
	    rollout_set_state(db, r->id, ROLLOUT_RUNNING, reason, now_s, err) < 0)
		return -1;
	return note_step(db, r->id, "rollout.wait", "noted", reason, next->wave, -1, now_s, err);
}

int rollout_open_next(struct db *db, struct rollout *r, int64_t now_s, bool *opened, struct error *err)
{
	char reason[ROLLOUT_REASON_MAX];
	struct wave next;
	int64_t count;

	*opened = false;
	if (wave_find(db, r->id, r->wave + 1, &next, err) < 0)
		return -1;
	if (next.manual && next.approved_by[0] == '\0')
		return wait_for_approval(db, r, &next, now_s, err);
	snprintf(reason, sizeof(reason), "wave %d (%u %%) of rollout %lld", next.wave + 1, next.percent,
		 (long long)r->id);
	if (assignments_open(db, r->id, next.wave, reason, now_s, &count, err) < 0 ||
	    wave_set_state(db, r->id, next.wave, WAVE_OPEN, now_s, err) < 0 ||
	    rollout_set_wave(db, r->id, next.wave, now_s, err) < 0 ||
	    note_step(db, r->id, "rollout.wave", "ok", reason, next.wave, count, now_s, err) < 0)
		return -1;
	r->wave = next.wave;
	*opened = true;
	return rollout_judge_superseded(db, r->id, 0, now_s, err);
}

/* Leave RUNNING for good or until somebody looks. */
static int stop_running(struct db *db, const struct rollout *r, enum rollout_state state, const char *why,
			int64_t now_s, struct error *err)
{
	bool halted = state == ROLLOUT_HALTED;
	char reason[ROLLOUT_REASON_MAX];

	snprintf(reason, sizeof(reason), "%s in wave %d: %s", rollout_state_name(state), r->wave + 1, why);
	if (!halted && wave_set_state(db, r->id, r->wave, WAVE_COMPLETE, now_s, err) < 0)
		return -1;
	if (rollout_set_state(db, r->id, state, reason, now_s, err) < 0)
		return -1;
	return note_step(db, r->id, halted ? "rollout.halt" : "rollout.complete", halted ? "failed" : "ok", reason,
			     r->wave, -1, now_s, err);
}

/* One judgement and its consequence. *again: a wave was opened, which may be complete at once. */
static int evaluate_once(struct db *db, struct rollout *r, const struct strategy *s, int64_t now_s, bool *again,
			 struct error *err)
{
	struct tally t;
	char why[160];

	*again = false;
	if (r->wave < 0)
		return rollout_open_next(db, r, now_s, again, err);
	if (rollout_load_tally(db, r, s, now_s, &t, err) < 0)
		return -1;
	switch (strategy_judge(s, &t, why)) {
	case VERDICT_WAIT:
		return 0;
	case VERDICT_HALT:
		return stop_running(db, r, ROLLOUT_HALTED, why, now_s, err);
	case VERDICT_DONE:
		return stop_running(db, r, ROLLOUT_COMPLETED, why, now_s, err);
	case VERDICT_NEXT:
		break;
	}
	if (wave_set_state(db, r->id, r->wave, WAVE_COMPLETE, now_s, err) < 0)
		return -1;
	return rollout_open_next(db, r, now_s, again, err);
}

int rollout_evaluate(struct db *db, int64_t id, int64_t now_s, struct error *err)
{
	struct strategy s;
	struct rollout r;
	bool again = true;

	if (rollout_find(db, id, &r, err) < 0)
		return -1;
	if (r.state != ROLLOUT_RUNNING)
		return 0;
	if (rollout_load_strategy(db, id, &s, err) < 0)
		return -1;
	while (again)
		if (evaluate_once(db, &r, &s, now_s, &again, err) < 0)
			return -1;
	return 0;
}

/* ---- devices that come and go ---- */

static int note_joined(struct db *db, const struct rollout *r, const struct device *d, int wave, int64_t now_s,
		       struct error *err)
{
	struct buf detail = BUF_INIT(1024);
	struct json_writer w = JSON_WRITER(&detail);
	int result;

	json_open_object(&w, NULL);
	json_put_string(&w, "device", d->name);
	json_put_int(&w, "wave", wave + 1);
	json_put_string(&w, "reason", "matches the selector now");
	json_close(&w);
	result = note(db, r->id, "rollout.join", "ok", buf_slice(&detail), now_s, err);
	buf_release(&detail);
	return result;
}

/* Into the last open wave; while the rollout is stopped, or before its first wave, only planned. */
static int join(struct db *db, const struct rollout *r, const struct device *d, int64_t now_s, struct error *err)
{
	int wave = r->wave < 0 ? 0 : r->wave;
	int64_t last;
	bool renewed;

	if (assignments_last_position(db, r->id, &last, err) < 0 ||
	    assignment_renew(db, r->id, d->id, wave, now_s, &renewed, err) < 0)
		return -1;
	if (!renewed && assignment_add(db, r->id, d->id, last + 1, wave, now_s, err) < 0)
		return -1;
	if (r->wave >= 0 && (r->state == ROLLOUT_RUNNING || r->state == ROLLOUT_COMPLETED) &&
	    (assignments_open_device(db, r->id, r->wave, d->id, "joined late", now_s, err) < 0 ||
	     rollout_judge_superseded(db, r->id, d->id, now_s, err) < 0))
		return -1;
	return note_joined(db, r, d, wave, now_s, err);
}

/* The rollouts that a device may join, as read before anything is changed. */
struct candidates {
	struct rollout *list;
	size_t count, room;
};

static int collect_candidates(struct candidates *c, struct db *db, const struct device *d,
			      const struct selector_subject *subject, struct error *err)
{
	struct rollout_walk w;
	int r;

	rollout_walk_joinable(&w, db, d->id);
	while ((r = rollout_walk_next(&w, err)) > 0) {
		struct selector *s = selector_parse_text(w.selector, err);

		if (s == NULL) {
			r = -1;
			break;
		}
		if (selector_matches(s, subject)) {
			if (c->count == c->room) {
				c->room = c->room == 0 ? 8 : c->room * 2;
				c->list = xreallocarray(c->list, c->room, sizeof(*c->list));
			}
			c->list[c->count++] = w.rollout;
		}
		selector_free(s);
	}
	rollout_walk_close(&w);
	return r;
}

/* Newest first: one artifact name is settled by the first rollout that has an open wave and runs. */
static int join_candidates(struct db *db, const struct candidates *c, const struct device *d, int64_t now_s,
			   struct error *err)
{
	size_t i, k;

	for (i = 0; i < c->count; i++) {
		const struct rollout *r = &c->list[i];

		for (k = 0; k < i; k++)
			if (strcmp(c->list[k].artifact_name, r->artifact_name) == 0 && c->list[k].wave >= 0)
				break;
		if (k == i && join(db, r, d, now_s, err) < 0)
			return -1;
	}
	return 0;
}

int rollouts_adopt(struct db *db, int64_t device_id, int64_t now_s, struct error *err)
{
	struct buf profile = BUF_INIT(DEVICE_PROFILE_MAX), tags = BUF_INIT(DEVICE_TAGS_MAX * (NAME_LEN_MAX + 1));
	struct json doc = JSON_INIT;
	struct candidates c = {.count = 0};
	struct selector_subject subject;
	struct device d;
	int r = -1;

	if (device_find_id(db, device_id, &d, err) < 0 || device_profile(db, device_id, &profile, err) < 0 ||
	    device_tags(db, device_id, &tags, err) < 0 ||
	    json_parse(&doc, buf_slice(&profile), JSON_STRICT, err) < 0)
		goto out;
	subject = (struct selector_subject){
		.name = slice_str(d.name),
		.tags = buf_slice(&tags),
		.profile = json_root(&doc),
	};
	if (collect_candidates(&c, db, &d, &subject, err) < 0)
		goto out;
	r = join_candidates(db, &c, &d, now_s, err);
out:
	free(c.list);
	json_release(&doc);
	buf_release(&tags);
	buf_release(&profile);
	return r;
}

int rollouts_drop_device(struct db *db, int64_t device_id, const char *reason, int64_t now_s, struct error *err)
{
	int64_t rollouts[OTHERS_MAX];
	int i, n = assignments_drop_device(db, device_id, reason, now_s, rollouts, OTHERS_MAX, err);

	for (i = 0; i < n; i++)
		if (rollout_evaluate(db, rollouts[i], now_s, err) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

/* ---- reports ---- */

/* May `a` be what its device has of this name: nothing newer is. */
static int is_newest(struct db *db, const struct assignment *a, bool *yes, struct error *err)
{
	struct assignment other;
	int64_t id;

	if (assignment_current(db, a->device_id, a->artifact_name, &id, err) < 0)
		return -1;
	*yes = id == 0 || id == a->id;
	if (*yes)
		return 0;
	if (assignment_find(db, id, &other, err) < 0)
		return -1;
	*yes = other.rollout_id < a->rollout_id;
	return 0;
}

/* What was not wanted any more came to its end all the same: it is what the device has, unless newer is on the way. */
static int reported_late(struct db *db, const struct assignment *a, enum assignment_state state, struct slice reason,
			 int64_t now_s, struct error *err)
{
	bool newest;

	if (state != ASSIGNMENT_HEALTHY)
		return 0;
	if (is_newest(db, a, &newest, err) < 0)
		return -1;
	if (!newest)
		return 0;
	if (assignment_set_state(db, a->id, state, reason, now_s, err) < 0)
		return -1;
	return assignment_make_current(db, a->id, err);
}

int rollout_reported(struct db *db, const struct device *d, int64_t assignment_id, enum assignment_state state,
		     struct slice reason, int64_t now_s, struct error *err)
{
	bool bad = state == ASSIGNMENT_FAILED || state == ASSIGNMENT_ROLLED_BACK, newest;
	struct assignment a;

	assert(assignment_is_reportable(state));
	if (assignment_find(db, assignment_id, &a, err) < 0)
		return -1;
	if (a.device_id != d->id)
		return error_set(err, ERR_REFUSED, "assignment %lld is not of device '%s'", (long long)assignment_id,
				 d->name);
	if (a.state == ASSIGNMENT_CANCELLED || a.state == ASSIGNMENT_SUPERSEDED || a.state == ASSIGNMENT_PLANNED)
		return reported_late(db, &a, state, reason, now_s, err);
	if (assignment_set_state(db, a.id, state, reason, now_s, err) < 0)
		return -1;
	if (bad && a.current) {
		if (assignment_fall_back(db, a.id, err) < 0)
			return -1;
	} else if (!bad && !a.current) {
		if (is_newest(db, &a, &newest, err) < 0 || (newest && assignment_make_current(db, a.id, err) < 0))
			return -1;
	}
	return assignment_is_settled(state) ? rollout_evaluate(db, a.rollout_id, now_s, err) : 0;
}
