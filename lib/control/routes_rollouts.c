/* Routes of rollouts. */
#include <stdio.h>

#include "control/control.h"
#include "control/routes_fleet.h"
#include "fleet/rollout.h"
#include "tuf/publish.h"
#include "tuf/repo.h"

/* The number in the path. */
static int rollout_id(struct api_call *call, int64_t *id, struct error *err)
{
	struct slice text = call->params[0];
	size_t i;

	*id = 0;
	for (i = 0; i < text.len && i < 18 && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
		*id = *id * 10 + (text.ptr[i] - '0');
	if (i == 0 || i < text.len)
		return error_set(err, ERR_NOT_FOUND, "no such rollout '%.*s': rollouts have numbers", SLICE_ARG(text));
	snprintf(call->audit_object, sizeof(call->audit_object), "rollout:%lld", (long long)*id);
	return 0;
}

static int answer(struct api_call *call, int64_t id, bool with_devices, struct error *err)
{
	return rollout_put(call->db, id, with_devices, &call->out, err);
}

/* ---- reading ---- */

static int check_state(struct slice word, struct error *err)
{
	unsigned state;
	char shown[64];

	for (state = ROLLOUT_RUNNING; state <= ROLLOUT_ABORTED; state++) {
		if (slice_equal_str(word, rollout_state_name((enum rollout_state)state)))
			return 0;
	}
	error_set(err, ERR_USAGE, "'%s' is no state of a rollout", printable(shown, sizeof(shown), word));
	return error_hint(err, "they are running, paused, halted, completed and aborted");
}

int fleet_get_rollouts(struct api_call *call, struct error *err)
{
	struct buf state = BUF_INIT(32);
	bool given;
	int r = fleet_query_text(call, "state", &state, &given, err);

	if (r == 0 && given)
		r = check_state(buf_slice(&state), err);
	if (r == 0) {
		json_open_object(&call->out, NULL);
		r = rollouts_put(call->db, given ? buf_cstr(&state) : NULL, "rollouts", &call->out, err);
		json_close(&call->out);
	}
	buf_release(&state);
	return r;
}

int fleet_get_rollout(struct api_call *call, struct error *err)
{
	int64_t id, devices = 0;

	if (rollout_id(call, &id, err) < 0 || fleet_query_int(call, "devices", 0, 1, &devices, err) < 0)
		return -1;
	return answer(call, id, devices == 1, err);
}

/* ---- creating ---- */

/* Only what is published can be rolled out; its kind is in the signed descriptor. */
static int find_kind(const struct api_call *call, struct slice path, struct slice *kind, struct error *err)
{
	struct artifact a;
	struct descriptor d;

	if (call->control->repo == NULL) {
		error_set(err, ERR_NOT_FOUND, "there is no repository in '%s'", call->control->home);
		return error_hint(err, "run 'meshanics repo init' first");
	}
	if (target_path_check(path, err) < 0)
		return -1;
	if (artifact_find(call->control->repo, path, &a, err) < 0)
		return err->kind == ERR_NOT_FOUND
			       ? error_hint(err, "'meshanics artifact list' shows what is published")
			       : -1;
	if (!artifact_held(call->control->repo, &a)) {
		error_set(err, ERR_CONFLICT, "'%.*s' is listed, but its bytes are not held at this site", SLICE_ARG(path));
		return error_hint(err, "bring a bundle that has it inside: meshanics bundle import");
	}
	if (descriptor_parse(&d, json_get(a.target.custom, "meshanics"), err) < 0)
		return error_wrap(err, "artifact '%.*s'", SLICE_ARG(path));
	*kind = slice_str(payload_kind_name(d.kind));
	descriptor_release(&d);
	return 0;
}

int fleet_post_rollout(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"artifact", "selector", "strategy", "allow_empty", NULL};
	const struct rollout_actor who = {
		.name = call->actor->name,
		.now_s = call->now_s,
		.detail = &call->audit_detail,
	};
	struct rollout_spec spec = {.allow_empty = false};
	struct json_value selector, strategy;
	int64_t id;

	if (json_only(call->body, names, err) < 0 ||
	    json_need_string(call->body, "artifact", &spec.artifact, err) < 0 ||
	    json_need_object(call->body, "selector", &selector, err) < 0 ||
	    json_need_object(call->body, "strategy", &strategy, err) < 0 ||
	    json_opt_bool(call->body, "allow_empty", &spec.allow_empty, err) < 0 ||
	    find_kind(call, spec.artifact, &spec.kind, err) < 0)
		return -1;
	spec.selector = json_raw(selector);
	spec.strategy = json_raw(strategy);
	if (rollout_create(call->db, &spec, &who, &id, err) < 0)
		return -1;
	snprintf(call->audit_object, sizeof(call->audit_object), "rollout:%lld", (long long)id);
	call->status = 201;
	return answer(call, id, false, err);
}

/* ---- stopping and going on ---- */

/* What these requests have in common: the number, the reason, and one more member of the body. */
static int begin_step(struct api_call *call, const char *extra, int64_t *id, struct rollout_actor *who,
		      struct error *err)
{
	const char *const names[] = {"reason", extra, NULL};

	*who = (struct rollout_actor){
		.name = call->actor->name,
		.now_s = call->now_s,
		.detail = &call->audit_detail,
	};
	if (rollout_id(call, id, err) < 0)
		return -1;
	if (json_type(call->body) == JSON_NONE)
		return 0;
	if (json_type(call->body) != JSON_OBJECT)
		return error_set(err, ERR_MALFORMED, "the body is %s, not an object",
				 json_type_name(json_type(call->body)));
	return json_only(call->body, names, err) < 0 || json_opt_string(call->body, "reason", &who->note, err) < 0 ? -1
														   : 0;
}

int fleet_pause_rollout(struct api_call *call, struct error *err)
{
	struct rollout_actor who;
	int64_t id;

	if (begin_step(call, NULL, &id, &who, err) < 0 || rollout_pause(call->db, id, &who, err) < 0)
		return -1;
	return answer(call, id, false, err);
}

int fleet_resume_rollout(struct api_call *call, struct error *err)
{
	struct rollout_actor who;
	int64_t id;

	if (begin_step(call, NULL, &id, &who, err) < 0 || rollout_resume(call->db, id, &who, err) < 0)
		return -1;
	return answer(call, id, false, err);
}

int fleet_abort_rollout(struct api_call *call, struct error *err)
{
	struct slice mode = SLICE_EMPTY;
	struct rollout_actor who;
	int64_t id;
	bool revert;

	if (begin_step(call, "mode", &id, &who, err) < 0 || json_need_string(call->body, "mode", &mode, err) < 0)
		return -1;
	revert = slice_equal_str(mode, "revert");
	if (!revert && !slice_equal_str(mode, "keep"))
		return error_set(err, ERR_USAGE, "'mode' is 'keep' or 'revert', not '%.*s'", SLICE_ARG(mode));
	if (rollout_abort(call->db, id, revert ? ABORT_REVERT : ABORT_KEEP, &who, err) < 0)
		return -1;
	return answer(call, id, false, err);
}

int fleet_approve_rollout(struct api_call *call, struct error *err)
{
	struct rollout_actor who;
	bool early = false;
	int64_t id;

	if (begin_step(call, "early", &id, &who, err) < 0 ||
	    (json_type(call->body) == JSON_OBJECT && json_opt_bool(call->body, "early", &early, err) < 0) ||
	    rollout_approve(call->db, id, early, &who, err) < 0)
		return -1;
	return answer(call, id, false, err);
}
