/* Paths: where a peer may be, which of that is best, whether it still answers, and what fits through. */
#include "mesh/engine_internal.h"

#define PROBE_BACK_MS 10000
#define PROBED_JUST_NOW_MS 1000
#define PROBE_RETRY_MS 100
#define PROBE_RETRY_SIZE_MS 250
#define PROBE_TRIES 3
#define PROBE_TRIES_SIZE 6	/* a path that only loses some is not to be taken for a narrow one */
#define PROBE_TRIES_ROAM 6	/* it has not been lost: nobody else says that the peer is elsewhere */
#define PROBE_SIZE (PACKET_HEADER_LEN + 11 + PACKET_TAG_LEN)
#define QUIET_MS 3000		/* we send data and hear nothing: is it there at all? */
#define EXPLORE_MS 30000	/* how often a pair in use looks at its other candidates, and whether what fitted still does */
#define SIZE_QUIET_MS 5000	/* and how often at most when nothing comes back */
#define RAISE_MS 600000		/* how often it tries whether more fits than did: RFC 8899, 5.1.1, PMTU_RAISE_TIMER */
#define PASSIVE_MS 10000	/* data came and nothing went: an empty packet */
#define NAT_KEEPALIVE_MS 25000
#define POLL_MS 1000
#define POLL_IDLE_MS 5000
#define IN_USE_MS 30000
#define MTU_LEAST (PACKET_OUTER_MAX - SESSION_OVERHEAD)
#define GOOD_ENOUGH 80		/* per cent of the round trip, for a change within a class */
#define HELD_MS 5000		/* so long it must have been that good */
#define RIVAL_MS 2500
#define CLASS_RELAY 6
#define RELAYS_TRIED_MAX 3	/* whoever is not behind so many is not there */
#define DIRECT_MS 2000		/* how often a relayed pair in use tries to do without */
#define DIRECT_AT_ONCE 4

/* Smaller is better. */
static unsigned class_of(const struct mesh_engine *e, const struct record_endpoint *r)
{
	if (own_lan(e, &r->at))
		return 0;
	if (r->kind == ENDPOINT_CONFIGURED)
		return 1;
	if (r->kind == ENDPOINT_OWN)
		return r->at.family == ENDPOINT_V6 ? 2 : 3;
	return r->kind == ENDPOINT_MAPPED ? 4 : 5;
}

static size_t add(struct endpoint *out, size_t n, const struct endpoint *at)
{
	size_t i;

	if (n == CALL_ENDPOINTS || at->family == ENDPOINT_NONE)
		return n;
	for (i = 0; i < n; i++)
		if (endpoint_equal(&out[i], at))
			return n;
	out[n] = *at;
	return n + 1;
}

size_t paths_candidates(const struct mesh_engine *e, const struct node *n, int64_t now_ms, struct endpoint *out)
{
	size_t count = 0, i;
	unsigned c;

	/* Through another: as long as that one is there. */
	if (!relay_is(e, &n->path) || relay_works(e, &n->path))
		count = add(out, count, &n->path);
	count = add(out, count, &n->good);
	for (i = 0; now_ms - n->introduced_ms < HANDSHAKE_GIVE_UP_MS && i < n->introduced_count; i++)
		count = add(out, count, &n->introduced[i]);
	for (c = 0; c <= 5; c++)
		for (i = 0; i < n->at_count; i++)
			if (n->at[i].kind >= ENDPOINT_OWN && n->at[i].kind <= ENDPOINT_CONFIGURED &&
			    !own_has_endpoint(e, &n->at[i].at) && class_of(e, &n->at[i]) == c)
				count = add(out, count, &n->at[i].at);
	return count;
}

static unsigned class_at(const struct mesh_engine *e, const struct node *n, const struct endpoint *at)
{
	struct record_endpoint r = {ENDPOINT_OBSERVED, *at};
	size_t i;

	if (relay_is(e, at))
		return CLASS_RELAY;
	for (i = 0; i < n->at_count; i++)
		if (endpoint_equal(&n->at[i].at, at))
			r.kind = n->at[i].kind;
	return class_of(e, &r);
}

uint16_t paths_mtu_full(const struct mesh_engine *e, const struct node *n)
{
	uint16_t theirs = n->current.index == 0 ? e->self.mtu : n->current.s->peer_mtu;
	uint16_t full = theirs < e->self.mtu ? theirs : e->self.mtu;

	if (relay_is(e, &n->path) && relay_mtu(e, &n->path) < full)
		return relay_mtu(e, &n->path);
	return full;
}

