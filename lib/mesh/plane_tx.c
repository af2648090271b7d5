/* From the interface to the network: reads, cuts, seals and sends. */
#include "mesh/plane_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "mesh/reject.h"
#include "sys/clock.h"

/* Once so much waits in the arena it leaves, also when there is more to read. */
#define FLUSH_BYTES 49152
#define READS_PER_ROUND 64
#define UNSENT_EVERY_MS 1000
#define TOO_BIG_EVERY_MS 100
#define ANSWER_EVERY_MS 1000
/* What control and others of its kind have sealed is bounded by this. */
#define GIVEN_BYTES (1 << 18)

void plane_tx_init(struct plane *p)
{
	struct tx *t = &p->tx;

	plane_ring_init(&t->events, 1 << 18);
	plane_ring_init(&t->given, GIVEN_BYTES);
	t->in = xmalloc(TUN_HEADER_LEN + TUN_PACKET_MAX);
	t->arena = xmalloc(TX_ARENA);
	t->staged = xcalloc(PLANE_STAGED_MAX, sizeof(*t->staged));
	t->staged_stride = (p->o.mtu + 63u) & ~(size_t)63;
	/* Most of it is never touched, and so never there. */
	t->staged_room = xreallocarray(NULL, PLANE_STAGED_MAX, t->staged_stride);
	for (uint32_t i = 0; i < PLANE_STAGED_MAX; i++)
		t->staged[i].next = i + 1 < PLANE_STAGED_MAX ? i + 1 : NONE;
	t->oldest = t->newest = t->staged_peers = NONE;
}

void plane_tx_release(struct plane *p)
{
	plane_ring_release(&p->tx.events);
	plane_ring_release(&p->tx.given);
	free(p->tx.in);
	free(p->tx.arena);
	free(p->tx.staged);
	free(p->tx.staged_room);
}

/* false: it was lost, and what is said once has to be said again. */
static bool tell(struct plane *p, const struct plane_event *e, const void *data, size_t len)
{
	if (plane_tell(p, &p->tx.events, e, data, len))
		return true;
	bump(&p->tx.events_lost, 1);
	return false;
}

/* What comes with each packet: it leaves room for what is said once. */
static void tell_packet(struct plane *p, const struct plane_event *e, const void *data, size_t len)
{
	if (plane_ring_scarce(&p->tx.events))
		bump(&p->tx.events_lost, 1);
	else
		(void)tell(p, e, data, len);
}

/* It quotes a packet as rewrite_out left it, so it is turned back as one from the peer would be. */
static void answer(struct plane *p, uint32_t number, const struct plane_packet *packet, enum reject_kind what,
		   uint32_t value)
{
	const struct plane_scope *s = p->scope;
	uint8_t icmp[REJECT_MAX];
	size_t n = reject_make(icmp, packet->ip, packet->len, what, value);
	struct plane_packet own;

	if (n == 0)
		return;
	if (s->rewrite_in != NULL && number < PLANE_PEERS_MAX && plane_packet_parse(icmp, n, &own)) {
		own.now_ms = p->tx.now_ms;
		own.bytes = icmp;
		s->rewrite_in(s->arg, number, &own);
	}
	(void)plane_inject(p, icmp, n);
}

/* ---- sending ---- */

static void unsent(struct plane *p, uint32_t number, const struct udp_burst *b, int e)
{
	struct peer *peer = &p->peers[number];
	struct plane_event event = {.peer = number, .path = *b->path, .count = (uint32_t)b->size, .error = e};
	bool too_big = e == EMSGSIZE;
	int64_t *last = too_big ? &peer->too_big_ms : &peer->unsent_ms;

	bump(&p->tx.unsent, (b->len + b->size - 1) / b->size);
	if (p->tx.now_ms - *last < (too_big ? TOO_BIG_EVERY_MS : UNSENT_EVERY_MS))
		return;
	event.kind = too_big ? PLANE_EVENT_TOO_BIG : PLANE_EVENT_UNSENT;
	if (tell(p, &event, NULL, 0))
		*last = p->tx.now_ms;
}

