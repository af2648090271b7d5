/* Discovery: who is at an endpoint, beacons on the LAN, and calling a node through one that both know. */
#include "base/buf.h"
#include "mesh/engine_internal.h"

#define WHO_MS 5000			/* how long an answer is taken */
#define WHO_PER_S 8
#define WHO_BURST 16
#define ASK_FIRST_MS 500
#define ASK_MAX_MS 60000
#define BEACON_FIRST_MS 1000
#define BEACON_SPREAD_MS 700
#define BEACONS_FIRST 3
#define BEACON_MS 300000
#define BEACON_GAP_MS 10000
#define INTRODUCE_ASK_MS 1000
#define INTRODUCE_ASKED 3		/* peers that are asked at once */
#define INTRODUCE_PASS_MS 1000
#define CALLED_MS 10000			/* 8 initiations in it for one caller, 32 for all */
#define CALLED_ALL 32

/* ---- who and here ---- */

void discover_ask(struct mesh_engine *e, const struct generation *g, const struct endpoint *at, const uint8_t *wanted,
		  const uint8_t *cookie, bool call, int64_t now_ms)
{
	struct packet_header h = {.flags = (uint8_t)(cookie == NULL ? 0 : PACKET_HAS_MAC2)};
	struct who *w = &e->whos[0];
	struct packet_who who = {.nonce = engine_random64(e)};
	uint8_t out[PACKET_OUTER_MAX];
	size_t len, i;

	if (at->family == ENDPOINT_NONE || !bucket_take(&e->who_rate, WHO_PER_S, WHO_BURST, now_ms))
		return;
	for (i = 0; i < WHOS_MAX; i++)
		if (e->whos[i].at.family == ENDPOINT_NONE || e->whos[i].sent_ms < w->sent_ms)
			w = &e->whos[i];
	if (wanted != NULL)
		memcpy(who.wanted, wanted, NODE_ID_LEN);
	memcpy(who.sign_public, e->nodekey.sign_public, sizeof(who.sign_public));
	memcpy(who.static_public, e->nodekey.static_public, sizeof(who.static_public));
	len = packet_put_who(&g->subkeys, &who, cookie, out);
	*w = (struct who){.nonce = who.nonce, .sent_ms = now_ms, .at = *at, .call = call};
	memcpy(w->tag, packet_outer_tag(out, len, &h), PACKET_TAG_LEN);
	act_send(e, at, out, len);
}

/* Whether that node is to learn where this one is, by what came in g. */
static bool may_know(const struct mesh_engine *e, const struct generation *g, const uint8_t *id, int64_t now_ms)
{
	const struct node *n = node_find(e, id);
	enum session_kind kind;

	return (n == NULL || !n->evicted) && generation_admits(e, g, id, now_ms, &kind) == 0;
}

void discover_who(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, struct slice body,
		  int64_t now_ms)
{
	static const uint8_t anybody[NODE_ID_LEN];
	struct packet_here here = {.observed = *from, .record = slice_of(e->own_bytes, e->own_len)};
	uint8_t out[PACKET_OUTER_MAX], id[NODE_ID_LEN];
	struct packet_who w;
	size_t len;

	if (packet_who_get(&w, body) < 0 || (memcmp(w.wanted, anybody, NODE_ID_LEN) != 0 &&
					     memcmp(w.wanted, e->nodekey.id, NODE_ID_LEN) != 0))
		return;
	node_id_of(id, w.sign_public, w.static_public);
	if (!may_know(e, g, id, now_ms))
		return;
	here.nonce = w.nonce;
	len = packet_put_here(&g->subkeys, &here, w.static_public, out);
	if (len > 0)
		act_send(e, from, out, len);
}

static struct who *awaited(const struct mesh_engine *e, uint64_t nonce, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < WHOS_MAX; i++)
		if (e->whos[i].at.family != ENDPOINT_NONE && e->whos[i].nonce == nonce &&
		    now_ms - e->whos[i].sent_ms < WHO_MS)
			return (struct who *)&e->whos[i];
	return NULL;
}

bool discover_awaited(const struct mesh_engine *e, struct slice body, int64_t now_ms)
{
	uint64_t nonce;

	return packet_here_nonce(&nonce, body) == 0 && awaited(e, nonce, now_ms) != NULL;
}

