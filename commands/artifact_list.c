/* `artifact list`: what is published, or who may publish what. */
#include <inttypes.h>

#include "base/timefmt.h"
#include "commands/request.h"

static const struct option artifact_list_options[] = {
	{ .name = "publishers", .type = OPT_FLAG, .help = "list the publishers and their slices instead" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void print_artifacts(struct cmd *cmd, const struct answer *a)
{
	static const char *const columns[] = {"ARTIFACT", "KIND", "RELEASE", "SIZE", "PUBLISHER"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_iter it;

	for (it = json_iter(json_get(answer_root(a), "artifacts")); json_next(&it);) {
		struct json_value d = json_get(it.value, "descriptor");
		char path[300], kind[32], release[24], bytes[32], size[48], role[80];
		const char *cells[] = {path, kind, release, size, role};

		snprintf(path, sizeof(path), "%.*s", SLICE_ARG(json_string(json_get(it.value, "artifact"))));
		snprintf(kind, sizeof(kind), "%.*s", SLICE_ARG(json_string(json_get(d, "kind"))));
		snprintf(release, sizeof(release), "%" PRId64, json_int(json_get(d, "release")));
		size_text(bytes, (uint64_t)json_int(json_get(it.value, "bytes")));
		snprintf(size, sizeof(size), "%s%s", bytes, json_bool(json_get(it.value, "held")) ? "" : ", not held");
		snprintf(role, sizeof(role), "%.*s", SLICE_ARG(json_string(json_get(it.value, "role"))));
		table_row(t, cells);
	}
	table_print(cmd, t);
	table_free(t);
}

static void print_publishers(struct cmd *cmd, const struct answer *a)
{
	static const char *const columns[] = {"PUBLISHER", "SLICE", "ARTIFACTS", "KEY"};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	struct json_iter it, slices;

	for (it = json_iter(json_get(answer_root(a), "publishers")); json_next(&it);) {
		char name[80], slice[300], count[24];
		const char *cells[] = {name, slice, count, NULL};

		snprintf(name, sizeof(name), "%.*s", SLICE_ARG(json_string(json_get(it.value, "name"))));
		snprintf(count, sizeof(count), "%" PRId64, json_int(json_get(it.value, "artifacts")));
		cells[3] = json_bool(json_get(it.value, "online")) ? "on this box" : "elsewhere";
		for (slices = json_iter(json_get(it.value, "slices")); json_next(&slices);) {
			snprintf(slice, sizeof(slice), "%.*s", SLICE_ARG(json_string(slices.value)));
			table_row(t, cells);
		}
	}
	table_print(cmd, t);
	table_free(t);
}

static int artifact_list_run(struct cmd *cmd, struct error *err)
{
	bool publishers = cmd_flag(cmd, "publishers"), done = false;
	struct answer a = ANSWER_INIT;
	int r;

	r = request(cmd, "GET", publishers ? "/api/v1/repository" : "/api/v1/artifacts", SLICE_EMPTY, &a, &done, err);
	if (r == 0 && !done)
		(publishers ? print_publishers : print_artifacts)(cmd, &a);
	answer_release(&a);
	return r;
}

const struct command cmd_artifact_list = {
	.name = "artifact list",
	.usage = "",
	.summary = "list what is published",
	.options = artifact_list_options,
	.needs = NEEDS_HOME,
	.run = artifact_list_run,
};