static void send_by_control(struct plane *p, uint32_t number, const struct udp_burst *b)
{
	struct plane_event e = {.kind = PLANE_EVENT_OUT, .peer = number};

	for (size_t at = 0; at < b->len; at += b->size)
		tell_packet(p, &e, b->data + at, b->len - at < b->size ? b->len - at : b->size);
}

/* The bursts first..first+n-1, all of one family. */
static void send_bursts(struct plane *p, size_t first, size_t n, int family)
{
	struct tx *t = &p->tx;
	struct udp *u = plane_udp(p, family);
	int errnos[UDP_BURSTS];

	if (u != NULL) {
		(void)udp_send(u, t->bursts + first, n, errnos);
		bump(&t->udp_sends, 1);
	}
	for (size_t i = 0; i < n; i++) {
		struct udp_burst *b = &t->bursts[first + i];
		uint32_t number = t->to_peer[first + i];

		if (u != NULL && errnos[i] == 0)
			bump(&t->udp_sent, (b->len + b->size - 1) / b->size);
		else
			unsent(p, number, b, u != NULL ? errnos[i] : EAFNOSUPPORT);
	}
}

static int family_of(const struct plane_endpoint *e)
{
	return e->way == PLANE_WAY_UDP ? e->path.remote.sa.sa_family : AF_UNSPEC;
}

static void flush(struct plane *p)
{
	struct tx *t = &p->tx;

	for (size_t i = 0, end; i < t->n; i = end) {
		int family = family_of(t->to[i]);

		end = i + 1;
		if (family == AF_UNSPEC) {
			send_by_control(p, t->to_peer[i], &t->bursts[i]);
			continue;
		}
		while (end < t->n && family_of(t->to[end]) == family)
			end++;
		send_bursts(p, i, end - i, family);
	}
	t->n = 0;
	t->used = 0;
}

/* A peer that can be sent to: all of this holds until the end of the round. */
struct target {
	uint32_t number;
	uint32_t slot;
	struct peer *peer;
	struct plane_endpoint *endpoint;
	struct session *session;
};

static bool find_target(const struct plane *p, uint32_t number, struct target *out)
{
	out->number = number;
	out->peer = &p->peers[number];
	out->endpoint = atomic_load(&out->peer->endpoint);
	out->session = plane_sending(p, out->peer, &out->slot);
	return out->endpoint != NULL && out->endpoint->way != PLANE_WAY_NONE && out->session != NULL;
}

/* May the next datagram, of `need` bytes, stand behind the last one in its burst? */
static bool continues(const struct tx *t, const struct target *to, size_t need)
{
	const struct udp_burst *b;

	if (t->n == 0 || t->to[t->n - 1] != to->endpoint || t->to_peer[t->n - 1] != to->number)
		return false;
	b = &t->bursts[t->n - 1];
	return need <= b->size && b->len % b->size == 0 && b->len + need <= UDP_BURST_BYTES &&
	       b->len / b->size < UDP_BURST_SEGMENTS && t->used + need <= TX_ARENA;
}

/* Where the content of the next datagram goes. It counts when send_content is called. */
static uint8_t *content_room(struct plane *p, const struct target *to, size_t len)
{
	struct tx *t = &p->tx;
	size_t need = to->endpoint->prefix_len + len + PLANE_OVERHEAD;

	if (!continues(t, to, need)) {
		if (t->n == UDP_BURSTS || t->used + need > TX_ARENA)
			flush(p);
		t->bursts[t->n] = (struct udp_burst){.path = &to->endpoint->path, .data = t->arena + t->used, .size = need};
		t->to[t->n] = to->endpoint;
		t->to_peer[t->n] = to->number;
		t->n++;
	}
	return t->arena + t->used + to->endpoint->prefix_len + PLANE_HEADER_LEN;
}

/* The session is used up: control hears of it, and tries again with the next one. */
static void worn(struct plane *p, const struct target *to)
{
	struct plane_event e = {.kind = PLANE_EVENT_WORN, .peer = to->number,
				.index = atomic_load(&p->slots[to->slot].index)};

	tell_packet(p, &e, NULL, 0);
}

