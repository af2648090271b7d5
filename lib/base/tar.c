/* Headers of ustar archives (POSIX.1-2017, pax, "ustar Interchange Format"). */
#include "base/tar.h"

#include <stdio.h>
#include <string.h>

/* Offsets and lengths of the fields. */
enum {
	NAME = 0, NAME_LEN = 100,
	MODE = 100, UID = 108, GID = 116, NUMBER_LEN = 8,
	SIZE = 124, MTIME = 136, LARGE_LEN = 12,
	CHECKSUM = 148,
	TYPE = 156,
	MAGIC = 257,
	PREFIX = 345, PREFIX_LEN = 155,
};

static const char magic[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};

int tar_name_check(struct slice name, struct error *err)
{
	size_t at = 0, i;

	if (name.len == 0 || name.len > TAR_NAME_MAX)
		return error_set(err, ERR_MALFORMED, "a member's name has 1 to %d bytes", TAR_NAME_MAX);
	for (i = 0; i < name.len; i++)
		if (name.ptr[i] < 0x21 || name.ptr[i] > 0x7e)
			return error_set(err, ERR_MALFORMED, "member name '%.*s' is not plain ASCII", SLICE_ARG(name));
	while (at <= name.len) {
		size_t slash = slice_find(name, '/', at), end = slash == SIZE_MAX ? name.len : slash;
		struct slice part = slice_sub(name, at, end - at);

		if (part.len == 0 || slice_equal_str(part, ".") || slice_equal_str(part, ".."))
			return error_set(err, ERR_MALFORMED, "member name '%.*s' leads elsewhere", SLICE_ARG(name));
		at = end + 1;
	}
	return 0;
}

