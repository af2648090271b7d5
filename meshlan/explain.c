/*
 * Why a call passes or does not (POST /explain). For a call to this node: what its rules and flows say. For a call from
 * it: the same of this end, and what the far end answers when it is asked.
 *
 *	CALLING --session stands--> ASKING --answer or deadline--> answered
 *	   | deadline
 *	   +--> answered
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/scope.h"
#include "meshlan/door.h"
#include "sys/clock.h"
#include "sys/rng.h"

#define ASKINGS_MAX 64
#define FAR_MS 2000		/* for a session and the answer */
#define LOOK_MS 5

/* One word asked about: a node, what of it, and who calls. */
struct question {
	struct scope_rule what;		/* protocol and port alone */
	struct found to, from;
	bool has_from;
	char decider[MESH_NAME_MAX + 1];	/* of a call from here: whose rules decide */
};

static int read_what(struct question *q, struct slice text, struct error *err)
{
	if (scope_rule_parse(&q->what, text, err) < 0)
		return -1;
	if (q->what.port_first == q->what.port_last)
		return 0;
	error_set(err, ERR_USAGE, "'%.*s' is more than one port", SLICE_ARG(text));
	return error_hint(err, "name one: tcp:%u", q->what.port_first);
}

static int read_question(struct meshlan *m, struct json_value v, struct question *q, struct error *err)
{
	struct slice target, what, from = SLICE_EMPTY;

	if (json_need_string(v, "target", &target, err) < 0 || json_need_string(v, "what", &what, err) < 0 ||
	    json_opt_string(v, "from", &from, err) < 0 || read_what(q, what, err) < 0 ||
	    door_find(m, target, &q->to, err) < 0)
		return -1;
	if (from.len == 0)
		return 0;
	if (door_find(m, from, &q->from, err) < 0)
		return error_wrap(err, "--from");
	if (q->from.lan != q->to.lan)
		return error_set(err, ERR_USAGE, "'%.*s' and '%.*s' are in different networks", SLICE_ARG(from),
				 SLICE_ARG(target));
	q->has_from = true;
	return 0;
}

static const char *called(const struct names_entry *e, const char *otherwise)
{
	return e->name[0] == '\0' ? otherwise : e->name;
}

/* The number by which the filter knows a peer. */
static uint32_t filter_peer(const struct found *f)
{
	uint32_t slot = door_slot(f->lan, f->peer);

	return slot == PLANE_NOBODY ? FLOW_PEERS_MAX : slot;
}

/* A call to this node or a forward of it. Without a caller: any member of whom no rule speaks. */
static int explain_in(const struct question *q, struct filter_explanation *x, struct error *err)
{
	static const uint8_t somebody[NODE_ID_LEN];
	struct lan *l = q->to.lan;
	bool node = q->to.entry.slot == SLOT_NODE && q->to.entry.ordinal == 0;
	int target = filter_target_named(l->filter, node ? "" : q->to.entry.name);

	if (q->has_from && q->from.self)
		return error_set(err, ERR_USAGE, "what this node does with itself, no rule decides");
	filter_explain(l->filter, q->has_from ? q->from.entry.node : somebody,
		       q->has_from ? called(&q->from.entry, "that node") : "any other member",
		       q->has_from ? filter_peer(&q->from) : FLOW_PEERS_MAX, target < 0 ? SCOPE_NO_TARGET : target,
		       q->what.proto, q->what.port_first, clock_mono_ms(), x);
	return 0;
}

/* Whose rules decide a call from here: of a device, those of the node in front of it. */
static void find_decider(struct question *q)
{
	const struct names_entry *e = &q->to.entry;
	struct mesh_peer_info i;

	snprintf(q->decider, sizeof(q->decider), "%s", called(e, "that node"));
	if ((e->slot != SLOT_NODE || e->ordinal != 0) && mesh_engine_find(q->to.lan->engine, e->node, &i))
		snprintf(q->decider, sizeof(q->decider), "%s", i.name[0] != '\0' ? i.name : "the node in front of it");
}