static bool send_content(struct plane *p, const struct target *to, size_t len, uint8_t flags)
{
	struct tx *t = &p->tx;
	struct udp_burst *b = &t->bursts[t->n - 1];
	uint8_t *dgram = t->arena + t->used + to->endpoint->prefix_len;

	if (!p->crypto->seal(to->session, dgram, len, p->crypto->type_data, flags)) {
		if (b->len == 0)
			t->n--;
		worn(p, to);
		bump(&t->dropped, 1);
		return false;
	}
	memcpy(dgram - to->endpoint->prefix_len, to->endpoint->prefix, to->endpoint->prefix_len);
	b->len += to->endpoint->prefix_len + len + PLANE_OVERHEAD;
	t->used += to->endpoint->prefix_len + len + PLANE_OVERHEAD;
	return true;
}

static void account(struct plane *p, const struct target *to, size_t packets, size_t bytes)
{
	bump(&p->tx.tun_packets, packets);
	bump(&to->peer->tx_packets, packets);
	bump(&to->peer->tx_bytes, bytes);
	atomic_store_explicit(&to->peer->tx_ms, p->tx.now_ms, memory_order_relaxed);
	atomic_store_explicit(&to->peer->tx_data_ms, p->tx.now_ms, memory_order_relaxed);
}

static void send_single(struct plane *p, const struct target *to, const struct plane_packet *packet, bool open)
{
	uint8_t *room = content_room(p, to, packet->len);

	memcpy(room, packet->ip, packet->len);
	plane_clamp_mss(packet, room, to->endpoint->mtu, open);
	if (send_content(p, to, packet->len, open ? PLANE_FLAG_NO_CHECKSUM : 0))
		account(p, to, 1, packet->len);
}

static void send_cut(struct plane *p, const struct target *to, const struct plane_buffer *b, size_t size)
{
	struct plane_cut c;
	size_t n, packets = 0, bytes = 0;

	plane_cut_start(&c, b, size);
	while ((n = plane_cut_next_len(&c)) > 0) {
		plane_cut_next(&c, content_room(p, to, n));
		if (!send_content(p, to, n, PLANE_FLAG_NO_CHECKSUM))
			break;
		packets++;
		bytes += n;
	}
	account(p, to, packets, bytes);
}

/* "Too big" to whoever sent it; for TCP, whose packets are cut anyway, now and then. */
static void too_big(struct plane *p, const struct target *to, const struct plane_packet *packet, bool every)
{
	if (!every && p->tx.now_ms - to->peer->answered_ms < ANSWER_EVERY_MS)
		return;
	to->peer->answered_ms = p->tx.now_ms;
	answer(p, to->number, packet, REJECT_TOO_BIG, to->endpoint->mtu);
}

static void send_to(struct plane *p, const struct target *to, struct plane_buffer *b)
{
	struct plane_packet *packet = &b->packet;
	size_t limit = to->endpoint->mtu, one = packet->len, size = packet->segment;

	if (size != 0)
		one = b->headers + size;
	else if (b->open && packet->protocol == IPPROTO_TCP)
		b->headers = packet->l4 + (size_t)(packet->ip[packet->l4 + 12] >> 4) * 4;
	if (one <= limit) {
		if (size == 0)
			send_single(p, to, packet, b->open);
		else
			send_cut(p, to, b, size);
		return;
	}
	if (b->open && packet->protocol == IPPROTO_TCP && b->headers < limit && b->headers <= packet->len &&
	    b->headers >= packet->l4 + 20u) {
		too_big(p, to, packet, false);
		send_cut(p, to, b, limit - b->headers);
		return;
	}
	bump(&p->tx.too_big, 1);
	too_big(p, to, packet, true);
}

/* ---- packets that wait for a session ---- */

static uint8_t *staged_at(const struct tx *t, uint32_t i)
{
	return t->staged_room + i * t->staged_stride;
}

