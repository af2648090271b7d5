/* `key show`: what a key file says of itself, without its passphrase. */
#include "commands/keys.h"

static int key_show_run(struct cmd *cmd, struct error *err)
{
	struct buf b = BUF_INIT(16384);
	struct json_writer w = JSON_WRITER(&b);
	char path[KEYS_PATH_MAX];
	struct keyfile k;

	if (keys_read(cmd, cmd_operand(cmd, 0), path, &k, err) < 0)
		return -1;
	if (cmd_json(cmd)) {
		keys_put_json(&w, NULL, &k, path);
		cmd_write_json(cmd, &b);
	} else {
		keys_print(cmd, &k, path);
	}
	buf_release(&b);
	return 0;
}

const struct command cmd_key_show = {
	.name = "key show",
	.usage = "NAME",
	.summary = "show the public facts of a key",
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = key_show_run,
};
