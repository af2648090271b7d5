/* Asking a peer what it would let in, and being asked: so that people learn which end says no. */
#include "mesh/engine_internal.h"

int mesh_engine_ask(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], const struct mesh_ask *ask)
{
	struct node *n = node_find(e, node);
	struct message m = {.type = MESSAGE_ASK, .u.ask = {ask->token, ask->protocol, ask->port,
							   (uint8_t)(ask->ordinal * BLOCK_SIZE + ask->slot)}};

	if (n == NULL || !node_live(n))
		return -1;
	node_say(e, n, &m, NULL);
	return 0;
}

void mesh_engine_answer(struct mesh_engine *e, uint32_t peer, uint64_t token, enum answer verdict, struct slice text)
{
	struct message m = {.type = MESSAGE_ANSWER, .u.answer = {token, (uint8_t)verdict, slice_sub(text, 0, text.len)}};
	struct node *n = node_of(e, peer);

	if (text.len > ANSWER_TEXT_MAX)
		m.u.answer.text = slice_sub(text, 0, ANSWER_TEXT_MAX);
	if (n != NULL && node_live(n))
		node_say(e, n, &m, NULL);
}

void ask_asked(struct mesh_engine *e, struct node *n, const struct message *m)
{
	struct mesh_act a = {.kind = MESH_ACT_ASKED, .peer = n->peer,
			     .ask = {m->u.ask.token, m->u.ask.protocol, m->u.ask.port, m->u.ask.place / BLOCK_SIZE,
				     m->u.ask.place % BLOCK_SIZE}};

	memcpy(a.node, n->id, NODE_ID_LEN);
	act(e, &a);
}

void ask_answered(struct mesh_engine *e, struct node *n, const struct message *m)
{
	struct mesh_act a = {.kind = MESH_ACT_ANSWER, .peer = n->peer, .ask = {.token = m->u.answer.token},
			     .verdict = (enum answer)m->u.answer.verdict, .bytes = m->u.answer.text};

	memcpy(a.node, n->id, NODE_ID_LEN);
	act(e, &a);
}
