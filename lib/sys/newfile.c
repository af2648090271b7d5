/* The writing of files so that a reader, or the next boot, finds the old content or the new. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/encode.h"
#include "sys/fault.h"
#include "sys/file.h"
#include "sys/file_internal.h"
#include "sys/rng.h"

#define TMP_MARK ".tmp."
#define TMP_HEX 8
#define TMP_TAIL_LEN (sizeof(TMP_MARK) - 1 + TMP_HEX)

/* Name the temporary file; the caller has made sure that it fits. */
static void choose_tmp(struct newfile *f)
{
	char hex[TMP_HEX + 1];
	uint8_t r[TMP_HEX / 2];

	rng_bytes(r, sizeof(r));
	hex_encode(hex, r, sizeof(r));
	snprintf(f->tmp, sizeof(f->tmp), "%.242s" TMP_MARK "%s", f->name, hex);
}

/* The file itself, with the exact mode or, where the file system has none or does not let us, its own. */
static int make_tmp(struct newfile *f, mode_t mode, bool lenient, struct error *err)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
	struct error ignored = ERROR_INIT;
	int fd;

	if (!lenient)
		return file_open(f->dirfd, f->tmp, flags, mode, err);
	do {
		fd = sys_open(f->dirfd, f->tmp, flags | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return file_failed(err, "create", f->tmp);
	(void)!file_chmod(fd, mode, f->tmp, &ignored);
	return fd;
}

static int open_tmp(struct newfile *f, int dirfd, const char *path, mode_t mode, bool lenient, struct error *err)
{
	const char *base;

	*f = NEWFILE_INIT;
	if ((f->dirfd = file_open_parent(dirfd, path, &base, err)) < 0)
		return error_wrap(err, "cannot create '%s'", path);
	if (*base == '\0' || strlen(base) + TMP_TAIL_LEN >= sizeof(f->tmp)) {
		error_set(err, ERR_FAILED, "cannot create '%s': its name is %s", path,
			  *base == '\0' ? "empty" : "too long");
		goto fail;
	}
	memcpy(f->name, base, strlen(base) + 1);
	choose_tmp(f);
	f->fd = make_tmp(f, mode, lenient, err);
	if (f->fd >= 0)
		return 0;
fail:
	newfile_abort(f);
	return -1;
}

int newfile_open(struct newfile *f, int dirfd, const char *path, mode_t mode, struct error *err)
{
	return open_tmp(f, dirfd, path, mode, false, err);
}

int newfile_open_lenient(struct newfile *f, int dirfd, const char *path, mode_t mode, struct error *err)
{
	return open_tmp(f, dirfd, path, mode, true, err);
}

int newfile_write(struct newfile *f, struct slice part, struct error *err)
{
	return file_write_all(f->fd, part, f->tmp, err);
}

/* Close, rename with renameat2 flags, make the rename durable. */
static int commit(struct newfile *f, unsigned flags, struct error *err)
{
	if (file_sync(f->fd, f->tmp, err) < 0)
		return -1;
	file_close(&f->fd);
	if (sys_rename(f->dirfd, f->tmp, f->dirfd, f->name, flags) < 0)
		return file_failed(err, flags == 0 ? "replace" : "create", f->name);
	f->tmp[0] = '\0';
	if (file_sync(f->dirfd, f->name, err) < 0)
		return -1;
	file_close(&f->dirfd);
	return 0;
}

int newfile_commit(struct newfile *f, struct error *err)
{
	return commit(f, 0, err);
}

/* For file systems that know no RENAME_NOREPLACE: a hard link refuses an existing name as well. */
static int commit_by_link(struct newfile *f, struct error *err)
{
	if (sys_link(f->dirfd, f->tmp, f->dirfd, f->name) < 0)
		return file_failed(err, "create", f->name);
	if (sys_unlink(f->dirfd, f->tmp, 0) < 0)
		return file_failed(err, "remove", f->tmp);
	f->tmp[0] = '\0';
	if (file_sync(f->dirfd, f->name, err) < 0)
		return -1;
	file_close(&f->dirfd);
	return 0;
}

int newfile_commit_new(struct newfile *f, struct error *err)
{
	int r = commit(f, RENAME_NOREPLACE, err);

	if (r < 0 && f->tmp[0] != '\0' && (err->sys_errno == EINVAL || err->sys_errno == ENOSYS))
		r = commit_by_link(f, err);
	/* In its place but perhaps not durable: a failure must leave the name free for the next attempt. */
	if (r < 0 && f->tmp[0] == '\0')
		(void)sys_unlink(f->dirfd, f->name, 0);
	return r;
}

void newfile_abort(struct newfile *f)
{
	file_close(&f->fd);
	/* Best effort: a name left behind is harmless, and newfile_sweep finds it. */
	if (f->dirfd >= 0 && f->tmp[0] != '\0')
		(void)sys_unlink(f->dirfd, f->tmp, 0);
	f->tmp[0] = '\0';
	file_close(&f->dirfd);
}

/* Is it NAME.tmp.XXXXXXXX as choose_tmp makes them? */
static bool is_tmp(const char *name)
{
	size_t len = strlen(name);
	const char *tail = name + len - TMP_TAIL_LEN;

	return len > TMP_TAIL_LEN && strncmp(tail, TMP_MARK, sizeof(TMP_MARK) - 1) == 0 &&
	       strspn(tail + sizeof(TMP_MARK) - 1, "0123456789abcdef") == TMP_HEX;
}

int newfile_sweep(int dirfd, const char *path, struct error *err)
{
	int fd = file_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, err);
	struct dirent *e;
	DIR *d;
	int r = 0;

	if (fd < 0)
		return -1;
	if ((d = fdopendir(fd)) == NULL) {
		close(fd);
		return file_failed(err, "list", path);
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		if (is_tmp(e->d_name))
			r = file_unlink(fd, e->d_name, err);
	}
	closedir(d);
	return r;
}

/* A whole file in one go, by the given kind of commit. */
static int write_whole(int dirfd, const char *path, mode_t mode, struct slice content,
		       int (*finish)(struct newfile *, struct error *), struct error *err)
{
	struct newfile f = NEWFILE_INIT;
	int r = -1;

	if (newfile_open(&f, dirfd, path, mode, err) < 0 || newfile_write(&f, content, err) < 0 ||
	    finish(&f, err) < 0)
		goto out;
	r = 0;
out:
	newfile_abort(&f);
	return r;
}

int file_replace(int dirfd, const char *path, mode_t mode, struct slice content, struct error *err)
{
	return write_whole(dirfd, path, mode, content, newfile_commit, err);
}

int file_create(int dirfd, const char *path, mode_t mode, struct slice content, struct error *err)
{
	return write_whole(dirfd, path, mode, content, newfile_commit_new, err);
}
