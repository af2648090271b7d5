/* The engine: its nodes, its queue of actions, and the way of everything that comes in to the part that knows it. */
#include "mesh/engine.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/engine_internal.h"

#define MESSAGES_PER_S 256
#define MESSAGES_BURST 512
#define NAMELESS_MS 600000
#define EVICTED_HELD (ENGINE_PEERS_MAX / 4)	/* a member that made up thousands leaves room when they are evicted */

/* An action in the queue, with its bytes behind it. */
struct queued {
	struct queued *next;
	struct mesh_act act;
	bool for_other;	/* counts for relay_queued */
	uint8_t bytes[];
};

/* ---- small things ---- */

uint64_t engine_random64(struct mesh_engine *e)
{
	uint64_t v;

	e->ops->random(e->ops->arg, &v, sizeof(v));
	return v;
}

uint32_t engine_random(struct mesh_engine *e, uint32_t n)
{
	return (uint32_t)(engine_random64(e) % n);
}

int64_t engine_wall(const struct mesh_engine *e, int64_t now_ms)
{
	return e->wall_s + (now_ms - e->wall_ms) / 1000;
}

void engine_due(struct mesh_engine *e, int64_t at_ms)
{
	if (at_ms < e->due_ms)
		e->due_ms = at_ms;
}

void node_due(struct mesh_engine *e, struct node *n, int64_t at_ms)
{
	if (at_ms < n->due_ms)
		n->due_ms = at_ms;
	engine_due(e, at_ms);
}

/* ---- queue ---- */

static void put(struct mesh_engine *e, const struct mesh_act *a, bool for_other)
{
	bool lossy = a->kind == MESH_ACT_SEND || a->kind == MESH_ACT_BEACON || a->kind == MESH_ACT_CONTROL ||
		     a->kind == MESH_ACT_FEED;
	struct queued *q;

	if (lossy && e->queued >= ENGINE_ACTIONS_MAX) {
		e->stats.actions_lost++;
		return;
	}
	q = xmalloc(sizeof(*q) + a->bytes.len);
	q->next = NULL;
	q->act = *a;
	q->for_other = for_other;
	if (a->bytes.len > 0)
		memcpy(q->bytes, a->bytes.ptr, a->bytes.len);
	q->act.bytes = slice_of(q->bytes, a->bytes.len);
	*e->last = q;
	e->last = &q->next;
	e->queued++;
	if (for_other)
		e->nodes[a->peer]->relay_queued += a->bytes.len;
}

void act(struct mesh_engine *e, const struct mesh_act *a)
{
	put(e, a, false);
}

bool mesh_engine_next(struct mesh_engine *e, struct mesh_act *out)
{
	if (e->taken != NULL && e->taken->act.kind == MESH_ACT_GENERATION)
		sodium_memzero(e->taken->bytes, e->taken->act.bytes.len);
	free(e->taken);
	e->taken = e->first;
	if (e->taken == NULL)
		return false;
	e->first = e->taken->next;
	if (e->first == NULL)
		e->last = &e->first;
	e->queued--;
	*out = e->taken->act;
	if (e->taken->for_other) {
		struct node *n = node_of(e, out->peer);

		/* The number may be another one's by now. */
		if (n != NULL)
			n->relay_queued -= n->relay_queued < out->bytes.len ? n->relay_queued : out->bytes.len;
	}
	return true;
}

void act_send(struct mesh_engine *e, const struct endpoint *to, const uint8_t *bytes, size_t len)
{
	struct mesh_act a = {.kind = MESH_ACT_SEND, .at = *to, .peer = ENGINE_NOBODY, .bytes = slice_of(bytes, len)};

	if (to->family == ENDPOINT_NONE || len == 0)
		return;
	if (relay_is(e, to))
		relay_send(e, to, bytes, len);
	else
		act(e, &a);
}

void act_event(struct mesh_engine *e, enum mesh_event event, const struct node *n)
{
	struct mesh_act a = {.kind = MESH_ACT_EVENT, .event = event, .peer = n == NULL ? ENGINE_NOBODY : n->peer};

	if (n != NULL) {
		memcpy(a.node, n->id, NODE_ID_LEN);
		memcpy(a.name, n->name, sizeof(a.name));
	}
	act(e, &a);
}

/* ---- nodes ---- */

static struct node **bucket_of(const struct mesh_engine *e, const uint8_t *id)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t h;

	crypto_shorthash(hash, id, NODE_ID_LEN, e->hash_key);
	memcpy(&h, hash, sizeof(h));
	return (struct node **)&e->buckets[h % NODE_BUCKETS];
}

struct node *node_find(const struct mesh_engine *e, const uint8_t *id)
{
	struct node *n = *bucket_of(e, id);

	while (n != NULL && memcmp(n->id, id, NODE_ID_LEN) != 0)
		n = n->next;
	return n;
}

