/* The engine: its life, its queue of actions, its time, and what is known of it. */
#include "mesh/engine.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/engine_internal.h"

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

/* ---- to nodes ---- */

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
	e->own.sequence = sequence_above(o->sequence, o->boot_epoch);
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
	struct sign sign;

	if (record_read(&r, record, &e->addressing, err) < 0)
		return -1;
	sign = gossip_sign(e, &r, now_ms);
	if (age_s >= 0)
		sign.renewed_ms = now_ms - age_s * 1000;
	if (age_s < RECORD_REACHED_MS / 1000 && memcmp(r.id, e->nodekey.id, NODE_ID_LEN) != 0)
		gossip_take(e, &r, record, sign, now_ms);
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

/* ---- time ---- */

/* What time alone does to what is known of a node; false: it is known no more. */
static bool node_age(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	if (n->current.index != 0 && node_end_ms(n) <= now_ms)
		n->renewed_ms = now_ms;
	if (n->counts && node_end_ms(n) <= now_ms)
		gossip_expire(e, n, now_ms);
	n->due_ms = node_end_ms(n);
	if (n->due_ms > now_ms)
		return true;
	if (!n->evicted) {
		node_remove(e, n, now_ms);
		return false;
	}
	n->due_ms = now_ms + GOSSIP_MS;
	return true;
}

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
			if (!node_age(e, n, now_ms))
				continue;
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
				       .evicted = n->evicted, .away = n->record_len > 0 && !n->counts,
				       .renewed_ms = n->renewed_ms, .relay = ENGINE_NOBODY, .relays = n->relays,
				       .known_generation = n->generation, .probed_ms = n->probed_ms};
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
