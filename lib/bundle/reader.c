/* Reading a bundle: its members, held against the manifest, from one volume to the next. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "bundle/reader_internal.h"

static int fail_member(struct bundle_reader *r, struct error *err)
{
	error_wrap(err, "member '%s'", r->member.name);
	return reader_fail(r, err);
}

/* ---- volumes ---- */

/* Volume `number`, which begins at this place, is read from now on: 1; or 0: it is not at hand. */
static int enter_volume(struct bundle_reader *r, unsigned number, uint32_t member, uint64_t offset, struct error *err)
{
	struct source *next = sources_find(&r->sources, number);
	struct tar_entry e;
	bool is_later = false;
	struct volume v = {.volume = 1, .volumes = 1};

	if (next == NULL) {
		r->missing = number;
		return 0;
	}
	r->read_before += r->archive.bytes_read;
	source_close(reader_source(r), &r->archive);
	r->current = (unsigned)(next - r->sources.list);
	if (source_open(next, &r->archive, err) < 0 || source_begin(&r->archive, &e, &is_later, &v, err) < 0 ||
	    reader_check_volume(r, &v, number, member, offset, err) < 0)
		return -1;
	r->volume = v;
	return 1;
}

/* The next header, or what was read ahead: 1, or 0 at the end of the archive, whose tail has been read then. */
static int next_header(struct bundle_reader *r, struct error *err)
{
	int kind = r->has_header ? r->header_kind : tarfile_header(&r->archive, &r->header, err);

	r->has_header = false;
	return kind == 0 && tarfile_tail(&r->archive, err) < 0 ? -1 : kind;
}

/*
 * The header of the piece of the present member that begins at r->done: 1, over to the next volume if need be; 0: that
 * one is not at hand. inside: the volume before has to end first.
 */
static int piece_header(struct bundle_reader *r, bool inside, struct error *err)
{
	int kind = next_header(r, err), entered;

	if (kind < 0)
		return -1;
	if (kind == 1 && inside)
		return error_set(err, ERR_MALFORMED, "'%s' follows before its end", r->header.name);
	if (kind == 1)
		return 1;
	if (r->volume.last)
		return error_set(err, ERR_MALFORMED, "it is missing, wholly or in part");
	entered = enter_volume(r, r->volume.volume + 1, r->it.index - 1, r->done, err);
	if (entered <= 0)
		return entered;
	kind = tarfile_header(&r->archive, &r->header, err);
	if (kind == 0)
		error_set(err, ERR_MALFORMED, "volume %u is empty", r->volume.volume);
	return kind <= 0 ? -1 : 1;
}

/* ---- members ---- */

/* The header at hand is that of a piece of r->member from r->done on. */
static int check_piece(const struct bundle_reader *r, struct error *err)
{
	const struct member *m = &r->member;
	const struct tar_entry *e = &r->header;
	char part[TAR_NAME_MAX + 32];

	if (r->done == 0 && strcmp(e->name, m->name) == 0)
		return e->size == m->length ? 0 : error_set(err, ERR_MALFORMED, "it has %" PRIu64 " bytes, and %" PRIu64
				" are listed", e->size, m->length);
	snprintf(part, sizeof(part), "%s.part-%" PRIu64, m->name, r->done);
	if (r->volume.volumes == 1 || strcmp(e->name, part) != 0)
		return error_set(err, ERR_MALFORMED, "'%s' stands in its place", e->name);
	if (e->size == 0 || e->size > m->length - r->done || e->size == m->length)
		return error_set(err, ERR_MALFORMED, "its piece at %" PRIu64 " has %" PRIu64 " bytes, of %" PRIu64
				 " that are listed for the whole", r->done, e->size, m->length);
	return 0;
}

static int end_member(struct bundle_reader *r, struct error *err)
{
	uint8_t got[SHA256_LEN];

	r->state = BETWEEN;
	if (r->begun > 0 || r->skipped) {
		r->begun = 0;
		return 0;
	}
	sha256_final(&r->hash, got);
	if (memcmp(got, r->member.sha256, SHA256_LEN) == 0)
		return 0;
	if (r->from == r->volume.volume) {
		error_set(err, ERR_REFUSED, "its SHA-256 is not the one that is listed");
		return error_hint(err, "the bundle was damaged or changed on its way: copy it again from where it was made");
	}
	error_set(err, ERR_REFUSED, "its SHA-256 is not the one that is listed; it lies in volumes %u to %u", r->from,
		  r->volume.volume);
	return error_hint(err, "one of these was damaged or changed on its way: copy all of them again from where they were made");
}

/* See that content is at hand in MEMBER: 1; or 0: the member is over, or its next piece is not here. */
static int more_content(struct bundle_reader *r, struct error *err)
{
	int kind;

	if (r->archive.left > 0)
		return 1;
	if (r->done == r->member.length)
		return end_member(r, err);
	kind = piece_header(r, true, err);
	if (kind < 0)
		return -1;
	if (kind == 0) {
		r->cut = true;
		r->state = OVER;
		return 0;
	}
	return check_piece(r, err) < 0 ? -1 : 1;
}

static void took(struct bundle_reader *r, const void *p, size_t n)
{
	if (r->begun == 0)
		sha256_update(&r->hash, p, n);
	r->done += n;
}

