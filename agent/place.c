/* Version directories and the `current` link. */
#include "agent/place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "sys/file.h"

#define PLACE_PATH_MAX 768
#define CURRENT "current"
#define CURRENT_TMP ".current.tmp"

static void version_dir(char out[static PLACE_PATH_MAX], const char *artifact, const char *version)
{
	snprintf(out, PLACE_PATH_MAX, "%s/%s", artifact, version);
}

/* Durable before the file gets its name: or a power cut leaves it in its place, closed to those who need it. */
static int set_mode(int dirfd, const char *name, mode_t mode, struct error *err)
{
	int fd = file_open(dirfd, name, O_RDONLY | O_NOFOLLOW, 0, err);
	int r = -1;

	if (fd >= 0 && file_chmod(fd, mode, name, err) == 0 && file_sync(fd, name, err) == 0)
		r = 0;
	file_close(&fd);
	return r;
}

int place_file(int dirfd, const char *incoming, const struct update *u, const char *filename, mode_t mode,
	       struct error *err)
{
	char dir[PLACE_PATH_MAX], file[PLACE_PATH_MAX + 256];

	version_dir(dir, u->artifact, u->version);
	snprintf(file, sizeof(file), "%s/%s", dir, filename);
	if (!file_exists(dirfd, incoming) && file_exists(dirfd, file))
		return 0;	/* a power cut came after the rename */
	/* The version may be the one that runs, put in once more: it is replaced by rename, like all else. */
	if (file_mkdirs(dirfd, dir, 0755, err) < 0)
		return -1;
	if (set_mode(dirfd, incoming, mode, err) < 0)
		return -1;
	return file_rename(dirfd, incoming, dirfd, file, err);
}

int place_switch(int dirfd, const char *artifact, const char *version, struct error *err)
{
	char link[PLACE_PATH_MAX], tmp[PLACE_PATH_MAX];

	version_dir(link, artifact, CURRENT);
	version_dir(tmp, artifact, CURRENT_TMP);
	if (file_unlink(dirfd, tmp, err) < 0)
		return -1;
	if (version[0] == '\0')
		return file_unlink(dirfd, link, err) < 0 ? -1 : file_sync_dir(dirfd, artifact, err);
	return file_symlink(version, dirfd, tmp, err) < 0 ? -1 : file_rename(dirfd, tmp, dirfd, link, err);
}

int place_current(int dirfd, const char *artifact, char *out, struct error *err)
{
	char link[PLACE_PATH_MAX];
	ssize_t n;

	version_dir(link, artifact, CURRENT);
	n = readlinkat(dirfd, link, out, NAME_LEN_MAX);
	out[n < 0 ? 0 : n] = '\0';
	if (n < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot read '%s'", link);
	return 0;
}

static bool is_kept(const char *name, const char *keep, const char *keep_too)
{
	if (name[0] == '.')
		return strcmp(name, CURRENT_TMP) != 0;
	return strcmp(name, CURRENT) == 0 || strcmp(name, keep) == 0 || strcmp(name, keep_too) == 0;
}

int place_prune(int dirfd, const char *artifact, const char *keep, const char *keep_too, struct error *err)
{
	int fd = file_open(dirfd, artifact, O_RDONLY | O_DIRECTORY, 0, err), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool removed = false;
	struct dirent *e;

	if (d == NULL) {
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		if (is_kept(e->d_name, keep, keep_too))
			continue;
		r = file_remove_tree(fd, e->d_name, err);
		removed = true;
	}
	if (r == 0 && removed)
		r = file_sync(fd, artifact, err);
	closedir(d);
	return r;
}
