/* Whether a packet begins a redirected flow: who listens, and on which address. */
#include <netinet/in.h>
#include <string.h>

#include "mesh/redirect_internal.h"

/*
 * How long an answer of the kernel about a port is believed, and how often it is asked: of a port it looks through all its
 * sockets (a tenth of a millisecond), of one packet it knows at once (some microseconds).
 */
#define TAKEN_MS 1000
#define LISTENING_MS 200
#define NOBODY_MS 50
#define LISTENING_PER_S 200
#define LISTENING_PEER_PER_S 20	/* for one member */
#define TAKEN_PER_S 20000
/*
 * Calls of closed ports would use these up, and whoever calls a service would find nobody. So when half of them are
 * gone, or a member's own, what was known is believed for longer, of services without end: what listens no more
 * refuses by itself. And all ports are asked about at once, so that those on which nobody listens need no question.
 */
#define LISTENING_PRESSED (LISTENING_PER_S / 2)
#define STALE_MS 1000
#define PORTS_MS 1000

#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

int redirect_forward(const struct redirect_own *own, const struct redirect_address *a)
{
	for (size_t i = 0; i < own->forwards_n; i++)
		if (redirect_same(&own->forwards[i], a))
			return (int)i;
	return -1;
}

static bool is_syn(const struct plane_packet *p)
{
	return p->protocol == IPPROTO_TCP && (p->ip[p->l4 + 13] & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* A flow that this packet, which may begin one, belongs to already. */
static bool belongs(struct redirect *r, const struct ends *e, const struct plane_packet *p, enum redirect_verdict *v)
{
	struct rflow *f;

	if (redirect_none_called(r, e))
		return false;
	pthread_mutex_lock(&r->lock);
	f = redirect_find(r, e, p->now_ms);
	if (f != NULL && is_syn(p) && f->closed) {
		redirect_drop(r, f);
		f = NULL;
	}
	if (f != NULL)
		*v = f->ready ? REDIRECT_PASS : REDIRECT_TAKE;
	pthread_mutex_unlock(&r->lock);
	return f != NULL;
}

static enum redirect_verdict begin(struct redirect *r, const struct ends *e, uint32_t peer, struct redirect_flow *wanted,
				   int64_t now_ms)
{
	enum redirect_verdict v = REDIRECT_DROP;
	struct rflow *f;

	wanted->protocol = e->protocol;
	wanted->peer = peer;
	wanted->caller = e->from;
	wanted->caller_port = e->from_port;
	wanted->called = e->to;
	wanted->called_port = e->to_port;
	pthread_mutex_lock(&r->lock);
	f = redirect_begin(r, wanted, now_ms);
	if (f != NULL)
		v = f->ready ? REDIRECT_PASS : REDIRECT_TAKE;
	pthread_mutex_unlock(&r->lock);
	return v;
}

/* ---- forwards ---- */

/* In the middle of a connection: the proxy resets one that it does not know, left by a former run. */
static enum redirect_verdict middle(struct redirect *r, const struct ends *e, const struct plane_packet *p)
{
	enum redirect_verdict v = (p->ip[p->l4 + 13] & TCP_RST) != 0 ? REDIRECT_DROP : REDIRECT_TAKE;
	struct rflow *f;

	pthread_mutex_lock(&r->lock);
	f = redirect_find(r, e, p->now_ms);
	if (f != NULL)
		v = f->ready ? REDIRECT_PASS : REDIRECT_DROP;
	pthread_mutex_unlock(&r->lock);
	return v;
}

enum redirect_verdict redirect_admit_forward(struct redirect *r, const struct redirect_own *own, int forward, uint32_t peer,
					     const struct plane_packet *p)
{
	struct redirect_flow wanted = {.kind = REDIRECT_FORWARD, .forward = own->forward_of[forward]};
	enum redirect_verdict v;
	struct ends e;

	if (redirect_is_later_fragment(p))
		return REDIRECT_PASS;
	if (!redirect_ends(p, &e))
		return redirect_quoted(p, &e) ? REDIRECT_PASS : REDIRECT_DROP;
	if (p->protocol == IPPROTO_TCP && !is_syn(p))
		return middle(r, &e, p);
	return belongs(r, &e, p, &v) ? v : begin(r, &e, peer, &wanted, p->now_ms);
}

/* ---- the node ---- */

static const struct redirect_address loopback4 = {4, {127, 0, 0, 1}};
static const struct redirect_address loopback6 = {6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

static bool is_any(const struct redirect_address *a)
{
	static const uint8_t zeros[16];

	return memcmp(a->bytes, zeros, sizeof(zeros)) == 0;
}

static bool is_loopback(const struct redirect_address *a)
{
	return a->version == 4 ? a->bytes[0] == 127 : redirect_same(a, &loopback6);
}

/* What belongs to one link, or to nobody, is no place to send a flow to. */
static bool is_place(const struct redirect_address *a)
{
	if (a->version == 4)
		return a->bytes[0] != 0 && a->bytes[0] < 224;
	return a->bytes[0] != 0xff && !(a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80);
}

/* ::ffff:127.0.0.1 listens as 127.0.0.1 does. */
static struct redirect_address plain(const struct redirect_address *a)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct redirect_address out = {.version = 4};

	if (a->version != 6 || memcmp(a->bytes, mapped, sizeof(mapped)) != 0)
		return *a;
	memcpy(out.bytes, a->bytes + 12, 4);
	return out;
}

/*
 * How well a listener suits a call: 0 not at all; 4 by its own address, which costs nothing but the change of it; 3 by
 * loopback; 2 and 1 by loopback of the other family. *service: where.
 */
static int suits(const struct redirect_listener *l, const struct ends *e, struct redirect_address *service)
{
	struct redirect_address a = plain(&l->address);
	bool same = a.version == e->to.version;

	if (is_any(&a)) {
		/*
		 * On all interfaces and of this family: then the kernel has said that it takes it, or will. A UDP socket that
		 * is bound to no address answers from the mesh's, past the proxy.
		 */
		if ((!l->local && (same || l->both)) || e->protocol != IPPROTO_TCP)
			return 0;
		*service = a.version == 4 || (l->both && e->to.version == 4) ? loopback4 : loopback6;
		return service->version == e->to.version ? 3 : 1;
	}
	*service = a;
	if (is_loopback(&a))
		return same ? 3 : 2;
	return same && !l->local && is_place(&a) && !redirect_same(&a, &e->to) ? 4 : 0;
}

static enum decided choose(const struct redirect_listener *all, size_t n, const struct ends *e,
			   struct redirect_address *service)
{
	int best = 0;

	for (size_t i = 0; i < n; i++) {
		struct redirect_address s;
		int how = suits(&all[i], e, &s);

		/* Of equals the lower address, so that it is the same one every time. */
		if (how == 0 || how < best || (how == best && memcmp(s.bytes, service->bytes, sizeof(s.bytes)) >= 0))
			continue;
		best = how;
		*service = s;
	}
	return best == 0 ? GOES_ITS_WAY : best == 4 ? GOES_TO_ADDRESS : GOES_TO_PROXY;
}

/* ---- what is remembered ---- */

static struct decision *places(struct redirect *r, const struct ends *e)
{
	return r->decisions[(e->to_port ^ e->protocol ^ (e->to.version << 4)) & (DECISION_SETS - 1)];
}

static struct decision *recall(struct redirect *r, const struct ends *e)
{
	struct decision *all = places(r, e);

	for (size_t i = 0; i < DECISION_WAYS; i++)
		if (all[i].port == e->to_port && all[i].protocol == e->protocol && all[i].version == e->to.version)
			return &all[i];
	return NULL;
}

/* A place for what is to be remembered. Services are no more than there are; closed ports take no place from them. */
static struct decision *place(struct redirect *r, const struct ends *e)
{
	struct decision *all = places(r, e), *best = recall(r, e);

	for (size_t i = 0; best == NULL && i < DECISION_WAYS; i++)
		if (all[i].version == 0)
			best = &all[i];
	if (best != NULL)
		return best;
	best = &all[0];
	for (size_t i = 1; i < DECISION_WAYS; i++) {
		bool its_way = all[i].what == GOES_ITS_WAY, best_its_way = best->what == GOES_ITS_WAY;

		if (its_way != best_its_way ? its_way : all[i].until_ms < best->until_ms)
			best = &all[i];
	}
	return best;
}

static void remember(struct redirect *r, const struct ends *e, const struct decision *d, int64_t until_ms)
{
	struct decision *at = place(r, e);

	*at = *d;
	at->version = e->to.version;
	at->protocol = e->protocol;
	at->port = e->to_port;
	at->until_ms = until_ms;
}

/* ---- what is asked ---- */

static void earn(struct redirect *r, int64_t now_ms)
{
	if (now_ms - r->ask_ms < 1000)
		return;
	r->ask_ms = now_ms;
	r->asked_listening = r->asked_taken = 0;
}

/* How many questions were for this member, in this second. */
static uint32_t *asked_for(struct redirect *r, uint32_t peer)
{
	struct asker *a = &r->askers[peer < PLANE_PEERS_MAX ? peer : PLANE_PEERS_MAX];

	if (a->ask_ms != r->ask_ms)
		*a = (struct asker){.ask_ms = r->ask_ms};
	return &a->asked;
}

/* Whether a socket here has this very packet, as far as may be asked. */
static bool kernel_takes(struct redirect *r, const struct ends *e)
{
	if (r->asked_taken >= TAKEN_PER_S)
		return false;
	r->asked_taken++;
	return r->options.taken(r->options.arg, e->protocol, &e->to, e->to_port, &e->from, e->from_port);
}

/* Surely, a moment ago at most. */
static bool nobody_listens(struct redirect *r, const struct ends *e, int64_t now_ms)
{
	struct port_bits *p = e->protocol == IPPROTO_TCP ? &r->tcp_ports : &r->udp_ports;

	if (p->at_ms == 0 || now_ms - p->at_ms >= PORTS_MS) {
		p->told = r->options.ports != NULL && r->options.ports(r->options.arg, e->protocol, p->bits);
		p->at_ms = now_ms;
	}
	return p->told && (p->bits[e->to_port / 8] >> e->to_port % 8 & 1) == 0;
}

/* What is to become of flows to this port; the kernel does not take it as it is. */
static enum decided ask(struct redirect *r, const struct ends *e, int64_t now_ms, struct redirect_address *service)
{
	struct redirect_listener all[REDIRECT_LISTENERS_MAX];
	size_t n = r->options.listening(r->options.arg, e->protocol, e->to_port, all, REDIRECT_LISTENERS_MAX);
	struct decision d = {.asked = true};

	d.what = choose(all, n, e, &d.service);
	*service = d.service;
	remember(r, e, &d, now_ms + (d.what == GOES_ITS_WAY ? NOBODY_MS : LISTENING_MS));
	return d.what;
}

/* Without a question, where there have been many. false: it has to be asked. */
static bool guess(struct redirect *r, const struct ends *e, int64_t now_ms, const struct decision *d, bool spent,
		  enum decided *what)
{
	*what = GOES_ITS_WAY;
	if (d != NULL && d->asked && (d->what != GOES_ITS_WAY || now_ms - d->until_ms < STALE_MS)) {
		*what = d->what;
		return true;
	}
	if (nobody_listens(r, e, now_ms))
		return true;
	/* To refuse it would be wrong; TCP tries again. */
	*what = GOES_NOWHERE;
	return spent;
}

static enum decided decide_anew(struct redirect *r, const struct ends *e, uint32_t peer, int64_t now_ms,
				const struct decision *d, struct redirect_address *service)
{
	bool known = d != NULL && d->until_ms > now_ms, spent;
	uint32_t *asked = asked_for(r, peer);
	enum decided what;

	if (d != NULL)
		*service = d->service;
	if (kernel_takes(r, e)) {
		/* By an answer to what a socket here has sent nothing is said about others that call the port. */
		if (!known)
			remember(r, e, &(struct decision){.what = GOES_ITS_WAY}, now_ms + TAKEN_MS);
		return GOES_ITS_WAY;
	}
	if (known)
		return d->what;
	spent = *asked >= LISTENING_PEER_PER_S || r->asked_listening >= LISTENING_PER_S;
	if ((spent || r->asked_listening >= LISTENING_PRESSED) && guess(r, e, now_ms, d, spent, &what))
		return what;
	++*asked;
	r->asked_listening++;
	return ask(r, e, now_ms, service);
}

static enum decided decide(struct redirect *r, const struct ends *e, uint32_t peer, int64_t now_ms,
			   struct redirect_address *service)
{
	const struct decision *d = recall(r, e);
	enum decided what = GOES_ITS_WAY;

	if (d != NULL && d->until_ms > now_ms && d->what == GOES_ITS_WAY)
		return GOES_ITS_WAY;
	pthread_mutex_lock(&r->options_lock);
	if (r->options.taken != NULL) {
		earn(r, now_ms);
		what = decide_anew(r, e, peer, now_ms, d, service);
	}
	pthread_mutex_unlock(&r->options_lock);
	return what;
}

static bool is_the_proxys(const struct redirect_own *own, const struct ends *e)
{
	if (e->to.version == 4)
		return e->to_port == (e->protocol == IPPROTO_TCP ? own->tcp4 : own->udp4);
	return e->to_port == (e->protocol == IPPROTO_TCP ? own->tcp6 : own->udp6);
}

static enum redirect_verdict admit_node(struct redirect *r, uint32_t peer, const struct plane_packet *p)
{
	struct redirect_flow wanted = {0};
	enum redirect_verdict v;
	struct ends e;

	if (redirect_is_later_fragment(p) || !redirect_ends(p, &e))
		return REDIRECT_PASS;
	if (is_the_proxys(&r->rx_own, &e))
		return REDIRECT_DROP;
	if (p->protocol == IPPROTO_TCP && !is_syn(p))
		return REDIRECT_PASS;
	if (belongs(r, &e, p, &v))
		return v;
	switch (decide(r, &e, peer, p->now_ms, &wanted.service)) {
	case GOES_TO_ADDRESS:
		wanted.kind = REDIRECT_ADDRESS;
		return begin(r, &e, peer, &wanted, p->now_ms);
	case GOES_TO_PROXY:
		wanted.kind = REDIRECT_LOOPBACK;
		return begin(r, &e, peer, &wanted, p->now_ms);
	case GOES_NOWHERE:
		return REDIRECT_DROP;
	default:
		return REDIRECT_PASS;
	}
}

enum redirect_verdict redirect_admit(struct redirect *r, uint32_t peer, const struct plane_packet *p)
{
	uint32_t generation = atomic_load_explicit(&r->generation, memory_order_relaxed);
	struct redirect_address to = redirect_target(p);
	int forward;

	if (generation != r->rx_generation) {
		pthread_mutex_lock(&r->lock);
		r->rx_own = r->own;
		r->rx_generation = atomic_load(&r->generation);
		pthread_mutex_unlock(&r->lock);
	}
	if (redirect_same(&to, &r->rx_own.node4) || redirect_same(&to, &r->rx_own.node6))
		return admit_node(r, peer, p);
	forward = redirect_forward(&r->rx_own, &to);
	return forward < 0 ? REDIRECT_PASS : redirect_admit_forward(r, &r->rx_own, forward, peer, p);
}
