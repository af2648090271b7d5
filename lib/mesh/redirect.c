/* The table of redirected flows. */
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mesh/bytes.h"
#include "mesh/plane_packet.h"
#include "mesh/redirect_internal.h"
#include "sys/rng.h"

#define CELLS 8192		/* of the hashes; a power of two */
#define SWEEP 16		/* slots looked at for each new flow */
#define ALIAS_TRIES 64
#define ALIAS_MIN 1024
#define SLOT_BITS 12
#define TCP_FIN 1
#define TCP_RST 4

_Static_assert(REDIRECT_FLOWS_MAX <= 1 << SLOT_BITS, "a slot fits into an id");
_Static_assert(crypto_shorthash_KEYBYTES == sizeof(((struct redirect *)0)->seed), "the seed is a key");

struct redirect *redirect_new(void)
{
	struct redirect *r = xcalloc(1, sizeof(*r));

	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->options_lock, NULL);
	rng_bytes(r->seed, sizeof(r->seed));
	r->flows = xcalloc(REDIRECT_FLOWS_MAX, sizeof(*r->flows));
	r->by_called = xcalloc(CELLS, sizeof(*r->by_called));
	r->by_seen = xcalloc(CELLS, sizeof(*r->by_seen));
	r->members = xcalloc(PLANE_PEERS_MAX + 2, sizeof(*r->members));
	r->askers = xcalloc(PLANE_PEERS_MAX + 1, sizeof(*r->askers));
	r->room = xmalloc(TUN_PACKET_MAX);
	return r;
}

void redirect_free(struct redirect *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->options_lock);
	free(r->flows);
	free(r->by_called);
	free(r->by_seen);
	free(r->members);
	free(r->askers);
	free(r->room);
	free(r);
}

/* ---- the table ---- */

static bool same_ends(const struct ends *a, const struct ends *b)
{
	return a->from_port == b->from_port && a->to_port == b->to_port && a->protocol == b->protocol &&
	       redirect_same(&a->from, &b->from) && redirect_same(&a->to, &b->to);
}

static uint32_t hash(const struct redirect *r, const struct ends *e)
{
	uint8_t in[38], out[crypto_shorthash_BYTES];

	in[0] = e->protocol;
	in[1] = e->from.version;
	memcpy(in + 2, e->from.bytes, 16);
	memcpy(in + 18, e->to.bytes, 16);
	put_be16(in + 34, e->from_port);
	put_be16(in + 36, e->to_port);
	crypto_shorthash(out, in, sizeof(in), r->seed);
	return get_be32(out) & (CELLS - 1);
}

static void count_ports(struct redirect *r, const struct rflow *f, int by)
{
	atomic_fetch_add(&r->called_ports[redirect_cell(f->called.protocol, f->called.to_port)], (uint16_t)by);
	atomic_fetch_add(&r->seen_ports[redirect_cell(f->seen.protocol, f->seen.to_port)], (uint16_t)by);
	atomic_fetch_add(&r->live, (uint32_t)by);
	r->counts.flows += (uint32_t)by;
}

static void link_in(struct redirect *r, struct rflow *f)
{
	uint32_t slot = (uint32_t)(f - r->flows) + 1, *head = &r->by_called[hash(r, &f->called)];

	f->next_called = *head;
	*head = slot;
	head = &r->by_seen[hash(r, &f->seen)];
	f->next_seen = *head;
	*head = slot;
}

void redirect_drop(struct redirect *r, struct rflow *f)
{
	uint32_t slot = (uint32_t)(f - r->flows) + 1, *at;

	for (at = &r->by_called[hash(r, &f->called)]; *at != slot; at = &r->flows[*at - 1].next_called)
		;
	*at = f->next_called;
	for (at = &r->by_seen[hash(r, &f->seen)]; *at != slot; at = &r->flows[*at - 1].next_seen)
		;
	*at = f->next_seen;
	count_ports(r, f, -1);
	redirect_room_leave(r, f);
	f->used = false;
	f->next_free = r->free;
	r->free = slot;
}

bool redirect_is_open(const struct rflow *f)
{
	return f->ready && f->answered && !f->closed;
}

bool redirect_expired(const struct rflow *f, int64_t now_ms)
{
	int64_t idle;

	if (now_ms == NO_TIME)
		return false;
	idle = now_ms - f->last_ms;
	if (f->closed)
		return idle > REDIRECT_CLOSED_MS;
	if (f->f.protocol == IPPROTO_UDP)
		return idle > REDIRECT_UDP_MS;
	return idle > (redirect_is_open(f) ? REDIRECT_TCP_OPEN_MS : REDIRECT_TCP_NEW_MS);
}

struct rflow *redirect_find(struct redirect *r, const struct ends *called, int64_t now_ms)
{
	for (uint32_t at = r->by_called[hash(r, called)]; at != 0; at = r->flows[at - 1].next_called) {
		struct rflow *f = &r->flows[at - 1];

		if (!same_ends(&f->called, called))
			continue;
		if (now_ms == NO_TIME || !redirect_expired(f, now_ms))
			return f;
		redirect_drop(r, f);
		return NULL;
	}
	return NULL;
}

