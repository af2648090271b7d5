/* The table of flows: shards under a lock each, chains of indexes into an array, and what a packet does to a flow. */
#include "mesh/flow.h"

#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mesh/inner.h"
#include "mesh/scope.h"

#define SHARD_FLOWS (FLOW_MAX / FLOW_SHARDS)
#define SHARD_LET_IN_MAX (SHARD_FLOWS / 4 * 3)
#define SWEEP_PER_INSERT 4
/* Who gives way is one of so many that may, among so many that are looked at: what a flood costs is bounded by it. */
#define VICTIMS_CHOICE 8
#define SHARED_CHOICE 8		/* times as many, where it is to be found out who has most */
#define VICTIMS_SEEN 256
/* An open connection holds its service too, so nobody has many as cheaply: they give way where there are so many times more. */
#define OPEN_WEIGHT 4
#define NIL UINT16_MAX

enum flow_state { STATE_FREE, STATE_NEW, STATE_ANSWERED, STATE_OPEN, STATE_HALF, STATE_CLOSED };

/* Who sent a FIN. */
enum { FIN_LOCAL = 1, FIN_REMOTE = 2 };

struct flow {
	struct flow_key key;
	uint32_t generation;	/* of the rules that let it in */
	int64_t began_ms, last_ms;
	int16_t rule;
	uint16_t next;		/* in its chain, or in the list of free ones */
	/* Written by change alone. */
	uint8_t state;
	bool let_in;
	bool allowed;		/* false: a tombstone */
	uint8_t fins;
};

struct shard {
	_Alignas(64) pthread_mutex_t lock;
	struct flow *flows;	/* SHARD_FLOWS, of which the first `touched` were in use ever */
	uint16_t heads[SHARD_FLOWS];
	uint16_t free;
	uint32_t touched, used, let_in, hand;
	uint64_t evicted, full;
};

struct flows {
	struct shard shards[FLOW_SHARDS];
	_Atomic uint32_t *peer_in, *peer_new;	/* FLOW_PEERS_MAX each: flows let in; those of them that may be evicted */
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
};

_Static_assert(sizeof(struct flow_key) == 44, "keys are compared and hashed as bytes");
_Static_assert(SHARD_FLOWS < NIL, "an index fits into 16 bits");

/* What is done under a lock takes less time than to sleep and be woken: wait a little first. */
static void lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

struct flows *flows_new(void)
{
	struct flows *t = xmalloc_aligned(_Alignof(struct shard), sizeof(*t));

	memset(t, 0, sizeof(*t));
	crypto_shorthash_keygen(t->hash_key);
	t->peer_in = xcalloc(FLOW_PEERS_MAX, sizeof(*t->peer_in));
	t->peer_new = xcalloc(FLOW_PEERS_MAX, sizeof(*t->peer_new));
	for (size_t i = 0; i < FLOW_SHARDS; i++) {
		struct shard *s = &t->shards[i];

		lock_init(&s->lock);
		s->flows = xcalloc(SHARD_FLOWS, sizeof(*s->flows));
		memset(s->heads, 0xff, sizeof(s->heads));
		s->free = NIL;
	}
	return t;
}

void flows_free(struct flows *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < FLOW_SHARDS; i++) {
		pthread_mutex_destroy(&t->shards[i].lock);
		free(t->shards[i].flows);
	}
	free(t->peer_in);
	free(t->peer_new);
	free(t);
}

/* Keyed, so that nobody can choose packets that share a chain. The shard is in the lowest bits. */
static uint64_t hash(const struct flows *t, const struct flow_key *k)
{
	uint8_t out[crypto_shorthash_BYTES], small[20];
	uint64_t h;

	if (k->version == 4) {
		memcpy(small, k->local, 4);
		memcpy(small + 4, k->remote, 4);
		memcpy(small + 8, (const uint8_t *)k + offsetof(struct flow_key, peer), 12);
		crypto_shorthash(out, small, sizeof(small), t->hash_key);
	} else {
		crypto_shorthash(out, (const uint8_t *)k, sizeof(*k), t->hash_key);
	}
	memcpy(&h, out, sizeof(h));
	return h;
}

static struct shard *shard_of(struct flows *t, uint64_t h)
{
	return &t->shards[h % FLOW_SHARDS];
}

