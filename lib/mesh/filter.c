/* Packets held against flows and rules: the decision about each, the counts of them, and why. */
#include "mesh/filter.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/bytes.h"

struct peer {
	uint8_t id[NODE_ID_LEN];
	bool known;
	/* How many echo requests of the last second's FILTER_ECHO_PER_S are spent, as of echo_ms. */
	int64_t echo_ms;
	uint32_t echo_spent;
};

struct filter {
	struct flows *flows;
	/*
	 * Guards scope, peers and generation. Taken for what begins a flow, not for each packet: packets of a flow
	 * compare the generation alone. After a lock of the table of flows, never before one.
	 */
	pthread_mutex_t lock;
	struct scope *scope;
	struct peer *peers;
	_Atomic uint32_t generation;	/* one more for each scope */
	int64_t start_ms;
	/* Far from each other, and from what is read for each packet: the threads write to them all the time. */
	_Alignas(64) _Atomic uint64_t in[FILTER_REASONS];
	_Alignas(64) _Atomic uint64_t out[FILTER_REASONS];
};

struct filter *filter_new(int64_t start_ms)
{
	struct filter *f = xmalloc_aligned(_Alignof(struct filter), sizeof(*f));

	memset(f, 0, sizeof(*f));
	f->flows = flows_new();
	pthread_mutex_init(&f->lock, NULL);
	f->scope = scope_new();
	f->peers = xcalloc(FLOW_PEERS_MAX, sizeof(*f->peers));
	f->start_ms = start_ms;
	return f;
}

void filter_free(struct filter *f)
{
	if (f == NULL)
		return;
	flows_free(f->flows);
	pthread_mutex_destroy(&f->lock);
	scope_free(f->scope);
	free(f->peers);
	free(f);
}

void filter_set_scope(struct filter *f, struct scope *s)
{
	struct scope *former;

	pthread_mutex_lock(&f->lock);
	former = f->scope;
	f->scope = s;
	atomic_fetch_add(&f->generation, 1);
	pthread_mutex_unlock(&f->lock);
	scope_free(former);
}

void filter_set_peer(struct filter *f, uint32_t peer, const uint8_t *node_id)
{
	struct peer *p = &f->peers[peer];

	pthread_mutex_lock(&f->lock);
	*p = (struct peer){.known = node_id != NULL};
	if (node_id != NULL)
		memcpy(p->id, node_id, NODE_ID_LEN);
	pthread_mutex_unlock(&f->lock);
	flows_forget_peer(f->flows, peer);
}

void filter_sweep(struct filter *f, int64_t now_ms)
{
	flows_sweep(f->flows, now_ms);
}

/* ---- the rules, asked by the table ---- */

static bool scope_proto_of(uint8_t kind, enum scope_proto *out)
{
	switch (kind) {
	case FLOW_TCP: *out = SCOPE_TCP; return true;
	case FLOW_UDP: *out = SCOPE_UDP; return true;
	case FLOW_ECHO: *out = SCOPE_ECHO; return true;
	default: return false;
	}
}

static size_t address_len(const struct flow_key *k)
{
	return k->version == 4 ? 4 : 16;
}

/* Under the filter's lock. */
static int judge_locked(const struct filter *f, const struct flow_key *k)
{
	const struct peer *peer = &f->peers[k->peer];
	enum scope_proto proto;

	/* A fragment's key says nothing about its first one: it is good for its own generation. */
	if (!scope_proto_of(k->kind, &proto))
		return SCOPE_NO_RULE;
	return scope_judge(f->scope, peer->known ? peer->id : NULL, scope_target_find(f->scope, k->local, address_len(k)),
			   proto, proto == SCOPE_ECHO ? 0 : k->local_port);
}

static bool ask(void *arg, const struct flow_key *k, int *rule, uint32_t *generation)
{
	struct filter *f = arg;

	pthread_mutex_lock(&f->lock);
	*generation = atomic_load_explicit(&f->generation, memory_order_relaxed);
	*rule = judge_locked(f, k);
	pthread_mutex_unlock(&f->lock);
	return scope_allows(*rule);
}

