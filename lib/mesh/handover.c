/* Rotations over the wire: to members on the list, over their sessions or over ones that are for nothing else. */
#include <sodium.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/engine_internal.h"

#define PARTS_PER_S 64
#define CHECKS_PER_S 32		/* rotations that are looked at whole, a signature each */
#define DEAF_MS 1000		/* to the rotations of a peer after one that was refused, twice as long each time */
#define DEAF_MAX_MS 60000	/* and no longer than whoever has a good one waits before it says it again */
#define AGAIN_MS 5000		/* said again when no session of the new generation comes of it */
#define AGAIN_MAX_MS 60000
#define SHORT_MS 50		/* until there are tokens again */
#define HANDOVER_MS 30000
#define HANDOVER_AGAIN_MS 2000
#define GATHERING_MS 10000	/* the time to come to an end in, where others wait */

/* ---- sending ---- */

static size_t parts_of(const struct mesh_engine *e)
{
	return (e->rotation_len + ROTATE_CHUNK - 1) / ROTATE_CHUNK;
}

static struct message part_of(const struct mesh_engine *e, size_t part)
{
	struct message m = {.type = MESSAGE_ROTATE};
	size_t at = part * ROTATE_CHUNK, left = e->rotation_len - at;

	m.u.rotate.generation = e->gen[0].key.generation;
	m.u.rotate.part = (uint16_t)part;
	m.u.rotate.parts = (uint16_t)parts_of(e);
	m.u.rotate.chunk = slice_of(e->rotation + at, left < ROTATE_CHUNK ? left : ROTATE_CHUNK);
	return m;
}

/* Whether this peer is to get the rotation, by the session that is sent with to it. */
static bool lacks(const struct mesh_engine *e, const struct node *n)
{
	uint32_t newest = e->gen[0].key.generation;

	return e->rotation != NULL && node_live(n) && !n->evicted && n->current.s->generation < newest &&
	       n->generation < newest && staylist_has(&e->stay, n->id);
}

void rotate_node_timer(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct message m;

	if (!lacks(e, n))
		return;
	if (n->rotate_index != n->current.index) {
		n->rotate_index = n->current.index;
		n->rotate_part = 0;
		n->rotate_wait_ms = AGAIN_MS;
		n->rotate_next_ms = now_ms;
	}
	while (now_ms >= n->rotate_next_ms) {
		if (!bucket_take(&e->rotate_rate, PARTS_PER_S, PARTS_PER_S, now_ms)) {
			n->rotate_next_ms = now_ms + SHORT_MS;
			break;
		}
		m = part_of(e, n->rotate_part);
		node_say(e, n, &m, NULL);
		if (++n->rotate_part < parts_of(e))
			continue;
		e->stats.rotations_sent++;
		n->rotate_part = 0;
		n->rotate_next_ms = now_ms + n->rotate_wait_ms;
		n->rotate_wait_ms = n->rotate_wait_ms * 2 < AGAIN_MAX_MS ? n->rotate_wait_ms * 2 : AGAIN_MAX_MS;
	}
	node_due(e, n, n->rotate_next_ms);
}

/* ---- gathering ---- */

static void gathering_end(struct gathering *g)
{
	if (g->bytes != NULL)
		sodium_memzero(g->bytes, (size_t)g->parts * ROTATE_CHUNK);
	free(g->bytes);
	*g = (struct gathering){.bytes = NULL};
}

static uint32_t begun_by(const struct mesh_engine *e, const struct gathering *g)
{
	const struct node *n = node_of(e, g->peer);

	return n == NULL ? UINT32_MAX : n->gathers;
}

/*
 * A place for another peer's parts: a free one, else that of the peer that has begun most often without coming to an
 * end, if it is worse than this one in that, or as bad and has had its time. NULL: there is none.
 */
static struct gathering *gathering_place(struct mesh_engine *e, const struct node *n, int64_t now_ms)
{
	struct gathering *g, *worst = &e->gatherings[0];

