/* `repo adopt`: root and targets from the ceremony come into force. */
#include <fcntl.h>

#include "commands/request.h"
#include "sys/file.h"

#define ADOPT_FILE_MAX (900u << 10)	/* all files of one request together: the body of a request is 1 MiB */

static const struct option repo_adopt_options[] = {
	{ .name = "accept-clock", .type = OPT_FLAG,
	  .help = "the clock is right although it has jumped since the last signature" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static int put_files(struct cmd *cmd, struct buf *out, struct error *err)
{
	struct json_writer w = JSON_WRITER(out);
	struct buf text = BUF_INIT(ADOPT_FILE_MAX);
	unsigned i;
	int r = 0;

	json_open_object(&w, NULL);
	json_open_array(&w, "files");
	for (i = 0; r == 0 && i < cmd_operand_count(cmd); i++) {
		buf_clear(&text);
		r = file_read(AT_FDCWD, cmd_operand(cmd, i), &text, err);
		if (r == 0)
			json_put_slice(&w, NULL, buf_slice(&text));
	}
	json_close(&w);
	json_put_bool(&w, "accept_clock", cmd_flag(cmd, "accept-clock"));
	json_close(&w);
	buf_release(&text);
	if (r == 0 && out->failed)
		return error_set(err, ERR_LIMIT, "the files are larger than %zu bytes together", out->max);
	return r;
}

static void report(struct cmd *cmd, const struct answer *a)
{
	struct json_value v = answer_root(a);
	struct json_iter it;

	cmd_printf(cmd, "root     version %lld%s\n", (long long)json_int(json_get(v, "root_version")),
		   json_int(json_get(v, "roots")) > 0 ? ", new" : "");
	cmd_printf(cmd, "targets  version %lld%s\n", (long long)json_int(json_get(v, "targets_version")),
		   json_int(json_get(v, "targets")) > 0 ? ", new" : "");
	for (it = json_iter(json_get(v, "sites")); json_next(&it);)
		cmd_printf(cmd, "site %.*s  root version %lld%s\n", SLICE_ARG(json_string(json_get(it.value, "site"))),
			   (long long)json_int(json_get(it.value, "root_version")),
			   json_int(json_get(it.value, "roots")) > 0 ? ", new" : "");
}

static int repo_adopt_run(struct cmd *cmd, struct error *err)
{
	struct answer a = ANSWER_INIT;
	struct buf body = BUF_INIT(1u << 20);
	bool done = false;
	int r = -1;

	if (put_files(cmd, &body, err) == 0 &&
	    request(cmd, "POST", "/api/v1/repository/adopt", buf_slice(&body), &a, &done, err) == 0) {
		if (!done)
			report(cmd, &a);
		r = 0;
	}
	answer_release(&a);
	buf_release(&body);
	return r;
}

const struct command cmd_repo_adopt = {
	.name = "repo adopt",
	.usage = "FILE...",
	.summary = "verify root and targets from a ceremony and put them in force",
	.options = repo_adopt_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 64,
	.run = repo_adopt_run,
};
