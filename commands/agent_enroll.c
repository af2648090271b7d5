/* meshanics agent enroll: make this device part of a fleet, with a token, an answer on a stick, or a prepared identity. */
#include "agent/agent.h"
#include "base/json.h"
#include "bundle/enrolment.h"
#include "commands/command.h"
#include "crypto/fingerprint.h"
#include "sys/clock.h"
#include "sys/file.h"

#define TOKEN_FILE_MAX 4096
/*
 * Digits that whoever is asked must know from elsewhere. More than FINGERPRINT_DIGITS_MIN: a request wants several
 * signers and lapses, this root is trusted ever after on the word of one.
 */
#define ROOT_DIGITS_MIN 20

static const struct option options[] = {
	{ .name = "token-file", .type = OPT_STRING, .value = "FILE",
	  .help = "read the token from FILE; - is standard input" },
	{ .name = "media", .type = OPT_STRING, .value = "DIR",
	  .help = "take the answer from the stick mounted at DIR" },
	{ .name = "identity", .type = OPT_STRING, .value = "FILE", .help = "take the whole identity in FILE" },
	{ .name = "root", .type = OPT_STRING, .value = "FILE",
	  .help = "the root file to trust, brought along; with a token, instead of the server's" },
	{ .name = "root-sha256", .type = OPT_STRING, .value = "HEX",
	  .help = "its SHA-256, told by those who hold the keys (not with a token)" },
	{ .name = "name", .type = OPT_STRING, .value = "NAME",
	  .help = "with a token: suggest a name (default: the host's)" },
	{ .name = "proxy", .type = OPT_STRING, .value = "URL", .config = "agent.proxy",
	  .help = "with a token: HTTP proxy to reach the control plane by" },
	PASSPHRASE_OPTIONS,
	{ .name = NULL },
};

static int read_token(struct cmd *cmd, struct buf *token, struct error *err)
{
	const char *path = cmd_string(cmd, "token-file", NULL);
	int r;

	r = strcmp(path, "-") == 0 ? file_read_fd(0, token, "standard input", err)
				   : file_read_private(AT_FDCWD, path, token, err);
	while (r == 0 && token->len > 0 && (token->ptr[token->len - 1] == '\n' || token->ptr[token->len - 1] == '\r'))
		token->len--;
	return r;
}

static int by_token(struct cmd *cmd, struct buf *out, struct error *err)
{
	struct buf token = BUF_SECRET(TOKEN_FILE_MAX);
	struct agent_enroll_options o = {
		.home = cmd_home(cmd),
		.root_path = cmd_string(cmd, "root", NULL),
		.name = cmd_string(cmd, "name", NULL),
		.proxy = cmd_string(cmd, "proxy", NULL),
		.now_s = clock_now_s(),
	};
	int r = -1;

	if (read_token(cmd, &token, err) == 0) {
		o.token = buf_cstr(&token);
		r = agent_enroll(&o, out, err);
	}
	buf_release(&token);
	return r;
}

/* As in a ceremony: the digits that are not shown prove that they came by another way than the stick. */
static int confirm_root(void *arg, const char *site, int64_t version, const char *hex, struct error *err)
{
	struct cmd *cmd = arg;
	struct buf typed = BUF_INIT(256);
	char hidden[SHA256_HEX_LEN], question[128];
	int r;

	cmd_note(cmd, "the answer brings root version %lld of site '%s'", (long long)version, site);
	fingerprint_hide(hidden, hex, ROOT_DIGITS_MIN);
	cmd_note(cmd, "SHA-256   %s", hidden);
	snprintf(question, sizeof(question), "If this device shall trust it, type the first %d digits as told by those who "
		 "hold the keys", ROOT_DIGITS_MIN);
	r = cmd_ask(cmd, question, "root-sha256", &typed, err);
	if (r < 0 && err->kind == ERR_USAGE) {
		error_set(err, ERR_REFUSED, "nothing says which root this device shall trust");
		err->hint[0] = '\0';
		error_hint(err, "give --root FILE, or --root-sha256 with the digest told by those who hold the keys");
	} else if (r == 0) {
		r = fingerprint_check(hex, buf_cstr(&typed), ROOT_DIGITS_MIN, "the SHA-256 of this root", err);
		if (r < 0 && err->kind == ERR_REFUSED)
			error_hint(err, "this is not the root of those who told the digits, or they were misheard");
		else if (r < 0)
			error_hint(err, "those who hold the keys have them: how the SHA-256 of their root.json begins");
	}
	buf_release(&typed);
	return r;
}

