/* `forward add`: give a device beside this node a name and an address in a network. */
#include <string.h>

#include "base/encode.h"
#include "commands/forwarding.h"
#include "sys/clock.h"

static const struct option forward_add_options[] = {
	NETWORK_OPTION,
	{ .name = NULL },
};

struct adding {
	struct cmd *cmd;
	struct netstore store;
	struct network network;
	struct forward forward;
	bool there;		/* already, with the same target */
	char holder[NODE_ID_HEX_LEN];	/* another node that has the name; empty: none */
};

/* No network that this node is in may be the target: addresses of all of them are the mesh's own. */
static int check_target(const struct adding *a, struct error *err)
{
	struct network_ids ids;
	struct network n;
	size_t i;
	int r = netstore_ids(&a->store, &ids, err);

	for (i = 0; r == 0 && i < ids.count; i++) {
		struct addressing addressing;

		if (network_read(&a->store, ids.hex[i], &n, err) < 0)
			return -1;
		addressing_init(&addressing, n.key.id, &n.key.range, n.key.created_s);
		r = forward_target_outside(&a->forward.target, &addressing, n.key.name, err);
		network_wipe(&n);
	}
	return r;
}

static bool has_name(const struct mesh_record *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->forwards_count; i++) {
		if (strcmp(r->forwards[i].name, name) == 0)
			return true;
	}
	return strcmp(r->name, name) == 0;
}

static int check_record(void *arg, const struct mesh_record *r, struct slice bytes, struct error *err)
{
	struct adding *a = arg;

	(void)bytes;
	if (memcmp(r->id, a->network.node.id, NODE_ID_LEN) == 0 && strcmp(r->name, a->forward.name) == 0) {
		error_set(err, ERR_CONFLICT, "this node itself is called '%s'", r->name);
		return error_hint(err, "give the device another name");
	}
	if (memcmp(r->id, a->network.node.id, NODE_ID_LEN) != 0 && has_name(r, a->forward.name))
		hex_encode(a->holder, r->id, NODE_ID_LEN);
	return 0;
}

/* What is under that name already. */
static int check_name(struct adding *a, struct error *err)
{
	const struct forward *old = forwards_find(&a->network.forwards, a->forward.name);
	char target[FORWARD_TARGET_TEXT_LEN];

	if (old == NULL)
		return 0;
	a->there = endpoint_equal(&old->target, &a->forward.target);
	if (a->there)
		return 0;
	error_set(err, ERR_CONFLICT, "forward '%s' is there already%s, to %s", old->name,
		  old->config ? " by config.yaml" : "", forward_target_text(target, &old->target));
	if (old->config)
		return error_hint(err, "change it in config.yaml, or give the device another name");
	return error_hint(err, "'meshanics forward rm %s' first, or give the device another name", old->name);
}

static int add(struct adding *a, struct error *err)
{
	size_t left_out;

	if (forward_target_parse(&a->forward.target, slice_str(cmd_operand(a->cmd, 1)), err) < 0 ||
	    netstore_open_locked(&a->store, cmd_home(a->cmd), err) < 0 ||
	    mgmt_keys_network(a->cmd, &a->store, &a->network, err) < 0 ||
	    called_name(a->cmd, &a->store, &a->network, cmd_operand(a->cmd, 0), a->forward.name, err) < 0 ||
	    check_target(a, err) < 0 || check_name(a, err) < 0)
		return -1;
	if (a->there)
		return 0;
	a->forward.named_s = forwards_named_s(a->network.key.created_s, clock_now_s());
	if (network_records(&a->store, &a->network, check_record, a, &left_out, err) < 0 ||
	    forwards_add(&a->network.forwards, &a->forward, err) < 0)
		return -1;
	return network_set_forwards(&a->store, a->network.hex, &a->network.forwards, err);
}

static void report_json(struct adding *a, const struct forward *f)
{
	struct buf b = BUF_INIT(FORWARDING_DOCUMENT_MAX);
	struct json_writer w = JSON_WRITER(&b);

	json_open_object(&w, NULL);
	json_put_string(&w, "network", a->network.key.name);
	json_put_string(&w, "id", a->network.hex);
	json_put_bool(&w, "added", !a->there);
	forwarding_put(&w, "forward", &a->network, f);
	json_close(&w);
	cmd_write_json(a->cmd, &b);
	buf_release(&b);
}

static void report(struct adding *a)
{
	const struct forward *f = forwards_find(&a->network.forwards, a->forward.name);
	char text[ALLOW_TEXT_LEN];
	bool open = false;
	size_t i;

	if (cmd_json(a->cmd))
		report_json(a, f);
	else
		forwarding_print(a->cmd, &a->network, f);
	if (a->there)
		cmd_note(a->cmd, "it was there already");
	if (strcmp(f->name, cmd_operand(a->cmd, 0)) != 0)
		cmd_note(a->cmd, "in the mesh it is called %s", f->name);
	if (a->holder[0] != '\0')
		cmd_warn(a->cmd, "node %s has the name '%s' already; here it is reached by its address alone", a->holder,
			 f->name);
	for (i = 0; i < a->network.allow.count; i++) {
		const struct allow *rule = &a->network.allow.rules[i];

		if (rule->proto == SCOPE_ECHO || (rule->to[0] != '\0' && strcmp(rule->to, f->name) != 0))
			continue;
		cmd_note(a->cmd, "the rules let in '%s' to it", allow_text(text, rule));
		open = true;
	}
	if (!open)
		cmd_note(a->cmd, "no rule lets anybody reach it yet: meshanics policy allow PROTO:PORT --to %s", f->name);
}

static int forward_add_run(struct cmd *cmd, struct error *err)
{
	struct adding a = {.cmd = cmd, .store = NETSTORE_INIT};
	int r = add(&a, err);

	if (r == 0)
		report(&a);
	netstore_close(&a.store);
	network_wipe(&a.network);
	return r;
}

const struct command cmd_forward_add = {
	.name = "forward add",
	.usage = "NAME TARGET",
	.summary = "give a device beside this node a name and an address in the mesh",
	.options = forward_add_options,
	.needs = NEEDS_HOME,
	.operands_min = 2,
	.operands_max = 2,
	.run = forward_add_run,
};
