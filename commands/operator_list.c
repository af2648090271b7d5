/* meshanics operator list: who may use this control plane over the network. */
#include "commands/identity.h"

static const struct option options[] = {
	{ .name = "all", .type = OPT_FLAG, .help = "also those that are over or revoked" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

static void add_row(struct table *t, struct json_value o)
{
	char name[80], role[16], state[16], until[32], made[32], by[96];

	table_row(t, (const char *const[]){
			     identity_text(o, "name", name, sizeof(name)),
			     identity_text(o, "role", role, sizeof(role)),
			     identity_text(o, "state", state, sizeof(state)),
			     identity_text(o, "expires", until, sizeof(until)),
			     identity_text(o, "created", made, sizeof(made)),
			     identity_text(o, "created_by", by, sizeof(by)),
		     });
}

static int operator_list_command(struct cmd *cmd, struct error *err)
{
	static const char *const columns[] = {"NAME", "ROLE", "STATE", "UNTIL", "ADDED", "ADDED BY"};
	struct answer a = ANSWER_INIT;
	struct json_iter it;
	struct table *t;
	int r = -1;

	if (request(cmd, "GET", cmd_flag(cmd, "all") ? "/api/v1/operators?all=1" : "/api/v1/operators", SLICE_EMPTY,
		    &a, &(bool){false}, err) < 0)
		goto out;
	r = 0;
	if (cmd_json(cmd))
		goto out;
	t = table_new(columns, ARRAY_SIZE(columns));
	for (it = json_iter(json_get(answer_root(&a), "operators")); json_next(&it);)
		add_row(t, it.value);
	table_print(cmd, t);
	table_free(t);
out:
	answer_release(&a);
	return r;
}

const struct command cmd_operator_list = {
	.name = "operator list",
	.usage = "",
	.summary = "list operators and their roles",
	.options = options,
	.needs = NEEDS_HOME,
	.run = operator_list_command,
};
