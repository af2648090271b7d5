/* The control plane as a process: start, wait, stop. */
#include "control/serve_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "control/pool.h"
#include "net/daemon.h"
#include "store/lastseen.h"
#include "store/versions.h"
#include "sys/clock.h"
#include "sys/descriptors.h"
#include "sys/file.h"
#include "tuf/repo.h"

#define DUTY_MS 1000
#define LOOPS_DEFAULT_MAX 4
/* Of each loop unless told otherwise, and the least that is worth a start. */
#define CONNECTIONS_DEFAULT 4096
#define CONNECTIONS_LEAST 16
/* Descriptors that are no connections: database, listeners, loops, logs, signing. */
#define DESCRIPTORS_OWN 128

/* ---- start ---- */

static int check_ready(const struct control *c, struct error *err)
{
	if (c->ca == NULL) {
		error_set(err, ERR_FAILED, "'%s' has no certificate authorities", c->home);
		return error_hint(err, "run 'meshanics ca init' first");
	}
	if (c->repo == NULL) {
		error_set(err, ERR_FAILED, "'%s' has no repository", c->home);
		return error_hint(err, "run 'meshanics repo init' first");
	}
	return repo_adopted(c->repo, err);
}

static int open_listeners(struct serve *s, struct error *err)
{
	const struct serve_options *o = s->options;
	struct control_settings *settings = &s->control->settings;
	char sock[4096 + 32];

	snprintf(sock, sizeof(sock), "unix:%s/control/control.sock", s->control->home);
	if ((s->listen_fds[DOOR_API] = listen_open(o->api_listen, err)) < 0 ||
	    (s->listen_fds[DOOR_REPOSITORY] = listen_open(o->repository_listen, err)) < 0 ||
	    (s->listen_fds[DOOR_DEVICE] = listen_open(o->device_listen, err)) < 0 ||
	    (s->listen_fds[DOOR_ENROLL] = listen_open(o->enroll_listen, err)) < 0 ||
	    (s->listen_fds[DOOR_SOCKET] = listen_open(sock, err)) < 0)
		return -1;
	settings->api_port = listen_port(s->listen_fds[DOOR_API]);
	settings->repository_port = listen_port(s->listen_fds[DOOR_REPOSITORY]);
	settings->device_port = listen_port(s->listen_fds[DOOR_DEVICE]);
	settings->enroll_port = listen_port(s->listen_fds[DOOR_ENROLL]);
	return 0;
}

/* The writing connection moves to the writer thread; everybody else has one of his own that only reads. */
static int start_writer(struct serve *s, struct error *err)
{
	struct db *db = s->control->db;

	s->control->db = NULL;
	s->writer = writer_start(db, s->control->versions, err);
	if (s->writer == NULL)
		return -1;
	s->pool = pool_start(err);
	return s->pool == NULL ? -1 : 0;
}

/*
 * As many connections as were asked for, or as there are descriptors for. One in four may be sending or taking a file,
 * which needs another descriptor.
 */
static int size_connections(struct serve *s, unsigned loops, struct error *err)
{
	uint64_t most = descriptors_raise(), own = DESCRIPTORS_OWN + (uint64_t)loops * SERVER_LOCALS_MAX;
	uint64_t fit = most <= own ? 0 : (most - own) / loops * 4 / 5;
	unsigned want = s->options->connections_max;

	if (want == 0)
		want = CONNECTIONS_DEFAULT;
	s->connections_max = fit < want ? (unsigned)fit : want;
	if (s->connections_max < CONNECTIONS_LEAST) {
		error_set(err, ERR_FAILED, "a process may have only %llu open files here: too few for %u loops",
			  (unsigned long long)most, loops);
		return error_hint(err, "raise the limit (ulimit -n, or LimitNOFILE= of the unit), or give fewer --loops");
	}
	if (s->connections_max < want)
		log_warn("serve.connections", "wanted=%u each=%u loops=%u descriptors=%llu", want, s->connections_max,
			 loops, (unsigned long long)most);
	return 0;
}

static int start_loops(struct serve *s, struct error *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned want = s->options->loops, i;

	if (want == 0)
		want = cores < 1 ? 1 : cores > LOOPS_DEFAULT_MAX ? LOOPS_DEFAULT_MAX : (unsigned)cores;
	if (want > SERVE_LOOPS_MAX)
		want = SERVE_LOOPS_MAX;
	if (size_connections(s, want, err) < 0)
		return -1;
	for (i = 0; i < want; i++) {
		s->loop_count = i + 1;
		if (serve_loop_start(s, &s->loops[i], err) < 0)
			return -1;
	}
	return 0;
}

/* For scripts: {"api":"127.0.0.1:9443",...} with the ports that were really taken. */
static int write_ready_file(struct serve *s, struct error *err)
{
	const struct control_settings *t = &s->control->settings;
	struct buf text = BUF_INIT(4096);
	struct json_writer w = JSON_WRITER(&text);
	int r;

	if (s->options->ready_file == NULL)
		return 0;
	json_open_object(&w, NULL);
	json_put_int(&w, "api_port", t->api_port);
	json_put_int(&w, "repository_port", t->repository_port);
	json_put_int(&w, "device_port", t->device_port);
	json_put_int(&w, "enroll_port", t->enroll_port);
	json_put_int(&w, "pid", getpid());
	json_close(&w);
	buf_put_u8(&text, '\n');
	r = file_replace(AT_FDCWD, s->options->ready_file, 0644, buf_slice(&text), err);
	buf_release(&text);
	return r;
}

