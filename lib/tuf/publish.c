/* Step three of publishing: a publisher's next file is checked, its blobs are put in place, and it
 * is named. */
#include "tuf/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "base/name.h"
#include "sys/fault.h"
#include "sys/file.h"
#include "tuf/delegation.h"
#include "tuf/repo_internal.h"
#include "tuf/verify.h"

#define FILE_NAME_MAX 512 /* of a blob below HOME/repo */

/* The same as a C string. path has passed target_path_check. */
static void blob_name(char out[static FILE_NAME_MAX], struct slice path,
		      const uint8_t sha256[static SHA256_LEN])
{
	struct buf b = BUF_INIT(FILE_NAME_MAX - 1);

	artifact_put_file(&b, path, sha256);
	snprintf(out, FILE_NAME_MAX, "%s", buf_cstr(&b));
	buf_release(&b);
}

static bool has_size(int repo_dirfd, const char *name, uint64_t len)
{
	struct stat st;

	return fstatat(repo_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == len;
}

static void staged_name(char out[static FILE_NAME_MAX], const uint8_t sha256[static SHA256_LEN])
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, sha256, SHA256_LEN);
	snprintf(out, FILE_NAME_MAX, "staging/%s", hex);
}

/* ---- checks ---- */

/* What a commit works on. */
struct commit {
	struct repo *r;
	const struct repo_role *role;
	struct tuf_targets *next;
	int64_t now_s;
	struct publish_result *out;
};

static int check_slice(const struct commit *c, struct slice path, struct error *err)
{
	char shown[96];

	if (artifact_role(c->r, path) == c->role)
		return 0;
	error_set(err, ERR_REFUSED, "'%s' is outside the slice of publisher '%s'",
		  printable(shown, sizeof(shown), path), c->role->name);
	return error_hint(err, "meshanics artifact list --publishers shows the slices");
}

/* A path that was published keeps its bytes and its descriptor for good. */
static int check_same(const struct tuf_target *old, const struct tuf_target *next,
		      struct error *err)
{
	struct buf a = BUF_INIT(DESCRIPTOR_SIZE_MAX), b = BUF_INIT(DESCRIPTOR_SIZE_MAX);
	int r = -1;

	if (json_canonical(&a, json_get(old->custom, "meshanics"), err) < 0 ||
	    json_canonical(&b, json_get(next->custom, "meshanics"), err) < 0)
		goto out;
	if (old->length == next->length &&
	    memcmp(old->hashes.sha256, next->hashes.sha256, SHA256_LEN) == 0 &&
	    slice_equal(buf_slice(&a), buf_slice(&b)))
		r = 0;
	else
		error_set(err, ERR_CONFLICT,
			  "'%.*s' is published already, with other content or another descriptor",
			  SLICE_ARG(next->path));
out:
	buf_release(&a);
	buf_release(&b);
	return r;
}

static int check_blob(const struct commit *c, const struct tuf_target *t, struct error *err)
{
	char staged[FILE_NAME_MAX], placed[FILE_NAME_MAX];

	staged_name(staged, t->hashes.sha256);
	blob_name(placed, t->path, t->hashes.sha256);
	if (has_size(c->r->dirfd, staged, t->length) || has_size(c->r->dirfd, placed, t->length))
		return 0;
	error_set(err, ERR_NOT_FOUND,
		  "'%.*s': no staged blob of %" PRIu64 " bytes with this SHA-256",
		  SLICE_ARG(t->path), t->length);
	return error_hint(err, "upload the blob before the metadata that names it");
}

static int check_new(const struct commit *c, const struct tuf_target *t, struct error *err)
{
	struct descriptor d;

	if (!t->hashes.has_sha256)
		return error_set(err, ERR_REFUSED, "'%.*s' has no sha256", SLICE_ARG(t->path));
	if (json_get(t->custom, "meshanics").doc == NULL)
		return error_set(err, ERR_REFUSED, "'%.*s' has no descriptor", SLICE_ARG(t->path));
	if (descriptor_parse(&d, json_get(t->custom, "meshanics"), err) < 0)
		return error_wrap(err, "'%.*s'", SLICE_ARG(t->path));
	descriptor_release(&d);
	return check_blob(c, t, err);
}

