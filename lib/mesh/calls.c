/* Calls: initiations and their repetition, answers, crossing, the three sessions of a pair, and hints. */
#include <sodium.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/engine_internal.h"

#define CALL_IDLE_RETRY_MS 1000	/* between the end of a series and the next for traffic */
#define UNREACHABLE_MS 3000	/* then packets that wait are given up, and at each repetition */
#define RELAY_FROM_TRY 2
#define RELAY_AGAIN_MS 3600000
#define GREETED_MAX 32
#define AGAIN_GAP_MS 500
#define HINT_YOUNGEST_MS 200	/* a hint about a younger session is none: anybody with the key can make them */
#define POLL_MS 1000		/* how often a session past its rekey is asked whether it is used */

/* ---- sessions ---- */

static void retire(struct mesh_engine *e, struct live *l)
{
	struct mesh_act a = {.kind = MESH_ACT_RETIRE, .index = l->index, .peer = ENGINE_NOBODY};

	if (l->index != 0)
		act(e, &a);
	*l = (struct live){0, NULL};
}

static void note_up(struct mesh_engine *e, struct node *n)
{
	bool up = n->current.index != 0;

	if (up != n->up)
		act_event(e, up ? MESH_EVENT_UP : MESH_EVENT_DOWN, n);
	n->up = up;
}

void calls_drop(struct mesh_engine *e, struct node *n)
{
	size_t i;

	retire(e, &n->previous);
	for (i = 0; i < FOLLOWING; i++)
		retire(e, &n->following[i]);
	if (n->current.index != 0)
		relay_gone(e, n);
	retire(e, &n->current);
	n->anchor = false;
	memset(n->probes, 0, sizeof(n->probes));
	note_up(e, n);
}

static bool older(const struct live *l, uint32_t generation)
{
	return l->index != 0 && l->s->generation < generation;
}

void calls_drop_older(struct mesh_engine *e, struct node *n, uint32_t generation)
{
	size_t i;

	for (i = 0; i < FOLLOWING; i++)
		if (older(&n->following[i], generation))
			retire(e, &n->following[i]);
	if (older(&n->previous, generation))
		retire(e, &n->previous);
	if (older(&n->current, generation)) {
		relay_gone(e, n);
		retire(e, &n->current);
		memset(n->probes, 0, sizeof(n->probes));
	}
	note_up(e, n);
}

static struct live publish(struct mesh_engine *e, struct node *n, struct session_params *p, enum mesh_use use,
			   int64_t now_ms)
{
	struct mesh_act a = {.kind = MESH_ACT_PUBLISH, .peer = n->peer, .index = p->local_index, .use = use};

	if (p->generation > n->generation)
		n->generation = p->generation;
	p->now_ms = now_ms;
	a.session = session_new(p);
	act(e, &a);
	return (struct live){p->local_index, a.session};
}

/* `next` is what is sent with from now on. */
static void become_current(struct mesh_engine *e, struct node *n, struct live next)
{
	if (n->current.index != 0) {
		retire(e, &n->previous);
		n->previous = n->current;
	}
	n->current = next;
	n->ever = true;
	n->wanted = false;
	n->relays_tried = 0;
	note_up(e, n);
	if (e->rotation != NULL && next.s->generation < e->gen[0].key.generation)
		node_due(e, n, next.s->created_ms);
}

/* ---- calling ---- */

void call_end(struct mesh_engine *e, struct node *n)
{
	size_t i;

	if (n->call == NULL)
		return;
	for (i = 0; i < CALL_TRIES_HELD; i++)
		if (n->call->tried_ms[i] != LONG_AGO)
			e->ops->index_give(e->ops->arg, n->call->tried[i].local_index);
	sodium_memzero(n->call, sizeof(*n->call));
	free(n->call);
	n->call = NULL;
	e->calls_count--;
}

/* At the next repetition, or when those who wait are to hear something. */
static void call_due(struct mesh_engine *e, struct node *n)
{
	const struct call *c = n->call;
	int64_t at_ms = c->started_ms + UNREACHABLE_MS;

	node_due(e, n, !c->given_up && c->tries_max == 0 && at_ms < c->next_ms ? at_ms : c->next_ms);
}

