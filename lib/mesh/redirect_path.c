/* Packets of redirected flows on their way: in, out, and those of this host to its own forwards. */
#include <string.h>

#include "mesh/bytes.h"
#include "mesh/plane_packet.h"
#include "mesh/redirect_internal.h"

#define FRAGMENTS_MS 10000

/* ---- packets that pass ---- */

static void keep_fragment(struct rfragments *all, const struct plane_packet *p, const struct redirect_address *from,
			  const struct redirect_address *to, const struct ends *now)
{
	struct rfragment *k = &all->kept[all->next++ % REDIRECT_FRAGMENTS];

	*k = (struct rfragment){.from = *from, .to = *to, .new_from = now->from, .new_to = now->to, .protocol = p->protocol,
				.id = redirect_fragment_id(p), .until_ms = p->now_ms + FRAGMENTS_MS};
	atomic_store(&all->until_ms, k->until_ms);
}

static bool later_fragment(struct redirect *r, struct rfragments *all, struct plane_packet *p)
{
	struct redirect_address from, to;
	uint32_t id;
	bool found = false;

	if (atomic_load(&all->until_ms) < p->now_ms)
		return false;
	from = redirect_source(p);
	to = redirect_target(p);
	id = redirect_fragment_id(p);
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < REDIRECT_FRAGMENTS && !found; i++) {
		const struct rfragment *k = &all->kept[i];

		found = k->until_ms >= p->now_ms && k->id == id && k->protocol == p->protocol && redirect_same(&k->from, &from) &&
			redirect_same(&k->to, &to);
		if (found)
			redirect_write_addresses(p, &k->new_from, &k->new_to);
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}

static void carry(struct redirect *r, struct rfragments *all, struct plane_packet *p, struct rflow *f,
		  const struct ends *old, const struct ends *new, enum flow_end way)
{
	redirect_note(r, f, p, way);
	if (p->fragment)
		keep_fragment(all, p, &old->from, &old->to, new);
	redirect_write(p, new);
}

/* About a packet of ours, from the member's side. */
static void error_in(struct redirect *r, struct plane_packet *p)
{
	struct ends quoted, called;
	struct rflow *f;

	if (atomic_load(&r->live) == 0 || !redirect_quoted(p, &quoted))
		return;
	redirect_turn(&quoted, &called);
	pthread_mutex_lock(&r->lock);
	f = redirect_find(r, &called, p->now_ms);
	if (f != NULL) {
		struct redirect_address from = redirect_source(p), *outer = redirect_same(&from, &f->called.from) ? &f->seen.from : &from;
		struct ends turned;

		redirect_turn(&f->seen, &turned);
		redirect_write_error(p, &turned, outer, &f->seen.to);
	}
	pthread_mutex_unlock(&r->lock);
}

static void error_out(struct redirect *r, struct plane_packet *p)
{
	struct ends quoted;
	struct rflow *f;

	if (atomic_load(&r->live) == 0 || !redirect_quoted(p, &quoted))
		return;
	pthread_mutex_lock(&r->lock);
	f = redirect_find_seen(r, &quoted, p->now_ms);
	if (f != NULL)
		redirect_write_error(p, &f->called, &f->called.to, &f->called.from);
	pthread_mutex_unlock(&r->lock);
}

void redirect_in(struct redirect *r, struct plane_packet *p)
{
	struct ends e;
	struct rflow *f;

	if (redirect_is_later_fragment(p)) {
		(void)later_fragment(r, &r->in_fragments, p);
		return;
	}
	if (!redirect_ends(p, &e)) {
		error_in(r, p);
		return;
	}
	if (redirect_none_called(r, &e))
		return;
	pthread_mutex_lock(&r->lock);
	f = redirect_find(r, &e, p->now_ms);
	if (f != NULL && f->ready)
		carry(r, &r->in_fragments, p, f, &e, &f->seen, END_IN);
	pthread_mutex_unlock(&r->lock);
}

void redirect_out(struct redirect *r, struct plane_packet *p)
{
	struct ends e, seen, turned;
	struct rflow *f;

	if (redirect_is_later_fragment(p)) {
		(void)later_fragment(r, &r->out_fragments, p);
		return;
	}
	if (!redirect_ends(p, &e)) {
		error_out(r, p);
		return;
	}
	if (redirect_none_seen(r, &e))
		return;
	redirect_turn(&e, &seen);
	pthread_mutex_lock(&r->lock);
	f = redirect_find_seen(r, &seen, p->now_ms);
	/* This host's own flows turn round in redirect_own. */
	if (f != NULL && f->f.peer != PLANE_SELF) {
		redirect_turn(&f->called, &turned);
		carry(r, &r->out_fragments, p, f, &e, &turned, END_OUT);
	}
	pthread_mutex_unlock(&r->lock);
}

