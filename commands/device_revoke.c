/* meshanics device revoke: a device whose certificates are refused from its next request on. */
#include "commands/identity.h"

static const struct option options[] = {
	{ .name = "reason", .type = OPT_STRING, .value = "TEXT", .help = "why, for the audit trail and the device's log" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int device_revoke_command(struct cmd *cmd, struct error *err)
{
	struct buf body = BUF_INIT(8192), path = BUF_INIT(1024);
	struct json_writer w = JSON_WRITER(&body);
	const char *name = cmd_operand(cmd, 0);
	struct answer a = ANSWER_INIT;
	int64_t count = 0;
	bool done = false;
	int r = -1;

	json_open_object(&w, NULL);
	if (cmd_has(cmd, "reason"))
		json_put_string(&w, "reason", cmd_string(cmd, "reason", NULL));
	json_close(&w);
	request_path(&path, "/api/v1/devices/", name, "/revoke", NULL);
	if (request(cmd, "POST", buf_cstr(&path), buf_slice(&body), &a, &done, err) < 0 ||
	    json_opt_int(answer_root(&a), "revoked", 0, INT64_MAX, &count, err) < 0)
		goto out;
	if (!done)
		cmd_printf(cmd, "device '%s' is revoked (%lld live certificate%s)\n", name, (long long)count,
			   count == 1 ? "" : "s");
	r = 0;
out:
	answer_release(&a);
	buf_release(&path);
	buf_release(&body);
	return r;
}

const struct command cmd_device_revoke = {
	.name = "device revoke",
	.usage = "DEVICE",
	.summary = "revoke the certificates of a device",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = device_revoke_command,
};
