/* meshanics rollout resume: go on with a paused or halted rollout, acknowledging its failures. */
#include "commands/rollouts.h"

static const struct option options[] = {
	REASON_OPTION,
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int rollout_resume_run(struct cmd *cmd, struct error *err)
{
	return rollout_step(cmd, "/resume", NULL, err);
}

const struct command cmd_rollout_resume = {
	.name = "rollout resume",
	.usage = "ROLLOUT",
	.summary = "go on with a paused or halted rollout, acknowledging its failures",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = rollout_resume_run,
};
