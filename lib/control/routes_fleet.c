/* Routes of the fleet: devices and what they say; and the table with rollouts and the audit trail. */
#include <stdio.h>

#include "base/encode.h"
#include "control/control.h"
#include "control/routes_fleet.h"
#include "fleet/devices.h"
#include "store/lastseen.h"
#include "tuf/repo.h"

#define PAGE_DEFAULT 500
#define PAGE_MAX 1000

/* ---- query parameters ---- */

int fleet_query_text(const struct api_call *call, const char *name, struct buf *out, bool *given, struct error *err)
{
	*given = api_query(call, name, out, err) == 0;
	if (*given)
		return 0;
	if (err->kind != ERR_NOT_FOUND)
		return error_wrap(err, "query parameter '%s'", name);
	*err = ERROR_INIT;
	return 0;
}

int fleet_query_int(const struct api_call *call, const char *name, int64_t min, int64_t max, int64_t *out,
		    struct error *err)
{
	struct buf text = BUF_INIT(20);
	int64_t n = 0;
	bool given, good;
	size_t i;

	if (fleet_query_text(call, name, &text, &given, err) < 0) {
		buf_release(&text);
		return -1;
	}
	good = text.len > 0 && text.len <= 18;
	for (i = 0; good && i < text.len; i++) {
		good = text.ptr[i] >= '0' && text.ptr[i] <= '9';
		n = n * 10 + (text.ptr[i] - '0');
	}
	buf_release(&text);
	if (!given)
		return 0;
	if (!good || n < min || n > max)
		return error_set(err, ERR_USAGE, "query parameter '%s' is a whole number from %lld to %lld", name,
				 (long long)min, (long long)max);
	*out = n;
	return 0;
}

/* ---- devices, for operators ---- */

static int check_state(struct slice word, struct error *err)
{
	unsigned state;
	char shown[64];

	for (state = DEVICE_ENROLLED; state <= DEVICE_DECOMMISSIONED; state++) {
		if (slice_equal_str(word, device_state_name((enum device_state)state)))
			return 0;
	}
	error_set(err, ERR_USAGE, "'%s' is no state of a device", printable(shown, sizeof(shown), word));
	return error_hint(err, "they are enrolled, active, revoked and decommissioned");
}

static int get_devices(struct api_call *call, struct error *err)
{
	struct buf tag = BUF_INIT(NAME_LEN_MAX), state = BUF_INIT(32), after = BUF_INIT(NAME_LEN_MAX);
	bool has_tag, has_state, has_after;
	int64_t limit = PAGE_DEFAULT;
	int r = -1;

	if (fleet_query_text(call, "tag", &tag, &has_tag, err) < 0 ||
	    fleet_query_text(call, "state", &state, &has_state, err) < 0 ||
	    fleet_query_text(call, "after", &after, &has_after, err) < 0 ||
	    fleet_query_int(call, "limit", 1, PAGE_MAX, &limit, err) < 0 ||
	    (has_state && check_state(buf_slice(&state), err) < 0))
		goto out;
	r = devices_put(call->db, has_tag ? buf_cstr(&tag) : NULL, has_state ? buf_cstr(&state) : NULL,
			buf_slice(&after), (unsigned)limit, call->control->lastseen,
			call->control->settings.heartbeat_interval_s, call->now_s, &call->out, err);
out:
	buf_release(&tag);
	buf_release(&state);
	buf_release(&after);
	return r;
}

static int get_device(struct api_call *call, struct error *err)
{
	struct device d;

	if (device_find(call->db, call->params[0], &d, err) < 0)
		return -1;
	return device_put(call->db, &d, call->control->lastseen, call->control->settings.heartbeat_interval_s, call->now_s,
			  &call->out, err);
}

static int post_tags(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"add", "remove", NULL};
	struct json_value add = {.doc = NULL}, remove = {.doc = NULL};
	struct json_writer detail = JSON_WRITER(&call->audit_detail);
	struct device d;

	if (json_only(call->body, names, err) < 0 || json_opt_array(call->body, "add", &add, err) < 0 ||
	    json_opt_array(call->body, "remove", &remove, err) < 0)
		return -1;
	if (json_count(add) + json_count(remove) > 2 * DEVICE_TAGS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d tags at once", 2 * DEVICE_TAGS_MAX);
	if (device_find(call->db, call->params[0], &d, err) < 0)
		return -1;
	snprintf(call->audit_object, sizeof(call->audit_object), "device:%s", d.name);
	if (device_change_tags(call->db, &d, add, remove, call->now_s, err) < 0)
		return -1;
	json_put_value(&detail, NULL, call->body);
	return device_put(call->db, &d, call->control->lastseen, call->control->settings.heartbeat_interval_s, call->now_s,
			  &call->out, err);
}

/* ---- what devices say ---- */

static int post_register(struct api_call *call, struct error *err)
{
	const struct control *c = call->control;

	if (c->repo == NULL)
		return error_set(err, ERR_RETRY, "there is no repository here yet");
	return device_register(call->db, call->actor->device_id, call->body, repo_site(c->repo),
			       c->settings.heartbeat_interval_s, call->now_s, &call->out, err);
}

static int post_heartbeat(struct api_call *call, struct error *err)
{
	struct buf report = BUF_INIT(DEVICE_REPORT_MAX);
	char fingerprint[SHA256_HEX_LEN];
	int r;

	hex_encode(fingerprint, call->actor->cert_sha256, SHA256_LEN);
	r = device_heartbeat(call->db, call->actor->device_id, fingerprint, call->body,
			     call->control->settings.heartbeat_interval_s, &report, &call->out, err);
	call->report_digest = lastseen_digest(buf_slice(&report));
	if (r == 0 && call->control->lastseen != NULL)
		lastseen_touch(call->control->lastseen, call->actor->device_id, call->now_s, buf_slice(&report));
	buf_release(&report);
	return r;
}