static void staged_count(struct plane *p, struct peer *peer, int by)
{
	atomic_store(&peer->staged, atomic_load_explicit(&peer->staged, memory_order_relaxed) + (uint32_t)by);
	atomic_store_explicit(&p->tx.staged_now, counted(&p->tx.staged_now) + (uint64_t)(int64_t)by, memory_order_relaxed);
}

/* Take the peer's oldest packet out of the lists; it is in neither, nor free, afterwards. */
static uint32_t staged_take(struct plane *p, struct peer *peer)
{
	struct tx *t = &p->tx;
	uint32_t i = peer->staged_first;
	struct staged *s = &t->staged[i];

	peer->staged_first = s->next;
	if (peer->staged_first == NONE)
		peer->staged_last = NONE;
	*(s->older == NONE ? &t->oldest : &t->staged[s->older].newer) = s->newer;
	*(s->newer == NONE ? &t->newest : &t->staged[s->newer].older) = s->older;
	staged_count(p, peer, -1);
	return i;
}

static void staged_give(struct tx *t, uint32_t i)
{
	t->staged[i].next = t->staged_free;
	t->staged_free = i;
}

/* Room for one more, at the cost of the oldest where the peer, or all together, have too many. */
static uint32_t staged_room(struct plane *p, struct peer *peer)
{
	struct tx *t = &p->tx;
	struct peer *victim = NULL;
	uint32_t i;

	if (atomic_load_explicit(&peer->staged, memory_order_relaxed) >= PLANE_STAGED_PER_PEER)
		victim = peer;
	else if (t->staged_free == NONE)
		victim = &p->peers[t->staged[t->oldest].peer];
	if (victim != NULL) {
		staged_give(t, staged_take(p, victim));
		bump(&t->staged_lost, 1);
	}
	i = t->staged_free;
	t->staged_free = t->staged[i].next;
	return i;
}

static void staged_append(struct plane *p, uint32_t number, uint32_t i, size_t len, uint8_t flags)
{
	struct tx *t = &p->tx;
	struct peer *peer = &p->peers[number];

	t->staged[i] = (struct staged){.next = NONE, .older = t->newest, .newer = NONE, .peer = number,
				       .len = (uint16_t)len, .flags = flags};
	*(t->newest == NONE ? &t->oldest : &t->staged[t->newest].newer) = i;
	t->newest = i;
	*(peer->staged_last == NONE ? &peer->staged_first : &t->staged[peer->staged_last].next) = i;
	peer->staged_last = i;
	if (!atomic_load_explicit(&peer->staged_listed, memory_order_relaxed)) {
		atomic_store(&peer->staged_listed, true);
		peer->staged_next_peer = t->staged_peers;
		t->staged_peers = number;
		/* What was wished before is about packets that are gone. */
		atomic_store(&peer->staged_wish, 0);
	}
	staged_count(p, peer, 1);
}

static void stage(struct plane *p, uint32_t number, const struct plane_buffer *b)
{
	struct tx *t = &p->tx;
	struct peer *peer = &p->peers[number];
	uint8_t flags = b->open ? PLANE_FLAG_NO_CHECKSUM : 0;
	struct target to;

	if (b->packet.segment == 0 && b->packet.len <= t->staged_stride) {
		uint32_t i = staged_room(p, peer);

		memcpy(staged_at(t, i), b->packet.ip, b->packet.len);
		staged_append(p, number, i, b->packet.len, flags);
	} else if (b->packet.segment != 0 && b->headers + b->packet.segment <= t->staged_stride) {
		struct plane_cut c;
		size_t n;

		plane_cut_start(&c, b, b->packet.segment);
		while ((n = plane_cut_next_len(&c)) > 0) {
			uint32_t i = staged_room(p, peer);

			plane_cut_next(&c, staged_at(t, i));
			staged_append(p, number, i, n, flags);
		}
	} else {
		bump(&t->dropped, 1);
		return;
	}
	/* A session that came in between did not see that something waits. */
	if (find_target(p, number, &to) || atomic_load(&peer->dying)) {
		atomic_store(&t->attention, true);
	} else if (!atomic_exchange(&peer->wanted, true)) {
		struct plane_event e = {.kind = PLANE_EVENT_WANTED, .peer = number,
					.count = atomic_load_explicit(&peer->staged, memory_order_relaxed)};

		bool told = tell(p, &e, NULL, 0), ready = find_target(p, number, &to);

		/* Untold, the next packet says it: nothing would ever come of the flag alone. */
		if (!told || ready)
			atomic_store(&peer->wanted, false);
		if (ready)
			atomic_store(&t->attention, true);
	}
}

