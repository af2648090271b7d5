/*
 * The filter, by sequences: packets in and out, time, new rules, peers that change. Whatever the sequence: nothing
 * comes in but what a rule in force allows, or what answers something that went out to the same member and port,
 * or an error about such a thing, or a later fragment of a packet that passed.
 */
#include <stdlib.h>

#include "../unit/inner_kit.h"
#include "mesh/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS 3
#define MEMORY 1024

/* What passed, in the words of its packet: enough to find what it entitles to. */
struct passed {
	bool in;
	uint32_t peer;
	unsigned scope;		/* how many scopes there had been */
	enum inner_kind kind;
	uint8_t version, protocol;
	bool begins;		/* out: something that may be answered */
	uint8_t local[16], remote[16];
	uint16_t local_port, remote_port, echo_id;
	bool fragmented;
	uint32_t fragment_id;
};

struct run {
	struct filter *filter;
	struct slice left;
	int64_t now_ms;
	unsigned scopes;
	uint8_t tcp, udp;	/* ports 0 to 7 that rules are about; 0 never is */
	bool echo;
	bool known[PEERS];
	struct passed memory[MEMORY];
	size_t n;
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static uint8_t take(struct run *r)
{
	if (r->left.len == 0)
		return 0;
	r->left.len--;
	return *r->left.ptr++;
}

static void new_scope(struct run *r)
{
	struct scope *s = scope_new();
	struct scope_target node = {.name = "press", .v4 = 0xc6120001};
	struct error err = ERROR_INIT;

	pkt_address(node.v6, 6, 1);
	must(scope_add_target(s, &node, NULL, &err) == 0);
	r->tcp = take(r) & 0xfe;
	r->udp = take(r) & 0xfe;
	r->echo = take(r) & 1;
	scope_set_echo(s, r->echo);
	for (uint16_t port = 1; port < 8; port++) {
		struct scope_rule rule = {.port_first = port, .port_last = port, .target = port & 1 ? 0 : SCOPE_ANY_TARGET};

		rule.proto = SCOPE_TCP;
		must(!(r->tcp >> port & 1) || scope_add_rule(s, &rule, &err) == 0);
		rule.proto = SCOPE_UDP;
		must(!(r->udp >> port & 1) || scope_add_rule(s, &rule, &err) == 0);
	}
	filter_set_scope(r->filter, s);
	r->scopes++;
}

static void new_peer(struct run *r)
{
	uint8_t what = take(r), id[NODE_ID_LEN] = {what};
	uint32_t peer = what % PEERS;

	r->known[peer] = what & 0x80;
	filter_set_peer(r->filter, peer, r->known[peer] ? id : NULL);
	for (size_t i = 0; i < r->n; i++)
		if (r->memory[i].peer == peer)
			r->memory[i].peer = PEERS;
}

/* ---- what may come in ---- */

static struct passed words_of(const struct run *r, const struct inner *p, uint32_t peer, bool in)
{
	struct passed w = {.in = in, .peer = peer, .scope = r->scopes, .kind = p->kind, .version = p->version, .protocol = p->protocol,
			   .local_port = in ? p->target_port : p->source_port, .remote_port = in ? p->source_port : p->target_port,
			   .echo_id = p->echo_id, .fragmented = p->fragmented, .fragment_id = p->fragment_id};

	memcpy(w.local, in ? p->target : p->source, p->address_len);
	memcpy(w.remote, in ? p->source : p->target, p->address_len);
	w.begins = p->kind == INNER_UDP || p->kind == INNER_ECHO_REQUEST ||
		   (p->kind == INNER_TCP && (p->tcp_flags & (INNER_SYN | INNER_ACK)) == INNER_SYN);
	return w;
}

static bool same_ends(const struct passed *a, const struct passed *b)
{
	return a->peer == b->peer && a->version == b->version && memcmp(a->local, b->local, 16) == 0 &&
	       memcmp(a->remote, b->remote, 16) == 0;
}

static bool rule_allows(const struct run *r, const struct passed *w)
{
	uint8_t ours[16] = {0};

	pkt_address(ours, w->version, 1);
	if (!r->known[w->peer] || memcmp(ours, w->local, 16) != 0)
		return false;
	switch (w->kind) {
	case INNER_TCP: return w->local_port < 8 && r->tcp >> w->local_port & 1;
	case INNER_UDP: return w->local_port < 8 && r->udp >> w->local_port & 1;
	case INNER_ECHO_REQUEST: return r->echo;
	default: return false;
	}
}

/* TCP, UDP, echo replies: whether something went out that this answers. */
static bool answers(const struct run *r, const struct passed *w)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct passed *m = &r->memory[i];

		if (m->in || !m->begins || !same_ends(m, w))
			continue;
		if (w->kind == INNER_ECHO_REPLY ? m->kind == INNER_ECHO_REQUEST && m->echo_id == w->echo_id :
		    m->kind == w->kind && m->local_port == w->local_port && m->remote_port == w->remote_port)
			return true;
	}
	return false;
}

