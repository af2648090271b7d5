/* meshanics agent status: what the running agent says of itself. */
#include <stdio.h>

#include "agent/agent.h"
#include "base/json.h"
#include "commands/command.h"

static void put_line(struct cmd *cmd, const char *label, struct json_value v)
{
	struct slice s;

	if (json_type(v) != JSON_STRING)
		return;
	s = json_string(v);
	if (s.len > 0)
		cmd_printf(cmd, "%-14s %.*s\n", label, SLICE_ARG(s));
}

static const char *cell(char *out, size_t size, struct json_value v)
{
	if (json_type(v) == JSON_STRING)
		return printable(out, size, json_string(v));
	if (json_type(v) != JSON_INT)
		return NULL;
	snprintf(out, size, "%lld", (long long)json_int(v));
	return out;
}

static void put_artifacts(struct cmd *cmd, struct json_value list)
{
	static const char *const columns[] = {"ARTIFACT", "VERSION", "KEPT", "RELEASE", "SINCE"};
	static const char *const members[] = {"name", "version", "previous", "release", "since"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_iter it;

	for (it = json_iter(list); json_next(&it);) {
		char text[ARRAY_SIZE(members)][300];
		const char *cells[ARRAY_SIZE(members)];
		size_t i;

		for (i = 0; i < ARRAY_SIZE(members); i++)
			cells[i] = cell(text[i], sizeof(text[i]), json_get(it.value, members[i]));
		table_row(t, cells);
	}
	table_print(cmd, t);
	table_free(t);
}

/* What is believed, and until when: of use when the device is cut off. */
static void put_trust(struct cmd *cmd, struct json_value trust)
{
	static const char *const roles[] = {"root", "timestamp", "snapshot", "targets"};
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		struct json_value role = json_get(trust, roles[i]);
		struct slice state = json_string(json_get(role, "state")), expires = json_string(json_get(role, "expires"));

		if (expires.len > 0)
			cmd_printf(cmd, "%-14s version %lld, %.*s, expires %.*s\n", roles[i],
				   (long long)json_int(json_get(role, "version")), SLICE_ARG(state), SLICE_ARG(expires));
		else
			cmd_printf(cmd, "%-14s %.*s\n", roles[i], SLICE_ARG(state));
	}
	put_line(cmd, "signed", json_get(trust, "signed_at"));
	put_line(cmd, "refreshed", json_get(trust, "refreshed"));
}

/* Said when it is low alone. */
static void put_disk(struct cmd *cmd, struct json_value disk)
{
	if (json_bool(json_get(disk, "low")))
		cmd_printf(cmd, "%-14s low: %lld bytes free, %lld in reserve\n", "disk",
			   (long long)json_int(json_get(disk, "free")), (long long)json_int(json_get(disk, "reserve")));
}

static void put_people(struct cmd *cmd, struct json_value s)
{
	struct json_value update = json_get(s, "update");

	put_line(cmd, "device", json_get(s, "device"));
	put_line(cmd, "site", json_get(s, "site"));
	put_line(cmd, "agent", json_get(s, "version"));
	put_line(cmd, "certificate", json_get(s, "certificate_expires"));
	put_line(cmd, "last answer", json_get(s, "last_answer"));
	put_line(cmd, "last error", json_get(s, "last_error"));
	put_line(cmd, "time floor", json_get(s, "time_floor"));
	put_trust(cmd, json_get(s, "trust"));
	put_disk(cmd, json_get(s, "disk"));
	if (json_type(update) == JSON_OBJECT) {
		put_line(cmd, "update", json_get(update, "artifact"));
		if (json_bool(json_get(update, "local")))
			cmd_printf(cmd, "%-14s %s\n", "  from", "a bundle");
		put_line(cmd, "  state", json_get(update, "state"));
		put_line(cmd, "  why", json_get(update, "reason"));
		put_line(cmd, "  since", json_get(update, "since"));
	}
	put_artifacts(cmd, json_get(s, "artifacts"));
}

static int agent_status_command(struct cmd *cmd, struct error *err)
{
	struct buf out = BUF_INIT(1u << 20);
	struct json doc = JSON_INIT;
	int r = -1;

	if (agent_status(cmd_home(cmd), &out, err) < 0 || json_parse(&doc, buf_slice(&out), JSON_STRICT, err) < 0)
		goto out;
	if (cmd_json(cmd))
		cmd_write_json(cmd, &out);
	else
		put_people(cmd, json_root(&doc));
	r = 0;
out:
	json_release(&doc);
	buf_release(&out);
	return r;
}

const struct command cmd_agent_status = {
	.name = "agent status",
	.usage = "",
	.summary = "what the running agent says of itself",
	.needs = NEEDS_HOME,
	.run = agent_status_command,
};
