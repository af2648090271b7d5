/* meshanics backup restore: a control plane from a backup, in an empty home. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "commands/backups.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/user.h"
#include "tuf/repo.h"

static const struct option options[] = {
	PASSPHRASE_OPTIONS,
	{ .name = NULL },
};

/* As the owner of HOME/control, with its lock. */
static int restore(struct cmd *cmd, int fd, struct slice passphrase, struct backup_info *info, struct error *err)
{
	const struct backup_progress progress = {.tell = backup_tell, .arg = cmd};
	char control[4096], actor[32];
	int r, lock;

	snprintf(actor, sizeof(actor), "local:%u", (unsigned)getuid());
	path_join(control, cmd_home(cmd), "control");
	if (file_mkdirs(AT_FDCWD, control, 0700, err) < 0 || user_become_owner(AT_FDCWD, control, err) < 0)
		return -1;
	lock = repo_lock(cmd_home(cmd), err);
	if (lock < 0) {
		error_wrap(err, "'%s' is in use", cmd_home(cmd));
		return error_hint(err, "restore into a home of its own");
	}
	r = backup_restore(cmd_home(cmd), fd, passphrase, actor, clock_now_s(), &progress, info, err);
	file_close(&lock);
	return r;
}

static int backup_restore_run(struct cmd *cmd, struct error *err)
{
	struct buf passphrase = BUF_SECRET(PASSPHRASE_MAX);
	const char *path = cmd_operand(cmd, 0);
	struct backup_info info;
	int r = -1, fd = file_open(AT_FDCWD, path, O_RDONLY, 0, err);

	if (fd >= 0 && cmd_passphrase(cmd, "the backup", "", false, &passphrase, err) == 0) {
		r = restore(cmd, fd, buf_slice(&passphrase), &info, err);
		if (r < 0)
			error_wrap(err, "cannot restore '%s'", path);
	}
	file_close(&fd);
	buf_release(&passphrase);
	if (r < 0)
		return -1;
	backup_report(cmd, "restored", path, &info);
	cmd_note(cmd, "serve signs again once devices had %d seconds to say what they have seen", RESTORED_WAIT_S);
	return 0;
}

const struct command cmd_backup_restore = {
	.name = "backup restore",
	.usage = "FILE",
	.summary = "bring a control plane back, into an empty home",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = backup_restore_run,
};
