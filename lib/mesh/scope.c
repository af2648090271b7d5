/* Rules about who may reach what: made, judged by, and told in words. */
#include "mesh/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/bytes.h"

struct scope {
	struct scope_rule rules[SCOPE_RULES_MAX];	/* their callers are owned */
	size_t rules_n;
	struct scope_target targets[SCOPE_TARGETS_MAX];
	size_t targets_n;
	bool echo;
	bool echo_ruled;	/* a rule about echo says for whom */
};

struct scope *scope_new(void)
{
	struct scope *s = xcalloc(1, sizeof(*s));

	s->echo = true;
	return s;
}

void scope_free(struct scope *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->rules_n; i++)
		free((void *)(uintptr_t)s->rules[i].callers);
	free(s);
}

void scope_set_echo(struct scope *s, bool answered)
{
	s->echo = answered;
}

int scope_add_target(struct scope *s, const struct scope_target *t, int *index, struct error *err)
{
	if (s->targets_n == SCOPE_TARGETS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d forwards", SCOPE_TARGETS_MAX - 1);
	if (index != NULL)
		*index = (int)s->targets_n;
	s->targets[s->targets_n] = *t;
	s->targets[s->targets_n++].name[SCOPE_NAME_LEN - 1] = '\0';
	return 0;
}

static int rule_check(const struct scope *s, const struct scope_rule *r, struct error *err)
{
	if (s->rules_n == SCOPE_RULES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d rules", SCOPE_RULES_MAX);
	if (r->callers_n > SCOPE_CALLERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d callers in one rule", SCOPE_CALLERS_MAX);
	if (r->proto == SCOPE_ECHO && (r->port_first != 0 || r->port_last != 0))
		return error_set(err, ERR_USAGE, "a rule about echo names ports");
	if (r->proto != SCOPE_ECHO && (r->port_first == 0 || r->port_first > r->port_last))
		return error_set(err, ERR_USAGE, "%u-%u is no range of ports", r->port_first, r->port_last);
	if (r->target != SCOPE_ANY_TARGET && (r->target < 0 || (size_t)r->target >= s->targets_n))
		return error_set(err, ERR_USAGE, "a rule names a target that is not there");
	return 0;
}

int scope_add_rule(struct scope *s, const struct scope_rule *r, struct error *err)
{
	struct scope_caller *callers = NULL;
	struct scope_rule *own;

	if (rule_check(s, r, err) < 0)
		return -1;
	if (r->callers_n > 0) {
		callers = xreallocarray(NULL, r->callers_n, sizeof(*callers));
		memcpy(callers, r->callers, r->callers_n * sizeof(*callers));
		for (size_t i = 0; i < r->callers_n; i++)
			callers[i].name[SCOPE_NAME_LEN - 1] = '\0';
	}
	own = &s->rules[s->rules_n++];
	*own = *r;
	own->callers = callers;
	own->origin[SCOPE_ORIGIN_LEN - 1] = '\0';
	s->echo_ruled = s->echo_ruled || r->proto == SCOPE_ECHO;
	return 0;
}

size_t scope_rules(const struct scope *s)
{
	return s->rules_n;
}

const struct scope_rule *scope_rule_at(const struct scope *s, size_t i)
{
	return &s->rules[i];
}

size_t scope_targets(const struct scope *s)
{
	return s->targets_n;
}

const struct scope_target *scope_target_at(const struct scope *s, size_t i)
{
	return &s->targets[i];
}

/* ---- text ---- */

/* 1 to 65535, without sign, blanks or leading zeros; takes it off the front of *text. */
static bool take_port(struct slice *text, uint16_t *port)
{
	uint32_t v = 0;
	size_t n = 0;

	for (; n < text->len && n < 6 && text->ptr[n] >= '0' && text->ptr[n] <= '9'; n++)
		v = v * 10 + (uint32_t)(text->ptr[n] - '0');
	if (n == 0 || v == 0 || v > UINT16_MAX || text->ptr[0] == '0')
		return false;
	*port = (uint16_t)v;
	text->ptr += n;
	text->len -= n;
	return true;
}

static bool take_ports(struct slice text, struct scope_rule *r)
{
	if (!take_port(&text, &r->port_first))
		return false;
	r->port_last = r->port_first;
	if (text.len == 0)
		return true;
	if (text.ptr[0] != '-')
		return false;
	text.ptr++;
	text.len--;
	return take_port(&text, &r->port_last) && text.len == 0 && r->port_first <= r->port_last;
}

int scope_rule_parse(struct scope_rule *r, struct slice text, struct error *err)
{
	char shown[64];

	*r = (struct scope_rule){.target = SCOPE_ANY_TARGET};
	if (slice_equal_str(text, "icmp") || slice_equal_str(text, "ping")) {
		r->proto = SCOPE_ECHO;
		return 0;
	}
	if (text.len > 4 && (memcmp(text.ptr, "tcp:", 4) == 0 || memcmp(text.ptr, "udp:", 4) == 0)) {
		r->proto = text.ptr[0] == 't' ? SCOPE_TCP : SCOPE_UDP;
		if (take_ports(slice_of(text.ptr + 4, text.len - 4), r))
			return 0;
	}
	error_set(err, ERR_USAGE, "'%s' is no rule", printable(shown, sizeof(shown), text));
	return error_hint(err, "write tcp:22, udp:5000-5010 or icmp; ports are 1 to 65535");
}

const char *scope_proto_name(enum scope_proto p)
{
	return p == SCOPE_TCP ? "tcp" : p == SCOPE_UDP ? "udp" : "icmp";
}

const char *scope_rule_text(char out[static SCOPE_RULE_TEXT_LEN], const struct scope_rule *r)
{
	const char *proto = scope_proto_name(r->proto);

	if (r->proto == SCOPE_ECHO)
		snprintf(out, SCOPE_RULE_TEXT_LEN, "%s", proto);
	else if (r->port_first == r->port_last)
		snprintf(out, SCOPE_RULE_TEXT_LEN, "%s:%u", proto, r->port_first);
	else
		snprintf(out, SCOPE_RULE_TEXT_LEN, "%s:%u-%u", proto, r->port_first, r->port_last);
	return out;
}

/* ---- judging ---- */

int scope_target_find(const struct scope *s, const uint8_t *address, size_t len)
{
	for (size_t i = 0; i < s->targets_n; i++) {
		const struct scope_target *t = &s->targets[i];

		if (len == 4 ? get_be32(address) == t->v4 : memcmp(address, t->v6, sizeof(t->v6)) == 0)
			return (int)i;
	}
	return -1;
}

int scope_target_named(const struct scope *s, const char *name)
{
	for (size_t i = 0; i < s->targets_n; i++)
		if (strcmp(s->targets[i].name, name) == 0)
			return (int)i;
	return -1;
}

static bool caller_matches(const struct scope_rule *r, const uint8_t *caller)
{
	for (size_t i = 0; i < r->callers_n; i++)
		if (memcmp(r->callers[i].id, caller, NODE_ID_LEN) == 0)
			return true;
	return r->callers_n == 0;
}

static bool port_matches(const struct scope_rule *r, enum scope_proto proto, uint16_t port)
{
	return r->proto == proto && (proto == SCOPE_ECHO || (port >= r->port_first && port <= r->port_last));
}

static bool target_matches(const struct scope_rule *r, int target)
{
	return r->target == SCOPE_ANY_TARGET || r->target == target;
}

int scope_judge(const struct scope *s, const uint8_t *caller, int target, enum scope_proto proto, uint16_t port)
{
	if (target < 0 || (size_t)target >= s->targets_n)
		return SCOPE_NO_TARGET;
	if (caller == NULL)
		return SCOPE_NO_CALLER;
	for (size_t i = 0; i < s->rules_n; i++) {
		const struct scope_rule *r = &s->rules[i];

		if (port_matches(r, proto, port) && target_matches(r, target) && caller_matches(r, caller))
			return (int)i;
	}
	return proto == SCOPE_ECHO && s->echo && !s->echo_ruled ? SCOPE_BY_ECHO : SCOPE_NO_RULE;
}

/* ---- in words ---- */

/* "rule 2 (tcp:445 from nas, to printer; config.yaml)" */
static void put_rule(struct buf *b, const struct scope *s, size_t i)
{
	const struct scope_rule *r = &s->rules[i];
	char text[SCOPE_RULE_TEXT_LEN];
	size_t shown = r->callers_n < 4 ? r->callers_n : 3;

	buf_printf(b, "rule %zu (%s", i + 1, scope_rule_text(text, r));
	if (r->callers_n == 0)
		buf_put_str(b, " from any member");
	for (size_t c = 0; c < shown; c++)
		buf_printf(b, "%s%s", c == 0 ? " from " : ", ", r->callers[c].name);
	if (shown < r->callers_n)
		buf_printf(b, " and %zu more", r->callers_n - shown);
	if (r->target != SCOPE_ANY_TARGET)
		buf_printf(b, " to %s", s->targets[r->target].name);
	if (r->origin[0] != '\0')
		buf_printf(b, "; %s", r->origin);
	buf_put_u8(b, ')');
}

/* Of the rules about this protocol and port, the first: it misses the caller or the target. */
static void put_nearest(struct buf *b, const struct scope *s, const uint8_t *caller, int target, enum scope_proto proto,
			uint16_t port)
{
	for (size_t i = 0; i < s->rules_n; i++) {
		const struct scope_rule *r = &s->rules[i];

		if (!port_matches(r, proto, port))
			continue;
		buf_put_str(b, "; ");
		put_rule(b, s, i);
		buf_printf(b, " is for %s", caller_matches(r, caller) ? "another target" :
			   target_matches(r, target) ? "other callers" : "other callers and another target");
		return;
	}
	if (proto == SCOPE_ECHO)
		buf_put_str(b, "; echo is switched off for this network");
	else if (s->rules_n == 0)
		buf_put_str(b, "; this network has no rules, so that nothing is let in");
	else
		buf_printf(b, "; none of its %zu rules is about %s port %u", s->rules_n, scope_proto_name(proto), port);
}

static void put_why(struct buf *b, const struct scope *s, const uint8_t *caller, const char *caller_name, int target,
		    enum scope_proto proto, uint16_t port, int rule)
{
	if (rule == SCOPE_NO_TARGET) {
		buf_put_str(b, "denied: the address is neither this node's nor a forward's");
		return;
	}
	if (rule == SCOPE_NO_CALLER) {
		buf_printf(b, "denied: '%s' is no member that is known here", caller_name);
		return;
	}
	buf_printf(b, "%s: %s to %s ", scope_allows(rule) ? "allowed" : "denied", caller_name, s->targets[target].name);
	if (proto == SCOPE_ECHO)
		buf_put_str(b, "by icmp echo, ");
	else
		buf_printf(b, "on %s port %u, ", scope_proto_name(proto), port);
	if (rule >= 0) {
		buf_put_str(b, "by ");
		put_rule(b, s, (size_t)rule);
	} else if (rule == SCOPE_BY_ECHO) {
		buf_put_str(b, "since echo is answered to every member unless a rule says otherwise");
	} else {
		buf_put_str(b, "since no rule allows it");
		put_nearest(b, s, caller, target, proto, port);
	}
}

void scope_explain(const struct scope *s, const uint8_t *caller, const char *caller_name, int target,
		   enum scope_proto proto, uint16_t port, struct scope_reason *out)
{
	struct buf b = BUF_INIT(4096);
	int rule = scope_judge(s, caller, target, proto, port);

	put_why(&b, s, caller, caller_name, target, proto, port, rule);
	out->rule = rule;
	out->allowed = scope_allows(rule);
	printable(out->why, sizeof(out->why), buf_slice(&b));
	buf_release(&b);
}
