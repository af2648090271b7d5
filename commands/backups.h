/* What the backup verbs share. */
#ifndef MESHANICS_COMMANDS_BACKUPS_H
#define MESHANICS_COMMANDS_BACKUPS_H

#include "commands/command.h"
#include "fleet/backup.h"

/* Progress on the terminal; arg is the cmd. */
void backup_tell(void *arg, const char *what, uint64_t done, uint64_t total);
/* What is in the backup, in either form. word: what was done ("made"). */
void backup_report(struct cmd *cmd, const char *word, const char *path, const struct backup_info *info);

#endif
