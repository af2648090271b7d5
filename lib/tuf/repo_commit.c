/*
 * Committing a change to disk:
 *
 *	1. every file is complete and synced in pending/
 *	2. `commit`, the list of their names, appears by one rename: from here the change holds
 *	3. the files are renamed into metadata/ in the order of the list, timestamp.json last
 *	4. `commit` is removed
 *
 * Opening repeats 3 and 4 when `commit` is there, and empties pending/ when it is not. For clients
 *the change happens with the last rename of 3: no file before it is named by the timestamp they
 *trust (a new root is, and is good with the old timestamp as long as the online keys stay).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/name.h"
#include "sys/file.h"
#include "tuf/repo_internal.h"

#define COMMIT_SIZE_MAX (8u << 20)
#define SWEEP_MAX 65536 /* files of metadata/ looked at in one sweep */

/* ---- sweeping superseded files ---- */

struct old_file {
	char role[NAME_LEN_MAX + 1];
	int64_t version;
};

static int by_role_newest_first(const void *a, const void *b)
{
	const struct old_file *x = a, *y = b;
	int r = strcmp(x->role, y->role);

	return r != 0 ? r : (y->version > x->version) - (y->version < x->version);
}

/* Files of metadata/ that carry a version, roots apart: roots stay for ever. */
static unsigned list_versioned(int metadata_fd, struct old_file **list)
{
	struct error ignored = ERROR_INIT;
	unsigned count = 0;
	struct dirent *e;
	DIR *d;
	int fd = file_open(metadata_fd, ".", O_RDONLY | O_DIRECTORY, 0, &ignored);

	*list = NULL;
	if (fd < 0)
		return 0;
	if ((d = fdopendir(fd)) == NULL) {
		file_close(&fd);
		return 0;
	}
	while (count < SWEEP_MAX && (e = readdir(d)) != NULL) {
		struct old_file f;

		if (!metadata_name_parse(e->d_name, f.role, &f.version) || f.version == 0 ||
		    strcmp(f.role, "root") == 0)
			continue;
		if ((count & (count - 1)) == 0)
			*list = xreallocarray(*list, count == 0 ? 1 : 2 * (size_t)count, sizeof(f));
		(*list)[count++] = f;
	}
	closedir(d);
	return count;
}

static int64_t version_in_force(const struct repo_state *s, const char *role)
{
	struct error ignored = ERROR_INIT;
	struct tuf_metafile meta;

	if (s->snapshot == NULL)
		return 0;
	if (strcmp(role, "snapshot") == 0)
		return s->snapshot->head.version;
	return tuf_snapshot_find(s->snapshot, slice_str(role), &meta, &ignored) < 0 ? 0
										    : meta.version;
}

/*
 * Remove what clients no longer ask for, but the newest few of each role: somebody may be in the
 * middle of an update. Failing to is no failure of the change; the next sweep sees the same files.
 */
static void sweep(const struct repo *r)
{
	struct error ignored = ERROR_INIT;
	char name[META_NAME_MAX];
	struct old_file *list;
	unsigned count = list_versioned(r->metadata_fd, &list), i, old = 0;

	if (count > 0)
		qsort(list, count, sizeof(*list), by_role_newest_first);
	for (i = 0; i < count; i++) {
		int64_t current = version_in_force(&r->state, list[i].role);

		if (i == 0 || strcmp(list[i].role, list[i - 1].role) != 0)
			old = 0;
		/* A role that no snapshot names is left alone: it is not ours to judge. */
		if (current == 0 || list[i].version >= current || ++old <= REPO_KEEP_OLD)
			continue;
		metadata_name(name, list[i].role, list[i].version);
		if (file_unlink(r->metadata_fd, name, &ignored) < 0)
			break;
	}
	free(list);
}

/* ---- the commit ---- */

static int open_pending(const struct repo *r, struct error *err)
{
	if (file_mkdirs(r->dirfd, "pending", 0700, err) < 0)
		return -1;
	return file_open(r->dirfd, "pending", O_RDONLY | O_DIRECTORY, 0, err);
}

static int write_pending(const struct repo *r, int pending_fd, const struct repo_change *change,
			 struct error *err)
{
	struct buf list = BUF_INIT(COMMIT_SIZE_MAX);
	unsigned i;
	int ret = -1;

