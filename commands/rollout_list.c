/* meshanics rollout list: the rollouts there are and were. */
#include "commands/cells.h"
#include "commands/request.h"
#include "net/url.h"

static const struct option options[] = {
	{ .name = "state", .type = OPT_STRING, .value = "STATE",
	  .help = "only running, paused, halted, completed or aborted ones" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void print_list(struct cmd *cmd, struct json_value list)
{
	static const char *const columns[] = {"ROLLOUT", "ARTIFACT", "STATE", "WAVE", "DEVICES", "HEALTHY", "UPDATED",
					      "REASON"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	char text[8][CELL_SIZE];
	struct json_iter it;

	for (it = json_iter(list); json_next(&it);) {
		struct json_value counts = json_get(it.value, "devices");

		table_row(t, (const char *const[]){
				     cell_text(text[0], json_get(it.value, "id")),
				     cell_text(text[1], json_get(it.value, "artifact")),
				     cell_text(text[2], json_get(it.value, "state")),
				     cell_text(text[3], json_get(it.value, "wave")),
				     cell_text(text[4], json_get(counts, "total")),
				     cell_text(text[5], json_get(counts, "healthy")),
				     cell_text(text[6], json_get(it.value, "updated")),
				     cell_text(text[7], json_get(it.value, "reason")),
			     });
	}
	table_print(cmd, t);
	table_free(t);
}

static int rollout_list_run(struct cmd *cmd, struct error *err)
{
	const char *state = cmd_string(cmd, "state", NULL);
	struct buf path = BUF_INIT(1024);
	struct answer a = ANSWER_INIT;
	bool done;
	int r;

	buf_put_str(&path, "/api/v1/rollouts");
	if (state != NULL) {
		buf_put_str(&path, "?state=");
		percent_encode(&path, slice_str(state));
	}
	r = request(cmd, "GET", buf_cstr(&path), SLICE_EMPTY, &a, &done, err);
	if (r == 0 && !done)
		print_list(cmd, json_get(answer_root(&a), "rollouts"));
	answer_release(&a);
	buf_release(&path);
	return r;
}

const struct command cmd_rollout_list = {
	.name = "rollout list",
	.usage = "",
	.summary = "list rollouts, the newest first",
	.options = options,
	.needs = NEEDS_HOME,
	.run = rollout_list_run,
};
