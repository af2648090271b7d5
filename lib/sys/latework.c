/* A child that keeps root's rights for one kind of work. */
#include "sys/latework.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/file.h"

/* All n bytes, or -1 at an early end. */
static int read_full(int fd, void *p, size_t n)
{
	uint8_t *at = p;

	while (n > 0) {
		ssize_t got = read(fd, at, n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

/* MSG_NOSIGNAL: a child that is gone is an error, not our end. */
static int send_full(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n > 0) {
		ssize_t put = send(fd, at, n, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return -1;
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

/* The child, for each message: length, content, then the answer is an error value. An early end means: do nothing. */
static NORETURN void wait_for_messages(const struct latework *l, int fd)
{
	struct error err;
	uint8_t *content;
	uint64_t len;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read_full(fd, &len, sizeof(len)) == 0 && len <= LATEWORK_MESSAGE_MAX) {
		content = xmalloc((size_t)len + 1);
		if (read_full(fd, content, (size_t)len) < 0)
			break;
		err = ERROR_INIT;
		if (l->work(l->arg, slice_of(content, (size_t)len), &err) == 0)
			err = ERROR_INIT;
		explicit_bzero(content, (size_t)len);
		free(content);
		if (send_full(fd, &err, sizeof(err)) < 0)
			_exit(1);
	}
	_exit(0);
}

int latework_open(struct latework *l, int (*work)(void *arg, struct slice message, struct error *err), void *arg,
		  struct error *err)
{
	int pair[2];

	*l = (struct latework){.work = work, .arg = arg, .fd = -1};
	if (geteuid() != 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot make a socket pair");
	l->pid = fork();
	if (l->pid == 0) {
		close(pair[0]);
		wait_for_messages(l, pair[1]);
	}
	close(pair[1]);
	l->fd = pair[0];
	if (l->pid > 0)
		return 0;
	file_close(&l->fd);
	return error_set(err, ERR_FAILED, "cannot start a process");
}

int latework_call(struct latework *l, struct slice message, struct error *err)
{
	uint64_t len = message.len;
	struct error answer;

	if (message.len > LATEWORK_MESSAGE_MAX)
		return error_set(err, ERR_LIMIT, "it would be larger than %u bytes", LATEWORK_MESSAGE_MAX);
	if (l->fd < 0)
		return l->work(l->arg, message, err);
	if (send_full(l->fd, &len, sizeof(len)) < 0 || send_full(l->fd, message.ptr, message.len) < 0 ||
	    read_full(l->fd, &answer, sizeof(answer)) < 0)
		return error_set(err, ERR_FAILED, "the process that should write is gone");
	if (answer.kind == ERR_NONE)
		return 0;
	*err = answer;
	return -1;
}

void latework_close(struct latework *l)
{
	int status;

	file_close(&l->fd);
	while (l->pid > 0 && waitpid(l->pid, &status, 0) < 0 && errno == EINTR)
		;
	l->pid = 0;
	l->work = NULL;
}