static void call_try(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct call *c = n->call;
	unsigned slot = c->tries % CALL_TRIES_HELD, i;
	uint8_t out[PACKET_OUTER_MAX];
	const uint8_t *cookie = now_ms - c->cookie_ms < COOKIE_HOLD_MS ? c->cookie : NULL;
	const struct generation *g = generation_for(e, n, c->tries, now_ms);
	struct handshake_self self = generation_self(e, g);
	/* Soon through others as well, where that is how it was or direct ones are not answered. */
	bool relayed = c->tries >= RELAY_FROM_TRY || now_ms - n->relayed_ms < RELAY_AGAIN_MS, room = true;
	const struct node *via = relayed ? relay_for(e, n, now_ms) : NULL;
	struct endpoint by;
	uint32_t index;
	size_t len;

	if (via != NULL) {
		by = relay_endpoint(e, via, n);
		room = relay_has_room(e, &by);
	}
	c->next_ms = now_ms + handshake_retry_ms(c->tries, (uint32_t)engine_random64(e));
	c->at_count = paths_candidates(e, n, now_ms, c->at);
	if (c->tried_ms[slot] != LONG_AGO) {
		e->ops->index_give(e->ops->arg, c->tried[slot].local_index);
		handshake_wipe(&c->tried[slot]);
		c->tried_ms[slot] = LONG_AGO;
	}
	if ((c->at_count > 0 || relayed) && n->counter < UINT32_MAX && e->ops->index_take(e->ops->arg, &index) == 0) {
		len = handshake_initiate(&c->tried[slot], &self, n->id, n->static_public, index, ++n->counter,
					 n->told < e->own.sequence && room, cookie, out);
		if (len == 0) {
			e->ops->index_give(e->ops->arg, index);
		} else {
			c->tried_ms[slot] = now_ms;
			c->tried_in[slot] = g->key.generation;
			for (i = 0; i < CALL_ENDPOINTS_AT_ONCE && i < c->at_count; i++)
				act_send(e, &c->at[(c->tries * CALL_ENDPOINTS_AT_ONCE + i) % c->at_count], out, len);
			if (relayed)
				relay_call(e, n, c->tries, out, len, now_ms);
			e->stats.initiations_sent++;
		}
	}
	c->tries++;
	c->last_ms = now_ms;
	call_due(e, n);
}

void call_start(struct mesh_engine *e, struct node *n, unsigned tries, int64_t now_ms)
{
	size_t i;

	if (n->evicted || n->record_len == 0)
		return;
	if (n->call != NULL) {
		/* A series that was to be short goes on for traffic. */
		if (tries == 0)
			n->call->tries_max = 0;
		return;
	}
	/* Traffic is said once; it is remembered. */
	n->wanted = n->wanted || tries == 0;
	if (handover_open_with(e, n->id))
		return;
	if (e->calls_count >= ENGINE_CALLS_MAX || now_ms < n->call_after_ms) {
		node_due(e, n, now_ms + CALL_IDLE_RETRY_MS);
		return;
	}
	n->call = xcalloc(1, sizeof(*n->call));
	n->call->started_ms = now_ms;
	n->call->tries_max = n->wanted ? 0 : tries;
	n->wanted = false;
	n->call->cookie_ms = n->call->introduced_ms = LONG_AGO;
	for (i = 0; i < CALL_TRIES_HELD; i++)
		n->call->tried_ms[i] = LONG_AGO;
	e->calls_count++;
	call_try(e, n, now_ms);
}

void call_again(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	n->call->tries = 0;
	n->call->started_ms = n->call->next_ms = now_ms;
	node_due(e, n, now_ms);
}

void calls_greet(struct mesh_engine *e, int64_t now_ms)
{
	uint32_t i, from = e->nodes_top == 0 ? 0 : engine_random(e, e->nodes_top), called = 0;

	e->greeted = true;
	for (i = 0; i < e->nodes_top && called < GREETED_MAX; i++) {
		struct node *n = e->nodes[(from + i) % e->nodes_top];

		if (n == NULL || n->good.family == ENDPOINT_NONE || n->current.index != 0)
			continue;
		call_start(e, n, 3, now_ms);
		called++;
	}
}

