/* In test builds: the n-th call that changes a file system goes wrong, as a disk or a power cut would have it. */
#include "sys/fault.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "sys/fault_internal.h"

/* FICLONE as linux/fs.h has it; clang dislikes its macro's sign. */
static int clone_file(int to, int from)
{
	return ioctl(to, (unsigned long)FICLONE, from);
}

#ifndef MESHANICS_TEST

int sys_clone(int to, int from)
{
	return clone_file(to, from);
}

#else

/* Recursive: the end of a cut removes files by the calls that are counted here. Held over each call of an armed process. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static bool armed;
static unsigned fault_calls, fault_at;
static enum fault_mode fault_kind;
static const char *worker_text;

void fault_arm(unsigned n, enum fault_mode mode)
{
	cut_reset(mode);
	fault_calls = 0;
	fault_at = n;
	fault_kind = mode;
	armed = true;
}

unsigned fault_count(void)
{
	return fault_calls;
}

/* "N:mode" as a number and a mode; -1 when it is none. */
static int parse_text(const char *text, unsigned *n, enum fault_mode *mode)
{
	static const char *const names[] = {
		[FAULT_ERROR] = "error",
		[FAULT_FULL] = "full",
		[FAULT_ROFS] = "rofs",
		[FAULT_TORN] = "torn",
		[FAULT_CUT] = "cut",
		[FAULT_CUTZERO] = "cutzero",
		[FAULT_CUTDIR] = "cutdir",
	};
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	unsigned i;

	if (value == 0 || value > 1000000 || *end != ':')
		return -1;
	for (i = FAULT_ERROR; i < ARRAY_SIZE(names); i++) {
		if (strcmp(end + 1, names[i]) == 0) {
			*n = (unsigned)value;
			*mode = (enum fault_mode)i;
			return 0;
		}
	}
	return -1;
}

int fault_arm_text(const char *text)
{
	enum fault_mode mode;
	unsigned n;

	if (parse_text(text, &n, &mode) < 0)
		return -1;
	fault_arm(n, mode);
	return 0;
}

int fault_arm_worker_text(const char *text)
{
	enum fault_mode mode;
	unsigned n;

	worker_text = text;
	return parse_text(text, &n, &mode);
}

void fault_enter_worker(void)
{
	cut_forget();
	armed = false;
	fault_kind = FAULT_NONE;
	if (worker_text != NULL && fault_arm_text(worker_text) < 0)
		abort();
}

void fault_worker_ended(int status)
{
	if (worker_text == NULL || !WIFEXITED(status) || WEXITSTATUS(status) != FAULT_CUT_STATUS)
		return;
	/* What only the worker had is lost; what we had is on disk: no call of ours was cut. */
	_exit(FAULT_CUT_STATUS);
}

static bool is_cut(void)
{
	return fault_kind == FAULT_CUT || fault_kind == FAULT_CUTZERO || fault_kind == FAULT_CUTDIR;
}

/* Count one call. True: it must fail now, errno is set (or the process has ended). */
static bool fault_now(bool grows)
{
	fault_calls++;
	if (fault_kind == FAULT_NONE || fault_calls < fault_at)
		return false;
	if (fault_calls > fault_at && fault_kind != FAULT_ROFS && !(fault_kind == FAULT_FULL && grows))
		return false;
	if (is_cut()) {
		fault_kind = FAULT_NONE;
		cut_now();
	}
	errno = fault_kind == FAULT_FULL ? ENOSPC : fault_kind == FAULT_ROFS ? EROFS : EIO;
	return true;
}

/* Is the next call a write that must be torn? */
static bool torn_next(void)
{
	return fault_calls + 1 == fault_at && (fault_kind == FAULT_TORN || is_cut());
}

/* Not on a disk: pipes, sockets, and files that were never given a name. */
static bool off_disk(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return false;
	return (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) ||
	       (S_ISREG(st.st_mode) && st.st_nlink == 0 && fcntl(fd, F_GET_SEALS) >= 0);
}

/* True: the call counts, and the lock is held until done(). */
static bool counted(int fd)
{
	if (!armed || (fd >= 0 && off_disk(fd)))
		return false;
	pthread_mutex_lock(&lock);
	return true;
}

static int done(int r)
{
	int e = errno;

	pthread_mutex_unlock(&lock);
	errno = e;
	return r;
}

static ssize_t done_bytes(ssize_t r)
{
	(void)done(0);
	return r;
}

int sys_open(int dirfd, const char *path, int flags, mode_t mode)
{
	bool changes = (flags & (O_CREAT | O_TRUNC)) != 0;
	int fd;

	if (!counted(-1))
		return openat(dirfd, path, flags, mode);
	if (!changes && fault_kind == FAULT_ROFS && fault_calls >= fault_at && (flags & O_ACCMODE) != O_RDONLY) {
		errno = EROFS;
		return done(-1);
	}
	if (changes && fault_now(true))
		return done(-1);
	if ((flags & O_CREAT) != 0)
		cut_note_name(dirfd, path);
	if ((flags & O_TRUNC) != 0 && (fd = openat(dirfd, path, O_RDWR | O_CLOEXEC | (flags & O_NOFOLLOW))) >= 0) {
		cut_note_truncate(fd, 0);
		close(fd);
	}
	return done(openat(dirfd, path, flags, mode));
}

