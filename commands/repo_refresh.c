/* `repo refresh`: sign anew what is due, as `serve` does by itself. */
#include "commands/request.h"
#include "tuf/repo.h"

static const struct option repo_refresh_options[] = {
	{ .name = "force", .type = OPT_FLAG, .help = "also sign what has not lived half its life" },
	{ .name = "accept-clock", .type = OPT_FLAG,
	  .help = "the clock is right although it has jumped since the last signature" },
	{ .name = "timestamp-life", .type = OPT_DURATION, .value = "TIME", .min = REPO_LIFE_MIN_S,
	  .max = REPO_LIFE_MAX_S, .help = "sign a timestamp with a shorter life than root allows" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void report(struct cmd *cmd, const struct answer *a)
{
	struct json_value v = answer_root(a);
	int64_t publishers = json_int(json_get(v, "publishers")), bins = json_int(json_get(v, "bins"));

	if (!json_bool(json_get(v, "timestamp"))) {
		cmd_printf(cmd, "nothing is due\n");
		return;
	}
	if (publishers > 0)
		cmd_printf(cmd, "signed %lld publisher%s\n", (long long)publishers, publishers == 1 ? "" : "s");
	if (bins > 0)
		cmd_printf(cmd, "signed %lld hash bin%s\n", (long long)bins, bins == 1 ? "" : "s");
	if (json_bool(json_get(v, "snapshot")))
		cmd_printf(cmd, "signed snapshot\n");
	cmd_printf(cmd, "signed timestamp\n");
}

static int repo_refresh_run(struct cmd *cmd, struct error *err)
{
	struct answer a = ANSWER_INIT;
	struct buf body = BUF_INIT(1024);
	struct json_writer w = JSON_WRITER(&body);
	bool done = false;
	int r;

	json_open_object(&w, NULL);
	json_put_bool(&w, "force", cmd_flag(cmd, "force"));
	json_put_bool(&w, "accept_clock", cmd_flag(cmd, "accept-clock"));
	json_put_int(&w, "timestamp_life_s", cmd_int(cmd, "timestamp-life", 0));
	json_close(&w);
	r = request(cmd, "POST", "/api/v1/repository/refresh", buf_slice(&body), &a, &done, err);
	if (r == 0 && !done)
		report(cmd, &a);
	answer_release(&a);
	buf_release(&body);
	return r;
}

const struct command cmd_repo_refresh = {
	.name = "repo refresh",
	.usage = "",
	.summary = "sign snapshot, timestamp and publishers anew when due",
	.options = repo_refresh_options,
	.needs = NEEDS_HOME,
	.run = repo_refresh_run,
};
