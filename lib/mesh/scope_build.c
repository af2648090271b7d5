/* Rules and places of the operator, made into a scope. */
#include "mesh/scope_build.h"

#include <stdio.h>
#include <string.h>

#define ORIGIN "policy"

/* An address of ours: the slot of the block that this node claims for the ordinal. False: it claims none. */
static bool place(const struct scope_parts *p, unsigned ordinal, unsigned slot, struct scope_target *t)
{
	uint32_t block;
	size_t i;

	for (i = 0; i < p->claims_count; i++) {
		if (p->claims[i].ordinal != ordinal || !claim_valid(p->addressing, &p->claims[i]))
			continue;
		block = block_index(p->addressing, p->node, p->claims[i].ordinal, p->claims[i].attempt);
		t->v4 = block_v4(p->addressing, block, slot);
		block_v6(p->addressing, block, slot, t->v6);
		return true;
	}
	return false;
}

static void add_targets(struct scope *s, const struct scope_parts *p)
{
	struct error none = ERROR_INIT;
	struct scope_target t = {.take_echo = false};
	size_t i;

	snprintf(t.name, sizeof(t.name), "%s", p->node_name);
	if (!place(p, 0, SLOT_NODE, &t) || scope_add_target(s, &t, NULL, &none) < 0)
		return;
	for (i = 0; i < p->forwards->count; i++) {
		const struct forward *f = &p->forwards->all[i];

		t = (struct scope_target){.take_echo = true};
		snprintf(t.name, sizeof(t.name), "%s", f->name);
		/* There is room: SCOPE_TARGETS_MAX is the node and FORWARDS_MAX. */
		if (place(p, f->ordinal, f->slot, &t))
			(void)!scope_add_target(s, &t, NULL, &none);
	}
}

/* The target of a rule; SCOPE_NO_TARGET when it is not there. A forward is never target 0, whatever its name is. */
static int target_of(const struct scope *s, const char *to)
{
	size_t i;

	if (to[0] == '\0')
		return SCOPE_ANY_TARGET;
	if (strcmp(to, ALLOW_TO_NODE) == 0)
		return scope_targets(s) > 0 ? 0 : SCOPE_NO_TARGET;
	for (i = 1; i < scope_targets(s); i++) {
		if (strcmp(scope_target_at(s, i)->name, to) == 0)
			return (int)i;
	}
	return SCOPE_NO_TARGET;
}

/* Whether b is a's rule for another caller; a rule for any member stands alone. */
static bool same_rule(const struct allow *a, const struct allow *b)
{
	return a->bound && b->bound && a->proto == b->proto && a->first == b->first && a->last == b->last &&
	       strcmp(a->to, b->to) == 0;
}

/* The rule at *i with the callers of those behind it, which *i passes. */
static void add_rule(struct scope *s, const struct allow_list *l, size_t *i, size_t *waiting)
{
	const struct allow *a = &l->rules[*i];
	struct scope_caller callers[SCOPE_CALLERS_MAX];
	struct scope_rule r = {.proto = a->proto, .port_first = a->first, .port_last = a->last, .callers = callers,
			       .origin = ORIGIN};
	struct error none = ERROR_INIT;

	r.target = target_of(s, a->to);
	do {
		const struct allow *b = &l->rules[(*i)++];

		if (!b->bound)
			break;
		memcpy(callers[r.callers_n].id, b->from, NODE_ID_LEN);
		snprintf(callers[r.callers_n++].name, SCOPE_NAME_LEN, "%s",
			 b->from_name[0] == '\0' ? "a node without a name" : b->from_name);
	} while (*i < l->count && r.callers_n < SCOPE_CALLERS_MAX && same_rule(a, &l->rules[*i]));
	if (r.target == SCOPE_NO_TARGET)
		*waiting += r.callers_n == 0 ? 1 : r.callers_n;
	else
		(void)!scope_add_rule(s, &r, &none);	/* there is room for ALLOW_MAX, and they have been checked */
}

struct scope *scope_build(const struct scope_parts *p, size_t *waiting)
{
	struct scope *s = scope_new();
	size_t outside = 0, i;

	/* Rules about echo stand last; where there is one, it says for whom, also while it waits. */
	scope_set_echo(s, !p->allow->no_echo && (p->allow->count == 0 ||
						 p->allow->rules[p->allow->count - 1].proto != SCOPE_ECHO));
	add_targets(s, p);
	for (i = 0; i < p->allow->count;)
		add_rule(s, p->allow, &i, &outside);
	if (waiting != NULL)
		*waiting = outside;
	return s;
}
