/* Writing a bundle: one archive, or volumes of it, hashed on the way and in constant memory. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/tar.h"
#include "bundle/export_internal.h"
#include "sys/file.h"
#include "tuf/publish.h"

#define ROOM (1u << 20)		/* of the buffer through which all goes: large writes, and still in the cache */
#define END_LEN (2 * TAR_BLOCK)
#define BEHIND (UINT64_C(64) << 20)	/* so much is written and not yet on the disk, at most */

/* ---- where members are cut ---- */

/* The volume that is being filled. */
struct layout {
	uint64_t split;	/* 0: never full */
	uint64_t at;	/* bytes in it, its end not counted */
};

static uint64_t padded(uint64_t len)
{
	return len + tar_padding(len);
}

/*
 * The next piece of a member of which `left` bytes remain: *n of them go into this volume, with a header. false: not one
 * more, on to the next volume.
 */
static bool take_piece(struct layout *l, uint64_t left, uint64_t *n)
{
	uint64_t space;

	*n = left;
	if (l->split > 0) {
		space = l->split - END_LEN > l->at ? l->split - END_LEN - l->at : 0;
		if (TAR_BLOCK + padded(left) > space) {
			if (space < 2 * TAR_BLOCK)
				return false;
			*n = (space - TAR_BLOCK) / TAR_BLOCK * TAR_BLOCK;
		}
	}
	l->at += TAR_BLOCK + padded(*n);
	return true;
}

/* What stands before the members: the manifest in the first, volume.json in all that belong to a split. */
static uint64_t front_len(const struct manifest *m, size_t signature_len, uint64_t split, unsigned volume)
{
	uint64_t len = split > 0 ? TAR_BLOCK + TAR_BLOCK : 0;

	if (volume == 1)
		len += TAR_BLOCK + padded(m->text.len) + TAR_BLOCK + padded(signature_len);
	return len;
}

int bundle_measure(const struct manifest *m, size_t signature_len, uint64_t split, struct bundle_size *out,
		   struct error *err)
{
	struct layout l = {.split = split, .at = front_len(m, signature_len, split, 1)};
	struct manifest_iter it = manifest_iter(m);
	struct member member;
	uint64_t left, n;

	*out = (struct bundle_size){.volumes = 1};
	if (split > 0 && l.at + END_LEN + 2 * TAR_BLOCK > split) {
		error_set(err, ERR_USAGE, "the manifest of %u members needs a first volume of %" PRIu64 " bytes", m->members,
			  l.at + END_LEN + 2 * TAR_BLOCK);
		return error_hint(err, "give a larger --split");
	}
	while (manifest_next(&it, &member)) {
		for (left = member.length;;) {
			if (take_piece(&l, left, &n)) {
				left -= n;
				if (left == 0)
					break;
				continue;
			}
			out->bytes += l.at + END_LEN;
			l.at = front_len(m, signature_len, split, ++out->volumes);
			if (out->volumes > BUNDLE_VOLUMES_MAX) {
				error_set(err, ERR_USAGE, "these are more than %d volumes", BUNDLE_VOLUMES_MAX);
				return error_hint(err, "give a larger --split");
			}
		}
	}
	out->bytes += l.at + END_LEN;
	return 0;
}

/* ---- bytes ---- */

struct writer {
	const struct bundle_plan *p;
	const struct manifest *m;
	struct slice signature;
	const struct bundle_output *o;
	struct bundle_size size;
	struct layout layout;
	unsigned volume;
	uint32_t member;	/* the one at hand, and how much of it is written */
	uint64_t offset;
	int fd;			/* of the volume, owned; -1 */
	uint8_t *room;
	size_t used;
	uint64_t written;	/* of all volumes */
	uint64_t file_at;	/* of this volume */
};

static int flush(struct writer *w, struct error *err)
{
	if (w->used == 0)
		return 0;
	if (file_write_all(w->fd, slice_of(w->room, w->used), "the bundle", err) < 0)
		return -1;
	w->written += w->used;
	w->file_at += w->used;
	w->used = 0;
	if (w->file_at % BEHIND < ROOM)
		file_write_behind(w->fd, w->file_at, BEHIND);
	if (w->o->progress != NULL)
		w->o->progress(w->o->arg, w->written, w->size.bytes);
	return 0;
}

