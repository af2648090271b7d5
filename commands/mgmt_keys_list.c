/* `mgmt-keys list`: the networks of this node. */
#include <inttypes.h>
#include <stdio.h>

#include "commands/mgmt_keys.h"
#include "sys/clock.h"

#define DOCUMENT_MAX (4u << 20)

static const struct option mgmt_keys_list_options[] = {
	{ .name = "secrets", .type = OPT_FLAG, .help = "the keys as well, by which anybody can join" },
	{ .name = NULL },
};

static void add_row(struct cmd *cmd, struct table *t, const struct network *n, int64_t now_s)
{
	char id[ID_SHORT + 1], generation[16], expires[EXPIRY_TEXT_LEN], range[RANGE_TEXT_LEN];
	char v4[ADDRESS_TEXT_LEN], v6[ADDRESS_TEXT_LEN];
	bool known = mgmt_keys_addresses(n, v4, v6);
	struct buf allow = BUF_INIT(ALLOW_FILE_MAX), key = BUF_SECRET(NETKEY_TEXT_MAX + 1);

	snprintf(id, sizeof(id), "%.12s", n->hex);
	snprintf(generation, sizeof(generation), "%" PRIu32, n->key.generation);
	mgmt_keys_put_allow(&allow, &n->allow);
	if (cmd_flag(cmd, "secrets"))
		netkey_put(&key, &n->key);
	table_row(t, (const char *const[]){n->key.name, id, generation, mgmt_keys_expiry_text(expires, &n->key, now_s),
					   range_text(range, &n->key.range), known ? v4 : NULL, known ? v6 : NULL,
					   n->owned ? "here" : NULL, buf_cstr(&allow), buf_cstr(&key)});
	buf_release(&allow);
	buf_release(&key);
}

/* One that cannot be read is told of, and does not hide the others; the first complaint is the verb's end. */
static int each_network(struct cmd *cmd, const struct netstore *s, const char *hex, struct table *t,
			struct json_writer *w, struct error *err)
{
	struct error own = ERROR_INIT;
	int64_t now_s = clock_now_s();
	struct network n;

	if (network_read(s, hex, &n, &own) < 0) {
		if (err->kind != ERR_NONE)
			cmd_warn(cmd, "%s", own.text);
		else
			*err = own;
		return -1;
	}
	if (cmd_json(cmd)) {
		json_open_object(w, NULL);
		mgmt_keys_put_json(w, &n, now_s, cmd_flag(cmd, "secrets"));
		json_close(w);
	} else {
		add_row(cmd, t, &n, now_s);
	}
	network_wipe(&n);
	return 0;
}

static int mgmt_keys_list_run(struct cmd *cmd, struct error *err)
{
	static const char *const columns[] = {"NAME", "ID", "GEN", "EXPIRES", "RANGE", "IPV4", "IPV6", "OWNER", "ALLOWS",
					      "KEY"};
	struct buf b = BUF_SECRET(DOCUMENT_MAX);
	struct json_writer w = JSON_WRITER(&b);
	struct netstore s = NETSTORE_INIT;
	struct network_ids ids;
	struct table *t = NULL;
	size_t i;
	int r = 0;

	if (netstore_open(&s, cmd_home(cmd), err) < 0 || mgmt_keys_ids(&s, &ids, err) < 0) {
		netstore_close(&s);
		return -1;
	}
	t = table_new(columns, ARRAY_SIZE(columns) - !cmd_flag(cmd, "secrets"));
	json_open_object(&w, NULL);
	json_open_array(&w, "networks");
	for (i = 0; i < ids.count; i++) {
		if (each_network(cmd, &s, ids.hex[i], t, &w, err) < 0)
			r = -1;
	}
	json_close(&w);
	json_close(&w);
	if (cmd_json(cmd))
		cmd_write_json(cmd, &b);
	else if (ids.count > 0)
		table_print(cmd, t);
	else
		cmd_note(cmd, "no networks are here; 'meshanics mgmt-keys add' makes or joins one");
	table_free(t);
	buf_release(&b);
	netstore_close(&s);
	return r;
}

const struct command cmd_mgmt_keys_list = {
	.name = "mgmt-keys list",
	.usage = "",
	.summary = "list the networks of this node",
	.options = mgmt_keys_list_options,
	.needs = NEEDS_HOME,
	.run = mgmt_keys_list_run,
};
