/*
 * Artifacts of a bundle on their way into staging/. What is there of one already (its place, its staged copy, or the part
 * that an interrupted import has left) is read beside the bundle and compared: as long as the bytes are the same, nothing
 * is written.
 *
 *	COMPARING ---- same to the end ----> held, or the part is whole
 *	    | another byte, or the end of what is here
 *	    v
 *	WRITING ------ to the end ---------> the part is whole
 *
 * A part is called staged only after its bytes are synced; of many small ones all at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/encode.h"
#include "bundle/import_internal.h"
#include "sys/fault.h"
#include "sys/file.h"
#include "sys/space.h"
#include "tuf/publish.h"

#define COMPARE_SIZE ((size_t)256 << 10)
#define TAKE_MIN (UINT64_C(1) << 20)	/* bytes; room for less is not taken one by one, as it was asked for as a whole */
#define SYNC_EACH_MAX 8	/* parts; of more, the file system is synced */

/* One artifact at work. */
struct work {
	struct import_store *s;
	const struct member *m;
	int held_fd;		/* what is compared with; -1: nothing */
	int part_fd;		/* -1: not open, since nothing was to be written so far */
	bool held_is_part;
	uint64_t at;		/* bytes of the artifact that are right so far */
	bool writing;
	bool hashing;		/* its first bytes were in a former volume: the reader does not check the whole */
	struct sha256 hash;
};

static void blob_name(char out[static IMPORT_BLOB_MAX], const uint8_t sha256[static SHA256_LEN], const char *suffix)
{
	char hex[SHA256_HEX_LEN];

	hex_encode(hex, sha256, SHA256_LEN);
	snprintf(out, IMPORT_BLOB_MAX, "staging/%s%s", hex, suffix);
}

void import_store_open(struct import_store *s, int repo_dirfd)
{
	*s = (struct import_store){.repo_dirfd = repo_dirfd};
	s->room = xmalloc(COMPARE_SIZE);
	s->unsynced = xcalloc(IMPORT_UNSYNCED_MAX, sizeof(s->unsynced[0]));
}

void import_store_release(struct import_store *s)
{
	free(s->room);
	free(s->unsynced);
	*s = (struct import_store){.repo_dirfd = -1};
}

