/* meshanics backup verify: is this backup whole? */
#include <fcntl.h>

#include "commands/backups.h"
#include "sys/file.h"

static const struct option options[] = {
	PASSPHRASE_OPTIONS,
	{ .name = NULL },
};

static int backup_verify_run(struct cmd *cmd, struct error *err)
{
	const struct backup_progress progress = {.tell = backup_tell, .arg = cmd};
	struct buf passphrase = BUF_SECRET(PASSPHRASE_MAX);
	const char *path = cmd_operand(cmd, 0);
	struct backup_info info;
	int r = -1, fd = file_open(AT_FDCWD, path, O_RDONLY, 0, err);

	if (fd >= 0 && cmd_passphrase(cmd, "the backup", "", false, &passphrase, err) == 0) {
		r = backup_verify(fd, buf_slice(&passphrase), &progress, &info, err);
		if (r < 0)
			error_wrap(err, "'%s'", path);
	}
	if (r == 0)
		backup_report(cmd, "whole", path, &info);
	file_close(&fd);
	buf_release(&passphrase);
	return r;
}

const struct command cmd_backup_verify = {
	.name = "backup verify",
	.usage = "FILE",
	.summary = "read a backup to its end and check every byte",
	.options = options,
	.operands_min = 1,
	.operands_max = 1,
	.run = backup_verify_run,
};
