/*
 * Relaying: datagrams that one member passes on to another one, on both ends and in between. On the ends such a way is
 * an endpoint like any other, of a form that no address of the Internet has:
 *
 *	01 | number of the peer that passes on (3 bytes) | of the peer at the other end (4) | random, of this engine (8)
 *
 * so that calls, probes and sessions go by it, and what the plane opened can be told by its source.
 */
#include "base/buf.h"
#include "mesh/engine_internal.h"

#define RELAYS_PER_S 20000
#define RELAYS_BURST 4096
#define STRANGERS_PER_S 8		/* nodes that are new to us and come through others */
#define ROOM 65536			/* bytes that wait for one target */
#define NO_MS 10000			/* a peer that said no is not asked again for that node so long */
#define SERVICE_MS 600000		/* nor one that does not relay at all, for anybody */
#define CALLED_AT_ONCE 2		/* relays by which an initiation goes */
#define FULL_PAYLOAD 308		/* of a relay message around an initiation or a response, but for the record */

/* ---- the endpoint that stands for it ---- */

bool relay_is(const struct mesh_engine *e, const struct endpoint *at)
{
	return at->family == ENDPOINT_V6 && at->addr[0] == 1 && memcmp(at->addr + 8, e->relay_tag, sizeof(e->relay_tag)) == 0;
}

struct endpoint relay_endpoint(const struct mesh_engine *e, const struct node *via, const struct node *n)
{
	struct endpoint at = {.family = ENDPOINT_V6, .port = 1};

	put_be32(at.addr, via->peer);
	at.addr[0] = 1;
	put_be32(at.addr + 4, n->peer);
	memcpy(at.addr + 8, e->relay_tag, sizeof(e->relay_tag));
	return at;
}

struct node *relay_via(const struct mesh_engine *e, const struct endpoint *at)
{
	return relay_is(e, at) ? node_of(e, get_be32(at->addr) & 0xffffff) : NULL;
}

struct node *relay_end(const struct mesh_engine *e, const struct endpoint *at)
{
	return relay_is(e, at) ? node_of(e, get_be32(at->addr + 4)) : NULL;
}

/* Whether this peer can be sent datagrams for others. */
static bool carries(const struct mesh_engine *e, const struct node *via)
{
	return via != NULL && node_live(via) && !via->evicted && !relay_is(e, &via->path);
}

bool relay_works(const struct mesh_engine *e, const struct endpoint *at)
{
	return carries(e, relay_via(e, at)) && relay_end(e, at) != NULL;
}

uint16_t relay_mtu(const struct mesh_engine *e, const struct endpoint *at)
{
	const struct node *via = relay_via(e, at);

	return via == NULL || via->mtu < 576 + RELAY_OVERHEAD ? 576 : (uint16_t)(via->mtu - RELAY_OVERHEAD);
}

bool relay_has_room(const struct mesh_engine *e, const struct endpoint *at)
{
	const struct node *via = relay_via(e, at);

	return via == NULL || via->mtu >= FULL_PAYLOAD + e->own_len;
}

/* ---- choosing ---- */

static bool said_no(const struct node *n, const struct node *via, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < RELAY_NOES; i++)
		if (n->no[i].until_ms > now_ms && n->no[i].via == via->peer)
			return true;
	return false;
}

void relay_note_no(struct node *n, const struct node *via, int64_t now_ms)
{
	n->no[n->noes++ % RELAY_NOES] = (struct relay_no_of){via->peer, now_ms + NO_MS};
}

static bool offers(const struct mesh_engine *e, const struct node *via, const struct node *n, int64_t now_ms)
{
	return via != n && via->relays && now_ms >= via->no_service_ms && carries(e, via) &&
	       (n == NULL || !said_no(n, via, now_ms));
}

struct node *relay_for(const struct mesh_engine *e, const struct node *n, int64_t now_ms)
{
	struct node *best = NULL;
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++) {
		struct node *via = e->nodes[i];

		if (via != NULL && offers(e, via, n, now_ms) &&
		    (best == NULL || (uint64_t)via->rtt_us < (uint64_t)best->rtt_us))
			best = via;
	}
	return best;
}

bool relay_seek(struct mesh_engine *e, const struct node *not_this, int64_t now_ms)
{
	uint32_t i, from = e->nodes_top == 0 ? 0 : engine_random(e, e->nodes_top);

	for (i = 0; i < e->nodes_top; i++) {
		struct node *via = e->nodes[(from + i) % e->nodes_top];

		if (via == NULL || via == not_this || !via->relays || via->evicted || node_live(via) || via->call != NULL ||
		    now_ms < via->no_service_ms)
			continue;
		call_start(e, via, 3, now_ms);
		return true;
	}
	return false;
}

void relay_call(struct mesh_engine *e, struct node *n, unsigned tries, const uint8_t *out, size_t len, int64_t now_ms)
{
	unsigned offered = 0, i = 0, k;
	struct endpoint at;
	uint32_t p;

	for (p = 0; p < e->nodes_top; p++)
		offered += e->nodes[p] != NULL && offers(e, e->nodes[p], n, now_ms);
	if (offered == 0) {
		relay_seek(e, n, now_ms);
		return;
	}
	/* Another two of them at each try, where there are more. */
	for (p = 0; p < e->nodes_top; p++) {
		if (e->nodes[p] == NULL || !offers(e, e->nodes[p], n, now_ms))
			continue;
		k = (i++ + offered - tries * CALLED_AT_ONCE % offered) % offered;
		if (k >= CALLED_AT_ONCE)
			continue;
		at = relay_endpoint(e, e->nodes[p], n);
		act_send(e, &at, out, len);
	}
}

