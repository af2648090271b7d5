/* Starting other programs, waiting for them, and making sure that they end. */
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/clock.h"

static const char *const default_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LC_ALL=C.UTF-8",
	NULL,
};

/* ---- the child between fork and exec: async-signal-safe calls only ---- */

/* Default dispositions: what the parent ignores (SIGPIPE) would be ignored across exec. */
static void child_signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		sigaction(i, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptor fd, or /dev/null, out of the way of 0, 1 and 2. */
static int child_lift(int fd)
{
	if (fd < 0)
		fd = open("/dev/null", O_RDWR);
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int child_descriptors(const struct process_spec *spec)
{
	int in = child_lift(spec->stdin_fd), out = child_lift(spec->stdout_fd), errors = child_lift(spec->stderr_fd);

	if (in < 0 || out < 0 || errors < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(errors, 2) < 0)
		return -1;
	/* Ours are all O_CLOEXEC; this is for what a library or our own parent left open. */
	(void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	return 0;
}

static int child_user(const struct process_spec *spec)
{
	if (!spec->switch_user)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(spec->gid, spec->gid, spec->gid) < 0)
		return -1;
	return setresuid(spec->uid, spec->uid, spec->uid);
}

/* Never returns; what went wrong before exec goes to the parent through report. */
static NORETURN void child_run(const struct process_spec *spec, int report, pid_t parent)
{
	const char *const *env = spec->env == NULL ? default_env : spec->env;
	int e;

	child_signals();
	report = fcntl(report, F_DUPFD_CLOEXEC, 10);
	if (setpgid(0, 0) == 0 && child_descriptors(spec) == 0 && chdir(spec->dir == NULL ? "/" : spec->dir) == 0 &&
	    child_user(spec) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent) {
		/* execve does not write to them; its prototype is older than const. */
		execve(spec->argv[0], (char *const *)(uintptr_t)spec->argv, (char *const *)(uintptr_t)env);
	}
	e = errno;
	while (write(report, &e, sizeof(e)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* ---- the parent ---- */

/* Fork with all signals blocked, so that no handler of ours runs in the child. */
static pid_t fork_quietly(const struct process_spec *spec, int report)
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child_run(spec, report, parent);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

/* What the child reported before exec: 0 when exec took place. */
static int read_report(int fd)
{
	int e = 0;
	ssize_t n;

	do {
		n = read(fd, &e, sizeof(e));
	} while (n < 0 && errno == EINTR);
	return n == 0 ? 0 : n == (ssize_t)sizeof(e) && e != 0 ? e : EIO;
}

static int start_failed(struct error *err, int e, const char *program)
{
	error_errno(err, e, "cannot start '%s'", program);
	if (e == ENOENT)
		err->kind = ERR_NOT_FOUND;
	return -1;
}

int process_start(struct process *p, const struct process_spec *spec, struct error *err)
{
	int report[2], e;

	*p = PROCESS_INIT;
	if (spec->argv[0] == NULL || spec->argv[0][0] != '/')
		return error_set(err, ERR_USAGE, "program '%s' is not an absolute path",
				 spec->argv[0] == NULL ? "" : spec->argv[0]);
	if (pipe2(report, O_CLOEXEC) < 0)
		return start_failed(err, errno, spec->argv[0]);
	p->pid = fork_quietly(spec, report[1]);
	e = errno;
	close(report[1]);
	if (p->pid < 0) {
		p->pid = 0;
		close(report[0]);
		return start_failed(err, e, spec->argv[0]);
	}
	e = read_report(report[0]);
	close(report[0]);
	if (e == 0) {
		p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
		if (p->pidfd >= 0)
			return 0;
		e = errno;
	}
	process_release(p);
	return start_failed(err, e, spec->argv[0]);
}

int process_signal(const struct process *p, int signo, struct error *err)
{
	if (p->pid <= 0)
		return error_set(err, ERR_NOT_FOUND, "no process to signal");
	/* Not reaped yet, so the number is still its own. The group may not exist for an instant after fork. */
	if (kill(-p->pid, signo) < 0 && kill(p->pid, signo) < 0)
		return error_errno(err, errno, "cannot signal process %d", (int)p->pid);
	return 0;
}

/* Wait for the end of the child and forget it; 0..255 or 128 + N. */
static int reap(struct process *p)
{
	int status = 0;
	pid_t r;

	do {
		r = waitpid(p->pid, &status, 0);
	} while (r < 0 && errno == EINTR);
	if (p->pidfd >= 0)
		close(p->pidfd);
	*p = PROCESS_INIT;
	if (r < 0)
		return 255;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ms left until deadline; -1 without one. */
static int left_ms(int64_t deadline_ms)
{
	int64_t left;

	if (deadline_ms < 0)
		return -1;
	left = deadline_ms - clock_mono_ms();
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

static int64_t deadline_after(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : clock_mono_ms() + timeout_ms;
}

int process_wait(struct process *p, int timeout_ms, int *status, struct error *err)
{
	struct pollfd pfd = {.fd = p->pidfd, .events = POLLIN};
	int64_t deadline_ms = deadline_after(timeout_ms);
	int n;

	if (p->pid <= 0)
		return error_set(err, ERR_NOT_FOUND, "no process to wait for");
	do {
		n = poll(&pfd, 1, left_ms(deadline_ms));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_errno(err, errno, "cannot wait for process %d", (int)p->pid);
	if (n == 0)
		return error_set(err, ERR_RETRY, "process %d still runs", (int)p->pid);
	*status = reap(p);
	return 0;
}

void process_release(struct process *p)
{
	if (p->pid <= 0)
		return;
	if (kill(-p->pid, SIGKILL) < 0)
		kill(p->pid, SIGKILL);
	(void)reap(p);
}

/* ---- run: feed, collect, wait ---- */

struct run {
	struct process child;
	int in, out, errors;		/* our ends; -1 when closed */
	struct slice input;		/* still to be fed */
	struct buf *out_buf, *errors_buf;
};

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A pipe whose `ours` end does not block. */
static int open_pipe(int *ours, int *theirs, bool we_write, struct error *err)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return error_errno(err, errno, "cannot make a pipe");
	*ours = fds[we_write];
	*theirs = fds[!we_write];
	fcntl(*ours, F_SETFL, O_NONBLOCK);
	return 0;
}

static void feed(struct run *r)
{
	ssize_t n = write(r->in, r->input.ptr, r->input.len);

	if (n > 0)
		r->input = slice_sub(r->input, (size_t)n, r->input.len);
	if (r->input.len == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		drop(&r->in);	/* all said, or nobody listens: the exit status will tell */
}

/* Read once; what does not fit is dropped and marks the buf. */
static void collect(int *fd, struct buf *out)
{
	uint8_t chunk[16384];
	ssize_t n = read(*fd, chunk, sizeof(chunk));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		drop(fd);
		return;
	}
	if (n <= 0 || out == NULL)
		return;
	if ((size_t)n > out->max - out->len) {
		buf_put(out, chunk, out->max - out->len);
		out->failed = true;
	}
	buf_put(out, chunk, (size_t)n);
}

/* One turn: 1 when the child has ended and nothing is left to read, 0 to go on, -1 with err. */
static int turn(struct run *r, int wait_ms, struct error *err)
{
	struct pollfd p[4] = {
		{.fd = r->child.pidfd, .events = POLLIN},
		{.fd = r->in, .events = POLLOUT},
		{.fd = r->out, .events = POLLIN},
		{.fd = r->errors, .events = POLLIN},
	};
	int n = poll(p, 4, wait_ms);

	if (n < 0 && errno != EINTR)
		return error_errno(err, errno, "cannot wait");
	if (n < 0)
		return 0;
	if (n == 0)
		return error_set(err, ERR_RETRY, "it took too long and was killed");
	if (p[2].revents != 0)
		collect(&r->out, r->out_buf);
	if (p[3].revents != 0)
		collect(&r->errors, r->errors_buf);
	if (p[2].revents == 0 && p[3].revents == 0 && p[0].revents != 0)
		return 1;	/* grandchildren may still hold the pipes: not our concern */
	if (p[1].revents != 0)
		feed(r);
	return 0;
}

static int open_run(struct run *r, struct process_spec *s, struct error *err)
{
	if (open_pipe(&r->in, &s->stdin_fd, true, err) < 0 || open_pipe(&r->out, &s->stdout_fd, false, err) < 0 ||
	    open_pipe(&r->errors, &s->stderr_fd, false, err) < 0)
		return -1;
	return process_start(&r->child, s, err);
}

int process_run(const struct process_spec *spec, struct slice input, struct buf *out, struct buf *errors,
		int timeout_ms, int *status, struct error *err)
{
	struct run r = {
		.child = PROCESS_INIT, .in = -1, .out = -1, .errors = -1,
		.input = input, .out_buf = out, .errors_buf = errors,
	};
	struct process_spec s = *spec;
	int64_t deadline_ms = deadline_after(timeout_ms);
	int done = -1;

	s.stdin_fd = s.stdout_fd = s.stderr_fd = -1;
	if (open_run(&r, &s, err) < 0)
		goto out;
	drop(&s.stdin_fd);
	drop(&s.stdout_fd);
	drop(&s.stderr_fd);
	if (input.len == 0)
		drop(&r.in);
	do {
		done = turn(&r, left_ms(deadline_ms), err);
	} while (done == 0);
	if (done > 0)
		*status = reap(&r.child);
	else
		error_wrap(err, "'%s'", spec->argv[0]);
out:
	process_release(&r.child);
	drop(&r.in);
	drop(&r.out);
	drop(&r.errors);
	drop(&s.stdin_fd);
	drop(&s.stdout_fd);
	drop(&s.stderr_fd);
	return done > 0 ? 0 : -1;
}
