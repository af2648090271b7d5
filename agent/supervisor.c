/* The supervisor: one loop, the worker at its other hand, and an orderly end. */
#include "agent/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/local.h"
#include "agent/worker.h"
#include "base/log.h"
#include "sys/clock.h"
#include "sys/fault.h"
#include "sys/file.h"
#include "sys/user.h"

#define WORKER_AGAIN_CAP_MS 60000
#define ASK_LIMIT_MS INT64_C(900000)	/* a request without any sign of life for so long: the worker hangs */

/* ---- links ---- */

int link_ask(struct agent_link *l, unsigned asked, enum link_type type, struct slice body, int fd, struct error *err)
{
	if (link_busy(l))
		return error_set(err, ERR_RETRY, "the worker is busy or gone");
	if (link_send(l->watch.fd, type, body, fd, err) < 0)
		return -1;
	l->asked = asked;
	l->asked_ms = loop_now_ms(l->agent->loop);
	loop_watch_deadline(&l->watch, l->asked_ms + ASK_LIMIT_MS);
	return 0;
}

static void link_down(struct agent_link *l)
{
	struct link_reply none = LINK_REPLY_INIT;
	unsigned asked = l->asked;
	struct error why = ERROR_INIT;
	bool waiting = l->asked_ms != 0;

	loop_unwatch(&l->watch);
	file_close(&l->watch.fd);
	l->asked = 0;
	l->asked_ms = 0;
	if (!waiting)
		return;
	if (l == &l->agent->transfer)
		meter_landed(l->agent, 0);
	error_set(&why, ERR_RETRY, "the worker ended in the middle of its work");
	l->answer(l->agent, asked, NULL, &why, &none);
}

void worker_down(struct agent *a, const char *why)
{
	int status = 0;

	if (a->worker_pid <= 0)
		return;
	log_warn("agent.worker", "ended=true why=\"%s\"", why);
	kill(a->worker_pid, SIGKILL);
	while (waitpid(a->worker_pid, &status, 0) < 0 && errno == EINTR)
		;
	fault_worker_ended(status);
	a->worker_pid = 0;
	link_down(&a->control);
	link_down(&a->transfer);
	if (!loop_stopping(a->loop))
		loop_timer_set(a->loop, &a->worker_again,
			       loop_now_ms(a->loop) + backoff_ms(a->worker_failures++, WORKER_AGAIN_CAP_MS));
}

static void link_deliver(struct agent_link *l, struct link_msg *m)
{
	struct error why = ERROR_INIT;
	struct link_reply reply = LINK_REPLY_INIT;
	unsigned asked = l->asked;

	l->asked = 0;
	l->asked_ms = 0;
	loop_watch_deadline(&l->watch, LOOP_NEVER);
	l->agent->worker_failures = 0;
	if (m->type == LINK_DONE)
		reply.received = link_read_received(m);
	else
		link_read_error(m, &why, &reply);
	if (l == &l->agent->transfer)
		meter_landed(l->agent, reply.received);
	l->answer(l->agent, asked, m->type == LINK_DONE ? m : NULL, &why, &reply);
}

static void link_progress(struct agent_link *l, const struct link_msg *m)
{
	struct error ignored = ERROR_INIT;
	struct json doc = JSON_INIT;
	int64_t bytes, received;

	loop_watch_deadline(&l->watch, loop_now_ms(l->agent->loop) + ASK_LIMIT_MS);
	if (json_parse(&doc, buf_slice(&m->body), JSON_STRICT, &ignored) == 0 &&
	    json_need_int(json_root(&doc), "bytes", 0, INT64_MAX, &bytes, &ignored) == 0 &&
	    json_need_int(json_root(&doc), "received", 0, INT64_MAX, &received, &ignored) == 0 &&
	    l == &l->agent->transfer) {
		if (l->asked == TRANSFER_FETCH || l->asked == TRANSFER_UNPACK)
			update_progress(l->agent, (uint64_t)bytes);
		else if (l->asked == TRANSFER_CHECK)
			local_progress(l->agent, (uint64_t)bytes);
		meter_flight(l->agent, (uint64_t)received);
	}
	json_release(&doc);
}

