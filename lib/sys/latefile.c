/* A child that keeps root's right to write one file. */
#include "sys/latefile.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <signal.h>
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

/* The child: length, content, then the answer is an error value. An early end means: write nothing.
 */
static NORETURN void wait_for_content(int fd, const char *path, mode_t mode)
{
	struct error err = ERROR_INIT;
	uint8_t *content;
	uint64_t len;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read_full(fd, &len, sizeof(len)) < 0 || len > LATEFILE_SIZE_MAX)
		_exit(0);
	content = xmalloc((size_t)len);
	if (read_full(fd, content, (size_t)len) < 0)
		_exit(0);
	r = file_replace(AT_FDCWD, path, mode, slice_of(content, (size_t)len), &err);
	if (r == 0)
		err = ERROR_INIT;
	_exit(send_full(fd, &err, sizeof(err)) < 0 ? 1 : 0);
}

int latefile_open(struct latefile *f, const char *path, mode_t mode, struct error *err)
{
	int pair[2];

	*f = (struct latefile){.path = path, .mode = mode, .fd = -1};
	if (path == NULL || geteuid() != 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "cannot make a socket pair");
	f->pid = fork();
	if (f->pid == 0) {
		close(pair[0]);
		wait_for_content(pair[1], path, mode);
	}
	close(pair[1]);
	f->fd = pair[0];
	if (f->pid > 0)
		return 0;
	file_close(&f->fd);
	return error_set(err, ERR_FAILED, "cannot start a process");
}

/* Let the child end and forget it. */
static void end_child(struct latefile *f)
{
	int status;

	file_close(&f->fd);
	while (f->pid > 0 && waitpid(f->pid, &status, 0) < 0 && errno == EINTR)
		;
	f->pid = 0;
	f->path = NULL;
}

int latefile_commit(struct latefile *f, struct slice content, struct error *err)
{
	uint64_t len = content.len;
	struct error answer;
	const char *path = f->path;
	int r = -1;

	if (path == NULL)
		return 0;
	if (content.len > LATEFILE_SIZE_MAX) {
		error_set(err, ERR_LIMIT, "'%s' would be larger than %u bytes", path,
			  LATEFILE_SIZE_MAX);
	} else if (f->fd < 0) {
		r = file_replace(AT_FDCWD, path, f->mode, content, err);
	} else if (send_full(f->fd, &len, sizeof(len)) < 0 ||
		   send_full(f->fd, content.ptr, content.len) < 0 ||
		   read_full(f->fd, &answer, sizeof(answer)) < 0) {
		error_set(err, ERR_FAILED, "cannot write '%s': the process that should is gone",
			  path);
	} else if (answer.kind != ERR_NONE) {
		*err = answer;
	} else {
		r = 0;
	}
	end_child(f);
	return r;
}

void latefile_abort(struct latefile *f)
{
	if (f->path != NULL)
		end_child(f);
}
