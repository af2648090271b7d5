/*
 * Redirected flows, by sequences: packets in and out, of members and of this host, made and raw, time, listeners that come
 * and go, forwards that change, a proxy that answers or does not. Whatever the sequence: no packet changes its length,
 * version or protocol, a checksum that was right stays right, and what was changed on its way in is changed back on its
 * way out.
 */
#include <stdlib.h>

#include "../unit/inner_kit.h"
#include "mesh/plane_packet.h"
#include "mesh/redirect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NODE 1u
#define FORWARDS 3
#define PROXY 50000u
#define EXACT_MAX 2048

struct run {
	struct redirect *redirect;
	struct slice left;
	int64_t now_ms;
	uint8_t listening;	/* what answers the next question */
	bool taken;
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

static bool ask_taken(void *arg, uint8_t protocol, const struct redirect_address *local, uint16_t local_port,
		      const struct redirect_address *remote, uint16_t remote_port)
{
	(void)protocol;
	(void)local;
	(void)local_port;
	(void)remote;
	(void)remote_port;
	return ((struct run *)arg)->taken;
}

static size_t ask_listening(void *arg, uint8_t protocol, uint16_t port, struct redirect_listener *out, size_t max)
{
	static const struct redirect_address places[] = {
		{4, {127, 0, 0, 1}}, {6, {[15] = 1}}, {4, {192, 168, 1, 7}}, {6, {0xfd, 9, [15] = 7}}, {4, {0}}, {6, {0}},
		{6, {[10] = 0xff, 0xff, 127, 0, 0, 1}}, {6, {0xfe, 0x80, [15] = 1}},
	};
	const struct run *r = arg;
	size_t n = 0;

	(void)protocol;
	(void)port;
	for (size_t i = 0; i < 8 && n < max; i++)
		if (r->listening >> i & 1)
			out[n++] = (struct redirect_listener){.address = places[i], .both = i == 5, .local = r->listening & 1};
	return n;
}

static bool ask_ports(void *arg, uint8_t protocol, uint8_t bits[static REDIRECT_PORTS_BYTES])
{
	const struct run *r = arg;

	(void)protocol;
	memset(bits, r->listening, REDIRECT_PORTS_BYTES);
	return !r->taken;
}

static struct redirect_address host(int ver, unsigned n)
{
	struct redirect_address a = {.version = (uint8_t)ver};

