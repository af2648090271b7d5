/* Reading a bundle for the supervisor. */
#include "agent/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/blobs.h"
#include "agent/staged.h"
#include "agent/unpack_choose.h"
#include "base/encode.h"
#include "bundle/reader.h"
#include "bundle/receipt.h"
#include "crypto/sshsig.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "tuf/engine.h"

#define PIECE (256u << 10)

struct unpack {
	struct {
		int fd;
		char name[UNPACK_NAME_MAX];
	} volumes[UNPACK_VOLUMES_MAX];
	unsigned count;
	struct bundle_reader *reader;
	struct manifest manifest;	/* of the reader; empty text: none has been read */
	struct buf signature;
	bool known;			/* id is that of the bundle that was opened */
	uint8_t id[SHA256_LEN];
	uint32_t next;			/* index of the member that bundle_next gives next */
	int64_t said_ms;
};

struct unpack *unpack_new(void)
{
	struct unpack *u = xcalloc(1, sizeof(*u));

	u->manifest = MANIFEST_INIT;
	u->signature = BUF_INIT(SSHSIG_SIZE_MAX);
	return u;
}

static void drop_volumes(struct unpack *u)
{
	bundle_reader_free(u->reader);
	u->reader = NULL;
	manifest_release(&u->manifest);
	u->manifest = MANIFEST_INIT;
	u->known = false;
	while (u->count > 0)
		close(u->volumes[--u->count].fd);
}

void unpack_free(struct unpack *u)
{
	if (u == NULL)
		return;
	drop_volumes(u);
	buf_release(&u->signature);
	free(u);
}

int unpack_volume(struct unpack *u, struct slice name, bool first, int fd, struct error *err)
{
	if (first)
		drop_volumes(u);
	if (fd < 0)
		return 0;
	if (u->count == UNPACK_VOLUMES_MAX) {
		close(fd);
		return error_set(err, ERR_LIMIT, "a bundle of more than %d files", UNPACK_VOLUMES_MAX);
	}
	u->volumes[u->count].fd = fd;
	snprintf(u->volumes[u->count].name, UNPACK_NAME_MAX, "%.*s", SLICE_ARG(name));
	u->count++;
	return 0;
}

/* ---- the place in the bundle ---- */

/* To the beginning. The manifest is read anew: what borrowed from it is gone. */
static int rewind_bundle(struct unpack *u, struct error *err)
{
	const char *names[UNPACK_VOLUMES_MAX];
	int fds[UNPACK_VOLUMES_MAX];
	unsigned i;

	bundle_reader_free(u->reader);
	u->reader = NULL;
	manifest_release(&u->manifest);
	u->manifest = MANIFEST_INIT;
	buf_clear(&u->signature);
	u->next = 0;
	if (u->count == 0)
		return error_set(err, ERR_NOT_FOUND, "the bundle is gone");
	for (i = 0; i < u->count; i++) {
		fds[i] = u->volumes[i].fd;
		names[i] = u->volumes[i].name;
		if (lseek(fds[i], 0, SEEK_SET) < 0)
			return error_set(err, ERR_REFUSED, "'%s' is no file that can be read again", names[i]);
	}
	if ((u->reader = bundle_reader_open_fds(fds, names, u->count, err)) == NULL)
		return -1;
	/* Nobody knows yet who made it: it shall not cost more memory than those that are ours. */
	bundle_reader_limit(u->reader, MANIFEST_DEVICE_MAX);
	if (bundle_read_manifest(u->reader, &u->manifest, &u->signature, err) < 0)
		return -1;
	if (u->known && memcmp(u->id, u->manifest.id, sizeof(u->id)) != 0)
		return error_set(err, ERR_REFUSED, "the bundle has become another one while it was read");
	memcpy(u->id, u->manifest.id, sizeof(u->id));
	u->known = true;
	return 0;
}

/* What bundle_next or bundle_read said was the end is one of the volumes at hand. */
static int cut_short(struct unpack *u, struct error *err)
{
	unsigned volumes, missing = bundle_missing(u->reader, &volumes);

	if (missing == 0)
		return error_set(err, ERR_MALFORMED, "the bundle ends before its last member");
	error_set(err, ERR_RETRY, "volume %u of %u is not there", missing, volumes);
	return error_hint(err, "give all files of the bundle");
}

/* Wherever it stands now: the next time from the beginning. */
static int lost(struct unpack *u)
{
	bundle_reader_free(u->reader);
	u->reader = NULL;
	return -1;
}

/* Make the member with this index the one that is read; it becomes *out. */
static int seek_member(struct unpack *u, uint32_t index, struct member *out, struct error *err)
{
	int r;

	if ((u->reader == NULL || index < u->next) && rewind_bundle(u, err) < 0)
		return -1;
	while (u->next <= index) {
		if (bundle_skip(u->reader, err) < 0 || (r = bundle_next(u->reader, out, err)) < 0)
			return lost(u);
		if (r == 0) {
			cut_short(u, err);
			return lost(u);
		}
		u->next++;
	}
	return 0;
}

