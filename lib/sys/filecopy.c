/* Copies of large files by the cheapest means that the file systems offer. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/fault.h"
#include "sys/file.h"

#define COPY_CHUNK (1u << 20)
#define COPY_RANGE_MAX (1u << 30)

static int too_short(uint64_t at, uint64_t len, struct error *err)
{
	return error_set(err, ERR_CONFLICT, "the file ends after %llu of %llu bytes: it changed while it was read",
			 (unsigned long long)at, (unsigned long long)len);
}

/* What is left of a copy, through memory. */
static int copy_loop(int from, int to, uint64_t at, uint64_t len, struct error *err)
{
	uint8_t *chunk = xmalloc_io(COPY_CHUNK);
	int r = -1;

	while (at < len) {
		size_t want = len - at < COPY_CHUNK ? (size_t)(len - at) : COPY_CHUNK;
		ssize_t n = file_pread(from, chunk, want, at, "the source of a copy", err);

		if (n == 0)
			too_short(at, len, err);
		if (n <= 0 || file_pwrite_all(to, slice_of(chunk, (size_t)n), at, "the copy", err) < 0)
			goto out;
		at += (uint64_t)n;
	}
	r = 0;
out:
	free(chunk);
	return r;
}

/* By copy_file_range as far as it goes; *at is how far. 0: done or not supported from here on. */
static int copy_ranges(int from, int to, uint64_t *at, uint64_t len, struct error *err)
{
	while (*at < len) {
		size_t want = len - *at < COPY_RANGE_MAX ? (size_t)(len - *at) : COPY_RANGE_MAX;
		off_t in = (off_t)*at, out = (off_t)*at;
		ssize_t n = sys_copy_range(from, &in, to, &out, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EIO || errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
			return error_errno(err, errno, "cannot copy");
		if (n <= 0)
			return 0;	/* the loop finds out whether that was the end */
		*at += (uint64_t)n;
	}
	return 0;
}

int file_reflink(int from_fd, int to_fd, uint64_t len)
{
	struct stat st;

	if (fstat(from_fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != len)
		return -1;
	return sys_clone(to_fd, from_fd);
}

int file_copy(int from_fd, int to_fd, uint64_t len, const char **how, struct error *err)
{
	uint64_t at = 0;

	*how = "reflink";
	if (file_reflink(from_fd, to_fd, len) == 0)
		return 0;
	*how = "copy_file_range";
	if (copy_ranges(from_fd, to_fd, &at, len, err) < 0)
		return -1;
	if (at == len)
		return 0;
	*how = "read and write";
	return copy_loop(from_fd, to_fd, at, len, err);
}

void file_write_behind(int fd, uint64_t at, uint64_t window)
{
	if (at < window)
		return;
	(void)sync_file_range(fd, (off_t)(at - window), (off_t)window, SYNC_FILE_RANGE_WRITE);
	if (at >= 2 * window)
		(void)sync_file_range(fd, (off_t)(at - 2 * window), (off_t)window,
				      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}