static uint16_t *head_of(struct shard *s, uint64_t h)
{
	return &s->heads[h / FLOW_SHARDS % SHARD_FLOWS];
}

/* ---- counts ---- */

/* Not a tombstone: without it, what the service sends next would begin the flow from here. */
static bool evictable(const struct flow *f)
{
	return f->allowed && f->state != STATE_OPEN && f->state != STATE_HALF;
}

static void count(struct flows *t, struct shard *s, const struct flow *f, uint32_t by)
{
	if (!f->let_in)
		return;
	s->let_in += by;
	atomic_fetch_add_explicit(&t->peer_in[f->key.peer], by, memory_order_relaxed);
	if (evictable(f))
		atomic_fetch_add_explicit(&t->peer_new[f->key.peer], by, memory_order_relaxed);
}

/* All that counts depend on; free is no state to come from or go to here. */
static void change(struct flows *t, struct shard *s, struct flow *f, enum flow_state state, bool let_in, bool allowed)
{
	count(t, s, f, (uint32_t)-1);
	f->state = (uint8_t)state;
	f->let_in = let_in;
	f->allowed = allowed;
	count(t, s, f, 1);
}

static void set_state(struct flows *t, struct shard *s, struct flow *f, enum flow_state state)
{
	change(t, s, f, state, f->let_in, f->allowed);
}

static int64_t timeout(const struct flow *f)
{
	if (!f->allowed)
		return FLOW_ENDED_MS;
	switch (f->key.kind) {
	case FLOW_TCP:
		return f->state == STATE_OPEN ? FLOW_TCP_OPEN_MS : f->state == STATE_HALF ? FLOW_TCP_HALF_MS :
		       f->state == STATE_CLOSED ? FLOW_TCP_CLOSED_MS : FLOW_TCP_NEW_MS;
	case FLOW_UDP:
		return f->state == STATE_OPEN ? FLOW_UDP_OPEN_MS : FLOW_UDP_NEW_MS;
	case FLOW_ECHO:
		return FLOW_ECHO_MS;
	default:
		return FLOW_FRAGMENT_MS;
	}
}

static bool expired(const struct flow *f, int64_t now_ms)
{
	return now_ms - f->last_ms >= timeout(f);
}

/* The threads' clocks are read at different moments: time does not go back here. */
static void refresh(struct flow *f, int64_t now_ms)
{
	if (now_ms > f->last_ms)
		f->last_ms = now_ms;
}

/* ---- in and out of the table ---- */

static uint16_t find(struct shard *s, uint64_t h, const struct flow_key *k)
{
	uint16_t i = *head_of(s, h);

	while (i != NIL && memcmp(&s->flows[i].key, k, sizeof(*k)) != 0)
		i = s->flows[i].next;
	return i;
}

static void drop(struct flows *t, struct shard *s, uint16_t i)
{
	struct flow *f = &s->flows[i];
	uint16_t *at = head_of(s, hash(t, &f->key));

	while (*at != i)
		at = &s->flows[*at].next;
	*at = f->next;
	count(t, s, f, (uint32_t)-1);
	f->state = STATE_FREE;
	f->next = s->free;
	s->free = i;
	s->used--;
}

/* The next place of the hand that goes round the shard; never called on an empty one. */
static uint16_t hand_next(struct shard *s)
{
	uint32_t at = s->hand < s->touched ? s->hand : 0;

	s->hand = at + 1;
	return (uint16_t)at;
}

static void sweep_some(struct flows *t, struct shard *s, int64_t now_ms)
{
	for (int n = 0; n < SWEEP_PER_INSERT && s->touched > 0; n++) {
		uint16_t i = hand_next(s);

		if (s->flows[i].state != STATE_FREE && expired(&s->flows[i], now_ms))
			drop(t, s, i);
	}
}

/* What room is needed for. */
struct need {
	uint32_t peer;		/* whose flows may give way; FLOW_PEERS_MAX: all peers' */
	bool let_in_only;	/* not what began here */
	uint32_t asker_in;	/* what is established gives way to who has less; UINT32_MAX: to nobody */
};

/* The lowest gives way first. */
enum worth {
	WORTH_LITTLE,		/* ended, or not established and one of many such */
	WORTH_SHARED,		/* established, and one of many */
	WORTH_BEGUN,		/* not established, of a member with few such */
	WORTH_ALL,		/* does not give way */
};

