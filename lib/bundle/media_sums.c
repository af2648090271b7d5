/* SHA256SUMS of a stick, as sha256sum(1) writes and checks it. */
#include "bundle/media.h"

#include <stdlib.h>

#include "base/encode.h"

#define PATH_BYTES_MAX 255
#define HASH_HEX (2 * SHA256_LEN)

void media_sums_release(struct media_sums *s)
{
	unsigned i;

	for (i = 0; i < s->count; i++)
		free(s->list[i].path);
	free(s->list);
	*s = (struct media_sums){.count = 0};
}

/* A path below the directory, in one spelling only: sha256sum would escape others, or two could name one file. */
static int check_path(struct slice path, struct error *err)
{
	struct slice rest = path;
	size_t i;

	if (path.len == 0 || path.len > PATH_BYTES_MAX)
		return error_set(err, ERR_MALFORMED, "the path has %zu bytes, not 1 to %d", path.len, PATH_BYTES_MAX);
	for (i = 0; i < path.len; i++)
		if (path.ptr[i] < 0x20 || path.ptr[i] == 0x7f || path.ptr[i] == '\\')
			return error_set(err, ERR_MALFORMED, "byte 0x%02x cannot be part of a path here", path.ptr[i]);
	for (;;) {
		size_t end = slice_find(rest, '/', 0);
		struct slice part = slice_sub(rest, 0, end);

		if (part.len == 0 || slice_equal_str(part, ".") || slice_equal_str(part, ".."))
			return error_set(err, ERR_MALFORMED, "the path leads out, or has an empty part");
		if (end == SIZE_MAX)
			return 0;
		rest = slice_sub(rest, end + 1, SIZE_MAX);
	}
}

static int by_path(const void *a, const void *b)
{
	const struct media_sum *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static struct media_sum *find(const struct media_sums *s, const char *path)
{
	struct media_sum key = {.path = (char *)(uintptr_t)path};

	return s->count == 0 ? NULL : bsearch(&key, s->list, s->count, sizeof(key), by_path);
}

const struct media_sum *media_sums_find(const struct media_sums *sums, const char *path)
{
	return find(sums, path);
}

static int add(struct media_sums *s, struct slice path, const uint8_t sha256[static SHA256_LEN], struct error *err)
{
	struct media_sum *new;

	if (s->count == MEDIA_FILES_MAX)
		return error_set(err, ERR_LIMIT, "more than %d files", MEDIA_FILES_MAX);
	if ((s->count & (s->count - 1)) == 0)	/* grows at powers of two */
		s->list = xreallocarray(s->list, s->count == 0 ? 1 : 2 * (size_t)s->count, sizeof(*s->list));
	new = &s->list[s->count++];
	new->path = xstrndup_slice(path);
	memcpy(new->sha256, sha256, SHA256_LEN);
	return 0;
}

static int read_line(struct media_sums *s, struct slice line, struct error *err)
{
	uint8_t hash[SHA256_LEN];
	struct slice path;
	size_t i;

	if (line.len < HASH_HEX + 3 || line.ptr[HASH_HEX] != ' ' ||
	    (line.ptr[HASH_HEX + 1] != ' ' && line.ptr[HASH_HEX + 1] != '*'))
		return error_set(err, ERR_MALFORMED, "not 64 hex digits, two spaces and a path");
	for (i = 0; i < HASH_HEX; i++)
		if (line.ptr[i] >= 'A' && line.ptr[i] <= 'F')
			return error_set(err, ERR_MALFORMED, "hex digits in upper case");
	path = slice_sub(line, HASH_HEX + 2, SIZE_MAX);
	if (hex_decode(hash, sizeof(hash), slice_sub(line, 0, HASH_HEX), err) < 0 || check_path(path, err) < 0)
		return -1;
	return add(s, path, hash, err);
}

int media_sums_parse(struct media_sums *sums, struct slice text, struct error *err)
{
	struct slice rest = text;
	unsigned line = 0, i;

	*sums = (struct media_sums){.count = 0};
	if (text.len > MEDIA_SUMS_MAX)
		return error_set(err, ERR_LIMIT, MEDIA_SUMS " is larger than %u bytes", MEDIA_SUMS_MAX);
	while (rest.len > 0) {
		size_t end = slice_find(rest, '\n', 0);

		line++;
		if (end == SIZE_MAX) {
			error_set(err, ERR_MALFORMED, "the last line does not end");
			goto fail;
		}
		if (read_line(sums, slice_sub(rest, 0, end), err) < 0)
			goto fail;
		rest = slice_sub(rest, end + 1, SIZE_MAX);
	}
	if (sums->count > 0)
		qsort(sums->list, sums->count, sizeof(*sums->list), by_path);
	for (i = 1; i < sums->count; i++) {
		if (strcmp(sums->list[i - 1].path, sums->list[i].path) != 0)
			continue;
		error_set(err, ERR_MALFORMED, MEDIA_SUMS " lists '%s' twice", sums->list[i].path);
		media_sums_release(sums);
		return -1;
	}
	return 0;
fail:
	media_sums_release(sums);
	return error_wrap(err, MEDIA_SUMS ", line %u", line);
}

void media_sums_put(struct buf *out, const struct media_sums *sums)
{
	char hex[SHA256_HEX_LEN];
	unsigned i;

	for (i = 0; i < sums->count; i++) {
		hex_encode(hex, sums->list[i].sha256, SHA256_LEN);
		buf_printf(out, "%s  %s\n", hex, sums->list[i].path);
	}
}

int media_sums_set(struct media_sums *sums, const char *path, const uint8_t *sha256, struct error *err)
{
	struct media_sum *s = find(sums, path);

	if (s == NULL && sha256 == NULL)
		return 0;
	if (s == NULL) {
		if (check_path(slice_str(path), err) < 0 || add(sums, slice_str(path), sha256, err) < 0)
			return -1;
		qsort(sums->list, sums->count, sizeof(*sums->list), by_path);
		return 0;
	}
	if (sha256 != NULL) {
		memcpy(s->sha256, sha256, SHA256_LEN);
		return 0;
	}
	free(s->path);
	sums->count--;
	memmove(s, s + 1, (size_t)(&sums->list[sums->count] - s) * sizeof(*s));
	return 0;
}
