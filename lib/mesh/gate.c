/* Verdicts of the filter as the data plane takes them. */
#include "mesh/gate.h"

#include <string.h>

#include "mesh/plane_packet.h"

/* turned: it is about a packet that was redirected on its way out, and its sender knows it by other addresses. */
static void answer(struct gate *g, const struct plane_packet *p, enum reject_kind kind, bool turned, int64_t now_ms)
{
	uint8_t out[REJECT_MAX];
	size_t n = reject_make(out, p->ip, p->len, kind, 0);
	struct plane_packet own;

	/* The limit last: what has no answer uses none up. */
	if (n == 0 || !reject_allowed(&g->limit, p->ip, p->len, now_ms))
		return;
	if (turned && g->redirect != NULL && plane_packet_parse(out, n, &own)) {
		own.bytes = out;
		own.now_ms = now_ms;
		redirect_in(g->redirect, &own);
	}
	if (g->inject(g->plane, out, n))
		atomic_fetch_add_explicit(&g->answered, 1, memory_order_relaxed);
}

/* tx. */
static enum plane_verdict gate_out(void *arg, uint32_t peer, const struct plane_packet *p)
{
	struct filter_decision d;
	struct gate *g = arg;
	int64_t now_ms = g->now_ms();

	if (g->redirect != NULL && !redirect_may_leave(g->redirect, p))
		return PLANE_DROP;
	filter_out(g->filter, peer, p->ip, p->len, now_ms, &d);
	if (d.verdict == FILTER_REJECT)
		answer(g, p, REJECT_PROHIBITED, true, now_ms);
	return d.verdict == FILTER_PASS ? PLANE_PASS : PLANE_DROP;
}

static enum plane_verdict verdict_of(enum redirect_verdict v)
{
	return v == REDIRECT_PASS ? PLANE_PASS : v == REDIRECT_TAKE ? PLANE_TAKE : PLANE_DROP;
}

/* rx. */
static enum plane_verdict gate_in(void *arg, uint32_t peer, const struct plane_packet *p)
{
	struct filter_decision d;
	struct gate *g = arg;

	filter_in(g->filter, peer, p->ip, p->len, g->now_ms(), &d);
	if (d.verdict == FILTER_PASS && g->redirect != NULL)
		return verdict_of(redirect_admit(g->redirect, peer, p));
	return d.verdict == FILTER_PASS ? PLANE_PASS : d.verdict == FILTER_TAKE ? PLANE_TAKE : PLANE_DROP;
}

/* rx; and tx, of its answers. */
static void gate_rewrite_in(void *arg, uint32_t peer, struct plane_packet *p)
{
	struct gate *g = arg;

	(void)peer;
	if (g->redirect != NULL)
		redirect_in(g->redirect, p);
}

/* tx. */
static void gate_rewrite_out(void *arg, struct plane_packet *p)
{
	struct gate *g = arg;

	if (g->redirect != NULL)
		redirect_out(g->redirect, p);
}

static void inject(void *arg, const void *ip, size_t len)
{
	struct gate *g = arg;

	(void)g->inject(g->plane, ip, len);
}

/* tx. At once, so that nobody waits for what is not there. */
static enum plane_verdict gate_unowned(void *arg, bool own, const struct plane_packet *p)
{
	struct gate *g = arg;

	if (own && g->redirect != NULL) {
		enum redirect_verdict v = redirect_own(g->redirect, p, inject, g);

		/* What was let in again goes no further here. */
		if (v != REDIRECT_DROP)
			return v == REDIRECT_TAKE ? PLANE_TAKE : PLANE_DROP;
	}
	answer(g, p, REJECT_UNREACHABLE, false, g->now_ms());
	return PLANE_DROP;
}

void gate_init(struct gate *g, struct filter *f, int64_t (*now_ms)(void))
{
	memset(g, 0, sizeof(*g));
	g->filter = f;
	g->now_ms = now_ms;
	g->inject = plane_inject;
	g->scope = (struct plane_scope){.arg = g, .out = gate_out, .in = gate_in, .unowned = gate_unowned,
					.rewrite_in = gate_rewrite_in, .rewrite_out = gate_rewrite_out};
}