unsigned tar_padding(uint64_t size)
{
	return (unsigned)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

/* ---- numbers: octal and NUL, or GNU's binary form when that is too small ---- */

static void put_number(uint8_t *field, size_t len, uint64_t value)
{
	char text[32];
	size_t i;

	if (value >> (3 * (len - 1)) == 0) {
		snprintf(text, sizeof(text), "%0*llo", (int)len - 1, (unsigned long long)value);
		memcpy(field, text, len);
		return;
	}
	for (i = len; i-- > 0; value >>= 8)
		field[i] = (uint8_t)value;
	field[0] = 0x80;
}

static int get_number(const uint8_t *field, size_t len, uint64_t *out, struct error *err)
{
	size_t i = 0;

	*out = 0;
	if (field[0] == 0x80) {
		for (i = 1; i < len; i++) {
			if (*out >> 54 != 0)
				return error_set(err, ERR_MALFORMED, "a number in a member's header is too large");
			*out = *out << 8 | field[i];
		}
		return 0;
	}
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
		*out = *out << 3 | (uint64_t)(field[i] - '0');
	if (i == 0 || (i < len && field[i] != '\0' && field[i] != ' '))
		return error_set(err, ERR_MALFORMED, "a number in a member's header is not octal");
	return 0;
}

/* The sum of all bytes, with the checksum's own field as blanks. */
static unsigned checksum(const uint8_t block[static TAR_BLOCK])
{
	unsigned sum = 0;
	size_t i;

	for (i = 0; i < TAR_BLOCK; i++)
		sum += i >= CHECKSUM && i < CHECKSUM + NUMBER_LEN ? ' ' : block[i];
	return sum;
}

/* ---- writing ---- */

/* Where to cut a name into prefix and name: at a slash, both parts short enough. SIZE_MAX: nowhere. */
static size_t find_cut(struct slice name)
{
	size_t at = 0, slash;

	while ((slash = slice_find(name, '/', at)) != SIZE_MAX && slash <= PREFIX_LEN) {
		if (name.len - slash - 1 <= NAME_LEN)
			return slash;
		at = slash + 1;
	}
	return SIZE_MAX;
}

/* As much of the name as the fields hold; false when that is not all of it. */
static bool put_name(uint8_t block[static TAR_BLOCK], struct slice name)
{
	size_t cut = find_cut(name);

	if (name.len <= NAME_LEN || cut == SIZE_MAX) {
		memcpy(block + NAME, name.ptr, name.len < NAME_LEN ? name.len : NAME_LEN);
		return name.len <= NAME_LEN;
	}
	memcpy(block + PREFIX, name.ptr, cut);
	memcpy(block + NAME, name.ptr + cut + 1, name.len - cut - 1);
	return true;
}

/* Everything but the name. */
static void put_fields(uint8_t block[static TAR_BLOCK], uint8_t type, unsigned mode, uint64_t size, int64_t mtime_s)
{
	char sum[NUMBER_LEN + 1];

	put_number(block + MODE, NUMBER_LEN, mode & 07777);
	put_number(block + UID, NUMBER_LEN, 0);
	put_number(block + GID, NUMBER_LEN, 0);
	put_number(block + SIZE, LARGE_LEN, size);
	put_number(block + MTIME, LARGE_LEN, mtime_s < 0 ? 0 : (uint64_t)mtime_s);
	block[TYPE] = type;
	memcpy(block + MAGIC, magic, sizeof(magic));
	snprintf(sum, sizeof(sum), "%06o", checksum(block));
	memcpy(block + CHECKSUM, sum, 7);
	block[CHECKSUM + 7] = ' ';
}

/* "LENGTH path=NAME\n", where LENGTH counts itself. */
static size_t pax_record(char out[static TAR_BLOCK], const char *name)
{
	size_t rest = strlen(" path=\n") + strlen(name), len = rest + (rest + 2 > 99 ? 3 : 2);

	snprintf(out, TAR_BLOCK, "%zu path=%s\n", len, name);
	return len;
}

static void put_pax(struct buf *out, const struct tar_entry *e)
{
	uint8_t block[TAR_BLOCK] = {0}, content[TAR_BLOCK] = {0};
	size_t len = pax_record((char *)content, e->name);

	put_name(block, SLICE_LIT("@PaxHeader"));
	put_fields(block, 'x', 0600, len, e->mtime_s);
	content[len] = '\0';
	buf_put(out, block, sizeof(block));
	buf_put(out, content, sizeof(content));
}

int tar_put(struct buf *out, const struct tar_entry *e, struct error *err)
{
	uint8_t block[TAR_BLOCK] = {0};

	if (tar_name_check(slice_str(e->name), err) < 0)
		return -1;
	if (!put_name(block, slice_str(e->name)))
		put_pax(out, e);
	put_fields(block, e->is_dir ? '5' : '0', e->mode, e->is_dir ? 0 : e->size, e->mtime_s);
	buf_put(out, block, sizeof(block));
	return out->failed ? error_set(err, ERR_LIMIT, "a tar header is larger than %zu bytes", out->max) : 0;
}

/* ---- reading ---- */

static struct slice text_field(const uint8_t *field, size_t len)
{
	return slice_of(field, strnlen((const char *)field, len));
}

static int get_name(struct tar_reader *t, const uint8_t block[static TAR_BLOCK], struct tar_entry *e,
		    struct error *err)
{
	struct slice prefix = text_field(block + PREFIX, PREFIX_LEN), name = text_field(block + NAME, NAME_LEN);

	if (t->has_name)
		prefix = SLICE_EMPTY, name = slice_str(t->name);
	if (prefix.len + name.len + 1 > TAR_NAME_MAX + 1)
		return error_set(err, ERR_MALFORMED, "a member's name is longer than %d bytes", TAR_NAME_MAX);
	snprintf(e->name, sizeof(e->name), "%.*s%s%.*s", SLICE_ARG(prefix), prefix.len > 0 ? "/" : "", SLICE_ARG(name));
	/* Other writers end a directory's name with a slash. */
	if (e->is_dir && e->name[0] != '\0' && e->name[strlen(e->name) - 1] == '/')
		e->name[strlen(e->name) - 1] = '\0';
	return tar_name_check(slice_str(e->name), err);
}

/* The content of a pax header: one record, and it is the path. */
static int get_pax(struct tar_reader *t, const uint8_t block[static TAR_BLOCK], struct error *err)
{
	struct slice content = slice_of(block, (size_t)t->pax_len);
	char want[TAR_BLOCK] = {0};
	size_t at = slice_find(content, '=', 0);

	t->in_pax = false;
	if (at == SIZE_MAX || content.len - at - 2 > TAR_NAME_MAX)
		return error_set(err, ERR_MALFORMED, "a pax header holds something else than a path");
	snprintf(t->name, sizeof(t->name), "%.*s", (int)(content.len - at - 2), (const char *)content.ptr + at + 1);
	if (!slice_equal(slice_of(want, pax_record(want, t->name)), content))
		return error_set(err, ERR_MALFORMED, "a pax header holds something else than a path");
	t->has_name = true;
	return TAR_MORE;
}

static int check_header(const uint8_t block[static TAR_BLOCK], struct error *err)
{
	uint64_t sum;

	if (memcmp(block + MAGIC, magic, 5) != 0)
		return error_set(err, ERR_MALFORMED, "a member's header is not in ustar format");
	if (get_number(block + CHECKSUM, NUMBER_LEN, &sum, err) < 0)
		return -1;
	if (sum != checksum(block))
		return error_set(err, ERR_MALFORMED, "the checksum of a member's header is wrong");
	return 0;
}

static int get_member(struct tar_reader *t, const uint8_t block[static TAR_BLOCK], struct tar_entry *e,
		      struct error *err)
{
	uint64_t mode, mtime;

	e->is_dir = block[TYPE] == '5';
	if (!e->is_dir && block[TYPE] != '0')
		return error_set(err, ERR_MALFORMED, "a member is neither a file nor a directory");
	if (get_name(t, block, e, err) < 0 || get_number(block + MODE, NUMBER_LEN, &mode, err) < 0 ||
	    get_number(block + SIZE, LARGE_LEN, &e->size, err) < 0 ||
	    get_number(block + MTIME, LARGE_LEN, &mtime, err) < 0)
		return -1;
	if (e->size > TAR_SIZE_MAX || (e->is_dir && e->size != 0))
		return error_set(err, ERR_MALFORMED, "member '%s' has an impossible size", e->name);
	e->mode = (unsigned)mode & 0777;
	e->mtime_s = (int64_t)(mtime & INT64_MAX);
	*t = (struct tar_reader){.in_pax = false};
	return TAR_MEMBER;
}

int tar_get(struct tar_reader *t, const uint8_t block[static TAR_BLOCK], struct tar_entry *e, struct error *err)
{
	static const uint8_t zeros[TAR_BLOCK];

	*e = (struct tar_entry){.size = 0};
	if (t->in_pax)
		return get_pax(t, block, err);
	if (!t->has_name && memcmp(block, zeros, TAR_BLOCK) == 0)
		return TAR_END;
	if (check_header(block, err) < 0)
		return -1;
	if (block[TYPE] != 'x')
		return get_member(t, block, e, err);
	if (get_number(block + SIZE, LARGE_LEN, &t->pax_len, err) < 0)
		return -1;
	if (t->has_name || t->pax_len < 9 || t->pax_len >= TAR_BLOCK)
		return error_set(err, ERR_MALFORMED, "a pax header has an impossible size");
	t->in_pax = true;
	return TAR_MORE;
}