static int put(struct writer *w, struct slice s, struct error *err)
{
	while (s.len > 0) {
		struct slice part = slice_sub(s, 0, ROOM - w->used);

		memcpy(w->room + w->used, part.ptr, part.len);
		w->used += part.len;
		s = slice_sub(s, part.len, SIZE_MAX);
		if (w->used == ROOM && flush(w, err) < 0)
			return -1;
	}
	return 0;
}

static int put_zeros(struct writer *w, size_t n, struct error *err)
{
	static const uint8_t zeros[END_LEN];

	return put(w, slice_of(zeros, n), err);
}

static int put_header(struct writer *w, const char *name, uint64_t size, struct error *err)
{
	struct tar_entry e = {.mode = 0644, .size = size, .mtime_s = w->m->created_s};
	struct buf block = BUF_INIT(4 * TAR_BLOCK);
	int r;

	snprintf(e.name, sizeof(e.name), "%s", name);
	r = tar_put(&block, &e, err);
	if (r == 0 && block.len != TAR_BLOCK)
		r = error_set(err, ERR_LIMIT, "the name '%s' is too long for an archive", name);
	if (r == 0)
		r = put(w, buf_slice(&block), err);
	buf_release(&block);
	return r;
}

static int put_whole(struct writer *w, const char *name, struct slice content, struct error *err)
{
	return put_header(w, name, content.len, err) < 0 || put(w, content, err) < 0 ||
			       put_zeros(w, tar_padding(content.len), err) < 0
		       ? -1
		       : 0;
}

/* ---- volumes ---- */

static int put_volume_json(struct writer *w, struct error *err)
{
	struct volume v = {.member = w->member, .offset = w->offset, .volume = w->volume, .volumes = w->size.volumes,
			   .last = w->volume == w->size.volumes};
	struct buf text = BUF_INIT(TAR_BLOCK);
	int r;

	memcpy(v.bundle, w->m->id, SHA256_LEN);
	volume_put(&text, &v);
	r = text.failed ? error_set(err, ERR_LIMIT, "%s is too long", BUNDLE_VOLUME)
			: put_whole(w, BUNDLE_VOLUME, buf_slice(&text), err);
	buf_release(&text);
	return r;
}

static int begin_volume(struct writer *w, struct error *err)
{
	w->volume++;
	w->file_at = 0;
	w->layout = (struct layout){.split = w->o->split,
				    .at = front_len(w->m, w->signature.len, w->o->split, w->volume)};
	if ((w->fd = w->o->open(w->o->arg, w->volume, err)) < 0)
		return -1;
	if (w->volume == 1 && (put_whole(w, BUNDLE_MANIFEST, buf_slice(&w->m->text), err) < 0 ||
			       put_whole(w, BUNDLE_SIGNATURE, w->signature, err) < 0))
		return -1;
	return w->o->split > 0 ? put_volume_json(w, err) : 0;
}

static int end_volume(struct writer *w, struct error *err)
{
	int r = put_zeros(w, END_LEN, err) < 0 || flush(w, err) < 0 ? -1
								     : w->o->done(w->o->arg, w->volume, w->fd, err);

	file_close(&w->fd);
	return r;
}

/* ---- members ---- */

/* Where the bytes of a member come from. */
struct source {
	const struct member *member;
	const struct plan_artifact *artifact;	/* NULL: metadata, in text */
	struct buf text;
	int fd;
	struct sha256 hash;
};

/* Straight from the file into the buffer, and hashed there, while it is in the cache. */
static int copy_file(struct writer *w, struct source *s, uint64_t n, struct error *err)
{
	while (n > 0) {
		size_t want = ROOM - w->used < n ? ROOM - w->used : (size_t)n;
		ssize_t got = read(s->fd, w->room + w->used, want);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			error_errno(err, errno, "cannot read artifact '%s'", bundle_plan_name(w->p, s->artifact));
			return error_hint(err, "'meshanics repo verify' lists what is damaged");
		}
		if (got == 0)
			return bundle_blob_bad(w->p, s->artifact, "is shorter than was signed", err);
		sha256_update(&s->hash, w->room + w->used, (size_t)got);
		w->used += (size_t)got;
		n -= (uint64_t)got;
		if (w->used == ROOM && flush(w, err) < 0)
			return -1;
	}
	return 0;
}