bool relay_needed(const struct mesh_engine *e, const struct node *via)
{
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		if (e->nodes[i] != NULL && node_live(e->nodes[i]) && relay_via(e, &e->nodes[i]->path) == via)
			return true;
	return false;
}

void relay_gone(struct mesh_engine *e, const struct node *via)
{
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		if (e->nodes[i] != NULL && relay_via(e, &e->nodes[i]->path) == via)
			node_due(e, e->nodes[i], LONG_AGO);
}

/* ---- at the ends ---- */

void relay_send(struct mesh_engine *e, const struct endpoint *at, const uint8_t *bytes, size_t len)
{
	struct message m = {.type = MESSAGE_RELAY};
	struct node *via = relay_via(e, at), *n = relay_end(e, at);

	if (!carries(e, via) || n == NULL || len < PACKET_LEN_MIN)
		return;
	memcpy(m.u.relay.node, n->id, NODE_ID_LEN);
	m.u.relay.datagram = slice_of(bytes, len);
	node_say(e, via, &m, NULL);
}

void relay_say(struct mesh_engine *e, struct node *n, struct slice content, const struct endpoint *at)
{
	uint8_t d[MESSAGE_LEN_MAX + SESSION_OVERHEAD];

	if (content.len > MESSAGE_LEN_MAX)
		return;
	if (content.len > 0)
		memcpy(d + PACKET_HEADER_LEN, content.ptr, content.len);
	relay_send(e, at, d, session_seal(&n->current.s->tx, PACKET_CONTROL, 0, d, content.len));
}

void mesh_engine_out(struct mesh_engine *e, uint32_t peer, struct slice datagram, int64_t now_ms)
{
	const struct node *n = node_of(e, peer);

	(void)now_ms;
	if (n != NULL)
		relay_send(e, &n->path, datagram.ptr, datagram.len);
}

/* Whether it is a packet of a session, by its header. */
static bool of_session(const struct mesh_engine *e, struct slice d)
{
	struct packet_header h;
	size_t i;

	for (i = 0; i < e->gens; i++)
		if (packet_header_get(&e->gen[i].subkeys, d.ptr, d.len, &h, NULL) == 0)
			return packet_is_session(&h);
	return false;
}

static void relayed(struct mesh_engine *e, struct node *via, const struct message *m, int64_t now_ms)
{
	struct mesh_act a = {.kind = MESH_ACT_FEED, .peer = via->peer, .relay = ENGINE_NOBODY, .bytes = m->u.relay.datagram};
	bool session = of_session(e, m->u.relay.datagram);
	struct node *n = node_find(e, m->u.relay.node);

	if (memcmp(m->u.relay.node, e->nodekey.id, NODE_ID_LEN) == 0 || n == via || !carries(e, via))
		return;
	/* One that nothing is known of may call, and no more. */
	if (n == NULL && !session && bucket_take(&e->relay_strangers, STRANGERS_PER_S, STRANGERS_PER_S, now_ms))
		n = node_get(e, m->u.relay.node, now_ms);
	if (n == NULL || n->evicted)
		return;
	a.at = relay_endpoint(e, via, n);
	memcpy(a.node, n->id, NODE_ID_LEN);
	if (session)
		act(e, &a);
	else
		mesh_engine_datagram(e, &a.at, a.bytes.ptr, a.bytes.len, now_ms);
}

void relay_no(struct mesh_engine *e, struct node *via, const struct message *m, int64_t now_ms)
{
	struct node *n = node_find(e, m->u.relay.node);

	if (m->u.relay.reason == RELAY_NO_SERVICE)
		via->no_service_ms = now_ms + SERVICE_MS;
	if (n == NULL || m->u.relay.reason == RELAY_NO_ROOM)
		return;
	relay_note_no(n, via, now_ms);
	if (relay_via(e, &n->path) == via)
		paths_lost(e, n, now_ms);
}

/* ---- in between ---- */

static void say_no(struct mesh_engine *e, struct node *asker, const struct message *m, enum relay_no why, int64_t now_ms)
{
	struct message no = {.type = MESSAGE_RELAY_NO};

	e->stats.relay_refused++;
	/* Few at a time: whoever asks for many that are not there hears of some. */
	if (!bucket_take(&asker->relay_noes, 4, 8, now_ms))
		return;
	memcpy(no.u.relay.node, m->u.relay.node, NODE_ID_LEN);
	no.u.relay.reason = (uint8_t)why;
	node_say(e, asker, &no, NULL);
}

static void pass(struct mesh_engine *e, struct node *asker, const struct message *m, int64_t now_ms)
{
	struct message out = {.type = MESSAGE_RELAYED};
	struct node *to = node_find(e, m->u.relay.node);

	if ((e->own.flags & RECORD_RELAYS) == 0) {
		say_no(e, asker, m, RELAY_NO_SERVICE, now_ms);
		return;
	}
	if (to == asker || !carries(e, to) || !carries(e, asker)) {
		say_no(e, asker, m, RELAY_NO_ROUTE, now_ms);
		return;
	}
	if (to->relay_queued + m->u.relay.datagram.len > ROOM) {
		say_no(e, asker, m, RELAY_NO_ROOM, now_ms);
		return;
	}
	memcpy(out.u.relay.node, asker->id, NODE_ID_LEN);
	out.u.relay.datagram = m->u.relay.datagram;
	e->stats.relayed++;
	node_say(e, to, &out, NULL);
}

bool relay_message(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	if (m->type != MESSAGE_RELAY && m->type != MESSAGE_RELAYED)
		return false;
	if (!bucket_take(&n->relay_rate, RELAYS_PER_S, RELAYS_BURST, now_ms))
		e->stats.messages_limited++;
	else if (m->type == MESSAGE_RELAY)
		pass(e, n, m, now_ms);
	else
		relayed(e, n, m, now_ms);
	return true;
}
