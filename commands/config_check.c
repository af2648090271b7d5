/* `config check`: is the configuration file right, and where is it wrong? */
#include "base/json.h"
#include "commands/surface.h"

static int config_check_run(struct cmd *cmd, struct error *err)
{
	const char *path = surface_config_path(cmd);
	struct buf b = BUF_INIT(16384);
	struct json_writer w = JSON_WRITER(&b);
	struct yaml doc = YAML_INIT;

	if (surface_config_read(cmd, &doc, err) < 0 || surface_config_check(cmd, &doc, err) < 0) {
		yaml_release(&doc);
		return -1;
	}
	if (cmd_json(cmd)) {
		json_open_object(&w, NULL);
		json_put_string(&w, "file", path);
		json_put_int(&w, "keys", doc.count);
		json_close(&w);
		cmd_write_json(cmd, &b);
	} else if (doc.count == 0) {
		cmd_printf(cmd, "%s: absent or empty: the defaults hold\n", path);
	} else {
		cmd_printf(cmd, "%s: %u keys, all right\n", path, doc.count);
	}
	yaml_release(&doc);
	buf_release(&b);
	return 0;
}

const struct command cmd_config_check = {
	.name = "config check",
	.usage = "",
	.summary = "say whether the configuration file is right",
	.run = config_check_run,
};