static void link_ready(struct watch *w, uint32_t revents)
{
	struct agent_link *l = container_of(w, struct agent_link, watch);
	struct link_msg m = LINK_MSG_INIT;
	struct error err = ERROR_INIT;
	int r;

	if (revents == 0) {
		worker_down(l->agent, "no sign of life");
		return;
	}
	r = link_recv(w->fd, &m, &err);
	if (r <= 0)
		worker_down(l->agent, r == 0 ? "link closed" : err.text);
	else if (l->asked_ms == 0)
		worker_down(l->agent, "answered what nobody asked");
	else if (m.type == LINK_PROGRESS)
		link_progress(l, &m);
	else if (m.type == LINK_DONE || m.type == LINK_FAILED)
		link_deliver(l, &m);
	else
		worker_down(l->agent, "spoke out of turn");
	link_msg_release(&m);
}

/* ---- worker ---- */

/*
 * Whom the worker becomes when we are root: a named user, else "meshanics-agent", else nobody; never root, and not
 * "meshanics" either, to whom a control plane on the same machine belongs.
 */
static int worker_ids(const struct agent_options *o, struct worker_options *w, struct error *err)
{
	if (getuid() != 0)
		return 0;
	w->switch_user = true;
	if (o->worker_user != NULL)
		return user_find(o->worker_user, &w->uid, &w->gid, err);
	if (user_find("meshanics-agent", &w->uid, &w->gid, err) == 0)
		return 0;
	*err = ERROR_INIT;
	w->uid = w->gid = 65534;
	return 0;
}

