/* `meshlan explain`: which rule lets a call pass, or why none does. */
#include "commands/meshlans.h"

#define ASK_MS 10000

static const struct option options[] = {
	{ .name = "from", .type = OPT_STRING, .value = "NODE", .help = "who calls (default: any member, or this node)" },
	{ .name = NULL },
};

static void put_now(struct cmd *cmd, struct json_value x)
{
	if (json_type(json_get(x, "flows")) == JSON_STRING)
		cmd_printf(cmd, "now: %.*s\n", SLICE_ARG(json_string(json_get(x, "flows"))));
}

static bool without_session(struct json_value x)
{
	char path[16];

	return strcmp(meshlans_text(path, sizeof(path), x, "path", ""), "none") == 0;
}

/* A call to this node. */
static void put_in(struct cmd *cmd, struct json_value x)
{
	char from[64];

	cmd_printf(cmd, "%.*s\n", SLICE_ARG(json_string(json_get(x, "why"))));
	put_now(cmd, x);
	if (without_session(x))
		cmd_printf(cmd, "there is no session with %s now; 'meshanics meshlan ping' makes one\n",
			   meshlans_text(from, sizeof(from), x, "from", "the caller"));
}

/* A call from it: what this end says, and the other one, which decides. */
static void put_out(struct cmd *cmd, struct json_value x)
{
	char target[64], what[32], from[64], far[512], decider[64], who[160];
	const char *t = meshlans_text(target, sizeof(target), x, "target", "that node");
	const char *why = meshlans_text(far, sizeof(far), x, "far_why", "it gives no reason");

	const char *d = meshlans_text(decider, sizeof(decider), x, "decider", t);
	bool device = strcmp(d, t) != 0;

	if (device)
		snprintf(who, sizeof(who), "%s, in front of %s", d, t);
	else
		snprintf(who, sizeof(who), "%s", t);
	cmd_printf(cmd, "here: %.*s\n", SLICE_ARG(json_string(json_get(x, "why"))));
	if (json_type(json_get(x, "allowed")) == JSON_BOOL) {
		bool allowed = json_bool(json_get(x, "allowed"));

		/* What was denied may have left flows here, of which nothing comes. */
		if (allowed)
			put_now(cmd, x);
		cmd_printf(cmd, "%s: %s%s\n", who,
			   !allowed ? "denied: " : strncmp(why, "allowed", 7) == 0 ? "" : "allowed: ", why);
		if (!allowed && device)
			cmd_note(cmd, "%s is a device behind %s; what it lets in is said there: "
				 "meshanics policy allow %s --to %s", t, d, meshlans_text(what, sizeof(what), x, "what", "?"), t);
		return;
	}
	put_now(cmd, x);
	cmd_printf(cmd, "%s: %s\n", who,
		   without_session(x) ? "not reached, so it cannot be asked" : "no answer when it was asked");
	if (without_session(x))
		cmd_note(cmd, "'meshanics meshlan ping %s' says where it was called, and what may be wrong", t);
	cmd_note(cmd, "ask %s%s: meshanics meshlan explain %s %s --from %s", device ? "on " : "", device ? d : "there", t,
		 meshlans_text(what, sizeof(what), x, "what", "?"), meshlans_text(from, sizeof(from), x, "from", "NODE"));
}

static void put_people(struct cmd *cmd, struct json_value x)
{
	if (slice_equal_str(json_string(json_get(x, "end")), "in"))
		put_in(cmd, x);
	else
		put_out(cmd, x);
}

static int meshlan_explain_run(struct cmd *cmd, struct error *err)
{
	struct buf question = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&question);
	struct answer a;
	int r;

	json_open_object(&w, NULL);
	json_put_string(&w, "target", cmd_operand(cmd, 0));
	json_put_string(&w, "what", cmd_operand(cmd, 1));
	if (cmd_has(cmd, "from"))
		json_put_string(&w, "from", cmd_string(cmd, "from", NULL));
	json_close(&w);
	if (question.failed) {
		buf_release(&question);
		return error_set(err, ERR_USAGE, "no name is as long as that");
	}
	r = meshlans_ask(cmd, "POST", "/explain", buf_slice(&question), ASK_MS, &a, err);
	if (r == 0 && cmd_json(cmd))
		cmd_write_json(cmd, &a.text);
	else if (r == 0)
		put_people(cmd, json_root(&a.doc));
	meshlans_release(&a);
	buf_release(&question);
	return r;
}

const struct command cmd_meshlan_explain = {
	.name = "meshlan explain",
	.usage = "NODE PROTO:PORT",
	.summary = "say which rule lets a call pass, or why none does",
	.options = options,
	.needs = NEEDS_HOME,
	.operands_min = 2,
	.operands_max = 2,
	.run = meshlan_explain_run,
};
