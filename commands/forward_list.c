/* `forward list`: the devices that this node forwards to. */
#include "commands/forwarding.h"

static const struct option forward_list_options[] = {
	NETWORK_OPTION,
	{ .name = NULL },
};

struct listing {
	struct cmd *cmd;
	struct table *table;
	struct json_writer w;
	size_t rows;
};

static void add_row(struct listing *l, const struct network *n, const struct forward *f)
{
	char target[FORWARD_TARGET_TEXT_LEN], v4[ADDRESS_TEXT_LEN], v6[ADDRESS_TEXT_LEN];
	bool known = mgmt_keys_place(n, f->ordinal, f->slot, v4, v6);

	table_row(l->table, (const char *const[]){f->name, forward_target_text(target, &f->target), known ? v4 : NULL,
						  known ? v6 : NULL, f->config ? "config" : "live", n->key.name});
	l->rows++;
}

static int each_network(void *arg, const struct netstore *s, const struct network *n, struct error *err)
{
	struct listing *l = arg;
	size_t i;

	(void)s;
	(void)err;
	json_open_object(&l->w, NULL);
	json_put_string(&l->w, "network", n->key.name);
	json_put_string(&l->w, "id", n->hex);
	json_open_array(&l->w, "forwards");
	for (i = 0; i < n->forwards.count; i++) {
		forwarding_put(&l->w, NULL, n, &n->forwards.all[i]);
		add_row(l, n, &n->forwards.all[i]);
	}
	json_close(&l->w);
	json_close(&l->w);
	return 0;
}

static int forward_list_run(struct cmd *cmd, struct error *err)
{
	static const char *const columns[] = {"NAME", "TARGET", "IPV4", "IPV6", "SOURCE", "NETWORK"};
	struct buf b = BUF_INIT(FORWARDING_DOCUMENT_MAX);
	struct listing l = {.cmd = cmd, .table = table_new(columns, ARRAY_SIZE(columns)), .w = JSON_WRITER(&b)};
	int r;

	json_open_object(&l.w, NULL);
	json_open_array(&l.w, "networks");
	r = mgmt_keys_each(cmd, each_network, &l, err);
	json_close(&l.w);
	json_close(&l.w);
	if (r == 0 && cmd_json(cmd))
		cmd_write_json(cmd, &b);
	else if (r == 0 && l.rows > 0)
		table_print(cmd, l.table);
	else if (r == 0)
		cmd_note(cmd, "nothing is forwarded; 'meshanics forward add NAME ADDRESS' gives a device a name");
	table_free(l.table);
	buf_release(&b);
	return r;
}

const struct command cmd_forward_list = {
	.name = "forward list",
	.usage = "",
	.summary = "list the devices that this node forwards to",
	.options = forward_list_options,
	.needs = NEEDS_HOME,
	.run = forward_list_run,
};