/* The index of a member by name into *index; false when the bundle has none. */
static bool find_member(const struct unpack *u, const char *name, struct member *out, uint32_t *index)
{
	struct manifest_iter it = manifest_iter(&u->manifest);

	for (*index = 0; manifest_next(&it, out); (*index)++)
		if (strcmp(out->name, name) == 0)
			return true;
	return false;
}

/* ---- metadata ---- */

int unpack_read(struct unpack *u, const char *name, struct buf *out, struct error *err)
{
	struct member m;
	uint32_t index;

	if (!find_member(u, name, &m, &index))
		return error_set(err, ERR_NOT_FOUND, "'%s' is not in the bundle", name);
	if (seek_member(u, index, &m, err) < 0)
		return -1;
	if (bundle_read_all(u->reader, out, err) < 0)
		return lost(u);
	return bundle_cut(u->reader) ? cut_short(u, err) : 0;
}

const struct manifest *unpack_manifest(const struct unpack *u)
{
	return &u->manifest;
}

/* One metadata file that the engine wants, from the bundle. */
static int feed_from_bundle(struct unpack_walk *w, struct error *err)
{
	const struct tuf_want *want = tuf_client_want(w->client);
	struct buf bytes = BUF_INIT((size_t)want->max_len);
	struct error why = ERROR_INIT;
	struct buf name = BUF_INIT(TUF_URL_PATH_MAX + 16);
	int r = -1;

	buf_printf(&name, "metadata/%s", want->path);
	if (unpack_read(w->unpack, buf_cstr(&name), &bytes, &why) == 0) {
		blobs_put(w->fetched, slice_str(want->path), buf_slice(&bytes));
		r = w->fetched->failed ? error_set(err, ERR_LIMIT, "the bundle's metadata is too large")
				       : tuf_client_feed(w->client, &bytes, err);
	} else if (why.kind == ERR_NOT_FOUND) {
		r = tuf_client_absent(w->client, err);
	} else {
		r = tuf_client_fail(w->client, &why, err);
	}
	buf_release(&name);
	buf_release(&bytes);
	return r;
}

int unpack_walk(struct unpack_walk *w, struct error *err)
{
	const struct tuf_want *want;

	while ((want = tuf_client_want(w->client)) != NULL)
		if ((want->stored ? blobs_feed_stored(w->client, w->stored, w->stored_count, err)
				  : feed_from_bundle(w, err)) < 0)
			return -1;
	return 0;
}

/* Said before the engine has its turn, which would only find that a root does not fit. */
static int check_addressee(const struct manifest *m, const struct identity *id, struct error *err)
{
	if (m->kind != BUNDLE_DEVICE) {
		error_set(err, ERR_REFUSED, "this bundle is for the repository of site '%s', not for a device", m->site);
		return error_hint(err, "import it there, and export one for devices");
	}
	if (strcmp(m->site, id->site) != 0)
		return error_set(err, ERR_REFUSED, "this bundle is for site '%s', this device is of site '%s'", m->site,
				 id->site);
	return 0;
}

int unpack_open(struct unpack *u, const struct unpack_request *q, struct buf *out, struct error *err)
{
	struct tuf_options options = {.mode = TUF_MODE_CLIENT, .clock_s = q->now_s, .floor_s = q->floor_s,
				      .build_s = MESHANICS_BUILD_TIME};
	struct tuf_blob *list = xcalloc(BLOBS_MAX, sizeof(*list));
	struct unpack_walk w = {.unpack = u, .stored = list, .fetched = out};
	struct buf chosen = BUF_INIT(UNPACK_PLAN_MAX * (TARGET_PATH_MAX + 1));
	struct slice named;
	int r = -1;

	if (blobs_read(list, &w.stored_count, q->stored, err) < 0 || rewind_bundle(u, err) < 0 ||
	    check_addressee(&u->manifest, q->identity, err) < 0)
		goto out;
	blobs_put(out, SLICE_LIT(BUNDLE_MANIFEST), buf_slice(&u->manifest.text));
	blobs_put(out, SLICE_LIT(BUNDLE_SIGNATURE), buf_slice(&u->signature));
	named = blobs_find(list, w.stored_count, SLICE_LIT(UNPACK_TARGETS));
	if ((w.client = tuf_client_new(buf_slice(&q->identity->root), &options, err)) == NULL ||
	    unpack_walk(&w, err) < 0 ||
	    (named.len > 0 ? unpack_look_up(&w, named, &chosen, err) : unpack_choose(&w, q->profile, &chosen, err)) < 0)
		goto out;
	blobs_put(out, SLICE_LIT(UNPACK_CANDIDATES), buf_slice(&chosen));
	r = out->failed ? error_set(err, ERR_LIMIT, "the bundle's metadata is too large") : 0;
out:
	tuf_client_free(w.client);
	buf_release(&chosen);
	free(list);
	return r;
}

