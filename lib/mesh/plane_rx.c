/* From the network to the interface: receives, opens, joins and writes. */
#include "mesh/plane_internal.h"

#include <stdlib.h>

#include "base/buf.h"
#include "sys/clock.h"

#define ROAMED_EVERY_MS 1000
#define EVENTS_BYTES (1 << 18)
/* Of the last quarter of them nobody gets much more than this. */
#define TOLD_SHARE (EVENTS_BYTES / 32)
/* What comes by a relay of control's is bounded by this. */
#define FED_BYTES (1 << 18)
/* Rounds after which both sockets are looked at, whatever was ready. */
#define OTHER_EVERY 16

void plane_rx_init(struct plane *p)
{
	struct rx *r = &p->rx;

	plane_ring_init(&r->events, EVENTS_BYTES);
	plane_ring_init(&r->fed, FED_BYTES);
	r->rooms = xmalloc((size_t)RX_ARRIVALS * RX_ROOM);
	for (size_t i = 0; i < RX_ARRIVALS; i++) {
		r->arrivals[i].data = r->rooms + i * RX_ROOM;
		r->arrivals[i].room = RX_ROOM;
	}
}

void plane_rx_release(struct plane *p)
{
	plane_ring_release(&p->rx.events);
	plane_ring_release(&p->rx.fed);
	free(p->rx.rooms);
}

/*
 * Where room is scarce, control has been away, or cannot keep up: then whoever has said much since it took what was there
 * says no more, so that the others are heard.
 */
static bool has_say(struct plane *p, uint32_t number, size_t len)
{
	struct rx *r = &p->rx;
	struct peer *peer = &p->peers[number];

	if (plane_ring_passed(&r->events, r->turn_ends)) {
		r->turn_ends = plane_ring_place(&r->events);
		r->turn++;
	}
	if (peer->told_turn != r->turn) {
		peer->told_turn = r->turn;
		peer->told = 0;
	}
	if (peer->told >= TOLD_SHARE && plane_ring_scarce(&r->events))
		return false;
	peer->told += sizeof(struct plane_event) + len;
	return true;
}

static bool tell(struct plane *p, const struct plane_event *e, const void *data, size_t len)
{
	if ((e->peer == PLANE_NOBODY || has_say(p, e->peer, len)) && plane_tell(p, &p->rx.events, e, data, len))
		return true;
	bump(&p->rx.events_lost, 1);
	return false;
}

/* ---- to the interface ---- */

/* The headers of the first, before those of all are made of them. */
static void rewrite(const struct plane *p, uint32_t number, struct plane_join *j)
{
	const struct plane_scope *s = p->scope;
	struct plane_packet packet = j->first;

	packet.bytes = j->ip;
	packet.partial = j->open || j->count > 1;
	packet.segment = (uint16_t)(j->count > 1 ? j->size : 0);
	s->rewrite_in(s->arg, number, &packet);
}

static void finish_join(struct plane *p)
{
	struct rx *r = &p->rx;
	unsigned count = r->join.count;
	int n;

	if (count == 0)
		return;
	if (p->scope->rewrite_in != NULL)
		rewrite(p, r->join_peer, &r->join);
	n = plane_join_finish(&r->join);
	bump(&r->writes, 1);
	if (tun_write(&p->tun, r->join.iov, n))
		bump(&r->written, count);
	else
		bump(&r->refused, count);
}

static void take(struct plane *p, uint32_t number, struct plane_packet *packet, uint8_t *ip, bool open)
{
	struct plane_event e = {.kind = PLANE_EVENT_TAKEN, .peer = number};

	if (open)
		plane_checksum_fill(packet, ip);
	(void)tell(p, &e, ip, packet->len);
}

/* Between the peer's own blocks and ours alone, whatever else is routed here. */
static bool addresses_right(const struct plane *p, uint32_t number, const struct plane_packet *packet)
{
	uint32_t from, to;

	return plane_owner(p, packet, true, &from) && from == number && plane_owner(p, packet, false, &to) &&
	       to == PLANE_SELF;
}

static bool is_fin(const struct plane_packet *p)
{
	return p->protocol == IPPROTO_TCP && plane_checksum_at(p) != 0 && (p->ip[p->l4 + 13] & 1) != 0;
}

static bool add_to_join(struct plane *p, uint32_t number, const struct plane_packet *packet, bool open)
{
	return p->rx.join.count > 0 && p->rx.join_peer == number && plane_join_add(&p->rx.join, packet, open);
}