static int check_target(const struct commit *c, const struct tuf_target *old, size_t old_count,
			const struct tuf_target *t, struct error *err)
{
	const struct tuf_target *same =
		old_count == 0 ? NULL : bsearch(t, old, old_count, sizeof(*old), targets_order);

	if (target_path_check(t->path, err) < 0 || check_slice(c, t->path, err) < 0)
		return -1;
	if (same != NULL)
		return check_same(same, t, err);
	c->out->added++;
	return check_new(c, t, err);
}

static int check_targets(const struct commit *c, struct error *err)
{
	struct tuf_target *old = NULL, *next = NULL;
	size_t old_count, next_count = 0, i;
	int r = -1;

	if (targets_sorted(c->role->file, &old, &old_count, err) < 0 ||
	    targets_sorted(c->next, &next, &next_count, err) < 0)
		goto out;
	for (i = 0; i < next_count; i++) {
		if (check_target(c, old, old_count, &next[i], err) < 0)
			goto out;
	}
	c->out->removed = (unsigned)(old_count + c->out->added - next_count);
	r = 0;
out:
	free(old);
	free(next);
	return r;
}

static int check_version(const struct commit *c, int64_t expected, struct error *err)
{
	int64_t version = c->next->head.version;

	if (c->role->fault == ROLE_DAMAGED) {
		*err = c->role->why;
		error_wrap(err, "the published file of '%s' is damaged", c->role->name);
		return error_hint(
			err,
			"restore it from a backup first: meshanics repo verify says what is wrong");
	}
	if (expected != c->role->version) {
		error_set(err, ERR_CONFLICT,
			  "version %" PRId64 " of '%s' is published, not %" PRId64
			  " which this one was built upon",
			  c->role->version, c->role->name, expected);
		return error_hint(err, "fetch the published file and sign again");
	}
	if (version <= c->role->version)
		return error_set(err, ERR_REFUSED,
				 "version %" PRId64 " of '%s' is not above %" PRId64
				 ", which is published",
				 version, c->role->name, c->role->version);
	if (version > c->now_s + REPO_VERSION_AHEAD_S)
		return error_set(err, ERR_REFUSED,
				 "version %" PRId64
				 " of '%s' is more than a day ahead of the clock",
				 version, c->role->name);
	return 0;
}

/* As a client checks it (5.6), and the rules of this repository on top. */
static int check_file(const struct commit *c, int64_t expected, struct error *err)
{
	struct tuf_metafile meta = {.version = c->next->head.version, .length = -1};

	if (check_version(c, expected, err) < 0 ||
	    tuf_targets_check(&c->role->role, c->role->name, &meta, c->next, c->now_s, err) < 0)
		return -1;
	if (c->next->delegations.doc != NULL)
		return error_set(err, ERR_REFUSED, "publisher '%s' may not delegate",
				 c->role->name);
	return check_targets(c, err);
}

/* ---- placing ---- */

/*
 * A staged blob gets its name where clients ask for it; by a link, since two paths may have the
 * same bytes. Nobody names it yet, so this may stop anywhere.
 */
static int place_blob(const struct commit *c, const struct tuf_target *t, struct error *err)
{
	char staged[FILE_NAME_MAX], placed[FILE_NAME_MAX], dir[FILE_NAME_MAX];

	staged_name(staged, t->hashes.sha256);
	blob_name(placed, t->path, t->hashes.sha256);
	if (has_size(c->r->dirfd, placed, t->length))
		return 0;
	snprintf(dir, sizeof(dir), "%s", placed);
	*strrchr(dir, '/') = '\0';
	if (file_mkdirs(c->r->dirfd, dir, 0755, err) < 0 ||
	    file_unlink(c->r->dirfd, placed, err) < 0)
		return -1;
	if (sys_link(c->r->dirfd, staged, c->r->dirfd, placed) < 0)
		return error_errno(err, errno, "cannot link '%s'", placed);
	return file_sync_dir(c->r->dirfd, dir, err);
}

