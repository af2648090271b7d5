/*
 * Committing a change to disk:
 *
 *	1. every file is complete and synced in pending/
 *	2. `commit`, the list of their names, appears by one rename: from here the change holds
 *	3. the files are renamed into metadata/ (roots of other sites into sites/) in the order of the
 *	   list, and synced before the last, timestamp.json
 *	4. `commit` is removed
 *
 * Opening repeats 3 and 4 when `commit` is there, and empties pending/ when it is not. For clients
 * the change happens with the last rename of 3: no file before it is named by the timestamp they
 * trust (a new root is, and is good with the old timestamp as long as the online keys stay).
 *
 * Directories are synced once for all their files, and of very many files the file system is synced
 * as a whole: a change of sixteen thousand hash bins waits for the disk as often as one of three
 *files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/fault.h"
#include "sys/file.h"
#include "tuf/repo_internal.h"
#include "tuf/repo_sites.h"

#define COMMIT_SIZE_MAX (8u << 20)
#define SWEEP_EVERY                                                                                \
	16 /* of smaller changes, by the version of the snapshot, which rises by one or by the     \
	      clock */
#define SWEEP_FILES 8	 /* of a change: more, and it is worth a sweep by itself */
#define SYNC_EACH_MAX 32 /* files; of more, the file system is synced */

/* ---- 1 and 2 ---- */

static int sync_one(int pending_fd, const char *name, struct error *err)
{
	int fd = file_open(pending_fd, name, O_RDONLY, 0, err);
	int ret;

	if (fd < 0)
		return -1;
	ret = file_sync(fd, name, err);
	file_close(&fd);
	return ret;
}

static int sync_pending(const struct repo_change *c, struct error *err)
{
	unsigned i;

	if (c->count > SYNC_EACH_MAX)
		return file_sync_fs(c->pending_fd, "pending", err);
	for (i = 0; i < c->count; i++) {
		if (sync_one(c->pending_fd, c->files[i].name, err) < 0)
			return -1;
	}
	return file_sync(c->pending_fd, "pending", err);
}

static int write_pending(const struct repo *r, struct repo_change *c, struct error *err)
{
	struct buf list = BUF_INIT(COMMIT_SIZE_MAX);
	unsigned i;
	int ret = -1;

	for (i = 0; i < c->count; i++) {
		const struct repo_newfile *f = &c->files[i];

		if (!f->written && repo_change_put(c, f->name, buf_slice(&f->text), err) < 0)
			goto out;
		buf_printf(&list, "%s\n", f->name);
	}
	if (list.failed) {
		error_set(err, ERR_LIMIT, "a change of %u files is too large", c->count);
		goto out;
	}
	if (sync_pending(c, err) < 0)
		goto out;
	c->holds = true; /* or perhaps not; take_back knows */
	ret = file_replace(r->dirfd, "commit", 0600, buf_slice(&list), err);
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
	return repo_pending_clear(r->dirfd, err);
}

/* ---- 3 and 4 ---- */

/* A root of another site; its directory is made with its first. */
static int place_site(const struct repo *r, int pending_fd, const char *name, const char *site,
		      int64_t version, struct error *err)
{
	char dir[sizeof(REPO_SITES_DIR) + NAME_LEN_MAX + 2], own[META_NAME_MAX];
	int fd, ret = -1;

	snprintf(dir, sizeof(dir), REPO_SITES_DIR "/%s", site);
	metadata_name(own, "root", version);
	if (!file_exists(pending_fd, name))
		return 0;
	if (file_mkdirs(r->dirfd, dir, 0755, err) < 0 ||
	    (fd = file_open(r->dirfd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err)) < 0)
		return -1;
	if (sys_rename(pending_fd, name, fd, own, 0) < 0)
		error_errno(err, errno, "cannot put %s/%s in its place", dir, own);
	else
		ret = file_sync(fd, dir, err);
	file_close(&fd);
	return ret;
}