/* ---- payloads ---- */

static void say(struct unpack *u, const struct unpack_watcher *w, uint64_t bytes)
{
	if (clock_mono_ms() - u->said_ms < 1000)
		return;
	u->said_ms = clock_mono_ms();
	w->progress(w->arg, bytes);
}

/* All of the member at hand, which has `length` bytes; into fd, unless that is -1. */
static int read_member(struct unpack *u, uint64_t length, int fd, const struct unpack_watcher *w, uint64_t before,
		       struct error *err)
{
	uint8_t *piece = xmalloc(PIECE);
	uint64_t at = 0;
	ssize_t n;

	while ((n = bundle_read(u->reader, piece, PIECE, err)) > 0) {
		if (fd >= 0 && file_pwrite_all(fd, slice_of(piece, (size_t)n), at, "payload", err) < 0) {
			n = -1;
			break;
		}
		at += (uint64_t)n;
		say(u, w, before + at);
	}
	free(piece);
	if (n < 0)
		return lost(u);
	if (bundle_cut(u->reader))
		return cut_short(u, err);
	return at == length ? 0 : error_set(err, ERR_MALFORMED, "the payload has not the length that is listed");
}

/* Where the payloads stand: index and length of each. ERR_FAILED unless all are there, in order. */
struct place {
	uint32_t index;
	uint64_t length;
};
static int find_payloads(struct unpack *u, struct slice hashes, struct place *places, struct error *err)
{
	struct manifest_iter it = manifest_iter(&u->manifest);
	unsigned count = 0;
	struct member m;
	uint32_t index;

	for (index = 0; hashes.len >= SHA256_LEN && count < UNPACK_PLAN_MAX && manifest_next(&it, &m); index++) {
		if (m.kind != MEMBER_ARTIFACT || memcmp(m.sha256, hashes.ptr, SHA256_LEN) != 0)
			continue;
		places[count++] = (struct place){index, m.length};
		hashes = slice_sub(hashes, SHA256_LEN, SIZE_MAX);
	}
	return hashes.len == 0 ? (int)count : error_set(err, ERR_FAILED, "a payload is not in the bundle, or out of order");
}

int unpack_check(struct unpack *u, struct slice hashes, const struct unpack_watcher *w, struct error *err)
{
	struct place places[UNPACK_PLAN_MAX];
	struct member m;
	uint64_t done = 0;
	int count, i;

	if ((u->reader == NULL && rewind_bundle(u, err) < 0) || (count = find_payloads(u, hashes, places, err)) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		if (seek_member(u, places[i].index, &m, err) < 0 ||
		    read_member(u, places[i].length, -1, w, done, err) < 0)
			return -1;
		done += places[i].length;
	}
	return 0;
}

/* From the bundle into the open file. */
static int copy_payload(struct unpack *u, int fd, const char *name, const uint8_t sha256[static SHA256_LEN],
			uint64_t length, const struct unpack_watcher *w, struct error *err)
{
	char hex[SHA256_HEX_LEN], path[SHA256_HEX_LEN + 16];
	struct member m;
	uint32_t index;

	if (u->reader == NULL && rewind_bundle(u, err) < 0)
		return -1;
	hex_encode(hex, sha256, SHA256_LEN);
	snprintf(path, sizeof(path), "targets/%s", hex);
	if (!find_member(u, path, &m, &index))
		return error_set(err, ERR_REFUSED, "the bundle lacks '%s'", path);
	if (m.length != length)
		return error_set(err, ERR_REFUSED, "'%s' has %llu bytes in the bundle where %llu are signed", path,
				 (unsigned long long)m.length, (unsigned long long)length);
	if (seek_member(u, index, &m, err) < 0 || read_member(u, length, fd, w, 0, err) < 0)
		return -1;
	return file_truncate(fd, length, name, err);
}

int unpack_payload(struct unpack *u, int dirfd, const uint8_t sha256[static SHA256_LEN], uint64_t length,
		   const struct unpack_watcher *w, struct error *err)
{
	struct error ignored = ERROR_INIT;
	char name[STAGED_NAME_LEN];
	uint64_t at;
	int fd = staged_open(dirfd, sha256, length, name, &at, err);

	if (fd < 0)
		return -1;
	if (at == length && staged_check(fd, sha256, length, &ignored) == 0)
		return fd;
	if (copy_payload(u, fd, name, sha256, length, w, err) == 0)
		return fd;
	close(fd);
	return -1;
}