	for (g = e->gatherings; g < e->gatherings + GATHERINGS_MAX; g++) {
		if (g->bytes == NULL)
			return g;
		if (begun_by(e, g) > begun_by(e, worst) ||
		    (begun_by(e, g) == begun_by(e, worst) && g->started_ms < worst->started_ms))
			worst = g;
	}
	return begun_by(e, worst) > n->gathers ||
		       (begun_by(e, worst) == n->gathers && now_ms - worst->started_ms >= GATHERING_MS) ? worst : NULL;
}

/* Where this peer's parts are kept: one rotation of each peer. NULL: there is no place. */
static struct gathering *gathering_for(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	struct gathering *g = e->gatherings;

	while (g < e->gatherings + GATHERINGS_MAX && (g->bytes == NULL || g->peer != n->peer))
		g++;
	if (g == e->gatherings + GATHERINGS_MAX)
		g = gathering_place(e, n, now_ms);
	else if (g->generation == m->u.rotate.generation && g->parts == m->u.rotate.parts)
		return g;
	if (g == NULL)
		return NULL;
	gathering_end(g);
	n->gathers++;
	*g = (struct gathering){.peer = n->peer, .generation = m->u.rotate.generation, .parts = m->u.rotate.parts,
				.missing = m->u.rotate.parts, .started_ms = now_ms,
				.bytes = xcalloc(m->u.rotate.parts, ROTATE_CHUNK)};
	return g;
}

/* Put a part where it belongs; true when all are there. */
static bool gather(struct gathering *g, const struct message *m)
{
	uint32_t part = m->u.rotate.part;
	uint64_t bit = UINT64_C(1) << part % 64;

	if ((g->have[part / 64] & bit) != 0)
		return false;
	g->have[part / 64] |= bit;
	memcpy(g->bytes + (size_t)part * ROTATE_CHUNK, m->u.rotate.chunk.ptr, m->u.rotate.chunk.len);
	if (part + 1 == g->parts)
		g->len = (size_t)part * ROTATE_CHUNK + m->u.rotate.chunk.len;
	return --g->missing == 0;
}

/* The owner's list, of a newer generation, and without this node: people should hear of it. */
static void left_out(struct mesh_engine *e, const struct node *n, struct slice rotation)
{
	size_t at = rotation.len < 2 ? 2 : 2 + (size_t)get_be16(rotation.ptr);
	struct error err = ERROR_INIT;
	struct staylist list;

	if (at < rotation.len &&
	    staylist_parse(&list, slice_sub(rotation, at, rotation.len - at), &e->gen[0].key, &err) == 0 &&
	    list.generation > e->gen[0].key.generation && !staylist_has(&list, e->nodekey.id))
		act_event(e, MESH_EVENT_LEFT_OUT, n);
}

/*
 * A whole rotation: 0 when it is in force now. Who sends bad ones is heard less and less, so that neither it nor many like it
 * keep the good one of another from being looked at: whoever is about to be evicted would.
 */
static int believe(struct mesh_engine *e, struct node *n, struct slice rotation, int64_t now_ms)
{
	if (now_ms < n->rotate_deaf_ms || !bucket_take(&e->rotate_checks, CHECKS_PER_S, CHECKS_PER_S, now_ms)) {
		e->stats.rotations_refused++;
		return -1;
	}
	if (generation_take(e, rotation, now_ms) < 0) {
		e->stats.rotations_refused++;
		n->rotate_deaf_for_ms = n->rotate_deaf_for_ms == 0 ? DEAF_MS : n->rotate_deaf_for_ms * 2;
		if (n->rotate_deaf_for_ms > DEAF_MAX_MS)
			n->rotate_deaf_for_ms = DEAF_MAX_MS;
		n->rotate_deaf_ms = now_ms + n->rotate_deaf_for_ms;
		left_out(e, n, rotation);
		return -1;
	}
	e->stats.rotations_taken++;
	n->rotate_deaf_for_ms = 0;
	n->generation = e->gen[0].key.generation;
	return 0;
}