struct victim {
	uint16_t at;
	enum worth worth;
	uint32_t of;		/* WORTH_SHARED: how many its peer has */
	int64_t last_ms;
};

static struct victim weigh(const struct flows *t, const struct shard *s, uint16_t i, const struct need *need)
{
	const struct flow *f = &s->flows[i];
	uint32_t in = atomic_load_explicit(&t->peer_in[f->key.peer], memory_order_relaxed);
	uint32_t unfinished = atomic_load_explicit(&t->peer_new[f->key.peer], memory_order_relaxed);
	struct victim v = {.at = i, .worth = WORTH_ALL, .last_ms = f->last_ms};

	if (evictable(f)) {
		bool few = f->let_in && f->state != STATE_CLOSED && unfinished <= FLOW_PEER_SURE;

		v.worth = few ? WORTH_BEGUN : WORTH_LITTLE;
	} else if (f->allowed && f->let_in && in > FLOW_PEER_SURE && in > need->asker_in) {
		v.worth = WORTH_SHARED;
		v.of = f->key.kind == FLOW_TCP && f->state == STATE_OPEN ? in / OPEN_WEIGHT : in;
	}
	return v;
}

static bool goes_before(const struct victim *a, const struct victim *b)
{
	if (a->worth != b->worth)
		return a->worth < b->worth;
	return a->of != b->of ? a->of > b->of : a->last_ms < b->last_ms;
}

/* One of those seen gives way: the oldest of who has most. */
static bool evict(struct flows *t, struct shard *s, const struct need *need, int64_t now_ms)
{
	struct victim victim = {.worth = WORTH_ALL};

	for (int n = 0, choice = 0; n < VICTIMS_SEEN && choice < VICTIMS_CHOICE * SHARED_CHOICE && s->touched > 0; n++) {
		uint16_t i = hand_next(s);
		const struct flow *f = &s->flows[i];
		struct victim v;

		if (f->state == STATE_FREE || (need->let_in_only && !f->let_in) ||
		    (need->peer != FLOW_PEERS_MAX && f->key.peer != need->peer))
			continue;
		if (expired(f, now_ms)) {
			drop(t, s, i);
			return true;
		}
		v = weigh(t, s, i, need);
		choice += v.worth == WORTH_LITTLE ? SHARED_CHOICE : v.worth == WORTH_SHARED;
		if (v.worth != WORTH_ALL && (victim.worth == WORTH_ALL || goes_before(&v, &victim)))
			victim = v;
	}
	if (victim.worth == WORTH_ALL)
		return false;
	drop(t, s, victim.at);
	s->evicted++;
	return true;
}

static bool make_room(struct flows *t, struct shard *s, uint32_t peer, bool let_in, int64_t now_ms)
{
	struct need own = {.peer = peer, .let_in_only = true, .asker_in = UINT32_MAX};
	struct need any = {.peer = FLOW_PEERS_MAX, .let_in_only = true, .asker_in = UINT32_MAX};

	sweep_some(t, s, now_ms);
	if (let_in) {
		if (atomic_load_explicit(&t->peer_new[peer], memory_order_relaxed) >= FLOW_PEER_NEW_MAX && !evict(t, s, &own, now_ms))
			return false;
		if (atomic_load_explicit(&t->peer_in[peer], memory_order_relaxed) >= FLOW_PEER_MAX && !evict(t, s, &own, now_ms))
			return false;
		any.asker_in = atomic_load_explicit(&t->peer_in[peer], memory_order_relaxed);
		if (s->let_in >= SHARD_LET_IN_MAX && !evict(t, s, &any, now_ms))
			return false;
	}
	any.let_in_only = false;
	return s->used < SHARD_FLOWS || evict(t, s, &any, now_ms);
}

/* A new flow, or NULL: there is no room. */
static struct flow *insert(struct flows *t, struct shard *s, uint64_t h, const struct flow_packet *p, bool let_in)
{
	struct flow *f;
	uint16_t i;

	if (!make_room(t, s, p->key.peer, let_in, p->now_ms)) {
		s->full++;
		return NULL;
	}
	i = s->free;
	if (i != NIL)
		s->free = s->flows[i].next;
	else
		i = (uint16_t)s->touched++;
	f = &s->flows[i];
	*f = (struct flow){.key = p->key, .generation = p->generation, .began_ms = p->now_ms, .last_ms = p->now_ms,
			   .rule = SCOPE_NO_RULE, .next = *head_of(s, h), .state = STATE_NEW, .let_in = let_in, .allowed = true};
	*head_of(s, h) = i;
	s->used++;
	count(t, s, f, 1);
	return f;
}