	for (i = 0; i < change->count; i++) {
		const struct repo_newfile *f = &change->files[i];

		if (file_replace(pending_fd, f->name, 0644, buf_slice(&f->text), err) < 0)
			goto out;
		buf_printf(&list, "%s\n", f->name);
	}
	if (list.failed) {
		error_set(err, ERR_LIMIT, "a change of %u files is too large", change->count);
		goto out;
	}
	ret = file_replace(r->dirfd, "commit", 0600, buf_slice(&list), err);
out:
	buf_release(&list);
	return ret;
}

/* Rename one file of the list; it is not in pending/ when an earlier attempt got this far. */
static int place(const struct repo *r, int pending_fd, struct slice line, struct error *err)
{
	char role[NAME_LEN_MAX + 1], name[META_NAME_MAX];
	int64_t version;

	if (line.len >= sizeof(name))
		return error_set(err, ERR_FAILED, "repo/commit is damaged");
	memcpy(name, line.ptr, line.len);
	name[line.len] = '\0';
	if (!metadata_name_parse(name, role, &version))
		return error_set(err, ERR_FAILED, "repo/commit is damaged");
	if (!file_exists(pending_fd, name))
		return 0;
	return file_rename(pending_fd, name, r->metadata_fd, name, err);
}

static int finish(const struct repo *r, int pending_fd, struct error *err)
{
	struct buf list = BUF_INIT(COMMIT_SIZE_MAX);
	size_t at = 0;
	int ret = -1;

	if (file_read(r->dirfd, "commit", &list, err) < 0)
		goto out;
	while (at < list.len) {
		size_t end = slice_find(buf_slice(&list), '\n', at);
		struct slice line =
			slice_sub(buf_slice(&list), at, end == SIZE_MAX ? SIZE_MAX : end - at);

		if (place(r, pending_fd, line, err) < 0)
			goto out;
		at += line.len + 1;
	}
	if (file_unlink(r->dirfd, "commit", err) < 0 || file_sync_dir(r->dirfd, ".", err) < 0)
		goto out;
	ret = 0;
out:
	buf_release(&list);
	return ret;
}

/* Take back a change whose `commit` was perhaps written, perhaps not: afterwards it is surely not
 * there. */
static int take_back(const struct repo *r, struct error *err)
{
	if (file_unlink(r->dirfd, "commit", err) < 0 || file_sync_dir(r->dirfd, ".", err) < 0)
		return -1;
	return file_remove_tree(r->dirfd, "pending", err);
}

int repo_commit(struct repo *r, const struct repo_change *change, struct error *err)
{
	struct error second = ERROR_INIT;
	int pending_fd, ret = -1;

	if ((pending_fd = open_pending(r, err)) < 0)
		return error_wrap(err, "cannot publish");
	if (write_pending(r, pending_fd, change, err) < 0) {
		r->unfinished = take_back(r, &second) < 0;
		error_wrap(err, "cannot publish");
		goto out;
	}
	if (finish(r, pending_fd, err) < 0) {
		r->unfinished = true;
		error_wrap(err, "the change is written, but not in its place yet");
		error_hint(err, "it will be finished by the next command, once the disk works");
		goto out;
	}
	ret = 0;
out:
	file_close(&pending_fd);
	return ret;
}

int repo_recover(struct repo *r, struct error *err)
{
	bool written = file_exists(r->dirfd, "commit");
	struct repo_state next;
	int pending_fd;

	if (!written && !r->unfinished)
		return file_remove_tree(r->dirfd, "pending", err);
	if (written) {
		if ((pending_fd = open_pending(r, err)) < 0)
			return -1;
		if (finish(r, pending_fd, err) < 0) {
			file_close(&pending_fd);
			return error_wrap(err, "cannot finish an interrupted change");
		}
		file_close(&pending_fd);
	}
	if (repo_state_load(&next, r, NULL, NULL, -1, err) < 0)
		return -1;
	repo_state_release(&r->state);
	r->state = next;
	r->unfinished = false;
	return 0;
}

int repo_apply(struct repo *r, const struct repo_change *change, int64_t now_s, struct error *err)
{
	struct repo_state next;

	if (repo_state_load(&next, r, change, r->state.snapshot, now_s, err) < 0)
		return -1;
	if (repo_commit(r, change, err) < 0) {
		repo_state_release(&next);
		return -1;
	}
	repo_state_release(&r->state);
	r->state = next;
	sweep(r);
	return 0;
}
