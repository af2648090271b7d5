/* Where an export goes: how the directory is opened, and how files get to their places there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "sys/file.h"
#include "tuf/repo_export_internal.h"

#define SECOND_NAME ".metadata.new"

/* ---- opening ---- */

int export_dest_drop_second(const struct export_dest *d, struct error *err)
{
	return file_remove_tree(d->dirfd, SECOND_NAME, err);
}

/* A directory of ours below fd, made if absent. A symbolic link there could lead the writes of root anywhere. */
static int open_part(int fd, const char *name, struct error *err)
{
	int part = file_open(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);

	if (part >= 0 || err->kind != ERR_NOT_FOUND)
		return part < 0 ? error_hint(err, "it must be a directory, and no symbolic link to one") : part;
	if (file_mkdirs(fd, name, 0755, err) < 0)
		return -1;
	return file_open(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
}

static int take_lock(struct export_dest *d, struct error *err)
{
	if ((d->lock_fd = file_lock(d->dirfd, EXPORT_MARK, err)) >= 0)
		return 0;
	if (err->kind != ERR_RETRY)
		return -1;
	error_set(err, ERR_RETRY, "another export into it is at work");
	return error_hint(err, "try again when that is through");
}

/* metadata/ open, and targets/ there, which whoever carries the tree on expects also when it is empty. */
static int open_rooms(struct export_dest *d, struct error *err)
{
	int targets;

	if ((d->metadata_fd = open_part(d->dirfd, "metadata", err)) < 0 ||
	    (targets = open_part(d->dirfd, "targets", err)) < 0)
		return -1;
	file_close(&targets);
	return 0;
}

static int dest_open(struct export_dest *d, const char *dir, const struct export_source *s, struct error *err)
{
	if (export_claim_place(dir, s, err) < 0 || file_mkdirs(AT_FDCWD, dir, 0755, err) < 0 ||
	    (d->dirfd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, err)) < 0 ||
	    /* Before a lock is left in somebody else's directory, and again under it. */
	    export_claim_owner(d, s, err) < 0 || take_lock(d, err) < 0 || export_claim_owner(d, s, err) < 0 ||
	    export_claim_mark(d, s, err) < 0 || open_rooms(d, err) < 0 || export_claim_state(d, s, err) < 0)
		return -1;
	return export_dest_drop_second(d, err);
}

int export_dest_open(struct export_dest *d, const char *dir, const struct export_source *s, struct error *err)
{
	d->dir = dir;
	return dest_open(d, dir, s, err) < 0 ? error_wrap(err, "cannot export to '%s'", dir) : 0;
}

void export_dest_release(struct export_dest *d)
{
	file_close(&d->leaf_fd);
	file_close(&d->metadata_fd);
	file_close(&d->lock_fd);
	file_close(&d->dirfd);
	d->leaf[0] = '\0';
}

/* ---- writing ---- */

/* Open path below DIR part by part. */
static int open_leaf(const struct export_dest *d, const char *path, struct error *err)
{
	int fd = -1, next;
	char part[256];
	size_t len;

	for (;; path += len + 1) {
		len = strcspn(path, "/");
		if (len == 0 || len >= sizeof(part)) {
			file_close(&fd);
			return error_set(err, ERR_FAILED, "'%s' cannot be a directory", path);
		}
		memcpy(part, path, len);
		part[len] = '\0';
		next = open_part(fd < 0 ? d->dirfd : fd, part, err);
		file_close(&fd);
		if ((fd = next) < 0 || path[len] == '\0')
			return fd;
	}
}

int export_dest_leaf(struct export_dest *d, const char *path, struct error *err)
{
	if (d->leaf_fd >= 0 && strcmp(path, d->leaf) == 0)
		return d->leaf_fd;
	file_close(&d->leaf_fd);
	if ((d->leaf_fd = open_leaf(d, path, err)) >= 0)
		snprintf(d->leaf, sizeof(d->leaf), "%s", path);
	return d->leaf_fd;
}

int export_dest_put(int metadata_fd, const char *name, struct slice text, bool *written, struct error *err)
{
	struct buf there = BUF_INIT(text.len);
	struct error ignored = ERROR_INIT;
	int r = 0;

	*written = file_read(metadata_fd, name, &there, &ignored) < 0 || !slice_equal(buf_slice(&there), text);
	if (*written)
		r = file_replace(metadata_fd, name, 0644, text, err);
	buf_release(&there);
	return r;
}

/* ---- the second metadata directory ---- */

static int link_all(int from_fd, int to_fd, struct error *err)
{
	int fd = file_open(from_fd, ".", O_RDONLY | O_DIRECTORY, 0, err);
	struct dirent *e;
	struct stat st;
	DIR *list;
	int r = 0;

	if (fd < 0)
		return -1;
	if ((list = fdopendir(fd)) == NULL) {
		close(fd);
		return error_errno(err, errno, "cannot list metadata/");
	}
	while (r == 0 && (e = readdir(list)) != NULL) {
		if (strcmp(e->d_name, "timestamp.json") == 0 || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		r = file_link(fd, e->d_name, to_fd, e->d_name, err);
	}
	closedir(list);
	return r;
}

int export_dest_second(struct export_dest *d, struct error *err)
{
	int fd;

	if (file_mkdirs(d->dirfd, SECOND_NAME, 0755, err) < 0 ||
	    (fd = file_open(d->dirfd, SECOND_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err)) < 0)
		return -1;
	if (link_all(d->metadata_fd, fd, err) < 0 || file_sync(fd, SECOND_NAME, err) < 0)
		file_close(&fd);
	return fd;
}

int export_dest_exchange(struct export_dest *d, struct error *err)
{
	if (file_exchange(d->dirfd, SECOND_NAME, "metadata", err) < 0)
		return -1;
	file_close(&d->metadata_fd);
	if ((d->metadata_fd = open_part(d->dirfd, "metadata", err)) < 0)
		return -1;
	return export_dest_drop_second(d, err);
}
