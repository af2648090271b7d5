/* What the ways of naming a bundle to the agent have in common. */
#ifndef MESHANICS_COMMANDS_AGENT_APPLY_H
#define MESHANICS_COMMANDS_AGENT_APPLY_H

#include "commands/command.h"

struct agent_hand_options;	/* agent/agent.h */

#define CREATED_LEN 64

/*
 * Hand a bundle to the agent, tell what becomes of it, and judge the end. *held: the bundle was good, so that what failed
 * is about its artifacts. created (CREATED_LEN bytes): when it was made, in an order that strcmp knows; or NULL.
 */
WARN_UNUSED int bundle_apply(struct cmd *cmd, const struct agent_hand_options *o, bool *held, char *created,
			     struct error *err);
/* The same with the newest bundle of a medium mounted at dir, if device policy allows that. */
WARN_UNUSED int bundle_apply_media(struct cmd *cmd, const struct agent_hand_options *o, const char *dir,
				   struct error *err);

#endif