static int post_status(struct api_call *call, struct error *err)
{
	return device_status(call->db, call->actor->device_id, call->body, call->now_s, err);
}

/* ---- backups: made beside us (fleet/backup.h), told here for the audit trail ---- */

static int post_backup(struct api_call *call, struct error *err)
{
	static const char *const names[] = {"sha256", "bytes", NULL};
	struct json_writer detail = JSON_WRITER(&call->audit_detail);
	uint8_t hash[SHA256_LEN];
	struct slice hex;
	int64_t bytes;

	if (json_only(call->body, names, err) < 0 || json_need_string(call->body, "sha256", &hex, err) < 0 ||
	    json_need_int(call->body, "bytes", 0, INT64_MAX, &bytes, err) < 0 ||
	    hex_decode(hash, SHA256_LEN, hex, err) < 0)
		return -1;
	json_open_object(&detail, NULL);
	json_put_int(&detail, "bytes", bytes);
	json_put_hex(&detail, "sha256", hash, SHA256_LEN);
	json_close(&detail);
	return 0;
}

/* ---- the table ---- */

const struct api_route routes_fleet[] = {
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/devices", .action = "device.list",
	  .permission = "device.read",
	  .summary = "devices by name; ?tag=, ?state=, and for pages ?after=NAME and ?limit=", .handle = get_devices },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/devices/{device}", .action = "device.show",
	  .permission = "device.read", .summary = "one device with its profile, report and assignments",
	  .handle = get_device },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/devices/{device}/tags", .action = "device.tag",
	  .permission = "device.write", .mutates = true, .summary = "add and remove tags: {\"add\":[],\"remove\":[]}",
	  .handle = post_tags },

	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/rollouts", .action = "rollout.list",
	  .permission = "rollout.read", .summary = "rollouts, newest first; ?state=", .handle = fleet_get_rollouts },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/rollouts", .action = "rollout.create",
	  .permission = "rollout.create", .mutates = true,
	  .summary = "begin: {\"artifact\",\"selector\",\"strategy\",\"allow_empty\"}", .handle = fleet_post_rollout },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/rollouts/{rollout}", .action = "rollout.show",
	  .permission = "rollout.read", .summary = "one rollout with its waves; ?devices=1 with every device",
	  .handle = fleet_get_rollout },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/rollouts/{rollout}/pause",
	  .action = "rollout.pause", .permission = "rollout.control", .mutates = true,
	  .summary = "hold back who has not finished downloading: {\"reason\"}", .handle = fleet_pause_rollout },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/rollouts/{rollout}/resume",
	  .action = "rollout.resume", .permission = "rollout.control", .mutates = true,
	  .summary = "go on, acknowledging the outcomes so far: {\"reason\"}", .handle = fleet_resume_rollout },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/rollouts/{rollout}/abort",
	  .action = "rollout.abort", .permission = "rollout.control", .mutates = true,
	  .summary = "end it: {\"mode\":\"keep\"|\"revert\",\"reason\"}", .handle = fleet_abort_rollout },
	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/rollouts/{rollout}/approve",
	  .action = "rollout.approve", .permission = "rollout.approve", .mutates = true,
	  .summary = "let the next wave open: {\"early\":false,\"reason\"}", .handle = fleet_approve_rollout },

	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/audit", .action = "audit.list",
	  .permission = "audit.read",
	  .summary = "audit records, newest first; ?from= ?to= ?since= ?until= ?actor= ?action= ?object= ?limit=",
	  .handle = fleet_get_audit },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/audit/export", .action = "audit.export",
	  .permission = "audit.read", .summary = "audit records in order as NDJSON; ?from= ?to=, in pages",
	  .handle = fleet_export_audit },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/audit/head", .action = "audit.head",
	  .permission = "audit.read", .exclusive = true, .prepare = fleet_prepare_head,
	  .summary = "the head of the trail, checked and signed: {\"head\",\"signature\"}", .handle = fleet_get_head },
	{ .class = API_OPERATOR, .method = "GET", .pattern = "/api/v1/audit/verify", .action = "audit.verify",
	  .permission = "audit.read", .exclusive = true, .prepare = fleet_prepare_verify,
	  .summary = "check the whole trail; ?witness=SEQ:HASH", .handle = fleet_get_verify },

	{ .class = API_OPERATOR, .method = "POST", .pattern = "/api/v1/backups", .action = "backup.create",
	  .permission = "backup.create", .mutates = true,
	  .summary = "tell that a backup was made: {\"sha256\",\"bytes\"}", .handle = post_backup },

	{ .class = API_DEVICE, .method = "POST", .pattern = "/device/register", .action = "device.register",
	  .mutates = true, .own_audit = true, .summary = "what the device is", .handle = post_register },
	{ .class = API_DEVICE, .method = "POST", .pattern = "/device/heartbeat", .action = "device.heartbeat",
	  .repeats = true, .summary = "what the device runs; answers with its desired state", .handle = post_heartbeat },
	{ .class = API_DEVICE, .method = "POST", .pattern = "/device/status", .action = "device.status",
	  .mutates = true, .own_audit = true, .summary = "one transition of one assignment", .handle = post_status },
	{ .method = NULL },
};
