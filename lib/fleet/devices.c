/* The device API's rules: what a device may say of itself, and what it is told. */
#include "fleet/devices.h"

#include <stdio.h>

#include "base/timefmt.h"
#include "fleet/rollout.h"
#include "store/audit.h"
#include "sys/rng.h"

#define TEXT_MAX 128		/* bytes of one text of a profile */
#define ACCELERATORS_MAX 16
#define ROLES_MAX 64
#define ARTIFACTS_MAX 256
#define REASON_MAX 500
#define ORDERS_MAX 8
#define INSTANCE_LEN 16
#define NUMBER_MAX INT64_C(9007199254740991)	/* 2^53 - 1 */

static int note(struct db *db, const struct device *d, const char *action, const char *verdict, struct slice detail,
		int64_t now_s, struct error *err)
{
	char actor[NAME_LEN_MAX + 8];
	const struct audit_entry e = {
		.time_s = now_s,
		.actor = actor,
		.action = action,
		.object = actor,
		.verdict = verdict,
		.detail = detail,
	};

	snprintf(actor, sizeof(actor), "device:%s", d->name);
	return audit_append(db, &e, err);
}

static int need_instance(struct json_value body, struct slice *out, struct error *err)
{
	size_t i;

	if (json_need_string(body, "instance", out, err) < 0)
		return -1;
	for (i = 0; i < out->len; i++)
		if (!((out->ptr[i] >= '0' && out->ptr[i] <= '9') || (out->ptr[i] >= 'a' && out->ptr[i] <= 'f')))
			break;
	if (out->len != INSTANCE_LEN || i < out->len)
		return error_set(err, ERR_MALFORMED, "'instance' is not %d hex digits", INSTANCE_LEN);
	return 0;
}

/* ---- register ---- */

/* A text member, made printable, if it is there. */
static int copy_text(struct json_value from, const char *name, struct json_writer *w, struct error *err)
{
	char clean[TEXT_MAX * 4 + 1];
	struct slice text = SLICE_EMPTY;

	if (json_opt_string(from, name, &text, err) < 0)
		return -1;
	if (text.len > TEXT_MAX)
		return error_set(err, ERR_LIMIT, "'%s' has more than %d bytes", name, TEXT_MAX);
	if (text.len > 0)
		json_put_string(w, name, printable(clean, sizeof(clean), text));
	return 0;
}

static int copy_number(struct json_value from, const char *name, struct json_writer *w, struct error *err)
{
	int64_t n = -1;

	if (json_opt_int(from, name, 0, NUMBER_MAX, &n, err) < 0)
		return -1;
	if (n >= 0)
		json_put_int(w, name, n);
	return 0;
}