static int explain_out(struct question *q, struct filter_explanation *x, struct error *err)
{
	const struct names_entry *e = &q->to.entry;
	uint32_t four = htonl(e->v4);
	struct filter *f = q->to.lan->filter;

	if (q->has_from && !q->from.self) {
		error_set(err, ERR_USAGE, "this node is neither end of that");
		return error_hint(err, "ask on one of the two nodes");
	}
	if (!e->has_address)
		return error_set(err, ERR_NOT_FOUND, "'%s' holds no address", called(e, "that node"));
	find_decider(q);
	/* The same either way but for the flows that there are: those of IPv6, where IPv4 has none. */
	filter_explain_out(f, q->decider, filter_peer(&q->to), (const uint8_t *)&four, sizeof(four), q->what.proto,
			   q->what.port_first, clock_mono_ms(), x);
	if (x->live == 0)
		filter_explain_out(f, q->decider, filter_peer(&q->to), e->v6, sizeof(e->v6), q->what.proto,
				   q->what.port_first, clock_mono_ms(), x);
	return 0;
}

/* ---- the answer ---- */

/* A call from here, until the far end has said what it thinks of it. */
struct asking {
	struct meshlan *m;
	struct asking *next;
	struct exchange_token exchange;
	char network[NETWORK_ID_HEX_LEN];
	struct question q;		/* its lan is looked up anew each time */
	struct filter_explanation x;
	struct mesh_ask ask;
	int64_t deadline_ms;
	bool called, asked;
	struct timer step;
	enum answer verdict;		/* 0: none yet */
	char text[ANSWER_TEXT_MAX + 1];
};

/* How the other side is reached, since the best rule helps nobody who is not there. */
static void put_path(struct json_writer *w, const struct found *f)
{
	struct mesh_peer_info i;

	if (f->self || f->lan == NULL || !mesh_engine_find(f->lan->engine, f->entry.node, &i))
		json_put_null(w, "path");
	else
		json_put_string(w, "path", door_path(&i));
}

/* far: of a call from here, or NULL. */
static void put(struct json_writer *w, const struct meshlan *m, const struct question *q, const struct filter_explanation *x,
		const struct asking *far)
{
	bool in = q->to.self, said = far != NULL && far->verdict != 0;
	char rule[SCOPE_RULE_TEXT_LEN];

	json_open_object(w, NULL);
	json_put_string(w, "end", in ? "in" : "out");
	json_put_string(w, "network", q->to.lan == NULL ? NULL : q->to.lan->net.key.name);
	json_put_string(w, "target", called(&q->to.entry, NULL));
	json_put_hex(w, "node", q->to.entry.node, NODE_ID_LEN);
	json_put_string(w, "what", scope_rule_text(rule, &q->what));
	json_put_string(w, "from", q->has_from ? called(&q->from.entry, NULL) : in ? NULL : m->name);
	json_put_string(w, "decider", in ? m->name : q->decider);
	if (in || said)
		json_put_bool(w, "allowed", in ? x->reason.allowed : far->verdict == ANSWER_ALLOWED);
	else
		json_put_null(w, "allowed");
	json_put_string(w, "why", x->reason.why);
	json_put_string(w, "far_why", said ? far->text : NULL);
	json_put_int(w, "live", x->live);
	json_put_int(w, "ended", x->ended);
	json_put_string(w, "flows", x->flows[0] == '\0' ? NULL : x->flows);
	put_path(w, in && q->has_from ? &q->from : &q->to);
	json_close(w);
}

static void answer(struct exchange *x, const struct meshlan *m, const struct question *q,
		   const struct filter_explanation *e, const struct asking *far)
{
	struct buf body = BUF_INIT(64u << 10);
	struct json_writer w = JSON_WRITER(&body);

	put(&w, m, q, e, far);
	door_answer(x, &body, NULL);
	buf_release(&body);
}

/* ---- the far end ---- */