static int place_blobs(const struct commit *c, struct error *err)
{
	struct json_iter it;
	struct tuf_target t;

	if (c->out->added == 0)
		return 0;
	for (it = json_iter(c->next->targets); json_next(&it);) {
		if (tuf_target_parse(&t, it.key, it.value, err) < 0 || place_blob(c, &t, err) < 0)
			return error_wrap(err, "cannot store '%.*s'", SLICE_ARG(it.key));
	}
	return 0;
}

/* The staged names of what is published now. One that stays is swept with its age. */
static void drop_staged(const struct commit *c)
{
	struct error ignored = ERROR_INIT;
	char staged[FILE_NAME_MAX];
	struct json_iter it;
	struct tuf_target t;

	for (it = json_iter(c->next->targets); c->out->added > 0 && json_next(&it);) {
		if (tuf_target_parse(&t, it.key, it.value, &ignored) < 0)
			return;
		staged_name(staged, t.hashes.sha256);
		if (file_unlink(c->r->dirfd, staged, &ignored) < 0)
			return;
	}
}

static int name_it(const struct commit *c, struct slice file, struct error *err)
{
	struct seal_options o = {.now_s = c->now_s, .lives = &c->r->state.lives};
	struct buf text = BUF_INIT(PUBLISH_FILE_MAX);
	struct repo_change change = {.files = NULL};
	int r = -1;

	buf_put_slice(&text, file);
	repo_change_add(&change, c->role->name, c->next->head.version, &text);
	if (repo_seal(c->r, &change, &o, err) == 0)
		r = repo_apply(c->r, &change, c->now_s, err);
	repo_change_release(&change);
	return r;
}

int publish_commit(struct repo *r, struct slice role, int64_t expected_version, struct slice file,
		   int64_t now_s, struct publish_result *out, struct error *err)
{
	struct commit c = {.r = r, .now_s = now_s, .out = out};
	char shown[96];
	int ret = -1;

	*out = (struct publish_result){.version = 0};
	if (repo_writable(r, err) < 0 || repo_adopted(r, err) < 0 ||
	    repo_check_clock(r, now_s, err) < 0)
		return -1;
	if ((c.role = repo_role_find(r, role)) == NULL)
		return error_set(err, ERR_NOT_FOUND, "targets delegates to no publisher '%s'",
				 printable(shown, sizeof(shown), role));
	if (file.len > PUBLISH_FILE_MAX)
		return error_set(err, ERR_LIMIT, "the file of '%s' is larger than %llu bytes",
				 c.role->name, (unsigned long long)PUBLISH_FILE_MAX);
	if ((c.next = tuf_targets_parse(file, err)) == NULL) {
		error_wrap(err, "the file of '%s'", c.role->name);
		goto out;
	}
	out->version = c.next->head.version;
	if (check_file(&c, expected_version, err) < 0 || place_blobs(&c, err) < 0 ||
	    name_it(&c, file, err) < 0)
		goto out;
	drop_staged(&c);
	ret = 0;
out:
	tuf_targets_free(c.next);
	return ret;
}

int publish_restore_blob(struct repo *r, const char *path, struct error *err)
{
	char staged[FILE_NAME_MAX], placed[FILE_NAME_MAX];
	struct artifact a;

	if (repo_writable(r, err) < 0 || artifact_find(r, slice_str(path), &a, err) < 0)
		return -1;
	staged_name(staged, a.target.hashes.sha256);
	blob_name(placed, a.target.path, a.target.hashes.sha256);
	if (!has_size(r->dirfd, staged, a.target.length))
		return 0;
	return file_rename(r->dirfd, staged, r->dirfd, placed, err);
}

int publish_remove_blob(struct repo *r, const char *path, const uint8_t sha256[static SHA256_LEN],
			struct error *err)
{
	char name[FILE_NAME_MAX];
	struct artifact a;

	if (repo_writable(r, err) < 0 || target_path_check(slice_str(path), err) < 0)
		return -1;
	if (r->state.root != NULL && artifact_find(r, slice_str(path), &a, err) == 0)
		return error_set(err, ERR_CONFLICT, "'%s' is published; withdraw it first", path);
	blob_name(name, slice_str(path), sha256);
	return file_unlink(r->dirfd, name, err);
}
