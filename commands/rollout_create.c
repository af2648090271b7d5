/* meshanics rollout create: begin to roll an artifact out. */
#include <fcntl.h>

#include "commands/rollouts.h"
#include "fleet/strategy.h"
#include "sys/file.h"

static const struct option options[] = {
	{ .name = "all", .type = OPT_FLAG, .help = "for every device" },
	{ .name = "device", .type = OPT_LIST, .value = "DEVICE", .help = "for this device" },
	{ .name = "tag", .type = OPT_LIST, .value = "TAG", .help = "for devices that have this tag (and every other given)" },
	{ .name = "where", .type = OPT_STRING, .value = "EXPRESSION", .help = "for devices whose profile fits" },
	{ .name = "allow-empty", .type = OPT_FLAG, .help = "also when no device fits yet" },
	{ .name = "waves", .type = OPT_STRING, .value = "LIST",
	  .help = "cumulative percentages, m for manual approval: 1,10m,100 (default 10,50,100)" },
	{ .name = "max-failure-rate", .type = OPT_STRING, .value = "RATE",
	  .help = "halt when more than this share fails (default 5%)" },
	{ .name = "min-sample", .type = OPT_INT, .value = "N", .min = 1, .max = 1000000,
	  .help = "outcomes before the rate is judged (default 1)" },
	{ .name = "window", .type = OPT_DURATION, .value = "TIME", .help = "judge outcomes of the last TIME only" },
	{ .name = "strategy", .type = OPT_STRING, .value = "FILE", .help = "all of this from a JSON file" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int put_selector(struct cmd *cmd, struct json_writer *w, struct error *err)
{
	unsigned i, devices = cmd_list_count(cmd, "device"), tags = cmd_list_count(cmd, "tag");
	const char *where = cmd_string(cmd, "where", NULL);

	if (!cmd_flag(cmd, "all") && devices + tags == 0 && where == NULL) {
		error_set(err, ERR_USAGE, "for which devices?");
		return error_hint(err, "give --all, --device, --tag or --where");
	}
	json_open_object(w, "selector");
	if (cmd_flag(cmd, "all"))
		json_put_bool(w, "all", true);
	if (devices > 0) {
		json_open_array(w, "devices");
		for (i = 0; i < devices; i++)
			json_put_string(w, NULL, cmd_list(cmd, "device", i));
		json_close(w);
	}
	if (tags > 0) {
		json_open_array(w, "tags");
		for (i = 0; i < tags; i++)
			json_put_string(w, NULL, cmd_list(cmd, "tag", i));
		json_close(w);
	}
	if (where != NULL)
		json_put_string(w, "where", where);
	json_close(w);
	return 0;
}

static int read_strategy(struct cmd *cmd, struct strategy *s, struct error *err)
{
	static const char *const others[] = {"waves", "max-failure-rate", "min-sample", "window"};
	const char *path = cmd_string(cmd, "strategy", NULL);
	struct buf text = BUF_INIT(STRATEGY_TEXT_MAX);
	unsigned i;
	int r = -1;

	if (path == NULL)
		return strategy_from_words(s, cmd_string(cmd, "waves", "10,50,100"),
					   cmd_string(cmd, "max-failure-rate", "5%"), cmd_int(cmd, "min-sample", 1),
					   cmd_int(cmd, "window", 0), err);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		if (cmd_has(cmd, others[i]))
			return error_set(err, ERR_USAGE, "--strategy and --%s say the same thing", others[i]);
	if (file_read(AT_FDCWD, path, &text, err) == 0)
		r = strategy_parse_text(s, buf_slice(&text), err);
	buf_release(&text);
	return r < 0 ? error_wrap(err, "'%s'", path) : 0;
}

static int put_body(struct cmd *cmd, struct json_writer *w, struct error *err)
{
	struct strategy s;

	if (read_strategy(cmd, &s, err) < 0)
		return -1;
	json_open_object(w, NULL);
	json_put_string(w, "artifact", cmd_operand(cmd, 0));
	if (put_selector(cmd, w, err) < 0)
		return -1;
	strategy_put(w, "strategy", &s);
	json_put_bool(w, "allow_empty", cmd_flag(cmd, "allow-empty"));
	json_close(w);
	return 0;
}

static int rollout_create_run(struct cmd *cmd, struct error *err)
{
	struct buf body = BUF_INIT(1u << 20);
	struct json_writer w = JSON_WRITER(&body);
	struct answer a = ANSWER_INIT;
	bool done = true;
	int r = put_body(cmd, &w, err);

	if (r == 0 && body.failed)
		r = error_set(err, ERR_LIMIT, "the selector is too large; give the devices a tag");
	if (r == 0)
		r = request(cmd, "POST", "/api/v1/rollouts", buf_slice(&body), &a, &done, err);
	if (r == 0 && !done)
		rollout_print(cmd, answer_root(&a));
	answer_release(&a);
	buf_release(&body);
	return r;
}

const struct command cmd_rollout_create = {
	.name = "rollout create",
	.usage = "NAMESPACE/NAME/VERSION",
	.summary = "begin to roll a published artifact out, in waves",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = rollout_create_run,
};