void discover_here(struct mesh_engine *e, const struct endpoint *from, struct slice body, int64_t now_ms)
{
	uint8_t id[NODE_ID_LEN], room[PACKET_OUTER_MAX];
	uint64_t sequence;
	struct packet_here h;
	uint32_t epoch;
	struct node *n;
	struct who *w;
	bool call;

	if (!discover_awaited(e, body, now_ms) || packet_here_get(&h, body, &e->nodekey, room) < 0 ||
	    (w = awaited(e, h.nonce, now_ms)) == NULL || record_peek(h.record, id, &sequence, &epoch) < 0)
		return;
	call = w->call;
	if (gossip_record(e, h.record, NULL, now_ms) == TAKEN_NOT)
		return;
	w->at.family = ENDPOINT_NONE;
	n = node_find(e, id);
	if (n == NULL || n->evicted || n->record_len == 0)
		return;
	if (n->good.family == ENDPOINT_NONE || !node_live(n))
		n->good = *from;
	if (n->current.index == 0 && (call || engine_live(e) == 0))
		call_start(e, n, 6, now_ms);
}

void discover_cookie(struct mesh_engine *e, const struct packet_cookie *c, int64_t now_ms)
{
	size_t i, k;

	for (i = 0; i < WHOS_MAX; i++) {
		if (e->whos[i].at.family == ENDPOINT_NONE || now_ms - e->whos[i].sent_ms >= WHO_MS ||
		    memcmp(e->whos[i].tag, c->quoted, PACKET_TAG_LEN) != 0)
			continue;
		for (k = 0; k < e->configured_count; k++) {
			if (endpoint_equal(&e->configured[k].at, &e->whos[i].at)) {
				memcpy(e->configured[k].cookie, c->cookie, COOKIE_LEN);
				e->configured[k].cookie_ms = now_ms;
				/* Somebody is there. */
				e->configured[k].wait_ms = ASK_FIRST_MS;
				if (e->configured[k].next_ms > now_ms + ASK_FIRST_MS)
					e->configured[k].next_ms = now_ms + ASK_FIRST_MS;
				engine_due(e, e->configured[k].next_ms);
			}
		}
	}
}

/* ---- configured ---- */

void mesh_engine_configured(struct mesh_engine *e, const struct endpoint *at, size_t count, int64_t now_ms)
{
	size_t i;

	e->configured_count = count < ENGINE_CONFIGURED_MAX ? count : ENGINE_CONFIGURED_MAX;
	for (i = 0; i < e->configured_count; i++)
		e->configured[i] = (struct configured){.at = at[i], .next_ms = now_ms, .wait_ms = ASK_FIRST_MS,
						       .cookie_ms = LONG_AGO};
	engine_due(e, now_ms);
}

/* Whether a session stands with who is there. */
static bool reached(const struct mesh_engine *e, const struct endpoint *at)
{
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		if (e->nodes[i] != NULL && node_live(e->nodes[i]) && endpoint_equal(&e->nodes[i]->path, at))
			return true;
	return false;
}

/* Whether somebody we have talked to was there: then it is called for traffic, and by gossip. */
static bool known(const struct mesh_engine *e, const struct endpoint *at)
{
	uint32_t i;

	for (i = 0; i < e->nodes_top; i++)
		if (e->nodes[i] != NULL && e->nodes[i]->ever && endpoint_equal(&e->nodes[i]->good, at))
			return true;
	return false;
}

static void ask_configured(struct mesh_engine *e, struct configured *c, int64_t now_ms)
{
	const struct generation *g = &e->gen[0];

	if (now_ms < c->next_ms)
		return;
	if (reached(e, &c->at) || own_has_endpoint(e, &c->at) || (known(e, &c->at) && engine_live(e) > 0)) {
		c->wait_ms = ASK_FIRST_MS;
		c->next_ms = now_ms + ASK_MAX_MS;
		return;
	}
	/* Every second time as those ask who have not heard of the generation in force. */
	if (c->asked++ % 2 == 1 && generation_before(e, now_ms) != NULL)
		g = generation_before(e, now_ms);
	discover_ask(e, g, &c->at, NULL, now_ms - c->cookie_ms < COOKIE_HOLD_MS ? c->cookie : NULL, true, now_ms);
	c->next_ms = now_ms + c->wait_ms * 4 / 5 + engine_random(e, (uint32_t)(c->wait_ms * 2 / 5));
	c->wait_ms = c->wait_ms * 2 < ASK_MAX_MS ? c->wait_ms * 2 : ASK_MAX_MS;
}

