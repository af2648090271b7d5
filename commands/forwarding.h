/* Forwards of a network as an operator sees them, for the verbs of forward. They need NEEDS_HOME. */
#ifndef MESHANICS_COMMANDS_FORWARDING_H
#define MESHANICS_COMMANDS_FORWARDING_H

#include "commands/called.h"

#define FORWARDING_DOCUMENT_MAX (1u << 20)

/* One forward, as a member of an array (name NULL) or of an object. */
void forwarding_put(struct json_writer *w, const char *name, const struct network *n, const struct forward *f);
/* "printer is 192.168.1.50", and its addresses where they are known. */
void forwarding_print(struct cmd *cmd, const struct network *n, const struct forward *f);

#endif
