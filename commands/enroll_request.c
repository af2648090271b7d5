/* meshanics enroll request: a device asks for a certificate by a stick. */
#include "agent/agent.h"
#include "base/json.h"
#include "commands/identity.h"
#include "sys/clock.h"

static const struct option options[] = {
	{ .name = "media", .type = OPT_STRING, .value = "DIR", .required = true,
	  .help = "write the request to the stick mounted at DIR" },
	{ .name = "name", .type = OPT_STRING, .value = "NAME", .help = "suggest a name (default: the host's)" },
	{ .name = "root", .type = OPT_STRING, .value = "FILE",
	  .help = "the root file to trust: no answer with another one is taken" },
	{ .name = NULL },
};

static void print_words(struct cmd *cmd, struct json_value answer)
{
	char kind[16], file[128], key[80];

	identity_text(answer, "kind", kind, sizeof(kind));
	identity_text(answer, "file", file, sizeof(file));
	cmd_printf(cmd, "request to %s: meshanics/enroll/%s.request\n", strcmp(kind, "renew") == 0 ? "renew" : "enrol", file);
	cmd_printf(cmd, "key            %s\n", identity_text(answer, "key", key, sizeof(key)));
	cmd_note(cmd, "unmount the stick, have it answered by 'meshanics enroll sign', and take the answer: meshanics agent "
		      "enroll --media DIR");
	if (json_type(json_get(answer, "root_version")) == JSON_NULL)
		cmd_note(cmd, "the request names no root: 'agent enroll' will need --root or --root-sha256");
}

static int enroll_request_command(struct cmd *cmd, struct error *err)
{
	struct buf out = BUF_INIT(65536);
	struct agent_request_options o = {
		.home = cmd_home(cmd),
		.media = cmd_string(cmd, "media", NULL),
		.name = cmd_string(cmd, "name", NULL),
		.root_path = cmd_string(cmd, "root", NULL),
		.now_s = clock_now_s(),
	};
	struct json doc = JSON_INIT;
	int r = -1;

	if (agent_request(&o, &out, err) < 0)
		goto out;
	if (cmd_json(cmd))
		cmd_write_json(cmd, &out);
	else if (json_parse(&doc, buf_slice(&out), JSON_STRICT, err) < 0)
		goto out;
	else
		print_words(cmd, json_root(&doc));
	r = 0;
out:
	json_release(&doc);
	buf_release(&out);
	return r;
}

const struct command cmd_enroll_request = {
	.name = "enroll request",
	.usage = "",
	.summary = "on a device: ask for a certificate, or a new one, by a stick",
	.options = options,
	.needs = NEEDS_HOME,
	.run = enroll_request_command,
};