static void staged_send(struct plane *p, const struct target *to)
{
	struct tx *t = &p->tx;

	while (to->peer->staged_first != NONE) {
		uint32_t i = staged_take(p, to->peer);
		const struct staged *s = &t->staged[i];
		struct plane_buffer b = {.open = (s->flags & PLANE_FLAG_NO_CHECKSUM) != 0};

		if (plane_packet_parse(staged_at(t, i), s->len, &b.packet))
			send_to(p, to, &b);
		staged_give(t, i);
	}
}

static void staged_drop(struct plane *p, uint32_t number, bool tell_senders)
{
	struct peer *peer = &p->peers[number];
	struct tx *t = &p->tx;

	while (peer->staged_first != NONE) {
		uint32_t i = staged_take(p, peer);
		struct plane_packet packet;

		if (tell_senders && plane_packet_parse(staged_at(t, i), t->staged[i].len, &packet))
			answer(p, number, &packet, REJECT_UNREACHABLE, 0);
		staged_give(t, i);
		bump(&t->staged_lost, 1);
	}
}

/* Send, or drop, what waits, where something has come of it. */
static void look_at_staged(struct plane *p)
{
	uint32_t *at = &p->tx.staged_peers;

	while (*at != NONE) {
		uint32_t number = *at;
		struct peer *peer = &p->peers[number];
		unsigned wish = atomic_exchange(&peer->staged_wish, 0);
		struct target to;

		if (atomic_load(&peer->dying))
			staged_drop(p, number, false);
		else if (wish & STAGED_DROP)
			staged_drop(p, number, (wish & STAGED_ANSWER) != 0);
		else if (find_target(p, number, &to))
			staged_send(p, &to);
		if (peer->staged_first != NONE) {
			at = &peer->staged_next_peer;
			continue;
		}
		*at = peer->staged_next_peer;
		/* Last: a peer that was removed may be another one from here on. */
		atomic_store(&peer->staged_listed, false);
	}
}

/* ---- packets of our own ---- */

static void send_one_given(struct plane *p, uint32_t number, const uint8_t *ip, size_t len)
{
	struct plane_buffer b = {.open = false};
	struct target to;
	uint32_t owner;

	/* Only who has a block is surely there. */
	if (!plane_packet_parse(ip, len, &b.packet) || !plane_owner(p, &b.packet, false, &owner) || owner != number ||
	    number >= PLANE_PEERS_MAX)
		bump(&p->tx.dropped, 1);
	else if (p->peers[number].staged_first != NONE || !find_target(p, number, &to))
		stage(p, number, &b);
	else if (b.packet.len > to.endpoint->mtu)
		bump(&p->tx.too_big, 1);
	else
		send_to(p, &to, &b);
}

static void send_given(struct plane *p)
{
	uint8_t *entry;
	size_t len;

	while ((entry = plane_ring_take(&p->tx.given, &len)) != NULL) {
		uint32_t number;

		memcpy(&number, entry, sizeof(number));
		send_one_given(p, number, entry + sizeof(number), len - sizeof(number));
	}
}

static void attend(struct plane *p)
{
	look_at_staged(p);
	send_given(p);
}

/* ---- reading ---- */