/* A part from n: 0 when the rotation is in force with it. */
static int part_in(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	struct gathering *g;
	int r = -1;

	if (m->u.rotate.generation <= e->gen[0].key.generation) {
		/* It has what we have. */
		if (m->u.rotate.generation > n->generation)
			n->generation = m->u.rotate.generation;
		return -1;
	}
	if (m->u.rotate.parts == 1)
		return believe(e, n, m->u.rotate.chunk, now_ms);
	g = gathering_for(e, n, m, now_ms);
	if (g == NULL || !gather(g, m))
		return -1;
	r = believe(e, n, slice_of(g->bytes, g->len), now_ms);
	gathering_end(g);
	return r;
}

void rotate_part(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	/* A session of the new generation tells the sender that it came through. */
	if (part_in(e, n, m, now_ms) == 0)
		call_start(e, n, 4, now_ms);
}

/* ---- sessions for rotation only ---- */

static void handover_end(struct mesh_engine *e, struct handover *h)
{
	if (h->index == 0)
		return;
	session_free(h->s);
	e->ops->index_give(e->ops->arg, h->index);
	*h = (struct handover){.index = 0};
}

/* It came to nothing. Who called is told, so that what is sent from then on calls again. */
static void handover_fail(struct mesh_engine *e, struct handover *h)
{
	const struct node *n = h->index != 0 && h->s->initiator ? node_find(e, h->node) : NULL;

	handover_end(e, h);
	if (n != NULL && !node_live(n))
		calls_unreachable(e, n);
}

void handovers_end(struct mesh_engine *e, const uint8_t *node)
{
	struct handover *h;

	for (h = e->handovers; h < e->handovers + HANDOVERS_MAX; h++)
		if (node == NULL || memcmp(h->node, node, NODE_ID_LEN) == 0)
			handover_end(e, h);
}

void handovers_over(struct mesh_engine *e, int64_t now_ms)
{
	struct handover *h;
	struct node *n;

	for (h = e->handovers; h < e->handovers + HANDOVERS_MAX; h++) {
		n = h->index != 0 && h->s->initiator ? node_find(e, h->node) : NULL;
		handover_end(e, h);
		if (n == NULL)
			continue;
		n->wanted = true;
		node_due(e, n, now_ms);
	}
}

static void handover_say(struct mesh_engine *e, struct handover *h, const struct message *m)
{
	uint8_t d[PACKET_OUTER_MAX];
	size_t len = message_put(m, d + PACKET_HEADER_LEN, sizeof(d) - SESSION_OVERHEAD);

	if (len > 0 || m->type == MESSAGE_KEEPALIVE)
		act_send(e, &h->at, d, session_seal(&h->s->tx, PACKET_CONTROL, 0, d, len));
}

void handover_begin(struct mesh_engine *e, struct session_params *p, const struct endpoint *at, int64_t now_ms)
{
	struct message empty = {.type = MESSAGE_KEEPALIVE};
	struct handover *h, *place = &e->handovers[0];

	handovers_end(e, p->peer);
	for (h = e->handovers; h < e->handovers + HANDOVERS_MAX; h++)
		if (place->index != 0 && (h->index == 0 || h->end_ms < place->end_ms))
			place = h;
	handover_fail(e, place);
	*place = (struct handover){.index = p->local_index, .at = *at, .opened = p->initiator, .end_ms = now_ms + HANDOVER_MS,
				   .next_ms = now_ms};
	memcpy(place->node, p->peer, NODE_ID_LEN);
	p->now_ms = now_ms;
	place->s = session_new(p);
	if (place->s->initiator)
		handover_say(e, place, &empty);
	engine_due(e, place->end_ms);
}

