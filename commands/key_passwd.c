/* `key passwd`: seal a key with another passphrase. */
#include <fcntl.h>

#include "commands/keys.h"

static const struct option key_passwd_options[] = {
	PASSPHRASE_OPTIONS,
	{ .name = "new-passphrase-file", .type = OPT_STRING, .value = "FILE",
	  .help = "read the new passphrase from FILE" },
	{ .name = "new-passphrase-fd", .type = OPT_INT, .value = "N", .min = 0, .max = 1023,
	  .help = "read the new passphrase from descriptor N" },
	{ .name = "unsealed", .type = OPT_FLAG,
	  .help = "take the seal off, for a program's use" },
	{ .name = NULL },
};

/* The new passphrase; stays empty when the seal is to come off. */
static int ask_new(struct cmd *cmd, const struct keyfile *k, struct buf *out, struct error *err)
{
	if (!cmd_flag(cmd, "unsealed"))
		return cmd_passphrase(cmd, k->name, "new-", true, out, err);
	if (cmd_has(cmd, "new-passphrase-file") || cmd_has(cmd, "new-passphrase-fd"))
		return error_set(err, ERR_USAGE, "--unsealed and a new passphrase exclude each other");
	return 0;
}

static int report(struct cmd *cmd, const char *word, struct error *err)
{
	struct buf b = BUF_INIT(16384);
	struct json_writer w = JSON_WRITER(&b);
	char path[KEYS_PATH_MAX];
	struct keyfile k;

	if (keys_read(cmd, word, path, &k, err) < 0)
		return -1;
	if (cmd_json(cmd)) {
		keys_put_json(&w, NULL, &k, path);
		cmd_write_json(cmd, &b);
	} else {
		cmd_note(cmd, "key '%s' is now %s", k.name, k.sealed ? "sealed with the new passphrase" : "unsealed");
	}
	buf_release(&b);
	keys_warn_open(cmd, &k, path);
	return 0;
}

/* What guards it is not in the file. */
static int check_file(const struct keyfile *k, struct error *err)
{
	if (!keyfile_is_token(k))
		return 0;
	error_set(err, ERR_USAGE, "key '%s' is in a token: there is no passphrase to change", k->name);
	return error_hint(err, "the token's own tool changes its PIN: pkcs11-tool --module FILE --login --change-pin");
}

static int key_passwd_run(struct cmd *cmd, struct error *err)
{
	struct buf fresh = BUF_SECRET(PASSPHRASE_MAX);
	const char *word = cmd_operand(cmd, 0);
	char path[KEYS_PATH_MAX];
	struct seckey *opened = NULL;
	struct keyfile k;
	int r = -1;

	if (keys_read(cmd, word, path, &k, err) < 0 || check_file(&k, err) < 0)
		goto out;
	opened = keys_open(cmd, word, err);	/* a wrong passphrase is told before a new one is asked for */
	if (opened == NULL || ask_new(cmd, &k, &fresh, err) < 0 ||
	    keyfile_reseal(AT_FDCWD, path, opened, buf_slice(&fresh), err) < 0)
		goto out;
	r = report(cmd, word, err);
out:
	seckey_free(opened);
	buf_release(&fresh);
	return r;
}

const struct command cmd_key_passwd = {
	.name = "key passwd",
	.usage = "NAME",
	.summary = "change the passphrase of a key",
	.options = key_passwd_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = key_passwd_run,
};
