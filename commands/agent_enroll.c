/* meshanics agent enroll: make this device part of a fleet, with a token. */
#include "agent/agent.h"
#include "base/json.h"
#include "commands/command.h"
#include "sys/clock.h"
#include "sys/file.h"

#define TOKEN_FILE_MAX 4096

static const struct option options[] = {
	{ .name = "token-file", .type = OPT_STRING, .value = "FILE", .required = true,
	  .help = "read the token from FILE; - is standard input" },
	{ .name = "root", .type = OPT_STRING, .value = "FILE",
	  .help = "the root file, brought along instead of taken from the server" },
	{ .name = "name", .type = OPT_STRING, .value = "NAME", .help = "suggest a name (default: the host's)" },
	{ .name = "proxy", .type = OPT_STRING, .value = "URL", .config = "agent.proxy",
	  .help = "HTTP proxy to reach the control plane by" },
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

static int agent_enroll_command(struct cmd *cmd, struct error *err)
{
	struct buf token = BUF_SECRET(TOKEN_FILE_MAX), out = BUF_INIT(65536);
	struct agent_enroll_options o = {
		.home = cmd_home(cmd),
		.root_path = cmd_string(cmd, "root", NULL),
		.name = cmd_string(cmd, "name", NULL),
		.proxy = cmd_string(cmd, "proxy", NULL),
		.now_s = clock_now_s(),
	};
	struct json doc = JSON_INIT;
	struct slice device, site, not_after;
	int r = -1;

	if (read_token(cmd, &token, err) < 0)
		goto out;
	o.token = buf_cstr(&token);
	if (agent_enroll(&o, &out, err) < 0)
		goto out;
	if (cmd_json(cmd)) {
		cmd_write_json(cmd, &out);
	} else if (json_parse(&doc, buf_slice(&out), JSON_STRICT, err) < 0 ||
		   json_need_string(json_root(&doc), "device", &device, err) < 0 ||
		   json_need_string(json_root(&doc), "site", &site, err) < 0 ||
		   json_need_string(json_root(&doc), "not_after", &not_after, err) < 0) {
		goto out;
	} else {
		cmd_printf(cmd, "enrolled as '%.*s' of site '%.*s'; the certificate lives until %.*s\n", SLICE_ARG(device),
			   SLICE_ARG(site), SLICE_ARG(not_after));
	}
	r = 0;
out:
	json_release(&doc);
	buf_release(&token);
	buf_release(&out);
	return r;
}

const struct command cmd_agent_enroll = {
	.name = "agent enroll",
	.usage = "",
	.summary = "make this device part of a fleet, with a token",
	.options = options,
	.needs = NEEDS_HOME | NEEDS_CONFIG,
	.run = agent_enroll_command,
};