bool handover_open_with(const struct mesh_engine *e, const uint8_t *node)
{
	const struct handover *h;

	for (h = e->handovers; h < e->handovers + HANDOVERS_MAX; h++)
		if (h->index != 0 && h->s->initiator && memcmp(h->node, node, NODE_ID_LEN) == 0)
			return true;
	return false;
}

static void handover_message(struct mesh_engine *e, struct handover *h, struct slice content, int64_t now_ms)
{
	struct message bye = {.type = MESSAGE_GOODBYE, .u.goodbye = GOODBYE_ROTATED}, m;
	struct node *n = node_find(e, h->node);
	struct handover was;

	if (message_get(&m, content) < 0 || n == NULL)
		return;
	if (m.type == MESSAGE_GOODBYE)
		handover_fail(e, h);
	if (m.type != MESSAGE_ROTATE || !h->s->initiator)
		return;
	/* What puts it in force ends this session: it is taken out first, to say goodbye by it. */
	was = *h;
	*h = (struct handover){.index = 0};
	if (part_in(e, n, &m, now_ms) < 0) {
		*h = was;
		return;
	}
	handover_say(e, &was, &bye);
	handover_end(e, &was);
	call_start(e, n, 0, now_ms);
}

bool handover_datagram(struct mesh_engine *e, const struct packet_header *head, const uint8_t *clear,
		       const struct endpoint *from, const uint8_t *dgram, size_t len, int64_t now_ms)
{
	uint8_t d[PACKET_OUTER_MAX];
	struct handover *h = e->handovers;
	size_t n;

	while (h < e->handovers + HANDOVERS_MAX && (h->index == 0 || h->index != head->receiver))
		h++;
	if (h == e->handovers + HANDOVERS_MAX || len > sizeof(d) || len < SESSION_OVERHEAD || head->type != PACKET_CONTROL)
		return false;
	memcpy(d, dgram, len);
	if (session_open(&h->s->rx, head, clear, d, len, &n) != SESSION_OK)
		return false;
	h->at = *from;
	if (!h->opened) {
		h->opened = true;
		h->next_ms = now_ms;
		engine_due(e, now_ms);
	}
	handover_message(e, h, slice_of(d + PACKET_HEADER_LEN, n), now_ms);
	return true;
}

static void handover_timer(struct mesh_engine *e, struct handover *h, int64_t now_ms)
{
	struct message m;

	if (now_ms >= h->end_ms) {
		handover_fail(e, h);
		return;
	}
	while (h->opened && !h->s->initiator && e->rotation != NULL && now_ms >= h->next_ms) {
		if (!bucket_take(&e->rotate_rate, PARTS_PER_S, PARTS_PER_S, now_ms)) {
			h->next_ms = now_ms + SHORT_MS;
			break;
		}
		m = part_of(e, h->part);
		handover_say(e, h, &m);
		if (++h->part < parts_of(e))
			continue;
		e->stats.rotations_sent++;
		h->part = 0;
		h->next_ms = now_ms + HANDOVER_AGAIN_MS;
	}
	engine_due(e, h->end_ms);
	if (h->opened && !h->s->initiator)
		engine_due(e, h->next_ms);
}

void handovers_timer(struct mesh_engine *e, int64_t now_ms)
{
	struct gathering *g;
	struct handover *h;

	for (h = e->handovers; h < e->handovers + HANDOVERS_MAX; h++)
		if (h->index != 0)
			handover_timer(e, h, now_ms);
	for (g = e->gatherings; g < e->gatherings + GATHERINGS_MAX; g++) {
		if (g->bytes == NULL)
			continue;
		if (now_ms - g->started_ms >= AGAIN_MAX_MS * 2)
			gathering_end(g);
		else
			engine_due(e, g->started_ms + AGAIN_MAX_MS * 2);
	}
}

void handovers_free(struct mesh_engine *e)
{
	struct gathering *g;

	handovers_end(e, NULL);
	for (g = e->gatherings; g < e->gatherings + GATHERINGS_MAX; g++)
		gathering_end(g);
}