/* ---- beacons ---- */

static void beacon_in(struct mesh_engine *e, const struct generation *g, bool answer)
{
	struct packet_beacon b = {.boot_epoch = e->self.boot_epoch, .sequence = e->own.sequence, .port_v4 = e->port_v4,
				  .port_v6 = e->port_v6, .answer = answer};
	uint8_t out[PACKET_OUTER_MAX];
	struct mesh_act a = {.kind = MESH_ACT_BEACON};

	memcpy(b.id, e->nodekey.id, NODE_ID_LEN);
	a.bytes = slice_of(out, packet_put_beacon(&g->subkeys, &b, out));
	act(e, &a);
}

static void beacon(struct mesh_engine *e, bool answer, int64_t now_ms)
{
	const struct generation *before = generation_before(e, now_ms);

	beacon_in(e, &e->gen[0], answer);
	if (before != NULL)
		beacon_in(e, before, answer);
	e->beacon_sent_ms = now_ms;
}

void discover_announce(struct mesh_engine *e, int64_t now_ms)
{
	if (!e->beacons || (e->port_v4 == 0 && e->port_v6 == 0))
		return;
	e->beacons_first = BEACONS_FIRST;
	e->beacon_ms = now_ms + engine_random(e, BEACON_FIRST_MS);
	engine_due(e, e->beacon_ms);
}

void discover_again(struct mesh_engine *e, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < e->configured_count; i++) {
		e->configured[i].next_ms = now_ms;
		e->configured[i].wait_ms = ASK_FIRST_MS;
		e->configured[i].asked = 0;
	}
	engine_due(e, now_ms);
	discover_announce(e, now_ms);
}

static void beacons_timer(struct mesh_engine *e, int64_t now_ms)
{
	if (now_ms >= e->beacon_ms) {
		if (e->beacons_first > 0)
			e->beacons_first--;
		beacon(e, e->beacons_first == BEACONS_FIRST - 1, now_ms);
		e->beacon_ms = now_ms + (e->beacons_first > 0 ? (int64_t)engine_random(e, BEACON_SPREAD_MS)
							      : BEACON_MS * 4 / 5 + engine_random(e, BEACON_MS * 2 / 5));
	}
	if (now_ms >= e->beacon_answer_ms) {
		e->beacon_answer_ms = ENGINE_NEVER;
		beacon(e, false, now_ms);
	}
	engine_due(e, e->beacon_ms);
	engine_due(e, e->beacon_answer_ms);
}

/* One that is not known is answered even so soon after a beacon, by which it may have known nobody, or had no key. */
static void answer_beacon(struct mesh_engine *e, const struct node *n, int64_t now_ms)
{
	int64_t free_ms = e->beacon_sent_ms + BEACON_GAP_MS;

	if (!e->beacons || e->beacon_answer_ms != ENGINE_NEVER || (now_ms < free_ms && n != NULL && n->record_len > 0))
		return;
	e->beacon_answer_ms = (now_ms < free_ms ? free_ms : now_ms) + engine_random(e, BEACON_FIRST_MS);
	engine_due(e, e->beacon_answer_ms);
}

void discover_beacon(struct mesh_engine *e, const struct generation *g, const struct endpoint *from, struct slice body,
		     int64_t now_ms)
{
	struct endpoint at = *from;
	struct packet_beacon b;
	struct node *n;

	if (packet_beacon_get(&b, body) < 0 || memcmp(b.id, e->nodekey.id, NODE_ID_LEN) == 0 || !may_know(e, g, b.id, now_ms))
		return;
	n = node_find(e, b.id);
	if (b.answer)
		answer_beacon(e, n, now_ms);
	if (n != NULL && n->record_len > 0 && (b.boot_epoch < n->boot_epoch || b.sequence <= n->sequence))
		return;
	at.port = from->family == ENDPOINT_V4 ? b.port_v4 : b.port_v6;
	if (endpoint_usable(&at))
		discover_ask(e, g, &at, b.id, NULL, false, now_ms);
}

