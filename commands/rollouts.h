/* What the rollout verbs share. */
#ifndef MESHANICS_COMMANDS_ROLLOUTS_H
#define MESHANICS_COMMANDS_ROLLOUTS_H

#include "commands/request.h"

/* One rollout as the API shows it, for people: a head, its waves, and the devices if they are there. */
void rollout_print(struct cmd *cmd, struct json_value rollout);
/*
 * POST {"reason": --reason} to /api/v1/rollouts/OPERAND/STEP and print what the rollout became. more adds members to
 * the body; NULL: none.
 */
WARN_UNUSED int rollout_step(struct cmd *cmd, const char *step, void (*more)(struct cmd *cmd, struct json_writer *w),
			     struct error *err);

#define REASON_OPTION                                                                              \
	{ .name = "reason", .type = OPT_STRING, .value = "TEXT", .help = "why, for the audit trail" }

#endif
