/* The worker's process: sandbox, two threads, answers. */
#include "agent/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/link.h"
#include "agent/remote.h"
#include "agent/unpack.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "sys/file.h"
#include "sys/sandbox.h"

struct worker_thread {
	const struct worker_options *options;
	int sock;
	int work_fd;		/* HOME/agent/work */
	struct remote *remote;
	struct unpack *unpack;	/* of the transfer thread */
	bool asks_network;	/* the request under way does: it has bytes to tell of */
};

/* ---- answers ---- */

static int answer_bytes(struct worker_thread *t, struct slice bytes, struct error *err)
{
	int fd = link_blob(bytes, err), r;

	if (fd < 0)
		return -1;
	r = link_send_done(t->sock, remote_reply(t->remote).received, fd, err);
	close(fd);
	return r;
}

static int do_post(struct worker_thread *t, struct json_value q, int body_fd, struct error *why)
{
	struct buf body = BUF_INIT(REMOTE_ANSWER_MAX), answer = BUF_INIT(REMOTE_ANSWER_MAX);
	char path[256];
	struct slice text;
	int64_t now_s;
	int r = -1;

	if (json_need_string(q, "path", &text, why) < 0 || json_need_int(q, "now_s", 0, INT64_MAX, &now_s, why) < 0 ||
	    link_blob_read(body_fd, &body, why) < 0)
		goto out;
	snprintf(path, sizeof(path), "%.*s", SLICE_ARG(text));
	if (remote_post(t->remote, path, buf_slice(&body), now_s, &answer, why) < 0)
		goto out;
	r = answer_bytes(t, buf_slice(&answer), why);
out:
	buf_release(&body);
	buf_release(&answer);
	return r;
}

static void say_progress(void *arg, uint64_t bytes, uint64_t received)
{
	struct worker_thread *t = arg;
	struct error ignored = ERROR_INIT;
	char text[96];

	snprintf(text, sizeof(text), "{\"bytes\":%llu,\"received\":%llu}", (unsigned long long)bytes,
		 (unsigned long long)received);
	(void)!link_send(t->sock, LINK_PROGRESS, slice_str(text), -1, &ignored);
}

static void say_alive(void *arg, uint64_t received)
{
	say_progress(arg, 0, received);
}

static int do_update(struct worker_thread *t, struct json_value q, int stored_fd, struct error *why)
{
	struct buf stored = BUF_INIT(LINK_BLOB_MAX), fetched = BUF_INIT(LINK_BLOB_MAX);
	struct remote_watcher watcher = {say_alive, t};
	struct slice target;
	int64_t now_s, floor_s;
	int r = -1;

	if (json_need_string(q, "target", &target, why) < 0 ||
	    json_need_int(q, "now_s", 0, INT64_MAX, &now_s, why) < 0 ||
	    json_need_int(q, "floor_s", 0, INT64_MAX, &floor_s, why) < 0 ||
	    link_blob_read(stored_fd, &stored, why) < 0 ||
	    remote_update(t->remote, buf_slice(&t->options->identity->root), buf_slice(&stored), target, now_s,
			  floor_s, &fetched, &watcher, why) < 0)
		goto out;
	r = answer_bytes(t, buf_slice(&fetched), why);
out:
	buf_release(&stored);
	buf_release(&fetched);
	return r;
}

static int do_fetch(struct worker_thread *t, struct json_value q, struct error *why)
{
	struct remote_payload p = {.progress = say_progress, .arg = t};
	struct slice hash;
	int64_t length, content = INT64_MAX;
	int fd, r;

	if (json_need_string(q, "path", &p.path, why) < 0 ||
	    json_need_int(q, "length", 0, INT64_MAX, &length, why) < 0 ||
	    json_need_int(q, "now_s", 0, INT64_MAX, &p.now_s, why) < 0 ||
	    json_opt_int(q, "content", 1, INT64_MAX, &content, why) < 0 ||
	    json_need_string(q, "sha256", &hash, why) < 0 || hex_decode(p.sha256, SHA256_LEN, hash, why) < 0)
		return -1;
	p.length = (uint64_t)length;
	p.content_max = content == INT64_MAX ? UINT64_MAX : (uint64_t)content;
	p.rate = t->options->rate;
	fd = remote_fetch(t->remote, t->work_fd, &p, why);
	if (fd < 0)
		return -1;
	r = link_send_done(t->sock, remote_reply(t->remote).received, fd, why);
	close(fd);
	return r;
}

