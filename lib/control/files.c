/* The repository listener: metadata and targets as files, with ranges, to devices that hold a good certificate. */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/front.h"
#include "net/url.h"
#include "sys/clock.h"

/*
 * Append the decoded path, without its leading slash. Only what a repository holds may be asked for: below
 * metadata/ or targets/, visible ASCII, no empty, "." or ".." segment. The kernel checks again (RESOLVE_BENEATH).
 */
static int file_path(struct buf *out, struct slice path, struct error *err)
{
	struct slice rest;
	size_t i;

	if (percent_decode(out, slice_sub(path, 1, SIZE_MAX), err) < 0)
		return -1;
	rest = buf_slice(out);
	if (!slice_starts(rest, SLICE_LIT("metadata/")) && !slice_starts(rest, SLICE_LIT("targets/")))
		return error_set(err, ERR_NOT_FOUND, "only /metadata/ and /targets/ are served here");
	for (i = 0; i < rest.len; i++)
		if (rest.ptr[i] <= 0x20 || rest.ptr[i] >= 0x7f || rest.ptr[i] == '\\')
			return error_set(err, ERR_MALFORMED, "byte %zu of the path cannot be part of a name", i);
	while (rest.len > 0) {
		size_t end = slice_find(rest, '/', 0);
		struct slice part = slice_sub(rest, 0, end);

		if (part.len == 0 || part.ptr[0] == '.')
			return error_set(err, ERR_NOT_FOUND, "there is no such file");
		rest = end == SIZE_MAX ? SLICE_EMPTY : slice_sub(rest, end + 1, SIZE_MAX);
	}
	return 0;
}

static int open_beneath(int dirfd, const char *path, struct stat *st, struct error *err)
{
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

	if (fd < 0 || fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
		if (fd >= 0)
			close(fd);
		return error_set(err, ERR_NOT_FOUND, "there is no such file");
	}
	return fd;
}

/* Status, headers and extent of the answer, by the Range header. */
static void set_range(const struct exchange *x, struct reply *r, uint64_t size)
{
	struct http_range range;
	struct slice value;
	char text[64];

	r->fd_len = size;
	reply_header(r, "Accept-Ranges", SLICE_LIT("bytes"));
	if (!http_find(&x->head, "Range", &value))
		return;
	switch (http_range_parse(value, size, &range)) {
	case HTTP_RANGE_WHOLE:
		return;
	case HTTP_RANGE_PART:
		r->status = 206;
		r->fd_offset = range.first;
		r->fd_len = range.last - range.first + 1;
		snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)range.first,
			 (unsigned long long)range.last, (unsigned long long)size);
		break;
	case HTTP_RANGE_BAD:
		r->status = 416;
		r->fd_len = 0;
		snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
		break;
	}
	reply_header(r, "Content-Range", slice_str(text));
}

static int serve_file(struct front *f, struct exchange *x, struct error *err)
{
	struct buf path = BUF_INIT(API_PATH_MAX);
	struct reply r = REPLY_INIT(200);
	struct stat st;
	int rc = -1;

	if (!slice_equal_str(x->head.method, "GET")) {
		error_set(err, ERR_USAGE, "only GET is answered here");
		goto out;
	}
	if (file_path(&path, x->head.path, err) < 0 ||
	    (r.fd = open_beneath(f->repo_fd, buf_cstr(&path), &st, err)) < 0)
		goto out;
	set_range(x, &r, (uint64_t)st.st_size);
	if (r.status == 416) {
		close(r.fd);
		r.fd = -1;
	}
	r.content_type = slice_ends(buf_slice(&path), SLICE_LIT(".json")) ? "application/json"
									   : "application/octet-stream";
	f->counters->files++;
	f->counters->file_bytes += r.fd_len;
	exchange_reply(x, &r);
	rc = 0;
out:
	buf_release(&path);
	return rc;
}

static void files_begin(struct exchange *x)
{
	struct front_door *door = x->arg;
	struct api_actor actor = {.kind = ACTOR_NOBODY};
	struct error err = ERROR_INIT;

	if (front_device(door->front, x->peer, clock_now_s(), CERT_USE_ANY, &actor, &err) < 0 ||
	    serve_file(door->front, x, &err) < 0)
		front_reply_error(x, &err, false);
}

const struct handler files_handler = {.begin = files_begin};
