/* `policy deny`: take rules away, so that what they let in stays outside. */
#include <string.h>

#include "commands/policies.h"

static const struct option policy_deny_options[] = {
	POLICY_OPTIONS,
	{ .name = NULL },
};

/* ---- which rules are meant ---- */

/* The caller by the name that it had or has, or by its id. */
static bool caller_is(const struct policy *p, const struct allow *rule, const char *word)
{
	struct member as_written;
	const char *now = members_name(&p->members, rule->from);

	memcpy(as_written.id, rule->from, NODE_ID_LEN);
	memcpy(as_written.name, rule->from_name, sizeof(as_written.name));
	return rule->bound && (member_is(&as_written, word) || (now != NULL && strcmp(now, word) == 0));
}

/* Whether the rule is for one of the callers that are given, and for none else. */
static bool caller_asked(const struct policy *p, const struct allow *rule)
{
	unsigned i;

	for (i = 0; i < p->from_count; i++) {
		if (caller_is(p, rule, p->from[i]))
			return true;
	}
	return p->from_count == 0;
}

static bool is_meant(const struct policy *p, const struct allow *rule, const struct allow *asked)
{
	return rule->proto == asked->proto && rule->first == asked->first && rule->last == asked->last &&
	       (!p->to_given || strcmp(rule->to, asked->to) == 0) && caller_asked(p, rule);
}

/* Whether the rule lets in some of what is to be denied. */
static bool is_open(const struct policy *p, const struct allow *rule, const struct allow *asked)
{
	return rule->proto == asked->proto && rule->first <= asked->last && rule->last >= asked->first &&
	       (!p->to_given || rule->to[0] == '\0' || strcmp(rule->to, asked->to) == 0) &&
	       (!rule->bound || caller_asked(p, rule));
}

/* ---- taking away ---- */

static int not_there(const struct policy *p, const struct allow *asked, const char *word, struct error *err)
{
	const struct allow_list *l = &p->network.allow;
	char text[ALLOW_TEXT_LEN];
	size_t i;

	if (asked->proto == SCOPE_ECHO && l->no_echo)
		return error_set(err, ERR_NOT_FOUND, "icmp is denied in network '%s' already", p->network.key.name);
	error_set(err, ERR_NOT_FOUND, "no such rule about %s is in network '%s'", word, p->network.key.name);
	for (i = 0; i < l->count; i++) {
		if (is_open(p, &l->rules[i], asked))
			return error_hint(err, "'%s' lets it in; deny that", allow_text(text, &l->rules[i]));
	}
	if (asked->proto == SCOPE_ECHO)
		return error_hint(err, "every member gets an answer; 'policy allow icmp --from NODE' says who does");
	return error_hint(err, "nothing lets it in; 'meshanics policy list' shows what is let in");
}

static int deny(struct policy *p, const struct allow *asked, const char *word, struct error *err)
{
	struct allow_list *l = &p->network.allow;
	size_t found = 0, i;

	for (i = l->count; i-- > 0;) {
		if (!is_meant(p, &l->rules[i], asked))
			continue;
		if (allow_list_add(&p->done, &l->rules[i], err) < 0)
			return -1;
		allow_list_drop(l, i);
		found++;
	}
	if (found > 0)
		return 0;
	/* Without any rule every member gets an answer, which is what goes. */
	if (asked->proto != SCOPE_ECHO || l->no_echo || p->to_given || cmd_has(p->cmd, "from") ||
	    (l->count > 0 && l->rules[l->count - 1].proto == SCOPE_ECHO))
		return not_there(p, asked, word, err);
	l->no_echo = true;
	return 0;
}

/* ---- what is said of it ---- */

static void warn_open(const struct policy *p, const struct allow *asked)
{
	const struct allow_list *l = &p->network.allow;
	char text[ALLOW_TEXT_LEN];
	size_t i;

	for (i = 0; i < l->count; i++) {
		if (is_open(p, &l->rules[i], asked))
			cmd_warn(p->cmd, "some of it is let in by '%s' still", allow_text(text, &l->rules[i]));
	}
}

static void say(struct policy *p, bool no_echo_before)
{
	char text[ALLOW_TEXT_LEN];
	size_t i;

	for (i = 0; i < p->done.count && !cmd_json(p->cmd); i++)
		cmd_printf(p->cmd, "%s: allowed no more: %s\n", p->network.key.name, allow_text(text, &p->done.rules[i]));
	if (p->network.allow.no_echo && !no_echo_before)
		cmd_note(p->cmd, "ping is answered to nobody in network '%s' now", p->network.key.name);
	for (i = 0; i < p->asked_count; i++)
		warn_open(p, &p->asked[i]);
	if (cmd_json(p->cmd))
		policy_report_json(p, "removed");
}

static int policy_deny_run(struct cmd *cmd, struct error *err)
{
	struct policy p;
	bool no_echo_before = false;
	unsigned i;
	int r = policy_begin(&p, cmd, err);

	if (r == 0)
		no_echo_before = p.network.allow.no_echo;
	for (i = 0; r == 0 && i < p.asked_count; i++)
		r = deny(&p, &p.asked[i], cmd_operand(cmd, i), err);
	if (r == 0 && (r = network_set_allow(&p.store, p.network.hex, &p.network.allow, err)) == 0)
		say(&p, no_echo_before);
	policy_end(&p);
	return r;
}

const struct command cmd_policy_deny = {
	.name = "policy deny",
	.usage = "PROTO:PORT...",
	.summary = "take rules away: what they let in stays outside at once",
	.options = policy_deny_options,
	.needs = NEEDS_HOME,
	.operands_min = 1,
	.operands_max = POLICY_RULES_MAX,
	.run = policy_deny_run,
};