struct node *node_of(const struct mesh_engine *e, uint32_t peer)
{
	return peer < e->nodes_top ? e->nodes[peer] : NULL;
}

bool node_live(const struct node *n)
{
	return n->current.index != 0 && n->path.family != ENDPOINT_NONE;
}

static unsigned worth(const struct node *n)
{
	return n->record_len == 0 ? 0 : n->ever ? 2 : 1;
}

/* Who gives way: without a record; never in a session with us, renewed longest ago; then the others without one. */
static struct node *weakest(const struct mesh_engine *e)
{
	struct node *worst = NULL;
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[i];

		if (n == NULL || (n->evicted && e->evicted_count <= EVICTED_HELD) || n->current.index != 0 || n->call != NULL)
			continue;
		if (worst == NULL || worth(n) < worth(worst) ||
		    (worth(n) == worth(worst) && n->renewed_ms < worst->renewed_ms))
			worst = n;
	}
	return worst;
}

static uint32_t free_peer(const struct mesh_engine *e)
{
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		if (e->nodes[i] == NULL)
			return i;
	return e->nodes_top;
}

struct node *node_get(struct mesh_engine *e, const uint8_t *id, int64_t now_ms)
{
	struct node *n = node_find(e, id), **at;
	struct mesh_act a = {.kind = MESH_ACT_PEER};

	if (n != NULL)
		return n;
	/* One place is this node's own. */
	if (e->nodes_count >= ENGINE_PEERS_MAX - 1) {
		n = weakest(e);
		if (n == NULL)
			return NULL;
		node_remove(e, n, now_ms);
	}
	n = xcalloc(1, sizeof(*n));
	memcpy(n->id, id, NODE_ID_LEN);
	n->peer = free_peer(e);
	if (n->peer == e->nodes_top)
		e->nodes_top++;
	e->nodes[n->peer] = n;
	e->nodes_count++;
	at = bucket_of(e, id);
	n->next = *at;
	*at = n;
	n->rtt_us = -1;
	n->probed_ms = INT64_MIN;
	n->probed_back_ms = LONG_AGO;
	/* Whoever brings no record is soon forgotten again. */
	n->due_ms = now_ms + NAMELESS_MS;
	n->renewed_ms = n->due_ms - RECORD_FORGET_MS;
	n->digest_in_ms = n->introduce_ms = n->called_us_ms = n->introduced_ms = n->explored_ms = LONG_AGO;
	n->call_after_ms = n->no_service_ms = n->relayed_ms = n->direct_ms = LONG_AGO;
	n->regossip_ms = ENGINE_NEVER;
	a.peer = n->peer;
	memcpy(a.node, id, NODE_ID_LEN);
	act(e, &a);
	engine_due(e, n->due_ms);
	return n;
}

void node_remove(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct mesh_act a = {.kind = MESH_ACT_PEER_GONE, .peer = n->peer};
	struct node **at = bucket_of(e, n->id);

	call_end(e, n);
	calls_drop(e, n);
	handovers_end(e, n->id);
	gossip_forget(e, n, now_ms);
	memcpy(a.node, n->id, NODE_ID_LEN);
	act(e, &a);
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	e->nodes[n->peer] = NULL;
	e->nodes_count--;
	e->evicted_count -= n->evicted;
	free(n->record);
	free(n);
}

struct node *node_random_live(struct mesh_engine *e, const struct node *not_this)
{
	uint32_t i, from = e->nodes_top == 0 ? 0 : engine_random(e, e->nodes_top);

	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[(from + i) % e->nodes_top];

		if (n != NULL && n != not_this && node_live(n))
			return n;
	}
	return NULL;
}

struct node *node_random(struct mesh_engine *e)
{
	uint32_t i, from = e->nodes_top == 0 ? 0 : engine_random(e, e->nodes_top);

	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[(from + i) % e->nodes_top];

		if (n != NULL && n->record_len > 0 && !n->evicted)
			return n;
	}
	return NULL;
}

size_t engine_live(const struct mesh_engine *e)
{
	size_t live = 0;
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		live += e->nodes[i] != NULL && node_live(e->nodes[i]);
	return live;
}

void node_say_bytes(struct mesh_engine *e, struct node *n, struct slice content, const struct endpoint *to, bool for_other)
{
	struct mesh_act a = {.kind = MESH_ACT_CONTROL, .peer = n->peer, .index = ENGINE_NOBODY, .relay = ENGINE_NOBODY,
			     .bytes = content};

	if (n->current.index == 0)
		return;
	if (relay_is(e, to == NULL ? &n->path : to)) {
		relay_say(e, n, content, to == NULL ? &n->path : to);
		return;
	}
	if (to != NULL)
		a.at = *to;
	put(e, &a, for_other);
}

