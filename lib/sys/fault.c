/* In test builds: the n-th call that changes a file system goes wrong, as a disk or a power cut would have it. */
#include "sys/fault.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

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

#define TRACKED_MAX 256

static unsigned fault_calls, fault_at;
static enum fault_mode fault_kind;

/* Files written since they were last synced: what a power cut takes away. */
static struct {
	int fd;		/* a duplicate, -1 when the place is free */
	off_t synced;	/* length that is safe */
	dev_t dev;
	ino_t ino;
} tracked[TRACKED_MAX];
static bool tracked_ready;

static void tracked_reset(void)
{
	unsigned i;

	for (i = 0; i < TRACKED_MAX; i++) {
		if (tracked_ready && tracked[i].fd >= 0)
			close(tracked[i].fd);
		tracked[i].fd = -1;
	}
	tracked_ready = true;
}

void fault_arm(unsigned n, enum fault_mode mode)
{
	tracked_reset();
	fault_calls = 0;
	fault_at = n;
	fault_kind = mode;
}

unsigned fault_count(void)
{
	return fault_calls;
}

int fault_arm_text(const char *text)
{
	static const char *const names[] = {
		[FAULT_ERROR] = "error",
		[FAULT_FULL] = "full",
		[FAULT_TORN] = "torn",
		[FAULT_CUT] = "cut",
	};
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	unsigned i;

	if (n == 0 || n > 1000000 || *end != ':')
		return -1;
	for (i = FAULT_ERROR; i < ARRAY_SIZE(names); i++) {
		if (strcmp(end + 1, names[i]) == 0) {
			fault_arm((unsigned)n, (enum fault_mode)i);
			return 0;
		}
	}
	return -1;
}

/* The place in the table of the file behind fd, or a free one, or -1. */
static int tracked_find(const struct stat *st, bool make)
{
	int i, spare = -1;

	for (i = 0; i < TRACKED_MAX; i++) {
		if (tracked[i].fd < 0)
			spare = i;
		else if (tracked[i].dev == st->st_dev && tracked[i].ino == st->st_ino)
			return i;
	}
	return make ? spare : -1;
}

/* Before the first unsynced change of a file: remember how much of it is safe. */
static void track_write(int fd)
{
	struct stat st;
	int i;

	if (fault_kind != FAULT_CUT || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	i = tracked_find(&st, true);
	if (i < 0 || tracked[i].fd >= 0)
		return;
	tracked[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	tracked[i].synced = st.st_size;
	tracked[i].dev = st.st_dev;
	tracked[i].ino = st.st_ino;
}

static void track_synced(int fd)
{
	struct stat st;
	int i;

	if (fault_kind != FAULT_CUT || fstat(fd, &st) < 0)
		return;
	i = tracked_find(&st, false);
	if (i < 0)
		return;
	close(tracked[i].fd);
	tracked[i].fd = -1;
}

static NORETURN void power_cut(void)
{
	struct stat st;
	off_t keep;
	int i;

	for (i = 0; i < TRACKED_MAX; i++) {
		if (tracked[i].fd < 0)
			continue;
		keep = tracked[i].synced;
		if (fstat(tracked[i].fd, &st) == 0 && st.st_size > keep)
			keep += (st.st_size - keep) / 2;
		if (ftruncate(tracked[i].fd, keep) < 0)
			abort();
	}
	_exit(FAULT_CUT_STATUS);
}

/* Count one call. True: it must fail now, errno is set (or the process has ended). */
static bool fault_now(bool grows)
{
	fault_calls++;
	if (fault_kind == FAULT_NONE || fault_calls < fault_at)
		return false;
	if (fault_calls > fault_at && !(fault_kind == FAULT_FULL && grows))
		return false;
	if (fault_kind == FAULT_CUT)
		power_cut();
	errno = fault_kind == FAULT_FULL ? ENOSPC : EIO;
	return true;
}

/* Is the next call a write that must be torn? */
static bool torn_next(void)
{
	return fault_calls + 1 == fault_at && (fault_kind == FAULT_TORN || fault_kind == FAULT_CUT);
}

int sys_open(int dirfd, const char *path, int flags, mode_t mode)
{
	if ((flags & (O_CREAT | O_TRUNC)) != 0 && fault_now(true))
		return -1;
	return openat(dirfd, path, flags, mode);
}

ssize_t sys_write(int fd, const void *p, size_t n)
{
	track_write(fd);
	if (torn_next() && write(fd, p, n / 2) < 0)
		return -1;
	if (fault_now(true))
		return -1;
	return write(fd, p, n);
}

ssize_t sys_pwrite(int fd, const void *p, size_t n, off_t offset)
{
	track_write(fd);
	if (torn_next() && pwrite(fd, p, n / 2, offset) < 0)
		return -1;
	if (fault_now(true))
		return -1;
	return pwrite(fd, p, n, offset);
}

ssize_t sys_copy_range(int from, off_t *from_at, int to, off_t *to_at, size_t n)
{
	track_write(to);
	if (fault_now(true))
		return -1;
	return copy_file_range(from, from_at, to, to_at, n, 0);
}

int sys_clone(int to, int from)
{
	track_write(to);
	if (fault_now(true))
		return -1;
	return clone_file(to, from);
}

int sys_fsync(int fd)
{
	if (fault_now(false))
		return -1;
	track_synced(fd);
	return fsync(fd);
}

/* Every file system is taken for one: tests write to one. */
int sys_syncfs(int fd)
{
	if (fault_now(false))
		return -1;
	tracked_reset();
	return syncfs(fd);
}

int sys_ftruncate(int fd, off_t len)
{
	track_write(fd);
	if (fault_now(false))
		return -1;
	return ftruncate(fd, len);
}

int sys_fallocate(int fd, int mode, off_t offset, off_t len)
{
	track_write(fd);
	if (fault_now(true))
		return -1;
	return fallocate(fd, mode, offset, len);
}

int sys_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	if (fault_now(false))
		return -1;
	return renameat2(from_dirfd, from, to_dirfd, to, flags);
}

int sys_link(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	if (fault_now(true))
		return -1;
	return linkat(from_dirfd, from, to_dirfd, to, 0);
}

int sys_symlink(const char *target, int dirfd, const char *path)
{
	if (fault_now(true))
		return -1;
	return symlinkat(target, dirfd, path);
}

int sys_unlink(int dirfd, const char *path, int flags)
{
	if (fault_now(false))
		return -1;
	return unlinkat(dirfd, path, flags);
}

int sys_mkdir(int dirfd, const char *path, mode_t mode)
{
	if (fault_now(true))
		return -1;
	return mkdirat(dirfd, path, mode);
}

#endif
