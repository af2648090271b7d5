/* What the rollout verbs share: the request, and a rollout for people. */
#include "commands/rollouts.h"

#include <stdio.h>

#include "commands/cells.h"

/* "20: healthy 18, failed 1, assigned 1" */
static const char *counts_text(char out[static CELL_SIZE], struct json_value counts)
{
	struct json_iter it = json_iter(counts);
	size_t n = (size_t)snprintf(out, CELL_SIZE, "%lld",
				    (long long)json_int(json_get(counts, "total")));
	const char *sep = ": ";

	while (json_next(&it)) {
		if (slice_equal_str(it.key, "total"))
			continue;
		n += (size_t)snprintf(out + n, CELL_SIZE - n, "%s%.*s %lld", sep, SLICE_ARG(slice_sub(it.key, 0, 20)),
				      (long long)json_int(it.value));
		if (n >= CELL_SIZE)
			break;
		sep = ", ";
	}
	return out;
}

static void print_waves(struct cmd *cmd, struct json_value waves)
{
	static const char *const columns[] = {"WAVE", "PERCENT", "APPROVAL", "STATE", "APPROVED BY", "OPENED", "DEVICES"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	char text[7][CELL_SIZE];
	struct json_iter it;

	for (it = json_iter(waves); json_next(&it);)
		table_row(t, (const char *const[]){
				     cell_text(text[0], json_get(it.value, "wave")),
				     cell_text(text[1], json_get(it.value, "percent")),
				     cell_text(text[2], json_get(it.value, "approval")),
				     cell_text(text[3], json_get(it.value, "state")),
				     cell_text(text[4], json_get(it.value, "approved_by")),
				     cell_text(text[5], json_get(it.value, "opened")),
				     counts_text(text[6], json_get(it.value, "devices")),
			     });
	cmd_printf(cmd, "\n");
	table_print(cmd, t);
	table_free(t);
}

static void print_devices(struct cmd *cmd, struct json_value list)
{
	static const char *const columns[] = {"DEVICE", "WAVE", "ACTION", "STATE", "UPDATED", "REASON"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	char text[6][CELL_SIZE];
	struct json_iter it;

	for (it = json_iter(list); json_next(&it);)
		table_row(t, (const char *const[]){
				     cell_text(text[0], json_get(it.value, "device")),
				     cell_text(text[1], json_get(it.value, "wave")),
				     cell_text(text[2], json_get(it.value, "action")),
				     cell_text(text[3], json_get(it.value, "state")),
				     cell_text(text[4], json_get(it.value, "updated")),
				     cell_text(text[5], json_get(it.value, "reason")),
			     });
	cmd_printf(cmd, "\n");
	table_print(cmd, t);
	table_free(t);
}

void rollout_print(struct cmd *cmd, struct json_value rollout)
{
	char text[CELL_SIZE];

	cell_line(cmd, "rollout", json_get(rollout, "id"));
	cell_line(cmd, "artifact", json_get(rollout, "artifact"));
	cell_line(cmd, "state", json_get(rollout, "state"));
	cell_line(cmd, "reason", json_get(rollout, "reason"));
	cell_line(cmd, "created by", json_get(rollout, "created_by"));
	cell_line(cmd, "created", json_get(rollout, "created"));
	cell_line(cmd, "updated", json_get(rollout, "updated"));
	cmd_printf(cmd, "%-14s %s\n", "devices", counts_text(text, json_get(rollout, "devices")));
	print_waves(cmd, json_get(rollout, "waves"));
	if (json_type(json_get(rollout, "assignments")) == JSON_ARRAY)
		print_devices(cmd, json_get(rollout, "assignments"));
}

static int put_body(struct cmd *cmd, struct buf *body, void (*more)(struct cmd *cmd, struct json_writer *w),
		    struct error *err)
{
	const char *reason = cmd_string(cmd, "reason", NULL);
	struct json_writer w = JSON_WRITER(body);

	json_open_object(&w, NULL);
	if (reason != NULL)
		json_put_string(&w, "reason", reason);
	if (more != NULL)
		more(cmd, &w);
	json_close(&w);
	return body->failed ? error_set(err, ERR_LIMIT, "the reason is too long") : 0;
}

int rollout_step(struct cmd *cmd, const char *step, void (*more)(struct cmd *cmd, struct json_writer *w),
		 struct error *err)
{
	struct buf path = BUF_INIT(1024), body = BUF_INIT(4096);
	struct answer a = ANSWER_INIT;
	bool done = true;
	int r = put_body(cmd, &body, more, err);

	request_path(&path, "/api/v1/rollouts/", cmd_operand(cmd, 0), step, NULL);
	if (r == 0)
		r = request(cmd, "POST", buf_cstr(&path), buf_slice(&body), &a, &done, err);
	if (r == 0 && !done)
		rollout_print(cmd, answer_root(&a));
	answer_release(&a);
	buf_release(&body);
	buf_release(&path);
	return r;
}
