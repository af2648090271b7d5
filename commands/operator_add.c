/* meshanics operator add: somebody who may use this control plane over the network. */
#include "commands/identity.h"

static const struct option options[] = {
	{ .name = "role", .type = OPT_STRING, .value = "ROLE", .required = true,
	  .help = "viewer, operator, approver or admin" },
	{ .name = "expires", .type = OPT_DURATION, .value = "TIME", .min = 60, .max = INT32_MAX,
	  .help = "how long the token is good for (default: until revoked)" },
	{ .name = "out", .type = OPT_STRING, .value = "FILE", .help = "write the token to new FILE, mode 0600" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int operator_add_command(struct cmd *cmd, struct error *err)
{
	struct buf body = BUF_INIT(8192);
	struct json_writer w = JSON_WRITER(&body);
	struct answer a = ANSWER_INIT;
	char name[80], role[16];
	int r = -1;

	a.text.secret = true;
	json_open_object(&w, NULL);
	json_put_string(&w, "name", cmd_operand(cmd, 0));
	json_put_string(&w, "role", cmd_string(cmd, "role", ""));
	if (cmd_has(cmd, "expires"))
		json_put_int(&w, "life_s", cmd_int(cmd, "expires", 0));
	json_close(&w);
	if (identity_check_out(cmd, err) < 0 ||
	    request(cmd, "POST", "/api/v1/operators", buf_slice(&body), &a, NULL, err) < 0 ||
	    identity_put_token(cmd, answer_root(&a), err) < 0)
		goto out;
	cmd_note(cmd, "the token of '%s' (%s) is not shown again",
		 identity_text(answer_root(&a), "name", name, sizeof(name)),
		 identity_text(answer_root(&a), "role", role, sizeof(role)));
	r = 0;
out:
	answer_release(&a);
	buf_release(&body);
	return r;
}

const struct command cmd_operator_add = {
	.name = "operator add",
	.usage = "NAME",
	.summary = "add an operator and print the token",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = operator_add_command,
};