/* The flow that is alive, or NULL. */
static struct flow *look_up(struct flows *t, struct shard *s, uint64_t h, const struct flow_packet *p)
{
	uint16_t i = find(s, h, &p->key);

	if (i == NIL)
		return NULL;
	if (expired(&s->flows[i], p->now_ms)) {
		drop(t, s, i);
		return NULL;
	}
	return &s->flows[i];
}

/* ---- what a packet does ---- */

/* What began here needs no rule. What was let in is judged again where the rules are other ones. */
static void judge_again(struct flows *t, struct shard *s, struct flow *f, const struct flow_packet *p)
{
	bool allowed;
	int rule;

	if (!f->let_in || f->generation == p->generation)
		return;
	allowed = p->judge.ask(p->judge.arg, &f->key, &rule, &f->generation);
	if (allowed)
		f->rule = (int16_t)rule;
	else if (f->allowed)
		refresh(f, p->now_ms);
	change(t, s, f, (enum flow_state)f->state, true, allowed);
}

static bool syn_alone(const struct flow_packet *p)
{
	return p->key.kind == FLOW_TCP && (p->tcp_flags & (INNER_SYN | INNER_ACK)) == INNER_SYN;
}

/* A packet of an allowed flow passes: see the picture in the header. */
static void step_tcp(struct flows *t, struct shard *s, struct flow *f, const struct flow_packet *p, bool in)
{
	bool opener = in == f->let_in;

	if (f->state == STATE_CLOSED)
		return;
	refresh(f, p->now_ms);
	if (p->tcp_flags & INNER_RST) {
		set_state(t, s, f, STATE_CLOSED);
		return;
	}
	if (f->state == STATE_NEW && !opener)
		set_state(t, s, f, STATE_ANSWERED);
	else if (f->state == STATE_ANSWERED && opener && !(p->tcp_flags & INNER_SYN))
		set_state(t, s, f, STATE_OPEN);
	if (!(p->tcp_flags & INNER_FIN))
		return;
	f->fins |= in ? FIN_REMOTE : FIN_LOCAL;
	if (f->fins == (FIN_LOCAL | FIN_REMOTE))
		set_state(t, s, f, STATE_CLOSED);
	else if (f->state == STATE_OPEN)
		set_state(t, s, f, STATE_HALF);
}

static void step(struct flows *t, struct shard *s, struct flow *f, const struct flow_packet *p, bool in)
{
	if (f->key.kind == FLOW_TCP) {
		step_tcp(t, s, f, p, in);
		return;
	}
	refresh(f, p->now_ms);
	if (f->key.kind == FLOW_UDP && f->state == STATE_NEW && in != f->let_in)
		set_state(t, s, f, STATE_OPEN);
}

/* The same addresses and ports, begun again. */
static void restart(struct flows *t, struct shard *s, struct flow *f, const struct flow_packet *p, bool let_in)
{
	change(t, s, f, STATE_NEW, let_in, true);
	f->began_ms = p->now_ms;
	f->fins = 0;
	f->rule = SCOPE_NO_RULE;
	f->generation = p->generation;
	refresh(f, p->now_ms);
}

/* A SYN from the member that could begin a new connection: only the rules let it. */
static enum flow_verdict in_syn(struct flows *t, struct shard *s, struct flow *f, const struct flow_packet *p)
{
	uint32_t generation;
	int rule;

	if (!p->judge.ask(p->judge.arg, &p->key, &rule, &generation))
		return FLOW_DENIED;
	/* One of a connection that is open, the host answers as it likes (RFC 5961 4). */
	if (f->state != STATE_CLOSED)
		return FLOW_PASS;
	/* It counts as one more from now on, so the member's share has a say. */
	if (!f->let_in && atomic_load_explicit(&t->peer_new[f->key.peer], memory_order_relaxed) >= FLOW_PEER_NEW_MAX) {
		s->full++;
		return FLOW_FULL;
	}
	restart(t, s, f, p, true);
	f->rule = (int16_t)rule;
	f->generation = generation;
	return FLOW_PASS;
}

