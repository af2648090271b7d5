/* meshanics rollout approve: let the next wave open. */
#include "commands/rollouts.h"

static const struct option options[] = {
	{ .name = "early", .type = OPT_FLAG, .help = "also when the open wave is not complete" },
	REASON_OPTION,
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void put_early(struct cmd *cmd, struct json_writer *w)
{
	json_put_bool(w, "early", cmd_flag(cmd, "early"));
}

static int rollout_approve_run(struct cmd *cmd, struct error *err)
{
	return rollout_step(cmd, "/approve", put_early, err);
}

const struct command cmd_rollout_approve = {
	.name = "rollout approve",
	.usage = "ROLLOUT",
	.summary = "let the next wave of a rollout open",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = rollout_approve_run,
};
