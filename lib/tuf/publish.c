/*
 * Step three of publishing: next files of publishers and bins are checked, their blobs are put in
 * place, and all of them are named at once.
 */
#include "tuf/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "base/name.h"
#include "sys/fault.h"
#include "sys/file.h"
#include "tuf/publish_internal.h"

#define DROP_MAX                                                                                   \
	65536 /* staged blobs removed after a commit; of more, the rest is swept with its age */

/* ---- blobs ---- */

void blob_placed_name(char out[static BLOB_NAME_MAX], struct slice path,
		      const uint8_t sha256[static SHA256_LEN])
{
	struct buf b = BUF_INIT(BLOB_NAME_MAX - 1);

	artifact_put_file(&b, path, sha256);
	snprintf(out, BLOB_NAME_MAX, "%s", buf_cstr(&b));
	buf_release(&b);
}

bool blob_has_size(int repo_dirfd, const char *name, uint64_t len)
{
	struct stat st;

	return fstatat(repo_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == len;
}

void blob_staged_name(char out[static BLOB_NAME_MAX], const uint8_t sha256[static SHA256_LEN])
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, sha256, SHA256_LEN);
	snprintf(out, BLOB_NAME_MAX, "staging/%s", hex);
}

/* In staging/ first, where what a crash leaves is swept. */
static int place_anew(int repo_dirfd, const char *from, const char *placed, struct error *err)
{
	const char *temp = "staging/" STAGE_TEMP_PREFIX "blob";
	struct error ignored = ERROR_INIT;

	if (file_unlink(repo_dirfd, temp, err) < 0)
		return -1;
	if (sys_link(repo_dirfd, from, repo_dirfd, temp) < 0)
		return error_errno(err, errno, "cannot link '%s'", from);
	if (sys_rename(repo_dirfd, temp, repo_dirfd, placed, 0) == 0)
		return 0;
	error_errno(err, errno, "cannot put '%s' in its place", placed);
	if (file_unlink(repo_dirfd, temp, &ignored) < 0)
		error_hint(err, "'%s' may be left over", temp);
	return -1;
}

