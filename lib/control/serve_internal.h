/* Between the files of serve: the process as a structure. */
#ifndef MESHANICS_CONTROL_SERVE_INTERNAL_H
#define MESHANICS_CONTROL_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/front.h"
#include "control/serve.h"
#include "fleet/ca.h"
#include "sys/notify.h"

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
	struct tls_config *tls[DOOR_COUNT];	/* replaced when the server certificate is renewed */
	pthread_mutex_t tls_mutex;		/* around the replacement and the loops' reading of it */
	int64_t identity_renew_s;
	int64_t sign_due_s;
	struct serve_loop loops[SERVE_LOOPS_MAX];
	unsigned loop_count;
	atomic_bool serving;		/* all loops are there, and stay until all have stopped */
	unsigned connections_max;	/* of each loop: as asked for, or as there are descriptors for */
	struct notify notify;
	int64_t started_s;
};

/* serve_tls.c: a fresh server certificate, and a configuration for each listener that takes part. */
WARN_UNUSED int serve_make_tls(struct serve *s, int64_t now_s, struct error *err);
/* serve_loop.c */
WARN_UNUSED int serve_loop_start(struct serve *s, struct serve_loop *l, struct error *err);
void serve_loop_retls(struct serve_loop *l);	/* take up s->tls; from the main thread */
void serve_loop_stop(struct serve_loop *l);	/* drain, at most a few seconds, and join; safe when never started */
void serve_loop_release(struct serve_loop *l);
/* serve_duty.c: what is due every second, on the main thread. */
void serve_duties(struct serve *s, int64_t now_s);
/* serve_metrics.c */
void serve_put_metrics(void *serve, struct buf *out);

#endif
