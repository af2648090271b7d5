/* A loop thread of serve: its listeners, its read-only connection, and its end. */
#include "control/serve_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/schema.h"
#include "sys/clock.h"
#include "sys/file.h"

#define DRAIN_MS 5000
#define DRAIN_LOOK_MS 20

static const enum api_class class_of[DOOR_COUNT] = {
	[DOOR_API] = API_OPERATOR,	[DOOR_REPOSITORY] = API_DEVICE, [DOOR_DEVICE] = API_DEVICE,
	[DOOR_ENROLL] = API_ENROLL,	[DOOR_SOCKET] = API_OPERATOR,
};

static int add_listeners(struct serve *s, struct serve_loop *l, struct error *err)
{
	struct stat st;
	int d;

	if (fstat(s->control->lock_fd, &st) < 0)
		return error_set(err, ERR_FAILED, "cannot look at control/lock");
	for (d = 0; d < DOOR_COUNT; d++) {
		l->doors[d] = (struct front_door){.front = &l->front, .class = class_of[d], .owner = st.st_uid};
		l->listeners[d] = server_add(l->server, s->listen_fds[d], s->tls[d],
					     d == DOOR_REPOSITORY ? &files_handler : &front_handler, &l->doors[d], err);
		if (l->listeners[d] == NULL)
			return -1;
	}
	return 0;
}

static void *loop_main(void *arg)
{
	struct serve_loop *l = arg;
	struct error err = ERROR_INIT;

	if (loop_run(l->loop, &err) < 0)
		log_failure(LOG_LEVEL_ERROR, "serve.loop", &err);
	return NULL;
}

static void retls_run(struct post *p)
{
	struct serve_loop *l = container_of(p, struct serve_loop, retls);
	int d;

	pthread_mutex_lock(&l->serve->tls_mutex);
	for (d = DOOR_API; d <= DOOR_ENROLL; d++)
		listener_set_tls(l->listeners[d], l->serve->tls[d]);
	pthread_mutex_unlock(&l->serve->tls_mutex);
}

void serve_loop_retls(struct serve_loop *l)
{
	l->retls.run = retls_run;
	loop_post(l->loop, &l->retls);
}

/* Looks now and then whether the last answer has gone out. */
static void drained_fire(struct timer *t)
{
	struct serve_loop *l = container_of(t, struct serve_loop, drained);

	if (server_drained(l->server) || loop_now_ms(l->loop) >= l->drain_until_ms)
		loop_stop(l->loop);
	else
		loop_timer_set(l->loop, t, loop_now_ms(l->loop) + DRAIN_LOOK_MS);
}

static void drain_run(struct post *p)
{
	struct serve_loop *l = container_of(p, struct serve_loop, drain);

	server_drain(l->server);
	l->drain_until_ms = loop_now_ms(l->loop) + DRAIN_MS;
	l->drained.fire = drained_fire;
	loop_timer_set(l->loop, &l->drained, loop_now_ms(l->loop));
}

int serve_loop_start(struct serve *s, struct serve_loop *l, struct error *err)
{
	struct server_limits limits = {.connections = s->connections_max};
	char path[4096];
	int e;

	l->serve = s;
	path_join(path, s->control->home, "control/" CONTROL_DB_NAME);
	l->front = (struct front){
		.control = s->control,
		.writer = s->writer,
		.pool = s->pool,
		.counters = &s->counters,
		.repo_fd = s->repo_fd,
		.db = db_open(path, DB_READ, &control_schema, err),
	};
	if (l->front.db == NULL || (l->loop = loop_new(err)) == NULL ||
	    (l->server = server_new(l->loop, &limits, clock_now_s, err)) == NULL || add_listeners(s, l, err) < 0)
		return -1;
	e = pthread_create(&l->thread, NULL, loop_main, l);
	if (e != 0)
		return error_errno(err, e, "cannot start a thread");
	l->running = true;
	return 0;
}

void serve_loop_stop(struct serve_loop *l)
{
	if (!l->running)
		return;
	l->drain.run = drain_run;
	loop_post(l->loop, &l->drain);
	pthread_join(l->thread, NULL);
	l->running = false;
}

void serve_loop_release(struct serve_loop *l)
{
	struct error ignored = ERROR_INIT;

	/* Answers that writer and pool gave after the loop had stopped still name the server: let them run first. */
	if (l->server != NULL) {
		(void)!loop_turn(l->loop, 0, &ignored);
		server_free(l->server);
	}
	if (l->loop != NULL)
		loop_free(l->loop);
	db_close(l->front.db);
	*l = (struct serve_loop){.running = false};
}