bool redirect_may_leave(struct redirect *r, const struct plane_packet *p)
{
	uint32_t generation = atomic_load_explicit(&r->generation, memory_order_relaxed);
	struct redirect_address from = redirect_source(p);
	struct ends e, called;
	bool found;

	if (generation != r->tx_generation) {
		pthread_mutex_lock(&r->lock);
		r->tx_own = r->own;
		r->tx_generation = atomic_load(&r->generation);
		pthread_mutex_unlock(&r->lock);
	}
	/* A later fragment is of no use without its first. */
	if (redirect_forward(&r->tx_own, &from) < 0 || redirect_is_later_fragment(p))
		return true;
	if (redirect_ends(p, &e))
		redirect_turn(&e, &called);
	else if (!redirect_quoted(p, &called))
		return false;
	pthread_mutex_lock(&r->lock);
	found = redirect_find(r, &called, p->now_ms) != NULL;
	pthread_mutex_unlock(&r->lock);
	return found;
}

/* ---- this host's own packets to its forwards ---- */

/* Either way: to the proxy, or back from it. false: of no flow that passes. */
static bool turn_round(struct redirect *r, struct plane_packet *p)
{
	struct ends e, seen, turned;
	struct rflow *f;
	bool found = false;

	if (redirect_is_later_fragment(p))
		return later_fragment(r, &r->own_fragments, p);
	if (!redirect_ends(p, &e))
		return false;
	redirect_turn(&e, &seen);
	pthread_mutex_lock(&r->lock);
	if ((f = redirect_find_seen(r, &seen, p->now_ms)) != NULL && f->f.peer == PLANE_SELF) {
		redirect_turn(&f->called, &turned);
		carry(r, &r->own_fragments, p, f, &e, &turned, END_OUT);
		found = true;
	} else if ((f = redirect_find(r, &e, p->now_ms)) != NULL && f->ready) {
		carry(r, &r->own_fragments, p, f, &e, &f->seen, END_IN);
		found = true;
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}

/* ip: len bytes, whose TCP or UDP checksum is not computed unless it is a fragment's. */
static bool turn_one(struct redirect *r, uint8_t *ip, size_t len, int64_t now_ms)
{
	struct plane_packet p;

	if (!plane_packet_parse(ip, len, &p))
		return false;
	p.bytes = ip;
	p.now_ms = now_ms;
	p.partial = !p.fragment;
	if (!turn_round(r, &p))
		return false;
	plane_checksum_fill(&p, ip);
	return true;
}

/* A buffer of many datagrams, one by one: there is no other way to say where one ends. */
static bool turn_datagrams(struct redirect *r, const struct plane_packet *p, void (*inject)(void *arg, const void *ip, size_t len),
			   void *arg)
{
	size_t headers = p->l4 + 8u, at = headers;

	while (at < p->len) {
		size_t n = p->len - at < p->segment ? p->len - at : p->segment;
		uint8_t *ip = r->room;

		memcpy(ip, p->ip, headers);
		memcpy(ip + headers, p->ip + at, n);
		put_be16(ip + (p->version == 4 ? 2 : 4), (uint16_t)(headers + n - (p->version == 4 ? 0 : 40)));
		if (p->version == 4) {
			uint16_t sum;

			memset(ip + 10, 0, 2);
			sum = (uint16_t)~plane_sum_fold(plane_sum(ip, p->l4, 0));
			memcpy(ip + 10, &sum, 2);
		}
		put_be16(ip + p->l4 + 4, (uint16_t)(8 + n));
		if (!turn_one(r, ip, headers + n, p->now_ms))
			return false;
		inject(arg, ip, headers + n);
		at += n;
	}
	return true;
}

static bool turn(struct redirect *r, const struct plane_packet *p, void (*inject)(void *arg, const void *ip, size_t len), void *arg)
{
	if (p->segment != 0 && p->protocol == IPPROTO_UDP)
		return turn_datagrams(r, p, inject, arg);
	memcpy(r->room, p->ip, p->len);
	if (!turn_one(r, r->room, p->len, p->now_ms))
		return false;
	inject(arg, r->room, p->len);
	return true;
}

static bool is_echo(const struct plane_packet *p)
{
	uint8_t type = p->len >= p->l4 + 8u && !p->fragment ? p->ip[p->l4] : 0;

	return p->version == 4 ? p->protocol == IPPROTO_ICMP && type == 8 : p->protocol == IPPROTO_ICMPV6 && type == 128;
}

enum redirect_verdict redirect_own(struct redirect *r, const struct plane_packet *p,
				   void (*inject)(void *arg, const void *ip, size_t len), void *arg)
{
	struct redirect_address to = redirect_target(p);
	enum redirect_verdict v;
	struct redirect_own own;
	int forward;

	if (p->len > TUN_PACKET_MAX)
		return REDIRECT_DROP;
	if (turn(r, p, inject, arg))
		return REDIRECT_PASS;
	pthread_mutex_lock(&r->lock);
	own = r->own;
	pthread_mutex_unlock(&r->lock);
	forward = redirect_forward(&own, &to);
	if (forward < 0)
		return REDIRECT_DROP;
	if (is_echo(p))
		return REDIRECT_TAKE;
	v = redirect_admit_forward(r, &own, forward, PLANE_SELF, p);
	/* It has just begun. */
	return v == REDIRECT_PASS && !turn(r, p, inject, arg) ? REDIRECT_DROP : v;
}