static void take(struct plane *p, uint32_t number, struct plane_buffer *b)
{
	struct plane_event e = {.kind = PLANE_EVENT_TAKEN, .peer = number, .outward = true};
	uint8_t *ip = p->tx.in + TUN_HEADER_LEN;

	if (b->packet.segment != 0) {
		bump(&p->tx.dropped, 1);
		return;
	}
	if (b->open)
		plane_checksum_fill(&b->packet, ip);
	tell_packet(p, &e, ip, b->packet.len);
}

static void carry_out(struct plane *p, enum plane_verdict v, uint32_t number, struct plane_buffer *b,
		      enum reject_kind refusal)
{
	switch (v) {
	case PLANE_TAKE:
		take(p, number, b);
		break;
	case PLANE_REJECT:
		bump(&p->tx.rejected, 1);
		answer(p, number, &b->packet, refusal, 0);
		break;
	default:
		bump(&p->tx.dropped, 1);
		break;
	}
}

static void unowned(struct plane *p, uint32_t owner, struct plane_buffer *b)
{
	const struct plane_scope *s = p->scope;
	enum plane_verdict v = PLANE_REJECT;

	bump(&p->tx.unowned, 1);
	if (s->unowned != NULL)
		v = s->unowned(s->arg, owner == PLANE_SELF, &b->packet);
	carry_out(p, v, owner, b, REJECT_UNREACHABLE);
}

static void rewrite(struct plane *p, struct plane_buffer *b)
{
	const struct plane_scope *s = p->scope;

	b->packet.bytes = p->tx.in + TUN_HEADER_LEN;
	b->packet.partial = b->open;
	s->rewrite_out(s->arg, &b->packet);
	b->packet.bytes = NULL;
	b->packet.partial = false;
}

static void read_one(struct plane *p, size_t len)
{
	const struct plane_scope *s = p->scope;
	enum plane_verdict v = PLANE_PASS;
	struct plane_buffer b;
	struct target to;
	uint32_t owner;

	bump(&p->tx.tun_reads, 1);
	if (!plane_buffer_parse(p->tx.in, len, &b)) {
		bump(&p->tx.malformed, 1);
		return;
	}
	b.packet.now_ms = p->tx.now_ms;
	if (s->rewrite_out != NULL)
		rewrite(p, &b);
	/* Multicast, and what somebody routed here. */
	if (!plane_owner(p, &b.packet, false, &owner)) {
		bump(&p->tx.dropped, 1);
		return;
	}
	if (owner == PLANE_NOBODY || owner == PLANE_SELF) {
		unowned(p, owner, &b);
		return;
	}
	if (s->out != NULL && (v = s->out(s->arg, owner, &b.packet)) != PLANE_PASS)
		carry_out(p, v, owner, &b, REJECT_PROHIBITED);
	else if (p->peers[owner].staged_first == NONE && find_target(p, owner, &to))
		send_to(p, &to, &b);
	else
		stage(p, owner, &b);
}

/* Read until there is nothing, or enough. true: there may be more. -1: the interface is gone. */
static int read_some(struct plane *p)
{
	for (int i = 0; i < READS_PER_ROUND; i++) {
		ssize_t n = tun_read(&p->tun, p->tx.in, TUN_HEADER_LEN + TUN_PACKET_MAX);

		if (n <= 0)
			return (int)n;
		read_one(p, (size_t)n);
		if (p->tx.used >= FLUSH_BYTES)
			return 1;
	}
	return 1;
}

static void interface_gone(struct plane *p)
{
	struct plane_event e = {.kind = PLANE_EVENT_GONE, .error = ENODEV};

	/* Else the next round finds it gone once more. */
	p->tx.gone = tell(p, &e, NULL, 0);
}

bool plane_tx_round(struct plane *p)
{
	struct tx *t = &p->tx;
	int more = 0;

	pass_begin(&t->pass);
	t->now_ms = clock_mono_ms();
	if (atomic_load_explicit(&t->attention, memory_order_relaxed) && atomic_exchange(&t->attention, false))
		attend(p);
	if (!t->gone && (more = read_some(p)) < 0)
		interface_gone(p);
	flush(p);
	pass_end(&t->pass);
	return more > 0 || atomic_load(&t->attention);
}
