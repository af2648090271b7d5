/* meshanics device show: all that is known of one device. */
#include "commands/cells.h"
#include "commands/request.h"

static const struct option options[] = {
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void show_object(struct cmd *cmd, struct json_value v)
{
	struct json_iter it = json_iter(v);
	char label[32], text[CELL_SIZE];

	while (json_next(&it)) {
		const char *s = cell_text(text, it.value);

		if (s != NULL && s[0] != '\0')
			cmd_printf(cmd, "%-14s %s\n", printable(label, sizeof(label), it.key), s);
	}
}

static void show_assignments(struct cmd *cmd, struct json_value list)
{
	static const char *const columns[] = {"ROLLOUT", "ARTIFACT", "ACTION", "STATE", "CURRENT", "UPDATED", "REASON"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	char text[6][CELL_SIZE];
	struct json_iter it;

	for (it = json_iter(list); json_next(&it);)
		table_row(t, (const char *const[]){
				     cell_text(text[0], json_get(it.value, "rollout")),
				     cell_text(text[1], json_get(it.value, "artifact")),
				     cell_text(text[2], json_get(it.value, "action")),
				     cell_text(text[3], json_get(it.value, "state")),
				     json_bool(json_get(it.value, "current")) ? "yes" : NULL,
				     cell_text(text[4], json_get(it.value, "updated")),
				     cell_text(text[5], json_get(it.value, "reason")),
			     });
	cmd_printf(cmd, "\n");
	table_print(cmd, t);
	table_free(t);
}

static int device_show_run(struct cmd *cmd, struct error *err)
{
	struct buf path = BUF_INIT(1024);
	struct answer a = ANSWER_INIT;
	struct json_value d;
	bool done;
	int r = request(cmd, "GET", request_path(&path, "/api/v1/devices/", cmd_operand(cmd, 0), NULL), SLICE_EMPTY, &a,
			&done, err);

	if (r == 0 && !done) {
		d = answer_root(&a);
		cell_line(cmd, "device", json_get(d, "device"));
		cell_line(cmd, "state", json_get(d, "state"));
		cell_line(cmd, "presence", json_get(d, "presence"));
		cell_line(cmd, "last seen", json_get(d, "last_seen"));
		cell_line(cmd, "created", json_get(d, "created"));
		cell_line(cmd, "registered", json_get(d, "registered"));
		cell_line(cmd, "tags", json_get(d, "tags"));
		show_object(cmd, json_get(d, "profile"));
		if (json_count(json_get(d, "assignments")) > 0)
			show_assignments(cmd, json_get(d, "assignments"));
	}
	answer_release(&a);
	buf_release(&path);
	return r;
}

const struct command cmd_device_show = {
	.name = "device show",
	.usage = "DEVICE",
	.summary = "show what is known of one device",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = device_show_run,
};