void calls_unreachable(struct mesh_engine *e, const struct node *n)
{
	struct mesh_act a = {.kind = MESH_ACT_UNREACHABLE, .peer = n->peer};

	act(e, &a);
}

static bool heard_since(const struct mesh_engine *e, const struct node *n, int64_t since_ms)
{
	struct engine_traffic t;

	traffic_of(e, n, &t);
	return t.rx_ms >= since_ms;
}

/* The series goes on, but who waits for an answer is to hear something: as soon as may be, then with each repetition. */
static void give_up(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct call *c = n->call;

	if (now_ms - c->started_ms < UNREACHABLE_MS || c->tries_max > 0)
		return;
	c->given_up = true;
	/* Nothing came by the path in all this time: what is sent there is lost. */
	if (n->path_ms < c->started_ms && n->path.family != ENDPOINT_NONE && n->quiet_ms < c->started_ms &&
	    !heard_since(e, n, c->started_ms))
		paths_lost(e, n, now_ms);
	if (!node_live(n))
		calls_unreachable(e, n);
}

static void call_timer(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct call *c = n->call;

	if (now_ms < c->next_ms) {
		if (!c->given_up)
			give_up(e, n, now_ms);
		call_due(e, n);
		return;
	}
	if (now_ms - c->started_ms >= HANDSHAKE_GIVE_UP_MS || (c->tries_max > 0 && c->tries >= c->tries_max)) {
		if (c->tries_max == 0 && !node_live(n))
			calls_unreachable(e, n);
		call_end(e, n);
		n->call_after_ms = now_ms + CALL_IDLE_RETRY_MS;
		return;
	}
	give_up(e, n, now_ms);
	call_try(e, n, now_ms);
	if (n->call->tries >= 2)
		introduce_ask(e, n, now_ms);
}

/* ---- answering ---- */

/* Whether to answer at all: (2), (3) and the record of (5) of the page; crossing. */
static bool may_answer(struct mesh_engine *e, struct node *n, const struct handshake_peer *p, int64_t now_ms)
{
	if (n->evicted || !handshake_order_after(&n->order, &p->order) || p->boot_epoch < n->boot_epoch)
		return false;
	if (n->call != NULL &&
	    !handshake_answer_crossing(e->nodekey.id, n->id, now_ms - n->call->started_ms))
		return false;
	return true;
}

/* What the peer said of itself in a handshake. */
static void learn(struct mesh_engine *e, struct node *n, const struct handshake_peer *p, int64_t now_ms)
{
	memcpy(n->static_public, p->static_public, 32);
	if (p->record_len > 0)
		gossip_record(e, slice_of(p->record_bytes, p->record_len), n, now_ms);
}

static void respond(struct mesh_engine *e, const struct generation *g, enum session_kind kind, struct node *n,
		    struct noise *noise, const struct handshake_peer *p, uint32_t remote, const struct endpoint *from,
		    int64_t now_ms)
{
	struct handshake_self self = generation_self(e, g);
	struct endpoint seen = *from;
	struct session_params params;
	uint8_t out[PACKET_OUTER_MAX];
	uint32_t index;
	size_t len;

	if (e->ops->index_take(e->ops->arg, &index) < 0) {
		noise_wipe(noise);
		return;
	}
	/* What stands for the way through another is of use to nobody else. */
	if (relay_is(e, from))
		seen = (struct endpoint){.family = ENDPOINT_NONE};
	len = handshake_respond(noise, &self, p, remote, index, kind, &seen,
				n->told < e->own.sequence && relay_has_room(e, from), &params, out);
	if (len == 0) {
		e->ops->index_give(e->ops->arg, index);
		return;
	}
	if (kind == SESSION_ROTATION) {
		handover_begin(e, &params, from, now_ms);
		act_send(e, from, out, len);
		return;
	}
	/*
	 * Where the way is longer than the first repetition, the initiator takes the answer to an earlier one: the youngest
	 * few are held.
	 */
	retire(e, &n->following[FOLLOWING - 1]);
	memmove(n->following + 1, n->following, (FOLLOWING - 1) * sizeof(n->following[0]));
	n->following[0] = publish(e, n, &params, MESH_USE_CONFIRMED, now_ms);
	act_send(e, from, out, len);
	node_due(e, n, now_ms + SESSION_END_MS);
}

