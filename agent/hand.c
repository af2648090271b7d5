/* The other side of the door for bundles: opens the files, finds or starts an agent, hands them over, asks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/unpack.h"
#include "base/json.h"
#include "base/log.h"
#include "control/api.h"
#include "net/client.h"
#include "sys/file.h"

#define ANSWER_MAX (64u << 20)
#define REQUEST_MAX (64u << 10)
#define ANSWER_MS 60000
#define START_MS 20000	/* how long an agent may take to open its door */
#define LOOK_MS 20

struct agent_hand {
	struct client *client;
	int64_t id;	/* of the application, as the agent calls it */
	pid_t child;	/* an agent for this alone; 0: none */
	int said;	/* where it says why it ended; -1: none */
};

/* ---- the files ---- */

struct files {
	int fds[UNPACK_VOLUMES_MAX];		/* owned */
	char *names[UNPACK_VOLUMES_MAX];	/* owned */
	unsigned count;
};

/* Takes fd. */
static int add_file(struct files *f, int fd, const char *name, struct error *err)
{
	if (fd < 0)
		return error_wrap(err, "cannot open the bundle");
	f->fds[f->count] = fd;
	f->names[f->count++] = xstrdup(name);
	return 0;
}

static int check_count(const struct files *f, struct error *err)
{
	if (f->count < UNPACK_VOLUMES_MAX)
		return 0;
	return error_set(err, ERR_USAGE, "a bundle of more than %d files", UNPACK_VOLUMES_MAX);
}

static int keep_file(struct files *f, int fd, const char *name, struct error *err)
{
	if (check_count(f, err) < 0)
		return -1;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		error_errno(err, errno, "cannot keep '%s'", name);
	return add_file(f, fd, name, err);
}

static int open_file(struct files *f, const char *path, struct error *err)
{
	if (check_count(f, err) < 0)
		return -1;
	/* Not one that could make us wait for somebody at its other end. */
	return add_file(f, file_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0, err), path, err);
}

/* "NAME.001": those beside it that follow are meant, too, as far as they are there. */
static int open_volumes(struct files *f, const char *path, struct error *err)
{
	size_t len = strlen(path);
	struct error absent;
	unsigned n;
	char *next;
	int r = open_file(f, path, err);

	if (r < 0 || len < 4 || strcmp(path + len - 4, ".001") != 0)
		return r;
	next = xstrdup(path);
	for (n = 2; r == 0 && n <= UNPACK_VOLUMES_MAX; n++) {
		snprintf(next + len - 4, 5, ".%03u", n);
		absent = ERROR_INIT;
		if (open_file(f, next, &absent) < 0) {
			if (absent.kind != ERR_NOT_FOUND) {
				*err = absent;
				r = -1;
			}
			break;
		}
	}
	free(next);
	return r;
}

static int open_files(struct files *f, const struct agent_hand_options *o, struct error *err)
{
	unsigned i;
	int r = 0;

	for (i = 0; r == 0 && i < o->path_count; i++) {
		if (o->fds != NULL)
			r = keep_file(f, o->fds[i], o->paths[i], err);
		else if (o->path_count == 1)
			r = open_volumes(f, o->paths[i], err);
		else	/* volumes, named one by one */
			r = open_file(f, o->paths[i], err);
	}
	return r;
}

static void close_files(struct files *f)
{
	while (f->count > 0) {
		f->count--;
		file_close(&f->fds[f->count]);
		free(f->names[f->count]);
	}
}

/* ---- asking ---- */

/* ERR_RETRY with *answers false: nobody is there. */
static int ask(struct agent_hand *h, const char *method, struct slice body, const struct files *f, struct buf *out,
	       bool *answers, struct error *err)
{
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	int r = -1;

	q.method = method;
	q.target = "/apply";
	q.timeout_ms = ANSWER_MS;
	q.body = body;
	q.content_type = body.len > 0 ? "application/json" : NULL;
	q.body_max = ANSWER_MAX;
	if (f != NULL) {
		q.pass_fds = f->fds;
		q.pass_fd_count = f->count;
	}
	*answers = client_do(h->client, &q, &a, err) == 0;
	if (!*answers) {
		error_set(err, ERR_RETRY, "no agent answers");
	} else if (a.status != 200) {
		api_read_error((unsigned)a.status, buf_slice(&a.body), err);
	} else {
		buf_put_slice(out, buf_slice(&a.body));
		r = 0;
	}
	client_response_release(&a);
	return r;
}

static void put_request(struct buf *out, const struct agent_hand_options *o, const struct files *f)
{
	struct json_writer w = JSON_WRITER(out);
	unsigned i;

	json_open_object(&w, NULL);
	json_open_array(&w, "files");
	for (i = 0; i < f->count; i++)
		json_put_string(&w, NULL, f->names[i]);
	json_close(&w);
	json_open_array(&w, "artifacts");
	for (i = 0; i < o->artifact_count; i++)
		json_put_string(&w, NULL, o->artifacts[i]);
	json_close(&w);
	json_put_bool(&w, "dry_run", o->dry_run);
	json_put_bool(&w, "look", o->look);
	json_close(&w);
}