void discover_timer(struct mesh_engine *e, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < e->configured_count; i++) {
		ask_configured(e, &e->configured[i], now_ms);
		engine_due(e, e->configured[i].next_ms);
	}
	beacons_timer(e, now_ms);
}

/* ---- introductions ---- */

void introduce_ask(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	struct message m = {.type = MESSAGE_INTRODUCE};
	struct node *asked[INTRODUCE_ASKED] = {NULL};
	size_t i, k;

	if (now_ms - n->call->introduced_ms < INTRODUCE_ASK_MS)
		return;
	n->call->introduced_ms = now_ms;
	memcpy(m.u.introduce.node, n->id, NODE_ID_LEN);
	/* Observed ones first: they are what the other side of a NAT can reach. */
	for (k = 0; k < 2; k++)
		for (i = 0; i < e->own.endpoints_count && m.u.introduce.count < CANDIDATES_MAX; i++)
			if ((e->own.endpoints[i].kind == ENDPOINT_OBSERVED) == (k == 0))
				m.u.introduce.at[m.u.introduce.count++] = e->own.endpoints[i].at;
	if (m.u.introduce.count == 0)
		return;
	for (i = 0; i < INTRODUCE_ASKED; i++) {
		struct node *via = node_random_live(e, n);

		for (k = 0; k < i && via != NULL; k++)
			if (asked[k] == via)
				via = NULL;
		asked[i] = via;
		if (via != NULL)
			node_say(e, via, &m, NULL);
	}
}

void introduce_pass(struct mesh_engine *e, struct node *n, const struct message *m, int64_t now_ms)
{
	struct message out = {.type = MESSAGE_INTRODUCED};
	struct node *to = node_find(e, m->u.introduce.node);

	if (to == NULL || to == n || !node_live(to) || !node_live(n) || now_ms - n->introduce_ms < INTRODUCE_PASS_MS) {
		e->stats.introductions_refused++;
		return;
	}
	n->introduce_ms = now_ms;
	e->stats.introductions_passed++;
	out.u.introduce = m->u.introduce;
	memcpy(out.u.introduce.node, n->id, NODE_ID_LEN);
	node_say(e, to, &out, NULL);
}

/*
 * One initiation to where the caller says it is, within the limits: nobody is to be aimed at a third one. n NULL: a
 * caller that is not known, of which nothing is kept.
 */
static bool may_call_back(struct mesh_engine *e, struct node *n, int64_t now_ms)
{
	if (n != NULL && now_ms - n->called_us_ms >= CALLED_MS) {
		n->called_us_ms = now_ms;
		n->called_us = 0;
	}
	if (now_ms - e->called_all_ms >= CALLED_MS) {
		e->called_all_ms = now_ms;
		e->called_all = 0;
	}
	if ((n != NULL && n->called_us >= CANDIDATES_MAX) || e->called_all >= CALLED_ALL)
		return false;
	if (n != NULL)
		n->called_us++;
	e->called_all++;
	return true;
}

void introduce_called(struct mesh_engine *e, const struct message *m, int64_t now_ms)
{
	struct node *n = node_find(e, m->u.introduce.node);
	uint8_t out[PACKET_OUTER_MAX];
	struct handshake hs;
	uint32_t index;
	size_t i, len;

	if (memcmp(m->u.introduce.node, e->nodekey.id, NODE_ID_LEN) == 0 || (n != NULL && (n->evicted || node_live(n))))
		return;
	for (i = 0; i < m->u.introduce.count; i++) {
		const struct endpoint *at = &m->u.introduce.at[i];

		if (!endpoint_usable(at) || !may_call_back(e, n, now_ms))
			continue;
		/* Without its record there is no key to call it by; who opens a NAT as well, and brings the record. */
		if (n == NULL || n->record_len == 0) {
			discover_ask(e, &e->gen[0], at, m->u.introduce.node, NULL, true, now_ms);
			continue;
		}
		/* Its answer is not waited for: it opens our NAT, and the caller's next initiation comes in. */
		if (n->counter == UINT32_MAX || e->ops->index_take(e->ops->arg, &index) < 0)
			continue;
		len = handshake_initiate(&hs, &e->self, n->id, n->static_public, index, ++n->counter, false, NULL, out);
		e->ops->index_give(e->ops->arg, index);
		handshake_wipe(&hs);
		act_send(e, at, out, len);
	}
}
