/* The trusted state on disk, and commits of it that a power cut cannot split. */
#include "tuf/trusted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "crypto/hash.h"
#include "sys/fault.h"
#include "sys/file.h"
#include "tuf/engine.h"

#define COMMIT_MAGIC "meshanics-commit 1\n"
#define COMMIT_MAX (8u << 20) /* bytes of the list: 65536 names of 128 bytes */
#define FLOOR_MAX 32	      /* bytes of the floor file */
#define PLAIN_NAME_MAX 200    /* bytes of an encoded role name that is used as it is */

void trusted_filename(struct buf *out, const char *role)
{
	struct buf name = BUF_INIT(4 * (size_t)TUF_ROLE_NAME_MAX);
	uint8_t hash[SHA256_LEN];
	char hex[SHA256_HEX_LEN];

	tuf_percent_put(&name, slice_str(role), false);
	if (name.len <= PLAIN_NAME_MAX && !name.failed) {
		buf_put_slice(out, buf_slice(&name));
	} else {
		/* "%sh" is no percent-encoding, so no role's own name can be the same. */
		sha256_of(slice_str(role), hash);
		hex_encode(hex, hash, sizeof(hash));
		buf_printf(out, "%%sha256-%s", hex);
	}
	buf_put_str(out, ".json");
	buf_release(&name);
}

/* ---- finishing what was committed ---- */

/* Make one line of the list true. Both forms may have been done before. */
static int apply_line(struct trusted *t, char how, const char *name, struct error *err)
{
	char staged[sizeof("next/") + 256];

	if (name[0] == '\0' || strchr(name, '/') != NULL || strlen(name) > 255)
		return 0; /* none of ours: the disk has rotted here */
	if (how == '-')
		return file_unlink(t->dirfd, name, err);
	snprintf(staged, sizeof(staged), "next/%s", name);
	if (sys_rename(t->dirfd, staged, t->dirfd, name, 0) < 0 && errno != ENOENT)
		return error_errno(err, errno, "cannot put '%s' in place", name);
	return 0;
}

static int apply_lines(struct trusted *t, struct buf *list, struct error *err)
{
	struct slice text = buf_slice(list);
	size_t at = sizeof(COMMIT_MAGIC) - 1;

	while (at < text.len) {
		size_t end = slice_find(text, '\n', at);

		if (end == SIZE_MAX)
			break;
		list->ptr[end] = '\0';
		if (apply_line(t, (char)text.ptr[at], (const char *)text.ptr + at + 1, err) < 0)
			return -1;
		at = end + 1;
	}
	if (file_sync_dir(t->dirfd, ".", err) < 0)
		return -1;
	return file_unlink(t->dirfd, "commit", err);
}

/* Steps 3 and 4. The list was complete before it got its name; one that is damaged says nothing. */
static int commit_finish(struct trusted *t, struct error *err)
{
	struct buf list = BUF_INIT(COMMIT_MAX);
	int r = -1;

	if (file_read(t->dirfd, "commit", &list, err) < 0) {
		r = err->kind == ERR_NOT_FOUND ? 0 : -1;
		goto out;
	}
	if (!slice_starts(buf_slice(&list), SLICE_LIT(COMMIT_MAGIC)) ||
	    list.ptr[list.len - 1] != '\n')
		r = file_unlink(t->dirfd, "commit", err);
	else
		r = apply_lines(t, &list, err);
out:
	buf_release(&list);
	return r;
}

/* ---- opening ---- */

