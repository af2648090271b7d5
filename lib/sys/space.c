/* Free space, reservations, and the file that gives its blocks back. */
#include "sys/space.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "sys/fault.h"
#include "sys/file.h"

#define BLOCK_UNIT 512	/* of st_blocks */

bool space_is_error(const struct error *err)
{
	return err->sys_errno == ENOSPC || err->sys_errno == EDQUOT;
}

int space_need(int dirfd, const char *where, uint64_t bytes, uint64_t keep, struct error *err)
{
	char beside[64] = "";
	uint64_t free_bytes;

	if (file_free_bytes(dirfd, &free_bytes, err) < 0)
		return -1;
	if (bytes <= UINT64_MAX - keep && free_bytes >= bytes + keep)
		return 0;
	if (keep > 0)
		snprintf(beside, sizeof(beside), " and %" PRIu64 " that stay free", keep);
	error_set(err, ERR_RETRY, "needs %" PRIu64 " bytes in '%s'%s, %" PRIu64 " are free", bytes, where, beside, free_bytes);
	err->sys_errno = ENOSPC;
	return error_hint(err, "make room on that file system, or give it a larger one");
}

/* mode as of fallocate(2). 1: done, 0: not on this file system, -1. */
static int allocate(int fd, int mode, uint64_t from, uint64_t to)
{
	int r;

	do {
		r = sys_fallocate(fd, mode, (off_t)from, (off_t)(to - from));
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return 1;
	return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -1;
}

int space_take(int fd, uint64_t len, const char *what, struct error *err)
{
	struct stat st;
	int why;

	if (len == 0 || allocate(fd, FALLOC_FL_KEEP_SIZE, 0, len) >= 0)
		return 0;
	why = errno;
	/* Some file systems have taken a part by then, past the end of the file. */
	if (fstat(fd, &st) == 0)
		(void)!sys_ftruncate(fd, st.st_size);
	error_errno(err, why, "cannot take room for %" PRIu64 " bytes of '%s'", len, what);
	if (space_is_error(err)) {
		err->kind = ERR_RETRY;
		error_hint(err, "make room on that file system, or give it a larger one");
	}
	return -1;
}

uint64_t space_taken(int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return (uint64_t)st.st_blocks * BLOCK_UNIT;
}

/* ---- spare ---- */

static int open_spare(const struct spare *s)
{
	struct error ignored = ERROR_INIT;

	return file_open(s->dirfd, s->name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &ignored);
}

/* Without fallocate: zeros hold the blocks as well. Returns how far they go. */
static uint64_t fill_with_zeros(int fd, uint64_t from, uint64_t to)
{
	static const uint8_t zeros[65536];
	struct error ignored = ERROR_INIT;

	while (from < to) {
		size_t n = to - from < sizeof(zeros) ? (size_t)(to - from) : sizeof(zeros);

		if (file_pwrite_all(fd, slice_of(zeros, n), from, "spare", &ignored) < 0)
			break;
		from += n;
	}
	return from;
}

void spare_look(struct spare *s)
{
	uint64_t taken = space_taken(s->dirfd, s->name);

	s->held = taken < s->size ? taken : s->size;
}

void spare_open(struct spare *s)
{
	spare_look(s);
	spare_refill(s);
}

bool spare_give(struct spare *s)
{
	uint64_t less = s->held > s->step ? s->held - s->step : 0;
	int fd;

	if (s->held == 0 || (fd = open_spare(s)) < 0)
		return false;
	if (sys_ftruncate(fd, (off_t)less) < 0) {
		file_close(&fd);
		return false;
	}
	file_close(&fd);
	s->held = less;
	return true;
}

/* SQLite does not always tell which error it met, so that a disk without a piece's room counts as full. */
bool spare_again(struct spare *s, const struct error *err)
{
	struct error ignored = ERROR_INIT;
	uint64_t free_bytes;

	if (!space_is_error(err) && (file_free_bytes(s->dirfd, &free_bytes, &ignored) < 0 || free_bytes >= s->step))
		return false;
	return spare_give(s);
}

void spare_refill(struct spare *s)
{
	struct error ignored = ERROR_INIT;
	uint64_t free_bytes;
	int fd, r;

	if (spare_whole(s) || file_free_bytes(s->dirfd, &free_bytes, &ignored) < 0 ||
	    free_bytes < s->size - s->held + s->keep || (fd = open_spare(s)) < 0)
		return;
	r = allocate(fd, 0, s->held, s->size);
	if (r == 0)
		s->held = fill_with_zeros(fd, s->held, s->size);
	file_close(&fd);
	if (r != 0)
		spare_look(s);
}