uint64_t import_store_part(int repo_dirfd, const uint8_t sha256[static SHA256_LEN])
{
	char name[IMPORT_BLOB_MAX];
	struct stat st;

	blob_name(name, sha256, ".part");
	return fstatat(repo_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

/* ---- syncing ---- */

static int sync_one(struct import_store *s, const uint8_t sha256[static SHA256_LEN], struct error *err)
{
	char part[IMPORT_BLOB_MAX];
	int fd, ret;

	blob_name(part, sha256, ".part");
	if ((fd = file_open(s->repo_dirfd, part, O_RDONLY, 0, err)) < 0)
		return -1;
	ret = file_sync(fd, part, err);
	file_close(&fd);
	return ret;
}

static int sync_all(struct import_store *s, struct error *err)
{
	unsigned i;

	if (s->unsynced_count > SYNC_EACH_MAX)
		return file_sync_fs(s->repo_dirfd, "staging", err);
	for (i = 0; i < s->unsynced_count; i++) {
		if (sync_one(s, s->unsynced[i], err) < 0)
			return -1;
	}
	return 0;
}

int import_store_flush(struct import_store *s, struct error *err)
{
	char part[IMPORT_BLOB_MAX], name[IMPORT_BLOB_MAX];
	unsigned i;

	if (s->unsynced_count == 0)
		return 0;
	if (sync_all(s, err) < 0)
		return -1;
	for (i = 0; i < s->unsynced_count; i++) {
		blob_name(part, s->unsynced[i], ".part");
		blob_name(name, s->unsynced[i], "");
		if (sys_rename(s->repo_dirfd, part, s->repo_dirfd, name, 0) < 0)
			return error_errno(err, errno, "cannot put '%s' in its place", name);
	}
	s->unsynced_count = 0;
	s->unsynced_bytes = 0;
	return file_sync_dir(s->repo_dirfd, "staging", err);
}

static int part_is_whole(struct import_store *s, const struct member *m, struct error *err)
{
	memcpy(s->unsynced[s->unsynced_count++], m->sha256, SHA256_LEN);
	s->unsynced_bytes += m->length;
	return s->unsynced_count == IMPORT_UNSYNCED_MAX || s->unsynced_bytes >= IMPORT_UNSYNCED_BYTES
		       ? import_store_flush(s, err)
		       : 0;
}

static bool waits(const struct import_store *s, const uint8_t sha256[static SHA256_LEN])
{
	unsigned i;

	for (i = 0; i < s->unsynced_count; i++) {
		if (memcmp(s->unsynced[i], sha256, SHA256_LEN) == 0)
			return true;
	}
	return false;
}

/* ---- comparing ---- */

static int open_held(int repo_dirfd, const char *name, uint64_t length)
{
	struct error ignored = ERROR_INIT;
	struct stat st;
	int fd;

	if (fstatat(repo_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
	    (length != UINT64_MAX && (uint64_t)st.st_size != length))
		return -1;
	fd = file_open(repo_dirfd, name, O_RDONLY | O_NOFOLLOW, 0, &ignored);
	return fd;
}

/* What there is of the artifact: staged, in its place, or a part. */
static void find_held(struct work *w, const char *path)
{
	char name[IMPORT_BLOB_MAX];
	struct buf placed = BUF_INIT(IMPORT_BLOB_MAX - 1);
	int dirfd = w->s->repo_dirfd;

	blob_name(name, w->m->sha256, "");
	w->held_fd = open_held(dirfd, name, w->m->length);
	if (w->held_fd < 0) {
		artifact_put_file(&placed, slice_str(path), w->m->sha256);
		w->held_fd = open_held(dirfd, buf_cstr(&placed), w->m->length);
	}
	buf_release(&placed);
	if (w->held_fd >= 0)
		return;
	blob_name(name, w->m->sha256, ".part");
	w->held_fd = open_held(dirfd, name, UINT64_MAX);
	w->held_is_part = w->held_fd >= 0;
}

/* How many bytes of the piece are the same as what is held from w->at on. One that cannot be read is not the same. */
static size_t count_same(struct work *w, struct slice piece)
{
	struct error ignored = ERROR_INIT;
	size_t done = 0;

	while (done < piece.len) {
		size_t n = piece.len - done < COMPARE_SIZE ? piece.len - done : COMPARE_SIZE, i;
		ssize_t got = file_pread(w->held_fd, w->s->room, n, w->at + done, "what is held", &ignored);

		if (got <= 0)
			break;
		if (memcmp(w->s->room, piece.ptr + done, (size_t)got) != 0) {
			for (i = 0; w->s->room[i] == piece.ptr[done + i]; i++)
				;
			return done + i;
		}
		done += (size_t)got;
	}
	return done;
}

/* ---- writing ---- */

static int copy_start(struct work *w, struct error *err)
{
	const char *how;

	return w->at == 0 ? 0 : file_copy(w->held_fd, w->part_fd, w->at, &how, err);
}

/* From w->at on the bytes go into the part, of which what came before is right. */
static int begin_writing(struct work *w, struct error *err)
{
	uint64_t keep = w->m->length <= PUBLISH_SMALL_MAX ? PUBLISH_KEEP_SMALL : PUBLISH_KEEP;
	int flags = O_RDWR | O_CREAT | (w->held_is_part ? 0 : O_TRUNC);
	char name[IMPORT_BLOB_MAX];

	w->writing = true;
	blob_name(name, w->m->sha256, ".part");
	if ((w->part_fd = file_open(w->s->repo_dirfd, name, flags, 0644, err)) < 0)
		return -1;
	if (w->held_is_part ? file_truncate(w->part_fd, w->at, name, err) < 0 : copy_start(w, err) < 0)
		return -1;
	if (w->m->length - w->at < TAKE_MIN)
		return 0;
	return space_need(w->s->repo_dirfd, "repo", w->m->length - w->at, keep, err) < 0
		       ? -1
		       : space_take(w->part_fd, w->m->length, name, err);
}

static int take_piece(struct work *w, struct slice piece, struct error *err)
{
	if (w->hashing)
		sha256_update(&w->hash, piece.ptr, piece.len);
	if (!w->writing && w->held_fd >= 0) {
		size_t same = count_same(w, piece);

		w->at += same;
		piece = slice_sub(piece, same, SIZE_MAX);
	}
	if (piece.len == 0)
		return 0;
	if (!w->writing && begin_writing(w, err) < 0)
		return -1;
	if (file_pwrite_all(w->part_fd, piece, w->at, "the staged artifact", err) < 0)
		return -1;
	w->at += piece.len;
	return 0;
}

/* ---- an artifact that began in a former volume ---- */

static int not_begun(const struct work *w, struct error *err)
{
	error_set(err, ERR_RETRY, "%s: its beginning, from the volume before, is not here", w->m->name);
	return error_hint(err, "import the volume before first, with the same command");
}

/* What came before is hashed, since the reader has not seen it. */
static int begin_within(struct work *w, uint64_t offset, struct error *err)
{
	uint64_t at = 0;

	if (w->held_fd < 0)
		return not_begun(w, err);
	w->hashing = true;
	sha256_init(&w->hash);
	while (at < offset) {
		size_t n = offset - at < COMPARE_SIZE ? (size_t)(offset - at) : COMPARE_SIZE;
		ssize_t got = file_pread(w->held_fd, w->s->room, n, at, "what is held", err);

		if (got < 0)
			return -1;
		if (got == 0)
			return not_begun(w, err);
		sha256_update(&w->hash, w->s->room, (size_t)got);
		at += (uint64_t)got;
	}
	w->at = offset;
	return 0;
}

static int check_hash(struct work *w, struct error *err)
{
	struct error ignored = ERROR_INIT;
	uint8_t hash[SHA256_LEN];
	char name[IMPORT_BLOB_MAX];

	if (!w->hashing)
		return 0;
	sha256_final(&w->hash, hash);
	if (memcmp(hash, w->m->sha256, SHA256_LEN) == 0)
		return 0;
	blob_name(name, w->m->sha256, ".part");
	error_set(err, ERR_REFUSED, "%s: with what was read of earlier volumes its SHA-256 is not the one that is listed",
		  w->m->name);
	error_hint(err, "a volume was damaged on its way: copy all from where they were made, and begin again with volume 1");
	if ((w->writing || w->held_is_part) && file_unlink(w->s->repo_dirfd, name, &ignored) < 0)
		error_hint(err, "'%s' may be left over", name);
	return -1;
}

/* ---- one artifact ---- */

static int end_artifact(struct work *w, const struct import_want *want, struct error *err)
{
	struct stat st;
	int fd = w->part_fd;
	char name[IMPORT_BLOB_MAX];

	if (check_hash(w, err) < 0)
		return -1;
	if (!w->writing && !w->held_is_part && (w->held_fd >= 0 || w->m->length > 0))
		return STORED_KEPT;
	/* An empty one, or a part that was whole or longer. */
	if (fd < 0) {
		blob_name(name, w->m->sha256, ".part");
		if ((fd = w->part_fd = file_open(w->s->repo_dirfd, name, O_RDWR | O_CREAT, 0644, err)) < 0)
			return -1;
	}
	if (fstat(fd, &st) < 0 || ((uint64_t)st.st_size > w->m->length && file_truncate(fd, w->m->length, "part", err) < 0))
		return -1;
	if (part_is_whole(w->s, w->m, err) < 0)
		return -1;
	return want->held ? STORED_HEALED : STORED_FRESH;
}

int import_store(struct import_store *s, struct bundle_reader *r, const struct member *m, const struct import_want *want,
		 const char *path, void (*progress)(void *arg), void *arg, struct error *err)
{
	struct work w = {.s = s, .m = m, .held_fd = -1, .part_fd = -1};
	struct slice piece;
	int ret = -1;

	if (waits(s, m->sha256) && import_store_flush(s, err) < 0)
		return -1;
	find_held(&w, path);
	if (bundle_offset(r) > 0 && begin_within(&w, bundle_offset(r), err) < 0)
		goto out;
	for (;;) {
		if (bundle_piece(r, &piece, err) < 0)
			goto out;
		if (piece.len == 0)
			break;
		if (take_piece(&w, piece, err) < 0) {
			error_wrap(err, "%s", m->name);
			goto out;
		}
		progress(arg);
	}
	ret = bundle_cut(r) ? STORED_CUT : end_artifact(&w, want, err);
out:
	file_close(&w.held_fd);
	file_close(&w.part_fd);
	return ret;
}