/* What an interrupted step 1 has left. */
static int staging_clear(struct trusted *t, struct error *err)
{
	int fd = file_open(t->dirfd, "next", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
	struct dirent *entry;
	int r = 0;
	DIR *dir;

	if (fd < 0)
		return -1;
	if ((dir = fdopendir(fd)) == NULL) {
		error_errno(err, errno, "cannot list 'next'");
		file_close(&fd);
		return -1;
	}
	while (r == 0 && (entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = file_unlink(dirfd(dir), entry->d_name, err);
	closedir(dir);
	return r;
}

int trusted_open(struct trusted *t, int dirfd, const char *path, struct error *err)
{
	*t = TRUSTED_INIT;
	if (file_mkdirs(dirfd, path, 0700, err) < 0)
		goto fail;
	if ((t->dirfd = file_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, err)) < 0 ||
	    (t->lockfd = file_lock(t->dirfd, "lock", err)) < 0)
		goto fail;
	if (file_mkdirs(t->dirfd, "next", 0700, err) < 0 || commit_finish(t, err) < 0 ||
	    staging_clear(t, err) < 0)
		goto fail;
	return 0;
fail:
	trusted_close(t);
	return error_wrap(err, "cannot open trusted state '%s'", path);
}

void trusted_close(struct trusted *t)
{
	file_close(&t->lockfd);
	file_close(&t->dirfd);
}

/* ---- reading ---- */

int trusted_read(const struct trusted *t, const char *role, struct buf *out, struct error *err)
{
	struct buf name = BUF_INIT(256);
	int r;

	trusted_filename(&name, role);
	r = file_read(t->dirfd, buf_cstr(&name), out, err);
	buf_release(&name);
	return r;
}

/*
 * A damaged floor is no floor: the clock and the build time still hold, and the next timestamp sets
 * it anew.
 */
int trusted_floor(const struct trusted *t, int64_t *floor_s, struct error *err)
{
	struct buf text = BUF_INIT(FLOOR_MAX);
	int64_t value = 0;
	size_t i;

	*floor_s = 0;
	if (file_read(t->dirfd, "floor", &text, err) < 0) {
		buf_release(&text);
		return err->kind == ERR_NOT_FOUND || err->kind == ERR_LIMIT ? 0 : -1;
	}
	for (i = 0; i < text.len && i < 12 && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
		value = value * 10 + (text.ptr[i] - '0');
	if (i > 0 && i + 1 == text.len && text.ptr[i] == '\n')
		*floor_s = value;
	buf_release(&text);
	return 0;
}

/* ---- committing ---- */

/* Step 1 for one file. */
static int stage(struct trusted *t, const char *name, struct slice bytes, struct error *err)
{
	char staged[sizeof("next/") + 256];
	int fd, r;

	snprintf(staged, sizeof(staged), "next/%s", name);
	fd = file_open(t->dirfd, staged, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600, err);
	if (fd < 0)
		return -1;
	r = file_write_all(fd, bytes, staged, err);
	if (r == 0)
		r = file_sync(fd, staged, err);
	file_close(&fd);
	return r;
}

static int stage_changes(struct trusted *t, const struct tuf_change *changes, unsigned count,
			 struct buf *list, struct error *err)
{
	unsigned i;

	for (i = 0; i < count; i++) {
		struct buf name = BUF_INIT(256);
		int r = 0;

		trusted_filename(&name, changes[i].role);
		if (changes[i].bytes.ptr != NULL)
			r = stage(t, buf_cstr(&name), changes[i].bytes, err);
		buf_printf(list, "%c%s\n", changes[i].bytes.ptr != NULL ? '+' : '-',
			   buf_cstr(&name));
		buf_release(&name);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int stage_floor(struct trusted *t, int64_t floor_s, struct buf *list, struct error *err)
{
	char text[FLOOR_MAX];

	snprintf(text, sizeof(text), "%lld\n", (long long)floor_s);
	buf_put_str(list, "+floor\n");
	return stage(t, "floor", slice_str(text), err);
}

/* Step 2: from the rename on, the change holds. */
static int commit_place(struct trusted *t, const struct buf *list, struct error *err)
{
	if (list->failed)
		return error_set(err, ERR_LIMIT, "too many files in one commit");
	if (stage(t, "commit", buf_slice(list), err) < 0 ||
	    file_sync_dir(t->dirfd, "next", err) < 0)
		return -1;
	/* Whether the old name is gone does not matter: what is in next/ counts for nothing. */
	if (sys_rename(t->dirfd, "next/commit", t->dirfd, "commit", 0) < 0)
		return error_errno(err, errno, "cannot put 'commit' in its place");
	return file_sync_dir(t->dirfd, ".", err);
}

int trusted_commit(struct trusted *t, const struct tuf_change *changes, unsigned count,
		   int64_t floor_s, struct error *err)
{
	struct buf list = BUF_INIT(COMMIT_MAX);
	int r = -1;

	if (count == 0 && floor_s < 0)
		return 0;
	/* Should an earlier commit in this process have failed half-way, it comes first. */
	if (commit_finish(t, err) < 0)
		goto out;
	buf_put_str(&list, COMMIT_MAGIC);
	if (stage_changes(t, changes, count, &list, err) < 0 ||
	    (floor_s >= 0 && stage_floor(t, floor_s, &list, err) < 0) ||
	    commit_place(t, &list, err) < 0)
		goto out;
	r = commit_finish(t, err);
out:
	buf_release(&list);
	return r < 0 ? error_wrap(err, "cannot store trusted metadata") : 0;
}

int trusted_commit_client(struct trusted *t, struct tuf_client *c, struct error *err)
{
	const struct tuf_change *changes;
	unsigned count = tuf_client_changes(c, &changes);
	int64_t stored;

	if (trusted_floor(t, &stored, err) < 0)
		return -1;
	if (trusted_commit(t, changes, count,
			   stored == tuf_client_floor(c) ? -1 : tuf_client_floor(c), err) < 0)
		return -1;
	tuf_client_stored(c);
	return 0;
}

int trusted_refreshed(struct trusted *t, int64_t now_s, struct error *err)
{
	int fd = file_open(t->dirfd, "refreshed", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600, err);
	int r;

	if (fd < 0)
		return -1;
	r = file_set_time(fd, now_s, "refreshed", err);
	file_close(&fd);
	return r;
}

int64_t trusted_refreshed_s(const struct trusted *t)
{
	struct stat st;

	return fstatat(t->dirfd, "refreshed", &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : (int64_t)st.st_mtim.tv_sec;
}