int bundle_piece(struct bundle_reader *r, struct slice *out, struct error *err)
{
	int more;

	*out = SLICE_EMPTY;
	if (r->state == FAILED)
		return reader_fail(r, err);
	if (r->state != MEMBER)
		return 0;
	more = more_content(r, err);
	if (more < 0 || (more > 0 && tarfile_piece(&r->archive, out, err) < 0))
		return fail_member(r, err);
	took(r, out->ptr, out->len);
	return 0;
}

ssize_t bundle_read(struct bundle_reader *r, void *p, size_t n, struct error *err)
{
	ssize_t got = 0;
	int more;

	if (r->state == FAILED)
		return reader_fail(r, err);
	if (r->state != MEMBER)
		return 0;
	more = more_content(r, err);
	if (more < 0)
		return fail_member(r, err);
	if (more > 0)
		got = tarfile_read(&r->archive, p, n, err);
	if (got < 0)
		return fail_member(r, err);
	took(r, p, (size_t)got);
	return got;
}

int bundle_skip(struct bundle_reader *r, struct error *err)
{
	uint64_t left;
	int more;

	if (r->state == FAILED)
		return reader_fail(r, err);
	while (r->state == MEMBER) {
		r->skipped = r->skipped || r->done < r->member.length;
		more = more_content(r, err);
		left = r->archive.left;
		if (more < 0 || (more > 0 && tarfile_skip(&r->archive, err) < 0))
			return fail_member(r, err);
		if (more > 0)
			r->done += left;
	}
	return 0;
}

int bundle_read_all(struct bundle_reader *r, struct buf *out, struct error *err)
{
	struct slice piece;

	buf_clear(out);
	if (r->state == MEMBER && r->member.length > out->max) {
		error_set(err, ERR_LIMIT, "%" PRIu64 " bytes are more than %zu", r->member.length, out->max);
		return fail_member(r, err);
	}
	do {
		if (bundle_piece(r, &piece, err) < 0)
			return -1;
		buf_put_slice(out, piece);
	} while (piece.len > 0);
	return 0;
}

/* All members have been seen: nothing follows, in this volume or another. */
static int end_of_members(struct bundle_reader *r, struct error *err)
{
	int kind = next_header(r, err);

	if (kind < 0)
		return -1;
	if (kind == 1)
		return error_set(err, ERR_MALFORMED, "'%s' stands behind the last member that is listed", r->header.name);
	if (!r->volume.last)
		return error_set(err, ERR_MALFORMED, "all members are there, and yet this is volume %u of %u",
				 r->volume.volume, r->volume.volumes);
	r->state = OVER;
	return 0;
}

static int begin_member(struct bundle_reader *r, struct error *err)
{
	int kind;

	if (!manifest_next(&r->it, &r->member))
		return error_set(err, ERR_MALFORMED, "the manifest ends before its last member");
	if (r->begun > 0 && r->begun >= r->member.length)
		return error_set(err, ERR_MALFORMED, BUNDLE_VOLUME " begins behind the end of this member");
	r->done = r->begun;
	r->skipped = false;
	kind = piece_header(r, false, err);
	if (kind < 0 || (kind == 1 && check_piece(r, err) < 0))
		return -1;
	r->state = kind == 0 ? OVER : MEMBER;
	r->from = r->volume.volume;
	sha256_init(&r->hash);
	return kind;
}

int bundle_next(struct bundle_reader *r, struct member *out, struct error *err)
{
	struct slice piece;
	int more;

	do {
		if (bundle_piece(r, &piece, err) < 0)
			return -1;
	} while (piece.len > 0);
	assert(r->state != START);
	if (r->state == OVER)
		return 0;
	if (r->it.index == r->members)
		return end_of_members(r, err) < 0 ? reader_fail(r, err) : 0;
	more = begin_member(r, err);
	if (more < 0)
		return fail_member(r, err);
	if (more > 0)
		*out = r->member;
	return more;
}

uint64_t bundle_offset(const struct bundle_reader *r)
{
	return r->begun;
}

bool bundle_cut(const struct bundle_reader *r)
{
	return r->cut;
}

int bundle_end(struct bundle_reader *r, struct error *err)
{
	struct member more;
	int kind;

	if (r->state == FAILED)
		return reader_fail(r, err);
	kind = bundle_next(r, &more, err);
	if (kind < 0)
		return -1;
	if (kind > 0) {
		error_set(err, ERR_MALFORMED, "'%s' stands where the end should be", more.name);
		return reader_fail(r, err);
	}
	if (r->missing == 0)
		return 0;
	error_set(err, ERR_RETRY, "volume %u of %u is not here", r->missing, r->volume.volumes);
	error_hint(err, "go on with the next volume");
	return -1;
}

unsigned bundle_missing(const struct bundle_reader *r, unsigned *volumes)
{
	if (volumes != NULL)
		*volumes = r->volume.volumes;
	return r->missing;
}

uint64_t bundle_reader_at(const struct bundle_reader *r)
{
	return r->read_before + r->archive.bytes_read;
}

uint64_t bundle_reader_total(const struct bundle_reader *r)
{
	uint64_t total = 0;
	unsigned i;

	for (i = 0; i < r->sources.count; i++) {
		if (r->sources.list[i].size == 0)
			return 0;
		total += r->sources.list[i].size;
	}
	return total;
}
