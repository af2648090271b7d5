/* The walk over all delegations, by which an import checks and takes every role. */
#include "tuf/engine_internal.h"

static void walk_push(struct role_walk *w, const struct role_slot *slot)
{
	if (w->depth == w->room) {
		w->room = w->room == 0 ? 8 : 2 * w->room;
		w->stack = xreallocarray(w->stack, w->room, sizeof(*w->stack));
	}
	w->stack[w->depth].slot = slot;
	w->stack[w->depth++].it = tuf_delegation_iter(slot->file, SLICE_EMPTY);
}

int tuf_walk_run(struct tuf_client *c, struct error *err)
{
	struct role_walk *w = &c->walk;
	struct tuf_delegation d;
	struct role_slot *slot;

	while (w->depth > 0) {
		if (!tuf_delegation_next(&w->stack[w->depth - 1].it, &d)) {
			w->depth--;
			continue;
		}
		if (++w->count > TUF_WALK_MAX)
			return error_set(err, ERR_LIMIT, "more than %d delegations", TUF_WALK_MAX);
		if (tuf_load_begin(c, w->stack[w->depth - 1].slot, &d, &slot, err) < 0)
			return -1;
		if (slot == NULL)
			return 0;
		/*
		 * Known, hence walked already or being walked; the new delegator's keys have been
		 * checked.
		 */
	}
	c->stage = STAGE_READY;
	return 0;
}

int tuf_walk_begin(struct tuf_client *c, const struct role_slot *targets, struct error *err)
{
	walk_push(&c->walk, targets);
	return tuf_walk_run(c, err);
}
