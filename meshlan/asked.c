/* A member asks what this node lets it call. It learns that, and nothing of the rules that are about others. */
#include <stdio.h>
#include <string.h>

#include <netinet/in.h>

#include "meshlan/internal.h"
#include "sys/clock.h"

/* Our target at that place: "" is the node itself; NULL: nothing is there. */
static const char *place_name(const struct lan *l, const struct mesh_ask *q)
{
	size_t i;

	if (q->slot == SLOT_NODE)
		return q->ordinal == 0 ? "" : NULL;
	for (i = 0; i < l->net.forwards.count; i++)
		if (l->net.forwards.all[i].ordinal == q->ordinal && l->net.forwards.all[i].slot == q->slot)
			return l->net.forwards.all[i].name;
	return NULL;
}

static enum scope_proto proto_of(uint8_t protocol)
{
	return protocol == IPPROTO_TCP ? SCOPE_TCP : protocol == IPPROTO_UDP ? SCOPE_UDP : SCOPE_ECHO;
}

void asked(struct lan *l, const struct mesh_act *a)
{
	const char *name = place_name(l, &a->ask), *text = "no rule there allows it";
	int target = name == NULL ? -1 : filter_target_named(l->filter, name);
	enum answer verdict = ANSWER_DENIED;
	struct filter_explanation x;
	struct mesh_peer_info i;

	if (target < 0) {
		verdict = ANSWER_NOTHING;
		text = "there is no such device there";
	} else {
		bool known = mesh_engine_find(l->engine, a->node, &i);

		/* Of rules alone: to look through all flows costs more than a question. */
		filter_explain(l->filter, a->node, known ? i.name : "the caller", FLOW_PEERS_MAX, target,
			       proto_of(a->ask.protocol), a->ask.port, clock_mono_ms(), &x);
		if (x.reason.allowed) {
			verdict = ANSWER_ALLOWED;
			text = x.reason.why;
		}
	}
	mesh_engine_answer(l->engine, a->peer, a->ask.token, verdict, slice_str(text));
}