static int read_id(struct agent_hand *h, struct slice text, struct error *err)
{
	struct json doc = JSON_INIT;
	int r = -1;

	if (json_parse(&doc, text, JSON_STRICT, err) == 0)
		r = json_need_int(json_root(&doc), "apply", 1, INT64_MAX, &h->id, err);
	json_release(&doc);
	return r;
}

/* ---- an agent for this alone ---- */

static NORETURN void child_main(const struct agent_hand_options *o, int say)
{
	struct agent_options options = {.home = o->home, .worker_user = o->worker_user, .alone = true};
	struct error err = ERROR_INIT;
	bool wiped;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	log_start(STDERR_FILENO, false, LOG_LEVEL_ERROR);	/* the rest is told by the verb */
	if (agent_run(&options, &wiped, &err) == 0)
		_exit(0);
	_exit(send(say, &err, sizeof(err), MSG_NOSIGNAL) < 0 ? 2 : 1);
}

static int start_child(struct agent_hand *h, const struct agent_hand_options *o, struct error *err)
{
	int p[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) < 0)
		return error_errno(err, errno, "cannot start an agent");
	h->child = fork();
	if (h->child == 0)
		child_main(o, p[1]);
	close(p[1]);
	h->said = p[0];
	if (h->child > 0)
		return 0;
	h->child = 0;
	return error_errno(err, errno, "cannot start an agent");
}

/* The child has ended, or is ended now. Why it did, if it says so; else err stays. */
static void end_child(struct agent_hand *h, struct error *err)
{
	struct error why;

	if (h->child <= 0)
		return;
	kill(h->child, SIGTERM);
	if (err != NULL && read(h->said, &why, sizeof(why)) == (ssize_t)sizeof(why))
		*err = why;
	while (waitpid(h->child, NULL, 0) < 0 && errno == EINTR)
		;
	h->child = 0;
	file_close(&h->said);
}

static bool child_ended(const struct agent_hand *h)
{
	siginfo_t info = {.si_pid = 0};

	return waitid(P_PID, (id_t)h->child, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

/* ---- handing over ---- */

static int hand_over(struct agent_hand *h, const struct agent_hand_options *o, const struct files *f, struct error *err)
{
	struct buf q = BUF_INIT(REQUEST_MAX), out = BUF_INIT(ANSWER_MAX);
	bool answers;
	int r, waited_ms;

	put_request(&q, o, f);
	if (q.failed) {
		r = error_set(err, ERR_USAGE, "more names than a request holds");
		goto out;
	}
	r = ask(h, "POST", buf_slice(&q), f, &out, &answers, err);
	if (!answers && start_child(h, o, err) < 0)
		goto out;
	for (waited_ms = 0; r < 0 && !answers && waited_ms < START_MS && !child_ended(h); waited_ms += LOOK_MS) {
		usleep(LOOK_MS * 1000);
		r = ask(h, "POST", buf_slice(&q), f, &out, &answers, err);
	}
	if (r < 0 && !answers)
		end_child(h, err);
	if (r == 0)
		r = read_id(h, buf_slice(&out), err);
out:
	buf_release(&q);
	buf_release(&out);
	return r;
}

struct agent_hand *agent_hand_open(const struct agent_hand_options *options, struct error *err)
{
	struct agent_hand *h = xcalloc(1, sizeof(*h));
	struct client_params params = CLIENT_PARAMS_INIT;
	struct files files = {.count = 0};
	char path[4096];
	int r = -1;

	h->said = -1;
	path_join(path, options->home, "agent/control.sock");
	params.unix_path = path;
	if (open_files(&files, options, err) == 0 && (h->client = client_new(&params, err)) != NULL)
		r = hand_over(h, options, &files, err);
	close_files(&files);
	if (r == 0)
		return h;
	agent_hand_close(h);
	return NULL;
}

int agent_hand_poll(struct agent_hand *h, struct buf *out, struct error *err)
{
	int64_t id = h->id;
	bool answers;

	if (ask(h, "GET", SLICE_EMPTY, NULL, out, &answers, err) < 0) {
		if (answers && err->kind != ERR_NOT_FOUND)	/* not found: it has started anew */
			return -1;
		error_set(err, ERR_RETRY, "the agent ended in the middle of it");
		return error_hint(err, "what was under way goes on when the agent starts; then apply the bundle again");
	}
	if (read_id(h, buf_slice(out), err) < 0)
		return -1;
	return id == h->id ? 0 : error_set(err, ERR_RETRY, "the agent has another bundle by now");
}

bool agent_hand_is_alone(const struct agent_hand *h)
{
	return h->child > 0;
}

void agent_hand_close(struct agent_hand *h)
{
	if (h == NULL)
		return;
	end_child(h, NULL);
	file_close(&h->said);
	client_free(h->client);
	free(h);
}
