/* What the verbs of policy share: which rules are meant, and how rules are told. */
#include "commands/policies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_asked(struct policy *p, struct error *err)
{
	unsigned i;

	for (i = 0; i < cmd_operand_count(p->cmd); i++) {
		if (allow_parse(&p->asked[p->asked_count++], slice_str(cmd_operand(p->cmd, i)), err) < 0)
			return -1;
	}
	return 0;
}

/* Nothing is called as this node is but the node itself. */
static int read_target(struct policy *p, const char *word, char to[static MESH_NAME_MAX + 1], struct error *err)
{
	bool node = strcmp(word, ALLOW_TO_NODE) == 0;

	if (!node && called_name(p->cmd, &p->store, &p->network, word, to, err) < 0)
		return error_wrap(err, "--to");
	if (node || (strcmp(to, p->members.self.name) == 0 && forwards_find(&p->network.forwards, to) == NULL))
		snprintf(to, MESH_NAME_MAX + 1, "%s", ALLOW_TO_NODE);
	return 0;
}

static int read_names(struct policy *p, struct error *err)
{
	const char *to = cmd_string(p->cmd, "to", NULL);
	unsigned callers = cmd_list_count(p->cmd, "from"), i;
	char name[MESH_NAME_MAX + 1];

	p->from = xcalloc(callers + 1, sizeof(*p->from));
	for (i = 0; i < callers; i++) {
		if (called_name(p->cmd, &p->store, &p->network, cmd_list(p->cmd, "from", i), p->from[i], err) < 0)
			return error_wrap(err, "--from");
		p->from_count++;
	}
	p->to_given = to != NULL;
	if (to == NULL)
		return 0;
	if (read_target(p, to, name, err) < 0)
		return -1;
	for (i = 0; i < p->asked_count; i++)
		snprintf(p->asked[i].to, sizeof(p->asked[i].to), "%s", name);
	return 0;
}

int policy_begin(struct policy *p, struct cmd *cmd, struct error *err)
{
	memset(p, 0, sizeof(*p));
	p->cmd = cmd;
	p->store = NETSTORE_INIT;
	if (read_asked(p, err) < 0 || netstore_open_locked(&p->store, cmd_home(cmd), err) < 0 ||
	    mgmt_keys_network(cmd, &p->store, &p->network, err) < 0 ||
	    members_read(&p->store, &p->network, &p->members, err) < 0)
		return -1;
	return read_names(p, err);
}

void policy_end(struct policy *p)
{
	free(p->from);
	members_release(&p->members);
	network_wipe(&p->network);
	netstore_close(&p->store);
}

bool policy_target_there(const struct network *n, const struct allow *a)
{
	return a->to[0] == '\0' || strcmp(a->to, ALLOW_TO_NODE) == 0 || forwards_find(&n->forwards, a->to) != NULL;
}

static void put_caller(struct json_writer *w, const struct members *m, const struct allow *a)
{
	json_open_object(w, "from");
	json_put_hex(w, "id", a->from, NODE_ID_LEN);
	json_put_string(w, "name", a->from_name[0] == '\0' ? NULL : a->from_name);
	json_put_string(w, "now", members_name(m, a->from));
	json_close(w);
}

void policy_put_rule(struct json_writer *w, const struct network *n, const struct members *m, const struct allow *a)
{
	char ports[SCOPE_RULE_TEXT_LEN];

	json_open_object(w, NULL);
	json_put_string(w, "rule", allow_ports_text(ports, a));
	if (a->bound)
		put_caller(w, m, a);
	else
		json_put_string(w, "from", NULL);
	json_put_string(w, "to", a->to[0] == '\0' ? NULL : a->to);
	json_put_bool(w, "waits", !policy_target_there(n, a));
	json_close(w);
}

void policy_put_rules(struct json_writer *w, const struct network *n, const struct members *m)
{
	const struct allow_list *l = &n->allow;
	bool ruled = l->count > 0 && l->rules[l->count - 1].proto == SCOPE_ECHO;
	size_t i;

	json_put_string(w, "echo", l->no_echo ? "nobody" : ruled ? "rules" : "members");
	json_open_array(w, "rules");
	for (i = 0; i < l->count; i++)
		policy_put_rule(w, n, m, &l->rules[i]);
	json_close(w);
}

void policy_report_json(struct policy *p, const char *what)
{
	struct buf b = BUF_INIT(POLICY_DOCUMENT_MAX);
	struct json_writer w = JSON_WRITER(&b);
	size_t i;

	json_open_object(&w, NULL);
	json_put_string(&w, "network", p->network.key.name);
	json_put_string(&w, "id", p->network.hex);
	json_open_array(&w, what);
	for (i = 0; i < p->done.count; i++)
		policy_put_rule(&w, &p->network, &p->members, &p->done.rules[i]);
	json_close(&w);
	policy_put_rules(&w, &p->network, &p->members);
	json_close(&w);
	cmd_write_json(p->cmd, &b);
	buf_release(&b);
}
