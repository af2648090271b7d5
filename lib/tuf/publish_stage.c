/* Step one of publishing: bytes arrive in staging/ and are hashed there, so what is named is what
 * was hashed. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "sys/file.h"
#include "sys/rng.h"
#include "sys/space.h"
#include "tuf/publish.h"
#include "tuf/repo_internal.h"

#define STAGE_NAME_MAX 96

static void stage_name(char out[static STAGE_NAME_MAX], const uint8_t sha256[static SHA256_LEN],
		       const char *suffix)
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, sha256, SHA256_LEN);
	snprintf(out, STAGE_NAME_MAX, "staging/%s%s", hex, suffix);
}

bool publish_staged(int repo_dirfd, const uint8_t sha256[static SHA256_LEN])
{
	char name[STAGE_NAME_MAX];

	stage_name(name, sha256, "");
	return file_exists(repo_dirfd, name);
}

/* sha256_file reports bytes done; people want to see the total as well. */
struct hashing {
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
	uint64_t total;
};

static void hashing_progress(void *arg, uint64_t done)
{
	const struct hashing *h = arg;

	if (h->progress != NULL)
		h->progress(h->arg, done, h->total);
}

/* The size of a regular file within the cap. */
static int source_size(int fd, uint64_t *len, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		error_set(err, ERR_USAGE, "not a regular file");
		return error_hint(
			err,
			"write the stream to a file first; its length is part of what is signed");
	}
	if (st.st_size > PUBLISH_BLOB_MAX)
		return error_set(err, ERR_LIMIT, "larger than %" PRId64 " bytes", PUBLISH_BLOB_MAX);
	*len = (uint64_t)st.st_size;
	return 0;
}

/* On the caller's clock, if he has given one. */
static int64_t clock_ms(int64_t (*mono_ms)(void))
{
	return mono_ms == NULL ? 0 : mono_ms();
}

static uint64_t keep_beside(uint64_t len)
{
	return len <= PUBLISH_SMALL_MAX ? PUBLISH_KEEP_SMALL : PUBLISH_KEEP;
}

/* Not for a reflink, which needs none. */
static int copy_with_room(int repo_dirfd, int from, int to, struct publish_blob *out, struct error *err)
{
	out->how = "reflink";
	if (file_reflink(from, to, out->len) == 0)
		return 0;
	if (space_need(repo_dirfd, "repo", out->len, keep_beside(out->len), err) < 0 ||
	    space_take(to, out->len, "the staged copy", err) < 0)
		return -1;
	return file_copy(from, to, out->len, &out->how, err);
}

/* Copy, then hash the copy: whoever changes the source meanwhile changes nothing here. */
static int copy_and_hash(int repo_dirfd, int from, int to, struct publish_blob *out, struct hashing *h,
			 int64_t (*mono_ms)(void), struct error *err)
{
	int64_t start = clock_ms(mono_ms), copied, hashed;
	uint64_t len;

	if (source_size(from, &out->len, err) < 0 ||
	    copy_with_room(repo_dirfd, from, to, out, err) < 0)
		return -1;
	copied = clock_ms(mono_ms);
	h->total = out->len;
	if (sha256_file(to, out->sha256, &len, hashing_progress, h, err) < 0)
		return -1;
	hashed = clock_ms(mono_ms);
	if (len != out->len)
		return error_set(err, ERR_FAILED,
				 "%" PRIu64 " of %" PRIu64 " bytes arrived in staging", len,
				 out->len);
	if (file_sync(to, "the staged copy", err) < 0)
		return -1;
	out->copy_ms = copied - start;
	out->hash_ms = hashed - copied;
	out->sync_ms = clock_ms(mono_ms) - hashed;
	return 0;
}