static int start(struct serve *s, struct error *err)
{
	const struct serve_options *o = s->options;

	if (serve_disk_look(s, err) < 0)
		return -1;
	while ((s->control = control_open(o->home, &o->settings, err)) == NULL) {
		if (!serve_disk_again(s, err))
			return -1;
	}
	if (check_ready(s->control, err) < 0)
		return -1;
	serve_disk_open(s);
	s->control->lastseen = lastseen_new();
	s->control->versions = versions_new();
	s->control->put_metrics = serve_put_metrics;
	s->control->metrics_arg = s;
	s->started_ms = clock_mono_ms();
	s->repo_fd = fcntl(repo_dirfd(s->control->repo), F_DUPFD_CLOEXEC, 0);
	if (s->repo_fd < 0)
		return error_errno(err, errno, "cannot open the repository");
	if (open_listeners(s, err) < 0 || serve_make_tls(s, clock_now_s(), err) < 0 || start_writer(s, err) < 0)
		return -1;
	s->clock_ahead_s = clock_now_s() - s->started_ms / 1000;
	serve_duties(s, clock_now_s(), s->started_ms);	/* nothing stale is ever served */
	if (start_loops(s, err) < 0)
		return -1;
	atomic_store(&s->serving, true);
	return write_ready_file(s, err);
}

/* ---- run ---- */

/* Wait for the next second or a signal; true when it is time to stop. */
static bool wait_signal(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct signalfd_siginfo info;

	if (poll(&p, 1, timeout_ms) <= 0 || read(fd, &info, sizeof(info)) != sizeof(info))
		return false;
	log_info("serve.signal", "signal=%u", info.ssi_signo);
	return true;
}

static void run(struct serve *s, int signal_fd)
{
	int64_t said_ms = clock_mono_ms(), duty_ms = said_ms;

	for (;;) {
		int64_t now_ms = clock_mono_ms(), wait_ms = duty_ms + DUTY_MS - now_ms;

		if (wait_signal(signal_fd, wait_ms > 0 ? (int)wait_ms : 0))
			return;
		now_ms = clock_mono_ms();
		if (now_ms - duty_ms >= DUTY_MS) {
			duty_ms = now_ms;
			serve_duties(s, clock_now_s(), now_ms);
		}
		/* Said only here, after the writer answered: a stuck store is a stuck serve. */
		if (s->options->watchdog_ms > 0 && now_ms - said_ms >= s->options->watchdog_ms) {
			said_ms = now_ms;
			notify_send(&s->notify, "WATCHDOG=1");
		}
	}
}

/* ---- stop ---- */

static void stop(struct serve *s)
{
	unsigned i;
	int d;

	for (i = 0; i < s->loop_count; i++)
		serve_loop_stop(&s->loops[i]);
	pool_stop(s->pool);
	writer_stop(s->writer);
	for (i = 0; i < s->loop_count; i++)
		serve_loop_release(&s->loops[i]);
	for (d = 0; d < DOOR_COUNT; d++) {
		tls_config_free(s->tls[d]);
		file_close(&s->listen_fds[d]);
	}
	file_close(&s->repo_fd);
	file_close(&s->control_fd);
	if (s->control != NULL) {
		lastseen_free(s->control->lastseen);
		versions_free(s->control->versions);
		s->control->lastseen = NULL;
		s->control->versions = NULL;
	}
	control_free(s->control);
	notify_release(&s->notify);
	pthread_mutex_destroy(&s->tls_mutex);
}

static struct serve *serve_new(const struct serve_options *options)
{
	struct serve *s = xcalloc(1, sizeof(*s));
	int d;

	s->options = options;
	s->repo_fd = s->control_fd = -1;
	s->notify = NOTIFY_INIT;
	for (d = 0; d < DOOR_COUNT; d++)
		s->listen_fds[d] = -1;
	pthread_mutex_init(&s->tls_mutex, NULL);
	return s;
}

int serve_run(const struct serve_options *options, struct error *err)
{
	struct serve *s = serve_new(options);
	int signal_fd = daemon_signals(0, err), r = -1;

	if (signal_fd < 0 || (options->notify_socket != NULL && notify_open(&s->notify, options->notify_socket, err) < 0))
		goto out;
	if (start(s, err) < 0)
		goto out;
	log_info("serve.ready", "api=%u repository=%u device=%u enroll=%u loops=%u connections=%u",
		 s->control->settings.api_port,
		 s->control->settings.repository_port, s->control->settings.device_port,
		 s->control->settings.enroll_port, s->loop_count, s->connections_max);
	notify_send(&s->notify, "READY=1");
	run(s, signal_fd);
	notify_send(&s->notify, "STOPPING=1");
	r = 0;
out:
	stop(s);
	free(s);
	file_close(&signal_fd);
	if (r == 0)
		log_info("serve.stopped", "clean=true");
	return r;
}
