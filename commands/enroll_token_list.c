/* meshanics enroll token list: which tokens there are, and what is left of them. */
#include <inttypes.h>
#include <stdio.h>

#include "commands/identity.h"

static const struct option options[] = {
	{ .name = "all", .type = OPT_FLAG, .help = "also those that are used up, over or revoked" },
	DOOR_OPTIONS,
	{ .name = NULL },
};

/* "device press-3", "cell-7-NNNN" or "after the host" */
static const char *naming(struct json_value token, char out[static 96])
{
	char text[64];

	if (json_type(json_get(token, "device")) == JSON_STRING)
		snprintf(out, 96, "%s", identity_text(token, "device", text, sizeof(text)));
	else if (json_type(json_get(token, "name_prefix")) == JSON_STRING)
		snprintf(out, 96, "%s-NNNN", identity_text(token, "name_prefix", text, sizeof(text)));
	else
		snprintf(out, 96, "(host name)");
	return out;
}

static void add_row(struct table *t, struct json_value token)
{
	char id[32], state[16], name[96], uses[48], until[32], by[96], note[256];
	int64_t all = 0, left = 0;
	struct error ignored = ERROR_INIT;

	(void)!json_opt_int(token, "uses", 0, INT64_MAX, &all, &ignored);
	(void)!json_opt_int(token, "uses_left", 0, INT64_MAX, &left, &ignored);
	snprintf(uses, sizeof(uses), "%" PRId64 " of %" PRId64, left, all);
	table_row(t, (const char *const[]){
			     identity_text(token, "id", id, sizeof(id)),
			     identity_text(token, "state", state, sizeof(state)),
			     uses,
			     identity_text(token, "expires", until, sizeof(until)),
			     naming(token, name),
			     identity_text(token, "created_by", by, sizeof(by)),
			     identity_text(token, "note", note, sizeof(note)),
		     });
}

static int enroll_token_list_command(struct cmd *cmd, struct error *err)
{
	static const char *const columns[] = {"ID", "STATE", "LEFT", "UNTIL", "NAME", "MADE BY", "NOTE"};
	struct answer a = ANSWER_INIT;
	struct json_iter it;
	struct table *t;
	int r = -1;

	if (request(cmd, "GET", cmd_flag(cmd, "all") ? "/api/v1/tokens?all=1" : "/api/v1/tokens", SLICE_EMPTY, &a,
		    &(bool){false}, err) < 0)
		goto out;
	r = 0;
	if (cmd_json(cmd))
		goto out;
	t = table_new(columns, ARRAY_SIZE(columns));
	for (it = json_iter(json_get(answer_root(&a), "tokens")); json_next(&it);)
		add_row(t, it.value);
	table_print(cmd, t);
	table_free(t);
out:
	answer_release(&a);
	return r;
}

const struct command cmd_enroll_token_list = {
	.name = "enroll token list",
	.usage = "",
	.summary = "list enrolment tokens",
	.options = options,
	.needs = NEEDS_HOME,
	.run = enroll_token_list_command,
};