static void data(struct plane *p, uint32_t number, uint8_t *ip, size_t len, bool open)
{
	const struct plane_scope *s = p->scope;
	enum plane_verdict v = PLANE_PASS;
	struct rx *r = &p->rx;
	struct plane_packet packet;

	if (!plane_packet_parse(ip, len, &packet)) {
		bump(&r->malformed, 1);
		return;
	}
	packet.now_ms = r->now_ms;
	/* One of the flow that is being joined: judged with its first. Who keeps count of flows must see their ends. */
	if (!is_fin(&packet) && add_to_join(p, number, &packet, open))
		return;
	if (!addresses_right(p, number, &packet)) {
		bump(&r->foreign, 1);
		return;
	}
	if (s->in != NULL)
		v = s->in(s->arg, number, &packet);
	if (v == PLANE_TAKE) {
		take(p, number, &packet, ip, open);
		return;
	}
	if (v != PLANE_PASS) {
		bump(&r->dropped, 1);
		return;
	}
	if (add_to_join(p, number, &packet, open))
		return;
	finish_join(p);
	plane_clamp_mss(&packet, ip, p->o.mtu, open);
	if (!plane_join_start(&r->join, &packet, ip, open, r->udp_may_join)) {
		bump(&r->malformed, 1);
		return;
	}
	r->join_peer = number;
	if (p->o.no_merge || !r->join.joinable)
		finish_join(p);
}

/* ---- from the network ---- */

static bool known(void *arg, uint32_t index)
{
	const struct plane *p = arg;
	const struct slot *s = &p->slots[index & SLOT_MASK];

	return atomic_load_explicit(&s->session, memory_order_acquire) != NULL &&
	       atomic_load_explicit(&s->index, memory_order_relaxed) == index;
}

static void stranger(struct plane *p, const struct udp_path *path, const uint8_t *dgram, size_t len)
{
	const struct plane_scope *s = p->scope;
	struct plane_event e = {.kind = PLANE_EVENT_STRANGER, .peer = PLANE_NOBODY, .index = PLANE_NOBODY,
				.path = *path};

	bump(&p->rx.strangers, 1);
	if (s->stranger != NULL && !s->stranger(s->arg, path, dgram, len))
		return;
	/* They never take the room of what members say. */
	if (plane_ring_crowded(&p->rx.events))
		bump(&p->rx.events_lost, 1);
	else
		(void)tell(p, &e, dgram, len);
}

/* The first packet of a session that waited for it: the other side has the keys, so we may send. */
static void begin_sending(struct plane *p, struct slot *s, struct peer *peer, uint32_t index)
{
	pthread_mutex_lock(&p->lock);
	if (atomic_load(&s->session) != NULL)
		atomic_store(&peer->send, (index & SLOT_MASK) + 1);
	pthread_mutex_unlock(&p->lock);
	atomic_store(&peer->wanted, false);
	if (atomic_load(&peer->staged) != 0) {
		atomic_store(&p->tx.attention, true);
		plane_wake(p->tx.wake);
	}
}

/* Said until it is heard, for control takes nothing of a session before; used once, for there may be a younger one by then. */
static void confirm(struct plane *p, struct slot *s, uint32_t number, const struct plane_head *h,
		    const struct udp_path *path)
{
	struct plane_event e = {.kind = PLANE_EVENT_CONFIRMED, .peer = number, .index = h->index, .head = *h,
				.path = *path};

	if (atomic_load(&s->confirmed) == CONFIRM_AWAITED)
		begin_sending(p, s, &p->peers[number], h->index);
	atomic_store(&s->confirmed, tell(p, &e, NULL, 0) ? CONFIRM_DONE : CONFIRM_UNTOLD);
}

/* Does a datagram by this path come from where we send to? Our side of it counts when the endpoint names it. */
static bool path_is(const struct plane_endpoint *e, const struct udp_path *path)
{
	if (e == NULL || e->way != PLANE_WAY_UDP || !udp_addr_equal(&e->path.remote, &path->remote))
		return false;
	return e->path.local.sa.sa_family == AF_UNSPEC || udp_path_equal(&e->path, path);
}

static void look_at_path(struct plane *p, uint32_t number, const struct plane_head *h, const struct udp_path *path)
{
	struct peer *peer = &p->peers[number];
	struct plane_event e = {.kind = PLANE_EVENT_ROAMED, .peer = number, .index = h->index, .head = *h,
				.path = *path};

	if (path_is(atomic_load_explicit(&peer->endpoint, memory_order_acquire), path))
		return;
	if (udp_path_equal(&peer->roamed, path) && p->rx.now_ms - peer->roamed_ms < ROAMED_EVERY_MS)
		return;
	if (!tell(p, &e, NULL, 0))
		return;
	peer->roamed = *path;
	peer->roamed_ms = p->rx.now_ms;
}

/* Sessions seen in one arrival: nearly always one. */
struct seen {
	uint32_t index;
	uint32_t number;
	uint64_t bytes, packets;
};

