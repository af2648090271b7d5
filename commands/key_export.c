/* `key export`: the public part of a key, as other programs want it. */
#include "commands/keys.h"

static const struct option key_export_options[] = {
	{ .name = "format", .type = OPT_STRING, .value = "FORMAT",
	  .help = "pem (the default), ssh, allowed-signers or tuf" },
	{ .name = "identity", .type = OPT_STRING, .value = "WHO",
	  .help = "who signs, for allowed-signers; the name of the key by default" },
	{ .name = NULL },
};

/* A word of an allowed_signers line: white space ends it, and quotes, commas and patterns mean something else. */
static int check_identity(const char *who, struct error *err)
{
	const char *p;

	for (p = who; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~' || strchr("\"'#,*?!", *p) != NULL)
			break;
	if (*p == '\0' && p != who)
		return 0;
	error_set(err, ERR_USAGE, "'%s' is no identity for allowed-signers", who);
	return error_hint(err, "give one word, as in a mail address");
}

/* For `ssh-keygen -Y verify`: good for everything that meshanics signs in that format, and nothing else. */
static int put_allowed_signers(struct buf *out, const struct cmd *cmd, const struct keyfile *k, struct error *err)
{
	const char *who = cmd_string(cmd, "identity", k->name);

	if (check_identity(who, err) < 0)
		return -1;
	buf_printf(out, "%s namespaces=\"meshanics-*\" ", who);
	pubkey_put_ssh(out, &k->pub, k->comment);
	buf_put_u8(out, '\n');
	return 0;
}

static int put_format(struct buf *out, const struct cmd *cmd, const char *format, const struct keyfile *k,
		      struct error *err)
{
	struct json_writer w = JSON_WRITER(out);

	if (cmd_has(cmd, "identity") && strcmp(format, "allowed-signers") != 0)
		return error_set(err, ERR_USAGE, "--identity goes with --format allowed-signers only");
	if (strcmp(format, "allowed-signers") == 0)
		return put_allowed_signers(out, cmd, k, err);
	if (strcmp(format, "pem") == 0) {
		pubkey_put_pem(out, &k->pub);
	} else if (strcmp(format, "ssh") == 0) {
		pubkey_put_ssh(out, &k->pub, k->comment[0] != '\0' ? k->comment : k->name);
		buf_put_u8(out, '\n');
	} else if (strcmp(format, "tuf") == 0) {
		pubkey_put_tuf(&w, NULL, &k->pub);
		buf_put_u8(out, '\n');
	} else {
		error_set(err, ERR_USAGE, "no such format '%s'", format);
		return error_hint(err, "give pem, ssh, allowed-signers or tuf");
	}
	return 0;
}

static void print_json(struct cmd *cmd, const char *format, const struct keyfile *k, const struct buf *text)
{
	struct buf b = BUF_INIT(32768);
	struct json_writer w = JSON_WRITER(&b);

	json_open_object(&w, NULL);
	json_put_string(&w, "name", k->name);
	json_put_string(&w, "keyid", k->keyid);
	json_put_string(&w, "format", format);
	json_put_slice(&w, "text", buf_slice(text));
	json_close(&w);
	cmd_write_json(cmd, &b);
	buf_release(&b);
}

static int key_export_run(struct cmd *cmd, struct error *err)
{
	const char *format = cmd_string(cmd, "format", "pem");
	struct buf text = BUF_INIT(16384);
	char path[KEYS_PATH_MAX];
	struct keyfile k;
	int r = -1;

	if (keys_read(cmd, cmd_operand(cmd, 0), path, &k, err) < 0 || put_format(&text, cmd, format, &k, err) < 0)
		goto out;
	if (cmd_json(cmd))
		print_json(cmd, format, &k, &text);
	else
		cmd_write(cmd, buf_slice(&text));
	r = 0;
out:
	buf_release(&text);
	return r;
}

const struct command cmd_key_export = {
	.name = "key export",
	.usage = "NAME",
	.summary = "print the public part of a key for other programs",
	.options = key_export_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = key_export_run,
};