/* ---- packets ---- */

static void set_packet(struct flow_packet *out, struct filter *f, uint32_t peer, const struct inner *p, bool in, int64_t now_ms)
{
	const uint8_t *local = in ? p->target : p->source, *remote = in ? p->source : p->target;

	*out = (struct flow_packet){.key = {.peer = peer, .version = p->version}, .now_ms = now_ms,
				    .generation = atomic_load_explicit(&f->generation, memory_order_acquire),
				    .judge = {.arg = f, .ask = ask}};
	memcpy(out->key.local, local, p->address_len);
	memcpy(out->key.remote, remote, p->address_len);
}

/* TCP, UDP and echo. false: of another kind. */
static bool set_ports(struct flow_packet *out, const struct inner *p, bool in)
{
	struct flow_key *k = &out->key;

	switch (p->kind) {
	case INNER_TCP:
	case INNER_UDP:
		k->kind = p->kind == INNER_TCP ? FLOW_TCP : FLOW_UDP;
		k->local_port = in ? p->target_port : p->source_port;
		k->remote_port = in ? p->source_port : p->target_port;
		out->tcp_flags = p->tcp_flags;
		return true;
	case INNER_ECHO_REQUEST:
	case INNER_ECHO_REPLY:
		k->kind = FLOW_ECHO;
		out->reply = p->kind == INNER_ECHO_REPLY;
		/* Whose request it is, or answers. */
		if (in == (p->kind == INNER_ECHO_REQUEST)) {
			k->remote_port = p->echo_id;
		} else {
			k->local_port = p->echo_id;
			k->protocol = 1;
		}
		return true;
	default:
		return false;
	}
}

static void set_fragment(struct flow_packet *p, const struct inner *i)
{
	p->key.kind = FLOW_FRAGMENT;
	p->key.protocol = i->protocol;
	p->key.remote_port = (uint16_t)(i->fragment_id >> 16);
	p->key.local_port = (uint16_t)i->fragment_id;
	p->tcp_flags = 0;
	p->reply = false;
}

static void decide(struct filter_decision *out, enum filter_verdict v, enum filter_reason r)
{
	out->verdict = v;
	out->reason = r;
}

static enum filter_reason reason_of(enum flow_verdict v)
{
	switch (v) {
	case FLOW_PASS: return FILTER_BY_FLOW;
	case FLOW_DENIED: return FILTER_NO_RULE;
	case FLOW_ENDED: return FILTER_ENDED;
	case FLOW_STRAY: return FILTER_STRAY;
	default: return FILTER_FULL;
	}
}

/* An error about what we sent: it quotes a packet that went out. */
static void in_error(struct filter *f, uint32_t peer, const struct inner *error, const uint8_t *ip, int64_t now_ms,
		     struct filter_decision *out)
{
	struct flow_packet about;
	struct inner quoted;

	out->fault = inner_parse_quoted(&quoted, error, ip);
	if (out->fault != INNER_OK) {
		decide(out, FILTER_DROP, FILTER_MALFORMED);
		return;
	}
	set_packet(&about, f, peer, &quoted, false, now_ms);
	if (!set_ports(&about, &quoted, false) || flow_known(f->flows, &about) != FLOW_PASS)
		decide(out, FILTER_DROP, FILTER_NO_FLOW);
	else
		decide(out, FILTER_PASS, FILTER_BY_FLOW);
}

static void in_later(struct filter *f, const struct inner *p, struct flow_packet *packet, struct filter_decision *out)
{
	set_fragment(packet, p);
	if (flow_fragment_later(f->flows, packet) == FLOW_PASS)
		decide(out, FILTER_PASS, FILTER_BY_FLOW);
	else
		decide(out, FILTER_DROP, FILTER_NO_FLOW);
}

