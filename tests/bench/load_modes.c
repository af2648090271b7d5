/* Kept-alive requests, handshakes, and idle connections. */
#include <stdio.h>

#include "tests/bench/load.h"

#define SETTLE_NS 500000000	/* of warming up */

static int64_t seconds_from_now(int64_t s)
{
	return now_ns() + s * 1000000000;
}

/* ---- kept-alive ---- */

/*
 * Closed loop: each link asks again as soon as it is answered. Open loop (rate > 0): request k is due at
 * begin + k / rate whether or not a link is free, and its latency counts from then on.
 */
struct keepalive {
	bool asking;
	int64_t begin_ns;
	uint64_t asked;
	struct timer tick;
	struct load *load;
};

static void keepalive_next(struct link *l)
{
	struct keepalive *k = l->load->user;
	int64_t due_ns, rate = l->load->o->rate;

	if (!k->asking)
		return;
	if (rate == 0) {
		link_ask(l, buf_slice(&l->load->request), now_ns());
		return;
	}
	due_ns = k->begin_ns + (int64_t)(k->asked * 1000000000 / (uint64_t)rate);
	if (due_ns > now_ns())
		return;
	k->asked++;
	link_ask(l, buf_slice(&l->load->request), due_ns);
}

static void keepalive_answered(struct link *l, int status, struct slice body)
{
	(void)status;
	(void)body;
	keepalive_next(l);
}

static void keepalive_down(struct link *l, const struct error *why)
{
	(void)l;
	load_die("a connection was lost", why);
}

/* What has become due since goes out on links that are free, the one that rested longest first. */
static void keepalive_tick(struct timer *t)
{
	struct keepalive *k = container_of(t, struct keepalive, tick);
	struct link *l, *next;
	size_t n = k->load->links;

	for (l = k->load->oldest; l != NULL && n-- > 0; l = next) {
		next = l->next;
		if (l->state == LINK_IDLE) {
			keepalive_next(l);
			if (l->state == LINK_IDLE)
				break;
		}
	}
	loop_timer_set(k->load->loop, t, loop_now_ms(k->load->loop) + 1);
}

static void open_all(struct load *load, size_t count);

void mode_keepalive(struct load *load)
{
	static const struct mode mode = {.up = keepalive_next, .answered = keepalive_answered, .down = keepalive_down};
	struct keepalive k = {.tick = {.fire = keepalive_tick}, .load = load};
	struct link *l;

	open_all(load, (size_t)load->o->connections);
	load->user = &k;
	load->mode = &mode;
	k.asking = true;
	k.begin_ns = now_ns();
	if (load->o->rate > 0)
		loop_timer_set(load->loop, &k.tick, 0);
	else
		for (l = load->oldest; l != NULL && l->state == LINK_IDLE; l = load->oldest)
			keepalive_next(l);
	load_run_until(load, now_ns() + SETTLE_NS, NULL);
	load_count_from_now(load);
	load_run_until(load, seconds_from_now(load->o->seconds), NULL);
	load_tell(load, load->o->rate > 0 ? "open" : "keepalive", "");
	k.asking = false;
	loop_timer_cancel(load->loop, &k.tick);
	load_close_all(load);
}

/* ---- opening many, each with one request ---- */

struct opening {
	size_t next, want, answered, under_way, parallel;
	bool all;
	struct load *load;
};

static void opening_more(struct opening *o)
{
	while (o->next < o->want && o->under_way < o->parallel) {
		o->under_way++;
		(void)link_open(o->load, &o->load->ids.list[o->next++], true);
	}
}

static void ask_once(struct link *l)
{
	link_ask(l, buf_slice(&l->load->request), now_ns());
}

static void opening_answered(struct link *l, int status, struct slice body)
{
	struct opening *o = l->load->user;

	(void)status;
	(void)body;
	o->under_way--;
	o->all = ++o->answered == o->want;
	opening_more(o);
}

/* `count` connections, each of which has been answered once. */
static void open_all(struct load *load, size_t count)
{
	static const struct mode mode = {.up = ask_once, .answered = opening_answered, .down = keepalive_down};
	struct opening o = {.want = count, .parallel = (size_t)load->o->parallel, .load = load};

	load->user = &o;
	load->mode = &mode;
	opening_more(&o);
	load_run_until(load, seconds_from_now(load->o->timeout), &o.all);
	if (!o.all)
		load_die("not all connections came up", NULL);
}

/* ---- handshakes ---- */

struct handshakes {
	bool asking, resume;
	size_t next;
};

static void handshakes_answered(struct link *l, int status, struct slice body)
{
	struct load *load = l->load;
	struct handshakes *h = load->user;

	(void)status;
	(void)body;
	link_close(l);
	if (h->asking)
		(void)link_open(load, &load->ids.list[h->next++ % load->ids.count], h->resume);
}

/* Each connection: handshake, one heartbeat, close; as many at a time as asked for. */
void mode_handshakes(struct load *load, bool resume)
{
	static const struct mode mode = {.up = ask_once, .answered = handshakes_answered, .down = keepalive_down};
	struct handshakes h = {.asking = true, .resume = resume};
	int64_t i;

	if (load->o->connections >= (int64_t)load->ids.count)
		load_die("handshakes want more devices than connections", NULL);
	open_all(load, load->ids.count);	/* so that all have a session */
	load_close_all(load);
	load->user = &h;
	load->mode = &mode;
	for (i = 0; i < load->o->connections; i++)
		(void)link_open(load, &load->ids.list[h.next++], resume);
	load_run_until(load, now_ns() + SETTLE_NS, NULL);
	load_count_from_now(load);
	load_run_until(load, seconds_from_now(load->o->seconds), NULL);
	load_tell(load, resume ? "resume" : "full", "");
	h.asking = false;
	load_close_all(load);
}

/* ---- idle connections ---- */

void mode_idle(struct load *load)
{
	long before = pss_kib((int)load->o->pid), after;
	char extra[128];

	load_count_from_now(load);
	open_all(load, (size_t)load->o->connections);
	load_run_until(load, seconds_from_now(load->o->seconds), NULL);
	after = pss_kib((int)load->o->pid);
	snprintf(extra, sizeof(extra), ",\"pss_before_kib\":%ld,\"kib_per_link\":%.2f", before,
		 (double)(after - before) / (double)load->links);
	load_tell(load, "idle", extra);
	load_close_all(load);
}
