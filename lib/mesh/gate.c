/* Verdicts of the filter as the data plane takes them. */
#include "mesh/gate.h"

#include <string.h>

static void answer(struct gate *g, const struct plane_packet *p, enum reject_kind kind, int64_t now_ms)
{
	uint8_t out[REJECT_MAX];
	size_t n = reject_make(out, p->ip, p->len, kind, 0);

	/* The limit last: what has no answer uses none up. */
	if (n == 0 || !reject_allowed(&g->limit, p->ip, p->len, now_ms))
		return;
	if (g->inject(g->plane, out, n))
		atomic_fetch_add_explicit(&g->answered, 1, memory_order_relaxed);
}

/* tx. */
static enum plane_verdict gate_out(void *arg, uint32_t peer, const struct plane_packet *p)
{
	struct filter_decision d;
	struct gate *g = arg;
	int64_t now_ms = g->now_ms();

	filter_out(g->filter, peer, p->ip, p->len, now_ms, &d);
	if (d.verdict == FILTER_REJECT)
		answer(g, p, REJECT_PROHIBITED, now_ms);
	return d.verdict == FILTER_PASS ? PLANE_PASS : PLANE_DROP;
}

/* rx. */
static enum plane_verdict gate_in(void *arg, uint32_t peer, const struct plane_packet *p)
{
	struct filter_decision d;
	struct gate *g = arg;

	filter_in(g->filter, peer, p->ip, p->len, g->now_ms(), &d);
	return d.verdict == FILTER_PASS ? PLANE_PASS : d.verdict == FILTER_TAKE ? PLANE_TAKE : PLANE_DROP;
}

/* tx. At once, so that nobody waits for what is not there. */
static enum plane_verdict gate_unowned(void *arg, bool own, const struct plane_packet *p)
{
	struct gate *g = arg;

	(void)own;
	answer(g, p, REJECT_UNREACHABLE, g->now_ms());
	return PLANE_DROP;
}

void gate_init(struct gate *g, struct filter *f, int64_t (*now_ms)(void))
{
	memset(g, 0, sizeof(*g));
	g->filter = f;
	g->now_ms = now_ms;
	g->inject = plane_inject;
	g->scope = (struct plane_scope){.arg = g, .out = gate_out, .in = gate_in, .unowned = gate_unowned};
}