static bool echo_spend(struct filter *f, uint32_t peer, int64_t now_ms)
{
	struct peer *p = &f->peers[peer];
	bool ok = false;
	int64_t passed;

	pthread_mutex_lock(&f->lock);
	passed = now_ms - p->echo_ms;
	if (passed > 0) {
		int64_t earned = passed >= 1000 ? FILTER_ECHO_PER_S : passed * FILTER_ECHO_PER_S / 1000;

		p->echo_spent -= earned < p->echo_spent ? (uint32_t)earned : p->echo_spent;
		p->echo_ms = now_ms;
	}
	if (p->echo_spent < FILTER_ECHO_PER_S) {
		p->echo_spent++;
		ok = true;
	}
	pthread_mutex_unlock(&f->lock);
	return ok;
}

static bool takes_echo(struct filter *f, const struct flow_key *k)
{
	bool takes = false;
	int target;

	pthread_mutex_lock(&f->lock);
	target = scope_target_find(f->scope, k->local, address_len(k));
	if (target >= 0)
		takes = scope_target_at(f->scope, (size_t)target)->take_echo;
	pthread_mutex_unlock(&f->lock);
	return takes;
}

/* For a place in our blocks that neither the node nor a forward has. */
static bool is_nobodys(struct filter *f, const struct flow_key *k)
{
	bool r;

	pthread_mutex_lock(&f->lock);
	r = scope_targets(f->scope) > 0 && scope_target_find(f->scope, k->local, address_len(k)) < 0;
	pthread_mutex_unlock(&f->lock);
	return r;
}

static void in_flow(struct filter *f, const struct inner *p, struct flow_packet *packet, struct filter_decision *out)
{
	bool request = p->kind == INNER_ECHO_REQUEST, takes;
	enum flow_verdict v = flow_in(f->flows, packet, &out->rule);

	if (v == FLOW_DENIED && !packet->reply && !p->fragmented && is_nobodys(f, &packet->key)) {
		/* No rule lets it in, and its sender hears at once that it need not wait. */
		decide(out, echo_spend(f, packet->key.peer, packet->now_ms) ? FILTER_TAKE : FILTER_DROP, FILTER_NO_RULE);
		return;
	}
	if (v != FLOW_PASS) {
		decide(out, FILTER_DROP, v == FLOW_DENIED && packet->reply ? FILTER_NO_FLOW : reason_of(v));
		return;
	}
	if (request && !echo_spend(f, packet->key.peer, packet->now_ms)) {
		decide(out, FILTER_DROP, FILTER_RATE);
		return;
	}
	takes = request && takes_echo(f, &packet->key);
	decide(out, takes ? FILTER_TAKE : FILTER_PASS, out->rule == SCOPE_NO_RULE ? FILTER_BY_FLOW : FILTER_BY_RULE);
	if (!p->fragmented)
		return;
	/* Control does not put packets together. */
	if (takes) {
		decide(out, FILTER_DROP, FILTER_PROTOCOL);
		return;
	}
	set_fragment(packet, p);
	/* Without room for it the others would be lost, and this one were for nothing. */
	if (flow_fragment_first(f->flows, packet) != FLOW_PASS)
		decide(out, FILTER_DROP, FILTER_FULL);
}

static void count(_Atomic uint64_t *counters, enum filter_reason r)
{
	atomic_fetch_add_explicit(&counters[r], 1, memory_order_relaxed);
}

static bool parse(struct inner *p, const uint8_t *ip, size_t len, struct filter_decision *out)
{
	*out = (struct filter_decision){.verdict = FILTER_DROP, .rule = SCOPE_NO_RULE};
	out->fault = inner_parse(p, ip, len);
	if (out->fault != INNER_OK)
		decide(out, FILTER_DROP, FILTER_MALFORMED);
	return out->fault == INNER_OK;
}

void filter_in(struct filter *f, uint32_t peer, const uint8_t *ip, size_t len, int64_t now_ms, struct filter_decision *out)
{
	struct flow_packet packet;
	struct inner p;

	if (parse(&p, ip, len, out)) {
		set_packet(&packet, f, peer, &p, true, now_ms);
		if (p.kind == INNER_ERROR)
			in_error(f, peer, &p, ip, now_ms, out);
		else if (p.kind == INNER_LATER_FRAGMENT)
			in_later(f, &p, &packet, out);
		else if (set_ports(&packet, &p, true))
			in_flow(f, &p, &packet, out);
		else
			decide(out, FILTER_DROP, FILTER_PROTOCOL);
	}
	count(f->in, out->reason);
}

