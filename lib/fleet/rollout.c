/* What operators do with rollouts: create, pause, resume, abort, approve. */
#include "fleet/rollout_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "crypto/hash.h"

#define SELECTOR_NOTE_MAX 2048	/* a longer one is named by its hash in the audit trail */

/* ---- creating ---- */

/* One device of a cohort in the making. */
struct member {
	uint8_t hash[SHA256_LEN];
	int64_t device_id;
};

struct cohort {
	struct member *members;
	size_t count, room;
};

static int compare_members(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int r = memcmp(x->hash, y->hash, SHA256_LEN);

	return r != 0 ? r : (x->device_id > y->device_id) - (x->device_id < y->device_id);
}

static void cohort_add(struct cohort *c, int64_t rollout_id, const struct device *d)
{
	char text[NAME_LEN_MAX + 32];

	if (c->count == c->room) {
		c->room = c->room == 0 ? 64 : c->room * 2;
		c->members = xreallocarray(c->members, c->room, sizeof(*c->members));
	}
	snprintf(text, sizeof(text), "%lld/%s", (long long)rollout_id, d->name);
	sha256_of(slice_str(text), c->members[c->count].hash);
	c->members[c->count++].device_id = d->id;
}

/* Every device that may take part and matches, in the order of the cohort. */
static int cohort_collect(struct cohort *c, struct db *db, int64_t rollout_id, const struct selector *s,
			  struct error *err)
{
	struct device_walk w;
	int r;

	device_walk_open(&w, db, NULL, NULL, SLICE_EMPTY, 0);
	while ((r = device_walk_next(&w, err)) > 0) {
		struct selector_subject d = {.name = slice_str(w.device.name), .tags = w.tags};
		struct json profile = JSON_INIT;

		if (w.device.state != DEVICE_ENROLLED && w.device.state != DEVICE_ACTIVE)
			continue;
		if ((r = json_parse(&profile, w.profile, JSON_STRICT, err)) < 0) {
			error_wrap(err, "profile of device '%s'", w.device.name);
			break;
		}
		d.profile = json_root(&profile);
		if (selector_matches(s, &d))
			cohort_add(c, rollout_id, &w.device);
		json_release(&profile);
	}
	device_walk_close(&w);
	if (r == 0 && c->count > 0)
		qsort(c->members, c->count, sizeof(*c->members), compare_members);
	return r;
}

/* Give each member its wave: the first whose share reaches its place. */
static int cohort_store(const struct cohort *c, struct db *db, int64_t rollout_id, const struct strategy *strategy,
			int64_t now_s, struct error *err)
{
	unsigned wave = 0;
	size_t i;

	for (i = 0; i < c->count; i++) {
		while ((int64_t)i >= strategy_wave_size(strategy, wave, (int64_t)c->count))
			wave++;
		if (assignment_add(db, rollout_id, c->members[i].device_id, (int64_t)i, (int)wave, now_s, err) < 0)
			return -1;
	}
	return 0;
}

static int store_waves(struct db *db, int64_t id, const struct strategy *s, struct error *err)
{
	unsigned i;

	for (i = 0; i < s->wave_count; i++) {
		struct wave w = {.wave = (int)i, .percent = s->waves[i].percent, .manual = s->waves[i].manual};

		if (wave_add(db, id, &w, err) < 0)
			return -1;
	}
	return 0;
}

static int check_clash(struct db *db, int64_t id, struct error *err)
{
	int64_t other;

	if (assignments_clash(db, id, &other, err) < 0)
		return -1;
	if (other == 0)
		return 0;
	error_set(err, ERR_CONFLICT, "rollout %lld of the same artifact still has waves to open on some of these devices",
		  (long long)other);
	return error_hint(err, "let it come to its last wave, or end it with 'meshanics rollout abort %lld --keep'",
			  (long long)other);
}

/* A name that nobody has is more likely a slip than a device to come. */
static int check_named_devices(struct db *db, const struct selector *s, struct error *err)
{
	struct device d;
	const char *name;
	unsigned i;

	for (i = 0; (name = selector_device(s, i)) != NULL; i++)
		if (device_find(db, slice_str(name), &d, err) < 0)
			return err->kind == ERR_NOT_FOUND
				       ? error_hint(err, "--allow-empty takes names of devices that are still to come")
				       : -1;
	return 0;
}

