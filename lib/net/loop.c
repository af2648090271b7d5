/*
 * The epoll loop. Deadlines live in a binary heap whose entries know their place, so that setting and
 * moving one is O(log n) and nothing is allocated per event.
 */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "sys/clock.h"

#define LOOP_BATCH 64

struct loop {
	int epoll_fd;
	int wake_fd; /* eventfd: something was posted, or stop was asked */
	int64_t now_ms;
	uint64_t turn; /* counted, so that a timer is fired once in each */
	struct timer **heap; /* heap[0] is the earliest */
	size_t heap_len, heap_cap;
	/* The events of this turn; a watch that goes away in the middle of it is struck out. */
	struct epoll_event batch[LOOP_BATCH];
	int batch_len, batch_next;
	size_t watch_count;
	atomic_bool stop;
	pthread_mutex_t post_lock; /* guards the two below */
	struct post *post_first, **post_last;
};

/* ---- timers ---- */

static void heap_put(struct loop *l, size_t i, struct timer *t)
{
	l->heap[i] = t;
	t->slot = i + 1;
}

/* Let t find its place upwards from i, then downwards. */
static void heap_settle(struct loop *l, size_t i, struct timer *t)
{
	size_t child;

	while (i > 0 && t->at_ms < l->heap[(i - 1) / 2]->at_ms) {
		heap_put(l, i, l->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		child = 2 * i + 1;
		if (child >= l->heap_len)
			break;
		if (child + 1 < l->heap_len && l->heap[child + 1]->at_ms < l->heap[child]->at_ms)
			child++;
		if (t->at_ms <= l->heap[child]->at_ms)
			break;
		heap_put(l, i, l->heap[child]);
		i = child;
	}
	heap_put(l, i, t);
}

void loop_timer_cancel(struct loop *l, struct timer *t)
{
	size_t i = t->slot - 1;
	struct timer *last;

	if (t->slot == 0)
		return;
	t->slot = 0;
	last = l->heap[--l->heap_len];
	if (last != t)
		heap_settle(l, i, last);
}

void loop_timer_set(struct loop *l, struct timer *t, int64_t at_ms)
{
	size_t i = t->slot - 1;

	t->at_ms = at_ms;
	t->turn = l->turn;
	if (t->slot == 0) {
		if (l->heap_len == l->heap_cap) {
			l->heap_cap = l->heap_cap == 0 ? 16 : 2 * l->heap_cap;
			l->heap = xreallocarray(l->heap, l->heap_cap, sizeof(struct timer *));
		}
		i = l->heap_len++;
	}
	heap_settle(l, i, t);
}

/*
 * Fire what is due at the time this turn began. A timer set by a callback of a timer for now or earlier waits for
 * the next turn, so that one that re-arms itself cannot starve the descriptors; others that are due with it then
 * wait, too, for no longer than that turn.
 */
static void timers_fire(struct loop *l)
{
	l->turn++;
	while (l->heap_len > 0 && l->heap[0]->at_ms <= l->now_ms && l->heap[0]->turn != l->turn) {
		struct timer *t = l->heap[0];

		loop_timer_cancel(l, t);
		t->fire(t);
	}
}

/* ---- descriptors ---- */

static void watch_expired(struct timer *t)
{
	struct watch *w = container_of(t, struct watch, deadline);

	w->ready(w, 0);
}

static int watch_control(struct watch *w, int op)
{
	struct epoll_event ev = {.events = w->events, .data.ptr = w};

	return epoll_ctl(w->loop->epoll_fd, op, w->fd, &ev);
}

int loop_watch(struct loop *l, struct watch *w, struct error *err)
{
	assert(w->loop == NULL && w->ready != NULL);
	w->loop = l;
	w->deadline = (struct timer){.fire = watch_expired};
	if (watch_control(w, EPOLL_CTL_ADD) < 0) {
		w->loop = NULL;
		return error_errno(err, errno, "cannot watch descriptor %d", w->fd);
	}
	l->watch_count++;
	return 0;
}

void loop_watch_change(struct watch *w, uint32_t events)
{
	int r;

	if (w->loop == NULL || w->events == events)
		return;
	w->events = events;
	r = watch_control(w, EPOLL_CTL_MOD);
	assert(r == 0); /* the descriptor is watched, and a change needs no memory */
	(void)r;
}

void loop_watch_deadline(struct watch *w, int64_t at_ms)
{
	if (w->loop == NULL)
		return;
	if (at_ms == LOOP_NEVER)
		loop_timer_cancel(w->loop, &w->deadline);
	else if (w->deadline.slot == 0 || w->deadline.at_ms != at_ms)
		loop_timer_set(w->loop, &w->deadline, at_ms);
}

void loop_unwatch(struct watch *w)
{
	struct loop *l = w->loop;
	int i;

	if (l == NULL)
		return;
	loop_timer_cancel(l, &w->deadline);
	watch_control(w, EPOLL_CTL_DEL);
	for (i = l->batch_next; i < l->batch_len; i++)
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
	w->loop = NULL;
	l->watch_count--;
}

/* ---- posts ---- */

static void wake(const struct loop *l)
{
	uint64_t one = 1;
	ssize_t n = write(l->wake_fd, &one, sizeof(one));

	(void)n; /* full means that a wake-up is already under way */
}

void loop_post(struct loop *l, struct post *p)
{
	bool first;

	p->next = NULL;
	pthread_mutex_lock(&l->post_lock);
	first = l->post_first == NULL;
	*l->post_last = p;
	l->post_last = &p->next;
	pthread_mutex_unlock(&l->post_lock);
	if (first)
		wake(l);
}

/* Run what is queued now; what these runs post waits for the next turn. */
static bool posts_run(struct loop *l)
{
	struct post *p, *next;
	bool any;

	pthread_mutex_lock(&l->post_lock);
	p = l->post_first;
	l->post_first = NULL;
	l->post_last = &l->post_first;
	pthread_mutex_unlock(&l->post_lock);
	any = p != NULL;
	for (; p != NULL; p = next) {
		next = p->next;
		p->run(p);
	}
	return any;
}

static void wake_drain(const struct loop *l)
{
	uint64_t count;
	ssize_t n = read(l->wake_fd, &count, sizeof(count));

	(void)n;
}

/* ---- the loop ---- */

struct loop *loop_new(struct error *err)
{
	struct loop *l = xcalloc(1, sizeof(*l));
	struct epoll_event ev = {.events = EPOLLIN}; /* data.ptr NULL: the loop's own wake-up */

	pthread_mutex_init(&l->post_lock, NULL);
	l->post_last = &l->post_first;
	l->now_ms = clock_mono_ms();
	l->wake_fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd >= 0)
		l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) < 0) {
		error_errno(err, errno, "cannot start an event loop");
		loop_free(l);
		return NULL;
	}
	return l;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	while (posts_run(l))
		;
	assert(l->watch_count == 0 && l->heap_len == 0);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	pthread_mutex_destroy(&l->post_lock);
	free(l->heap);
	free(l);
}

