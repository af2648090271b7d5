/* `meshlan names`: every name of the mesh, also as lines for a hosts file. */
#include <stdio.h>

#include "commands/meshlans.h"

#define ASK_MS 10000

static const struct option options[] = {
	{ .name = "hosts", .type = OPT_FLAG, .help = "as lines for /etc/hosts, where there is no systemd-resolved" },
	{ .name = NULL },
};

static void put_table(struct cmd *cmd, struct json_value root)
{
	static const char *const columns[] = {"NAME", "NETWORK", "IPV4", "IPV6", "WHAT"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_value list = json_get(root, "names");
	char suffix[130];
	struct json_iter it;

	meshlans_text(suffix, sizeof(suffix), root, "suffix", NULL);
	for (it = json_iter(list); json_next(&it);) {
		char text[64], name[200], network[64], four[64], six[64], holder[64];
		bool lost = json_type(json_get(it.value, "held_by")) == JSON_STRING;
		char what[128];

		snprintf(name, sizeof(name), "%s.%s", meshlans_text(text, sizeof(text), it.value, "name", "?"), suffix);
		if (lost)
			snprintf(what, sizeof(what), "not reached by it: node %s has the name",
				 meshlans_text(holder, sizeof(holder), it.value, "held_by", "?"));
		else
			snprintf(what, sizeof(what), "%s", json_bool(json_get(it.value, "forward")) ? "device" : "node");
		table_row(t, (const char *const[]){name, meshlans_text(network, sizeof(network), it.value, "network", NULL),
						   meshlans_text(four, sizeof(four), it.value, "ipv4", NULL),
						   meshlans_text(six, sizeof(six), it.value, "ipv6", NULL), what});
	}
	if (json_count(list) > 0)
		table_print(cmd, t);
	else
		cmd_note(cmd, "no names are known; 'meshanics meshlan status' shows the networks");
	table_free(t);
}

static int meshlan_names_run(struct cmd *cmd, struct error *err)
{
	struct answer a;
	int r;

	if (cmd_json(cmd) && cmd_flag(cmd, "hosts"))
		return error_set(err, ERR_USAGE, "--hosts and --json exclude each other");
	r = meshlans_ask(cmd, "GET", "/names", SLICE_EMPTY, ASK_MS, &a, err);
	if (r == 0 && cmd_json(cmd))
		cmd_write_json(cmd, &a.text);
	else if (r == 0 && cmd_flag(cmd, "hosts"))
		cmd_write(cmd, json_string(json_get(json_root(&a.doc), "hosts")));
	else if (r == 0)
		put_table(cmd, json_root(&a.doc));
	meshlans_release(&a);
	return r;
}

const struct command cmd_meshlan_names = {
	.name = "meshlan names",
	.usage = "",
	.summary = "every name of the mesh with its addresses",
	.options = options,
	.needs = NEEDS_HOME,
	.run = meshlan_names_run,
};
