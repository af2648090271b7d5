/*
 * Bundles: one archive from a file or a pipe, or up to three volumes, read in pieces and in reads of some size, which
 * must come to the same. The first five bytes say how; the rest is the archives.
 */
#include <fcntl.h>

#include "bundle/reader.h"
#include "crypto/sshsig.h"
#include "tests/fuzz/archive_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD 5
enum { PIPE = 1, MEND = 2, MORE = 4 | 8, WHOLE = 16 };

/* For those that begin at a later volume: what volume 1 had, under whatever name. */
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define MANIFEST                                                                                                      \
	"{\"bundle\":{\"audit\":{\"hash\":\"" ZEROS "\",\"seq\":0},\"bytes\":1002,\"complete\":true,"                 \
	"\"created\":\"2026-11-28T09:30:00Z\",\"format\":\"meshanics-bundle-1\",\"kind\":\"site\",\"members\":2,"      \
	"\"origin\":\"main\",\"sequence\":3,\"since\":null,\"site\":\"depot-7\","                                     \
	"\"valid_until\":\"2026-12-28T09:30:00Z\",\"versions\":{\"root\":1,\"targets\":1}},\n\"members\":[\n"          \
	"{\"length\":2,\"name\":\"metadata/1.targets.json\",\"sha256\":\"" ZEROS "\"},\n"                             \
	"{\"length\":1000,\"name\":\"targets/" ZEROS "\",\"sha256\":\"" ZEROS "\"}\n]}\n"

/* What came out of a reading. */
struct outcome {
	int result;
	unsigned members, missing;
	uint8_t hash[SHA256_LEN];	/* of all content */
	struct error err;
};

static ssize_t read_piece(struct bundle_reader *r, size_t n, uint8_t *room, struct slice *piece, struct error *err)
{
	ssize_t got;

	if (n == 0)
		return bundle_piece(r, piece, err) < 0 ? -1 : (ssize_t)piece->len;
	got = bundle_read(r, room, n, err);
	*piece = slice_of(room, got < 0 ? 0 : (size_t)got);
	return got;
}

/* In pieces (n 0), or n bytes at a time. */
static int read_members(struct bundle_reader *r, size_t n, struct outcome *o)
{
	uint8_t *room = malloc(n + 1);
	struct sha256 hash;
	struct member m;
	struct slice piece;
	uint64_t at;
	ssize_t got = 0;
	unsigned volumes;
	int more = -1;

	assert(room != NULL);
	sha256_init(&hash);
	while (got >= 0 && (more = bundle_next(r, &m, &o->err)) == 1) {
		at = bundle_offset(r);
		while ((got = read_piece(r, n, room, &piece, &o->err)) > 0) {
			sha256_update(&hash, piece.ptr, piece.len);
			at += piece.len;
		}
		assert(got < 0 || (at == m.length) != bundle_cut(r));
		o->members++;
	}
	sha256_final(&hash, o->hash);
	free(room);
	o->missing = bundle_missing(r, &volumes);
	assert(o->missing <= volumes);
	return got < 0 || more < 0 ? -1 : bundle_end(r, &o->err);
}

static int begin(struct bundle_reader *r, struct manifest *m, struct error *err)
{
	struct buf text = BUF_INIT(MANIFEST_MAX), signature = BUF_INIT(SSHSIG_SIZE_MAX);
	int result;

	if (bundle_reader_volume(r) > 1) {
		buf_put_str(&text, MANIFEST);
		result = manifest_parse(m, &text, err);
		assert(result == 0);
		memcpy(m->id, bundle_reader_belongs(r), SHA256_LEN);
		return bundle_resume(r, m, err);
	}
	result = bundle_read_manifest(r, m, &signature, err);
	buf_release(&signature);
	return result;
}

static void read_once(const int *fds, unsigned count, size_t n, struct outcome *o)
{
	static const char *const names[] = {"a", "b", "c", "d"};
	struct manifest m = MANIFEST_INIT;
	struct bundle_reader *r;

	*o = (struct outcome){.result = -1};
	r = bundle_reader_open_fds(fds, names, count, &o->err);
	if (r != NULL && begin(r, &m, &o->err) == 0) {
		o->result = read_members(r, n, o);
		assert(o->result < 0 || (o->missing == 0 && (bundle_reader_volume(r) > 1 || o->members == m.members)));
	}
	assert(o->result == 0 || o->err.kind != ERR_NONE);
	bundle_reader_free(r);
	manifest_release(&m);
}

static void check_same(const struct outcome *a, const struct outcome *b)
{
	assert(a->result == b->result && a->members == b->members && a->missing == b->missing);
	assert(strcmp(a->err.text, b->err.text) == 0);
	assert(a->result < 0 || memcmp(a->hash, b->hash, SHA256_LEN) == 0);
}

static void read_pipe(const uint8_t *bytes, size_t size, struct outcome *o)
{
	int ends[2], r = pipe2(ends, O_CLOEXEC);

	assert(r == 0);
	if (size > 65536 / 2)	/* what fits in any case */
		size = 65536 / 2;
	assert(write(ends[1], bytes, size) == (ssize_t)size);
	close(ends[1]);
	read_once(ends, 1, 0, o);
	close(ends[0]);
}

static size_t at_most(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void read_files(const uint8_t *head, const uint8_t *bytes, size_t size)
{
	unsigned count = 1 + (unsigned)(head[0] & MORE) / 4, i;
	size_t cuts[4] = {at_most(size, (size_t)(head[1] << 8 | head[2]) * TAR_BLOCK),
			  at_most(size, (size_t)(head[3] << 8 | head[4]) * TAR_BLOCK), size, size};
	struct outcome a, b;
	size_t at = 0;
	int fds[4];

	for (i = 0; i < count; i++) {
		size_t end = i + 1 == count ? size : cuts[i];

		fds[i] = input_fd(bytes + at, end > at ? end - at : 0);
		at = end > at ? end : at;
	}
	read_once(fds, count, 0, &a);
	read_once(fds, count, head[0] & WHOLE ? 1 << 20 : 1 + head[4], &b);
	check_same(&a, &b);
	for (i = 0; i < count; i++)
		close(fds[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome o;
	uint8_t *bytes;

	if (size < HEAD)
		return 0;
	bytes = malloc(size);
	assert(bytes != NULL);
	memcpy(bytes, data, size);
	if (data[0] & MEND)
		mend_checksums(bytes + HEAD, size - HEAD);
	if (data[0] & PIPE)
		read_pipe(bytes + HEAD, size - HEAD, &o);
	else
		read_files(data, bytes + HEAD, size - HEAD);
	free(bytes);
	return 0;
}