/* ---- bundles ---- */

/* LINK_VOLUME has no answer: what is wrong with it, the next request meets. */
static void keep_volume(struct worker_thread *t, struct link_msg *m)
{
	struct error err = ERROR_INIT;
	struct json doc = JSON_INIT;
	struct slice name;
	bool first;

	if (json_parse(&doc, buf_slice(&m->body), JSON_STRICT, &err) == 0 &&
	    json_need_string(json_root(&doc), "name", &name, &err) == 0 &&
	    json_need_bool(json_root(&doc), "first", &first, &err) == 0) {
		(void)!unpack_volume(t->unpack, name, first, m->fd, &err);
		m->fd = -1;
	}
	json_release(&doc);
}

static int do_open(struct worker_thread *t, struct json_value q, int stored_fd, struct error *why)
{
	struct buf stored = BUF_INIT(LINK_BLOB_MAX), out = BUF_INIT(LINK_BLOB_MAX);
	struct unpack_request request = {.identity = t->options->identity, .profile = t->options->profile};
	int fd = -1, r = -1;

	if (json_need_int(q, "now_s", 0, INT64_MAX, &request.now_s, why) < 0 ||
	    json_need_int(q, "floor_s", 0, INT64_MAX, &request.floor_s, why) < 0 ||
	    link_blob_read(stored_fd, &stored, why) < 0)
		goto out;
	request.stored = buf_slice(&stored);
	if (unpack_open(t->unpack, &request, &out, why) < 0 || (fd = link_blob(buf_slice(&out), why)) < 0)
		goto out;
	r = link_send_done(t->sock, 0, fd, why);
	close(fd);
out:
	buf_release(&stored);
	buf_release(&out);
	return r;
}

static void say_read(void *arg, uint64_t bytes)
{
	say_progress(arg, bytes, 0);
}

static int do_check(struct worker_thread *t, int hashes_fd, struct error *why)
{
	struct unpack_watcher watcher = {say_read, t};
	struct buf hashes = BUF_INIT(UNPACK_PLAN_MAX * SHA256_LEN);
	int r = -1;

	if (link_blob_read(hashes_fd, &hashes, why) == 0 &&
	    unpack_check(t->unpack, buf_slice(&hashes), &watcher, why) == 0)
		r = link_send_done(t->sock, 0, -1, why);
	buf_release(&hashes);
	return r;
}

static int do_unpack(struct worker_thread *t, struct json_value q, struct error *why)
{
	struct unpack_watcher watcher = {say_read, t};
	uint8_t sha256[SHA256_LEN];
	struct slice hash;
	int64_t length;
	int fd, r;

	if (json_need_int(q, "length", 0, INT64_MAX, &length, why) < 0 ||
	    json_need_string(q, "sha256", &hash, why) < 0 || hex_decode(sha256, SHA256_LEN, hash, why) < 0)
		return -1;
	fd = unpack_payload(t->unpack, t->work_fd, sha256, (uint64_t)length, &watcher, why);
	if (fd < 0)
		return -1;
	r = link_send_done(t->sock, 0, fd, why);
	close(fd);
	return r;
}

/* ---- threads ---- */

static int handle_network(struct worker_thread *t, const struct link_msg *m, struct json_value q, struct error *why)
{
	if (m->type == LINK_POST)
		return do_post(t, q, m->fd, why);
	return m->type == LINK_UPDATE ? do_update(t, q, m->fd, why) : do_fetch(t, q, why);
}