/* Shortly after the start, from a port that clients have to one that services have. */
static bool resumes(const struct filter *f, const struct flow_key *k, int64_t now_ms)
{
	return f->start_ms != INT64_MIN && now_ms - f->start_ms < FILTER_RESUME_MS &&
	       k->local_port >= FILTER_RESUME_PORT_MIN && k->local_port <= FILTER_RESUME_PORT_MAX &&
	       k->remote_port < FILTER_RESUME_PORT_MIN;
}

void filter_out(struct filter *f, uint32_t peer, const uint8_t *ip, size_t len, int64_t now_ms, struct filter_decision *out)
{
	struct flow_packet packet;
	enum flow_verdict v;
	struct inner p;

	if (parse(&p, ip, len, out)) {
		set_packet(&packet, f, peer, &p, false, now_ms);
		if (set_ports(&packet, &p, false)) {
			packet.resume = resumes(f, &packet.key, now_ms);
			v = flow_out(f->flows, &packet, &out->rule);
			decide(out, v == FLOW_PASS ? FILTER_PASS : FILTER_REJECT, reason_of(v));
		} else {
			decide(out, FILTER_PASS, FILTER_UNJUDGED);
		}
	}
	count(f->out, out->reason);
}

/* ---- what people ask ---- */

void filter_figures(struct filter *f, struct filter_figures *out)
{
	for (size_t i = 0; i < FILTER_REASONS; i++) {
		out->in[i] = atomic_load_explicit(&f->in[i], memory_order_relaxed);
		out->out[i] = atomic_load_explicit(&f->out[i], memory_order_relaxed);
	}
	out->generation = atomic_load(&f->generation);
	flows_count(f->flows, &out->flows);
}

const char *filter_reason_text(enum filter_reason r)
{
	static const char *const texts[FILTER_REASONS] = {
		[FILTER_BY_FLOW] = "it belongs to a flow that was allowed",
		[FILTER_BY_RULE] = "a rule allows it",
		[FILTER_UNJUDGED] = "what goes out is free",
		[FILTER_NO_RULE] = "no rule allows it",
		[FILTER_NO_FLOW] = "it answers nothing that is known",
		[FILTER_ENDED] = "the rules have changed and no longer allow it",
		[FILTER_STRAY] = "it belongs to no connection that is known",
		[FILTER_FULL] = "there is no room for one more flow",
		[FILTER_RATE] = "there are too many echo requests",
		[FILTER_PROTOCOL] = "no rule can allow this protocol",
		[FILTER_MALFORMED] = "it is malformed",
	};

	return (size_t)r < FILTER_REASONS ? texts[r] : "unknown";
}

struct shown {
	uint32_t peer;
	void (*show)(void *arg, const struct flow_info *i);
	void *arg;
};

static void show_one(void *arg, const struct flow_info *i)
{
	const struct shown *s = arg;

	if (i->key.kind != FLOW_FRAGMENT && (s->peer == FLOW_PEERS_MAX || s->peer == i->key.peer))
		s->show(s->arg, i);
}

void filter_flows(struct filter *f, uint32_t peer, int64_t now_ms, void (*show)(void *arg, const struct flow_info *i), void *arg)
{
	struct shown s = {.peer = peer, .show = show, .arg = arg};

	flows_each(f->flows, now_ms, atomic_load(&f->generation), show_one, &s);
}

struct search {
	struct filter *filter;
	struct scope_target target;
	enum scope_proto proto;
	uint16_t port;
	unsigned live, ended;
};