static bool is_about(const struct run *r, const struct passed *quoted)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct passed *m = &r->memory[i];

		if (!same_ends(m, quoted))
			continue;
		if (quoted->kind == INNER_TCP || quoted->kind == INNER_UDP) {
			if (m->kind == quoted->kind && m->local_port == quoted->local_port && m->remote_port == quoted->remote_port)
				return true;
		} else if (m->echo_id == quoted->echo_id && m->kind == INNER_ECHO_REQUEST) {
			return true;
		}
	}
	return false;
}

static bool follows_a_first(const struct run *r, const struct passed *w)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct passed *m = &r->memory[i];

		if (m->in && m->fragmented && m->kind != INNER_LATER_FRAGMENT && m->scope == r->scopes && same_ends(m, w) &&
		    m->protocol == w->protocol && m->fragment_id == w->fragment_id)
			return true;
	}
	return false;
}

static void check_in(struct run *r, const struct inner *p, uint32_t peer, const uint8_t *ip)
{
	struct passed w = words_of(r, p, peer, true), about;
	struct inner quoted;

	switch (p->kind) {
	case INNER_ERROR:
		must(inner_parse_quoted(&quoted, p, ip) == INNER_OK);
		about = words_of(r, &quoted, peer, false);
		must(is_about(r, &about));
		break;
	case INNER_LATER_FRAGMENT:
		must(follows_a_first(r, &w));
		break;
	default:
		must(p->kind != INNER_OTHER);
		must(rule_allows(r, &w) || answers(r, &w));
		break;
	}
}

/* ---- packets ---- */

static void packet(struct run *r, const uint8_t *ip, size_t len, uint32_t peer, bool in)
{
	struct filter_decision d;
	struct inner p;

	(in ? filter_in : filter_out)(r->filter, peer, ip, len, r->now_ms, &d);
	must(filter_reason_text(d.reason)[0] != '\0');
	if (inner_parse(&p, ip, len) != INNER_OK) {
		must(d.verdict == FILTER_DROP && d.reason == FILTER_MALFORMED);
		return;
	}
	must(in ? d.verdict != FILTER_REJECT : d.verdict != FILTER_TAKE);
	if (d.verdict != FILTER_PASS)
		return;
	if (in)
		check_in(r, &p, peer, ip);
	if (r->n < MEMORY)
		r->memory[r->n++] = words_of(r, &p, peer, in);
	else
		r->left.len = 0;
}

static void made(struct run *r, bool in)
{
	uint8_t what = take(r), who = take(r), ports = take(r), flags = take(r);
	unsigned us = 1 + (who >> 7), they = 8 + who % PEERS, a = ports % 9, b = ports / 16;
	int ver = what & 0x80 ? 6 : 4;
	unsigned from = in ? they : us, to = in ? us : they;
	struct pkt p, about;

	switch (what % 8) {
	case 0: case 1: case 2: pkt_tcp(&p, ver, from, in ? b : a, to, in ? a : b, flags); break;
	case 3: pkt_udp(&p, ver, from, in ? b : a, to, in ? a : b); break;
	case 4: pkt_echo(&p, ver, from, to, flags & 1, ports); break;
	case 5:
		pkt_tcp(&about, ver, to, in ? a : b, from, in ? b : a, flags);
		pkt_error(&p, ver, from, to, &about, about.len);
		break;
	case 6:
		pkt_udp(&about, ver, to, in ? a : b, from, in ? b : a);
		pkt_error(&p, ver, from, to, &about, about.len);
		break;
	default:
		pkt_echo(&about, ver, to, from, flags & 1, ports);
		pkt_error(&p, ver, from, to, &about, about.len);
		break;
	}
	if (what & 0x40)
		pkt_fragment(&p, flags & 3, flags & 4 ? 64 : 0, true);
	packet(r, p.b, p.len, who / 16 % 8 == 0 ? take(r) % PEERS : who % PEERS, in);
}

static void raw(struct run *r, bool in)
{
	size_t len = take(r);
	uint32_t peer = take(r) % PEERS;
	uint8_t *exact;

	len = len < r->left.len ? len : r->left.len;
	exact = malloc(len + 1);
	must(exact != NULL);
	memcpy(exact, r->left.ptr, len);
	r->left.ptr += len;
	r->left.len -= len;
	packet(r, exact, len, peer, in);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* One table for all runs, emptied before each: to make it takes longer than most of them. */
	static struct run r;

	if (r.filter == NULL)
		r.filter = filter_new(INT64_MIN);
	filter_set_scope(r.filter, scope_new());
	for (uint32_t peer = 0; peer < PEERS; peer++)
		filter_set_peer(r.filter, peer, NULL);
	r.left = (struct slice){data, size};
	r.now_ms = 1000000;
	r.n = 0;
	r.scopes = r.tcp = r.udp = 0;
	r.echo = false;
	memset(r.known, 0, sizeof(r.known));
	while (r.left.len > 0) {
		switch (take(&r) % 8) {
		case 0: case 1: made(&r, true); break;
		case 2: case 3: made(&r, false); break;
		case 4: r.now_ms += (int64_t)take(&r) * take(&r) * 100; break;
		case 5: new_scope(&r); break;
		case 6: raw(&r, take(&r) & 1); break;
		default: new_peer(&r); break;
		}
	}
	return 0;
}