void calls_initiation(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, struct slice body,
		      int64_t now_ms)
{
	struct handshake_self self = generation_self(e, g);
	enum session_kind kind;
	struct handshake_peer p;
	struct noise noise;
	struct node *n;
	uint32_t remote;

	if (handshake_read_initiation(&noise, &self, body, &p, &remote) < 0)
		return;
	n = generation_admits(e, g, p.id, now_ms, &kind) < 0 ? NULL : node_get(e, p.id, now_ms);
	if (n == NULL || (relay_is(e, from) && relay_end(e, from) != n) || !may_answer(e, n, &p, now_ms)) {
		e->stats.initiations_refused++;
		noise_wipe(&noise);
		return;
	}
	n->order = p.order;
	e->stats.initiations_taken++;
	learn(e, n, &p, now_ms);
	/* It may have lost our record with its sessions: then it gets it again. */
	if (n->current.index == 0)
		n->told = 0;
	respond(e, g, kind, n, &noise, &p, remote, from, now_ms);
}

static struct node *node_of_index(struct mesh_engine *e, const struct generation *g, uint32_t index, int64_t now_ms,
				  struct handshake **hs)
{
	uint32_t i, k;

	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[i];

		for (k = 0; n != NULL && n->call != NULL && k < CALL_TRIES_HELD; k++) {
			if (n->call->tried[k].local_index == index &&
			    (g == NULL || n->call->tried_in[k] == g->key.generation) && n->call->tried_ms[k] != LONG_AGO &&
			    now_ms - n->call->tried_ms[k] < HANDSHAKE_PENDING_MS) {
				*hs = &n->call->tried[k];
				return n;
			}
		}
	}
	return NULL;
}

void calls_response(struct mesh_engine *e, const struct generation *g, const struct endpoint *from,
		    const struct packet_header *h, struct slice body, int64_t now_ms)
{
	struct handshake_self self = generation_self(e, g);
	struct message empty = {.type = MESSAGE_KEEPALIVE};
	struct session_params params;
	struct handshake_peer p;
	struct handshake *hs;
	struct node *n = node_of_index(e, g, h->receiver, now_ms, &hs);
	bool fresh, told;
	size_t i;

	if (n == NULL || (relay_is(e, from) && relay_end(e, from) != n) || handshake_finish(hs, &self, h, body, &p, &params) < 0)
		return;
	e->stats.responses_taken++;
	/* Its index is the session's now. */
	for (i = 0; i < CALL_TRIES_HELD; i++)
		if (hs == &n->call->tried[i])
			n->call->tried_ms[i] = LONG_AGO;
	told = n->told < e->own.sequence;
	fresh = n->current.index == 0;
	call_end(e, n);
	if (params.kind == SESSION_ROTATION) {
		/* It has a newer generation, which it hands over. */
		handover_begin(e, &params, from, now_ms);
		return;
	}
	become_current(e, n, publish(e, n, &params, MESH_USE_NOW, now_ms));
	if (told)
		n->told = e->own.sequence;
	learn(e, n, &p, now_ms);
	paths_set(e, n, from, now_ms);
	own_observed(e, n->id, &p.observed, now_ms);
	if (fresh)
		gossip_begin(e, n, now_ms);
	else
		node_say(e, n, &empty, NULL);
	node_due(e, n, now_ms + POLL_MS);
}

void calls_cookie(struct mesh_engine *e, const struct packet_header *h, struct slice body, int64_t now_ms)
{
	struct packet_cookie c;
	struct handshake *hs;
	struct node *n;

	if (packet_cookie_get(&c, h, body) < 0)
		return;
	if (c.receiver == PACKET_COOKIE_FOR_WHO) {
		discover_cookie(e, &c, now_ms);
		return;
	}
	n = node_of_index(e, NULL, c.receiver, now_ms, &hs);
	if (n == NULL || memcmp(hs->outer_tag, c.quoted, PACKET_TAG_LEN) != 0)
		return;
	memcpy(n->call->cookie, c.cookie, COOKIE_LEN);
	n->call->cookie_ms = now_ms;
}

