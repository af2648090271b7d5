/* A strict tar archive, read from front to back. */
#include "bundle/tarfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"

/* What stays in the second level cache between the kernel's copy and a hash of it; see sha256_file. */
#define ROOM_SIZE ((size_t)256 << 10)
/* A read of content that is larger goes to where the caller wants it. */
#define DIRECT_MIN ((size_t)64 << 10)

void tarfile_open(struct tarfile *a, int fd)
{
	struct stat st;
	off_t position;

	*a = (struct tarfile){.fd = fd, .room = xmalloc_io(ROOM_SIZE)};
	if (fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
		return;
	position = lseek(fd, 0, SEEK_CUR);
	a->seekable = position >= 0;
	a->offset = a->seekable ? (uint64_t)position : 0;
	if (S_ISREG(st.st_mode) && a->seekable && st.st_size > position)
		a->size = (uint64_t)(st.st_size - position);
	/* Only advice: a descriptor that cannot take it is read all the same. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

void tarfile_release(struct tarfile *a)
{
	free(a->room);
	*a = TARFILE_INIT;
}

/* Up to n bytes from the file into p; 0 at its end. */
static ssize_t read_some(struct tarfile *a, void *p, size_t n, struct error *err)
{
	ssize_t got;

	if (a->seekable) {
		got = file_pread(a->fd, p, n, a->offset, "the archive", err);
	} else {
		do
			got = read(a->fd, p, n);
		while (got < 0 && errno == EINTR);
		if (got < 0)
			error_errno(err, errno, "cannot read the archive");
	}
	if (got > 0) {
		a->offset += (uint64_t)got;
		a->bytes_read += (uint64_t)got;
	}
	return got;
}

static int cut_short(const struct tarfile *a, struct error *err)
{
	error_set(err, ERR_RETRY, "the archive is cut short after %" PRIu64 " bytes", a->bytes_read);
	return error_hint(err, "copy it again from where it is whole");
}

/* At least `want` bytes in room, from a->at on. */
static int fill(struct tarfile *a, size_t want, struct error *err)
{
	ssize_t n;

	if (a->end - a->at >= want)
		return 0;
	memmove(a->room, a->room + a->at, a->end - a->at);
	a->end -= a->at;
	a->at = 0;
	while (a->end < want) {
		n = read_some(a, a->room + a->end, ROOM_SIZE - a->end, err);
		if (n < 0)
			return -1;
		if (n == 0)
			return cut_short(a, err);
		a->end += (size_t)n;
	}
	return 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int not_zero(struct error *err)
{
	return error_set(err, ERR_MALFORMED, "something stands where only zeros may be");
}

static int skip_padding(struct tarfile *a, struct error *err)
{
	if (fill(a, a->padding, err) < 0)
		return -1;
	if (!is_zero(a->room + a->at, a->padding))
		return not_zero(err);
	a->at += a->padding;
	a->padding = 0;
	return 0;
}

int tarfile_header(struct tarfile *a, struct tar_entry *e, struct error *err)
{
	struct tar_reader tar = {.in_pax = false};
	int kind;

	if (skip_padding(a, err) < 0 || fill(a, TAR_BLOCK, err) < 0)
		return -1;
	kind = tar_get(&tar, a->room + a->at, e, err);
	if (kind < 0)
		return -1;
	if (kind == TAR_MORE)
		return error_set(err, ERR_MALFORMED, "an extended header stands where a member should");
	a->at += TAR_BLOCK;
	if (kind == TAR_END)
		return 0;
	if (e->is_dir)
		return error_set(err, ERR_MALFORMED, "'%s' is a directory, not a file", e->name);
	a->left = e->size;
	a->padding = tar_padding(e->size);
	return 1;
}

static size_t at_most(uint64_t left, size_t n)
{
	return left < n ? (size_t)left : n;
}

int tarfile_piece(struct tarfile *a, struct slice *out, struct error *err)
{
	*out = SLICE_EMPTY;
	if (a->left == 0)
		return 0;
	if (fill(a, 1, err) < 0)
		return -1;
	*out = slice_of(a->room + a->at, at_most(a->left, a->end - a->at));
	a->at += out->len;
	a->left -= out->len;
	return 0;
}

/* An end of the file before that of the member is met by whoever reads next: a header follows in any case. */
int tarfile_skip(struct tarfile *a, struct error *err)
{
	size_t here = at_most(a->left, a->end - a->at);
	struct slice piece;

	a->at += here;
	a->left -= here;
	if (a->seekable) {
		a->offset += a->left;
		a->bytes_read += a->left;
		a->left = 0;
	}
	while (a->left > 0)
		if (tarfile_piece(a, &piece, err) < 0)
			return -1;
	return 0;
}

ssize_t tarfile_read(struct tarfile *a, void *p, size_t n, struct error *err)
{
	ssize_t got;

	n = at_most(a->left, n < ROOM_SIZE ? n : ROOM_SIZE);
	if (n == 0)
		return 0;
	if (a->at == a->end && n >= DIRECT_MIN) {
		/* Whole blocks, so that what is read later begins at one, too. */
		got = read_some(a, p, n - n % TAR_BLOCK, err);
		if (got <= 0)
			return got < 0 ? -1 : cut_short(a, err);
		a->left -= (uint64_t)got;
		return got;
	}
	if (fill(a, 1, err) < 0)
		return -1;
	n = at_most(n, a->end - a->at);
	memcpy(p, a->room + a->at, n);
	a->at += n;
	a->left -= n;
	return (ssize_t)n;
}

int tarfile_read_all(struct tarfile *a, struct buf *out, struct error *err)
{
	struct slice piece;

	if (out->len > out->max || a->left > out->max - out->len)
		return error_set(err, ERR_LIMIT, "%" PRIu64 " bytes are more than %zu", a->left, out->max);
	do {
		if (tarfile_piece(a, &piece, err) < 0)
			return -1;
		buf_put_slice(out, piece);
	} while (piece.len > 0);
	return 0;
}

int tarfile_tail(struct tarfile *a, struct error *err)
{
	ssize_t n;

	if (fill(a, TAR_BLOCK, err) < 0)
		return -1;
	do {
		if (!is_zero(a->room + a->at, a->end - a->at))
			return not_zero(err);
		n = read_some(a, a->room, ROOM_SIZE, err);
		a->at = 0;
		a->end = n < 0 ? 0 : (size_t)n;
	} while (n > 0);
	return n < 0 ? -1 : 0;
}