static struct agent_answer_options answer_options(struct cmd *cmd)
{
	return (struct agent_answer_options){
		.home = cmd_home(cmd),
		.root_path = cmd_string(cmd, "root", NULL),
		.root_sha256 = cmd_string(cmd, "root-sha256", NULL),
		.confirm = confirm_root,
		.confirm_arg = cmd,
		.now_s = clock_now_s(),
	};
}

static int by_media(struct cmd *cmd, struct buf *out, struct error *err)
{
	struct agent_answer_options o = answer_options(cmd);

	o.media = cmd_string(cmd, "media", NULL);
	return agent_take_answer(&o, out, err);
}

/* The file lies on a stick, where modes mean little: whoever could read it is for its seal to say. */
static int by_identity(struct cmd *cmd, struct buf *out, struct error *err)
{
	struct agent_answer_options o = answer_options(cmd);
	struct buf file = BUF_SECRET(ENROLMENT_IDENTITY_MAX), line = BUF_SECRET(ENROLMENT_IDENTITY_MAX);
	struct buf passphrase = BUF_SECRET(PASSPHRASE_MAX);
	int r = -1;

	if (file_read(AT_FDCWD, cmd_string(cmd, "identity", NULL), &file, err) < 0)
		goto out;
	o.identity = buf_slice(&file);
	if (enrolment_is_sealed(buf_slice(&file))) {
		if (cmd_passphrase(cmd, "the identity", "", false, &passphrase, err) < 0 ||
		    enrolment_unseal(&line, buf_slice(&file), buf_slice(&passphrase), err) < 0)
			goto out;
		o.identity = buf_slice(&line);
		o.vouched = true;
	}
	r = agent_take_answer(&o, out, err);
out:
	buf_release(&file);
	buf_release(&line);
	buf_release(&passphrase);
	return r;
}

/* One way in, and no option that belongs to another. */
static int check_way(struct cmd *cmd, struct error *err)
{
	static const char *const ways[] = {"token-file", "media", "identity"};
	bool token = cmd_has(cmd, "token-file");
	unsigned n = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++)
		n += cmd_has(cmd, ways[i]);
	if (n != 1)
		return error_set(err, ERR_USAGE, "give one of --token-file, --media and --identity");
	if (token && cmd_has(cmd, "root-sha256"))
		return error_set(err, ERR_USAGE, "--root-sha256 is not for a token, which names the root itself");
	if (!token && cmd_has(cmd, "name"))
		return error_set(err, ERR_USAGE, "--name is for a token; the request on the stick has suggested one");
	return 0;
}

static int print_words(struct cmd *cmd, struct slice text, struct error *err)
{
	struct slice device, site, not_after;
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, text, JSON_STRICT, err) == 0 &&
	    json_need_string(json_root(&doc), "device", &device, err) == 0 &&
	    json_need_string(json_root(&doc), "site", &site, err) == 0 &&
	    json_need_string(json_root(&doc), "not_after", &not_after, err) == 0) {
		cmd_printf(cmd, "enrolled as '%.*s' of site '%.*s'; the certificate lives until %.*s\n", SLICE_ARG(device),
			   SLICE_ARG(site), SLICE_ARG(not_after));
		r = 0;
	}
	json_release(&doc);
	return r;
}

static int agent_enroll_command(struct cmd *cmd, struct error *err)
{
	struct buf out = BUF_INIT(65536);
	int r = -1;

	if (check_way(cmd, err) < 0)
		goto out;
	r = cmd_has(cmd, "media")	? by_media(cmd, &out, err)
	    : cmd_has(cmd, "identity") ? by_identity(cmd, &out, err)
					: by_token(cmd, &out, err);
	if (r == 0 && cmd_json(cmd))
		cmd_write_json(cmd, &out);
	else if (r == 0)
		r = print_words(cmd, buf_slice(&out), err);
out:
	buf_release(&out);
	return r;
}

const struct command cmd_agent_enroll = {
	.name = "agent enroll",
	.usage = "",
	.summary = "make this device part of a fleet, with a token or by a stick",
	.options = options,
	.needs = NEEDS_HOME | NEEDS_CONFIG,
	.run = agent_enroll_command,
};
