/* One attempt of a probe, in a child that cannot outlive its timeout. */
#include "agent/probe.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/client.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/sandbox.h"

#define PROBE_BODY_MAX (1u << 20)
#define PROBE_FD 3
#define PROBE_PASSED "+"	/* what a child says instead of a reason */

static int probe_http(const struct probe *p, struct error *err)
{
	struct client_params params = CLIENT_PARAMS_INIT;
	struct client_request q = CLIENT_REQUEST_INIT;
	struct client_response a = CLIENT_RESPONSE_INIT;
	struct client *c;
	struct url url;
	int r = -1;

	if (url_parse(&url, slice_str(p->target), URL_HTTP, err) < 0)
		return -1;
	params.url = &url;
	params.connect_ms = params.stall_ms = p->timeout_s * 1000;
	if ((c = client_new(&params, err)) == NULL)
		return -1;
	q.method = "GET";
	q.target = url.target;
	q.timeout_ms = p->timeout_s * 1000;
	q.now_s = clock_now_s();
	q.body_max = PROBE_BODY_MAX;
	q.head_only = true;
	if (client_do(c, &q, &a, err) == 0) {
		if (a.status >= 200 && a.status <= 299)
			r = 0;
		else
			error_set(err, ERR_FAILED, "'%s' answered %d", p->target, a.status);
	}
	client_response_release(&a);
	client_free(c);
	return r;
}

/* Connect within the time left; only the handshake of TCP counts. */
static int connect_one(const struct addrinfo *ai, int timeout_ms, struct error *err)
{
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, ai->ai_protocol), e = 0;
	socklen_t len = sizeof(e);

	if (fd < 0)
		return error_errno(err, errno, "cannot make a socket");
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		struct pollfd w = {.fd = fd, .events = POLLOUT};

		e = errno;
		if (e == EINPROGRESS) {
			e = poll(&w, 1, timeout_ms) == 1 ? 0 : ETIMEDOUT;
			if (e == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
				e = errno;
		}
	}
	close(fd);
	return e == 0 ? 0 : error_errno(err, e, "cannot connect");
}

static int probe_tcp(const struct probe *p, struct error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list = NULL, *ai;
	const char *colon = strrchr(p->target, ':');
	char host[DESCRIPTOR_STRING_MAX + 1];
	size_t host_len = colon == NULL ? 0 : (size_t)(colon - p->target);
	const char *start = p->target;
	int e, r = -1;

	if (colon == NULL)
		return error_set(err, ERR_MALFORMED, "'%s' is not HOST:PORT", p->target);
	if (host_len >= 2 && start[0] == '[' && start[host_len - 1] == ']') {
		start++;
		host_len -= 2;
	}
	snprintf(host, sizeof(host), "%.*s", (int)host_len, start);
	if ((e = getaddrinfo(host, colon + 1, &hints, &list)) != 0)
		return error_set(err, ERR_FAILED, "cannot resolve '%s': %s", host, gai_strerror(e));
	for (ai = list; ai != NULL && r < 0; ai = ai->ai_next)
		r = connect_one(ai, (int)p->timeout_s * 1000, err);
	freeaddrinfo(list);
	return r < 0 ? error_wrap(err, "'%s'", p->target) : 0;
}

static int probe_file(const struct probe *p, struct error *err)
{
	struct stat st;

	if (stat(p->target, &st) < 0)
		return error_errno(err, errno, "'%s'", p->target);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return error_set(err, ERR_FAILED, "'%s' is empty or no file", p->target);
	return 0;
}

int probe_run(const struct probe *p, struct error *err)
{
	switch (p->type) {
	case PROBE_HTTP:
		return probe_http(p, err);
	case PROBE_TCP:
		return probe_tcp(p, err);
	case PROBE_FILE:
		return probe_file(p, err);
	case PROBE_EXEC:
		break;
	}
	return error_set(err, ERR_REFUSED, "this device allows no programs as probes");
}

/* In the child. The alarm is the last word on the timeout: name look-up has none of its own. */
static NORETURN void child_main(const struct probe *p, int fd)
{
	struct sandbox box = {.network = true, .profile = SANDBOX_CLIENT, .files_max = 32};
	static const char *const everything[] = {"/", NULL};
	struct error err = ERROR_INIT;
	unsigned abi;

	/* Nothing of the supervisor's, its lock above all, lives on in a probe. */
	if (dup2(fd, PROBE_FD) < 0)
		_exit(1);
	close_range(PROBE_FD + 1, ~0u, 0);
	fd = PROBE_FD;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	alarm((unsigned)p->timeout_s + 1);
	box.read_paths = everything;
	if (sandbox_enter(&box, &abi, &err) == 0 && probe_run(p, &err) == 0)
		snprintf(err.text, sizeof(err.text), "%s", PROBE_PASSED);
	(void)!write(fd, err.text, strlen(err.text));
	_exit(0);
}

int probe_start(struct probe_attempt *a, const struct probe *p, struct error *err)
{
	sigset_t none;
	int fds[2];

	if (p->type == PROBE_EXEC)
		return probe_run(p, err);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot make a pipe");
	a->pid = fork();
	if (a->pid < 0) {
		a->pid = 0;
		close(fds[0]);
		close(fds[1]);
		return error_errno(err, errno, "cannot start the probe");
	}
	if (a->pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close(fds[0]);
		child_main(p, fds[1]);
	}
	close(fds[1]);
	a->fd = fds[0];
	return 0;
}

int probe_finish(struct probe_attempt *a, struct error *err)
{
	char text[PROBE_REASON_MAX];
	ssize_t n = read(a->fd, text, sizeof(text));
	int status = -1;
	pid_t got;

	/* It has said all it had to say: there is nothing in it to wait for. */
	kill(a->pid, SIGKILL);
	do {
		got = waitpid(a->pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	file_close(&a->fd);
	a->pid = 0;
	if (n > 0 && slice_equal_str(slice_of(text, (size_t)n), PROBE_PASSED))
		return 0;
	if (n > 0)
		return error_set(err, ERR_FAILED, "%.*s", (int)n, text);
	if (got > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return error_set(err, ERR_FAILED, "no answer in time");
	return error_set(err, ERR_FAILED, "the probe ended without a word");
}

void probe_kill(struct probe_attempt *a)
{
	if (a->pid > 0) {
		kill(a->pid, SIGKILL);
		while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	a->pid = 0;
	file_close(&a->fd);
}