static int copy_accelerators(struct json_value from, struct json_writer *w, struct error *err)
{
	struct json_value list = {.doc = NULL};
	struct json_iter it;
	char clean[TEXT_MAX * 4 + 1];

	if (json_opt_array(from, "accelerators", &list, err) < 0)
		return -1;
	if (json_count(list) > ACCELERATORS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d accelerators", ACCELERATORS_MAX);
	if (json_type(list) != JSON_ARRAY)
		return 0;
	json_open_array(w, "accelerators");
	for (it = json_iter(list); json_next(&it);) {
		if (json_type(it.value) != JSON_STRING || json_string(it.value).len > TEXT_MAX)
			return error_set(err, ERR_MALFORMED, "an accelerator is a text of at most %d bytes", TEXT_MAX);
		json_put_string(w, NULL, printable(clean, sizeof(clean), json_string(it.value)));
	}
	json_close(w);
	return 0;
}

int device_profile_normalize(struct json_value profile, struct buf *out, struct error *err)
{
	static const char *const texts[] = {"hostname", "model", "soc", "arch", "os", "os_version", "kernel",
					    "agent_version"};
	static const char *const numbers[] = {"memory_mb", "cores"};
	struct json_writer w = JSON_WRITER(out);
	unsigned i;

	if (json_type(profile) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "a profile is an object, not %s",
				 json_type_name(json_type(profile)));
	json_open_object(&w, NULL);
	for (i = 0; i < ARRAY_SIZE(texts); i++)
		if (copy_text(profile, texts[i], &w, err) < 0)
			return error_wrap(err, "profile");
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		if (copy_number(profile, numbers[i], &w, err) < 0)
			return error_wrap(err, "profile");
	if (copy_accelerators(profile, &w, err) < 0)
		return error_wrap(err, "profile");
	json_close(&w);
	return out->failed ? error_set(err, ERR_LIMIT, "the profile is larger than %zu bytes", out->max) : 0;
}

static int register_row(struct db *db, const struct device *d, struct slice instance, struct slice profile,
			int64_t now_s, struct error *err)
{
	struct buf detail = BUF_INIT(AUDIT_DETAIL_MAX);
	struct json_writer w = JSON_WRITER(&detail);
	int r = -1;

	json_open_object(&w, NULL);
	json_put_slice(&w, "instance", instance);
	json_put_raw(&w, "profile", profile);
	json_close(&w);
	if (device_set_registered(db, d->id, profile, now_s, err) == 0 &&
	    note(db, d, "device.register", "ok", buf_slice(&detail), now_s, err) == 0)
		r = rollouts_adopt(db, d->id, now_s, err);
	buf_release(&detail);
	return r;
}

int device_register(struct db *db, int64_t device_id, struct json_value body, const char *site, int64_t interval_s,
		    int64_t now_s, struct json_writer *w, struct error *err)
{
	struct buf profile = BUF_INIT(DEVICE_PROFILE_MAX);
	struct json_value given;
	struct slice instance;
	struct device d;
	int r = -1;

	if (device_find_id(db, device_id, &d, err) < 0 || need_instance(body, &instance, err) < 0 ||
	    json_need_object(body, "profile", &given, err) < 0 ||
	    device_profile_normalize(given, &profile, err) < 0 ||
	    register_row(db, &d, instance, buf_slice(&profile), now_s, err) < 0)
		goto out;
	json_open_object(w, NULL);
	json_put_string(w, "device", d.name);
	json_put_string(w, "site", site);
	json_put_int(w, "interval_s", heartbeat_interval(interval_s, rng_below(UINT32_MAX)));
	json_close(w);
	r = 0;
out:
	buf_release(&profile);
	return r;
}

/* ---- heartbeat ---- */

static int copy_metadata(struct json_value body, struct json_writer *w, struct error *err)
{
	struct json_value versions = {.doc = NULL};
	struct json_iter it;

	if (json_opt_object(body, "metadata", &versions, err) < 0)
		return -1;
	if (json_count(versions) > ROLES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d metadata roles", ROLES_MAX);
	json_open_object(w, "metadata");
	for (it = json_iter(versions); json_next(&it);) {
		if (name_check(it.key, "metadata role", err) < 0)
			return -1;
		if (json_type(it.value) != JSON_INT || json_int(it.value) < 0 || json_int(it.value) > NUMBER_MAX)
			return error_set(err, ERR_MALFORMED, "a metadata version is a whole number");
		json_put_value_key(w, it.key, it.value);
	}
	json_close(w);
	return 0;
}

static int copy_artifact(struct json_value v, struct json_writer *w, struct error *err)
{
	struct slice path, state;
	int64_t release;

	if (json_type(v) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "an artifact is an object, not %s", json_type_name(json_type(v)));
	if (json_need_string(v, "path", &path, err) < 0 || target_path_check(path, err) < 0 ||
	    json_need_int(v, "release", 0, NUMBER_MAX, &release, err) < 0 ||
	    json_need_string(v, "state", &state, err) < 0)
		return -1;
	if (assignment_state_by_name(state) == ASSIGNMENT_STATES)
		return error_set(err, ERR_MALFORMED, "there is no state '%.*s'", SLICE_ARG(slice_sub(state, 0, 32)));
	json_open_object(w, NULL);
	json_put_slice(w, "path", path);
	json_put_int(w, "release", release);
	json_put_slice(w, "state", state);
	json_close(w);
	return 0;
}

static int copy_artifacts(struct json_value body, struct json_writer *w, struct error *err)
{
	struct json_value list = {.doc = NULL};
	struct json_iter it;

	if (json_opt_array(body, "artifacts", &list, err) < 0)
		return -1;
	if (json_count(list) > ARTIFACTS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d artifacts", ARTIFACTS_MAX);
	json_open_array(w, "artifacts");
	for (it = json_iter(list); json_next(&it);)
		if (copy_artifact(it.value, w, err) < 0)
			return -1;
	json_close(w);
	return 0;
}

/* What is kept of a heartbeat. Nothing that changes by itself: an unchanged report is not written again. */
static int normalize_report(struct json_value body, struct buf *out, struct error *err)
{
	struct json_writer w = JSON_WRITER(out);

	json_open_object(&w, NULL);
	if (copy_text(body, "agent_version", &w, err) < 0 || copy_metadata(body, &w, err) < 0 ||
	    copy_artifacts(body, &w, err) < 0)
		return error_wrap(err, "heartbeat");
	json_close(&w);
	return out->failed ? error_set(err, ERR_LIMIT, "the report is larger than %zu bytes", out->max) : 0;
}

int device_heartbeat(struct db *db, int64_t device_id, const char *fingerprint, struct json_value body,
		     int64_t interval_s, struct buf *report, struct json_writer *w, struct error *err)
{
	if (json_type(body) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "a heartbeat is an object, not %s", json_type_name(json_type(body)));
	if (normalize_report(body, report, err) < 0)
		return -1;
	json_open_object(w, NULL);
	json_put_int(w, "interval_s", heartbeat_interval(interval_s, rng_below(UINT32_MAX)));
	if (desired_put(db, device_id, "desired", w, err) < 0 ||
	    device_orders_put(db, device_id, fingerprint, "orders", w, err) < 0)
		return -1;
	json_close(w);
	return 0;
}

int64_t heartbeat_interval(int64_t interval_s, uint32_t dice)
{
	if (interval_s >= 10)
		interval_s -= (int64_t)(dice % ((uint64_t)interval_s / 10 + 1));
	return interval_s < 1 ? 1 : interval_s;
}

/* ---- status ---- */

static int read_transition(struct json_value body, struct transition *t, enum assignment_state *state,
			   struct error *err)
{
	struct slice at;

	if (need_instance(body, &t->instance, err) < 0 ||
	    json_need_int(body, "assignment", 0, NUMBER_MAX, &t->assignment_id, err) < 0 ||
	    json_need_int(body, "seq", 1, NUMBER_MAX, &t->seq, err) < 0 ||
	    json_need_string(body, "path", &t->artifact, err) < 0 || target_path_check(t->artifact, err) < 0 ||
	    json_need_string(body, "state", &t->state, err) < 0 ||
	    json_need_string(body, "reason", &t->reason, err) < 0 || json_need_string(body, "at", &at, err) < 0 ||
	    time_parse(&t->device_s, at, err) < 0)
		return -1;
	if (t->reason.len > REASON_MAX)
		return error_set(err, ERR_LIMIT, "'reason' has more than %d bytes", REASON_MAX);
	*state = assignment_state_by_name(t->state);
	if (*state == ASSIGNMENT_STATES || !assignment_is_reportable(*state))
		return error_set(err, ERR_MALFORMED, "a device does not report the state '%.*s'",
				 SLICE_ARG(slice_sub(t->state, 0, 32)));
	return 0;
}

static int note_transition(struct db *db, const struct device *d, const struct transition *t,
			   enum assignment_state state, struct error *err)
{
	bool bad = state == ASSIGNMENT_FAILED || state == ASSIGNMENT_ROLLED_BACK;
	struct buf detail = BUF_INIT(AUDIT_DETAIL_MAX);
	struct json_writer w = JSON_WRITER(&detail);
	char when[TIME_TEXT_LEN];
	int r;

	json_open_object(&w, NULL);
	json_put_int(&w, "assignment", t->assignment_id);
	json_put_slice(&w, "artifact", t->artifact);
	json_put_string(&w, "at", time_text(when, t->device_s));
	json_put_slice(&w, "instance", t->instance);
	json_put_slice(&w, "reason", t->reason);
	json_put_int(&w, "seq", t->seq);
	json_put_slice(&w, "state", t->state);
	json_close(&w);
	r = note(db, d, "device.status", bad ? "failed" : "ok", buf_slice(&detail), t->received_s, err);
	buf_release(&detail);
	return r;
}

/* The assignment exists, is this device's, and is of this artifact: before anything is recorded. */
static int check_assignment(struct db *db, const struct device *d, const struct transition *t, struct error *err)
{
	struct assignment a;

	if (t->assignment_id == 0)
		return 0;
	if (assignment_find(db, t->assignment_id, &a, err) < 0)
		return -1;
	if (a.device_id != d->id)
		return error_set(err, ERR_REFUSED, "assignment %lld is not of device '%s'",
				 (long long)t->assignment_id, d->name);
	if (!slice_equal_str(t->artifact, a.artifact))
		return error_set(err, ERR_REFUSED, "assignment %lld is of '%s', not of '%.*s'",
				 (long long)t->assignment_id, a.artifact, SLICE_ARG(t->artifact));
	return 0;
}

int device_status(struct db *db, int64_t device_id, struct json_value body, int64_t now_s, struct error *err)
{
	struct transition t = {.device_id = device_id, .received_s = now_s};
	char reason[REASON_MAX * 4 + 1];
	enum assignment_state state = ASSIGNMENT_STATES;
	struct device d;
	bool fresh;

	if (json_type(body) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "a status is an object, not %s", json_type_name(json_type(body)));
	if (device_find_id(db, device_id, &d, err) < 0 || read_transition(body, &t, &state, err) < 0 ||
	    check_assignment(db, &d, &t, err) < 0)
		return -1;
	t.reason = slice_str(printable(reason, sizeof(reason), t.reason));
	if (transition_add(db, &t, &fresh, err) < 0)
		return -1;
	if (!fresh)
		return 0;
	if (note_transition(db, &d, &t, state, err) < 0)
		return -1;
	if (t.assignment_id == 0)
		return 0;
	return rollout_reported(db, &d, t.assignment_id, state, t.reason, now_s, err);
}

/* ---- orders, and leaving ---- */

int device_orders_put(struct db *db, int64_t device_id, const char *fingerprint, const char *name,
		      struct json_writer *w, struct error *err)
{
	struct order orders[ORDERS_MAX];
	struct device d;
	int i, n;

	if (device_find_id(db, device_id, &d, err) < 0 ||
	    (n = orders_open(db, device_id, orders, ORDERS_MAX, err)) < 0)
		return -1;
	json_open_array(w, name);
	for (i = 0; i < n; i++) {
		if (strcmp(orders[i].fingerprint, fingerprint) != 0)
			continue;
		json_open_object(w, NULL);
		json_put_int(w, "id", orders[i].id);
		json_put_string(w, "order", order_kind_name(orders[i].kind));
		json_put_string(w, "device", d.name);
		json_put_string(w, "certificate", orders[i].fingerprint);
		json_close(w);
	}
	json_close(w);
	return 0;
}

int device_retire(struct db *db, const struct device *d, enum device_state state, const char *fingerprint,
		  const char *reason, int64_t now_s, struct error *err)
{
	if (device_set_state(db, d->id, state, err) < 0)
		return -1;
	if (state == DEVICE_DECOMMISSIONED && order_add(db, d->id, ORDER_WIPE, fingerprint, now_s, err) < 0)
		return -1;
	return rollouts_drop_device(db, d->id, reason, now_s, err);
}
