/* Between the files of serve: the process as a structure. */
#ifndef MESHANICS_CONTROL_SERVE_INTERNAL_H
#define MESHANICS_CONTROL_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/front.h"
#include "control/serve.h"
#include "fleet/ca.h"
#include "sys/notify.h"
#include "sys/space.h"

enum serve_door { DOOR_API, DOOR_REPOSITORY, DOOR_DEVICE, DOOR_ENROLL, DOOR_SOCKET, DOOR_COUNT };

/* One loop thread and all that belongs to it alone. */
struct serve_loop {
	struct serve *serve;
	pthread_t thread;
	bool running;
	struct loop *loop;
	struct server *server;
	struct front front;
	struct front_door doors[DOOR_COUNT];
	struct listener *listeners[DOOR_COUNT];
	struct post retls, drain;	/* posted by the main thread */
	struct timer drained;
	int64_t drain_until_ms;
};

struct serve {
	const struct serve_options *options;
	struct control *control;
	struct writer *writer;
	struct pool *pool;
	struct front_counters counters;
	int listen_fds[DOOR_COUNT];
	int repo_fd;
	int control_fd;				/* HOME/control */
	struct spare spare;			/* the main thread's */
	struct tls_config *tls[DOOR_COUNT];	/* replaced when the server certificate is renewed */
	pthread_mutex_t tls_mutex;		/* around the replacement and the loops' reading of it */
	/* Dates are compared with the wall clock each time; when to look at all is counted by the clock that never steps. */
	int64_t identity_made_s, identity_renew_s;
	int64_t identity_look_ms, sign_look_ms;
	atomic_bool sign_trouble;	/* the last look could not sign: for metrics */
	struct serve_loop loops[SERVE_LOOPS_MAX];
	unsigned loop_count;
	atomic_bool serving;		/* all loops are there, and stay until all have stopped */
	unsigned connections_max;	/* of each loop: as asked for, or as there are descriptors for */
	struct notify notify;
	int64_t started_ms;	/* monotonic */
	int64_t clock_ahead_s;	/* of the monotonic clock, when last looked at */
};

/* serve_tls.c: a fresh server certificate, and a configuration for each listener that takes part. */
WARN_UNUSED int serve_make_tls(struct serve *s, int64_t now_s, struct error *err);
/* serve_loop.c */
WARN_UNUSED int serve_loop_start(struct serve *s, struct serve_loop *l, struct error *err);
void serve_loop_retls(struct serve_loop *l);	/* take up s->tls; from the main thread */
void serve_loop_stop(struct serve_loop *l);	/* drain, at most a few seconds, and join; safe when never started */
void serve_loop_release(struct serve_loop *l);
/* serve_duty.c: what is due every second, on the main thread. now_ms: of clock_mono_ms. */
void serve_duties(struct serve *s, int64_t now_s, int64_t now_ms);
/*
 * serve_disk.c: HOME/control/reserve is room for the database and the next signatures when the disk is full. look finds
 * what there is of it; open fills it, as the owner of control/ that we are by then.
 */
WARN_UNUSED int serve_disk_look(struct serve *s, struct error *err);
void serve_disk_open(struct serve *s);
bool serve_disk_again(struct serve *s, const struct error *why);	/* as spare_again */
void serve_disk_duty(struct serve *s);	/* every second: a piece back when nothing is free, all of it when much is */
/* serve_metrics.c */
void serve_put_metrics(void *serve, struct buf *out);

#endif
