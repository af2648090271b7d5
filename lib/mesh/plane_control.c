/* The data plane as control talks to it: its own packets, what it hears, and figures. */
#include "mesh/plane.h"

#include <errno.h>

#include "mesh/plane_internal.h"
#include "sys/clock.h"

int plane_send_raw(struct plane *p, const struct udp_path *to, const void *dgram, size_t len)
{
	struct udp *u = plane_udp(p, to->remote.sa.sa_family);
	/* Nothing writes to it. */
	struct udp_burst b = {.path = to, .data = (uint8_t *)(uintptr_t)dgram, .len = len, .size = len};
	int e = 0;

	if (u == NULL)
		return EAFNOSUPPORT;
	(void)udp_send(u, &b, 1, &e);
	return e;
}

/* By its way, as an event that control finds in its own ring where that is the way. */
static int send_sealed(struct plane *p, uint32_t number, const struct udp_path *to, uint8_t *dgram, size_t len)
{
	struct plane_endpoint *e = atomic_load(&p->peers[number].endpoint);
	size_t prefix;

	if (to != NULL)
		return plane_send_raw(p, to, dgram, len);
	if (e == NULL || e->way != PLANE_WAY_UDP)
		return EDESTADDRREQ;
	prefix = e->prefix_len;
	memcpy(dgram - prefix, e->prefix, prefix);
	return plane_send_raw(p, &e->path, dgram - prefix, len + prefix);
}

int plane_send(struct plane *p, uint32_t number, uint32_t index, const struct udp_path *to, uint8_t type,
	       const void *content, size_t len)
{
	struct peer *peer = &p->peers[number];
	uint8_t *dgram = p->out + sizeof(((struct plane_endpoint *)0)->prefix);
	struct session *s;
	uint32_t slot;
	int e;

	if (len > PLANE_CONTENT_MAX)
		return EMSGSIZE;
	if (index == PLANE_NOBODY) {
		s = plane_sending(p, peer, &slot);
	} else {
		struct slot *named = &p->slots[index & SLOT_MASK];

		s = named->taken && atomic_load(&named->index) == index ? atomic_load(&named->session) : NULL;
	}
	if (s == NULL)
		return ENOTCONN;
	memcpy(dgram + PLANE_HEADER_LEN, content, len);
	if (!p->crypto->seal(s, dgram, len, type, 0))
		return EKEYEXPIRED;
	e = send_sealed(p, number, to, dgram, len + PLANE_OVERHEAD);
	if (e == 0)
		atomic_store_explicit(&peer->tx_ms, clock_mono_ms(), memory_order_relaxed);
	return e;
}

bool plane_inject(struct plane *p, const void *ip, size_t len)
{
	struct virtio_net_hdr h = {0};
	struct iovec iov[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)ip, len}};

	return tun_write(&p->tun, iov, 2);
}

bool plane_send_packet(struct plane *p, uint32_t peer, const void *ip, size_t len)
{
	uint8_t *room = NULL;

	if (len > PLANE_CONTENT_MAX)
		return false;
	pthread_mutex_lock(&p->give_lock);
	room = plane_ring_reserve(&p->tx.given, sizeof(peer) + len);
	if (room != NULL) {
		memcpy(room, &peer, sizeof(peer));
		memcpy(room + sizeof(peer), ip, len);
		plane_ring_commit(&p->tx.given);
	}
	pthread_mutex_unlock(&p->give_lock);
	if (room == NULL)
		return false;
	atomic_store(&p->tx.attention, true);
	plane_wake(p->tx.wake);
	return true;
}

bool plane_feed(struct plane *p, const struct udp_path *from, const void *dgram, size_t len)
{
	uint8_t *room = plane_ring_reserve(&p->rx.fed, sizeof(*from) + len);

	if (room == NULL)
		return false;
	memcpy(room, from, sizeof(*from));
	memcpy(room + sizeof(*from), dgram, len);
	plane_ring_commit(&p->rx.fed);
	plane_wake(p->rx.wake);
	return true;
}

/* ---- events ---- */

