/*
 * One epoll loop per thread of control. It owns the waiting and the monotonic clock; descriptors and
 * memory stay with whoever embeds the watch, the timer or the post.
 *
 *	other threads                                   the loop's thread
 *	-------------                                   -----------------
 *	loop_post(l, p) --> [ queue, mutex ] -- eventfd --> p->run(p), in order of arrival
 *	loop_stop(l)    --> [ atomic flag  ] -- eventfd --> loop_run returns after this turn
 *
 * Only loop_post and loop_stop may be called from another thread (loop_stop also from a signal handler).
 * Everything else belongs to the thread that runs the loop. Callbacks may add, change and remove any
 * watch or timer, their own included, and may free what embeds it after removing it.
 */
#ifndef MESHANICS_NET_LOOP_H
#define MESHANICS_NET_LOOP_H

#include <stdbool.h>

#include "base/error.h"

#define LOOP_NEVER INT64_MAX

struct loop;

/* Something that happens once at a time. Zero it before first use; loop_timer_set arms and re-arms. */
struct timer {
	void (*fire)(struct timer *t);	/* disarmed before it is called */
	int64_t at_ms;			/* on loop_now_ms; read only */
	uint64_t turn;			/* the loop's own: when it was set */
	size_t slot;			/* the loop's own: 1 + place in its heap, 0 when not armed */
};

/* A descriptor to wait for, embedded in the thing that owns the descriptor. Zero it before first use. */
struct watch {
	int fd;
	uint32_t events;	/* EPOLLIN, EPOLLOUT, ...: what is waited for; changed by loop_watch_change */
	/* revents: what epoll said (EPOLLERR and EPOLLHUP may always come), or 0: the deadline passed. */
	void (*ready)(struct watch *w, uint32_t revents);
	struct loop *loop;	/* the loop's own: NULL when not watched */
	struct timer deadline;	/* the loop's own; a deadline that passed is disarmed */
};

/* A closure that another thread hands over. Embedded in what it carries; the queue never copies it. */
struct post {
	void (*run)(struct post *p);	/* in the loop's thread; p may be freed or posted again inside */
	struct post *next;		/* the loop's own */
};

WARN_UNUSED struct loop *loop_new(struct error *err);
/* Runs the posts still queued, then frees. Nothing may be watched any more. NULL is fine. */
void loop_free(struct loop *l);

/* Turn until loop_stop. -1 when epoll itself fails. */
WARN_UNUSED int loop_run(struct loop *l, struct error *err);
/* One turn: wait at most max_wait_ms (0: not at all, LOOP_NEVER: as long as it takes), then dispatch. */
WARN_UNUSED int loop_turn(struct loop *l, int64_t max_wait_ms, struct error *err);
/* Ask loop_run to return. Any thread, any signal handler. Stays asked: a later loop_run returns at once. */
void loop_stop(struct loop *l);
bool loop_stopping(const struct loop *l);

/* CLOCK_BOOTTIME in milliseconds, read once per turn. */
int64_t loop_now_ms(const struct loop *l);

/* Start watching w->fd for w->events; fd, events and ready are set by the caller. No deadline at first. */
WARN_UNUSED int loop_watch(struct loop *l, struct watch *w, struct error *err);
/* Wait for other events (0: only errors and hang-up). Free of cost when nothing changes. */
void loop_watch_change(struct watch *w, uint32_t events);
/* Call ready(w, 0) at at_ms; LOOP_NEVER for none. Replaces the former deadline. */
void loop_watch_deadline(struct watch *w, int64_t at_ms);
/* Stop watching; before the descriptor is closed. Nothing on a zeroed or removed watch. No ready follows. */
void loop_unwatch(struct watch *w);

/* Arm (or move) a timer. A time that has passed fires in the next turn, never inside this call. */
void loop_timer_set(struct loop *l, struct timer *t, int64_t at_ms);
void loop_timer_cancel(struct loop *l, struct timer *t);	/* nothing when not armed */

/* Queue p for the loop's thread. Any thread; p must stay valid until it runs and be in no queue. */
void loop_post(struct loop *l, struct post *p);

#endif
