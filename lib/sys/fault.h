/*
 * The system calls that change a file system, under names that test builds can make fail. All changes that meshanics
 * makes to a disk go through sys_* (tests/lint sees to it), SQLite's too (lib/db/db_fault.c); in shipped builds they
 * are the plain calls.
 *
 * Test builds (MESHANICS_TEST, set by SAN=1): fault_arm(n, mode) makes the n-th of these calls go wrong, so that a
 * test walks an operation at every n and finds the old state or the new one. Counting starts at fault_arm. Programs
 * take MESHANICS_FAULT=N:MODE from the environment. Calls on pipes, sockets and memfds are not counted. Any thread
 * may call.
 *
 * The agent is two processes: MESHANICS_FAULT goes to the supervisor, MESHANICS_FAULT_WORKER to the worker, each with
 * a count of its own. A cut ends both.
 *
 * In `make check` the long walks take every k-th call, another k-th in each mode; with WALK_ALL=1 (or SOAK_ROUNDS
 * set, as by `make soak`) they take every one:
 *	WALK_ALL=1 build/san/tests/unit/test_agent_walk
 *	WALK_ALL=1 MESHANICS=$PWD/build/san/meshanics sh tests/e2e/t0535-agent-walk.sh
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
	FAULT_ROFS,	/* as FAULT_ERROR with EROFS, and every later call fails too: the kernel gave the disk up */
	FAULT_TORN,	/* a write writes half and then fails with EIO; any other call fails as FAULT_ERROR */
	/* Power cuts: a write writes half, then what was never synced is lost, and the process ends. What is lost: */
	FAULT_CUT,	/* half of the bytes that made a file longer; names, modes and overwritten bytes are there */
	FAULT_CUTZERO,	/* every byte and mode that was not synced, while all names are there */
	FAULT_CUTDIR,	/* all of that, and names whose directory was not synced: the disk has what was synced, no more */
};

#define FAULT_CUT_STATUS 99	/* exit status after a power cut */

#ifdef MESHANICS_TEST

/* Start counting; n = 1 is the next call. FAULT_NONE only counts. */
void fault_arm(unsigned n, enum fault_mode mode);
/* Calls counted since fault_arm. */
unsigned fault_count(void);
/* "N:MODE" with MODE error, full, rofs, torn, cut, cutzero or cutdir; -1 when it is none of these. */
WARN_UNUSED int fault_arm_text(const char *text);
/* The same for the agent's worker; text is kept. */
WARN_UNUSED int fault_arm_worker_text(const char *text);
/* In the worker, before it closes what it inherited: its own counting begins, if any. */
void fault_enter_worker(void);
/* The supervisor has seen its worker end; if that was a power cut, it is ours, too. status as of waitpid. */
void fault_worker_ended(int status);

int sys_open(int dirfd, const char *path, int flags, mode_t mode);
ssize_t sys_write(int fd, const void *p, size_t n);
ssize_t sys_pwrite(int fd, const void *p, size_t n, off_t offset);
ssize_t sys_copy_range(int from, off_t *from_at, int to, off_t *to_at, size_t n);
int sys_clone(int to, int from);
int sys_fsync(int fd);
int sys_syncfs(int fd);
int sys_ftruncate(int fd, off_t len);
int sys_fchmod(int fd, mode_t mode);
int sys_chmod(int dirfd, const char *path, mode_t mode);	/* follows a link */
int sys_fchown(int fd, uid_t uid, gid_t gid);
int sys_futimens(int fd, const struct timespec times[2]);
int sys_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags);
int sys_link(int from_dirfd, const char *from, int to_dirfd, const char *to);
int sys_symlink(const char *target, int dirfd, const char *path);
int sys_unlink(int dirfd, const char *path, int flags);
int sys_mkdir(int dirfd, const char *path, mode_t mode);

#else

static inline void fault_enter_worker(void)
{
}

static inline void fault_worker_ended(int status)
{
	(void)status;
}

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

static inline int sys_fchmod(int fd, mode_t mode)
{
	return fchmod(fd, mode);
}

static inline int sys_chmod(int dirfd, const char *path, mode_t mode)
{
	return fchmodat(dirfd, path, mode, 0);
}

static inline int sys_fchown(int fd, uid_t uid, gid_t gid)
{
	return fchown(fd, uid, gid);
}

static inline int sys_futimens(int fd, const struct timespec times[2])
{
	return futimens(fd, times);
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
