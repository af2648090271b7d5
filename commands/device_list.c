/* meshanics device list: the devices of a fleet. */
#include "commands/cells.h"
#include "commands/request.h"
#include "net/url.h"

static const struct option options[] = {
	{ .name = "tag", .type = OPT_STRING, .value = "TAG", .help = "only devices with this tag" },
	{ .name = "state", .type = OPT_STRING, .value = "STATE",
	  .help = "only enrolled, active, revoked or decommissioned ones" },
	{ .name = "presence", .type = OPT_STRING, .value = "PRESENCE",
	  .help = "only those that are online, offline or never were heard of" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void put_parameter(struct buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(path, "&%s=", name);
	percent_encode(path, slice_str(value));
}

static void add_row(struct table *t, struct json_value d)
{
	char text[6][CELL_SIZE];

	table_row(t, (const char *const[]){
			     cell_text(text[0], json_get(d, "device")),
			     cell_text(text[1], json_get(d, "state")),
			     cell_text(text[2], json_get(d, "presence")),
			     cell_text(text[3], json_get(d, "last_seen")),
			     cell_text(text[4], json_get(json_get(d, "report"), "agent_version")),
			     cell_text(text[5], json_get(d, "tags")),
		     });
}

static int check_presence(const char *word, struct error *err)
{
	if (word == NULL || strcmp(word, "online") == 0 || strcmp(word, "offline") == 0 || strcmp(word, "never") == 0)
		return 0;
	return error_set(err, ERR_USAGE, "--presence '%s' is not online, offline or never", word);
}

/* One page into both forms; *after gets the last name, or is cleared after the last page. */
static int take_page(struct cmd *cmd, struct json_value page, struct table *t, struct json_writer *w, struct buf *after,
		     struct error *err)
{
	const char *presence = cmd_string(cmd, "presence", NULL);
	struct json_value list, next = json_get(page, "next");
	struct json_iter it;

	if (json_need_array(page, "devices", &list, err) < 0)
		return error_wrap(err, "the answer");
	for (it = json_iter(list); json_next(&it);) {
		if (presence != NULL && !slice_equal_str(json_string(json_get(it.value, "presence")), presence))
			continue;
		add_row(t, it.value);
		json_put_value(w, NULL, it.value);
	}
	buf_clear(after);
	if (json_type(next) == JSON_STRING)
		buf_put_slice(after, json_string(next));
	return 0;
}

static int take_all(struct cmd *cmd, struct door *d, struct table *t, struct json_writer *w, struct error *err)
{
	struct buf path = BUF_INIT(4096), after = BUF_INIT(256);
	struct answer a = ANSWER_INIT;
	int r;

	do {
		buf_clear(&path);
		buf_put_str(&path, "/api/v1/devices?limit=500");
		put_parameter(&path, "tag", cmd_string(cmd, "tag", NULL));
		put_parameter(&path, "state", cmd_string(cmd, "state", NULL));
		put_parameter(&path, "after", after.len > 0 ? buf_cstr(&after) : NULL);
		r = request_through(d, "GET", buf_cstr(&path), SLICE_EMPTY, &a, err);
		if (r == 0)
			r = take_page(cmd, answer_root(&a), t, w, &after, err);
	} while (r == 0 && after.len > 0);
	answer_release(&a);
	buf_release(&path);
	buf_release(&after);
	return r;
}

static int device_list_run(struct cmd *cmd, struct error *err)
{
	static const char *const columns[] = {"DEVICE", "STATE", "PRESENCE", "LAST SEEN", "AGENT", "TAGS"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct buf out = BUF_INIT(SIZE_MAX);
	struct json_writer w = JSON_WRITER(&out);
	struct door *d = request_door(cmd, err);
	int r = -1;

	json_open_object(&w, NULL);
	json_open_array(&w, "devices");
	if (d != NULL && check_presence(cmd_string(cmd, "presence", NULL), err) == 0)
		r = take_all(cmd, d, t, &w, err);
	json_close(&w);
	json_close(&w);
	if (r == 0 && cmd_json(cmd))
		cmd_write_json(cmd, &out);
	else if (r == 0)
		table_print(cmd, t);
	door_close(d);
	table_free(t);
	buf_release(&out);
	return r;
}

const struct command cmd_device_list = {
	.name = "device list",
	.usage = "",
	.summary = "list the devices of the fleet",
	.options = options,
	.needs = NEEDS_HOME,
	.run = device_list_run,
};
