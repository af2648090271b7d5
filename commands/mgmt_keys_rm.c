/* `mgmt-keys rm`: leave a network. */
#include <stdio.h>

#include "base/json.h"
#include "commands/mgmt_keys.h"

/* What is lost besides the key, as far as it can be read. */
static int ask(struct cmd *cmd, const struct netstore *s, const char *hex, struct error *err)
{
	struct error ignored = ERROR_INIT;
	char question[400];
	struct network n;

	if (network_read(s, hex, &n, &ignored) < 0)
		snprintf(question, sizeof(question), "Remove network %.12s, which cannot be read?", hex);
	else
		snprintf(question, sizeof(question), "Leave network '%s' (%.12s)%s?", n.key.name, hex,
			 n.owned ? " and destroy its owner's key: it can never be rotated again" :
				   "; this node's address in it is lost");
	network_wipe(&n);
	return cmd_confirm(cmd, question, err);
}

static int mgmt_keys_rm_run(struct cmd *cmd, struct error *err)
{
	struct netstore s = NETSTORE_INIT;
	struct buf b = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&b);
	char hex[NETWORK_ID_HEX_LEN], again[NETWORK_ID_HEX_LEN];
	int r = -1;

	/* Nobody else waits for the lock while a person thinks. */
	if (netstore_open(&s, cmd_home(cmd), err) < 0 ||
	    netstore_find(&s, slice_str(cmd_operand(cmd, 0)), hex, err) < 0 || ask(cmd, &s, hex, err) < 0)
		goto out;
	netstore_close(&s);
	if (netstore_open_locked(&s, cmd_home(cmd), err) < 0 || netstore_find(&s, slice_str(hex), again, err) < 0 ||
	    network_remove(&s, hex, err) < 0)
		goto out;
	if (cmd_json(cmd)) {
		json_open_object(&w, NULL);
		json_put_string(&w, "removed", hex);
		json_close(&w);
		cmd_write_json(cmd, &b);
	}
	cmd_note(cmd, "network %.12s is gone from this node; other nodes keep theirs", hex);
	r = 0;
out:
	buf_release(&b);
	netstore_close(&s);
	return r;
}

const struct command cmd_mgmt_keys_rm = {
	.name = "mgmt-keys rm",
	.usage = "NETWORK",
	.summary = "leave a network, and wipe its keys here",
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = mgmt_keys_rm_run,
};