void node_say(struct mesh_engine *e, struct node *n, const struct message *m, const struct endpoint *to)
{
	uint8_t content[MESSAGE_LEN_MAX];
	size_t len = message_put(m, content, sizeof(content));

	if (len > 0 || m->type == MESSAGE_KEEPALIVE)
		node_say_bytes(e, n, slice_of(content, len), to, m->type == MESSAGE_RELAYED);
}

int64_t engine_now_us(const struct mesh_engine *e, int64_t now_ms)
{
	return e->ops->now_us == NULL ? now_ms * 1000 : e->ops->now_us(e->ops->arg);
}

/* "Never" as a time from which others may be taken off. */
static void no_earlier(int64_t *ms)
{
	if (*ms < LONG_AGO)
		*ms = LONG_AGO;
}

void traffic_of(const struct mesh_engine *e, const struct node *n, struct engine_traffic *t)
{
	*t = (struct engine_traffic){LONG_AGO, LONG_AGO, LONG_AGO, LONG_AGO};
	e->ops->traffic(e->ops->arg, n->peer, t);
	no_earlier(&t->rx_ms);
	no_earlier(&t->tx_ms);
	no_earlier(&t->rx_data_ms);
	no_earlier(&t->tx_data_ms);
}

/* ---- life ---- */

struct mesh_engine *mesh_engine_new(const struct engine_options *o, const struct engine_ops *ops, int64_t now_ms,
				    int64_t wall_s, struct error *err)
{
	struct mesh_engine *e = xcalloc(1, sizeof(*e));
	uint8_t key[16];

	e->ops = ops;
	e->last = &e->first;
	e->nodekey = o->node;
	addressing_init(&e->addressing, o->key.id, &o->key.range, o->key.created_s);
	e->claims = claims_new(&e->addressing);
	e->nodes = xcalloc(ENGINE_PEERS_MAX, sizeof(struct node *));
	e->wall_s = wall_s;
	e->wall_ms = now_ms;
	ops->random(ops->arg, e->hash_key, sizeof(e->hash_key));
	ops->random(ops->arg, e->relay_tag, sizeof(e->relay_tag));
	ops->random(ops->arg, key, sizeof(key));
	guard_init(&e->guard, key);
	cookie_jar_init(&e->jar, now_ms);
	e->self = (struct handshake_self){.key = &e->nodekey, .ciphers = aead_ciphers(), .mtu = o->mtu == 0 ? 1420 : o->mtu,
					  .boot_epoch = o->boot_epoch};
	memcpy(e->self.network_id, o->key.id, NETWORK_ID_LEN);
	e->own = o->own;
	e->own.sequence = o->sequence;
	e->own.endpoints_count = 0;
	e->port_v4 = o->port_v4;
	e->port_v6 = o->port_v6;
	e->beacons = !o->no_beacons;
	e->beacon_ms = e->beacon_answer_ms = ENGINE_NEVER;
	e->beacon_sent_ms = e->own_made_ms = e->called_all_ms = LONG_AGO;
	e->due_ms = ENGINE_NEVER;
	e->gossip_ms = now_ms + GOSSIP_MS / 2 + engine_random(e, GOSSIP_MS / 2);
	engine_due(e, now_ms);
	if (generations_init(e, o, now_ms, err) < 0 || own_make(e, now_ms, err) < 0) {
		mesh_engine_free(e);
		return NULL;
	}
	/* Nobody has seen this one: that of the first endpoints may follow at once. */
	e->own_gap_ms = e->own_moved_ms = LONG_AGO;
	discover_announce(e, now_ms);
	return e;
}

void mesh_engine_free(struct mesh_engine *e)
{
	uint32_t i;

	if (e == NULL)
		return;
	for (i = 0; i < e->nodes_top; i++) {
		if (e->nodes[i] == NULL)
			continue;
		call_end(e, e->nodes[i]);
		free(e->nodes[i]->record);
		free(e->nodes[i]);
	}
	free(e->nodes);
	while (e->first != NULL) {
		struct queued *q = e->first;

		e->first = q->next;
		/* What the plane never got. */
		if (q->act.kind == MESH_ACT_PUBLISH)
			session_free(q->act.session);
		free(q);
	}
	free(e->taken);
	handovers_free(e);
	generations_wipe(e);
	claims_free(e->claims);
	cookie_jar_wipe(&e->jar);
	sodium_memzero(e, sizeof(*e));
	free(e);
}

int mesh_engine_load(struct mesh_engine *e, struct slice record, int64_t age_s, int64_t now_ms, struct error *err)
{
	struct mesh_record r;

	if (record_read(&r, record, &e->addressing, err) < 0)
		return -1;
	if (age_s < 0 || age_s > RECORD_FORGET_MS / 1000)
		age_s = RECORD_FORGET_MS / 1000;
	if (memcmp(r.id, e->nodekey.id, NODE_ID_LEN) != 0)
		gossip_take(e, &r, record, NULL, false, now_ms - age_s * 1000, now_ms);
	return 0;
}

