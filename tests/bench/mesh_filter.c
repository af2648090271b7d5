/*
 * How long the mesh's filter takes for one decision, in nanoseconds of the CPU: packets of 1, 10,000 and 40,000
 * open flows, both ways, with one thread and with two; packets that are denied; and a flood of SYNs that a rule
 * lets in. usage: mesh_filter
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../unit/inner_kit.h"
#include "mesh/filter.h"

#define ROUNDS 4000000u
#define NEVER INT64_MIN

static struct filter *filter;
static unsigned passed;

struct job {
	bool in;
	int ver;
	unsigned flows;
	double ns;
};

/* Of this thread alone: the machine may have other work. */
static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 10,000 flows a peer, so that no share is used up. */
static void packet(struct pkt *p, int ver, unsigned n, bool in, uint8_t flags)
{
	unsigned us = 1, they = 10 + n / 10000, port = 20000 + n % 10000;

	pkt_tcp(p, ver, in ? they : us, in ? port : 22, in ? us : they, in ? 22 : port, flags);
}

static void set_port(struct pkt *p, unsigned n, bool in)
{
	unsigned they = 10 + n / 10000;

	put_be16(p->b + p->l4 + (in ? 0 : 2), (uint16_t)(20000 + n % 10000));
	if (p->b[0] >> 4 == 4)
		put_be32(p->b + (in ? 12 : 16), 0xc6120000 + they);
	else
		put_be16(p->b + (in ? 14 : 30), (uint16_t)they);
}

static void *decide(void *arg)
{
	struct filter_decision d;
	struct job *j = arg;
	unsigned n = 0, ok = 0;
	double began = now_s();
	struct pkt p;

	packet(&p, j->ver, 0, j->in, PKT_ACK);
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* A stride that is prime, so that the caches have no pattern to learn. */
		n = (n + 7919) % j->flows;
		set_port(&p, n, j->in);
		(j->in ? filter_in : filter_out)(filter, 10 + n / 10000, p.b, p.len, 1000, &d);
		ok += d.verdict == FILTER_PASS;
	}
	j->ns = (now_s() - began) * 1e9 / ROUNDS;
	if (ok != ROUNDS)
		printf("# only %u of %u passed\n", ok, ROUNDS);
	return NULL;
}

static void begin(int ver, unsigned flows)
{
	struct scope_target node = {.name = "press", .v4 = 0xc6120001};
	struct scope_rule rule = {.proto = SCOPE_TCP, .port_first = 22, .port_last = 22};
	struct scope *s = scope_new();
	struct error err = ERROR_INIT;
	struct filter_decision d;
	struct pkt p;

	pkt_address(node.v6, 6, 1);
	if (scope_add_target(s, &node, NULL, &err) < 0 || scope_add_rule(s, &rule, &err) < 0)
		exit(1);
	filter = filter_new(NEVER);
	filter_set_scope(filter, s);
	for (uint32_t peer = 10; peer < 20; peer++)
		filter_set_peer(filter, peer, (const uint8_t[NODE_ID_LEN]){(uint8_t)peer});
	for (unsigned n = 0; n < flows; n++) {
		bool in = n % 5 != 0;	/* of both sides, as the room is shared */

		packet(&p, ver, n, in, PKT_SYN);
		(in ? filter_in : filter_out)(filter, 10 + n / 10000, p.b, p.len, 1000, &d);
		packet(&p, ver, n, !in, PKT_SYNACK);
		(in ? filter_out : filter_in)(filter, 10 + n / 10000, p.b, p.len, 1000, &d);
		packet(&p, ver, n, in, PKT_ACK);
		(in ? filter_in : filter_out)(filter, 10 + n / 10000, p.b, p.len, 1000, &d);
		passed += d.verdict == FILTER_PASS;
	}
}

static void two_threads(int ver, unsigned flows)
{
	struct job in = {.in = true, .ver = ver, .flows = flows}, out = {.ver = ver, .flows = flows};
	pthread_t a, b;

	if (pthread_create(&a, NULL, decide, &in) != 0 || pthread_create(&b, NULL, decide, &out) != 0)
		exit(1);
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	printf("IPv%d %6u flows  two threads  in %5.0f  out %5.0f\n", ver, flows, in.ns, out.ns);
}

static void open_flows(int ver, unsigned flows)
{
	struct job in = {.in = true, .ver = ver, .flows = flows}, out = {.ver = ver, .flows = flows};

	begin(ver, flows);
	decide(&in);
	decide(&out);
	printf("IPv%d %6u flows  one thread   in %5.0f  out %5.0f\n", ver, flows, in.ns, out.ns);
	two_threads(ver, flows);
	filter_free(filter);
}

static void unwanted(bool flood)
{
	struct filter_figures figures;
	struct filter_decision d;
	double began;
	struct pkt p;

	begin(4, 40000);
	began = now_s();
	for (unsigned i = 0; i < ROUNDS; i++) {
		pkt_tcp(&p, 4, 100 + i / 60000, i % 60000, 1, flood ? 22 : 23, PKT_SYN);
		filter_in(filter, 19, p.b, p.len, 1000, &d);
	}
	filter_figures(filter, &figures);
	printf("%-34s%5.0f\n", flood ? "a flood of SYNs, let in" : "denied, no rule", (now_s() - began) * 1e9 / ROUNDS);
	filter_free(filter);
}

int main(void)
{
	static const unsigned flows[] = {1, 10000, 40000};

	printf("nanoseconds of CPU per decision\n");
	for (int ver = 4; ver <= 6; ver += 2)
		for (size_t i = 0; i < ARRAY_SIZE(flows); i++)
			open_flows(ver, flows[i]);
	unwanted(false);
	unwanted(true);
	return passed > 0 ? 0 : 1;
}