/* What a flow is now, or will be with its next packet. Under a lock of the table: the filter's may follow it. */
static void look_at(void *arg, const struct flow_info *i)
{
	struct search *s = arg;
	enum scope_proto proto;
	uint32_t generation;
	bool allowed = i->allowed;
	uint8_t v4[4];
	int rule;

	put_be32(v4, s->target.v4);
	if (!i->let_in || !scope_proto_of(i->key.kind, &proto) || proto != s->proto ||
	    (proto != SCOPE_ECHO && i->key.local_port != s->port))
		return;
	if (memcmp(i->key.local, i->key.version == 4 ? v4 : s->target.v6, address_len(&i->key)) != 0)
		return;
	if (i->stale)
		allowed = ask(s->filter, &i->key, &rule, &generation);
	if (allowed)
		s->live++;
	else
		s->ended++;
}

static void tell_flows(struct filter_explanation *out)
{
	if (out->live == 0 && out->ended == 0)
		return;
	if (out->ended == 0)
		snprintf(out->flows, sizeof(out->flows), "%u live flow%s of it pass%s", out->live, out->live == 1 ? "" : "s",
			 out->live == 1 ? "es" : "");
	else if (out->live == 0)
		snprintf(out->flows, sizeof(out->flows), "%u flow%s of it began while it was allowed, and %s cut off", out->ended,
			 out->ended == 1 ? "" : "s", out->ended == 1 ? "is" : "are");
	else
		snprintf(out->flows, sizeof(out->flows), "%u live, %u cut off by a change of rules", out->live, out->ended);
}

void filter_explain(struct filter *f, const uint8_t *caller, const char *caller_name, uint32_t peer, int target,
		    enum scope_proto proto, uint16_t port, int64_t now_ms, struct filter_explanation *out)
{
	struct search s = {.filter = f, .proto = proto, .port = port};
	bool found;

	*out = (struct filter_explanation){0};
	pthread_mutex_lock(&f->lock);
	scope_explain(f->scope, caller, caller_name, target, proto, port, &out->reason);
	found = target >= 0 && (size_t)target < scope_targets(f->scope);
	if (found)
		s.target = *scope_target_at(f->scope, (size_t)target);
	pthread_mutex_unlock(&f->lock);
	if (!found || peer >= FLOW_PEERS_MAX)
		return;
	filter_flows(f, peer, now_ms, look_at, &s);
	out->live = s.live;
	out->ended = s.ended;
	tell_flows(out);
}

struct search_out {
	const uint8_t *address;
	size_t len;
	enum scope_proto proto;
	uint16_t port;
	unsigned live;
};

static void look_at_out(void *arg, const struct flow_info *i)
{
	struct search_out *s = arg;
	enum scope_proto proto;

	if (i->let_in || !scope_proto_of(i->key.kind, &proto) || proto != s->proto ||
	    (proto != SCOPE_ECHO && i->key.remote_port != s->port))
		return;
	if (address_len(&i->key) == s->len && memcmp(i->key.remote, s->address, s->len) == 0)
		s->live++;
}

void filter_explain_out(struct filter *f, const char *peer_name, uint32_t peer, const uint8_t *address, size_t len,
			enum scope_proto proto, uint16_t port, int64_t now_ms, struct filter_explanation *out)
{
	struct search_out s = {.address = address, .len = len, .proto = proto, .port = port};
	char name[SCOPE_NAME_LEN];

	*out = (struct filter_explanation){.reason = {.allowed = true, .rule = SCOPE_NO_RULE}};
	printable(name, sizeof(name), slice_str(peer_name));
	snprintf(out->reason.why, sizeof(out->reason.why), "free to go out: nothing here restricts it, the rules of %s decide", name);
	if (peer >= FLOW_PEERS_MAX)
		return;
	filter_flows(f, peer, now_ms, look_at_out, &s);
	out->live = s.live;
	if (s.live > 0)
		snprintf(out->flows, sizeof(out->flows), "%u flow%s of it began here, and what comes back on %s is let in",
			 s.live, s.live == 1 ? "" : "s", s.live == 1 ? "it" : "them");
}

int filter_target_named(struct filter *f, const char *name)
{
	int target;

	pthread_mutex_lock(&f->lock);
	if (name[0] == '\0')
		target = scope_targets(f->scope) > 0 ? 0 : SCOPE_NO_TARGET;
	else
		target = scope_target_named(f->scope, name);
	pthread_mutex_unlock(&f->lock);
	return target;
}
