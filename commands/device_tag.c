/* meshanics device tag: add and remove tags of devices. */
#include "commands/cells.h"
#include "commands/request.h"

static const struct option options[] = {
	{ .name = "add", .type = OPT_LIST, .value = "TAG", .help = "add this tag" },
	{ .name = "remove", .type = OPT_LIST, .value = "TAG", .help = "remove this tag" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void put_list(struct cmd *cmd, struct json_writer *w, const char *name)
{
	unsigned i;

	json_open_array(w, name);
	for (i = 0; i < cmd_list_count(cmd, name); i++)
		json_put_string(w, NULL, cmd_list(cmd, name, i));
	json_close(w);
}

static int tag_one(struct cmd *cmd, struct door *d, const char *device, struct slice body, struct json_writer *w,
		   struct error *err)
{
	struct buf path = BUF_INIT(1024);
	struct answer a = ANSWER_INIT;
	char text[CELL_SIZE];
	int r = request_through(d, "POST", request_path(&path, "/api/v1/devices/", device, "/tags", NULL), body, &a, err);

	if (r == 0 && cmd_json(cmd)) {
		json_put_value(w, NULL, answer_root(&a));
	} else if (r == 0) {
		const char *tags = cell_text(text, json_get(answer_root(&a), "tags"));

		cmd_printf(cmd, "%s: %s\n", device, tags == NULL ? "no tags" : tags);
	}
	answer_release(&a);
	buf_release(&path);
	return r;
}

static int device_tag_run(struct cmd *cmd, struct error *err)
{
	struct buf body = BUF_INIT(65536), out = BUF_INIT(SIZE_MAX);
	struct json_writer w = JSON_WRITER(&body), ow = JSON_WRITER(&out);
	struct door *d = NULL;
	unsigned i;
	int r = -1;

	if (cmd_list_count(cmd, "add") + cmd_list_count(cmd, "remove") == 0) {
		error_set(err, ERR_USAGE, "no tag is given");
		error_hint(err, "give --add TAG or --remove TAG");
		goto out;
	}
	json_open_object(&w, NULL);
	put_list(cmd, &w, "add");
	put_list(cmd, &w, "remove");
	json_close(&w);
	if ((d = request_door(cmd, err)) == NULL)
		goto out;
	json_open_object(&ow, NULL);
	json_open_array(&ow, "devices");
	for (i = 0; i < cmd_operand_count(cmd); i++)
		if (tag_one(cmd, d, cmd_operand(cmd, i), buf_slice(&body), &ow, err) < 0)
			goto out;
	json_close(&ow);
	json_close(&ow);
	if (cmd_json(cmd))
		cmd_write_json(cmd, &out);
	r = 0;
out:
	door_close(d);
	buf_release(&body);
	buf_release(&out);
	return r;
}

const struct command cmd_device_tag = {
	.name = "device tag",
	.usage = "DEVICE...",
	.summary = "add and remove tags of devices",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1000,
	.run = device_tag_run,
};