ssize_t sys_write(int fd, const void *p, size_t n)
{
	if (!counted(fd))
		return write(fd, p, n);
	cut_note_write(fd, -1, n);
	if (torn_next() && write(fd, p, n / 2) < 0)
		return done_bytes(-1);
	return done_bytes(fault_now(true) ? -1 : write(fd, p, n));
}

ssize_t sys_pwrite(int fd, const void *p, size_t n, off_t offset)
{
	if (!counted(fd))
		return pwrite(fd, p, n, offset);
	cut_note_write(fd, offset, n);
	if (torn_next() && pwrite(fd, p, n / 2, offset) < 0)
		return done_bytes(-1);
	return done_bytes(fault_now(true) ? -1 : pwrite(fd, p, n, offset));
}

ssize_t sys_copy_range(int from, off_t *from_at, int to, off_t *to_at, size_t n)
{
	if (!counted(to))
		return copy_file_range(from, from_at, to, to_at, n, 0);
	cut_note_write(to, to_at != NULL ? *to_at : -1, n);
	return done_bytes(fault_now(true) ? -1 : copy_file_range(from, from_at, to, to_at, n, 0));
}

int sys_clone(int to, int from)
{
	if (!counted(to))
		return clone_file(to, from);
	cut_note_truncate(to, 0);
	return done(fault_now(true) ? -1 : clone_file(to, from));
}

int sys_fsync(int fd)
{
	int r;

	if (!counted(fd))
		return fsync(fd);
	if (fault_now(false))
		return done(-1);
	r = fsync(fd);
	if (r == 0)
		cut_note_synced(fd);
	return done(r);
}

/* Every file system is taken for one: tests write to one. */
int sys_syncfs(int fd)
{
	int r;

	if (!counted(fd))
		return syncfs(fd);
	if (fault_now(false))
		return done(-1);
	r = syncfs(fd);
	if (r == 0)
		cut_note_all_synced();
	return done(r);
}

int sys_ftruncate(int fd, off_t len)
{
	if (!counted(fd))
		return ftruncate(fd, len);
	cut_note_truncate(fd, len);
	return done(fault_now(false) ? -1 : ftruncate(fd, len));
}

int sys_fchmod(int fd, mode_t mode)
{
	if (!counted(fd))
		return fchmod(fd, mode);
	cut_note_mode(fd);
	return done(fault_now(false) ? -1 : fchmod(fd, mode));
}

int sys_chmod(int dirfd, const char *path, mode_t mode)
{
	return counted(-1) ? done(fault_now(false) ? -1 : fchmodat(dirfd, path, mode, 0)) : fchmodat(dirfd, path, mode, 0);
}

int sys_fchown(int fd, uid_t uid, gid_t gid)
{
	return counted(fd) ? done(fault_now(false) ? -1 : fchown(fd, uid, gid)) : fchown(fd, uid, gid);
}

int sys_futimens(int fd, const struct timespec times[2])
{
	return counted(fd) ? done(fault_now(false) ? -1 : futimens(fd, times)) : futimens(fd, times);
}

int sys_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	if (!counted(-1))
		return renameat2(from_dirfd, from, to_dirfd, to, flags);
	if (fault_now(false))
		return done(-1);
	cut_note_name(from_dirfd, from);
	cut_note_name(to_dirfd, to);
	return done(renameat2(from_dirfd, from, to_dirfd, to, flags));
}

int sys_link(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	if (!counted(-1))
		return linkat(from_dirfd, from, to_dirfd, to, 0);
	if (fault_now(true))
		return done(-1);
	cut_note_name(to_dirfd, to);
	return done(linkat(from_dirfd, from, to_dirfd, to, 0));
}

int sys_symlink(const char *target, int dirfd, const char *path)
{
	if (!counted(-1))
		return symlinkat(target, dirfd, path);
	if (fault_now(true))
		return done(-1);
	cut_note_name(dirfd, path);
	return done(symlinkat(target, dirfd, path));
}

int sys_unlink(int dirfd, const char *path, int flags)
{
	if (!counted(-1))
		return unlinkat(dirfd, path, flags);
	if (fault_now(false))
		return done(-1);
	cut_note_name(dirfd, path);
	return done(unlinkat(dirfd, path, flags));
}

int sys_mkdir(int dirfd, const char *path, mode_t mode)
{
	if (!counted(-1))
		return mkdirat(dirfd, path, mode);
	if (fault_now(true))
		return done(-1);
	cut_note_name(dirfd, path);
	return done(mkdirat(dirfd, path, mode));
}

#endif
