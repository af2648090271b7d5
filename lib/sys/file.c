/* Single file system calls, checked and worded, and the reading of whole files. */
#include "sys/file.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/fault.h"
#include "sys/file_internal.h"

#define READ_CHUNK 65536

int file_failed(struct error *err, const char *verb, const char *path)
{
	int e = errno;

	error_errno(err, e, "cannot %s '%s'", verb, path);
	if (e == ENOENT)
		err->kind = ERR_NOT_FOUND;
	else if (e == EEXIST || e == ENOTEMPTY)
		err->kind = ERR_CONFLICT;
	else if (e == ENOSPC || e == EDQUOT)
		error_hint(err, "free some space on that file system and try again");
	else if (e == EROFS)
		error_hint(err, "the file system is mounted read-only");
	else if (e == EACCES || e == EPERM)
		error_hint(err, "run as the owner of '%s', or as root", path);
	return -1;
}

int file_open(int dirfd, const char *path, int flags, mode_t mode, struct error *err)
{
	int fd;

	do {
		fd = sys_open(dirfd, path, flags | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return file_failed(err, (flags & O_CREAT) != 0 ? "create" : "open", path);
	if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0 && file_chmod(fd, mode, path, err) < 0)
		file_close(&fd);
	return fd;
}

int file_open_parent(int dirfd, const char *path, const char **base, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX];
	size_t len;

	if (slash == NULL) {
		*base = path;
		return file_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	}
	*base = slash + 1;
	len = slash == path ? 1 : (size_t)(slash - path);
	if (len >= sizeof(dir))
		return error_set(err, ERR_FAILED, "path of %zu bytes is too long", strlen(path));
	memcpy(dir, path, len);
	dir[len] = '\0';
	return file_open(dirfd, dir, O_RDONLY | O_DIRECTORY, 0, err);
}

int file_open_beneath(int dirfd, const char *path, int flags, struct error *err)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC | O_NONBLOCK),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	struct stat st;
	int fd;

	do {
		fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	if (fd < 0 && errno == ELOOP)
		return error_set(err, ERR_REFUSED, "'%s' is or leads over a symbolic link", path);
	if (fd < 0 && errno == EXDEV)
		return error_set(err, ERR_REFUSED, "'%s' leads out of where it was looked for", path);
	if (fd < 0 && (errno == ENXIO || errno == ENOTDIR))
		return error_set(err, ERR_REFUSED, "'%s' is not a %s", path,
				 (flags & O_DIRECTORY) != 0 ? "directory" : "regular file");
	if (fd < 0)
		return file_failed(err, "open", path);
	if (fstat(fd, &st) < 0)
		file_failed(err, "look at", path);
	else if (S_ISREG(st.st_mode) || ((flags & O_DIRECTORY) != 0 && S_ISDIR(st.st_mode)))
		return fd;
	else
		error_set(err, ERR_REFUSED, "'%s' is not a regular file", path);
	close(fd);
	return -1;
}

int file_write_all(int fd, struct slice s, const char *what, struct error *err)
{
	while (s.len > 0) {
		ssize_t n = sys_write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_failed(err, "write", what);
		s = slice_sub(s, (size_t)n, s.len);
	}
	return 0;
}

