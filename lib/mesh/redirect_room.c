/*
 * Which redirected flows give way when there is no room for another.
 *
 * Whoever has the network's key can be as many members as it likes, and have as many flows open as each of them may: so
 * being open is no reason to stay, and a share for each member alone keeps nobody else out of reach. What counts is who
 * has most.
 *
 *	1. what waits, of the member with most that waits, as long as those are more than WAITING_FEW
 *	2. else of the member with most flows, when those are more than the new one's member has: what waits, then
 *	   datagrams, then connections; of each the one that was quiet for longest
 *	3. else what waits of the new one's own
 *
 * Who has less than its part of the table (REDIRECT_FLOWS_MAX by the number of members in it) is let in, and loses
 * nothing. Each step costs the same however many flows and members there are: the lock is held while packets wait.
 */
#include <netinet/in.h>

#include "mesh/redirect_internal.h"

#define WAITING_FEW 8		/* of a member that does nothing but call some services: these are not for others */
#define ORDER_MS 1000		/* flows are in order by last_ms to this much: most packets change nothing */

static uint16_t number_of(uint32_t peer)
{
	return (uint16_t)((peer < PLANE_PEERS_MAX ? peer : PLANE_PEERS_MAX) + 1);
}

static struct rmember *member_of(struct redirect *r, uint32_t peer)
{
	return &r->members[number_of(peer)];
}

/* ---- who has most ---- */

static struct rstand *stand(struct redirect *r, const struct rranking *k, uint16_t number)
{
	return k == &r->by_flows ? &r->members[number].by_flows : &r->members[number].by_waiting;
}

/* Who came last to a number is its first: of equals, those that stay as they are lose nothing. */
static void rank(struct redirect *r, struct rranking *k, uint16_t number, uint16_t from, uint16_t to)
{
	struct rstand *s = stand(r, k, number);

	if (from > 0) {
		*(s->before != 0 ? &stand(r, k, s->before)->after : &k->first[from]) = s->after;
		if (s->after != 0)
			stand(r, k, s->after)->before = s->before;
	}
	*s = (struct rstand){.after = to > 0 ? k->first[to] : 0};
	if (s->after != 0)
		stand(r, k, s->after)->before = number;
	if (to > 0)
		k->first[to] = number;
	/* It goes up and down by one at a time, so that nobody is in between. */
	if (to > k->top || (from == k->top && k->first[from] == 0))
		k->top = to;
}

/* ---- the flows of a member ---- */

static enum rkind kind_of(const struct rflow *f)
{
	if (!redirect_is_open(f))
		return RKIND_WAITING;
	return f->f.protocol == IPPROTO_UDP ? RKIND_UDP : RKIND_TCP;
}

static void count(struct redirect *r, struct rmember *m, enum rkind kind, int by)
{
	uint16_t was = m->of[kind];

	m->of[kind] = (uint16_t)(was + by);
	if (kind == RKIND_WAITING)
		rank(r, &r->by_waiting, (uint16_t)(m - r->members), was, m->of[kind]);
}

static void list(struct redirect *r, struct rmember *m, struct rflow *f)
{
	uint32_t slot = (uint32_t)(f - r->flows) + 1;

	f->older = m->newest[f->kind];
	f->newer = 0;
	*(f->older != 0 ? &r->flows[f->older - 1].newer : &m->oldest[f->kind]) = slot;
	m->newest[f->kind] = slot;
}

static void unlist(struct redirect *r, struct rmember *m, struct rflow *f)
{
	*(f->older != 0 ? &r->flows[f->older - 1].newer : &m->oldest[f->kind]) = f->newer;
	*(f->newer != 0 ? &r->flows[f->newer - 1].older : &m->newest[f->kind]) = f->older;
}

void redirect_room_enter(struct redirect *r, struct rflow *f)
{
	struct rmember *m = member_of(r, f->f.peer);

	f->kind = (uint8_t)kind_of(f);
	list(r, m, f);
	count(r, m, f->kind, 1);
	rank(r, &r->by_flows, number_of(f->f.peer), m->flows, (uint16_t)(m->flows + 1));
	m->flows++;
}

void redirect_room_leave(struct redirect *r, struct rflow *f)
{
	struct rmember *m = member_of(r, f->f.peer);

	unlist(r, m, f);
	count(r, m, f->kind, -1);
	rank(r, &r->by_flows, number_of(f->f.peer), m->flows, (uint16_t)(m->flows - 1));
	m->flows--;
}

void redirect_room_change(struct redirect *r, struct rflow *f, int64_t last_ms)
{
	struct rmember *m = member_of(r, f->f.peer);
	enum rkind kind = kind_of(f);
	bool other = kind != f->kind, later = last_ms / ORDER_MS != f->last_ms / ORDER_MS;

	f->last_ms = last_ms;
	if (!other && !later)
		return;
	unlist(r, m, f);
	if (other) {
		count(r, m, f->kind, -1);
		count(r, m, kind, 1);
	}
	f->kind = (uint8_t)kind;
	list(r, m, f);
}

/* ---- room ---- */

static struct rflow *oldest(struct redirect *r, const struct rmember *m, enum rkind kind)
{
	return m->oldest[kind] == 0 ? NULL : &r->flows[m->oldest[kind] - 1];
}

static struct rflow *first_of(struct redirect *r, const struct rmember *m)
{
	struct rflow *f = NULL;

	for (unsigned kind = 0; f == NULL && kind < RKINDS; kind++)
		f = oldest(r, m, kind);
	return f;
}

bool redirect_room_make(struct redirect *r, uint32_t peer, struct rflow **out)
{
	struct rmember *m = member_of(r, peer), *most;

	*out = NULL;
	if (m->flows < REDIRECT_PEER_MAX) {
		if (r->free != 0 || r->made < REDIRECT_FLOWS_MAX)
			return true;
		most = &r->members[r->by_waiting.first[r->by_waiting.top]];
		if (most->of[RKIND_WAITING] > WAITING_FEW) {
			*out = oldest(r, m->of[RKIND_WAITING] == most->of[RKIND_WAITING] ? m : most, RKIND_WAITING);
			return true;
		}
		most = &r->members[r->by_flows.first[r->by_flows.top]];
		if (most->flows > m->flows) {
			*out = first_of(r, most);
			return true;
		}
	}
	*out = oldest(r, m, RKIND_WAITING);
	return *out != NULL;
}