static int copy_piece(struct writer *w, struct source *s, uint64_t n, struct error *err)
{
	struct slice part;

	if (s->artifact != NULL)
		return copy_file(w, s, n, err);
	part = slice_sub(buf_slice(&s->text), (size_t)w->offset, (size_t)n);
	sha256_update(&s->hash, part.ptr, part.len);
	return put(w, part, err);
}

static int open_source(struct writer *w, struct source *s, struct error *err)
{
	struct buf path = BUF_INIT(TARGET_PATH_MAX + 128);
	int r;

	sha256_init(&s->hash);
	if (s->artifact == NULL) {
		s->text = BUF_INIT((size_t)s->member->length);
		r = bundle_plan_read(w->p, s->member, &s->text, err);
		if (r == 0 && s->text.len == s->member->length)
			return 0;
		error_set(err, ERR_RETRY, "the repository has changed: %s is no longer there as it was", s->member->name);
		return error_hint(err, "export again");
	}
	artifact_put_file(&path, slice_str(bundle_plan_name(w->p, s->artifact)), s->artifact->sha256);
	s->fd = file_open(repo_dirfd(w->p->repo), buf_cstr(&path), O_RDONLY | O_NOFOLLOW, 0, err);
	buf_release(&path);
	if (s->fd < 0 && err->kind == ERR_NOT_FOUND) {
		error_set(err, ERR_RETRY, "artifact '%s' has been withdrawn meanwhile, or its bytes are lost",
			  bundle_plan_name(w->p, s->artifact));
		return error_hint(err, "export again; if it is the same then: meshanics repo verify");
	}
	if (s->fd < 0)
		return -1;
	(void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return 0;
}

static int check_hash(struct writer *w, struct source *s, struct error *err)
{
	uint8_t hash[SHA256_LEN];

	sha256_final(&s->hash, hash);
	if (memcmp(hash, s->member->sha256, SHA256_LEN) == 0)
		return 0;
	if (s->artifact != NULL)
		return bundle_blob_bad(w->p, s->artifact, "is damaged: its SHA-256 is not what was signed", err);
	return error_set(err, ERR_RETRY, "the repository has changed while %s was read", s->member->name);
}

/* All pieces of a member, over as many volumes as it takes. */
static int put_member(struct writer *w, struct source *s, struct error *err)
{
	uint64_t n;

	w->offset = 0;
	do {
		char name[TAR_NAME_MAX + 32];

		if (!take_piece(&w->layout, s->member->length - w->offset, &n)) {
			if (end_volume(w, err) < 0 || begin_volume(w, err) < 0)
				return -1;
			continue;
		}
		if (w->offset == 0 && n == s->member->length)
			snprintf(name, sizeof(name), "%s", s->member->name);
		else
			snprintf(name, sizeof(name), "%s.part-%" PRIu64, s->member->name, w->offset);
		if (put_header(w, name, n, err) < 0 || copy_piece(w, s, n, err) < 0 ||
		    put_zeros(w, tar_padding(n), err) < 0)
			return -1;
		w->offset += n;
		if (w->offset == s->member->length)
			return check_hash(w, s, err);
	} while (true);
}

static int put_members(struct writer *w, struct error *err)
{
	struct manifest_iter it = manifest_iter(w->m);
	struct member member;
	int r = 0;

	for (w->member = 0; r == 0 && manifest_next(&it, &member); w->member++) {
		struct source s = {.member = &member, .fd = -1};

		if (w->member >= w->p->file_count)
			s.artifact = &w->p->artifacts[w->member - w->p->file_count];
		r = open_source(w, &s, err) < 0 || put_member(w, &s, err) < 0 ? -1 : 0;
		file_close(&s.fd);
		buf_release(&s.text);
	}
	return r;
}

int bundle_write(const struct bundle_plan *p, const struct manifest *m, struct slice signature,
		 const struct bundle_output *o, struct error *err)
{
	struct writer w = {.p = p, .m = m, .signature = signature, .o = o, .fd = -1};
	int r = -1;

	if (bundle_measure(m, signature.len, o->split, &w.size, err) < 0)
		return -1;
	w.room = xmalloc_io(ROOM);
	if (begin_volume(&w, err) == 0 && put_members(&w, err) == 0 && end_volume(&w, err) == 0)
		r = 0;
	file_close(&w.fd);
	free(w.room);
	return r;
}