int file_pwrite_all(int fd, struct slice s, uint64_t offset, const char *what, struct error *err)
{
	while (s.len > 0) {
		ssize_t n = sys_pwrite(fd, s.ptr, s.len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_failed(err, "write", what);
		s = slice_sub(s, (size_t)n, s.len);
		offset += (uint64_t)n;
	}
	return 0;
}

ssize_t file_pread(int fd, void *p, size_t n, uint64_t offset, const char *what, struct error *err)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, (uint8_t *)p + got, n - got, (off_t)(offset + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return file_failed(err, "read", what);
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* How many bytes to ask for: what fits, but at least one, so that the end can be told from the ceiling. */
static size_t room(const struct buf *out)
{
	size_t left = out->max - out->len;

	return left < READ_CHUNK ? left : READ_CHUNK;
}

int file_read_fd(int fd, struct buf *out, const char *what, struct error *err)
{
	for (;;) {
		size_t want = room(out);
		uint8_t over;
		ssize_t n;

		if (want > 0 && !buf_reserve(out, want))
			want = 0;
		n = want > 0 ? read(fd, out->ptr + out->len, want) : read(fd, &over, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_failed(err, "read", what);
		if (n == 0)
			return 0;
		if (want == 0)
			return error_set(err, ERR_LIMIT, "'%s' is larger than %zu bytes", what, out->max);
		out->len += (size_t)n;
	}
}

/* Open for reading what must be a regular file; O_NONBLOCK so that a FIFO put in its place cannot hang us. */
static int open_regular(int dirfd, const char *path, struct stat *st, struct error *err)
{
	int fd = sys_open(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);

	if (fd < 0 && errno == ELOOP)
		return error_set(err, ERR_REFUSED, "'%s' is a symbolic link", path);
	if (fd < 0)
		return file_failed(err, "open", path);
	if (fstat(fd, st) < 0) {
		file_failed(err, "look at", path);
	} else if (S_ISREG(st->st_mode)) {
		return fd;
	} else {
		error_set(err, ERR_REFUSED, "'%s' is not a regular file", path);
	}
	close(fd);
	return -1;
}

int file_read(int dirfd, const char *path, struct buf *out, struct error *err)
{
	struct stat st;
	int fd = open_regular(dirfd, path, &st, err);
	int r;

	if (fd < 0)
		return -1;
	/* One byte more than it holds, so that the end of the file is seen without growing. */
	if (st.st_size > 0 && (uint64_t)st.st_size < out->max - out->len)
		buf_reserve(out, (size_t)st.st_size + 1);
	r = file_read_fd(fd, out, path, err);
	close(fd);
	return r;
}

int file_read_private(int dirfd, const char *path, struct buf *out, struct error *err)
{
	struct stat st;
	int fd = open_regular(dirfd, path, &st, err);
	int r = -1;

	if (fd < 0)
		return -1;
	if ((st.st_mode & 077) != 0) {
		error_set(err, ERR_REFUSED, "'%s' is open to group or others (mode %04o)", path,
			  (unsigned)st.st_mode & 07777);
		error_hint(err, "chmod 600 '%s', and think about who may have read it", path);
	} else if (st.st_uid != geteuid() && st.st_uid != 0) {
		error_set(err, ERR_REFUSED, "'%s' belongs to user %u, not to user %u or root", path,
			  (unsigned)st.st_uid, (unsigned)geteuid());
		error_hint(err, "chown it, or run as its owner");
	} else {
		r = file_read_fd(fd, out, path, err);
	}
	close(fd);
	return r;
}

int file_truncate(int fd, uint64_t len, const char *what, struct error *err)
{
	return sys_ftruncate(fd, (off_t)len) < 0 ? file_failed(err, "set the length of", what) : 0;
}

int file_chmod(int fd, mode_t mode, const char *what, struct error *err)
{
	return sys_fchmod(fd, mode) < 0 ? file_failed(err, "set the mode of", what) : 0;
}

int file_chown(int fd, uid_t uid, gid_t gid, const char *what, struct error *err)
{
	return sys_fchown(fd, uid, gid) < 0 ? file_failed(err, "set the owner of", what) : 0;
}

int file_set_time(int fd, int64_t t_s, const char *what, struct error *err)
{
	struct timespec times[2] = {{.tv_sec = (time_t)t_s}, {.tv_sec = (time_t)t_s}};

	return sys_futimens(fd, times) < 0 ? file_failed(err, "set the time of", what) : 0;
}

int file_sync(int fd, const char *what, struct error *err)
{
	return sys_fsync(fd) < 0 ? file_failed(err, "sync", what) : 0;
}

int file_sync_dir(int dirfd, const char *path, struct error *err)
{
	int fd = file_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, err);
	int r;

	if (fd < 0)
		return -1;
	r = file_sync(fd, path, err);
	close(fd);
	return r;
}

int file_sync_fs(int fd, const char *what, struct error *err)
{
	return sys_syncfs(fd) < 0 ? file_failed(err, "sync", what) : 0;
}

int file_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, struct error *err)
{
	const char *from_base, *to_base;
	int a = -1, b = -1, r = -1;

	if ((a = file_open_parent(from_dirfd, from, &from_base, err)) < 0 ||
	    (b = file_open_parent(to_dirfd, to, &to_base, err)) < 0)
		goto out;
	if (sys_rename(a, from_base, b, to_base, 0) < 0) {
		file_failed(err, "rename", from);
		goto out;
	}
	/* The new place first: between the two, both names are better than none. */
	if (file_sync(b, to, err) < 0 || file_sync(a, from, err) < 0)
		goto out;
	r = 0;
out:
	file_close(&a);
	file_close(&b);
	return r;
}

int file_exchange(int dirfd, const char *a, const char *b, struct error *err)
{
	if (sys_rename(dirfd, a, dirfd, b, RENAME_EXCHANGE) < 0)
		return file_failed(err, "exchange", a);
	return file_sync(dirfd, a, err);
}

int file_link(int from_dirfd, const char *from, int to_dirfd, const char *to, struct error *err)
{
	return sys_link(from_dirfd, from, to_dirfd, to) < 0 ? file_failed(err, "link", to) : 0;
}

int file_rmdir(int dirfd, const char *path, struct error *err)
{
	return sys_unlink(dirfd, path, AT_REMOVEDIR) < 0 ? file_failed(err, "remove directory", path) : 0;
}

int file_unlink(int dirfd, const char *path, struct error *err)
{
	if (sys_unlink(dirfd, path, 0) < 0 && errno != ENOENT)
		return file_failed(err, "remove", path);
	return 0;
}

int file_symlink(const char *target, int dirfd, const char *path, struct error *err)
{
	return sys_symlink(target, dirfd, path) < 0 ? file_failed(err, "link", path) : 0;
}

bool file_exists(int dirfd, const char *path)
{
	struct stat st;

	return fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int file_free_bytes(int dirfd, uint64_t *bytes, struct error *err)
{
	struct statvfs v;

	if ((dirfd == AT_FDCWD ? statvfs(".", &v) : fstatvfs(dirfd, &v)) < 0)
		return error_errno(err, errno, "cannot tell the free space");
	/* One without a size (ramfs, some network file systems) does not tell: then only a write that fails does. */
	*bytes = v.f_blocks == 0 ? INT64_MAX : (uint64_t)v.f_bavail * (uint64_t)v.f_frsize;
	return 0;
}

int file_lock(int dirfd, const char *path, struct error *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = file_open(dirfd, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, err);

	if (fd < 0)
		return -1;
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return fd;
	if (errno == EAGAIN || errno == EACCES)
		error_set(err, ERR_RETRY, "'%s' is held by another process", path);
	else
		file_failed(err, "lock", path);
	close(fd);
	return -1;
}

int file_lock_dir(int dirfd, const char *what, struct error *err)
{
	if (flock(dirfd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return error_set(err, ERR_RETRY, "another process writes to '%s'", what);
	return file_failed(err, "lock", what);
}

void file_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

char *path_join(char out[static 4096], const char *dir, const char *name)
{
	int n = snprintf(out, 4096, "%s/%s", dir, name);

	assert(n > 0 && n < 4096);
	return out;
}