void mesh_engine_load_endpoint(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], const struct endpoint *at)
{
	struct node *n = node_find(e, node);

	if (n != NULL && endpoint_usable(at))
		n->good = *at;
}

void mesh_engine_evict(struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], int64_t now_ms)
{
	struct node *n = memcmp(node, e->nodekey.id, NODE_ID_LEN) == 0 ? NULL : node_get(e, node, now_ms);

	if (n == NULL)
		return;
	call_end(e, n);
	calls_drop(e, n);
	handovers_end(e, n->id);
	gossip_forget(e, n, now_ms);
	/* Who was evicted longest ago gives way, where they are too many. */
	n->renewed_ms = now_ms;
	e->evicted_count += !n->evicted;
	n->evicted = true;
}

/* ---- in ---- */

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
	case PACKET_BEACON:
		discover_beacon(e, g, from, body, now_ms);
		break;
	default:
		break;
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

/* ---- time ---- */

void mesh_engine_timer(struct mesh_engine *e, int64_t now_ms)
{
	uint32_t i;

	e->due_ms = ENGINE_NEVER;
	if (!e->greeted)
		calls_greet(e, now_ms);
	own_timer(e, now_ms);
	discover_timer(e, now_ms);
	gossip_timer(e, now_ms);
	generations_timer(e, now_ms);
	handovers_timer(e, now_ms);
	for (i = 0; i < e->nodes_top; i++) {
		struct node *n = e->nodes[i];

		if (n == NULL)
			continue;
		if (n->due_ms <= now_ms) {
			n->due_ms = n->renewed_ms + RECORD_FORGET_MS;
			if (n->due_ms <= now_ms && n->current.index == 0 && !n->evicted) {
				node_remove(e, n, now_ms);
				continue;
			}
			if (n->due_ms <= now_ms)
				n->due_ms = now_ms + GOSSIP_MS;
			calls_timer(e, n, now_ms);
			paths_timer(e, n, now_ms);
			gossip_node_timer(e, n, now_ms);
			rotate_node_timer(e, n, now_ms);
		}
		engine_due(e, n->due_ms);
	}
}

int64_t mesh_engine_due(const struct mesh_engine *e)
{
	return e->due_ms;
}

void mesh_engine_wall(struct mesh_engine *e, int64_t now_ms, int64_t wall_s)
{
	e->wall_s = wall_s;
	e->wall_ms = now_ms;
}

/* ---- what is known ---- */

static void info(const struct mesh_engine *e, const struct node *n, struct mesh_peer_info *out)
{
	const struct node *via = relay_via(e, &n->path);

	*out = (struct mesh_peer_info){.peer = n->peer, .record = slice_of(n->record, n->record_len), .live = node_live(n),
				       .calling = n->call != NULL, .at = n->path, .last = n->good, .mtu = n->mtu, .rtt_us = n->rtt_us,
				       .evicted = n->evicted, .relay = ENGINE_NOBODY, .relays = n->relays,
				       .probed_ms = n->probed_ms};
	memcpy(out->node, n->id, NODE_ID_LEN);
	memcpy(out->name, n->name, sizeof(out->name));
	if (n->current.index != 0) {
		out->handshake_ms = n->current.s->created_ms;
		out->generation = n->current.s->generation;
	}
	if (n->path.family != ENDPOINT_NONE)
		out->path = own_lan(e, &n->path) ? MESH_PATH_LAN : MESH_PATH_DIRECT;
	if (via != NULL) {
		out->path = MESH_PATH_PEER;
		out->relay = via->peer;
		out->at = (struct endpoint){.family = ENDPOINT_NONE};
	}
}

size_t mesh_engine_peers(const struct mesh_engine *e)
{
	return e->nodes_count;
}

bool mesh_engine_each(const struct mesh_engine *e, uint32_t *at, struct mesh_peer_info *out)
{
	while (*at < e->nodes_top) {
		const struct node *n = e->nodes[(*at)++];

		if (n != NULL) {
			info(e, n, out);
			return true;
		}
	}
	return false;
}

bool mesh_engine_find(const struct mesh_engine *e, const uint8_t node[static NODE_ID_LEN], struct mesh_peer_info *out)
{
	const struct node *n = node_find(e, node);

	if (n != NULL)
		info(e, n, out);
	return n != NULL;
}

const struct mesh_record *mesh_engine_record(const struct mesh_engine *e)
{
	return &e->own;
}

const struct claims *mesh_engine_claims(const struct mesh_engine *e)
{
	return e->claims;
}

void mesh_engine_stats(const struct mesh_engine *e, struct mesh_engine_stats *out)
{
	*out = e->stats;
}