	pkt_address(a.bytes, ver, n);
	return a;
}

static void settings(struct run *r)
{
	uint8_t what = take(r);
	struct redirect_own own = {.tcp4 = PROXY, .tcp6 = PROXY, .udp4 = PROXY + 1, .udp6 = what & 8 ? 0 : PROXY + 1};

	if (what & 1)
		own.node4 = host(4, NODE);
	if (what & 2)
		own.node6 = host(6, NODE);
	for (unsigned i = 0; i < (what >> 4) % (FORWARDS + 1); i++) {
		own.forwards[own.forwards_n] = host(what & 4 ? 6 : 4, NODE + 1 + i);
		own.forward_of[own.forwards_n++] = (uint16_t)(i + (what & 1));
	}
	redirect_set(r->redirect, &own);
}

static bool sum_good(const struct plane_packet *p)
{
	if (p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6)
		return !p->fragment && p->len >= p->l4 + 8u &&
		       plane_sum_fold(plane_sum(p->ip + p->l4, p->len - p->l4, p->version == 4 ? 0 : plane_sum_pseudo(p, p->len - p->l4))) == 0xffff;
	return plane_checksum_good(p);
}

static void same_shape(const struct plane_packet *before, const uint8_t *ip, size_t len, bool good, bool header_good)
{
	struct plane_packet now;

	must(plane_packet_parse(ip, len, &now));
	must(now.len == before->len && now.version == before->version && now.protocol == before->protocol && now.l4 == before->l4);
	must(!good || sum_good(&now));
	must(!header_good || now.version == 6 || plane_sum_fold(plane_sum(ip, (size_t)(ip[0] & 15) * 4, 0)) == 0xffff);
}

static void injected(void *arg, const void *ip, size_t len)
{
	struct plane_packet p;

	(void)arg;
	must(plane_packet_parse(ip, len, &p) && p.len == len);
	must(plane_checksum_at(&p) == 0 || plane_checksum_good(&p));
}

/* The first packet of a flow, as the proxy gets it. */
static void proxy(struct run *r, const uint8_t *ip, size_t len)
{
	uint8_t copy[EXACT_MAX], what = take(r);
	struct redirect_flow f, other;
	struct plane_packet p;

	if (len > sizeof(copy) || !redirect_of_packet(r->redirect, ip, len, &f))
		return;
	must(redirect_of_alias(r->redirect, f.protocol, &f.alias, f.alias_port, &other) && other.id == f.id);
	memcpy(copy, ip, len);
	if (what & 1) {
		must(redirect_ready(r->redirect, f.id, copy, len));
		must(plane_packet_parse(copy, len, &p) && (plane_checksum_at(&p) == 0 || plane_checksum_good(&p)));
	}
	if (what & 2)
		redirect_end(r->redirect, f.id, (what & 4) != 0);
}

/* In, and when it was changed, its answer out: back to where it came from. */
static void in(struct run *r, struct plane_packet *p, uint32_t peer)
{
	bool good = !p->partial && sum_good(p), header_good = p->version == 6 || plane_sum_fold(plane_sum(p->ip, (size_t)(p->ip[0] & 15) * 4, 0)) == 0xffff;
	struct plane_packet before = *p;
	enum redirect_verdict v = redirect_admit(r->redirect, peer, p);

	if (v == REDIRECT_TAKE)
		proxy(r, p->ip, p->len);
	if (v != REDIRECT_PASS)
		return;
	redirect_in(r->redirect, p);
	same_shape(&before, p->ip, p->len, good, header_good);
}

static void out(struct run *r, struct plane_packet *p)
{
	bool good = !p->partial && sum_good(p), header_good = p->version == 6 || plane_sum_fold(plane_sum(p->ip, (size_t)(p->ip[0] & 15) * 4, 0)) == 0xffff;
	struct plane_packet before = *p;

	redirect_out(r->redirect, p);
	(void)redirect_may_leave(r->redirect, p);
	same_shape(&before, p->ip, p->len, good, header_good);
}

static void packet(struct run *r, uint8_t *ip, size_t len)
{
	uint8_t way = take(r);
	struct plane_packet p;

	if (!plane_packet_parse(ip, len, &p))
		return;
	p.bytes = ip;
	p.now_ms = r->now_ms;
	p.partial = (way & 0x10) != 0 && plane_checksum_at(&p) != 0;
	switch (way % 4) {
	case 0: case 1: in(r, &p, way >> 5); break;
	case 2: out(r, &p); break;
	default:
		p.bytes = NULL;
		p.segment = way & 0x20 ? 7 : 0;
		(void)redirect_own(r->redirect, &p, injected, NULL);
		break;
	}
}

static void made(struct run *r)
{
	uint8_t what = take(r), who = take(r), ports = take(r), flags = take(r);
	unsigned from = 1 + who % 12, to = 1 + who / 16 % 6, a = ports % 9, b = flags & 0x80 ? PROXY + ports / 128 : ports / 32u;
	int ver = what & 0x80 ? 6 : 4;
	struct pkt p, about;
	struct plane_packet k;

	switch (what % 6) {
	case 0: case 1: pkt_tcp(&p, ver, from, a, to, b, flags & 0x3f); break;
	case 2: pkt_udp(&p, ver, from, a, to, b); break;
	case 3: pkt_echo(&p, ver, from, to, flags & 1, ports); break;
	case 4:
		pkt_tcp(&about, ver, to, b, from, a, flags & 0x3f);
		pkt_error(&p, ver, from, to, &about, flags & 0x40 ? about.len : about.l4 + 8);
		break;
	default:
		pkt_udp(&about, ver, to, b, from, a);
		pkt_error(&p, ver, from, to, &about, about.l4 + 8);
		break;
	}
	if (what & 0x40)
		pkt_fragment(&p, flags & 3, flags & 4 ? 64 : 0, true);
	if (ver == 4) {
		uint16_t sum = (uint16_t)~plane_sum_fold(plane_sum(p.b, 20, 0));

		memcpy(p.b + 10, &sum, 2);
	}
	if (plane_packet_parse(p.b, p.len, &k))
		plane_checksum_fill(&k, p.b);
	packet(r, p.b, p.len);
}

static void raw(struct run *r)
{
	size_t len = take(r);
	uint8_t *exact;

	len = len < r->left.len ? len : r->left.len;
	exact = malloc(len + 1);
	must(exact != NULL);
	memcpy(exact, r->left.ptr, len);
	r->left.ptr += len;
	r->left.len -= len;
	packet(r, exact, len);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = {.redirect = redirect_new(), .left = {data, size}, .now_ms = 1000000};
	struct redirect_options o = {&r, ask_taken, ask_listening, ask_ports};
	struct redirect_counts c;

	redirect_set_options(r.redirect, &o);
	while (r.left.len > 0) {
		switch (take(&r) % 8) {
		case 0: case 1: case 2: case 3: made(&r); break;
		case 4: raw(&r); break;
		case 5: settings(&r); break;
		case 6: r.now_ms += (int64_t)take(&r) * take(&r) * 100; break;
		default:
			r.listening = take(&r);
			r.taken = take(&r) % 4 == 0;
			break;
		}
	}
	redirect_count(r.redirect, &c);
	must(c.flows <= REDIRECT_FLOWS_MAX && c.flows <= c.opened);
	redirect_free(r.redirect);
	return 0;
}