int publish_stage_file(int repo_dirfd, int fd, struct publish_blob *out,
		       void (*progress)(void *arg, uint64_t done, uint64_t total), void *arg,
		       int64_t (*mono_ms)(void), struct error *err)
{
	struct hashing h = {progress, arg, 0};
	struct error ignored = ERROR_INIT;
	char temp[STAGE_NAME_MAX], name[STAGE_NAME_MAX], hex[17];
	uint8_t random[8];
	int to, ret = -1;

	*out = (struct publish_blob){.how = ""};
	rng_bytes(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	snprintf(temp, sizeof(temp), "staging/" STAGE_TEMP_PREFIX "%s", hex);
	if ((to = file_open(repo_dirfd, temp, O_RDWR | O_CREAT | O_EXCL, 0644, err)) < 0)
		return -1;
	if (copy_and_hash(repo_dirfd, fd, to, out, &h, mono_ms, err) < 0)
		goto out;
	stage_name(name, out->sha256, "");
	ret = file_rename(repo_dirfd, temp, repo_dirfd, name, err);
out:
	file_close(&to);
	if (ret < 0 && file_unlink(repo_dirfd, temp, &ignored) < 0)
		error_hint(err, "'%s' may be left over", temp);
	return ret;
}

int publish_stage_open(int repo_dirfd, const uint8_t sha256[static SHA256_LEN], uint64_t *have,
		       struct error *err)
{
	char name[STAGE_NAME_MAX];
	struct stat st;
	int fd;

	if (publish_staged(repo_dirfd, sha256))
		return error_set(err, ERR_CONFLICT, "this blob is staged already");
	stage_name(name, sha256, ".part");
	if ((fd = file_open(repo_dirfd, name, O_RDWR | O_CREAT | O_APPEND, 0644, err)) < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		file_close(&fd);
		return error_set(err, ERR_FAILED, "'%s' is no regular file", name);
	}
	*have = (uint64_t)st.st_size;
	return fd;
}

int publish_stage_room(int repo_dirfd, const uint8_t sha256[static SHA256_LEN], int fd, uint64_t have,
		       uint64_t more, struct error *err)
{
	struct error ignored = ERROR_INIT;
	char name[STAGE_NAME_MAX];

	if (more == 0 || (space_need(repo_dirfd, "repo", more, keep_beside(have + more), err) == 0 &&
			  space_take(fd, have + more, "the upload", err) == 0))
		return 0;
	stage_name(name, sha256, ".part");
	if (have == 0 && file_unlink(repo_dirfd, name, &ignored) < 0)
		error_hint(err, "'%s' may be left over", name);
	return -1;
}

int publish_stage_finish(int repo_dirfd, const uint8_t sha256[static SHA256_LEN], uint64_t *len,
			 struct error *err)
{
	char part[STAGE_NAME_MAX], name[STAGE_NAME_MAX];
	struct error ignored = ERROR_INIT;
	uint8_t found[SHA256_LEN];
	int fd, ret = -1;

	stage_name(part, sha256, ".part");
	stage_name(name, sha256, "");
	if ((fd = file_open(repo_dirfd, part, O_RDONLY, 0, err)) < 0)
		return -1;
	if (sha256_file(fd, found, len, NULL, NULL, err) < 0)
		goto out;
	if (memcmp(found, sha256, SHA256_LEN) != 0) {
		if (file_unlink(repo_dirfd, part, &ignored) == 0)
			error_set(err, ERR_REFUSED,
				  "the uploaded bytes have another SHA-256; they are dropped");
		else
			error_set(err, ERR_REFUSED, "the uploaded bytes have another SHA-256");
		goto out;
	}
	if (file_sync(fd, part, err) < 0)
		goto out;
	ret = file_rename(repo_dirfd, part, repo_dirfd, name, err);
out:
	file_close(&fd);
	return ret;
}

/* Failing is no failure of the caller: the next sweep sees the same files. */
void publish_stage_sweep(int repo_dirfd, bool temps, int64_t cutoff_s)
{
	struct error ignored = ERROR_INIT;
	struct dirent *e;
	struct stat st;
	DIR *d;
	int fd = file_open(repo_dirfd, "staging", O_RDONLY | O_DIRECTORY, 0, &ignored);

	if (fd < 0)
		return;
	if ((d = fdopendir(fd)) == NULL) {
		file_close(&fd);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (!(temps &&
		      strncmp(e->d_name, STAGE_TEMP_PREFIX, strlen(STAGE_TEMP_PREFIX)) == 0) &&
		    st.st_mtime >= cutoff_s)
			continue;
		if (file_unlink(fd, e->d_name, &ignored) < 0)
			break;
	}
	closedir(d);
}
