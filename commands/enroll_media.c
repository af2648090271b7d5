/* meshanics enroll media: a whole identity on a stick, for a device that is made in a factory. */
#include <stdio.h>

#include "base/timefmt.h"
#include "bundle/enrolment.h"
#include "commands/enrolments.h"
#include "sys/clock.h"

#define BODY_MAX (64u << 10)

static const struct option options[] = {
	{ .name = "media", .type = OPT_STRING, .value = "DIR", .required = true,
	  .help = "write NAME.identity to the stick mounted at DIR" },
	{ .name = "device", .type = OPT_STRING, .value = "NAME", .required = true,
	  .help = "the device's name; revokes the former certificates of that name" },
	{ .name = "root", .type = OPT_STRING, .value = "FILE", .required = true,
	  .help = "newest root metadata of the site, which the device will keep as its anchor" },
	{ .name = "tag", .type = OPT_LIST, .value = "TAG", .help = "give this tag to the device" },
	ENROLMENT_HOST_OPTION,
	{ .name = "unsealed", .type = OPT_FLAG,
	  .help = "leave the private key open to whoever reads the stick" },
	PASSPHRASE_OPTIONS,
	DOOR_OPTIONS,
	{ .name = NULL },
};

struct preparing {
	struct cmd *cmd;
	struct enrolments to;
	struct seckey *key;
	struct buf request, line, out, passphrase;
	struct answer answer;
};

/* As a device would ask, by a key that is made here. */
static int make_request(struct preparing *p, struct error *err)
{
	struct enrolment_request q = ENROLMENT_REQUEST_INIT;
	const char *device = cmd_string(p->cmd, "device", NULL);
	int r = -1;

	if (enrolment_file_check(slice_str(device), err) < 0) {
		err->hint[0] = '\0';
		goto out;
	}
	q.created_s = clock_now_s();
	snprintf(q.file, sizeof(q.file), "%s", device);
	snprintf(q.hostname, sizeof(q.hostname), "%s", device);
	enrolment_nonce(&q);
	if ((p->key = seckey_generate(KEY_ECDSA_P256, err)) != NULL)
		r = enrolment_request_put(&p->request, &q, p->key, NULL, err);
out:
	enrolment_request_release(&q);
	return r;
}

static int read_passphrase(struct preparing *p, struct error *err)
{
	struct cmd *cmd = p->cmd;

	if (!cmd_flag(cmd, "unsealed"))
		return cmd_passphrase(cmd, "the identity", "", true, &p->passphrase, err);
	if (cmd_given(cmd, "passphrase-file") || cmd_has(cmd, "passphrase-fd"))
		return error_set(err, ERR_USAGE, "--unsealed and a passphrase exclude each other");
	return 0;
}

/* The certificate is granted before the file is there: what is lost in between is granted anew, and the former revoked. */
static int prepare(struct preparing *p, const char *file, struct error *err)
{
	struct buf body = BUF_INIT(BODY_MAX);
	struct slice text;
	int r = enrolments_body(p->cmd, &body, buf_slice(&p->request), cmd_string(p->cmd, "device", NULL), NULL, true, err);

	if (r == 0)
		r = request(p->cmd, "POST", "/api/v1/enroll/sign", buf_slice(&body), &p->answer, NULL, err);
	buf_release(&body);
	if (r < 0 || json_need_string(answer_root(&p->answer), "answer", &text, err) < 0 ||
	    enrolment_identity_put(&p->line, p->key, buf_slice(&p->request), text, err) < 0)
		return -1;
	if (cmd_flag(p->cmd, "unsealed"))
		return enrolments_write(&p->to, file, buf_slice(&p->line), err);
	if (enrolment_seal(&p->out, buf_slice(&p->line), buf_slice(&p->passphrase), err) < 0)
		return -1;
	return enrolments_write(&p->to, file, buf_slice(&p->out), err);
}

static void report(struct preparing *p, const char *file)
{
	struct json_value a = answer_root(&p->answer);
	struct buf json = BUF_INIT(1u << 20);
	struct json_writer w = JSON_WRITER(&json);
	char device[80], until[32];
	struct json_iter it;
	int64_t revoked = 0;

	if (json_type(json_get(a, "revoked")) == JSON_INT)
		revoked = json_int(json_get(a, "revoked"));
	if (cmd_json(p->cmd)) {
		json_open_object(&w, NULL);
		json_put_string(&w, "file", file);
		json_put_bool(&w, "sealed", !cmd_flag(p->cmd, "unsealed"));
		for (it = json_iter(a); json_next(&it);)
			if (!slice_equal_str(it.key, "answer"))
				json_put_value_key(&w, it.key, it.value);
		json_close(&w);
		cmd_write_json(p->cmd, &json);
	} else {
		cmd_printf(p->cmd, "%s: device '%s' until %s\n", file, identity_text(a, "device", device, sizeof(device)),
			   identity_text(a, "not_after", until, sizeof(until)));
	}
	if (revoked > 0)
		cmd_note(p->cmd, "%lld former certificate%s of this name %s revoked", (long long)revoked,
			 revoked == 1 ? "" : "s", revoked == 1 ? "was" : "were");
	cmd_note(p->cmd, "for one device: on it, 'meshanics agent enroll --identity FILE'; then destroy the file");
	buf_release(&json);
}

static int enroll_media_command(struct cmd *cmd, struct error *err)
{
	struct preparing p = {
		.cmd = cmd,
		.to = ENROLMENTS_INIT,
		.request = BUF_INIT(ENROLMENT_REQUEST_MAX),
		.line = BUF_SECRET(ENROLMENT_IDENTITY_MAX),
		.out = BUF_INIT(ENROLMENT_IDENTITY_MAX),
		.passphrase = BUF_SECRET(PASSPHRASE_MAX),
		.answer = ANSWER_INIT,
	};
	char file[MEDIA_NAME_MAX + 1];
	int r = -1;

	snprintf(file, sizeof(file), "%.*s.identity", ENROLMENT_FILE_MAX, cmd_string(cmd, "device", ""));
	if (make_request(&p, err) < 0 || read_passphrase(&p, err) < 0 ||
	    (p.to.media = media_open(cmd_string(cmd, "media", NULL), true, err)) == NULL ||
	    enrolments_open(&p.to, err) < 0 || prepare(&p, file, err) < 0)
		goto out;
	report(&p, file);
	r = 0;
out:
	enrolments_close(&p.to);
	seckey_free(p.key);
	answer_release(&p.answer);
	buf_release(&p.request);
	buf_release(&p.line);
	buf_release(&p.out);
	buf_release(&p.passphrase);
	return r;
}

const struct command cmd_enroll_media = {
	.name = "enroll media",
	.usage = "",
	.summary = "prepare a whole identity on a stick, for a new device",
	.options = options,
	.needs = NEEDS_HOME,
	.run = enroll_media_command,
};
