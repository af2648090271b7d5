/* `forward rm`: a device is reached through this node no more. */
#include <string.h>

#include "commands/forwarding.h"

static const struct option forward_rm_options[] = {
	NETWORK_OPTION,
	{ .name = NULL },
};

struct removing {
	struct cmd *cmd;
	struct netstore store;
	struct network network;
	struct forward gone;
	struct allow_list rules;	/* that were for it alone */
};

static int find(struct removing *r, struct error *err)
{
	char name[MESH_NAME_MAX + 1];
	const struct forward *f;
	const char *near;

	if (called_name(r->cmd, &r->store, &r->network, cmd_operand(r->cmd, 0), name, err) < 0)
		return -1;
	if ((f = forwards_find(&r->network.forwards, name)) == NULL) {
		error_set(err, ERR_NOT_FOUND, "no forward '%s' is in network '%s'", name, r->network.key.name);
		if ((near = called_nearest_forward(&r->network, name)) != NULL)
			return error_hint(err, "did you mean '%s'?", near);
		return error_hint(err, "'meshanics forward list' shows which are");
	}
	if (f->config) {
		error_set(err, ERR_REFUSED, "forward '%s' stands in config.yaml", name);
		return error_hint(err, "take it out there, and start meshlan again");
	}
	r->gone = *f;
	return 0;
}

/* Rules for this forward alone go first: another one that gets its name later is not to get them. */
static int drop_rules(struct removing *r, struct error *err)
{
	struct allow_list *l = &r->network.allow;
	size_t i;

	for (i = l->count; i-- > 0;) {
		if (strcmp(l->rules[i].to, r->gone.name) != 0)
			continue;
		if (allow_list_add(&r->rules, &l->rules[i], err) < 0)
			return -1;
		allow_list_drop(l, i);
	}
	return r->rules.count == 0 ? 0 : network_set_allow(&r->store, r->network.hex, l, err);
}

static int rm(struct removing *r, struct error *err)
{
	if (netstore_open_locked(&r->store, cmd_home(r->cmd), err) < 0 ||
	    mgmt_keys_network(r->cmd, &r->store, &r->network, err) < 0 || find(r, err) < 0 || drop_rules(r, err) < 0)
		return -1;
	(void)forwards_remove(&r->network.forwards, r->gone.name);
	return network_set_forwards(&r->store, r->network.hex, &r->network.forwards, err);
}

static void report(struct removing *r)
{
	struct buf b = BUF_INIT(FORWARDING_DOCUMENT_MAX);
	struct json_writer w = JSON_WRITER(&b);
	char text[ALLOW_TEXT_LEN];
	size_t i;

	json_open_object(&w, NULL);
	json_put_string(&w, "network", r->network.key.name);
	json_put_string(&w, "id", r->network.hex);
	json_put_string(&w, "removed", r->gone.name);
	json_open_array(&w, "rules");
	for (i = 0; i < r->rules.count; i++) {
		json_put_string(&w, NULL, allow_text(text, &r->rules.rules[i]));
		cmd_note(r->cmd, "'%s' is allowed no more, being for it alone", text);
	}
	json_close(&w);
	json_close(&w);
	if (cmd_json(r->cmd))
		cmd_write_json(r->cmd, &b);
	cmd_note(r->cmd, "'%s' is forwarded to no more in network '%s'", r->gone.name, r->network.key.name);
	buf_release(&b);
}

static int forward_rm_run(struct cmd *cmd, struct error *err)
{
	struct removing r = {.cmd = cmd, .store = NETSTORE_INIT};
	int e = rm(&r, err);

	if (e == 0)
		report(&r);
	netstore_close(&r.store);
	network_wipe(&r.network);
	return e;
}

const struct command cmd_forward_rm = {
	.name = "forward rm",
	.usage = "NAME",
	.summary = "end a forward, and the rules that are for it alone",
	.options = forward_rm_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = forward_rm_run,
};
