/* The way of everything that comes in, from the wire and from the plane, to the part of the engine that knows it. */
#include "mesh/engine_internal.h"

#define MESSAGES_PER_S 256
#define MESSAGES_BURST 512

static void hint(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, const uint8_t *clear,
		 int64_t now_ms)
{
	uint8_t out[PACKET_OUTER_MAX];

	if (from->family == ENDPOINT_NONE || !guard_hint(&e->guard, from, now_ms) ||
	    !bucket_take(&e->hints, 10, 10, now_ms))
		return;
	e->stats.hints_sent++;
	act_send(e, from, out, packet_put_hint(&g->subkeys, clear, out));
}

/* Whether an asker must first show where it is; it has been told how, if so. */
static bool must_show(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, const uint8_t *dgram,
		      size_t len, const struct packet_header *h, struct slice body, int64_t now_ms)
{
	struct packet_cookie c = {.receiver = PACKET_COOKIE_FOR_WHO};
	struct packet_initiation i;
	uint8_t out[PACKET_OUTER_MAX];

	if (!guard_loaded(&e->guard, now_ms) || cookie_holds(&e->jar, from, now_ms, dgram, len, h))
		return false;
	if (h->type == PACKET_INITIATION) {
		if (packet_initiation_get(&i, body) < 0)
			return true;
		c.receiver = i.sender;
	}
	memcpy(c.quoted, packet_outer_tag(dgram, len, h), PACKET_TAG_LEN);
	cookie_make(&e->jar, from, now_ms, c.cookie);
	e->stats.cookies_sent++;
	act_send(e, from, out, packet_put_cookie(&g->subkeys, &c, out));
	return true;
}

static void outer(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, const uint8_t *dgram,
		  size_t len, const struct packet_header *h, struct slice body, int64_t now_ms)
{
	bool awaited = h->type == PACKET_RESPONSE || (h->type == PACKET_HERE && discover_awaited(e, body, now_ms));

	/* Who is asked through another is known by name. */
	if (relay_is(e, from) && h->type >= PACKET_WHO)
		return;
	/* After its grace a generation is for one thing. */
	if (h->type != PACKET_INITIATION && !generation_holds(e, g, now_ms))
		return;

	/* A response's index is looked at before anything costs; see calls_response. */
	if (!awaited && !guard_source(&e->guard, from, now_ms)) {
		e->stats.strangers_limited++;
		return;
	}
	if ((h->type == PACKET_INITIATION || h->type == PACKET_WHO) && must_show(e, g, from, dgram, len, h, body, now_ms))
		return;
	switch (h->type) {
	case PACKET_INITIATION:
		calls_initiation(e, g, from, body, now_ms);
		break;
	case PACKET_RESPONSE:
		calls_response(e, g, from, h, body, now_ms);
		break;
	case PACKET_COOKIE:
		calls_cookie(e, h, body, now_ms);
		break;
	case PACKET_HINT:
		calls_hint(e, body, now_ms);
		break;
	case PACKET_WHO:
		discover_who(e, g, from, body, now_ms);
		break;
	case PACKET_HERE:
		discover_here(e, from, body, now_ms);
		break;
	default:
		break;
	}
}

void mesh_engine_beacon(struct mesh_engine *e, const struct endpoint *from, const uint8_t *dgram, size_t len, int64_t now_ms)
{
	uint8_t body[PACKET_OUTER_MAX], clear[PACKET_HEADER_LEN];
	const struct generation *g;
	struct packet_header h;
	size_t n;

	for (g = e->gen; g < e->gen + e->gens; g++) {
		if (!generation_holds(e, g, now_ms) || packet_header_get(&g->subkeys, dgram, len, &h, clear) < 0 ||
		    h.type != PACKET_BEACON || packet_open(&g->subkeys, dgram, len, &h, body, &n) < 0)
			continue;
		if (guard_source(&e->guard, from, now_ms))
			discover_beacon(e, g, from, slice_of(body, n), now_ms);
		else
			e->stats.strangers_limited++;
		return;
	}
}

void mesh_engine_datagram(struct mesh_engine *e, const struct endpoint *from, const uint8_t *dgram, size_t len,
			  int64_t now_ms)
{
	uint8_t body[PACKET_OUTER_MAX], clear[PACKET_HEADER_LEN], of_session[PACKET_HEADER_LEN];
	const struct generation *session = NULL, *g;
	struct packet_header h;
	size_t n;

	for (g = e->gen; g < e->gen + e->gens; g++) {
		if (packet_header_get(&g->subkeys, dgram, len, &h, clear) < 0)
			continue;
		if (packet_is_session(&h)) {
			if (handover_datagram(e, &h, clear, from, dgram, len, now_ms))
				return;
			if (session == NULL && generation_holds(e, g, now_ms)) {
				session = g;
				memcpy(of_session, clear, sizeof(of_session));
			}
		} else if (packet_open(&g->subkeys, dgram, len, &h, body, &n) == 0) {
			outer(e, g, from, dgram, len, &h, slice_of(body, n), now_ms);
			return;
		}
	}
	if (session != NULL)
		hint(e, session, from, of_session, now_ms);
}