static uint16_t mtu_least(const struct mesh_engine *e, const struct node *n)
{
	return relay_is(e, &n->path) ? MTU_LEAST - RELAY_OVERHEAD : MTU_LEAST;
}

/* Sizes to try below that of the interface: what goes through tunnels and radio links, then what IPv6 needs. */
static const uint16_t mtu_sizes[] = {1340, 1280};

/* The next smaller one; at last what every path has, of which no probe need say so. */
static void mtu_down(const struct mesh_engine *e, struct node *n)
{
	uint16_t least = mtu_least(e, n), next = least;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mtu_sizes) && next == least; i++)
		if (mtu_sizes[i] < n->mtu && mtu_sizes[i] > least)
			next = mtu_sizes[i];
	n->mtu = next;
	n->mtu_known = next == least ? least : 0;
}

/* The next larger one; the present one when there is none. */
static uint16_t mtu_above(const struct mesh_engine *e, const struct node *n)
{
	uint16_t full = paths_mtu_full(e, n), next = full;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(mtu_sizes); i++)
		if (mtu_sizes[i] > n->mtu && mtu_sizes[i] < next)
			next = mtu_sizes[i];
	return next > n->mtu ? next : n->mtu;
}

static void tell(struct mesh_engine *e, struct node *n)
{
	struct mesh_act a = {.kind = MESH_ACT_ENDPOINT, .peer = n->peer, .relay = ENGINE_NOBODY, .at = n->path, .mtu = n->mtu};

	const struct node *via = relay_via(e, &n->path);

	if (via != NULL)
		a.relay = via->peer;
	memcpy(a.node, n->id, NODE_ID_LEN);
	act(e, &a);
}

void paths_set(struct mesh_engine *e, struct node *n, const struct endpoint *at, int64_t now_ms)
{
	/* A member that says so does not make a packet come from somebody else. */
	if (relay_is(e, at) && relay_end(e, at) != n)
		return;
	n->path_ms = n->quiet_ms = now_ms;
	if (at->family == ENDPOINT_NONE || (endpoint_equal(&n->path, at) && n->mtu != 0))
		return;
	/* Others may be reached through it only as long as it is reached itself. */
	if (relay_is(e, at))
		relay_gone(e, n);
	n->path = *at;
	if (relay_is(e, at))
		n->relayed_ms = n->direct_ms = now_ms;
	else
		n->good = *at;
	n->rival.family = ENDPOINT_NONE;
	n->rtt_us = -1;
	n->mtu_known = 0;
	n->mtu = paths_mtu_full(e, n);
	n->raised_ms = now_ms;
	n->explored_ms = LONG_AGO;
	tell(e, n);
}

/* ---- probes ---- */

static void send_probe(struct mesh_engine *e, struct node *n, struct probe *p, int64_t now_ms)
{
	struct message m = {.type = MESSAGE_PROBE};

	m.u.probe.token = p->token;
	m.u.probe.size = p->size;
	p->sent_us = engine_now_us(e, now_ms);
	p->tries++;
	p->next_ms = now_ms + (p->of_mtu ? PROBE_RETRY_SIZE_MS : (int64_t)PROBE_RETRY_MS << (p->tries - 1));
	node_say(e, n, &m, &p->at);
	node_due(e, n, p->next_ms);
}

void paths_probe(struct mesh_engine *e, struct node *n, const struct endpoint *at, uint16_t size, bool roam, int64_t now_ms)
{
	struct probe *free_one = NULL, *p;

	for (p = n->probes; p < n->probes + PROBES_MAX; p++) {
		if (p->tries == 0)
			free_one = p;
		else if (endpoint_equal(&p->at, at) && p->of_mtu == (size > 0))
			return;
	}
	if (free_one == NULL || n->current.index == 0)
		return;
	*free_one = (struct probe){.token = engine_random64(e), .at = *at, .first_ms = now_ms, .roam = roam,
				   .of_mtu = size > 0, .size = size > 0 ? size : PROBE_SIZE};
	send_probe(e, n, free_one, now_ms);
}

