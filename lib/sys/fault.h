/*
 * The system calls that change a file system, under names that test builds can make fail.
 * All of lib/ that writes to disk goes through sys_*; in shipped builds they are the plain calls.
 *
 * Test builds (MESHANICS_TEST, set by SAN=1): fault_arm(n, mode) makes the n-th of these calls go wrong, so that a
 * test walks an operation at every n and finds the old state or the new one. Counting starts at fault_arm.
 */
#ifndef MESHANICS_SYS_FAULT_H
#define MESHANICS_SYS_FAULT_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"

enum fault_mode {
	FAULT_NONE = 0,
	FAULT_ERROR,	/* the n-th call does nothing and fails with EIO; later calls work */
	FAULT_FULL,	/* as FAULT_ERROR with ENOSPC, and every later write or creation fails too */
	FAULT_TORN,	/* a write writes half and then fails with EIO; any other call fails as FAULT_ERROR */
	FAULT_CUT,	/* power cut: half of the write, then half of what was never synced is lost and the process ends */
};

#define FAULT_CUT_STATUS 99	/* exit status after FAULT_CUT */

#ifdef MESHANICS_TEST

/* Start counting; n = 1 is the next call. FAULT_NONE only counts. */
void fault_arm(unsigned n, enum fault_mode mode);
/* Calls counted since fault_arm. */
unsigned fault_count(void);
/* "N:error", "N:full", "N:torn" or "N:cut" as of MESHANICS_FAULT; -1 when it is none of these. */
WARN_UNUSED int fault_arm_text(const char *text);

int sys_open(int dirfd, const char *path, int flags, mode_t mode);
ssize_t sys_write(int fd, const void *p, size_t n);
ssize_t sys_pwrite(int fd, const void *p, size_t n, off_t offset);
ssize_t sys_copy_range(int from, off_t *from_at, int to, off_t *to_at, size_t n);
int sys_clone(int to, int from);
int sys_fsync(int fd);
int sys_syncfs(int fd);
int sys_ftruncate(int fd, off_t len);
int sys_fallocate(int fd, int mode, off_t offset, off_t len);
int sys_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags);
int sys_link(int from_dirfd, const char *from, int to_dirfd, const char *to);
int sys_symlink(const char *target, int dirfd, const char *path);
int sys_unlink(int dirfd, const char *path, int flags);
int sys_mkdir(int dirfd, const char *path, mode_t mode);

#else

/* openat(2); counted only with O_CREAT or O_TRUNC. */
static inline int sys_open(int dirfd, const char *path, int flags, mode_t mode)
{
	return openat(dirfd, path, flags, mode);
}

static inline ssize_t sys_write(int fd, const void *p, size_t n)
{
	return write(fd, p, n);
}

static inline ssize_t sys_pwrite(int fd, const void *p, size_t n, off_t offset)
{
	return pwrite(fd, p, n, offset);
}

static inline ssize_t sys_copy_range(int from, off_t *from_at, int to, off_t *to_at, size_t n)
{
	return copy_file_range(from, from_at, to, to_at, n, 0);
}

int sys_clone(int to, int from);	/* ioctl FICLONE, the whole file */

static inline int sys_fsync(int fd)
{
	return fsync(fd);
}

static inline int sys_syncfs(int fd)
{
	return syncfs(fd);
}

static inline int sys_ftruncate(int fd, off_t len)
{
	return ftruncate(fd, len);
}

static inline int sys_fallocate(int fd, int mode, off_t offset, off_t len)
{
	return fallocate(fd, mode, offset, len);
}

static inline int sys_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	return renameat2(from_dirfd, from, to_dirfd, to, flags);
}

static inline int sys_link(int from_dirfd, const char *from, int to_dirfd, const char *to)
{
	return linkat(from_dirfd, from, to_dirfd, to, 0);
}

static inline int sys_symlink(const char *target, int dirfd, const char *path)
{
	return symlinkat(target, dirfd, path);
}

static inline int sys_unlink(int dirfd, const char *path, int flags)
{
	return unlinkat(dirfd, path, flags);
}

static inline int sys_mkdir(int dirfd, const char *path, mode_t mode)
{
	return mkdirat(dirfd, path, mode);
}

#endif
#endif