/* The rows of a rollout, from what has been read of its specification. */
static int create_rows(struct db *db, const struct rollout_spec *spec, const struct selector *selector,
		       const struct strategy *strategy, struct slice strategy_text, const struct rollout_actor *who,
		       int64_t *id, size_t *devices, struct error *err)
{
	struct rollout row = {.created_s = who->now_s};
	struct cohort cohort = {.count = 0};
	size_t slash = slice_find(spec->artifact, '/', slice_find(spec->artifact, '/', 0) + 1);
	int r = -1;

	snprintf(row.artifact, sizeof(row.artifact), "%.*s", SLICE_ARG(spec->artifact));
	snprintf(row.artifact_name, sizeof(row.artifact_name), "%.*s", (int)slash, (const char *)spec->artifact.ptr);
	snprintf(row.kind, sizeof(row.kind), "%.*s", SLICE_ARG(spec->kind));
	snprintf(row.created_by, sizeof(row.created_by), "%s", who->name);
	snprintf(row.reason, sizeof(row.reason), "created");
	if (!spec->allow_empty && check_named_devices(db, selector, err) < 0)
		goto out;
	if (rollout_add(db, &row, spec->selector, strategy_text, id, err) < 0 ||
	    store_waves(db, *id, strategy, err) < 0 || cohort_collect(&cohort, db, *id, selector, err) < 0)
		goto out;
	if (cohort.count == 0 && !spec->allow_empty) {
		error_set(err, ERR_CONFLICT, "no device matches the selector");
		error_hint(err, "'meshanics device list' shows what there is; --allow-empty waits for devices to come");
		goto out;
	}
	if (cohort_store(&cohort, db, *id, strategy, who->now_s, err) < 0 || check_clash(db, *id, err) < 0)
		goto out;
	*devices = cohort.count;
	r = 0;
out:
	free(cohort.members);
	return r;
}

static void note_created(const struct rollout_spec *spec, struct slice strategy_text, size_t devices,
			 const struct rollout_actor *who)
{
	struct json_writer w = JSON_WRITER(who->detail);
	uint8_t hash[SHA256_LEN];

	if (who->detail == NULL)
		return;
	json_open_object(&w, NULL);
	json_put_slice(&w, "artifact", spec->artifact);
	json_put_int(&w, "devices", (int64_t)devices);
	if (spec->selector.len <= SELECTOR_NOTE_MAX) {
		json_put_raw(&w, "selector", spec->selector);
	} else {
		sha256_of(spec->selector, hash);
		json_put_hex(&w, "selector_sha256", hash, SHA256_LEN);
	}
	/* As text: audit details are canonical JSON, which has no fractions. */
	json_put_slice(&w, "strategy", strategy_text);
	json_close(&w);
}

static int check_spec(const struct rollout_spec *spec, struct error *err)
{
	if (target_path_check(spec->artifact, err) < 0)
		return -1;
	return name_check(spec->kind, "kind", err);
}

int rollout_create(struct db *db, const struct rollout_spec *spec, const struct rollout_actor *who, int64_t *id,
		   struct error *err)
{
	struct buf text = BUF_INIT(STRATEGY_TEXT_MAX);
	struct json_writer w = JSON_WRITER(&text);
	struct selector *selector = NULL;
	struct strategy strategy;
	size_t devices = 0;
	int r = -1;

	if (check_spec(spec, err) < 0 || strategy_parse_text(&strategy, spec->strategy, err) < 0)
		goto out;
	strategy_put(&w, NULL, &strategy);
	selector = selector_parse_text(spec->selector, err);
	if (selector == NULL)
		goto out;
	if (create_rows(db, spec, selector, &strategy, buf_slice(&text), who, id, &devices, err) < 0)
		goto out;
	note_created(spec, buf_slice(&text), devices, who);
	r = rollout_evaluate(db, *id, who->now_s, err);
out:
	selector_free(selector);
	buf_release(&text);
	return r;
}

/* ---- stopping and going on ---- */

static bool state_is_one_of(enum rollout_state state, unsigned set)
{
	return (set >> state & 1) != 0;
}

/* The rollout, in one of these states (a set of 1 << enum rollout_state). */
static int find_in_state(struct db *db, int64_t id, unsigned set, const char *verb, struct rollout *r,
			 struct error *err)
{
	if (rollout_find(db, id, r, err) < 0)
		return -1;
	if (!state_is_one_of(r->state, set))
		return error_set(err, ERR_CONFLICT, "cannot %s rollout %lld: it is %s", verb, (long long)id,
				 rollout_state_name(r->state));
	return 0;
}

/* "paused by operator:alice: why". */
static const char *reason_text(char out[static ROLLOUT_REASON_MAX], const char *what, const struct rollout_actor *who)
{
	char note[ROLLOUT_NOTE_MAX + 1];

	printable(note, sizeof(note), who->note);
	snprintf(out, ROLLOUT_REASON_MAX, "%s by %s%s%s", what, who->name, note[0] == '\0' ? "" : ": ", note);
	return out;
}

static int check_note(const struct rollout_actor *who, struct error *err)
{
	if (who->note.len > ROLLOUT_NOTE_MAX)
		return error_set(err, ERR_LIMIT, "a reason has at most %d bytes", ROLLOUT_NOTE_MAX);
	return 0;
}

/* {"reason": ..., key: value} for the audit record. */
static void note_step(const struct rollout_actor *who, const char *reason, const char *key, const char *value)
{
	struct json_writer w = JSON_WRITER(who->detail);

	if (who->detail == NULL)
		return;
	json_open_object(&w, NULL);
	json_put_string(&w, "reason", reason);
	if (key != NULL)
		json_put_string(&w, key, value);
	json_close(&w);
}

