/* Opening a bundle, as far as its manifest. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "bundle/reader_internal.h"
#include "crypto/sshsig.h"

struct source *reader_source(struct bundle_reader *r)
{
	return &r->sources.list[r->current];
}

int reader_fail(struct bundle_reader *r, struct error *err)
{
	if (r->state == FAILED) {
		*err = r->failure;
		return -1;
	}
	source_wrap(reader_source(r), err);
	r->failure = *err;
	r->state = FAILED;
	return -1;
}

/* ---- opening ---- */

static struct bundle_reader *begin(struct bundle_reader *r, struct error *err)
{
	struct volume all = {.volume = 1};
	bool is_later = false;

	r->manifest_max = MANIFEST_MAX;
	r->volume = (struct volume){.volume = 1, .volumes = 1, .last = true};
	if (source_open(reader_source(r), &r->archive, err) < 0)
		goto failed;
	if (source_begin(&r->archive, &r->header, &is_later, &r->volume, err) < 0) {
		source_wrap(reader_source(r), err);
		goto failed;
	}
	r->first = r->volume.volume;
	reader_source(r)->volume = r->first;
	/* How many there are the manifest tells, or does not: those that lie there, for now. */
	if (!is_later)
		all.volumes = BUNDLE_VOLUMES_MAX;
	sources_find_siblings(&r->sources, is_later ? &r->volume : &all);
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

void bundle_reader_limit(struct bundle_reader *r, size_t manifest_max)
{
	r->manifest_max = manifest_max;
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

/* ---- the manifest ---- */

int reader_check_volume(const struct bundle_reader *r, const struct volume *v, unsigned number, uint32_t member,
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

static int read_manifest(struct bundle_reader *r, struct manifest *m, struct error *err)
{
	struct buf text = BUF_INIT(r->manifest_max);

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
		sources_drop_found(&r->sources, 1);
		return 0;
	}
	if (volume_read(&r->archive, &v, err) < 0)
		return -1;
	r->volume.volumes = v.volumes;
	if (reader_check_volume(r, &v, 1, 0, 0, err) < 0)
		return -1;
	r->volume = v;
	sources_drop_found(&r->sources, v.volumes);
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
		return reader_fail(r, err);
	assert(r->state == START);
	*m = MANIFEST_INIT;
	if (r->first != 1) {
		error_set(err, ERR_RETRY, "this is volume %u of %u: volume 1 is needed first", r->first, r->volume.volumes);
		error_hint(err, "begin with the volume that ends in .001");
		return reader_fail(r, err);
	}
	if (read_manifest(r, m, err) < 0)
		return reader_fail(r, err);
	if (read_signature(r, signature, err) < 0 || read_first_volume(r, m, err) < 0 || check_sources(r, err) < 0) {
		manifest_release(m);
		return reader_fail(r, err);
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
		return reader_fail(r, err);
	assert(r->state == START);
	if (r->first == 1) {
		error_set(err, ERR_MALFORMED, "this is the first volume, not a later one");
		return reader_fail(r, err);
	}
	if (memcmp(r->volume.bundle, m->id, SHA256_LEN) != 0) {
		error_set(err, ERR_REFUSED, "this is a volume of another bundle");
		error_hint(err, "give the volumes that were exported together");
		return reader_fail(r, err);
	}
	if (r->volume.member >= m->members) {
		error_set(err, ERR_MALFORMED, BUNDLE_VOLUME ": there is no member %u", r->volume.member);
		return reader_fail(r, err);
	}
	r->it = manifest_iter(m);
	r->members = m->members;
	while (r->it.index < r->volume.member && manifest_next(&r->it, &skipped))
		;
	r->begun = r->volume.offset;
	r->state = BETWEEN;
	return 0;
}
