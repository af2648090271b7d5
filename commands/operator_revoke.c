/* meshanics operator revoke: operators whose tokens are refused from now on. */
#include "commands/identity.h"

static const struct option options[] = {
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int operator_revoke_command(struct cmd *cmd, struct error *err)
{
	return identity_revoke_each(cmd, "/api/v1/operators/", "operator", err);
}

const struct command cmd_operator_revoke = {
	.name = "operator revoke",
	.usage = "NAME...",
	.summary = "revoke the tokens of operators",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1000,
	.run = operator_revoke_command,
};
