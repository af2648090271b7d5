/* What the proxy asks of the table of flows, and tells it. */
#include "mesh/plane_packet.h"
#include "mesh/redirect_internal.h"

void redirect_set_options(struct redirect *r, const struct redirect_options *o)
{
	pthread_mutex_lock(&r->options_lock);
	r->options = o != NULL ? *o : (struct redirect_options){0};
	pthread_mutex_unlock(&r->options_lock);
}

/* Would it begin like this now? */
static bool still_holds(const struct redirect *r, const struct rflow *f)
{
	struct ends seen = f->seen;
	int forward;

	if (!redirect_seen_by(r, &f->f, &seen) || !redirect_same(&seen.to, &f->seen.to) || seen.to_port != f->seen.to_port)
		return false;
	if (f->f.kind != REDIRECT_FORWARD)
		return redirect_same(&f->f.called, &r->own.node4) || redirect_same(&f->f.called, &r->own.node6);
	forward = redirect_forward(&r->own, &f->f.called);
	return forward >= 0 && r->own.forward_of[forward] == f->f.forward;
}

void redirect_set(struct redirect *r, const struct redirect_own *own)
{
	pthread_mutex_lock(&r->lock);
	r->own = *own;
	atomic_fetch_add(&r->generation, 1);
	for (uint32_t i = 0; i < r->made; i++)
		if (r->flows[i].used && !still_holds(r, &r->flows[i]))
			redirect_drop(r, &r->flows[i]);
	pthread_mutex_unlock(&r->lock);
}

bool redirect_holds(struct redirect *r, const struct plane_packet *p)
{
	struct redirect_address to = redirect_target(p);
	bool holds;

	pthread_mutex_lock(&r->lock);
	holds = redirect_same(&to, &r->own.node4) || redirect_same(&to, &r->own.node6) || redirect_forward(&r->own, &to) >= 0;
	pthread_mutex_unlock(&r->lock);
	return holds;
}

bool redirect_of_packet(struct redirect *r, const uint8_t *ip, size_t len, struct redirect_flow *out)
{
	struct plane_packet p;
	struct rflow *f;
	struct ends e;

	if (!plane_packet_parse(ip, len, &p) || redirect_is_later_fragment(&p) || !redirect_ends(&p, &e))
		return false;
	pthread_mutex_lock(&r->lock);
	f = redirect_find(r, &e, NO_TIME);
	if (f != NULL)
		*out = f->f;
	pthread_mutex_unlock(&r->lock);
	return f != NULL;
}

bool redirect_of_alias(struct redirect *r, uint8_t protocol, const struct redirect_address *alias, uint16_t port,
		       struct redirect_flow *out)
{
	struct redirect_flow asked = {.kind = REDIRECT_LOOPBACK, .protocol = protocol, .called = *alias};
	struct ends seen = {.from = *alias, .from_port = port, .protocol = protocol};
	struct rflow *f = NULL;

	pthread_mutex_lock(&r->lock);
	if (redirect_seen_by(r, &asked, &seen))
		f = redirect_find_seen(r, &seen, NO_TIME);
	if (f != NULL)
		*out = f->f;
	pthread_mutex_unlock(&r->lock);
	return f != NULL;
}

bool redirect_lives(struct redirect *r, uint64_t id)
{
	bool lives;

	pthread_mutex_lock(&r->lock);
	lives = redirect_by_id(r, id) != NULL;
	pthread_mutex_unlock(&r->lock);
	return lives;
}

bool redirect_ready(struct redirect *r, uint64_t id, uint8_t *ip, size_t len)
{
	struct plane_packet p;
	struct rflow *f;

	if (!plane_packet_parse(ip, len, &p))
		return false;
	p.bytes = ip;
	p.partial = true;
	pthread_mutex_lock(&r->lock);
	f = redirect_by_id(r, id);
	if (f != NULL) {
		f->ready = true;
		redirect_room_change(r, f, f->last_ms);
		redirect_write(&p, &f->seen);
	}
	pthread_mutex_unlock(&r->lock);
	if (f != NULL)
		plane_checksum_fill(&p, ip);
	return f != NULL;
}

void redirect_end(struct redirect *r, uint64_t id, bool gone)
{
	struct rflow *f;

	pthread_mutex_lock(&r->lock);
	f = redirect_by_id(r, id);
	if (f != NULL && gone) {
		redirect_drop(r, f);
	} else if (f != NULL) {
		f->closed = true;
		redirect_room_change(r, f, f->last_ms);
	}
	pthread_mutex_unlock(&r->lock);
}

void redirect_count(struct redirect *r, struct redirect_counts *out)
{
	pthread_mutex_lock(&r->lock);
	*out = r->counts;
	pthread_mutex_unlock(&r->lock);
}
