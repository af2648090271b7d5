/* A child that makes large files, and names or removes them at the end. */
#include "sys/outfiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "sys/fault.h"
#include "sys/file.h"

enum request_kind { REQUEST_ADD, REQUEST_DROP, REQUEST_COMMIT };
struct request {
	enum request_kind kind;
	char name[OUTFILES_NAME_MAX + 1];
};
struct answer {
	struct error err;
	bool there;	/* of REQUEST_DROP */
};

/* ---- the child ---- */

struct made {
	char name[OUTFILES_NAME_MAX + 1];
	int fd;		/* holds the lock by which others know that it is in use; -1: to be removed at the commit */
};
struct maker {
	int dirfd;
	bool replace;
	struct made *list;
	unsigned count, room;
};

static void part_name(char out[static 256], const char *name)
{
	snprintf(out, 256, "%.*s%s", OUTFILES_NAME_MAX, name, OUTFILES_PART);
}

static struct made *remember(struct maker *m, const char *name, int fd)
{
	if (m->count == m->room) {
		m->room = m->room == 0 ? 8 : 2 * m->room;
		m->list = xreallocarray(m->list, m->room, sizeof(*m->list));
	}
	m->list[m->count] = (struct made){.fd = fd};
	snprintf(m->list[m->count].name, sizeof(m->list[0].name), "%s", name);
	return &m->list[m->count++];
}

static int check_free(const struct maker *m, const char *name, struct error *err)
{
	if (m->replace || !file_exists(m->dirfd, name))
		return 0;
	return error_set(err, ERR_CONFLICT, "'%s' is there already", name);
}

static int lock_part(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock);
}

static int add(struct maker *m, const char *name, struct error *err)
{
	char part[256];
	int fd;

	part_name(part, name);
	if (m->count >= OUTFILES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d files", OUTFILES_MAX);
	if (check_free(m, name, err) < 0)
		return -1;
	fd = file_open(m->dirfd, part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, err);
	if (fd < 0 && err->kind == ERR_CONFLICT) {
		error_set(err, ERR_RETRY, "'%s' is being written by another process", name);
		return error_hint(err, "if none is at work there, remove '%s'", part);
	}
	if (fd < 0)
		return -1;
	(void)lock_part(fd);	/* a file system without locks: others then take it for left behind only when it is */
	remember(m, name, fd);
	return fd;
}

static int drop(struct maker *m, const char *name, bool *there, struct error *err)
{
	*there = file_exists(m->dirfd, name);
	if (check_free(m, name, err) < 0)
		return -1;
	if (*there)
		remember(m, name, -1);
	return 0;
}

/* Where the file system knows no RENAME_NOREPLACE, a look before has to do. */
static int name_one(const struct maker *m, const char *name, struct error *err)
{
	char part[256];

	part_name(part, name);
	if (sys_rename(m->dirfd, part, m->dirfd, name, m->replace ? 0 : RENAME_NOREPLACE) == 0)
		return 0;
	if (!m->replace && (errno == EINVAL || errno == ENOSYS) && check_free(m, name, err) == 0 &&
	    sys_rename(m->dirfd, part, m->dirfd, name, 0) == 0)
		return 0;
	if (err->kind != ERR_NONE)
		return -1;
	error_errno(err, errno, "cannot create '%s'", name);
	if (err->sys_errno == EEXIST)
		err->kind = ERR_CONFLICT;
	return -1;
}

/* All or, as far as that can be undone, none. */
static int commit(struct maker *m, struct error *err)
{
	struct error ignored = ERROR_INIT;
	unsigned i, done;
	char part[256];

	for (done = 0; done < m->count; done++) {
		if (m->list[done].fd >= 0 && name_one(m, m->list[done].name, err) < 0)
			break;
	}
	for (i = 0; done < m->count && i < done; i++) {
		part_name(part, m->list[i].name);
		if (m->list[i].fd >= 0 && !m->replace)
			(void)sys_rename(m->dirfd, m->list[i].name, m->dirfd, part, 0);
	}
	if (done < m->count)
		return -1;
	for (i = 0; i < m->count; i++) {
		if (m->list[i].fd < 0 && file_unlink(m->dirfd, m->list[i].name, &ignored) < 0)
			ignored = ERROR_INIT;	/* an old file beside the new ones: no reason to take these back */
	}
	m->count = 0;
	return file_sync(m->dirfd, ".", err);
}

static void abandon(const struct maker *m)
{
	char part[256];
	unsigned i;

	for (i = 0; i < m->count; i++) {
		part_name(part, m->list[i].name);
		if (m->list[i].fd >= 0)
			(void)sys_unlink(m->dirfd, part, 0);
	}
}

/* What a power cut has left: parts on which nobody has a lock. */
static void sweep(int dirfd)
{
	struct error ignored = ERROR_INIT;
	int copy = file_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &ignored);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (d == NULL)
		file_close(&copy);
	while (d != NULL && (e = readdir(d)) != NULL) {
		int fd;

		if (!slice_ends(slice_str(e->d_name), SLICE_LIT(OUTFILES_PART)))
			continue;
		fd = file_open(dirfd, e->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0, &ignored);
		if (fd >= 0 && lock_part(fd) == 0)
			(void)sys_unlink(dirfd, e->d_name, 0);
		file_close(&fd);
		ignored = ERROR_INIT;
	}
	if (d != NULL)
		closedir(d);
}