/* Whether what is sent fits; now and then, whether more would. */
static void probe_size(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	uint16_t mtu = n->mtu;

	if (n->mtu_known != 0 && now_ms - n->raised_ms >= RAISE_MS) {
		n->raised_ms = now_ms;
		mtu = mtu_above(e, n);
	}
	n->sized_ms = now_ms;
	if (mtu == mtu_least(e, n))
		return;
	paths_probe(e, n, &n->path, (uint16_t)(mtu + SESSION_OVERHEAD), false, now_ms);
	/* That the path is there at all is to be seen beside it. */
	paths_probe(e, n, &n->path, 0, false, now_ms);
}

void paths_on_probe(struct mesh_engine *e, struct node *n, const struct message *m, const struct endpoint *from,
		    int64_t now_ms)
{
	struct message pong = {.type = MESSAGE_PONG};
	bool on_path = endpoint_equal(from, &n->path) && !relay_is(e, from);

	pong.u.pong.token = m->u.probe.token;
	pong.u.pong.size = m->u.probe.size;
	if (!relay_is(e, from))
		pong.u.pong.observed = *from;
	node_say(e, n, &pong, from);
	/* The peer sees us somewhere else, maybe; the answer to ours will say where. */
	if (on_path && now_ms - n->probed_back_ms >= PROBE_BACK_MS &&
	    (n->probed_ms == INT64_MIN || now_ms - n->probed_ms >= PROBED_JUST_NOW_MS)) {
		n->probed_back_ms = now_ms;
		paths_probe(e, n, from, 0, false, now_ms);
	}
}

/* Whether to go over to an endpoint that has just answered: one of a better class at once, a faster one when it stays so. */
static bool better(struct mesh_engine *e, struct node *n, const struct endpoint *at, int64_t rtt_us, int64_t now_ms)
{
	unsigned now = class_at(e, n, &n->path), then = class_at(e, n, at);
	bool same = endpoint_equal(&n->rival, at);

	if (n->path.family == ENDPOINT_NONE)
		return true;
	if (then != now)
		return then < now;
	if (n->rtt_us < 0 || rtt_us * 100 >= n->rtt_us * GOOD_ENOUGH) {
		if (same)
			n->rival.family = ENDPOINT_NONE;
		return false;
	}
	if (same)
		return now_ms - n->rival_ms >= HELD_MS;
	n->rival = *at;
	n->rival_ms = now_ms;
	n->rival_next_ms = now_ms + RIVAL_MS;
	node_due(e, n, n->rival_next_ms);
	return false;
}

/* One that large came through. */
static void size_known(struct mesh_engine *e, struct node *n, const struct probe *p, int64_t now_ms)
{
	uint16_t mtu = (uint16_t)(p->size - SESSION_OVERHEAD);

	if (!endpoint_equal(&p->at, &n->path) || mtu < n->mtu || mtu > paths_mtu_full(e, n))
		return;
	n->mtu_known = mtu;
	if (mtu == n->mtu)
		return;
	n->mtu = mtu;
	tell(e, n);
	/* That went well: the next one at once. */
	if (mtu_above(e, n) > mtu) {
		n->raised_ms = LONG_AGO;
		probe_size(e, n, now_ms);
	}
}

void paths_on_pong(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	struct probe *p, was;
	int64_t rtt_us;

	for (p = n->probes; p < n->probes + PROBES_MAX; p++)
		if (p->tries > 0 && p->token == m->u.pong.token)
			break;
	if (p == n->probes + PROBES_MAX)
		return;
	was = *p;
	p->tries = 0;
	n->relays_tried = 0;
	rtt_us = engine_now_us(e, now_ms) - was.sent_us;
	own_observed(e, n->id, &m->u.pong.observed, now_ms);
	n->quiet_ms = now_ms;
	if (was.of_mtu) {
		size_known(e, n, &was, now_ms);
		return;
	}
	if (endpoint_equal(&was.at, &n->path)) {
		n->rtt_us = rtt_us;
		n->probed_ms = now_ms;
		return;
	}
	if (was.roam || better(e, n, &was.at, rtt_us, now_ms)) {
		paths_set(e, n, &was.at, now_ms);
		n->rtt_us = rtt_us;
		n->probed_ms = now_ms;
	}
}

/* When anything came from it. */
static int64_t heard_ms(struct mesh_engine *e, const struct node *n)
{
	struct engine_traffic t;

	traffic_of(e, n, &t);
	return t.rx_ms > n->quiet_ms ? t.rx_ms : n->quiet_ms;
}

