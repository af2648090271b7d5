/* meshanics enroll token revoke: tokens that shall be good for nothing. */
#include "commands/identity.h"

static const struct option options[] = {
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int enroll_token_revoke_command(struct cmd *cmd, struct error *err)
{
	return identity_revoke_each(cmd, "/api/v1/tokens/", "token", err);
}

const struct command cmd_enroll_token_revoke = {
	.name = "enroll token revoke",
	.usage = "ID...",
	.summary = "revoke enrolment tokens",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1000,
	.run = enroll_token_revoke_command,
};