struct rflow *redirect_find_seen(struct redirect *r, const struct ends *seen, int64_t now_ms)
{
	for (uint32_t at = r->by_seen[hash(r, seen)]; at != 0; at = r->flows[at - 1].next_seen) {
		struct rflow *f = &r->flows[at - 1];

		if (same_ends(&f->seen, seen))
			return redirect_expired(f, now_ms) ? NULL : f;
	}
	return NULL;
}

struct rflow *redirect_by_id(struct redirect *r, uint64_t id)
{
	struct rflow *f = &r->flows[id & (REDIRECT_FLOWS_MAX - 1)];

	return f->used && f->f.id == id ? f : NULL;
}

/* ---- room ---- */

static void sweep(struct redirect *r, int64_t now_ms)
{
	for (uint32_t i = 0; i < SWEEP && r->made > 0; i++) {
		struct rflow *f = &r->flows[r->sweep++ % r->made];

		if (f->used && redirect_expired(f, now_ms))
			redirect_drop(r, f);
	}
}

static struct rflow *take_slot(struct redirect *r, uint32_t peer, int64_t now_ms)
{
	struct rflow *gives_way;
	uint32_t slot;

	sweep(r, now_ms);
	if (!redirect_room_make(r, peer, &gives_way)) {
		r->counts.full++;
		return NULL;
	}
	if (gives_way != NULL) {
		redirect_drop(r, gives_way);
		r->counts.evicted++;
	}
	if (r->free == 0)
		return &r->flows[r->made++];
	slot = r->free - 1;
	r->free = r->flows[slot].next_free;
	return &r->flows[slot];
}

/* ---- a new flow ---- */

bool redirect_seen_by(const struct redirect *r, const struct redirect_flow *w, struct ends *seen)
{
	const struct redirect_own *o = &r->own;
	bool tcp = w->protocol == IPPROTO_TCP;

	if (w->kind == REDIRECT_ADDRESS) {
		seen->to = w->service;
		seen->to_port = w->called_port;
		return true;
	}
	seen->to = w->called.version == 4 ? o->node4 : o->node6;
	if (w->called.version == 4)
		seen->to_port = tcp ? o->tcp4 : o->udp4;
	else
		seen->to_port = tcp ? o->tcp6 : o->udp6;
	return seen->to.version != 0 && seen->to_port != 0;
}

/* The caller's own port where it can be; two of its flows to different services meet at the proxy's one port. */
static bool choose_alias(struct redirect *r, struct ends *seen, uint16_t wanted)
{
	seen->from_port = wanted;
	for (int i = 0; i < ALIAS_TRIES; i++) {
		if (redirect_find_seen(r, seen, NO_TIME) == NULL)
			return true;
		seen->from_port = (uint16_t)(ALIAS_MIN + rng_below(65536 - ALIAS_MIN));
	}
	return false;
}

struct rflow *redirect_begin(struct redirect *r, const struct redirect_flow *wanted, int64_t now_ms)
{
	struct ends called = {.from = wanted->caller, .to = wanted->called, .from_port = wanted->caller_port,
			      .to_port = wanted->called_port, .protocol = wanted->protocol};
	/* The kernel takes no packet from an address of its own: this host's come from the forward. */
	struct ends seen = {.from = wanted->peer == PLANE_SELF ? wanted->called : wanted->caller,
			    .protocol = wanted->protocol};
	struct rflow *f;

	if (!redirect_seen_by(r, wanted, &seen))
		return NULL;
	f = take_slot(r, wanted->peer, now_ms);
	if (f == NULL)
		return NULL;
	*f = (struct rflow){.f = *wanted, .called = called, .last_ms = now_ms};
	f->ready = wanted->kind == REDIRECT_ADDRESS || wanted->protocol == IPPROTO_UDP;
	f->f.id = ++r->next_id << SLOT_BITS | (uint64_t)(f - r->flows);
	if (!choose_alias(r, &seen, wanted->caller_port)) {
		f->next_free = r->free;
		r->free = (uint32_t)(f - r->flows) + 1;
		r->counts.full++;
		return NULL;
	}
	f->seen = seen;
	f->f.alias = seen.from;
	f->f.alias_port = seen.from_port;
	f->used = true;
	link_in(r, f);
	count_ports(r, f, 1);
	redirect_room_enter(r, f);
	r->counts.opened++;
	return f;
}

static void note_flags(struct rflow *f, uint8_t flags, enum flow_end way)
{
	if (flags & TCP_FIN)
		f->ends |= (uint8_t)way;
	f->closed |= (flags & TCP_RST) != 0 || f->ends == (END_IN | END_OUT);
}

void redirect_note(struct redirect *r, struct rflow *f, const struct plane_packet *p, enum flow_end way)
{
	/* The time after the end of a flow is not prolonged by what is still sent. */
	int64_t last_ms = f->closed ? f->last_ms : p->now_ms;

	f->answered |= way == END_OUT;
	if (p->protocol == IPPROTO_TCP && !p->fragment)
		note_flags(f, p->ip[p->l4 + 13], way);
	redirect_room_change(r, f, last_ms);
}