static enum flow_verdict in_existing(struct flows *t, struct shard *s, struct flow *f, const struct flow_packet *p)
{
	judge_again(t, s, f, p);
	if (!f->allowed)
		return FLOW_ENDED;
	if (syn_alone(p) && (!f->let_in || f->state == STATE_CLOSED))
		return in_syn(t, s, f, p);
	step(t, s, f, p, true);
	return FLOW_PASS;
}

static enum flow_verdict in_new(struct flows *t, struct shard *s, uint64_t h, const struct flow_packet *p, struct flow **out)
{
	uint32_t generation;
	struct flow *f;
	int rule;

	/* A reply to nothing. */
	if (p->key.kind == FLOW_ECHO && p->reply)
		return FLOW_DENIED;
	if (!p->judge.ask(p->judge.arg, &p->key, &rule, &generation))
		return FLOW_DENIED;
	/* The end of something forgotten: the host may know it, but nothing begins. */
	if (p->key.kind == FLOW_TCP && (p->tcp_flags & INNER_RST))
		return FLOW_PASS;
	f = insert(t, s, h, p, true);
	if (f == NULL)
		return FLOW_FULL;
	f->rule = (int16_t)rule;
	f->generation = generation;
	if (p->key.kind == FLOW_TCP)
		step_tcp(t, s, f, p, true);
	*out = f;
	return FLOW_PASS;
}

static enum flow_verdict out_existing(struct flows *t, struct shard *s, struct flow *f, const struct flow_packet *p)
{
	judge_again(t, s, f, p);
	if (syn_alone(p) && (!f->allowed || f->state == STATE_CLOSED)) {
		restart(t, s, f, p, false);
		return FLOW_PASS;
	}
	if (!f->allowed) {
		refresh(f, p->now_ms);
		return FLOW_ENDED;
	}
	step(t, s, f, p, false);
	return FLOW_PASS;
}

static enum flow_verdict out_new(struct flows *t, struct shard *s, uint64_t h, const struct flow_packet *p, struct flow **out)
{
	bool let_in = false;
	uint32_t generation = p->generation;
	int rule = SCOPE_NO_RULE;
	struct flow *f;

	if (p->key.kind == FLOW_ECHO && p->reply)
		return FLOW_PASS;
	if (p->key.kind == FLOW_TCP && (p->tcp_flags & INNER_RST))
		return FLOW_PASS;
	/*
	 * In the middle of a connection, or from a port that is served: what the rules would let in counts as let in, so
	 * that a change of them still ends it. Else it is ours; of TCP only shortly after a restart.
	 */
	if (p->key.kind == FLOW_UDP || (p->key.kind == FLOW_TCP && !syn_alone(p)))
		let_in = p->judge.ask(p->judge.arg, &p->key, &rule, &generation);
	if (p->key.kind == FLOW_TCP && !syn_alone(p) && !let_in && !p->resume)
		return FLOW_STRAY;
	f = insert(t, s, h, p, let_in);
	if (f == NULL)
		return FLOW_FULL;
	if (let_in) {
		f->rule = (int16_t)rule;
		f->generation = generation;
	}
	if (p->key.kind == FLOW_TCP)
		step_tcp(t, s, f, p, false);
	*out = f;
	return FLOW_PASS;
}

/* One packet under the lock of its shard. */
static enum flow_verdict decide(struct flows *t, const struct flow_packet *p, bool in, int *rule)
{
	uint64_t h = hash(t, &p->key);
	struct shard *s = shard_of(t, h);
	enum flow_verdict v;
	struct flow *f;

	pthread_mutex_lock(&s->lock);
	f = look_up(t, s, h, p);
	if (f != NULL)
		v = in ? in_existing(t, s, f, p) : out_existing(t, s, f, p);
	else
		v = in ? in_new(t, s, h, p, &f) : out_new(t, s, h, p, &f);
	if (rule != NULL)
		*rule = f != NULL ? f->rule : SCOPE_NO_RULE;
	pthread_mutex_unlock(&s->lock);
	return v;
}

enum flow_verdict flow_in(struct flows *t, const struct flow_packet *p, int *rule)
{
	return decide(t, p, true, rule);
}

enum flow_verdict flow_out(struct flows *t, const struct flow_packet *p, int *rule)
{
	return decide(t, p, false, rule);
}

