/* `policy allow`: let something in from a network. */
#include <string.h>

#include "base/encode.h"
#include "commands/policies.h"

static const struct option policy_allow_options[] = {
	POLICY_OPTIONS,
	{ .name = NULL },
};

/* A caller by its word: a node that is known, or the whole id of one that is not yet. */
static int find_caller(const struct policy *p, const char *word, struct allow *a, struct error *err)
{
	struct error ignored = ERROR_INIT;
	size_t at;

	memset(a, 0, sizeof(*a));
	if (members_find(&p->members, p->network.key.name, word, &at, err) == 0) {
		memcpy(a->from, p->members.all[at].id, NODE_ID_LEN);
		memcpy(a->from_name, p->members.all[at].name, sizeof(a->from_name));
		return 0;
	}
	if (err->kind != ERR_NOT_FOUND || hex_decode(a->from, NODE_ID_LEN, slice_str(word), &ignored) < 0)
		return error_wrap(err, "--from");
	*err = ERROR_INIT;
	cmd_warn(p->cmd, "no node %s is known in network '%s' yet; the rule is for it when it comes", word,
		 p->network.key.name);
	return 0;
}

static bool has_rule(const struct allow_list *l, const struct allow *a)
{
	size_t i;

	for (i = 0; i < l->count; i++) {
		if (allow_covers(&l->rules[i], a) && allow_covers(a, &l->rules[i]))
			return true;
	}
	return false;
}

static int add_rule(struct policy *p, const struct allow *a, struct error *err)
{
	char text[ALLOW_TEXT_LEN];

	if (!has_rule(&p->network.allow, a)) {
		if (allow_list_add(&p->done, a, err) < 0)
			return -1;
	} else if (!cmd_json(p->cmd)) {
		cmd_printf(p->cmd, "%s: allowed already: %s\n", p->network.key.name, allow_text(text, a));
	}
	return allow_list_add(&p->network.allow, a, err);
}

/* Each operand, for each caller. */
static int add_rules(struct policy *p, struct error *err)
{
	unsigned c;
	struct allow caller;
	size_t i;

	for (i = 0; i < p->asked_count && p->from_count == 0; i++) {
		if (add_rule(p, &p->asked[i], err) < 0)
			return -1;
	}
	for (c = 0; c < p->from_count; c++) {
		if (find_caller(p, p->from[c], &caller, err) < 0)
			return -1;
		for (i = 0; i < p->asked_count; i++) {
			struct allow a = p->asked[i];

			a.bound = true;
			memcpy(a.from, caller.from, NODE_ID_LEN);
			memcpy(a.from_name, caller.from_name, sizeof(a.from_name));
			if (add_rule(p, &a, err) < 0)
				return -1;
		}
	}
	return 0;
}

/* A rule that lets in more than a new one makes it no limit, which whoever wrote it may think. */
static void warn_covered(const struct policy *p, const struct allow *a)
{
	char text[ALLOW_TEXT_LEN], other[ALLOW_TEXT_LEN];
	size_t i;

	for (i = 0; i < p->network.allow.count; i++) {
		const struct allow *b = &p->network.allow.rules[i];

		if (!allow_covers(b, a) || allow_covers(a, b))
			continue;
		cmd_warn(p->cmd, "'%s' is no limit: '%s' is allowed as well", allow_text(text, a), allow_text(other, b));
		return;
	}
}

/* Does every member get an answer to ping, from everything here? */
static bool echo_open(const struct allow_list *l)
{
	static const struct allow all = {.proto = SCOPE_ECHO};

	return has_rule(l, &all) || (!l->no_echo && (l->count == 0 || l->rules[l->count - 1].proto != SCOPE_ECHO));
}

/* A rule for what is not there, which may be what was meant, or a slip. */
static void warn_waits(const struct policy *p, const struct allow *a)
{
	const char *near = called_nearest_forward(&p->network, a->to);
	char text[ALLOW_TEXT_LEN];
	size_t i;

	for (i = 0; i < p->members.count; i++) {
		if (strcmp(p->members.all[i].name, a->to) == 0) {
			cmd_warn(p->cmd, "'%s' is another node, whose own rules decide; '%s' waits for a forward here", a->to,
				 allow_text(text, a));
			return;
		}
	}
	cmd_warn(p->cmd, "no forward '%s' is known here yet; '%s' waits for it%s%s%s", a->to, allow_text(text, a),
		 near == NULL ? "" : "; did you mean '", near == NULL ? "" : near, near == NULL ? "" : "'?");
}

static void say(struct policy *p, bool echo_before)
{
	char text[ALLOW_TEXT_LEN];
	size_t i;

	for (i = 0; i < p->done.count; i++) {
		const struct allow *a = &p->done.rules[i];

		if (!cmd_json(p->cmd))
			cmd_printf(p->cmd, "%s: allowed: %s\n", p->network.key.name, allow_text(text, a));
		if (!policy_target_there(&p->network, a))
			warn_waits(p, a);
		warn_covered(p, a);
	}
	if (echo_before && !echo_open(&p->network.allow))
		cmd_note(p->cmd, "from now on ping is answered as the rules about icmp say, and no further");
	if (cmd_json(p->cmd))
		policy_report_json(p, "allowed");
}

static int policy_allow_run(struct cmd *cmd, struct error *err)
{
	struct policy p;
	bool echo_before = false;
	int r = policy_begin(&p, cmd, err);

	if (r == 0) {
		echo_before = echo_open(&p.network.allow);
		r = add_rules(&p, err);
	}
	/* Also when nothing is new: a caller may have another name. */
	if (r == 0 && (r = network_set_allow(&p.store, p.network.hex, &p.network.allow, err)) == 0)
		say(&p, echo_before);
	policy_end(&p);
	return r;
}

const struct command cmd_policy_allow = {
	.name = "policy allow",
	.usage = "PROTO:PORT...",
	.summary = "let something in from a network: tcp:22, udp:5000-5010, icmp",
	.options = policy_allow_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = POLICY_RULES_MAX,
	.run = policy_allow_run,
};
