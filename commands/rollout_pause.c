/* meshanics rollout pause: hold back the devices that have not finished downloading. */
#include "commands/rollouts.h"

static const struct option options[] = {
	REASON_OPTION,
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int rollout_pause_run(struct cmd *cmd, struct error *err)
{
	return rollout_step(cmd, "/pause", NULL, err);
}

const struct command cmd_rollout_pause = {
	.name = "rollout pause",
	.usage = "ROLLOUT",
	.summary = "hold back the devices that have not finished downloading",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = rollout_pause_run,
};