bool plane_tell(struct plane *p, struct plane_ring *r, const struct plane_event *e, const void *data, size_t len)
{
	uint8_t *room = plane_ring_reserve(r, sizeof(*e) + len);

	if (room == NULL)
		return false;
	memcpy(room, e, sizeof(*e));
	if (len > 0)
		memcpy(room + sizeof(*e), data, len);
	plane_ring_commit(r);
	if (!atomic_exchange(&p->signalled, true))
		plane_wake(p->event_fd);
	return true;
}

static bool take_event(struct plane_ring *r, struct plane_event *out)
{
	size_t len;
	uint8_t *entry = plane_ring_take(r, &len);

	if (entry == NULL)
		return false;
	memcpy(out, entry, sizeof(*out));
	out->data = slice_of(entry + sizeof(*out), len - sizeof(*out));
	return true;
}

/* By turns, so that neither has to run dry before the other one is heard. */
static bool take_next(struct plane *p, struct plane_event *out)
{
	struct plane_ring *tx = &p->tx.events, *rx = &p->rx.events;

	p->rx_turn = !p->rx_turn;
	return take_event(p->rx_turn ? rx : tx, out) || take_event(p->rx_turn ? tx : rx, out);
}

bool plane_next(struct plane *p, struct plane_event *out)
{
	if (take_next(p, out))
		return true;
	/* Quiet first, then look once more: what comes in between makes the descriptor readable again. */
	plane_wake_clear(p->event_fd);
	atomic_store(&p->signalled, false);
	atomic_thread_fence(memory_order_seq_cst);
	if (take_next(p, out)) {
		if (!atomic_exchange(&p->signalled, true))
			plane_wake(p->event_fd);
		return true;
	}
	return false;
}

/* ---- figures ---- */

void plane_peer_stats(const struct plane *p, uint32_t number, struct plane_peer_stats *out)
{
	const struct peer *peer = &p->peers[number];

	*out = (struct plane_peer_stats){
		.rx_bytes = counted(&peer->rx_bytes),
		.rx_packets = counted(&peer->rx_packets),
		.tx_bytes = counted(&peer->tx_bytes),
		.tx_packets = counted(&peer->tx_packets),
		.rx_ms = atomic_load_explicit(&peer->rx_ms, memory_order_relaxed),
		.tx_ms = atomic_load_explicit(&peer->tx_ms, memory_order_relaxed),
		.rx_data_ms = atomic_load_explicit(&peer->rx_data_ms, memory_order_relaxed),
		.tx_data_ms = atomic_load_explicit(&peer->tx_data_ms, memory_order_relaxed),
	};
}

void plane_stats(const struct plane *p, struct plane_stats *out)
{
	const struct tx *t = &p->tx;
	const struct rx *r = &p->rx;

	*out = (struct plane_stats){
		.tun_reads = counted(&t->tun_reads),
		.tun_packets = counted(&t->tun_packets),
		.udp_sends = counted(&t->udp_sends),
		.udp_sent = counted(&t->udp_sent),
		.out_dropped = counted(&t->dropped),
		.out_rejected = counted(&t->rejected),
		.out_malformed = counted(&t->malformed),
		.out_unowned = counted(&t->unowned),
		.out_too_big = counted(&t->too_big),
		.out_unsent = counted(&t->unsent),
		.out_events_lost = counted(&t->events_lost),
		.staged = counted(&t->staged_now),
		.staged_lost = counted(&t->staged_lost),
		.udp_receives = counted(&r->receives),
		.udp_received = counted(&r->received),
		.tun_writes = counted(&r->writes),
		.tun_written = counted(&r->written),
		.tun_refused = counted(&r->refused),
		.in_strangers = counted(&r->strangers),
		.in_unauthentic = counted(&r->unauthentic),
		.in_malformed = counted(&r->malformed),
		.in_foreign = counted(&r->foreign),
		.in_dropped = counted(&r->dropped),
		.in_events_lost = counted(&r->events_lost),
		.gso = (p->udp4.fd >= 0 && atomic_load(&p->udp4.gso)) || (p->udp6.fd >= 0 && atomic_load(&p->udp6.gso)),
		.gro = (p->udp4.fd >= 0 && p->udp4.gro) || (p->udp6.fd >= 0 && p->udp6.gro),
	};
}