static void too_big(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	if (n->mtu <= mtu_least(e, n))
		return;
	mtu_down(e, n);
	n->raised_ms = now_ms;
	tell(e, n);
	if (n->mtu_known == 0)
		probe_size(e, n, now_ms);
}

static void probe_lost(struct mesh_engine *e, struct node *n, const struct probe *p, int64_t now_ms)
{
	if (p->of_mtu) {
		/* Of a path that carries nothing at all it says nothing. */
		if (endpoint_equal(&p->at, &n->path) && p->size == n->mtu + SESSION_OVERHEAD && heard_ms(e, n) >= p->first_ms)
			too_big(e, n, now_ms);
	} else if (endpoint_equal(&p->at, &n->path)) {
		call_start(e, n, 0, now_ms);
		if (relay_is(e, &n->path))
			relay_note_no(n, relay_via(e, &n->path), now_ms);
		if (relay_is(e, &n->path) || relay_for(e, n, now_ms) != NULL)
			paths_lost(e, n, now_ms);
	}
}

void paths_lost(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	bool more = n->current.index != 0 && n->relays_tried < RELAYS_TRIED_MAX;
	struct node *via = more ? relay_for(e, n, now_ms) : NULL;
	struct endpoint at = {.family = ENDPOINT_NONE};

	if (via != NULL) {
		n->relays_tried++;
		at = relay_endpoint(e, via, n);
		paths_set(e, n, &at, now_ms);
		/* And is it there at all, this way? */
		paths_probe(e, n, &n->path, 0, false, now_ms);
		return;
	}
	if (n->path.family == ENDPOINT_NONE)
		return;
	n->path = at;
	n->rtt_us = -1;
	tell(e, n);
	relay_gone(e, n);
}

void paths_moved(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	/* Answers to what was sent from where we were do not come. */
	memset(n->probes, 0, sizeof(n->probes));
	n->direct_ms = LONG_AGO;
	if (node_live(n))
		paths_probe(e, n, &n->path, 0, false, now_ms);
	if (n->call != NULL)
		call_again(e, n, now_ms);
	node_due(e, n, now_ms);
}

static unsigned tries_of(const struct probe *p)
{
	if (p->of_mtu)
		return PROBE_TRIES_SIZE;
	return p->roam ? PROBE_TRIES_ROAM : PROBE_TRIES;
}

static void probes_timer(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct probe *p;

	for (p = n->probes; p < n->probes + PROBES_MAX; p++) {
		if (p->tries == 0)
			continue;
		if (now_ms < p->next_ms) {
			node_due(e, n, p->next_ms);
		} else if (p->tries < tries_of(p)) {
			send_probe(e, n, p, now_ms);
		} else {
			struct probe was = *p;

			p->tries = 0;
			probe_lost(e, n, &was, now_ms);
		}
	}
}

/* ---- time ---- */

/* A pair in use: the next candidate of a better class, and the round trip and size of what is used. */
static void explore(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct endpoint at[CALL_ENDPOINTS];
	size_t count = paths_candidates(e, n, now_ms, at), i;

	if (now_ms - n->explored_ms < EXPLORE_MS)
		return;
	n->explored_ms = now_ms;
	paths_probe(e, n, &n->path, 0, false, now_ms);
	probe_size(e, n, now_ms);
	for (i = 1; i < count; i++) {
		const struct endpoint *next = &at[1 + n->explored++ % (count - 1)];

		if (class_at(e, n, next) <= class_at(e, n, &n->path)) {
			paths_probe(e, n, next, 0, false, now_ms);
			return;
		}
	}
}

/* The faster one of the same class, until it has been so for long enough. */
static void ask_rival(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	if (n->rival.family == ENDPOINT_NONE)
		return;
	if (now_ms >= n->rival_next_ms) {
		n->rival_next_ms = now_ms + RIVAL_MS;
		paths_probe(e, n, &n->path, 0, false, now_ms);
		paths_probe(e, n, &n->rival, 0, false, now_ms);
	}
	node_due(e, n, n->rival_next_ms);
}

