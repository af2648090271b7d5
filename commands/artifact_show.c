/* `artifact show`: one artifact and everything that is signed about it. */
#include <inttypes.h>

#include "base/timefmt.h"
#include "commands/request.h"
#include "tuf/publish.h"

static const struct option artifact_show_options[] = {
	DOOR_OPTIONS,
	{ .name = NULL },
};

/* A member of the descriptor as it is signed: strings without quotes, the rest as JSON. */
static void print_member(struct cmd *cmd, struct slice key, struct json_value v)
{
	if (json_type(v) == JSON_STRING)
		cmd_printf(cmd, "  %-15.*s %.*s\n", SLICE_ARG(key), SLICE_ARG(json_string(v)));
	else
		cmd_printf(cmd, "  %-15.*s %.*s\n", SLICE_ARG(key), SLICE_ARG(json_raw(v)));
}

static void print(struct cmd *cmd, const struct answer *a)
{
	struct json_value v = answer_root(a);
	int64_t bytes = json_int(json_get(v, "bytes"));
	struct json_iter it;
	char size[32];

	cmd_printf(cmd, "artifact   %.*s\n", SLICE_ARG(json_string(json_get(v, "artifact"))));
	cmd_printf(cmd, "publisher  %.*s\n", SLICE_ARG(json_string(json_get(v, "role"))));
	cmd_printf(cmd, "size       %s (%" PRId64 " bytes)%s\n", size_text(size, (uint64_t)bytes), bytes,
		   json_bool(json_get(v, "held")) ? "" : ", not held at this site");
	cmd_printf(cmd, "sha256     %.*s\n", SLICE_ARG(json_string(json_get(v, "sha256"))));
	cmd_printf(cmd, "descriptor\n");
	for (it = json_iter(json_get(v, "descriptor")); json_next(&it);)
		print_member(cmd, it.key, it.value);
}

static int artifact_show_run(struct cmd *cmd, struct error *err)
{
	char target[TARGET_PATH_MAX + 32];
	struct answer a = ANSWER_INIT;
	bool done = false;
	int r;

	if (target_path_check(slice_str(cmd_operand(cmd, 0)), err) < 0) {
		err->kind = ERR_USAGE;
		return -1;
	}
	snprintf(target, sizeof(target), "/api/v1/artifacts/%s", cmd_operand(cmd, 0));
	r = request(cmd, "GET", target, SLICE_EMPTY, &a, &done, err);
	if (r == 0 && !done)
		print(cmd, &a);
	answer_release(&a);
	return r;
}

const struct command cmd_artifact_show = {
	.name = "artifact show",
	.usage = "NAMESPACE/NAME/VERSION",
	.summary = "show an artifact and its descriptor",
	.options = artifact_show_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = 1,
	.run = artifact_show_run,
};