/* ---- messages; one is one packet ---- */

static int send_message(int sock, const void *p, size_t n, int fd)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.room);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	do {
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent == (ssize_t)n ? 0 : -1;
}

/* *fd: the descriptor that came along, or -1. */
static int receive_message(int sock, void *p, size_t n, int *fd)
{
	struct iovec iov = {.iov_base = p, .iov_len = n};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;
	ssize_t got;

	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control.room);
	*fd = -1;
	do {
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -1;
	if ((c = CMSG_FIRSTHDR(&msg)) != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(int));
	if (got == (ssize_t)n)
		return 0;
	file_close(fd);
	return -1;
}

static int check_name(const char *name, struct error *err)
{
	if (name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		return 0;
	return error_set(err, ERR_USAGE, "'%s' is no file name", name);
}

/* Whoever asks may have given up rights that are still ours, and reads what strangers wrote: he is not believed. */
static NORETURN void serve(int sock, int dirfd, bool replace)
{
	struct maker m = {.dirfd = dirfd, .replace = replace};
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct request q;
	unsigned i;
	int none;

	/* A signal to the whole group ends the other one, and that is what we hear of. */
	for (i = 0; i < ARRAY_SIZE(ends); i++)
		(void)signal(ends[i], SIG_IGN);
	sweep(dirfd);
	while (receive_message(sock, &q, sizeof(q), &none) == 0) {
		struct answer a = {.err = ERROR_INIT};
		int fd = -1, r;

		q.name[OUTFILES_NAME_MAX] = '\0';
		if (q.kind != REQUEST_COMMIT && check_name(q.name, &a.err) < 0)
			r = -1;
		else if (q.kind == REQUEST_ADD)
			r = fd = add(&m, q.name, &a.err);
		else if (q.kind == REQUEST_DROP)
			r = drop(&m, q.name, &a.there, &a.err);
		else
			r = commit(&m, &a.err);
		if (r >= 0)
			a.err = ERROR_INIT;
		if (send_message(sock, &a, sizeof(a), fd) < 0)
			break;
	}
	abandon(&m);
	_exit(0);
}

/* ---- our side ---- */

int outfiles_open(struct outfiles *o, const char *dir, bool replace, struct error *err)
{
	int pair[2];

	*o = OUTFILES_INIT;
	if ((o->dirfd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		error_errno(err, errno, "cannot make a socket pair");
		outfiles_close(o);
		return -1;
	}
	o->pid = fork();
	if (o->pid == 0) {
		close(pair[0]);
		serve(pair[1], o->dirfd, replace);
	}
	close(pair[1]);
	o->sock = pair[0];
	if (o->pid > 0)
		return 0;
	outfiles_close(o);
	return error_set(err, ERR_FAILED, "cannot start a process");
}

static int ask(const struct outfiles *o, enum request_kind kind, const char *name, int *fd, struct answer *a,
	       struct error *err)
{
	struct request q = {.kind = kind};

	*fd = -1;
	if (strlen(name) > OUTFILES_NAME_MAX)
		return error_set(err, ERR_USAGE, "'%s': a name has at most %d bytes", name, OUTFILES_NAME_MAX);
	memcpy(q.name, name, strlen(name) + 1);
	if (send_message(o->sock, &q, sizeof(q), -1) < 0 || receive_message(o->sock, a, sizeof(*a), fd) < 0)
		return error_set(err, ERR_FAILED, "the process that should write there is gone");
	if (a->err.kind == ERR_NONE)
		return 0;
	*err = a->err;
	return -1;
}

int outfiles_add(struct outfiles *o, const char *name, struct error *err)
{
	struct answer a;
	int fd;

	if (ask(o, REQUEST_ADD, name, &fd, &a, err) < 0)
		return -1;
	return fd >= 0 ? fd : error_set(err, ERR_FAILED, "too many open files");
}

int outfiles_drop(struct outfiles *o, const char *name, bool *there, struct error *err)
{
	struct answer a;
	int fd;

	*there = false;
	if (ask(o, REQUEST_DROP, name, &fd, &a, err) < 0)
		return -1;
	*there = a.there;
	return 0;
}

int outfiles_commit(struct outfiles *o, struct error *err)
{
	struct answer a;
	int fd;

	return ask(o, REQUEST_COMMIT, "", &fd, &a, err);
}

void outfiles_close(struct outfiles *o)
{
	int status;

	/* Another child of ours may have inherited it. */
	if (o->sock >= 0)
		(void)shutdown(o->sock, SHUT_RDWR);
	file_close(&o->sock);
	file_close(&o->dirfd);
	while (o->pid > 0 && waitpid(o->pid, &status, 0) < 0 && errno == EINTR)
		;
	*o = OUTFILES_INIT;
}
