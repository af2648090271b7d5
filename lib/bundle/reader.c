/* Reading a bundle: its members, held against the manifest. */
#include "bundle/reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bundle/reader_internal.h"
#include "crypto/sshsig.h"

/*
 *	        manifest read, or resumed           header of a member
 *	START ---------------------------> BETWEEN <------------------> MEMBER
 *	                                      |     its end and hash      |
 *	                  after the last one, |                           | the next piece is in a
 *	        or its volume is not at hand  v                           v volume not at hand
 *	                                     OVER <-----------------------+
 *
 * START: the first header has been read. OVER: the last archive has been read to its end; `missing` tells whether more
 * is needed. Any error is for good: FAILED.
 */
enum state { START, BETWEEN, MEMBER, OVER, FAILED };

struct bundle_reader {
	enum state state;
	struct error failure;		/* in FAILED */
	struct sources sources;
	unsigned current;		/* index of the source that is read */
	struct tarfile archive;
	uint64_t read_before;		/* bytes of sources that were read to their end */

	unsigned first;			/* volume that the first source at hand holds */
	struct volume volume;		/* the one that is read; volumes 1: not split */
	unsigned missing;		/* volume that is needed next, or 0 */

	struct tar_entry header;
	bool has_header;		/* header was read ahead */
	int header_kind;		/* 1: a member, 0: the end of the archive */

	struct manifest_iter it;
	uint32_t members;
	struct member member;
	uint64_t begun;			/* bytes of the member in earlier volumes than the first at hand */
	uint64_t done;			/* bytes of the member so far, `begun` included */
	bool cut;
	bool skipped;			/* not all of the member was read */
	struct sha256 hash;
};

/* ---- errors ---- */

static struct source *source(struct bundle_reader *r)
{
	return &r->sources.list[r->current];
}

static int fail(struct bundle_reader *r, struct error *err)
{
	if (r->state == FAILED) {
		*err = r->failure;
		return -1;
	}
	source_wrap(source(r), err);
	r->failure = *err;
	r->state = FAILED;
	return -1;
}

static int fail_member(struct bundle_reader *r, struct error *err)
{
	error_wrap(err, "member '%s'", r->member.name);
	return fail(r, err);
}

/* ---- opening ---- */

static struct bundle_reader *begin(struct bundle_reader *r, struct error *err)
{
	bool is_later = false;

	r->volume = (struct volume){.volume = 1, .volumes = 1, .last = true};
	if (source_open(source(r), &r->archive, err) < 0)
		goto failed;
	if (bundle_begin(&r->archive, &r->header, &is_later, &r->volume, err) < 0) {
		source_wrap(source(r), err);
		goto failed;
	}
	r->first = r->volume.volume;
	source(r)->volume = r->first;
	if (is_later)
		sources_find_siblings(&r->sources, &r->volume);
	return r;
failed:
	bundle_reader_free(r);
	return NULL;
}

struct bundle_reader *bundle_reader_open(const char *const *paths, unsigned count, struct error *err)
{
	struct bundle_reader *r = xcalloc(1, sizeof(*r));

	if (sources_of_paths(&r->sources, paths, count, err) == 0)
		return begin(r, err);
	bundle_reader_free(r);
	return NULL;
}

struct bundle_reader *bundle_reader_open_fds(const int *fds, const char *const *names, unsigned count,
					     struct error *err)
{
	struct bundle_reader *r = xcalloc(1, sizeof(*r));

	if (sources_of_fds(&r->sources, fds, names, count, err) == 0)
		return begin(r, err);
	bundle_reader_free(r);
	return NULL;
}

void bundle_reader_free(struct bundle_reader *r)
{
	if (r == NULL)
		return;
	tarfile_release(&r->archive);
	sources_release(&r->sources);
	free(r);
}

unsigned bundle_reader_volume(const struct bundle_reader *r)
{
	return r->first;
}

const uint8_t *bundle_reader_belongs(const struct bundle_reader *r)
{
	return r->volume.bundle;
}

/* ---- volumes ---- */

static int check_volume(const struct bundle_reader *r, const struct volume *v, unsigned number, uint32_t member,
			uint64_t offset, struct error *err)
{
	if (memcmp(v->bundle, r->volume.bundle, SHA256_LEN) != 0) {
		error_set(err, ERR_REFUSED, "this is a volume of another bundle");
		return error_hint(err, "give the volumes that were exported together");
	}
	if (v->volumes != r->volume.volumes || v->volume != number)
		return error_set(err, ERR_MALFORMED, "this is volume %u of %u, and not %u of %u", v->volume, v->volumes,
				 number, r->volume.volumes);
	if (v->member != member || v->offset != offset)
		return error_set(err, ERR_MALFORMED, "volume %u does not go on where volume %u ends", number, number - 1);
	return 0;
}

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
	source_close(source(r), &r->archive);
	r->current = (unsigned)(next - r->sources.list);
	if (source_open(next, &r->archive, err) < 0 || bundle_begin(&r->archive, &e, &is_later, &v, err) < 0 ||
	    check_volume(r, &v, number, member, offset, err) < 0)
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

/* ---- the manifest ---- */

