/* meshanics backup create: one sealed file that brings a control plane back. */
#include <fcntl.h>

#include "base/encode.h"
#include "commands/backups.h"
#include "commands/request.h"
#include "crypto/hash.h"
#include "sys/clock.h"
#include "sys/file.h"

static const struct option options[] = {
	{ .name = "force", .type = OPT_FLAG, .help = "replace FILE if it is there" },
	PASSPHRASE_OPTIONS,
	{ .name = NULL },
};

/* So that the trail says when the secrets of this machine went into a file, and into which. */
static int record(struct cmd *cmd, const uint8_t hash[static SHA256_LEN], uint64_t bytes, struct error *err)
{
	struct door_options o = {.home = cmd_home(cmd), .now_s = clock_now_s()};
	struct buf body = BUF_INIT(512), reply = BUF_INIT(65536);
	struct json_writer w = JSON_WRITER(&body);
	struct door *d = door_open(&o, err);
	int r = -1;

	json_open_object(&w, NULL);
	json_put_hex(&w, "sha256", hash, SHA256_LEN);
	json_put_int(&w, "bytes", (int64_t)bytes);
	json_close(&w);
	if (d != NULL)
		r = door_call(d, "POST", "/api/v1/backups", buf_slice(&body), &reply, err);
	door_close(d);
	buf_release(&body);
	buf_release(&reply);
	return r;
}

static int create(struct cmd *cmd, const char *path, struct slice passphrase, struct backup_info *info,
		  uint8_t hash[static SHA256_LEN], uint64_t *bytes, struct error *err)
{
	const struct backup_progress progress = {.tell = backup_tell, .arg = cmd};
	struct newfile f = NEWFILE_INIT;
	int r = -1;

	if (!cmd_flag(cmd, "force") && file_exists(AT_FDCWD, path)) {
		error_set(err, ERR_CONFLICT, "'%s' is there already", path);
		return error_hint(err, "choose another name, or replace it with --force");
	}
	if (newfile_open(&f, AT_FDCWD, path, 0600, err) == 0 &&
	    backup_create(cmd_home(cmd), f.fd, passphrase, SEALED_COST, clock_now_s(), &progress, info, err) == 0 &&
	    sha256_file(f.fd, hash, bytes, NULL, NULL, err) == 0)
		r = newfile_commit(&f, err);
	newfile_abort(&f);
	return r;
}

static int backup_create_run(struct cmd *cmd, struct error *err)
{
	struct buf passphrase = BUF_SECRET(PASSPHRASE_MAX);
	struct error why = ERROR_INIT;
	struct backup_info info;
	uint8_t hash[SHA256_LEN];
	uint64_t bytes;
	int r = -1;

	if (cmd_passphrase(cmd, "the backup", "", true, &passphrase, err) == 0)
		r = create(cmd, cmd_operand(cmd, 0), buf_slice(&passphrase), &info, hash, &bytes, err);
	buf_release(&passphrase);
	if (r < 0)
		return -1;
	if (record(cmd, hash, bytes, &why) < 0)
		cmd_warn(cmd, "the backup is made, but the audit trail does not say so: %s", why.text);
	backup_report(cmd, "made", cmd_operand(cmd, 0), &info);
	return 0;
}

const struct command cmd_backup_create = {
	.name = "backup create",
	.usage = "FILE",
	.summary = "seal database, repository, online keys and CAs into one file",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = backup_create_run,
};