static void account(struct plane *p, struct seen *s)
{
	struct peer *peer;

	if (s->number == PLANE_NOBODY)
		return;
	peer = &p->peers[s->number];
	if (s->packets > 0) {
		bump(&peer->rx_packets, s->packets);
		bump(&peer->rx_bytes, s->bytes);
		atomic_store_explicit(&peer->rx_data_ms, p->rx.now_ms, memory_order_relaxed);
	}
	atomic_store_explicit(&peer->rx_ms, p->rx.now_ms, memory_order_relaxed);
	s->bytes = s->packets = 0;
}

static void message(struct plane *p, uint32_t number, const struct plane_head *h, const struct udp_path *path,
		    const uint8_t *content, size_t len)
{
	struct plane_event e = {.kind = PLANE_EVENT_MESSAGE, .peer = number, .index = h->index, .head = *h,
				.path = *path};

	(void)tell(p, &e, content, len);
}

static void datagram(struct plane *p, struct seen *seen, const struct udp_path *path, uint8_t *dgram, size_t len)
{
	const struct plane_crypto *c = p->crypto;
	struct session *session;
	struct plane_head h;
	struct slot *s;
	uint32_t number;

	if (len < PLANE_OVERHEAD ||
	    !c->peek(atomic_load_explicit(&p->masks, memory_order_acquire), dgram, len, known, p, &h)) {
		stranger(p, path, dgram, len);
		return;
	}
	s = &p->slots[h.index & SLOT_MASK];
	session = atomic_load_explicit(&s->session, memory_order_acquire);
	if (session == NULL || !c->open(session, &h, dgram, len)) {
		bump(&p->rx.unauthentic, 1);
		return;
	}
	number = atomic_load_explicit(&s->peer, memory_order_relaxed);
	if (seen->index != h.index || seen->number != number) {
		account(p, seen);
		*seen = (struct seen){.index = h.index, .number = number};
		if (atomic_load_explicit(&s->confirmed, memory_order_relaxed) != CONFIRM_DONE)
			confirm(p, s, number, &h, path);
		look_at_path(p, number, &h, path);
	}
	len -= PLANE_OVERHEAD;
	if (h.type != c->type_data) {
		message(p, number, &h, path, dgram + PLANE_HEADER_LEN, len);
		return;
	}
	/* Nothing in it: only to be heard. */
	if (len == 0)
		return;
	seen->bytes += len;
	seen->packets++;
	data(p, number, dgram + PLANE_HEADER_LEN, len, (h.flags & PLANE_FLAG_NO_CHECKSUM) != 0);
}

static void arrival(struct plane *p, struct udp_arrival *a)
{
	struct seen seen = {.index = PLANE_NOBODY, .number = PLANE_NOBODY};

	if (a->cut || a->len == 0)
		return;
	for (size_t at = 0; at < a->len; at += a->size) {
		size_t len = a->len - at < a->size ? a->len - at : a->size;

		bump(&p->rx.received, 1);
		datagram(p, &seen, &a->path, a->data + at, len);
	}
	account(p, &seen);
}

static bool receive(struct plane *p, struct udp *u)
{
	struct rx *r = &p->rx;
	size_t n;

	if (u->fd < 0)
		return false;
	n = udp_receive(u, r->arrivals, RX_ARRIVALS);
	if (n == 0)
		return false;
	bump(&r->receives, 1);
	for (size_t i = 0; i < n; i++)
		arrival(p, &r->arrivals[i]);
	/* The rooms are about to be filled again. */
	finish_join(p);
	return true;
}

static void receive_fed(struct plane *p)
{
	uint8_t *entry;
	size_t len;

	while ((entry = plane_ring_take(&p->rx.fed, &len)) != NULL) {
		struct seen seen = {.index = PLANE_NOBODY, .number = PLANE_NOBODY};
		struct udp_path path;

		memcpy(&path, entry, sizeof(path));
		datagram(p, &seen, &path, entry + sizeof(path), len - sizeof(path));
		account(p, &seen);
		finish_join(p);
	}
}

unsigned plane_rx_round(struct plane *p, unsigned ready)
{
	struct rx *r = &p->rx;

	/* A socket that never runs dry does not keep the other one waiting for long. */
	if (r->rounds++ % OTHER_EVERY == 0)
		ready |= READY_V4 | READY_V6;
	pass_begin(&r->pass);
	r->now_ms = clock_mono_ms();
	if ((ready & READY_V4) != 0 && !receive(p, &p->udp4))
		ready &= ~(unsigned)READY_V4;
	if ((ready & READY_V6) != 0 && !receive(p, &p->udp6))
		ready &= ~(unsigned)READY_V6;
	/* What came in the meantime calls by its descriptor. */
	receive_fed(p);
	pass_end(&r->pass);
	return ready;
}
