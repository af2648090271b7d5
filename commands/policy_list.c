/* `policy list`: what is let in from each network, from whom, and to what. */
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "commands/policies.h"

#define CALLER_TEXT_LEN (2 * MESH_NAME_MAX + NODE_ID_HEX_LEN + 16)

static const struct option policy_list_options[] = {
	NETWORK_OPTION,
	{ .name = NULL },
};

struct listing {
	struct cmd *cmd;
	struct table *table;
	struct json_writer w;
	size_t networks, rows;
};

/* "nas (a79bf5cefd46)", and what the node is called now where that is something else. */
static void caller_text(char out[static CALLER_TEXT_LEN], const struct members *m, const struct allow *a)
{
	const char *now = members_name(m, a->from);
	char hex[NODE_ID_HEX_LEN];

	hex_encode(hex, a->from, NODE_ID_LEN);
	if (!a->bound)
		snprintf(out, CALLER_TEXT_LEN, "any member");
	else if (a->from_name[0] == '\0')
		snprintf(out, CALLER_TEXT_LEN, "%s%s%s%s", hex, now == NULL ? "" : " (", now == NULL ? "" : now,
			 now == NULL ? "" : ")");
	else if (now == NULL || strcmp(now, a->from_name) == 0)
		snprintf(out, CALLER_TEXT_LEN, "%s (%.12s)", a->from_name, hex);
	else
		snprintf(out, CALLER_TEXT_LEN, "%s (%.12s), now %s", a->from_name, hex, now);
}

static void add_row(struct listing *l, const struct network *n, const struct members *m, const struct allow *a)
{
	char ports[SCOPE_RULE_TEXT_LEN], from[CALLER_TEXT_LEN], to[MESH_NAME_MAX + 32];

	caller_text(from, m, a);
	if (a->to[0] == '\0')
		snprintf(to, sizeof(to), "this node and its forwards");
	else if (strcmp(a->to, ALLOW_TO_NODE) == 0)
		snprintf(to, sizeof(to), "this node");
	else
		snprintf(to, sizeof(to), "%s%s", a->to, policy_target_there(n, a) ? "" : " (not there)");
	table_row(l->table, (const char *const[]){n->key.name, allow_ports_text(ports, a), from, to});
	l->rows++;
}

static void add_rows(struct listing *l, const struct network *n, const struct members *m)
{
	const struct allow_list *rules = &n->allow;
	size_t i;

	for (i = 0; i < rules->count; i++)
		add_row(l, n, m, &rules->rules[i]);
	/* What holds without a rule about echo. */
	if (rules->count == 0 || rules->rules[rules->count - 1].proto != SCOPE_ECHO)
		table_row(l->table, (const char *const[]){n->key.name, "icmp", rules->no_echo ? "nobody" : "any member",
							  "this node and its forwards"});
}

static int each_network(void *arg, const struct netstore *s, const struct network *n, struct error *err)
{
	struct listing *l = arg;
	struct members m;
	int r = members_read(s, n, &m, err);

	l->networks++;
	if (r == 0 && cmd_json(l->cmd)) {
		json_open_object(&l->w, NULL);
		json_put_string(&l->w, "network", n->key.name);
		json_put_string(&l->w, "id", n->hex);
		policy_put_rules(&l->w, n, &m);
		json_close(&l->w);
	} else if (r == 0) {
		add_rows(l, n, &m);
	}
	members_release(&m);
	return r;
}

static int policy_list_run(struct cmd *cmd, struct error *err)
{
	static const char *const columns[] = {"NETWORK", "RULE", "FROM", "TO"};
	struct buf b = BUF_INIT(POLICY_DOCUMENT_MAX);
	struct listing l = {.cmd = cmd, .table = table_new(columns, ARRAY_SIZE(columns)), .w = JSON_WRITER(&b)};
	int r;

	json_open_object(&l.w, NULL);
	json_open_array(&l.w, "networks");
	r = mgmt_keys_each(cmd, each_network, &l, err);
	json_close(&l.w);
	json_close(&l.w);
	if (r == 0 && cmd_json(cmd))
		cmd_write_json(cmd, &b);
	else if (r == 0 && l.networks > 0)
		table_print(cmd, l.table);
	if (r == 0 && l.networks == 0)
		cmd_note(cmd, "no networks are here; 'meshanics mgmt-keys add' makes or joins one");
	else if (r == 0 && l.rows == 0)
		cmd_note(cmd, "nothing else is let in; 'meshanics policy allow tcp:22' would let ssh in");
	table_free(l.table);
	buf_release(&b);
	return r;
}

const struct command cmd_policy_list = {
	.name = "policy list",
	.usage = "",
	.summary = "list what is let in from networks, from whom and to what",
	.options = policy_list_options,
	.needs = NEEDS_HOME,
	.run = policy_list_run,
};