int rollout_pause(struct db *db, int64_t id, const struct rollout_actor *who, struct error *err)
{
	char reason[ROLLOUT_REASON_MAX];
	struct rollout r;

	if (check_note(who, err) < 0 || find_in_state(db, id, 1u << ROLLOUT_RUNNING, "pause", &r, err) < 0)
		return -1;
	reason_text(reason, "paused", who);
	note_step(who, reason, NULL, NULL);
	return rollout_set_state(db, id, ROLLOUT_PAUSED, reason, who->now_s, err);
}

int rollout_resume(struct db *db, int64_t id, const struct rollout_actor *who, struct error *err)
{
	char reason[ROLLOUT_REASON_MAX];
	struct rollout r;
	int64_t joined;

	if (check_note(who, err) < 0 ||
	    find_in_state(db, id, 1u << ROLLOUT_PAUSED | 1u << ROLLOUT_HALTED, "resume", &r, err) < 0)
		return -1;
	reason_text(reason, "resumed", who);
	if (assignments_acknowledge(db, id, err) < 0 ||
	    rollout_set_state(db, id, ROLLOUT_RUNNING, reason, who->now_s, err) < 0)
		return -1;
	note_step(who, reason, "was", rollout_state_name(r.state));
	/* Devices that came meanwhile were only planned. */
	if (r.wave >= 0 && (assignments_open(db, id, r.wave, reason, who->now_s, &joined, err) < 0 ||
			    rollout_judge_superseded(db, id, 0, who->now_s, err) < 0))
		return -1;
	return rollout_evaluate(db, id, who->now_s, err);
}

int rollout_abort(struct db *db, int64_t id, enum abort_mode mode, const struct rollout_actor *who, struct error *err)
{
	unsigned set = 1u << ROLLOUT_RUNNING | 1u << ROLLOUT_PAUSED | 1u << ROLLOUT_HALTED;
	char reason[ROLLOUT_REASON_MAX];
	struct rollout r;
	int64_t count;

	if (mode == ABORT_REVERT)
		set |= 1u << ROLLOUT_COMPLETED;
	if (check_note(who, err) < 0 || find_in_state(db, id, set, "abort", &r, err) < 0)
		return -1;
	reason_text(reason, mode == ABORT_REVERT ? "aborted and reverted" : "aborted", who);
	if ((mode == ABORT_REVERT ? assignments_revert(db, id, reason, who->now_s, &count, err)
				  : assignments_cancel(db, id, reason, who->now_s, &count, err)) < 0 ||
	    rollout_set_state(db, id, ROLLOUT_ABORTED, reason, who->now_s, err) < 0)
		return -1;
	note_step(who, reason, "mode", mode == ABORT_REVERT ? "revert" : "keep");
	return 0;
}

/* ---- approving ---- */

static int check_approvable(struct db *db, const struct rollout *r, bool early, struct wave *next, struct error *err)
{
	struct strategy s;
	struct tally t;
	char why[160];

	if (rollout_load_strategy(db, r->id, &s, err) < 0)
		return -1;
	if (r->wave + 1 >= (int)s.wave_count)
		return error_set(err, ERR_CONFLICT, "all waves of rollout %lld are open", (long long)r->id);
	if (wave_find(db, r->id, r->wave + 1, next, err) < 0)
		return -1;
	if (early || next->state == WAVE_WAITING)
		return 0;
	if (rollout_load_tally(db, r, &s, 0, &t, err) < 0)
		return -1;
	strategy_judge(&s, &t, why);
	error_set(err, ERR_CONFLICT, "wave %d of rollout %lld does not wait for approval yet: %s", r->wave + 2,
		  (long long)r->id, why);
	return error_hint(err, "--early opens it all the same");
}

int rollout_approve(struct db *db, int64_t id, bool early, const struct rollout_actor *who, struct error *err)
{
	char reason[ROLLOUT_REASON_MAX], number[16];
	struct rollout r;
	struct wave next;
	bool opened;

	if (check_note(who, err) < 0 || find_in_state(db, id, 1u << ROLLOUT_RUNNING, "approve", &r, err) < 0 ||
	    check_approvable(db, &r, early, &next, err) < 0)
		return -1;
	reason_text(reason, early ? "approved early" : "approved", who);
	snprintf(number, sizeof(number), "%d", next.wave + 1);
	if (wave_approve(db, id, next.wave, who->name, err) < 0 ||
	    (r.wave >= 0 && wave_set_state(db, id, r.wave, WAVE_COMPLETE, who->now_s, err) < 0) ||
	    rollout_set_state(db, id, ROLLOUT_RUNNING, reason, who->now_s, err) < 0 ||
	    rollout_open_next(db, &r, who->now_s, &opened, err) < 0)
		return -1;
	note_step(who, reason, "wave", number);
	return rollout_evaluate(db, id, who->now_s, err);
}
