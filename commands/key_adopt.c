/* `key adopt`: a key that is in a token already gets a name in this home. */
#include "commands/keys.h"
#include "sys/clock.h"
#include "sys/file.h"

static const struct option key_adopt_options[] = {
	{ .name = "pkcs11", .type = OPT_STRING, .value = "URI", .required = true,
	  .help = "pkcs11:token=LABEL;object=LABEL?module-path=FILE: where it is" },
	{ .name = "comment", .type = OPT_STRING, .value = "TEXT",
	  .help = "words for people, kept in the key file" },
	PASSPHRASE_OPTIONS,
	{ .name = NULL },
};

static int adopt(struct cmd *cmd, const char *name, int keys_fd, struct error *err)
{
	struct buf pin = BUF_SECRET(PASSPHRASE_MAX);
	bool confined = false;
	struct pkcs11_uri u;
	int r = -1;

	if (keys_check_new(keys_fd, name, err) < 0 || keys_token(cmd, name, &u, &pin, err) < 0 ||
	    keyfile_adopt_token(keys_fd, name, &u, buf_slice(&pin), cmd_string(cmd, "comment", ""), clock_now_s(),
				&confined, err) < 0)
		goto out;
	if (!confined)
		cmd_warn(cmd, "there may be copies of key '%s': it was not made in the token, or can leave it", name);
	r = keys_report(cmd, name, err);
out:
	buf_release(&pin);
	return r;
}

static int key_adopt_run(struct cmd *cmd, struct error *err)
{
	int keys_fd, r;

	if ((keys_fd = keys_directory(cmd, err)) < 0)
		return -1;
	r = adopt(cmd, cmd_operand(cmd, 0), keys_fd, err);
	file_close(&keys_fd);
	return r;
}

const struct command cmd_key_adopt = {
	.name = "key adopt",
	.usage = "NAME",
	.summary = "use a key that is in a token already",
	.options = key_adopt_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = key_adopt_run,
};