/* A relayed pair: what goes both ways at once opens most NATs. */
static void try_direct(struct mesh_engine *e, struct node *n, bool in_use, int64_t now_ms)
{
	struct endpoint at[CALL_ENDPOINTS];
	int64_t every_ms = in_use ? DIRECT_MS : EXPLORE_MS;
	size_t count, i, sent = 0;

	if (now_ms - n->direct_ms < every_ms) {
		node_due(e, n, n->direct_ms + every_ms);
		return;
	}
	n->direct_ms = now_ms;
	count = paths_candidates(e, n, now_ms, at);
	for (i = 0; i < count && sent < DIRECT_AT_ONCE; i++) {
		const struct endpoint *next = &at[n->direct++ % count];

		if (!relay_is(e, next)) {
			paths_probe(e, n, next, 0, false, now_ms);
			sent++;
		}
	}
	if (in_use)
		paths_probe(e, n, &n->path, 0, false, now_ms);
	if (in_use && (n->mtu_known == 0 || now_ms - n->sized_ms >= EXPLORE_MS))
		probe_size(e, n, now_ms);
	node_due(e, n, now_ms + every_ms);
}

/* Sessions that a node behind a NAT keeps, so that others can be sent to it through them. */
static bool is_anchor(struct mesh_engine *e, const struct node *n)
{
	size_t kept = 0, i;
	uint32_t p;

	if (relay_is(e, &n->path))
		return false;
	if (relay_needed(e, n))
		return true;
	if (!e->natted || own_lan(e, &n->path))
		return false;
	/* Of those that pass datagrams on, as many again, whatever others there are. */
	for (p = 0; p < e->nodes_top; p++)
		kept += e->nodes[p] != NULL && e->nodes[p] != n && e->nodes[p]->anchor && e->nodes[p]->relays >= n->relays;
	if (kept >= ANCHORS)
		return false;
	/* It is reached where it says it is: no NAT before it. */
	for (i = 0; i < n->at_count; i++)
		if ((n->at[i].kind == ENDPOINT_OWN || n->at[i].kind == ENDPOINT_CONFIGURED) &&
		    endpoint_equal(&n->at[i].at, &n->path))
			return true;
	return false;
}

void paths_timer(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct message empty = {.type = MESSAGE_KEEPALIVE};
	struct engine_traffic t;
	int64_t heard, poll_ms;

	probes_timer(e, n, now_ms);
	if (relay_is(e, &n->path) && !relay_works(e, &n->path))
		paths_lost(e, n, now_ms);
	if (!node_live(n))
		return;
	/* No more gets through than to the one in between. */
	if (relay_is(e, &n->path) && n->mtu > relay_mtu(e, &n->path)) {
		n->mtu = relay_mtu(e, &n->path);
		tell(e, n);
	}
	traffic_of(e, n, &t);
	heard = heard_ms(e, n);
	n->anchor = is_anchor(e, n);
	if (t.tx_data_ms > heard && now_ms - heard >= QUIET_MS && n->call == NULL) {
		paths_probe(e, n, &n->path, 0, false, now_ms);
		if (now_ms - n->sized_ms >= SIZE_QUIET_MS)
			probe_size(e, n, now_ms);
	}
	if (relay_is(e, &n->path))
		try_direct(e, n, now_ms - t.tx_data_ms < IN_USE_MS || now_ms - t.rx_data_ms < IN_USE_MS, now_ms);
	else if (now_ms - t.tx_data_ms < POLL_MS * 10 || relay_needed(e, n))
		explore(e, n, now_ms);
	ask_rival(e, n, now_ms);
	if (t.rx_data_ms > t.tx_ms && now_ms - t.rx_data_ms >= PASSIVE_MS && n->keepalive_ms < t.rx_data_ms) {
		n->keepalive_ms = now_ms;
		node_say(e, n, &empty, NULL);
	}
	if (n->anchor && now_ms - t.tx_ms >= NAT_KEEPALIVE_MS && now_ms - n->keepalive_ms >= NAT_KEEPALIVE_MS) {
		n->keepalive_ms = now_ms;
		node_say(e, n, &empty, NULL);
	}
	/* In step with the others, so that a quiet node wakes once for all. */
	heard = t.rx_data_ms > t.tx_data_ms ? t.rx_data_ms : t.tx_data_ms;
	poll_ms = now_ms - heard < IN_USE_MS ? POLL_MS : POLL_IDLE_MS;
	node_due(e, n, (now_ms / poll_ms + 1) * poll_ms);
}

void mesh_engine_too_big(struct mesh_engine *e, uint32_t peer, size_t size, int64_t now_ms)
{
	struct node *n = node_of(e, peer);

	/* Larger ones were made before the plane heard of the present size. */
	if (n != NULL && size <= (size_t)n->mtu + SESSION_OVERHEAD)
		too_big(e, n, now_ms);
}
