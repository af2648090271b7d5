/* meshanics rollout show: one rollout, its waves, and its devices if asked. */
#include "commands/rollouts.h"

static const struct option options[] = {
	{ .name = "devices", .type = OPT_FLAG, .help = "every device with its state" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int rollout_show_run(struct cmd *cmd, struct error *err)
{
	struct buf path = BUF_INIT(1024);
	struct answer a = ANSWER_INIT;
	bool done;
	int r;

	request_path(&path, "/api/v1/rollouts/", cmd_operand(cmd, 0), cmd_flag(cmd, "devices") ? "?devices=1" : "", NULL);
	r = request(cmd, "GET", buf_cstr(&path), SLICE_EMPTY, &a, &done, err);
	if (r == 0 && !done)
		rollout_print(cmd, answer_root(&a));
	answer_release(&a);
	buf_release(&path);
	return r;
}

const struct command cmd_rollout_show = {
	.name = "rollout show",
	.usage = "ROLLOUT",
	.summary = "show one rollout with its waves",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = rollout_show_run,
};
