/* meshanics rollout abort: end a rollout, keeping what it did or taking it back. */
#include "commands/rollouts.h"

static const struct option options[] = {
	{ .name = "keep", .type = OPT_FLAG, .help = "devices that have the version keep it" },
	{ .name = "revert", .type = OPT_FLAG, .help = "devices go back to the version they kept" },
	REASON_OPTION,
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void put_mode(struct cmd *cmd, struct json_writer *w)
{
	json_put_string(w, "mode", cmd_flag(cmd, "revert") ? "revert" : "keep");
}

static int rollout_abort_run(struct cmd *cmd, struct error *err)
{
	if (cmd_flag(cmd, "keep") == cmd_flag(cmd, "revert")) {
		error_set(err, ERR_USAGE, "what shall become of the devices that have it?");
		return error_hint(err, "give either --keep or --revert");
	}
	return rollout_step(cmd, "/abort", put_mode, err);
}

const struct command cmd_rollout_abort = {
	.name = "rollout abort",
	.usage = "ROLLOUT",
	.summary = "end a rollout, keeping what it did or taking it back",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = rollout_abort_run,
};