/* Milliseconds to wait for epoll: until max_wait_ms or the first timer, whichever is sooner. */
static int wait_ms(const struct loop *l, int64_t max_wait_ms)
{
	int64_t wait = max_wait_ms;

	if (l->heap_len > 0) {
		int64_t left = l->heap[0]->at_ms - l->now_ms;

		if (left < 0)
			left = 0;
		if (left < wait)
			wait = left;
	}
	return wait == LOOP_NEVER ? -1 : wait > INT_MAX ? INT_MAX : (int)wait;
}

int loop_turn(struct loop *l, int64_t max_wait_ms, struct error *err)
{
	bool woken = false;
	int n;

	l->now_ms = clock_mono_ms();
	n = epoll_wait(l->epoll_fd, l->batch, LOOP_BATCH, wait_ms(l, max_wait_ms));
	if (n < 0 && errno != EINTR)
		return error_errno(err, errno, "cannot wait for events");
	l->now_ms = clock_mono_ms();
	l->batch_len = n < 0 ? 0 : n;
	for (l->batch_next = 0; l->batch_next < l->batch_len;) {
		struct epoll_event ev = l->batch[l->batch_next++];
		struct watch *w = ev.data.ptr;

		if (w != NULL)
			w->ready(w, ev.events);
		else
			woken = true; /* ours, or of a watch that is gone: then there is nothing to read */
	}
	l->batch_len = 0;
	if (woken) {
		wake_drain(l);
		posts_run(l);
	}
	timers_fire(l);
	return 0;
}

int loop_run(struct loop *l, struct error *err)
{
	while (!loop_stopping(l))
		if (loop_turn(l, LOOP_NEVER, err) < 0)
			return -1;
	return 0;
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	wake(l);
}

bool loop_stopping(const struct loop *l)
{
	return atomic_load(&l->stop);
}

int64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}
