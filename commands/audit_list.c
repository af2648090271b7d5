/* meshanics audit list: who did what, the newest first. */
#include <stdio.h>

#include "base/timefmt.h"
#include "commands/cells.h"
#include "commands/request.h"
#include "net/url.h"
#include "sys/clock.h"

static const struct option options[] = {
	{ .name = "actor", .type = OPT_STRING, .value = "ACTOR", .help = "only by this one (operator:alice)" },
	{ .name = "action", .type = OPT_STRING, .value = "ACTION",
	  .help = "only this (rollout.create), or all of a kind (rollout.)" },
	{ .name = "object", .type = OPT_STRING, .value = "OBJECT", .help = "only on this (device:press-3)" },
	{ .name = "since", .type = OPT_DURATION, .value = "TIME", .help = "only the last TIME" },
	{ .name = "limit", .type = OPT_INT, .value = "N", .min = 1, .max = 1000,
	  .help = "at most this many (default 50)" },
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

static void put_path(struct cmd *cmd, struct buf *path)
{
	char when[TIME_TEXT_LEN];

	buf_printf(path, "/api/v1/audit?limit=%lld", (long long)cmd_int(cmd, "limit", 50));
	put_parameter(path, "actor", cmd_string(cmd, "actor", NULL));
	put_parameter(path, "action", cmd_string(cmd, "action", NULL));
	put_parameter(path, "object", cmd_string(cmd, "object", NULL));
	if (cmd_has(cmd, "since"))
		put_parameter(path, "since", time_text(when, clock_now_s() - cmd_int(cmd, "since", 0)));
}

static void print_records(struct cmd *cmd, struct json_value list)
{
	static const char *const columns[] = {"SEQ", "TIME", "ACTOR", "ACTION", "OBJECT", "VERDICT", "DETAIL"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	char text[6][CELL_SIZE], detail[CELL_SIZE];
	struct json_iter it;

	for (it = json_iter(list); json_next(&it);)
		table_row(t, (const char *const[]){
				     cell_text(text[0], json_get(it.value, "seq")),
				     cell_text(text[1], json_get(it.value, "time")),
				     cell_text(text[2], json_get(it.value, "actor")),
				     cell_text(text[3], json_get(it.value, "action")),
				     cell_text(text[4], json_get(it.value, "object")),
				     cell_text(text[5], json_get(it.value, "verdict")),
				     printable(detail, sizeof(detail), json_raw(json_get(it.value, "detail"))),
			     });
	table_print(cmd, t);
	table_free(t);
}

static int audit_list_run(struct cmd *cmd, struct error *err)
{
	struct buf path = BUF_INIT(8192);
	struct answer a = ANSWER_INIT;
	bool done;
	int r;

	put_path(cmd, &path);
	r = request(cmd, "GET", buf_cstr(&path), SLICE_EMPTY, &a, &done, err);
	if (r == 0 && !done)
		print_records(cmd, json_get(answer_root(&a), "records"));
	answer_release(&a);
	buf_release(&path);
	return r;
}

const struct command cmd_audit_list = {
	.name = "audit list",
	.usage = "",
	.summary = "show who did what, the newest first",
	.options = options,
	.needs = NEEDS_HOME,
	.run = audit_list_run,
};