/* Rename one file of the list; it is not in pending/ when an earlier attempt got this far. */
static int place(const struct repo *r, int pending_fd, struct slice line, struct error *err)
{
	char role[NAME_LEN_MAX + 1], name[META_NAME_MAX], site[NAME_LEN_MAX + 1];
	int64_t version;

	if (line.len >= sizeof(name))
		return error_set(err, ERR_FAILED, "repo/commit is damaged");
	memcpy(name, line.ptr, line.len);
	name[line.len] = '\0';
	if (site_root_name_parse(name, site, &version))
		return place_site(r, pending_fd, name, site, version, err);
	if (!metadata_name_parse(name, role, &version))
		return error_set(err, ERR_FAILED, "repo/commit is damaged");
	if (!file_exists(pending_fd, name))
		return 0;
	if (sys_rename(pending_fd, name, r->metadata_fd, name, 0) < 0)
		return error_errno(err, errno, "cannot put metadata/%s in its place", name);
	return 0;
}

static int place_all(const struct repo *r, int pending_fd, struct slice list, struct error *err)
{
	size_t at = 0;

	while (at < list.len) {
		size_t end = slice_find(list, '\n', at);
		struct slice line = slice_sub(list, at, end == SIZE_MAX ? SIZE_MAX : end - at);

		at += line.len + 1;
		/* What the last one names is on the disk before it names it. */
		if (at >= list.len && file_sync(r->metadata_fd, "metadata", err) < 0)
			return -1;
		if (place(r, pending_fd, line, err) < 0)
			return -1;
	}
	return file_sync(r->metadata_fd, "metadata", err);
}

static int finish(const struct repo *r, int pending_fd, struct error *err)
{
	struct buf list = BUF_INIT(COMMIT_SIZE_MAX);
	int ret = -1;

	if (file_read(r->dirfd, "commit", &list, err) == 0 &&
	    place_all(r, pending_fd, buf_slice(&list), err) == 0 &&
	    file_unlink(r->dirfd, "commit", err) == 0)
		ret = file_sync_dir(r->dirfd, ".", err);
	buf_release(&list);
	return ret;
}

int repo_commit(struct repo *r, struct repo_change *change, struct error *err)
{
	struct error second = ERROR_INIT;

	if (repo_change_begin(change, r, err) < 0)
		return error_wrap(err, "cannot publish");
	if (write_pending(r, change, err) < 0) {
		r->unfinished = take_back(r, &second) < 0;
		return error_wrap(err, "cannot publish");
	}
	if (finish(r, change->pending_fd, err) < 0) {
		r->unfinished = true;
		error_wrap(err, "the change is written, but not in its place yet");
		return error_hint(err,
				  "it will be finished by the next command, once the disk works");
	}
	return 0;
}

/* ---- recovery ---- */

static int finish_interrupted(const struct repo *r, struct error *err)
{
	int pending_fd, ret;

	if (file_mkdirs(r->dirfd, "pending", 0700, err) < 0 ||
	    (pending_fd = file_open(r->dirfd, "pending", O_RDONLY | O_DIRECTORY, 0, err)) < 0)
		return -1;
	ret = finish(r, pending_fd, err);
	file_close(&pending_fd);
	return ret < 0 ? error_wrap(err, "cannot finish an interrupted change") : 0;
}

int repo_recover(struct repo *r, struct error *err)
{
	bool written = file_exists(r->dirfd, "commit");
	struct repo_state next;

	if (!written && !r->unfinished)
		return repo_pending_clear(r->dirfd, err);
	if (written && finish_interrupted(r, err) < 0)
		return -1;
	if (repo_state_load(&next, r, NULL, NULL, -1, err) < 0)
		return -1;
	repo_state_replace(r, &next);
	r->unfinished = false;
	return 0;
}

int repo_apply(struct repo *r, struct repo_change *change, int64_t now_s, struct error *err)
{
	struct repo_state next;

	if (repo_state_load(&next, r, change, r->state.snapshot, now_s, err) < 0)
		return -1;
	if (repo_commit(r, change, err) < 0) {
		repo_state_release(&next);
		return -1;
	}
	repo_state_replace(r, &next);
	/* A long directory is not read for each of many small changes; repo_resign sweeps all of
	 * it. */
	if (change->count > SWEEP_FILES || r->state.snapshot->head.version % SWEEP_EVERY == 0)
		repo_sweep(r, change);
	return 0;
}