static void asking_free(struct asking *k)
{
	struct asking **at = &k->m->door->askings;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	loop_timer_cancel(k->m->loop, &k->step);
	free(k);
}

static void finish(struct asking *k)
{
	struct exchange *x = exchange_find(k->exchange);

	if (x != NULL)
		answer(x, k->m, &k->q, &k->x, k);
	asking_free(k);
}

static void step(struct asking *k)
{
	int64_t now_ms = loop_now_ms(k->m->loop), next_ms = now_ms + LOOK_MS;
	struct lan *l = meshlan_find(k->m, slice_str(k->network));
	struct mesh_peer_info i;

	k->q.to.lan = l == NULL || l->engine == NULL ? NULL : l;
	if (k->q.to.lan == NULL || now_ms >= k->deadline_ms || !mesh_engine_find(l->engine, k->q.to.entry.node, &i) ||
	    i.evicted) {
		finish(k);
		return;
	}
	if (!i.live && !k->called && mesh_engine_call(l->engine, i.node, now_ms) == 0)
		lan_pump(l);
	k->called = true;
	if (i.live && !k->asked && mesh_engine_ask(l->engine, i.node, &k->ask) == 0) {
		k->asked = true;
		lan_pump(l);
	}
	if (k->asked || next_ms > k->deadline_ms)
		next_ms = k->deadline_ms;
	loop_timer_set(k->m->loop, &k->step, next_ms);
}

static void step_fire(struct timer *t)
{
	step(container_of(t, struct asking, step));
}

void explain_answered(struct lan *l, const struct mesh_act *a)
{
	struct asking *k = l->m->door == NULL ? NULL : l->m->door->askings;

	for (; k != NULL; k = k->next) {
		if (k->ask.token != a->ask.token || !k->asked || memcmp(k->q.to.entry.node, a->node, NODE_ID_LEN) != 0)
			continue;
		k->verdict = a->verdict;
		printable(k->text, sizeof(k->text), a->bytes);
		finish(k);
		return;
	}
}

static uint8_t protocol_of(enum scope_proto p)
{
	return p == SCOPE_TCP ? IPPROTO_TCP : p == SCOPE_UDP ? IPPROTO_UDP : IPPROTO_ICMP;
}

static int ask_far(struct meshlan *m, struct exchange *x, const struct question *q, const struct filter_explanation *e,
		   struct error *err)
{
	struct asking *k = m->door->askings;
	size_t n = 0;

	for (; k != NULL; k = k->next)
		n++;
	if (n >= ASKINGS_MAX)
		return error_set(err, ERR_RETRY, "%zu questions are under way already", n);
	k = xcalloc(1, sizeof(*k));
	k->m = m;
	k->next = m->door->askings;
	m->door->askings = k;
	k->exchange = exchange_token(x);
	memcpy(k->network, q->to.lan->net.hex, sizeof(k->network));
	k->q = *q;
	k->x = *e;
	k->ask = (struct mesh_ask){.protocol = protocol_of(q->what.proto), .port = q->what.port_first,
				   .ordinal = q->to.entry.ordinal, .slot = q->to.entry.slot};
	rng_bytes(&k->ask.token, sizeof(k->ask.token));
	k->deadline_ms = loop_now_ms(m->loop) + FAR_MS;
	k->step.fire = step_fire;
	step(k);
	return 0;
}

/* ---- beginning ---- */

int explain_begin(struct meshlan *m, struct exchange *x, struct json_value v, struct error *err)
{
	struct filter_explanation e = {.live = 0};
	struct question q = {.has_from = false};

	if (read_question(m, v, &q, err) < 0 || (q.to.self ? explain_in(&q, &e, err) : explain_out(&q, &e, err)) < 0)
		return -1;
	if (!q.to.self)
		return ask_far(m, x, &q, &e, err);
	answer(x, m, &q, &e, NULL);
	return 0;
}

void explain_stop_all(struct meshlan *m)
{
	while (m->door->askings != NULL)
		asking_free(m->door->askings);
}
