/* Directories: making them durably, and removing whole trees without following a link. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/fault.h"
#include "sys/file.h"
#include "sys/file_internal.h"

#define TREE_DEPTH_MAX 64

enum make_flags { MAKE_SYNCED = 1 << 0, MAKE_LENIENT = 1 << 1 };

/* One directory; its mode is set apart from mkdir's so that the umask has no say. */
static int make_one(int dirfd, const char *path, mode_t mode, unsigned flags, struct error *err)
{
	const char *base;
	struct stat st;
	int parent, r;

	if (fstatat(dirfd, path, &st, 0) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		return error_set(err, ERR_CONFLICT, "'%s' is in the way: not a directory", path);
	}
	if (sys_mkdir(dirfd, path, mode) < 0) {
		if (errno == EEXIST && fstatat(dirfd, path, &st, 0) == 0 && S_ISDIR(st.st_mode))
			return 0;	/* somebody was faster */
		return file_failed(err, "create directory", path);
	}
	if (sys_chmod(dirfd, path, mode) < 0 && !(flags & MAKE_LENIENT))
		return file_failed(err, "set the mode of", path);
	if (!(flags & MAKE_SYNCED))
		return 0;
	if ((parent = file_open_parent(dirfd, path, &base, err)) < 0)
		return -1;
	r = file_sync(parent, path, err);
	close(parent);
	return r;
}

int file_mkdir_lenient(int dirfd, const char *path, mode_t mode, struct error *err)
{
	return make_one(dirfd, path, mode, MAKE_SYNCED | MAKE_LENIENT, err);
}

static int make_all(int dirfd, const char *path, mode_t mode, unsigned flags, struct error *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path), i;

	if (len == 0 || len >= sizeof(part))
		return error_set(err, ERR_FAILED, "path of %zu bytes cannot be a directory", len);
	for (i = 1; i <= len; i++) {
		if ((path[i] != '/' && path[i] != '\0') || path[i - 1] == '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (make_one(dirfd, part, mode, flags, err) < 0)
			return -1;
	}
	return 0;
}

int file_mkdirs(int dirfd, const char *path, mode_t mode, struct error *err)
{
	return make_all(dirfd, path, mode, MAKE_SYNCED, err);
}

int file_mkdirs_unsynced(int dirfd, const char *path, mode_t mode, struct error *err)
{
	return make_all(dirfd, path, mode, 0, err);
}

static int remove_in(int dirfd, const char *name, unsigned depth, struct error *err);

/* All entries of the directory open as fd, which is taken. */
static int remove_entries(int fd, const char *name, unsigned depth, struct error *err)
{
	struct dirent *e;
	DIR *d = fdopendir(fd);
	int r = 0;

	if (d == NULL) {
		close(fd);
		return file_failed(err, "list", name);
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = remove_in(fd, e->d_name, depth + 1, err);
	}
	closedir(d);
	return r;
}

static int remove_in(int dirfd, const char *name, unsigned depth, struct error *err)
{
	int fd;

	if (sys_unlink(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* POSIX says EPERM for a directory, Linux EISDIR. */
	if (errno != EISDIR && errno != EPERM)
		return file_failed(err, "remove", name);
	if (depth > TREE_DEPTH_MAX)
		return error_set(err, ERR_LIMIT, "'%s' lies deeper than %d directories", name, TREE_DEPTH_MAX);
	fd = file_open(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	if (fd < 0)
		return err->sys_errno == ENOENT ? 0 : error_wrap(err, "cannot remove '%s'", name);
	if (remove_entries(fd, name, depth, err) < 0)
		return -1;
	if (sys_unlink(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return file_failed(err, "remove", name);
	return 0;
}

int file_remove_tree(int dirfd, const char *path, struct error *err)
{
	return remove_in(dirfd, path, 0, err);
}
