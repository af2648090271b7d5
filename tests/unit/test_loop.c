/* The event loop: timers, descriptors, posts from other threads. */
#include "tap.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/loop.h"

static struct loop *loop_or_die(void)
{
	struct error err = ERROR_INIT;
	struct loop *l = loop_new(&err);

	REQUIRE(l != NULL);
	return l;
}

static void turn(struct loop *l, int64_t wait)
{
	struct error err = ERROR_INIT;

	CHECK(loop_turn(l, wait, &err) == 0);
}

/* ---- timers ---- */

struct mark {
	struct timer t;
	int id;
};
static int order[300], fired;

static void mark_fire(struct timer *t)
{
	order[fired++] = container_of(t, struct mark, t)->id;
}

TEST(timers_fire_in_order)
{
	struct loop *l = loop_or_die();
	struct mark m[256] = {0};
	int64_t now = loop_now_ms(l);
	int i;

	for (i = 0; i < 256; i++) {
		m[i].t.fire = mark_fire;
		m[i].id = (i * 167) % 256;	/* a permutation */
		loop_timer_set(l, &m[i].t, now - 1000 + m[i].id);
	}
	for (i = 0; i < 256; i += 2)
		if (m[i].id % 3 == 0)
			loop_timer_cancel(l, &m[i].t);
		else
			loop_timer_set(l, &m[i].t, now - 1000 + m[i].id);
	turn(l, 0);
	CHECK(fired > 200);
	for (i = 1; i < fired; i++)
		CHECK(order[i - 1] < order[i]);
	for (i = 0; i < 256; i++)
		loop_timer_cancel(l, &m[i].t);
	loop_free(l);
}

struct repeat {
	struct timer t;
	struct loop *l;
	int n;
};

static void repeat_fire(struct timer *t)
{
	struct repeat *r = container_of(t, struct repeat, t);

	r->n++;
	loop_timer_set(r->l, t, loop_now_ms(r->l));
}

TEST(timer_that_rearms_itself_does_not_starve)
{
	struct loop *l = loop_or_die();
	struct repeat r = {.t.fire = repeat_fire, .l = l};

	loop_timer_set(l, &r.t, loop_now_ms(l));
	turn(l, 0);
	CHECK_INT(r.n, 1);
	turn(l, 0);
	CHECK_INT(r.n, 2);
	loop_timer_cancel(l, &r.t);
	loop_free(l);
}

TEST(timer_that_rearms_itself_fires_once_a_turn_however_many_wait)
{
	struct loop *l = loop_or_die();
	struct repeat r = {.t.fire = repeat_fire, .l = l};
	struct timer far[100] = {{.fire = NULL}};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(far); i++)
		loop_timer_set(l, &far[i], loop_now_ms(l) + 1000000);
	loop_timer_set(l, &r.t, loop_now_ms(l));
	turn(l, 0);
	CHECK_INT(r.n, 1);
	turn(l, 0);
	CHECK_INT(r.n, 2);
	for (i = 0; i < ARRAY_SIZE(far); i++)
		loop_timer_cancel(l, &far[i]);
	loop_timer_cancel(l, &r.t);
	loop_free(l);
}

/* ---- descriptors ---- */

struct end {
	struct watch w;
	struct end *victim;
	int calls;
	uint32_t last;
};

static void end_ready(struct watch *w, uint32_t revents)
{
	struct end *e = container_of(w, struct end, w);

	e->calls++;
	e->last = revents;
	if (e->victim != NULL)
		loop_unwatch(&e->victim->w);
}

TEST(removed_watch_is_not_called_in_the_same_turn)
{
	struct loop *l = loop_or_die();
	struct error err = ERROR_INIT;
	struct end a = {.w.ready = end_ready, .w.events = EPOLLOUT}, b = a;
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	a.w.fd = fds[0];
	b.w.fd = fds[1];
	a.victim = &b;
	b.victim = &a;
	CHECK(loop_watch(l, &a.w, &err) == 0 && loop_watch(l, &b.w, &err) == 0);
	turn(l, 100);
	CHECK_INT(a.calls + b.calls, 1);
	loop_unwatch(&a.w);
	loop_unwatch(&b.w);
	loop_unwatch(&b.w);
	loop_free(l);
	close(fds[0]);
	close(fds[1]);
}

TEST(watch_deadline_passes_once)
{
	struct loop *l = loop_or_die();
	struct error err = ERROR_INIT;
	struct end a = {.w.ready = end_ready, .w.events = EPOLLIN};
	int fds[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	a.w.fd = fds[0];
	REQUIRE(loop_watch(l, &a.w, &err) == 0);
	loop_watch_deadline(&a.w, loop_now_ms(l) + 20);
	turn(l, 10000);
	CHECK(a.calls == 1 && a.last == 0);
	turn(l, 0);
	CHECK_INT(a.calls, 1);
	loop_watch_deadline(&a.w, loop_now_ms(l) + 5);
	loop_watch_deadline(&a.w, LOOP_NEVER);
	CHECK(write(fds[1], "x", 1) == 1);
	turn(l, 1000);
	CHECK(a.calls == 2 && a.last == EPOLLIN);
	loop_watch_change(&a.w, 0);
	turn(l, 0);
	CHECK_INT(a.calls, 2);
	loop_unwatch(&a.w);
	loop_free(l);
	close(fds[0]);
	close(fds[1]);
}

/* ---- posts ---- */

struct parcel {
	struct post p;
	struct loop *l;
	int *sum, *turns;
	int value;
};

static void parcel_run(struct post *p)
{
	struct parcel *q = container_of(p, struct parcel, p);

	*q->sum += q->value;
	if (q->value == 0)
		loop_stop(q->l);
	free(q);
}

static void *poster(void *arg)
{
	struct parcel *model = arg;
	int i;

	for (i = 10000; i >= 0; i--) {
		struct parcel *q = malloc(sizeof(*q));

		*q = *model;
		q->value = i;
		loop_post(q->l, &q->p);
	}
	return NULL;
}

TEST(posts_arrive_from_another_thread)
{
	struct loop *l = loop_or_die();
	struct error err = ERROR_INIT;
	int sum = 0;
	struct parcel model = {.p.run = parcel_run, .l = l, .sum = &sum};
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, poster, &model) == 0);
	CHECK(loop_run(l, &err) == 0);
	CHECK_INT(sum, 50005000);
	pthread_join(t, NULL);
	CHECK(loop_stopping(l));
	loop_free(l);
}

TEST(free_runs_what_was_posted)
{
	struct loop *l = loop_or_die();
	int sum = 0;
	struct parcel model = {.p.run = parcel_run, .l = l, .sum = &sum};

	poster(&model);
	loop_free(l);
	CHECK_INT(sum, 50005000);
}