enum flow_verdict flow_fragment_first(struct flows *t, const struct flow_packet *p)
{
	uint64_t h = hash(t, &p->key);
	struct shard *s = shard_of(t, h);
	struct flow *f;

	pthread_mutex_lock(&s->lock);
	f = look_up(t, s, h, p);
	if (f == NULL)
		f = insert(t, s, h, p, true);
	/* Also one that is there already: it passed under these rules just now. */
	if (f != NULL) {
		f->generation = p->generation;
		refresh(f, p->now_ms);
	}
	pthread_mutex_unlock(&s->lock);
	return f != NULL ? FLOW_PASS : FLOW_FULL;
}

enum flow_verdict flow_fragment_later(struct flows *t, const struct flow_packet *p)
{
	uint64_t h = hash(t, &p->key);
	struct shard *s = shard_of(t, h);
	struct flow *f;
	bool pass;

	pthread_mutex_lock(&s->lock);
	f = look_up(t, s, h, p);
	/* Nobody can tell which rule it came under: under new rules none does. */
	pass = f != NULL && f->generation == p->generation;
	pthread_mutex_unlock(&s->lock);
	return pass ? FLOW_PASS : FLOW_DENIED;
}

enum flow_verdict flow_known(struct flows *t, const struct flow_packet *p)
{
	uint64_t h = hash(t, &p->key);
	struct shard *s = shard_of(t, h);
	struct flow *f;
	bool pass;

	pthread_mutex_lock(&s->lock);
	f = look_up(t, s, h, p);
	if (f != NULL)
		judge_again(t, s, f, p);
	pass = f != NULL && f->allowed;
	pthread_mutex_unlock(&s->lock);
	return pass ? FLOW_PASS : FLOW_DENIED;
}

/* ---- control's ---- */

void flows_forget_peer(struct flows *t, uint32_t peer)
{
	for (size_t n = 0; n < FLOW_SHARDS; n++) {
		struct shard *s = &t->shards[n];

		pthread_mutex_lock(&s->lock);
		for (uint32_t i = 0; i < s->touched; i++)
			if (s->flows[i].state != STATE_FREE && s->flows[i].key.peer == peer)
				drop(t, s, (uint16_t)i);
		pthread_mutex_unlock(&s->lock);
	}
}

void flows_sweep(struct flows *t, int64_t now_ms)
{
	for (size_t n = 0; n < FLOW_SHARDS; n++) {
		struct shard *s = &t->shards[n];

		pthread_mutex_lock(&s->lock);
		for (uint32_t i = 0; i < s->touched; i++)
			if (s->flows[i].state != STATE_FREE && expired(&s->flows[i], now_ms))
				drop(t, s, (uint16_t)i);
		pthread_mutex_unlock(&s->lock);
	}
}

void flows_count(struct flows *t, struct flow_counts *out)
{
	*out = (struct flow_counts){0};
	for (size_t n = 0; n < FLOW_SHARDS; n++) {
		struct shard *s = &t->shards[n];

		pthread_mutex_lock(&s->lock);
		out->used += s->used;
		out->let_in += s->let_in;
		out->evicted += s->evicted;
		out->full += s->full;
		pthread_mutex_unlock(&s->lock);
	}
}

void flows_count_peer(const struct flows *t, uint32_t peer, uint32_t *let_in, uint32_t *fresh)
{
	*let_in = atomic_load_explicit(&t->peer_in[peer], memory_order_relaxed);
	*fresh = atomic_load_explicit(&t->peer_new[peer], memory_order_relaxed);
}

void flows_each(struct flows *t, int64_t now_ms, uint32_t generation, void (*show)(void *arg, const struct flow_info *f),
		void *arg)
{
	for (size_t n = 0; n < FLOW_SHARDS; n++) {
		struct shard *s = &t->shards[n];

		pthread_mutex_lock(&s->lock);
		for (uint32_t i = 0; i < s->touched; i++) {
			const struct flow *f = &s->flows[i];
			struct flow_info info = {.key = f->key, .let_in = f->let_in, .allowed = f->allowed, .open = !evictable(f),
						 .stale = f->let_in && f->generation != generation, .rule = f->rule,
						 .began_ms = f->began_ms, .last_ms = f->last_ms};

			if (f->state != STATE_FREE && !expired(f, now_ms))
				show(arg, &info);
		}
		pthread_mutex_unlock(&s->lock);
	}
}