static void goodbye(struct mesh_engine *e, struct node *n)
{
	call_end(e, n);
	calls_drop(e, n);
}

void mesh_engine_message(struct mesh_engine *e, uint32_t peer, uint32_t index, const struct endpoint *from,
			 struct slice content, int64_t now_ms)
{
	struct node *n = node_of(e, peer);
	struct message m;

	if (n == NULL || (index != n->current.index && index != n->previous.index))
		return;
	if (message_get(&m, content) < 0 || relay_message(e, n, &m, now_ms))
		return;
	if (!bucket_take(&n->messages, MESSAGES_PER_S, MESSAGES_BURST, now_ms)) {
		e->stats.messages_limited++;
		return;
	}
	switch (m.type) {
	case MESSAGE_PROBE:
		paths_on_probe(e, n, &m, from, now_ms);
		break;
	case MESSAGE_PONG:
		paths_on_pong(e, n, &m, now_ms);
		break;
	case MESSAGE_DIGEST:
		gossip_digest(e, n, &m, now_ms);
		break;
	case MESSAGE_HAVE:
		gossip_have(e, n, &m, now_ms);
		break;
	case MESSAGE_WANT:
		gossip_want(e, n, &m, now_ms);
		break;
	case MESSAGE_RECORDS:
		gossip_records(e, n, &m, now_ms);
		break;
	case MESSAGE_ROTATE:
		rotate_part(e, n, &m, now_ms);
		break;
	case MESSAGE_INTRODUCE:
		introduce_pass(e, n, &m, now_ms);
		break;
	case MESSAGE_INTRODUCED:
		introduce_called(e, &m, now_ms);
		break;
	case MESSAGE_RELAY_NO:
		relay_no(e, n, &m, now_ms);
		break;
	case MESSAGE_GOODBYE:
		goodbye(e, n);
		break;
	case MESSAGE_ASK:
		ask_asked(e, n, &m);
		break;
	case MESSAGE_ANSWER:
		ask_answered(e, n, &m);
		break;
	default:
		break;
	}
}

void mesh_engine_wanted(struct mesh_engine *e, uint32_t peer, int64_t now_ms)
{
	struct node *n = node_of(e, peer);

	if (n != NULL)
		call_start(e, n, 0, now_ms);
}

void mesh_engine_confirmed(struct mesh_engine *e, uint32_t peer, uint32_t index, const struct endpoint *from,
			   int64_t now_ms)
{
	struct node *n = node_of(e, peer);

	if (n != NULL)
		calls_confirmed(e, n, index, from, now_ms);
}

void mesh_engine_roamed(struct mesh_engine *e, uint32_t peer, const struct endpoint *from, int64_t now_ms)
{
	struct node *n = node_of(e, peer);

	if (n == NULL || n->current.index == 0 || endpoint_equal(&n->path, from) || !endpoint_usable(from) ||
	    (relay_is(e, from) && relay_end(e, from) != n))
		return;
	/* Who takes the long way has a reason: whether ours still is what it was shows whether to follow. */
	if (relay_is(e, from) && n->path.family != ENDPOINT_NONE && !relay_is(e, &n->path))
		paths_probe(e, n, &n->path, 0, false, now_ms);
	else
		paths_probe(e, n, from, 0, true, now_ms);
}

void mesh_engine_worn(struct mesh_engine *e, uint32_t peer, uint32_t index, int64_t now_ms)
{
	struct node *n = node_of(e, peer);

	if (n != NULL && index == n->current.index) {
		calls_drop(e, n);
		call_start(e, n, 0, now_ms);
	}
}

int mesh_engine_call(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], int64_t now_ms)
{
	struct node *n = node_find(e, node);

	if (n == NULL || n->record_len == 0)
		return -1;
	call_start(e, n, 0, now_ms);
	return 0;
}

int mesh_engine_probe(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], int64_t now_ms)
{
	struct node *n = node_find(e, node);

	if (n == NULL || !node_live(n))
		return -1;
	paths_probe(e, n, &n->path, 0, false, now_ms);
	return 0;
}

void mesh_engine_stop(struct mesh_engine *e, enum goodbye why, int64_t now_ms)
{
	struct message m = {.type = MESSAGE_GOODBYE, .u.goodbye = (uint8_t)why};
	uint32_t i;

	(void)now_ms;
	for (i = 0; i < e->nodes_top; i++) {
		if (e->nodes[i] == NULL)
			continue;
		node_say(e, e->nodes[i], &m, NULL);
		goodbye(e, e->nodes[i]);
	}
}