static int read_manifest(struct bundle_reader *r, struct manifest *m, struct error *err)
{
	struct buf text = BUF_INIT(MANIFEST_MAX);

	if (tarfile_read_all(&r->archive, &text, err) < 0) {
		buf_release(&text);
		return error_wrap(err, "member '" BUNDLE_MANIFEST "'");
	}
	return manifest_parse(m, &text, err);
}

static int read_signature(struct bundle_reader *r, struct buf *out, struct error *err)
{
	int kind = tarfile_header(&r->archive, &r->header, err);

	if (kind < 0)
		return -1;
	if (kind == 0 || strcmp(r->header.name, BUNDLE_SIGNATURE) != 0)
		return error_set(err, ERR_MALFORMED, "'" BUNDLE_SIGNATURE "' does not follow '" BUNDLE_MANIFEST "'");
	if (r->header.size > SSHSIG_SIZE_MAX)
		return error_set(err, ERR_LIMIT, "member '" BUNDLE_SIGNATURE "': %" PRIu64 " bytes are more than %d",
				 r->header.size, SSHSIG_SIZE_MAX);
	buf_clear(out);
	return tarfile_read_all(&r->archive, out, err) < 0 ? error_wrap(err, "member '" BUNDLE_SIGNATURE "'") : 0;
}

/* volume.json, if that is what follows; else the header is kept. */
static int read_first_volume(struct bundle_reader *r, const struct manifest *m, struct error *err)
{
	struct volume v;

	r->header_kind = tarfile_header(&r->archive, &r->header, err);
	if (r->header_kind < 0)
		return -1;
	memcpy(r->volume.bundle, m->id, SHA256_LEN);
	if (r->header_kind == 0 || strcmp(r->header.name, BUNDLE_VOLUME) != 0) {
		r->has_header = true;
		return 0;
	}
	if (volume_read(&r->archive, &v, err) < 0)
		return -1;
	r->volume.volumes = v.volumes;
	if (check_volume(r, &v, 1, 0, 0, err) < 0)
		return -1;
	r->volume = v;
	sources_find_siblings(&r->sources, &v);
	return 0;
}

/* Files were given that are no volume of this bundle. */
static int check_sources(const struct bundle_reader *r, struct error *err)
{
	unsigned i;

	for (i = 0; i < r->sources.count; i++)
		if (r->sources.list[i].volume > r->volume.volumes)
			return error_set(err, ERR_MALFORMED, "'%s' is volume %u of a bundle, and this one has %u",
					 r->sources.list[i].name, r->sources.list[i].volume, r->volume.volumes);
	return 0;
}

int bundle_read_manifest(struct bundle_reader *r, struct manifest *m, struct buf *signature, struct error *err)
{
	if (r->state == FAILED)
		return fail(r, err);
	assert(r->state == START);
	*m = MANIFEST_INIT;
	if (r->first != 1) {
		error_set(err, ERR_RETRY, "this is volume %u of %u: volume 1 is needed first", r->first, r->volume.volumes);
		error_hint(err, "begin with the volume that ends in .001");
		return fail(r, err);
	}
	if (read_manifest(r, m, err) < 0)
		return fail(r, err);
	if (read_signature(r, signature, err) < 0 || read_first_volume(r, m, err) < 0 || check_sources(r, err) < 0) {
		manifest_release(m);
		return fail(r, err);
	}
	r->it = manifest_iter(m);
	r->members = m->members;
	r->state = BETWEEN;
	return 0;
}

int bundle_resume(struct bundle_reader *r, const struct manifest *m, struct error *err)
{
	struct member skipped;

	if (r->state == FAILED)
		return fail(r, err);
	assert(r->state == START);
	if (r->first == 1) {
		error_set(err, ERR_MALFORMED, "this is the first volume, not a later one");
		return fail(r, err);
	}
	if (memcmp(r->volume.bundle, m->id, SHA256_LEN) != 0) {
		error_set(err, ERR_REFUSED, "this is a volume of another bundle");
		error_hint(err, "give the volumes that were exported together");
		return fail(r, err);
	}
	if (r->volume.member >= m->members) {
		error_set(err, ERR_MALFORMED, BUNDLE_VOLUME ": there is no member %u", r->volume.member);
		return fail(r, err);
	}
	r->it = manifest_iter(m);
	r->members = m->members;
	while (r->it.index < r->volume.member && manifest_next(&r->it, &skipped))
		;
	r->begun = r->volume.offset;
	r->state = BETWEEN;
	return 0;
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
	error_set(err, ERR_REFUSED, "its SHA-256 is not the one that is listed");
	return error_hint(err, "the bundle was damaged or changed on its way: copy it again from where it was made");
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
		return fail(r, err);
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
		return fail(r, err);
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
		return fail(r, err);
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
		return end_of_members(r, err) < 0 ? fail(r, err) : 0;
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
		return fail(r, err);
	kind = bundle_next(r, &more, err);
	if (kind < 0)
		return -1;
	if (kind > 0) {
		error_set(err, ERR_MALFORMED, "'%s' stands where the end should be", more.name);
		return fail(r, err);
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