static bool same_file(int repo_dirfd, const char *a, const char *b)
{
	struct stat x, y;

	return fstatat(repo_dirfd, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(repo_dirfd, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* In its folder, which is made where there is none. */
static int place_new(int repo_dirfd, const char *from, const char *placed, const char *dir, bool sync,
		     struct error *err)
{
	if ((sync ? file_mkdirs : file_mkdirs_unsynced)(repo_dirfd, dir, 0755, err) < 0 ||
	    file_unlink(repo_dirfd, placed, err) < 0)
		return -1;
	if (sys_link(repo_dirfd, from, repo_dirfd, placed) < 0)
		return error_errno(err, errno, "cannot link '%s'", placed);
	return 0;
}

int blob_place(int repo_dirfd, const char *from, const char *placed, uint64_t length, unsigned flags,
	       struct error *err)
{
	bool there = blob_has_size(repo_dirfd, placed, length), sync = (flags & BLOB_UNSYNCED) == 0;
	char dir[BLOB_NAME_MAX];

	snprintf(dir, sizeof(dir), "%s", placed);
	*strrchr(dir, '/') = '\0';
	/* Whoever linked it may have ended before he had synced it. */
	if (there && (!(flags & BLOB_ANEW) || same_file(repo_dirfd, from, placed)))
		return sync && file_sync_dir(repo_dirfd, dir, err) < 0 ? -1 : 0;
	if ((there ? place_anew(repo_dirfd, from, placed, err) : place_new(repo_dirfd, from, placed, dir, sync, err)) < 0 ||
	    (sync && file_sync_dir(repo_dirfd, dir, err) < 0))
		return -1;
	return 1;
}

static int place_blob(const struct repo *r, const struct tuf_target *t, struct error *err)
{
	char staged[BLOB_NAME_MAX], placed[BLOB_NAME_MAX];

	blob_staged_name(staged, t->hashes.sha256);
	blob_placed_name(placed, t->path, t->hashes.sha256);
	return blob_place(r->dirfd, staged, placed, t->length, 0, err) < 0 ? -1 : 0;
}

/* ---- many files at once ---- */

struct publish_batch {
	struct repo *r;
	int64_t now_s;
	struct repo_change change;
	struct publish_result result;
	uint8_t (*placed)[SHA256_LEN]; /* whose staged names go when all is named */
	size_t placed_count;
};

static int place_blobs(struct publish_batch *b, const struct publish_file *f, struct error *err)
{
	size_t i, room = DROP_MAX - b->placed_count;

	if (room > f->added_count)
		room = f->added_count;
	b->placed = xreallocarray(b->placed, b->placed_count + room + 1, sizeof(b->placed[0]));
	for (i = 0; i < f->added_count; i++) {
		if (place_blob(b->r, &f->added[i], err) < 0)
			return error_wrap(err, "cannot store '%.*s'", SLICE_ARG(f->added[i].path));
		if (i < room)
			memcpy(b->placed[b->placed_count++], f->added[i].hashes.sha256, SHA256_LEN);
	}
	return 0;
}

/* The staged names of what is published now. One that stays is swept with its age. */
static void drop_staged(const struct publish_batch *b)
{
	struct error ignored = ERROR_INIT;
	char staged[BLOB_NAME_MAX];
	size_t i;

	for (i = 0; i < b->placed_count; i++) {
		blob_staged_name(staged, b->placed[i]);
		if (file_unlink(b->r->dirfd, staged, &ignored) < 0)
			return;
	}
}

struct publish_batch *publish_batch_new(struct repo *r, int64_t now_s, struct error *err)
{
	struct publish_batch *b;

	if (repo_writable(r, err) < 0 || repo_adopted(r, err) < 0 ||
	    repo_check_clock(r, now_s, err) < 0)
		return NULL;
	b = xcalloc(1, sizeof(*b));
	b->r = r;
	b->now_s = now_s;
	return b;
}

void publish_batch_free(struct publish_batch *b)
{
	if (b == NULL)
		return;
	repo_change_release(&b->change);
	free(b->placed);
	free(b);
}

static int find_roles(struct publish_file *f, struct slice name, struct error *err)
{
	char shown[96];

	f->publisher = repo_bin_parse(f->r, name, &f->bin);
	f->is_bin = f->publisher != NULL;
	f->role = repo_file_find(f->r, name);
	if (f->role == NULL)
		return error_set(err, ERR_NOT_FOUND, "targets delegates to no publisher '%s'",
				 printable(shown, sizeof(shown), name));
	if (!f->is_bin)
		f->publisher = f->role;
	f->top = f->r->state.targets;
	return 0;
}

static int add_checked(struct publish_batch *b, const struct publish_file *f, struct slice text,
		       struct error *err)
{
	struct buf copy = BUF_INIT(PUBLISH_FILE_MAX);

	b->result.version = f->next->head.version;
	b->result.added += (unsigned)f->added_count;
	b->result.removed += (unsigned)f->removed_count;
	if (f->is_bin)
		return repo_change_write(&b->change, b->r, f->role->name, b->result.version, text,
					 err);
	buf_put_slice(&copy, text);
	repo_change_add(&b->change, f->role->name, b->result.version, &copy);
	return 0;
}

int publish_batch_add(struct publish_batch *b, struct slice role, int64_t expected_version,
		      struct slice file, struct error *err)
{
	struct publish_file f = {.r = b->r, .now_s = b->now_s};
	int r = -1;

	if (find_roles(&f, role, err) < 0)
		return -1;
	if (file.len > PUBLISH_FILE_MAX)
		return error_set(err, ERR_LIMIT, "the file of '%s' is larger than %llu bytes",
				 f.role->name, (unsigned long long)PUBLISH_FILE_MAX);
	if ((f.next = tuf_targets_parse(file, err)) == NULL)
		return error_wrap(err, "the file of '%s'", f.role->name);
	if (publish_check(&f, expected_version, err) == 0 && place_blobs(b, &f, err) == 0)
		r = add_checked(b, &f, file, err);
	free(f.added);
	tuf_targets_free(f.next);
	return r;
}

int publish_batch_commit(struct publish_batch *b, struct publish_result *out, struct error *err)
{
	struct seal_options o = {.now_s = b->now_s, .lives = &b->r->state.lives};

	*out = b->result;
	if (b->change.count == 0)
		return 0;
	if (repo_seal(b->r, &b->change, &o, err) < 0 ||
	    repo_apply(b->r, &b->change, b->now_s, err) < 0)
		return -1;
	drop_staged(b);
	return 0;
}

int publish_commit(struct repo *r, struct slice role, int64_t expected_version, struct slice file,
		   int64_t now_s, struct publish_result *out, struct error *err)
{
	struct publish_batch *b = publish_batch_new(r, now_s, err);
	int ret = -1;

	*out = (struct publish_result){.version = 0};
	if (b != NULL && publish_batch_add(b, role, expected_version, file, err) == 0)
		ret = publish_batch_commit(b, out, err);
	publish_batch_free(b);
	return ret;
}

int publish_restore_blob(struct repo *r, const char *path, struct error *err)
{
	char staged[BLOB_NAME_MAX], placed[BLOB_NAME_MAX];
	struct artifact a;

	if (repo_writable(r, err) < 0 || artifact_find(r, slice_str(path), &a, err) < 0)
		return -1;
	blob_staged_name(staged, a.target.hashes.sha256);
	blob_placed_name(placed, a.target.path, a.target.hashes.sha256);
	if (!blob_has_size(r->dirfd, staged, a.target.length))
		return 0;
	return file_rename(r->dirfd, staged, r->dirfd, placed, err);
}

int publish_remove_blob(struct repo *r, const char *path, const uint8_t sha256[static SHA256_LEN],
			struct error *err)
{
	char name[BLOB_NAME_MAX];
	struct artifact a;

	if (repo_writable(r, err) < 0 || target_path_check(slice_str(path), err) < 0)
		return -1;
	if (r->state.root != NULL && artifact_find(r, slice_str(path), &a, err) == 0)
		return error_set(err, ERR_CONFLICT, "'%s' is published; withdraw it first", path);
	blob_placed_name(name, slice_str(path), sha256);
	return file_unlink(r->dirfd, name, err);
}