void calls_hint(struct mesh_engine *e, struct slice body, int64_t now_ms)
{
	struct packet_header q;
	uint32_t i;

	if (packet_hint_get(&q, body) < 0)
		return;
	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[i];

		if (n == NULL || n->current.index == 0 || n->current.s->tx.remote_index != q.receiver)
			continue;
		if (now_ms - n->current.s->created_ms < HINT_YOUNGEST_MS ||
		    atomic_load_explicit(&n->current.s->tx.counter, memory_order_relaxed) <= q.counter)
			return;
		if (n->call != NULL) {
			/* It is there again: no long wait for the next try. */
			if (now_ms - n->call->last_ms >= AGAIN_GAP_MS)
				call_again(e, n, now_ms);
			return;
		}
		e->stats.hints_taken++;
		/* Whoever has lost its sessions may have lost our record. */
		n->told = 0;
		call_start(e, n, 3, now_ms);
		return;
	}
}

void calls_confirmed(struct mesh_engine *e, struct node *n, uint32_t index, const struct endpoint *from, int64_t now_ms)
{
	bool fresh = n->current.index == 0;
	struct live l;
	size_t i = 0;

	while (i < FOLLOWING && n->following[i].index != index)
		i++;
	if (index == 0 || i == FOLLOWING)
		return;
	l = n->following[i];
	n->following[i] = (struct live){0, NULL};
	/* It has taken this answer, and no other. */
	for (i = 0; i < FOLLOWING; i++)
		retire(e, &n->following[i]);
	become_current(e, n, l);
	n->told = e->own.sequence;
	call_end(e, n);
	paths_set(e, n, from, now_ms);
	if (fresh)
		gossip_begin(e, n, now_ms);
	node_due(e, n, now_ms + POLL_MS);
}

/* ---- time ---- */

static void end_if_old(struct mesh_engine *e, struct node *n, struct live *l, int64_t now_ms)
{
	if (l->index == 0)
		return;
	if (!session_alive(l->s, now_ms))
		retire(e, l);
	else
		node_due(e, n, l->s->created_ms + SESSION_END_MS);
}

static void rekey(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	const struct session *s = n->current.s;
	int64_t rekey_ms = s->created_ms + (s->initiator ? SESSION_REKEY_MS : SESSION_REKEY_RESPONDER_MS);
	struct engine_traffic t;

	if (!session_wants_rekey(s, now_ms)) {
		node_due(e, n, rekey_ms);
		return;
	}
	traffic_of(e, n, &t);
	if (n->call == NULL && (n->anchor || t.tx_data_ms >= rekey_ms - POLL_MS || t.rx_data_ms >= rekey_ms - POLL_MS))
		call_start(e, n, 0, now_ms);
	node_due(e, n, now_ms + POLL_MS);
}

/* A pair that carried nothing for long parts: an anchor never does. */
static bool idle(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct engine_traffic t;

	traffic_of(e, n, &t);
	return !n->anchor && now_ms - t.rx_data_ms >= SESSION_IDLE_MS && now_ms - t.tx_data_ms >= SESSION_IDLE_MS &&
	       now_ms - n->path_ms >= SESSION_IDLE_MS;
}

void calls_timer(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct message bye = {.type = MESSAGE_GOODBYE, .u.goodbye = GOODBYE_STOPPING};
	size_t i;

	if (n->call != NULL)
		call_timer(e, n, now_ms);
	end_if_old(e, n, &n->previous, now_ms);
	for (i = 0; i < FOLLOWING; i++)
		end_if_old(e, n, &n->following[i], now_ms);
	end_if_old(e, n, &n->current, now_ms);
	note_up(e, n);
	if (n->call == NULL && n->wanted && !node_live(n))
		call_start(e, n, 0, now_ms);
	if (n->current.index == 0)
		return;
	if (idle(e, n, now_ms)) {
		node_say(e, n, &bye, NULL);
		calls_drop(e, n);
		return;
	}
	rekey(e, n, now_ms);
}