/* The worker's directory is the worker's. */
static int give_work_dir(struct agent *a, const struct worker_options *w, struct error *err)
{
	int fd, r = -1;

	if (file_mkdirs(a->home_fd, "work", 0700, err) < 0)
		return -1;
	if (!w->switch_user)
		return 0;
	fd = file_open(a->home_fd, "work", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (fd >= 0)
		r = file_chown(fd, w->uid, w->gid, "work", err);
	file_close(&fd);
	return r;
}

/* In the child: nothing of the supervisor's stays open but the two ends and standard error. */
static NORETURN void worker_child(const struct worker_options *w)
{
	int lo = w->control_fd < w->transfer_fd ? w->control_fd : w->transfer_fd;
	int hi = w->control_fd < w->transfer_fd ? w->transfer_fd : w->control_fd;
	sigset_t none;

	fault_enter_worker();
	close_range(3, (unsigned)lo - 1, 0);
	if (hi > lo + 1)
		close_range((unsigned)lo + 1, (unsigned)hi - 1, 0);
	close_range((unsigned)hi + 1, ~0u, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	worker_main(w);
}

static int watch_link(struct agent *a, struct agent_link *l, int fd, struct error *err)
{
	l->watch = (struct watch){.fd = fd, .events = EPOLLIN, .ready = link_ready};
	l->asked_ms = 0;
	/* A worker that does not read must not make us wait. */
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return error_errno(err, errno, "cannot set up the link");
	return loop_watch(a->loop, &l->watch, err);
}

int worker_spawn(struct agent *a, struct error *err)
{
	struct worker_options w = {.identity = &a->identity, .proxy = a->options->proxy, .home = a->home,
				   .rate = a->options->download_rate};
	struct device_profile profile;
	struct machine machine;
	int control[2] = {-1, -1}, transfer[2] = {-1, -1}, r = -1;

	machine_read(&machine);
	profile = machine_profile(&machine);
	w.profile = &profile;
	local_new_worker(a);
	if (worker_ids(a->options, &w, err) < 0 || give_work_dir(a, &w, err) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, transfer) < 0) {
		error_errno(err, errno, "cannot make the links");
		goto out;
	}
	w.control_fd = control[1];
	w.transfer_fd = transfer[1];
	a->worker_pid = fork();
	if (a->worker_pid < 0) {
		a->worker_pid = 0;
		error_errno(err, errno, "cannot start the worker");
		goto out;
	}
	if (a->worker_pid == 0)
		worker_child(&w);
	if (watch_link(a, &a->control, control[0], err) < 0 || watch_link(a, &a->transfer, transfer[0], err) < 0)
		goto out;
	control[0] = transfer[0] = -1;
	log_info("agent.worker", "pid=%d uid=%u", (int)a->worker_pid, w.switch_user ? (unsigned)w.uid : (unsigned)getuid());
	r = 0;
out:
	file_close(&control[0]);
	file_close(&control[1]);
	file_close(&transfer[0]);
	file_close(&transfer[1]);
	return r;
}

static void worker_again_fire(struct timer *t)
{
	struct agent *a = container_of(t, struct agent, worker_again);
	struct error err = ERROR_INIT;

	if (worker_spawn(a, &err) < 0) {
		log_failure(LOG_LEVEL_ERROR, "agent.worker", &err);
		loop_timer_set(a->loop, t, loop_now_ms(a->loop) + backoff_ms(a->worker_failures++, WORKER_AGAIN_CAP_MS));
		return;
	}
	talk_pump(a);
	update_step(a);
}

void worker_replace(struct agent *a)
{
	worker_down(a, "replaced");
	a->worker_failures = 0;
	loop_timer_cancel(a->loop, &a->worker_again);
	worker_again_fire(&a->worker_again);
}

/* ---- signals ---- */

static void signalled(struct daemon *d, unsigned signo)
{
	struct agent *a = container_of(d, struct agent, daemon);

	if (signo != SIGHUP) {
		log_info("agent.signal", "signal=%u", signo);
		return;
	}
	talk_now(a);
	if (a->update.state == UPDATE_DOWNLOADING)
		update_step(a);
}

/* ---- life ---- */

static struct agent *agent_new(const struct agent_options *o)
{
	struct agent *a = xcalloc(1, sizeof(*a));

	a->options = o;
	a->home_fd = a->artifacts_fd = a->lock_fd = a->status_fd = -1;
	a->probe_watch.fd = -1;
	a->trusted = TRUSTED_INIT;
	a->daemon = DAEMON_INIT(signalled);
	a->intake = (struct intake){.from_fd = -1, .to_fd = -1};
	a->attempt = PROBE_ATTEMPT_INIT;
	a->control = (struct agent_link){.agent = a, .watch = {.fd = -1}, .answer = talk_answer};
	a->transfer = (struct agent_link){.agent = a, .watch = {.fd = -1}, .answer = transfer_answer};
	a->worker_again.fire = worker_again_fire;
	a->talk_timer.fire = talk_fire;
	a->step_timer.fire = update_step_fire;
	a->limit_timer.fire = update_limit_fire;
	a->stay_timer.fire = stay_note_fire;
	identity_init(&a->identity);
	update_init(&a->update);
	path_join(a->home, o->home, "agent");
	return a;
}

static void agent_free(struct agent *a)
{
	status_stop(a);
	local_free(a);
	if (a->loop != NULL)
		loop_stop(a->loop);
	worker_down(a, "the agent stops");
	loop_unwatch(&a->probe_watch);
	probe_kill(&a->attempt);
	intake_release(&a->intake);
	daemon_stop(&a->daemon);
	if (a->loop != NULL) {
		loop_timer_cancel(a->loop, &a->worker_again);
		loop_timer_cancel(a->loop, &a->talk_timer);
		loop_timer_cancel(a->loop, &a->step_timer);
		stay_end(a);
		loop_timer_cancel(a->loop, &a->room_timer);
		loop_free(a->loop);
	}
	descriptor_release(&a->descriptor);
	update_release(&a->update);
	seckey_free(a->renew_key);
	trusted_close(&a->trusted);
	db_close(a->db);
	identity_release(&a->identity);
	file_close(&a->artifacts_fd);
	file_close(&a->lock_fd);
	file_close(&a->home_fd);
	free(a);
}

/* What a full disk can refuse; from where it stopped when it is called again. */
static int open_state(struct agent *a, struct error *err)
{
	if (a->db == NULL && (a->db = state_open(a->home, err)) == NULL)
		return -1;
	if (a->trusted.dirfd < 0 && trusted_open(&a->trusted, a->home_fd, "trusted", err) < 0)
		return -1;
	if (state_instance(a->db, a->instance, err) < 0)
		return -1;
	return file_mkdirs(a->home_fd, "artifacts", 0755, err);
}

static int open_files(struct agent *a, struct error *err)
{
	int left;

	if ((a->home_fd = agent_home_open(a->options->home, err)) < 0 ||
	    (a->lock_fd = file_lock(a->home_fd, "lock", err)) < 0) {
		return err->kind == ERR_RETRY ? error_wrap(err, "another agent runs in '%s'", a->home) : -1;
	}
	if ((left = agent_wipe_resume(a->home_fd, err)) < 0)
		return -1;
	if ((a->wiped = left > 0))
		return error_set(err, ERR_NOT_FOUND, "this device has left its fleet");
	if (identity_load(&a->identity, a->home_fd, err) < 0)
		return -1;
	room_open(a);	/* not for a device that has no fleet: nothing is to be left where one has left */
	if (newfile_sweep(a->home_fd, ".", err) < 0)
		return -1;
	while (open_state(a, err) < 0) {
		if (!room_again(a, err))
			return -1;
	}
	a->artifacts_fd = file_open(a->home_fd, "artifacts", O_RDONLY | O_DIRECTORY, 0, err);
	return a->artifacts_fd < 0 ? -1 : 0;
}

static int open_door(struct agent *a, struct error *err)
{
	while (status_start(a, err) < 0) {
		status_stop(a);
		if (!room_again(a, err))
			return -1;
	}
	return 0;
}

static int start(struct agent *a, struct error *err)
{
	const struct agent_options *o = a->options;

	if (open_files(a, err) < 0 || (a->loop = loop_new(err)) == NULL ||
	    daemon_start(&a->daemon, a->loop, o->notify_socket, o->watchdog_ms, err) < 0)
		return -1;
	meter_start(a);
	talk_start(a);
	if (worker_spawn(a, err) < 0 || open_door(a, err) < 0 || update_resume(a, err) < 0)
		return -1;
	room_watch(a);
	agent_tidy(a);
	a->renew_asked = identity_renewing(&a->identity, a->home_fd);
	talk_pump(a);
	/* A download goes on when we may speak: the power may have come back to many of us. */
	if (a->update.state == UPDATE_DOWNLOADING && !update_is_local(&a->update) &&
	    pace_holds(&a->pace, loop_now_ms(a->loop)))
		loop_timer_set(a->loop, &a->step_timer, a->pace.hold_ms);
	else
		update_step(a);
	return 0;
}

int agent_run(const struct agent_options *options, bool *wiped, struct error *err)
{
	struct agent *a = agent_new(options);
	int r = start(a, err);

	if (r == 0) {
		log_info("agent.ready", "device=%s site=%s version=%s", a->identity.device, a->identity.site,
			 MESHANICS_VERSION);
		daemon_say(&a->daemon, "READY=1");
		r = loop_run(a->loop, err);
		daemon_say(&a->daemon, "STOPPING=1");
	}
	*wiped = a->wiped && a->fatal.kind == ERR_NONE;
	if (*wiped) {
		r = 0;
	} else if (r == 0 && a->fatal.kind != ERR_NONE) {
		*err = a->fatal;
		r = -1;
	}
	agent_free(a);
	if (r == 0)
		log_info("agent.stopped", "clean=true wiped=%s", *wiped ? "true" : "false");
	return r;
}
