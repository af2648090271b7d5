/* `ceremony sign`: one signer reads what his key will say, and says it. */
#include <stdlib.h>

#include "commands/ceremony.h"
#include "commands/keys.h"
#include "crypto/fingerprint.h"

static const struct option ceremony_sign_options[] = {
	{ .name = "key", .type = OPT_STRING, .value = "NAME", .required = true,
	  .help = "sign with key NAME of this home, or with a key file's path" },
	{ .name = "root", .type = OPT_STRING, .value = "FILE",
	  .help = "your own copy of the root in force: refuse a request that calls another one so" },
	{ .name = "targets", .type = OPT_STRING, .value = "FILE",
	  .help = "the same for the targets in force" },
	{ .name = "like", .type = OPT_STRING, .value = "FILE",
	  .help = "the same for the root of the site whose targets this one takes" },
	{ .name = "fingerprint", .type = OPT_STRING, .value = "DIGITS",
	  .help = "the first 16 digits of the fingerprint, or more, as told by the one who made the request" },
	{ .name = "output", .type = OPT_STRING, .value = "FILE", .letter = 'o',
	  .help = "write the answer to FILE; answer-NAME.json when not given" },
	PASSPHRASE_OPTIONS,
	{ .name = NULL },
};

/* The fingerprint without what the signer has to know from elsewhere. A statement that was cut would hide its end. */
static int show(struct cmd *cmd, const struct ceremony *c, const struct keyfile *key, int64_t now_s, struct error *err)
{
	struct buf text = BUF_INIT(1u << 20);
	char hidden[SHA256_HEX_LEN];
	int r = 0;

	ceremony_statement(&text, c, now_s);
	if (text.failed) {
		r = error_set(err, ERR_REFUSED, "the statement of this request is longer than anybody reads (%zu bytes)",
			      text.max);
		error_hint(err, "do not sign, and find out who made the request");
	} else if (!cmd_json(cmd)) {
		cmd_printf(cmd, "%s\n", buf_cstr(&text));
		cmd_printf(cmd, "you sign with  %s (%.16s...)\n", key->name, key->keyid);
		fingerprint_hide(hidden, ceremony_fingerprint(c), FINGERPRINT_DIGITS_MIN);
		cmd_printf(cmd, "fingerprint    %s\n", hidden);
	}
	buf_release(&text);
	return r;
}

/* Compare what the request calls in force with the signer's own copy, if he gives one. */
static int confirm(struct step *s, struct ceremony *c, enum ceremony_roles role, const char *option, struct error *err)
{
	const char *path = cmd_string(s->cmd, option, NULL);
	struct buf own = BUF_INIT(CEREMONY_REQUEST_MAX);
	int r = -1;

	if (path == NULL)
		return 0;
	if (step_read(s, path, &own, err) == 0 && (r = ceremony_confirm(c, role, buf_slice(&own), err)) < 0)
		error_wrap(err, "--%s '%s'", option, path);
	buf_release(&own);
	return r;
}

static int approve(struct cmd *cmd, const struct ceremony *c, struct error *err)
{
	struct buf typed = BUF_INIT(256);
	char question[128];
	int r = -1;

	if (cmd_has(cmd, "fingerprint"))
		return ceremony_check_prefix(c, cmd_string(cmd, "fingerprint", ""), err);
	snprintf(question, sizeof(question), "If this is what you want to sign, type the first %d digits of the fingerprint",
		 FINGERPRINT_DIGITS_MIN);
	if (cmd_flush(cmd, err) == 0 && cmd_ask(cmd, question, "fingerprint", &typed, err) == 0)
		r = ceremony_check_prefix(c, buf_cstr(&typed), err);
	buf_release(&typed);
	return r;
}

static void report(struct cmd *cmd, const struct ceremony *c, const struct keyfile *key, const char *output)
{
	struct buf out = BUF_INIT(1u << 16);
	struct json_writer w = JSON_WRITER(&out);

	if (cmd_json(cmd)) {
		json_open_object(&w, NULL);
		json_put_string(&w, "answer", output);
		json_put_string(&w, "request", ceremony_fingerprint(c));
		json_put_string(&w, "keyid", key->keyid);
		json_open_array(&w, "unchecked");
		if (ceremony_unconfirmed(c, CEREMONY_ROOT))
			json_put_string(&w, NULL, "root");
		if (ceremony_unconfirmed(c, CEREMONY_TARGETS))
			json_put_string(&w, NULL, "targets");
		if (ceremony_unconfirmed(c, CEREMONY_LIKE))
			json_put_string(&w, NULL, "like");
		json_close(&w);
		json_close(&w);
		cmd_write_json(cmd, &out);
	} else {
		cmd_printf(cmd, "answer         %s\n", output);
		cmd_note(cmd, "carry it back to the one who made the request");
	}
	buf_release(&out);
}

static int write_answer(struct step *s, const struct ceremony *c, const struct keyfile *key, const char *output,
			struct error *err)
{
	struct buf text = BUF_INIT(CEREMONY_ANSWER_MAX);
	struct seckey *secret = keys_open(s->cmd, cmd_string(s->cmd, "key", ""), err);
	char detail[128];
	int r = -1;

	snprintf(detail, sizeof(detail), "signed with %s", key->keyid);
	if (secret != NULL && ceremony_sign(&text, c, secret, s->now_s, s->head, err) == 0 &&
	    step_note(s, output, buf_slice(&text), err) == 0 &&
	    step_end(s, "sign", ceremony_fingerprint(c), detail, err) == 0)
		r = ceremony_write(output, buf_slice(&text), err);
	seckey_free(secret);
	buf_release(&text);
	return r;
}

static int sign_run(struct cmd *cmd, struct step *s, struct error *err)
{
	struct ceremony *c = NULL;
	char path[KEYS_PATH_MAX], name[128];
	const char *output;
	struct keyfile key;
	int r = -1;

	if (keys_read(cmd, cmd_string(cmd, "key", ""), path, &key, err) < 0 ||
	    (c = ceremony_read(s, cmd_operand(cmd, 0), err)) == NULL)
		goto out;
	snprintf(name, sizeof(name), "answer-%s.json", key.name);
	output = cmd_string(cmd, "output", name);
	if (ceremony_check_key(c, &key, err) < 0 || ceremony_check_time(c, s->now_s, err) < 0 ||
	    confirm(s, c, CEREMONY_ROOT, "root", err) < 0 || confirm(s, c, CEREMONY_TARGETS, "targets", err) < 0 ||
	    confirm(s, c, CEREMONY_LIKE, "like", err) < 0 ||
	    ceremony_check_absent(output, err) < 0)
		goto out;
	if (show(cmd, c, &key, s->now_s, err) < 0 || approve(cmd, c, err) < 0 || write_answer(s, c, &key, output, err) < 0)
		goto out;
	report(cmd, c, &key, output);
	r = 0;
out:
	ceremony_free(c);
	return r;
}

static int ceremony_sign_run(struct cmd *cmd, struct error *err)
{
	struct step *s = step_begin(cmd, err);
	int r = s == NULL ? -1 : sign_run(cmd, s, err);

	free(s);
	return r;
}

const struct command cmd_ceremony_sign = {
	.name = "ceremony sign",
	.usage = "REQUEST",
	.summary = "read a request and sign it with one key",
	.options = ceremony_sign_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = ceremony_sign_run,
};