static int handle(struct worker_thread *t, const struct link_msg *m, struct error *why)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, buf_slice(&m->body), JSON_STRICT, why) < 0)
		goto out;
	t->asks_network = m->type == LINK_POST || m->type == LINK_UPDATE || m->type == LINK_FETCH;
	if (t->asks_network)
		r = handle_network(t, m, json_root(&doc), why);
	else if (t->unpack != NULL && m->type == LINK_OPEN)
		r = do_open(t, json_root(&doc), m->fd, why);
	else if (t->unpack != NULL && m->type == LINK_CHECK)
		r = do_check(t, m->fd, why);
	else if (t->unpack != NULL && m->type == LINK_UNPACK)
		r = do_unpack(t, json_root(&doc), why);
	else
		error_set(why, ERR_FAILED, "message %d is not a request", (int)m->type);
out:
	json_release(&doc);
	return r;
}

static void *thread_main(void *arg)
{
	struct worker_thread *t = arg;
	struct link_msg m = LINK_MSG_INIT;
	struct error err = ERROR_INIT;

	while (link_recv(t->sock, &m, &err) > 0) {
		struct error why = ERROR_INIT;
		struct link_reply reply;

		if (m.type == LINK_VOLUME && t->unpack != NULL) {
			keep_volume(t, &m);
			continue;
		}
		if (handle(t, &m, &why) == 0)
			continue;
		reply = LINK_REPLY_INIT;
		if (t->asks_network)
			reply = remote_reply(t->remote);
		if (link_send_error(t->sock, &why, &reply, &err) < 0)
			break;
	}
	link_msg_release(&m);
	return NULL;
}

static int enter_sandbox(const struct worker_options *o, const char *work, struct error *err)
{
	/* What name look-up needs; all else is in memory or comes by the links. */
	static const char *const read_paths[] = {
		"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/host.conf",
		"/etc/services", "/etc/ld.so.cache", "/lib", "/usr/lib", "/run/systemd/resolve", NULL,
	};
	const char *const write_paths[] = {work, NULL};
	struct sandbox s = {
		.read_paths = read_paths,
		.write_paths = write_paths,
		.switch_user = o->switch_user,
		.uid = o->uid,
		.gid = o->gid,
		.network = true,
		.profile = SANDBOX_CLIENT,
		.files_max = 64,
	};
	unsigned abi = 0;

	if (sandbox_enter(&s, &abi, err) < 0 || sandbox_check(&s, abi, err) < 0)
		return -1;
	/* After the change of user, which forgets it. Should the supervisor be gone already, its links tell. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (abi == 0)
		log_warn("worker.landlock", "absent=true why=\"this kernel has no landlock; file rights alone bound the worker\"");
	return 0;
}

static int run(const struct worker_options *o, struct error *err)
{
	struct worker_thread control = {.options = o, .sock = o->control_fd, .work_fd = -1};
	struct worker_thread transfer = {.options = o, .sock = o->transfer_fd, .work_fd = -1};
	char work[4096];
	pthread_t thread;
	int r = -1;

	transfer.unpack = unpack_new();
	path_join(work, o->home, "work");
	/* Opened by name while we still may: the home can lie below a directory that is closed to the worker. */
	transfer.work_fd = file_open(AT_FDCWD, work, O_RDONLY | O_DIRECTORY, 0, err);
	if (transfer.work_fd < 0)
		goto out;
	if (enter_sandbox(o, work, err) < 0) {
		error_wrap(err, "the worker's sandbox does not hold");
		goto out;
	}
	if ((control.remote = remote_new(o->identity, o->identity->device_url, o->proxy, err)) == NULL ||
	    (transfer.remote = remote_new(o->identity, o->identity->repository_url, o->proxy, err)) == NULL)
		goto out;
	if (pthread_create(&thread, NULL, thread_main, &transfer) != 0) {
		error_set(err, ERR_FAILED, "cannot start a thread");
		goto out;
	}
	thread_main(&control);
	r = 0;
	_exit(0);	/* the transfer thread may be deep in a download: nothing of it is worth waiting for */
out:
	remote_free(control.remote);
	remote_free(transfer.remote);
	unpack_free(transfer.unpack);
	file_close(&transfer.work_fd);
	return r;
}

NORETURN void worker_main(const struct worker_options *options)
{
	struct error err = ERROR_INIT;

	if (run(options, &err) < 0)
		log_failure(LOG_LEVEL_ERROR, "worker.failed", &err);
	_exit(1);
}
