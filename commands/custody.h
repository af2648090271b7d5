/* The chain of custody as `audit verify --with` prints it. */
#ifndef MESHANICS_COMMANDS_CUSTODY_H
#define MESHANICS_COMMANDS_CUSTODY_H

#include "commands/command.h"
#include "fleet/custody.h"

/* After custody_judge, also when it found contradictions. a and b: the reports of the two trails. */
void custody_report(struct cmd *cmd, const struct custody *c, const struct audit_export_report *a,
		    const struct audit_export_report *b, bool is_signed);

#endif
